/* dsvl2: what only nvcc can read: inline PTX, and shared memory whose size the launch gives
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * All other CUDA code is C++ with names from NVIDIA's headers, so that tests/cuda/host can compile it for the CPU: it has
 * functions of its own for these. */
#ifndef DSVL2_PTX_CUH
#define DSVL2_PTX_CUH

#include <cuda_runtime.h>

/* A block's shared memory whose size the launch gives. */
#define DYNAMIC_SHARED(type, name)                                                                     \
  extern __shared__ __align__ (16) unsigned char dynamic_shared[];                                     \
  type *name = reinterpret_cast<type *> (dynamic_shared)

/* sum += a · b for 16 inputs. Lane l has of sum [16, 8] outputs l / 4 and l / 4 + 8 of rows l % 4 · 2 and
 * the next: (output, row), (output, row + 1), (output + 8, row), (output + 8, row + 1). Devices that have
 * no such instruction never run the kernels with it. */
static __device__ __forceinline__ void
mma_16_8_16 (float sum[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1)
{
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, "
      "%9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

/* --- copying to shared memory behind the back of the arithmetic ---------------------------------- */

/* 16 bytes, or zeros if not `there`; `from` is an address that may be read in any case. */
static __device__ __forceinline__ void
copy_async (uint4 *to, const void *from, bool there)
{
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"((unsigned) __cvta_generic_to_shared (to)), "l"(from), "r"(there ? 16 : 0)
               : "memory");
#endif
}

/* What was copied since the last call is one group. */
static __device__ __forceinline__ void
close_group ()
{
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Waits for this thread's copies, but for the latest `left` groups. */
template <int left>
static __device__ __forceinline__ void
wait_groups ()
{
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
#endif
}

#endif
