/* dsvl2: what dsvl2json writes of a buffer's metadata, and what it makes of a stream
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2meta.h"
#include "harness.h"
#include <json-glib/json-glib.h>
#include <string.h>
#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

enum { WIDTH = 200, HEIGHT = 100 };

static GstHarness *
json_new (const char *properties)
{
  g_autofree char *launch = g_strconcat ("dsvl2json ", properties, NULL);
  GstHarness *h = gst_harness_new_parse (launch);

  gst_harness_set_src_caps_str (h, "video/x-raw,format=GRAY8,width=200,height=100,framerate=25/1");
  return h;
}

/* A small buffer: nobody looks at pixels. */
static GstBuffer *
frame_new (gint64 ms)
{
  GstBuffer *frame = gst_buffer_new_allocate (NULL, 1, NULL);

  GST_BUFFER_PTS (frame) = ms < 0 ? GST_CLOCK_TIME_NONE : (GstClockTime) ms * GST_MSECOND;
  GST_BUFFER_DURATION (frame) = 40 * GST_MSECOND;
  return frame;
}

/* An answer of one box about the frame at `seen` ms, on a buffer. */
static void
attach (GstBuffer *frame, const char *prompt, const char *label, gint64 seen, gboolean fresh)
{
  const GstVideoInfo info = test_info ("GRAY8", WIDTH, HEIGHT);
  Dsvl2Object object = { (char *) label, 0.1f, 0.2f, 0.5f, 0.9f, 0.75f };
  const Dsvl2Result result = { .text = (char *) "a <|ref|>cat<|/ref|>",
    .caption = (char *) "a cat",
    .objects = &object,
    .n_objects = label != NULL,
    .finish = DSVL2_FINISH_STOP,
    .n_tokens = 5,
    .n_prompt_tokens = 71,
    .n_cached_tokens = 16,
    .n_tiles = 3,
    .vision_us = 1500 };
  const GstClockTime time = (GstClockTime) seen * GST_MSECOND;
  GstStructure *s = gst_dsvl2_result_to_structure (&result, &(GstDsvl2Seen){ .prompt = prompt,
                                                                .pts = time,
                                                                .stream_time = time,
                                                                .running_time = time,
                                                                .width = WIDTH,
                                                                .height = HEIGHT,
                                                                .region = { 0, 0, WIDTH, HEIGHT } });

  gst_dsvl2_meta_attach (frame, &info, s, fresh);
  gst_structure_free (s);
}

