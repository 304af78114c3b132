/* dsvl2: how the blocks of linear's kernels for the tensor cores are made, and how their sums get to y
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_LINEAR_MMA_CUH
#define DSVL2_LINEAR_MMA_CUH

#include "linear.cuh"
#include "mma.cuh"

/* Few rows: a block has MMA_OUTPUTS outputs and a warp for each slice. Many: TILE outputs and rows. */
enum { FEW_ROWS = 2 * MMA_ROWS, FEW_THREADS = SLICES * WARP };
enum { TILE = 64, MANY_THREADS = 128, ROUND_THREADS = 128 };

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
