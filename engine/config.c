/* dsvl2: config.json and processor_config.json of a checkpoint
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jsonfile.h"

enum {
  MAX_FILE = 16 << 20,
  MAX_WIDTH = 1 << 15, /* of anything: so that the product of two fits an int */
  MAX_LAYERS = 1 << 10,
  MAX_HEADS = 1 << 10,
  MAX_VOCABULARY = 1 << 20,
  MAX_POSITIONS = 1 << 24,
  MAX_ACROSS = 64, /* tiles of a candidate, in each direction */
};

static const char *const tile_tags[] = { "2D", NULL };
static const char *const global_views[] = { "head", "tail", NULL };
static const char *const model_types[] = { "deepseek_vl_v2", NULL };
static const char *const projector_types[] = { "downsample_mlp_gelu", NULL };
static const char *const activations[] = { "silu", NULL };
static const char *const scores[] = { "softmax", "sigmoid", NULL };
/* "gready" is the official class's own default */
static const char *const methods[] = { "greedy", "group_limited_greedy", "noaux_tc", "gready", NULL };
static const char *const scalings[] = { "yarn", NULL };
static const char *const prompt_formats[] = { "deepseek", NULL };
static const char *const image_tokens[] = { "<image>", NULL };

/* A setting that has one supported value. */
static void
expect_bool (const Section *s, const char *key, bool supported)
{
  if (section_bool (s, key, supported) != supported)
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, key, "is %s, only %s is supported",
        supported ? "false" : "true", supported ? "true" : "false");
}

/* a · b must fit an int. */
static void
expect_product (const Section *s, const char *key, gint64 a, gint64 b, const char *what)
{
  if (b > 0 && a > G_MAXINT / b)
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, key,
        "makes %s %" G_GINT64_FORMAT " × %" G_GINT64_FORMAT ", which is more than %d", what, a, b,
        G_MAXINT);
}

/* --- the encoder and the projector -------------------------------------------------------------- */

static void
read_vision (VisionConfig *c, const Section *s)
{
  double ratio;

  c->image_size = section_int (s, "image_size", 384, 1, 4096);
  c->patch_size = section_int (s, "patch_size", 14, 1, 256);
  c->width = section_int (s, "width", 1152, 1, MAX_WIDTH);
  c->layers = section_int (s, "layers", 27, 1, MAX_LAYERS);
  c->heads = section_int (s, "heads", 16, 1, MAX_HEADS);
  ratio = section_double (s, "mlp_ratio", 3.7362, 1e-3, 64);
  expect_bool (s, "class_token", false);
  expect_bool (s, "ignore_head", true);
  if (*s->error != NULL)
    return;

  c->mlp_width = (int) (c->width * ratio);
  if (c->mlp_width < 1 || c->mlp_width > MAX_WIDTH)
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, "mlp_ratio",
        "makes the MLP %d wide, 1 to %d was expected", c->mlp_width, MAX_WIDTH);
  if (c->patch_size > c->image_size)
    section_fail (s, DSVL2_ERROR_FILE, "patch_size", "is %d, at most image_size %d was expected",
        c->patch_size, c->image_size);
  if (c->width % c->heads != 0)
    section_fail (s, DSVL2_ERROR_FILE, "heads", "is %d, a divisor of width %d was expected", c->heads,
        c->width);
  else
    expect_product (s, "image_size",
        (gint64) (c->image_size / c->patch_size) * (c->image_size / c->patch_size),
        3 * MAX (c->width, c->mlp_width), "the patches of a tile × their features");
}

static void
read_projector (ProjectorConfig *c, const Section *s, int vision_width, int hidden_size)
{
  section_choice (s, "projector_type", 0, projector_types);
  c->input_dim = section_int (s, "input_dim", 1152, 1, MAX_WIDTH);
  c->n_embed = section_int (s, "n_embed", 2048, 1, MAX_WIDTH);
  c->depth = section_int (s, "depth", 2, 2, CONFIG_MAX_PROJECTOR_DEPTH);
  c->mlp_ratio = section_int (s, "mlp_ratio", 1, 1, 64);
  c->downsample_ratio = section_int (s, "downsample_ratio", 2, 1, 16);
  expect_bool (s, "token_pooling", false);

  if (c->input_dim != vision_width)
    section_fail (s, DSVL2_ERROR_FILE, "input_dim", "is %d, vision_config.width %d was expected",
        c->input_dim, vision_width);
  if (c->n_embed != hidden_size)
    section_fail (s, DSVL2_ERROR_FILE, "n_embed", "is %d, language_config.hidden_size %d was expected",
        c->n_embed, hidden_size);
  expect_product (s, "mlp_ratio", (gint64) c->input_dim * c->downsample_ratio * c->downsample_ratio,
      (gint64) c->n_embed * c->mlp_ratio, "a matrix of");
}

