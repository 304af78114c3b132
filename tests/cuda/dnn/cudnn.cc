/* dsvl2: the CUDA stand-in: libcudnn, as far as attention needs it
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Descriptors hold what they are told; operations.cc knows what it means. A descriptor that is part of another
 * stays alive with it. */
#include "descriptor.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

using namespace standin;

struct cudnnContext {
  cudaStream_t stream;
};

namespace {

/* What a cudnnBackendDescriptor_t points to. */
struct Owner {
  std::shared_ptr<Descriptor> descriptor;
};

/* Descriptors and handles that are not destroyed when the process ends are a leak. */
struct Living {
  long descriptors, handles;

  ~Living ()
  {
    if ((descriptors > 0 || handles > 0) && setting ("STANDIN_LEAKS", 1)) {
      fprintf (stderr, "stand-in: %ld cuDNN descriptors and %ld handles were not destroyed\n",
          descriptors, handles);
      _exit (EXIT_LEAK);
    }
  }
} living;

Descriptor &
of (cudnnBackendDescriptor_t d)
{
  return *((Owner *) d)->descriptor;
}

/* A finalised descriptor of the library's own making. */
std::shared_ptr<Descriptor>
made (cudnnBackendDescriptorType_t type)
{
  auto d = std::make_shared<Descriptor> ();

  d->type = type;
  d->finalized = true;
  return d;
}

void
put_number (Descriptor &d, cudnnBackendAttributeName_t name, int64_t value)
{
  Attribute a = { CUDNN_TYPE_INT64, std::vector<u8> (sizeof value), {} };

  memcpy (a.bytes.data (), &value, sizeof value);
  d.attributes[name] = a;
}

void
put_part (Descriptor &d, cudnnBackendAttributeName_t name, Part part)
{
  d.attributes[name] = { CUDNN_TYPE_BACKEND_DESCRIPTOR, {}, { part } };
}

/* The compute capability that a description of a device says, or that of the stand-in's. */
int
capability (const Part &properties)
{
  if (properties) {
    const std::vector<char> text = properties->values<char> (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
    const std::string json (text.begin (), text.end ());
    const size_t at = json.find ("\"deviceVer\":");

    return at == std::string::npos ? 0 : atoi (json.c_str () + at + strlen ("\"deviceVer\":")) / 10;
  }
  return device ().major * 10 + device ().minor;
}

void
list_engines (Descriptor &heuristic)
{
  const Part graph = heuristic.part (CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  Attribute results = { CUDNN_TYPE_BACKEND_DESCRIPTOR, {}, {} };

  for (int64_t number :
      engines_of (*graph, capability (heuristic.part (CUDNN_ATTR_ENGINEHEUR_DEVICEPROP)))) {
    auto engine = made (CUDNN_BACKEND_ENGINE_DESCRIPTOR),
         config = made (CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);

    put_part (*engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
    put_number (*engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, number);
    put_part (*config, CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    results.parts.push_back (config);
  }
  heuristic.attributes[CUDNN_ATTR_ENGINEHEUR_RESULTS] = results;
}

/* The graph that a plan is for. */
Part
graph_of (const Descriptor &plan)
{
  return plan.part (CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)
      ->part (CUDNN_ATTR_ENGINECFG_ENGINE)
      ->part (CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
}

} // namespace

extern "C" {

size_t
cudnnGetVersion (void)
{
  return CUDNN_VERSION;
}

const char *
cudnnGetErrorString (cudnnStatus_t status)
{
  switch (status) {
#define NAME(status)                                                                                   \
  case status:                                                                                         \
    return #status
    NAME (CUDNN_STATUS_SUCCESS);
    NAME (CUDNN_STATUS_NOT_INITIALIZED);
    NAME (CUDNN_STATUS_BAD_PARAM);
    NAME (CUDNN_STATUS_NOT_SUPPORTED);
    NAME (CUDNN_STATUS_ALLOC_FAILED);
    NAME (CUDNN_STATUS_INTERNAL_ERROR);
#undef NAME
    default:
      return "CUDNN_STATUS_EXECUTION_FAILED";
  }
}

void
cudnnGetLastErrorString (char *message, size_t size)
{
  snprintf (message, size, "%s", last_refusal ());
}

cudnnStatus_t
cudnnCreate (cudnnHandle_t *handle)
{
  Call call ("cudnnCreate");

  *handle = nullptr;
  if (call.chosen_to_fail)
    return CUDNN_STATUS_NOT_INITIALIZED;
  *handle = new cudnnContext{ nullptr };
  living.handles++;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnDestroy (cudnnHandle_t handle)
{
  Call call ("cudnnDestroy");

  delete handle;
  living.handles--;
  return call.chosen_to_fail ? CUDNN_STATUS_INTERNAL_ERROR : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnSetStream (cudnnHandle_t handle, cudaStream_t stream)
{
  Call call ("cudnnSetStream");

  handle->stream = stream;
  return call.chosen_to_fail ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendCreateDescriptor (cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
  Call call ("cudnnBackendCreateDescriptor");

  *d = nullptr;
  if (call.chosen_to_fail)
    return CUDNN_STATUS_ALLOC_FAILED;
  auto *owner = new Owner{ std::make_shared<Descriptor> () };
  owner->descriptor->type = type;
  living.descriptors++;
  *d = owner;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendDestroyDescriptor (cudnnBackendDescriptor_t d)
{
  Call call ("cudnnBackendDestroyDescriptor");

  delete (Owner *) d;
  living.descriptors--;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendSetAttribute (cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t n, const void *elements)
{
  Call call ("cudnnBackendSetAttribute");
  const Rule *rule = find_rule (of (d).type, name);
  Attribute a = { type, {}, {} };

  if (call.chosen_to_fail)
    return CUDNN_STATUS_BAD_PARAM;
  if (of (d).finalized)
    return refuse_dnn (CUDNN_STATUS_NOT_INITIALIZED, "attribute %d of a descriptor that is finalised",
        name);
  if (!rule || rule->type != type || n < 1 || !elements)
    return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "descriptor %d has no attribute %d of type %d",
        of (d).type, name, type);
  if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    const u8 *bytes = (const u8 *) elements;

    a.bytes.assign (bytes, bytes + n * attribute_bytes (type));
  }
  for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < n; i++) {
    const Owner *owner = ((Owner *const *) elements)[i];

    if (!owner || !owner->descriptor->finalized)
      return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "attribute %d is a descriptor that is not finalised",
          name);
    a.parts.push_back (owner->descriptor);
  }
  of (d).attributes[name] = a;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendFinalize (cudnnBackendDescriptor_t d)
{
  Call call ("cudnnBackendFinalize");
  const Rule *missing = find_missing (of (d));
  cudnnStatus_t status;

  if (call.chosen_to_fail)
    return CUDNN_STATUS_INTERNAL_ERROR;
  if (missing)
    return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "descriptor %d lacks attribute %d", of (d).type,
        missing->name);
  status = check_descriptor (of (d));
  if (status != CUDNN_STATUS_SUCCESS)
    return status;
  if (of (d).type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
    list_engines (of (d));
  if (of (d).type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
    put_number (of (d), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, workspace_of (*graph_of (of (d))));
  of (d).finalized = true;
  return CUDNN_STATUS_SUCCESS;
}

/* Descriptors that are asked for go into those that the caller made. */
cudnnStatus_t
cudnnBackendGetAttribute (cudnnBackendDescriptor_t const d, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t room, int64_t *n, void *elements)
{
  Call call ("cudnnBackendGetAttribute");
  const auto found = of (d).attributes.find (name);

  if (call.chosen_to_fail)
    return CUDNN_STATUS_BAD_PARAM;
  if (!of (d).finalized)
    return refuse_dnn (CUDNN_STATUS_NOT_INITIALIZED,
        "attribute %d of a descriptor that is not finalised", name);
  if (found == of (d).attributes.end () || found->second.type != type)
    return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "descriptor %d has no attribute %d of type %d",
        of (d).type, name, type);
  const Attribute &a = found->second;

  if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    const size_t size = attribute_bytes (type);

    *n = a.bytes.size () / size;
    memcpy (elements, a.bytes.data (), size * std::min (room, *n));
    return CUDNN_STATUS_SUCCESS;
  }
  *n = a.parts.size ();
  for (int64_t i = 0; i < std::min (room, *n); i++) {
    Owner *owner = ((Owner **) elements)[i];

    if (!owner || owner->descriptor->type != a.parts[i]->type)
      return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "attribute %d is a descriptor of another type", name);
    *owner->descriptor = *a.parts[i];
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t
cudnnBackendExecute (cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack)
{
  Call call ("cudnnBackendExecute");
  std::map<int64_t, void *> data;

  if (call.chosen_to_fail)
    return CUDNN_STATUS_EXECUTION_FAILED;
  if (!of (plan).finalized || !of (pack).finalized)
    return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "a plan or its tensors are not finalised");
  const auto ids = of (pack).values<int64_t> (CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = of (pack).values<void *> (CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);

  if (ids.size () != pointers.size ())
    return refuse_dnn (CUDNN_STATUS_BAD_PARAM, "%zu tensors have %zu pointers", ids.size (),
        pointers.size ());
  for (size_t i = 0; i < ids.size (); i++)
    data[ids[i]] = pointers[i];
  return queue_graph (handle->stream, graph_of (of (plan)), data,
      of (pack).value<void *> (CUDNN_ATTR_VARIANT_PACK_WORKSPACE));
}

} // extern "C"
