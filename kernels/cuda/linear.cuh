/* dsvl2: a product of rows with a matrix, as the files that compute it see it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_LINEAR_CUH
#define DSVL2_LINEAR_CUH

#include "device.cuh"

/* One head is all of y for linear. Rows and heads of x and y are so many floats apart. */
typedef struct {
  float *y;
  const float *x, *bias;
  int T, I, O, y_row, y_head, x_row, x_head;
  unsigned epilogue;
} Product;

/* What becomes of a sum. Every product and addition is rounded by itself, so that all kernels give the same
 * bits. */
static __device__ __forceinline__ float
finish (float v, const float *bias, const float *y, unsigned epilogue)
{
  if (bias)
    v = __fadd_rn (v, *bias);
  if (epilogue & EPI_GELU_TANH) {
    const float cube = __fmul_rn (__fmul_rn (v, v), v);
    const float inside = __fmul_rn (0.79788456f, __fadd_rn (v, __fmul_rn (0.044715f, cube)));

    v = __fmul_rn (__fmul_rn (0.5f, v), __fadd_rn (1, tanhf (inside)));
  }
  if (epilogue & EPI_GELU_ERF)
    v = __fmul_rn (__fmul_rn (0.5f, v), __fadd_rn (1, erff (__fmul_rn (v, 0.70710678f))));
  if (epilogue & EPI_ADD)
    v = __fadd_rn (v, *y);
  return v;
}

/* Are all rows of x and w 16-byte aligned, and I a multiple of 8? */
static inline bool
product_aligned (const Product &p, const Weight *w)
{
  return p.I % 8 == 0 && p.x_row % 4 == 0 && p.x_head % 4 == 0 && aligned_16 (p.x) &&
         aligned_16 (w->data);
}

/* linear_mma.cu: the product with inputs rounded to bf16, on the tensor cores. False where it does not do
 * that: the device cannot, rounding was not allowed, the weights are not bf16. */
bool linear_mma (Cuda *c, const Product &p, const Weight *w, int H);

/* linear_q.cu: the product with a quantised matrix, in float32; linear_q_mma.cu: with inputs rounded to bf16, on
 * the tensor cores. */
void linear_quantised (Cuda *c, const Product &p, const Weight *w);
void linear_quantised_mma (Cuda *c, const Product &p, const Weight *w);

#endif
