/* dsvl2: regions that dsvl2infer asks about, named ones and objects of elements upstream
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_engine.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include <string.h>
#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

/* What the results on a buffer are about: "prompt@x,y,w,h[=label]", in their order. */
static char *
regions_on (GstBuffer *buffer)
{
  GString *all = g_string_new (NULL);
  const GstStructure *s;
  gpointer state = NULL;

  while ((s = gst_dsvl2_meta_get_result (buffer, &state)) != NULL) {
    const char *label = gst_structure_get_string (s, "region-label");
    int x, y, w, h;

    g_assert_true (gst_structure_get (s, "region-x", G_TYPE_INT, &x, "region-y", G_TYPE_INT, &y,
        "region-width", G_TYPE_INT, &w, "region-height", G_TYPE_INT, &h, NULL));
    g_string_append_printf (all, "%s%s@%d,%d,%d,%d%s%s", all->len > 0 ? " " : "",
        gst_structure_get_string (s, "prompt"), x, y, w, h, label != NULL ? "=" : "",
        label != NULL ? label : "");
  }
  return g_string_free (all, FALSE);
}

/* The size of each picture that was shown is that of its region. With several prompts results come in another
 * order than questions. */
static void
check_pictures (GstBuffer *buffer)
{
  const GstStructure *s;
  gpointer state = NULL;

  for (guint i = 0; (s = gst_dsvl2_meta_get_result (buffer, &state)) != NULL; i++) {
    int w = 0, h = 0;

    gst_structure_get (s, "region-width", G_TYPE_INT, &w, "region-height", G_TYPE_INT, &h, NULL);
    g_assert_cmpint (fake_nth_ask (i)->frame.width, ==, w);
    g_assert_cmpint (fake_nth_ask (i)->frame.height, ==, h);
  }
}

static void
add_object (GstBuffer *frame, const char *label, guint x, guint y, guint w, guint h)
{
  gst_buffer_add_video_region_of_interest_meta (frame, label, x, y, w, h)->id = 7;
}

/* --- named regions --- */

static void
test_named (void)
{
  static const struct {
    const char *properties, *regions;
  } cases[] = {
    { "roi=\"\"", "?@0,0,64,48" },
    { "roi=\" ; ;\"", "?@0,0,64,48" },
    { "roi=\"8,4,16,12\"", "?@8,4,16,12" },
    { "roi=\" 8 , 4,16 ,12 ;\"", "?@8,4,16,12" },
    { "roi=\"25%,50%,50%,50%\"", "?@16,24,32,24" },
    { "roi=\"50%,0,50%,48\"", "?@32,0,32,48" },
    { "roi=\"12.5%,0,8,8\"", "?@8,0,8,8" },
    { "roi=\"0,0,100%,100%\"", "?@0,0,64,48" },
    { "roi=\"40,40,1000,1000\"", "?@40,40,24,8" }, /* as much as there is */
    { "roi=\"7,5,10,10\"", "?@6,4,11,11" },        /* from where there is chroma */
    { "roi=\"0,0,0.1,0.1\"", "?@0,0,1,1" },
    { "roi=\"32,24,8,8;0,0,8,8\"", "?@32,24,8,8 ?@0,0,8,8" },       /* in the user's order */
    { "roi=\"0,0,8,8;100,0,8,8;8,8,8,8\"", "?@0,0,8,8 ?@8,8,8,8" }, /* one lies outside */
    { "roi=\"0,0,8,8;8,8,8,8\" prompts=a;b", "a@0,0,8,8 a@8,8,8,8 b@0,0,8,8 b@8,8,8,8" },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *properties = g_strdup_printf ("prompt=? %s", cases[i].properties);
    GstHarness *h = test_infer_new (properties, FALSE, &info);
    g_autofree char *regions = NULL;
    GstBuffer *out;

    fake_answer_all ("thing");
    out = gst_harness_push_and_pull (h, test_frame_new (&info, 0, 1));
    regions = regions_on (out);
    g_test_message ("%s: %s", cases[i].properties, regions);
    g_assert_cmpstr (regions, ==, cases[i].regions);
    if (strstr (properties, "prompts") == NULL)
      check_pictures (out);
    gst_buffer_unref (out);
    test_infer_end (h);
  }
}