/* The next line that came out: it must be one, and JSON. */
static JsonNode *
pull (GstHarness *h)
{
  GstBuffer *buffer = gst_harness_pull (h);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  JsonNode *node;
  GstMapInfo map;

  g_assert_nonnull (buffer);
  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  text = g_strndup ((const char *) map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  gst_buffer_unref (buffer);
  g_test_message ("%s", text);
  g_assert_true (strchr (text, '\n') == text + strlen (text) - 1);
  node = json_from_string (text, &error);
  g_assert_no_error (error);
  return node;
}

/* What stands at "a.b[0].c" of a line, written as JSON; "" if there is nothing. "#a": how many are in a. */
static char *
at (JsonNode *line, const char *path)
{
  g_autofree char *full = g_strconcat ("$.", *path == '#' ? path + 1 : path, NULL);
  g_autoptr (JsonNode) found = json_path_query (full, line, NULL);
  JsonArray *all = json_node_get_array (found);
  JsonNode *value;

  if (*path == '#')
    return g_strdup_printf ("%u",
        json_array_get_length (json_object_get_array_member (json_node_get_object (line), path + 1)));
  if (json_array_get_length (all) == 0)
    return g_strdup ("");
  value = json_array_get_element (all, 0);
  return json_node_get_value_type (value) == G_TYPE_DOUBLE
             ? g_strdup_printf ("%g", json_node_get_double (value))
             : json_to_string (value, FALSE);
}

typedef struct {
  const char *path, *value;
} Expected;

static void
check_line (GstHarness *h, const Expected *expected, gsize n)
{
  g_autoptr (JsonNode) line = pull (h);

  for (gsize i = 0; i < n; i++) {
    g_autofree char *value = at (line, expected[i].path);

    g_test_message ("%s: %s", expected[i].path, value);
    g_assert_cmpstr (value, ==, expected[i].value);
  }
}

#define CHECK_LINE(h, ...)                                                                             \
  G_STMT_START                                                                                         \
  {                                                                                                    \
    const Expected expected_[] = { __VA_ARGS__ };                                                      \
    check_line (h, expected_, G_N_ELEMENTS (expected_));                                               \
  }                                                                                                    \
  G_STMT_END

/* --- keys --- */

static void
test_answer (void)
{
  GstHarness *h = json_new ("");
  GstBuffer *frame = frame_new (1000);

  attach (frame, "find cats", "a cat", 960, TRUE);
  FLOWS (h, frame);
  CHECK_LINE (h, { "resolution.width", "200" }, { "resolution.height", "100" },
      { "timestamp", "960000000" }, { "objects[0].x", "20" }, { "objects[0].y", "20" },
      { "objects[0].w", "80" }, { "objects[0].h", "70" }, { "objects[0].roi_type", "\"a cat\"" },
      { "objects[0].detection.label", "\"a cat\"" }, { "objects[0].detection.confidence", "0.75" },
      { "objects[0].detection.bounding_box.x_max", "0.5" }, { "caption", "\"a cat\"" },
      { "text", "\"a <|ref|>cat<|/ref|>\"" }, { "prompt", "\"find cats\"" }, { "prompt_index", "0" },
      { "seen_pts", "960000000" }, { "finish", "\"stop\"" }, { "tokens.prompt", "71" },
      { "tokens.answer", "5" },
      /* and what was not asked for */
      { "source", "" }, { "tags", "" }, { "region", "" }, { "objects[0].region_id", "" },
      { "objects[0].id", "" }, { "tokens.cached", "" }, { "tiles", "" }, { "timings_ms", "" });
  gst_harness_teardown (h);
}

static void
test_properties (void)
{
  GstHarness *h = json_new ("source=\"a \\\"b\\\".mp4\" timings=true region-ids=true "
                            "tags=\"tags,camera=door,floor=2,scale=0.1,lit=true,rate=25/1\"");
  GstBuffer *frame = frame_new (0);
  g_autofree char *id = NULL;

  attach (frame, "p", "a cat", 0, TRUE);
  test_region (frame, 0)->id = 17;
  gst_video_region_of_interest_meta_add_param (test_region (frame, 0),
      gst_structure_new ("object_id", "id", G_TYPE_INT, 3, NULL));
  FLOWS (h, frame);
  CHECK_LINE (h, { "source", "\"a \\\"b\\\".mp4\"" }, { "tags.camera", "\"door\"" },
      { "tags.floor", "2" }, { "tags.scale", "0.1" }, { "tags.lit", "true" },
      { "tags.rate", "\"25/1\"" }, { "objects[0].region_id", "17" }, { "objects[0].id", "3" },
      { "tokens.cached", "16" }, { "tiles", "3" }, { "timings_ms.vision", "1.5" },
      { "timings_ms.queue", "0" });
  gst_harness_teardown (h);
}

/* A region that was asked about is named; the frame need not be. */
static void
test_asked_region (void)
{
  GstHarness *h = json_new ("");
  GstBuffer *frame = frame_new (0);
  GstStructure *s = gst_structure_new (GST_DSVL2_RESULT_NAME, "fresh", G_TYPE_BOOLEAN, TRUE, "width",
      G_TYPE_INT, 64, "height", G_TYPE_INT, 48, "region-x", G_TYPE_INT, 4, "region-y", G_TYPE_INT, 0,
      "region-width", G_TYPE_INT, 32, "region-height", G_TYPE_INT, 48, "region-label", G_TYPE_STRING,
      "a door", "prompt-index", G_TYPE_INT, 2, NULL);
  const GstVideoInfo info = test_info ("GRAY8", 64, 48);

  gst_dsvl2_meta_attach (frame, &info, s, TRUE);
  gst_structure_free (s);
  FLOWS (h, frame);
  CHECK_LINE (h, { "resolution.width", "64" }, { "region.x", "4" }, { "region.w", "32" },
      { "region.h", "48" }, { "region.label", "\"a door\"" }, { "prompt_index", "2" });
  gst_harness_teardown (h);
}

static void
test_hostile_text (void)
{
  static const struct {
    const char *text, *written;
  } cases[] = {
    { "\"}\n{\"x\":1}", "\"\\\"}\\n{\\\"x\\\":1}\"" },
    { "\xff\xfe cat", "\"\uFFFD\uFFFD cat\"" },
    { "\x1b[31m\x01", "\"\\u001b[31m\\u0001\"" },
    { "猫 🐈 \u2028 \\", "\"猫 🐈 \u2028 \\\\\"" },
    { "", "\"\"" },
  };
  GstHarness *h = json_new ("regions=true");

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstBuffer *frame = frame_new (0);

    /* As another process may have sent it: fields without order, type or UTF-8. */
    GstStructure *s = gst_structure_new (GST_DSVL2_RESULT_NAME, "fresh", G_TYPE_BOOLEAN, TRUE, NULL);
    const GstVideoInfo info = test_info ("GRAY8", WIDTH, HEIGHT);
    GValue bytes = G_VALUE_INIT;

    g_value_init (&bytes, G_TYPE_STRING);
    g_value_set_string (&bytes, cases[i].text);
    for (gsize k = 0; g_utf8_validate (cases[i].text, -1, NULL) && k < 2; k++)
      gst_structure_set_value (s, k == 0 ? "caption" : "prompt", &bytes);
    g_value_unset (&bytes);
    gst_dsvl2_meta_attach (frame, &info, s, TRUE);
    gst_structure_free (s);
    gst_buffer_add_video_region_of_interest_meta (frame, cases[i].text, 0, 0, 1, 1);
    FLOWS (h, frame);
    if (g_utf8_validate (cases[i].text, -1, NULL))
      CHECK_LINE (h, { "caption", cases[i].written }, { "prompt", cases[i].written });
    else
      json_node_unref (pull (h));
    CHECK_LINE (h, { "objects[0].roi_type", cases[i].written });
  }
  gst_harness_teardown (h);
}

