/* dsvl2: what the decoder's matrices become, and the threads that make it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_QUANTISE_H
#define DSVL2_QUANTISE_H

#include <glib.h>
#include "kernels/backend.h"

/* A choice of Dsvl2EngineOptions.weights. Quantised are the decoder's matrices that a token reads: of
 * attention, MLPs and experts, and lm_head. Stored as they are: embeddings, of which a token reads one row;
 * the router, whose error would choose other experts; kv_b_proj, which attention absorbs; norms; the vision
 * tower and the projector, which read a matrix for hundreds of rows at a time, so that bytes do not count. */
typedef struct {
  const char *name;
  bool quantised;
  WeightType linear, lm_head;
} WeightChoice;

/* NULL-terminated by .name: as-stored, int8, int4; a smaller one follows a larger one. */
extern const WeightChoice weight_choices[];

/* The choice of that name; NULL where there is none. */
const WeightChoice *weight_choice_find (const char *name);

/* Threads that share a matrix's rows. */
typedef struct _Quantiser Quantiser;

/* `threads` in all, the caller among them; 0: one for each processor. Fewer where no more can be started. */
Quantiser *quantiser_new (int threads);
void quantiser_free (Quantiser *q);

/* weight_quantise () of all rows. */
void quantiser_run (Quantiser *q, void *to, const Weight *from, WeightType type);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Quantiser, quantiser_free)

#endif
