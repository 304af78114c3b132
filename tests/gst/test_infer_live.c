/* dsvl2: dsvl2infer in pipelines that are live, or become so: pace, latency, quality of service, gates
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "harness.h"
#include <stdlib.h>
#include <string.h>

/* --- pace --- */

enum { RATE = 60, FRAMES = 150, ASKED = 100 };

typedef struct {
  GstElement *pipeline;
  gint64 began[FRAMES], took[FRAMES]; /* microseconds in the element */
  guint n_in, n_out;
} Pace;

static GstPadProbeReturn
on_frame_in (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Pace *p = data;

  if (p->n_in < FRAMES)
    p->began[p->n_in++] = g_get_monotonic_time ();
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_frame_out (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Pace *p = data;

  if (p->n_out < FRAMES) {
    p->took[p->n_out] = g_get_monotonic_time () - p->began[p->n_out];
    p->n_out++;
  }
  if (p->n_out == ASKED) /* the answer takes as long as a hundred frames */
    fake_try_answer (0, "at last", NULL, 0);
  return GST_PAD_PROBE_OK;
}

static void
add_probe (GstElement *pipeline, const char *pad_name, GstPadProbeCallback probe, Pace *p)
{
  GstElement *infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
  GstPad *pad = gst_element_get_static_pad (infer, pad_name);

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, probe, p, NULL);
  gst_object_unref (pad);
  gst_object_unref (infer);
}

static int
compare (gconstpointer a, gconstpointer b)
{
  return (int) (*(const gint64 *) a - *(const gint64 *) b);
}

static guint64
sink_stat (GstElement *pipeline, const char *name)
{
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  GstStructure *stats;
  guint64 n;

  g_object_get (sink, "stats", &stats, NULL);
  n = test_uint64 (stats, name);
  gst_structure_free (stats);
  gst_object_unref (sink);
  return n;
}

/* A camera of sixty frames a second whose question takes long, and a display that drops what is late by more than
 * a busy machine makes it. If frames waited for the answer, as they do when told to, it would show few. */
static void
test_pace (void)
{
  for (int offline = 0; offline <= 1; offline++) {
    g_autofree char *launch =
        g_strdup_printf ("videotestsrc is-live=true num-buffers=%d ! "
                         "video/x-raw,format=I420,width=640,height=480,"
                         "framerate=%d/1 ! dsvl2infer name=infer model=/fake mode=%s ! "
                         "fakesink name=sink sync=true qos=true max-lateness=1000000000",
            FRAMES, RATE, offline ? "offline" : "auto");
    g_autoptr (GError) error = NULL;
    Pace p = { .pipeline = gst_parse_launch (launch, &error) };
    GstBus *bus = gst_element_get_bus (p.pipeline);
    GstMessage *message;

    g_assert_no_error (error);
    fake_reset ();
    add_probe (p.pipeline, "sink", on_frame_in, &p);
    add_probe (p.pipeline, "src", on_frame_out, &p);
    gst_element_set_state (p.pipeline, GST_STATE_PLAYING);
    if (offline) { /* one waits for two seconds, the rest does not */
      fake_try_answer (0, "at once", NULL, 0);
      fake_answer_all (NULL);
      g_usleep (G_USEC_PER_SEC / 2);
      fake_reset ();
      fake_wait_open (1);
      g_usleep (2 * G_USEC_PER_SEC);
      fake_answer_all (NULL);
      fake_try_answer (0, "at last", NULL, 0);
    }
    message = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
    gst_message_unref (message);
    g_assert_cmpuint (p.n_out, ==, FRAMES);
    qsort (p.took, FRAMES, sizeof *p.took, compare);
    g_test_message (
        "%s: %d frames a second, an answer after %s: half the frames are in the element for "
        "less than %.3f ms, 99 %% less than %.3f ms, the slowest %.3f ms; %d shown, %d late",
        offline ? "frames wait" : "live", RATE, offline ? "2 s" : "100 frames",
        1e-3 * (double) p.took[FRAMES / 2], 1e-3 * (double) p.took[FRAMES * 99 / 100],
        1e-3 * (double) p.took[FRAMES - 1], (int) sink_stat (p.pipeline, "rendered"),
        (int) sink_stat (p.pipeline, "dropped"));
    if (offline)
      g_assert_cmpuint (sink_stat (p.pipeline, "dropped"), >, 0);
    else
      g_assert_cmpuint (sink_stat (p.pipeline, "dropped"), ==, 0);
    gst_element_set_state (p.pipeline, GST_STATE_NULL);
    gst_object_unref (bus);
    gst_object_unref (p.pipeline);
    fake_reset ();
    g_assert_cmpint (fake_n_alive (), ==, 0);
  }
}

