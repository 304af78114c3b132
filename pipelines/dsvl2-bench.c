/* dsvl2-bench: how fast a model runs here, and what memory it takes
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoding reads every weight it uses once a token, so its speed stands beside what the memory gives:
 * "74%" is the part of the measured read bandwidth that tokens/s × bytes a token make up. */
#include <dsvl2.h>

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_LIST = 8, MAX_BATCH = 256 };

typedef struct {
  int n, value[MAX_LIST];
} List;

typedef struct {
  const char *model;
  List threads, batches;
  int prompt_tokens, new_tokens, tiles, repeat;
  Dsvl2EngineOptions engine;
} Settings;

/* What one number of threads gives. */
typedef struct {
  int threads;
  char *engine;             /* as it describes itself */
  double open_ms;           /* the engine alone */
  double vision_ms;         /* per tile */
  double first_token_ms;    /* of a question about a picture of that many tiles */
  double prefill;           /* tokens/s */
  double decode[MAX_LIST];  /* tokens/s of each batch size */
  double bandwidth;         /* bytes/s */
  double processors;        /* that it got while it was measured: a busy machine gives less */
  int prompt_tokens, tiles; /* as they came out */
} Row;

typedef struct {
  guint64 weights, token;          /* bytes of the model, and what decoding one token reads of them */
  guint64 peak, anonymous, mapped; /* resident bytes: the most, and when decoding */
  double open_ms;
} Totals;

/* --- the machine -------------------------------------------------------------------------------- */

typedef struct {
  const guint64 *from;
  gsize n;
  guint64 sum;
} Slice;

static gpointer
read_slice (gpointer data)
{
  Slice *slice = data;
  guint64 sum[16] = { 0 }; /* as many as keep loads from waiting for additions */

  for (gsize i = 0; i + 16 <= slice->n; i += 16)
    for (int k = 0; k < 16; k++)
      sum[k] += slice->from[i + k];
  for (int k = 0; k < 16; k++)
    slice->sum += sum[k];
  return NULL;
}

/* A line "KEY: N kB" of this process's status, in bytes; 0 where there is none. */
static guint64
read_status (const char *key)
{
  g_autofree char *text = NULL;
  const char *at;

  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL) ||
      (at = strstr (text, key)) == NULL)
    return 0;
  return g_ascii_strtoull (at + strlen (key), NULL, 10) << 10;
}

static void
note_peak (Totals *totals)
{
  totals->peak = MAX (totals->peak, read_status ("VmHWM:"));
}

/* The most that is resident counts from now on. */
static void
reset_peak (void)
{
  FILE *f = fopen ("/proc/self/clear_refs", "w");

  if (f != NULL) {
    fputs ("5", f);
    fclose (f);
  }
}

/* Bytes/s that so many threads read together, at best. Its buffer is no part of the peak. */
static double
measure_bandwidth (int threads, Totals *totals)
{
  enum { WORDS = 128 << 20, TRIES = 5 }; /* 1 GiB: more than caches hold */
  guint64 *buffer = g_try_malloc (WORDS * sizeof (guint64));
  double best = 0;

  note_peak (totals);
  if (buffer == NULL)
    return 0;
  memset (buffer, 1, WORDS * sizeof (guint64));
  for (int i = 0; i < TRIES; i++) {
    g_autofree Slice *slice = g_new0 (Slice, threads);
    g_autofree GThread **thread = g_new (GThread *, threads);
    const gint64 start = g_get_monotonic_time ();

    for (int t = 0; t < threads; t++) {
      slice[t] = (Slice){ buffer + WORDS / threads * t, WORDS / threads, 0 };
      thread[t] = g_thread_new ("read", read_slice, &slice[t]);
    }
    for (int t = 0; t < threads; t++)
      g_thread_join (thread[t]);
    best = MAX (best, WORDS * sizeof (guint64) * 1e6 / MAX (g_get_monotonic_time () - start, 1));
  }
  g_free (buffer);
  reset_peak ();
  return best;
}

/* --- asking ------------------------------------------------------------------------------------- */

/* The times at which a request's tokens came. */
typedef struct {
  gint64 *at;
  int n, room;
} Clock;

static void
note_token (Dsvl2Request *request, int token_id, const char *text, gpointer user_data)
{
  Clock *clock = user_data;

  if (clock->n < clock->room)
    clock->at[clock->n++] = g_get_monotonic_time ();
}

