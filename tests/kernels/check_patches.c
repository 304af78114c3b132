/* dsvl2: cases of patchify and unfold
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof table / sizeof table[0])

static const struct {
  int N, S, p;
} patchify_cases[] = { { 0, 28, 14 }, { 1, 1, 1 }, { 1, 28, 14 }, { 3, 9, 3 }, { 2, 70, 14 },
  { 1, 128, 16 }, { 4, 10, 2 }, { 1, 29, 14 } /* a margin that no patch covers */ };

static void
run_patchify (Run *r, int i)
{
  const int N = patchify_cases[i].N, S = patchify_cases[i].S, p = patchify_cases[i].p,
            P = (S / p) * (S / p);
  const size_t tile = (size_t) 3 * S * S, patch = (size_t) 3 * p * p;
  const float *tiles = run_floats (r, N * tile, NORMAL);
  float *y = run_output (r, N * P, patch, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "N=%d S=%d p=%d", N, S, p);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, N)) > 0; t += n)
      k->patchify (k, y + t * P * patch, tiles + t * tile, n, S, p);
}

static const struct {
  int N, h, w, C, f;
} unfold_cases[] = { { 0, 3, 3, 4, 2 }, { 1, 1, 1, 1, 1 }, { 1, 1, 1, 3, 2 }, { 2, 5, 5, 7, 2 },
  { 1, 27, 27, 64, 2 }, { 3, 4, 6, 33, 2 }, { 2, 7, 5, 3, 3 }, { 1, 2, 3, 5, 4 } };

static void
run_unfold (Run *r, int i)
{
  const int N = unfold_cases[i].N, h = unfold_cases[i].h, w = unfold_cases[i].w, C = unfold_cases[i].C;
  const int f = unfold_cases[i].f, P = ((h + f - 1) / f) * ((w + f - 1) / f);
  const float *x = run_floats (r, (size_t) N * h * w * C, NORMAL);
  float *y = run_output (r, N * P, C * f * f, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "N=%d %dx%d C=%d f=%d", N, h, w, C, f);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, N)) > 0; t += n)
      k->unfold (k, y + (size_t) t * P * C * f * f, x + (size_t) t * h * w * C, n, h, w, C, f);
}

/* By hand: 3 × 3 points of two features, c and 10 + c, folded by 2. */
static void
check_order (Ops *k, int *n, int *failed)
{
  static const float x[18] = { 1, 11, 2, 12, 3, 13, 4, 14, 5, 15, 6, 16, 7, 17, 8, 18, 9, 19 };
  static const float expected[32] = { 1, 2, 4, 5, 11, 12, 14, 15, 3, 0, 6, 0, 13, 0, 16, 0, 7, 8, 0, 0,
    17, 18, 0, 0, 9, 0, 0, 0, 19, 0, 0, 0 };
  float *in = copy_in (k, x, sizeof x), *y = k->alloc (k, sizeof expected), got[32];
  bool pass;

  k->unfold (k, y, in, 1, 3, 3, 2, 2);
  k->download (k, got, y, sizeof got);
  pass = memcmp (got, expected, sizeof got) == 0;
  printf ("%s unfold/%s features are channel-major, the margin is 0\n", pass ? "ok" : "not ok", k->isa);
  *failed += !pass;
  ++*n;
  k->free (k, in);
  k->free (k, y);
}

static void
bench_patchify (Run *r, int i)
{
  const int N = 9, S = 384, p = 14, P = 729;
  const float *tiles = run_floats (r, (size_t) N * 3 * S * S, NORMAL);
  float *y = run_output (r, N * P, 3 * p * p, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "N=%d S=%d p=%d", N, S, p);
  run_cost (r, 0, 12.0 * N * S * S);
  while (run_again (r))
    k->patchify (k, y, tiles, N, S, p);
}

static void
bench_unfold (Run *r, int i)
{
  const int N = 9, h = 27, C = 1152;
  const float *x = run_floats (r, (size_t) N * h * h * C, NORMAL);
  float *y = run_output (r, N * 14 * 14, C * 4, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "N=%d %dx%d C=%d f=2", N, h, h, C);
  run_cost (r, 0, 4.0 * N * h * h * C);
  while (run_again (r))
    k->unfold (k, y, x, N, h, h, C, 2);
}

const OpCheck patches_checks[] = {
  { "patchify", run_patchify, COUNT (patchify_cases), bench_patchify, 1 },
  { "unfold", run_unfold, COUNT (unfold_cases), bench_unfold, 1, check_order },
  { NULL },
};
