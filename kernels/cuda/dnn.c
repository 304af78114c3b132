/* dsvl2: cuDNN loaded at run time; planning and executing a graph
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dnn.h"
#include "library.h"

#include <stdio.h>
#include <string.h>

enum { DNN_PROPOSALS = 16 };

/* The first version whose attention is one operation with all that we set. */
static const Library dnn_library = { "libcudnn.so.9", "cuDNN", "cuDNN 9.13 or newer", 91300 };

/* --- the library --------------------------------------------------------------------------------- */

bool
dnn_load (Dnn *d)
{
#define DNN_ENTRY(name) LIBRARY_FUNCTION (d, name),
  const LibraryFunction functions[] = { DNN_FUNCTIONS (DNN_ENTRY) };
#undef DNN_ENTRY

  *d = (Dnn){ 0 };
  return library_load (&dnn_library, functions, sizeof functions / sizeof functions[0], d->message);
}

void
dnn_unload (Dnn *d)
{
  if (d->handle)
    d->cudnnDestroy (d->handle);
  *d = (Dnn){ 0 };
}

bool
dnn_check (Dnn *d, cudnnStatus_t status, const char *what)
{
  char reason[160] = "";

  if (status == CUDNN_STATUS_SUCCESS)
    return true;
  if (d->message[0] == '\0') {
    d->cudnnGetLastErrorString (reason, sizeof reason);
    reason[sizeof reason - 1] = '\0';
    reason[strcspn (reason, "\n")] = '\0';
    snprintf (d->message, sizeof d->message, "cuDNN could not %s: %.50s%s%.110s", what,
        d->cudnnGetErrorString (status), reason[0] ? ", " : "", reason);
  }
  return false;
}

void
dnn_forget (Dnn *d)
{
  d->message[0] = '\0';
}

/* --- planning ------------------------------------------------------------------------------------ */

/* Descriptors of one type, kept by the graph. */
static bool
make (DnnGraph *g, cudnnBackendDescriptorType_t type, int n, cudnnBackendDescriptor_t *made)
{
  for (int i = 0; i < n; i++) {
    if (g->n_made == DNN_DESCRIPTORS ||
        !dnn_check (g->dnn, g->dnn->cudnnBackendCreateDescriptor (type, &made[i]), "make a descriptor"))
      return false;
    g->made[g->n_made++] = made[i];
  }
  return true;
}

static bool
set_descriptor (DnnGraph *g, cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name,
    cudnnBackendDescriptor_t value)
{
  return dnn_check (g->dnn,
      g->dnn->cudnnBackendSetAttribute (to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value),
      "set a part of a plan");
}

/* What cuDNN proposes, best first: at most DNN_PROPOSALS; −1 where it failed. */
static int
propose (DnnGraph *g, cudnnBackendDescriptor_t configs[DNN_PROPOSALS])
{
  Dnn *d = g->dnn;
  const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
  cudnnBackendDescriptor_t heuristic;
  int64_t n = 0;

  if (!make (g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, 1, &heuristic) ||
      !make (g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, DNN_PROPOSALS, configs) ||
      !set_descriptor (g, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g->graph) ||
      !dnn_check (d,
          d->cudnnBackendSetAttribute (heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
              &mode),
          "choose heuristics") ||
      !dnn_check (d, d->cudnnBackendFinalize (heuristic), "ask for engines") ||
      !dnn_check (d,
          d->cudnnBackendGetAttribute (heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
              CUDNN_TYPE_BACKEND_DESCRIPTOR, DNN_PROPOSALS, &n, configs),
          "list engines"))
    return -1;
  return n < DNN_PROPOSALS ? (int) n : DNN_PROPOSALS;
}

/* The number of a configuration's engine. */
static bool
read_engine (DnnGraph *g, cudnnBackendDescriptor_t config)
{
  Dnn *d = g->dnn;
  cudnnBackendDescriptor_t engine;
  int64_t n = 0;

  return make (g, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1, &engine) &&
         dnn_check (d,
             d->cudnnBackendGetAttribute (config, CUDNN_ATTR_ENGINECFG_ENGINE,
                 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine),
             "name an engine") &&
         dnn_check (d,
             d->cudnnBackendGetAttribute (engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                 &n, &g->engine),
             "name an engine");
}

static bool
plan_with (DnnGraph *g, cudnnBackendDescriptor_t config)
{
  Dnn *d = g->dnn;
  cudnnBackendDescriptor_t plan;
  int64_t n = 0;

  if (!make (g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, 1, &plan) ||
      !set_descriptor (g, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config) ||
      !dnn_check (d,
          d->cudnnBackendSetAttribute (plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
              &d->handle),
          "set a plan's handle") ||
      !dnn_check (d, d->cudnnBackendFinalize (plan), "plan a graph") ||
      !dnn_check (d,
          d->cudnnBackendGetAttribute (plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
              1, &n, &g->workspace),
          "ask for a plan's workspace"))
    return false;
  g->plan = plan;
  return true;
}

bool
dnn_plan (DnnGraph *g)
{
  Dnn *d = g->dnn;
  cudnnBackendDescriptor_t configs[DNN_PROPOSALS];
  const int n = propose (g, configs);

  if (n == 0)
    snprintf (d->message, sizeof d->message, "cuDNN has no engine for this graph on this device");
  for (int i = 0; i < n; i++) {
    if (read_engine (g, configs[i]) && plan_with (g, configs[i])) {
      dnn_forget (d); /* what failed was a proposal before this one */
      return true;
    }
    if (g->n_made == DNN_DESCRIPTORS)
      break;
  }
  return false;
}

/* --- executing ----------------------------------------------------------------------------------- */

bool
dnn_execute (DnnGraph *g, void *const *data, void *workspace)
{
  Dnn *d = g->dnn;
  cudnnBackendDescriptor_t pack = NULL;
  bool done;

  if (!dnn_check (d, d->cudnnBackendCreateDescriptor (CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack),
          "name a graph's tensors"))
    return false;
  done = dnn_check (d,
             d->cudnnBackendSetAttribute (pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64,
                 g->n_tensors, g->id),
             "name a graph's tensors") &&
         dnn_check (d,
             d->cudnnBackendSetAttribute (pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                 CUDNN_TYPE_VOID_PTR, g->n_tensors, data),
             "find a graph's tensors") &&
         dnn_check (d,
             d->cudnnBackendSetAttribute (pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
                 1, &workspace),
             "find a graph's workspace") &&
         dnn_check (d, d->cudnnBackendFinalize (pack), "name a graph's tensors") &&
         dnn_check (d, d->cudnnBackendExecute (d->handle, g->plan, pack), "run a graph");
  d->cudnnBackendDestroyDescriptor (pack);
  return done;
}

void
dnn_graph_clear (DnnGraph *g)
{
  while (g->n_made > 0)
    g->dnn->cudnnBackendDestroyDescriptor (g->made[--g->n_made]);
  *g = (DnnGraph){ 0 };
}
