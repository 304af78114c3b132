/* dsvl2overlay: draws boxes, labels and captions that are on buffers as metadata
 * SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-dsvl2overlay
 * @title: dsvl2overlay
 * @short_description: draws boxes, labels and captions on video
 *
 * Draws the objects that a buffer carries, whichever element put them there, as boxes with their labels:
 * #GstVideoRegionOfInterestMeta, and with GStreamer 1.24 or newer #GstAnalyticsRelationMeta. The answers in
 * "dsvl2-result" metadata are written in a panel. Answers that were given about a frame long ago fade.
 *
 * The drawing is attached to the buffer where downstream can show it (#GstVideoOverlayComposition), whatever
 * the memory, and blended into the pixels otherwise. Frames without metadata pass untouched. Texts are shown
 * as they are, never read as markup.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! \
 *     dsvl2infer prompt="find cars" ! dsvl2overlay ! videoconvert ! autovideosink
 * ]| Boxes and captions of a file.
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! dsvl2infer prompt="find people" ! \
 *     dsvl2overlay labels="person*, *man" label-colors="person*=gold" min-confidence=0.4 \
 *     show-caption=false ! videoconvert ! autovideosink
 * ]| Golden boxes around people, if the model is sure enough of them.
 *
 * Since: 0.1
 */
#include "gstdsvl2overlay.h"
#include "draw.h"
#include "gstdsvl2meta.h"
#include "pieces.h"
#include "rawframe.h"
#include "settings.h"

GST_DEBUG_CATEGORY_STATIC (gst_dsvl2_overlay_debug);
#define GST_CAT_DEFAULT gst_dsvl2_overlay_debug

struct _GstDsvl2Overlay {
  GstBaseTransform parent;

  /* under the object's lock */
  OverlaySettings settings;
  guint version; /* of the settings */

  /* of the streaming thread */
  GstVideoInfo info;
  gboolean attach;         /* downstream draws */
  gboolean warned;         /* that frames of these caps cannot be drawn on */
  OverlaySettings current; /* the settings as they were when `current_version` was read */
  guint current_version;
  Labels *shown, *colours;
  Scene scene;
  Drawing *drawing;
  GstVideoOverlayComposition *picture; /* of the buffer at hand; the drawing's */
};

#define OVERLAY GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION
#define OVERLAY_CAPS                                                                                   \
  GST_VIDEO_CAPS_MAKE (GST_VIDEO_OVERLAY_COMPOSITION_BLEND_FORMATS) ";video/x-raw(ANY)"

