/* dsvl2: dsvl2infer under any order of frames, events, answers, flushes and state changes
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A script is a letter for each thing that happens, in one streaming thread. Other threads answer
 * questions in any order, with pauses, and ask the element for this and that meanwhile.
 *
 *   f d  a frame; one that is marked as a discontinuity    g t  a gap; a serialized event
 *   c    caps of another size                               q    a serialized query
 *   s r  a segment, forwards or in reverse                  e    the end, then another stream
 *   F S  a flush, or to READY and back                      1 2  the same while the next thing happens
 *   m    frames wait if they did not, and do not if they did
 *   w    nothing, until all questions are answered
 *
 * What comes out is compared with what went in:
 *   Frames and events keep their order, flags, caps and segment; those that went in since the last flush
 *   all come out in the end, and of those before it all but the last few.
 *   A frame that had to wait carries its own answer, in its own size, unless its question failed.
 *   One that did not was there when the push returned.
 *   No answer is about a frame of another segment or before a flush.
 *   Analysed are as many frames as were answered on a frame, failed, or were dropped.
 *   No buffer and nothing of the engine is left. */
#include "fake_engine.h"
#include "harness.h"
#include <string.h>

typedef struct {
  const char *name, *properties;
  gboolean live, every; /* every: each frame is due */
  double failures;      /* share of the questions */
} Config;

static const Config configs[] = {
  { "offline", "mode=offline", FALSE, TRUE, 0 },
  { "offline-queue", "mode=offline max-queue=3", FALSE, TRUE, 0.1 },
  { "offline-interval", "mode=offline max-queue=8 interval=100000000", FALSE, FALSE, 0.1 },
  { "offline-gates",
      "mode=offline max-queue=2 min-interval=60000000 change-threshold=0.1 max-age=90000000", FALSE,
      FALSE, 0.1 },
  { "live", "mode=live", TRUE, TRUE, 0.1 },
  { "live-interval", "mode=live interval=50000000 hold=80000000", TRUE, FALSE, 0 },
};

/* Something that went in or came out. */
typedef struct {
  char what;
  guint id;           /* counts what went in */
  guint epoch;        /* flushes before it */
  gboolean restarted; /* the element meanwhile: before it or after it */
  int width;          /* of a frame, */
  guint segment;
  guint64 pts;
  gboolean discont, fresh;
  guint64 seen;  /* PTS that its answer is about, or NONE */
  int box;       /* width of its region, or 0 */
  int out_width; /* of the caps when it came out, */
  guint out_segment;
} Item;

typedef struct {
  const Config *config;
  GstHarness *h;
  GstElement *element;
  GRand *rand;
  GArray *in, *out;               /* of Item */
  guint epoch, segment, n_frames; /* n_frames: of this segment */
  gboolean reverse, live, mixed;
  gboolean restarting; /* meanwhile: what is pushed may find an element that knows no caps any more */
  int width;
  /* of the pad behind the element */
  GMutex stream; /* held while a thing is pushed that something happens to */
  GMutex lock;
  guint out_epoch, out_segment;
  int out_width;
  /* of all threads */
  int n_alive, stop;
} Run;

/* --- what comes out --- */

static int
width_of_caps (GstEvent *event)
{
  GstCaps *caps;
  int width = 0;

  gst_event_parse_caps (event, &caps);
  gst_structure_get_int (gst_caps_get_structure (caps, 0), "width", &width);
  return width;
}

/* Each segment's base is its number, in seconds. */
static guint
number_of_segment (GstEvent *event)
{
  const GstSegment *segment;

  gst_event_parse_segment (event, &segment);
  return (guint) (segment->base / GST_SECOND);
}

static void
add_frame_out (Run *r, GstBuffer *buffer)
{
  const GstStructure *result = test_result (buffer);
  const GstVideoRegionOfInterestMeta *region = test_region (buffer, 0);
  Item item = { .what = 'f',
    .id = (guint) GST_BUFFER_OFFSET (buffer),
    .epoch = r->out_epoch,
    .pts = GST_BUFFER_PTS (buffer),
    .discont = GST_BUFFER_IS_DISCONT (buffer),
    .seen = result != NULL ? test_uint64 (result, "seen-pts") : GST_CLOCK_TIME_NONE,
    .box = region != NULL ? (int) region->w : 0,
    .out_width = r->out_width,
    .out_segment = r->out_segment };

  if (result != NULL)
    gst_structure_get_boolean (result, "fresh", &item.fresh);
  g_array_append_val (r->out, item);
}

