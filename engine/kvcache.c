/* dsvl2: paged KV cache with shared, reference-counted pages
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kvcache.h"
#include <string.h>

/* A page is free (refs 0, unknown), in use (refs > 0), or kept (refs 0, known): kept pages are given up,
 * the longest unused first, when no free ones are left. Known pages form a tree by `parent`, so a page is
 * given up only after the pages that continue it. */
typedef struct {
  int refs, children;
  int parent; /* −1: a first page */
  bool known;
  KvSymbol symbol[KV_PAGE_TOKENS];
  GList link; /* in `free` or `kept` */
} Page;

struct _KvCache {
  Ops *ops;
  int layers, n_pages;
  gsize k_page, v_page; /* floats of one page of one layer */
  float *pool;
  Page *page;
  GHashTable *known; /* set of Page, equal by parent and symbols */
  GQueue free, kept;
  gpointer (*hold) (gpointer);
  void (*release) (gpointer);
};

static guint
page_hash (gconstpointer p)
{
  const Page *page = p;
  guint64 hash = (guint64) page->parent + 0x9e3779b97f4a7c15;

  for (int i = 0; i < KV_PAGE_TOKENS; i++) {
    hash = (hash ^ (gsize) page->symbol[i].source) * 0xff51afd7ed558ccd;
    hash = (hash ^ (guint64) page->symbol[i].value ^ (hash >> 32)) * 0xc4ceb9fe1a85ec53;
  }
  return (guint) (hash >> 32);
}

static gboolean
page_equal (gconstpointer p, gconstpointer q)
{
  const Page *a = p, *b = q;

  if (a->parent != b->parent)
    return FALSE;
  for (int i = 0; i < KV_PAGE_TOKENS; i++) {
    if (a->symbol[i].source != b->symbol[i].source || a->symbol[i].value != b->symbol[i].value)
      return FALSE;
  }
  return TRUE;
}

guint64
kv_cache_bytes (int layers, int k_width, int v_width, int n_positions)
{
  const guint64 pages = (n_positions + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;

  return sizeof (float) * KV_PAGE_TOKENS * ((guint64) k_width + v_width) * layers * pages;
}

KvCache *
kv_cache_new (Ops *ops, int layers, int k_width, int v_width, int n_pages, gpointer (*hold) (gpointer),
    void (*release) (gpointer), GError **error)
{
  g_autoptr (KvCache) cache = g_new0 (KvCache, 1);

  cache->ops = ops;
  cache->layers = layers;
  cache->n_pages = n_pages;
  cache->k_page = (gsize) KV_PAGE_TOKENS * k_width;
  cache->v_page = (gsize) KV_PAGE_TOKENS * v_width;
  cache->hold = hold;
  cache->release = release;
  cache->known = g_hash_table_new (page_hash, page_equal);
  g_queue_init (&cache->free);
  g_queue_init (&cache->kept);

  const gsize bytes = sizeof (float) * (cache->k_page + cache->v_page) * n_pages * layers;
  cache->pool = ops->alloc (ops, bytes);
  cache->page = g_try_new0 (Page, n_pages);
  if (cache->pool == NULL || cache->page == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "The KV cache of %d tokens needs %" G_GSIZE_FORMAT " MiB, which are not there; make it smaller",
        n_pages * KV_PAGE_TOKENS, bytes >> 20);
    return NULL;
  }
  for (int i = 0; i < n_pages; i++) {
    cache->page[i].link.data = &cache->page[i];
    g_queue_push_tail_link (&cache->free, &cache->page[i].link);
  }
  return g_steal_pointer (&cache);
}

static void
page_forget (KvCache *cache, Page *page)
{
  g_hash_table_remove (cache->known, page);
  page->known = false;
  if (page->parent >= 0)
    cache->page[page->parent].children--;
  for (int i = 0; i < KV_PAGE_TOKENS; i++) {
    if (page->symbol[i].source)
      cache->release ((gpointer) page->symbol[i].source);
  }
}

void
kv_cache_free (KvCache *cache)
{
  for (int i = 0; cache->page && i < cache->n_pages; i++) {
    if (cache->page[i].known)
      page_forget (cache, &cache->page[i]);
  }
  g_hash_table_unref (cache->known);
  if (cache->pool)
    cache->ops->free (cache->ops, cache->pool);
  g_free (cache->page);
  g_free (cache);
}

float *
kv_cache_keys (const KvCache *cache, int layer)
{
  return cache->pool + (gsize) layer * cache->n_pages * (cache->k_page + cache->v_page);
}

