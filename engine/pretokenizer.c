/* dsvl2: cutting text into the pieces that byte-pair encoding never crosses
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pretokenizer.h"

#include <string.h>

enum { MAX_STEPS = 64 };

/* What becomes of the matches of a Split; names as in tokenizer.json. */
typedef enum { ISOLATED, REMOVED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS } Behaviour;
static const char *const behaviours[] = { "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
  "Contiguous", NULL };

static const char *const types[] = { "Sequence", "Split", "Digits", "ByteLevel", NULL };
enum { SEQUENCE, SPLIT, DIGITS, BYTE_LEVEL };

/* Digits, in the Unicode sense, and what ByteLevel splits by (GPT-2, Radford et al. 2019). */
#define NUMERIC "\\p{N}"
#define WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct {
  GRegex *pattern; /* NULL: put a space before each piece that has none */
  Behaviour behaviour;
  bool invert;
} Step;

struct _Pretokenizer {
  GArray *steps;
  bool byte_level; /* seen: it is the last one */
};

/* --- patterns ----------------------------------------------------------------------------------- */

/* Members of classes whose escapes the two libraries disagree on. PCRE2's \s has U+180E, no white space
 * since Unicode 6.3; its \w lacks marks and connectors. Oniguruma's \w has Latin-1's raised numbers and
 * fractions, except in brackets. */
#define SPACE "\\t-\\r\\x85\\p{Z}"
#define NOT_SPACE                                                                                      \
  "\\x00-\\x08\\x0e-\\x1f!-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"      \
  "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define WORD                                                                                           \
  "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}"     \
  "\\x{1f170}-\\x{1f189}"
#define LATIN_NUMBERS "\\xb2\\xb3\\xb9\\xbc-\\xbe"

/* What follows a backslash at p: appends its translation, returns what is behind it; NULL: unknown. */
static const char *
translate_escape (GString *out, const char *p, bool in_class)
{
  static const struct {
    char letter;
    const char *in_class, *outside;
  } renamed[] = {
    { 's', SPACE, "[" SPACE "]" },
    { 'S', NOT_SPACE, "[" NOT_SPACE "]" },
    { 'w', WORD, "[" WORD LATIN_NUMBERS "]" },
    { 'W', NULL, "[^" WORD LATIN_NUMBERS "]" },
    { 'h', "0-9A-Fa-f", "[0-9A-Fa-f]" },
    { 'H', NULL, "[^0-9A-Fa-f]" },
    { 'v', "\\x0b", "\\x0b" },
    { 'A', NULL, "\\A" },
    { 'z', NULL, "\\z" },
    { 'Z', NULL, "\\Z" },
  };
  const char *text = NULL;
  gsize n;

  for (guint i = 0; i < G_N_ELEMENTS (renamed) && text == NULL; i++)
    if (renamed[i].letter == *p)
      text = in_class ? renamed[i].in_class : renamed[i].outside;
  if (text != NULL) {
    g_string_append (out, text);
    return p + 1;
  }
  if (*p != '\0' && (strchr ("tnrfaedD", *p) != NULL || g_ascii_ispunct (*p))) {
    g_string_append_c (out, '\\');
    g_string_append_c (out, *p);
    return p + 1;
  }
  if (*p == 'u' && strspn (p + 1, "0123456789ABCDEFabcdef") >= 4) {
    g_string_append_printf (out, "\\x{%.4s}", p + 1);
    return p + 5;
  }
  /* general categories; the names of scripts and properties differ */
  if ((*p == 'p' || *p == 'P') && p[1] == '{') {
    const char *name = p + 2 + (p[2] == '^');

    n = strcspn (name, "}");
    if ((n == 1 || n == 2) && name[n] == '}' && strchr ("CLMNPSZ", name[0]) != NULL) {
      g_string_append_printf (out, "\\%.*s", (int) (name + n + 1 - p), p);
      return name + n + 1;
    }
  }
  if (*p == 'x' && p[1] == '{') {
    n = strspn (p + 2, "0123456789ABCDEFabcdef");
    if (n >= 1 && n <= 6 && p[2 + n] == '}') {
      g_string_append_printf (out, "\\%.*s", (int) n + 3, p);
      return p + n + 3;
    }
  }
  return NULL;
}

/* A class, whose opening bracket is at p. Oniguruma has classes inside classes and &&. */
static const char *
translate_class (GString *out, const char *p)
{
  const char *first = p + 1 + (p[1] == '^');

  g_string_append_len (out, p, first - p);
  for (p = first; *p != '\0';) {
    if (*p == '[' || (p[0] == '&' && p[1] == '&') || (*p == ']' && p == first))
      return NULL;
    if (*p == ']') {
      g_string_append_c (out, *p);
      return p + 1;
    }
    if (*p == '\\') {
      p = translate_escape (out, p + 1, true);
      if (p == NULL)
        return NULL;
    } else {
      g_string_append_c (out, *p++);
    }
  }
  return NULL;
}

