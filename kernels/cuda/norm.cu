/* dsvl2: layer_norm and rms_norm on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A block a row. y may be x: a thread reads again only what it writes itself. */
#include "device.cuh"

enum { THREADS = 128 };

KERNEL (THREADS)
layer_norm_row (float *y, const float *x, const float *gamma, const float *beta, float eps, int D)
{
  __shared__ float sums[THREADS / WARP];
  float mean = 0, variance = 0, scale;

  x += (size_t) blockIdx.x * D;
  y += (size_t) blockIdx.x * D;
  for (int i = threadIdx.x; i < D; i += THREADS)
    mean += x[i];
  mean = block_sum<THREADS> (mean, sums) / D;
  for (int i = threadIdx.x; i < D; i += THREADS)
    variance += (x[i] - mean) * (x[i] - mean);
  variance = block_sum<THREADS> (variance, sums) / D;
  scale = 1 / sqrtf (variance + eps);
  for (int i = threadIdx.x; i < D; i += THREADS)
    y[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
}

KERNEL (THREADS)
rms_norm_row (float *y, const float *x, const float *gamma, float eps, int D, int row)
{
  __shared__ float sums[THREADS / WARP];
  float squares = 0, scale;

  x += (size_t) blockIdx.x * row;
  y += (size_t) blockIdx.x * row;
  for (int i = threadIdx.x; i < D; i += THREADS)
    squares += x[i] * x[i];
  squares = block_sum<THREADS> (squares, sums) / D;
  scale = 1 / sqrtf (squares + eps);
  for (int i = threadIdx.x; i < D; i += THREADS)
    y[i] = x[i] * scale * gamma[i];
}

static void
layer_norm (Ops *k, float *y, const float *x, const float *gamma, const float *beta, float eps, int T,
    int D)
{
  launch (cuda (k), "run layer_norm", layer_norm_row, T, THREADS, 0, y, x, gamma, beta, eps, D);
}

static void
rms_norm (Ops *k, float *y, const float *x, const float *gamma, float eps, int T, int D, int row)
{
  launch (cuda (k), "run rms_norm", rms_norm_row, T, THREADS, 0, y, x, gamma, eps, D, row);
}

void
cuda_fill_norm (Ops *k)
{
  k->layer_norm = layer_norm;
  k->rms_norm = rms_norm;
}
