/* dsvl2: cases of linear and linear_heads
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <math.h>

static const char *const type_names[] = { "f32", "f16", "bf16", "int8", "int4" };

typedef struct {
  int T, I, O;
  WeightType type;
  bool bias;
  unsigned epilogue;
  double rtol;
  Spread spread;
} LinearCase;

/* clang-format off */
static const LinearCase linear_cases[] = {
  /* T     I     O  weights      bias    epilogue       rtol */
  {  1, 1280,  896, WEIGHT_BF16, false, 0,             2e-6 }, /* an expert, decoding */
  {  1, 6848, 1280, WEIGHT_BF16, false, EPI_ADD,       4e-6 }, /* a dense layer's way down, decoding */
  {  1, 1280, 3001, WEIGHT_BF16, false, 0,             2e-6 }, /* some of the vocabulary */
  {  1,    1,    1, WEIGHT_F32,  true,  0,             1e-6 },
  {  2,   15,    3, WEIGHT_F16,  true,  EPI_GELU_ERF,  2e-6 },
  {  3,   16,   17, WEIGHT_BF16, true,  EPI_GELU_TANH, 2e-6 },
  {  4,   31,   33, WEIGHT_F32,  false, EPI_ADD,       1e-6 },
  {  5,   32,    7, WEIGHT_F16,  true,  0,             1e-6 },
  {  6,   33,   19, WEIGHT_BF16, true,  EPI_ADD | EPI_GELU_ERF, 2e-6 },
  {  7,   33,    5, WEIGHT_F32,  true,  EPI_ADD,       1e-6 }, /* tails in every dimension */
  {  8,   48,   64, WEIGHT_BF16, false, 0,             1e-6 },
  { 11,   65,   23, WEIGHT_F16,  false, EPI_GELU_TANH, 2e-6 },
  { 13,  588,   77, WEIGHT_F32,  true,  0,             2e-6 }, /* the patches' embedding */
  { 16, 1279,  101, WEIGHT_BF16, false, 0,             2e-6 },
  { 29,  257,  131, WEIGHT_F16,  true,  EPI_GELU_ERF,  2e-6 },
  { 31, 1152,  259, WEIGHT_BF16, true,  EPI_GELU_TANH, 3e-6 }, /* SigLIP's fc1, some of it */
  { 33, 4304,   97, WEIGHT_BF16, true,  EPI_ADD,       3e-6 }, /* fc2 */
  { 47,12289,   19, WEIGHT_F32,  false, 0,             4e-6 },
  {729,   72,  161, WEIGHT_BF16, true,  0,             2e-6 },
  {730,   37,   67, WEIGHT_F32,  true,  EPI_ADD,       2e-6 },
  { 17,   70,   45, WEIGHT_BF16, false, 0,             0,    ZEROS },
  { 17,   70,   45, WEIGHT_F32,  true,  EPI_GELU_TANH, 2e-6, LARGE },
  { 17,   70,   45, WEIGHT_F16,  true,  EPI_GELU_ERF,  2e-6, LARGE },
  { 17,   70,   45, WEIGHT_BF16, false, EPI_GELU_TANH, 1e-6, TINY },
  { 17,   70,   45, WEIGHT_F32,  true,  EPI_GELU_ERF,  1e-6, TINY },
  { 21,   70,   45, WEIGHT_BF16, true,  EPI_GELU_ERF,  2e-6, SOME_NAN },
  {  1, 1279,  300, WEIGHT_BF16, true,  0,             2e-6, BF16 },
  {150, 2593,  101, WEIGHT_BF16, false, EPI_ADD,       4e-6, BF16 },
  {  8, 1280,  100, WEIGHT_BF16, true,  EPI_GELU_ERF,  2e-6, BF16 }, /* one tile of rows on CUDA */
  { 11,  264,   31, WEIGHT_BF16, true,  EPI_ADD,       2e-6, BF16 }, /* two; a slice that is short, empty ones */
  { 17,   96,   64, WEIGHT_BF16, false, EPI_GELU_TANH, 2e-6, BF16 }, /* rows rounded first */
  { 70, 1000,  130, WEIGHT_BF16, true,  EPI_ADD | EPI_GELU_TANH, 3e-6, BF16 }, /* several tiles, a chunk's tail */
  { 65,  588,   72, WEIGHT_BF16, true,  0,             2e-6, BF16 }, /* the patches' embedding: unaligned */
  { 21,   70,   45, WEIGHT_F16,  true,  EPI_GELU_TANH, 2e-6, SOME_NAN },
};
/* clang-format on */

