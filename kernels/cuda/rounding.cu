/* dsvl2: rows rounded to bf16 and back on CUDA, for libraries that take nothing else
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A thread has eight neighbours: 32 bytes on one side, 16 on the other, each in one or two loads or stores where
 * the floats are `aligned`. */
#include "device.cuh"

enum { THREADS = 256, EACH = 8 };

static dim3
blocks (size_t n)
{
  return dim3 ((unsigned) ((n + THREADS * EACH - 1) / (THREADS * EACH)));
}

KERNEL (THREADS)
round_eight (__nv_bfloat16 *y, const float *x, size_t n, bool aligned)
{
  const size_t at = ((size_t) blockIdx.x * THREADS + threadIdx.x) * EACH;

  if (aligned && at + EACH <= n) {
    float v[EACH];
    __nv_bfloat16 rounded[EACH];
    uint4 bits;

    load_eight (v, x + at);
#pragma unroll
    for (int i = 0; i < EACH; i++)
      rounded[i] = __float2bfloat16_rn (v[i]);
    memcpy (&bits, rounded, sizeof bits);
    *reinterpret_cast<uint4 *> (y + at) = bits;
  } else {
    for (size_t i = at; i < n && i < at + EACH; i++)
      y[i] = __float2bfloat16_rn (x[i]);
  }
}

KERNEL (THREADS)
widen_eight (float *y, const __nv_bfloat16 *x, size_t n, bool aligned)
{
  const size_t at = ((size_t) blockIdx.x * THREADS + threadIdx.x) * EACH;

  if (aligned && at + EACH <= n) {
    float v[EACH];

    load_eight (v, x + at);
    reinterpret_cast<float4 *> (y + at)[0] = make_float4 (v[0], v[1], v[2], v[3]);
    reinterpret_cast<float4 *> (y + at)[1] = make_float4 (v[4], v[5], v[6], v[7]);
  } else {
    for (size_t i = at; i < n && i < at + EACH; i++)
      y[i] = __bfloat162float (x[i]);
  }
}

void
round_to_bf16 (Cuda *c, void *y, const float *x, size_t n)
{
  launch (c, "round to bf16", round_eight, blocks (n), THREADS, 0, static_cast<__nv_bfloat16 *> (y), x,
      n, aligned_16 (x));
}

void
widen_bf16 (Cuda *c, float *y, const void *x, size_t n)
{
  launch (c, "widen bf16", widen_eight, blocks (n), THREADS, 0, y,
      static_cast<const __nv_bfloat16 *> (x), n, aligned_16 (y));
}
