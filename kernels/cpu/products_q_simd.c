/* dsvl2: products of rows with a quantised matrix, compiled once for each width of vector
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Codes become f32 in registers: code · scale is exact, so the sums are those that the matrix would give if
 * it were stored in f32. */
#include "block_simd.h"

enum { VECTORS = WEIGHT_GROUP / LANES, HALF = VECTORS / 2 };

_Static_assert(CHUNK % WEIGHT_GROUP == 0, "chunks end where groups end");

/* --- weights ------------------------------------------------------------------------------------- */

#if defined __AVX512F__
INLINE vf
scale_at (const char *p)
{
  return _mm512_set1_ps (f32_of_bf16 (*(const uint16_t *) p));
}

/* LANES codes of a byte. */
INLINE vf
signed_bytes (const char *p)
{
  return _mm512_cvtepi32_ps (_mm512_cvtepi8_epi32 (_mm_loadu_si128 ((const __m128i *) p)));
}

/* The low or high halves of LANES bytes. */
INLINE vf
half_bytes (const char *p, bool high)
{
  const __m512i bytes = _mm512_cvtepu8_epi32 (_mm_loadu_si128 ((const __m128i *) p));

  return _mm512_cvtepi32_ps (high ? _mm512_srli_epi32 (bytes, 4)
                                  : _mm512_and_si512 (bytes, _mm512_set1_epi32 (15)));
}
#else
INLINE vf
scale_at (const char *p)
{
  const __m256i twice = _mm256_broadcastw_epi16 (_mm_loadu_si16 (p));

  return _mm256_castsi256_ps (_mm256_slli_epi32 (twice, 16));
}

INLINE vf
signed_bytes (const char *p)
{
  return _mm256_cvtepi32_ps (_mm256_cvtepi8_epi32 (_mm_loadl_epi64 ((const __m128i *) p)));
}

INLINE vf
half_bytes (const char *p, bool high)
{
  const __m256i bytes = _mm256_cvtepu8_epi32 (_mm_loadl_epi64 ((const __m128i *) p));

  return _mm256_cvtepi32_ps (high ? _mm256_srli_epi32 (bytes, 4)
                                  : _mm256_and_si256 (bytes, _mm256_set1_epi32 (15)));
}
#endif

/* Vector v of a group. */
INLINE vf
load_vector (const char *codes, vf scale, WeightType type, int v)
{
  if (type == WEIGHT_INT8)
    return signed_bytes (codes + v * LANES) * scale;
  return vf_fma (half_bytes (codes + v % HALF * LANES, v >= HALF), scale, scale * vf_set (-8));
}

INLINE int
group_bytes (WeightType type)
{
  return type == WEIGHT_INT8 ? WEIGHT_GROUP : WEIGHT_GROUP / 2;
}

/* --- blocks -------------------------------------------------------------------------------------- */

typedef struct {
  Block b;
  const char *scale[OUTPUTS];
  int fetched; /* bytes to fetch ahead for each group */
} Quantised;

/* A group's vectors, of which the first n numbers belong to the row. */
INLINE void
multiply_group (vf acc[ROWS][OUTPUTS], const Quantised *q, int rows, WeightType type, int g, int n)
{
  const Block *b = &q->b;
  vf scale[OUTPUTS];

#pragma GCC unroll 8
  for (int o = 0; o < OUTPUTS; o++)
    scale[o] = scale_at (q->scale[o] + g * sizeof (uint16_t));
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; v++) {
    const int left = n - v * LANES;
    vf w[OUTPUTS];

    if (left <= 0)
      return;
#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      w[o] = load_vector (b->w[o] + g * group_bytes (type), scale[o], type, v);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const vf x = vf_load_up_to ((const float *) b->x[r] + g * WEIGHT_GROUP + v * LANES, left);

#pragma GCC unroll 8
      for (int o = 0; o < OUTPUTS; o++)
        acc[r][o] = vf_fma (x, w[o], acc[r][o]);
    }
  }
}

