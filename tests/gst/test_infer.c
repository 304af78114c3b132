/* dsvl2: what dsvl2infer puts on frames, and that it touches nothing else
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include <string.h>

/* --- frames pass untouched --- */

typedef struct {
  const char *format;
  Dsvl2Format engine;
} FormatCase;

static const FormatCase format_cases[] = {
  { "RGB", DSVL2_FORMAT_RGB },
  { "BGR", DSVL2_FORMAT_BGR },
  { "RGBx", DSVL2_FORMAT_RGBX },
  { "BGRx", DSVL2_FORMAT_BGRX },
  { "xRGB", DSVL2_FORMAT_XRGB },
  { "xBGR", DSVL2_FORMAT_XBGR },
  { "RGBA", DSVL2_FORMAT_RGBX },
  { "BGRA", DSVL2_FORMAT_BGRX },
  { "ARGB", DSVL2_FORMAT_XRGB },
  { "ABGR", DSVL2_FORMAT_XBGR },
  { "RGBP", DSVL2_FORMAT_RGBP },
  { "GRAY8", DSVL2_FORMAT_GRAY8 },
  { "I420", DSVL2_FORMAT_I420 },
  { "YV12", DSVL2_FORMAT_YV12 },
  { "Y42B", DSVL2_FORMAT_Y42B },
  { "Y444", DSVL2_FORMAT_Y444 },
  { "NV12", DSVL2_FORMAT_NV12 },
  { "NV21", DSVL2_FORMAT_NV21 },
  { "YUY2", DSVL2_FORMAT_YUY2 },
  { "UYVY", DSVL2_FORMAT_UYVY },
  { "P010_10LE", DSVL2_FORMAT_P010_10LE },
};

/* One frame through: the same memory comes out, and the engine saw what it holds. */
static void
check_format (const FormatCase *c, int width, int height, guint extra)
{
  const GstVideoInfo info = test_info (c->format, width, height);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  GstBuffer *in = extra > 0 ? test_padded_frame_new (&info, 0, 5, extra) : test_frame_new (&info, 0, 5);
  g_autoptr (GstBuffer) copy = gst_buffer_copy_deep (in), out = NULL;
  GstMemory *memory = gst_buffer_peek_memory (in, 0);
  GstVideoFrame frame;
  const FakeAsk *seen;

  fake_answer_all ("a thing");
  out = gst_harness_push_and_pull (h, in);
  g_assert_true (gst_buffer_peek_memory (out, 0) == memory);
  g_assert_true (test_same_pixels (out, copy, &info));
  g_assert_nonnull (test_result (out));

  seen = fake_last_ask ();
  g_assert_cmpint (seen->n_pictures, ==, 1);
  g_assert_cmpint (seen->frame.format, ==, c->engine);
  g_assert_cmpint (seen->frame.width, ==, width);
  g_assert_cmpint (seen->frame.height, ==, height);
  g_assert_true (gst_video_frame_map (&frame, &info, out, GST_MAP_READ));
  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES (&frame); i++) {
    g_assert_true (seen->frame.plane[i] == GST_VIDEO_FRAME_PLANE_DATA (&frame, i));
    g_assert_cmpint (seen->frame.stride[i], ==, GST_VIDEO_FRAME_PLANE_STRIDE (&frame, i));
  }
  gst_video_frame_unmap (&frame);
  g_clear_pointer (&out, gst_buffer_unref);
  test_infer_end (h);
}

static void
test_formats_pass (void)
{
  static const int sizes[][2] = { { 1, 1 }, { 37, 23 }, { 320, 240 } };

  for (gsize i = 0; i < G_N_ELEMENTS (format_cases); i++) {
    for (gsize k = 0; k < G_N_ELEMENTS (sizes); k++)
      check_format (&format_cases[i], sizes[k][0], sizes[k][1], 0);
    check_format (&format_cases[i], 38, 24, 13);
    g_test_message ("%s: 1×1, 37×23, 320×240, 38×24 with odd strides", format_cases[i].format);
  }
}

