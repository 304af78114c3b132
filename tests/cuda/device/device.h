/* dsvl2: the CUDA stand-in: what translated kernels and the emulated runtime share
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * translate/ptx2c.py turns each kernel of a PTX file into a C function that runs one warp: every PTX
 * register is an array of 32 lanes, every instruction a loop over the lanes that take part. The library
 * that holds these functions calls device_register() as it is loaded. The runtime (runtime/execute.cc)
 * calls the function of a kernel once for each warp between two barriers, and is called back for every
 * access to memory, which it checks. A check that fails writes one sentence and ends the process with
 * EXIT_DEVICE_FAULT.
 */
#ifndef STANDIN_DEVICE_H
#define STANDIN_DEVICE_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef __int128 s128;
typedef unsigned __int128 u128;

enum {
  LANES = 32,
  MAX_THREADS = 1024,
  MAX_WARPS = MAX_THREADS / LANES,
  RED_ZONE = 16, /* bytes behind each array in shared memory */
  EXIT_DEVICE_FAULT = 98,
  FULL_MASK = -1,
};

/* An instruction that can fault: where its source is, and where its last access went, so that the next
 * one need not look the allocation up again. */
typedef struct {
  const char *file;
  int line;
  u32 dropped; /* a barrier that STANDIN_DROP_BARRIER takes away */
  u32 launch;  /* low and high belong to this launch */
  u64 low, high;
} Site;

/* A copy that cp.async has begun. */
typedef struct {
  u32 to;   /* offset in shared memory */
  u64 from; /* global address */
  u32 bytes, from_bytes;
  u32 group;
  Site *site;
} AsyncCopy;

/* Copies that a lane has begun and not yet waited for. */
typedef struct {
  AsyncCopy *copy;
  u32 n, room, group;
} AsyncCopies;

typedef struct {
  void *regs; /* the kernel's own structure of registers */
  u32 id;
  u32 live;      /* lanes that have not returned */
  u32 exited;    /* lanes that have, or never were */
  u32 wait;      /* lanes that wait in a warp-wide instruction for others */
  u32 epoch;     /* counts __syncwarp */
  u16 pc[LANES]; /* basic block that each lane runs next */
  u32 tid[3][LANES];
  u8 *local[LANES];
  Site *barrier;     /* the block-wide barrier that it has come to, or NULL */
  u32 barrier_votes; /* … and how many of its lanes brought a true predicate */
  u32 last_chance;   /* nobody else can come: an incomplete warp-wide instruction is a fault */
  AsyncCopies async[LANES];
} Warp;

/* Two bytes of memory, as the race check sees them. An epoch is a number of the time between two
 * barriers of one block, never used twice. */
typedef struct {
  u32 write_epoch, read_epoch;
  u16 write_warp_epoch, read_warp_epoch;
  u16 writer, reader; /* thread | SHADOW_* */
} Shadow;

enum {
  SHADOW_THREAD = 0x3ff,
  SHADOW_BYTES_SHIFT = 10, /* which of the two bytes */
  SHADOW_BYTES = 3 << SHADOW_BYTES_SHIFT,
  SHADOW_ATOMIC = 1 << 12, /* of a writer: it was an atomic operation */
  SHADOW_SEVERAL_LANES =
      1 << 13, /* of a reader: other lanes of its warp read too, since the last __syncwarp */
  SHADOW_SEVERAL_WARPS = 1 << 14, /* … other warps of its block read too, since the last barrier */
  SHADOW_OTHER_BLOCKS = 1 << 15,  /* … other blocks read too, in this launch */
};

/* What a kernel has done, summed over a launch. */
typedef struct {
  u64 instructions, flops, matrix_flops, special; /* by lanes */
  u64 read, written;                              /* bytes asked for in global memory */
  u64 unique_read, unique_written; /* bytes of global memory, each counted once a launch */
  u64 shared;                      /* bytes read and written in shared memory */
} Counters;

/* The block of threads that is running. */
typedef struct {
  const char *kernel;
  u8 *param, *shared;
  u32 ntid[3], ctaid[3], nctaid[3];
  u32 shared_bytes, static_bytes, dynamic_bytes, local_bytes, param_bytes;
  u32 launch, epoch, first_epoch, launch_epoch; /* epochs: now, when this block and this launch began */
  u32 votes;                                    /* of the last barrier that counts */
  u8 *shared_valid, *shared_written;            /* a byte each */
  Shadow *shared_shadow;
  u64 *visits; /* lanes that entered each basic block */
  Counters count;
} Block;

typedef struct {
  u32 offset, bytes;
} Extent;

/* What one lane's pass through a basic block costs. */
typedef struct {
  u32 instructions, flops, matrix_flops, special;
} Cost;

typedef struct {
  const char *name;
  void (*run) (Block *, Warp *);
  size_t register_bytes;
  const Extent *params;
  u32 n_params, param_bytes;
  const Extent *arrays; /* in shared memory; the one of 0 bytes is the dynamic one */
  u32 n_arrays, static_bytes, local_bytes;
  u32 max_threads; /* of __launch_bounds__; 0: none */
  const Cost *costs;
  u32 n_blocks;
} Kernel;

typedef struct {
  const char *name;
  void *data;
  size_t bytes;
} Variable;

/* ACCESS_ATOMIC reads and writes. Atomic accesses of different threads do not race with each other. */
typedef enum {
  ACCESS_LOAD,
  ACCESS_STORE,
  ACCESS_ATOMIC,
  ACCESS_ATOMIC_LOAD,
  ACCESS_ATOMIC_STORE
} Access;

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the kernels, variables and barriers of a library known. The arrays stay the caller's and must
 * outlive it. */
void device_register (const Kernel *kernels, u32 n_kernels, const Variable *variables, u32 n_variables,
    Site *const *barriers, u32 n_barriers);

/* Writes where the kernel is and why it cannot go on, then ends the process. */
void device_fault (Block *b, Warp *w, u32 lane, const Site *site, const char *format, ...)
    __attribute__ ((noreturn, format (printf, 5, 6)));

/* The lanes that run next, and their basic block; −1 when all have returned. */
int warp_next (Block *b, Warp *w, u32 *lanes);

/* Check `bytes` (1 … 32) at address[l] for each lane of the mask. generic_access() replaces addresses in
 * shared memory's window by pointers, shared_access() takes offsets and does so for all. */
void generic_access (Block *b, Warp *w, u32 lanes, u64 *address, u32 bytes, Access access, Site *site);
void shared_access (Block *b, Warp *w, u32 lanes, u64 *address, u32 bytes, Access access, Site *site);

void async_copy (Block *b, Warp *w, u32 lane, u32 to, u64 from, u32 bytes, u32 from_bytes, Site *site);
void async_commit (Warp *w, u32 lane);
/* Lands all copies of the lane but those of its `pending` newest groups. */
void async_wait (Block *b, Warp *w, u32 lane, u32 pending);

/* Device printf: 64-bit arguments lie at multiples of 8 bytes. */
void device_printf (const char *format, const u8 *arguments);

#ifdef __cplusplus
}
#endif

#endif
