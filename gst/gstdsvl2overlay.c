/* dsvl2overlay: draws boxes, labels and captions that are on buffers as metadata
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-dsvl2overlay
 * @title: dsvl2overlay
 * @short_description: draws boxes, labels and captions on video
 *
 * Draws every #GstVideoRegionOfInterestMeta of a buffer, whichever element put it there, as a box with
 * its label and confidence, and the captions of its "dsvl2-result" metadata in a panel. The drawing is
 * attached to the buffer where downstream can show it (#GstVideoOverlayComposition), and blended into the
 * pixels otherwise. Texts are shown as they are, never read as markup.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! \
 *     dsvl2infer prompt="find cars" ! dsvl2overlay caption-position=top ! videoconvert ! autovideosink
 * ]|
 *
 * Since: 0.1
 */
#include "gstdsvl2overlay.h"
#include "draw.h"
#include "gstdsvl2meta.h"
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_dsvl2_overlay_debug);
#define GST_CAT_DEFAULT gst_dsvl2_overlay_debug

struct _GstDsvl2Overlay {
  GstBaseTransform parent;

  DrawStyle style; /* under the object's lock */

  /* of the streaming thread */
  GstVideoInfo info;
  gboolean attach; /* downstream draws */
  Drawing *drawing;
};

enum {
  PROP_SHOW_LABELS = 1,
  PROP_SHOW_CONFIDENCE,
  PROP_SHOW_CAPTION,
  PROP_FONT,
  PROP_LINE_WIDTH,
  PROP_CAPTION_POSITION,
};

#define OVERLAY GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION
#define OVERLAY_CAPS                                                                                   \
  GST_VIDEO_CAPS_MAKE (GST_VIDEO_OVERLAY_COMPOSITION_BLEND_FORMATS)                                    \
  ";" GST_VIDEO_CAPS_MAKE_WITH_FEATURES (GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY "," OVERLAY,            \
      GST_VIDEO_OVERLAY_COMPOSITION_BLEND_FORMATS)

#define parent_class gst_dsvl2_overlay_parent_class
G_DEFINE_TYPE (GstDsvl2Overlay, gst_dsvl2_overlay, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE (dsvl2overlay, "dsvl2overlay", GST_RANK_NONE,
    GST_TYPE_DSVL2_OVERLAY,
    GST_DEBUG_CATEGORY_INIT (gst_dsvl2_overlay_debug, "dsvl2overlay", 0, "boxes and captions on video"))

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (OVERLAY_CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (OVERLAY_CAPS));

static GType
position_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { DRAW_BOTTOM, "At the bottom of the frame", "bottom" },
    { DRAW_TOP, "At the top of the frame", "top" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDsvl2OverlayCaptionPosition", values));
  return type;
}

/* --- caps: with the overlay feature where downstream can draw, the same without it otherwise --- */

static gboolean
has_overlay (const GstCaps *caps, guint i)
{
  return gst_caps_features_contains (gst_caps_get_features (caps, i), OVERLAY);
}

static void
append (GstCaps *to, const GstCaps *from, guint i, gboolean overlay)
{
  GstCapsFeatures *features = gst_caps_features_copy (gst_caps_get_features (from, i));

  if (overlay && !gst_caps_features_contains (features, OVERLAY))
    gst_caps_features_add (features, OVERLAY);
  else if (!overlay)
    gst_caps_features_remove (features, OVERLAY);
  gst_caps_append_structure_full (to, gst_structure_copy (gst_caps_get_structure (from, i)), features);
}

static GstCaps *
gst_dsvl2_overlay_transform_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps,
    GstCaps *filter)
{
  GstCaps *result = gst_caps_new_empty (), *filtered;

  for (guint i = 0; i < gst_caps_get_size (caps); i++) {
    /* An overlay that is attached already cannot be taken off again. */
    if (direction == GST_PAD_SINK || has_overlay (caps, i))
      append (result, caps, i, TRUE);
    if (direction == GST_PAD_SRC || !has_overlay (caps, i))
      append (result, caps, i, FALSE);
  }
  if (filter == NULL)
    return result;
  filtered = gst_caps_intersect_full (filter, result, GST_CAPS_INTERSECT_FIRST);
  gst_caps_unref (result);
  return filtered;
}

/* Whether downstream takes overlays beside the pixels and draws them itself. */
static gboolean
downstream_attaches (GstDsvl2Overlay *self, GstCaps *caps)
{
  GstQuery *query = gst_query_new_allocation (caps, FALSE);
  const gboolean attaches =
      gst_pad_peer_query (GST_BASE_TRANSFORM_SRC_PAD (self), query) &&
      gst_query_find_allocation_meta (query, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, NULL);

  gst_query_unref (query);
  return attaches;
}

