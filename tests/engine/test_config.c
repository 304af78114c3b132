/* config_load: the published files, defaults, and what it refuses
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/config.h"
#include "folder.h"

/* --- the published variants --------------------------------------------------------------------- */

#define PUBLISHED(language, n_embed)                                                                   \
  "{\"candidate_resolutions\": [[384, 384], [384, 768], [768, 384]], \"global_view_pos\": \"head\","   \
  " \"model_type\": \"deepseek_vl_v2\", \"tile_tag\": \"2D\", \"torch_dtype\": \"bfloat16\","          \
  " \"projector_config\": {\"model_type\": \"mlp_projector\", \"n_embed\": " n_embed "},"              \
  " \"vision_config\": {\"layers\": 27, \"mlp_ratio\": 3.7362, \"model_name\": "                       \
  "\"siglip_so400m_patch14_384\","                                                                     \
  "  \"model_type\": \"vision\", \"patch_size\": 14, \"width\": 1152},"                                \
  " \"language_config\": {\"model_type\": \"deepseek_v2\", \"torch_dtype\": \"bfloat16\","             \
  "  \"max_position_embeddings\": 4096, \"first_k_dense_replace\": 1, \"n_group\": 1, "                \
  "\"topk_group\": 1,"                                                                                 \
  "  \"n_shared_experts\": 2, \"num_experts_per_tok\": 6, \"q_lora_rank\": null, " language "}}"

static const char tiny[] = PUBLISHED (
    "\"bos_token_id\": 0, \"eos_token_id\": 1, \"hidden_size\": 1280, \"intermediate_size\": 6848,"
    "\"kv_lora_rank\": null, \"lm_head\": true, \"moe_intermediate_size\": 896, \"n_routed_experts\": "
    "64,"
    "\"num_attention_heads\": 10, \"num_hidden_layers\": 12, \"num_key_value_heads\": 10,"
    "\"qk_nope_head_dim\": 0, \"qk_rope_head_dim\": 0, \"v_head_dim\": 0, \"rm_head\": false,"
    "\"topk_method\": \"greedy\", \"use_mla\": false, \"vocab_size\": 129280",
    "1280");
static const char small[] =
    PUBLISHED ("\"hidden_size\": 2048, \"intermediate_size\": 10944, \"moe_intermediate_size\": 1408,"
               "\"n_routed_experts\": 64, \"num_attention_heads\": 16, \"num_hidden_layers\": 27,"
               "\"num_key_value_heads\": 16, \"topk_method\": \"greedy\", \"vocab_size\": 102400",
        "2048");
static const char vl2[] = PUBLISHED (
    "\"bos_token_id\": 0, \"eos_token_id\": 1, \"hidden_size\": 2560, \"intermediate_size\": 12288,"
    "\"moe_intermediate_size\": 1536, \"n_routed_experts\": 72, \"norm_topk_prob\": true,"
    "\"num_hidden_layers\": 30, \"routed_scaling_factor\": 2.0, \"scoring_func\": \"sigmoid\","
    "\"topk_method\": \"noaux_tc\", \"vocab_size\": 129280",
    "2560");

static const char processor[] =
    "{\"candidate_resolutions\": [[384, 384], [768, 384], [384, 768], [1152, 1152]],"
    " \"downsample_ratio\": 2, \"image_mean\": [0.5, 0.25, 0], \"image_std\": [0.5, 1, 0.25],"
    " \"image_token\": \"<image>\", \"normalize\": true, \"patch_size\": 14, \"sft_format\": "
    "\"deepseek\"}";

static bool
load (const char *config, const char *processor_config, Config *c, GError **error)
{
  char *dir = folder_new ();
  bool ok;

  if (config != NULL)
    folder_write (dir, "config.json", config, -1);
  if (processor_config != NULL)
    folder_write (dir, "processor_config.json", processor_config, -1);
  ok = config_load (c, dir, error);
  folder_free (dir);
  g_assert_true (ok == (error == NULL || *error == NULL));
  return ok;
}