static void
test_colorimetry (void)
{
  static const struct {
    const char *name;
    Dsvl2Matrix matrix;
    gboolean full;
  } cases[] = { { "bt601", DSVL2_MATRIX_BT601, FALSE }, { "bt709", DSVL2_MATRIX_BT709, FALSE },
    { "bt2020", DSVL2_MATRIX_BT2020, FALSE }, { "1:4:16:3", DSVL2_MATRIX_BT601, TRUE } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstVideoInfo info = test_info ("NV12", 64, 48);
    GstHarness *h;

    g_assert_true (gst_video_colorimetry_from_string (&info.colorimetry, cases[i].name));
    h = test_infer_new ("", FALSE, &info);
    fake_answer_all (NULL);
    FLOWS (h, test_frame_new (&info, 0, 1));
    g_test_message ("%s: matrix %d, full range %d", cases[i].name, fake_last_ask ()->frame.matrix,
        fake_last_ask ()->frame.full_range);
    g_assert_cmpint (fake_last_ask ()->frame.matrix, ==, cases[i].matrix);
    g_assert_cmpint (fake_last_ask ()->frame.full_range, ==, cases[i].full);
    test_infer_end (h);
  }
}

static void
test_interlaced (void)
{
  GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h;
  GstBuffer *out;

  info.interlace_mode = GST_VIDEO_INTERLACE_MODE_INTERLEAVED;
  h = test_infer_new ("", FALSE, &info);
  fake_answer_all (NULL);
  out = test_frame_new (&info, 0, 1);
  GST_BUFFER_FLAG_SET (out, GST_VIDEO_BUFFER_FLAG_INTERLACED | GST_VIDEO_BUFFER_FLAG_TFF);
  out = gst_harness_push_and_pull (h, out);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (out,
      GST_VIDEO_BUFFER_FLAG_INTERLACED | GST_VIDEO_BUFFER_FLAG_TFF));
  gst_buffer_unref (out);
  test_infer_end (h);
}

static void
test_properties_of_buffers (void)
{
  const GstVideoInfo info = test_info ("RGB", 32, 16);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  GstBuffer *in = test_frame_new (&info, 120, 1), *out;

  fake_answer_all ("a thing");
  GST_BUFFER_DTS (in) = 80 * GST_MSECOND;
  GST_BUFFER_OFFSET (in) = 3;
  GST_BUFFER_OFFSET_END (in) = 4;
  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_MARKER | GST_BUFFER_FLAG_CORRUPTED);
  gst_buffer_add_video_region_of_interest_meta (in, "of someone else", 1, 2, 3, 4);
  out = gst_harness_push_and_pull (h, in);
  g_assert_cmpuint (GST_BUFFER_PTS (out), ==, 120 * GST_MSECOND);
  g_assert_cmpuint (GST_BUFFER_DTS (out), ==, 80 * GST_MSECOND);
  g_assert_cmpuint (GST_BUFFER_DURATION (out), ==, 40 * GST_MSECOND);
  g_assert_cmpuint (GST_BUFFER_OFFSET (out), ==, 3);
  g_assert_cmpuint (GST_BUFFER_OFFSET_END (out), ==, 4);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_MARKER | GST_BUFFER_FLAG_CORRUPTED));
  g_assert_cmpstr (g_quark_to_string (test_region (out, 0)->roi_type), ==, "of someone else");
  g_assert_cmpstr (g_quark_to_string (test_region (out, 1)->roi_type), ==, "a thing");
  gst_buffer_unref (out);
  test_infer_end (h);
}

