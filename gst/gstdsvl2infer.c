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
 * the text. Each is posted once as an element message of the same name, and emitted as the signal
 * #GstDsvl2Infer::result.
 *
 * With a live source the stream never waits: answers go on frames that follow the one they are about, and
 * say which one that was. Otherwise each chosen frame waits for its own answer.
 *
 * #GstDsvl2Infer:roi names parts of the frame to ask about, #GstDsvl2Infer:roi-labels objects that elements
 * upstream have found: one element finds, the next looks closer.
 *
 * On request there is a second pad, "text": captions as timed text, with GAP events in between, for
 * subtitle encoders, muxers and #textoverlay. Each branch needs a queue.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! \
 *     dsvl2infer prompt="find cars" interval=500000000 ! dsvl2overlay ! videoconvert ! autovideosink
 * ]| Cars of a file, each analysed frame with its own.
 * |[
 * gst-launch-1.0 -m v4l2src ! videoconvert ! dsvl2infer model=/models/deepseek-vl2-tiny ! \
 *     dsvl2overlay ! videoconvert ! autovideosink
 * ]| Captions on a camera's picture with another model; -m prints the results too.
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! \
 *     dsvl2infer name=i interval=2000000000  i.src ! queue ! fakesink \
 *     i.text ! queue ! webvttenc ! filesink location=street.vtt
 * ]| A caption every two seconds, as subtitles.
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! \
 *     dsvl2infer prompt="find cars" interval=1000000000 hold=0 ! \
 *     dsvl2infer roi-labels="*car*" prompt="What colour is it?" ! dsvl2json ! filesink location=cars.ndjson
 * ]| Each car that the first one finds, asked about by the second.
 *
 * Since: 0.1
 */
#include "gstdsvl2infer.h"
#include "cudaframes.h"
#include "enginepool.h"
#include "frametime.h"
#include "gate.h"
#include "gstdsvl2meta.h"
#include "inferprops.h"
#include "picture.h"
#include "questions.h"
#include "settings.h"
#include "textpad.h"
#include "references.h"
#include "regions.h"

GST_DEBUG_CATEGORY_STATIC (gst_dsvl2_infer_debug);
#define GST_CAT_DEFAULT gst_dsvl2_infer_debug

/* Buffers for waiting frames that a pool is to have from the beginning. */
enum { EARLY_BUFFERS = 16 };

/* What upstream says to LATENCY queries, if anything. */
typedef enum { UPSTREAM_UNKNOWN, UPSTREAM_NOT_LIVE, UPSTREAM_LIVE } Upstream;

struct _GstDsvl2Infer {
  GstBaseTransform parent;
  Questions *questions;
  TextPad *text;

  /* under the object's lock */
  InferSettings settings;
  GstStructure *last_result;
  Upstream upstream;
  gboolean live;               /* frames may not wait */
  GstClockTime latency;        /* what frames waited: of a live source in offline mode */
  GstClockTime frame_duration; /* by the caps; 0: unknown */

  /* of the streaming thread */
  GstVideoInfo info;
  Gate gate;
  Regions *regions;
  GPtrArray *references; /* Dsvl2Picture */
  gboolean dropped;      /* the base class did, before the next frame */
};

enum { SIGNAL_ANALYZE_NOW, SIGNAL_RESULT, SIGNAL_PARTIAL, N_SIGNALS };
static guint signals[N_SIGNALS];

