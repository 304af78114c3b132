/* dsvl2: the CUDA stand-in: every access of a kernel to memory is checked here
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * In this order: alignment, bounds, whether what is read was ever written, races. A race is two accesses of
 * different threads to one byte, one of them a write, not both atomic, with no barrier between them:
 *   - threads of one block: __syncthreads, or __syncwarp if they share a warp;
 *   - blocks of one launch: nothing orders them.
 * Of readers and writers the last one is known and whether there were others, so a race between bytes of one
 * pair that different threads write may pass unseen; no race is seen where there is none.
 */
#include "standin.h"

#include <cstdlib>
#include <cstring>

using namespace standin;

namespace {

const bool check_global_races = setting ("STANDIN_RACES", 1) != 0;

/* An access of one lane. */
struct Touch {
  Block *b;
  Warp *w;
  u32 lane;
  Access access;
  const Site *site;
  bool in_shared;

  const char *
  where () const
  {
    return in_shared ? "shared" : "global";
  }
  /* What was done before this epoch is of no concern: shared memory is a block's, global memory a launch's. */
  u32
  begin () const
  {
    return in_shared ? b->first_epoch : b->launch_epoch;
  }
  u32
  thread () const
  {
    return w->id * LANES + lane;
  }
  bool
  reads () const
  {
    return access == ACCESS_LOAD || access == ACCESS_ATOMIC || access == ACCESS_ATOMIC_LOAD;
  }
  bool
  writes () const
  {
    return access == ACCESS_STORE || access == ACCESS_ATOMIC || access == ACCESS_ATOMIC_STORE;
  }
  bool
  atomic () const
  {
    return access >= ACCESS_ATOMIC;
  }
};

const char *
verb (const Touch &t)
{
  return t.access == ACCESS_LOAD ? "load" : t.access == ACCESS_STORE ? "store" : "atomic operation";
}

[[noreturn]] void
report_race (const Touch &t, u64 at, bool wrote, u32 thread, bool same_block)
{
  device_fault (t.b, t.w, t.lane, t.site,
      "race in %s memory: %s at %#lx, which thread %u of %s %s with no barrier between", t.where (),
      verb (t), at, thread, same_block ? "this block" : "another block", wrote ? "wrote" : "read");
}

/* May this access come after the write that the shadow remembers? */
void
check_after_write (const Touch &t, const Shadow *s, u32 bytes, u64 at)
{
  const u32 thread = s->writer & SHADOW_THREAD;
  const bool same_block = s->write_epoch >= t.b->first_epoch;

  if (s->write_epoch < t.begin () || !(s->writer & bytes) || (t.atomic () && s->writer & SHADOW_ATOMIC))
    return;
  if (same_block && (thread == t.thread () || s->write_epoch < t.b->epoch))
    return;
  if (same_block && thread / LANES == t.w->id && s->write_warp_epoch != (u16) t.w->epoch)
    return;
  report_race (t, at, true, thread, same_block);
}

/* May this write come after the reads that the shadow remembers? */
void
check_after_read (const Touch &t, const Shadow *s, u32 bytes, u64 at)
{
  const u32 thread = s->reader & SHADOW_THREAD;
  const bool same_block = s->read_epoch >= t.b->first_epoch;

  if (s->read_epoch < t.begin () || !(s->reader & bytes))
    return;
  if (!same_block || s->reader & SHADOW_OTHER_BLOCKS)
    report_race (t, at, false, thread, false);
  if (s->read_epoch < t.b->epoch)
    return;
  if (!(s->reader & SHADOW_SEVERAL_WARPS) && thread / LANES == t.w->id &&
      (s->read_warp_epoch != (u16) t.w->epoch ||
          (!(s->reader & SHADOW_SEVERAL_LANES) && thread == t.thread ())))
    return;
  report_race (t, at, false, thread, true);
}

void
remember_read (const Touch &t, Shadow *s, u32 bytes)
{
  u32 others = 0;

  if (s->read_epoch >= t.begin ()) {
    const u32 thread = s->reader & SHADOW_THREAD;

    others = s->reader & (SHADOW_OTHER_BLOCKS | SHADOW_BYTES);
    if (s->read_epoch < t.b->first_epoch)
      others |= SHADOW_OTHER_BLOCKS;
    else if (s->read_epoch == t.b->epoch) {
      others |= s->reader & SHADOW_SEVERAL_WARPS;
      if (thread / LANES != t.w->id)
        others |= SHADOW_SEVERAL_WARPS;
      else if (s->read_warp_epoch == (u16) t.w->epoch)
        others |= s->reader & SHADOW_SEVERAL_LANES || thread != t.thread () ? SHADOW_SEVERAL_LANES : 0;
    }
  }
  s->read_epoch = t.b->epoch;
  s->read_warp_epoch = t.w->epoch;
  s->reader = t.thread () | bytes | others;
}

/* Checks and remembers an access to `bytes` from address `at`, whose first pair of bytes has the shadow s. */
void
touch (const Touch &t, Shadow *s, u64 at, u32 bytes)
{
  for (u64 begin = at & ~(u64) 1; begin < at + bytes; begin += 2, s++) {
    const u32 which = ((begin >= at) | (begin + 1 < at + bytes) << 1) << SHADOW_BYTES_SHIFT;
    const bool fresh_read = s->read_epoch < t.begin (), fresh_write = s->write_epoch < t.begin ();

    check_after_write (t, s, which, begin);
    if (t.writes ()) {
      check_after_read (t, s, which, begin);
      t.b->count.unique_written += fresh_write && !t.in_shared ? 2 : 0;
      s->write_epoch = t.b->epoch;
      s->write_warp_epoch = t.w->epoch;
      s->writer = t.thread () | which | (t.atomic () ? SHADOW_ATOMIC : 0);
    }
    if (t.reads ()) {
      t.b->count.unique_read += fresh_read && fresh_write && !t.in_shared ? 2 : 0;
      if (t.access == ACCESS_LOAD)
        remember_read (t, s, which);
    }
  }
}

void
check_alignment (Block *b, Warp *w, u32 lanes, const u64 *address, u32 bytes, const Site *site,
    const char *where)
{
  for (u32 rest = lanes; rest; rest &= rest - 1) {
    const u32 l = __builtin_ctz (rest);

    if (address[l] & (bytes - 1))
      device_fault (b, w, l, site, "misaligned access to %s memory: %u bytes at %#lx", where, bytes,
          address[l]);
  }
}

/* --- shared memory ------------------------------------------------------------------------------- */

void
shared_touch (const Touch &t, u64 offset, u32 bytes)
{
  Block *b = t.b;

  for (u32 i = 0; i < bytes; i++)
    if (offset + i >= b->shared_bytes || !b->shared_valid[offset + i])
      device_fault (b, t.w, t.lane, t.site,
          "out of bounds in shared memory: %s of %u bytes at offset %lu", verb (t), bytes, offset);
  if (t.reads ())
    for (u32 i = 0; i < bytes; i++)
      if (!b->shared_written[offset + i])
        device_fault (b, t.w, t.lane, t.site, "uninitialised shared memory: %s at offset %lu", verb (t),
            offset + i);
  touch (t, b->shared_shadow + offset / 2, offset, bytes);
  if (t.writes ())
    memset (b->shared_written + offset, 1, bytes);
  b->count.shared += bytes;
}

/* --- global memory ------------------------------------------------------------------------------- */

/* The allocation, or variable, that an address lies in, kept in the site. */
void
locate (Block *b, Warp *w, u32 lane, u64 address, u32 bytes, Access access, Site *site)
{
  Extent64 extent;

  if (site->launch == b->launch && address >= site->low && address + bytes <= site->high)
    return;
  if ((!find_allocation (address, &extent) && !find_variable (address, &extent)) ||
      address + bytes > extent.high)
    device_fault (b, w, lane, site,
        "out of bounds in global memory: %s of %u bytes at %#lx, which is %s",
        access == ACCESS_LOAD ? "load" : "store", bytes, address,
        is_device_memory ((void *) address) ? "in no allocation" : "no device memory");
  if (owner_of ((void *) address) != nullptr)
    device_fault (b, w, lane, site, "%s at %#lx: memory of another context than the kernel's",
        access == ACCESS_LOAD ? "load" : "store", address);
  site->launch = b->launch;
  site->low = extent.low;
  site->high = extent.high;
}

void
global_touch (const Touch &t, u64 address, u32 bytes)
{
  size_t missing = 0;

  if (t.reads ()) {
    t.b->count.read += bytes;
    if (!is_written ((void *) address, bytes, &missing))
      device_fault (t.b, t.w, t.lane, t.site,
          "uninitialised global memory: %s of %u bytes at %#lx, byte %zu", verb (t), bytes, address,
          missing);
  }
  if (t.writes ())
    t.b->count.written += bytes;
  if (Shadow *s = check_global_races ? shadow_of (address) : nullptr)
    touch (t, s, address, bytes);
  if (t.writes ())
    mark_written ((void *) address, bytes);
}

bool
is_shared (const Block *b, u64 address)
{
  return address - (u64) b->shared < b->shared_bytes;
}

} // namespace

