/* dsvl2: our cuDNN graph, judged by the real cuDNN for devices that are not there
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: offline DEVICE.json…
 *
 * cuDNN takes a device's properties in place of the device: it refuses wrong graphs by name and says which
 * engines it has for right ones. Plans are compiled through a driver, so none is made. Skipped (77) without
 * cuDNN. */
#include "kernels/cuda/dnn.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof table / sizeof table[0])

enum { SKIPPED = 77, JSON_BYTES = 8192 };

static int n_run, n_failed;

static void
judge (bool pass, const char *device, const char *what, const char *found)
{
  n_run++;
  n_failed += !pass;
  printf ("%s %d - %s: %s: %s\n", pass ? "ok" : "not ok", n_run, device, what, found);
}

/* --- asking for a described device --------------------------------------------------------------- */

static bool
set (Dnn *d, cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
  return dnn_check (d, d->cudnnBackendSetAttribute (to, name, type, n, values), "take an attribute");
}

static bool
get (Dnn *d, cudnnBackendDescriptor_t of, cudnnBackendAttributeName_t name,
    cudnnBackendAttributeType_t type, int64_t room, int64_t *n, void *values)
{
  return dnn_check (d, d->cudnnBackendGetAttribute (of, name, type, room, n, values),
      "give an attribute");
}

static cudnnBackendDescriptor_t
make (Dnn *d, cudnnBackendDescriptorType_t type)
{
  cudnnBackendDescriptor_t made = NULL;

  dnn_check (d, d->cudnnBackendCreateDescriptor (type, &made), "make a descriptor");
  return made;
}

/* A device of these properties, in cuDNN's own JSON; false with a sentence in d->message. */
static bool
describe_device (Dnn *d, cudnnBackendDescriptor_t device, const char *json, size_t bytes)
{
  return device &&
         set (d, device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t) bytes,
             json) &&
         dnn_check (d, d->cudnnBackendFinalize (device), "describe a device");
}

/* The first of the engines that cuDNN has for the graph on the device, and whether there is one; −1 where it failed. */
static int64_t
first_engine (DnnGraph *g, cudnnBackendDescriptor_t device, int64_t *first)
{
  Dnn *d = g->dnn;
  const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
  cudnnBackendDescriptor_t heuristic = make (d, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR),
                           config = make (d, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR),
                           engine = make (d, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  int64_t n = -1, one;

  if (!heuristic || !config || !engine ||
      !set (d, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
          &g->graph) ||
      !set (d, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) ||
      !set (d, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
          &device) ||
      !dnn_check (d, d->cudnnBackendFinalize (heuristic), "ask for engines") ||
      !get (d, heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n,
          &config) ||
      (n > 0 &&
          (!get (d, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one,
               &engine) ||
              !get (d, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &one, first))))
    n = -1;
  for (cudnnBackendDescriptor_t *made = (cudnnBackendDescriptor_t[]){ heuristic, config, engine, NULL };
       *made; made++)
    d->cudnnBackendDestroyDescriptor (*made);
  return n;
}

/* --- what is asked ------------------------------------------------------------------------------- */

static const struct {
  int P, H, d;
  bool supported;
  const char *whose;
} attention_cases[] = {
  { 729, 16, 72, true, "SigLIP SO400M" },
  { 25, 4, 16, true, "a small one" },
  { 5, 1, 600, true, "the widest that check_kernels has" },
  { 25, 4, 12, false, "rows of no multiple of 16 bytes" },
  { 25, 4, 73, false, "an odd width" },
};

/* Batches of tiles: results must not depend on the others in one, so all take one engine. */
static const int batches[] = { 1, 2, 3, 7, 10 };

static void
check_attention (Dnn *d, cudnnBackendDescriptor_t properties, const char *device, size_t c)
{
  int64_t engine = -1;

  for (size_t i = 0; i < COUNT (batches); i++) {
    DnnGraph g;
    const bool accepted = dnn_attention_graph (d, &g, batches[i], attention_cases[c].P,
        attention_cases[c].H, attention_cases[c].d);
    int64_t first = -1;
    const int64_t n = accepted ? first_engine (&g, properties, &first) : 0;
    char what[160], found[OPS_MESSAGE + 64];

    snprintf (what, sizeof what, "attention N=%d P=%d H=%d d=%d, %s", batches[i], attention_cases[c].P,
        attention_cases[c].H, attention_cases[c].d, attention_cases[c].whose);
    if (n > 0)
      snprintf (found, sizeof found, "the first engine is %d", (int) first);
    else
      snprintf (found, sizeof found, "no engine%s%s", d->message[0] ? ", " : "", d->message);
    judge ((n > 0) == attention_cases[c].supported && (engine < 0 || engine == first), device, what,
        found);
    if (n > 0)
      engine = first;
    dnn_graph_clear (&g);
  }
}

/* Refused when the graph is made. */
static void
check_refusal (Dnn *d, const char *device)
{
  DnnGraph g;
  const bool accepted = dnn_attention_graph (d, &g, 1, -1, 4, 16);

  judge (!accepted && d->message[0], device, "a negative size is refused", d->message);
  dnn_graph_clear (&g);
}

static bool
check_device (const char *path)
{
  const char *name = strrchr (path, '/') ? strrchr (path, '/') + 1 : path;
  char json[JSON_BYTES], device[32];
  FILE *file = fopen (path, "r");
  const size_t bytes = file ? fread (json, 1, sizeof json, file) : 0;
  cudnnBackendDescriptor_t properties;
  Dnn d;

  if (file)
    fclose (file);
  snprintf (device, sizeof device, "%.*s", (int) strcspn (name, "."), name);
  if (!dnn_load (&d))
    return false;
  properties = make (&d, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  if (describe_device (&d, properties, json, bytes)) {
    for (size_t c = 0; c < COUNT (attention_cases); c++)
      check_attention (&d, properties, device, c);
    check_refusal (&d, device);
  } else {
    judge (false, device, "its description is understood", d.message);
  }
  if (properties)
    d.cudnnBackendDestroyDescriptor (properties);
  dnn_unload (&d);
  return true;
}

int
main (int argc, char **argv)
{
  Dnn d;

  if (!dnn_load (&d)) {
    printf ("1..0 # SKIP %s\n", d.message);
    return SKIPPED;
  }
  if (!dlopen ("libcuda.so.1", RTLD_NOW)) {
    printf ("1..0 # SKIP cuDNN proposes nothing without a driver or its stub (%s)\n", dlerror ());
    return SKIPPED;
  }
  printf ("# cuDNN %zu\n", d.cudnnGetVersion ());
  dnn_unload (&d);
  for (int i = 1; i < argc; i++)
    check_device (argv[i]);
  printf ("1..%d\n", n_run);
  return n_failed > 0 || n_run == 0;
}
