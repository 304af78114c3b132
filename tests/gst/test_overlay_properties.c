/* dsvl2: each property of dsvl2overlay changes what it says, and nothing else; captions of all scripts
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstdsvl2meta.h"
#include "harness.h"
#include "overlay.h"
#include <pango/pangocairo.h>

enum { WIDTH = 640, HEIGHT = 480, GREY = 0x80, WHITE = 200, FRAME_PTS = 1000 };

#define LONG_CAPTION                                                                                   \
  "The red car waits at the crossing while a dog runs past, two people look at a map, a "              \
  "bicycle leans on the wall behind them and a man on a ladder changes the bulb of a street "          \
  "lamp that has been dark since the storm of last Thursday, as far as anybody can tell."
#define FOUR_TIMES(x) x " " x " " x " " x

/* What is on the frame: two cars, the first with a number of a tracker's and less sure, and an answer. */
typedef struct {
  const char *label, *prompt, *caption;
  double confidence;
  int id;
} Seen;

static const Seen usual = { "car", "What is there?", FOUR_TIMES (LONG_CAPTION), 0.5, 7 };

static GstVideoInfo
grey_info (void)
{
  return test_info ("GRAY8", WIDTH, HEIGHT);
}

static GstBuffer *
grey_frame (void)
{
  const GstVideoInfo info = grey_info ();
  GstBuffer *frame = test_frame_new (&info, FRAME_PTS, 0);

  gst_buffer_memset (frame, 0, GREY, gst_buffer_get_size (frame));
  return frame;
}

/* The frame as an element with these properties leaves it: WIDTH × HEIGHT bytes, to be freed. */
static guint8 *
overlaid (const char *properties, GstBuffer *frame)
{
  const GstVideoInfo info = grey_info ();
  g_autofree char *launch = g_strconcat ("dsvl2overlay ", properties, NULL);
  GstHarness *h = gst_harness_new_parse (launch);
  guint8 *pixels = g_malloc (WIDTH * HEIGHT);
  GstBuffer *out;

  gst_harness_play (h);
  test_set_caps (h, &info);
  out = gst_harness_push_and_pull (h, frame);
  g_assert_cmpuint (gst_buffer_extract (out, 0, pixels, WIDTH * HEIGHT), ==, WIDTH * HEIGHT);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
  return pixels;
}

static guint8 *
drawn (const char *properties, const Seen *seen)
{
  GstBuffer *frame = grey_frame ();

  overlay_add_region (frame, seen->label, 60, 100, 160, 80, seen->confidence);
  gst_video_region_of_interest_meta_add_param (test_region (frame, 0),
      gst_structure_new ("object_id", "id", G_TYPE_INT, seen->id, NULL));
  overlay_add_region (frame, "car", 360, 100, 160, 80, 0.9);
  overlay_add_caption (frame, seen->prompt, seen->caption, GST_CLOCK_TIME_NONE);
  return overlaid (properties, frame);
}

/* --- what each property changes --- */

typedef struct {
  const char *name;
  int x0, y0, x1, y1;
} Zone;

/* The first object's box with its inside, its tag; the second object with both; the panel. */
enum { BOX, TAG, OTHER, PANEL, N_ZONES };
static const Zone zones[N_ZONES] = { { "box", 50, 108, 230, 190 }, { "tag", 50, 0, 350, 96 },
  { "other", 350, 0, 640, 190 }, { "panel", 0, 190, 640, 480 } };

/* How a zone differs from what it was: '=' not at all, '<' there is less, '>' more, '~' in a case: either. */
static char
difference (const guint8 *before, const guint8 *after, const Zone *z)
{
  int n_before = 0, n_after = 0, n_different = 0;

  for (int y = z->y0; y < z->y1; y++)
    for (int x = z->x0; x < z->x1; x++) {
      n_before += before[y * WIDTH + x] != GREY;
      n_after += after[y * WIDTH + x] != GREY;
      n_different += before[y * WIDTH + x] != after[y * WIDTH + x];
    }
  return n_different == 0 ? '=' : n_after < n_before ? '<' : n_after > n_before ? '>' : '~';
}

static char *
differences (const guint8 *before, const guint8 *after)
{
  char *all = g_strnfill (N_ZONES, '?');

  for (int i = 0; i < N_ZONES; i++)
    all[i] = difference (before, after, &zones[i]);
  return all;
}

#define NO_TAGS "show-labels=false show-confidence=false show-ids=false "
#define SHORT "caption-lines=2 "