/* --- whether it is live --- */

static GstPadProbeReturn
refuse_latency (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  guint *n = data;

  if (GST_QUERY_TYPE (GST_PAD_PROBE_INFO_QUERY (info)) != GST_QUERY_LATENCY)
    return GST_PAD_PROBE_OK;
  ++*n;
  return GST_PAD_PROBE_DROP;
}

/* While upstream does not know, frames wait; from when it does, they do not. */
static void
test_upstream_does_not_know (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", TRUE, &info);
  GstPad *pad = gst_element_get_static_pad (h->element, "sink");
  guint n_queries = 0;
  gulong probe = gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM | GST_PAD_PROBE_TYPE_PUSH,
      refuse_latency, &n_queries, NULL);

  for (int i = 0; i < 2; i++) {
    TestCall *push = test_push_begin (h, test_frame_new (&info, 40 * i, 1));

    fake_answer ("its own", NULL, 0);
    g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
    gst_buffer_unref (gst_harness_pull (h));
  }
  g_assert_cmpuint (n_queries, ==, 2);
  gst_pad_remove_probe (pad, probe);
  for (int i = 2; i < 5; i++)
    gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 40 * i, 1)));
  g_assert_cmpuint (fake_n_asked (), ==, 3);
  gst_object_unref (pad);
  test_infer_end (h);
}

/* The pipeline asks again when something may have changed; what upstream says then counts. */
static void
test_becomes_live (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("max-queue=4", FALSE, &info);
  GstBuffer *out;

  FLOWS (h, test_frame_new (&info, 0, 1));
  FLOWS (h, test_frame_new (&info, 40, 1));
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 0);
  gst_harness_set_live (h, TRUE);
  gst_harness_query_latency (h);
  FLOWS (h, test_frame_new (&info, 80, 1)); /* takes along those that waited */
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 3);
  g_assert_cmpuint (fake_n_cancelled (), ==, 2);
  g_assert_cmpuint (test_stat (h, "dropped"), ==, 2);
  for (int i = 0; i < 3; i++) {
    out = gst_harness_pull (h);
    g_assert_cmpuint (GST_BUFFER_PTS (out), ==, (guint64) (40 * i) * GST_MSECOND);
    g_assert_null (test_result (out));
    gst_buffer_unref (out);
  }
  fake_answer ("80", NULL, 0);
  out = gst_harness_push_and_pull (h, test_frame_new (&info, 120, 1));
  g_assert_cmpuint (test_uint64 (test_result (out), "seen-pts"), ==, 80 * GST_MSECOND);
  gst_buffer_unref (out);

  /* And back. */
  gst_harness_set_live (h, FALSE);
  gst_harness_query_latency (h);
  FLOWS (h, test_frame_new (&info, 160, 1));
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 4);
  fake_answer ("160", NULL, 0);
  g_assert_true (gst_harness_push_event (h, gst_event_new_gap (200 * GST_MSECOND, 0)));
  out = gst_harness_pull (h);
  g_assert_cmpuint (test_uint64 (test_result (out), "seen-pts"), ==, 160 * GST_MSECOND);
  gst_buffer_unref (out);
  test_infer_end (h);
}

/* Another stream is asked anew. */
static void
test_another_stream (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("max-queue=4", FALSE, &info);
  GstSegment segment;

  fake_answer_all (NULL);
  FLOWS (h, test_frame_new (&info, 0, 1));
  gst_harness_push_event (h, gst_event_new_stream_start ("other"));
  test_set_caps (h, &info);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  fake_reset ();
  gst_harness_set_live (h, TRUE);
  FLOWS (h, test_frame_new (&info, 0, 1));
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 2);
  test_infer_end (h);
}

/* Frames that waited made a live pipeline later; when they cease to, it hears of that too. */
static void
test_latency_shrinks (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("mode=offline", TRUE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);
  TestCall *push = test_push_begin (h, test_frame_new (&info, 0, 1));

  fake_wait_open (1);
  g_usleep (30000);
  fake_answer (" ", NULL, 0);
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
  gst_message_unref (test_message (bus, GST_MESSAGE_LATENCY));
  g_assert_cmpuint (gst_harness_query_latency (h), >=, 30 * GST_MSECOND);
  gst_harness_set (h, "dsvl2infer", "mode", 1, NULL);
  FLOWS (h, test_frame_new (&info, 40, 1));
  gst_message_unref (test_message (bus, GST_MESSAGE_LATENCY));
  g_assert_cmpuint (gst_harness_query_latency (h), ==, 0);
  test_infer_end (h);
}

