/* dsvl2: how fast this machine reads memory
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* sched_getaffinity */
#include "bandwidth.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PASSES = 7, MAX_READERS = 256 };

#define ARRAY_BYTES ((size_t) 512 << 20)

typedef uint64_t Line __attribute__ ((vector_size (64)));

typedef struct {
  pthread_t thread;
  pthread_barrier_t *barrier;
  const Line *data;
  size_t lines;
  uint64_t sum; /* so that nothing is optimised away */
} Reader;

static uint64_t
sum_lines (const Line *data, size_t lines)
{
  Line a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

  for (size_t i = 0; i + 4 <= lines; i += 4) {
    __builtin_prefetch (data + i + 64);
    __builtin_prefetch (data + i + 65);
    __builtin_prefetch (data + i + 66);
    __builtin_prefetch (data + i + 67);
    a += data[i];
    b += data[i + 1];
    c += data[i + 2];
    d += data[i + 3];
  }
  a += b + c + d;
  return a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

/* Each pass lies between two barriers. */
static void *
read_array (void *arg)
{
  Reader *r = arg;

  for (int pass = 0; pass < PASSES; pass++) {
    pthread_barrier_wait (r->barrier);
    r->sum += sum_lines (r->data, r->lines);
    pthread_barrier_wait (r->barrier);
  }
  return NULL;
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int
usable_processors (void)
{
  cpu_set_t set;

  return sched_getaffinity (0, sizeof set, &set) == 0 && CPU_COUNT (&set) > 0 ? CPU_COUNT (&set) : 1;
}

static double
best_pass (pthread_barrier_t *barrier)
{
  double best = 0;

  for (int pass = 0; pass < PASSES; pass++) {
    double start, seconds;

    pthread_barrier_wait (barrier);
    start = now ();
    pthread_barrier_wait (barrier);
    seconds = now () - start;
    if (pass == 0 || seconds < best)
      best = seconds;
  }
  return best;
}

double
read_bandwidth (int threads)
{
  const int n = threads > 0 ? threads : usable_processors ();
  const size_t lines = ARRAY_BYTES / sizeof (Line) / (n > 0 ? n : 1);
  Reader reader[MAX_READERS];
  pthread_barrier_t barrier;
  double seconds;
  Line *data;

  if (n > MAX_READERS)
    return 0;
  data = mmap (NULL, ARRAY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    return 0;
  memset (data, 1, ARRAY_BYTES);
  pthread_barrier_init (&barrier, NULL, n + 1);
  for (int i = 0; i < n; i++) {
    reader[i] = (Reader){ .barrier = &barrier, .data = data + i * lines, .lines = lines };
    if (pthread_create (&reader[i].thread, NULL, read_array, &reader[i]) != 0)
      abort (); /* the others wait at the barrier: a test program may give up here */
  }
  seconds = best_pass (&barrier);
  for (int i = 0; i < n; i++)
    pthread_join (reader[i].thread, NULL);
  pthread_barrier_destroy (&barrier);
  munmap (data, ARRAY_BYTES);
  return n * lines * sizeof (Line) / seconds;
}
