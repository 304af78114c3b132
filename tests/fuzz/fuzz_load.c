/* dsvl2: malformed model files: whatever they hold, opening them ends in a value or one clear error
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   fuzz_load KIND FILE...                     each file as it is (what a fuzzer found, or starts from)
 *   fuzz_load KIND --mutate N [--seed S] FILE... N changes of them, the same for the same seed
 *
 * KIND is "config", "processor", "safetensors", "index", "tokenizer" or "model". Run it under address and
 * undefined-behaviour checks. */
#include "engine/config.h"
#include "engine/safetensors.h"
#include "engine/tokenizer.h"

#include <glib/gstdio.h>
#include <string.h>

/* An error is ours and can be shown. */
static void
check (bool ok, GError *error)
{
  g_assert_true (ok == (error == NULL));
  if (error == NULL)
    return;
  g_assert_true (error->domain == DSVL2_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_cmpuint (strlen (error->message), <, 2000);
}

/* --- the kinds of files ------------------------------------------------------------------------- */

static bool
try_config (const char *dir)
{
  g_autoptr (GError) error = NULL;
  Config c;
  bool ok = config_load (&c, dir, &error);

  check (ok, error);
  if (ok) {
    /* what the engine relies on without asking again */
    g_assert_cmpint (c.vision.width % c.vision.heads, ==, 0);
    g_assert_cmpint (c.projector.n_embed, ==, c.language.hidden_size);
    g_assert_cmpint (c.language.num_attention_heads % c.language.num_key_value_heads, ==, 0);
    g_assert_cmpint (c.language.route.K, <=, MAX (c.language.route.E, 4096));
    g_assert_cmpint (c.n_candidates, >=, 1);
    for (int i = 0; i < c.n_candidates; i++)
      g_assert_cmpint (c.candidate[i].width % c.vision.image_size, ==, 0);
  }
  return ok;
}

static bool
try_safetensors (const char *dir)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Safetensors) st = safetensors_open (dir, &error);

  check (st != NULL, error);
  for (const char *const *name =
           (const char *const[]){ "a", "b", "view_seperator", "image_newline", NULL };
       st != NULL && *name != NULL; name++) {
    const Tensor *t = safetensors_find (st, *name);
    g_autofree char *described = t != NULL ? tensor_describe (t) : NULL;
    guint sum = 0;

    for (gsize i = 0; t != NULL && i < t->bytes; i++)
      sum += ((const guint8 *) t->data)[i];
    g_assert_cmpuint (sum, <=, t != NULL ? 255 * t->bytes : 0);
  }
  return st != NULL;
}

/* Whatever was loaded encodes any text, to ids that have tokens. */
static bool
try_tokenizer (const char *dir)
{
  static const char text[] =
      "<image>\n<|ref|>the  cars<|/ref|>. 12345 <｜▁pad▁｜>\0\xff\xe6\xbc 漢字 a\r\n\n  ";
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (Tokenizer) t = tokenizer_load (dir, 2000, &error);

  check (t != NULL, error);
  if (t == NULL)
    return false;
  tokenizer_encode (t, text, sizeof text - 1, ids);
  for (guint i = 0; i < ids->len; i++) {
    gsize length;

    g_assert_nonnull (tokenizer_token_bytes (t, g_array_index (ids, int, i), &length));
    g_assert_cmpint (g_array_index (ids, int, i), <, tokenizer_vocabulary (t));
    g_assert_cmpuint (length, >, 0);
  }
  g_assert_cmpint (tokenizer_vocabulary (t), <=, 2000);
  g_assert_true (tokenizer_is_special (t, tokenizer_special (t)->image));
  return true;
}

/* A whole model whose configuration was changed: what the checks let through fits the weights and answers a
 * question, or opening it fails. */
