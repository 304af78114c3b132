/* dsvl2: layer_norm and rms_norm, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <math.h>

static void
layer_norm (Ops *k, float *y, const float *x, const float *gamma, const float *beta, float eps, int T,
    int D)
{
  for (int t = 0; t < T; t++, x += D, y += D) {
    double mean = 0, variance = 0, scale;

    for (int i = 0; i < D; i++)
      mean += x[i];
    mean /= D;
    for (int i = 0; i < D; i++)
      variance += (x[i] - mean) * (x[i] - mean);
    scale = 1 / sqrt (variance / D + eps);
    for (int i = 0; i < D; i++)
      y[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
  }
}

static void
rms_norm (Ops *k, float *y, const float *x, const float *gamma, float eps, int T, int D, int row)
{
  for (int t = 0; t < T; t++, x += row, y += row) {
    double squares = 0, scale;

    for (int i = 0; i < D; i++)
      squares += (double) x[i] * x[i];
    scale = 1 / sqrt (squares / D + eps);
    for (int i = 0; i < D; i++)
      y[i] = x[i] * scale * gamma[i];
  }
}

void
norm_fill_c (Ops *k)
{
  k->layer_norm = layer_norm;
  k->rms_norm = rms_norm;
}
