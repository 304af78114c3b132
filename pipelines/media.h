/* dsvl2-annotate: its pipeline
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MEDIA_H
#define MEDIA_H

#include <gst/video/video.h>

/*   uridecodebin ─┬─ queue ─ videoflip ─ videoconvert ─ dsvl2infer ─┬─ dsvl2overlay ─ encoder ─┬─ muxer ─ file
 *                 │                                                 └─ dsvl2json ─ lines       │
 *                 └─ queue ─ audio encoder ────────────────────────────────────────────────────┘  */
typedef struct {
  GstElement *pipeline;
  GstElement *infer;       /* dsvl2infer; the pipeline's */
  GstElement *lines;       /* dsvl2json, or NULL */
  GstPad *annotated;       /* frames as they are encoded */
  int *ending;             /* not 0 (atomic): the streams end with the next buffer */
  GstElement *video, *mux; /* the pipeline's */
  const char *audio_encoder;
  gboolean has_video, has_audio;
} Media;

/* media_new: a stopped pipeline from `input`, a file or URI, to `output`, whose ending says the container
 * and codecs: .webm (VP8, Opus), .mp4 (H.264, AAC), .mkv (H.264, Opus). The first video stream is
 * annotated, the first audio stream is encoded with it, others are dropped. A line of JSON for each answer
 * goes to the file `json`, "-" is standard output, NULL: nowhere.
 * Errors: G_FILE_ERROR, GStreamer's own (an element is missing). Free with media_free (). */
Media *media_new (const char *input, const char *output, const char *json, int *ending, GError **error);
void media_free (Media *media);

/* media_set: "name=value" as gst-launch-1.0 would set it. Errors: G_OPTION_ERROR (no such property, a value
 * that it cannot have). */
gboolean media_set (GstElement *element, const char *assignment, GError **error);

#endif
