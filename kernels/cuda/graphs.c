/* dsvl2: steps that come again, captured as CUDA graphs and replayed
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A decoder's step is hundreds of short kernels, and starting each takes longer than many of them run. A graph is
 * started as one. Each step is enqueued kernel by kernel when it first comes, which makes what it needs once:
 * tables, buffers, limits of kernels. When an equal one comes it is captured, and from then on replayed.
 *
 * A graph keeps the addresses that its kernels were given, so all graphs are given up when any memory is. One
 * that cannot be captured or made (memory for it may be short) is no failure: its step stays plain. */
#include "cuda.h"

#include <stdlib.h>

/* Numbers of rows times lengths that requests reach, with room: a graph takes some memory of the device. */
enum { MOST_RECORDINGS = 64 };

struct _Recording {
  Recording *next; /* used less lately */
  StepRows rows;
  int wanted;
  cudaGraphExec_t graph; /* NULL: it came once, or stays plain */
  bool plain;
};

static bool
is_of (const Recording *r, const StepRows *rows, int wanted)
{
  const StepRows *own = &r->rows;

  return own->T == rows->T && own->singles == rows->singles && own->reach == rows->reach &&
         own->position == rows->position && own->sequence == rows->sequence &&
         own->pages == rows->pages && own->pages_per_sequence == rows->pages_per_sequence &&
         own->page_tokens == rows->page_tokens && r->wanted == wanted;
}

/* The step's recording, which becomes the first; NULL if none like it came. */
static Recording *
find (Cuda *c, const StepRows *rows, int wanted)
{
  for (Recording **at = &c->recordings; *at; at = &(*at)->next) {
    Recording *r = *at;

    if (!is_of (r, rows, wanted))
      continue;
    *at = r->next;
    r->next = c->recordings;
    c->recordings = r;
    return r;
  }
  return NULL;
}

/* Gives up what comes behind the first n. A graph that still runs ends before it goes. */
static void
keep (Cuda *c, int n)
{
  Recording **at = &c->recordings;

  for (; *at && n > 0; n--)
    at = &(*at)->next;
  while (*at) {
    Recording *r = *at;

    *at = r->next;
    if (r->graph)
      cuda_check (c, cudaGraphExecDestroy (r->graph), "free a graph");
    free (r);
  }
}

void
graphs_forget (Cuda *c)
{
  keep (c, 0);
}

/* Without memory the step is forgotten, and will be plain again. */
static void
remember (Cuda *c, const StepRows *rows, int wanted)
{
  Recording *r = calloc (1, sizeof *r);

  if (!r)
    return;
  r->rows = *rows;
  r->wanted = wanted;
  r->next = c->recordings;
  c->recordings = r;
  keep (c, MOST_RECORDINGS);
}

/* The graph of what body enqueues; NULL where there is none, and then nothing was enqueued. What failed
 * meanwhile is forgiven: if it was not for the capture, it fails again. Only this thread is held to what a
 * capture forbids, others in the process may go on allocating. */
static cudaGraphExec_t
capture (Cuda *c, void (*body) (void *data), void *data)
{
  cudaGraph_t graph = NULL;
  cudaGraphExec_t exec = NULL;
  bool captured;

  if (cudaStreamBeginCapture (c->stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess) {
    c->capturing = true;
    body (data);
    c->capturing = false;
    captured = cudaStreamEndCapture (c->stream, &graph) == cudaSuccess && c->failure[0] == '\0';
    if (captured && cudaGraphInstantiate (&exec, graph, 0) != cudaSuccess)
      exec = NULL;
  }
  if (!exec) {
    c->failure[0] = '\0';
    cudaGetLastError ();
  }
  if (graph)
    cuda_check (c, cudaGraphDestroy (graph), "free a graph");
  return exec;
}

static void
step (Ops *k, const StepRows *rows, int wanted, void (*body) (void *data), void *data)
{
  Cuda *c = cuda (k);
  Recording *r;

  if (c->failure[0] != '\0' || !cuda_check (c, cudaSetDevice (c->device), "be used"))
    return;
  r = find (c, rows, wanted);
  if (!r)
    remember (c, rows, wanted);
  else if (!r->graph && !r->plain) {
    r->graph = capture (c, body, data);
    r->plain = !r->graph;
  }
  if (!r || !r->graph)
    body (data);
  else if (c->failure[0] == '\0')
    cuda_check (c, cudaGraphLaunch (r->graph, c->stream), "run a graph");
}

void
cuda_fill_graphs (Ops *k)
{
  k->step = step;
}
