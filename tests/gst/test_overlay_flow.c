/* dsvl2: dsvl2overlay and its neighbours: who draws, in which memory, on which buffers
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2meta.h"
#include "harness.h"
#include "overlay.h"

#define COMPOSITION "meta:GstVideoOverlayComposition"
#define SIZE ",format=NV12,width=320,height=240,framerate=25/1"

static GstBuffer *
frame_new (const GstVideoInfo *info)
{
  GstBuffer *buffer = test_frame_new (info, 0, 1);

  gst_buffer_memset (buffer, 0, 0x80, gst_buffer_get_size (buffer));
  return buffer;
}

/* What comes of caps that upstream has, where downstream takes these. */
typedef struct {
  const char *name, *pipeline, *in, *downstream;
  gboolean shows;  /* downstream says that it draws overlays */
  const char *out; /* NULL: no agreement */
  gboolean attached;
} Deal;

static const Deal deals[] = {
  { "drawn downstream", "dsvl2overlay", "video/x-raw" SIZE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ");video/x-raw", TRUE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ")" SIZE, TRUE },
  { "taken, not drawn", "dsvl2overlay", "video/x-raw" SIZE, "video/x-raw(ANY)", FALSE,
      "video/x-raw" SIZE, FALSE },
  { "not taken", "dsvl2overlay", "video/x-raw" SIZE, "video/x-raw", TRUE, "video/x-raw" SIZE, FALSE },
  { "taken in other memory only", "dsvl2overlay", "video/x-raw" SIZE,
      "video/x-raw(memory:GLMemory," COMPOSITION ");video/x-raw", TRUE, "video/x-raw" SIZE, FALSE },
  { "must be attached", "dsvl2overlay", "video/x-raw" SIZE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ")", FALSE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ")" SIZE, FALSE },
  { "a filter between", "dsvl2overlay name=o ! videoconvert", "video/x-raw" SIZE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ");video/x-raw", TRUE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ")" SIZE, TRUE },
  { "a filter between, not drawn", "dsvl2overlay name=o ! videoconvert", "video/x-raw" SIZE,
      "video/x-raw(ANY)", FALSE, "video/x-raw" SIZE, FALSE },
  { "attached upstream", "dsvl2overlay", "video/x-raw(memory:SystemMemory," COMPOSITION ")" SIZE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ");video/x-raw", TRUE,
      "video/x-raw(memory:SystemMemory," COMPOSITION ")" SIZE, TRUE },
  { "attached upstream, not taken", "dsvl2overlay",
      "video/x-raw(memory:SystemMemory," COMPOSITION ")" SIZE, "video/x-raw", FALSE, NULL, FALSE },
  { "GL memory", "dsvl2overlay", "video/x-raw(memory:GLMemory)" SIZE,
      "video/x-raw(memory:GLMemory," COMPOSITION ")", TRUE,
      "video/x-raw(memory:GLMemory," COMPOSITION ")" SIZE, TRUE },
  { "GL memory that nobody draws on", "dsvl2overlay", "video/x-raw(memory:GLMemory)" SIZE,
      "video/x-raw(memory:GLMemory)", FALSE, NULL, FALSE },
  { "a format without a name here", "dsvl2overlay",
      "video/"
      "x-raw(memory:DMABuf),format=DMA_DRM,drm-format=(string)\"NV12:0x1\",width=320,height=240,"
      "framerate=25/1",
      "video/x-raw(memory:DMABuf," COMPOSITION ")", TRUE,
      "video/x-raw(memory:DMABuf," COMPOSITION
      "),format=DMA_DRM,drm-format=(string)\"NV12:0x1\",width=320,height=240,framerate=25/1",
      TRUE },
  { "single fields", "dsvl2overlay", "video/x-raw(format:Interlaced),interlace-mode=alternate" SIZE,
      "video/x-raw(ANY),interlace-mode=alternate", FALSE,
      "video/x-raw(format:Interlaced," COMPOSITION "),interlace-mode=alternate" SIZE, TRUE },
};

