/* dsvl2: which caps and memory dsvl2infer takes, and what it does with frames that are not what they say
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "filememory.h"
#include "harness.h"
#include <gst/allocators/allocators.h>
#include <gst/base/gstpushsrc.h>
#include <string.h>

#ifdef HAVE_GST_CUDA /* by any engine: one that is not on CUDA reads it on the host */
#define CUDA_MEMORY TRUE
#else
#define CUDA_MEMORY FALSE
#endif

/* What upstream hears when it asks, and when it sends a frame of such caps. */
static void
test_caps (void)
{
  static const struct {
    const char *caps;
    gboolean asked, taken;
  } cases[] = {
    { "video/x-raw,format=I420,width=1,height=1,framerate=0/1", TRUE, TRUE },
    { "video/x-raw,format=NV12,width=7680,height=4320,framerate=60/1", TRUE, TRUE },
    { "video/x-raw(memory:SystemMemory),format=BGRA,width=64,height=48", TRUE, TRUE },
    { "video/x-raw(memory:SystemMemory,meta:GstVideoOverlayComposition),format=BGRA,width=64,height=48",
        TRUE, TRUE },
    { "video/x-raw,format=I420,width=720,height=576,interlace-mode=interleaved,"
      "field-order=top-field-first",
        TRUE, TRUE },
    { "video/x-raw,format=I420,width=720,height=576,interlace-mode=interleaved,"
      "field-order=bottom-field-first",
        TRUE, TRUE },
    { "video/x-raw,format=I420,width=720,height=576,interlace-mode=mixed", TRUE, TRUE },
    { "video/x-raw,format=I420,width=720,height=576,interlace-mode=fields", TRUE, FALSE },
    { "video/x-raw(format:Interlaced),format=I420,width=720,height=576,interlace-mode=alternate", FALSE,
        FALSE },
    { "video/x-raw(memory:DMABuf),format=NV12,width=64,height=48", FALSE, FALSE },
    { "video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=NV12,width=64,height=48", FALSE, FALSE },
    { "video/x-raw(memory:GLMemory),format=RGBA,width=64,height=48", FALSE, FALSE },
    { "video/x-raw(memory:VAMemory),format=NV12,width=64,height=48", FALSE, FALSE },
    { "video/x-raw(memory:CUDAMemory),format=NV12,width=64,height=48", CUDA_MEMORY, CUDA_MEMORY },
    { "video/x-raw(memory:CUDAMemory),format=v210,width=64,height=48", FALSE, FALSE },
    { "video/x-raw,format=v210,width=64,height=48", FALSE, FALSE },
    { "video/x-raw,format=GRAY16_LE,width=64,height=48", FALSE, FALSE },
    { "video/x-raw,format=I420,width=0,height=48", FALSE, FALSE },
    { "video/x-h264", FALSE, FALSE },
  };

  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new ("", FALSE, NULL);
    g_autoptr (GstCaps) caps = gst_caps_from_string (cases[i].caps);
    const gboolean asked = gst_pad_peer_query_accept_caps (h->srcpad, caps);
    gboolean taken;

    gst_harness_push_event (h, gst_event_new_stream_start ("s"));
    gst_harness_push_event (h, gst_event_new_caps (caps));
    gst_harness_push_event (h, gst_event_new_segment (&segment));
    taken = gst_harness_push (h, gst_buffer_new ()) == GST_FLOW_OK;
    g_test_message ("%s: %s, %s", cases[i].caps, asked ? "yes" : "no", taken ? "taken" : "refused");
    g_assert_true (asked == cases[i].asked);
    g_assert_true (taken == cases[i].taken);
    test_infer_end (h);
  }
}

