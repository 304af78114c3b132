/* dsvl2: config.json and processor_config.json of a checkpoint
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_CONFIG_H
#define DSVL2_CONFIG_H

#include "dsvl2.h"
#include "kernels/backend.h"

enum { CONFIG_MAX_CANDIDATES = 64, CONFIG_MAX_PROJECTOR_DEPTH = 8 };

/* Members are named after the official configuration's keys. */
typedef struct {
  int image_size, patch_size, width, layers, heads;
  int mlp_width; /* int (width × mlp_ratio) */
} VisionConfig;

typedef struct {
  int input_dim, n_embed, depth, mlp_ratio, downsample_ratio;
} ProjectorConfig;

/* YaRN (Peng et al. 2023), as DeepSeek applies it; factor 1: none. */
typedef struct {
  float factor, beta_fast, beta_slow, mscale, mscale_all_dim;
  int original_max_position_embeddings;
} RopeScaling;

typedef struct {
  int vocab_size, hidden_size, intermediate_size, moe_intermediate_size;
  int num_hidden_layers, num_attention_heads, num_key_value_heads;
  bool use_mla, attention_bias;
  int kv_lora_rank, q_lora_rank;                      /* q_lora_rank 0: full-rank queries */
  int qk_nope_head_dim, qk_rope_head_dim, v_head_dim; /* without MLA: 0, head_dim, head_dim */
  int head_dim; /* of a query and key: nope + rope, or hidden / heads without MLA */
  int n_routed_experts, n_shared_experts, first_k_dense_replace, moe_layer_freq;
  Route route; /* of the MoE layers */
  float rope_theta, rms_norm_eps;
  RopeScaling rope_scaling;
  int max_position_embeddings;
  bool tie_word_embeddings;
} LanguageConfig;

typedef struct {
  VisionConfig vision;
  ProjectorConfig projector;
  LanguageConfig language;
  bool global_view_first; /* global_view_pos "head"; else "tail" */
  /* [n_candidates] width × height, in the file's order: ties go to the first */
  struct {
    int width, height;
  } candidate[CONFIG_MAX_CANDIDATES];
  int n_candidates;
  float image_mean[3], image_std[3];
} Config;

/* config_load: reads `dir`/config.json and `dir`/processor_config.json; a missing key takes the official
 * class's default. Every value is checked: sizes positive and bounded, so that products of two fit an
 * int; heads divide widths; candidates are multiples of image_size. Of candidate_resolutions in both
 * files the processor's win.
 * Errors: FILE (missing, not JSON, a key of the wrong type), UNSUPPORTED (key, value, what is supported:
 * tile_tag other than "2D", projector_type other than "downsample_mlp_gelu", hidden_act other than "silu",
 * rope_scaling other than yarn, MoE on other than every layer …). */
bool config_load (Config *config, const char *dir, GError **error);

/* Whether layer l of the language model has routed experts. */
static inline bool
config_layer_is_moe (const LanguageConfig *c, int l)
{
  return c->n_routed_experts > 0 && l >= c->first_k_dense_replace && l % c->moe_layer_freq == 0;
}

#endif