float *
kv_cache_values (const KvCache *cache, int layer)
{
  float *keys = kv_cache_keys (cache, layer);

  return cache->v_page ? keys + (gsize) cache->n_pages * cache->k_page : keys;
}

int
kv_cache_capacity (const KvCache *cache)
{
  return cache->n_pages * KV_PAGE_TOKENS;
}

static void
page_take (KvCache *cache, Page *page)
{
  if (page->refs++ == 0)
    g_queue_unlink (page->known ? &cache->kept : &cache->free, &page->link);
}

static void
page_drop (KvCache *cache, Page *page)
{
  if (--page->refs == 0)
    g_queue_push_tail_link (page->known ? &cache->kept : &cache->free, &page->link);
}

/* A free page, or the kept one that was dropped first of those that nothing continues. One exists
 * whenever a page is free or kept: a kept page's continuations are kept too, since a sequence that holds
 * a page holds all before it. */
static Page *
page_new (KvCache *cache)
{
  if (!g_queue_is_empty (&cache->free))
    return g_queue_peek_head (&cache->free);
  for (GList *l = cache->kept.head; l; l = l->next) {
    Page *page = l->data;

    if (page->children == 0) {
      g_queue_unlink (&cache->kept, &page->link);
      page_forget (cache, page);
      g_queue_push_tail_link (&cache->free, &page->link);
      return page;
    }
  }
  g_assert_not_reached ();
}

static Page *
find_known (KvCache *cache, int parent, const KvSymbol *symbols)
{
  Page key = { .parent = parent };

  memcpy (key.symbol, symbols, sizeof key.symbol);
  return g_hash_table_lookup (cache->known, &key);
}

int
kv_sequence_open (KvCache *cache, KvSequence *sequence, const KvSymbol *symbols, int n_symbols,
    int n_positions)
{
  const int n_pages = (n_positions + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
  int parent = -1;

  sequence->pages = g_array_sized_new (FALSE, FALSE, sizeof (int), n_pages);
  for (int at = 0; at + KV_PAGE_TOKENS < n_symbols; at += KV_PAGE_TOKENS) {
    Page *page = find_known (cache, parent, symbols + at);

    if (page == NULL)
      break;
    page_take (cache, page);
    parent = page - cache->page;
    g_array_append_val (sequence->pages, parent);
  }
  const int n_known = sequence->n_registered = sequence->pages->len;

  if ((guint) (n_pages - n_known) > cache->free.length + cache->kept.length) {
    kv_sequence_close (cache, sequence);
    return -1;
  }
  for (int i = n_known; i < n_pages; i++) {
    Page *page = page_new (cache);
    const int index = page - cache->page;

    page_take (cache, page);
    g_array_append_val (sequence->pages, index);
  }
  return n_known * KV_PAGE_TOKENS;
}

void
kv_sequence_register (KvCache *cache, KvSequence *sequence, const KvSymbol *symbols, int n_written)
{
  for (; (sequence->n_registered + 1) * KV_PAGE_TOKENS <= n_written; sequence->n_registered++) {
    const int i = sequence->n_registered;
    const int parent = i > 0 ? g_array_index (sequence->pages, int, i - 1) : -1;
    Page *page = &cache->page[g_array_index (sequence->pages, int, i)];

    /* Another sequence may have got here first, then this page and what follows it stay our own. */
    if ((parent >= 0 && !cache->page[parent].known) ||
        find_known (cache, parent, symbols + i * KV_PAGE_TOKENS))
      continue;
    page->parent = parent;
    memcpy (page->symbol, symbols + i * KV_PAGE_TOKENS, sizeof page->symbol);
    for (int j = 0; j < KV_PAGE_TOKENS; j++) {
      if (page->symbol[j].source)
        cache->hold ((gpointer) page->symbol[j].source);
    }
    page->known = true;
    if (parent >= 0)
      cache->page[parent].children++;
    g_hash_table_add (cache->known, page);
  }
}

void
kv_sequence_close (KvCache *cache, KvSequence *sequence)
{
  /* Last pages first, so that they are given up before the ones that they continue. */
  while (sequence->pages->len > 0) {
    page_drop (cache, &cache->page[g_array_index (sequence->pages, int, sequence->pages->len - 1)]);
    g_array_set_size (sequence->pages, sequence->pages->len - 1);
  }
  g_clear_pointer (&sequence->pages, g_array_unref);
}
