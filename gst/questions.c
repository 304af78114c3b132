/* dsvl2: frames that the engine is asked about
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "questions.h"
#include "courier.h"
#include "enginepool.h"
#include "gstdsvl2meta.h"

/* Failures with different messages that people hear of, between answers. */
enum { MAX_FAILURES = 16 };

struct _Questions {
  GObject *owner; /* owns this: no reference */
  QuestionsFuncs funcs;
  Dsvl2Engine *engine; /* of the streaming thread */
  Courier *courier;    /* while there is an engine */
  GPtrArray
      *gathered; /* GstBuffer: will be asked about with a frame to come; of the streaming thread */

  GMutex lock;        /* of all below; never held while the engine or the owner is called */
  GCond answered;     /* or ended without an answer */
  Handover *handover; /* answers are GPtrArray of GstStructure, in the order of the prompts */
  GPtrArray *open;    /* Asking */
  History *history;
  gboolean flushing, live;
  GHashTable *failures; /* set of messages: told since all questions about a frame were answered */
  AskingSum sum;
};

static void
asking_drop (gpointer asking)
{
  asking_unref (asking);
}

Questions *
questions_new (GObject *owner, const QuestionsFuncs *funcs)
{
  Questions *q = g_new0 (Questions, 1);

  q->owner = owner;
  q->funcs = *funcs;
  g_mutex_init (&q->lock);
  g_cond_init (&q->answered);
  q->handover = handover_new ((GDestroyNotify) gst_buffer_unref, (GDestroyNotify) g_ptr_array_unref);
  q->open = g_ptr_array_new_with_free_func (asking_drop);
  q->history = history_new ();
  q->gathered = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_buffer_unref);
  q->failures = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  q->flushing = TRUE;
  return q;
}

void
questions_free (Questions *q)
{
  handover_free (q->handover);
  g_ptr_array_unref (q->open);
  history_free (q->history);
  g_ptr_array_unref (q->gathered);
  g_hash_table_unref (q->failures);
  g_mutex_clear (&q->lock);
  g_cond_clear (&q->answered);
  g_free (q);
}

/* --- answers --- */

/* People hear of a failure once, not with each frame. */
static void
question_failed (gpointer questions, const GError *error)
{
  Questions *q = questions;
  gboolean news;

  g_mutex_lock (&q->lock);
  news = g_hash_table_size (q->failures) < MAX_FAILURES &&
         g_hash_table_add (q->failures, g_strdup (error->message));
  g_mutex_unlock (&q->lock);
  if (news)
    q->funcs.failed (q->owner, error);
}

static void
question_partial (gpointer questions, const GstStructure *partial)
{
  Questions *q = questions;

  q->funcs.partial (q->owner, partial);
}

static void
tell (Questions *q, const GPtrArray *answer)
{
  for (guint i = 0; i < answer->len; i++)
    q->funcs.answered (q->owner, g_ptr_array_index (answer, i));
}

/* Gives the results, if there are any, of a frame whose questions have ended to where the frame is.
 * Returns them if they are to be told now. With lock. */
static GPtrArray *
settle (Questions *q, Asking *asking)
{
  const AskingSum *sum = asking_get_sum (asking);
  GPtrArray *results;

  g_ptr_array_remove (q->open, asking);
  g_cond_broadcast (&q->answered);
  if (asking_was_cancelled (asking)) /* its frame is forgotten, or about to be */
    return NULL;
  asking_remember (asking, q->history);
  results = asking_get_results (asking);
  if (results != NULL)
    g_ptr_array_ref (results);
  if (handover_answer (q->handover, asking_get_ticket (asking), results)) {
    asking_sum_add (&q->sum, sum);
    if (sum->failed == 0)
      g_hash_table_remove_all (q->failures);
    else
      handover_renew (q->handover);
    if (q->live)
      return results;
  }
  g_clear_pointer (&results, g_ptr_array_unref);
  return NULL;
}

static void
frame_asked (gpointer questions, Asking *asking)
{
  Questions *q = questions;
  GObject *owner = q->owner;
  g_autoptr (GPtrArray) news = NULL;

  g_mutex_lock (&q->lock);
  news = settle (q, asking);
  g_mutex_unlock (&q->lock);
  if (news != NULL)
    tell (q, news);
  g_object_unref (owner);
}

/* --- questions --- */

/* What goes on from earlier answers is asked when these are there: the same ones every time. With lock. */
static void
wait_for_history (Questions *q)
{
  while (!q->live && !q->flushing && q->open->len > 0)
    g_cond_wait (&q->answered, &q->lock);
}

void
questions_ask (Questions *q, guint64 ticket, const AskingFrame *frame, const InferSettings *settings,
    gboolean partials)
{
  const AskingFuncs funcs = {
    .failed = question_failed, .partial = partials ? question_partial : NULL, .ended = frame_asked
  };
  AskingFrame together = *frame;
  g_autoptr (Asking) asking = NULL;
  gboolean flushing;

  together.earlier = q->gathered;
  g_object_ref (q->owner);
  g_mutex_lock (&q->lock);
  if (settings->history > 0)
    wait_for_history (q);
  asking = asking_new (ticket, &together, settings, q->history, &funcs, q);
  g_ptr_array_add (q->open, asking_ref (asking));
  flushing = q->flushing;
  g_mutex_unlock (&q->lock);
  if (flushing)
    asking_cancel (asking);
  asking_submit (asking, q->engine, q->courier, &together, settings);
  g_ptr_array_set_size (q->gathered, 0);
}

