/* dsvl2: how fast this machine reads memory
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* sched_getaffinity */
#include "bandwidth.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PASSES = 9, MAX_READERS = 1024 };

/* Of any vector size that the compiler's target has: one stream, from end to end, is what processors
 * foresee best. */
typedef uint64_t Words __attribute__ ((vector_size (16)));

typedef struct {
  Words w[4];
} Line;

struct _Reader {
  Line *data;
  size_t lines; /* of each thread */
  int n, n_started;

  pthread_mutex_t lock;
  pthread_cond_t changed;
  int pass, reading; /* number of the pass; threads that have not finished it */
  bool quit;
  struct ReadingThread {
    Reader *reader;
    int number;
    pthread_t thread;
    double begun, ended;
    uint64_t sum; /* so that nothing is optimised away */
  } thread[];
};

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static uint64_t
sum_lines (const Line *line, size_t n)
{
  Words sum[4] = { { 0 } };

  for (const Line *end = line + n; line < end; line++)
    for (int i = 0; i < 4; i++)
      sum[i] += line->w[i];
  sum[0] += sum[1] + sum[2] + sum[3];
  return sum[0][0] + sum[0][1];
}

static void *
read_passes (void *arg)
{
  struct ReadingThread *t = arg;
  Reader *r = t->reader;

  pthread_mutex_lock (&r->lock);
  for (int pass = 1;; pass++) {
    while (r->pass < pass && !r->quit)
      pthread_cond_wait (&r->changed, &r->lock);
    if (r->quit)
      break;
    pthread_mutex_unlock (&r->lock);
    t->begun = now ();
    t->sum += sum_lines (r->data + t->number * r->lines, r->lines);
    t->ended = now ();
    pthread_mutex_lock (&r->lock);
    if (--r->reading == 0)
      pthread_cond_broadcast (&r->changed);
  }
  pthread_mutex_unlock (&r->lock);
  return NULL;
}

static int
usable_processors (void)
{
  cpu_set_t set;

  return sched_getaffinity (0, sizeof set, &set) == 0 && CPU_COUNT (&set) > 0 ? CPU_COUNT (&set) : 1;
}

Reader *
reader_new (int threads, size_t bytes)
{
  const int n = threads > 0 ? threads : usable_processors ();
  Reader *r = n <= MAX_READERS ? calloc (1, sizeof *r + n * sizeof r->thread[0]) : NULL;

  if (!r)
    return NULL;
  pthread_mutex_init (&r->lock, NULL);
  pthread_cond_init (&r->changed, NULL);
  r->n = n;
  r->lines = bytes / sizeof (Line) / n;
  r->data = mmap (NULL, n * r->lines * sizeof (Line), PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (r->data == MAP_FAILED) {
    reader_free (r);
    return NULL;
  }
  memset (r->data, 1, n * r->lines * sizeof (Line));
  for (; r->n_started < n; r->n_started++) {
    struct ReadingThread *t = &r->thread[r->n_started];

    t->reader = r;
    t->number = r->n_started;
    if (pthread_create (&t->thread, NULL, read_passes, t) != 0) {
      reader_free (r);
      return NULL;
    }
  }
  return r;
}

void
reader_free (Reader *r)
{
  if (!r)
    return;
  pthread_mutex_lock (&r->lock);
  r->quit = true;
  pthread_cond_broadcast (&r->changed);
  pthread_mutex_unlock (&r->lock);
  for (int i = 0; i < r->n_started; i++)
    pthread_join (r->thread[i].thread, NULL);
  if (r->data != MAP_FAILED)
    munmap (r->data, r->n * r->lines * sizeof (Line));
  pthread_cond_destroy (&r->changed);
  pthread_mutex_destroy (&r->lock);
  free (r);
}

double
reader_pass (Reader *r)
{
  double begun, ended;

  pthread_mutex_lock (&r->lock);
  r->pass++;
  r->reading = r->n;
  pthread_cond_broadcast (&r->changed);
  while (r->reading > 0)
    pthread_cond_wait (&r->changed, &r->lock);
  pthread_mutex_unlock (&r->lock);

  begun = r->thread[0].begun;
  ended = r->thread[0].ended;
  for (int i = 1; i < r->n; i++) {
    begun = r->thread[i].begun < begun ? r->thread[i].begun : begun;
    ended = r->thread[i].ended > ended ? r->thread[i].ended : ended;
  }
  return ended - begun;
}

double
read_bandwidth (int threads)
{
  Reader *r = reader_new (threads, (size_t) 512 << 20);
  double best = 0, bytes;

  if (!r)
    return 0;
  bytes = (double) r->n * r->lines * sizeof (Line);
  for (int pass = 0; pass < PASSES; pass++) {
    const double seconds = reader_pass (r);

    if (pass == 0 || seconds < best)
      best = seconds;
  }
  reader_free (r);
  return bytes / best;
}