static void
test_each (void)
{
  static const struct {
    const char *before, *after;
    const char *differs; /* box, tag, other, panel */
  } cases[] = {
    { "", "", "====" }, { "", "show-boxes=false", "<=<=" }, { "", "show-labels=false", "=<<=" },
    { "", "show-confidence=false", "=<<=" }, { "", "show-ids=false", "=<==" },
    { NO_TAGS, NO_TAGS "show-labels=true", "=>>=" },
    { NO_TAGS, NO_TAGS "show-confidence=true", "=>>=" }, { NO_TAGS, NO_TAGS "show-ids=true", "=>==" },
    { "show-boxes=false", "show-boxes=false " NO_TAGS, "=<<=" }, { "", "show-caption=false", "===<" },
    { "", "show-prompt=true", "===~" }, { "", "labels=bus", "<<<=" }, { "", "labels=\"c*\"", "====" },
    { "", "min-confidence=0.5", "====" }, { "", "min-confidence=0.6", "<<==" },
    { "", "min-confidence=1", "<<<=" }, { "", "label-colors=\"car=black\"", "~~~=" },
    { "", "line-width=9", ">=>=" }, { "", "font=\"Serif\"", "=~~~" },
    { "font=\"Sans 10px\"", "font=\"Sans 20px\"", "=>>~" }, { "", "caption-font=\"Serif\"", "===~" },
    { SHORT, SHORT "caption-font=\"Sans 30px\"", "===>" },
    { "", "font=\"Serif\" caption-font=\"Sans\"", "=~~=" }, { SHORT, SHORT "font-scale=1.5", "=>>>" },
    { SHORT, SHORT "font-scale=0.7", "=<<<" },
    { "font=\"Sans 12px\"", "font=\"Sans 12px\" font-scale=2", "====" }, /* a size is a size */
    { "", "caption-position=bottom", "====" }, { SHORT, SHORT "caption-position=top", "=~~<" },
    { "", "caption-lines=3", "===<" }, { "", "wrap-mode=none", "===<" },
    { "", "wrap-mode=char", "===~" },
    { "", "fade-after=0", "====" }, /* nobody knows how old all this is */
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree guint8 *before = drawn (cases[i].before, &usual),
                      *after = drawn (cases[i].after, &usual);
    g_autofree char *found = differences (before, after);

    g_test_message ("\"%s\" → \"%s\": box, tag, other, panel %s", cases[i].before, cases[i].after,
        found);
    for (int z = 0; z < N_ZONES; z++)
      if (cases[i].differs[z] == '~')
        g_assert_true (found[z] != '=');
      else
        g_assert_cmpint (found[z], ==, cases[i].differs[z]);
  }
}

/* A tag says what it is told to say: with one property alone it changes with that and with nothing else. */
static void
test_what_tags_say (void)
{
#define ONE_COLOUR " label-colors=\"*=gold\""
  static const struct {
    const char *properties;
    gboolean label, confidence, id; /* whether the tag changes with it */
  } cases[] = {
    { NO_TAGS ONE_COLOUR, FALSE, FALSE, FALSE },
    { NO_TAGS "show-labels=true" ONE_COLOUR, TRUE, FALSE, FALSE },
    { NO_TAGS "show-confidence=true" ONE_COLOUR, FALSE, TRUE, FALSE },
    { NO_TAGS "show-ids=true" ONE_COLOUR, FALSE, FALSE, TRUE },
    { ONE_COLOUR, TRUE, TRUE, TRUE },
  };
  const Seen label = { "bus", usual.prompt, usual.caption, 0.5, 7 },
             confidence = { "car", usual.prompt, usual.caption, 0.6, 7 },
             id = { "car", usual.prompt, usual.caption, 0.5, 8 };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *p = cases[i].properties;
    g_autofree guint8 *before = drawn (p, &usual), *labelled = drawn (p, &label);
    g_autofree guint8 *surer = drawn (p, &confidence), *tracked = drawn (p, &id);
    g_autofree char *a = differences (before, labelled), *b = differences (before, surer),
                    *c = differences (before, tracked);

    g_test_message ("%s: box, tag, other, panel change with the label %s, the confidence %s, the id %s",
        p, a, b, c);
    g_assert_cmpint (a[TAG] != '=', ==, cases[i].label);
    g_assert_cmpint (b[TAG] != '=', ==, cases[i].confidence);
    g_assert_cmpint (c[TAG] != '=', ==, cases[i].id);
    for (int z = 0; z < N_ZONES; z++)
      g_assert_true (z == TAG || (a[z] == '=' && b[z] == '=' && c[z] == '='));
  }
}

