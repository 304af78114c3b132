/* dsvl2: opens a back end, places weights, runs a step and closes it, whatever fails meanwhile
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: failing DEVICE [ATTENTION]      prints one line, which says how it ended: "open: …", "alloc: …", "place: …",
 * "step: …", or "done: CHECKSUM". Exit status 0 for each of these. With ATTENTION (OpsOptions) bf16 is allowed.
 */
#include "kernels/backend.h"

#include <stdio.h>
#include <string.h>

enum {
  T = 2,
  D = 16,
  F = 8,
  E = 4,
  K = 2,
  H = 2,
  S = 4,
  PAGE = 4,
  WIDE = 20, /* rows of a product that rounds them first, with bf16 */
  MATRICES = 1 + 3 * E,
  MAX_MEMORY = 17,
  REPEATS = 3 /* a step is enqueued, captured, replayed */
};

typedef struct {
  Ops *k;
  Weight weight[MATRICES];
  void *memory[MAX_MEMORY];
  int n_weights, n_memory;
  bool missing; /* an allocation failed */
} Step;

static uint16_t host_weights[MATRICES][D * D]; /* bf16 */
static float host_rows[T * D], host_tiles[2 * T * 3 * D], host_wide[WIDE * D];
static uint8_t picture[S][S][3];

static void *
memory (Step *s, size_t bytes)
{
  void *m = s->k->alloc (s->k, bytes);

  s->missing |= !m;
  if (m)
    s->memory[s->n_memory++] = m;
  return m;
}

static const void *
uploaded (Step *s, const void *host, size_t bytes)
{
  void *m = memory (s, bytes);

  if (m)
    s->k->upload (s->k, m, host, bytes);
  return m;
}

static bool
place_weights (Step *s)
{
  for (int i = 0; i < MATRICES; i++) {
    const bool down = i > 2 * E;

    s->weight[i] = (Weight){ host_weights[i], WEIGHT_BF16, i == 0 || down ? D : F, down ? F : D };
    if (!s->k->place (s->k, &s->weight[i]))
      return false;
    s->n_weights++;
  }
  return true;
}

/* What a step of the decoder calls. */
typedef struct {
  Ops *k;
  float *x, *y, *pool;
  const float *in;
  const int32_t *chosen;
  const Weight *weight;
  const Experts *experts;
  const StepRows *rows;
  void *splits, *scratch;
} Layer;

static const AttentionShape shape = { H, H, D / H, D / H, D, D, 0.3f };

static void
run_layer (void *data)
{
  const Layer *l = data;
  Ops *k = l->k;

  k->linear (k, l->x, l->in, l->weight, NULL, T, 0);
  k->kv_write (k, l->pool, l->x, D, D, l->rows);
  k->attend (k, l->y, l->x, l->pool, l->pool, &shape, l->rows, l->splits);
  k->moe_experts (k, l->y, l->x, l->chosen, l->in, l->experts, T, K, l->scratch);
}

