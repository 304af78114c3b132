/* dsvl2: picture files, decoded by GStreamer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "still.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

enum { DECODE_SECONDS = 60 };

static const char pipeline_text[] =
    "uridecodebin name=source ! videoflip video-direction=auto ! "
    "videoconvert ! video/x-raw,format=BGRx ! fakesink name=sink enable-last-sample=true";

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

G_GNUC_BEGIN_IGNORE_DEPRECATIONS

/* Orientation tags of JPEG files are jpegparse's business, which GStreamer 1.22 does not plug by itself. */
static GValueArray *
with_jpegparse (GstElement *source, GstPad *pad, GstCaps *caps, GValueArray *factories,
    gpointer user_data)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  g_autoptr (GstElementFactory) parser = gst_element_factory_find ("jpegparse");
  g_auto (GValue) value = G_VALUE_INIT;
  GValueArray *more;

  if (parser == NULL || !gst_structure_has_name (s, "image/jpeg") ||
      gst_structure_has_field (s, "parsed"))
    return NULL; /* as they are */
  more = g_value_array_copy (factories);
  g_value_init (&value, GST_TYPE_ELEMENT_FACTORY);
  g_value_set_object (&value, parser);
  return g_value_array_prepend (more, &value);
}

G_GNUC_END_IGNORE_DEPRECATIONS

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
    g_object_get (sink, "last-sample", &sample, NULL);
  if (sample == NULL)
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE,
        "No picture came out of it within %d seconds", DECODE_SECONDS);
  return sample;
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
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_object_set (source, "uri", uri, NULL);
  g_signal_connect (source, "autoplug-sort", G_CALLBACK (with_jpegparse), NULL);
  sample = first_frame (pipeline, error);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return sample;
}

GstSample *
still_load (const char *name, GError **error)
{
  GstSample *sample = decode (name, error);

  if (sample == NULL)
    g_prefix_error (error, "%s: ", name);
  return sample;
}