/* --- the panel --- */

/* The part of the frame that is not grey below the boxes. */
static Zone
panel_of (const guint8 *pixels)
{
  Zone panel = { "panel", WIDTH, HEIGHT, 0, 0 };

  for (int y = zones[PANEL].y0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++)
      if (pixels[y * WIDTH + x] != GREY) {
        panel.x0 = MIN (panel.x0, x), panel.x1 = MAX (panel.x1, x + 1);
        panel.y0 = MIN (panel.y0, y), panel.y1 = MAX (panel.y1, y + 1);
      }
  return panel;
}

/* Where there is ink of white letters in a zone, and how much. */
static Zone
ink_of (const guint8 *pixels, const Zone *in, double *amount)
{
  Zone ink = { "ink", WIDTH, HEIGHT, 0, 0 };

  *amount = 0;
  for (int y = in->y0; y < in->y1; y++)
    for (int x = in->x0; x < in->x1; x++) {
      *amount += MAX (pixels[y * WIDTH + x] - GREY, 0) / (double) (255 - GREY);
      if (pixels[y * WIDTH + x] >= WHITE) {
        ink.x0 = MIN (ink.x0, x), ink.x1 = MAX (ink.x1, x + 1);
        ink.y0 = MIN (ink.y0, y), ink.y1 = MAX (ink.y1, y + 1);
      }
    }
  return ink;
}

static int
panel_height (const char *properties, const char *caption)
{
  const Seen seen = { "car", "", caption, 0.5, 7 };
  g_autofree char *all = g_strconcat ("font=\"Sans 16px\" ", properties, NULL);
  g_autofree guint8 *pixels = drawn (all, &seen);
  const Zone panel = panel_of (pixels);

  return panel.y1 - panel.y0;
}

static void
test_lines (void)
{
  g_autofree char *endless = g_strnfill (140, 'w');
  const struct {
    const char *what, *properties, *caption;
    int lines;
  } cases[] = {
    { "words", "caption-lines=1", LONG_CAPTION, 1 },
    { "words", "caption-lines=2", LONG_CAPTION, 2 },
    { "words", "caption-lines=3", LONG_CAPTION, 3 },
    { "words", "caption-lines=100", "One line.", 1 },
    { "many words", "", FOUR_TIMES (LONG_CAPTION), 8 },
    { "more words than two fifths of the frame hold", "caption-lines=100",
        FOUR_TIMES (FOUR_TIMES (LONG_CAPTION)), 9 },
    { "words", "caption-lines=3 wrap-mode=none", LONG_CAPTION, 1 },
    { "words", "caption-lines=3 wrap-mode=char", LONG_CAPTION, 3 },
    { "words", "caption-lines=3 wrap-mode=word", LONG_CAPTION, 3 },
    { "one word", "caption-lines=9 wrap-mode=none", endless, 1 },
    { "one word", "caption-lines=9 wrap-mode=word", endless, 1 },
    { "one word", "caption-lines=9 wrap-mode=char", endless, 4 },
    { "one word", "caption-lines=9 wrap-mode=wordchar", endless, 4 },
  };
  const int one = panel_height ("caption-lines=1", LONG_CAPTION),
            line = panel_height ("caption-lines=2", LONG_CAPTION) - one;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const int height = panel_height (cases[i].properties, cases[i].caption);

    g_test_message ("%s, \"%s\": %d rows, %.1f lines (%d)", cases[i].what, cases[i].properties, height,
        1 + (height - one) / (double) line, cases[i].lines);
    g_assert_cmpint (ABS (height - one - (cases[i].lines - 1) * line), <=, 1 + cases[i].lines / 2);
  }
}

