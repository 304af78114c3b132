/* dsvl2: one step of the decoder over rows of several requests
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whole-prompt prefill, a chunk of a prompt, and one token for each of sixteen cameras are the same call
 * with different rows. */
#include "step.h"

/* A request's part of the step. */
typedef struct {
  Dsvl2Request *request;
  int first_row, n_rows;
  bool wants_token; /* its last token is among them */
} Part;

/* What goes to the device in one copy. */
typedef struct {
  int32_t *token, *position, *sequence; /* [max_rows] */
  int32_t *wanted;                      /* [max_sequences] rows that want logits */
  int32_t *pages;                       /* [max_sequences, max_pages] */
} StepArrays;

struct _Step {
  const Network *network;
  Ops *ops;
  KvCache *cache;
  int max_rows, max_sequences, max_pages;

  void *scratch;
  DecoderScratch decoder;
  StepArrays device;
  int32_t *picture_rows; /* [max_rows] device */
  int32_t *best;         /* [max_sequences] device */
  float *best_logprob;   /* [max_sequences] device */

  StepArrays host;
  gpointer host_block;
  gsize arrays_bytes;
  int32_t *host_picture_rows; /* [max_rows] */
  float *host_logits;         /* [V] */
  int32_t *host_best;         /* [max_sequences] */
  float *host_logprob;        /* [max_sequences] */
  Part *part;                 /* [max_sequences] */
  int n_parts, n_rows;
  StepRows rows;
  int n_wanted;
};

static void
lay_out_arrays (Step *step, StepArrays *arrays, Arena *arena)
{
  arrays->token = arena_new (arena, int32_t, step->max_rows);
  arrays->position = arena_new (arena, int32_t, step->max_rows);
  arrays->sequence = arena_new (arena, int32_t, step->max_rows);
  arrays->wanted = arena_new (arena, int32_t, step->max_sequences);
  arrays->pages = arena_new (arena, int32_t, (gsize) step->max_sequences * step->max_pages);
}

static void
lay_out (Step *step, Arena *arena)
{
  lay_out_arrays (step, &step->device, arena); /* first: they start the block, as they do on the host */
  decoder_scratch (&step->network->decoder, &step->decoder, arena, step->max_rows, step->max_sequences);
  step->picture_rows = arena_new (arena, int32_t, step->max_rows);
  step->best = arena_new (arena, int32_t, step->max_sequences);
  step->best_logprob = arena_new (arena, float, step->max_sequences);
}

Step *
step_new (const Network *network, Ops *ops, KvCache *cache, int max_rows, int max_sequences,
    int max_pages, GError **error)
{
  Step *step = g_new0 (Step, 1);
  Arena arena = { 0 }, arrays = { 0 };

  *step = (Step){ .network = network,
    .ops = ops,
    .cache = cache,
    .max_rows = max_rows,
    .max_sequences = max_sequences,
    .max_pages = max_pages };
  lay_out (step, &arena);
  step->scratch = arena.base = ops->alloc (ops, arena.used);
  if (arena.base == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "Steps of %d rows need %" G_GSIZE_FORMAT
        " MiB of scratch memory, which are not free; make the prefill "
        "chunk smaller",
        max_rows, arena.used >> 20);
    step_free (step);
    return NULL;
  }
  arena.used = 0;
  lay_out (step, &arena);

  lay_out_arrays (step, &step->host, &arrays);
  step->arrays_bytes = arrays.used;
  step->host_block = g_malloc0 (arrays.used);
  arrays = (Arena){ .base = step->host_block };
  lay_out_arrays (step, &step->host, &arrays);
  step->host_picture_rows = g_new (int32_t, max_rows);
  step->host_logits = g_new (float, network->decoder.V);
  step->host_best = g_new (int32_t, max_sequences);
  step->host_logprob = g_new (float, max_sequences);
  step->part = g_new (Part, max_sequences);
  return step;
}

void
step_free (Step *step)
{
  if (step->scratch)
    step->ops->free (step->ops, step->scratch);
  g_free (step->host_block);
  g_free (step->host_picture_rows);
  g_free (step->host_logits);
  g_free (step->host_best);
  g_free (step->host_logprob);
  g_free (step->part);
  g_free (step);
}

void
step_begin (Step *step)
{
  step->n_parts = step->n_rows = 0;
}

/* The picture that position p is part of, or NULL. */
static const RequestPicture *
picture_at (const Dsvl2Request *request, int p)
{
  for (int i = 0; i < request->n_pictures; i++) {
    const RequestPicture *picture = &request->pictures[i];

    if (p >= picture->first && p < picture->first + picture->plan.n_tokens)
      return picture;
  }
  return NULL;
}

int
step_add (Step *step, Dsvl2Request *request, int budget)
{
  const int left = (int) request->tokens->len - request->n_written;
  const int n = MIN (left, MIN (budget, step->max_rows - step->n_rows));
  int32_t *pages = step->host.pages + (gsize) request->slot * step->max_pages;

  if (n <= 0 || step->n_parts == step->max_sequences)
    return 0;
  for (int i = 0; i < n; i++) {
    const int row = step->n_rows + i, p = request->n_written + i;

    step->host.token[row] = picture_at (request, p) ? -1 : g_array_index (request->tokens, int, p);
    step->host.position[row] = p;
    step->host.sequence[row] = request->slot;
  }
  for (guint i = 0; i < request->sequence.pages->len; i++)
    pages[i] = g_array_index (request->sequence.pages, int, i);
  step->part[step->n_parts++] = (Part){ request, step->n_rows, n, n == left };
  step->n_rows += n;
  return n;
}