static GstPadProbeReturn
on_output (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Run *r = data;
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  Item item = { .what = 0 };

  g_mutex_lock (&r->lock);
  if (info->type & GST_PAD_PROBE_TYPE_BUFFER)
    add_frame_out (r, GST_PAD_PROBE_INFO_BUFFER (info));
  else if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS)
    r->out_width = width_of_caps (event);
  else if (GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT)
    r->out_segment = number_of_segment (event);
  else if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP)
    r->out_epoch++;
  else if (GST_EVENT_TYPE (event) == GST_EVENT_GAP)
    item.what = 'g';
  else if (GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM)
    item.what = 't';
  else if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
    item.what = 'e';
  if (item.what != 0) {
    item.epoch = r->out_epoch;
    item.id = gst_event_get_seqnum (event);
    g_array_append_val (r->out, item);
  }
  g_mutex_unlock (&r->lock);
  return GST_PAD_PROBE_OK;
}

static guint
n_out (Run *r)
{
  guint n;

  g_mutex_lock (&r->lock);
  n = r->out->len;
  g_mutex_unlock (&r->lock);
  return n;
}

/* --- what goes in --- */

static void
on_free (gpointer data, GstMiniObject *object)
{
  g_atomic_int_add ((int *) data, -1);
}

static GstVideoInfo
info_now (Run *r)
{
  return test_info ("I420", r->width, 48);
}

static void
push_frame (Run *r, gboolean discont)
{
  const GstVideoInfo info = info_now (r);
  const guint i = r->n_frames++;
  /* no two frames have the same PTS, whatever segment they are of */
  const gint64 ms =
      1000000 * (gint64) r->segment + (r->reverse ? 900000 - 40 * (gint64) i : 40 * (gint64) i);
  GstBuffer *frame = test_frame_new (&info, ms, g_rand_int_range (r->rand, 0, 3));
  Item item = { .what = 'f',
    .id = r->in->len,
    .epoch = r->epoch,
    .width = r->width,
    .segment = r->segment,
    .pts = GST_BUFFER_PTS (frame),
    .discont = discont };
  const guint before = n_out (r);
  GstFlowReturn flow;

  g_atomic_int_inc (&r->n_alive);
  gst_mini_object_weak_ref (GST_MINI_OBJECT (frame), on_free, &r->n_alive);
  GST_BUFFER_OFFSET (frame) = item.id;
  if (discont)
    GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_DISCONT);
  g_array_append_val (r->in, item);
  flow = gst_harness_push (r->h, frame);
  g_assert_true (flow == GST_FLOW_OK || flow == GST_FLOW_FLUSHING || r->restarting);
  if (r->live && flow == GST_FLOW_OK)
    g_assert_cmpuint (n_out (r), >, before);
}

static void
push_event (Run *r, char what, GstEvent *event)
{
  const Item item = { .what = what, .id = gst_event_get_seqnum (event), .epoch = r->epoch };

  g_array_append_val (r->in, item);
  gst_harness_push_event (r->h, event);
}

static void
push_segment (Run *r, gboolean reverse)
{
  GstSegment segment;

  r->segment++;
  r->reverse = reverse;
  r->n_frames = 0;
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = r->segment * GST_SECOND;
  segment.rate = reverse ? -1 : 1;
  if (reverse)
    segment.stop = (1000 * (GstClockTime) r->segment + 1000) * GST_SECOND;
  gst_harness_push_event (r->h, gst_event_new_segment (&segment));
}

static void
push_caps (Run *r)
{
  const GstVideoInfo info = info_now (r);

  gst_harness_push_event (r->h, test_caps_event_new (&info));
}

static void
begin_stream (Run *r)
{
  gst_harness_push_event (r->h, gst_event_new_stream_start ("x"));
  push_caps (r);
  push_segment (r, FALSE);
}