/* A buffer that others hold keeps what it had; the one that goes on is another with the same memory. */
static void
test_shared_buffer (void)
{
  const GstVideoInfo info = test_info ("RGB", 32, 16);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  GstBuffer *in = test_frame_new (&info, 0, 1), *out;

  fake_answer_all ("a thing");
  out = gst_harness_push_and_pull (h, gst_buffer_ref (in));
  g_assert_true (out != in);
  g_assert_null (test_result (in));
  g_assert_nonnull (test_result (out));
  g_assert_true (gst_buffer_peek_memory (in, 0) == gst_buffer_peek_memory (out, 0));
  gst_buffer_unref (in);
  gst_buffer_unref (out);
  test_infer_end (h);
}

/* Downstream may write on a frame that the engine still reads. */
static void
test_engine_keeps_its_pixels (void)
{
  const GstVideoInfo info = test_info ("GRAY8", 32, 16);
  GstHarness *h = test_infer_new ("", TRUE, &info);
  GstBuffer *out = gst_harness_push_and_pull (h, test_frame_new (&info, 0, 9));
  const Dsvl2Frame *f = &fake_last_ask ()->frame;
  const guint8 first = f->plane[0][0];
  GstMapInfo map;

  g_assert_cmpuint (fake_n_open (), ==, 1);
  g_assert_true (gst_buffer_is_writable (out));
  g_assert_true (gst_buffer_map (out, &map, GST_MAP_WRITE));
  memset (map.data, first ^ 0xff, map.size);
  gst_buffer_unmap (out, &map);
  g_assert_cmpuint (f->plane[0][0], ==, first);
  gst_buffer_unref (out);
  g_assert_cmpuint (f->plane[0][0], ==, first);
  test_infer_end (h);
}

/* --- results --- */

static void
test_metadata (void)
{
  const GstVideoInfo info = test_info ("I420", 200, 100);
  GstHarness *h = test_infer_new ("mode=offline prompt=\"what is it\"", FALSE, &info);
  const Dsvl2Object objects[] = { { "a <b>cat</b>", 0.1f, 0.2f, 0.5f, 0.9f, 0.75f },
    { "dog\n\x1b[31m", -1, 0.5f, 7, 0.5f, 2 } };
  g_autoptr (GstBus) bus = test_bus_new (h);
  const GstStructure *s, *d;
  GstMessage *message;
  GstBuffer *out;
  TestCall *push;
  double x0, y1, confidence;
  int n;

  push = test_push_begin (h, test_frame_new (&info, 1000, 1));
  fake_answer ("a cat and a dog", objects, 2);
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
  out = gst_harness_pull (h);

  g_assert_cmpstr (g_quark_to_string (test_region (out, 0)->roi_type), ==, "a b cat /b");
  g_assert_cmpuint (test_region (out, 0)->x, ==, 20);
  g_assert_cmpuint (test_region (out, 0)->y, ==, 20);
  g_assert_cmpuint (test_region (out, 0)->w, ==, 80);
  g_assert_cmpuint (test_region (out, 0)->h, ==, 70);
  d = test_detection (out, 0);
  g_assert_true (gst_structure_get (d, "x_min", G_TYPE_DOUBLE, &x0, "y_max", G_TYPE_DOUBLE, &y1,
      "confidence", G_TYPE_DOUBLE, &confidence, "label_id", G_TYPE_INT, &n, NULL));
  g_assert_cmpfloat_with_epsilon (x0, 0.1, 1e-6);
  g_assert_cmpfloat_with_epsilon (y1, 0.9, 1e-6);
  g_assert_cmpfloat (confidence, ==, 0.75);
  g_assert_cmpint (n, ==, gst_dsvl2_label_id ("a <b>cat</b>"));
  g_assert_cmpstr (gst_structure_get_string (d, "label"), ==, "a <b>cat</b>");

  /* Beyond the frame, and without height: clamped, one pixel. */
  g_assert_cmpstr (g_quark_to_string (test_region (out, 1)->roi_type), ==, "dog [31m");
  g_assert_cmpuint (test_region (out, 1)->x, ==, 0);
  g_assert_cmpuint (test_region (out, 1)->w, ==, 200);
  g_assert_cmpuint (test_region (out, 1)->y, ==, 50);
  g_assert_cmpuint (test_region (out, 1)->h, ==, 1);

  s = test_result (out);
  g_assert_cmpstr (gst_structure_get_string (s, "caption"), ==, "a cat and a dog");
  g_assert_cmpstr (gst_structure_get_string (s, "text"), ==, " a cat and a dog");
  g_assert_cmpstr (gst_structure_get_string (s, "prompt"), ==, "what is it");
  g_assert_cmpstr (gst_structure_get_string (s, "finish"), ==, "stop");
  g_assert_cmpuint (test_uint64 (s, "seen-pts"), ==, GST_SECOND);
  g_assert_cmpuint (test_uint64 (s, "stream-time"), ==, GST_SECOND);
  g_assert_cmpuint (test_uint64 (s, "running-time"), ==, GST_SECOND);
  g_assert_true (gst_structure_get_int (s, "n-objects", &n) && n == 2);
  g_assert_cmpuint (gst_value_array_get_size (gst_structure_get_value (s, "objects")), ==, 2);

  message = test_message (bus, GST_MESSAGE_ELEMENT);
  g_assert_true (gst_structure_is_equal (gst_message_get_structure (message), s));
  gst_message_unref (message);
  test_no_message (bus, GST_MESSAGE_ELEMENT);
  gst_buffer_unref (out);
  test_infer_end (h);
}

