/* dsvl2: a scene as a picture over the video: what goes where, in which letters and colours
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "draw.h"
#include "paint.h"
#include <math.h>

enum {
  MAX_PIECES = 64, /* where somebody else shows them: each may be a texture */
  MAX_PIECES_BLENDED = 4096,
  MAX_LAYOUTS = 256, /* texts of tags that are remembered */
};

/* Letters of a tag and of the panel are a part of the frame's shorter side: no smaller than can be read, and no
 * larger than frames beyond 4K need. */
static const double tag_part = 1.0 / 38, caption_part = 1.0 / 29;
static const double tag_least = 11, caption_least = 12, side_most = 2400;

/* All that a picture depends on, as text. */
typedef struct {
  GString *frame, *boxes, *captions;
} Key;

struct _Drawing {
  PangoContext *pango;
  Palette *palette;
  Key key, drawn; /* now, and when the picture was drawn */
  /* what is kept while the frame's part of the key is the same, of things that move for example */
  GHashTable *layouts; /* a tag's text → PangoLayout */
  GHashTable *pieces;  /* as items_compose () keeps them */
  GArray
      *texts; /* of Item: the captions, as stack_captions () left them; kept while they are the same */
  Rect stack;
  GString *said; /* the captions that `at_top` was decided for */
  gboolean at_top;
  GstVideoOverlayComposition *picture;
  guint count;
};

/* The picture while it is being laid out. */
typedef struct {
  Drawing *d;
  const Scene *scene;
  const DrawFor *target;
  double par;
  Rect frame; /* as it is seen: pixels of the height */
  double unit;
  GArray *items; /* of Item */
  Rect panel;
} Page;

static void
key_init (Key *key)
{
  key->frame = g_string_new (NULL);
  key->boxes = g_string_new (NULL);
  key->captions = g_string_new (NULL);
}

static void
key_clear (Key *key)
{
  g_string_free (key->frame, TRUE);
  g_string_free (key->boxes, TRUE);
  g_string_free (key->captions, TRUE);
}