static GstCaps *
gst_dsvl2_overlay_fixate_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps,
    GstCaps *othercaps)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  if (direction == GST_PAD_SINK && !has_overlay (caps, 0)) {
    g_autoptr (GstCaps) with = gst_caps_new_empty (), without = gst_caps_new_empty ();

    append (with, caps, 0, TRUE);
    append (without, caps, 0, FALSE);
    if (gst_caps_can_intersect (with, othercaps) && downstream_attaches (self, with))
      gst_caps_replace (&othercaps, with);
    else if (gst_caps_can_intersect (without, othercaps))
      gst_caps_replace (&othercaps, without);
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)->fixate_caps (trans, direction, caps, othercaps);
}

static gboolean
gst_dsvl2_overlay_set_caps (GstBaseTransform *trans, GstCaps *incaps, GstCaps *outcaps)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  self->attach = has_overlay (outcaps, 0) && downstream_attaches (self, outcaps);
  GST_DEBUG_OBJECT (self, "drawings are %s", self->attach ? "attached" : "blended");
  return gst_video_info_from_caps (&self->info, incaps);
}

/* --- what is on a buffer --- */

static void
add_region (Drawing *d, const GstVideoRegionOfInterestMeta *meta)
{
  const char *label = g_quark_to_string (meta->roi_type);
  double confidence = -1;

  for (GList *l = meta->params; l != NULL; l = l->next) {
    const GstStructure *param = l->data;

    if (gst_structure_has_name (param, "detection")) {
      gst_structure_get_double (param, "confidence", &confidence);
      if (gst_structure_get_string (param, "label") != NULL)
        label = gst_structure_get_string (param, "label");
    }
  }
  drawing_add_box (d, meta->x, meta->y, meta->w, meta->h, label != NULL ? label : "", confidence);
}

/* An answer that is nothing but the name of what was found is on its boxes already. */
static gboolean
is_label (const GstStructure *result, const char *caption)
{
  const GValue *objects = gst_structure_get_value (result, "objects");

  for (guint i = 0; objects != NULL && i < gst_value_array_get_size (objects); i++) {
    const GstStructure *detection = gst_value_get_structure (gst_value_array_get_value (objects, i));

    if (g_strcmp0 (gst_structure_get_string (detection, "label"), caption) == 0)
      return TRUE;
  }
  return FALSE;
}

static void
add_caption (Drawing *d, const GstStructure *result)
{
  const char *caption = gst_structure_get_string (result, "caption");

  if (caption != NULL && !is_label (result, caption))
    drawing_add_caption (d, caption);
}

static GstVideoOverlayComposition *
picture_of (GstDsvl2Overlay *self, GstBuffer *buffer)
{
  DrawStyle style;
  gpointer state = NULL;
  GstMeta *meta;
  const GstStructure *result;

  GST_OBJECT_LOCK (self);
  style = self->style;
  style.font = g_strdup (style.font);
  GST_OBJECT_UNLOCK (self);

  drawing_begin (self->drawing, &self->info, !self->attach, &style);
  g_free (style.font);
  while ((meta = gst_buffer_iterate_meta_filtered (buffer, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)) != NULL)
    add_region (self->drawing, (GstVideoRegionOfInterestMeta *) meta);
  state = NULL;
  while ((result = gst_dsvl2_meta_get_result (buffer, &state)) != NULL)
    add_caption (self->drawing, result);
  return drawing_end (self->drawing);
}

/* Beside what is attached already. */
static void
attach (GstBuffer *buffer, GstVideoOverlayComposition *picture)
{
  GstVideoOverlayCompositionMeta *meta = gst_buffer_get_video_overlay_composition_meta (buffer);
  GstVideoOverlayComposition *both;

  if (meta == NULL) {
    gst_buffer_add_video_overlay_composition_meta (buffer, picture);
    return;
  }
  both = gst_video_overlay_composition_copy (meta->overlay);
  for (guint i = 0; i < gst_video_overlay_composition_n_rectangles (picture); i++)
    gst_video_overlay_composition_add_rectangle (both,
        gst_video_overlay_composition_get_rectangle (picture, i));
  gst_video_overlay_composition_unref (meta->overlay);
  meta->overlay = both;
}

static GstFlowReturn
gst_dsvl2_overlay_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);
  GstVideoOverlayComposition *picture = picture_of (self, buffer);
  GstVideoFrame frame;

  if (picture == NULL)
    return GST_FLOW_OK;
  if (self->attach) {
    attach (buffer, picture);
    return GST_FLOW_OK;
  }
  if (!gst_video_frame_map (&frame, &self->info, buffer, GST_MAP_READWRITE)) {
    GST_ELEMENT_WARNING (self, STREAM, FORMAT, ("A frame could not be drawn on"),
        ("its buffer cannot be mapped for writing"));
    return GST_FLOW_OK;
  }
  gst_video_overlay_composition_blend (picture, &frame);
  gst_video_frame_unmap (&frame);
  return GST_FLOW_OK;
}

