/* dsvl2: boxes in an answer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "grounding.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
  COORDINATE_MAX = 999,
  ABSURD = 1000000, /* no model means a number this large */
};

/* --- marks -------------------------------------------------------------------------------------- */

typedef enum { NO_MARK, REF, REF_END, DET, DET_END, BOX, BOX_END, OTHER_MARK } Mark;

static const struct {
  const char *text;
  Mark mark;
} marks[] = {
  { "<|ref|>", REF },
  { "<|/ref|>", REF_END },
  { "<|det|>", DET },
  { "<|/det|>", DET_END },
  { "<|box_start|>", BOX },
  { "<|box_end|>", BOX_END },
  { "<image>", OTHER_MARK },
};

/* The mark that p, a '<', begins; *behind is set if it is one. Reads as far as the next '<' at most. */
static Mark
mark_at (const char *p, const char **behind)
{
  static const char name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/";
  static const char bar[] = "｜"; /* of DeepSeek's own marks: <｜end▁of▁sentence｜> */
  gsize n;

  for (guint i = 0; i < G_N_ELEMENTS (marks); i++)
    if (g_str_has_prefix (p, marks[i].text)) {
      *behind = p + strlen (marks[i].text);
      return marks[i].mark;
    }
  if (p[1] == '|') {
    n = 2 + strspn (p + 2, name);
    *behind = p + n + 2;
    return n > 2 && p[n] == '|' && p[n + 1] == '>' ? OTHER_MARK : NO_MARK;
  }
  if (g_str_has_prefix (p + 1, bar)) {
    n = 1 + strcspn (p + 1, "<>");
    *behind = p + n + 1;
    return n > 7 && p[n] == '>' && memcmp (p + n - 3, bar, 3) == 0 ? OTHER_MARK : NO_MARK;
  }
  return NO_MARK;
}

/* The first mark from p on: *start … *behind; these mean nothing with NO_MARK. */
static Mark
next_mark (const char *p, const char **start, const char **behind)
{
  for (p = strchr (p, '<'); p != NULL; p = strchr (p + 1, '<')) {
    Mark mark = mark_at (p, behind);

    if (mark != NO_MARK) {
      *start = p;
      return mark;
    }
  }
  return NO_MARK;
}

/* --- boxes -------------------------------------------------------------------------------------- */

typedef struct {
  const char *begin, *end;
} Span;

typedef struct {
  const char *text;
  const int *token_end;
  const float *logprobs;
  int n_tokens, token; /* token: the first that ends behind the last box: boxes come in order */
  Span label;          /* of the boxes that follow; begin NULL: none */
  const char *fallback_label;
  GArray *objects;
} Parser;

typedef struct {
  double value;
  bool point; /* written with one */
  Span digits;
} Number;

static void
clear_object (gpointer object)
{
  g_free (((Dsvl2Object *) object)->label);
}

static Span
trim (Span s)
{
  while (s.begin < s.end && g_ascii_isspace (*s.begin))
    s.begin++;
  while (s.end > s.begin && g_ascii_isspace (s.end[-1]))
    s.end--;
  return s;
}

/* Valid UTF-8 of at most GROUNDING_MAX_LABEL bytes, cut between characters. */
static char *
make_label (Span s)
{
  g_autofree char *valid = g_utf8_make_valid (s.begin, MIN (s.end - s.begin, GROUNDING_MAX_LABEL + 3));
  const char *end = valid;

  while (*end != '\0' && g_utf8_next_char (end) - valid <= GROUNDING_MAX_LABEL)
    end = g_utf8_next_char (end);
  return g_strchomp (g_strndup (valid, end - valid));
}

/* e^(mean log-probability) of the tokens that touch what the box is spelt with, from its first digit to its
 * last; 0 where that is no number. Boxes come in order, so tokens are passed once. */
static float
confidence (Parser *p, const Number v[4])
{
  const int begin = v[0].digits.begin - p->text, end = v[3].digits.end - p->text;
  double sum = 0, mean;
  int n = 0;

  while (p->token < p->n_tokens && p->token_end[p->token] <= begin)
    p->token++;
  for (int i = p->token; i < p->n_tokens && (i == p->token || p->token_end[i - 1] < end); i++, n++)
    sum += p->logprobs[i];
  mean = n > 0 ? exp (sum / n) : 0;
  return mean > 0 ? (float) MIN (mean, 1) : 0;
}

/* Four numbers without a point, or larger than 1, are coordinates to 999; else parts of the picture. The
 * older spelling means parts by 0 and 1 as well. */
static double
scale_of (const Number v[4], bool older)
{
  bool parts = older;

  for (int k = 0; k < 4; k++)
    parts = parts || v[k].point;
  for (int k = 0; k < 4; k++)
    parts = parts && v[k].value <= 1;
  return parts ? 1 : COORDINATE_MAX;
}