/* clang-format off */
static const LinearCase quantised_cases[] = {
  /* T     I     O  weights      bias    epilogue       rtol */
  {  1, 1280,  896, WEIGHT_INT8, false, 0,             2e-6 }, /* an expert, decoding */
  {  1, 1280,  896, WEIGHT_INT4, false, 0,             2e-6 },
  {  1, 6848, 1280, WEIGHT_INT8, false, EPI_ADD,       4e-6 }, /* a dense layer's way down, decoding */
  {  1, 6848, 1280, WEIGHT_INT4, false, EPI_ADD,       4e-6 },
  {  1,    1,    1, WEIGHT_INT8, true,  0,             1e-6 },
  {  1,    1,    1, WEIGHT_INT4, true,  0,             1e-6 },
  {  2,   15,    3, WEIGHT_INT8, true,  EPI_GELU_ERF,  2e-6, BF16 }, /* a group that is not full */
  {  2,   17,    3, WEIGHT_INT4, true,  EPI_GELU_TANH, 2e-6 }, /* … nor is its second half */
  {  3,   32,   17, WEIGHT_INT4, false, EPI_ADD,       1e-6 }, /* one group */
  {  4,   33,   31, WEIGHT_INT8, true,  0,             1e-6 },
  {  5,   64,    7, WEIGHT_INT4, true,  EPI_GELU_ERF,  2e-6 },
  {  6,  257,   19, WEIGHT_INT8, true,  EPI_ADD | EPI_GELU_TANH, 2e-6 },
  {  7,  264,    5, WEIGHT_INT4, true,  EPI_ADD,       1e-6 }, /* scales that end inside 16 bytes */
  { 11, 1000,   23, WEIGHT_INT8, false, 0,             2e-6 },
  { 16, 1287,  101, WEIGHT_INT4, false, 0,             2e-6 },
  { 16, 2593,   50, WEIGHT_INT8, true,  0,             4e-6 }, /* several chunks of the CPU's, and a tail */
  { 17, 1279,  101, WEIGHT_INT8, false, EPI_ADD,       2e-6 }, /* many rows */
  { 33, 1408,   97, WEIGHT_INT4, true,  EPI_ADD,       3e-6 },
  { 70, 1000,  130, WEIGHT_INT8, true,  EPI_ADD | EPI_GELU_TANH, 3e-6 },
  {150, 2593,  101, WEIGHT_INT4, false, EPI_ADD,       4e-6 },
  {  9,   70,   45, WEIGHT_INT8, false, 0,             0,    ZEROS },
  { 17,   70,   45, WEIGHT_INT4, false, 0,             0,    ZEROS },
  {  5,   70,   45, WEIGHT_INT4, true,  EPI_GELU_TANH, 2e-6, LARGE },
  { 17,   70,   45, WEIGHT_INT8, true,  EPI_GELU_ERF,  2e-6, LARGE },
  {  5,   70,   45, WEIGHT_INT8, false, EPI_GELU_TANH, 1e-6, TINY },
  { 17,   70,   45, WEIGHT_INT4, true,  EPI_GELU_ERF,  1e-6, TINY },
  { 21,   70,   45, WEIGHT_INT8, true,  EPI_GELU_ERF,  2e-6, SOME_NAN },
  {  5,   70,   45, WEIGHT_INT4, true,  EPI_GELU_ERF,  2e-6, SOME_NAN },
  {  8, 1280,  100, WEIGHT_INT4, true,  EPI_GELU_ERF,  2e-6, BF16 }, /* one tile of rows on CUDA, five groups a slice */
  {  8, 1280,  100, WEIGHT_INT8, false, EPI_ADD,       2e-6, BF16 },
  { 11,  264,   31, WEIGHT_INT8, true,  EPI_ADD,       2e-6, BF16 }, /* two; a slice that is short, empty ones */
  { 11,  264,   31, WEIGHT_INT4, false, 0,             2e-6, BF16 },
  {  3,  588,   72, WEIGHT_INT4, true,  0,             2e-6, BF16 }, /* rows at odd addresses, half of a last group */
  { 17,   32,   64, WEIGHT_INT8, false, EPI_GELU_TANH, 2e-6, BF16 }, /* rows rounded first; half a stage */
  { 17,   40,   64, WEIGHT_INT4, false, EPI_GELU_TANH, 2e-6, BF16 }, /* a stage that ends with zeros */
  { 70, 1000,  130, WEIGHT_INT4, true,  EPI_ADD | EPI_GELU_TANH, 3e-6, BF16 }, /* tiles that are not full */
  { 70, 1000,  130, WEIGHT_INT8, true,  EPI_ADD | EPI_GELU_TANH, 3e-6, BF16 },
  { 65, 1099,   72, WEIGHT_INT8, true,  0,             2e-6, BF16 }, /* unaligned, slices of odd numbers of groups */
  { 65, 1099,   72, WEIGHT_INT4, true,  0,             2e-6, BF16 },
};
/* clang-format on */

