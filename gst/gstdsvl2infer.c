/* dsvl2infer: asks a DeepSeek-VL2 model about video frames
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-dsvl2infer
 * @title: dsvl2infer
 * @short_description: answers a prompt about video frames with DeepSeek-VL2
 *
 * Passes video through, pixels untouched, and asks a DeepSeek-VL2 model the #GstDsvl2Infer:prompt about
 * the frames that #GstDsvl2Infer:interval chooses. Answers go on the buffers: a
 * #GstVideoRegionOfInterestMeta for each object that was found and a #GstCustomMeta "dsvl2-result" with
 * the text, and each is posted once as an element message of the same name.
 *
 * With a live source the stream never waits: answers go on frames that follow the one they are about, and
 * say which one that was. Otherwise each chosen frame waits for its own answer.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! \
 *     dsvl2infer prompt="find cars" interval=500000000 ! dsvl2overlay ! videoconvert ! autovideosink
 * gst-launch-1.0 -m v4l2src ! videoconvert ! dsvl2infer model=/models/deepseek-vl2-tiny ! \
 *     dsvl2overlay ! videoconvert ! autovideosink
 * ]|
 *
 * Since: 0.1
 */
#include "gstdsvl2infer.h"
#include "gstdsvl2meta.h"
#include "handover.h"
#include "inferprops.h"
#include "picture.h"

GST_DEBUG_CATEGORY_STATIC (gst_dsvl2_infer_debug);
#define GST_CAT_DEFAULT gst_dsvl2_infer_debug

struct _GstDsvl2Infer {
  GstBaseTransform parent;

  InferSettings settings; /* under the object's lock, as is: */
  GstStructure *last_result;

  /* of the streaming thread */
  GstVideoInfo info;
  Dsvl2Engine *engine;
  gboolean stream_started; /* live or not has been settled */

  /* shared with the engine's worker and whoever flushes */
  GMutex lock;
  GCond answered;
  Handover *handover;
  GHashTable *asking; /* ticket → Dsvl2Request, NULL until it is submitted */
  gboolean flushing;
  gboolean live, upstream_live;
  guint64 latency; /* ns: what frames waited, of a live source in offline mode */
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

/* A frame that the engine is looking at. */
typedef struct {
  GstDsvl2Infer *self;
  guint64 ticket;
  char *prompt;
  GstDsvl2Seen seen;
} Question;

#define parent_class gst_dsvl2_infer_parent_class
G_DEFINE_TYPE (GstDsvl2Infer, gst_dsvl2_infer, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE (dsvl2infer, "dsvl2infer", GST_RANK_NONE, GST_TYPE_DSVL2_INFER,
    GST_DEBUG_CATEGORY_INIT (gst_dsvl2_infer_debug, "dsvl2infer", 0, "questions about video frames"))

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_DSVL2_CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_DSVL2_CAPS));

/* --- answers --- */

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

/* Tells the application. Once for each answer, in the order of their frames. */
static void
publish (GstDsvl2Infer *self, const Answer *answer)
{
  GstStructure *old;

  GST_OBJECT_LOCK (self);
  old = self->last_result;
  self->last_result = gst_structure_copy (answer->result);
  GST_OBJECT_UNLOCK (self);
  if (old != NULL)
    gst_structure_free (old);
  GST_DEBUG_OBJECT (self, "%" GST_PTR_FORMAT, answer->result);
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self), gst_structure_copy (answer->result)));
  g_object_notify (G_OBJECT (self), "last-result");
}

/* A failure is counted by the policy; people hear of it once, not with each frame. */
static void
report_failure (GstDsvl2Infer *self, const GError *error)
{
  const char *text = error != NULL ? error->message : "The engine gave no reason";
  gboolean news;

  g_mutex_lock (&self->lock);
  news = g_strcmp0 (text, self->last_failure) != 0;
  if (news) {
    g_free (self->last_failure);
    self->last_failure = g_strdup (text);
  }
  g_mutex_unlock (&self->lock);
  GST_INFO_OBJECT (self, "a frame was not answered: %s", text);
  if (news)
    GST_ELEMENT_WARNING (self, STREAM, FAILED, ("A frame was not answered: %s", text),
        ("video goes on; the same failure again is counted in \"stats\" only"));
}

