/* dsvl2: the CUDA stand-in: three kernels as a model has them, and cuBLASLt, against plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An ordinary CUDA program: it is linked against NVIDIA's libraries and would run on a GPU as it is. */
#include "example.cuh"

#include <cublasLt.h>
#include <mma.h>
#include <vector>

using namespace nvcuda;

/* --- rms_norm: a block a row --------------------------------------------------------------------- */

enum { NORM_THREADS = 128, NORM_WARPS = NORM_THREADS / WARP };

__global__ void
__launch_bounds__ (NORM_THREADS)
    rms_norm (bf16 *y, const bf16 *x, const bf16 *w, int columns, float eps)
{
  __shared__ float part[NORM_WARPS];
  const bf16 *row = x + (size_t) blockIdx.x * columns;
  float sum = 0;

  for (int i = threadIdx.x * 2; i < columns; i += NORM_THREADS * 2) {
    const float2 v = __bfloat1622float2 (*reinterpret_cast<const __nv_bfloat162 *> (row + i));
    sum += v.x * v.x + v.y * v.y;
  }
  sum = warp_sum (sum);
  if (threadIdx.x % WARP == 0)
    part[threadIdx.x / WARP] = sum;
  __syncthreads ();
  sum = 0;
  for (int i = 0; i < NORM_WARPS; i++)
    sum += part[i];
  const float scale = rsqrtf (sum / columns + eps);
  for (int i = threadIdx.x; i < columns; i += NORM_THREADS)
    y[(size_t) blockIdx.x * columns + i] =
        __float2bfloat16 (__bfloat162float (row[i]) * scale * __bfloat162float (w[i]));
}

/* --- matmul: 32 × 32 of C a block, a warp for each 16 × 16, on the tensor cores ----------------------- */

enum { TILE = 32, DEEP = 16, MATMUL_THREADS = 128, LINE = DEEP + 8, OUT_LINE = TILE + 4 };

__global__ void
__launch_bounds__ (MATMUL_THREADS) matmul (bf16 *C, const bf16 *A, const bf16 *W, int m, int n, int k)
{
  extern __shared__ __align__ (32) unsigned char dynamic[];
  bf16 *a = reinterpret_cast<bf16 *> (dynamic), *w = a + TILE * LINE;
  float *c = reinterpret_cast<float *> (dynamic);
  const int warp = threadIdx.x / WARP, row = warp / 2 * 16, column = warp % 2 * 16,
            m0 = blockIdx.y * TILE, n0 = blockIdx.x * TILE;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;

  wmma::fill_fragment (sum, 0.0f);
  for (int k0 = 0; k0 < k; k0 += DEEP) {
    for (int i = threadIdx.x; i < 2 * TILE * DEEP / 8; i += MATMUL_THREADS) {
      const int r = i % TILE, part = i / TILE % 2 * 8;
      const bool second = i / (2 * TILE);
      const bf16 *from = second ? W + (size_t) (n0 + r) * k : A + (size_t) (m0 + r) * k;
      uint4 v = make_uint4 (0, 0, 0, 0);

      if ((second ? n0 + r < n : m0 + r < m) && k0 + part < k)
        v = *reinterpret_cast<const uint4 *> (from + k0 + part);
      *reinterpret_cast<uint4 *> ((second ? w : a) + r * LINE + part) = v;
    }
    __syncthreads ();
    wmma::fragment<wmma::matrix_a, 16, 16, 16, bf16, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, bf16, wmma::col_major> fw;
    wmma::load_matrix_sync (fa, a + row * LINE, LINE);
    wmma::load_matrix_sync (fw, w + column * LINE, LINE);
    wmma::mma_sync (sum, fa, fw, sum);
    __syncthreads ();
  }
  wmma::store_matrix_sync (c + row * OUT_LINE + column, sum, OUT_LINE, wmma::mem_row_major);
  __syncthreads ();
  for (int i = threadIdx.x; i < TILE * TILE; i += MATMUL_THREADS)
    if (m0 + i / TILE < m && n0 + i % TILE < n)
      C[(size_t) (m0 + i / TILE) * n + n0 + i % TILE] =
          __float2bfloat16 (c[i / TILE * OUT_LINE + i % TILE]);
}

