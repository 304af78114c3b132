/* dsvl2: tokenizer.json: byte-level BPE
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tokenizer.h"

#include "bpe.h"
#include "pretokenizer.h"
#include <string.h>

#define FILE_NAME "tokenizer.json"

enum {
  MAX_FILE = 256 << 20,
  MAX_ADDED = 1024,   /* bytes of an added token: looking for them takes that many steps a byte */
  MAX_TEXT = 1 << 29, /* bytes of a text that are encoded */
};

typedef struct {
  const char *bytes; /* NULL: no token has this id */
  guint length;
  bool special;
} Token;

typedef struct {
  const char *text;
  gsize length;
  int id;
  bool lstrip, rstrip;
} AddedToken;

/* Hugging Face looks for tokens of the text as it is first, and in what is left for tokens of the
 * normalized text; without a normalizer that is a matter of precedence alone. */
enum { AS_IS, NORMALIZED, N_PASSES };

/* Added tokens in byte order, so that those with a common beginning are neighbours. */
typedef struct {
  GArray *tokens; /* AddedToken */
  bool begins[256];
} AddedSet;

struct _Tokenizer {
  GStringChunk *chunk; /* bytes of tokens */
  Token *token;        /* [size] */
  int size, n_tokens;  /* n_tokens: highest id + 1 */
  AddedSet added[N_PASSES];
  SpecialTokens special;
  Pretokenizer *pretokenizer;
  Bpe bpe;
  GHashTable *whole; /* ignore_merges: bytes of a token (GBytes) → id + 1; else NULL */
};

/* In the order in which the official processor adds those that are missing. */
static const struct {
  const char *text;
  gsize member;
  bool must_exist;
} specials[] = {
  { "<｜begin▁of▁sentence｜>", G_STRUCT_OFFSET (SpecialTokens, bos), true },
  { "<｜end▁of▁sentence｜>", G_STRUCT_OFFSET (SpecialTokens, eos), true },
  { "<｜▁pad▁｜>", G_STRUCT_OFFSET (SpecialTokens, pad) },
  { "<image>", G_STRUCT_OFFSET (SpecialTokens, image) },
  { "<|ref|>", G_STRUCT_OFFSET (SpecialTokens, ref) },
  { "<|/ref|>", G_STRUCT_OFFSET (SpecialTokens, ref_end) },
  { "<|det|>", G_STRUCT_OFFSET (SpecialTokens, det) },
  { "<|/det|>", G_STRUCT_OFFSET (SpecialTokens, det_end) },
  { "<|grounding|>", G_STRUCT_OFFSET (SpecialTokens, grounding) },
  { "<|User|>", G_STRUCT_OFFSET (SpecialTokens, user) },
  { "<|Assistant|>", G_STRUCT_OFFSET (SpecialTokens, assistant) },
};

/* --- the byte-level alphabet -------------------------------------------------------------------- */

enum { N_ALPHABET = 256 + 68 };

/* byte[c]: what the character c spells, or −1. Bytes that print as Latin-1 stand for themselves, the
 * other 68 for the characters from U+0100 on (GPT-2, Radford et al. 2019). */
static void
make_alphabet (short byte[N_ALPHABET])
{
  int other = 256;

  for (int c = 0; c < N_ALPHABET; c++)
    byte[c] = -1;
  for (int b = 0; b < 256; b++) {
    bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xff && b != 0xad);

    byte[prints ? b : other++] = b;
  }
}

/* Decodes a token's spelling into `bytes`; false, if it has a character outside the alphabet. */
static bool
spelling_to_bytes (const short byte[N_ALPHABET], const char *spelling, GString *bytes)
{
  g_string_truncate (bytes, 0);
  for (const char *p = spelling; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (c >= N_ALPHABET || byte[c] < 0)
      return false;
    g_string_append_c (bytes, (char) byte[c]);
  }
  return true;
}

/* --- the vocabulary ----------------------------------------------------------------------------- */

