/* dsvl2: how fast this machine reads memory
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_BANDWIDTH_H
#define DSVL2_BANDWIDTH_H

/* Bytes a second that `threads` threads (0: one for each processor) together read from an array much
 * larger than the caches: the best of several passes. 0 where memory or threads ran out. Takes about a
 * second. */
double read_bandwidth (int threads);

#endif
