/* dsvl2: elements that share an engine: which do, and that none holds up another
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "harness.h"
#include <string.h>

/* --- which elements share --- */

static GstElement *
start (const char *properties, GstStateChangeReturn *started)
{
  g_autofree char *launch = g_strconcat ("dsvl2infer model=/fake ", properties, NULL);
  GstElement *element = gst_parse_launch (launch, NULL);

  *started = gst_element_set_state (element, GST_STATE_PAUSED);
  return element;
}

static void
stop (GstElement *element)
{
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}

static void
test_which_share (void)
{
  static const struct {
    const char *one, *other;
    guint engines;
  } cases[] = {
    { "", "", 1 },
    { "prompt=one priority=2 max-queue=3", "prompt=two temperature=0.5", 1 },
    { "model=/fake/model", "model=/fake/../fake//model/", 1 },
    { "engine-id=door", "engine-id=door", 1 },
    { "engine-id=door", "engine-id=yard", 2 },
    { "engine-id=door", "", 2 },
    { "model=/fake/one engine-id=door", "model=/fake/two engine-id=door", 2 },
    { "threads=1", "threads=2", 2 },
    { "isa=c", "", 2 },
    { "bf16=true", "", 2 },
    { "vision-attention=own", "", 2 },
    { "weights=int8", "", 2 },
    { "weights=int8", "weights=int4", 2 },
    { "weights=int4", "weights=int4", 1 },
    { "prefill-chunk=8", "", 2 },
    { "max-sequences=8", "", 2 },
    { "kv-cache-size=4194304", "", 2 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstStateChangeReturn a, b;
    GstElement *one, *other;

    fake_reset ();
    one = start (cases[i].one, &a);
    other = start (cases[i].other, &b);
    g_test_message ("\"%s\" and \"%s\": %u", cases[i].one, cases[i].other, fake_n_engines ());
    g_assert_true (a != GST_STATE_CHANGE_FAILURE && b != GST_STATE_CHANGE_FAILURE);
    g_assert_cmpuint (fake_n_engines (), ==, cases[i].engines);
    stop (one);
    g_assert_cmpint (fake_n_alive (), >, 0);
    stop (other);
    g_assert_cmpint (fake_n_alive (), ==, 0);
  }
}

/* The same id with other options says what differs. */
static void
test_must_agree (void)
{
  GstStateChangeReturn started;
  GstElement *one = start ("engine-id=door threads=4 bf16=true", &started);
  GstElement *other =
      gst_parse_launch ("dsvl2infer model=/fake engine-id=door threads=2 bf16=true", NULL);
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GError) error = NULL;
  GstMessage *message;

  gst_element_set_bus (other, bus);
  g_assert_cmpint (gst_element_set_state (other, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
  message = test_message (bus, GST_MESSAGE_ERROR);
  gst_message_parse_error (message, &error, NULL);
  gst_message_unref (message);
  g_test_message ("%s", error->message);
  g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message,
      "\"door\" runs with threads=4, this element has threads=2"));

  /* When the first has gone, its options have too. */
  stop (one);
  g_assert_cmpint (gst_element_set_state (other, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_SUCCESS);
  gst_bus_set_flushing (bus, TRUE);
  stop (other);
  g_assert_cmpint (fake_n_alive (), ==, 0);
}

enum { STREAMS = 16 };

static gpointer
pause_element (gpointer element)
{
  return GINT_TO_POINTER (gst_element_set_state (element, GST_STATE_PAUSED));
}

static gpointer
stop_element (gpointer element)
{
  return GINT_TO_POINTER (gst_element_set_state (element, GST_STATE_NULL));
}

static void
all_at_once (GstElement **element, GThreadFunc what)
{
  GThread *thread[STREAMS];

  for (int i = 0; i < STREAMS; i++)
    thread[i] = g_thread_new ("state", what, element[i]);
  for (int i = 0; i < STREAMS; i++)
    g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread[i])), ==, GST_STATE_CHANGE_SUCCESS);
}

/* Sixteen that start at the same time open one engine; the last one closes it, whichever that is. */
static void
test_opened_once (void)
{
  GstElement *element[STREAMS];

  for (int i = 0; i < STREAMS; i++)
    element[i] = gst_parse_launch ("dsvl2infer model=/fake", NULL);
  for (int round = 0; round < 20; round++) {
    fake_reset ();
    all_at_once (element, pause_element);
    g_assert_cmpuint (fake_n_engines (), ==, 1);
    all_at_once (element, stop_element);
    g_assert_cmpint (fake_n_alive (), ==, 0);
  }
  for (int i = 0; i < STREAMS; i++)
    gst_object_unref (element[i]);
}

/* --- what a stream asks --- */

static void
test_stream_and_priority (void)
{
  const GstVideoInfo info = test_info ("I420", 32, 32);
  GstHarness *a = test_infer_new ("", TRUE, &info), *b = test_infer_new ("priority=-3", TRUE, &info);
  gconstpointer stream;

  FLOWS (a, test_frame_new (&info, 0, 1));
  stream = fake_last_ask ()->stream;
  g_assert_nonnull (stream);
  g_assert_cmpint (fake_last_ask ()->priority, ==, 0);
  FLOWS (b, test_frame_new (&info, 0, 1));
  g_assert_true (fake_last_ask ()->stream != stream);
  g_assert_cmpint (fake_last_ask ()->priority, ==, -3);

  /* both may change while playing, the stream stays what it is */
  fake_answer (" ", NULL, 0);
  gst_harness_set (a, "dsvl2infer", "priority", 7, NULL);
  FLOWS (a, test_frame_new (&info, 40, 1));
  g_assert_true (fake_last_ask ()->stream == stream);
  g_assert_cmpint (fake_last_ask ()->priority, ==, 7);
  gst_harness_teardown (a);
  test_infer_end (b);
}

