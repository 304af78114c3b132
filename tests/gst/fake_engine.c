/* dsvl2: an engine that answers what a test says, when it says
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include <string.h>

struct _Dsvl2Model {
  gatomicrefcount refs;
  char *path;
};

struct _Dsvl2Picture {
  gatomicrefcount refs;
  int number;
  Dsvl2Frame frame;
  GDestroyNotify free;
  gpointer owner;
};

struct _Dsvl2Engine {
  gatomicrefcount refs;
  Dsvl2Model *model;
  GThread *worker;
  gboolean closing;
};

struct _Dsvl2Request {
  gatomicrefcount refs;
  Dsvl2Engine *engine;
  int n_pictures;
  Dsvl2Picture *pictures[FAKE_MESSAGES];
  Dsvl2TokenFunc token;
  Dsvl2DoneFunc done;
  gpointer user_data;
  gboolean cancelled, ended;
  Dsvl2Result result;
};

#define USUAL_COST                                                                                     \
  {                                                                                                    \
    .tokens = 3, .prompt_tokens = 7, .decode_us = 1500, .finish = DSVL2_FINISH_STOP                    \
  }

/* What the test program has said and may ask. One lock for all. */
static struct {
  GMutex lock;
  GCond changed;
  GQueue open;  /* asked, not answered */
  GQueue ready; /* answered: for the worker to call back */
  char *all_label;
  gboolean all;
  char *refusal;
  int max_turns;    /* 0: any */
  guint n_requests; /* alive */
  guint n_cancelled, n_engines;
  int n_alive, n_pictures; /* n_pictures: that were ever made */
  GPtrArray *asks;         /* FakeAsk */
  FakeCost cost;           /* of the answers to come */
} fake = { .cost = USUAL_COST };

GQuark
dsvl2_error_quark (void)
{
  return g_quark_from_static_string ("dsvl2-error");
}

static void
alive (int n)
{
  g_atomic_int_add (&fake.n_alive, n);
}

/* --- model and pictures --- */

Dsvl2Model *
dsvl2_model_open (const char *dir, GError **error)
{
  Dsvl2Model *model;

  if (strstr (dir, "missing") || strstr (dir, "broken")) {
    g_set_error (error, DSVL2_ERROR,
        strstr (dir, "missing") ? DSVL2_ERROR_FILE : DSVL2_ERROR_UNSUPPORTED,
        "%s/config.json is not for this engine", dir);
    return NULL;
  }
  model = g_new0 (Dsvl2Model, 1);
  g_atomic_ref_count_init (&model->refs);
  model->path = g_strdup (dir);
  alive (1);
  return model;
}

Dsvl2Model *
dsvl2_model_ref (Dsvl2Model *model)
{
  g_atomic_ref_count_inc (&model->refs);
  return model;
}

void
dsvl2_model_unref (Dsvl2Model *model)
{
  if (!g_atomic_ref_count_dec (&model->refs))
    return;
  g_free (model->path);
  g_free (model);
  alive (-1);
}

char *
dsvl2_default_model_path (void)
{
  return g_strdup (g_getenv ("DSVL2_MODEL"));
}

const char *
dsvl2_model_get_path (Dsvl2Model *model)
{
  return model->path;
}

const char *
dsvl2_model_get_description (Dsvl2Model *model)
{
  return "a fake";
}

guint64
dsvl2_model_get_weight_bytes (Dsvl2Model *model)
{
  return 0;
}

guint
dsvl2_model_get_context_length (Dsvl2Model *model)
{
  return 4096;
}

Dsvl2Picture *
dsvl2_picture_new (const Dsvl2Frame *frame, GDestroyNotify free, gpointer owner, GError **error)
{
  Dsvl2Picture *picture = g_new0 (Dsvl2Picture, 1);

  g_atomic_ref_count_init (&picture->refs);
  picture->number = g_atomic_int_add (&fake.n_pictures, 1);
  picture->frame = *frame;
  picture->free = free;
  picture->owner = owner;
  alive (1);
  return picture;
}