typedef struct {
  const char *name, *config;
  int vocab, hidden, layers, heads, head_dim, v_head_dim, kv_rank, q_rank, dense, width, E;
  bool use_mla;
  RouteScore score;
  RouteMethod method;
  bool normalize;
  float scale;
} Published;

static const Published published[] = {
  /* name    file    vocab  hidden  L   H  dqk   dv   kv q  dense   F     E  mla    score    method  norm scale */
  { "tiny", tiny, 129280, 1280, 12, 10, 128, 128, 0, 0, 6848, 896, 64, false, ROUTE_SOFTMAX,
      ROUTE_GREEDY, false, 1 },
  { "small", small, 102400, 2048, 27, 16, 192, 128, 512, 0, 10944, 1408, 64, true, ROUTE_SOFTMAX,
      ROUTE_GREEDY, false, 1 },
  { "vl2", vl2, 129280, 2560, 30, 32, 192, 128, 512, 0, 12288, 1536, 72, true, ROUTE_SIGMOID,
      ROUTE_NOAUX_TC, true, 2 },
};

static void
test_published (gconstpointer data)
{
  const Published *p = data;
  const LanguageConfig *l;
  GError *error = NULL;
  Config c;

  load (p->config, processor, &c, &error);
  g_assert_no_error (error);
  g_assert_cmpint (c.vision.image_size, ==, 384);
  g_assert_cmpint (c.vision.patch_size, ==, 14);
  g_assert_cmpint (c.vision.width, ==, 1152);
  g_assert_cmpint (c.vision.layers, ==, 27);
  g_assert_cmpint (c.vision.heads, ==, 16);
  g_assert_cmpint (c.vision.mlp_width, ==, 4304);
  g_assert_cmpint (c.projector.input_dim, ==, 1152);
  g_assert_cmpint (c.projector.n_embed, ==, p->hidden);
  g_assert_cmpint (c.projector.depth, ==, 2);
  g_assert_cmpint (c.projector.mlp_ratio, ==, 1);
  g_assert_cmpint (c.projector.downsample_ratio, ==, 2);
  g_assert_true (c.global_view_first);

  l = &c.language;
  g_assert_cmpint (l->vocab_size, ==, p->vocab);
  g_assert_cmpint (l->hidden_size, ==, p->hidden);
  g_assert_cmpint (l->num_hidden_layers, ==, p->layers);
  g_assert_cmpint (l->num_attention_heads, ==, p->heads);
  g_assert_cmpint (l->num_key_value_heads, ==, p->heads);
  g_assert_true (l->use_mla == p->use_mla);
  g_assert_false (l->attention_bias);
  g_assert_cmpint (l->head_dim, ==, p->head_dim);
  g_assert_cmpint (l->v_head_dim, ==, p->v_head_dim);
  g_assert_cmpint (l->kv_lora_rank, ==, p->kv_rank);
  g_assert_cmpint (l->q_lora_rank, ==, p->q_rank);
  g_assert_cmpint (l->intermediate_size, ==, p->dense);
  g_assert_cmpint (l->moe_intermediate_size, ==, p->width);
  g_assert_cmpint (l->n_routed_experts, ==, p->E);
  g_assert_cmpint (l->n_shared_experts, ==, 2);
  g_assert_cmpint (l->route.E, ==, p->E);
  g_assert_cmpint (l->route.K, ==, 6);
  g_assert_cmpint (l->route.score, ==, p->score);
  g_assert_cmpint (l->route.method, ==, p->method);
  g_assert_cmpint (l->route.groups, ==, 1);
  g_assert_cmpint (l->route.top_groups, ==, 1);
  g_assert_true (l->route.normalize == p->normalize);
  g_assert_cmpfloat (l->route.scale, ==, p->scale);
  g_assert_cmpfloat (l->rope_theta, ==, 10000);
  g_assert_cmpfloat (l->rms_norm_eps, ==, 1e-6f);
  g_assert_cmpfloat (l->rope_scaling.factor, ==, 1);
  g_assert_cmpint (l->max_position_embeddings, ==, 4096);
  g_assert_false (l->tie_word_embeddings);
  g_assert_false (config_layer_is_moe (l, 0));
  g_assert_true (config_layer_is_moe (l, 1));
}