static void
test_held (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("mode=offline interval=1000000000 hold=80000000", FALSE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);

  fake_answer_all ("a thing");
  for (int i = 0; i < 5; i++) {
    GstBuffer *out = gst_harness_push_and_pull (h, test_frame_new (&info, 40 * i, 1));
    const GstStructure *s = test_result (out);
    gboolean fresh = FALSE;

    g_assert_true ((s != NULL) == (i <= 2));
    if (s != NULL) {
      g_assert_cmpuint (test_uint64 (s, "seen-pts"), ==, 0);
      g_assert_true (gst_structure_get_boolean (s, "fresh", &fresh));
      g_assert_true (fresh == (i == 0));
    }
    g_assert_true ((test_region (out, 0) != NULL) == (i <= 2));
    gst_buffer_unref (out);
  }
  gst_message_unref (test_message (bus, GST_MESSAGE_ELEMENT));
  test_no_message (bus, GST_MESSAGE_ELEMENT);
  test_infer_end (h);
}

static void
test_questions (void)
{
  static const struct {
    const char *properties, *question, *system;
  } cases[] = {
    { "prompt=\"find cars\"", "<image>\nauto:find cars", NULL },
    { "prompt=\"<image> or not\"", "auto:<image> or not", NULL },
    { "prompt=\"find cars\" prompt-template=plain", "<image>\nfind cars", NULL },
    { "prompt=\"<image> and?\" prompt-template=plain", "<image> and?", NULL },
    { "prompt=\"the car\" prompt-template=find", "<image>\n<|ref|>the car<|/ref|>.", NULL },
    { "prompt=\"Describe it.\" prompt-template=grounding", "<image>\n<|grounding|>Describe it.", NULL },
    { "prompt=\"<image>x\" prompt-template=raw system-prompt=\"Be brief.\"", "<image>x", "Be brief." },
    { "prompt=\"\"", "<image>\nauto:", NULL },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new (cases[i].properties, FALSE, &info);

    fake_answer_all (NULL);
    FLOWS (h, test_frame_new (&info, 0, 1));
    g_test_message ("%s: %s", cases[i].properties, fake_last_ask ()->question);
    g_assert_cmpstr (fake_last_ask ()->question, ==, cases[i].question);
    g_assert_cmpstr (fake_last_ask ()->system, ==, cases[i].system);
    test_infer_end (h);
  }
}

