/* dsvl2: sixteen streams in one process, with the plugin and the real engine on the golden random model and on nano
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * DSVL2_TEST_MODEL names the model's folder, DSVL2_TEST_ROOT the source folder, GST_PLUGIN_PATH that of the plugin. */
#include "harness.h"
#include "whole.h"
#include <string.h>

enum { STREAMS = 16, FRAMES = 3 };

/* One stream of its own video and prompt, and its answers as they come, a line each. */
typedef struct {
  GstElement *pipeline;
  GString *answers;
  guint n;
} Stream;

static Stream
stream_new (int i, const char *before, const char *properties)
{
  g_autofree char *launch =
      g_strdup_printf ("videotestsrc pattern=%d num-buffers=%d ! "
                       "video/x-raw,format=I420,width=96,height=64,framerate=25/1 "
                       "%s ! dsvl2infer model=%s max-new-tokens=%d prompt=\"What is in picture %d?\" "
                       "%s "
                       "! fakesink name=sink signal-handoffs=true",
          i, FRAMES, before, g_getenv ("DSVL2_TEST_MODEL"), 4 + i, i, properties);

  return (Stream){ whole_new (launch), g_string_new (NULL) };
}

/* The same of a clip of nano's world. There are as many kinds of it as clips and prompts can be combined. */
enum { CLIPS = 3, PROMPTS = 4 };

static Stream
clip_stream_new (int kind)
{
  static const char *const clips[CLIPS] = { "still", "pan", "cut" };
  static const char *const prompts[PROMPTS] = { "find cars", "find people", "How many cars are there?",
    "<|grounding|>Describe this image." };
  g_autofree char *clip = g_strdup_printf ("tests/golden/clips/%s.webm", clips[kind % CLIPS]);
  g_autofree char *path = whole_source_file (clip), *model = whole_source_file ("models/nano/hf");
  g_autofree char *launch =
      g_strdup_printf ("filesrc location=\"%s\" ! decodebin ! videoconvert ! "
                       "dsvl2infer model=\"%s\" prompt=\"%s\" interval=1200000000 ! fakesink",
          path, model, prompts[kind / CLIPS]);

  return (Stream){ whole_new (launch), g_string_new (NULL) };
}

static void
stream_free (Stream *s)
{
  whole_free (s->pipeline);
  g_string_free (s->answers, TRUE);
}

/* Takes in what the stream says until it has ended, or said `n` answers. */
static GstMessageType
listen (Stream *s, guint n)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (s->pipeline);
  GstMessageType type = GST_MESSAGE_ELEMENT;

  while (type == GST_MESSAGE_ELEMENT && s->n < n) {
    g_autoptr (GstMessage) m = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND,
        GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);

    g_assert_nonnull (m);
    type = GST_MESSAGE_TYPE (m);
    if (gst_message_has_name (m, "dsvl2-result")) {
      const GstStructure *r = gst_message_get_structure (m);

      g_string_append_printf (s->answers, "%" G_GUINT64_FORMAT " %s: %s\n", test_uint64 (r, "seen-pts"),
          gst_structure_get_string (r, "prompt"), gst_structure_get_string (r, "text"));
      s->n++;
    }
  }
  return type;
}

/* What a stream is answered when nothing else runs; takes it. */
static char *
play_alone (Stream s, guint n)
{
  char *answers;

  gst_element_set_state (s.pipeline, GST_STATE_PLAYING);
  g_assert_cmpint (listen (&s, G_MAXUINT), ==, GST_MESSAGE_EOS);
  g_assert_cmpuint (s.n, ==, n);
  answers = g_strdup (s.answers->str);
  stream_free (&s);
  return answers;
}

static void
run_alone (char *alone[STREAMS])
{
  for (int i = 0; i < STREAMS; i++)
    alone[i] = play_alone (stream_new (i, "", ""), FRAMES);
}

/* Engines of this process: threads with the name of their worker. */
static int
count_engines (void)
{
  GDir *tasks = g_dir_open ("/proc/self/task", 0, NULL);
  const char *task;
  int n = 0;

  while ((task = g_dir_read_name (tasks)) != NULL) {
    g_autofree char *path = g_build_filename ("/proc/self/task", task, "comm", NULL), *name = NULL;

    n += g_file_get_contents (path, &name, NULL, NULL) && g_str_equal (name, "dsvl2\n");
  }
  g_dir_close (tasks);
  return n;
}

/* The same once there is one: a thread names itself when it begins to run. */
static int
wait_for_engines (void)
{
  for (int tries = 0; count_engines () == 0 && tries < 1000; tries++)
    g_usleep (1000);
  return count_engines ();
}