/* The processor's candidates win over the model's, in their order, width first. */
static void
test_processor (void)
{
  g_autofree char *without = text_replace (processor, "\"candidate_resolutions\"", "\"others\"");
  g_autofree char *neither = text_replace (tiny, "\"candidate_resolutions\"", "\"others\"");
  GError *error = NULL;
  Config c;

  load (tiny, processor, &c, &error);
  g_assert_no_error (error);
  g_assert_cmpint (c.n_candidates, ==, 4);
  g_assert_cmpint (c.candidate[1].width, ==, 768);
  g_assert_cmpint (c.candidate[1].height, ==, 384);
  g_assert_cmpfloat (c.image_mean[1], ==, 0.25f);
  g_assert_cmpfloat (c.image_mean[2], ==, 0);
  g_assert_cmpfloat (c.image_std[1], ==, 1);

  load (tiny, without, &c, &error);
  g_assert_no_error (error);
  g_assert_cmpint (c.n_candidates, ==, 3);
  g_assert_cmpint (c.candidate[1].width, ==, 384);
  g_assert_cmpint (c.candidate[1].height, ==, 768);

  load (neither, "{}", &c, &error);
  g_assert_no_error (error);
  g_assert_cmpint (c.n_candidates, ==, 1);
  g_assert_cmpint (c.candidate[0].height, ==, 384);
  g_assert_cmpfloat (c.image_mean[0], ==, 0.5f);
  g_assert_cmpfloat (c.image_std[2], ==, 0.5f);
}

/* Nothing but what has to agree: every other key has its class's default. */
static void
test_defaults (void)
{
  GError *error = NULL;
  Config c;

  load ("{\"projector_config\": {\"n_embed\": 4096}}", "{}", &c, &error);
  g_assert_no_error (error);
  g_assert_cmpint (c.language.vocab_size, ==, 102400);
  g_assert_cmpint (c.language.hidden_size, ==, 4096);
  g_assert_cmpint (c.language.intermediate_size, ==, 11008);
  g_assert_cmpint (c.language.moe_intermediate_size, ==, 1407);
  g_assert_cmpint (c.language.num_hidden_layers, ==, 30);
  g_assert_cmpint (c.language.num_attention_heads, ==, 32);
  g_assert_cmpint (c.language.q_lora_rank, ==, 1536);
  g_assert_cmpint (c.language.kv_lora_rank, ==, 512);
  g_assert_cmpint (c.language.head_dim, ==, 192);
  g_assert_cmpint (c.language.n_routed_experts, ==, 0);
  g_assert_cmpint (c.language.n_shared_experts, ==, 0);
  g_assert_cmpint (c.language.first_k_dense_replace, ==, 0);
  g_assert_cmpint (c.language.max_position_embeddings, ==, 2048);
  g_assert_false (config_layer_is_moe (&c.language, 5));
}

static void
test_yarn (void)
{
  g_autofree char *config = text_replace (small, "\"q_lora_rank\": null",
      "\"q_lora_rank\": 1536, \"attention_bias\": true, \"rope_scaling\": {\"type\": \"yarn\", "
      "\"factor\": 40,"
      " \"original_max_position_embeddings\": 64, \"beta_fast\": 31, \"beta_slow\": 2, \"mscale\": "
      "0.707}");
  g_autofree char *least = text_replace (small, "\"q_lora_rank\": null",
      "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0}");
  GError *error = NULL;
  Config c;

  load (config, processor, &c, &error);
  g_assert_no_error (error);
  g_assert_cmpint (c.language.q_lora_rank, ==, 1536);
  g_assert_true (c.language.attention_bias);
  g_assert_cmpfloat (c.language.rope_scaling.factor, ==, 40);
  g_assert_cmpint (c.language.rope_scaling.original_max_position_embeddings, ==, 64);
  g_assert_cmpfloat (c.language.rope_scaling.beta_fast, ==, 31);
  g_assert_cmpfloat (c.language.rope_scaling.beta_slow, ==, 2);
  g_assert_cmpfloat (c.language.rope_scaling.mscale, ==, 0.707f);
  g_assert_cmpfloat (c.language.rope_scaling.mscale_all_dim, ==, 0);

  load (least, processor, &c, &error);
  g_assert_no_error (error);
  g_assert_cmpint (c.language.rope_scaling.original_max_position_embeddings, ==, 4096);
  g_assert_cmpfloat (c.language.rope_scaling.beta_fast, ==, 32);
  g_assert_cmpfloat (c.language.rope_scaling.mscale, ==, 1);
}