Dsvl2Picture *
dsvl2_picture_ref (Dsvl2Picture *picture)
{
  g_atomic_ref_count_inc (&picture->refs);
  return picture;
}

void
dsvl2_picture_unref (Dsvl2Picture *picture)
{
  if (!g_atomic_ref_count_dec (&picture->refs))
    return;
  if (picture->free != NULL)
    picture->free (picture->owner);
  g_free (picture);
  alive (-1);
}

/* --- engine: a worker that calls back what was answered --- */

/* An engine's first request in a queue. With lock. */
static Dsvl2Request *
first_of (GQueue *queue, const Dsvl2Engine *engine)
{
  for (GList *l = queue->head; l != NULL; l = l->next)
    if (((Dsvl2Request *) l->data)->engine == engine)
      return l->data;
  return NULL;
}

static gpointer
work (gpointer data)
{
  Dsvl2Engine *engine = data;

  g_mutex_lock (&fake.lock);
  for (;;) {
    Dsvl2Request *request = first_of (&fake.ready, engine);

    if (request != NULL) {
      g_queue_remove (&fake.ready, request);
      g_mutex_unlock (&fake.lock);
      request->done (request, &request->result, request->user_data);
      g_mutex_lock (&fake.lock);
      request->ended = TRUE;
      g_cond_broadcast (&fake.changed);
      g_mutex_unlock (&fake.lock);
      dsvl2_request_unref (request);
      g_mutex_lock (&fake.lock);
    } else if (engine->closing) {
      break;
    } else {
      g_cond_wait (&fake.changed, &fake.lock);
    }
  }
  g_mutex_unlock (&fake.lock);
  return NULL;
}

Dsvl2Engine *
dsvl2_engine_open (Dsvl2Model *model, const Dsvl2EngineOptions *options, GError **error)
{
  Dsvl2Engine *engine;

  if (strstr (model->path, "full")) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_MEMORY, "The KV cache of %s needs 1 TiB", model->path);
    return NULL;
  }
  engine = g_new0 (Dsvl2Engine, 1);
  g_atomic_ref_count_init (&engine->refs);
  engine->model = dsvl2_model_ref (model);
  engine->worker = g_thread_new ("fake-engine", work, engine);
  g_mutex_lock (&fake.lock);
  fake.n_engines++;
  g_mutex_unlock (&fake.lock);
  alive (1);
  return engine;
}

Dsvl2Engine *
dsvl2_engine_ref (Dsvl2Engine *engine)
{
  g_atomic_ref_count_inc (&engine->refs);
  return engine;
}

/* With lock: an open request is answered. */
static void
make_ready (Dsvl2Request *request, Dsvl2Finish finish)
{
  g_queue_remove (&fake.open, request);
  request->result.finish = finish;
  g_queue_push_tail (&fake.ready, request);
  g_cond_broadcast (&fake.changed);
}

void
dsvl2_engine_unref (Dsvl2Engine *engine)
{
  Dsvl2Request *request;

  if (!g_atomic_ref_count_dec (&engine->refs))
    return;
  g_mutex_lock (&fake.lock);
  while ((request = first_of (&fake.open, engine)) != NULL)
    make_ready (request, DSVL2_FINISH_CANCELLED);
  engine->closing = TRUE;
  g_cond_broadcast (&fake.changed);
  g_mutex_unlock (&fake.lock);
  g_thread_join (engine->worker);
  dsvl2_model_unref (engine->model);
  g_free (engine);
  alive (-1);
}

Dsvl2Model *
dsvl2_engine_get_model (Dsvl2Engine *engine)
{
  return engine->model;
}

const char *
dsvl2_engine_get_description (Dsvl2Engine *engine)
{
  return "fake";
}

const char *
dsvl2_engine_get_note (Dsvl2Engine *engine)
{
  return NULL;
}

gpointer
dsvl2_engine_get_cuda_context (Dsvl2Engine *engine, int *device)
{
  *device = -1;
  return NULL;
}

