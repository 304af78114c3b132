/* dsvl2: what tests share that play whole pipelines, with the plugin as applications load it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_WHOLE_H
#define TEST_WHOLE_H

#include <gst/gst.h>

/* GLib's test options and GStreamer. */
void whole_init (int *argc, char ***argv);
/* Runs the tests, then lets go of GStreamer and of what was written to files. */
int whole_run_tests (void);

/* A pipeline of this description, which must be one. Free with whole_free (). */
GstElement *whole_new (const char *launch);
void whole_free (GstElement *pipeline);

/* Plays to the end, which must come in two minutes of silence at most, without an error or a warning.
 * Returns the "dsvl2-result" messages. */
GPtrArray *whole_play (GstElement *pipeline);
/* The same of a pipeline that is made for it. */
GPtrArray *whole_play_once (const char *launch);

/* The path of a file in the folder of this run, and of one of the project's. */
char *whole_file (const char *name);
char *whole_source_file (const char *path);
char *whole_read (const char *path);
/* The lines of a text, each with its end. */
guint whole_n_lines (const char *text);

#endif
