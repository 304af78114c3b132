/* dsvl2: boxes, labels and a caption as a picture over the video
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"
#include "gstdsvl2meta.h"
#include <pango/pangocairo.h>
#include <math.h>

typedef struct {
  double x, y, w, h;
} Rect;

typedef struct {
  Rect at;
  char *text; /* of its tag, or NULL */
  guint32 colour;
} Box;

struct _Drawing {
  PangoContext *pango;
  GstVideoInfo info;
  int width, height;
  gboolean yuv; /* the picture is AYUV, as the frames are YCbCr */
  DrawStyle style;
  GArray *boxes; /* of Box */
  GString *caption;
  GString *key, *drawn_key; /* all that the picture depends on, as text: now, and when it was drawn */
  GstVideoOverlayComposition *picture;
  guint count;
};

/* Colours that are told apart on any scene, each with dark text on it. 0xRRGGBB. */
static const guint32 palette[] = { 0x4cc9f0, 0xffd166, 0x80ed99, 0xff8fa3, 0xc8b6ff, 0xffa94d, 0x5eead4,
  0xf0abfc, 0xd9f99d, 0x93c5fd, 0xfca5a5, 0xfde047 };

static void
box_clear (gpointer box)
{
  g_free (((Box *) box)->text);
}

Drawing *
drawing_new (void)
{
  Drawing *d = g_new0 (Drawing, 1);
  PangoFontMap *fonts = pango_cairo_font_map_new ();

  d->pango = pango_font_map_create_context (fonts);
  g_object_unref (fonts);
  d->boxes = g_array_new (FALSE, FALSE, sizeof (Box));
  g_array_set_clear_func (d->boxes, box_clear);
  d->caption = g_string_new (NULL);
  d->key = g_string_new (NULL);
  d->drawn_key = g_string_new (NULL);
  return d;
}

void
drawing_free (Drawing *d)
{
  if (d == NULL)
    return;
  g_clear_pointer (&d->picture, gst_video_overlay_composition_unref);
  g_object_unref (d->pango);
  g_array_unref (d->boxes);
  g_string_free (d->caption, TRUE);
  g_string_free (d->key, TRUE);
  g_string_free (d->drawn_key, TRUE);
  g_free (d->style.font);
  g_free (d);
}

guint
drawing_get_count (const Drawing *d)
{
  return d->count;
}

/* --- what is to be seen --- */

void
drawing_begin (Drawing *d, const GstVideoInfo *info, gboolean blend, const DrawStyle *style)
{
  g_free (d->style.font);
  d->style = *style;
  d->style.font = g_strdup (style->font);
  d->info = *info;
  d->width = GST_VIDEO_INFO_WIDTH (info);
  d->height = GST_VIDEO_INFO_HEIGHT (info);
  d->yuv = blend && GST_VIDEO_INFO_IS_YUV (info);
  g_array_set_size (d->boxes, 0);
  g_string_truncate (d->caption, 0);
  g_string_printf (d->key, "%d %d %d %d %d %u %d %s\n", d->width, d->height, d->yuv,
      info->colorimetry.matrix, info->colorimetry.range, style->line_width, style->caption_place,
      style->font != NULL ? style->font : "");
}

static char *
tag_text (const Drawing *d, const char *label, double confidence)
{
  g_autofree char *clean = gst_dsvl2_clean_text (label, DRAW_MAX_LABEL);
  const gboolean percent = d->style.show_confidence && confidence >= 0 && confidence <= 1;

  if (!d->style.show_labels)
    return percent ? g_strdup_printf ("%.0f%%", 100 * confidence) : NULL;
  if (percent)
    return g_strdup_printf ("%s%s%.0f%%", clean, *clean ? " " : "", 100 * confidence);
  return *clean ? g_steal_pointer (&clean) : NULL;
}

void
drawing_add_box (Drawing *d, guint x, guint y, guint w, guint h, const char *label, double confidence)
{
  const guint width = (guint) d->width, height = (guint) d->height;
  Box box;

  if (d->boxes->len >= DRAW_MAX_BOXES || x >= width || y >= height || w == 0 || h == 0)
    return;
  box.at = (Rect){ x, y, MIN (w, width - x), MIN (h, height - y) };
  box.text = tag_text (d, label, confidence);
  box.colour = palette[(guint) gst_dsvl2_label_id (label) % G_N_ELEMENTS (palette)];
  g_array_append_val (d->boxes, box);
  g_string_append_printf (d->key, "%u %u %g %g %x %s\n", x, y, box.at.w, box.at.h, box.colour,
      box.text != NULL ? box.text : "");
}

