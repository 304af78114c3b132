/* dsvl2: attention on CUDA, inside tiles and over the pages of a cache
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * FlashAttention (Dao et al. 2022) with a fixed order of sums: KEYS keys at a time update a running softmax
 * (Milakov and Gimelshein 2018) over a split of ATTEND_SPLIT positions, then splits are merged one after the
 * other. Both begin at fixed positions, so a row comes out the same whether a block goes through all splits of
 * many rows, or a block a split does it for one row and join_splits merges them (flash-decoding). */
#include "attention.cuh"

#include <cuda_pipeline_primitives.h>

enum { THREADS = 256, WARPS = THREADS / WARP, QUADS = WARP / 4 };

/* The rows of a block: queries of one key head, heads of a token side by side. */
template <int ROWS> struct Rows {
  int t[ROWS], head[ROWS], sequence[ROWS], last[ROWS]; /* t < 0: none */
};

/* What a warp knows of a row so far: Σ p v, each lane with columns of its own, Σ p, the largest score. */
template <int COLUMNS> struct Sums {
  float4 v[COLUMNS];
  float p, largest;
};

static __device__ __forceinline__ void
add_scaled (float4 &sum, float p, const float4 &v)
{
  sum.x = fmaf (p, v.x, sum.x);
  sum.y = fmaf (p, v.y, sum.y);
  sum.z = fmaf (p, v.z, sum.z);
  sum.w = fmaf (p, v.w, sum.w);
}

static __device__ __forceinline__ void
scale_by (float4 &v, float by)
{
  v.x *= by;
  v.y *= by;
  v.z *= by;
  v.w *= by;
}

template <int COLUMNS>
static __device__ __forceinline__ void
clear (Sums<COLUMNS> &s)
{
#pragma unroll
  for (int i = 0; i < COLUMNS; i++)
    s.v[i] = make_float4 (0, 0, 0, 0);
  s.p = 0;
  s.largest = -CUDART_INF_F;
}

/* all += split; they are the same operations wherever it is done. */
template <int COLUMNS>
static __device__ __forceinline__ void
merge (Sums<COLUMNS> &all, const Sums<COLUMNS> &split)
{
  const float largest = fmaxf (all.largest, split.largest);
  const float keep = expf (all.largest - largest), take = expf (split.largest - largest);

#pragma unroll
  for (int i = 0; i < COLUMNS; i++) {
    scale_by (all.v[i], keep);
    add_scaled (all.v[i], take, split.v[i]);
  }
  all.p = fmaf (take, split.p, __fmul_rn (all.p, keep));
  all.largest = largest;
}

/* --- a block's rows ------------------------------------------------------------------------------ */

/* The block's rows among T tokens; with splits those of one token alone. Ends with a barrier. */
template <int ROWS, bool SPLITS>
static __device__ __forceinline__ void
find_rows (Rows<ROWS> &rows, const Attention &a)
{
  const int group = a.H / a.kv_heads, tiles = (group + ROWS - 1) / ROWS, r = threadIdx.x;

  if (r < ROWS) {
    const size_t i = (size_t) blockIdx.x * ROWS + r;
    const int g = SPLITS ? blockIdx.x % tiles * ROWS + r : (int) (i % group);
    const int t = SPLITS ? blockIdx.x / tiles : (int) (i / group);
    const bool is = t < a.rows.T && g < group;

    rows.t[r] = is ? t : -1;
    rows.head[r] = blockIdx.y * group + g;
    rows.sequence[r] = is ? sequence_of (a, t) : -1;
    rows.last[r] = is ? keys_of (a, t) - 1 : -1;
  }
  __syncthreads ();
}

/* How many rows of a block need a place for their queries: with splits, one token's, in whole warps. */
template <int ROWS, int R>
static __host__ __device__ __forceinline__ int
query_rows (int group, bool splits)
{
  const int rows = (group + R - 1) / R * R;

  return splits && rows < ROWS ? rows : ROWS;
}

