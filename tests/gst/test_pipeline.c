/* dsvl2: the plugin as applications load it, with the real engine on the golden random model
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * DSVL2_TEST_MODEL names the model's folder, GST_PLUGIN_PATH that of the plugin. */
#include "harness.h"
#include "whole.h"
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE                                                                                         \
  "videotestsrc pattern=ball num-buffers=4 ! "                                                         \
  "video/x-raw,format=I420,width=160,height=120,framerate=25/1"

static char *
launch_with (const char *source, const char *properties, const char *sink)
{
  return g_strdup_printf ("%s ! dsvl2infer model=%s max-new-tokens=6 %s ! %s", source,
      g_getenv ("DSVL2_TEST_MODEL"), properties, sink);
}

static GstElement *
pipeline_new (const char *source, const char *properties, const char *sink)
{
  g_autofree char *launch = launch_with (source, properties, sink);

  return whole_new (launch);
}

/* A line about the answer that a message is. */
static void
append_answer (GString *answers, GstMessage *m)
{
  const GstStructure *s = gst_message_get_structure (m);
  g_autofree char *objects = gst_value_serialize (gst_structure_get_value (s, "objects"));
  g_autofree char *text = g_strescape (gst_structure_get_string (s, "text"), NULL);

  g_string_append_printf (answers, "%s %" G_GUINT64_FORMAT " %s %s\n", GST_MESSAGE_SRC_NAME (m),
      test_uint64 (s, "seen-pts"), text, objects);
}

/* Runs until EOS. The answers' texts, boxes and frames, a line each: what must be the same every time. */
static char *
run (GstElement *pipeline)
{
  g_autoptr (GPtrArray) results = whole_play (pipeline);
  GString *answers = g_string_new (NULL);

  for (guint i = 0; i < results->len; i++)
    append_answer (answers, results->pdata[i]);
  return g_string_free (answers, FALSE);
}

static char *
run_once (const char *source, const char *properties, const char *sink)
{
  GstElement *pipeline = pipeline_new (source, properties, sink);
  char *answers = run (pipeline);

  whole_free (pipeline);
  return answers;
}

/* --- the same every time --- */

static void
test_every_frame_is_answered (void)
{
  static const char *const ways[] = { "", "max-queue=3", "max-queue=1", "prefill-chunk=7", "threads=1",
    "mode=offline hold=0" };
  g_autofree char *first = run_once (SOURCE, "name=infer", "fakesink");

  g_test_message ("%s", first);
  g_assert_cmpuint (whole_n_lines (first), ==, 4);
  for (gsize i = 0; i < G_N_ELEMENTS (ways); i++) {
    g_autofree char *properties = g_strconcat ("name=infer ", ways[i], NULL);
    g_autofree char *again = run_once (SOURCE, properties, "fakesink");

    g_test_message ("again with \"%s\"", ways[i]);
    g_assert_cmpstr (again, ==, first);
  }
}

/* Formats that hold the same picture in another order of bytes get the same answer. */
static void
test_formats_run (void)
{
  static const char *const same[][12] = {
    { "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR", "RGBP", NULL },
    { "I420", "YV12", "NV12", "NV21", NULL },
    { "Y42B", "YUY2", "UYVY", NULL },
    { "Y444", NULL },
    { "P010_10LE", NULL },
    { "GRAY8", NULL },
  };

  for (gsize g = 0; g < G_N_ELEMENTS (same); g++) {
    g_autofree char *first = NULL;

    for (int i = 0; same[g][i] != NULL; i++) {
      g_autofree char *source = g_strdup_printf ("videotestsrc num-buffers=1 ! videoconvert ! "
                                                 "video/x-raw,format=%s,width=61,height=47",
          same[g][i]);
      g_autofree char *answers = run_once (source, "name=infer", "dsvl2overlay ! fakesink");

      g_test_message ("%s: %s", same[g][i], answers);
      g_assert_cmpuint (whole_n_lines (answers), ==, 1);
      if (first == NULL)
        first = g_strdup (answers);
      g_assert_cmpstr (answers, ==, first);
    }
  }
}

static void
test_state_cycles (void)
{
  GstElement *pipeline = pipeline_new (SOURCE, "name=infer", "dsvl2overlay ! fakesink");
  g_autofree char *first = NULL;

  for (int i = 0; i < 3; i++) {
    g_autofree char *answers = run (pipeline);

    if (first == NULL)
      first = g_strdup (answers);
    g_assert_cmpstr (answers, ==, first);
    gst_element_set_state (pipeline, i == 0 ? GST_STATE_READY : GST_STATE_NULL);
  }
  whole_free (pipeline);
}

