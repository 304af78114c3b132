/* dsvl2: drawings as the rectangles of a GstVideoOverlayComposition, and these onto frames
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pieces.h"
#include <string.h>

/* --- drawing one --- */

/* Premultiplied RGB, as Cairo draws it, to AYUV in the frame's own matrix and range, in place. */
static void
to_ayuv (guint8 *data, gsize n_pixels, const GstVideoColorimetry *colours)
{
  const gboolean full = colours->range == GST_VIDEO_COLOR_RANGE_0_255;
  const double black = full ? 0 : 16, white = full ? 255 : 219, chroma = full ? 255 : 224;
  double kr = 0.299, kb = 0.114;
  guint32 last = 0, last_ayuv = 0;

  gst_video_color_matrix_get_Kr_Kb (colours->matrix, &kr, &kb);
  for (gsize i = 0; i < n_pixels; i++) {
    const guint32 argb = ((guint32 *) data)[i];
    guint8 *ayuv = data + 4 * i;

    if (argb == 0)
      continue;
    if (argb != last) { /* most pixels have the colour of the one before */
      const double alpha = argb >> 24;
      const double r = MIN ((argb >> 16 & 255) / alpha, 1), g = MIN ((argb >> 8 & 255) / alpha, 1),
                   b = MIN ((argb & 255) / alpha, 1);
      const double y = kr * r + (1 - kr - kb) * g + kb * b;

      ayuv[0] = (guint8) alpha;
      ayuv[1] = (guint8) (black + white * y + 0.5);
      ayuv[2] = (guint8) MIN (128.5 + chroma * (b - y) / (2 * (1 - kb)), 255);
      ayuv[3] = (guint8) MIN (128.5 + chroma * (r - y) / (2 * (1 - kr)), 255);
      last = argb;
      last_ayuv = ((guint32 *) data)[i];
    }
    ((guint32 *) data)[i] = last_ayuv;
  }
}

static void
draw_area (guint8 *data, const Area *area, PieceDraw draw, gpointer user_data)
{
  /* GStreamer names the bytes (BGRA or ARGB by the machine's order), Cairo the word: the same. */
  cairo_surface_t *surface =
      cairo_image_surface_create_for_data (data, CAIRO_FORMAT_ARGB32, area->w, area->h, 4 * area->w);
  cairo_t *cr = cairo_create (surface);

  cairo_translate (cr, -area->x, -area->y);
  draw (cr, user_data);
  cairo_destroy (cr);
  cairo_surface_flush (surface);
  cairo_surface_destroy (surface);
}

GstVideoOverlayRectangle *
piece_new (const Area *area, const GstVideoColorimetry *yuv, PieceDraw draw, gpointer user_data)
{
  const gsize size = 4 * (gsize) area->w * (gsize) area->h;
  guint8 *data = g_malloc0 (size);
  GstBuffer *pixels = gst_buffer_new_wrapped (data, size);
  GstVideoOverlayRectangle *piece;

  draw_area (data, area, draw, user_data);
  if (yuv != NULL)
    to_ayuv (data, size / 4, yuv);
  gst_buffer_add_video_meta (pixels, GST_VIDEO_FRAME_FLAG_NONE,
      yuv != NULL ? GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_YUV : GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB,
      (guint) area->w, (guint) area->h);
  piece =
      gst_video_overlay_rectangle_new_raw (pixels, area->x, area->y, (guint) area->w, (guint) area->h,
          yuv != NULL ? GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE
                      : GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
  gst_buffer_unref (pixels);
  return piece;
}

/* --- onto frames --- */

/* GStreamer writes some tiled formats in whole tiles only: of narrow frames a white line leaves nothing. */
static gboolean
can_pack (const GstVideoInfo *frame)
{
  const GstVideoFormatInfo *f = frame->finfo;
  const int width = MIN (GST_VIDEO_INFO_WIDTH (frame), 32),
            height = MIN (GST_VIDEO_INFO_HEIGHT (frame), 32);
  guint8 line[8 * 32];
  g_autofree guint8 *data = NULL;
  gpointer planes[GST_VIDEO_MAX_PLANES] = { NULL };
  GstVideoInfo info;

  gst_video_info_set_format (&info, GST_VIDEO_FORMAT_INFO_FORMAT (f), (guint) width, (guint) height);
  data = g_malloc0 (info.size);
  for (guint p = 0; p < GST_VIDEO_INFO_N_PLANES (&info); p++)
    planes[p] = data + GST_VIDEO_INFO_PLANE_OFFSET (&info, p);
  memset (line, 0xff, sizeof line);
  f->pack_func (f, 0, line, sizeof line, planes, info.stride, info.chroma_site, 0, width);
  for (gsize i = 0; i < info.size; i++)
    if (data[i] != 0)
      return TRUE;
  return FALSE;
}

gboolean
pieces_can_blend (const GstVideoInfo *info)
{
  const GstVideoFormatInfo *f = info->finfo;
  const GstVideoFormatInfo *unpacked = gst_video_format_get_info (f->unpack_format);

  return unpacked != NULL && f->pack_func != NULL && f->unpack_func != NULL &&
         GST_VIDEO_INFO_INTERLACE_MODE (info) != GST_VIDEO_INTERLACE_MODE_ALTERNATE &&
         (GST_VIDEO_FORMAT_INFO_BITS (unpacked) == 8 || GST_VIDEO_FORMAT_INFO_BITS (unpacked) == 16) &&
         can_pack (info);
}

/* Pixels of a format that belong together: columns and rows that share their chroma. FALSE if they are packed
 * in another way, so that a frame cannot be cut. */
static gboolean
grain_of (const GstVideoFormatInfo *f, int *across, int *down)
{
  guint w_sub = 0, h_sub = 0;

  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX (f) || GST_VIDEO_FORMAT_INFO_IS_TILED (f) ||
      GST_VIDEO_FORMAT_INFO_HAS_PALETTE (f))
    return FALSE;
  for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS (f); c++) {
    if (GST_VIDEO_FORMAT_INFO_PSTRIDE (f, c) <= 0)
      return FALSE;
    w_sub = MAX (w_sub, GST_VIDEO_FORMAT_INFO_W_SUB (f, c));
    h_sub = MAX (h_sub, GST_VIDEO_FORMAT_INFO_H_SUB (f, c));
  }
  *across = 1 << w_sub;
  *down = 1 << h_sub;
  return TRUE;
}

