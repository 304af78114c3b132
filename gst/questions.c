/* dsvl2: frames that the engine is asked about
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "questions.h"
#include "gstdsvl2meta.h"
#include "picture.h"

struct _Questions {
  GObject *owner; /* owns this: no reference */
  QuestionsFuncs funcs;
  Dsvl2Engine *engine; /* of the streaming thread */

  GMutex lock; /* of all below; never held while the engine or the owner is called */
  GCond answered;
  Handover *handover;
  GHashTable *open; /* ticket → Dsvl2Request, NULL until it is submitted */
  gboolean flushing, live;
  char *last_failure;
  struct {
    guint64 tokens;
    gint64 queue_us, vision_us, prefill_us, decode_us;
  } sum;
};

/* An answer is handed to several frames: reference counted. */
typedef struct {
  GstStructure *result;
} Answer;

/* What the engine gives back with an answer. */
typedef struct {
  Questions *questions;
  GObject *owner;
  guint64 ticket;
  char *prompt;
  GstDsvl2Seen seen;
} Question;

static void
answer_clear (gpointer answer)
{
  gst_structure_free (((Answer *) answer)->result);
}

static void
answer_unref (gpointer answer)
{
  g_atomic_rc_box_release_full (answer, answer_clear);
}

static void
unref_request (gpointer request)
{
  if (request != NULL)
    dsvl2_request_unref (request);
}

Questions *
questions_new (GObject *owner, const QuestionsFuncs *funcs)
{
  Questions *q = g_new0 (Questions, 1);

  q->owner = owner;
  q->funcs = *funcs;
  g_mutex_init (&q->lock);
  g_cond_init (&q->answered);
  q->handover = handover_new ((GDestroyNotify) gst_buffer_unref, answer_unref);
  q->open = g_hash_table_new_full (NULL, NULL, NULL, unref_request);
  q->flushing = TRUE;
  return q;
}

void
questions_free (Questions *q)
{
  handover_free (q->handover);
  g_hash_table_unref (q->open);
  g_free (q->last_failure);
  g_mutex_clear (&q->lock);
  g_cond_clear (&q->answered);
  g_free (q);
}

/* --- answers --- */

/* The policy counts a failure; people hear of it once, not with each frame. */
static void
report_failure (Questions *q, const GError *error)
{
  gboolean news;

  g_mutex_lock (&q->lock);
  news = g_strcmp0 (error->message, q->last_failure) != 0;
  if (news) {
    g_free (q->last_failure);
    q->last_failure = g_strdup (error->message);
  }
  g_mutex_unlock (&q->lock);
  if (news)
    q->funcs.failed (q->owner, error);
}

/* An answer, or that there is none, goes back to where frames are. With lock. */
static gboolean
give_answer (Questions *q, guint64 ticket, Answer *answer)
{
  g_cond_signal (&q->answered);
  return handover_answer (q->handover, ticket, answer);
}

/* The request of a ticket, which is open no more. With lock. */
static Dsvl2Request *
close_question (Questions *q, guint64 ticket)
{
  gpointer request = NULL;

  g_hash_table_steal_extended (q->open, GSIZE_TO_POINTER (ticket), NULL, &request);
  return request;
}

static void
question_free (Question *question)
{
  g_free (question->prompt);
  g_object_unref (question->owner);
  g_free (question);
}

/* With lock. */
static void
count_result (Questions *q, const Dsvl2Result *r)
{
  q->sum.tokens += (guint64) r->n_tokens;
  q->sum.queue_us += r->queue_us;
  q->sum.vision_us += r->vision_us;
  q->sum.prefill_us += r->prefill_us;
  q->sum.decode_us += r->decode_us;
  g_clear_pointer (&q->last_failure, g_free);
}

/* Takes the answer, NULL if there is none, of a question that has ended.
 * Returns it again if it is to be told now. */
static Answer *
settle (Questions *q, const Question *question, Answer *answer, const Dsvl2Result *result)
{
  g_autoptr (Dsvl2Request) request = NULL;
  Answer *news = NULL;

  g_mutex_lock (&q->lock);
  request = close_question (q, question->ticket);
  if (answer != NULL && q->live)
    news = g_atomic_rc_box_acquire (answer);
  if (result->finish == DSVL2_FINISH_CANCELLED && q->flushing) {
    /* its frame is about to be forgotten */
  } else if (!give_answer (q, question->ticket, answer)) {
    g_clear_pointer (&news, answer_unref);
  } else if (answer != NULL) {
    count_result (q, result);
  }
  g_mutex_unlock (&q->lock);
  return news;
}