/* Two elements in two branches, each with its prompt. */
static void
test_two_elements (void)
{
  g_autofree char *one = launch_with (SOURCE " ! tee name=tee ! queue", "", "fakesink");
  g_autofree char *two = launch_with ("tee. ! queue", "name=other prompt=\"find cats\"", "fakesink");
  g_autofree char *launch = g_strconcat (one, " ", two, NULL);
  GstElement *pipeline = whole_new (launch);
  g_autofree char *answers = run (pipeline);

  g_assert_cmpuint (whole_n_lines (answers), ==, 8);
  whole_free (pipeline);
}

/* The engine looks once at a frame, however many prompts there are, and answers each as if it were alone. */
static void
test_prompts (void)
{
  static const char *const alone[] = { "prompt=\"What is it?\"", "prompt=\"find cats\"", "prompt=x" };
  GstElement *pipeline =
      pipeline_new (SOURCE, "name=infer prompts=\"What is it?;find cats;x\"", "fakesink");
  g_autoptr (GstElement) infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  int tiles[3] = { 0 }, cached[3] = { 0 };
  GString *answers[3];

  for (int i = 0; i < 3; i++)
    answers[i] = g_string_new (NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (int n = 0; n < 12; n++) {
    g_autoptr (GstMessage) m = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND, GST_MESSAGE_ELEMENT);
    const GstStructure *s = gst_message_get_structure (m);
    int index, t, c;

    g_assert_true (gst_structure_get (s, "prompt-index", G_TYPE_INT, &index, "tiles", G_TYPE_INT, &t,
        "cached-tokens", G_TYPE_INT, &c, NULL));
    g_assert_cmpint (index, ==, n % 3);
    tiles[index] += t;
    cached[index] += c;
    append_answer (answers[index], m);
  }
  g_test_message ("tiles of each prompt: %d, %d, %d; tokens from the cache: %d, %d, %d", tiles[0],
      tiles[1], tiles[2], cached[0], cached[1], cached[2]);
  g_assert_cmpint (tiles[0], >, 0);
  g_assert_cmpint (tiles[1] + tiles[2], ==, 0);
  g_assert_cmpint (cached[1], >, 0);
  g_assert_cmpint (cached[2], >, 0);
  whole_free (pipeline);

  for (int i = 0; i < 3; i++) {
    g_autofree char *properties = g_strconcat ("name=infer ", alone[i], NULL);
    g_autofree char *single = run_once (SOURCE, properties, "fakesink");

    g_assert_cmpstr (single, ==, answers[i]->str);
    g_string_free (answers[i], TRUE);
  }
}

/* What videotestsrc shows, as a file. Free with g_free (). */
static char *
picture_file (const char *name, const char *source)
{
  char *file = whole_file (name);
  g_autofree char *launch = g_strdup_printf ("%s ! pngenc ! filesink location=%s", source, file);

  g_ptr_array_unref (whole_play_once (launch));
  return file;
}

/* A reference picture is encoded once, and read from the cache with each frame that follows the first. */
static void
test_references (void)
{
  g_autofree char *file = picture_file ("reference.png",
      "videotestsrc num-buffers=1 pattern=circular ! video/x-raw,width=64,height=64");
  g_autofree char *properties = g_strdup_printf ("name=infer cropping=off reference-images=%s", file);
  GstElement *pipeline = pipeline_new (SOURCE, properties, "fakesink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (int n = 0; n < 4; n++) {
    g_autoptr (GstMessage) m = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND, GST_MESSAGE_ELEMENT);
    int tiles, cached, prompt;

    g_assert_true (gst_structure_get (gst_message_get_structure (m), "tiles", G_TYPE_INT, &tiles,
        "cached-tokens", G_TYPE_INT, &cached, "prompt-tokens", G_TYPE_INT, &prompt, NULL));
    g_test_message ("frame %d: %d tiles encoded, %d of %d tokens from the cache", n, tiles, cached,
        prompt);
    g_assert_cmpint (tiles, ==, n == 0 ? 2 : 1);
    g_assert_true ((cached > 0) == (n > 0));
  }
  whole_free (pipeline);
}

