/* dsvl2: what dsvl2overlay reads from buffers of anybody
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2meta.h"
#include "harness.h"
#include "overlay.h"
#include "scene.h"
#include <string.h>
#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

enum { WIDTH = 640, HEIGHT = 480 };

/* A scene as text: "x y w h label confidence% #id opacity" for each box, "prompt|text opacity" for each caption. */
static char *
tell (const Scene *s)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < s->boxes->len; i++) {
    const SceneBox *b = &g_array_index (s->boxes, SceneBox, i);

    g_string_append_printf (text, "%d %d %d %d %s", b->x, b->y, b->w, b->h, b->label);
    if (b->confidence >= 0)
      g_string_append_printf (text, " %.0f%%", 100 * b->confidence);
    if (b->tracked)
      g_string_append_printf (text, " #%" G_GUINT64_FORMAT, b->id);
    if (b->opacity < SCENE_OPAQUE)
      g_string_append_printf (text, " opacity %d", b->opacity);
    g_string_append_c (text, '\n');
  }
  for (guint i = 0; i < s->captions->len; i++) {
    const SceneCaption *c = &g_array_index (s->captions, SceneCaption, i);

    g_string_append_printf (text, "%s|%s", c->prompt, c->text);
    if (c->opacity < SCENE_OPAQUE)
      g_string_append_printf (text, " opacity %d", c->opacity);
    g_string_append_c (text, '\n');
  }
  return g_string_free (text, FALSE);
}

static char *
read_scene (GstBuffer *buffer, const OverlaySettings *settings)
{
  g_autoptr (Labels) shown = labels_parse (settings->labels, FALSE, NULL);
  Scene scene;
  char *told;

  scene_init (&scene);
  scene_read (&scene, buffer, WIDTH, HEIGHT, settings, shown);
  told = tell (&scene);
  scene_clear (&scene);
  return told;
}

static void
check (const char *name, GstBuffer *buffer, const OverlaySettings *settings, const char *expected)
{
  g_autofree char *told = read_scene (buffer, settings);

  g_test_message ("%s:\n%s", name, told);
  g_assert_cmpstr (told, ==, expected);
}

/* Where boxes end up, and what is written on them. */
static void
test_regions (void)
{
  static const struct {
    const char *name;
    guint x, y, w, h;
    const char *type, *params[3], *expected;
  } cases[] = {
    { "a type alone", 10, 20, 30, 40, "car", { NULL }, "10 20 30 40 car\n" },
    { "DL Streamer", 10, 20, 30, 40, "person",
        { "detection,x_min=0.1,x_max=0.2,y_min=0.1,y_max=0.2,confidence=0.5,label_id=1",
            "object_id,id=7" },
        "10 20 30 40 person 50% #7\n" },
    { "a label in the detection", 10, 20, 30, 40, "object",
        { "detection,label=(string)\"the red car\"" }, "10 20 30 40 the red car\n" },
    { "a classifier", 10, 20, 30, 40, "car",
        { "detection,confidence=1.0", "classification,label=(string)red,confidence=0.9",
            "kind,label=(string)car" },
        "10 20 30 40 car · red 100%\n" },
    { "over the edge", 600, 470, 100, 100, "x", { NULL }, "600 470 40 10 x\n" },
    { "outside", 640, 0, 5, 5, "x", { NULL }, "" },
    { "empty", 5, 5, 0, 5, "x", { NULL }, "" },
    { "the largest numbers", 5, 5, G_MAXUINT, G_MAXUINT, "x", { NULL }, "5 5 635 475 x\n" },
    { "no probability", 1, 2, 3, 4, "x", { "detection,confidence=99.0" }, "1 2 3 4 x\n" },
    { "not a number", 1, 2, 3, 4, "x", { "detection,confidence=nan" }, "1 2 3 4 x\n" },
    { "a word for a number", 1, 2, 3, 4, "x", { "detection,confidence=(string)high,label=5" },
        "1 2 3 4 x\n" },
    { "no label", 1, 2, 3, 4, "", { NULL }, "1 2 3 4 \n" },
  };
  const OverlaySettings settings = overlay_default_settings ();

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    GstVideoRegionOfInterestMeta *meta = gst_buffer_add_video_region_of_interest_meta (buffer,
        cases[i].type, cases[i].x, cases[i].y, cases[i].w, cases[i].h);

    for (int k = 0; k < 3 && cases[i].params[k] != NULL; k++) {
      GstStructure *param = gst_structure_new_from_string (cases[i].params[k]);

      g_assert_nonnull (param);
      gst_video_region_of_interest_meta_add_param (meta, param);
    }
    check (cases[i].name, buffer, &settings, cases[i].expected);
  }
}

