/* dsvl2: pictures rearranged for matrix products
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"
#include "simd.h"

#include <string.h>

typedef struct {
  float *y;
  const float *x;
  int h, w, C, f; /* patchify: h = w = S, f = p, C = 3 */
} Job;

/* Piece i: one row of patches. */
static void
patchify_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const int S = job->h, p = job->f, side = S / p;
  const float *tile = job->x + (size_t) (i / side) * 3 * S * S + (size_t) (i % side) * p * S;
  float *y = job->y + (size_t) i * side * 3 * p * p;

  for (int j = 0; j < side; j++)
    for (int c = 0; c < 3; c++)
      for (int ky = 0; ky < p; ky++, y += p)
        memcpy (y, tile + ((size_t) c * S + ky) * S + j * p, p * sizeof *y);
}

static void
patchify (Ops *k, float *y, const float *tiles, int N, int S, int p)
{
  Job job = { y, tiles, S, S, 3, p };

  parallel_for (k, N * (S / p), patchify_piece, &job);
}

/* Piece i: one row of neighbourhoods. */
static void
unfold_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const int h = job->h, w = job->w, C = job->C, f = job->f;
  const int down = ceil_div (h, f), across = ceil_div (w, f), first = i % down * f;
  const float *x = job->x + (size_t) (i / down) * h * w * C;
  float *y = job->y + (size_t) i * across * C * f * f;

  for (int j = 0; j < across; j++, y += (size_t) C * f * f)
    for (int o = 0; o < f * f; o++) {
      const int ky = first + o / f, kx = j * f + o % f;
      const float *from = x + ((size_t) ky * w + kx) * C;
      const bool inside = ky < h && kx < w;

      for (int c = 0; c < C; c++)
        y[(size_t) c * f * f + o] = inside ? from[c] : 0;
    }
}

static void
unfold (Ops *k, float *y, const float *x, int N, int h, int w, int C, int f)
{
  Job job = { y, x, h, w, C, f };

  parallel_for (k, N * ceil_div (h, f), unfold_piece, &job);
}

void
SIMD_NAME (patches_fill) (Ops *k)
{
  k->patchify = patchify;
  k->unfold = unfold;
}
