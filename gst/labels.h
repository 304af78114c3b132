/* dsvl2: which labels are meant, and in which colour they are drawn
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_LABELS_H
#define DSVL2_LABELS_H

#include <glib.h>

/* A list of labels: "car, traffic*", or with colours: "car=gold, *=#4080ff". In a name * stands for any
 * characters and ? for one; case and blanks around it do not count. */
typedef struct _Labels Labels;

/* labels_parse: NULL for a text that is NULL or blank. Free with labels_free ().
 * Colours are those of pango_color_parse (): CSS names and #rgb, #rrggbb.
 * Errors: G_OPTION_ERROR, naming an entry that has no colour and should have one; NULL then too. */
Labels *labels_parse (const char *text, gboolean colours, GError **error);
void labels_free (Labels *labels);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Labels, labels_free)

/* labels_match: whether a label is in the list; then its colour, 0xRRGGBB, if colours were read. `label` is
 * valid UTF-8. */
gboolean labels_match (const Labels *labels, const char *label, guint32 *colour);

/* Colours for labels that nobody chose one for: always the same for a label, unless another label that was
 * seen earlier has it; then the next that is free. */
typedef struct _Palette Palette;

Palette *palette_new (void);
void palette_free (Palette *palette);
guint32 palette_colour (Palette *palette, const char *label);

#endif
