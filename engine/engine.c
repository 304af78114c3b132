/* dsvl2: a model on a device, with its worker
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "model.h"
#include "scheduler.h"

enum { DEFAULT_CHUNK = 512, DEFAULT_SEQUENCES = 16 };

struct _Dsvl2Engine {
  gatomicrefcount refs;
  Dsvl2Model *model;
  Ops *ops;
  Network network;
  Scheduler *scheduler;
  char *description;
};

/* A tenth of the weights, so that the whole stays close to them; of small models as many contexts as
 * 64 MiB hold; one context at least. */
static guint64
default_kv_bytes (const Decoder *d, guint64 weight_bytes, int context)
{
  const guint64 one = kv_cache_bytes (d->n_layers, d->k_width, d->v_width, context);
  const guint64 many = MIN (DEFAULT_SEQUENCES * one, (guint64) 64 << 20);

  return MAX (one, MAX (weight_bytes / 10, many));
}

/* The first choice of weights to try, and the last. False with an error for a name that is unknown, or not the
 * device's. */
static bool
choose_weights (const char *name, const Ops *ops, const WeightChoice **first, const WeightChoice **last,
    GError **error)
{
  const bool any = name == NULL || g_str_equal (name, "auto");

  *first = any ? weight_choices : weight_choice_find (name);
  if (*first == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_OPTION,
        "weights is \"%s\", but can be auto, as-stored, int8 or int4", name);
    return false;
  }
  if ((*first)->quantised && !ops->quantised) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_DEVICE,
        "weights is \"%s\", but device %s runs them as-stored only", name, ops->name);
    return false;
  }
  for (*last = *first; any && ops->quantised && (*last)[1].name; (*last)++) {
  }
  return true;
}

/* Binds the network with the first choice of weights that the device's memory holds. */
static bool
bind_weights (Dsvl2Engine *engine, const Dsvl2EngineOptions *o, const WeightChoice **choice,
    GError **error)
{
  const WeightChoice *last;

  if (!choose_weights (o->weights, engine->ops, choice, &last, error))
    return false;
  for (;; (*choice)++) {
    g_autoptr (GError) e = NULL;

    const bool bound =
        network_bind (&engine->network, engine->model, engine->ops, *choice, o->threads, &e);

    if (!device_failed (engine->ops, &e) && bound)
      return true;
    if (!g_error_matches (e, DSVL2_ERROR, DSVL2_ERROR_MEMORY) || *choice == last) {
      g_propagate_error (error, g_steal_pointer (&e));
      return false;
    }
    network_clear (&engine->network);
  }
}

static bool
check_options (const Dsvl2EngineOptions *o, GError **error)
{
  const struct {
    const char *name;
    int value, max;
  } numbers[] = {
    { "threads", o->threads, 1024 },
    { "prefill_chunk", o->prefill_chunk, 65536 },
    { "max_sequences", o->max_sequences, 1024 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    if (numbers[i].value < 0 || numbers[i].value > numbers[i].max) {
      g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_OPTION,
          "%s is %d, a number from 0 to %d was expected", numbers[i].name, numbers[i].value,
          numbers[i].max);
      return false;
    }
  }
  return true;
}

static void
engine_free (Dsvl2Engine *engine)
{
  g_clear_pointer (&engine->scheduler, scheduler_free);
  if (engine->ops) {
    network_clear (&engine->network);
    engine->ops->close (engine->ops);
  }
  dsvl2_model_unref (engine->model);
  g_free (engine->description);
  g_free (engine);
}

Dsvl2Engine *
dsvl2_engine_open (Dsvl2Model *model, const Dsvl2EngineOptions *options, GError **error)
{
  const Dsvl2EngineOptions o = options ? *options : (Dsvl2EngineOptions){ 0 };
  const VisionConfig *vision = &model->config.vision;
  const int side = vision->image_size / vision->patch_size;
  const OpsOptions ops_options = {
    .device = o.device ? o.device : "auto",
    .threads = o.threads,
    .isa = o.isa,
    .bf16 = o.bf16,
    .attention = o.vision_attention,
    .tile = { side * side, vision->heads, vision->width / vision->heads },
  };
  const int context = model->config.language.max_position_embeddings;
  const WeightChoice *weights;
  g_autoptr (GError) e = NULL;
  char message[OPS_MESSAGE];

  if (!check_options (&o, error))
    return NULL;

  g_autoptr (Dsvl2Engine) engine = g_new0 (Dsvl2Engine, 1);
  g_atomic_ref_count_init (&engine->refs);
  engine->model = dsvl2_model_ref (model);
  if ((engine->ops = ops_open (&ops_options, message)) == NULL) {
    g_set_error_literal (error, DSVL2_ERROR, DSVL2_ERROR_DEVICE, message);
    return NULL;
  }
  if (!bind_weights (engine, &o, &weights, error))
    return NULL;
  engine->scheduler = scheduler_new (model, &engine->network, engine->ops,
      o.prefill_chunk ? o.prefill_chunk : DEFAULT_CHUNK,
      o.max_sequences ? o.max_sequences : DEFAULT_SEQUENCES,
      o.kv_bytes
          ? o.kv_bytes
          : default_kv_bytes (&engine->network.decoder, safetensors_bytes (model->tensors), context),
      &e);
  if (device_failed (engine->ops, &e) || engine->scheduler == NULL) {
    g_propagate_error (error, g_steal_pointer (&e));
    return NULL;
  }
  engine->description = g_strdup_printf ("%s/%s%s%s", engine->ops->name, engine->ops->isa,
      weights->quantised ? ", " : "", weights->quantised ? weights->name : "");
  return g_steal_pointer (&engine);
}

Dsvl2Engine *
dsvl2_engine_ref (Dsvl2Engine *engine)
{
  g_atomic_ref_count_inc (&engine->refs);
  return engine;
}

void
dsvl2_engine_unref (Dsvl2Engine *engine)
{
  if (g_atomic_ref_count_dec (&engine->refs))
    engine_free (engine);
}

Dsvl2Model *
dsvl2_engine_get_model (Dsvl2Engine *engine)
{
  return engine->model;
}

const char *
dsvl2_engine_get_description (Dsvl2Engine *engine)
{
  return engine->description;
}

const char *
dsvl2_engine_get_note (Dsvl2Engine *engine)
{
  return engine->ops->note[0] ? engine->ops->note : NULL;
}

guint64
dsvl2_engine_get_bytes_per_token (Dsvl2Engine *engine)
{
  return decoder_bytes_per_token (&engine->network.decoder);
}

gpointer
dsvl2_engine_get_cuda_context (Dsvl2Engine *engine, int *device)
{
  *device = engine->ops->context ? engine->ops->device : -1;
  return engine->ops->context;
}

/* Whether this back end can get at the pictures' pixels. */
static bool
can_read (Dsvl2Engine *engine, const Dsvl2Ask *ask, GError **error)
{
  for (int i = 0; i < ask->n_pictures; i++)
    if (ask->pictures[i]->frame.context && !engine->ops->context) {
      g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE,
          "Picture %d is in CUDA memory, which the engine on %s cannot read", i + 1,
          engine->description);
      return false;
    }
  return true;
}

Dsvl2Request *
dsvl2_engine_submit (Dsvl2Engine *engine, const Dsvl2Ask *ask, GError **error)
{
  Dsvl2Request *request = NULL;

  if (can_read (engine, ask, error))
    request = request_new (engine->model, scheduler_kv_capacity (engine->scheduler), ask, error);
  if (request)
    scheduler_submit (engine->scheduler, request);
  return request;
}