/* What the properties leave out. */
static void
test_filters (void)
{
  static const struct {
    const char *labels;
    double min_confidence;
    const char *expected;
  } cases[] = {
    { NULL, 0, "0 0 9 9 Car 90%\n50 0 9 9 traffic light 20%\n90 0 9 9 überholer\n" },
    { "car", 0, "0 0 9 9 Car 90%\n" },
    { " CAR , Über*", 0, "0 0 9 9 Car 90%\n90 0 9 9 überholer\n" },
    { "traffic*", 0, "50 0 9 9 traffic light 20%\n" },
    { "?ar", 0, "0 0 9 9 Car 90%\n" },
    { "*", 0, "0 0 9 9 Car 90%\n50 0 9 9 traffic light 20%\n90 0 9 9 überholer\n" },
    { "ca", 0, "" },
    { " , ", 0, "0 0 9 9 Car 90%\n50 0 9 9 traffic light 20%\n90 0 9 9 überholer\n" },
    { NULL, 0.5, "0 0 9 9 Car 90%\n90 0 9 9 überholer\n" },
  };
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  overlay_add_region (buffer, "Car", 0, 0, 9, 9, 0.9);
  overlay_add_region (buffer, "traffic light", 50, 0, 9, 9, 0.2);
  overlay_add_region (buffer, "überholer", 90, 0, 9, 9, -1);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    OverlaySettings settings = overlay_default_settings ();

    settings.labels = (char *) cases[i].labels;
    settings.min_confidence = cases[i].min_confidence;
    check (cases[i].labels != NULL ? cases[i].labels : "unset", buffer, &settings, cases[i].expected);
  }
}

static void
test_colours (void)
{
  static const struct {
    const char *text, *label;
    gboolean well, match;
    guint32 colour;
  } cases[] = {
    { "car=#ff0000", "car", TRUE, TRUE, 0xff0000 },
    { "car=#f80", "Car", TRUE, TRUE, 0xff8800 },
    { "car = gold, * = white", "car", TRUE, TRUE, 0xffd700 },
    { "car=gold,*=white", "bus", TRUE, TRUE, 0xffffff },
    { "car=gold", "bus", TRUE, FALSE, 0 },
    { "a=b=red", "a=b", TRUE, TRUE, 0xff0000 },
    { "", "car", TRUE, FALSE, 0 },
    { NULL, "car", TRUE, FALSE, 0 },
    { "car=rde", "car", FALSE, FALSE, 0 },
    { "car", "car", FALSE, FALSE, 0 },
    { "\xff=red", "\xef\xbf\xbd", TRUE, TRUE, 0xff0000 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (Labels) labels = labels_parse (cases[i].text, TRUE, &error);
    guint32 colour = 0;
    const gboolean match = labels != NULL && labels_match (labels, cases[i].label, &colour);
    g_autofree char *text = g_strescape (cases[i].text ? cases[i].text : "(none)", NULL);

    g_test_message ("%s: %s #%06x %s", text, cases[i].label, colour, error ? error->message : "");
    g_assert_true ((error == NULL) == cases[i].well);
    g_assert_true (match == cases[i].match);
    g_assert_cmphex (colour, ==, cases[i].colour);
  }
}

/* A label keeps its colour; two that are seen together have two, as long as there are enough. */
static void
test_palette (void)
{
  static const char *const labels[] = { "car", "bus", "person", "dog", "cat", "bicycle", "tree",
    "house", "bird", "truck", "boat", "horse" };
  guint32 first[G_N_ELEMENTS (labels)];

  for (int run = 0; run < 2; run++) {
    Palette *palette = palette_new ();

    for (gsize i = 0; i < G_N_ELEMENTS (labels); i++) {
      const guint32 colour = palette_colour (palette, labels[i]);

      g_test_message ("%s: #%06x", labels[i], colour);
      for (gsize k = 0; k < i; k++)
        g_assert_cmphex (colour, !=, first[k]);
      g_assert_true (run == 0 || colour == first[i]);
      first[i] = colour;
    }
    for (int i = 0; i < 1000; i++) {
      g_autofree char *another = g_strdup_printf ("thing %d", i);

      g_assert_cmphex (palette_colour (palette, another), ==, palette_colour (palette, another));
    }
    g_assert_cmphex (palette_colour (palette, "car"), ==, first[0]);
    palette_free (palette);
  }
}

/* An answer fades with the distance between its frame and this one, and so do its boxes. */
static void
test_fading (void)
{
  static const struct {
    GstClockTime now, seen;
    const char *expected;
  } cases[] = {
    { 5 * GST_SECOND, 5 * GST_SECOND, "64 48 64 48 car 50%\n0 0 20 20 dog 50%\n|A car.\n" },
    { 7 * GST_SECOND, 5 * GST_SECOND, "64 48 64 48 car 50%\n0 0 20 20 dog 50%\n|A car.\n" },
    { 11 * GST_SECOND, 5 * GST_SECOND,
        "64 48 64 48 car 50% opacity 12\n0 0 20 20 dog 50%\n|A car. opacity 12\n" },
    { 1 * GST_SECOND, 7 * GST_SECOND,
        "64 48 64 48 car 50% opacity 12\n0 0 20 20 dog 50%\n|A car. opacity 12\n" },
    { 99 * GST_SECOND, 5 * GST_SECOND,
        "64 48 64 48 car 50% opacity 8\n0 0 20 20 dog 50%\n|A car. opacity 8\n" },
    { GST_CLOCK_TIME_NONE, 5 * GST_SECOND, "64 48 64 48 car 50%\n0 0 20 20 dog 50%\n|A car.\n" },
    { 99 * GST_SECOND, GST_CLOCK_TIME_NONE, "64 48 64 48 car 50%\n0 0 20 20 dog 50%\n|A car.\n" },
  };
  OverlaySettings settings = overlay_default_settings ();

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GstBuffer) buffer = overlay_answered_buffer ("A car.", cases[i].seen);

    overlay_add_region (buffer, "dog", 0, 0, 20, 20, 0.5);
    GST_BUFFER_PTS (buffer) = cases[i].now;
    check ("fading", buffer, &settings, cases[i].expected);
  }
  settings.fade_after = GST_CLOCK_TIME_NONE;
  {
    g_autoptr (GstBuffer) buffer = overlay_answered_buffer ("A car.", 0);

    GST_BUFFER_PTS (buffer) = 999 * GST_SECOND;
    check ("never", buffer, &settings, "64 48 64 48 car 50%\n|A car.\n");
    settings.fade_after = GST_SECOND;
    settings.fade_duration = 0;
    settings.fade_opacity = 0;
    check ("gone", buffer, &settings, "64 48 64 48 car 50% opacity 0\n");
  }
}

