/* dsvl2: what the tests of dsvl2overlay share: settings, and metadata to draw
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overlay.h"
#include "gstdsvl2meta.h"

OverlaySettings
overlay_default_settings (void)
{
  const OverlaySettings s = { .show_boxes = TRUE,
    .show_labels = TRUE,
    .show_confidence = TRUE,
    .show_ids = TRUE,
    .show_caption = TRUE,
    .font_scale = 1,
    .wrap_mode = OVERLAY_WRAP_WORDCHAR,
    .caption_lines = 8,
    .fade_after = 2 * GST_SECOND,
    .fade_duration = 8 * GST_SECOND,
    .fade_opacity = 0.5 };

  return s;
}

void
overlay_add_region (GstBuffer *buffer, const char *label, guint x, guint y, guint w, guint h,
    double confidence)
{
  GstVideoRegionOfInterestMeta *meta =
      gst_buffer_add_video_region_of_interest_meta (buffer, label, x, y, w, h);

  if (confidence >= 0)
    gst_video_region_of_interest_meta_add_param (meta,
        gst_structure_new ("detection", "confidence", G_TYPE_DOUBLE, confidence, NULL));
}

void
overlay_add_caption (GstBuffer *buffer, const char *prompt, const char *caption, GstClockTime seen)
{
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, GST_DSVL2_RESULT_NAME);

  gst_structure_set (gst_custom_meta_get_structure (meta), "caption", G_TYPE_STRING, caption, "prompt",
      G_TYPE_STRING, prompt, "seen-pts", G_TYPE_UINT64, seen, NULL);
}

GstBuffer *
overlay_answered_buffer (const char *caption, GstClockTime seen)
{
  GstBuffer *buffer = gst_buffer_new ();
  GstStructure *detection = gst_structure_new_from_string ("detection,x_min=0.1,x_max=0.2,y_min=0.1,y_"
                                                           "max=0.2,confidence=0.5,label=(string)car");
  GstVideoRegionOfInterestMeta *meta =
      gst_buffer_add_video_region_of_interest_meta (buffer, "car", 64, 48, 64, 48);
  GValue objects = G_VALUE_INIT, object = G_VALUE_INIT;
  GstCustomMeta *result;

  gst_value_array_init (&objects, 1);
  g_value_init (&object, GST_TYPE_STRUCTURE);
  gst_value_set_structure (&object, detection);
  gst_value_array_append_and_take_value (&objects, &object);
  gst_video_region_of_interest_meta_add_param (meta, detection);
  overlay_add_caption (buffer, "", caption, seen);
  result = gst_buffer_get_custom_meta (buffer, GST_DSVL2_RESULT_NAME);
  gst_structure_take_value (gst_custom_meta_get_structure (result), "objects", &objects);
  return buffer;
}
