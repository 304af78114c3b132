/* dsvl2: dsvl2-annotate as a user meets it: files that play, lines that parse, mistakes that are told
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: test_annotate PROGRAM SOURCE-ROOT */
#include "program.h"
#include <gst/gst.h>
#include <math.h>
#include <signal.h>
#include <string.h>

static char *golden, *nano, *clips, *scratch;

enum { N_FRAMES = 20, WIDTH = 161, HEIGHT = 97 }; /* odd, as some videos are */

static char *
scratch_file (const char *name)
{
  return g_build_filename (scratch, name, NULL);
}

/* Runs a launch line to its end; the number of buffers that reached the element "counted", if any. */
static void
count_buffer (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer counter)
{
  g_atomic_int_inc ((int *) counter);
}

static int
run_pipeline (const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (text, &error);
  g_autoptr (GstElement) sink = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  int n = 0;

  g_assert_no_error (error);
  if ((sink = gst_bin_get_by_name (GST_BIN (pipeline), "counted")) != NULL) {
    g_object_set (sink, "signal-handoffs", TRUE, "sync", FALSE, NULL);
    g_signal_connect (sink, "handoff", G_CALLBACK (count_buffer), &n);
  }
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  bus = gst_element_get_bus (pipeline);
  message = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
  g_assert_nonnull (message);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, NULL);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_no_error (error);
  return n;
}

/* Decoded buffers of a file's video or audio. */
static int
count_frames (const char *path, const char *type)
{
  g_autofree char *text =
      g_strdup_printf ("filesrc location=\"%s\" ! decodebin ! %s/x-raw ! fakesink name=counted", path,
          type);

  return run_pipeline (text);
}

static void
make_input (const char *path, gboolean video, gboolean audio)
{
  g_autofree char *text = g_strdup_printf ("webmmux name=mux ! filesink location=\"%s\" %s %s", path,
      video ? "videotestsrc num-buffers=20 ! video/x-raw,width=161,height=97,framerate=10/1 ! "
              "vp8enc deadline=1 ! queue ! mux."
            : "",
      audio
          ? "audiotestsrc num-buffers=94 samplesperbuffer=1024 ! audioconvert ! opusenc ! queue ! mux."
          : "");

  run_pipeline (text);
}

static GPtrArray *
golden_argv (void)
{
  GPtrArray *argv = program_argv ();

  program_add (argv, "--model", golden, "--set", "max-new-tokens=3", "--prompt", "x", NULL);
  return argv;
}

/* Every container, with sound: as many frames as went in, and each line says what it should. */
static void
test_container (gconstpointer ending)
{
  g_autofree char *name = g_strconcat ("out", ending, NULL);
  g_autofree char *in = scratch_file ("in.webm"), *out = scratch_file (name);
  GPtrArray *argv = golden_argv ();

  make_input (in, TRUE, TRUE);
  program_add (argv, "--interval", "0.5", "--json", "-", "--quiet", in, out, NULL);
  g_auto (Outcome) o = program_run (argv, NULL);
  g_test_message ("%s%s", o.out, o.error);
  g_assert_cmpint (o.status, ==, 0);
  g_assert_cmpint (count_frames (out, "video"), ==, N_FRAMES);
  g_assert_cmpint (count_frames (out, "audio"), >, 0);

  g_auto (GStrv) lines = g_strsplit (g_strstrip (o.out), "\n", -1);
  g_assert_cmpint (g_strv_length (lines), ==, 4); /* 0, 0.5, 1, 1.5 s */
  for (gint64 i = 0; i < 4; i++) {
    g_autoptr (JsonNode) root = parse_json (lines[i]);
    JsonObject *line = json_node_get_object (root);
    JsonObject *resolution = json_object_get_object_member (line, "resolution");

    g_assert_cmpint (json_object_get_int_member (resolution, "width"), ==, WIDTH);
    g_assert_cmpint (json_object_get_int_member (resolution, "height"), ==, HEIGHT);
    g_assert_cmpstr (json_object_get_string_member (line, "source"), ==, in);
    g_assert_cmpstr (json_object_get_string_member (line, "prompt"), ==, "x");
    g_assert_cmpint (json_object_get_int_member (line, "timestamp"), ==, i * 500000000);
    g_assert_cmpint (json_object_get_int_member (line, "seen_pts"), ==, i * 500000000);
    g_assert_true (json_object_has_member (line, "objects"));
    g_assert_true (json_object_has_member (line, "caption"));
  }
}

static char *
lines_of (const char *in, const char *out, const char *option)
{
  GPtrArray *argv = golden_argv ();
  Outcome o;

  program_add (argv, "--interval", "0.5", "--json", "-", "--quiet", in, out, option, NULL);
  o = program_run (argv, NULL);
  g_assert_cmpint (o.status, ==, 0);
  g_free (o.error);
  return o.out;
}

