/* dsvl2: what dsvl2overlay shows of a buffer, and what it costs
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include "overlay.h"
#include "pieces.h"
#include "place.h"

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
  const OverlaySettings settings = overlay_default_settings ();
  const DrawFor target = { info, TRUE, &settings };
  GstVideoOverlayComposition *picture;
  Drawing *d = drawing_new ();
  gboolean comparable;
  Scene scene;

  scene_init (&scene);
  repack (before, info); /* bits that mean nothing are as packing leaves them */
  overlay_add_region (before, "thing", 21, 31, 77, 41, 0.5);
  overlay_add_region (before, "other", 100, 3, 60, 90, 0.5);
  overlay_add_region (before, "small", 0, 0, 3, 4, 0.5);
  overlay_add_caption (before, "", "A thing and another", GST_CLOCK_TIME_NONE);
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
      if (pieces_can_blend (&info))
        compared += check_blend (&info);
      else
        g_assert_true (GST_VIDEO_FORMAT_INFO_IS_TILED (info.finfo) && sizes[k][0] < 16);
    }
    g_test_message ("%s: the same in %d sizes", gst_video_format_to_string (formats[i]), compared);
    g_assert_cmpint (compared, >=, 1);
  }
}

/* --- pictures --- */

/* The scene of a buffer, drawn. */
static GstVideoOverlayComposition *
draw (Drawing *d, GstBuffer *buffer, const GstVideoInfo *info, gboolean blend)
{
  const OverlaySettings settings = overlay_default_settings ();
  const DrawFor target = { info, blend, &settings };
  GstVideoOverlayComposition *picture;
  Scene scene;

  scene_init (&scene);
  scene_read (&scene, buffer, GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info), &settings,
      NULL);
  picture = drawing_update (d, &scene, &target);
  scene_clear (&scene);
  return picture;
}

typedef struct {
  int x, y;
  guint w, h;
} Part;

static Part
part_of (GstVideoOverlayComposition *picture, guint i)
{
  Part p;

  gst_video_overlay_rectangle_get_render_rectangle (
      gst_video_overlay_composition_get_rectangle (picture, i), &p.x, &p.y, &p.w, &p.h);
  return p;
}

static guint64
pixels_of (GstVideoOverlayComposition *picture)
{
  guint64 n = 0;

  for (guint i = 0; i < gst_video_overlay_composition_n_rectangles (picture); i++)
    n += (guint64) part_of (picture, i).w * part_of (picture, i).h;
  return n;
}

/* Drawn when something that is seen differs, not for each frame. */
static void
test_drawn_once (void)
{
  static const struct {
    guint x;
    double confidence;
    const char *caption;
    guint drawn;
  } frames[] = {
    { 10, 0.501, "the same", 1 },
    { 10, 0.504, "the same", 1 },
    { 10, 0.504, "another", 2 },
    { 11, 0.504, "another", 3 },
    { 11, 0.514, "another", 4 },
    { 11, 0.514, "another", 4 },
    { 11, 0.514, NULL, 5 },
    { 11, 0.514, NULL, 5 },
  };
  const GstVideoInfo info = test_info ("I420", 320, 240);
  const GstVideoInfo larger = test_info ("I420", 640, 480);
  Drawing *d = drawing_new ();
  g_autoptr (GstBuffer) nothing = gst_buffer_new (), last = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();

    overlay_add_region (buffer, "thing", frames[i].x, 10, 50, 50, frames[i].confidence);
    if (frames[i].caption != NULL)
      overlay_add_caption (buffer, "", frames[i].caption, GST_CLOCK_TIME_NONE);
    g_assert_nonnull (draw (d, buffer, &info, TRUE));
    g_assert_cmpuint (drawing_get_count (d), ==, frames[i].drawn);
    gst_buffer_replace (&last, buffer);
  }
  g_assert_null (draw (d, nothing, &info, TRUE));
  g_assert_cmpuint (drawing_get_count (d), ==, 5);
  g_assert_nonnull (draw (d, last, &info, TRUE));
  g_assert_nonnull (draw (d, last, &larger, TRUE));
  g_assert_nonnull (draw (d, last, &larger, FALSE));
  g_assert_cmpuint (drawing_get_count (d), ==, 8);
  drawing_free (d);
}

