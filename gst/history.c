/* dsvl2: what was asked and answered before, for questions that go on from there
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "history.h"
#include "prompts.h"

typedef struct {
  char *question, *answer;
} Turn;

struct _History {
  char **prompts;
  GHashTable *conversations; /* region × prompts + prompt → GQueue of Turn, oldest first */
};

static void
turn_free (gpointer data)
{
  Turn *turn = data;

  g_free (turn->question);
  g_free (turn->answer);
  g_free (turn);
}

static void
conversation_free (gpointer turns)
{
  g_queue_free_full (turns, turn_free);
}

History *
history_new (void)
{
  History *h = g_new0 (History, 1);

  h->prompts = g_new0 (char *, 1);
  h->conversations = g_hash_table_new_full (NULL, NULL, NULL, conversation_free);
  return h;
}

void
history_free (History *h)
{
  g_strfreev (h->prompts);
  g_hash_table_unref (h->conversations);
  g_free (h);
}

void
history_clear (History *h)
{
  g_hash_table_remove_all (h->conversations);
}

void
history_begin (History *h, char *const *prompts)
{
  if (g_strv_equal ((const char *const *) h->prompts, (const char *const *) prompts))
    return;
  g_strfreev (h->prompts);
  h->prompts = g_strdupv ((char **) prompts);
  history_clear (h);
}

static gpointer
key_of (const History *h, guint prompt, guint region)
{
  return GUINT_TO_POINTER (region * g_strv_length (h->prompts) + prompt);
}

char **
history_get (const History *h, guint prompt, guint region, guint limit)
{
  const GQueue *turns = g_hash_table_lookup (h->conversations, key_of (h, prompt, region));
  const guint n = turns != NULL ? MIN (turns->length, limit) : 0;
  char **texts = g_new0 (char *, 2 * n + 1);

  for (guint i = 0; i < n; i++) {
    const Turn *turn = g_queue_peek_nth ((GQueue *) turns, turns->length - n + i);

    texts[2 * i] = g_strdup (turn->question);
    texts[2 * i + 1] = g_strdup (turn->answer);
  }
  return texts;
}

void
history_add (History *h, guint prompt, guint region, const char *question, const char *answer,
    guint limit)
{
  gpointer key = key_of (h, prompt, region);
  GQueue *turns = g_hash_table_lookup (h->conversations, key);
  Turn *turn = g_new (Turn, 1);

  if (turns == NULL) {
    turns = g_queue_new ();
    g_hash_table_insert (h->conversations, key, turns);
  }
  *turn = (Turn){ prompts_without_marks (question), prompts_without_marks (answer) };
  g_queue_push_tail (turns, turn);
  while (turns->length > limit)
    turn_free (g_queue_pop_head (turns));
}
