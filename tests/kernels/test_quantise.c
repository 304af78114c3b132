/* dsvl2: what becomes of a matrix that is quantised
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each case is a matrix of random numbers, some of them put in by hand. Checked are the bound of the error,
 * that no smaller scale would do, the layout, and that rows can be made in any pieces. */
#include "kernels/weight.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the numbers are like. */
typedef enum {
  RANDOM,
  ALL_ZERO,
  ONE_LARGE, /* in each group */
  POSITIVE,
  EQUAL,
  HUGE_ONES, /* up to 2¹²⁷ */
  SUBNORMAL,
  NOT_FINITE, /* in the first group of every row */
  TIES,       /* halfway between two codes */
} Kind;

static const char *const kind_names[] = { "random", "zeros", "one large", "positive", "equal", "huge",
  "subnormal", "not finite", "ties" };
static const char *const type_names[] = { "f32", "f16", "bf16", "int8", "int4" };

static const struct {
  WeightType from, to;
  int O, I;
  Kind kind;
} cases[] = {
  { WEIGHT_BF16, WEIGHT_INT8, 7, 1280, RANDOM },
  { WEIGHT_BF16, WEIGHT_INT4, 7, 1280, RANDOM },
  { WEIGHT_F32, WEIGHT_INT8, 3, 896, RANDOM },
  { WEIGHT_F32, WEIGHT_INT4, 3, 896, RANDOM },
  { WEIGHT_F16, WEIGHT_INT8, 5, 70, RANDOM },
  { WEIGHT_F16, WEIGHT_INT4, 5, 70, RANDOM },
  { WEIGHT_BF16, WEIGHT_INT8, 1, 1, RANDOM },
  { WEIGHT_BF16, WEIGHT_INT4, 1, 1, RANDOM },
  { WEIGHT_BF16, WEIGHT_INT4, 3, 17, RANDOM },
  { WEIGHT_BF16, WEIGHT_INT8, 3, 257, RANDOM }, /* nine groups: a scale more than 16 bytes hold */
  { WEIGHT_BF16, WEIGHT_INT4, 3, 257, RANDOM },
  { WEIGHT_BF16, WEIGHT_INT8, 3, 96, ALL_ZERO },
  { WEIGHT_BF16, WEIGHT_INT4, 3, 96, ALL_ZERO },
  { WEIGHT_BF16, WEIGHT_INT8, 5, 96, ONE_LARGE },
  { WEIGHT_F32, WEIGHT_INT4, 5, 96, ONE_LARGE },
  { WEIGHT_BF16, WEIGHT_INT8, 5, 64, POSITIVE },
  { WEIGHT_BF16, WEIGHT_INT4, 5, 64, POSITIVE },
  { WEIGHT_BF16, WEIGHT_INT8, 2, 64, EQUAL },
  { WEIGHT_F32, WEIGHT_INT4, 2, 64, EQUAL },
  { WEIGHT_F32, WEIGHT_INT8, 3, 64, HUGE_ONES },
  { WEIGHT_BF16, WEIGHT_INT4, 3, 64, HUGE_ONES },
  { WEIGHT_F32, WEIGHT_INT8, 3, 64, SUBNORMAL },
  { WEIGHT_BF16, WEIGHT_INT4, 3, 64, SUBNORMAL },
  { WEIGHT_F32, WEIGHT_INT8, 3, 96, NOT_FINITE },
  { WEIGHT_BF16, WEIGHT_INT4, 3, 96, NOT_FINITE },
  { WEIGHT_F32, WEIGHT_INT8, 1, 32, TIES },
  { WEIGHT_F32, WEIGHT_INT4, 1, 32, TIES },
};

enum { N_CASES = sizeof cases / sizeof cases[0], MOST = 16384 };

static uint64_t state;

/* −1 … 1 */
static double
random_number (void)
{
  state = state * UINT64_C (6364136223846793005) + UINT64_C (1442695040888963407);
  return (double) (state >> 33) / (1u << 30) - 1;
}

static float
make_number (Kind kind, int N, int i)
{
  const double v = random_number ();

  switch (kind) {
    case ALL_ZERO:
      return i % 2 ? 0 : -0.0f;
    case ONE_LARGE:
      return i % WEIGHT_GROUP == 5 ? (v < 0 ? -40 : 40) : v;
    case POSITIVE:
      return fabs (v);
    case EQUAL:
      return i / WEIGHT_GROUP % 2 ? 0.7f : -0.7f;
    case HUGE_ONES:
      return i % 7 == 0 ? (v < 0 ? -0x1p127f : 0x1p127f) : v * 1e38;
    case SUBNORMAL:
      return v * 0x1p-135;
    case NOT_FINITE:
      return i == 3 ? (v < 0 ? NAN : INFINITY) : v;
    case TIES: /* the scale is 1 */
      return i == 0 ? -N : i % (2 * N - 1) - N + 0.5f;
    default:
      return v;
  }
}

/* The number as `type` has it, without its last bits. */
static void
put (void *data, WeightType type, size_t i, float v)
{
  uint32_t bits;

  memcpy (&bits, &v, sizeof bits);
  if (type == WEIGHT_F32)
    ((float *) data)[i] = v;
  else if (type == WEIGHT_BF16)
    ((uint16_t *) data)[i] = bits >> 16;
  else
    ((uint16_t *) data)[i] =
        (bits >> 16 & 0x8000) | (v == 0 ? 0 : (bits >> 13 & 0x3ffff) - (112 << 10));
}