/* --- attention of one query over keys that are split among blocks ------------------------------------ */

enum { HEAD = 64, ATTEND_WARPS = 2, PARTIAL = HEAD + 2 };

/* A warp takes every ATTEND_WARPS-th key of the split; warps meet in shared memory. */
__global__ void
__launch_bounds__ (ATTEND_WARPS *WARP)
    attend_split (float *partial, const bf16 *q, const bf16 *K, const bf16 *V, int length)
{
  __shared__ float most[ATTEND_WARPS], total[ATTEND_WARPS], out[ATTEND_WARPS][HEAD];
  const int head = blockIdx.x, heads = gridDim.x, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  const int each = (length + gridDim.y - 1) / gridDim.y, begin = blockIdx.y * each,
            end = min (length, begin + each);
  const bf16 *query = q + head * HEAD;
  float best = -FLT_MAX, sum = 0, o[2] = { 0, 0 };

  for (int t = begin + warp; t < end; t += ATTEND_WARPS) {
    const bf16 *key = K + ((size_t) t * heads + head) * HEAD,
               *value = V + ((size_t) t * heads + head) * HEAD;
    float s = 0;

    for (int i = lane; i < HEAD; i += WARP)
      s += __bfloat162float (query[i]) * __bfloat162float (key[i]);
    s = warp_sum (s) * rsqrtf ((float) HEAD);
    const float next = fmaxf (best, s), shrink = expf (best - next), p = expf (s - next);
    for (int i = 0; i < 2; i++)
      o[i] = o[i] * shrink + p * __bfloat162float (value[lane + i * WARP]);
    sum = sum * shrink + p;
    best = next;
  }
  out[warp][lane] = o[0];
  out[warp][lane + WARP] = o[1];
  if (lane == 0) {
    most[warp] = best;
    total[warp] = sum;
  }
  __syncthreads ();
  if (warp == 0) {
    float *to = partial + (size_t) (head * gridDim.y + blockIdx.y) * PARTIAL;
    const float top = fmaxf (most[0], most[1]), f0 = expf (most[0] - top), f1 = expf (most[1] - top);

    to[lane] = out[0][lane] * f0 + out[1][lane] * f1;
    to[lane + WARP] = out[0][lane + WARP] * f0 + out[1][lane + WARP] * f1;
    if (lane == 0) {
      to[HEAD] = top;
      to[HEAD + 1] = total[0] * f0 + total[1] * f1;
    }
  }
}

__global__ void
__launch_bounds__ (HEAD) attend_merge (bf16 *o, const float *partial, int splits)
{
  const float *p = partial + (size_t) blockIdx.x * splits * PARTIAL;
  float top = -FLT_MAX, total = 0, sum = 0;

  for (int s = 0; s < splits; s++)
    top = fmaxf (top, p[s * PARTIAL + HEAD]);
  for (int s = 0; s < splits; s++) {
    const float f = expf (p[s * PARTIAL + HEAD] - top);
    total += p[s * PARTIAL + HEAD + 1] * f;
    sum += p[s * PARTIAL + threadIdx.x] * f;
  }
  o[blockIdx.x * HEAD + threadIdx.x] = __float2bfloat16 (sum / total);
}

/* --- the host ------------------------------------------------------------------------------------ */

static int n_tests, n_failed;

struct Array {
  std::vector<float> host;
  bf16 *device;
};

static Array
array_of (size_t n)
{
  static uint32_t state = 1;
  Array a = { std::vector<float> (n), nullptr };
  std::vector<bf16> bits (n);

  for (size_t i = 0; i < n; i++) {
    state = state * 1664525u + 1013904223u;
    bits[i] = __float2bfloat16 ((float) (state >> 8) / 8388608.0f - 1);
    a.host[i] = __bfloat162float (bits[i]);
  }
  MUST (cudaMalloc ((void **) &a.device, n * sizeof (bf16)));
  MUST (cudaMemcpy (a.device, bits.data (), n * sizeof (bf16), cudaMemcpyHostToDevice));
  return a;
}

