/* dsvl2: the CUDA stand-in: libcublasLt's matmul
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An algorithm that the heuristic gives belongs to the shapes, types and alignments that it was asked for; used
 * with others, or with less workspace than it needs, it is refused, as a device's would be. Batches of another size
 * it may take: AlgoCheck says so. Each algorithm sums in an order of its own, so that who takes another one for
 * another number of products gets other bits. */
#include "gemm.h"

#include <cstdio>
#include <cstring>

using namespace standin;

namespace {

/* What NVIDIA's opaque structures hold here; they are cleared by …Init and have room for eight words. */
struct Descriptor {
  u32 compute, scale, op_a, op_b, epilogue, pointer_mode;
  s32 bias_type; /* −1: as D */
  u32 unused;
  const void *bias;
};

struct Layout {
  u32 type, order, batch, unused;
  u64 rows, columns;
  s64 leading, stride;
};

struct Preference {
  u64 workspace;
  u32 alignment[4]; /* of A, B, C, D */
  u32 reductions;   /* CUBLASLT_REDUCTION_SCHEME_… */
};

struct Algorithm {
  u32 magic, index;
  u64 problem;
  u32 alignment[4], bias_alignment;
};

/* What the algorithms are like. Where no more is said an algorithm takes any batch. */
struct Trait {
  u64 workspace;    /* bytes for each product of a batch */
  u32 reduction;    /* CUBLASLT_REDUCTION_SCHEME_… */
  bool wide, alone; /* wants A and B and their lines to be multiples of 16 bytes; takes no batches */
  long slice;       /* of a sum */
};

const Trait traits[] = {
  { 1 << 20, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, false, false,
      0 }, /* splits a sum as the batch asks for */
  { 12 << 20, CUBLASLT_REDUCTION_SCHEME_NONE, true, false, 64 },
  { 0, CUBLASLT_REDUCTION_SCHEME_NONE, true, false, 32 },
  { 0, CUBLASLT_REDUCTION_SCHEME_NONE, false, true, 16 },
};

enum {
  ALGORITHM_MAGIC = 0x64737632,
  DEFAULT_ALIGNMENT = 256,
  WORKSPACE_ALIGNMENT = 16,
  POINTER_ALIGNMENT = 16,
  WIDE_BYTES = 16,
  MANY_ELEMENTS = 4096, /* of D: more of them have the heuristic prefer a larger algorithm */
  N_ALGORITHMS = sizeof traits / sizeof traits[0],
};

template <class T, class Opaque>
T *
inside (Opaque *opaque)
{
  static_assert (sizeof (T) <= sizeof (*opaque));
  return (T *) opaque;
}

template <class T, class Opaque>
const T *
inside (const Opaque *opaque)
{
  static_assert (sizeof (T) <= sizeof (*opaque));
  return (const T *) opaque;
}

/* Copies an attribute of exactly the size of its field. */
template <class Field>
cublasStatus_t
set (Field *field, const void *value, size_t bytes)
{
  if (!value || bytes != sizeof *field)
    return refuse (CUBLAS_STATUS_INVALID_VALUE, "cublasLt: an attribute of %zu bytes was given %zu",
        sizeof *field, bytes);
  memcpy (field, value, sizeof *field);
  return CUBLAS_STATUS_SUCCESS;
}

/* A number that differs where an algorithm may not be used, whatever the batch. */
u64
problem_of (const Descriptor &d, const Layout *const layouts[4])
{
  u64 hash = 0xcbf29ce484222325;
  auto mix = [&] (u64 v) { hash = (hash ^ v) * 0x100000001b3; };

  for (u64 v : { (u64) d.compute, (u64) d.scale, (u64) d.op_a, (u64) d.op_b, (u64) d.epilogue,
           (u64) d.bias_type })
    mix (v);
  for (int i = 0; i < 4; i++)
    for (u64 v : { (u64) layouts[i]->type, (u64) layouts[i]->order, layouts[i]->rows,
             layouts[i]->columns, (u64) layouts[i]->leading, (u64) layouts[i]->stride })
      mix (v);
  return hash;
}

bool
has_bias (const Descriptor &d)
{
  return d.epilogue == CUBLASLT_EPILOGUE_BIAS || d.epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ||
         d.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
}

cublasStatus_t
check_layout (const char *which, const Layout &l)
{
  const u64 line = l.order == CUBLASLT_ORDER_ROW ? l.columns : l.rows;

  if (l.order != CUBLASLT_ORDER_COL && l.order != CUBLASLT_ORDER_ROW)
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul: order %u of %s", l.order, which);
  if (l.leading < (s64) line)
    return refuse (CUBLAS_STATUS_INVALID_VALUE,
        "cublasLtMatmul: leading dimension %ld of %s, %lu × %lu", l.leading, which, l.rows, l.columns);
  return CUBLAS_STATUS_SUCCESS;
}

/* All that the library refuses before it looks at pointers. */
cublasStatus_t
check_problem (const Descriptor &d, const Layout &A, const Layout &B, const Layout &C, const Layout &D)
{
  const u64 m = d.op_a ? A.columns : A.rows, k = d.op_a ? A.rows : A.columns;
  const u64 k_of_b = d.op_b ? B.columns : B.rows, n = d.op_b ? B.rows : B.columns;
  const s32 bias_type = d.bias_type < 0 ? (s32) D.type : d.bias_type;
  const char *names[] = { "A", "B", "C", "D" };
  const Layout *layouts[] = { &A, &B, &C, &D };

  for (int i = 0; i < 4; i++)
    if (cublasStatus_t status = check_layout (names[i], *layouts[i]))
      return status;
  if (k != k_of_b || C.rows != m || C.columns != n || D.rows != m || D.columns != n)
    return refuse (CUBLAS_STATUS_INVALID_VALUE,
        "cublasLtMatmul: op (A) %lu × %lu, op (B) %lu × %lu, C %lu × %lu, D %lu × %lu", m, k, k_of_b, n,
        C.rows, C.columns, D.rows, D.columns);
  if (A.batch != B.batch || A.batch != C.batch || A.batch != D.batch)
    return refuse (CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmul: batches of %u, %u, %u, %u", A.batch,
        B.batch, C.batch, D.batch);
  if (d.scale != CUDA_R_32F || C.type != D.type ||
      !is_supported ((cublasComputeType_t) d.compute, (cudaDataType) A.type, (cudaDataType) B.type,
          (cudaDataType) D.type))
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED,
        "cublasLtMatmul: types A=%u B=%u C=%u D=%u, compute %u, scale %u", A.type, B.type, C.type,
        D.type, d.compute, d.scale);
  if (d.epilogue != CUBLASLT_EPILOGUE_DEFAULT && !has_bias (d) &&
      d.epilogue != CUBLASLT_EPILOGUE_GELU && d.epilogue != CUBLASLT_EPILOGUE_RELU)
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul: epilogue %u", d.epilogue);
  if (d.epilogue != CUBLASLT_EPILOGUE_DEFAULT && (D.order != CUBLASLT_ORDER_COL || A.type == CUDA_R_8I))
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED,
        "cublasLtMatmul: an epilogue with D by rows, or with int8");
  if (has_bias (d) && bias_type != (s32) D.type)
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul: bias of type %d, D of type %u",
        bias_type, D.type);
  return CUBLAS_STATUS_SUCCESS;
}

