/* dsvl2: the CUDA stand-in: cuDNN's descriptors, as its graphs are made of them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STANDIN_DESCRIPTOR_H
#define STANDIN_DESCRIPTOR_H

#include "../runtime/standin.h"

#include <cudnn_graph.h>
#include <map>
#include <memory>
#include <vector>

namespace standin {

struct Descriptor;
using Part = std::shared_ptr<const Descriptor>;

/* What an attribute was set to: numbers, or other descriptors. */
struct Attribute {
  cudnnBackendAttributeType_t type;
  std::vector<u8> bytes;
  std::vector<Part> parts;
};

struct Descriptor {
  cudnnBackendDescriptorType_t type;
  bool finalized = false;
  std::map<cudnnBackendAttributeName_t, Attribute> attributes;

  bool has (cudnnBackendAttributeName_t name) const;
  Part part (cudnnBackendAttributeName_t name) const; /* the first; null if there is none */
  template <typename T> std::vector<T> values (cudnnBackendAttributeName_t name) const;
  template <typename T> T value (cudnnBackendAttributeName_t name, T otherwise = {}) const;
};

/* What a descriptor of some type may be told, and must be told before it is finalised. */
struct Rule {
  cudnnBackendDescriptorType_t of;
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  bool needed;
};
const Rule *find_rule (cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name);

/* The first attribute that is missing, or null. */
const Rule *find_missing (const Descriptor &d);

size_t attribute_bytes (cudnnBackendAttributeType_t type);

/* A sentence on stderr and for cudnnGetLastErrorString; gives `status` back. */
cudnnStatus_t refuse_dnn (cudnnStatus_t status, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
const char *last_refusal ();

/* --- operations.cc ------------------------------------------------------------------------------- */

/* Is what the finalised descriptor would say possible at all? */
cudnnStatus_t check_descriptor (const Descriptor &d);

/* The engines for a graph of one operation on a device of compute capability `sm` (80, 90 …); empty where it
 * is not supported. */
std::vector<int64_t> engines_of (const Descriptor &graph, int sm);

/* Bytes of workspace that a plan for the graph needs. */
size_t workspace_of (const Descriptor &graph);

/* Queues it: `data` by tensors' unique ids. */
cudnnStatus_t queue_graph (cudaStream_t stream, Part graph, std::map<int64_t, void *> data,
    void *workspace);

/* --- templates ----------------------------------------------------------------------------------- */

template <typename T>
std::vector<T>
Descriptor::values (cudnnBackendAttributeName_t name) const
{
  const auto found = attributes.find (name);

  if (found == attributes.end ())
    return {};
  const T *begin = (const T *) found->second.bytes.data ();
  return std::vector<T> (begin, begin + found->second.bytes.size () / sizeof (T));
}

template <typename T>
T
Descriptor::value (cudnnBackendAttributeName_t name, T otherwise) const
{
  const std::vector<T> all = values<T> (name);

  return all.empty () ? otherwise : all[0];
}

} // namespace standin

#endif