static void
compare (const char *name, const Array &got, const std::vector<double> &expected)
{
  std::vector<bf16> bits (expected.size ());
  double worst = 0;

  MUST (cudaMemcpy (bits.data (), got.device, bits.size () * sizeof (bf16), cudaMemcpyDeviceToHost));
  for (size_t i = 0; i < bits.size (); i++) {
    const double error = fabs (__bfloat162float (bits[i]) - expected[i]) / (fabs (expected[i]) + 0.1);
    worst = error <= worst ? worst : error; /* a NaN stays */
  }
  n_failed += !(worst < 0.01);
  printf ("%sok %d - %s: relative error %.2g\n", worst < 0.01 ? "" : "not ", ++n_tests, name, worst);
}

static void
test_rms_norm (int rows, int columns)
{
  Array x = array_of ((size_t) rows * columns), w = array_of (columns),
        y = array_of ((size_t) rows * columns);
  const cudaLaunchConfig_t config = launch_config (dim3 (rows), dim3 (NORM_THREADS), 0, 0);
  std::vector<double> expected;

  MUST (cudaLaunchKernelEx (&config, rms_norm, y.device, (const bf16 *) x.device,
      (const bf16 *) w.device, columns, 1e-6f));
  for (int r = 0; r < rows; r++) {
    double sum = 0;
    for (int i = 0; i < columns; i++)
      sum += x.host[r * columns + i] * x.host[r * columns + i];
    for (int i = 0; i < columns; i++)
      expected.push_back (x.host[r * columns + i] / sqrt (sum / columns + 1e-6) * w.host[i]);
  }
  compare ("rms_norm", y, expected);
  for (bf16 *p : { x.device, w.device, y.device })
    MUST (cudaFree (p));
}

/* C = A · Wᵀ row by row is Cᵀ = W · Aᵀ column by column, which is how cuBLASLt sees it. */
static void
library_matmul (bf16 *C, const bf16 *A, const bf16 *W, int m, int n, int k)
{
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const size_t workspace = 0;
  const float one = 1, zero = 0;
  cublasLtHandle_t lt;
  cublasLtMatmulDesc_t what;
  cublasLtMatrixLayout_t w, a, c;
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulHeuristicResult_t best;
  int found;

  MUST (cublasLtCreate (&lt));
  MUST (cublasLtMatmulDescCreate (&what, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  MUST (cublasLtMatmulDescSetAttribute (what, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
      sizeof transposed));
  MUST (cublasLtMatrixLayoutCreate (&w, CUDA_R_16BF, k, n, k));
  MUST (cublasLtMatrixLayoutCreate (&a, CUDA_R_16BF, k, m, k));
  MUST (cublasLtMatrixLayoutCreate (&c, CUDA_R_16BF, n, m, n));
  MUST (cublasLtMatmulPreferenceCreate (&preference));
  MUST (cublasLtMatmulPreferenceSetAttribute (preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
      &workspace, sizeof workspace));
  MUST (cublasLtMatmulAlgoGetHeuristic (lt, what, w, a, c, c, preference, 1, &best, &found));
  MUST (cublasLtMatmul (lt, what, &one, W, w, A, a, &zero, C, c, C, c, &best.algo, nullptr, 0, 0));
  MUST (cublasLtMatmulPreferenceDestroy (preference));
  for (cublasLtMatrixLayout_t layout : { w, a, c })
    MUST (cublasLtMatrixLayoutDestroy (layout));
  MUST (cublasLtMatmulDescDestroy (what));
  MUST (cublasLtDestroy (lt));
}

static void
test_matmul (int m, int n, int k)
{
  Array A = array_of ((size_t) m * k), W = array_of ((size_t) n * k), C = array_of ((size_t) m * n);
  const cudaLaunchConfig_t config = launch_config (dim3 ((n + TILE - 1) / TILE, (m + TILE - 1) / TILE),
      dim3 (MATMUL_THREADS), TILE * OUT_LINE * sizeof (float), 0);
  std::vector<double> expected;

  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int l = 0; l < k; l++)
        sum += A.host[i * k + l] * W.host[j * k + l];
      expected.push_back (sum);
    }
  MUST (cudaLaunchKernelEx (&config, matmul, C.device, (const bf16 *) A.device, (const bf16 *) W.device,
      m, n, k));
  compare ("matmul on tensor cores", C, expected);
  MUST (cudaMemset (C.device, 0, (size_t) m * n * sizeof (bf16)));
  library_matmul (C.device, A.device, W.device, m, n, k);
  compare ("matmul of cuBLASLt", C, expected);
  for (bf16 *p : { A.device, W.device, C.device })
    MUST (cudaFree (p));
}