/* Rows that are none get zeros. */
template <int ROWS>
static __device__ __forceinline__ void
load_queries (float *q, const Rows<ROWS> &rows, const Attention &a, int n)
{
#pragma unroll 1
  for (int r = threadIdx.x / WARP; r < n; r += WARPS) {
    const int t = rows.t[r];
    const float *from = a.q + (t < 0 ? 0 : t * a.q_row + (size_t) rows.head[r] * a.dk);

#pragma unroll 1
    for (int i = threadIdx.x % WARP * 4; i < a.dk; i += WARP * 4)
      *reinterpret_cast<float4 *> (q + r * a.dk + i) =
          t < 0 ? make_float4 (0, 0, 0, 0) : *reinterpret_cast<const float4 *> (from + i);
  }
}

/* --- keys and values ----------------------------------------------------------------------------- */

/* rows [n, to_width] ← width floats of the slots' rows of a pool */
static __device__ __forceinline__ void
load_slots (float *to, int to_width, const float *pool, int pool_width, const size_t *slots, int n,
    int width)
{
#pragma unroll 1
  for (int j = threadIdx.x / WARP; j < n; j += WARPS)
#pragma unroll 2
    for (int i = threadIdx.x % WARP * 4; i < width; i += WARP * 4)
      __pipeline_memcpy_async (to + j * to_width + i, pool + slots[j] * pool_width + i, 16);
}

/* Brings n keys from `first` on, and their values unless those are a part of the keys. The barrier at the
 * start lets the last ones be done with. */
static __device__ __forceinline__ void
load_keys (float *keys, float *values, size_t *slots, const Attention &a, int sequence, int first,
    int n)
{
  if ((int) threadIdx.x < n)
    slots[threadIdx.x] = slot (a, sequence, first + threadIdx.x);
  __syncthreads ();
  load_slots (keys, a.key_stride, a.k + blockIdx.y * a.dk, a.k_width, slots, n, a.dk);
  if (!a.values_are_keys)
    load_slots (values, a.dv, a.v + blockIdx.y * a.dv, a.v_width, slots, n, a.dv);
  __pipeline_commit ();
  __pipeline_wait_prior (0);
  __syncthreads ();
}

/* score[r][j / QUADS] = q[r] · k_j · scale, four lanes a key; every lane of the four has it. */
template <int R, int KEYS>
static __device__ __forceinline__ void
score_keys (float score[R][KEYS / QUADS], const float *q, const float *keys, const Attention &a, int n)
{
  const int quad = threadIdx.x % WARP / 4, part = threadIdx.x % 4 * 4;

#pragma unroll
  for (int round = 0; round < KEYS / QUADS; round++) {
    const float *key = keys + min (round * QUADS + quad, n - 1) * a.key_stride;

#pragma unroll
    for (int r = 0; r < R; r++)
      score[r][round] = 0;
#pragma unroll 2
    for (int i = part; i < a.dk; i += 16) {
      const float4 k = *reinterpret_cast<const float4 *> (key + i);

#pragma unroll
      for (int r = 0; r < R; r++) {
        const float4 x = *reinterpret_cast<const float4 *> (q + r * a.dk + i);
        float &sum = score[r][round];

        sum = fmaf (x.w, k.w, fmaf (x.z, k.z, fmaf (x.y, k.y, fmaf (x.x, k.x, sum))));
      }
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
      score[r][round] += __shfl_xor_sync (ALL_LANES, score[r][round], 1);
      score[r][round] += __shfl_xor_sync (ALL_LANES, score[r][round], 2);
      score[r][round] = __fmul_rn (score[r][round], a.scale);
    }
  }
}

