/* dsvl2: the properties of dsvl2overlay
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overlayprops.h"
#include "settings.h"

/* --- enumerations --- */

static GType
position_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { OVERLAY_CAPTION_AUTO, "At the bottom, or at the top where that hides less of the boxes", "auto" },
    { OVERLAY_CAPTION_BOTTOM, "At the bottom of the frame", "bottom" },
    { OVERLAY_CAPTION_TOP, "At the top of the frame", "top" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDsvl2OverlayCaptionPosition", values));
  return type;
}

static GType
wrap_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { OVERLAY_WRAP_NONE, "One line, cut off where it is too long", "none" },
    { OVERLAY_WRAP_WORD, "Between words", "word" },
    { OVERLAY_WRAP_CHAR, "Between characters", "char" },
    { OVERLAY_WRAP_WORDCHAR, "Between words, or characters of a word that is too long", "wordchar" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDsvl2OverlayWrapMode", values));
  return type;
}

/* --- the table --- */

#define FLAGS (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)
#define FIELD(name) SETTING (OverlaySettings, name)

static void
install_boolean (GObjectClass *c, guint id, const char *name, const char *nick, gboolean value,
    const char *text)
{
  g_object_class_install_property (c, id, g_param_spec_boolean (name, nick, text, value, FLAGS));
}

static void
install_what (GObjectClass *c)
{
  install_boolean (c, FIELD (show_boxes), "show-boxes", "Show boxes", TRUE,
      "Draw a box around each object");
  install_boolean (c, FIELD (show_labels), "show-labels", "Show labels", TRUE,
      "Write what each object is");
  install_boolean (c, FIELD (show_confidence), "show-confidence", "Show confidence", TRUE,
      "Write how sure the detector is of each object");
  install_boolean (c, FIELD (show_ids), "show-ids", "Show ids", TRUE,
      "Write the number that a tracker gave an object");
  install_boolean (c, FIELD (show_caption), "show-caption", "Show caption", TRUE,
      "Write the model's answers in a panel");
  install_boolean (c, FIELD (show_prompt), "show-prompt", "Show prompt", FALSE,
      "Write the question before a single answer too; of several answers it is always written");
  g_object_class_install_property (c, FIELD (labels),
      g_param_spec_string ("labels", "Labels",
          "Labels of the objects to show, such as \"car, bus, traffic*\", in any case (unset: all)",
          NULL, FLAGS));
  g_object_class_install_property (c, FIELD (min_confidence),
      g_param_spec_double ("min-confidence", "Minimum confidence",
          "Minimum confidence of the objects to show; those without one are shown", 0, 1, 0, FLAGS));
}

static void
install_looks (GObjectClass *c)
{
  g_object_class_install_property (c, FIELD (label_colors),
      g_param_spec_string ("label-colors", "Label colors",
          "Colours by label, such as \"person=#ff3030, car*=gold, *=white\"; the first that fits "
          "counts (unset: a colour for each label)",
          NULL, FLAGS));
  g_object_class_install_property (c, FIELD (font),
      g_param_spec_string ("font", "Font",
          "Pango font description of labels and captions, such as \"Sans Bold 14\"; without a size, "
          "text grows with the frame",
          "Sans", FLAGS));
  g_object_class_install_property (c, FIELD (caption_font),
      g_param_spec_string ("caption-font", "Caption font",
          "Pango font description of captions (unset: that of font)", NULL, FLAGS));
  g_object_class_install_property (c, FIELD (font_scale),
      g_param_spec_double ("font-scale", "Font scale", "Scale of text that grows with the frame", 0.1,
          10, 1, FLAGS));
  g_object_class_install_property (c, FIELD (line_width),
      g_param_spec_uint ("line-width", "Line width",
          "Width in pixels of the lines of boxes (0: grows with the frame)", 0, 100, 0, FLAGS));
  g_object_class_install_property (c, FIELD (caption_position),
      g_param_spec_enum ("caption-position", "Caption position", "Position of the caption panel",
          position_get_type (), OVERLAY_CAPTION_AUTO, FLAGS));
  g_object_class_install_property (c, FIELD (caption_lines),
      g_param_spec_uint ("caption-lines", "Caption lines",
          "Maximum number of lines in the caption panel, which never covers more than two fifths of "
          "the frame",
          1, 100, 8, FLAGS));
  g_object_class_install_property (c, FIELD (wrap_mode),
      g_param_spec_enum ("wrap-mode", "Wrap mode", "Where lines of a caption are broken",
          wrap_get_type (), OVERLAY_WRAP_WORDCHAR, FLAGS));
}

static void
install_fading (GObjectClass *c)
{
  g_object_class_install_property (c, FIELD (fade_after),
      g_param_spec_uint64 ("fade-after", "Fade after",
          "Age in nanoseconds, counted from the analysed frame, at which an answer and its boxes begin "
          "to fade (-1: never)",
          0, G_MAXUINT64, 2 * GST_SECOND, FLAGS));
  g_object_class_install_property (c, FIELD (fade_duration),
      g_param_spec_uint64 ("fade-duration", "Fade duration", "Time in nanoseconds that fading takes", 0,
          G_MAXUINT64, 8 * GST_SECOND, FLAGS));
  g_object_class_install_property (c, FIELD (fade_opacity),
      g_param_spec_double ("fade-opacity", "Fade opacity",
          "Opacity of an answer that has faded (0: it disappears)", 0, 1, 0.4, FLAGS));
}

void
overlay_props_install (GObjectClass *c)
{
  install_what (c);
  install_looks (c);
  install_fading (c);
  gst_type_mark_as_plugin_api (position_get_type (), 0);
  gst_type_mark_as_plugin_api (wrap_get_type (), 0);
}

/* --- values --- */

void
overlay_settings_copy (OverlaySettings *to, const OverlaySettings *from)
{
  *to = *from;
  to->labels = g_strdup (from->labels);
  to->label_colors = g_strdup (from->label_colors);
  to->font = g_strdup (from->font);
  to->caption_font = g_strdup (from->caption_font);
}

void
overlay_settings_clear (OverlaySettings *s)
{
  g_clear_pointer (&s->labels, g_free);
  g_clear_pointer (&s->label_colors, g_free);
  g_clear_pointer (&s->font, g_free);
  g_clear_pointer (&s->caption_font, g_free);
}
