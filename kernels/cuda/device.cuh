/* dsvl2: what CUDA's op families share: launching, loading weights, sums over a warp
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rules for kernels: every thread of a block reaches every barrier, every lane of a warp every shuffle;
 * __syncwarp stands between a write to shared memory and another lane's reading it; no variable lives in
 * the device's global scope; inline PTX stands in ptx.cuh alone. tests/cuda runs them on the CPU and checks that. */
#ifndef DSVL2_DEVICE_CUH
#define DSVL2_DEVICE_CUH

#include "cuda.h"
#include "ptx.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <math_constants.h>

/* A kernel for blocks of so many threads. */
#define KERNEL(threads) static __global__ void __launch_bounds__ (threads)

static inline int
ceil_div (int a, int b)
{
  return (a + b - 1) / b;
}

/* Enqueues a kernel; an empty grid is nothing to do. `what` continues "could not". After a failure nothing runs: what
 * a kernel would read may not be there, and indices in it lead anywhere. */
template <typename... Parameters, typename... Arguments>
static void
launch (Cuda *c, const char *what, void (*kernel) (Parameters...), dim3 grid, int threads,
    size_t shared_bytes, Arguments... arguments)
{
  cudaLaunchConfig_t config = {};

  if (c->failure[0] != '\0' || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
      !cuda_check (c, cudaSetDevice (c->device), "be used"))
    return;
  if (shared_bytes > SHARED_UNASKED && !allow_shared (c, (const void *) kernel, what))
    return;
  config.gridDim = grid;
  config.blockDim = dim3 (threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = c->stream;
  cuda_check (c, cudaLaunchKernelEx (&config, kernel, Parameters (arguments)...), what);
}

/* --- weights ------------------------------------------------------------------------------------- */

static __device__ __forceinline__ float
to_float (float v)
{
  return v;
}

static __device__ __forceinline__ float
to_float (__half v)
{
  return __half2float (v);
}

static __device__ __forceinline__ float
to_float (__nv_bfloat16 v)
{
  return __bfloat162float (v);
}

/* Eight elements, 16-byte aligned. */
static __device__ __forceinline__ void
load_eight (float v[8], const float *p)
{
  const float4 a = reinterpret_cast<const float4 *> (p)[0], b = reinterpret_cast<const float4 *> (p)[1];

  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
  v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

template <typename Half>
static __device__ __forceinline__ void
load_eight (float v[8], const Half *p)
{
  const uint4 bits = *reinterpret_cast<const uint4 *> (p);
  const Half *h = reinterpret_cast<const Half *> (&bits);

#pragma unroll
  for (int i = 0; i < 8; i++)
    v[i] = to_float (h[i]);
}

/* Calls f with w's data as what it is. */
template <typename F>
static void
with_type (const Weight *w, F f)
{
  switch (w->type) {
    case WEIGHT_F16:
      f (static_cast<const __half *> (w->data));
      break;
    case WEIGHT_BF16:
      f (static_cast<const __nv_bfloat16 *> (w->data));
      break;
    default:
      f (static_cast<const float *> (w->data));
  }
}

/* --- a warp -------------------------------------------------------------------------------------- */

enum { WARP = 32 };
static const unsigned ALL_LANES = 0xffffffff;

/* Every lane gets the sum over all lanes, the same bits. */
static __device__ __forceinline__ float
warp_sum (float v)
{
#pragma unroll
  for (int step = WARP / 2; step > 0; step /= 2)
    v += __shfl_xor_sync (ALL_LANES, v, step);
  return v;
}

static __device__ __forceinline__ float
warp_max (float v)
{
#pragma unroll
  for (int step = WARP / 2; step > 0; step /= 2)
    v = fmaxf (v, __shfl_xor_sync (ALL_LANES, v, step));
  return v;
}

/* The sum over a block of `threads`; `shared` has a float for each warp. Ends with a barrier. */
template <int threads>
static __device__ __forceinline__ float
block_sum (float v, float *shared)
{
  float sum = 0;

  v = warp_sum (v);
  if (threadIdx.x % WARP == 0)
    shared[threadIdx.x / WARP] = v;
  __syncthreads ();
  for (int i = 0; i < threads / WARP; i++)
    sum += shared[i];
  __syncthreads ();
  return sum;
}

/* Σ x[i] · w[i] over i < n, the same bits in every lane: lanes take eight neighbours each where
 * `aligned` (rows of x and w 16-byte aligned, n a multiple of 8), else every 32nd. */
template <typename W>
static __device__ __forceinline__ float
warp_dot (const float *x, const W *w, int n, bool aligned)
{
  const int lane = threadIdx.x % WARP;
  float sum = 0;

  if (aligned) {
    for (int i = lane * 8; i < n; i += WARP * 8) {
      float a[8], b[8];

      load_eight (a, x + i);
      load_eight (b, w + i);
#pragma unroll
      for (int j = 0; j < 8; j++)
        sum += a[j] * b[j];
    }
  } else {
    for (int i = lane; i < n; i += WARP)
      sum += x[i] * to_float (w[i]);
  }
  return warp_sum (sum);
}

static inline bool
aligned_16 (const void *p)
{
  return (uintptr_t) p % 16 == 0;
}

static __device__ __forceinline__ float
silu (float v)
{
  return v / (1 + expf (-v));
}

#endif
