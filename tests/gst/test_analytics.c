/* dsvl2: objects as GstAnalytics carries them, and the numbers of trackers
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "analytics.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include <string.h>
#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

/* An answer with these objects on a buffer of 100×50. */
static void
attach (GstBuffer *buffer, const Dsvl2Object *objects, int n)
{
  const GstVideoInfo info = test_info ("I420", 100, 50);
  GstStructure *s = gst_dsvl2_result_to_structure (&(Dsvl2Result){ .objects = objects, .n_objects = n },
      &(GstDsvl2Seen){ .prompt = "?", .width = 100, .height = 50, .region = { 0, 0, 100, 50 } });

  gst_dsvl2_meta_attach (buffer, &info, s, TRUE);
  gst_structure_free (s);
}

/* The number that a tracker's is on the n-th region, or -1. */
static int
number_of (GstBuffer *buffer, guint n)
{
  const GstStructure *s =
      gst_video_region_of_interest_meta_get_param (test_region (buffer, n), "object_id");
  int number = -1;

  if (s != NULL)
    gst_structure_get_int (s, "id", &number);
  return number;
}

static void
add_tracked_region (GstBuffer *buffer, const GstVideoRectangle *box, int number)
{
  GstVideoRegionOfInterestMeta *region = gst_buffer_add_video_region_of_interest_meta (buffer, "car",
      (guint) box->x, (guint) box->y, (guint) box->w, (guint) box->h);

  gst_video_region_of_interest_meta_add_param (region,
      gst_structure_new ("object_id", "id", G_TYPE_INT, number, NULL));
}

/* Our boxes get the numbers of tracked regions that they lie on, each number once. */
static void
test_tracked_regions (void)
{
  static const struct {
    GstVideoRectangle tracked;
    int number;
    float x0, y0, x1, y1;
    int found;
  } cases[] = {
    { { 50, 10, 20, 20 }, 7, 0.5f, 0.2f, 0.7f, 0.6f, 7 },   /* the same box */
    { { 50, 10, 20, 20 }, 7, 0.55f, 0.2f, 0.75f, 0.6f, 7 }, /* three fifths in common */
    { { 50, 10, 20, 20 }, 7, 0.6f, 0.2f, 0.8f, 0.6f, -1 },  /* a third */
    { { 50, 10, 20, 20 }, 7, 0, 0, 0.2f, 0.2f, -1 },        /* nothing */
    { { 0, 0, 100, 50 }, 0, 0, 0, 1, 1, 0 },
    { { 50, 10, 20, 20 }, -1, 0.5f, 0.2f, 0.7f, 0.6f, -1 }, /* not tracked yet */
    { { G_MAXINT, G_MAXINT, G_MAXINT, G_MAXINT }, 7, 0, 0, 1, 1, -1 },
    { { 0, 0, 0, 0 }, 7, 0, 0, 0.01f, 0.01f, -1 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Dsvl2Object o = { (char *) "a car", cases[i].x0, cases[i].y0, cases[i].x1, cases[i].y1,
      0.5f };
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();

    add_tracked_region (buffer, &cases[i].tracked, cases[i].number);
    attach (buffer, &o, 1);
    g_test_message ("case %d: %d", (int) i, number_of (buffer, 1));
    g_assert_cmpint (number_of (buffer, 1), ==, cases[i].found);
  }
}

static void
test_each_number_once (void)
{
  static const Dsvl2Object objects[] = { { (char *) "a car", 0.1f, 0.1f, 0.3f, 0.9f, 0.5f },
    { (char *) "a red car", 0.1f, 0.1f, 0.3f, 0.9f, 0.5f },
    { (char *) "a bus", 0.62f, 0.1f, 0.92f, 0.9f, 0.5f } };
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  add_tracked_region (buffer, &(GstVideoRectangle){ 60, 5, 35, 40 }, 3);
  add_tracked_region (buffer, &(GstVideoRectangle){ 10, 5, 20, 40 }, 4);
  add_tracked_region (buffer, &(GstVideoRectangle){ 62, 5, 30, 40 }, 5);
  attach (buffer, objects, 3);
  g_assert_cmpint (number_of (buffer, 3), ==, 4);
  g_assert_cmpint (number_of (buffer, 4), ==, -1);
  g_assert_cmpint (number_of (buffer, 5), ==, 5); /* which it fits better than 3 */
}

#ifdef HAVE_ANALYTICS
/* A line for each detection: its place, what it relates to. */
static char *
describe (GstBuffer *buffer)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);
  GString *lines = g_string_new (NULL);
  GstAnalyticsODMtd found;
  gpointer state = NULL;

  while (meta != NULL && gst_analytics_relation_meta_iterate (meta, &state,
                             gst_analytics_od_mtd_get_mtd_type (), &found)) {
    GstAnalyticsMtd related;
    gpointer next = NULL;
    gint x, y, w, h;
    gfloat confidence;

    g_assert_true (gst_analytics_od_mtd_get_location (&found, &x, &y, &w, &h, &confidence));
    g_string_append_printf (lines,
        "%s %d+%d %d+%d %g:", g_quark_to_string (gst_analytics_od_mtd_get_obj_type (&found)), x, w, y,
        h, (double) confidence);
    while (gst_analytics_relation_meta_get_direct_related (meta, found.id,
        GST_ANALYTICS_REL_TYPE_RELATE_TO, GST_ANALYTICS_MTD_TYPE_ANY, &next, &related)) {
      const GstAnalyticsMtdType type = gst_analytics_mtd_get_mtd_type (&related);

      if (type == gst_analytics_cls_mtd_get_mtd_type ()) {
        g_assert_cmpuint (gst_analytics_cls_mtd_get_length (&related), ==, 1);
        g_string_append_printf (lines, " class %s %g",
            g_quark_to_string (gst_analytics_cls_mtd_get_quark (&related, 0)),
            (double) gst_analytics_cls_mtd_get_level (&related, 0));
      } else if (type == gst_analytics_tracking_mtd_get_mtd_type ()) {
        guint64 number;
        GstClockTime first, last;
        gboolean lost;

        g_assert_true (gst_analytics_tracking_mtd_get_info (&related, &number, &first, &last, &lost));
        g_string_append_printf (lines, " track %" G_GUINT64_FORMAT, number);
      }
    }
    g_string_append_c (lines, '\n');
  }
  g_test_message ("%s", lines->str);
  return g_string_free (lines, FALSE);
}

