/* dsvl2: tokenizer_load, tokenizer_encode: against Hugging Face's tokenizers, and what is refused
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   test_tokenizer DATA GOLDEN NANO      the repository's cases: tests/engine/data, tests/golden/data,
 *                                        models/nano/hf
 *   test_tokenizer --cases DIR CASES     DIR/tokenizer.json against any list of {"text", "ids"} */
#include "engine/pretokenizer.h"
#include "engine/tokenizer.h"
#include "folder.h"

#include <stdio.h>

static const char *data_dir, *golden_dir, *nano_dir;

/* Strings of json-glib end at a NUL, so U+E000 stands for it. */
static JsonNode *
read_json (const char *path)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *text = NULL;
  GError *error = NULL;
  gsize length;

  g_file_get_contents (path, &text, &length, &error);
  g_assert_no_error (error);
  for (char *nul = text; (nul = strstr (nul, "\\u0000")) != NULL;)
    memcpy (nul, "\\ue000", 6);
  json_parser_load_from_data (parser, text, length, &error);
  g_assert_no_error (error);
  return json_parser_steal_root (parser);
}

static GString *
with_nuls (const char *text)
{
  GString *out = g_string_new (NULL);

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    g_string_append_len (out, c == 0xe000 ? "" : p, c == 0xe000 ? 1 : g_utf8_next_char (p) - p);
  }
  return out;
}

static char *
show_ids (const int *ids, guint n)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%d ", ids[i]);
  return g_string_free (text, FALSE);
}

/* The text of ids, joined from the bytes of each. */
static GString *
decode (const Tokenizer *t, const int *ids, guint n)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    gsize length;
    const char *bytes = tokenizer_token_bytes (t, ids[i], &length);

    g_string_append_len (text, bytes, length);
  }
  return text;
}

/* One case: the ids are as expected, and their bytes are the text again; false says what differs. */
static bool
same_ids (const Tokenizer *t, const char *json_text, JsonArray *expected)
{
  g_autoptr (GString) text = with_nuls (json_text), back = NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int)), want = g_array_copy (ids);
  g_autofree char *got = NULL, *wanted = NULL;

  for (guint i = 0; i < json_array_get_length (expected); i++) {
    int id = json_array_get_int_element (expected, i);

    g_array_append_val (want, id);
  }
  tokenizer_encode (t, text->str, text->len, ids);
  back = decode (t, (int *) ids->data, ids->len);
  if (ids->len == want->len && memcmp (ids->data, want->data, ids->len * sizeof (int)) == 0 &&
      g_string_equal (back, text))
    return true;
  got = show_ids ((int *) ids->data, ids->len);
  wanted = show_ids ((int *) want->data, want->len);
  fprintf (stderr, "\"%s\" (back: \"%s\")\n  gives    %s\n  expected %s\n", json_text, back->str, got,
      wanted);
  return false;
}

/* Compares all cases of a file; how many differ. */
static int
compare_cases (const Tokenizer *t, const char *path)
{
  g_autoptr (JsonNode) root = read_json (path);
  JsonArray *cases = json_node_get_array (root);
  const guint n = json_array_get_length (cases);
  int wrong = 0, n_ids = 0;

  for (guint i = 0; i < n; i++) {
    JsonObject *c = json_array_get_object_element (cases, i);
    JsonArray *ids = json_object_get_array_member (c, "ids");

    n_ids += json_array_get_length (ids);
    wrong += !same_ids (t, json_object_get_string_member (c, "text"), ids);
  }
  g_print ("# %s: %u texts, %d ids compared, %d texts differ\n", path, n, n_ids, wrong);
  return wrong;
}