/* Where lines are broken: at the same places or not. */
static void
test_wrap_modes (void)
{
  static const struct {
    const char *one, *other, *caption;
    gboolean same;
  } cases[] = {
    { "", "wrap-mode=wordchar", LONG_CAPTION, TRUE },
    { "wrap-mode=word", "wrap-mode=wordchar", LONG_CAPTION, TRUE },
    { "wrap-mode=word", "wrap-mode=char", FOUR_TIMES (LONG_CAPTION), FALSE },
    { "wrap-mode=none", "wrap-mode=word", "One line.", TRUE },
    { "wrap-mode=none", "wrap-mode=char", "One line.", TRUE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const Seen seen = { "car", "", cases[i].caption, 0.5, 7 };
    g_autofree guint8 *one = drawn (cases[i].one, &seen), *other = drawn (cases[i].other, &seen);
    const char found = difference (one, other, &zones[PANEL]);

    g_test_message ("\"%s\" and \"%s\": %c", cases[i].one, cases[i].other, found);
    g_assert_true ((found == '=') == cases[i].same);
  }
}

/* --- age --- */

/* An answer fades, and the box that came with it. Below the letters the panel is the darkest; black lines are
 * as dark as the seam under them lets them be. */
static void
test_fading (void)
{
  static const struct {
    const char *properties;
    int age_ms;
    double opacity;
  } cases[] = {
    { "", 0, 1 },
    { "", 2000, 1 },
    { "", 6000, 0.7 },
    { "", 10000, 0.4 },
    { "", 100000, 0.4 },
    { "", -6000, 0.7 }, /* playing backwards */
    { "fade-after=-1", 100000, 1 },
    { "fade-after=5000000000", 5000, 1 },
    { "fade-after=5000000000", 9000, 0.7 },
    { "fade-after=0 fade-duration=0", 0, 1 },
    { "fade-after=0 fade-duration=0", 1, 0.4 },
    { "fade-duration=2000000000", 3000, 0.7 },
    { "fade-duration=2000000000", 4000, 0.4 },
    { "fade-opacity=1", 100000, 1 },
    { "fade-opacity=0", 6000, 0.5 },
    { "fade-opacity=0", 10000, 0 },
  };
  int opaque = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const double o = cases[i].opacity;
    const GstClockTime seen = 200 * GST_SECOND;
    GstBuffer *frame = grey_frame (), *answered = overlay_answered_buffer ("One car.", seen);
    g_autofree char *properties =
        g_strconcat ("line-width=6 label-colors=\"*=black\" ", cases[i].properties, NULL);
    g_autofree guint8 *pixels = NULL;
    const double line = GREY * (1 - 0.45 * o) * (1 - o); /* the seam, then the line */
    int panel = GREY, outline;

    gst_buffer_copy_into (frame, answered, GST_BUFFER_COPY_META, 0, (gsize) -1);
    gst_buffer_unref (answered);
    GST_BUFFER_PTS (frame) = (GstClockTime) ((gint64) seen + cases[i].age_ms * (gint64) GST_MSECOND);
    pixels = overlaid (properties, frame);
    for (int y = zones[PANEL].y0; y < HEIGHT; y++)
      for (int x = 0; x < WIDTH; x++)
        panel = MIN (panel, pixels[y * WIDTH + x]);
    outline = pixels[(48 + 24) * WIDTH + 64 + 3]; /* in the middle of the left side */
    if (i == 0)
      opaque = panel;
    g_test_message ("\"%s\" after %.3f s: panel %d (%.1f), line %d (%.1f)", cases[i].properties,
        cases[i].age_ms / 1e3, panel, GREY + o * (opaque - GREY), outline, line);
    g_assert_cmpint (opaque, <, GREY / 2);
    /* opacity has sixteen steps */
    g_assert_cmpfloat (ABS (panel - (GREY + o * (opaque - GREY))), <=, 5);
    g_assert_cmpfloat (ABS (outline - line), <=, 9);
    g_assert_true ((panel < GREY && outline < GREY) == (o > 0));
  }
}

/* --- scripts --- */

