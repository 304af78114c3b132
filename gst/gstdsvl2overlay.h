/* dsvl2overlay: draws boxes, labels and captions that are on buffers as metadata
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_DSVL2_OVERLAY_H
#define GST_DSVL2_OVERLAY_H

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_DSVL2_OVERLAY (gst_dsvl2_overlay_get_type ())
G_DECLARE_FINAL_TYPE (GstDsvl2Overlay, gst_dsvl2_overlay, GST, DSVL2_OVERLAY, GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (dsvl2overlay);

G_END_DECLS

#endif
