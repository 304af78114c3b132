/* dsvl2: the numbers of dsvl2infer: what an engine says of its answers, in `stats`, in results and in lines of
 * JSON, and which frames and questions are counted as what
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * DSVL2_TEST_ROOT names the source's folder: each field must be in docs/elements.md. */
#include "fake_engine.h"
#include "gstdsvl2meta.h"
#include "harness.h"
#include <math.h>
#include <string.h>

enum { MAX_ANSWERS = 4, WIDTH = 64, HEIGHT = 48 };

/* The names of all fields of a structure stand in the documentation. */
static void
assert_documented (const GstStructure *s)
{
  g_autofree char *path = g_build_filename (g_getenv ("DSVL2_TEST_ROOT"), "docs", "elements.md", NULL);
  g_autofree char *docs = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &docs, NULL, &error);
  g_assert_no_error (error);
  for (int i = 0; i < gst_structure_n_fields (s); i++) {
    g_autofree char *field = g_strdup_printf ("`%s`", gst_structure_nth_field_name (s, (guint) i));

    if (strstr (docs, field) == NULL)
      g_test_message ("%s is not in %s", field, path);
    g_assert_nonnull (strstr (docs, field));
  }
}

/* --- statistics --- */

enum { N_COUNTS = 10, N_NUMBERS = 6 };

static const char *const count_names[N_COUNTS] = { "frames", "analysed", "dropped", "skipped",
  "unchanged", "answered", "failed", "tokens", "prompt-tokens", "cached-tokens" };
static const char *const number_names[N_NUMBERS] = { "cache-hits", "tokens-per-second", "queue-ms",
  "vision-ms", "prefill-ms", "decode-ms" };

/* Steps: f a frame, u one that looks like it, a the next answer, x an error instead of one, r the next question is
 * refused, F a flush, s a segment, m the stream is live from here on. Not live, frames wait in a queue. */
typedef struct {
  const char *what, *properties;
  gboolean live;
  const char *steps;
  FakeCost answers[MAX_ANSWERS];
  guint64 counts[N_COUNTS];
  double numbers[N_NUMBERS];
} StatsCase;

#define YEAR_US (G_GINT64_CONSTANT (31536000) * 1000000)

