/* dsvl2-chat: an answer drawn onto its picture
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DRAW_H
#define DRAW_H

#include "photo.h"

/* draw_answer: writes `path`, a PNG of the photo with the answer's boxes, each with its label, and the
 * caption on a strip at the bottom. Labels and captions are drawn as plain text.
 * Errors: G_FILE_ERROR, naming the path. */
gboolean draw_answer (const Photo *photo, const Dsvl2Result *answer, const char *path, GError **error);

#endif