/* Two frames that are asked about together are the two pictures that a reference and a frame are. */
static void
test_frames_together (void)
{
#define BALL " pattern=ball ! video/x-raw,format=RGB,width=96,height=64,framerate=25/1"
  g_autofree char *first = picture_file ("first.png", "videotestsrc num-buffers=1" BALL);
  g_autofree char *reference = g_strdup_printf ("name=infer reference-images=%s", first);
  g_autofree char *apart = run_once ("videotestsrc num-buffers=2" BALL, reference, "fakesink");
  g_autofree char *together =
      run_once ("videotestsrc num-buffers=4" BALL, "name=infer frames=2", "fakesink");
  g_auto (GStrv) each = g_strsplit (apart, "\n", -1), pairs = g_strsplit (together, "\n", -1);

  g_test_message ("a reference and each frame:\n%stwo frames together:\n%s", apart, together);
  g_assert_cmpuint (whole_n_lines (apart), ==, 2);
  g_assert_cmpuint (whole_n_lines (together), ==, 2);
  g_assert_cmpstr (pairs[0], ==, each[1]);
  g_assert_true (g_str_has_prefix (pairs[1], "infer 120000000 "));
#undef BALL
}

/* --- interruptions --- */

#define ENDLESS "videotestsrc ! video/x-raw,format=I420,width=640,height=480,framerate=25/1"

static void
test_stop_at_any_time (void)
{
  gint64 longest = 0;

  for (int i = 0; i < 12; i++) {
    GstElement *pipeline = pipeline_new (ENDLESS,
        i % 2 ? "max-queue=4 max-new-tokens=400" : "max-new-tokens=400", "fakesink");
    gint64 began;

    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    g_usleep ((gulong) i * 7000);
    began = g_get_monotonic_time ();
    whole_free (pipeline);
    longest = MAX (longest, g_get_monotonic_time () - began);
  }
  g_test_message ("stopped in %.1f ms at most", (double) longest / 1e3);
  g_assert_cmpint (longest, <, 5 * G_USEC_PER_SEC);
}

static void
test_seeks (void)
{
  GstElement *pipeline =
      pipeline_new (ENDLESS, "max-new-tokens=60 interval=100000000", "fakesink name=sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstMessage *m;

  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  g_assert_cmpint (gst_element_get_state (pipeline, NULL, NULL, 30 * GST_SECOND), ==,
      GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (int i = 0; i < 20; i++) {
    const gboolean flush = i % 3 != 0;

    if (!flush) /* such a seek waits for the sink, which must be playing */
      gst_element_get_state (pipeline, NULL, NULL, GST_CLOCK_TIME_NONE);
    g_assert_true (gst_element_seek_simple (pipeline, GST_FORMAT_TIME,
        flush ? GST_SEEK_FLAG_FLUSH : GST_SEEK_FLAG_NONE, (i * 7 % 20) * GST_SECOND));
    g_usleep ((gulong) (i % 5) * 4000);
  }
  gst_bus_set_flushing (bus, TRUE);
  gst_bus_set_flushing (bus, FALSE);
  m = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);
  g_assert_nonnull (m); /* and it goes on */
  g_assert_true (gst_message_has_name (m, "dsvl2-result"));
  gst_message_unref (m);
  whole_free (pipeline);
}

static void
test_properties_while_playing (void)
{
  GstElement *pipeline = pipeline_new (ENDLESS, "name=infer prompt=\"0\"", "fakesink");
  g_autoptr (GstElement) infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (int i = 1; i <= 8; i++) {
    g_autofree char *prompt = g_strdup_printf ("%d", i);
    gboolean seen = FALSE;

    g_object_set (infer, "prompt", prompt, "temperature", i / 8.0f, "top-k", i, "seed", (guint64) i,
        "cropping", i % 3, "max-tiles", i % 4, NULL);
    while (!seen) {
      GstMessage *m =
          gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);

      g_assert_nonnull (m);
      g_assert_true (gst_message_has_name (m, "dsvl2-result"));
      seen = g_str_equal (gst_structure_get_string (gst_message_get_structure (m), "prompt"), prompt);
      gst_message_unref (m);
    }
  }
  whole_free (pipeline);
}

/* --- how long frames stay in the element --- */

enum { LIVE_FRAMES = 75, WAITING_FRAMES = 3 };

typedef struct {
  GThread *thread; /* that brought the frame that is in the element */
  GstClockTime pts;
  gint64 entered;
  gint64 took[LIVE_FRAMES]; /* microseconds, shortest first once all have left */
  int n_in, n_out;
} Stay;

static GstPadProbeReturn
on_enter (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Stay *stay = data;

  g_assert_cmpint (stay->n_in, ==, stay->n_out);
  stay->n_in++;
  stay->thread = g_thread_self ();
  stay->pts = GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));
  stay->entered = g_get_monotonic_time ();
  return GST_PAD_PROBE_OK;
}

