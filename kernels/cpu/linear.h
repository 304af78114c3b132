/* dsvl2: products of rows with a matrix, the core of linear, linear_heads and moe_experts
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An op cuts its result into pieces of at most PIECE_ROWS × PIECE_OUTPUTS (linear.c, experts.c), and an
 * instruction set's Products computes a piece (products_*.c). Every element is summed in the one order
 * that products_simd.c describes, wherever the cuts fall. */
#ifndef DSVL2_CPU_LINEAR_H
#define DSVL2_CPU_LINEAR_H

#include "cpu.h"

enum {
  PIECE_ROWS = 256,
  PIECE_OUTPUTS = 48,
  PIECE_FLOATS = PIECE_ROWS * PIECE_OUTPUTS,
  FEW_ROWS = 16, /* with fewer a piece has more outputs */
  MULTIPLY_SCRATCH = CPU_SCRATCH - 2 * PIECE_FLOATS * (int) sizeof (float),
  LONG_READ = 512 << 10,
  SERIAL_WORK = 1 << 15, /* multiplications that one thread does sooner than another wakes */
};

/* T rows of an array: row t starts at x + (index ? index[t] : t) · stride. */
typedef struct {
  const float *x;
  size_t stride;
  const int32_t *index;
  int T;
} Rows;

struct _Products {
  /* z[t · z_row + o] = Σ_i x[t][i] · w[first + o, i] for o < n; x->T ≤ PIECE_ROWS, n as piece_outputs() says. */
  void (*multiply) (float *z, int z_row, const Rows *x, const Weight *w, int first, int n,
      void *scratch);
  /* y = epilogue (z + bias), n of each; bias may be NULL */
  void (*finish) (float *y, const float *z, const float *bias, int n, unsigned epilogue);
  /* h = silu (gate) · up, n of each */
  void (*silu_mul) (float *h, const float *gate, const float *up, int n);
};

extern const Products products_avx2, products_avx512, products_avx512bf16;

static inline const float *
row_of (const Rows *rows, int t)
{
  return rows->x + (rows->index ? rows->index[t] : t) * rows->stride;
}

/* How many outputs a piece of T rows of a product with w has, `outputs` being that of the whole op. Few
 * rows need little room, and the longer memory is read in one go the faster. */
static inline int
piece_outputs (Ops *k, const Weight *w, int outputs, int T)
{
  const int row = w->I * (int) weight_type_size (w->type);
  const int long_read = LONG_READ / row, share = outputs / (4 * parallel_threads (k));

  if (T > FEW_ROWS)
    return PIECE_OUTPUTS;
  return clamp_int (min_int (long_read, share) / 12 * 12, PIECE_OUTPUTS, PIECE_FLOATS / FEW_ROWS);
}

/* parallel_for, unless the whole op is too small for that. */
static inline void
pieces_for (Ops *k, int n, double work, ParallelBody body, void *arg)
{
  if (work < SERIAL_WORK)
    serial_for (k, n, body, arg);
  else
    parallel_for (k, n, body, arg);
}

/* linear and linear_heads, moe_experts over cpu (k)->products */
void linear_fill_products (Ops *k);
void experts_fill_products (Ops *k);

#endif
