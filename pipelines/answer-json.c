/* dsvl2-chat: an answer as a line of JSON
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "answer-json.h"
#include "../gst/jsonline.h"

/* Decimals of a part of 1 (a pixel of an 8K picture is more than 0.0001), and of milliseconds. */
enum { PART = 4, MILLISECONDS = 3 };

static void
add_objects (GString *line, const Dsvl2Result *answer)
{
  json_line_open (line, "objects", '[');
  for (int i = 0; i < answer->n_objects; i++) {
    const Dsvl2Object *o = &answer->objects[i];
    const float box[] = { o->x0, o->y0, o->x1, o->y1 };

    json_line_open (line, NULL, '{');
    json_line_string (line, "label", o->label);
    json_line_number (line, "confidence", o->confidence, PART);
    json_line_open (line, "box", '[');
    for (gsize j = 0; j < G_N_ELEMENTS (box); j++)
      json_line_number (line, NULL, box[j], PART);
    json_line_close (line, ']');
    json_line_close (line, '}');
  }
  json_line_close (line, ']');
}

static void
add_costs (GString *line, const Dsvl2Result *answer)
{
  json_line_open (line, "tokens", '{');
  json_line_int (line, "prompt", answer->n_prompt_tokens);
  json_line_int (line, "cached", answer->n_cached_tokens);
  json_line_int (line, "answer", answer->n_tokens);
  json_line_close (line, '}');
  json_line_int (line, "tiles", answer->n_tiles);

  json_line_open (line, "timings_ms", '{');
  json_line_number (line, "queue", answer->queue_us / 1e3, MILLISECONDS);
  json_line_number (line, "vision", answer->vision_us / 1e3, MILLISECONDS);
  json_line_number (line, "prefill", answer->prefill_us / 1e3, MILLISECONDS);
  json_line_number (line, "decode", answer->decode_us / 1e3, MILLISECONDS);
  json_line_close (line, '}');
}

char *
answer_to_json (int turn, const char *prompt, const Dsvl2Result *answer)
{
  GString *line = g_string_new (NULL);

  json_line_open (line, NULL, '{');
  json_line_int (line, "turn", turn);
  json_line_string (line, "prompt", prompt);
  json_line_string (line, "text", answer->text);
  json_line_string (line, "caption", answer->caption);
  json_line_string (line, "finish", dsvl2_finish_get_name (answer->finish));
  if (answer->error != NULL)
    json_line_string (line, "error", answer->error->message);
  add_objects (line, answer);
  add_costs (line, answer);
  json_line_close (line, '}');
  return g_string_free (line, FALSE);
}
