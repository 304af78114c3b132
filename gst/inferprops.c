/* dsvl2: the properties of dsvl2infer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inferprops.h"
#include "settings.h"

/* --- enumerations --- */

static GType
mode_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { INFER_MODE_AUTO, "Live if the source is (LATENCY query), offline otherwise", "auto" },
    { INFER_MODE_LIVE, "Frames never wait; answers go on later frames", "live" },
    { INFER_MODE_OFFLINE, "Every frame that is due waits for its own answer", "offline" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDsvl2InferMode", values));
  return type;
}

static GType
template_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { INFER_TEMPLATE_AUTO,
        "\"find cars\" asks for boxes; other text, special tokens too, follows the frame", "auto" },
    { INFER_TEMPLATE_PLAIN, "The frame, then the prompt as it is", "plain" },
    { INFER_TEMPLATE_FIND, "The prompt is what to find, such as \"the red car\"", "find" },
    { INFER_TEMPLATE_GROUNDING, "As plain, and what the answer mentions gets boxes", "grounding" },
    { INFER_TEMPLATE_RAW, "The prompt alone, with an <image> mark where each picture goes", "raw" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDsvl2InferPromptTemplate", values));
  return type;
}

static const GEnumValue weights_values[] = {
  { INFER_WEIGHTS_AUTO, "As stored where the device's memory holds that, else int8, else int4",
      "auto" },
  { INFER_WEIGHTS_AS_STORED, "As the model's files have them", "as-stored" },
  { INFER_WEIGHTS_INT8, "8.5 bits a weight: nearly the same answers", "int8" },
  { INFER_WEIGHTS_INT4, "4.5 bits a weight: the smallest, answers differ more", "int4" },
  { 0, NULL, NULL },
};

static GType
weights_get_type (void)
{
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDsvl2InferWeights", weights_values));
  return type;
}