/* Do A, B and their lines and batches lie as an algorithm with loads of 16 bytes wants them? */
bool
lies_wide (const Layout *const layouts[4], const u32 alignment[4])
{
  for (int i = 0; i < 2; i++) {
    const s64 bytes = type_bytes ((cudaDataType) layouts[i]->type);

    if (alignment[i] % WIDE_BYTES || layouts[i]->leading * bytes % WIDE_BYTES ||
        (layouts[i]->batch > 1 && layouts[i]->stride * bytes % WIDE_BYTES))
      return false;
  }
  return true;
}

u32
alignment_of (const void *p)
{
  const u64 lowest = (u64) p & -(u64) p;

  return lowest ? std::min<u64> (lowest, POINTER_ALIGNMENT) : (u32) POINTER_ALIGNMENT;
}

/* Can the algorithm do this? Its workspace too. */
cublasStatus_t
check_algorithm (const Descriptor &d, const Algorithm &a, const Layout *const layouts[4],
    u64 *workspace)
{
  const u32 batch = layouts[0]->batch;

  if (a.magic != ALGORITHM_MAGIC || a.index >= N_ALGORITHMS)
    return refuse (CUBLAS_STATUS_INVALID_VALUE,
        "cublasLtMatmul: the algorithm is not one that the heuristic gave");
  if (a.problem != problem_of (d, layouts))
    return refuse (CUBLAS_STATUS_INVALID_VALUE,
        "cublasLtMatmul: the algorithm belongs to other shapes, types or epilogue");
  if (batch > 1 &&
      (traits[a.index].alone || (traits[a.index].wide && !lies_wide (layouts, a.alignment))))
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul: algorithm %u takes no batch of %u",
        a.index, batch);
  *workspace = traits[a.index].workspace * batch;
  return CUBLAS_STATUS_SUCCESS;
}

