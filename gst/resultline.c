/* dsvl2: an answer, or what others found on a frame, as a line of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resultline.h"
#include "found.h"
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

/* --- objects of results among those on the buffer --- */

/* A result's object and its region have the same structure. */
static gboolean
is_detection (const Found *f, const GstStructure *detection)
{
  return f->detection != NULL &&
         int_field (f->detection, "label_id") == int_field (detection, "label_id") &&
         gst_structure_is_equal (f->detection, detection);
}

/* What the buffer's metadata says of a result's object. Returns FALSE if it is not there. */
static gboolean
find_detection (GstBuffer *buffer, const GstStructure *detection, Found *f)
{
  g_auto (FoundWalk) walk;

  found_begin (&walk, buffer);
  while (found_next (&walk, f))
    if (is_detection (f, detection))
      return TRUE;
  return FALSE;
}

static gboolean
is_of_a_result (GstBuffer *buffer, const Found *f)
{
  const GstStructure *result;
  gpointer state = NULL;

  while (f->detection != NULL && (result = gst_dsvl2_meta_get_result (buffer, &state)) != NULL)
    for (guint i = 0; i < n_objects (result); i++) {
      const GstStructure *detection = object_at (result, i);

      if (detection != NULL && is_detection (f, detection))
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
add_ids (GString *line, const Found *f, const LineStyle *style)
{
  if (style->region_ids)
    json_line_int (line, "region_id", f->id);
  if (f->tracked)
    json_line_uint (line, "id", f->track);
}

static void
add_detection (GString *line, const Box *box, const Found *f, const char *label)
{
  json_line_open (line, "detection", '{');
  json_line_open (line, "bounding_box", '{');
  json_line_number (line, "x_min", box->x_min, PART);
  json_line_number (line, "x_max", box->x_max, PART);
  json_line_number (line, "y_min", box->y_min, PART);
  json_line_number (line, "y_max", box->y_max, PART);
  json_line_close (line, '}');
  if (f->confidence >= 0)
    json_line_number (line, "confidence", f->confidence, PART);
  if (f->detection != NULL)
    json_line_int (line, "label_id", int_field (f->detection, "label_id"));
  json_line_string (line, "label", label);
  json_line_close (line, '}');
}

/* The key of an attribute: its name, which may be anything, with a number where an object has that key
 * already. Free with g_free (). */
static char *
attribute_key (const FoundAttribute *attribute, GPtrArray *taken)
{
  const char *name = attribute->name != NULL ? attribute->name : "classification";
  char *key = g_strdup (name);

  for (int n = 2; g_ptr_array_find_with_equal_func (taken, key, g_str_equal, NULL); n++) {
    g_free (key);
    key = g_strdup_printf ("%s_%d", name, n);
  }
  return key;
}

/* What classifiers said, each under the name of what it is about, as gvametaconvert has it. */
static void
add_attributes (GString *line, const Found *f)
{
  static const char *const own[] = { "x", "y", "w", "h", "region_id", "id", "roi_type", "detection",
    "tensors" };
  g_autoptr (GPtrArray) taken = NULL;

  if (f->n_attributes == 0)
    return;
  taken = g_ptr_array_new_with_free_func (g_free);
  for (gsize i = 0; i < G_N_ELEMENTS (own); i++)
    g_ptr_array_add (taken, g_strdup (own[i]));
  for (int i = 0; i < f->n_attributes; i++) {
    const FoundAttribute *a = &f->attribute[i];
    char *key = attribute_key (a, taken);

    g_ptr_array_add (taken, key);
    json_line_open (line, key, '{');
    json_line_string (line, "label", a->label);
    if (a->model != NULL) {
      json_line_open (line, "model", '{');
      json_line_string (line, "name", a->model);
      json_line_close (line, '}');
    }
    if (a->confidence >= 0)
      json_line_number (line, "confidence", a->confidence, PART);
    if (a->label_id >= 0)
      json_line_int (line, "label_id", a->label_id);
    json_line_close (line, '}');
  }
}

static Box
box_of (const GstStructure *detection)
{
  return (Box){ double_field (detection, "x_min"), double_field (detection, "x_max"),
    double_field (detection, "y_min"), double_field (detection, "y_max") };
}

/* An object of an answer, with what others say of it on the buffer. */
static void
add_answered_object (GString *line, const GstStructure *detection, int width, int height,
    const LineFrame *frame, const LineStyle *style)
{
  const char *label = gst_structure_get_string (detection, "label");
  const Box box = box_of (detection);
  Found found;
  const gboolean there = find_detection (frame->buffer, detection, &found);

  if (!there)
    found = (Found){ .detection = detection };
  found.confidence = double_field (detection, "confidence");
  json_line_open (line, NULL, '{');
  add_rounded_pixels (line, &box, width, height);
  if (there)
    add_ids (line, &found, style);
  json_line_string (line, "roi_type", label);
  add_detection (line, &box, &found, label);
  add_attributes (line, &found);
  json_line_close (line, '}');
}

static void
add_found_object (GString *line, const Found *f, const LineFrame *frame, const LineStyle *style)
{
  Box box;

  if (f->detection != NULL && gst_structure_has_field (f->detection, "x_min"))
    box = box_of (f->detection);
  else
    box = (Box){ (double) f->x / frame->width, (double) (f->x + f->w) / frame->width,
      (double) f->y / frame->height, (double) (f->y + f->h) / frame->height };

  json_line_open (line, NULL, '{');
  json_line_int (line, "x", f->x);
  json_line_int (line, "y", f->y);
  json_line_int (line, "w", f->w);
  json_line_int (line, "h", f->h);
  add_ids (line, f, style);
  json_line_string (line, "roi_type", f->type != 0 ? g_quark_to_string (f->type) : f->label);
  add_detection (line, &box, f, f->label);
  add_attributes (line, f);
  json_line_close (line, '}');
}

/* What is said of the whole frame, as gvametaconvert has it: an object of its size that nobody detected. */
static void
add_frame (GString *line, const Found *f, const LineFrame *frame)
{
  json_line_open (line, NULL, '{');
  json_line_int (line, "x", 0);
  json_line_int (line, "y", 0);
  json_line_int (line, "w", frame->width);
  json_line_int (line, "h", frame->height);
  add_attributes (line, f);
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
      add_answered_object (line, detection, width, height, frame, style);
  }
  json_line_close (line, ']');
  add_answer (line, result, style);
  return end_line (line);
}

static GString *
begin_objects (const LineFrame *frame, const LineStyle *style)
{
  GString *line = begin_line (frame->width, frame->height, frame->timestamp, style);

  json_line_open (line, "objects", '[');
  return line;
}

char *
line_of_others (const LineFrame *frame, const LineStyle *style)
{
  g_auto (FoundWalk) walk;
  GString *line = NULL;
  Found found;

  found_begin (&walk, frame->buffer);
  while (found_next (&walk, &found)) {
    if (is_of_a_result (frame->buffer, &found))
      continue;
    if (line == NULL)
      line = begin_objects (frame, style);
    add_found_object (line, &found, frame, style);
  }
  if (found_of_frame (frame->buffer, &found)) {
    if (line == NULL)
      line = begin_objects (frame, style);
    add_frame (line, &found, frame);
  }
  if (line == NULL)
    return NULL;
  json_line_close (line, ']');
  return end_line (line);
}

char *
line_of_nothing (const LineFrame *frame, const LineStyle *style)
{
  GString *line = begin_objects (frame, style);

  json_line_close (line, ']');
  return end_line (line);
}