/* Fields of other types than they should be. */
static void
test_odd_fields (void)
{
  GstHarness *h = json_new ("regions=true timings=true");
  GstBuffer *frame = frame_new (-1);
  GstStructure *s;
  GValue array = G_VALUE_INIT, element = G_VALUE_INIT;

  g_assert_true (gst_harness_push_event (h, gst_event_new_gap (0, 1)));
  s = gst_custom_meta_get_structure (gst_buffer_add_custom_meta (frame, GST_DSVL2_RESULT_NAME));
  gst_value_array_init (&array, 1);
  g_value_init (&element, G_TYPE_INT);
  gst_value_array_append_and_take_value (&array, &element);
  gst_structure_take_value (s, "objects", &array);
  gst_structure_set (s, "fresh", G_TYPE_BOOLEAN, TRUE, "text", G_TYPE_INT, 1, "width", G_TYPE_STRING,
      "x", "seen-pts", G_TYPE_STRING, "y", "stream-time", G_TYPE_UINT64, G_MAXUINT64 - 1, "vision-us",
      G_TYPE_DOUBLE, 1.0, NULL);
  FLOWS (h, frame);
  CHECK_LINE (h, { "text", "\"\"" }, { "resolution.width", "200" }, { "timestamp", "null" },
      { "seen_pts", "null" }, { "#objects", "0" }, { "timings_ms.vision", "0" });
  gst_harness_teardown (h);
}

