/* dsvl2: cases of moe_experts
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

typedef struct {
  int T, K, E, D, F;
  WeightType type;
} ExpertsCase;

/* clang-format off */
static const ExpertsCase experts_cases[] = {
  /* T  K  E    D    F  weights */
  {  1, 6, 8, 1280, 896, WEIGHT_BF16 }, /* Tiny, decoding */
  {  1, 1, 1,    1,   1, WEIGHT_F32 },
  {  7, 2, 3,   33,  17, WEIGHT_F32 },
  {  5, 6, 64,  65,  31, WEIGHT_F16 },  /* most experts have no rows */
  { 40, 3, 4,   96,  70, WEIGHT_BF16 },
  { 61, 4, 4,   37,  48, WEIGHT_F16 },  /* every expert has every row */
  {  9, 5, 2,   40, 997, WEIGHT_BF16 }, /* and some rows several times */
  { 33, 2, 3,   96,  72, WEIGHT_BF16 }, /* aligned rows, several groups of an expert on CUDA */
};

static const ExpertsCase quantised_cases[] = {
  {  1, 6, 8, 1280, 896, WEIGHT_INT8 },
  {  1, 6, 8, 1280, 896, WEIGHT_INT4 },
  {  1, 1, 1,    1,   1, WEIGHT_INT4 },
  {  7, 2, 3,   33,  17, WEIGHT_INT8 },
  {  5, 6, 64,  65,  31, WEIGHT_INT4 },
  { 40, 3, 4,   96,  70, WEIGHT_INT8 },
  { 61, 4, 4,   37,  48, WEIGHT_INT4 },
  {  9, 5, 2,   40, 997, WEIGHT_INT8 },
  { 33, 2, 3,   96,  72, WEIGHT_INT8 }, /* aligned rows, several groups of an expert on CUDA */
  { 33, 2, 3,   96,  72, WEIGHT_INT4 },
};

static const ExpertsCase experts_bench[] = {
  {   1, 6, 64, 1280,  896, WEIGHT_BF16 },
  {   1, 6, 64, 1280,  896, WEIGHT_INT8 },
  {   1, 6, 64, 1280,  896, WEIGHT_INT4 },
  {   4, 6, 64, 1280,  896, WEIGHT_BF16 },
  { 512, 6, 64, 1280,  896, WEIGHT_BF16 },
};
/* clang-format on */

static const char *const type_names[] = { "f32", "f16", "bf16", "int8", "int4" };

enum { MAX_E = 64, MAX_PAIRS = 4096, BENCH_ROUNDS = 8 };

typedef struct {
  Weight gate[MAX_E], up[MAX_E], down[MAX_E];
  Experts experts;
} Layer;

static void
make_layer (Run *r, Layer *l, const ExpertsCase *c)
{
  for (int e = 0; e < c->E; e++) {
    l->gate[e] = run_weight (r, c->type, c->F, c->D, NORMAL);
    l->up[e] = run_weight (r, c->type, c->F, c->D, NORMAL);
    l->down[e] = run_weight (r, c->type, c->D, c->F, NORMAL);
  }
  l->experts = (Experts){ c->E, c->D, c->F, l->gate, l->up, l->down };
}

/* ids [T, K], different ones for each row unless E is too small. Returns how many experts have rows. */
static int
choose_experts (Run *r, const int32_t **ids, int T, int K, int E)
{
  int32_t host[MAX_PAIRS], order[MAX_E];
  bool chosen[MAX_E] = { false };
  int n = 0;

  for (int e = 0; e < E; e++)
    order[e] = e;
  for (int t = 0; t < T; t++) {
    for (int j = 0; j < K; j++) {
      const int other = j % E + run_random (r, E - j % E), e = order[other];

      order[other] = order[j % E];
      host[t * K + j] = order[j % E] = e;
      n += !chosen[e];
      chosen[e] = true;
    }
  }
  *ids = run_input (r, host, sizeof (int32_t) * T * K, sizeof (int32_t));
  return n;
}

static void
run_experts_case (Run *r, const ExpertsCase *c)
{
  const int T = c->T, K = c->K, D = c->D;
  Ops *k = run_ops (r);
  const float *x = run_floats (r, (size_t) T * D, NORMAL);
  const float *weights = run_floats (r, T * K, NORMAL);
  void *scratch = run_scratch (r, moe_experts_scratch (T, K, D, c->F));
  float *y = run_output (r, T, D, NORMAL);
  const int32_t *ids;
  Layer l;

  make_layer (r, &l, c);
  choose_experts (r, &ids, T, K, c->E);
  run_case (r, run_rounds (r, c->type) ? 1e-2 : 3e-6, "T=%d K=%d E=%d D=%d F=%d %s", T, K, c->E, D,
      c->F, type_names[c->type]);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
      k->moe_experts (k, y + (size_t) t * D, x + (size_t) t * D, ids + t * K, weights + t * K,
          &l.experts, n, K, scratch);
}

static void
run_experts (Run *r, int i)
{
  run_experts_case (r, &experts_cases[i]);
}

static void
run_quantised (Run *r, int i)
{
  run_experts_case (r, &quantised_cases[i]);
}

/* Several steps with experts of their own: no cache keeps them all. */
static void
bench_experts (Run *r, int i)
{
  const ExpertsCase *c = &experts_bench[i];
  const int T = c->T, K = c->K, D = c->D, rounds = T > 16 ? 1 : BENCH_ROUNDS;
  Ops *k = run_ops (r);
  const float *x = run_floats (r, (size_t) T * D, NORMAL);
  const float *weights = run_floats (r, T * K, NORMAL);
  void *scratch = run_scratch (r, moe_experts_scratch (T, K, D, c->F));
  float *y = run_output (r, T, D, NORMAL);
  const int32_t *ids[BENCH_ROUNDS];
  double read = 0;
  Layer l;

  make_layer (r, &l, c);
  for (int j = 0; j < rounds; j++)
    read += choose_experts (r, &ids[j], T, K, c->E) * 3.0 * weight_bytes (&l.gate[0]);
  run_case (r, 0, "T=%d K=%d E=%d D=%d F=%d %s", T, K, c->E, D, c->F, type_names[c->type]);
  run_cost (r, 6.0 * T * K * D * c->F * rounds, T <= 16 ? read : 0);
  while (run_again (r))
    for (int j = 0; j < rounds; j++)
      k->moe_experts (k, y, x, ids[j], weights, &l.experts, T, K, scratch);
}

#define COUNT(table) (sizeof table / sizeof table[0])

const OpCheck experts_checks[] = {
  { "moe_experts", run_experts, COUNT (experts_cases), bench_experts, COUNT (experts_bench) },
  { "experts_quantised", run_quantised, COUNT (quantised_cases) },
  { NULL },
};
