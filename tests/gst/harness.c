/* dsvl2: what the element tests share: frames, structures, a bus beside a harness
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"
#include "fake_engine.h"
#include "gstdsvl2infer.h"
#include "gstdsvl2json.h"
#include "gstdsvl2meta.h"
#include "gstdsvl2overlay.h"
#include <string.h>
#include <time.h>

const char *const test_formats[] = { "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA",
  "ARGB", "ABGR", "RGBP", "GRAY8", "I420", "YV12", "Y42B", "Y444", "NV12", "NV21", "YUY2", "UYVY",
  "P010_10LE", NULL };

void
test_init (int *argc, char ***argv)
{
  g_test_init (argc, argv, NULL);
  gst_init (argc, argv);
  g_assert_true (GST_ELEMENT_REGISTER (dsvl2infer, NULL));
  g_assert_true (GST_ELEMENT_REGISTER (dsvl2json, NULL));
  g_assert_true (GST_ELEMENT_REGISTER (dsvl2overlay, NULL));
}

int
test_run (void)
{
  const int failed = g_test_run ();

  gst_deinit ();
  return failed;
}

GstHarness *
test_infer_new (const char *properties, gboolean live, const GstVideoInfo *info)
{
  g_autofree char *launch = g_strconcat ("dsvl2infer model=/fake ", properties, NULL);
  GstHarness *h = gst_harness_new_parse (launch);

  fake_reset ();
  gst_harness_set_live (h, live);
  gst_harness_play (h);
  if (info != NULL)
    test_set_caps (h, info);
  return h;
}

void
test_infer_end (GstHarness *h)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (h->element);

  if (bus != NULL) /* messages that nobody took hold the element */
    gst_bus_set_flushing (bus, TRUE);
  gst_harness_teardown (h);
  fake_reset ();
  g_assert_cmpint (fake_n_alive (), ==, 0);
}

GError *
test_start_error (GstElement *element, GstBus *bus)
{
  GError *error = NULL;
  GstMessage *message;

  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==, GST_STATE_CHANGE_FAILURE);
  message = test_message (bus, GST_MESSAGE_ERROR);
  gst_message_parse_error (message, &error, NULL);
  gst_message_unref (message);
  g_test_message ("%s", error->message);
  return error;
}

guint64
test_stat (GstHarness *h, const char *name)
{
  GstStructure *stats;
  guint64 value;

  gst_harness_get (h, "dsvl2infer", "stats", &stats, NULL);
  value = test_uint64 (stats, name);
  gst_structure_free (stats);
  return value;
}

struct _TestCall {
  GstHarness *h;
  gpointer what; /* a buffer or an event */
  GThread *thread;
};

static gpointer
call_now (gpointer data)
{
  TestCall *call = data;

  return GST_IS_BUFFER (call->what) ? GINT_TO_POINTER (gst_harness_push (call->h, call->what))
                                    : GINT_TO_POINTER (gst_harness_push_event (call->h, call->what));
}

static TestCall *
call_begin (GstHarness *h, gpointer what)
{
  TestCall *call = g_new0 (TestCall, 1);

  call->h = h;
  call->what = what;
  call->thread = g_thread_new ("call", call_now, call);
  return call;
}

static int
call_end (TestCall *call)
{
  const int result = GPOINTER_TO_INT (g_thread_join (call->thread));

  g_free (call);
  return result;
}

TestCall *
test_push_begin (GstHarness *h, GstBuffer *buffer)
{
  return call_begin (h, buffer);
}

TestCall *
test_event_begin (GstHarness *h, GstEvent *event)
{
  return call_begin (h, event);
}

GstFlowReturn
test_push_end (TestCall *call)
{
  return call_end (call);
}

gboolean
test_event_end (TestCall *call)
{
  return call_end (call);
}

GstVideoInfo
test_info (const char *format, int width, int height)
{
  GstVideoInfo info;

  gst_video_info_set_format (&info, gst_video_format_from_string (format), (guint) width,
      (guint) height);
  info.fps_n = 25;
  info.fps_d = 1;
  return info;
}

void
test_set_caps (GstHarness *h, const GstVideoInfo *info)
{
  gst_harness_set_src_caps (h, gst_video_info_to_caps (info));
}

GstEvent *
test_caps_event_new (const GstVideoInfo *info)
{
  g_autoptr (GstCaps) caps = gst_video_info_to_caps (info);

  return gst_event_new_caps (caps);
}

static void
fill (GstBuffer *buffer, guint32 seed)
{
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++) {
    seed = seed * 1664525u + 1013904223u;
    map.data[i] = (guint8) (seed >> 24);
  }
  gst_buffer_unmap (buffer, &map);
}

static GstBuffer *
stamp (GstBuffer *buffer, gint64 pts_ms)
{
  GST_BUFFER_PTS (buffer) = pts_ms < 0 ? GST_CLOCK_TIME_NONE : (GstClockTime) pts_ms * GST_MSECOND;
  GST_BUFFER_DURATION (buffer) = 40 * GST_MSECOND;
  return buffer;
}

GstBuffer *
test_frame_new (const GstVideoInfo *info, gint64 pts_ms, guint32 seed)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);

  fill (buffer, seed);
  return stamp (buffer, pts_ms);
}

