/* dsvl2: the worker that serves all requests of an engine
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The worker's round: admit what is waiting, encode one batch of tiles of one picture, then one decoder
 * step: first the rows of requests that decode (one each), then prompts, as many rows as the chunk allows.
 * So a long prompt or a large picture delays the others' answers by one batch, not by its whole length. Where the
 * back end does pictures beside steps, steps go on until the batch is done.
 * Who is admitted, seen and read first is one order (turns.h); who comes last in it makes room. */
#include "scheduler.h"
#include "device.h"
#include "step.h"

struct _Scheduler {
  Dsvl2Model *model;
  Ops *ops;
  int prefill_chunk, max_sequences;
  KvCache *cache;
  FeatureStore *features;
  Step *step;
  Turns *turns;         /* the order of all that follow */
  GPtrArray *waiting;   /* Dsvl2Request, without a slot */
  GPtrArray *active;    /* Dsvl2Request, with one */
  GPtrArray *readers;   /* of one step */
  bool *slot_taken;     /* [max_sequences] */
  Dsvl2Request *seeing; /* whose picture is half encoded, or NULL */

  GThread *worker;
  GMutex lock; /* of what follows */
  GCond work;
  GQueue inbox; /* submitted, not seen by the worker */
  bool stopping;
};

/* --- ending ------------------------------------------------------------------------------------- */

static void
drop_features (Dsvl2Request *request)
{
  for (int i = 0; i < request->n_pictures; i++)
    g_clear_pointer (&request->pictures[i].features, features_drop);
}

/* Takes an active request's slot, pages and features from it. */
static void
give_up_room (Scheduler *s, Dsvl2Request *request)
{
  if (s->seeing == request) {
    feature_store_abort (s->features);
    s->seeing = NULL;
  }
  drop_features (request);
  kv_sequence_close (s->cache, &request->sequence);
  s->slot_taken[request->slot] = false;
  g_ptr_array_remove (s->active, request);
}

/* Ends a request that is in no list any more. */
static void
end (Scheduler *s, Dsvl2Request *request, Dsvl2Finish finish, GError *error)
{
  turns_leave (s->turns, &request->turn);
  request_end (request, finish, error);
  dsvl2_request_unref (request);
}

/* Ends an active request. */
static void
retire (Scheduler *s, Dsvl2Request *request, Dsvl2Finish finish, GError *error)
{
  give_up_room (s, request);
  end (s, request, finish, error);
}

