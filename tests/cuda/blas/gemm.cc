/* dsvl2: the CUDA stand-in: a product of matrices
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gemm.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <vector>

namespace standin {

size_t
type_bytes (cudaDataType type)
{
  switch (type) {
    case CUDA_R_32F:
    case CUDA_R_32I:
      return 4;
    case CUDA_R_16BF:
    case CUDA_R_16F:
      return 2;
    case CUDA_R_8I:
      return 1;
    default:
      return 0;
  }
}

bool
is_supported (cublasComputeType_t compute, cudaDataType a, cudaDataType b, cudaDataType c)
{
  const bool fast = compute == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                    compute == CUBLAS_COMPUTE_32F_FAST_16BF || compute == CUBLAS_COMPUTE_32F_FAST_16F;

  if (fast)
    return a == CUDA_R_32F && b == CUDA_R_32F && c == CUDA_R_32F;
  if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC)
    return false;
  return a == b && ((a == CUDA_R_32F && c == CUDA_R_32F) ||
                       ((a == CUDA_R_16BF || a == CUDA_R_16F) && (c == a || c == CUDA_R_32F)) ||
                       (a == CUDA_R_8I && c == CUDA_R_32F));
}

cublasStatus_t
refuse (cublasStatus_t status, const char *format, ...)
{
  va_list arguments;

  fprintf (stderr, "stand-in: ");
  va_start (arguments, format);
  vfprintf (stderr, format, arguments);
  va_end (arguments);
  fputc ('\n', stderr);
  return status;
}

static float
load (const void *data, cudaDataType type, size_t i)
{
  switch (type) {
    case CUDA_R_16BF:
      return __bfloat162float (((const __nv_bfloat16 *) data)[i]);
    case CUDA_R_16F:
      return __half2float (((const __half *) data)[i]);
    case CUDA_R_8I:
      return ((const s8 *) data)[i];
    default:
      return ((const float *) data)[i];
  }
}

static void
store (void *data, cudaDataType type, size_t i, float v)
{
  switch (type) {
    case CUDA_R_16BF:
      ((__nv_bfloat16 *) data)[i] = __float2bfloat16 (v);
      break;
    case CUDA_R_16F:
      ((__half *) data)[i] = __float2half (v);
      break;
    default:
      ((float *) data)[i] = v;
  }
}

/* What a tensor core makes of a float32 input. */
static float
rounded (float v, cublasComputeType_t compute)
{
  u32 bits;

  switch (compute) {
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      memcpy (&bits, &v, sizeof bits);
      bits = (bits + 0x1000) & ~(u32) 0x1fff;
      memcpy (&v, &bits, sizeof bits);
      return v;
    case CUBLAS_COMPUTE_32F_FAST_16BF:
      return __bfloat162float (__float2bfloat16 (v));
    case CUBLAS_COMPUTE_32F_FAST_16F:
      return __half2float (__float2half (v));
    default:
      return v;
  }
}

/* Runs of elements that are neighbours in memory: their number and length, where each begins. */
struct Lines {
  long n, length, step;
};

static Lines
lines_of (const MatrixView &v)
{
  return v.by_row ? Lines{ v.rows, v.columns, v.leading } : Lines{ v.columns, v.rows, v.leading };
}

/* Faults unless all elements of matrix z are allocated and, if `read`, written. */
static void
check_matrix (const Gemm &g, const char *which, const MatrixView &v, int z, bool read)
{
  const Lines lines = lines_of (v);
  const size_t bytes = type_bytes (v.type);
  size_t missing = 0;

  for (long i = 0; i < lines.n; i++) {
    const u8 *begin = (const u8 *) v.data + bytes * (z * v.stride + i * lines.step);

    if (!is_device_memory (begin) || !is_allocated (begin, bytes * lines.length))
      stop (EXIT_DEVICE_FAULT,
          "%s: matrix %s, %ld × %ld at %p, leaves device memory that is allocated (line %ld)", g.name,
          which, v.rows, v.columns, v.data, i);
    if (read && !is_written (begin, bytes * lines.length, &missing))
      stop (EXIT_DEVICE_FAULT, "%s: matrix %s, %ld × %ld, was never written at line %ld, element %zu",
          g.name, which, v.rows, v.columns, i, missing / bytes);
  }
}