/* The numbers are what docs/elements.md says, worked out by hand. */
static const StatsCase stats_cases[] = {
  { "nothing", "", TRUE, "", { { 0 } }, { 0 }, { 0 } },
  { "a question that is open", "", TRUE, "f", { { 0 } }, { 1, 1 }, { 0 } },
  { "an answer", "", TRUE, "fa", { { 5, 71, 16, 3, 250, 1500, 2250, 8000, 0 } },
      { 1, 1, 0, 0, 0, 1, 0, 5, 71, 16 }, { 16 / 71.0, 500, 0.25, 1.5, 2.25, 8 } },
  { "three answers", "", TRUE, "fafafa",
      { { 2, 100, 0, 9, 10, 30000, 4000, 900, 0 },
          { 11, 100, 90, 0, 20, 0, 1000, 9000, DSVL2_FINISH_LENGTH },
          { 1, 40, 30, 1, 0, 3000, 1, 0, 0 } },
      { 3, 3, 0, 0, 0, 3, 0, 14, 240, 120 }, { 0.5, 11 / 0.0099, 0.01, 11, 5001 / 3e3, 3.3 } },
  { "a token in no time", "", TRUE, "fa", { { .tokens = 1, .prompt_tokens = 9 } },
      { 1, 1, 0, 0, 0, 1, 0, 1, 9, 0 }, { 0 } },
  { "four tokens in no time", "", TRUE, "fa",
      { { .tokens = 4, .prompt_tokens = 8, .cached_tokens = 8 } }, { 1, 1, 0, 0, 0, 1, 0, 4, 8, 8 },
      { 1 } },
  { "no token, no time", "", TRUE, "fa", { { .prompt_tokens = 8, .prefill_us = 40 } },
      { 1, 1, 0, 0, 0, 1, 0, 0, 8, 0 }, { [4] = 0.04 } },
  { "an answer of no token before one of three", "", TRUE, "fafa",
      { { .prompt_tokens = 8 }, { .tokens = 3, .prompt_tokens = 8, .decode_us = 4000 } },
      { 2, 2, 0, 0, 0, 2, 0, 3, 16, 0 }, { 0, 500, 0, 0, 0, 2 } },
  { "no token although it took time", "", TRUE, "fa", { { .decode_us = 1000 } },
      { 1, 1, 0, 0, 0, 1, 0, 0, 0, 0 }, { [5] = 1 } },
  { "years", "", TRUE, "fafa",
      { { G_MAXINT, G_MAXINT, G_MAXINT, G_MAXINT, YEAR_US, 2 * YEAR_US, 3 * YEAR_US, 4 * YEAR_US, 0 },
          { G_MAXINT, G_MAXINT, 0, G_MAXINT, YEAR_US, 4 * YEAR_US, 5 * YEAR_US, 8 * YEAR_US, 0 } },
      { 2, 2, 0, 0, 0, 2, 0, G_GUINT64_CONSTANT (4294967294), G_GUINT64_CONSTANT (4294967294),
          G_MAXINT },
      { 0.5, 4294967292.0 / (12 * 31536000.0), 31536000e3, 3 * 31536000e3, 4 * 31536000e3,
          6 * 31536000e3 } },

  { "frames that come meanwhile", "interval=80000000", TRUE, "fffffaf",
      { { 3, 7, 0, 0, 0, 0, 0, 1000, 0 } }, { 6, 2, 0, 3, 0, 1, 0, 3, 7, 0 }, { 0, 2000, 0, 0, 0, 1 } },
  { "frames that look the same", "change-threshold=0.5 max-queue=9", FALSE, "fuufau",
      { { 3, 7, 0, 0, 0, 0, 0, 500, 0 } }, { 5, 2, 0, 0, 3, 1, 0, 3, 7, 0 },
      { 0, 4000, 0, 0, 0, 0.5 } },
  { "an answer that is too old", "max-age=0", TRUE, "faffaf",
      { { 2, 5, 1, 0, 4, 0, 0, 100, 0 }, { 2, 5, 3, 0, 8, 0, 0, 100, 0 } },
      { 4, 3, 1, 1, 0, 2, 0, 4, 10, 4 }, { 0.4, 10000, 0.006, 0, 0, 0.1 } },
  { "a flush before the answer", "", TRUE, "fFfafF", { { 2, 4, 2, 0, 0, 6000, 0, 250, 0 } },
      { 3, 3, 2, 0, 0, 1, 0, 2, 4, 2 }, { 0.5, 4000, 0, 6, 0, 0.25 } },
  { "a segment of a live stream", "", TRUE, "fs", { { 0 } }, { 1, 1, 1 }, { 0 } },
  { "a flush takes frames that wait", "max-queue=9", FALSE, "fffaF",
      { { 2, 4, 2, 0, 0, 6000, 0, 250, 0 } }, { 3, 3, 3, 0, 0, 1, 0, 2, 4, 2 },
      { 0.5, 4000, 0, 6, 0, 0.25 } },
  { "a stream that becomes live", "max-queue=9", FALSE, "ffmf", { { 0 } }, { 3, 3, 2 }, { 0 } },
  { "errors", "", TRUE, "fxrffa", { { 5, 10, 5, 0, 0, 0, 8000, 2000, 0 } },
      { 3, 3, 0, 0, 0, 1, 2, 5, 10, 5 }, { 0.5, 2000, 0, 0, 8, 2 } },
  { "two questions about a frame", "prompts=\"a;b\"", TRUE, "faafax",
      { { 5, 10, 5, 0, 0, 0, 8000, 2000, 0 }, { 1, 10, 10, 0, 0, 0, 1000, 0, 0 },
          { 3, 10, 0, 0, 0, 0, 3000, 1000, 0 } },
      { 2, 2, 0, 0, 0, 3, 1, 9, 30, 15 }, { 0.5, 2000, 0, 0, 4, 1 } },
  { "two regions of a frame", "roi=\"0,0,50%,100%;50%,0,50%,100%\"", TRUE, "fxaF",
      { { 2, 6, 3, 1, 90, 0, 0, 500, 0 } }, { 1, 1, 1, 0, 0, 1, 1, 2, 6, 3 },
      { 0.5, 2000, 0.09, 0, 0, 0.5 } },
  { "three frames, one question", "frames=3", TRUE, "fffaf", { { 2, 6, 3, 1, 90, 0, 0, 500, 0 } },
      { 4, 4, 0, 0, 0, 1, 0, 2, 6, 3 }, { 0.5, 2000, 0.09, 0, 0, 0.5 } },
  { "three frames flushed before their answer", "frames=3", TRUE, "fffF", { { 0 } }, { 3, 3, 3 },
      { 0 } },
  { "two of three frames flushed", "frames=3", TRUE, "ffF", { { 0 } }, { 2, 2, 2 }, { 0 } },
  { "three frames whose answer is too old", "frames=3 max-age=0", TRUE, "fffafffaf",
      { { 2, 6, 3, 1, 90, 0, 0, 500, 0 }, { 2, 6, 3, 1, 90, 0, 0, 500, 0 } },
      { 7, 7, 3, 0, 0, 2, 0, 4, 12, 6 }, { 0.5, 2000, 0.09, 0, 0, 0.5 } },
  { "the end of a group that a segment makes", "frames=3 max-queue=9", FALSE, "ffsa",
      { { 2, 6, 3, 1, 90, 0, 0, 500, 0 } }, { 2, 2, 0, 0, 0, 1, 0, 2, 6, 3 },
      { 0.5, 2000, 0.09, 0, 0, 0.5 } },
};

