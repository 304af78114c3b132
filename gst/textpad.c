/* dsvl2: the pad "text" of dsvl2infer: captions as timed text
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "textpad.h"
#include "cues.h"
#include "frametime.h"
#include "gstdsvl2meta.h"
#include <gst/base/gstflowcombiner.h>
#include <string.h>

enum { MAX_CAPTION = 1000 }; /* characters */

struct _TextPad {
  GstBaseTransform *element; /* owns this: no reference */

  GMutex lock; /* of the next four; never held while something is pushed */
  GstPad *pad; /* NULL: nobody asked for it */
  GstFlowCombiner *flows;
  gboolean started, in_segment; /* the pad has heard of its stream and segment */

  Cues cues; /* of the streaming thread */
};

TextPad *
text_pad_new (GstBaseTransform *element)
{
  TextPad *t = g_new0 (TextPad, 1);

  t->element = element;
  g_mutex_init (&t->lock);
  t->flows = gst_flow_combiner_new ();
  gst_flow_combiner_add_pad (t->flows, GST_BASE_TRANSFORM_SRC_PAD (element));
  cues_reset (&t->cues);
  return t;
}

void
text_pad_free (TextPad *t)
{
  gst_flow_combiner_unref (t->flows);
  g_mutex_clear (&t->lock);
  g_free (t);
}

/* --- the pad --- */

/* What comes from downstream is answered as on the video's pad. Only that text is late, or wants to be
 * negotiated, does not concern the video. */
static gboolean
text_pad_src_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_QOS || GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE) {
    gst_event_unref (event);
    return TRUE;
  }
  return gst_pad_send_event (GST_BASE_TRANSFORM_SRC_PAD (parent), event);
}

static gboolean
text_pad_src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  switch (GST_QUERY_TYPE (query)) {
    case GST_QUERY_CAPS:
    case GST_QUERY_ACCEPT_CAPS:
    case GST_QUERY_ALLOCATION:
      return gst_pad_query_default (pad, parent, query);
    default:
      return gst_pad_query (GST_BASE_TRANSFORM_SRC_PAD (parent), query);
  }
}

static GstPad *
get_pad (TextPad *t)
{
  GstPad *pad;

  g_mutex_lock (&t->lock);
  pad = t->pad != NULL ? gst_object_ref (t->pad) : NULL;
  g_mutex_unlock (&t->lock);
  return pad;
}

GstPad *
text_pad_request (TextPad *t, GstPadTemplate *pad_template)
{
  GstPad *pad = get_pad (t);

  if (pad != NULL) {
    gst_object_unref (pad);
    return NULL;
  }
  pad = gst_pad_new_from_template (pad_template, "text");
  gst_pad_set_event_function (pad, GST_DEBUG_FUNCPTR (text_pad_src_event));
  gst_pad_set_query_function (pad, GST_DEBUG_FUNCPTR (text_pad_src_query));
  gst_pad_use_fixed_caps (pad);
  gst_pad_set_active (pad, TRUE);
  if (!gst_element_add_pad (GST_ELEMENT (t->element), pad))
    return NULL;
  g_mutex_lock (&t->lock);
  t->pad = pad;
  t->started = t->in_segment = FALSE;
  gst_flow_combiner_add_pad (t->flows, pad);
  g_mutex_unlock (&t->lock);
  return pad;
}

void
text_pad_release (TextPad *t, GstPad *pad)
{
  g_mutex_lock (&t->lock);
  if (t->pad == pad) {
    t->pad = NULL;
    gst_flow_combiner_remove_pad (t->flows, pad);
  }
  g_mutex_unlock (&t->lock);
  gst_pad_set_active (pad, FALSE);
  gst_element_remove_pad (GST_ELEMENT (t->element), pad);
}

/* --- events --- */

static void
push_stream_start (TextPad *t, GstPad *pad)
{
  g_autofree char *id = gst_pad_create_stream_id (pad, GST_ELEMENT (t->element), "text");
  g_autoptr (GstEvent) video =
      gst_pad_get_sticky_event (GST_BASE_TRANSFORM_SINK_PAD (t->element), GST_EVENT_STREAM_START, 0);
  GstEvent *event = gst_event_new_stream_start (id);
  guint group;

  if (video != NULL && gst_event_parse_group_id (video, &group))
    gst_event_set_group_id (event, group);
  gst_event_set_stream_flags (event, GST_STREAM_FLAG_SPARSE);
  gst_pad_push_event (pad, event);
}

