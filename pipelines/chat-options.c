/* dsvl2-chat: its command line
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chat-options.h"
#include <gst/gst.h>

static const char summary[] =
    "Asks DeepSeek-VL2 about pictures and prints the answer as it comes. Without --prompt, each line "
    "of\n"
    "standard input is a question, and \"/image FILE\" shows one more picture with the next one.";

static const char description[] =
    "In a prompt, <image> marks where each picture goes (in front, where there is none), \\n is a new\n"
    "line, and \"find cars\" asks for boxes. Exit status: 0, 1 (something failed), 2 (usage).\n\n"
    "  dsvl2-chat --image street.jpg --prompt 'find cars' --draw cars.png\n"
    "  dsvl2-chat --model DIR --image a.jpg --image b.jpg --prompt '<image>\\n<image>\\nCompare them.'";

/* Numbers that GOption has no type for, until they are checked. */
typedef struct {
  double temperature, top_p, repetition_penalty;
  gint64 seed;
  char *cropping;
  gboolean version;
} Raw;

static gboolean
parse_cropping (const char *name, Dsvl2Cropping *cropping, GError **error)
{
  static const char *const names[] = { "auto", "on", "off", NULL };

  *cropping = DSVL2_CROPPING_AUTO;
  if (name == NULL)
    return TRUE;
  for (int i = 0; names[i] != NULL; i++) {
    if (g_str_equal (name, names[i])) {
      *cropping = (Dsvl2Cropping) i;
      return TRUE;
    }
  }
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
      "--cropping is \"%s\", but can be auto, on or off", name);
  return FALSE;
}

static gboolean
parse (ChatOptions *o, Raw *raw, int *argc, char ***argv, GError **error)
{
  /* Texts are "file names" to GOption, which otherwise refuses UTF-8 where the locale is plain C. */
  const GOptionEntry entries[] = {
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &o->model,
        "folder of the model, as the hub has it (else $DSVL2_MODEL, else the nano model)", "DIR" },
    { "image", 'i', 0, G_OPTION_ARG_FILENAME_ARRAY, &o->images,
        "a picture, file or URI; may be given several times", "FILE" },
    { "prompt", 'p', 0, G_OPTION_ARG_FILENAME, &o->prompt, "the question", "TEXT" },
    { "system", 0, 0, G_OPTION_ARG_FILENAME, &o->system, "the system message", "TEXT" },
    { "interactive", 0, 0, G_OPTION_ARG_NONE, &o->interactive,
        "go on with standard input after --prompt", NULL },
    { "draw", 'd', 0, G_OPTION_ARG_FILENAME, &o->draw,
        "write the last picture with boxes and caption, a PNG", "FILE" },
    { "json", 'j', 0, G_OPTION_ARG_NONE, &o->json, "print each answer as a line of JSON", NULL },
    { "verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "print timings to standard error", NULL },
    { "max-new-tokens", 'n', 0, G_OPTION_ARG_INT, &o->sampling.max_new_tokens,
        "end an answer after so many tokens (512)", "N" },
    { "temperature", 't', 0, G_OPTION_ARG_DOUBLE, &raw->temperature,
        "0 (default): always the likeliest token", "X" },
    { "top-p", 0, 0, G_OPTION_ARG_DOUBLE, &raw->top_p, "sample from the likeliest X of 1", "X" },
    { "top-k", 0, 0, G_OPTION_ARG_INT, &o->sampling.top_k, "sample from the K likeliest", "K" },
    { "repetition-penalty", 0, 0, G_OPTION_ARG_DOUBLE, &raw->repetition_penalty,
        "more than 1: what was said becomes less likely", "X" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &raw->seed, "same seed, same answer", "N" },
    { "stop", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->stop,
        "end an answer at this text; may be given several times", "TEXT" },
    { "cropping", 0, 0, G_OPTION_ARG_STRING, &raw->cropping,
        "local tiles: auto (up to two pictures), on, off", "WHEN" },
    { "max-tiles", 0, 0, G_OPTION_ARG_INT, &o->max_tiles, "local tiles of a picture, at most", "N" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &o->device, "auto, cpu, cuda, cuda:N", "NAME" },
    { "threads", 0, 0, G_OPTION_ARG_INT, &o->engine.threads, "CPU threads (all processors)", "N" },
    { "prefill-chunk", 0, 0, G_OPTION_ARG_INT, &o->engine.prefill_chunk,
        "rows of a prompt in one step (512)", "N" },
    { "bf16", 0, 0, G_OPTION_ARG_NONE, &o->engine.bf16,
        "round the inputs of matrix products to bf16: faster on processors that multiply bf16", NULL },
    { "vision-attention", 0, 0, G_OPTION_ARG_STRING, &o->vision_attention,
        "on CUDA with --bf16, whose attention looks at pictures: auto, own, cudnn", "WHOSE" },
    { "weights", 0, 0, G_OPTION_ARG_STRING, &o->weights,
        "auto, as-stored, int8, int4: smaller ones are faster, answers differ a little", "TYPE" },
    { "version", 0, 0, G_OPTION_ARG_NONE, &raw->version, "print the version", NULL }, { NULL }
  };
  GOptionContext *context = g_option_context_new (NULL);
  gboolean parsed;

  g_option_context_set_summary (context, summary);
  g_option_context_set_description (context, description);
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  parsed = g_option_context_parse (context, argc, argv, error);
  g_option_context_free (context);
  return parsed;
}

gboolean
chat_options_parse (ChatOptions *options, int *argc, char ***argv, GError **error)
{
  Raw raw = { 0 };
  gboolean parsed = parse (options, &raw, argc, argv, error);

  if (parsed && raw.version) {
    g_print ("dsvl2-chat " DSVL2_VERSION "\n");
    exit (0);
  }
  if (parsed && *argc > 1) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
        "\"%s\" belongs to no option (a picture is --image FILE)", (*argv)[1]);
    parsed = FALSE;
  }
  parsed = parsed && parse_cropping (raw.cropping, &options->cropping, error);
  g_free (raw.cropping);

  options->sampling.temperature = (float) raw.temperature;
  options->sampling.top_p = (float) raw.top_p;
  options->sampling.repetition_penalty = (float) raw.repetition_penalty;
  options->sampling.seed = (guint64) raw.seed;
  options->sampling.stop = (const char *const *) options->stop;
  options->engine.device = options->device;
  options->engine.vision_attention = options->vision_attention;
  options->engine.weights = options->weights;
  return parsed;
}

void
chat_options_clear (ChatOptions *options)
{
  g_free (options->model);
  g_free (options->prompt);
  g_free (options->system);
  g_free (options->draw);
  g_free (options->device);
  g_free (options->vision_attention);
  g_free (options->weights);
  g_strfreev (options->images);
  g_strfreev (options->stop);
}
