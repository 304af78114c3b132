/* dsvl2: whose turn it is
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One order of all who wait for something that serves one after another: the higher priority first; in a
 * priority what has begun, in the order in which it began; then streams in turn; in a stream the order in
 * which they joined.
 *
 * A stream's place is where it stood when one of its turns began last, or, if it had none, where it came
 * back: so a stream that waits is passed by each other stream once at most, however many turns those have.
 * Used by one thread. */
#ifndef DSVL2_TURNS_H
#define DSVL2_TURNS_H

#include <glib.h>

typedef struct _Turns Turns;
typedef struct _TurnStream TurnStream;

/* A place in the order, a part of whatever waits. Its fields are the order's own. */
typedef struct {
  TurnStream *stream;
  int priority;
  guint64 number; /* of joining */
  guint64 begun;  /* when it began; 0: it has not */
} Turn;

Turns *turns_new (void);
/* When all have left. */
void turns_free (Turns *turns);

/* turns_join: a turn of that stream; NULL: of a stream of its own. */
void turns_join (Turns *turns, Turn *turn, gconstpointer stream, int priority);
void turns_leave (Turns *turns, Turn *turn);

/* turns_begin: the turn is being served, and its stream's others are behind everybody in their priority.
 * Nothing if it has begun before. */
void turns_begin (Turns *turns, Turn *turn);

/* Less than 0: a is before b; never 0 for two turns. */
int turn_compare (const Turn *a, const Turn *b);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Turns, turns_free)

#endif
