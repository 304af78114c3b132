/* dsvl2: the questions about one frame, from their submission until all of them have ended
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "asking.h"
#include "frametime.h"
#include "gstdsvl2meta.h"
#include "picture.h"
#include "prompts.h"
#include <string.h>

/* One prompt about one region: what the engine gives back with its answer. */
typedef struct {
  Asking *asking;
  char *prompt;
  GstDsvl2Seen seen;
  guint region;
  char **turns;  /* question, answer, question … that it goes on from */
  GString *text; /* so far, if anybody listens; the worker's */
  int n_tokens;
  Dsvl2Request *request; /* while it is open */
  Dsvl2Request *answer;  /* when the engine has ended it, with its result */
  const Dsvl2Result *answered;
  GstStructure *result;
  gboolean ended;
} Question;

/* An answer that has one token more. */
typedef struct {
  Asking *asking;
  GstStructure *partial;
} Growth;

struct _Asking {
  gatomicrefcount refs; /* each open question has one */
  AskingFuncs funcs;
  gpointer owner;
  Courier *courier;
  guint64 ticket;
  InferTemplate template;
  guint frames, history; /* the properties */

  GMutex lock; /* of what follows; not held while anybody is called */
  guint n_open;
  gboolean cancelled;
  AskingSum sum;
  guint n_regions, n_questions;
  Question *questions;
};

static GstVideoRectangle
whole_frame (const GstVideoInfo *info)
{
  return (GstVideoRectangle){ 0, 0, GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info) };
}

static guint
count_regions (const AskingFrame *frame)
{
  return frame->regions != NULL ? frame->regions->len : 1;
}

static Region
nth_region (const AskingFrame *frame, guint n)
{
  Region region = { whole_frame (frame->info), 0, -1 };

  if (frame->regions != NULL)
    region = g_array_index (frame->regions, Region, n);
  gst_dsvl2_picture_align (frame->info, &region.place);
  return region;
}

Asking *
asking_new (guint64 ticket, const AskingFrame *frame, const InferSettings *settings, History *history,
    const AskingFuncs *funcs, gpointer owner)
{
  const GstClockTime pts = GST_BUFFER_PTS (frame->frame);
  const guint n_earlier = frame->earlier != NULL ? frame->earlier->len : 0;
  const GstClockTime first_pts =
      n_earlier > 0 ? GST_BUFFER_PTS (g_ptr_array_index (frame->earlier, 0)) : pts;
  g_auto (GStrv) prompts = prompts_asked (settings);
  Asking *asking = g_new0 (Asking, 1);

  g_atomic_ref_count_init (&asking->refs);
  g_mutex_init (&asking->lock);
  asking->funcs = *funcs;
  asking->owner = owner;
  asking->ticket = ticket;
  asking->template = settings->prompt_template;
  asking->frames = settings->frames;
  asking->history = settings->history;
  history_begin (history, prompts);
  asking->n_regions = count_regions (frame);
  asking->n_questions = g_strv_length (prompts) * asking->n_regions;
  asking->questions = g_new0 (Question, asking->n_questions);
  for (guint i = 0; i < asking->n_questions; i++) {
    Question *q = &asking->questions[i];
    const Region region = nth_region (frame, i % asking->n_regions);

    q->asking = asking;
    q->text = funcs->partial != NULL ? g_string_new (NULL) : NULL;
    q->prompt = g_strdup (prompts[i / asking->n_regions]);
    q->region = i % asking->n_regions;
    q->seen = (GstDsvl2Seen){ .prompt = q->prompt,
      .prompt_index = (int) (i / asking->n_regions),
      .pts = pts,
      .stream_time = stream_time_of (frame->segment, pts),
      .running_time = running_time_of (frame->segment, pts),
      .width = GST_VIDEO_INFO_WIDTH (frame->info),
      .height = GST_VIDEO_INFO_HEIGHT (frame->info),
      .region = region.place,
      .region_label = g_quark_to_string (region.label),
      .region_id = region.id,
      .n_frames = (int) n_earlier + 1,
      .first_pts = first_pts };
    q->turns = history_get (history, (guint) q->seen.prompt_index, q->region, asking->history);
  }
  return asking;
}

Asking *
asking_ref (Asking *asking)
{
  g_atomic_ref_count_inc (&asking->refs);
  return asking;
}