static void
test_captions (void)
{
  OverlaySettings settings = overlay_default_settings ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autoptr (GstBuffer) label = overlay_answered_buffer ("car", GST_CLOCK_TIME_NONE);
  g_autofree char *many = NULL;

  overlay_add_caption (buffer, "Who is there?", "Nobody.", GST_CLOCK_TIME_NONE);
  overlay_add_caption (buffer, "And\nnow?", " \n ", GST_CLOCK_TIME_NONE);
  overlay_add_caption (buffer, "And now?", "Some\tbody\r\n", GST_CLOCK_TIME_NONE);
  check ("two", buffer, &settings, "Who is there?|Nobody.\nAnd now?|Some body\n");
  check ("only a label", label, &settings, "64 48 64 48 car 50%\n");
  settings.show_caption = FALSE;
  check ("none", buffer, &settings, "");
  settings.show_caption = TRUE;
  for (int i = 0; i < 100; i++)
    overlay_add_caption (buffer, "", "more", GST_CLOCK_TIME_NONE);
  many = read_scene (buffer, &settings);
  g_assert_cmpuint (strlen (many), <, 200);
}

static void
test_long_texts (void)
{
  OverlaySettings settings = overlay_default_settings ();
  g_autofree char *endless = g_strnfill (100000, 'W'), *told = NULL;
  g_autofree char *label = g_strnfill (SCENE_MAX_LABEL - 1, 'W');
  g_autofree char *prompt = g_strnfill (SCENE_MAX_PROMPT - 1, 'W');
  g_autofree char *caption = g_strnfill (SCENE_MAX_CAPTION - 1, 'W');
  g_autofree char *expected =
      g_strdup_printf ("10 10 100 80 %s… 70%%\n%s…|%s…\n", label, prompt, caption);
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  settings.show_prompt = TRUE;
  overlay_add_region (buffer, endless, 10, 10, 100, 80, 0.7);
  overlay_add_caption (buffer, endless, endless, GST_CLOCK_TIME_NONE);
  told = read_scene (buffer, &settings);
  g_test_message ("100000 characters each: %ld are shown", g_utf8_strlen (told, -1));
  g_assert_cmpstr (told, ==, expected);
}

