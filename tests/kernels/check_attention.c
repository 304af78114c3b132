/* dsvl2: cases of attend_tiles, kv_write and attend
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof table / sizeof table[0])

/* --- tiles --------------------------------------------------------------------------------------- */

typedef struct {
  int N, P, H, d;
  Spread spread;
} TilesCase;

static const TilesCase tiles_cases[] = {
  { 0, 4, 1, 8 },
  { 1, 729, 2, 72 }, /* SigLIP SO400M, two of its heads */
  { 2, 25, 4, 12 },
  { 3, 16, 2, 16 },
  { 1, 9, 3, 24 },
  { 1, 1, 1, 1 },
  { 2, 65, 1, 7 },
  { 1, 300, 1, 33 },
  { 1, 5, 1, 600 },
  { 2, 64, 2, 40 },
  { 2, 10, 2, 9, ZEROS },
  { 3, 70, 2, 16, TINY },
  { 3, 70, 2, 16, LARGE } /* one key takes it all */,
  { 2, 64, 3, 72, BF16 },
  { 3, 70, 2, 16, LARGE_BF16 },
};

/* cuDNN, which has engines for widths that are multiples of 8, rounds to bf16; a rounding is off by up to 2⁻⁸ of a
 * number. Weights are rounded, and the result. Inputs that bf16 does not hold are too, which moves scores and
 * values both ways: half as much by chance. Where one key takes it all, that may then be another key: its value
 * is at most 3.5 · 1e12, the row's largest no less than 1e12. */
static double
tiles_tolerance (const Run *r, const TilesCase *c)
{
  const bool by_cudnn = strstr (run_ops (r)->isa, "cudnn") && c->d % 8 == 0;

  if (!by_cudnn || c->spread == ZEROS)
    return 3e-6;
  if (c->spread == LARGE)
    return 7;
  return (c->spread == BF16 || c->spread == LARGE_BF16 ? 2 : 2.5) * 0x1p-8;
}

static void
run_tiles (Run *r, int i)
{
  const TilesCase *c = &tiles_cases[i];
  const size_t tile = (size_t) c->P * c->H * c->d;
  const float *qkv = run_floats (r, c->N * 3 * tile, c->spread);
  float *out = run_output (r, c->N * c->P, c->H * c->d, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, tiles_tolerance (r, c), "N=%d P=%d H=%d d=%d", c->N, c->P, c->H, c->d);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, c->N)) > 0; t += n)
      k->attend_tiles (k, out + t * tile, qkv + t * 3 * tile, n, c->P, c->H, c->d);
}

/* --- pages --------------------------------------------------------------------------------------- */

typedef struct {
  int T;         /* rows */
  int sequences; /* that they are dealt to */
  int last;      /* the highest position, of a sequence's last row */
  int page_tokens;
  int H, kv_heads, dk, dv;
  int pad;    /* floats of a row behind the last head */
  bool mla;   /* values are the start of the keys */
  bool mixed; /* rows in no order */
  Spread spread;
} PagesCase;

/* clang-format off */
static const PagesCase pages_cases[] = {
  /* T  seq  last page   H  kv   dk   dv */
  {  1,  1,    0,   1,   1,  1,   1,   1 },
  {  0,  1,    5,   4,   2,  1,   8,   8 },
  {  1,  1, 1500,  64,  10, 10, 128, 128 },                    /* Tiny, decoding */
  {  1,  1,  700,  16,  16,  1, 576, 512, 0, true },           /* Small, decoding */
  { 16, 16,  130,  16,   4,  4,  32,  32 },                    /* cameras */
  { 70,  1,   69,  16,   3,  3,  24,  24 },                    /* a prompt */
  { 90,  1,  200,   7,   2,  2,  33,  17 },                    /* the rest of one, tails everywhere */
  { 21,  3,  100,   5,   6,  2,  13,  21, 3 },                 /* grouped queries */
  { 40,  2,  129,  64,   5,  1,  80,  64, 0, true },
  { 33,  4,   70,   3,   2,  2,  16,  40, 0, false, true },
  { 67,  1,   66,  64, 130,  2,   8,   4 },                    /* more heads than a piece of work has rows */
  {  9,  2,   20,   8,   2,  1, 300, 1030 },
  {  5,  1,   70,  16,  16,  1, 576, 512, 0, true },           /* Small, a chunk across a split */
  {  3,  3,  150,  16,   8,  2,  40,  40 },                    /* grouped queries, decoding */
  {  9,  1,  129,  16,   4,  2, 160, 200, 4 },
  {  2,  1,   66,  16,   2,  1, 400, 512 },
  { 30,  1,   80,  16,   2,  2,  16,  16, 0, false, false, ZEROS },
  { 30,  1,   80,  16,   2,  2,  16,  16, 0, false, false, TINY },
  { 30,  1,   80,  16,   2,  2,  16,  16, 0, false, true, LARGE },
};
/* clang-format on */

