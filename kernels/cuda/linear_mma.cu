/* dsvl2: linear and linear_heads on the tensor cores, inputs rounded to bf16
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Two kernels that give a row the same bits (mma.cuh says how). Few rows: a block has 16 outputs and a warp
 * for each slice of I, so that even a narrow matrix is read by the whole device, once, straight into
 * registers. Many rows: x is rounded first, then blocks of 64 outputs and 64 rows go along I with four
 * stages of shared memory on their way. */
#include "linear_mma.cuh"

/* --- few rows ------------------------------------------------------------------------------------ */

template <int TILES, bool ALIGNED> KERNEL (FEW_THREADS) multiply_few (Product p, const __nv_bfloat16 *w)
{
  __shared__ Sums sums[TILES];
  const int group = threadIdx.x % WARP / 4, head = blockIdx.z;
  const int first_o = blockIdx.x * MMA_OUTPUTS, first_t = blockIdx.y * TILES * MMA_ROWS;
  const __nv_bfloat16 *const matrix[1] = { w + (size_t) head * p.O * p.I };
  const float *row[TILES];
  float sum[1][TILES][4] = {};

  few_rows (row, p, first_t + group, head);
  multiply_slice<TILES, 1, ALIGNED> (sum, matrix, first_o, p.O, p.I, row);
  write_few (p, sums, sum[0], first_o, first_t, head);
}

/* --- many rows ----------------------------------------------------------------------------------- */

enum { STAGES = 4, WARP_TILE = 32 };

/* A chunk of a block's weights and rows. */
typedef struct {
  uint4 w[TILE][CHUNK / UNIT], x[TILE][CHUNK / UNIT];
} Stage;

/* to [H, T, padded_inputs (I)] ← x, zeros at the end */
template <bool ALIGNED> KERNEL (ROUND_THREADS) round_rows (uint4 *to, Product p)
{
  const int t = blockIdx.x, head = blockIdx.y, units = padded_inputs (p.I) / UNIT;
  const float *x = p.x + (size_t) t * p.x_row + (size_t) head * p.x_head;

#pragma unroll 1
  for (int i = threadIdx.x; i < units; i += ROUND_THREADS)
    to[((size_t) head * p.T + t) * units + i] = load_rounded<ALIGNED> (x, i * UNIT, p.I);
}

/* Begins to copy a chunk: each thread a quarter of every 32nd row. */
template <bool ALIGNED>
static __device__ __forceinline__ void
fetch_chunk (Stage *stage, const Product &p, const __nv_bfloat16 *w, const __nv_bfloat16 *x, int chunk)
{
  const int unit = threadIdx.x % 4, i = chunk * CHUNK + unit * UNIT, width = padded_inputs (p.I);

#pragma unroll
  for (int r = threadIdx.x / 4; r < TILE; r += MANY_THREADS / 4) {
    const int o = min ((int) blockIdx.x * TILE + r, p.O - 1),
              t = min ((int) blockIdx.y * TILE + r, p.T - 1);
    const __nv_bfloat16 *row = w + (size_t) o * p.I;

    if (ALIGNED)
      copy_async (&stage->w[r][unit], i < p.I ? row + i : row, i < p.I);
    else
      stage->w[r][unit] = load_weights<false> (row, i, p.I);
    copy_async (&stage->x[r][unit], x + (size_t) t * width + i, true);
  }
}

/* A warp has 32 outputs and 32 rows. */
static __device__ __forceinline__ void
multiply_stage (float sum[2][4][4], const Stage *stage)
{
  const int warp = threadIdx.x / WARP, group = threadIdx.x % WARP / 4, quarter = threadIdx.x % 4;
  const int o = warp % 2 * WARP_TILE + group, t = warp / 2 * WARP_TILE + group;
  const uint4 low[2] = { stage->w[o][quarter], stage->w[o + 16][quarter] };
  const uint4 high[2] = { stage->w[o + 8][quarter], stage->w[o + 24][quarter] };

#pragma unroll
  for (int j = 0; j < 4; j++) {
    const uint4 x = stage->x[t + 8 * j][quarter];

    multiply_chunk (sum[0][j], low[0], high[0], x);
    multiply_chunk (sum[1][j], low[1], high[1], x);
  }
}

static __device__ __forceinline__ void
end_slice (float total[2][4][4], float sum[2][4][4])
{
#pragma unroll
  for (int m = 0; m < 2; m++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int n = 0; n < 4; n++) {
        total[m][j][n] += sum[m][j][n];
        sum[m][j][n] = 0;
      }
}

