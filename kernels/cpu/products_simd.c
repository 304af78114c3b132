/* dsvl2: products of rows with a matrix, compiled once for each width of vector
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The order of every sum, whatever T, tile or thread: i goes by chunks of CHUNK; in a chunk lane l adds
 * i ≡ l (mod LANES) with fused multiply-adds; then the lanes are added as vf_sums() does, then the chunks
 * from first to last. Where i ends inside a vector the other lanes are zero.
 *
 * A tile is ROWS × OUTPUTS such sums in registers: it loads ROWS + OUTPUTS vectors for ROWS · OUTPUTS
 * multiply-adds. A chunk of ROWS rows stays in the first cache meanwhile. With few rows the weights go
 * straight from memory to registers; with many they are first expanded to f32, a piece's chunk at a time,
 * in the second cache.
 */
#include "linear.h"
#include "simd.h"

enum {
  ROWS = 4,
  OUTPUTS = LANES == 16 ? 6 : 3,
  CHUNK = 1280,
  AHEAD = 24 << 10, /* bytes, at least, from what is multiplied to what is fetched from memory */
};

#define INLINE static inline __attribute__ ((always_inline))

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

/* --- a tile -------------------------------------------------------------------------------------- */

/* A chunk of at most ROWS rows and OUTPUTS outputs; unused outputs repeat a used one. */
typedef struct {
  const float *x[ROWS];
  const char *w[OUTPUTS];
  const char *ahead; /* as many bytes as the tile's weights that will be needed later; or NULL */
  int len;
  float *z; /* [rows, z_row]; the first `n` of OUTPUTS */
  int z_row, n;
  bool add; /* not the first chunk */
} Tile;

/* Vector i of the chunk, of which n elements belong to it. */
INLINE void
multiply_vector (vf acc[ROWS][OUTPUTS], const Tile *t, int rows, WeightType type, int i, int n)
{
  const int size = type == WEIGHT_F32 ? 4 : 2;
  vf w[OUTPUTS];

#pragma GCC unroll 8
  for (int o = 0; o < OUTPUTS; o++)
    w[o] = load_weights (t->w[o] + (size_t) i * size, type, n);
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    const vf x = vf_load_up_to (t->x[r] + i, n);

#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      acc[r][o] = vf_fma (x, w[o], acc[r][o]);
  }
}

INLINE void
store_half (float *z, Half sums, const Tile *t)
{
#if defined __AVX512F__
  const __mmask8 mask = (1u << t->n) - 1;

  if (t->add)
    sums = _mm256_maskz_loadu_ps (mask, z) + sums;
  _mm256_mask_storeu_ps (z, mask, sums);
#else
  const __m128i mask = _mm_cmpgt_epi32 (_mm_set1_epi32 (t->n), _mm_setr_epi32 (0, 1, 2, 3));

  if (t->add)
    sums = _mm_maskload_ps (z, mask) + sums;
  _mm_maskstore_ps (z, mask, sums);
#endif
}

/* Two rows at a time: each has half of a vector for its OUTPUTS sums. */
INLINE void
store_sums (vf acc[ROWS][OUTPUTS], const Tile *t, int rows)
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
#if defined __AVX512F__
    store_half (t->z + r * t->z_row, _mm512_castps512_ps256 (sums), t);
    if (r + 1 < rows)
      store_half (t->z + (r + 1) * t->z_row, _mm512_extractf32x8_ps (sums, 1), t);
#else
    store_half (t->z + r * t->z_row, _mm256_castps256_ps128 (sums), t);
    if (r + 1 < rows)
      store_half (t->z + (r + 1) * t->z_row, _mm256_extractf128_ps (sums, 1), t);
#endif
  }
}

INLINE void
multiply_tile (const Tile *t, int rows, WeightType type)
{
  const int size = type == WEIGHT_F32 ? 4 : 2;
  vf acc[ROWS][OUTPUTS];
  int i = 0;

#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      acc[r][o] = vf_set (0);
  for (; i + LANES <= t->len; i += LANES) {
    multiply_vector (acc, t, rows, type, i, LANES);
    if (t->ahead)
#pragma GCC unroll 8
      for (int at = 0; at < OUTPUTS * LANES * size; at += 64)
        _mm_prefetch (t->ahead + (size_t) i * OUTPUTS * size + at, _MM_HINT_T1);
  }
  if (i < t->len)
    multiply_vector (acc, t, rows, type, i, t->len - i);
  store_sums (acc, t, rows);
}

/* clang-format off */
#define TILE(rows, type, name) \
  static void tile_##name##_##rows (const Tile *t) { multiply_tile (t, rows, type); }
#define TILES(type, name) \
  TILE (1, type, name) TILE (2, type, name) TILE (3, type, name) TILE (4, type, name)
