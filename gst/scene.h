/* dsvl2: what a buffer says is to be seen on its frame: objects and answers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reads metadata, whoever put it there, and knows nothing of drawing:
 *   GstVideoRegionOfInterestMeta   an object, labelled by its type or its "detection" parameter; the labels
 *                                  of further parameters follow, the number in "object_id" is a tracker's
 *   GstAnalyticsRelationMeta       object detections with their classifications and tracking (GStreamer 1.24)
 *   "dsvl2-result"                 answers, and how old they and their objects are
 * An object that several of them describe is there once. Texts are cleaned, and there is a bound to all. */
#ifndef DSVL2_SCENE_H
#define DSVL2_SCENE_H

#include <gst/video/video.h>
#include "labels.h"
#include "overlayprops.h"

enum {
  SCENE_MAX_BOXES = 512,
  SCENE_MAX_LABEL = 48,    /* characters */
  SCENE_MAX_CAPTIONS = 16, /* answers on a frame */
  SCENE_MAX_CAPTION = 600, /* characters of one */
  SCENE_MAX_PROMPT = 80,
  SCENE_OPAQUE = 16, /* opacity in steps, so that fading redraws only so often */
};

typedef struct {
  int x, y, w, h;    /* pixels, inside the frame, none empty */
  GQuark type;       /* as the metadata has it, 0 if it has none */
  char *label;       /* what it is, "" if unknown */
  double confidence; /* 0 … 1; below 0 if unknown */
  gboolean tracked;  /* a tracker has a number for it */
  guint64 id;        /* that number */
  int opacity;       /* 0 … SCENE_OPAQUE */
} SceneBox;

typedef struct {
  char *prompt, *text; /* not empty; the prompt may be */
  int opacity;
} SceneCaption;

typedef struct {
  int width, height; /* of the frame */
  GArray *boxes;     /* of SceneBox */
  GArray *captions;  /* of SceneCaption */
  GArray *dated;     /* private */
} Scene;

void scene_init (Scene *scene);
void scene_clear (Scene *scene);

/* scene_read: the scene becomes what is on this buffer, as far as the settings let it be shown. `shown` are
 * the labels that are, NULL for all. */
void scene_read (Scene *scene, GstBuffer *buffer, int width, int height,
    const OverlaySettings *settings, const Labels *shown);

#endif