/* Properties hold any bytes; what goes on is UTF-8. */
static void
test_prompt_of_bytes (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  GstBuffer *out;

  fake_answer_all (NULL);
  gst_harness_set (h, "dsvl2infer", "prompt", "a\xff", NULL);
  out = gst_harness_push_and_pull (h, test_frame_new (&info, 0, 1));
  g_assert_cmpstr (gst_structure_get_string (test_result (out), "prompt"), ==, "a\uFFFD");
  gst_buffer_unref (out);
  gst_harness_set (h, "dsvl2infer", "prompt", NULL, NULL);
  out = gst_harness_push_and_pull (h, test_frame_new (&info, 40, 1));
  g_assert_cmpstr (gst_structure_get_string (test_result (out), "prompt"), ==, "");
  gst_buffer_unref (out);
  test_infer_end (h);
}

static void
test_sampling (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h =
      test_infer_new ("max-new-tokens=9 temperature=0.5 top-p=0.9 top-k=4 repetition-penalty=1.5 "
                      "seed=77 cropping=off max-tiles=3",
          FALSE, &info);
  const FakeAsk *seen;

  fake_answer_all (NULL);
  FLOWS (h, test_frame_new (&info, 0, 1));
  seen = fake_last_ask ();
  g_assert_cmpint (seen->sampling.max_new_tokens, ==, 9);
  g_assert_cmpfloat (seen->sampling.temperature, ==, 0.5f);
  g_assert_cmpfloat (seen->sampling.top_p, ==, 0.9f);
  g_assert_cmpint (seen->sampling.top_k, ==, 4);
  g_assert_cmpfloat (seen->sampling.repetition_penalty, ==, 1.5f);
  g_assert_cmpuint (seen->sampling.seed, ==, 77);
  g_assert_cmpint (seen->cropping, ==, DSVL2_CROPPING_OFF);
  g_assert_cmpint (seen->max_tiles, ==, 3);
  test_infer_end (h);
}

/* A prompt set while playing is that of the next frame that is analysed; answers say theirs. */
static void
test_prompt_changes (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("prompt=one", TRUE, &info);
  GstBuffer *out;

  FLOWS (h, test_frame_new (&info, 0, 1));
  gst_harness_set (h, "dsvl2infer", "prompt", "two", NULL);
  FLOWS (h, test_frame_new (&info, 40, 1));
  g_assert_cmpstr (fake_last_ask ()->question, ==, "<image>\nauto:one");
  fake_answer ("first", NULL, 0);
  FLOWS (h, test_frame_new (&info, 80, 1));
  g_assert_cmpstr (fake_last_ask ()->question, ==, "<image>\nauto:two");
  fake_answer ("second", NULL, 0);
  FLOWS (h, test_frame_new (&info, 120, 1));

  for (int i = 0; i < 4; i++) {
    static const char *const prompts[] = { NULL, NULL, "one", "two" };
    const GstStructure *s;

    out = gst_harness_pull (h);
    s = test_result (out);
    g_assert_cmpstr (s != NULL ? gst_structure_get_string (s, "prompt") : NULL, ==, prompts[i]);
    gst_buffer_unref (out);
  }
  test_infer_end (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/infer/formats", test_formats_pass);
  g_test_add_func ("/infer/colorimetry", test_colorimetry);
  g_test_add_func ("/infer/interlaced", test_interlaced);
  g_test_add_func ("/infer/buffers", test_properties_of_buffers);
  g_test_add_func ("/infer/shared-buffer", test_shared_buffer);
  g_test_add_func ("/infer/engine-keeps-its-pixels", test_engine_keeps_its_pixels);
  g_test_add_func ("/infer/metadata", test_metadata);
  g_test_add_func ("/infer/held", test_held);
  g_test_add_func ("/infer/questions", test_questions);
  g_test_add_func ("/infer/prompt-of-bytes", test_prompt_of_bytes);
  g_test_add_func ("/infer/sampling", test_sampling);
  g_test_add_func ("/infer/prompt-changes", test_prompt_changes);
  return test_run ();
}
