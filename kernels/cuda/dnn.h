/* dsvl2: cuDNN: the library, loaded at run time, and the graph that we have a use for
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A graph is made of backend descriptors (cudnn_graph.h), planned once and executed often. Nothing here
 * touches CUDA, so that tests can ask what it has for devices that are not there. */
#ifndef DSVL2_DNN_H
#define DSVL2_DNN_H

#include "kernels/backend.h"

#include <cudnn_graph.h>

/* The functions that we call. */
#define DNN_FUNCTIONS(F)                                                                               \
  F (cudnnGetVersion)                                                                                  \
  F (cudnnGetErrorString)                                                                              \
  F (cudnnGetLastErrorString)                                                                          \
  F (cudnnCreate)                                                                                      \
  F (cudnnDestroy)                                                                                     \
  F (cudnnSetStream)                                                                                   \
  F (cudnnBackendCreateDescriptor)                                                                     \
  F (cudnnBackendDestroyDescriptor)                                                                    \
  F (cudnnBackendSetAttribute)                                                                         \
  F (cudnnBackendGetAttribute)                                                                         \
  F (cudnnBackendFinalize)                                                                             \
  F (cudnnBackendExecute)

typedef struct {
#define DNN_MEMBER(name) __typeof__ (name) *name;
  DNN_FUNCTIONS (DNN_MEMBER)
#undef DNN_MEMBER
  cudnnHandle_t handle;      /* NULL: graphs can be made, but not planned */
  char message[OPS_MESSAGE]; /* the first thing that failed since dnn_forget() */
} Dnn;

/* Loads libcudnn.so.9; false with one sentence in d->message where it is missing or too old to have
 * attention as one operation. dnn_unload() undoes it, whatever came of it. */
bool dnn_load (Dnn *d);
void dnn_unload (Dnn *d);

/* Keeps the first failure as a sentence: `what` could not be done. True if there is none. */
bool dnn_check (Dnn *d, cudnnStatus_t status, const char *what);
void dnn_forget (Dnn *d);

enum { DNN_DESCRIPTORS = 64, DNN_TENSORS = 8 };

/* A graph, and what it is made of. Zero is an empty one. */
typedef struct {
  Dnn *dnn;
  cudnnBackendDescriptor_t made[DNN_DESCRIPTORS]; /* all, destroyed last to first */
  int n_made;
  cudnnBackendDescriptor_t graph, plan;
  int64_t workspace;       /* bytes that the plan needs */
  int64_t engine;          /* the plan's, by cuDNN's number */
  int64_t id[DNN_TENSORS]; /* of the tensors that dnn_execute() is given, in its order */
  int n_tensors;
} DnnGraph;

/* Attention inside tiles: out [N, P, H, d] ← softmax (q kᵀ · scale) v of qkv [N, P, 3, H, d], all bf16, sums in
 * f32. Tensors: q, k, v, out (device), scale (a float of the host's). */
bool dnn_attention_graph (Dnn *d, DnnGraph *g, int N, int P, int H, int width);

/* Plans the graph with the first proposal that works; false with a sentence where none does. */
bool dnn_plan (DnnGraph *g);

/* Enqueues the graph on the handle's stream. `data`: a pointer for each tensor. */
bool dnn_execute (DnnGraph *g, void *const *data, void *workspace);

void dnn_graph_clear (DnnGraph *g);

#endif
