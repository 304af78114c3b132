/* dsvl2: runs a program for a test
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

static const char *program_path;

typedef struct {
  int status; /* exit status; −1 where a signal ended it */
  char *out, *error;
} Outcome;

static inline void
outcome_clear (Outcome *o)
{
  g_free (o->out);
  g_free (o->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static inline GPtrArray *
program_argv (void)
{
  GPtrArray *argv = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (argv, g_strdup (program_path));
  return argv;
}

/* Appends words, up to a NULL. */
static inline void G_GNUC_NULL_TERMINATED
program_add (GPtrArray *argv, const char *word, ...)
{
  va_list more;

  va_start (more, word);
  for (; word != NULL; word = va_arg (more, const char *))
    g_ptr_array_add (argv, g_strdup (word));
  va_end (more);
}

/* Takes argv; `input` goes to its standard input, which is empty where that is NULL. */
static inline Outcome
program_run (GPtrArray *argv, const char *input)
{
  Outcome o = { -1, NULL, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) child = NULL;

  g_ptr_array_add (argv, NULL);
  child = g_subprocess_newv ((const char *const *) argv->pdata,
      G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE,
      &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (child, input, NULL, &o.out, &o.error, &error);
  g_assert_no_error (error);
  if (g_subprocess_get_if_exited (child))
    o.status = g_subprocess_get_exit_status (child);
  g_ptr_array_unref (argv);
  return o;
}

static inline JsonNode *
parse_json (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonNode *node = json_from_string (text, &error);

  g_assert_no_error (error);
  return node;
}

#endif
