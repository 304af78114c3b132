/* dsvl2: test of sampler_next: distributions computed by hand, extremes, and what sampler_new refuses
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_V = 6, DRAWS = 20000 };

#define LN2 0.69314718055994531

/* --- distributions ------------------------------------------------------------------------------ */

typedef struct {
  const char *name;
  int V;
  float logits[MAX_V];
  Dsvl2Sampling sampling;
  int context[4], n_context;
  double expected[MAX_V]; /* probabilities of the ids */
} Distribution;

/* 4 : 2 : 1 : 1 */
#define FOUR                                                                                           \
  {                                                                                                    \
    2 * LN2, LN2, 0, 0                                                                                 \
  }

static const Distribution distributions[] = {
  { "plain", 4, FOUR, { .temperature = 1 }, .expected = { 4. / 8, 2. / 8, 1. / 8, 1. / 8 } },
  { "one token", 1, { -5 }, { .temperature = 1, .top_p = 0.5, .top_k = 3 }, .expected = { 1 } },
  /* temperature */
  { "cold", 4, FOUR, { .temperature = 0.5 }, .expected = { 16. / 22, 4. / 22, 1. / 22, 1. / 22 } },
  { "warm", 4, FOUR, { .temperature = 2 },
      .expected = { 0.369398063, 0.261203875, 0.184699031, 0.184699031 } },
  { "frozen", 4, FOUR, { .temperature = 1e-42f }, .expected = { 1 } },
  { "boiling", 4, FOUR, { .temperature = 3e38f }, .expected = { 0.25, 0.25, 0.25, 0.25 } },
  /* top-k */
  { "top 1", 4, FOUR, { .temperature = 1, .top_k = 1 }, .expected = { 1 } },
  { "top 2", 4, FOUR, { .temperature = 1, .top_k = 2 }, .expected = { 2. / 3, 1. / 3 } },
  { "top 3 of equals", 4, FOUR, { .temperature = 1, .top_k = 3 },
      .expected = { 4. / 7, 2. / 7, 1. / 7 } },
  { "top 4", 4, FOUR, { .temperature = 1, .top_k = 4 },
      .expected = { 4. / 8, 2. / 8, 1. / 8, 1. / 8 } },
  { "top 5 of 4", 4, FOUR, { .temperature = 1, .top_k = 5 },
      .expected = { 4. / 8, 2. / 8, 1. / 8, 1. / 8 } },
  { "top all", 4, FOUR, { .temperature = 1, .top_k = G_MAXINT },
      .expected = { 4. / 8, 2. / 8, 1. / 8, 1. / 8 } },
  /* top-p */
  { "p 1", 4, FOUR, { .temperature = 1, .top_p = 1 }, .expected = { 4. / 8, 2. / 8, 1. / 8, 1. / 8 } },
  { "p tiny", 4, FOUR, { .temperature = 1, .top_p = 1e-30f }, .expected = { 1 } },
  { "p 0.49", 4, FOUR, { .temperature = 1, .top_p = 0.49f }, .expected = { 1 } },
  { "p 0.51", 4, FOUR, { .temperature = 1, .top_p = 0.51f }, .expected = { 2. / 3, 1. / 3 } },
  { "p 0.74", 4, FOUR, { .temperature = 1, .top_p = 0.74f }, .expected = { 2. / 3, 1. / 3 } },
  { "p 0.76", 4, FOUR, { .temperature = 1, .top_p = 0.76f }, .expected = { 4. / 7, 2. / 7, 1. / 7 } },
  { "p 0.99", 4, FOUR, { .temperature = 1, .top_p = 0.99f },
      .expected = { 4. / 8, 2. / 8, 1. / 8, 1. / 8 } },
  /* the order: temperature, top-k, top-p of what is left */
  { "cold, then p", 4, FOUR, { .temperature = 0.5f, .top_p = 0.7f }, .expected = { 1 } },
  { "k, then p", 4, FOUR, { .temperature = 1, .top_k = 2, .top_p = 0.65f }, .expected = { 1 } },
  { "k, then larger p", 4, FOUR, { .temperature = 1, .top_k = 2, .top_p = 0.68f },
      .expected = { 2. / 3, 1. / 3 } },
  /* the penalty divides what is positive, multiplies what is negative, once */
  { "penalty", 4, { 2 * LN2, LN2, 0, -LN2 }, { .temperature = 1, .repetition_penalty = 2 },
      { 0, 3, 0, 2 }, 4, { 8. / 21, 8. / 21, 4. / 21, 1. / 21 } },
  { "reward", 3, { LN2, -LN2, 0 }, { .temperature = 1, .repetition_penalty = 0.5f }, { 0, 1 }, 2,
      { 4 / 5.707106781, 0.707106781 / 5.707106781, 1 / 5.707106781 } },
  { "penalty of others", 2, { LN2, 0 }, { .temperature = 1, .repetition_penalty = 2 },
      { -1, 2, G_MAXINT, G_MININT }, 4, { 2. / 3, 1. / 3 } },
  { "penalty, then k", 3, { 3 * LN2, 2 * LN2, 0 },
      { .temperature = 1, .top_k = 1, .repetition_penalty = 2 }, { 0 }, 1, { 0, 1 } },
  { "penalty, greedy", 3, { 3 * LN2, 2 * LN2, 0 }, { .repetition_penalty = 2 }, { 0 }, 1, { 0, 1 } },
  { "all penalized away", 2, { -1, -2 }, { .temperature = 1, .repetition_penalty = 3e38f }, { 0, 1 }, 2,
      { 1 } },
  /* logits that are no numbers, or infinite */
  { "NaN", 3, { LN2, NAN, 0 }, { .temperature = 1 }, .expected = { 2. / 3, 0, 1. / 3 } },
  { "NaN first", 3, { NAN, LN2, 0 }, { .temperature = 1, .top_p = 0.99f },
      .expected = { 0, 2. / 3, 1. / 3 } },
  { "-inf", 3, { -INFINITY, LN2, 0 }, { .temperature = 1 }, .expected = { 0, 2. / 3, 1. / 3 } },
  { "+inf", 3, { INFINITY, 1e30f, INFINITY }, { .temperature = 1 }, .expected = { 0.5, 0, 0.5 } },
  { "+inf, penalty", 2, { INFINITY, 3 }, { .temperature = 1, .repetition_penalty = 0.5f }, { 0 }, 1,
      { 1 } },
  { "+inf, greedy", 3, { 1, INFINITY, NAN }, { 0 }, .expected = { 0, 1 } },
  { "NaN, greedy", 3, { NAN, -3, NAN }, { 0 }, .expected = { 0, 1 } },
  { "nothing", 3, { -INFINITY, NAN, -INFINITY }, { .temperature = 1, .top_p = 0.5f },
      .expected = { 1 } },
  { "nothing, greedy", 2, { NAN, NAN }, { 0 }, .expected = { 1 } },
  /* greedy: the first of equals */
  { "greedy", 4, { 0, 1, 1, 0 }, { 0 }, .expected = { 0, 1 } },
  { "greedy with limits", 4, { 0, 1, 1, 0 }, { .top_k = 3, .top_p = 0.9f, .seed = 9 },
      .expected = { 0, 1 } },
};

