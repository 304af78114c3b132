/* dsvl2: row by row: embeddings, sums, the gated unit, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <math.h>

static void
gather_rows (Ops *k, float *y, const Weight *table, const int32_t *ids, int T)
{
  const int D = table->I;

  for (int t = 0; t < T; t++)
    if (ids[t] >= 0)
      for (int i = 0; i < D; i++)
        y[(size_t) t * D + i] = weight_at (table, ids[t], i);
}

static void
add_rows (Ops *k, float *x, const float *table, int T, int R, int D)
{
  for (int t = 0; t < T; t++)
    for (int i = 0; i < D; i++)
      x[(size_t) t * D + i] += table[(size_t) (t % R) * D + i];
}

static void
silu_mul (Ops *k, float *y, const float *gate, const float *up, int T, int F)
{
  for (size_t i = 0; i < (size_t) T * F; i++)
    y[i] = gate[i] / (1 + exp (-(double) gate[i])) * up[i];
}

void
rows_fill_c (Ops *k)
{
  k->gather_rows = gather_rows;
  k->add_rows = add_rows;
  k->silu_mul = silu_mul;
}