static std::vector<double>
plain_attention (const Array &q, const Array &K, const Array &V, int heads, int length)
{
  std::vector<double> out;

  for (int h = 0; h < heads; h++) {
    std::vector<double> p (length);
    double total = 0;
    for (int t = 0; t < length; t++) {
      for (int i = 0; i < HEAD; i++)
        p[t] += q.host[h * HEAD + i] * K.host[(t * heads + h) * HEAD + i];
      total += p[t] = exp (p[t] / sqrt ((double) HEAD));
    }
    for (int i = 0; i < HEAD; i++) {
      double sum = 0;
      for (int t = 0; t < length; t++)
        sum += p[t] * V.host[(t * heads + h) * HEAD + i];
      out.push_back (sum / total);
    }
  }
  return out;
}

/* As a graph, captured on a stream that forks and joins, replayed. */
static void
test_attention (int heads, int length, int splits)
{
  Array q = array_of (heads * HEAD), K = array_of ((size_t) length * heads * HEAD),
        V = array_of ((size_t) length * heads * HEAD), o = array_of (heads * HEAD);
  float *partial;
  cudaStream_t stream, other;
  cudaEvent_t fork, join;
  cudaGraph_t graph;
  cudaGraphExec_t exec;

  MUST (cudaMalloc ((void **) &partial, (size_t) heads * splits * PARTIAL * sizeof (float)));
  MUST (cudaStreamCreateWithFlags (&stream, cudaStreamNonBlocking));
  MUST (cudaStreamCreateWithFlags (&other, cudaStreamNonBlocking));
  MUST (cudaEventCreateWithFlags (&fork, cudaEventDisableTiming));
  MUST (cudaEventCreateWithFlags (&join, cudaEventDisableTiming));
  MUST (cudaDeviceSynchronize ());
  MUST (cudaStreamBeginCapture (stream, cudaStreamCaptureModeGlobal));
  MUST (cudaEventRecord (fork, stream));
  MUST (cudaStreamWaitEvent (other, fork, 0));
  cudaLaunchConfig_t config =
      launch_config (dim3 (heads, splits), dim3 (ATTEND_WARPS * WARP), 0, other);
  MUST (cudaLaunchKernelEx (&config, attend_split, partial, (const bf16 *) q.device,
      (const bf16 *) K.device, (const bf16 *) V.device, length));
  MUST (cudaEventRecord (join, other));
  MUST (cudaStreamWaitEvent (stream, join, 0));
  config = launch_config (dim3 (heads), dim3 (HEAD), 0, stream);
  MUST (cudaLaunchKernelEx (&config, attend_merge, o.device, (const float *) partial, splits));
  MUST (cudaStreamEndCapture (stream, &graph));
  MUST (cudaGraphInstantiate (&exec, graph, 0));
  for (int i = 0; i < 2; i++)
    MUST (cudaGraphLaunch (exec, stream));
  MUST (cudaStreamSynchronize (stream));
  compare ("attention, a graph", o, plain_attention (q, K, V, heads, length));
  MUST (cudaGraphExecDestroy (exec));
  MUST (cudaGraphDestroy (graph));
  for (cudaEvent_t e : { fork, join })
    MUST (cudaEventDestroy (e));
  for (cudaStream_t s : { stream, other })
    MUST (cudaStreamDestroy (s));
  MUST (cudaFree (partial));
  for (bf16 *p : { q.device, K.device, V.device, o.device })
    MUST (cudaFree (p));
}

int
main ()
{
  test_rms_norm (3, 512);
  test_rms_norm (2, 1290);
  test_matmul (32, 32, 16);
  test_matmul (5, 72, 40);
  test_matmul (65, 33, 136);
  test_attention (3, 37, 3);
  test_attention (2, 3, 8);
  printf ("1..%d\n", n_tests);
  return n_failed != 0;
}
