/* dsvl2: an answer, or a frame's regions of interest, as a line of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resultline.h"
#include "gstdsvl2meta.h"
#include "jsonline.h"
#include <math.h>

/* Decimals of a part of 1 (a pixel of an 8K picture is more than 0.0001), of milliseconds, of a tag. */
enum { PART = 4, MILLISECONDS = 3, TAG = 9 };

typedef struct {
  double x_min, x_max, y_min, y_max;
} Box;

/* --- fields of structures, which may come from anyone --- */

static int
int_field (const GstStructure *s, const char *name)
{
  int value = 0;

  gst_structure_get_int (s, name, &value);
  return value;
}

static double
double_field (const GstStructure *s, const char *name)
{
  double value = 0;

  gst_structure_get_double (s, name, &value);
  return value;
}

static void
add_time (GString *line, const char *name, GstClockTime time)
{
  if (time <= G_MAXINT64)
    json_line_int (line, name, (gint64) time);
  else
    json_line_null (line, name);
}

static GstClockTime
time_field (const GstStructure *s, const char *name)
{
  guint64 value = GST_CLOCK_TIME_NONE;

  gst_structure_get_uint64 (s, name, &value);
  return value;
}

static void
add_microseconds (GString *line, const char *name, const GstStructure *s, const char *field)
{
  gint64 value = 0;

  gst_structure_get_int64 (s, field, &value);
  json_line_number (line, name, (double) value / 1e3, MILLISECONDS);
}

/* The objects of a result: how many, and each. NULL where one is no structure. */
static guint
n_objects (const GstStructure *result)
{
  const GValue *objects = gst_structure_get_value (result, "objects");

  return objects != NULL && GST_VALUE_HOLDS_ARRAY (objects) ? gst_value_array_get_size (objects) : 0;
}

static const GstStructure *
object_at (const GstStructure *result, guint i)
{
  const GValue *object = gst_value_array_get_value (gst_structure_get_value (result, "objects"), i);

  return GST_VALUE_HOLDS_STRUCTURE (object) ? gst_value_get_structure (object) : NULL;
}

/* --- regions of interest --- */

static GstVideoRegionOfInterestMeta *
next_region (GstBuffer *buffer, gpointer *state)
{
  return (GstVideoRegionOfInterestMeta *) gst_buffer_iterate_meta_filtered (buffer, state,
      GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE);
}

/* A result's object and its region have the same structure. */
static gboolean
is_region_of (GstVideoRegionOfInterestMeta *region, const GstStructure *detection)
{
  const GstStructure *own = gst_video_region_of_interest_meta_get_param (region, "detection");

  return own != NULL && int_field (own, "label_id") == int_field (detection, "label_id") &&
         gst_structure_is_equal (own, detection);
}

static GstVideoRegionOfInterestMeta *
find_region (GstBuffer *buffer, const GstStructure *detection)
{
  GstVideoRegionOfInterestMeta *region;
  gpointer state = NULL;

  while ((region = next_region (buffer, &state)) != NULL)
    if (is_region_of (region, detection))
      return region;
  return NULL;
}

static gboolean
is_of_a_result (GstBuffer *buffer, GstVideoRegionOfInterestMeta *region)
{
  const GstStructure *result;
  gpointer state = NULL;

  while ((result = gst_dsvl2_meta_get_result (buffer, &state)) != NULL)
    for (guint i = 0; i < n_objects (result); i++) {
      const GstStructure *detection = object_at (result, i);

      if (detection != NULL && is_region_of (region, detection))
        return TRUE;
    }
  return FALSE;
}

/* --- objects --- */

/* A box in pixels, rounded as the region of interest on the buffer is: never empty. */
static void
add_rounded_pixels (GString *line, const Box *box, int width, int height)
{
  const double from[] = { box->x_min, box->y_min }, to[] = { box->x_max, box->y_max };
  const int size[] = { width, height };
  int first[2], count[2];

  for (int i = 0; i < 2; i++) {
    const int begin = (int) lround (CLAMP (from[i], 0, 1) * size[i]);
    const int end = (int) lround (CLAMP (to[i], 0, 1) * size[i]);

    first[i] = CLAMP (begin, 0, MAX (0, size[i] - 1));
    count[i] = CLAMP (end, first[i] + 1, MAX (first[i] + 1, size[i])) - first[i];
  }
  json_line_int (line, "x", first[0]);
  json_line_int (line, "y", first[1]);
  json_line_int (line, "w", count[0]);
  json_line_int (line, "h", count[1]);
}

