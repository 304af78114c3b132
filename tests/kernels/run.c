/* dsvl2: one run of a case: its data, its results, its time
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
  CANARY = 0xa5,
  GUARD = 256, /* bytes before a block (and behind it, where it does not end at a page) */
};

double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* --- random numbers ------------------------------------------------------------------------------ */

static uint64_t
next_random (Run *r)
{
  uint64_t z = r->state += UINT64_C (0x9e3779b97f4a7c15); /* splitmix64 (Steele et al. 2014) */

  z = (z ^ z >> 30) * UINT64_C (0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C (0x94d049bb133111eb);
  return z ^ z >> 31;
}

int
run_random (Run *r, int n)
{
  return next_random (r) % n;
}

static uint16_t
f16_of (float v)
{
  union {
    float f;
    uint32_t u;
  } bits = { fabsf (v) };
  const uint16_t sign = signbit (v) ? 0x8000 : 0;

  if (isnan (v))
    return 0x7e00;
  if (bits.f >= 65520)
    return sign | 0x7c00;
  if (bits.f < 0x1p-14f)
    return sign | (uint16_t) lrintf (bits.f * 0x1p24f);
  bits.u += 0xfff + (bits.u >> 13 & 1);
  return sign | (uint16_t) ((bits.u >> 13) - (112 << 10));
}

static float
float_of_bits (uint32_t bits)
{
  union {
    uint32_t u;
    float f;
  } v = { bits };
  return v.f;
}

static uint16_t
bf16_of (float v)
{
  union {
    float f;
    uint32_t u;
  } bits = { v };

  if (isnan (v))
    return 0x7fc0;
  return (bits.u + 0x7fff + (bits.u >> 16 & 1)) >> 16;
}

/* Nearly normal: the sum of four uniform numbers, of variance 1. */
static float
random_float (Run *r, Spread spread)
{
  const uint64_t z = next_random (r);
  const float sum = (z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48);
  const float v = (sum / 65536 - 2) * (float) sqrt (3);

  switch (spread) {
    case ZEROS:
      return 0;
    case LARGE:
      return v * 1e12f;
    case TINY:
      return v * 1e-37f;
    case LARGE_BF16:
      return float_of_bits ((uint32_t) bf16_of (v * 1e12f) << 16);
    case BF16:
      return float_of_bits ((uint32_t) bf16_of (v) << 16);
    case SOME_NAN:
      return next_random (r) % 97 == 0 ? NAN : v;
    default:
      return v;
  }
}

float
run_random_float (Run *r)
{
  return random_float (r, NORMAL);
}

/* --- memory -------------------------------------------------------------------------------------- */

static _Noreturn void
give_up (const char *what)
{
  printf ("Bail out! %s\n", what);
  exit (2);
}

/* Maps whole pages with one behind them that nobody may touch; the block ends there. */
static Block
map_block (size_t bytes, size_t align)
{
  const size_t page = sysconf (_SC_PAGESIZE), used = (bytes + GUARD + page) / page * page;
  Block b = { .mapped = used + page, .bytes = bytes };

  b.base = mmap (NULL, b.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (b.base == MAP_FAILED || mprotect ((char *) b.base + used, page, PROT_NONE) != 0)
    give_up ("no memory");
  b.data = (char *) b.base + (used - bytes) / align * align;
  memset ((char *) b.data - GUARD, CANARY, GUARD);
  memset ((char *) b.data + bytes, CANARY, (char *) b.base + used - (char *) b.data - bytes);
  return b;
}

static Block
alloc_block (Ops *k, size_t bytes)
{
  const size_t total = bytes + 2 * GUARD;
  void *canary = malloc (total);
  Block b = { .base = k->alloc (k, total), .bytes = bytes };

  if (!canary || !b.base)
    give_up ("no memory");
  memset (canary, CANARY, total);
  k->upload (k, b.base, canary, total);
  free (canary);
  b.data = (char *) b.base + GUARD;
  return b;
}

static void *
add_block (Run *r, const void *host, size_t bytes, size_t align, bool writable)
{
  Block *b;

  if (r->n_blocks == MAX_BLOCKS)
    give_up ("too many blocks");
  b = &r->block[r->n_blocks++];
  *b = strcmp (r->k->name, "cpu") == 0 ? map_block (bytes, align) : alloc_block (r->k, bytes);
  b->writable = writable;
  if (host)
    r->k->upload (r->k, b->data, host, bytes);
  return b->data;
}

/* The host's own memory, ending at an inaccessible page. */
static void *
add_host_block (Run *r, const void *host, size_t bytes, size_t align)
{
  if (r->n_blocks == MAX_BLOCKS)
    give_up ("too many blocks");
  r->block[r->n_blocks++] = map_block (bytes, align);
  return memcpy (r->block[r->n_blocks - 1].data, host, bytes);
}

static bool
is_canary (const uint8_t *p, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (p[i] != CANARY)
      return false;
  return true;
}

/* Are the bytes around a block what they were? */
static bool
guards_hold (Run *r, const Block *b)
{
  uint8_t before[GUARD], behind[GUARD];

  if (b->mapped) {
    const char *end = (char *) b->base + b->mapped - sysconf (_SC_PAGESIZE);
    const uint8_t *behind_data = (uint8_t *) b->data + b->bytes;

    return is_canary ((uint8_t *) b->data - GUARD, GUARD) &&
           is_canary (behind_data, (const uint8_t *) end - behind_data);
  }
  r->k->download (r->k, before, b->base, GUARD);
  r->k->download (r->k, behind, (char *) b->data + b->bytes, GUARD);
  return is_canary (before, GUARD) && is_canary (behind, GUARD);
}

static void
free_block (Run *r, Block *b)
{
  if (b->mapped)
    munmap (b->base, b->mapped);
  else
    r->k->free (r->k, b->base);
}

/* --- a case's data ------------------------------------------------------------------------------- */

Ops *
run_ops (const Run *r)
{
  return r->k;
}

bool
run_in_bf16 (const Run *r)
{
  return r->bf16;
}

bool
run_rounds (const Run *r, WeightType type)
{
  const bool quantised = type == WEIGHT_INT8 || type == WEIGHT_INT4;

  return r->bf16 && (type == WEIGHT_BF16 || (quantised && strcmp (r->k->name, "cuda") == 0));
}

void
run_case (Run *r, double rtol, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vsnprintf (r->label, sizeof r->label, format, args);
  va_end (args);
  r->rtol = rtol;
}

void
run_cost (Run *r, double flops, double bytes)
{
  r->flops = flops;
  r->bytes = bytes;
  if (r->bench && r->n_peers == 0 && bytes >= COLD_BYTES)
    r->n_peers = peer_open_reader (&r->peer[0], bytes, r->threads);
}

static void *
random_floats (Run *r, size_t n, Spread spread)
{
  float *host = malloc (n * sizeof (float) + 1);

  if (!host)
    give_up ("no memory");
  for (size_t i = 0; i < n; i++)
    host[i] = random_float (r, spread);
  return host;
}

const float *
run_floats (Run *r, size_t n, Spread spread)
{
  float *host = random_floats (r, n, spread), *data;

  data = add_block (r, host, n * sizeof (float), sizeof (float), false);
  free (host);
  return data;
}

/* A matrix of `type` made of host numbers. */
static void *
quantised (const Weight *w, const float *host)
{
  const Weight dense = { .data = host, .type = WEIGHT_F32, .O = w->O, .I = w->I };
  void *data = malloc (weight_bytes (w));

  if (!data)
    give_up ("no memory");
  weight_quantise (data, &dense, w->type, 0, w->O);
  return data;
}

Weight
run_weight (Run *r, WeightType type, int O, int I, Spread spread)
{
  const size_t n = (size_t) O * I;
  float *host = random_floats (r, n, spread);
  uint16_t *half = (uint16_t *) host;
  Weight w = { .type = type, .O = O, .I = I };
  void *codes = NULL;

  for (size_t i = 0; i < n; i++) {
    const float v = host[i] / sqrtf (I);

    if (type == WEIGHT_F16 || type == WEIGHT_BF16)
      half[i] = type == WEIGHT_F16 ? f16_of (v) : bf16_of (v); /* never ahead of host[i] */
    else
      host[i] = v;
  }
  if (weight_quantised (&w))
    codes = quantised (&w, host);
  w.data = add_host_block (r, codes ? codes : host, weight_bytes (&w), weight_type_size (type));
  free (codes);
  free (host);
  if (!r->k->place (r->k, &w))
    give_up ("no memory for weights");
  r->placed[r->n_placed++] = w; /* each has a block, so there is room */
  return w;
}

const void *
run_input (Run *r, const void *host, size_t bytes, size_t align)
{
  return add_block (r, host, bytes, align, false);
}

const void *
run_host_input (Run *r, const void *host, size_t bytes)
{
  return add_host_block (r, host, bytes, 1);
}

void *
copy_in (Ops *k, const void *host, size_t bytes)
{
  void *data = k->alloc (k, bytes);

  if (!data)
    give_up ("no memory");
  k->upload (k, data, host, bytes);
  return data;
}

void *
run_scratch (Run *r, size_t bytes)
{
  return add_block (r, NULL, bytes, 64, true);
}

static void *
add_output (Run *r, void *host, int rows, int width, bool ints)
{
  Output *o = &r->output[r->n_outputs++];

  if (r->n_outputs > MAX_OUTPUTS)
    give_up ("too many outputs");
  *o = (Output){ .host = host, .rows = rows, .width = width, .ints = ints };
  o->data = add_block (r, host, (size_t) rows * width * 4, 4, true);
  return (void *) o->data;
}

float *
run_output (Run *r, int rows, int width, Spread spread)
{
  return add_output (r, random_floats (r, (size_t) rows * width, spread), rows, width, false);
}

int32_t *
run_output_ints (Run *r, int rows, int width)
{
  return add_output (r, calloc ((size_t) rows * width, sizeof (int32_t)), rows, width, true);
}

/* --- execution ----------------------------------------------------------------------------------- */

int
run_rows (const Run *r, int t, int T)
{
  const int left = T - t;

  return r->step > 0 && r->step < left ? r->step : left;
}

void
run_product (Run *r, int T, int I, int O)
{
  if (r->bench && r->n_peers == 0)
    r->n_peers = peers_open (r->peer, T, I, O, r->bf16, r->threads);
}

/* Ends a lap, lets the peers run theirs, begins the next. */
static bool
next_lap (Run *r)
{
  const double ended = now ();
  double spent = 0;

  if (r->times > 0)
    r->lap[r->times - 1] = ended - r->begun;
  for (int i = 0; i < r->times; i++)
    spent += r->lap[i];
  if (r->times == MAX_LAPS || (r->times > 4 && spent > 0.6))
    return false;
  for (int j = 0; j < r->n_peers; j++)
    r->peer_lap[j][r->times] = r->peer[j].run (r->peer[j].data);
  r->times++;
  r->begun = now ();
  return true;
}

/* Once; for --bench until there are enough laps for a median. */
bool
run_again (Run *r)
{
  return r->bench ? next_lap (r) : r->times++ == 0;
}

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
median (const double *v, int n)
{
  double sorted[MAX_LAPS];

  memcpy (sorted, v, n * sizeof *v);
  qsort (sorted, n, sizeof *sorted, compare_doubles);
  return sorted[n / 2];
}

/* The first lap warms up. */
static void
evaluate_laps (Run *r)
{
  const int n = r->times - 1;
  double ratio[MAX_LAPS];

  r->seconds = median (r->lap + 1, n);
  for (int j = 0; j < r->n_peers; j++) {
    for (int i = 0; i < n; i++)
      ratio[i] = r->peer_lap[j][i + 1] / r->lap[i + 1];
    r->peer_ratio[j] = median (ratio, n);
  }
}

/* Fetches what the case left and frees its memory. A back end that failed has no results. */
static void
finish_case (Run *r)
{
  for (int j = 0; j < r->n_outputs; j++) {
    Output *o = &r->output[j];

    r->k->download (r->k, o->host, o->data, (size_t) o->rows * o->width * 4);
  }
  if (r->k->failure (r->k))
    give_up (r->k->failure (r->k));
  for (int j = 0; j < r->n_placed; j++)
    r->k->unplace (r->k, &r->placed[j]);
  r->n_placed = 0;
  for (int j = 0; j < r->n_blocks; j++) {
    r->overrun |= !guards_hold (r, &r->block[j]);
    free_block (r, &r->block[j]);
  }
  r->n_blocks = 0;
}

void
run_execute (Run *r, Ops *k, bool bf16, int step, const OpCheck *check, int i)
{
  *r = (Run){ .k = k, .bf16 = bf16, .step = step, .state = 1000 + i };
  check->run (r, i);
  finish_case (r);
}

void
run_bench (Run *r, Ops *k, bool bf16, int threads, const OpCheck *check, int i)
{
  *r = (Run){ .k = k, .bf16 = bf16, .threads = threads, .state = 1000 + i, .bench = true };
  check->run_bench (r, i);
  evaluate_laps (r);
  finish_case (r);
  for (int j = 0; j < r->n_peers; j++)
    r->peer[j].free (r->peer[j].data);
}

void
run_clear (Run *r)
{
  for (int j = 0; j < r->n_outputs; j++)
    free (r->output[j].host);
  r->n_outputs = 0;
}

/* --- comparison ---------------------------------------------------------------------------------- */

static double
row_difference (const float *want, const float *got, int n, double floor, int *where)
{
  double scale = floor, worst = 0;

  *where = 0;
  for (int i = 0; i < n; i++)
    if (isfinite (want[i]))
      scale = fmax (scale, fabs (want[i]));
  for (int i = 0; i < n; i++) {
    double d = fabs ((double) got[i] - want[i]) / scale;

    if (memcmp (&got[i], &want[i], 4) == 0 || (isnan (want[i]) && isnan (got[i])))
      d = 0;
    else if (!isfinite (want[i]) || !isfinite (got[i]))
      d = INFINITY;
    if (d > worst) {
      worst = d;
      *where = i;
    }
  }
  return worst;
}

double
run_difference (const Run *want, const Run *got, bool says)
{
  /* bf16's product takes subnormal numbers as zero */
  const double floor = got->bf16 ? 1e-30 : FLT_MIN;
  double worst = 0;

  for (int j = 0; j < want->n_outputs; j++) {
    const Output *a = &want->output[j], *b = &got->output[j];

    for (int t = 0; t < a->rows; t++) {
      const float *wanted = (float *) a->host + (size_t) t * a->width;
      const float *gotten = (float *) b->host + (size_t) t * a->width;
      int i = 0;
      double d;

      if (a->ints)
        d = memcmp (wanted, gotten, (size_t) a->width * 4) ? INFINITY : 0;
      else
        d = row_difference (wanted, gotten, a->width, floor, &i);
      if (says && d > got->rtol && d > worst && !a->ints)
        printf ("# output %d [%d, %d] is %.9g, expected %.9g\n", j, t, i, gotten[i], wanted[i]);
      if (says && d > worst && a->ints)
        printf ("# output %d row %d has other integers\n", j, t);
      worst = fmax (worst, d);
    }
  }
  return worst;
}

bool
run_equal (const Run *a, const Run *b, bool says)
{
  for (int j = 0; j < a->n_outputs; j++) {
    const Output *x = &a->output[j], *y = &b->output[j];

    for (size_t i = 0; i < (size_t) x->rows * x->width; i++) {
      if (memcmp ((char *) x->host + 4 * i, (char *) y->host + 4 * i, 4) == 0)
        continue;
      if (says && !x->ints)
        printf ("# output %d [%zu, %zu] is %.9g, was %.9g\n", j, i / x->width, i % x->width,
            ((float *) y->host)[i], ((float *) x->host)[i]);
      return false;
    }
  }
  return true;
}
