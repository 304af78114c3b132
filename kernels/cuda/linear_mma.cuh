/* dsvl2: how the blocks of linear's kernels for the tensor cores are made, and how their sums get to y
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_LINEAR_MMA_CUH
#define DSVL2_LINEAR_MMA_CUH

#include "linear.cuh"
#include "mma.cuh"

/* Few rows: a block has MMA_OUTPUTS outputs and a warp for each slice. Many: TILE outputs and rows. */
enum { FEW_ROWS = 2 * MMA_ROWS, FEW_THREADS = SLICES * WARP };
enum { TILE = 64, MANY_THREADS = 128, ROUND_THREADS = 128 };

/* Of each tile of few rows this lane's, `t` in the first; null past the end. */
template <int TILES>
static __device__ __forceinline__ void
few_rows (const float *(&row)[TILES], const Product &p, int t, int head)
{
#pragma unroll
  for (int j = 0; j < TILES; j++, t += MMA_ROWS)
    row[j] = t < p.T ? p.x + (size_t) t * p.x_row + (size_t) head * p.x_head : nullptr;
}

/* Adds up the slices of few rows and writes them. By the whole block. */
template <int TILES>
static __device__ __forceinline__ void
write_few (const Product &p, Sums (&sums)[TILES], const float (&sum)[TILES][4], int first_o,
    int first_t, int head)
{
#pragma unroll
  for (int j = 0; j < TILES; j++)
    keep_slice (sums[j], sum[j]);
  __syncthreads ();
#pragma unroll 1
  for (int n = threadIdx.x; n < TILES * MMA_ROWS * MMA_OUTPUTS; n += FEW_THREADS) {
    const int r = n / MMA_OUTPUTS, t = first_t + r, o = first_o + n % MMA_OUTPUTS;
    float *y = p.y + (size_t) t * p.y_row + (size_t) head * p.y_head + o;

    if (t < p.T && o < p.O)
      *y = finish (add_slices (sums[r / MMA_ROWS], r % MMA_ROWS, n % MMA_OUTPUTS),
          p.bias ? p.bias + o : nullptr, y, p.epilogue);
  }
}

/* A tile's sums in shared memory, [rows, outputs]: on this way a warp writes outputs side by side. */
typedef float TileSums[TILE][TILE + 4];

/* By the whole block of `multiply_many`, after a barrier. */
static __device__ __forceinline__ void
write_tile (const Product &p, const TileSums sums)
{
  const int first_o = blockIdx.x * TILE, first_t = blockIdx.y * TILE;

#pragma unroll 1
  for (int n = threadIdx.x; n < TILE * TILE; n += MANY_THREADS) {
    const int row = first_t + n / TILE, output = first_o + n % TILE;
    float *y = p.y + (size_t) row * p.y_row + (size_t) blockIdx.z * p.y_head + output;

    if (row < p.T && output < p.O)
      *y = finish (sums[n / TILE][n % TILE], p.bias ? p.bias + output : nullptr, y, p.epilogue);
  }
}

#endif
