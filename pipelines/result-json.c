/* dsvl2 programs: a "dsvl2-result" structure as a line of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "result-json.h"
#include "json-line.h"
#include <math.h>

/* Decimals of a part of 1 (a pixel of an 8K picture is more than 0.0001), and of milliseconds. */
enum { PART = 4, MILLISECONDS = 3 };

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
add_time (GString *line, const char *name, const GstStructure *s, const char *field)
{
  guint64 value = GST_CLOCK_TIME_NONE;

  gst_structure_get_uint64 (s, field, &value);
  if (GST_CLOCK_TIME_IS_VALID (value))
    json_line_int (line, name, (gint64) value);
  else
    json_line_number (line, name, NAN, PART); /* null */
}

static void
add_microseconds (GString *line, const char *name, const GstStructure *s, const char *field)
{
  gint64 value = 0;

  gst_structure_get_int64 (s, field, &value);
  json_line_number (line, name, (double) value / 1e3, MILLISECONDS);
}

/* A box in pixels, rounded as the region of interest on the buffer is: never empty. */
static void
add_pixels (GString *line, const GstStructure *detection, int width, int height)
{
  static const char *const keys[2][4] = { { "x_min", "x_max", "x", "w" },
    { "y_min", "y_max", "y", "h" } };
  const int size[2] = { width, height };
  int first[2], count[2];

  for (int i = 0; i < 2; i++) {
    const int from = (int) lround (double_field (detection, keys[i][0]) * size[i]);
    const int to = (int) lround (double_field (detection, keys[i][1]) * size[i]);

    first[i] = CLAMP (from, 0, MAX (0, size[i] - 1));
    count[i] = CLAMP (to, first[i] + 1, MAX (first[i] + 1, size[i])) - first[i];
  }
  for (int i = 0; i < 2; i++)
    json_line_int (line, keys[i][2], first[i]);
  for (int i = 0; i < 2; i++)
    json_line_int (line, keys[i][3], count[i]);
}

static void
add_object (GString *line, const GstStructure *detection, int width, int height)
{
  static const char *const sides[] = { "x_min", "x_max", "y_min", "y_max" };
  const char *label = gst_structure_get_string (detection, "label");

  json_line_open (line, NULL, '{');
  add_pixels (line, detection, width, height);
  json_line_string (line, "roi_type", label);
  json_line_open (line, "detection", '{');
  json_line_open (line, "bounding_box", '{');
  for (gsize i = 0; i < G_N_ELEMENTS (sides); i++)
    json_line_number (line, sides[i], double_field (detection, sides[i]), PART);
  json_line_close (line, '}');
  json_line_number (line, "confidence", double_field (detection, "confidence"), PART);
  json_line_int (line, "label_id", int_field (detection, "label_id"));
  json_line_string (line, "label", label);
  json_line_close (line, '}');
  json_line_close (line, '}');
}

static void
add_frame (GString *line, const GstStructure *s, const char *source)
{
  const int width = int_field (s, "width"), height = int_field (s, "height");
  const GValue *objects = gst_structure_get_value (s, "objects");

  json_line_open (line, "resolution", '{');
  json_line_int (line, "width", width);
  json_line_int (line, "height", height);
  json_line_close (line, '}');
  json_line_string (line, "source", source);
  add_time (line, "timestamp", s, "stream-time");

  json_line_open (line, "objects", '[');
  if (objects != NULL && GST_VALUE_HOLDS_ARRAY (objects))
    for (guint i = 0; i < gst_value_array_get_size (objects); i++)
      add_object (line, gst_value_get_structure (gst_value_array_get_value (objects, i)), width,
          height);
  json_line_close (line, ']');
}

static void
add_answer (GString *line, const GstStructure *s)
{
  json_line_string (line, "caption", gst_structure_get_string (s, "caption"));
  json_line_string (line, "text", gst_structure_get_string (s, "text"));
  json_line_string (line, "prompt", gst_structure_get_string (s, "prompt"));
  add_time (line, "seen_pts", s, "seen-pts");
  json_line_string (line, "finish", gst_structure_get_string (s, "finish"));

  json_line_open (line, "tokens", '{');
  json_line_int (line, "prompt", int_field (s, "prompt-tokens"));
  json_line_int (line, "cached", int_field (s, "cached-tokens"));
  json_line_int (line, "answer", int_field (s, "tokens"));
  json_line_close (line, '}');
  json_line_int (line, "tiles", int_field (s, "tiles"));

  json_line_open (line, "timings_ms", '{');
  add_microseconds (line, "queue", s, "queue-us");
  add_microseconds (line, "vision", s, "vision-us");
  add_microseconds (line, "prefill", s, "prefill-us");
  add_microseconds (line, "decode", s, "decode-us");
  json_line_close (line, '}');
}

char *
result_to_json (const GstStructure *result, const char *source)
{
  GString *line = g_string_new (NULL);

  json_line_open (line, NULL, '{');
  add_frame (line, result, source);
  add_answer (line, result);
  json_line_close (line, '}');
  return g_string_free (line, FALSE);
}
