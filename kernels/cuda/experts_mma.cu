/* dsvl2: the routed experts on the tensor cores, inputs rounded to bf16
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pairs are sorted by expert into groups of up to 8 (few rows an expert) or 32 rows (16 with quantised weights,
 * which are half the bytes and take more registers), on the device, so nothing waits for the host. A block has 16
 * outputs of one group and a warp for each slice of the sum (mma.cuh): an expert's weights are read once for a
 * group. Then each row adds its experts up in slot order. A sum does not depend on who shares a group. */
#include "experts.cuh"
#include "quantised_mma.cuh"

#include <type_traits>

enum { THREADS = SLICES * WARP, MANY_TILES = 4, MANY_QUANTISED = 2 };

/* The groups of a step: the n pairs sorted[first …] go to `expert`. */
typedef struct {
  int32_t *sorted, *expert, *first; /* [pairs], [pairs], [pairs + 1] */
  int32_t *n_groups;                /* [1] */
} Groups;

/* counts [E] of pairs become where each expert's first pair goes, and groups of up to `most` are listed. By
 * one thread. */
static __device__ void
list_groups (const Groups &g, int *counts, int E, int most)
{
  int pairs = 0, n = 0;

  for (int e = 0; e < E; e++) {
    const int count = counts[e];

    counts[e] = pairs;
    for (int i = 0; i < count; i += most, n++) {
      g.expert[n] = e;
      g.first[n] = pairs + i;
    }
    pairs += count;
  }
  g.first[n] = pairs;
  *g.n_groups = n;
}

KERNEL (THREADS)
sort_pairs (Groups g, const int32_t *ids, int pairs, int E, int most)
{
  DYNAMIC_SHARED (int, counts);

  for (int e = threadIdx.x; e < E; e += THREADS)
    counts[e] = 0;
  __syncthreads ();
  for (int i = threadIdx.x; i < pairs; i += THREADS)
    atomicAdd (&counts[ids[i]], 1);
  __syncthreads ();
  if (threadIdx.x == 0)
    list_groups (g, counts, E, most);
  __syncthreads ();
  for (int i = threadIdx.x; i < pairs; i += THREADS)
    g.sorted[atomicAdd (&counts[ids[i]], 1)] = i;
}

/* This lane's rows of a group: row r is row pair[r] / K of x; null past the end. */
template <int TILES>
static __device__ __forceinline__ void
group_rows (const float *(&row)[TILES], const float *x, int I, const int32_t *pair, int rows, int K)
{
#pragma unroll
  for (int j = 0; j < TILES; j++) {
    const int r = j * MMA_ROWS + threadIdx.x % WARP / 4;

    row[j] = r < rows ? x + (size_t) (pair[r] / K) * I : nullptr;
  }
}

/* This warp's slice of the group's products with MATRICES matrices; `shape` is a row of quantised ones. */
template <WeightType TYPE, int TILES, int MATRICES, bool ALIGNED>
static __device__ __forceinline__ void
multiply_group_slice (float (&sum)[MATRICES][TILES][4], const void *const (&matrix)[MATRICES],
    QuantisedRow shape, int O, int I, const float *const (&row)[TILES])
{
  using Element = typename std::conditional<TYPE == WEIGHT_BF16, __nv_bfloat16, uint8_t>::type;
  const Element *w[MATRICES];

#pragma unroll
  for (int k = 0; k < MATRICES; k++)
    w[k] = static_cast<const Element *> (matrix[k]);
  if constexpr (TYPE == WEIGHT_BF16)
    multiply_slice<TILES, MATRICES, ALIGNED> (sum, w, blockIdx.x * MMA_OUTPUTS, O, I, row);
  else
    multiply_slice_quantised<TYPE, TILES, MATRICES, ALIGNED> (sum, w, shape, blockIdx.x * MMA_OUTPUTS,
        O, I, row);
}

/* Two blocks on a multiprocessor: left to itself, ptxas aims at more of them and spills. */
#define GROUP_KERNEL static __global__ void __launch_bounds__ (THREADS, 2)

/* hidden = silu (gate x) · (up x) for a group's pairs. */
template <WeightType TYPE, int TILES, bool ALIGNED>
GROUP_KERNEL
hidden_group (Moe m, Groups g, QuantisedRow shape)
{
  __shared__ Sums gate, up;
  float sum[2][TILES][4] = {};

  if (blockIdx.y >= *g.n_groups) /* the whole block */
    return;
  const int first = g.first[blockIdx.y], rows = g.first[blockIdx.y + 1] - first,
            e = g.expert[blockIdx.y];
  const int32_t *pair = g.sorted + first;
  const void *const matrices[2] = { m.gate[e].data, m.up[e].data };
  const float *row[TILES];
  const int r = threadIdx.x / MMA_OUTPUTS, f = blockIdx.x * MMA_OUTPUTS + threadIdx.x % MMA_OUTPUTS;

  group_rows (row, m.x, m.D, pair, rows, m.K);
  multiply_group_slice<TYPE, TILES, 2, ALIGNED> (sum, matrices, shape, m.F, m.D, row);
#pragma unroll
  for (int j = 0; j < TILES; j++) {
    keep_slice (gate, sum[0][j]);
    keep_slice (up, sum[1][j]);
    __syncthreads ();
    if (r < MMA_ROWS && j * MMA_ROWS + r < rows && f < m.F)
      m.hidden[(size_t) pair[j * MMA_ROWS + r] * m.F + f] =
          __fmul_rn (silu (add_slices (gate, r, threadIdx.x % MMA_OUTPUTS)),
              add_slices (up, r, threadIdx.x % MMA_OUTPUTS));
    __syncthreads ();
  }
}

