/* dsvl2: objects as GstAnalytics knows them, and the numbers that a tracker gave to objects
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Built with GStreamer 1.24 or newer, a found object is in the buffer's one GstAnalyticsRelationMeta:
 *
 *   object detection ── RELATE_TO ──▶ classification    the label and its confidence
 *                    ── RELATE_TO ──▶ tracking          if a tracker upstream follows what is there
 *
 * With older versions the functions about that do nothing; tracks are read from regions of interest too. */
#ifndef GST_DSVL2_ANALYTICS_H
#define GST_DSVL2_ANALYTICS_H

#include <gst/video/video.h>

G_BEGIN_DECLS

/* An object that somebody upstream tracks: where it is in the frame, in pixels, and its number. */
typedef struct {
  GstVideoRectangle box;
  guint64 number;
  guint mtd; /* what says so in the relation meta, or FOUND_NO_MTD */
} GstDsvl2Track;

/* gst_dsvl2_tracks_find: the tracked objects that a buffer brings along: detections with a tracking mtd that
 * is not lost, and regions of interest with DL Streamer's parameter `object_id`; NULL if there are none.
 * Free with g_array_unref (). */
GArray *gst_dsvl2_tracks_find (GstBuffer *buffer);

/* gst_dsvl2_tracks_take: the track that `box` lies on best, at least half of their union in common; it is
 * given out once. `tracks` may be NULL.
 * Returns FALSE if there is none. */
gboolean gst_dsvl2_tracks_take (GArray *tracks, const GstVideoRectangle *box, GstDsvl2Track *track);

/* gst_dsvl2_analytics_reserve: room for so many objects more, taken at once. */
void gst_dsvl2_analytics_reserve (GstBuffer *buffer, guint n_objects);

/* gst_dsvl2_analytics_add: an object, as pictured above; `track` may be NULL.
 * Returns the id of its detection in the relation meta, or -1 where there is no GstAnalytics. */
int gst_dsvl2_analytics_add (GstBuffer *buffer, GQuark label, const GstVideoRectangle *box,
    float confidence, const GstDsvl2Track *track);

G_END_DECLS

#endif
