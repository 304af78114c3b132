/* dsvl2-chat: an answer drawn onto its picture by dsvl2overlay
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DRAW_H
#define DRAW_H

#include "photo.h"

/* draw_answer: writes `path`, a PNG of the photo with the answer's boxes and caption as dsvl2overlay draws them.
 * Errors: GStreamer's own, behind the path; it says so too where the plugin is not found. */
gboolean draw_answer (const Photo *photo, const Dsvl2Result *answer, const char *path, GError **error);

#endif
