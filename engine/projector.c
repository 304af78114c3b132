/* dsvl2: the projector, from the vision encoder's width to the language model's
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Official code: modeling_deepseek_vl_v2.py, MlpProjector, "downsample_mlp_gelu": f × f neighbouring
 * patches become one token, then `depth` linear layers with GELU (erf) between them. */
#include "projector.h"

void
projector_bind (Projector *p, const ProjectorConfig *config, int side, Binder *b)
{
  const int f = config->downsample_ratio, hidden = config->n_embed * config->mlp_ratio;

  *p = (Projector){
    .side = side,
    .C = config->input_dim,
    .D = config->n_embed,
    .f = f,
    .depth = config->depth,
    .grid = (side + f - 1) / f,
  };
  for (int i = 0; i < p->depth; i++) {
    const int I = i == 0 ? p->C * f * f : hidden, O = i == p->depth - 1 ? p->D : hidden;

    bind_matrix (b, &p->linear[i], O, I, "projector.layers.%d.weight", 2 * i);
    bind_vector (b, &p->bias[i], O, "projector.layers.%d.bias", 2 * i);
  }
}

void
projector_scratch (const Projector *p, ProjectorScratch *s, Arena *arena, int N)
{
  const gsize T = (gsize) N * p->grid * p->grid;
  const int hidden = p->linear[0].O;

  s->unfolded = arena_new (arena, float, T * p->C * p->f * p->f);
  s->a = arena_new (arena, float, T *hidden);
  s->b = arena_new (arena, float, T *hidden);
}

void
projector_apply (const Projector *p, Ops *k, ProjectorScratch *s, const float *x, int N, float *out)
{
  const int T = N * p->grid * p->grid, last = p->depth - 1;
  const unsigned of_tiles = LINEAR_TILES (p->grid * p->grid);
  const float *h = s->unfolded;

  k->unfold (k, s->unfolded, x, N, p->side, p->side, p->C, p->f); /* [T, C f²] */
  for (int i = 0; i < last; i++) {
    float *y = i % 2 == 0 ? s->a : s->b;

    k->linear (k, y, h, &p->linear[i], p->bias[i], T, EPI_GELU_ERF | of_tiles); /* [T, hidden] */
    h = y;
  }
  k->linear (k, out, h, &p->linear[last], p->bias[last], T, of_tiles); /* [T, D] */
}
