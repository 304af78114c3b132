/* dsvl2: what dsvl2overlay looks like, and what it costs
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * With DSVL2_PICTURES set to a folder, the pictures are left there to be looked at. */
#include "gstdsvl2meta.h"
#include "harness.h"
#include "overlay.h"
#include <time.h>

enum { N_FRAMES = 16 };

static double
cpu_ms (void)
{
  struct timespec t;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

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

/* Processor time of a frame: with nothing on it, when nothing changes, and when all boxes move. */
static double
cost_of (const char *format, int width, int height, gboolean with, gboolean moves, gboolean attach)
{
  const GstVideoInfo info = test_info (format, width, height);
  GstHarness *h = gst_harness_new ("dsvl2overlay");
  GstBuffer *frames[N_FRAMES];
  double began = 0;

  if (attach)
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_harness_play (h);
  test_set_caps (h, &info);
  for (guint i = 0; i < N_FRAMES; i++) {
    frames[i] = test_frame_new (&info, 0, i); /* memory of its own, so that nothing is copied */
    if (with)
      add_street (frames[i], &info);
    if (moves)
      add (frames[i], &info, "person", 500 + i, 400, 50, 200, 0.5);
  }
  for (guint i = 0; i < N_FRAMES; i++) {
    if (i == 1)
      began = cpu_ms (); /* after the first, which finds fonts */
    frames[i] = gst_harness_push_and_pull (h, frames[i]);
  }
  began = (cpu_ms () - began) / (N_FRAMES - 1);
  for (guint i = 0; i < N_FRAMES; i++)
    gst_buffer_unref (frames[i]);
  gst_harness_teardown (h);
  return began;
}

static void
test_costs (void)
{
  static const struct {
    const char *format;
    int width, height;
  } cases[] = { { "I420", 320, 240 }, { "I420", 1920, 1080 }, { "NV12", 1920, 1080 },
    { "BGRx", 1920, 1080 }, { "I420", 3840, 2160 } };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *f = cases[i].format;
    const int w = cases[i].width, h = cases[i].height;

    g_test_message ("%s %d×%d, processor time of a frame: nothing on it %.3f ms, four boxes and a "
                    "caption %.2f ms, "
                    "one box moving %.2f ms; attached %.3f ms, moving %.2f ms",
        f, w, h, cost_of (f, w, h, FALSE, FALSE, FALSE), cost_of (f, w, h, TRUE, FALSE, FALSE),
        cost_of (f, w, h, TRUE, TRUE, FALSE), cost_of (f, w, h, TRUE, FALSE, TRUE),
        cost_of (f, w, h, TRUE, TRUE, TRUE));
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