enum { MAX_T = 128, MAX_PAGES = 1024 };

typedef struct {
  int pages_per_sequence, pages; /* the last page of a sequence's list is none of its own */
  int32_t position[MAX_T], sequence[MAX_T], page[MAX_PAGES];
  StepRows rows;
} Step;

/* Sequence s ends at position last − s; its rows are the last ones before that. */
static void
deal_rows (Run *r, Step *s, const PagesCase *c)
{
  for (int t = c->T - 1; t >= 0; t--) {
    const int q = s->sequence[t] = t * c->sequences / c->T;

    s->position[t] = t < c->T - 1 && s->sequence[t + 1] == q ? s->position[t + 1] - 1 : c->last - q;
  }
  for (int t = c->T - 1; c->mixed && t > 0; t--) {
    const int other = run_random (r, t + 1);
    const int32_t position = s->position[t], sequence = s->sequence[t];

    s->position[t] = s->position[other];
    s->sequence[t] = s->sequence[other];
    s->position[other] = position;
    s->sequence[other] = sequence;
  }
}

/* Pages of the pool in no order. */
static void
make_step (Run *r, Step *s, const PagesCase *c)
{
  const int own = c->last / c->page_tokens + 1;

  s->pages_per_sequence = own + 1;
  s->pages = c->sequences * own;
  deal_rows (r, s, c);
  for (int i = 0; i < c->sequences * s->pages_per_sequence; i++) {
    const int q = i / s->pages_per_sequence, j = i % s->pages_per_sequence;

    s->page[i] = j < own ? (j * c->sequences + c->sequences - 1 - q) : INT32_MAX / 2;
  }
  s->rows = (StepRows){
    .T = c->T,
    .singles = c->T <= c->sequences ? c->T : 0,
    .reach = c->page_tokens % 2 ? 0 : c->last + 1,
    .position = run_input (r, s->position, c->T * sizeof (int32_t), sizeof (int32_t)),
    .sequence = run_input (r, s->sequence, c->T * sizeof (int32_t), sizeof (int32_t)),
    .pages = run_input (r, s->page, c->sequences * s->pages_per_sequence * sizeof (int32_t),
        sizeof (int32_t)),
    .pages_per_sequence = s->pages_per_sequence,
    .page_tokens = c->page_tokens,
  };
}

static StepRows
some_rows (const Step *s, int t, int n)
{
  StepRows rows = s->rows;

  rows.T = n;
  rows.singles = rows.singles > t ? (rows.singles - t < n ? rows.singles - t : n) : 0;
  rows.position += t;
  rows.sequence += t;
  return rows;
}

/* A pool that holds NaN wherever no sequence has a token yet. */
static const float *
make_pool (Run *r, const Step *s, const PagesCase *c, int width)
{
  const float scale = c->spread == ZEROS   ? 0
                      : c->spread == LARGE ? 1e12f
                      : c->spread == TINY  ? 1e-37f
                                           : 1;
  const size_t floats = (size_t) s->pages * c->page_tokens * width;
  float *host = malloc (floats * sizeof *host);
  const float *pool;

  for (size_t i = 0; i < floats; i++)
    host[i] = NAN;
  for (int q = 0; q < c->sequences; q++)
    for (int p = 0; p <= c->last - q; p++) {
      const int page = s->page[q * s->pages_per_sequence + p / c->page_tokens];
      float *row = host + ((size_t) page * c->page_tokens + p % c->page_tokens) * width;

      for (int i = 0; i < width; i++)
        row[i] = run_random_float (r) * scale;
    }
  pool = run_input (r, host, floats * sizeof *host, sizeof *host);
  free (host);
  return pool;
}