void
asking_unref (Asking *asking)
{
  if (!g_atomic_ref_count_dec (&asking->refs))
    return;
  for (guint i = 0; i < asking->n_questions; i++) {
    g_free (asking->questions[i].prompt);
    g_strfreev (asking->questions[i].turns);
    if (asking->questions[i].text != NULL)
      g_string_free (asking->questions[i].text, TRUE);
    g_clear_pointer (&asking->questions[i].result, gst_structure_free);
    g_clear_pointer (&asking->questions[i].request, dsvl2_request_unref);
  }
  g_free (asking->questions);
  g_mutex_clear (&asking->lock);
  g_free (asking);
}

/* --- ends --- */

static void
count (AskingSum *sum, const Dsvl2Result *r)
{
  const AskingSum one = { .answered = 1,
    .tokens = (guint64) r->n_tokens,
    .prompt_tokens = (guint64) r->n_prompt_tokens,
    .cached_tokens = (guint64) r->n_cached_tokens,
    .later_tokens = (guint64) MAX (r->n_tokens - 1, 0),
    .queue_us = r->queue_us,
    .vision_us = r->vision_us,
    .prefill_us = r->prefill_us,
    .decode_us = r->decode_us };

  asking_sum_add (sum, &one);
}

/* Takes a question's end: a result, with what it took, or an error, or neither when it was cancelled. */
static void
end_question (Question *q, GstStructure *structure, const Dsvl2Result *result, const GError *error)
{
  Asking *asking = q->asking;
  g_autoptr (Dsvl2Request) request = NULL;
  gboolean last;

  if (error != NULL)
    asking->funcs.failed (asking->owner, error);
  g_mutex_lock (&asking->lock);
  q->ended = TRUE;
  q->result = structure;
  request = g_steal_pointer (&q->request);
  if (structure != NULL)
    count (&asking->sum, result);
  asking->sum.failed += error != NULL;
  last = --asking->n_open == 0;
  g_mutex_unlock (&asking->lock);
  if (last)
    asking->funcs.ended (asking->owner, asking);
  asking_unref (asking);
}

/* From the courier. */
static void
question_ended (gpointer question)
{
  Question *q = question;
  g_autoptr (Dsvl2Request) request = g_steal_pointer (&q->answer);
  const Dsvl2Result *result = q->answered;
  const gboolean answered =
      result->finish == DSVL2_FINISH_STOP || result->finish == DSVL2_FINISH_LENGTH;

  end_question (q, answered ? gst_dsvl2_result_to_structure (result, &q->seen) : NULL, result,
      result->finish == DSVL2_FINISH_ERROR ? result->error : NULL);
}

/* From the engine's worker, which serves other streams too: what follows is the courier's. */
static void
question_done (Dsvl2Request *request, const Dsvl2Result *result, gpointer user_data)
{
  Question *q = user_data;

  q->answer = dsvl2_request_ref (request);
  q->answered = result;
  courier_send (q->asking->courier, question_ended, q);
}

/* From the courier, before question_ended (). */
static void
question_grew (gpointer data)
{
  Growth *growth = data;
  Asking *asking = growth->asking;

  if (!asking_was_cancelled (asking))
    asking->funcs.partial (asking->owner, growth->partial);
  gst_structure_free (growth->partial);
  g_free (growth);
}

/* From the engine's worker. */
static void
question_token (Dsvl2Request *request, int token_id, const char *text, gpointer user_data)
{
  Question *q = user_data;
  Growth *growth = g_new (Growth, 1);

  g_string_append (q->text, text);
  q->n_tokens++;
  *growth = (Growth){ q->asking, gst_dsvl2_partial_to_structure (q->text->str, q->n_tokens, &q->seen) };
  courier_send (q->asking->courier, question_grew, growth);
}

/* --- asking --- */

/* A conversation that goes on from those turns. Free what it points to by freeing itself. */
static GArray *
messages_of (const char *system, char *const *turns, const char *question)
{
  GArray *messages = g_array_new (FALSE, FALSE, sizeof (Dsvl2Message));
  const Dsvl2Message last = { DSVL2_ROLE_USER, question };

  if (system != NULL && *system)
    g_array_append_val (messages, ((Dsvl2Message){ DSVL2_ROLE_SYSTEM, system }));
  for (; *turns != NULL; turns += 2) {
    g_array_append_val (messages, ((Dsvl2Message){ DSVL2_ROLE_USER, turns[0] }));
    g_array_append_val (messages, ((Dsvl2Message){ DSVL2_ROLE_ASSISTANT, turns[1] }));
  }
  return g_array_append_val (messages, last);
}

