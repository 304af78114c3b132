/* dsvl2: the CUDA stand-in's own tests: what their kernels and hosts share
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STANDIN_EXAMPLE_CUH
#define STANDIN_EXAMPLE_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef __nv_bfloat16 bf16;

enum { WARP = 32 };
#define ALL_LANES 0xffffffffu

static __device__ __forceinline__ float
warp_sum (float v)
{
  for (int step = WARP / 2; step; step /= 2)
    v += __shfl_xor_sync (ALL_LANES, v, step);
  return v;
}

static inline cudaLaunchConfig_t
launch_config (dim3 grid, dim3 block, size_t dynamic_bytes, cudaStream_t stream)
{
  cudaLaunchConfig_t config = {};

  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_bytes;
  config.stream = stream;
  return config;
}

/* Ends the test when a call fails. */
#define MUST(call)                                                                                     \
  do {                                                                                                 \
    const int error_ = (int) (call);                                                                   \
    if (error_) {                                                                                      \
      printf ("%s:%d: %s gives %d\n", __FILE__, __LINE__, #call, error_);                              \
      exit (1);                                                                                        \
    }                                                                                                  \
  } while (0)

#endif
