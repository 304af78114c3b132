/* dsvl2: boxes, labels and a caption as a picture over the video
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What dsvl2overlay shows, drawn with Cairo and Pango, without a pad or a buffer of video in it. Texts
 * may come from a model or a stranger: they are cleaned, cut and never read as markup. */
#ifndef DSVL2_DRAW_H
#define DSVL2_DRAW_H

#include <gst/video/video.h>
#include <pango/pango.h>

enum { DRAW_MAX_BOXES = 512, DRAW_MAX_LABEL = 48, DRAW_MAX_CAPTION = 600 };

typedef enum { DRAW_BOTTOM, DRAW_TOP } DrawPosition;

typedef struct {
  gboolean show_labels, show_confidence, show_caption;
  char *font;         /* Pango's description; without a size in it, texts grow with the frame */
  guint line_width;   /* pixels; 0: grows with the frame */
  gint caption_place; /* DrawPosition */
} DrawStyle;

typedef struct _Drawing Drawing;

/* drawing_new: an empty one, with fonts of its own: use it from one thread at a time. */
Drawing *drawing_new (void);
void drawing_free (Drawing *d);

/* drawing_begin: what follows is over one frame of that size. With `blend` the picture is made to be blended
 * into frames of that format: in their own colours, so that blending need not convert it each time. */
void drawing_begin (Drawing *d, const GstVideoInfo *info, gboolean blend, const DrawStyle *style);
/* Pixels, anywhere; confidence below 0 is unknown. Beyond DRAW_MAX_BOXES they are passed over. */
void drawing_add_box (Drawing *d, guint x, guint y, guint w, guint h, const char *label,
    double confidence);
void drawing_add_caption (Drawing *d, const char *caption);
/* The picture, drawn anew only if anything differs from the frame before; NULL if there is nothing to
 * see. The drawing keeps it. */
GstVideoOverlayComposition *drawing_end (Drawing *d);
/* How often it was drawn. */
guint drawing_get_count (const Drawing *d);

#endif
