/* dsvl2: drawings as the rectangles of a GstVideoOverlayComposition, and these onto frames
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_PIECES_H
#define DSVL2_PIECES_H

#include <cairo.h>
#include <gst/video/video.h>

typedef struct {
  int x, y, w, h;
} Area;

typedef void (*PieceDraw) (cairo_t *cr, gpointer user_data);

/* piece_new: what `draw` draws in an area of the frame, whose pixels are Cairo's units; it is called once.
 * With `yuv` the pixels are AYUV in these colours (matrix and range): blended into frames of the same colours
 * they need no conversion. Otherwise they are premultiplied ARGB. */
GstVideoOverlayRectangle *piece_new (const Area *area, const GstVideoColorimetry *yuv, PieceDraw draw,
    gpointer user_data);

/* pieces_blend: draws a composition of pieces, moved by (dx, dy), onto a frame that is mapped for writing, which
 * costs as much as the pieces are large. FALSE if a piece could not be: gst_video_blend () knows why. */
gboolean pieces_blend (GstVideoOverlayComposition *pieces, int dx, int dy, GstVideoFrame *frame);

/* pieces_can_blend: whether frames of a format can be drawn on at all. */
gboolean pieces_can_blend (const GstVideoInfo *info);

#endif
