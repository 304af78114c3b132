/* dsvl2: products of rows with a matrix, compiled once for each width of vector
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * With few rows the weights go straight from memory to registers. With many they are first expanded to
 * f32, a chunk of a piece at a time, which stays in the second cache while all rows pass by. */
#include "block_simd.h"

/* --- weights ------------------------------------------------------------------------------------- */

#if defined __AVX512F__
typedef __m256 Half;    /* LANES / 2 floats */
typedef __m256i Halves; /* LANES of two bytes */

INLINE vf
expand (Halves h, WeightType type)
{
  return type == WEIGHT_F16 ? _mm512_cvtph_ps (h)
                            : _mm512_castsi512_ps (_mm512_slli_epi32 (_mm512_cvtepu16_epi32 (h), 16));
}

INLINE Halves
load_halves (const void *p)
{
  return _mm256_loadu_si256 (p);
}

INLINE Halves
load_halves_n (const void *p, int n)
{
  return _mm256_maskz_loadu_epi16 (vf_mask (n), p);
}
#else
typedef __m128 Half;
typedef __m128i Halves;

INLINE vf
expand (Halves h, WeightType type)
{
  return type == WEIGHT_F16 ? _mm256_cvtph_ps (h)
                            : _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_cvtepu16_epi32 (h), 16));
}

INLINE Halves
load_halves (const void *p)
{
  return _mm_loadu_si128 (p);
}

INLINE Halves
load_halves_n (const void *p, int n)
{
  uint16_t h[LANES] = { 0 };

  for (int i = 0; i < n; i++)
    h[i] = ((const uint16_t *) p)[i];
  return load_halves (h);
}
#endif

/* n weights, 0 < n ≤ LANES; other lanes 0. */
INLINE vf
load_weights (const char *p, WeightType type, int n)
{
  if (type == WEIGHT_F32)
    return vf_load_up_to ((const float *) p, n);
  return expand (n >= LANES ? load_halves (p) : load_halves_n (p, n), type);
}

/* --- blocks -------------------------------------------------------------------------------------- */

/* Vector i of the chunk, of which n elements belong to it. */
INLINE void
multiply_vector (vf acc[ROWS][OUTPUTS], const Block *b, int rows, WeightType type, int i, int n)
{
  const int size = type == WEIGHT_F32 ? 4 : 2;
  vf w[OUTPUTS];

#pragma GCC unroll 8
  for (int o = 0; o < OUTPUTS; o++)
    w[o] = load_weights (b->w[o] + (size_t) i * size, type, n);
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    const vf x = vf_load_up_to ((const float *) b->x[r] + i, n);

#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      acc[r][o] = vf_fma (x, w[o], acc[r][o]);
  }
}

INLINE void
multiply_block (const Block *b, int rows, WeightType type)
{
  const int bytes = OUTPUTS * (type == WEIGHT_F32 ? 4 : 2);
  vf acc[ROWS][OUTPUTS];
  int i = 0;

#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      acc[r][o] = vf_set (0);
  for (; i + LANES <= b->len; i += LANES) {
    multiply_vector (acc, b, rows, type, i, LANES);
    fetch_ahead (b, (size_t) i * bytes, LANES * bytes);
  }
  if (i < b->len)
    multiply_vector (acc, b, rows, type, i, b->len - i);
  store_sums (acc, b, rows);
}

/* clang-format off */
#define BLOCK(rows, type, name) \
  static void block_##name##_##rows (const Block *b) { multiply_block (b, rows, type); }
#define BLOCKS(type, name) \
  BLOCK (1, type, name) BLOCK (2, type, name) BLOCK (3, type, name) BLOCK (4, type, name)
BLOCKS (WEIGHT_F32, f32)
BLOCKS (WEIGHT_F16, f16)
BLOCKS (WEIGHT_BF16, bf16)

static void (*const blocks[][ROWS]) (const Block *b) = {
  [WEIGHT_F32] = { block_f32_1, block_f32_2, block_f32_3, block_f32_4 },
  [WEIGHT_F16] = { block_f16_1, block_f16_2, block_f16_3, block_f16_4 },
  [WEIGHT_BF16] = { block_bf16_1, block_bf16_2, block_bf16_3, block_bf16_4 },
};
/* clang-format on */

/* --- pieces -------------------------------------------------------------------------------------- */

/* Inputs from … of row o, to [len]; a quantised matrix fills up the last group. */
typedef void (*ExpandRow) (float *to, const Weight *w, int o, int from, int len);

static void
expand_dense (float *to, const Weight *w, int o, int from, int len)
{
  const int size = weight_type_size (w->type);
  const char *row = (const char *) weight_row (w, o) + (size_t) from * size;

  for (int i = 0; i < len; i += LANES)
    vf_store (to + i, load_weights (row + (size_t) i * size, w->type, min_int (LANES, len - i)));
}

