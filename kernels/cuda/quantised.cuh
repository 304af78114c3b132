/* dsvl2: rows times quantised weights, dequantised in registers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A warp has one output of each of MATRICES matrices. Its lanes take a unit of 16 bytes of codes each, 16 or 32
 * inputs, all of one group: the unit's sum is multiplied by the group's scale. A block's warps share x, which
 * goes through shared memory a chunk at a time, since a lane reads neighbours of it where coalesced reading
 * wants lanes side by side. The order of a sum depends on I alone. */
#ifndef DSVL2_QUANTISED_CUH
#define DSVL2_QUANTISED_CUH

#include "device.cuh"

enum {
  Q_THREADS = 256,
  Q_WARPS = Q_THREADS / WARP,
  Q_CHUNK = 1024,
  Q_LINE = WEIGHT_GROUP / 4 + 1, /* float4s of a group, and one more: lanes meet different banks */
};

/* Two blocks on a multiprocessor, at least: left to itself, ptxas aims at more of them and spills. */
#define Q_KERNEL static __global__ void __launch_bounds__ (Q_THREADS, 2)

/* A quantised matrix: bytes of a row, and of the codes that it begins with. */
typedef struct {
  int row_bytes, code_bytes;
} QuantisedRow;

static inline QuantisedRow
quantised_row (WeightType type, int I)
{
  const Weight w = { nullptr, type, 1, I };
  QuantisedRow row;

  row.row_bytes = (int) weight_row_bytes (&w);
  row.code_bytes = (int) weight_code_bytes (type, I);
  return row;
}

template <WeightType TYPE> struct Unit {
  static const int inputs = TYPE == WEIGHT_INT8 ? 16 : 32;
};

/* A chunk of one row of x. */
typedef float4 QuantisedChunk[Q_CHUNK / WEIGHT_GROUP][Q_LINE];

/* Byte n of `bytes` less `zero`, without the slow conversion: it becomes the end of 2²³'s digits. */
static __device__ __forceinline__ float
byte_to_float (unsigned bytes, int n, int zero)
{
  return __uint_as_float (__byte_perm (bytes, 0x4b000000, 0x7440 | n)) - (float) ((1 << 23) + zero);
}

/* The codes of a unit, in order. */
static __device__ __forceinline__ void
unpack (float (&v)[16], const uint4 &codes)
{
  const unsigned word[4] = { codes.x, codes.y, codes.z, codes.w };

#pragma unroll
  for (int i = 0; i < 16; i++)
    v[i] = byte_to_float (word[i / 4] ^ 0x80808080, i % 4, 128);
}

static __device__ __forceinline__ void
unpack (float (&v)[32], const uint4 &codes)
{
  const unsigned word[4] = { codes.x, codes.y, codes.z, codes.w };

#pragma unroll
  for (int i = 0; i < 16; i++) {
    v[i] = byte_to_float (word[i / 4] & 0x0f0f0f0f, i % 4, 8);
    v[i + 16] = byte_to_float (word[i / 4] >> 4 & 0x0f0f0f0f, i % 4, 8);
  }
}

/* Inputs chunk … of a row of x to shared memory, zeros past the end, by the whole block. */
static __device__ __forceinline__ void
share_chunk (QuantisedChunk to, const float *x, int chunk, int I)
{
  const int n = min (Q_CHUNK, (I - chunk + WEIGHT_GROUP - 1) / WEIGHT_GROUP * WEIGHT_GROUP);

#pragma unroll 1
  for (int i = threadIdx.x; i < n; i += Q_THREADS)
    reinterpret_cast<float *> (to[i / WEIGHT_GROUP])[i % WEIGHT_GROUP] =
        chunk + i < I ? x[chunk + i] : 0;
}

/* sum[m][r] += this lane's part of x[r] · w[m] in a chunk, w[m] being a row of a matrix. */
template <WeightType TYPE, int ROWS, int MATRICES>
static __device__ __forceinline__ void
multiply_chunk (float (&sum)[MATRICES][ROWS], const uint8_t *const (&w)[MATRICES], QuantisedRow shape,
    const QuantisedChunk *x, int chunk, int I)
{
  enum { INPUTS = Unit<TYPE>::inputs };

  for (int i = threadIdx.x % WARP * INPUTS; i < min (Q_CHUNK, I - chunk); i += WARP * INPUTS) {
    const int group = (chunk + i) / WEIGHT_GROUP, begin = i % WEIGHT_GROUP / 4;

#pragma unroll
    for (int m = 0; m < MATRICES; m++) {
      const uint4 codes = __ldcs (reinterpret_cast<const uint4 *> (w[m] + (size_t) (chunk + i) /
                                                                              INPUTS * sizeof (uint4)));
      const float scale =
          to_float (reinterpret_cast<const __nv_bfloat16 *> (w[m] + shape.code_bytes)[group]);
      float v[INPUTS];

      unpack (v, codes);
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        const float4 *row = &x[r][i / WEIGHT_GROUP][begin];
        float dot = 0;

#pragma unroll
        for (int j = 0; j < INPUTS; j += 4) {
          const float4 a = row[j / 4];

          dot = __fmaf_rn (a.x, v[j], dot);
          dot = __fmaf_rn (a.y, v[j + 1], dot);
          dot = __fmaf_rn (a.z, v[j + 2], dot);
          dot = __fmaf_rn (a.w, v[j + 3], dot);
        }
        sum[m][r] = __fmaf_rn (dot, scale, sum[m][r]);
      }
    }
  }
}

/* The whole product, for each lane its part: by the whole block, whose x [ROWS] are rows of I. */
template <WeightType TYPE, int ROWS, int MATRICES>
static __device__ __forceinline__ void
multiply_quantised (float (&sum)[MATRICES][ROWS], const uint8_t *const (&w)[MATRICES],
    QuantisedRow shape, const float *const (&x)[ROWS], QuantisedChunk *shared, int I)
{
  for (int chunk = 0; chunk < I; chunk += Q_CHUNK) {
#pragma unroll
    for (int r = 0; r < ROWS; r++)
      share_chunk (shared[r], x[r], chunk, I);
    __syncthreads ();
    multiply_chunk<TYPE> (sum, w, shape, shared, chunk, I);
    __syncthreads ();
  }
}

#endif