/* A text as a message shows it. Free with g_free (). */
static char *
show_text (const char *text)
{
  g_autoptr (JsonNode) node = json_node_init_string (json_node_alloc (), text);

  return jsonfile_show (node);
}

/* The id that the vocabulary gives to a spelling, or −1. */
static int
vocabulary_find (JsonObject *vocab, const char *spelling)
{
  JsonNode *id = json_object_get_member (vocab, spelling);

  return id != NULL ? json_node_get_int (id) : -1;
}

static void
set_token (Tokenizer *t, int id, const char *bytes, gsize length)
{
  t->token[id].bytes = g_string_chunk_insert_len (t->chunk, bytes, length);
  t->token[id].length = length;
  t->n_tokens = MAX (t->n_tokens, id + 1);
}

static void
read_vocabulary (Tokenizer *t, JsonObject *vocab, const Section *model)
{
  g_autoptr (GString) bytes = g_string_new (NULL);
  short alphabet[N_ALPHABET];
  JsonObjectIter iter;
  const char *spelling;
  JsonNode *value;

  make_alphabet (alphabet);
  json_object_iter_init (&iter, vocab);
  while (json_object_iter_next (&iter, &spelling, &value)) {
    bool whole_number =
        JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) == G_TYPE_INT64;
    gint64 id = whole_number ? json_node_get_int (value) : -1;

    if (id < 0 || id >= t->size || t->token[id].bytes != NULL) {
      g_autofree char *token = show_text (spelling), *shown = jsonfile_show (value);

      section_fail (model, DSVL2_ERROR_FILE, "vocab",
          "has the token %s with the id %s, a whole number from 0 to %d that no other token has was "
          "expected",
          token, shown, t->size - 1);
      return;
    }
    if (!spelling_to_bytes (alphabet, spelling, bytes)) {
      set_token (t, id, spelling, strlen (spelling));
      continue;
    }
    set_token (t, id, bytes->str, bytes->len);
    if (bytes->len == 1)
      t->bpe.byte_id[(guint8) bytes->str[0]] = id;
    if (t->whole != NULL)
      g_hash_table_insert (t->whole, g_bytes_new_static (t->token[id].bytes, bytes->len),
          GINT_TO_POINTER (id + 1));
  }
}

/* The two sides of a merge, "a b" or ["a", "b"], one behind the other in `buffer`; where the right one
 * begins, or 0. */
static gsize
merge_sides (JsonNode *entry, GString *buffer)
{
  JsonArray *pair = JSON_NODE_HOLDS_ARRAY (entry) ? json_node_get_array (entry) : NULL;
  const char *side[2] = { NULL, NULL }, *space;
  gsize length;

  if (pair != NULL && json_array_get_length (pair) == 2) {
    for (int i = 0; i < 2; i++) {
      JsonNode *element = json_array_get_element (pair, i);

      side[i] = JSON_NODE_HOLDS_VALUE (element) ? json_node_get_string (element) : NULL;
    }
  } else if (JSON_NODE_HOLDS_VALUE (entry) && json_node_get_string (entry) != NULL) {
    side[0] = json_node_get_string (entry);
    space = strchr (side[0], ' ');
    side[1] = space != NULL && strchr (space + 1, ' ') == NULL ? space + 1 : NULL;
  }
  if (side[0] == NULL || side[1] == NULL)
    return 0;
  length = pair != NULL ? strlen (side[0]) : (gsize) (side[1] - 1 - side[0]);
  g_string_truncate (buffer, 0);
  g_string_append_len (buffer, side[0], length);
  g_string_append_c (buffer, '\0');
  g_string_append (buffer, side[1]);
  return length + 1;
}

