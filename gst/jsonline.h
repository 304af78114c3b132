/* dsvl2: one line of JSON, written member by member
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * json-glib writes 0.3764 as 0.37640000000000001; here a number has the digits that it is worth. */
#ifndef DSVL2_JSONLINE_H
#define DSVL2_JSONLINE_H

#include <glib.h>

/* Each appends to `line`, with a comma where one belongs; `name` is NULL for the root and for elements of
 * an array. Brackets are '{' '}' '[' ']'. */
void json_line_open (GString *line, const char *name, char bracket);
void json_line_close (GString *line, char bracket);
/* Any bytes: what is not UTF-8 becomes U+FFFD. NULL is "". */
void json_line_string (GString *line, const char *name, const char *value);
void json_line_int (GString *line, const char *name, gint64 value);
void json_line_uint (GString *line, const char *name, guint64 value);
void json_line_boolean (GString *line, const char *name, gboolean value);
void json_line_null (GString *line, const char *name);
/* At most `decimals` (1 … 15) digits behind the point; null for what is not a finite number. */
void json_line_number (GString *line, const char *name, double value, int decimals);

#endif