/* The features that are left of what upstream offers, in its order. */
static void
test_query (void)
{
#define PLAIN "memory:SystemMemory"
#define OVERLAID PLAIN ", meta:GstVideoOverlayComposition"
#define CUDA (CUDA_MEMORY ? "memory:CUDAMemory" : NULL)
  const struct {
    const char *offered, *left[4];
  } cases[] = {
    { NULL, { PLAIN, OVERLAID, CUDA } },
    { "video/x-raw(ANY)", { PLAIN, OVERLAID, CUDA } },
    { "video/x-raw", { PLAIN } },
    { "video/x-raw(memory:SystemMemory)", { PLAIN } },
    { "video/x-raw(memory:SystemMemory,meta:GstVideoOverlayComposition)", { OVERLAID } },
    { "video/x-raw(memory:CUDAMemory)", { CUDA } },
    { "video/x-raw(memory:DMABuf)", { NULL } },
    { "video/x-raw(memory:DMABuf,meta:GstVideoOverlayComposition)", { NULL } },
    { "video/x-raw(memory:DMABuf),format=DMA_DRM", { NULL } },
    { "video/x-raw(memory:GLMemory)", { NULL } },
    { "video/x-raw(memory:VAMemory)", { NULL } },
    { "video/x-raw(memory:D3D11Memory)", { NULL } },
    { "video/x-raw(memory:NVMM)", { NULL } },
    { "video/x-raw(format:Interlaced)", { NULL } },
    { "video/x-raw(memory:DMABuf);video/x-raw", { PLAIN } },
    { "video/x-raw;video/x-raw(memory:DMABuf)", { PLAIN } },
    { "video/x-raw(memory:VAMemory);video/x-raw(memory:DMABuf);video/x-raw", { PLAIN } },
    { "video/x-raw(memory:CUDAMemory);video/x-raw",
        { CUDA_MEMORY ? CUDA : PLAIN, CUDA_MEMORY ? PLAIN : NULL } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new ("", FALSE, NULL);
    g_autoptr (GstCaps) offered =
        cases[i].offered != NULL ? gst_caps_from_string (cases[i].offered) : NULL;
    g_autoptr (GstCaps) left = gst_pad_peer_query_caps (h->srcpad, offered);
    guint n = 0;

    g_test_message ("%s: %u left", cases[i].offered != NULL ? cases[i].offered : "all",
        gst_caps_get_size (left));
    for (; cases[i].left[n] != NULL; n++) {
      g_autofree char *features = NULL;

      g_assert_cmpuint (n, <, gst_caps_get_size (left));
      features = gst_caps_features_to_string (gst_caps_get_features (left, n));
      g_assert_cmpstr (features, ==, cases[i].left[n]);
    }
    g_assert_cmpuint (gst_caps_get_size (left), ==, n);
    test_infer_end (h);
  }
#undef CUDA
#undef OVERLAID
#undef PLAIN
}

/* --- a camera whose frames are memory of a device --- */

enum { CAMERA_FRAMES = 3 };

typedef struct {
  GstPushSrc parent;
  gboolean dmabuf; /* the type of its memory, whatever the caps */
  GstCaps *offered, *agreed;
  GstVideoInfo info;
  int n;
} Camera;
typedef GstPushSrcClass CameraClass;

static GType camera_get_type (void);
G_DEFINE_TYPE (Camera, camera, GST_TYPE_PUSH_SRC)

static GstCaps *
camera_get_caps (GstBaseSrc *base, GstCaps *filter)
{
  Camera *camera = (Camera *) base;

  return filter != NULL ? gst_caps_intersect_full (filter, camera->offered, GST_CAPS_INTERSECT_FIRST)
                        : gst_caps_ref (camera->offered);
}

static gboolean
camera_set_caps (GstBaseSrc *base, GstCaps *caps)
{
  Camera *camera = (Camera *) base;

  gst_caps_replace (&camera->agreed, caps);
  return gst_video_info_from_caps (&camera->info, caps);
}

static GstFlowReturn
camera_create (GstPushSrc *base, GstBuffer **buffer)
{
  Camera *camera = (Camera *) base;
  g_autoptr (GstBuffer) plain = NULL;
  GstMapInfo map;

  if (camera->n == CAMERA_FRAMES)
    return GST_FLOW_EOS;
  plain = test_frame_new (&camera->info, 40 * camera->n, (guint32) camera->n);
  camera->n++;
  g_assert_true (gst_buffer_map (plain, &map, GST_MAP_READ));
  *buffer = gst_buffer_new ();
  gst_buffer_append_memory (*buffer, file_memory_new (map.data, map.size, camera->dmabuf));
  gst_buffer_unmap (plain, &map);
  gst_buffer_copy_into (*buffer, plain, GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
  return GST_FLOW_OK;
}

static void
camera_finalize (GObject *object)
{
  Camera *camera = (Camera *) object;

  gst_clear_caps (&camera->offered);
  gst_clear_caps (&camera->agreed);
  G_OBJECT_CLASS (camera_parent_class)->finalize (object);
}

static void
camera_class_init (CameraClass *class)
{
  static GstStaticPadTemplate template = GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
      GST_STATIC_CAPS ("video/x-raw(ANY)"));

  G_OBJECT_CLASS (class)->finalize = camera_finalize;
  gst_element_class_add_static_pad_template (GST_ELEMENT_CLASS (class), &template);
  GST_BASE_SRC_CLASS (class)->get_caps = camera_get_caps;
  GST_BASE_SRC_CLASS (class)->set_caps = camera_set_caps;
  class->create = camera_create;
}

static void
camera_init (Camera *camera)
{
  gst_base_src_set_format (GST_BASE_SRC (camera), GST_FORMAT_TIME);
}

/* Frames leave as they came: the same memory, which nobody could write to. */
static GstPadProbeReturn
on_frame (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  guint *n = data;

  g_assert_cmpuint (gst_buffer_n_memory (buffer), ==, 1);
  g_assert_true (gst_is_fd_memory (gst_buffer_peek_memory (buffer, 0)));
  g_assert_nonnull (test_result (buffer));
  ++*n;
  return GST_PAD_PROBE_OK;
}

static void
play_camera (Camera *camera)
{
  g_autoptr (GstElement) pipeline = gst_pipeline_new (NULL);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GstElement *infer = gst_element_factory_make ("dsvl2infer", NULL);
  GstElement *sink = gst_element_factory_make ("fakesink", NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (infer, "src");
  g_autoptr (GstMessage) end = NULL;
  guint n = 0;

  fake_reset ();
  fake_answer_all ("a cat");
  g_object_set (infer, "model", "/fake", NULL);
  gst_bin_add_many (GST_BIN (pipeline), GST_ELEMENT (camera), infer, sink, NULL);
  g_assert_true (gst_element_link_many (GST_ELEMENT (camera), infer, sink, NULL));
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_frame, &n, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  end = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
  g_assert_nonnull (end);
  g_assert_cmpstr (GST_MESSAGE_TYPE_NAME (end), ==, "eos");
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_cmpuint (n, ==, CAMERA_FRAMES);
  g_assert_cmpuint (fake_n_asked (), ==, CAMERA_FRAMES);
}

/* A camera that has DMABuf and ordinary memory to offer is taken at the latter, whichever it would rather
 * have, and what it shows is seen, though its memory be a device's. */
static void
test_camera (void)
{
#define NV12 ",format=NV12,width=64,height=48,framerate=25/1"
#define DRM ",format=DMA_DRM,drm-format=NV12,width=64,height=48,framerate=25/1"
  static const char *const offers[] = {
    "video/x-raw" NV12,
    "video/x-raw(memory:DMABuf)" NV12 ";video/x-raw" NV12,
    "video/x-raw(memory:DMABuf)" DRM ";video/x-raw" NV12,
    "video/x-raw" NV12 ";video/x-raw(memory:DMABuf)" NV12,
    "video/x-raw(memory:VAMemory)" NV12 ";video/x-raw(memory:DMABuf)" DRM ";video/x-raw" NV12,
  };
  const GstVideoInfo info = test_info ("NV12", 64, 48);
  GstHarness *h = test_infer_new ("", FALSE, &info);
  guint32 want[CAMERA_FRAMES];

  fake_answer_all ("a cat");
  for (int i = 0; i < CAMERA_FRAMES; i++) {
    FLOWS (h, test_frame_new (&info, 40 * i, (guint32) i));
    gst_buffer_unref (gst_harness_pull (h));
    want[i] = fake_last_ask ()->checksum;
  }
  g_assert_cmphex (want[0], !=, want[1]);
  test_infer_end (h);

  for (gsize i = 0; i < 2 * G_N_ELEMENTS (offers); i++) {
    g_autoptr (GstObject) object = gst_object_ref_sink (g_object_new (camera_get_type (), NULL));
    Camera *camera = (Camera *) object;
    g_autofree char *agreed = NULL;

    camera->offered = gst_caps_from_string (offers[i / 2]);
    camera->dmabuf = i % 2;
    play_camera (camera);
    agreed = gst_caps_to_string (camera->agreed);
    g_test_message ("%s, memory of %s: %s", offers[i / 2], i % 2 ? "a device" : "a file", agreed);
    g_assert_true (gst_caps_features_is_equal (gst_caps_get_features (camera->agreed, 0),
        GST_CAPS_FEATURES_MEMORY_SYSTEM_MEMORY));
    for (int k = 0; k < CAMERA_FRAMES; k++)
      g_assert_cmphex (fake_nth_ask ((guint) k)->checksum, ==, want[k]);
    fake_reset ();
  }
#undef DRM
#undef NV12
}

/* --- buffers --- */

/* A sink with a pool: what it asks for. */
static GstPadProbeReturn
propose_pool (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  const guint *least_and_most = data;

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_add_allocation_pool (query, NULL, 4608, least_and_most[0], least_and_most[1]);
  return GST_PAD_PROBE_HANDLED;
}

/* Frames that are kept are asked for above what downstream wants. */
static void
test_buffers (void)
{
  static const struct {
    const char *properties;
    guint downstream[2]; /* least, most; 0, 0: it has no pool */
    guint least, most;
  } cases[] = {
    { "", { 0, 0 }, 1, 0 },
    { "", { 2, 0 }, 3, 0 },
    { "", { 2, 4 }, 3, 5 },
    { "max-queue=8", { 0, 0 }, 9, 0 },
    { "max-queue=8", { 2, 4 }, 11, 13 },
    { "frames=4", { 2, 4 }, 6, 8 },
    { "frames=4 max-queue=8", { 2, 0 }, 14, 0 },
    { "max-queue=2147483647", { 0, 0 }, 17, 0 },
    { "max-queue=2147483647", { 2, 4 }, 19, 2147483652 },
    { "max-queue=2147483647", { 2, 4000000000 }, 19, 0 },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);
  g_autoptr (GstCaps) caps = gst_video_info_to_caps (&info);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new (cases[i].properties, FALSE, &info);
    GstQuery *query = gst_query_new_allocation (caps, TRUE);
    guint size, least, most;

    if (cases[i].downstream[0] > 0)
      gst_pad_add_probe (h->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PUSH,
          propose_pool, (gpointer) cases[i].downstream, NULL);
    g_assert_true (gst_pad_peer_query (h->srcpad, query));
    g_assert_cmpuint (gst_query_get_n_allocation_pools (query), ==, 1);
    gst_query_parse_nth_allocation_pool (query, 0, NULL, &size, &least, &most);
    g_test_message ("%s, downstream %u to %u: %u bytes, %u to %u", cases[i].properties,
        cases[i].downstream[0], cases[i].downstream[1], size, least, most);
    g_assert_cmpuint (size, ==, 4608);
    g_assert_cmpuint (least, ==, cases[i].least);
    g_assert_cmpuint (most, ==, cases[i].most);
    gst_query_unref (query);
    test_infer_end (h);
  }
}

/* A pipeline with such a source ends with an error that says what is wrong, before a frame is read. */
static void
test_refused_in_a_pipeline (void)
{
  static const struct {
    const char *caps, *says;
  } cases[] = {
    { "video/x-raw(memory:DMABuf),format=NV12,width=64,height=48,framerate=25/1", "not-negotiated" },
    { "video/x-raw(memory:GLMemory),format=RGBA,width=64,height=48,framerate=25/1", "not-negotiated" },
    { "video/x-raw,format=I420,width=64,height=48,interlace-mode=fields", "deinterlace" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *launch = g_strdup_printf ("appsrc name=source caps=\"%s\" format=time ! "
                                               "dsvl2infer model=/fake ! fakesink",
        cases[i].caps);
    g_autoptr (GstElement) pipeline = gst_parse_launch (launch, NULL);
    g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
    g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
    g_autoptr (GstBuffer) buffer = gst_buffer_new_allocate (NULL, 64 * 48 * 2, NULL);
    g_autoptr (GError) error = NULL;
    g_autofree char *debug = NULL;
    GstFlowReturn flow;
    GstMessage *m;

    fake_reset ();
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    g_signal_emit_by_name (source, "push-buffer", buffer, &flow);
    m = test_message (bus, GST_MESSAGE_ERROR);
    g_assert_nonnull (m);
    gst_message_parse_error (m, &error, &debug);
    g_test_message ("%s: %s: %s", cases[i].caps, error->message, debug);
    g_assert_true (strstr (error->message, cases[i].says) || strstr (debug, cases[i].says));
    g_assert_cmpuint (fake_n_asked (), ==, 0);
    gst_message_unref (m);
    gst_element_set_state (pipeline, GST_STATE_NULL);
  }
}

/* A frame that has not the pixels of its caps passes unanswered, with one warning; the next is answered. */
static void
test_too_small (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("hold=0", FALSE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);
  g_autoptr (GError) error = NULL;
  GstMessage *m;

  fake_answer_all ("a cat");
  for (int i = 0; i < 4; i++) {
    GstBuffer *buffer = test_frame_new (&info, 40 * i, 1);

    if (i > 0 && i < 3)
      gst_buffer_set_size (buffer, 64 * 48);
    FLOWS (h, buffer);
    buffer = gst_harness_pull (h);
    g_assert_true ((test_result (buffer) != NULL) == (i == 0 || i == 3));
    gst_buffer_unref (buffer);
  }
  m = test_message (bus, GST_MESSAGE_WARNING);
  g_assert_nonnull (m);
  gst_message_parse_warning (m, &error, NULL);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "3072 bytes"));
  gst_message_unref (m);
  test_no_message (bus, GST_MESSAGE_WARNING);
  g_assert_cmpuint (test_stat (h, "failed"), ==, 2);
  gst_bus_set_flushing (bus, TRUE); /* messages about the end would keep the element */
  test_infer_end (h);
}