/* --- which lines --- */

/* A frame's results are written in their order, each once; frames without become gaps. */
static void
test_fresh_only (void)
{
  GstHarness *h = json_new ("");
  GstBuffer *frame = frame_new (0);
  GstClockTime pts, duration;
  GstBuffer *line;
  GstEvent *event;
  guint n_gaps = 0;

  attach (frame, "first", "a cat", 0, TRUE);
  attach (frame, "second", "a cat", 0, TRUE);
  FLOWS (h, frame);
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 2);
  CHECK_LINE (h, { "prompt", "\"first\"" }, { "timestamp", "0" });
  CHECK_LINE (h, { "prompt", "\"second\"" }, { "timestamp", "0" });

  for (int i = 1; i <= 3; i++) {
    frame = frame_new (40 * i);
    if (i < 3)
      attach (frame, "first", "a cat", 0, FALSE);
    FLOWS (h, frame);
  }
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 0);
  while ((event = gst_harness_try_pull_event (h)) != NULL) {
    if (GST_EVENT_TYPE (event) == GST_EVENT_GAP) {
      gst_event_parse_gap (event, &pts, &duration);
      g_assert_cmpuint (pts, ==, 40 * ++n_gaps * GST_MSECOND);
      g_assert_cmpuint (duration, ==, 40 * GST_MSECOND);
    }
    gst_event_unref (event);
  }
  g_test_message ("%u gaps", n_gaps);
  g_assert_cmpuint (n_gaps, ==, 3);

  frame = frame_new (160);
  attach (frame, "third", NULL, 120, TRUE); /* of a live source: an earlier frame was seen */
  FLOWS (h, frame);
  line = gst_harness_pull (h);
  g_assert_cmpuint (GST_BUFFER_PTS (line), ==, 160 * GST_MSECOND);
  g_assert_cmpuint (GST_BUFFER_DURATION (line), ==, 40 * GST_MSECOND);
  gst_buffer_unref (line);
  gst_harness_teardown (h);
}

static void
test_regions_of_others (void)
{
  GstHarness *h = json_new ("regions=true");
  GstVideoRegionOfInterestMeta *region;
  GstBuffer *frame = frame_new (80);

  attach (frame, "p", "a cat", 80, TRUE);
  region = gst_buffer_add_video_region_of_interest_meta (frame, "face", 10, 20, 50, 40);
  gst_video_region_of_interest_meta_add_param (region,
      gst_structure_new ("object_id", "id", G_TYPE_INT, 9, NULL));
  region = gst_buffer_add_video_region_of_interest_meta (frame, "car", 1, 2, 3, 4);
  gst_video_region_of_interest_meta_add_param (region,
      gst_structure_new ("detection", "x_min", G_TYPE_DOUBLE, 0.005, "x_max", G_TYPE_DOUBLE, 0.02,
          "y_min", G_TYPE_DOUBLE, 0.02, "y_max", G_TYPE_DOUBLE, 0.06, "confidence", G_TYPE_DOUBLE, 0.5,
          "label_id", G_TYPE_INT, 1, NULL));
  FLOWS (h, frame);
  CHECK_LINE (h, { "prompt", "\"p\"" }, { "objects[0].roi_type", "\"a cat\"" }, { "#objects", "1" });
  CHECK_LINE (h, { "prompt", "" }, { "timestamp", "80000000" }, { "resolution.height", "100" },
      { "objects[0].roi_type", "\"face\"" }, { "objects[0].x", "10" }, { "objects[0].h", "40" },
      { "objects[0].id", "9" }, { "objects[0].detection.bounding_box.x_max", "0.3" },
      { "objects[0].detection.bounding_box.y_min", "0.2" }, { "objects[0].detection.confidence", "" },
      { "objects[0].detection.label", "\"face\"" }, { "objects[1].roi_type", "\"car\"" },
      { "objects[1].detection.bounding_box.x_min", "0.005" },
      { "objects[1].detection.confidence", "0.5" }, { "objects[1].detection.label_id", "1" },
      { "#objects", "2" });

  frame = frame_new (120);
  attach (frame, "p", "a cat", 80, FALSE); /* held: neither fresh nor of others */
  FLOWS (h, frame);
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 0);
  gst_harness_teardown (h);
}

