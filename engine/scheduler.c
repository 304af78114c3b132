/* dsvl2: the worker that serves all requests of an engine
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The worker's turn: admit what is waiting, encode one batch of tiles of one picture, then one decoder
 * step: first the rows of requests that decode (one each), then prompts, as many rows as the chunk allows.
 * So a long prompt or a large picture delays the others by one batch, not by its whole length. */
#include "scheduler.h"
#include "step.h"

struct _Scheduler {
  Dsvl2Model *model;
  Ops *ops;
  int prefill_chunk, max_sequences;
  KvCache *cache;
  FeatureStore *features;
  Step *step;
  GPtrArray *active;    /* Dsvl2Request, in the order of admission */
  bool *slot_taken;     /* [max_sequences] */
  Dsvl2Request *seeing; /* whose picture is half encoded, or NULL */

  GThread *worker;
  GMutex lock; /* of what follows */
  GCond work;
  GQueue waiting;
  bool stopping;
};

/* --- ending ------------------------------------------------------------------------------------- */

static void
drop_features (Dsvl2Request *request)
{
  for (int i = 0; i < request->n_pictures; i++)
    g_clear_pointer (&request->pictures[i].features, features_drop);
}

static void
retire (Scheduler *s, Dsvl2Request *request, Dsvl2Finish finish, GError *error)
{
  if (s->seeing == request) {
    feature_store_abort (s->features);
    s->seeing = NULL;
  }
  drop_features (request);
  kv_sequence_close (s->cache, &request->sequence);
  s->slot_taken[request->slot] = false;
  g_ptr_array_remove (s->active, request);
  request_end (request, finish, error);
  dsvl2_request_unref (request);
}

static void
retire_cancelled (Scheduler *s)
{
  for (guint i = s->active->len; i-- > 0;) {
    Dsvl2Request *request = g_ptr_array_index (s->active, i);

    if (g_atomic_int_get (&request->cancelled))
      retire (s, request, DSVL2_FINISH_CANCELLED, NULL);
  }
}

static void
retire_all (Scheduler *s, const char *failure)
{
  while (s->active->len > 0)
    retire (s, g_ptr_array_index (s->active, 0), DSVL2_FINISH_ERROR,
        g_error_new_literal (DSVL2_ERROR, DSVL2_ERROR_DEVICE, failure));
}

/* --- admitting ---------------------------------------------------------------------------------- */

static bool
share_picture (const Dsvl2Request *a, const Dsvl2Request *b)
{
  for (int i = 0; i < a->n_pictures; i++) {
    for (int j = 0; j < b->n_pictures; j++) {
      if (a->pictures[i].picture->key == b->pictures[j].picture->key)
        return true;
    }
  }
  return false;
}

/* Whether another request is still reading one of its pictures: once that has, they are in the cache. */
static bool
picture_is_being_read (const Scheduler *s, const Dsvl2Request *request)
{
  for (guint i = 0; i < s->active->len; i++) {
    const Dsvl2Request *other = g_ptr_array_index (s->active, i);

    if (other->n_written < other->n_prompt && share_picture (request, other))
      return true;
  }
  return false;
}

static int
free_slot (const Scheduler *s)
{
  int slot = 0;

  while (slot < s->max_sequences && s->slot_taken[slot])
    slot++;
  return slot;
}

/* Gives the request a slot and pages; false where there are none yet. */
static bool
admit (Scheduler *s, Dsvl2Request *request)
{
  const int slot = free_slot (s);

  if (slot == s->max_sequences)
    return false;
  const int cached = kv_sequence_open (s->cache, &request->sequence, request->symbols,
      request->n_prompt, request->n_positions);
  if (cached < 0)
    return false;
  request->slot = slot;
  request->n_written = request->n_cached = cached;
  request->started_at = g_get_monotonic_time ();
  s->slot_taken[slot] = true;
  g_ptr_array_add (s->active, request);
  return true;
}