static float
scale_of (const Weight *w, int o, int group)
{
  const char *row = (const char *) w->data + o * weight_row_bytes (w);

  return f32_of_bf16 (((const uint16_t *) (row + weight_code_bytes (w->type, w->I)))[group]);
}

/* Does every number of the group fit if the scale's size is that? */
static bool
fits (const Weight *from, int o, int group, double scale, int N)
{
  double low = 0, high = 0;

  for (int i = group * WEIGHT_GROUP; i < from->I && i < (group + 1) * WEIGHT_GROUP; i++) {
    low = fmin (low, weight_at (from, o, i));
    high = fmax (high, weight_at (from, o, i));
  }
  return fmax (-low, high) <= N * scale && fmin (-low, high) <= (N - 0.5) * scale;
}

/* The largest error of a group in parts of its scale; what is wrong, or NULL. */
static const char *
check_group (const Weight *from, const Weight *to, int o, int group, double *error)
{
  const int N = to->type == WEIGHT_INT8 ? 128 : 8;
  const uint8_t *codes = (const uint8_t *) to->data + o * weight_row_bytes (to);
  const float scale = scale_of (to, o, group);
  uint32_t bits;
  bool finite = true;

  for (int i = group * WEIGHT_GROUP; i < (group + 1) * WEIGHT_GROUP; i++) {
    const int code = weight_code (to->type, codes, i);

    if (code < -N || code > N - 1)
      return "a code is out of range";
    if (i >= from->I) {
      if (code != 0)
        return "the group is not filled up with zeros";
      continue;
    }
    finite = finite && isfinite (weight_at (from, o, i));
    if (scale != 0) {
      const double e = fabs (((double) weight_at (from, o, i) - weight_at (to, o, i)) / scale);

      if (e == 0.5 && code % 2 != 0 && code < N - 1)
        return "a tie is not rounded to even";
      *error = fmax (*error, e);
    }
    if (scale == 0 && weight_at (from, o, i) != 0)
      return "a number was lost";
  }
  if (!finite)
    return isnan (scale) ? NULL : "what is not finite did not become NaN";
  memcpy (&bits, &scale, sizeof bits);
  if (!fits (from, o, group, fabs (scale), N))
    return "the scale is too small";
  if (scale != 0 && fits (from, o, group, f32_of_bits ((bits & 0x7fff0000) - 0x10000), N))
    return "a smaller scale would do";
  return NULL;
}

/* What is wrong with the matrix, or NULL. */
static const char *
check_matrix (const Weight *from, const Weight *to, double *error)
{
  const int groups = weight_groups (to->I);

  for (int o = 0; o < to->O; o++) {
    const uint8_t *row = (const uint8_t *) to->data + o * weight_row_bytes (to);

    for (int g = 0; g < groups; g++) {
      const char *wrong = check_group (from, to, o, g, error);

      if (wrong)
        return wrong;
    }
    for (size_t i = weight_code_bytes (to->type, to->I) + groups * 2; i < weight_row_bytes (to); i++)
      if (row[i] != 0)
        return "a row does not end with zeros";
  }
  /* Exact but for the quotient, of a relative error of 2⁻²⁴, and numbers of f32 that have more bits. */
  return *error <= 0.5 + 0x1p-16 ? NULL : "the error is too large";
}

static bool
run_case (int n)
{
  static _Alignas(16) uint8_t source[4 * MOST], whole[2 * MOST], pieces[2 * MOST];
  const Weight from = { source, cases[n].from, cases[n].O, cases[n].I };
  const Weight to = { whole, cases[n].to, cases[n].O, cases[n].I };
  const char *wrong;
  double error = 0;

  state = n;
  for (int o = 0; o < from.O; o++)
    for (int i = 0; i < from.I; i++)
      put (source, from.type, (size_t) o * from.I + i,
          make_number (cases[n].kind, to.type == WEIGHT_INT8 ? 128 : 8, i));
  memset (whole, 0xa5, sizeof whole);
  memset (pieces, 0xa5, sizeof pieces);
  weight_quantise (whole, &from, to.type, 0, to.O);
  for (int o = to.O - 1; o >= 0; o--)
    weight_quantise (pieces, &from, to.type, o, 1);

  wrong = check_matrix (&from, &to, &error);
  if (!wrong && memcmp (whole, pieces, sizeof whole) != 0)
    wrong = "row by row it is another";
  if (!wrong && whole[weight_bytes (&to)] != 0xa5)
    wrong = "something was written past the end";
  if (!wrong && weight_row_bytes (&to) % 16 != 0)
    wrong = "rows are not aligned";
  printf ("%s %d - %s of %s, %d x %d, %s: %zu bytes, off by up to %.4f of a scale%s%s\n",
      wrong ? "not ok" : "ok", n + 1, type_names[to.type], type_names[from.type], to.O, to.I,
      kind_names[cases[n].kind], weight_bytes (&to), error, wrong ? ": " : "", wrong ? wrong : "");
  return !wrong;
}

int
main (void)
{
  int failed = 0;

  printf ("1..%d\n", (int) N_CASES);
  for (int n = 0; n < N_CASES; n++)
    failed += !run_case (n);
  return failed > 0;
}
