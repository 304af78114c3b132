/* dsvl2: what a buffer says is to be seen on its frame: objects and answers
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scene.h"
#include "found.h"
#include "gstdsvl2meta.h"
#include <math.h>

enum { MAX_ATTRIBUTES = 3 }; /* of what classifiers said of an object */

/* An object of an answer: the same numbers are in its region's "detection". */
typedef struct {
  double x_min, y_min, x_max, y_max;
  int opacity;
} Dated;

static void
box_clear (gpointer box)
{
  g_free (((SceneBox *) box)->label);
}

static void
caption_clear (gpointer caption)
{
  g_free (((SceneCaption *) caption)->prompt);
  g_free (((SceneCaption *) caption)->text);
}

void
scene_init (Scene *s)
{
  s->boxes = g_array_new (FALSE, FALSE, sizeof (SceneBox));
  g_array_set_clear_func (s->boxes, box_clear);
  s->captions = g_array_new (FALSE, FALSE, sizeof (SceneCaption));
  g_array_set_clear_func (s->captions, caption_clear);
  s->dated = g_array_new (FALSE, FALSE, sizeof (Dated));
}

void
scene_clear (Scene *s)
{
  g_clear_pointer (&s->boxes, g_array_unref);
  g_clear_pointer (&s->captions, g_array_unref);
  g_clear_pointer (&s->dated, g_array_unref);
}

/* --- answers --- */

static int
opacity_of (const OverlaySettings *settings, GstClockTime seen, GstClockTime now)
{
  guint64 age;
  double faded;

  if (!GST_CLOCK_TIME_IS_VALID (seen) || !GST_CLOCK_TIME_IS_VALID (now) ||
      !GST_CLOCK_TIME_IS_VALID (settings->fade_after))
    return SCENE_OPAQUE;
  age =
      now > seen ? now - seen : seen - now; /* playing backwards, the frame that was seen lies ahead */
  if (age <= settings->fade_after)
    return SCENE_OPAQUE;
  age -= settings->fade_after;
  faded = age >= settings->fade_duration ? 1 : (double) age / (double) settings->fade_duration;
  return (int) lround (SCENE_OPAQUE * (1 - faded * (1 - settings->fade_opacity)));
}

static void
add_dated (Scene *s, const GstStructure *result, int opacity)
{
  const GValue *objects = gst_structure_get_value (result, "objects");
  const guint n =
      objects != NULL && GST_VALUE_HOLDS_ARRAY (objects) ? gst_value_array_get_size (objects) : 0;

  for (guint i = 0; i < MIN (n, GST_DSVL2_MAX_OBJECTS); i++) {
    const GValue *object = gst_value_array_get_value (objects, i);
    Dated d = { .opacity = opacity };

    if (GST_VALUE_HOLDS_STRUCTURE (object) &&
        gst_structure_get (gst_value_get_structure (object), "x_min", G_TYPE_DOUBLE, &d.x_min, "y_min",
            G_TYPE_DOUBLE, &d.y_min, "x_max", G_TYPE_DOUBLE, &d.x_max, "y_max", G_TYPE_DOUBLE, &d.y_max,
            NULL))
      g_array_append_val (s->dated, d);
  }
}

/* An answer that is nothing but the name of what was found is on its boxes already. */
static gboolean
is_label (const GstStructure *result, const char *caption)
{
  const GValue *objects = gst_structure_get_value (result, "objects");
  const guint n =
      objects != NULL && GST_VALUE_HOLDS_ARRAY (objects) ? gst_value_array_get_size (objects) : 0;

  for (guint i = 0; i < MIN (n, GST_DSVL2_MAX_OBJECTS); i++) {
    const GValue *object = gst_value_array_get_value (objects, i);

    if (GST_VALUE_HOLDS_STRUCTURE (object) &&
        g_strcmp0 (gst_structure_get_string (gst_value_get_structure (object), "label"), caption) == 0)
      return TRUE;
  }
  return FALSE;
}

static void
add_answer (Scene *s, const GstStructure *result, const OverlaySettings *settings, GstClockTime now)
{
  const char *text = gst_structure_get_string (result, "caption");
  const char *prompt = gst_structure_get_string (result, "prompt");
  guint64 seen = GST_CLOCK_TIME_NONE;
  SceneCaption caption;

  gst_structure_get_uint64 (result, "seen-pts", &seen);
  caption.opacity = opacity_of (settings, seen, now);
  if (caption.opacity < SCENE_OPAQUE)
    add_dated (s, result, caption.opacity);
  if (!settings->show_caption || caption.opacity == 0 || text == NULL || is_label (result, text))
    return;
  caption.text = gst_dsvl2_clean_text (text, SCENE_MAX_CAPTION);
  if (*caption.text == '\0') {
    g_free (caption.text);
    return;
  }
  caption.prompt = gst_dsvl2_clean_text (prompt != NULL ? prompt : "", SCENE_MAX_PROMPT);
  g_array_append_val (s->captions, caption);
}

/* --- objects --- */

/* Whether an attribute says what neither the label nor one before it does. */
static gboolean
is_news (const Found *f, int i)
{
  const char *text = f->attribute[i].label;

  for (int k = 0; k < i; k++)
    if (g_str_equal (f->attribute[k].label, text))
      return FALSE;
  return g_strcmp0 (f->label, text) != 0;
}