#define parent_class gst_dsvl2_infer_parent_class
G_DEFINE_TYPE (GstDsvl2Infer, gst_dsvl2_infer, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE (dsvl2infer, "dsvl2infer", GST_RANK_NONE, GST_TYPE_DSVL2_INFER,
    GST_DEBUG_CATEGORY_INIT (gst_dsvl2_infer_debug, "dsvl2infer", 0, "questions about video frames"))

#define INFER_CAPS GST_DSVL2_CAPS CUDA_FRAMES_CAPS (GST_DSVL2_FORMATS)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (INFER_CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (INFER_CAPS));

static GstStaticPadTemplate text_template = GST_STATIC_PAD_TEMPLATE ("text", GST_PAD_SRC,
    GST_PAD_REQUEST, GST_STATIC_CAPS ("text/x-raw,format=utf8"));

/* --- what the application hears --- */

static void
publish (gpointer owner, const GstStructure *result)
{
  GstDsvl2Infer *self = owner;
  GstStructure *old;

  GST_OBJECT_LOCK (self);
  old = self->last_result;
  self->last_result = gst_structure_copy (result);
  GST_OBJECT_UNLOCK (self);
  g_clear_pointer (&old, gst_structure_free);
  GST_DEBUG_OBJECT (self, "%" GST_PTR_FORMAT, result);
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self), gst_structure_copy (result)));
  g_object_notify (G_OBJECT (self), "last-result");
  g_signal_emit (self, signals[SIGNAL_RESULT], 0, result);
}

static void
publish_partial (gpointer owner, const GstStructure *partial)
{
  g_signal_emit (owner, signals[SIGNAL_PARTIAL], 0, partial);
}

static void
report_failure (gpointer owner, const GError *error)
{
  GST_ELEMENT_WARNING (owner, STREAM, FAILED, ("A question was not answered: %s", error->message),
      ("video goes on; the same failure again is counted in \"stats\" only"));
}

/* --- frames --- */

static void
note_upstream (GstDsvl2Infer *self, gboolean live)
{
  const Upstream upstream = live ? UPSTREAM_LIVE : UPSTREAM_NOT_LIVE;
  gboolean news;

  GST_OBJECT_LOCK (self);
  news = self->upstream != upstream;
  self->upstream = upstream;
  GST_OBJECT_UNLOCK (self);
  if (news)
    GST_INFO_OBJECT (self, "upstream is %slive", live ? "" : "not ");
}

/* Upstream is asked until it knows. Later it is the pipeline that asks, whenever that may have changed. */
static void
ask_upstream (GstDsvl2Infer *self)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  gboolean live;

  if (!gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query))
    return;
  gst_query_parse_latency (query, &live, NULL, NULL);
  note_upstream (self, live);
}

static void
post_latency (GstDsvl2Infer *self)
{
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_latency (GST_OBJECT (self)));
}

static void
report_roi (GstDsvl2Infer *self, const GError *error)
{
  if (error != NULL)
    GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS, ("%s", error->message), (NULL));
}

/* Settles whether the next frame may wait, what makes it due, and what of it and of how many is asked about. */
static void
settle (GstDsvl2Infer *self, HandoverSettings *handover, double *threshold, guint *together)
{
  g_autoptr (GError) error = NULL;
  gboolean unknown, sooner;

  GST_OBJECT_LOCK (self);
  unknown = self->upstream == UPSTREAM_UNKNOWN;
  GST_OBJECT_UNLOCK (self);
  if (unknown)
    ask_upstream (self);

  GST_OBJECT_LOCK (self);
  *handover = infer_settings_handover (&self->settings, self->upstream == UPSTREAM_LIVE);
  *threshold = self->settings.change_threshold;
  *together = self->settings.frames;
  regions_configure (self->regions, self->settings.roi, self->settings.roi_labels, &error);
  self->live = handover->live;
  sooner = self->live && self->latency > 0;
  if (sooner)
    self->latency = 0;
  GST_OBJECT_UNLOCK (self);
  if (sooner)
    post_latency (self);
  report_roi (self, error);
}

/* What of a frame is asked about, as regions_find (). */
static const GArray *
find_regions (GstDsvl2Infer *self, GstBuffer *frame)
{
  g_autoptr (GError) error = NULL;
  const GArray *regions = regions_find (self->regions, frame, &self->info, &error);

  report_roi (self, error);
  return regions;
}

