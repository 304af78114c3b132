/* dsvl2: test of grounding_parse, grounding_caption: what models write, and what they should not
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/grounding.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#define R(label) "<|ref|>" label "<|/ref|>"
#define D(list) "<|det|>" list "<|/det|>"
#define B(list) "<|box_start|>" list "<|box_end|>"

/* --- texts and their objects -------------------------------------------------------------------- */

static const struct {
  const char *text;
  const char *objects; /* label(x0 y0 x1 y1), as show_number () has it */
  const char *caption; /* NULL: not compared */
} cases[] = {
  { "", "", "" },
  { " There is no car in the image.", "", "There is no car in the image." },
  /* as the model is meant to write */
  { " " R ("the cars") D ("[[120, 344, 456, 672]]"), "the cars(120 344 456 672)", "the cars" },
  { R ("the cars") D ("[[0, 0, 999, 999], [999, 0, 999, 1]]"),
      "the cars(0 0 999 999)the cars(999 0 999 1)", "the cars" },
  { "A street with " R ("two cars") D ("[[1, 2, 3, 4], [5,6,7,8]]") " and " R ("a dog")
          D ("[[9, 10, 11, 12]]") ".",
      "two cars(1 2 3 4)two cars(5 6 7 8)a dog(9 10 11 12)", "A street with two cars and a dog." },
  { "<|grounding|>" R ("a") " " D ("[[1, 2, 3, 4]]") "<｜end▁of▁sentence｜>", "a(1 2 3 4)", "a" },
  /* the older spelling */
  { "car" B ("(0.12,0.34,0.45,0.67)"), "car(0.12 0.34 0.45 0.67)", "car" },
  { "I see a car" B ("(0,0,1,1)") ", a dog" B ("( 0.5 , .5, 0.6, 0.7 )") ".",
      "I see a car(0 0 999 999)a dog(0.5 0.5 0.6 0.7)", "I see a car, a dog." },
  { "Yes. Two cars" B ("(0.1,0.2,0.3,0.4)") ", " B ("(0.5,0.6,0.7,0.8)") " and dogs" B ("(0,0,0.5,0."
                                                                                        "5)"),
      "Two cars(0.1 0.2 0.3 0.4)Two cars(0.5 0.6 0.7 0.8)and dogs(0 0 0.5 0.5)", NULL },
  { R ("bus") " here " B ("(0.1,0.2,0.3,0.4)"), "bus(0.1 0.2 0.3 0.4)", "bus here" },
  { B ("(0.1,0.2,0.3,0.4)"), "?(0.1 0.2 0.3 0.4)", "" },
  { B ("(120,340,450,670)"), "?(120 340 450 670)", "" },
  /* labels */
  { D ("[[1, 2, 3, 4]]"), "?(1 2 3 4)", "" },
  { R ("") D ("[[1, 2, 3, 4]]"), "?(1 2 3 4)", "" },
  { R (" \n\t ") D ("[[1, 2, 3, 4]]"), "?(1 2 3 4)", "" },
  { R (" a  b\n") D ("[[1, 2, 3, 4]]"), "a  b(1 2 3 4)", NULL },
  { R ("a") D ("[[1, 2, 3, 4]]") D ("[[5, 6, 7, 8]]"), "a(1 2 3 4)?(5 6 7 8)", "a" },
  { R ("a") R ("b") D ("[[1, 2, 3, 4]]"), "b(1 2 3 4)", "ab" },
  { R ("<b> & 1 < 2 <| x |> <｜>") D ("[[1, 2, 3, 4]]"), "<b> & 1 < 2 <| x |> <｜>(1 2 3 4)",
      "<b> & 1 < 2 <| x |> <｜>" },
  { R ("漢\xff\xe6\xbc") D ("[[1, 2, 3, 4]]"), "漢\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd(1 2 3 4)",
      "漢\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
  /* marks that are missing or out of order */
  { "<|ref|>a" D ("[[1, 2, 3, 4]]"), "a(1 2 3 4)", "a" },
  { R ("a") "<|det|>[[1, 2, 3, 4]]", "a(1 2 3 4)", "a" },
  { R ("a") "<|det|>[[1, 2, 3, 4]] " R ("b") D ("[[5, 6, 7, 8]]"), "a(1 2 3 4)b(5 6 7 8)", "ab" },
  { R ("a") "<|det|>[[1, 2, 3, 4], [5, 6, 7", "a(1 2 3 4)", "a" },
  { R ("a") "<|det|>[[1, 2, 3, 4", "", "a" },
  { R ("a") "<|det|>", "", "a" },
  { "<|/det|>[[1, 2, 3, 4]]<|det|>", "", "[[1, 2, 3, 4]]" },
  { "<|/ref|>a<|ref|>" D ("[[1, 2, 3, 4]]"), "?(1 2 3 4)", "a" },
  { "<|det|>" R ("a") "[[1, 2, 3, 4]]<|/det|>", "", "a[[1, 2, 3, 4]]" },
  { "<|ref|><|ref|><|det|><|det|>", "", "" },
  { "<|re", "", "<|re" },
  { "a <", "", "a <" },
  { "<", "", "<" },
  /* lists that are malformed */
  { R ("a") D ("[[1, 2, 3]]"), "", "a" },
  { R ("a") D ("[[1, 2, 3, 4, 5]]"), "", "a" },
  { R ("a") D ("[[1, 2, 3, 4, 5, 6, 7, 8]]"), "", "a" },
  { R ("a") D ("[[1, 2, 3], [5, 6, 7, 8]]"), "a(5 6 7 8)", "a" },
  { R ("a") D ("[[1, 2, 3, [5, 6, 7, 8]]"), "a(5 6 7 8)", "a" },
  { R ("a") D ("[1, 2, 3, 4]"), "a(1 2 3 4)", "a" },
  { R ("a") D ("[[[[[1, 2, 3, 4]]]], [[5, 6, 7, 8]]]"), "a(1 2 3 4)a(5 6 7 8)", "a" },
  { R ("a") D ("[[]]"), "", "a" },
  { R ("a") D ("]]1, 2, 3, 4[["), "", "a" },
  { R ("a") D ("1, 2, 3, 4"), "", "a" },
  { R ("a") D ("[1 2 3 4]"), "", "a" },
  { R ("a") D ("[1,, 2, 3, 4]"), "", "a" },
  { R ("a") D ("[1, 2, 3, 4,]"), "", "a" },
  { R ("a") D ("[1, 2, 3, x]"), "", "a" },
  { R ("a") D ("[1, 2, 3, 1e2]"), "", "a" },
  { R ("a") D ("[0x1, 2, 3, 4]"), "", "a" },
  { R ("a") D ("(1, 2, 3, 4)"), "", "a" },
  { R ("a") D ("[[ 1 ,\n2,\t3 , 4 ]]"), "a(1 2 3 4)", "a" },
  /* numbers that are odd */
  { R ("a") D ("[[456, 672, 120, 344]]"), "a(120 344 456 672)", "a" },
  { R ("a") D ("[[-5, 10, 1500, 99999]]"), "a(0 10 999 999)", "a" },
  { R ("a") D ("[[-, 10, 20, 30]]"), "", "a" },
  { R ("a") D ("[[--1, 10, 20, 30]]"), "", "a" },
  { R ("a") D ("[[007, 010, 020, 030]]"), "a(7 10 20 30)", "a" },
  { R ("a") D ("[[1, 2, 3, 1000000]]"), "", "a" },
  { R ("a") D ("[[1, 2, 3, 99999999999999999999999999999999999999999]]"), "", "a" },
  { R ("a") D ("[[0.12, 0.34, 0.45, 0.67]]"), "a(0.12 0.34 0.45 0.67)", "a" },
  { R ("a") D ("[[0, 0.25, 1, 1.0]]"), "a(0 0.25 999 999)", "a" },
  { R ("a") D ("[[99.9, 199.8, 299.7, 399.6]]"), "a(0.1 0.2 0.3 0.4)", "a" },
  { R ("a") D ("[[0, 0, 1, 1]]"), "a(0 0 1 1)", "a" },
  { R ("a") D ("[[1., 2, 3, 4]]"), "", "a" },
  { R ("a") D ("[[nan, inf, 3, 4]]"), "", "a" },
};

/* In 999ths, if that is whole, else as a part of the picture. */
static void
show_number (GString *text, float v)
{
  const double of_999 = v * 999;

  if (fabs (of_999 - rint (of_999)) < 1e-3)
    g_string_append_printf (text, "%.0f", of_999);
  else
    g_string_append_printf (text, "%.4g", v);
}

static char *
show_objects (GArray *objects)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < objects->len; i++) {
    const Dsvl2Object *o = &g_array_index (objects, Dsvl2Object, i);
    const float v[4] = { o->x0, o->y0, o->x1, o->y1 };

    g_string_append_printf (text, "%s(", o->label);
    for (int k = 0; k < 4; k++) {
      show_number (text, v[k]);
      g_string_append_c (text, k < 3 ? ' ' : ')');
    }
  }
  return g_string_free (text, FALSE);
}