void
drawing_add_caption (Drawing *d, const char *caption)
{
  g_autofree char *clean = gst_dsvl2_clean_text (caption, DRAW_MAX_CAPTION);

  if (!d->style.show_caption || !*clean)
    return;
  if (d->caption->len > 0)
    g_string_append (d->caption, " · ");
  g_string_append (d->caption, clean);
  g_string_append_printf (d->key, "= %s\n", clean);
}

/* --- drawing --- */

static void
set_colour (cairo_t *cr, guint32 rgb, double alpha)
{
  cairo_set_source_rgba (cr, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0,
      alpha);
}

static void
rounded_rectangle (cairo_t *cr, const Rect *r, double radius)
{
  const double k = MIN (radius, MIN (r->w, r->h) / 2), right = r->x + r->w, bottom = r->y + r->h;

  cairo_new_sub_path (cr);
  cairo_arc (cr, right - k, r->y + k, k, -G_PI_2, 0);
  cairo_arc (cr, right - k, bottom - k, k, 0, G_PI_2);
  cairo_arc (cr, r->x + k, bottom - k, k, G_PI_2, G_PI);
  cairo_arc (cr, r->x + k, r->y + k, k, G_PI, 3 * G_PI_2);
  cairo_close_path (cr);
}

/* A text in letters of so many pixels, unless the font says a size; a caption may have several lines. */
static PangoLayout *
layout_new (Drawing *d, const char *text, double pixels, gboolean caption)
{
  PangoLayout *layout = pango_layout_new (d->pango);
  PangoFontDescription *font =
      pango_font_description_from_string (d->style.font != NULL ? d->style.font : "Sans");

  if (!(pango_font_description_get_set_fields (font) & PANGO_FONT_MASK_SIZE))
    pango_font_description_set_absolute_size (font, pixels * PANGO_SCALE);
  pango_layout_set_font_description (layout, font);
  pango_font_description_free (font);
  pango_layout_set_text (layout, text, -1);
  pango_layout_set_ellipsize (layout, PANGO_ELLIPSIZE_END);
  if (caption)
    pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
  else
    pango_layout_set_single_paragraph_mode (layout, TRUE);
  return layout;
}

static void
draw_frame (cairo_t *cr, const Box *box, double line)
{
  const Rect *r = &box->at;
  const double in = MIN (line, MIN (r->w, r->h) / 2) / 2;

  cairo_rectangle (cr, r->x + in, r->y + in, r->w - 2 * in, r->h - 2 * in);
  cairo_set_line_join (cr, CAIRO_LINE_JOIN_MITER);
  set_colour (cr, 0x000000, 0.45);
  cairo_set_line_width (cr, 2 * in + 2);
  cairo_stroke_preserve (cr);
  set_colour (cr, box->colour, 1);
  cairo_set_line_width (cr, 2 * in);
  cairo_stroke (cr);
}

static gboolean
overlap (const Rect *a, const Rect *b)
{
  return a->x < b->x + b->w && b->x < a->x + a->w && a->y < b->y + b->h && b->y < a->y + a->h;
}

/* A tag goes above its box, inside it or below: where it is in the frame and on no other tag. */
static Rect
place_tag (const Drawing *d, const Rect *box, double w, double h, const GArray *placed)
{
  const double x = CLAMP (box->x, 0, MAX (d->width - w, 0));
  const double ys[] = { box->y - h, box->y, box->y + box->h, box->y + box->h - h };
  Rect best = { x, box->y >= h ? box->y - h : box->y, w, h };

  for (guint i = 0; i < G_N_ELEMENTS (ys); i++) {
    const Rect r = { x, ys[i], w, h };
    gboolean is_free = r.y >= 0 && r.y + h <= d->height;

    for (guint k = 0; is_free && k < placed->len; k++)
      is_free = !overlap (&r, &g_array_index (placed, Rect, k));
    if (is_free)
      return r;
  }
  return best;
}

