/* dsvl2-chat: an answer as a line of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ANSWER_JSON_H
#define ANSWER_JSON_H

#include "dsvl2.h"

/* answer_to_json: one object on one line, without a newline; prompt: the turn's text as the model saw it.
 *   turn, prompt, text, caption, finish, error (of a failed turn)
 *   objects    [{ label, confidence, box: [x0, y0, x1, y1] in parts of the picture }]
 *   tokens     { prompt, cached, answer }, tiles
 *   timings_ms { queue, vision, prefill, decode }
 * Free with g_free (). */
char *answer_to_json (int turn, const char *prompt, const Dsvl2Result *answer);

#endif
