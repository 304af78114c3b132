/* dsvl2: quantised weights as the tensor cores' fragments, and slices of their products
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A chunk (mma.cuh) is a group of weights. Codes become bf16 in registers, which has room for all of them; a
 * group's products are summed from 0 on, and that sum times the group's scale is added to the slice's: only x is
 * rounded. A lane's eight inputs of a chunk are two runs of four, for INT8 side by side, for INT4 sixteen apart,
 * as its bytes have them.
 *
 * Reading memory straight into registers, a lane wants 16 bytes at a time, which are more of one group than the
 * instruction takes from it, and less of the others. So four lanes read 64 bytes of an output's codes, a span of
 * two or four groups, and exchange words until each has its part of every group. */
#ifndef DSVL2_QUANTISED_MMA_CUH
#define DSVL2_QUANTISED_MMA_CUH

#include "mma.cuh"
#include "quantised.cuh"

static_assert ((int) CHUNK == (int) WEIGHT_GROUP, "a chunk has one scale");

template <WeightType TYPE> struct Codes {
  static const int run =
      TYPE == WEIGHT_INT8 ? 8 : 4; /* inputs from a lane's first to the next lane's */
  static const int second = TYPE == WEIGHT_INT8 ? 4 : 16; /* … to the first of its second run */
  static const int bytes = TYPE == WEIGHT_INT8 ? 32 : 16; /* of a group */
  static const int words = TYPE == WEIGHT_INT8 ? 2 : 1;   /* a lane's, of a group */
  static const int groups = 4 / words;                    /* of a span */
};

/* --- x ------------------------------------------------------------------------------------------- */

template <bool ALIGNED>
static __device__ __forceinline__ uint2
load_four (const float *row, int i, int I)
{
  float v[4] = {};

  if (ALIGNED) {
    if (i < I) {
      const float4 all = *reinterpret_cast<const float4 *> (row + i);

      v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
    }
  } else {
#pragma unroll
    for (int j = 0; j < 4; j++)
      v[j] = i + j < I ? row[i + j] : 0;
  }
  return make_uint2 (round_pair (v[0], v[1]), round_pair (v[2], v[3]));
}

/* A lane's inputs of the chunk that begins at input `chunk` of a row of I, rounded; 0 past the end. */
template <WeightType TYPE, bool ALIGNED>
static __device__ __forceinline__ uint4
load_runs (const float *row, int chunk, int quarter, int I)
{
  const int first = chunk + quarter * Codes<TYPE>::run;
  const uint2 a = load_four<ALIGNED> (row, first, I);
  const uint2 b = load_four<ALIGNED> (row, first + Codes<TYPE>::second, I);

  return make_uint4 (a.x, a.y, b.x, b.y);
}

/* --- codes --------------------------------------------------------------------------------------- */