/* --- the language model ------------------------------------------------------------------------- */

static void
read_mla (LanguageConfig *c, const Section *s)
{
  c->kv_lora_rank = section_int (s, "kv_lora_rank", 512, 1, MAX_WIDTH);
  /* null means full-rank queries; only a missing key means the class's default */
  if (section_has (s, "q_lora_rank"))
    c->q_lora_rank = section_int (s, "q_lora_rank", 0, 1, MAX_WIDTH);
  else
    c->q_lora_rank = s->object != NULL && json_object_has_member (s->object, "q_lora_rank") ? 0 : 1536;
  c->qk_nope_head_dim = section_int (s, "qk_nope_head_dim", 128, 1, 4096);
  c->qk_rope_head_dim = section_int (s, "qk_rope_head_dim", 64, 2, OPS_MAX_ROPE);
  c->v_head_dim = section_int (s, "v_head_dim", 128, 1, 4096);
  c->head_dim = c->qk_nope_head_dim + c->qk_rope_head_dim;
  c->num_key_value_heads = c->num_attention_heads;
  if (c->qk_rope_head_dim % 2 != 0)
    section_fail (s, DSVL2_ERROR_FILE, "qk_rope_head_dim", "is %d, an even number was expected",
        c->qk_rope_head_dim);
  expect_product (s, "kv_lora_rank",
      (gint64) c->num_attention_heads * (c->qk_nope_head_dim + c->v_head_dim), c->kv_lora_rank,
      "a matrix of");
}

/* Llama's attention: the MLA sizes that the file may hold (zeros, as published) mean nothing. */
static void
read_mha (LanguageConfig *c, const Section *s)
{
  c->num_key_value_heads = section_int (s, "num_key_value_heads", c->num_attention_heads, 1, MAX_HEADS);
  if (c->hidden_size % c->num_attention_heads != 0) {
    section_fail (s, DSVL2_ERROR_FILE, "num_attention_heads",
        "is %d, a divisor of hidden_size %d was expected", c->num_attention_heads, c->hidden_size);
    return;
  }
  c->head_dim = c->hidden_size / c->num_attention_heads;
  c->qk_rope_head_dim = c->v_head_dim = c->head_dim;
  if (c->head_dim % 2 != 0)
    section_fail (s, DSVL2_ERROR_FILE, "num_attention_heads",
        "is %d, heads of an even width were expected", c->num_attention_heads);
  if (c->num_attention_heads % c->num_key_value_heads != 0)
    section_fail (s, DSVL2_ERROR_FILE, "num_key_value_heads",
        "is %d, a divisor of num_attention_heads %d was expected", c->num_key_value_heads,
        c->num_attention_heads);
}

static void
read_attention (LanguageConfig *c, const Section *s)
{
  c->num_attention_heads = section_int (s, "num_attention_heads", 32, 1, MAX_HEADS);
  c->attention_bias = section_bool (s, "attention_bias", false);
  c->use_mla = section_bool (s, "use_mla", true);
  if (c->use_mla)
    read_mla (c, s);
  else
    read_mha (c, s);
  expect_product (s, "num_attention_heads",
      (gint64) c->num_attention_heads * MAX (c->head_dim, c->v_head_dim),
      MAX (c->hidden_size, c->q_lora_rank), "a matrix of");
}

/* A dense model, which the classes allow, has no experts: n_routed_experts missing or null. */
static void
read_experts (LanguageConfig *c, const Section *s)
{
  Route *r = &c->route;
  int method;

  c->n_routed_experts = section_int (s, "n_routed_experts", 0, 0, OPS_MAX_EXPERTS);
  c->n_shared_experts = section_int (s, "n_shared_experts", 0, 0, 64);
  c->moe_intermediate_size = section_int (s, "moe_intermediate_size", 1407, 1, MAX_WIDTH);
  c->first_k_dense_replace = section_int (s, "first_k_dense_replace", 0, 0, MAX_LAYERS);
  c->moe_layer_freq = section_int (s, "moe_layer_freq", 1, 1, MAX_LAYERS);
  if (c->moe_layer_freq != 1)
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, "moe_layer_freq", "is %d, only 1 is supported",
        c->moe_layer_freq);
  r->E = c->n_routed_experts;
  r->K = section_int (s, "num_experts_per_tok", 0, 1, OPS_MAX_EXPERTS);
  r->score = section_choice (s, "scoring_func", 0, scores) == 0 ? ROUTE_SOFTMAX : ROUTE_SIGMOID;
  method = section_choice (s, "topk_method", 0, methods);
  r->method = method == 1 ? ROUTE_GROUP_LIMITED : method == 2 ? ROUTE_NOAUX_TC : ROUTE_GREEDY;
  r->groups = section_int (s, "n_group", 1, 1, OPS_MAX_EXPERTS);
  r->top_groups = section_int (s, "topk_group", r->groups, 1, OPS_MAX_EXPERTS);
  r->normalize = section_bool (s, "norm_topk_prob", false);
  r->scale = section_double (s, "routed_scaling_factor", 1, 1e-6, 1e6);
  if (c->n_routed_experts == 0 || *s->error != NULL)
    return;

  if (r->K < 1 || r->K > r->E)
    section_fail (s, DSVL2_ERROR_FILE, "num_experts_per_tok",
        "is %d, 1 to n_routed_experts %d was expected", r->K, r->E);
  if (r->method == ROUTE_GREEDY)
    r->groups = r->top_groups = 1;
  if (r->E % r->groups != 0)
    section_fail (s, DSVL2_ERROR_FILE, "n_group",
        "is %d, a divisor of n_routed_experts %d was expected", r->groups, r->E);
  else if (r->method == ROUTE_NOAUX_TC && r->E / r->groups < 2)
    section_fail (s, DSVL2_ERROR_FILE, "n_group",
        "is %d, groups of at least two of the %d experts were expected", r->groups, r->E);
  if (r->top_groups > r->groups)
    section_fail (s, DSVL2_ERROR_FILE, "topk_group", "is %d, at most n_group %d was expected",
        r->top_groups, r->groups);
  expect_product (s, "n_shared_experts", (gint64) c->n_shared_experts * c->moe_intermediate_size,
      c->hidden_size, "a matrix of");
}