/* Text is timed: where the video's segment counts something else, bytes say, the times of its frames are
 * taken as they are. */
static void
push_segment (TextPad *t, GstPad *pad)
{
  GstSegment segment = t->element->segment;

  if (segment.format != GST_FORMAT_TIME)
    gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_pad_push_event (pad, gst_event_new_segment (&segment));
  cues_reset (&t->cues);
}

/* The pad, with a reference, once it has heard what its stream is; NULL if there is none. */
static GstPad *
begin (TextPad *t)
{
  const gboolean has_segment = t->element->segment.format != GST_FORMAT_UNDEFINED;
  g_autoptr (GstCaps) caps = NULL;
  gboolean started, in_segment;
  GstPad *pad;

  g_mutex_lock (&t->lock);
  pad = t->pad != NULL ? gst_object_ref (t->pad) : NULL;
  started = t->started;
  in_segment = t->in_segment || !has_segment;
  t->started = TRUE;
  t->in_segment |= has_segment;
  g_mutex_unlock (&t->lock);
  if (pad == NULL)
    return NULL;

  if (!started) {
    push_stream_start (t, pad);
    caps = gst_pad_get_pad_template_caps (pad);
    gst_pad_push_event (pad, gst_event_new_caps (caps));
  }
  if (!in_segment)
    push_segment (t, pad);
  return pad;
}

static void
forget (TextPad *t, gboolean stream)
{
  g_mutex_lock (&t->lock);
  t->in_segment = FALSE;
  if (stream)
    t->started = FALSE;
  g_mutex_unlock (&t->lock);
}

static void
push_event (TextPad *t, GstPad *pad, GstEvent *event)
{
  if (pad == NULL)
    return;
  gst_pad_push_event (pad, gst_event_ref (event));
  gst_object_unref (pad);
}

void
text_pad_reset (TextPad *t)
{
  forget (t, TRUE);
  g_mutex_lock (&t->lock);
  gst_flow_combiner_reset (t->flows);
  g_mutex_unlock (&t->lock);
}

static void push_gap (TextPad *t, GstEvent *gap);

void
text_pad_event (TextPad *t, GstEvent *event)
{
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      push_event (t, get_pad (t), event);
      break;
    case GST_EVENT_FLUSH_STOP:
      push_event (t, get_pad (t), event);
      forget (t, FALSE);
      g_mutex_lock (&t->lock);
      gst_flow_combiner_reset (t->flows);
      g_mutex_unlock (&t->lock);
      break;
    case GST_EVENT_STREAM_START:
      forget (t, TRUE);
      break;
    case GST_EVENT_SEGMENT:
      forget (t, FALSE);
      break;
    case GST_EVENT_GAP:
      push_gap (t, event);
      break;
    case GST_EVENT_SEGMENT_DONE:
    case GST_EVENT_STREAM_GROUP_DONE:
    case GST_EVENT_EOS:
      push_event (t, begin (t), event);
      break;
    default:
      break;
  }
}

/* --- frames --- */

/* The captions of a frame's results, a line each: plain text on one line, and none of the brackets that
 * subtitle formats take for markup. NULL if they say nothing. */
static char *
text_of (const GPtrArray *results)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; results != NULL && i < results->len; i++) {
    const char *caption = gst_structure_get_string (g_ptr_array_index (results, i), "caption");
    g_autofree char *clean = gst_dsvl2_clean_text (caption != NULL ? caption : "", MAX_CAPTION);

    if (*clean && text->len > 0)
      g_string_append_c (text, '\n');
    g_string_append (text, clean);
  }
  g_string_replace (text, "<", "‹", 0);
  g_string_replace (text, ">", "›", 0);
  if (text->len > 0)
    return g_string_free (text, FALSE);
  g_string_free (text, TRUE);
  return NULL;
}

