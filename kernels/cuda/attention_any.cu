/* dsvl2: attention on CUDA for widths that attention.cu does not take
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A block a query: scores of CHUNK keys, a warp each, then the running softmax over them, each thread with
 * columns of its own. Chunks begin at fixed positions. */
#include "attention.cuh"

enum {
  THREADS = 128,
  CHUNK = 64,
  OWN_COLUMNS = 4, /* of a thread */
  COLUMNS = THREADS * OWN_COLUMNS,
};

/* p[j] = q · k_j · scale for the keys first … first + n − 1 */
static __device__ __forceinline__ void
score_chunk (float *p, const Attention &a, const float *q, int sequence, int kv_head, int first, int n)
{
  for (int j = threadIdx.x / WARP; j < n; j += THREADS / WARP) {
    const float *key = a.k + slot (a, sequence, first + j) * a.k_width + kv_head * a.dk;
    const float score = warp_dot (q, key, a.dk, false) * a.scale;

    if (threadIdx.x % WARP == 0)
      p[j] = score;
  }
}

static __device__ __forceinline__ float
largest_of (const float *p, int n)
{
  float largest = -CUDART_INF_F;

  for (int j = threadIdx.x % WARP; j < n; j += WARP)
    largest = fmaxf (largest, p[j]);
  return warp_max (largest);
}

KERNEL (THREADS)
attend_row (Attention a)
{
  DYNAMIC_SHARED (float, q); /* [dk] */
  __shared__ float p[CHUNK];
  const int t = blockIdx.x, h = blockIdx.y, kv_head = h / (a.H / a.kv_heads);
  const int column = blockIdx.z * COLUMNS + threadIdx.x;
  const int n_keys = keys_of (a, t), sequence = sequence_of (a, t);
  float out[OWN_COLUMNS] = {}, sum = 0, largest = -CUDART_INF_F;

  for (int i = threadIdx.x; i < a.dk; i += THREADS)
    q[i] = a.q[t * a.q_row + (size_t) h * a.dk + i];
  __syncthreads ();
  for (int first = 0; first < n_keys; first += CHUNK) {
    const int n = min (CHUNK, n_keys - first);
    float before = largest, fade;

    score_chunk (p, a, q, sequence, kv_head, first, n);
    __syncthreads ();
    largest = fmaxf (before, largest_of (p, n));
    fade = expf (before - largest);
    __syncthreads ();
    for (int j = threadIdx.x; j < n; j += THREADS)
      p[j] = expf (p[j] - largest);
    __syncthreads ();
    sum *= fade;
    for (int i = 0; i < OWN_COLUMNS; i++)
      out[i] *= fade;
    for (int j = 0; j < n; j++) {
      const float *v = a.v + slot (a, sequence, first + j) * a.v_width + (size_t) kv_head * a.dv;

      sum += p[j];
#pragma unroll
      for (int i = 0; i < OWN_COLUMNS; i++)
        if (column + i * THREADS < a.dv)
          out[i] += p[j] * v[column + i * THREADS];
    }
    __syncthreads ();
  }
#pragma unroll
  for (int i = 0; i < OWN_COLUMNS; i++)
    if (column + i * THREADS < a.dv)
      a.out[((size_t) t * a.H + h) * a.dv + column + i * THREADS] = out[i] / sum;
}

void
attend_any (Cuda *c, const char *what, const Attention &a)
{
  launch (c, what, attend_row, dim3 (a.rows.T, a.H, ceil_div (a.dv, COLUMNS)), THREADS,
      a.dk * sizeof (float), a);
}
