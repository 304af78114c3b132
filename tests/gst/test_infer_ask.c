/* dsvl2: what dsvl2infer asks the engine: several prompts about one frame
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include "prompts.h"
#include <glib/gstdio.h>
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
      g_assert_cmpint (fake_nth_ask (k)->pictures[0], ==, fake_nth_ask (0)->pictures[0]);
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

/* --- what prompts become --- */

static void
test_questions (void)
{
  static const struct {
    const char *prompt;
    InferTemplate template;
    guint n_pictures;
    const char *question;
  } cases[] = {
    { "x", INFER_TEMPLATE_AUTO, 1, "<image>\nauto:x" },
    { "x", INFER_TEMPLATE_AUTO, 3, "<image>\n<image>\n<image>\nauto:x" },
    { "x", INFER_TEMPLATE_AUTO, 0, "auto:x" },
    { "a <image> b <image>", INFER_TEMPLATE_PLAIN, 2, "a <image> b <image>" },
    { "a <image> b", INFER_TEMPLATE_PLAIN, 2, "<image>\na <image> b" },
    { "<image><image><image>", INFER_TEMPLATE_PLAIN, 2, "<image><image><image>" },
    { "x", INFER_TEMPLATE_FIND, 2, "<image>\n<image>\n<|ref|>x<|/ref|>." },
    { "x", INFER_TEMPLATE_GROUNDING, 1, "<image>\n<|grounding|>x" },
    { "x", INFER_TEMPLATE_RAW, 2, "x" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *question =
        prompts_question (cases[i].prompt, cases[i].template, cases[i].n_pictures);

    g_test_message ("%s of %u: %s", cases[i].prompt, cases[i].n_pictures, question);
    g_assert_cmpstr (question, ==, cases[i].question);
  }
}

/* --- reference pictures --- */

/* A folder with a red and a wide picture, and a file that is none. */
static char *
make_pictures (void)
{
  static const char *const launch[] = {
    "videotestsrc num-buffers=1 pattern=red ! video/x-raw,width=40,height=30 ! pngenc ! filesink "
    "location=%s/red.png",
    "videotestsrc num-buffers=1 pattern=snow ! video/x-raw,width=90,height=10 ! jpegenc ! filesink "
    "location=%s/wide.jpg",
  };
  char *folder = g_dir_make_tmp ("dsvl2-XXXXXX", NULL);
  g_autofree char *text = g_build_filename (folder, "text.png", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (launch); i++) {
    g_autofree char *whole = g_strdup_printf (launch[i], folder);
    GstElement *pipeline = gst_parse_launch (whole, NULL);
    g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);

    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    gst_message_unref (gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS));
    gst_element_set_state (pipeline, GST_STATE_NULL);
    gst_object_unref (pipeline);
  }
  g_assert_true (g_file_set_contents (text, "no picture", -1, NULL));
  return folder;
}

static void
remove_pictures (const char *folder)
{
  static const char *const names[] = { "red.png", "wide.jpg", "text.png" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *file = g_build_filename (folder, names[i], NULL);

    g_unlink (file);
  }
  g_rmdir (folder);
}

static void
test_references (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  g_autofree char *folder = make_pictures ();
  g_autofree char *properties =
      g_strdup_printf ("prompts=a;b reference-images=\"%s/red.png; file://%s/wide.jpg\"", folder,
          folder);
  GstHarness *h = test_infer_new (properties, FALSE, &info);

  fake_answer_all (NULL);
  FLOWS (h, test_frame_new (&info, 0, 1));
  FLOWS (h, test_frame_new (&info, 40, 1));
  g_assert_cmpuint (fake_n_asked (), ==, 4);
  for (guint i = 0; i < 4; i++) {
    const FakeAsk *seen = fake_nth_ask (i);

    g_test_message ("%s: %d pictures, %d × %d first", seen->question, seen->n_pictures,
        seen->frames[0].width, seen->frames[0].height);
    g_assert_true (g_str_has_prefix (seen->question, "<image>\n<image>\n<image>\nauto:"));
    g_assert_cmpint (seen->n_pictures, ==, 3);
    g_assert_cmpint (seen->frames[0].width, ==, 40);
    g_assert_cmpint (seen->frames[0].format, ==, DSVL2_FORMAT_BGRX);
    g_assert_cmpint (seen->frames[1].width, ==, 90);
    g_assert_cmpint (seen->frames[2].width, ==, 64);
    for (int k = 0; k < 2; k++) /* decoded once */
      g_assert_cmpint (seen->pictures[k], ==, fake_nth_ask (0)->pictures[k]);
    g_assert_true ((seen->pictures[2] == fake_nth_ask (0)->pictures[2]) == (i < 2));
  }
  test_infer_end (h);
  remove_pictures (folder);
}