typedef struct {
  GstHarness *h;
  GstVideoInfo info;
  const FakeCost *next;
  gint64 pts_ms;
  guint8 level;
  TestCall *segment; /* on its way: frames before it may wait */
} StatsRun;

static void
end_segment (StatsRun *r)
{
  if (r->segment != NULL)
    g_assert_true (test_event_end (r->segment));
  r->segment = NULL;
}

static GstEvent *
segment_event_new (void)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  return gst_event_new_segment (&segment);
}

static void
push_frame (StatsRun *r)
{
  GstBuffer *frame = test_frame_new (&r->info, r->pts_ms, 1);

  gst_buffer_memset (frame, 0, r->level, gst_buffer_get_size (frame));
  FLOWS (r->h, frame);
  r->pts_ms += 40;
}

static void
set_live (GstHarness *h)
{
  GstElement *element = gst_harness_find_element (h, "dsvl2infer");

  gst_util_set_object_arg (G_OBJECT (element), "mode", "live");
  gst_object_unref (element);
}

static void
step (StatsRun *r, char what)
{
  switch (what) {
    case 'f':
    case 'u':
      end_segment (r);
      r->level = what == 'f' ? (guint8) ~r->level : r->level;
      push_frame (r);
      break;
    case 'a':
      fake_set_cost (r->next++);
      fake_answer ("a thing", NULL, 0);
      break;
    case 'x':
      fake_fail ("the device went away");
      break;
    case 'r':
      fake_refuse ("The prompt has 2 <image> marks");
      break;
    case 'F':
      g_assert_true (gst_harness_push_event (r->h, gst_event_new_flush_start ()));
      g_assert_true (gst_harness_push_event (r->h, gst_event_new_flush_stop (TRUE)));
      g_assert_true (gst_harness_push_event (r->h, segment_event_new ()));
      break;
    case 's':
      r->segment = test_event_begin (r->h, segment_event_new ());
      break;
    case 'm':
      set_live (r->h);
      break;
    default:
      g_assert_not_reached ();
  }
}

static void
check_stats (const GstStructure *stats, const StatsCase *c)
{
  g_assert_cmpint (gst_structure_n_fields (stats), ==, N_COUNTS + N_NUMBERS);
  for (int i = 0; i < N_COUNTS; i++) {
    const guint64 got = test_uint64 (stats, count_names[i]);

    if (got != c->counts[i])
      g_test_message ("%s: %s", c->what, count_names[i]);
    g_assert_cmpuint (got, ==, c->counts[i]);
  }
  for (int i = 0; i < N_NUMBERS; i++) {
    const double expected = c->numbers[i];
    double got = -1;

    g_assert_true (gst_structure_get_double (stats, number_names[i], &got));
    if (!(fabs (got - expected) <= 1e-12 * expected))
      g_test_message ("%s: %s is %.17g, not %.17g", c->what, number_names[i], got, expected);
    g_assert_true (fabs (got - expected) <= 1e-12 * expected);
  }
}

static void
test_stats (gconstpointer data)
{
  const StatsCase *c = data;
  StatsRun r = { .info = test_info ("GRAY8", WIDTH, HEIGHT), .next = c->answers, .level = 50 };
  g_autoptr (GstStructure) stats = NULL;
  g_autofree char *text = NULL;

  r.h = test_infer_new (c->properties, c->live, &r.info);
  for (const char *p = c->steps; *p; p++)
    step (&r, *p);
  end_segment (&r);
  gst_harness_get (r.h, "dsvl2infer", "stats", &stats, NULL);
  text = gst_structure_to_string (stats);
  g_test_message ("%s: \"%s\" %s: %s", c->what, c->properties, c->steps, text);
  check_stats (stats, c);
  assert_documented (stats);
  test_infer_end (r.h);
}

