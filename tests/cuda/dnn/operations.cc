/* dsvl2: the CUDA stand-in: what cuDNN's attention is refused for, its engines, and what it computes
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Support is what the real cuDNN 9.19 says for described devices (offline.c asks both the same). */
#include "descriptor.h"

#include <cmath>
#include <cstring>
#include <cuda_bf16.h>

namespace standin {

namespace {

struct Tensor {
  int64_t id, alignment, size[4], stride[4];
  cudnnDataType_t type;
  bool by_value;

  size_t
  bytes () const
  {
    return type == CUDNN_DATA_FLOAT ? 4 : 2;
  }
};

Tensor
tensor_of (const Part &d)
{
  const auto size = d->values<int64_t> (CUDNN_ATTR_TENSOR_DIMENSIONS);
  const auto stride = d->values<int64_t> (CUDNN_ATTR_TENSOR_STRIDES);
  Tensor t = { d->value<int64_t> (CUDNN_ATTR_TENSOR_UNIQUE_ID),
    d->value<int64_t> (CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT), {}, {},
    d->value<cudnnDataType_t> (CUDNN_ATTR_TENSOR_DATA_TYPE),
    d->value<bool> (CUDNN_ATTR_TENSOR_IS_BY_VALUE) };

  memcpy (t.size, size.data (), sizeof t.size);
  memcpy (t.stride, stride.data (), sizeof t.stride);
  return t;
}

/* --- refusals ------------------------------------------------------------------------------------ */

cudnnStatus_t
check_tensor (const Descriptor &d)
{
  const auto size = d.values<int64_t> (CUDNN_ATTR_TENSOR_DIMENSIONS);
  const auto stride = d.values<int64_t> (CUDNN_ATTR_TENSOR_STRIDES);
  const auto type = d.value<cudnnDataType_t> (CUDNN_ATTR_TENSOR_DATA_TYPE);

  if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_BFLOAT16)
    return refuse_dnn (CUDNN_STATUS_NOT_SUPPORTED, "the stand-in has no tensors of type %d", type);
  if (size.size () != 4 || stride.size () != 4)
    return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "a tensor has %zu sizes and %zu strides", size.size (),
        stride.size ());
  for (int i = 0; i < 4; i++)
    if (size[i] < 1 || stride[i] < 1)
      return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "size %ld, stride %ld of a tensor's dimension %d",
          (long) size[i], (long) stride[i], i);
  return CUDNN_STATUS_SUCCESS;
}

struct Attention {
  Tensor q, k, v, out, scale;
};

Attention
attention_of (const Descriptor &d)
{
  return { tensor_of (d.part (CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC)),
    tensor_of (d.part (CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC)),
    tensor_of (d.part (CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC)),
    tensor_of (d.part (CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC)),
    tensor_of (d.part (CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC)) };
}

/* Not supported, which heuristics say by having no engine. */
bool
has_attention (const Attention &a, int sm)
{
  if (sm < 80 || a.q.size[3] % 8 != 0)
    return false;
  for (const Tensor &t : { a.q, a.k, a.v, a.out })
    if (t.type != CUDNN_DATA_BFLOAT16 || t.stride[3] != 1 || t.alignment % 16 != 0)
      return false;
  return a.scale.type == CUDNN_DATA_FLOAT && a.scale.by_value;
}

Part
operation_of (const Descriptor &graph)
{
  return graph.part (CUDNN_ATTR_OPERATIONGRAPH_OPS);
}

/* --- attention ----------------------------------------------------------------------------------- */

float
rounded (float v)
{
  return __bfloat162float (__float2bfloat16 (v));
}

/* Where head h of row p of tile n starts; a fault unless it may be read (written). */
__nv_bfloat16 *
row (const char *which, const Tensor &t, void *data, int64_t n, int64_t h, int64_t p, bool read)
{
  __nv_bfloat16 *at = (__nv_bfloat16 *) data + n * t.stride[0] + h * t.stride[1] + p * t.stride[2];
  const size_t bytes = t.size[3] * t.bytes ();

  if (!is_device_memory (at) || !is_allocated (at, bytes))
    stop (EXIT_DEVICE_FAULT,
        "cuDNN's attention: %s leaves allocated device memory at tile %ld, row %ld", which, (long) n,
        (long) p);
  if (read && !is_written (at, bytes))
    stop (EXIT_DEVICE_FAULT, "cuDNN's attention: %s was never written at tile %ld, row %ld", which,
        (long) n, (long) p);
  return at;
}