/* The checksum of what the engine saw of a frame of noise that videocrop cropped, and the region that came
 * of the box in the middle. With `in_place` it crops by metadata. */
static guint32
see_cropped (gboolean in_place, GstVideoRectangle *region)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h =
      gst_harness_new_parse ("videocrop left=8 top=6 right=16 bottom=2 ! dsvl2infer model=/fake");
  const GstVideoRegionOfInterestMeta *r;
  GstBuffer *buffer;

  fake_reset ();
  fake_answer_all ("a cat");
  gst_harness_set_live (h, FALSE);
  if (in_place) {
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_META_API_TYPE, NULL);
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_CROP_META_API_TYPE, NULL);
  }
  test_set_caps (h, &info);
  FLOWS (h, test_frame_new (&info, 0, 1));
  buffer = gst_harness_pull (h);
  g_assert_true ((gst_buffer_get_video_crop_meta (buffer) != NULL) == in_place);
  g_assert_cmpint (fake_last_ask ()->frame.width, ==, 40);
  g_assert_cmpint (fake_last_ask ()->frame.height, ==, 40);
  r = test_region (buffer, 0);
  *region = (GstVideoRectangle){ (int) r->x, (int) r->y, (int) r->w, (int) r->h };
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
  return fake_last_ask ()->checksum;
}

