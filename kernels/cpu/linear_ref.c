/* dsvl2: linear and linear_heads, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <math.h>

static double
gelu_tanh (double v)
{
  return 0.5 * v * (1 + tanh (sqrt (2 / M_PI) * (v + 0.044715 * v * v * v)));
}

static double
gelu_erf (double v)
{
  return 0.5 * v * (1 + erf (v * M_SQRT1_2));
}

static double
dot (const float *x, const Weight *w, int o)
{
  double sum = 0;

  for (int i = 0; i < w->I; i++)
    sum += (double) x[i] * weight_at (w, o, i);
  return sum;
}

static void
linear (Ops *k, float *y, const float *x, const Weight *w, const float *bias, int T, unsigned epilogue)
{
  for (int t = 0; t < T; t++, x += w->I, y += w->O) {
    for (int o = 0; o < w->O; o++) {
      double v = dot (x, w, o) + (bias ? bias[o] : 0);

      if (epilogue & EPI_GELU_TANH)
        v = gelu_tanh (v);
      if (epilogue & EPI_GELU_ERF)
        v = gelu_erf (v);
      if (epilogue & EPI_ADD)
        v += y[o];
      y[o] = v;
    }
  }
}

static void
linear_heads (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head,
    const Weight *w, int H, int T)
{
  const int O = w->O / H;

  for (int t = 0; t < T; t++) {
    for (int h = 0; h < H; h++) {
      const float *from = x + (size_t) t * x_row + (size_t) h * x_head;
      float *to = y + (size_t) t * y_row + (size_t) h * y_head;

      for (int o = 0; o < O; o++)
        to[o] = dot (from, w, h * O + o);
    }
  }
}

void
linear_fill_c (Ops *k)
{
  k->linear = linear;
  k->linear_heads = linear_heads;
}