/* What classifiers said stands with the object, whoever found that; keys are never there twice. */
static void
test_classified (void)
{
  static const char *const params[] = {
    "classification,attribute_name=(string)color,label=(string)red,model_name=(string)colours,"
    "confidence=0.9,label_id=3",
    "color,label=(string)\"bright \\\"red\\\"\"", "x,label=(string)y",
    "detection_2,label=(string)z,confidence=(string)high",
    "detection,label=(string)w", /* the second one of ours, which does not count */
    "tensor,data=5",             /* says nothing that is text */
  };
  GstHarness *h = json_new ("regions=true");
  GstVideoRegionOfInterestMeta *regions[2];
  GstBuffer *frame = frame_new (0);

  attach (frame, "p", "a car", 0, TRUE);
  regions[0] = test_region (frame, 0);
  regions[1] = gst_buffer_add_video_region_of_interest_meta (frame, "car", 1, 2, 3, 4);
  for (gsize i = 0; i < 2; i++)
    for (gsize k = 0; k < G_N_ELEMENTS (params); k++)
      gst_video_region_of_interest_meta_add_param (regions[i],
          gst_structure_new_from_string (params[k]));
  FLOWS (h, frame);
  for (gsize i = 0; i < 2; i++)
    CHECK_LINE (h, { "#objects", "1" }, { "objects[0].roi_type", i == 0 ? "\"a car\"" : "\"car\"" },
        { "objects[0].x", i == 0 ? "20" : "1" }, { "objects[0].color.label", "\"red\"" },
        { "objects[0].color.model.name", "\"colours\"" }, { "objects[0].color.confidence", "0.9" },
        { "objects[0].color.label_id", "3" }, { "objects[0].color_2.label", "\"bright \\\"red\\\"\"" },
        { "objects[0].color_2.model", "" }, { "objects[0].color_2.confidence", "" },
        { "objects[0].x_2.label", "\"y\"" }, { "objects[0].detection_2.label", "\"z\"" },
        { "objects[0].detection_2.confidence", "" }, { "objects[0].tensor", "" });
  gst_harness_teardown (h);
}

#ifdef HAVE_ANALYTICS
/* Detections of GstAnalytics are objects too; one that a region stands for as well is there once. */
static void
test_detections_of_others (void)
{
  GstHarness *h = json_new ("regions=true region-ids=true");
  const GQuark colours[] = { g_quark_from_static_string ("blue"), g_quark_from_static_string ("red") };
  gfloat levels[] = { 0.25f, 0.75f };
  GstBuffer *frame = frame_new (0);
  GstAnalyticsRelationMeta *meta;
  GstAnalyticsODMtd car, dog;
  GstAnalyticsClsMtd class;
  GstAnalyticsTrackingMtd track;

  attach (frame, "p", "a cat", 0, TRUE);
  meta = gst_buffer_add_analytics_relation_meta (frame);
  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("car"), 10, 20, 50, 40, 0.5f,
      &car);
  gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("dog"), 100, 0, 20, 10, 1, &dog);
  gst_analytics_relation_meta_add_tracking_mtd (meta, 7, 0, &track);
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, car.id, track.id);
  for (int i = 0; i < 2; i++) {
    gst_analytics_relation_meta_add_cls_mtd (meta, 2, levels, (GQuark *) colours, &class);
    gst_analytics_relation_meta_set_relation (meta,
        i == 0 ? GST_ANALYTICS_REL_TYPE_RELATE_TO : GST_ANALYTICS_REL_TYPE_CONTAIN, car.id, class.id);
  }
  /* of the answer's object: a classifier after dsvl2infer */
  gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO,
      (guint) test_region (frame, 0)->id, class.id);
  gst_buffer_add_video_region_of_interest_meta_id (frame, g_quark_from_string ("dog"), 101, 0, 20, 10)
      ->id = (gint) dog.id;
  FLOWS (h, frame);
  CHECK_LINE (h, { "prompt", "\"p\"" }, { "#objects", "1" }, { "objects[0].roi_type", "\"a cat\"" },
      { "objects[0].classification.label", "\"red\"" }, { "objects[0].classification_2", "" });
  CHECK_LINE (h, { "#objects", "2" }, { "objects[0].roi_type", "\"dog\"" }, { "objects[0].x", "101" },
      { "objects[0].detection.confidence", "1" }, { "objects[1].roi_type", "\"car\"" },
      { "objects[1].x", "10" }, { "objects[1].h", "40" }, { "objects[1].id", "7" },
      { "objects[1].detection.bounding_box.x_max", "0.3" },
      { "objects[1].detection.bounding_box.y_min", "0.2" },
      { "objects[1].detection.confidence", "0.5" }, { "objects[1].detection.label", "\"car\"" },
      { "objects[1].detection.label_id", "" }, { "objects[1].classification.label", "\"red\"" },
      { "objects[1].classification.confidence", "0.75" },
      { "objects[1].classification_2.label", "\"red\"" });
  gst_harness_teardown (h);
}