/* Nobody can pull raw video through an element that may keep it. */
static void
test_scheduling (void)
{
  GstHarness *h = test_infer_new ("", FALSE, NULL);
  GstQuery *query = gst_query_new_scheduling ();

  g_assert_true (gst_pad_peer_query (h->sinkpad, query));
  g_assert_true (gst_query_has_scheduling_mode (query, GST_PAD_MODE_PUSH));
  g_assert_false (gst_query_has_scheduling_mode (query, GST_PAD_MODE_PULL));
  gst_query_unref (query);
  test_infer_end (h);
}

/* --- quality of service --- */

static void
test_qos (void)
{
  static const struct {
    const char *properties;
    gboolean passes, drops;
  } cases[] = {
    { "mode=live", TRUE, FALSE },
    { "mode=offline", FALSE, FALSE },
    { "mode=live qos=true", TRUE, TRUE },
    { "mode=offline qos=true", TRUE, TRUE },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new (cases[i].properties, FALSE, &info);
    g_autoptr (GstBus) bus = test_bus_new (h);
    gboolean passed = FALSE;
    GstEvent *event;
    guint n;

    fake_answer_all (NULL);
    FLOWS (h, test_frame_new (&info, 0, 1));
    g_assert_true (gst_harness_push_upstream_event (h,
        gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2.0, 60 * GST_MSECOND, 0)));
    while ((event = gst_harness_try_pull_upstream_event (h)) != NULL) {
      passed |= GST_EVENT_TYPE (event) == GST_EVENT_QOS;
      gst_event_unref (event);
    }
    g_assert_cmpint (passed, ==, cases[i].passes);

    FLOWS (h, test_frame_new (&info, 40, 1)); /* before 60: late */
    FLOWS (h, test_frame_new (&info, 80, 1));
    n = gst_harness_buffers_received (h);
    g_test_message ("%s: the event %s, %u of 3 frames came", cases[i].properties,
        passed ? "passed" : "ended here", n);
    g_assert_cmpuint (n, ==, cases[i].drops ? 2 : 3);
    gst_buffer_unref (gst_harness_pull (h));
    if (cases[i].drops) {
      GstBuffer *next = gst_harness_pull (h);

      g_assert_true (GST_BUFFER_IS_DISCONT (next)); /* something is missing before it */
      gst_buffer_unref (next);
      gst_message_unref (test_message (bus, GST_MESSAGE_QOS));
    }
    test_no_message (bus, GST_MESSAGE_QOS);
    test_infer_end (h);
  }
}

/* --- gates --- */

/* A frame of one colour. */
static GstBuffer *
plain_frame (const GstVideoInfo *info, gint64 pts_ms, guint8 level)
{
  GstBuffer *frame = test_frame_new (info, pts_ms, 1);

  gst_buffer_memset (frame, 0, level, gst_buffer_get_size (frame));
  return frame;
}

/* Pushes a frame and says which frame its answer is about, in ms; -1 without one. */
static gint64
seen_on (GstHarness *h, GstBuffer *frame)
{
  GstBuffer *out = gst_harness_push_and_pull (h, frame);
  const GstStructure *result = test_result (out);
  const gint64 seen = result != NULL ? (gint64) (test_uint64 (result, "seen-pts") / GST_MSECOND) : -1;

  gst_buffer_unref (out);
  return seen;
}

