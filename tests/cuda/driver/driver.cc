/* dsvl2: the CUDA stand-in: the driver's interface, as GStreamer's CUDA library uses it
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A thin layer on the emulated runtime: the same device, memory, streams and checks. What is its own are
 * contexts: what one of them allocates is not another's (see runtime/context.cc). */
#include "../runtime/standin.h"

#include <cuda.h>
#include <mutex>
#include <set>
#include <stdio.h>

using namespace standin;

namespace {

struct Context {};

Context primary;
std::mutex contexts_lock;
auto &contexts = *new std::set<CUcontext>;

CUresult
result_of (cudaError_t error)
{
  return (CUresult) error; /* the codes in use here are the same numbers */
}

/* The stand-in's name of a context: NULL is the primary one. */
const void *
name_of (CUcontext context)
{
  return context == (CUcontext) &primary ? nullptr : context;
}

CUcontext
context_of (const void *name)
{
  return name ? (CUcontext) name : (CUcontext) &primary;
}

bool
is_context (CUcontext context)
{
  std::lock_guard<std::mutex> guard (contexts_lock);

  return context == (CUcontext) &primary || contexts.count (context);
}

/* Where a side of a copy begins, and its pitch; NULL where it is neither host nor device memory. */
u8 *
side (CUmemorytype type, void *host, CUdeviceptr device, size_t x, size_t y, size_t pitch)
{
  u8 *base = type == CU_MEMORYTYPE_HOST     ? (u8 *) host
             : type == CU_MEMORYTYPE_DEVICE ? (u8 *) device
                                            : nullptr;

  return base ? base + y * pitch + x : nullptr;
}

} // namespace