static void
test_real (void)
{
  g_autofree char *dir = g_build_filename (data_dir, "tokenizer", NULL);
  g_autofree char *cases = g_build_filename (dir, "cases.json", NULL);
  GError *error = NULL;
  g_autoptr (Tokenizer) t = tokenizer_load (dir, 129280, &error);
  const SpecialTokens *s;

  g_assert_no_error (error);
  g_assert_cmpint (compare_cases (t, cases), ==, 0);

  /* the ids of the published Tiny, whose own file has these tokens */
  s = tokenizer_special (t);
  g_assert_cmpint (s->bos, ==, 0);
  g_assert_cmpint (s->eos, ==, 1);
  g_assert_cmpint (s->pad, ==, 2);
  g_assert_cmpint (s->image, ==, 128815);
  g_assert_cmpint (s->ref, ==, 128816);
  g_assert_cmpint (s->ref_end, ==, 128817);
  g_assert_cmpint (s->det, ==, 128818);
  g_assert_cmpint (s->det_end, ==, 128819);
  g_assert_cmpint (s->grounding, ==, 128820);
  g_assert_cmpint (s->user, ==, 128821);
  g_assert_cmpint (s->assistant, ==, 128822);
  g_assert_cmpint (tokenizer_vocabulary (t), ==, 128823);
}

static void
test_nano (void)
{
  g_autofree char *cases = g_build_filename (data_dir, "nano.json", NULL);
  GError *error = NULL;
  g_autoptr (Tokenizer) t = tokenizer_load (nano_dir, 1056, &error);

  g_assert_no_error (error);
  g_assert_cmpint (compare_cases (t, cases), ==, 0);
  g_assert_cmpint (tokenizer_special (t)->image, ==, 1039);
  g_assert_cmpint (tokenizer_vocabulary (t), ==, 1047);
}

/* The greedy answers of the official code are the bytes of their tokens. */
static void
test_golden (gconstpointer data)
{
  g_autofree char *dir = g_build_filename (golden_dir, data, NULL);
  g_autofree char *path = g_build_filename (dir, "cases.json", NULL);
  g_autoptr (JsonNode) root = read_json (path);
  JsonArray *cases = json_node_get_array (root);
  GError *error = NULL;
  g_autoptr (Tokenizer) t = tokenizer_load (dir, 333, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < json_array_get_length (cases); i++) {
    JsonObject *c = json_array_get_object_element (cases, i);
    JsonArray *list = json_object_get_array_member (c, "greedy_ids");
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int));
    g_autoptr (GString) text = NULL;
    g_autofree char *valid = NULL;

    for (guint j = 0; j < json_array_get_length (list); j++) {
      int id = json_array_get_int_element (list, j);

      g_array_append_val (ids, id);
    }
    text = decode (t, (int *) ids->data, ids->len);
    valid = g_utf8_make_valid (text->str, text->len);
    g_assert_cmpstr (valid, ==, json_object_get_string_member (c, "greedy_text"));
  }
  g_print ("# %s: %u answers decoded\n", (const char *) data, json_array_get_length (cases));
}

/* --- pieces ------------------------------------------------------------------------------------- */

static bool
same_pieces (const Pretokenizer *p, const char *text, JsonArray *expected)
{
  g_autoptr (GString) copy = g_string_new (text);
  g_autoptr (GArray) pieces = g_array_new (FALSE, FALSE, sizeof (Piece)), spare = g_array_copy (pieces);
  g_autoptr (GString) got = g_string_new (NULL), want = g_string_new (NULL);

  pretokenizer_split (p, copy, pieces, spare);
  for (guint i = 0; i < pieces->len; i++) {
    const Piece *piece = &g_array_index (pieces, Piece, i);

    g_string_append_printf (got, "[%.*s]", (int) (piece->end - piece->start), copy->str + piece->start);
  }
  for (guint i = 0; i < json_array_get_length (expected); i++)
    g_string_append_printf (want, "[%s]", json_array_get_string_element (expected, i));
  if (g_string_equal (got, want))
    return true;
  fprintf (stderr, "\"%s\"\n  gives    %s\n  expected %s\n", text, got->str, want->str);
  return false;
}

