/* dsvl2: steps through Ops.step () and beside it, and beside pictures, bit by bit
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: replays DEVICE SCENARIO     prints one line: "same: N steps", "step N differs: …", or "failed: SENTENCE". Exit
 * status 0 for each of these; 1 where the device cannot be opened. */
#include "kernels/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MOST = 20, /* rows */
  D = 16,
  H = 2,
  V = 40,
  PAGE = 4,
  SEQUENCES = MOST,
  PAGES_EACH = 40, /* 160 positions: three splits of attention */
  N_PAGES = 2 * SEQUENCES * PAGES_EACH
};

static const AttentionShape shape = { H, H, D / H, D / H, D, D, 0.35f };

/* What a step changes, as it lies on the device. */
typedef struct {
  int32_t token[MOST], position[MOST], sequence[MOST], wanted[MOST];
  int32_t pages[SEQUENCES * PAGES_EACH];
} Arrays;

typedef struct {
  Ops *k;
  Weight table, weight;
  Arrays host, *device;
  float *x, *q, *pool, *attended, *last, *logits, *logprob;
  int32_t *best;
  void *splits;
  unsigned random;

  StepRows rows;
  int wanted;
  bool rude; /* body does what a step may not */
} Test;

static float weights[2][V * D];

static int
random_below (Test *t, int n)
{
  t->random = t->random * 1664525u + 1013904223u;
  return (int) (t->random >> 8) % n;
}

/* A small decoder's step: embeddings, a layer of attention, logits. */
static void
body (void *data)
{
  Test *t = data;
  Ops *k = t->k;
  const int T = t->rows.T;
  const Weight x = { t->x, WEIGHT_F32, t->wanted, D };

  if (t->rude)
    k->upload (k, t->device, &t->host, sizeof t->host);
  k->gather_rows (k, t->x, &t->table, t->device->token, T);
  k->linear (k, t->q, t->x, &t->weight, NULL, T, 0);
  k->kv_write (k, t->pool, t->q, D, D, &t->rows);
  k->attend (k, t->attended, t->q, t->pool, t->pool, &shape, &t->rows, t->splits);
  k->linear (k, t->x, t->attended, &t->weight, NULL, T, EPI_ADD);
  k->gather_rows (k, t->last, &x, t->device->wanted, t->wanted);
  k->linear (k, t->logits, t->last, &t->table, NULL, t->wanted, 0);
  k->argmax (k, t->best, t->logprob, t->logits, t->wanted, V);
}

/* Every sequence gets pages that nobody else has, in any order. */
static void
deal_pages (Test *t)
{
  static int32_t all[N_PAGES];

  for (int i = 0; i < N_PAGES; i++)
    all[i] = i;
  for (int i = N_PAGES - 1; i > 0; i--) {
    const int j = random_below (t, i + 1), page = all[i];

    all[i] = all[j];
    all[j] = page;
  }
  memcpy (t->host.pages, all, sizeof t->host.pages);
}

/* Rows of T sequences that each decode, at positions below `reach`. */
static void
make_step (Test *t, int T, int reach)
{
  const int shift = random_below (t, SEQUENCES);

  deal_pages (t);
  for (int i = 0; i < T; i++) {
    t->host.token[i] = random_below (t, V);
    t->host.position[i] = random_below (t, reach);
    t->host.sequence[i] = (i + shift) % SEQUENCES;
    t->host.wanted[i] = T - 1 - i;
  }
  t->rows = (StepRows){ .T = T,
    .singles = T,
    .reach = reach,
    .position = t->device->position,
    .sequence = t->device->sequence,
    .pages = t->device->pages,
    .pages_per_sequence = PAGES_EACH,
    .page_tokens = PAGE };
  t->wanted = T;
  t->k->upload (t->k, t->device, &t->host, sizeof t->host);
}

typedef struct {
  int32_t best[MOST];
  float logprob[MOST], logits[MOST * V];
} Results;

static void
take (Test *t, Results *r)
{
  Ops *k = t->k;

  memset (r, 0, sizeof *r);
  k->download (k, r->best, t->best, sizeof (int32_t) * t->wanted);
  k->download (k, r->logprob, t->logprob, sizeof (float) * t->wanted);
  k->download (k, r->logits, t->logits, sizeof (float) * t->wanted * V);
}

/* The step as it is, then through step (): the same bits? */
static bool
agrees (Test *t, int T, int reach)
{
  Results plain, through;

  make_step (t, T, reach);
  body (t);
  take (t, &plain);
  t->k->step (t->k, &t->rows, t->wanted, body, t);
  take (t, &through);
  return memcmp (&plain, &through, sizeof plain) == 0;
}

/* --- scenarios ----------------------------------------------------------------------------------- */

enum { DROP_MEMORY = -1 };

/* T of each step, then 0; with `reaches` the reach goes up and down too. */
static const struct {
  const char *name;
  int T[32];
  bool reaches, rude;
} scenarios[] = {
  { "one", { 1, 1, 1, 1 }, false, false },
  { "batches", { 1, 3, 3, 2, 3, 1, 1, 2, 2, 5, 5, 5, 1 }, false, false },
  { "reaches", { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2 }, true, false },
  { "free", { 2, 2, 2, DROP_MEMORY, 2, 2, 2 }, false, false },
  { "rude", { 2, 2, 2, 2 }, false, true },
  { "many", { 0 }, false, false },
  { "pictures", { 0 }, false, false },
};