static bool
try_model (const char *dir)
{
  const Dsvl2Message message = { DSVL2_ROLE_USER, "What is this?" };
  const Dsvl2Ask ask = { .messages = &message, .n_messages = 1, .sampling.max_new_tokens = 2 };
  const Dsvl2EngineOptions options = { .device = "cpu", .threads = 1, .kv_bytes = 1 << 20 };
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Model) model = dsvl2_model_open (dir, &error);
  g_autoptr (Dsvl2Engine) engine = model != NULL ? dsvl2_engine_open (model, &options, &error) : NULL;
  g_autoptr (Dsvl2Request) request = engine != NULL ? dsvl2_engine_submit (engine, &ask, &error) : NULL;

  check (request != NULL, error);
  if (request != NULL)
    dsvl2_request_wait (request);
  return request != NULL;
}

static const struct {
  const char *name, *file;
  bool (*try) (const char *dir);
} kinds[] = {
  { "config", "config.json", try_config },
  { "processor", "processor_config.json", try_config },
  { "safetensors", "model.safetensors", try_safetensors },
  { "index", "model.safetensors.index.json", try_safetensors },
  { "tokenizer", "tokenizer.json", try_tokenizer },
  { "model", "config.json", try_model },
};

/* --- changes ------------------------------------------------------------------------------------ */

static const char *const pieces[] = { "{", "}", "[", "]", "\"", ",", ":", "null", "true", "0", "-1",
  "1e999", "2147483648", "9223372036854775807", "99999999999999999999", "0.5", "\\u0000", "\\ud800",
  "\xff", "[[[[[[[[", "{\"a\":", "\"dtype\":\"F32\"", "\"shape\":[0]", "\"data_offsets\":[0,0]", "\"\"",
  "/*" };

static const char *const numbers[] = { "0", "1", "2", "3", "7", "12", "16", "24", "64", "127", "4095",
  "32768", "65536", "1048576", "-1", "0.1", "1e-9", "null" };

/* Where a change strikes: in the text of the first 4 KB as a rule, for data has no meaning here. */
static guint
place (GRand *random, const GByteArray *file)
{
  guint n = g_rand_int_range (random, 0, 8) > 0 ? MIN (file->len, 4096) : file->len;

  return n > 0 ? (guint) g_rand_int_range (random, 0, n) : 0;
}

static void
insert (GByteArray *file, guint at, const guint8 *piece, guint length)
{
  guint old = file->len;

  g_byte_array_set_size (file, old + length);
  memmove (file->data + at + length, file->data + at, old - at);
  memcpy (file->data + at, piece, length);
}

/* The number at or behind `at` becomes another. */
static void
change_number (GByteArray *file, guint at, const char *number)
{
  guint end;

  while (at < file->len && !g_ascii_isdigit (file->data[at]))
    at++;
  for (end = at; end < file->len && g_ascii_isdigit (file->data[end]);)
    end++;
  g_byte_array_remove_range (file, at, end - at);
  insert (file, at, (const guint8 *) number, strlen (number));
}

static void
mutate (GByteArray *file, GRand *random)
{
  guint at = place (random, file), other = place (random, file),
        length = g_rand_int_range (random, 1, 40);
  const char *piece = pieces[g_rand_int_range (random, 0, G_N_ELEMENTS (pieces))];

  if (file->len == 0) {
    insert (file, 0, (const guint8 *) piece, strlen (piece));
    return;
  }
  switch (g_rand_int_range (random, 0, 10)) {
    case 0:
      file->data[at] ^= 1 << g_rand_int_range (random, 0, 8);
      break;
    case 1:
      file->data[at] = g_rand_int_range (random, 0, 256);
      break;
    case 2:
      file->data[at] = '0' + g_rand_int_range (random, 0, 10);
      break;
    case 3:
      insert (file, at, (const guint8 *) piece, strlen (piece));
      break;
    case 4:
      g_byte_array_remove_range (file, at, MIN (length, file->len - at));
      break;
    case 5: {
      guint8 copy[40];

      length = MIN (length, file->len - other);
      memcpy (copy, file->data + other, length);
      insert (file, at, copy, length);
      break;
    }
    case 6:
    case 7:
    case 8:
      change_number (file, at, numbers[g_rand_int_range (random, 0, G_N_ELEMENTS (numbers))]);
      break;
    default:
      if (g_rand_int_range (random, 0, 4) == 0)
        g_byte_array_set_size (file, at);
      else
        memcpy (file->data + at, piece, MIN (strlen (piece), file->len - at));
  }
}

