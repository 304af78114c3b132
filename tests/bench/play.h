/* tests: plays a pipeline to its end
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PLAY_H
#define PLAY_H

#include <gst/gst.h>

/* Given each sample; FALSE with an error ends it. */
typedef gboolean (*PlayFunc) (GstSample *sample, gpointer user_data, GError **error);

/* play_to_end: sets `location` on the element "source", gives each sample of the appsink "sink" to `func`,
 * and stops the pipeline. Errors: the first one that the pipeline posted; func's. */
gboolean play_to_end (GstElement *pipeline, const char *location, PlayFunc func, gpointer user_data,
    GError **error);

#endif