const char *
dsvl2_finish_get_name (Dsvl2Finish finish)
{
  static const char *const names[] = { "stop", "length", "cancelled", "error" };

  return names[finish];
}

/* --- requests --- */

/* Rows of the first plane, which is enough to tell frames apart. */
static guint32
checksum (const Dsvl2Frame *f)
{
  guint32 sum = 2166136261u;

  for (int y = 0; y < f->height; y++)
    for (int x = 0; x < f->width; x++)
      sum = (sum ^ f->plane[0][(gssize) y * f->stride[0] + x]) * 16777619u;
  return sum;
}

static void
asked_free (gpointer data)
{
  FakeAsk *asked = data;

  for (int i = 0; i < asked->n_messages; i++)
    g_free (asked->texts[i]);
  g_free (asked);
}

static void
remember (const Dsvl2Ask *ask)
{
  FakeAsk *asked = g_new0 (FakeAsk, 1);

  g_assert_cmpint (ask->n_messages, <=, FAKE_MESSAGES);
  g_assert_cmpint (ask->n_pictures, <=, FAKE_MESSAGES);
  *asked = (FakeAsk){ .n_messages = ask->n_messages,
    .n_pictures = ask->n_pictures,
    .frame = ask->pictures[ask->n_pictures - 1]->frame,
    .sampling = ask->sampling,
    .cropping = ask->cropping,
    .max_tiles = ask->max_tiles,
    .stream = ask->stream,
    .priority = ask->priority };
  asked->checksum = checksum (&asked->frame);
  for (int i = 0; i < ask->n_messages; i++) {
    asked->roles[i] = ask->messages[i].role;
    asked->texts[i] = g_strdup (ask->messages[i].text);
  }
  for (int i = 0; i < ask->n_pictures; i++) {
    asked->pictures[i] = ask->pictures[i]->number;
    asked->frames[i] = ask->pictures[i]->frame;
  }
  asked->system = asked->roles[0] == DSVL2_ROLE_SYSTEM ? asked->texts[0] : NULL;
  asked->question = asked->texts[ask->n_messages - 1];
  if (fake.asks == NULL)
    fake.asks = g_ptr_array_new_with_free_func (asked_free);
  g_ptr_array_add (fake.asks, asked);
}

/* With lock. */
static void
set_answer (Dsvl2Result *result, const char *text, const Dsvl2Object *objects, int n)
{
  Dsvl2Object *copy = g_new0 (Dsvl2Object, MAX (n, 1));

  for (int i = 0; i < n; i++) {
    copy[i] = objects[i];
    copy[i].label = g_strdup (objects[i].label);
  }
  result->text = g_strdup_printf (" %s", text);
  result->caption = g_strdup (text);
  result->objects = copy;
  result->n_objects = n;
  result->n_tokens = fake.cost.tokens;
  result->n_prompt_tokens = fake.cost.prompt_tokens;
  result->n_cached_tokens = fake.cost.cached_tokens;
  result->n_tiles = fake.cost.tiles;
  result->queue_us = fake.cost.queue_us;
  result->vision_us = fake.cost.vision_us;
  result->prefill_us = fake.cost.prefill_us;
  result->decode_us = fake.cost.decode_us;
}

