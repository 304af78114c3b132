/* dsvl2: the CPU back end's memory, which is the process's own
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <string.h>
#include <sys/mman.h>

enum {
  HEADER = 64,     /* a block's length, in the line before it */
  LARGE = 4 << 20, /* is better off in large pages: attention reads parts of rows all over its pool */
};

static void *
alloc (Ops *k, size_t bytes)
{
  char *base;

  if (bytes > SIZE_MAX - HEADER)
    return NULL;
  base = mmap (NULL, bytes + HEADER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    return NULL;
  if (bytes >= LARGE)
    madvise (base, bytes + HEADER, MADV_HUGEPAGE);
  *(size_t *) base = bytes + HEADER;
  return base + HEADER;
}

static void
release (Ops *k, void *memory)
{
  char *base;

  if (!memory)
    return;
  base = (char *) memory - HEADER;
  munmap (base, *(size_t *) base);
}

static void
upload (Ops *k, void *to, const void *host, size_t bytes)
{
  memcpy (to, host, bytes);
}

static void
download (Ops *k, void *host, const void *from, size_t bytes)
{
  memcpy (host, from, bytes);
}

static bool
place (Ops *k, Weight *w)
{
  return true;
}

static void
unplace (Ops *k, Weight *w)
{
}

static const char *
failure (Ops *k)
{
  return NULL;
}

void
memory_fill (Ops *k)
{
  k->alloc = alloc;
  k->free = release;
  k->upload = upload;
  k->download = download;
  k->place = place;
  k->unplace = unplace;
  k->failure = failure;
}