void
shared_access (Block *b, Warp *w, u32 lanes, u64 *address, u32 bytes, Access access, Site *site)
{
  check_alignment (b, w, lanes, address, bytes, site, "shared");
  for (u32 rest = lanes; rest; rest &= rest - 1) {
    const u32 l = __builtin_ctz (rest);

    shared_touch ({ b, w, l, access, site, true }, address[l], bytes);
    address[l] += (u64) b->shared;
  }
}

void
generic_access (Block *b, Warp *w, u32 lanes, u64 *address, u32 bytes, Access access, Site *site)
{
  const u32 local_bytes = b->local_bytes;

  check_alignment (b, w, lanes, address, bytes, site, "global");
  for (u32 rest = lanes; rest; rest &= rest - 1) {
    const u32 l = __builtin_ctz (rest);

    if (is_shared (b, address[l])) {
      shared_touch ({ b, w, l, access, site, true }, address[l] - (u64) b->shared, bytes);
    } else if (local_bytes && address[l] - (u64) w->local[l] < local_bytes) {
      if (address[l] - (u64) w->local[l] + bytes > local_bytes)
        device_fault (b, w, l, site, "out of bounds in local memory");
    } else {
      locate (b, w, l, address[l], bytes, access, site);
      global_touch ({ b, w, l, access, site, false }, address[l], bytes);
    }
  }
}

