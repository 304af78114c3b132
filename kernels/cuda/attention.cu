/* dsvl2: attention on CUDA, inside tiles and over the pages of a cache
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A block a query: scores of CHUNK keys, a warp each, then the running softmax (Milakov and Gimelshein
 * 2018) over them, each thread with columns of its own. Chunks begin at fixed positions, so a row comes
 * out the same whatever else is in the launch. */
#include "device.cuh"

enum {
  THREADS = 128,
  CHUNK = 64,
  OWN_COLUMNS = 4, /* of a thread */
  COLUMNS = THREADS * OWN_COLUMNS,
};

/* Where queries, keys and values are. Without pages a tile of `page_tokens` rows is one. */
typedef struct {
  float *out;
  const float *q, *k, *v;
  size_t q_row;
  int H, kv_heads, dk, dv, k_width, v_width;
  float scale;
  StepRows rows;
} Attention;

static __device__ __forceinline__ size_t
slot (const Attention &a, int t, int j)
{
  const StepRows &r = a.rows;
  int page;

  if (!r.pages)
    return (size_t) (t / r.page_tokens) * r.page_tokens + j;
  page = r.pages[(size_t) r.sequence[t] * r.pages_per_sequence + j / r.page_tokens];
  return (size_t) page * r.page_tokens + j % r.page_tokens;
}

/* p[j] = q · k_j · scale for the keys first … first + n − 1 */
static __device__ __forceinline__ void
score_chunk (float *p, const Attention &a, const float *q, int t, int kv_head, int first, int n)
{
  for (int j = threadIdx.x / WARP; j < n; j += THREADS / WARP) {
    const float *key = a.k + slot (a, t, first + j) * a.k_width + kv_head * a.dk;
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
  const int n_keys = a.rows.pages ? a.rows.position[t] + 1 : a.rows.page_tokens;
  float out[OWN_COLUMNS] = {}, sum = 0, largest = -CUDART_INF_F;

  for (int i = threadIdx.x; i < a.dk; i += THREADS)
    q[i] = a.q[t * a.q_row + (size_t) h * a.dk + i];
  __syncthreads ();
  for (int first = 0; first < n_keys; first += CHUNK) {
    const int n = min (CHUNK, n_keys - first);
    float before = largest, fade;

    score_chunk (p, a, q, t, kv_head, first, n);
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
      const float *v = a.v + slot (a, t, first + j) * a.v_width + (size_t) kv_head * a.dv;

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

static void
run (Ops *k, const char *what, const Attention &a)
{
  launch (cuda (k), what, attend_row, dim3 (a.rows.T, a.H, ceil_div (a.dv, COLUMNS)), THREADS,
      a.dk * sizeof (float), a);
}

static void
attend_tiles (Ops *k, float *out, const float *qkv, int N, int P, int H, int d)
{
  Attention a = {};

  a.out = out;
  a.q = qkv;
  a.k = qkv + H * d;
  a.v = qkv + 2 * H * d;
  a.q_row = a.k_width = a.v_width = 3 * H * d;
  a.H = a.kv_heads = H;
  a.dk = a.dv = d;
  a.scale = (float) (1 / sqrt (d));
  a.rows.T = N * P;
  a.rows.page_tokens = P;
  run (k, "run attend_tiles", a);
}

static void
attend (Ops *k, float *out, const float *q, const float *k_pool, const float *v_pool,
    const AttentionShape *shape, const StepRows *rows)
{
  Attention a = {};

  a.out = out;
  a.q = q;
  a.k = k_pool;
  a.v = v_pool;
  a.q_row = (size_t) shape->H * shape->dk;
  a.H = shape->H;
  a.kv_heads = shape->kv_heads;
  a.dk = shape->dk;
  a.dv = shape->dv;
  a.k_width = shape->k_width;
  a.v_width = shape->v_width;
  a.scale = shape->scale;
  a.rows = *rows;
  run (k, "run attend", a);
}

KERNEL (THREADS)
kv_write_row (float *pool, const float *x, int x_row, int width, StepRows rows)
{
  const int t = blockIdx.x, position = rows.position[t];
  const int page =
      rows.pages[(size_t) rows.sequence[t] * rows.pages_per_sequence + position / rows.page_tokens];
  const size_t to = (size_t) page * rows.page_tokens + position % rows.page_tokens;

  for (int i = threadIdx.x; i < width; i += THREADS)
    pool[to * width + i] = x[(size_t) t * x_row + i];
}

static void
kv_write (Ops *k, float *pool, const float *x, int x_row, int width, const StepRows *rows)
{
  launch (cuda (k), "run kv_write", kv_write_row, rows->T, THREADS, 0, pool, x, x_row, width, *rows);
}

void
cuda_fill_attention (Ops *k)
{
  k->attend_tiles = attend_tiles;
  k->attend = attend;
  k->kv_write = kv_write;
}
