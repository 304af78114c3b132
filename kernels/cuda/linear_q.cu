/* dsvl2: linear with quantised weights on CUDA, in float32
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "linear.cuh"
#include "quantised.cuh"

enum { MOST_ROWS = 8 };

template <WeightType TYPE, int ROWS>
Q_KERNEL
multiply_rows (Product p, const uint8_t *w, QuantisedRow shape)
{
  __shared__ QuantisedChunk shared[ROWS];
  const int lane = threadIdx.x % WARP, first = blockIdx.y * ROWS;
  const int o = blockIdx.x * Q_WARPS + threadIdx.x / WARP;
  const uint8_t *const row[1] = { w + (size_t) min (o, p.O - 1) * shape.row_bytes };
  const float *x[ROWS];
  float sum[1][ROWS] = {}, mine = 0;

#pragma unroll
  for (int r = 0; r < ROWS; r++)
    x[r] = p.x + (size_t) min (first + r, p.T - 1) * p.x_row;
  multiply_quantised<TYPE> (sum, row, shape, x, shared, p.I);
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const float all = warp_sum (sum[0][r]);

    mine = lane == r ? all : mine;
  }
  if (o < p.O && lane < ROWS && first + lane < p.T) {
    float *y = p.y + (size_t) (first + lane) * p.y_row + o;

    *y = finish (mine, p.bias ? p.bias + o : nullptr, y, p.epilogue);
  }
}

template <WeightType TYPE, int ROWS>
static void
run_rows (Cuda *c, const Product &p, const Weight *w)
{
  launch (c, "run linear", multiply_rows<TYPE, ROWS>,
      dim3 (ceil_div (p.O, Q_WARPS), ceil_div (p.T, ROWS)), Q_THREADS, 0, p,
      static_cast<const uint8_t *> (w->data), quantised_row (TYPE, p.I));
}

template <WeightType TYPE>
static void
run (Cuda *c, const Product &p, const Weight *w)
{
  if (p.T <= 1)
    run_rows<TYPE, 1> (c, p, w);
  else if (p.T <= 2)
    run_rows<TYPE, 2> (c, p, w);
  else if (p.T <= 4)
    run_rows<TYPE, 4> (c, p, w);
  else
    run_rows<TYPE, MOST_ROWS> (c, p, w);
}

void
linear_quantised (Cuda *c, const Product &p, const Weight *w)
{
  w->type == WEIGHT_INT8 ? run<WEIGHT_INT8> (c, p, w) : run<WEIGHT_INT4> (c, p, w);
}