static void
ask (GstDsvl2Infer *self, guint64 ticket, GstBuffer *frame, const GArray *regions)
{
  g_auto (InferSettings) settings = { NULL };

  GST_OBJECT_LOCK (self);
  infer_settings_copy (&settings, &self->settings);
  GST_OBJECT_UNLOCK (self);
  questions_ask (self->questions, ticket,
      &(AskingFrame){ .frame = frame,
          .info = &self->info,
          .segment = &GST_BASE_TRANSFORM (self)->segment,
          .regions = regions,
          .references = self->references },
      &settings, g_signal_has_handler_pending (self, signals[SIGNAL_PARTIAL], 0, TRUE));
}

static void
accept_frame (GstDsvl2Infer *self, GstBuffer *frame)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;
  HandoverSettings handover;
  HandoverDue due;
  GstVideoRectangle hull;
  gboolean hulled;
  const GArray *regions = NULL;
  double threshold;
  guint64 ticket;
  guint together;

  settle (self, &handover, &threshold, &together);
  due = questions_judge (self->questions, frame, &handover);
  if (due != HANDOVER_PASS)
    regions = find_regions (self, frame);
  if (regions != NULL && regions->len == 0)
    due = HANDOVER_PASS;
  hulled = regions_hull (self->regions, &self->info, &hull);
  due = gate_judge (&self->gate, due, threshold, frame, &self->info, hulled ? &hull : NULL, segment);
  ticket = questions_push (self->questions, frame, due, together);
  if (ticket != 0)
    ask (self, ticket, frame, regions);
}

/* Asks about frames that were gathered, because none that follows belongs to them. */
static void
conclude (GstDsvl2Infer *self)
{
  GstBuffer *frame;
  const guint64 ticket = questions_conclude (self->questions, &frame);

  if (ticket == 0)
    return;
  ask (self, ticket, frame, find_regions (self, frame));
  gst_buffer_unref (frame);
}

/* Frames of a live source that wait make the pipeline later than it was told. */
static void
note_delay (GstDsvl2Infer *self, GstClockTime delay)
{
  gboolean later;

  GST_OBJECT_LOCK (self);
  later = self->upstream == UPSTREAM_LIVE && !self->live && delay > self->latency;
  if (later)
    self->latency = delay + delay / 4; /* not a message for each small step */
  GST_OBJECT_UNLOCK (self);
  if (later)
    post_latency (self);
}

/* Lets frames go that may, each behind its text; with `all` those too that wait for their answers, which
 * are waited for. */
static GstFlowReturn
push_frames (GstDsvl2Infer *self, gboolean all)
{
  QuestionsFrame frame;
  GstFlowReturn flow;

  do {
    GstClockTime span;

    flow = questions_next (self->questions, all, &self->info, &frame);
    note_delay (self, frame.delay);
    if (frame.buffer != NULL) {
      GST_OBJECT_LOCK (self);
      span = self->live ? self->settings.text_span : GST_CLOCK_TIME_NONE;
      GST_OBJECT_UNLOCK (self);
      text_pad_frame (self->text, &frame, &self->info, span);
      flow = gst_pad_push (GST_BASE_TRANSFORM_SRC_PAD (self), frame.buffer);
      flow = text_pad_combine (self->text, flow);
    }
    g_clear_pointer (&frame.results, g_ptr_array_unref);
  } while (flow == GST_FLOW_OK && frame.buffer != NULL);
  return flow;
}

static GstFlowReturn
gst_dsvl2_infer_submit_input_buffer (GstBaseTransform *trans, gboolean discont, GstBuffer *frame)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);
  const GstFlowReturn flow =
      GST_BASE_TRANSFORM_CLASS (parent_class)->submit_input_buffer (trans, discont, frame);

  self->dropped |= flow == GST_BASE_TRANSFORM_FLOW_DROPPED;
  return flow;
}

