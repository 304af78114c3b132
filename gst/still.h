/* dsvl2: picture files, decoded by GStreamer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_STILL_H
#define DSVL2_STILL_H

#include <gst/gst.h>

/* still_load: the first frame of what `name`, a file or a URI, holds, decoded by whatever GStreamer has for
 * it, turned as its orientation tag says, as BGRx. gst_init () comes first. Waits for it.
 * Errors: G_FILE_ERROR for a file that cannot be read, and GStreamer's own, each behind the name. Free with
 * gst_sample_unref (). */
GstSample *still_load (const char *name, GError **error);

#endif
