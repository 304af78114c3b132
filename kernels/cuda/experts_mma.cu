/* dsvl2: the routed experts on the tensor cores, inputs rounded to bf16
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pairs are sorted by expert into groups of up to 8 (few rows an expert) or 32 rows, on the device, so nothing
 * waits for the host. A block has 16 outputs of one group and a warp for each slice of the sum (mma.cuh): an
 * expert's weights are read once for a group. Then each row adds its experts up in slot order. A sum does
 * not depend on who shares a group. */
#include "experts.cuh"
#include "mma.cuh"

enum { THREADS = SLICES * WARP, MANY_TILES = 4 };

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

/* A warp's slice of MATRICES products of 16 outputs with the rows of a group. Row r of x is that of pair
 * pair[r], K pairs to a row. */
template <int TILES, int MATRICES, bool ALIGNED>
static __device__ __forceinline__ void
multiply_slice (float sum[MATRICES][TILES][4], const Matrix *const m[MATRICES], int O, int I,
    const float *x, const int32_t *pair, int rows, int K)
{
  const int lane = threadIdx.x % WARP, slice = threadIdx.x / WARP, group = lane / 4, quarter = lane % 4;
  const int from = slice * slice_inputs (I), to = min (from + slice_inputs (I), I);
  const size_t low = (size_t) min ((int) blockIdx.x * MMA_OUTPUTS + group, O - 1) * I;
  const size_t high = (size_t) min ((int) blockIdx.x * MMA_OUTPUTS + group + 8, O - 1) * I;
  const float *row[TILES];

#pragma unroll
  for (int j = 0; j < TILES; j++) {
    const int r = j * MMA_ROWS + group;

    row[j] = r < rows ? x + (size_t) (pair[r] / K) * I : nullptr;
  }
#pragma unroll(ALIGNED &&TILES == 1 ? 4 : 1)
  for (int chunk = from; chunk < to; chunk += CHUNK) {
    const int i = chunk + UNIT * quarter;
    uint4 a[MATRICES], b[MATRICES];

#pragma unroll
    for (int k = 0; k < MATRICES; k++) {
      const __nv_bfloat16 *w = static_cast<const __nv_bfloat16 *> (m[k]->data);

      a[k] = load_weights<ALIGNED> (w + low, i, I);
      b[k] = load_weights<ALIGNED> (w + high, i, I);
    }
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      uint4 v = make_uint4 (0, 0, 0, 0);

      if (row[j])
        v = load_rounded<ALIGNED> (row[j], i, I);
#pragma unroll
      for (int k = 0; k < MATRICES; k++)
        multiply_chunk (sum[k][j], a[k], b[k], v);
    }
  }
}

/* Two blocks on a multiprocessor: left to itself, ptxas aims at more of them and spills. */
#define GROUP_KERNEL static __global__ void __launch_bounds__ (THREADS, 2)

/* hidden = silu (gate x) · (up x) for a group's pairs. */
template <int TILES, bool ALIGNED>
GROUP_KERNEL
hidden_group (Moe m, Groups g)
{
  __shared__ Sums gate, up;
  float sum[2][TILES][4] = {};

  if (blockIdx.y >= *g.n_groups) /* the whole block */
    return;
  const int first = g.first[blockIdx.y], rows = g.first[blockIdx.y + 1] - first,
            e = g.expert[blockIdx.y];
  const int32_t *pair = g.sorted + first;
  const Matrix *const matrices[2] = { &m.gate[e], &m.up[e] };
  const int r = threadIdx.x / MMA_OUTPUTS, f = blockIdx.x * MMA_OUTPUTS + threadIdx.x % MMA_OUTPUTS;

  multiply_slice<TILES, 2, ALIGNED> (sum, matrices, m.F, m.D, m.x, pair, rows, m.K);
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
template <int TILES, bool ALIGNED>
GROUP_KERNEL
down_group (Moe m, Groups g, float *out)
{
  __shared__ Sums sums;
  float sum[1][TILES][4] = {};

  if (blockIdx.y >= *g.n_groups) /* the whole block */
    return;
  const int first = g.first[blockIdx.y], rows = g.first[blockIdx.y + 1] - first;
  const int32_t *pair = g.sorted + first;
  const Matrix *const matrices[1] = { &m.down[g.expert[blockIdx.y]] };
  const int r = threadIdx.x / MMA_OUTPUTS, d = blockIdx.x * MMA_OUTPUTS + threadIdx.x % MMA_OUTPUTS;

  multiply_slice<TILES, 1, ALIGNED> (sum, matrices, m.D, m.F, m.hidden, pair, rows, 1);
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

template <int TILES, bool ALIGNED>
static void
run (Cuda *c, const Moe &m, int T, const Groups &g, float *out)
{
  const int pairs = T * m.K, most = TILES * MMA_ROWS;
  const int groups = pairs < m.E + pairs / most ? pairs : m.E + pairs / most; /* or fewer */
  const char *what = "run moe_experts";

  launch (c, what, sort_pairs, pairs > 0, THREADS, m.E * sizeof (int), g, m.ids, pairs, m.E, most);
  launch (c, what, hidden_group<TILES, ALIGNED>, dim3 (ceil_div (m.F, MMA_OUTPUTS), groups), THREADS, 0,
      m, g);
  launch (c, what, down_group<TILES, ALIGNED>, dim3 (ceil_div (m.D, MMA_OUTPUTS), groups), THREADS, 0,
      m, g, out);
  launch (c, what, add_pairs, dim3 (T, ceil_div (m.D, THREADS)), THREADS, 0, m, out);
}

void
moe_mma (Cuda *c, const Moe &m, int T, float *rest, bool aligned)
{
  const size_t pairs = (size_t) T * m.K;
  int32_t *ints = reinterpret_cast<int32_t *> (rest + pairs * m.D);
  const Groups g = { ints, ints + pairs, ints + 2 * pairs, ints + 3 * pairs + 1 };

  if (pairs > (size_t) m.E * MMA_ROWS)
    aligned ? run<MANY_TILES, true> (c, m, T, g, rest) : run<MANY_TILES, false> (c, m, T, g, rest);
  else
    aligned ? run<1, true> (c, m, T, g, rest) : run<1, false> (c, m, T, g, rest);
}
