/* dsvl2: the CUDA stand-in: libcublas, as far as a language model needs it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gemm.h"

#include <cublas_v2.h>
#include <vector>

using namespace standin;

struct cublasContext {
  cudaStream_t stream;
  cublasPointerMode_t pointer_mode;
};

namespace {

/* A GEMM of column-major matrices, checked as the library does; `stride_…` are 0 without a batch. */
struct Shape {
  cublasOperation_t op_a, op_b;
  int m, n, k, lda, ldb, ldc, batch;
  long long stride_a, stride_b, stride_c;
  cudaDataType type_a, type_b, type_c;
  cublasComputeType_t compute;
};

cublasStatus_t
check (const char *name, const Shape &s)
{
  const int rows_a = s.op_a == CUBLAS_OP_N ? s.m : s.k, rows_b = s.op_b == CUBLAS_OP_N ? s.k : s.n;

  if (s.m < 0 || s.n < 0 || s.k < 0 || s.batch < 0)
    return refuse (CUBLAS_STATUS_INVALID_VALUE, "%s: m=%d n=%d k=%d batch=%d", name, s.m, s.n, s.k,
        s.batch);
  if (s.lda < std::max (1, rows_a) || s.ldb < std::max (1, rows_b) || s.ldc < std::max (1, s.m))
    return refuse (CUBLAS_STATUS_INVALID_VALUE,
        "%s: lda=%d ldb=%d ldc=%d are less than %d, %d, %d rows", name, s.lda, s.ldb, s.ldc, rows_a,
        rows_b, s.m);
  if (!is_supported (s.compute, s.type_a, s.type_b, s.type_c))
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "%s: types A=%d B=%d C=%d with compute type %d", name,
        s.type_a, s.type_b, s.type_c, s.compute);
  return CUBLAS_STATUS_SUCCESS;
}

Gemm
gemm_of (const char *name, cublasHandle_t handle, const Shape &s, const void *alpha, const void *A,
    const void *B, const void *beta, void *C)
{
  const bool ta = s.op_a != CUBLAS_OP_N, tb = s.op_b != CUBLAS_OP_N;
  const bool on_host = handle->pointer_mode == CUBLAS_POINTER_MODE_HOST;
  Gemm g = {};

  g.name = name;
  g.m = s.m;
  g.n = s.n;
  g.k = s.k;
  g.transposed_a = ta;
  g.transposed_b = tb;
  g.a = { A, s.type_a, ta ? s.k : s.m, ta ? s.m : s.k, s.lda, false, s.stride_a };
  g.b = { B, s.type_b, tb ? s.n : s.k, tb ? s.k : s.n, s.ldb, false, s.stride_b };
  g.c = g.d = { C, s.type_c, s.m, s.n, s.ldc, false, s.stride_c };
  g.batch = s.batch;
  g.compute = s.compute;
  if (on_host) {
    g.alpha = *(const float *) alpha;
    g.beta = *(const float *) beta;
  } else {
    g.device_alpha = (const float *) alpha;
    g.device_beta = (const float *) beta;
  }
  g.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  return g;
}

} // namespace

