/* dsvl2: from a checkpoint's tensors to weights on a device
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Binding is a list of calls that each say a tensor's name and the shape that the configuration asks for.
 * The first failure is kept, and the calls after it do nothing. */
#ifndef DSVL2_WEIGHTS_H
#define DSVL2_WEIGHTS_H

#include "dsvl2.h"
#include "kernels/backend.h"
#include "quantise.h"
#include "safetensors.h"

/* What a network keeps on a device, freed together. */
typedef struct {
  Ops *ops;
  GPtrArray *memory; /* of ops->alloc */
  GPtrArray *host;   /* of g_malloc, which computed and quantised weights are placed from */
  GPtrArray *placed; /* Weight*, of ops->place */
} WeightStore;

typedef struct {
  const Safetensors *tensors;
  Ops *ops;
  WeightStore *store;
  const WeightChoice *choice;
  Quantiser *quantiser; /* where the choice is a quantised one */
  GError *error;
} Binder;

WeightStore *weight_store_new (Ops *ops);
void weight_store_free (WeightStore *store);

/* The tensor `format`…, if its first dimension is O and the others' product I; else NULL. */
const Tensor *bind_tensor (Binder *b, int O, int I, const char *format, ...) G_GNUC_PRINTF (4, 5);
/* The same tensor in place as a weight. `w` must stay where it is. */
void bind_matrix (Binder *b, Weight *w, int O, int I, const char *format, ...) G_GNUC_PRINTF (5, 6);
/* The same of one of the decoder's matrices, quantised to what the binder's choice says: `type` points into
 * that. */
void bind_quantised (Binder *b, Weight *w, const WeightType *type, int O, int I, const char *format,
    ...) G_GNUC_PRINTF (6, 7);
/* The tensor of n elements as float32. */
void bind_vector (Binder *b, const float **v, int n, const char *format, ...) G_GNUC_PRINTF (4, 5);
/* Likewise, but NULL where the checkpoint has none. */
void bind_optional_vector (Binder *b, const float **v, int n, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
/* A weight O × I that is computed from tensors: host memory for it, which the caller fills before
 * bind_computed () places it. NULL after a failure. */
void *bind_host (Binder *b, Weight *w, WeightType type, int O, int I);
void bind_computed (Binder *b, Weight *w);
/* n bytes of the device; NULL after a failure. */
void *bind_memory (Binder *b, gsize bytes);

WeightType tensor_weight_type (const Tensor *tensor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WeightStore, weight_store_free)

#endif
