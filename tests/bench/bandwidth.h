/* dsvl2: how fast this machine reads memory
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_BANDWIDTH_H
#define DSVL2_BANDWIDTH_H

#include <stddef.h>

/* Threads that read an array together. */
typedef struct _Reader Reader;

/* `threads` of them (0: one for each processor that the process may use) and an array of `bytes`, which
 * should be much larger than the caches. NULL where memory or threads ran out. */
Reader *reader_new (int threads, size_t bytes);
void reader_free (Reader *r);

/* Reads the array once. Returns the seconds from the first thread's begin to the last one's end. */
double reader_pass (Reader *r);

/* Bytes a second: the best of several passes over half a GiB; 0 where memory or threads ran out. Takes
 * less than a second. */
double read_bandwidth (int threads);

#endif
