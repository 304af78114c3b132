/* dsvl2: answers as metadata: labels, structures, what survives on the way
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2meta.h"
#include "harness.h"
#include <math.h>
#include <string.h>

static void
test_clean_text (void)
{
  static const struct {
    const char *text;
    glong most;
    const char *clean;
  } cases[] = {
    { "", 9, "" }, { "a cat", 9, "a cat" }, { "  a \t\r\n cat  ", 9, "a cat" },
    { "a\x01\x7f\x1b[31mcat", 20, "a [31mcat" },
    { "line\xe2\x80\xa8separator\xe2\x80\xa9paragraph", 40, "line separator paragraph" },
    { "bad \xff\xfe utf-8 \xc3", 20, "bad \uFFFD\uFFFD utf-8 \uFFFD" }, { "one two", 7, "one two" },
    { "one two", 6, "one t…" }, { "one two", 4, "one…" }, { "日本語の字幕です", 5, "日本語の…" },
    { "<b>&amp;", 20, "<b>&amp;" },
    { "\xe2\x80\xae"
      "gnp.exe",
        20, "gnp.exe" },
    { "a\xe2\x80\xad b\xe2\x81\xa6 c\xe2\x81\xa9\xef\xbb\xbf d", 20, "a b c d" },
    { "می\xe2\x80\x8cخواهم", 20, "می\xe2\x80\x8cخواهم" }, /* a joiner that Persian is written with */
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *clean = gst_dsvl2_clean_text (cases[i].text, cases[i].most);

    g_test_message ("%s", clean);
    g_assert_cmpstr (clean, ==, cases[i].clean);
  }
}

static void
test_label_quarks (void)
{
  static const struct {
    const char *label, *type;
  } cases[] = { { "a cat", "a cat" }, { "", "object" }, { " \n\t", "object" }, { "<>&", "object" },
    { "<span foreground='red'>x</span>", "span foreground='red' x /span" } };
  g_autofree char *endless = g_strnfill (10000, 'x');
  g_autofree char *tens = NULL;
  guint others = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpstr (g_quark_to_string (gst_dsvl2_label_quark (cases[i].label)), ==, cases[i].type);
  g_assert_cmpint (g_utf8_strlen (g_quark_to_string (gst_dsvl2_label_quark (endless)), -1), ==,
      GST_DSVL2_MAX_LABEL);

  /* A model that never says the same twice does not fill the table of quarks. */
  for (int i = 0; i < 3 * GST_DSVL2_MAX_QUARKS; i++) {
    g_autofree char *label = g_strdup_printf ("thing number %d", i);

    others += strcmp (g_quark_to_string (gst_dsvl2_label_quark (label)), label) == 0;
  }
  g_test_message ("%u of %d labels became quarks", others, 3 * GST_DSVL2_MAX_QUARKS);
  g_assert_cmpuint (others, <=, GST_DSVL2_MAX_QUARKS);
  g_assert_cmpuint (others, >, GST_DSVL2_MAX_QUARKS / 2);
  /* What is known stays known. */
  g_assert_cmpstr (g_quark_to_string (gst_dsvl2_label_quark ("a cat")), ==, "a cat");
  g_assert_cmpstr (g_quark_to_string (gst_dsvl2_label_quark ("never seen")), ==, "object");
}

static GstStructure *
structure_of_region (const Dsvl2Object *objects, int n, GstVideoRectangle region)
{
  return gst_dsvl2_result_to_structure (&(Dsvl2Result){ .text = (char *) "x\xff",
                                            .objects = objects,
                                            .n_objects = n },
      &(GstDsvl2Seen){
          .prompt = "?", .pts = GST_CLOCK_TIME_NONE, .width = 100, .height = 50, .region = region });
}

static GstStructure *
structure_of (const Dsvl2Object *objects, int n)
{
  return structure_of_region (objects, n, (GstVideoRectangle){ 0, 0, 100, 50 });
}

/* A box in a region is where it is in the frame. */
static void
test_boxes_of_regions (void)
{
  static const struct {
    GstVideoRectangle region;
    float x0, y0, x1, y1; /* of the box in the region */
    double in_frame[4];
  } cases[] = {
    { { 0, 0, 100, 50 }, 0.25f, 0.5f, 0.75f, 1, { 0.25, 0.5, 0.75, 1 } },
    { { 20, 10, 40, 20 }, 0, 0, 1, 1, { 0.2, 0.2, 0.6, 0.6 } },
    { { 20, 10, 40, 20 }, 0.25f, 0.5f, 0.75f, 1, { 0.3, 0.4, 0.5, 0.6 } },
    { { 60, 30, 40, 20 }, 0.5f, 0.5f, 9, NAN, { 0.8, 0.8, 1, 0.6 } },
    { { 99, 49, 1, 1 }, 0, 0, 1, 1, { 0.99, 0.98, 1, 1 } },
  };
  static const char *const fields[] = { "x_min", "y_min", "x_max", "y_max" };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Dsvl2Object o = { (char *) "x", cases[i].x0, cases[i].y0, cases[i].x1, cases[i].y1, 1 };
    g_autoptr (GstStructure) s = structure_of_region (&o, 1, cases[i].region);
    const GstStructure *d =
        gst_value_get_structure (gst_value_array_get_value (gst_structure_get_value (s, "objects"), 0));
    int x, w;

    g_assert_true (gst_structure_get (s, "region-x", G_TYPE_INT, &x, "region-width", G_TYPE_INT, &w,
        NULL));
    g_assert_cmpint (x, ==, cases[i].region.x);
    g_assert_cmpint (w, ==, cases[i].region.w);
    for (gsize k = 0; k < G_N_ELEMENTS (fields); k++) {
      double value;

      g_assert_true (gst_structure_get_double (d, fields[k], &value));
      g_test_message ("region %zu: %s %g", i, fields[k], value);
      g_assert_cmpfloat_with_epsilon (value, cases[i].in_frame[k], 1e-7);
    }
  }
}