/* Boxes are in parts of the region that the model saw, and come out in those of the frame. */
static void
test_boxes (void)
{
  const GstVideoInfo info = test_info ("RGB", 100, 80);
  const Dsvl2Object object = { .label = "cup", .x0 = 0.5f, .y0 = 0.25f, .x1 = 1, .y1 = 0.75f };
  GstHarness *h = test_infer_new ("roi=\"20,40,40,20\"", FALSE, &info);
  TestCall *push = test_push_begin (h, test_frame_new (&info, 0, 1));
  GstVideoRegionOfInterestMeta *found;
  double x_min = 0, y_max = 0;
  GstBuffer *out;

  fake_answer ("a cup", &object, 1);
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
  out = gst_harness_pull (h);
  found = test_region (out, 0);
  g_test_message ("%u,%u %u×%u", found->x, found->y, found->w, found->h);
  g_assert_cmpuint (found->x, ==, 40);
  g_assert_cmpuint (found->y, ==, 45);
  g_assert_cmpuint (found->w, ==, 20);
  g_assert_cmpuint (found->h, ==, 10);
  g_assert_true (gst_structure_get (test_detection (out, 0), "x_min", G_TYPE_DOUBLE, &x_min, "y_max",
      G_TYPE_DOUBLE, &y_max, NULL));
  g_assert_cmpfloat_with_epsilon (x_min, 0.4, 1e-6);
  g_assert_cmpfloat_with_epsilon (y_max, 55 / 80., 1e-6);
  gst_buffer_unref (out);
  test_infer_end (h);
}

static const char *const wrong[] = { "left", "1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,0%", "-1,2,3,4",
  "1,2,3,4x", "1,2,3,", "nan,0,1,1", "inf,0,1,1", "1e30,0,1,1", "0,0,8,8;1", "%,0,1,1", "1 2 3 4" };

static void
test_wrong_at_start (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    GstElement *element = gst_element_factory_make ("dsvl2infer", NULL);
    g_autoptr (GstBus) bus = gst_bus_new ();

    gst_element_set_bus (element, bus);
    g_object_set (element, "model", "/fake", "roi", wrong[i], NULL);
    for (int again = 0; again < 2; again++) { /* it does not start the second time either */
      g_autoptr (GError) error = test_start_error (element, bus);

      g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
      g_assert_nonnull (strstr (error->message, "x,y,width,height"));
      gst_element_set_state (element, GST_STATE_NULL);
    }
    gst_bus_set_flushing (bus, TRUE);
    gst_object_unref (element);
  }
}

/* A text that is no region is told once while video plays, and what was there before counts. */
static void
test_wrong_while_playing (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("prompt=? roi=\"8,8,8,8\"", FALSE, &info);
  g_autoptr (GstBus) bus = test_bus_new (h);

  fake_answer_all ("thing");
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    gst_harness_set (h, "dsvl2infer", "roi", wrong[i], NULL);
    for (int k = 0; k < 2; k++) {
      GstBuffer *out =
          gst_harness_push_and_pull (h, test_frame_new (&info, (gint64) (2 * i + (gsize) k) * 40, 1));
      g_autofree char *regions = regions_on (out);

      g_assert_cmpstr (regions, ==, "?@8,8,8,8");
      gst_buffer_unref (out);
    }
    gst_message_unref (test_message (bus, GST_MESSAGE_WARNING));
    test_no_message (bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
  }
  test_infer_end (h);
}

/* Regions outside the frame: told once for a size of frame, and nothing is asked until there is one. */
static void
test_outside (void)
{
  const GstVideoInfo small = test_info ("I420", 64, 48), large = test_info ("I420", 640, 480);
  GstHarness *h = test_infer_new ("prompt=? roi=\"100,100,50,50\"", FALSE, &small);
  g_autoptr (GstBus) bus = test_bus_new (h);
  g_autofree char *regions = NULL;
  GstBuffer *out;

  fake_answer_all ("thing");
  for (int i = 0; i < 3; i++)
    gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&small, 40 * i, 1)));
  g_assert_cmpuint (fake_n_asked (), ==, 0);
  gst_message_unref (test_message (bus, GST_MESSAGE_WARNING));
  test_no_message (bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
  test_set_caps (h, &large);
  out = gst_harness_push_and_pull (h, test_frame_new (&large, 120, 1));
  regions = regions_on (out);
  g_assert_cmpstr (regions, ==, "?@100,100,50,50");
  gst_buffer_unref (out);
  test_infer_end (h);
}