/* The last picture again for each mark of the text that a group of frames which ended early has none for. */
static void
fill_up (const Question *q, GPtrArray *shown, const char *text)
{
  const guint missing = q->asking->frames - MIN (q->asking->frames, (guint) q->seen.n_frames);
  const guint n = MIN (shown->len + missing, prompts_count_marks (text));

  while (shown->len < n)
    g_ptr_array_add (shown, g_ptr_array_index (shown, shown->len - 1));
}

static Dsvl2Request *
submit_turns (Question *q, Dsvl2Engine *engine, const GPtrArray *pictures, char *const *turns,
    const InferSettings *s, GError **error)
{
  g_autofree char *text = prompts_question (q->prompt, s->prompt_template, pictures->len);
  g_autoptr (GPtrArray) shown = g_ptr_array_sized_new (pictures->len);
  g_autoptr (GArray) messages = messages_of (s->system_prompt, turns, text);

  g_ptr_array_extend (shown, (GPtrArray *) pictures, NULL, NULL);
  fill_up (q, shown, text);
  return dsvl2_engine_submit (engine,
      &(Dsvl2Ask){ .messages = (const Dsvl2Message *) messages->data,
          .n_messages = (int) messages->len,
          .pictures = (Dsvl2Picture *const *) shown->pdata,
          .n_pictures = (int) shown->len,
          .cropping = s->cropping,
          .max_tiles = s->max_tiles,
          .sampling = { .temperature = s->temperature,
              .top_p = s->top_p,
              .top_k = s->top_k,
              .repetition_penalty = s->repetition_penalty,
              .seed = s->seed,
              .max_new_tokens = s->max_new_tokens },
          .priority = s->priority,
          .stream = q->asking->owner,
          .token = q->text != NULL ? question_token : NULL,
          .done = question_done,
          .user_data = q },
      error);
}

/* The turns that may take part: a text has no more tokens than bytes, and half of the context is left to
 * the pictures and the answer. */
static char *const *
turns_that_fit (Question *q, Dsvl2Engine *engine)
{
  const gsize room = dsvl2_model_get_context_length (dsvl2_engine_get_model (engine)) / 2;
  guint first = g_strv_length (q->turns);
  gsize size = 0;

  for (; first > 0; first -= 2) {
    size += strlen (q->turns[first - 1]) + strlen (q->turns[first - 2]);
    if (size > room)
      break;
  }
  return q->turns + first;
}

/* Where the context is too short for all turns the oldest are left out. */
static Dsvl2Request *
submit (Question *q, Dsvl2Engine *engine, const GPtrArray *pictures, const InferSettings *s,
    GError **error)
{
  char *const *turns = turns_that_fit (q, engine);

  for (;; turns += 2) {
    g_autoptr (GError) failure = NULL;
    Dsvl2Request *request;

    q->seen.n_turns = (int) g_strv_length ((char **) turns) / 2;
    request = submit_turns (q, engine, pictures, turns, s, &failure);
    if (request != NULL)
      return request;
    if (*turns == NULL || !g_error_matches (failure, DSVL2_ERROR, DSVL2_ERROR_CONTEXT)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
  }
}

/* Keeps the request of a question so that it can be cancelled, unless it has ended by now. */
static void
keep_request (Question *q, Dsvl2Request *request)
{
  gboolean cancelled;

  g_mutex_lock (&q->asking->lock);
  if (!q->ended)
    q->request = dsvl2_request_ref (request);
  cancelled = q->asking->cancelled;
  g_mutex_unlock (&q->asking->lock);
  if (cancelled)
    dsvl2_request_cancel (request);
}

static void
ask (Question *q, Dsvl2Engine *engine, const GPtrArray *pictures, const GError *no_pictures,
    const InferSettings *settings)
{
  g_autoptr (Dsvl2Request) request = NULL;
  g_autoptr (GError) error = NULL;

  if (pictures != NULL)
    request = submit (q, engine, pictures, settings, &error);
  if (request != NULL)
    keep_request (q, request);
  else
    end_question (q, NULL, NULL, pictures != NULL ? error : no_pictures);
}

static gboolean
show (GPtrArray *pictures, GstBuffer *frame, const GstVideoInfo *info, const GstVideoRectangle *region,
    gboolean on_cuda, GError **error)
{
  Dsvl2Picture *picture = gst_dsvl2_picture_new (frame, info, region, on_cuda, error);

  if (picture != NULL)
    g_ptr_array_add (pictures, picture);
  return picture != NULL;
}

/* What is shown with each question about a region: references, then the frames. */
static GPtrArray *
pictures_of (const AskingFrame *frame, const GstVideoRectangle *region, gboolean on_cuda,
    GError **error)
{
  g_autoptr (GPtrArray) pictures =
      g_ptr_array_new_with_free_func ((GDestroyNotify) dsvl2_picture_unref);

  for (guint i = 0; frame->references != NULL && i < frame->references->len; i++)
    g_ptr_array_add (pictures, dsvl2_picture_ref (g_ptr_array_index (frame->references, i)));
  for (guint i = 0; frame->earlier != NULL && i < frame->earlier->len; i++)
    if (!show (pictures, g_ptr_array_index (frame->earlier, i), frame->info, region, on_cuda, error))
      return NULL;
  if (!show (pictures, frame->frame, frame->info, region, on_cuda, error))
    return NULL;
  return g_steal_pointer (&pictures);
}

/* Each prompt about a region, one after another: they share its pictures. */
static void
ask_about_region (Asking *asking, guint region, Dsvl2Engine *engine, const AskingFrame *frame,
    const InferSettings *settings)
{
  int device;
  const gboolean on_cuda = dsvl2_engine_get_cuda_context (engine, &device) != NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) pictures =
      pictures_of (frame, &asking->questions[region].seen.region, on_cuda, &error);

  for (guint i = region; i < asking->n_questions; i += asking->n_regions)
    ask (&asking->questions[i], engine, pictures, error, settings);
}

