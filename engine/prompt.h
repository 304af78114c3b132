/* dsvl2: from a conversation to tokens
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_PROMPT_H
#define DSVL2_PROMPT_H

#include "dsvl2.h"
#include "tokenizer.h"

/* prompt_encode: appends to `ids` (int) the conversation in the published models' format ("deepseek"),
 * with ONE image token for each <image> mark of a user's message; the caller widens it to the picture's
 * tokens. Marks in other roles' texts are text.
 * Errors: PROMPT (no message, roles out of order, marks and pictures differ in number). */
bool prompt_encode (const Tokenizer *tokenizer, const Dsvl2Message *messages, int n_messages,
    int n_pictures, GArray *ids, GError **error);

#endif
