/* dsvl2: every op of a back end against plain C, case by case
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   check_kernels [--backend B] [--isa I] [--op NAME] [--threads N] [--bf16] [--attention A] [--bench]
 *
 * Without --isa all instruction sets that this processor has take part, plain C among them (for it there
 * remain the rules about rows, threads and bounds). --bf16 lets ops round their inputs, as --isa
 * avx512bf16 does; --attention says what attends inside tiles (OpsOptions). --bench measures instead of comparing.
 */
#include "run.h"

#include "tests/bench/bandwidth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OpCheck *const all_checks[] = { frames_checks, patches_checks, rows_checks, norm_checks,
  linear_checks, rope_checks, attention_checks, routing_checks, experts_checks, logits_checks };

static const char *const isas[] = { "c", "avx2", "avx512", "avx512bf16" };

enum { ROWS_AT_A_TIME = 3, OTHER_THREADS = 3, LINE = 400 };

typedef struct {
  const char *backend, *isa, *op, *attention;
  int threads;
  bool bf16, bench;
  double bandwidth; /* bytes a second; --bench */
  int passed, failed;
} Session;

/* One instruction set of the back end under test. */
typedef struct {
  Ops *reference, *ops, *threaded;
  bool bf16;
} Tables;

/* --- comparing ----------------------------------------------------------------------------------- */

/* One comparison; what it found is appended to the case's line. */
static void
judge (Session *s, char line[LINE], bool pass, const Run *r, const char *what)
{
  const size_t length = strlen (line);

  pass = pass && !r->overrun;
  s->passed += pass;
  s->failed += !pass;
  snprintf (line + length, LINE - length, "%s%s%s%s", length ? ", " : "", pass ? "" : "NOT ", what,
      r->overrun ? " (something was written out of bounds)" : "");
}

/* Runs a case again in another way that must not change a bit. */
static void
check_same (Session *s, char line[LINE], const Tables *t, const OpCheck *check, int i, const Run *whole,
    Ops *k, int step, const char *what)
{
  Run r;

  run_execute (&r, k, t->bf16, step, check, i);
  judge (s, line, run_equal (whole, &r, true), &r, what);
  run_clear (&r);
}

/* Prints a line for a case, preceded by remarks on what is wrong. */
static void
check_case (Session *s, const Tables *t, const OpCheck *check, int i)
{
  const int failed = s->failed;
  char line[LINE] = "", what[80];
  Run want, got;
  double d;

  run_execute (&want, t->reference, false, 0, check, i);
  run_execute (&got, t->ops, t->bf16, 0, check, i);
  d = run_difference (&want, &got, true);
  snprintf (what, sizeof what, "as plain C (%.2g of %.2g)", d, got.rtol);
  judge (s, line, d <= got.rtol, &got, what);
  check_same (s, line, t, check, i, &got, t->ops, 1, "same bits row by row");
  check_same (s, line, t, check, i, &got, t->ops, ROWS_AT_A_TIME, "by threes");
  check_same (s, line, t, check, i, &got, t->threaded, 0, "with 3 threads");
  printf ("%s %s/%s %s: %s\n", s->failed > failed ? "not ok" : "ok", check->op, t->ops->isa, got.label,
      line);
  fflush (stdout);
  run_clear (&want);
  run_clear (&got);
}

/* --- measuring ----------------------------------------------------------------------------------- */

static void
bench_case (Session *s, const Tables *t, const OpCheck *check, int i)
{
  Run r;

  run_bench (&r, t->ops, t->bf16, s->threads, check, i);
  printf ("%-12s %-10s %-44s %10.1f us", check->op, t->ops->isa, r.label, r.seconds * 1e6);
  if (r.flops > 0)
    printf (" %8.1f GFLOP/s", r.flops / r.seconds * 1e-9);
  if (r.bytes > 0)
    printf (" %7.2f GB/s, %3.0f%% of read bandwidth", r.bytes / r.seconds * 1e-9,
        100 * r.bytes / r.seconds / s->bandwidth);
  for (int j = 0; j < r.n_peers; j++)
    printf (", %.2f × %s", r.peer_ratio[j], r.peer[j].name);
  printf ("\n");
  fflush (stdout);
  run_clear (&r);
}