GstBuffer *
test_padded_frame_new (const GstVideoInfo *info, gint64 pts_ms, guint32 seed, guint extra)
{
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0 }, at = extra;
  gint stride[GST_VIDEO_MAX_PLANES] = { 0 };
  GstBuffer *buffer;

  for (guint i = 0; i < GST_VIDEO_INFO_N_PLANES (info); i++) {
    const gsize end = i + 1 < GST_VIDEO_INFO_N_PLANES (info) ? GST_VIDEO_INFO_PLANE_OFFSET (info, i + 1)
                                                             : GST_VIDEO_INFO_SIZE (info);
    const gsize plain = (gsize) GST_VIDEO_INFO_PLANE_STRIDE (info, i);
    const gsize rows = (end - GST_VIDEO_INFO_PLANE_OFFSET (info, i)) / plain;

    offset[i] = at;
    stride[i] = (gint) (plain + extra);
    at += rows * (plain + extra);
  }
  buffer = gst_buffer_new_allocate (NULL, at, NULL);
  fill (buffer, seed);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT (info),
      (guint) GST_VIDEO_INFO_WIDTH (info), (guint) GST_VIDEO_INFO_HEIGHT (info),
      GST_VIDEO_INFO_N_PLANES (info), offset, stride);
  return stamp (buffer, pts_ms);
}

gboolean
test_same_pixels (GstBuffer *a, GstBuffer *b, const GstVideoInfo *info)
{
  GstVideoFrame fa, fb;
  gboolean same = TRUE;

  g_assert_true (gst_video_frame_map (&fa, info, a, GST_MAP_READ));
  g_assert_true (gst_video_frame_map (&fb, info, b, GST_MAP_READ));
  for (guint c = 0; c < GST_VIDEO_FRAME_N_COMPONENTS (&fa); c++) {
    const int step = GST_VIDEO_FRAME_COMP_PSTRIDE (&fa, c);
    const int bytes = (int) (GST_VIDEO_FRAME_COMP_DEPTH (&fa, c) + 7) / 8;

    for (int y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&fa, c); y++) {
      const guint8 *pa = (guint8 *) GST_VIDEO_FRAME_COMP_DATA (&fa, c) +
                         (gssize) y * GST_VIDEO_FRAME_COMP_STRIDE (&fa, c);
      const guint8 *pb = (guint8 *) GST_VIDEO_FRAME_COMP_DATA (&fb, c) +
                         (gssize) y * GST_VIDEO_FRAME_COMP_STRIDE (&fb, c);

      for (int x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH (&fa, c); x++)
        same &= memcmp (pa + (gssize) x * step, pb + (gssize) x * step, (gsize) bytes) == 0;
    }
  }
  gst_video_frame_unmap (&fa);
  gst_video_frame_unmap (&fb);
  return same;
}

GstVideoRegionOfInterestMeta *
test_region (GstBuffer *buffer, guint n)
{
  gpointer state = NULL;
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)) != NULL)
    if (n-- == 0)
      return (GstVideoRegionOfInterestMeta *) meta;
  return NULL;
}

const GstStructure *
test_detection (GstBuffer *buffer, guint n)
{
  return gst_video_region_of_interest_meta_get_param (test_region (buffer, n), "detection");
}

const GstStructure *
test_result (GstBuffer *buffer)
{
  gpointer state = NULL;

  return gst_dsvl2_meta_get_result (buffer, &state);
}

guint64
test_uint64 (const GstStructure *s, const char *field)
{
  guint64 value = 0;

  g_assert_true (gst_structure_get_uint64 (s, field, &value));
  return value;
}

double
test_cpu_ms (void)
{
  struct timespec t;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &t);
  return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

double
test_least_ms (TestWork work, gpointer data, int tries)
{
  double least = G_MAXDOUBLE;

  for (int i = 0; i < tries; i++) {
    const double began = test_cpu_ms ();

    work (data);
    least = MIN (least, test_cpu_ms () - began);
  }
  return least;
}

typedef struct {
  GstMapInfo map;
  volatile guint32 sum; /* the compiler may not leave it out */
} Pass;

static void
pass_over (gpointer data)
{
  Pass *p = data;
  guint32 sum = 2166136261u;

  for (gsize i = 0; i < p->map.size; i++)
    sum = (sum ^ p->map.data[i]) * 16777619u;
  p->sum = sum;
}

double
test_pass_ms (GstBuffer *frame)
{
  Pass p = { .sum = 0 };
  double least;

  g_assert_true (gst_buffer_map (frame, &p.map, GST_MAP_READ));
  least = test_least_ms (pass_over, &p, 5);
  gst_buffer_unmap (frame, &p.map);
  return least;
}

void
test_judge_cost (const char *what, double ms, double pass_ms, double times)
{
  g_test_message ("%s: %.4f ms; a pass over the frame takes %.2f ms, %.3g times as long, and may not "
                  "take less "
                  "than %.3g times",
      what, ms, pass_ms, pass_ms / ms, times);
#ifndef SANITIZED
  if (g_getenv ("GST_TRACERS") == NULL)
    g_assert_cmpfloat (pass_ms, >=, times * ms);
#endif
}

GstBus *
test_bus_new (GstHarness *h)
{
  GstBus *bus = gst_bus_new ();

  gst_element_set_bus (h->element, bus);
  return bus;
}

GstMessage *
test_message (GstBus *bus, GstMessageType type)
{
  return gst_bus_timed_pop_filtered (bus, GST_SECOND, type);
}

void
test_no_message (GstBus *bus, GstMessageType type)
{
  GstMessage *message = gst_bus_pop_filtered (bus, type);

  if (message != NULL)
    g_test_message ("%s", gst_structure_get_name (gst_message_get_structure (message)));
  g_assert_null (message);
}
