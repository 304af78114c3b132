/* dsvl2: cases of argmax
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof table / sizeof table[0])

static const struct {
  int T, V;
  Spread spread;
} argmax_cases[] = { { 1, 1 }, { 0, 5 }, { 1, 129280 }, { 7, 33 }, { 16, 1056 }, { 5, 15 }, { 3, 1025 },
  { 9, 97, ZEROS }, { 3, 5000, ZEROS }, { 9, 97, TINY }, { 9, 97, LARGE }, { 20, 77, SOME_NAN } };

static void
run_argmax (Run *r, int i)
{
  const int T = argmax_cases[i].T, V = argmax_cases[i].V;
  const float *logits = run_floats (r, (size_t) T * V, argmax_cases[i].spread);
  int32_t *ids = run_output_ints (r, T, 1);
  float *logprobs = run_output (r, T, 1, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 3e-6, "T=%d V=%d", T, V);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
      k->argmax (k, ids + t, logprobs + t, logits + (size_t) t * V, n, V);
}

/* By hand: 20 logits of `fill`, but for two of them. */
static const struct {
  const char *what;
  float fill, x;
  int a, b; /* where x is */
  int id;
  float logprob;
} edges[] = {
  { "the lowest index of equals", 0, 5, 3, 17, 3, -0.7520206f },
  { "all equal", 2, 2, 3, 17, 0, -2.995732f },
  { "NaN is no number", 0, NAN, 0, 19, 1, -2.890372f },
  { "nothing but NaN", NAN, NAN, 0, 1, 0, -INFINITY },
  { "nothing but -inf", -INFINITY, -INFINITY, 0, 1, 0, -INFINITY },
  { "-inf and NaN", -INFINITY, NAN, 0, 1, 0, -INFINITY },
  { "one number", -INFINITY, -3, 18, 18, 18, 0 },
  { "+inf", 1, INFINITY, 16, 19, 16, 0 },
  { "far apart", -1e30f, 1e30f, 9, 9, 9, 0 },
};

static void
check_edges (Ops *k, int *n, int *failed)
{
  enum { V = 20 };

  for (size_t i = 0; i < COUNT (edges); i++) {
    float logits[V], logprob, zero = 0;
    int32_t id;
    float *in, *out = copy_in (k, &zero, sizeof zero);
    int32_t *ids = copy_in (k, &zero, sizeof zero);
    bool pass;

    for (int v = 0; v < V; v++)
      logits[v] = v == edges[i].a || v == edges[i].b ? edges[i].x : edges[i].fill;
    in = copy_in (k, logits, sizeof logits);
    k->argmax (k, ids, out, in, 1, V);
    k->download (k, &id, ids, sizeof id);
    k->download (k, &logprob, out, sizeof logprob);
    pass = id == edges[i].id &&
           (logprob == edges[i].logprob || fabsf (logprob - edges[i].logprob) < 2e-6f);
    printf ("%s argmax/%s %s: %d, %g\n", pass ? "ok" : "not ok", k->isa, edges[i].what, id, logprob);
    *failed += !pass;
    ++*n;
    k->free (k, in);
    k->free (k, out);
    k->free (k, ids);
  }
}

static void
bench_argmax (Run *r, int i)
{
  const int T = i ? 16 : 1, V = 129280;
  const float *logits = run_floats (r, (size_t) T * V, NORMAL);
  int32_t *ids = run_output_ints (r, T, 1);
  float *logprobs = run_output (r, T, 1, NORMAL);
  Ops *k = run_ops (r);

  run_case (r, 0, "T=%d V=%d", T, V);
  run_cost (r, 0, 4.0 * T * V);
  while (run_again (r))
    k->argmax (k, ids, logprobs, logits, T, V);
}

const OpCheck logits_checks[] = {
  { "argmax", run_argmax, COUNT (argmax_cases), bench_argmax, 2, check_edges },
  { NULL },
};
