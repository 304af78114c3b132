/* dsvl2: the CUDA stand-in: device memory, pinned memory, copies
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Device memory is one range of addresses that the host may not touch: its pages are unreadable but while
 * the device runs. Each allocation has a gap behind it; addresses are used again only when the range is
 * full, so a pointer that was freed faults. Beside each byte stands whether it was ever written, beside each
 * two bytes who touched them last (Shadow).
 */
#include "standin.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

/* Kernels compiled for the host may be under AddressSanitizer, which is there then. */
extern "C" void __asan_poison_memory_region (void const volatile *, size_t) __attribute__ ((weak));
extern "C" void __asan_unpoison_memory_region (void const volatile *, size_t) __attribute__ ((weak));

namespace standin {

static const size_t ARENA = (size_t) 64 << 30, GAP = 256, ALIGNMENT = 256, PAGE = 4096;

enum Kind { DEVICE, PINNED, REGISTERED };

struct Allocation {
  size_t bytes;
  Kind kind;
  bool live;         /* false: cudaMallocAsync's turn in its stream has not come */
  const void *owner; /* the context that was current */
};

static u8 *arena, *written; /* one byte of `written` for each of the arena */
static Shadow *shadow;
static size_t arena_top, in_use;
static auto &allocations = *new std::map<u64, Allocation>;
static auto &freed = *new std::multimap<size_t, u64>; /* by room */
static int device_depth;

static size_t
round_up (size_t n, size_t to)
{
  return (n + to - 1) / to * to;
}

/* --- who may touch it ---------------------------------------------------------------------------- */

static void
protect (int protection)
{
  if (arena_top)
    mprotect (arena, round_up (arena_top, PAGE), protection);
}

DeviceMode::DeviceMode ()
{
  if (device_depth++ == 0)
    protect (PROT_READ | PROT_WRITE);
}

DeviceMode::~DeviceMode ()
{
  if (--device_depth == 0)
    protect (PROT_NONE);
}

/* A fault of the host's in device memory is explained; others take their course. */
static void
on_fault (int, siginfo_t *info, void *)
{
  if (is_device_memory (info->si_addr))
    stop (EXIT_DEVICE_FAULT, "host code touched device memory at %p", info->si_addr);
  signal (SIGSEGV, SIG_DFL);
}

static void *
reserve (size_t bytes, int protection)
{
  void *p = mmap (nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (p == MAP_FAILED)
    stop (EXIT_DEVICE_FAULT, "cannot reserve %zu bytes of addresses", bytes);
  return p;
}

static void
open_arena ()
{
  struct sigaction action = {};

  if (arena)
    return;
  arena = (u8 *) reserve (ARENA, PROT_NONE);
  if (__asan_poison_memory_region)
    __asan_poison_memory_region (arena, GAP);
  arena_top = GAP;
  written = (u8 *) reserve (ARENA, PROT_READ | PROT_WRITE);
  shadow = (Shadow *) reserve (ARENA / 2 * sizeof (Shadow), PROT_READ | PROT_WRITE);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction (SIGSEGV, &action, nullptr);
}

bool
is_device_memory (const void *p)
{
  return arena && (u8 *) p >= arena && (u8 *) p < arena + ARENA;
}

bool
find_allocation (u64 address, Extent64 *extent)
{
  auto next = allocations.upper_bound (address);

  if (next == allocations.begin ())
    return false;
  const auto &[low, a] = *std::prev (next);
  if (!a.live || address >= low + a.bytes)
    return false;
  *extent = { low, low + a.bytes };
  return true;
}

const void *
owner_of (const void *p)
{
  auto next = allocations.upper_bound ((u64) p);

  if (!is_device_memory (p) || next == allocations.begin ())
    return nullptr;
  return std::prev (next)->second.owner;
}

bool
is_allocated (const void *p, size_t bytes)
{
  Extent64 extent;

  return bytes == 0 || (find_allocation ((u64) p, &extent) && (u64) p + bytes <= extent.high);
}

static bool unknown_writes; /* kernels run that do not say what they write */

void
expect_unknown_writes ()
{
  unknown_writes = true;
}

void
mark_written (const void *p, size_t bytes)
{
  if (is_device_memory (p))
    memset (written + ((u8 *) p - arena), 1, bytes);
}

bool
is_written (const void *p, size_t bytes, size_t *first_missing)
{
  if (!is_device_memory (p) || bytes == 0 || unknown_writes)
    return true;
  const u8 *begin = written + ((u8 *) p - arena), *gap = (const u8 *) memchr (begin, 0, bytes);

  if (gap && first_missing)
    *first_missing = gap - begin;
  return !gap;
}

Shadow *
shadow_of (u64 address)
{
  return is_device_memory ((void *) address) ? shadow + (address - (u64) arena) / 2 : nullptr;
}

/* --- giving and taking --------------------------------------------------------------------------- */

/* What AddressSanitizer lets kernels touch of a place for an allocation: its first `bytes`. */
static void
poison_behind (u64 address, size_t bytes, size_t room)
{
  if (__asan_poison_memory_region) {
    __asan_unpoison_memory_region ((void *) address, bytes);
    __asan_poison_memory_region ((void *) (address + bytes), room - bytes);
  }
}

static cudaError_t
allocate (void **p, size_t bytes, bool live)
{
  const size_t room = round_up (bytes, ALIGNMENT) + GAP;
  u64 address;

  open_arena ();
  if (in_use + bytes > device_memory ())
    return fail (cudaErrorMemoryAllocation);
  if (arena_top + room <= ARENA) {
    DeviceMode closed_again_with_the_new_pages;
    address = (u64) arena + arena_top;
    arena_top += room;
    protect (PROT_READ | PROT_WRITE);
  } else {
    auto place = freed.lower_bound (room);
    if (place == freed.end ())
      return fail (cudaErrorMemoryAllocation);
    address = place->second;
    freed.erase (place);
  }
  in_use += bytes;
  poison_behind (address, bytes, room);
  allocations[address] = { bytes, DEVICE, live, current_context () };
  *p = (void *) address;
  return cudaSuccess;
}

/* Zeroes; whole pages go back to the system. */
static void
clear (void *from, size_t bytes)
{
  const u64 low = round_up ((u64) from, PAGE), end = (u64) from + bytes, high = end / PAGE * PAGE;

  if (low >= high) {
    memset (from, 0, bytes);
    return;
  }
  memset (from, 0, low - (u64) from);
  madvise ((void *) low, high - low, MADV_DONTNEED);
  memset ((void *) high, 0, end - high);
}

static void
release (u64 address)
{
  auto a = allocations.find (address);
  const size_t bytes = a->second.bytes, room = round_up (bytes, ALIGNMENT) + GAP,
               at = address - (u64) arena;

  DeviceMode device;

  clear (arena + at, bytes);
  clear (written + at, bytes);
  clear (shadow + at / 2, (bytes + 1) / 2 * sizeof (Shadow));
  in_use -= bytes;
  poison_behind (address, 0, room);
  freed.insert ({ room, address });
  allocations.erase (a);
}

static bool
is_allocation (const void *p, Kind kind)
{
  auto a = allocations.find ((u64) p);

  return a != allocations.end () && a->second.kind == kind;
}

int
report_leaked_memory ()
{
  static const char *const kinds[] = { "device memory", "pinned memory", "registered host memory" };

  for (const auto &[address, a] : allocations)
    fprintf (stderr, "stand-in: leak: %zu bytes of %s at %#lx\n", a.bytes, kinds[a.kind], address);
  return allocations.size ();
}

/* --- copies -------------------------------------------------------------------------------------- */

static const char *
direction (const void *to, const void *from)
{
  static const char *const names[2][2] = { { "host to host", "device to host" },
    { "host to device", "device to device" } };

  return names[is_device_memory (to)][is_device_memory (from)];
}

/* Does what cudaMemcpy… says agree with where the pointers point? */
static bool
is_direction (cudaMemcpyKind kind, bool to_device, bool from_device)
{
  switch (kind) {
    case cudaMemcpyHostToHost:
      return !to_device && !from_device;
    case cudaMemcpyHostToDevice:
      return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
      return !to_device && from_device;
    case cudaMemcpyDeviceToDevice:
      return to_device && from_device;
    default:
      return kind == cudaMemcpyDefault;
  }
}

/* Copies now; what was never written stays so, but the host may not see it. */
static void
copy_now (void *to, const void *from, size_t bytes)
{
  size_t missing = 0;

  count_copy (direction (to, from), bytes);
  for (const void *p : { (const void *) to, from })
    if (is_device_memory (p) && !is_allocated (p, bytes))
      stop (EXIT_DEVICE_FAULT, "copy of %zu bytes: %p is not (any more, or not yet) allocated", bytes,
          p);
  if (!is_device_memory (to) && !is_written (from, bytes, &missing))
    stop (EXIT_DEVICE_FAULT, "copy to the host of %zu bytes at %p: byte %zu was never written", bytes,
        from, missing);
  memmove (to, from, bytes);
  if (is_device_memory (to) && is_device_memory (from))
    memmove (written + ((u8 *) to - arena), written + ((u8 *) from - arena), bytes);
  else
    mark_written (to, bytes);
}

static cudaError_t
check_copy (const char *name, const void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
  const bool to_device = is_device_memory (to), from_device = is_device_memory (from);
  Extent64 extent;

  if (!is_direction (kind, to_device, from_device))
    return fail (cudaErrorInvalidValue, "%s: the copy is %s, which is not what was said", name,
        direction (to, from));
  for (const void *p : { to, from })
    if (is_device_memory (p) && owner_of (p) != current_context ())
      return fail (cudaErrorInvalidValue, "%s: %p is memory of another context", name, p);
  for (const void *p : { to, from })
    if (is_device_memory (p) && !is_allocated (p, bytes) && find_allocation ((u64) p, &extent))
      return fail (cudaErrorInvalidValue, "%s: %zu bytes at %p are more than its allocation holds",
          name, bytes, p);
  return cudaSuccess;
}

static bool
is_pageable (const void *p, size_t bytes)
{
  return !is_device_memory (p) && !is_allocated (p, bytes);
}

static cudaError_t
copy (const char *name, void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
    cudaStream_t stream)
{
  static const WorkKind what = { "copy", nullptr };

  if (cudaError_t e = check_copy (name, to, from, bytes, kind))
    return e;
  if (bytes == 0)
    return cudaSuccess;
  if (is_pageable (from, bytes)) { /* taken before the call returns */
    auto staged = std::make_shared<std::vector<u8>> ((const u8 *) from, (const u8 *) from + bytes);
    if (cudaError_t e = refuse_captured (stream, "a copy of pageable memory"))
      return e;
    return enqueue (stream, what, [=] { copy_now (to, staged->data (), bytes); });
  }
  if (is_pageable (to, bytes))
    if (cudaError_t e = refuse_captured (stream, "a copy of pageable memory"))
      return e;
  cudaError_t e = enqueue (stream, what, [=] { copy_now (to, from, bytes); });
  if (is_pageable (to, bytes)) /* done before the call returns */
    drain (stream);
  return e;
}

cudaError_t
copy_between_contexts (void *to, const void *to_context, const void *from, const void *from_context,
    size_t bytes, cudaStream_t stream)
{
  if (!is_device_memory (to) || !is_device_memory (from) || owner_of (to) != to_context ||
      owner_of (from) != from_context)
    return fail (cudaErrorInvalidValue, "a copy between contexts: %p or %p is not of the one named", to,
        from);
  if (!is_allocated (to, bytes) || !is_allocated (from, bytes))
    return fail (cudaErrorInvalidValue, "a copy between contexts: %zu bytes are more than there are",
        bytes);
  return enqueue (stream, { "copy", nullptr }, [=] { copy_now (to, from, bytes); });
}

} // namespace standin

using namespace standin;

extern "C" {

cudaError_t
cudaMalloc (void **p, size_t bytes)
{
  Call call ("cudaMalloc");

  *p = nullptr;
  if (call.chosen_to_fail)
    return fail (cudaErrorMemoryAllocation);
  if (cudaError_t e = refuse_in_capture ("cudaMalloc"))
    return e;
  return bytes ? allocate (p, bytes, true) : cudaSuccess;
}

cudaError_t
cudaFree (void *p)
{
  Call call ("cudaFree");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (!p)
    return cudaSuccess;
  if (!is_allocation (p, DEVICE))
    return fail (cudaErrorInvalidValue, "cudaFree (%p): no device allocation begins there", p);
  if (cudaError_t e = refuse_in_capture ("cudaFree"))
    return e;
  drain_all ();
  if (!is_allocation (p, DEVICE))
    return fail (cudaErrorInvalidValue, "cudaFree (%p): cudaFreeAsync had freed it", p);
  release ((u64) p);
  return cudaSuccess;
}

cudaError_t
cudaMallocAsync (void **p, size_t bytes, cudaStream_t stream)
{
  Call call ("cudaMallocAsync");

  *p = nullptr;
  if (call.chosen_to_fail)
    return fail (cudaErrorMemoryAllocation);
  if (bytes == 0)
    return cudaSuccess;
  if (is_capturing (stream))
    return fail (cudaErrorNotSupported, "cudaMallocAsync in a capture is not supported here");
  if (cudaError_t e = allocate (p, bytes, false))
    return e;
  const u64 address = (u64) *p;
  return enqueue (stream, { "allocation", nullptr }, [=] { allocations[address].live = true; });
}

cudaError_t
cudaFreeAsync (void *p, cudaStream_t stream)
{
  Call call ("cudaFreeAsync");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (!p)
    return cudaSuccess;
  if (!is_allocation (p, DEVICE))
    return fail (cudaErrorInvalidValue, "cudaFreeAsync (%p): no device allocation begins there", p);
  if (is_capturing (stream))
    return fail (cudaErrorNotSupported, "cudaFreeAsync in a capture is not supported here");
  return enqueue (stream, { "free", nullptr }, [=] {
    if (!is_allocation (p, DEVICE))
      stop (EXIT_DEVICE_FAULT, "cudaFreeAsync (%p): freed twice", p);
    release ((u64) p);
  });
}

cudaError_t
cudaHostAlloc (void **p, size_t bytes, unsigned)
{
  Call call ("cudaHostAlloc");

  *p = nullptr;
  if (call.chosen_to_fail)
    return fail (cudaErrorMemoryAllocation);
  if (cudaError_t e = refuse_in_capture ("cudaHostAlloc"))
    return e;
  if (bytes == 0)
    return cudaSuccess;
  *p = aligned_alloc (PAGE, round_up (bytes, PAGE));
  if (!*p)
    return fail (cudaErrorMemoryAllocation);
  memset (*p, 0xff, bytes); /* NaN: what is used before something was copied there shows */
  allocations[(u64) *p] = { bytes, PINNED, true, nullptr };
  return cudaSuccess;
}

cudaError_t
cudaMallocHost (void **p, size_t bytes)
{
  return cudaHostAlloc (p, bytes, 0);
}

cudaError_t
cudaFreeHost (void *p)
{
  Call call ("cudaFreeHost");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (!p)
    return cudaSuccess;
  if (!is_allocation (p, PINNED))
    return fail (cudaErrorInvalidValue, "cudaFreeHost (%p): no pinned allocation begins there", p);
  if (cudaError_t e = refuse_in_capture ("cudaFreeHost"))
    return e;
  drain_all ();
  allocations.erase ((u64) p);
  free (p);
  return cudaSuccess;
}

cudaError_t
cudaHostRegister (void *p, size_t bytes, unsigned)
{
  Call call ("cudaHostRegister");

  if (call.chosen_to_fail)
    return fail (cudaErrorMemoryAllocation);
  if (!p || !bytes || is_allocated (p, 1))
    return fail (cudaErrorInvalidValue);
  if (cudaError_t e = refuse_in_capture ("cudaHostRegister"))
    return e;
  allocations[(u64) p] = { bytes, REGISTERED, true, nullptr };
  return cudaSuccess;
}

cudaError_t
cudaHostUnregister (void *p)
{
  Call call ("cudaHostUnregister");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (!is_allocation (p, REGISTERED))
    return fail (cudaErrorInvalidValue);
  if (cudaError_t e = refuse_in_capture ("cudaHostUnregister"))
    return e;
  drain_all ();
  allocations.erase ((u64) p);
  return cudaSuccess;
}

cudaError_t
cudaHostGetDevicePointer (void **device_pointer, void *host, unsigned)
{
  Call call ("cudaHostGetDevicePointer");

  *device_pointer = host;
  return is_allocated (host, 1) && !is_device_memory (host) ? cudaSuccess
                                                            : fail (cudaErrorInvalidValue);
}

cudaError_t
cudaPointerGetAttributes (cudaPointerAttributes *a, const void *p)
{
  Call call ("cudaPointerGetAttributes");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  memset (a, 0, sizeof *a);
  a->type = !is_allocated (p, 1)   ? cudaMemoryTypeUnregistered
            : is_device_memory (p) ? cudaMemoryTypeDevice
                                   : cudaMemoryTypeHost;
  if (a->type != cudaMemoryTypeUnregistered)
    a->devicePointer = (void *) p;
  if (a->type != cudaMemoryTypeDevice)
    a->hostPointer = (void *) p;
  return cudaSuccess;
}

cudaError_t
cudaMemGetInfo (size_t *free_bytes, size_t *total)
{
  Call call ("cudaMemGetInfo");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  *total = device_memory ();
  *free_bytes = *total - in_use;
  return cudaSuccess;
}

cudaError_t
cudaMemcpyAsync (void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
  Call call ("cudaMemcpyAsync");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  return copy ("cudaMemcpyAsync", to, from, bytes, kind, stream);
}

cudaError_t
cudaMemcpy (void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
  Call call ("cudaMemcpy");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (cudaError_t e = refuse_in_capture ("cudaMemcpy"))
    return e;
  if (cudaError_t e = copy ("cudaMemcpy", to, from, bytes, kind, nullptr))
    return e;
  drain (nullptr);
  return cudaSuccess;
}

cudaError_t
cudaMemcpy2DAsync (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
    size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
  Call call ("cudaMemcpy2DAsync");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (width > to_pitch || width > from_pitch)
    return fail (cudaErrorInvalidValue,
        "cudaMemcpy2DAsync: rows of %zu bytes in pitches of %zu and %zu", width, to_pitch, from_pitch);
  for (size_t y = 0; y < height; y++)
    if (cudaError_t e = copy ("cudaMemcpy2DAsync", (u8 *) to + y * to_pitch,
            (const u8 *) from + y * from_pitch, width, kind, stream))
      return e;
  return cudaSuccess;
}

cudaError_t
cudaMemset2DAsync (void *p, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream)
{
  for (size_t y = 0; y < height; y++)
    if (cudaError_t e = cudaMemsetAsync ((u8 *) p + y * pitch, value, width, stream))
      return e;
  return cudaSuccess;
}

cudaError_t
cudaMemsetAsync (void *p, int value, size_t bytes, cudaStream_t stream)
{
  Call call ("cudaMemsetAsync");
  Extent64 extent;

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (!is_device_memory (p) && !is_allocated (p, bytes))
    return fail (cudaErrorInvalidValue, "cudaMemsetAsync: %p is not device memory", p);
  if (!is_allocated (p, bytes) && find_allocation ((u64) p, &extent))
    return fail (cudaErrorInvalidValue,
        "cudaMemsetAsync: %zu bytes at %p are more than its allocation holds", bytes, p);
  return enqueue (stream, { "memset", nullptr }, [=] {
    if (!is_allocated (p, bytes))
      stop (EXIT_DEVICE_FAULT, "memset of %zu bytes: %p is not (any more, or not yet) allocated", bytes,
          p);
    count_copy ("memset", bytes);
    memset (p, value, bytes);
    mark_written (p, bytes);
  });
}

cudaError_t
cudaMemset (void *p, int value, size_t bytes)
{
  return cudaMemsetAsync (p, value, bytes, nullptr);
}
}