/* Pushes frames itself: the base class takes the frame that goes for the one that came, and would put
 * the flags of a discontinuity on it. */
static GstFlowReturn
gst_dsvl2_infer_generate_output (GstBaseTransform *trans, GstBuffer **outbuf)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);
  GstBuffer *frame = g_steal_pointer (&trans->queued_buf);

  *outbuf = NULL;
  if (GST_VIDEO_INFO_FORMAT (&self->info) == GST_VIDEO_FORMAT_UNKNOWN) {
    gst_clear_buffer (&frame);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (self->dropped) {
    frame = gst_buffer_make_writable (frame);
    GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_DISCONT);
    self->dropped = FALSE;
  }
  accept_frame (self, frame);
  return push_frames (self, FALSE);
}

/* Lets all frames go that are here, each with its answer, because something comes after them.
 * Returns FALSE if a flush came first, which is meant for that something too. */
static gboolean
drain (GstDsvl2Infer *self)
{
  const GstFlowReturn flow = push_frames (self, TRUE);

  if (flow != GST_FLOW_OK) {
    GST_DEBUG_OBJECT (self, "nobody wants the frames that waited: %s", gst_flow_get_name (flow));
    questions_clear (self->questions);
  }
  return flow != GST_FLOW_FLUSHING;
}

/* --- events and queries --- */

/* No frame behind one of these belongs to the group that is being gathered. */
static gboolean
ends_group (GstEvent *event)
{
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT:
    case GST_EVENT_CAPS:
    case GST_EVENT_EOS:
      return TRUE;
    default:
      return FALSE;
  }
}

static gboolean
gst_dsvl2_infer_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);

  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_START) {
    questions_flush (self->questions, TRUE);
  } else if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP) {
    questions_clear (self->questions);
    questions_flush (self->questions, FALSE);
  } else if (GST_EVENT_IS_SERIALIZED (event)) {
    if (ends_group (event))
      conclude (self);
    if (!drain (self)) {
      gst_event_unref (event);
      return FALSE;
    }
  }
  if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START) {
    GST_OBJECT_LOCK (self);
    self->upstream = UPSTREAM_UNKNOWN;
    GST_OBJECT_UNLOCK (self);
  }
  if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START || GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT)
    questions_clear (self->questions);
  text_pad_event (self->text, event);
  return GST_BASE_TRANSFORM_CLASS (parent_class)->sink_event (trans, event);
}

/* Frames that wait are late for a sink that plays in time, whatever upstream does: it would leave out
 * frames in vain, and which ones are analysed would depend on the machine's speed. Therefore QOS events
 * end here, unless the base class was told to drop late frames. */
static gboolean
gst_dsvl2_infer_src_event (GstBaseTransform *trans, GstEvent *event)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);
  gboolean live;

  GST_OBJECT_LOCK (self);
  live = self->live;
  GST_OBJECT_UNLOCK (self);
  if (GST_EVENT_TYPE (event) == GST_EVENT_QOS && !live && !gst_base_transform_is_qos_enabled (trans)) {
    gst_event_unref (event);
    return TRUE;
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)->src_event (trans, event);
}

static gboolean
query_latency (GstDsvl2Infer *self, GstQuery *query)
{
  GstClockTime min, max, room;
  gboolean live;

  if (!gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query))
    return FALSE;
  gst_query_parse_latency (query, &live, &min, &max);
  note_upstream (self, live);
  GST_OBJECT_LOCK (self);
  min += self->latency;
  /* Frames that wait hold the source up, but for those that the queue takes. */
  if (self->latency > 0 && GST_CLOCK_TIME_IS_VALID (max)) {
    room = gst_util_uint64_scale (self->frame_duration, self->settings.max_queue, 1);
    max = room < GST_CLOCK_TIME_NONE - max ? max + room : GST_CLOCK_TIME_NONE;
  }
  GST_OBJECT_UNLOCK (self);
  gst_query_set_latency (query, live, min, max);
  return TRUE;
}

