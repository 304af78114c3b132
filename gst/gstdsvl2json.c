/* dsvl2json: writes what buffers carry as lines of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-dsvl2json
 * @title: dsvl2json
 * @short_description: writes answers and objects as lines of JSON
 *
 * Takes video and gives newline-delimited JSON (application/x-ndjson): a line for each "dsvl2-result" that
 * a frame is the first to carry. A frame that was asked several prompts, or about several regions, gives
 * as many lines with one timestamp. Keys are those of DL Streamer's gvametaconvert, and the answer's own.
 *
 * Only metadata is read, never a pixel: any video will do, whatever memory it is in. With
 * #GstDsvl2Json:regions the objects that other elements found are written too, be they regions of interest or
 * GstAnalytics' detections. What classifiers said of an object stands with it.
 *
 * Each line is a buffer with the time of the frame that carries it. Frames without a line become GAP
 * events. Nothing is held back, so every line is out when the stream ends. The same file and prompt give
 * the same bytes each time, unless #GstDsvl2Json:timings or #GstDsvl2Json:region-ids are set.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! \
 *     dsvl2infer prompt="find cars" interval=500000000 ! \
 *     dsvl2json source=street.mp4 tags="tags,camera=door,floor=2" ! filesink location=cars.jsonl
 * ]| What is found in a file twice a second.
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! dsvl2infer ! tee name=t ! queue ! dsvl2overlay ! \
 *     videoconvert ! autovideosink  t. ! queue ! dsvl2json ! fdsink fd=1
 * ]| A camera on the screen and its captions on standard output.
 *
 * Since: 0.1
 */
#include "gstdsvl2json.h"
#include "frametime.h"
#include "gstdsvl2meta.h"
#include "resultline.h"
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_dsvl2_json_debug);
#define GST_CAT_DEFAULT gst_dsvl2_json_debug

struct _GstDsvl2Json {
  GstElement parent;
  GstPad *sink, *src;

  /* under the object's lock */
  LineStyle style;
  gboolean regions, add_empty_results;

  /* of the streaming thread */
  int width, height; /* 0: not known yet */
  GstSegment segment;
};

enum {
  PROP_SOURCE = 1,
  PROP_TAGS,
  PROP_TIMINGS,
  PROP_REGION_IDS,
  PROP_REGIONS,
  PROP_ADD_EMPTY_RESULTS,
};

