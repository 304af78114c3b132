/* dsvl2: rotary position embedding on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.cuh"

enum { THREADS = 64 };

/* A block a head of a row. It goes through shared memory, since y may be x and interleaved pairs are
 * not written where they were read. */
KERNEL (THREADS)
rope_head (float *y, int y_row, int y_head, const float *x, int x_row, int x_head, int d,
    const float *cosine, const float *sine, bool interleaved, const int32_t *position)
{
  DYNAMIC_SHARED (float, apart); /* [d] */
  const int half = d / 2, t = blockIdx.x;
  const size_t angle = (size_t) position[t] * half;

  x += (size_t) t * x_row + (size_t) blockIdx.y * x_head;
  y += (size_t) t * y_row + (size_t) blockIdx.y * y_head;
  for (int i = threadIdx.x; i < d; i += THREADS)
    apart[interleaved ? i % 2 * half + i / 2 : i] = x[i];
  __syncthreads ();
  for (int i = threadIdx.x; i < half; i += THREADS) {
    const float a = apart[i], b = apart[i + half], c = cosine[angle + i], s = sine[angle + i];

    y[i] = a * c - b * s;
    y[i + half] = b * c + a * s;
  }
}

static void
rope (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head, int n, int d,
    const float *cosine, const float *sine, bool interleaved, const StepRows *rows)
{
  launch (cuda (k), "run rope", rope_head, dim3 (rows->T, n), THREADS, d * sizeof (float), y, y_row,
      y_head, x, x_row, x_head, d, cosine, sine, interleaved, rows->position);
}

void
cuda_fill_rope (Ops *k)
{
  k->rope = rope;
}
