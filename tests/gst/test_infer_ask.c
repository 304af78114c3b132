/* dsvl2: what dsvl2infer asks the engine: several prompts about one frame
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include <string.h>

/* The prompts of the results on a buffer, in their order: "0:a 1:b". */
static char *
prompts_on (GstBuffer *buffer)
{
  GString *all = g_string_new (NULL);
  const GstStructure *s;
  gpointer state = NULL;

  while ((s = gst_dsvl2_meta_get_result (buffer, &state)) != NULL) {
    int index = -1;

    g_assert_true (gst_structure_get_int (s, "prompt-index", &index));
    g_string_append_printf (all, "%s%d:%s", all->len > 0 ? " " : "", index,
        gst_structure_get_string (s, "prompt"));
  }
  return g_string_free (all, FALSE);
}

/* --- several prompts --- */

static void
test_prompts (void)
{
  static const struct {
    const char *properties, *prompts;
    guint n;
  } cases[] = {
    { "prompt=a", "0:a", 1 },
    { "prompts=\"\" prompt=a", "0:a", 1 },
    { "prompts=\" ; ; \" prompt=a", "0:a", 1 },
    { "prompts=b prompt=a", "0:b", 1 },
    { "prompts=\"find cars; find people\"", "0:find cars 1:find people", 2 },
    { "prompts=\"find cars;;c;c; \"", "0:find cars 1:c 2:c", 3 },
    { "prompts=\"one; and two\n\n three\"", "0:one; and two 1:three", 2 },
    { "prompts=\"only; this\n\"", "0:only; this", 1 },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new (cases[i].properties, FALSE, &info);
    g_autoptr (GstBus) bus = test_bus_new (h);
    g_autofree char *prompts = NULL;
    GstBuffer *out;

    fake_answer_all ("a thing");
    out = gst_harness_push_and_pull (h, test_frame_new (&info, 0, 1));
    prompts = prompts_on (out);
    g_test_message ("%s: %s", cases[i].properties, prompts);
    g_assert_cmpstr (prompts, ==, cases[i].prompts);
    g_assert_cmpuint (fake_n_asked (), ==, cases[i].n);
    for (guint k = 0; k < cases[i].n; k++) {
      g_assert_true (fake_nth_ask (k)->pictures[0] == fake_nth_ask (0)->pictures[0]);
      g_assert_nonnull (test_region (out, k));
      gst_message_unref (test_message (bus, GST_MESSAGE_ELEMENT));
    }
    g_assert_null (test_region (out, cases[i].n));
    test_no_message (bus, GST_MESSAGE_ELEMENT);
    g_assert_cmpuint (test_stat (h, "analysed"), ==, 1);
    g_assert_cmpuint (test_stat (h, "answered"), ==, cases[i].n);
    gst_buffer_unref (out);
    test_infer_end (h);
  }
}

/* A frame goes when the last of its questions has ended, whichever that is. */
static void
test_waits_for_all (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (int live = 0; live <= 1; live++) {
    GstHarness *h = test_infer_new ("prompts=a;b;c", live, &info);
    g_autoptr (GstBus) bus = test_bus_new (h);
    g_autofree char *prompts = NULL;
    TestCall *push = test_push_begin (h, test_frame_new (&info, 0, 1));
    GstBuffer *out;

    fake_wait_open (3);
    fake_answer_nth (2, "third");
    fake_answer_nth (0, "first");
    g_usleep (20000);
    g_assert_cmpuint (gst_harness_buffers_received (h), ==, (guint) live);
    test_no_message (bus, GST_MESSAGE_ELEMENT);
    fake_answer_nth (0, "second");
    g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
    out = gst_harness_pull (h);
    if (live) {
      g_assert_null (test_result (out));
      gst_buffer_unref (out);
      out = gst_harness_push_and_pull (h, test_frame_new (&info, 40, 1));
    }
    prompts = prompts_on (out);
    g_assert_cmpstr (prompts, ==, "0:a 1:b 2:c");
    for (int i = 0; i < 3; i++) {
      static const char *const texts[] = { "first", "second", "third" };
      GstMessage *m = test_message (bus, GST_MESSAGE_ELEMENT);

      g_assert_cmpstr (gst_structure_get_string (gst_message_get_structure (m), "caption"), ==,
          texts[i]);
      gst_message_unref (m);
    }
    gst_buffer_unref (out);
    test_infer_end (h);
  }
}

