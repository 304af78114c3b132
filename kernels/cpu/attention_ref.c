/* dsvl2: attention, inside tiles and over the pages of a cache, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <math.h>
#include <string.h>

/* The keys and values that one query sees: row j is slot j % page_tokens of page
 * pages[j / page_tokens]. */
typedef struct {
  const float *k, *v;
  int k_width, v_width, dk, dv;
  const int32_t *pages;
  int page_tokens, n;
} Keys;

static size_t
slot (const int32_t *pages, int page_tokens, int position)
{
  return (size_t) pages[position / page_tokens] * page_tokens + position % page_tokens;
}

static double
score (const Keys *keys, const float *q, double scale, int j)
{
  const float *key = keys->k + slot (keys->pages, keys->page_tokens, j) * keys->k_width;
  double sum = 0;

  for (int i = 0; i < keys->dk; i++)
    sum += (double) q[i] * key[i];
  return sum * scale;
}

/* out [dv] = Σ_j softmax_j (q · k_j · scale) v_j, some columns at a time. */
static void
softmax_average (float *out, const float *q, double scale, const Keys *keys)
{
  enum { COLUMNS = 1024 };
  double largest = -INFINITY, column[COLUMNS];

  for (int j = 0; j < keys->n; j++)
    largest = fmax (largest, score (keys, q, scale, j));

  for (int at = 0; at < keys->dv; at += COLUMNS) {
    const int n = keys->dv - at < COLUMNS ? keys->dv - at : COLUMNS;
    double sum = 0;

    memset (column, 0, sizeof column);
    for (int j = 0; j < keys->n; j++) {
      const double p = exp (score (keys, q, scale, j) - largest);
      const float *v = keys->v + slot (keys->pages, keys->page_tokens, j) * keys->v_width + at;

      sum += p;
      for (int i = 0; i < n; i++)
        column[i] += p * v[i];
    }
    for (int i = 0; i < n; i++)
      out[at + i] = column[i] / sum;
  }
}

/* A tile is a page whose every row sees every other. */
static void
attend_tiles (Ops *k, float *out, const float *qkv, int N, int P, int H, int d)
{
  const int width = 3 * H * d;

  for (int32_t n = 0; n < N; n++)
    for (int t = 0; t < P; t++)
      for (int h = 0; h < H; h++) {
        const float *q = qkv + ((size_t) n * P + t) * width + h * d;
        const Keys keys = { qkv + (H + h) * d, qkv + (2 * H + h) * d, width, width, d, d, &n, P, P };

        softmax_average (out + (((size_t) n * P + t) * H + h) * d, q, 1 / sqrt (d), &keys);
      }
}

static void
kv_write (Ops *k, float *pool, const float *x, int x_row, int width, const StepRows *rows)
{
  for (int t = 0; t < rows->T; t++) {
    const int32_t *pages = rows->pages + (size_t) rows->sequence[t] * rows->pages_per_sequence;

    memcpy (pool + slot (pages, rows->page_tokens, rows->position[t]) * width, x + (size_t) t * x_row,
        width * sizeof *x);
  }
}

size_t
attend_scratch (const AttentionShape *shape, int n, int positions)
{
  const size_t splits = (positions + ATTEND_SPLIT - 1) / ATTEND_SPLIT;

  return sizeof (float) * n * shape->H * splits * (shape->dv + 2);
}

static void
attend (Ops *k, float *out, const float *q, const float *k_pool, const float *v_pool,
    const AttentionShape *shape, const StepRows *rows, void *scratch)
{
  for (int t = 0; t < rows->T; t++)
    for (int h = 0; h < shape->H; h++) {
      const int head = h / (shape->H / shape->kv_heads);
      const size_t row = (size_t) t * shape->H + h;
      const Keys keys = { k_pool + head * shape->dk, v_pool + head * shape->dv, shape->k_width,
        shape->v_width, shape->dk, shape->dv,
        rows->pages + (size_t) rows->sequence[t] * rows->pages_per_sequence, rows->page_tokens,
        rows->position[t] + 1 };

      softmax_average (out + row * shape->dv, q + row * shape->dk, shape->scale, &keys);
    }
}

void
attention_fill_c (Ops *k)
{
  k->attend_tiles = attend_tiles;
  k->kv_write = kv_write;
  k->attend = attend;
}