Drawing *
drawing_new (void)
{
  Drawing *d = g_new0 (Drawing, 1);
  PangoFontMap *fonts = pango_cairo_font_map_new ();
  cairo_font_options_t *options = cairo_font_options_create ();

  d->pango = pango_font_map_create_context (fonts);
  g_object_unref (fonts);
  /* Texts are measured before there is a surface, and pixels need not be square. */
  cairo_font_options_set_antialias (options, CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_style (options, CAIRO_HINT_STYLE_SLIGHT);
  cairo_font_options_set_hint_metrics (options, CAIRO_HINT_METRICS_OFF);
  pango_cairo_context_set_font_options (d->pango, options);
  cairo_font_options_destroy (options);
  d->layouts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  d->palette = palette_new ();
  d->pieces = pieces_new ();
  d->texts = g_array_new (FALSE, FALSE, sizeof (Item));
  g_array_set_clear_func (d->texts, item_clear);
  key_init (&d->key);
  key_init (&d->drawn);
  d->said = g_string_new (NULL);
  return d;
}

void
drawing_free (Drawing *d)
{
  if (d == NULL)
    return;
  g_clear_pointer (&d->picture, gst_video_overlay_composition_unref);
  g_hash_table_unref (d->layouts);
  g_object_unref (d->pango);
  palette_free (d->palette);
  g_hash_table_unref (d->pieces);
  g_array_unref (d->texts);
  key_clear (&d->key);
  key_clear (&d->drawn);
  g_string_free (d->said, TRUE);
  g_free (d);
}

guint
drawing_get_count (const Drawing *d)
{
  return d->count;
}

/* --- texts --- */

static PangoFontDescription *
font_new (const char *name, double pixels)
{
  PangoFontDescription *font = pango_font_description_from_string (name != NULL ? name : "Sans");

  if (!(pango_font_description_get_set_fields (font) & PANGO_FONT_MASK_SIZE))
    pango_font_description_set_absolute_size (font, pixels * PANGO_SCALE);
  return font;
}

/* How high its letters are, nearly: in pixels, whatever the font counts in. */
static double
font_pixels (const Drawing *d, const PangoFontDescription *font)
{
  const double size = (double) pango_font_description_get_size (font) / PANGO_SCALE;
  PangoFontMap *fonts = pango_context_get_font_map (d->pango);

  return pango_font_description_get_size_is_absolute (font)
             ? size
             : size * pango_cairo_font_map_get_resolution (PANGO_CAIRO_FONT_MAP (fonts)) / 72;
}

static PangoLayout *
layout_new (Drawing *d, const PangoFontDescription *font, const char *text, double width)
{
  PangoLayout *layout = pango_layout_new (d->pango);

  pango_layout_set_font_description (layout, font);
  pango_layout_set_text (layout, text, -1);
  pango_layout_set_single_paragraph_mode (layout, TRUE);
  pango_layout_set_ellipsize (layout, PANGO_ELLIPSIZE_END);
  pango_layout_set_width (layout, (int) (MAX (width, 1) * PANGO_SCALE));
  return layout;
}

static Rect
extents_of (PangoLayout *layout)
{
  PangoRectangle logical;

  pango_layout_get_extents (layout, NULL, &logical);
  return (Rect){ (double) logical.x / PANGO_SCALE, (double) logical.y / PANGO_SCALE,
    (double) logical.width / PANGO_SCALE, (double) logical.height / PANGO_SCALE };
}

/* --- boxes and their tags --- */

static guint32
colour_of (const Page *page, const SceneBox *box)
{
  guint32 colour;

  /* What a classifier adds may change from frame to frame; the name does not. */
  const char *more = strstr (box->label, " · ");
  g_autofree char *name = more != NULL ? g_strndup (box->label, (gsize) (more - box->label)) : NULL;
  const char *label = name != NULL ? name : box->label;

  if (page->target->colours != NULL && labels_match (page->target->colours, label, &colour))
    return colour;
  return palette_colour (page->d->palette, label);
}

/* "car #7 93%" */
static char *
tag_text (const OverlaySettings *s, const SceneBox *box)
{
  GString *text = g_string_new (s->show_labels ? box->label : "");

  if (s->show_ids && box->tracked)
    g_string_append_printf (text, "%s#%" G_GUINT64_FORMAT, text->len > 0 ? " " : "", box->id);
  if (s->show_confidence && box->confidence >= 0)
    g_string_append_printf (text, "%s%.0f%%", text->len > 0 ? " " : "", 100 * box->confidence);
  return g_string_free (text, FALSE);
}

static PangoLayout *
tag_layout (Page *page, const char *text)
{
  Drawing *d = page->d;
  const OverlaySettings *s = page->target->settings;
  PangoLayout *layout = g_hash_table_lookup (d->layouts, text);
  PangoFontDescription *font;

  if (layout != NULL)
    return g_object_ref (layout);
  if (g_hash_table_size (d->layouts) >= MAX_LAYOUTS)
    g_hash_table_remove_all (d->layouts);
  font = font_new (s->font, MAX (page->unit * tag_part, tag_least) * s->font_scale);
  layout = layout_new (d, font, text, page->frame.w * 0.45);
  pango_font_description_free (font);
  g_hash_table_insert (d->layouts, g_strdup (text), g_object_ref (layout));
  return layout;
}

static void
add_tag (Page *page, guint own, const Rect *boxes, GArray *tags)
{
  const SceneBox *box = &g_array_index (page->scene->boxes, SceneBox, own);
  g_autofree char *text = tag_text (page->target->settings, box);
  Item item = {
    .kind = ITEM_TAG, .colour = colour_of (page, box), .opacity = (double) box->opacity / SCENE_OPAQUE
  };
  Rect text_at;
  double pad;

  if (*text == '\0' || box->opacity == 0)
    return;
  item.layout = tag_layout (page, text);
  text_at = extents_of (item.layout);
  pad = ceil (text_at.h * 0.22);
  item.at = place_tag (&page->frame, boxes, page->scene->boxes->len, own,
      (const Rect *) (gpointer) tags->data, tags->len, &page->panel, ceil (text_at.w) + 2 * pad,
      ceil (text_at.h));
  item.size = text_at.h / 7;
  /* Right-to-left text stands at the right of the layout's width. */
  item.text_x = item.at.x + pad - text_at.x;
  item.text_y = item.at.y;
  g_array_append_val (tags, item.at);
  g_array_append_val (page->items, item);
}

static void
add_outlines (Page *page, const Rect *boxes)
{
  const guint chosen = page->target->settings->line_width;

  for (guint i = 0; i < page->scene->boxes->len; i++) {
    const SceneBox *box = &g_array_index (page->scene->boxes, SceneBox, i);
    const Item item = { .kind = ITEM_OUTLINE,
      .at = boxes[i],
      .colour = colour_of (page, box),
      .opacity = (double) box->opacity / SCENE_OPAQUE,
      .size = chosen > 0 ? chosen : MAX (2, round (page->unit / 270)) };

    if (box->opacity > 0)
      g_array_append_val (page->items, item);
  }
}

/* --- the panel --- */

/* Bytes of the question that are written before the answer. */
static guint
prompt_length (const Page *page, const SceneCaption *caption)
{
  return page->target->settings->show_prompt || page->scene->captions->len > 1
             ? (guint) strlen (caption->prompt)
             : 0;
}

/* "Is the door open?  No.", the question paler than the answer. */
static PangoLayout *
caption_layout (Page *page, const SceneCaption *caption, const PangoFontDescription *font, double width)
{
  const OverlaySettings *s = page->target->settings;
  const guint n_pale = prompt_length (page, caption);
  g_autofree char *text =
      n_pale > 0 ? g_strconcat (caption->prompt, "  ", caption->text, NULL) : g_strdup (caption->text);
  PangoLayout *layout = layout_new (page->d, font, text, width);

  if (n_pale > 0) {
    PangoAttrList *attributes = pango_attr_list_new ();
    PangoAttribute *colour = pango_attr_foreground_new (0x9d00, 0xb400, 0xcc00);
    PangoAttribute *alpha =
        pango_attr_foreground_alpha_new ((guint16) MAX (0xffff * caption->opacity / SCENE_OPAQUE, 1));

    colour->end_index = alpha->end_index = n_pale;
    pango_attr_list_insert (attributes, colour);
    pango_attr_list_insert (attributes, alpha);
    pango_layout_set_attributes (layout, attributes);
    pango_attr_list_unref (attributes);
  }
  if (s->wrap_mode != OVERLAY_WRAP_NONE)
    pango_layout_set_wrap (layout, s->wrap_mode == OVERLAY_WRAP_WORD   ? PANGO_WRAP_WORD
                                   : s->wrap_mode == OVERLAY_WRAP_CHAR ? PANGO_WRAP_CHAR
                                                                       : PANGO_WRAP_WORD_CHAR);
  return layout;
}

/* Lines of the panel, two fifths of the frame at most. */
static int
count_lines (const Page *page, const PangoFontDescription *font)
{
  PangoFontMetrics *metrics = pango_context_get_metrics (page->d->pango, font, NULL);
  const double line = MAX (pango_font_metrics_get_height (metrics), PANGO_SCALE) / (double) PANGO_SCALE;
  const int fit = (int) (page->frame.h * 0.4 / line - 0.5);

  pango_font_metrics_unref (metrics);
  return CLAMP (fit, 1, (int) page->target->settings->caption_lines);
}

/* The texts under each other from (0, 0); each gets its share of the lines, and what others leave. */
static Rect
stack_captions (Page *page, const PangoFontDescription *font, double width)
{
  const GArray *captions = page->scene->captions;
  int lines = count_lines (page, font);
  const guint n = MIN (captions->len, (guint) lines);
  Rect all = { 0 };

  for (guint i = 0; i < n; i++) {
    const SceneCaption *caption = &g_array_index (captions, SceneCaption, i);
    Item item = {
      .kind = ITEM_TEXT, .colour = 0xffffff, .opacity = (double) caption->opacity / SCENE_OPAQUE
    };
    Rect text_at;

    item.n_pale = prompt_length (page, caption);
    item.layout = caption_layout (page, caption, font, width);
    pango_layout_set_height (item.layout,
        page->target->settings->wrap_mode == OVERLAY_WRAP_NONE ? -1 : -lines / (int) (n - i));
    text_at = extents_of (item.layout);
    lines -= pango_layout_get_line_count (item.layout);
    item.text_x = text_at.x; /* where the text begins in its layout, for now */
    item.at = (Rect){ 0, all.h, ceil (text_at.w), ceil (text_at.h) };
    all.w = MAX (all.w, item.at.w);
    all.h += item.at.h;
    g_array_append_val (page->d->texts, item);
  }
  return all;
}

/* Decided when the captions change, not when boxes move: a panel that jumps cannot be read. */
static gboolean
panel_at_top (Page *page, const Rect *top, const Rect *bottom, const Rect *boxes)
{
  Drawing *d = page->d;
  g_autoptr (GString) said = g_string_new (NULL);

  if (page->target->settings->caption_position != OVERLAY_CAPTION_AUTO)
    return page->target->settings->caption_position == OVERLAY_CAPTION_TOP;
  for (guint i = 0; i < page->scene->captions->len; i++)
    g_string_append_printf (said, "%s\n", g_array_index (page->scene->captions, SceneCaption, i).text);
  if (!g_string_equal (said, d->said)) {
    d->at_top = place_panel (top, bottom, boxes, page->scene->boxes->len);
    g_string_assign (d->said, said->str);
  }
  return d->at_top;
}

/* Texts as wide as they are; one that is read from the right ends where the widest ends. */
static void
move_texts (Page *page, const GArray *texts, double pad, double width, double content)
{
  for (guint i = 0; i < texts->len; i++) {
    Item item = g_array_index (texts, Item, i);

    g_object_ref (item.layout);
    item.text_x = page->panel.x + pad - (item.text_x > 0.5 ? width - content : 0);
    item.text_y = floor (page->panel.y + pad / 2 + item.at.y);
    item.at = page->panel;
    g_array_append_val (page->items, item);
  }
}

static void
add_panel (Page *page, const Rect *boxes)
{
  const OverlaySettings *s = page->target->settings;
  PangoFontDescription *font = font_new (s->caption_font != NULL ? s->caption_font : s->font,
      MAX (page->unit * caption_part, caption_least) * s->font_scale);
  const double size = MIN (font_pixels (page->d, font), page->frame.h / 4), pad = ceil (size * 0.6),
               margin = ceil (size * 0.5);
  const double width = MIN (page->frame.w - 2 * (margin + pad), 44 * size);
  const GArray *texts = page->d->texts;
  Item panel = { .kind = ITEM_PANEL, .colour = 0x0b0f14, .size = size / 2 };
  Rect content, top, bottom;

  if (texts->len == 0)
    page->d->stack = stack_captions (page, font, width);
  content = page->d->stack;
  pango_font_description_free (font);
  top = (Rect){ 0, 0, MIN (content.w + 2 * pad, page->frame.w), MIN (content.h + pad, page->frame.h) };
  top.x = floor ((page->frame.w - top.w) / 2);
  bottom = top;
  top.y = MIN (margin, page->frame.h - top.h);
  bottom.y = MAX (page->frame.h - margin - top.h, 0);
  page->panel = panel.at = panel_at_top (page, &top, &bottom, boxes) ? top : bottom;
  for (guint i = 0; i < texts->len; i++)
    panel.opacity = MAX (panel.opacity, g_array_index (texts, Item, i).opacity);
  g_array_append_val (page->items, panel);
  move_texts (page, texts, pad, width, content.w);
}

/* --- the picture --- */

static GstVideoOverlayComposition *
draw_page (Page *page)
{
  const Scene *scene = page->scene;
  const GstVideoInfo *info = page->target->info;
  const gboolean yuv = page->target->blend && !GST_VIDEO_INFO_IS_RGB (info);
  const guint n = scene->boxes->len;
  g_autofree Rect *boxes = g_new (Rect, MAX (n, 1));
  g_autoptr (GArray) tags = g_array_new (FALSE, FALSE, sizeof (Rect));
  g_autoptr (GArray) panel = g_array_new (FALSE, FALSE, sizeof (Item));
  g_autoptr (GArray) items = g_array_new (FALSE, FALSE, sizeof (Item));

  g_array_set_clear_func (items, item_clear);
  for (guint i = 0; i < n; i++) {
    const SceneBox *box = &g_array_index (scene->boxes, SceneBox, i);

    boxes[i] = (Rect){ box->x * page->par, box->y, box->w * page->par, box->h };
  }
  /* The panel is placed first and painted last. */
  page->items = panel;
  if (scene->captions->len > 0)
    add_panel (page, boxes);
  page->items = items;
  if (page->target->settings->show_boxes)
    add_outlines (page, boxes);
  for (guint i = 0; i < n; i++)
    add_tag (page, i, boxes, tags);
  g_array_append_vals (items, panel->data, panel->len);
  page->d->count++;
  return items_compose (items, scene->width, scene->height, page->par, yuv ? &info->colorimetry : NULL,
      page->target->blend ? MAX_PIECES_BLENDED : MAX_PIECES, &page->d->pieces);
}

/* Pixels that are very far from square are a mistake of somebody's. */
static double
pixel_aspect_ratio (const GstVideoInfo *info)
{
  const double n = GST_VIDEO_INFO_PAR_N (info), d = GST_VIDEO_INFO_PAR_D (info);

  return n > 0 && d > 0 ? CLAMP (n / d, 0.125, 8) : 1;
}

static void
describe (Key *key, const Scene *scene, const DrawFor *target)
{
  const GstVideoInfo *info = target->info;

  g_string_printf (key->frame, "%d %d %d %d %d %d %d %d %u", scene->width, scene->height,
      GST_VIDEO_INFO_PAR_N (info), GST_VIDEO_INFO_PAR_D (info), GST_VIDEO_INFO_FORMAT (info),
      target->blend, info->colorimetry.matrix, info->colorimetry.range, target->version);
  g_string_truncate (key->boxes, 0);
  for (guint i = 0; i < scene->boxes->len; i++) {
    const SceneBox *b = &g_array_index (scene->boxes, SceneBox, i);

    g_string_append_printf (key->boxes, "%d %d %d %d %.0f %d %" G_GUINT64_FORMAT " %d %s\n", b->x, b->y,
        b->w, b->h, 100 * b->confidence, b->tracked, b->id, b->opacity, b->label);
  }
  g_string_truncate (key->captions, 0);
  for (guint i = 0; i < scene->captions->len; i++) {
    const SceneCaption *c = &g_array_index (scene->captions, SceneCaption, i);

    g_string_append_printf (key->captions, "%d %s\n%s\n", c->opacity, c->prompt, c->text);
  }
}

/* FALSE if the picture that is there is the one. What depends on what has changed is forgotten. */
static gboolean
has_changed (Drawing *d)
{
  const gboolean frame = !g_string_equal (d->key.frame, d->drawn.frame);
  const gboolean captions = !g_string_equal (d->key.captions, d->drawn.captions);

  if (!frame && !captions && g_string_equal (d->key.boxes, d->drawn.boxes))
    return FALSE;
  if (frame) {
    g_hash_table_remove_all (d->layouts);
    g_hash_table_remove_all (d->pieces);
  }
  if (frame || captions)
    g_array_set_size (d->texts, 0);
  g_string_assign (d->drawn.frame, d->key.frame->str);
  g_string_assign (d->drawn.boxes, d->key.boxes->str);
  g_string_assign (d->drawn.captions, d->key.captions->str);
  return TRUE;
}

GstVideoOverlayComposition *
drawing_update (Drawing *d, const Scene *scene, const DrawFor *target)
{
  const double par = pixel_aspect_ratio (target->info);
  Page page = { .d = d,
    .scene = scene,
    .target = target,
    .par = par,
    .frame = { 0, 0, scene->width * par, scene->height } };

  describe (&d->key, scene, target);
  if (!has_changed (d))
    return d->picture;
  g_clear_pointer (&d->picture, gst_video_overlay_composition_unref);
  if (scene->boxes->len == 0 && scene->captions->len == 0)
    return NULL;
  page.unit = MIN (MIN (page.frame.w, page.frame.h), side_most);
  d->picture = draw_page (&page);
  return d->picture;
}
