/* dsvl2: cases of gather_rows, add_rows and silu_mul
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof table / sizeof table[0])

/* --- gather_rows --------------------------------------------------------------------------------- */

typedef struct {
  int T, R, D;
  WeightType type;
  Spread spread;
} GatherCase;

static const GatherCase gather_cases[] = {
  { 0, 2, 3, WEIGHT_F32 },
  { 1, 1, 1, WEIGHT_F32 },
  { 7, 11, 33, WEIGHT_F32 },
  { 9, 5, 129, WEIGHT_BF16 },
  { 8, 100, 64, WEIGHT_F16 },
  { 5, 9, 31, WEIGHT_F16, TINY },
  { 5, 9, 31, WEIGHT_BF16, SOME_NAN },
};

/* Every third row is to stay as it is. */
static void
run_gather (Run *r, int i)
{
  const GatherCase *c = &gather_cases[i];
  Ops *k = run_ops (r);
  const Weight table = run_weight (r, c->type, c->R, c->D, c->spread);
  float *y = run_output (r, c->T, c->D, NORMAL);
  int32_t host[16];
  const int32_t *ids;

  for (int t = 0; t < c->T; t++)
    host[t] = t % 3 == 2 ? -1 : run_random (r, c->R);
  ids = run_input (r, host, c->T * sizeof *host, sizeof *host);
  run_case (r, 0, "T=%d of %d D=%d type %d", c->T, c->R, c->D, c->type);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, c->T)) > 0; t += n)
      k->gather_rows (k, y + t * c->D, &table, ids + t, n);
}

/* By hand: rows without an id stay. */
static void
check_gather (Ops *k, int *n, int *failed)
{
  static const float numbers[4] = { 1, 2, 3, 4 }, before[6] = { 9, 9, 9, 9, 9, 9 };
  static const float expected[6] = { 3, 4, 9, 9, 1, 2 };
  static const int32_t ids[3] = { 1, -1, 0 };
  const Weight table = {
    .data = copy_in (k, numbers, sizeof numbers), .type = WEIGHT_F32, .O = 2, .I = 2
  };
  float *y = copy_in (k, before, sizeof before), got[6];
  int32_t *ids_in = copy_in (k, ids, sizeof ids);
  bool pass;

  k->gather_rows (k, y, &table, ids_in, 3);
  k->download (k, got, y, sizeof got);
  pass = memcmp (got, expected, sizeof got) == 0;
  printf ("%s gather_rows/%s a row without an id stays\n", pass ? "ok" : "not ok", k->isa);
  *failed += !pass;
  ++*n;
  k->free (k, (void *) table.data);
  k->free (k, y);
  k->free (k, ids_in);
}

/* --- add_rows ------------------------------------------------------------------------------------ */

/* Rows at once only: which row of the table is added hangs on t. */
static const struct {
  int T, R, D;
} add_cases[] = { { 0, 1, 7 }, { 1, 1, 1 }, { 7, 3, 33 }, { 50, 25, 48 }, { 3, 5, 20000 },
  { 18, 9, 1152 } };

static void
run_add (Run *r, int i)
{
  const int T = add_cases[i].T, R = add_cases[i].R, D = add_cases[i].D;
  const float *table = run_floats (r, (size_t) R * D, NORMAL);
  float *x = run_output (r, T, D, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "T=%d R=%d D=%d", T, R, D);
  while (run_again (r))
    k->add_rows (k, x, table, T, R, D);
}

/* --- silu_mul ------------------------------------------------------------------------------------ */

typedef struct {
  int T, F;
  enum { APART, IN_GATE, IN_UP } where;
  Spread spread;
} SiluCase;

static const SiluCase silu_cases[] = {
  { 0, 9, APART },
  { 1, 1, APART },
  { 1, 896, APART },
  { 7, 33, IN_GATE },
  { 5, 16, IN_UP },
  { 40, 1408, IN_GATE },
  { 3, 40001, APART },
  { 9, 77, APART, LARGE },
  { 9, 77, APART, TINY },
  { 9, 77, APART, ZEROS },
  { 9, 77, APART, SOME_NAN },
};

static void
run_silu (Run *r, int i)
{
  const SiluCase *c = &silu_cases[i];
  const size_t n_floats = (size_t) c->T * c->F;
  Ops *k = run_ops (r);
  float *y = run_output (r, c->T, c->F, c->where == APART ? NORMAL : c->spread);
  const float *gate = c->where == IN_GATE ? y : run_floats (r, n_floats, c->spread);
  const float *up = c->where == IN_UP ? y : run_floats (r, n_floats, c->spread);

  run_case (r, 1e-6, "T=%d F=%d%s", c->T, c->F,
      c->where == IN_GATE ? " in place of gate"
      : c->where == IN_UP ? " in place of up"
                          : "");
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, c->T)) > 0; t += n) {
      const size_t at = (size_t) t * c->F;

      k->silu_mul (k, y + at, gate + at, up + at, n, c->F);
    }
}

/* Number by number over all that e^x can be: rows' largest values would hide the small ones. */
static void
check_silu (Ops *k, int *n, int *failed)
{
  enum { F = 17500 };
  float *host = malloc (3 * F * sizeof *host), *gate, *up, *y;
  double worst = 0;

  for (int i = 0; i < F; i++) {
    host[i] = (i - F / 2) * 0.01f;
    host[F + i] = 1;
  }
  gate = copy_in (k, host, F * sizeof *host);
  up = copy_in (k, host + F, F * sizeof *host);
  y = k->alloc (k, F * sizeof *host);
  k->silu_mul (k, y, gate, up, 1, F);
  k->download (k, host + 2 * F, y, F * sizeof *host);
  for (int i = 0; i < F; i++) {
    const double want = host[i] / (1 + exp (-(double) host[i]));

    if (want != 0)
      worst = fmax (worst, fabs (host[2 * F + i] / want - 1));
  }
  printf ("%s silu_mul/%s from -87 to 87, worst %.2g of each number\n", worst < 5e-7 ? "ok" : "not ok",
      k->isa, worst);
  *failed += !(worst < 5e-7);
  ++*n;
  for (float **p = (float *[]){ gate, up, y, NULL }; *p; p++)
    k->free (k, *p);
  free (host);
}

/* --- speed --------------------------------------------------------------------------------------- */

static void
bench_add (Run *r, int i)
{
  const float *table = run_floats (r, 729 * 1152, NORMAL);
  float *x = run_output (r, 9 * 729, 1152, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "T=9*729 D=1152");
  run_cost (r, 0, 9.0 * 729 * 1152 * 4);
  while (run_again (r))
    k->add_rows (k, x, table, 9 * 729, 729, 1152);
}

static void
bench_silu (Run *r, int i)
{
  const int T = i ? 512 : 1, F = 6848;
  const float *gate = run_floats (r, (size_t) T * F, NORMAL),
              *up = run_floats (r, (size_t) T * F, NORMAL);
  float *y = run_output (r, T, F, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "T=%d F=%d", T, F);
  run_cost (r, 0, 8.0 * T * F);
  while (run_again (r))
    k->silu_mul (k, y, gate, up, T, F);
}

const OpCheck rows_checks[] = {
  { "gather_rows", run_gather, COUNT (gather_cases), NULL, 0, check_gather },
  { "add_rows", run_add, COUNT (add_cases), bench_add, 1 },
  { "silu_mul", run_silu, COUNT (silu_cases), bench_silu, 2, check_silu },
  { NULL },
};