static void
test_pieces (void)
{
  g_autofree char *path = g_build_filename (data_dir, "pretokenizer.json", NULL);
  g_autoptr (JsonNode) root = read_json (path);
  JsonArray *kinds = json_node_get_array (root);
  int wrong = 0, compared = 0;

  for (guint i = 0; i < json_array_get_length (kinds); i++) {
    GError *error = NULL;
    Section s = section_root (json_array_get_element (kinds, i), "pretokenizer.json", &error);
    g_autoptr (Pretokenizer) p = pretokenizer_new (&s);
    JsonArray *texts = section_array (&s, "texts");
    int before = wrong;

    g_assert_no_error (error);
    for (guint j = 0; j < json_array_get_length (texts); j++, compared++) {
      JsonArray *pair = json_array_get_array_element (texts, j);

      wrong += !same_pieces (p, json_array_get_string_element (pair, 0),
          json_array_get_array_element (pair, 1));
    }
    if (wrong > before) {
      g_autofree char *shown = json_to_string (section_value (&s, "pre_tokenizer"), FALSE);

      g_printerr ("  by %s\n", shown);
    }
  }
  g_print ("# %u pre-tokenizers, %d texts cut, %d differ\n", json_array_get_length (kinds), compared,
      wrong);
  g_assert_cmpint (wrong, ==, 0);
}

/* Constructs with another sense in PCRE2, or none that is known to be the same: where each is refused. */
static const struct {
  const char *pattern;
  gsize where;
} refused_patterns[] = {
  { "[a[b]]", 0 },
  { "[a&&b]", 0 },
  { "[[:alpha:]]", 0 },
  { "[]a]", 0 },
  { "[a", 0 },
  { "ab[\\W]", 2 },
  { "\\bfoo", 0 },
  { "(a)\\1", 3 },
  { "a\\", 1 },
  { "\\p{Han}", 0 },
  { "\\p{L", 0 },
  { "\\u12", 0 },
  { "\\xe9", 0 },
  { "\\x{1234567}", 0 },
  { "a{,3}", 1 },
  { "a{2}+", 1 },
  { "a{2,3}?", 1 },
  { "a{", 1 },
  { "(?m:.)", 0 },
  { "(?<n>a)", 0 },
  { "(*UTF)a", 0 },
};

static void
test_refused_patterns (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (refused_patterns); i++) {
    gsize where = 99;
    g_autofree char *translated = pretokenizer_translate (refused_patterns[i].pattern, &where);

    g_test_message ("%s", refused_patterns[i].pattern);
    g_assert_null (translated);
    g_assert_cmpuint (where, ==, refused_patterns[i].where);
  }
  g_print ("# %u patterns refused\n", (guint) G_N_ELEMENTS (refused_patterns));
}

/* --- a small file, and what is wrong with changes of it ----------------------------------------- */

#define ADDED(id, content, more) "{\"id\": " id ", \"content\": \"" content "\"" more "}"

/* a b c ab abc and a space; ids 6 … 9 are special and added */
static const char base[] = "{\"added_tokens\": [" ADDED ("6", "<｜begin▁of▁sentence｜>",
    ", \"special\": true") ", " ADDED ("7", "<｜end▁of▁sentence｜>",
    ", \"special\": true") ", " ADDED ("8", "<x>", ", \"special\": false") ", " ADDED ("9", "<x>>",
    "") "],\n"
        "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": []},\n"
        "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
        "  {\"type\": \"Split\", \"pattern\": {\"Regex\": \" \"}, \"behavior\": \"Isolated\"},\n"
        "  {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]},\n"
        "\"decoder\": {\"type\": \"ByteLevel\"},\n"
        "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"c\": 2, \"ab\": 3, \"abc\": "
        "4, "
        "\"Ġ\": 5},\n"
        "  \"merges\": [\"a b\", [\"ab\", \"c\"]]}}";

static Tokenizer *
load (const char *text, int vocab_size, GError **error)
{
  char *dir = folder_new ();
  Tokenizer *t;

  folder_write (dir, "tokenizer.json", text, -1);
  t = tokenizer_load (dir, vocab_size, error);
  folder_free (dir);
  g_assert_true ((t != NULL) == (*error == NULL));
  return t;
}