static void
test_cases (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GArray) objects = grounding_parse (cases[i].text, NULL, NULL, 0, "?");
    g_autofree char *shown = show_objects (objects), *caption = grounding_caption (cases[i].text);

    g_test_message ("%s", cases[i].text);
    g_assert_cmpstr (shown, ==, cases[i].objects);
    if (cases[i].caption != NULL)
      g_assert_cmpstr (caption, ==, cases[i].caption);
  }
  g_print ("# %u texts\n", (guint) G_N_ELEMENTS (cases));
}

/* Every integer comes back as itself over 999, in each of the four places. */
static void
test_integers (void)
{
  for (int v = 0; v <= 999; v++) {
    g_autofree char *text = g_strdup_printf (R ("a") D ("[[%d, 0, 999, %d]]"), v, v);
    g_autoptr (GArray) objects = grounding_parse (text, NULL, NULL, 0, "");
    const Dsvl2Object *o = &g_array_index (objects, Dsvl2Object, 0);

    g_assert_cmpuint (objects->len, ==, 1);
    g_assert_cmpfloat (o->x0, ==, (float) (v / 999.0));
    g_assert_cmpfloat (o->y0, ==, 0);
    g_assert_cmpfloat (o->x1, ==, 1);
    g_assert_cmpfloat (o->y1, ==, (float) (v / 999.0));
  }
}