static void
cancel_all (Questions *q)
{
  g_autoptr (GPtrArray) open = g_ptr_array_new_with_free_func (asking_drop);

  g_mutex_lock (&q->lock);
  for (guint i = 0; i < q->open->len; i++)
    g_ptr_array_add (open, asking_ref (g_ptr_array_index (q->open, i)));
  g_mutex_unlock (&q->lock);
  for (guint i = 0; i < open->len; i++)
    asking_cancel (g_ptr_array_index (open, i));
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
  history_clear (q->history);
  g_mutex_unlock (&q->lock);
  g_ptr_array_set_size (q->gathered, 0);
  cancel_all (q);
}

void
questions_start (Questions *q, Dsvl2Engine *engine)
{
  q->engine = engine;
  q->courier = courier_new ();
  questions_flush (q, FALSE);
}

void
questions_stop (Questions *q)
{
  questions_flush (q, TRUE);
  questions_clear (q);
  g_mutex_lock (&q->lock);
  while (q->open->len > 0)
    g_cond_wait (&q->answered, &q->lock);
  g_mutex_unlock (&q->lock);
  g_clear_pointer (&q->courier, courier_free);
  g_clear_pointer (&q->engine, engine_pool_give_back);
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
  if (other_mode) {
    g_ptr_array_set_size (q->gathered, 0);
    cancel_all (q);
  }
  return due;
}

guint64
questions_push (Questions *q, GstBuffer *frame, HandoverDue due, guint together)
{
  const gboolean chosen = due == HANDOVER_DUE || due == HANDOVER_DUE_ANEW || due == HANDOVER_DEMANDED;
  guint64 ticket;

  if (chosen && q->gathered->len + 1 < together) {
    /* A copy shares the frame's memory and leaves it writable. */
    g_ptr_array_add (q->gathered, gst_buffer_copy (frame));
    due = HANDOVER_GATHERED;
  }
  g_mutex_lock (&q->lock);
  ticket = handover_push (q->handover, frame, due, now ());
  g_mutex_unlock (&q->lock);
  return ticket;
}

guint64
questions_conclude (Questions *q, GstBuffer **frame)
{
  guint64 ticket;

  g_mutex_lock (&q->lock);
  ticket = handover_conclude (q->handover);
  g_mutex_unlock (&q->lock);
  if (ticket != 0)
    *frame = g_ptr_array_steal_index (q->gathered, q->gathered->len - 1);
  else
    g_ptr_array_set_size (q->gathered, 0);
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
    g_ptr_array_ref (out->answer);
  g_mutex_unlock (&q->lock);
  return next;
}

GstFlowReturn
questions_next (Questions *q, gboolean drain, const GstVideoInfo *info, QuestionsFrame *frame)
{
  HandoverOut out = { NULL };
  const HandoverNext next = wait_for_next (q, drain, &out);
  GPtrArray *answer = out.answer;

  *frame = (QuestionsFrame){ NULL };
  if (next != HANDOVER_FRAME)
    return next == HANDOVER_WAIT ? GST_FLOW_FLUSHING : GST_FLOW_OK;
  if (answer != NULL && out.fresh && !q->live)
    tell (q, answer);
  if (out.frame == NULL) { /* an answer that no frame was left for */
    g_clear_pointer (&answer, g_ptr_array_unref);
    return questions_next (q, drain, info, frame);
  }
  *frame = (QuestionsFrame){ out.frame, answer, out.fresh, out.until, out.delay };
  if (answer == NULL)
    return GST_FLOW_OK;

  frame->buffer = gst_buffer_make_writable (frame->buffer);
  for (guint i = 0; i < answer->len; i++)
    gst_dsvl2_meta_attach (frame->buffer, info, g_ptr_array_index (answer, i), out.fresh);
  return GST_FLOW_OK;
}

/* --- counts --- */

GstStructure *
questions_get_stats (Questions *q)
{
  GstStructure *stats = gst_structure_new_empty ("dsvl2-stats");
  HandoverCounts n;
  AskingSum sum;
  double ms, seconds;

#define COUNT(name, value) gst_structure_set (stats, name, G_TYPE_UINT64, value, NULL)
#define NUMBER(name, value) gst_structure_set (stats, name, G_TYPE_DOUBLE, value, NULL)
  g_mutex_lock (&q->lock);
  n = handover_get_counts (q->handover);
  sum = q->sum;
  g_mutex_unlock (&q->lock);
  ms = 1e-3 / (double) MAX (sum.answered, 1); /* of a mean answer */
  seconds = 1e-6 * (double) sum.decode_us;    /* from first tokens to last */
  COUNT ("frames", n.frames);
  COUNT ("analysed", n.analysed);
  COUNT ("dropped", n.dropped);
  COUNT ("skipped", n.skipped);
  COUNT ("unchanged", n.unchanged);
  COUNT ("answered", sum.answered);
  COUNT ("failed", sum.failed);
  COUNT ("tokens", sum.tokens);
  COUNT ("prompt-tokens", sum.prompt_tokens);
  COUNT ("cached-tokens", sum.cached_tokens);
  NUMBER ("cache-hits", (double) sum.cached_tokens / (double) MAX (sum.prompt_tokens, 1));
  NUMBER ("tokens-per-second", seconds > 0 ? (double) sum.later_tokens / seconds : 0.0);
  NUMBER ("queue-ms", (double) sum.queue_us * ms);
  NUMBER ("vision-ms", (double) sum.vision_us * ms);
  NUMBER ("prefill-ms", (double) sum.prefill_us * ms);
  NUMBER ("decode-ms", (double) sum.decode_us * ms);
#undef COUNT
#undef NUMBER
  return stats;
}
