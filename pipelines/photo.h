/* dsvl2-chat: a picture file as the engine and Cairo want it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PHOTO_H
#define PHOTO_H

#include "dsvl2.h"
#include <gst/video/video.h>

typedef struct {
  char *name;            /* as the user wrote it */
  GstVideoFrame *pixels; /* BGRx, upright; belongs to the picture */
  Dsvl2Picture *picture;
} Photo;

/* photo_load: the first frame of what `name`, a file or a URI, holds, decoded by whatever GStreamer has
 * for it and turned as its orientation tag says. gst_init () comes first.
 * Errors: GStreamer's own and Dsvl2Error's, each behind the name. Free with photo_free (). */
Photo *photo_load (const char *name, GError **error);
void photo_free (Photo *photo);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Photo, photo_free)

#endif
