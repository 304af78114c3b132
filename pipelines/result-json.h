/* dsvl2 programs: a "dsvl2-result" structure as a line of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RESULT_JSON_H
#define RESULT_JSON_H

#include <gst/gst.h>

/* result_to_json: one object on one line, without a newline: DL Streamer's keys
 *   resolution { width, height }, source, timestamp (stream time, ns)
 *   objects    [{ x, y, w, h (pixels), roi_type,
 *                 detection { bounding_box { x_min, x_max, y_min, y_max }, confidence, label_id, label } }]
 * and ours: caption, text, prompt, seen_pts (ns), finish, tokens { prompt, cached, answer }, tiles,
 * timings_ms { queue, vision, prefill, decode }. Times that are not known are null.
 * The structure's fields are described in docs/elements.md; those that lack are left out or 0.
 * Free with g_free (). */
char *result_to_json (const GstStructure *result, const char *source);

#endif
