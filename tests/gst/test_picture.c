/* dsvl2: regions of frames as pictures: alignment, and which bytes the engine reads
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "picture.h"
#include "fake_engine.h"
#include "harness.h"

static void
test_align (void)
{
  static const struct {
    const char *format;
    GstVideoRectangle region, aligned;
  } cases[] = {
    { "I420", { 0, 0, 101, 51 }, { 0, 0, 101, 51 } },
    { "I420", { 11, 7, 20, 10 }, { 10, 6, 21, 11 } },
    { "YUY2", { 11, 7, 20, 10 }, { 10, 7, 21, 10 } },
    { "RGB", { 11, 7, 20, 10 }, { 11, 7, 20, 10 } },
    { "Y444", { 11, 7, 20, 10 }, { 11, 7, 20, 10 } },
    { "NV12", { -5, -5, 20, 10 }, { 0, 0, 15, 5 } },
    { "NV12", { 90, 40, 200, 100 }, { 90, 40, 11, 11 } },
    { "I420", { 500, 500, 20, 10 }, { 100, 50, 1, 1 } },
    { "GRAY8", { -50, -50, 20, 10 }, { 0, 0, 1, 1 } },
    { "RGB", { 11, 7, 0, -3 }, { 10, 3, 1, 1 } },
    { "I420", { G_MAXINT, G_MININT, G_MAXINT, G_MAXINT }, { 100, 0, 1, 1 } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const GstVideoInfo info = test_info (cases[i].format, 101, 51);
    GstVideoRectangle r = cases[i].region;

    gst_dsvl2_picture_align (&info, &r);
    g_test_message ("%s: %d, %d, %d × %d", cases[i].format, r.x, r.y, r.w, r.h);
    g_assert_cmpint (r.x, ==, cases[i].aligned.x);
    g_assert_cmpint (r.y, ==, cases[i].aligned.y);
    g_assert_cmpint (r.w, ==, cases[i].aligned.w);
    g_assert_cmpint (r.h, ==, cases[i].aligned.h);
  }
}

/* Each component's first sample is that of the frame at the region's corner, read in place. */
static void
check_region (const char *format, GstVideoRectangle region, guint extra)
{
  const GstVideoInfo info = test_info (format, 38, 24);
  g_autoptr (GstBuffer) buffer = test_padded_frame_new (&info, 0, 1, extra);
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Picture) picture = NULL;
  const Dsvl2Frame *f;
  GstVideoFrame whole;

  gst_dsvl2_picture_align (&info, &region);
  picture = gst_dsvl2_picture_new (buffer, &info, &region, FALSE, &error);
  g_assert_no_error (error);
  f = fake_picture_frame (picture);
  g_assert_cmpint (f->width, ==, region.w);
  g_assert_cmpint (f->height, ==, region.h);
  g_assert_true (gst_video_frame_map (&whole, &info, buffer, GST_MAP_READ));
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&whole); c++) {
    const int plane = GST_VIDEO_FRAME_COMP_PLANE (&whole, c);
    const int x = region.x >> GST_VIDEO_FORMAT_INFO_W_SUB (info.finfo, c);
    const int y = region.y >> GST_VIDEO_FORMAT_INFO_H_SUB (info.finfo, c);
    const guint8 *sample = (const guint8 *) GST_VIDEO_FRAME_COMP_DATA (&whole, c) +
                           (gssize) y * GST_VIDEO_FRAME_COMP_STRIDE (&whole, c) +
                           (gssize) x * GST_VIDEO_FRAME_COMP_PSTRIDE (&whole, c);

    g_assert_true (f->plane[plane] + GST_VIDEO_FRAME_COMP_POFFSET (&whole, c) == sample);
    g_assert_cmpint (f->stride[plane], ==, GST_VIDEO_FRAME_COMP_STRIDE (&whole, c));
  }
  gst_video_frame_unmap (&whole);
}

static void
test_regions (void)
{
  static const GstVideoRectangle regions[] = { { 0, 0, 38, 24 }, { 2, 4, 11, 9 }, { 37, 23, 1, 1 },
    { 3, 5, 1, 1 } };

  for (int i = 0; test_formats[i] != NULL; i++) {
    for (gsize k = 0; k < G_N_ELEMENTS (regions); k++) {
      check_region (test_formats[i], regions[k], 4);
      check_region (test_formats[i], regions[k], 13);
    }
    g_test_message ("%s: %zu regions, two strides", test_formats[i], G_N_ELEMENTS (regions));
  }
}

static void
test_too_small (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  const GstVideoRectangle region = { 0, 0, 16, 16 };
  g_autoptr (GstBuffer) buffer = gst_buffer_new_allocate (NULL, 100, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (gst_dsvl2_picture_new (buffer, &info, &region, FALSE, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/picture/align", test_align);
  g_test_add_func ("/picture/regions", test_regions);
  g_test_add_func ("/picture/too-small", test_too_small);
  return test_run ();
}