/* A frame leaves in the call that brought it, or else the two times would not be of one frame. */
static GstPadProbeReturn
on_leave (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Stay *stay = data;

  g_assert_cmpint (stay->n_out, <, LIVE_FRAMES);
  g_assert_true (g_thread_self () == stay->thread);
  g_assert_cmpuint (GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info)), ==, stay->pts);
  stay->took[stay->n_out++] = g_get_monotonic_time () - stay->entered;
  return GST_PAD_PROBE_OK;
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  const gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* The shortest time that the engine worked on one of these answers, in microseconds; `all` if there is none,
 * because the first would have taken longer than all this. */
static gint64
shortest_of (const GPtrArray *answers, gint64 all)
{
  gint64 shortest = all;

  for (guint i = 0; i < answers->len; i++) {
    const GstStructure *s = gst_message_get_structure (answers->pdata[i]);
    gint64 vision, prefill, decode;

    g_assert_true (gst_structure_get (s, "vision-us", G_TYPE_INT64, &vision, "prefill-us", G_TYPE_INT64,
        &prefill, "decode-us", G_TYPE_INT64, &decode, NULL));
    shortest = MIN (shortest, vision + prefill + decode);
  }
  return shortest;
}

/* Plays a camera of 30 frames a second; the stays of its frames, and the shortest time of an answer. */
static Stay *
stays_of (GstElement *pipeline, gint64 *shortest)
{
  g_autoptr (GstElement) infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  g_autoptr (GstPad) in = gst_element_get_static_pad (infer, "sink");
  g_autoptr (GstPad) out = gst_element_get_static_pad (infer, "src");
  Stay *stay = g_new0 (Stay, 1);
  const gint64 began = g_get_monotonic_time ();
  g_autoptr (GPtrArray) answers = NULL;

  gst_pad_add_probe (in, GST_PAD_PROBE_TYPE_BUFFER, on_enter, stay, NULL);
  gst_pad_add_probe (out, GST_PAD_PROBE_TYPE_BUFFER, on_leave, stay, NULL);
  answers = whole_play (pipeline);
  *shortest = shortest_of (answers, g_get_monotonic_time () - began);
  g_assert_cmpint (stay->n_in, ==, stay->n_out);
  qsort (stay->took, (gsize) stay->n_out, sizeof *stay->took, compare_times);
  g_test_message ("%d frames, %u answers of %.1f ms at least; in the element half less than %.3f ms, "
                  "nine in ten less than %.3f ms, the slowest %.3f ms",
      stay->n_out, answers->len, 1e-3 * (double) *shortest, 1e-3 * (double) stay->took[stay->n_out / 2],
      1e-3 * (double) stay->took[stay->n_out * 9 / 10], 1e-3 * (double) stay->took[stay->n_out - 1]);
  return stay;
}

static GstElement *
camera_new (int frames, const char *properties, const char *sink)
{
  g_autofree char *source =
      g_strdup_printf ("videotestsrc is-live=true num-buffers=%d ! "
                       "video/x-raw,format=I420,width=640,height=480,framerate=30/1",
          frames);

  return pipeline_new (source, properties, sink);
}

/* A live source, a model that cannot keep up: every frame arrives, in real time. No frame waits for an answer;
 * answers are long, so that a busy machine holds none up for as long. */
static void
test_live_source (void)
{
  GstElement *pipeline = camera_new (LIVE_FRAMES, "name=infer max-new-tokens=2000",
      "fakesink name=sink sync=true qos=true");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstElement) infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  gint64 shortest;
  g_autofree Stay *stay = stays_of (pipeline, &shortest);
  GstStructure *stats, *own;

  g_object_get (sink, "stats", &stats, NULL);
  g_object_get (infer, "stats", &own, NULL);
  g_test_message ("%" G_GUINT64_FORMAT " frames shown, %" G_GUINT64_FORMAT
                  " dropped by the sink, %" G_GUINT64_FORMAT " not analysed",
      test_uint64 (stats, "rendered"), test_uint64 (stats, "dropped"), test_uint64 (own, "skipped"));
  g_assert_cmpuint (test_uint64 (own, "frames"), ==, LIVE_FRAMES);
  g_assert_cmpuint (test_uint64 (stats, "rendered") + test_uint64 (stats, "dropped"), ==, LIVE_FRAMES);
  g_assert_cmpint (stay->n_out, ==, LIVE_FRAMES);
  g_assert_cmpint (stay->took[LIVE_FRAMES * 9 / 10], <, shortest / 10);
  g_assert_cmpint (stay->took[LIVE_FRAMES - 1], <, shortest);
  gst_structure_free (stats);
  gst_structure_free (own);
  whole_free (pipeline);
}

