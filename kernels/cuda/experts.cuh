/* dsvl2: the routed experts of one step, as the files that compute them see them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_EXPERTS_CUH
#define DSVL2_EXPERTS_CUH

#include "device.cuh"

/* A matrix as the device needs it. */
typedef struct {
  const void *data;
  WeightType type;
} Matrix;

/* A pair is a row and one of its experts: number t · K + slot. */
typedef struct {
  const float *x, *weights;
  const int32_t *ids;
  float *y, *hidden; /* [T, D], [T · K, F] */
  int K, E, D, F;
  const Matrix *gate, *up, *down; /* [E] */
} Moe;

/* experts_mma.cu: m with inputs rounded to bf16, on the tensor cores. All weights are of `type`, bf16 or quantised;
 * `aligned`: rows of bf16 weights, x's and hidden's start at 16 bytes. `rest` is what follows hidden in the scratch
 * memory. */
void moe_mma (Cuda *c, const Moe &m, int T, WeightType type, float *rest, bool aligned);

/* experts_q.cu: m with quantised weights, in float32. */
void moe_quantised (Cuda *c, const Moe &m, int T, WeightType type);

#endif
