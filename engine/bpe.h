/* dsvl2: byte-pair encoding: the merges of a vocabulary
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_BPE_H
#define DSVL2_BPE_H

#include <glib.h>
#include <stdbool.h>

/* Two neighbours that become one token; the lowest rank goes first. */
typedef struct {
  int left, right, rank, merged;
} Merge;

/* Open addressing over (left, right); a slot with left −1 is empty. */
typedef struct {
  int byte_id[256]; /* the token of each byte, or −1: a byte without a token is left out */
  Merge *slot;
  guint n_slots; /* a power of two, at least twice the merges */
} Bpe;

/* What one thread needs to encode, reused from piece to piece. */
typedef struct {
  GArray *symbols, *heap;
} BpeScratch;

/* bpe_init: room for n_merges, no byte has a token yet. Undo with bpe_clear (). */
void bpe_init (Bpe *bpe, guint n_merges);
void bpe_clear (Bpe *bpe);
/* At most n_merges calls; of a pair that comes twice the last counts. */
void bpe_add (Bpe *bpe, Merge merge);

void bpe_scratch_init (BpeScratch *scratch);
void bpe_scratch_clear (BpeScratch *scratch);

/* bpe_encode: appends the ids (int) of a piece of n ≤ G_MAXINT bytes: starting from its bytes, the pair of
 * the lowest rank is merged, the leftmost of equals, until none is left (Sennrich et al. 2016). Takes
 * O(n log n). */
void bpe_encode (const Bpe *bpe, const guint8 *bytes, gsize n, GArray *ids, BpeScratch *scratch);

#endif
