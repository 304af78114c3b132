/* dsvl2: a scene as a picture over the video: what goes where, in which letters and colours
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_DRAW_H
#define DSVL2_DRAW_H

#include "scene.h"

typedef struct _Drawing Drawing;

/* drawing_new: an empty one, with fonts of its own: use it from one thread at a time. */
Drawing *drawing_new (void);
void drawing_free (Drawing *d);

/* What is drawn for, and how. */
typedef struct {
  const GstVideoInfo *info; /* size, pixel aspect ratio and colours of the frames */
  gboolean blend;           /* for pieces_blend () into such frames; otherwise somebody else shows it */
  const OverlaySettings *settings;
  const Labels *colours; /* with colours, or NULL */
  guint version;         /* differs when settings or colours do */
} DrawFor;

/* drawing_update: the scene as a picture, drawn anew only if anything differs from the one before; NULL if there
 * is nothing to see. The drawing keeps it. */
GstVideoOverlayComposition *drawing_update (Drawing *d, const Scene *scene, const DrawFor *target);
/* How often it was drawn. */
guint drawing_get_count (const Drawing *d);

#endif
