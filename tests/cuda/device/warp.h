/* dsvl2: the CUDA stand-in: control flow of a translated kernel
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A translated kernel is a switch over its basic blocks. Lanes that are together run a block in lock step;
 * where they part, each keeps the number of its next block in Warp.pc, and warp_next() lets the lowest
 * number run first, so they meet again where the code does. An instruction that names lanes (.sync) begins a
 * basic block and waits there until the named lanes have come.
 *
 * The macros expect the translated function's names: b (Block), w (Warp), r (registers), m (the lanes
 * that run), next (a label). */
#ifndef STANDIN_WARP_H
#define STANDIN_WARP_H

#include "device.h"

/* For each lane l of a mask. */
#define EACH_LANE(MASK, ...)                                                                           \
  do {                                                                                                 \
    for (u32 rest_ = (MASK); rest_; rest_ &= rest_ - 1) {                                              \
      const int l = __builtin_ctz (rest_);                                                             \
      __VA_ARGS__                                                                                      \
    }                                                                                                  \
  } while (0)

/* The same for arithmetic: a whole warp is a loop that the compiler makes vectors of. */
#define EACH_LANE_FAST(MASK, ...)                                                                      \
  do {                                                                                                 \
    if ((MASK) == (u32) FULL_MASK)                                                                     \
      for (int l = 0; l < LANES; l++) {                                                                \
        __VA_ARGS__                                                                                    \
      }                                                                                                \
    else                                                                                               \
      EACH_LANE (MASK, __VA_ARGS__);                                                                   \
  } while (0)

static inline void
set_pc (Warp *w, u32 lanes, int pc)
{
  EACH_LANE (lanes, w->pc[l] = pc;);
}

/* Those of `lanes` whose predicate is as wanted. */
static inline u32
lanes_where (u32 lanes, const u8 *predicate, int wanted)
{
  u32 yes = 0;

  for (int l = 0; l < LANES; l++)
    yes |= (u32) (predicate[l] != 0) << l;
  return lanes & (wanted ? yes : ~yes);
}

/* An address that a kernel computed in its parameters; it must not begin outside them. */
static inline const u8 *
param_at (Block *b, Warp *w, u32 lane, u64 address, const Site *site)
{
  if (address - (u64) b->param >= b->param_bytes)
    device_fault (b, w, lane, site, "out of bounds in the kernel's parameters");
  return (const u8 *) address;
}

/* On to a basic block; through warp_next() where other lanes may be behind. */
#define GO_TO(N)                                                                                       \
  do {                                                                                                 \
    if (w->live & ~m) {                                                                                \
      set_pc (w, m, N);                                                                                \
      goto next;                                                                                       \
    }                                                                                                  \
    goto B##N;                                                                                         \
  } while (0)

#define BRANCH(TAKEN, TO, ELSE)                                                                        \
  do {                                                                                                 \
    const u32 taken_ = (TAKEN);                                                                        \
    if (taken_ == m)                                                                                   \
      GO_TO (TO);                                                                                      \
    if (taken_) {                                                                                      \
      set_pc (w, taken_, TO);                                                                          \
      set_pc (w, m & ~taken_, ELSE);                                                                   \
      goto next;                                                                                       \
    }                                                                                                  \
  } while (0)

#define RETURN(LANES_)                                                                                 \
  do {                                                                                                 \
    const u32 done_ = (LANES_);                                                                        \
    w->live &= ~done_;                                                                                 \
    w->exited |= done_;                                                                                \
    m &= ~done_;                                                                                       \
    if (!m)                                                                                            \
      goto next;                                                                                       \
  } while (0)

/* Begins a warp-wide instruction in basic block N: m becomes all lanes that have come, or they wait. */
#define MEET(NAMED, N, SITE, WHAT)                                                                     \
  do {                                                                                                 \
    const u32 named_ = (NAMED), first_ = __builtin_ctz (m);                                            \
    EACH_LANE (                                                                                        \
        w->wait, if (w->pc[l] == (N)) {                                                                \
          m |= (u32) 1 << l;                                                                           \
          w->wait &= ~((u32) 1 << l);                                                                  \
        });                                                                                            \
    if (named_ & w->exited)                                                                            \
      device_fault (b, w, first_, SITE, WHAT " names lanes that have returned: mask %08x", named_);    \
    if (~named_ & m)                                                                                   \
      device_fault (b, w, first_, SITE, WHAT ": a lane is not in its own mask %08x", named_);          \
    if (named_ & w->live & ~m) {                                                                       \
      if (w->last_chance)                                                                              \
        device_fault (b, w, first_, SITE, "divergent " WHAT ": mask %08x, but only %08x came", named_, \
            m);                                                                                        \
      set_pc (w, m, N);                                                                                \
      w->wait |= m;                                                                                    \
      goto next;                                                                                       \
    }                                                                                                  \
  } while (0)

/* Leaves the kernel until all warps have come to the same barrier; basic block N comes after it. */
#define BLOCK_BARRIER(N, SITE, VOTES)                                                                  \
  do {                                                                                                 \
    w->barrier_votes = (VOTES);                                                                        \
    set_pc (w, m, N);                                                                                  \
    w->barrier = (SITE);                                                                               \
    return;                                                                                            \
  } while (0)

#endif
