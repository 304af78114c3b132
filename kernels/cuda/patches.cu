/* dsvl2: pictures rearranged for matrix products on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A thread an element of the result. */
#include "device.cuh"

enum { THREADS = 256 };

static dim3
blocks (size_t elements)
{
  return dim3 ((unsigned) ((elements + THREADS - 1) / THREADS));
}

KERNEL (THREADS)
patchify_element (float *y, const float *tiles, size_t n, int S, int p)
{
  const size_t at = (size_t) blockIdx.x * THREADS + threadIdx.x;
  const int side = S / p, pp = p * p;

  if (at < n) {
    const size_t patch = at / (3 * pp);
    const int in = (int) (at % (3 * pp)), c = in / pp, ky = in % pp / p, kx = in % p;
    const int i = (int) (patch / side % side), j = (int) (patch % side);
    const size_t tile = patch / ((size_t) side * side);

    y[at] = tiles[((tile * 3 + c) * S + i * p + ky) * S + j * p + kx];
  }
}

KERNEL (THREADS)
unfold_element (float *y, const float *x, size_t n, int h, int w, int C, int f)
{
  const size_t at = (size_t) blockIdx.x * THREADS + threadIdx.x;
  const int down = (h + f - 1) / f, across = (w + f - 1) / f, ff = f * f;

  if (at < n) {
    const size_t point = at / ((size_t) C * ff), grid = point / ((size_t) down * across);
    const int in = (int) (at % ((size_t) C * ff)), c = in / ff;
    const int ky = (int) (point / across % down) * f + in % ff / f;
    const int kx = (int) (point % across) * f + in % f;

    y[at] = ky < h && kx < w ? x[((grid * h + ky) * w + kx) * C + c] : 0;
  }
}

static void
patchify (Ops *k, float *y, const float *tiles, int N, int S, int p)
{
  const size_t n = (size_t) N * (S / p) * (S / p) * 3 * p * p;

  launch (cuda (k), "run patchify", patchify_element, blocks (n), THREADS, 0, y, tiles, n, S, p);
}

static void
unfold (Ops *k, float *y, const float *x, int N, int h, int w, int C, int f)
{
  const size_t n = (size_t) N * ceil_div (h, f) * ceil_div (w, f) * C * f * f;

  launch (cuda (k), "run unfold", unfold_element, blocks (n), THREADS, 0, y, x, n, h, w, C, f);
}

void
cuda_fill_patches (Ops *k)
{
  k->patchify = patchify;
  k->unfold = unfold;
}