static const Dsvl2Object two[] = { { (char *) "a cat", 0.5f, 0, 1, 1, 0.75f },
  { (char *) "<dog>", 0, 0, 0.5f, 0.5f, 0.25f } };

static void
test_relations (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autofree char *lines = NULL;
  GstAnalyticsODMtd found;

  attach (buffer, two, 2);
  lines = describe (buffer);
  g_assert_cmpstr (lines, ==,
      "a cat 50+50 0+50 0.75: class a cat 0.75\n"
      "dog 0+50 0+25 0.25: class dog 0.25\n");
  /* A reader of both kinds of metadata knows by the id that they are about the same. */
  for (guint i = 0; i < 2; i++) {
    g_assert_true (gst_analytics_relation_meta_get_od_mtd (
        gst_buffer_get_analytics_relation_meta (buffer), (guint) test_region (buffer, i)->id, &found));
    g_assert_cmpuint (gst_analytics_od_mtd_get_obj_type (&found), ==,
        test_region (buffer, i)->roi_type);
  }
}

/* What others put on the buffer stays, there is one relation meta, and each of our objects is there once. */
static void
test_beside_others (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (buffer);
  GstAnalyticsODMtd detections[2];
  GstAnalyticsTrackingMtd tracks[2];
  g_autofree char *lines = NULL;

  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("thing"), 52, 0, 48, 50, 0.5f,
      &detections[0]);
  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("gone"), 0, 0, 50, 25, 0.5f,
      &detections[1]);
  for (int i = 0; i < 2; i++) {
    gst_analytics_relation_meta_add_tracking_mtd (meta, (guint64) i + 40, 0, &tracks[i]);
    gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, detections[i].id,
        tracks[i].id);
  }
  gst_analytics_tracking_mtd_set_lost (&tracks[1]);
  attach (buffer, two, 2);
  lines = describe (buffer);
  g_assert_cmpstr (lines, ==,
      "thing 52+48 0+50 0.5: track 40\n"
      "gone 0+50 0+25 0.5: track 41\n"
      "a cat 50+50 0+50 0.75: track 40 class a cat 0.75\n"
      "dog 0+50 0+25 0.25: class dog 0.25\n");
  g_assert_cmpuint (gst_buffer_get_n_meta (buffer, GST_ANALYTICS_RELATION_META_API_TYPE), ==, 1);
  g_assert_cmpint (number_of (buffer, 0), ==, 40);
  g_assert_cmpint (number_of (buffer, 1), ==, -1);
}

/* A tracker's number that is too long for a region's parameter is told to GstAnalytics alone. */
static void
test_long_number (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (buffer);
  GstAnalyticsODMtd detection;
  GstAnalyticsTrackingMtd track;
  g_autofree char *lines = NULL;

  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("thing"), 52, 0, 48, 50, 0.5f,
      &detection);
  gst_analytics_relation_meta_add_tracking_mtd (meta, ((guint64) 1 << 32) + 5, 0, &track);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, detection.id,
      track.id);
  attach (buffer, two, 1);
  lines = describe (buffer);
  g_assert_cmpstr (lines, ==,
      "thing 52+48 0+50 0.5: track 4294967301\n"
      "a cat 50+50 0+50 0.75: track 4294967301 class a cat 0.75\n");
  g_assert_cmpint (number_of (buffer, 0), ==, -1);
}