/* As the frame says, or as often as frames come, or a guess. */
static GstClockTime
duration_of (GstBuffer *frame, const GstVideoInfo *info)
{
  if (GST_BUFFER_DURATION_IS_VALID (frame) && GST_BUFFER_DURATION (frame) > 0)
    return GST_BUFFER_DURATION (frame);
  return frame_duration_of (info) > 0 ? frame_duration_of (info) : GST_SECOND / 25;
}

/* No text is shown after the end of the video, where that is known. */
static GstClockTime
end_of_video (TextPad *t)
{
  const GstSegment *segment = &t->element->segment;
  GstClockTime end = segment->stop;
  gint64 duration;

  if (segment->format != GST_FORMAT_TIME)
    return GST_CLOCK_TIME_NONE;
  if (gst_pad_peer_query_duration (GST_BASE_TRANSFORM_SINK_PAD (t->element), GST_FORMAT_TIME,
          &duration) &&
      duration > 0) {
    const GstClockTime last =
        gst_segment_position_from_stream_time (segment, GST_FORMAT_TIME, (guint64) duration);

    end = GST_CLOCK_TIME_IS_VALID (last) ? MIN (end, last) : end;
  }
  return end;
}

static GstFlowReturn
push_text (GstPad *pad, char *text, const Cue *cue)
{
  GstBuffer *buffer = gst_buffer_new_wrapped (text, strlen (text));

  GST_BUFFER_PTS (buffer) = cue->start;
  GST_BUFFER_DURATION (buffer) = cue->stop - cue->start;
  return gst_pad_push (pad, buffer);
}

/* The flow of a pad that was released meanwhile is nobody's. */
static void
note_flow (TextPad *t, GstPad *pad, GstFlowReturn flow)
{
  g_mutex_lock (&t->lock);
  if (t->pad == pad)
    gst_flow_combiner_update_pad_flow (t->flows, pad, flow);
  g_mutex_unlock (&t->lock);
}

static void
push_cue (TextPad *t, GstPad *pad, Cue *cue, char *text, GstClockTime frame_end)
{
  if (cue->kind == CUES_GAP) {
    gst_pad_push_event (pad, gst_event_new_gap (cue->start, cue->stop - cue->start));
  } else if (cue->kind == CUES_TEXT) {
    if (cue->stop > frame_end)
      cue->stop = t->cues.end = MAX (frame_end, MIN (cue->stop, end_of_video (t)));
    note_flow (t, pad, push_text (pad, text, cue));
    return;
  }
  g_free (text);
}

void
text_pad_frame (TextPad *t, const QuestionsFrame *frame, const GstVideoInfo *info, GstClockTime span)
{
  const GstClockTime pts = GST_BUFFER_PTS (frame->buffer);
  const GstClockTime duration = duration_of (frame->buffer, info);
  g_autoptr (GstPad) pad = begin (t);
  gboolean backwards;
  char *text;
  Cue cue;

  if (pad == NULL)
    return;
  backwards = t->element->segment.rate < 0;
  text = text_of (frame->results);
  cue = cues_next (&t->cues, &(CuesFrame){ .pts = pts,
                                 .duration = duration,
                                 .captioned = text != NULL,
                                 .fresh = frame->fresh,
                                 .until = backwards ? pts : frame->until,
                                 .span = backwards ? 0 : span });
  push_cue (t, pad, &cue, text, pts + duration);
}

/* Where there is no video there is no text; a caption that is still shown lasts. */
static void
push_gap (TextPad *t, GstEvent *gap)
{
  g_autoptr (GstPad) pad = begin (t);
  GstClockTime pts, duration;
  Cue cue;

  if (pad == NULL)
    return;
  gst_event_parse_gap (gap, &pts, &duration);
  cue = cues_next (&t->cues,
      &(CuesFrame){ .pts = pts, .duration = GST_CLOCK_TIME_IS_VALID (duration) ? duration : 1 });
  push_cue (t, pad, &cue, NULL, pts);
}

GstFlowReturn
text_pad_combine (TextPad *t, GstFlowReturn video)
{
  GstFlowReturn flow;

  g_mutex_lock (&t->lock);
  flow = gst_flow_combiner_update_pad_flow (t->flows, GST_BASE_TRANSFORM_SRC_PAD (t->element), video);
  g_mutex_unlock (&t->lock);
  return flow;
}