static void
add_box (Parser *p, const Number v[4], bool older)
{
  const double scale = scale_of (v, older);
  const Span label = p->label.begin != NULL ? trim (p->label) : (Span){ NULL, NULL };
  float c[4];
  Dsvl2Object object;

  for (int k = 0; k < 4; k++)
    c[k] = CLAMP (v[k].value / scale, 0, 1);
  object = (Dsvl2Object){
    .label = label.begin < label.end ? make_label (label) : g_strdup (p->fallback_label),
    .x0 = MIN (c[0], c[2]),
    .y0 = MIN (c[1], c[3]),
    .x1 = MAX (c[0], c[2]),
    .y1 = MAX (c[1], c[3]),
    .confidence = confidence (p, v),
  };
  g_array_append_val (p->objects, object);
}

static const char *
skip_spaces (const char *s, const char *end)
{
  while (s < end && g_ascii_isspace (*s))
    s++;
  return s;
}

/* Reads "-12.5" at *at, which moves behind it; false, if no number is there or an absurd one. */
static bool
read_number (const char **at, const char *end, Number *number)
{
  const char *s = *at, *digits;
  const bool negative = s < end && *s == '-';
  double value = 0, unit = 1;

  digits = s += negative;
  for (; s < end && g_ascii_isdigit (*s); s++)
    value = MIN (value * 10 + (*s - '0'), ABSURD);
  number->point = s + 1 < end && *s == '.' && g_ascii_isdigit (s[1]);
  if (number->point)
    for (s++; s < end && g_ascii_isdigit (*s); s++)
      value += (*s - '0') * (unit /= 10);
  number->value = negative ? -value : value;
  number->digits = (Span){ *at, s };
  *at = s;
  return s > digits && value < ABSURD;
}

/* Each pair of brackets with four numbers between them and nothing else is a box, however they are nested;
 * one that does not close is none, its last number may have been cut. */
static void
read_boxes (Parser *p, Span list, char open, char close)
{
  const char *s = list.begin, *end = list.end;

  while (s < end && p->objects->len < GROUNDING_MAX_OBJECTS) {
    Number v[4];
    int n = 0;

    if (*s++ != open)
      continue;
    for (s = skip_spaces (s, end); n < 4 && read_number (&s, end, &v[n]); n++) {
      s = skip_spaces (s, end);
      if (n < 3 && s < end && *s == ',')
        s = skip_spaces (s + 1, end);
      else if (n < 3)
        break;
    }
    if (n == 4 && s < end && *s == close)
      add_box (p, v, open == '(');
  }
}

/* What names a box of the older spelling: the last phrase before it. */
static Span
last_phrase (Span text)
{
  const char *s = text.end;

  while (s > text.begin && strchr (".,;:!?\n", s[-1]) == NULL)
    s--;
  return trim ((Span){ s, text.end });
}

GArray *
grounding_parse (const char *text, const int *token_end, const float *logprobs, int n_tokens,
    const char *fallback_label)
{
  Parser p = { .text = text,
    .token_end = token_end,
    .logprobs = logprobs,
    .n_tokens = n_tokens,
    .fallback_label = fallback_label != NULL ? fallback_label : "" };
  const char *behind = text, *const end = text + strlen (text);
  Mark before = NO_MARK, mark;

  p.objects = g_array_new (FALSE, FALSE, sizeof (Dsvl2Object));
  g_array_set_clear_func (p.objects, clear_object);
  do {
    Span between = { behind, end };
    Span phrase;

    mark = next_mark (behind, &between.end, &behind);
    switch (before) {
      case REF:
        p.label = between;
        break;
      case DET:
        read_boxes (&p, between, '[', ']');
        p.label.begin = NULL;
        break;
      case BOX:
        read_boxes (&p, between, '(', ')');
        break;
      default:
        phrase = last_phrase (between);
        if (mark == BOX && before != REF_END && phrase.begin < phrase.end)
          p.label = phrase;
    }
    before = mark;
  } while (mark != NO_MARK);
  return p.objects;
}

/* --- for people --------------------------------------------------------------------------------- */

char *
grounding_caption (const char *text)
{
  g_autoptr (GString) out = g_string_new (NULL);
  const char *behind = text, *const end = text + strlen (text);
  Mark before = NO_MARK, mark;

  do {
    Span between = { behind, end };

    mark = next_mark (behind, &between.end, &behind);
    if (before != DET && before != BOX)
      g_string_append_len (out, between.begin, between.end - between.begin);
    before = mark;
  } while (mark != NO_MARK);
  return g_strstrip (g_utf8_make_valid (out->str, out->len));
}