/* A track that is known by a region alone is told to GstAnalytics too. */
static void
test_track_of_a_region (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autofree char *lines = NULL;

  add_tracked_region (buffer, &(GstVideoRectangle){ 50, 0, 50, 50 }, 9);
  attach (buffer, two, 1);
  lines = describe (buffer);
  g_assert_cmpstr (lines, ==, "a cat 50+50 0+50 0.75: class a cat 0.75 track 9\n");
}

static void
test_many_objects (void)
{
  Dsvl2Object *objects = g_new0 (Dsvl2Object, 1000);
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  for (int i = 0; i < 1000; i++)
    objects[i].label = (char *) "thing";
  attach (buffer, objects, 1000);
  g_assert_cmpuint (gst_analytics_relation_get_length (gst_buffer_get_analytics_relation_meta (buffer)),
      ==, 2 * GST_DSVL2_MAX_OBJECTS);
  g_free (objects);
}

/* Scaled with the frame, relations kept. */
static void
test_through_scaler (void)
{
  const GstVideoInfo info = test_info ("I420", 100, 50), large = test_info ("I420", 200, 200);
  GstHarness *h = gst_harness_new_parse ("videoscale add-borders=false");
  GstBuffer *buffer = test_frame_new (&info, 0, 1);
  g_autofree char *lines = NULL;

  gst_harness_set_caps (h, gst_video_info_to_caps (&info), gst_video_info_to_caps (&large));
  add_tracked_region (buffer, &(GstVideoRectangle){ 50, 0, 50, 50 }, 9);
  attach (buffer, two, 2);
  buffer = gst_harness_push_and_pull (h, buffer);
  lines = describe (buffer);
  g_assert_cmpstr (lines, ==,
      "a cat 100+100 0+200 0.75: class a cat 0.75 track 9\n"
      "dog 0+100 0+100 0.25: class dog 0.25\n");
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}

/* Bytes of black frames that upstream's overlay changed, with its labels or without. */
static guint
drawn_by_overlay (const char *label, gboolean labels)
{
  g_autofree char *launch =
      g_strdup_printf ("objectdetectionoverlay draw-labels=%s", labels ? "true" : "false");
  const GstVideoInfo info = test_info ("BGRA", 320, 200);
  const Dsvl2Object o = { (char *) label, 0.25f, 0.25f, 0.75f, 0.75f, 0.75f };
  GstHarness *h = gst_harness_new_parse (launch);
  GstBuffer *buffer = test_frame_new (&info, 0, 1);
  GstMapInfo map;
  guint drawn = 0;

  test_set_caps (h, &info);
  gst_buffer_memset (buffer, 0, 0, gst_buffer_get_size (buffer));
  attach (buffer, &o, 1);
  buffer = gst_harness_push_and_pull (h, buffer);
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  for (gsize i = 0; i < map.size; i++)
    drawn += map.data[i] != 0;
  gst_buffer_unmap (buffer, &map);
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
  return drawn;
}

/* Upstream's overlay shows our objects; a label that looks like markup is text to it as well. */
static void
test_upstream_overlay (void)
{
  static const char *const labels[] = { "a cat", "<b>cat & <i>mouse", "<span size=\"900000\">x", "&#0;",
    "日本語" };

  for (gsize i = 0; i < G_N_ELEMENTS (labels); i++) {
    const guint box = drawn_by_overlay (labels[i], FALSE), all = drawn_by_overlay (labels[i], TRUE);

    g_test_message ("%s: %u bytes of the box, %u with the label", labels[i], box, all);
    g_assert_cmpuint (box, >, 100);
    g_assert_cmpuint (all, >, box + 50);
  }
}
#endif

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/analytics/tracked-regions", test_tracked_regions);
  g_test_add_func ("/analytics/each-number-once", test_each_number_once);
#ifdef HAVE_ANALYTICS
  g_test_add_func ("/analytics/relations", test_relations);
  g_test_add_func ("/analytics/beside-others", test_beside_others);
  g_test_add_func ("/analytics/long-number", test_long_number);
  g_test_add_func ("/analytics/track-of-a-region", test_track_of_a_region);
  g_test_add_func ("/analytics/many-objects", test_many_objects);
  g_test_add_func ("/analytics/scaler", test_through_scaler);
  g_test_add_func ("/analytics/upstream-overlay", test_upstream_overlay);
#endif
  return test_run ();
}
