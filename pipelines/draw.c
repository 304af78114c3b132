/* dsvl2-chat: boxes, labels and a caption, drawn with Cairo and Pango
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"
#include <pango/pangocairo.h>

typedef struct {
  double r, g, b;
} Color;

/* Told apart by people with any colour vision: Okabe & Ito's palette without black. */
static const Color palette[] = { { 0.90, 0.62, 0.00 }, { 0.34, 0.71, 0.91 }, { 0.00, 0.62, 0.45 },
  { 0.94, 0.89, 0.26 }, { 0.84, 0.37, 0.00 }, { 0.80, 0.47, 0.65 }, { 0.00, 0.45, 0.70 } };

static const Color *
color_of_label (const char *label)
{
  return &palette[g_str_hash (label) % G_N_ELEMENTS (palette)];
}

/* A layout in the picture's type size: a fortieth of its shorter side, 10 pixels at least. */
static PangoLayout *
layout_new (cairo_t *cr, const char *text, int width, int height)
{
  PangoLayout *layout = pango_cairo_create_layout (cr);
  PangoFontDescription *font = pango_font_description_from_string ("Sans Bold");

  pango_font_description_set_absolute_size (font, MAX (10, MIN (width, height) / 40) * PANGO_SCALE);
  pango_layout_set_font_description (layout, font);
  pango_font_description_free (font);
  pango_layout_set_text (layout, text, -1);
  return layout;
}

/* The label on a tag of the box's colour: above the box, or inside it at the picture's upper edge. */
static void
draw_label (cairo_t *cr, const Dsvl2Object *object, const Color *c, int width, int height)
{
  g_autofree char *text = g_strdup_printf ("%s %.0f%%", object->label, 100 * object->confidence);
  g_autoptr (PangoLayout) layout = layout_new (cr, text, width, height);
  double x = object->x0 * width, y = object->y0 * height, pad = 3;
  int w, h;

  pango_layout_set_width (layout, width * PANGO_SCALE);
  pango_layout_set_height (layout, -1); /* one line */
  pango_layout_set_ellipsize (layout, PANGO_ELLIPSIZE_END);
  pango_layout_get_pixel_size (layout, &w, &h);
  x = CLAMP (x, 0, MAX (0, width - w - 2 * pad));
  y = y - h - pad >= 0 ? y - h - pad : y;

  cairo_set_source_rgb (cr, c->r, c->g, c->b);
  cairo_rectangle (cr, x, y, w + 2 * pad, h + pad);
  cairo_fill (cr);
  cairo_set_source_rgb (cr, 0, 0, 0);
  cairo_move_to (cr, x + pad, y + pad / 2);
  pango_cairo_show_layout (cr, layout);
}

static void
draw_box (cairo_t *cr, const Dsvl2Object *object, int width, int height)
{
  const Color *c = color_of_label (object->label);

  cairo_set_line_width (cr, MAX (2, MIN (width, height) / 200));
  cairo_set_source_rgb (cr, c->r, c->g, c->b);
  cairo_rectangle (cr, object->x0 * width, object->y0 * height, (object->x1 - object->x0) * width,
      (object->y1 - object->y0) * height);
  cairo_stroke (cr);
  draw_label (cr, object, c, width, height);
}

/* White on a dark strip along the lower edge, at most a third of the picture. */
static void
draw_caption (cairo_t *cr, const char *caption, int width, int height)
{
  g_autoptr (PangoLayout) layout = layout_new (cr, caption, width, height);
  const int pad = MAX (4, MIN (width, height) / 80);
  int h;

  pango_layout_set_width (layout, MAX (1, width - 2 * pad) * PANGO_SCALE);
  pango_layout_set_height (layout, height / 3 * PANGO_SCALE);
  pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
  pango_layout_set_ellipsize (layout, PANGO_ELLIPSIZE_END);
  pango_layout_get_pixel_size (layout, NULL, &h);

  cairo_set_source_rgba (cr, 0, 0, 0, 0.6);
  cairo_rectangle (cr, 0, height - h - 2 * pad, width, h + 2 * pad);
  cairo_fill (cr);
  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_move_to (cr, pad, height - h - pad);
  pango_cairo_show_layout (cr, layout);
}

/* The photo's pixels on a surface that may be drawn on. */
static cairo_surface_t *
copy_pixels (const GstVideoFrame *pixels)
{
  const int width = GST_VIDEO_FRAME_WIDTH (pixels), height = GST_VIDEO_FRAME_HEIGHT (pixels);
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  guint8 *to = cairo_image_surface_get_data (surface);

  for (int y = 0; to != NULL && y < height; y++)
    memcpy (to + (gsize) y * cairo_image_surface_get_stride (surface),
        GST_VIDEO_FRAME_PLANE_DATA (pixels, 0) + (gsize) y * GST_VIDEO_FRAME_PLANE_STRIDE (pixels, 0),
        4 * (gsize) width);
  cairo_surface_mark_dirty (surface);
  return surface;
}

gboolean
draw_answer (const Photo *photo, const Dsvl2Result *answer, const char *path, GError **error)
{
  const int width = GST_VIDEO_FRAME_WIDTH (photo->pixels);
  const int height = GST_VIDEO_FRAME_HEIGHT (photo->pixels);
  cairo_surface_t *surface = copy_pixels (photo->pixels);
  cairo_t *cr = cairo_create (surface);
  cairo_status_t status;

  for (int i = 0; i < answer->n_objects; i++)
    draw_box (cr, &answer->objects[i], width, height);
  if (answer->caption != NULL && *answer->caption != '\0')
    draw_caption (cr, answer->caption, width, height);
  status = cairo_status (cr);
  cairo_destroy (cr);
  if (status == CAIRO_STATUS_SUCCESS)
    status = cairo_surface_write_to_png (surface, path);
  cairo_surface_destroy (surface);

  if (status != CAIRO_STATUS_SUCCESS)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s cannot be written: %s", path,
        cairo_status_to_string (status));
  return status == CAIRO_STATUS_SUCCESS;
}