static void
draw_tag (Drawing *d, cairo_t *cr, const Box *box, double pixels, GArray *placed)
{
  PangoLayout *layout = layout_new (d, box->text, pixels, FALSE);
  const double pad = ceil (pixels / 4);
  PangoRectangle logical;
  Rect r;

  /* Right-to-left text stands at the right of the layout's width: draw from where its ink is. */
  pango_layout_set_width (layout, (int) (MAX (d->width - 2 * pad, 1) * PANGO_SCALE));
  pango_layout_get_pixel_extents (layout, NULL, &logical);
  r = place_tag (d, &box->at, logical.width + 2 * pad, logical.height, placed);
  g_array_append_val (placed, r);

  set_colour (cr, box->colour, 1);
  rounded_rectangle (cr, &r, pixels / 6);
  cairo_fill (cr);
  set_colour (cr, 0x10151c, 1);
  cairo_move_to (cr, r.x + pad - logical.x, r.y);
  pango_cairo_show_layout (cr, layout);
  g_object_unref (layout);
}

static void
draw_caption (Drawing *d, cairo_t *cr, double pixels)
{
  PangoLayout *layout = layout_new (d, d->caption->str, pixels, TRUE);
  const double pad = ceil (pixels * 0.55), margin = ceil (pixels * 0.5);
  const double most_w = MAX (d->width - 2 * (margin + pad), 1), most_h = d->height * 0.4;
  PangoRectangle logical;
  Rect r;

  pango_layout_set_width (layout, (int) (most_w * PANGO_SCALE));
  pango_layout_set_height (layout, (int) (most_h * PANGO_SCALE));
  pango_layout_get_pixel_extents (layout, NULL, &logical);
  r.w = logical.width + 2 * pad;
  r.h = MIN (logical.height + pad, d->height);
  r.x = floor ((d->width - r.w) / 2);
  r.y = d->style.caption_place == DRAW_TOP ? MIN (margin, d->height - r.h)
                                           : MAX (d->height - margin - r.h, 0);

  set_colour (cr, 0x0b0f14, 0.72);
  rounded_rectangle (cr, &r, pixels / 2);
  cairo_fill_preserve (cr);
  cairo_clip (cr);
  set_colour (cr, 0xffffff, 1);
  cairo_move_to (cr, r.x + pad - logical.x, floor (r.y + pad / 2));
  pango_cairo_show_layout (cr, layout);
  cairo_reset_clip (cr);
  g_object_unref (layout);
}

static void
draw_all (Drawing *d, cairo_t *cr)
{
  const double line =
      d->style.line_width > 0 ? d->style.line_width : MAX (2, round (d->height / 260.0));
  const double tag = CLAMP (d->height / 38.0, 10, 60), caption = CLAMP (d->height / 27.0, 11, 80);
  g_autoptr (GArray) placed = g_array_new (FALSE, FALSE, sizeof (Rect));

  pango_cairo_update_context (cr, d->pango);
  for (guint i = 0; i < d->boxes->len; i++)
    draw_frame (cr, &g_array_index (d->boxes, Box, i), line);
  for (guint i = 0; i < d->boxes->len; i++) {
    const Box *box = &g_array_index (d->boxes, Box, i);

    if (box->text != NULL)
      draw_tag (d, cr, box, tag, placed);
  }
  if (d->caption->len > 0)
    draw_caption (d, cr, caption);
}

/* --- from pixels to a composition --- */

/* Premultiplied RGB, as Cairo draws it, to AYUV in the frame's own matrix and range, in place. */
static void
to_ayuv (guint8 *data, gsize n_pixels, const GstVideoColorimetry *colours)
{
  const gboolean full = colours->range == GST_VIDEO_COLOR_RANGE_0_255;
  const double black = full ? 0 : 16, white = full ? 255 : 219, chroma = full ? 255 : 224;
  double kr = 0.299, kb = 0.114;

  gst_video_color_matrix_get_Kr_Kb (colours->matrix, &kr, &kb);
  for (gsize i = 0; i < n_pixels; i++) {
    const guint32 argb = ((guint32 *) data)[i];
    const double alpha = argb >> 24;
    guint8 *ayuv = data + 4 * i;

    if (argb == 0)
      continue;
    const double r = MIN ((argb >> 16 & 255) / alpha, 1), g = MIN ((argb >> 8 & 255) / alpha, 1),
                 b = MIN ((argb & 255) / alpha, 1);
    const double y = kr * r + (1 - kr - kb) * g + kb * b;

    ayuv[0] = (guint8) alpha;
    ayuv[1] = (guint8) (black + white * y + 0.5);
    ayuv[2] = (guint8) MIN (128.5 + chroma * (b - y) / (2 * (1 - kb)), 255);
    ayuv[3] = (guint8) MIN (128.5 + chroma * (r - y) / (2 * (1 - kr)), 255);
  }
}

