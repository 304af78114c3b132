/* dsvl2: the CUDA context that the back end computes in, and memory of others
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The runtime works in a device's primary context. Frames of GStreamer's may lie in contexts that were made
 * beside it; those are the driver's, which the runtime finds for us: the module is not linked with it. */
#include "cuda.h"

#include <cuda.h>

/* The version of the driver's interface whose functions we call. */
enum { DRIVER_VERSION = 12000 };

typedef CUresult (*GetCurrent) (CUcontext *context);
typedef CUresult (*CopyPeer) (CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
    CUcontext from_context, size_t bytes, CUstream stream);

static void *
driver_function (Cuda *c, const char *name)
{
  enum cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  void *function = NULL;

  if (!cuda_check (c,
          cudaGetDriverEntryPointByVersion (name, &function, DRIVER_VERSION, cudaEnableDefault, &found),
          "find a function of the driver"))
    return NULL;
  if (found != cudaDriverEntryPointSuccess || !function) {
    cuda_check (c, cudaErrorNotSupported, "find a function of the driver");
    return NULL;
  }
  return function;
}

bool
context_open (Cuda *c)
{
  const GetCurrent get_current = (GetCurrent) driver_function (c, "cuCtxGetCurrent");
  CUcontext context = NULL;

  c->copy_peer = driver_function (c, "cuMemcpyPeerAsync");
  if (!get_current || !c->copy_peer)
    return false;
  if (get_current (&context) != CUDA_SUCCESS || !context)
    return cuda_check (c, cudaErrorDeviceUninitialized, "find its context");
  c->ops.context = context;
  c->ops.device = c->device;
  return true;
}

bool
copy_from_context (Cuda *c, void *to, const void *from, void *context, size_t bytes)
{
  const CopyPeer copy_peer = (CopyPeer) c->copy_peer;
  const CUresult result = copy_peer ((CUdeviceptr) to, c->ops.context, (CUdeviceptr) from, context,
      bytes, (CUstream) c->stream);

  return cuda_check (c, (cudaError_t) result,
      "copy a frame from another context"); /* the same numbers */
}
