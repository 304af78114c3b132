/* dsvl2: attention over the pages of a cache
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Keys come in blocks that begin at multiples of KEYS, softmax is computed on the way (Dao et al. 2022):
 * what a query's row becomes depends on its own keys and their order alone, so a token decoded by itself
 * gets the bits that it gets in a prompt of hundreds. Rows that see the same keys are computed GROUP at a
 * time, only to load less; a lone row waits for memory, so it asks for what comes next in time. */
#include "softmax_simd.h"

#include <math.h>
#include <string.h>

enum {
  KEYS = 64,            /* of a block */
  GROUP = 4,            /* rows that share what is loaded */
  STEP = LANES / GROUP, /* keys that, times a group, make LANES products */
  COLUMNS = LANES / 4,  /* vectors of a group's rows that are summed together */
  LONE_COLUMNS = 8,     /* … of a lone row */
  SLICE = 16,           /* values that a lone row sums between two looks ahead */
  QUERIES = 64,         /* of a piece of work, at most */
  FEW_ROWS = 16,        /* decoding rather than a prompt */
};

/* Where row j of a sequence is: slot j % page_tokens of page pages[j / page_tokens]. */
typedef struct {
  const float *k, *v;
  const AttentionShape *shape;
  const int32_t *pages;
  int page_tokens;
} Keys;

/* One row of the result on its way: it sees keys 0 … n − 1, whose head is k_at (v_at) floats into a
 * row. */
typedef struct {
  const float *q;
  float *out;
  int n, k_at, v_at;
  Softmax softmax;
} Query;

typedef struct {
  const float *k[KEYS], *v[KEYS];
  int first;
} Block;

/* Keys first …; `end` is the first that nobody sees, rows from it on repeat the last. */
static void
block_find (Block *block, const Keys *keys, int first, int end)
{
  size_t slot = 0;

  block->first = first;
  for (int j = 0; j < KEYS; j++) {
    if (first + j < end)
      slot = (size_t) keys->pages[(first + j) / keys->page_tokens] * keys->page_tokens +
             (first + j) % keys->page_tokens;
    block->k[j] = keys->k + slot * keys->shape->k_width;
    block->v[j] = keys->v + slot * keys->shape->v_width;
  }
}

/* n floats of each of `rows` rows, so that they are near when they are needed. */
static void
prefetch (const float *const *row, int at, int n, int rows)
{
  for (int j = 0; j < rows; j++)
    for (int i = 0; i < n; i += 64 / sizeof (float))
      __builtin_prefetch (row[j] + at + i, 0, 2);
}

/* --- scores -------------------------------------------------------------------------------------- */

/* Columns at … at + n − 1, at most LANES. */
static inline __attribute__ ((always_inline)) void
add_products (vf *sum, const float *const *q, int Q, const float *const *k, int K, int at, int n)
{
  vf x[GROUP];

#pragma GCC unroll 4
  for (int i = 0; i < Q; i++)
    x[i] = vf_load_up_to (q[i] + at, n);
#pragma GCC unroll 16
  for (int j = 0; j < K; j++) {
    const vf y = vf_load_up_to (k[j] + at, n);

#pragma GCC unroll 4
    for (int i = 0; i < Q; i++)
      sum[i * K + j] = vf_fma (x[i], y, sum[i * K + j]);
  }
}

/* Lane i · K + j of the result is q[i] · k[j], Q · K = LANES. Each is summed in the same order whatever Q
 * is. Q and K are constants where this is inlined, so that sums stay in registers. */
static inline __attribute__ ((always_inline)) vf
products (const float *const *q, int Q, const float *const *k, int K, int d)
{
  vf sum[LANES];
  int at = 0;

#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++)
    sum[i] = vf_set (0);
  for (; at + LANES <= d; at += LANES)
    add_products (sum, q, Q, k, K, at, LANES);
  if (at < d)
    add_products (sum, q, Q, k, K, at, d - at);
  return vf_sums (sum);
}

/* p[i] [KEYS] ← query i times the block's first n keys (and up to a vector more). */
static void
score_group (float (*p)[KEYS], Query *const *query, const Block *block, int n, int d)
{
  const float *q[GROUP], *k[STEP];
  float score[LANES];

  for (int i = 0; i < GROUP; i++)
    q[i] = query[i]->q;
  for (int j = 0; j < n; j += STEP) {
    for (int i = 0; i < STEP; i++)
      k[i] = block->k[j + i] + query[0]->k_at;
    vf_store (score, products (q, GROUP, k, STEP, d));
    for (int i = 0; i < GROUP; i++)
      memcpy (p[i] + j, score + i * STEP, STEP * sizeof *score);
  }
}

