/* dsvl2: the vision encoder, SigLIP ViT
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_VISION_H
#define DSVL2_VISION_H

#include "arena.h"
#include "config.h"
#include "weights.h"

typedef struct {
  const float *norm1, *norm1_bias, *norm2, *norm2_bias;
  Weight qkv, proj, fc1, fc2;
  const float *qkv_bias, *proj_bias, *fc1_bias, *fc2_bias;
} VisionBlock;

typedef struct {
  int S, patch, side, P, C, H,
      M; /* side patches a side, P = side² a tile, C width, H heads, M MLP width */
  int n_blocks;
  Weight patch_embed;
  const float *patch_bias, *pos_embed; /* [P, C] */
  VisionBlock *block;                  /* [n_blocks] */
  const float *norm, *norm_bias;
} Vision;

/* Scratch for N tiles at once. */
typedef struct {
  float *x, *h, *wide; /* [N · P, C], [N · P, C], [N · P, the widest of patch rows, qkv and MLP] */
} VisionScratch;

void vision_bind (Vision *v, const VisionConfig *config, Binder *b);
void vision_clear (Vision *v);
void vision_scratch (const Vision *v, VisionScratch *s, Arena *arena, int N);

/* vision_encode: out [N · P, C] ← tiles [N, 3, S, S]. */
void vision_encode (const Vision *v, Ops *k, VisionScratch *s, const float *tiles, int N, float *out);

#endif
