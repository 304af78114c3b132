/* dsvl2: every stage of the engine against the official code's outputs
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * check_golden DIR… [--chunk N] [--device D] [--isa I] [--threads N] [--weights W]: for each case of each folder in the
 * golden format (tests/golden/README.md) the error of each stage, and whether the greedy tokens agree:
 * first stage by stage, then all cases at once through the public interface. */
#include "decoder.h"
#include "featurestore.h"
#include "model.h"
#include "request.h"
#include <cairo.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

enum { N_GREEDY = 24, N_LAST = 4, PAGE = KV_PAGE_TOKENS };

/* A margin between the two best logits below which rounding may choose the other token. */
static const double safe_margin = 0.002;

/* Two experts whose scores differ by less than rounding are a tie that either side may win, and all that
 * follows depends on it. A case that fails is run again with the router's logits nudged by so much: a tie
 * falls the other way in one of a few runs, an error stays. */
static const float nudge = 1e-5f;

static const double max_hidden = 2e-4, max_logits = 1e-3; /* relative */

/* Quantised, these models of random weights take other experts here and there, and a token's logits are then
 * others. So their error and the tokens that agree are means over a folder's cases. */
typedef struct {
  const char *weights;
  double logits, tokens; /* error at most, share at least */
} Loss;

static const Loss losses[] = {
  { "int8", 0.20, 0.85 },
  { "int4", 0.50, 0.45 },
};

enum { N_NUDGES = 16, SKIP = 77 };

typedef struct {
  const char *dir;
  const Loss *loss;                   /* of quantised weights; NULL: as stored */
  double logits_error, tokens_agreed; /* sums over the cases */
  Dsvl2Model *model;
  Ops *ops;
  Network network;
  Safetensors *expected;
  JsonParser *parser;
  int chunk;
  int passed, failed;
  void (*route) (Ops *k, int32_t *ids, float *weights, const float *logits, const float *bias,
      const Route *route, int T); /* the back end's own */
  int nudges;                     /* 0: none; else the number of the run */
} Golden;

/* Whose ops nudged_route stands in, since an op has no argument of the caller's. */
static Golden *routing;

typedef struct {
  const char *name;
  JsonObject *json;
  GArray *messages; /* Dsvl2Message */
  GPtrArray *surfaces, *pictures;
  Dsvl2Request *request;
} Case;

/* --- comparing ---------------------------------------------------------------------------------- */

static void
verdict (Golden *g, bool ok, const char *name, const char *stage, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  g_print ("%s %-14s %-14s %s\n", ok ? "ok    " : "FAILED", name, stage, what);
  if (ok)
    g->passed++;
  else
    g->failed++;
}

static const Tensor *
expected (Golden *g, const char *name, const char *stage)
{
  g_autofree char *key = g_strdup_printf ("%s/%s", name, stage);

  return safetensors_find (g->expected, key);
}

typedef struct {
  double largest, relative; /* absolute difference; L2 */
} Error;

static Error
error_of (const Tensor *tensor, const float *got, gsize n)
{
  double largest = 0, error = 0, norm = 0;

  if (tensor == NULL || tensor->type != TENSOR_F32 || tensor->bytes != n * sizeof (float))
    return (Error){ INFINITY, INFINITY };
  for (gsize i = 0; i < n; i++) {
    const double want = ((const float *) tensor->data)[i], d = got[i] - want;

    largest = MAX (largest, isnan (d) ? INFINITY : fabs (d));
    error += d * d;
    norm += want * want;
  }
  return (Error){ largest, isinf (largest) ? INFINITY : sqrt (error / MAX (norm, 1e-30)) };
}

static void
compare (Golden *g, const char *name, const char *stage, const float *got, gsize n, double max_abs,
    double max_rel)
{
  const Error e = error_of (expected (g, name, stage), got, n);

  verdict (g, e.largest <= max_abs && e.relative <= max_rel, name, stage,
      "largest error %.2e (at most %.0e)   relative %.2e (at most %.0e)%s", e.largest, max_abs,
      e.relative, max_rel, g->nudges ? "   a routing tie broken the other way" : "");
}

/* Element i of an int64 tensor, which need not be aligned. */
static gint64
integer (const Tensor *tensor, gsize i)
{
  gint64 value;

  memcpy (&value, (const char *) tensor->data + i * sizeof value, sizeof value);
  return value;
}

