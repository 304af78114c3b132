/* dsvl2: attend_tiles by cuDNN
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * cuDNN attends in bf16: queries, keys and values are rounded, its result is widened. A plan is made for each
 * number of tiles when it first comes, and kept. What cuDNN has no engine for, our own kernel does. A tile's
 * shape alone decides which of the two, and which engine, so that a tile's rows do not depend on the others. */
#include "cuda.h"
#include "dnn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct _TilesPlan TilesPlan;
struct _TilesPlan {
  TilesPlan *next;
  int N, P, H, d;
  bool works;
  DnnGraph graph;
};

struct _TilesDnn {
  Dnn dnn;
  TilesPlan *plans;
  Buffer out, workspace;
  cudaStream_t stream; /* that cuDNN was told to use */
  void (*own) (Ops *k, float *out, const float *qkv, int N, int P, int H, int d);
};

/* The plan for N tiles; NULL where cuDNN cannot, with a sentence in t->dnn.message at the first time. */
static TilesPlan *
plan_for (TilesDnn *t, int N, int P, int H, int d)
{
  TilesPlan *plan;

  for (plan = t->plans; plan; plan = plan->next)
    if (plan->N == N && plan->P == P && plan->H == H && plan->d == d)
      return plan->works ? plan : NULL;
  plan = calloc (1, sizeof *plan);
  if (!plan) {
    snprintf (t->dnn.message, sizeof t->dnn.message, "There is no memory for a plan of cuDNN's");
    return NULL;
  }
  *plan = (TilesPlan){ .next = t->plans, .N = N, .P = P, .H = H, .d = d };
  t->plans = plan;
  plan->works = dnn_attention_graph (&t->dnn, &plan->graph, N, P, H, d) && dnn_plan (&plan->graph);
  if (!plan->works)
    dnn_graph_clear (&plan->graph);
  return plan->works ? plan : NULL;
}

/* cuDNN works where it was told to last. */
static bool
use_stream (TilesDnn *t, cudaStream_t stream)
{
  if (t->stream == stream)
    return true;
  if (!dnn_check (&t->dnn, t->dnn.cudnnSetStream (t->dnn.handle, stream), "use our stream"))
    return false;
  t->stream = stream;
  return true;
}

/* One execution of a plan, on bf16. */
static void
run_plan (Cuda *c, TilesPlan *plan, char *out, char *qkv, float scale)
{
  TilesDnn *t = c->tiles_dnn;
  const size_t row = (size_t) plan->H * plan->d * sizeof (uint16_t);
  void *const data[] = { qkv, qkv + row, qkv + 2 * row, out, &scale };
  void *workspace = buffer_on_device (c, &t->workspace, (size_t) plan->graph.workspace);

  if (plan->graph.workspace > 0 && !workspace) {
    cuda_check (c, cudaErrorMemoryAllocation, "get a workspace for attend_tiles");
    return;
  }
  dnn_forget (&t->dnn); /* why another plan could not be made */
  if (!use_stream (t, c->stream) || !dnn_execute (&plan->graph, data, workspace))
    memcpy (c->failure, t->dnn.message, OPS_MESSAGE);
}

static void
attend_tiles (Ops *k, float *out, const float *qkv, int N, int P, int H, int d)
{
  Cuda *c = cuda (k);
  TilesDnn *t = c->tiles_dnn;
  const size_t tile = (size_t) P * H * d;
  TilesPlan *one, *plan;
  char *rounded, *result;

  if (N == 0 || c->failure[0] != '\0' || !cuda_check (c, cudaSetDevice (c->device), "be used"))
    return;
  one = plan_for (t, 1, P, H, d);
  if (!one) {
    t->own (k, out, qkv, N, P, H, d);
    return;
  }
  plan = plan_for (t, N, P, H, d);
  if (!plan || plan->graph.engine != one->graph.engine)
    plan = one; /* tile by tile */
  rounded = buffer_on_device (c, &c->rounded, N * 3 * tile * sizeof (uint16_t));
  result = buffer_on_device (c, &t->out, N * tile * sizeof (uint16_t));
  if (!rounded || !result) {
    cuda_check (c, cudaErrorMemoryAllocation, "get memory for attend_tiles");
    return;
  }
  round_to_bf16 (c, rounded, qkv, N * 3 * tile);
  for (int n = 0; n < N && c->failure[0] == '\0'; n += plan->N)
    run_plan (c, plan, result + n * tile * sizeof (uint16_t),
        rounded + n * 3 * tile * sizeof (uint16_t), (float) (1 / sqrt (d)));
  widen_bf16 (c, out, result, N * tile);
}

/* --- opening ------------------------------------------------------------------------------------- */

static bool
open_handle (Cuda *c, TilesDnn *t)
{
  Dnn *d = &t->dnn;

  return dnn_load (d) && dnn_check (d, d->cudnnCreate (&d->handle), "be opened") &&
         use_stream (t, c->stream);
}

/* Does cuDNN do it for the tiles that are to come? */
static bool
does_tiles (Cuda *c, const OpsOptions *o)
{
  TilesDnn *t = c->tiles_dnn;

  return open_handle (c, t) && (o->tile.P == 0 || plan_for (t, 1, o->tile.P, o->tile.H, o->tile.d));
}

/* Takes attend_tiles over, or says in message why not. */
static bool
take_over (Cuda *c, const OpsOptions *o, char message[OPS_MESSAGE])
{
  c->tiles_dnn = calloc (1, sizeof *c->tiles_dnn);
  if (!c->tiles_dnn) {
    snprintf (message, OPS_MESSAGE, "There is no memory for cuDNN's plans");
    return false;
  }
  if (!does_tiles (c, o)) {
    memcpy (message, c->tiles_dnn->dnn.message, OPS_MESSAGE);
    tiles_dnn_close (c);
    return false;
  }
  c->tiles_dnn->own = c->ops.attend_tiles;
  c->ops.attend_tiles = attend_tiles;
  strncat (c->isa, "+cudnn", sizeof c->isa - strlen (c->isa) - 1);
  return true;
}

bool
tiles_dnn_open (Cuda *c, const OpsOptions *o, char message[OPS_MESSAGE])
{
  const bool asked = o->attention && strcmp (o->attention, "cudnn") == 0;
  char why[OPS_MESSAGE] = "";

  if (asked && !c->bf16) {
    snprintf (message, OPS_MESSAGE, "cuDNN attends in bf16, which %s",
        o->bf16 ? "this device does not multiply; use vision-attention=own"
                : "was not allowed; allow it with bf16=true");
    return false;
  }
  if (!c->bf16 || (o->attention && strcmp (o->attention, "own") == 0) || take_over (c, o, why))
    return true;
  if (asked)
    memcpy (message, why, OPS_MESSAGE);
  else
    cuda_note (c, "Our own kernel attends to pictures: %.200s", why);
  return !asked;
}

void
tiles_dnn_close (Cuda *c)
{
  TilesDnn *t = c->tiles_dnn;

  if (!t)
    return;
  while (t->plans) {
    TilesPlan *plan = t->plans;

    t->plans = plan->next;
    dnn_graph_clear (&plan->graph);
    free (plan);
  }
  c->ops.free (&c->ops, t->out.data);
  c->ops.free (&c->ops, t->workspace.data);
  dnn_unload (&t->dnn);
  free (t);
  c->tiles_dnn = NULL;
}
