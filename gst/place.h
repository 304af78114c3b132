/* dsvl2: where labels and the panel of captions go, so that they hide little
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_PLACE_H
#define DSVL2_PLACE_H

#include <glib.h>

typedef struct {
  double x, y, w, h;
} Rect;

/* The area that two have in common. */
double rect_common (const Rect *a, const Rect *b);

/* place_tag: where the label of box `own` goes, w × h in size: above the box if it can, else wherever it hides
 * least of the tags that are placed already, of the panel (empty: none) and of other boxes. In the frame,
 * unless it is larger than that.
 *   boxes   n_boxes of them, `own` is one's number
 *   tags    those placed so far */
Rect place_tag (const Rect *frame, const Rect *boxes, guint n_boxes, guint own, const Rect *tags,
    guint n_tags, const Rect *panel, double w, double h);

/* place_panel: TRUE if a panel at `top` hides less of the boxes than one at `bottom`. */
gboolean place_panel (const Rect *top, const Rect *bottom, const Rect *boxes, guint n_boxes);

#endif
