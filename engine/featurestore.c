/* dsvl2: what pictures become for the language model, kept for the next question about them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "featurestore.h"

enum {
  KEEP = 8, /* pictures whose features stay when nobody uses them */
  PATCHES_AT_ONCE =
      1600, /* of one batch: enough to fill every processor, little enough to let others in */
};

struct _FeatureStore {
  const Config *config;
  const Network *network;
  Ops *ops;
  int batch; /* tiles */
  int max_tiles, max_tokens;

  void *scratch; /* of the arena that the rest points into */
  VisionScratch vision;
  ProjectorScratch projector;
  float *tiles;          /* [max_tiles, 3, S, S] */
  float *encoded;        /* [batch, P, C] */
  float *projected;      /* [max_tiles · grid², D] */
  int32_t *ids;          /* [max_tokens] */
  gint32 *rows, *picked; /* host, [max_tokens] */

  gpointer frame_scratch; /* device */
  gsize frame_scratch_bytes;
  int next_tile;  /* of the picture that is being encoded */
  Features *made; /* its features, when all that they need has been enqueued */

  GPtrArray *kept; /* Features */
  guint64 clock;
};

/* The largest layout that any picture can have. */
static void
measure (FeatureStore *store)
{
  const Config *config = store->config;
  const int S = config->vision.image_size;

  store->max_tiles = 1;
  for (int i = 0; i < config->n_candidates; i++) {
    TilePlan plan;

    tile_plan_make (&plan, config, config->candidate[i].width, config->candidate[i].height, true, 0);
    store->max_tiles =
        MAX (store->max_tiles, 1 + config->candidate[i].width / S * (config->candidate[i].height / S));
    store->max_tokens = MAX (store->max_tokens, plan.n_tokens);
  }
  TilePlan single;
  tile_plan_make (&single, config, S, S, false, 0);
  store->max_tokens = MAX (store->max_tokens, single.n_tokens);
}

static void
lay_out (FeatureStore *store, Arena *arena)
{
  const Vision *vision = &store->network->vision;
  const Projector *projector = &store->network->projector;
  const gsize tiles = store->max_tiles, S = vision->S;

  vision_scratch (vision, &store->vision, arena, store->batch);
  projector_scratch (projector, &store->projector, arena, store->batch);
  store->tiles = arena_new (arena, float, tiles * 3 * S * S);
  store->encoded = arena_new (arena, float, (gsize) store->batch * vision->P * vision->C);
  store->projected = arena_new (arena, float, tiles * projector->grid * projector->grid * projector->D);
  store->ids = arena_new (arena, int32_t, store->max_tokens);
}

FeatureStore *
feature_store_new (const Config *config, const Network *network, Ops *ops, GError **error)
{
  FeatureStore *store = g_new0 (FeatureStore, 1);
  Arena arena = { 0 };

  store->config = config;
  store->network = network;
  store->ops = ops;
  store->kept = g_ptr_array_new ();
  measure (store);
  store->batch = CLAMP (PATCHES_AT_ONCE / network->vision.P, 1, store->max_tiles);
  lay_out (store, &arena);
  store->scratch = arena.base = ops->alloc (ops, arena.used);
  if (arena.base == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "The vision encoder needs %" G_GSIZE_FORMAT " MiB of scratch memory, which are not free",
        arena.used >> 20);
    feature_store_free (store);
    return NULL;
  }
  arena.used = 0;
  lay_out (store, &arena);
  store->rows = g_new (gint32, store->max_tokens);
  store->picked = g_new (gint32, store->max_tokens);
  return store;
}

static void
features_forget (Features *features)
{
  g_clear_pointer (&features->key, g_atomic_rc_box_release);
}

void
feature_store_free (FeatureStore *store)
{
  for (guint i = 0; i < store->kept->len; i++) {
    Features *features = g_ptr_array_index (store->kept, i);

    features_forget (features);
    if (features->rows)
      store->ops->free (store->ops, features->rows);
    g_free (features);
  }
  g_ptr_array_unref (store->kept);
  if (store->scratch)
    store->ops->free (store->ops, store->scratch);
  if (store->frame_scratch)
    store->ops->free (store->ops, store->frame_scratch);
  g_free (store->rows);
  g_free (store->picked);
  g_free (store);
}

Features *
feature_store_get (FeatureStore *store, const PictureKey *key, const TilePlan *plan)
{
  for (guint i = 0; i < store->kept->len; i++) {
    Features *features = g_ptr_array_index (store->kept, i);

    if (features->key == key && features->across == plan->across && features->down == plan->down) {
      features->users++;
      features->last_use = ++store->clock;
      return features;
    }
  }
  return NULL;
}

void
features_drop (Features *features)
{
  features->users--;
}

