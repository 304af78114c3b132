/* dsvl2: cases of layer_norm and rms_norm
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#define COUNT(table) (sizeof table / sizeof table[0])

typedef struct {
  int T, D;
  int row; /* rms_norm's; 0: D */
  bool in_place;
  Spread spread;
} NormCase;

static const NormCase layer_cases[] = {
  { 0, 5 },
  { 1, 1 },
  { 1, 1152 },
  { 7, 33 },
  { 100, 160, 0, true },
  { 35, 15, 0, true },
  { 3, 16 },
  { 17, 65, 0, false, LARGE },
  { 17, 65, 0, false, TINY },
  { 17, 65, 0, false, ZEROS },
  { 40, 65, 0, true, SOME_NAN },
};

static const NormCase rms_cases[] = {
  { 0, 5 },
  { 1, 1 },
  { 1, 1280 },
  { 7, 33, 40, true }, /* a latent beside its rope, in place */
  { 65, 512, 576, true },
  { 35, 15, 16, false },
  { 3, 2560 },
  { 17, 65, 70, false, LARGE },
  { 17, 65, 70, false, TINY },
  { 17, 65, 0, false, ZEROS },
  { 40, 65, 67, true, SOME_NAN },
};

static void
run_layer (Run *r, int i)
{
  const NormCase *c = &layer_cases[i];
  const int T = c->T, D = c->D;
  Ops *k = run_ops (r);
  float *y = run_output (r, T, D, c->in_place ? c->spread : NORMAL);
  const float *x = c->in_place ? y : run_floats (r, (size_t) T * D, c->spread);
  const float *gamma = run_floats (r, D, NORMAL), *beta = run_floats (r, D, NORMAL);

  run_case (r, 3e-6, "T=%d D=%d%s", T, D, c->in_place ? " in place" : "");
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
      k->layer_norm (k, y + (size_t) t * D, x + (size_t) t * D, gamma, beta, 1e-6f, n, D);
}

static void
run_rms (Run *r, int i)
{
  const NormCase *c = &rms_cases[i];
  const int T = c->T, D = c->D, row = c->row ? c->row : D;
  Ops *k = run_ops (r);
  float *y = run_output (r, T, row, c->in_place ? c->spread : NORMAL);
  const float *x = c->in_place ? y : run_floats (r, (size_t) T * row - (row - D), c->spread);
  const float *gamma = run_floats (r, D, NORMAL);

  run_case (r, 2e-6, "T=%d D=%d row=%d%s", T, D, row, c->in_place ? " in place" : "");
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
      k->rms_norm (k, y + (size_t) t * row, x + (size_t) t * row, gamma, 1e-6f, n, D, row);
}

static void
bench_norm (Run *r, int i)
{
  const int T = i ? 729 : 1, D = 1280;
  const float *x = run_floats (r, (size_t) T * D, NORMAL), *gamma = run_floats (r, D, NORMAL);
  float *y = run_output (r, T, D, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "T=%d D=%d", T, D);
  run_cost (r, 0, 4.0 * T * D);
  while (run_again (r))
    if (i < 2)
      k->rms_norm (k, y, x, gamma, 1e-6f, T, D, D);
    else
      k->layer_norm (k, y, x, gamma, gamma, 1e-6f, T, D);
}

const OpCheck norm_checks[] = {
  { "layer_norm", run_layer, COUNT (layer_cases) },
  { "rms_norm", run_rms, COUNT (rms_cases), bench_norm, 3 }, /* the third is layer_norm */
  { NULL },
};