/* --- reading cases ------------------------------------------------------------------------------ */

static Dsvl2Picture *
load_picture (Case *c, const char *path, GError **error)
{
  cairo_surface_t *surface = cairo_image_surface_create_from_png (path);

  if (cairo_surface_status (surface) != CAIRO_STATUS_SUCCESS) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s: %s", path,
        cairo_status_to_string (cairo_surface_status (surface)));
    cairo_surface_destroy (surface);
    return NULL;
  }
  g_ptr_array_add (c->surfaces, surface);
  const Dsvl2Frame frame = {
    .format = G_BYTE_ORDER == G_LITTLE_ENDIAN ? DSVL2_FORMAT_BGRX : DSVL2_FORMAT_XRGB,
    .width = cairo_image_surface_get_width (surface),
    .height = cairo_image_surface_get_height (surface),
    .plane = { cairo_image_surface_get_data (surface) },
    .stride = { cairo_image_surface_get_stride (surface) },
  };
  return dsvl2_picture_new (&frame, NULL, NULL, error);
}

static Dsvl2Ask
case_ask (const Case *c)
{
  return (Dsvl2Ask){
    .messages = (const Dsvl2Message *) c->messages->data,
    .n_messages = c->messages->len,
    .pictures = (Dsvl2Picture *const *) c->pictures->pdata,
    .n_pictures = c->pictures->len,
    .sampling = { .max_new_tokens = N_GREEDY, .ignore_eos = TRUE },
  };
}

static void
case_free (Case *c)
{
  g_clear_pointer (&c->request, dsvl2_request_unref);
  g_array_unref (c->messages);
  g_ptr_array_unref (c->pictures);
  g_ptr_array_unref (c->surfaces);
  g_free (c);
}

static Case *
case_load (Golden *g, JsonObject *json, GError **error)
{
  Case *c = g_new0 (Case, 1);
  JsonArray *conversation = json_object_get_array_member (json, "conversation");
  JsonArray *images = json_object_get_array_member (json, "images");

  c->json = json;
  c->name = json_object_get_string_member (json, "name");
  c->messages = g_array_new (FALSE, TRUE, sizeof (Dsvl2Message));
  c->pictures = g_ptr_array_new_with_free_func ((GDestroyNotify) dsvl2_picture_unref);
  c->surfaces = g_ptr_array_new_with_free_func ((GDestroyNotify) cairo_surface_destroy);
  /* The last message is the answer to come. */
  for (guint i = 0; i + 1 < json_array_get_length (conversation); i++) {
    JsonObject *turn = json_array_get_object_element (conversation, i);
    const bool user = g_str_equal (json_object_get_string_member (turn, "role"), "<|User|>");
    const Dsvl2Message message = { user ? DSVL2_ROLE_USER : DSVL2_ROLE_ASSISTANT,
      json_object_get_string_member (turn, "content") };

    g_array_append_val (c->messages, message);
  }
  for (guint i = 0; i < json_array_get_length (images); i++) {
    g_autofree char *path = g_build_filename (g->dir, json_array_get_string_element (images, i), NULL);
    Dsvl2Picture *picture = load_picture (c, path, error);

    if (picture == NULL) {
      case_free (c);
      return NULL;
    }
    g_ptr_array_add (c->pictures, picture);
  }
  const Dsvl2Ask ask = case_ask (c);
  if ((c->request = request_new (g->model, G_MAXINT, &ask, error)) == NULL) {
    case_free (c);
    return NULL;
  }
  return c;
}

/* --- stages ------------------------------------------------------------------------------------- */

static void
check_tokens (Golden *g, const Case *c)
{
  const Tensor *ids = expected (g, c->name, "input_ids"), *crop = expected (g, c->name, "spatial_crop");
  const Dsvl2Request *r = c->request;
  int differ = 0, crops_differ = 0;

  const int n = ids ? ids->dim[0] : 0;
  for (int i = 0; i < MIN (n, r->n_prompt); i++)
    differ += integer (ids, i) != g_array_index (r->tokens, int, i);
  verdict (g, n == r->n_prompt && differ == 0, c->name, "input_ids", "%d tokens of %d, %d differ",
      r->n_prompt, n, differ);
  for (int i = 0; i < r->n_pictures; i++) {
    const TilePlan *plan = &r->pictures[i].plan;

    crops_differ += integer (crop, 2 * i) != plan->across || integer (crop, 2 * i + 1) != plan->down;
  }
  verdict (g, crops_differ == 0, c->name, "spatial_crop", "%d pictures, %d differ", r->n_pictures,
      crops_differ);
}

