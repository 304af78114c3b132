/* dsvl2: products of rows with a matrix, the core of linear, linear_heads and moe_experts
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An op cuts its result into pieces (linear.c, experts.c) that an instruction set's Products compute
 * (products_*.c). Every element is summed in the one order that block_simd.h describes, wherever the cuts
 * fall. */
#ifndef DSVL2_CPU_LINEAR_H
#define DSVL2_CPU_LINEAR_H

#include "cpu.h"

enum {
  PIECE_FLOATS = 48 * 256,
  FEW_ROWS = 16,         /* so many multiply what comes from memory before the next arrives */
  LONG_READ = 512 << 10, /* bytes, so that the gaps between reads do not count */
  MULTIPLY_SCRATCH = CPU_SCRATCH - 2 * PIECE_FLOATS * (int) sizeof (float),
  SERIAL_WORK = 1 << 15, /* multiplications that one thread does sooner than another wakes */
};

static inline const float *
row_of (const Rows *rows, int t)
{
  return rows->x + (rows->index ? rows->index[t] : t) * rows->stride;
}

/* How large the pieces of an op are that multiplies T rows with `outputs` outputs of matrices like w.
 * rows · outputs ≤ PIECE_FLOATS. With few rows what counts is to read long stretches of memory. */
typedef struct {
  int rows, outputs;
} PieceSize;

static inline PieceSize
piece_size (Ops *k, const Weight *w, int outputs, int T)
{
  const int many = cpu (k)->products.outputs, row = weight_row_bytes (w);
  const int few = min_int (LONG_READ / row, ceil_div (outputs, 4 * parallel_threads (k)));

  if (T > FEW_ROWS)
    return (PieceSize){ PIECE_FLOATS / many, many };
  return (PieceSize){ FEW_ROWS, clamp_int (ceil_div (few, 6) * 6, many, PIECE_FLOATS / FEW_ROWS) };
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

void multiply_avx2 (float *z, int z_row, const Rows *x, const Weight *w, int first, int n,
    void *scratch);
void multiply_avx512 (float *z, int z_row, const Rows *x, const Weight *w, int first, int n,
    void *scratch);

/* linear and linear_heads, moe_experts over cpu (k)->products */
void linear_fill_products (Ops *k);
void experts_fill_products (Ops *k);

#endif
