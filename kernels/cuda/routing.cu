/* dsvl2: which experts a token goes to on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Official code: modeling_deepseek.py, MoEGate.forward. A warp a row; e^x in double and the sums in the
 * order of plain C, so that near ties fall the same way on every back end. */
#include "device.cuh"

/* Floats and flags of a row in shared memory. */
typedef struct {
  float *scores, *choice, *group_scores; /* [E], [E], [groups] */
  uint16_t *taken, *kept;                /* [E], [groups] flags of experts and groups */
} Row;

static size_t
row_bytes (const Route *route)
{
  return (2 * (size_t) route->E + route->groups) * sizeof (float) +
         ((size_t) route->E + route->groups) * sizeof (uint16_t);
}

/* scores [E] ← logits [E] */
static __device__ void
score_experts (float *scores, const float *logits, const Route &route)
{
  const int lane = threadIdx.x;
  float largest = -CUDART_INF_F, sum = 0;

  if (route.score == ROUTE_SIGMOID) {
    for (int e = lane; e < route.E; e += WARP)
      scores[e] = (float) (1 / (1 + exp (-(double) logits[e])));
    return;
  }
  for (int e = lane; e < route.E; e += WARP)
    largest = fmaxf (largest, logits[e]);
  largest = warp_max (largest);
  for (int first = 0; first < route.E; first += WARP) {
    const double mine =
        first + lane < route.E ? exp ((double) logits[first + lane] - (double) largest) : 0;

    for (int i = 0; i < WARP; i++) {
      const double v = __shfl_sync (ALL_LANES, mine, i);

      if (first + i < route.E)
        sum = (float) (sum + v);
    }
  }
  for (int e = lane; e < route.E; e += WARP)
    scores[e] = (float) (exp ((double) logits[e] - (double) largest) / sum);
}

/* Does x [a] come before x [b]? NaN comes last; of equals the lower index first; b < 0 is nothing. */
static __device__ __forceinline__ bool
before (float a, int index_a, float b, int index_b)
{
  if (index_a < 0 || index_b < 0)
    return index_a >= 0;
  if (isnan (a) || isnan (b))
    return isnan (a) == isnan (b) ? index_a < index_b : isnan (b);
  return a > b || (a == b && index_a < index_b);
}

/* The index of the first of x [n] that is not taken, which it becomes; all lanes get it. */
static __device__ int
take_first (const float *x, int n, uint16_t *taken)
{
  const int lane = threadIdx.x;
  float best = 0;
  int index = -1;

  for (int e = lane; e < n; e += WARP)
    if (!taken[e] && before (x[e], e, best, index)) {
      best = x[e];
      index = e;
    }
  for (int step = WARP / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync (ALL_LANES, best, step);
    const int other_index = __shfl_xor_sync (ALL_LANES, index, step);

    if (before (other, other_index, best, index)) {
      best = other;
      index = other_index;
    }
  }
  if (index % WARP == lane) /* who reads it too */
    taken[index] = 1;
  __syncwarp ();
  return index;
}

/* Each lane clears what it reads in take_first(). */
static __device__ void
clear (uint16_t *taken, int n)
{
  for (int e = threadIdx.x; e < n; e += WARP)
    taken[e] = 0;
}

/* What a group is worth: its best score, or the sum of its two best. */
static __device__ float
score_group (const float *scores, int n, RouteMethod method)
{
  int first = -1, second = -1;

  for (int e = 0; e < n; e++) {
    if (first < 0 || before (scores[e], e, scores[first], first)) {
      second = first;
      first = e;
    } else if (second < 0 || before (scores[e], e, scores[second], second)) {
      second = e;
    }
  }
  return method == ROUTE_NOAUX_TC && n > 1 ? scores[first] + scores[second] : scores[first];
}

/* Scores outside of the best groups become 0. */
static __device__ void
mask_groups (const Row &r, const Route &route)
{
  const int n = route.E / route.groups;

  for (int g = threadIdx.x; g < route.groups; g += WARP)
    r.group_scores[g] = score_group (r.choice + g * n, n, route.method);
  clear (r.kept, route.groups);
  for (int i = 0; i < route.top_groups; i++)
    take_first (r.group_scores, route.groups, r.kept);
  for (int e = threadIdx.x; e < route.E; e += WARP)
    if (!r.kept[e / n])
      r.choice[e] = 0; /* take_first() has this lane read it */
}

KERNEL (WARP)
route_row (int32_t *ids, float *weights, const float *logits, const float *bias, Route route)
{
  DYNAMIC_SHARED (float, scores);
  uint16_t *taken = reinterpret_cast<uint16_t *> (scores + 2 * route.E + route.groups);
  const Row r = { scores, scores + route.E, scores + 2 * route.E, taken, taken + route.E };
  const float *weigh = route.method == ROUTE_NOAUX_TC ? r.scores : r.choice;
  float sum = 0;

  ids += (size_t) blockIdx.x * route.K;
  weights += (size_t) blockIdx.x * route.K;
  score_experts (r.scores, logits + (size_t) blockIdx.x * route.E, route);
  __syncwarp ();
  for (int e = threadIdx.x; e < route.E; e += WARP)
    r.choice[e] = route.method == ROUTE_NOAUX_TC && bias ? r.scores[e] + bias[e] : r.scores[e];
  __syncwarp ();
  if (route.method != ROUTE_GREEDY)
    mask_groups (r, route);
  clear (r.taken, route.E);
  for (int i = 0; i < route.K; i++) {
    const int e = take_first (r.choice, route.E, r.taken);

    sum += weigh[e];
    if (threadIdx.x == 0) {
      ids[i] = e;
      weights[i] = weigh[e];
    }
  }
  sum = route.K > 1 && route.normalize ? sum + 1e-20f : 1;
  if (threadIdx.x == 0)
    for (int i = 0; i < route.K; i++)
      weights[i] = weights[i] / sum * route.scale;
}

static void
moe_route (Ops *k, int32_t *ids, float *weights, const float *logits, const float *bias,
    const Route *route, int T)
{
  launch (cuda (k), "run moe_route", route_row, T, WARP, row_bytes (route), ids, weights, logits, bias,
      *route);
}

void
cuda_fill_routing (Ops *k)
{
  k->moe_route = moe_route;
}
