/* dsvl2: cases of rope
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <stdio.h>
#include <string.h>

enum { POSITIONS = 50, MAX_T = 64 };

typedef struct {
  int T, n, d;
  int x_pad, y_pad; /* floats behind each head that stay as they are */
  bool interleaved, in_place;
} RopeCase;

static const RopeCase rope_cases[] = {
  { 0, 1, 2 },
  { 1, 1, 2, 0, 0, false, false },
  { 1, 10, 128, 0, 0, false, true },    /* MHA, decoding */
  { 9, 16, 64, 128, 512, true, false }, /* MLA's queries move to the latent's side */
  { 9, 1, 64, 512, 512, true, true },   /* MLA's key */
  { 33, 3, 6, 1, 2, false, false },
  { 33, 3, 6, 1, 1, true, true },
  { 5, 2, 34, 0, 3, true, false },
  { 20, 4, 46, 3, 0, false, false },
};

/* In place the row's start does not move, so the pads agree. */
static void
run_rope (Run *r, int i)
{
  const RopeCase *c = &rope_cases[i];
  const int T = c->T, n_heads = c->n, d = c->d;
  const int x_head = d + c->x_pad, x_row = n_heads * x_head, y_head = d + c->y_pad,
            y_row = n_heads * y_head;
  Ops *k = run_ops (r);
  float *y = run_output (r, T, y_row, NORMAL);
  const float *x = c->in_place ? y : run_floats (r, (size_t) T * x_row - c->x_pad, NORMAL);
  const float *cosine = run_floats (r, POSITIONS * d / 2, NORMAL);
  const float *sine = run_floats (r, POSITIONS * d / 2, NORMAL);
  int32_t host[MAX_T];
  const int32_t *position;

  for (int t = 0; t < T; t++)
    host[t] = t == 0 ? POSITIONS - 1 : run_random (r, POSITIONS);
  position = run_input (r, host, T * sizeof *host, sizeof *host);
  run_case (r, 1e-6, "T=%d n=%d d=%d%s%s", T, n_heads, d, c->interleaved ? " interleaved" : "",
      c->in_place ? " in place" : "");
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n) {
      const StepRows rows = { .T = n, .position = position + t };

      k->rope (k, y + (size_t) t * y_row, y_row, y_head, x + (size_t) t * x_row, x_row, x_head, n_heads,
          d, cosine, sine, c->interleaved, &rows);
    }
}

/* By hand: a quarter turn takes (a, b) to (−b, a). */
static void
check_turn (Ops *k, int *n, int *failed)
{
  static const float x[4] = { 1, 2, 3, 4 }, zero[2] = { 0, 0 }, one[2] = { 1, 1 };
  static const float expected[2][4] = { { -3, -4, 1, 2 }, { -2, -4, 1, 3 } };
  static const int32_t position = 0;
  float *cosine = copy_in (k, zero, sizeof zero), *sine = copy_in (k, one, sizeof one);
  int32_t *position_in = copy_in (k, &position, sizeof position);
  const StepRows rows = { .T = 1, .position = position_in };

  for (int interleaved = 0; interleaved < 2; interleaved++) {
    float *y = copy_in (k, x, sizeof x), got[4];
    bool pass;

    k->rope (k, y, 4, 4, y, 4, 4, 1, 4, cosine, sine, interleaved, &rows);
    k->download (k, got, y, sizeof got);
    pass = memcmp (got, expected[interleaved], sizeof got) == 0;
    printf ("%s rope/%s a quarter turn%s: %g %g %g %g\n", pass ? "ok" : "not ok", k->isa,
        interleaved ? ", interleaved" : "", got[0], got[1], got[2], got[3]);
    *failed += !pass;
    ++*n;
    k->free (k, y);
  }
  k->free (k, cosine);
  k->free (k, sine);
  k->free (k, position_in);
}

static void
bench_rope (Run *r, int i)
{
  const int T = 512, H = 10, d = 128;
  const float *table = run_floats (r, (size_t) T * d / 2, NORMAL);
  float *y = run_output (r, T, H * d, NORMAL);
  Ops *k = run_ops (r);
  int32_t host[512];

  for (int t = 0; t < T; t++)
    host[t] = t;
  run_case (r, 0, "T=%d H=%d d=%d%s", T, H, d, i ? " interleaved" : "");
  run_cost (r, 0, 4.0 * T * H * d);
  {
    const StepRows rows = { .T = T, .position = run_input (r, host, sizeof host, sizeof *host) };

    while (run_again (r))
      k->rope (k, y, H * d, d, y, H * d, d, H, d, table, table, i == 1, &rows);
  }
}

const OpCheck rope_checks[] = {
  { "rope", run_rope, sizeof rope_cases / sizeof rope_cases[0], bench_rope, 2, check_turn },
  { NULL },
};