/* A question of about `words` tokens that starts unlike any other, so that nothing of it is cached. */
static char *
make_text (int words)
{
  static const char *const cycle[] = { "the", "street", "where", "cars", "and", "people", "pass", "in",
    "rain" };
  static int salt = 0;
  GString *text = g_string_new (NULL);

  g_string_append_printf (text, "%d", 100 + salt++);
  for (int i = 0; i < words; i++)
    g_string_append_printf (text, " %s", cycle[i % G_N_ELEMENTS (cycle)]);
  return g_string_free (text, FALSE);
}

static Dsvl2Request *
submit (Dsvl2Engine *engine, const char *text, Dsvl2Picture *picture, int tiles, int new_tokens,
    Clock *clock, GError **error)
{
  const Dsvl2Message message = { DSVL2_ROLE_USER, text };
  const Dsvl2Ask ask = {
    .messages = &message,
    .n_messages = 1,
    .pictures = picture != NULL ? &picture : NULL,
    .n_pictures = picture != NULL,
    .cropping = tiles > 1 ? DSVL2_CROPPING_ON : DSVL2_CROPPING_OFF,
    .max_tiles = MAX (tiles - 1, 0), /* the global view is one */
    .sampling = { .max_new_tokens = new_tokens, .ignore_eos = TRUE },
    .token = clock != NULL ? note_token : NULL,
    .user_data = clock,
  };

  return dsvl2_engine_submit (engine, &ask, error);
}

/* Waits; its result while the request lives, NULL where it failed. */
static const Dsvl2Result *
finish (Dsvl2Request *request, GError **error)
{
  const Dsvl2Result *result = dsvl2_request_wait (request);

  if (result->finish != DSVL2_FINISH_ERROR)
    return result;
  g_propagate_error (error, g_error_copy (result->error));
  return NULL;
}

/* --- what is measured --------------------------------------------------------------------------- */

/* Tokens of a prompt of so many words, or −1. */
static int
count_tokens (Dsvl2Engine *engine, int words, GError **error)
{
  g_autofree char *text = make_text (words);
  g_autoptr (Dsvl2Request) request = submit (engine, text, NULL, 0, 1, NULL, error);
  const Dsvl2Result *result = request != NULL ? finish (request, error) : NULL;

  return result != NULL ? result->n_prompt_tokens : -1;
}

/* A prompt of about that many tokens, whatever the tokenizer makes of words. */
static char *
make_prompt (Dsvl2Engine *engine, int tokens, GError **error)
{
  int few = count_tokens (engine, 18, error), more = few > 0 ? count_tokens (engine, 36, error) : -1;

  if (more < 0)
    return NULL;
  return make_text (MAX (1, 18 + (tokens - few) * 18 / MAX (more - few, 1)));
}

static gboolean
measure_prefill (Row *row, Dsvl2Engine *engine, const Settings *s, GError **error)
{
  for (int i = 0; i < s->repeat; i++) {
    g_autofree char *text = make_prompt (engine, s->prompt_tokens, error);
    g_autoptr (Dsvl2Request) request =
        text != NULL ? submit (engine, text, NULL, 0, 1, NULL, error) : NULL;
    const Dsvl2Result *result = request != NULL ? finish (request, error) : NULL;

    if (result == NULL)
      return FALSE;
    row->prompt_tokens = result->n_prompt_tokens;
    row->prefill = MAX (row->prefill,
        (result->n_prompt_tokens - result->n_cached_tokens) * 1e6 / MAX (result->prefill_us, 1));
  }
  return TRUE;
}

/* A 720p frame of noise, never the same. */
static gboolean
measure_vision (Row *row, Dsvl2Engine *engine, const Settings *s, GError **error)
{
  enum { WIDTH = 1280, HEIGHT = 720 };
  static guint32 noise = 1;
  g_autofree guint8 *pixels = g_malloc (3 * WIDTH * HEIGHT);

  for (int i = 0; i < s->repeat; i++) {
    const Dsvl2Frame frame = { DSVL2_FORMAT_RGB, WIDTH, HEIGHT, { pixels }, { 3 * WIDTH } };
    const gint64 start = g_get_monotonic_time ();
    g_autoptr (Dsvl2Picture) picture = NULL;
    g_autoptr (Dsvl2Request) request = NULL;
    const Dsvl2Result *result = NULL;
    double ms;

    for (int k = 0; k < 3 * WIDTH * HEIGHT; k++)
      pixels[k] = (noise = noise * 1664525 + 1013904223) >> 24;
    picture = dsvl2_picture_new (&frame, NULL, NULL, error);
    if (picture != NULL)
      request = submit (engine, "<image>\nWhat is this?", picture, s->tiles, 1, NULL, error);
    if (request != NULL)
      result = finish (request, error);
    if (result == NULL)
      return FALSE;
    row->tiles = result->n_tiles;
    ms = result->vision_us / 1e3 / MAX (result->n_tiles, 1);
    row->vision_ms = i == 0 ? ms : MIN (row->vision_ms, ms);
    ms = (g_get_monotonic_time () - start) / 1e3;
    row->first_token_ms = i == 0 ? ms : MIN (row->first_token_ms, ms);
  }
  return TRUE;
}