/* A group or quantifier at p whose sense is the same in both: how many bytes of it to copy, or 0. */
static gsize
same_in_both (const char *p)
{
  static const char *const groups[] = { "(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?i)",
    NULL };
  gsize n;

  if (p[0] == '(' && p[1] == '?') {
    for (int i = 0; groups[i] != NULL; i++)
      if (g_str_has_prefix (p, groups[i]))
        return strlen (groups[i]);
    return 0;
  }
  if (p[0] == '(' && p[1] == '*')
    return 0;
  if (p[0] == '{') {
    n = 1 + strspn (p + 1, "0123456789");
    if (n == 1)
      return 0;
    if (p[n] == ',')
      n += 1 + strspn (p + n + 1, "0123456789");
    /* {n}? and {n}+ are a repeated repetition in Ruby's syntax */
    return p[n] == '}' && (p[n + 1] == '\0' || strchr ("?+*{", p[n + 1]) == NULL) ? n + 1 : 0;
  }
  return 1;
}

char *
pretokenizer_translate (const char *pattern, gsize *where)
{
  g_autoptr (GString) out = g_string_new (NULL);
  const char *p = pattern;

  while (*p != '\0') {
    const char *next;

    *where = p - pattern;
    if (*p == '\\') {
      next = translate_escape (out, p + 1, false);
    } else if (*p == '[') {
      next = translate_class (out, p);
    } else {
      next = p + same_in_both (p);
      g_string_append_len (out, p, next - p);
    }
    if (next == NULL || next == p)
      return NULL;
    p = next;
  }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* --- reading ------------------------------------------------------------------------------------ */

static void
clear_step (gpointer step)
{
  g_clear_pointer (&((Step *) step)->pattern, g_regex_unref);
}

void
pretokenizer_free (Pretokenizer *p)
{
  g_array_unref (p->steps);
  g_free (p);
}

/* Appends a step that splits by `pattern`, in PCRE2's syntax; errors name the key it came from. In Ruby's
 * syntax ^ and $ match at every line, and lines end with \n alone. */
static void
add_split (Pretokenizer *p, const char *pattern, Behaviour behaviour, bool invert, const Section *s,
    const char *key)
{
  g_autoptr (GError) local = NULL;
  Step step = { .behaviour = behaviour, .invert = invert };

  step.pattern =
      g_regex_new (pattern, G_REGEX_OPTIMIZE | G_REGEX_MULTILINE | G_REGEX_NEWLINE_LF, 0, &local);
  if (step.pattern == NULL) {
    section_fail (s, DSVL2_ERROR_FILE, key, "is no regular expression: %s", local->message);
    return;
  }
  /* GLib compiles to machine code when it matches first, and locks nothing then: not in two threads */
  g_regex_match (step.pattern, "", 0, NULL);
  g_array_append_val (p->steps, step);
}

static void
read_split (Pretokenizer *p, const Section *s)
{
  Section pattern = section_child (s, "pattern");
  Behaviour behaviour = section_choice (s, "behavior", ISOLATED, behaviours);
  bool invert = section_bool (s, "invert", false);
  const char *key = section_has (&pattern, "Regex") ? "Regex" : "String";
  JsonNode *value = section_value (&pattern, key);
  const char *text =
      value != NULL && JSON_NODE_HOLDS_VALUE (value) ? json_node_get_string (value) : NULL;
  g_autofree char *translated = NULL;
  gsize where = 0;

  if (text == NULL) {
    section_fail (s, DSVL2_ERROR_FILE, "pattern", "has no text as \"Regex\" or \"String\"");
    return;
  }
  translated = key[0] == 'S' ? g_regex_escape_string (text, -1) : pretokenizer_translate (text, &where);
  if (translated == NULL) {
    g_autofree char *shown = jsonfile_show (value);

    section_fail (&pattern, DSVL2_ERROR_UNSUPPORTED, key,
        "%s has at byte %" G_GSIZE_FORMAT " a construct that is not supported", shown, where);
    return;
  }
  add_split (p, translated, behaviour, invert, &pattern, key);
}

static void
read_byte_level (Pretokenizer *p, const Section *s)
{
  p->byte_level = true;
  if (section_bool (s, "add_prefix_space", true))
    g_array_append_val (p->steps, ((Step){ .pattern = NULL }));
  if (section_bool (s, "use_regex", true)) {
    gsize where;
    g_autofree char *words = pretokenizer_translate (WORDS, &where);

    add_split (p, words, ISOLATED, false, s, "use_regex");
  }
}

static void
read_component (Pretokenizer *p, const Section *s)
{
  JsonArray *list;

  if (*s->error != NULL)
    return;
  if (p->byte_level) {
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, "type", "follows ByteLevel, which must be the last one");
    return;
  }
  if (!section_has (s, "type") || p->steps->len >= MAX_STEPS) {
    section_fail (s, DSVL2_ERROR_FILE, "type", "is missing, or one of more than %d", MAX_STEPS);
    return;
  }
  switch (section_choice (s, "type", SEQUENCE, types)) {
    case SPLIT:
      read_split (p, s);
      break;
    case DIGITS:
      add_split (p, NUMERIC, section_bool (s, "individual_digits", false) ? ISOLATED : CONTIGUOUS,
          false, s, "type");
      break;
    case BYTE_LEVEL:
      read_byte_level (p, s);
      break;
    default:
      list = section_array (s, "pretokenizers");
      for (guint i = 0; list != NULL && i < json_array_get_length (list); i++) {
        Section child = section_element (s, "pretokenizers", i);

        read_component (p, &child);
      }
  }
}

