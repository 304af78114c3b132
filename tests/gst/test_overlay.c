/* dsvl2: dsvl2overlay draws where boxes are, and nowhere else
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2meta.h"
#include "harness.h"
#include "overlay.h"
#include <string.h>

/* A frame of one grey, whatever the format. */
static GstBuffer *
grey_frame (const GstVideoInfo *info)
{
  GstBuffer *buffer = test_frame_new (info, 0, 0);

  gst_buffer_memset (buffer, 0, 0x80, gst_buffer_get_size (buffer));
  return buffer;
}

static GstHarness *
overlay_new (const char *properties, const GstVideoInfo *info)
{
  g_autofree char *launch = g_strconcat ("dsvl2overlay ", properties, NULL);
  GstHarness *h = gst_harness_new_parse (launch);

  gst_harness_play (h);
  test_set_caps (h, info);
  return h;
}

/* Bytes of a component that differ from the grey in columns x0 … x1 and rows y0 … y1 of the frame. */
static int
changed (GstBuffer *buffer, const GstVideoInfo *info, int x0, int y0, int x1, int y1)
{
  GstVideoFrame f;
  int n = 0;

  g_assert_true (gst_video_frame_map (&f, info, buffer, GST_MAP_READ));
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&f); c++) {
    const int sx = (int) GST_VIDEO_FORMAT_INFO_W_SUB (f.info.finfo, c);
    const int sy = (int) GST_VIDEO_FORMAT_INFO_H_SUB (f.info.finfo, c);

    for (int y = y0 >> sy; y < y1 >> sy; y++)
      for (int x = x0 >> sx; x < x1 >> sx; x++)
        n += ((guint8 *) GST_VIDEO_FRAME_COMP_DATA (&f, c))[y * GST_VIDEO_FRAME_COMP_STRIDE (&f, c) +
                                                            x * GST_VIDEO_FRAME_COMP_PSTRIDE (&f, c)] !=
             0x80;
  }
  gst_video_frame_unmap (&f);
  return n;
}

static void
test_every_format (void)
{
  static const char *const more[] = { "AYUV", "Y41B", "A420", "v308", "GRAY16_LE", "I420_10LE", "NV16",
    "RGB16", NULL };
  const char *const *lists[] = { test_formats, more };

  for (int l = 0; l < 2; l++)
    for (int i = 0; lists[l][i] != NULL; i++) {
      const char *format = lists[l][i];
      const GstVideoInfo info = test_info (format, 160, 120);
      GstHarness *h = overlay_new ("show-labels=false line-width=2", &info);
      GstBuffer *frame = grey_frame (&info), *out;
      int inside, edge, outside;

      overlay_add_region (frame, "thing", 40, 40, 60, 40, -1);
      out = gst_harness_push_and_pull (h, frame);
      edge = changed (out, &info, 40, 40, 100, 42);
      inside = changed (out, &info, 48, 48, 92, 72);
      outside = changed (out, &info, 0, 0, 160, 36) + changed (out, &info, 0, 84, 160, 120) +
                changed (out, &info, 0, 0, 36, 120) + changed (out, &info, 104, 0, 160, 120);
      g_test_message ("%s: %d samples of the upper edge, %d inside, %d outside", format, edge, inside,
          outside);
      g_assert_cmpint (edge, >, 30);
      if (l == 0) {
        g_assert_cmpint (inside, ==, 0);
        g_assert_cmpint (outside, ==, 0);
      }
      gst_buffer_unref (out);
      gst_harness_teardown (h);
    }
}

/* The colour that is drawn is the same whatever the format. */
static void
test_colours (void)
{
  static const char *const formats[] = { "RGB", "BGRx", "I420", "NV12", "YUY2", "Y444", "P010_10LE",
    "RGBP" };
  int expected[3] = { 0 };

  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++) {
    GstVideoInfo info = test_info (formats[i], 160, 120), rgb = test_info ("RGB", 160, 120);
    GstHarness *h = gst_harness_new_parse ("dsvl2overlay show-labels=false line-width=8 "
                                           "label-colors=\"thing=#c08060\" ! videoconvert");
    GstBuffer *frame, *out;
    GstMapInfo map;

    gst_video_colorimetry_from_string (&rgb.colorimetry, "sRGB");
    if (GST_VIDEO_INFO_IS_YUV (&info))
      gst_video_colorimetry_from_string (&info.colorimetry, "bt601");
    gst_harness_set_caps (h, gst_video_info_to_caps (&info), gst_video_info_to_caps (&rgb));
    frame = grey_frame (&info);
    overlay_add_region (frame, "thing", 40, 40, 60, 40, -1);
    out = gst_harness_push_and_pull (h, frame);
    gst_buffer_map (out, &map, GST_MAP_READ);
    for (int c = 0; c < 3; c++) {
      const int value = map.data[44 * GST_VIDEO_INFO_PLANE_STRIDE (&rgb, 0) + 3 * 70 + c];

      if (i == 0)
        expected[c] = value;
      g_test_message ("%s: %c = %d (%d in RGB)", formats[i], "RGB"[c], value, expected[c]);
      g_assert_cmpint (ABS (value - expected[c]), <=, 4);
    }
    gst_buffer_unmap (out, &map);
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}

