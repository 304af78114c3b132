/* dsvl2: layer_norm and rms_norm
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"
#include "simd.h"

#include <math.h>

enum { ROWS = 16 }; /* of a piece of work */

typedef struct {
  float *y;
  const float *x, *gamma, *beta;
  float eps;
  int T, D, row;
} Job;

static void
layer_norm_row (float *y, const float *x, const Job *job)
{
  const int D = job->D;
  vf sum = vf_set (0), squares = vf_set (0), mean, scale;

  for (int i = 0; i < D; i += LANES)
    sum += vf_load_up_to (x + i, D - i);
  mean = vf_set (vf_sum (sum) / D);
  for (int i = 0; i < D; i += LANES) {
    const vf v = vf_first (vf_load_up_to (x + i, D - i) - mean, min_int (D - i, LANES), vf_set (0));

    squares = vf_fma (v, v, squares);
  }
  scale = vf_set (1 / sqrtf (vf_sum (squares) / D + job->eps));
  for (int i = 0; i < D; i += LANES) {
    const vf v = (vf_load_up_to (x + i, D - i) - mean) * scale;
    const vf gamma = vf_load_up_to (job->gamma + i, D - i), beta = vf_load_up_to (job->beta + i, D - i);

    vf_store_up_to (y + i, vf_fma (v, gamma, beta), D - i);
  }
}

static void
rms_norm_row (float *y, const float *x, const Job *job)
{
  const int D = job->D;
  vf squares = vf_set (0), scale;

  for (int i = 0; i < D; i += LANES) {
    const vf v = vf_load_up_to (x + i, D - i);

    squares = vf_fma (v, v, squares);
  }
  scale = vf_set (1 / sqrtf (vf_sum (squares) / D + job->eps));
  for (int i = 0; i < D; i += LANES) {
    const vf v = vf_load_up_to (x + i, D - i) * scale;

    vf_store_up_to (y + i, v * vf_load_up_to (job->gamma + i, D - i), D - i);
  }
}

static void
norm_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;

  for (int t = i * ROWS; t < min_int (job->T, (i + 1) * ROWS); t++) {
    const size_t at = (size_t) t * job->row;

    if (job->beta)
      layer_norm_row (job->y + at, job->x + at, job);
    else
      rms_norm_row (job->y + at, job->x + at, job);
  }
}

static void
layer_norm (Ops *k, float *y, const float *x, const float *gamma, const float *beta, float eps, int T,
    int D)
{
  Job job = { y, x, gamma, beta, eps, T, D, D };

  parallel_for (k, ceil_div (T, ROWS), norm_piece, &job);
}

static void
rms_norm (Ops *k, float *y, const float *x, const float *gamma, float eps, int T, int D, int row)
{
  Job job = { y, x, gamma, NULL, eps, T, D, row };

  parallel_for (k, ceil_div (T, ROWS), norm_piece, &job);
}

void
SIMD_NAME (norm_fill) (Ops *k)
{
  k->layer_norm = layer_norm;
  k->rms_norm = rms_norm;
}
