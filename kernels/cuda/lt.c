/* dsvl2: products of pictures' rows by cuBLASLt, loaded at run time
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The engine says of rows that they are whole tiles (LINEAR_TILES). The library's heuristic is asked once for each shape
 * of one tile; N tiles are then N products of that shape by that one algorithm, as one batch where the library agrees,
 * else one after another. So what a tile's rows become does not depend on the others. Column-major, as the library sees
 * it, y [P, O] is O × P and w [O, I] is I × O: y = wᵀ x. */
#include "cuda.h"
#include "library.h"

#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first version of its soname. */
static const Library lt_library = { "libcublasLt.so.13", "cuBLASLt", "cuBLAS 13 or newer", 130000 };

/* The functions that we call. */
#define LT_FUNCTIONS(F)                                                                                \
  F (cublasLtGetVersion)                                                                               \
  F (cublasLtGetStatusName)                                                                            \
  F (cublasLtCreate)                                                                                   \
  F (cublasLtDestroy)                                                                                  \
  F (cublasLtMatmulDescCreate)                                                                         \
  F (cublasLtMatmulDescDestroy)                                                                        \
  F (cublasLtMatmulDescSetAttribute)                                                                   \
  F (cublasLtMatrixLayoutCreate)                                                                       \
  F (cublasLtMatrixLayoutDestroy)                                                                      \
  F (cublasLtMatrixLayoutSetAttribute)                                                                 \
  F (cublasLtMatmulPreferenceCreate)                                                                   \
  F (cublasLtMatmulPreferenceDestroy)                                                                  \
  F (cublasLtMatmulPreferenceSetAttribute)                                                             \
  F (cublasLtMatmulAlgoGetHeuristic)                                                                   \
  F (cublasLtMatmulAlgoCheck)                                                                          \
  F (cublasLtMatmul)

enum {
  LT_WORKSPACE = 32 << 20, /* bytes; what NVIDIA recommends for sm_90 */
  LT_ALIGNMENT = 16,       /* bytes: no load or store of an algorithm is wider */
  LT_SHAPES = 64,          /* a model has seven */
  LT_TILES = 32,           /* of one batch */
  LT_BIAS = 1 << 7,        /* in a plan's epilogue: with a bias */
};

/* How one shape is multiplied. */
typedef struct {
  int I, O, P;           /* inputs, outputs, rows of a tile */
  unsigned epilogue;     /* EPI_…, LT_BIAS */
  bool works;            /* else our own kernels do it */
  uint32_t asked, takes; /* bit N: does the algorithm take a batch of N + 1 tiles? */
  int N;                 /* tiles that the layouts are set to */
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t w, x, y;
  cublasLtMatmulAlgo_t algo;
} LtPlan;

struct _Lt {
#define LT_MEMBER(name) __typeof__ (name) *name;
  LT_FUNCTIONS (LT_MEMBER)
#undef LT_MEMBER
  cublasLtHandle_t handle;
  Buffer workspace; /* one lane's */
  LtPlan plan[LT_SHAPES];
  int n_plans;
  char message[OPS_MESSAGE]; /* the first thing that failed since it was empty */
  void (*own) (Ops *k, float *y, const float *x, const Weight *w, const float *bias, int T,
      unsigned epilogue);
};

/* --- the library --------------------------------------------------------------------------------- */

static bool
load (Lt *t)
{
#define LT_ENTRY(name) LIBRARY_FUNCTION (t, name),
  const LibraryFunction functions[] = { LT_FUNCTIONS (LT_ENTRY) };
#undef LT_ENTRY

  return library_load (&lt_library, functions, sizeof functions / sizeof functions[0], t->message);
}

/* Keeps the first failure as a sentence: `what` could not be done. */
static bool
check (Lt *t, cublasStatus_t status, const char *what)
{
  if (status != CUBLAS_STATUS_SUCCESS && t->message[0] == '\0')
    snprintf (t->message, sizeof t->message, "cuBLASLt could not %s: %.60s", what,
        t->cublasLtGetStatusName (status));
  return status == CUBLAS_STATUS_SUCCESS;
}

