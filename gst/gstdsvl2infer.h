/* dsvl2infer: asks a DeepSeek-VL2 model about video frames
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_DSVL2_INFER_H
#define GST_DSVL2_INFER_H

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_DSVL2_INFER (gst_dsvl2_infer_get_type ())
G_DECLARE_FINAL_TYPE (GstDsvl2Infer, gst_dsvl2_infer, GST, DSVL2_INFER, GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (dsvl2infer);

G_END_DECLS

#endif
