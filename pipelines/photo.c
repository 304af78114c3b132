/* dsvl2-chat: picture files, decoded by GStreamer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "photo.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <unistd.h>

enum { DECODE_SECONDS = 60 };

/* BGRx in memory is what Cairo calls RGB24 on little-endian machines. */
static const char pipeline_text[] = "uridecodebin name=source ! videoflip video-direction=auto ! "
                                    "videoconvert ! video/x-raw,format=BGRx ! appsink name=sink";

/* The frame that the pipeline stops at, or NULL with the first error it posted. */
static GstSample *
first_frame (GstElement *pipeline, GError **error)
{
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  GstSample *sample = NULL;

  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  message = gst_bus_timed_pop_filtered (bus, DECODE_SECONDS * GST_SECOND,
      GST_MESSAGE_ERROR | GST_MESSAGE_EOS | GST_MESSAGE_ASYNC_DONE);
  if (message != NULL && GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, error, NULL);
    return NULL;
  }
  if (message != NULL)
    sample = gst_app_sink_try_pull_preroll (GST_APP_SINK (sink), 0);
  if (sample == NULL)
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE,
        "No picture came out of it within %d seconds", DECODE_SECONDS);
  return sample;
}

static char *
uri_of (const char *name, GError **error)
{
  if (gst_uri_is_valid (name))
    return g_strdup (name);
  if (g_access (name, R_OK) != 0) {
    g_set_error_literal (error, G_FILE_ERROR, g_file_error_from_errno (errno), g_strerror (errno));
    return NULL;
  }
  return gst_filename_to_uri (name, error);
}

/* Orientation tags of JPEG files are jpegparse's business, which GStreamer 1.22 does not plug by itself. */
static void
use_jpegparse (void)
{
  g_autoptr (GstPluginFeature) parser = gst_registry_lookup_feature (gst_registry_get (), "jpegparse");

  if (parser != NULL && gst_plugin_feature_get_rank (parser) < GST_RANK_PRIMARY)
    gst_plugin_feature_set_rank (parser, GST_RANK_PRIMARY + 1);
}

static GstSample *
decode (const char *name, GError **error)
{
  g_autofree char *uri = uri_of (name, error);
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) source = NULL;
  GstSample *sample;

  if (uri == NULL || (pipeline = gst_parse_launch (pipeline_text, error)) == NULL)
    return NULL;
  use_jpegparse ();
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_object_set (source, "uri", uri, NULL);
  sample = first_frame (pipeline, error);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return sample;
}

static void
pixels_free (gpointer data)
{
  GstVideoFrame *pixels = data;

  gst_video_frame_unmap (pixels);
  g_free (pixels);
}

static GstVideoFrame *
map_pixels (GstSample *sample, GError **error)
{
  GstVideoInfo info;
  g_autofree GstVideoFrame *pixels = g_new0 (GstVideoFrame, 1);

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample)) ||
      !gst_video_frame_map (pixels, &info, gst_sample_get_buffer (sample), GST_MAP_READ)) {
    g_set_error_literal (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "The decoded frame cannot be read");
    return NULL;
  }
  return g_steal_pointer (&pixels);
}

Photo *
photo_load (const char *name, GError **error)
{
  g_autoptr (GstSample) sample = decode (name, error);
  g_autoptr (Photo) photo = g_new0 (Photo, 1);

  photo->name = g_strdup (name);
  if (sample != NULL && (photo->pixels = map_pixels (sample, error)) != NULL) {
    const GstVideoFrame *pixels = photo->pixels;
    const Dsvl2Frame frame = { .format = DSVL2_FORMAT_BGRX,
      .width = GST_VIDEO_FRAME_WIDTH (pixels),
      .height = GST_VIDEO_FRAME_HEIGHT (pixels),
      .plane = { GST_VIDEO_FRAME_PLANE_DATA (pixels, 0) },
      .stride = { GST_VIDEO_FRAME_PLANE_STRIDE (pixels, 0) } };

    photo->picture = dsvl2_picture_new (&frame, pixels_free, photo->pixels, error);
  }
  if (photo->picture == NULL) {
    g_prefix_error (error, "%s: ", name);
    if (photo->pixels != NULL)
      pixels_free (photo->pixels);
    return NULL;
  }
  return g_steal_pointer (&photo);
}

void
photo_free (Photo *photo)
{
  g_clear_pointer (&photo->picture, dsvl2_picture_unref);
  g_free (photo->name);
  g_free (photo);
}
