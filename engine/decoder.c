/* dsvl2: the language model, DeepSeekMoE
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * DeepSeek-V2 (2024), with MLA or Llama's attention; official code: modeling_deepseek.py,
 * DeepseekV2DecoderLayer. One entry for everything: rows of any sequences, each at its position. */
#include "decoder.h"

/* DeepSeek's q_a_layernorm and kv_a_layernorm keep their class's eps, whatever rms_norm_eps says. */
static const float latent_eps = 1e-6f;

/* Llama's attention: softmax (q kᵀ / √d) v over the sequence so far, added to x. */
static void
attention_mha (const Decoder *d, Ops *k, DecoderScratch *s, const KvCache *cache, int l,
    const StepRows *rows)
{
  const Mha *a = &d->layer[l].mha;
  const int T = rows->T, dk = d->attention.dk, kv_heads = d->attention.kv_heads;
  float *keys = kv_cache_keys (cache, l), *values = kv_cache_values (cache, l);
  float *key = s->kv, *value = s->kv + (size_t) T * d->k_width;

  k->linear (k, s->q, s->h, &a->q, a->q_bias, T, 0); /* [T, H, dk] */
  k->linear (k, key, s->h, &a->k, a->k_bias, T, 0);  /* [T, kv_heads, dk] */
  k->linear (k, value, s->h, &a->v, a->v_bias, T, 0);
  k->rope (k, s->q, d->H * dk, dk, s->q, d->H * dk, dk, d->H, dk, d->cosine, d->sine, false, rows);
  k->rope (k, key, d->k_width, dk, key, d->k_width, dk, kv_heads, dk, d->cosine, d->sine, false, rows);
  k->kv_write (k, keys, key, d->k_width, d->k_width, rows);
  k->kv_write (k, values, value, d->v_width, d->v_width, rows);
  k->attend (k, s->attended, s->q, keys, values, &d->attention, rows, s->splits); /* [T, H, dk] */
  k->linear (k, s->x, s->attended, &a->o, a->o_bias, T, EPI_ADD);
}

/* Multi-head latent attention in its absorbed form: q·k = (k_upᵀ q_nope) · latent + q_rope · k_rope, and
 * the output is v_up applied to the attended latents. */
static void
attention_mla (const Decoder *d, Ops *k, DecoderScratch *s, const KvCache *cache, int l,
    const StepRows *rows)
{
  const Mla *a = &d->layer[l].mla;
  const int T = rows->T, H = d->H, R = d->R, nope = d->nope, rope = d->rope;
  const int q_width = nope + rope, latent_width = R + rope;
  float *latents = kv_cache_keys (cache, l);

  if (d->config->q_lora_rank > 0) {
    k->linear (k, s->q_a, s->h, &a->q_a, a->q_a_bias, T, 0); /* [T, q_lora_rank] */
    k->rms_norm (k, s->q_a, s->q_a, a->q_a_norm, latent_eps, T, a->q_a.O, a->q_a.O);
    k->linear (k, s->q, s->q_a, &a->q_b, NULL, T, 0); /* [T, H, nope + rope] */
  } else {
    k->linear (k, s->q, s->h, &a->q, a->q_bias, T, 0);
  }
  k->linear_heads (k, s->q_latent, H * latent_width, latent_width, s->q, H * q_width, q_width, &a->k_up,
      H, T); /* [T, H, R], … */
  k->rope (k, s->q_latent + R, H * latent_width, latent_width, s->q + nope, H * q_width, q_width, H,
      rope, d->cosine, d->sine, true, rows); /* … [T, H, rope] */

  k->linear (k, s->kv, s->h, &a->kv_a, a->kv_a_bias, T, 0); /* [T, R + rope] */
  k->rms_norm (k, s->kv, s->kv, a->kv_a_norm, latent_eps, T, R, latent_width);
  k->rope (k, s->kv + R, latent_width, rope, s->kv + R, latent_width, rope, 1, rope, d->cosine, d->sine,
      true, rows);
  k->kv_write (k, latents, s->kv, latent_width, latent_width, rows);

  k->attend (k, s->attended, s->q_latent, latents, latents, &d->attention, rows,
      s->splits); /* [T, H, R] */
  k->linear_heads (k, s->heads, H * d->v_dim, d->v_dim, s->attended, H * R, R, &a->v_up, H, T);
  k->linear (k, s->x, s->heads, &a->o, a->o_bias, T, EPI_ADD);
}

/* SwiGLU (Shazeer 2020): down (silu (gate h) · up h), added to x. */
static void
mlp (Ops *k, DecoderScratch *s, const Mlp *m, int T)
{
  k->linear (k, s->gate, s->h, &m->gate, NULL, T, 0); /* [T, F] */
  k->linear (k, s->up, s->h, &m->up, NULL, T, 0);
  k->silu_mul (k, s->gate, s->gate, s->up, T, m->gate.O);
  k->linear (k, s->x, s->gate, &m->down, NULL, T, EPI_ADD);
}

/* DeepSeekMoE (Dai et al. 2024): the routed experts' part. */
static void
routed_experts (const Decoder *d, Ops *k, DecoderScratch *s, const DecoderLayer *layer, int T)
{
  const Route *route = &d->config->route;

  k->linear (k, s->router, s->h, &layer->router, NULL, T, 0);                    /* [T, E] */
  k->moe_route (k, s->ids, s->weights, s->router, layer->router_bias, route, T); /* [T, K] */
  k->moe_experts (k, s->x, s->h, s->ids, s->weights, &layer->experts, T, route->K, s->experts);
}

void
decoder_layer (const Decoder *d, Ops *k, DecoderScratch *s, const KvCache *cache, int l,
    const StepRows *rows)
{
  const DecoderLayer *layer = &d->layer[l];
  const int T = rows->T;
  const float eps = d->config->rms_norm_eps;

  k->rms_norm (k, s->h, s->x, layer->input_norm, eps, T, d->D, d->D);
  if (d->config->use_mla)
    attention_mla (d, k, s, cache, l, rows);
  else
    attention_mha (d, k, s, cache, l, rows);

  k->rms_norm (k, s->h, s->x, layer->post_norm, eps, T, d->D, d->D);
  if (layer->moe)
    routed_experts (d, k, s, layer, T);
  if (layer->has_mlp)
    mlp (k, s, &layer->mlp, T);
}

void
decoder_step (const Decoder *d, Ops *k, DecoderScratch *s, const KvCache *cache, const StepRows *rows)
{
  for (int l = 0; l < d->n_layers; l++)
    decoder_layer (d, k, s, cache, l, rows);
}

void
decoder_logits (const Decoder *d, Ops *k, DecoderScratch *s, const int32_t *wanted, int n)
{
  const Weight x = { .data = s->x, .type = WEIGHT_F32, .O = n, .I = d->D };

  k->gather_rows (k, s->last, &x, wanted, n); /* [n, D] */
  k->rms_norm (k, s->last, s->last, d->norm, d->config->rms_norm_eps, n, d->D, d->D);
  k->linear (k, s->logits, s->last, &d->lm_head, NULL, n, 0); /* [n, V] */
}
