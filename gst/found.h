/* dsvl2: the objects that a buffer's metadata describes, whoever put it there
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Read from
 *   GstVideoRegionOfInterestMeta   with DL Streamer's parameters: "detection", "object_id" (a tracker's
 *                                  number), and any others that have a `label`: what a classifier said
 *   GstAnalyticsRelationMeta       object detections, with the classifications and the tracking that they
 *                                  relate to or contain (built with GStreamer 1.24 or newer); and
 *                                  classifications that are of no object: of the frame
 *
 * A region that has the id and the place of a detection is the same object: it is found once, with what
 * both say. Nothing is checked: places, numbers and texts may be anything. */
#ifndef DSVL2_FOUND_H
#define DSVL2_FOUND_H

#include <gst/video/video.h>

enum {
  FOUND_MAX_ATTRIBUTES = 16, /* of an object; the first ones count */
  FOUND_MAX_LOOK = 8192,     /* metas of a kind that are read at all */
};

/* What a classifier said of an object. Texts are the metadata's. */
typedef struct {
  const char *name;  /* what it is about, such as "colour"; NULL: not said */
  const char *label; /* what it says, such as "red"; not NULL, not "" */
  const char *model; /* who says so; NULL: not said */
  double confidence; /* below 0: not said */
  int label_id;      /* below 0: not said */
} FoundAttribute;

typedef struct {
  const GstStructure *detection; /* the region's parameter; NULL: it has none, or this is no region */
  gint64 x, y, w, h;             /* pixels */
  GQuark type;                   /* 0: it has none */
  const char *label;             /* the detection's, else the type's; NULL if neither has one */
  double confidence;             /* below 0: not said */
  gint id;                       /* of the metadata */
  gboolean tracked;              /* a tracker has a number for it, and has not lost it */
  guint64 track;                 /* that number */
  guint track_mtd; /* what says so in the relation meta; FOUND_NO_MTD: the region's "object_id" */
  FoundAttribute attribute[FOUND_MAX_ATTRIBUTES];
  int n_attributes;
} Found;

#define FOUND_NO_MTD G_MAXUINT

/* Where one is in a buffer's objects. */
typedef struct {
  GstBuffer *buffer;
  gpointer state;
  int left; /* metas of this kind that are still looked at */
  gboolean regions_done;
  GHashTable
      *same; /* ids of the detections that were found with their regions; NULL while there are none */
} FoundWalk;

/* found_begin, found_next: `found` becomes the next object, regions first, in the buffer's order.
 * Returns FALSE after the last. found_end frees what the walk holds; the buffer owns the texts. */
void found_begin (FoundWalk *walk, GstBuffer *buffer);
gboolean found_next (FoundWalk *walk, Found *found);
void found_end (FoundWalk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FoundWalk, found_end)

/* found_of_frame: what classifiers said of the whole frame, as attributes of an object that has no place.
 * Returns FALSE if they said nothing. */
gboolean found_of_frame (GstBuffer *buffer, Found *found);

/* found_same_place: whether two boxes (x, y, w, h) have the same edges, up to what converters round. */
gboolean found_same_place (const gint64 a[4], const gint64 b[4]);

#endif