static gboolean
gst_dsvl2_infer_query (GstBaseTransform *trans, GstPadDirection direction, GstQuery *query)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);

  if (direction == GST_PAD_SRC && GST_QUERY_TYPE (query) == GST_QUERY_LATENCY)
    return query_latency (self, query);
  if (direction == GST_PAD_SRC && GST_QUERY_TYPE (query) == GST_QUERY_SCHEDULING) {
    gst_query_set_scheduling (query, GST_SCHEDULING_FLAG_SEQUENTIAL, 1, -1, 0);
    gst_query_add_scheduling_mode (query, GST_PAD_MODE_PUSH);
    return TRUE;
  }
  if (cuda_frames_answer (GST_ELEMENT (self), query))
    return TRUE;
  if (direction == GST_PAD_SINK && GST_QUERY_IS_SERIALIZED (query) && !drain (self))
    return FALSE;
  return GST_BASE_TRANSFORM_CLASS (parent_class)->query (trans, direction, query);
}

/* Asks for as many more buffers as frames can be kept here: those that are being asked about, and those that wait
 * behind them. A pool that may not have them would come to a stop. A pool makes its least number of buffers when it
 * starts: of a long queue, which may never fill, only EARLY_BUFFERS are counted there. */
static gboolean
gst_dsvl2_infer_propose_allocation (GstBaseTransform *trans, GstQuery *decide_query, GstQuery *query)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);
  guint kept, kept_at_once;
  GstVideoInfo info;
  GstCaps *caps;

  /* where nobody downstream has a say, upstream still hears of the frames that are kept */
  GST_BASE_TRANSFORM_CLASS (parent_class)->propose_allocation (trans, decide_query, query);
  gst_query_parse_allocation (query, &caps, NULL);
  if (caps == NULL || !gst_video_info_from_caps (&info, caps))
    return FALSE;
  GST_OBJECT_LOCK (self);
  kept = self->settings.frames + self->settings.max_queue;
  kept_at_once = self->settings.frames + MIN (self->settings.max_queue, EARLY_BUFFERS);
  GST_OBJECT_UNLOCK (self);
  if (gst_query_get_n_allocation_pools (query) == 0)
    gst_query_add_allocation_pool (query, NULL, (guint) info.size, 0, 0);
  for (guint i = 0; i < gst_query_get_n_allocation_pools (query); i++) {
    g_autoptr (GstBufferPool) pool = NULL;
    guint size, least, most;

    gst_query_parse_nth_allocation_pool (query, i, &pool, &size, &least, &most);
    most = most > G_MAXUINT - kept ? 0 : most > 0 ? most + kept : 0;
    gst_query_set_nth_allocation_pool (query, i, pool, size, least + kept_at_once, most);
  }
  return TRUE;
}

static gboolean
gst_dsvl2_infer_set_caps (GstBaseTransform *trans, GstCaps *incaps, GstCaps *outcaps)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);

  if (!gst_video_info_from_caps (&self->info, incaps))
    return FALSE;
  if (GST_VIDEO_INFO_INTERLACE_MODE (&self->info) == GST_VIDEO_INTERLACE_MODE_FIELDS) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("Frames whose two fields are stored apart (interlace-mode=fields) cannot be read: put "
         "deinterlace "
         "in front"),
        ("%" GST_PTR_FORMAT, incaps));
    return FALSE;
  }
  GST_OBJECT_LOCK (self);
  self->frame_duration = frame_duration_of (&self->info);
  GST_OBJECT_UNLOCK (self);
  return TRUE;
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
open_references (GstDsvl2Infer *self, const char *list)
{
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&self->references, g_ptr_array_unref); /* of a start that failed */
  self->references = references_load (list, &error);
  if (self->references == NULL && error->domain == G_FILE_ERROR)
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND, ("%s", error->message),
        ("reference-images: %s", list));
  else if (self->references == NULL)
    GST_ELEMENT_ERROR (self, STREAM, DECODE, ("%s", error->message), ("reference-images: %s", list));
  return self->references != NULL;
}

