/* dsvl2: products of rows rounded to bf16 with a bf16 matrix
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Chosen only where the engine's user allows the rounding. vdpbf16ps adds two products to a lane, so a
 * vector is 2 · LANES numbers; the weights are used as they lie in memory. Other weights take the
 * AVX-512 way. */
#include "block_simd.h"

enum { PAIRS = 2 * LANES, MANY_OUTPUTS = 96 };

/* --- blocks -------------------------------------------------------------------------------------- */

/* PAIRS numbers, of which the first n are there; the rest is 0. */
INLINE __m512bh
load_pairs (const char *p, int n)
{
  return (__m512bh) (n >= PAIRS ? _mm512_loadu_si512 (p)
                                : _mm512_maskz_loadu_epi16 ((UINT32_C (1) << n) - 1, p));
}

INLINE void
multiply_pairs (vf acc[ROWS][OUTPUTS], const Block *b, int rows, size_t i, int n)
{
  __m512bh w[OUTPUTS];

#pragma GCC unroll 8
  for (int o = 0; o < OUTPUTS; o++)
    w[o] = load_pairs (b->w[o] + 2 * i, n);
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    const __m512bh x = load_pairs (b->x[r] + 2 * i, n);

#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      acc[r][o] = _mm512_dpbf16_ps (acc[r][o], x, w[o]);
  }
}

INLINE void
multiply_block (const Block *b, int rows)
{
  vf acc[ROWS][OUTPUTS];
  int i = 0;

#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int o = 0; o < OUTPUTS; o++)
      acc[r][o] = vf_set (0);
  for (; i + PAIRS <= b->len; i += PAIRS) {
    multiply_pairs (acc, b, rows, i, PAIRS);
    fetch_ahead (b, (size_t) i * OUTPUTS * 2, PAIRS * OUTPUTS * 2);
  }
  if (i < b->len)
    multiply_pairs (acc, b, rows, i, b->len - i);
  store_sums (acc, b, rows);
}

/* clang-format off */
#define BLOCK(rows) \
  static void block_##rows (const Block *b) { multiply_block (b, rows); }
BLOCK (1) BLOCK (2) BLOCK (3) BLOCK (4)
    /* clang-format on */

    static void (*const blocks[ROWS]) (const Block *b) = { block_1, block_2, block_3, block_4 };

/* --- pieces -------------------------------------------------------------------------------------- */

/* Rounds `len` numbers to nearest even, from `from` on, of every row of x: to [T, len]. */
static void
round_rows (uint16_t *to, const Rows *x, int from, int len)
{
  for (int t = 0; t < x->T; t++, to += len) {
    const float *row = row_of (x, t) + from;

    for (int i = 0; i < len; i += LANES) {
      const int n = min_int (LANES, len - i);

      _mm256_mask_storeu_epi16 (to + i, vf_mask (n),
          (__m256i) _mm512_cvtneps_pbh (vf_load_up_to (row + i, n)));
    }
  }
}

static Factor
rounded (const uint16_t *data, int len)
{
  return (Factor){ (const char *) data, len * sizeof *data, sizeof *data };
}

static void
multiply_many (Piece *p, const Rows *x, int I, uint16_t *scratch)
{
  for (int from = 0; from < I; from += CHUNK) {
    const int len = min_int (CHUNK, I - from);

    round_rows (scratch, x, from, len);
    p->x = rounded (scratch, len);
    for (int t = 0; t < p->T; t += ROWS)
      for (int o = 0; o < p->n; o += OUTPUTS)
        run_block (p, t, o, 0, from, len, from > 0, NULL);
  }
}

_Static_assert(PIECE_FLOATS / MANY_OUTPUTS * CHUNK * 2 <= MULTIPLY_SCRATCH, "a chunk fits the scratch");

static void
multiply (float *z, int z_row, const Rows *x, const Weight *w, int first, int n, void *scratch)
{
  Piece p = { .z = z,
    .z_row = z_row,
    .T = x->T,
    .n = n,
    .w = { weight_row (w, first), (size_t) w->I * 2, 2 },
    .block = blocks };

  if (w->type != WEIGHT_BF16) {
    multiply_avx512 (z, z_row, x, w, first, n, scratch);
    return;
  }
  if (x->T > FEW_ROWS || (size_t) x->T * w->I * 2 > MULTIPLY_SCRATCH) {
    multiply_many (&p, x, w->I, scratch);
    return;
  }
  round_rows (scratch, x, 0, w->I);
  p.x = rounded (scratch, w->I);
  multiply_few (&p, w->I);
}

/* After AVX-512's: what follows a product is the same. */
void
linear_fill_avx512bf16 (Ops *k)
{
  cpu (k)->products.multiply = multiply;
  cpu (k)->products.outputs = MANY_OUTPUTS;
}
