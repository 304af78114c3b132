/* dsvl2: an answer, or what others found on a frame, as a line of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The keys are those of DL Streamer's gvametaconvert
 *
 *   resolution { width, height }, source, timestamp (stream time, ns), tags
 *   objects    [{ x, y, w, h (pixels), region_id, id, roi_type,
 *                 detection { bounding_box { x_min, x_max, y_min, y_max }, confidence, label_id, label },
 *                 and what classifiers said: NAME { label, model { name }, confidence, label_id } … }]
 *
 * and, where it is an answer, ours: region { x, y, w, h } if not the whole frame was asked about, caption,
 * text, prompt, prompt_index, seen_pts (ns), finish, tokens { prompt, answer, cached }, tiles, timings_ms
 * { queue, vision, prefill, decode }. Times that are not known are null. Texts may be any bytes: what is
 * not UTF-8 becomes U+FFFD. Fields that a structure lacks, or has with another type, are "" or 0.
 *
 * Unless `timings` or `region_ids` ask for it, nothing is written that differs between two runs. */
#ifndef DSVL2_RESULTLINE_H
#define DSVL2_RESULTLINE_H

#include <gst/video/video.h>

/* What is written besides. The first two are left out where they are NULL. */
typedef struct {
  char *source;
  GstStructure *tags;
  gboolean timings;    /* timings_ms, tiles and tokens.cached */
  gboolean region_ids; /* region_id, which names a region within this process */
} LineStyle;

/* The frame that is at hand. */
typedef struct {
  GstBuffer *buffer;
  int width, height;
  GstClockTime timestamp; /* stream time */
} LineFrame;

/* line_of_result: a "dsvl2-result" of the frame's buffer. Resolution, timestamp and pixels are those of the
 * frame that was analysed, which may be another one; ids come from the buffer's regions of interest.
 * Returns a line with its newline. Free with g_free (). */
char *line_of_result (const GstStructure *result, const LineFrame *frame, const LineStyle *style);

/* line_of_others: the frame with those of its objects, regions of interest and GstAnalytics' detections, that
 * are of no "dsvl2-result" on it, and what classifiers said of the whole of it.
 * Returns NULL if there are none. Free with g_free (). */
char *line_of_others (const LineFrame *frame, const LineStyle *style);

/* line_of_nothing: the frame without objects. Free with g_free (). */
char *line_of_nothing (const LineFrame *frame, const LineStyle *style);

#endif
