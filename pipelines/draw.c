/* dsvl2-chat: an answer drawn onto its picture by dsvl2overlay
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"

static const char pipeline_text[] =
    "appsrc name=source format=time ! dsvl2overlay ! videoconvert ! pngenc ! "
    "filesink name=file";

static void
add_object (GstBuffer *buffer, const Dsvl2Object *object, int width, int height)
{
  const guint x = (guint) (object->x0 * (float) width), y = (guint) (object->y0 * (float) height);
  GstVideoRegionOfInterestMeta *region = gst_buffer_add_video_region_of_interest_meta (buffer, "object",
      x, y, (guint) (object->x1 * (float) width) - x, (guint) (object->y1 * (float) height) - y);

  gst_video_region_of_interest_meta_add_param (region,
      gst_structure_new ("detection", "label", G_TYPE_STRING, object->label, "confidence",
          G_TYPE_DOUBLE, (double) object->confidence, NULL));
}

/* The photo as dsvl2infer would pass it on. The plugin is loaded: it knows the custom meta. */
static GstSample *
annotate (const Photo *photo, const Dsvl2Result *answer)
{
  const GstVideoInfo *info = &photo->pixels->info;
  g_autoptr (GstCaps) caps = gst_video_info_to_caps (info);
  g_autoptr (GstBuffer) buffer = gst_buffer_copy (photo->pixels->buffer);
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, "dsvl2-result");

  GST_BUFFER_PTS (buffer) = 0;
  for (int i = 0; i < answer->n_objects; i++)
    add_object (buffer, &answer->objects[i], GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info));
  if (meta != NULL && answer->caption != NULL)
    gst_structure_set (gst_custom_meta_get_structure (meta), "caption", G_TYPE_STRING, answer->caption,
        NULL);
  return gst_sample_new (buffer, caps, NULL, NULL);
}

static gboolean
wait_for_end (GstElement *pipeline, GError **error)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
    return TRUE;
  gst_message_parse_error (message, error, NULL);
  return FALSE;
}

gboolean
draw_answer (const Photo *photo, const Dsvl2Result *answer, const char *path, GError **error)
{
  g_autoptr (GstElement) pipeline =
      gst_parse_launch_full (pipeline_text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
  g_autoptr (GstElement) source = NULL;
  g_autoptr (GstElement) file = NULL;
  g_autoptr (GstSample) sample = NULL;
  GstFlowReturn flow;
  gboolean drawn;

  if (pipeline == NULL) {
    g_prefix_error (error, "%s: GStreamer and GST_PLUGIN_PATH lack something: ", path);
    return FALSE;
  }
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  file = gst_bin_get_by_name (GST_BIN (pipeline), "file");
  sample = annotate (photo, answer);
  g_object_set (file, "location", path, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_signal_emit_by_name (source, "push-sample", sample, &flow);
  g_signal_emit_by_name (source, "end-of-stream", &flow);
  drawn = wait_for_end (pipeline, error);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (!drawn)
    g_prefix_error (error, "%s: ", path);
  return drawn;
}