/* From scores to p [KEYS], of which `visible` count: the running softmax moves on. */
template <int COLUMNS, int KEYS>
static __device__ __forceinline__ void
soften (float *p, Sums<COLUMNS> &s, const float score[KEYS / QUADS], int visible)
{
  const int quad = threadIdx.x % WARP / 4;
  float largest = s.largest, sum = 0, fade;

#pragma unroll
  for (int round = 0; round < KEYS / QUADS; round++)
    if (round * QUADS + quad < visible)
      largest = fmaxf (largest, score[round]);
#pragma unroll
  for (int step = 4; step < WARP; step *= 2)
    largest = fmaxf (largest, __shfl_xor_sync (ALL_LANES, largest, step));
  fade = expf (s.largest - largest);
#pragma unroll
  for (int round = 0; round < KEYS / QUADS; round++) {
    const int j = round * QUADS + quad;
    const float v = j < visible ? expf (score[round] - largest) : 0;

    sum += v;
    if (threadIdx.x % 4 == 0)
      p[j] = v;
  }
#pragma unroll
  for (int step = 4; step < WARP; step *= 2)
    sum += __shfl_xor_sync (ALL_LANES, sum, step);
  s.p = fmaf (s.p, fade, sum);
  s.largest = largest;
#pragma unroll
  for (int i = 0; i < COLUMNS; i++)
    scale_by (s.v[i], fade);
}

/* s[r] += Σ_j p[r][j] v_j; a key that row r may not see does not touch it. */
template <int COLUMNS, int R, int KEYS>
static __device__ __forceinline__ void
add_values (Sums<COLUMNS> s[R], const float (*p)[KEYS], const float *values, const Attention &a,
    const int visible[R], int n)
{
  const int stride = a.values_are_keys ? a.key_stride : a.dv, lane = threadIdx.x % WARP;

#pragma unroll 1
  for (int j = 0; j < n; j++) {
#pragma unroll
    for (int i = 0; i < COLUMNS; i++) {
      const int column = (i * WARP + lane) * 4;

      if (column < a.dv) {
        const float4 v = *reinterpret_cast<const float4 *> (values + j * stride + column);

#pragma unroll
        for (int r = 0; r < R; r++)
          if (j < visible[r])
            add_scaled (s[r].v[i], p[r][j], v);
      }
    }
  }
}

/* --- splits -------------------------------------------------------------------------------------- */

/* Where a row keeps what a split adds: dv floats of Σ p v, and apart Σ p and the largest score. */
static __device__ __forceinline__ size_t
split_index (const Attention &a, int t, int head, int split)
{
  return ((size_t) t * a.H + head) * a.splits + split;
}

static __device__ __forceinline__ float2 *
split_ends (const Attention &a)
{
  return reinterpret_cast<float2 *> (a.partial + (size_t) a.rows.T * a.H * a.splits * a.dv);
}

template <int COLUMNS>
static __device__ __forceinline__ void
store (float *to, const Sums<COLUMNS> &s, int dv, float by)
{
#pragma unroll
  for (int i = 0; i < COLUMNS; i++) {
    const int column = (i * WARP + threadIdx.x % WARP) * 4;
    float4 v = s.v[i];

    scale_by (v, by);
    if (column < dv)
      *reinterpret_cast<float4 *> (to + column) = v;
  }
}

template <int COLUMNS>
static __device__ __forceinline__ void
store_split (const Attention &a, int t, int head, const Sums<COLUMNS> &s)
{
  const size_t i = split_index (a, t, head, blockIdx.z);

  store (a.partial + i * a.dv, s, a.dv, 1);
  if (threadIdx.x % WARP == 0)
    split_ends (a)[i] = make_float2 (s.p, s.largest);
}

/* Rows begin … end − 1 of the block, one sequence's, over the splits that are this block's. Each warp has R
 * rows; one that is not among them only helps to load. */