/* A number rounded to bf16 is off by up to 2⁻⁸ of itself, in either direction. */
static double
tolerance (const Run *r, WeightType type, Spread x, double rtol)
{
  return run_rounds (r, type) && x != BF16 && rtol > 0 ? 6e-3 : rtol;
}

static void
run_product_case (Run *r, const LinearCase *c)
{
  const int T = c->T, I = c->I, O = c->O;
  Ops *k = run_ops (r);
  const float *x = run_floats (r, (size_t) T * I, c->spread);
  const float *bias = c->bias ? run_floats (r, O, c->spread == SOME_NAN ? NORMAL : c->spread) : NULL;
  const Weight w = run_weight (r, c->type, O, I, c->spread == ZEROS ? ZEROS : NORMAL);
  float *y = run_output (r, T, O, c->spread == SOME_NAN ? NORMAL : c->spread);

  run_case (r, tolerance (r, c->type, c->spread, c->rtol), "T=%d I=%d O=%d %s%s%s%s%s", T, I, O,
      type_names[c->type], c->bias ? " bias" : "", c->epilogue & EPI_GELU_TANH ? " tanh" : "",
      c->epilogue & EPI_GELU_ERF ? " erf" : "", c->epilogue & EPI_ADD ? " add" : "");
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
      k->linear (k, y + (size_t) t * O, x + (size_t) t * I, &w, bias, n, c->epilogue);
}

static void
run_linear (Run *r, int i)
{
  run_product_case (r, &linear_cases[i]);
}

static void
run_quantised (Run *r, int i)
{
  run_product_case (r, &quantised_cases[i]);
}

/* --- tiles --------------------------------------------------------------------------------------- */

typedef struct {
  int N, P, I, O; /* tiles, rows of each */
  WeightType type;
  bool bias;
  unsigned epilogue;
  double rtol;
  Spread spread;
} TilesCase;

/* What a library makes of tanh is its own business. */
static const double gelu_rtol = 1e-3;

/* clang-format off */
static const TilesCase tiles_cases[] = {
  /* N   P     I    O  weights      bias    epilogue       rtol */
  {  1, 64, 1152, 129, WEIGHT_BF16, true,  0,             2e-6, BF16 }, /* qkv, some of it; an odd width */
  {  2, 49,  152,  96, WEIGHT_BF16, true,  EPI_ADD,       2e-6, BF16 }, /* proj; a batch that fits the workspace */
  {  5, 49,  152,  96, WEIGHT_BF16, true,  EPI_ADD,       2e-6, BF16 }, /* … and one that does not */
  {  2, 49,  152,  48, WEIGHT_BF16, true,  0,             2e-6, BF16 }, /* asked for two the stand-in would choose another algorithm */
  {  3, 25,  152, 264, WEIGHT_BF16, true,  EPI_GELU_TANH, 3e-6, BF16 }, /* fc1 */
  {  3, 25,  152, 264, WEIGHT_BF16, false, EPI_GELU_TANH, 3e-6, BF16 },
  {  3, 25, 1076,  72, WEIGHT_BF16, false, EPI_ADD,       3e-6, BF16 }, /* fc2; rows of 8 bytes' multiples */
  {  4, 16,  588,  72, WEIGHT_BF16, true,  0,             2e-6, BF16 }, /* the patches' embedding */
  {  3, 49,  147,  33, WEIGHT_BF16, true,  0,             2e-6, BF16 }, /* odd everything: no alignment at all */
  {  7,  9,   31,  17, WEIGHT_BF16, false, 0,             2e-6, BF16 },
  {  7,  9,   32,  24, WEIGHT_BF16, true,  0,             2e-6, BF16 }, /* few rows, the smaller algorithm */
  { 37,  4,   64,  40, WEIGHT_BF16, true,  EPI_ADD,       2e-6, BF16 }, /* more tiles than a batch */
  {  4,  1,   64,  40, WEIGHT_BF16, true,  0,             2e-6, BF16 }, /* tiles of one row */
  {  0, 16,   64,  40, WEIGHT_BF16, true,  0,             0 },          /* of nothing */
  {  3, 36,  264,  65, WEIGHT_BF16, true,  EPI_GELU_ERF,  2e-6, BF16 }, /* the projector: our own kernels' */
  {  2, 36,  264,  65, WEIGHT_BF16, true,  EPI_GELU_TANH | EPI_ADD, 2e-6, BF16 },
  {  3, 36,  100,  65, WEIGHT_F16,  true,  0,             2e-6, BF16 },
  {  3, 36,  100,  65, WEIGHT_F32,  true,  EPI_ADD,       2e-6 },
  {  3, 25,  152, 264, WEIGHT_BF16, true,  EPI_GELU_TANH, 3e-6 },
  {  3, 25,   72,  40, WEIGHT_BF16, false, 0,             0,    ZEROS },
  {  3, 25,   72,  40, WEIGHT_BF16, true,  EPI_GELU_TANH, 2e-6, LARGE_BF16 },
  {  3, 25,   72,  40, WEIGHT_BF16, true,  EPI_ADD,       2e-6, SOME_NAN },
};
/* clang-format on */

