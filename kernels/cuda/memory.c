/* dsvl2: the CUDA back end's memory: allocation, copies through pinned staging, weights
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- failure ------------------------------------------------------------------------------------- */

bool
cuda_check (Cuda *c, cudaError_t error, const char *what)
{
  if (error == cudaSuccess)
    return true;
  if (c->failure[0] == '\0')
    snprintf (c->failure, sizeof c->failure, "CUDA device %d could not %s: %s", c->device, what,
        cudaGetErrorString (error));
  return false;
}

static const char *
failure (Ops *k)
{
  Cuda *c = cuda (k);

  return c->failure[0] ? c->failure : NULL;
}

/* Threads have a current device each; the engine's may come from anywhere. While a step is captured memory
 * stays as it is: what CUDA would refuse half way is refused before it begins. */
static bool
use (Cuda *c)
{
  return cuda_check (c, c->capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess,
             "touch memory") &&
         cuda_check (c, cudaSetDevice (c->device), "be used");
}

/* --- staging ------------------------------------------------------------------------------------- */

bool
staging_open (Cuda *c, Staging *s)
{
  if (!cuda_check (c, cudaMallocHost ((void **) &s->base, (size_t) STAGING_SLOTS * STAGING_BYTES),
          "get pinned memory"))
    return false;
  for (int i = 0; i < STAGING_SLOTS; i++)
    if (!cuda_check (c, cudaEventCreateWithFlags (&s->copied[i], cudaEventDisableTiming),
            "create an event"))
      return false;
  return true;
}

void
staging_close (Staging *s)
{
  for (int i = 0; i < STAGING_SLOTS; i++)
    if (s->copied[i])
      cudaEventDestroy (s->copied[i]);
  if (s->base)
    cudaFreeHost (s->base);
}

/* The next slot, when the copy out of it has been done. An event that was never recorded has. */
static char *
staging_take (Cuda *c, int *slot)
{
  Staging *s = &c->staging;

  *slot = s->next++ % STAGING_SLOTS;
  if (!cuda_check (c, cudaEventSynchronize (s->copied[*slot]), "finish a copy"))
    return NULL;
  return s->base + (size_t) *slot * STAGING_BYTES;
}

static bool
staging_send (Cuda *c, void *to, int slot, size_t bytes)
{
  const char *from = c->staging.base + (size_t) slot * STAGING_BYTES;

  return cuda_check (c, cudaMemcpyAsync (to, from, bytes, cudaMemcpyHostToDevice, c->stream),
             "copy from the host") &&
         cuda_check (c, cudaEventRecord (c->staging.copied[slot], c->stream), "record an event");
}

/* --- copies -------------------------------------------------------------------------------------- */

static void
upload (Ops *k, void *to, const void *host, size_t bytes)
{
  upload_rows (cuda (k), to, host, 0, bytes, 1);
}

void
upload_rows (Cuda *c, void *to, const void *host, ptrdiff_t stride, size_t width, size_t rows)
{
  size_t row = 0, column = 0, sent = 0;

  if (width == 0 || !use (c))
    return;
  while (row < rows) {
    size_t used = 0;
    int slot;
    char *staged = staging_take (c, &slot);

    if (!staged)
      return;
    while (row < rows && used < STAGING_BYTES) {
      const size_t left = width - column, n = left < STAGING_BYTES - used ? left : STAGING_BYTES - used;

      memcpy (staged + used, (const char *) host + (ptrdiff_t) row * stride + column, n);
      used += n;
      column += n;
      if (column == width) {
        column = 0;
        row++;
      }
    }
    if (!staging_send (c, (char *) to + sent, slot, used))
      return;
    sent += used;
  }
}

/* After a failure the host gets zeros, never what its memory happened to hold. */
static void
download (Ops *k, void *host, const void *from, size_t bytes)
{
  Cuda *c = cuda (k);

  if (bytes == 0)
    return;
  if (failure (k) || !use (c) ||
      !cuda_check (c, cudaMemcpyAsync (host, from, bytes, cudaMemcpyDeviceToHost, c->stream),
          "copy to the host") ||
      !cuda_check (c, cudaStreamSynchronize (c->stream), "finish"))
    memset (host, 0, bytes);
}

/* --- blocks -------------------------------------------------------------------------------------- */

/* Running out of memory is told by NULL and is no failure of the back end. */
static void *
device_malloc (Cuda *c, size_t bytes)
{
  void *memory = NULL;
  cudaError_t error;

  if (!use (c))
    return NULL;
  error = cudaMalloc (&memory, bytes ? bytes : 1);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError (); /* else the next launch reports it */
    return NULL;
  }
  return cuda_check (c, error, "allocate memory") ? memory : NULL;
}