/* The same video and prompt give the same bytes; how long it took is written on request. */
static void
test_same_lines (void)
{
  g_autofree char *in = scratch_file ("in.webm"), *out = scratch_file ("out.webm");
  g_autofree char *first = NULL, *again = NULL, *timed = NULL;

  make_input (in, TRUE, FALSE);
  first = lines_of (in, out, NULL);
  again = lines_of (in, out, NULL);
  timed = lines_of (in, out, "--timings");
  g_test_message ("%s%s", first, timed);
  g_assert_cmpstr (first, ==, again);
  g_assert_null (strstr (first, "timings_ms"));
  g_assert_nonnull (strstr (timed, "timings_ms"));
}

typedef struct {
  const char *name,
      *arguments; /* words parted by '|', behind the model and the prompt; %V a video, %A a
                                 * file of sound alone, %L a text that is too long, %O where to write */
  int status;
  const char *error;
} Mistake;

static const Mistake mistakes[] = {
  { "no-files", "--quiet", 2, "INPUT and OUTPUT" },
  { "one-file", "%V", 2, "INPUT and OUTPUT" },
  { "option", "--colour|%V|%O", 2, "--colour" },
  { "interval", "--interval|often|%V|%O", 2, "often" },
  { "ending", "%V|/tmp/out.gif", 1, "out.gif" },
  { "no-input", "/nowhere.mp4|%O", 1, "/nowhere.mp4" },
  { "no-folder", "%V|/nowhere/out.webm", 1, "/nowhere/out.webm" },
  { "no-video", "%A|%O", 1, "no video" },
  { "no-media", "/proc/self/status|%O", 1, "dsvl2-annotate: " },
  { "model", "--model|/nowhere|%V|%O", 1, "/nowhere" },
  { "property", "--set|colour=red|%V|%O", 1, "colour=red" },
  { "value", "--set|max-tiles=many|%V|%O", 1, "max-tiles=many" },
  { "lines", "--json|/nowhere/a.jsonl|%V|%O", 1, "/nowhere/a.jsonl" },
  { "unanswered", "--prompt|%L|%V|%O", 1, "is written, but" },
};

static void
test_mistake (gconstpointer data)
{
  const Mistake *m = data;
  g_auto (GStrv) words = g_strsplit (m->arguments, "|", -1);
  g_autofree char *video = scratch_file ("in.webm"), *audio = scratch_file ("sound.webm");
  g_autofree char *out = scratch_file ("out.webm"), *long_text = g_strnfill (20000, 'x');
  GPtrArray *argv = golden_argv ();

  make_input (video, TRUE, FALSE);
  make_input (audio, FALSE, TRUE);
  for (guint i = 0; words[i] != NULL; i++)
    program_add (argv,
        g_str_equal (words[i], "%V")   ? video
        : g_str_equal (words[i], "%A") ? audio
        : g_str_equal (words[i], "%L") ? long_text
        : g_str_equal (words[i], "%O") ? out
                                       : words[i],
        NULL);
  g_auto (Outcome) o = program_run (argv, NULL);
  g_test_message ("status %d, standard error: %s", o.status, o.error);
  g_assert_cmpint (o.status, ==, m->status);
  g_assert_nonnull (strstr (o.error, m->error));
  g_assert_null (strstr (o.error, "CRITICAL"));
}

