/* dsvl2: angles of rotary position embedding
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_ROPE_H
#define DSVL2_ROPE_H

#include "config.h"

/* cosine, sine [n, d / 2]: the angle of pair i at position p is p · θ^(−2i/d) (Su et al. 2021), stretched
 * by YaRN where the scaling has a factor (official code: DeepseekV2YarnRotaryEmbedding). */
void rope_tables (const RopeScaling *scaling, float theta, int d, int n, float *cosine, float *sine);

/* What dot products of heads of width d are multiplied by: d^−½, with YaRN · mscale². */
float rope_softmax_scale (const RopeScaling *scaling, int d);

#endif