/* Appends tiles first … of a stage's output [tiles, n] to `all`; the twin of a global view twice, as the
 * official code computes it. */
static void
append_tiles (Golden *g, GArray *all, const float *from, const TilePlan *plan, gsize n)
{
  g_autofree float *host = g_new (float, plan->n_encoded *n);

  g->ops->download (g->ops, host, from, sizeof (float) * plan->n_encoded * n);
  g_array_append_vals (all, host, plan->n_encoded * n);
  if (plan->twin)
    g_array_append_vals (all, host, n);
}

static void
check_pictures (Golden *g, const Case *c)
{
  const Vision *v = &g->network.vision;
  const Projector *p = &g->network.projector;
  const gsize tile = 3 * v->S * v->S, encoded = v->P * v->C, projected = p->grid * p->grid * p->D;
  g_autoptr (GArray) pixels = g_array_new (FALSE, FALSE, sizeof (float));
  g_autoptr (GArray) vision = g_array_new (FALSE, FALSE, sizeof (float));
  g_autoptr (GArray) projector = g_array_new (FALSE, FALSE, sizeof (float));
  Ops *k = g->ops;

  for (int i = 0; i < c->request->n_pictures; i++) {
    const RequestPicture *picture = &c->request->pictures[i];
    const TilePlan *plan = &picture->plan;
    const Frame *frame = &picture->picture->frame;
    const int N = plan->n_encoded;
    float *tiles = k->alloc (k, sizeof (float) * N * tile);
    float *y = k->alloc (k, sizeof (float) * N * encoded),
          *z = k->alloc (k, sizeof (float) * N * projected);
    void *scratch = k->alloc (k,
        MAX (frame_tiles_scratch (frame, &plan->global), frame_tiles_scratch (frame, &plan->local)));
    VisionScratch vs;
    ProjectorScratch ps;
    Arena arena = { 0 };

    vision_scratch (v, &vs, &arena, N);
    projector_scratch (p, &ps, &arena, N);
    arena = (Arena){ .base = k->alloc (k, arena.used) };
    vision_scratch (v, &vs, &arena, N);
    projector_scratch (p, &ps, &arena, N);
    k->frame_tiles (k, tiles, frame, &plan->global, scratch);
    if (!plan->twin)
      k->frame_tiles (k, tiles + tile, frame, &plan->local, scratch);
    vision_encode (v, k, &vs, tiles, N, y);
    projector_apply (p, k, &ps, y, N, z);
    append_tiles (g, pixels, tiles, plan, tile);
    append_tiles (g, vision, y, plan, encoded);
    append_tiles (g, projector, z, plan, projected);
    k->free (k, arena.base);
    k->free (k, scratch);
    k->free (k, tiles);
    k->free (k, y);
    k->free (k, z);
  }
  compare (g, c->name, "pixels", (float *) pixels->data, pixels->len, 2.0 / 255 + 1e-6, 1e-2);
  compare (g, c->name, "vision", (float *) vision->data, vision->len, INFINITY, max_hidden);
  compare (g, c->name, "projector", (float *) projector->data, projector->len, INFINITY, max_hidden);
}

/* The decoder run by hand, so that what enters each layer can be seen. */
typedef struct {
  Golden *g;
  const Case *c;
  KvCache *cache;
  KvSequence sequence;
  Arena arena;
  DecoderScratch s;
  int32_t *arrays; /* [4, max_rows] token, position, sequence, wanted; device */
  int32_t *pages;
  int max_rows, n_pages;
  float *embeds; /* [T, D] host */
  float *hidden; /* [layers + 1, N_LAST, D] host */
  float *logits; /* [V] host: of the last row */
  float *greedy; /* [N_GREEDY, V] host */
} Run;

/* The back end's moe_route, on logits that are nudged. In run n experts with bit (n − 1) / 2 of their number
 * go one way and the rest the other, so that each pair is pulled apart both ways in some run. */
