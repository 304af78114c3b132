/* dsvl2: what was asked and answered before, for questions that go on from there
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * There is a conversation for each prompt about each region. Turns are text alone: a picture costs hundreds
 * to thousands of tokens, and pixels that nobody else needs any more; what was seen in it is in its answer.
 * Used under its owner's lock. */
#ifndef DSVL2_HISTORY_H
#define DSVL2_HISTORY_H

#include <glib.h>

typedef struct _History History;

History *history_new (void);
void history_free (History *history);

/* history_begin: the prompts that are asked from here on. Others than before: all is forgotten. */
void history_begin (History *history, char *const *prompts);
void history_clear (History *history);

/* history_get: the last turns of a conversation, at most `limit`, oldest first: question, answer, question …
 * Free with g_strfreev (). */
char **history_get (const History *history, guint prompt, guint region, guint limit);

/* history_add: a turn, of which marks for pictures are left out. More than the last `limit` are forgotten. */
void history_add (History *history, guint prompt, guint region, const char *question,
    const char *answer, guint limit);

#endif
