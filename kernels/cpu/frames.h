/* dsvl2: Pillow's resampling filter, shared by every version of frame_tiles
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_CPU_FRAMES_H
#define DSVL2_CPU_FRAMES_H

#include "kernels/backend.h"

/* One pass over a line, `in` samples to `out`, in fixed point:
 *   out[x] = clamp ((Σ_{j < count[x]} weight[x · width + j] · in[first[x] + j] + 2²¹) >> 22, 0, 255) */
enum { TAP_BITS = 32 - 8 - 2 };

typedef struct {
  int out, width;
  int32_t *first, *count; /* [out] */
  int32_t *weight;        /* [out, width] */
} Taps;

/* Rows and columns that are worked on together: the fast versions' buffers are multiples of it. */
enum { FRAME_BLOCK = 16 };

static inline size_t
frame_round_up (size_t n)
{
  return (n + FRAME_BLOCK - 1) / FRAME_BLOCK * FRAME_BLOCK;
}

/* What frame_tiles keeps in its scratch memory. In the plain version both pictures are rows of RGB; in
 * the fast ones `rgb` is [rows / 16][3][width][16] and `across` [3][rows][inner_width], rounded up to
 * blocks. */
typedef struct {
  uint8_t *rgb, *across;
  Taps horizontal, vertical;
} FrameScratch;

/* Lays the scratch memory out and computes the taps. */
void frame_scratch_make (FrameScratch *s, const Frame *frame, const Canvas *canvas, void *memory);

#endif
