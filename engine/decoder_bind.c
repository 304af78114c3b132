/* dsvl2: the language model's weights and scratch memory
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder.h"
#include "rope.h"
#include <string.h>

#define LAYER "language.model.layers.%d."
#define ATTENTION LAYER "self_attn."

/* A matrix that may be quantised. */
#define bind_linear(b, w, ...) bind_quantised (b, w, &(b)->choice->linear, __VA_ARGS__)

static void
bind_mha (Decoder *d, Mha *a, int l, Binder *b)
{
  const int q = d->H * d->attention.dk, kv = d->k_width;

  bind_linear (b, &a->q, q, d->D, ATTENTION "q_proj.weight", l);
  bind_linear (b, &a->k, kv, d->D, ATTENTION "k_proj.weight", l);
  bind_linear (b, &a->v, kv, d->D, ATTENTION "v_proj.weight", l);
  bind_linear (b, &a->o, d->D, q, ATTENTION "o_proj.weight", l);
  bind_optional_vector (b, &a->q_bias, q, ATTENTION "q_proj.bias", l);
  bind_optional_vector (b, &a->k_bias, kv, ATTENTION "k_proj.bias", l);
  bind_optional_vector (b, &a->v_bias, kv, ATTENTION "v_proj.bias", l);
  bind_optional_vector (b, &a->o_bias, d->D, ATTENTION "o_proj.bias", l);
}

/* kv_b_proj [H · (nope + v), R] holds for each head nope rows that make keys of a latent, then v rows that
 * make values. Keys are wanted the other way round, from q_nope to the latent: [R, nope]. */
static void
absorb_kv_b (Decoder *d, Mla *a, int l, Binder *b)
{
  const int H = d->H, R = d->R, nope = d->nope, v = d->v_dim;
  const Tensor *kv_b = bind_tensor (b, H * (nope + v), R, ATTENTION "kv_b_proj.weight", l);
  const WeightType type = kv_b ? tensor_weight_type (kv_b) : WEIGHT_F32;
  const gsize size = weight_type_size (type), row = R * size;
  char *k_up = bind_host (b, &a->k_up, type, H * R, nope);
  char *v_up = bind_host (b, &a->v_up, type, H * v, R);

  if (b->error)
    return;
  for (int h = 0; h < H; h++) {
    const char *keys = (const char *) kv_b->data + (gsize) h * (nope + v) * row;

    for (int r = 0; r < R; r++)
      for (int i = 0; i < nope; i++)
        memcpy (k_up + (((gsize) h * R + r) * nope + i) * size, keys + i * row + r * size, size);
    memcpy (v_up + (gsize) h * v * row, keys + nope * row, v * row);
  }
  bind_computed (b, &a->k_up);
  bind_computed (b, &a->v_up);
}

static void
bind_mla (Decoder *d, Mla *a, int l, Binder *b)
{
  const int q = d->H * (d->nope + d->rope), q_rank = d->config->q_lora_rank, latent = d->R + d->rope;

  if (q_rank > 0) {
    bind_linear (b, &a->q_a, q_rank, d->D, ATTENTION "q_a_proj.weight", l);
    bind_optional_vector (b, &a->q_a_bias, q_rank, ATTENTION "q_a_proj.bias", l);
    bind_vector (b, &a->q_a_norm, q_rank, ATTENTION "q_a_layernorm.weight", l);
    bind_linear (b, &a->q_b, q, q_rank, ATTENTION "q_b_proj.weight", l);
  } else {
    bind_linear (b, &a->q, q, d->D, ATTENTION "q_proj.weight", l);
    bind_optional_vector (b, &a->q_bias, q, ATTENTION "q_proj.bias", l);
  }
  bind_linear (b, &a->kv_a, latent, d->D, ATTENTION "kv_a_proj_with_mqa.weight", l);
  bind_optional_vector (b, &a->kv_a_bias, latent, ATTENTION "kv_a_proj_with_mqa.bias", l);
  bind_vector (b, &a->kv_a_norm, d->R, ATTENTION "kv_a_layernorm.weight", l);
  absorb_kv_b (d, a, l, b);
  bind_linear (b, &a->o, d->D, d->H * d->v_dim, ATTENTION "o_proj.weight", l);
  bind_optional_vector (b, &a->o_bias, d->D, ATTENTION "o_proj.bias", l);
}

