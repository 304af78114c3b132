/* dsvl2: what counts as a change of the picture, in every format, and what looking costs
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate.h"
#include "harness.h"

/* Brightness of a rectangle, of 255, in whatever format; `noise` more or less from pixel to pixel. */
static void
paint (GstBuffer *buffer, const GstVideoInfo *info, GstVideoRectangle r, int level, int noise)
{
  GRand *rand = g_rand_new_with_seed (7);
  GstVideoFrame f;

  g_assert_true (gst_video_frame_map (&f, info, buffer, GST_MAP_WRITE));
  for (int y = r.y; y < r.y + r.h; y++)
    for (int x = r.x; x < r.x + r.w; x++) {
      const int value =
          CLAMP (level + (noise > 0 ? g_rand_int_range (rand, -noise, noise + 1) : 0), 0, 255);

      for (guint c = 0; c < (GST_VIDEO_INFO_IS_RGB (info) ? 3u : 1u); c++) {
        guint8 *p = (guint8 *) GST_VIDEO_FRAME_COMP_DATA (&f, c) +
                    (gssize) y * GST_VIDEO_FRAME_COMP_STRIDE (&f, c) +
                    (gssize) x * GST_VIDEO_FRAME_COMP_PSTRIDE (&f, c);

        if (GST_VIDEO_FRAME_COMP_DEPTH (&f, c) == 8)
          *p = (guint8) value;
        else
          GST_WRITE_UINT16_LE (p, (guint16) (value << 8));
      }
    }
  gst_video_frame_unmap (&f);
  g_rand_free (rand);
}

static GateLook
look (GstBuffer *buffer, const GstVideoInfo *info, const GstVideoRectangle *region)
{
  GstVideoFrame f;
  GateLook l;

  g_assert_true (gst_video_frame_map (&f, info, buffer, GST_MAP_READ));
  g_assert_true (gate_look (&l, &f, region));
  gst_video_frame_unmap (&f);
  return l;
}

/* A grey picture of 320 × 180, five pixels a cell, then another; the share that differs. */
static void
test_difference (void)
{
  static const struct {
    const char *what;
    int level, noise;       /* of all of the second picture */
    GstVideoRectangle part; /* and then of a part of it */
    int part_level;
    double least, most;
  } cases[] = {
    { "the same", 100, 0, { 0, 0, 0, 0 }, 0, 0, 0 },
    { "noise", 100, 12, { 0, 0, 0, 0 }, 0, 0, 0 },
    { "clouds before the sun", 108, 0, { 0, 0, 0, 0 }, 0, 0, 0 },
    { "the light goes on", 130, 0, { 0, 0, 0, 0 }, 0, 1, 1 },
    { "something in a corner", 100, 12, { 300, 165, 20, 15 }, 200, 12 / 2304.0, 12 / 2304.0 },
    { "a third of it", 100, 0, { 0, 0, 320, 60 }, 50, 1 / 3.0, 1 / 3.0 },
    { "between cells", 100, 0, { 153, 93, 10, 10 }, 255, 4 / 2304.0, 9 / 2304.0 },
  };

  for (guint i = 0; test_formats[i] != NULL; i++) {
    const GstVideoInfo info = test_info (test_formats[i], 320, 180);
    const GstVideoRectangle all = { 0, 0, 320, 180 };
    GstBuffer *before = test_frame_new (&info, 0, 1);
    GateLook first;

    paint (before, &info, all, 100, 0);
    first = look (before, &info, NULL);
    for (guint c = 0; c < G_N_ELEMENTS (cases); c++) {
      GstBuffer *after = test_padded_frame_new (&info, 0, 2, 6); /* other chroma, other strides */
      GateLook second;
      double share;

      paint (after, &info, all, cases[c].level, cases[c].noise);
      paint (after, &info, cases[c].part, cases[c].part_level, 0);
      second = look (after, &info, NULL);
      share = gate_difference (&first, &second);
      g_test_message ("%s, %s: %.4f", test_formats[i], cases[c].what, share);
      g_assert_cmpfloat (share, >=, cases[c].least);
      g_assert_cmpfloat (share, <=, cases[c].most);
      gst_buffer_unref (after);
    }
    gst_buffer_unref (before);
  }
}

/* What is outside a region does not count, and small pictures have as many cells as large ones. */
static void
test_region_and_size (void)
{
  static const int sizes[][2] = { { 1, 1 }, { 3, 2 }, { 65, 37 }, { 7680, 4320 } };
  const GstVideoInfo info = test_info ("I420", 320, 180);
  const GstVideoRectangle left = { 0, 0, 160, 180 }, right = { 160, 0, 160, 180 };
  GstBuffer *before = test_frame_new (&info, 0, 1), *after = test_frame_new (&info, 0, 1);
  GateLook first, second;

  paint (after, &info, left, 255, 0);
  first = look (before, &info, &right);
  second = look (after, &info, &right);
  g_assert_cmpfloat (gate_difference (&first, &second), ==, 0);
  first = look (before, &info, &left);
  second = look (after, &info, &left);
  g_assert_cmpfloat (gate_difference (&first, &second), >, 0.9);
  gst_buffer_unref (before);
  gst_buffer_unref (after);

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    const GstVideoInfo other = test_info ("GRAY8", sizes[i][0], sizes[i][1]);
    const GstVideoRectangle all = { 0, 0, sizes[i][0], sizes[i][1] };

    before = test_frame_new (&other, 0, 1);
    paint (before, &other, all, 40, 0);
    first = look (before, &other, NULL);
    for (int row = 0; row < GATE_ROWS; row++)
      for (int column = 0; column < GATE_COLUMNS; column++)
        g_assert_cmpint (first.cell[row][column], ==, 40);
    gst_buffer_unref (before);
  }
}