static void
nudged_route (Ops *k, int32_t *ids, float *weights, const float *logits, const float *bias,
    const Route *route, int T)
{
  const gsize n = (gsize) T * route->E;
  const int bit = (routing->nudges - 1) / 2, up = routing->nudges % 2;

  if (routing->nudges == 0) {
    routing->route (k, ids, weights, logits, bias, route, T);
    return;
  }
  g_autofree float *nudged = g_new (float, n);
  float *device = k->alloc (k, sizeof (float) * n);
  k->download (k, nudged, logits, sizeof (float) * n);
  for (gsize i = 0; i < n; i++)
    nudged[i] += (int) (i % route->E >> bit & 1) == up ? nudge : -nudge;
  k->upload (k, device, nudged, sizeof (float) * n);
  routing->route (k, ids, weights, device, bias, route, T);
  k->free (k, device);
}

static void
run_lay_out (Run *run)
{
  decoder_scratch (&run->g->network.decoder, &run->s, &run->arena, run->max_rows, 1);
  run->arrays = arena_new (&run->arena, int32_t, 4 * run->max_rows);
  run->pages = arena_new (&run->arena, int32_t, run->n_pages);
}

static bool
run_open (Run *run, Golden *g, const Case *c, GError **error)
{
  const Decoder *d = &g->network.decoder;
  Ops *k = g->ops;
  const int n_positions = c->request->n_positions;

  *run = (Run){ .g = g, .c = c, .max_rows = n_positions, .n_pages = (n_positions + PAGE - 1) / PAGE };
  run->cache = kv_cache_new (k, d->n_layers, d->k_width, d->v_width, run->n_pages + 2,
      g_atomic_rc_box_acquire, g_atomic_rc_box_release, error);
  if (run->cache == NULL)
    return false;
  kv_sequence_open (run->cache, &run->sequence, c->request->symbols, c->request->n_prompt, n_positions);
  run_lay_out (run);
  run->arena = (Arena){ .base = k->alloc (k, run->arena.used) };
  run_lay_out (run);
  k->upload (k, run->pages, run->sequence.pages->data, sizeof (int32_t) * run->n_pages);
  run->embeds = g_new0 (float, (gsize) n_positions * d->D);
  run->hidden = g_new0 (float, (gsize) (d->n_layers + 1) * N_LAST * d->D);
  run->logits = g_new0 (float, d->V);
  run->greedy = g_new0 (float, (gsize) N_GREEDY * d->V);
  return true;
}

static void
run_close (Run *run)
{
  kv_sequence_close (run->cache, &run->sequence);
  kv_cache_free (run->cache);
  run->g->ops->free (run->g->ops, run->arena.base);
  g_free (run->embeds);
  g_free (run->hidden);
  g_free (run->logits);
  g_free (run->greedy);
}

/* Copies what of positions n_prompt − 4 … is among rows first … first + T of s.x. */
static void
keep_hidden (Run *run, int layer, int first, int T)
{
  const int D = run->g->network.decoder.D, from = run->c->request->n_prompt - N_LAST;

  for (int i = 0; i < N_LAST; i++) {
    const int row = from + i - first;

    if (row >= 0 && row < T)
      run->g->ops->download (run->g->ops, run->hidden + ((gsize) layer * N_LAST + i) * D,
          run->s.x + (gsize) row * D, sizeof (float) * D);
  }
}

/* Positions first … first + T, whose tokens are known, through the decoder; logits of the last. */
static void
run_rows (Run *run, int first, int T, GPtrArray *features)
{
  Golden *g = run->g;
  const Dsvl2Request *r = run->c->request;
  const Decoder *d = &g->network.decoder;
  Ops *k = g->ops;
  g_autofree int32_t *host = g_new0 (int32_t, 4 * run->max_rows);
  const int n = run->max_rows;

  for (int i = 0; i < T; i++) {
    host[i] = g_array_index (r->tokens, int, first + i);
    host[n + i] = first + i;
  }
  host[3 * n] = T - 1;
  k->upload (k, run->arrays, host, sizeof (int32_t) * 4 * n);
  const StepRows rows = { .T = T,
    .position = run->arrays + n,
    .sequence = run->arrays + 2 * n,
    .pages = run->pages,
    .pages_per_sequence = run->n_pages,
    .page_tokens = PAGE };

  k->gather_rows (k, run->s.x, &d->embed, run->arrays, T);
  for (int i = 0; i < r->n_pictures; i++) {
    const RequestPicture *p = &r->pictures[i];
    const Features *f = g_ptr_array_index (features, i);

    for (int j = MAX (0, first - p->first); j < p->plan.n_tokens && p->first + j < first + T; j++) {
      g_autofree float *row = g_new (float, d->D);

      k->download (k, row, f->rows + (gsize) j * d->D, sizeof (float) * d->D);
      k->upload (k, run->s.x + (gsize) (p->first + j - first) * d->D, row, sizeof (float) * d->D);
    }
  }
  k->download (k, run->embeds + (gsize) first * d->D, run->s.x, sizeof (float) * T * d->D);
  for (int l = 0; l < d->n_layers; l++) {
    keep_hidden (run, l, first, T);
    decoder_layer (d, k, &run->s, run->cache, l, &rows);
  }
  decoder_logits (d, k, &run->s, run->arrays + 3 * n, 1);
  k->download (k, run->logits, run->s.logits, sizeof (float) * d->V);
  /* What leaves the last layer is seen after the final norm. */
  k->rms_norm (k, run->s.x, run->s.x, d->norm, d->config->rms_norm_eps, T, d->D, d->D);
  keep_hidden (run, d->n_layers, first, T);
}

