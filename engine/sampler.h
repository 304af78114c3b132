/* dsvl2: from logits to the next token
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_SAMPLER_H
#define DSVL2_SAMPLER_H

#include "dsvl2.h"
#include <stdbool.h>

typedef struct _Sampler Sampler;

/* sampler_new: checks the values (OPTION) and copies what it needs; V: width of the logits.
 * Free with sampler_free (). */
Sampler *sampler_new (const Dsvl2Sampling *sampling, int V, GError **error);
void sampler_free (Sampler *sampler);

/* Whether the next token is the plain argmax, so that the logits need not leave the device. */
bool sampler_is_argmax (const Sampler *sampler);

/* sampler_next: the next token after `context` (prompt and answer, whose tokens repetition_penalty
 * makes less likely: CTRL, Keskar et al. 2019). Order of Hugging Face's processors: penalty, temperature,
 * top-k, top-p. *logprob: the token's log-softmax in the logits as they came. logits [V] are overwritten;
 * ones that are not numbers count as −∞. Same seed, same tokens. */
int sampler_next (Sampler *sampler, float *logits, const int *context, int n_context, float *logprob);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Sampler, sampler_free)

#endif
