/* dsvl2: memory of a file that may only be read, as the frames of cameras and decoders are memory of a device
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* memfd_create */
#include "filememory.h"
#include <fcntl.h>
#include <gst/allocators/allocators.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BEFORE = 4099 };

GstMemory *
file_memory_new (const guint8 *bytes, gsize size, gboolean dmabuf)
{
  const int writable = memfd_create ("frame", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", writable);
  g_autoptr (GstAllocator) allocator = dmabuf ? gst_dmabuf_allocator_new () : gst_fd_allocator_new ();
  GstMemory *memory;
  int fd;

  g_assert_cmpint (writable, >=, 0);
  g_assert_cmpint (pwrite (writable, bytes, size, BEFORE), ==, (gssize) size);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  close (writable);
  memory = gst_fd_allocator_alloc (allocator, fd, BEFORE + size, GST_FD_MEMORY_FLAG_NONE);
  gst_memory_resize (memory, BEFORE, size);
  return memory;
}
