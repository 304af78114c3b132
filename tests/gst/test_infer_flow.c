/* dsvl2: when dsvl2infer lets frames go: live, offline, events, states, errors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "harness.h"
#include <string.h>

/* --- live and offline --- */

/* Sixty frames a second while an answer takes long: none is late, the answer says what it saw. */
static void
test_live (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", TRUE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);
  GstBuffer *out;
  GstMessage *message;

  for (int i = 0; i < 600; i++) {
    out = gst_harness_push_and_pull (h, test_frame_new (&info, i, 1));
    g_assert_cmpuint (GST_BUFFER_PTS (out), ==, (guint64) i * GST_MSECOND);
    g_assert_null (test_result (out));
    gst_buffer_unref (out);
  }
  g_assert_cmpuint (fake_n_asked (), ==, 1);
  g_assert_cmpuint (test_stat (h, "skipped"), ==, 599);
  fake_answer ("at last", NULL, 0);
  message = test_message (bus, GST_MESSAGE_ELEMENT); /* told before any frame carries it */
  g_assert_cmpuint (test_uint64 (gst_message_get_structure (message), "seen-pts"), ==, 0);
  gst_message_unref (message);
  out = gst_harness_push_and_pull (h, test_frame_new (&info, 600, 1));
  g_assert_cmpuint (test_uint64 (test_result (out), "seen-pts"), ==, 0);
  g_assert_cmpuint (fake_n_asked (), ==, 2);
  gst_buffer_unref (out);

  /* The end does not wait for the answer either. */
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_cmpuint (fake_n_open (), ==, 1);
  test_infer_end (h);
}

static void
test_offline_waits (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);
  TestCall *push;

  for (int i = 0; i < 3; i++) {
    g_autofree char *text = g_strdup_printf ("frame %d", i);
    GstBuffer *out;

    push = test_push_begin (h, test_frame_new (&info, 40 * i, 1));
    fake_wait_open (1);
    g_usleep (20000);
    g_assert_cmpuint (gst_harness_buffers_received (h), ==, (guint) i);
    fake_answer (text, NULL, 0);
    g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
    out = gst_harness_pull (h);
    g_assert_cmpstr (gst_structure_get_string (test_result (out), "caption"), ==, text);
    g_assert_cmpuint (test_uint64 (test_result (out), "seen-pts"), ==, GST_BUFFER_PTS (out));
    gst_buffer_unref (out);
    gst_message_unref (test_message (bus, GST_MESSAGE_ELEMENT));
  }
  test_infer_end (h);
}

/* With room in the queue several frames are asked about together; the end lets all of them go first. */
static void
test_queue_and_eos (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("max-queue=8", FALSE, &info);
  TestCall *end;
  gboolean eos;

  for (int i = 0; i < 5; i++)
    FLOWS (h, test_frame_new (&info, 40 * i, 1));
  g_assert_cmpuint (fake_n_open (), ==, 5);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 0);

  end = test_event_begin (h, gst_event_new_eos ());
  for (int i = 0; i < 5; i++) {
    g_autofree char *text = g_strdup_printf ("frame %d", i);
    GstBuffer *out;

    fake_answer (text, NULL, 0);
    out = gst_harness_pull (h);
    g_assert_cmpuint (GST_BUFFER_PTS (out), ==, (guint64) (40 * i) * GST_MSECOND);
    g_assert_cmpstr (gst_structure_get_string (test_result (out), "caption"), ==, text);
    gst_buffer_unref (out);
  }
  g_assert_true (test_event_end (end));
  for (eos = FALSE; !eos;) {
    GstEvent *event = gst_harness_pull_event (h);

    g_assert_nonnull (event);
    eos = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
    gst_event_unref (event);
  }
  test_infer_end (h);
}

/* A serialized event stays between the frames that it came between. */
static void
test_gap_keeps_its_place (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("max-queue=8", FALSE, &info);

  FLOWS (h, test_frame_new (&info, 0, 1));
  fake_answer (" ", NULL, 0);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 0); /* it goes when something comes */
  g_assert_true (gst_harness_push_event (h, gst_event_new_gap (40 * GST_MSECOND, 40 * GST_MSECOND)));
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 1);
  test_infer_end (h);
}

/* --- latency --- */