/* From the engine's worker. */
static void
question_done (Dsvl2Request *request, const Dsvl2Result *result, gpointer user_data)
{
  Question *question = user_data;
  Questions *q = question->questions;
  Answer *answer = NULL, *news;

  if (result->finish == DSVL2_FINISH_STOP || result->finish == DSVL2_FINISH_LENGTH) {
    answer = g_atomic_rc_box_new0 (Answer);
    answer->result = gst_dsvl2_result_to_structure (result, &question->seen);
  } else if (result->finish == DSVL2_FINISH_ERROR) {
    report_failure (q, result->error);
  }
  news = settle (q, question, answer, result);
  if (news != NULL) {
    q->funcs.answered (q->owner, news->result);
    answer_unref (news);
  }
  question_free (question);
}

/* --- questions --- */

static Question *
question_new (Questions *q, guint64 ticket, GstClockTime pts, const GstVideoInfo *info,
    const GstSegment *segment, const char *prompt)
{
  Question *question = g_new0 (Question, 1);

  question->questions = q;
  question->owner = g_object_ref (q->owner);
  question->ticket = ticket;
  question->prompt = g_utf8_make_valid (prompt != NULL ? prompt : "", -1);
  question->seen = (GstDsvl2Seen){ .prompt = question->prompt,
    .pts = pts,
    .stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts),
    .running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts),
    .width = GST_VIDEO_INFO_WIDTH (info),
    .height = GST_VIDEO_INFO_HEIGHT (info) };
  return question;
}

static Dsvl2Request *
submit (Questions *q, Question *question, GstBuffer *frame, const GstVideoInfo *info,
    const InferSettings *s, GError **error)
{
  g_autoptr (Dsvl2Picture) picture = gst_dsvl2_picture_new (frame, info, error);
  g_autofree char *text = infer_question (question->prompt, s->prompt_template);
  const gboolean system = s->system_prompt != NULL && *s->system_prompt;
  const Dsvl2Message messages[] = { { DSVL2_ROLE_SYSTEM, s->system_prompt },
    { DSVL2_ROLE_USER, text } };

  if (picture == NULL)
    return NULL;
  return dsvl2_engine_submit (q->engine,
      &(Dsvl2Ask){ .messages = system ? messages : messages + 1,
          .n_messages = system ? 2 : 1,
          .pictures = &picture,
          .n_pictures = 1,
          .cropping = s->cropping,
          .max_tiles = s->max_tiles,
          .sampling = { .temperature = s->temperature,
              .top_p = s->top_p,
              .top_k = s->top_k,
              .repetition_penalty = s->repetition_penalty,
              .seed = s->seed,
              .max_new_tokens = s->max_new_tokens },
          .done = question_done,
          .user_data = question },
      error);
}

void
questions_ask (Questions *q, guint64 ticket, GstBuffer *frame, const GstVideoInfo *info,
    const GstSegment *segment, const InferSettings *settings)
{
  Question *question =
      question_new (q, ticket, GST_BUFFER_PTS (frame), info, segment, settings->prompt);
  g_autoptr (Dsvl2Request) request = NULL;
  g_autoptr (GError) error = NULL;
  gboolean flushing;

  g_mutex_lock (&q->lock);
  g_hash_table_insert (q->open, GSIZE_TO_POINTER (ticket), NULL);
  g_mutex_unlock (&q->lock);

  request = submit (q, question, frame, info, settings, &error);
  if (request == NULL) {
    report_failure (q, error);
    question_free (question);
    g_mutex_lock (&q->lock);
    close_question (q, ticket);
    give_answer (q, ticket, NULL);
    g_mutex_unlock (&q->lock);
    return;
  }

  /* It may be answered by now, or a flush may have come that did not see it. */
  g_mutex_lock (&q->lock);
  if (g_hash_table_contains (q->open, GSIZE_TO_POINTER (ticket)))
    g_hash_table_insert (q->open, GSIZE_TO_POINTER (ticket), dsvl2_request_ref (request));
  flushing = q->flushing;
  g_mutex_unlock (&q->lock);
  if (flushing)
    dsvl2_request_cancel (request);
}

static void
cancel_all (Questions *q)
{
  g_autoptr (GPtrArray) requests = g_ptr_array_new_with_free_func (unref_request);
  GHashTableIter iter;
  gpointer request;

  g_mutex_lock (&q->lock);
  g_hash_table_iter_init (&iter, q->open);
  while (g_hash_table_iter_next (&iter, NULL, &request))
    if (request != NULL)
      g_ptr_array_add (requests, dsvl2_request_ref (request));
  g_mutex_unlock (&q->lock);
  for (guint i = 0; i < requests->len; i++)
    dsvl2_request_cancel (g_ptr_array_index (requests, i));
}

/* --- frames --- */

void
questions_flush (Questions *q, gboolean flushing)
{
  g_mutex_lock (&q->lock);
  q->flushing = flushing;
  g_cond_broadcast (&q->answered);
  g_mutex_unlock (&q->lock);
  if (flushing)
    cancel_all (q);
}