static void
read_rope_scaling (RopeScaling *r, const Section *s, bool use_mla)
{
  *r = (RopeScaling){ .factor = 1, .mscale = 1, .original_max_position_embeddings = 4096 };
  if (s->object == NULL)
    return;
  if (!section_has (s, "type"))
    section_fail (s, DSVL2_ERROR_FILE, "type", "is missing, \"yarn\" was expected");
  section_choice (s, "type", 0, scalings);
  if (!section_has (s, "factor"))
    section_fail (s, DSVL2_ERROR_FILE, "factor", "is missing, a number was expected");
  r->factor = section_double (s, "factor", 1, 1, 1e6);
  r->original_max_position_embeddings =
      section_int (s, "original_max_position_embeddings", 4096, 1, MAX_POSITIONS);
  r->beta_fast = section_double (s, "beta_fast", 32, 1e-3, 1e6);
  r->beta_slow = section_double (s, "beta_slow", 1, 1e-3, 1e6);
  r->mscale = section_double (s, "mscale", 1, 0, 1e3);
  r->mscale_all_dim = section_double (s, "mscale_all_dim", 0, 0, 1e3);
  if (!use_mla)
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, "type",
        "is \"yarn\", which is supported with use_mla only");
}

static void
read_language (LanguageConfig *c, const Section *s)
{
  Section scaling = section_child (s, "rope_scaling");

  section_choice (s, "hidden_act", 0, activations);
  c->vocab_size = section_int (s, "vocab_size", 102400, 1, MAX_VOCABULARY);
  c->hidden_size = section_int (s, "hidden_size", 4096, 1, MAX_WIDTH);
  c->intermediate_size = section_int (s, "intermediate_size", 11008, 1, MAX_WIDTH);
  c->num_hidden_layers = section_int (s, "num_hidden_layers", 30, 1, MAX_LAYERS);
  c->max_position_embeddings = section_int (s, "max_position_embeddings", 2048, 1, MAX_POSITIONS);
  c->rms_norm_eps = section_double (s, "rms_norm_eps", 1e-6, 0, 1);
  c->rope_theta = section_double (s, "rope_theta", 1e4, 1.001, 1e12);
  c->tie_word_embeddings = section_bool (s, "tie_word_embeddings", false);
  expect_product (s, "vocab_size", c->vocab_size, c->hidden_size, "a matrix of");
  read_attention (c, s);
  read_experts (c, s);
  read_rope_scaling (&c->rope_scaling, &scaling, c->use_mla);
}

/* --- pictures ----------------------------------------------------------------------------------- */

/* How many times S goes into number k of a pair; 0 where that is not a size we take. */
static int
read_side (JsonNode *pair, guint k, int S)
{
  JsonArray *sides = JSON_NODE_HOLDS_ARRAY (pair) ? json_node_get_array (pair) : NULL;
  double side;

  if (sides == NULL || json_array_get_length (sides) != 2 ||
      !jsonfile_number (json_array_get_element (sides, k), &side))
    return 0;
  if (!(side >= S && side <= (double) MAX_ACROSS * S) || (int) side != side || (int) side % S != 0)
    return 0;
  return (int) side / S;
}