INLINE void
multiply_block (const Quantised *q, int rows, WeightType type)
{
  const int whole = q->b.len / WEIGHT_GROUP;
  vf acc[ROWS][OUTPUTS];

#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      acc[r][o] = vf_set (0);
  for (int g = 0; g < whole; g++) {
    multiply_group (acc, q, rows, type, g, WEIGHT_GROUP);
    fetch_ahead (&q->b, (size_t) g * q->fetched, q->fetched);
  }
  if (q->b.len % WEIGHT_GROUP > 0)
    multiply_group (acc, q, rows, type, whole, q->b.len % WEIGHT_GROUP);
  store_sums (acc, &q->b, rows);
}

/* clang-format off */
#define BLOCK(rows, type, name) \
  static void block_##name##_##rows (const Quantised *q) { multiply_block (q, rows, type); }
#define BLOCKS(type, name) \
  BLOCK (1, type, name) BLOCK (2, type, name) BLOCK (3, type, name) BLOCK (4, type, name)
BLOCKS (WEIGHT_INT8, int8)
BLOCKS (WEIGHT_INT4, int4)

static void (*const blocks[][ROWS]) (const Quantised *q) = {
  [WEIGHT_INT8] = { block_int8_1, block_int8_2, block_int8_3, block_int8_4 },
  [WEIGHT_INT4] = { block_int4_1, block_int4_2, block_int4_3, block_int4_4 },
};
/* clang-format on */

/* --- pieces -------------------------------------------------------------------------------------- */

/* Rows t …, outputs o … of the piece, inputs from … from + len − 1; `ahead` are the rows to fetch. */
static void
run_quantised (const Piece *p, const Weight *w, int t, int o, int from, int len, const char *ahead)
{
  const int rows = min_int (ROWS, p->T - t), n = min_int (OUTPUTS, p->n - o);
  const int fetched = ceil_div (OUTPUTS * p->w.stride, weight_groups (w->I));
  Quantised q = {
    .b = { .len = len,
        .ahead = ahead ? ahead + (size_t) from / WEIGHT_GROUP * fetched : NULL,
        .z = p->z + (size_t) t * p->z_row + o,
        .z_row = p->z_row,
        .n = n,
        .add = from > 0 },
    .fetched = fetched,
  };

  for (int r = 0; r < rows; r++)
    q.b.x[r] = factor_at (&p->x, t + r, from);
  for (int j = 0; j < OUTPUTS; j++) {
    const char *row = p->w.data + (o + min_int (j, n - 1)) * p->w.stride;

    q.b.w[j] = row + from / WEIGHT_GROUP * group_bytes (w->type);
    q.scale[j] = row + weight_code_bytes (w->type, w->I) + from / WEIGHT_GROUP * sizeof (uint16_t);
  }
  blocks[w->type][rows - 1](&q);
}

void
SIMD_NAME (multiply_few_quantised) (const Piece *p, const Weight *w)
{
  const size_t group = OUTPUTS * p->w.stride, ahead = (AHEAD + group - 1) / group * group;
  const char *row = p->w.data, *end = row + p->n * p->w.stride;

  fetch (row, ahead < (size_t) (end - row) ? row + ahead : end);
  for (int o = 0; o < p->n; o += OUTPUTS, row += group) {
    const bool more = (size_t) (end - row) >= ahead + group;

    for (int from = 0; from < w->I; from += CHUNK)
      for (int t = 0; t < p->T; t += ROWS)
        run_quantised (p, w, t, o, from, min_int (CHUNK, w->I - from),
            more && t == 0 ? row + ahead : NULL);
  }
}

void
SIMD_NAME (expand_quantised) (float *to, const Weight *w, int o, int from, int len)
{
  const char *row = weight_row (w, o), *scales = row + weight_code_bytes (w->type, w->I);

  for (int i = 0; i < len; i += WEIGHT_GROUP) {
    const int g = (from + i) / WEIGHT_GROUP;
    const char *codes = row + g * group_bytes (w->type);
    const vf scale = scale_at (scales + g * sizeof (uint16_t));

    for (int v = 0; v < VECTORS; v++)
      vf_store (to + i + v * LANES, load_vector (codes, scale, w->type, v));
  }
}
