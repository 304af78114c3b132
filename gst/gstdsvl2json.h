/* dsvl2json: writes what buffers carry as lines of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_DSVL2_JSON_H
#define GST_DSVL2_JSON_H

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_DSVL2_JSON (gst_dsvl2_json_get_type ())
G_DECLARE_FINAL_TYPE (GstDsvl2Json, gst_dsvl2_json, GST, DSVL2_JSON, GstElement)

GST_ELEMENT_REGISTER_DECLARE (dsvl2json);

G_END_DECLS

#endif