static void
test_latency (void)
{
  static const struct {
    const char *properties;
    gboolean live, grows;
  } cases[] = { { "", TRUE, FALSE }, { "mode=live", FALSE, FALSE }, { "", FALSE, FALSE },
    { "mode=offline", FALSE, FALSE }, { "mode=offline", TRUE, TRUE } };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new (cases[i].properties, cases[i].live, &info);
    g_autoptr (GstBus) bus = test_bus_new (h);
    GstClockTime latency;
    TestCall *push;

    gst_harness_set_upstream_latency (h, 5 * GST_MSECOND);
    push = test_push_begin (h, test_frame_new (&info, 0, 1));
    fake_wait_open (1);
    g_usleep (30000);
    fake_answer (" ", NULL, 0);
    g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
    latency = gst_harness_query_latency (h);
    g_test_message ("%s, source %s: %" G_GUINT64_FORMAT " ms", cases[i].properties,
        cases[i].live ? "live" : "not live", latency / GST_MSECOND);
    if (cases[i].grows) {
      g_assert_cmpuint (latency, >=, 35 * GST_MSECOND);
      gst_message_unref (test_message (bus, GST_MESSAGE_LATENCY));
    } else {
      g_assert_cmpuint (latency, ==, cases[i].live ? 5 * GST_MSECOND : 0);
      test_no_message (bus, GST_MESSAGE_LATENCY);
    }
    test_infer_end (h);
  }
}

/* The longest that the harness's source can keep its frames, in ms. */
static GstPadProbeReturn
know_most (GstPad *pad, GstPadProbeInfo *info, gpointer most)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  GstClockTime least;
  gboolean live;

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_PAD_PROBE_OK;
  gst_query_parse_latency (query, &live, &least, NULL);
  gst_query_set_latency (query, live, least, (GstClockTime) * (gint64 *) most);
  return GST_PAD_PROBE_OK;
}

/* Frames can be kept for as long as the source and the queue together have room. */
static void
test_most_latency (void)
{
  static const struct {
    const char *properties, *rate;
    gint64 source, expected; /* ms; -1: as long as one likes */
  } cases[] = { { "mode=offline", "25/1", 100, 100 }, { "mode=offline max-queue=5", "25/1", 100, 300 },
    { "mode=offline max-queue=5", "0/1", 100, 100 }, { "mode=offline max-queue=5", "25/1", -1, -1 },
    { "mode=offline max-queue=1000", "1/2147483647", 100, -1 }, { "max-queue=5", "25/1", 100, 100 } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text =
        g_strdup_printf ("video/x-raw,format=GRAY8,width=8,height=4,framerate=%s", cases[i].rate);
    g_autoptr (GstCaps) caps = gst_caps_from_string (text);
    g_autoptr (GstQuery) query = gst_query_new_latency ();
    gint64 most = cases[i].source < 0 ? -1 : cases[i].source * (gint64) GST_MSECOND;
    GstVideoInfo info;
    GstHarness *h;
    TestCall *push;
    GstClockTime told;

    g_assert_true (gst_video_info_from_caps (&info, caps));
    h = test_infer_new (cases[i].properties, TRUE, &info);
    gst_pad_add_probe (h->srcpad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM | GST_PAD_PROBE_TYPE_PULL,
        know_most, &most, NULL);
    push = test_push_begin (h, test_frame_new (&info, 0, 1));
    fake_wait_open (1);
    g_usleep (10000); /* a frame that waits at all */
    fake_answer (" ", NULL, 0);
    g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
    /* what waits in the queue goes when something comes */
    g_assert_true (gst_harness_push_event (h, gst_event_new_gap (GST_SECOND, GST_SECOND)));
    g_assert_true (gst_pad_peer_query (h->sinkpad, query));
    gst_query_parse_latency (query, NULL, NULL, &told);
    g_test_message ("%s at %s, a source that can keep its frames for %" G_GINT64_FORMAT
                    " ms: %" G_GINT64_FORMAT " ms",
        cases[i].properties, cases[i].rate, cases[i].source,
        GST_CLOCK_TIME_IS_VALID (told) ? (gint64) (told / GST_MSECOND) : -1);
    g_assert_cmpuint (told, ==,
        cases[i].expected < 0 ? GST_CLOCK_TIME_NONE : (guint64) cases[i].expected * GST_MSECOND);
    test_infer_end (h);
  }
}

/* --- flush, segment, caps --- */

