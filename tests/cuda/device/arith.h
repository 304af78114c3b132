/* dsvl2: the CUDA stand-in: PTX's arithmetic on one lane
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Approximate instructions (ex2.approx, rsqrt.approx, tanh.approx …) are computed as well as C does it: a
 * GPU's last bits are its own. Names are those of the instructions. */
#ifndef STANDIN_ARITH_H
#define STANDIN_ARITH_H

#include "device.h"

#include <math.h>
#include <string.h>

/* --- bits of floating-point numbers -------------------------------------------------------------- */

static inline float
f32_of_bits (u32 bits)
{
  float f;
  memcpy (&f, &bits, sizeof f);
  return f;
}

static inline u32
bits_of_f32 (float f)
{
  u32 bits;
  memcpy (&bits, &f, sizeof bits);
  return bits;
}

static inline double
f64_of_bits (u64 bits)
{
  double f;
  memcpy (&f, &bits, sizeof f);
  return f;
}

static inline u64
bits_of_f64 (double f)
{
  u64 bits;
  memcpy (&bits, &f, sizeof bits);
  return bits;
}

static inline float
f32_of_bf16 (u16 h)
{
  return f32_of_bits ((u32) h << 16);
}

static inline u16
bf16_of_f32 (float f)
{
  const u32 bits = bits_of_f32 (f);

  return f != f ? 0x7fff : (u16) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline u16
bf16_of_f32_rz (float f)
{
  return f != f ? 0x7fff : (u16) (bits_of_f32 (f) >> 16);
}

static inline float
f32_of_f16 (u16 h)
{
  _Float16 x;
  memcpy (&x, &h, sizeof x);
  return (float) x;
}

static inline u16
f16_of_f32 (float f)
{
  const _Float16 x = (_Float16) f;
  u16 h;

  if (f != f)
    return 0x7fff;
  memcpy (&h, &x, sizeof h);
  return h;
}

/* Rounds to the nearest, ties away from zero, on 10 bits of mantissa. */
static inline u32
tf32_of_f32 (float f)
{
  const u32 bits = bits_of_f32 (f);

  return f != f ? 0x7fffffff : (bits + 0x1000) & ~(u32) 0x1fff;
}

/* Subnormal numbers become zeros of their sign. */
static inline float
ftz (float f)
{
  return fabsf (f) < 0x1p-126f ? copysignf (0, f) : f;
}

/* To 0 … 1, NaN to 0. */
static inline float
sat (float f)
{
  return f > 0 ? f < 1 ? f : 1 : 0;
}

/* --- integers ------------------------------------------------------------------------------------ */

/* Division by zero gives all ones, as GPUs do. */
#define INTEGER_DIVISION(T, LOWEST)                                                                    \
  static inline T div_##T (T a, T b)                                                                   \
  {                                                                                                    \
    if (b == 0)                                                                                        \
      return (T) -1;                                                                                   \
    return LOWEST != 0 && a == LOWEST && b == (T) -1 ? a : a / b;                                      \
  }                                                                                                    \
  static inline T rem_##T (T a, T b)                                                                   \
  {                                                                                                    \
    if (b == 0)                                                                                        \
      return a;                                                                                        \
    return LOWEST != 0 && b == (T) -1 ? 0 : a % b;                                                     \
  }
INTEGER_DIVISION (s16, INT16_MIN)
INTEGER_DIVISION (u16, 0)
INTEGER_DIVISION (s32, INT32_MIN)
INTEGER_DIVISION (u32, 0)
INTEGER_DIVISION (s64, INT64_MIN)
INTEGER_DIVISION (u64, 0)

/* Out of range: the nearest integer. NaN: 0. */
#define INTEGER_OF_FLOAT(T, LOW, HIGH)                                                                 \
  static inline T T##_of_f64 (double x)                                                                \
  {                                                                                                    \
    return x != x ? 0 : x <= (double) (LOW) ? LOW : x >= (double) (HIGH) ? HIGH : (T) x;               \
  }
INTEGER_OF_FLOAT (s8, INT8_MIN, INT8_MAX)
INTEGER_OF_FLOAT (u8, 0, UINT8_MAX)
INTEGER_OF_FLOAT (s16, INT16_MIN, INT16_MAX)
INTEGER_OF_FLOAT (u16, 0, UINT16_MAX)
INTEGER_OF_FLOAT (s32, INT32_MIN, INT32_MAX)
INTEGER_OF_FLOAT (u32, 0, UINT32_MAX)
INTEGER_OF_FLOAT (s64, INT64_MIN, INT64_MAX)
INTEGER_OF_FLOAT (u64, 0, UINT64_MAX)

static inline s64
clamp_s64 (s64 v, s64 low, s64 high)
{
  return v < low ? low : v > high ? high : v;
}

static inline u32
popc_b32 (u32 x)
{
  return __builtin_popcount (x);
}

static inline u32
popc_b64 (u64 x)
{
  return __builtin_popcountll (x);
}

static inline u32
clz_b32 (u32 x)
{
  return x ? __builtin_clz (x) : 32;
}

static inline u32
clz_b64 (u64 x)
{
  return x ? __builtin_clzll (x) : 64;
}

static inline u64
brev_bits (u64 x, int n)
{
  u64 r = 0;

  for (int i = 0; i < n; i++)
    r |= (x >> i & 1) << (n - 1 - i);
  return r;
}

/* Where the highest bit is that differs from the sign; all ones: nowhere. */
static inline u32
bfind_u64 (u64 x)
{
  return x ? 63 - __builtin_clzll (x) : ~(u32) 0;
}

static inline u32
bfind_s64 (s64 x)
{
  return bfind_u64 (x < 0 ? ~x : x);
}

/* Any function of three bits, its truth table in `table`. */
static inline u32
lop3 (u32 a, u32 b, u32 c, u32 table)
{
  u32 r = 0;

  for (int i = 0; i < 8; i++)
    if (table >> i & 1)
      r |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return r;
}

/* Four bytes of a's and b's eight; bit 3 of a selector spreads the byte's sign. */
static inline u32
prmt (u32 a, u32 b, u32 selectors)
{
  const u64 bytes = a | (u64) b << 32;
  u32 r = 0;

  for (int i = 0; i < 4; i++) {
    const u32 s = selectors >> 4 * i;
    u32 byte = bytes >> 8 * (s & 7) & 0xff;

    if (s & 8)
      byte = byte & 0x80 ? 0xff : 0;
    r |= byte << 8 * i;
  }
  return r;
}

static inline u64
bfe_unsigned (u64 a, u32 position, u32 length, u32 width)
{
  position &= 0xff;
  length &= 0xff;
  if (position >= width || length == 0)
    return 0;
  a >>= position;
  return length >= width ? a : a & (((u64) 1 << length) - 1);
}

/* The sign is that of the field's highest bit, or of a's where the field reaches beyond a. */
static inline s64
bfe_signed (s64 a, u32 position, u32 length, u32 width)
{
  u32 top;

  position &= 0xff;
  length &= 0xff;
  if (length == 0)
    return 0;
  top = position + length - 1 < width - 1 ? position + length - 1 : width - 1;
  if (position >= width)
    return a >> (width - 1) & 1 ? -1 : 0;
  return (s64) ((u64) a << (63 - top)) >> (63 - top + position);
}

static inline u64
bfi_bits (u64 a, u64 into, u32 position, u32 length, u32 width)
{
  u64 mask;

  position &= 0xff;
  length &= 0xff;
  if (position >= width || length == 0)
    return into;
  mask = (length >= 64 ? ~(u64) 0 : ((u64) 1 << length) - 1) << position;
  return (into & ~mask) | (a << position & mask);
}

/* Funnel shifts of b:a. */
static inline u32
shf_l_wrap (u32 a, u32 b, u32 n)
{
  n &= 31;
  return n ? b << n | a >> (32 - n) : b;
}

static inline u32
shf_r_wrap (u32 a, u32 b, u32 n)
{
  n &= 31;
  return n ? b << (32 - n) | a >> n : a;
}

static inline u32
shf_l_clamp (u32 a, u32 b, u32 n)
{
  return n >= 32 ? a : shf_l_wrap (a, b, n);
}

static inline u32
shf_r_clamp (u32 a, u32 b, u32 n)
{
  return n >= 32 ? b : shf_r_wrap (a, b, n);
}

/* c + the products of four bytes. */
static inline u32
dp4a (u32 a, u32 b, u32 c, int a_signed, int b_signed)
{
  for (int i = 0; i < 4; i++) {
    const int x = a_signed ? (s8) (a >> 8 * i) : (u8) (a >> 8 * i);
    const int y = b_signed ? (s8) (b >> 8 * i) : (u8) (b >> 8 * i);

    c += (u32) (x * y);
  }
  return c;
}

/* --- floating point ------------------------------------------------------------------------------ */

static inline float
min_nan (float a, float b)
{
  return a != a || b != b ? NAN : fminf (a, b);
}

static inline float
max_nan (float a, float b)
{
  return a != a || b != b ? NAN : fmaxf (a, b);
}

/* a · b + c, rounded once: down (rm), up (rp), to zero (rz). The product is exact in float64, and what the
 * sum loses is known. */
static inline float
fma_rm (float a, float b, float c)
{
  const double product = (double) a * b, sum = product + c, back = sum - product;
  const double lost = (product - (sum - back)) + (c - back);
  const float nearest = (float) sum;

  return nearest > sum || (nearest == sum && lost < 0) ? nextafterf (nearest, -INFINITY) : nearest;
}

static inline float
fma_rp (float a, float b, float c)
{
  return -fma_rm (-a, b, -c);
}

static inline float
fma_rz (float a, float b, float c)
{
  return (double) a * b + c < 0 ? fma_rp (a, b, c) : fma_rm (a, b, c);
}

/* --- shuffles ------------------------------------------------------------------------------------ */

typedef enum { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX } Shuffle;

/* The lane that lane l reads from, its own where there is none (then *valid is 0). */
static inline u32
shfl_source (Shuffle mode, u32 lane, u32 b, u32 c, u8 *valid)
{
  const int l = lane, by = b & 31, clamp = c & 31, segment = c >> 8 & 31;
  const int lowest = l & segment, highest = lowest | (clamp & ~segment);
  int from = l;

  switch (mode) {
    case SHFL_UP:
      from = l - by;
      *valid = from >= highest;
      break;
    case SHFL_DOWN:
      from = l + by;
      *valid = from <= highest;
      break;
    case SHFL_BFLY:
      from = l ^ by;
      *valid = from <= highest;
      break;
    case SHFL_IDX:
      from = lowest | (by & ~segment);
      *valid = from <= highest;
      break;
  }
  return *valid ? from : l;
}

#endif