/* A text and its ids after one change of the file. 10 … 18 are the special tokens that were added. */
static const struct {
  const char *from, *to, *text, *ids;
} encodings[] = {
  { "", "", "", "" },
  { "", "", "abcab c", "4 3 5 2 " },
  { "", "", "aabbcc", "0 3 1 2 2 " },
  { "", "", "azb", "3 " }, /* no token for z */
  { "", "", "\xff", "" },
  { "", "", "<x>>a<x>b", "9 0 8 1 " }, /* the longest */
  { "", "", "a<x>>>b", "0 9 1 " },
  { "", "", "<image>a<|User|>", "11 0 17 " },
  { "", "", "<｜▁pad▁｜><|ref|><|/ref|><|det|><|/det|><|grounding|><|Assistant|>",
      "10 12 13 14 15 16 18 " },
  { "", "", "<｜begin▁of▁sentence｜>ab<｜end▁of▁sentence｜>", "6 3 7 " },
  /* rank, not place, decides */
  { "\"Ġ\": 5},\n  \"merges\": [", "\"Ġ\": 5, \"bc\": 20}, \"merges\": [\"b c\", ", "abcab",
      "0 20 3 " },
  /* spaces beside an added token go with it, as far as no other took them */
  { "\"content\": \"<x>>\"", "\"content\": \"<x>>\", \"lstrip\": true, \"rstrip\": true",
      "a \xc2\x85 <x>>\t <x>> b", "0 9 9 1 " },
  { "\"content\": \"<x>>\"", "\"content\": \"<x>>\", \"rstrip\": true", "a <x>>  b", "0 5 9 1 " },
  /* tokens of the normalized text come second, however early they begin */
  { "\"content\": \"<x>\"", "\"content\": \"b<x>\", \"normalized\": true", "ab<x>>", "3 9 " },
  { "\"content\": \"<x>\"", "\"content\": \"b<x>\", \"normalized\": true", "ab<x>", "0 8 " },
  /* a word of the vocabulary as it is, whatever its merges */
  { "\"merges\": [", "\"ignore_merges\": true, \"merges\": [], \"m\": [", "abc ab bc", "4 5 3 5 1 2 " },
  { "\"merges\": [", "\"merges\": [], \"m\": [", "abc", "0 1 2 " },
  /* settings that change nothing */
  { "\"merges\": [",
      "\"dropout\": 0.0, \"unk_token\": null, \"byte_fallback\": false, "
      "\"continuing_subword_prefix\": \"\", \"merges\": [",
      "abc", "4 " },
  { "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": []}", "\"normalizer\": null", "abc",
      "4 " },
  { "\"normalizers\": []", "\"normalizers\": [{\"type\": \"Sequence\", \"normalizers\": []}]", "a",
      "0 " },
  { "\"add_prefix_space\": false", "\"add_prefix_space\": true", "a b", "5 0 5 5 1 " },
  { "\"type\": \"BPE\", ", "", "abc", "4 " },
  { "{\"a\": 0,", "{\"a\": 0, \"<｜▁pad▁｜>\": 30,", "<｜▁pad▁｜><image>", "30 31 " },
};

static void
test_encodings (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (encodings); i++) {
    g_autofree char *file = text_replace (base, encodings[i].from, encodings[i].to);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int));
    g_autoptr (Tokenizer) t = NULL;
    g_autofree char *got = NULL;
    GError *error = NULL;

    t = load (file, 40, &error);
    g_assert_no_error (error);
    tokenizer_encode (t, encodings[i].text, -1, ids);
    got = show_ids ((int *) ids->data, ids->len);
    g_assert_cmpstr (got, ==, encodings[i].ids);
  }
  g_print ("# %u texts encoded\n", (guint) G_N_ELEMENTS (encodings));
}

static void
test_tokens (void)
{
  GError *error = NULL;
  g_autoptr (Tokenizer) t = load (base, 40, &error);
  static const struct {
    int id;
    const char *bytes;
    bool special;
  } tokens[] = {
    { 4, "abc", false },
    { 5, " ", false },
    { 6, "<｜begin▁of▁sentence｜>", true },
    { 8, "<x>", false },
    { 11, "<image>", true },
    { 18, "<|Assistant|>", true },
    { 19, "", false },
    { -1, "", false },
    { 1 << 30, "", false },
  };

  g_assert_no_error (error);
  g_assert_cmpint (tokenizer_vocabulary (t), ==, 19);
  for (guint i = 0; i < G_N_ELEMENTS (tokens); i++) {
    gsize length;
    const char *bytes = tokenizer_token_bytes (t, tokens[i].id, &length);

    g_assert_cmpmem (bytes, length, tokens[i].bytes, strlen (tokens[i].bytes));
    g_assert_true (tokenizer_is_special (t, tokens[i].id) == tokens[i].special);
  }
}

