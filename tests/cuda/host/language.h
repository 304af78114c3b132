/* dsvl2: CUDA's language for a C++ compiler that does not know it: .cu files run on the CPU, a fibre a thread
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Included before the first line of a .cu file (-include). Types, enums and prototypes are NVIDIA's own; what the
 * device has beyond them is here as far as kernels/cuda needs it: what is missing does not compile and is to be added.
 * It stands for kernels/cuda/ptx.cuh, whose inline PTX only nvcc reads, and for <cuda_pipeline_primitives.h>.
 *
 * A block's threads are fibres of one thread of the host (fibres.cc), which change places only where threads
 * wait for each other. __shared__ is static: blocks run one after the other, and sanitizers see each variable. */
#ifndef STANDIN_HOST_LANGUAGE_H
#define STANDIN_HOST_LANGUAGE_H

#define DSVL2_PTX_CUH
#define _CUDA_PIPELINE_PRIMITIVES_H_

#include "fibres.h"

#include <cuda_runtime.h>
#include <device_launch_parameters.h>
#include <math.h>
#include <string.h>
#include <tuple>

#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)
#define DYNAMIC_SHARED(type, name) type *name = reinterpret_cast<type *> (standin::dynamic_shared)

/* Whoever calls, for messages. */
#define HERE standin::Where here = { __builtin_FILE(), __builtin_LINE() }

/* --- barriers and warps -------------------------------------------------------------------------- */

inline void
__syncthreads (HERE)
{
  standin::wait_for_block (here);
}

inline void
__syncwarp (unsigned mask = ~0u, HERE)
{
  standin::meet_warp (mask, "__syncwarp", here, standin::do_nothing, true);
}

template <typename T>
T
shuffle (unsigned mask, T v, int from, standin::Where here)
{
  standin::Offer *mine = standin::offer ();

  static_assert (sizeof v <= sizeof mine->value, "a shuffle is of 64 bits at most");
  memcpy (&mine->value, &v, sizeof v);
  mine->from = from;
  standin::meet_warp (mask, "__shfl_sync", here, standin::do_shuffle, false);
  memcpy (&v, &mine->result, sizeof v);
  return v;
}

template <typename T>
T
__shfl_sync (unsigned mask, T v, int lane, int width = 32, HERE)
{
  return shuffle (mask, v, (standin::lane () & -width) | (lane & (width - 1)), here);
}

template <typename T>
T
__shfl_xor_sync (unsigned mask, T v, int with, int width = 32, HERE)
{
  const int lane = standin::lane (), from = lane ^ with;

  return shuffle (mask, v, (from & -width) > (lane & -width) ? lane : from, here);
}

template <typename T>
T
__shfl_down_sync (unsigned mask, T v, int by, int width = 32, HERE)
{
  const int lane = standin::lane ();

  return shuffle (mask, v, (lane & (width - 1)) + by < width ? lane + by : lane, here);
}

template <typename T>
T
__shfl_up_sync (unsigned mask, T v, int by, int width = 32, HERE)
{
  const int lane = standin::lane ();

  return shuffle (mask, v, (lane & (width - 1)) < by ? lane : lane - by, here);
}

inline unsigned
__ballot_sync (unsigned mask, int predicate, HERE)
{
  standin::offer ()->value = predicate != 0;
  standin::meet_warp (mask, "__ballot_sync", here, standin::do_ballot, false);
  return (unsigned) standin::offer ()->result;
}

inline int
__any_sync (unsigned mask, int predicate, HERE)
{
  return __ballot_sync (mask, predicate, here) != 0;
}

inline int
__all_sync (unsigned mask, int predicate, HERE)
{
  return __ballot_sync (mask, predicate, here) == mask;
}

