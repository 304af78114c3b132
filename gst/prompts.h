/* dsvl2: from what users write in properties to what the model is asked
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_PROMPTS_H
#define DSVL2_PROMPTS_H

#include "inferprops.h"

/* prompts_split: the entries of a list property, valid UTF-8: one a line, or separated by ";" in a single
 * line; none is empty or has spaces around it. NULL is an empty list. Free with g_strfreev (). */
char **prompts_split (const char *list);

/* prompts_asked: those that are asked, at least one: of `prompts`, or `prompt` if there are none. Free with
 * g_strfreev (). */
char **prompts_asked (const InferSettings *s);

/* prompts_question: what the model is asked for a prompt about so many pictures. Those that the prompt has
 * no <image> marks for come first. Free with g_free (). */
char *prompts_question (const char *prompt, InferTemplate template, guint n_pictures);

guint prompts_count_marks (const char *question);
/* prompts_without_marks: a text that stands for no picture. Free with g_free (). */
char *prompts_without_marks (const char *text);

#endif
