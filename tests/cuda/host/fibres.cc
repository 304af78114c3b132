/* dsvl2: threads of a kernel as fibres: block barriers, operations of a warp, launching
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * It stands for hardware: sanitizers do not look into it, but are told of fibres and of the order that barriers
 * make (SANITIZE_ADDRESS, SANITIZE_THREAD). Nothing else orders the threads of a block for them. */
#include "fibres.h"

#include "../runtime/standin.h"

#include <cuda_bf16.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#if defined SANITIZE_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#endif

/* fibre_switch (&save, load) keeps where the running stack is and goes on on another one. */
asm(R"(
.text
.local fibre_switch
fibre_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
extern "C" void fibre_switch (void **save, void *load);

/* NVIDIA's header has these const, which they are for each fibre. */
asm(R"(
.bss
.balign 16
.globl threadIdx, blockIdx, blockDim, gridDim
.hidden threadIdx, blockIdx, blockDim, gridDim
threadIdx: .zero 16
blockIdx:  .zero 16
blockDim:  .zero 16
gridDim:   .zero 16
.text
)");
extern "C" {
extern __attribute__ ((visibility ("hidden"))) uint3 threadIdx, blockIdx;
extern __attribute__ ((visibility ("hidden"))) dim3 blockDim, gridDim;
}

namespace standin {

enum State { READY, AT_BARRIER, IN_WARP, RETURNED };

/* What sanitizers take for locks: all release `arrived`, the last one acquires it and releases `opened`, which all
 * acquire. So whoever runs ahead to the next barrier tells those still at this one nothing. */
struct Gate {
  char arrived, opened;
};

struct Warp {
  unsigned waiting; /* lanes in an operation */
  struct Fibre *lane[32];
  Gate gate;
};

struct Fibre {
  void *stack, *stack_pointer, *fake_stack, *sanitizer;
  uint3 index;
  int lane;
  Warp *warp;
  State state;
  const char *what; /* it waits in */
  Where here;
  unsigned mask;
  Offer offer;
  std::deque<Copy> copies;
  unsigned group;
};

static const size_t STACK = 256 << 10;

static std::vector<std::unique_ptr<Fibre>> fibres;
static std::vector<Warp> warps;
static Fibre *running;
static const std::function<void ()> *body;
static int alive, at_barrier;
static Where barrier;
static void *own_stack_pointer; /* of who runs the fibres */
unsigned char *dynamic_shared;

/* For sanitizers too. */
static Gate block_gate;
static char block_begins, block_ends;

/* --- sanitizers ---------------------------------------------------------------------------------- */

[[maybe_unused]] static void *own_sanitizer, *own_fake_stack;
[[maybe_unused]] static const void *own_stack;
[[maybe_unused]] static size_t own_stack_bytes;

static void
acquire ([[maybe_unused]] void *lock)
{
#if defined SANITIZE_THREAD
  __tsan_acquire (lock);
#endif
}

static void
release ([[maybe_unused]] void *lock)
{
#if defined SANITIZE_THREAD
  __tsan_release (lock);
#endif
}

static void
open_gate (Gate *gate)
{
  acquire (&gate->arrived);
  release (&gate->opened);
}

/* Before the stack is left for f's, or for that of who runs the fibres (NULL); and behind it. */
static void
leave_for ([[maybe_unused]] Fibre *f)
{
#if defined SANITIZE_THREAD
  __tsan_switch_to_fiber (f ? f->sanitizer : own_sanitizer, __tsan_switch_to_fiber_no_sync);
#elif defined SANITIZE_ADDRESS
  __sanitizer_start_switch_fiber (f ? &own_fake_stack : &running->fake_stack, f ? f->stack : own_stack,
      f ? STACK : own_stack_bytes);
#endif
}

static void
arrive_at ([[maybe_unused]] Fibre *f)
{
#if defined SANITIZE_ADDRESS
  if (f)
    __sanitizer_finish_switch_fiber (f->fake_stack, &own_stack, &own_stack_bytes);
  else
    __sanitizer_finish_switch_fiber (own_fake_stack, nullptr, nullptr);
#endif
}

/* --- fibres -------------------------------------------------------------------------------------- */

/* What is wrong, where, and where some of the others are. */
static void
complain (Where here, const char *what)
{
  int shown = 0;

  fflush (stdout);
  fprintf (stderr, "stand-in: %s\n  at %s:%d, block (%u, %u, %u)\n", what, here.file ? here.file : "?",
      here.line, blockIdx.x, blockIdx.y, blockIdx.z);
  for (const auto &f : fibres)
    if (f->state == AT_BARRIER || f->state == IN_WARP)
      if (shown++ < 4)
        fprintf (stderr, "  thread (%u, %u, %u) is in %s at %s:%d\n", f->index.x, f->index.y,
            f->index.z, f->what, f->here.file, f->here.line);
}

void
host_fault (Where here, const char *what)
{
  complain (here, what);
  fflush (nullptr);
  _exit (EXIT_DEVICE_FAULT);
}

static void
resume (Fibre *f)
{
  running = f;
  threadIdx = f->index;
  leave_for (f);
  fibre_switch (&own_stack_pointer, f->stack_pointer);
  arrive_at (nullptr);
}

static void
pause (State state, const char *what, Where here)
{
  Fibre *f = running;

  f->state = state;
  f->what = what;
  f->here = here;
  leave_for (nullptr);
  fibre_switch (&f->stack_pointer, own_stack_pointer);
  arrive_at (f);
}

/* A thread after the other, for ever. */
static void
run_threads ()
{
  arrive_at (running);
  for (;;) {
    acquire (&block_begins);
    (*body) ();
    release (&block_ends);
    if (!running->copies.empty ())
      host_fault (running->copies.front ().here,
          "the thread ends with a cp.async that nobody waited for");
    alive--;
    if (at_barrier > 0 && at_barrier == alive)
      host_fault (barrier, "barrier that some threads of the block do not reach: they have returned");
    pause (RETURNED, "nothing", {});
  }
}

static std::unique_ptr<Fibre>
make_fibre ()
{
  std::unique_ptr<Fibre> f (new Fibre{});
  void **top;

  f->stack = mmap (nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (f->stack == MAP_FAILED)
    stop (EXIT_DEVICE_FAULT, "no memory for the stack of a fibre");
  /* Not all at the same distance from a page, which would be one place of the cache. */
  top = (void **) ((char *) f->stack + STACK - fibres.size () * 320 % 32768 / 64 * 64);
  *--top = nullptr;
  *--top = (void *) run_threads;
  top -= 6; /* registers */
  f->stack_pointer = top;
#if defined SANITIZE_THREAD
  f->sanitizer = __tsan_create_fiber (0);
#endif
  return f;
}

/* --- waiting for each other ---------------------------------------------------------------------- */

int
lane ()
{
  return running->lane;
}

Offer *
offer ()
{
  return &running->offer;
}

/* STANDIN_DROP_BARRIER: attention.cu:57 */
static bool
is_dropped (Where here)
{
  static const char *const chosen = getenv ("STANDIN_DROP_BARRIER");
  const char *colon = chosen ? strrchr (chosen, ':') : nullptr;

  return colon && here.line == atoi (colon + 1) &&
         strncmp (basename (here.file), chosen, colon - chosen) == 0;
}

void
wait_for_block (Where here)
{
  if (is_dropped (here))
    return;
  if (at_barrier == 0)
    barrier = here;
  else if (here.line != barrier.line || strcmp (here.file, barrier.file) != 0)
    host_fault (here, "divergent barrier: others of the block wait at another one");
  release (&block_gate.arrived);
  if (alive < (int) (blockDim.x * blockDim.y * blockDim.z))
    host_fault (here, "barrier that some threads of the block do not reach: they have returned");
  if (++at_barrier < alive) {
    pause (AT_BARRIER, "__syncthreads", here);
  } else { /* the last one opens it */
    at_barrier = 0;
    for (int i = 0; i < alive; i++)
      fibres[i]->state = READY;
    open_gate (&block_gate);
  }
  acquire (&block_gate.opened);
}

void
meet_warp (unsigned mask, const char *what, Where here, Together together, bool orders)
{
  Fibre *f = running;
  Warp *w = f->warp;

  if (orders && is_dropped (here))
    return;
  if (!(mask >> f->lane & 1))
    host_fault (here, "a lane in an operation of its warp whose mask does not name it");
  f->mask = mask;
  if (orders)
    release (&w->gate.arrived);
  w->waiting |= 1u << f->lane;
  if ((w->waiting & mask) != mask) {
    pause (IN_WARP, what, here);
  } else { /* the last one does it */
    Offer *offers[32] = {};

    f->what = what;
    f->here = here;
    for (unsigned rest = mask; rest; rest &= rest - 1) {
      Fibre *other = w->lane[__builtin_ctz (rest)];

      if (other->mask != mask || other->here.line != here.line || strcmp (other->what, what) != 0)
        host_fault (here, "divergent: lanes of a mask are in different operations of the warp");
      offers[other->lane] = &other->offer;
      other->state = READY;
    }
    together (offers, mask);
    w->waiting &= ~mask;
    if (orders)
      open_gate (&w->gate);
  }
  if (orders)
    acquire (&w->gate.opened);
}

void
do_nothing (Offer *const *, unsigned)
{
}

void
do_shuffle (Offer *const lanes[32], unsigned mask)
{
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    Offer *o = lanes[__builtin_ctz (rest)];

    if (!lanes[o->from])
      host_fault (running->here, "shuffle from a lane which does not take part");
    o->result = lanes[o->from]->value;
  }
}

void
do_ballot (Offer *const lanes[32], unsigned mask)
{
  uint64_t votes = 0;

  for (unsigned rest = mask; rest; rest &= rest - 1)
    votes |= lanes[__builtin_ctz (rest)]->value << __builtin_ctz (rest);
  for (unsigned rest = mask; rest; rest &= rest - 1)
    lanes[__builtin_ctz (rest)]->result = votes;
}

/* Two bf16 in one register. */
static float
half_of (unsigned pair, int which)
{
  const unsigned bits = which ? pair & 0xffff0000 : pair << 16;
  float v;

  memcpy (&v, &bits, sizeof v);
  return v;
}

/* PTX ISA, "Matrix Fragments for mma.m16n8k16". */
void
do_mma_16_8_16 (Offer *const lanes[32], unsigned)
{
  float a[16][16], b[16][8];

  for (int l = 0; l < 32; l++)
    for (int n = 0; n < 12; n++) {
      const float v = half_of (lanes[l]->fragments[n / 2], n % 2);
      const int group = l / 4, quarter = l % 4;

      if (n < 8)
        a[group + n / 2 % 2 * 8][quarter * 2 + n % 2 + n / 4 * 8] = v;
      else
        b[quarter * 2 + n % 2 + (n - 8) / 2 * 8][group] = v;
    }
  for (int l = 0; l < 32; l++)
    for (int n = 0; n < 4; n++) {
      float sum = lanes[l]->sum[n];

      for (int k = 0; k < 16; k++)
        sum += a[l / 4 + n / 2 * 8][k] * b[k][l % 4 * 2 + n % 2];
      lanes[l]->sum[n] = sum;
    }
}

/* --- cp.async ------------------------------------------------------------------------------------ */

void
begin_copy (const Copy &copy)
{
  running->copies.push_back (copy);
  running->copies.back ().group = running->group;
}

void
close_copies ()
{
  running->group++;
}

bool
next_copy (unsigned left, Copy *copy)
{
  std::deque<Copy> &copies = running->copies;

  if (copies.empty () || copies.front ().group + left >= running->group)
    return false;
  *copy = copies.front ();
  copies.pop_front ();
  return true;
}

/* --- launching ----------------------------------------------------------------------------------- */

static void
begin_block (int threads)
{
  alive = threads;
  at_barrier = 0;
  for (int i = 0; i < threads; i++) {
    Fibre *f = fibres[i].get ();

    f->index = { i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y) };
    f->lane = i % 32;
    f->warp = &warps[i / 32];
    f->warp->lane[f->lane] = f;
    f->warp->waiting = 0;
    f->state = READY;
    f->group = 0;
  }
}

/* Where the first of the block's threads that wait does so. */
static Where
first_waiting ()
{
  for (const auto &f : fibres)
    if (f->state == AT_BARRIER || f->state == IN_WARP)
      return f->here;
  return {};
}

static void
run_block (int threads)
{
  begin_block (threads);
  release (&block_begins);
  while (alive > 0) {
    bool moved = false;

    for (int i = 0; i < threads; i++)
      if (fibres[i]->state == READY) {
        resume (fibres[i].get ());
        moved = true;
      }
    if (!moved)
      host_fault (first_waiting (), "divergent: threads wait for others that never come");
  }
  acquire (&block_ends);
}

/* Bytes of the launch, NaN at first, with nothing behind them that may be touched. */
static void
open_shared (size_t bytes)
{
  const size_t room = (bytes + 1023) / 1024 * 1024 + 1024;

  dynamic_shared = (unsigned char *) aligned_alloc (1024, room);
#if defined SANITIZE_ADDRESS
  __asan_poison_memory_region (dynamic_shared + bytes, room - bytes);
#endif
}

static void
close_shared ([[maybe_unused]] size_t bytes)
{
#if defined SANITIZE_ADDRESS
  __asan_unpoison_memory_region (dynamic_shared, (bytes + 1023) / 1024 * 1024 + 1024);
#endif
  free (dynamic_shared);
}

[[gnu::constructor]] static void
announce ()
{
  expect_host_kernels ();
}

static void
run_grid (dim3 grid, dim3 block, size_t shared, const std::function<void ()> &thread)
{
  const int threads = block.x * block.y * block.z;

  while ((int) fibres.size () < threads)
    fibres.push_back (make_fibre ());
  warps.assign ((threads + 31) / 32, Warp{});
#if defined SANITIZE_THREAD
  own_sanitizer = __tsan_get_current_fiber ();
#endif
  body = &thread;
  gridDim = grid;
  blockDim = block;
  open_shared (shared);
  for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
        memset (dynamic_shared, 0xff, shared);
        run_block (threads);
      }
  close_shared (shared);
}

cudaError_t
launch (const cudaLaunchConfig_t *config, const void *kernel, std::function<void ()> thread)
{
  const dim3 grid = config->gridDim, block = config->blockDim;
  const size_t shared = config->dynamicSmemBytes;

  return launch_on_host (config, kernel, [=] { run_grid (grid, block, shared, thread); });
}

} // namespace standin
