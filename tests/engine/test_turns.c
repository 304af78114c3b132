/* dsvl2: whose turn it is, without an engine
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Turns are named by their stream and a number: "b2" is the second of stream b. '.' is a stream of its own. */
#include "turns.h"
#include <string.h>

enum { MAX_TURNS = 64 };

typedef struct {
  Turns *turns;
  Turn turn[MAX_TURNS];
  char name[MAX_TURNS][3];
  int n;
  int asked[128]; /* by the stream's letter */
} Line;

/* Any address will do for a stream. */
static const char letters[128];

static void
join (Line *line, char stream, int priority)
{
  g_assert_cmpint (line->n, <, MAX_TURNS);
  turns_join (line->turns, &line->turn[line->n], stream == '.' ? NULL : &letters[(int) stream],
      priority);
  g_snprintf (line->name[line->n], 3, "%c%d", stream, ++line->asked[(int) stream]);
  line->n++;
}

static int
first (const Line *line)
{
  int best = -1;

  for (int i = 0; i < line->n; i++) {
    if (line->turn[i].stream && (best < 0 || turn_compare (&line->turn[i], &line->turn[best]) < 0))
      best = i;
  }
  return best;
}

/* Plays a script: a letter joins (with the priority that the last digit said), '!' serves who is first
 * (begins and leaves), '+' begins who is first, '-' ends who is first. What was served, in order. */
static char *
play (const char *script)
{
  Line line = { .turns = turns_new () };
  GString *served = g_string_new (NULL);
  int priority = 0;

  for (; *script; script++) {
    const int i = first (&line);

    if (g_ascii_isdigit (*script)) {
      priority = *script - '0';
    } else if (strchr ("!+-", *script) == NULL) {
      join (&line, *script, priority);
    } else {
      g_assert_cmpint (i, >=, 0);
      turns_begin (line.turns, &line.turn[i]);
      if (*script != '-')
        g_string_append_printf (served, "%s%s", served->len ? " " : "", line.name[i]);
      if (*script != '+')
        turns_leave (line.turns, &line.turn[i]);
    }
  }
  for (int i; (i = first (&line)) >= 0;)
    turns_leave (line.turns, &line.turn[i]);
  turns_free (line.turns);
  return g_string_free (served, FALSE);
}

static void
test_order (void)
{
  static const struct {
    const char *what, *script, *served;
  } cases[] = {
    { "one stream: as asked", "aaa!!!", "a1 a2 a3" },
    { "streams in turn", "aaabbbc!!!!!!!", "a1 b1 c1 a2 b2 a3 b3" },
    { "a stream that had nothing to ask has no arrears", "aaaa!!!bb!!!", "a1 a2 a3 a4 b1 b2" },
    { "who comes back is behind who waits", "ab!a!b!a!b!", "a1 b1 a2 b2 a3" },
    { "a backlog waits for each other stream once", "abbb!a!a!a!a!", "a1 b1 a2 b2 a3" },
    { "many that come and go do not hold up one that waits", "xcb!c!b!c!b!", "x1 c1 b1 c2 b2" },
    { "no stream: as asked", "..a.!!!!", ".1 .2 a1 .3" },
    { "the higher priority first", "0aa2b1c!!!!", "b1 c1 a1 a2" },
    { "in turn in each priority", "0aabb1ccdd!!!!!!!!", "c1 d1 c2 d2 a1 b1 a2 b2" },
    { "what has begun goes on", "aab+-!!", "a1 b1 a2" },
    { "what has begun gives way to a higher priority", "0a+1b!0!", "a1 b1 a1" },
    { "and goes on before what has not begun", "0aab+1c!-!!", "a1 c1 b1 a2" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *served = play (cases[i].script);

    g_test_message ("%s: %s → %s", cases[i].what, cases[i].script, served);
    g_assert_cmpstr (served, ==, cases[i].served);
  }
}

enum { STREAMS = 16, BACKLOG = 3 };

/* Of all turns that have joined, the first one's stream. */
static int
first_stream (Turn turn[STREAMS][BACKLOG], const int n[STREAMS])
{
  int best = -1;

  for (int s = 0; s < STREAMS; s++) {
    if (n[s] > 0 && (best < 0 || turn_compare (&turn[s][0], &turn[best][0]) < 0))
      best = s;
  }
  return best;
}

/* Streams that ask at random, the first rarely, the last all the time: none waits for more than one turn
 * of each other. */
static void
test_nobody_starves (void)
{
  enum { ROUNDS = 20000 };
  GRand *rand = g_rand_new_with_seed (5);
  Turns *turns = turns_new ();
  Turn turn[STREAMS][BACKLOG];
  int n[STREAMS] = { 0 }, waits[STREAMS] = { 0 }, served[STREAMS] = { 0 }, worst = 0;

  for (int round = 0; round < ROUNDS; round++) {
    for (int s = 0; s < STREAMS; s++) {
      if (n[s] < BACKLOG && g_rand_int_range (rand, 0, STREAMS) <= s)
        turns_join (turns, &turn[s][n[s]++], &letters[s], 0);
    }
    const int next = first_stream (turn, n);

    for (int s = 0; s < STREAMS; s++) {
      waits[s] = s == next || n[s] == 0 ? 0 : waits[s] + 1;
      worst = MAX (worst, waits[s]);
    }
    turns_begin (turns, &turn[next][0]);
    turns_leave (turns, &turn[next][0]);
    memmove (turn[next], turn[next] + 1, sizeof (Turn) * --n[next]);
    served[next]++;
  }
  g_test_message ("%d turns of %d streams: nobody waited for more than %d; the one that asks rarely "
                  "had "
                  "%d, the busiest %d",
      ROUNDS, STREAMS, worst, served[0], served[STREAMS - 1]);
  g_assert_cmpint (worst, <, STREAMS);

  for (int s = 0; s < STREAMS; s++) {
    while (n[s] > 0)
      turns_leave (turns, &turn[s][--n[s]]);
  }
  turns_free (turns);
  g_rand_free (rand);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/turns/order", test_order);
  g_test_add_func ("/turns/nobody-starves", test_nobody_starves);
  return g_test_run ();
}
