/* dsvl2: linear with quantised weights on the tensor cores, inputs rounded to bf16
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * As linear_mma.cu two kernels that give a row the same bits: few rows read codes straight into registers
 * (quantised_mma.cuh), many rows go along I in stages of two groups, with codes and rounded rows in shared memory.
 * There a warp has 16 outputs and all 64 rows of the tile, so that a block makes bf16 of each code once. */
#include "linear_mma.cuh"
#include "quantised_mma.cuh"

/* --- few rows ------------------------------------------------------------------------------------ */

template <WeightType TYPE, int TILES, bool ALIGNED>
static __global__ void
__launch_bounds__ (FEW_THREADS, 2) multiply_few (Product p, const uint8_t *w, QuantisedRow shape)
{
  __shared__ Sums sums[TILES];
  const int group = threadIdx.x % WARP / 4;
  const int first_o = blockIdx.x * MMA_OUTPUTS, first_t = blockIdx.y * TILES * MMA_ROWS;
  const uint8_t *const matrix[1] = { w };
  const float *row[TILES];
  float sum[1][TILES][4] = {};

  few_rows (row, p, first_t + group, 0);
  multiply_slice_quantised<TYPE, TILES, 1, ALIGNED> (sum, matrix, shape, first_o, p.O, p.I, row);
  write_few (p, sums, sum[0], first_o, first_t, 0);
}

/* --- many rows ----------------------------------------------------------------------------------- */

enum { STAGES = 3, STAGE_CHUNKS = 2, ROW_TILES = TILE / MMA_ROWS };
enum { SCALES = 8 }; /* groups whose scales are 16 bytes: those of four stages */

template <WeightType TYPE> struct Stage {
  uint4 x[STAGE_CHUNKS][TILE][CHUNK / UNIT];
  uint4 codes[STAGE_CHUNKS][TILE][Codes<TYPE>::bytes / sizeof (uint4)];
};

/* Of scales the stages that are multiplied and the next ones need two blocks at most. */
template <WeightType TYPE> struct Shared {
  Stage<TYPE> stage[STAGES];
  uint4 scales[2][TILE];
};

/* to [T, padded_inputs (I)] ← x as the lanes of the instruction want it, zeros at the end */
template <WeightType TYPE, bool ALIGNED> KERNEL (ROUND_THREADS) round_rows (uint4 *to, Product p)
{
  enum { UNITS = CHUNK / UNIT };
  const int units = padded_inputs (p.I) / UNIT;
  const float *x = p.x + (size_t) blockIdx.x * p.x_row;

#pragma unroll 1
  for (int i = threadIdx.x; i < units; i += ROUND_THREADS)
    to[(size_t) blockIdx.x * units + i] =
        load_runs<TYPE, ALIGNED> (x, i / UNITS * CHUNK, i % UNITS, p.I);
}

/* Begins to copy stage n of the product. */
template <WeightType TYPE>
static __device__ __forceinline__ void
fetch_stage (Shared<TYPE> *shared, const Product &p, const uint8_t *w, QuantisedRow shape,
    const uint4 *x, int n)
{
  enum { X_UNITS = CHUNK / UNIT, PIECES = Codes<TYPE>::bytes / sizeof (uint4) };
  Stage<TYPE> *stage = &shared->stage[n % STAGES];
  const int first = n * STAGE_CHUNKS, chunks = padded_inputs (p.I) / CHUNK;

#pragma unroll
  for (int i = threadIdx.x; i < TILE * STAGE_CHUNKS * X_UNITS; i += MANY_THREADS) {
    const int r = i / (STAGE_CHUNKS * X_UNITS), half = i / X_UNITS % STAGE_CHUNKS, unit = i % X_UNITS;
    const int t = min ((int) blockIdx.y * TILE + r, p.T - 1);

    if (first + half < chunks)
      copy_async (&stage->x[half][r][unit], x + ((size_t) t * chunks + first + half) * X_UNITS + unit,
          true);
  }
#pragma unroll
  for (int i = threadIdx.x; i < TILE * STAGE_CHUNKS * PIECES; i += MANY_THREADS) {
    const int r = i / (STAGE_CHUNKS * PIECES), half = i / PIECES % STAGE_CHUNKS, piece = i % PIECES;
    const int o = min ((int) blockIdx.x * TILE + r, p.O - 1);

    if (first + half < chunks)
      copy_async (&stage->codes[half][r][piece],
          w + (size_t) o * shape.row_bytes + (first + half) * Codes<TYPE>::bytes +
              piece * sizeof (uint4),
          true);
  }
  if (first % SCALES == 0 && threadIdx.x < TILE) {
    const int o = min ((int) (blockIdx.x * TILE + threadIdx.x), p.O - 1);

    copy_async (&shared->scales[first / SCALES % 2][threadIdx.x],
        w + (size_t) o * shape.row_bytes + shape.code_bytes + first * sizeof (__nv_bfloat16), true);
  }
}

/* A warp has 16 outputs. */
template <WeightType TYPE>
static __device__ __forceinline__ void
multiply_shared (float sum[ROW_TILES][4], const Shared<TYPE> &shared, int chunk)
{
  enum { WORDS = Codes<TYPE>::words };
  const Stage<TYPE> &stage = shared.stage[chunk / STAGE_CHUNKS % STAGES];
  const uint4 *scales = shared.scales[chunk / SCALES % 2];
  const int group = threadIdx.x % WARP / 4, quarter = threadIdx.x % 4, half = chunk % STAGE_CHUNKS;
  const int o = threadIdx.x / WARP * MMA_OUTPUTS + group;
  unsigned low[WORDS], high[WORDS];

  memcpy (low, reinterpret_cast<const unsigned *> (stage.codes[half][o]) + quarter * WORDS, sizeof low);
  memcpy (high, reinterpret_cast<const unsigned *> (stage.codes[half][o + 8]) + quarter * WORDS,
      sizeof high);
  const uint4 a = fragment (low), b = fragment (high);
  const float scale_low =
      to_float (reinterpret_cast<const __nv_bfloat16 *> (&scales[o])[chunk % SCALES]);
  const float scale_high =
      to_float (reinterpret_cast<const __nv_bfloat16 *> (&scales[o + 8])[chunk % SCALES]);

#pragma unroll
  for (int j = 0; j < ROW_TILES; j++)
    multiply_group (sum[j], a, b, stage.x[half][j * MMA_ROWS + group][quarter], scale_low, scale_high);
}