/* The token's share of the logits as they came: NaN counts for nothing, +∞ for everything. */
static double
log_share (const Distribution *d, int id)
{
  double sum = 0, max = -INFINITY;

  for (int i = 0; i < d->V; i++)
    max = d->logits[i] > max ? d->logits[i] : max;
  for (int i = 0; i < d->V; i++)
    sum += d->logits[i] == max ? 1 : isnan (d->logits[i]) ? 0 : exp (d->logits[i] - max);
  if (max == -INFINITY)
    return max;
  return d->logits[id] == max ? -log (sum) : d->logits[id] - max - log (sum);
}

static void
test_distribution (gconstpointer data)
{
  const Distribution *d = data;
  GError *error = NULL;
  g_autoptr (Sampler) s = sampler_new (&d->sampling, d->V, &error);
  int count[MAX_V] = { 0 };
  float logits[MAX_V], logprob;

  g_assert_no_error (error);
  g_assert_true (sampler_is_argmax (s) ==
                 (d->sampling.temperature == 0 &&
                     (d->sampling.repetition_penalty == 0 || d->sampling.repetition_penalty == 1)));
  for (int i = 0; i < DRAWS; i++) {
    int id;

    memcpy (logits, d->logits, sizeof logits);
    id = sampler_next (s, logits, d->context, d->n_context, &logprob);
    g_assert_cmpint (id, >=, 0);
    g_assert_cmpint (id, <, d->V);
    count[id]++;
    if (isfinite (log_share (d, id)))
      g_assert_cmpfloat_with_epsilon (logprob, log_share (d, id), 1e-5);
    else
      g_assert_cmpfloat (logprob, ==, -INFINITY);
  }
  for (int i = 0; i < d->V; i++) {
    const double p = d->expected[i], sigma = sqrt (p * (1 - p) / DRAWS);

    /* ids without probability never come, those with all of it always */
    g_assert_cmpfloat_with_epsilon (count[i] / (double) DRAWS, p, 4.5 * sigma + 1e-12);
  }
}