Dsvl2Request *
dsvl2_engine_submit (Dsvl2Engine *engine, const Dsvl2Ask *ask, GError **error)
{
  Dsvl2Request *request = NULL;

  g_mutex_lock (&fake.lock);
  if (fake.refusal != NULL) {
    g_set_error_literal (error, DSVL2_ERROR, DSVL2_ERROR_PROMPT, fake.refusal);
    g_clear_pointer (&fake.refusal, g_free);
  } else if (fake.max_turns > 0 && ask->n_messages / 2 > fake.max_turns) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_CONTEXT, "%d turns are too long", ask->n_messages / 2);
  } else {
    request = g_new0 (Dsvl2Request, 1);
    g_atomic_ref_count_init (&request->refs);
    g_atomic_ref_count_inc (&request->refs);
    fake.n_requests++;
    request->engine = engine;
    request->n_pictures = ask->n_pictures;
    for (int i = 0; i < ask->n_pictures; i++)
      request->pictures[i] = dsvl2_picture_ref (ask->pictures[i]);
    request->token = ask->token;
    request->done = ask->done;
    request->user_data = ask->user_data;
    alive (1);
    remember (ask);
    g_queue_push_tail (&fake.open, request);
    if (fake.all) {
      const Dsvl2Object box = { fake.all_label, 0.25f, 0.25f, 0.75f, 0.75f, 0.875f };

      set_answer (&request->result, "all of it", &box, fake.all_label != NULL);
      make_ready (request, fake.cost.finish);
    }
    g_cond_broadcast (&fake.changed);
  }
  g_mutex_unlock (&fake.lock);
  return request;
}

Dsvl2Request *
dsvl2_request_ref (Dsvl2Request *request)
{
  g_atomic_ref_count_inc (&request->refs);
  return request;
}

void
dsvl2_request_unref (Dsvl2Request *request)
{
  gboolean last;

  g_mutex_lock (&fake.lock);
  last = g_atomic_ref_count_dec (&request->refs);
  fake.n_requests -= last;
  g_cond_broadcast (&fake.changed);
  g_mutex_unlock (&fake.lock);
  if (!last)
    return;
  for (int i = 0; i < request->n_pictures; i++)
    dsvl2_picture_unref (request->pictures[i]);
  for (int i = 0; i < request->result.n_objects; i++)
    g_free (request->result.objects[i].label);
  g_free ((gpointer) request->result.objects);
  g_free (request->result.text);
  g_free (request->result.caption);
  g_clear_error (&request->result.error);
  g_free (request);
  alive (-1);
}

void
dsvl2_request_cancel (Dsvl2Request *request)
{
  g_mutex_lock (&fake.lock);
  if (g_queue_find (&fake.open, request)) {
    fake.n_cancelled++;
    make_ready (request, DSVL2_FINISH_CANCELLED);
  }
  g_mutex_unlock (&fake.lock);
}

const Dsvl2Result *
dsvl2_request_wait (Dsvl2Request *request)
{
  g_mutex_lock (&fake.lock);
  while (!request->ended)
    g_cond_wait (&fake.changed, &fake.lock);
  g_mutex_unlock (&fake.lock);
  return &request->result;
}

char *
dsvl2_prompt_from_text (const char *text)
{
  return g_strconcat ("auto:", text, NULL);
}

/* --- what tests say --- */

void
fake_reset (void)
{
  g_mutex_lock (&fake.lock);
  fake.all = FALSE;
  g_clear_pointer (&fake.all_label, g_free);
  g_clear_pointer (&fake.refusal, g_free);
  g_clear_pointer (&fake.asks, g_ptr_array_unref);
  fake.n_cancelled = fake.n_engines = 0;
  fake.max_turns = 0;
  fake.cost = (FakeCost) USUAL_COST;
  g_mutex_unlock (&fake.lock);
}

void
fake_set_cost (const FakeCost *cost)
{
  g_mutex_lock (&fake.lock);
  fake.cost = *cost;
  g_mutex_unlock (&fake.lock);
}

void
fake_answer_all (const char *label)
{
  g_mutex_lock (&fake.lock);
  fake.all = TRUE;
  g_free (fake.all_label);
  fake.all_label = g_strdup (label);
  g_mutex_unlock (&fake.lock);
}

void
fake_set_context (int turns)
{
  g_mutex_lock (&fake.lock);
  fake.max_turns = turns;
  g_mutex_unlock (&fake.lock);
}

void
fake_settle (void)
{
  g_mutex_lock (&fake.lock);
  while (fake.n_requests > g_queue_get_length (&fake.open))
    g_cond_wait (&fake.changed, &fake.lock);
  g_mutex_unlock (&fake.lock);
}

