/* dsvl2: cases of frame_tiles
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof table / sizeof table[0])

/* A canvas but for its colours: tiles across and down, their side, where the picture is. */
typedef struct {
  int across, down, S, left, top, width, height;
} Fit;

static Canvas
make_canvas (const Fit *f, float mean, float std)
{
  return (Canvas){ f->across, f->down, f->S, f->left, f->top, f->width, f->height, { 127, 127, 127 },
    { mean, mean, mean }, { std, std, std } };
}

/* --- against plain C ----------------------------------------------------------------------------- */

/* How a format's components lie in memory. */
typedef struct {
  const char *name;
  FrameColor color;
  int bits;
  struct {
    int plane, offset, step, shift_x, shift_y;
  } channel[3];
} Layout;

/* clang-format off */
static const Layout layouts[] = {
  { "RGB",  FRAME_RGB,   8,  { { 0, 0, 3 }, { 0, 1, 3 }, { 0, 2, 3 } } },
  { "BGRx", FRAME_RGB,   8,  { { 0, 2, 4 }, { 0, 1, 4 }, { 0, 0, 4 } } },
  { "RGBP", FRAME_RGB,   8,  { { 0, 0, 1 }, { 1, 0, 1 }, { 2, 0, 1 } } },
  { "GREY", FRAME_GREY,  8,  { { 0, 0, 1 } } },
  { "I420", FRAME_YCBCR, 8,  { { 0, 0, 1 }, { 1, 0, 1, 1, 1 }, { 2, 0, 1, 1, 1 } } },
  { "NV12", FRAME_YCBCR, 8,  { { 0, 0, 1 }, { 1, 0, 2, 1, 1 }, { 1, 1, 2, 1, 1 } } },
  { "YUY2", FRAME_YCBCR, 8,  { { 0, 0, 2 }, { 0, 1, 4, 1, 0 }, { 0, 3, 4, 1, 0 } } },
  { "P010", FRAME_YCBCR, 16, { { 0, 0, 2 }, { 1, 0, 4, 1, 1 }, { 1, 2, 4, 1, 1 } } },
  { "Y444", FRAME_YCBCR, 8,  { { 0, 0, 1 }, { 1, 0, 1 }, { 2, 0, 1 } } },
  { "Y41B", FRAME_YCBCR, 8,  { { 0, 0, 1 }, { 1, 0, 1, 2, 0 }, { 2, 0, 1, 2, 0 } } },
};

enum { RGB, BGRX, RGBP, GREY, I420, NV12, YUY2, P010, Y444, Y41B };

typedef struct {
  int width, height, layout;
  Fit fit;
  int pad;      /* bytes behind each row; flipped: the rows lie bottom-up */
  bool flipped;
  bool device;  /* in device memory, where the back end reads that */
} FrameCase;

static const FrameCase frame_cases[] = {
  {    1,    1, RGB,  { 1, 1, 8, 0, 0, 8, 8 } },
  {    1,    1, I420, { 1, 1, 3, 1, 1, 1, 1 } },
  {   37,   23, RGB,  { 2, 1, 14, 2, 0, 23, 14 }, 5 },
  {   37,   23, BGRX, { 1, 3, 14, 0, 16, 14, 9 }, 0, true },
  {   64,   48, GREY, { 1, 1, 64, 0, 8, 64, 48 } },
  {  333,  251, NV12, { 2, 1, 100, 33, 0, 133, 100 }, 3 },
  {  335,  129, I420, { 3, 1, 70, 0, 0, 210, 70 }, 0, true },
  {  161,   90, YUY2, { 1, 1, 97, 0, 21, 97, 54 } },
  {   99,  201, P010, { 1, 2, 33, 0, 0, 33, 66 }, 2 },
  {   40,   30, RGBP, { 2, 2, 90, 0, 22, 180, 135 } },
  {   50,   31, Y444, { 1, 1, 31, 0, 6, 31, 19 } },
  {   70,   33, Y41B, { 1, 1, 31, 0, 8, 31, 15 } },
  { 1000,    3, RGB,  { 1, 1, 48, 0, 23, 48, 1 } },
  {    3, 1000, RGB,  { 1, 1, 48, 23, 0, 1, 48 } },
  { 9001,   17, NV12, { 1, 1, 64, 0, 31, 64, 1 } },            /* wider than a strip */
  { 4111,   19, RGB,  { 1, 1, 40, 0, 0, 40, 40 } },            /* not the aspect */
  { 1920, 1080, I420, { 1, 1, 64, 0, 14, 64, 36 } },
  {   37,   23, RGB,  { 2, 1, 14, 2, 0, 23, 14 }, 5, false, true },
  {   37,   23, BGRX, { 1, 3, 14, 0, 16, 14, 9 }, 0, true, true },
  {   64,   48, GREY, { 1, 1, 64, 0, 8, 64, 48 }, 9, false, true },
  {  133,   51, NV12, { 1, 1, 50, 0, 15, 50, 19 }, 379, false, true },
  {   99,   41, I420, { 1, 1, 33, 0, 9, 33, 14 }, 1, false, true },
  {   99,  101, P010, { 1, 1, 33, 0, 0, 32, 33 }, 2, false, true },
};
/* clang-format on */