#define parent_class gst_dsvl2_json_parent_class
G_DEFINE_TYPE (GstDsvl2Json, gst_dsvl2_json, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE (dsvl2json, "dsvl2json", GST_RANK_NONE, GST_TYPE_DSVL2_JSON,
    GST_DEBUG_CATEGORY_INIT (gst_dsvl2_json_debug, "dsvl2json", 0, "metadata as lines of JSON"))

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK,
    GST_PAD_ALWAYS, GST_STATIC_CAPS ("video/x-raw(ANY)"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("application/x-ndjson"));

/* --- frames --- */

static gboolean
is_fresh (const GstStructure *result)
{
  gboolean fresh = FALSE;

  return gst_structure_get_boolean (result, "fresh", &fresh) && fresh;
}

/* A line as a buffer with the frame's time; takes the line. */
static void
add_line (GstBufferList *lines, char *line, GstBuffer *frame)
{
  GstBuffer *buffer = gst_buffer_new_wrapped (line, strlen (line));

  GST_BUFFER_PTS (buffer) = GST_BUFFER_PTS (frame);
  GST_BUFFER_DURATION (buffer) = GST_BUFFER_DURATION (frame);
  gst_buffer_list_add (lines, buffer);
}

/* What is to be written of a frame. Properties stay as they are for all of it. */
static GstBufferList *
lines_of (GstDsvl2Json *self, GstBuffer *buffer)
{
  const LineFrame frame = { buffer, self->width, self->height,
    stream_time_of (&self->segment, GST_BUFFER_PTS (buffer)) };
  GstBufferList *lines = gst_buffer_list_new ();
  const GstStructure *result;
  gpointer state = NULL;
  char *line;

  GST_OBJECT_LOCK (self);
  while ((result = gst_dsvl2_meta_get_result (buffer, &state)) != NULL)
    if (is_fresh (result))
      add_line (lines, line_of_result (result, &frame, &self->style), buffer);
  if (self->regions && (line = line_of_others (&frame, &self->style)) != NULL)
    add_line (lines, line, buffer);
  if (self->add_empty_results && gst_buffer_list_length (lines) == 0)
    add_line (lines, line_of_nothing (&frame, &self->style), buffer);
  GST_OBJECT_UNLOCK (self);
  return lines;
}

/* Those who wait for lines hear that none has come yet. */
static void
push_gap (GstDsvl2Json *self, GstClockTime pts, GstClockTime duration)
{
  if (GST_CLOCK_TIME_IS_VALID (pts))
    gst_pad_push_event (self->src, gst_event_new_gap (pts, duration));
}

static GstFlowReturn
gst_dsvl2_json_chain (GstPad *pad, GstObject *parent, GstBuffer *frame)
{
  GstDsvl2Json *self = GST_DSVL2_JSON (parent);
  const GstClockTime pts = GST_BUFFER_PTS (frame), duration = GST_BUFFER_DURATION (frame);
  GstBufferList *lines;

  if (self->width == 0) {
    gst_buffer_unref (frame);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  lines = lines_of (self, frame);
  gst_buffer_unref (frame); /* whoever shares it may write on it while lines are on their way */
  if (gst_buffer_list_length (lines) > 0)
    return gst_pad_push_list (self->src, lines);
  gst_buffer_list_unref (lines);
  push_gap (self, pts, duration);
  return GST_PAD_LAST_FLOW_RETURN (self->src);
}

/* --- events and queries --- */

/* Takes the size of frames from caps; what they are made of does not matter. */
static gboolean
set_caps (GstDsvl2Json *self, GstCaps *caps)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  g_autoptr (GstCaps) lines = NULL;
  int width = 0, height = 0;

  if (!gst_structure_get (s, "width", G_TYPE_INT, &width, "height", G_TYPE_INT, &height, NULL) ||
      width <= 0 || height <= 0) {
    GST_WARNING_OBJECT (self, "video without a size: %" GST_PTR_FORMAT, caps);
    return FALSE;
  }
  self->width = width;
  self->height = height;
  lines = gst_static_pad_template_get_caps (&src_template);
  return gst_pad_push_event (self->src, gst_event_new_caps (lines));
}

static gboolean
gst_dsvl2_json_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstDsvl2Json *self = GST_DSVL2_JSON (parent);
  gboolean accepted;
  GstCaps *caps;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      gst_event_parse_caps (event, &caps);
      accepted = set_caps (self, caps);
      gst_event_unref (event);
      return accepted;
    case GST_EVENT_SEGMENT:
      gst_event_copy_segment (event, &self->segment);
      break;
    case GST_EVENT_FLUSH_STOP:
      gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
      break;
    default:
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

/* Frames may come as they are: with strides, cropping or overlays of their own. */
static gboolean
gst_dsvl2_json_sink_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return gst_pad_query_default (pad, parent, query);
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  gst_query_add_allocation_meta (query, GST_VIDEO_CROP_META_API_TYPE, NULL);
  gst_query_add_allocation_meta (query, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  return TRUE;
}

static void
forget_stream (GstDsvl2Json *self)
{
  self->width = self->height = 0;
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
}

static GstStateChangeReturn
gst_dsvl2_json_change_state (GstElement *element, GstStateChange transition)
{
  const GstStateChangeReturn change =
      GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    forget_stream (GST_DSVL2_JSON (element));
  return change;
}

/* --- properties --- */

static void
gst_dsvl2_json_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstDsvl2Json *self = GST_DSVL2_JSON (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_SOURCE:
      g_free (self->style.source);
      self->style.source = g_value_dup_string (value);
      break;
    case PROP_TAGS:
      g_clear_pointer (&self->style.tags, gst_structure_free);
      self->style.tags = g_value_dup_boxed (value);
      break;
    case PROP_TIMINGS:
      self->style.timings = g_value_get_boolean (value);
      break;
    case PROP_REGION_IDS:
      self->style.region_ids = g_value_get_boolean (value);
      break;
    case PROP_REGIONS:
      self->regions = g_value_get_boolean (value);
      break;
    case PROP_ADD_EMPTY_RESULTS:
      self->add_empty_results = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_dsvl2_json_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstDsvl2Json *self = GST_DSVL2_JSON (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_SOURCE:
      g_value_set_string (value, self->style.source);
      break;
    case PROP_TAGS:
      g_value_set_boxed (value, self->style.tags);
      break;
    case PROP_TIMINGS:
      g_value_set_boolean (value, self->style.timings);
      break;
    case PROP_REGION_IDS:
      g_value_set_boolean (value, self->style.region_ids);
      break;
    case PROP_REGIONS:
      g_value_set_boolean (value, self->regions);
      break;
    case PROP_ADD_EMPTY_RESULTS:
      g_value_set_boolean (value, self->add_empty_results);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

/* --- object --- */

static void
gst_dsvl2_json_init (GstDsvl2Json *self)
{
  self->sink = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sink, GST_DEBUG_FUNCPTR (gst_dsvl2_json_chain));
  gst_pad_set_event_function (self->sink, GST_DEBUG_FUNCPTR (gst_dsvl2_json_sink_event));
  gst_pad_set_query_function (self->sink, GST_DEBUG_FUNCPTR (gst_dsvl2_json_sink_query));
  gst_element_add_pad (GST_ELEMENT (self), self->sink);

  self->src = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_use_fixed_caps (self->src);
  gst_element_add_pad (GST_ELEMENT (self), self->src);
  forget_stream (self);
}

static void
gst_dsvl2_json_finalize (GObject *object)
{
  GstDsvl2Json *self = GST_DSVL2_JSON (object);

  g_free (self->style.source);
  g_clear_pointer (&self->style.tags, gst_structure_free);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  g_object_class_install_property (object, PROP_SOURCE,
      g_param_spec_string ("source", "Source", "Value of \"source\" in each line (unset: left out)",
          NULL, flags));
  g_object_class_install_property (object, PROP_TAGS,
      g_param_spec_boxed ("tags", "Tags",
          "Fields of \"tags\" in each line, such as \"tags,camera=door,floor=2\" (unset: left out)",
          GST_TYPE_STRUCTURE, flags));
  g_object_class_install_property (object, PROP_TIMINGS,
      g_param_spec_boolean ("timings", "Timings",
          "Write how long answers took and what of them came from caches; differs in each run", FALSE,
          flags));
  g_object_class_install_property (object, PROP_REGION_IDS,
      g_param_spec_boolean ("region-ids", "Region ids",
          "Write \"region_id\", the id of each object's region of interest; differs in each run", FALSE,
          flags));
  g_object_class_install_property (object, PROP_REGIONS,
      g_param_spec_boolean ("regions", "Regions",
          "Write a line for frames with objects that other elements found: regions of interest, "
          "detections",
          FALSE, flags));
  g_object_class_install_property (object, PROP_ADD_EMPTY_RESULTS,
      g_param_spec_boolean ("add-empty-results", "Add empty results",
          "Write a line without objects for frames that have no other", FALSE, flags));
}

static void
gst_dsvl2_json_class_init (GstDsvl2JsonClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);

  object->set_property = gst_dsvl2_json_set_property;
  object->get_property = gst_dsvl2_json_get_property;
  object->finalize = gst_dsvl2_json_finalize;
  install_properties (object);

  element->change_state = GST_DEBUG_FUNCPTR (gst_dsvl2_json_change_state);
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "Results as JSON", "Converter/Metadata",
      "Writes answers and objects that video frames carry as metadata as lines of JSON",
      "The dsvl2 authors");

  gst_dsvl2_meta_register ();
}