/* A short caption below a long one begins where its script begins; the other way round it ends there. */
static void
test_side_of_the_panel (void)
{
  static const struct {
    const char *what, *text;
    gboolean right;
  } cases[] = {
    { "English", "A red car.", FALSE },
    { "Hebrew", "מכונית אדומה.", TRUE },
    { "Arabic", "سيارة حمراء.", TRUE },
    { "Hebrew that begins with Latin letters", "BMW אדומה.", FALSE },
    { "Hebrew with Latin letters", "מכונית BMW.", TRUE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    for (int first = 0; first < 2; first++) {
      GstBuffer *frame = grey_frame ();
      g_autofree guint8 *pixels = NULL;
      Zone panel, half, ink;
      double amount;

      for (int k = 0; k < 2; k++)
        overlay_add_caption (frame, "",
            k == first ? cases[i].text : "A street with three cars and a dog.", GST_CLOCK_TIME_NONE);
      pixels = overlaid ("", frame);
      half = panel = panel_of (pixels);
      if (first == 0)
        half.y1 = (panel.y0 + panel.y1) / 2;
      else
        half.y0 = (panel.y0 + panel.y1) / 2;
      ink = ink_of (pixels, &half, &amount);
      g_test_message ("%s, %s: %d pixels from the left of the panel, %d from the right", cases[i].what,
          first == 0 ? "above" : "below", ink.x0 - panel.x0, panel.x1 - ink.x1);
      if (cases[i].right)
        g_assert_cmpint (3 * (panel.x1 - ink.x1), <, ink.x0 - panel.x0);
      else
        g_assert_cmpint (3 * (ink.x0 - panel.x0), <, panel.x1 - ink.x1);
    }
}

/* The text in this font as Pango alone draws it, white on grey. FALSE if no font has all of it. */
static gboolean
draw_alone (const char *font, const char *text, guint8 *pixels)
{
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_A8, WIDTH, HEIGHT);
  cairo_t *cr = cairo_create (surface);
  PangoLayout *layout = pango_cairo_create_layout (cr);
  PangoFontDescription *description = pango_font_description_from_string (font);
  gboolean whole;

  pango_layout_set_font_description (layout, description);
  pango_layout_set_text (layout, text, -1);
  whole = pango_layout_get_unknown_glyphs_count (layout) == 0;
  pango_cairo_show_layout (cr, layout);
  cairo_surface_flush (surface);
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++) {
      const int alpha =
          cairo_image_surface_get_data (surface)[y * cairo_image_surface_get_stride (surface) + x];

      pixels[y * WIDTH + x] = (guint8) (GREY + alpha * (255 - GREY) / 255);
    }
  pango_font_description_free (description);
  g_object_unref (layout);
  cairo_destroy (cr);
  cairo_surface_destroy (surface);
  return whole;
}

/* Letters of each script are drawn as they are, joined and in order: as wide, as high and as much as Pango's. */
static void
test_scripts (gconstpointer data)
{
  static const Zone all = { "all", 0, 0, WIDTH, HEIGHT };
  const char *text = data;
  g_autofree guint8 *expected = g_malloc (WIDTH * HEIGHT), *pixels = NULL;
  GstBuffer *frame = grey_frame ();
  double much, expected_much;
  Zone ink, expected_ink;

  if (!draw_alone ("Sans 40px", text, expected)) {
    gst_buffer_unref (frame);
    g_test_skip ("No font here has all of these letters; fonts-droid-fallback has those of Chinese and "
                 "Japanese");
    return;
  }
  overlay_add_caption (frame, "", text, GST_CLOCK_TIME_NONE);
  pixels = overlaid ("caption-font=\"Sans 40px\"", frame);
  ink = ink_of (pixels, &all, &much);
  expected_ink = ink_of (expected, &all, &expected_much);
  g_test_message ("%s: %d × %d, %.0f pixels of ink; Pango alone %d × %d, %.0f", text, ink.x1 - ink.x0,
      ink.y1 - ink.y0, much, expected_ink.x1 - expected_ink.x0, expected_ink.y1 - expected_ink.y0,
      expected_much);
  g_assert_cmpint (ABS ((ink.x1 - ink.x0) - (expected_ink.x1 - expected_ink.x0)), <=, 4);
  g_assert_cmpint (ABS ((ink.y1 - ink.y0) - (expected_ink.y1 - expected_ink.y0)), <=, 3);
  g_assert_cmpfloat (ABS (much / expected_much - 1), <, 0.2);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  gst_dsvl2_meta_register ();
  g_test_add_func ("/overlay/properties/each", test_each);
  g_test_add_func ("/overlay/properties/tags", test_what_tags_say);
  g_test_add_func ("/overlay/properties/lines", test_lines);
  g_test_add_func ("/overlay/properties/wrap-modes", test_wrap_modes);
  g_test_add_func ("/overlay/properties/fading", test_fading);
  g_test_add_func ("/overlay/scripts/side", test_side_of_the_panel);
  g_test_add_data_func ("/overlay/scripts/latin", "A red car", test_scripts);
  g_test_add_data_func ("/overlay/scripts/hebrew", "מכונית אדומה", test_scripts);
  g_test_add_data_func ("/overlay/scripts/arabic", "سيارة حمراء", test_scripts);
  g_test_add_data_func ("/overlay/scripts/chinese", "红色的汽车在路口", test_scripts);
  g_test_add_data_func ("/overlay/scripts/japanese", "赤いくるまと自転車", test_scripts);
  return test_run ();
}