/* Whatever numbers a box has, its region is in the frame and not empty. */
static void
test_boxes (void)
{
  static const struct {
    float x0, y0, x1, y1;
    guint x, y, w, h;
  } cases[] = {
    { 0, 0, 1, 1, 0, 0, 100, 50 },
    { 0.1f, 0.2f, 0.3f, 0.4f, 10, 10, 20, 10 },
    { 1, 1, 1, 1, 99, 49, 1, 1 },
    { 0.5f, 0.5f, 0.5f, 0.5f, 50, 25, 1, 1 },
    { -3, -3, 9, 9, 0, 0, 100, 50 },
    { NAN, NAN, NAN, NAN, 0, 0, 1, 1 },
    { 0.9f, 0.9f, 0.1f, 0.1f, 90, 45, 1, 1 },
    { -INFINITY, 0, INFINITY, 1, 0, 0, 100, 50 },
  };
  const GstVideoInfo info = test_info ("RGB", 100, 50);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Dsvl2Object o = { (char *) "thing", cases[i].x0, cases[i].y0, cases[i].x1, cases[i].y1, NAN };
    GstStructure *s = structure_of (&o, 1);
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    const GstVideoRegionOfInterestMeta *r;

    gst_dsvl2_meta_attach (buffer, &info, s, TRUE);
    r = test_region (buffer, 0);
    g_test_message ("(%g %g %g %g): %u+%u %u+%u", (double) o.x0, (double) o.y0, (double) o.x1,
        (double) o.y1, r->x, r->w, r->y, r->h);
    g_assert_cmpuint (r->x, ==, cases[i].x);
    g_assert_cmpuint (r->y, ==, cases[i].y);
    g_assert_cmpuint (r->w, ==, cases[i].w);
    g_assert_cmpuint (r->h, ==, cases[i].h);
    gst_structure_free (s);
  }
}

static void
test_many_objects (void)
{
  const GstVideoInfo info = test_info ("RGB", 100, 50);
  Dsvl2Object *objects = g_new0 (Dsvl2Object, 1000);
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstStructure *s;

  for (int i = 0; i < 1000; i++)
    objects[i].label = (char *) "thing";
  s = structure_of (objects, 1000);
  gst_dsvl2_meta_attach (buffer, &info, s, TRUE);
  g_assert_nonnull (test_region (buffer, GST_DSVL2_MAX_OBJECTS - 1));
  g_assert_null (test_region (buffer, GST_DSVL2_MAX_OBJECTS));
  gst_structure_free (s);
  g_free (objects);
}

/* The structure survives being written down and read, as in logs and other languages. */
static void
test_serialise (void)
{
  const Dsvl2Object o = { (char *) "a \"car\"; {b}", 0, 0, 1, 1, 0.5f };
  GstStructure *s = structure_of (&o, 1), *again;
  g_autofree char *text = gst_structure_to_string (s);

  g_test_message ("%s", text);
  again = gst_structure_from_string (text, NULL);
  g_assert_nonnull (again);
  g_assert_cmpstr (gst_structure_get_string (again, "text"), ==, "x\uFFFD");
  g_assert_cmpuint (gst_value_array_get_size (gst_structure_get_value (again, "objects")), ==, 1);
  gst_structure_free (again);
  gst_structure_free (s);
}

/* Scaling and conversion keep the answer, and regions in the new size. */
static void
test_through_converters (void)
{
  const GstVideoInfo info = test_info ("I420", 100, 50), small = test_info ("RGB", 50, 25);
  const Dsvl2Object o = { (char *) "thing", 0.5f, 0.5f, 1, 1, 0.5f };
  GstHarness *h = gst_harness_new_parse ("videoconvert ! videoscale");
  GstStructure *s = structure_of (&o, 1);
  GstBuffer *buffer = test_frame_new (&info, 0, 1);

  gst_harness_set_caps (h, gst_video_info_to_caps (&info), gst_video_info_to_caps (&small));
  gst_dsvl2_meta_attach (buffer, &info, s, TRUE);
  buffer = gst_harness_push_and_pull (h, buffer);
  g_assert_nonnull (test_result (buffer));
  g_assert_cmpstr (gst_structure_get_string (test_result (buffer), "prompt"), ==, "?");
  g_test_message ("100×50 → 50×25: x = %u, w = %u", test_region (buffer, 0)->x,
      test_region (buffer, 0)->w);
  g_assert_cmpuint (test_region (buffer, 0)->x, ==, 25);
  g_assert_cmpuint (test_region (buffer, 0)->w, ==, 25);
  gst_buffer_unref (buffer);
  gst_structure_free (s);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/meta/clean-text", test_clean_text);
  g_test_add_func ("/meta/boxes", test_boxes);
  g_test_add_func ("/meta/boxes-of-regions", test_boxes_of_regions);
  g_test_add_func ("/meta/many-objects", test_many_objects);
  g_test_add_func ("/meta/serialise", test_serialise);
  g_test_add_func ("/meta/converters", test_through_converters);
  g_test_add_func ("/meta/label-quarks", test_label_quarks);
  return g_test_run ();
}