static gboolean
gst_dsvl2_infer_start (GstBaseTransform *trans)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);
  g_auto (InferSettings) s = { NULL };
  Dsvl2Engine *engine;
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  infer_settings_copy (&s, &self->settings);
  GST_OBJECT_UNLOCK (self);
  if (!open_references (self, s.reference_images))
    return FALSE;
  regions_free (self->regions);
  self->regions = regions_new ();
  if (!regions_configure (self->regions, s.roi, s.roi_labels, &error)) {
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS, ("%s", error->message), (NULL));
    return FALSE;
  }
  if (s.model == NULL)
    s.model = dsvl2_default_model_path ();
  if (s.model == NULL) {
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND,
        ("No model: set the model property, or the environment variable DSVL2_MODEL, to the folder of "
         "one"),
        ("and the small model that comes with the plugin is not installed"));
    return FALSE;
  }

  engine = engine_pool_take (s.model, s.engine_id,
      &(Dsvl2EngineOptions){ .device = s.device,
          .isa = s.isa,
          .threads = s.threads,
          .bf16 = s.bf16,
          .vision_attention = s.vision_attention,
          .weights = infer_settings_weights (&s),
          .prefill_chunk = s.prefill_chunk,
          .max_sequences = s.max_sequences,
          .kv_bytes = s.kv_cache_size },
      &error);
  if (engine == NULL) {
    post_open_error (self, s.model, error);
    return FALSE;
  }
  GST_INFO_OBJECT (self, "%s: %s, on %s", s.model,
      dsvl2_model_get_description (dsvl2_engine_get_model (engine)),
      dsvl2_engine_get_description (engine));
  if (dsvl2_engine_get_note (engine))
    GST_INFO_OBJECT (self, "%s", dsvl2_engine_get_note (engine));
  cuda_frames_offer (GST_ELEMENT (self), engine);
  questions_start (self->questions, engine);
  return TRUE;
}

static gboolean
gst_dsvl2_infer_stop (GstBaseTransform *trans)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (trans);

  questions_stop (self->questions);
  text_pad_reset (self->text);
  g_clear_pointer (&self->references, g_ptr_array_unref);
  gst_video_info_init (&self->info);
  self->dropped = FALSE;
  self->gate.known = FALSE;
  GST_OBJECT_LOCK (self);
  self->upstream = UPSTREAM_UNKNOWN;
  self->live = FALSE;
  self->latency = self->frame_duration = 0;
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static GstPad *
gst_dsvl2_infer_request_new_pad (GstElement *element, GstPadTemplate *pad_template, const gchar *name,
    const GstCaps *caps)
{
  return text_pad_request (GST_DSVL2_INFER (element)->text, pad_template);
}

static void
gst_dsvl2_infer_release_pad (GstElement *element, GstPad *pad)
{
  text_pad_release (GST_DSVL2_INFER (element)->text, pad);
}

static GstStateChangeReturn
gst_dsvl2_infer_change_state (GstElement *element, GstStateChange transition)
{
  /* The streaming thread may wait for an answer; the parent waits for that thread. */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    questions_flush (GST_DSVL2_INFER (element)->questions, TRUE);
  return GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);
}

/* --- signals, properties --- */

static void
gst_dsvl2_infer_analyze_now (GstDsvl2Infer *self)
{
  questions_demand (self->questions);
}

static void
gst_dsvl2_infer_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (object);

  GST_OBJECT_LOCK (self);
  settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  questions_renew (self->questions);
}

