/* dsvl2: text of dsvl2infer in elements that write, mux and show it: their cues are the answers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * DSVL2_TEST_ROOT is the source folder, GST_PLUGIN_PATH that of the plugin. */
#include "harness.h"
#include "whole.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MS = 1000000, FRAME = 100 * MS, INTERVAL = 500 * MS };

typedef struct {
  gint64 start, stop; /* ns; stop −1: not known */
  char *text;
} Said;

static void
said_clear (gpointer said)
{
  g_free (((Said *) said)->text);
}

static GArray *
said_new (void)
{
  GArray *all = g_array_new (FALSE, FALSE, sizeof (Said));

  g_array_set_clear_func (all, said_clear);
  return all;
}

static void
add_said (GArray *all, gint64 start, gint64 stop, const char *text)
{
  const Said said = { start, stop, g_strdup (text) };

  g_array_append_val (all, said);
}

/* What was answered when. */
static GArray *
said_in (const GPtrArray *results)
{
  GArray *all = said_new ();

  for (guint i = 0; i < results->len; i++) {
    const GstStructure *s = gst_message_get_structure (results->pdata[i]);

    add_said (all, (gint64) test_uint64 (s, "seen-pts"), -1, gst_structure_get_string (s, "caption"));
  }
  return all;
}

/* The nano model about a clip with two cuts: its text goes where `rest` says, its video to "i.". */
static GArray *
run_clip (const char *rest)
{
  g_autofree char *clip = whole_source_file ("tests/golden/clips/cut.webm");
  g_autofree char *model = whole_source_file ("models/nano/hf");
  g_autofree char *text =
      g_strdup_printf ("filesrc location=\"%s\" ! decodebin ! videoconvert ! dsvl2infer name=i "
                       "model=\"%s\" "
                       "prompt=\"<|grounding|>Describe this image.\" interval=%d %s",
          clip, model, INTERVAL, rest);
  g_autoptr (GPtrArray) results = whole_play_once (text);

  return said_in (results);
}

/* Each answer is said once, from its frame to the next one's. */
static void
check_cues (GArray *answers, GArray *cues)
{
  g_assert_cmpuint (answers->len, ==, 5);
  for (guint i = 0; i < MIN (cues->len, answers->len); i++) {
    const Said *answer = &g_array_index (answers, Said, i), *cue = &g_array_index (cues, Said, i);

    g_test_message ("%g s: %s; %g to %g s: %s", (double) answer->start / 1e9, answer->text,
        (double) cue->start / 1e9, (double) cue->stop / 1e9, cue->text);
    g_assert_cmpstr (cue->text, ==, answer->text);
    g_assert_cmpint (ABS (cue->start - answer->start), <=, MS);
    if (i + 1 < answers->len)
      g_assert_cmpint (ABS (cue->stop - g_array_index (answers, Said, i + 1).start), <=, MS);
    else
      g_assert_cmpint (cue->stop, >=, (gint64) 2399 * MS); /* 24 frames */
  }
  g_assert_cmpuint (cues->len, ==, answers->len);
}

/* --- files of text --- */

static gint64
time_of (const char *text)
{
  int h, m, s, ms;

  g_assert_cmpint (sscanf (text, "%d:%d:%d%*c%d", &h, &m, &s, &ms), ==, 4);
  return ((gint64) ((h * 60 + m) * 60 + s) * 1000 + ms) * MS;
}

static GArray *
read_cues (const char *path)
{
  g_autofree char *text = whole_read (path);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GArray *cues = said_new ();

  g_test_message ("%s", text);
  for (guint i = 0; lines[i] != NULL; i++) {
    const char *arrow = strstr (lines[i], " --> ");

    if (arrow != NULL)
      add_said (cues, time_of (lines[i]), time_of (arrow + 5), g_strchomp (lines[i + 1]));
  }
  return cues;
}

static void
test_writer (gconstpointer encoder)
{
  g_autofree char *path = whole_file (encoder);
  g_autofree char *rest = g_strdup_printf ("i.src ! queue ! fakesink sync=false "
                                           "i.text ! queue ! %s ! filesink location=\"%s\"",
      (const char *) encoder, path);
  g_autoptr (GArray) answers = run_clip (rest);
  g_autoptr (GArray) cues = read_cues (path);

  check_cues (answers, cues);
}

/* --- containers --- */

static void
on_text (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer cues)
{
  g_autofree char *text = NULL;
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_READ);
  text = g_strndup ((const char *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  if (*text) /* mp4 says that there is none */
    add_said (cues, (gint64) GST_BUFFER_PTS (buffer),
        (gint64) (GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer)), text);
}

static void
on_frame (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer n)
{
  ++*(int *) n;
}

typedef struct {
  const char *name, *encoder, *mux, *demux, *text_pad;
} Container;