/* --- states and properties --- */

static gboolean
gst_dsvl2_overlay_start (GstBaseTransform *trans)
{
  GST_DSVL2_OVERLAY (trans)->drawing = drawing_new ();
  return TRUE;
}

static gboolean
gst_dsvl2_overlay_stop (GstBaseTransform *trans)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  g_clear_pointer (&self->drawing, drawing_free);
  self->attach = FALSE;
  return TRUE;
}

static void
gst_dsvl2_overlay_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (object);
  DrawStyle *s = &self->style;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_SHOW_LABELS:
      s->show_labels = g_value_get_boolean (value);
      break;
    case PROP_SHOW_CONFIDENCE:
      s->show_confidence = g_value_get_boolean (value);
      break;
    case PROP_SHOW_CAPTION:
      s->show_caption = g_value_get_boolean (value);
      break;
    case PROP_FONT:
      g_free (s->font);
      s->font = g_value_dup_string (value);
      break;
    case PROP_LINE_WIDTH:
      s->line_width = g_value_get_uint (value);
      break;
    case PROP_CAPTION_POSITION:
      s->caption_place = g_value_get_enum (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_dsvl2_overlay_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (object);
  const DrawStyle *s = &self->style;

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_SHOW_LABELS:
      g_value_set_boolean (value, s->show_labels);
      break;
    case PROP_SHOW_CONFIDENCE:
      g_value_set_boolean (value, s->show_confidence);
      break;
    case PROP_SHOW_CAPTION:
      g_value_set_boolean (value, s->show_caption);
      break;
    case PROP_FONT:
      g_value_set_string (value, s->font);
      break;
    case PROP_LINE_WIDTH:
      g_value_set_uint (value, s->line_width);
      break;
    case PROP_CAPTION_POSITION:
      g_value_set_enum (value, s->caption_place);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
install_properties (GObjectClass *c)
{
  /* G_PARAM_CONSTRUCT: the defaults are these, nowhere else. */
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  g_object_class_install_property (c, PROP_SHOW_LABELS,
      g_param_spec_boolean ("show-labels", "Show labels", "Write what each box is", TRUE, flags));
  g_object_class_install_property (c, PROP_SHOW_CONFIDENCE,
      g_param_spec_boolean ("show-confidence", "Show confidence",
          "Write how sure the detector is of each box", TRUE, flags));
  g_object_class_install_property (c, PROP_SHOW_CAPTION,
      g_param_spec_boolean ("show-caption", "Show caption", "Write the model's answer in a panel", TRUE,
          flags));
  g_object_class_install_property (c, PROP_FONT,
      g_param_spec_string ("font", "Font",
          "Pango font description, such as \"Sans Bold 14\"; without a size, texts grow with the frame",
          "Sans", flags));
  g_object_class_install_property (c, PROP_LINE_WIDTH,
      g_param_spec_uint ("line-width", "Line width", "Of boxes, in pixels (0: grows with the frame)", 0,
          100, 0, flags));
  g_object_class_install_property (c, PROP_CAPTION_POSITION,
      g_param_spec_enum ("caption-position", "Caption position", "Where the panel with the answer is",
          position_get_type (), DRAW_BOTTOM, flags));
  gst_type_mark_as_plugin_api (position_get_type (), 0);
}

static void
gst_dsvl2_overlay_finalize (GObject *object)
{
  g_free (GST_DSVL2_OVERLAY (object)->style.font);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_dsvl2_overlay_init (GstDsvl2Overlay *self)
{
  gst_video_info_init (&self->info);
}

static void
gst_dsvl2_overlay_class_init (GstDsvl2OverlayClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans = GST_BASE_TRANSFORM_CLASS (klass);

  object->set_property = gst_dsvl2_overlay_set_property;
  object->get_property = gst_dsvl2_overlay_get_property;
  object->finalize = gst_dsvl2_overlay_finalize;
  install_properties (object);

  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "DeepSeek-VL2 overlay", "Filter/Editor/Video",
      "Draws boxes, labels and captions that buffers carry as metadata", "The dsvl2 authors");

  trans->start = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_start);
  trans->stop = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_stop);
  trans->set_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_set_caps);
  trans->transform_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_transform_caps);
  trans->fixate_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_fixate_caps);
  trans->transform_ip = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_transform_ip);
  /* Every buffer may have something to draw, whatever the caps. */
  trans->passthrough_on_same_caps = FALSE;
}