template <int COLUMNS, int R, int KEYS, bool SPLITS>
static __device__ __forceinline__ void
attend_rows (const Attention &a, const Rows<R * WARPS> &rows, int begin, int end, const float *q,
    float *keys, float *values, float (*p)[KEYS], size_t *slots)
{
  const int own = threadIdx.x / WARP * R;
  const bool works = own < end && own + R > begin;
  Sums<COLUMNS> all[R], part[R];
  int last = -1, split = SPLITS ? blockIdx.z : 0;

#pragma unroll 1
  for (int r = begin; r < end; r++)
    last = max (last, rows.last[r]);
#pragma unroll
  for (int r = 0; r < R; r++)
    clear (all[r]);
  do {
    const int start = split * ATTEND_SPLIT, stop = min (start + ATTEND_SPLIT, last + 1);
    int own_last[R];

#pragma unroll
    for (int r = 0; r < R; r++) {
      clear (part[r]);
      own_last[r] = own + r >= begin && own + r < end ? rows.last[own + r] : -1;
    }
    for (int first = start; first < stop; first += KEYS) {
      const int n = min (KEYS, stop - first);
      float score[R][KEYS / QUADS];
      int visible[R];

      load_keys (keys, values, slots, a, rows.sequence[begin], first, n);
      if (!works)
        continue;
      score_keys<R, KEYS> (score, q + own * a.dk, keys, a, n);
#pragma unroll
      for (int r = 0; r < R; r++) {
        visible[r] = own_last[r] + 1 - first;
        if (visible[r] > 0)
          soften<COLUMNS, KEYS> (p[own + r], part[r], score[r], visible[r]);
      }
      __syncwarp ();
      /* p changes again behind load_keys's barrier */
      add_values<COLUMNS, R, KEYS> (part, p + own, a.values_are_keys ? keys : values, a, visible, n);
    }
#pragma unroll
    for (int r = 0; r < R; r++)
      if (own_last[r] >= start) {
        if (SPLITS)
          store_split (a, rows.t[own + r], rows.head[own + r], part[r]);
        else
          merge (all[r], part[r]);
      }
  } while (!SPLITS && ++split * ATTEND_SPLIT <= last);

#pragma unroll
  for (int r = 0; r < R; r++)
    if (!SPLITS && own + r >= begin && own + r < end)
      store (a.out + ((size_t) rows.t[own + r] * a.H + rows.head[own + r]) * a.dv, all[r], a.dv,
          1 / all[r].p);
}

/* Block (x, y, z): row tile x of key head y; with splits also split z of one token's. */
template <int COLUMNS, int R, int KEYS, bool SPLITS>
static __global__ void
__launch_bounds__ (THREADS, SPLITS ? 2 : 1) attend_block (Attention a)
{
  enum { ROWS = R * WARPS };
  DYNAMIC_SHARED (float, keys); /* [KEYS, key_stride], [KEYS, dv], [ROWS, dk] */
  __shared__ Rows<ROWS> rows;
  __shared__ float p[ROWS][KEYS];
  __shared__ size_t slots[KEYS];
  float *values = keys + KEYS * a.key_stride, *q = values + (a.values_are_keys ? 0 : KEYS * a.dv);

  find_rows<ROWS, SPLITS> (rows, a);
  if (SPLITS && rows.last[0] < (int) blockIdx.z * ATTEND_SPLIT) /* one token's: the whole block */
    return;
  load_queries (q, rows, a, query_rows<ROWS, R> (a.H / a.kv_heads, SPLITS));
  for (int begin = 0, end; begin < ROWS && rows.t[begin] >= 0; begin = end) {
    for (end = begin; end < ROWS && rows.sequence[end] == rows.sequence[begin]; end++)
      ;
    attend_rows<COLUMNS, R, KEYS, SPLITS> (a, rows, begin, end, q, keys, values, p, slots);
  }
}

/* out ← the splits of a head of a row, a warp each. */
template <int COLUMNS> KERNEL (THREADS) join_splits (Attention a)
{
  const int at = blockIdx.x * WARPS + threadIdx.x / WARP, t = at / a.H, head = at % a.H;
  Sums<COLUMNS> all, part;

  if (t >= a.rows.T) /* the whole warp */
    return;
  clear (all);
  for (int split = 0; split * ATTEND_SPLIT <= a.rows.position[t]; split++) {
    const size_t i = split_index (a, t, head, split);
    const float2 ends = split_ends (a)[i];

    part.p = ends.x;
    part.largest = ends.y;
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
      const int column = (c * WARP + threadIdx.x % WARP) * 4;

      part.v[c] = column < a.dv ? *reinterpret_cast<const float4 *> (a.partial + i * a.dv + column)
                                : make_float4 (0, 0, 0, 0);
    }
    merge (all, part);
  }
  store (a.out + (size_t) at * a.dv, all, a.dv, 1 / all.p);
}

