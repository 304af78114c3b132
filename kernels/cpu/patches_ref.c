/* dsvl2: pictures rearranged for matrix products, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

static void
patchify (Ops *k, float *y, const float *tiles, int N, int S, int p)
{
  const int side = S / p;

  for (int n = 0; n < N; n++)
    for (int i = 0; i < side; i++)
      for (int j = 0; j < side; j++)
        for (int c = 0; c < 3; c++)
          for (int ky = 0; ky < p; ky++)
            for (int kx = 0; kx < p; kx++)
              *y++ = tiles[(((size_t) n * 3 + c) * S + i * p + ky) * S + j * p + kx];
}

static void
unfold (Ops *k, float *y, const float *x, int N, int h, int w, int C, int f)
{
  for (int n = 0; n < N; n++, x += (size_t) h * w * C)
    for (int i = 0; i < h; i += f)
      for (int j = 0; j < w; j += f)
        for (int c = 0; c < C; c++)
          for (int ky = i; ky < i + f; ky++)
            for (int kx = j; kx < j + f; kx++)
              *y++ = ky < h && kx < w ? x[((size_t) ky * w + kx) * C + c] : 0;
}

void
patches_fill_c (Ops *k)
{
  k->patchify = patchify;
  k->unfold = unfold;
}