static void
test_deal (gconstpointer data)
{
  const Deal *deal = data;
  const GstVideoInfo info = test_info ("NV12", 320, 240);
  g_autoptr (GstCaps) expected = deal->out != NULL ? gst_caps_from_string (deal->out) : NULL;
  g_autoptr (GstCaps) agreed = NULL;
  g_autofree char *features = NULL;
  GstHarness *h = gst_harness_new_parse (deal->pipeline);
  GstBuffer *out;
  GstFlowReturn flow;

  if (deal->shows)
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_harness_set_caps_str (h, deal->in, deal->downstream);
  out = frame_new (&info);
  overlay_add_region (out, "thing", 100, 100, 80, 60, 0.5);
  flow = gst_harness_push (h, out);
  g_test_message ("%s: %s", deal->name, gst_flow_get_name (flow));
  if (deal->out == NULL) {
    g_assert_cmpint (flow, ==, GST_FLOW_NOT_NEGOTIATED);
    gst_harness_teardown (h);
    return;
  }
  g_assert_cmpint (flow, ==, GST_FLOW_OK);
  out = gst_harness_pull (h);
  agreed = gst_pad_get_current_caps (h->sinkpad);
  features = gst_caps_features_to_string (gst_caps_get_features (agreed, 0));
  g_test_message ("%s", features);
  g_assert_true (gst_caps_is_subset (agreed, expected));
  g_assert_true ((gst_buffer_get_video_overlay_composition_meta (out) != NULL) == deal->attached);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* Drawn on or not, a frame that others hold stays as it is; one with nothing to draw is the same buffer. */
static void
test_held_buffers (void)
{
  const GstVideoInfo info = test_info ("NV12", 320, 240);

  for (int attach = 0; attach < 2; attach++)
    for (int with = 0; with < 2; with++) {
      GstHarness *h = gst_harness_new ("dsvl2overlay");
      GstBuffer *frame = frame_new (&info), *out;
      GstMemory *memory = gst_buffer_peek_memory (frame, 0);
      g_autoptr (GstBuffer) before = gst_buffer_copy_deep (frame);

      if (attach)
        gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
      gst_harness_play (h);
      test_set_caps (h, &info);
      if (with)
        overlay_add_region (frame, "thing", 100, 100, 80, 60, 0.5);
      out = gst_harness_push_and_pull (h, gst_buffer_ref (frame));
      g_test_message ("%s, %s: %s buffer, %s memory", attach ? "attached" : "blended",
          with ? "a box" : "nothing", out == frame ? "the same" : "another",
          gst_buffer_peek_memory (out, 0) == memory ? "the same" : "other");
      g_assert_true ((out == frame) == !with);
      g_assert_true ((gst_buffer_peek_memory (out, 0) == memory) == (attach || !with));
      g_assert_true (test_same_pixels (frame, before, &info));
      g_assert_null (gst_buffer_get_video_overlay_composition_meta (frame));
      gst_buffer_unref (out);
      gst_buffer_unref (frame);
      gst_harness_teardown (h);
    }
}

/* What downstream offers reaches upstream: frames go through as they are. */
static void
test_allocation (void)
{
  const GstVideoInfo info = test_info ("NV12", 320, 240);
  g_autoptr (GstCaps) caps = gst_video_info_to_caps (&info);
  GstHarness *h = gst_harness_new ("dsvl2overlay");
  GstQuery *query = gst_query_new_allocation (caps, FALSE);

  gst_harness_add_propose_allocation_meta (h, GST_VIDEO_META_API_TYPE, NULL);
  gst_harness_play (h);
  test_set_caps (h, &info);
  g_assert_true (gst_pad_peer_query (h->srcpad, query));
  g_assert_true (gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL));
  g_assert_false (gst_query_find_allocation_meta (query, GST_VIDEO_CROP_META_API_TYPE, NULL));
  gst_query_unref (query);
  gst_harness_teardown (h);
}

/* Luma samples that differ from the grey in columns x0 … x1 and rows y0 … y1. */
static int
changed (GstBuffer *buffer, const GstVideoInfo *info, int x0, int y0, int x1, int y1)
{
  GstVideoFrame f;
  int n = 0;

  g_assert_true (gst_video_frame_map (&f, info, buffer, GST_MAP_READ));
  for (int y = y0; y < y1; y++)
    for (int x = x0; x < x1; x++)
      n += ((guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&f,
               0))[y * GST_VIDEO_FRAME_PLANE_STRIDE (&f, 0) + x] != 0x80;
  gst_video_frame_unmap (&f);
  return n;
}