#define parent_class gst_dsvl2_overlay_parent_class
G_DEFINE_TYPE (GstDsvl2Overlay, gst_dsvl2_overlay, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE (dsvl2overlay, "dsvl2overlay", GST_RANK_NONE,
    GST_TYPE_DSVL2_OVERLAY,
    GST_DEBUG_CATEGORY_INIT (gst_dsvl2_overlay_debug, "dsvl2overlay", 0, "boxes and captions on video"))

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (OVERLAY_CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (OVERLAY_CAPS));

/* --- caps: with the overlay feature where downstream can draw, the same without it otherwise --- */

static gboolean
has_overlay (const GstCaps *caps, guint i)
{
  return gst_caps_features_contains (gst_caps_get_features (caps, i), OVERLAY);
}

/* Whole frames in ordinary memory: pixels that the processor can draw on. */
static gboolean
is_drawable (const GstCaps *caps, guint i)
{
  GstCapsFeatures *features = gst_caps_get_features (caps, i);

  for (guint k = 0; k < gst_caps_features_get_size (features); k++) {
    const char *name = gst_caps_features_get_nth (features, k);

    if (!g_str_has_prefix (name, "meta:") && !g_str_equal (name, GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY))
      return FALSE;
  }
  return TRUE;
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

static void
append_transformed (GstCaps *to, const GstCaps *from, guint i, GstPadDirection direction)
{
  const gboolean overlay = has_overlay (from, i), in = direction == GST_PAD_SINK;

  if (gst_caps_features_is_any (gst_caps_get_features (from, i))) {
    gst_caps_append_structure_full (to, gst_structure_copy (gst_caps_get_structure (from, i)),
        gst_caps_features_new_any ());
    return;
  }
  /* What is attached already cannot be taken off again. */
  if (in || overlay)
    append (to, from, i, TRUE);
  if (in ? !overlay && is_drawable (from, i) : overlay || is_drawable (from, i))
    append (to, from, i, FALSE);
}

static GstCaps *
gst_dsvl2_overlay_transform_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps,
    GstCaps *filter)
{
  GstCaps *result = gst_caps_new_empty (), *filtered;

  for (guint i = 0; i < gst_caps_get_size (caps); i++)
    append_transformed (result, caps, i, direction);
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

/* A filter downstream cannot say what is behind it before it has caps. */
static gboolean
downstream_attaches_with (GstDsvl2Overlay *self, GstCaps *caps)
{
  return downstream_attaches (self, caps) ||
         (gst_pad_set_caps (GST_BASE_TRANSFORM_SRC_PAD (self), caps) &&
             downstream_attaches (self, caps));
}

static GstCaps *
gst_dsvl2_overlay_fixate_caps (GstBaseTransform *trans, GstPadDirection direction, GstCaps *caps,
    GstCaps *othercaps)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  if (direction == GST_PAD_SINK && !has_overlay (caps, 0) && is_drawable (caps, 0)) {
    g_autoptr (GstCaps) with = gst_caps_new_empty (), without = gst_caps_new_empty ();

    append (with, caps, 0, TRUE);
    append (without, caps, 0, FALSE);
    if (!gst_caps_can_intersect (without, othercaps) ||
        (gst_caps_can_intersect (with, othercaps) && downstream_attaches_with (self, with)))
      gst_caps_replace (&othercaps, with);
    else
      gst_caps_replace (&othercaps, without);
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)->fixate_caps (trans, direction, caps, othercaps);
}

/* Memory that only hardware reads may have formats without a name here: then size and shape are what counts. */
static gboolean
read_caps (GstVideoInfo *info, GstCaps *caps)
{
  const GstStructure *s = gst_caps_get_structure (caps, 0);
  int width, height;

  if (gst_video_info_from_caps (info, caps))
    return TRUE;
  if (is_drawable (caps, 0) || !gst_structure_get_int (s, "width", &width) ||
      !gst_structure_get_int (s, "height", &height))
    return FALSE;
  gst_video_info_set_format (info, GST_VIDEO_FORMAT_ENCODED, (guint) width, (guint) height);
  gst_structure_get_fraction (s, "pixel-aspect-ratio", &GST_VIDEO_INFO_PAR_N (info),
      &GST_VIDEO_INFO_PAR_D (info));
  return TRUE;
}

static gboolean
gst_dsvl2_overlay_set_caps (GstBaseTransform *trans, GstCaps *incaps, GstCaps *outcaps)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  if (!read_caps (&self->info, incaps))
    return FALSE;
  self->attach = has_overlay (outcaps, 0) && (has_overlay (incaps, 0) || !is_drawable (outcaps, 0) ||
                                                 downstream_attaches (self, outcaps));
  self->warned = FALSE;
  GST_DEBUG_OBJECT (self, "drawings are %s", self->attach ? "attached" : "blended");
  if (!self->attach && !pieces_can_blend (&self->info)) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("Nothing can be drawn on %s frames; put videoconvert in front of dsvl2overlay",
            gst_video_format_to_string (GST_VIDEO_INFO_FORMAT (&self->info))),
        ("%" GST_PTR_FORMAT, incaps));
    return FALSE;
  }
  return TRUE;
}

/* Frames that come in go out again: what downstream offers is offered to upstream. */
static gboolean
gst_dsvl2_overlay_propose_allocation (GstBaseTransform *trans, GstQuery *decide_query, GstQuery *query)
{
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (GST_BASE_TRANSFORM_SRC_PAD (trans));
  gboolean need_pool, answered;
  GstQuery *ask;

  gst_query_parse_allocation (query, NULL, &need_pool);
  ask = gst_query_new_allocation (caps, need_pool);
  answered = gst_pad_peer_query (GST_BASE_TRANSFORM_SRC_PAD (trans), ask);
  for (guint i = 0; answered && i < gst_query_get_n_allocation_pools (ask); i++) {
    g_autoptr (GstBufferPool) pool = NULL;
    guint size, min, max;

    gst_query_parse_nth_allocation_pool (ask, i, &pool, &size, &min, &max);
    gst_query_add_allocation_pool (query, pool, size, min, max);
  }
  for (guint i = 0; answered && i < gst_query_get_n_allocation_params (ask); i++) {
    g_autoptr (GstAllocator) allocator = NULL;
    GstAllocationParams params;

    gst_query_parse_nth_allocation_param (ask, i, &allocator, &params);
    gst_query_add_allocation_param (query, allocator, &params);
  }
  for (guint i = 0; answered && i < gst_query_get_n_allocation_metas (ask); i++) {
    const GstStructure *params;
    const GType api = gst_query_parse_nth_allocation_meta (ask, i, &params);

    gst_query_add_allocation_meta (query, api, params);
  }
  gst_query_unref (ask);
  return answered;
}

/* --- settings --- */

