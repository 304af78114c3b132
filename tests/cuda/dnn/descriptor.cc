/* dsvl2: the CUDA stand-in: what cuDNN's descriptors may be told
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "descriptor.h"

#include <cstdarg>
#include <cstdio>

namespace standin {

/* clang-format off */
static const Rule rules[] = {
#define RULE(of, name, type, needed) { CUDNN_BACKEND_##of##_DESCRIPTOR, CUDNN_ATTR_##name, CUDNN_TYPE_##type, needed }
  RULE (DEVICEPROP, DEVICEPROP_JSON_REPRESENTATION, CHAR, true),
  RULE (TENSOR, TENSOR_DATA_TYPE, DATA_TYPE, true),
  RULE (TENSOR, TENSOR_DIMENSIONS, INT64, true),
  RULE (TENSOR, TENSOR_STRIDES, INT64, true),
  RULE (TENSOR, TENSOR_UNIQUE_ID, INT64, true),
  RULE (TENSOR, TENSOR_BYTE_ALIGNMENT, INT64, true),
  RULE (TENSOR, TENSOR_IS_BY_VALUE, BOOLEAN, false),
  RULE (OPERATION_SDPA_FWD, OPERATION_SDPA_FWD_QDESC, BACKEND_DESCRIPTOR, true),
  RULE (OPERATION_SDPA_FWD, OPERATION_SDPA_FWD_KDESC, BACKEND_DESCRIPTOR, true),
  RULE (OPERATION_SDPA_FWD, OPERATION_SDPA_FWD_VDESC, BACKEND_DESCRIPTOR, true),
  RULE (OPERATION_SDPA_FWD, OPERATION_SDPA_FWD_ODESC, BACKEND_DESCRIPTOR, true),
  RULE (OPERATION_SDPA_FWD, OPERATION_SDPA_FWD_SCALEDESC, BACKEND_DESCRIPTOR, false),
  RULE (OPERATIONGRAPH, OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, true),
  RULE (OPERATIONGRAPH, OPERATIONGRAPH_HANDLE, HANDLE, false),
  RULE (ENGINEHEUR, ENGINEHEUR_OPERATION_GRAPH, BACKEND_DESCRIPTOR, true),
  RULE (ENGINEHEUR, ENGINEHEUR_MODE, HEUR_MODE, true),
  RULE (ENGINEHEUR, ENGINEHEUR_DEVICEPROP, BACKEND_DESCRIPTOR, false),
  RULE (ENGINEHEUR, ENGINEHEUR_RESULTS, BACKEND_DESCRIPTOR, false),
  RULE (ENGINE, ENGINE_OPERATION_GRAPH, BACKEND_DESCRIPTOR, true),
  RULE (ENGINE, ENGINE_GLOBAL_INDEX, INT64, true),
  RULE (ENGINECFG, ENGINECFG_ENGINE, BACKEND_DESCRIPTOR, true),
  RULE (EXECUTION_PLAN, EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR, true),
  RULE (EXECUTION_PLAN, EXECUTION_PLAN_HANDLE, HANDLE, false),
  RULE (EXECUTION_PLAN, EXECUTION_PLAN_WORKSPACE_SIZE, INT64, false),
  RULE (VARIANT_PACK, VARIANT_PACK_UNIQUE_IDS, INT64, true),
  RULE (VARIANT_PACK, VARIANT_PACK_DATA_POINTERS, VOID_PTR, true),
  RULE (VARIANT_PACK, VARIANT_PACK_WORKSPACE, VOID_PTR, false),
#undef RULE
};
/* clang-format on */

static char refusal[256];

bool
Descriptor::has (cudnnBackendAttributeName_t name) const
{
  return attributes.count (name) > 0;
}

Part
Descriptor::part (cudnnBackendAttributeName_t name) const
{
  const auto found = attributes.find (name);

  return found == attributes.end () || found->second.parts.empty () ? nullptr : found->second.parts[0];
}

const Rule *
find_rule (cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name)
{
  for (const Rule &rule : rules)
    if (rule.of == of && rule.name == name)
      return &rule;
  return nullptr;
}

const Rule *
find_missing (const Descriptor &d)
{
  for (const Rule &rule : rules)
    if (rule.of == d.type && rule.needed && !d.has (rule.name))
      return &rule;
  return nullptr;
}

size_t
attribute_bytes (cudnnBackendAttributeType_t type)
{
  switch (type) {
    case CUDNN_TYPE_CHAR:
    case CUDNN_TYPE_BOOLEAN:
      return 1;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
      return 8;
    default: /* enumerations */
      return sizeof (int);
  }
}

cudnnStatus_t
refuse_dnn (cudnnStatus_t status, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  vsnprintf (refusal, sizeof refusal, format, arguments);
  va_end (arguments);
  fprintf (stderr, "stand-in: %s\n", refusal);
  return status;
}

const char *
last_refusal ()
{
  return refusal;
}

} // namespace standin
