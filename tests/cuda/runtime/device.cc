/* dsvl2: the CUDA stand-in: what device there seems to be
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "standin.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

namespace standin {

enum { KIB = 1 << 10, MIB = 1 << 20 };

static const Device devices[] = {
  /* name               sm      capability  SMs  shared memory           threads L2          bus   kHz */
  { "stand-in for T4", "sm_75", 7, 5, 40, 64 * KIB, 64 * KIB, 1024, 4 * MIB, 256, 5001000 },
  { "stand-in for A100", "sm_80", 8, 0, 108, 163 * KIB, 164 * KIB, 2048, 40 * MIB, 5120, 1593000 },
  { "stand-in for RTX 3090", "sm_86", 8, 6, 82, 99 * KIB, 100 * KIB, 1536, 6 * MIB, 384, 9751000 },
  { "stand-in for L4", "sm_89", 8, 9, 58, 99 * KIB, 100 * KIB, 1536, 48 * MIB, 192, 6251000 },
  { "stand-in for H100", "sm_90", 9, 0, 132, 227 * KIB, 228 * KIB, 2048, 50 * MIB, 5120, 2619000 },
  { "stand-in for B200", "sm_100", 10, 0, 148, 227 * KIB, 228 * KIB, 2048, 126 * MIB, 8192, 3996000 },
  { "stand-in for RTX 5090", "sm_120", 12, 0, 170, 99 * KIB, 100 * KIB, 1536, 96 * MIB, 512, 14001000 },
};

const Device &
device ()
{
  const char *wanted = getenv ("STANDIN_DEVICE");

  for (const Device &d : devices)
    if (strcmp (d.sm, wanted ? wanted : "sm_90") == 0)
      return d;
  stop (EXIT_DEVICE_FAULT, "STANDIN_DEVICE=%s is no device that it knows", wanted);
}

size_t
device_memory ()
{
  return (size_t) setting ("STANDIN_MEMORY", 4096) * MIB;
}

static int
attribute (cudaDeviceAttr which)
{
  const Device &d = device ();

  switch (which) {
    case cudaDevAttrMaxThreadsPerBlock:
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
      return MAX_THREADS;
    case cudaDevAttrMaxBlockDimZ:
      return 64;
    case cudaDevAttrMaxGridDimX:
      return 0x7fffffff;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      return 65535;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return 48 * KIB;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return d.shared_optin;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return d.shared_multiprocessor;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      return d.major >= 8 ? KIB : 0;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      return 65536;
    case cudaDevAttrTextureAlignment:
      return 512;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return d.threads_multiprocessor;
    case cudaDevAttrMultiProcessorCount:
      return d.multiprocessors;
    case cudaDevAttrComputeCapabilityMajor:
      return d.major;
    case cudaDevAttrComputeCapabilityMinor:
      return d.minor;
    case cudaDevAttrWarpSize:
      return LANES;
    case cudaDevAttrL2CacheSize:
      return d.l2_bytes;
    case cudaDevAttrGlobalMemoryBusWidth:
      return d.memory_bus_bits;
    case cudaDevAttrMemoryClockRate:
      return d.memory_khz;
    case cudaDevAttrClockRate:
      return 1500000;
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrHostRegisterSupported:
      return 1;
    case cudaDevAttrAsyncEngineCount:
      return 2;
    case cudaDevAttrIntegrated:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrPageableMemoryAccess:
      return 0;
    default:
      return -1;
  }
}

} // namespace standin

using namespace standin;

extern "C" {

cudaError_t
cudaGetDeviceCount (int *n)
{
  Call call ("cudaGetDeviceCount");

  if (call.chosen_to_fail)
    return fail (cudaErrorNoDevice);
  *n = 1;
  return cudaSuccess;
}

cudaError_t
cudaSetDevice (int ordinal)
{
  Call call ("cudaSetDevice");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (ordinal != 0)
    return fail (cudaErrorInvalidDevice);
  use_primary_context ();
  return cudaSuccess;
}

cudaError_t
cudaInitDevice (int ordinal, unsigned, unsigned)
{
  return cudaSetDevice (ordinal);
}

cudaError_t
cudaGetDevice (int *ordinal)
{
  Call call ("cudaGetDevice");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  *ordinal = 0;
  return cudaSuccess;
}

cudaError_t
cudaDeviceGetAttribute (int *value, cudaDeviceAttr which, int ordinal)
{
  Call call ("cudaDeviceGetAttribute");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (ordinal != 0)
    return fail (cudaErrorInvalidDevice);
  *value = attribute (which);
  if (*value < 0)
    return fail (cudaErrorInvalidValue, "cudaDeviceGetAttribute: attribute %d is unknown here", which);
  return cudaSuccess;
}

cudaError_t
cudaGetDeviceProperties (cudaDeviceProp *p, int ordinal)
{
  Call call ("cudaGetDeviceProperties");
  const Device &d = device ();

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (ordinal != 0)
    return fail (cudaErrorInvalidDevice);
  memset (p, 0, sizeof *p);
  snprintf (p->name, sizeof p->name, "%s", d.name);
  p->major = d.major;
  p->minor = d.minor;
  p->totalGlobalMem = device_memory ();
  p->multiProcessorCount = d.multiprocessors;
  p->warpSize = LANES;
  p->maxThreadsPerBlock = MAX_THREADS;
  p->maxThreadsPerMultiProcessor = d.threads_multiprocessor;
  p->sharedMemPerBlock = 48 * KIB;
  p->sharedMemPerBlockOptin = d.shared_optin;
  p->sharedMemPerMultiprocessor = d.shared_multiprocessor;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->l2CacheSize = d.l2_bytes;
  p->memoryBusWidth = d.memory_bus_bits;
  p->unifiedAddressing = p->canMapHostMemory = p->concurrentKernels = 1;
  p->asyncEngineCount = 2;
  return cudaSuccess;
}

cudaError_t
cudaDriverGetVersion (int *version)
{
  Call call ("cudaDriverGetVersion");

  *version = CUDART_VERSION;
  return call.chosen_to_fail ? fail (cudaErrorUnknown) : cudaSuccess;
}

cudaError_t
cudaRuntimeGetVersion (int *version)
{
  return cudaDriverGetVersion (version);
}

cudaError_t
cudaDeviceReset ()
{
  Call call ("cudaDeviceReset");

  drain_all ();
  return call.chosen_to_fail ? fail (cudaErrorUnknown) : cudaSuccess;
}
}
