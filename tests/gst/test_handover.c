/* dsvl2: the hand-over policy, driven with numbers for frames and times
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A case is a script of what happens and the record of what the policy did with it.
 * Script:  40      a frame with PTS 40          -       a frame without PTS, 40 long
 *          a A x   the oldest (newest) question that is open is answered, or fails
 *          d       all frames are to go (end of stream)         c       all is forgotten (flush)
 *          i40     from here on the interval is 40              l       live from here on; L: not live
 *          m40     the least interval is 40                     g40     an answer may be 40 old
 *          n       the next frame is to be analysed             r       another question from here on
 *          a>      any of them, but no frame goes after it
 *          =40     a frame that looks like the last analysed one, if it may be that
 *          (40     a frame that is to be gathered, if due       e       what was gathered is asked about
 * Record:  +40     the frame at 40 is analysed                  40      it goes on without an answer
 *          40=0*   it goes on with the answer about 0, new      40=0    the same answer again
 *          ?       the stream waits for an answer               !       an answer nobody waited for
 *          ~40     the frame at 40 was due, but is unchanged    ^40     analysed, because of n
 *          (40     the frame at 40 is gathered                  +e      those are asked about: answer -2
 *          none    an answer that no frame was left for         e       none were gathered */
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

  { "min-interval", FALSE, 0, 0, 0, "m100 0 a 40 80 120 a 160 219 220 a",
      "+0 ? 0=0* 40 80 +120 ? 120=120* 160 219 +220 ? 220=220*" },
  { "min-interval-and-grid", FALSE, 100, 0, 0, "m90 0 a 150 a 200 240 a 300 330 a",
      "+0 ? 0=0* +150 ? 150=150* 200 +240 ? 240=240* 300 +330 ? 330=330*" },
  { "min-interval-backwards", FALSE, 0, 0, 0, "m100 500 a 460 400 a 310 300 a",
      "+500 ? 500=500* 460 +400 ? 400=400* 310 +300 ? 300=300*" },
  { "min-interval-live", TRUE, 100, 0, 0, "m100 0 100 260 a 270 a 300 340 369 370",
      "+0 0 100 260 +270 270=0* 300=270* 340 369 +370 370" },
  { "min-interval-after-flush", FALSE, 0, 0, 0, "m100 0 a c 40 a", "+0 ? 0=0* +40 ? 40=40*" },

  { "max-age", FALSE, 1000, ALWAYS, 0, "g80 0 a 40 80 120", "+0 ? 0=0* 40=0 80=0 120" },
  { "max-age-none", FALSE, 100, ALWAYS, 0, "g0 0 a 40 100 a", "+0 ? 0=0* 40 +100 ? 100=100*" },
  { "max-age-before-hold", FALSE, 1000, 100, 0, "g80 0 a 80 100", "+0 ? 0=0* 80=0 100" },
  { "max-age-live", TRUE, 1000, ALWAYS, 0, "g80 0 40 a 80 120", "+0 0 40 80=0* 120" },
  { "max-age-live-late", TRUE, 1000, ALWAYS, 0, "g80 0 40 80 120 a 160", "+0 0 40 80 120 160" },
  { "max-age-counts-from-seen", TRUE, 1000, 80, 0, "g160 0 40 80 a 120 160 200",
      "+0 0 40 80 120=0* 160=0 200" },

  { "unchanged", FALSE, 100, ALWAYS, 0, "=0 a =40 =100 =140 200 a",
      "+0 ? 0=0* 40=0 ~100 100=0 ~140 140=0 +200 ? 200=200*" },
  { "unchanged-stays-due", FALSE, 100, 0, 0, "0 a =100 140 a 180",
      "+0 ? 0=0* ~100 100=0 +140 ? 140=140* 180" },
  { "unchanged-renews-hold", FALSE, 100, 40, 0, "0 a 40 80 =100 =140 180",
      "+0 ? 0=0* 40=0 80 ~100 100=0 ~140 140=0 +180 ?" },
  { "unchanged-renews-age", FALSE, 100, ALWAYS, 0, "g40 0 a 40 80 =100 120",
      "+0 ? 0=0* 40=0 80 ~100 100=0 +120 ?" },
  { "unchanged-needs-an-answer", FALSE, 100, ALWAYS, 0, "0 x =100 a =200",
      "+0 ? 0 +100 ? 100=100* ~200 200=100" },
  { "unchanged-in-a-queue", FALSE, 0, ALWAYS, 9, "0 =40 80 =120 A a",
      "+0 ~40 +80 ~120 0=0* 40=0 80=80* 120=80" },
  { "unchanged-live", TRUE, 0, ALWAYS, 0, "0 =40 a =80 120 =160 x =200",
      "+0 0 40 ~80 80=0* +120 120=0 160=0 +200 200" },
  { "another-question", FALSE, 100, ALWAYS, 0, "0 a r =40 =100 a =200",
      "+0 ? 0=0* 40=0 +100 ? 100=100* ~200 200=100" },

  { "demand", FALSE, 100, 0, 0, "m90 0 a n 40 a 80 100 130 a",
      "+0 ? 0=0* ^40 ? 40=40* 80 100 +130 ? 130=130*" },
  { "demand-what-looks-the-same", FALSE, 0, 0, 0, "0 a n =40 a =80",
      "+0 ? 0=0* ^40 ? 40=40* ~80 80=40" },
  { "demand-live-and-busy", TRUE, 1000, 0, 0, "0 n 40 80 a 120 a 160",
      "+0 0 40 80 ^120 120=0* 160=120*" },
  { "demand-and-flush", FALSE, 1000, 0, 0, "0 a n c 40 a 80", "+0 ? 0=0* +40 ? 40=40* 80" },

  { "becomes-live", FALSE, 0, ALWAYS, 9, "0 a 40 80 A l 120 a 160",
      "+0 0=0* +40 +80 40=0 80=80* +120 120=80 ! 160=80" },
  { "becomes-live-answered-first", FALSE, 0, ALWAYS, 9, "0 40 80 l> 120> a> a> a> a 160",
      "+0 +40 +80 +120 ! ! ! 0 40 80 120=120* +160 160=120" },
  { "is-live-no-more", TRUE, 0, ALWAYS, 0, "0 a 40 L 80 a a", "+0 0 +40 40=0* +80 ? ! ? 80=80*" },

  { "gather", FALSE, 0, ALWAYS, 0, "(0 (40 80 a (120 d", "(0 (40 0 +80 40 ? 80=80* (120 120=80" },
  { "gather-holds-the-newest", FALSE, 100, 0, 0, "(0 40 80 (100 140 200 a",
      "(0 0 40 (100 80 100 +200 140 ? 200=200*" },
  { "gather-ends-early", FALSE, 100, 0, 0, "(0 40 (100 140 e a d", "(0 0 (100 40 100 +e ? 140=-2*" },
  { "gather-ends-without-a-frame", FALSE, 100, 0, 0, "(0 d e a (100 200",
      "(0 0 +e ? none=-2* (100 +200 100 ?" },
  { "gather-live", TRUE, 0, 0, 0, "(0 40 80 e a (120 e 160",
      "(0 0 +40 40 80 e (120 120=40* e +160 160" },
  { "gather-and-flush", FALSE, 0, 0, 0, "(0 c e 40 a", "(0 e +40 ? 40=40*" },
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
push (Run *r, gint64 pts, gboolean looks_the_same, gboolean gather)
{
  HandoverDue due = handover_judge (r->policy, (guint64) pts, 40);
  guint64 ticket;

  if (due == HANDOVER_DUE && looks_the_same) {
    due = HANDOVER_UNCHANGED;
    g_string_append_printf (r->record, "~%" G_GINT64_FORMAT " ", pts);
  }
  if (gather && (due == HANDOVER_DUE || due == HANDOVER_DUE_ANEW)) {
    due = HANDOVER_GATHERED;
    g_string_append_printf (r->record, "(%" G_GINT64_FORMAT " ", pts);
  }
  ticket = handover_push (r->policy, number_new (pts), due, 0);
  if (ticket != 0) {
    g_array_append_val (r->open, ((Open){ ticket, pts }));
    g_string_append_printf (r->record, "%c%" G_GINT64_FORMAT " ", due == HANDOVER_DEMANDED ? '^' : '+',
        pts);
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
conclude (Run *r)
{
  const guint64 ticket = handover_conclude (r->policy);

  if (ticket == 0) {
    g_string_append (r->record, "e ");
    return;
  }
  g_array_append_val (r->open, ((Open){ ticket, -2 }));
  g_string_append (r->record, "+e ");
}

static void
pop_all (Run *r, gboolean drain)
{
  HandoverOut out;
  HandoverNext next;

  while ((next = handover_pop (r->policy, drain, 0, &out)) == HANDOVER_FRAME) {
    if (out.frame != NULL)
      g_string_append_printf (r->record, "%" G_GINT64_FORMAT, *(gint64 *) out.frame);
    else
      g_string_append (r->record, "none");
    if (out.answer != NULL)
      g_string_append_printf (r->record, "=%" G_GINT64_FORMAT "%s", *(gint64 *) out.answer,
          out.fresh ? "*" : "");
    g_string_append_c (r->record, ' ');
    g_clear_pointer (&out.frame, number_free);
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
    case 'm':
      r->settings.min_interval = g_ascii_strtoull (what + 1, NULL, 10);
      handover_configure (r->policy, &r->settings);
      break;
    case 'g':
      r->settings.max_age = g_ascii_strtoull (what + 1, NULL, 10);
      handover_configure (r->policy, &r->settings);
      break;
    case 'l':
    case 'L':
      r->settings.live = *what == 'l';
      handover_configure (r->policy, &r->settings);
      break;
    case 'n':
      handover_demand (r->policy);
      break;
    case 'r':
      handover_renew (r->policy);
      break;
    case 'e':
      conclude (r);
      break;
    case '(':
      push (r, g_ascii_strtoll (what + 1, NULL, 10), FALSE, TRUE);
      break;
    case 'd':
      break;
    case '-':
      push (r, -1, FALSE, FALSE);
      break;
    case '=':
      push (r, g_ascii_strtoll (what + 1, NULL, 10), TRUE, FALSE);
      break;
    default:
      push (r, g_ascii_strtoll (what, NULL, 10), FALSE, FALSE);
  }
  if (!g_str_has_suffix (what, ">"))
    pop_all (r, *what == 'd');
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_auto (GStrv) script = g_strsplit (c->script, " ", -1);
  Run r = { .settings = { .live = c->live,
                .interval = c->interval,
                .hold = c->hold,
                .max_age = HANDOVER_NEVER,
                .max_queue = c->max_queue } };

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

static guint64
push_at (Handover *h, gint64 pts, gboolean looks_the_same)
{
  HandoverDue due = handover_judge (h, (guint64) pts, 40);
  HandoverOut out;
  guint64 ticket;

  if (due == HANDOVER_DUE && looks_the_same)
    due = HANDOVER_UNCHANGED;
  ticket = handover_push (h, number_new (pts), due, 1000);
  g_assert_cmpint (handover_pop (h, FALSE, 1700, &out), ==, HANDOVER_FRAME);
  g_assert_cmpuint (out.delay, ==, 700);
  number_free (out.frame);
  return ticket;
}

static void
test_counts (void)
{
  Handover *h = handover_new (number_free, number_free);
  HandoverCounts n;
  guint64 ticket;

  handover_configure (h, &(HandoverSettings){ .live = TRUE, .interval = 80, .max_age = 120 });
  ticket = push_at (h, 0, FALSE);
  for (int i = 1; i <= 4; i++) /* 40 passes, 80, 120 and 160 are due while 0 is analysed */
    push_at (h, 40 * i, FALSE);
  handover_answer (h, ticket, number_new (0)); /* too old for the next, but what it says still holds */
  push_at (h, 200, TRUE);
  ticket = push_at (h, 240, FALSE);
  handover_answer (h, ticket, NULL);
  ticket = push_at (h, 320, FALSE);
  handover_answer (h, ticket, number_new (320)); /* too old for the next */
  push_at (h, 480, FALSE);
  handover_clear (h); /* which is still being analysed */
  n = handover_get_counts (h);
  g_assert_cmpuint (n.frames, ==, 9);
  g_assert_cmpuint (n.analysed, ==, 4);
  g_assert_cmpuint (n.answered, ==, 2);
  g_assert_cmpuint (n.failed, ==, 1);
  g_assert_cmpuint (n.dropped, ==, 2);
  g_assert_cmpuint (n.skipped, ==, 3);
  g_assert_cmpuint (n.unchanged, ==, 1);
  handover_free (h);
  g_assert_cmpint (n_alive, ==, 0);
}

/* Up to where a frame's answer is known to stay. */
static void
test_until (void)
{
  static const struct {
    const char *name;
    HandoverSettings settings;
    gint64 pts; /* of a second frame, which carries the answer of the one at 100 */
    guint64 first, second;
  } stays[] = {
    { "every frame", { .hold = HANDOVER_NEVER, .max_age = HANDOVER_NEVER }, 140, 100, 140 },
    { "interval", { .interval = 120, .hold = HANDOVER_NEVER, .max_age = HANDOVER_NEVER }, 140, 220,
        220 },
    { "next interval", { .interval = 120, .hold = HANDOVER_NEVER, .max_age = HANDOVER_NEVER }, 260, 220,
        340 },
    { "minimum",
        { .interval = 120, .min_interval = 150, .hold = HANDOVER_NEVER, .max_age = HANDOVER_NEVER },
        140, 250, 250 },
    { "hold", { .interval = 120, .hold = 80, .max_age = HANDOVER_NEVER }, 140, 181, 181 },
    { "age", { .interval = 120, .hold = HANDOVER_NEVER, .max_age = 50 }, 140, 151, 151 },
    { "live", { .live = TRUE, .interval = 120, .hold = HANDOVER_NEVER, .max_age = HANDOVER_NEVER }, 140,
        HANDOVER_NEVER, HANDOVER_NEVER },
    { "live, held", { .live = TRUE, .interval = 120, .hold = 80, .max_age = HANDOVER_NEVER }, 140,
        HANDOVER_NEVER, 221 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (stays); i++) {
    Handover *h = handover_new (number_free, number_free);
    guint64 ticket, until[2];

    handover_configure (h, &stays[i].settings);
    for (int k = 0; k < 2; k++) {
      const guint64 pts = k == 0 ? 100 : (guint64) stays[i].pts;
      const HandoverDue due = k == 0 ? handover_judge (h, pts, 40) : HANDOVER_PASS;
      HandoverOut out;

      if (k > 0)
        handover_judge (h, pts, 40);
      ticket = handover_push (h, number_new ((gint64) pts), due, 0);
      if (ticket != 0 && !stays[i].settings.live)
        handover_answer (h, ticket, number_new (0));
      g_assert_cmpint (handover_pop (h, FALSE, 0, &out), ==, HANDOVER_FRAME);
      if (ticket != 0 && stays[i].settings.live)
        handover_answer (h, ticket, number_new (0));
      until[k] = out.until;
      number_free (out.frame);
    }
    g_test_message ("%s: %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT, stays[i].name, (gint64) until[0],
        (gint64) until[1]);
    g_assert_cmpuint (until[0], ==, stays[i].first);
    g_assert_cmpuint (until[1], ==, stays[i].second);
    handover_free (h);
  }
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
  g_test_add_func ("/handover/until", test_until);
  return g_test_run ();
}