static GType
cropping_get_type (void)
{
  static gsize type = 0;
  static const GEnumValue values[] = {
    { DSVL2_CROPPING_AUTO, "As the official processor decides", "auto" },
    { DSVL2_CROPPING_ON, "The whole frame and tiles of it at full resolution", "on" },
    { DSVL2_CROPPING_OFF, "The whole frame only, scaled down: fastest", "off" },
    { 0, NULL, NULL },
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstDsvl2InferCropping", values));
  return type;
}

/* --- the table --- */

#define ANY_TIME (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)
#define BEFORE_START (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define NOW (G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)

/* Adds a property whose value is the field of InferSettings with the same name. */
#define FIELD(name) SETTING (InferSettings, name)

static void
install_engine (GObjectClass *c)
{
  g_object_class_install_property (c, FIELD (model),
      g_param_spec_string ("model", "Model",
          "Folder with config.json, tokenizer.json and *.safetensors (unset: that of the environment "
          "variable DSVL2_MODEL, else the small model installed with the plugin)",
          NULL, BEFORE_START));
  g_object_class_install_property (c, FIELD (engine_id),
      g_param_spec_string ("engine-id", "Engine id",
          "Name of an engine that elements with the same model share (unset: those with equal engine "
          "options share one)",
          NULL, BEFORE_START));
  g_object_class_install_property (c, FIELD (device),
      g_param_spec_string ("device", "Device",
          "Where the model runs: auto, cpu, cuda or cuda:N (auto: cuda where that can be opened, else "
          "cpu)",
          "auto", BEFORE_START));
  g_object_class_install_property (c, FIELD (isa),
      g_param_spec_string ("isa", "Instruction set",
          "Newest CPU instruction set to use: c, avx2 or avx512 (unset: the best available)", NULL,
          BEFORE_START));
  g_object_class_install_property (c, FIELD (threads),
      g_param_spec_int ("threads", "Threads", "Number of CPU threads (0: one for each processor)", 0,
          1024, 0, BEFORE_START));
  g_object_class_install_property (c, FIELD (bf16),
      g_param_spec_boolean ("bf16", "bfloat16",
          "Let the CPU or GPU multiply in bfloat16 where it can: faster, with small differences in "
          "answers",
          FALSE, BEFORE_START));
  g_object_class_install_property (c, FIELD (vision_attention),
      g_param_spec_string ("vision-attention", "Vision attention",
          "Whose attention looks at pictures on CUDA with bf16: own, cudnn, or auto (cuDNN where it "
          "can, else own)",
          "auto", BEFORE_START));
  g_object_class_install_property (c, FIELD (weights),
      g_param_spec_enum ("weights", "Weights",
          "Number format of the language model's weights; smaller ones are made when the element "
          "starts, need memory of their own and are read faster",
          weights_get_type (), INFER_WEIGHTS_AUTO, BEFORE_START));
  g_object_class_install_property (c, FIELD (prefill_chunk),
      g_param_spec_int ("prefill-chunk", "Prefill chunk",
          "Maximum number of tokens of a question that are read in one step; smaller steps need less "
          "memory",
          1, 65536, 512, BEFORE_START));
  g_object_class_install_property (c, FIELD (max_sequences),
      g_param_spec_int ("max-sequences", "Maximum sequences",
          "Maximum number of answers that the engine writes at once, of all streams that share it", 1,
          1024, 16, BEFORE_START));
  g_object_class_install_property (c, FIELD (kv_cache_size),
      g_param_spec_uint64 ("kv-cache-size", "KV cache size",
          "Size in bytes of the key-value cache, for all streams that share the engine (0: chosen by "
          "model)",
          0, G_MAXUINT64, 0, BEFORE_START));
}

static void
install_question (GObjectClass *c)
{
  g_object_class_install_property (c, FIELD (prompt),
      g_param_spec_string ("prompt", "Prompt", "Question about each analysed frame",
          "Describe this image.", ANY_TIME));
  g_object_class_install_property (c, FIELD (prompts),
      g_param_spec_string ("prompts", "Prompts",
          "Several questions about each analysed frame, instead of prompt: one a line, or separated by "
          "\";\"",
          NULL, ANY_TIME));
  g_object_class_install_property (c, FIELD (reference_images),
      g_param_spec_string ("reference-images", "Reference images",
          "Picture files that each question shows before the frame: one a line, or separated by \";\"",
          NULL, BEFORE_START));
  g_object_class_install_property (c, FIELD (frames),
      g_param_spec_uint ("frames", "Frames",
          "Number of analysed frames that one question is about; its answer goes on the last", 1,
          INFER_MAX_FRAMES, 1, ANY_TIME));
  g_object_class_install_property (c, FIELD (history),
      g_param_spec_uint ("history", "History",
          "Number of earlier questions and answers, as text, that a question goes on from (0: none)", 0,
          INFER_MAX_HISTORY, 0, ANY_TIME));
  g_object_class_install_property (c, FIELD (system_prompt),
      g_param_spec_string ("system-prompt", "System prompt",
          "Instructions that come before the question (unset: none)", NULL, ANY_TIME));
  g_object_class_install_property (c, FIELD (prompt_template),
      g_param_spec_enum ("prompt-template", "Prompt template", "How the prompt becomes a question",
          template_get_type (), INFER_TEMPLATE_AUTO, ANY_TIME));
  g_object_class_install_property (c, FIELD (max_new_tokens),
      g_param_spec_int ("max-new-tokens", "Maximum new tokens", "Maximum length of an answer in tokens",
          1, G_MAXINT, 512, ANY_TIME));
  g_object_class_install_property (c, FIELD (temperature),
      g_param_spec_float ("temperature", "Temperature",
          "Randomness of answers (0: always the likeliest token)", 0, 100, 0, ANY_TIME));
  g_object_class_install_property (c, FIELD (top_p),
      g_param_spec_float ("top-p", "Top p",
          "Sample from the likeliest tokens whose probabilities add up to this (1: from all)", 0, 1, 1,
          ANY_TIME));
  g_object_class_install_property (c, FIELD (top_k),
      g_param_spec_int ("top-k", "Top k", "Sample from this many of the likeliest tokens (0: from all)",
          0, G_MAXINT, 0, ANY_TIME));
  g_object_class_install_property (c, FIELD (repetition_penalty),
      g_param_spec_float ("repetition-penalty", "Repetition penalty",
          "Makes tokens that the answer already has less likely (1: off)", 0.01f, 100, 1, ANY_TIME));
  g_object_class_install_property (c, FIELD (seed),
      g_param_spec_uint64 ("seed", "Seed",
          "Start of the random numbers that answers are sampled with; used with a temperature above 0",
          0, G_MAXUINT64, 0, ANY_TIME));
  g_object_class_install_property (c, FIELD (priority),
      g_param_spec_int ("priority", "Priority",
          "Priority of the questions in a shared engine: higher ones are answered first, equal ones "
          "take turns",
          G_MININT, G_MAXINT, 0, ANY_TIME));
  g_object_class_install_property (c, FIELD (cropping),
      g_param_spec_enum ("cropping", "Cropping",
          "Whether the model is shown tiles of the frame in full resolution, besides the whole frame",
          cropping_get_type (), DSVL2_CROPPING_AUTO, ANY_TIME));
  g_object_class_install_property (c, FIELD (max_tiles),
      g_param_spec_int ("max-tiles", "Maximum tiles",
          "Maximum number of tiles of a frame, besides the whole frame (0: what the model allows)", 0,
          1024, 0, ANY_TIME));
}

static void
install_frames (GObjectClass *c)
{
  g_object_class_install_property (c, FIELD (interval),
      g_param_spec_uint64 ("interval", "Interval",
          "Time between analysed frames in nanoseconds, counted by timestamps (0: every frame)", 0,
          G_MAXINT64, 0, ANY_TIME));
  g_object_class_install_property (c, FIELD (min_interval),
      g_param_spec_uint64 ("min-interval", "Minimum interval",
          "Minimum time between two analysed frames in nanoseconds (0: none)", 0, G_MAXINT64, 0,
          ANY_TIME));
  g_object_class_install_property (c, FIELD (change_threshold),
      g_param_spec_double ("change-threshold", "Change threshold",
          "Share of the picture that must differ from the last analysed frame (0: any frame is "
          "analysed; 0.01: something has moved; 0.5: another scene)",
          0, 1, 0, ANY_TIME));
  g_object_class_install_property (c, FIELD (roi),
      g_param_spec_string ("roi", "Regions of interest",
          "Parts of the frame to ask about instead of the whole: x,y,width,height in pixels or %; "
          "several are separated by \";\" (unset: the whole frame)",
          NULL, ANY_TIME));
  g_object_class_install_property (c, FIELD (roi_labels),
      g_param_spec_string ("roi-labels", "Labels of regions of interest",
          "Labels of upstream's objects to ask about, such as \"car, traffic*\" (unset: none); with "
          "roi, those whose middle is in it",
          NULL, ANY_TIME));
  g_object_class_install_property (c, FIELD (hold),
      g_param_spec_uint64 ("hold", "Hold",
          "Time in nanoseconds for which an answer is repeated on following frames (0: not at all; -1: "
          "until the next answer)",
          0, G_MAXUINT64, GST_CLOCK_TIME_NONE, ANY_TIME));
  g_object_class_install_property (c, FIELD (max_age),
      g_param_spec_uint64 ("max-age", "Maximum age",
          "Age in nanoseconds, counted from the analysed frame, up to which frames carry an answer "
          "(-1: any age)",
          0, G_MAXUINT64, GST_CLOCK_TIME_NONE, ANY_TIME));
  g_object_class_install_property (c, FIELD (text_span),
      g_param_spec_uint64 ("text-span", "Text span",
          "Live: duration of a buffer of the text pad in nanoseconds (0: one frame)", 0, G_MAXINT64,
          GST_SECOND, ANY_TIME));
  g_object_class_install_property (c, FIELD (mode),
      g_param_spec_enum ("mode", "Mode", "Whether frames wait for their answers", mode_get_type (),
          INFER_MODE_AUTO, ANY_TIME));
  g_object_class_install_property (c, FIELD (max_queue),
      g_param_spec_uint ("max-queue", "Maximum queue",
          "Offline: maximum number of frames behind one that waits for its answer, so that several are "
          "answered together",
          0, G_MAXINT, 0, ANY_TIME));
}

void
infer_props_install (GObjectClass *c)
{
  install_engine (c);
  install_question (c);
  install_frames (c);
  g_object_class_install_property (c, INFER_PROP_LAST_RESULT,
      g_param_spec_boxed ("last-result", "Last result",
          "Newest answer, as a \"dsvl2-result\" structure", GST_TYPE_STRUCTURE, NOW));
  g_object_class_install_property (c, INFER_PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Counters of frames and of questions since the element was created, and mean times of an "
          "answer",
          GST_TYPE_STRUCTURE, NOW));
  gst_type_mark_as_plugin_api (mode_get_type (), 0);
  gst_type_mark_as_plugin_api (template_get_type (), 0);
  gst_type_mark_as_plugin_api (cropping_get_type (), 0);
  gst_type_mark_as_plugin_api (weights_get_type (), 0);
}