static void
flush (Run *r)
{
  g_assert_true (gst_harness_push_event (r->h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (r->h, gst_event_new_flush_stop (TRUE)));
}

static void
restart (Run *r)
{
  g_assert_cmpint (gst_element_set_state (r->element, GST_STATE_READY), ==, GST_STATE_CHANGE_SUCCESS);
  g_mutex_lock (&r->lock);
  r->out_epoch++;
  g_mutex_unlock (&r->lock);
  g_assert_cmpint (gst_element_set_state (r->element, GST_STATE_PLAYING), ==, GST_STATE_CHANGE_SUCCESS);
}

static void
query (Run *r)
{
  const GstVideoInfo info = info_now (r);
  g_autoptr (GstCaps) caps = gst_video_info_to_caps (&info);
  GstQuery *allocation = gst_query_new_allocation (caps, TRUE);

  gst_pad_peer_query (r->h->srcpad, allocation);
  gst_query_unref (allocation);
}

static void
step (Run *r, char what)
{
  switch (what) {
    case 'f':
    case 'd':
      push_frame (r, what == 'd');
      break;
    case 'g':
      push_event (r, 'g', gst_event_new_gap (0, GST_CLOCK_TIME_NONE));
      break;
    case 't':
      push_event (r, 't',
          gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_new_empty ("x")));
      break;
    case 'c':
      r->width = r->width == 64 ? 128 : 64;
      push_caps (r);
      break;
    case 's':
    case 'r':
      push_segment (r, what == 'r');
      break;
    case 'q':
      query (r);
      break;
    case 'e':
      push_event (r, 'e', gst_event_new_eos ());
      begin_stream (r);
      break;
    case 'm':
      r->live = !r->live;
      g_object_set (r->element, "mode", r->live ? 1 : 2, NULL);
      break;
    case 'w':
      while (fake_n_open () > 0)
        g_usleep (100);
      break;
    case 'F':
    case 'S':
      (what == 'F' ? flush : restart) (r);
      r->epoch++;
      begin_stream (r);
      break;
    default:
      g_assert_not_reached ();
  }
}

/* As an upstream does it: the flush ends when nothing is being pushed. */
static gpointer
flush_soon (gpointer data)
{
  Run *r = data;

  g_usleep (500);
  g_assert_true (gst_harness_push_event (r->h, gst_event_new_flush_start ()));
  g_mutex_lock (&r->stream);
  g_assert_true (gst_harness_push_event (r->h, gst_event_new_flush_stop (TRUE)));
  g_mutex_unlock (&r->stream);
  return NULL;
}

static gpointer
restart_soon (gpointer data)
{
  g_usleep (500);
  restart (data);
  return NULL;
}

static void
play (Run *r, const char *script)
{
  begin_stream (r);
  for (const char *p = script; *p != '\0'; p++) {
    if ((*p == '1' || *p == '2') && strchr ("fdgtcsq", p[1]) != NULL && p[1] != '\0') {
      GThread *thread;

      g_mutex_lock (&r->stream);
      r->restarting = *p == '2';
      thread = g_thread_new ("interruption", *p == '1' ? flush_soon : restart_soon, r);
      step (r, *++p);
      g_mutex_unlock (&r->stream);
      g_thread_join (thread);
      r->restarting = FALSE;
      if (p[-1] == '2' && strchr ("fdgt", *p) != NULL)
        g_array_index (r->in, Item, r->in->len - 1).restarted = TRUE;
      r->epoch++;
      begin_stream (r);
    } else if (*p != '1' && *p != '2') {
      step (r, *p);
    }
  }
  step (r, 'e');
}

/* --- meanwhile --- */

static gpointer
answer_and_ask (gpointer data)
{
  const Dsvl2Object half = { "half", 0, 0, 0.5f, 0.5f, 1 };
  Run *r = data;
  GRand *rand = g_rand_new_with_seed (g_rand_int (r->rand));

  while (!g_atomic_int_get (&r->stop)) {
    const guint which = (guint) g_rand_int_range (rand, 0, 4);
    g_autoptr (GstStructure) stats = NULL;
    GstQuery *latency = gst_query_new_latency ();

    g_usleep ((gulong) g_rand_int_range (rand, 0, 400));
    if (g_rand_double (rand) < r->config->failures)
      fake_try_fail (which, "the device went away");
    else
      fake_try_answer (which, "a thing", &half, 1);
    if (which == 0) {
      GstPad *pad = gst_element_get_static_pad (r->element, "src");

      g_object_get (r->element, "stats", &stats, NULL);
      gst_pad_query (pad, latency);
      g_signal_emit_by_name (r->element, "analyze-now");
      gst_object_unref (pad);
    }
    gst_query_unref (latency);
  }
  g_rand_free (rand);
  return NULL;
}

