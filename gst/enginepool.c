/* dsvl2: the engines that elements of a process share
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enginepool.h"

/* An engine, or one that is being opened or closed. */
typedef struct {
  char *name;     /* in the table */
  char **options; /* "threads=4" … */
  Dsvl2Engine *engine;
  guint users;   /* who has it and who waits for it */
  gboolean busy; /* somebody opens or closes it, without the lock */
} Shared;

/* All of this process; the table is there while something is in it. */
static struct {
  GMutex lock;
  GCond changed;
  GHashTable *engines; /* name → Shared */
} pool;

/* As the properties of dsvl2infer are written. Free with g_strfreev (). */
static char **
list_options (const Dsvl2EngineOptions *o)
{
  g_autofree char *text =
      g_strdup_printf ("device=%s\nisa=%s\nthreads=%d\nbf16=%s\nvision-attention=%s\nweights=%s\n"
                       "prefill-chunk=%d\nmax-sequences=%d\nkv-cache-size=%" G_GUINT64_FORMAT,
          o->device != NULL ? o->device : "auto", o->isa != NULL ? o->isa : "", o->threads,
          o->bf16 ? "true" : "false", o->vision_attention != NULL ? o->vision_attention : "auto",
          o->weights != NULL ? o->weights : "auto", o->prefill_chunk, o->max_sequences, o->kv_bytes);

  return g_strsplit (text, "\n", -1);
}

/* What tells engines apart: the folder, and the id where there is one, else the options. */
static char *
make_name (const char *model, const char *id, char **options)
{
  g_autofree char *path = g_canonicalize_filename (model, NULL);
  g_autofree char *all = g_strjoinv ("\n", options);

  return g_strjoin ("\n", path, id != NULL ? "id" : "options", id != NULL ? id : all, NULL);
}

/* The entry of that name, for one more user, when nobody is at it. With lock. */
static Shared *
join (const char *name)
{
  Shared *shared;

  if (pool.engines == NULL)
    pool.engines = g_hash_table_new (g_str_hash, g_str_equal);
  shared = g_hash_table_lookup (pool.engines, name);
  if (shared == NULL) {
    shared = g_new0 (Shared, 1);
    shared->name = g_strdup (name);
    g_hash_table_insert (pool.engines, shared->name, shared);
  }
  shared->users++;
  while (shared->busy)
    g_cond_wait (&pool.changed, &pool.lock);
  return shared;
}

/* Without lock, in between. */
static void
make_busy (Shared *shared)
{
  shared->busy = TRUE;
  g_mutex_unlock (&pool.lock);
}

static void
make_free (Shared *shared)
{
  g_mutex_lock (&pool.lock);
  shared->busy = FALSE;
  g_cond_broadcast (&pool.changed);
}

/* One user less. The last one closes the engine, and forgets it unless another has come. With lock. */
static void
leave (Shared *shared)
{
  if (--shared->users > 0)
    return;
  if (shared->engine != NULL) {
    make_busy (shared);
    g_clear_pointer (&shared->engine, dsvl2_engine_unref);
    make_free (shared);
  }
  if (shared->users > 0)
    return;
  g_hash_table_remove (pool.engines, shared->name);
  if (g_hash_table_size (pool.engines) == 0)
    g_clear_pointer (&pool.engines, g_hash_table_unref);
  g_free (shared->name);
  g_strfreev (shared->options);
  g_free (shared);
}

/* Opens the engine of an entry that has none. With lock, but not while opening. */
static void
open_engine (Shared *shared, const char *folder, const Dsvl2EngineOptions *options, GError **error)
{
  Dsvl2Model *model;

  make_busy (shared);
  model = dsvl2_model_open (folder, error);
  if (model != NULL) {
    shared->engine = dsvl2_engine_open (model, options, error);
    dsvl2_model_unref (model);
  }
  make_free (shared);
}

static gboolean
agree (const Shared *shared, const char *id, char **options, GError **error)
{
  for (guint i = 0; options[i] != NULL; i++) {
    if (g_str_equal (options[i], shared->options[i]))
      continue;
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_OPTION,
        "The engine \"%s\" runs with %s, this element has %s; elements that name the same engine-id "
        "must "
        "agree",
        id, shared->options[i], options[i]);
    return FALSE;
  }
  return TRUE;
}

Dsvl2Engine *
engine_pool_take (const char *model, const char *id, const Dsvl2EngineOptions *options, GError **error)
{
  g_auto (GStrv) list = list_options (options);
  g_autofree char *name = make_name (model, id, list);
  Dsvl2Engine *engine = NULL;
  Shared *shared;

  g_mutex_lock (&pool.lock);
  shared = join (name);
  if (shared->engine == NULL) {
    g_strfreev (shared->options);
    shared->options = g_strdupv (list);
    open_engine (shared, model, options, error);
    engine = shared->engine;
  } else if (agree (shared, id, list, error)) {
    engine = shared->engine;
  }
  if (engine == NULL)
    leave (shared);
  g_mutex_unlock (&pool.lock);
  return engine;
}

void
engine_pool_give_back (Dsvl2Engine *engine)
{
  GHashTableIter iter;
  gpointer entry;

  g_mutex_lock (&pool.lock);
  g_hash_table_iter_init (&iter, pool.engines);
  while (g_hash_table_iter_next (&iter, NULL, &entry)) {
    Shared *shared = entry;

    if (shared->engine == engine) {
      leave (shared);
      break;
    }
  }
  g_mutex_unlock (&pool.lock);
}