/* Rows of pictures take what the pictures became. */
static void
embed_pictures (Step *step, const Part *part)
{
  const Dsvl2Request *request = part->request;
  const Decoder *d = &step->network->decoder;

  for (int i = 0; i < request->n_pictures; i++) {
    const RequestPicture *p = &request->pictures[i];
    const int begin = MAX (request->n_written, p->first);
    const int end = MIN (request->n_written + part->n_rows, p->first + p->plan.n_tokens);
    const int row = part->first_row + begin - request->n_written;

    if (begin >= end)
      continue;
    const Weight features = {
      .data = p->features->rows, .type = WEIGHT_F32, .O = p->plan.n_tokens, .I = d->D
    };
    for (int j = begin; j < end; j++)
      step->host_picture_rows[j - begin] = j - p->first;
    step->ops->upload (step->ops, step->picture_rows, step->host_picture_rows,
        sizeof (int32_t) * (end - begin));
    step->ops->gather_rows (step->ops, step->decoder.x + (gsize) row * d->D, &features,
        step->picture_rows, end - begin);
  }
}

/* The next token of each request that wants one, from row i of the logits; none from a device that failed. */
static void
choose_tokens (Step *step, StepNextFunc next, gpointer data)
{
  const int V = step->network->decoder.V, n = step->n_wanted;
  Ops *k = step->ops;
  int32_t *best = step->host_best;
  float *logprob = step->host_logprob;

  k->download (k, best, step->best, sizeof (int32_t) * n);
  k->download (k, logprob, step->best_logprob, sizeof (float) * n);
  for (int i = 0, row = 0; i < step->n_parts; i++) {
    Dsvl2Request *request = step->part[i].request;

    if (!step->part[i].wants_token)
      continue;
    const bool sampled = !sampler_is_argmax (request->sampler);
    if (sampled)
      k->download (k, step->host_logits, step->decoder.logits + (gsize) row * V, sizeof (float) * V);
    if (k->failure (k) != NULL)
      return;
    if (sampled)
      best[row] = sampler_next (request->sampler, step->host_logits,
          (const int *) request->tokens->data, request->tokens->len, &logprob[row]);
    next (request, best[row], logprob[row], data);
    row++;
  }
}

/* The rows as the ops see them. `reach` takes few values, so that few shapes of launches occur. */
static StepRows
describe_rows (const Step *step)
{
  const int most = step->max_pages * KV_PAGE_TOKENS;
  StepRows rows = {
    .T = step->n_rows,
    .reach = 256,
    .position = step->device.position,
    .sequence = step->device.sequence,
    .pages = step->device.pages,
    .pages_per_sequence = step->max_pages,
    .page_tokens = KV_PAGE_TOKENS,
  };

  while (rows.singles < step->n_parts && step->part[rows.singles].n_rows == 1) {
    while (rows.reach <= step->host.position[rows.singles])
      rows.reach *= 2;
    rows.singles++;
  }
  rows.reach = MIN (rows.reach, most);
  return rows;
}

/* All that the step computes, from tokens to the likeliest next ones. */
static void
compute (gpointer data)
{
  Step *step = data;
  const Decoder *d = &step->network->decoder;
  Ops *k = step->ops;

  k->gather_rows (k, step->decoder.x, &d->embed, step->device.token, step->rows.T); /* [T, D] */
  for (int i = 0; i < step->n_parts; i++)
    embed_pictures (step, &step->part[i]);
  decoder_step (d, k, &step->decoder, step->cache, &step->rows);
  if (step->n_wanted > 0) {
    decoder_logits (d, k, &step->decoder, step->device.wanted, step->n_wanted);
    k->argmax (k, step->best, step->best_logprob, step->decoder.logits, step->n_wanted, d->V);
  }
}

/* Steps that only decode are like each other, but for what the arrays hold. */
static bool
only_decodes (const Step *step)
{
  if (step->rows.singles < step->n_parts)
    return false;
  for (int row = 0; row < step->n_rows; row++) {
    if (step->host.token[row] < 0) /* a picture's */
      return false;
  }
  return true;
}

void
step_run (Step *step, StepNextFunc next, gpointer data)
{
  Ops *k = step->ops;

  step->rows = describe_rows (step);
  step->n_wanted = 0;
  for (int i = 0; i < step->n_parts; i++) {
    if (step->part[i].wants_token)
      step->host.wanted[step->n_wanted++] = step->part[i].first_row + step->part[i].n_rows - 1;
  }
  k->upload (k, step->device.token, step->host.token, step->arrays_bytes);
  if (only_decodes (step))
    k->step (k, &step->rows, step->n_wanted, compute, step);
  else
    compute (step);

  for (int i = 0; i < step->n_parts; i++) {
    Dsvl2Request *request = step->part[i].request;

    request->n_written += step->part[i].n_rows;
    kv_sequence_register (step->cache, &request->sequence, request->symbols, request->n_written);
  }
  if (step->n_wanted > 0)
    choose_tokens (step, next, data);
}