/* Tiles one by one and by threes, after all of them at once: the same bits. */
static void
run_linear_tiles (Run *r, int i)
{
  const TilesCase *c = &tiles_cases[i];
  const int N = c->N, P = c->P, I = c->I, O = c->O;
  Ops *k = run_ops (r);
  const float *x = run_floats (r, (size_t) N * P * I, c->spread);
  const float *bias = c->bias ? run_floats (r, O, c->spread == SOME_NAN ? NORMAL : c->spread) : NULL;
  const Weight w = run_weight (r, c->type, O, I, c->spread == ZEROS ? ZEROS : NORMAL);
  float *y = run_output (r, N * P, O, c->spread == SOME_NAN ? NORMAL : c->spread);
  double rtol = tolerance (r, c->type, c->spread, c->rtol);

  if (run_in_bf16 (r) && c->epilogue & EPI_GELU_TANH)
    rtol = fmax (rtol, gelu_rtol);
  run_case (r, rtol, "N=%d P=%d I=%d O=%d %s%s%s%s%s", N, P, I, O, type_names[c->type],
      c->bias ? " bias" : "", c->epilogue & EPI_GELU_TANH ? " tanh" : "",
      c->epilogue & EPI_GELU_ERF ? " erf" : "", c->epilogue & EPI_ADD ? " add" : "");
  k->lane (k, LANE_PICTURES);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, N)) > 0; t += n)
      k->linear (k, y + (size_t) t * P * O, x + (size_t) t * P * I, &w, bias, n * P,
          c->epilogue | LINEAR_TILES (P));
  k->lane (k, LANE_STEPS);
  k->pictures_done (k, true);
}

/* --- heads --------------------------------------------------------------------------------------- */

typedef struct {
  int T, H, I, O;
  WeightType type;
  int x_pad, y_pad; /* floats between heads that do not take part */
} HeadsCase;

/* clang-format off */
static const HeadsCase heads_cases[] = {
  /* T  H    I    O  weights      pad */
  {  1, 16, 128, 512, WEIGHT_BF16, 64, 64 }, /* MLA: the query absorbs W_UK, decoding */
  {  1, 16, 512, 128, WEIGHT_BF16, 0,  0 },  /* MLA: the latent to values */
  {  7,  3,  33,  17, WEIGHT_F32,  5,  3 },
  { 19,  2,  64, 129, WEIGHT_F16,  0,  1 },
  { 50,  1,  48,  31, WEIGHT_BF16, 7,  0 },
};
/* clang-format on */

static void
run_linear_heads (Run *r, int i)
{
  const HeadsCase *c = &heads_cases[i];
  const int T = c->T, H = c->H, x_head = c->I + c->x_pad, y_head = c->O + c->y_pad;
  const int x_row = H * x_head, y_row = H * y_head;
  Ops *k = run_ops (r);
  const float *x = run_floats (r, (size_t) T * x_row - c->x_pad, NORMAL);
  const Weight w = run_weight (r, c->type, H * c->O, c->I, NORMAL);
  float *y = run_output (r, T, y_row, NORMAL);

  run_case (r, tolerance (r, c->type, NORMAL, 2e-6), "T=%d H=%d I=%d O=%d %s", T, H, c->I, c->O,
      type_names[c->type]);
  while (run_again (r))
    for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
      k->linear_heads (k, y + (size_t) t * y_row, y_row, y_head, x + (size_t) t * x_row, x_row, x_head,
          &w, H, n);
}