/* --- launching ----------------------------------------------------------------------------------- */

/* Launches the kernel if its columns suffice and the device has so much shared memory for a block. Whether
 * with splits or not, it takes the same shapes. */
template <int COLUMNS, int R, int KEYS>
static bool
try_block (Cuda *c, const char *what, const Attention &a)
{
  enum { ROWS = R * WARPS };
  const int group = a.H / a.kv_heads;
  const size_t values = a.values_are_keys ? 0 : (size_t) KEYS * a.dv;
  const size_t chunk = (size_t) KEYS * a.key_stride + values, most = chunk + (size_t) ROWS * a.dk;
  const size_t shared =
      sizeof (float) * (chunk + (size_t) query_rows<ROWS, R> (group, a.splits > 0) * a.dk);
  const size_t fixed = sizeof (Rows<ROWS>) + sizeof (float) * ROWS * KEYS + sizeof (size_t) * KEYS;
  const size_t tiles = a.splits ? (size_t) a.rows.T * ceil_div (group, ROWS)
                                : ((size_t) a.rows.T * group + ROWS - 1) / ROWS;

  if (a.dv > COLUMNS * WARP * 4 || sizeof (float) * most + fixed > c->most_shared)
    return false;
  if (a.splits) {
    launch (c, what, attend_block<COLUMNS, R, KEYS, true>,
        dim3 ((unsigned) tiles, a.kv_heads, a.splits), THREADS, shared, a);
    launch (c, what, join_splits<COLUMNS>, ceil_div (a.rows.T * a.H, WARPS), THREADS, 0, a);
  } else {
    launch (c, what, attend_block<COLUMNS, R, KEYS, false>, dim3 ((unsigned) tiles, a.kv_heads),
        THREADS, shared, a);
  }
  return true;
}

/* The shape alone decides, so that all rows of one are computed alike. */
static void
run (Ops *k, const char *what, Attention a)
{
  Cuda *c = cuda (k);
  const bool whole = (a.dk | a.dv | a.k_width | a.v_width) % 4 == 0 && a.q_row % 4 == 0;

  a.key_stride = (a.dk + 15) / 32 * 32 + 16; /* eight lanes' 16 bytes lie in different banks */
  a.values_are_keys = a.k == a.v && a.kv_heads == 1 && a.k_width == a.v_width && a.dv <= a.dk;
  if (whole && aligned_16 (a.q) && aligned_16 (a.k) && aligned_16 (a.v) && aligned_16 (a.out) &&
      (try_block<1, 4, 32> (c, what, a) || try_block<2, 2, 16> (c, what, a) ||
          try_block<4, 2, 16> (c, what, a) || try_block<4, 1, 8> (c, what, a)))
    return;
  attend_any (c, what, a);
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
    const AttentionShape *shape, const StepRows *rows, void *scratch)
{
  const int singles = rows->T == 1 ? 1 : rows->singles;
  const int reach = rows->reach ? rows->reach : rows->pages_per_sequence * rows->page_tokens;
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
  if (singles > 0) {
    a.partial = static_cast<float *> (scratch);
    a.splits = ceil_div (reach, ATTEND_SPLIT);
    a.rows.T = singles;
    run (k, "run attend", a);
    a.splits = 0;
    a.out += (size_t) singles * a.H * a.dv;
    a.q += singles * a.q_row;
    a.rows.position += singles;
    a.rows.sequence += singles;
    a.rows.T = rows->T - singles;
  }
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