static void
read_merges (Tokenizer *t, JsonArray *merges, JsonObject *vocab, const Section *model)
{
  g_autoptr (GString) buffer = g_string_new (NULL);
  const guint n = json_array_get_length (merges);

  for (guint i = 0; i < n; i++) {
    JsonNode *entry = json_array_get_element (merges, i);
    gsize right = merge_sides (entry, buffer);
    Merge m = { -1, -1, i, -1 };

    if (right > 0) {
      m.left = vocabulary_find (vocab, buffer->str);
      m.right = vocabulary_find (vocab, buffer->str + right);
      g_string_erase (buffer, right - 1, 1);
      m.merged = vocabulary_find (vocab, buffer->str);
    }
    if (m.left < 0 || m.right < 0 || m.merged < 0) {
      g_autofree char *shown = jsonfile_show (entry);

      section_fail (model, DSVL2_ERROR_FILE, "merges",
          "has %s as number %u, two tokens of the vocabulary that make a third were expected", shown,
          i);
      return;
    }
    bpe_add (&t->bpe, m);
  }
}

/* A setting of the model that changes what it does unless it is null, false, 0 or "". */
static void
expect_unset (const Section *model, const char *key)
{
  JsonNode *value = section_value (model, key);
  g_autofree char *shown = value != NULL ? jsonfile_show (value) : NULL;
  double number;

  if (value == NULL || strcmp (shown, "false") == 0 || strcmp (shown, "\"\"") == 0 ||
      (jsonfile_number (value, &number) && number == 0))
    return;
  section_fail (model, DSVL2_ERROR_UNSUPPORTED, key, "is %s, only null is supported", shown);
}

static void
read_model (Tokenizer *t, const Section *model)
{
  static const char *const types[] = { "BPE", NULL };
  static const char *const unsupported[] = { "dropout", "unk_token", "continuing_subword_prefix",
    "end_of_word_suffix", "byte_fallback" };
  Section vocab;
  JsonArray *merges;

  section_choice (model, "type", 0, types);
  for (guint i = 0; i < G_N_ELEMENTS (unsupported); i++)
    expect_unset (model, unsupported[i]);
  if (section_bool (model, "ignore_merges", false))
    t->whole =
        g_hash_table_new_full (g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);
  vocab = section_child (model, "vocab");
  merges = section_array (model, "merges");
  if (vocab.object == NULL)
    section_fail (model, DSVL2_ERROR_FILE, "vocab", "is missing");
  if (merges == NULL)
    section_fail (model, DSVL2_ERROR_FILE, "merges", "is missing");
  if (*model->error != NULL)
    return;

  bpe_init (&t->bpe, json_array_get_length (merges));
  read_vocabulary (t, vocab.object, model);
  if (*model->error == NULL)
    read_merges (t, merges, vocab.object, model);
}

/* --- added tokens ------------------------------------------------------------------------------- */

static int
by_text (gconstpointer a, gconstpointer b)
{
  const AddedToken *ta = a, *tb = b;

  return strcmp (ta->text, tb->text);
}

static const AddedToken *
find_added (const Tokenizer *t, const char *text)
{
  for (int pass = 0; pass < N_PASSES; pass++)
    for (guint i = 0; i < t->added[pass].tokens->len; i++) {
      const AddedToken *a = &g_array_index (t->added[pass].tokens, AddedToken, i);

      if (strcmp (a->text, text) == 0)
        return a;
    }
  return NULL;
}

/* The token `a` gets its text and joins those that are looked for in a text; the sets are sorted later. */
static void
add_token (Tokenizer *t, int pass, AddedToken a, bool special)
{
  a.length = strlen (a.text);
  set_token (t, a.id, a.text, a.length);
  a.text = t->token[a.id].bytes;
  t->token[a.id].special = special;
  t->added[pass].begins[(guint8) a.text[0]] = true;
  g_array_append_val (t->added[pass].tokens, a);
}