/* --- what must hold --- */

static void
check_frame (const Run *r, const Item *in, const Item *out, const Item **first_of_segment)
{
  if (*first_of_segment == NULL || (*first_of_segment)->segment != in->segment ||
      (*first_of_segment)->epoch != in->epoch)
    *first_of_segment = in;
  g_assert_cmpuint (out->pts, ==, in->pts);
  g_assert_cmpint (out->discont, ==, in->discont);
  g_assert_cmpint (out->out_width, ==, in->width);
  g_assert_cmpuint (out->out_segment, ==, in->segment);
  if (out->seen == GST_CLOCK_TIME_NONE) {
    g_assert_true (r->config->failures > 0 || r->mixed || !r->config->every || r->config->live);
    return;
  }
  if (out->fresh) /* boxes are of the frame that carries them */
    g_assert_cmpint (out->box, ==, in->width / 2);
  if (r->config->every && !r->config->live && !r->mixed) {
    g_assert_cmpuint (out->seen, ==, in->pts);
    g_assert_true (out->fresh);
  }
  g_assert_cmpuint (out->seen, >=, MIN ((*first_of_segment)->pts, in->pts));
  g_assert_cmpuint (out->seen, <=, MAX ((*first_of_segment)->pts, in->pts));
}

/* Whether a flush took what went in, if that is what came out next. */
static gboolean
is_lost (const Item *in, const Item *out)
{
  const gboolean itself = in->what == out->what && in->id == out->id;

  return in->epoch < out->epoch && !(in->restarted && itself && in->epoch + 1 == out->epoch);
}

static void
check_order (const Run *r)
{
  const Item *first = NULL;
  guint i = 0;

  for (guint o = 0; o < r->out->len; o++, i++) {
    const Item *out = &g_array_index (r->out, Item, o), *in;

    /* what a flush took: the rest of what went in before it */
    while (i < r->in->len && is_lost (&g_array_index (r->in, Item, i), out))
      i++;
    g_assert_cmpuint (i, <, r->in->len);
    in = &g_array_index (r->in, Item, i);
    g_assert_cmpint (out->what, ==, in->what);
    g_assert_cmpuint (out->id, ==, in->id);
    g_assert_true (out->epoch == in->epoch || in->restarted);
    if (in->what == 'f')
      check_frame (r, in, out, &first);
  }
  g_assert_cmpuint (i, ==, r->in->len); /* the last thing that went in is the end of the last stream */
}

static void
check_counts (const Run *r, gboolean flushes)
{
  const guint64 analysed = test_stat (r->h, "analysed"), dropped = test_stat (r->h, "dropped"),
                failed = test_stat (r->h, "failed");
  guint64 carried = 0;

  for (guint i = 0; i < r->out->len; i++)
    carried += g_array_index (r->out, Item, i).fresh;
  g_test_message ("%u went in, %u came out: %" G_GUINT64_FORMAT " analysed, %" G_GUINT64_FORMAT
                  " answered and carried, %" G_GUINT64_FORMAT " failed, %" G_GUINT64_FORMAT " dropped",
      r->in->len, r->out->len, analysed, carried, failed, dropped);
  g_assert_cmpuint (carried + failed + dropped, <=, analysed);
  if (!flushes) /* a flush may come between the element and the pad */
    g_assert_cmpuint (carried + failed + dropped, ==, analysed);
}