/* Ends those that were cancelled, or everything. */
static void
retire_cancelled (Scheduler *s, bool everything)
{
  for (guint i = s->waiting->len; i-- > 0;) {
    Dsvl2Request *request = g_ptr_array_index (s->waiting, i);

    if (everything || g_atomic_int_get (&request->cancelled))
      end (s, g_ptr_array_remove_index (s->waiting, i), DSVL2_FINISH_CANCELLED, NULL);
  }
  for (guint i = s->active->len; i-- > 0;) {
    Dsvl2Request *request = g_ptr_array_index (s->active, i);

    if (everything || g_atomic_int_get (&request->cancelled))
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

/* Whether a request before it is still reading one of its pictures: once that has, they are in the
 * cache. */
static bool
picture_is_being_read (const Scheduler *s, const Dsvl2Request *request)
{
  for (guint i = 0; i < s->active->len; i++) {
    const Dsvl2Request *other = g_ptr_array_index (s->active, i);

    if (other->n_written < other->n_prompt && turn_compare (&other->turn, &request->turn) < 0 &&
        share_picture (request, other))
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

/* Gives the request a slot and pages; false where there are none. */
static bool
admit (Scheduler *s, Dsvl2Request *request)
{
  const int slot = free_slot (s);

  if (slot == s->max_sequences)
    return false;
  const int cached = kv_sequence_open (s->cache, &request->sequence, request->symbols,
      request->tokens->len, request->n_positions);
  if (cached < 0)
    return false;
  request->slot = slot;
  request->n_written = cached;
  if (request->started_at == 0) {
    request->n_cached = cached;
    request->started_at = g_get_monotonic_time ();
  }
  s->slot_taken[slot] = true;
  g_ptr_array_remove (s->waiting, request);
  g_ptr_array_add (s->active, request);
  return true;
}

/* An active request waits again. What it has answered stays, and most of what it put in the cache is
 * still there when its turn comes back; the rest is computed again, to the same bits. */
static void
put_back (Scheduler *s, Dsvl2Request *request)
{
  give_up_room (s, request);
  request->n_written = 0;
  request->picture = 0;
  g_ptr_array_add (s->waiting, request);
}

/* Admits a request in the place of active ones that come after it, the last ones first. */
static bool
admit_instead (Scheduler *s, Dsvl2Request *request)
{
  for (;;) {
    Dsvl2Request *last = NULL;

    for (guint i = 0; i < s->active->len; i++) {
      Dsvl2Request *other = g_ptr_array_index (s->active, i);

      if (last == NULL || turn_compare (&last->turn, &other->turn) < 0)
        last = other;
    }
    if (last == NULL || turn_compare (&last->turn, &request->turn) < 0)
      return false;
    put_back (s, last);
    if (admit (s, request))
      return true;
  }
}

/* In turn; one for which there is no room yet holds up those after it, so that it is not passed for ever.
 * Only requests whose picture is being read are passed. */
static void
admit_waiting (Scheduler *s)
{
  Dsvl2Request *next;

  do {
    next = NULL;
    for (guint i = 0; i < s->waiting->len; i++) {
      Dsvl2Request *request = g_ptr_array_index (s->waiting, i);

      if ((next == NULL || turn_compare (&request->turn, &next->turn) < 0) &&
          !picture_is_being_read (s, request))
        next = request;
    }
  } while (next && (admit (s, next) || admit_instead (s, next)));
}

/* --- working ------------------------------------------------------------------------------------ */

/* The request's first picture that is not ready, or NULL. What the KV cache holds needs no features. */
static RequestPicture *
missing_picture (Scheduler *s, Dsvl2Request *request)
{
  for (; request->picture < request->n_pictures; request->picture++) {
    RequestPicture *p = &request->pictures[request->picture];

    if (p->first + p->plan.n_tokens <= request->n_written)
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

/* One batch of tiles of the first picture in turn that is missing. */
static void
see (Scheduler *s)
{
  Dsvl2Request *request = s->seeing;
  GError *error = NULL;

  for (guint i = 0; i < s->active->len && s->seeing == NULL; i++) {
    Dsvl2Request *other = g_ptr_array_index (s->active, i);

    if ((request == NULL || turn_compare (&other->turn, &request->turn) < 0) &&
        missing_picture (s, other))
      request = other;
  }
  if (request == NULL)
    return;

  RequestPicture *p = missing_picture (s, request);
  turns_begin (s->turns, &request->turn);
  s->seeing = request;
  p->features = feature_store_encode (s->features, p->picture, &p->plan, &error);
  if (p->features) {
    s->seeing = NULL;
    request->n_tiles += p->plan.n_encoded;
  }
  if (error) {
    device_failed (s->ops, &error);
    retire (s, request, DSVL2_FINISH_ERROR, error);
  }
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

/* Takes out of the list who comes first in turn. */
static Dsvl2Request *
take_first (GPtrArray *list)
{
  guint first = 0;

  for (guint i = 1; i < list->len; i++) {
    const Dsvl2Request *a = g_ptr_array_index (list, i), *b = g_ptr_array_index (list, first);

    if (turn_compare (&a->turn, &b->turn) < 0)
      first = i;
  }
  return g_ptr_array_remove_index_fast (list, first);
}

/* One step of the decoder; false where nobody is ready for one. */
static bool
think (Scheduler *s)
{
  int n_rows = 0, budget = s->prefill_chunk;

  step_begin (s->step);
  g_ptr_array_set_size (s->readers, 0);
  for (guint i = 0; i < s->active->len; i++) {
    Dsvl2Request *request = g_ptr_array_index (s->active, i);

    if (missing_picture (s, request))
      continue;
    if ((int) request->tokens->len - request->n_written > 1)
      g_ptr_array_add (s->readers, request);
    else
      n_rows += step_add (s->step, request, 1);
  }
  while (s->readers->len > 0 && budget > 0) {
    Dsvl2Request *request = take_first (s->readers);
    const int n = step_add (s->step, request, budget);

    turns_begin (s->turns, &request->turn);
    n_rows += n;
    budget -= n;
  }
  if (n_rows > 0)
    step_run (s->step, take_token, s);
  return n_rows > 0;
}

/* Waits for work, and puts what was submitted in line. True when it is time to stop. */
static bool
take_submitted (Scheduler *s)
{
  Dsvl2Request *request;

  g_mutex_lock (&s->lock);
  while (!s->stopping && s->active->len == 0 && s->waiting->len == 0 && g_queue_is_empty (&s->inbox))
    g_cond_wait (&s->work, &s->lock);
  while ((request = g_queue_pop_head (&s->inbox))) {
    turns_join (s->turns, &request->turn, request->stream, request->priority);
    g_ptr_array_add (s->waiting, request);
  }
  const bool stopping = s->stopping;
  g_mutex_unlock (&s->lock);
  return stopping;
}

static gpointer
work (gpointer data)
{
  Scheduler *s = data;
  bool stopping;

  do {
    stopping = take_submitted (s);
    retire_cancelled (s, stopping);
    admit_waiting (s);
    see (s);
    if (!think (s))
      s->ops->pictures_done (s->ops, true);
    const char *failure = s->ops->failure (s->ops);
    if (failure)
      retire_all (s, failure);
  } while (!stopping);
  return NULL;
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
  s->turns = turns_new ();
  s->waiting = g_ptr_array_new ();
  s->active = g_ptr_array_new ();
  s->readers = g_ptr_array_new ();
  s->slot_taken = g_new0 (bool, max_sequences);
  g_mutex_init (&s->lock);
  g_cond_init (&s->work);
  g_queue_init (&s->inbox);
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
  g_ptr_array_unref (s->waiting);
  g_ptr_array_unref (s->active);
  g_ptr_array_unref (s->readers);
  turns_free (s->turns);
  g_free (s->slot_taken);
  g_free (s);
}

void
scheduler_submit (Scheduler *s, Dsvl2Request *request)
{
  g_mutex_lock (&s->lock);
  g_queue_push_tail (&s->inbox, dsvl2_request_ref (request));
  g_cond_signal (&s->work);
  g_mutex_unlock (&s->lock);
}

int
scheduler_kv_capacity (const Scheduler *s)
{
  return kv_cache_capacity (s->cache);
}
