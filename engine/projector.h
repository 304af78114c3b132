/* dsvl2: the projector, from the vision encoder's width to the language model's
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_PROJECTOR_H
#define DSVL2_PROJECTOR_H

#include "arena.h"
#include "config.h"
#include "weights.h"

typedef struct {
  int side, C, D, f, depth; /* patches a side, width in, width out, unfolding factor, linear layers */
  int grid;                 /* ⌈side / f⌉ tokens a side */
  Weight linear[CONFIG_MAX_PROJECTOR_DEPTH];
  const float *bias[CONFIG_MAX_PROJECTOR_DEPTH];
} Projector;

typedef struct {
  float *unfolded, *a, *b; /* [N · grid², C · f²], [N · grid², the widest hidden layer] twice */
} ProjectorScratch;

void projector_bind (Projector *p, const ProjectorConfig *config, int side, Binder *b);
void projector_scratch (const Projector *p, ProjectorScratch *s, Arena *arena, int N);

/* projector_apply: out [N · grid², D] ← x [N, side², C]. */
void projector_apply (const Projector *p, Ops *k, ProjectorScratch *s, const float *x, int N,
    float *out);

#endif