/* Of a picture in which one box has moved, all else is kept as it was drawn. */
static void
test_kept_pieces (void)
{
  const GstVideoInfo info = test_info ("I420", 640, 480);
  Drawing *d = drawing_new ();
  GstVideoOverlayRectangle *before[11];
  GstVideoOverlayComposition *picture;

  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    guint n_kept = 0;

    overlay_add_region (buffer, "stays", 10, 100, 50, 50, 0.5);
    overlay_add_region (buffer, "moves", 300 + i, 100, 50, 50, 0.5);
    overlay_add_caption (buffer, "", "the same", GST_CLOCK_TIME_NONE);
    picture = draw (d, buffer, &info, TRUE);
    g_assert_cmpuint (gst_video_overlay_composition_n_rectangles (picture), ==, 11);
    for (guint k = 0; k < 11; k++) {
      GstVideoOverlayRectangle *piece = gst_video_overlay_composition_get_rectangle (picture, k);

      n_kept += i > 0 && piece == before[k];
      before[k] = piece;
    }
    g_test_message ("%u of 11 pieces are kept", n_kept);
    g_assert_cmpuint (n_kept, ==, i * 6); /* four sides, a tag and the panel */
  }
  drawing_free (d);
}

/* Where a pixel is twice as wide as high, a text has half as many columns, and as many rows. */
static void
test_pixel_aspect_ratio (void)
{
  static const int ratios[][2] = { { 1, 1 }, { 2, 1 }, { 1, 2 }, { 0, 1 }, { 1000, 1 } };
  Part tags[G_N_ELEMENTS (ratios)];

  for (gsize i = 0; i < G_N_ELEMENTS (ratios); i++) {
    GstVideoInfo info = test_info ("RGB", 720, 576);
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    Drawing *d = drawing_new ();
    GstVideoOverlayComposition *picture;
    Part top;

    info.par_n = ratios[i][0];
    info.par_d = ratios[i][1];
    overlay_add_region (buffer, "a thing with a name", 100, 200, 300, 200, 0.5);
    picture = draw (d, buffer, &info, TRUE);
    top = part_of (picture, 0);
    tags[i] = part_of (picture, 4);
    g_test_message ("%d:%d: upper side %u pixels at %d, tag %u × %u", ratios[i][0], ratios[i][1], top.w,
        top.x, tags[i].w, tags[i].h);
    g_assert_cmpint (ABS (top.x - 100), <=, 2); /* the box is where it is */
    g_assert_cmpint (ABS ((int) top.w - 300), <=, 4);
    drawing_free (d);
  }
  g_assert_cmpint (ABS ((int) tags[0].w - 2 * (int) tags[1].w), <=, 4);
  g_assert_cmpint (ABS ((int) tags[0].h - (int) tags[1].h), <=, 1);
  g_assert_cmpint (tags[3].w, ==, tags[0].w);
}

