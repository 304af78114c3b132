/* dsvl2: rotary position embedding (Su et al. 2021), in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

/* y and x are one head; a, b are the pair (x_i, x_{i + d/2}) of the paper. */
static void
rotate (float *y, const float *x, int d, const float *cosine, const float *sine, bool interleaved)
{
  float apart[OPS_MAX_ROPE]; /* y may be x */

  if (interleaved) {
    for (int i = 0; i < d; i++)
      apart[i % 2 * (d / 2) + i / 2] = x[i];
    x = apart;
  }
  for (int i = 0; i < d / 2; i++) {
    const float a = x[i], b = x[i + d / 2];

    y[i] = a * cosine[i] - b * sine[i];
    y[i + d / 2] = b * cosine[i] + a * sine[i];
  }
}

static void
rope (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head, int n, int d,
    const float *cosine, const float *sine, bool interleaved, const StepRows *rows)
{
  for (int t = 0; t < rows->T; t++) {
    const size_t angle = (size_t) rows->position[t] * (d / 2);

    for (int j = 0; j < n; j++)
      rotate (y + (size_t) t * y_row + (size_t) j * y_head,
          x + (size_t) t * x_row + (size_t) j * x_head, d, cosine + angle, sine + angle, interleaved);
  }
}

void
rope_fill_c (Ops *k)
{
  k->rope = rope;
}