static void
test_flush_while_waiting (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  GstSegment segment;
  GstBuffer *out;
  TestCall *push;
  gint64 began;

  push = test_push_begin (h, test_frame_new (&info, 0, 1));
  fake_wait_open (1);
  began = g_get_monotonic_time ();
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_FLUSHING);
  g_test_message ("flushed in %" G_GINT64_FORMAT " µs", g_get_monotonic_time () - began);
  g_assert_cmpuint (fake_n_cancelled (), ==, 1);
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = 7 * GST_SECOND;
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  push = test_push_begin (h, test_frame_new (&info, 7000, 1));
  fake_answer ("after the seek", NULL, 0);
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
  out = gst_harness_pull (h);
  g_assert_cmpuint (test_uint64 (test_result (out), "seen-pts"), ==, 7 * GST_SECOND);
  g_assert_cmpuint (test_uint64 (test_result (out), "stream-time"), ==, 7 * GST_SECOND);
  g_assert_cmpuint (test_uint64 (test_result (out), "running-time"), ==, 0);
  g_assert_cmpuint (test_stat (h, "failed"), ==, 0);
  gst_buffer_unref (out);
  test_infer_end (h);
}

/* Live: what was asked before a flush is forgotten with it. */
static void
test_flush_live (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", TRUE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);
  GstSegment segment;
  GstBuffer *out;

  gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 0, 1)));
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  out = gst_harness_push_and_pull (h, test_frame_new (&info, 40, 1));
  g_assert_null (test_result (out));
  gst_buffer_unref (out);
  g_assert_cmpuint (fake_n_asked (), ==, 2);
  test_no_message (bus, GST_MESSAGE_ELEMENT);
  test_infer_end (h);
}

/* A segment starts the sampling anew: its first frame is analysed. */
static void
test_segment (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("interval=1000000000", FALSE, &info);
  GstSegment segment;

  fake_answer_all (NULL);
  FLOWS (h, test_frame_new (&info, 0, 1));
  FLOWS (h, test_frame_new (&info, 40, 1));
  g_assert_cmpuint (fake_n_asked (), ==, 1);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  FLOWS (h, test_frame_new (&info, 80, 1));
  g_assert_cmpuint (fake_n_asked (), ==, 2);
  test_infer_end (h);
}

/* appsrc counts bytes unless it is told otherwise: frames have PTS, and no other times. */
static void
test_segment_of_bytes (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (int live = 0; live <= 1; live++) {
    GstHarness *h = test_infer_new ("", live, &info);
    GstSegment segment;
    GstBuffer *out;

    gst_segment_init (&segment, GST_FORMAT_BYTES);
    g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
    if (live) {
      gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 40, 1)));
      fake_answer ("a thing", NULL, 0);
    } else {
      fake_answer_all (NULL);
    }
    out = gst_harness_push_and_pull (h, test_frame_new (&info, live ? 80 : 40, 1));
    g_test_message ("%s: seen at %" G_GUINT64_FORMAT, live ? "live" : "offline",
        test_uint64 (test_result (out), "seen-pts"));
    g_assert_cmpuint (test_uint64 (test_result (out), "seen-pts"), ==, 40 * GST_MSECOND);
    g_assert_cmpuint (test_uint64 (test_result (out), "running-time"), ==, GST_CLOCK_TIME_NONE);
    g_assert_cmpuint (test_uint64 (test_result (out), "stream-time"), ==, GST_CLOCK_TIME_NONE);
    gst_buffer_unref (out);
    test_infer_end (h);
  }
}

/* A live segment does too, and what was asked before it is not waited for, nor put on its frames. */
static void
test_segment_live (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", TRUE, &info);
  GstSegment segment;
  GstBuffer *out;

  gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 0, 1)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = GST_SECOND;
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  g_assert_cmpuint (fake_n_cancelled (), ==, 1);
  gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 0, 1)));
  g_assert_cmpuint (fake_n_asked (), ==, 2);
  fake_answer ("of the new segment", NULL, 0);
  out = gst_harness_push_and_pull (h, test_frame_new (&info, 40, 1));
  g_assert_cmpuint (test_uint64 (test_result (out), "running-time"), ==, GST_SECOND);
  gst_buffer_unref (out);
  g_assert_cmpuint (test_stat (h, "failed"), ==, 0);
  test_infer_end (h);
}

/* Frames that wait when caps change go before, measured in their own size. */
static void
test_caps_change (void)
{
  const GstVideoInfo small = test_info ("I420", 64, 48), large = test_info ("RGB", 640, 480);
  const Dsvl2Object half = { "half", 0, 0, 0.5f, 0.5f, 1 };
  GstHarness *h = test_infer_new ("max-queue=8 hold=0", FALSE, &small);
  GstBuffer *out;
  TestCall *caps;

  FLOWS (h, test_frame_new (&small, 0, 1));
  caps = test_event_begin (h, test_caps_event_new (&large));
  fake_answer ("small", &half, 1);
  g_assert_true (test_event_end (caps));
  FLOWS (h, test_frame_new (&large, 40, 1));
  g_assert_cmpint (fake_last_ask ()->frame.format, ==, DSVL2_FORMAT_RGB);
  fake_answer ("large", &half, 1);
  g_assert_true (gst_harness_push_event (h, gst_event_new_gap (80 * GST_MSECOND, 0)));

  out = gst_harness_pull (h);
  g_assert_cmpuint (test_region (out, 0)->w, ==, 32);
  gst_buffer_unref (out);
  out = gst_harness_pull (h);
  g_assert_cmpuint (test_region (out, 0)->w, ==, 320);
  gst_buffer_unref (out);
  test_infer_end (h);
}

