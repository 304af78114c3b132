/* dsvl2: the CUDA stand-in: what a capture of a stream forbids, and what a graph is that comes of it
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * TAP on stdout. Each call is made while a stream is captured, which breaks the capture, or not. */
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BYTES = 64 };

typedef struct {
  cudaStream_t stream, other; /* the one that is captured */
  cudaEvent_t before, inside; /* recorded in `other` before the capture; in the captured stream */
  char *device, *more, *pinned, pageable[BYTES];
} Things;

/* --- calls --------------------------------------------------------------------------------------- */

static cudaError_t
allocate (Things *t)
{
  void *memory = NULL;
  const cudaError_t error = cudaMalloc (&memory, BYTES);

  if (memory)
    cudaFree (memory);
  return error;
}

static cudaError_t
allocate_pinned (Things *t)
{
  void *memory = NULL;
  const cudaError_t error = cudaMallocHost (&memory, BYTES);

  if (memory)
    cudaFreeHost (memory);
  return error;
}

static cudaError_t
free_memory (Things *t)
{
  const cudaError_t error = cudaFree (t->more);

  if (error == cudaSuccess)
    t->more = NULL;
  return error;
}

static cudaError_t
synchronise_stream (Things *t)
{
  return cudaStreamSynchronize (t->stream);
}

static cudaError_t
synchronise_other (Things *t)
{
  return cudaStreamSynchronize (t->other);
}

static cudaError_t
synchronise_device (Things *t)
{
  return cudaDeviceSynchronize ();
}

static cudaError_t
query_stream (Things *t)
{
  return cudaStreamQuery (t->stream);
}

static cudaError_t
query_event (Things *t)
{
  return cudaEventQuery (t->before);
}

static cudaError_t
query_captured_event (Things *t)
{
  return cudaEventQuery (t->inside);
}

static cudaError_t
wait_for_event (Things *t)
{
  return cudaEventSynchronize (t->before);
}

static cudaError_t
wait_for_captured_event (Things *t)
{
  return cudaEventSynchronize (t->inside);
}

static cudaError_t
depend_on_outside (Things *t)
{
  return cudaStreamWaitEvent (t->stream, t->before, 0);
}

static cudaError_t
copy_at_once (Things *t)
{
  return cudaMemcpy (t->device, t->pinned, BYTES, cudaMemcpyHostToDevice);
}

static cudaError_t
copy_pageable (Things *t)
{
  return cudaMemcpyAsync (t->device, t->pageable, BYTES, cudaMemcpyHostToDevice, t->stream);
}

static cudaError_t
copy_to_pageable (Things *t)
{
  return cudaMemcpyAsync (t->pageable, t->device, BYTES, cudaMemcpyDeviceToHost, t->stream);
}

static cudaError_t
begin_again (Things *t)
{
  return cudaStreamBeginCapture (t->stream, cudaStreamCaptureModeThreadLocal);
}

static cudaError_t
copy_pinned (Things *t)
{
  return cudaMemcpyAsync (t->device, t->pinned, BYTES, cudaMemcpyHostToDevice, t->stream);
}

static cudaError_t
go_on_after_a_break (Things *t)
{
  cudaDeviceSynchronize ();
  return copy_pinned (t);
}

static cudaError_t
set_memory_of_another_stream (Things *t)
{
  return cudaMemsetAsync (t->more, 2, BYTES, t->other);
}

static cudaError_t
set_memory_of_the_legacy_stream (Things *t)
{
  return cudaMemsetAsync (t->more, 3, BYTES, cudaStreamLegacy);
}

typedef struct {
  cudaError_t (*call) (Things *t);
  Things *things;
  cudaError_t error;
} Elsewhere;

static void *
run_elsewhere (void *data)
{
  Elsewhere *e = data;

  e->error = e->call (e->things);
  return NULL;
}

static cudaError_t
in_another_thread (cudaError_t (*call) (Things *t), Things *t)
{
  Elsewhere e = { call, t, cudaErrorUnknown };
  pthread_t thread;

  if (pthread_create (&thread, NULL, run_elsewhere, &e) == 0)
    pthread_join (thread, NULL);
  return e.error;
}

static cudaError_t
allocate_elsewhere (Things *t)
{
  return in_another_thread (allocate, t);
}

static cudaError_t
end_here (Things *t)
{
  cudaGraph_t graph = NULL;
  const cudaError_t error = cudaStreamEndCapture (t->stream, &graph);

  if (graph)
    cudaGraphDestroy (graph);
  return error;
}

static cudaError_t
end_elsewhere (Things *t)
{
  return in_another_thread (end_here, t);
}

/* --- cases --------------------------------------------------------------------------------------- */

enum {
  GLOBAL = cudaStreamCaptureModeGlobal,
  OWN = cudaStreamCaptureModeThreadLocal,
  RELAXED = cudaStreamCaptureModeRelaxed
};

#define CALL(call) #call, call

