/* dsvl2: the most likely token, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <math.h>

static void
argmax (Ops *k, int32_t *ids, float *logprobs, const float *logits, int T, int V)
{
  for (int t = 0; t < T; t++, logits += V) {
    float best = -INFINITY;
    double sum = 0;

    ids[t] = 0;
    for (int v = 0; v < V; v++)
      if (logits[v] > best) {
        best = logits[v];
        ids[t] = v;
      }
    for (int v = 0; v < V; v++)
      if (!isnan (logits[v]))
        sum += exp ((double) logits[v] - best);
    logprobs[t] = isinf (best) ? fminf (best, 0) : -log (sum);
  }
}

void
logits_fill_c (Ops *k)
{
  k->argmax = argmax;
}
