/* dsvl2: outlines, tags and panels, painted with Cairo and Pango
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Lengths are those of the picture as it is seen: where pixels are not square, a pixel is `par` wide and one
 * high, so that circles are round and letters have their shape. */
#ifndef DSVL2_PAINT_H
#define DSVL2_PAINT_H

#include <pango/pangocairo.h>
#include "pieces.h"
#include "place.h"

typedef enum { ITEM_OUTLINE, ITEM_TAG, ITEM_PANEL, ITEM_TEXT } ItemKind;

typedef struct {
  ItemKind kind;
  Rect at;
  guint32 colour;      /* 0xRRGGBB: of the outline, the tag, the letters of a text */
  double opacity;      /* 0 … 1 */
  double size;         /* width of the outline's line, radius of the corners of a tag or panel */
  PangoLayout *layout; /* of a tag or text, or NULL */
  double text_x, text_y;
  guint n_pale; /* bytes at the beginning of the text that are paler, which the layout knows */
} Item;

/* For a GArray of them. */
void item_clear (gpointer item);

/* pieces_new: no pieces, for items_compose () to keep. Free with g_hash_table_unref (). */
GHashTable *pieces_new (void);

/* items_compose: the items, the later ones on top, as pieces of a width × height frame; NULL if none is in it.
 *   yuv   as piece_new () takes it
 *   most  pieces at most, at least 1; there are fewer where they would be larger together than one for all
 *   kept  the pieces of the picture before, for the same frame and colours: those that are needed again are not
 *         drawn again; then those of this picture */
GstVideoOverlayComposition *items_compose (const GArray *items, int width, int height, double par,
    const GstVideoColorimetry *yuv, guint most, GHashTable **kept);

#endif