/* No column of the table says always the same. */
static void
test_every_number (void)
{
  for (int i = 0; i < N_COUNTS + N_NUMBERS; i++) {
    gsize n = 0;

    for (gsize k = 0; k < G_N_ELEMENTS (stats_cases); k++)
      n += i < N_COUNTS ? stats_cases[k].counts[i] > 0 : stats_cases[k].numbers[i - N_COUNTS] > 0;
    g_test_message ("%s: above 0 in %zu of %zu cases",
        i < N_COUNTS ? count_names[i] : number_names[i - N_COUNTS], n, G_N_ELEMENTS (stats_cases));
    g_assert_cmpuint (n, >, 0);
    g_assert_cmpuint (n, <, G_N_ELEMENTS (stats_cases));
  }
}

/* --- results --- */

/* The second question about a stream whose times differ: its PTS begin at 1 s, the stream's time at 5 s, the
 * pipeline's at 2 s. The frame that is asked about is the second, at 40 ms, unless `frames` is set. */
typedef struct {
  const char *what, *properties;
  int n_frames, n_answers; /* of each question, to each frame */
  FakeCost cost;
  Dsvl2Object object;
  const char *other; /* a structure of the fields that are not as expected_result () has them */
  double box[4];     /* of the frame: x_min, x_max, y_min, y_max */
  /* The line of dsvl2json with timings, ' for ": between the size of the frame and the caption, and the rest. */
  const char *line, *rest;
} ResultCase;

#define THE_CAR                                                                                        \
  {                                                                                                    \
    (char *) "the car", 0.25f, 0.5f, 0.75f, 1, 0.875f                                                  \
  }