static const Container containers[] = {
  { "matroska", "vp8enc deadline=1 cpu-used=8", "matroskamux", "matroskademux", "subtitle_0" },
  { "mp4", "x264enc speed-preset=ultrafast tune=zerolatency", "mp4mux", "qtdemux", "subtitle_0" },
};

static void
test_muxer (gconstpointer data)
{
  const Container *c = data;
  g_autofree char *path = whole_file (c->name);
  g_autofree char *rest =
      g_strdup_printf ("%s name=mux ! filesink location=\"%s\" "
                       "i.src ! queue ! videoconvert ! %s ! queue ! mux. i.text ! queue ! mux.",
          c->mux, path, c->encoder);
  g_autofree char *play =
      g_strdup_printf ("filesrc location=\"%s\" ! %s name=d "
                       "d.video_0 ! queue ! fakesink name=video signal-handoffs=true "
                       "d.%s ! queue ! fakesink name=text signal-handoffs=true",
          path, c->demux, c->text_pad);
  g_autoptr (GArray) answers = run_clip (rest);
  g_autoptr (GArray) cues = said_new ();
  GstElement *player = whole_new (play);
  g_autoptr (GstElement) text = gst_bin_get_by_name (GST_BIN (player), "text");
  g_autoptr (GstElement) video = gst_bin_get_by_name (GST_BIN (player), "video");
  int n_frames = 0;

  g_signal_connect (text, "handoff", G_CALLBACK (on_text), cues);
  g_signal_connect (video, "handoff", G_CALLBACK (on_frame), &n_frames);
  g_ptr_array_unref (whole_play (player));
  whole_free (player);
  g_test_message ("%d frames", n_frames);
  g_assert_cmpint (n_frames, ==, 24);
  check_cues (answers, cues);
}

/* --- on the screen --- */

/* Notes of each frame whether something is drawn on it: '#' or '.'. */
static void
on_picture (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer shown)
{
  GstMapInfo map;
  gboolean lit = FALSE;

  gst_buffer_map (buffer, &map, GST_MAP_READ);
  for (gsize i = 0; i < map.size; i++)
    lit |= map.data[i] > 100;
  gst_buffer_unmap (buffer, &map);
  g_string_append_c (shown, lit ? '#' : '.');
}

/* textoverlay waits for text, which must be there in time and must not end when it should not. */
static char *
show (const char *source, const char *properties)
{
  g_autofree char *text =
      g_strdup_printf ("videotestsrc pattern=black num-buffers=12 %s ! "
                       "video/x-raw,format=GRAY8,width=320,height=240,framerate=10/1 ! "
                       "dsvl2infer name=i model=\"%s\" max-new-tokens=6 %s "
                       "i.src ! queue ! textoverlay name=o ! fakesink name=sink signal-handoffs=true "
                       "sync=%s "
                       "i.text ! queue ! o.text_sink",
          source, g_getenv ("DSVL2_TEST_MODEL"), properties, *source ? "true" : "false");
  GstElement *pipeline = whole_new (text);
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  GString *shown = g_string_new (NULL);

  g_signal_connect (sink, "handoff", G_CALLBACK (on_picture), shown);
  g_ptr_array_unref (whole_play (pipeline));
  whole_free (pipeline);
  g_test_message ("%s: %s", properties, shown->str);
  return g_string_free (shown, FALSE);
}

static void
test_textoverlay (void)
{
  static const struct {
    const char *properties, *shown;
  } cases[] = {
    { "interval=0", "############" },
    { "interval=400000000", "############" },
    { "interval=400000000 hold=100000000", "##..##..##.." },
    { "interval=10000000000 hold=0", "#..........." },
    { "interval=300000000 hold=0 max-queue=5", "#..#..#..#.." },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *shown = show ("", cases[i].properties);

    g_assert_cmpstr (shown, ==, cases[i].shown);
  }
}

/* A camera: the picture goes on whether there is text or not, and shows the text once there is some. */
static void
test_textoverlay_live (void)
{
  const gint64 began = g_get_monotonic_time ();
  g_autofree char *shown = show ("is-live=true", "text-span=200000000");

  g_test_message ("%.2f s for 1.2 s", (double) (g_get_monotonic_time () - began) / 1e6);
  g_assert_cmpuint (strlen (shown), ==, 12);
  g_assert_nonnull (strchr (shown, '#'));
}

int
main (int argc, char **argv)
{
  whole_init (&argc, &argv);
  g_test_add_data_func ("/text/webvttenc", "webvttenc", test_writer);
  g_test_add_data_func ("/text/srtenc", "srtenc", test_writer);
  for (gsize i = 0; i < G_N_ELEMENTS (containers); i++) {
    g_autofree char *name = g_strconcat ("/text/", containers[i].name, NULL);

    g_test_add_data_func (name, &containers[i], test_muxer);
  }
  g_test_add_func ("/text/textoverlay", test_textoverlay);
  g_test_add_func ("/text/textoverlay-live", test_textoverlay_live);
  return whole_run_tests ();
}