void
fake_wait_open (guint n)
{
  g_mutex_lock (&fake.lock);
  while (g_queue_get_length (&fake.open) < n)
    g_cond_wait (&fake.changed, &fake.lock);
  g_mutex_unlock (&fake.lock);
}

/* Answers the n-th open request, if there is any, and waits until nobody has anything left to do about it. */
static void
answer (guint n, const char *text, const Dsvl2Object *objects, int n_objects, const char *failure)
{
  Dsvl2Request *request = NULL;

  g_mutex_lock (&fake.lock);
  if (!g_queue_is_empty (&fake.open))
    request = g_queue_peek_nth (&fake.open, n % g_queue_get_length (&fake.open));
  if (request != NULL) {
    dsvl2_request_ref (request);
    if (failure != NULL)
      request->result.error = g_error_new_literal (DSVL2_ERROR, DSVL2_ERROR_DEVICE, failure);
    else
      set_answer (&request->result, text, objects, n_objects);
    make_ready (request, failure != NULL ? DSVL2_FINISH_ERROR : fake.cost.finish);
  }
  while (request != NULL && (!request->ended || !g_atomic_ref_count_compare (&request->refs, 1)))
    g_cond_wait (&fake.changed, &fake.lock);
  g_mutex_unlock (&fake.lock);
  if (request != NULL)
    dsvl2_request_unref (request);
}

void
fake_answer (const char *text, const Dsvl2Object *objects, int n_objects)
{
  fake_wait_open (1);
  answer (0, text, objects, n_objects, NULL);
}

void
fake_answer_nth (guint n, const char *text)
{
  fake_wait_open (n + 1);
  answer (n, text, NULL, 0, NULL);
}

gboolean
fake_token (const char *text)
{
  Dsvl2Request *request;
  gboolean listens;

  fake_wait_open (1);
  g_mutex_lock (&fake.lock);
  request = dsvl2_request_ref (g_queue_peek_head (&fake.open));
  g_mutex_unlock (&fake.lock);
  listens = request->token != NULL;
  if (listens)
    request->token (request, 1, text, request->user_data);
  dsvl2_request_unref (request);
  return listens;
}

void
fake_fail (const char *message)
{
  fake_wait_open (1);
  answer (0, NULL, NULL, 0, message);
}

void
fake_try_answer (guint n, const char *text, const Dsvl2Object *objects, int n_objects)
{
  answer (n, text, objects, n_objects, NULL);
}

void
fake_try_fail (guint n, const char *message)
{
  answer (n, NULL, NULL, 0, message);
}

void
fake_refuse (const char *message)
{
  g_mutex_lock (&fake.lock);
  fake.refusal = g_strdup (message);
  g_mutex_unlock (&fake.lock);
}

static guint
number (const guint *of)
{
  guint n;

  g_mutex_lock (&fake.lock);
  n = *of;
  g_mutex_unlock (&fake.lock);
  return n;
}

guint
fake_n_open (void)
{
  return number (&fake.open.length);
}

guint
fake_n_asked (void)
{
  guint n;

  g_mutex_lock (&fake.lock);
  n = fake.asks != NULL ? fake.asks->len : 0;
  g_mutex_unlock (&fake.lock);
  return n;
}

guint
fake_n_engines (void)
{
  return number (&fake.n_engines);
}

guint
fake_n_cancelled (void)
{
  return number (&fake.n_cancelled);
}

int
fake_n_alive (void)
{
  return g_atomic_int_get (&fake.n_alive);
}

const FakeAsk *
fake_nth_ask (guint n)
{
  const FakeAsk *asked;

  g_mutex_lock (&fake.lock);
  g_assert_nonnull (fake.asks);
  g_assert_cmpuint (n, <, fake.asks->len);
  asked = g_ptr_array_index (fake.asks, n);
  g_mutex_unlock (&fake.lock);
  return asked;
}

const FakeAsk *
fake_last_ask (void)
{
  return fake_nth_ask (fake_n_asked () - 1);
}

const Dsvl2Frame *
fake_picture_frame (Dsvl2Picture *picture)
{
  return &picture->frame;
}
