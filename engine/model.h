/* dsvl2: a checkpoint: configuration, tokenizer and mapped weights
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_MODEL_H
#define DSVL2_MODEL_H

#include "config.h"
#include "decoder.h"
#include "projector.h"
#include "safetensors.h"
#include "tokenizer.h"
#include "vision.h"

struct _Dsvl2Model {
  int refs; /* under the registry's lock */
  char *path, *description;
  Config config;
  Tokenizer *tokenizer;
  Safetensors *tensors;
};

/* A model's weights on one device. */
typedef struct {
  WeightStore *store;
  Vision vision;
  Projector projector;
  Weight newline, separator; /* [1, D] float32: what ends a row of image tokens, what parts two views */
  Decoder decoder;
} Network;

/* network_bind: every tensor that the configuration asks for, checked and placed; the decoder's matrices as
 * `choice` says, quantised with so many threads (0: one for each processor).
 * Errors: FILE, MEMORY. Clear with network_clear () either way. */
bool network_bind (Network *network, Dsvl2Model *model, Ops *ops, const WeightChoice *choice,
    int threads, GError **error);
void network_clear (Network *network);

#endif