/* --- values --- */

void
infer_settings_copy (InferSettings *to, const InferSettings *from)
{
  *to = *from;
  to->model = g_strdup (from->model);
  to->engine_id = g_strdup (from->engine_id);
  to->device = g_strdup (from->device);
  to->isa = g_strdup (from->isa);
  to->vision_attention = g_strdup (from->vision_attention);
  to->prompt = g_strdup (from->prompt);
  to->system_prompt = g_strdup (from->system_prompt);
  to->prompts = g_strdup (from->prompts);
  to->reference_images = g_strdup (from->reference_images);
  to->roi = g_strdup (from->roi);
  to->roi_labels = g_strdup (from->roi_labels);
}

void
infer_settings_clear (InferSettings *s)
{
  g_clear_pointer (&s->model, g_free);
  g_clear_pointer (&s->engine_id, g_free);
  g_clear_pointer (&s->device, g_free);
  g_clear_pointer (&s->isa, g_free);
  g_clear_pointer (&s->vision_attention, g_free);
  g_clear_pointer (&s->prompt, g_free);
  g_clear_pointer (&s->system_prompt, g_free);
  g_clear_pointer (&s->prompts, g_free);
  g_clear_pointer (&s->reference_images, g_free);
  g_clear_pointer (&s->roi, g_free);
  g_clear_pointer (&s->roi_labels, g_free);
}

/* --- what some of them mean --- */

const char *
infer_settings_weights (const InferSettings *s)
{
  return weights_values[s->weights].value_nick;
}

HandoverSettings
infer_settings_handover (const InferSettings *s, gboolean upstream_live)
{
  return (HandoverSettings){ .live = s->mode == INFER_MODE_LIVE ||
                                     (s->mode == INFER_MODE_AUTO && upstream_live),
    .interval = s->interval,
    .min_interval = s->min_interval,
    .hold = s->hold,
    .max_age = s->max_age,
    .max_queue = s->max_queue };
}