/* --- what is refused ---------------------------------------------------------------------------- */

typedef struct {
  const char *file, *from, *to; /* file: the text that is changed, tiny, small, vl2 or processor */
  Dsvl2Error code;
  const char *words;
} Refusal;

#define FILE_ERROR DSVL2_ERROR_FILE
#define UNSUPPORTED DSVL2_ERROR_UNSUPPORTED

static const Refusal refusals[] = {
  /* types and bounds */
  { tiny, "1280, \"i", "\"big\", \"i", FILE_ERROR,
      "config.json: language_config.hidden_size is \"big\", a whole number from 1 to 32768 was "
      "expected" },
  { tiny, "1280, \"i", "1280.5, \"i", FILE_ERROR, "hidden_size is 1280.5, a whole number" },
  { tiny, "1280, \"i", "0, \"i", FILE_ERROR, "hidden_size is 0, a whole number from 1" },
  { tiny, "1280, \"i", "-1, \"i", FILE_ERROR, "hidden_size is -1, a whole number from 1" },
  { tiny, "1280, \"i", "99999999999999999999999, \"i", FILE_ERROR,
      "config.json: a number is too large, at byte" },
  { tiny, "1280, \"i", "1e300, \"i", FILE_ERROR, "language_config.hidden_size is 1" },
  { tiny, "1280, \"i", "1e999, \"i", FILE_ERROR, "config.json" },
  { tiny, "1280, \"i", "true, \"i", FILE_ERROR, "hidden_size is true, a whole number" },
  { tiny, "1280, \"i", "[1280], \"i", FILE_ERROR, "hidden_size is [1280], a whole number" },
  { tiny, "\"use_mla\": false", "\"use_mla\": 0", FILE_ERROR,
      "use_mla is 0, true or false was expected" },
  { tiny, "\"vision_config\": {", "\"vision_config\": 7, \"v\": {", FILE_ERROR,
      "config.json: vision_config is 7, an object was expected" },
  { tiny, "3.7362", "\"wide\"", FILE_ERROR, "vision_config.mlp_ratio is \"wide\", a number from" },
  { tiny, "3.7362", "60", UNSUPPORTED, "vision_config.mlp_ratio makes the MLP 69120 wide" },
  { tiny, "\"topk_method\": \"greedy\"", "\"rms_norm_eps\": -1", FILE_ERROR,
      "rms_norm_eps is -1, a number" },
  { tiny, "\"vocab_size\": 129280", "\"vocab_size\": 1048577", FILE_ERROR, "vocab_size is 1048577" },
  { vl2, "2560, \"i", "4096, \"vocab_size\": 1048576, \"i", FILE_ERROR,
      "projector_config.n_embed is 2560" },
  { vl2, "\"vocab_size\": 129280", "\"vocab_size\": 1048576", UNSUPPORTED,
      "language_config.vocab_size makes a matrix of 1048576 × 2560" },
  /* sizes that contradict each other */
  { tiny, "\"n_embed\": 1280", "\"n_embed\": 1281", FILE_ERROR,
      "projector_config.n_embed is 1281, language_config.hidden_size 1280 was expected" },
  { tiny, "\"n_embed\": 1280", "\"input_dim\": 1024", FILE_ERROR,
      "projector_config.input_dim is 1024, vision_config.width 1152 was expected" },
  { tiny, "\"num_attention_heads\": 10", "\"num_attention_heads\": 7", FILE_ERROR,
      "num_attention_heads is 7, a divisor of hidden_size 1280" },
  { tiny, "\"num_attention_heads\": 10", "\"num_attention_heads\": 256", FILE_ERROR,
      "heads of an even width" },
  { tiny, "\"num_key_value_heads\": 10", "\"num_key_value_heads\": 3", FILE_ERROR,
      "num_key_value_heads is 3, a divisor of num_attention_heads 10" },
  { tiny, "\"width\": 1152", "\"width\": 1152, \"heads\": 7", FILE_ERROR,
      "vision_config.heads is 7, a divisor of width 1152" },
  { tiny, "\"patch_size\": 14", "\"image_size\": 10, \"patch_size\": 14", FILE_ERROR,
      "patch_size is 14, at most image_size 10" },
  { small, "\"hidden_size\"", "\"qk_rope_head_dim\": 63, \"hidden_size\"", FILE_ERROR,
      "qk_rope_head_dim is 63, an even number" },
  { tiny, "\"num_experts_per_tok\": 6", "\"num_experts_per_tok\": 65", FILE_ERROR,
      "num_experts_per_tok is 65, 1 to n_routed_experts 64" },
  { tiny, "\"num_experts_per_tok\": 6", "\"num_experts_per_tok\": null", FILE_ERROR,
      "num_experts_per_tok is 0" },
  { vl2, "\"n_group\": 1", "\"n_group\": 7", FILE_ERROR,
      "n_group is 7, a divisor of n_routed_experts 72" },
  { vl2, "\"n_group\": 1", "\"n_group\": 72", FILE_ERROR, "n_group is 72, groups of at least two" },
  { vl2, "\"topk_group\": 1", "\"topk_group\": 2", FILE_ERROR, "topk_group is 2, at most n_group 1" },
  /* what this engine does not run */
  { tiny, "\"deepseek_vl_v2\"", "\"llama\"", UNSUPPORTED, "config.json: model_type is \"llama\"" },
  { tiny, "\"2D\"", "\"1D\"", UNSUPPORTED, "config.json: tile_tag is \"1D\", \"2D\" was expected" },
  { tiny, "\"head\"", "\"middle\"", UNSUPPORTED,
      "global_view_pos is \"middle\", \"head\" or \"tail\" was expected" },
  { tiny, "\"head\"", "1", FILE_ERROR, "global_view_pos is 1, \"head\" or \"tail\" was expected" },
  { tiny, "\"n_embed\": 1280", "\"projector_type\": \"linear\"", UNSUPPORTED,
      "projector_config.projector_type is \"linear\", \"downsample_mlp_gelu\" was expected" },
  { tiny, "\"n_embed\": 1280", "\"token_pooling\": true", UNSUPPORTED,
      "token_pooling is true, only false" },
  { tiny, "\"width\": 1152", "\"class_token\": true", UNSUPPORTED,
      "vision_config.class_token is true" },
  { tiny, "\"topk_method\": \"greedy\"", "\"hidden_act\": \"gelu\"", UNSUPPORTED,
      "hidden_act is \"gelu\"" },
  { tiny, "\"topk_method\": \"greedy\"", "\"topk_method\": \"best\"", UNSUPPORTED,
      "topk_method is \"best\"" },
  { tiny, "\"topk_method\": \"greedy\"", "\"scoring_func\": \"relu\"", UNSUPPORTED,
      "scoring_func is \"relu\"" },
  { tiny, "\"topk_method\": \"greedy\"", "\"moe_layer_freq\": 2", UNSUPPORTED,
      "moe_layer_freq is 2, only 1" },
  { tiny, "\"q_lora_rank\": null", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}", UNSUPPORTED,
      "language_config.rope_scaling.type is \"yarn\", which is supported with use_mla only" },
  { small, "\"q_lora_rank\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}",
      UNSUPPORTED, "language_config.rope_scaling.type is \"linear\", \"yarn\" was expected" },
  { small, "\"q_lora_rank\": null", "\"rope_scaling\": {\"type\": \"yarn\"}", FILE_ERROR,
      "rope_scaling.factor is missing" },
  { small, "\"q_lora_rank\": null", "\"rope_scaling\": {}", FILE_ERROR,
      "rope_scaling.type is missing" },
  { small, "\"q_lora_rank\": null", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 0.5}",
      FILE_ERROR, "rope_scaling.factor is 0.5, a number from 1" },
  /* the processor */
  { processor, "\"patch_size\": 14", "\"patch_size\": 16", FILE_ERROR,
      "processor_config.json: patch_size is 16, config.json's vision_config.patch_size 14 was "
      "expected" },
  { processor, "\"downsample_ratio\": 2", "\"downsample_ratio\": 4", FILE_ERROR,
      "downsample_ratio is 4" },
  { processor, "\"deepseek\"", "\"plain\"", UNSUPPORTED, "sft_format is \"plain\"" },
  { processor, "\"<image>\"", "\"<img>\"", UNSUPPORTED, "image_token is \"<img>\"" },
  { processor, "\"normalize\": true", "\"normalize\": false", UNSUPPORTED,
      "normalize is false, only true" },
  { processor, "[0.5, 0.25, 0]", "[0.5, 0.25]", FILE_ERROR,
      "image_mean is [0.5,0.25], three numbers from 0 to 1" },
  { processor, "[0.5, 1, 0.25]", "[0.5, 0, 0.25]", FILE_ERROR,
      "image_std is [0.5,0,0.25], three numbers" },
  { processor, "[0.5, 1, 0.25]", "[0.5, \"a\", 0.25]", FILE_ERROR, "image_std is [0.5,\"a\",0.25]" },
  { processor, "[0.5, 1, 0.25]", "0.5", FILE_ERROR, "image_std is 0.5, a list was expected" },
  { processor, "[768, 384]", "[768, 385]", FILE_ERROR,
      "candidate_resolutions has [768,385], a pair of multiples of image_size 384" },
  { processor, "[768, 384]", "[768]", FILE_ERROR, "candidate_resolutions has [768], a pair" },
  { processor, "[768, 384]", "[768, -384]", FILE_ERROR,
      "candidate_resolutions has [768,-384], a pair" },
  { processor, "[768, 384]", "[384, 0]", FILE_ERROR, "candidate_resolutions has [384,0], a pair" },
  { processor, "[768, 384]", "[384, 38400]", FILE_ERROR,
      "candidate_resolutions has [384,38400], a pair" },
  { processor, "[768, 384]", "null", FILE_ERROR, "candidate_resolutions has null, a pair" },
  { processor, "[384, 384]", "[768, 384]", UNSUPPORTED, "starts with a width of 768, image_size 384" },
  /* not JSON */
  { tiny, "{\"cand", "\"cand", FILE_ERROR, "config.json: an object was expected, at byte 0" },
  { tiny, "{\"cand", "{,\"cand", FILE_ERROR, "config.json is not valid JSON" },
  { tiny, "\"2D\"", "'2D'", FILE_ERROR, "config.json: this is not JSON, at byte" },
  { tiny, "\"2D\"", "/* the only one */ \"2D\"", FILE_ERROR, "config.json: this is not JSON, at byte" },
  { tiny, "\"2D\"", "\"2D", FILE_ERROR, "config.json" },
  { tiny, "\"2D\"", "\"\xff\"", FILE_ERROR, "config.json: this is not UTF-8, at byte" },
  { tiny, "\"2D\"", "\"2D\"}", FILE_ERROR, "config.json: there is more behind the object, at byte" },
  { processor, "{\"cand", "[\"cand", FILE_ERROR,
      "processor_config.json: an object was expected, at byte 0" },
};