TILES (WEIGHT_F32, f32)
TILES (WEIGHT_F16, f16)
TILES (WEIGHT_BF16, bf16)

static void (*const tiles[][ROWS]) (const Tile *t) = {
  [WEIGHT_F32] = { tile_f32_1, tile_f32_2, tile_f32_3, tile_f32_4 },
  [WEIGHT_F16] = { tile_f16_1, tile_f16_2, tile_f16_3, tile_f16_4 },
  [WEIGHT_BF16] = { tile_bf16_1, tile_bf16_2, tile_bf16_3, tile_bf16_4 },
};
/* clang-format on */

/* --- a piece ------------------------------------------------------------------------------------- */

/* One piece: n outputs of x's rows. */
typedef struct {
  float *z;
  int z_row;
  const Rows *x;
  const char *w; /* [n, …] of type, `stride` bytes from one to the next */
  WeightType type;
  size_t stride;
  int n;
} Piece;

/* Elements from … from + len of rows t …, outputs o …; `w_from` is where they are in w. */
static void
run_tile (const Piece *p, int t, int o, int from, int w_from, int len, const char *ahead)
{
  const int rows = min_int (ROWS, p->x->T - t), n = min_int (OUTPUTS, p->n - o);
  Tile tile = { .len = len,
    .z = p->z + (size_t) t * p->z_row + o,
    .z_row = p->z_row,
    .n = n,
    .add = from > 0,
    .ahead = ahead };

  for (int r = 0; r < rows; r++)
    tile.x[r] = row_of (p->x, t + r) + from;
  for (int j = 0; j < OUTPUTS; j++)
    tile.w[j] = p->w + (o + min_int (j, n - 1)) * p->stride + w_from * weight_type_size (p->type);
  tiles[p->type][rows - 1](&tile);
}

static void
fetch (const char *from, const char *to)
{
  for (; from < to; from += 64)
    _mm_prefetch (from, _MM_HINT_T1);
}

/* Reads each weight once from memory, for all rows. A tile takes from OUTPUTS places at a time, which
 * memory does not like, so a group's worth of it is fetched from end to end, some groups before. */
static void
multiply_few (const Piece *p, int I)
{
  const size_t group = OUTPUTS * p->stride, ahead = (AHEAD + group - 1) / group * group;
  const char *end = p->w + p->n * p->stride;

  fetch (p->w, p->w + ahead < end ? p->w + ahead : end);
  for (int o = 0; o < p->n; o += OUTPUTS) {
    const char *later = p->w + o * p->stride + ahead;

    for (int from = 0; from < I; from += CHUNK) {
      for (int t = 0; t < p->x->T; t += ROWS)
        run_tile (p, t, o, from, from, min_int (CHUNK, I - from),
            t == 0 && later + group <= end ? later + from * group / I : NULL);
    }
  }
}

/* A chunk of the piece's weights as f32. */
static void
expand_chunk (float *to, const Piece *p, int from, int len)
{
  for (int o = 0; o < p->n; o++) {
    const char *w = p->w + o * p->stride + from * weight_type_size (p->type);

    for (int i = 0; i < len; i += LANES)
      vf_store (to + (size_t) o * CHUNK + i,
          load_weights (w + i * weight_type_size (p->type), p->type, min_int (LANES, len - i)));
  }
}

static void
multiply_many (const Piece *p, int I, float *scratch)
{
  Piece expanded = *p;

  expanded.w = (const char *) scratch; /* [n, CHUNK] */
  expanded.type = WEIGHT_F32;
  expanded.stride = CHUNK * sizeof (float);
  for (int from = 0; from < I; from += CHUNK) {
    const int len = min_int (CHUNK, I - from);

    expand_chunk (scratch, p, from, len);
    for (int t = 0; t < p->x->T; t += ROWS)
      for (int o = 0; o < p->n; o += OUTPUTS)
        run_tile (&expanded, t, o, from, 0, len, NULL);
  }
}

_Static_assert(PIECE_OUTPUTS *CHUNK * sizeof (float) <= MULTIPLY_SCRATCH, "a chunk fits the scratch");

static void
multiply (float *z, int z_row, const Rows *x, const Weight *w, int first, int n, void *scratch)
{
  const Piece p = { .z = z,
    .z_row = z_row,
    .x = x,
    .w = weight_row (w, first),
    .type = w->type,
    .stride = w->I * weight_type_size (w->type),
    .n = n };

  if (x->T <= FEW_ROWS)
    multiply_few (&p, w->I);
  else
    multiply_many (&p, w->I, scratch);
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

const Products SIMD_NAME (products) = { multiply, finish, silu_mul };

void
SIMD_NAME (linear_fill) (Ops *k)
{
  cpu (k)->products = &SIMD_NAME (products);
  linear_fill_products (k);
  experts_fill_products (k);
}
