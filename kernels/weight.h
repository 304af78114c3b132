/* dsvl2: matrices of weights: their formats, and how they are made smaller
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_WEIGHT_H
#define DSVL2_WEIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A matrix of O rows of I: y = x · wᵀ. F32, F16 and BF16 are dense; on the CPU `data` may be a mapped file:
 * aligned to the element, not to more.
 *
 * INT8 and INT4 have a code for each number and a scale in bf16 for each group of WEIGHT_GROUP inputs of a
 * row:
 *   w[o, i] = code · scale    −128 ≤ code ≤ 127, or −8 ≤ code ≤ 7
 * which is exact in f32. The last group is filled up with codes 0. A row is its codes, then its scales, then
 * zeros up to a multiple of 16 bytes; codes, scales and rows are 16-byte aligned. Of INT8 a code is an
 * int8_t. Of INT4 byte j of a group's 16 has code + 8 of input j in its low half, of input j + 16 in its high
 * one. */
typedef enum { WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16, WEIGHT_INT8, WEIGHT_INT4 } WeightType;

enum { WEIGHT_GROUP = 32 };

typedef struct {
  const void *data;
  WeightType type;
  int O, I;
} Weight;

static inline bool
weight_quantised (const Weight *w)
{
  return w->type == WEIGHT_INT8 || w->type == WEIGHT_INT4;
}

/* Bytes of a number of a type that is dense; of a quantised one, what its rows are aligned to. */
static inline size_t
weight_type_size (WeightType type)
{
  static const uint8_t sizes[] = { 4, 2, 2, 16, 16 };

  return sizes[type];
}

static inline int
weight_groups (int I)
{
  return (I + WEIGHT_GROUP - 1) / WEIGHT_GROUP;
}

/* Bytes from the start of a quantised row to its scales. */
static inline size_t
weight_code_bytes (WeightType type, int I)
{
  return (size_t) weight_groups (I) * (type == WEIGHT_INT8 ? WEIGHT_GROUP : WEIGHT_GROUP / 2);
}

static inline size_t
weight_row_bytes (const Weight *w)
{
  if (weight_quantised (w))
    return weight_code_bytes (w->type, w->I) +
           (weight_groups (w->I) * sizeof (uint16_t) + 15) / 16 * 16;
  return w->I * weight_type_size (w->type);
}

static inline size_t
weight_bytes (const Weight *w)
{
  return w->O * weight_row_bytes (w);
}

/* --- numbers ------------------------------------------------------------------------------------- */

static inline float
f32_of_bits (uint32_t bits)
{
  union {
    uint32_t u;
    float f;
  } v = { bits };
  return v.f;
}

static inline float
f32_of_bf16 (uint16_t h)
{
  return f32_of_bits ((uint32_t) h << 16);
}

static inline float
f32_of_f16 (uint16_t h)
{
  const uint32_t sign = (uint32_t) (h & 0x8000) << 16, rest = h & 0x7fff;

  if (rest >= 0x7c00) /* infinity, NaN */
    return f32_of_bits (sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest >= 0x400)
    return f32_of_bits (sign | ((rest << 13) + (112u << 23)));
  return (sign ? -1 : 1) * (float) rest * 0x1p-24f; /* zero, subnormal */
}

static inline int
weight_code (WeightType type, const uint8_t *codes, int i)
{
  const int group = i / WEIGHT_GROUP, j = i % WEIGHT_GROUP, half = WEIGHT_GROUP / 2;

  if (type == WEIGHT_INT8)
    return ((const int8_t *) codes)[i];
  return (codes[group * half + j % half] >> (j < half ? 0 : 4) & 15) - 8;
}

/* w[o, i] */
static inline float
weight_at (const Weight *w, int o, int i)
{
  const uint8_t *row = (const uint8_t *) w->data + o * weight_row_bytes (w);
  const uint16_t *scales;

  switch (w->type) {
    case WEIGHT_INT8:
    case WEIGHT_INT4:
      scales = (const uint16_t *) (row + weight_code_bytes (w->type, w->I));
      return weight_code (w->type, row, i) * f32_of_bf16 (scales[i / WEIGHT_GROUP]);
    case WEIGHT_F16:
      return f32_of_f16 (((const uint16_t *) row)[i]);
    case WEIGHT_BF16:
      return f32_of_bf16 (((const uint16_t *) row)[i]);
    default:
      return ((const float *) row)[i];
  }
}

/* --- quantising ---------------------------------------------------------------------------------- */

/* weight_quantise: rows first … first + n − 1 of `from`, which is dense, into the same rows of `to`, a whole
 * matrix of `type` (INT8 or INT4). With N = 128 or 8, a group's scale is the smallest number of bf16 for which
 *   −N · scale ≤ w ≤ (N − ½) · scale
 * holds for all of the group; it is negative where the largest |w| is positive, so that this one gets the code
 * that has no opposite. A code is w / scale in f32, rounded to nearest (ties to even), at most N − 1. So
 *   |w − code · scale| ≤ |scale| / 2
 * up to f32's rounding, for |w| ≤ 2¹²⁷. A group of zeros has scale 0; one that has an infinity or NaN becomes
 * NaN. */
void weight_quantise (void *to, const Weight *from, WeightType type, int first, int n);

#endif
