/* dsvl2: which experts a token goes to, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Official code: modeling_deepseek.py, MoEGate.forward; its names are kept. The only version: a row takes
 * a microsecond. */
#include "cpu.h"

#include <math.h>
#include <string.h>

/* scores [E] ← logits [E], in float as the official gate has them. */
static void
score_experts (float *scores, const float *logits, const Route *route)
{
  double largest = -INFINITY, sum = 0;

  if (route->score == ROUTE_SIGMOID) {
    for (int e = 0; e < route->E; e++)
      scores[e] = 1 / (1 + exp (-(double) logits[e]));
    return;
  }
  for (int e = 0; e < route->E; e++)
    largest = fmax (largest, logits[e]);
  for (int e = 0; e < route->E; e++)
    sum += exp (logits[e] - largest);
  for (int e = 0; e < route->E; e++)
    scores[e] = exp (logits[e] - largest) / sum;
}

/* ids [K] of the K largest of x [n], in falling order, the lower index first of equals. NaN loses. */
static void
top_k (int32_t *ids, int K, const float *x, int n)
{
  bool taken[OPS_MAX_EXPERTS];

  memset (taken, false, n);
  for (int i = 0; i < K; i++) {
    int best = -1;

    for (int e = 0; e < n; e++)
      if (!taken[e] && (best < 0 || x[e] > x[best] || (isnan (x[best]) && !isnan (x[e]))))
        best = e;
    taken[best] = true;
    ids[i] = best;
  }
}

/* What a group is worth: its best score, or the sum of its two best. */
static float
score_group (const float *scores, int n, RouteMethod method)
{
  int32_t best[2];
  const int K = method == ROUTE_NOAUX_TC && n > 1 ? 2 : 1;

  top_k (best, K, scores, n);
  return K == 2 ? scores[best[0]] + scores[best[1]] : scores[best[0]];
}

/* Scores outside of the best groups become 0, not −∞: where few others are above 0 they are chosen. */
static void
mask_groups (float *scores, const Route *route)
{
  const int n = route->E / route->groups;
  float group_scores[OPS_MAX_EXPERTS];
  int32_t group_idx[OPS_MAX_EXPERTS];
  bool keep[OPS_MAX_EXPERTS] = { false };

  for (int g = 0; g < route->groups; g++)
    group_scores[g] = score_group (scores + g * n, n, route->method);
  top_k (group_idx, route->top_groups, group_scores, route->groups);
  for (int i = 0; i < route->top_groups; i++)
    keep[group_idx[i]] = true;
  for (int e = 0; e < route->E; e++)
    if (!keep[e / n])
      scores[e] = 0;
}

static void
route_row (int32_t *ids, float *weights, const float *logits, const float *bias, const Route *route)
{
  const int K = route->K;
  float scores[OPS_MAX_EXPERTS], choice[OPS_MAX_EXPERTS];
  const float *weigh = route->method == ROUTE_NOAUX_TC ? scores : choice;
  float sum = 0;

  score_experts (scores, logits, route);
  for (int e = 0; e < route->E; e++)
    choice[e] = route->method == ROUTE_NOAUX_TC && bias ? scores[e] + bias[e] : scores[e];
  if (route->method != ROUTE_GREEDY)
    mask_groups (choice, route);
  top_k (ids, K, choice, route->E);

  for (int i = 0; i < K; i++)
    sum += weights[i] = weigh[ids[i]];
  for (int i = 0; i < K; i++)
    weights[i] = weights[i] / (K > 1 && route->normalize ? sum + 1e-20f : 1) * route->scale;
}

typedef struct {
  int32_t *ids;
  float *weights;
  const float *logits, *bias;
  const Route *route;
  int T;
} Job;

enum { ROWS = 32 }; /* of a piece of work */

static void
route_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const size_t K = job->route->K, E = job->route->E;

  for (int t = i * ROWS; t < min_int (job->T, (i + 1) * ROWS); t++)
    route_row (job->ids + t * K, job->weights + t * K, job->logits + t * E, job->bias, job->route);
}

static void
moe_route (Ops *k, int32_t *ids, float *weights, const float *logits, const float *bias,
    const Route *route, int T)
{
  Job job = { ids, weights, logits, bias, route, T };

  parallel_for (k, ceil_div (T, ROWS), route_piece, &job);
}

void
routing_fill_c (Ops *k)
{
  k->moe_route = moe_route;
}