/* op (v) as rows × columns floats, row by row. */
static void
unpack (float *out, const MatrixView &v, bool transposed, int z, cublasComputeType_t compute)
{
  const long rows = transposed ? v.columns : v.rows, columns = transposed ? v.rows : v.columns;
  const bool along = v.by_row != transposed; /* a row of op (v) lies in one line */

  for (long i = 0; i < rows; i++)
    for (long j = 0; j < columns; j++)
      out[i * columns + j] =
          rounded (load (v.data, v.type,
                       z * v.stride + (along ? i * v.leading + j : j * v.leading + i)),
              compute);
}

/* sums [n] = Σ a[k] · b[k, n] */
static void
sum_row (const Gemm &g, float *sums, const float *a, const float *b)
{
  const long slice = g.slice ? g.slice : g.k;
  std::vector<float> part (g.n);

  std::fill (sums, sums + g.n, 0.0f);
  for (long first = 0; first < g.k; first += slice) {
    std::fill (part.begin (), part.end (), 0.0f);
    for (long k = first; k < std::min (g.k, first + slice); k++)
      for (long j = 0; j < g.n; j++)
        part[j] += a[k] * b[k * g.n + j];
    for (long j = 0; j < g.n; j++)
      sums[j] += part[j];
  }
}

static float
apply_epilogue (cublasLtEpilogue_t epilogue, float v)
{
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
      return 0.5f * v * (1 + tanhf (0.7978845608f * (v + 0.044715f * v * v * v)));
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
      return v > 0 ? v : 0;
    default:
      return v;
  }
}

static void
finish_row (const Gemm &g, const float *sums, long i, int z, float alpha, float beta)
{
  const float bias = g.bias ? load (g.bias, g.bias_type, i) : 0;

  for (long j = 0; j < g.n; j++) {
    const size_t from = z * g.c.stride + (g.c.by_row ? i * g.c.leading + j : j * g.c.leading + i);
    const size_t to = z * g.d.stride + (g.d.by_row ? i * g.d.leading + j : j * g.d.leading + i);
    float v = alpha * sums[j] + bias;

    if (beta != 0)
      v += beta * load (g.c.data, g.c.type, from);
    store ((void *) g.d.data, g.d.type, to, apply_epilogue (g.epilogue, v));
  }
}

static void
mark_matrix (const MatrixView &v, int z)
{
  const Lines lines = lines_of (v);
  const size_t bytes = type_bytes (v.type);

  for (long i = 0; i < lines.n; i++)
    mark_written ((const u8 *) v.data + bytes * (z * v.stride + i * lines.step), bytes * lines.length);
}

static void
count (const Gemm &g)
{
  const double size = type_bytes (g.a.type), out = type_bytes (g.d.type), batch = g.batch;
  char shape[160];

  snprintf (shape, sizeof shape, "%s m=%ld n=%ld k=%ld batch=%d type=%d", g.name, g.m, g.n, g.k,
      g.batch, g.a.type);
  count_library (shape, 2.0 * g.m * g.n * g.k * batch,
      batch * (size * (g.m + g.n) * g.k + (g.beta != 0 ? out * g.m * g.n : 0)),
      batch * out * g.m * g.n);
}

void
run_gemm (const Gemm &g)
{
  const float alpha = g.device_alpha ? *g.device_alpha : g.alpha,
              beta = g.device_beta ? *g.device_beta : g.beta;
  std::vector<float> a (g.m * g.k), b (g.k * g.n), sums (g.n);

  count (g);
  if (g.bias && (!is_allocated (g.bias, type_bytes (g.bias_type) * g.m) ||
                    !is_written (g.bias, type_bytes (g.bias_type) * g.m)))
    stop (EXIT_DEVICE_FAULT, "%s: the bias, %ld elements at %p, is not allocated or was never written",
        g.name, g.m, g.bias);
  for (int z = 0; z < g.batch; z++) {
    check_matrix (g, "A", g.a, z, true);
    check_matrix (g, "B", g.b, z, true);
    if (beta != 0)
      check_matrix (g, "C", g.c, z, true);
    check_matrix (g, "D", g.d, z, false);
    unpack (a.data (), g.a, g.transposed_a, z, g.compute);
    unpack (b.data (), g.b, g.transposed_b, z, g.compute);
    for (long i = 0; i < g.m; i++) {
      sum_row (g, sums.data (), &a[i * g.k], b.data ());
      finish_row (g, sums.data (), i, z, alpha, beta);
    }
    mark_matrix (g.d, z);
  }
}

cublasStatus_t
queue_gemm (cudaStream_t stream, const Gemm &g)
{
  if (g.m == 0 || g.n == 0 || g.batch == 0)
    return CUBLAS_STATUS_SUCCESS;
  return enqueue (stream, { g.name, nullptr }, [g] { run_gemm (g); }) == cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

} // namespace standin