/* --- objects of others --- */

static void
test_objects (void)
{
  static const struct {
    const char *properties, *regions;
  } cases[] = {
    { "roi-labels=\"\"", "?@0,0,64,48" },
    { "roi-labels=car", "?@2,2,10,10=car ?@40,30,20,10=car" },
    { "roi-labels=\"CAR, person\"", "?@2,2,10,10=car ?@30,4,4,12=person ?@40,30,20,10=car" },
    { "roi-labels=p*", "?@30,4,4,12=person" },
    { "roi-labels=*", "?@2,2,10,10=car ?@30,4,4,12=person ?@40,30,20,10=car ?@60,44,4,4=edge" },
    { "roi-labels=bus", "" },
    { "roi-labels=edge", "?@60,44,4,4=edge" },
    { "roi-labels=car roi=\"50%,0,50%,100%\"", "?@40,30,20,10=car" },
    { "roi-labels=car roi=\"50%,0,50%,25%\"", "" },
    { "roi-labels=car roi=\"0,0,8,8;40,30,12,8\"", "?@2,2,10,10=car ?@40,30,20,10=car" },
    { "roi-labels=car prompts=a;b",
        "a@2,2,10,10=car a@40,30,20,10=car b@2,2,10,10=car b@40,30,20,10=car" },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *properties = g_strdup_printf ("prompt=? %s", cases[i].properties);
    GstHarness *h = test_infer_new (properties, FALSE, &info);
    GstBuffer *frame = test_frame_new (&info, 0, 1), *out;
    g_autofree char *regions = NULL;

    add_object (frame, "car", 2, 2, 10, 10);
    add_object (frame, "person", 30, 4, 4, 12);
    add_object (frame, "car", 40, 30, 20, 10);
    add_object (frame, "car", 41, 29, 20, 11);           /* the same one, rounded */
    add_object (frame, "car", 70, 0, 10, 10);            /* nowhere */
    add_object (frame, "edge", 60, 44, G_MAXUINT, 4096); /* as much as there is */
    fake_answer_all (NULL);
    out = gst_harness_push_and_pull (h, frame);
    regions = regions_on (out);
    g_test_message ("%s: %s", cases[i].properties, regions);
    g_assert_cmpstr (regions, ==, cases[i].regions);
    if (strstr (properties, "prompts") == NULL)
      check_pictures (out);
    if (strchr (regions, '=') != NULL) {
      int id = -1;

      g_assert_true (gst_structure_get_int (test_result (out), "region-id", &id));
      g_assert_cmpint (id, ==, 7);
    }
    gst_buffer_unref (out);
    test_infer_end (h);
  }
}

#ifdef HAVE_ANALYTICS
/* Detections of GstAnalytics count, once where a region of interest says the same. */
static void
test_detections (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("prompt=? roi-labels=car", FALSE, &info);
  GstBuffer *frame = test_frame_new (&info, 0, 1), *out;
  GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (frame);
  const GQuark car = g_quark_from_string ("car"), bus = g_quark_from_string ("bus");
  g_autofree char *regions = NULL;
  GstAnalyticsODMtd od;

  add_object (frame, "car", 2, 2, 10, 10);
  g_assert_true (gst_analytics_relation_meta_add_od_mtd (meta, car, 2, 2, 10, 10, 0.9f, &od));
  g_assert_true (gst_analytics_relation_meta_add_od_mtd (meta, bus, 4, 4, 10, 10, 0.9f, &od));
  g_assert_true (gst_analytics_relation_meta_add_od_mtd (meta, car, -10, 20, 20, 10, 0.9f, &od));
  fake_answer_all (NULL);
  out = gst_harness_push_and_pull (h, frame);
  regions = regions_on (out);
  g_assert_cmpstr (regions, ==, "?@2,2,10,10=car ?@0,20,10,10=car");
  gst_buffer_unref (out);
  test_infer_end (h);
}
#endif

