/* dsvl2: whose turn it is
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "turns.h"

struct _TurnStream {
  gconstpointer name; /* NULL: known to its only turn */
  guint64 place;
  int n_turns;
};

struct _Turns {
  GHashTable *streams; /* name → TurnStream with turns */
  guint64 clock;
};

Turns *
turns_new (void)
{
  Turns *turns = g_new0 (Turns, 1);

  turns->streams = g_hash_table_new (NULL, NULL);
  return turns;
}

void
turns_free (Turns *turns)
{
  g_hash_table_unref (turns->streams);
  g_free (turns);
}

static TurnStream *
stream_new (Turns *turns, gconstpointer name)
{
  TurnStream *stream = g_new0 (TurnStream, 1);

  stream->name = name;
  stream->place = turns->clock;
  if (name)
    g_hash_table_insert (turns->streams, (gpointer) name, stream);
  return stream;
}

void
turns_join (Turns *turns, Turn *turn, gconstpointer name, int priority)
{
  TurnStream *stream = name ? g_hash_table_lookup (turns->streams, name) : NULL;

  *turn = (Turn){ .priority = priority, .number = ++turns->clock };
  turn->stream = stream ? stream : stream_new (turns, name);
  turn->stream->n_turns++;
}

void
turns_leave (Turns *turns, Turn *turn)
{
  TurnStream *stream = turn->stream;

  turn->stream = NULL;
  if (--stream->n_turns > 0)
    return;
  if (stream->name)
    g_hash_table_remove (turns->streams, stream->name);
  g_free (stream);
}

void
turns_begin (Turns *turns, Turn *turn)
{
  if (turn->begun == 0)
    turn->begun = turn->stream->place = ++turns->clock;
}

static int
compare (guint64 a, guint64 b)
{
  return (a > b) - (a < b);
}

int
turn_compare (const Turn *a, const Turn *b)
{
  if (a->priority != b->priority)
    return a->priority > b->priority ? -1 : 1;
  if (a->begun || b->begun)
    return a->begun && b->begun ? compare (a->begun, b->begun) : a->begun ? -1 : 1;
  if (a->stream != b->stream && a->stream->place != b->stream->place)
    return compare (a->stream->place, b->stream->place);
  return compare (a->number, b->number);
}