/* Random planes, each with exactly the bytes that its rows need. */
static void
make_frame (Run *r, Frame *f, const FrameCase *c)
{
  const Layout *l = &layouts[c->layout];
  const uint8_t *plane[3] = { NULL };
  int row[3] = { 0 };

  *f = (Frame){ .width = c->width, .height = c->height, .color = l->color, .bits = l->bits };
  f->context = c->device ? run_ops (r)->context : NULL;
  for (int p = 0; p < 3; p++) {
    int used = 0, rows = 0;
    uint8_t *host;
    size_t bytes;

    for (int i = 0; i < 3; i++)
      if (l->channel[i].plane == p && l->channel[i].step) {
        const int last =
            ((c->width - 1) >> l->channel[i].shift_x) * l->channel[i].step + l->channel[i].offset;

        used = last + l->bits / 8 > used ? last + l->bits / 8 : used;
        rows = ((c->height - 1) >> l->channel[i].shift_y) + 1;
      }
    if (!rows)
      continue;
    row[p] = used + c->pad;
    bytes = (size_t) row[p] * (rows - 1) + used;
    host = malloc (bytes);
    for (size_t i = 0; i < bytes; i++)
      host[i] = run_random (r, 256);
    plane[p] = f->context ? run_input (r, host, bytes, 64) : run_host_input (r, host, bytes);
    plane[p] += c->flipped ? (size_t) row[p] * (rows - 1) : 0;
    row[p] *= c->flipped ? -1 : 1;
    free (host);
  }
  for (int i = 0; i < 3; i++) {
    const int p = l->channel[i].plane;

    f->channel[i] = (FrameChannel){ plane[p] ? plane[p] + l->channel[i].offset : NULL, row[p],
      l->channel[i].step, l->channel[i].shift_x, l->channel[i].shift_y };
  }
}

/* BT.601, limited range. */
static void
set_matrix (Frame *f)
{
  static const int32_t matrix[3][3] = { { 76309, 0, 104597 }, { 76309, -25675, -53279 },
    { 76309, 132201, 0 } };
  static const int32_t offset[3] = { 16, 128, 128 };

  memcpy (f->matrix, matrix, sizeof matrix);
  memcpy (f->offset, offset, sizeof offset);
}

static void
run_frame (Run *r, int i)
{
  const FrameCase *c = &frame_cases[i];
  const Canvas canvas = make_canvas (&c->fit, 0.4814f, 0.2686f);
  float *tiles = run_output (r, canvas.across * canvas.down * 3 * canvas.S, canvas.S, NORMAL);
  Ops *k = run_ops (r);
  Frame frame;
  void *scratch;

  make_frame (r, &frame, c);
  set_matrix (&frame);
  scratch = run_scratch (r, frame_tiles_scratch (&frame, &canvas));
  run_case (r, 0, "%s %dx%d%s to %dx%d of %d, %d x %d", layouts[c->layout].name, c->width, c->height,
      c->device ? " on the device" : "", canvas.across, canvas.down, canvas.S, canvas.inner_width,
      canvas.inner_height);
  while (run_again (r))
    k->frame_tiles (k, tiles, &frame, &canvas, scratch);
}

/* --- against Pillow ------------------------------------------------------------------------------ */