/* One that fails is told; the others' answers go on the frame. */
static void
test_one_fails (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (int refused = 0; refused <= 1; refused++) {
    GstHarness *h = test_infer_new ("prompts=a;b", FALSE, &info);
    g_autoptr (GstBus) bus = test_bus_new (h);

    for (int i = 0; i < 3; i++) {
      TestCall *push;
      GstBuffer *out;
      g_autofree char *prompts = NULL;

      if (refused)
        fake_refuse ("no");
      push = test_push_begin (h, test_frame_new (&info, 40 * i, 1));
      if (!refused)
        fake_fail ("no");
      fake_answer ("yes", NULL, 0);
      g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
      out = gst_harness_pull (h);
      prompts = prompts_on (out);
      g_assert_cmpstr (prompts, ==, "1:b");
      gst_buffer_unref (out);
    }
    gst_message_unref (test_message (bus, GST_MESSAGE_WARNING));
    test_no_message (bus, GST_MESSAGE_WARNING); /* once, not with each frame */
    g_assert_cmpuint (test_stat (h, "answered"), ==, 3);
    g_assert_cmpuint (test_stat (h, "failed"), ==, 3);
    test_infer_end (h);
  }
}

static void
test_flush_cancels_all (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("prompts=a;b;c", FALSE, &info);
  TestCall *push = test_push_begin (h, test_frame_new (&info, 0, 1));

  fake_wait_open (3);
  fake_answer_nth (1, "in between");
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_FLUSHING);
  g_assert_cmpuint (fake_n_cancelled (), ==, 2);
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  g_assert_cmpuint (test_stat (h, "answered"), ==, 0);
  g_assert_cmpuint (test_stat (h, "failed"), ==, 0);
  test_infer_end (h);
}

/* --- signals --- */

/* What a signal said, a line each: "pts prompt: text". */
static void
note (GstElement *element, const GstStructure *s, gpointer said)
{
  g_string_append_printf (said, "%" G_GUINT64_FORMAT " %s: %s\n",
      test_uint64 (s, "seen-pts") / GST_MSECOND, gst_structure_get_string (s, "prompt"),
      gst_structure_get_string (s, "text"));
}

static void
test_result_signal (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (int live = 0; live <= 1; live++) {
    GstHarness *h = test_infer_new ("prompts=a;b", live, &info);
    GString *said = g_string_new (NULL);
    GstElement *infer;
    GstStructure *last;

    infer = gst_harness_find_element (h, "dsvl2infer");
    g_signal_connect (infer, "result", G_CALLBACK (note), said);
    fake_answer_all (NULL);
    for (int i = 0; i < 2; i++) {
      FLOWS (h, test_frame_new (&info, 40 * i, 1));
      fake_settle ();
    }
    g_test_message ("%s", said->str);
    g_assert_cmpstr (said->str, ==,
        "0 a:  all of it\n0 b:  all of it\n40 a:  all of it\n40 b:  all of it\n");
    gst_harness_get (h, "dsvl2infer", "last-result", &last, NULL);
    g_assert_cmpstr (gst_structure_get_string (last, "prompt"), ==, "b");
    g_assert_cmpuint (test_uint64 (last, "seen-pts"), ==, 40 * GST_MSECOND);
    gst_structure_free (last);
    g_string_free (said, TRUE);
    gst_object_unref (infer);
    test_infer_end (h);
  }
}

/* Token by token while somebody listens; the engine is not asked for tokens otherwise. */
static void
test_partial_signal (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("prompt=a", TRUE, &info);
  GString *said = g_string_new (NULL);
  gulong handler;
  GstElement *infer;

  infer = gst_harness_find_element (h, "dsvl2infer");
  FLOWS (h, test_frame_new (&info, 0, 1));
  g_assert_false (fake_token ("not heard"));
  handler = g_signal_connect (infer, "partial", G_CALLBACK (note), said);
  g_assert_false (fake_token ("nor this, of a question from before"));
  fake_answer ("x", NULL, 0);

  FLOWS (h, test_frame_new (&info, 40, 1));
  g_assert_true (fake_token (" one"));
  g_assert_true (fake_token (""));
  g_assert_true (fake_token (" tw\xc3\xb6"));
  fake_answer ("one two", NULL, 0);
  g_test_message ("%s", said->str);
  g_assert_cmpstr (said->str, ==, "40 a:  one\n40 a:  one\n40 a:  one tw\xc3\xb6\n");

  FLOWS (h, test_frame_new (&info, 80, 1));
  g_signal_handler_disconnect (infer, handler);
  g_assert_true (fake_token ("nobody hears"));
  fake_answer ("x", NULL, 0);
  FLOWS (h, test_frame_new (&info, 120, 1));
  g_assert_false (fake_token ("nor this"));
  g_assert_cmpuint (strlen (said->str), ==, strlen ("40 a:  one\n40 a:  one\n40 a:  one tw\xc3\xb6\n"));
  g_string_free (said, TRUE);
  gst_object_unref (infer);
  test_infer_end (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/ask/prompts", test_prompts);
  g_test_add_func ("/ask/prompts/wait", test_waits_for_all);
  g_test_add_func ("/ask/prompts/one-fails", test_one_fails);
  g_test_add_func ("/ask/prompts/flush", test_flush_cancels_all);
  g_test_add_func ("/ask/signals/result", test_result_signal);
  g_test_add_func ("/ask/signals/partial", test_partial_signal);
  return test_run ();
}
