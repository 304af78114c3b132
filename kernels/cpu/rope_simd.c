/* dsvl2: rotary position embedding (Su et al. 2021)
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"
#include "simd.h"

enum { ROWS = 8 }; /* of a piece of work */

typedef struct {
  float *y;
  const float *x;
  int y_row, y_head, x_row, x_head, n, d;
  const float *cosine, *sine;
  bool interleaved;
  const StepRows *rows;
} Job;

/* y and x are one head; a, b are the pair (x_i, x_{i + d/2}) of the paper. */
static void
rotate (float *y, const float *x, int d, const float *cosine, const float *sine, bool interleaved)
{
  const int half = d / 2;
  float apart[OPS_MAX_ROPE]; /* y may be x */

  if (interleaved) {
    for (int i = 0; i < half; i++) {
      apart[i] = x[2 * i];
      apart[i + half] = x[2 * i + 1];
    }
    x = apart;
  }
  for (int i = 0; i < half; i += LANES) {
    const int n = half - i;
    const vf a = vf_load_up_to (x + i, n), b = vf_load_up_to (x + i + half, n);
    const vf c = vf_load_up_to (cosine + i, n), s = vf_load_up_to (sine + i, n);

    vf_store_up_to (y + i, a * c - b * s, n);
    vf_store_up_to (y + i + half, b * c + a * s, n);
  }
}

static void
rope_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;

  for (int t = i * ROWS; t < min_int (job->rows->T, (i + 1) * ROWS); t++) {
    const size_t angle = (size_t) job->rows->position[t] * (job->d / 2);

    for (int j = 0; j < job->n; j++)
      rotate (job->y + (size_t) t * job->y_row + (size_t) j * job->y_head,
          job->x + (size_t) t * job->x_row + (size_t) j * job->x_head, job->d, job->cosine + angle,
          job->sine + angle, job->interleaved);
  }
}

static void
rope (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head, int n, int d,
    const float *cosine, const float *sine, bool interleaved, const StepRows *rows)
{
  Job job = { y, x, y_row, y_head, x_row, x_head, n, d, cosine, sine, interleaved, rows };

  parallel_for (k, ceil_div (rows->T, ROWS), rope_piece, &job);
}

void
SIMD_NAME (rope_fill) (Ops *k)
{
  k->rope = rope;
}