/* Whatever a buffer says, a picture is no larger than a frame, and takes no longer than one should. */
static void
test_bounds (void)
{
  static const struct {
    const char *name;
    int width, height, n_boxes;
    guint w, h;
    int n_chars, n_captions;
  } cases[] = {
    { "one box of 8K", 7680, 4320, 1, 7680, 4320, 5, 1 },
    { "10000 boxes of 8K", 7680, 4320, 10000, 7680, 4320, 5, 0 },
    { "10000 boxes of 1080p", 1920, 1080, 10000, 90, 90, 5, 0 },
    { "10000 boxes of a pixel", 64, 48, 10000, 1, 1, 5, 0 },
    { "100 labels of 100000 characters", 1920, 1080, 100, 90, 90, 100000, 0 },
    { "100 captions of 100000 characters", 1920, 1080, 0, 0, 0, 100000, 100 },
    { "a pixel", 1, 1, 100, 1, 1, 100000, 100 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const GstVideoInfo info = test_info ("I420", cases[i].width, cases[i].height);
    g_autofree char *text = g_strnfill ((gsize) cases[i].n_chars, 'W');
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    Drawing *d = drawing_new ();
    GstVideoOverlayComposition *picture = NULL;
    double first, again;

    for (int k = 0; k < cases[i].n_boxes; k++)
      overlay_add_region (buffer, text, (guint) (k * 7 % cases[i].width),
          (guint) (k * 5 % cases[i].height), cases[i].w, cases[i].h, k % 100 / 100.0);
    for (int k = 0; k < cases[i].n_captions; k++)
      overlay_add_caption (buffer, text, text, GST_CLOCK_TIME_NONE);
    first = test_cpu_ms ();
    picture = draw (d, buffer, &info, TRUE);
    first = test_cpu_ms () - first;
    again = test_cpu_ms ();
    g_assert_true (draw (d, buffer, &info, TRUE) == picture);
    again = test_cpu_ms () - again;
    g_test_message ("%s: %.1f ms to draw, %.2f ms when nothing changes, %u pieces, %.1f MB",
        cases[i].name, first, again, gst_video_overlay_composition_n_rectangles (picture),
        4e-6 * (double) pixels_of (picture));
    g_assert_cmpuint (pixels_of (picture), <=, (guint64) cases[i].width * (guint64) cases[i].height);
    g_assert_cmpfloat (first, <, 10e3); /* sanitizers take their time */
    drawing_free (d);
  }
}

/* Who draws it has few parts to show, however many boxes there are. */
static void
test_attached_pieces (void)
{
  static const int n_boxes[] = { 1, 12, 13, 500 };
  const GstVideoInfo info = test_info ("I420", 1920, 1080);

  for (gsize i = 0; i < G_N_ELEMENTS (n_boxes); i++) {
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    Drawing *d = drawing_new ();
    guint n;

    for (int k = 0; k < n_boxes[i]; k++)
      overlay_add_region (buffer, "thing", (guint) (k * 37 % 1800), (guint) (k * 29 % 1000), 90, 60,
          0.5);
    n = gst_video_overlay_composition_n_rectangles (draw (d, buffer, &info, FALSE));
    g_test_message ("%d boxes: %u pieces", n_boxes[i], n);
    g_assert_cmpuint (n, ==, n_boxes[i] <= 12 ? (guint) n_boxes[i] * 5 : 1);
    drawing_free (d);
  }
}

/* --- places --- */

static void
test_places (void)
{
  static const struct {
    const char *name;
    Rect boxes[3];
    guint n_boxes;
    Rect tags[2];
    guint n_tags;
    Rect panel;
    double x, y;
  } cases[] = {
    { "above", { { 20, 50, 40, 30 } }, 1, { { 0 } }, 0, { 0 }, 20, 40 },
    { "at the upper edge", { { 20, 0, 40, 30 } }, 1, { { 0 } }, 0, { 0 }, 20, 0 },
    { "a little below it", { { 20, 4, 40, 30 } }, 1, { { 0 } }, 0, { 0 }, 20, 0 },
    { "at the right edge", { { 95, 50, 5, 30 } }, 1, { { 0 } }, 0, { 0 }, 80, 40 },
    { "another tag is there", { { 20, 50, 40, 30 } }, 1, { { 15, 35, 20, 10 } }, 1, { 0 }, 20, 80 },
    { "another box is there", { { 20, 50, 40, 30 }, { 10, 10, 80, 39 } }, 2, { { 0 } }, 0, { 0 }, 20,
        80 },
    { "the panel is below too", { { 20, 50, 40, 30 } }, 1, { { 15, 35, 20, 10 } }, 1,
        { 0, 82, 100, 18 }, 20, 50 },
    { "the same box twice", { { 20, 50, 40, 30 }, { 20, 50, 40, 30 } }, 2, { { 20, 40, 20, 10 } }, 1,
        { 0 }, 20, 80 },
    { "larger than the frame", { { 20, 50, 40, 30 } }, 1, { { 0 } }, 0, { 0 }, 20, 40 },
  };
  const Rect frame = { 0, 0, 100, 100 };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Rect r = place_tag (&frame, cases[i].boxes, cases[i].n_boxes, 0, cases[i].tags,
        cases[i].n_tags, &cases[i].panel, 20, 10);

    g_test_message ("%s: %g, %g", cases[i].name, r.x, r.y);
    g_assert_cmpfloat (r.x, ==, cases[i].x);
    g_assert_cmpfloat (r.y, ==, cases[i].y);
  }
}

/* The panel is at the top where that hides less, and stays there until it says something else. */
static void
test_panel (void)
{
  static const struct {
    guint y;
    const char *caption;
    gboolean top;
  } frames[] = { { 300, "first", FALSE }, { 900, "first", FALSE }, { 900, "second", TRUE },
    { 100, "second", TRUE }, { 100, "third", FALSE } };
  const GstVideoInfo info = test_info ("I420", 1920, 1080);
  Drawing *d = drawing_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    GstVideoOverlayComposition *picture;
    Part panel;

    overlay_add_region (buffer, "thing", 100, frames[i].y, 1700, 150, 0.5);
    overlay_add_caption (buffer, "", frames[i].caption, GST_CLOCK_TIME_NONE);
    picture = draw (d, buffer, &info, TRUE);
    panel = part_of (picture, gst_video_overlay_composition_n_rectangles (picture) - 1);
    g_test_message ("box at %u, \"%s\": panel at %d", frames[i].y, frames[i].caption, panel.y);
    g_assert_true ((panel.y < 540) == frames[i].top);
  }
  drawing_free (d);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  gst_dsvl2_meta_register ();
  g_test_add_func ("/draw/blend-formats", test_blend_formats);
  g_test_add_func ("/draw/drawn-once", test_drawn_once);
  g_test_add_func ("/draw/kept-pieces", test_kept_pieces);
  g_test_add_func ("/draw/pixel-aspect-ratio", test_pixel_aspect_ratio);
  g_test_add_func ("/draw/bounds", test_bounds);
  g_test_add_func ("/draw/attached-pieces", test_attached_pieces);
  g_test_add_func ("/draw/places", test_places);
  g_test_add_func ("/draw/panel", test_panel);
  return test_run ();
}