static void
bind_mlp (Decoder *d, Mlp *m, int F, const char *prefix, Binder *b)
{
  bind_linear (b, &m->gate, F, d->D, "%sgate_proj.weight", prefix);
  bind_linear (b, &m->up, F, d->D, "%sup_proj.weight", prefix);
  bind_linear (b, &m->down, d->D, F, "%sdown_proj.weight", prefix);
}

static void
bind_experts (Decoder *d, DecoderLayer *layer, int l, Binder *b)
{
  const LanguageConfig *c = d->config;
  const int E = c->n_routed_experts, F = c->moe_intermediate_size;
  Weight *w = layer->expert = g_new0 (Weight, 3 * E);

  layer->experts = (Experts){ .E = E, .D = d->D, .F = F, .gate = w, .up = w + E, .down = w + 2 * E };
  bind_matrix (b, &layer->router, E, d->D, LAYER "mlp.gate.weight", l);
  if (c->route.method == ROUTE_NOAUX_TC)
    bind_vector (b, &layer->router_bias, E, LAYER "mlp.gate.e_score_correction_bias", l);
  for (int e = 0; e < E; e++) {
    bind_linear (b, &w[e], F, d->D, LAYER "mlp.experts.%d.gate_proj.weight", l, e);
    bind_linear (b, &w[E + e], F, d->D, LAYER "mlp.experts.%d.up_proj.weight", l, e);
    bind_linear (b, &w[2 * E + e], d->D, F, LAYER "mlp.experts.%d.down_proj.weight", l, e);
  }
}

static void
bind_layer (Decoder *d, int l, Binder *b)
{
  const LanguageConfig *c = d->config;
  DecoderLayer *layer = &d->layer[l];
  g_autofree char *dense = g_strdup_printf (LAYER "mlp.", l);
  g_autofree char *shared = g_strdup_printf (LAYER "mlp.shared_experts.", l);

  bind_vector (b, &layer->input_norm, d->D, LAYER "input_layernorm.weight", l);
  bind_vector (b, &layer->post_norm, d->D, LAYER "post_attention_layernorm.weight", l);
  if (c->use_mla)
    bind_mla (d, &layer->mla, l, b);
  else
    bind_mha (d, &layer->mha, l, b);

  layer->moe = config_layer_is_moe (c, l);
  layer->has_mlp = !layer->moe || c->n_shared_experts > 0;
  if (layer->moe)
    bind_experts (d, layer, l, b);
  if (layer->has_mlp)
    bind_mlp (d, &layer->mlp,
        layer->moe ? c->moe_intermediate_size * c->n_shared_experts : c->intermediate_size,
        layer->moe ? shared : dense, b);
}

static void
set_sizes (Decoder *d, const LanguageConfig *c)
{
  *d = (Decoder){
    .config = c,
    .D = c->hidden_size,
    .H = c->num_attention_heads,
    .V = c->vocab_size,
    .n_layers = c->num_hidden_layers,
    .layer = g_new0 (DecoderLayer, c->num_hidden_layers),
  };
  if (c->use_mla) {
    d->R = c->kv_lora_rank;
    d->nope = c->qk_nope_head_dim;
    d->rope = c->qk_rope_head_dim;
    d->v_dim = c->v_head_dim;
    d->k_width = d->R + d->rope;
    d->attention = (AttentionShape){ .H = d->H,
      .kv_heads = 1,
      .dk = d->k_width,
      .dv = d->R,
      .k_width = d->k_width,
      .v_width = d->k_width };
  } else {
    d->rope = c->head_dim;
    d->v_dim = c->head_dim;
    d->k_width = d->v_width = c->num_key_value_heads * c->head_dim;
    d->attention = (AttentionShape){ .H = d->H,
      .kv_heads = c->num_key_value_heads,
      .dk = c->head_dim,
      .dv = c->head_dim,
      .k_width = d->k_width,
      .v_width = d->v_width };
  }
  d->attention.scale = rope_softmax_scale (&c->rope_scaling, c->head_dim);
}