/* A picture, two tiles, a wide product, tiles' products, then rows' way through a layer, three times. The checksum of what comes out. */
static float
run_step (Step *s)
{
  static const int32_t position[T] = { 0, 1 }, sequence[T] = { 0, 0 }, pages[1] = { 0 },
                       ids[T * K] = { 0, 3, 1, 2 };
  const Frame frame = { .width = S,
    .height = S,
    .color = FRAME_RGB,
    .bits = 8,
    .channel = { { &picture[0][0][0], 3 * S, 3, 0, 0 }, { &picture[0][0][1], 3 * S, 3, 0, 0 },
        { &picture[0][0][2], 3 * S, 3, 0, 0 } } };
  const Canvas canvas = { 1, 1, S, 0, 0, S, S, { 127, 127, 127 }, { 0.5f, 0.5f, 0.5f },
    { 0.5f, 0.5f, 0.5f } };
  const Experts experts = { E, D, F, s->weight + 1, s->weight + 1 + E, s->weight + 1 + 2 * E };
  Ops *k = s->k;
  float *tiles = memory (s, sizeof (float[3 * S * S])), *pool = memory (s, sizeof (float[PAGE * D]));
  float *x = memory (s, sizeof host_rows), *y = memory (s, sizeof host_rows);
  float *seen = memory (s, 2 * sizeof host_rows), *wide = memory (s, sizeof host_wide);
  float *tiled = memory (s, sizeof host_wide);
  void *frame_scratch = memory (s, frame_tiles_scratch (&frame, &canvas));
  void *scratch = memory (s, moe_experts_scratch (T, K, D, F));
  void *splits = memory (s, attend_scratch (&shape, 1, PAGE));
  const float *in = uploaded (s, host_rows, sizeof host_rows);
  const float *qkv = uploaded (s, host_tiles, sizeof host_tiles);
  const float *many = uploaded (s, host_wide, sizeof host_wide);
  const int32_t *chosen = uploaded (s, ids, sizeof ids);
  const StepRows rows = { .T = T,
    .position = uploaded (s, position, sizeof position),
    .sequence = uploaded (s, sequence, sizeof sequence),
    .pages = uploaded (s, pages, sizeof pages),
    .pages_per_sequence = 1,
    .page_tokens = PAGE };
  float out[T * D] = { 0 }, attended[2 * T * D] = { 0 }, pixels[3 * S * S] = { 0 }, sum = 0;
  float multiplied[WIDE * D] = { 0 }, by_tiles[WIDE * D] = { 0 };

  if (s->missing)
    return 0;
  k->lane (k, LANE_PICTURES);
  k->frame_tiles (k, tiles, &frame, &canvas, frame_scratch);
  k->attend_tiles (k, seen, qkv, 2, T, H, D / H);
  k->linear (k, wide, many, &s->weight[0], NULL, WIDE, 0);
  for (int n = 2; n > 0; n--) /* two tiles, then one */
    k->linear (k, tiled, many, &s->weight[0], in, n * WIDE / 2, EPI_ADD | LINEAR_TILES (WIDE / 2));
  k->lane (k, LANE_STEPS);
  for (int i = 0; i < REPEATS; i++)
    k->step (k, &rows, T, run_layer,
        &(Layer){ k, x, y, pool, in, chosen, &s->weight[0], &experts, &rows, splits, scratch });
  if (!k->pictures_done (k, false))
    k->pictures_done (k, true);
  k->download (k, pixels, tiles, sizeof pixels);
  k->download (k, attended, seen, sizeof attended);
  k->download (k, multiplied, wide, sizeof multiplied);
  k->download (k, by_tiles, tiled, sizeof by_tiles);
  k->download (k, out, y, sizeof out);
  for (int i = 0; i < T * D; i++)
    sum += out[i];
  for (int i = 0; i < 2 * T * D; i++)
    sum += attended[i];
  for (int i = 0; i < WIDE * D; i++)
    sum += multiplied[i] + by_tiles[i];
  for (int i = 0; i < 3 * S * S; i++)
    sum += pixels[i];
  return sum;
}

/* Prints how it ended; what follows is still given back. */
static void
tell (Step *s)
{
  if (!place_weights (s)) {
    printf ("place: %s\n", s->k->failure (s->k) ? s->k->failure (s->k) : "memory ran out");
    return;
  }
  const float sum = run_step (s);
  const char *failure = s->k->failure (s->k);

  if (failure)
    printf ("step: %s\n", failure);
  else if (s->missing)
    printf ("alloc: memory ran out\n");
  else
    printf ("done: %g\n", sum);
}

int
main (int argc, char **argv)
{
  static const uint16_t few_bits[7] = { 0xbec0, 0xbe80, 0xbe00, 0, 0x3e00, 0x3e80,
    0x3ec0 }; /* −0.375 … 0.375 */
  const OpsOptions options = { .device = argc > 1 ? argv[1] : "cuda",
    .threads = 1,
    .bf16 = argc > 2,
    .attention = argc > 2 ? argv[2] : NULL,
    .tile = { T, H, D / H } };
  char message[OPS_MESSAGE] = "";
  Step s = { .k = ops_open (&options, message) };

  if (!s.k) {
    printf ("open: %s\n", message);
    return 0;
  }
  for (int i = 0; i < MATRICES; i++)
    for (int j = 0; j < D * D; j++)
      host_weights[i][j] = few_bits[(i + j) % 7];
  for (int i = 0; i < T * D; i++)
    host_rows[i] = i % 5 * 0.25f;
  for (int i = 0; i < WIDE * D; i++)
    host_wide[i] = i % 13 * 0.125f;
  for (int i = 0; i < 2 * T * 3 * D; i++)
    host_tiles[i] = i % 11 * 0.13f - 0.6f;
  tell (&s);
  while (s.n_memory > 0)
    s.k->free (s.k, s.memory[--s.n_memory]);
  while (s.n_weights > 0)
    s.k->unplace (s.k, &s.weight[--s.n_weights]);
  s.k->close (s.k);
  return 0;
}