static const struct {
  const char *name;
  cudaError_t (*call) (Things *t);
  int mode;
  bool blocking; /* the captured stream minds the legacy one */
  cudaError_t error, end;
} cases[] = {
  { CALL (allocate), OWN, false, cudaErrorStreamCaptureUnsupported, cudaErrorStreamCaptureInvalidated },
  { CALL (allocate), RELAXED, false, cudaSuccess, cudaSuccess },
  { CALL (allocate_elsewhere), OWN, false, cudaSuccess, cudaSuccess },
  { CALL (allocate_elsewhere), GLOBAL, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (allocate_pinned), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (free_memory), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (synchronise_stream), RELAXED, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (synchronise_other), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (synchronise_device), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (query_stream), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (query_event), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (query_captured_event), OWN, false, cudaErrorCapturedEvent,
      cudaErrorStreamCaptureInvalidated },
  { CALL (wait_for_event), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (wait_for_captured_event), OWN, false, cudaErrorCapturedEvent,
      cudaErrorStreamCaptureInvalidated },
  { CALL (depend_on_outside), OWN, false, cudaErrorStreamCaptureIsolation,
      cudaErrorStreamCaptureInvalidated },
  { CALL (copy_at_once), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (copy_pageable), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (copy_to_pageable), OWN, false, cudaErrorStreamCaptureUnsupported,
      cudaErrorStreamCaptureInvalidated },
  { CALL (begin_again), OWN, false, cudaErrorIllegalState, cudaSuccess },
  { CALL (go_on_after_a_break), OWN, false, cudaErrorStreamCaptureInvalidated,
      cudaErrorStreamCaptureInvalidated },
  { CALL (copy_pinned), OWN, false, cudaSuccess, cudaSuccess },
  { CALL (set_memory_of_another_stream), OWN, false, cudaSuccess, cudaSuccess },
  { CALL (set_memory_of_the_legacy_stream), OWN, false, cudaSuccess, cudaSuccess },
  { CALL (set_memory_of_the_legacy_stream), OWN, true, cudaErrorStreamCaptureImplicit,
      cudaErrorStreamCaptureInvalidated },
  { CALL (end_elsewhere), OWN, false, cudaErrorStreamCaptureWrongThread, cudaSuccess },
  { CALL (end_elsewhere), RELAXED, false, cudaSuccess, cudaErrorIllegalState },
};

enum { N_CASES = sizeof cases / sizeof cases[0] };

static bool
open_things (Things *t, bool blocking)
{
  *t = (Things){ 0 };
  return cudaStreamCreateWithFlags (&t->stream, blocking ? 0 : cudaStreamNonBlocking) == cudaSuccess &&
         cudaStreamCreateWithFlags (&t->other, cudaStreamNonBlocking) == cudaSuccess &&
         cudaEventCreate (&t->before) == cudaSuccess && cudaEventCreate (&t->inside) == cudaSuccess &&
         cudaMalloc ((void **) &t->device, BYTES) == cudaSuccess &&
         cudaMalloc ((void **) &t->more, BYTES) == cudaSuccess &&
         cudaMallocHost ((void **) &t->pinned, BYTES) == cudaSuccess &&
         cudaMemsetAsync (t->device, 0, BYTES, t->other) == cudaSuccess &&
         cudaEventRecord (t->before, t->other) == cudaSuccess;
}

static void
close_things (Things *t)
{
  cudaDeviceSynchronize ();
  cudaFree (t->device);
  cudaFree (t->more);
  cudaFreeHost (t->pinned);
  cudaEventDestroy (t->before);
  cudaEventDestroy (t->inside);
  cudaStreamDestroy (t->stream);
  cudaStreamDestroy (t->other);
}

static bool
check_case (int i)
{
  static const char *const modes[] = { "global", "this thread's", "relaxed" };
  Things t;
  cudaError_t error, end;
  bool opened = open_things (&t, cases[i].blocking);

  opened = opened &&
           cudaStreamBeginCapture (t.stream, (enum cudaStreamCaptureMode) cases[i].mode) == cudaSuccess;
  opened = opened && cudaMemsetAsync (t.device, 1, BYTES, t.stream) == cudaSuccess &&
           cudaEventRecord (t.inside, t.stream) == cudaSuccess;
  error = cases[i].call (&t);
  end = end_here (&t);
  close_things (&t);
  const bool good = opened && error == cases[i].error && end == cases[i].end;
  printf ("%sok %d - %s, %s capture: %s, then its end: %s\n", good ? "" : "not ", i + 1, cases[i].name,
      modes[cases[i].mode], cudaGetErrorName (error), cudaGetErrorName (end));
  return good;
}

/* A graph does what was captured as often as it is launched, with what memory holds by then, and not before. */
static bool
check_replay (void)
{
  char seen[3] = { 0 };
  Things t;
  cudaGraph_t graph = NULL;
  cudaGraphExec_t exec = NULL;
  bool good =
      open_things (&t, false) &&
      cudaStreamBeginCapture (t.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess &&
      copy_pinned (&t) == cudaSuccess && cudaStreamEndCapture (t.stream, &graph) == cudaSuccess &&
      cudaGraphInstantiate (&exec, graph, 0) == cudaSuccess && cudaGraphDestroy (graph) == cudaSuccess;

  for (int i = 0; good && i < 3; i++) {
    memset (t.pinned, 10 + i, BYTES);
    good = cudaGraphLaunch (exec, t.stream) == cudaSuccess &&
           cudaStreamSynchronize (t.stream) == cudaSuccess &&
           cudaMemcpy (t.pageable, t.device, BYTES, cudaMemcpyDeviceToHost) == cudaSuccess;
    seen[i] = t.pageable[BYTES - 1];
  }
  good = good && cudaGraphExecDestroy (exec) == cudaSuccess && memcmp (seen, "\12\13\14", 3) == 0;
  close_things (&t);
  printf ("%sok %d - replays copied %d, %d, %d\n", good ? "" : "not ", N_CASES + 1, seen[0], seen[1],
      seen[2]);
  return good;
}

int
main (void)
{
  int failed = 0;

  for (int i = 0; i < N_CASES; i++)
    failed += !check_case (i);
  failed += !check_replay ();
  printf ("1..%d\n", N_CASES + 1);
  return failed > 0;
}
