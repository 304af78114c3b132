/* dsvl2: boxes in an answer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "grounding.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define REF "<|ref|>"
#define DET "<|det|>"
#define BOX "<|box_start|>"

/* Coordinates count to this. */
static const double full_scale = 999;

typedef struct {
  const char *text;
  const int *token_end;
  const float *logprobs;
  int n_tokens;
  int token;       /* the first that ends behind the last box: boxes come in order */
  GArray *objects; /* Dsvl2Object */
} Parser;

static void
object_clear (gpointer object)
{
  g_free (((Dsvl2Object *) object)->label);
}

/* A label as it is shown: trimmed, valid, cut between characters. */
static char *
label_new (const char *begin, gsize length)
{
  g_autofree char *valid = g_utf8_make_valid (begin, MIN (length, 4 * GROUNDING_MAX_LABEL));
  const char *label = g_strstrip (valid);
  const char *end = label;

  while (*end && g_utf8_next_char (end) - label <= GROUNDING_MAX_LABEL)
    end = g_utf8_next_char (end);
  return g_strndup (label, end - label);
}

/* e^(mean log-probability) of the tokens that touch text[begin, end). */
static float
confidence (Parser *p, int begin, int end)
{
  double sum = 0;
  int n = 0;

  while (p->token < p->n_tokens && p->token_end[p->token] <= begin)
    p->token++;
  for (int i = p->token; i < p->n_tokens; i++) {
    sum += p->logprobs[i];
    n++;
    if (p->token_end[i] >= end)
      break;
  }
  return n > 0 ? (float) exp (sum / n) : 0;
}

static void
add_box (Parser *p, const char *label, gsize label_length, const double v[4], double scale,
    const char *begin, const char *end)
{
  if (p->objects->len >= GROUNDING_MAX_OBJECTS)
    return;
  const double x0 = CLAMP (v[0] / scale, 0, 1), y0 = CLAMP (v[1] / scale, 0, 1);
  const double x1 = CLAMP (v[2] / scale, 0, 1), y1 = CLAMP (v[3] / scale, 0, 1);
  const Dsvl2Object object = {
    .label = label_new (label, label_length),
    .x0 = MIN (x0, x1),
    .y0 = MIN (y0, y1),
    .x1 = MAX (x0, x1),
    .y1 = MAX (y0, y1),
    .confidence = confidence (p, begin - p->text, end - p->text),
  };
  g_array_append_val (p->objects, object);
}

/* A number without sign or exponent, at most nine digits before the point; false where there is none. */
static bool
read_number (const char **at, const char *end, double *value)
{
  const char *s = *at;
  double v = 0, digit = 1;
  int n = 0;

  for (; s < end && g_ascii_isdigit (*s); s++, n++)
    v = v * 10 + (*s - '0');
  if (n > 9)
    v = NAN;
  if (s < end && *s == '.') {
    for (s++; s < end && g_ascii_isdigit (*s); s++, n++)
      v += (*s - '0') * (digit /= 10);
  }
  *at = s;
  *value = v;
  return n > 0;
}

/* Every innermost bracket between begin and end that holds four numbers, and nothing else, is a box. */
static void
read_boxes (Parser *p, const char *label, gsize label_length, const char *begin, const char *end,
    char open, char close, double scale)
{
  for (const char *s = begin; s < end; s++) {
    double v[4];
    int n = 0;
    const char *first = s + 1, *at = first;

    if (*s != open)
      continue;
    while (at < end && n < 4) {
      while (at < end && (*at == ' ' || *at == '\n' || *at == '\t'))
        at++;
      if (!read_number (&at, end, &v[n]) || isnan (v[n]))
        break;
      n++;
      while (at < end && *at == ' ')
        at++;
      if (n < 4 && at < end && *at == ',')
        at++;
      else
        break;
    }
    if (n == 4 && at < end && *at == close)
      add_box (p, label, label_length, v, scale, first, at);
    s = MAX (s, at - 1);
  }
}

GArray *
grounding_parse (const char *text, const int *token_end, const float *logprobs, int n_tokens,
    const char *fallback_label)
{
  Parser p = { text, token_end, logprobs, n_tokens, 0,
    g_array_new (FALSE, FALSE, sizeof (Dsvl2Object)) };
  const char *label = fallback_label;
  gsize label_length = strlen (fallback_label);

  g_array_set_clear_func (p.objects, object_clear);
  /* A mark and what follows it, up to the next mark. */
  for (const char *mark = strstr (text, "<|"), *end; mark; mark = end) {
    const char *next = strstr (mark + 2, "<|");

    end = next ? next : mark + strlen (mark);
    if (g_str_has_prefix (mark, REF)) {
      label = mark + strlen (REF);
      label_length = end - label;
    } else if (g_str_has_prefix (mark, DET)) {
      read_boxes (&p, label, label_length, mark + strlen (DET), end, '[', ']', full_scale);
      label = fallback_label;
      label_length = strlen (fallback_label);
    } else if (g_str_has_prefix (mark, BOX)) {
      read_boxes (&p, label, label_length, mark + strlen (BOX), end, '(', ')', 1);
    }
    if (next == NULL)
      break;
  }
  return p.objects;
}

char *
grounding_caption (const char *text)
{
  g_autoptr (GRegex) marks =
      g_regex_new ("<\\|det\\|>.*?(?:<\\|/"
                   "det\\|>|$)|<\\|box_start\\|>.*?(?:<\\|box_end\\|>|$)|<\\|[a-zA-Z_/]+\\|>",
          G_REGEX_DOTALL | G_REGEX_OPTIMIZE, 0, NULL);
  char *caption = g_regex_replace_literal (marks, text, -1, 0, "", 0, NULL);

  return g_strstrip (caption ? caption : g_strdup (text));
}
