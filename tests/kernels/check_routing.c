/* dsvl2: cases of moe_route
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof table / sizeof table[0])

typedef struct {
  int T;
  Route route;
  bool bias;
  Spread spread;
} RouteCase;

/* clang-format off */
static const RouteCase route_cases[] = {
  /* T    E  K  score          method               groups, best  normalize scale */
  {  1, { 64, 6, ROUTE_SOFTMAX, ROUTE_GREEDY,        1, 1, false, 1 } },         /* Tiny and Small */
  {  0, { 64, 6, ROUTE_SOFTMAX, ROUTE_GREEDY,        1, 1, false, 1 } },
  { 13, { 72, 6, ROUTE_SIGMOID, ROUTE_NOAUX_TC,      1, 1, true,  2 }, true },   /* VL2 */
  { 13, { 72, 6, ROUTE_SIGMOID, ROUTE_NOAUX_TC,      8, 3, true,  2.5f }, true },
  { 13, { 64, 6, ROUTE_SOFTMAX, ROUTE_GROUP_LIMITED, 8, 3, false, 16 } },
  { 20, {  7, 7, ROUTE_SOFTMAX, ROUTE_GREEDY,        1, 1, true,  1 } },
  { 20, {  9, 2, ROUTE_SIGMOID, ROUTE_NOAUX_TC,      9, 3, true,  1 }, true },
  { 20, {  1, 1, ROUTE_SOFTMAX, ROUTE_GREEDY,        1, 1, true,  3 } },
  { 20, { 64, 6, ROUTE_SOFTMAX, ROUTE_GREEDY,        1, 1, true,  1 }, false, ZEROS },
  { 20, { 64, 6, ROUTE_SOFTMAX, ROUTE_GREEDY,        1, 1, true,  1 }, false, LARGE },
  { 20, { 64, 6, ROUTE_SOFTMAX, ROUTE_GROUP_LIMITED, 8, 2, true,  1 }, false, SOME_NAN },
  { 20, { 64, 6, ROUTE_SIGMOID, ROUTE_NOAUX_TC,      8, 2, true,  1 }, true,  SOME_NAN },
  {  3, { OPS_MAX_EXPERTS, 9, ROUTE_SIGMOID, ROUTE_NOAUX_TC, 64, 5, true, 1 }, true },
};
/* clang-format on */

static void
run_route (Run *r, int i)
{
  const RouteCase *c = &route_cases[i];
  const int T = c->T, E = c->route.E, K = c->route.K;
  const float *logits = run_floats (r, (size_t) T * E, c->spread);
  const float *bias = c->bias ? run_floats (r, E, NORMAL) : NULL;
  int32_t *ids = run_output_ints (r, T, K);
  float *weights = run_output (r, T, K, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 1e-6, "T=%d E=%d K=%d method %d, %d of %d groups", T, E, K, c->route.method,
      c->route.top_groups, c->route.groups);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
      k->moe_route (k, ids + t * K, weights + t * K, logits + (size_t) t * E, bias, &c->route, n);
}

/* --- by hand ------------------------------------------------------------------------------------- */

enum { E = 6 };

/* Scores are chosen rather than logits: softmax's sum to 1. */
typedef struct {
  const char *what;
  Route route;
  float scores[E], bias[E];
  int32_t ids[4];
  float weights[4];
} Expected;

/* clang-format off */
static const Expected expected[] = {
  { "the lower of equals first", { E, 3, ROUTE_SOFTMAX, ROUTE_GREEDY, 1, 1, false, 1 },
    { .1f, .2f, .3f, .1f, .2f, .1f }, { 0 }, { 2, 1, 4 }, { .3f, .2f, .2f } },
  { "normalised, then scaled", { E, 2, ROUTE_SOFTMAX, ROUTE_GREEDY, 1, 1, true, 2 },
    { .1f, .2f, .3f, .1f, .2f, .1f }, { 0 }, { 2, 1 }, { 1.2f, .8f } },
  { "scaled where not normalised", { E, 2, ROUTE_SOFTMAX, ROUTE_GREEDY, 1, 1, false, 16 },
    { .1f, .2f, .3f, .1f, .2f, .1f }, { 0 }, { 2, 1 }, { 4.8f, 3.2f } },
  { "one expert is not normalised", { E, 1, ROUTE_SOFTMAX, ROUTE_GREEDY, 1, 1, true, 2 },
    { .1f, .2f, .3f, .1f, .2f, .1f }, { 0 }, { 2 }, { .6f } },
  { "a group counts by its best", { E, 2, ROUTE_SOFTMAX, ROUTE_GROUP_LIMITED, 3, 1, false, 1 },
    { .2f, .2f, .3f, .05f, .15f, .1f }, { 0 }, { 2, 3 }, { .3f, .05f } },
  { "of equal groups the first", { E, 2, ROUTE_SOFTMAX, ROUTE_GROUP_LIMITED, 3, 1, false, 1 },
    { .1f, .1f, .1f, .3f, .3f, .1f }, { 0 }, { 3, 2 }, { .3f, .1f } },
  { "masked experts fill up, weighing nothing", { E, 4, ROUTE_SOFTMAX, ROUTE_GROUP_LIMITED, 3, 1, true, 1 },
    { .2f, .2f, .3f, .1f, .1f, .1f }, { 0 }, { 2, 3, 0, 1 }, { .75f, .25f, 0, 0 } },
  { "the bias selects, it does not weigh", { E, 2, ROUTE_SIGMOID, ROUTE_NOAUX_TC, 1, 1, false, 1 },
    { .1f, .2f, .3f, .4f, .5f, .6f }, { .9f, 0, 0, 0, 0, -.2f }, { 0, 4 }, { .1f, .5f } },
  { "no bias", { E, 2, ROUTE_SIGMOID, ROUTE_NOAUX_TC, 1, 1, true, 1 },
    { .1f, .2f, .3f, .4f, .5f, .5f }, { NAN }, { 4, 5 }, { .5f, .5f } },
  { "a group counts by its two best", { E, 2, ROUTE_SIGMOID, ROUTE_NOAUX_TC, 2, 1, true, 1 },
    { .9f, .1f, .1f, .6f, .6f, .1f }, { 0 }, { 3, 4 }, { .5f, .5f } },
  { "a masked expert beats a negative choice, and weighs", { E, 2, ROUTE_SIGMOID, ROUTE_NOAUX_TC, 3, 1, false, 1 },
    { .5f, .25f, .5f, .5f, .5f, .5f }, { 0, -.5f, -2, 0, -2, 0 }, { 0, 2 }, { .5f, .5f } },
  { "groups of one", { E, 2, ROUTE_SIGMOID, ROUTE_NOAUX_TC, 6, 2, false, 1 },
    { .5f, .25f, .7f, .6f, .5f, .5f }, { 0 }, { 2, 3 }, { .7f, .6f } },
};
/* clang-format on */

