/* dsvl2: which regions of a frame are asked about
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Those that the user names (`roi`), or objects that elements upstream found (`roi-labels`), or both: the
 * objects whose middle lies in a named region. Of one streaming thread. */
#ifndef DSVL2_REGIONS_H
#define DSVL2_REGIONS_H

#include <gst/video/video.h>

enum { REGIONS_MAX = 64 }; /* of a frame; the first ones count */

typedef struct {
  GstVideoRectangle place; /* pixels of the frame, inside it, not empty */
  GQuark label;            /* of the object that it is; 0: it is none */
  gint id;                 /* of that object's metadata; -1: it has none */
} Region;

typedef struct _Regions Regions;

/* regions_new: the whole frame. */
Regions *regions_new (void);
void regions_free (Regions *regions);

/* regions_configure: `roi` is a list of "x,y,width,height", each number in pixels or, with %, in hundredths
 * of the frame; `labels` is a list for labels_parse (). Either may be NULL or blank. The same texts again
 * cost nothing.
 * Errors: G_OPTION_ERROR, told once for a text; what was configured before stays. */
gboolean regions_configure (Regions *regions, const char *roi, const char *labels, GError **error);

/* regions_find: those of a frame, of Region, until the next call; NULL: the whole of it. It has no elements
 * if there is nothing to ask about: no such object, or named regions outside the frame.
 * Errors: G_OPTION_ERROR in the latter case, told once for a size of frame; the array is returned too. */
const GArray *regions_find (Regions *regions, GstBuffer *frame, const GstVideoInfo *info,
    GError **error);

/* regions_hull: the rectangle around the named regions. Returns FALSE if none is named or inside. */
gboolean regions_hull (const Regions *regions, const GstVideoInfo *info, GstVideoRectangle *hull);

#endif