/* --- confidence --------------------------------------------------------------------------------- */

/* Tokens are split at '|'; each has the log-probability of its place in the list. */
static const struct {
  const char *tokens;
  double logprobs[16];
  double expected[2]; /* logarithms; NAN: no such box */
} confidences[] = {
  /* one token a number, one between two; brackets and marks do not count */
  { R ("a") "<|det|>[[|1|, |2|, |3|, |4|]]", { -9, -1, -9, -2, -9, -3, -9, -4, -9 },
      { -37. / 7, NAN } },
  /* the space before a number is its token's */
  { R ("a") "<|det|>[[|1|,| 2|,| 3|,| 4|]]", { -9, -1, -9, -2, -9, -3, -9, -4, -9 },
      { -37. / 7, NAN } },
  /* digits in several tokens, a token of two numbers */
  { R ("a") "<|det|>[[1|20|, 3|4,| 5, 6|]]", { -1, -2, -3, -4, -5, -9 }, { -3, NAN } },
  /* one token is everything */
  { R ("a") "<|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]", { -0.5 }, { -0.5, -0.5 } },
  /* two boxes that share one */
  { R ("a") "<|det|>[[|1, 2, 3, 4], [5|, 6, 7, 8|]]", { -9, -1, -3, -9 }, { -1, -2 } },
  { R ("a") "<|det|>[[|1|,|2|,|3|,|4|],[|5|,6,7,8]]", { -9, -1, -9, -1, -9, -1, -9, -1, -9, -2, -4 },
      { -31. / 7, -3 } },
  /* an impossible token, and one whose probability is not known */
  { R ("a") "<|det|>[[|1|, 2, 3, 4]]", { -9, -INFINITY, -1 }, { -INFINITY, NAN } },
  { R ("a") "<|det|>[[|1|, 2, 3, 4]]", { -9, NAN, -1 }, { -INFINITY, NAN } },
};

static void
test_confidence (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (confidences); i++) {
    /* marks have bars of their own */
    g_autofree char *list = g_strdup (strchr (confidences[i].tokens, '['));
    const int marks = strchr (confidences[i].tokens, '[') - confidences[i].tokens;
    g_auto (GStrv) tokens = g_strsplit (list, "|", -1);
    g_autoptr (GString) text = g_string_new_len (confidences[i].tokens, marks);
    g_autoptr (GArray) objects = NULL;
    int token_end[16], n = 0;
    float logprobs[16];

    for (; tokens[n] != NULL; n++) {
      g_string_append (text, tokens[n]);
      token_end[n] = text->len;
      logprobs[n] = confidences[i].logprobs[n];
    }
    objects = grounding_parse (text->str, token_end, logprobs, n, "");
    for (guint k = 0; k < 2; k++) {
      if (isnan (confidences[i].expected[k])) {
        g_assert_cmpuint (objects->len, ==, k);
        break;
      }
      g_assert_cmpuint (objects->len, >, k);
      g_assert_cmpfloat_with_epsilon (g_array_index (objects, Dsvl2Object, k).confidence,
          exp (confidences[i].expected[k]), 1e-6);
    }
  }
  g_print ("# %u answers\n", (guint) G_N_ELEMENTS (confidences));
}

/* --- extremes ----------------------------------------------------------------------------------- */

