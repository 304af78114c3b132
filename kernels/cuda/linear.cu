/* dsvl2: linear and linear_heads on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where inputs may be rounded to bf16, linear_mma.cu and linear_q_mma.cu multiply. Here a warp has an output:
 * it reads its row of weights once for up to eight rows of x. The order of a sum depends on I alone, so a row
 * comes out the same whatever it shares a launch with. */
#include "linear.cuh"

enum { THREADS = 256, MOST_ROWS = 8 };

/* sum[r] += this lane's part of x[r] · w; rows past the last one repeat it. */
template <typename W, int ROWS>
static __device__ __forceinline__ void
multiply_lane (float sum[ROWS], const float *const x[ROWS], const W *w, int I, bool aligned)
{
  const int lane = threadIdx.x % WARP;

  if (aligned) {
    for (int i = lane * 8; i < I; i += WARP * 8) {
      float a[8], b[8];

      load_eight (b, w + i);
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        load_eight (a, x[r] + i);
#pragma unroll
        for (int j = 0; j < 8; j++)
          sum[r] += a[j] * b[j];
      }
    }
  } else {
    for (int i = lane; i < I; i += WARP) {
      const float b = to_float (w[i]);

#pragma unroll
      for (int r = 0; r < ROWS; r++)
        sum[r] += x[r][i] * b;
    }
  }
}

template <typename W, int ROWS> KERNEL (THREADS) multiply_rows (Product p, const W *w, bool aligned)
{
  const int lane = threadIdx.x % WARP, first = blockIdx.y * ROWS, head = blockIdx.z;
  const int o = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP;
  const float *x[ROWS];
  float sum[ROWS], mine = 0;

  if (o >= p.O) /* the whole warp */
    return;
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    x[r] = p.x + (size_t) min (first + r, p.T - 1) * p.x_row + (size_t) head * p.x_head;
    sum[r] = 0;
  }
  multiply_lane<W, ROWS> (sum, x, w + ((size_t) head * p.O + o) * p.I, p.I, aligned);
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    const float all = warp_sum (sum[r]);

    mine = lane == r ? all : mine;
  }
  if (lane < ROWS && first + lane < p.T) {
    float *y = p.y + (size_t) (first + lane) * p.y_row + (size_t) head * p.y_head + o;

    *y = finish (mine, p.bias ? p.bias + o : nullptr, y, p.epilogue);
  }
}

template <typename W, int ROWS>
static void
run_rows (Ops *k, const Product &p, const W *w, int H, bool aligned)
{
  launch (cuda (k), "run linear", multiply_rows<W, ROWS>,
      dim3 (ceil_div (p.O, THREADS / WARP), ceil_div (p.T, ROWS), H), THREADS, 0, p, w, aligned);
}

static void
run (Ops *k, Product p, const Weight *w, int H)
{
  bool aligned;

  p.I = w->I;
  p.O = w->O / H;
  aligned = product_aligned (p, w);
  if (weight_quantised (w)) {
    (cuda (k)->bf16 ? linear_quantised_mma : linear_quantised) (cuda (k), p, w);
    return;
  }
  if (linear_mma (cuda (k), p, w, H))
    return;
  with_type (w, [&] (auto *data) {
    if (p.T <= 1)
      run_rows<std::remove_cv_t<std::remove_pointer_t<decltype (data)>>, 1> (k, p, data, H, aligned);
    else if (p.T <= 2)
      run_rows<std::remove_cv_t<std::remove_pointer_t<decltype (data)>>, 2> (k, p, data, H, aligned);
    else if (p.T <= 4)
      run_rows<std::remove_cv_t<std::remove_pointer_t<decltype (data)>>, 4> (k, p, data, H, aligned);
    else
      run_rows<std::remove_cv_t<std::remove_pointer_t<decltype (data)>>, MOST_ROWS> (k, p, data, H,
          aligned);
  });
}

static void
linear (Ops *k, float *y, const float *x, const Weight *w, const float *bias, int T, unsigned epilogue)
{
  Product p = {};

  p.y = y;
  p.x = x;
  p.bias = bias;
  p.T = T;
  p.y_row = w->O;
  p.x_row = w->I;
  p.epilogue = epilogue;
  run (k, p, w, 1);
}

static void
linear_heads (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head,
    const Weight *w, int H, int T)
{
  Product p = {};

  p.y = y;
  p.x = x;
  p.T = T;
  p.y_row = y_row;
  p.y_head = y_head;
  p.x_row = x_row;
  p.x_head = x_head;
  run (k, p, w, H);
}

void
cuda_fill_linear (Ops *k)
{
  k->linear = linear;
  k->linear_heads = linear_heads;
}