/* a − b of two numbers in bf16. */
static __device__ __forceinline__ unsigned
subtract_pair (unsigned a, unsigned b)
{
  __nv_bfloat162 x, y;
  unsigned bits;

  memcpy (&x, &a, sizeof x);
  memcpy (&y, &b, sizeof y);
  x = __hsub2 (x, y);
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

enum { BF16_128 = 0x43004300, BYTES_0_1 = 0x4140, BYTES_2_3 = 0x4342 };

/* Two codes of INT8 to bf16. The low seven bits are the end of 128's digits; to take are 128, or, where the sign
 * bit is set, 256, whose exponent has that bit set too. */
static __device__ __forceinline__ unsigned
signed_pair (unsigned codes, unsigned which)
{
  const unsigned both = __byte_perm (codes, BF16_128 >> 8, which);

  return subtract_pair (both & 0xff7fff7f, both & 0xff80ff80);
}

/* Two codes of INT4, in bytes: 128 + 8 + code to bf16. */
static __device__ __forceinline__ unsigned
nibble_pair (unsigned codes, unsigned which)
{
  return subtract_pair (__byte_perm (codes, BF16_128 >> 8, which), 0x43084308);
}

/* A lane's words of a group to its part of the instruction's A. */
static __device__ __forceinline__ uint4
fragment (const unsigned (&word)[2])
{
  return make_uint4 (signed_pair (word[0], BYTES_0_1), signed_pair (word[0], BYTES_2_3),
      signed_pair (word[1], BYTES_0_1), signed_pair (word[1], BYTES_2_3));
}

static __device__ __forceinline__ uint4
fragment (const unsigned (&word)[1])
{
  const unsigned low = word[0] & 0x0f0f0f0f, high = word[0] >> 4 & 0x0f0f0f0f;

  return make_uint4 (nibble_pair (low, BYTES_0_1), nibble_pair (low, BYTES_2_3),
      nibble_pair (high, BYTES_0_1), nibble_pair (high, BYTES_2_3));
}

/* sum += a chunk's products times the scales of outputs l / 4 (low) and l / 4 + 8 (high). */
static __device__ __forceinline__ void
multiply_group (float sum[4], const uint4 &low, const uint4 &high, const uint4 &x, float scale_low,
    float scale_high)
{
  float part[4] = {};

  multiply_chunk (part, low, high, x);
  sum[0] = __fmaf_rn (part[0], scale_low, sum[0]);
  sum[1] = __fmaf_rn (part[1], scale_low, sum[1]);
  sum[2] = __fmaf_rn (part[2], scale_high, sum[2]);
  sum[3] = __fmaf_rn (part[3], scale_high, sum[3]);
}

/* --- spans --------------------------------------------------------------------------------------- */

/* A lane's part of a span of one output: of group g words g · Codes::words …, once it is spread. */
template <WeightType TYPE> struct Span {
  unsigned word[4];
  float scale[Codes<TYPE>::groups];
};

/* The span that begins at input `chunk` of row w, up to input `to`. Which 16 bytes a lane loads is such that
 * neighbours have of each other what they need. */
template <WeightType TYPE>
static __device__ __forceinline__ void
load_span (Span<TYPE> *span, const uint8_t *w, QuantisedRow shape, int chunk, int to)
{
  const int first = chunk / CHUNK, end = (to + CHUNK - 1) / CHUNK, quarter = threadIdx.x % 4;
  const int group = first + (TYPE == WEIGHT_INT8 ? quarter % 2 : quarter);
  const int piece = TYPE == WEIGHT_INT8 ? quarter / 2 : 0;
  uint4 codes = make_uint4 (0, 0, 0, 0);

  if (group < end)
    codes = __ldcs (reinterpret_cast<const uint4 *> (w + (size_t) group * Codes<TYPE>::bytes) + piece);
  span->word[0] = codes.x, span->word[1] = codes.y, span->word[2] = codes.z, span->word[3] = codes.w;
#pragma unroll
  for (int g = 0; g < Codes<TYPE>::groups; g++)
    span->scale[g] =
        first + g < end
            ? to_float (reinterpret_cast<const __nv_bfloat16 *> (w + shape.code_bytes)[first + g])
            : 0;
}

/* Of two lanes whose numbers differ in one bit the one without it keeps a and gets the other's a as b, the one
 * with it keeps b and gets the other's b as a. */
static __device__ __forceinline__ void
exchange (unsigned *a, unsigned *b, unsigned bit)
{
  const bool upper = threadIdx.x & bit;
  const unsigned other = __shfl_xor_sync (ALL_LANES, upper ? *a : *b, bit);

  if (upper)
    *a = other;
  else
    *b = other;
}

/* Words that lanes loaded to words of their own inputs. */
template <WeightType TYPE>
static __device__ __forceinline__ void
spread (Span<TYPE> *span)
{
  unsigned *w = span->word;

  if (TYPE == WEIGHT_INT8) {
    exchange (&w[0], &w[2], 1);
    exchange (&w[1], &w[3], 1);
  } else {
    exchange (&w[0], &w[1], 1);
    exchange (&w[2], &w[3], 1);
    exchange (&w[0], &w[2], 2);
    exchange (&w[1], &w[3], 2);
  }
}

/* Group g's words as a fragment. */
template <WeightType TYPE>
static __device__ __forceinline__ uint4
fragment_of (const Span<TYPE> &span, int g)
{
  unsigned word[Codes<TYPE>::words];

#pragma unroll
  for (int i = 0; i < Codes<TYPE>::words; i++)
    word[i] = span.word[g * Codes<TYPE>::words + i];
  return fragment (word);
}

/* As multiply_slice. The next span is on its way while one is multiplied, or, where sums take many registers, after. */
template <WeightType TYPE, int TILES, int MATRICES, bool ALIGNED>
static __device__ __forceinline__ void
multiply_slice_quantised (float (&sum)[MATRICES][TILES][4], const uint8_t *const (&w)[MATRICES],
    QuantisedRow shape, int first_o, int O, int I, const float *const (&row)[TILES])
{
  enum { GROUPS = Codes<TYPE>::groups, AHEAD = TILES * MATRICES <= 2 };
  const int slice = threadIdx.x / WARP, group = threadIdx.x % WARP / 4, quarter = threadIdx.x % 4;
  const int from = slice * slice_inputs (I), to = min (from + slice_inputs (I), I);
  const size_t low = (size_t) min (first_o + group, O - 1) * shape.row_bytes;
  const size_t high = (size_t) min (first_o + group + 8, O - 1) * shape.row_bytes;
  Span<TYPE> a[MATRICES], b[MATRICES], next_a[MATRICES], next_b[MATRICES];
  const auto load_next = [&] (int chunk) {
#pragma unroll
    for (int k = 0; k < MATRICES; k++) {
      load_span (&next_a[k], w[k] + low, shape, chunk, to);
      load_span (&next_b[k], w[k] + high, shape, chunk, to);
    }
  };

  load_next (from);
#pragma unroll 1
  for (int chunk = from; chunk < to; chunk += GROUPS * CHUNK) {
#pragma unroll
    for (int k = 0; k < MATRICES; k++) {
      a[k] = next_a[k];
      b[k] = next_b[k];
      spread (&a[k]);
      spread (&b[k]);
    }
    if (AHEAD)
      load_next (chunk + GROUPS * CHUNK);
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
      const int i = chunk + g * CHUNK;

      if (i >= to) /* the whole warp */
        break;
#pragma unroll
      for (int j = 0; j < TILES; j++) {
        uint4 x = make_uint4 (0, 0, 0, 0);

        if (row[j])
          x = load_runs<TYPE, ALIGNED> (row[j], i, quarter, I);
#pragma unroll
        for (int k = 0; k < MATRICES; k++)
          multiply_group (sum[k][j], fragment_of (a[k], g), fragment_of (b[k], g), x, a[k].scale[g],
              b[k].scale[g]);
      }
    }
    if (!AHEAD)
      load_next (chunk + GROUPS * CHUNK);
  }
}

#endif