static void
multiply_many (const Piece *p, const Weight *w, int first, ExpandRow expand_row, float *scratch)
{
  const int I = w->I;
  Piece expanded = *p;

  expanded.w = (Factor){ (const char *) scratch, CHUNK * sizeof (float), sizeof (float) };
  expanded.block = blocks[WEIGHT_F32];
  for (int from = 0; from < I; from += CHUNK) {
    const int len = min_int (CHUNK, I - from);

    for (int o = 0; o < p->n; o++)
      expand_row (scratch + (size_t) o * CHUNK, w, first + o, from, len);
    for (int t = 0; t < p->T; t += ROWS) {
      /* chunks that do not follow each other surprise the processor */
      for (int r = t + ROWS; len < I && r < min_int (t + 2 * ROWS, p->T); r++)
        fetch (factor_at (&p->x, r, from), factor_at (&p->x, r, from + len));
      for (int o = 0; o < p->n; o += OUTPUTS)
        run_block (&expanded, t, o, from, 0, len, from > 0, NULL);
    }
  }
}

enum { MANY_OUTPUTS = 48 };
_Static_assert(MANY_OUTPUTS *CHUNK * sizeof (float) <= MULTIPLY_SCRATCH, "a chunk fits the scratch");

void
SIMD_NAME (multiply) (float *z, int z_row, const Rows *x, const Weight *w, int first, int n,
    void *scratch)
{
  const bool quantised = weight_quantised (w);
  const Piece p = { .z = z,
    .z_row = z_row,
    .T = x->T,
    .n = n,
    .x = { (const char *) x->x, x->stride * sizeof (float), sizeof (float), x->index },
    .w = { weight_row (w, first), weight_row_bytes (w), weight_type_size (w->type) },
    .block = quantised ? NULL : blocks[w->type] };

  if (x->T > FEW_ROWS)
    multiply_many (&p, w, first, quantised ? SIMD_NAME (expand_quantised) : expand_dense, scratch);
  else if (quantised)
    SIMD_NAME (multiply_few_quantised) (&p, w);
  else
    multiply_few (&p, w->I);
}

/* --- what follows a product ---------------------------------------------------------------------- */

/* v / (1 + e^(−2 √(2/π) (v + 0.044715 v³))), which is 0.5 v (1 + tanh …) */
static vf
gelu_tanh (vf v)
{
  const vf u = vf_fma (v * v * vf_set (0.044715f), v, v) * vf_set (-1.59576912f);

  return v / (vf_set (1) + vf_exp (u));
}

/* Where v < 0 or is NaN, `a`; else `b`. */
INLINE vf
negative_or (vf v, vf a, vf b)
{
#if defined __AVX512F__
  return _mm512_mask_blend_ps (_mm512_cmp_ps_mask (v, vf_set (0), _CMP_GE_OQ), a, b);
#else
  return _mm256_blendv_ps (a, b, _mm256_cmp_ps (v, vf_set (0), _CMP_GE_OQ));
#endif
}

/* v Φ(v), where Φ(−a) = e^(−a²/2) R((a − 2.5) / (a + 2.5)) for 0 ≤ a ≤ 14. R is a polynomial fitted to
 * erfcx (a / √2) / 2, 8e-8 relative. */
static vf
gelu_erf (vf v)
{
  static const float R[] = { 0.141331342f, -0.228069808f, 0.113135163f, -0.0245479868f, -0.0051180238f,
    0.00294146197f, 0.000800223544f, -0.000329667358f, -0.000154691831f };
  const vf a = vf_min (vf_set (14), vf_max (-v, v));
  const vf t = (a - vf_set (2.5f)) / (a + vf_set (2.5f));
  vf tail = vf_set (R[8]);

  for (int i = 7; i >= 0; i--)
    tail = vf_fma (tail, t, vf_set (R[i]));
  tail = tail * vf_exp (a * a * vf_set (-0.5f));
  return v * negative_or (v, tail, vf_set (1) - tail);
}

static void
finish (float *y, const float *z, const float *bias, int n, unsigned epilogue)
{
  for (int i = 0; i < n; i += LANES) {
    vf v = vf_load_up_to (z + i, n - i);

    if (bias)
      v = v + vf_load_up_to (bias + i, n - i);
    if (epilogue & EPI_GELU_TANH)
      v = gelu_tanh (v);
    if (epilogue & EPI_GELU_ERF)
      v = gelu_erf (v);
    if (epilogue & EPI_ADD)
      v = v + vf_load_up_to (y + i, n - i);
    vf_store_up_to (y + i, v, n - i);
  }
}

static void
silu_mul (float *h, const float *gate, const float *up, int n)
{
  for (int i = 0; i < n; i += LANES) {
    const vf g = vf_load_up_to (gate + i, n - i), u = vf_load_up_to (up + i, n - i);

    vf_store_up_to (h + i, g / (vf_set (1) + vf_exp (-g)) * u, n - i);
  }
}

void
SIMD_NAME (linear_fill) (Ops *k)
{
  cpu (k)->products = (Products){ SIMD_NAME (multiply), finish, silu_mul, MANY_OUTPUTS };
  linear_fill_products (k);
  experts_fill_products (k);
}
