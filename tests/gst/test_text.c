/* dsvl2: the text pad of dsvl2infer: what goes out of it, and that it is no trouble to the video
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "harness.h"
#include <string.h>

/* An element with its video in h, its text in text. */
typedef struct {
  GstHarness *h, *text;
  GstVideoInfo info;
} Pads;

static GstHarness *
text_new (GstHarness *h)
{
  return gst_harness_new_with_element (h->element, NULL, "text");
}

static Pads
pads_new (const char *properties, gboolean live, gboolean with_text)
{
  g_autofree char *launch = g_strconcat ("dsvl2infer model=/fake ", properties, NULL);
  g_autoptr (GstElement) infer = gst_parse_launch (launch, NULL);
  Pads p = { .h = gst_harness_new_with_element (infer, "sink", "src"),
    .info = test_info ("GRAY8", 32, 16) };

  fake_reset ();
  p.text = with_text ? text_new (p.h) : NULL;
  gst_harness_set_live (p.h, live);
  gst_harness_play (p.h);
  test_set_caps (p.h, &p.info);
  return p;
}

static void
pads_free (Pads *p)
{
  g_clear_pointer (&p->text, gst_harness_teardown);
  test_infer_end (p->h);
}

static GstFlowReturn
push (Pads *p, gint64 ms)
{
  return gst_harness_push (p->h, test_frame_new (&p->info, ms, 1));
}

/* Offline: a frame and what it is answered; NULL: it is not asked about. */
static void
push_answered (Pads *p, gint64 ms, const char *caption)
{
  TestCall *call = test_push_begin (p->h, test_frame_new (&p->info, ms, 1));

  if (caption != NULL)
    fake_answer (caption, NULL, 0);
  g_assert_cmpint (test_push_end (call), ==, GST_FLOW_OK);
}