/* --- a real vocabulary -------------------------------------------------------------------------- */

typedef struct {
  double weight;
  int id;
} Weight;

static int
by_falling_weight (const void *a, const void *b)
{
  const Weight *wa = a, *wb = b;

  return wa->weight != wb->weight ? (wa->weight < wb->weight ? 1 : -1) : wa->id - wb->id;
}

/* The obvious way: probabilities of all ids by sorting everything. */
static void
plain_probabilities (double *p, const float *logits, int V, const Dsvl2Sampling *sampling)
{
  Weight *w = g_new (Weight, V);
  double all = 0, sum = 0;
  int n = V, kept = 0;

  for (int i = 0; i < V; i++) {
    w[i] = (Weight){ exp (logits[i] / sampling->temperature), i };
    p[i] = 0;
  }
  qsort (w, V, sizeof *w, by_falling_weight);
  if (sampling->top_k > 0)
    n = MIN (n, sampling->top_k);
  for (int i = 0; i < n; i++)
    all += w[i].weight;
  for (; kept < n && (kept == 0 || sampling->top_p == 0 || sum < sampling->top_p * all); kept++)
    sum += w[kept].weight;
  for (int i = 0; i < kept; i++)
    p[w[i].id] = w[i].weight / sum;
  g_free (w);
}

static void
test_large (void)
{
  static const Dsvl2Sampling samplings[] = {
    { .temperature = 1, .seed = 1 },
    { .temperature = 0.7f, .top_k = 50, .seed = 2 },
    { .temperature = 1.3f, .top_p = 0.9f, .seed = 3 },
    { .temperature = 0.5f, .top_p = 0.5f, .top_k = 999, .seed = 4 },
    { .temperature = 9, .top_p = 0.999f, .seed = 5 },
  };
  enum { V = 129280, N = 60 };
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  float *logits = g_new (float, V), *copy = g_new (float, V);
  double *p = g_new (double, V);

  for (int i = 0; i < V; i++)
    logits[i] = 4 * g_rand_double_range (random, -1, 1) + (i % 9001 == 0 ? 9 : 0);
  for (guint k = 0; k < G_N_ELEMENTS (samplings); k++) {
    g_autoptr (Sampler) s = sampler_new (&samplings[k], V, NULL);
    double logprob = 0, expected = 0, square = 0;
    float one;

    plain_probabilities (p, logits, V, &samplings[k]);
    for (int i = 0; i < N; i++) {
      int id;

      memcpy (copy, logits, V * sizeof *copy);
      id = sampler_next (s, copy, NULL, 0, &one);
      g_assert_cmpfloat (p[id], >, 0);
      logprob += log (p[id]);
    }
    /* the mean of log p is the entropy, within five standard errors */
    for (int i = 0; i < V; i++)
      if (p[i] > 0) {
        expected += p[i] * log (p[i]);
        square += p[i] * log (p[i]) * log (p[i]);
      }
    g_assert_cmpfloat_with_epsilon (logprob / N, expected,
        5 * sqrt (fmax (square - expected * expected, 0) / N) + 1e-9);
  }
  g_free (p);
  g_free (copy);
  g_free (logits);
}

