/* dsvl2: dsvl2json in pipelines with the real engine: files, sockets, branches, twice the same bytes
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * DSVL2_TEST_MODEL names the model's folder, GST_PLUGIN_PATH that of the plugin. */
#include "whole.h"
#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

enum { N_FRAMES = 6, N_ANSWERS = 3 };

static GstElement *
pipeline_new (const char *properties, const char *rest)
{
  g_autofree char *text =
      g_strdup_printf ("videotestsrc pattern=ball num-buffers=%d ! "
                       "video/x-raw,format=I420,width=64,height=48,framerate=10/1 ! "
                       "dsvl2infer model=%s max-new-tokens=6 interval=200000000 %s ! %s",
          N_FRAMES, g_getenv ("DSVL2_TEST_MODEL"), properties, rest);

  return whole_new (text);
}

static void
finish (GstElement *pipeline)
{
  g_ptr_array_unref (whole_play (pipeline));
  whole_free (pipeline);
}

static void
run (const char *properties, const char *rest)
{
  finish (pipeline_new (properties, rest));
}

/* As many lines, each an answer at its time. */
static void
check_lines (const char *text, guint n)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  g_test_message ("%s", text);
  g_assert_cmpuint (g_strv_length (lines), ==, n + 1);
  g_assert_cmpstr (lines[n], ==, "");
  for (guint i = 0; i < n; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) line = json_from_string (lines[i], &error);

    g_assert_no_error (error);
    g_assert_cmpint (json_object_get_int_member (json_node_get_object (line), "timestamp"), ==,
        (gint64) i * 200000000);
  }
}

/* --- the same every time --- */

/* What is asked and how. `n` lines come, which are not those of the row before, so that the setting counts. */
static const struct {
  const char *what, *properties;
  guint n;
} same_cases[] = {
  { "one prompt", "", N_ANSWERS },
  { "three prompts", "prompts=\"What is it?;Where is it?;find the ball\"", 3 * N_ANSWERS },
  { "history", "history=2", N_ANSWERS },
  { "frames together", "frames=3", 1 },
  { "frames together, the last group is short", "frames=2", 2 },
  { "two regions", "roi=\"0,0,50%,100%;50%,0,50%,100%\"", 2 * N_ANSWERS },
  { "two regions that must change", "interval=0 roi=\"0,0,50%,40%;50%,0,50%,40%\" change-threshold=0.1",
      4 },
  { "dice", "temperature=1.5 seed=7", N_ANSWERS },
  { "other dice", "temperature=1.5 seed=8", N_ANSWERS },
  { "dice with the best of few", "temperature=1.5 seed=7 top-k=20 top-p=0.9 repetition-penalty=1.2",
      N_ANSWERS },
  { "all of it",
      "prompts=\"What is it?;find the ball\" history=2 frames=2 temperature=0.8 seed=7 "
      "roi=\"0,0,50%,100%;50%,0,50%,100%\"",
      8 },
};

static void
test_same_bytes (void)
{
  static const char *const ways[] = { "", "max-queue=4", "threads=1", "prefill-chunk=7" };
  g_autofree char *path = whole_file ("a.jsonl");
  g_autofree char *rest = g_strdup_printf ("dsvl2json source=ball ! filesink location=\"%s\"", path);
  g_autofree char *before = g_strdup ("");

  for (gsize c = 0; c < G_N_ELEMENTS (same_cases); c++) {
    g_autofree char *first = NULL;

    run (same_cases[c].properties, rest);
    first = whole_read (path);
    g_test_message ("%s: %s\n%s", same_cases[c].what, same_cases[c].properties, first);
    g_assert_cmpuint (whole_n_lines (first), ==, same_cases[c].n);
    g_assert_cmpstr (first, !=, before);
    for (gsize i = 0; i < G_N_ELEMENTS (ways); i++) {
      g_autofree char *properties = g_strconcat (same_cases[c].properties, " ", ways[i], NULL);
      g_autofree char *again = NULL;

      run (properties, rest);
      again = whole_read (path);
      g_test_message ("again with \"%s\": %s", ways[i], strcmp (again, first) == 0 ? "same" : "other");
      g_assert_cmpstr (again, ==, first);
    }
    g_free (before);
    before = g_steal_pointer (&first);
  }
}

/* --- where lines go --- */

/* Downstream of elements that change the frames; the sink has to preroll before there is a line. */
static void
test_behind_others (void)
{
  g_autofree char *path = whole_file ("b.jsonl");
  g_autofree char *rest =
      g_strdup_printf ("videoscale ! video/x-raw,width=32,height=24 ! queue ! dsvl2overlay ! "
                       "videoconvert ! video/x-raw,format=RGB ! "
                       "dsvl2json ! filesink location=\"%s\"",
          path);
  g_autofree char *text = NULL;

  run ("", rest);
  text = whole_read (path);
  check_lines (text, N_ANSWERS);
  g_assert_nonnull (strstr (text, "{\"width\":64,\"height\":48}")); /* of the frame that was seen */
}