/* The next text as "caption [start, stop)" in ms, "" if there is none. */
static char *
pull (Pads *p)
{
  GstBuffer *buffer = gst_harness_try_pull (p->text);
  g_autofree char *text = NULL;
  char *line;
  GstMapInfo map;

  if (buffer == NULL)
    return g_strdup ("");
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  text = g_strndup ((const char *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  line = g_strdup_printf ("%s [%g, %g)", text, (double) GST_BUFFER_PTS (buffer) / 1e6,
      (double) (GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer)) / 1e6);
  gst_buffer_unref (buffer);
  g_test_message ("%s", line);
  return line;
}

static void
check_text (Pads *p, const char *expected)
{
  g_autofree char *line = pull (p);

  g_assert_cmpstr (line, ==, expected);
}

/* Events that came out of a pad so far, "stream-start caps gap:40 …". */
static char *
events_of (GstHarness *h)
{
  GString *all = g_string_new (NULL);
  GstEvent *event;

  while ((event = gst_harness_try_pull_event (h)) != NULL) {
    GstClockTime at;

    g_string_append_printf (all, "%s%s", all->len > 0 ? " " : "", GST_EVENT_TYPE_NAME (event));
    if (GST_EVENT_TYPE (event) == GST_EVENT_GAP) {
      gst_event_parse_gap (event, &at, NULL);
      g_string_append_printf (all, ":%g", (double) at / 1e6);
    }
    gst_event_unref (event);
  }
  g_test_message ("%s", all->str);
  return g_string_free (all, FALSE);
}

static void
check_events (GstHarness *h, const char *expected)
{
  g_autofree char *events = events_of (h);

  g_assert_cmpstr (events, ==, expected);
}

/* --- what is said when --- */

static void
test_offline (void)
{
  Pads p = pads_new ("mode=offline interval=120000000", FALSE, TRUE);

  push_answered (&p, 0, "a cat");
  check_text (&p, "a cat [0, 120)"); /* at once, before the next answer */
  push_answered (&p, 40, NULL);
  push_answered (&p, 80, NULL);
  check_text (&p, "");
  push_answered (&p, 120, "a dog");
  check_text (&p, "a dog [120, 240)");
  pads_free (&p);
}

static void
test_hold (void)
{
  Pads p = pads_new ("mode=offline interval=400000000 hold=80000000", FALSE, TRUE);

  push_answered (&p, 0, "a cat");
  for (int i = 1; i < 5; i++)
    push_answered (&p, 40 * i, NULL);
  check_text (&p, "a cat [0, 80)"); /* a nanosecond more: the frame there still carries it */
  check_text (&p, "");
  check_events (p.text, "stream-start caps segment gap:120 gap:160");
  pads_free (&p);
}

/* Live: from the first frame that carries it, again and again as long as it stays. */
static void
test_live (void)
{
  Pads p = pads_new ("text-span=100000000 hold=200000000", TRUE, TRUE);
  int ms = 0;

  FLOWS (p.h, test_frame_new (&p.info, ms, 1));
  fake_wait_open (1);
  FLOWS (p.h, test_frame_new (&p.info, ms += 40, 1));
  fake_answer ("a cat", NULL, 0); /* about the frame at 0 */
  fake_settle ();
  for (int i = 0; i < 8; i++)
    FLOWS (p.h, test_frame_new (&p.info, ms += 40, 1));
  check_text (&p, "a cat [80, 160)");
  check_text (&p, "a cat [160, 240)");
  check_text (&p, "a cat [240, 280)"); /* as far as hold goes */
  check_text (&p, "");
  check_events (p.text, "stream-start caps segment gap:0 gap:40 gap:320 gap:360");
  pads_free (&p);
}

static void
test_plain_text (void)
{
  static const struct {
    const char *caption, *text;
  } cases[] = {
    { "a <b>cat</b> & co --> there", "a ‹b›cat‹/b› & co --› there [0, 40)" },
    { "two\n\nlines\x1b[31m", "two lines [31m [0, 40)" },
    { "\xff猫", "\uFFFD猫 [0, 40)" },
    { " \n ", "" },
    { "", "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    Pads p = pads_new ("mode=offline", FALSE, TRUE);

    push_answered (&p, 0, cases[i].caption);
    check_text (&p, cases[i].text);
    pads_free (&p);
  }
}

static void
test_long_text (void)
{
  g_autofree char *endless = g_strnfill (100000, 'W');
  g_autofree char *kept = g_strnfill (999, 'W');
  g_autofree char *text = g_strdup_printf ("%s… [0, 40)", kept);
  Pads p = pads_new ("mode=offline", FALSE, TRUE);

  push_answered (&p, 0, endless);
  check_text (&p, text);
  pads_free (&p);
}

/* --- the stream --- */

static void
test_stream (void)
{
  Pads p = pads_new ("mode=offline", FALSE, TRUE);
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GstEvent) video = NULL, text = NULL;
  const char *video_id, *text_id;
  GstStreamFlags flags;
  guint video_group = 1, text_group = 2;
  GstSegment segment;
  GstEvent *event = gst_event_new_stream_start ("street");

  gst_event_set_group_id (event, 7);
  g_assert_true (gst_harness_push_event (p.h, event));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = 10 * GST_SECOND;
  test_set_caps (p.h, &p.info);
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_segment (&segment)));
  push_answered (&p, 10000, "a cat");
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_eos ()));
  check_text (&p, "a cat [10000, 10040)");

  video = gst_pad_get_sticky_event (p.h->sinkpad, GST_EVENT_STREAM_START, 0);
  text = gst_pad_get_sticky_event (p.text->sinkpad, GST_EVENT_STREAM_START, 0);
  gst_event_parse_stream_start (video, &video_id);
  gst_event_parse_stream_start (text, &text_id);
  gst_event_parse_stream_flags (text, &flags);
  gst_event_parse_group_id (video, &video_group);
  gst_event_parse_group_id (text, &text_group);
  g_test_message ("%s, %s", video_id, text_id);
  g_assert_cmpstr (text_id, ==, "street/text");
  g_assert_true (flags & GST_STREAM_FLAG_SPARSE);
  g_assert_cmpuint (text_group, ==, video_group);
  caps = gst_pad_get_current_caps (p.text->sinkpad);
  g_assert_true (gst_structure_has_name (gst_caps_get_structure (caps, 0), "text/x-raw"));
  gst_event_unref (gst_event_ref (text));
  {
    g_autoptr (GstEvent) sticky = gst_pad_get_sticky_event (p.text->sinkpad, GST_EVENT_SEGMENT, 0);
    const GstSegment *got;

    gst_event_parse_segment (sticky, &got);
    g_assert_true (gst_segment_is_equal (got, &segment));
  }
  check_events (p.text, "stream-start caps segment eos");
  pads_free (&p);
}

static void
test_gap_events (void)
{
  Pads p = pads_new ("mode=offline interval=80000000", FALSE, TRUE);

  g_assert_true (gst_harness_push_event (p.h, gst_event_new_gap (0, 40 * GST_MSECOND)));
  push_answered (&p, 40, "a cat");
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_gap (80 * GST_MSECOND, 80 * GST_MSECOND)));
  check_text (&p, "a cat [40, 120)");
  check_events (p.text, "stream-start caps segment gap:0 gap:120");
  pads_free (&p);
}

