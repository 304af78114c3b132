/* dsvl2: an answer as it grows, token by token
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_ANSWER_H
#define DSVL2_ANSWER_H

#include "dsvl2.h"
#include "tokenizer.h"

typedef struct {
  GArray *ids;      /* int */
  GArray *logprobs; /* float */
  GArray *ends;     /* int: where in `text` each token's bytes end */
  GString *text;    /* valid UTF-8 */
  GString *open;    /* bytes of a character that is not complete */
  gsize given;      /* bytes of `text` that the caller has had */
  char **stop;      /* NULL-terminated, or NULL */
} Answer;

void answer_init (Answer *answer, const char *const *stop);
void answer_clear (Answer *answer);

/* answer_add: one more token; whether it completed a stop text, which is cut off. Bytes that are not
 * UTF-8 become U+FFFD. */
bool answer_add (Answer *answer, const Tokenizer *tokenizer, int id, float logprob);

/* answer_take: the text that has not been given yet, nothing while its end may begin a stop text; with
 * `last`, all of it, an incomplete character as U+FFFD. Valid until the answer changes. */
const char *answer_take (Answer *answer, bool last);

#endif
