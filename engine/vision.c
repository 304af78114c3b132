/* dsvl2: the vision encoder, SigLIP ViT
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * SigLIP SO400M/14 in the published models (Zhai et al. 2023); official code: siglip_vit.py,
 * VisionTransformer.forward_features. Pre-norm blocks, no class token, no pooling head. */
#include "vision.h"

static const float norm_eps = 1e-6f;

void
vision_bind (Vision *v, const VisionConfig *config, Binder *b)
{
  const int side = config->image_size / config->patch_size;
  const int patch_row = 3 * config->patch_size * config->patch_size;

  *v = (Vision){
    .S = config->image_size,
    .patch = config->patch_size,
    .side = side,
    .P = side * side,
    .C = config->width,
    .H = config->heads,
    .M = config->mlp_width,
    .n_blocks = config->layers,
    .block = g_new0 (VisionBlock, config->layers),
  };
  const int C = v->C, M = v->M;

  bind_matrix (b, &v->patch_embed, C, patch_row, "vision.patch_embed.proj.weight");
  bind_vector (b, &v->patch_bias, C, "vision.patch_embed.proj.bias");
  bind_vector (b, &v->pos_embed, v->P * C, "vision.pos_embed");
  for (int i = 0; i < v->n_blocks; i++) {
    VisionBlock *l = &v->block[i];

    bind_vector (b, &l->norm1, C, "vision.blocks.%d.norm1.weight", i);
    bind_vector (b, &l->norm1_bias, C, "vision.blocks.%d.norm1.bias", i);
    bind_matrix (b, &l->qkv, 3 * C, C, "vision.blocks.%d.attn.qkv.weight", i);
    bind_vector (b, &l->qkv_bias, 3 * C, "vision.blocks.%d.attn.qkv.bias", i);
    bind_matrix (b, &l->proj, C, C, "vision.blocks.%d.attn.proj.weight", i);
    bind_vector (b, &l->proj_bias, C, "vision.blocks.%d.attn.proj.bias", i);
    bind_vector (b, &l->norm2, C, "vision.blocks.%d.norm2.weight", i);
    bind_vector (b, &l->norm2_bias, C, "vision.blocks.%d.norm2.bias", i);
    bind_matrix (b, &l->fc1, M, C, "vision.blocks.%d.mlp.fc1.weight", i);
    bind_vector (b, &l->fc1_bias, M, "vision.blocks.%d.mlp.fc1.bias", i);
    bind_matrix (b, &l->fc2, C, M, "vision.blocks.%d.mlp.fc2.weight", i);
    bind_vector (b, &l->fc2_bias, C, "vision.blocks.%d.mlp.fc2.bias", i);
  }
  bind_vector (b, &v->norm, C, "vision.norm.weight");
  bind_vector (b, &v->norm_bias, C, "vision.norm.bias");
}

void
vision_clear (Vision *v)
{
  g_clear_pointer (&v->block, g_free);
}

void
vision_scratch (const Vision *v, VisionScratch *s, Arena *arena, int N)
{
  const gsize T = (gsize) N * v->P;
  const int widest = MAX (v->patch_embed.I, MAX (3 * v->C, v->M));

  s->x = arena_new (arena, float, T * v->C);
  s->h = arena_new (arena, float, T * v->C);
  s->wide = arena_new (arena, float, T *widest);
}

void
vision_encode (const Vision *v, Ops *k, VisionScratch *s, const float *tiles, int N, float *out)
{
  const int T = N * v->P, C = v->C;
  const unsigned of_tiles = LINEAR_TILES (v->P);

  k->patchify (k, s->wide, tiles, N, v->S, v->patch);                        /* [T, 3 patch²] */
  k->linear (k, s->x, s->wide, &v->patch_embed, v->patch_bias, T, of_tiles); /* [T, C] */
  k->add_rows (k, s->x, v->pos_embed, T, v->P, C);
  for (int i = 0; i < v->n_blocks; i++) {
    const VisionBlock *b = &v->block[i];

    k->layer_norm (k, s->h, s->x, b->norm1, b->norm1_bias, norm_eps, T, C);
    k->linear (k, s->wide, s->h, &b->qkv, b->qkv_bias, T, of_tiles); /* [T, 3, H, C / H] */
    k->attend_tiles (k, s->h, s->wide, N, v->P, v->H, C / v->H);     /* [T, C] */
    k->linear (k, s->x, s->h, &b->proj, b->proj_bias, T, EPI_ADD | of_tiles);

    k->layer_norm (k, s->h, s->x, b->norm2, b->norm2_bias, norm_eps, T, C);
    k->linear (k, s->wide, s->h, &b->fc1, b->fc1_bias, T, EPI_GELU_TANH | of_tiles); /* [T, M] */
    k->linear (k, s->x, s->wide, &b->fc2, b->fc2_bias, T, EPI_ADD | of_tiles);
  }
  k->layer_norm (k, out, s->x, v->norm, v->norm_bias, norm_eps, T, C);
}
