/* dsvl2: when captions of frames become text: pieces of time that follow each other
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cues.h"

/* A frame and what begins with it; times in ms, −1 unknown. Frames last 40 ms, spans 200 ms. */
typedef struct {
  int pts;
  char caption; /* 'n': a new one, 'o': the old one, '-': none */
  int until;
  CuesKind kind;
  int start, stop;
} Step;

typedef struct {
  const char *name;
  Step steps[10];
} Case;

static const Case cases[] = {
  { "every frame has its own", { { 0, 'n', 0, CUES_TEXT, 0, 40 }, { 40, 'n', 40, CUES_TEXT, 40, 80 },
                                   { 80, '-', -1, CUES_GAP, 80, 120 } } },
  { "until the next is due",
      { { 0, 'n', 120, CUES_TEXT, 0, 120 }, { 40, 'o', 120, CUES_NOTHING },
          { 80, 'o', 120, CUES_NOTHING }, { 120, 'n', 240, CUES_TEXT, 120, 240 } } },
  { "the next is due between two frames",
      { { 0, 'n', 100, CUES_TEXT, 0, 100 }, { 40, 'o', 100, CUES_NOTHING },
          { 80, 'o', 100, CUES_NOTHING }, { 120, 'n', 200, CUES_TEXT, 120, 200 } } },
  { "nothing was found before, nor after",
      { { 0, '-', -1, CUES_GAP, 0, 40 }, { 40, 'n', 100, CUES_TEXT, 40, 100 },
          { 80, 'o', 100, CUES_NOTHING }, { 120, '-', -1, CUES_GAP, 120, 160 } } },
  { "it stays for longer than was known",
      { { 0, 'n', 80, CUES_TEXT, 0, 80 }, { 40, 'o', 80, CUES_NOTHING },
          { 80, 'o', 160, CUES_TEXT, 80, 160 }, { 120, 'o', 160, CUES_NOTHING } } },
  { "it ends sooner than was known",
      { { 0, 'n', 100, CUES_TEXT, 0, 100 }, { 40, '-', -1, CUES_NOTHING },
          { 80, '-', -1, CUES_GAP, 100, 120 } } },
  { "nobody knows how long", { { 0, 'n', -1, CUES_TEXT, 0, 200 }, { 160, 'o', -1, CUES_NOTHING },
                                 { 200, 'o', -1, CUES_TEXT, 200, 400 } } },
  { "a new one while a piece lasts waits for its end",
      { { 0, 'n', -1, CUES_TEXT, 0, 200 }, { 80, 'n', -1, CUES_NOTHING },
          { 120, 'o', -1, CUES_NOTHING }, { 170, 'o', -1, CUES_TEXT, 200, 370 },
          { 210, 'o', -1, CUES_NOTHING } } },
  { "and is not shown if it goes before",
      { { 0, 'n', -1, CUES_TEXT, 0, 200 }, { 80, 'n', -1, CUES_NOTHING },
          { 120, '-', -1, CUES_NOTHING }, { 180, '-', -1, CUES_GAP, 200, 220 },
          { 220, 'n', -1, CUES_TEXT, 220, 420 } } },
  { "a frame's end is rounded",
      { { 0, 'n', 0, CUES_TEXT, 0, 40 }, { 39, 'n', 39, CUES_TEXT, 39, 79 } } },
  { "an interval's end is rounded",
      { { 0, 'n', 81, CUES_TEXT, 0, 81 }, { 40, 'o', 81, CUES_NOTHING }, { 80, 'o', 81, CUES_NOTHING },
          { 120, 'n', 162, CUES_TEXT, 120, 162 } } },
  { "frames without time", { { -1, 'n', -1, CUES_NOTHING }, { 40, 'o', 40, CUES_TEXT, 40, 80 } } },
  { "time runs backwards",
      { { 400, 'n', 400, CUES_TEXT, 400, 440 }, { 360, 'o', 360, CUES_TEXT, 360, 400 },
          { 320, '-', -1, CUES_GAP, 320, 360 }, { 280, 'n', 280, CUES_TEXT, 280, 320 } } },
};

static guint64
ms (int time)
{
  return time < 0 ? CUES_NEVER : (guint64) time * 1000000;
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  Cues cues;

  cues_reset (&cues);
  for (gsize i = 0; i < G_N_ELEMENTS (c->steps) && c->steps[i].caption != 0; i++) {
    const Step *s = &c->steps[i];
    const Cue cue = cues_next (&cues, &(CuesFrame){ .pts = ms (s->pts),
                                          .duration = ms (40),
                                          .captioned = s->caption != '-',
                                          .fresh = s->caption == 'n',
                                          .until = ms (s->until),
                                          .span = ms (200) });

    g_test_message ("%d ms, %c: kind %d, %g to %g ms", s->pts, s->caption, cue.kind,
        (double) cue.start / 1e6, (double) cue.stop / 1e6);
    g_assert_cmpint (cue.kind, ==, s->kind);
    if (cue.kind != CUES_NOTHING) {
      g_assert_cmpuint (cue.start, ==, ms (s->start));
      g_assert_cmpuint (cue.stop, ==, ms (s->stop));
    }
  }
}

/* Whatever comes, pieces neither overlap nor are empty, and time without frames is nobody's. */
static void
test_any_frames (void)
{
  g_autoptr (GRand) dice = g_rand_new_with_seed (5);
  guint n_text = 0, n_gaps = 0;
  guint64 end = 0, pts = 0;
  Cues cues;

  cues_reset (&cues);
  for (int i = 0; i < 20000; i++) {
    const guint64 duration = (guint64) g_rand_int_range (dice, 1, 60) * 1000000;
    const gboolean captioned = g_rand_boolean (dice);
    const Cue cue = cues_next (&cues,
        &(CuesFrame){ .pts = pts,
            .duration = duration,
            .captioned = captioned,
            .fresh = captioned && g_rand_int_range (dice, 0, 4) == 0,
            .until = g_rand_boolean (dice) ? CUES_NEVER
                                           : pts + (guint64) g_rand_int_range (dice, 0, 500) * 1000000,
            .span = (guint64) g_rand_int_range (dice, 0, 300) * 1000000 });

    if (cue.kind != CUES_NOTHING) {
      g_assert_cmpuint (cue.stop, >, cue.start);
      g_assert_cmpuint (cue.start, >=, pts);
      g_assert_cmpuint (cue.start, <, pts + duration);
      g_assert_cmpuint (cue.start + 1000000, >=, end); /* a millisecond is rounding */
      end = cue.stop;
    }
    n_text += cue.kind == CUES_TEXT;
    n_gaps += cue.kind == CUES_GAP;
    pts += duration;
  }
  g_test_message ("%u texts, %u gaps", n_text, n_gaps);
  g_assert_cmpuint (n_text, >, 1000);
  g_assert_cmpuint (n_gaps, >, 1000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strdup_printf ("/cues/%s", cases[i].name);

    g_test_add_data_func (path, &cases[i], test_case);
  }
  g_test_add_func ("/cues/any-frames", test_any_frames);
  return g_test_run ();
}
