/* dsvl2: JSON files of a checkpoint, read with bounds and named errors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jsonfile.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

/* --- text to tree ------------------------------------------------------------------------------- */

/* The end of the string whose opening quote is at p: its closing quote, or NULL. */
static const char *
string_end (const char *p, const char *end)
{
  for (p++; p < end; p++) {
    if (*p == '\\')
      p++;
    else if (*p == '"')
      return p;
  }
  return NULL;
}

/* Whether the number at p starts with more than a gint64 holds: json-glib would make it another one. */
static bool
is_too_large (const char *text, const char *p, const char *end)
{
  const char *q = p;

  if (p > text && (g_ascii_isdigit (p[-1]) || p[-1] == '.'))
    return false;
  while (q < end && g_ascii_isdigit (*q))
    q++;
  return q - p > 19 || (q - p == 19 && memcmp (p, "9223372036854775807", 19) > 0);
}

/* Checks what json-glib takes too lightly: depth, number of values, and that the text is one object in
 * plain JSON. Returns what is wrong, and where, or NULL. */
static const char *
check_text (const char *text, gsize length, const char **where)
{
  const char *p = text, *end = text + length;
  int depth = 0, values = 0;
  bool closed = false;

  for (; p < end; p++) {
    *where = p;
    if (g_ascii_isspace (*p))
      continue;
    if (closed)
      return "there is more behind the object";
    if (depth == 0 && *p != '{')
      return "an object was expected";
    switch (*p) {
      case '"':
        p = string_end (p, end);
        if (p == NULL)
          return "a string does not end";
        break;
      case '{':
      case '[':
        if (++depth > JSONFILE_MAX_DEPTH)
          return "it is nested too deeply";
        values++;
        break;
      case '}':
      case ']':
        closed = --depth == 0;
        break;
      case ',':
        values++;
        break;
      default:
        /* the letters of numbers, true, false and null */
        if (*p == '\0' || strchr (":0123456789+-.eEtrufalsn", *p) == NULL)
          return "this is not JSON";
        if (g_ascii_isdigit (*p) && is_too_large (text, p, end))
          return "a number is too large";
    }
    if (values > JSONFILE_MAX_VALUES)
      return "it has too many values";
  }
  *where = end;
  return closed ? NULL : length == 0 ? "it is empty" : "it ends too early";
}

JsonNode *
jsonfile_parse (const char *text, gsize length, const char *file, GError **error)
{
  g_autoptr (JsonParser) parser = NULL;
  g_autoptr (GError) local = NULL;
  const char *where = text, *wrong;

  if (!g_utf8_validate_len (text, length, &where))
    wrong = "this is not UTF-8";
  else
    wrong = check_text (text, length, &where);
  if (wrong != NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "%s: %s, at byte %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT, file, wrong, (gsize) (where - text),
        length);
    return NULL;
  }
  parser = json_parser_new (); /* sealing an immutable tree takes a third longer */
  if (!json_parser_load_from_data (parser, text, length, &local)) {
    g_autofree char *message = jsonfile_shorten (local->message);

    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s is not valid JSON: %s", file, message);
    return NULL;
  }
  return json_parser_steal_root (parser);
}

bool
jsonfile_stat (const char *path, guint64 *size, GError **error)
{
  g_autofree char *shown = g_filename_display_name (path);
  GStatBuf st;

  if (g_stat (path, &st) != 0) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s cannot be read: %s", shown,
        g_strerror (errno));
    return false;
  }
  if (!S_ISREG (st.st_mode)) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s is not a regular file", shown);
    return false;
  }
  *size = st.st_size;
  return true;
}

JsonNode *
jsonfile_load (const char *dir, const char *file, gsize max_bytes, GError **error)
{
  g_autofree char *path = g_build_filename (dir, file, NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) local = NULL;
  guint64 size;
  gsize length;

  if (!jsonfile_stat (path, &size, error))
    return NULL;
  if (size > max_bytes) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "%s has %" G_GUINT64_FORMAT " bytes, at most %" G_GSIZE_FORMAT " were expected", file, size,
        max_bytes);
    return NULL;
  }
  if (!g_file_get_contents (path, &text, &length, &local)) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s", local->message);
    return NULL;
  }
  return jsonfile_parse (text, length, file, error);
}

/* Calls a key equal to another where their spellings in the file are: enough to name the usual one. */
char *
jsonfile_duplicate (const char *text, gsize length, JsonNode *root)
{
  g_autoptr (GHashTable) seen = NULL;
  const char *end = text + length;
  guint keys = 0;
  int depth = 0;

  /* as many colons as members: no key is there twice */
  for (const char *p = text; p < end; p++) {
    if (*p == '"')
      p = string_end (p, end);
    else if (*p == '{' || *p == '[')
      depth++;
    else if (*p == '}' || *p == ']')
      depth--;
    else if (*p == ':' && depth == 1)
      keys++;
  }
  if (keys == json_object_get_size (json_node_get_object (root)))
    return NULL;

  seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (const char *p = text; p < end; p++) {
    if (*p == '"') {
      const char *close = string_end (p, end), *next = close + 1;
      g_autofree char *key = g_strndup (p + 1, close - p - 1);

      while (next < end && g_ascii_isspace (*next))
        next++;
      if (depth == 1 && next < end && *next == ':') {
        if (g_hash_table_contains (seen, key))
          return g_steal_pointer (&key);
        g_hash_table_add (seen, g_steal_pointer (&key));
      }
      p = close;
    } else if (*p == '{' || *p == '[') {
      depth++;
    } else if (*p == '}' || *p == ']') {
      depth--;
    }
  }
  return g_strdup ("(a key spelt in two ways)");
}