/* The prompt in chunks, then the official greedy tokens, so that one disagreement does not hide the rest. */
static void
run_all (Run *run, GPtrArray *features)
{
  const Dsvl2Request *r = run->c->request;
  const int V = run->g->network.decoder.V, chunk = run->g->chunk > 0 ? run->g->chunk : r->n_prompt;
  JsonArray *ids = json_object_get_array_member (run->c->json, "greedy_ids");

  g_array_set_size (r->tokens, r->n_prompt);
  for (int at = 0; at < r->n_prompt; at += chunk)
    run_rows (run, at, MIN (chunk, r->n_prompt - at), features);
  for (int i = 0; i < N_GREEDY; i++) {
    const int want = json_array_get_int_element (ids, i);

    memcpy (run->greedy + (gsize) i * V, run->logits, sizeof (float) * V);
    g_array_append_val (r->tokens, want);
    if (i + 1 < N_GREEDY)
      run_rows (run, r->n_prompt + i, 1, features);
  }
}

static bool
run_is_close (const Run *run)
{
  const Decoder *d = &run->g->network.decoder;

  for (int l = 0; l <= d->n_layers; l++) {
    g_autofree char *stage = g_strdup_printf ("hidden.%d", l);

    if (error_of (expected (run->g, run->c->name, stage), run->hidden + (gsize) l * N_LAST * d->D,
            N_LAST * d->D)
            .relative > max_hidden)
      return false;
  }
  return error_of (expected (run->g, run->c->name, "greedy_logits"), run->greedy,
             (gsize) N_GREEDY * d->V)
             .relative <= max_logits;
}

/* How many of the greedy tokens are the official code's, each after the official code's tokens. */
static int
count_agreeing (const Run *run)
{
  const int V = run->g->network.decoder.V;
  JsonArray *ids = json_object_get_array_member (run->c->json, "greedy_ids");
  int agree = 0;

  for (int i = 0; i < N_GREEDY; i++) {
    const float *logits = run->greedy + (gsize) i * V;
    int best = 0;

    for (int v = 1; v < V; v++)
      best = logits[v] > logits[best] ? v : best;
    agree += best == json_array_get_int_element (ids, i);
  }
  return agree;
}

/* A case of quantised weights takes part in the folder's means. */
static void
add_loss (Golden *g, const Run *run)
{
  const gsize n = (gsize) N_GREEDY * g->network.decoder.V;
  const Error e = error_of (expected (g, run->c->name, "greedy_logits"), run->greedy, n);
  const int agree = count_agreeing (run);

  g_print ("#      %-14s %s: logits are off by %.4f, %d of %d tokens agree\n", run->c->name,
      g->loss->weights, e.relative, agree, N_GREEDY);
  g->logits_error += e.relative;
  g->tokens_agreed += (double) agree / N_GREEDY;
}

static void
check_loss (Golden *g, int n_cases)
{
  const double error = g->logits_error / n_cases, agreed = g->tokens_agreed / n_cases;

  verdict (g, error <= g->loss->logits, "all", "greedy_logits",
      "%s: mean relative error %.4f (at most %.2f)", g->loss->weights, error, g->loss->logits);
  verdict (g, agreed >= g->loss->tokens, "all", "greedy_ids", "%s: %.3f agree (at least %.2f)",
      g->loss->weights, agreed, g->loss->tokens);
}