static void
test_judge (void)
{
  static const struct {
    const char *what;
    HandoverDue due;
    double threshold;
    int level; /* of the picture; the one before it was 100 and was analysed */
    guint flags;
    gint64 pts_ms;
    HandoverDue verdict;
  } cases[] = {
    { "not due", HANDOVER_PASS, 0.5, 200, 0, 2000, HANDOVER_PASS },
    { "busy", HANDOVER_BUSY, 0.5, 200, 0, 2000, HANDOVER_BUSY },
    { "no gate", HANDOVER_DUE, 0, 100, 0, 2000, HANDOVER_DUE },
    { "the same", HANDOVER_DUE, 0.5, 100, 0, 2000, HANDOVER_UNCHANGED },
    { "changed", HANDOVER_DUE, 0.5, 200, 0, 2000, HANDOVER_DUE },
    { "all of it", HANDOVER_DUE, 1, 200, 0, 2000, HANDOVER_DUE },
    { "the same, another question", HANDOVER_DUE_ANEW, 0.5, 100, 0, 2000, HANDOVER_DUE_ANEW },
    { "the same, demanded", HANDOVER_DEMANDED, 0.5, 100, 0, 2000, HANDOVER_DEMANDED },
    { "a gap", HANDOVER_DEMANDED, 0.5, 200, GST_BUFFER_FLAG_GAP, 2000, HANDOVER_PASS },
    { "for decoding only", HANDOVER_DUE, 0, 200, GST_BUFFER_FLAG_DECODE_ONLY, 2000, HANDOVER_PASS },
    { "before the segment", HANDOVER_DUE, 0, 200, 0, 500, HANDOVER_PASS },
    { "its end is in the segment", HANDOVER_DUE, 0, 200, 0, 970, HANDOVER_DUE },
    { "after the segment", HANDOVER_DUE, 0, 200, 0, 3000, HANDOVER_PASS },
    { "no PTS", HANDOVER_DUE, 0, 200, 0, -1, HANDOVER_DUE },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);
  const GstVideoRectangle all = { 0, 0, 64, 48 };
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = GST_SECOND;
  segment.stop = 3 * GST_SECOND;
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstBuffer *before = test_frame_new (&info, 1000, 1),
              *frame = test_frame_new (&info, cases[i].pts_ms, 1);
    Gate gate = { .known = FALSE };

    paint (before, &info, all, 100, 0);
    paint (frame, &info, all, cases[i].level, 0);
    GST_BUFFER_FLAG_SET (frame, cases[i].flags);
    g_assert_cmpint (gate_judge (&gate, HANDOVER_DUE, 0.5, before, &info, NULL, &segment), ==,
        HANDOVER_DUE);
    g_test_message ("%s", cases[i].what);
    g_assert_cmpint (gate_judge (&gate, cases[i].due, cases[i].threshold, frame, &info, NULL, &segment),
        ==, cases[i].verdict);
    gst_buffer_unref (before);
    gst_buffer_unref (frame);
  }
}

/* The picture that was analysed is what others are compared with: slow changes add up. */
static void
test_slowly (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  const GstVideoRectangle all = { 0, 0, 64, 48 };
  GstBuffer *frame = test_frame_new (&info, 0, 1);
  Gate gate = { .known = FALSE };
  GstSegment segment;
  GString *record = g_string_new (NULL);

  gst_segment_init (&segment, GST_FORMAT_TIME);
  for (int i = 0; i < 12; i++) {
    paint (frame, &info, all, 100 + 5 * i, 0);
    g_string_append_c (record,
        gate_judge (&gate, HANDOVER_DUE, 0.5, frame, &info, NULL, &segment) == HANDOVER_DUE ? '+'
                                                                                            : '.');
  }
  g_test_message ("%s", record->str);
  g_assert_cmpstr (record->str, ==, "+..+..+..+..");
  g_string_free (record, TRUE);
  gst_buffer_unref (frame);
}

typedef struct {
  Gate gate;
  GstVideoInfo info;
  GstBuffer *frame;
  GstSegment segment;
} Look;

static void
look_again (gpointer data)
{
  Look *l = data;

  g_assert_cmpint (gate_judge (&l->gate, HANDOVER_DUE, 0.5, l->frame, &l->info, NULL, &l->segment), ==,
      HANDOVER_UNCHANGED);
}

/* A frame of whatever format is looked at in a small part of the time in which all of its bytes are. */
static void
test_cost (void)
{
  static const struct {
    const char *format;
    double times;
  } cases[] = { { "I420", 12 }, { "NV12", 12 }, { "YUY2", 16 }, { "GRAY8", 8 }, { "P010_10LE", 18 },
    { "RGB", 15 }, { "BGRx", 20 } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Look l = { .info = test_info (cases[i].format, 1920, 1080) };
    g_autofree char *what = g_strdup_printf ("1920 × 1080 %s, looked at", cases[i].format);

    gst_segment_init (&l.segment, GST_FORMAT_TIME);
    l.frame = test_frame_new (&l.info, 0, 1);
    gate_judge (&l.gate, HANDOVER_DUE, 0.5, l.frame, &l.info, NULL, &l.segment);
    test_judge_cost (what, test_least_ms (look_again, &l, 200), test_pass_ms (l.frame), cases[i].times);
    gst_buffer_unref (l.frame);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/gate/difference", test_difference);
  g_test_add_func ("/gate/region-and-size", test_region_and_size);
  g_test_add_func ("/gate/judge", test_judge);
  g_test_add_func ("/gate/slowly", test_slowly);
  g_test_add_func ("/gate/cost", test_cost);
  return test_run ();
}