static void
bind_rope (Decoder *d, Binder *b)
{
  const int n = d->config->max_position_embeddings, half = d->rope / 2;
  const gsize bytes = sizeof (float) * n * half;
  float *cosine = bind_memory (b, bytes), *sine = bind_memory (b, bytes);

  if (b->error)
    return;
  g_autofree float *host_cosine = g_try_malloc (bytes), *host_sine = g_try_malloc (bytes);
  if (host_cosine == NULL || host_sine == NULL) {
    g_set_error (&b->error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "%" G_GSIZE_FORMAT " MiB for the angles of %d positions are not free", bytes >> 19, n);
    return;
  }
  rope_tables (&d->config->rope_scaling, d->config->rope_theta, d->rope, n, host_cosine, host_sine);
  b->ops->upload (b->ops, cosine, host_cosine, bytes);
  b->ops->upload (b->ops, sine, host_sine, bytes);
  d->cosine = cosine;
  d->sine = sine;
}

void
decoder_bind (Decoder *d, const LanguageConfig *config, Binder *b)
{
  set_sizes (d, config);
  bind_rope (d, b);
  bind_matrix (b, &d->embed, d->V, d->D, "language.model.embed_tokens.weight");
  for (int l = 0; l < d->n_layers; l++)
    bind_layer (d, l, b);
  bind_vector (b, &d->norm, d->D, "language.model.norm.weight");
  bind_quantised (b, &d->lm_head, &b->choice->lm_head, d->V, d->D, "%s",
      config->tie_word_embeddings ? "language.model.embed_tokens.weight" : "language.lm_head.weight");
}

void
decoder_clear (Decoder *d)
{
  for (int l = 0; d->layer && l < d->n_layers; l++)
    g_free (d->layer[l].expert);
  g_clear_pointer (&d->layer, g_free);
}

void
decoder_scratch (const Decoder *d, DecoderScratch *s, Arena *arena, int T, int n_logits)
{
  const LanguageConfig *c = d->config;
  const gsize H = d->H, rows = T;
  const int F = MAX (c->intermediate_size, c->moe_intermediate_size * c->n_shared_experts);

  s->x = arena_new (arena, float, rows * d->D);
  s->h = arena_new (arena, float, rows * d->D);
  s->q = arena_new (arena, float, rows *H * c->head_dim);
  s->kv = arena_new (arena, float, rows *(d->k_width + d->v_width));
  s->q_a = arena_new (arena, float, rows * c->q_lora_rank);
  s->q_latent = arena_new (arena, float, c->use_mla ? rows *H * d->attention.dk : 0);
  s->attended = arena_new (arena, float, rows *H * d->attention.dv);
  s->heads = arena_new (arena, float, c->use_mla ? rows *H * d->v_dim : 0);
  s->splits =
      arena_take (arena, attend_scratch (&d->attention, n_logits, c->max_position_embeddings), 1);
  s->gate = arena_new (arena, float, rows *F);
  s->up = arena_new (arena, float, rows *F);
  s->router = arena_new (arena, float, rows * c->n_routed_experts);
  s->weights = arena_new (arena, float, rows * c->route.K);
  s->ids = arena_new (arena, int32_t, rows * c->route.K);
  s->experts =
      arena_take (arena, moe_experts_scratch (T, c->route.K, d->D, c->moe_intermediate_size), 1);
  s->last = arena_new (arena, float, (gsize) n_logits * d->D);
  s->logits = arena_new (arena, float, (gsize) n_logits * d->V);
}

guint64
decoder_bytes_per_token (const Decoder *d)
{
  guint64 bytes = weight_bytes (&d->lm_head);

  for (int l = 0; l < d->n_layers; l++) {
    const DecoderLayer *layer = &d->layer[l];
    const Weight *matrices[] = { &layer->mha.q, &layer->mha.k, &layer->mha.v, &layer->mha.o,
      &layer->mla.q, &layer->mla.q_a, &layer->mla.q_b, &layer->mla.kv_a, &layer->mla.k_up,
      &layer->mla.v_up, &layer->mla.o, &layer->mlp.gate, &layer->mlp.up, &layer->mlp.down,
      &layer->router };

    /* Those that the configuration does not ask for have no rows. */
    for (guint i = 0; i < G_N_ELEMENTS (matrices); i++)
      bytes += weight_bytes (matrices[i]);
    if (layer->moe)
      bytes +=
          d->config->route.K * (weight_bytes (layer->experts.gate) + weight_bytes (layer->experts.up) +
                                   weight_bytes (layer->experts.down));
  }
  return bytes;
}
