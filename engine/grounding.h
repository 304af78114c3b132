/* dsvl2: boxes in an answer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_GROUNDING_H
#define DSVL2_GROUNDING_H

#include "dsvl2.h"

enum { GROUNDING_MAX_OBJECTS = 256, GROUNDING_MAX_LABEL = 255 };

/* grounding_parse: the objects of an answer, as an array of Dsvl2Object that frees its labels.
 *   <|ref|>label<|/ref|><|det|>[[x0, y0, x1, y1], …]<|/det|>     integers 0 … 999 of the picture
 *   label<|box_start|>(x0,y0,x1,y1)<|box_end|>                   parts 0 … 1, the older spelling
 * `text` is what a model wrote, so anything: lists that stop, are nested, have odd counts, endless or
 * absurd numbers. A box with four usable numbers counts; corners are put in order and clamped; the rest
 * is passed over. A box without a phrase takes `fallback_label`.
 * token_end [n_tokens]: where in `text` each token's bytes end; logprobs [n_tokens] give each box its
 * confidence: exp (mean of the log-probabilities of the tokens from its first digit to its last). */
GArray *grounding_parse (const char *text, const int *token_end, const float *logprobs, int n_tokens,
    const char *fallback_label);

/* grounding_caption: the text for people: <|ref|>phrase<|/ref|> becomes the phrase, <|det|>…<|/det|> and
 * <|box_start|>…<|box_end|> go, other special marks go, white space at the ends too. Free with g_free (). */
char *grounding_caption (const char *text);

#endif