static __device__ __forceinline__ void
store_tile (const Product &p, Stage *stages, const float total[2][4][4])
{
  float (*sums)[TILE + 4] = reinterpret_cast<float (*)[TILE + 4]> (stages);
  const int warp = threadIdx.x / WARP, group = threadIdx.x % WARP / 4, quarter = threadIdx.x % 4;
  const int o = warp % 2 * WARP_TILE + group, t = warp / 2 * WARP_TILE + quarter * 2;

  static_assert (sizeof (TileSums) <= STAGES * sizeof (Stage), "a tile fits the stages");
#pragma unroll
  for (int m = 0; m < 2; m++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int n = 0; n < 4; n++)
        sums[t + 8 * j + n % 2][o + 16 * m + n / 2 * 8] = total[m][j][n];
  __syncthreads ();
  write_tile (p, sums);
}

template <bool ALIGNED>
KERNEL (MANY_THREADS)
multiply_many (Product p, const __nv_bfloat16 *w, const __nv_bfloat16 *x)
{
  __shared__ Stage stages[STAGES];
  const int chunks = padded_inputs (p.I) / CHUNK, per_slice = slice_inputs (p.I) / CHUNK;
  float total[2][4][4] = {}, sum[2][4][4] = {};
  int left = per_slice; /* of the slice */

  w += (size_t) blockIdx.z * p.O * p.I;
  x += (size_t) blockIdx.z * p.T * padded_inputs (p.I);
#pragma unroll
  for (int chunk = 0; chunk < STAGES - 1; chunk++) {
    if (chunk < chunks)
      fetch_chunk<ALIGNED> (&stages[chunk], p, w, x, chunk);
    close_group ();
  }
  for (int chunk = 0; chunk < chunks; chunk++) {
    const int next = chunk + STAGES - 1;

    wait_groups<STAGES - 2> ();
    __syncthreads ();
    if (next < chunks)
      fetch_chunk<ALIGNED> (&stages[next % STAGES], p, w, x, next);
    close_group ();
    multiply_stage (sum, &stages[chunk % STAGES]);
    if (--left == 0 || chunk == chunks - 1) {
      end_slice (total, sum);
      left = per_slice;
    }
  }
  wait_groups<0> ();
  __syncthreads (); /* nobody needs the stages any more */
  store_tile (p, stages, total);
}

/* --- which -------------------------------------------------------------------------------------- */

template <bool ALIGNED>
static void
run_few (Cuda *c, const Product &p, const __nv_bfloat16 *w, int H)
{
  const int tiles = p.T > MMA_ROWS ? 2 : 1;
  const dim3 grid (ceil_div (p.O, MMA_OUTPUTS), ceil_div (p.T, tiles * MMA_ROWS), H);

  launch (c, "run linear", tiles == 2 ? multiply_few<2, ALIGNED> : multiply_few<1, ALIGNED>, grid,
      FEW_THREADS, 0, p, w);
}

template <bool ALIGNED>
static void
run_many (Cuda *c, const Product &p, const __nv_bfloat16 *w, int H)
{
  const size_t bytes = (size_t) H * p.T * padded_inputs (p.I) * sizeof (__nv_bfloat16);
  void *rounded = buffer_on_device (c, &c->rounded, bytes);

  if (!rounded) {
    cuda_check (c, cudaErrorMemoryAllocation, "get memory for linear");
    return;
  }
  launch (c, "run linear", round_rows<ALIGNED>, dim3 (p.T, H), ROUND_THREADS, 0,
      static_cast<uint4 *> (rounded), p);
  launch (c, "run linear", multiply_many<ALIGNED>, dim3 (ceil_div (p.O, TILE), ceil_div (p.T, TILE), H),
      MANY_THREADS, 0, p, w, static_cast<const __nv_bfloat16 *> (rounded));
}

bool
linear_mma (Cuda *c, const Product &p, const Weight *w, int H)
{
  const __nv_bfloat16 *data = static_cast<const __nv_bfloat16 *> (w->data);
  const bool aligned = product_aligned (p, w);

  if (!c->bf16 || w->type != WEIGHT_BF16)
    return false;
  if (p.T <= FEW_ROWS)
    aligned ? run_few<true> (c, p, data, H) : run_few<false> (c, p, data, H);
  else
    aligned ? run_many<true> (c, p, data, H) : run_many<false> (c, p, data, H);
  return true;
}