/* Of the whole frame is what is related to nothing, beside an object or alone; a class of an object is not. */
static void
test_frame_classified (void)
{
  GstHarness *h = json_new ("regions=true");
  GQuark weather = g_quark_from_static_string ("rain"), time = g_quark_from_static_string ("night"),
         colour = g_quark_from_static_string ("blue");
  gfloat sure = 0.75f;

  for (int n_objects = 0; n_objects <= 1; n_objects++) {
    GstBuffer *frame = frame_new (40);
    GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (frame);
    GstAnalyticsODMtd car;
    GstAnalyticsClsMtd class;

    gst_analytics_relation_meta_add_cls_mtd (meta, 1, &sure, &weather, &class);
    gst_analytics_relation_meta_add_cls_mtd (meta, 1, &sure, &time, &class);
    if (n_objects > 0) {
      gst_analytics_relation_meta_add_od_mtd (meta, g_quark_from_string ("car"), 10, 20, 50, 40, 0.5f,
          &car);
      gst_analytics_relation_meta_add_cls_mtd (meta, 1, &sure, &colour, &class);
      /* as a classifier that points at what it looked at has it */
      gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_IS_PART_OF, class.id,
          car.id);
    }
    FLOWS (h, frame);
    if (n_objects == 0)
      CHECK_LINE (h, { "#objects", "1" }, { "timestamp", "40000000" }, { "objects[0].x", "0" },
          { "objects[0].w", "200" }, { "objects[0].h", "100" }, { "objects[0].roi_type", "" },
          { "objects[0].detection", "" }, { "objects[0].classification.label", "\"rain\"" },
          { "objects[0].classification.confidence", "0.75" },
          { "objects[0].classification_2.label", "\"night\"" }, { "objects[0].classification_3", "" });
    else
      CHECK_LINE (h, { "#objects", "2" }, { "objects[0].roi_type", "\"car\"" },
          { "objects[1].classification.label", "\"rain\"" },
          { "objects[1].classification_2.label", "\"night\"" }, { "objects[1].classification_3", "" });
  }
  gst_harness_teardown (h);
}

