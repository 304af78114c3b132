/* dsvl2: blocks of sums in registers, the inside of a matrix product
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A block is ROWS × OUTPUTS sums, each a vector of LANES partial ones: a step loads ROWS + OUTPUTS vectors
 * for ROWS · OUTPUTS multiply-adds. The order of every sum, whatever T, block, piece or thread: i goes by
 * chunks of CHUNK; inside one, lane l adds every LANES-th i (or pair of i) with fused multiply-adds; then
 * the lanes are added as vf_sums() does, then the chunks from first to last. Where i ends inside a vector
 * the other lanes are zero. */
#ifndef DSVL2_CPU_BLOCK_SIMD_H
#define DSVL2_CPU_BLOCK_SIMD_H

#include "linear.h"
#include "simd.h"

enum {
  ROWS = 4,
  OUTPUTS = LANES == 16 ? 6 : 3,
  CHUNK = 1280,     /* of ROWS rows stays in the first cache */
  AHEAD = 24 << 10, /* bytes, at least, from what is multiplied to what is fetched from memory */
};

#define INLINE static inline __attribute__ ((always_inline))

/* A chunk of at most ROWS rows and OUTPUTS outputs; outputs that are not there repeat one that is. */
typedef struct {
  const char *x[ROWS], *w[OUTPUTS];
  int len;           /* numbers of the chunk */
  const char *ahead; /* as many bytes as the block's weights, needed later; or NULL */
  float *z;          /* [rows, z_row]: the first n of OUTPUTS in each */
  int z_row, n;
  bool add; /* not the first chunk */
} Block;

/* --- storing sums -------------------------------------------------------------------------------- */

#if defined __AVX512F__
typedef __m256 Half;

INLINE Half
half (vf v, int which)
{
  return which ? _mm512_extractf32x8_ps (v, 1) : _mm512_castps512_ps256 (v);
}

INLINE void
store_half (float *z, Half sums, const Block *b)
{
  const __mmask8 mask = (1u << b->n) - 1;

  if (b->add)
    sums = _mm256_maskz_loadu_ps (mask, z) + sums;
  _mm256_mask_storeu_ps (z, mask, sums);
}
#else
typedef __m128 Half;

INLINE Half
half (vf v, int which)
{
  return which ? _mm256_extractf128_ps (v, 1) : _mm256_castps256_ps128 (v);
}

INLINE void
store_half (float *z, Half sums, const Block *b)
{
  const __m128i mask = _mm_cmpgt_epi32 (_mm_set1_epi32 (b->n), _mm_setr_epi32 (0, 1, 2, 3));

  if (b->add)
    sums = _mm_maskload_ps (z, mask) + sums;
  _mm_maskstore_ps (z, mask, sums);
}
#endif

/* Two rows at a time: each has half of a vector for its OUTPUTS sums. */
INLINE void
store_sums (vf acc[ROWS][OUTPUTS], const Block *b, int rows)
{
#pragma GCC unroll 8
  for (int r = 0; r < rows; r += 2) {
    const vf none = vf_set (0);
    vf v[LANES], sums;

#pragma GCC unroll 16
    for (int j = 0; j < LANES / 2; j++) {
      v[j] = j < OUTPUTS ? acc[r][j] : none;
      v[j + LANES / 2] = j < OUTPUTS && r + 1 < rows ? acc[r + 1][j] : none;
    }
    sums = vf_sums (v);
    store_half (b->z + r * b->z_row, half (sums, 0), b);
    if (r + 1 < rows)
      store_half (b->z + (r + 1) * b->z_row, half (sums, 1), b);
  }
}

/* --- pieces of blocks ---------------------------------------------------------------------------- */

/* One factor: rows `stride` bytes apart of numbers of `size` bytes. */
typedef struct {
  const char *data;
  size_t stride;
  int size;
  const int32_t *index; /* which rows; NULL: 0, 1, 2 … */
} Factor;

/* z[t · z_row + o] for t < T, o < n. */
typedef struct {
  float *z;
  int z_row, T, n;
  Factor x, w;
  void (*const *block) (const Block *b); /* [ROWS]: with 1, 2 … rows */
} Piece;

INLINE const char *
factor_at (const Factor *f, int row, int i)
{
  return f->data + (f->index ? f->index[row] : row) * f->stride + (size_t) i * f->size;
}

/* The block of rows t …, outputs o …, for `len` numbers from x_from in x, w_from in w. */
INLINE void
run_block (const Piece *p, int t, int o, int x_from, int w_from, int len, bool add, const char *ahead)
{
  const int rows = min_int (ROWS, p->T - t), n = min_int (OUTPUTS, p->n - o);
  Block b = { .len = len,
    .ahead = ahead,
    .z = p->z + (size_t) t * p->z_row + o,
    .z_row = p->z_row,
    .n = n,
    .add = add };

  for (int r = 0; r < rows; r++)
    b.x[r] = factor_at (&p->x, t + r, x_from);
  for (int j = 0; j < OUTPUTS; j++)
    b.w[j] = factor_at (&p->w, o + min_int (j, n - 1), w_from);
  p->block[rows - 1](&b);
}

INLINE void
fetch (const char *from, const char *to)
{
  for (; from < to; from += 64)
    _mm_prefetch (from, _MM_HINT_T1);
}

/* Called for every vector of a block's weights, whose sizes are OUTPUTS · bytes together. */
INLINE void
fetch_ahead (const Block *b, size_t done, int bytes)
{
  if (b->ahead)
#pragma GCC unroll 8
    for (int at = 0; at < bytes; at += 64)
      _mm_prefetch (b->ahead + done + at, _MM_HINT_T1);
}

/* A piece that reads each weight once from memory, for all rows. A block takes from OUTPUTS places at a
 * time, which memory does not like, so OUTPUTS rows are fetched from end to end, some of them before. */
INLINE void
multiply_few (const Piece *p, int I)
{
  const size_t group = OUTPUTS * p->w.stride, ahead = (AHEAD + group - 1) / group * group;
  const char *w = p->w.data, *end = w + p->n * p->w.stride;

  fetch (w, ahead < (size_t) (end - w) ? w + ahead : end);
  for (int o = 0; o < p->n; o += OUTPUTS, w += group) {
    const bool more = (size_t) (end - w) >= ahead + group;

    for (int from = 0; from < I; from += CHUNK) {
      const int len = min_int (CHUNK, I - from);
      const char *later = w + ahead + (size_t) from * OUTPUTS * p->w.size;

      for (int t = 0; t < p->T; t += ROWS)
        run_block (p, t, o, from, from, len, from > 0, more && t == 0 ? later : NULL);
    }
  }
}

/* --- quantised weights (products_q_simd.c) ------------------------------------------------------- */

/* multiply_few for them: p->w.data is their first row. */
void SIMD_NAME (multiply_few_quantised) (const Piece *p, const Weight *w);

/* Inputs from … of row o in f32; `to` has room for whole groups. */
void SIMD_NAME (expand_quantised) (float *to, const Weight *w, int o, int from, int len);

#endif