/* An answer, or that there is none, goes back to where frames are. Takes both; with lock. */
static gboolean
give_answer (GstDsvl2Infer *self, guint64 ticket, Answer *answer)
{
  g_cond_signal (&self->answered);
  return handover_answer (self->handover, ticket, answer);
}

/* The request of a ticket, which is not asked any more; with lock. */
static Dsvl2Request *
end_asking (GstDsvl2Infer *self, guint64 ticket)
{
  gpointer request = NULL;

  g_hash_table_steal_extended (self->asking, GSIZE_TO_POINTER (ticket), NULL, &request);
  return request;
}

static void
question_free (Question *q)
{
  g_free (q->prompt);
  gst_object_unref (q->self);
  g_free (q);
}

static void
count_result (GstDsvl2Infer *self, const Dsvl2Result *r)
{
  self->sum.tokens += (guint64) r->n_tokens;
  self->sum.queue_us += r->queue_us;
  self->sum.vision_us += r->vision_us;
  self->sum.prefill_us += r->prefill_us;
  self->sum.decode_us += r->decode_us;
  g_clear_pointer (&self->last_failure, g_free);
}

/* From the engine's worker. */
static void
question_done (Dsvl2Request *request, const Dsvl2Result *result, gpointer user_data)
{
  Question *q = user_data;
  GstDsvl2Infer *self = q->self;
  const gboolean good = result->finish == DSVL2_FINISH_STOP || result->finish == DSVL2_FINISH_LENGTH;
  g_autoptr (Dsvl2Request) own = NULL;
  Answer *answer = NULL, *news = NULL;

  if (good) {
    answer = g_atomic_rc_box_new0 (Answer);
    answer->result = gst_dsvl2_result_to_structure (result, &q->seen);
  } else if (result->finish == DSVL2_FINISH_ERROR) {
    report_failure (self, result->error);
  }

  g_mutex_lock (&self->lock);
  own = end_asking (self, q->ticket);
  if (good && self->live)
    news = g_atomic_rc_box_acquire (answer);
  if (result->finish == DSVL2_FINISH_CANCELLED && self->flushing) {
    /* its frame is about to be forgotten */
  } else if (give_answer (self, q->ticket, answer)) {
    if (good)
      count_result (self, result);
  } else {
    g_clear_pointer (&news, answer_unref);
  }
  g_mutex_unlock (&self->lock);

  /* No frame may follow in a live stream, so its answers are told at once. */
  if (news != NULL) {
    publish (self, news);
    answer_unref (news);
  }
  question_free (q);
}

/* --- questions --- */

static Question *
question_new (GstDsvl2Infer *self, GstBuffer *buffer, guint64 ticket, const char *prompt)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  const GstClockTime pts = GST_BUFFER_PTS (buffer);
  Question *q = g_new0 (Question, 1);

  q->self = gst_object_ref (self);
  q->ticket = ticket;
  q->prompt = g_strdup (prompt);
  q->seen.prompt = q->prompt;
  q->seen.pts = pts;
  q->seen.stream_time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts);
  q->seen.running_time = gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts);
  q->seen.width = GST_VIDEO_INFO_WIDTH (&self->info);
  q->seen.height = GST_VIDEO_INFO_HEIGHT (&self->info);
  return q;
}

static Dsvl2Request *
submit (GstDsvl2Infer *self, GstBuffer *buffer, const InferSettings *s, Question *q, GError **error)
{
  g_autoptr (Dsvl2Picture) picture = gst_dsvl2_picture_new (buffer, &self->info, error);
  g_autofree char *question = infer_question (q->prompt, s->prompt_template);
  const gboolean system = s->system_prompt != NULL && *s->system_prompt;
  const Dsvl2Message messages[] = { { DSVL2_ROLE_SYSTEM, s->system_prompt },
    { DSVL2_ROLE_USER, question } };

  if (picture == NULL)
    return NULL;
  return dsvl2_engine_submit (self->engine,
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
          .user_data = q },
      error);
}