/* --- the program --------------------------------------------------------------------------------- */

static void
run_check (Session *s, const Tables *t, const OpCheck *check)
{
  if (s->bench) {
    for (int i = 0; i < check->n_bench; i++)
      bench_case (s, t, check, i);
    return;
  }
  for (int i = 0; i < check->n; i++)
    check_case (s, t, check, i);
  if (check->extra) {
    int n = 0, failed = 0;

    check->extra (t->ops, &n, &failed);
    s->passed += n - failed;
    s->failed += failed;
  }
}

static void
run_checks (Session *s, const Tables *t)
{
  for (size_t f = 0; f < sizeof all_checks / sizeof all_checks[0]; f++)
    for (const OpCheck *check = all_checks[f]; check->op; check++)
      if (!s->op || strcmp (s->op, check->op) == 0)
        run_check (s, t, check);
}

static Ops *
open_table (const Session *s, const char *device, const char *isa, int threads, bool says)
{
  const OpsOptions options = { .device = device,
    .threads = threads,
    .isa = isa,
    .attention = s->attention,
    .bf16 = s->bf16 || (isa && strcmp (isa, "avx512bf16") == 0) };
  char message[OPS_MESSAGE];
  Ops *k = ops_open (&options, message);

  if (!k && says)
    printf ("# %s\n", message);
  return k;
}

/* False where this machine cannot run it. */
static bool
check_isa (Session *s, const char *isa)
{
  Tables t = {
    .reference = open_table (s, "cpu", "c", 1, true),
    .ops = open_table (s, s->backend, isa, s->bench ? s->threads : 1, true),
    .threaded = open_table (s, s->backend, isa, OTHER_THREADS, false),
  };
  const bool opened = t.reference && t.ops && t.threaded;

  if (opened) {
    t.bf16 = strstr (t.ops->isa, "bf16") != NULL;
    printf ("# %s %s%s%s\n", t.ops->name, t.ops->isa, t.ops->note[0] ? ": " : "", t.ops->note);
    run_checks (s, &t);
  }
  for (Ops **k = (Ops *[]){ t.reference, t.ops, t.threaded, NULL }; *k; k++)
    (*k)->close (*k);
  return opened;
}

static bool
parse (Session *s, int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;

    if (strcmp (argv[i], "--bench") == 0) {
      s->bench = true;
      continue;
    }
    if (strcmp (argv[i], "--bf16") == 0) {
      s->bf16 = true;
      continue;
    }
    if (!value)
      return false;
    if (strcmp (argv[i], "--backend") == 0)
      s->backend = value;
    else if (strcmp (argv[i], "--isa") == 0)
      s->isa = value;
    else if (strcmp (argv[i], "--op") == 0)
      s->op = value;
    else if (strcmp (argv[i], "--attention") == 0)
      s->attention = value;
    else if (strcmp (argv[i], "--threads") == 0)
      s->threads = atoi (value);
    else
      return false;
    i++;
  }
  return true;
}

int
main (int argc, char **argv)
{
  Session s = { .backend = "cpu" };
  bool opened = false;

  if (!parse (&s, argc, argv)) {
    fprintf (stderr,
        "usage: %s [--backend B] [--isa I] [--op NAME] [--threads N] [--bf16] [--attention A] "
        "[--bench]\n",
        argv[0]);
    return 2;
  }
  if (s.bench) {
    s.bandwidth = read_bandwidth (s.threads);
    printf ("# read bandwidth %.2f GB/s\n", s.bandwidth * 1e-9);
  }
  if (s.isa || strcmp (s.backend, "cpu") != 0)
    opened = check_isa (&s, s.isa);
  else
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++)
      opened |= check_isa (&s, isas[i]);
  if (!opened || (!s.bench && s.passed + s.failed == 0))
    s.failed++; /* nothing was compared: there is no such device, or no such op */
  printf ("%d passed, %d failed\n", s.passed, s.failed);
  return s.failed > 0;
}
