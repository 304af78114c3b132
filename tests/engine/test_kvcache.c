/* dsvl2: pages are shared where symbols agree, kept while there is room, and never lost
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kvcache.h"

enum { P = KV_PAGE_TOKENS, LAYERS = 2, WIDTH = 3 };

static int held;

static gpointer
hold (gpointer source)
{
  held++;
  return source;
}

static void
release (gpointer source)
{
  held--;
}

/* n symbols: token i + base; from position `picture` on they are a picture's. */
static KvSymbol *
symbols (int n, int base, int picture)
{
  KvSymbol *s = g_new0 (KvSymbol, n);

  for (int i = 0; i < n; i++)
    s[i] = (KvSymbol){ i >= picture ? &held : NULL, base + i };
  return s;
}

static KvCache *
cache_of (Ops **ops, int n_pages)
{
  char message[OPS_MESSAGE];
  g_autoptr (GError) error = NULL;

  *ops = ops_open (&(OpsOptions){ .device = "cpu", .threads = 1 }, message);
  g_assert_nonnull (*ops);
  KvCache *cache = kv_cache_new (*ops, LAYERS, WIDTH, WIDTH, n_pages, hold, release, &error);
  g_assert_no_error (error);
  return cache;
}

static int
open_and_fill (KvCache *cache, KvSequence *sequence, const KvSymbol *s, int n, int n_positions)
{
  const int known = kv_sequence_open (cache, sequence, s, n, n_positions);

  if (known >= 0)
    kv_sequence_register (cache, sequence, s, n);
  return known;
}

/* What a second sequence finds of the first one's prompt. */
static void
test_sharing (void)
{
  static const struct {
    int first, second, base, found;
  } cases[] = {
    { 10, 10, 0, 0 }, /* less than a page */
    { P, P, 0, 0 },   /* the last symbol is always computed */
    { P + 1, P + 1, 0, P }, { 3 * P + 5, 3 * P + 5, 0, 3 * P }, { 3 * P + 5, 2 * P, 0, P },
    { 3 * P + 5, 9 * P, 0, 3 * P }, /* a longer conversation continues */
    { 3 * P + 5, 3 * P + 5, 1, 0 }, /* another beginning */
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Ops *ops;
    KvCache *cache = cache_of (&ops, 16);
    g_autofree KvSymbol *a = symbols (9 * P, 0, G_MAXINT),
                        *b = symbols (9 * P, cases[i].base, G_MAXINT);
    KvSequence one, two;

    g_assert_cmpint (open_and_fill (cache, &one, a, cases[i].first, cases[i].first), ==, 0);
    const int found = kv_sequence_open (cache, &two, b, cases[i].second, cases[i].second);
    g_test_message ("%d then %d tokens: %d found, %d expected", cases[i].first, cases[i].second, found,
        cases[i].found);
    g_assert_cmpint (found, ==, cases[i].found);
    for (int p = 0; p < (cases[i].second + P - 1) / P && p < (cases[i].first + P - 1) / P; p++) {
      const bool same = g_array_index (one.pages, int, p) == g_array_index (two.pages, int, p);
      g_assert_cmpint (same, ==, p < found / P);
    }
    kv_sequence_close (cache, &one);
    kv_sequence_close (cache, &two);
    kv_cache_free (cache);
    ops->close (ops);
  }
}

static void
test_pressure (void)
{
  Ops *ops;
  KvCache *cache = cache_of (&ops, 4);
  g_autofree KvSymbol *a = symbols (5 * P, 0, G_MAXINT), *b = symbols (5 * P, 7777, G_MAXINT);
  KvSequence one, two;

  g_assert_cmpint (kv_sequence_open (cache, &one, a, P, 5 * P), ==, -1); /* more than there is */
  g_assert_cmpint (open_and_fill (cache, &one, a, 3 * P, 3 * P), ==, 0);
  g_assert_cmpint (kv_sequence_open (cache, &two, b, 2 * P, 2 * P), ==, -1); /* one page is left */
  kv_sequence_close (cache, &one);

  /* Of the three kept pages the last goes first: the beginning can still be found. */
  g_assert_cmpint (open_and_fill (cache, &two, b, 2 * P, 2 * P), ==, 0);
  g_assert_cmpint (kv_sequence_open (cache, &one, a, 4 * P, 4 * P), ==, -1);
  kv_sequence_close (cache, &two);
  g_assert_cmpint (kv_sequence_open (cache, &one, a, 3 * P + 1, 4 * P), ==, 2 * P);
  kv_sequence_close (cache, &one);
  kv_cache_free (cache);
  ops->close (ops);
}

static void
test_sources (void)
{
  Ops *ops;
  KvCache *cache = cache_of (&ops, 4);
  g_autofree KvSymbol *a = symbols (2 * P, 0, P / 2);
  KvSequence one;

  open_and_fill (cache, &one, a, 2 * P, 2 * P);
  g_assert_cmpint (held, ==, P / 2 + P);
  kv_sequence_close (cache, &one);
  g_assert_cmpint (held, ==, P / 2 + P);
  kv_cache_free (cache);
  g_assert_cmpint (held, ==, 0);
  ops->close (ops);
}

/* Random requests: every page is somewhere, shared prefixes are what was written. */
static void
test_soak (void)
{
  enum { N = 6, PAGES = 24 };
  Ops *ops;
  KvCache *cache = cache_of (&ops, PAGES);
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  KvSequence open[N] = { 0 };
  int refused = 0, found = 0;

  for (int round = 0; round < 20000; round++) {
    const int i = g_rand_int_range (rand, 0, N);

    if (open[i].pages) {
      kv_sequence_close (cache, &open[i]);
      continue;
    }
    const int n = g_rand_int_range (rand, 1, 9 * P), base = g_rand_int_range (rand, 0, 4) * 1000000;
    g_autofree KvSymbol *s = symbols (n, base, g_rand_int_range (rand, 0, 2 * n));
    const int known = open_and_fill (cache, &open[i], s, n, n);

    refused += known < 0;
    found += MAX (known, 0) / P;
    g_assert_cmpint (known, <, n);
    g_assert_true (known < 0 || (int) open[i].pages->len == (n + P - 1) / P);
  }
  for (int i = 0; i < N; i++) {
    if (open[i].pages)
      kv_sequence_close (cache, &open[i]);
  }
  g_test_message ("%d refused, %d pages found again", refused, found);
  g_assert_cmpint (found, >, 0);

  KvSequence all;
  g_autofree KvSymbol *s = symbols (PAGES * P, 99, G_MAXINT);
  g_assert_cmpint (kv_sequence_open (cache, &all, s, PAGES * P, PAGES * P), ==, 0);
  kv_sequence_close (cache, &all);
  kv_cache_free (cache);
  g_assert_cmpint (held, ==, 0);
  ops->close (ops);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kvcache/sharing", test_sharing);
  g_test_add_func ("/kvcache/pressure", test_pressure);
  g_test_add_func ("/kvcache/sources", test_sources);
  g_test_add_func ("/kvcache/soak", test_soak);
  return g_test_run ();
}