static __device__ __forceinline__ void
end_slice (float total[ROW_TILES][4], float sum[ROW_TILES][4])
{
#pragma unroll
  for (int j = 0; j < ROW_TILES; j++)
#pragma unroll
    for (int n = 0; n < 4; n++) {
      total[j][n] += sum[j][n];
      sum[j][n] = 0;
    }
}

static __device__ __forceinline__ void
store_tile (const Product &p, void *shared, const float total[ROW_TILES][4])
{
  float (*sums)[TILE + 4] = static_cast<float (*)[TILE + 4]> (shared);
  const int group = threadIdx.x % WARP / 4, quarter = threadIdx.x % 4;
  const int o = threadIdx.x / WARP * MMA_OUTPUTS + group;

#pragma unroll
  for (int j = 0; j < ROW_TILES; j++)
#pragma unroll
    for (int n = 0; n < 4; n++)
      sums[j * MMA_ROWS + quarter * 2 + n % 2][o + n / 2 * 8] = total[j][n];
  __syncthreads ();
  write_tile (p, sums);
}

template <WeightType TYPE>
KERNEL (MANY_THREADS)
multiply_many (Product p, const uint8_t *w, QuantisedRow shape, const uint4 *x)
{
  __shared__ Shared<TYPE> shared;
  const int chunks = padded_inputs (p.I) / CHUNK, per_slice = slice_inputs (p.I) / CHUNK;
  const int stages = (chunks + STAGE_CHUNKS - 1) / STAGE_CHUNKS;
  float total[ROW_TILES][4] = {}, sum[ROW_TILES][4] = {};
  int left = per_slice; /* of the slice */

  static_assert (sizeof (TileSums) <= sizeof shared.stage, "a tile fits the stages");
#pragma unroll
  for (int n = 0; n < STAGES - 1; n++) {
    if (n < stages)
      fetch_stage (&shared, p, w, shape, x, n);
    close_group ();
  }
  for (int n = 0; n < stages; n++) {
    wait_groups<STAGES - 2> ();
    __syncthreads ();
    if (n + STAGES - 1 < stages)
      fetch_stage (&shared, p, w, shape, x, n + STAGES - 1);
    close_group ();
#pragma unroll 1
    for (int chunk = n * STAGE_CHUNKS; chunk < min (chunks, (n + 1) * STAGE_CHUNKS); chunk++) {
      multiply_shared (sum, shared, chunk);
      if (--left == 0 || chunk == chunks - 1) {
        end_slice (total, sum);
        left = per_slice;
      }
    }
  }
  wait_groups<0> ();
  __syncthreads (); /* nobody needs the stages any more */
  store_tile (p, shared.stage, total);
}

/* --- which -------------------------------------------------------------------------------------- */

template <WeightType TYPE, bool ALIGNED>
static void
run_few (Cuda *c, const Product &p, const uint8_t *w)
{
  const int tiles = p.T > MMA_ROWS ? 2 : 1;
  const dim3 grid (ceil_div (p.O, MMA_OUTPUTS), ceil_div (p.T, tiles * MMA_ROWS));

  launch (c, "run linear", tiles == 2 ? multiply_few<TYPE, 2, ALIGNED> : multiply_few<TYPE, 1, ALIGNED>,
      grid, FEW_THREADS, 0, p, w, quantised_row (TYPE, p.I));
}

template <WeightType TYPE, bool ALIGNED>
static void
run_many (Cuda *c, const Product &p, const uint8_t *w)
{
  const size_t bytes = (size_t) p.T * padded_inputs (p.I) * sizeof (__nv_bfloat16);
  uint4 *rounded = static_cast<uint4 *> (buffer_on_device (c, &c->rounded, bytes));

  if (!rounded) {
    cuda_check (c, cudaErrorMemoryAllocation, "get memory for linear");
    return;
  }
  launch (c, "run linear", round_rows<TYPE, ALIGNED>, dim3 (p.T), ROUND_THREADS, 0, rounded, p);
  launch (c, "run linear", multiply_many<TYPE>, dim3 (ceil_div (p.O, TILE), ceil_div (p.T, TILE)),
      MANY_THREADS, 0, p, w, quantised_row (TYPE, p.I), static_cast<const uint4 *> (rounded));
}

template <WeightType TYPE>
static void
run (Cuda *c, const Product &p, const Weight *w)
{
  const uint8_t *data = static_cast<const uint8_t *> (w->data);
  const bool aligned = product_aligned (p, w);

  if (p.T <= FEW_ROWS)
    aligned ? run_few<TYPE, true> (c, p, data) : run_few<TYPE, false> (c, p, data);
  else
    aligned ? run_many<TYPE, true> (c, p, data) : run_many<TYPE, false> (c, p, data);
}

void
linear_quantised_mma (Cuda *c, const Product &p, const Weight *w)
{
  w->type == WEIGHT_INT8 ? run<WEIGHT_INT8> (c, p, w) : run<WEIGHT_INT4> (c, p, w);
}