static void
test_tee (void)
{
  g_autofree char *path = whole_file ("c.jsonl");
  g_autofree char *rest =
      g_strdup_printf ("tee name=t ! queue ! dsvl2overlay ! videoconvert ! fakesink "
                       "t. ! queue ! dsvl2json ! filesink location=\"%s\"",
          path);
  g_autofree char *text = NULL;

  run ("", rest);
  text = whole_read (path);
  check_lines (text, N_ANSWERS);
}

static void
test_multifilesink (void)
{
  g_autofree char *pattern = whole_file ("line-%d.json");
  g_autofree char *rest =
      g_strdup_printf ("dsvl2json ! multifilesink next-file=buffer location=\"%s\"", pattern);
  guint n = 0;

  run ("", rest);
  for (;; n++) {
    g_autofree char *name = g_strdup_printf ("line-%u.json", n), *path = whole_file (name);
    g_autofree char *text = NULL;
    g_autoptr (JsonNode) line = NULL;

    if (!g_file_get_contents (path, &text, NULL, NULL))
      break;
    g_test_message ("%s: %s", name, text);
    line = json_from_string (text, NULL);
    g_assert_nonnull (line);
  }
  g_assert_cmpuint (n, ==, N_ANSWERS);
}

/* One after the other comes out of an appsink that stays in step with the video's clock. */
static void
test_appsink (void)
{
  GstElement *pipeline = pipeline_new ("", "dsvl2json ! appsink name=sink sync=true");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  guint n = 0;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (;; n++) {
    GstSample *sample = NULL;

    g_signal_emit_by_name (sink, "pull-sample", &sample);
    if (sample == NULL)
      break;
    g_test_message ("%" GST_TIME_FORMAT,
        GST_TIME_ARGS (GST_BUFFER_PTS (gst_sample_get_buffer (sample))));
    g_assert_cmpuint (GST_BUFFER_PTS (gst_sample_get_buffer (sample)), ==, n * 200 * GST_MSECOND);
    g_assert_cmpuint (GST_BUFFER_DURATION (gst_sample_get_buffer (sample)), ==, 100 * GST_MSECOND);
    gst_sample_unref (sample);
  }
  finish (pipeline);
  g_assert_cmpuint (n, ==, N_ANSWERS);
}

/* Whoever connects reads on from there. */
static void
test_socket (void)
{
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("videotestsrc is-live=true ! dsvl2json add-empty-results=true ! "
                        "tcpserversink name=sink host=127.0.0.1 port=0",
          NULL);
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GDataInputStream) lines = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;
  g_autoptr (JsonNode) node = NULL;
  int port;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  g_object_get (sink, "current-port", &port, NULL);
  connection = g_socket_client_connect_to_host (client, "127.0.0.1", (guint16) port, NULL, &error);
  g_assert_no_error (error);
  lines = g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  line = g_data_input_stream_read_line (lines, NULL, NULL, &error);
  g_assert_no_error (error);
  g_test_message ("%s", line);
  node = json_from_string (line, &error);
  g_assert_no_error (error);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* As a program that was not written for it reads: from a pipe. */
static void
test_pipe (void)
{
  int ends[2];
  g_autofree char *rest = NULL;
  char text[4096];
  gssize n, size = 0;

  g_assert_cmpint (pipe (ends), ==, 0);
  rest = g_strdup_printf ("dsvl2json ! fdsink fd=%d", ends[1]);
  run ("", rest);
  close (ends[1]);
  while ((n = read (ends[0], text + size, sizeof (text) - 1 - (gsize) size)) > 0)
    size += n;
  close (ends[0]);
  text[size] = '\0';
  check_lines (text, N_ANSWERS);
}

/* Without dsvl2infer there is nothing to write, and nothing to wait for. */
static void
test_alone (void)
{
  g_autofree char *path = whole_file ("d.jsonl");
  g_autofree char *text = g_strdup_printf ("videotestsrc num-buffers=3 ! dsvl2json ! "
                                           "filesink location=\"%s\"",
      path);
  g_autofree char *written = NULL;

  g_ptr_array_unref (whole_play_once (text));
  written = whole_read (path);
  g_assert_cmpstr (written, ==, "");
}

int
main (int argc, char **argv)
{
  whole_init (&argc, &argv);
  g_test_add_func ("/json/same-bytes", test_same_bytes);
  g_test_add_func ("/json/behind-others", test_behind_others);
  g_test_add_func ("/json/tee", test_tee);
  g_test_add_func ("/json/multifilesink", test_multifilesink);
  g_test_add_func ("/json/appsink", test_appsink);
  g_test_add_func ("/json/socket", test_socket);
  g_test_add_func ("/json/pipe", test_pipe);
  g_test_add_func ("/json/alone", test_alone);
  return whole_run_tests ();
}
