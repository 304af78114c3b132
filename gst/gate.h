/* dsvl2: whether a frame that is due is worth an analysis
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * When is the policy's (handover.h); this looks at the frame. One that shows nothing (a gap, a frame that
 * is decoded for others only, or outside its segment) is not worth it. Nor is one that looks like the
 * last that was analysed, if such a difference is asked for.
 *
 * Frames are compared as 64 × 36 cells, each the mean brightness of sixteen of its pixels, so that noise
 * and compression do not count. Cells differ when their brightness does by more than 5 % of its range.
 * The difference of two frames is the share of cells that differ, 0 … 1: small things that come or go
 * count by the area that they take, whatever the rest does. Colour does not count. */
#ifndef DSVL2_GATE_H
#define DSVL2_GATE_H

#include <gst/video/video.h>
#include "handover.h"

enum { GATE_COLUMNS = 64, GATE_ROWS = 36 };

typedef struct {
  guint8 cell[GATE_ROWS][GATE_COLUMNS];
} GateLook;

/* All zero at first. Of one thread. */
typedef struct {
  GateLook next, analysed;
  gboolean known; /* what was analysed last looked like */
} Gate;

/* gate_look: what a frame looks like in a region of it (NULL: all), with luma weights of BT.709 for RGB.
 * Returns FALSE if its format has no samples of 8 … 16 bits that can be read in place. */
gboolean gate_look (GateLook *look, const GstVideoFrame *frame, const GstVideoRectangle *region);

/* gate_difference: the share of cells that differ. */
double gate_difference (const GateLook *a, const GateLook *b);

/* gate_judge: what is to be done with a frame after the policy has judged it. A frame of which the region
 * differs by less than `threshold` is HANDOVER_UNCHANGED; 0 compares nothing. The frame is remembered as
 * the last one that was analysed if it is to be. */
HandoverDue gate_judge (Gate *gate, HandoverDue due, double threshold, GstBuffer *frame,
    const GstVideoInfo *info, const GstVideoRectangle *region, const GstSegment *segment);

#endif
