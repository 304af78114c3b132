/* dsvl2: a picture: pixels that somebody else owns, and an identity that outlives them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_PICTURE_H
#define DSVL2_PICTURE_H

#include "dsvl2.h"
#include "kernels/backend.h"

/* What caches remember a picture by: no two pictures have the same one while anybody holds it. It keeps
 * no pixels alive. Take and drop it with g_atomic_rc_box_acquire () and g_atomic_rc_box_release (). */
typedef struct {
  char unused;
} PictureKey;

struct _Dsvl2Picture {
  gatomicrefcount refs;
  PictureKey *key;
  Frame frame;
  GDestroyNotify free;
  gpointer owner;
};

enum { PICTURE_MAX_SIDE = 32768 };

/* frame_from_public: describes a frame to the kernels.
 * Errors: PICTURE (format, a side outside 1 … PICTURE_MAX_SIDE, a plane missing, a stride too short). */
bool frame_from_public (Frame *frame, const Dsvl2Frame *from, GError **error);

#endif