/* `id` is a tracker's, where one gave it. */
static void
add_ids (GString *line, GstVideoRegionOfInterestMeta *region, const LineStyle *style)
{
  const GstStructure *tracked;
  int id;

  if (region == NULL)
    return;
  if (style->region_ids)
    json_line_int (line, "region_id", region->id);
  tracked = gst_video_region_of_interest_meta_get_param (region, "object_id");
  if (tracked != NULL && gst_structure_get_int (tracked, "id", &id))
    json_line_int (line, "id", id);
}

static void
add_detection (GString *line, const Box *box, const GstStructure *detection, const char *label)
{
  json_line_open (line, "detection", '{');
  json_line_open (line, "bounding_box", '{');
  json_line_number (line, "x_min", box->x_min, PART);
  json_line_number (line, "x_max", box->x_max, PART);
  json_line_number (line, "y_min", box->y_min, PART);
  json_line_number (line, "y_max", box->y_max, PART);
  json_line_close (line, '}');
  if (detection != NULL) {
    json_line_number (line, "confidence", double_field (detection, "confidence"), PART);
    json_line_int (line, "label_id", int_field (detection, "label_id"));
  }
  json_line_string (line, "label", label);
  json_line_close (line, '}');
}

static Box
box_of (const GstStructure *detection)
{
  return (Box){ double_field (detection, "x_min"), double_field (detection, "x_max"),
    double_field (detection, "y_min"), double_field (detection, "y_max") };
}

static void
add_object (GString *line, const GstStructure *detection, int width, int height,
    GstVideoRegionOfInterestMeta *region, const LineStyle *style)
{
  const char *label = gst_structure_get_string (detection, "label");
  const Box box = box_of (detection);

  json_line_open (line, NULL, '{');
  add_rounded_pixels (line, &box, width, height);
  add_ids (line, region, style);
  json_line_string (line, "roi_type", label);
  add_detection (line, &box, detection, label);
  json_line_close (line, '}');
}

static void
add_region (GString *line, GstVideoRegionOfInterestMeta *region, const LineFrame *frame,
    const LineStyle *style)
{
  const GstStructure *detection = gst_video_region_of_interest_meta_get_param (region, "detection");
  const char *type = g_quark_to_string (region->roi_type);
  const char *label = detection != NULL ? gst_structure_get_string (detection, "label") : NULL;
  Box box;

  if (detection != NULL && gst_structure_has_field (detection, "x_min"))
    box = box_of (detection);
  else
    box = (Box){ (double) region->x / frame->width, ((double) region->x + region->w) / frame->width,
      (double) region->y / frame->height, ((double) region->y + region->h) / frame->height };

  json_line_open (line, NULL, '{');
  json_line_int (line, "x", region->x);
  json_line_int (line, "y", region->y);
  json_line_int (line, "w", region->w);
  json_line_int (line, "h", region->h);
  add_ids (line, region, style);
  json_line_string (line, "roi_type", type);
  add_detection (line, &box, detection, label != NULL ? label : type);
  json_line_close (line, '}');
}

/* --- lines --- */

static gboolean
add_tag (GQuark id, const GValue *value, gpointer line)
{
  const char *name = g_quark_to_string (id);

  if (G_VALUE_HOLDS_STRING (value)) {
    json_line_string (line, name, g_value_get_string (value));
  } else if (G_VALUE_HOLDS_INT (value)) {
    json_line_int (line, name, g_value_get_int (value));
  } else if (G_VALUE_HOLDS_INT64 (value)) {
    json_line_int (line, name, g_value_get_int64 (value));
  } else if (G_VALUE_HOLDS_DOUBLE (value)) {
    json_line_number (line, name, g_value_get_double (value), TAG);
  } else if (G_VALUE_HOLDS_BOOLEAN (value)) {
    json_line_boolean (line, name, g_value_get_boolean (value));
  } else {
    g_autofree char *text = gst_value_serialize (value);

    json_line_string (line, name, text);
  }
  return TRUE;
}