typedef struct {
  int width, height, kind;
  Fit fit;
  uint32_t checksum; /* of the tiles' bytes, FNV-1a */
} PillowCase;

#include "check_frames_pillow.h"

/* The same bytes as picture() in pillow_table.py. */
static uint8_t *
picture (int width, int height, int kind)
{
  uint8_t *rgb = malloc ((size_t) 3 * width * height), *p = rgb;
  uint32_t state = 1;

  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      for (int c = 0; c < 3; c++) {
        state = state * 1664525 + 1013904223;
        if (kind == 0)
          *p++ = state >> 24;
        else
          *p++ = kind == 1 ? (state >> 31) * 255 : (uint32_t) (x * (c + 1) + y * 3);
      }
  return rgb;
}

static uint32_t
checksum (const float *tiles, size_t n)
{
  uint32_t h = 2166136261;

  for (size_t i = 0; i < n; i++)
    h = (h ^ (uint8_t) lrintf (tiles[i] * 255)) * 16777619;
  return h;
}

static void
check_pillow_case (Ops *k, const PillowCase *c, int *n, int *failed)
{
  const Canvas canvas = make_canvas (&c->fit, 0, 1);
  const size_t floats = (size_t) 3 * canvas.across * canvas.down * canvas.S * canvas.S;
  uint8_t *rgb = picture (c->width, c->height, c->kind);
  const int row = 3 * c->width;
  const Frame frame = { c->width, c->height, FRAME_RGB, 8,
    { { rgb, row, 3, 0, 0 }, { rgb + 1, row, 3, 0, 0 }, { rgb + 2, row, 3, 0, 0 } } };
  void *tiles = k->alloc (k, floats * sizeof (float)), *host = malloc (floats * sizeof (float));
  void *scratch = k->alloc (k, frame_tiles_scratch (&frame, &canvas));
  bool pass;

  k->frame_tiles (k, tiles, &frame, &canvas, scratch);
  k->download (k, host, tiles, floats * sizeof (float));
  pass = checksum (host, floats) == c->checksum;
  printf ("%s frame_tiles/%s Pillow's %dx%d to %d x %d, picture %d\n", pass ? "ok" : "not ok", k->isa,
      c->width, c->height, canvas.inner_width, canvas.inner_height, c->kind);
  *failed += !pass;
  ++*n;
  k->free (k, tiles);
  k->free (k, scratch);
  free (host);
  free (rgb);
}

static void
check_pillow (Ops *k, int *n, int *failed)
{
  for (size_t i = 0; i < COUNT (pillow_cases); i++)
    check_pillow_case (k, &pillow_cases[i], n, failed);
}

/* --- speed --------------------------------------------------------------------------------------- */

static const FrameCase frame_bench[] = {
  { 1920, 1080, RGB, { 4, 2, 384, 85, 0, 1365, 768 } },
  { 1920, 1080, RGB, { 1, 1, 384, 0, 84, 384, 216 } },
  { 1920, 1080, NV12, { 4, 2, 384, 85, 0, 1365, 768 } },
  { 1920, 1080, NV12, { 1, 1, 384, 0, 84, 384, 216 } },
  { 7680, 4320, NV12, { 1, 1, 384, 0, 84, 384, 216 } },
};

static void
bench_frame (Run *r, int i)
{
  const FrameCase *c = &frame_bench[i];
  const Canvas canvas = make_canvas (&c->fit, 0.5f, 0.5f);
  float *tiles = run_output (r, canvas.across * canvas.down * 3 * canvas.S, canvas.S, NORMAL);
  Ops *k = run_ops (r);
  Frame frame;
  void *scratch;

  make_frame (r, &frame, c);
  set_matrix (&frame);
  scratch = run_scratch (r, frame_tiles_scratch (&frame, &canvas));
  run_case (r, 0, "%s %dx%d to %d x %d", layouts[c->layout].name, c->width, c->height,
      canvas.inner_width, canvas.inner_height);
  while (run_again (r))
    k->frame_tiles (k, tiles, &frame, &canvas, scratch);
}

const OpCheck frames_checks[] = {
  { "frame_tiles", run_frame, COUNT (frame_cases), bench_frame, COUNT (frame_bench), check_pillow },
  { NULL },
};