static void
score_one (float *p, const Query *query, const Block *block, int n, const AttentionShape *shape)
{
  const float *k[LANES];

  for (int j = 0; j < n; j += LANES) {
    prefetch (block->v + j, query->v_at, shape->dv, LANES);
    for (int i = 0; i < LANES; i++)
      k[i] = block->k[j + i] + query->k_at;
    vf_store (p + j, products (&query->q, 1, k, LANES, shape->dk));
  }
}

/* --- values -------------------------------------------------------------------------------------- */

/* Values from … to − 1 of a block and the weights of each of them for some rows. */
typedef struct {
  const float *const *v;
  const float *p[GROUP];
  int from, to;
} Weighed;

/* out[i], V vectors of which n columns each are there: times fade[i], plus what `w` comes to at the
 * values' column `at`. Q and V are constants where it is inlined. */
static inline __attribute__ ((always_inline)) void
add_columns (float *const *out, const float *fade, int Q, const Weighed *w, int at, int V, int n)
{
  vf sum[GROUP * COLUMNS > LONE_COLUMNS ? GROUP * COLUMNS : LONE_COLUMNS];

#pragma GCC unroll 16
  for (int i = 0; i < Q * V; i++)
    sum[i] = vf_set (fade[i / V]) * vf_load_up_to (out[i / V] + i % V * LANES, n);
  for (int j = w->from; j < w->to; j++)
#pragma GCC unroll 8
    for (int c = 0; c < V; c++) {
      const vf x = vf_load_up_to (w->v[j] + at + c * LANES, n);

#pragma GCC unroll 4
      for (int i = 0; i < Q; i++)
        sum[i * V + c] = vf_fma (vf_set (w->p[i][j]), x, sum[i * V + c]);
    }
#pragma GCC unroll 16
  for (int i = 0; i < Q * V; i++)
    vf_store_up_to (out[i / V] + i % V * LANES, sum[i], n);
}

/* All dv columns of Q rows, 1 or GROUP, V vectors at a time where there are that many. */
static inline __attribute__ ((always_inline)) void
add_values (Query *const *query, const float *fade, int Q, const Weighed *w, int dv, int V)
{
  float *out[GROUP];

  for (int at = 0, n; at < dv; at += n) {
    for (int i = 0; i < Q; i++)
      out[i] = query[i]->out + at;
    n = dv - at >= V * LANES ? V * LANES : min_int (dv - at, LANES);
    if (n == V * LANES)
      add_columns (out, fade, Q, w, query[0]->v_at + at, V, LANES);
    else
      add_columns (out, fade, Q, w, query[0]->v_at + at, 1, n);
  }
}

/* --- queries ------------------------------------------------------------------------------------- */

/* How many of the block's keys a query sees. */
static int
seen (const Query *query, const Block *block)
{
  return min_int (query->n - block->first, KEYS);
}

/* A lone row. The keys it or its like needs next are `next`, their head `next_at` floats into a row. */
static void
attend_one (Query *query, const Block *block, const AttentionShape *shape, const float *const *next,
    int next_at)
{
  const int n = seen (query, block);
  float p[KEYS], fade;

  score_one (p, query, block, n, shape);
  softmax_block (&query->softmax, p, n, shape->scale);
  fade = query->softmax.fade;
  for (int j = 0; j < n; j += SLICE) {
    const Weighed w = { block->v, { p }, j, min_int (j + SLICE, n) };

    prefetch (next + j, next_at, shape->dk, SLICE);
    add_values (&query, &fade, 1, &w, shape->dv, LONE_COLUMNS);
    fade = 1;
  }
}

/* n ≤ GROUP rows of the same head. A short group is filled up with its last, whose row is then computed
 * more than once, to the same bits. */
static void
attend_group (Query **query, int n, const Block *block, const AttentionShape *shape)
{
  float p[GROUP][KEYS], fade[GROUP];
  Weighed w = { block->v, { p[0], p[min_int (1, n - 1)], p[min_int (2, n - 1)], p[n - 1] } };
  int most = 0, least = KEYS;

  for (int i = n; i < GROUP; i++)
    query[i] = query[n - 1];
  for (int i = 0; i < n; i++) {
    const int s = seen (query[i], block);

    most = s > most ? s : most;
    least = s < least ? s : least;
  }
  score_group (p, query, block, most, shape->dk);
  for (int i = 0; i < n; i++)
    softmax_block (&query[i]->softmax, p[i], seen (query[i], block), shape->scale);
  for (int i = 0; i < GROUP; i++)
    fade[i] = query[i]->softmax.fade;
  w.to = least;
  add_values (query, fade, GROUP, &w, shape->dv, COLUMNS);

  for (int i = 0; i < n; i++) { /* the causal triangle: what not all of them see */
    const Weighed rest = { block->v, { p[i] }, least, seen (query[i], block) };
    const float keep = 1;

    if (rest.from < rest.to)
      add_values (query + i, &keep, 1, &rest, shape->dv, LONE_COLUMNS);
  }
}

