/* dsvl2: objects as GstAnalytics knows them, and the numbers that a tracker gave to objects
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "analytics.h"
#include "found.h"
#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

/* --- tracks --- */

static GArray *
add_track (GArray *tracks, const GstDsvl2Track *track)
{
  if (tracks == NULL)
    tracks = g_array_new (FALSE, FALSE, sizeof *track);
  return g_array_append_vals (tracks, track, 1);
}

GArray *
gst_dsvl2_tracks_find (GstBuffer *buffer)
{
  g_auto (FoundWalk) walk;
  GArray *tracks = NULL;
  Found f;

  found_begin (&walk, buffer);
  while (found_next (&walk, &f))
    if (f.tracked)
      tracks = add_track (tracks,
          &(GstDsvl2Track){ { (int) f.x, (int) f.y, (int) f.w, (int) f.h }, f.track, f.track_mtd });
  return tracks;
}

/* Intersection over union, 0 … 1. Boxes of others may be anything. */
static double
overlap (const GstVideoRectangle *a, const GstVideoRectangle *b)
{
  const double w = MIN ((double) a->x + a->w, (double) b->x + b->w) - MAX (a->x, b->x);
  const double h = MIN ((double) a->y + a->h, (double) b->y + b->h) - MAX (a->y, b->y);
  const double common = MAX (w, 0) * MAX (h, 0);

  return common > 0 ? common / ((double) a->w * a->h + (double) b->w * b->h - common) : 0;
}

gboolean
gst_dsvl2_tracks_take (GArray *tracks, const GstVideoRectangle *box, GstDsvl2Track *track)
{
  double best = 0;

  for (guint i = 0; tracks != NULL && i < tracks->len; i++) {
    const GstDsvl2Track *t = &g_array_index (tracks, GstDsvl2Track, i);
    const double common = overlap (&t->box, box);

    if (common >= 0.5 && common > best) {
      best = common;
      *track = *t;
    }
  }
  if (best == 0)
    return FALSE;
  /* One object may be tracked in both kinds of metadata. */
  for (guint i = tracks->len; i-- > 0;)
    if (g_array_index (tracks, GstDsvl2Track, i).number == track->number)
      g_array_remove_index (tracks, i);
  return TRUE;
}

/* --- objects --- */

#ifdef HAVE_ANALYTICS
void
gst_dsvl2_analytics_reserve (GstBuffer *buffer, guint n_objects)
{
  GstAnalyticsRelationMetaInitParams room = { 2 * (gsize) n_objects, 128 * (gsize) n_objects };

  if (n_objects > 0 && gst_buffer_get_analytics_relation_meta (buffer) == NULL)
    gst_buffer_add_analytics_relation_meta_full (buffer, &room);
}

int
gst_dsvl2_analytics_add (GstBuffer *buffer, GQuark label, const GstVideoRectangle *box,
    float confidence, const GstDsvl2Track *track)
{
  GstAnalyticsRelationMeta *meta = gst_buffer_add_analytics_relation_meta (buffer);
  GstAnalyticsODMtd found;
  GstAnalyticsClsMtd class;
  GstAnalyticsTrackingMtd tracking;

  if (!gst_analytics_relation_meta_add_od_mtd (meta, label, box->x, box->y, box->w, box->h, confidence,
          &found))
    return -1;
  if (gst_analytics_relation_meta_add_one_cls_mtd (meta, confidence, label, &class))
    gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, found.id,
        class.id);
  if (track == NULL)
    return (int) found.id;

  tracking.id = track->mtd;
  if (track->mtd != FOUND_NO_MTD || gst_analytics_relation_meta_add_tracking_mtd (meta, track->number,
                                        GST_CLOCK_TIME_NONE, &tracking))
    gst_analytics_relation_meta_set_relation (meta, GST_ANALYTICS_REL_TYPE_RELATE_TO, found.id,
        tracking.id);
  return (int) found.id;
}
#else
void
gst_dsvl2_analytics_reserve (GstBuffer *buffer, guint n_objects)
{
}

int
gst_dsvl2_analytics_add (GstBuffer *buffer, GQuark label, const GstVideoRectangle *box,
    float confidence, const GstDsvl2Track *track)
{
  return -1;
}
#endif