/* out [pairs, D] = down hidden */
template <WeightType TYPE, int TILES, bool ALIGNED>
GROUP_KERNEL
down_group (Moe m, Groups g, QuantisedRow shape, float *out)
{
  __shared__ Sums sums;
  float sum[1][TILES][4] = {};

  if (blockIdx.y >= *g.n_groups) /* the whole block */
    return;
  const int first = g.first[blockIdx.y], rows = g.first[blockIdx.y + 1] - first;
  const int32_t *pair = g.sorted + first;
  const void *const matrices[1] = { m.down[g.expert[blockIdx.y]].data };
  const float *row[TILES];
  const int r = threadIdx.x / MMA_OUTPUTS, d = blockIdx.x * MMA_OUTPUTS + threadIdx.x % MMA_OUTPUTS;

  group_rows (row, m.hidden, m.F, pair, rows, 1);
  multiply_group_slice<TYPE, TILES, 1, ALIGNED> (sum, matrices, shape, m.D, m.F, row);
#pragma unroll
  for (int j = 0; j < TILES; j++) {
    keep_slice (sums, sum[0][j]);
    __syncthreads ();
    if (r < MMA_ROWS && j * MMA_ROWS + r < rows && d < m.D)
      out[(size_t) pair[j * MMA_ROWS + r] * m.D + d] = add_slices (sums, r, threadIdx.x % MMA_OUTPUTS);
    __syncthreads ();
  }
}

KERNEL (THREADS)
add_pairs (Moe m, const float *out)
{
  const int t = blockIdx.x, d = blockIdx.y * THREADS + threadIdx.x;

  if (d < m.D) {
    float sum = m.y[(size_t) t * m.D + d];

    for (int pair = t * m.K; pair < (t + 1) * m.K; pair++)
      sum = __fmaf_rn (m.weights[pair], out[(size_t) pair * m.D + d], sum);
    m.y[(size_t) t * m.D + d] = sum;
  }
}

template <WeightType TYPE, int TILES, bool ALIGNED>
static void
run (Cuda *c, const Moe &m, int T, const Groups &g, float *out)
{
  const int pairs = T * m.K, most = TILES * MMA_ROWS;
  const int groups = pairs < m.E + pairs / most ? pairs : m.E + pairs / most; /* or fewer */
  const bool quantised = TYPE != WEIGHT_BF16;
  const QuantisedRow of_x = quantised ? quantised_row (TYPE, m.D) : QuantisedRow ();
  const QuantisedRow of_hidden = quantised ? quantised_row (TYPE, m.F) : QuantisedRow ();
  const char *what = "run moe_experts";

  launch (c, what, sort_pairs, pairs > 0, THREADS, m.E * sizeof (int), g, m.ids, pairs, m.E, most);
  launch (c, what, hidden_group<TYPE, TILES, ALIGNED>, dim3 (ceil_div (m.F, MMA_OUTPUTS), groups),
      THREADS, 0, m, g, of_x);
  launch (c, what, down_group<TYPE, TILES, ALIGNED>, dim3 (ceil_div (m.D, MMA_OUTPUTS), groups),
      THREADS, 0, m, g, of_hidden, out);
  launch (c, what, add_pairs, dim3 (T, ceil_div (m.D, THREADS)), THREADS, 0, m, out);
}

template <WeightType TYPE, int MANY>
static void
run_of_type (Cuda *c, const Moe &m, int T, const Groups &g, float *out, bool aligned)
{
  if (T * m.K > m.E * MMA_ROWS)
    aligned ? run<TYPE, MANY, true> (c, m, T, g, out) : run<TYPE, MANY, false> (c, m, T, g, out);
  else
    aligned ? run<TYPE, 1, true> (c, m, T, g, out) : run<TYPE, 1, false> (c, m, T, g, out);
}

void
moe_mma (Cuda *c, const Moe &m, int T, WeightType type, float *rest, bool aligned)
{
  const size_t pairs = (size_t) T * m.K;
  int32_t *ints = reinterpret_cast<int32_t *> (rest + pairs * m.D);
  const Groups g = { ints, ints + pairs, ints + 2 * pairs, ints + 3 * pairs + 1 };

  if (type == WEIGHT_INT8)
    run_of_type<WEIGHT_INT8, MANY_QUANTISED> (c, m, T, g, rest, aligned);
  else if (type == WEIGHT_INT4)
    run_of_type<WEIGHT_INT4, MANY_QUANTISED> (c, m, T, g, rest, aligned);
  else
    run_of_type<WEIGHT_BF16, MANY_TILES> (c, m, T, g, rest, aligned);
}
