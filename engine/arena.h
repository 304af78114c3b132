/* dsvl2: one block of a back end's memory, carved into arrays
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A function that lays out scratch memory is run twice: on an arena without memory to learn the size,
 * then on the block. So sizes stand in one place. */
#ifndef DSVL2_ARENA_H
#define DSVL2_ARENA_H

#include "kernels/backend.h"
#include <glib.h>

typedef struct {
  char *base; /* NULL while measuring */
  gsize used;
} Arena;

/* n elements of `size` bytes, 64-byte aligned; NULL while measuring. */
static inline void *
arena_take (Arena *arena, gsize n, gsize size)
{
  const gsize at = arena->used;

  arena->used = (at + n * size + 63) & ~(gsize) 63;
  return arena->base ? arena->base + at : NULL;
}

#define arena_new(arena, type, n) ((type *) arena_take ((arena), (n), sizeof (type)))

#endif