extern "C" {

cublasStatus_t
cublasCreate_v2 (cublasHandle_t *handle)
{
  Call call ("cublasCreate_v2");

  *handle = nullptr;
  if (call.chosen_to_fail)
    return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = new cublasContext{ nullptr, CUBLAS_POINTER_MODE_HOST };
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasDestroy_v2 (cublasHandle_t handle)
{
  Call call ("cublasDestroy_v2");

  delete handle;
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasSetStream_v2 (cublasHandle_t handle, cudaStream_t stream)
{
  Call call ("cublasSetStream_v2");

  handle->stream = stream;
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasGetStream_v2 (cublasHandle_t handle, cudaStream_t *stream)
{
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasSetPointerMode_v2 (cublasHandle_t handle, cublasPointerMode_t mode)
{
  Call call ("cublasSetPointerMode_v2");

  handle->pointer_mode = mode;
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasSetMathMode (cublasHandle_t, cublasMath_t mode)
{
  Call call ("cublasSetMathMode");

  if (mode != CUBLAS_DEFAULT_MATH && mode != CUBLAS_PEDANTIC_MATH)
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED,
        "cublasSetMathMode: %d is not supported here; say it with the compute type", mode);
  return call.chosen_to_fail ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasSetWorkspace_v2 (cublasHandle_t, void *workspace, size_t bytes)
{
  Call call ("cublasSetWorkspace_v2");

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_INTERNAL_ERROR;
  if ((u64) workspace % 256)
    return refuse (CUBLAS_STATUS_INVALID_VALUE, "cublasSetWorkspace: %p is no multiple of 256 bytes",
        workspace);
  if (bytes && !is_allocated (workspace, bytes))
    stop (EXIT_DEVICE_FAULT, "cublasSetWorkspace: %zu bytes at %p are not allocated", bytes, workspace);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasGemmStridedBatchedEx (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
    int m, int n, int k, const void *alpha, const void *A, cudaDataType type_a, int lda,
    long long stride_a, const void *B, cudaDataType type_b, int ldb, long long stride_b,
    const void *beta, void *C, cudaDataType type_c, int ldc, long long stride_c, int batch,
    cublasComputeType_t compute, cublasGemmAlgo_t)
{
  static const char name[] = "cublasGemmStridedBatchedEx";
  Call call (name);
  const Shape s = { op_a, op_b, m, n, k, lda, ldb, ldc, batch, stride_a, stride_b, stride_c, type_a,
    type_b, type_c, compute };

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_EXECUTION_FAILED;
  if (cublasStatus_t status = check (name, s))
    return status;
  return queue_gemm (handle->stream, gemm_of (name, handle, s, alpha, A, B, beta, C));
}

cublasStatus_t
cublasGemmEx (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n,
    int k, const void *alpha, const void *A, cudaDataType type_a, int lda, const void *B,
    cudaDataType type_b, int ldb, const void *beta, void *C, cudaDataType type_c, int ldc,
    cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
  return cublasGemmStridedBatchedEx (handle, op_a, op_b, m, n, k, alpha, A, type_a, lda, 0, B, type_b,
      ldb, 0, beta, C, type_c, ldc, 0, 1, compute, algo);
}

/* A, B, C: arrays in device memory, one pointer for each matrix, read when it runs. */
static cublasStatus_t
queue_batch (const char *name, cublasHandle_t handle, const Shape &s, const void *alpha,
    const void *const *A, const void *const *B, const void *beta, void *const *C, long first, long n)
{
  const Gemm g = gemm_of (name, handle, s, alpha, nullptr, nullptr, beta, nullptr);

  if (s.m == 0 || s.n == 0)
    return CUBLAS_STATUS_SUCCESS;
  const cudaError_t e = enqueue (handle->stream, { name, nullptr }, [=] {
    for (const void *p :
        { (const void *) (A + first), (const void *) (B + first), (const void *) (C + first) })
      if (!is_device_memory (p) || !is_allocated (p, n * sizeof (void *)) ||
          !is_written (p, n * sizeof (void *)))
        stop (EXIT_DEVICE_FAULT, "%s: %ld pointers at %p: not device memory, or never written", name, n,
            p);
    for (long i = first; i < first + n; i++) {
      Gemm one = g;
      one.a.data = A[i];
      one.b.data = B[i];
      one.c.data = one.d.data = C[i];
      run_gemm (one);
    }
  });
  return e ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasGemmBatchedEx (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
    int n, int k, const void *alpha, const void *const A[], cudaDataType type_a, int lda,
    const void *const B[], cudaDataType type_b, int ldb, const void *beta, void *const C[],
    cudaDataType type_c, int ldc, int batch, cublasComputeType_t compute, cublasGemmAlgo_t)
{
  static const char name[] = "cublasGemmBatchedEx";
  Call call (name);
  const Shape s = { op_a, op_b, m, n, k, lda, ldb, ldc, 1, 0, 0, 0, type_a, type_b, type_c, compute };

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_EXECUTION_FAILED;
  if (batch < 0)
    return refuse (CUBLAS_STATUS_INVALID_VALUE, "%s: batch=%d", name, batch);
  if (cublasStatus_t status = check (name, s))
    return status;
  return queue_batch (name, handle, s, alpha, A, B, beta, C, 0, batch);
}

/* Shapes are arrays on the host, one entry a group; pointers are arrays on the device, one a matrix. The
 * types are fewer than of the other functions: A, B and C are of one type. */
cublasStatus_t
cublasGemmGroupedBatchedEx (cublasHandle_t handle, const cublasOperation_t op_a[],
    const cublasOperation_t op_b[], const int m[], const int n[], const int k[], const void *alpha,
    const void *const A[], cudaDataType_t type_a, const int lda[], const void *const B[],
    cudaDataType_t type_b, const int ldb[], const void *beta, void *const C[], cudaDataType_t type_c,
    const int ldc[], int groups, const int group_size[], cublasComputeType_t compute)
{
  static const char name[] = "cublasGemmGroupedBatchedEx";
  Call call (name);
  long first = 0;

  if (call.chosen_to_fail)
    return CUBLAS_STATUS_EXECUTION_FAILED;
  if (type_a != type_c || type_a == CUDA_R_8I)
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "%s: types A=%d C=%d", name, type_a, type_c);
  if (handle->pointer_mode != CUBLAS_POINTER_MODE_HOST)
    return refuse (CUBLAS_STATUS_NOT_SUPPORTED, "%s: alpha and beta are arrays on the host", name);
  for (int i = 0; i < groups; i++) {
    const Shape s = { op_a[i], op_b[i], m[i], n[i], k[i], lda[i], ldb[i], ldc[i], 1, 0, 0, 0, type_a,
      type_b, type_c, compute };

    if (cublasStatus_t status = check (name, s))
      return status;
    if (cublasStatus_t status = queue_batch (name, handle, s, (const float *) alpha + i, A, B,
            (const float *) beta + i, C, first, group_size[i]))
      return status;
    first += group_size[i];
  }
  return CUBLAS_STATUS_SUCCESS;
}

const char *
cublasGetStatusString (cublasStatus_t status)
{
  return cublasLtGetStatusString (status);
}

const char *
cublasGetStatusName (cublasStatus_t status)
{
  return cublasLtGetStatusName (status);
}
}