/* ThreadSanitizer knows these. */
template <typename T, typename V>
T
atomicAdd (T *p, V v)
{
  T old, sum;

  __atomic_load (p, &old, __ATOMIC_RELAXED);
  do
    sum = old + (T) v;
  while (!__atomic_compare_exchange (p, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

[[noreturn]] inline void
__trap (HERE)
{
  standin::host_fault (here, "trap");
}

/* --- what kernels/cuda/ptx.cuh has --------------------------------------------------------------- */

inline void
mma_16_8_16 (float sum[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1,
    HERE)
{
  const unsigned fragments[] = { a0, a1, a2, a3, b0, b1 };
  standin::Offer *mine = standin::offer ();

  memcpy (mine->fragments, fragments, sizeof fragments);
  memcpy (mine->sum, sum, sizeof mine->sum);
  standin::meet_warp (~0u, "mma.sync", here, standin::do_mma_16_8_16, false);
  memcpy (sum, mine->sum, sizeof mine->sum);
}

/* Copies land when they are waited for, which is as late as they may. */
inline void
land_copies (unsigned left)
{
  standin::Copy c;

  while (standin::next_copy (left, &c))
    if (c.bytes == sizeof (uint4))
      *static_cast<uint4 *> (c.to) =
          c.from ? *static_cast<const uint4 *> (c.from) : make_uint4 (0, 0, 0, 0);
    else
      for (unsigned i = 0; i < c.bytes; i++)
        static_cast<char *> (c.to)[i] = c.from ? static_cast<const char *> (c.from)[i] : 0;
}

inline void
copy_async (uint4 *to, const void *from, bool there, HERE)
{
  standin::begin_copy ({ to, there ? from : nullptr, sizeof *to, 0, here });
}

inline void
close_group ()
{
  standin::close_copies ();
}

template <int left>
inline void
wait_groups ()
{
  land_copies (left);
}

inline void
__pipeline_memcpy_async (void *to, const void *from, size_t bytes, size_t zeros = 0, HERE)
{
  standin::begin_copy ({ to, zeros ? nullptr : from, (unsigned) bytes, 0, here });
}

inline void
__pipeline_commit ()
{
  standin::close_copies ();
}

inline void
__pipeline_wait_prior (size_t left)
{
  land_copies (left);
}

/* --- arithmetic ---------------------------------------------------------------------------------- */

inline float
__fmul_rn (float a, float b)
{
  return a * b;
}

inline float
__fadd_rn (float a, float b)
{
  return a + b;
}

inline float
__fmaf_rn (float a, float b, float c)
{
  return fmaf (a, b, c);
}

inline float
__uint_as_float (unsigned bits)
{
  float f;

  memcpy (&f, &bits, sizeof f);
  return f;
}

inline unsigned
__float_as_uint (float f)
{
  unsigned bits;

  memcpy (&bits, &f, sizeof bits);
  return bits;
}

/* Byte i of the result is the one of b, a (8 bytes, from the low one of a on) that nibble i of `which` names. */
inline unsigned
__byte_perm (unsigned a, unsigned b, unsigned which)
{
  const uint64_t bytes = (uint64_t) b << 32 | a;
  unsigned result = 0;

  for (int i = 0; i < 4; i++) {
    const unsigned nibble = which >> 4 * i & 15, byte = bytes >> nibble % 8 * 8 & 255;

    result |= (nibble < 8 ? byte : byte & 128 ? 255u : 0u) << 8 * i;
  }
  return result;
}

inline float
__int_as_float (int i)
{
  float f;

  memcpy (&f, &i, sizeof f);
  return f;
}

inline int
__popc (unsigned v)
{
  return __builtin_popcount (v);
}

inline int
__ffs (int v)
{
  return __builtin_ffs (v);
}

template <typename T>
T
__ldcs (const T *p)
{
  return *p;
}

#define MIN_AND_MAX(T)                                                                                 \
  inline T min (T a, T b)                                                                              \
  {                                                                                                    \
    return b < a ? b : a;                                                                              \
  }                                                                                                    \
  inline T max (T a, T b)                                                                              \
  {                                                                                                    \
    return a < b ? b : a;                                                                              \
  }
MIN_AND_MAX (int)
MIN_AND_MAX (unsigned)
MIN_AND_MAX (long)
MIN_AND_MAX (unsigned long)
MIN_AND_MAX (float)
#undef MIN_AND_MAX

/* --- launching ----------------------------------------------------------------------------------- */

#define cudaLaunchKernelEx launch_kernel /* NVIDIA's asks for a kernel that nvcc made known */

template <typename... Parameters, typename... Arguments>
cudaError_t
launch_kernel (const cudaLaunchConfig_t *config, void (*kernel) (Parameters...),
    Arguments &&...arguments)
{
  const std::tuple<Parameters...> given (static_cast<Parameters> (arguments)...);

  return standin::launch (config, (const void *) kernel, [=] { std::apply (kernel, given); });
}

#endif
