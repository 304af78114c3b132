/* dsvl2: the routed experts with quantised weights on CUDA, in float32
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * As experts.cu: what is hidden, for every pair; what comes down, summed over a row's pairs in slot order. */
#include "experts.cuh"
#include "quantised.cuh"

/* Row o of a matrix. */
static __device__ __forceinline__ const uint8_t *
row_of (const Matrix &m, int o, QuantisedRow shape)
{
  return static_cast<const uint8_t *> (m.data) + (size_t) o * shape.row_bytes;
}

template <WeightType TYPE>
Q_KERNEL
hidden_element (Moe m, QuantisedRow shape)
{
  __shared__ QuantisedChunk shared[1];
  const int pair = blockIdx.x, f = blockIdx.y * Q_WARPS + threadIdx.x / WARP, e = m.ids[pair];
  const uint8_t *const w[2] = { row_of (m.gate[e], min (f, m.F - 1), shape),
    row_of (m.up[e], min (f, m.F - 1), shape) };
  const float *const x[1] = { m.x + (size_t) (pair / m.K) * m.D };
  float sum[2][1] = {};

  multiply_quantised<TYPE> (sum, w, shape, x, shared, m.D);
  const float gate = warp_sum (sum[0][0]), up = warp_sum (sum[1][0]);
  if (f < m.F && threadIdx.x % WARP == 0)
    m.hidden[(size_t) pair * m.F + f] = __fmul_rn (silu (gate), up);
}

template <WeightType TYPE>
Q_KERNEL
down_element (Moe m, QuantisedRow shape)
{
  __shared__ QuantisedChunk shared[1];
  const int t = blockIdx.x, d = blockIdx.y * Q_WARPS + threadIdx.x / WARP;
  const bool mine = d < m.D && threadIdx.x % WARP == 0;
  float *y = m.y + (size_t) t * m.D + d;
  float total = mine ? *y : 0;

  for (int pair = t * m.K; pair < (t + 1) * m.K; pair++) {
    const uint8_t *const w[1] = { row_of (m.down[m.ids[pair]], min (d, m.D - 1), shape) };
    const float *const x[1] = { m.hidden + (size_t) pair * m.F };
    float sum[1][1] = {};

    multiply_quantised<TYPE> (sum, w, shape, x, shared, m.F);
    total = __fmaf_rn (m.weights[pair], warp_sum (sum[0][0]), total);
  }
  if (mine)
    *y = total;
}

template <WeightType TYPE>
static void
run (Cuda *c, const Moe &m, int T)
{
  launch (c, "run moe_experts", hidden_element<TYPE>, dim3 (T * m.K, ceil_div (m.F, Q_WARPS)),
      Q_THREADS, 0, m, quantised_row (TYPE, m.D));
  launch (c, "run moe_experts", down_element<TYPE>, dim3 (T, ceil_div (m.D, Q_WARPS)), Q_THREADS, 0, m,
      quantised_row (TYPE, m.F));
}

void
moe_quantised (Cuda *c, const Moe &m, int T, WeightType type)
{
  type == WEIGHT_INT8 ? run<WEIGHT_INT8> (c, m, T) : run<WEIGHT_INT4> (c, m, T);
}
