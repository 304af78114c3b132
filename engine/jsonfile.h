/* dsvl2: JSON files of a checkpoint, read with bounds and named errors
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_JSONFILE_H
#define DSVL2_JSONFILE_H

#include "dsvl2.h"
#include <json-glib/json-glib.h>
#include <stdbool.h>

/* json-glib recurses and builds a tree, so both are bounded before it sees the text. */
enum { JSONFILE_MAX_DEPTH = 64, JSONFILE_MAX_VALUES = 4 << 20 };

/* jsonfile_parse: the object that `length` bytes at `text` hold, strictly: valid UTF-8, one object and
 * nothing behind it, none of json-glib's extensions (comments, single quotes). `file` is what errors call
 * it. Of a key that occurs twice the last wins, see jsonfile_duplicate ().
 * Errors: FILE. Free with json_node_unref (). */
JsonNode *jsonfile_parse (const char *text, gsize length, const char *file, GError **error);

/* Whether `path` is a regular file, and its size: asked before it is opened, for opening a pipe would wait
 * for its writer. Errors: FILE. */
bool jsonfile_stat (const char *path, guint64 *size, GError **error);

/* jsonfile_load: the object in file `dir`/`file` of at most `max_bytes`. Errors: FILE. */
JsonNode *jsonfile_load (const char *dir, const char *file, gsize max_bytes, GError **error);

/* A key that occurs twice in the outermost object of `text`, which jsonfile_parse () made `root` of; NULL
 * if none does. Free with g_free (). */
char *jsonfile_duplicate (const char *text, gsize length, JsonNode *root);

/* A value, or a text, as a message shows it: long ones cut between characters. Free with g_free (). */
char *jsonfile_show (JsonNode *value);
char *jsonfile_shorten (const char *text);

/* Whether the value is a number, in either of JSON's spellings: 2 or 2.0. */
bool jsonfile_number (JsonNode *value, double *number);

/* An object inside a file, to be read one key a line. A missing key and null give the default; so does a
 * value of a wrong type or out of bounds, which also sets *error: "config.json: language_config.hidden_size
 * is "big", a whole number from 1 to 32768 was expected". The first error of a file stays. */
typedef struct {
  const char *file;   /* "config.json" */
  char name[64];      /* "language_config"; "" for the outermost object */
  JsonObject *object; /* NULL where the file lacks it: everything is default */
  GError **error;     /* shared by the sections of a file, never NULL */
} Section;

Section section_root (JsonNode *root, const char *file, GError **error);
/* The object under `key`; an empty section where it is missing or null. Errors: FILE. */
Section section_child (const Section *parent, const char *key);

/* The object that is element i of the array under `key`. Errors: FILE. */
Section section_element (const Section *parent, const char *key, guint i);

/* The value, or NULL where it is missing or null. */
JsonNode *section_value (const Section *s, const char *key);
bool section_has (const Section *s, const char *key);
int section_int (const Section *s, const char *key, int otherwise, int min, int max);
double section_double (const Section *s, const char *key, double otherwise, double min, double max);
bool section_bool (const Section *s, const char *key, bool otherwise);
/* The index of the string among `names` (NULL-terminated). Errors: FILE (no string), UNSUPPORTED. */
int section_choice (const Section *s, const char *key, int otherwise, const char *const *names);
/* The array, or NULL where it is missing or null. */
JsonArray *section_array (const Section *s, const char *key);

/* Sets *error, if it is not set yet, to "FILE: NAME.KEY " and the rest. */
void section_fail (const Section *s, Dsvl2Error code, const char *key, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

#endif