/* Asks about a frame that the policy has. */
static void
ask (GstDsvl2Infer *self, GstBuffer *buffer, guint64 ticket)
{
  g_auto (InferSettings) settings = { NULL };
  g_autoptr (Dsvl2Request) request = NULL;
  g_autoptr (GError) error = NULL;
  gboolean flushing;
  Question *q;

  GST_OBJECT_LOCK (self);
  infer_settings_copy (&settings, &self->settings);
  GST_OBJECT_UNLOCK (self);

  g_mutex_lock (&self->lock);
  g_hash_table_insert (self->asking, GSIZE_TO_POINTER (ticket), NULL);
  g_mutex_unlock (&self->lock);

  q = question_new (self, buffer, ticket, settings.prompt != NULL ? settings.prompt : "");
  request = submit (self, buffer, &settings, q, &error);
  if (request == NULL) {
    report_failure (self, error);
    question_free (q);
    g_mutex_lock (&self->lock);
    end_asking (self, ticket);
    give_answer (self, ticket, NULL);
    g_mutex_unlock (&self->lock);
    return;
  }

  /* It may be answered by now, or a flush may have come that did not see it. */
  g_mutex_lock (&self->lock);
  if (g_hash_table_contains (self->asking, GSIZE_TO_POINTER (ticket)))
    g_hash_table_insert (self->asking, GSIZE_TO_POINTER (ticket), dsvl2_request_ref (request));
  flushing = self->flushing;
  g_mutex_unlock (&self->lock);
  if (flushing)
    dsvl2_request_cancel (request);
}

static void
unref_request (gpointer request)
{
  if (request != NULL)
    dsvl2_request_unref (request);
}

static void
cancel_questions (GstDsvl2Infer *self)
{
  g_autoptr (GPtrArray) requests = g_ptr_array_new_with_free_func (unref_request);
  GHashTableIter iter;
  gpointer request;

  g_mutex_lock (&self->lock);
  g_hash_table_iter_init (&iter, self->asking);
  while (g_hash_table_iter_next (&iter, NULL, &request))
    if (request != NULL)
      g_ptr_array_add (requests, dsvl2_request_ref (request));
  g_mutex_unlock (&self->lock);
  for (guint i = 0; i < requests->len; i++)
    dsvl2_request_cancel (g_ptr_array_index (requests, i));
}

/* Ends all waiting: for a flush, and before the streaming thread is stopped. */
static void
set_flushing (GstDsvl2Infer *self, gboolean flushing)
{
  g_mutex_lock (&self->lock);
  self->flushing = flushing;
  g_cond_broadcast (&self->answered);
  g_mutex_unlock (&self->lock);
  if (flushing)
    cancel_questions (self);
}

/* Forgets frames, questions, answers and sampling. */
static void
clear_stream (GstDsvl2Infer *self)
{
  g_mutex_lock (&self->lock);
  handover_clear (self->handover);
  g_mutex_unlock (&self->lock);
  cancel_questions (self);
}

/* --- frames --- */

/* Settles, with the first frame of a stream, whether its frames may wait. */
static void
start_stream (GstDsvl2Infer *self, InferMode mode)
{
  GstQuery *query = gst_query_new_latency ();
  gboolean live = FALSE;

  if (gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query))
    gst_query_parse_latency (query, &live, NULL, NULL);
  gst_query_unref (query);

  g_mutex_lock (&self->lock);
  self->upstream_live = live;
  self->live = mode == INFER_MODE_LIVE || (mode == INFER_MODE_AUTO && live);
  g_mutex_unlock (&self->lock);
  self->stream_started = TRUE;
  GST_INFO_OBJECT (self, "upstream is %slive: frames %s", live ? "" : "not ",
      self->live ? "never wait" : "wait for their answers");
}