/* Tokens/s while all of a batch decode, from the last one's first token to the first one's last; where
 * they never do, for so small a model, from the first token to the last. */
static double
decode_rate (const Clock *clock, int batch)
{
  gint64 first = G_MAXINT64, all = 0, any = G_MAXINT64, last = 0, from, to;
  int tokens = 0;

  for (int b = 0; b < batch; b++) {
    if (clock[b].n < 2)
      return 0;
    first = MIN (first, clock[b].at[0]);
    all = MAX (all, clock[b].at[0]);
    any = MIN (any, clock[b].at[clock[b].n - 1]);
    last = MAX (last, clock[b].at[clock[b].n - 1]);
  }
  from = all < any ? all : first;
  to = all < any ? any : last;
  for (int b = 0; b < batch; b++)
    for (int i = 0; i < clock[b].n; i++)
      tokens += clock[b].at[i] > from && clock[b].at[i] <= to;
  return to > from ? tokens * 1e6 / (to - from) : 0;
}

static gboolean
measure_decode (double *rate, Dsvl2Engine *engine, const Settings *s, int batch, GError **error)
{
  Dsvl2Request *request[MAX_BATCH] = { NULL };
  Clock clock[MAX_BATCH] = { { NULL } };
  gboolean ok = TRUE;

  for (int b = 0; b < batch && ok; b++) {
    g_autofree char *text = make_text (8);

    clock[b] = (Clock){ g_new (gint64, s->new_tokens), 0, s->new_tokens };
    request[b] = submit (engine, text, NULL, 0, s->new_tokens, &clock[b], error);
    ok = request[b] != NULL;
  }
  for (int b = 0; b < batch && request[b] != NULL; b++)
    ok = finish (request[b], ok ? error : NULL) != NULL && ok;
  if (ok)
    *rate = MAX (*rate, decode_rate (clock, batch));
  for (int b = 0; b < batch; b++) {
    g_clear_pointer (&request[b], dsvl2_request_unref);
    g_free (clock[b].at);
  }
  return ok;
}

