/* dsvl2: an answer as GStreamer carries it: a structure, metadata of a buffer, a message
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2meta.h"
#include "analytics.h"
#include <math.h>
#include <string.h>

void
gst_dsvl2_meta_register (void)
{
  static gsize once = 0;

  if (g_once_init_enter (&once)) {
    static const gchar *no_tags[] = { NULL };

    if (gst_meta_get_info (GST_DSVL2_RESULT_NAME) == NULL)
      gst_meta_register_custom (GST_DSVL2_RESULT_NAME, no_tags, NULL, NULL, NULL);
    g_once_init_leave (&once, 1);
  }
}

/* --- labels --- */

/* Characters without a shape that put others into another order, or only seem to be none. */
static gboolean
is_trick (gunichar c)
{
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x206f) || (c >= 0xfff9 && c <= 0xfffb) ||
         c == 0xfeff;
}

char *
gst_dsvl2_clean_text (const char *text, glong max_chars)
{
  const gssize read = (gssize) strnlen (text, 64 * (gsize) max_chars); /* far more than is kept */
  g_autofree char *valid = g_utf8_make_valid (text, read);
  GString *clean = g_string_sized_new (64);
  glong chars = 0;
  gboolean space = FALSE;

  for (const char *p = valid; *p; p = g_utf8_next_char (p)) {
    const gunichar c = g_utf8_get_char (p);

    if (is_trick (c))
      continue;
    if (g_unichar_isspace (c) || g_unichar_iscntrl (c) || c == 0x2028 || c == 0x2029) {
      space = clean->len > 0;
      continue;
    }
    if (chars + space >= max_chars) {
      if (chars >= max_chars)
        g_string_truncate (clean, g_utf8_offset_to_pointer (clean->str, max_chars - 1) - clean->str);
      g_string_append (clean, "…");
      break;
    }
    if (space)
      g_string_append_c (clean, ' ');
    g_string_append_unichar (clean, c);
    chars += 1 + space;
    space = FALSE;
  }
  return g_string_free (clean, FALSE);
}

GQuark
gst_dsvl2_label_quark (const char *label)
{
  /* Quarks belong to the process, and so does the count of those that were made for labels. */
  static int n_quarks = 0;
  g_autofree char *tame = g_strdelimit (g_strdup (label), "<>&", ' ');
  g_autofree char *clean = gst_dsvl2_clean_text (tame, GST_DSVL2_MAX_LABEL);
  GQuark quark = g_quark_try_string (clean);

  if (quark != 0 && *clean)
    return quark;
  if (!*clean || g_atomic_int_add (&n_quarks, 1) >= GST_DSVL2_MAX_QUARKS) {
    if (*clean)
      g_atomic_int_add (&n_quarks, -1);
    return g_quark_from_static_string ("object");
  }
  return g_quark_from_string (clean);
}

int
gst_dsvl2_label_id (const char *label)
{
  guint32 hash = 2166136261u;

  for (const guchar *p = (const guchar *) label; *p; p++)
    hash = (hash ^ *p) * 16777619u;
  return (int) (hash & 0x7fffffff);
}

/* --- the structure --- */

/* A coordinate or a probability: whatever it was, 0 … 1 now. */
static double
unit (float value)
{
  return isnan (value) ? 0.0 : CLAMP ((double) value, 0.0, 1.0);
}

