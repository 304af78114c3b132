/* dsvl2: what the decoder's matrices become, and the threads that make it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quantise.h"

/* lm_head decides between tokens directly, and is one matrix of many: it keeps eight bits. */
const WeightChoice weight_choices[] = {
  { .name = "as-stored" },
  { .name = "int8", .quantised = true, .linear = WEIGHT_INT8, .lm_head = WEIGHT_INT8 },
  { .name = "int4", .quantised = true, .linear = WEIGHT_INT4, .lm_head = WEIGHT_INT8 },
  { NULL },
};

const WeightChoice *
weight_choice_find (const char *name)
{
  for (const WeightChoice *c = weight_choices; c->name; c++)
    if (g_str_equal (c->name, name))
      return c;
  return NULL;
}

enum { PIECE_ROWS = 64 };

typedef struct {
  void *to;
  const Weight *from;
  WeightType type;
} Matrix;

/* One matrix at a time: workers take pieces of its rows until there are none. */
struct _Quantiser {
  GThreadPool *pool; /* of the other threads; NULL: there are none */
  int next;          /* piece, atomically */
  GMutex lock;       /* of what follows */
  GCond done;
  Matrix matrix;
  int working; /* other threads */
};

static void
quantise_pieces (Quantiser *q, const Matrix *m)
{
  const int O = m->from->O;

  for (int o; (o = g_atomic_int_add (&q->next, 1) * PIECE_ROWS) < O;)
    weight_quantise (m->to, m->from, m->type, o, MIN (PIECE_ROWS, O - o));
}

static void
work (gpointer task, gpointer quantiser)
{
  Quantiser *q = quantiser;
  Matrix matrix;

  g_mutex_lock (&q->lock);
  matrix = q->matrix;
  g_mutex_unlock (&q->lock);
  quantise_pieces (q, &matrix);
  g_mutex_lock (&q->lock);
  if (--q->working == 0)
    g_cond_signal (&q->done);
  g_mutex_unlock (&q->lock);
}

Quantiser *
quantiser_new (int threads)
{
  Quantiser *q = g_new0 (Quantiser, 1);
  const int others = (threads > 0 ? threads : (int) g_get_num_processors ()) - 1;

  g_mutex_init (&q->lock);
  g_cond_init (&q->done);
  if (others > 0)
    q->pool = g_thread_pool_new (work, q, others, FALSE, NULL);
  return q;
}

void
quantiser_free (Quantiser *q)
{
  if (q->pool)
    g_thread_pool_free (q->pool, FALSE, TRUE);
  g_cond_clear (&q->done);
  g_mutex_clear (&q->lock);
  g_free (q);
}

void
quantiser_run (Quantiser *q, void *to, const Weight *from, WeightType type)
{
  const int pieces = (from->O + PIECE_ROWS - 1) / PIECE_ROWS;
  const int others = q->pool ? MIN (g_thread_pool_get_max_threads (q->pool), pieces - 1) : 0;
  const Matrix matrix = { to, from, type };

  g_mutex_lock (&q->lock);
  q->matrix = matrix;
  g_atomic_int_set (&q->next, 0);
  q->working = others;
  g_mutex_unlock (&q->lock);
  for (int i = 0; i < others; i++)
    g_thread_pool_push (q->pool, q, NULL);
  quantise_pieces (q, &matrix);
  g_mutex_lock (&q->lock);
  while (q->working > 0)
    g_cond_wait (&q->done, &q->lock);
  g_mutex_unlock (&q->lock);
}