extern "C" {

CUresult
cuInit (unsigned flags)
{
  Call call ("cuInit");

  return call.chosen_to_fail ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

CUresult
cuDriverGetVersion (int *version)
{
  return result_of (cudaDriverGetVersion (version));
}

CUresult
cuGetErrorName (CUresult error, const char **name)
{
  *name = cudaGetErrorName ((cudaError_t) error);
  return CUDA_SUCCESS;
}

CUresult
cuGetErrorString (CUresult error, const char **text)
{
  *text = cudaGetErrorString ((cudaError_t) error);
  return CUDA_SUCCESS;
}

/* --- devices --- */

CUresult
cuDeviceGetCount (int *n)
{
  return result_of (cudaGetDeviceCount (n));
}

CUresult
cuDeviceGet (CUdevice *device, int ordinal)
{
  *device = ordinal;
  return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult
cuDeviceGetName (char *name, int length, CUdevice)
{
  snprintf (name, length, "%s", device ().name);
  return CUDA_SUCCESS;
}

CUresult
cuDeviceGetAttribute (int *value, CUdevice_attribute which, CUdevice device)
{
  return result_of (cudaDeviceGetAttribute (value, (cudaDeviceAttr) which, device));
}

CUresult
cuDeviceCanAccessPeer (int *can, CUdevice, CUdevice)
{
  *can = 0; /* a device is no peer of its own */
  return CUDA_SUCCESS;
}

/* --- contexts --- */

/* As CUDA 12 had it; cuda.h names a later one. */
CUresult cuCtxCreate_v2 (CUcontext *context, unsigned flags, CUdevice device);

CUresult
cuCtxCreate_v2 (CUcontext *context, unsigned, CUdevice device)
{
  Call call ("cuCtxCreate");
  std::lock_guard<std::mutex> guard (contexts_lock);

  if (call.chosen_to_fail)
    return CUDA_ERROR_OUT_OF_MEMORY;
  if (device != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  *context = (CUcontext) new Context;
  contexts.insert (*context);
  push_context (*context);
  return CUDA_SUCCESS;
}

CUresult
cuCtxDestroy_v2 (CUcontext context)
{
  Call call ("cuCtxDestroy");
  std::lock_guard<std::mutex> guard (contexts_lock);
  const void *top = current_context ();

  if (!contexts.erase (context))
    return CUDA_ERROR_INVALID_CONTEXT;
  drain_all ();
  if (top == context)
    pop_context (&top);
  delete (Context *) context;
  return CUDA_SUCCESS;
}

CUresult
cuCtxPushCurrent_v2 (CUcontext context)
{
  Call call ("cuCtxPushCurrent");

  if (!is_context (context))
    return CUDA_ERROR_INVALID_CONTEXT;
  push_context (name_of (context));
  return CUDA_SUCCESS;
}

CUresult
cuCtxPopCurrent_v2 (CUcontext *context)
{
  Call call ("cuCtxPopCurrent");
  const void *top = nullptr;

  if (!pop_context (&top))
    return CUDA_ERROR_INVALID_CONTEXT;
  if (context)
    *context = context_of (top);
  return CUDA_SUCCESS;
}

CUresult
cuCtxGetCurrent (CUcontext *context)
{
  Call call ("cuCtxGetCurrent");

  *context = context_of (current_context ());
  return call.chosen_to_fail ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult
cuCtxSynchronize ()
{
  return result_of (cudaDeviceSynchronize ());
}

CUresult
cuCtxEnablePeerAccess (CUcontext, unsigned)
{
  return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
}

CUresult
cuCtxDisablePeerAccess (CUcontext)
{
  return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}

/* --- memory --- */

CUresult
cuMemAlloc_v2 (CUdeviceptr *p, size_t bytes)
{
  return result_of (cudaMalloc ((void **) p, bytes));
}

CUresult
cuMemAllocPitch_v2 (CUdeviceptr *p, size_t *pitch, size_t width, size_t height, unsigned)
{
  *pitch = (width + 511) / 512 * 512;
  const cudaError_t error = cudaMalloc ((void **) p, *pitch * height);
  if (error == cudaSuccess) /* GStreamer downloads the padding of its frames too, which nobody wrote */
    mark_written ((const void *) *p, *pitch * height);
  return result_of (error);
}

CUresult
cuMemFree_v2 (CUdeviceptr p)
{
  return result_of (cudaFree ((void *) p));
}

CUresult
cuMemAllocHost_v2 (void **p, size_t bytes)
{
  return result_of (cudaMallocHost (p, bytes));
}

CUresult
cuMemFreeHost (void *p)
{
  return result_of (cudaFreeHost (p));
}

CUresult
cuMemcpy2DAsync_v2 (const CUDA_MEMCPY2D *c, CUstream stream)
{
  u8 *to = side (c->dstMemoryType, c->dstHost, c->dstDevice, c->dstXInBytes, c->dstY, c->dstPitch);
  const u8 *from =
      side (c->srcMemoryType, (void *) c->srcHost, c->srcDevice, c->srcXInBytes, c->srcY, c->srcPitch);

  if (!to || !from)
    return CUDA_ERROR_NOT_SUPPORTED;
  return result_of (cudaMemcpy2DAsync (to, c->dstPitch ? c->dstPitch : c->WidthInBytes, from,
      c->srcPitch ? c->srcPitch : c->WidthInBytes, c->WidthInBytes, c->Height, cudaMemcpyDefault,
      (cudaStream_t) stream));
}

CUresult
cuMemcpy2D_v2 (const CUDA_MEMCPY2D *c)
{
  const CUresult result = cuMemcpy2DAsync_v2 (c, nullptr);

  return result != CUDA_SUCCESS ? result : result_of (cudaStreamSynchronize (nullptr));
}

CUresult
cuMemcpyDtoD_v2 (CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
  return result_of (cudaMemcpy ((void *) to, (const void *) from, bytes, cudaMemcpyDeviceToDevice));
}

CUresult
cuMemcpyDtoDAsync_v2 (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
  return result_of (cudaMemcpyAsync ((void *) to, (const void *) from, bytes, cudaMemcpyDeviceToDevice,
      (cudaStream_t) stream));
}

CUresult
cuMemcpyDtoH_v2 (void *to, CUdeviceptr from, size_t bytes)
{
  return result_of (cudaMemcpy (to, (const void *) from, bytes, cudaMemcpyDeviceToHost));
}

CUresult
cuMemcpyDtoHAsync_v2 (void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
  return result_of (cudaMemcpyAsync (to, (const void *) from, bytes, cudaMemcpyDeviceToHost,
      (cudaStream_t) stream));
}

CUresult
cuMemcpyHtoD_v2 (CUdeviceptr to, const void *from, size_t bytes)
{
  return result_of (cudaMemcpy ((void *) to, from, bytes, cudaMemcpyHostToDevice));
}

CUresult
cuMemcpyHtoDAsync_v2 (CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
  return result_of (cudaMemcpyAsync ((void *) to, from, bytes, cudaMemcpyHostToDevice,
      (cudaStream_t) stream));
}

CUresult
cuMemcpyPeerAsync (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
    size_t bytes, CUstream stream)
{
  Call call ("cuMemcpyPeerAsync");

  if (call.chosen_to_fail)
    return CUDA_ERROR_UNKNOWN;
  if (!is_context (to_context) || !is_context (from_context))
    return CUDA_ERROR_INVALID_CONTEXT;
  return result_of (copy_between_contexts ((void *) to, name_of (to_context), (const void *) from,
      name_of (from_context), bytes, (cudaStream_t) stream));
}

/* --- streams --- */

CUresult
cuStreamCreate (CUstream *stream, unsigned flags)
{
  return result_of (cudaStreamCreateWithFlags ((cudaStream_t *) stream, flags));
}

CUresult
cuStreamDestroy_v2 (CUstream stream)
{
  return result_of (cudaStreamDestroy ((cudaStream_t) stream));
}

/* By the name that GStreamer asks for. */
CUresult cuStreamDestroy_v1 (CUstream stream) __asm__("cuStreamDestroy");

CUresult
cuStreamDestroy_v1 (CUstream stream)
{
  return cuStreamDestroy_v2 (stream);
}

CUresult
cuStreamSynchronize (CUstream stream)
{
  return result_of (cudaStreamSynchronize ((cudaStream_t) stream));
}

/* --- events --- */

CUresult
cuEventCreate (CUevent *event, unsigned flags)
{
  return result_of (cudaEventCreateWithFlags ((cudaEvent_t *) event, flags));
}

CUresult
cuEventDestroy_v2 (CUevent event)
{
  return result_of (cudaEventDestroy ((cudaEvent_t) event));
}

/* By the name that GStreamer asks for. */
CUresult cuEventDestroy_v1 (CUevent event) __asm__("cuEventDestroy");

CUresult
cuEventDestroy_v1 (CUevent event)
{
  return cuEventDestroy_v2 (event);
}

CUresult
cuEventRecord (CUevent event, CUstream stream)
{
  return result_of (cudaEventRecord ((cudaEvent_t) event, (cudaStream_t) stream));
}

CUresult
cuEventSynchronize (CUevent event)
{
  return result_of (cudaEventSynchronize ((cudaEvent_t) event));
}
}
