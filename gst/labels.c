/* dsvl2: which labels are meant, and in which colour they are drawn
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "labels.h"
#include "gstdsvl2meta.h"
#include <pango/pango.h>

typedef struct {
  GPatternSpec *name;
  guint32 colour;
} Entry;

struct _Labels {
  GArray *entries; /* of Entry */
};

/* Told apart on any scene, and with dark text on them. 0xRRGGBB. */
static const guint32 colours_of_palette[] = { 0x4cc9f0, 0xffd166, 0x80ed99, 0xff7b8a, 0xc8a6ff,
  0xffa045, 0x2dd4bf, 0xff8ae2, 0xc5f04a, 0x7aa5ff, 0xe6c9a8, 0xf2f2f2 };

enum { N_COLOURS = G_N_ELEMENTS (colours_of_palette) };

struct _Palette {
  int owner[N_COLOURS]; /* the label's number, -1: none yet */
};

/* --- lists --- */

static void
entry_clear (gpointer entry)
{
  g_pattern_spec_free (((Entry *) entry)->name);
}

static gboolean
parse_colour (const char *text, guint32 *colour)
{
  PangoColor c;

  if (!pango_color_parse (&c, text))
    return FALSE;
  *colour = (guint32) (c.red >> 8) << 16 | (guint32) (c.green >> 8) << 8 | c.blue >> 8;
  return TRUE;
}

static gboolean
add_entry (Labels *labels, const char *text, gboolean colours, GError **error)
{
  g_autofree char *valid = g_strstrip (g_utf8_make_valid (text, -1));
  g_autofree char *folded = NULL;
  Entry entry = { NULL };

  if (*valid == '\0')
    return TRUE;
  if (colours) {
    char *equals = strrchr (valid, '=');

    if (equals == NULL || !parse_colour (g_strstrip (equals + 1), &entry.colour)) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "\"%s\" is not a label, \"=\" and a colour such as gold or #ffd700", valid);
      return FALSE;
    }
    *equals = '\0';
    g_strchomp (valid);
  }
  folded = g_utf8_casefold (valid, -1);
  entry.name = g_pattern_spec_new (folded);
  g_array_append_val (labels->entries, entry);
  return TRUE;
}

Labels *
labels_parse (const char *text, gboolean colours, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text != NULL ? text : "", ",", -1);
  g_autoptr (Labels) labels = g_new0 (Labels, 1);

  labels->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
  g_array_set_clear_func (labels->entries, entry_clear);
  for (int i = 0; parts[i] != NULL; i++)
    if (!add_entry (labels, parts[i], colours, error))
      return NULL;
  return labels->entries->len > 0 ? g_steal_pointer (&labels) : NULL;
}

void
labels_free (Labels *labels)
{
  if (labels == NULL)
    return;
  g_array_unref (labels->entries);
  g_free (labels);
}

gboolean
labels_match (const Labels *labels, const char *label, guint32 *colour)
{
  g_autofree char *folded = g_utf8_casefold (label, -1);

  for (guint i = 0; i < labels->entries->len; i++) {
    const Entry *entry = &g_array_index (labels->entries, Entry, i);

    if (g_pattern_spec_match_string (entry->name, folded)) {
      if (colour != NULL)
        *colour = entry->colour;
      return TRUE;
    }
  }
  return FALSE;
}

/* --- the palette --- */

Palette *
palette_new (void)
{
  Palette *palette = g_new (Palette, 1);

  for (int i = 0; i < N_COLOURS; i++)
    palette->owner[i] = -1;
  return palette;
}

void
palette_free (Palette *palette)
{
  g_free (palette);
}

guint32
palette_colour (Palette *palette, const char *label)
{
  const int id = gst_dsvl2_label_id (label), first = id % N_COLOURS;

  for (int i = 0; i < N_COLOURS; i++) {
    const int at = (first + i) % N_COLOURS;

    if (palette->owner[at] == -1)
      palette->owner[at] = id;
    if (palette->owner[at] == id)
      return colours_of_palette[at];
  }
  return colours_of_palette[first];
}
