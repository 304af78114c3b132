/* dsvl2: how a picture becomes tiles and tokens
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Official code: processing_deepseek_vl_v2.py, select_best_resolution and tokenize_with_images;
 * Pillow's ImageOps.pad decides the placing. */
#include "tiles.h"
#include <math.h>

/* Python's round (): halves to even. */
static int
round_half_even (double v)
{
  return (int) nearbyint (v);
}

/* Places a picture on a canvas as ImageOps.pad does: the larger side fills it, the rest is centred. */
static Canvas
canvas_make (const Config *config, int width, int height, int across, int down)
{
  const int S = config->vision.image_size;
  const int canvas_width = across * S, canvas_height = down * S;
  const double aspect = (double) width / height, canvas_aspect = (double) canvas_width / canvas_height;
  Canvas canvas = { .across = across, .down = down, .S = S };

  canvas.inner_width = canvas_width;
  canvas.inner_height = canvas_height;
  if (aspect > canvas_aspect)
    canvas.inner_height = MAX (1, round_half_even ((double) height / width * canvas_width));
  else if (aspect < canvas_aspect)
    canvas.inner_width = MAX (1, round_half_even ((double) width / height * canvas_height));
  canvas.left = round_half_even ((canvas_width - canvas.inner_width) * 0.5);
  canvas.top = round_half_even ((canvas_height - canvas.inner_height) * 0.5);

  for (int c = 0; c < 3; c++) {
    canvas.mean[c] = config->image_mean[c];
    canvas.std[c] = config->image_std[c];
    canvas.grey[c] = (guint8) (config->image_mean[c] * 255);
  }
  return canvas;
}

/* The candidate that keeps the most of the picture's pixels, of those the one that wastes the fewest of
 * its own; the first of equals. The single tile where none is allowed. */
static void
select_candidate (const Config *config, int width, int height, int max_tiles, int *across, int *down)
{
  const int S = config->vision.image_size;
  gint64 best_effective = 0, least_waste = G_MAXINT64;

  *across = *down = 1;
  for (int i = 0; i < config->n_candidates; i++) {
    const int w = config->candidate[i].width, h = config->candidate[i].height;
    const double scale = MIN ((double) w / width, (double) h / height);
    const gint64 scaled = (gint64) (width * scale) * (gint64) (height * scale);
    const gint64 effective = MIN (scaled, (gint64) width * height);
    const gint64 waste = (gint64) w * h - effective;

    if (max_tiles > 0 && (w / S) * (h / S) > max_tiles)
      continue;
    if (effective > best_effective || (effective == best_effective && waste < least_waste)) {
      best_effective = effective;
      least_waste = waste;
      *across = w / S;
      *down = h / S;
    }
  }
}

void
tile_plan_make (TilePlan *plan, const Config *config, int width, int height, bool cropping,
    int max_tiles)
{
  const int side = config->vision.image_size / config->vision.patch_size;
  const int f = config->projector.downsample_ratio;
  int across = 1, down = 1;

  if (cropping)
    select_candidate (config, width, height, max_tiles, &across, &down);

  const int grid = (side + f - 1) / f;
  const bool twin = across * down == 1;
  *plan = (TilePlan){
    .across = across,
    .down = down,
    .twin = twin,
    .n_encoded = twin ? 1 : 1 + across * down,
    .n_tokens = grid * (grid + 1) + 1 + down * grid * (across * grid + 1),
    .grid = grid,
    .global = canvas_make (config, width, height, 1, 1),
    .local = canvas_make (config, width, height, across, down),
  };
}

/* One view's tokens: its tiles side by side, a newline after each row of the grid. */
static gint32 *
view_rows (gint32 *row, const TilePlan *plan, int first_tile, int across, int down)
{
  const int grid = plan->grid;

  for (int y = 0; y < down * grid; y++) {
    for (int x = 0; x < across * grid; x++) {
      const int tile = first_tile + (y / grid) * across + x / grid;
      *row++ = (tile * grid + y % grid) * grid + x % grid;
    }
    *row++ = TILE_ROW_NEWLINE;
  }
  return row;
}

void
tile_plan_rows (const TilePlan *plan, const Config *config, gint32 *rows)
{
  const int first_local = plan->twin ? 0 : 1;

  if (config->global_view_first) {
    rows = view_rows (rows, plan, 0, 1, 1);
    *rows++ = TILE_ROW_SEPARATOR;
    view_rows (rows, plan, first_local, plan->across, plan->down);
  } else {
    rows = view_rows (rows, plan, first_local, plan->across, plan->down);
    *rows++ = TILE_ROW_SEPARATOR;
    view_rows (rows, plan, 0, 1, 1);
  }
}
