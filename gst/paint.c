/* dsvl2: outlines, tags and panels, painted with Cairo and Pango
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "paint.h"
#include <math.h>

static const guint32 dark = 0x0b0f14, light = 0xffffff;
static const double halo = 1, panel_opacity = 0.72;

void
item_clear (gpointer item)
{
  g_clear_object (&((Item *) item)->layout);
}

/* --- one item --- */

static void
set_colour (cairo_t *cr, guint32 rgb, double alpha)
{
  cairo_set_source_rgba (cr, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0,
      alpha);
}

/* Dark letters on light colours, light ones on dark. */
static guint32
letters_on (guint32 rgb)
{
  return 0.299 * (rgb >> 16 & 255) + 0.587 * (rgb >> 8 & 255) + 0.114 * (rgb & 255) > 110 ? dark
                                                                                          : light;
}

static void
rounded_rectangle (cairo_t *cr, const Rect *r, double radius)
{
  const double k = MAX (MIN (radius, MIN (r->w, r->h) / 2), 0), right = r->x + r->w,
               bottom = r->y + r->h;

  cairo_new_sub_path (cr);
  cairo_arc (cr, right - k, r->y + k, k, -G_PI_2, 0);
  cairo_arc (cr, right - k, bottom - k, k, 0, G_PI_2);
  cairo_arc (cr, r->x + k, bottom - k, k, G_PI_2, G_PI);
  cairo_arc (cr, r->x + k, r->y + k, k, G_PI, 3 * G_PI_2);
  cairo_close_path (cr);
}

/* Inside its rectangle, with a dark seam that keeps it apart from bright scenes. */
static void
paint_outline (cairo_t *cr, const Item *item)
{
  const Rect *r = &item->at;
  const double in = MIN (item->size, MIN (r->w, r->h) / 2) / 2;
  const Rect middle = { r->x + in, r->y + in, r->w - 2 * in, r->h - 2 * in };

  rounded_rectangle (cr, &middle, in);
  set_colour (cr, 0, 0.45 * item->opacity);
  cairo_set_line_width (cr, 2 * in + 2 * halo);
  cairo_stroke_preserve (cr);
  set_colour (cr, item->colour, item->opacity);
  cairo_set_line_width (cr, 2 * in);
  cairo_stroke (cr);
}

static void
paint_text (cairo_t *cr, const Item *item, guint32 colour)
{
  set_colour (cr, colour, item->opacity);
  cairo_move_to (cr, item->text_x, item->text_y);
  pango_cairo_update_layout (cr, item->layout);
  pango_cairo_show_layout (cr, item->layout);
}

static void
paint_item (cairo_t *cr, const Item *item)
{
  switch (item->kind) {
    case ITEM_OUTLINE:
      paint_outline (cr, item);
      break;
    case ITEM_TAG:
      /* Letters may be taller than their line (accents on accents): they end where the tag does. */
      cairo_save (cr);
      rounded_rectangle (cr, &item->at, item->size);
      cairo_clip (cr);
      set_colour (cr, item->colour, item->opacity);
      cairo_paint (cr);
      paint_text (cr, item, letters_on (item->colour));
      cairo_restore (cr);
      break;
    case ITEM_PANEL:
      rounded_rectangle (cr, &item->at, item->size);
      set_colour (cr, item->colour, panel_opacity * item->opacity);
      cairo_fill (cr);
      break;
    case ITEM_TEXT:
      cairo_save (cr);
      cairo_rectangle (cr, item->at.x, item->at.y, item->at.w, item->at.h);
      cairo_clip (cr);
      paint_text (cr, item, item->colour);
      cairo_restore (cr);
      break;
  }
}

/* --- areas of pixels --- */

/* An area that is painted, and what is in it. */
typedef struct {
  Area area;
  const Item *items;
  guint n;
} Patch;

typedef struct {
  GArray *patches; /* of Patch */
  int width, height;
  double par;
} Plan;

/* Some patches of a plan. */
typedef struct {
  const Plan *plan;
  guint first, n;
} Patches;

/* Each within its area, so that a large outline costs no more than its lines. */
static void
paint_patches (cairo_t *cr, gpointer user_data)
{
  const Patches *p = user_data;

  for (guint i = p->first; i < p->first + p->n; i++) {
    const Patch *patch = &g_array_index (p->plan->patches, Patch, i);

    cairo_save (cr);
    cairo_rectangle (cr, patch->area.x, patch->area.y, patch->area.w, patch->area.h);
    cairo_clip (cr);
    cairo_scale (cr, 1 / p->plan->par, 1);
    for (guint k = 0; k < patch->n; k++)
      paint_item (cr, &patch->items[k]);
    cairo_restore (cr);
  }
}

/* The pixels that a rectangle touches, if any are in the frame. */
static void
add_patch (Plan *plan, double x0, double y0, double x1, double y1, const Item *items, guint n)
{
  const int left = (int) floor (CLAMP (x0 / plan->par, 0, plan->width));
  const int right = (int) ceil (CLAMP (x1 / plan->par, 0, plan->width));
  const int top = (int) floor (CLAMP (y0, 0, plan->height)),
            bottom = (int) ceil (CLAMP (y1, 0, plan->height));
  const Patch patch = { { left, top, right - left, bottom - top }, items, n };

  if (right > left && bottom > top)
    g_array_append_val (plan->patches, patch);
}