/* More objects than are asked about. */
static void
test_many (void)
{
  const GstVideoInfo info = test_info ("I420", 640, 480);
  GstHarness *h = test_infer_new ("prompt=? roi-labels=*", FALSE, &info);
  GstBuffer *frame = test_frame_new (&info, 0, 1);

  for (guint i = 0; i < 100; i++)
    add_object (frame, "ant", i % 10 * 20, i / 10 * 20, 10, 10);
  fake_answer_all (NULL);
  gst_buffer_unref (gst_harness_push_and_pull (h, frame));
  g_assert_cmpuint (fake_n_asked (), ==, 64);
  test_infer_end (h);
}

/* A frame that is due but has no such object leaves its turn to the next that has one. */
static void
test_turn (void)
{
  static const struct {
    const char *properties;
    gint64 pts[8];
    gboolean object[8];
    const char *asked; /* per frame */
  } cases[] = {
    { "interval=1000000000", { 0, 400, 800, 1200, 1600, 2000, 2400, 2800 },
        { FALSE, TRUE, TRUE, TRUE, FALSE, FALSE, TRUE, TRUE }, ".x....x." },
    { "interval=0", { 0, 40, 80, 120, 160, 200, 240, 280 },
        { FALSE, TRUE, TRUE, FALSE, FALSE, TRUE, TRUE, FALSE }, ".xx..xx." },
    { "min-interval=100000000", { 0, 40, 80, 120, 160, 200, 240, 280 },
        { FALSE, TRUE, TRUE, TRUE, FALSE, TRUE, TRUE, TRUE }, ".x...x.." },
  };
  const GstVideoInfo info = test_info ("I420", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *properties = g_strdup_printf ("roi-labels=cat %s", cases[i].properties);
    GstHarness *h = test_infer_new (properties, FALSE, &info);
    GString *asked = g_string_new (NULL);

    fake_answer_all (NULL);
    for (int k = 0; k < 8; k++) {
      GstBuffer *frame = test_frame_new (&info, cases[i].pts[k], 1);
      const guint before = fake_n_asked ();

      if (cases[i].object[k])
        add_object (frame, "cat", 8, 8, 8, 8);
      gst_buffer_unref (gst_harness_push_and_pull (h, frame));
      g_string_append_c (asked, fake_n_asked () > before ? 'x' : '.');
    }
    g_test_message ("%s: %s", cases[i].properties, asked->str);
    g_assert_cmpstr (asked->str, ==, cases[i].asked);
    g_string_free (asked, TRUE);
    test_infer_end (h);
  }
}

/* analyze-now waits for a frame that has what is asked about. */
static void
test_demand (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("roi-labels=cat interval=3600000000000", FALSE, &info);
  GstElement *element = gst_harness_find_element (h, "dsvl2infer");

  fake_answer_all (NULL);
  for (int i = 0; i < 6; i++) {
    GstBuffer *frame = test_frame_new (&info, 40 * i, 1);

    if (i == 0 || i == 4 || i == 5)
      add_object (frame, "cat", 8, 8, 8, 8);
    if (i == 2)
      g_signal_emit_by_name (element, "analyze-now");
    gst_buffer_unref (gst_harness_push_and_pull (h, frame));
    g_assert_cmpuint (fake_n_asked (), ==, i < 4 ? 1 : 2);
  }
  gst_object_unref (element);
  test_infer_end (h);
}

/* --- with other settings --- */

