/* dsvl2: the plugin
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2infer.h"
#include "gstdsvl2json.h"
#include "gstdsvl2overlay.h"

static gboolean
plugin_init (GstPlugin *plugin)
{
  return GST_ELEMENT_REGISTER (dsvl2infer, plugin) && GST_ELEMENT_REGISTER (dsvl2json, plugin) &&
         GST_ELEMENT_REGISTER (dsvl2overlay, plugin);
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, dsvl2, "DeepSeek-VL2 on video", plugin_init,
    DSVL2_VERSION, "LGPL", PACKAGE_NAME, PACKAGE_ORIGIN)
