/* dsvl2: the hand-over policy, driven with numbers for frames and times
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A case is a script of what happens and the record of what the policy did with it.
 * Script:  40      a frame with PTS 40          -       a frame without PTS, 40 long
 *          a A x   the oldest (newest) question that is open is answered, or fails
 *          d       all frames are to go (end of stream)         c       all is forgotten (flush)
 *          i40     from here on the interval is 40
 * Record:  +40     the frame at 40 is analysed                  40      it goes on without an answer
 *          40=0*   it goes on with the answer about 0, new      40=0    the same answer again
 *          ?       the stream waits for an answer               !       an answer nobody waited for */
#include "handover.h"
#include <string.h>

typedef struct {
  const char *name;
  gboolean live;
  guint64 interval, hold;
  guint max_queue;
  const char *script, *record;
} Case;

#define ALWAYS HANDOVER_NEVER

static const Case cases[] = {
  /* name              live   every hold  queue  script                      record */
  { "offline", FALSE, 0, ALWAYS, 0, "0 a 40 a 80 a d", "+0 ? 0=0* +40 ? 40=40* +80 ? 80=80*" },
  { "offline-interval", FALSE, 100, ALWAYS, 0, "0 a 40 80 120 a 160 200 a",
      "+0 ? 0=0* 40=0 80=0 +120 ? 120=120* 160=120 +200 ? 200=200*" },
  { "interval-does-not-drift", FALSE, 100, 0, 0, "0 a 90 110 a 190 210 a 290 305 a 399 400 a",
      "+0 ? 0=0* 90 +110 ? 110=110* 190 +210 ? 210=210* 290 +305 ? 305=305* 399 +400 ? 400=400*" },
  { "a-long-gap-is-one-frame", FALSE, 100, 0, 0, "0 a 1000 a 1040 1100 a",
      "+0 ? 0=0* +1000 ? 1000=1000* 1040 +1100 ? 1100=1100*" },
  { "first-frame-anywhere", FALSE, 100, 0, 0, "730 a 770 829 830 a",
      "+730 ? 730=730* 770 829 +830 ? 830=830*" },
  { "backwards", FALSE, 100, 0, 0, "500 a 460 420 400 a 360 300 a",
      "+500 ? 500=500* 460 420 +400 ? 400=400* 360 +300 ? 300=300*" },
  { "jump-back-starts-anew", FALSE, 100, 0, 0, "0 a 90 300 a 20 a 60 120 a",
      "+0 ? 0=0* 90 +300 ? 300=300* +20 ? 20=20* 60 +120 ? 120=120*" },
  { "jitter-does-not", FALSE, 100, 0, 0, "0 a 110 a 95 105 190",
      "+0 ? 0=0* +110 ? 110=110* 95 105 190" },
  { "interval-changes", FALSE, 1000, 0, 0, "0 a 40 i80 80 a 120 160 a",
      "+0 ? 0=0* 40 +80 ? 80=80* 120 +160 ? 160=160*" },
  { "hold-none", FALSE, 100, 0, 0, "0 a 40", "+0 ? 0=0* 40" },
  { "hold-some", FALSE, 1000, 80, 0, "0 a 40 80 120 160", "+0 ? 0=0* 40=0 80=0 120 160" },
  { "failure-carries-nothing", FALSE, 80, ALWAYS, 0, "0 a 40 80 x 120", "+0 ? 0=0* 40=0 +80 ? 80 120" },

  { "queue", FALSE, 0, 0, 2, "0 40 80 a 120 a a a", "+0 +40 +80 ? 0=0* +120 ? 40=40* 80=80* 120=120*" },
  { "queue-keeps-order", FALSE, 0, 0, 2, "0 40 80 A A a d", "+0 +40 +80 ? ? ? 0=0* 40=40* 80=80*" },
  { "queue-of-others", FALSE, 100, 0, 3, "0 40 80 120 a 160", "+0 +120 ? 0=0* 40 80" },
  { "end-drains", FALSE, 0, 0, 9, "0 40 d a d a d", "+0 +40 ? 0=0* ? 40=40*" },
  { "flush-forgets", FALSE, 0, ALWAYS, 9, "0 40 c a a 900 a d", "+0 +40 ! ! +900 900=900*" },
  { "flush-restarts-interval", FALSE, 100, ALWAYS, 0, "0 a 40 c 50 a 90",
      "+0 ? 0=0* 40=0 +50 ? 50=50* 90=50" },

  { "live", TRUE, 0, ALWAYS, 0, "0 40 80 a 120 160 200 a 240",
      "+0 0 40 80 +120 120=0* 160=0 200=0 +240 240=120*" },
  { "live-hold-none", TRUE, 0, 0, 0, "0 40 a 80 120", "+0 0 40 +80 80=0* 120" },
  { "live-interval", TRUE, 100, 0, 0, "0 a 40 80 120 a 160", "+0 0 40=0* 80 +120 120 160=120*" },
  { "live-overdue-takes-newest", TRUE, 100, 0, 0, "0 100 200 260 a 300 a 340 400",
      "+0 0 100 200 260 +300 300=0* 340=300* +400 400" },
  { "live-failure", TRUE, 0, ALWAYS, 0, "0 a 40 x 80", "+0 0 +40 40=0* +80 80" },
  { "live-flush", TRUE, 0, ALWAYS, 0, "0 c 500 a 540 a 580", "+0 0 +500 500 ! 540 +580 580=500*" },
  { "live-never-waits", TRUE, 0, 0, 0, "0 40 80 d d 120", "+0 0 40 80 120" },

  { "no-pts-every-frame", FALSE, 0, 0, 0, "- a - a", "+-1 ? -1=-1* +-1 ? -1=-1*" },
  { "no-pts-interval", FALSE, 100, 0, 0, "- a - -", "+-1 ? -1=-1* -1 -1" },
  { "pts-by-duration", FALSE, 100, 0, 0, "0 a - - - a", "+0 ? 0=0* -1 -1 +-1 ? -1=-1*" },
  { "pts-late-in-coming", FALSE, 100, 0, 0, "- a - 500 a 540", "+-1 ? -1=-1* -1 +500 ? 500=500* 540" },
};