static const ResultCase result_cases[] = {
  { "an answer", "", 1, 1, { 5, 71, 16, 3, 250, 1500, 2250, 8000, 0 }, { 0 }, "r", { 0 },
      "'timestamp':5040000000,'objects':[]",
      "'prompt':'What?','prompt_index':0,'seen_pts':1040000000,'finish':'stop','tokens':{'prompt':71,"
      "'answer':5,'cached':16},'tiles':3,'timings_ms':{'queue':0.25,'vision':1.5,'prefill':2.25,"
      "'decode':8}" },
  { "an answer that was cut off, with a box", "", 1, 1,
      { 512, 1024, 0, 10, 1, 20, 300, 4000, DSVL2_FINISH_LENGTH }, THE_CAR, "r, finish=length",
      { 0.25, 0.75, 0.5, 1 },
      "'timestamp':5040000000,'objects':[{'x':16,'y':24,'w':32,'h':24,'roi_type':'the car',"
      "'detection':{'bounding_box':{'x_min':0.25,'x_max':0.75,'y_min':0.5,'y_max':1},"
      "'confidence':0.875,'label_id':1201956554,'label':'the car'}}]",
      "'prompt':'What?','prompt_index':0,'seen_pts':1040000000,'finish':'length',"
      "'tokens':{'prompt':1024,'answer':512,'cached':0},'tiles':10,'timings_ms':{'queue':0.001,"
      "'vision':0.02,'prefill':0.3,'decode':4}" },
  { "nothing at all", "", 1, 1, { 0 }, { 0 }, "r", { 0 }, "'timestamp':5040000000,'objects':[]",
      "'prompt':'What?','prompt_index':0,'seen_pts':1040000000,'finish':'stop','tokens':{'prompt':0,"
      "'answer':0,'cached':0},'tiles':0,'timings_ms':{'queue':0,'vision':0,'prefill':0,'decode':0}" },
  { "as much as fits", "", 1, 1,
      { G_MAXINT, G_MAXINT, G_MAXINT, G_MAXINT, YEAR_US + 1, 2 * YEAR_US + 2, 3 * YEAR_US + 3,
          4 * YEAR_US + 4, 0 },
      { 0 }, "r", { 0 }, "'timestamp':5040000000,'objects':[]",
      "'prompt':'What?','prompt_index':0,'seen_pts':1040000000,'finish':'stop',"
      "'tokens':{'prompt':2147483647,'answer':2147483647,'cached':2147483647},'tiles':2147483647,"
      "'timings_ms':{'queue':31536000000.001,'vision':63072000000.002,'prefill':94608000000.003,"
      "'decode':126144000000.004}" },
  { "the second of two prompts", "prompts=\"a;b\"", 1, 2, { 2, 9, 8, 0, 7, 0, 6, 5, 0 }, { 0 },
      "r, prompt=(string)b, prompt-index=1", { 0 }, "'timestamp':5040000000,'objects':[]",
      "'prompt':'b','prompt_index':1,'seen_pts':1040000000,'finish':'stop','tokens':{'prompt':9,"
      "'answer':2,'cached':8},'tiles':0,'timings_ms':{'queue':0.007,'vision':0,'prefill':0.006,"
      "'decode':0.005}" },
  { "a question that goes on from another", "history=2", 1, 1, { 2, 90, 8, 1, 70, 60, 50, 40, 0 },
      { 0 }, "r, turns=1", { 0 }, "'timestamp':5040000000,'objects':[]",
      "'prompt':'What?','prompt_index':0,'seen_pts':1040000000,'finish':'stop','tokens':{'prompt':90,"
      "'answer':2,'cached':8},'tiles':1,'timings_ms':{'queue':0.07,'vision':0.06,'prefill':0.05,"
      "'decode':0.04}" },
  { "a part of the frame", "roi=\"16,12,32,24\"", 1, 1, { 2, 90, 8, 1, 70, 60, 50, 40, 0 }, THE_CAR,
      "r, region-x=16, region-y=12, region-width=32, region-height=24", { 0.375, 0.625, 0.5, 0.75 },
      "'timestamp':5040000000,'objects':[{'x':24,'y':24,'w':16,'h':12,'roi_type':'the car',"
      "'detection':{'bounding_box':{'x_min':0.375,'x_max':0.625,'y_min':0.5,'y_max':0.75},"
      "'confidence':0.875,'label_id':1201956554,'label':'the car'}}],'region':{'x':16,'y':12,'w':32,"
      "'h':24}",
      "'prompt':'What?','prompt_index':0,'seen_pts':1040000000,'finish':'stop','tokens':{'prompt':90,"
      "'answer':2,'cached':8},'tiles':1,'timings_ms':{'queue':0.07,'vision':0.06,'prefill':0.05,"
      "'decode':0.04}" },
  { "an object that another element found", "roi-labels=car", 1, 1, { 2, 90, 8, 1, 70, 60, 50, 40, 0 },
      { 0 },
      "r, region-x=16, region-y=12, region-width=32, region-height=24, region-label=car, region-id=7",
      { 0 }, "'timestamp':5040000000,'objects':[],'region':{'x':16,'y':12,'w':32,'h':24,'label':'car'}",
      "'prompt':'What?','prompt_index':0,'seen_pts':1040000000,'finish':'stop','tokens':{'prompt':90,"
      "'answer':2,'cached':8},'tiles':1,'timings_ms':{'queue':0.07,'vision':0.06,'prefill':0.05,"
      "'decode':0.04}" },
  { "two frames together", "frames=2", 2, 1, { 2, 90, 8, 2, 70, 60, 50, 40, 0 }, { 0 },
      "r, frames=2, first-pts=(guint64)1080000000, seen-pts=(guint64)1120000000, "
      "stream-time=(guint64)5120000000, running-time=(guint64)2120000000",
      { 0 }, "'timestamp':5120000000,'objects':[]",
      "'prompt':'What?','prompt_index':0,'seen_pts':1120000000,'finish':'stop','tokens':{'prompt':90,"
      "'answer':2,'cached':8},'tiles':2,'timings_ms':{'queue':0.07,'vision':0.06,'prefill':0.05,"
      "'decode':0.04}" },
};

typedef struct {
  GstHarness *h;
  GstStructure *signalled;
} ResultRun;

static void
on_result (GstElement *element, const GstStructure *result, gpointer data)
{
  ResultRun *r = data;

  g_clear_pointer (&r->signalled, gst_structure_free);
  r->signalled = gst_structure_copy (result);
}

static gboolean
set_field (GQuark id, const GValue *value, gpointer to)
{
  gst_structure_id_set_value (to, id, value);
  return TRUE;
}