/* Nothing to draw: not a byte changes, the memory is the same. */
static void
test_nothing (void)
{
  const GstVideoInfo info = test_info ("I420", 37, 23);
  GstHarness *h = overlay_new ("", &info);
  GstBuffer *frame = grey_frame (&info), *out;
  GstMemory *memory = gst_buffer_peek_memory (frame, 0);

  overlay_add_region (frame, "outside", 37, 0, 5, 5, 1);
  overlay_add_region (frame, "empty", 3, 3, 0, 5, 1);
  overlay_add_caption (frame, "", " \n ", GST_CLOCK_TIME_NONE);
  out = gst_harness_push_and_pull (h, frame);
  g_assert_true (gst_buffer_peek_memory (out, 0) == memory);
  g_assert_cmpint (changed (out, &info, 0, 0, 37, 23), ==, 0);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* Pixels that someone else reads are not drawn on. */
static void
test_shared_memory (void)
{
  const GstVideoInfo info = test_info ("RGB", 64, 48);
  GstHarness *h = overlay_new ("", &info);
  GstBuffer *frame = grey_frame (&info), *out;

  overlay_add_region (frame, "thing", 10, 10, 20, 20, 1);
  out = gst_harness_push_and_pull (h, gst_buffer_ref (frame));
  g_assert_cmpint (changed (frame, &info, 0, 0, 64, 48), ==, 0);
  g_assert_cmpint (changed (out, &info, 0, 0, 64, 48), >, 0);
  gst_buffer_unref (frame);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* Any text, any box, any size: it draws something or nothing, and stays in the frame. */
static void
test_hostile (void)
{
  static const int sizes[][2] = { { 1, 1 }, { 2, 3 }, { 16, 16 }, { 320, 240 }, { 33, 1000 },
    { 1000, 17 } };
  g_autofree char *endless = g_strnfill (100000, 'W');
  g_autoptr (GString) marks = g_string_new ("Z"); /* one letter with a thousand accents */
  const char *texts[] = { "", "<b>bold</b> & <span size='99999'>", "\xff\xfe\x80",
    "\n\n\n\n\n\n\n\n\n\n", "%s%n%d",
    "\xe2\x80\xae"
    "right to left",
    "مرحبا بالعالم", "日本語の字幕", "\xf0\x9f\x9a\x97 car", "a\tb\x01", endless, NULL };

  for (int i = 0; i < 1000; i++)
    g_string_append (marks, "\xcc\x81");
  texts[G_N_ELEMENTS (texts) - 1] = marks->str;
  for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++) {
    const GstVideoInfo info = test_info ("I420", sizes[s][0], sizes[s][1]);
    GstHarness *h = overlay_new ("", &info);

    for (gsize t = 0; t < G_N_ELEMENTS (texts); t++) {
      GstBuffer *frame = grey_frame (&info);

      overlay_add_region (frame, texts[t][0] ? texts[t] : "x", 0, 0, 1, 1, 0.5);
      overlay_add_region (frame, texts[t][0] ? texts[t] : "x", 5, 5, G_MAXUINT, G_MAXUINT, 99);
      overlay_add_region (frame, "x", G_MAXUINT, G_MAXUINT, G_MAXUINT, G_MAXUINT, -5);
      if (g_utf8_validate (texts[t], -1, NULL)) /* GStreamer has no other strings in structures */
        overlay_add_caption (frame, "", texts[t], GST_CLOCK_TIME_NONE);
      gst_buffer_unref (gst_harness_push_and_pull (h, frame));
    }
    gst_harness_teardown (h);
  }
}

static void
test_many_regions (void)
{
  const GstVideoInfo info = test_info ("I420", 320, 240);
  GstHarness *h = overlay_new ("", &info);
  GstBuffer *frame = grey_frame (&info);

  for (guint i = 0; i < 5000; i++)
    overlay_add_region (frame, "thing", i % 300, i % 200, 20, 20, 0.5);
  gst_buffer_unref (gst_harness_push_and_pull (h, frame));
  gst_harness_teardown (h);
}

/* A markup is letters like any other: the text is drawn as wide as it is long. */
static void
test_markup_is_text (void)
{
  static const char *const captions[] = { "<b>x</b>", "x" };
  const GstVideoInfo info = test_info ("GRAY8", 320, 240);
  int n[2];

  for (int i = 0; i < 2; i++) {
    GstHarness *h = overlay_new ("", &info);
    GstBuffer *frame = grey_frame (&info), *out;

    overlay_add_caption (frame, "", captions[i], GST_CLOCK_TIME_NONE);
    out = gst_harness_push_and_pull (h, frame);
    n[i] = changed (out, &info, 0, 0, 320, 240);
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
  g_test_message ("%s: %d pixels; %s: %d", captions[0], n[0], captions[1], n[1]);
  g_assert_cmpint (n[0], >, n[1] * 2);
}

/* The properties do what they say. */
static void
test_properties (void)
{
  static const struct {
    const char *properties;
    gboolean top, label, bottom; /* what is drawn of a caption at the top, a tag, one at the bottom */
  } cases[] = {
    { "", FALSE, TRUE, TRUE },
    { "caption-position=top", TRUE, TRUE, FALSE },
    { "show-caption=false", FALSE, TRUE, FALSE },
    { "show-labels=false show-confidence=false", FALSE, FALSE, TRUE },
    { "show-labels=false", FALSE, TRUE, TRUE },
    { "show-confidence=false", FALSE, TRUE, TRUE },
    { "font=\"Serif Bold 8\"", FALSE, TRUE, TRUE },
    { "font=\"<nonsense\"", FALSE, TRUE, TRUE },
  };
  const GstVideoInfo info = test_info ("I420", 320, 240);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = overlay_new (cases[i].properties, &info);
    GstBuffer *frame = grey_frame (&info), *out;
    int top, label, bottom;

    overlay_add_region (frame, "thing", 100, 100, 80, 60, 0.5);
    overlay_add_caption (frame, "", "A thing in the middle of nothing at all.", GST_CLOCK_TIME_NONE);
    out = gst_harness_push_and_pull (h, frame);
    top = changed (out, &info, 0, 0, 320, 40);
    label = changed (out, &info, 104, 88, 120, 98);
    bottom = changed (out, &info, 0, 200, 320, 240);
    g_test_message ("%s: top %d, label %d, bottom %d", cases[i].properties, top, label, bottom);
    g_assert_true ((top > 0) == cases[i].top);
    g_assert_true ((label > 0) == cases[i].label);
    g_assert_true ((bottom > 0) == cases[i].bottom);
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}

/* Where downstream draws overlays itself, pixels stay as they are. */
static void
test_attaches (void)
{
  const GstVideoInfo info = test_info ("I420", 320, 240);
  GstHarness *h = gst_harness_new_parse ("dsvl2overlay");
  GstBuffer *frame = grey_frame (&info), *out;
  GstVideoOverlayCompositionMeta *meta;
  GstCaps *caps;
  guint n;

  gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_harness_play (h);
  test_set_caps (h, &info);
  overlay_add_region (frame, "thing", 100, 100, 80, 60, 0.5);
  out = gst_harness_push_and_pull (h, frame);
  caps = gst_pad_get_current_caps (h->sinkpad);
  g_assert_true (gst_caps_features_contains (gst_caps_get_features (caps, 0),
      GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION));
  gst_caps_unref (caps);
  g_assert_cmpint (changed (out, &info, 0, 0, 320, 240), ==, 0);
  meta = gst_buffer_get_video_overlay_composition_meta (out);
  g_assert_nonnull (meta);
  n = gst_video_overlay_composition_n_rectangles (meta->overlay);
  g_assert_cmpuint (n, ==, 5); /* four sides and a tag */

  /* A second one adds to it. */
  overlay_add_region (out, "another", 5, 200, 20, 20, 0.5);
  out = gst_harness_push_and_pull (h, out);
  meta = gst_buffer_get_video_overlay_composition_meta (out);
  g_assert_cmpuint (gst_video_overlay_composition_n_rectangles (meta->overlay), >, n);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

static void
test_states_and_caps (void)
{
  const GstVideoInfo first = test_info ("I420", 320, 240), second = test_info ("RGB", 64, 48);
  GstHarness *h = gst_harness_new_parse ("dsvl2overlay");

  for (int round = 0; round < 3; round++) {
    const GstVideoInfo *infos[] = { &first, &second };
    GstSegment segment;

    gst_element_set_state (h->element, GST_STATE_NULL);
    gst_element_set_state (h->element, GST_STATE_PLAYING);
    gst_segment_init (&segment, GST_FORMAT_TIME);
    gst_harness_push_event (h, gst_event_new_stream_start ("x"));
    for (int i = 0; i < 2; i++) {
      GstBuffer *frame = grey_frame (infos[i]), *out;

      gst_harness_push_event (h, test_caps_event_new (infos[i]));
      gst_harness_push_event (h, gst_event_new_segment (&segment));
      overlay_add_region (frame, "thing", 10, 10, 20, 20, 0.5);
      out = gst_harness_push_and_pull (h, frame);
      g_assert_cmpint (changed (out, infos[i], 10, 10, 30, 30), >, 0);
      gst_buffer_unref (out);
    }
  }
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  gst_dsvl2_meta_register ();
  g_test_add_func ("/overlay/every-format", test_every_format);
  g_test_add_func ("/overlay/colours", test_colours);
  g_test_add_func ("/overlay/nothing", test_nothing);
  g_test_add_func ("/overlay/shared-memory", test_shared_memory);
  g_test_add_func ("/overlay/hostile", test_hostile);
  g_test_add_func ("/overlay/many-regions", test_many_regions);
  g_test_add_func ("/overlay/markup-is-text", test_markup_is_text);
  g_test_add_func ("/overlay/properties", test_properties);
  g_test_add_func ("/overlay/attaches", test_attaches);
  g_test_add_func ("/overlay/states-and-caps", test_states_and_caps);
  return test_run ();
}
