/* dsvl2-annotate: its pipeline
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "media.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  const char *ending, *video, *audio, *mux;
} Container;

#define H264 "videobox name=even ! x264enc speed-preset=veryfast ! h264parse"
#define VP8 "vp8enc deadline=1 cpu-used=8 threads=2 end-usage=cq cq-level=12 target-bitrate=6000000"

static const Container containers[] = {
  { ".webm", VP8, "opusenc", "webmmux" },
  { ".mp4", H264, "avenc_aac", "mp4mux" },
  { ".mkv", H264, "opusenc", "matroskamux" },
};

/* I420 is what every player decodes. The audio queue is bounded by the video: the demuxer stops when the
 * video's queues are full. */
static const char pipeline_text[] =
    "uridecodebin name=source "
    "queue name=video max-size-buffers=3 max-size-bytes=0 max-size-time=0 "
    "! videoflip video-direction=auto ! videoconvert ! dsvl2infer name=infer ! %s "
    "dsvl2overlay name=overlay "
    "! videoconvert ! video/x-raw,format=I420 ! %s ! queue ! %s name=mux ! filesink name=file %s";
/* Lines wait in a queue, so that frames go on while an encoder has not filled the other sink yet. */
static const char lines_text[] =
    "answers. ! dsvl2json name=lines ! "
    "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! %s name=json";
static const char audio_text[] = "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! "
                                 "audioconvert ! audioresample ! %s ! queue";

static const Container *
container_of (const char *output, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (containers); i++)
    if (g_str_has_suffix (output, containers[i].ending))
      return &containers[i];
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
      "%s ends in none of .webm, .mp4 and .mkv, so its format is not known", output);
  return NULL;
}

static char *
uri_of (const char *input, GError **error)
{
  if (gst_uri_is_valid (input))
    return g_strdup (input);
  if (g_access (input, R_OK) != 0) {
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s cannot be read: %s", input,
        g_strerror (errno));
    return NULL;
  }
  return gst_filename_to_uri (input, error);
}

/* Ends a stream in its own thread, in front of the first queue: what is behind is finished and muxed. */
static GstPadProbeReturn
end_when_asked (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  if (!g_atomic_int_get ((int *) user_data))
    return GST_PAD_PROBE_OK;
  gst_pad_send_event (pad, gst_event_new_eos ());
  return GST_PAD_PROBE_DROP;
}

static void
connect_stream (const Media *media, GstPad *source, GstElement *first)
{
  g_autoptr (GstPad) sink = gst_element_get_static_pad (first, "sink");

  gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_BUFFER, end_when_asked, media->ending, NULL);
  gst_pad_link (source, sink);
}

/* FALSE where an element is missing: the video is worth having without its sound. */
static gboolean
add_audio (Media *media, GstPad *source)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_strdup_printf (audio_text, media->audio_encoder);
  GstElement *audio = gst_parse_bin_from_description (text, TRUE, &error);

  if (audio == NULL) {
    GST_ELEMENT_WARNING (media->pipeline, CORE, MISSING_PLUGIN,
        ("The sound is dropped: %s", error->message), (NULL));
    return FALSE;
  }
  gst_bin_add (GST_BIN (media->pipeline), audio);
  gst_element_link (audio, media->mux);
  gst_element_sync_state_with_parent (audio);
  connect_stream (media, source, audio);
  return TRUE;
}

static void
on_pad (GstElement *source, GstPad *pad, gpointer user_data)
{
  Media *media = user_data;
  g_autoptr (GstCaps) caps = gst_pad_query_caps (pad, NULL);
  const char *type = gst_structure_get_name (gst_caps_get_structure (caps, 0));

  if (g_str_has_prefix (type, "video/") && !media->has_video) {
    media->has_video = TRUE;
    connect_stream (media, pad, media->video);
  } else if (g_str_has_prefix (type, "audio/") && !media->has_audio)
    media->has_audio = add_audio (media, pad);
}

static void
on_no_more_pads (GstElement *source, gpointer user_data)
{
  const Media *media = user_data;

  if (!media->has_video)
    GST_ELEMENT_ERROR (source, STREAM, WRONG_TYPE, ("There is no video in it"), (NULL));
}