static void
test_flush (void)
{
  Pads p = pads_new ("mode=offline interval=10000000000", FALSE, TRUE);
  GstSegment segment;

  push_answered (&p, 0, "a cat");
  check_text (&p, "a cat [0, 10000)");
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_segment (&segment)));
  push_answered (&p, 2000, "a dog"); /* nothing of before is in its way */
  check_text (&p, "a dog [2000, 12000)");
  check_events (p.text, "stream-start caps segment flush-start flush-stop segment");
  pads_free (&p);
}

/* A stream's end bounds text, where it is known. */
static void
test_segment_stop (void)
{
  Pads p = pads_new ("mode=offline interval=10000000000", FALSE, TRUE);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.stop = 3 * GST_SECOND;
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_segment (&segment)));
  push_answered (&p, 0, "a cat");
  check_text (&p, "a cat [0, 3000)");
  pads_free (&p);
}

/* A segment that does not count time, as appsrc has by default: text is timed all the same, by its frames. */
static void
test_segment_of_bytes (void)
{
  Pads p = pads_new ("mode=offline interval=400000000", FALSE, TRUE);
  const GstSegment *segment;
  g_autoptr (GstEvent) sticky = NULL;
  GstSegment bytes;

  gst_segment_init (&bytes, GST_FORMAT_BYTES);
  g_assert_true (gst_harness_push_event (p.h, gst_event_new_segment (&bytes)));
  push_answered (&p, 0, "a cat");
  push_answered (&p, 40, NULL);
  push_answered (&p, 400, "a dog");
  check_text (&p, "a cat [0, 400)");
  check_text (&p, "a dog [400, 800)");
  sticky = gst_pad_get_sticky_event (p.text->sinkpad, GST_EVENT_SEGMENT, 0);
  gst_event_parse_segment (sticky, &segment);
  g_assert_cmpint (segment->format, ==, GST_FORMAT_TIME);
  check_events (p.text, "stream-start caps segment");
  pads_free (&p);
}

/* --- pads come and go --- */

static void
test_late_pad (void)
{
  Pads p = pads_new ("mode=offline interval=400000000", FALSE, FALSE);

  push_answered (&p, 0, "a cat");
  p.text = text_new (p.h);
  push_answered (&p, 40, NULL); /* carries the answer of the first */
  check_text (&p, "a cat [40, 400)");
  check_events (p.text, "stream-start caps segment");
  pads_free (&p);
}

static void
test_one_pad_only (void)
{
  Pads p = pads_new ("mode=offline", FALSE, TRUE);

  g_assert_null (gst_element_request_pad (p.h->element,
      gst_element_get_pad_template (p.h->element, "text"), NULL, NULL));
  pads_free (&p);
}

typedef struct {
  GstElement *element;
  int stop;
} Comings;

static gpointer
come_and_go (gpointer data)
{
  Comings *c = data;

  for (int i = 0; !g_atomic_int_get (&c->stop); i++) {
    g_autoptr (GstPad) pad = gst_element_request_pad_simple (c->element, "text");

    g_assert_nonnull (pad);
    if (i % 3 == 0)
      g_usleep (500);
    gst_element_release_request_pad (c->element, pad);
  }
  return NULL;
}

/* Requested and released while frames flow: the video does not notice. */
static void
test_coming_and_going (void)
{
  Pads p = pads_new ("mode=offline", FALSE, FALSE);
  Comings c = { p.h->element, 0 };
  GThread *thread;

  fake_answer_all ("a thing");
  thread = g_thread_new ("pads", come_and_go, &c);
  for (int i = 0; i < 500; i++)
    FLOWS (p.h, test_frame_new (&p.info, 40 * i, 1));
  g_atomic_int_set (&c.stop, 1);
  g_thread_join (thread);
  g_assert_cmpuint (gst_harness_buffers_received (p.h), ==, 500);
  pads_free (&p);
}

/* --- flow --- */

static GstPadProbeReturn
end_stream (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GST_PAD_PROBE_INFO_FLOW_RETURN (info) = GST_FLOW_EOS;
  gst_buffer_unref (GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_HANDLED;
}

static void
end_on (GstElement *element, const char *name)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, name);

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, end_stream, NULL, NULL);
}

