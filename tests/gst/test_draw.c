/* dsvl2: what dsvl2overlay shows of a buffer, and what it costs
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include "pieces.h"
#include "place.h"
#include <string.h>

static OverlaySettings
default_settings (void)
{
  OverlaySettings s = { .show_boxes = TRUE,
    .show_labels = TRUE,
    .show_confidence = TRUE,
    .show_ids = TRUE,
    .show_caption = TRUE,
    .font_scale = 1,
    .wrap_mode = OVERLAY_WRAP_WORDCHAR,
    .caption_lines = 8,
    .fade_after = 2 * GST_SECOND,
    .fade_duration = 8 * GST_SECOND,
    .fade_opacity = 0.5 };

  return s;
}

static void
add_region (GstBuffer *buffer, const char *label, guint x, guint y, guint w, guint h, double confidence)
{
  GstVideoRegionOfInterestMeta *meta =
      gst_buffer_add_video_region_of_interest_meta (buffer, label, x, y, w, h);

  gst_video_region_of_interest_meta_add_param (meta,
      gst_structure_new ("detection", "confidence", G_TYPE_DOUBLE, confidence, NULL));
}

static void
add_caption (GstBuffer *buffer, const char *prompt, const char *caption, GstClockTime seen)
{
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, GST_DSVL2_RESULT_NAME);

  gst_structure_set (gst_custom_meta_get_structure (meta), "caption", G_TYPE_STRING, caption, "prompt",
      G_TYPE_STRING, prompt, "seen-pts", G_TYPE_UINT64, seen, NULL);
}

/* Unpacks and packs every pixel, as blending does with those that it touches. */
static void
repack (GstBuffer *buffer, const GstVideoInfo *info)
{
  const GstVideoFormatInfo *f = info->finfo;
  const int width = GST_VIDEO_INFO_WIDTH (info);
  g_autofree guint8 *line = g_malloc (8 * ((gsize) width + 8));
  GstVideoFrame frame;

  g_assert_true (gst_video_frame_map (&frame, info, buffer, GST_MAP_READWRITE));
  for (int y = 0; y < GST_VIDEO_INFO_HEIGHT (info); y++) {
    f->unpack_func (f, 0, line, frame.data, frame.info.stride, 0, y, width);
    f->pack_func (f, 0, line, width, frame.data, frame.info.stride, frame.info.chroma_site, y, width);
  }
  gst_video_frame_unmap (&frame);
}

static gboolean
same_bytes (GstBuffer *a, GstBuffer *b)
{
  GstMapInfo map;
  gboolean same;

  g_assert_true (gst_buffer_map (b, &map, GST_MAP_READ));
  same = gst_buffer_get_size (a) == map.size && gst_buffer_memcmp (a, 0, map.data, map.size) == 0;
  gst_buffer_unmap (b, &map);
  return same;
}

static void
blend_into (GstBuffer *buffer, const GstVideoInfo *info, GstVideoOverlayComposition *picture,
    gboolean in_windows)
{
  GstVideoFrame f;

  g_assert_true (gst_video_frame_map (&f, info, buffer, GST_MAP_READWRITE));
  g_assert_true (in_windows ? pieces_blend (picture, 0, 0, &f)
                            : gst_video_overlay_composition_blend (picture, &f));
  gst_video_frame_unmap (&f);
}

/* FALSE where packing changes what it unpacked (NV61 of odd width in GStreamer 1.22 swaps its last chroma), so that
 * there is nothing to compare with. */
static gboolean
check_blend (const GstVideoInfo *info)
{
  g_autoptr (GstBuffer) before = test_frame_new (info, 0, 7), ours = NULL, theirs = NULL;
  const OverlaySettings settings = default_settings ();
  const DrawFor target = { info, TRUE, &settings };
  GstVideoOverlayComposition *picture;
  Drawing *d = drawing_new ();
  gboolean comparable;
  Scene scene;

  scene_init (&scene);
  repack (before, info); /* bits that mean nothing are as packing leaves them */
  add_region (before, "thing", 21, 31, 77, 41, 0.5);
  add_region (before, "other", 100, 3, 60, 90, 0.5);
  add_region (before, "small", 0, 0, 3, 4, 0.5);
  add_caption (before, "", "A thing and another", GST_CLOCK_TIME_NONE);
  ours = gst_buffer_copy_deep (before);
  theirs = gst_buffer_copy_deep (before);
  repack (theirs, info);
  comparable = same_bytes (theirs, before);
  scene_read (&scene, ours, GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info), &settings, NULL);
  picture = drawing_update (d, &scene, &target);
  g_assert_nonnull (picture);
  blend_into (ours, info, picture, TRUE);
  blend_into (theirs, info, picture, FALSE);
  g_assert_true (!comparable || same_bytes (ours, theirs));
  g_assert_false (same_bytes (ours, before));
  scene_clear (&scene);
  drawing_free (d);
  return comparable;
}

/* Every raw format: pieces are blended into windows of the frame as GStreamer blends them into the whole. */
static void
test_blend_formats (void)
{
  static const guint sizes[][2] = { { 160, 120 }, { 161, 93 }, { 3, 5 }, { 1, 1 } };
  guint n;
  const GstVideoFormat *formats = gst_video_formats_raw (&n);

  for (guint i = 0; i < n; i++) {
    int compared = 0;
    GstVideoInfo info;

    for (gsize k = 0; k < G_N_ELEMENTS (sizes); k++) {
      gst_video_info_set_format (&info, formats[i], sizes[k][0], sizes[k][1]);
      g_assert_true (pieces_can_blend (&info));
      compared += check_blend (&info);
    }
    g_test_message ("%s: the same in %d sizes", gst_video_format_to_string (formats[i]), compared);
    g_assert_cmpint (compared, >=, 1);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  gst_dsvl2_meta_register ();
  g_test_add_func ("/draw/blend-formats", test_blend_formats);
  return test_run ();
}