void
questions_clear (Questions *q)
{
  g_mutex_lock (&q->lock);
  handover_clear (q->handover);
  g_mutex_unlock (&q->lock);
  cancel_all (q);
}

void
questions_start (Questions *q, Dsvl2Engine *engine)
{
  q->engine = engine;
  questions_flush (q, FALSE);
}

void
questions_stop (Questions *q)
{
  questions_flush (q, TRUE);
  questions_clear (q);
  g_clear_pointer (&q->engine, dsvl2_engine_unref);
}

static guint64
now (void)
{
  return (guint64) g_get_monotonic_time () * 1000;
}

HandoverDue
questions_judge (Questions *q, GstBuffer *frame, const HandoverSettings *settings)
{
  gboolean other_mode;
  HandoverDue due;

  g_mutex_lock (&q->lock);
  other_mode = q->live != settings->live;
  q->live = settings->live;
  handover_configure (q->handover, settings);
  due = handover_judge (q->handover, GST_BUFFER_PTS (frame), GST_BUFFER_DURATION (frame));
  g_mutex_unlock (&q->lock);
  if (other_mode)
    cancel_all (q);
  return due;
}

guint64
questions_push (Questions *q, GstBuffer *frame, HandoverDue due)
{
  guint64 ticket;

  g_mutex_lock (&q->lock);
  ticket = handover_push (q->handover, frame, due, now ());
  g_mutex_unlock (&q->lock);
  return ticket;
}

void
questions_demand (Questions *q)
{
  g_mutex_lock (&q->lock);
  handover_demand (q->handover);
  g_mutex_unlock (&q->lock);
}

void
questions_renew (Questions *q)
{
  g_mutex_lock (&q->lock);
  handover_renew (q->handover);
  g_mutex_unlock (&q->lock);
}

/* What the policy says is next; waits for an answer where that is. The answer has a reference of its own. */
static HandoverNext
wait_for_next (Questions *q, gboolean drain, HandoverOut *out)
{
  HandoverNext next = HANDOVER_WAIT;

  g_mutex_lock (&q->lock);
  while (!q->flushing && (next = handover_pop (q->handover, drain, now (), out)) == HANDOVER_WAIT)
    g_cond_wait (&q->answered, &q->lock);
  if (next == HANDOVER_FRAME && out->answer != NULL)
    g_atomic_rc_box_acquire (out->answer);
  g_mutex_unlock (&q->lock);
  return next;
}

GstFlowReturn
questions_next (Questions *q, gboolean drain, const GstVideoInfo *info, GstBuffer **frame,
    GstClockTime *delay)
{
  HandoverOut out = { NULL };
  const HandoverNext next = wait_for_next (q, drain, &out);
  Answer *answer = out.answer;

  *frame = NULL;
  if (next != HANDOVER_FRAME)
    return next == HANDOVER_WAIT ? GST_FLOW_FLUSHING : GST_FLOW_OK;
  *frame = out.frame;
  *delay = out.delay;
  if (answer == NULL)
    return GST_FLOW_OK;

  if (out.fresh && !q->live)
    q->funcs.answered (q->owner, answer->result);
  *frame = gst_buffer_make_writable (*frame);
  gst_dsvl2_meta_attach (*frame, info, answer->result, out.fresh);
  answer_unref (answer);
  return GST_FLOW_OK;
}

/* --- counts --- */

GstStructure *
questions_get_stats (Questions *q)
{
  GstStructure *stats = gst_structure_new_empty ("dsvl2-stats");
  HandoverCounts n;
  double ms, seconds;

#define COUNT(name, value) gst_structure_set (stats, name, G_TYPE_UINT64, value, NULL)
#define NUMBER(name, value) gst_structure_set (stats, name, G_TYPE_DOUBLE, value, NULL)
  g_mutex_lock (&q->lock);
  n = handover_get_counts (q->handover);
  ms = 1e-3 / (double) MAX (n.answered, 1); /* of a mean answer */
  seconds = 1e-6 * (double) q->sum.decode_us;
  COUNT ("frames", n.frames);
  COUNT ("analysed", n.analysed);
  COUNT ("answered", n.answered);
  COUNT ("failed", n.failed);
  COUNT ("dropped", n.dropped);
  COUNT ("skipped", n.skipped);
  COUNT ("unchanged", n.unchanged);
  COUNT ("tokens", q->sum.tokens);
  NUMBER ("tokens-per-second", seconds > 0 ? (double) q->sum.tokens / seconds : 0.0);
  NUMBER ("queue-ms", (double) q->sum.queue_us * ms);
  NUMBER ("vision-ms", (double) q->sum.vision_us * ms);
  NUMBER ("prefill-ms", (double) q->sum.prefill_us * ms);
  NUMBER ("decode-ms", (double) q->sum.decode_us * ms);
  g_mutex_unlock (&q->lock);
#undef COUNT
#undef NUMBER
  return stats;
}
