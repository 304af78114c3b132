/* dsvl2: from logits to the next token
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sampler.h"
#include <math.h>
#include <stdlib.h>

typedef struct {
  float logit; /* after the penalty */
  int id;
} Candidate;

struct _Sampler {
  float temperature, top_p, repetition_penalty;
  int top_k, V;
  guint64 state;
  Candidate *candidate; /* [V]; NULL: plain argmax */
  bool *seen;           /* [V], of the repetition penalty; all false between calls */
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
sampler_new (const Dsvl2Sampling *s, int V, GError **error)
{
  if (!check_range ("temperature", s->temperature, 100, error) ||
      !check_range ("top_p", s->top_p, 1, error) || !check_range ("top_k", s->top_k, G_MAXINT, error) ||
      !check_range ("repetition_penalty", s->repetition_penalty, 100, error))
    return NULL;

  Sampler *sampler = g_new0 (Sampler, 1);
  *sampler = (Sampler){
    .temperature = s->temperature,
    .top_p = s->top_p > 0 ? s->top_p : 1,
    .repetition_penalty = s->repetition_penalty > 0 ? s->repetition_penalty : 1,
    .top_k = s->top_k > 0 ? MIN (s->top_k, V) : V,
    .V = V,
    .state = s->seed,
  };
  if (!sampler_is_argmax (sampler)) {
    sampler->candidate = g_new (Candidate, V);
    sampler->seen = g_new0 (bool, V);
  }
  return sampler;
}

void
sampler_free (Sampler *sampler)
{
  g_free (sampler->candidate);
  g_free (sampler->seen);
  g_free (sampler);
}

bool
sampler_is_argmax (const Sampler *sampler)
{
  return sampler->temperature == 0 && sampler->repetition_penalty == 1;
}

/* SplitMix64 (Steele, Lea, Flood 2014), as a number in [0, 1). */
static double
uniform (Sampler *sampler)
{
  guint64 z = sampler->state += 0x9e3779b97f4a7c15;

  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return ((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static int
argmax (const float *logits, int V)
{
  int best = 0;

  for (int i = 1; i < V; i++)
    best = logits[i] > logits[best] ? i : best;
  return best;
}

/* log Σ e^logit; what is not a number becomes −∞. */
static double
log_sum_exp (float *logits, int V)
{
  double sum = 0;

  for (int i = 0; i < V; i++)
    logits[i] = isnan (logits[i]) ? -INFINITY : logits[i];
  const double max = logits[argmax (logits, V)];
  if (isinf (max))
    return max;
  for (int i = 0; i < V; i++)
    sum += exp (logits[i] - max);
  return max + log (sum);
}

/* Each token of the context once, however often it stands there. */
static void
penalize (Sampler *sampler, const int *context, int n)
{
  const float penalty = sampler->repetition_penalty;

  for (int i = 0; i < n; i++) {
    const int id = context[i];

    if (id < 0 || id >= sampler->V || sampler->seen[id])
      continue;
    sampler->seen[id] = true;
    sampler->candidate[id].logit *= sampler->candidate[id].logit > 0 ? 1 / penalty : penalty;
  }
  for (int i = 0; i < n; i++) {
    if (context[i] >= 0 && context[i] < sampler->V)
      sampler->seen[context[i]] = false;
  }
}

static int
by_falling_logit (const void *p, const void *q)
{
  const Candidate *a = p, *b = q;

  if (a->logit != b->logit)
    return a->logit < b->logit ? 1 : -1;
  return a->id - b->id;
}

static double
weight (const Sampler *sampler, int i)
{
  return exp ((sampler->candidate[i].logit - sampler->candidate[0].logit) / sampler->temperature);
}

/* Draws among the top_k sorted candidates, of those among the fewest whose probabilities come to top_p. */
static int
draw (Sampler *sampler)
{
  double all = 0, nucleus = 0;
  int n = 0;

  for (int i = 0; i < sampler->top_k; i++)
    all += weight (sampler, i);
  while (n < sampler->top_k && nucleus < sampler->top_p * all)
    nucleus += weight (sampler, n++);

  double left = uniform (sampler) * nucleus;
  for (int i = 0; i < n; i++) {
    if ((left -= weight (sampler, i)) < 0)
      return i;
  }
  return 0;
}

int
sampler_next (Sampler *sampler, float *logits, const int *context, int n_context, float *logprob)
{
  const double normalizer = log_sum_exp (logits, sampler->V);
  int chosen;

  if (sampler_is_argmax (sampler) || isinf (normalizer)) {
    chosen = argmax (logits, sampler->V);
  } else {
    for (int i = 0; i < sampler->V; i++)
      sampler->candidate[i] = (Candidate){ logits[i], i };
    penalize (sampler, context, n_context);
    qsort (sampler->candidate, sampler->V, sizeof (Candidate), by_falling_logit);
    chosen = sampler->candidate[sampler->temperature > 0 ? draw (sampler) : 0].id;
  }
  *logprob = isinf (normalizer) ? -INFINITY : logits[chosen] - normalizer;
  return chosen;
}