/* --- planning ------------------------------------------------------------------------------------ */

static bool
describe_product (Lt *t, LtPlan *p, const float *bias)
{
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const bool gelu = p->epilogue & EPI_GELU_TANH;
  const cublasLtEpilogue_t epilogue =
      bias ? (gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
           : (gelu ? CUBLASLT_EPILOGUE_GELU : CUBLASLT_EPILOGUE_DEFAULT);

#define SET(name, value)                                                                               \
  check (t, t->cublasLtMatmulDescSetAttribute (p->product, name, &(value), sizeof (value)),            \
      "describe a product")
  return check (t, t->cublasLtMatmulDescCreate (&p->product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
             "describe a product") &&
         SET (CUBLASLT_MATMUL_DESC_TRANSA, transposed) &&
         SET (CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue) &&
         (!bias || SET (CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)); /* its alignment counts */
#undef SET
}

/* A matrix; the next tile's is `stride` elements on. */
static bool
describe_matrix (Lt *t, cublasLtMatrixLayout_t *m, cudaDataType type, int rows, int columns,
    int64_t stride)
{
  return check (t, t->cublasLtMatrixLayoutCreate (m, type, rows, columns, rows), "describe a matrix") &&
         check (t,
             t->cublasLtMatrixLayoutSetAttribute (*m, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                 &stride, sizeof stride),
             "describe a matrix");
}

static bool
describe (Lt *t, LtPlan *p, const float *bias)
{
  return describe_product (t, p, bias) && describe_matrix (t, &p->w, CUDA_R_16BF, p->I, p->O, 0) &&
         describe_matrix (t, &p->x, CUDA_R_16BF, p->I, p->P, (int64_t) p->P * p->I) &&
         describe_matrix (t, &p->y, CUDA_R_32F, p->O, p->P, (int64_t) p->P * p->O);
}

/* What both the first tile's address, which has LT_ALIGNMENT, and the next one's are a multiple of. */
static uint32_t
alignment_of (size_t tile_bytes)
{
  const size_t lowest = tile_bytes & -tile_bytes;

  return lowest < LT_ALIGNMENT ? lowest : LT_ALIGNMENT;
}

/* The heuristic's first choice for one tile. An algorithm that splits a sum and reduces it may do so as the number of
 * products asks for; those are masked out. */
static bool
choose (Lt *t, LtPlan *p, cublasLtMatmulPreference_t preference)
{
  const uint64_t workspace = LT_WORKSPACE;
  const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE, of_w = LT_ALIGNMENT;
  const uint32_t of_x = alignment_of ((size_t) p->P * p->I * sizeof (uint16_t));
  const uint32_t of_y = alignment_of ((size_t) p->P * p->O * sizeof (float));
  cublasLtMatmulHeuristicResult_t best;
  int n = 0;

#define SET(name, value)                                                                               \
  check (t, t->cublasLtMatmulPreferenceSetAttribute (preference, name, &(value), sizeof (value)),      \
      "set a preference")
  if (!SET (CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace) ||
      !SET (CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes) ||
      !SET (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, of_w) ||
      !SET (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of_x) ||
      !SET (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, of_y) ||
      !SET (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, of_y) ||
      !check (t,
          t->cublasLtMatmulAlgoGetHeuristic (t->handle, p->product, p->w, p->x, p->y, p->y, preference,
              1, &best, &n),
          "choose an algorithm"))
    return false;
#undef SET
  if (n < 1 || best.state != CUBLAS_STATUS_SUCCESS || best.workspaceSize > LT_WORKSPACE)
    return false;
  p->algo = best.algo;
  p->N = 1;
  p->asked = p->takes = 1;
  return true;
}

static void
plan_clear (Lt *t, LtPlan *p)
{
  for (cublasLtMatrixLayout_t *m = (cublasLtMatrixLayout_t[]){ p->w, p->x, p->y, NULL }; *m; m++)
    t->cublasLtMatrixLayoutDestroy (*m);
  if (p->product)
    t->cublasLtMatmulDescDestroy (p->product);
  p->w = p->x = p->y = NULL;
  p->product = NULL;
}

/* Where it fails the shape is our own kernels' from then on: a row's bits must not change between two pictures. */
static void
make_plan (Lt *t, LtPlan *p, const float *bias)
{
  cublasLtMatmulPreference_t preference = NULL;

  p->works = describe (t, p, bias) &&
             check (t, t->cublasLtMatmulPreferenceCreate (&preference), "set a preference") &&
             choose (t, p, preference);
  if (preference)
    t->cublasLtMatmulPreferenceDestroy (preference);
  if (!p->works)
    plan_clear (t, p);
}

/* NULL where our own kernels have to do it. */
static LtPlan *
plan_for (Lt *t, const Weight *w, const float *bias, int P, unsigned epilogue)
{
  LtPlan *p;

  for (p = t->plan; p < t->plan + t->n_plans; p++)
    if (p->I == w->I && p->O == w->O && p->P == P && p->epilogue == epilogue)
      return p->works ? p : NULL;
  if (t->n_plans == LT_SHAPES)
    return NULL;
  t->n_plans++;
  *p = (LtPlan){ .I = w->I, .O = w->O, .P = P, .epilogue = epilogue };
  make_plan (t, p, bias);
  return p->works ? p : NULL;
}

/* --- multiplying --------------------------------------------------------------------------------- */

static bool
set_tiles (Lt *t, LtPlan *p, int N)
{
  const int32_t count = N;

  if (p->N == N)
    return true;
  p->N = 0; /* neither, where it fails half way */
  for (cublasLtMatrixLayout_t *m = (cublasLtMatrixLayout_t[]){ p->w, p->x, p->y, NULL }; *m; m++)
    if (!check (t,
            t->cublasLtMatrixLayoutSetAttribute (*m, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                sizeof count),
            "set a number of tiles"))
      return false;
  p->N = N;
  return true;
}

/* May the plan's algorithm multiply N tiles at once? The library is asked the first time. */
static bool
takes_tiles (Lt *t, LtPlan *p, int N)
{
  const uint32_t bit = UINT32_C (1) << (N - 1);
  cublasLtMatmulHeuristicResult_t result = { 0 };

  if (!(p->asked & bit)) {
    p->asked |= bit;
    if (set_tiles (t, p, N) &&
        check (t,
            t->cublasLtMatmulAlgoCheck (t->handle, p->product, p->w, p->x, p->y, p->y, &p->algo,
                &result),
            "take tiles together") &&
        result.workspaceSize <= LT_WORKSPACE)
      p->takes |= bit;
    t->message[0] = '\0'; /* it does them one by one */
  }
  return p->takes & bit;
}

static bool
multiply (Cuda *c, LtPlan *p, float *y, const uint16_t *x, const Weight *w, const float *bias, int N)
{
  Lt *t = c->lt;
  const float one = 1, added = p->epilogue & EPI_ADD ? 1 : 0;

  return set_tiles (t, p, N) &&
         (!bias || check (t,
                       t->cublasLtMatmulDescSetAttribute (p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                           &bias, sizeof bias),
                       "find a bias")) &&
         check (t,
             t->cublasLtMatmul (t->handle, p->product, &one, w->data, p->w, x, p->x, &added, y, p->y, y,
                 p->y, &p->algo, t->workspace.data, LT_WORKSPACE, c->stream),
             "multiply");
}

static void
run_plan (Cuda *c, LtPlan *p, float *y, const float *x, const Weight *w, const float *bias, int T)
{
  const size_t I = w->I, O = w->O;
  const int tiles = T / p->P;
  int most = tiles < LT_TILES ? tiles : LT_TILES; /* at once */
  uint16_t *rounded = buffer_on_device (c, &c->rounded, T * I * sizeof *rounded);

  if (!rounded) {
    cuda_check (c, cudaErrorMemoryAllocation, "get memory for linear");
    return;
  }
  round_to_bf16 (c, rounded, x, T * I);
  if (!takes_tiles (c->lt, p, most))
    most = 1;
  for (int n = 0, N; n < tiles && c->failure[0] == '\0'; n += N) {
    const size_t row = (size_t) n * p->P;

    N = tiles - n < most ? tiles - n : most;
    if (N < most && !takes_tiles (c->lt, p, N)) /* what is left after full batches */
      N = 1;
    if (!multiply (c, p, y + row * O, rounded + row * I, w, bias, N))
      memcpy (c->failure, c->lt->message, OPS_MESSAGE);
  }
}

static bool
aligned (const void *p, uint32_t bytes)
{
  return (uintptr_t) p % bytes == 0;
}

/* Is it a product that cuBLASLt does? The workspace is the pictures' lane's. GELU by erf it has not, and what is added
 * comes before its GELU. */
static bool
is_ours (const Cuda *c, const float *y, const Weight *w, const float *bias, int T, int P,
    unsigned epilogue)
{
  return P > 0 && T > 0 && T % P == 0 && c->failure[0] == '\0' && c->lane == LANE_PICTURES &&
         w->type == WEIGHT_BF16 && !(epilogue & EPI_GELU_ERF) &&
         (epilogue & (EPI_GELU_TANH | EPI_ADD)) != (EPI_GELU_TANH | EPI_ADD) &&
         aligned (w->data, LT_ALIGNMENT) && aligned (bias, LT_ALIGNMENT) &&
         aligned (y, alignment_of ((size_t) P * w->O * sizeof (float)));
}

static void
linear (Ops *k, float *y, const float *x, const Weight *w, const float *bias, int T, unsigned epilogue)
{
  Cuda *c = cuda (k);
  const int P = linear_tile_rows (epilogue);
  const unsigned kind = (epilogue & (EPI_GELU_TANH | EPI_ADD)) | (bias ? LT_BIAS : 0);
  LtPlan *p = NULL;

  if (is_ours (c, y, w, bias, T, P, epilogue))
    p = plan_for (c->lt, w, bias, P, kind);
  c->lt->message[0] = '\0'; /* why there is no plan */
  if (!p)
    c->lt->own (k, y, x, w, bias, T, epilogue);
  else if (cuda_check (c, cudaSetDevice (c->device), "be used"))
    run_plan (c, p, y, x, w, bias, T);
}

/* --- opening ------------------------------------------------------------------------------------- */

void
lt_open (Cuda *c)
{
  Lt *t = c->bf16 ? calloc (1, sizeof *t) : NULL;

  if (!t)
    return;
  c->lt = t;
  if (load (t) && check (t, t->cublasLtCreate (&t->handle), "be opened") &&
      buffer_on_device (c, &t->workspace, LT_WORKSPACE)) {
    t->own = c->ops.linear;
    c->ops.linear = linear;
    strncat (c->isa, "+cublaslt", sizeof c->isa - strlen (c->isa) - 1);
    return;
  }
  cuda_note (c, "Our own kernels multiply pictures: %.110s",
      t->message[0] ? t->message : "there is no memory for cuBLASLt's workspace");
  lt_close (c);
}

void
lt_close (Cuda *c)
{
  Lt *t = c->lt;

  if (!t)
    return;
  for (int i = 0; i < t->n_plans; i++)
    plan_clear (t, &t->plan[i]);
  c->ops.free (&c->ops, t->workspace.data);
  if (t->handle)
    t->cublasLtDestroy (t->handle);
  free (t);
  c->lt = NULL;
}
