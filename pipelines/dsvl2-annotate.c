/* dsvl2-annotate: a video in, the same video with boxes and captions out, and a line of JSON an answer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "media.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  /* the command line */
  char *model, *prompt, *json, *picture;
  char **set, **files; /* files: INPUT, OUTPUT */
  double interval;
  gboolean timings, quiet, version;

  Media *media;
  GstSample *best; /* the annotated frame that shows most so far */
  double best_sureness;
  guint n_answers, n_objects;
} Annotate;

static const char summary[] =
    "Asks DeepSeek-VL2 about a video's frames and writes the video with the answers drawn on it. INPUT "
    "is\n"
    "a file or URI (rtsp://…, v4l2:///dev/video0); OUTPUT ends in .webm, .mp4 or .mkv. Ctrl-C ends it\n"
    "early with a playable file. Exit status: 0, 1 (something failed, or a frame was not answered),\n"
    "2 (usage).";

static int interrupted;

static void
on_interrupt (int signal_number)
{
  g_atomic_int_set (&interrupted, 1);
}

static gboolean
complain (GError *error)
{
  fprintf (stderr, "dsvl2-annotate: %s\n", error->message);
  return FALSE;
}

static gboolean
parse_options (Annotate *a, int *argc, char ***argv, GError **error)
{
  /* Texts are "file names" to GOption, which otherwise refuses UTF-8 where the locale is plain C. */
  const GOptionEntry entries[] = {
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &a->model,
        "folder of the model, as the hub has it (else $DSVL2_MODEL, else the nano model)", "DIR" },
    { "prompt", 'p', 0, G_OPTION_ARG_FILENAME, &a->prompt, "the question about each frame", "TEXT" },
    { "interval", 'i', 0, G_OPTION_ARG_DOUBLE, &a->interval,
        "seconds of video between analysed frames (0: every frame)", "S" },
    { "json", 'j', 0, G_OPTION_ARG_FILENAME, &a->json,
        "write a line of JSON an answer; - is standard output", "FILE" },
    { "timings", 't', 0, G_OPTION_ARG_NONE, &a->timings,
        "write into each line how long the answer took; without it the same video gives the same lines",
        NULL },
    { "picture", 0, 0, G_OPTION_ARG_FILENAME, &a->picture,
        "write the annotated frame with most and surest objects, a PNG", "FILE" },
    { "set", 's', 0, G_OPTION_ARG_FILENAME_ARRAY, &a->set,
        "set any property of dsvl2infer, e.g. max-new-tokens=100", "NAME=VALUE" },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &a->quiet, "do not print the answers", NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &a->version, "print the version", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &a->files, NULL, "INPUT OUTPUT" }, { NULL }
  };
  GOptionContext *context = g_option_context_new (NULL);
  gboolean parsed;

  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  parsed = g_option_context_parse (context, argc, argv, error);
  g_option_context_free (context);
  if (parsed && !a->version && (a->files == NULL || g_strv_length (a->files) != 2)) {
    g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
        "INPUT and OUTPUT are needed, in that order (--help says more)");
    return FALSE;
  }
  return parsed;
}

/* Many objects, and sure ones: the sum of their confidences. */
static double
sureness (const GstStructure *result)
{
  const GValue *objects = gst_structure_get_value (result, "objects");
  double sum = 0, confidence;

  for (guint i = 0; objects != NULL && i < gst_value_array_get_size (objects); i++) {
    const GValue *object = gst_value_array_get_value (objects, i);

    if (gst_structure_get_double (gst_value_get_structure (object), "confidence", &confidence))
      sum += confidence;
  }
  return sum;
}

/* Keeps the frame that shows most: called for each one that is annotated, before it is encoded. */
static GstPadProbeReturn
on_annotated_frame (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Annotate *a = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "dsvl2-result");
  double sure;

  if (meta == NULL)
    return GST_PAD_PROBE_OK;
  sure = sureness (gst_custom_meta_get_structure (meta));
  if (a->best == NULL || sure > a->best_sureness) {
    g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);

    g_clear_pointer (&a->best, gst_sample_unref);
    a->best = gst_sample_new (buffer, caps, NULL, NULL);
    a->best_sureness = sure;
  }
  return GST_PAD_PROBE_OK;
}

static void
on_result (Annotate *a, const GstStructure *result)
{
  guint64 time = GST_CLOCK_TIME_NONE;
  int n_objects = 0;

  gst_structure_get_uint64 (result, "stream-time", &time);
  gst_structure_get_int (result, "n-objects", &n_objects);
  a->n_answers++;
  a->n_objects += (guint) n_objects;
  if (!a->quiet)
    fprintf (stderr, "%8.2f s  %d objects  %s\n",
        GST_CLOCK_TIME_IS_VALID (time) ? (double) time / GST_SECOND : 0.0, n_objects,
        gst_structure_get_string (result, "caption"));
}