static void
accept_frame (GstDsvl2Infer *self, GstBuffer *buffer)
{
  HandoverSettings settings;
  InferMode mode;
  guint64 ticket;

  GST_OBJECT_LOCK (self);
  settings = (HandoverSettings){ .interval = self->settings.interval,
    .hold = self->settings.hold,
    .max_queue = self->settings.max_queue };
  mode = self->settings.mode;
  GST_OBJECT_UNLOCK (self);
  if (!self->stream_started)
    start_stream (self, mode);
  settings.live = self->live;

  g_mutex_lock (&self->lock);
  handover_configure (self->handover, &settings);
  ticket = handover_push (self->handover, buffer, GST_BUFFER_PTS (buffer), GST_BUFFER_DURATION (buffer),
      (guint64) g_get_monotonic_time () * 1000);
  g_mutex_unlock (&self->lock);
  if (ticket != 0)
    ask (self, buffer, ticket);
}

/* Frames of a live source that wait make the pipeline later than it was told. */
static void
note_delay (GstDsvl2Infer *self, guint64 delay)
{
  gboolean grown;

  g_mutex_lock (&self->lock);
  grown = self->upstream_live && !self->live && delay > self->latency;
  if (grown)
    self->latency = delay + delay / 4; /* not a new message for each small step */
  g_mutex_unlock (&self->lock);
  if (grown)
    gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

/* The next frame that may go on, with what belongs on it; NULL when it takes another first. */
static GstFlowReturn
next_frame (GstDsvl2Infer *self, gboolean drain, GstBuffer **buffer)
{
  HandoverOut out = { NULL };
  HandoverNext next;
  Answer *answer = NULL;

  *buffer = NULL;
  g_mutex_lock (&self->lock);
  while (!self->flushing) {
    next = handover_pop (self->handover, drain, (guint64) g_get_monotonic_time () * 1000, &out);
    if (next != HANDOVER_WAIT)
      break;
    g_cond_wait (&self->answered, &self->lock);
  }
  if (self->flushing) {
    g_mutex_unlock (&self->lock);
    return GST_FLOW_FLUSHING;
  }
  if (out.answer != NULL)
    answer = g_atomic_rc_box_acquire (out.answer);
  g_mutex_unlock (&self->lock);
  if (next == HANDOVER_MORE)
    return GST_FLOW_OK;

  *buffer = out.frame;
  note_delay (self, out.delay);
  if (answer != NULL) {
    if (out.fresh && !self->live)
      publish (self, answer);
    *buffer = gst_buffer_make_writable (*buffer);
    gst_dsvl2_meta_attach (*buffer, &self->info, answer->result, out.fresh);
    answer_unref (answer);
  }
  return GST_FLOW_OK;
}

static GstFlowReturn
gst_dsvl2_infer_generate_output (GstBaseTransform *trans, GstBuffer **outbuf)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);

  *outbuf = NULL;
  if (trans->queued_buf != NULL) {
    if (GST_VIDEO_INFO_FORMAT (&self->info) == GST_VIDEO_FORMAT_UNKNOWN) {
      gst_clear_buffer (&trans->queued_buf);
      return GST_FLOW_NOT_NEGOTIATED;
    }
    accept_frame (self, g_steal_pointer (&trans->queued_buf));
  }
  return next_frame (self, FALSE, outbuf);
}

/* Lets all frames go that are here, each with its answer. */
static void
drain (GstDsvl2Infer *self)
{
  GstFlowReturn flow;
  GstBuffer *buffer;

  do {
    flow = next_frame (self, TRUE, &buffer);
    if (buffer != NULL)
      flow = gst_pad_push (GST_BASE_TRANSFORM_SRC_PAD (self), buffer);
  } while (flow == GST_FLOW_OK && buffer != NULL);
  if (flow != GST_FLOW_OK)
    GST_DEBUG_OBJECT (self, "frames went nowhere: %s", gst_flow_get_name (flow));
}

/* --- events and queries --- */

