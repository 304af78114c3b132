/* dsvl2: attention inside tiles
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Per head two products, scores = q kᵀ and out = softmax (scores) v, block by block of keys. Both are
 * sums of one row's numbers times rows of a packed block, so one function computes both. */
#include "softmax_simd.h"

#include <math.h>
#include <string.h>

enum {
  KEYS = 64,           /* of a block */
  QUERIES = 256,       /* of a piece of work, at most: as many share a packed block */
  CHUNK = 256,         /* columns that are packed at a time, at most */
  GROUP = 4,           /* rows that share what is loaded */
  COLUMNS = LANES / 4, /* vectors of each that are summed together */
};

typedef struct {
  float p[QUERIES][KEYS];
  float packed[KEYS * CHUNK];
  Softmax softmax[QUERIES];
} Work;

_Static_assert(sizeof (Work) <= CPU_SCRATCH, "a thread's scratch memory is too small");

/* y[i], V vectors of which n columns each are there: times fade[i], plus Σ_j x[i][j] · b[j · stride …]. V
 * is a constant where it is inlined, so that sums stay in registers. */
static inline __attribute__ ((always_inline)) void
add_columns (float *const *y, const float *fade, const float *const *x, const float *b, int stride,
    int rows, int V, int n)
{
  vf sum[GROUP * COLUMNS];

#pragma GCC unroll 16
  for (int i = 0; i < GROUP * V; i++)
    sum[i] = vf_set (fade[i / V]) * vf_load_up_to (y[i / V] + i % V * LANES, n);
  for (int j = 0; j < rows; j++)
#pragma GCC unroll 4
    for (int c = 0; c < V; c++) {
      const vf row = vf_load (b + (size_t) j * stride + c * LANES);

#pragma GCC unroll 4
      for (int i = 0; i < GROUP; i++)
        sum[i * V + c] = vf_fma (vf_set (x[i][j]), row, sum[i * V + c]);
    }
#pragma GCC unroll 16
  for (int i = 0; i < GROUP * V; i++)
    vf_store_up_to (y[i / V] + i % V * LANES, sum[i], n);
}

/* All columns of GROUP rows. */
static void
add_group (float *const *y, const float *fade, const float *const *x, const float *b, int stride,
    int rows, int columns)
{
  float *at[GROUP];

  for (int c = 0, V; c < columns; c += V * LANES) {
    for (int i = 0; i < GROUP; i++)
      at[i] = y[i] + c;
    V = columns - c >= COLUMNS * LANES ? COLUMNS : 1;
    if (V == COLUMNS)
      add_columns (at, fade, x, b + c, stride, rows, COLUMNS, LANES);
    else
      add_columns (at, fade, x, b + c, stride, rows, 1, min_int (columns - c, LANES));
  }
}

typedef struct {
  float *out;
  const float *qkv;
  int P, H, d, chunks, rows; /* a head's P queries in pieces of `rows` */
} Job;

/* w->p ← queries' products with n keys. */
static void
score (Work *w, const float *q, const float *k, const Job *job, int queries, int n)
{
  const size_t row = (size_t) 3 * job->H * job->d;

  for (int at = 0; at < job->d; at += CHUNK) {
    const int columns = min_int (job->d - at, CHUNK);
    float *y[GROUP], fade[GROUP];
    const float *x[GROUP];

    for (int j = 0; j < KEYS; j++)
      for (int c = 0; c < columns; c++)
        w->packed[c * KEYS + j] = j < n ? k[j * row + at + c] : 0;
    for (int i = 0; i < queries; i += GROUP) {
      for (int g = 0; g < GROUP; g++) {
        const int query = min_int (i + g, queries - 1);

        y[g] = w->p[query];
        x[g] = q + query * row + at;
        fade[g] = 1;
      }
      add_group (y, fade, x, w->packed, KEYS, columns, KEYS);
    }
  }
}

/* out ← what it was, faded, and the sum of n values by their weights in w->p. */
static void
gather (Work *w, float *out, const float *v, const Job *job, int queries, int n)
{
  const size_t row = (size_t) 3 * job->H * job->d, out_row = (size_t) job->H * job->d;

  for (int at = 0; at < job->d; at += CHUNK) {
    const int columns = min_int (job->d - at, CHUNK), stride = ceil_div (columns, LANES) * LANES;
    float *y[GROUP], fade[GROUP];
    const float *x[GROUP];

    for (int j = 0; j < n; j++)
      for (int c = 0; c < columns; c += LANES)
        vf_store (w->packed + j * stride + c, vf_load_up_to (v + j * row + at + c, columns - c));
    for (int i = 0; i < queries; i += GROUP) {
      for (int g = 0; g < GROUP; g++) {
        const int query = min_int (i + g, queries - 1);

        y[g] = out + query * out_row + at;
        x[g] = w->p[query];
        fade[g] = w->softmax[query].fade;
      }
      add_group (y, fade, x, w->packed, stride, n, columns);
    }
  }
}

/* Piece i: some queries of one head of one tile. */
static void
attend_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const int P = job->P, H = job->H, d = job->d;
  const int first = i % job->chunks * job->rows, queries = min_int (P - first, job->rows);
  const size_t tile = i / job->chunks / H, h = i / job->chunks % H, row = (size_t) 3 * H * d;
  const float *k = job->qkv + tile * P * row + (H + h) * d, *v = k + (size_t) H * d;
  const float *q = job->qkv + (tile * P + first) * row + h * d;
  float *out = job->out + ((tile * P + first) * H + h) * d;
  Work *w = scratch;

  for (int t = 0; t < queries; t++) {
    w->softmax[t] = (Softmax){ .largest = -INFINITY };
    memset (out + (size_t) t * H * d, 0, d * sizeof *out);
  }
  for (int j = 0; j < P; j += KEYS) {
    const int n = min_int (P - j, KEYS);

    memset (w->p, 0, queries * sizeof w->p[0]);
    score (w, q, k + j * row, job, queries, n);
    for (int t = 0; t < queries; t++)
      softmax_block (&w->softmax[t], w->p[t], n, 1 / sqrtf (d));
    gather (w, out, v + j * row, job, queries, n);
  }
  for (int t = 0; t < queries; t++)
    softmax_divide (&w->softmax[t], out + (size_t) t * H * d, d);
}

static void
attend_tiles (Ops *k, float *out, const float *qkv, int N, int P, int H, int d)
{
  const int chunks = ceil_div (P, QUERIES);
  Job job = { out, qkv, P, H, d, chunks, ceil_div (P, chunks) };

  parallel_for (k, N * H * chunks, attend_piece, &job);
}

void
SIMD_NAME (tiles_fill) (Ops *k)
{
  k->attend_tiles = attend_tiles;
}
