/* dsvl2: products of bf16 on the tensor cores, sums in float32: fragments, and the order of a sum
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weights are the instruction's A (16 outputs), rows of x its B (8 rows). A lane's part of a chunk of 32
 * inputs is the 8 that lie side by side in 16 bytes: which input stands in which place of the instruction
 * does not matter as long as both sides agree.
 *
 * Every kernel sums in one order, which depends on I alone: I is cut into SLICES slices of whole chunks, a
 * slice is summed from 0 on chunk by chunk, and then the slices are added up in turn. */
#ifndef DSVL2_MMA_CUH
#define DSVL2_MMA_CUH

#include "device.cuh"

enum { CHUNK = 32, SLICES = 8, MMA_OUTPUTS = 16, MMA_ROWS = 8, UNIT = 8 };

/* Inputs of one slice. */
static inline __host__ __device__ int
slice_inputs (int I)
{
  return (I + CHUNK * SLICES - 1) / (CHUNK * SLICES) * CHUNK;
}

/* The inputs of a row that is padded to whole chunks. */
static inline __host__ __device__ int
padded_inputs (int I)
{
  return (I + CHUNK - 1) / CHUNK * CHUNK;
}

/* sum += a chunk's products. Lane l has inputs l % 4 · 8 … of outputs l / 4 (low) and l / 4 + 8 (high), and
 * of row l / 4 of x. */
static __device__ __forceinline__ void
multiply_chunk (float sum[4], const uint4 &low, const uint4 &high, const uint4 &x)
{
  mma_16_8_16 (sum, low.x, high.x, low.y, high.y, x.x, x.y);
  mma_16_8_16 (sum, low.z, high.z, low.w, high.w, x.z, x.w);
}

static __device__ __forceinline__ unsigned
round_pair (float a, float b)
{
  const __nv_bfloat162 pair = __floats2bfloat162_rn (a, b);
  unsigned bits;

  memcpy (&bits, &pair, sizeof bits);
  return bits;
}

/* Inputs i … i + 7 of a row of I, rounded to bf16; 0 past the end. `aligned`: rows start at 16 bytes and
 * I is a multiple of 8. */
template <bool aligned>
static __device__ __forceinline__ uint4
load_rounded (const float *row, int i, int I)
{
  float v[UNIT];

  if (aligned) {
    if (i >= I)
      return make_uint4 (0, 0, 0, 0);
    load_eight (v, row + i);
  } else {
#pragma unroll
    for (int j = 0; j < UNIT; j++)
      v[j] = i + j < I ? row[i + j] : 0;
  }
  return make_uint4 (round_pair (v[0], v[1]), round_pair (v[2], v[3]), round_pair (v[4], v[5]),
      round_pair (v[6], v[7]));
}

static __device__ __forceinline__ unsigned
two_weights (const __nv_bfloat16 *row, int i, int I)
{
  const unsigned short *bits = reinterpret_cast<const unsigned short *> (row);

  return (i < I ? bits[i] : 0u) | (i + 1 < I ? (unsigned) bits[i + 1] << 16 : 0u);
}

/* The same of weights, which are read once and leave the cache to others. */
template <bool aligned>
static __device__ __forceinline__ uint4
load_weights (const __nv_bfloat16 *row, int i, int I)
{
  if (aligned)
    return i < I ? __ldcs (reinterpret_cast<const uint4 *> (row + i)) : make_uint4 (0, 0, 0, 0);
  return make_uint4 (two_weights (row, i, I), two_weights (row, i + 2, I), two_weights (row, i + 4, I),
      two_weights (row, i + 6, I));
}

/* --- slices ---------------------------------------------------------------------------------------- */

/* sum += a warp's slice of MATRICES products of 16 outputs, from `first_o` on, with up to TILES · 8 rows: lane l
 * has of tile j row[j], row l / 4 of the tile, or null. */
template <int TILES, int MATRICES, bool ALIGNED>
static __device__ __forceinline__ void
multiply_slice (float (&sum)[MATRICES][TILES][4], const __nv_bfloat16 *const (&w)[MATRICES],
    int first_o, int O, int I, const float *const (&row)[TILES])
{
  const int slice = threadIdx.x / WARP, group = threadIdx.x % WARP / 4, quarter = threadIdx.x % 4;
  const int from = slice * slice_inputs (I), to = min (from + slice_inputs (I), I);
  const size_t low = (size_t) min (first_o + group, O - 1) * I;
  const size_t high = (size_t) min (first_o + group + 8, O - 1) * I;

#pragma unroll(ALIGNED &&TILES *MATRICES <= 2 ? 4 : 1)
  for (int chunk = from; chunk < to; chunk += CHUNK) {
    const int i = chunk + UNIT * quarter;
    uint4 a[MATRICES], b[MATRICES];

#pragma unroll
    for (int k = 0; k < MATRICES; k++) {
      a[k] = load_weights<ALIGNED> (w[k] + low, i, I);
      b[k] = load_weights<ALIGNED> (w[k] + high, i, I);
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

/* One tile's sums of each slice, in shared memory; lanes of a group write to different banks. */
typedef float Sums[SLICES][MMA_ROWS][MMA_OUTPUTS + 4];

/* The fragment of this warp, which has the slice of its number, to shared memory. */
static __device__ __forceinline__ void
keep_slice (Sums sums, const float sum[4])
{
  const int lane = threadIdx.x % WARP, slice = threadIdx.x / WARP, group = lane / 4, quarter = lane % 4;

#pragma unroll
  for (int n = 0; n < 4; n++)
    sums[slice][quarter * 2 + n % 2][group + n / 2 * 8] = sum[n];
}

static __device__ __forceinline__ float
add_slices (const Sums sums, int row, int o)
{
  float total = 0;

#pragma unroll
  for (int s = 0; s < SLICES; s++)
    total += sums[s][row][o];
  return total;
}

#endif
