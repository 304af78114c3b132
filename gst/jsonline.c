/* dsvl2: one line of JSON, written member by member
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jsonline.h"
#include <math.h>
#include <string.h>

static void
append_escaped (GString *line, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);

  g_string_append_c (line, '"');
  for (const char *p = valid; *p != '\0'; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_printf (line, "\\%c", *p);
    else if (*p == '\n')
      g_string_append (line, "\\n");
    else if ((guchar) *p < 0x20 || *p == 0x7f)
      g_string_append_printf (line, "\\u%04x", *p);
    else
      g_string_append_c (line, *p);
  }
  g_string_append_c (line, '"');
}

/* The comma before a member or element, and the member's name. */
static void
begin (GString *line, const char *name)
{
  const char last = line->len > 0 ? line->str[line->len - 1] : '{';

  if (last != '{' && last != '[')
    g_string_append_c (line, ',');
  if (name != NULL) {
    append_escaped (line, name);
    g_string_append_c (line, ':');
  }
}

void
json_line_open (GString *line, const char *name, char bracket)
{
  begin (line, name);
  g_string_append_c (line, bracket);
}

void
json_line_close (GString *line, char bracket)
{
  g_string_append_c (line, bracket);
}

void
json_line_string (GString *line, const char *name, const char *value)
{
  begin (line, name);
  append_escaped (line, value != NULL ? value : "");
}

void
json_line_int (GString *line, const char *name, gint64 value)
{
  begin (line, name);
  g_string_append_printf (line, "%" G_GINT64_FORMAT, value);
}

void
json_line_uint (GString *line, const char *name, guint64 value)
{
  begin (line, name);
  g_string_append_printf (line, "%" G_GUINT64_FORMAT, value);
}

static void
append_word (GString *line, const char *name, const char *word)
{
  begin (line, name);
  g_string_append (line, word);
}

void
json_line_boolean (GString *line, const char *name, gboolean value)
{
  append_word (line, name, value ? "true" : "false");
}

void
json_line_null (GString *line, const char *name)
{
  append_word (line, name, "null");
}

void
json_line_number (GString *line, const char *name, double value, int decimals)
{
  char text[340], format[8]; /* the largest double has 309 digits before the point */
  gsize length;

  if (!isfinite (value)) {
    json_line_null (line, name);
    return;
  }
  begin (line, name);
  g_snprintf (format, sizeof (format), "%%.%df", decimals);
  g_ascii_formatd (text, sizeof (text), format, value);
  length = strlen (text);
  while (text[length - 1] == '0')
    length--;
  if (text[length - 1] == '.')
    length--;
  g_string_append_len (line, text, (gssize) length);
}