/* In the order of submission; only requests whose picture is being read are overtaken. */
static void
admit_waiting (Scheduler *s)
{
  for (GList *l = s->waiting.head, *next; l; l = next) {
    Dsvl2Request *request = l->data;

    next = l->next;
    if (picture_is_being_read (s, request))
      continue;
    if (!admit (s, request))
      break;
    g_queue_delete_link (&s->waiting, l);
  }
}

/* Takes cancelled requests out of the queue, all of them when stopping. */
static GList *
take_cancelled (Scheduler *s)
{
  GList *cancelled = NULL;

  for (GList *l = s->waiting.head, *next; l; l = next) {
    next = l->next;
    if (s->stopping || g_atomic_int_get (&((Dsvl2Request *) l->data)->cancelled)) {
      g_queue_unlink (&s->waiting, l);
      cancelled = g_list_concat (cancelled, l);
    }
  }
  return cancelled;
}

/* --- working ------------------------------------------------------------------------------------ */

/* The request's first picture that is not ready, or NULL. What the KV cache holds needs no features. */
static RequestPicture *
missing_picture (Scheduler *s, Dsvl2Request *request)
{
  for (; request->picture < request->n_pictures; request->picture++) {
    RequestPicture *p = &request->pictures[request->picture];

    if (p->first + p->plan.n_tokens <= request->n_cached)
      continue;
    if (p->features == NULL)
      p->features = feature_store_get (s->features, p->picture->key, &p->plan);
    if (p->features == NULL)
      return p;
  }
  if (request->seen_at == 0)
    request->seen_at = g_get_monotonic_time ();
  return NULL;
}

/* One batch of tiles of the picture that is half encoded, else of the first that is missing. */
static void
see (Scheduler *s)
{
  for (guint i = 0; i < s->active->len; i++) {
    Dsvl2Request *request = g_ptr_array_index (s->active, i);
    RequestPicture *p = s->seeing == NULL || s->seeing == request ? missing_picture (s, request) : NULL;
    GError *error = NULL;

    if (p == NULL)
      continue;
    s->seeing = request;
    p->features = feature_store_encode (s->features, p->picture, &p->plan, &error);
    if (p->features) {
      s->seeing = NULL;
      request->n_tiles += p->plan.n_encoded;
    }
    if (error)
      retire (s, request, DSVL2_FINISH_ERROR, error);
    return;
  }
}

static bool
is_reading (const Dsvl2Request *request)
{
  return (int) request->tokens->len - request->n_written > 1;
}

/* What a request got from a step. */
static void
take_token (Dsvl2Request *request, int id, float logprob, gpointer data)
{
  Scheduler *s = data;
  const bool eos = id == tokenizer_special (s->model->tokenizer)->eos && !request->ignore_eos;

  drop_features (request);
  if (eos || request_add_token (request, s->model->tokenizer, id, logprob))
    retire (s, request, DSVL2_FINISH_STOP, NULL);
  else if ((int) request->tokens->len >= request->n_positions)
    retire (s, request, DSVL2_FINISH_LENGTH, NULL);
}

static void
think (Scheduler *s)
{
  int n_rows = 0, budget = s->prefill_chunk;

  step_begin (s->step);
  for (int reading = 0; reading < 2; reading++) {
    for (guint i = 0; i < s->active->len; i++) {
      Dsvl2Request *request = g_ptr_array_index (s->active, i);

      if (is_reading (request) != reading || missing_picture (s, request))
        continue;
      const int n = step_add (s->step, request, reading ? budget : 1);
      n_rows += n;
      if (reading)
        budget -= n;
    }
  }
  if (n_rows > 0)
    step_run (s->step, take_token, s);
}