void
asking_submit (Asking *asking, Dsvl2Engine *engine, Courier *courier, const AskingFrame *frame,
    const InferSettings *settings)
{
  g_autoptr (Asking) self = asking_ref (asking);

  if (asking->n_questions == 0) {
    asking->funcs.ended (asking->owner, asking);
    return;
  }
  asking->courier = courier;
  asking->n_open = asking->n_questions;
  for (guint i = 0; i < asking->n_questions; i++)
    asking_ref (asking);
  for (guint i = 0; i < asking->n_regions; i++)
    ask_about_region (asking, i, engine, frame, settings);
}

void
asking_cancel (Asking *asking)
{
  g_autoptr (GPtrArray) requests =
      g_ptr_array_new_with_free_func ((GDestroyNotify) dsvl2_request_unref);

  g_mutex_lock (&asking->lock);
  asking->cancelled = TRUE;
  for (guint i = 0; i < asking->n_questions; i++)
    if (asking->questions[i].request != NULL)
      g_ptr_array_add (requests, dsvl2_request_ref (asking->questions[i].request));
  g_mutex_unlock (&asking->lock);
  for (guint i = 0; i < requests->len; i++)
    dsvl2_request_cancel (g_ptr_array_index (requests, i));
}

/* --- what came of it --- */

guint64
asking_get_ticket (const Asking *asking)
{
  return asking->ticket;
}

gboolean
asking_was_cancelled (Asking *asking)
{
  gboolean cancelled;

  g_mutex_lock (&asking->lock);
  cancelled = asking->cancelled;
  g_mutex_unlock (&asking->lock);
  return cancelled;
}

void
asking_remember (Asking *asking, History *history)
{
  if (asking->history == 0)
    return;
  for (guint i = 0; i < asking->n_questions; i++) {
    const Question *q = &asking->questions[i];
    g_autofree char *question = prompts_question (q->prompt, asking->template, 0);

    if (q->result != NULL)
      history_add (history, (guint) q->seen.prompt_index, q->region, question,
          gst_structure_get_string (q->result, "text"), asking->history);
  }
}

GPtrArray *
asking_get_results (Asking *asking)
{
  GPtrArray *results = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_structure_free);

  for (guint i = 0; i < asking->n_questions; i++)
    if (asking->questions[i].result != NULL)
      g_ptr_array_add (results, g_steal_pointer (&asking->questions[i].result));
  if (results->len == 0)
    g_clear_pointer (&results, g_ptr_array_unref);
  return results;
}

const AskingSum *
asking_get_sum (const Asking *asking)
{
  return &asking->sum;
}

void
asking_sum_add (AskingSum *sum, const AskingSum *more)
{
  sum->answered += more->answered;
  sum->failed += more->failed;
  sum->tokens += more->tokens;
  sum->prompt_tokens += more->prompt_tokens;
  sum->cached_tokens += more->cached_tokens;
  sum->later_tokens += more->later_tokens;
  sum->queue_us += more->queue_us;
  sum->vision_us += more->vision_us;
  sum->prefill_us += more->prefill_us;
  sum->decode_us += more->decode_us;
}
