/* dsvl2: the CUDA stand-in: runs a launch, block by block, warp by warp from barrier to barrier
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "standin.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <vector>

namespace standin {

/* Numbers of launches and of times between barriers; never used twice. */
static u32 last_launch, last_epoch = 1;

/* The memory of one launch. */
struct Room {
  std::vector<u8> shared_valid, shared_written, registers, local;
  std::vector<Shadow> shadow;
  std::vector<u64> visits;
  std::vector<Warp> warps;
  u8 *shared;
};

static u8 *
aligned (std::vector<u8> &bytes)
{
  return (u8 *) (((u64) bytes.data () + 63) & ~(u64) 63);
}

static void
prepare (const Launch &launch, Block *b, Room *room)
{
  const Kernel *k = launch.kernel;
  const dim3 g = launch.grid, n = launch.block;
  const u32 threads = n.x * n.y * n.z, warps = (threads + LANES - 1) / LANES;

  *b = {};
  b->kernel = k->name;
  b->param = (u8 *) launch.params.data ();
  b->static_bytes = k->static_bytes;
  b->dynamic_bytes = launch.dynamic_bytes;
  b->shared_bytes = k->static_bytes + launch.dynamic_bytes;
  b->local_bytes = k->local_bytes;
  b->param_bytes = k->param_bytes;
  b->launch = ++last_launch;
  b->launch_epoch = last_epoch + 1;
  const u32 sides[2][3] = { { n.x, n.y, n.z }, { g.x, g.y, g.z } };
  memcpy (b->ntid, sides[0], sizeof b->ntid);
  memcpy (b->nctaid, sides[1], sizeof b->nctaid);

  room->shared = (u8 *) aligned_alloc (1024, b->shared_bytes / 1024 * 1024 + 1024);
  room->shared_valid.assign (b->shared_bytes + 1, 0);
  for (u32 i = 0; i < k->n_arrays; i++) {
    const Extent &a = k->arrays[i];
    memset (room->shared_valid.data () + a.offset, 1, a.bytes ? a.bytes : launch.dynamic_bytes);
  }
  room->shared_written.resize (b->shared_bytes + 1);
  room->shadow.assign (b->shared_bytes / 2 + 1, Shadow{});
  room->registers.resize (k->register_bytes * warps + 64);
  room->local.resize ((size_t) k->local_bytes * threads + 64);
  room->visits.assign (k->n_blocks, 0);
  room->warps.assign (warps, Warp{});
  b->shared = room->shared;
  b->shared_valid = room->shared_valid.data ();
  b->shared_written = room->shared_written.data ();
  b->shared_shadow = room->shadow.data ();
  b->visits = room->visits.data ();
}

/* A warp whose threads have yet to begin. Registers hold what they held: nothing may depend on it. */
static void
begin_warp (const Launch &launch, Room *room, u32 id)
{
  const Kernel *k = launch.kernel;
  const dim3 n = launch.block;
  const u32 threads = n.x * n.y * n.z;
  Warp *w = &room->warps[id];

  for (AsyncCopies &a : w->async)
    a.n = a.group = 0;
  w->regs = aligned (room->registers) + k->register_bytes * id;
  w->id = id;
  w->live = w->exited = w->wait = w->epoch = w->last_chance = 0;
  w->barrier = nullptr;
  for (u32 l = 0; l < LANES; l++) {
    const u32 t = id * LANES + l;

    w->live |= (u32) (t < threads) << l;
    w->pc[l] = 0;
    w->tid[0][l] = t % n.x;
    w->tid[1][l] = t / n.x % n.y;
    w->tid[2][l] = t / (n.x * n.y);
    w->local[l] = aligned (room->local) + (t < threads ? (size_t) k->local_bytes * t : 0);
  }
}

/* All warps have run as far as they can: either all of them stand at one barrier with all their threads, or
 * all have returned. */
static bool
meet_at_barrier (Block *b, Room *room, u32 threads)
{
  const Warp *first = nullptr;
  u32 standing = 0, votes = 0;

  for (Warp &w : room->warps) {
    if (!w.live)
      continue;
    if (first && w.barrier != first->barrier)
      device_fault (b, &w, __builtin_ctz (w.live), w.barrier,
          "divergent barrier: another warp waits at %s:%d", first->barrier->file, first->barrier->line);
    first = &w;
    standing += __builtin_popcount (w.live);
    votes += w.barrier_votes;
  }
  if (!first)
    return false;
  if (standing != threads)
    device_fault (b, (Warp *) first, __builtin_ctz (first->live), first->barrier,
        "barrier that %u threads of the block reach and %u do not: they have returned", standing,
        threads - standing);
  b->votes = votes;
  b->epoch = ++last_epoch;
  return true;
}

