/* dsvl2: the properties of dsvl2infer
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One table (inferprops.c) has name, text, range and default of each; a property's value is a field of
 * InferSettings, so that setting, getting and copying them needs no code of their own. */
#ifndef DSVL2_INFERPROPS_H
#define DSVL2_INFERPROPS_H

#include <gst/gst.h>
#include "dsvl2.h"
#include "handover.h"

/* Of one question: the engine takes 64 pictures. */
enum { INFER_MAX_FRAMES = 32, INFER_MAX_HISTORY = 64 };

typedef enum { INFER_MODE_AUTO, INFER_MODE_LIVE, INFER_MODE_OFFLINE } InferMode;

typedef enum {
  INFER_TEMPLATE_AUTO,
  INFER_TEMPLATE_PLAIN,
  INFER_TEMPLATE_FIND,
  INFER_TEMPLATE_GROUNDING,
  INFER_TEMPLATE_RAW
} InferTemplate;

typedef enum {
  INFER_WEIGHTS_AUTO,
  INFER_WEIGHTS_AS_STORED,
  INFER_WEIGHTS_INT8,
  INFER_WEIGHTS_INT4
} InferWeights;

typedef struct {
  /* which engine: read when the element starts */
  char *model, *engine_id, *device, *isa, *vision_attention;
  gint threads, prefill_chunk, max_sequences;
  guint64 kv_cache_size;
  gboolean bf16;
  gint weights;           /* InferWeights */
  char *reference_images; /* read then too */
  /* what is asked: read for each frame that is analysed */
  char *prompt, *prompts, *system_prompt;
  gint prompt_template; /* InferTemplate */
  gint max_new_tokens, top_k;
  gfloat temperature, top_p, repetition_penalty;
  guint64 seed;
  gint priority;
  gint cropping, max_tiles; /* Dsvl2Cropping */
  guint frames, history;
  /* of which frames: read for each frame */
  guint64 interval, min_interval, hold, max_age, text_span;
  gdouble change_threshold;
  char *roi, *roi_labels;
  gint mode; /* InferMode */
  guint max_queue;
} InferSettings;

/* What is read-only is not a setting; its values are the element's. */
enum { INFER_PROP_LAST_RESULT = 1 + sizeof (InferSettings), INFER_PROP_STATS };

/* infer_props_install: all of them, those two included. */
void infer_props_install (GObjectClass *klass);

/* Free what is in it, and what settings_init () and settings_set () put there, with
 * infer_settings_clear (). */
void infer_settings_copy (InferSettings *to, const InferSettings *from);
void infer_settings_clear (InferSettings *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (InferSettings, infer_settings_clear)

/* infer_settings_weights: the name that the engine knows its choice of weights by. */
const char *infer_settings_weights (const InferSettings *s);

/* infer_settings_handover: what of them is for the policy, given what upstream says of itself. */
HandoverSettings infer_settings_handover (const InferSettings *s, gboolean upstream_live);

#endif