/* --- cp.async ------------------------------------------------------------------------------------ */

/* Until the copy lands, the bytes hold nothing: whoever reads them reads uninitialised memory. */
void
async_copy (Block *b, Warp *w, u32 lane, u32 to, u64 from, u32 bytes, u32 from_bytes, Site *site)
{
  AsyncCopies *a = &w->async[lane];
  u64 address = from, offset = to;

  if (from_bytes > bytes)
    device_fault (b, w, lane, site, "cp.async of %u bytes reads %u", bytes, from_bytes);
  check_alignment (b, w, 1u << lane, &address - lane, bytes, site, "global");
  check_alignment (b, w, 1u << lane, &offset - lane, bytes, site, "shared");
  if (from_bytes > 0) {
    locate (b, w, lane, from, from_bytes, ACCESS_LOAD, site);
    global_touch ({ b, w, lane, ACCESS_LOAD, site, false }, from, from_bytes);
  }
  shared_touch ({ b, w, lane, ACCESS_STORE, site, true }, to, bytes);
  memset (b->shared_written + to, 0, bytes);
  if (a->n == a->room) {
    a->room = a->room ? 2 * a->room : 8;
    a->copy = (AsyncCopy *) realloc (a->copy, a->room * sizeof *a->copy);
  }
  a->copy[a->n++] = { to, from, bytes, from_bytes, a->group, site };
}

void
async_commit (Warp *w, u32 lane)
{
  w->async[lane].group++;
}

void
async_wait (Block *b, Warp *w, u32 lane, u32 pending)
{
  AsyncCopies *a = &w->async[lane];
  u32 kept = 0;

  for (u32 i = 0; i < a->n; i++) {
    const AsyncCopy c = a->copy[i];

    if (c.group + pending >= a->group) {
      a->copy[kept++] = c;
      continue;
    }
    shared_touch ({ b, w, lane, ACCESS_STORE, c.site, true }, c.to, c.bytes);
    memcpy (b->shared + c.to, (const void *) c.from, c.from_bytes);
    memset (b->shared + c.to + c.from_bytes, 0, c.bytes - c.from_bytes);
  }
  a->n = kept;
}
