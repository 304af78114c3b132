/* dsvl2-chat: its command line
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CHAT_OPTIONS_H
#define CHAT_OPTIONS_H

#include "dsvl2.h"

typedef struct {
  char *model, *prompt, *system, *draw;
  char **images, **stop;
  gboolean json, interactive, verbose;
  char *device, *vision_attention, *weights;
  int max_tiles;
  Dsvl2Cropping cropping;
  Dsvl2Sampling sampling;    /* its `stop` is the `stop` above */
  Dsvl2EngineOptions engine; /* its texts are those above */
} ChatOptions;

/* chat_options_parse: fills `options` from the command line and initialises GStreamer, whose --gst-…
 * options are understood too. --help and --version print and exit.
 * Errors: G_OPTION_ERROR. Clear with chat_options_clear (), also after an error. */
gboolean chat_options_parse (ChatOptions *options, int *argc, char ***argv, GError **error);
void chat_options_clear (ChatOptions *options);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ChatOptions, chat_options_clear)

#endif