static gpointer
work (gpointer data)
{
  Scheduler *s = data;

  for (;;) {
    g_mutex_lock (&s->lock);
    while (!s->stopping && s->active->len == 0 && g_queue_is_empty (&s->waiting))
      g_cond_wait (&s->work, &s->lock);
    GList *cancelled = take_cancelled (s);
    const bool stopping = s->stopping;
    if (!stopping)
      admit_waiting (s);
    g_mutex_unlock (&s->lock);

    for (GList *l = cancelled; l; l = l->next) {
      request_end (l->data, DSVL2_FINISH_CANCELLED, NULL);
      dsvl2_request_unref (l->data);
    }
    g_list_free (cancelled);
    for (guint i = 0; stopping && i < s->active->len; i++)
      dsvl2_request_cancel (g_ptr_array_index (s->active, i));
    retire_cancelled (s);
    if (stopping)
      return NULL;

    see (s);
    think (s);
    const char *failure = s->ops->failure (s->ops);
    if (failure)
      retire_all (s, failure);
  }
}

/* --- life --------------------------------------------------------------------------------------- */

static KvCache *
make_cache (const Decoder *d, Ops *ops, int context, guint64 kv_bytes, GError **error)
{
  const guint64 n_pages = kv_bytes / kv_cache_bytes (d->n_layers, d->k_width, d->v_width, 1);

  if (n_pages < 1 || n_pages > G_MAXINT / KV_PAGE_TOKENS) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_OPTION,
        "A KV cache of %" G_GUINT64_FORMAT
        " bytes is too %s; one context of %d tokens needs %" G_GUINT64_FORMAT,
        kv_bytes, n_pages < 1 ? "small" : "large", context,
        kv_cache_bytes (d->n_layers, d->k_width, d->v_width, context));
    return NULL;
  }
  return kv_cache_new (ops, d->n_layers, d->k_width, d->v_width, n_pages, g_atomic_rc_box_acquire,
      g_atomic_rc_box_release, error);
}

Scheduler *
scheduler_new (Dsvl2Model *model, const Network *network, Ops *ops, int prefill_chunk,
    int max_sequences, guint64 kv_bytes, GError **error)
{
  const int context = model->config.language.max_position_embeddings;
  const int max_pages = (context + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
  Scheduler *s = g_new0 (Scheduler, 1);

  s->model = model;
  s->ops = ops;
  s->prefill_chunk = prefill_chunk;
  s->max_sequences = max_sequences;
  s->active = g_ptr_array_new ();
  s->slot_taken = g_new0 (bool, max_sequences);
  g_mutex_init (&s->lock);
  g_cond_init (&s->work);
  g_queue_init (&s->waiting);
  if ((s->cache = make_cache (&network->decoder, ops, context, kv_bytes, error)) &&
      (s->features = feature_store_new (&model->config, network, ops, error)) &&
      (s->step = step_new (network, ops, s->cache, prefill_chunk + max_sequences, max_sequences,
           max_pages, error)) &&
      (s->worker = g_thread_try_new ("dsvl2", work, s, error)))
    return s;
  scheduler_free (s);
  return NULL;
}

void
scheduler_free (Scheduler *s)
{
  if (s->worker) {
    g_mutex_lock (&s->lock);
    s->stopping = true;
    g_cond_signal (&s->work);
    g_mutex_unlock (&s->lock);
    g_thread_join (s->worker);
  }
  g_clear_pointer (&s->step, step_free);
  g_clear_pointer (&s->features, feature_store_free);
  g_clear_pointer (&s->cache, kv_cache_free);
  g_mutex_clear (&s->lock);
  g_cond_clear (&s->work);
  g_ptr_array_unref (s->active);
  g_free (s->slot_taken);
  g_free (s);
}

void
scheduler_submit (Scheduler *s, Dsvl2Request *request)
{
  g_mutex_lock (&s->lock);
  g_queue_push_tail (&s->waiting, dsvl2_request_ref (request));
  g_cond_signal (&s->work);
  g_mutex_unlock (&s->lock);
}

int
scheduler_kv_capacity (const Scheduler *s)
{
  return kv_cache_capacity (s->cache);
}