/* First and last column with anything in it; FALSE for an empty row. */
static gboolean
row_extent (const guint32 *row, int width, int *first, int *last)
{
  int a = 0, b = width - 1;

  while (a < width && row[a] == 0)
    a++;
  if (a == width)
    return FALSE;
  while (row[b] == 0)
    b--;
  *first = MIN (*first, a);
  *last = MAX (*last, b);
  return TRUE;
}

/* Rows y0 … y1 and columns x0 … x1 of the pixels, in place. */
static GstVideoOverlayRectangle *
cut (const Drawing *d, GstBuffer *pixels, int stride, int x0, int y0, int x1, int y1)
{
  const guint w = (guint) (x1 - x0), h = (guint) (y1 - y0);
  gsize offset[GST_VIDEO_MAX_PLANES] = { (gsize) x0 * 4 };
  gint strides[GST_VIDEO_MAX_PLANES] = { stride };
  GstBuffer *part = gst_buffer_copy_region (pixels, GST_BUFFER_COPY_MEMORY, (gsize) y0 * (gsize) stride,
      (gsize) h * (gsize) stride);
  GstVideoOverlayRectangle *rectangle;

  gst_buffer_add_video_meta_full (part, GST_VIDEO_FRAME_FLAG_NONE,
      d->yuv ? GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_YUV : GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, w,
      h, 1, offset, strides);
  rectangle = gst_video_overlay_rectangle_new_raw (part, x0, y0, w, h,
      d->yuv ? GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE : GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
  gst_buffer_unref (part);
  return rectangle;
}

/* Blending a rectangle costs as much as its rows are many, so rows without anything are left out: in
 * pairs, because two rows may share their chroma. */
static GstVideoOverlayComposition *
compose (const Drawing *d, GstBuffer *pixels, const guint8 *data)
{
  const int width = d->width, height = d->height, stride = 4 * width;
  GstVideoOverlayComposition *composition = NULL;
  int first = width, last = -1, start = -1;

  for (int y = 0; y <= height; y += 2) {
    gboolean any = FALSE;

    for (int k = y; k < MIN (y + 2, height); k++)
      any |= row_extent ((const guint32 *) (data + (gsize) k * (gsize) stride), width, &first, &last);
    if (any && start < 0)
      start = y;
    if (start >= 0 && (!any || y + 2 >= height)) {
      const int end = MIN (any ? y + 2 : y, height);
      GstVideoOverlayRectangle *r = cut (d, pixels, stride, first, start, last + 1, end);

      if (composition == NULL)
        composition = gst_video_overlay_composition_new (r);
      else
        gst_video_overlay_composition_add_rectangle (composition, r);
      gst_video_overlay_rectangle_unref (r);
      first = width, last = -1, start = -1;
    }
  }
  return composition;
}

static GstVideoOverlayComposition *
draw_picture (Drawing *d)
{
  const int stride = 4 * d->width;
  GstBuffer *pixels = gst_buffer_new_allocate (NULL, (gsize) stride * (gsize) d->height, NULL);
  GstVideoOverlayComposition *composition = NULL;
  cairo_surface_t *surface;
  GstMapInfo map;
  cairo_t *cr;

  gst_buffer_memset (pixels, 0, 0, gst_buffer_get_size (pixels));
  gst_buffer_map (pixels, &map, GST_MAP_READWRITE);
  /* GStreamer names the bytes (BGRA or ARGB by the machine's order), Cairo the word: the same. */
  surface =
      cairo_image_surface_create_for_data (map.data, CAIRO_FORMAT_ARGB32, d->width, d->height, stride);
  cr = cairo_create (surface);
  draw_all (d, cr);
  cairo_destroy (cr);
  cairo_surface_flush (surface);
  cairo_surface_destroy (surface);
  if (d->yuv)
    to_ayuv (map.data, map.size / 4, &d->info.colorimetry);
  composition = compose (d, pixels, map.data);
  gst_buffer_unmap (pixels, &map);
  gst_buffer_unref (pixels);
  d->count++;
  return composition;
}

GstVideoOverlayComposition *
drawing_end (Drawing *d)
{
  if (!g_string_equal (d->key, d->drawn_key)) {
    g_clear_pointer (&d->picture, gst_video_overlay_composition_unref);
    if (d->boxes->len > 0 || d->caption->len > 0)
      d->picture = draw_picture (d);
    g_string_assign (d->drawn_key, d->key->str);
  }
  return d->picture;
}
