/* dsvl2: the routed experts, each with the rows that chose it
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A pair is a row and one of its experts. Pairs are sorted by expert; then come three passes, each over
 * pieces of all experts: what is hidden, what comes down, the sum for each row. So decoding one token
 * keeps every thread busy though each of its products is small.
 */
#include "linear.h"

typedef struct {
  const Products *products;
  const Experts *experts;
  int D, F, T, K;
  PieceSize hidden_piece, down_piece;

  const float *x, *weights;
  float *y;
  float *hidden;  /* [pairs, F] */
  float *down;    /* [pairs, D] */
  int32_t *row;   /* [pairs] of x, by sorted pair */
  int32_t *place; /* [T, K] where a pair is sorted to */

  int groups;              /* experts that have rows */
  int32_t *expert, *first; /* [groups]; [groups + 1]: the first sorted pair */
} Moe;

size_t
moe_experts_scratch (int T, int K, int D, int F)
{
  const size_t pairs = (size_t) T * K;

  return pairs * ((D + F) * sizeof (float) + 4 * sizeof (int32_t)) + sizeof (int32_t);
}

static void
place_arrays (Moe *m, void *scratch)
{
  const size_t pairs = (size_t) m->T * m->K;

  m->hidden = scratch;
  m->down = m->hidden + pairs * m->F;
  m->row = (int32_t *) (m->down + pairs * m->D);
  m->place = m->row + pairs;
  m->expert = m->place + pairs;
  m->first = m->expert + pairs;
}

static void
sort_pairs (Moe *m, const int32_t *ids)
{
  const int pairs = m->T * m->K;
  int n = 0;

  for (int e = 0; e < m->experts->E && n < pairs; e++) {
    const int first = n;

    for (int i = 0; i < pairs; i++) {
      if (ids[i] != e)
        continue;
      m->row[n] = i / m->K;
      m->place[i] = n++;
    }
    if (n == first)
      continue;
    m->expert[m->groups] = e;
    m->first[m->groups++] = first;
  }
  m->first[m->groups] = n;
}

static void
hidden_piece (void *arg, int i, void *scratch)
{
  const Moe *m = arg;
  const int pieces = ceil_div (m->F, m->hidden_piece.outputs), g = i / pieces, e = m->expert[g];
  const int f = i % pieces * m->hidden_piece.outputs, n = min_int (m->hidden_piece.outputs, m->F - f);
  float *gate = scratch, *up = gate + PIECE_FLOATS; /* [rows.T, n] */

  for (int p = m->first[g]; p < m->first[g + 1]; p += m->hidden_piece.rows) {
    const Rows rows = { .x = m->x,
      .stride = m->D,
      .index = m->row + p,
      .T = min_int (m->hidden_piece.rows, m->first[g + 1] - p) };

    m->products->multiply (gate, n, &rows, &m->experts->gate[e], f, n, up + PIECE_FLOATS);
    m->products->multiply (up, n, &rows, &m->experts->up[e], f, n, up + PIECE_FLOATS);
    for (int r = 0; r < rows.T; r++)
      m->products->silu_mul (m->hidden + (size_t) (p + r) * m->F + f, gate + r * n, up + r * n, n);
  }
}

static void
down_piece (void *arg, int i, void *scratch)
{
  const Moe *m = arg;
  const int pieces = ceil_div (m->D, m->down_piece.outputs), g = i / pieces;
  const int d = i % pieces * m->down_piece.outputs, n = min_int (m->down_piece.outputs, m->D - d);

  for (int p = m->first[g]; p < m->first[g + 1]; p += m->down_piece.rows) {
    const Rows rows = { .x = m->hidden + (size_t) p * m->F,
      .stride = m->F,
      .T = min_int (m->down_piece.rows, m->first[g + 1] - p) };

    m->products->multiply (m->down + (size_t) p * m->D + d, m->D, &rows,
        &m->experts->down[m->expert[g]], d, n, scratch);
  }
}

static void
sum_row (void *arg, int t, void *scratch)
{
  const Moe *m = arg;
  float *y = m->y + (size_t) t * m->D;

  for (int j = t * m->K; j < (t + 1) * m->K; j++) {
    const float *down = m->down + (size_t) m->place[j] * m->D, weight = m->weights[j];

    for (int d = 0; d < m->D; d++)
      y[d] += weight * down[d];
  }
}

static void
moe_experts (Ops *k, float *y, const float *x, const int32_t *ids, const float *weights,
    const Experts *experts, int T, int K, void *scratch)
{
  Moe m = { .products = &cpu (k)->products,
    .experts = experts,
    .D = experts->D,
    .F = experts->F,
    .T = T,
    .K = K,
    .x = x,
    .weights = weights,
    .y = y };
  double work;

  place_arrays (&m, scratch);
  sort_pairs (&m, ids);
  m.hidden_piece = piece_size (k, &experts->gate[0], m.groups * m.F, T);
  m.down_piece = piece_size (k, &experts->down[0], m.groups * m.D, T);
  work = (double) m.first[m.groups] * m.D * m.F;
  pieces_for (k, m.groups * ceil_div (m.F, m.hidden_piece.outputs), 2 * work, hidden_piece, &m);
  pieces_for (k, m.groups * ceil_div (m.D, m.down_piece.outputs), work, down_piece, &m);
  pieces_for (k, T, (double) T * K * m.D, sum_row, &m);
}

void
experts_fill_products (Ops *k)
{
  k->moe_experts = moe_experts;
}
