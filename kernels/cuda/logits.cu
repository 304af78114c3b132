/* dsvl2: the most likely token on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A block a row. */
#include "device.cuh"

#include <limits.h>

enum { THREADS = 512 };

/* The larger number, of equals the lower index. */
static __device__ __forceinline__ void
take_larger (float *best, int *index, float other, int other_index)
{
  if (other > *best || (other == *best && other_index < *index)) {
    *best = other;
    *index = other_index;
  }
}

KERNEL (THREADS)
argmax_row (int32_t *ids, float *logprobs, const float *logits, int V)
{
  __shared__ float best_of[THREADS / WARP], sums[THREADS / WARP];
  __shared__ int index_of[THREADS / WARP];
  float best = -CUDART_INF_F, sum = 0;
  int index = INT_MAX; /* there is none above −∞ */

  logits += (size_t) blockIdx.x * V;
  for (int v = threadIdx.x; v < V; v += THREADS)
    if (logits[v] > best) {
      best = logits[v];
      index = v;
    }
#pragma unroll
  for (int step = WARP / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync (ALL_LANES, best, step);
    const int other_index = __shfl_xor_sync (ALL_LANES, index, step);

    take_larger (&best, &index, other, other_index);
  }
  if (threadIdx.x % WARP == 0) {
    best_of[threadIdx.x / WARP] = best;
    index_of[threadIdx.x / WARP] = index;
  }
  __syncthreads ();
  for (int i = 0; i < THREADS / WARP; i++)
    take_larger (&best, &index, best_of[i], index_of[i]);

  for (int v = threadIdx.x; v < V; v += THREADS)
    if (!isnan (logits[v]))
      sum += expf (logits[v] - best);
  sum = block_sum<THREADS> (sum, sums);
  if (threadIdx.x == 0) {
    ids[blockIdx.x] = index == INT_MAX ? 0 : index;
    logprobs[blockIdx.x] = isinf (best) ? fminf (best, 0) : -logf (sum);
  }
}

static void
argmax (Ops *k, int32_t *ids, float *logprobs, const float *logits, int T, int V)
{
  launch (cuda (k), "run argmax", argmax_row, T, THREADS, 0, ids, logprobs, logits, V);
}

void
cuda_fill_logits (Ops *k)
{
  k->argmax = argmax;
}
