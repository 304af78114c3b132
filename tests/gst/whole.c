/* dsvl2: what tests share that play whole pipelines, with the plugin as applications load it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "whole.h"
#include <glib/gstdio.h>

static char *folder; /* of this run; NULL until a file is wanted */

void
whole_init (int *argc, char ***argv)
{
  g_test_init (argc, argv, NULL);
  gst_init (argc, argv);
}

static void
remove_folder (void)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = whole_file (name);

    g_unlink (path);
  }
  g_rmdir (folder);
}

int
whole_run_tests (void)
{
  const int status = g_test_run ();

  gst_deinit ();
  if (folder != NULL)
    remove_folder ();
  g_clear_pointer (&folder, g_free);
  return status;
}

GstElement *
whole_new (const char *launch)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (launch, &error);

  g_assert_no_error (error);
  return pipeline;
}

void
whole_free (GstElement *pipeline)
{
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (pipeline);
}

/* No message of these types may come. */
static void
assert_no_complaint (GstMessage *m)
{
  g_autoptr (GError) error = NULL;

  if (GST_MESSAGE_TYPE (m) == GST_MESSAGE_ERROR)
    gst_message_parse_error (m, &error, NULL);
  else if (GST_MESSAGE_TYPE (m) == GST_MESSAGE_WARNING)
    gst_message_parse_warning (m, &error, NULL);
  g_assert_no_error (error);
}

GPtrArray *
whole_play (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  GPtrArray *results = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_message_unref);
  gboolean more = TRUE;

  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), !=, GST_STATE_CHANGE_FAILURE);
  while (more) {
    g_autoptr (GstMessage) m = gst_bus_timed_pop_filtered (bus, 120 * GST_SECOND,
        GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);

    g_assert_nonnull (m);
    assert_no_complaint (m);
    more = GST_MESSAGE_TYPE (m) != GST_MESSAGE_EOS;
    if (gst_message_has_name (m, "dsvl2-result"))
      g_ptr_array_add (results, g_steal_pointer (&m));
  }
  return results;
}

GPtrArray *
whole_play_once (const char *launch)
{
  GstElement *pipeline = whole_new (launch);
  GPtrArray *results = whole_play (pipeline);

  whole_free (pipeline);
  return results;
}

/* --- files --- */

char *
whole_file (const char *name)
{
  if (folder == NULL) {
    g_autoptr (GError) error = NULL;

    folder = g_dir_make_tmp ("dsvl2-test-XXXXXX", &error);
    g_assert_no_error (error);
  }
  return g_build_filename (folder, name, NULL);
}

char *
whole_source_file (const char *path)
{
  return g_build_filename (g_getenv ("DSVL2_TEST_ROOT"), path, NULL);
}

char *
whole_read (const char *path)
{
  g_autoptr (GError) error = NULL;
  char *text;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  return text;
}

guint
whole_n_lines (const char *text)
{
  guint n = 0;

  for (; *text; text++)
    n += *text == '\n';
  return n;
}