static void
read_added_token (Tokenizer *t, const Section *s, JsonObject *vocab, GHashTable *seen)
{
  JsonNode *content = section_value (s, "content");
  AddedToken a = { .id = section_int (s, "id", -1, 0, t->size - 1) };
  int known;

  a.text = content != NULL && JSON_NODE_HOLDS_VALUE (content) ? json_node_get_string (content) : NULL;
  a.lstrip = section_bool (s, "lstrip", false);
  a.rstrip = section_bool (s, "rstrip", false);
  if (a.text == NULL || a.text[0] == '\0' || strlen (a.text) > MAX_ADDED) {
    section_fail (s, DSVL2_ERROR_FILE, "content", "is no text of 1 to %d bytes", MAX_ADDED);
    return;
  }
  if (a.id < 0)
    section_fail (s, DSVL2_ERROR_FILE, "id", "is missing");
  if (section_bool (s, "single_word", false))
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, "single_word", "is true, only false is supported");
  if (*s->error != NULL)
    return;

  known = vocabulary_find (vocab, a.text);
  if (known >= 0 && known != a.id)
    section_fail (s, DSVL2_ERROR_FILE, "id", "is %d, the vocabulary has this token as %d", a.id, known);
  else if (known < 0 && t->token[a.id].bytes != NULL)
    section_fail (s, DSVL2_ERROR_FILE, "id", "is %d, which is another token's", a.id);
  else if (!g_hash_table_add (seen, (gpointer) a.text))
    section_fail (s, DSVL2_ERROR_FILE, "content", "is there twice");
  else
    add_token (t, section_bool (s, "normalized", false) ? NORMALIZED : AS_IS, a,
        section_bool (s, "special", false));
}

/* Finds the special tokens, adds those that are missing. */
static void
complete_specials (Tokenizer *t, JsonObject *vocab, const Section *root)
{
  for (guint i = 0; i < G_N_ELEMENTS (specials); i++) {
    int *id = (int *) ((char *) &t->special + specials[i].member);
    const AddedToken *a = find_added (t, specials[i].text);

    *id = a != NULL ? a->id : vocabulary_find (vocab, specials[i].text);
    if (*id < 0 && specials[i].must_exist) {
      section_fail (root, DSVL2_ERROR_FILE, "added_tokens", "lacks %s", specials[i].text);
      return;
    }
    if (*id < 0 && t->n_tokens >= t->size) {
      section_fail (root, DSVL2_ERROR_FILE, "added_tokens",
          "lacks %s, and vocab_size %d has no room to add it", specials[i].text, t->size);
      return;
    }
    if (*id < 0)
      *id = t->n_tokens;
    if (a == NULL)
      add_token (t, AS_IS, (AddedToken){ .text = specials[i].text, .id = *id }, true);
    t->token[*id].special = true;
  }
}

static void
read_added (Tokenizer *t, JsonObject *vocab, const Section *root)
{
  JsonArray *list = section_array (root, "added_tokens");
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; list != NULL && i < json_array_get_length (list) && *root->error == NULL; i++) {
    Section s = section_element (root, "added_tokens", i);

    read_added_token (t, &s, vocab, seen);
  }
  if (*root->error == NULL)
    complete_specials (t, vocab, root);
  for (int pass = 0; pass < N_PASSES; pass++)
    g_array_sort (t->added[pass].tokens, by_text);
}

/* Among the tokens lo … hi − 1, which agree on n bytes, the first whose byte n is at least `byte`. */
static guint
lower_bound (const AddedToken *tokens, guint lo, guint hi, gsize n, int byte)
{
  while (lo < hi) {
    guint middle = lo + (hi - lo) / 2;

    if ((guint8) tokens[middle].text[n] < byte)
      lo = middle + 1;
    else
      hi = middle;
  }
  return lo;
}