/* A 160×120 part is seen of a frame of 320×240, and boxes count from its corner. */
static void
test_crop (void)
{
  const GstVideoInfo whole = test_info ("NV12", 320, 240), seen = test_info ("NV12", 160, 120);
  GstHarness *h =
      gst_harness_new_parse ("dsvl2overlay show-labels=false show-confidence=false line-width=2");
  GstBuffer *frame = frame_new (&whole), *out;
  GstVideoCropMeta *crop;

  gst_harness_play (h);
  test_set_caps (h, &seen);
  gst_buffer_add_video_meta (frame, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_NV12, 320, 240);
  crop = gst_buffer_add_video_crop_meta (frame);
  crop->x = 101, crop->y = 51, crop->width = 160, crop->height = 120;
  overlay_add_region (frame, "thing", 0, 0, G_MAXUINT, G_MAXUINT, 0.5);
  out = gst_harness_push_and_pull (h, frame);
  g_test_message ("%d of the edges, %d around, %d inside", changed (out, &whole, 101, 51, 261, 171),
      changed (out, &whole, 0, 0, 320, 51) + changed (out, &whole, 0, 171, 320, 240) +
          changed (out, &whole, 0, 51, 101, 171) + changed (out, &whole, 261, 51, 320, 171),
      changed (out, &whole, 106, 56, 256, 166));
  g_assert_cmpint (changed (out, &whole, 101, 51, 261, 171), >=, 2 * (160 + 116) * 2 - 8);
  g_assert_cmpint (changed (out, &whole, 0, 0, 320, 51) + changed (out, &whole, 0, 171, 320, 240), ==,
      0);
  g_assert_cmpint (changed (out, &whole, 0, 51, 101, 171) + changed (out, &whole, 261, 51, 320, 171),
      ==, 0);
  g_assert_cmpint (changed (out, &whole, 106, 56, 256, 166), ==, 0);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

/* Properties count from the next frame on; one that makes no sense is said to, and the rest goes on. */
static void
test_changes (void)
{
  const GstVideoInfo info = test_info ("NV12", 320, 240);
  GstHarness *h = gst_harness_new ("dsvl2overlay");
  GstBus *bus = test_bus_new (h);
  int drawn[4];

  gst_harness_play (h);
  test_set_caps (h, &info);
  for (int i = 0; i < 4; i++) {
    GstBuffer *frame = frame_new (&info), *out;
    GstMessage *message;

    if (i == 1)
      g_object_set (h->element, "labels", "other", NULL);
    if (i == 2)
      g_object_set (h->element, "labels", NULL, "show-labels", FALSE, "show-confidence", FALSE, NULL);
    if (i == 3)
      g_object_set (h->element, "label-colors", "thing=beautiful", NULL);
    overlay_add_region (frame, "thing", 100, 100, 80, 60, 0.5);
    out = gst_harness_push_and_pull (h, frame);
    drawn[i] = changed (out, &info, 0, 0, 320, 240);
    gst_buffer_unref (out);
    if (i < 3)
      test_no_message (bus, GST_MESSAGE_WARNING);
    else {
      g_autoptr (GError) error = NULL;

      message = test_message (bus, GST_MESSAGE_WARNING);
      g_assert_nonnull (message);
      gst_message_parse_warning (message, &error, NULL);
      g_test_message ("%s", error->message);
      gst_message_unref (message);
    }
  }
  g_test_message ("%d, %d, %d, %d samples drawn", drawn[0], drawn[1], drawn[2], drawn[3]);
  g_assert_cmpint (drawn[1], ==, 0);
  g_assert_cmpint (drawn[2], >, 0);
  g_assert_cmpint (drawn[2], <, drawn[0]);
  g_assert_cmpint (drawn[3], ==, drawn[2]);
  gst_element_set_bus (h->element, NULL);
  gst_object_unref (bus);
  gst_harness_teardown (h);
}

/* Two in a row: both attach, and filters pass both on. */
static void
test_two_overlays (void)
{
  const GstVideoInfo info = test_info ("NV12", 320, 240);
  GstHarness *h = gst_harness_new_parse ("dsvl2overlay show-labels=false show-confidence=false ! "
                                         "dsvl2overlay ! queue ! identity");
  GstVideoOverlayCompositionMeta *meta;
  GstBuffer *frame = frame_new (&info), *out;

  gst_harness_add_propose_allocation_meta (h, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);
  gst_harness_play (h);
  test_set_caps (h, &info);
  overlay_add_region (frame, "thing", 100, 100, 80, 60, 0.5);
  out = gst_harness_push_and_pull (h, frame);
  meta = gst_buffer_get_video_overlay_composition_meta (out);
  g_assert_nonnull (meta);
  g_test_message ("%u rectangles", gst_video_overlay_composition_n_rectangles (meta->overlay));
  g_assert_cmpuint (gst_video_overlay_composition_n_rectangles (meta->overlay), ==, 9);
  g_assert_cmpint (changed (out, &info, 0, 0, 320, 240), ==, 0);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  gst_dsvl2_meta_register ();
  for (gsize i = 0; i < G_N_ELEMENTS (deals); i++) {
    g_autofree char *path = g_strconcat ("/overlay/caps/", deals[i].name, NULL);

    g_test_add_data_func (path, &deals[i], test_deal);
  }
  g_test_add_func ("/overlay/held-buffers", test_held_buffers);
  g_test_add_func ("/overlay/allocation", test_allocation);
  g_test_add_func ("/overlay/crop", test_crop);
  g_test_add_func ("/overlay/changes", test_changes);
  g_test_add_func ("/overlay/two", test_two_overlays);
  return test_run ();
}