static void
test_refusal (gconstpointer data)
{
  const Refusal *r = data;
  g_autofree char *changed = text_replace (r->file, r->from, r->to);
  bool of_processor = r->file == processor;
  GError *error = NULL;
  Config c;

  load (of_processor ? tiny : changed, of_processor ? changed : processor, &c, &error);
  expect_error (&error, r->code, r->words);
}

static void
test_files (void)
{
  g_autofree char *deep = g_malloc (20001);
  g_autofree char *large = g_strnfill ((16 << 20) + 1, ' ');
  g_autofree char *many = NULL;
  g_autofree char *long_value = g_strnfill (100000, 'x');
  g_autofree char *long_text = g_strdup_printf ("{\"tile_tag\": \"é%s\"}", long_value);
  GString *commas = g_string_new ("{\"a\":[0");
  GError *error = NULL;
  char *dir;
  Config c;

  load (NULL, processor, &c, &error);
  expect_error (&error, DSVL2_ERROR_FILE, "config.json cannot be read: No such file");
  load (tiny, NULL, &c, &error);
  expect_error (&error, DSVL2_ERROR_FILE, "processor_config.json cannot be read: No such file");
  load ("", processor, &c, &error);
  expect_error (&error, DSVL2_ERROR_FILE, "config.json: it is empty");
  load (large, processor, &c, &error);
  expect_error (&error, DSVL2_ERROR_FILE, "config.json has 16777217 bytes, at most 16777216");
  load (long_text, processor, &c, &error);
  expect_error (&error, DSVL2_ERROR_UNSUPPORTED, "xxx…, \"2D\" was expected");

  /* 10000 lists inside each other, closed and not */
  memset (deep, '[', 10000);
  memset (deep + 10000, ']', 10000);
  memcpy (deep, "{\"a\":", 5);
  deep[20000] = '\0';
  load (deep, processor, &c, &error);
  expect_error (&error, DSVL2_ERROR_FILE, "config.json: it is nested too deeply, at byte");
  deep[9999] = '\0';
  load (deep, processor, &c, &error);
  expect_error (&error, DSVL2_ERROR_FILE, "config.json: it is nested too deeply, at byte");

  for (int i = 0; i < 5000000; i++)
    g_string_append (commas, ",0");
  g_string_append (commas, "]}");
  many = g_string_free (commas, FALSE);
  load (many, processor, &c, &error);
  expect_error (&error, DSVL2_ERROR_FILE, "config.json: it has too many values, at byte");

  dir = folder_new ();
  config_load (&c, dir, NULL); /* an error that nobody asks for */
  g_assert_false (config_load (&c, "/nowhere/at all", &error));
  expect_error (&error, DSVL2_ERROR_FILE, "/nowhere/at all/config.json cannot be read");
  folder_free (dir);
}

/* Every prefix of a good file is a bad one. */
static void
test_truncated (void)
{
  char *dir = folder_new ();
  Config c;

  for (gsize n = 0; n <= strlen (vl2); n++) {
    GError *error = NULL;

    folder_write (dir, "config.json", vl2, n);
    folder_write (dir, "processor_config.json", processor, -1);
    if (n == strlen (vl2))
      g_assert_true (config_load (&c, dir, &error));
    else if (!config_load (&c, dir, &error))
      g_assert_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE);
    else
      g_error ("the first %zu bytes are taken for a file", n);
    g_clear_error (&error);
  }
  folder_free (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (published); i++) {
    g_autofree char *path = g_strconcat ("/config/published/", published[i].name, NULL);

    g_test_add_data_func (path, &published[i], test_published);
  }
  g_test_add_func ("/config/processor", test_processor);
  g_test_add_func ("/config/defaults", test_defaults);
  g_test_add_func ("/config/yarn", test_yarn);
  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
    g_autofree char *path = g_strdup_printf ("/config/refused/%u", i);

    g_test_add_data_func (path, &refusals[i], test_refusal);
  }
  g_test_add_func ("/config/files", test_files);
  g_test_add_func ("/config/truncated", test_truncated);
  return g_test_run ();
}