/* What changes outside a named region is not looked at. */
static void
test_change (void)
{
  static const struct {
    int x, y; /* of what is painted over, 16 × 16 */
    guint asked;
  } cases[] = { { 0, 0, 1 }, { 48, 32, 2 } };
  const GstVideoInfo info = test_info ("GRAY8", 64, 48);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = test_infer_new ("roi=\"32,24,32,24\" change-threshold=0.1", FALSE, &info);
    GstBuffer *frame = test_frame_new (&info, 40, 1);
    GstMapInfo map;

    fake_answer_all (NULL);
    gst_buffer_unref (gst_harness_push_and_pull (h, test_frame_new (&info, 0, 1)));
    gst_buffer_map (frame, &map, GST_MAP_READWRITE);
    for (int y = 0; y < 16; y++)
      for (int x = 0; x < 16; x++)
        map.data[(cases[i].y + y) * 64 + cases[i].x + x] ^= 0x80;
    gst_buffer_unmap (frame, &map);
    gst_buffer_unref (gst_harness_push_and_pull (h, frame));
    g_test_message ("changed at %d,%d: %u asked", cases[i].x, cases[i].y, fake_n_asked ());
    g_assert_cmpuint (fake_n_asked (), ==, cases[i].asked);
    test_infer_end (h);
  }
}

/* Frames that are asked about together are shown in the regions of the last. */
static void
test_together (void)
{
  const GstVideoInfo info = test_info ("I420", 64, 48);
  GstHarness *h = test_infer_new ("prompt=? frames=2 roi-labels=cat", FALSE, &info);
  g_autofree char *regions = NULL;
  GstBuffer *out = NULL;

  fake_answer_all (NULL);
  for (int i = 0; i < 2; i++) {
    GstBuffer *frame = test_frame_new (&info, 40 * i, 1);

    add_object (frame, "cat", i == 0 ? 4 : 16, 8, i == 0 ? 20 : 10, 12);
    FLOWS (h, frame);
  }
  gst_buffer_unref (gst_harness_pull (h));
  out = gst_harness_pull (h);
  regions = regions_on (out);
  g_assert_cmpstr (regions, ==, "?@16,8,10,12=cat");
  g_assert_cmpint (fake_last_ask ()->n_pictures, ==, 2);
  for (int i = 0; i < 2; i++)
    g_assert_cmpint (fake_last_ask ()->frames[i].width, ==, 10);
  gst_buffer_unref (out);
  test_infer_end (h);
}

/* One element finds, the next describes what was found. */
static void
test_chain (void)
{
  const GstVideoInfo info = test_info ("RGB", 100, 80);
  const Dsvl2Object object = { .label = "cup", .x0 = 0.5f, .y0 = 0.25f, .x1 = 1, .y1 = 0.75f };
  GstHarness *h;
  TestCall *push;
  g_autofree char *regions = NULL;
  GstBuffer *out;

  fake_reset ();
  h = gst_harness_new_parse ("dsvl2infer model=/fake prompt=\"find cups\" ! "
                             "dsvl2infer model=/fake prompt=? roi-labels=cup");
  gst_harness_set_live (h, FALSE);
  test_set_caps (h, &info);
  push = test_push_begin (h, test_frame_new (&info, 0, 1));
  fake_answer ("a cup", &object, 1);
  fake_answer ("red", NULL, 0);
  g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
  out = gst_harness_pull (h);
  regions = regions_on (out);
  g_assert_cmpstr (regions, ==, "find cups@0,0,100,80 ?@50,20,50,40=cup");
  gst_buffer_unref (out);
  gst_harness_teardown (h);
  g_assert_cmpint (fake_n_alive (), ==, 0);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/infer/roi/named", test_named);
  g_test_add_func ("/infer/roi/boxes", test_boxes);
  g_test_add_func ("/infer/roi/wrong-at-start", test_wrong_at_start);
  g_test_add_func ("/infer/roi/wrong-while-playing", test_wrong_while_playing);
  g_test_add_func ("/infer/roi/outside", test_outside);
  g_test_add_func ("/infer/roi/objects", test_objects);
#ifdef HAVE_ANALYTICS
  g_test_add_func ("/infer/roi/detections", test_detections);
#endif
  g_test_add_func ("/infer/roi/many", test_many);
  g_test_add_func ("/infer/roi/turn", test_turn);
  g_test_add_func ("/infer/roi/demand", test_demand);
  g_test_add_func ("/infer/roi/change", test_change);
  g_test_add_func ("/infer/roi/together", test_together);
  g_test_add_func ("/infer/roi/chain", test_chain);
  return test_run ();
}