char *
jsonfile_shorten (const char *text)
{
  enum { MAX = 100 };
  g_autofree char *valid = g_utf8_make_valid (text, -1); /* an escape may have made half a pair */
  const char *cut = strlen (valid) > MAX ? g_utf8_find_prev_char (valid, valid + MAX + 1) : NULL;

  return cut != NULL ? g_strdup_printf ("%.*s…", (int) (cut - valid), valid) : g_steal_pointer (&valid);
}

char *
jsonfile_show (JsonNode *value)
{
  g_autofree char *text = json_to_string (value, FALSE);

  return jsonfile_shorten (text);
}

/* --- sections ----------------------------------------------------------------------------------- */

void
section_fail (const Section *s, Dsvl2Error code, const char *key, const char *format, ...)
{
  g_autofree char *rest = NULL;
  va_list args;

  if (*s->error != NULL)
    return;
  va_start (args, format);
  rest = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (s->error, DSVL2_ERROR, code, "%s: %s%s%s %s", s->file, s->name, s->name[0] ? "." : "",
      key, rest);
}

static void
fail_value (const Section *s, Dsvl2Error code, const char *key, JsonNode *value, const char *expected)
{
  g_autofree char *shown = jsonfile_show (value);

  section_fail (s, code, key, "is %s, %s was expected", shown, expected);
}

Section
section_root (JsonNode *root, const char *file, GError **error)
{
  return (Section){ .file = file, .object = json_node_get_object (root), .error = error };
}

/* A section named `key` inside `parent` for the object `value`, which may be NULL. */
static Section
section_of (const Section *parent, const char *key, JsonNode *value)
{
  Section s = { .file = parent->file, .error = parent->error };

  g_snprintf (s.name, sizeof s.name, "%s%s%s", parent->name, parent->name[0] ? "." : "", key);
  if (value != NULL && JSON_NODE_HOLDS_OBJECT (value))
    s.object = json_node_get_object (value);
  else if (value != NULL)
    fail_value (parent, DSVL2_ERROR_FILE, key, value, "an object");
  return s;
}

Section
section_child (const Section *parent, const char *key)
{
  return section_of (parent, key, section_value (parent, key));
}

Section
section_element (const Section *parent, const char *key, guint i)
{
  JsonArray *list = section_array (parent, key);
  char name[48];

  g_snprintf (name, sizeof name, "%s[%u]", key, i);
  return section_of (parent, name, list != NULL ? json_array_get_element (list, i) : NULL);
}

JsonNode *
section_value (const Section *s, const char *key)
{
  JsonNode *value = s->object != NULL ? json_object_get_member (s->object, key) : NULL;

  return value != NULL && !JSON_NODE_HOLDS_NULL (value) ? value : NULL;
}

bool
section_has (const Section *s, const char *key)
{
  return section_value (s, key) != NULL;
}

bool
jsonfile_number (JsonNode *value, double *number)
{
  GType type = json_node_get_value_type (value);

  if (!JSON_NODE_HOLDS_VALUE (value) || (type != G_TYPE_INT64 && type != G_TYPE_DOUBLE))
    return false;
  *number = type == G_TYPE_INT64 ? (double) json_node_get_int (value) : json_node_get_double (value);
  return true;
}

int
section_int (const Section *s, const char *key, int otherwise, int min, int max)
{
  JsonNode *value = section_value (s, key);
  double v;
  char expected[80];

  if (value == NULL)
    return otherwise;
  if (jsonfile_number (value, &v) && v >= min && v <= max && v == (int) v)
    return (int) v;
  g_snprintf (expected, sizeof expected, "a whole number from %d to %d", min, max);
  fail_value (s, DSVL2_ERROR_FILE, key, value, expected);
  return otherwise;
}

double
section_double (const Section *s, const char *key, double otherwise, double min, double max)
{
  JsonNode *value = section_value (s, key);
  double v;
  char expected[80];

  if (value == NULL)
    return otherwise;
  if (jsonfile_number (value, &v) && v >= min && v <= max)
    return v;
  g_snprintf (expected, sizeof expected, "a number from %g to %g", min, max);
  fail_value (s, DSVL2_ERROR_FILE, key, value, expected);
  return otherwise;
}

bool
section_bool (const Section *s, const char *key, bool otherwise)
{
  JsonNode *value = section_value (s, key);

  if (value == NULL)
    return otherwise;
  if (JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) == G_TYPE_BOOLEAN)
    return json_node_get_boolean (value);
  fail_value (s, DSVL2_ERROR_FILE, key, value, "true or false");
  return otherwise;
}

int
section_choice (const Section *s, const char *key, int otherwise, const char *const *names)
{
  JsonNode *value = section_value (s, key);
  g_autofree char *list = NULL, *expected = NULL;
  const char *text;

  if (value == NULL)
    return otherwise;
  text = JSON_NODE_HOLDS_VALUE (value) ? json_node_get_string (value) : NULL;
  for (int i = 0; text != NULL && names[i] != NULL; i++)
    if (strcmp (text, names[i]) == 0)
      return i;
  list = g_strjoinv ("\" or \"", (char **) names);
  expected = g_strdup_printf ("\"%s\"", list);
  fail_value (s, text != NULL ? DSVL2_ERROR_UNSUPPORTED : DSVL2_ERROR_FILE, key, value, expected);
  return otherwise;
}

JsonArray *
section_array (const Section *s, const char *key)
{
  JsonNode *value = section_value (s, key);

  if (value == NULL)
    return NULL;
  if (JSON_NODE_HOLDS_ARRAY (value))
    return json_node_get_array (value);
  fail_value (s, DSVL2_ERROR_FILE, key, value, "a list");
  return NULL;
}
