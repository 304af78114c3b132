/* dsvl2: what the op families of the CPU back end share
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A family is <family>_ref.c (plain C, the truth), <family>_avx2.c, <family>_avx512.c …; each of these
 * offers one <family>_fill_<isa>() that puts its functions into a table. cpu_open() calls plain C's first
 * and then, oldest first, those of every newer ISA, so a family accelerates only what is worth it.
 */
#ifndef DSVL2_CPU_H
#define DSVL2_CPU_H

#include "kernels/backend.h"

typedef struct _Pool Pool;

/* T rows of an array: row t starts at x + (index ? index[t] : t) · stride. */
typedef struct {
  const float *x;
  size_t stride;
  const int32_t *index;
  int T;
} Rows;

/* The inside of linear, linear_heads and moe_experts; see linear.h. */
typedef struct {
  /* z[t · z_row + o] = Σ_i x[t][i] · w[first + o, i] for o < n; x->T and n as piece_size() says */
  void (*multiply) (float *z, int z_row, const Rows *x, const Weight *w, int first, int n,
      void *scratch);
  /* y = epilogue (z + bias), n of each; bias may be NULL */
  void (*finish) (float *y, const float *z, const float *bias, int n, unsigned epilogue);
  /* h = silu (gate) · up, n of each */
  void (*silu_mul) (float *h, const float *gate, const float *up, int n);
  int outputs; /* of a piece of many rows */
} Products;

/* The back end's state; the table comes first, so that an Ops * of the CPU is a Cpu *. */
typedef struct {
  Ops ops;
  Pool *pool;
  Products products; /* of every ISA but plain C */
} Cpu;

static inline Cpu *
cpu (Ops *k)
{
  return (Cpu *) k;
}

/* --- threads (threads.c) ------------------------------------------------------------------------- */

/* What each thread may use while it runs a body: its own, 64-byte aligned, of no defined content. */
enum { CPU_SCRATCH = 1 << 20 };

/* One of the pieces of an op: number i, by the thread that owns `scratch`. */
typedef void (*ParallelBody) (void *arg, int i, void *scratch);

/* Runs body (arg, 0) … body (arg, n − 1), each once, in any order, by the caller and the workers, and
 * returns when all have returned. Which thread runs which piece must not change any result. Costs some
 * microseconds where n > 1; not to be nested. */
void parallel_for (Ops *k, int n, ParallelBody body, void *arg);

/* The same without other threads. */
void serial_for (Ops *k, int n, ParallelBody body, void *arg);

/* How many threads that is, the caller included. */
int parallel_threads (Ops *k);

/* `threads` in all (at least 1), the caller included; NULL where threads or memory ran out. */
Pool *pool_new (int threads);
void pool_free (Pool *pool);

/* Processors that this process may use. */
int processors (void);

/* The back end with the newest instructions that options and processor allow. NULL with one sentence in
 * `message` where the ISA is unknown or not this processor's, or memory or threads ran out. */
Ops *cpu_open (const OpsOptions *options, char message[OPS_MESSAGE]);

/* --- families ------------------------------------------------------------------------------------ */

void memory_fill (Ops *k);

void attention_fill_c (Ops *k);
void experts_fill_c (Ops *k);
void frames_fill_c (Ops *k);
void linear_fill_c (Ops *k);
void logits_fill_c (Ops *k);
void norm_fill_c (Ops *k);
void patches_fill_c (Ops *k);
void rope_fill_c (Ops *k);
void routing_fill_c (Ops *k);
void rows_fill_c (Ops *k);

void attention_fill_avx2 (Ops *k);
void frames_fill_avx2 (Ops *k);
void linear_fill_avx2 (Ops *k); /* and experts */
void logits_fill_avx2 (Ops *k);
void norm_fill_avx2 (Ops *k);
void patches_fill_avx2 (Ops *k);
void rope_fill_avx2 (Ops *k);
void rows_fill_avx2 (Ops *k);
void tiles_fill_avx2 (Ops *k);

void attention_fill_avx512 (Ops *k);
void frames_fill_avx512 (Ops *k);
void linear_fill_avx512 (Ops *k); /* and experts */
void logits_fill_avx512 (Ops *k);
void norm_fill_avx512 (Ops *k);
void patches_fill_avx512 (Ops *k);
void rope_fill_avx512 (Ops *k);
void rows_fill_avx512 (Ops *k);
void tiles_fill_avx512 (Ops *k);

void linear_fill_avx512bf16 (Ops *k);

/* --- numbers ------------------------------------------------------------------------------------- */

static inline int
min_int (int a, int b)
{
  return a < b ? a : b;
}

static inline int
clamp_int (int v, int low, int high)
{
  return v < low ? low : v > high ? high : v;
}

static inline int
ceil_div (int a, int b)
{
  return (a + b - 1) / b;
}

/* Where row o of a matrix starts. */
static inline const void *
weight_row (const Weight *w, int o)
{
  return (const char *) w->data + o * weight_row_bytes (w);
}

#endif
