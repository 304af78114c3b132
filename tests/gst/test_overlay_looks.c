/* dsvl2: what dsvl2overlay looks like, and what it costs
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * With DSVL2_PICTURES set to a folder, the pictures are left there to be looked at. */
#include "gstdsvl2meta.h"
#include "harness.h"
#include "overlay.h"

enum { N_FRAMES = 16 };

/* A scene with some texture, so that it shows how well texts stand out. */
static GstBuffer *
background (const GstVideoInfo *info)
{
  GstHarness *source =
      gst_harness_new_parse ("videotestsrc pattern=zone-plate kx2=6 ky2=4 ! videobalance "
                             "contrast=0.35 brightness=0.05");
  GstBuffer *frame;

  gst_harness_set_sink_caps (source, gst_video_info_to_caps (info));
  gst_harness_play (source);
  frame = gst_buffer_make_writable (gst_harness_pull (source));
  gst_harness_teardown (source);
  return frame;
}

/* An object whose place is given in thousandths of the frame. */
static void
add (GstBuffer *frame, const GstVideoInfo *info, const char *label, guint x, guint y, guint w, guint h,
    double confidence)
{
  const guint width = (guint) GST_VIDEO_INFO_WIDTH (info),
              height = (guint) GST_VIDEO_INFO_HEIGHT (info);

  overlay_add_region (frame, label, x * width / 1000, y * height / 1000, w * width / 1000,
      h * height / 1000, confidence);
}

static void
add_street (GstBuffer *frame, const GstVideoInfo *info)
{
  add (frame, info, "the red car", 100, 250, 250, 250, 0.93);
  add (frame, info, "dog", 330, 330, 170, 330, 0.58);
  add (frame, info, "自転車", 620, 0, 200, 250, 0.71);
  add (frame, info, "شخص", 920, 500, 200, 250, 1);
  overlay_add_caption (frame, "",
      "A red car waits at a crossing while a dog runs past; 自転車 leans on the wall "
      "behind them, and <b>this</b> & that is text, not markup.",
      GST_CLOCK_TIME_NONE);
}

static void
add_scripts (GstBuffer *frame, const GstVideoInfo *info)
{
  add (frame, info, "מכונית אדומה", 80, 250, 250, 250, 0.93);
  add (frame, info, "سيارة حمراء", 420, 250, 200, 250, 0.5);
  add (frame, info, "红色的汽车", 720, 250, 200, 250, 0.5);
  overlay_add_caption (frame, "What is there?", "A street with three cars.", GST_CLOCK_TIME_NONE);
  overlay_add_caption (frame, "מה רואים?", "מכונית אדומה (BMW 320) עומדת בצומת, והכלב רץ לידה.",
      GST_CLOCK_TIME_NONE);
  overlay_add_caption (frame, "ماذا ترى؟", "سيارة حمراء تنتظر عند التقاطع بينما يركض كلب بجانبها.",
      GST_CLOCK_TIME_NONE);
  overlay_add_caption (frame, "有什么？",
      "一辆红色的汽车在十字路口等待，一只狗从旁边跑过，后面的墙上靠着一辆自行车。",
      GST_CLOCK_TIME_NONE);
}

/* A crowd, where there is no place for all labels. */
static void
add_crowd (GstBuffer *frame, const GstVideoInfo *info)
{
  static const char *const labels[] = { "person", "bicycle", "car", "dog", "bus" };

  for (guint i = 0; i < 40; i++)
    add (frame, info, labels[i * 7 % 5], i * 211 % 930, 80 + i * 137 % 760, 30 + i * 13 % 70,
        60 + i * 29 % 130, 0.3 + i % 7 / 10.0);
  overlay_add_caption (frame, "", "A crowded square.", GST_CLOCK_TIME_NONE);
}

static const struct {
  const char *name, *properties;
  int width, height, par_n, par_d;
  void (*add) (GstBuffer *frame, const GstVideoInfo *info);
} pictures[] = {
  { "street-240", "", 320, 240, 1, 1, add_street },
  { "street-720", "", 1280, 720, 1, 1, add_street },
  { "street-1080", "", 1920, 1080, 1, 1, add_street },
  { "street-2160", "", 3840, 2160, 1, 1, add_street },
  { "street-portrait", "", 720, 1280, 1, 1, add_street },
  { "street-pal", "", 720, 576, 64, 45, add_street },
  { "scripts-720", "", 1280, 720, 1, 1, add_scripts },
  { "scripts-240", "", 320, 240, 1, 1, add_scripts },
  { "crowd-1080", "", 1920, 1080, 1, 1, add_crowd },
  { "colours-720",
      "label-colors=\"*car=navy, dog=white\" caption-position=top show-confidence=false line-width=6",
      1280, 720, 1, 1, add_street },
};