/* Numbers of trackers that differ in their highest bit alone are two. */
static void
test_long_numbers (void)
{
  static const guint64 numbers[] = { 7, G_MAXINT64, G_GUINT64_CONSTANT (0x8000000000000007),
    G_MAXUINT64 };
  GstHarness *h = json_new ("regions=true");

  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++) {
    g_autofree char *expected = g_strdup_printf ("\"id\":%" G_GUINT64_FORMAT ",", numbers[i]);
    GstBuffer *frame = frame_new (40), *out;
    GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (frame);
    GstAnalyticsODMtd car;
    GstAnalyticsTrackingMtd track;
    GstMapInfo map;

    gst_analytics_relation_meta_add_od_mtd (meta, 0, 10, 20, 50, 40, 0.5f, &car);
    gst_analytics_relation_meta_add_tracking_mtd (meta, numbers[i], 0, &track);
    gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, car.id, track.id);
    FLOWS (h, frame);
    out = gst_harness_pull (h);
    gst_buffer_map (out, &map, GST_MAP_READ);
    g_test_message ("%.*s", (int) map.size, (const char *) map.data);
    g_assert_nonnull (g_strstr_len ((const char *) map.data, (gssize) map.size, expected));
    gst_buffer_unmap (out, &map);
    gst_buffer_unref (out);
  }
  gst_harness_teardown (h);
}
#endif

static void
test_empty_results (void)
{
  GstHarness *h = json_new ("add-empty-results=true");
  GstBuffer *frame;

  FLOWS (h, frame_new (40));
  CHECK_LINE (h, { "objects", "[]" }, { "timestamp", "40000000" }, { "caption", "" });
  frame = frame_new (80);
  attach (frame, "p", NULL, 80, TRUE);
  FLOWS (h, frame);
  CHECK_LINE (h, { "objects", "[]" }, { "caption", "\"a cat\"" });
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 0);
  gst_harness_teardown (h);
}

/* --- streams --- */

/* Memory, formats and sizes of all kinds; without a size there is nothing to say. */
static void
test_caps (void)
{
  static const struct {
    const char *caps;
    GstFlowReturn flow;
  } cases[] = {
    { "video/x-raw,format=NV12,width=8,height=4,framerate=0/1", GST_FLOW_OK },
    { "video/x-raw(memory:DMABuf),format=DMA_DRM,width=8,height=4", GST_FLOW_OK },
    { "video/x-raw(memory:CUDAMemory),format=NV12,width=8,height=4", GST_FLOW_OK },
    { "video/x-raw(meta:GstVideoOverlayComposition),format=I420,width=8,height=4", GST_FLOW_OK },
    { "video/x-raw,format=I420", GST_FLOW_NOT_NEGOTIATED },
    { "video/x-raw,format=I420,width=0,height=4", GST_FLOW_NOT_NEGOTIATED },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    GstHarness *h = gst_harness_new ("dsvl2json");
    g_autoptr (GstCaps) out = NULL;
    GstBuffer *frame = frame_new (0);

    gst_harness_set_src_caps_str (h, cases[i].caps);
    attach (frame, "p", "a cat", 0, TRUE);
    g_test_message ("%s", cases[i].caps);
    g_assert_cmpint (gst_harness_push (h, frame), ==, cases[i].flow);
    if (cases[i].flow == GST_FLOW_OK) {
      json_node_unref (pull (h));
      out = gst_pad_get_current_caps (h->sinkpad);
      g_assert_true (gst_structure_has_name (gst_caps_get_structure (out, 0), "application/x-ndjson"));
    }
    gst_harness_teardown (h);
  }
}

static void
test_caps_change (void)
{
  GstHarness *h = json_new ("add-empty-results=true");

  FLOWS (h, frame_new (0));
  CHECK_LINE (h, { "resolution.width", "200" });
  gst_harness_set_src_caps_str (h, "video/x-raw,format=RGB,width=640,height=360,framerate=25/1");
  FLOWS (h, frame_new (40));
  CHECK_LINE (h, { "resolution.width", "640" }, { "resolution.height", "360" });
  gst_harness_teardown (h);
}

