/* dsvl2: an answer as it grows, token by token
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "answer.h"
#include <string.h>

#define REPLACEMENT "\357\277\275" /* U+FFFD */

void
answer_init (Answer *answer, const char *const *stop)
{
  answer->ids = g_array_new (FALSE, FALSE, sizeof (int));
  answer->logprobs = g_array_new (FALSE, FALSE, sizeof (float));
  answer->ends = g_array_new (FALSE, FALSE, sizeof (int));
  answer->text = g_string_new (NULL);
  answer->open = g_string_new (NULL);
  answer->given = 0;
  answer->stop = g_strdupv ((char **) stop);
}

void
answer_clear (Answer *answer)
{
  g_array_unref (answer->ids);
  g_array_unref (answer->logprobs);
  g_array_unref (answer->ends);
  g_string_free (answer->text, TRUE);
  g_string_free (answer->open, TRUE);
  g_strfreev (answer->stop);
}

/* Moves whole characters from `open` to `text`. What can't become a character is replaced as Unicode
 * advises, one U+FFFD for each maximal part of one. */
static void
close_characters (Answer *answer, bool last)
{
  const char *p = answer->open->str, *end = p + answer->open->len;

  while (p < end) {
    const gunichar c = g_utf8_get_char_validated (p, end - p);
    int skip = 1;

    if (c == (gunichar) -2 && !last)
      break;
    if (c != 0 && c < (gunichar) -2) {
      skip = g_utf8_next_char (p) - p;
      g_string_append_len (answer->text, p, skip);
    } else {
      for (int n = MIN (3, end - p); n > 1 && skip == 1; n--) {
        if (g_utf8_get_char_validated (p, n) == (gunichar) -2)
          skip = n;
      }
      g_string_append (answer->text, REPLACEMENT);
    }
    p += skip;
  }
  g_string_erase (answer->open, 0, p - answer->open->str);
}

/* Cuts the text at the first stop text that ends behind `from`. */
static bool
cut_at_stop (Answer *answer, gsize from)
{
  char *cut = NULL;

  for (char **stop = answer->stop; stop && *stop; stop++) {
    const gsize length = strlen (*stop);
    char *found =
        length ? strstr (answer->text->str + (from >= length ? from - length + 1 : 0), *stop) : NULL;

    if (found && (cut == NULL || found < cut))
      cut = found;
  }
  if (cut == NULL)
    return false;
  g_string_truncate (answer->text, cut - answer->text->str);
  g_string_truncate (answer->open, 0);
  for (guint i = 0; i < answer->ends->len; i++) {
    int *end = &g_array_index (answer->ends, int, i);
    *end = MIN (*end, (int) answer->text->len);
  }
  return true;
}

bool
answer_add (Answer *answer, const Tokenizer *tokenizer, int id, float logprob)
{
  const gsize before = answer->text->len;
  gsize n_bytes;
  const char *bytes = tokenizer_token_bytes (tokenizer, id, &n_bytes);

  g_string_append_len (answer->open, bytes, n_bytes);
  close_characters (answer, false);
  const int end = answer->text->len;
  g_array_append_val (answer->ids, id);
  g_array_append_val (answer->logprobs, logprob);
  g_array_append_val (answer->ends, end);
  return cut_at_stop (answer, before);
}

/* Whether the text ends with the beginning of a stop text. */
static bool
may_stop (const Answer *answer)
{
  for (char **stop = answer->stop; stop && *stop; stop++) {
    for (gsize n = MIN (strlen (*stop), answer->text->len); n > 0; n--) {
      if (strncmp (answer->text->str + answer->text->len - n, *stop, n) == 0)
        return true;
    }
  }
  return false;
}

const char *
answer_take (Answer *answer, bool last)
{
  if (last)
    close_characters (answer, true);
  else if (may_stop (answer))
    return "";

  const char *text = answer->text->str + MIN (answer->given, answer->text->len);
  answer->given = answer->text->len;
  return text;
}