/* Pairs of width and height, as the official processor unpacks them. */
static void
read_candidates (Config *c, const Section *s)
{
  const int S = c->vision.image_size;
  JsonArray *pairs = section_array (s, "candidate_resolutions");
  guint n = pairs != NULL ? json_array_get_length (pairs) : 0;

  if (*s->error != NULL || pairs == NULL)
    return;
  if (n < 1 || n > CONFIG_MAX_CANDIDATES) {
    section_fail (s, DSVL2_ERROR_FILE, "candidate_resolutions", "has %u pairs, 1 to %d were expected",
        n, CONFIG_MAX_CANDIDATES);
    return;
  }
  for (guint i = 0; i < n && *s->error == NULL; i++) {
    JsonNode *pair = json_array_get_element (pairs, i);
    int across = read_side (pair, 0, S), down = read_side (pair, 1, S);

    if (across == 0 || down == 0) {
      g_autofree char *shown = jsonfile_show (pair);

      section_fail (s, DSVL2_ERROR_FILE, "candidate_resolutions",
          "has %s, a pair of multiples of image_size %d, up to %d times, was expected", shown, S,
          MAX_ACROSS);
    }
    c->candidate[i].width = across * S;
    c->candidate[i].height = down * S;
    expect_product (s, "candidate_resolutions", 1 + across * down,
        (gint64) (S / c->vision.patch_size) * (S / c->vision.patch_size), "a picture of patches");
  }
  c->n_candidates = n;
  /* the official processor takes its tiles' side from here */
  if (c->candidate[0].width != S)
    section_fail (s, DSVL2_ERROR_UNSUPPORTED, "candidate_resolutions",
        "starts with a width of %d, image_size %d was expected", c->candidate[0].width, S);
}

static void
read_colors (float value[3], const Section *s, const char *key, double min, double max)
{
  JsonArray *list = section_array (s, key);

  value[0] = value[1] = value[2] = 0.5f;
  if (list == NULL)
    return;
  for (guint i = 0; i < 3; i++) {
    double v;

    if (json_array_get_length (list) != 3 || !jsonfile_number (json_array_get_element (list, i), &v) ||
        !(v >= min && v <= max)) {
      g_autofree char *shown = jsonfile_show (json_object_get_member (s->object, key));

      section_fail (s, DSVL2_ERROR_FILE, key, "is %s, three numbers from %g to %g were expected", shown,
          min, max);
      return;
    }
    value[i] = v;
  }
}

static void
read_processor (Config *c, const Section *s)
{
  int patch_size = section_int (s, "patch_size", c->vision.patch_size, 1, 4096);
  int ratio = section_int (s, "downsample_ratio", c->projector.downsample_ratio, 1, 4096);

  if (patch_size != c->vision.patch_size)
    section_fail (s, DSVL2_ERROR_FILE, "patch_size",
        "is %d, config.json's vision_config.patch_size %d was expected", patch_size,
        c->vision.patch_size);
  if (ratio != c->projector.downsample_ratio)
    section_fail (s, DSVL2_ERROR_FILE, "downsample_ratio",
        "is %d, config.json's projector_config.downsample_ratio %d was expected", ratio,
        c->projector.downsample_ratio);
  expect_bool (s, "normalize", true);
  section_choice (s, "sft_format", 0, prompt_formats);
  section_choice (s, "image_token", 0, image_tokens);
  read_colors (c->image_mean, s, "image_mean", 0, 1);
  read_colors (c->image_std, s, "image_std", 1e-3, 1e3);
  read_candidates (c, s);
}

/* --- the two files ------------------------------------------------------------------------------ */

static void
read_model (Config *c, const Section *s)
{
  Section vision = section_child (s, "vision_config");
  Section projector = section_child (s, "projector_config");
  Section language = section_child (s, "language_config");

  section_choice (s, "model_type", 0, model_types);
  section_choice (s, "tile_tag", 0, tile_tags);
  c->global_view_first = section_choice (s, "global_view_pos", 0, global_views) == 0;
  read_vision (&c->vision, &vision);
  read_language (&c->language, &language);
  read_projector (&c->projector, &projector, c->vision.width, c->language.hidden_size);

  c->n_candidates = 1;
  c->candidate[0].width = c->candidate[0].height = c->vision.image_size;
  read_candidates (c, s);
}

bool
config_load (Config *config, const char *dir, GError **error)
{
  static const char *const file[] = { "config.json", "processor_config.json" };
  void (*const read[]) (Config *, const Section *) = { read_model, read_processor };

  *config = (Config){ 0 };
  for (guint i = 0; i < G_N_ELEMENTS (file); i++) {
    GError *local = NULL;
    g_autoptr (JsonNode) root = jsonfile_load (dir, file[i], MAX_FILE, &local);
    Section s;

    if (root != NULL) {
      s = section_root (root, file[i], &local);
      read[i](config, &s);
    }
    if (local != NULL) {
      g_propagate_error (error, local);
      return false;
    }
  }
  return true;
}