/* "car · red · parked" */
static char *
full_label (const Found *f, const char *name)
{
  GString *label = g_string_new (name);

  for (int i = 0, n = 0; i < f->n_attributes && n < MAX_ATTRIBUTES; i++) {
    g_autofree char *attribute = NULL;

    if (!is_news (f, i))
      continue;
    n++;
    attribute = gst_dsvl2_clean_text (f->attribute[i].label, SCENE_MAX_LABEL / 2);
    if (label->len > 0 && *attribute)
      g_string_append (label, " · ");
    g_string_append (label, attribute);
  }
  return g_string_free (label, FALSE);
}

static gboolean
same_object (const SceneBox *a, const SceneBox *b)
{
  return found_same_place ((gint64[]){ a->x, a->y, a->w, a->h },
             (gint64[]){ b->x, b->y, b->w, b->h }) &&
         (a->type == b->type || g_str_equal (a->label, b->label));
}

/* The one that is there already learns what only the other one knows. */
static gboolean
merge (Scene *s, const SceneBox *box)
{
  for (guint i = 0; i < s->boxes->len; i++) {
    SceneBox *other = &g_array_index (s->boxes, SceneBox, i);

    if (!same_object (other, box))
      continue;
    if (other->confidence < 0)
      other->confidence = box->confidence;
    if (!other->tracked) {
      other->tracked = box->tracked;
      other->id = box->id;
    }
    if (strlen (box->label) > strlen (other->label)) {
      g_free (other->label);
      other->label = g_strdup (box->label);
    }
    other->opacity = MIN (other->opacity, box->opacity); /* not everybody knows its age */
    return TRUE;
  }
  return FALSE;
}

static void
add_object (Scene *s, const Found *f, int opacity, const OverlaySettings *settings, const Labels *shown)
{
  const gint64 x0 = CLAMP (f->x, 0, s->width), x1 = CLAMP (f->x + f->w, 0, s->width);
  const gint64 y0 = CLAMP (f->y, 0, s->height), y1 = CLAMP (f->y + f->h, 0, s->height);
  const gboolean known = f->confidence >= 0 && f->confidence <= 1; /* not if it is NaN */
  g_autofree char *name = NULL;
  SceneBox box = { .x = (int) x0,
    .y = (int) y0,
    .w = (int) (x1 - x0),
    .h = (int) (y1 - y0),
    .type = f->type,
    .tracked = f->tracked,
    .id = f->track,
    .confidence = known ? f->confidence : -1,
    .opacity = opacity };

  if (box.w <= 0 || box.h <= 0 || s->boxes->len >= SCENE_MAX_BOXES ||
      (known && f->confidence < settings->min_confidence))
    return;
  name = gst_dsvl2_clean_text (f->label != NULL ? f->label : "", SCENE_MAX_LABEL);
  if (shown != NULL && !labels_match (shown, name, NULL))
    return;
  box.label = full_label (f, name);
  if (merge (s, &box))
    g_free (box.label);
  else
    g_array_append_val (s->boxes, box);
}

static int
opacity_of_detection (const Scene *s, const GstStructure *detection)
{
  Dated d;

  if (s->dated->len == 0 || detection == NULL ||
      !gst_structure_get (detection, "x_min", G_TYPE_DOUBLE, &d.x_min, "y_min", G_TYPE_DOUBLE, &d.y_min,
          "x_max", G_TYPE_DOUBLE, &d.x_max, "y_max", G_TYPE_DOUBLE, &d.y_max, NULL))
    return SCENE_OPAQUE;
  for (guint i = 0; i < s->dated->len; i++) {
    const Dated *other = &g_array_index (s->dated, Dated, i);

    if (other->x_min == d.x_min && other->y_min == d.y_min && other->x_max == d.x_max &&
        other->y_max == d.y_max)
      return other->opacity;
  }
  return SCENE_OPAQUE;
}

static void
add_objects (Scene *s, GstBuffer *buffer, const OverlaySettings *settings, const Labels *shown)
{
  g_auto (FoundWalk) walk;
  Found found;

  found_begin (&walk, buffer);
  while (s->boxes->len < SCENE_MAX_BOXES && found_next (&walk, &found))
    add_object (s, &found, opacity_of_detection (s, found.detection), settings, shown);
}

void
scene_read (Scene *s, GstBuffer *buffer, int width, int height, const OverlaySettings *settings,
    const Labels *shown)
{
  gpointer state = NULL;
  const GstStructure *result;

  s->width = width;
  s->height = height;
  g_array_set_size (s->boxes, 0);
  g_array_set_size (s->captions, 0);
  g_array_set_size (s->dated, 0);
  for (int i = 0;
       i < SCENE_MAX_CAPTIONS && (result = gst_dsvl2_meta_get_result (buffer, &state)) != NULL; i++)
    add_answer (s, result, settings, GST_BUFFER_PTS (buffer));
  if (settings->show_boxes || settings->show_labels || settings->show_confidence || settings->show_ids)
    add_objects (s, buffer, settings, shown);
}