/* What the properties say at the moment, with the lists in them read. */
static void
update_settings (GstDsvl2Overlay *self)
{
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  if (self->version == self->current_version) {
    GST_OBJECT_UNLOCK (self);
    return;
  }
  overlay_settings_clear (&self->current);
  overlay_settings_copy (&self->current, &self->settings);
  self->current_version = self->version;
  GST_OBJECT_UNLOCK (self);

  labels_free (self->shown);
  labels_free (self->colours);
  self->shown = labels_parse (self->current.labels, FALSE, NULL);
  self->colours = labels_parse (self->current.label_colors, TRUE, &error);
  if (error != NULL)
    GST_ELEMENT_WARNING (self, LIBRARY, SETTINGS, ("label-colors is ignored: %s", error->message),
        (NULL));
}

static void
gst_dsvl2_overlay_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (object);

  GST_OBJECT_LOCK (self);
  settings_set (&self->settings, id, value);
  self->version++;
  GST_OBJECT_UNLOCK (self);
}

static void
gst_dsvl2_overlay_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (object);

  GST_OBJECT_LOCK (self);
  settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
}

/* --- frames --- */

/* Metadata is read before it is known whether anything is drawn: a buffer without is passed on as it is. */
static GstFlowReturn
gst_dsvl2_overlay_prepare_output_buffer (GstBaseTransform *trans, GstBuffer *in, GstBuffer **out)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);
  DrawFor target = { &self->info, !self->attach, &self->current };

  update_settings (self);
  target.colours = self->colours;
  target.version = self->current_version;
  scene_read (&self->scene, in, GST_VIDEO_INFO_WIDTH (&self->info), GST_VIDEO_INFO_HEIGHT (&self->info),
      &self->current, self->shown);
  self->picture = drawing_update (self->drawing, &self->scene, &target);
  *out = self->picture == NULL || gst_buffer_is_writable (in) ? in : gst_buffer_copy (in);
  return GST_FLOW_OK;
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

/* Metadata counts from the corner of the part that is seen. */
static gboolean
blend (GstDsvl2Overlay *self, GstBuffer *buffer)
{
  gboolean drawn;
  RawFrame raw;

  if (!raw_frame_map (&raw, buffer, &self->info, GST_MAP_READWRITE))
    return FALSE;
  drawn = pieces_blend (self->picture, raw.seen.x, raw.seen.y, &raw.frame);
  raw_frame_unmap (&raw);
  return drawn;
}

static GstFlowReturn
gst_dsvl2_overlay_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  if (self->picture == NULL)
    return GST_FLOW_OK;
  if (self->attach)
    attach (buffer, self->picture);
  else if (!blend (self, buffer) && !self->warned) {
    self->warned = TRUE;
    GST_ELEMENT_WARNING (self, STREAM, FORMAT, ("Frames cannot be drawn on"),
        ("a buffer cannot be mapped for writing, or is smaller than its caps say"));
  }
  return GST_FLOW_OK;
}

/* --- states --- */

static gboolean
gst_dsvl2_overlay_start (GstBaseTransform *trans)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  self->drawing = drawing_new ();
  scene_init (&self->scene);
  self->current_version = 0;
  return TRUE;
}

static gboolean
gst_dsvl2_overlay_stop (GstBaseTransform *trans)
{
  GstDsvl2Overlay *self = GST_DSVL2_OVERLAY (trans);

  self->picture = NULL;
  self->attach = FALSE;
  g_clear_pointer (&self->drawing, drawing_free);
  scene_clear (&self->scene);
  g_clear_pointer (&self->shown, labels_free);
  g_clear_pointer (&self->colours, labels_free);
  overlay_settings_clear (&self->current);
  return TRUE;
}

static void
gst_dsvl2_overlay_finalize (GObject *object)
{
  overlay_settings_clear (&GST_DSVL2_OVERLAY (object)->settings);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_dsvl2_overlay_init (GstDsvl2Overlay *self)
{
  settings_init (&self->settings, G_OBJECT_GET_CLASS (self));
  self->version = 1;
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
  overlay_props_install (object);
  gst_dsvl2_meta_register ();

  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "DeepSeek-VL2 overlay", "Filter/Editor/Video",
      "Draws boxes, labels and captions that buffers carry as metadata", "The dsvl2 authors");

  trans->start = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_start);
  trans->stop = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_stop);
  trans->set_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_set_caps);
  trans->transform_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_transform_caps);
  trans->fixate_caps = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_fixate_caps);
  trans->propose_allocation = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_propose_allocation);
  trans->prepare_output_buffer = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_prepare_output_buffer);
  trans->transform_ip = GST_DEBUG_FUNCPTR (gst_dsvl2_overlay_transform_ip);
  /* Every buffer may have something to draw, whatever the caps. */
  trans->passthrough_on_same_caps = FALSE;
}