static void *
alloc (Ops *k, size_t bytes)
{
  Cuda *c = cuda (k);
  void *memory = device_malloc (c, bytes);

  if (memory && bytes > 0)
    cuda_check (c, cudaMemsetAsync (memory, 0, bytes, c->stream), "clear memory");
  return memory;
}

static void
release (Ops *k, void *memory)
{
  Cuda *c = cuda (k);

  if (memory) {
    use (c); /* where that fails, what can be given back still is */
    lanes_finish (c);
    graphs_forget (c); /* which may name it */
    cuda_check (c, cudaFree (memory), "free memory");
  }
}

void *
buffer_on_device (Cuda *c, Buffer *buffer, size_t bytes)
{
  if (buffer->bytes < bytes) {
    if (!use (c))
      return NULL;
    release (&c->ops, buffer->data);
    buffer->data = device_malloc (c, bytes);
    buffer->bytes = buffer->data ? bytes : 0;
  }
  return buffer->data;
}

/* --- weights ------------------------------------------------------------------------------------- */

enum { SLAB_BYTES = 64 << 20, WEIGHT_ALIGN = 256 };

struct _Slab {
  Slab *next;
  char *base;
  size_t bytes, used;
  int weights;
};

/* The slab to put so many bytes into, a new one if they do not fit; NULL where memory ran out. */
static Slab *
slab_for (Cuda *c, size_t bytes)
{
  Slab *slab = c->slabs;

  if (slab && slab->bytes - slab->used >= bytes)
    return slab;
  slab = calloc (1, sizeof *slab);
  if (!slab)
    return NULL;
  slab->bytes = bytes > SLAB_BYTES ? bytes : SLAB_BYTES;
  slab->base = device_malloc (c, slab->bytes);
  if (!slab->base && bytes < SLAB_BYTES) { /* the last of the memory */
    slab->bytes = bytes;
    slab->base = device_malloc (c, bytes);
  }
  if (!slab->base) {
    free (slab);
    return NULL;
  }
  slab->next = c->slabs;
  c->slabs = slab;
  return slab;
}

static bool
place (Ops *k, Weight *w)
{
  Cuda *c = cuda (k);
  const size_t bytes = weight_bytes (w);
  const size_t padded = (bytes + WEIGHT_ALIGN - 1) / WEIGHT_ALIGN * WEIGHT_ALIGN;
  Slab *slab = slab_for (c, padded);
  char *data;

  if (!slab)
    return false;
  data = slab->base + slab->used;
  slab->used += padded;
  slab->weights++;
  upload (k, data, w->data, bytes);
  w->data = data;
  return failure (k) == NULL;
}

static void
slab_free (Cuda *c, Slab *slab)
{
  release (&c->ops, slab->base);
  free (slab);
}

static void
unplace (Ops *k, Weight *w)
{
  Cuda *c = cuda (k);

  for (Slab **at = &c->slabs; *at; at = &(*at)->next) {
    Slab *slab = *at;
    const uintptr_t offset = (uintptr_t) w->data - (uintptr_t) slab->base;

    if (offset >= slab->bytes)
      continue;
    w->data = NULL;
    if (--slab->weights == 0) {
      *at = slab->next;
      slab_free (c, slab);
    }
    return;
  }
}

/* --- tables -------------------------------------------------------------------------------------- */

struct _Table {
  Table *next;
  void *device;
  size_t bytes;
  char host[]; /* [bytes] what it holds */
};

const void *
table_on_device (Cuda *c, const void *host, size_t bytes)
{
  Table *table;

  for (table = c->tables; table; table = table->next)
    if (table->bytes == bytes && memcmp (table->host, host, bytes) == 0)
      return table->device;
  table = malloc (sizeof *table + bytes);
  if (!table)
    return NULL;
  table->device = device_malloc (c, bytes);
  if (!table->device) {
    free (table);
    return NULL;
  }
  table->bytes = bytes;
  memcpy (table->host, host, bytes);
  upload (&c->ops, table->device, host, bytes);
  cuda_check (c, cudaStreamSynchronize (c->stream), "finish"); /* either lane may read it */
  table->next = c->tables;
  c->tables = table;
  return table->device;
}

/* --- the table of ops ---------------------------------------------------------------------------- */

void
cuda_fill_memory (Ops *k)
{
  k->alloc = alloc;
  k->free = release;
  k->upload = upload;
  k->download = download;
  k->place = place;
  k->unplace = unplace;
  k->failure = failure;
}

void
memory_close (Cuda *c)
{
  while (c->slabs) {
    Slab *slab = c->slabs;

    c->slabs = slab->next;
    slab_free (c, slab);
  }
  while (c->tables) {
    Table *table = c->tables;

    c->tables = table->next;
    release (&c->ops, table->device);
    free (table);
  }
  release (&c->ops, c->frame.data);
  release (&c->ops, c->rounded.data);
  release (&c->ops, c->other.rounded.data);
  free (c->host_taps.data);
}