static void
run_block (const Launch &launch, Block *b, Room *room)
{
  const u32 threads = launch.block.x * launch.block.y * launch.block.z;

  b->epoch = b->first_epoch = ++last_epoch;
  memset (b->shared_written, 0, b->shared_bytes);
  memset (b->shared, 0xff, b->shared_bytes);
  for (u32 i = 0; i < room->warps.size (); i++)
    begin_warp (launch, room, i);
  do {
    for (Warp &w : room->warps)
      if (w.live) {
        w.barrier = nullptr;
        w.barrier_votes = 0;
        launch.kernel->run (b, &w);
      }
  } while (meet_at_barrier (b, room, threads));
  for (Warp &w : room->warps)
    for (const AsyncCopies &a : w.async)
      if (a.n)
        device_fault (b, &w, 0, a.copy[0].site,
            "the block ends with a cp.async that nobody waited for");
}

static void
add_costs (const Kernel *k, Block *b)
{
  for (u32 i = 0; i < k->n_blocks; i++) {
    b->count.instructions += b->visits[i] * k->costs[i].instructions;
    b->count.flops += b->visits[i] * k->costs[i].flops;
    b->count.special += b->visits[i] * k->costs[i].special;
  }
}

void
execute (const Launch &launch)
{
  Block b;
  Room room;

  prepare (launch, &b, &room);
  for (b.ctaid[2] = 0; b.ctaid[2] < launch.grid.z; b.ctaid[2]++)
    for (b.ctaid[1] = 0; b.ctaid[1] < launch.grid.y; b.ctaid[1]++)
      for (b.ctaid[0] = 0; b.ctaid[0] < launch.grid.x; b.ctaid[0]++)
        run_block (launch, &b, &room);
  add_costs (launch.kernel, &b);
  count_launch (launch, b.count);
  for (Warp &w : room.warps)
    for (AsyncCopies &a : w.async)
      free (a.copy);
  free (room.shared);
}

} // namespace standin

/* --- what translated kernels call ---------------------------------------------------------------- */

using namespace standin;

void
device_fault (Block *b, Warp *w, u32 lane, const Site *site, const char *format, ...)
{
  va_list arguments;

  fflush (stdout);
  fprintf (stderr, "stand-in: ");
  va_start (arguments, format);
  vfprintf (stderr, format, arguments);
  va_end (arguments);
  fprintf (stderr, "\n  at %s:%d, kernel %s, block (%u, %u, %u), thread (%u, %u, %u)\n",
      site ? site->file : "?", site ? site->line : 0, b->kernel, b->ctaid[0], b->ctaid[1], b->ctaid[2],
      w->tid[0][lane], w->tid[1][lane], w->tid[2][lane]);
  write_counters ();
  fflush (nullptr);
  _exit (EXIT_DEVICE_FAULT);
}

int
warp_next (Block *, Warp *w, u32 *lanes)
{
  u32 ready = w->live & ~w->wait;
  int lowest = UINT16_MAX + 1;

  w->last_chance = 0;
  if (!ready && w->live) { /* all wait: nobody else can come */
    ready = w->live;
    w->wait = 0;
    w->last_chance = 1;
  }
  if (!ready)
    return -1;
  *lanes = 0;
  for (u32 rest = ready; rest; rest &= rest - 1) {
    const u32 l = __builtin_ctz (rest);

    if (w->pc[l] < lowest) {
      lowest = w->pc[l];
      *lanes = 0;
    }
    if (w->pc[l] == lowest)
      *lanes |= 1u << l;
  }
  if (w->last_chance)
    w->wait = w->live & ~*lanes;
  return lowest;
}

/* A conversion of printf's with its one argument; how many bytes of arguments it used. */
static size_t
print_one (const char *conversion, size_t length, const u8 *arguments, size_t at)
{
  char format[32];
  const char kind = conversion[length - 1];
  const bool is_float = strchr ("eEfFgGaA", kind),
             wide = is_float || strchr ("sp", kind) || memchr (conversion, 'l', length);
  size_t begin = wide ? (at + 7) / 8 * 8 : at;
  double f;
  u64 i = 0;

  snprintf (format, sizeof format, "%.*s", (int) length, conversion);
  memcpy (&i, arguments + begin, wide ? 8 : 4);
  memcpy (&f, &i, sizeof f);
  if (is_float)
    printf (format, f);
  else if (wide)
    printf (format, i);
  else
    printf (format, (u32) i);
  return begin + (wide ? 8 : 4);
}

void
device_printf (const char *format, const u8 *arguments)
{
  size_t at = 0;

  while (*format) {
    const size_t plain = strcspn (format, "%");

    printf ("%.*s", (int) plain, format);
    format += plain;
    if (format[0] == '%' && format[1] == '%') {
      putchar ('%');
      format += 2;
    } else if (*format) {
      const size_t length = 2 + strcspn (format + 1, "diouxXeEfFgGaAcsp");
      at = print_one (format, length, arguments, at);
      format += length;
    }
  }
}
