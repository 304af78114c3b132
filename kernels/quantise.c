/* dsvl2: dense matrices to codes and scales
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Host code that runs once for each weight, when a model is opened: loops without branches, which the
 * compiler turns into vectors. */
#include "weight.h"

#include <math.h>
#include <string.h>

typedef struct {
  float v[WEIGHT_GROUP];
} Group;

/* Inputs first … of row o; zeros past the end. */
static void
load_group (Group *g, const Weight *w, int o, int first)
{
  const int left = w->I - first, n = left < WEIGHT_GROUP ? left : WEIGHT_GROUP;
  const char *row = (const char *) w->data + o * weight_row_bytes (w);

  if (n < WEIGHT_GROUP)
    memset (g, 0, sizeof *g);
  if (w->type == WEIGHT_BF16 && n == WEIGHT_GROUP) { /* what checkpoints have */
    uint16_t h[WEIGHT_GROUP];

    memcpy (h, row + first * sizeof *h, sizeof h);
    for (int i = 0; i < WEIGHT_GROUP; i++)
      g->v[i] = f32_of_bf16 (h[i]);
    return;
  }
  for (int i = 0; i < n; i++)
    g->v[i] = weight_at (w, o, first + i);
}

/* The smallest number of bf16, its sign aside, that is large enough for both sides. */
static uint16_t
smallest_scale (float larger, float smaller, int N)
{
  const float needed = fmaxf (larger / N, smaller / (N - 0.5f));
  uint32_t bits;

  memcpy (&bits, &needed, sizeof bits);
  bits >>= 16;
  while (f32_of_bf16 (bits) * (double) N < larger || f32_of_bf16 (bits) * (N - 0.5) < smaller)
    bits++;
  return bits;
}

/* What a group's numbers go up and down to, 0 among them, and 0 or NaN. */
typedef struct {
  float high, low, finite;
} Range;

static Range
group_range (const Group *g)
{
  enum { LANES = 8 };
  Range all = { 0 };
  float high[LANES] = { 0 }, low[LANES] = { 0 }, finite[LANES] = { 0 };

  for (int i = 0; i < WEIGHT_GROUP; i += LANES)
    for (int l = 0; l < LANES; l++) {
      const float v = g->v[i + l];

      high[l] = v > high[l] ? v : high[l];
      low[l] = v < low[l] ? v : low[l];
      finite[l] += v * 0;
    }
  for (int l = 0; l < LANES; l++) {
    all.high = high[l] > all.high ? high[l] : all.high;
    all.low = low[l] < all.low ? low[l] : all.low;
    all.finite += finite[l];
  }
  return all;
}

static uint16_t
group_scale (const Group *g, int N)
{
  const Range range = group_range (g);

  if (isnan (range.finite))
    return 0x7fc0;
  if (range.high > -range.low)
    return 0x8000 | smallest_scale (range.high, -range.low, N);
  return smallest_scale (-range.low, range.high, N);
}

static void
group_codes (int8_t code[WEIGHT_GROUP], const Group *g, uint16_t scale, int N)
{
  const float s = f32_of_bf16 (scale), high = N - 1;
  const float round =
      0x1.8p23f; /* added and taken away: a number is left as an integer, ties to even */

  if (s == 0 || isnan (s)) {
    memset (code, 0, WEIGHT_GROUP);
    return;
  }
  for (int i = 0; i < WEIGHT_GROUP; i++) {
    const float c = g->v[i] / s + round - round;

    code[i] = (int) (c > high ? high : c);
  }
}

void
weight_quantise (void *to, const Weight *from, WeightType type, int first, int n)
{
  const Weight w = { .data = to, .type = type, .O = from->O, .I = from->I };
  const int groups = weight_groups (w.I), N = type == WEIGHT_INT8 ? 128 : 8, half = WEIGHT_GROUP / 2;
  const size_t row_bytes = weight_row_bytes (&w), code_bytes = weight_code_bytes (type, w.I);

  for (int o = first; o < first + n; o++) {
    uint8_t *codes = (uint8_t *) to + o * row_bytes;
    uint16_t *scales = (uint16_t *) (codes + code_bytes);

    memset (scales, 0, row_bytes - code_bytes);
    for (int g = 0; g < groups; g++) {
      int8_t code[WEIGHT_GROUP];
      Group group;

      load_group (&group, from, o, g * WEIGHT_GROUP);
      scales[g] = group_scale (&group, N);
      group_codes (code, &group, scales[g], N);
      if (type == WEIGHT_INT8)
        memcpy (codes + g * WEIGHT_GROUP, code, WEIGHT_GROUP);
      else
        for (int j = 0; j < half; j++)
          codes[g * half + j] = (code[j] + 8) | (code[j + half] + 8) << 4;
    }
  }
}