static void
set_expected_objects (GstStructure *s, const ResultCase *c)
{
  const int n = c->object.label != NULL;
  GValue array = G_VALUE_INIT, value = G_VALUE_INIT;

  gst_value_array_init (&array, 1);
  g_value_init (&value, GST_TYPE_STRUCTURE);
  if (n > 0) {
    g_value_take_boxed (&value,
        gst_structure_new ("detection", "x_min", G_TYPE_DOUBLE, c->box[0], "x_max", G_TYPE_DOUBLE,
            c->box[1], "y_min", G_TYPE_DOUBLE, c->box[2], "y_max", G_TYPE_DOUBLE, c->box[3],
            "confidence", G_TYPE_DOUBLE, (double) c->object.confidence, "label_id", G_TYPE_INT,
            gst_dsvl2_label_id (c->object.label), "label", G_TYPE_STRING, c->object.label, NULL));
    gst_value_array_append_value (&array, &value);
  }
  g_value_unset (&value);
  gst_structure_set (s, "n-objects", G_TYPE_INT, n, NULL);
  gst_structure_take_value (s, "objects", &array);
}

static GstStructure *
expected_result (const ResultCase *c)
{
  g_autoptr (GstStructure) other = gst_structure_new_from_string (c->other);
  GstStructure *s = gst_structure_new ("dsvl2-result", "text", G_TYPE_STRING, " a car", "caption",
      G_TYPE_STRING, "a car", "prompt", G_TYPE_STRING, "What?", "prompt-index", G_TYPE_INT, 0,
      "seen-pts", G_TYPE_UINT64, 1040 * GST_MSECOND, "stream-time", G_TYPE_UINT64, 5040 * GST_MSECOND,
      "running-time", G_TYPE_UINT64, 2040 * GST_MSECOND, "width", G_TYPE_INT, WIDTH, "height",
      G_TYPE_INT, HEIGHT, "region-x", G_TYPE_INT, 0, "region-y", G_TYPE_INT, 0, "region-width",
      G_TYPE_INT, WIDTH, "region-height", G_TYPE_INT, HEIGHT, "frames", G_TYPE_INT, 1, "first-pts",
      G_TYPE_UINT64, 1040 * GST_MSECOND, "turns", G_TYPE_INT, 0, "fresh", G_TYPE_BOOLEAN, TRUE,
      "finish", G_TYPE_STRING, "stop", "tokens", G_TYPE_INT, c->cost.tokens, "prompt-tokens",
      G_TYPE_INT, c->cost.prompt_tokens, "cached-tokens", G_TYPE_INT, c->cost.cached_tokens, "tiles",
      G_TYPE_INT, c->cost.tiles, "queue-us", G_TYPE_INT64, c->cost.queue_us, "vision-us", G_TYPE_INT64,
      c->cost.vision_us, "prefill-us", G_TYPE_INT64, c->cost.prefill_us, "decode-us", G_TYPE_INT64,
      c->cost.decode_us, NULL);

  g_assert_nonnull (other);
  gst_structure_foreach (other, set_field, s);
  set_expected_objects (s, c);
  return s;
}

static void
check_result (const char *where, const GstStructure *result, const GstStructure *expected)
{
  g_autofree char *text = gst_structure_to_string (result),
                  *wanted = gst_structure_to_string (expected);

  g_test_message ("%s: %s", where, text);
  if (!gst_structure_is_equal (result, expected))
    g_test_message ("not %s", wanted);
  g_assert_true (gst_structure_is_equal (result, expected));
}

/* The newest result on a buffer. */
static const GstStructure *
last_result_on (GstBuffer *buffer)
{
  const GstStructure *result, *last = NULL;
  gpointer state = NULL;

  while ((result = gst_dsvl2_meta_get_result (buffer, &state)) != NULL)
    last = result;
  g_assert_nonnull (last);
  return last;
}

/* The last line that dsvl2json writes of it. */
static void
check_line (GstBuffer *frame, const GstVideoInfo *info, const ResultCase *c)
{
  GstHarness *h = gst_harness_new_parse ("dsvl2json timings=true");
  g_autofree char *line = NULL;
  g_autofree char *expected = g_strdup_printf ("{'resolution':{'width':64,'height':48},%s,'caption':'a "
                                               "car','text':' a car',%s}\n",
      c->line, c->rest);
  GstBuffer *buffer = NULL;

  test_set_caps (h, info);
  FLOWS (h, gst_buffer_ref (frame));
  while (gst_harness_buffers_in_queue (h) > 0) {
    gst_clear_buffer (&buffer);
    buffer = gst_harness_pull (h);
  }
  line = g_malloc0 (gst_buffer_get_size (buffer) + 1);
  gst_buffer_extract (buffer, 0, line, gst_buffer_get_size (buffer));
  g_test_message ("%s", line);
  g_assert_cmpstr (line, ==, g_strdelimit (expected, "'", '"'));
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}