static void
test_reference_errors (void)
{
  g_autofree char *folder = make_pictures ();
  const struct {
    const char *list; /* of names in the folder */
    GQuark domain;
    gint code;
    const char *culprit;
  } cases[] = {
    { "%s/none.png", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "none.png: No such file" },
    { "%s/red.png\n%s/none.png", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        "none.png: No such file" },
    { "%s/text.png", GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, "text.png: " },
    { "%s", GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, ": " },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstElement *element = gst_element_factory_make ("dsvl2infer", NULL);
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_auto (GStrv) parts = g_strsplit (cases[i].list, "%s", -1);
    g_autofree char *list = g_strjoinv (folder, parts);
    g_autoptr (GError) error = NULL;

    gst_element_set_bus (element, bus);
    g_object_set (element, "model", "/fake", "reference-images", list, NULL);
    error = test_start_error (element, bus);
    g_assert_error (error, cases[i].domain, cases[i].code);
    g_assert_nonnull (strstr (error->message, cases[i].culprit));

    g_object_set (element, "reference-images", NULL, NULL);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), !=, GST_STATE_CHANGE_FAILURE);
    gst_element_set_state (element, GST_STATE_NULL);
    gst_bus_set_flushing (bus, TRUE);
    gst_object_unref (element);
    g_assert_cmpint (fake_n_alive (), ==, 0);
  }
  remove_pictures (folder);
}

/* --- frames together --- */

/* Results on a buffer: "frames first-last" in ms. */
static char *
shown_on (GstBuffer *buffer)
{
  const GstStructure *s = test_result (buffer);
  int frames = 0;

  if (s == NULL)
    return g_strdup ("-");
  g_assert_true (gst_structure_get_int (s, "frames", &frames));
  return g_strdup_printf ("%d:%d-%d", frames, (int) (test_uint64 (s, "first-pts") / GST_MSECOND),
      (int) (test_uint64 (s, "seen-pts") / GST_MSECOND));
}

static void
test_frames (void)
{
  static const struct {
    const char *properties;
    int n; /* frames, 40 ms apart */
    const char *results;
  } cases[] = {
    { "frames=1", 3, "1:0-0 1:40-40 1:80-80" },
    { "frames=2", 4, "- 2:0-40 - 2:80-120" },
    { "frames=3 hold=0", 7, "- - 3:0-80 - - 3:120-200 1:240-240" },
    { "frames=3", 2, "- 2:0-40" },
    { "frames=2 interval=80000000 hold=0", 8, "- - 2:0-80 - - - 2:160-240 -" },
    { "frames=2 interval=80000000 hold=0", 6, "- - 2:0-80 - - 1:160-160" },
    { "frames=2 max-queue=9 hold=0", 5, "- 2:0-40 - 2:80-120 1:160-160" },
    { "frames=32", 5, "- - - - 5:0-160" },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *properties = g_strconcat ("hold=0 ", cases[i].properties, NULL);
    GstHarness *h = test_infer_new (properties, FALSE, &info);
    GString *results = g_string_new (NULL);

    fake_answer_all (NULL);
    for (int k = 0; k < cases[i].n; k++)
      FLOWS (h, test_frame_new (&info, 40 * k, (guint32) k));
    g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
    for (int k = 0; k < cases[i].n; k++) {
      GstBuffer *out = gst_harness_pull (h);
      g_autofree char *shown = shown_on (out);

      g_assert_cmpuint (GST_BUFFER_PTS (out), ==, (guint64) (40 * k) * GST_MSECOND);
      g_string_append_printf (results, "%s%s", k > 0 ? " " : "", shown);
      gst_buffer_unref (out);
    }
    g_test_message ("%s, %d frames: %s", cases[i].properties, cases[i].n, results->str);
    g_assert_cmpstr (results->str, ==, cases[i].results);
    g_string_free (results, TRUE);
    test_infer_end (h);
  }
}

/* A question shows the frames in their order; marks that a group which ends early has no frame for show
 * its last frame again. */
static void
test_frames_of_question (void)
{
  const GstVideoInfo info = test_info ("GRAY8", 64, 48);
  GstHarness *h =
      test_infer_new ("frames=3 prompt-template=plain prompt=<image><image><image>", FALSE, &info);

  fake_answer_all (NULL);
  for (int k = 0; k < 5; k++)
    FLOWS (h, test_frame_new (&info, 40 * k, 1));
  g_assert_cmpuint (fake_n_asked (), ==, 1);
  g_assert_cmpint (fake_last_ask ()->n_pictures, ==, 3);
  for (int k = 0; k < 3; k++) /* a frame that goes on is written to without the engine seeing it */
    g_assert_true (fake_last_ask ()->frames[k].plane[0] !=
                   fake_last_ask ()->frames[(k + 1) % 3].plane[0]);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_cmpuint (fake_n_asked (), ==, 2);
  g_assert_cmpint (fake_last_ask ()->n_pictures, ==, 3);
  g_assert_cmpint (fake_last_ask ()->pictures[0], !=, fake_last_ask ()->pictures[1]);
  g_assert_cmpint (fake_last_ask ()->pictures[1], ==, fake_last_ask ()->pictures[2]);
  test_infer_end (h);
}

