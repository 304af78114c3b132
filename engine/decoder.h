/* dsvl2: the language model, DeepSeekMoE
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_DECODER_H
#define DSVL2_DECODER_H

#include "arena.h"
#include "config.h"
#include "kvcache.h"
#include "weights.h"

/* Multi-head attention (use_mla false): H heads of width d, kv_heads of keys and values. */
typedef struct {
  Weight q, k, v, o;
  const float *q_bias, *k_bias, *v_bias, *o_bias; /* NULL: none */
} Mha;

/* Multi-head latent attention. kv_b_proj is absorbed into the queries (k_up) and the output (v_up), so
 * that keys and values are the latents themselves. */
typedef struct {
  Weight q;        /* full-rank queries, or … */
  Weight q_a, q_b; /* … through a bottleneck */
  const float *q_bias, *q_a_bias, *q_a_norm;
  Weight kv_a; /* [R + rope, D]: the latent and the key's rotated part */
  const float *kv_a_bias, *kv_a_norm;
  Weight k_up; /* [H · R, nope] */
  Weight v_up; /* [H · v, R] */
  Weight o;
  const float *o_bias;
} Mla;

typedef struct {
  Weight gate, up, down;
} Mlp;

typedef struct {
  const float *input_norm, *post_norm;
  Mha mha;
  Mla mla;
  Mlp mlp; /* dense layers: the MLP; MoE layers: the shared experts as one */
  bool moe, has_mlp;
  Weight router;            /* [E, D] */
  const float *router_bias; /* [E] or NULL */
  Experts experts;
  Weight *expert; /* [3, E]: what experts points to */
} DecoderLayer;

typedef struct {
  const LanguageConfig *config;
  int D, H, V, n_layers;
  int R, nope, rope, v_dim; /* MLA: latent rank, parts of a head's width */
  int k_width, v_width;     /* floats that a token keeps in each layer's pools */
  AttentionShape attention;
  Weight embed, lm_head;
  const float *norm;
  const float *cosine, *sine; /* [positions, rope / 2] */
  DecoderLayer *layer;
} Decoder;

/* Scratch for steps of up to T rows, of which up to n_logits want logits. No more rows are singles. */
typedef struct {
  float *x;         /* [T, D] the residual stream */
  float *h;         /* [T, D] */
  float *q, *kv;    /* [T, H · d], [T, k_width + v_width] */
  float *q_a;       /* [T, q_lora_rank] */
  float *q_latent;  /* [T, H, R + rope] */
  float *attended;  /* [T, H, dv] */
  float *heads;     /* [T, H · v_dim] */
  void *splits;     /* attend's */
  float *gate, *up; /* [T, the widest MLP] */
  float *router;    /* [T, E] */
  float *weights;   /* [T, K] */
  int32_t *ids;     /* [T, K] */
  void *experts;
  float *last, *logits; /* [n_logits, D], [n_logits, V] */
} DecoderScratch;

void decoder_bind (Decoder *d, const LanguageConfig *config, Binder *b);
void decoder_clear (Decoder *d);
void decoder_scratch (const Decoder *d, DecoderScratch *s, Arena *arena, int T, int n_logits);

/* Bytes of matrices that one token's step reads, K of E experts among them. */
guint64 decoder_bytes_per_token (const Decoder *d);

/* decoder_layer: s->x [T, D] through layer l, whose keys and values go to `cache`. */
void decoder_layer (const Decoder *d, Ops *k, DecoderScratch *s, const KvCache *cache, int l,
    const StepRows *rows);

/* decoder_step: the rows' embeddings in s->x through all layers. */
void decoder_step (const Decoder *d, Ops *k, DecoderScratch *s, const KvCache *cache,
    const StepRows *rows);

/* decoder_logits: s->logits [n, V] of the rows of s->x that `wanted` [n] names (device memory). */
void decoder_logits (const Decoder *d, Ops *k, DecoderScratch *s, const int32_t *wanted, int n);

#endif
