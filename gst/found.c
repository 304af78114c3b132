/* dsvl2: the objects that a buffer's metadata describes, whoever put it there
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "found.h"
#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

enum { SAME_PIXELS = 2 }; /* converters round the metas of an object each by itself */

gboolean
found_same_place (const gint64 a[4], const gint64 b[4])
{
  for (int i = 0; i < 2; i++)
    if (ABS (a[i] - b[i]) > SAME_PIXELS || ABS (a[i] + a[i + 2] - b[i] - b[i + 2]) > SAME_PIXELS)
      return FALSE;
  return TRUE;
}

static void
add_attribute (Found *f, FoundAttribute attribute)
{
  if (attribute.label != NULL && *attribute.label != '\0' && f->n_attributes < FOUND_MAX_ATTRIBUTES)
    f->attribute[f->n_attributes++] = attribute;
}

/* --- regions of interest --- */

static void
read_detection (const GstStructure *detection, Found *f)
{
  const char *label = gst_structure_get_string (detection, "label");

  f->detection = detection;
  gst_structure_get_double (detection, "confidence", &f->confidence);
  if (label != NULL && *label != '\0')
    f->label = label;
}

static void
read_classification (const GstStructure *s, Found *f)
{
  const char *name = gst_structure_get_string (s, "attribute_name");
  FoundAttribute a = { .name = name != NULL ? name : gst_structure_get_name (s),
    .label = gst_structure_get_string (s, "label"),
    .model = gst_structure_get_string (s, "model_name"),
    .confidence = -1,
    .label_id = -1 };

  gst_structure_get_double (s, "confidence", &a.confidence);
  gst_structure_get_int (s, "label_id", &a.label_id);
  add_attribute (f, a);
}

static void
read_param (const GstStructure *param, Found *f)
{
  int number;

  if (gst_structure_has_name (param, "object_id")) {
    if (gst_structure_get_int (param, "id", &number) && number >= 0) {
      f->tracked = TRUE;
      f->track = (guint64) number;
    }
  } else if (!gst_structure_has_name (param, "detection")) {
    read_classification (param, f);
  } else if (f->detection == NULL) { /* of several the first counts */
    read_detection (param, f);
  }
}

static void
read_region (const GstVideoRegionOfInterestMeta *region, Found *f)
{
  *f = (Found){ .x = region->x,
    .y = region->y,
    .w = region->w,
    .h = region->h,
    .type = region->roi_type,
    .label = g_quark_to_string (region->roi_type),
    .confidence = -1,
    .id = region->id,
    .track_mtd = FOUND_NO_MTD };
  for (const GList *l = region->params; l != NULL; l = l->next)
    read_param (l->data, f);
}

/* --- analytics --- */

#ifdef HAVE_ANALYTICS
enum { MAX_PAIRS = 1 << 19 }; /* of metadata whose relation is looked at for a frame */

/* The class that a classification is surest of. */
static FoundAttribute
likeliest_class (const GstAnalyticsClsMtd *classes)
{
  const gsize n = gst_analytics_cls_mtd_get_length (classes);
  FoundAttribute best = { .confidence = -1, .label_id = -1 };

  for (gsize i = 0; i < n; i++) {
    const double level = (double) gst_analytics_cls_mtd_get_level (classes, i);

    if (i == 0 || level > best.confidence) {
      best.label = g_quark_to_string (gst_analytics_cls_mtd_get_quark (classes, i));
      best.confidence = level;
    }
  }
  return best;
}

/* A classification that repeats the label, as ours does, says nothing more. */
static void
read_classes (GstAnalyticsRelationMeta *meta, guint id, Found *f)
{
  const GstAnalyticsRelTypes belongs =
      GST_ANALYTICS_REL_TYPE_RELATE_TO | GST_ANALYTICS_REL_TYPE_CONTAIN;
  GstAnalyticsMtd mtd;
  gpointer state = NULL;

  while (f->n_attributes < FOUND_MAX_ATTRIBUTES &&
         gst_analytics_relation_meta_get_direct_related (meta, id, belongs,
             gst_analytics_cls_mtd_get_mtd_type (), &state, &mtd)) {
    const FoundAttribute best = likeliest_class (&mtd);

    if (f->label == NULL || *f->label == '\0')
      f->label = best.label;
    else if (g_strcmp0 (f->label, best.label) != 0)
      add_attribute (f, best);
  }
}

static void
read_tracking (GstAnalyticsRelationMeta *meta, guint id, Found *f)
{
  GstAnalyticsMtd mtd;
  gpointer state = NULL;
  GstClockTime first, last;
  gboolean lost;

  while (gst_analytics_relation_meta_get_direct_related (meta, id, GST_ANALYTICS_REL_TYPE_ANY,
      gst_analytics_tracking_mtd_get_mtd_type (), &state, &mtd))
    if (gst_analytics_tracking_mtd_get_info (&mtd, &f->track, &first, &last, &lost) && !lost) {
      f->tracked = TRUE;
      f->track_mtd = mtd.id;
      return;
    }
}