/* Frames and answers are numbers on the heap, so that leaks and double frees show. */
static int n_alive;

static gpointer
number_new (gint64 pts)
{
  gint64 *number = g_new (gint64, 1);

  *number = pts;
  n_alive++;
  return number;
}

static void
number_free (gpointer number)
{
  n_alive--;
  g_free (number);
}

typedef struct {
  guint64 ticket;
  gint64 pts;
} Open;

typedef struct {
  Handover *policy;
  HandoverSettings settings;
  GArray *open; /* of Open */
  GString *record;
} Run;

static void
push (Run *r, gint64 pts)
{
  const guint64 ticket = handover_push (r->policy, number_new (pts), (guint64) pts, 40, 0);

  if (ticket != 0) {
    g_array_append_val (r->open, ((Open){ ticket, pts }));
    g_string_append_printf (r->record, "+%" G_GINT64_FORMAT " ", pts);
  }
}

static void
answer (Run *r, guint i, gboolean good)
{
  const Open open = g_array_index (r->open, Open, i);

  g_array_remove_index (r->open, i);
  if (!handover_answer (r->policy, open.ticket, good ? number_new (open.pts) : NULL))
    g_string_append (r->record, "! ");
}

static void
pop_all (Run *r, gboolean drain)
{
  HandoverOut out;
  HandoverNext next;

  while ((next = handover_pop (r->policy, drain, 0, &out)) == HANDOVER_FRAME) {
    g_string_append_printf (r->record, "%" G_GINT64_FORMAT, *(gint64 *) out.frame);
    if (out.answer != NULL)
      g_string_append_printf (r->record, "=%" G_GINT64_FORMAT "%s", *(gint64 *) out.answer,
          out.fresh ? "*" : "");
    g_string_append_c (r->record, ' ');
    number_free (out.frame);
  }
  if (next == HANDOVER_WAIT)
    g_string_append (r->record, "? ");
}

static void
step (Run *r, const char *what)
{
  switch (*what) {
    case 'a':
      answer (r, 0, TRUE);
      break;
    case 'A':
      answer (r, r->open->len - 1, TRUE);
      break;
    case 'x':
      answer (r, 0, FALSE);
      break;
    case 'c':
      handover_clear (r->policy);
      break;
    case 'i':
      r->settings.interval = g_ascii_strtoull (what + 1, NULL, 10);
      handover_configure (r->policy, &r->settings);
      break;
    case 'd':
      break;
    case '-':
      push (r, -1);
      break;
    default:
      push (r, g_ascii_strtoll (what, NULL, 10));
  }
  pop_all (r, *what == 'd');
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_auto (GStrv) script = g_strsplit (c->script, " ", -1);
  Run r = { .settings = { c->live, c->interval, c->hold, c->max_queue } };

  r.policy = handover_new (number_free, number_free);
  r.open = g_array_new (FALSE, FALSE, sizeof (Open));
  r.record = g_string_new (NULL);
  handover_configure (r.policy, &r.settings);
  for (guint i = 0; script[i] != NULL; i++)
    step (&r, script[i]);
  g_strchomp (r.record->str);
  g_test_message ("%s → %s", c->script, r.record->str);
  g_assert_cmpstr (r.record->str, ==, c->record);
  handover_free (r.policy);
  g_array_unref (r.open);
  g_string_free (r.record, TRUE);
  g_assert_cmpint (n_alive, ==, 0);
}

static void
test_counts (void)
{
  Handover *h = handover_new (number_free, number_free);
  HandoverCounts n;
  HandoverOut out;
  guint64 ticket;

  handover_configure (h, &(HandoverSettings){ .live = TRUE, .interval = 80, .hold = 0 });
  ticket = handover_push (h, number_new (0), 0, 40, 1000);
  for (int i = 1; i <= 4; i++) /* 40 passes, 80, 120 and 160 are due while 0 is analysed */
    handover_push (h, number_new (40 * i), 40 * (guint64) i, 40, 1000);
  handover_answer (h, ticket, number_new (0));
  ticket = handover_push (h, number_new (200), 200, 40, 1000);
  handover_answer (h, ticket, NULL);
  while (handover_pop (h, FALSE, 1700, &out) == HANDOVER_FRAME) {
    g_assert_cmpuint (out.delay, ==, 700);
    number_free (out.frame);
  }
  n = handover_get_counts (h);
  g_assert_cmpuint (n.frames, ==, 6);
  g_assert_cmpuint (n.analysed, ==, 2);
  g_assert_cmpuint (n.answered, ==, 1);
  g_assert_cmpuint (n.failed, ==, 1);
  g_assert_cmpuint (n.skipped, ==, 3);
  handover_free (h);
  g_assert_cmpint (n_alive, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat ("/handover/", cases[i].name, NULL);

    g_test_add_data_func (path, &cases[i], test_case);
  }
  g_test_add_func ("/handover/counts", test_counts);
  return g_test_run ();
}
