/* dsvl2: the tensors of a checkpoint, memory-mapped
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_SAFETENSORS_H
#define DSVL2_SAFETENSORS_H

#include "dsvl2.h"
#include "kernels/backend.h"

typedef enum { TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_I64, TENSOR_OTHER } TensorType;

enum { TENSOR_MAX_DIMS = 8 };

typedef struct {
  const char *name, *file; /* file: base name of the shard, for messages */
  TensorType type;
  const char *type_name; /* as the file spells it: "BF16" */
  int n_dims;
  gint64 dim[TENSOR_MAX_DIMS];
  const void *data;
  gsize bytes;
} Tensor;

typedef struct _Safetensors Safetensors;

/* safetensors_open: every tensor of the checkpoint in `dir`: the shards of model.safetensors.index.json
 * where there is one, else model.safetensors, else the folder's only *.safetensors file. Maps the files;
 * checks that headers are well-formed and bounded, that each tensor lies inside its file, has as many
 * bytes as its shape and type say and, if it is of floats, is aligned to its element, that no two overlap, and that each
 * tensor named by the index is in the shard it names.
 * Errors: FILE, naming the file and tensor. Free with safetensors_free (). */
Safetensors *safetensors_open (const char *dir, GError **error);
/* The tensors of one file. */
Safetensors *safetensors_open_file (const char *path, GError **error);
void safetensors_free (Safetensors *st);

/* The tensor of that name, or NULL. */
const Tensor *safetensors_find (const Safetensors *st, const char *name);
/* Bytes of all tensors, and how many elements they have. */
guint64 safetensors_bytes (const Safetensors *st);
guint64 safetensors_elements (const Safetensors *st);
/* "[64, 3, 14, 14] BF16"; free with g_free () */
char *tensor_describe (const Tensor *tensor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Safetensors, safetensors_free)

#endif
