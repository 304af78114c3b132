/* dsvl2: which tiles a picture is cut into, where it lies on them, and what tokens they make
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Expected numbers: the official select_best_resolution and ImageOps.pad in Python, for the published
 * models' candidates. */
#include "picture.h"
#include "tiles.h"

static const struct {
  int width, height;
} published[] = {
  { 384, 384 },
  { 384, 768 },
  { 768, 384 },
  { 384, 1152 },
  { 1152, 384 },
  { 384, 1536 },
  { 1536, 384 },
  { 768, 768 },
  { 384, 1920 },
  { 1920, 384 },
  { 384, 2304 },
  { 2304, 384 },
  { 768, 1152 },
  { 1152, 768 },
  { 384, 2688 },
  { 2688, 384 },
  { 384, 3072 },
  { 3072, 384 },
  { 768, 1536 },
  { 1536, 768 },
  { 384, 3456 },
  { 3456, 384 },
  { 1152, 1152 },
};

static Config
published_config (void)
{
  Config c = {
    .vision = { .image_size = 384, .patch_size = 14 },
    .projector = { .downsample_ratio = 2 },
    .global_view_first = true,
    .image_mean = { 0.5f, 0.5f, 0.5f },
    .image_std = { 0.5f, 0.5f, 0.5f },
    .n_candidates = G_N_ELEMENTS (published),
  };

  for (guint i = 0; i < G_N_ELEMENTS (published); i++) {
    c.candidate[i].width = published[i].width;
    c.candidate[i].height = published[i].height;
  }
  return c;
}

typedef struct {
  int width, height, left, top;
} Place;

static const struct {
  int width, height, across, down, n_tokens;
  Place local, global;
} plans[] = {
  { 1, 1, 1, 1, 421, { 384, 384, 0, 0 }, { 384, 384, 0, 0 } },
  { 384, 384, 1, 1, 421, { 384, 384, 0, 0 }, { 384, 384, 0, 0 } },
  { 385, 384, 2, 1, 617, { 385, 384, 192, 0 }, { 384, 383, 0, 0 } },
  { 640, 360, 2, 1, 617, { 683, 384, 42, 0 }, { 384, 216, 0, 84 } },
  { 640, 480, 2, 2, 1023, { 768, 576, 0, 96 }, { 384, 288, 0, 48 } },
  { 1280, 720, 4, 2, 1807, { 1365, 768, 86, 0 }, { 384, 216, 0, 84 } },
  { 1920, 1080, 4, 2, 1807, { 1365, 768, 86, 0 }, { 384, 216, 0, 84 } },
  { 1080, 1920, 2, 4, 1835, { 768, 1365, 0, 86 }, { 216, 384, 84, 0 } },
  { 7680, 4320, 4, 2, 1807, { 1365, 768, 86, 0 }, { 384, 216, 0, 84 } },
  { 1000, 100, 3, 1, 813, { 1152, 115, 0, 134 }, { 384, 38, 0, 173 } },
  { 100, 1000, 1, 3, 841, { 115, 1152, 134, 0 }, { 38, 384, 173, 0 } },
  { 1152, 1152, 3, 3, 2017, { 1152, 1152, 0, 0 }, { 384, 384, 0, 0 } },
  { 4000, 3000, 3, 3, 2017, { 1152, 864, 0, 144 }, { 384, 288, 0, 48 } },
  { 800, 600, 3, 2, 1415, { 1024, 768, 64, 0 }, { 384, 288, 0, 48 } },
  { 333, 777, 1, 3, 841, { 384, 896, 0, 128 }, { 165, 384, 110, 0 } },
  { 1536, 768, 4, 2, 1807, { 1536, 768, 0, 0 }, { 384, 192, 0, 96 } },
  { 2, 3000, 1, 8, 1891, { 2, 3072, 191, 0 },
      { 1, 384, 192, 0 } }, /* Pillow would fail on a side of 0 */
};

static void
assert_place (const Canvas *canvas, const Place *place)
{
  g_assert_cmpint (canvas->inner_width, ==, place->width);
  g_assert_cmpint (canvas->inner_height, ==, place->height);
  g_assert_cmpint (canvas->left, ==, place->left);
  g_assert_cmpint (canvas->top, ==, place->top);
  g_assert_cmpint (canvas->grey[0], ==, 127);
}

static void
test_plans (void)
{
  const Config config = published_config ();

  for (guint i = 0; i < G_N_ELEMENTS (plans); i++) {
    TilePlan plan;

    tile_plan_make (&plan, &config, plans[i].width, plans[i].height, true, 0);
    g_test_message ("%d × %d: %d × %d tiles, %d tokens", plans[i].width, plans[i].height, plan.across,
        plan.down, plan.n_tokens);
    g_assert_cmpint (plan.across, ==, plans[i].across);
    g_assert_cmpint (plan.down, ==, plans[i].down);
    g_assert_cmpint (plan.n_tokens, ==, plans[i].n_tokens);
    g_assert_cmpint (plan.n_encoded, ==,
        plan.across * plan.down == 1 ? 1 : 1 + plan.across * plan.down);
    assert_place (&plan.local, &plans[i].local);
    assert_place (&plan.global, &plans[i].global);
  }
}