static void
gst_dsvl2_infer_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (object);

  if (id == INFER_PROP_STATS) {
    g_value_take_boxed (value, questions_get_stats (self->questions));
    return;
  }
  GST_OBJECT_LOCK (self);
  if (id == INFER_PROP_LAST_RESULT)
    g_value_set_boxed (value, self->last_result);
  else
    settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
}

/* --- object --- */

static void
gst_dsvl2_infer_init (GstDsvl2Infer *self)
{
  const QuestionsFuncs funcs = {
    .answered = publish, .partial = publish_partial, .failed = report_failure
  };

  self->questions = questions_new (G_OBJECT (self), &funcs);
  self->text = text_pad_new (GST_BASE_TRANSFORM (self));
  self->regions = regions_new ();
  settings_init (&self->settings, G_OBJECT_GET_CLASS (self));
  gst_video_info_init (&self->info);
}

static void
gst_dsvl2_infer_finalize (GObject *object)
{
  GstDsvl2Infer *self = GST_DSVL2_INFER (object);

  questions_free (self->questions);
  text_pad_free (self->text);
  regions_free (self->regions);
  infer_settings_clear (&self->settings);
  g_clear_pointer (&self->last_result, gst_structure_free);
  g_clear_pointer (&self->references, g_ptr_array_unref);
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

  /**
   * GstDsvl2Infer::analyze-now:
   * @infer: the element
   *
   * Has the next frame analysed, whatever #GstDsvl2Infer:interval, #GstDsvl2Infer:min-interval and
   * #GstDsvl2Infer:change-threshold say. While a frame of a live stream is being analysed, it is the
   * first one after that.
   */
  signals[SIGNAL_ANALYZE_NOW] = g_signal_new_class_handler ("analyze-now", GST_TYPE_DSVL2_INFER,
      G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION, G_CALLBACK (gst_dsvl2_infer_analyze_now), NULL, NULL, NULL,
      G_TYPE_NONE, 0);

  /**
   * GstDsvl2Infer::result:
   * @infer: the element
   * @result: the "dsvl2-result" structure
   *
   * An answer: what the element message of the same name has, without a main loop. Handlers are called by
   * the streaming thread or another of this element's, which waits for them.
   */
  signals[SIGNAL_RESULT] = g_signal_new ("result", GST_TYPE_DSVL2_INFER, G_SIGNAL_RUN_LAST, 0, NULL,
      NULL, NULL, G_TYPE_NONE, 1, GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);

  /**
   * GstDsvl2Infer::partial:
   * @infer: the element
   * @partial: a "dsvl2-partial" structure
   *
   * An answer has one token more: its text so far, the prompt, and the frame that was seen. Questions that
   * are asked while no handler is connected send none, and cost nothing. Handlers are called by a thread
   * of this element's, which waits for them; the engine does not.
   */
  signals[SIGNAL_PARTIAL] = g_signal_new ("partial", GST_TYPE_DSVL2_INFER, G_SIGNAL_RUN_LAST, 0, NULL,
      NULL, NULL, G_TYPE_NONE, 1, GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);

  element->change_state = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_change_state);
  element->request_new_pad = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_request_new_pad);
  element->release_pad = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_release_pad);
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_add_static_pad_template (element, &text_template);
  gst_element_class_set_static_metadata (element, "DeepSeek-VL2 inference", "Filter/Analyzer/Video",
      "Answers questions about video frames with DeepSeek-VL2, in text and in boxes",
      "The dsvl2 authors");

  /* Without a transform function the base class passes caps and pixels through. */
  trans->start = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_start);
  trans->stop = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_stop);
  trans->set_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_set_caps);
  trans->submit_input_buffer = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_submit_input_buffer);
  trans->sink_event = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_sink_event);
  trans->src_event = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_src_event);
  trans->query = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_query);
  trans->propose_allocation = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_propose_allocation);
  trans->generate_output = GST_DEBUG_FUNCPTR (gst_dsvl2_infer_generate_output);

  gst_dsvl2_meta_register ();
}