static void
test_no_caps (void)
{
  GstHarness *h = test_infer_new ("", FALSE, NULL);
  GstCaps *bad = gst_caps_from_string ("video/x-raw,format=v210,width=64,height=48,framerate=25/1");
  GstSegment segment;

  gst_harness_push_event (h, gst_event_new_stream_start ("x"));
  gst_harness_push_event (h, gst_event_new_caps (bad));
  gst_caps_unref (bad);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  g_assert_cmpint (gst_harness_push (h, gst_buffer_new_allocate (NULL, 100, NULL)), ==,
      GST_FLOW_NOT_NEGOTIATED);
  test_infer_end (h);
}

/* --- states --- */

static void
test_stop_while_waiting (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  TestCall *push = test_push_begin (h, test_frame_new (&info, 0, 1));

  fake_wait_open (1);
  g_assert_cmpint (gst_element_set_state (h->element, GST_STATE_READY), ==, GST_STATE_CHANGE_SUCCESS);
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_FLUSHING);
  test_infer_end (h);
}

static void
test_states (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (int live = 0; live <= 1; live++) {
    GstHarness *h = test_infer_new ("interval=1000000000", live, NULL);

    for (int round = 0; round < 3; round++) {
      GstSegment segment;

      g_assert_cmpint (gst_element_set_state (h->element, GST_STATE_NULL), ==,
          GST_STATE_CHANGE_SUCCESS);
      g_assert_cmpint (fake_n_alive (), ==, 0); /* nothing is kept in NULL */
      g_assert_cmpint (gst_element_set_state (h->element, GST_STATE_PLAYING), ==,
          GST_STATE_CHANGE_SUCCESS);
      fake_answer_all ("a thing");
      gst_segment_init (&segment, GST_FORMAT_TIME);
      gst_harness_push_event (h, gst_event_new_stream_start ("x"));
      gst_harness_push_event (h, test_caps_event_new (&info));
      gst_harness_push_event (h, gst_event_new_segment (&segment));
      for (int i = 0; i < 3; i++)
        gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 40 * i, 1)));
      g_assert_cmpuint (fake_n_asked (), ==, (guint) round + 1); /* sampling starts anew */
    }
    test_infer_end (h);
  }
}

/* --- errors --- */

static void
test_open_errors (void)
{
  static const struct {
    const char *model;
    gint code;
    const char *sentence;
  } cases[] = {
    { "/is/missing", GST_RESOURCE_ERROR_NOT_FOUND, "/is/missing/config.json is not for this engine" },
    { "/broken", GST_RESOURCE_ERROR_SETTINGS, "/broken/config.json is not for this engine" },
    { "/full", GST_RESOURCE_ERROR_NO_SPACE_LEFT, "The KV cache of /full needs 1 TiB" },
    { NULL, GST_RESOURCE_ERROR_NOT_FOUND, "No model: set the model property" },
  };

  g_unsetenv ("DSVL2_MODEL");
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstElement *element = gst_element_factory_make ("dsvl2infer", NULL);
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_autoptr (GError) error = NULL;

    gst_element_set_bus (element, bus);
    g_object_set (element, "model", cases[i].model, NULL);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_READY), ==, GST_STATE_CHANGE_SUCCESS);
    error = test_start_error (element, bus);
    g_assert_error (error, GST_RESOURCE_ERROR, cases[i].code);
    g_assert_true (g_str_has_prefix (error->message, cases[i].sentence));

    /* It recovers with a model that is there. */
    g_object_set (element, "model", "/fake", NULL);
    gst_element_set_state (element, GST_STATE_READY);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), !=, GST_STATE_CHANGE_FAILURE);
    gst_element_set_state (element, GST_STATE_NULL);
    gst_bus_set_flushing (bus, TRUE);
    gst_object_unref (element);
    g_assert_cmpint (fake_n_alive (), ==, 0);
  }
}