static void
run (const Config *config, guint32 seed, const char *script)
{
  Run r = {
    .config = config, .live = config->live, .width = 64, .mixed = strchr (script, 'm') != NULL
  };
  GThread *other;
  GstPad *pad;

  g_test_message ("%s, seed %u: %s", config->name, seed, script);
  r.h = test_infer_new (config->properties, config->live, NULL);
  r.element = gst_harness_find_element (r.h, "dsvl2infer");
  r.rand = g_rand_new_with_seed (seed);
  r.in = g_array_new (FALSE, FALSE, sizeof (Item));
  r.out = g_array_new (FALSE, FALSE, sizeof (Item));
  g_mutex_init (&r.lock);
  g_mutex_init (&r.stream);
  pad = gst_element_get_static_pad (r.element, "src");
  gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
      on_output, &r, NULL);
  gst_object_unref (pad);
  other = g_thread_new ("meanwhile", answer_and_ask, &r);

  play (&r, script);
  g_atomic_int_set (&r.stop, TRUE);
  g_thread_join (other);
  gst_element_set_state (r.element, GST_STATE_READY);
  check_order (&r);
  check_counts (&r, strpbrk (script, "12FS") != NULL);

  gst_object_unref (r.element);
  test_infer_end (r.h);
  g_assert_cmpint (r.n_alive, ==, 0);
  g_rand_free (r.rand);
  g_array_unref (r.in);
  g_array_unref (r.out);
  g_mutex_clear (&r.lock);
  g_mutex_clear (&r.stream);
}

/* --- scripts --- */

/* Orders that have a reason. */
static void
test_orders (void)
{
  static const char *const scripts[] = {
    "",                                         /* nothing at all */
    "e", "ee",                                  /* the end right after the start, twice */
    "gtg",                                      /* events before any frame */
    "ffffffffff", "fgfgfg", "ggffgg", "ftftft", /* events between frames that wait */
    "fcfcfc", "ffccff", "ccf", "fffcg",         /* caps between them, unused ones too */
    "fgcf", "fcgf", "cgfgc",                    /* caps and gaps in either order */
    "ffsff", "fsfsf", "ssf", "fss",             /* segments */
    "rffff", "ffrffsff", "rfcfgf",              /* reverse playback, and back */
    "dfff", "ffdff", "fdgdf", "ddd",            /* discontinuities */
    "ffqff", "qf", "fqgqf",                     /* queries that wait for frames */
    "ffffe", "feffe", "fffecff",                /* other streams */
    "ffFff", "FFf", "ffFcff", "FgF",            /* flushes */
    "fwffwcfwf", "fwsf", "fwFf",                /* answers between frames */
    "ff1fff", "1gff", "f1gf1cf1s1q",            /* that come while something waits */
    "ffSff", "SSf", "ff2fff", "f2gf2f",         /* state changes, likewise */
    "ffmffmff", "fmgmfmcmf", "mfmFmf",          /* frames that wait, then do not */
  };

  for (guint c = 0; c < G_N_ELEMENTS (configs); c++)
    for (guint i = 0; i < G_N_ELEMENTS (scripts); i++)
      run (&configs[c], i, scripts[i]);
}

/* Orders that nobody thought of. DSVL2_TEST_SEED, DSVL2_TEST_RUNS: others, or more of them. */
static void
test_random (gconstpointer data)
{
  static const char letters[] = "ffffffffffffffffffddggttccssrqqemFS12wwwwww";
  const char *first = g_getenv ("DSVL2_TEST_SEED"), *runs = g_getenv ("DSVL2_TEST_RUNS");
  const guint32 seed = first != NULL ? (guint32) g_ascii_strtoull (first, NULL, 10) : 1;
  const guint n_runs = runs != NULL ? (guint) g_ascii_strtoull (runs, NULL, 10) : 12;

  for (guint i = 0; i < n_runs; i++) {
    GRand *rand = g_rand_new_with_seed (seed + i);
    GString *script = g_string_new (NULL);

    for (int n = 0; n < 60; n++) {
      const char c = letters[g_rand_int_range (rand, 0, sizeof letters - 1)];

      if (c != 'm' || i % 3 == 0) /* the strictest checks need one mode */
        g_string_append_c (script, c);
    }
    run (data, seed + i, script->str);
    g_string_free (script, TRUE);
    g_rand_free (rand);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/sequences/orders", test_orders);
  for (guint i = 0; i < G_N_ELEMENTS (configs); i++) {
    g_autofree char *path = g_strconcat ("/sequences/random/", configs[i].name, NULL);

    g_test_add_data_func (path, &configs[i], test_random);
  }
  return test_run ();
}
