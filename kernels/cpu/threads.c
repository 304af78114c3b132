/* dsvl2: a pool of threads that share the pieces of one op at a time
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A job is open while there may be pieces left. Workers join an open job, take pieces until there are
 * none and leave; the caller works too, then closes the job and waits for those who joined. A worker that
 * was asleep or not scheduled is never waited for, so a busy machine costs speed and not stalls.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "cpu.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined __x86_64__ || defined __i386__
#define relax() __builtin_ia32_pause ()
#else
#define relax() ((void) 0)
#endif

enum {
  MAX_THREADS = 1024,
  SPINS = 4000, /* some ten microseconds: longer than the serial code between two ops */
};

/* `state`: the job's number, a bit that says it is closed, how many workers are in it. */
#define ACTIVE UINT64_C (0xffff)
#define CLOSED UINT64_C (0x10000)
#define NUMBER (~(ACTIVE | CLOSED))
#define NEXT_NUMBER UINT64_C (0x20000)

struct _Pool {
  _Atomic uint64_t state;
  atomic_int next; /* piece */
  atomic_int sleepers;
  atomic_bool quit;

  int n; /* pieces */
  ParallelBody body;
  void *arg;

  pthread_mutex_t lock;
  pthread_cond_t opened, left;
  int n_workers, n_started;
  struct Worker {
    Pool *pool;
    pthread_t thread;
    void *scratch;
  } worker[]; /* [n_workers + 1], the last is the caller */
};

static void
take_pieces (Pool *p, void *scratch)
{
  for (;;) {
    const int i = atomic_fetch_add_explicit (&p->next, 1, memory_order_relaxed);

    if (i >= p->n)
      return;
    p->body (p->arg, i, scratch);
  }
}

/* Is there a job that this worker has not been in? */
static bool
is_new (uint64_t state, uint64_t seen)
{
  return !(state & CLOSED) && (state & NUMBER) != seen;
}

/* Waits for a job and joins it. False: the pool is going away. */
static bool
join_job (Pool *p, uint64_t *seen)
{
  for (int spin = 0;; spin++) {
    uint64_t state = atomic_load (&p->state);

    if (atomic_load (&p->quit))
      return false;
    if (is_new (state, *seen)) {
      if (!atomic_compare_exchange_weak (&p->state, &state, state + 1))
        continue;
      *seen = state & NUMBER;
      return true;
    }
    if (spin < SPINS) {
      relax ();
      continue;
    }
    pthread_mutex_lock (&p->lock);
    atomic_fetch_add (&p->sleepers, 1);
    while (!atomic_load (&p->quit) && !is_new (atomic_load (&p->state), *seen))
      pthread_cond_wait (&p->opened, &p->lock);
    atomic_fetch_sub (&p->sleepers, 1);
    pthread_mutex_unlock (&p->lock);
  }
}

static void
leave_job (Pool *p)
{
  const uint64_t state = atomic_fetch_sub (&p->state, 1) - 1;

  if ((state & CLOSED) && !(state & ACTIVE)) {
    pthread_mutex_lock (&p->lock);
    pthread_cond_signal (&p->left);
    pthread_mutex_unlock (&p->lock);
  }
}

static void *
work (void *arg)
{
  struct Worker *w = arg;
  uint64_t seen = NUMBER;

  while (join_job (w->pool, &seen)) {
    take_pieces (w->pool, w->scratch);
    leave_job (w->pool);
  }
  return NULL;
}

static void
open_job (Pool *p)
{
  const uint64_t state = atomic_load (&p->state);

  atomic_store (&p->state, ((state & NUMBER) + NEXT_NUMBER) & NUMBER);
  if (atomic_load (&p->sleepers) > 0) {
    pthread_mutex_lock (&p->lock);
    pthread_cond_broadcast (&p->opened);
    pthread_mutex_unlock (&p->lock);
  }
}

/* Lets nobody in any more and waits for those inside. */
static void
close_job (Pool *p)
{
  atomic_fetch_or (&p->state, CLOSED);
  for (int spin = 0; atomic_load (&p->state) & ACTIVE; spin++) {
    if (spin < SPINS) {
      relax ();
      continue;
    }
    pthread_mutex_lock (&p->lock);
    while (atomic_load (&p->state) & ACTIVE)
      pthread_cond_wait (&p->left, &p->lock);
    pthread_mutex_unlock (&p->lock);
  }
}

void
serial_for (Ops *k, int n, ParallelBody body, void *arg)
{
  Pool *p = cpu (k)->pool;

  for (int i = 0; i < n; i++)
    body (arg, i, p->worker[p->n_workers].scratch);
}

void
parallel_for (Ops *k, int n, ParallelBody body, void *arg)
{
  Pool *p = cpu (k)->pool;

  if (n <= 1 || p->n_workers == 0) {
    serial_for (k, n, body, arg);
    return;
  }
  p->n = n;
  p->body = body;
  p->arg = arg;
  atomic_store (&p->next, 0);
  open_job (p);
  take_pieces (p, p->worker[p->n_workers].scratch);
  close_job (p);
}

int
parallel_threads (Ops *k)
{
  return cpu (k)->pool->n_workers + 1;
}

/* Workers take no signals: those are the application's. */
static bool
start_workers (Pool *p)
{
  sigset_t all, before;

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  for (; p->n_started < p->n_workers; p->n_started++) {
    struct Worker *w = &p->worker[p->n_started];

    if (pthread_create (&w->thread, NULL, work, w) != 0)
      break;
  }
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return p->n_started == p->n_workers;
}

Pool *
pool_new (int threads)
{
  Pool *p;

  if (threads < 1 || threads > MAX_THREADS)
    return NULL;
  p = calloc (1, sizeof (Pool) + threads * sizeof (struct Worker));
  if (!p)
    return NULL;
  pthread_mutex_init (&p->lock, NULL);
  pthread_cond_init (&p->opened, NULL);
  pthread_cond_init (&p->left, NULL);
  p->n_workers = threads - 1;
  atomic_init (&p->state, CLOSED);
  for (int i = 0; i < threads; i++) {
    p->worker[i].pool = p;
    p->worker[i].scratch = aligned_alloc (64, CPU_SCRATCH);
    if (!p->worker[i].scratch)
      goto fail;
  }
  if (!start_workers (p))
    goto fail;
  return p;

fail:
  pool_free (p);
  return NULL;
}

void
pool_free (Pool *p)
{
  if (!p)
    return;
  pthread_mutex_lock (&p->lock);
  atomic_store (&p->quit, true);
  pthread_cond_broadcast (&p->opened);
  pthread_mutex_unlock (&p->lock);
  for (int i = 0; i < p->n_started; i++)
    pthread_join (p->worker[i].thread, NULL);
  for (int i = 0; i <= p->n_workers; i++)
    free (p->worker[i].scratch);
  pthread_cond_destroy (&p->opened);
  pthread_cond_destroy (&p->left);
  pthread_mutex_destroy (&p->lock);
  free (p);
}

int
processors (void)
{
  cpu_set_t set;

  if (sched_getaffinity (0, sizeof set, &set) != 0)
    return 1;
  return CPU_COUNT (&set) > 0 ? CPU_COUNT (&set) : 1;
}