/* What lies outside of a crop is not seen, and boxes count from its corner, as the caps do. */
static void
test_crop (void)
{
  GstVideoRectangle copied, in_place;
  const guint32 sum = see_cropped (FALSE, &copied);

  g_assert_cmphex (see_cropped (TRUE, &in_place), ==, sum);
  g_test_message ("%d+%d %d+%d", in_place.x, in_place.w, in_place.y, in_place.h);
  g_assert_cmpmem (&in_place, sizeof in_place, &copied, sizeof copied);
  g_assert_cmpint (in_place.x, ==, 10);
  g_assert_cmpint (in_place.w, ==, 20);
  fake_reset ();
}

/* Interlaced frames are read as they come, both fields; 8K is but a frame. */
static void
test_sizes (void)
{
  static const struct {
    const char *format;
    int width, height;
    GstVideoInterlaceMode interlaced;
  } cases[] = {
    { "I420", 1, 1, GST_VIDEO_INTERLACE_MODE_PROGRESSIVE },
    { "NV12", 3, 1, GST_VIDEO_INTERLACE_MODE_PROGRESSIVE },
    { "YUY2", 1, 5, GST_VIDEO_INTERLACE_MODE_PROGRESSIVE },
    { "I420", 720, 576, GST_VIDEO_INTERLACE_MODE_INTERLEAVED },
    { "I420", 720, 480, GST_VIDEO_INTERLACE_MODE_MIXED },
    { "P010_10LE", 7680, 4320, GST_VIDEO_INTERLACE_MODE_PROGRESSIVE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstVideoInfo info = test_info (cases[i].format, cases[i].width, cases[i].height);
    GstHarness *h;
    GstBuffer *buffer;

    info.interlace_mode = cases[i].interlaced;
    h = test_infer_new ("", FALSE, &info);
    fake_answer_all ("a cat");
    FLOWS (h, test_frame_new (&info, 0, 1));
    buffer = gst_harness_pull (h);
    g_test_message ("%s %d×%d, %s", cases[i].format, cases[i].width, cases[i].height,
        gst_video_interlace_mode_to_string (cases[i].interlaced));
    g_assert_nonnull (test_result (buffer));
    g_assert_cmpint (fake_last_ask ()->frame.width, ==, cases[i].width);
    g_assert_cmpint (fake_last_ask ()->frame.height, ==, cases[i].height);
    g_assert_cmpint (fake_last_ask ()->frame.stride[0], ==, GST_VIDEO_INFO_PLANE_STRIDE (&info, 0));
    gst_buffer_unref (buffer);
    test_infer_end (h);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/negotiation/caps", test_caps);
  g_test_add_func ("/negotiation/query", test_query);
  g_test_add_func ("/negotiation/camera", test_camera);
  g_test_add_func ("/negotiation/buffers", test_buffers);
  g_test_add_func ("/negotiation/pipeline", test_refused_in_a_pipeline);
  g_test_add_func ("/negotiation/too-small", test_too_small);
  g_test_add_func ("/negotiation/crop", test_crop);
  g_test_add_func ("/negotiation/sizes", test_sizes);
  return test_run ();
}