/* The rows of n queries, at most QUERIES, of one sequence, those of a head together. */
static void
attend_queries (Query *query, int n, const Keys *keys)
{
  Block blocks[2];
  int end = 0;

  for (int i = 0; i < n; i++) {
    end = query[i].n > end ? query[i].n : end;
    query[i].softmax = (Softmax){ .largest = -INFINITY };
    memset (query[i].out, 0, keys->shape->dv * sizeof *query->out);
  }

  block_find (&blocks[0], keys, 0, end);
  for (int first = 0, b = 0; first < end; first += KEYS, b = !b) {
    const Block *block = &blocks[b], *next = &blocks[!b];

    block_find (&blocks[!b], keys, min_int (first + KEYS, end - 1), end);
    for (int i = 0; i < n;) {
      const int head = query[i].k_at;
      Query *group[GROUP];
      int m = 0;

      for (; i < n && m < GROUP && query[i].k_at == head; i++)
        if (query[i].n > first)
          group[m++] = &query[i];
      if (m == 1)
        attend_one (group[0], block, keys->shape, i < n ? block->k : next->k,
            query[i < n ? i : 0].k_at);
      else if (m > 1)
        attend_group (group, m, block, keys->shape);
    }
  }
  for (int i = 0; i < n; i++)
    softmax_divide (&query[i].softmax, query[i].out, keys->shape->dv);
}

/* --- pieces -------------------------------------------------------------------------------------- */

typedef struct {
  float *out;
  const float *q, *k_pool, *v_pool;
  const AttentionShape *shape;
  const StepRows *rows;
  int heads, chunk; /* of a piece: query heads, rows */
} Job;

/* Rows first … end − 1, which are of one sequence, for query heads h … h_end − 1. */
static void
attend_run (const Job *job, int first, int end, int h, int h_end)
{
  const AttentionShape *s = job->shape;
  const StepRows *rows = job->rows;
  const Keys keys = { job->k_pool, job->v_pool, s,
    rows->pages + (size_t) rows->sequence[first] * rows->pages_per_sequence, rows->page_tokens };
  Query query[QUERIES];
  int n = 0;

  for (int j = h; j < h_end; j++)
    for (int t = first; t < end; t++) {
      const size_t row = (size_t) t * s->H + j;
      const int head = j / (s->H / s->kv_heads);

      query[n++] = (Query){ job->q + row * s->dk, job->out + row * s->dv, rows->position[t] + 1,
        head * s->dk, head * s->dv };
    }
  attend_queries (query, n, &keys);
}

static void
attend_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const StepRows *rows = job->rows;
  const int chunks = ceil_div (rows->T, job->chunk), h = i / chunks * job->heads;
  const int first = (chunks - 1 - i % chunks) * job->chunk; /* a prompt's last rows see most: first */
  const int end = min_int (rows->T, first + job->chunk);

  for (int t = first, next; t < end; t = next) {
    for (next = t + 1; next < end && rows->sequence[next] == rows->sequence[t]; next++)
      ;
    attend_run (job, t, next, h, min_int (job->shape->H, h + job->heads));
  }
}

/* In a prompt many rows share each head's keys. With few rows a piece has as many heads as the threads
 * leave it, for whole rows of keys are read faster than parts of them. */
static void
attend (Ops *k, float *out, const float *q, const float *k_pool, const float *v_pool,
    const AttentionShape *shape, const StepRows *rows, void *scratch)
{
  const int T = rows->T, H = shape->H, group = H / shape->kv_heads;
  Job job = { out, q, k_pool, v_pool, shape, rows, min_int (group, QUERIES), T };

  if (T <= FEW_ROWS)
    job.heads = min_int (ceil_div (H, parallel_threads (k)), QUERIES);
  job.chunk = clamp_int (T, 1, QUERIES / job.heads);
  parallel_for (k, ceil_div (H, job.heads) * ceil_div (T, job.chunk), attend_piece, &job);
}

void
SIMD_NAME (attention_fill) (Ops *k)
{
  k->attend = attend;
}