/* Until the last frame is written, or something fails. */
static gboolean
run (Annotate *a, GError **error)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (a->media->pipeline);

  gst_element_set_state (a->media->pipeline, GST_STATE_PLAYING);
  for (;;) {
    g_autoptr (GstMessage) message = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
        GST_MESSAGE_ERROR | GST_MESSAGE_WARNING | GST_MESSAGE_EOS | GST_MESSAGE_ELEMENT);
    g_autoptr (GError) warning = NULL;

    switch (GST_MESSAGE_TYPE (message)) {
      case GST_MESSAGE_EOS:
        return TRUE;
      case GST_MESSAGE_ERROR:
        gst_message_parse_error (message, error, NULL);
        return FALSE;
      case GST_MESSAGE_WARNING:
        gst_message_parse_warning (message, &warning, NULL);
        complain (warning);
        break;
      default:
        if (gst_message_has_name (message, "dsvl2-result"))
          on_result (a, gst_message_get_structure (message));
    }
  }
}

/* Frames that got no answer are in the video all the same: that is said at the end, so that nobody takes it for whole. */
static gboolean
all_answered (Annotate *a, GError **error)
{
  g_autoptr (GstStructure) stats = NULL;
  guint64 failed = 0;

  g_object_get (a->media->infer, "stats", &stats, NULL);
  gst_structure_get_uint64 (stats, "failed", &failed);
  if (failed > 0)
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
        "%s is written, but %" G_GUINT64_FORMAT " questions were not answered", a->files[1], failed);
  return failed == 0;
}

static gboolean
write_picture (GstSample *sample, const char *path, GError **error)
{
  g_autoptr (GstCaps) png = gst_caps_new_empty_simple ("image/png");
  g_autoptr (GstSample) picture =
      sample != NULL ? gst_video_convert_sample (sample, png, 10 * GST_SECOND, error) : NULL;
  GstMapInfo bytes;
  gboolean written;

  if (picture == NULL) {
    if (sample == NULL)
      g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
          "%s is not written: no frame was answered", path);
    return FALSE;
  }
  gst_buffer_map (gst_sample_get_buffer (picture), &bytes, GST_MAP_READ);
  written = g_file_set_contents (path, (const char *) bytes.data, (gssize) bytes.size, error);
  gst_buffer_unmap (gst_sample_get_buffer (picture), &bytes);
  return written;
}

static gboolean
prepare (Annotate *a, GError **error)
{
  GstElement *infer;
  gboolean set = TRUE;

  if ((a->media = media_new (a->files[0], a->files[1], a->json, &interrupted, error)) == NULL)
    return FALSE;
  infer = a->media->infer;
  if (a->media->lines != NULL)
    g_object_set (a->media->lines, "timings", a->timings, NULL);
  if (a->model != NULL)
    g_object_set (infer, "model", a->model, NULL);
  if (a->prompt != NULL)
    g_object_set (infer, "prompt", a->prompt, NULL);
  if (a->interval > 0)
    g_object_set (infer, "interval", (guint64) (a->interval * GST_SECOND), NULL);
  for (guint i = 0; set && a->set != NULL && a->set[i] != NULL; i++)
    set = media_set (infer, a->set[i], error);
  if (!set)
    return FALSE;
  if (a->picture != NULL)
    gst_pad_add_probe (a->media->annotated, GST_PAD_PROBE_TYPE_BUFFER, on_annotated_frame, a, NULL);
  return TRUE;
}

static void
clear (Annotate *a)
{
  g_clear_pointer (&a->media, media_free);
  g_clear_pointer (&a->best, gst_sample_unref);
  g_free (a->model);
  g_free (a->prompt);
  g_free (a->json);
  g_free (a->picture);
  g_strfreev (a->set);
  g_strfreev (a->files);
}

int
main (int argc, char **argv)
{
  const struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND | SA_RESTART };
  g_autoptr (GError) error = NULL;
  Annotate a = { 0 };
  int status = 0;

  if (!parse_options (&a, &argc, &argv, &error)) {
    complain (error);
    clear (&a);
    return 2;
  }
  if (a.version) {
    puts ("dsvl2-annotate " DSVL2_VERSION);
    clear (&a);
    return 0;
  }
  sigaction (SIGINT, &action, NULL); /* the second Ctrl-C ends the program at once */
  if (!prepare (&a, &error) || !run (&a, &error) ||
      (a.picture != NULL && !write_picture (a.best, a.picture, &error)) || !all_answered (&a, &error)) {
    complain (error);
    status = 1;
  } else if (!a.quiet)
    fprintf (stderr, "%s: %u answers, %u objects\n", a.files[1], a.n_answers, a.n_objects);
  clear (&a);
  return status;
}