static void
check_one (Ops *k, const Expected *e, int *n, int *failed)
{
  const int K = e->route.K;
  int32_t ids[4] = { 0 }, *ids_out = copy_in (k, ids, sizeof ids);
  float logits[E], weights[4] = { 0 }, *weights_out = copy_in (k, weights, sizeof weights);
  float *in, *bias = isnan (e->bias[0]) ? NULL : copy_in (k, e->bias, sizeof e->bias);
  bool pass;

  for (int i = 0; i < E; i++)
    logits[i] = e->route.score == ROUTE_SOFTMAX ? logf (e->scores[i]) : -logf (1 / e->scores[i] - 1);
  in = copy_in (k, logits, sizeof logits);
  k->moe_route (k, ids_out, weights_out, in, bias, &e->route, 1);
  k->download (k, ids, ids_out, sizeof ids);
  k->download (k, weights, weights_out, sizeof weights);
  pass = memcmp (ids, e->ids, K * sizeof *ids) == 0;
  for (int i = 0; i < K; i++)
    pass &= fabsf (weights[i] - e->weights[i]) <= 2e-6f;
  printf ("%s moe_route/%s %s:", pass ? "ok" : "not ok", k->isa, e->what);
  for (int i = 0; i < K; i++)
    printf (" %d × %g", ids[i], weights[i]);
  printf ("\n");
  *failed += !pass;
  ++*n;
  for (void **p = (void *[]){ ids_out, weights_out, in, NULL }; *p; p++)
    k->free (k, *p);
  k->free (k, bias);
}

/* NaN poisons the weights; the experts are there all the same, each once. */
static void
check_nan (Ops *k, int *n, int *failed)
{
  static const Route route = { E, 4, ROUTE_SOFTMAX, ROUTE_GROUP_LIMITED, 3, 2, true, 1 };
  static const float logits[E] = { 0, NAN, 1, NAN, 2, 3 };
  float *in = copy_in (k, logits, sizeof logits), *weights = k->alloc (k, 4 * sizeof *weights);
  int32_t *ids = k->alloc (k, 4 * sizeof *ids), got[4];
  unsigned set = 0;

  k->moe_route (k, ids, weights, in, NULL, &route, 1);
  k->download (k, got, ids, sizeof got);
  for (int i = 0; i < 4; i++)
    if (got[i] >= 0 && got[i] < E)
      set |= 1u << got[i];
  printf ("%s moe_route/%s NaN: experts %d %d %d %d\n", __builtin_popcount (set) == 4 ? "ok" : "not ok",
      k->isa, got[0], got[1], got[2], got[3]);
  *failed += __builtin_popcount (set) != 4;
  ++*n;
  k->free (k, in);
  k->free (k, weights);
  k->free (k, ids);
}

static void
check_by_hand (Ops *k, int *n, int *failed)
{
  for (size_t i = 0; i < COUNT (expected); i++)
    check_one (k, &expected[i], n, failed);
  check_nan (k, n, failed);
}

static void
bench_route (Run *r, int i)
{
  const int T = i ? 512 : 1;
  const Route *route = &route_cases[0].route;
  const float *logits = run_floats (r, (size_t) T * route->E, NORMAL);
  int32_t *ids = run_output_ints (r, T, route->K);
  float *weights = run_output (r, T, route->K, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "T=%d E=64 K=6", T);
  while (run_again (r))
    k->moe_route (k, ids, weights, logits, NULL, route, T);
}

const OpCheck routing_checks[] = {
  { "moe_route", run_route, COUNT (route_cases), bench_route, 2, check_by_hand },
  { NULL },
};
