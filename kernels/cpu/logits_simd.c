/* dsvl2: the most likely token
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"
#include "simd.h"

#include <math.h>

enum { BLOCK = 64 * LANES }; /* logits whose exponentials are summed in float */

typedef struct {
  int32_t *ids;
  float *logprobs;
  const float *logits;
  int V;
} Job;

/* Lanes past V are −∞, and so is NaN: vf_max takes its second where the first is one. */
static vf
load_logits (const float *x, int n)
{
  return vf_max (vf_first (vf_load_up_to (x, n), min_int (n, LANES), vf_set (-INFINITY)),
      vf_set (-INFINITY));
}

static void
argmax_piece (void *arg, int t, void *scratch)
{
  const Job *job = arg;
  const int V = job->V;
  const float *x = job->logits + (size_t) t * V;
  float largest = -INFINITY;
  double sum = 0;
  int id = 0;

  for (int v = 0; v < V; v += BLOCK) {
    vf best = vf_set (-INFINITY);

    for (int i = v; i < min_int (V, v + BLOCK); i += LANES)
      best = vf_max (best, load_logits (x + i, V - i));
    if (vf_largest (best) > largest) {
      largest = vf_largest (best);
      id = v; /* its block, for now */
    }
  }
  while (largest > -INFINITY && x[id] != largest)
    id++;
  job->ids[t] = id;
  if (isinf (largest)) {
    job->logprobs[t] = fminf (largest, 0);
    return;
  }
  for (int v = 0; v < V; v += BLOCK) {
    vf part = vf_set (0);

    for (int i = v; i < min_int (V, v + BLOCK); i += LANES)
      part += vf_exp (load_logits (x + i, V - i) - vf_set (largest));
    sum += vf_sum (part);
  }
  job->logprobs[t] = -log (sum);
}

static void
argmax (Ops *k, int32_t *ids, float *logprobs, const float *logits, int T, int V)
{
  Job job = { ids, logprobs, logits, V };

  parallel_for (k, T, argmax_piece, &job);
}

void
SIMD_NAME (logits_fill) (Ops *k)
{
  k->argmax = argmax;
}