static void
check_run (Golden *g, const Run *run)
{
  const Case *c = run->c;
  const Decoder *d = &g->network.decoder;
  const double margin = json_object_get_double_member (c->json, "greedy_min_margin");
  const int agree = count_agreeing (run);

  compare (g, c->name, "inputs_embeds", run->embeds, (gsize) c->request->n_prompt * d->D, INFINITY,
      max_hidden);
  for (int l = 0; l <= d->n_layers; l++) {
    g_autofree char *stage = g_strdup_printf ("hidden.%d", l);

    compare (g, c->name, stage, run->hidden + (gsize) l * N_LAST * d->D, N_LAST * d->D, INFINITY,
        max_hidden);
  }
  compare (g, c->name, "last_logits", run->greedy, d->V, INFINITY, max_logits);
  compare (g, c->name, "greedy_logits", run->greedy, (gsize) N_GREEDY * d->V, INFINITY, max_logits);
  verdict (g, agree == N_GREEDY || margin <= safe_margin, c->name, "greedy_ids",
      "%d of %d agree (smallest margin %.4f)", agree, N_GREEDY, margin);
}

static bool
check_decoder (Golden *g, const Case *c, GError **error)
{
  const Dsvl2Request *r = c->request;
  g_autoptr (GPtrArray) features = g_ptr_array_new ();
  FeatureStore *store = feature_store_new (&g->model->config, &g->network, g->ops, error);
  Run run;

  if (store == NULL)
    return false;
  for (int i = 0; i < r->n_pictures; i++) {
    Features *f = NULL;

    while (f == NULL && *error == NULL)
      f = feature_store_encode (store, r->pictures[i].picture, &r->pictures[i].plan, error);
    g_ptr_array_add (features, f);
  }
  if (*error || !run_open (&run, g, c, error)) {
    feature_store_free (store);
    return false;
  }
  run_all (&run, features);
  while (!g->loss && !run_is_close (&run) && g->nudges < N_NUDGES) {
    g->nudges++;
    run_all (&run, features);
  }
  if (g->loss)
    add_loss (g, &run);
  else
    check_run (g, &run);
  g->nudges = 0;
  run_close (&run);
  feature_store_free (store);
  return true;
}

/* --- the whole engine --------------------------------------------------------------------------- */

/* All cases at once: prompts in chunks beside others that decode already. */
static bool
check_engine (Golden *g, GPtrArray *cases, const Dsvl2EngineOptions *options, GError **error)
{
  g_autoptr (Dsvl2Engine) engine = dsvl2_engine_open (g->model, options, error);
  g_autoptr (GPtrArray) requests =
      g_ptr_array_new_with_free_func ((GDestroyNotify) dsvl2_request_unref);

  if (engine == NULL)
    return false;
  for (guint i = 0; i < cases->len; i++) {
    const Dsvl2Ask ask = case_ask (g_ptr_array_index (cases, i));
    Dsvl2Request *request = dsvl2_engine_submit (engine, &ask, error);

    if (request == NULL)
      return false;
    g_ptr_array_add (requests, request);
  }
  for (guint i = 0; i < cases->len; i++) {
    const Case *c = g_ptr_array_index (cases, i);
    const Dsvl2Result *result = dsvl2_request_wait (g_ptr_array_index (requests, i));
    JsonArray *ids = json_object_get_array_member (c->json, "greedy_ids");
    const double margin = json_object_get_double_member (c->json, "greedy_min_margin");
    int agree = 0;

    for (int j = 0; j < MIN (result->n_tokens, N_GREEDY); j++)
      agree += result->token_ids[j] == json_array_get_int_element (ids, j);
    verdict (g,
        result->finish == DSVL2_FINISH_LENGTH &&
            (agree == N_GREEDY || margin <= safe_margin || g->loss),
        c->name, "engine", "%d of %d tokens agree, all cases in one batch%s%s", agree, N_GREEDY,
        result->error ? ": " : "", result->error ? result->error->message : "");
  }
  return true;
}