/* Room for n_tokens rows: what was unused longest, or new memory while fewer than KEEP are unused. */
static Features *
take_room (FeatureStore *store, int n_tokens, GError **error)
{
  const gsize bytes = sizeof (float) * n_tokens * store->network->projector.D;
  Features *oldest = NULL;
  int unused = 0;

  for (guint i = 0; i < store->kept->len; i++) {
    Features *features = g_ptr_array_index (store->kept, i);

    if (features->users > 0)
      continue;
    unused++;
    if (oldest == NULL || features->last_use < oldest->last_use)
      oldest = features;
  }
  if (oldest == NULL || unused < KEEP) {
    oldest = g_new0 (Features, 1);
    g_ptr_array_add (store->kept, oldest);
  }
  features_forget (oldest);
  if (oldest->capacity < bytes) {
    if (oldest->rows)
      store->ops->free (store->ops, oldest->rows);
    oldest->rows = store->ops->alloc (store->ops, bytes);
    oldest->capacity = oldest->rows ? bytes : 0;
  }
  if (oldest->rows == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "A picture's %d tokens need %" G_GSIZE_FORMAT " MiB, which are not free", n_tokens,
        bytes >> 20);
    return NULL;
  }
  return oldest;
}

/* Cuts the frame into store->tiles: the global view, then, unless they are its twin, the local ones. */
static bool
cut_tiles (FeatureStore *store, const Frame *frame, const TilePlan *plan, GError **error)
{
  const gsize S = plan->global.S;
  const gsize bytes =
      MAX (frame_tiles_scratch (frame, &plan->global), frame_tiles_scratch (frame, &plan->local));

  if (store->frame_scratch_bytes < bytes) {
    if (store->frame_scratch)
      store->ops->free (store->ops, store->frame_scratch);
    store->frame_scratch = store->ops->alloc (store->ops, bytes);
    store->frame_scratch_bytes = store->frame_scratch ? bytes : 0;
  }
  if (store->frame_scratch == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "Scaling a %d × %d frame needs %" G_GSIZE_FORMAT " MiB, which are not free", frame->width,
        frame->height, bytes >> 20);
    return false;
  }
  store->ops->frame_tiles (store->ops, store->tiles, frame, &plan->global, store->frame_scratch);
  if (!plan->twin)
    store->ops->frame_tiles (store->ops, store->tiles + 3 * S * S, frame, &plan->local,
        store->frame_scratch);
  return true;
}

/* y [n_tokens, D]: those rows of `table` that plan->rows names by `which`; the others stay. */
static void
gather (FeatureStore *store, float *y, const Weight *table, int n_tokens, gint32 which)
{
  for (int i = 0; i < n_tokens; i++) {
    const gint32 row = store->rows[i];
    store->picked[i] = which >= 0 ? row : row == which ? 0 : -1;
  }
  store->ops->upload (store->ops, store->ids, store->picked, sizeof (gint32) * n_tokens);
  store->ops->gather_rows (store->ops, y, table, store->ids, n_tokens);
}

/* Puts the picture's tokens in order, with newlines and the separator between them. */
static void
assemble (FeatureStore *store, Features *features, const TilePlan *plan)
{
  const Projector *p = &store->network->projector;
  const Weight projected = {
    .data = store->projected, .type = WEIGHT_F32, .O = plan->n_encoded * p->grid * p->grid, .I = p->D
  };

  tile_plan_rows (plan, store->config, store->rows);
  gather (store, features->rows, &projected, plan->n_tokens, 0);
  gather (store, features->rows, &store->network->newline, plan->n_tokens, TILE_ROW_NEWLINE);
  gather (store, features->rows, &store->network->separator, plan->n_tokens, TILE_ROW_SEPARATOR);
}

/* Enqueues a batch of tiles; behind the last one store->made. */
static void
encode_batch (FeatureStore *store, const Dsvl2Picture *picture, const TilePlan *plan, GError **error)
{
  const Vision *v = &store->network->vision;
  const Projector *p = &store->network->projector;
  const gsize first = store->next_tile;
  const int N = MIN (store->batch, plan->n_encoded - store->next_tile);

  if (first == 0 && !cut_tiles (store, &picture->frame, plan, error))
    return;
  vision_encode (v, store->ops, &store->vision, store->tiles + first * 3 * v->S * v->S, N,
      store->encoded);
  projector_apply (p, store->ops, &store->projector, store->encoded, N,
      store->projected + first * p->grid * p->grid * p->D);
  store->next_tile += N;
  if (store->next_tile < plan->n_encoded)
    return;

  store->next_tile = 0;
  if ((store->made = take_room (store, plan->n_tokens, error))) {
    assemble (store, store->made, plan);
    store->made->users = 1;
  }
}

Features *
feature_store_encode (FeatureStore *store, const Dsvl2Picture *picture, const TilePlan *plan,
    GError **error)
{
  Ops *k = store->ops;

  if (!k->pictures_done (k, false))
    return NULL;
  if (store->made == NULL) {
    k->lane (k, LANE_PICTURES);
    encode_batch (store, picture, plan, error);
    k->lane (k, LANE_STEPS);
    if (store->made == NULL || !k->pictures_done (k, false))
      return NULL;
  }

  Features *features = g_steal_pointer (&store->made);
  features->key = g_atomic_rc_box_acquire (picture->key);
  features->across = plan->across;
  features->down = plan->down;
  features->n_tokens = plan->n_tokens;
  features->last_use = ++store->clock;
  return features;
}

void
feature_store_abort (FeatureStore *store)
{
  store->next_tile = 0;
  g_clear_pointer (&store->made, features_drop);
}