static GString *
begin_line (int width, int height, GstClockTime timestamp, const LineStyle *style)
{
  GString *line = g_string_sized_new (512);

  json_line_open (line, NULL, '{');
  json_line_open (line, "resolution", '{');
  json_line_int (line, "width", width);
  json_line_int (line, "height", height);
  json_line_close (line, '}');
  if (style->source != NULL)
    json_line_string (line, "source", style->source);
  add_time (line, "timestamp", timestamp);
  if (style->tags != NULL) {
    json_line_open (line, "tags", '{');
    gst_structure_foreach (style->tags, add_tag, line);
    json_line_close (line, '}');
  }
  return line;
}

static char *
end_line (GString *line)
{
  json_line_close (line, '}');
  g_string_append_c (line, '\n');
  return g_string_free (line, FALSE);
}

/* The region that was asked about, unless it is the frame. */
static void
add_asked_region (GString *line, const GstStructure *s)
{
  const int x = int_field (s, "region-x"), y = int_field (s, "region-y");
  const int w = int_field (s, "region-width"), h = int_field (s, "region-height");
  const char *label = gst_structure_get_string (s, "region-label");

  if (w <= 0 || h <= 0 || (w == int_field (s, "width") && h == int_field (s, "height")))
    return;
  json_line_open (line, "region", '{');
  json_line_int (line, "x", x);
  json_line_int (line, "y", y);
  json_line_int (line, "w", w);
  json_line_int (line, "h", h);
  if (label != NULL)
    json_line_string (line, "label", label);
  json_line_close (line, '}');
}

static void
add_answer (GString *line, const GstStructure *s, const LineStyle *style)
{
  add_asked_region (line, s);
  json_line_string (line, "caption", gst_structure_get_string (s, "caption"));
  json_line_string (line, "text", gst_structure_get_string (s, "text"));
  json_line_string (line, "prompt", gst_structure_get_string (s, "prompt"));
  json_line_int (line, "prompt_index", int_field (s, "prompt-index"));
  add_time (line, "seen_pts", time_field (s, "seen-pts"));
  json_line_string (line, "finish", gst_structure_get_string (s, "finish"));

  json_line_open (line, "tokens", '{');
  json_line_int (line, "prompt", int_field (s, "prompt-tokens"));
  json_line_int (line, "answer", int_field (s, "tokens"));
  if (style->timings)
    json_line_int (line, "cached", int_field (s, "cached-tokens"));
  json_line_close (line, '}');
  if (!style->timings)
    return;

  json_line_int (line, "tiles", int_field (s, "tiles"));
  json_line_open (line, "timings_ms", '{');
  add_microseconds (line, "queue", s, "queue-us");
  add_microseconds (line, "vision", s, "vision-us");
  add_microseconds (line, "prefill", s, "prefill-us");
  add_microseconds (line, "decode", s, "decode-us");
  json_line_close (line, '}');
}

char *
line_of_result (const GstStructure *result, const LineFrame *frame, const LineStyle *style)
{
  int width = int_field (result, "width"), height = int_field (result, "height");
  GString *line;

  if (width <= 0 || height <= 0) {
    width = frame->width;
    height = frame->height;
  }
  line = begin_line (width, height, time_field (result, "stream-time"), style);
  json_line_open (line, "objects", '[');
  for (guint i = 0; i < n_objects (result); i++) {
    const GstStructure *detection = object_at (result, i);

    if (detection != NULL)
      add_object (line, detection, width, height, find_region (frame->buffer, detection), style);
  }
  json_line_close (line, ']');
  add_answer (line, result, style);
  return end_line (line);
}

char *
line_of_regions (const LineFrame *frame, const LineStyle *style)
{
  GString *line = NULL;
  GstVideoRegionOfInterestMeta *region;
  gpointer state = NULL;

  while ((region = next_region (frame->buffer, &state)) != NULL) {
    if (is_of_a_result (frame->buffer, region))
      continue;
    if (line == NULL) {
      line = begin_line (frame->width, frame->height, frame->timestamp, style);
      json_line_open (line, "objects", '[');
    }
    add_region (line, region, frame, style);
  }
  if (line == NULL)
    return NULL;
  json_line_close (line, ']');
  return end_line (line);
}

char *
line_of_nothing (const LineFrame *frame, const LineStyle *style)
{
  GString *line = begin_line (frame->width, frame->height, frame->timestamp, style);

  json_line_open (line, "objects", '[');
  json_line_close (line, ']');
  return end_line (line);
}