static gboolean
gst_dsvl2_infer_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      set_flushing (self, TRUE);
      break;
    case GST_EVENT_FLUSH_STOP:
      clear_stream (self);
      set_flushing (self, FALSE);
      break;
    case GST_EVENT_STREAM_START:
      drain (self);
      self->stream_started = FALSE;
      clear_stream (self);
      break;
    case GST_EVENT_SEGMENT:
      drain (self);
      clear_stream (self);
      break;
    default:
      if (GST_EVENT_IS_SERIALIZED (event))
        drain (self);
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)->sink_event (trans, event);
}

static gboolean
gst_dsvl2_infer_query (GstBaseTransform *trans, GstPadDirection direction, GstQuery *query)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);
  GstClockTime min, max;
  gboolean live;

  if (direction == GST_PAD_SINK && GST_QUERY_IS_SERIALIZED (query))
    drain (self);
  if (!GST_BASE_TRANSFORM_CLASS (parent_class)->query (trans, direction, query))
    return FALSE;
  if (direction == GST_PAD_SRC && GST_QUERY_TYPE (query) == GST_QUERY_LATENCY) {
    gst_query_parse_latency (query, &live, &min, &max);
    g_mutex_lock (&self->lock);
    min += self->latency;
    if (GST_CLOCK_TIME_IS_VALID (max))
      max += self->latency;
    g_mutex_unlock (&self->lock);
    gst_query_set_latency (query, live, min, max);
  }
  return TRUE;
}

static gboolean
gst_dsvl2_infer_set_caps (GstBaseTransform *trans, GstCaps *incaps, GstCaps *outcaps)
{
  return gst_video_info_from_caps (&GST_DSVL2_INFER (trans)->info, incaps);
}

/* --- states --- */

static void
post_open_error (GstDsvl2Infer *self, const char *model, const GError *error)
{
  const gboolean file = g_error_matches (error, DSVL2_ERROR, DSVL2_ERROR_FILE);
  const gboolean memory = g_error_matches (error, DSVL2_ERROR, DSVL2_ERROR_MEMORY);

  if (file && !g_file_test (model, G_FILE_TEST_IS_DIR))
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND, ("%s", error->message), ("model folder: %s", model));
  else if (file)
    GST_ELEMENT_ERROR (self, RESOURCE, READ, ("%s", error->message), ("model folder: %s", model));
  else if (memory)
    GST_ELEMENT_ERROR (self, RESOURCE, NO_SPACE_LEFT, ("%s", error->message),
        ("model folder: %s", model));
  else
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS, ("%s", error->message), ("model folder: %s", model));
}

static gboolean
gst_dsvl2_infer_start (GstBaseTransform *trans)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);
  g_auto (InferSettings) s = { NULL };
  g_autoptr (Dsvl2Model) model = NULL;
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  infer_settings_copy (&s, &self->settings);
  GST_OBJECT_UNLOCK (self);
  if (s.model == NULL)
    s.model = dsvl2_default_model_path ();
  if (s.model == NULL) {
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND,
        ("No model: set the model property, or the environment variable DSVL2_MODEL, to the folder of "
         "one"),
        ("and the small model that comes with the plugin is not installed"));
    return FALSE;
  }

  model = dsvl2_model_open (s.model, &error);
  if (model != NULL)
    self->engine = dsvl2_engine_open (model,
        &(Dsvl2EngineOptions){ .device = s.device,
            .isa = s.isa,
            .threads = s.threads,
            .bf16 = s.bf16,
            .prefill_chunk = s.prefill_chunk },
        &error);
  if (self->engine == NULL) {
    post_open_error (self, s.model, error);
    return FALSE;
  }
  GST_INFO_OBJECT (self, "%s: %s, on %s", s.model, dsvl2_model_get_description (model),
      dsvl2_engine_get_description (self->engine));
  set_flushing (self, FALSE);
  return TRUE;
}

static gboolean
gst_dsvl2_infer_stop (GstBaseTransform *trans)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);

  set_flushing (self, TRUE);
  clear_stream (self);
  g_clear_pointer (&self->engine, dsvl2_engine_unref);
  gst_video_info_init (&self->info);
  self->stream_started = FALSE;
  self->latency = 0;
  return TRUE;
}