static gboolean
read_object (GstAnalyticsRelationMeta *meta, const GstAnalyticsODMtd *detection, Found *f)
{
  gint x, y, w, h;
  gfloat confidence;

  if (!gst_analytics_od_mtd_get_location (detection, &x, &y, &w, &h, &confidence))
    return FALSE;
  *f = (Found){ .x = x,
    .y = y,
    .w = w,
    .h = h,
    .type = gst_analytics_od_mtd_get_obj_type (detection),
    .confidence = (double) confidence,
    .id = (gint) detection->id,
    .track_mtd = FOUND_NO_MTD };
  f->label = g_quark_to_string (f->type);
  read_classes (meta, detection->id, f);
  read_tracking (meta, detection->id, f);
  return TRUE;
}

/* What the detection of a region's id knows of the same object. */
static void
read_twin (FoundWalk *walk, Found *f)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (walk->buffer);
  GstAnalyticsODMtd detection;
  Found twin;

  if (meta == NULL || f->id < 0 || (gsize) f->id >= gst_analytics_relation_get_length (meta) ||
      !gst_analytics_relation_meta_get_od_mtd (meta, (guint) f->id, &detection) ||
      !read_object (meta, &detection, &twin) ||
      !found_same_place ((gint64[]){ f->x, f->y, f->w, f->h },
          (gint64[]){ twin.x, twin.y, twin.w, twin.h }))
    return;
  if (walk->same == NULL)
    walk->same = g_hash_table_new (NULL, NULL);
  g_hash_table_add (walk->same, GINT_TO_POINTER (f->id));
  if (f->label == NULL || *f->label == '\0')
    f->label = twin.label;
  if (f->confidence < 0)
    f->confidence = twin.confidence;
  if (twin.tracked) {
    f->tracked = TRUE;
    f->track = twin.track;
    f->track_mtd = twin.track_mtd;
  }
  for (int i = 0; i < twin.n_attributes; i++)
    add_attribute (f, twin.attribute[i]);
}

static gboolean
next_detection (FoundWalk *walk, Found *f)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (walk->buffer);
  GstAnalyticsODMtd detection;

  while (meta != NULL && walk->left-- > 0 &&
         gst_analytics_relation_meta_iterate (meta, &walk->state, gst_analytics_od_mtd_get_mtd_type (),
             &detection))
    if ((walk->same == NULL ||
            !g_hash_table_contains (walk->same, GINT_TO_POINTER ((gint) detection.id))) &&
        read_object (meta, &detection, f))
      return TRUE;
  return FALSE;
}

/* Whether other metadata relates to a classification, or it to that; also where `left` ends before that is known. */
static gboolean
is_of_something (GstAnalyticsRelationMeta *meta, guint id, int *left)
{
  const gsize n = gst_analytics_relation_get_length (meta);

  for (guint other = 0; other < n; other++)
    if ((*left)-- <= 0 || (other != id && (gst_analytics_relation_meta_get_relation (meta, other, id) !=
                                                  GST_ANALYTICS_REL_TYPE_NONE ||
                                              gst_analytics_relation_meta_get_relation (meta, id,
                                                  other) != GST_ANALYTICS_REL_TYPE_NONE)))
      return TRUE;
  return FALSE;
}

static void
read_frame (GstAnalyticsRelationMeta *meta, Found *f)
{
  GstAnalyticsMtd classes;
  gpointer state = NULL;
  int left = MAX_PAIRS;

  while (left > 0 && f->n_attributes < FOUND_MAX_ATTRIBUTES &&
         gst_analytics_relation_meta_iterate (meta, &state, gst_analytics_cls_mtd_get_mtd_type (),
             &classes))
    if (!is_of_something (meta, classes.id, &left))
      add_attribute (f, likeliest_class (&classes));
}

gboolean
found_of_frame (GstBuffer *buffer, Found *f)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_get_analytics_relation_meta (buffer);

  *f = (Found){ .confidence = -1, .track_mtd = FOUND_NO_MTD };
  if (meta != NULL)
    read_frame (meta, f);
  return f->n_attributes > 0;
}
#else
gboolean
found_of_frame (GstBuffer *buffer, Found *f)
{
  return FALSE;
}

static void
read_twin (FoundWalk *walk, Found *f)
{
}

static gboolean
next_detection (FoundWalk *walk, Found *f)
{
  return FALSE;
}
#endif

/* --- both --- */

void
found_begin (FoundWalk *walk, GstBuffer *buffer)
{
  *walk = (FoundWalk){ .buffer = buffer, .left = FOUND_MAX_LOOK };
}

gboolean
found_next (FoundWalk *walk, Found *f)
{
  GstMeta *region = NULL;

  if (!walk->regions_done && walk->left-- > 0)
    region = gst_buffer_iterate_meta_filtered (walk->buffer, &walk->state,
        GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE);
  if (region != NULL) {
    read_region ((GstVideoRegionOfInterestMeta *) region, f);
    read_twin (walk, f);
    return TRUE;
  }
  if (!walk->regions_done) {
    walk->regions_done = TRUE;
    walk->state = NULL;
    walk->left = FOUND_MAX_LOOK;
  }
  return next_detection (walk, f);
}

void
found_end (FoundWalk *walk)
{
  g_clear_pointer (&walk->same, g_hash_table_unref);
}