static const struct {
  const char *unit;
  int bytes, multiple; /* of the unit, to the nearest byte */
  const char *label;
} lengths[] = {
  { "a", 254, 1, NULL },
  { "a", 255, 1, NULL },
  { "a", 256, 1, NULL },
  { "é", 254, 2, NULL },
  { "é", 256, 2, NULL },
  { "漢", 255, 3, NULL },
  { "漢", 258, 3, NULL },
  { "👍", 252, 4, NULL },
  { "👍", 256, 4, NULL },
  { "a", 100000, 1, NULL },
  { "\xff", 300, 3, NULL },
  { "\xe6\xbc", 300, 3, NULL },
};

static void
test_label_length (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    g_autoptr (GString) text = g_string_new ("<|ref|>");
    g_autoptr (GArray) objects = NULL;
    const char *label;

    while (text->len < (gsize) lengths[i].bytes + 7)
      g_string_append (text, lengths[i].unit);
    g_string_append (text, "<|/ref|>" D ("[[1, 2, 3, 4]]"));
    objects = grounding_parse (text->str, NULL, NULL, 0, "");
    label = g_array_index (objects, Dsvl2Object, 0).label;
    g_assert_true (g_utf8_validate (label, -1, NULL));
    g_assert_cmpuint (strlen (label), ==,
        MIN (lengths[i].bytes, GROUNDING_MAX_LABEL / lengths[i].multiple * lengths[i].multiple));
  }
}

static const struct {
  const char *before, *unit, *behind;
  int bytes;
  guint objects;
} floods[] = {
  { R ("a") "<|det|>", "[[", "", 10 << 20, 0 },
  { R ("a") "<|det|>[", "[1, 2, 3, 4], ", "", 1 << 20, 256 },
  { R ("a") "<|det|>[", "[1, 2, ", "", 4 << 20, 0 },
  { R ("a") "<|det|>[[1, 2, 3, ", "9", "]]", 4 << 20, 0 },
  { R ("a") "<|det|>[[1, 2, 3, 0.", "0", "]]", 4 << 20, 1 },
  { R ("a") "<|det|>[[1, 2, 3, ", "-", "]]", 4 << 20, 0 },
  { R ("a") "<|det|>[[1, 2, 3,", " ", "4]]", 4 << 20, 1 },
  { "", "<|ref|>", "", 4 << 20, 0 },
  { "", "<|ref|>a<|det|>[1,2,3,4]", "", 4 << 20, 256 },
  { "", "<|", "", 4 << 20, 0 },
  { "", "<｜", "", 4 << 20, 0 },
  { "", "<", "", 4 << 20, 0 },
  { "<|", "a", "|>", 4 << 20, 0 },
  { "<｜", "a", "｜>", 4 << 20, 0 },
  { "", "a, ", B ("(0,0,1,1)"), 4 << 20, 1 },
  { "", "a" B ("(0,0,1,1)"), "", 4 << 20, 256 },
  { "<|ref|>", " ", "<|/ref|>" D ("[1,2,3,4]"), 4 << 20, 1 },
  { "<|ref|>", "\xff", "<|/ref|>" D ("[1,2,3,4]"), 4 << 20, 1 },
};

/* Time is not compared: quadratic ones would run into the timeout. */
static void
test_floods (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (floods); i++) {
    g_autoptr (GString) text = g_string_new (floods[i].before);
    g_autoptr (GArray) objects = NULL;
    g_autofree char *caption = NULL;
    g_autofree int *token_end = NULL;
    g_autofree float *logprobs = NULL;

    while (text->len < (gsize) floods[i].bytes)
      g_string_append (text, floods[i].unit);
    g_string_append (text, floods[i].behind);
    token_end = g_new (int, text->len);
    logprobs = g_new0 (float, text->len);
    for (guint k = 0; k < text->len; k++)
      token_end[k] = k + 1;
    objects = grounding_parse (text->str, token_end, logprobs, text->len, "");
    caption = grounding_caption (text->str);
    g_assert_cmpuint (objects->len, ==, floods[i].objects);
    g_assert_true (g_utf8_validate (caption, -1, NULL));
    for (guint k = 0; k < objects->len; k++)
      g_assert_cmpfloat (g_array_index (objects, Dsvl2Object, k).confidence, ==, 1);
  }
  g_print ("# %u floods\n", (guint) G_N_ELEMENTS (floods));
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "C.UTF-8");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/grounding/texts", test_cases);
  g_test_add_func ("/grounding/integers", test_integers);
  g_test_add_func ("/grounding/confidence", test_confidence);
  g_test_add_func ("/grounding/label-length", test_label_length);
  g_test_add_func ("/grounding/floods", test_floods);
  return g_test_run ();
}