/* A text has bytes of any kind. */
static void
test_bytes (void)
{
  g_autofree char *dir = g_build_filename (data_dir, "tokenizer", NULL);
  GError *error = NULL;
  g_autoptr (Tokenizer) t = tokenizer_load (dir, 129280, &error);
  static const struct {
    const char *text;
    gssize length;
    const char *back;
    gsize back_length;
  } texts[] = {
    { "a\0b", 3, "a\0b", 3 },
    { "\0", 1, "\0", 1 },
    { "a\xff\xc3", 3, "a\xef\xbf\xbd\xef\xbf\xbd", 7 },
    { "\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 9 },
    { "\xf4\x90\x80\x80 ", 5, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd ", 13 },
    { "abc", 0, "", 0 },
    { "abc", 2, "ab", 2 },
  };

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int));
    g_autoptr (GString) back = NULL;

    tokenizer_encode (t, texts[i].text, texts[i].length, ids);
    back = decode (t, (int *) ids->data, ids->len);
    g_assert_cmpmem (back->str, back->len, texts[i].back, texts[i].back_length);
  }
}

/* 300000 bytes of one kind: time is not compared, a quadratic one would run into the timeout. */
static void
test_long (void)
{
  static const char *const units[] = { "a", " ", "\n", "!", "<", "7", "é", "e\xcc\x81", "a ",
    "<｜place▁holder▁no▁" };
  g_autofree char *real_dir = g_build_filename (data_dir, "tokenizer", NULL);
  const char *const dirs[] = { real_dir, nano_dir };

  for (guint d = 0; d < G_N_ELEMENTS (dirs); d++) {
    GError *error = NULL;
    g_autoptr (Tokenizer) t = tokenizer_load (dirs[d], 129280, &error);

    g_assert_no_error (error);
    for (guint i = 0; i < G_N_ELEMENTS (units); i++) {
      g_autoptr (GString) text = g_string_new (NULL), back = NULL;
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int));

      while (text->len < 300000)
        g_string_append (text, units[i]);
      g_string_append (text, "漢");
      tokenizer_encode (t, text->str, text->len, ids);
      back = decode (t, (int *) ids->data, ids->len);
      g_assert_true (g_string_equal (text, back));
    }
  }
  g_print ("# %u texts of 300000 bytes\n", (guint) (G_N_ELEMENTS (units) * G_N_ELEMENTS (dirs)));
}

static gpointer
encode_alike (gpointer tokenizer)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (int));

  for (int i = 0; i < 20; i++)
    tokenizer_encode (tokenizer, "The quick <|ref|>brown<|/ref|> 漢字 fox, 12345!\n", -1, ids);
  return ids;
}

/* A tokenizer that nobody has used before, by several threads at once. */
static void
test_threads (void)
{
  enum { LOADS = 20, THREADS = 4 };
  GThread *thread[THREADS];

  for (int i = 0; i < LOADS; i++) {
    GError *error = NULL;
    g_autoptr (Tokenizer) t = tokenizer_load (nano_dir, 1056, &error);
    g_autoptr (GArray) alone = NULL;

    g_assert_no_error (error);
    for (int k = 0; k < THREADS; k++)
      thread[k] = g_thread_new ("encode", encode_alike, t);
    alone = encode_alike (t);
    for (int k = 0; k < THREADS; k++) {
      g_autoptr (GArray) ids = g_thread_join (thread[k]);

      g_assert_cmpmem (ids->data, ids->len * sizeof (int), alone->data, alone->len * sizeof (int));
    }
  }
}

typedef struct {
  const char *from, *to;
  Dsvl2Error code;
  const char *words;
} Refusal;