static GstBuffer *
frame_of (const ResultCase *c, const GstVideoInfo *info, gint64 pts_ms)
{
  GstBuffer *frame = test_frame_new (info, pts_ms, 1);

  if (strstr (c->properties, "roi-labels"))
    gst_buffer_add_video_region_of_interest_meta (frame, "car", 16, 12, 32, 24)->id = 7;
  return frame;
}

/* Frames of one question, and its answers. Returns the frame that carries the last. */
static GstBuffer *
ask (ResultRun *r, const ResultCase *c, const GstVideoInfo *info, gint64 pts_ms)
{
  for (int i = 0; i < c->n_frames; i++) {
    TestCall *push = test_push_begin (r->h, frame_of (c, info, pts_ms + 40 * i));

    for (int k = 0; i == c->n_frames - 1 && k < c->n_answers; k++)
      fake_answer ("a car", &c->object, c->object.label != NULL);
    g_assert_cmpint (test_push_end (push), ==, GST_FLOW_OK);
  }
  for (int i = 1; i < c->n_frames; i++)
    gst_buffer_unref (gst_harness_pull (r->h));
  return gst_harness_pull (r->h);
}

static GstSegment
shifted_segment (void)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = GST_SECOND;
  segment.time = 5 * GST_SECOND;
  segment.base = 2 * GST_SECOND;
  return segment;
}

static void
test_result_fields (gconstpointer data)
{
  const ResultCase *c = data;
  const GstVideoInfo info = test_info ("GRAY8", WIDTH, HEIGHT);
  const GstSegment segment = shifted_segment ();
  g_autofree char *properties = g_strconcat ("prompt=\"What?\" ", c->properties, NULL);
  g_autoptr (GstStructure) expected = expected_result (c), last = NULL;
  ResultRun r = { .h = test_infer_new (properties, FALSE, &info) };
  g_autoptr (GstElement) element = gst_harness_find_element (r.h, "dsvl2infer");
  g_autoptr (GstBus) bus = test_bus_new (r.h);
  g_autoptr (GstMessage) message = NULL;
  GstBuffer *frame;

  g_signal_connect (element, "result", G_CALLBACK (on_result), &r);
  g_assert_true (gst_harness_push_event (r.h, gst_event_new_segment (&segment)));
  gst_buffer_unref (ask (&r, c, &info, 1000));
  fake_set_cost (&c->cost);
  frame = ask (&r, c, &info, 1000 + 40 * c->n_frames);

  for (int i = 0; i < 2 * c->n_answers; i++) {
    g_clear_pointer (&message, gst_message_unref);
    message = test_message (bus, GST_MESSAGE_ELEMENT);
  }
  check_result ("message", gst_message_get_structure (message), expected);
  test_no_message (bus, GST_MESSAGE_ELEMENT);
  gst_harness_get (r.h, "dsvl2infer", "last-result", &last, NULL);
  check_result ("last-result", last, expected);
  check_result ("signal", r.signalled, expected);
  check_result ("frame", last_result_on (frame), expected);
  assert_documented (expected);
  check_line (frame, &info, c);

  gst_buffer_unref (frame);
  g_clear_pointer (&message, gst_message_unref);
  gst_structure_free (r.signalled);
  g_clear_object (&element);
  test_infer_end (r.h);
}

static void
add_cases (const char *group, const char *what, gconstpointer data, GTestDataFunc func)
{
  g_autofree char *path = g_strdup_printf ("/infer/%s/%s", group, what);

  g_strdelimit (path, " ", '-');
  g_test_add_data_func (path, data, func);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  for (gsize i = 0; i < G_N_ELEMENTS (stats_cases); i++)
    add_cases ("stats", stats_cases[i].what, &stats_cases[i], test_stats);
  g_test_add_func ("/infer/stats/every-number", test_every_number);
  for (gsize i = 0; i < G_N_ELEMENTS (result_cases); i++)
    add_cases ("result", result_cases[i].what, &result_cases[i], test_result_fields);
  return test_run ();
}
