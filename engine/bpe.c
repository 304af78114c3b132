/* dsvl2: byte-pair encoding: the merges of a vocabulary
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bpe.h"

/* --- the table of merges ------------------------------------------------------------------------ */

void
bpe_init (Bpe *bpe, guint n_merges)
{
  for (int b = 0; b < 256; b++)
    bpe->byte_id[b] = -1;
  bpe->n_slots = 16;
  while (bpe->n_slots < 2 * n_merges)
    bpe->n_slots *= 2;
  bpe->slot = g_new (Merge, bpe->n_slots);
  for (guint i = 0; i < bpe->n_slots; i++)
    bpe->slot[i].left = -1;
}

void
bpe_clear (Bpe *bpe)
{
  g_clear_pointer (&bpe->slot, g_free);
}

/* The slot of the pair, or the empty one where it belongs. */
static Merge *
find_slot (const Bpe *bpe, int left, int right)
{
  guint64 hash = (((guint64) left << 32) | (guint32) right) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  guint i = hash >> 32;

  for (;; i++) {
    Merge *m = &bpe->slot[i & (bpe->n_slots - 1)];

    if (m->left < 0 || (m->left == left && m->right == right))
      return m;
  }
}

void
bpe_add (Bpe *bpe, Merge merge)
{
  *find_slot (bpe, merge.left, merge.right) = merge;
}

/* --- encoding ----------------------------------------------------------------------------------- */

/* A piece is a linked list of these in an array; id −1: merged into the one before it. */
typedef struct {
  int id, previous, next;
} Symbol;

/* A merge that was possible at symbol `at` when it was pushed. */
typedef struct {
  const Merge *merge;
  int at;
} Candidate;

void
bpe_scratch_init (BpeScratch *scratch)
{
  scratch->symbols = g_array_new (FALSE, FALSE, sizeof (Symbol));
  scratch->heap = g_array_new (FALSE, FALSE, sizeof (Candidate));
}

void
bpe_scratch_clear (BpeScratch *scratch)
{
  g_clear_pointer (&scratch->symbols, g_array_unref);
  g_clear_pointer (&scratch->heap, g_array_unref);
}

static inline bool
goes_before (Candidate a, Candidate b)
{
  return a.merge->rank < b.merge->rank || (a.merge->rank == b.merge->rank && a.at < b.at);
}

static void
heap_push (GArray *heap, Candidate c)
{
  Candidate *h;
  guint i = heap->len;

  g_array_set_size (heap, heap->len + 1);
  h = (Candidate *) heap->data;
  for (; i > 0 && goes_before (c, h[(i - 1) / 2]); i = (i - 1) / 2)
    h[i] = h[(i - 1) / 2];
  h[i] = c;
}

static Candidate
heap_pop (GArray *heap)
{
  Candidate *h = (Candidate *) heap->data, top = h[0], last = h[heap->len - 1];
  guint n = heap->len - 1, i = 0;

  for (guint child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && goes_before (h[child + 1], h[child]))
      child++;
    if (!goes_before (h[child], last))
      break;
    h[i] = h[child];
  }
  h[i] = last;
  g_array_set_size (heap, n);
  return top;
}

/* Pushes the merge of symbol `at` with the one behind it, if there is one. */
static void
push_candidate (const Bpe *bpe, GArray *heap, const Symbol *s, int at)
{
  const Merge *m;

  if (at < 0 || s[at].next < 0)
    return;
  m = find_slot (bpe, s[at].id, s[s[at].next].id);
  if (m->left >= 0)
    heap_push (heap, (Candidate){ m, at });
}

void
bpe_encode (const Bpe *bpe, const guint8 *bytes, gsize n, GArray *ids, BpeScratch *scratch)
{
  GArray *heap = scratch->heap;
  Symbol *s;
  int n_symbols = 0;

  g_array_set_size (scratch->symbols, n);
  s = (Symbol *) scratch->symbols->data;
  for (gsize i = 0; i < n; i++) {
    int id = bpe->byte_id[bytes[i]];

    if (id >= 0) {
      s[n_symbols] = (Symbol){ id, n_symbols - 1, n_symbols + 1 };
      n_symbols++;
    }
  }
  if (n_symbols == 0)
    return;
  s[n_symbols - 1].next = -1;

  g_array_set_size (heap, 0);
  for (int i = 0; i < n_symbols; i++)
    push_candidate (bpe, heap, s, i);
  while (heap->len > 0) {
    Candidate c = heap_pop (heap);
    Symbol *left = &s[c.at], *right;

    /* one of the two may have been merged with another since */
    if (left->id != c.merge->left || left->next < 0 || s[left->next].id != c.merge->right)
      continue;
    right = &s[left->next];
    left->id = c.merge->merged;
    left->next = right->next;
    right->id = -1;
    if (left->next >= 0)
      s[left->next].previous = c.at;
    push_candidate (bpe, heap, s, left->previous);
    push_candidate (bpe, heap, s, c.at);
  }

  for (int i = 0; i >= 0; i = s[i].next)
    g_array_append_val (ids, s[i].id);
}