/* The same measure where frames do wait for their answers. */
static void
test_waiting_source (void)
{
  GstElement *pipeline = camera_new (WAITING_FRAMES, "name=infer mode=offline", "fakesink");
  gint64 shortest;
  g_autofree Stay *stay = stays_of (pipeline, &shortest);

  g_assert_cmpint (stay->n_out, ==, WAITING_FRAMES);
  g_assert_cmpint (stay->took[0], >=, shortest);
  whole_free (pipeline);
}

/* --- broken models --- */

/* A copy of the model, to be damaged. */
static char *
copy_model (void)
{
  const char *from = g_getenv ("DSVL2_TEST_MODEL"), *name;
  char *to = g_dir_make_tmp ("dsvl2-XXXXXX", NULL);
  g_autoptr (GDir) dir = g_dir_open (from, 0, NULL);

  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *a = g_build_filename (from, name, NULL), *b = g_build_filename (to, name, NULL);
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true (g_file_get_contents (a, &data, &size, NULL));
    g_assert_true (g_file_set_contents (b, data, (gssize) size, NULL));
  }
  return to;
}

static void
remove_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (folder, name, NULL);

    g_unlink (file);
  }
  g_rmdir (folder);
}

static void
test_broken_models (void)
{
  static const struct {
    const char *file;
    gssize keep; /* bytes of it; -1: the file goes */
    const char *says;
  } cases[] = {
    { "model-00001-of-000002.safetensors", 1000, "model-00001-of-000002.safetensors" },
    { "model-00002-of-000002.safetensors", 100000, "model-00002-of-000002.safetensors" },
    { "model-00002-of-000002.safetensors", 0, "model-00002-of-000002.safetensors" },
    { "model-00002-of-000002.safetensors", -1, "model-00002-of-000002.safetensors" },
    { "model.safetensors.index.json", 40, "model.safetensors.index.json" },
    { "config.json", 100, "config.json" },
    { "config.json", -1, "config.json" },
    { "tokenizer.json", 500, "tokenizer.json" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *folder = copy_model (), *file = g_build_filename (folder, cases[i].file, NULL);
    g_autofree char *data = NULL, *launch = NULL;
    g_autoptr (GError) error = NULL;
    g_autoptr (GstBus) bus = NULL;
    GstElement *pipeline;
    GstMessage *m;
    gsize size;

    g_assert_true (g_file_get_contents (file, &data, &size, NULL));
    if (cases[i].keep < 0)
      g_unlink (file);
    else
      g_assert_true (g_file_set_contents (file, data, MIN (cases[i].keep, (gssize) size), NULL));
    launch = g_strdup_printf ("videotestsrc num-buffers=1 ! dsvl2infer model=%s ! fakesink", folder);
    pipeline = gst_parse_launch (launch, NULL);
    bus = gst_element_get_bus (pipeline);
    g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
    m = test_message (bus, GST_MESSAGE_ERROR);
    gst_message_parse_error (m, &error, NULL);
    g_test_message ("%s cut to %d: %s", cases[i].file, (int) cases[i].keep, error->message);
    g_assert_true (error->domain == GST_RESOURCE_ERROR);
    g_assert_nonnull (strstr (error->message, cases[i].says));
    gst_message_unref (m);
    whole_free (pipeline);
    remove_folder (folder);
  }
}

int
main (int argc, char **argv)
{
  whole_init (&argc, &argv);
  g_test_add_func ("/pipeline/every-frame-is-answered", test_every_frame_is_answered);
  g_test_add_func ("/pipeline/prompts", test_prompts);
  g_test_add_func ("/pipeline/references", test_references);
  g_test_add_func ("/pipeline/frames-together", test_frames_together);
  g_test_add_func ("/pipeline/formats", test_formats_run);
  g_test_add_func ("/pipeline/state-cycles", test_state_cycles);
  g_test_add_func ("/pipeline/two-elements", test_two_elements);
  g_test_add_func ("/pipeline/stop-at-any-time", test_stop_at_any_time);
  g_test_add_func ("/pipeline/seeks", test_seeks);
  g_test_add_func ("/pipeline/properties-while-playing", test_properties_while_playing);
  g_test_add_func ("/pipeline/live-source", test_live_source);
  g_test_add_func ("/pipeline/waiting-source", test_waiting_source);
  g_test_add_func ("/pipeline/broken-models", test_broken_models);
  return whole_run_tests ();
}