std::vector<float>
rows (const char *which, const Tensor &t, void *data, int64_t n, int64_t h)
{
  const int64_t P = t.size[2], d = t.size[3];
  std::vector<float> all (P * d);

  for (int64_t p = 0; p < P; p++) {
    const __nv_bfloat16 *from = row (which, t, data, n, h, p, true);

    for (int64_t i = 0; i < d; i++)
      all[p * d + i] = __bfloat162float (from[i]);
  }
  return all;
}

/* One query: scores, their softmax with weights rounded as tensor cores take them, the weighted sum. */
void
attend (__nv_bfloat16 *out, const float *q, const std::vector<float> &k, const std::vector<float> &v,
    int64_t d, float scale)
{
  const int64_t keys = k.size () / d;
  std::vector<float> score (keys), sum (d);
  float largest = -INFINITY, total = 0;

  for (int64_t j = 0; j < keys; j++) {
    float dot = 0;

    for (int64_t i = 0; i < d; i++)
      dot += q[i] * k[j * d + i];
    score[j] = dot * scale;
    largest = std::max (largest, score[j]);
  }
  for (int64_t j = 0; j < keys; j++) {
    const float weight = expf (score[j] - largest);

    total += weight;
    for (int64_t i = 0; i < d; i++)
      sum[i] += rounded (weight) * v[j * d + i];
  }
  for (int64_t i = 0; i < d; i++)
    out[i] = __float2bfloat16 (sum[i] / total);
}

void
run_attention (const Attention &a, const std::map<int64_t, void *> &data, float scale, void *workspace)
{
  const int64_t N = a.q.size[0], H = a.q.size[1], P = a.q.size[2], d = a.q.size[3];
  const double bytes = 2.0 * N * H * P * d;

  count_library ("cuDNN attention", 4.0 * N * H * P * P * d, 3 * bytes, bytes);
  for (int64_t n = 0; n < N; n++)
    for (int64_t h = 0; h < H; h++) {
      const std::vector<float> q = rows ("Q", a.q, data.at (a.q.id), n, h);
      const std::vector<float> k = rows ("K", a.k, data.at (a.k.id), n, h);
      const std::vector<float> v = rows ("V", a.v, data.at (a.v.id), n, h);

      for (int64_t p = 0; p < P; p++) {
        __nv_bfloat16 *out = row ("O", a.out, data.at (a.out.id), n, h, p, false);

        attend (out, &q[p * d], k, v, d, scale);
        mark_written (out, d * sizeof *out);
        ((float *) workspace)[(n * H + h) * P + p] = scale;
      }
    }
  mark_written (workspace, N * H * P * sizeof (float));
}

} // namespace

/* --- what cudnn.cc asks -------------------------------------------------------------------------- */

cudnnStatus_t
check_descriptor (const Descriptor &d)
{
  return d.type == CUDNN_BACKEND_TENSOR_DESCRIPTOR ? check_tensor (d) : CUDNN_STATUS_SUCCESS;
}

std::vector<int64_t>
engines_of (const Descriptor &graph, int sm)
{
  if (!has_attention (attention_of (*operation_of (graph)), sm))
    return {};
  if (sm == 90)
    return { 9, 8 };
  return { 8 };
}

size_t
workspace_of (const Descriptor &graph)
{
  const Tensor q = tensor_of (operation_of (graph)->part (CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC));

  return q.size[0] * q.size[1] * q.size[2] * sizeof (float);
}

cudnnStatus_t
queue_graph (cudaStream_t stream, Part graph, std::map<int64_t, void *> data, void *workspace)
{
  const Attention a = attention_of (*operation_of (*graph));

  for (const Tensor &t : { a.q, a.k, a.v, a.out, a.scale }) {
    if (data.count (t.id) == 0 || !data[t.id])
      return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "tensor %ld has no data", (long) t.id);
    if (!t.by_value && (u64) data[t.id] % t.alignment != 0)
      return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "tensor %ld is not aligned to %ld bytes", (long) t.id,
          (long) t.alignment);
  }
  if (!is_allocated (workspace, workspace_of (*graph)))
    return refuse_dnn (CUDNN_STATUS_BAD_PARAM,
        "the workspace has not the %zu bytes that were asked for", workspace_of (*graph));
  const float scale = *(const float *) data[a.scale.id];

  return enqueue (stream, { "cuDNN attention", nullptr },
             [=] { run_attention (a, data, scale, workspace); }) == cudaSuccess
             ? CUDNN_STATUS_SUCCESS
             : CUDNN_STATUS_EXECUTION_FAILED;
}

} // namespace standin