#define FILE_ERROR DSVL2_ERROR_FILE
#define UNSUPPORTED DSVL2_ERROR_UNSUPPORTED

static const Refusal refusals[] = {
  /* the file */
  { base, "", FILE_ERROR, "tokenizer.json: it is empty" },
  { base, "[]", FILE_ERROR, "tokenizer.json: an object was expected" },
  { "]]}}", "", FILE_ERROR, "tokenizer.json: it ends too early" },
  { "\"a\": 0", "\"a\": \xff", FILE_ERROR, "tokenizer.json: this is not UTF-8, at byte" },
  /* the vocabulary */
  { "\"a\": 0", "\"a\": -1", FILE_ERROR,
      "model.vocab has the token \"a\" with the id -1, a whole number" },
  { "\"a\": 0", "\"a\": 40", FILE_ERROR, "id 40, a whole number from 0 to 39" },
  { "\"a\": 0", "\"a\": 9223372036854775807", FILE_ERROR, "id 9223372036854775807, a whole" },
  { "\"a\": 0", "\"a\": 1e10", FILE_ERROR, "the token \"a\" with the id 1" },
  { "\"a\": 0", "\"a\": \"0\"", FILE_ERROR, "the token \"a\" with the id \"0\"" },
  { "\"a\": 0", "\"a\": null", FILE_ERROR, "the token \"a\" with the id null" },
  { "\"a\": 0", "\"a\": [0]", FILE_ERROR, "the token \"a\" with the id [0]" },
  { "\"a\": 0", "\"a\": 1", FILE_ERROR, "with the id 1, a whole number from 0 to 39 that no other" },
  { "\"vocab\": {", "\"vocab\": 3, \"v\": {", FILE_ERROR, "model.vocab is 3, an object was expected" },
  { "\"vocab\": {", "\"v\": {", FILE_ERROR, "tokenizer.json: model.vocab is missing" },
  /* merges */
  { "\"a b\"", "\"a d\"", FILE_ERROR, "model.merges has \"a d\" as number 0, two tokens" },
  { "\"a b\"", "\"b a\"", FILE_ERROR, "model.merges has \"b a\" as number 0" },
  { "\"a b\"", "\"ab\"", FILE_ERROR, "model.merges has \"ab\"" },
  { "\"a b\"", "\"a b c\"", FILE_ERROR, "model.merges has \"a b c\"" },
  { "\"a b\"", "\" \"", FILE_ERROR, "model.merges has \" \"" },
  { "\"a b\"", "\"\"", FILE_ERROR, "model.merges has \"\"" },
  { "\"a b\"", "7", FILE_ERROR, "model.merges has 7" },
  { "\"a b\"", "null", FILE_ERROR, "model.merges has null" },
  { "\"a b\"", "{}", FILE_ERROR, "model.merges has {}" },
  { "[\"ab\", \"c\"]", "[\"ab\"]", FILE_ERROR, "model.merges has [\"ab\"] as number 1" },
  { "[\"ab\", \"c\"]", "[\"ab\", 7]", FILE_ERROR, "model.merges has [\"ab\",7]" },
  { "[\"ab\", \"c\"]", "[\"ab\", \"c\", \"c\"]", FILE_ERROR, "model.merges has [\"ab\",\"c\",\"c\"]" },
  { "\"merges\": [", "\"merges\": 1, \"m\": [", FILE_ERROR, "model.merges is 1, a list was expected" },
  { "\"merges\": [", "\"m\": [", FILE_ERROR, "model.merges is missing" },
  /* the model */
  { "\"model\": {", "\"model\": null, \"m\": {", FILE_ERROR, "model.vocab is missing" },
  { "\"BPE\"", "\"Unigram\"", UNSUPPORTED, "model.type is \"Unigram\", \"BPE\" was expected" },
  { "\"BPE\"", "\"BPE\", \"dropout\": 0.1", UNSUPPORTED, "model.dropout is 0.1" },
  { "\"BPE\"", "\"BPE\", \"unk_token\": \"a\"", UNSUPPORTED, "model.unk_token is \"a\"" },
  { "\"BPE\"", "\"BPE\", \"byte_fallback\": true", UNSUPPORTED, "model.byte_fallback is true" },
  { "\"BPE\"", "\"BPE\", \"continuing_subword_prefix\": \"##\"", UNSUPPORTED, "prefix is \"##\"" },
  { "\"BPE\"", "\"BPE\", \"end_of_word_suffix\": \"</w>\"", UNSUPPORTED, "suffix is \"</w>\"" },
  { "\"BPE\"", "\"BPE\", \"ignore_merges\": 1", FILE_ERROR, "model.ignore_merges is 1, true or false" },
  /* added tokens */
  { "\"id\": 9", "\"id\": 8", FILE_ERROR, "added_tokens[3].id is 8, which is another token's" },
  { "\"id\": 9", "\"id\": 3", FILE_ERROR, "added_tokens[3].id is 3, which is another token's" },
  { "\"id\": 9", "\"id\": 40", FILE_ERROR, "added_tokens[3].id is 40, a whole number from 0 to 39" },
  { "\"id\": 9", "\"id\": 1e100", FILE_ERROR, "added_tokens[3].id is 1" },
  { "\"id\": 9, ", "", FILE_ERROR, "added_tokens[3].id is missing" },
  { "\"<x>>\"", "\"ab\"", FILE_ERROR, "added_tokens[3].id is 9, the vocabulary has this token as 3" },
  { "\"<x>>\"", "\"<x>\"", FILE_ERROR, "added_tokens[3].content is there twice" },
  { "\"<x>>\"", "\"\"", FILE_ERROR, "added_tokens[3].content is no text" },
  { "\"<x>>\"", "3", FILE_ERROR, "added_tokens[3].content is no text" },
  { "\"<x>>\"", "\"<x>>\", \"lstrip\": 1", FILE_ERROR, "added_tokens[3].lstrip is 1, true or false" },
  { "\"<x>>\"", "\"<x>>\", \"single_word\": true", UNSUPPORTED, "added_tokens[3].single_word is true" },
  { "[", "[7, ", FILE_ERROR, "added_tokens[0] is 7, an object was expected" },
  { "\"<｜begin▁of▁sentence｜>\"", "\"<s>\"", FILE_ERROR,
      "added_tokens lacks <｜begin▁of▁sentence｜>" },
  { "\"<｜end▁of▁sentence｜>\"", "\"</s>\"", FILE_ERROR, "added_tokens lacks <｜end▁of▁sentence｜>" },
  { "\"id\": 9", "\"id\": 33", FILE_ERROR,
      "added_tokens lacks <|grounding|>, and vocab_size 40 has no room" },
  /* what is around the model */
  { "\"normalizers\": []", "\"normalizers\": [{\"type\": \"NFC\"}]", UNSUPPORTED,
      "tokenizer.json: normalizer.normalizers[0].type is \"NFC\"" },
  { "\"normalizer\": {\"type\": \"Sequence\"", "\"normalizer\": {\"type\": \"Lowercase\"", UNSUPPORTED,
      "normalizer.type is \"Lowercase\"" },
  { "\"normalizer\": {\"type\": \"Sequence\"", "\"normalizer\": {\"t\": \"Sequence\"", FILE_ERROR,
      "normalizer.type is missing" },
  { "\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": {\"type\": \"Fuse\"}", UNSUPPORTED,
      "decoder.type is \"Fuse\", \"ByteLevel\" was expected" },
  { "\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": null", UNSUPPORTED, "decoder is missing" },
  { "\"pre_tokenizer\": {", "\"pre_tokenizer\": null, \"p\": {", UNSUPPORTED,
      "pre_tokenizer has no ByteLevel" },
  { "{\"type\": \"Split\",", "{\"type\": \"Metaspace\",", UNSUPPORTED,
      "pre_tokenizer.pretokenizers[0].type is \"Metaspace\"" },
  { "{\"type\": \"Split\",", "{", FILE_ERROR, "pre_tokenizer.pretokenizers[0].type is missing" },
  { "{\"type\": \"Split\",", "{\"type\": \"ByteLevel\"}, {\"type\": \"Split\",", UNSUPPORTED,
      "pretokenizers[1].type follows ByteLevel" },
  { "\"Regex\": \" \"", "\"Regex\": \"(\"", FILE_ERROR,
      "pretokenizers[0].pattern.Regex is no regular" },
  { "\"Regex\": \" \"", "\"Regex\": \"[[:alpha:]]\"", UNSUPPORTED,
      "pattern.Regex \"[[:alpha:]]\" has at byte 0 a construct" },
  { "\"Regex\": \" \"", "\"Regex\": 7", FILE_ERROR, "pretokenizers[0].pattern has no text" },
  { "{\"Regex\": \" \"}", "\" \"", FILE_ERROR, "pretokenizers[0].pattern is \" \", an object" },
  { "\"Isolated\"", "\"Sometimes\"", UNSUPPORTED, "pretokenizers[0].behavior is \"Sometimes\"" },
  { "\"Isolated\"", "\"Isolated\", \"invert\": 0", FILE_ERROR, "invert is 0, true or false" },
  { "\"use_regex\": false", "\"use_regex\": \"no\"", FILE_ERROR, "use_regex is \"no\"" },
};

static void
test_refusals (void)
{
  GError *error = NULL;
  char *dir = folder_new ();

  g_assert_null (tokenizer_load (dir, 40, &error));
  expect_error (&error, FILE_ERROR, "tokenizer.json cannot be read");
  folder_free (dir);
  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
    g_autofree char *file = text_replace (base, refusals[i].from, refusals[i].to);

    g_assert_null (load (file, 40, &error));
    expect_error (&error, refusals[i].code, refusals[i].words);
  }
  g_assert_null (load (base, 0, &error));
  expect_error (&error, FILE_ERROR, "model.vocab has the token");
  g_assert_null (load (base, -5, &error));
  expect_error (&error, FILE_ERROR, "model.vocab has the token");
  g_print ("# %u changes refused\n", (guint) G_N_ELEMENTS (refusals) + 3);
}

/* --- the program -------------------------------------------------------------------------------- */

static int
run_cases (const char *dir, const char *cases)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Tokenizer) t = NULL;
  gint64 begin = g_get_monotonic_time ();

  t = tokenizer_load (dir, 1 << 20, &error);
  if (t == NULL) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  g_print ("loaded in %.3f s\n", (g_get_monotonic_time () - begin) / 1e6);
  return compare_cases (t, cases) > 0;
}