/* The longest added token that p begins with, or NULL. */
static const AddedToken *
match_added (const AddedSet *set, const char *p, const char *end)
{
  const AddedToken *tokens = (const AddedToken *) set->tokens->data, *longest = NULL;
  guint lo = 0, hi = set->tokens->len;

  if (!set->begins[(guint8) *p])
    return NULL;
  for (gsize n = 0; p + n < end; n++) {
    const guint8 byte = p[n];

    lo = lower_bound (tokens, lo, hi, n, byte);
    hi = lower_bound (tokens, lo, hi, n, byte + 1);
    if (lo == hi || byte == 0)
      break;
    if (tokens[lo].length == n + 1)
      longest = &tokens[lo];
  }
  return longest;
}

/* --- loading ------------------------------------------------------------------------------------ */

/* Only the empty normalizer is known: null, or a Sequence of nothing. */
static void
read_normalizer (const Section *s)
{
  static const char *const types[] = { "Sequence", NULL };
  JsonArray *list;

  if (s->object == NULL)
    return;
  if (!section_has (s, "type"))
    section_fail (s, DSVL2_ERROR_FILE, "type", "is missing");
  section_choice (s, "type", 0, types);
  list = section_array (s, "normalizers");
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++) {
    Section child = section_element (s, "normalizers", i);

    read_normalizer (&child);
  }
}

static void
read_decoder (const Section *root)
{
  static const char *const types[] = { "ByteLevel", NULL };
  Section s = section_child (root, "decoder");

  if (!section_has (&s, "type"))
    section_fail (root, DSVL2_ERROR_UNSUPPORTED, "decoder", "is missing, ByteLevel was expected");
  section_choice (&s, "type", 0, types);
}