/* More kinds of steps than are kept, each three times, then the first again. */
static int
many (Test *t)
{
  int n = 0;

  for (int kind = 0; kind < 72; kind++)
    for (int i = 0; i < 3; i++, n++)
      if (!agrees (t, kind % 18 + 1, 40 + 40 * (kind / 18)))
        return n;
  return agrees (t, 1, 40) ? n + 1 : n;
}

/* y = x · w in the pictures' lane; back among steps when it is done. */
static void
do_picture (Test *t, float *y, const float *x)
{
  Ops *k = t->k;

  k->lane (k, LANE_PICTURES);
  k->linear (k, y, x, &t->weight, NULL, MOST, 0);
  k->lane (k, LANE_STEPS);
  if (!k->pictures_done (k, false))
    k->pictures_done (k, true);
}

/* A picture is read when steps have just brought it, and a step that is still in hand reads what it became
 * when the next picture overwrites that: the step gets what it gets without lanes. How many rounds did. */
static int
beside_pictures (Test *t, int rounds)
{
  Ops *k = t->k;
  float host[MOST * D], alone[MOST * D], beside[MOST * D];
  float *next = t->logits; /* zeros */
  int agreed = 0;

  for (; agreed < rounds; agreed++) {
    memset (host, 0, sizeof host);
    k->upload (k, next, host, sizeof host);
    for (int i = 0; i < MOST * D; i++)
      host[i] = (float) (random_below (t, 2001) - 1000) / 1000;
    k->upload (k, t->last, host, sizeof host);
    k->linear (k, t->q, t->last, &t->weight, NULL, MOST, 0);
    k->linear (k, t->attended, t->q, &t->weight, NULL, MOST, 0);
    k->download (k, alone, t->attended, sizeof alone);

    memset (beside, 0, sizeof beside);
    k->upload (k, t->q, beside, sizeof beside);
    k->upload (k, t->x, host, sizeof host);
    do_picture (t, t->q, t->x);
    k->linear (k, t->attended, t->q, &t->weight, NULL, MOST, 0);
    do_picture (t, t->q, next);
    k->download (k, beside, t->attended, sizeof beside);
    if (memcmp (alone, beside, sizeof alone) != 0)
      break;
  }
  return agreed;
}

/* How many steps agreed before one that did not; *n: how many there were. */
static int
run_scenario (Test *t, const char *name, int *n)
{
  for (size_t s = 0; s < sizeof scenarios / sizeof scenarios[0]; s++) {
    const int *T = scenarios[s].T;
    int agreed = 0, i;

    if (strcmp (scenarios[s].name, name) != 0)
      continue;
    if (strcmp (name, "pictures") == 0) {
      *n = 4;
      return beside_pictures (t, *n);
    }
    if (T[0] == 0) {
      *n = 72 * 3 + 1;
      return many (t);
    }
    t->rude = scenarios[s].rude;
    for (i = *n = 0; T[i] != 0; i++) {
      if (T[i] == DROP_MEMORY) {
        t->k->free (t->k, t->k->alloc (t->k, 16));
        continue;
      }
      ++*n;
      if (!agrees (t, T[i], scenarios[s].reaches ? (i % 3 + 1) * 50 : 40))
        return agreed;
      agreed++;
    }
    return agreed;
  }
  *n = 0;
  return -1;
}

/* --- opening ------------------------------------------------------------------------------------- */

static void *memory[16];
static int n_memory;

static void *
new_memory (Test *t, size_t bytes)
{
  return memory[n_memory++] = t->k->alloc (t->k, bytes);
}

static void
open_test (Test *t)
{
  Ops *k = t->k;

  for (int i = 0; i < V * D; i++) {
    weights[0][i] = (float) (random_below (t, 2001) - 1000) / 1000;
    weights[1][i] = (float) (random_below (t, 2001) - 1000) / 1000;
  }
  t->table = (Weight){ weights[0], WEIGHT_F32, V, D };
  t->weight = (Weight){ weights[1], WEIGHT_F32, D, D };
  k->place (k, &t->table);
  k->place (k, &t->weight);
  t->device = new_memory (t, sizeof *t->device);
  t->x = new_memory (t, sizeof (float[MOST * D]));
  t->q = new_memory (t, sizeof (float[MOST * D]));
  t->attended = new_memory (t, sizeof (float[MOST * D]));
  t->last = new_memory (t, sizeof (float[MOST * D]));
  t->logits = new_memory (t, sizeof (float[MOST * V]));
  t->logprob = new_memory (t, sizeof (float[MOST]));
  t->best = new_memory (t, sizeof (int32_t[MOST]));
  t->pool = new_memory (t, sizeof (float[N_PAGES * PAGE * D]));
  t->splits = new_memory (t, attend_scratch (&shape, MOST, PAGES_EACH * PAGE));
}

int
main (int argc, char **argv)
{
  const OpsOptions options = { .device = argc > 1 ? argv[1] : "cuda", .threads = 1 };
  char message[OPS_MESSAGE] = "";
  Test t = { .k = ops_open (&options, message) };
  int n = 0, agreed;

  if (!t.k) {
    printf ("%s\n", message);
    return 1;
  }
  open_test (&t);
  agreed = run_scenario (&t, argc > 2 ? argv[2] : "one", &n);
  if (t.k->failure (t.k))
    printf ("failed: %s\n", t.k->failure (t.k));
  else if (agreed == n)
    printf ("same: %d steps\n", n);
  else
    printf ("step %d differs: T %d, reach %d\n", agreed, t.rows.T, t.rows.reach);
  while (n_memory > 0)
    t.k->free (t.k, memory[--n_memory]);
  t.k->unplace (t.k, &t.weight);
  t.k->unplace (t.k, &t.table);
  t.k->close (t.k);
  return 0;
}
