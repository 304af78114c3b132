/* dsvl2: the routed experts, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <math.h>

/* Σ_i x[i] · w[o, i] */
static double
dot (const float *x, const Weight *w, int o)
{
  double sum = 0;

  for (int i = 0; i < w->I; i++)
    sum += (double) x[i] * weight_at (w, o, i);
  return sum;
}

static void
moe_experts (Ops *k, float *y, const float *x, const int32_t *ids, const float *weights,
    const Experts *experts, int T, int K, void *scratch)
{
  const int D = experts->D, F = experts->F;
  float *h = scratch; /* [F] */

  for (int t = 0; t < T; t++, x += D, y += D, ids += K, weights += K) {
    for (int j = 0; j < K; j++) {
      const int e = ids[j];

      for (int f = 0; f < F; f++) {
        const double gate = dot (x, &experts->gate[e], f);

        h[f] = gate / (1 + exp (-gate)) * dot (x, &experts->up[e], f);
      }
      for (int d = 0; d < D; d++)
        y[d] += weights[j] * dot (h, &experts->down[e], d);
    }
  }
}

void
experts_fill_c (Ops *k)
{
  k->moe_experts = moe_experts;
}