int
main (int argc, char **argv)
{
  static const char *const checkpoints[] = { "mha-softmax", "mla-softmax", "mla-noaux",
    "mla-grouped-yarn" };

  if (argc == 4 && strcmp (argv[1], "--cases") == 0)
    return run_cases (argv[2], argv[3]);
  g_test_init (&argc, &argv, NULL);
  if (argc != 4) {
    g_printerr ("the folders tests/engine/data, tests/golden/data and models/nano/hf were expected\n");
    return 2;
  }
  data_dir = argv[1];
  golden_dir = argv[2];
  nano_dir = argv[3];
  g_test_add_func ("/tokenizer/real", test_real);
  g_test_add_func ("/tokenizer/nano", test_nano);
  for (guint i = 0; i < G_N_ELEMENTS (checkpoints); i++) {
    g_autofree char *name = g_strconcat ("/tokenizer/golden/", checkpoints[i], NULL);

    g_test_add_data_func (name, checkpoints[i], test_golden);
  }
  g_test_add_func ("/tokenizer/pieces", test_pieces);
  g_test_add_func ("/tokenizer/refused-patterns", test_refused_patterns);
  g_test_add_func ("/tokenizer/encodings", test_encodings);
  g_test_add_func ("/tokenizer/tokens", test_tokens);
  g_test_add_func ("/tokenizer/bytes", test_bytes);
  g_test_add_func ("/tokenizer/long", test_long);
  g_test_add_func ("/tokenizer/threads", test_threads);
  g_test_add_func ("/tokenizer/refusals", test_refusals);
  return g_test_run ();
}