/* Fewer tiles, and none at all. */
static void
test_limits (void)
{
  static const struct {
    bool cropping;
    int max_tiles, across, down;
  } cases[] = {
    { true, 0, 4, 2 },
    { true, 8, 4, 2 },
    { true, 7, 3, 2 },
    { true, 5, 2, 2 },
    { true, 2, 2, 1 },
    { true, 1, 1, 1 },
    { false, 0, 1, 1 },
    { false, 9, 1, 1 },
  };
  const Config config = published_config ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    TilePlan plan;

    tile_plan_make (&plan, &config, 1920, 1080, cases[i].cropping, cases[i].max_tiles);
    g_test_message ("cropping %d, at most %d tiles: %d × %d", cases[i].cropping, cases[i].max_tiles,
        plan.across, plan.down);
    g_assert_cmpint (plan.across, ==, cases[i].across);
    g_assert_cmpint (plan.down, ==, cases[i].down);
    g_assert_cmpint (plan.twin, ==, cases[i].across * cases[i].down == 1);
  }
}

/* Every projected token stands exactly where the official layout puts it. */
static void
test_rows (void)
{
  Config config = published_config ();

  for (int head = 0; head < 2; head++) {
    TilePlan plan;

    config.global_view_first = head;
    tile_plan_make (&plan, &config, 640, 480, true, 0); /* 2 × 2 tiles of 14 × 14 tokens */
    g_autofree gint32 *rows = g_new (gint32, plan.n_tokens);
    tile_plan_rows (&plan, &config, rows);

    const int g = 14, global = head ? 0 : 4 * g * g + 2 * g + 1;
    const int separator = head ? g * (g + 1) : 4 * g * g + 2 * g, local = head ? separator + 1 : 0;
    g_assert_cmpint (rows[separator], ==, TILE_ROW_SEPARATOR);
    for (int y = 0; y < g; y++) {
      for (int x = 0; x < g; x++)
        g_assert_cmpint (rows[global + y * (g + 1) + x], ==, y * g + x);
      g_assert_cmpint (rows[global + y * (g + 1) + g], ==, TILE_ROW_NEWLINE);
    }
    for (int y = 0; y < 2 * g; y++) {
      for (int x = 0; x < 2 * g; x++) {
        const int tile = 1 + y / g * 2 + x / g;
        g_assert_cmpint (rows[local + y * (2 * g + 1) + x], ==, tile * g * g + y % g * g + x % g);
      }
      g_assert_cmpint (rows[local + y * (2 * g + 1) + 2 * g], ==, TILE_ROW_NEWLINE);
    }
  }
}

static void
test_frames (void)
{
  static const guint8 pixels[64];
  static const struct {
    const char *what;
    Dsvl2Frame frame;
    bool ok;
  } cases[] = {
    { "3 × 2 RGB, rows padded to 12", { DSVL2_FORMAT_RGB, 3, 2, { pixels }, { 12 } }, true },
    { "3 × 2 RGB, rows of 8 bytes", { DSVL2_FORMAT_RGB, 3, 2, { pixels }, { 8 } }, false },
    { "bottom up", { DSVL2_FORMAT_RGBX, 2, 2, { pixels + 8 }, { -8 } }, true },
    { "5 × 3 I420", { DSVL2_FORMAT_I420, 5, 3, { pixels, pixels, pixels }, { 5, 3, 3 } }, true },
    { "5 × 3 I420, short chroma", { DSVL2_FORMAT_I420, 5, 3, { pixels, pixels, pixels }, { 5, 3, 2 } },
        false },
    { "5 × 3 NV12", { DSVL2_FORMAT_NV12, 5, 3, { pixels, pixels }, { 5, 6 } }, true },
    { "NV12 without chroma", { DSVL2_FORMAT_NV12, 5, 3, { pixels }, { 5, 6 } }, false },
    { "3 × 1 YUY2, a pair padded", { DSVL2_FORMAT_YUY2, 3, 1, { pixels }, { 8 } }, true },
    { "P010, 2 bytes a sample", { DSVL2_FORMAT_P010_10LE, 4, 2, { pixels, pixels }, { 8, 8 } }, true },
    { "P010, 1 byte a sample", { DSVL2_FORMAT_P010_10LE, 4, 2, { pixels, pixels }, { 4, 4 } }, false },
    { "no width", { DSVL2_FORMAT_GRAY8, 0, 2, { pixels }, { 4 } }, false },
    { "negative height", { DSVL2_FORMAT_GRAY8, 4, -2, { pixels }, { 4 } }, false },
    { "absurd width", { DSVL2_FORMAT_GRAY8, 1 << 30, 1, { pixels }, { 1 << 30 } }, false },
    { "no such format", { (Dsvl2Format) 99, 4, 2, { pixels }, { 4 } }, false },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (Dsvl2Picture) picture = dsvl2_picture_new (&cases[i].frame, NULL, NULL, &error);

    g_test_message ("%s: %s", cases[i].what, error ? error->message : "taken");
    g_assert_cmpint (picture != NULL, ==, cases[i].ok);
    if (!cases[i].ok)
      g_assert_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tiles/plans", test_plans);
  g_test_add_func ("/tiles/limits", test_limits);
  g_test_add_func ("/tiles/rows", test_rows);
  g_test_add_func ("/tiles/frames", test_frames);
  return g_test_run ();
}