static double
processor_seconds (void)
{
  struct rusage used;

  getrusage (RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
         (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static gboolean
measure_row (Row *row, Totals *totals, Dsvl2Model *model, const Settings *s, GError **error)
{
  Dsvl2EngineOptions options = s->engine;
  gint64 start = g_get_monotonic_time ();
  g_autoptr (Dsvl2Engine) engine = NULL;
  double used;

  options.threads = row->threads;
  for (int i = 0; i < s->batches.n; i++)
    options.max_sequences = MAX (options.max_sequences, s->batches.value[i]);
  engine = dsvl2_engine_open (model, &options, error);
  if (engine == NULL)
    return FALSE;
  row->open_ms = (g_get_monotonic_time () - start) / 1e3;
  row->engine = g_strdup (dsvl2_engine_get_description (engine));
  totals->token = dsvl2_engine_get_bytes_per_token (engine);

  /* the first question of an engine finds weights on disk and memory untouched: it is not timed */
  if (count_tokens (engine, 8, error) < 0)
    return FALSE;
  start = g_get_monotonic_time ();
  used = processor_seconds ();
  if (!measure_prefill (row, engine, s, error) ||
      (s->tiles > 0 && !measure_vision (row, engine, s, error)))
    return FALSE;
  /* just before and after decoding, for other programs take their part of it */
  row->bandwidth = measure_bandwidth (row->threads, totals);
  for (int i = 0; i < s->batches.n; i++)
    for (int k = 0; k < s->repeat; k++)
      if (!measure_decode (&row->decode[i], engine, s, s->batches.value[i], error))
        return FALSE;
  row->processors = (processor_seconds () - used) * 1e6 / MAX (g_get_monotonic_time () - start, 1);
  totals->anonymous = MAX (totals->anonymous, read_status ("RssAnon:"));
  totals->mapped = MAX (totals->mapped, read_status ("RssFile:"));
  row->bandwidth = MAX (row->bandwidth, measure_bandwidth (row->threads, totals));
  return TRUE;
}

/* --- the report --------------------------------------------------------------------------------- */

static void
print_table (const Settings *s, const Totals *t, const Row *rows, Dsvl2Model *model)
{
  g_print ("%s: %s\n", s->model, dsvl2_model_get_description (model));
  g_print ("weights %.3f GB, read for a token %.3f GB; the model opens in %.1f ms\n", t->weights / 1e9,
      t->token / 1e9, t->open_ms);
  g_print ("resident at most %.3f GB (%.1f%% of the weights); when decoding %.3f GB own, %.3f GB "
           "mapped\n\n",
      t->peak / 1e9, 100.0 * t->peak / t->weights, t->anonymous / 1e9, t->mapped / 1e9);
  for (int r = 0; r < s->threads.n; r++) {
    const Row *row = &rows[r];

    g_print ("%s, %d threads%s\n", row->engine, row->threads, s->engine.bf16 ? ", bf16 products" : "");
    g_print ("  opens in %.1f ms; memory reads %.2f GB/s; ran on %.2f processors\n", row->open_ms,
        row->bandwidth / 1e9, row->processors);
    g_print ("  prefill      %9.1f tokens/s   (a prompt of %d)\n", row->prefill, row->prompt_tokens);
    if (s->tiles > 0)
      g_print ("  vision       %9.1f ms a tile   (%d tiles; %.0f ms to the first token)\n",
          row->vision_ms, row->tiles, row->first_token_ms);
    for (int i = 0; i < s->batches.n; i++) {
      g_print ("  decode %-5d %9.2f tokens/s", s->batches.value[i], row->decode[i]);
      if (s->batches.value[i] == 1 && row->bandwidth > 0)
        g_print ("   %.1f%% of bandwidth", 100 * row->decode[i] * t->token / row->bandwidth);
      g_print ("\n");
    }
  }
}

static void
add_number (JsonBuilder *json, const char *name, double value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_double_value (json, value);
}

static void
add_count (JsonBuilder *json, const char *name, gint64 value)
{
  json_builder_set_member_name (json, name);
  json_builder_add_int_value (json, value);
}

static void
add_row (JsonBuilder *json, const Settings *s, const Totals *t, const Row *row)
{
  json_builder_begin_object (json);
  json_builder_set_member_name (json, "engine");
  json_builder_add_string_value (json, row->engine);
  add_count (json, "threads", row->threads);
  add_number (json, "open_ms", row->open_ms);
  add_number (json, "read_bytes_per_s", row->bandwidth);
  add_number (json, "processors", row->processors);
  add_count (json, "prompt_tokens", row->prompt_tokens);
  add_number (json, "prefill_tokens_per_s", row->prefill);
  add_count (json, "tiles", row->tiles);
  add_number (json, "vision_ms_per_tile", row->vision_ms);
  add_number (json, "picture_first_token_ms", row->first_token_ms);
  json_builder_set_member_name (json, "decode");
  json_builder_begin_array (json);
  for (int i = 0; i < s->batches.n; i++) {
    json_builder_begin_object (json);
    add_count (json, "batch", s->batches.value[i]);
    add_number (json, "tokens_per_s", row->decode[i]);
    if (s->batches.value[i] == 1 && row->bandwidth > 0)
      add_number (json, "of_bandwidth", row->decode[i] * t->token / row->bandwidth);
    json_builder_end_object (json);
  }
  json_builder_end_array (json);
  json_builder_end_object (json);
}

static void
print_json (const Settings *s, const Totals *t, const Row *rows, Dsvl2Model *model)
{
  g_autoptr (JsonBuilder) json = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_begin_object (json);
  json_builder_set_member_name (json, "model");
  json_builder_add_string_value (json, s->model);
  json_builder_set_member_name (json, "description");
  json_builder_add_string_value (json, dsvl2_model_get_description (model));
  add_count (json, "weight_bytes", t->weights);
  add_count (json, "bytes_per_token", t->token);
  add_number (json, "open_ms", t->open_ms);
  add_count (json, "peak_resident_bytes", t->peak);
  add_count (json, "own_resident_bytes", t->anonymous);
  add_count (json, "mapped_resident_bytes", t->mapped);
  json_builder_set_member_name (json, "bf16");
  json_builder_add_boolean_value (json, s->engine.bf16);
  json_builder_set_member_name (json, "runs");
  json_builder_begin_array (json);
  for (int r = 0; r < s->threads.n; r++)
    add_row (json, s, t, &rows[r]);
  json_builder_end_array (json);
  json_builder_end_object (json);
  root = json_builder_get_root (json);
  text = json_to_string (root, TRUE);
  g_print ("%s\n", text);
}

/* --- the program -------------------------------------------------------------------------------- */

static gboolean
run (const Settings *s, gboolean as_json, GError **error)
{
  Row rows[MAX_LIST] = { { 0 } };
  Totals totals = { 0 };
  gint64 start = g_get_monotonic_time ();
  g_autoptr (Dsvl2Model) model = dsvl2_model_open (s->model, error);
  gboolean ok = model != NULL;

  totals.open_ms = (g_get_monotonic_time () - start) / 1e3;
  for (int r = 0; r < s->threads.n && ok; r++) {
    rows[r].threads = s->threads.value[r];
    ok = measure_row (&rows[r], &totals, model, s, error);
  }
  if (ok) {
    totals.weights = dsvl2_model_get_weight_bytes (model);
    (as_json ? print_json : print_table) (s, &totals, rows, model);
  }
  for (int r = 0; r < s->threads.n; r++)
    g_free (rows[r].engine);
  return ok;
}

/* "1,4,16" */
static gboolean
parse_list (List *list, const char *text, const char *option, int max, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  for (list->n = 0; parts[list->n] != NULL; list->n++) {
    guint64 value;

    if (list->n == MAX_LIST || !g_ascii_string_to_unsigned (parts[list->n], 10, 1, max, &value, NULL)) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "%s is \"%s\", at most %d numbers from 1 to %d were expected", option, text, MAX_LIST, max);
      return FALSE;
    }
    list->value[list->n] = value;
  }
  return list->n > 0;
}

int
main (int argc, char **argv)
{
  g_autofree char *threads = NULL, *batches = NULL, *isa = NULL, *device = NULL, *weights = NULL;
  g_autofree char *attention = NULL;
  gboolean as_json = FALSE;
  Settings s = { .prompt_tokens = 512, .new_tokens = 64, .tiles = 1, .repeat = 1 };
  const GOptionEntry options[] = {
    { "threads", 0, 0, G_OPTION_ARG_STRING, &threads,
        "numbers of threads (1 and one for each processor)", "1,2" },
    { "batch", 0, 0, G_OPTION_ARG_STRING, &batches, "requests decoded together (1,4,16)", "1,4,16" },
    { "prompt-tokens", 0, 0, G_OPTION_ARG_INT, &s.prompt_tokens, "length of the prefilled prompt (512)",
        "N" },
    { "new-tokens", 0, 0, G_OPTION_ARG_INT, &s.new_tokens, "tokens that each request decodes (64)",
        "N" },
    { "tiles", 0, 0, G_OPTION_ARG_INT, &s.tiles, "tiles of the picture, at most; 0: no picture (1)",
        "N" },
    { "repeat", 0, 0, G_OPTION_ARG_INT, &s.repeat, "times that all is measured, for the best one (1)",
        "N" },
    { "prefill-chunk", 0, 0, G_OPTION_ARG_INT, &s.engine.prefill_chunk, "rows of a prompt in one step",
        "N" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &device, "auto, cpu, cuda", "NAME" },
    { "isa", 0, 0, G_OPTION_ARG_STRING, &isa,
        "the newest instructions to use: c, avx2, avx512, avx512bf16", "NAME" },
    { "bf16", 0, 0, G_OPTION_ARG_NONE, &s.engine.bf16, "matrix products may round their inputs to bf16",
        NULL },
    { "vision-attention", 0, 0, G_OPTION_ARG_STRING, &attention,
        "on CUDA with --bf16: auto, own, cudnn", "WHOSE" },
    { "weights", 0, 0, G_OPTION_ARG_STRING, &weights, "auto, as-stored, int8, int4", "TYPE" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON", NULL },
    { NULL },
  };
  g_autofree char *all =
      g_strdup_printf (g_get_num_processors () > 1 ? "1,%u" : "1", g_get_num_processors ());
  g_autoptr (GOptionContext) context = g_option_context_new ("MODEL");
  g_autoptr (GError) error = NULL;

  g_option_context_set_summary (context,
      "Measures a model folder: loading, memory, vision, prefill, decoding.");
  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) ||
      !parse_list (&s.threads, threads != NULL ? threads : all, "--threads", 1024, &error) ||
      !parse_list (&s.batches, batches != NULL ? batches : "1,4,16", "--batch", MAX_BATCH, &error)) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  if (argc != 2 || s.prompt_tokens < 1 || s.new_tokens < 2 || s.tiles < 0 || s.repeat < 1) {
    g_printerr ("A model's folder was expected; at least 1 prompt token, 2 new tokens and 1 repeat.\n");
    return 2;
  }
  s.model = argv[1];
  s.engine.device = device;
  s.engine.vision_attention = attention;
  s.engine.weights = weights;
  s.engine.isa = isa;
  if (!run (&s, as_json, &error)) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  return 0;
}
