/* dsvl2: linear and linear_heads, cut into pieces for threads and caches
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "linear.h"

typedef struct {
  const Products *products;
  const Weight *w;
  const float *bias;
  unsigned epilogue;

  const float *x;
  float *y;
  int T, x_row, x_head, y_row, y_head;
  int H, O; /* outputs of a head */
  PieceSize piece;
  int per_head, heads; /* pieces across one head's outputs, across all heads' */
} Linear;

/* Pieces of the same rows follow each other, so that these stay in the shared cache. */
static void
linear_piece (void *arg, int i, void *scratch)
{
  const Linear *l = arg;
  const int t = i / l->heads * l->piece.rows, h = i % l->heads / l->per_head;
  const int o = i % l->per_head * l->piece.outputs, n = min_int (l->piece.outputs, l->O - o);
  const Rows rows = { .x = l->x + (size_t) t * l->x_row + (size_t) h * l->x_head,
    .stride = l->x_row,
    .T = min_int (l->piece.rows, l->T - t) };
  float *y = l->y + (size_t) t * l->y_row + (size_t) h * l->y_head + o;
  float *z = scratch; /* [rows.T, n] */

  l->products->multiply (z, n, &rows, l->w, h * l->O + o, n, z + PIECE_FLOATS);
  for (int r = 0; r < rows.T; r++)
    l->products->finish (y + (size_t) r * l->y_row, z + r * n, l->bias ? l->bias + o : NULL, n,
        l->epilogue);
}

static void
run (Ops *k, Linear *l)
{
  l->products = &cpu (k)->products;
  l->O = l->w->O / l->H;
  l->piece = piece_size (k, l->w, l->w->O, l->T);
  l->per_head = ceil_div (l->O, l->piece.outputs);
  l->heads = l->H * l->per_head;
  pieces_for (k, l->heads * ceil_div (l->T, l->piece.rows), (double) l->T * l->w->O * l->w->I,
      linear_piece, l);
}

static void
linear (Ops *k, float *y, const float *x, const Weight *w, const float *bias, int T, unsigned epilogue)
{
  Linear l = { .w = w,
    .bias = bias,
    .epilogue = epilogue,
    .x = x,
    .y = y,
    .T = T,
    .x_row = w->I,
    .y_row = w->O,
    .H = 1 };

  run (k, &l);
}

static void
linear_heads (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head,
    const Weight *w, int H, int T)
{
  Linear l = { .w = w,
    .x = x,
    .y = y,
    .T = T,
    .x_row = x_row,
    .x_head = x_head,
    .y_row = y_row,
    .y_head = y_head,
    .H = H };

  run (k, &l);
}

void
linear_fill_products (Ops *k)
{
  k->linear = linear;
  k->linear_heads = linear_heads;
}