/* H.264 in I420 has even sides: an odd last column or row is left out. */
static void
on_caps (GstPad *annotated, GParamSpec *property, gpointer even)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (annotated);
  GstVideoInfo info;

  if (caps != NULL && gst_video_info_from_caps (&info, caps))
    g_object_set (even, "right", GST_VIDEO_INFO_WIDTH (&info) % 2, "bottom",
        GST_VIDEO_INFO_HEIGHT (&info) % 2, NULL);
}

/* The launch line, with a branch for lines of JSON if they are wanted. */
static char *
describe (const Container *container, const char *json)
{
  g_autofree char *lines =
      g_strdup_printf (lines_text, g_strcmp0 (json, "-") == 0 ? "fdsink" : "filesink buffer-mode=2");

  return g_strdup_printf (pipeline_text, json != NULL ? "tee name=answers !" : "", container->video,
      container->mux, json != NULL ? lines : "");
}

static void
name_lines (Media *media, const char *input, const char *json)
{
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (media->pipeline), "json");

  g_object_set (media->lines, "source", input, NULL);
  if (strcmp (json, "-") != 0)
    g_object_set (sink, "location", json, NULL);
}

Media *
media_new (const char *input, const char *output, const char *json, int *ending, GError **error)
{
  const Container *container = container_of (output, error);
  g_autofree char *uri = container != NULL ? uri_of (input, error) : NULL;
  g_autofree char *text = NULL;
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) source = NULL;
  g_autoptr (GstElement) file = NULL;
  g_autoptr (GstElement) overlay = NULL;
  g_autoptr (GstElement) even = NULL;
  Media *media;

  if (uri == NULL)
    return NULL;
  text = describe (container, json);
  pipeline = gst_parse_launch_full (text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
  if (pipeline == NULL) {
    if (error != NULL && g_error_matches (*error, GST_PARSE_ERROR, GST_PARSE_ERROR_NO_SUCH_ELEMENT))
      g_prefix_error (error, "GStreamer and GST_PLUGIN_PATH lack something: ");
    return NULL;
  }
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  file = gst_bin_get_by_name (GST_BIN (pipeline), "file");
  overlay = gst_bin_get_by_name (GST_BIN (pipeline), "overlay");
  even = gst_bin_get_by_name (GST_BIN (pipeline), "even");
  g_object_set (source, "uri", uri, NULL);
  g_object_set (file, "location", output, NULL);

  media = g_new0 (Media, 1);
  media->infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  media->video = gst_bin_get_by_name (GST_BIN (pipeline), "video");
  media->mux = gst_bin_get_by_name (GST_BIN (pipeline), "mux");
  media->lines = gst_bin_get_by_name (GST_BIN (pipeline), "lines");
  media->annotated = gst_element_get_static_pad (overlay, "src");
  media->audio_encoder = container->audio;
  media->ending = ending;
  if (even != NULL)
    g_signal_connect (media->annotated, "notify::caps", G_CALLBACK (on_caps), even);
  g_signal_connect (source, "pad-added", G_CALLBACK (on_pad), media);
  g_signal_connect (source, "no-more-pads", G_CALLBACK (on_no_more_pads), media);
  media->pipeline = g_steal_pointer (&pipeline);
  if (json != NULL)
    name_lines (media, input, json);
  return media;
}

void
media_free (Media *media)
{
  gst_element_set_state (media->pipeline, GST_STATE_NULL);
  gst_object_unref (media->annotated);
  gst_object_unref (media->infer);
  g_clear_pointer (&media->lines, gst_object_unref);
  gst_object_unref (media->video);
  gst_object_unref (media->mux);
  gst_object_unref (media->pipeline);
  g_free (media);
}

gboolean
media_set (GstElement *element, const char *assignment, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (assignment, "=", 2);
  GParamSpec *property = parts[0] != NULL && parts[1] != NULL
                             ? g_object_class_find_property (G_OBJECT_GET_CLASS (element), parts[0])
                             : NULL;
  g_auto (GValue) value = G_VALUE_INIT;

  if (property == NULL) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
        "--set %s: %s has no such property (NAME=VALUE; gst-inspect-1.0 lists them)", assignment,
        GST_OBJECT_NAME (gst_element_get_factory (element)));
    return FALSE;
  }
  g_value_init (&value, property->value_type);
  if (!gst_value_deserialize_with_pspec (&value, parts[1], property)) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--set %s: the value is not a %s",
        assignment, g_type_name (property->value_type));
    return FALSE;
  }
  g_object_set_property (G_OBJECT (element), parts[0], &value);
  return TRUE;
}