/* The environment names the model when the property does not. */
static void
test_default_model (void)
{
  GstElement *element = gst_element_factory_make ("dsvl2infer", NULL);

  g_setenv ("DSVL2_MODEL", "/fake", TRUE);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state (element, GST_STATE_NULL);
  g_unsetenv ("DSVL2_MODEL");
  gst_object_unref (element);
}

/* A frame without an answer goes on; people hear of it once. */
static void
test_failures (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (int live = 0; live <= 1; live++) {
    GstHarness *h = test_infer_new ("", live, &info);
    g_autoptr (GstBus) bus = test_bus_new (h);
    g_autoptr (GError) error = NULL;
    GstMessage *message;

    for (int i = 0; i < 3; i++) {
      TestCall *push = test_push_begin (h, test_frame_new (&info, 40 * i, 1));

      fake_fail ("the device went away");
      g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
    }
    fake_refuse ("The prompt has 2 <image> marks");
    FLOWS (h, test_frame_new (&info, 120, 1));
    g_assert_cmpuint (gst_harness_buffers_received (h), ==, 4);
    g_assert_cmpuint (test_stat (h, "failed"), ==, 4);
    for (int i = 0; i < 2; i++) {
      static const char *const reasons[] = { "the device went away", "The prompt has 2 <image> marks" };

      message = test_message (bus, GST_MESSAGE_WARNING);
      gst_message_parse_warning (message, &error, NULL);
      g_test_message ("%s", error->message);
      g_assert_nonnull (strstr (error->message, reasons[i]));
      g_clear_error (&error);
      gst_message_unref (message);
    }
    test_no_message (bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
    test_infer_end (h);
  }
}

/* --- cost --- */

enum { ROUND = 500 };

typedef struct {
  GstHarness *h;
  GstBuffer *frame;
} Round;

static void
push_round (gpointer data)
{
  const Round *r = data;

  for (int i = 0; i < ROUND; i++) {
    FLOWS (r->h, gst_buffer_copy (r->frame));
    gst_buffer_unref (gst_harness_pull (r->h));
  }
}

/* Milliseconds of a frame from push to pull, most of it the harness. */
static double
cost_of_frame (GstHarness *h, GstBuffer *frame)
{
  return test_least_ms (push_round, &(Round){ h, frame }, 20) / ROUND;
}

static void
test_cost (void)
{
  const GstVideoInfo info = test_info ("I420", 1280, 720);
  const Dsvl2Object box = { "a thing", 0, 0, 1, 1, 1 };
  GstHarness *h = test_infer_new ("", TRUE, &info), *identity = gst_harness_new ("identity");
  GstBuffer *frame = test_frame_new (&info, 0, 1);
  const double pass = test_pass_ms (frame);

  test_set_caps (identity, &info);
  g_test_message ("through identity: %.4f ms", cost_of_frame (identity, frame));
  FLOWS (h, gst_buffer_copy (frame));
  gst_buffer_unref (gst_harness_pull (h));
  test_judge_cost ("while another is being analysed", cost_of_frame (h, frame), pass, 180);
  fake_answer ("a thing in the middle of the road", &box, 1);
  test_judge_cost ("with an answer and a box to put on it", cost_of_frame (h, frame), pass, 40);
  gst_buffer_unref (frame);
  gst_harness_teardown (identity);
  test_infer_end (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/infer/live", test_live);
  g_test_add_func ("/infer/offline", test_offline_waits);
  g_test_add_func ("/infer/queue-and-eos", test_queue_and_eos);
  g_test_add_func ("/infer/gap", test_gap_keeps_its_place);
  g_test_add_func ("/infer/latency", test_latency);
  g_test_add_func ("/infer/latency-most", test_most_latency);
  g_test_add_func ("/infer/flush/waiting", test_flush_while_waiting);
  g_test_add_func ("/infer/flush/live", test_flush_live);
  g_test_add_func ("/infer/segment", test_segment);
  g_test_add_func ("/infer/segment-of-bytes", test_segment_of_bytes);
  g_test_add_func ("/infer/segment-live", test_segment_live);
  g_test_add_func ("/infer/caps/change", test_caps_change);
  g_test_add_func ("/infer/caps/none", test_no_caps);
  g_test_add_func ("/infer/states/stop-while-waiting", test_stop_while_waiting);
  g_test_add_func ("/infer/states/cycle", test_states);
  g_test_add_func ("/infer/errors/open", test_open_errors);
  g_test_add_func ("/infer/errors/default-model", test_default_model);
  g_test_add_func ("/infer/errors/failures", test_failures);
  g_test_add_func ("/infer/cost", test_cost);
  return test_run ();
}
