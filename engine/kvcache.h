/* dsvl2: paged KV cache with shared, reference-counted pages
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A page holds KV_PAGE_TOKENS positions of every layer. A sequence is a list of pages. Full pages stay
 * known by the symbols that led to them, so that a later sequence that begins alike (the same picture
 * under another question, the next turn of a conversation) takes them over instead of computing them
 * again. Paged attention: Kwon et al. 2023. Used by one thread. */
#ifndef DSVL2_KVCACHE_H
#define DSVL2_KVCACHE_H

#include "dsvl2.h"
#include "kernels/backend.h"

enum { KV_PAGE_TOKENS = 16 };

/* What stands at a position: a token (source NULL), or a row of what a picture became. */
typedef struct {
  gconstpointer source;
  gint64 value;
} KvSymbol;

typedef struct {
  GArray *pages;    /* int, in the order of positions */
  int n_registered; /* leading pages that are known by their symbols */
} KvSequence;

typedef struct _KvCache KvCache;

/* Memory for n_positions, in whole pages. */
guint64 kv_cache_bytes (int layers, int k_width, int v_width, int n_positions);

/* kv_cache_new: room for n_pages pages of `layers` layers with k_width floats a position and v_width more
 * (0: values are a prefix of the keys). `hold` and `release` are called for the source of each symbol that
 * a page is known by. Errors: MEMORY. */
KvCache *kv_cache_new (Ops *ops, int layers, int k_width, int v_width, int n_pages,
    gpointer (*hold) (gpointer), void (*release) (gpointer), GError **error);
void kv_cache_free (KvCache *cache);

float *kv_cache_keys (const KvCache *cache, int layer);   /* [n_pages, KV_PAGE_TOKENS, k_width] */
float *kv_cache_values (const KvCache *cache, int layer); /* the keys' where v_width is 0 */
int kv_cache_capacity (const KvCache *cache);             /* positions */

/* kv_sequence_open: takes over the known pages that `symbols` begin with (never all of the symbols: the
 * last must still be computed for its logits), and reserves pages for n_positions in all. The number of
 * positions that need not be computed, or −1, with nothing taken, where too few pages are free. */
int kv_sequence_open (KvCache *cache, KvSequence *sequence, const KvSymbol *symbols, int n_symbols,
    int n_positions);
/* Makes those of the first n_written positions' pages that are full known by their symbols. */
void kv_sequence_register (KvCache *cache, KvSequence *sequence, const KvSymbol *symbols,
    int n_written);
void kv_sequence_close (KvCache *cache, KvSequence *sequence);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KvCache, kv_cache_free)

#endif
