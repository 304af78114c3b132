/* dsvl2: softmax over blocks of scores, as they come (Milakov & Gimelshein 2018)
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_CPU_SOFTMAX_SIMD_H
#define DSVL2_CPU_SOFTMAX_SIMD_H

#include "cpu.h"
#include "simd.h"

/* Of the scores so far; what was summed with their weights before a block is worth `fade` after it. */
typedef struct {
  float largest, sum, fade;
} Softmax;

/* p [n rounded up to LANES]: from scores (unscaled) to weights, which `sum` will divide. What lies past n
 * is overwritten. Start with largest = −INFINITY. */
static inline void
softmax_block (Softmax *s, float *p, int n, float scale)
{
  vf top = vf_set (s->largest), sum = vf_set (0);
  float largest;

  for (int j = 0; j < n; j += LANES)
    top = vf_max (top, vf_first (vf_load (p + j) * vf_set (scale), min_int (n - j, LANES), top));
  largest = vf_largest (top);
  for (int j = 0; j < n; j += LANES) {
    const vf e = vf_exp (vf_fma (vf_load (p + j), vf_set (scale), vf_set (-largest)));
    const vf weight = vf_first (e, min_int (n - j, LANES), vf_set (0));

    vf_store (p + j, weight);
    sum += weight;
  }
  s->fade = vf_lane_0 (vf_exp (vf_set (s->largest - largest)));
  s->largest = largest;
  s->sum = s->sum * s->fade + vf_sum (sum);
}

/* Once all blocks are in. */
static inline void
softmax_divide (const Softmax *s, float *out, int n)
{
  const vf scale = vf_set (1 / s->sum);

  for (int i = 0; i < n; i += LANES)
    vf_store_up_to (out + i, vf_load_up_to (out + i, n - i) * scale, n - i);
}

#endif