/* The four sides of an outline, which is empty inside. */
static void
add_sides (Plan *plan, const Item *item)
{
  const double line = ceil (MAX (item->size, 1) + halo) + 1;
  const double x0 = item->at.x - halo, x1 = item->at.x + item->at.w + halo;
  const double y0 = item->at.y - halo, y1 = item->at.y + item->at.h + halo;
  const double across = ceil (line / plan->par) * plan->par; /* whole pixels */

  if (x1 - x0 <= 3 * across || y1 - y0 <= 3 * line) {
    add_patch (plan, x0, y0, x1, y1, item, 1);
    return;
  }
  add_patch (plan, x0, y0, x1, y0 + line, item, 1);
  add_patch (plan, x0, y1 - line, x1, y1, item, 1);
  add_patch (plan, x0, y0 + line, x0 + across, y1 - line, item, 1);
  add_patch (plan, x1 - across, y0 + line, x1, y1 - line, item, 1);
}

static void
plan_patches (Plan *plan, const GArray *items)
{
  for (guint i = 0; i < items->len; i++) {
    const Item *item = &g_array_index (items, Item, i);
    guint n = 1;

    while (item->kind == ITEM_PANEL && i + n < items->len && item[n].kind == ITEM_TEXT)
      n++;
    if (item->kind == ITEM_OUTLINE)
      add_sides (plan, item);
    else
      add_patch (plan, item->at.x, item->at.y, item->at.x + item->at.w, item->at.y + item->at.h, item,
          n);
    i += n - 1;
  }
}

/* Whether the patches are painted one by one. If not, the area of all is; memory and time stay those of one frame,
 * however many and however large the items are. */
static gboolean
is_sparse (const Plan *plan, guint most, Area *all)
{
  const guint n = plan->patches->len;
  gint64 pixels = 0;
  int x0 = plan->width, y0 = plan->height, x1 = 0, y1 = 0;

  for (guint i = 0; i < n; i++) {
    const Area *a = &g_array_index (plan->patches, Patch, i).area;

    pixels += (gint64) a->w * a->h;
    x0 = MIN (x0, a->x), x1 = MAX (x1, a->x + a->w);
    y0 = MIN (y0, a->y), y1 = MAX (y1, a->y + a->h);
  }
  *all = (Area){ x0, y0, x1 - x0, y1 - y0 };
  return n <= most && pixels <= (gint64) all->w * all->h;
}

/* --- pieces that are kept --- */

static void
piece_free (gpointer piece)
{
  gst_video_overlay_rectangle_unref (piece);
}

GHashTable *
pieces_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, piece_free);
}

/* All that is to be seen in some patches, as text. */
static char *
describe (const Area *area, const Patches *patches)
{
  GString *key = g_string_new (NULL);

  g_string_append_printf (key, "%d %d %d %d", area->x, area->y, area->w, area->h);
  for (guint i = patches->first; i < patches->first + patches->n; i++) {
    const Patch *patch = &g_array_index (patches->plan->patches, Patch, i);

    for (guint k = 0; k < patch->n; k++) {
      const Item *item = &patch->items[k];

      g_string_append_printf (key, "\n%d %g %g %g %g %x %g %g %g %g %u ", item->kind, item->at.x,
          item->at.y, item->at.w, item->at.h, item->colour, item->opacity, item->size, item->text_x,
          item->text_y, item->n_pale);
      if (item->layout != NULL)
        g_string_append_printf (key, "%d %s", pango_layout_get_height (item->layout),
            pango_layout_get_text (item->layout));
    }
  }
  return g_string_free (key, FALSE);
}

typedef struct {
  GstVideoOverlayComposition *all;
  GHashTable *before, *kept;
  const GstVideoColorimetry *yuv;
} Pieces;

static void
add_piece (Pieces *pieces, const Area *area, Patches *patches)
{
  char *key = describe (area, patches);
  GstVideoOverlayRectangle *piece = g_hash_table_lookup (pieces->before, key);

  if (piece != NULL)
    gst_video_overlay_rectangle_ref (piece);
  else
    piece = piece_new (area, pieces->yuv, paint_patches, patches);
  if (pieces->all == NULL)
    pieces->all = gst_video_overlay_composition_new (piece);
  else
    gst_video_overlay_composition_add_rectangle (pieces->all, piece);
  g_hash_table_replace (pieces->kept, key, piece);
}

GstVideoOverlayComposition *
items_compose (const GArray *items, int width, int height, double par, const GstVideoColorimetry *yuv,
    guint most, GHashTable **kept)
{
  Plan plan = { g_array_new (FALSE, FALSE, sizeof (Patch)), width, height, par };
  Patches patches = { &plan, 0, 1 };
  Pieces pieces = { NULL, *kept, pieces_new (), yuv };
  Area all;

  plan_patches (&plan, items);
  if (is_sparse (&plan, most, &all))
    for (; patches.first < plan.patches->len; patches.first++)
      add_piece (&pieces, &g_array_index (plan.patches, Patch, patches.first).area, &patches);
  else {
    patches.n = plan.patches->len;
    add_piece (&pieces, &all, &patches);
  }
  g_array_unref (plan.patches);
  g_hash_table_unref (*kept);
  *kept = pieces.kept;
  return pieces.all;
}