/* All at once, under several ways to share: the same answers as alone, from one engine. */
static void
test_together (void)
{
  static const char *const ways[] = { "", "max-queue=3", "priority=%d", "max-sequences=3 max-queue=3",
    "kv-cache-size=262144 max-queue=1 priority=%d", "prefill-chunk=9 threads=2" };
  char *alone[STREAMS];

  run_alone (alone);
  for (gsize k = 0; k < G_N_ELEMENTS (ways); k++) {
    Stream stream[STREAMS];

    for (int i = 0; i < STREAMS; i++) {
      g_autofree char *priority = g_strdup_printf ("priority=%d", i % 3);
      g_auto (GStrv) parts = g_strsplit (ways[k], "priority=%d", -1);
      g_autofree char *properties = g_strjoinv (priority, parts);

      stream[i] = stream_new (i, "", properties);
      gst_element_set_state (stream[i].pipeline, GST_STATE_PAUSED);
    }
    g_assert_cmpint (wait_for_engines (), ==, 1);
    for (int i = 0; i < STREAMS; i++)
      gst_element_set_state (stream[i].pipeline, GST_STATE_PLAYING);
    for (int i = 0; i < STREAMS; i++) {
      g_assert_cmpint (listen (&stream[i], G_MAXUINT), ==, GST_MESSAGE_EOS);
      g_assert_cmpstr (stream[i].answers->str, ==, alone[i]);
    }
    for (int i = 0; i < STREAMS; i++)
      stream_free (&stream[i]);
    g_assert_cmpint (count_engines (), ==, 0);
    g_test_message ("\"%s\": %d streams, one engine, the same answers", ways[k], STREAMS);
  }
  for (int i = 0; i < STREAMS; i++)
    g_free (alone[i]);
}

/* Sixteen clips of a model that sees, each answered as if it were alone. */
static void
test_clips (void)
{
  char *alone[CLIPS * PROMPTS];
  Stream stream[STREAMS];

  for (int kind = 0; kind < CLIPS * PROMPTS; kind++)
    alone[kind] = play_alone (clip_stream_new (kind), 2);
  for (int i = 0; i < STREAMS; i++) {
    stream[i] = clip_stream_new (i % (CLIPS * PROMPTS));
    gst_element_set_state (stream[i].pipeline, GST_STATE_PAUSED);
  }
  g_assert_cmpint (wait_for_engines (), ==, 1);
  for (int i = 0; i < STREAMS; i++)
    gst_element_set_state (stream[i].pipeline, GST_STATE_PLAYING);
  for (int i = 0; i < STREAMS; i++) {
    g_assert_cmpint (listen (&stream[i], G_MAXUINT), ==, GST_MESSAGE_EOS);
    g_test_message ("%s", stream[i].answers->str);
    g_assert_cmpstr (stream[i].answers->str, ==, alone[i % (CLIPS * PROMPTS)]);
  }
  for (int i = 0; i < STREAMS; i++)
    stream_free (&stream[i]);
  for (int kind = 0; kind < CLIPS * PROMPTS; kind++)
    g_free (alone[kind]);
}

/* Where a stream downstream stands still. */
static struct {
  GMutex lock;
  GCond changed;
  gboolean go;
} gate;

static void
stand_still (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
  g_mutex_lock (&gate.lock);
  while (!gate.go)
    g_cond_wait (&gate.changed, &gate.lock);
  g_mutex_unlock (&gate.lock);
}

static void
stall (Stream *s)
{
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (s->pipeline), "sink");

  g_signal_connect (sink, "handoff", G_CALLBACK (stand_still), NULL);
}

/* One stream stands still downstream, one fails, one has a prompt that cannot be asked, and one is stopped in
 * the middle: the twelve others do not notice. */
static void
test_bad_neighbours (void)
{
  enum { STALLS = 2, FAILS = 5, REFUSED = 8, STOPS = 11 };
  Stream stream[STREAMS];
  char *alone[STREAMS];
  int n = 0;

  run_alone (alone);
  for (int i = 0; i < STREAMS; i++)
    stream[i] = stream_new (i, i == FAILS ? "! identity error-after=2" : "",
        i == REFUSED ? "prompt=\"<image> <image>\""
        : i == STOPS ? "max-new-tokens=2000"
                     : "max-queue=1");
  stall (&stream[STALLS]);
  for (int i = 0; i < STREAMS; i++)
    gst_element_set_state (stream[i].pipeline, GST_STATE_PLAYING);
  g_assert_cmpint (wait_for_engines (), ==, 1);
  gst_element_set_state (stream[STOPS].pipeline, GST_STATE_NULL);
  g_assert_cmpint (listen (&stream[FAILS], G_MAXUINT), ==, GST_MESSAGE_ERROR);
  g_assert_cmpint (listen (&stream[REFUSED], G_MAXUINT), ==, GST_MESSAGE_WARNING);
  gst_element_set_state (stream[FAILS].pipeline, GST_STATE_NULL);
  for (int i = 0; i < STREAMS; i++) {
    if (i == STALLS || i == FAILS || i == REFUSED || i == STOPS)
      continue;
    g_assert_cmpint (listen (&stream[i], G_MAXUINT), ==, GST_MESSAGE_EOS);
    g_assert_cmpstr (stream[i].answers->str, ==, alone[i]);
    n++;
  }
  g_test_message ("%d streams have the answers that they have alone", n);
  g_assert_cmpuint (stream[STALLS].n, <, FRAMES);

  /* and the one that stood still goes on where it was */
  g_mutex_lock (&gate.lock);
  gate.go = TRUE;
  g_cond_broadcast (&gate.changed);
  g_mutex_unlock (&gate.lock);
  g_assert_cmpint (listen (&stream[STALLS], G_MAXUINT), ==, GST_MESSAGE_EOS);
  g_assert_cmpstr (stream[STALLS].answers->str, ==, alone[STALLS]);
  for (int i = 0; i < STREAMS; i++) {
    stream_free (&stream[i]);
    g_free (alone[i]);
  }
}

int
main (int argc, char **argv)
{
  whole_init (&argc, &argv);
  g_test_add_func ("/streams/together", test_together);
  g_test_add_func ("/streams/clips", test_clips);
  g_test_add_func ("/streams/bad-neighbours", test_bad_neighbours);
  return whole_run_tests ();
}