/* Two products of a batch must not write the same element, nor one of D what is another's C. */
cublasStatus_t
check_batch (const Layout *const layouts[4])
{
  const Layout &C = *layouts[2], &D = *layouts[3];
  const s64 lines = D.order == CUBLASLT_ORDER_ROW ? D.rows : D.columns;

  if (D.batch > 1 && (D.stride < lines * D.leading || C.stride != D.stride))
    return refuse (CUBLAS_STATUS_INVALID_VALUE,
        "cublasLtMatmul: a batch's C and D are %ld and %ld elements apart, one is %ld lines of %ld",
        C.stride, D.stride, lines, D.leading);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
check_pointers (const Descriptor &d, const Algorithm *algorithm, const void *const data[4],
    const Layout *const layouts[4], float beta, const void *workspace, size_t workspace_bytes)
{
  for (int i = 0; i < 4; i++) {
    const u32 least = algorithm ? algorithm->alignment[i] : (u32) POINTER_ALIGNMENT;

    if (i == 2 && beta == 0)
      continue;
    if (!data[i] || (u64) data[i] % least)
      return refuse (CUBLAS_STATUS_INVALID_VALUE,
          "cublasLtMatmul: %c at %p, the algorithm is for multiples of %u bytes", "ABCD"[i], data[i],
          least);
  }
  if (has_bias (d) &&
      (!d.bias || (u64) d.bias % (algorithm ? algorithm->bias_alignment : (u32) POINTER_ALIGNMENT)))
    return refuse (CUBLAS_STATUS_INVALID_VALUE,
        "cublasLtMatmul: bias at %p, the algorithm is for multiples of %u bytes", d.bias,
        algorithm ? algorithm->bias_alignment : (u32) POINTER_ALIGNMENT);
  if (data[2] == data[3] &&
      (layouts[2]->order != layouts[3]->order || layouts[2]->leading != layouts[3]->leading))
    return refuse (CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmul: C is D, but their layouts differ");
  if (algorithm) {
    u64 needed;

    if (cublasStatus_t status = check_algorithm (d, *algorithm, layouts, &needed))
      return status;
    if (workspace_bytes < needed)
      return refuse (CUBLAS_STATUS_INVALID_VALUE,
          "cublasLtMatmul: %zu bytes of workspace, the algorithm needs %lu", workspace_bytes, needed);
  }
  if (cublasStatus_t status = check_batch (layouts))
    return status;
  if (workspace_bytes && ((u64) workspace % WORKSPACE_ALIGNMENT || !is_device_memory (workspace) ||
                             !is_allocated (workspace, workspace_bytes)))
    return refuse (CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmul: workspace at %p", workspace);
  return CUBLAS_STATUS_SUCCESS;
}

MatrixView
view_of (const void *data, const Layout &l)
{
  return { data, (cudaDataType) l.type, (long) l.rows, (long) l.columns, l.leading,
    l.order == CUBLASLT_ORDER_ROW, l.stride };
}

} // namespace

extern "C" {

cublasStatus_t
cublasLtCreate (cublasLtHandle_t *handle)
{
  Call call ("cublasLtCreate");

  *handle = nullptr;
  if (call.chosen_to_fail)
    return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = (cublasLtHandle_t) new char;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtDestroy (cublasLtHandle_t handle)
{
  Call call ("cublasLtDestroy");

  delete (char *) handle;
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

size_t
cublasLtGetVersion ()
{
  Call call ("cublasLtGetVersion");

  return call.chosen_to_fail ? 0 : CUBLAS_VERSION;
}

/* --- descriptors --------------------------------------------------------------------------------- */

cublasStatus_t
cublasLtMatmulDescInit_internal (cublasLtMatmulDesc_t desc, size_t, cublasComputeType_t compute,
    cudaDataType_t scale)
{
  memset (desc, 0, sizeof *desc);
  *inside<Descriptor> (desc) = { compute, scale, CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT,
    CUBLASLT_POINTER_MODE_HOST, -1, 0, nullptr };
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulDescCreate (cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType_t scale)
{
  Call call ("cublasLtMatmulDescCreate");

  *desc = nullptr;
  if (call.chosen_to_fail)
    return CUBLAS_STATUS_ALLOC_FAILED;
  *desc = new cublasLtMatmulDescOpaque_t;
  return cublasLtMatmulDescInit_internal (*desc, sizeof **desc, compute, scale);
}

cublasStatus_t
cublasLtMatmulDescDestroy (cublasLtMatmulDesc_t desc)
{
  Call call ("cublasLtMatmulDescDestroy");

  delete desc;
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulDescSetAttribute (cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
    const void *value, size_t bytes)
{
  Call call ("cublasLtMatmulDescSetAttribute");
  Descriptor *d = inside<Descriptor> (desc);

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_INTERNAL_ERROR;
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set (&d->op_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set (&d->op_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set (&d->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set (&d->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return set (&d->bias_type, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return set (&d->pointer_mode, value, bytes);
    default:
      return refuse (CUBLAS_STATUS_NOT_SUPPORTED,
          "cublasLtMatmulDescSetAttribute: attribute %d is unknown here", attribute);
  }
}

cublasStatus_t
cublasLtMatrixLayoutInit_internal (cublasLtMatrixLayout_t layout, size_t, cudaDataType type,
    uint64_t rows, uint64_t columns, int64_t leading)
{
  memset (layout, 0, sizeof *layout);
  *inside<Layout> (layout) = { (u32) type, CUBLASLT_ORDER_COL, 1, 0, rows, columns, leading, 0 };
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatrixLayoutCreate (cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
    uint64_t columns, int64_t leading)
{
  Call call ("cublasLtMatrixLayoutCreate");

  *layout = nullptr;
  if (call.chosen_to_fail)
    return CUBLAS_STATUS_ALLOC_FAILED;
  *layout = new cublasLtMatrixLayoutOpaque_t;
  return cublasLtMatrixLayoutInit_internal (*layout, sizeof **layout, type, rows, columns, leading);
}

cublasStatus_t
cublasLtMatrixLayoutDestroy (cublasLtMatrixLayout_t layout)
{
  Call call ("cublasLtMatrixLayoutDestroy");

  delete layout;
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatrixLayoutSetAttribute (cublasLtMatrixLayout_t layout,
    cublasLtMatrixLayoutAttribute_t attribute, const void *value, size_t bytes)
{
  Call call ("cublasLtMatrixLayoutSetAttribute");
  Layout *l = inside<Layout> (layout);

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_INTERNAL_ERROR;
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return set (&l->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      return set (&l->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return set (&l->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return set (&l->columns, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return set (&l->leading, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return set (&l->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return set (&l->stride, value, bytes);
    default:
      return refuse (CUBLAS_STATUS_NOT_SUPPORTED,
          "cublasLtMatrixLayoutSetAttribute: attribute %d is unknown here", attribute);
  }
}

/* --- choosing an algorithm ----------------------------------------------------------------------- */

cublasStatus_t
cublasLtMatmulPreferenceInit_internal (cublasLtMatmulPreference_t preference, size_t)
{
  memset (preference, 0, sizeof *preference);
  *inside<Preference> (preference) = { 0,
    { DEFAULT_ALIGNMENT, DEFAULT_ALIGNMENT, DEFAULT_ALIGNMENT, DEFAULT_ALIGNMENT },
    CUBLASLT_REDUCTION_SCHEME_MASK };
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceCreate (cublasLtMatmulPreference_t *preference)
{
  Call call ("cublasLtMatmulPreferenceCreate");

  *preference = nullptr;
  if (call.chosen_to_fail)
    return CUBLAS_STATUS_ALLOC_FAILED;
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return cublasLtMatmulPreferenceInit_internal (*preference, sizeof **preference);
}

cublasStatus_t
cublasLtMatmulPreferenceDestroy (cublasLtMatmulPreference_t preference)
{
  Call call ("cublasLtMatmulPreferenceDestroy");

  delete preference;
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulPreferenceSetAttribute (cublasLtMatmulPreference_t preference,
    cublasLtMatmulPreferenceAttributes_t attribute, const void *value, size_t bytes)
{
  Call call ("cublasLtMatmulPreferenceSetAttribute");
  Preference *p = inside<Preference> (preference);

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_INTERNAL_ERROR;
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set (&p->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set (&p->reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return set (&p->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return set (&p->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return set (&p->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set (&p->alignment[3], value, bytes);
    default:
      return refuse (CUBLAS_STATUS_NOT_SUPPORTED,
          "cublasLtMatmulPreferenceSetAttribute: attribute %d is unknown here", attribute);
  }
}

/* May the heuristic give it? */
static bool
is_candidate (u32 i, const Preference &p, const Layout *const layouts[4])
{
  const Trait &t = traits[i];

  return (!t.reduction || (p.reductions & t.reduction)) &&
         (!t.wide || lies_wide (layouts, p.alignment)) && !(t.alone && layouts[0]->batch > 1) &&
         t.workspace * layouts[0]->batch <= p.workspace;
}

/* Those that the preferences allow, the largest first where there is much to do, else last. */
cublasStatus_t
cublasLtMatmulAlgoGetHeuristic (cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t A,
    cublasLtMatrixLayout_t B, cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D,
    cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t results[],
    int *found)
{
  Call call ("cublasLtMatmulAlgoGetHeuristic");
  const Descriptor *d = inside<Descriptor> (desc);
  const Preference *p = inside<Preference> (preference);
  const Layout *layouts[4] = { inside<Layout> (A), inside<Layout> (B), inside<Layout> (C),
    inside<Layout> (D) };

  *found = 0;
  if (call.chosen_to_fail)
    return CUBLAS_STATUS_INTERNAL_ERROR;
  if (cublasStatus_t status = check_problem (*d, *layouts[0], *layouts[1], *layouts[2], *layouts[3]))
    return status;
  const bool many = layouts[3]->rows * layouts[3]->columns * layouts[3]->batch >= MANY_ELEMENTS;
  for (u32 n = 0; n < N_ALGORITHMS && *found < wanted; n++) {
    const u32 i = many || n == 0 || n == N_ALGORITHMS - 1 ? n : N_ALGORITHMS - 1 - n;

    if (!is_candidate (i, *p, layouts))
      continue;
    cublasLtMatmulHeuristicResult_t *r = &results[(*found)++];
    memset (r, 0, sizeof *r);
    Algorithm *a = inside<Algorithm> (&r->algo);
    *a = { ALGORITHM_MAGIC, i, problem_of (*d, layouts), {}, alignment_of (d->bias) };
    memcpy (a->alignment, p->alignment, sizeof a->alignment);
    r->workspaceSize = traits[i].workspace * layouts[0]->batch;
    r->state = CUBLAS_STATUS_SUCCESS;
    r->wavesCount = 1;
  }
  return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t
cublasLtMatmulAlgoCheck (cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t A,
    cublasLtMatrixLayout_t B, cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D,
    const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result)
{
  Call call ("cublasLtMatmulAlgoCheck");
  const Descriptor *d = inside<Descriptor> (desc);
  const Layout *layouts[4] = { inside<Layout> (A), inside<Layout> (B), inside<Layout> (C),
    inside<Layout> (D) };

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_INTERNAL_ERROR;
  result->state = check_problem (*d, *layouts[0], *layouts[1], *layouts[2], *layouts[3]);
  if (!result->state)
    result->state = check_algorithm (*d, *inside<Algorithm> (algo), layouts, &result->workspaceSize);
  result->wavesCount = 1;
  return result->state;
}

cublasStatus_t
cublasLtMatmul (cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha, const void *A,
    cublasLtMatrixLayout_t layout_a, const void *B, cublasLtMatrixLayout_t layout_b, const void *beta,
    const void *C, cublasLtMatrixLayout_t layout_c, void *D, cublasLtMatrixLayout_t layout_d,
    const cublasLtMatmulAlgo_t *algo, void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
  Call call ("cublasLtMatmul");
  const Descriptor *d = inside<Descriptor> (desc);
  const Layout *layouts[4] = { inside<Layout> (layout_a), inside<Layout> (layout_b),
    inside<Layout> (layout_c), inside<Layout> (layout_d) };
  const void *data[4] = { A, B, C, D };
  const bool on_host = d->pointer_mode == CUBLASLT_POINTER_MODE_HOST;
  Gemm g = {};

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_EXECUTION_FAILED;
  if (!on_host)
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul: pointer mode %u is not supported here",
        d->pointer_mode);
  if (cublasStatus_t status = check_problem (*d, *layouts[0], *layouts[1], *layouts[2], *layouts[3]))
    return status;
  g.alpha = *(const float *) alpha;
  g.beta = *(const float *) beta;
  if (cublasStatus_t status = check_pointers (*d, algo ? inside<Algorithm> (algo) : nullptr, data,
          layouts, g.beta, workspace, workspace_bytes))
    return status;
  g.name = "cublasLtMatmul";
  g.transposed_a = d->op_a;
  g.transposed_b = d->op_b;
  g.m = layouts[3]->rows;
  g.n = layouts[3]->columns;
  g.k = d->op_a ? layouts[0]->rows : layouts[0]->columns;
  g.a = view_of (A, *layouts[0]);
  g.b = view_of (B, *layouts[1]);
  g.c = view_of (C, *layouts[2]);
  g.d = view_of (D, *layouts[3]);
  g.batch = layouts[0]->batch;
  if (algo) {
    const Trait &t = traits[inside<Algorithm> (algo)->index];

    g.slice = t.reduction ? (g.k + g.batch) / (g.batch + 1) : t.slice;
  }
  g.compute = (cublasComputeType_t) d->compute;
  g.epilogue = (cublasLtEpilogue_t) d->epilogue;
  g.bias = has_bias (*d) ? d->bias : nullptr;
  g.bias_type = (cudaDataType) (d->bias_type < 0 ? layouts[3]->type : (u32) d->bias_type);
  return queue_gemm (stream, g);
}

static const struct {
  cublasStatus_t status;
  const char *name, *text;
} statuses[] = {
  { CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success" },
  { CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized" },
  { CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed" },
  { CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE",
      "an invalid numerical value was used as an argument" },
  { CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED",
      "the GPU program failed to execute" },
  { CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed" },
  { CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "the functionality is not supported" },
};

const char *
cublasLtGetStatusString (cublasStatus_t status)
{
  for (const auto &s : statuses)
    if (s.status == status)
      return s.text;
  return "unknown status";
}

const char *
cublasLtGetStatusName (cublasStatus_t status)
{
  for (const auto &s : statuses)
    if (s.status == status)
      return s.name;
  return "unknown status";
}
}