/* One pad that has enough does not stop the other; both do. */
static void
test_end_of_one (void)
{
  static const struct {
    const char *pads[2];
    GstFlowReturn flow;
    guint n_video, n_text;
  } cases[] = {
    { { "text", NULL }, GST_FLOW_OK, 3, 0 },
    { { "src", NULL }, GST_FLOW_OK, 0, 3 },
    { { "src", "text" }, GST_FLOW_EOS, 0, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    Pads p = pads_new ("mode=offline", FALSE, TRUE);

    fake_answer_all ("a thing");
    for (gsize k = 0; k < 2 && cases[i].pads[k] != NULL; k++)
      end_on (p.h->element, cases[i].pads[k]);
    for (int ms = 0; ms < 120; ms += 40)
      g_assert_cmpint (push (&p, ms), ==, cases[i].flow);
    g_test_message ("%u frames, %u texts", gst_harness_buffers_received (p.h),
        gst_harness_buffers_received (p.text));
    g_assert_cmpuint (gst_harness_buffers_received (p.h), ==, cases[i].n_video);
    g_assert_cmpuint (gst_harness_buffers_received (p.text), ==, cases[i].n_text);
    pads_free (&p);
  }
}

static void
test_not_linked (void)
{
  Pads p = pads_new ("mode=offline", FALSE, FALSE);
  g_autoptr (GstPad) pad = gst_element_request_pad_simple (p.h->element, "text");
  g_autoptr (GstPad) video = gst_element_get_static_pad (p.h->element, "src");

  fake_answer_all ("a thing");
  g_assert_cmpint (push (&p, 0), ==, GST_FLOW_OK); /* nobody listens to text */
  gst_pad_unlink (video, p.h->sinkpad);
  g_assert_cmpint (push (&p, 40), ==, GST_FLOW_NOT_LINKED); /* nor to video */
  gst_element_release_request_pad (p.h->element, pad);
  gst_pad_link (video, p.h->sinkpad);
  g_assert_cmpint (push (&p, 80), ==, GST_FLOW_OK);
  pads_free (&p);
}

/* --- upstream --- */

static void
test_upstream (void)
{
  Pads p = pads_new ("mode=offline", TRUE, TRUE);
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  g_autoptr (GstEvent) seek = NULL;
  GstClockTime min;
  gboolean live;

  gst_harness_set_upstream_latency (p.h, 30 * GST_MSECOND);
  push_answered (&p, 0, "a cat");
  g_assert_true (gst_pad_peer_query (p.text->sinkpad, query));
  gst_query_parse_latency (query, &live, &min, NULL);
  g_test_message ("latency %g ms, of the video %g ms", (double) min / 1e6,
      (double) gst_harness_query_latency (p.h) / 1e6);
  g_assert_true (live);
  g_assert_cmpuint (min, ==, gst_harness_query_latency (p.h));
  g_assert_cmpuint (min, >=, 30 * GST_MSECOND);

  while ((seek = gst_harness_try_pull_upstream_event (p.h)) != NULL)
    gst_clear_event (&seek);
  g_assert_true (gst_harness_push_upstream_event (p.text,
      gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 2.0, 10, 0)));
  g_assert_null (gst_harness_try_pull_upstream_event (p.h));
  g_assert_true (gst_harness_push_upstream_event (p.text,
      gst_event_new_seek (1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_NONE, GST_SEEK_TYPE_SET, 0,
          GST_SEEK_TYPE_NONE, -1)));
  seek = gst_harness_try_pull_upstream_event (p.h);
  g_assert_nonnull (seek);
  g_assert_cmpint (GST_EVENT_TYPE (seek), ==, GST_EVENT_SEEK);
  pads_free (&p);
}

static void
test_states (void)
{
  Pads p = pads_new ("mode=offline", FALSE, TRUE);

  push_answered (&p, 0, "a cat");
  check_text (&p, "a cat [0, 40)");
  gst_element_set_state (p.h->element, GST_STATE_READY);
  check_events (p.text, "stream-start caps segment");
  gst_element_set_state (p.h->element, GST_STATE_PLAYING);
  push_answered (&p, 0, "a dog");
  check_text (&p, "a dog [0, 40)");
  check_events (p.text, "stream-start caps segment");
  pads_free (&p);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/text/offline", test_offline);
  g_test_add_func ("/text/hold", test_hold);
  g_test_add_func ("/text/live", test_live);
  g_test_add_func ("/text/plain-text", test_plain_text);
  g_test_add_func ("/text/long-text", test_long_text);
  g_test_add_func ("/text/stream", test_stream);
  g_test_add_func ("/text/gap-events", test_gap_events);
  g_test_add_func ("/text/flush", test_flush);
  g_test_add_func ("/text/segment-stop", test_segment_stop);
  g_test_add_func ("/text/segment-of-bytes", test_segment_of_bytes);
  g_test_add_func ("/text/late-pad", test_late_pad);
  g_test_add_func ("/text/one-pad-only", test_one_pad_only);
  g_test_add_func ("/text/coming-and-going", test_coming_and_going);
  g_test_add_func ("/text/end-of-one", test_end_of_one);
  g_test_add_func ("/text/not-linked", test_not_linked);
  g_test_add_func ("/text/upstream", test_upstream);
  g_test_add_func ("/text/states", test_states);
  return test_run ();
}