/* The same object in two metas, or twice in one. */
static void
test_once (void)
{
  const OverlaySettings settings = overlay_default_settings ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  overlay_add_region (buffer, "car", 10, 10, 100, 80, -1);
  overlay_add_region (buffer, "car", 11, 9, 100, 80, 0.7);
  overlay_add_region (buffer, "bus", 10, 10, 100, 80, 0.2);
  overlay_add_region (buffer, "car", 20, 10, 100, 80, 0.6);
  check ("regions", buffer, &settings,
      "10 10 100 80 car 70%\n10 10 100 80 bus 20%\n20 10 100 80 car 60%\n");
}

#ifdef HAVE_ANALYTICS
static void
test_analytics (void)
{
  const OverlaySettings settings = overlay_default_settings ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (buffer);
  const GQuark colours[] = { g_quark_from_static_string ("blue"), g_quark_from_static_string ("red") };
  gfloat levels[] = { 0.2f, 0.8f };
  GstAnalyticsODMtd car, dog, off;
  GstAnalyticsClsMtd cls;
  GstAnalyticsTrackingMtd track;

  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("car"), 10, 10, 100, 80, 0.7f,
      &car);
  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("dog"), 300, 10, 20, 20, 0.5f,
      &dog);
  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("off"), -50, -50, 60, 70, 0.5f,
      &off);
  gst_analytics_relation_meta_add_cls_mtd (meta, 2, levels, (GQuark *) colours, &cls);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, car.id, cls.id);
  gst_analytics_relation_meta_add_one_cls_mtd (meta, 1, g_quark_from_string ("puppy"), &cls);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_CONTAIN, dog.id, cls.id);
  gst_analytics_relation_meta_add_tracking_mtd (meta, 42, 0, &track);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, dog.id, track.id);
  check ("analytics alone", buffer, &settings,
      "10 10 100 80 car · red 70%\n300 10 20 20 dog · puppy 50% #42\n0 0 10 20 off 50%\n");
  overlay_add_region (buffer, "car", 11, 10, 100, 81, 0.6);
  check ("a region of the same object", buffer, &settings,
      "11 10 100 81 car · red 60%\n300 10 20 20 dog · puppy 50% #42\n0 0 10 20 off 50%\n");
}

/* What dsvl2infer puts on a buffer is read as one box for each object, and fades as a whole. */
static void
test_own_analytics (void)
{
  const OverlaySettings settings = overlay_default_settings ();
  Dsvl2Object object = { .label = (char *) "the <red> car",
    .x0 = 0.1f,
    .y0 = 0.1f,
    .x1 = 0.2f,
    .y1 = 0.2f,
    .confidence = 0.5f };
  Dsvl2Result result = {
    .text = (char *) "x", .caption = (char *) "A car.", .objects = &object, .n_objects = 1
  };
  const GstDsvl2Seen seen = {
    .prompt = "p", .pts = 0, .width = WIDTH, .height = HEIGHT, .region = { 0, 0, WIDTH, HEIGHT }
  };
  const GstVideoInfo info = test_info ("RGB", WIDTH, HEIGHT);
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstStructure *structure = gst_dsvl2_result_to_structure (&result, &seen);

  gst_dsvl2_meta_attach (buffer, &info, structure, TRUE);
  GST_BUFFER_PTS (buffer) = 6 * GST_SECOND;
  check ("our own", buffer, &settings,
      "64 48 64 48 the <red> car 50% opacity 12\np|A car. opacity 12\n");
  gst_structure_free (structure);
}
#endif

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  gst_dsvl2_meta_register ();
  g_test_add_func ("/scene/regions", test_regions);
  g_test_add_func ("/scene/filters", test_filters);
  g_test_add_func ("/scene/colours", test_colours);
  g_test_add_func ("/scene/palette", test_palette);
  g_test_add_func ("/scene/fading", test_fading);
  g_test_add_func ("/scene/captions", test_captions);
  g_test_add_func ("/scene/long-texts", test_long_texts);
  g_test_add_func ("/scene/once", test_once);
#ifdef HAVE_ANALYTICS
  g_test_add_func ("/scene/analytics", test_analytics);
  g_test_add_func ("/scene/own-analytics", test_own_analytics);
#endif
  return test_run ();
}