/* Ctrl-C in the middle of a long video: status 0, a file that plays and is shorter. */
static void
test_interrupt (void)
{
  g_autofree char *in = scratch_file ("long.webm"), *out = scratch_file ("short.webm");
  g_autofree char *make =
      g_strdup_printf ("videotestsrc num-buffers=3000 ! video/x-raw,width=%d,height=%d,framerate=10/1 "
                       "! vp8enc deadline=1 "
                       "! webmmux ! filesink location=\"%s\"",
          WIDTH, HEIGHT, in);
  GPtrArray *argv = golden_argv ();
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;

  run_pipeline (make);
  program_add (argv, "--json", "-", "--quiet", in, out, NULL);
  g_ptr_array_add (argv, NULL);
  g_autoptr (GSubprocess) child =
      g_subprocess_newv ((const char *const *) argv->pdata, G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
  g_assert_no_error (error);
  g_autoptr (GDataInputStream) lines = g_data_input_stream_new (g_subprocess_get_stdout_pipe (child));
  line = g_data_input_stream_read_line (lines, NULL, NULL, &error);
  g_assert_nonnull (line);
  g_subprocess_send_signal (child, SIGINT);
  do
    g_free (line);
  while ((line = g_data_input_stream_read_line (lines, NULL, NULL, &error)) != NULL);
  g_subprocess_wait (child, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (child));
  g_assert_cmpint (g_subprocess_get_exit_status (child), ==, 0);
  g_ptr_array_unref (argv);

  const int n = count_frames (out, "video");
  g_test_message ("%d of 3000 frames", n);
  g_assert_cmpint (n, >, 0);
  g_assert_cmpint (n, <, 3000);
}

/* --- what the nano model finds --- */

static double
box_side (JsonObject *box, const char *from, const char *length, JsonObject *other)
{
  const double a = (double) json_object_get_int_member (box, from);
  const double b = (double) json_object_get_int_member (other, from);
  const double a_end = a + (double) json_object_get_int_member (box, length);
  const double b_end = b + (double) json_object_get_int_member (other, length);

  return MAX (0, MIN (a_end, b_end) - MAX (a, b));
}

static double
area (JsonObject *box)
{
  return (double) (json_object_get_int_member (box, "w") * json_object_get_int_member (box, "h"));
}

static gboolean
overlap (JsonObject *a, JsonObject *b)
{
  const double common = box_side (a, "x", "w", b) * box_side (a, "y", "h", b);

  return common / (area (a) + area (b) - common) >= 0.5;
}

/* The truth about the frame at `timestamp`, from the clip's own lines. */
static JsonArray *
truth_at (JsonArray *truth, gint64 timestamp)
{
  for (guint i = 0; i < json_array_get_length (truth); i++) {
    JsonObject *frame = json_array_get_object_element (truth, i);

    if (ABS (json_object_get_int_member (frame, "timestamp") - timestamp) < GST_MSECOND)
      return json_object_get_array_member (frame, "objects");
  }
  g_assert_not_reached ();
}

static JsonNode *
read_lines (const char *path)
{
  g_autofree char *text = NULL;
  g_autofree char *array = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (g_strstrip (text), "\n", -1);
  g_autofree char *joined = g_strjoinv (",", lines);
  array = g_strconcat ("[", joined, "]", NULL);
  return parse_json (array);
}

static void
test_nano_finds_cars (void)
{
  g_autofree char *in = g_build_filename (clips, "still.webm", NULL);
  g_autofree char *truth_path = g_build_filename (clips, "still.jsonl", NULL);
  g_autofree char *out = scratch_file ("cars.webm"), *json = scratch_file ("cars.jsonl");
  g_autofree char *png = scratch_file ("cars.png");
  g_autoptr (JsonNode) truth = read_lines (truth_path);
  GPtrArray *argv = program_argv ();
  guint cars = 0, found = 0, boxes = 0;

  program_add (argv, "--model", nano, "--prompt", "find cars", "--interval", "0.5", "--json", json,
      "--picture", png, in, out, NULL);
  g_auto (Outcome) o = program_run (argv, NULL);
  g_test_message ("%s", o.error);
  g_assert_cmpint (o.status, ==, 0);
  g_assert_true (g_file_test (png, G_FILE_TEST_IS_REGULAR));

  g_autoptr (JsonNode) answers = read_lines (json);
  JsonArray *frames = json_node_get_array (answers);
  for (guint i = 0; i < json_array_get_length (frames); i++) {
    JsonObject *frame = json_array_get_object_element (frames, i);
    JsonArray *objects = json_object_get_array_member (frame, "objects");
    JsonArray *there =
        truth_at (json_node_get_array (truth), json_object_get_int_member (frame, "timestamp"));

    boxes += json_array_get_length (objects);
    for (guint j = 0; j < json_array_get_length (there); j++) {
      JsonObject *object = json_array_get_object_element (there, j);
      gboolean seen = FALSE;

      if (strcmp (json_object_get_string_member (object, "roi_type"), "car") != 0)
        continue;
      for (guint k = 0; k < json_array_get_length (objects); k++)
        seen |= overlap (object, json_array_get_object_element (objects, k));
      cars++;
      found += seen;
    }
  }
  g_test_message ("%u frames: %u of %u cars found, %u boxes", json_array_get_length (frames), found,
      cars, boxes);
  g_assert_cmpint (cars, >, 0);
  g_assert_cmpfloat (found, >=, 0.8 * cars);
  g_assert_cmpfloat (found, >=, 0.8 * boxes);
}

static void
remove_scratch (void)
{
  g_autoptr (GDir) dir = g_dir_open (scratch, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = scratch_file (name);

    g_remove (path);
  }
  g_rmdir (scratch);
}

int
main (int argc, char **argv)
{
  static const char *const endings[] = { ".webm", ".mp4", ".mkv" };
  int status;

  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_assert_cmpint (argc, ==, 3);
  program_path = argv[1];
  golden = g_build_filename (argv[2], "tests", "golden", "data", "mha-softmax", NULL);
  nano = g_build_filename (argv[2], "models", "nano", "hf", NULL);
  clips = g_build_filename (argv[2], "tests", "golden", "clips", NULL);
  scratch = g_dir_make_tmp ("dsvl2-test-XXXXXX", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++) {
    g_autofree char *name = g_strdup_printf ("/annotate/container%s", endings[i]);

    g_test_add_data_func (name, endings[i], test_container);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (mistakes); i++) {
    g_autofree char *name = g_strdup_printf ("/annotate/mistake/%s", mistakes[i].name);

    g_test_add_data_func (name, &mistakes[i], test_mistake);
  }
  g_test_add_func ("/annotate/same-lines", test_same_lines);
  g_test_add_func ("/annotate/interrupt", test_interrupt);
  g_test_add_func ("/annotate/nano-finds-cars", test_nano_finds_cars);
  status = g_test_run ();
  remove_scratch ();
  return status;
}
