/* dsvl2: cuDNN's graphs: attention inside tiles, the patches' convolution
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Both read what is there as it lies: attention the rows [q k v] of a tile through strides, the convolution tiles
 * and weights channel by channel, as checkpoints have them. */
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

/* --- the patches' convolution -------------------------------------------------------------------- */

static cudnnBackendDescriptor_t
patches_convolution (DnnGraph *g, int p)
{
  const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const int64_t dimensions = 2, none[] = { 0, 0 }, stride[] = { p, p }, dense[] = { 1, 1 };
  cudnnBackendDescriptor_t c = begin (g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);

  set (g, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
  set (g, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  set (g, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dimensions);
  set (g, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, none);
  set (g, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, none);
  set (g, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
  set (g, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dense);
  return end (g, c, "describe a convolution");
}

bool
dnn_patches_graph (Dnn *d, DnnGraph *g, int N, int S, int p, int O)
{
  const int64_t side = S / p, P = side * side, pp = (int64_t) p * p, SS = (int64_t) S * S;
  const int64_t x_size[] = { N, 3, S, S }, x_stride[] = { 3 * SS, SS, S, 1 };
  const int64_t w_size[] = { O, 3, p, p }, w_stride[] = { 3 * pp, pp, p, 1 };
  const int64_t y_size[] = { N, O, side, side }, y_stride[] = { P * O, 1, side * O, O };
  const double alpha = 1, beta = 0;
  cudnnBackendDescriptor_t x, w, y, convolution, operation;

  *g = (DnnGraph){ .dnn = d };
  dnn_forget (d);
  x = tensor (g, CUDNN_DATA_BFLOAT16, x_size, x_stride, false);
  w = tensor (g, CUDNN_DATA_BFLOAT16, w_size, w_stride, false);
  y = tensor (g, CUDNN_DATA_BFLOAT16, y_size, y_stride, false);
  convolution = patches_convolution (g, p);
  operation = begin (g, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  set_part (g, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  set_part (g, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
  set_part (g, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
  set_part (g, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution);
  set (g, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_DOUBLE, 1, &alpha);
  set (g, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_DOUBLE, 1, &beta);
  return graph_of (g, end (g, operation, "accept a convolution"));
}