/* gst_video_blend () unpacks and packs the whole width of each row that it touches. So it is given no more of
 * the frame than the piece needs: `window` is the frame from (left, top) on. */
static void
cut_window (const GstVideoFrame *frame, const Area *area, GstVideoFrame *window, int *left, int *top)
{
  const GstVideoFormatInfo *f = frame->info.finfo;
  const int width = GST_VIDEO_FRAME_WIDTH (frame), height = GST_VIDEO_FRAME_HEIGHT (frame);
  int across, down, right, bottom;

  *window = *frame;
  *left = *top = 0;
  if (!grain_of (f, &across, &down))
    return;
  *left = CLAMP (area->x, 0, width - 1) / across * across;
  *top = CLAMP (area->y, 0, height - 1) / down * down;
  right = MIN ((CLAMP (area->x + area->w, 1, width) + across - 1) / across * across, width);
  bottom = MIN ((CLAMP (area->y + area->h, 1, height) + down - 1) / down * down, height);
  window->info.width = MAX (right - *left, 1);
  window->info.height = MAX (bottom - *top, 1);
  for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES (frame); p++) {
    gint components[GST_VIDEO_MAX_COMPONENTS];

    gst_video_format_info_component (f, p, components);
    window->data[p] = (guint8 *) frame->data[p] +
                      (*top >> GST_VIDEO_FORMAT_INFO_H_SUB (f, components[0])) *
                          (gssize) GST_VIDEO_FRAME_PLANE_STRIDE (frame, p) +
                      (*left >> GST_VIDEO_FORMAT_INFO_W_SUB (f, components[0])) *
                          (gssize) GST_VIDEO_FORMAT_INFO_PSTRIDE (f, components[0]);
  }
}

static gboolean
map_piece (GstVideoFrame *pixels, GstVideoOverlayRectangle *piece)
{
  const GstVideoOverlayFormatFlags flags = gst_video_overlay_rectangle_get_flags (piece);
  GstBuffer *buffer = gst_video_overlay_rectangle_get_pixels_unscaled_raw (piece, flags);
  const GstVideoMeta *meta = gst_buffer_get_video_meta (buffer);
  GstVideoInfo info;

  gst_video_info_set_format (&info, meta->format, meta->width, meta->height);
  if (flags & GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA)
    info.flags |= GST_VIDEO_FLAG_PREMULTIPLIED_ALPHA;
  return gst_video_frame_map (pixels, &info, buffer, GST_MAP_READ);
}

gboolean
pieces_blend (GstVideoOverlayComposition *pieces, int dx, int dy, GstVideoFrame *frame)
{
  const guint n = gst_video_overlay_composition_n_rectangles (pieces);
  gboolean all = TRUE;

  for (guint i = 0; i < n; i++) {
    GstVideoOverlayRectangle *piece = gst_video_overlay_composition_get_rectangle (pieces, i);
    GstVideoFrame window, pixels;
    Area area;
    guint w, h;
    int left, top;

    gst_video_overlay_rectangle_get_render_rectangle (piece, &area.x, &area.y, &w, &h);
    area = (Area){ area.x + dx, area.y + dy, (int) w, (int) h };
    if (!map_piece (&pixels, piece)) {
      all = FALSE;
      continue;
    }
    cut_window (frame, &area, &window, &left, &top);
    all = gst_video_blend (&window, &pixels, area.x - left, area.y - top, 1) && all;
    gst_video_frame_unmap (&pixels);
  }
  return all;
}