/* --- one that stops, fails or is slow --- */

static void
test_neighbour_stops (void)
{
  const GstVideoInfo info = test_info ("I420", 32, 32);
  GstHarness *a = test_infer_new ("", TRUE, &info), *b = test_infer_new ("", FALSE, &info);
  TestCall *push;
  GstBuffer *out;

  FLOWS (a, test_frame_new (&info, 0, 1));
  push = test_push_begin (b, test_frame_new (&info, 0, 1));
  fake_wait_open (2);
  gst_harness_teardown (a);
  g_assert_cmpuint (fake_n_cancelled (), ==, 1);
  g_assert_cmpuint (fake_n_open (), ==, 1);
  fake_answer ("nothing happened", NULL, 0);
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
  out = gst_harness_pull (b);
  g_assert_cmpstr (gst_structure_get_string (test_result (out), "text"), ==, " nothing happened");
  gst_buffer_unref (out);
  g_assert_cmpuint (fake_n_engines (), ==, 0); /* the second harness opened none */
  test_infer_end (b);
}

static void
test_neighbour_fails (void)
{
  const GstVideoInfo info = test_info ("I420", 32, 32);
  GstHarness *a = test_infer_new ("", TRUE, &info), *b = test_infer_new ("", TRUE, &info);
  g_autoptr (GstBus) bus = test_bus_new (b);

  FLOWS (a, test_frame_new (&info, 0, 1));
  FLOWS (b, test_frame_new (&info, 0, 1));
  fake_fail ("a frame that nobody can read");
  fake_answer ("of the other", NULL, 0);
  g_assert_cmpuint (test_stat (a, "failed"), ==, 1);
  g_assert_cmpuint (test_stat (b, "failed"), ==, 0);
  g_assert_cmpuint (test_stat (b, "answered"), ==, 1);
  test_no_message (bus, GST_MESSAGE_WARNING);
  gst_bus_set_flushing (bus, TRUE);
  gst_harness_teardown (a);
  test_infer_end (b);
}

/* An application that stands still when it is told of an answer. */
typedef struct {
  GMutex lock;
  GCond changed;
  gboolean reached, go;
} Gate;

static GstBusSyncReply
stand_still (GstBus *bus, GstMessage *message, gpointer data)
{
  Gate *gate = data;

  g_mutex_lock (&gate->lock);
  gate->reached = TRUE;
  g_cond_broadcast (&gate->changed);
  while (!gate->go)
    g_cond_wait (&gate->changed, &gate->lock);
  g_mutex_unlock (&gate->lock);
  gst_message_unref (message);
  return GST_BUS_DROP;
}

static void
stand_still_at_notify (GObject *object, GParamSpec *spec, gpointer data)
{
  stand_still (NULL, gst_message_new_eos (NULL), data);
}

/* A handler of messages or notifications that does not come back holds up its own stream's answers, not
 * its frames, and nothing of another stream. */
static void
test_slow_handler (gconstpointer notify)
{
  const GstVideoInfo info = test_info ("I420", 32, 32);
  GstHarness *a = test_infer_new ("", TRUE, &info), *b = test_infer_new ("", FALSE, &info);
  g_autoptr (GstBus) bus = test_bus_new (a);
  GstElement *infer = gst_harness_find_element (a, "dsvl2infer");
  Gate gate = { .reached = FALSE };

  if (notify != NULL)
    g_signal_connect (infer, "notify::last-result", G_CALLBACK (stand_still_at_notify), &gate);
  else
    gst_bus_set_sync_handler (bus, stand_still, &gate, NULL);
  gst_object_unref (infer);
  fake_answer_all (NULL);
  FLOWS (a, test_frame_new (&info, 0, 1));
  g_mutex_lock (&gate.lock);
  while (!gate.reached)
    g_cond_wait (&gate.changed, &gate.lock);
  g_mutex_unlock (&gate.lock);

  for (int i = 1; i <= 10; i++) {
    GstBuffer *out = gst_harness_push_and_pull (b, test_frame_new (&info, 40 * i, 1));

    g_assert_cmpuint (test_uint64 (test_result (out), "seen-pts"), ==, (guint64) i * 40 * GST_MSECOND);
    gst_buffer_unref (out);
    FLOWS (a, test_frame_new (&info, 40 * i, 1));
  }
  g_assert_cmpuint (test_stat (b, "answered"), ==, 10);
  g_assert_cmpuint (gst_harness_buffers_received (a), ==, 11);
  g_test_message ("10 answers and 11 frames while a handler stood still");

  g_mutex_lock (&gate.lock);
  gate.go = TRUE;
  g_cond_broadcast (&gate.changed);
  g_mutex_unlock (&gate.lock);
  gst_bus_set_flushing (bus, TRUE);
  gst_harness_teardown (a);
  test_infer_end (b);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/sharing/which-share", test_which_share);
  g_test_add_func ("/sharing/must-agree", test_must_agree);
  g_test_add_func ("/sharing/opened-once", test_opened_once);
  g_test_add_func ("/sharing/stream-and-priority", test_stream_and_priority);
  g_test_add_func ("/sharing/neighbour-stops", test_neighbour_stops);
  g_test_add_func ("/sharing/neighbour-fails", test_neighbour_fails);
  g_test_add_data_func ("/sharing/slow-message-handler", NULL, test_slow_handler);
  g_test_add_data_func ("/sharing/slow-notify-handler", "notify", test_slow_handler);
  return test_run ();
}