/* A flush forgets what was gathered; an event that comes between takes no answer away. */
static void
test_frames_and_events (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("frames=2", FALSE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);
  GstSegment segment;
  GstMessage *message;

  fake_answer_all (NULL);
  FLOWS (h, test_frame_new (&info, 0, 1));
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  FLOWS (h, test_frame_new (&info, 40, 1));
  g_assert_cmpuint (fake_n_asked (), ==, 0);
  g_assert_true (gst_harness_push_event (h, gst_event_new_gap (80 * GST_MSECOND, 0)));
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 1); /* before the gap, as it came */
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  message = test_message (bus, GST_MESSAGE_ELEMENT); /* no frame is left to carry it */
  g_assert_cmpuint (test_uint64 (gst_message_get_structure (message), "seen-pts"), ==,
      40 * GST_MSECOND);
  gst_message_unref (message);
  g_assert_cmpuint (test_stat (h, "answered"), ==, 1);
  test_infer_end (h);
}

static void
test_frames_live (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("frames=2", TRUE, &info);

  for (int k = 0; k < 5; k++) {
    gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 40 * k, 1)));
    g_assert_cmpuint (fake_n_asked (), ==, k >= 1);
  }
  fake_answer ("two", NULL, 0);
  gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 200, 1)));
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_cmpuint (fake_n_asked (), ==, 1);
  test_infer_end (h);
}

/* --- history --- */

/* The conversation of a request: "U:text A:text …". */
static char *
conversation (const FakeAsk *asked)
{
  GString *all = g_string_new (NULL);

  for (int i = 0; i < asked->n_messages; i++)
    g_string_append_printf (all, "%s%c:%s", i > 0 ? " " : "", "SUA"[asked->roles[i]],
        asked -> texts[i]);
  return g_string_free (all, FALSE);
}

static void
test_history (void)
{
  static const struct {
    const char *properties;
    const char *last; /* conversation of the fourth frame */
    int turns;
  } cases[] = {
    { "history=0", "U:<image>\np", 0 },
    { "history=1", "U:p A:3 U:<image>\np", 1 },
    { "history=2 max-queue=9", "U:p A:2 U:p A:3 U:<image>\np", 2 },
    { "history=9 system-prompt=s", "S:s U:p A:1 U:p A:2 U:p A:3 U:<image>\np", 3 },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *properties =
        g_strconcat ("prompt=p prompt-template=plain ", cases[i].properties, NULL);
    GstHarness *h = test_infer_new (properties, FALSE, &info);
    g_autofree char *last = NULL;

    for (int k = 1; k <= 4; k++) {
      g_autofree char *text = g_strdup_printf ("<image>%d", k);
      TestCall *push = test_push_begin (h, test_frame_new (&info, 40 * k, 1));

      fake_answer (text, NULL, 0);
      g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
    }
    last = conversation (fake_last_ask ());
    g_test_message ("%s: %s", cases[i].properties, last);
    g_assert_cmpstr (last, ==, cases[i].last);
    test_infer_end (h);
  }
}

/* Another prompt and a flush begin anew; each prompt has its own; a context that is full drops the oldest. */
static void
test_history_begins_anew (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("prompts=a;b history=4 prompt-template=plain", FALSE, &info);
  g_autofree char *both = NULL, *other = NULL, *flushed = NULL, *full = NULL;
  GstSegment segment;

  fake_answer_all (NULL);
  for (int k = 0; k < 2; k++)
    FLOWS (h, test_frame_new (&info, 40 * k, 1));
  both = conversation (fake_last_ask ());
  g_assert_cmpstr (both, ==, "U:b A:all of it U:<image>\nb");

  gst_harness_set (h, "dsvl2infer", "prompts", "c", NULL);
  FLOWS (h, test_frame_new (&info, 80, 1));
  other = conversation (fake_last_ask ());
  g_assert_cmpstr (other, ==, "U:<image>\nc");

  for (int k = 3; k < 6; k++)
    FLOWS (h, test_frame_new (&info, 40 * k, 1));
  fake_set_context (2); /* turns */
  FLOWS (h, test_frame_new (&info, 240, 1));
  full = conversation (fake_last_ask ());
  g_assert_cmpstr (full, ==, "U:c A:all of it U:c A:all of it U:<image>\nc");
  g_assert_cmpuint (test_stat (h, "failed"), ==, 0);

  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  FLOWS (h, test_frame_new (&info, 0, 1));
  flushed = conversation (fake_last_ask ());
  g_assert_cmpstr (flushed, ==, "U:<image>\nc");
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
  g_test_add_func ("/ask/questions", test_questions);
  g_test_add_func ("/ask/references", test_references);
  g_test_add_func ("/ask/references/errors", test_reference_errors);
  g_test_add_func ("/ask/frames", test_frames);
  g_test_add_func ("/ask/frames/question", test_frames_of_question);
  g_test_add_func ("/ask/frames/events", test_frames_and_events);
  g_test_add_func ("/ask/frames/live", test_frames_live);
  g_test_add_func ("/ask/history", test_history);
  g_test_add_func ("/ask/history/begins-anew", test_history_begins_anew);
  g_test_add_func ("/ask/signals/result", test_result_signal);
  g_test_add_func ("/ask/signals/partial", test_partial_signal);
  return test_run ();
}
