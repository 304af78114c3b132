/* A folder of files made for one test, and what a malformed one must answer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_TESTS_FOLDER_H
#define DSVL2_TESTS_FOLDER_H

#include "engine/dsvl2.h"
#include <glib/gstdio.h>
#include <string.h>

/* Free with folder_free (), which deletes what is in it. */
static inline char *
folder_new (void)
{
  GError *error = NULL;
  char *dir = g_dir_make_tmp ("dsvl2-test-XXXXXX", &error);

  g_assert_no_error (error);
  return dir;
}

static inline void
folder_free (char *dir)
{
  GDir *entries = g_dir_open (dir, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (entries)) != NULL) {
    g_autofree char *path = g_build_filename (dir, name, NULL);

    g_remove (path);
  }
  g_dir_close (entries);
  g_rmdir (dir);
  g_free (dir);
}

/* length −1: a string. */
static inline void
folder_write (const char *dir, const char *name, const void *data, gssize length)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  GError *error = NULL;

  g_file_set_contents_full (path, data, length, G_FILE_SET_CONTENTS_NONE, 0666, &error);
  g_assert_no_error (error);
}

/* One error of that code, whose message is a line of readable length in UTF-8 and has `words`. */
static inline void
expect_error (GError **error, Dsvl2Error code, const char *words)
{
  g_assert_nonnull (*error);
  g_test_message ("%s", (*error)->message);
  g_assert_error (*error, DSVL2_ERROR, (int) code);
  g_assert_true (g_utf8_validate ((*error)->message, -1, NULL));
  g_assert_cmpuint (strlen ((*error)->message), <, 1000);
  if (strstr ((*error)->message, words) == NULL)
    g_error ("\"%s\" lacks \"%s\"", (*error)->message, words);
  g_clear_error (error);
}

/* The text with its first `from` made `to`. Free with g_free (). */
static inline char *
text_replace (const char *text, const char *from, const char *to)
{
  const char *at = strstr (text, from);

  if (at == NULL)
    g_error ("\"%s\" is not in the test's text", from);
  return g_strdup_printf ("%.*s%s%s", (int) (at - text), text, to, at + strlen (from));
}

#endif
