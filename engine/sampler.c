/* dsvl2: from logits to the next token
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sampler.h"

#include <float.h>
#include <math.h>

typedef struct {
  float logit; /* after the penalty */
  int id;
} Candidate;

struct _Sampler {
  float temperature, top_p, repetition_penalty;
  int top_k, V;
  guint64 state;
  Candidate *heap; /* [V]: a heap of those that are left, behind it the best ones, the very best last */
  int n_left;
  bool *seen; /* [V], of the repetition penalty; all false between calls */
};

static bool
check_range (const char *name, double value, double max, GError **error)
{
  if (value >= 0 && value <= max)
    return true;
  g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_OPTION, "%s is %g, a number from 0 to %g was expected",
      name, value, max);
  return false;
}

Sampler *
sampler_new (const Dsvl2Sampling *sampling, int V, GError **error)
{
  Sampler *s;

  if (!check_range ("temperature", sampling->temperature, FLT_MAX, error) ||
      !check_range ("top_p", sampling->top_p, 1, error) ||
      !check_range ("top_k", sampling->top_k, G_MAXINT, error) ||
      !check_range ("repetition_penalty", sampling->repetition_penalty, FLT_MAX, error))
    return NULL;

  s = g_new0 (Sampler, 1);
  s->temperature = sampling->temperature;
  s->top_p = sampling->top_p > 0 ? sampling->top_p : 1;
  s->top_k = sampling->top_k > 0 ? MIN (sampling->top_k, V) : V;
  s->repetition_penalty = sampling->repetition_penalty > 0 ? sampling->repetition_penalty : 1;
  s->state = sampling->seed;
  s->V = V;
  if (!sampler_is_argmax (s)) {
    s->heap = g_new (Candidate, V);
    s->seen = g_new0 (bool, V);
  }
  return s;
}

void
sampler_free (Sampler *s)
{
  if (s == NULL)
    return;
  g_free (s->heap);
  g_free (s->seen);
  g_free (s);
}

bool
sampler_is_argmax (const Sampler *s)
{
  return s->temperature == 0 && s->repetition_penalty == 1;
}

/* --- the distribution --------------------------------------------------------------------------- */

/* What is not a number becomes −∞; +∞, which would leave nothing to the others, the largest number. */
static void
make_finite (float *logits, int V)
{
  for (int i = 0; i < V; i++)
    logits[i] = isnan (logits[i]) ? -INFINITY : MIN (logits[i], FLT_MAX);
}

static int
argmax (const float *logits, int V)
{
  int best = 0;

  for (int i = 1; i < V; i++)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

/* log Σ e^(logit − max), the largest of which is *max; −∞, if all logits are. */
static double
log_sum_exp (const float *logits, int V, float *max)
{
  double sum = 0;

  *max = logits[argmax (logits, V)];
  for (int i = 0; i<V && * max> - INFINITY; i++)
    sum += expf (logits[i] - *max);
  return log (sum);
}

/* Each token of the context once, however often it stands there. */
static void
penalize (Sampler *s, const int *context, int n)
{
  for (int i = 0; i < n; i++) {
    Candidate *c;

    if (context[i] < 0 || context[i] >= s->V || s->seen[context[i]])
      continue;
    s->seen[context[i]] = true;
    c = &s->heap[context[i]];
    c->logit = MIN (c->logit > 0 ? c->logit / s->repetition_penalty : c->logit * s->repetition_penalty,
        FLT_MAX);
  }
  for (int i = 0; i < n; i++)
    if (context[i] >= 0 && context[i] < s->V)
      s->seen[context[i]] = false;
}

/* --- the best of them --------------------------------------------------------------------------- */

static inline bool
is_better (Candidate a, Candidate b)
{
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Puts c in its place below the empty one at i. */
static void
sift_down (Candidate *heap, int n, int i, Candidate c)
{
  for (int child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && is_better (heap[child + 1], heap[child]))
      child++;
    if (!is_better (heap[child], c))
      break;
    heap[i] = heap[child];
  }
  heap[i] = c;
}

static void
make_heap (Sampler *s)
{
  s->n_left = s->V;
  for (int i = s->V / 2 - 1; i >= 0; i--)
    sift_down (s->heap, s->V, i, s->heap[i]);
}

/* Number i in falling order, equals by id. Sorts no further than that. */
static Candidate
nth_best (Sampler *s, int i)
{
  while (s->n_left >= s->V - i) {
    const Candidate best = s->heap[0];

    s->n_left--;
    sift_down (s->heap, s->n_left, 0, s->heap[s->n_left]);
    s->heap[s->n_left] = best;
  }
  return s->heap[s->V - 1 - i];
}

/* --- drawing ------------------------------------------------------------------------------------ */

/* SplitMix64 (Steele, Lea, Flood 2014), as a number in [0, 1). */
static double
uniform (Sampler *s)
{
  guint64 z = s->state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return ((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double
weight (const Sampler *s, Candidate c, float max)
{
  return expf ((c.logit - max) / s->temperature);
}

/* Draws among the top_k best, of those among the fewest that come to top_p of their probability. */
static int
draw (Sampler *s)
{
  const Candidate best = nth_best (s, 0);
  double all = 0, nucleus = 0, left;
  int n = 0;

  for (int i = 0; i < s->top_k; i++)
    all += weight (s, s->top_k < s->V ? nth_best (s, i) : s->heap[i], best.logit);
  while (s->top_p < 1 && n < s->top_k && nucleus < s->top_p * all)
    nucleus += weight (s, nth_best (s, n++), best.logit);
  if (s->top_p == 1) {
    nucleus = all;
    n = s->top_k;
  }

  left = uniform (s) * nucleus;
  for (int i = 0; i < n; i++) {
    const Candidate c = nth_best (s, i);

    left -= weight (s, c, best.logit);
    if (left < 0)
      return c.id;
  }
  return best.id; /* the sums are rounded */
}

int
sampler_next (Sampler *s, float *logits, const int *context, int n_context, float *logprob)
{
  double log_sum;
  float max;
  int chosen;

  make_finite (logits, s->V);
  log_sum = log_sum_exp (logits, s->V, &max);
  if (sampler_is_argmax (s) || max == -INFINITY) {
    chosen = argmax (logits, s->V);
  } else {
    for (int i = 0; i < s->V; i++)
      s->heap[i] = (Candidate){ logits[i], i };
    penalize (s, context, n_context);
    make_heap (s);
    chosen = s->temperature > 0 ? draw (s) : nth_best (s, 0).id;
  }
  *logprob = max > -INFINITY ? (float) (logits[chosen] - max - log_sum) : -INFINITY;
  return chosen;
}