static void
run_attend (Run *r, int i)
{
  const PagesCase *c = &pages_cases[i];
  const int T = c->T, H = c->H, dk = c->dk, dv = c->dv;
  const AttentionShape shape = { H, c->kv_heads, dk, dv, c->kv_heads * dk + c->pad,
    c->mla ? c->kv_heads * dk + c->pad : c->kv_heads * dv + c->pad, 1 / sqrtf (dk) };
  const float *q = run_floats (r, (size_t) T * H * dk, c->spread), *k_pool, *v_pool;
  float *out = run_output (r, T, H * dv, NORMAL);
  Ops *k = run_ops (r);
  void *scratch;
  Step s;

  make_step (r, &s, c);
  scratch = run_scratch (r, attend_scratch (&shape, s.rows.singles > 1 ? s.rows.singles : 1,
                                s.pages_per_sequence * c->page_tokens));
  k_pool = make_pool (r, &s, c, shape.k_width);
  v_pool = c->mla ? k_pool : make_pool (r, &s, c, shape.v_width);
  run_case (r, 5e-6, "T=%d of %d, to %d, pages of %d, H=%d/%d dk=%d dv=%d%s%s", T, c->sequences,
      c->last, c->page_tokens, H, c->kv_heads, dk, dv, c->mla ? " mla" : "", c->mixed ? " mixed" : "");
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n) {
      const StepRows rows = some_rows (&s, t, n);

      k->attend (k, out + (size_t) t * H * dv, q + (size_t) t * H * dk, k_pool, v_pool, &shape, &rows,
          scratch);
    }
}

static void
run_kv_write (Run *r, int i)
{
  const PagesCase *c = &pages_cases[i];
  const int T = c->T, width = c->kv_heads * c->dk, x_row = width + c->pad;
  const float *x = run_floats (r, (size_t) T * x_row - c->pad, c->spread);
  Ops *k = run_ops (r);
  float *pool;
  Step s;

  make_step (r, &s, c);
  pool = run_output (r, s.pages * c->page_tokens, width, NORMAL);
  run_case (r, 0, "T=%d of %d, pages of %d, width %d of %d", T, c->sequences, c->page_tokens, width,
      x_row);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n) {
      const StepRows rows = some_rows (&s, t, n);

      k->kv_write (k, pool, x + (size_t) t * x_row, x_row, width, &rows);
    }
}

/* --- speed --------------------------------------------------------------------------------------- */

static void
bench_tiles (Run *r, int i)
{
  const int N = 1, P = 729, H = 16, d = 72;
  const float *qkv = run_floats (r, (size_t) N * P * 3 * H * d, NORMAL);
  float *out = run_output (r, N * P, H * d, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "N=%d P=%d H=%d d=%d", N, P, H, d);
  run_cost (r, 4.0 * N * P * P * H * d, 0);
  while (run_again (r))
    k->attend_tiles (k, out, qkv, N, P, H, d);
}

/* clang-format off */
static const PagesCase pages_bench[] = {
  {   1,  1, 4095, 64, 10, 10, 128, 128 },
  {   1,  1, 4095, 64, 16,  1, 576, 512, 0, true },
  { 128,  1, 1023, 64, 10, 10, 128, 128 },
  { 128,  1, 1023, 64, 16,  1, 576, 512, 0, true },
};
/* clang-format on */

static void
bench_attend (Run *r, int i)
{
  const PagesCase *c = &pages_bench[i];
  const int T = c->T, H = c->H;
  const AttentionShape shape = { H, c->kv_heads, c->dk, c->dv, c->kv_heads * c->dk,
    c->kv_heads * (c->mla ? c->dk : c->dv), 1 / sqrtf (c->dk) };
  const float *q = run_floats (r, (size_t) T * H * c->dk, NORMAL);
  float *out = run_output (r, T, H * c->dv, NORMAL);
  Ops *k = run_ops (r);
  Step s;

  make_step (r, &s, c);
  {
    const size_t rows = (size_t) s.pages * c->page_tokens;
    const float *k_pool = run_floats (r, rows * shape.k_width, NORMAL);
    const float *v_pool = c->mla ? k_pool : run_floats (r, rows * shape.v_width, NORMAL);

    void *scratch = run_scratch (r, attend_scratch (&shape, 1, rows));

    run_case (r, 0, "T=%d to %d H=%d/%d dk=%d dv=%d", T, c->last, H, c->kv_heads, c->dk, c->dv);
    run_cost (r, 2.0 * T * (c->last + 1 - T / 2) * H * (c->dk + c->dv),
        T > 1 ? 0 : 4.0 * (c->last + 1) * (shape.k_width + (c->mla ? 0 : shape.v_width)));
    while (run_again (r))
      k->attend (k, out, q, k_pool, v_pool, &shape, &s.rows, scratch);
  }
}

const OpCheck attention_checks[] = {
  { "attend_tiles", run_tiles, COUNT (tiles_cases), bench_tiles, 1 },
  { "kv_write", run_kv_write, COUNT (pages_cases) },
  { "attend", run_attend, COUNT (pages_cases), bench_attend, COUNT (pages_bench) },
  { NULL },
};
