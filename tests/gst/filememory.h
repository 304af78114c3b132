/* dsvl2: memory of a file that may only be read, as the frames of cameras and decoders are memory of a device
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_FILEMEMORY_H
#define TEST_FILEMEMORY_H

#include <gst/gst.h>

/* A copy of these bytes in a file in memory, at an offset that is no multiple of anything. The descriptor is
 * open for reading alone, so mapping it to write fails. With `dmabuf` it is of the type that V4L2's elements
 * and VA's make. */
GstMemory *file_memory_new (const guint8 *bytes, gsize size, gboolean dmabuf);

#endif