Tokenizer *
tokenizer_load (const char *dir, int vocab_size, GError **error)
{
  g_autoptr (JsonNode) root = jsonfile_load (dir, FILE_NAME, MAX_FILE, error);
  g_autoptr (Tokenizer) t = NULL;
  GError *local = NULL;
  Section file, model, normalizer;

  if (root == NULL)
    return NULL;
  t = g_new0 (Tokenizer, 1);
  t->size = MAX (vocab_size, 0);
  t->token = g_new0 (Token, t->size);
  t->chunk = g_string_chunk_new (1 << 16);
  for (int pass = 0; pass < N_PASSES; pass++)
    t->added[pass].tokens = g_array_new (FALSE, FALSE, sizeof (AddedToken));

  file = section_root (root, FILE_NAME, &local);
  model = section_child (&file, "model");
  normalizer = section_child (&file, "normalizer");
  read_model (t, &model);
  if (local == NULL)
    read_added (t, section_child (&model, "vocab").object, &file);
  read_normalizer (&normalizer);
  read_decoder (&file);
  t->pretokenizer = pretokenizer_new (&file);
  if (local != NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  return g_steal_pointer (&t);
}

void
tokenizer_free (Tokenizer *t)
{
  if (t == NULL)
    return;
  for (int pass = 0; pass < N_PASSES; pass++)
    g_array_unref (t->added[pass].tokens);
  g_clear_pointer (&t->pretokenizer, pretokenizer_free);
  g_clear_pointer (&t->whole, g_hash_table_unref);
  bpe_clear (&t->bpe);
  g_string_chunk_free (t->chunk);
  g_free (t->token);
  g_free (t);
}

/* --- tokens ------------------------------------------------------------------------------------- */

const SpecialTokens *
tokenizer_special (const Tokenizer *t)
{
  return &t->special;
}

const char *
tokenizer_token_bytes (const Tokenizer *t, int id, gsize *length)
{
  const bool known = id >= 0 && id < t->n_tokens && t->token[id].bytes != NULL;

  *length = known ? t->token[id].length : 0;
  return known ? t->token[id].bytes : "";
}

bool
tokenizer_is_special (const Tokenizer *t, int id)
{
  return id >= 0 && id < t->n_tokens && t->token[id].special;
}

int
tokenizer_vocabulary (const Tokenizer *t)
{
  return t->n_tokens;
}

/* --- encoding ----------------------------------------------------------------------------------- */

/* What one call works with. */
typedef struct {
  const Tokenizer *t;
  GArray *ids;
  GString *text; /* between two added tokens */
  GArray *pieces, *spare;
  BpeScratch bpe;
} Encoder;

static void
encode_piece (Encoder *e, const char *bytes, gsize length)
{
  if (e->t->whole != NULL) {
    g_autoptr (GBytes) key = g_bytes_new_static (bytes, length);
    int id = GPOINTER_TO_INT (g_hash_table_lookup (e->t->whole, key)) - 1;

    if (id >= 0) {
      g_array_append_val (e->ids, id);
      return;
    }
  }
  bpe_encode (&e->t->bpe, (const guint8 *) bytes, length, e->ids, &e->bpe);
}

static void
encode_words (Encoder *e, const char *text, gsize length)
{
  g_string_truncate (e->text, 0);
  g_string_append_len (e->text, text, length);
  pretokenizer_split (e->t->pretokenizer, e->text, e->pieces, e->spare);
  for (guint i = 0; i < e->pieces->len; i++) {
    const Piece *piece = &g_array_index (e->pieces, Piece, i);

    encode_piece (e, e->text->str + piece->start, piece->end - piece->start);
  }
}

/* White_Space of Unicode. */
static bool
is_space (gunichar c)
{
  GUnicodeType type = g_unichar_type (c);

  return (c >= '\t' && c <= '\r') || c == 0x85 || type == G_UNICODE_SPACE_SEPARATOR ||
         type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR;
}

static const char *
skip_spaces (const char *p, const char *end)
{
  while (p < end && is_space (g_utf8_get_char (p)))
    p = g_utf8_next_char (p);
  return p;
}

static const char *
skip_spaces_back (const char *p, const char *begin)
{
  while (p > begin && is_space (g_utf8_get_char (g_utf8_prev_char (p))))
    p = g_utf8_prev_char (p);
  return p;
}

/* Encodes p … end: the added tokens of this pass, and what lies between them by the passes that follow. */
static void
encode_pass (Encoder *e, int pass, const char *p, const char *end)
{
  const char *done = p;

  if (pass == N_PASSES) {
    encode_words (e, p, end - p);
    return;
  }
  while (p < end) {
    const AddedToken *a = match_added (&e->t->added[pass], p, end);
    const char *start = p;

    if (a == NULL) {
      p++;
      continue;
    }
    p += a->length;
    if (a->lstrip)
      start = skip_spaces_back (start, done);
    if (start > done)
      encode_pass (e, pass + 1, done, start);
    g_array_append_val (e->ids, a->id);
    done = a->rstrip ? skip_spaces (p, end) : p;
  }
  if (done < end)
    encode_pass (e, pass + 1, done, end);
}

/* The text as valid UTF-8; NUL is a character. */
static void
append_valid (GString *out, const char *text, gsize length)
{
  const char *end = text + length, *bad;

  while (!g_utf8_validate_len (text, end - text, &bad)) {
    g_string_append_len (out, text, bad - text);
    if (*bad == '\0')
      g_string_append_c (out, '\0');
    else
      g_string_append (out, "\357\277\275");
    text = bad + 1;
  }
  g_string_append_len (out, text, end - text);
}

void
tokenizer_encode (const Tokenizer *t, const char *text, gssize length, GArray *ids)
{
  g_autoptr (GString) valid = g_string_new (NULL);
  Encoder e = { .t = t, .ids = ids };

  append_valid (valid, text, MIN (length >= 0 ? (gsize) length : strlen (text), MAX_TEXT));
  e.text = g_string_new (NULL);
  e.pieces = g_array_new (FALSE, FALSE, sizeof (Piece));
  e.spare = g_array_new (FALSE, FALSE, sizeof (Piece));
  bpe_scratch_init (&e.bpe);

  encode_pass (&e, AS_IS, valid->str, valid->str + valid->len);

  bpe_scratch_clear (&e.bpe);
  g_array_unref (e.spare);
  g_array_unref (e.pieces);
  g_string_free (e.text, TRUE);
}
