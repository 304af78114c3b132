/* dsvl2: the properties of dsvl2overlay
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One table (overlayprops.c) has name, text, range and default of each; a property's value is the field
 * of OverlaySettings with its name. */
#ifndef DSVL2_OVERLAYPROPS_H
#define DSVL2_OVERLAYPROPS_H

#include <gst/gst.h>

typedef enum { OVERLAY_CAPTION_AUTO, OVERLAY_CAPTION_BOTTOM, OVERLAY_CAPTION_TOP } OverlayCaption;

/* textoverlay's numbers. */
typedef enum {
  OVERLAY_WRAP_NONE = -1,
  OVERLAY_WRAP_WORD,
  OVERLAY_WRAP_CHAR,
  OVERLAY_WRAP_WORDCHAR
} OverlayWrap;

typedef struct {
  /* what is shown */
  gboolean show_boxes, show_labels, show_confidence, show_ids, show_caption, show_prompt;
  char *labels; /* as labels_parse () reads them */
  gdouble min_confidence;
  /* what it looks like */
  char *label_colors; /* as labels_parse () reads them, with colours */
  char *font, *caption_font;
  gdouble font_scale;
  guint line_width;
  gint caption_position, wrap_mode; /* OverlayCaption, OverlayWrap */
  guint caption_lines;
  /* what becomes of old answers */
  guint64 fade_after, fade_duration;
  gdouble fade_opacity;
} OverlaySettings;

void overlay_props_install (GObjectClass *klass);

void overlay_settings_copy (OverlaySettings *to, const OverlaySettings *from);
void overlay_settings_clear (OverlaySettings *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (OverlaySettings, overlay_settings_clear)

#endif
