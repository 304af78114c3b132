/* dsvl2: a camera of sixty frames a second whose answers take ten seconds of real time
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "harness.h"
#include <stdlib.h>

/* Two answers, and frames after the second. */
enum { RATE = 60, FRAMES = 22 * RATE, ANSWERS = 2, ANSWER_SECONDS = 10 };

typedef struct {
  GstClockTime entered, last_pts;
  gint64 took[FRAMES]; /* microseconds in the element */
  guint n_in, n_out, n_gaps, n_fresh;
} Run;

static GstPadProbeReturn
on_frame_in (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Run *run = data;

  run->entered = gst_util_get_timestamp ();
  run->n_in++;
  return GST_PAD_PROBE_OK;
}

/* Live frames leave in the call that brought them. */
static GstPadProbeReturn
on_frame_out (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  const GstStructure *result = test_result (buffer);
  const GstClockTime pts = GST_BUFFER_PTS (buffer);
  gboolean fresh = FALSE;
  Run *run = data;

  g_assert_cmpuint (run->n_out, <, FRAMES);
  run->took[run->n_out] = (gint64) (gst_util_get_timestamp () - run->entered) / 1000;
  run->n_gaps += run->n_out > 0 && pts > run->last_pts + 3 * GST_SECOND / (2 * RATE);
  run->last_pts = pts;
  run->n_out++;
  if (result != NULL && gst_structure_get_boolean (result, "fresh", &fresh) && fresh) {
    const GstClockTime age = pts - test_uint64 (result, "seen-pts");

    g_test_message ("an answer about a frame of %.2f s before", (double) age / GST_SECOND);
    g_assert_cmpuint (age, >=, (ANSWER_SECONDS - 1) * GST_SECOND);
    run->n_fresh++;
  }
  return GST_PAD_PROBE_OK;
}

static gpointer
answer_slowly (gpointer data)
{
  for (int i = 0; i < ANSWERS; i++) {
    fake_wait_open (1);
    g_usleep (ANSWER_SECONDS * G_USEC_PER_SEC);
    fake_answer ("at last", NULL, 0);
  }
  return NULL;
}

static void
add_probe (GstElement *infer, const char *name, GstPadProbeCallback probe, Run *run)
{
  GstPad *pad = gst_element_get_static_pad (infer, name);

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, probe, run, NULL);
  gst_object_unref (pad);
}

static int
compare (gconstpointer a, gconstpointer b)
{
  const gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

static void
play_to_end (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) end = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  end = gst_bus_timed_pop_filtered (bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_nonnull (end);
  g_assert_cmpint (GST_MESSAGE_TYPE (end), ==, GST_MESSAGE_EOS);
}

/* The sink is as strict as video sinks are: what comes 20 ms late is dropped. */
static void
test_ten_seconds (void)
{
  static Run run;
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("videotestsrc is-live=true num-buffers=1320 ! "
                        "video/x-raw,format=I420,width=640,height=480,framerate=60/1 ! "
                        "dsvl2infer name=infer model=/fake ! "
                        "fakesink name=sink sync=true qos=true max-lateness=20000000",
          &error);
  g_autoptr (GstElement) infer = NULL;
  g_autoptr (GstElement) sink = NULL;
  g_autoptr (GstStructure) shown = NULL;
  GThread *engine;

  g_assert_no_error (error);
  fake_reset ();
  infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  add_probe (infer, "sink", on_frame_in, &run);
  add_probe (infer, "src", on_frame_out, &run);
  engine = g_thread_new ("answers", answer_slowly, NULL);
  play_to_end (pipeline);
  g_thread_join (engine);
  g_object_get (sink, "stats", &shown, NULL);
  gst_element_set_state (pipeline, GST_STATE_NULL);

  qsort (run.took, FRAMES, sizeof *run.took, compare);
  g_test_message (
      "%d frames a second, answers after %d s: %u frames in, %u out, %u missing in between, %d shown, "
      "%d late; in the element half less than %.3f ms, 99 %% less than %.3f ms, the slowest %.3f ms",
      RATE, ANSWER_SECONDS, run.n_in, run.n_out, run.n_gaps, (int) test_uint64 (shown, "rendered"),
      (int) test_uint64 (shown, "dropped"), 1e-3 * (double) run.took[FRAMES / 2],
      1e-3 * (double) run.took[FRAMES * 99 / 100], 1e-3 * (double) run.took[FRAMES - 1]);
  g_assert_cmpuint (run.n_in, ==, FRAMES);
  g_assert_cmpuint (run.n_out, ==, FRAMES);
  g_assert_cmpuint (run.n_gaps, ==, 0);
  g_assert_cmpuint (run.n_fresh, ==, ANSWERS);
  g_assert_cmpuint (test_uint64 (shown, "rendered"), ==, FRAMES);
  g_assert_cmpuint (test_uint64 (shown, "dropped"), ==, 0);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/live/ten-seconds", test_ten_seconds);
  return test_run ();
}
