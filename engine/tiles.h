/* dsvl2: how a picture becomes tiles and tokens
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_TILES_H
#define DSVL2_TILES_H

#include "config.h"

/* The views of one picture. Official code: processing_deepseek_vl_v2.py, select_best_resolution,
 * tokenize_with_images. */
typedef struct {
  int across, down; /* local tiles */
  bool twin;        /* one local tile with the pixels of the global view: encoded once */
  int n_encoded;    /* tiles that the vision encoder sees: 1 + across · down, or 1 for twins */
  int n_tokens;     /* rows in the prompt, newlines and the separator included */
  int grid;         /* tokens on a tile's side after the projector */
  Canvas global, local;
} TilePlan;

/* Local views are chosen among the configuration's candidates of at most max_tiles tiles (0: all), or are
 * the twin of the global view without cropping. */
void tile_plan_make (TilePlan *plan, const Config *config, int width, int height, bool cropping,
    int max_tiles);

/* Where the tokens of a picture come from: rows of the projector's output [n_encoded · grid², D] in the
 * order global view, local tiles row by row. */
enum { TILE_ROW_NEWLINE = -1, TILE_ROW_SEPARATOR = -2 };

/* rows [n_tokens]: for each token a row of the projector's output, or one of the constants above. */
void tile_plan_rows (const TilePlan *plan, const Config *config, gint32 *rows);

#endif