/* --- the program -------------------------------------------------------------------------------- */

static GByteArray *
read_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  char *data;
  gsize length;

  if (!g_file_get_contents (path, &data, &length, &error)) {
    g_printerr ("%s\n", error->message);
    return NULL;
  }
  return g_byte_array_new_take ((guint8 *) data, length);
}

/* Not g_file_set_contents (), which syncs, nor over an old file, which file systems sync too. */
static void
write_file (const char *dir, const char *name, const GByteArray *file)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  FILE *f;

  g_remove (path);
  f = g_fopen (path, "wb");
  g_assert_nonnull (f);
  g_assert_cmpuint (fwrite (file->data, 1, file->len, f), ==, file->len);
  g_assert_cmpint (fclose (f), ==, 0);
}

/* The other files of the seed's folder that opening this one needs. */
static void
copy_siblings (guint kind, const char *dir, const char *path)
{
  static const char *const names[] = { "config.json", "processor_config.json", "tokenizer.json",
    "model-00001-of-000002.safetensors", "model-00002-of-000002.safetensors",
    "model.safetensors.index.json" };
  g_autofree char *from = g_path_get_dirname (path);

  /* the last would win over model.safetensors */
  for (guint i = 0; i < G_N_ELEMENTS (names) - (strcmp (kinds[kind].name, "safetensors") == 0); i++) {
    g_autofree char *sibling = g_build_filename (from, names[i], NULL);
    g_autoptr (GByteArray) file =
        g_file_test (sibling, G_FILE_TEST_EXISTS) ? read_file (sibling) : NULL;

    if (file != NULL)
      write_file (dir, names[i], file);
  }
}

/* Its `mutations` changes, or the file itself; how many were taken for good. */
static int
run (guint kind, const char *dir, const char *path, int mutations, GRand *random)
{
  g_autoptr (GByteArray) seed = read_file (path);
  int good = 0;

  if (seed == NULL)
    return -1;
  copy_siblings (kind, dir, path);
  write_file (dir, kinds[kind].file, seed);
  if (mutations == 0)
    return kinds[kind].try (dir);
  for (int i = 0; i < mutations; i++) {
    g_autoptr (GByteArray) file = g_byte_array_new ();

    g_byte_array_append (file, seed->data, seed->len);
    for (int changes = g_rand_int_range (random, 1, 4); changes > 0; changes--)
      mutate (file, random);
    write_file (dir, kinds[kind].file, file);
    good += kinds[kind].try (dir);
  }
  return good;
}

static void
remove_folder (const char *dir)
{
  g_autoptr (GDir) entries = g_dir_open (dir, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (entries)) != NULL) {
    g_autofree char *path = g_build_filename (dir, name, NULL);

    g_remove (path);
  }
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  int mutations = 0, seed = 1, failures = 0;
  guint kind = 0;
  const GOptionEntry options[] = {
    { "mutate", 0, 0, G_OPTION_ARG_INT, &mutations, "changes of each file", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT, &seed, "which changes", "N" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("KIND FILE...");
  g_autoptr (GError) error = NULL;
  g_autoptr (GRand) random = NULL;
  g_autofree char *dir = NULL;

  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  while (argc > 1 && kind < G_N_ELEMENTS (kinds) && strcmp (kinds[kind].name, argv[1]) != 0)
    kind++;
  if (argc < 3 || kind == G_N_ELEMENTS (kinds)) {
    g_printerr ("A kind, config, processor, safetensors, index, tokenizer or model, was expected, and "
                "files\n");
    return 2;
  }
  dir = g_dir_make_tmp ("dsvl2-fuzz-XXXXXX", &error);
  g_assert_no_error (error);
  random = g_rand_new_with_seed (seed);
  for (int i = 2; i < argc; i++) {
    int good = run (kind, dir, argv[i], mutations, random);

    failures += good < 0;
    g_print ("%s: %d of %d opened\n", argv[i], good, MAX (mutations, 1));
  }
  remove_folder (dir);
  return failures > 0;
}