#define SET(structure, name, TYPE, value)                                                              \
  gst_structure_set (structure, name, G_TYPE_##TYPE, value, NULL)

/* A place in a region as one in the frame: `begin` and `length` pixels of `size`. */
static double
in_frame (float place, int begin, int length, int size)
{
  return begin == 0 && length == size ? unit (place) : (begin + unit (place) * length) / size;
}

static GstStructure *
detection_new (const Dsvl2Object *o, const GstDsvl2Seen *seen)
{
  const GstVideoRectangle *r = &seen->region;
  g_autofree char *label = g_utf8_make_valid (o->label != NULL ? o->label : "", -1);
  GstStructure *d = gst_structure_new_empty ("detection");

  SET (d, "x_min", DOUBLE, in_frame (o->x0, r->x, r->w, seen->width));
  SET (d, "x_max", DOUBLE, in_frame (o->x1, r->x, r->w, seen->width));
  SET (d, "y_min", DOUBLE, in_frame (o->y0, r->y, r->h, seen->height));
  SET (d, "y_max", DOUBLE, in_frame (o->y1, r->y, r->h, seen->height));
  SET (d, "confidence", DOUBLE, unit (o->confidence));
  SET (d, "label_id", INT, gst_dsvl2_label_id (label));
  SET (d, "label", STRING, label);
  return d;
}

static void
set_objects (GstStructure *s, const Dsvl2Result *result, const GstDsvl2Seen *seen)
{
  const int n = MIN (result->n_objects, GST_DSVL2_MAX_OBJECTS);
  GValue array = G_VALUE_INIT;

  gst_value_array_init (&array, (guint) n);
  for (int i = 0; i < n; i++) {
    GValue value = G_VALUE_INIT;

    g_value_init (&value, GST_TYPE_STRUCTURE);
    g_value_take_boxed (&value, detection_new (&result->objects[i], seen));
    gst_value_array_append_and_take_value (&array, &value);
  }
  SET (s, "n-objects", INT, n);
  gst_structure_take_value (s, "objects", &array);
}

static void
set_seen (GstStructure *s, const GstDsvl2Seen *seen)
{
  SET (s, "prompt", STRING, seen->prompt);
  SET (s, "prompt-index", INT, seen->prompt_index);
  SET (s, "seen-pts", UINT64, seen->pts);
  SET (s, "stream-time", UINT64, seen->stream_time);
  SET (s, "running-time", UINT64, seen->running_time);
  SET (s, "width", INT, seen->width);
  SET (s, "height", INT, seen->height);
  SET (s, "region-x", INT, seen->region.x);
  SET (s, "region-y", INT, seen->region.y);
  SET (s, "region-width", INT, seen->region.w);
  SET (s, "region-height", INT, seen->region.h);
  if (seen->region_label != NULL) {
    SET (s, "region-label", STRING, seen->region_label);
    SET (s, "region-id", INT, seen->region_id);
  }
  SET (s, "frames", INT, seen->n_frames);
  SET (s, "first-pts", UINT64, seen->first_pts);
  SET (s, "turns", INT, seen->n_turns);
}

GstStructure *
gst_dsvl2_partial_to_structure (const char *text, int n_tokens, const GstDsvl2Seen *seen)
{
  GstStructure *s = gst_structure_new_empty (GST_DSVL2_PARTIAL_NAME);

  SET (s, "text", STRING, text);
  set_seen (s, seen);
  SET (s, "tokens", INT, n_tokens);
  return s;
}

GstStructure *
gst_dsvl2_result_to_structure (const Dsvl2Result *result, const GstDsvl2Seen *seen)
{
  g_autofree char *text = g_utf8_make_valid (result->text != NULL ? result->text : "", -1);
  g_autofree char *caption = g_utf8_make_valid (result->caption != NULL ? result->caption : "", -1);
  GstStructure *s = gst_structure_new_empty (GST_DSVL2_RESULT_NAME);

  SET (s, "text", STRING, text);
  SET (s, "caption", STRING, caption);
  set_seen (s, seen);
  SET (s, "fresh", BOOLEAN, TRUE);
  SET (s, "finish", STRING, dsvl2_finish_get_name (result->finish));
  SET (s, "tokens", INT, result->n_tokens);
  SET (s, "prompt-tokens", INT, result->n_prompt_tokens);
  SET (s, "cached-tokens", INT, result->n_cached_tokens);
  SET (s, "tiles", INT, result->n_tiles);
  SET (s, "queue-us", INT64, result->queue_us);
  SET (s, "vision-us", INT64, result->vision_us);
  SET (s, "prefill-us", INT64, result->prefill_us);
  SET (s, "decode-us", INT64, result->decode_us);
  set_objects (s, result, seen);
  return s;
}

/* --- on a buffer --- */

/* A part of `size` pixels, as its first pixel and how many: at least one, none outside. */
static void
to_pixels (double from, double to, int size, int *first, int *count)
{
  const int a = CLAMP ((int) lround (from * size), 0, size - 1);
  const int b = CLAMP ((int) lround (to * size), a + 1, size);

  *first = a;
  *count = b - a;
}

static GstVideoRectangle
box_of (const GstStructure *detection, const GstVideoInfo *info)
{
  double x0 = 0, x1 = 0, y0 = 0, y1 = 0;
  GstVideoRectangle box;

  gst_structure_get (detection, "x_min", G_TYPE_DOUBLE, &x0, "x_max", G_TYPE_DOUBLE, &x1, "y_min",
      G_TYPE_DOUBLE, &y0, "y_max", G_TYPE_DOUBLE, &y1, NULL);
  to_pixels (x0, x1, GST_VIDEO_INFO_WIDTH (info), &box.x, &box.w);
  to_pixels (y0, y1, GST_VIDEO_INFO_HEIGHT (info), &box.y, &box.h);
  return box;
}

static GstVideoRegionOfInterestMeta *
attach_region (GstBuffer *buffer, const GstStructure *detection, GQuark type,
    const GstVideoRectangle *box)
{
  GstVideoRegionOfInterestMeta *region = gst_buffer_add_video_region_of_interest_meta_id (buffer, type,
      (guint) box->x, (guint) box->y, (guint) box->w, (guint) box->h);

  gst_video_region_of_interest_meta_add_param (region, gst_structure_copy (detection));
  return region;
}

/* An object, as a region and for GstAnalytics. The region has the id of the detection there, as in DL
 * Streamer, so that a reader of both knows that they are one. */
static void
attach_object (GstBuffer *buffer, const GstStructure *detection, const GstVideoInfo *info,
    GArray *tracks)
{
  const GQuark type = gst_dsvl2_label_quark (gst_structure_get_string (detection, "label"));
  const GstVideoRectangle box = box_of (detection, info);
  GstVideoRegionOfInterestMeta *region = attach_region (buffer, detection, type, &box);
  double confidence = 0;
  GstDsvl2Track track;
  const gboolean tracked = gst_dsvl2_tracks_take (tracks, &box, &track);

  gst_structure_get_double (detection, "confidence", &confidence);
  region->id =
      gst_dsvl2_analytics_add (buffer, type, &box, (float) confidence, tracked ? &track : NULL);
  if (region->id < 0)
    region->id = (gint) gst_util_seqnum_next ();
  if (tracked && track.number <= G_MAXINT) /* a longer one cut short would be another object's */
    gst_video_region_of_interest_meta_add_param (region,
        gst_structure_new ("object_id", "id", G_TYPE_INT, (gint) track.number, NULL));
}

static gboolean
copy_field (GQuark id, const GValue *value, gpointer to)
{
  gst_structure_id_set_value (to, id, value);
  return TRUE;
}

void
gst_dsvl2_meta_attach (GstBuffer *buffer, const GstVideoInfo *info, const GstStructure *result,
    gboolean fresh)
{
  const GValue *objects = gst_structure_get_value (result, "objects");
  const guint n = objects != NULL ? gst_value_array_get_size (objects) : 0;
  g_autoptr (GArray) tracks = n > 0 ? gst_dsvl2_tracks_find (buffer) : NULL;
  GstStructure *meta;

  gst_dsvl2_analytics_reserve (buffer, n);
  for (guint i = 0; i < n; i++)
    attach_object (buffer, gst_value_get_structure (gst_value_array_get_value (objects, i)), info,
        tracks);
  gst_dsvl2_meta_register ();
  meta = gst_custom_meta_get_structure (gst_buffer_add_custom_meta (buffer, GST_DSVL2_RESULT_NAME));
  gst_structure_foreach (result, copy_field, meta);
  SET (meta, "fresh", BOOLEAN, fresh);
}

const GstStructure *
gst_dsvl2_meta_get_result (GstBuffer *buffer, gpointer *state)
{
  GstMeta *meta;

  while ((meta = gst_buffer_iterate_meta (buffer, state)) != NULL)
    if (gst_meta_info_is_custom (meta->info) &&
        gst_custom_meta_has_name ((GstCustomMeta *) meta, GST_DSVL2_RESULT_NAME))
      return gst_custom_meta_get_structure ((GstCustomMeta *) meta);
  return NULL;
}