static bool
check_folder (Golden *g, const Dsvl2EngineOptions *options, GError **error)
{
  const OpsOptions ops_options = {
    .device = options->device, .threads = options->threads, .isa = options->isa
  };
  g_autofree char *path = g_build_filename (g->dir, "cases.json", NULL);
  g_autofree char *expected_path = g_build_filename (g->dir, "expected.safetensors", NULL);
  g_autoptr (GPtrArray) cases = g_ptr_array_new_with_free_func ((GDestroyNotify) case_free);
  char message[OPS_MESSAGE];

  if ((g->model = dsvl2_model_open (g->dir, error)) == NULL ||
      (g->expected = safetensors_open_file (expected_path, error)) == NULL ||
      !json_parser_load_from_file (g->parser, path, error))
    return false;
  if ((g->ops = ops_open (&ops_options, message)) == NULL) {
    g_set_error_literal (error, DSVL2_ERROR, DSVL2_ERROR_DEVICE, message);
    return false;
  }
  g->route = g->ops->moe_route;
  g->ops->moe_route = nudged_route;
  routing = g;
  if (!network_bind (&g->network, g->model, g->ops,
          weight_choice_find (g->loss ? g->loss->weights : "as-stored"), 0, error))
    return false;
  g_print ("# %s: %s; %s/%s, chunk %d\n", g->dir, dsvl2_model_get_description (g->model), g->ops->name,
      g->ops->isa, g->chunk);
  JsonArray *list = json_node_get_array (json_parser_get_root (g->parser));
  for (guint i = 0; i < json_array_get_length (list); i++) {
    Case *c = case_load (g, json_array_get_object_element (list, i), error);

    if (c == NULL)
      return false;
    g_ptr_array_add (cases, c);
    check_tokens (g, c);
    if (expected (g, c->name, "pixels"))
      check_pictures (g, c);
    if (!check_decoder (g, c, error))
      return false;
  }
  if (g->loss)
    check_loss (g, cases->len);
  return check_engine (g, cases, options, error);
}

static bool
has_isa (const char *isa)
{
  char message[OPS_MESSAGE];
  Ops *ops = ops_open (&(OpsOptions){ .device = "cpu", .threads = 1, .isa = isa }, message);

  if (ops)
    ops->close (ops);
  return ops != NULL;
}

int
main (int argc, char **argv)
{
  Dsvl2EngineOptions options = { .device = "cpu" };
  const Loss *loss = NULL;
  g_autofree char *isa = NULL, *device = NULL, *weights = NULL;
  g_auto (GStrv) dirs = NULL;
  int chunk = 0, threads = 0, passed = 0, failed = 0;
  const GOptionEntry entries[] = {
    { "chunk", 0, 0, G_OPTION_ARG_INT, &chunk, "Prefill prompts N rows at a time", "N" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &device, "Where the model runs", "cpu|cuda|cuda:N" },
    { "isa", 0, 0, G_OPTION_ARG_STRING, &isa, "The newest instructions to use", "ISA" },
    { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "Threads", "N" },
    { "weights", 0, 0, G_OPTION_ARG_STRING, &weights, "What the decoder's matrices become",
        "as-stored|int8|int4" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &dirs, NULL, "DIR…" },
    { NULL },
  };
  g_autoptr (GOptionContext) context =
      g_option_context_new ("— compare the engine with the official code");
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || dirs == NULL) {
    g_printerr ("%s\n", error ? error->message : "Name at least one folder of golden data");
    return 2;
  }
  for (guint i = 0; i < G_N_ELEMENTS (losses); i++)
    if (g_strcmp0 (weights, losses[i].weights) == 0)
      loss = &losses[i];
  options.device = device ? device : options.device;
  options.isa = isa;
  options.weights = weights;
  options.threads = threads;
  options.prefill_chunk = chunk;
  if (isa && !has_isa (isa)) {
    g_print ("this processor has no %s: skipped\n", isa);
    return SKIP;
  }
  for (char **dir = dirs; *dir; dir++) {
    Golden g = { .dir = *dir, .loss = loss, .chunk = chunk, .parser = json_parser_new () };

    if (!check_folder (&g, &options, &error)) {
      g_print ("FAILED %s: %s\n", *dir, error->message);
      g_clear_error (&error);
      g.failed++;
    }
    network_clear (&g.network);
    if (g.ops)
      g.ops->close (g.ops);
    g_clear_pointer (&g.expected, safetensors_free);
    g_clear_pointer (&g.model, dsvl2_model_unref);
    g_object_unref (g.parser);
    passed += g.passed;
    failed += g.failed;
  }
  g_print ("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
