/* dsvl2: sums of rows, the gated unit
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"
#include "simd.h"

enum { PIECE = 1 << 14 }; /* floats of a piece of work, more or less */

typedef struct {
  float *y;
  const float *a, *b;
  int T, R, D, rows; /* of a piece */
} Job;

static int
piece_rows (int D)
{
  return D < PIECE ? PIECE / D : 1;
}

static void
add_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const int D = job->D;

  for (int t = i * job->rows; t < min_int (job->T, (i + 1) * job->rows); t++) {
    float *x = job->y + (size_t) t * D;
    const float *row = job->a + (size_t) (t % job->R) * D;

    for (int j = 0; j < D; j += LANES)
      vf_store_up_to (x + j, vf_load_up_to (x + j, D - j) + vf_load_up_to (row + j, D - j), D - j);
  }
}

static void
add_rows (Ops *k, float *x, const float *table, int T, int R, int D)
{
  Job job = { x, table, NULL, T, R, D, piece_rows (D) };

  parallel_for (k, ceil_div (T, job.rows), add_piece, &job);
}

static void
silu_mul_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const int D = job->D;

  for (int t = i * job->rows; t < min_int (job->T, (i + 1) * job->rows); t++) {
    const size_t at = (size_t) t * D;

    for (int j = 0; j < D; j += LANES) {
      const vf gate = vf_load_up_to (job->a + at + j, D - j),
               up = vf_load_up_to (job->b + at + j, D - j);

      vf_store_up_to (job->y + at + j, gate / (vf_set (1) + vf_exp (-gate)) * up, D - j);
    }
  }
}

static void
silu_mul (Ops *k, float *y, const float *gate, const float *up, int T, int F)
{
  Job job = { y, gate, up, T, 0, F, piece_rows (F) };

  parallel_for (k, ceil_div (T, job.rows), silu_mul_piece, &job);
}

void
SIMD_NAME (rows_fill) (Ops *k)
{
  k->add_rows = add_rows;
  k->silu_mul = silu_mul;
}