/* A still scene keeps its answer until it changes, or another question is asked. */
static void
test_still_scene (void)
{
  static const struct {
    gint64 pts_ms;
    guint8 level;
    const char *prompt; /* set before it */
    gint64 seen_ms;
  } frames[] = {
    { 0, 50, NULL, 0 }, { 40, 50, NULL, 0 }, { 80, 55, NULL, 0 }, /* as good as the same */
    { 120, 150, NULL, 120 }, { 160, 150, NULL, 120 },             /* changed */
    { 200, 150, "what else?", 200 }, { 240, 150, NULL, 200 },     /* another question */
    { 1240, 150, NULL, 200 }, { 1280, 60, NULL, 1280 },           /* older than max-age, but it holds */
  };
  const GstVideoInfo info = test_info ("NV12", 64, 48);
  GstHarness *h =
      test_infer_new ("mode=offline change-threshold=0.2 max-age=100000000 hold=0", FALSE, &info);

  fake_answer_all (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (frames); i++) {
    if (frames[i].prompt != NULL)
      gst_harness_set (h, "dsvl2infer", "prompt", frames[i].prompt, NULL);
    g_assert_cmpint (seen_on (h, plain_frame (&info, frames[i].pts_ms, frames[i].level)), ==,
        frames[i].seen_ms);
  }
  g_assert_cmpuint (test_stat (h, "analysed"), ==, 4);
  g_assert_cmpuint (test_stat (h, "unchanged"), ==, 5);

  /* A scene whose question failed is asked about again. */
  gst_harness_set (h, "dsvl2infer", "seed", (guint64) 1, NULL);
  fake_refuse ("no");
  g_assert_cmpint (seen_on (h, plain_frame (&info, 1320, 60)), ==, -1);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 1360, 60)), ==, 1360);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 1400, 60)), ==, 1360);
  test_infer_end (h);
}

static void
analyze_now (GstHarness *h)
{
  GstElement *infer = gst_harness_find_element (h, "dsvl2infer");

  g_signal_emit_by_name (infer, "analyze-now");
  gst_object_unref (infer);
}

static void
test_analyze_now (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h =
      test_infer_new ("mode=offline interval=1000000000 min-interval=500000000 change-threshold=0.5",
          FALSE, &info);

  fake_answer_all (NULL);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 0, 50)), ==, 0);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 40, 50)), ==, 0);
  analyze_now (h);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 80, 50)), ==, 80);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 120, 50)), ==, 80);
  test_infer_end (h);

  /* Live and busy: as soon as it can. */
  h = test_infer_new ("mode=live interval=1000000000", TRUE, &info);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 0, 50)), ==, -1);
  analyze_now (h);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 40, 50)), ==, -1);
  g_assert_cmpuint (fake_n_asked (), ==, 1);
  fake_answer ("0", NULL, 0);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 80, 50)), ==, 0);
  fake_answer ("80", NULL, 0);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 120, 50)), ==, 80);
  g_assert_cmpuint (fake_n_asked (), ==, 2);
  test_infer_end (h);
}

/* With a live source and a fast engine, answers are no denser than min-interval. */
static void
test_min_interval (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("mode=live min-interval=200000000", TRUE, &info);

  for (int i = 0; i <= 50; i++) { /* two seconds */
    seen_on (h, plain_frame (&info, 40 * i, 50));
    if (fake_n_open () > 0)
      fake_answer ("at once", NULL, 0);
  }
  g_assert_cmpuint (fake_n_asked (), ==, 11);
  test_infer_end (h);
}

/* An answer that took longer than max-age goes on no frame; people hear of it all the same. */
static void
test_max_age (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("mode=live max-age=100000000", TRUE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);

  for (int i = 0; i < 5; i++)
    g_assert_cmpint (seen_on (h, plain_frame (&info, 40 * i, 50)), ==, -1);
  fake_answer ("of long ago", NULL, 0);
  gst_message_unref (test_message (bus, GST_MESSAGE_ELEMENT));
  g_assert_cmpint (seen_on (h, plain_frame (&info, 200, 50)), ==, -1); /* this one is asked about */
  fake_answer ("in time", NULL, 0);
  g_assert_cmpint (seen_on (h, plain_frame (&info, 240, 50)), ==, 200);
  g_assert_cmpuint (test_stat (h, "dropped"), ==, 1);
  test_infer_end (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/live/pace", test_pace);
  g_test_add_func ("/live/upstream-does-not-know", test_upstream_does_not_know);
  g_test_add_func ("/live/becomes-live", test_becomes_live);
  g_test_add_func ("/live/another-stream", test_another_stream);
  g_test_add_func ("/live/latency-shrinks", test_latency_shrinks);
  g_test_add_func ("/live/scheduling", test_scheduling);
  g_test_add_func ("/live/qos", test_qos);
  g_test_add_func ("/live/still-scene", test_still_scene);
  g_test_add_func ("/live/analyze-now", test_analyze_now);
  g_test_add_func ("/live/min-interval", test_min_interval);
  g_test_add_func ("/live/max-age", test_max_age);
  return test_run ();
}
