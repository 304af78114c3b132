/* dsvl2: cuDNN's graph of attention inside tiles
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * It reads the rows [q k v] of a tile as they lie, through strides. */
#include "dnn.h"

enum { ALIGNMENT = 16 };

/* --- descriptors --------------------------------------------------------------------------------- */

static cudnnBackendDescriptor_t
begin (DnnGraph *g, cudnnBackendDescriptorType_t type)
{
  cudnnBackendDescriptor_t made = NULL;

  if (g->n_made < DNN_DESCRIPTORS &&
      dnn_check (g->dnn, g->dnn->cudnnBackendCreateDescriptor (type, &made), "make a descriptor"))
    g->made[g->n_made++] = made;
  return made;
}

/* The first failure is kept; those that follow from it change nothing. */
static void
set (DnnGraph *g, cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
  if (to && g->dnn->message[0] == '\0')
    dnn_check (g->dnn, g->dnn->cudnnBackendSetAttribute (to, name, type, n, values),
        "describe a graph");
}

static void
set_part (DnnGraph *g, cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name,
    cudnnBackendDescriptor_t part)
{
  set (g, to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static cudnnBackendDescriptor_t
end (DnnGraph *g, cudnnBackendDescriptor_t made, const char *what)
{
  if (made && g->dnn->message[0] == '\0')
    dnn_check (g->dnn, g->dnn->cudnnBackendFinalize (made), what);
  return made;
}

/* A tensor of four dimensions; dnn_execute() takes its data in the order in which tensors are made. */
static cudnnBackendDescriptor_t
tensor (DnnGraph *g, cudnnDataType_t type, const int64_t size[4], const int64_t stride[4],
    bool by_value)
{
  const int64_t id = g->n_tensors + 1, alignment = ALIGNMENT;
  cudnnBackendDescriptor_t t = begin (g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);

  g->id[g->n_tensors++] = id;
  set (g, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  set (g, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, size);
  set (g, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
  set (g, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
  set (g, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  set (g, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
  return end (g, t, "describe a tensor");
}

/* The graph of one operation. */
static bool
graph_of (DnnGraph *g, cudnnBackendDescriptor_t operation)
{
  g->graph = begin (g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  set_part (g, g->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  if (g->dnn->handle)
    set (g, g->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->dnn->handle);
  end (g, g->graph, "accept a graph");
  return g->dnn->message[0] == '\0';
}

/* --- attention ----------------------------------------------------------------------------------- */

bool
dnn_attention_graph (Dnn *d, DnnGraph *g, int N, int P, int H, int width)
{
  const int64_t row = (int64_t) H * width;
  const int64_t size[] = { N, H, P, width }, one[] = { 1, 1, 1, 1 };
  const int64_t in[] = { P * 3 * row, width, 3 * row, 1 }, out[] = { P * row, width, row, 1 };
  cudnnBackendDescriptor_t q, k, v, y, scale, operation;

  *g = (DnnGraph){ .dnn = d };
  dnn_forget (d);
  q = tensor (g, CUDNN_DATA_BFLOAT16, size, in, false);
  k = tensor (g, CUDNN_DATA_BFLOAT16, size, in, false);
  v = tensor (g, CUDNN_DATA_BFLOAT16, size, in, false);
  y = tensor (g, CUDNN_DATA_BFLOAT16, size, out, false);
  scale = tensor (g, CUDNN_DATA_FLOAT, one, one, true);
  operation = begin (g, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
  set_part (g, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q);
  set_part (g, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, k);
  set_part (g, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v);
  set_part (g, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, y);
  set_part (g, operation, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale);
  return graph_of (g, end (g, operation, "accept attention"));
}