static GstStateChangeReturn
gst_dsvl2_infer_change_state (GstElement *element, GstStateChange transition)
{
  /* The streaming thread may wait for an answer; the parent waits for that thread. */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    set_flushing (GST_DSVL2_INFER (element), TRUE);
  return GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);
}

/* --- properties --- */

static GstStructure *
get_stats (GstDsvl2Infer *self)
{
  HandoverCounts n;
  GstStructure *stats;
  double us_to_ms, seconds;

  g_mutex_lock (&self->lock);
  n = handover_get_counts (self->handover);
  us_to_ms = 1e-3 / (double) MAX (n.answered, 1);
  seconds = 1e-6 * (double) self->sum.decode_us;
  stats = gst_structure_new ("dsvl2-stats", "frames", G_TYPE_UINT64, n.frames, "analysed",
      G_TYPE_UINT64, n.analysed, "answered", G_TYPE_UINT64, n.answered, "failed", G_TYPE_UINT64,
      n.failed, "skipped", G_TYPE_UINT64, n.skipped, "tokens", G_TYPE_UINT64, self->sum.tokens,
      "tokens-per-second", G_TYPE_DOUBLE, seconds > 0 ? (double) self->sum.tokens / seconds : 0.0,
      "queue-ms", G_TYPE_DOUBLE, (double) self->sum.queue_us * us_to_ms, "vision-ms", G_TYPE_DOUBLE,
      (double) self->sum.vision_us * us_to_ms, "prefill-ms", G_TYPE_DOUBLE,
      (double) self->sum.prefill_us * us_to_ms, "decode-ms", G_TYPE_DOUBLE,
      (double) self->sum.decode_us * us_to_ms, NULL);
  g_mutex_unlock (&self->lock);
  return stats;
}

static void
gst_dsvl2_infer_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (object);

  GST_OBJECT_LOCK (self);
  infer_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_dsvl2_infer_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (object);

  if (id == INFER_PROP_STATS) {
    g_value_take_boxed (value, get_stats (self));
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == INFER_PROP_LAST_RESULT)
    g_value_set_boxed (value, self->last_result);
  else
    infer_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
}

/* --- object --- */

static void
gst_dsvl2_infer_init (GstDsvl2Infer *self)
{
  infer_settings_init (&self->settings, G_OBJECT_GET_CLASS (self));
  gst_video_info_init (&self->info);
  g_mutex_init (&self->lock);
  g_cond_init (&self->answered);
  self->handover = handover_new ((GDestroyNotify) gst_buffer_unref, answer_unref);
  self->asking = g_hash_table_new_full (NULL, NULL, NULL, unref_request);
  self->flushing = TRUE;
}

static void
gst_dsvl2_infer_finalize (GObject *object)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (object);

  infer_settings_clear (&self->settings);
  if (self->last_result != NULL)
    gst_structure_free (self->last_result);
  handover_free (self->handover);
  g_hash_table_unref (self->asking);
  g_free (self->last_failure);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->answered);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_dsvl2_infer_class_init (GstDsvl2InferClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans = GST_BASE_TRANSFORM_CLASS (klass);

  object->set_property = gst_dsvl2_infer_set_property;
  object->get_property = gst_dsvl2_infer_get_property;
  object->finalize = gst_dsvl2_infer_finalize;
  infer_props_install (object);

  element->change_state = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_change_state);
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "DeepSeek-VL2 inference", "Filter/Analyzer/Video",
      "Answers a prompt about video frames with a vision-language model: text, and boxes of what it "
      "found",
      "The dsvl2 authors");

  /* Without a transform function the base class passes caps, allocation and pixels through. */
  trans->start = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_start);
  trans->stop = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_stop);
  trans->set_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_set_caps);
  trans->sink_event = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_sink_event);
  trans->query = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_query);
  trans->generate_output = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_generate_output);

  gst_dsvl2_meta_register ();
}