/* --- speed --------------------------------------------------------------------------------------- */

typedef struct {
  int T, I, O;
  WeightType type;
  unsigned epilogue;
  const char *what;
} LinearBench;

/* clang-format off */
static const LinearBench linear_bench[] = {
  {   1, 1280,    896, WEIGHT_BF16, 0, "expert" },
  {   1, 1280,    896, WEIGHT_INT8, 0, "expert" },
  {   1, 1280,    896, WEIGHT_INT4, 0, "expert" },
  {   1, 1280, 129280, WEIGHT_BF16, 0, "vocabulary" },
  {   1, 1280, 129280, WEIGHT_INT8, 0, "vocabulary" },
  {   1, 1280, 129280, WEIGHT_INT4, 0, "vocabulary" },
  {   4, 1280,  16384, WEIGHT_BF16, 0, "draft" },
  {   4, 1280,  16384, WEIGHT_INT8, 0, "draft" },
  {   4, 1280,  16384, WEIGHT_INT4, 0, "draft" },
  {   8, 1280,  16384, WEIGHT_BF16, 0, "draft" },
  {  16, 1280,  16384, WEIGHT_BF16, 0, "cameras" },
  {  16, 1280,  16384, WEIGHT_INT8, 0, "cameras" },
  {  16, 1280,  16384, WEIGHT_INT4, 0, "cameras" },
  { 729, 1152,   3456, WEIGHT_BF16, 0, "qkv" },
  { 729, 1152,   1152, WEIGHT_BF16, 0, "proj" },
  { 729, 1152,   4304, WEIGHT_BF16, EPI_GELU_TANH, "fc1" },
  { 729, 4304,   1152, WEIGHT_BF16, 0, "fc2" },
  { 729, 1280,   6848, WEIGHT_BF16, 0, "dense up" },
  { 729, 1280,   6848, WEIGHT_INT8, 0, "dense up" },
  { 729, 1280,   6848, WEIGHT_INT4, 0, "dense up" },
  { 729, 6848,   1280, WEIGHT_BF16, 0, "dense down" },
};
/* clang-format on */

enum { MAX_COPIES = 128 };

/* Matrices that a cache would keep take turns where the product is bound by memory. */
static void
bench_linear (Run *r, int i)
{
  const LinearBench *b = &linear_bench[i];
  const size_t bytes = weight_bytes (&(Weight){ .type = b->type, .O = b->O, .I = b->I });
  const size_t cold = 1 + 4 * COLD_BYTES / bytes;
  const int copies = b->T > 16 || bytes > COLD_BYTES ? 1 : cold < MAX_COPIES ? cold : MAX_COPIES;
  Ops *k = run_ops (r);
  const float *x = run_floats (r, (size_t) b->T * b->I, NORMAL);
  float *y = run_output (r, b->T, b->O, NORMAL);
  Weight w[MAX_COPIES];

  for (int j = 0; j < copies; j++)
    w[j] = run_weight (r, b->type, b->O, b->I, NORMAL);
  run_case (r, 0, "T=%d I=%d O=%d %s (%s)", b->T, b->I, b->O, type_names[b->type], b->what);
  run_cost (r, 2.0 * b->T * b->I * b->O * copies, b->T <= 16 ? (double) bytes * copies : 0);
  if (b->T > 16)
    run_product (r, b->T, b->I, b->O);
  while (run_again (r))
    for (int j = 0; j < copies; j++)
      k->linear (k, y, x, &w[j], NULL, b->T, b->epilogue);
}

#define COUNT(table) (sizeof table / sizeof table[0])

const OpCheck linear_checks[] = {
  { "linear", run_linear, COUNT (linear_cases), bench_linear, COUNT (linear_bench) },
  { "linear_quantised", run_quantised, COUNT (quantised_cases) },
  { "linear_tiles", run_linear_tiles, COUNT (tiles_cases) },
  { "linear_heads", run_linear_heads, COUNT (heads_cases) },
  { NULL },
};