/* Stream time counts from where the segment says; a flush and a new segment do not end it. */
static void
test_segments (void)
{
  GstHarness *h = json_new ("add-empty-results=true");
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = 10 * GST_SECOND;
  segment.time = 3 * GST_SECOND;
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  FLOWS (h, frame_new (11000));
  CHECK_LINE (h, { "timestamp", "4000000000" });
  FLOWS (h, frame_new (9000)); /* not in it */
  CHECK_LINE (h, { "timestamp", "null" });
  FLOWS (h, frame_new (-1));
  CHECK_LINE (h, { "timestamp", "null" });
  gst_segment_init (&segment, GST_FORMAT_BYTES); /* of appsrc, unless it is told otherwise */
  g_assert_true (gst_harness_push_event (h, gst_event_new_segment (&segment)));
  FLOWS (h, frame_new (11000));
  CHECK_LINE (h, { "timestamp", "null" });
  gst_harness_teardown (h);
}

static gboolean
has_event (GstHarness *h, GstEventType type)
{
  GstEvent *event;
  gboolean found = FALSE;

  while ((event = gst_harness_try_pull_event (h)) != NULL) {
    found |= GST_EVENT_TYPE (event) == type;
    gst_event_unref (event);
  }
  return found;
}

/* All is written when the stream ends, and what comes downstream is told upstream. */
static void
test_end (void)
{
  GstHarness *h = json_new ("add-empty-results=true");

  FLOWS (h, frame_new (0));
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_cmpuint (gst_harness_buffers_in_queue (h), ==, 1);
  g_assert_true (has_event (h, GST_EVENT_EOS));
  g_assert_cmpint (gst_harness_push (h, frame_new (40)), ==, GST_FLOW_EOS);
  gst_harness_teardown (h);
}

/* Another life of the same element begins without the size of the last one. */
static void
test_states (void)
{
  GstHarness *h = json_new ("add-empty-results=true");
  GstElement *element = gst_harness_find_element (h, "dsvl2json");

  FLOWS (h, frame_new (0));
  CHECK_LINE (h, { "resolution.width", "200" });
  gst_element_set_state (element, GST_STATE_NULL);
  gst_harness_play (h);
  gst_harness_set_src_caps_str (h, "video/x-raw,format=RGB,width=64,height=36,framerate=25/1");
  FLOWS (h, frame_new (80));
  CHECK_LINE (h, { "resolution.width", "64" });
  gst_object_unref (element);
  gst_harness_teardown (h);
}

static void
test_allocation (void)
{
  GstHarness *h = json_new ("");
  g_autoptr (GstCaps) caps = gst_caps_from_string ("video/x-raw,format=RGB,width=64,height=36");
  g_autoptr (GstQuery) query = gst_query_new_allocation (caps, FALSE);

  g_assert_true (gst_pad_peer_query (h->srcpad, query));
  g_assert_true (gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL));
  g_assert_true (gst_query_find_allocation_meta (query, GST_VIDEO_CROP_META_API_TYPE, NULL));
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/json/answer", test_answer);
  g_test_add_func ("/json/properties", test_properties);
  g_test_add_func ("/json/asked-region", test_asked_region);
  g_test_add_func ("/json/hostile-text", test_hostile_text);
  g_test_add_func ("/json/odd-fields", test_odd_fields);
  g_test_add_func ("/json/fresh-only", test_fresh_only);
  g_test_add_func ("/json/regions-of-others", test_regions_of_others);
  g_test_add_func ("/json/classified", test_classified);
#ifdef HAVE_ANALYTICS
  g_test_add_func ("/json/detections-of-others", test_detections_of_others);
  g_test_add_func ("/json/frame-classified", test_frame_classified);
  g_test_add_func ("/json/long-numbers", test_long_numbers);
#endif
  g_test_add_func ("/json/empty-results", test_empty_results);
  g_test_add_func ("/json/caps", test_caps);
  g_test_add_func ("/json/caps-change", test_caps_change);
  g_test_add_func ("/json/segments", test_segments);
  g_test_add_func ("/json/end", test_end);
  g_test_add_func ("/json/states", test_states);
  g_test_add_func ("/json/allocation", test_allocation);
  return test_run ();
}