/* --- seeds -------------------------------------------------------------------------------------- */

static void
draw_uniform (const Dsvl2Sampling *sampling, int *ids, int n)
{
  g_autoptr (Sampler) s = sampler_new (sampling, 1000, NULL);
  float logits[1000], logprob;

  for (int i = 0; i < n; i++) {
    memset (logits, 0, sizeof logits);
    ids[i] = sampler_next (s, logits, NULL, 0, &logprob);
  }
}

/* Among 1000 equals the id is the generator's number in thousandths: those of SplitMix64. */
static void
test_seed (void)
{
  static const int of_42[] = { 741, 159, 278, 344, 38, 868, 218, 800 };
  static const int of_0[] = { 883, 431, 26, 970, 106, 327, 173, 771 };
  int ids[8], again[8];

  draw_uniform (&(Dsvl2Sampling){ .temperature = 1, .seed = 42 }, ids, 8);
  g_assert_cmpmem (ids, sizeof ids, of_42, sizeof of_42);
  draw_uniform (&(Dsvl2Sampling){ .temperature = 1, .seed = 42 }, again, 8);
  g_assert_cmpmem (ids, sizeof ids, again, sizeof again);
  draw_uniform (&(Dsvl2Sampling){ .temperature = 1 }, ids, 8);
  g_assert_cmpmem (ids, sizeof ids, of_0, sizeof of_0);
  draw_uniform (&(Dsvl2Sampling){ .temperature = 1, .seed = G_MAXUINT64 }, ids, 8);
  g_assert_cmpint (memcmp (ids, of_0, sizeof ids), !=, 0);
}

/* --- what is refused ---------------------------------------------------------------------------- */

static const struct {
  Dsvl2Sampling sampling;
  const char *words; /* NULL: taken */
} options[] = {
  { { 0 }, NULL },
  { { .temperature = 0, .top_p = 0, .top_k = 0, .repetition_penalty = 0 }, NULL },
  { { .temperature = 1e30f, .top_p = 1, .top_k = G_MAXINT, .repetition_penalty = 1e30f }, NULL },
  { { .temperature = -0.1f }, "temperature is -0.1, a number from 0" },
  { { .temperature = NAN }, "temperature is nan" },
  { { .temperature = INFINITY }, "temperature is inf" },
  { { .top_p = -0.1f }, "top_p is -0.1, a number from 0 to 1 was expected" },
  { { .top_p = 1.01f }, "top_p is 1.01, a number from 0 to 1 was expected" },
  { { .top_p = NAN }, "top_p is nan" },
  { { .top_k = -1 }, "top_k is -1, a number from 0" },
  { { .repetition_penalty = -1 }, "repetition_penalty is -1, a number from 0" },
  { { .repetition_penalty = NAN }, "repetition_penalty is nan" },
  { { .repetition_penalty = INFINITY }, "repetition_penalty is inf" },
};

static void
test_options (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (Sampler) s = sampler_new (&options[i].sampling, 10, &error);

    g_assert_true ((s != NULL) == (options[i].words == NULL));
    if (options[i].words == NULL)
      continue;
    g_test_message ("%s", error->message);
    g_assert_error (error, DSVL2_ERROR, DSVL2_ERROR_OPTION);
    g_assert_nonnull (strstr (error->message, options[i].words));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (distributions); i++) {
    g_autofree char *path = g_strdup_printf ("/sampler/distribution/%s", distributions[i].name);

    g_test_add_data_func (path, &distributions[i], test_distribution);
  }
  g_test_add_func ("/sampler/large", test_large);
  g_test_add_func ("/sampler/seed", test_seed);
  g_test_add_func ("/sampler/options", test_options);
  return g_test_run ();
}