static void
write_picture (GstBuffer *frame, const GstVideoInfo *info, const char *name)
{
  const char *folder = g_getenv ("DSVL2_PICTURES");
  g_autofree char *path = folder != NULL ? g_strdup_printf ("%s/%s.png", folder, name) : NULL;
  GstHarness *png;
  GstBuffer *out;
  GstMapInfo map;

  if (path == NULL)
    return;
  png = gst_harness_new_parse ("videoconvert ! pngenc");
  test_set_caps (png, info);
  out = gst_harness_push_and_pull (png, gst_buffer_ref (frame));
  gst_buffer_map (out, &map, GST_MAP_READ);
  g_assert_true (g_file_set_contents (path, (char *) map.data, (gssize) map.size, NULL));
  gst_buffer_unmap (out, &map);
  gst_buffer_unref (out);
  gst_harness_teardown (png);
}

static void
test_pictures (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (pictures); i++) {
    GstVideoInfo info = test_info ("I420", pictures[i].width, pictures[i].height);
    g_autofree char *launch = g_strconcat ("dsvl2overlay ", pictures[i].properties, NULL);
    GstHarness *h = gst_harness_new_parse (launch);
    GstBuffer *frame, *before, *out;

    info.par_n = pictures[i].par_n;
    info.par_d = pictures[i].par_d;
    gst_harness_play (h);
    test_set_caps (h, &info);
    frame = background (&info);
    before = gst_buffer_copy_deep (frame);
    pictures[i].add (frame, &info);
    out = gst_harness_push_and_pull (h, frame);
    g_assert_false (test_same_pixels (out, before, &info));
    write_picture (out, &info, pictures[i].name);
    gst_buffer_unref (before);
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}

/* --- what it costs --- */

typedef enum { NOTHING, STILL, MOVING } What;

/* Milliseconds of processor time that a frame takes at least from push to pull. */
static double
cost_of (const GstVideoInfo *info, What what, gboolean attach)
{
  GstHarness *h = gst_harness_new ("dsvl2overlay");
  GstBuffer *frames[N_FRAMES];
  double least = G_MAXDOUBLE;

  if (attach)
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_harness_play (h);
  test_set_caps (h, info);
  for (guint i = 0; i < N_FRAMES; i++) {
    frames[i] = test_frame_new (info, 0, i); /* memory of its own, so that nothing is copied */
    if (what != NOTHING)
      add_street (frames[i], info);
    if (what == MOVING)
      add (frames[i], info, "person", 500 + i, 400, 50, 200, 0.5);
  }
  for (guint i = 0; i < N_FRAMES; i++) {
    const double began = test_cpu_ms ();

    frames[i] = gst_harness_push_and_pull (h, frames[i]);
    if (i > 0) /* the first finds fonts */
      least = MIN (least, test_cpu_ms () - began);
  }
  for (guint i = 0; i < N_FRAMES; i++)
    gst_buffer_unref (frames[i]);
  gst_harness_teardown (h);
  return least;
}

static void
test_costs (void)
{
  static const struct {
    const char *what;
    What on_it;
    gboolean attach;
  } ways[] = { { "nothing on it", NOTHING, FALSE }, { "four boxes and a caption", STILL, FALSE },
    { "one box moving", MOVING, FALSE }, { "the same attached, still", STILL, TRUE },
    { "attached, moving", MOVING, TRUE } };
  static const struct {
    const char *format;
    int width, height;
    double times[G_N_ELEMENTS (ways)];
  } cases[] = { { "I420", 320, 240, { 10, 0.12, 0.1, 2, 2 } },
    { "I420", 1920, 1080, { 220, 0.4, 0.29, 40, 2 } },
    { "NV12", 1920, 1080, { 220, 0.4, 0.29, 40, 2 } },
    { "BGRx", 1920, 1080, { 550, 1.1, 0.7, 130, 6 } },
    { "I420", 3840, 2160, { 1000, 0.4, 0.36, 150, 6 } } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const GstVideoInfo info = test_info (cases[i].format, cases[i].width, cases[i].height);
    GstBuffer *frame = test_frame_new (&info, 0, 1);
    const double pass = test_pass_ms (frame);

    for (gsize k = 0; k < G_N_ELEMENTS (ways); k++) {
      g_autofree char *what = g_strdup_printf ("%s %d × %d, %s", cases[i].format, cases[i].width,
          cases[i].height, ways[k].what);

      test_judge_cost (what, cost_of (&info, ways[k].on_it, ways[k].attach), pass, cases[i].times[k]);
    }
    gst_buffer_unref (frame);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  gst_dsvl2_meta_register ();
  g_test_add_func ("/overlay/pictures", test_pictures);
  g_test_add_func ("/overlay/costs", test_costs);
  return test_run ();
}