Pretokenizer *
pretokenizer_new (const Section *root)
{
  Section s = section_child (root, "pre_tokenizer");
  g_autoptr (Pretokenizer) p = g_new0 (Pretokenizer, 1);

  p->steps = g_array_new (FALSE, FALSE, sizeof (Step));
  g_array_set_clear_func (p->steps, clear_step);
  if (s.object != NULL)
    read_component (p, &s);
  if (!p->byte_level)
    section_fail (root, DSVL2_ERROR_UNSUPPORTED, "pre_tokenizer",
        "has no ByteLevel, only byte-level vocabularies are supported");
  return *s.error == NULL ? g_steal_pointer (&p) : NULL;
}

/* --- splitting ---------------------------------------------------------------------------------- */

/* Collects the parts of one piece, matches and what lies between them, as a Split's behaviour joins them. */
typedef struct {
  GArray *pieces;
  gsize offset; /* of the piece in the text */
  const Step *step;
  guint first; /* the first part of this piece */
  bool after_match;
} Parts;

static void
add_part (Parts *parts, gsize start, gsize end, bool match)
{
  Piece piece = { parts->offset + start, parts->offset + end };
  bool is_delimiter = match != parts->step->invert;
  bool join = false;

  switch (parts->step->behaviour) {
    case ISOLATED:
      break;
    case REMOVED:
      if (is_delimiter)
        return;
      break;
    case CONTIGUOUS:
      join = is_delimiter == parts->after_match;
      break;
    case MERGED_WITH_PREVIOUS:
      join = is_delimiter && !parts->after_match;
      break;
    case MERGED_WITH_NEXT:
      join = !is_delimiter && parts->after_match;
      break;
  }
  parts->after_match = is_delimiter;
  if (join && parts->pieces->len > parts->first)
    g_array_index (parts->pieces, Piece, parts->pieces->len - 1).end = piece.end;
  else
    g_array_append_val (parts->pieces, piece);
}

static void
drop_empty (GArray *pieces, guint first)
{
  Piece *p = (Piece *) pieces->data;
  guint n = first;

  for (guint i = first; i < pieces->len; i++)
    if (p[i].start < p[i].end)
      p[n++] = p[i];
  g_array_set_size (pieces, n);
}

/* Cuts one piece as a text of its own: what lookarounds, ^ and $ see ends with it. */
static void
split_piece (const Step *step, const char *text, Piece piece, GArray *pieces)
{
  Parts parts = { .pieces = pieces, .offset = piece.start, .step = step, .first = pieces->len };
  const gsize length = piece.end - piece.start;
  GMatchInfo *match = NULL;
  int start, end;
  gsize done = 0;

  g_regex_match_full (step->pattern, text + piece.start, length, 0, 0, &match, NULL);
  for (; g_match_info_matches (match); g_match_info_next (match, NULL)) {
    g_match_info_fetch_pos (match, 0, &start, &end);
    /* an empty match right behind another is none */
    if (start == end && (gsize) end == done && done > 0)
      continue;
    if ((gsize) start > done)
      add_part (&parts, done, start, false);
    add_part (&parts, start, end, true);
    done = end;
  }
  g_match_info_free (match);
  if (done < length)
    add_part (&parts, done, length, false);
  drop_empty (pieces, parts.first);
}

/* Puts a space before each piece that begins without one. */
static void
prefix_spaces (GString *text, GArray *pieces)
{
  g_autoptr (GString) out = g_string_sized_new (text->len + pieces->len);

  for (guint i = 0; i < pieces->len; i++) {
    Piece *piece = &g_array_index (pieces, Piece, i);
    const gsize start = out->len;

    if (text->str[piece->start] != ' ')
      g_string_append_c (out, ' ');
    g_string_append_len (out, text->str + piece->start, piece->end - piece->start);
    *piece = (Piece){ start, out->len };
  }
  g_string_truncate (text, 0);
  g_string_append_len (text, out->str, out->len);
}

void
pretokenizer_split (const Pretokenizer *p, GString *text, GArray *pieces, GArray *spare)
{
  Piece whole = { 0, text->len };

  g_array_set_size (pieces, 0);
  if (text->len > 0)
    g_array_append_val (pieces, whole);
  for (guint i = 0; i < p->steps->len; i++) {
    const Step *step = &g_array_index (p->steps, Step, i);

    if (step->pattern == NULL) {
      prefix_spaces (text, pieces);
      continue;
    }
    g_array_set_size (spare, 0);
    g_array_append_vals (spare, pieces->data, pieces->len);
    g_array_set_size (pieces, 0);
    for (guint j = 0; j < spare->len; j++)
      split_piece (step, text->str, g_array_index (spare, Piece, j), pieces);
  }
}
