/* dsvl2: every cuDNN graph of ours, judged by the real cuDNN for devices that are not there
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: offline DEVICE.json…
 *
 * cuDNN takes a device's properties in place of the device: it refuses wrong graphs by name and says which
 * engines it has for right ones. A convolution's plan comes compiled, so it is finalised too; attention's is
 * compiled on the device's driver, and is asked for as far as its engines. Skipped (77) without cuDNN. */
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
check_attention (Dnn *d, const char *device, size_t c)
{
  int64_t engine = -1;

  for (size_t i = 0; i < COUNT (batches); i++) {
    DnnGraph g;
    const bool accepted = dnn_attention_graph (d, &g, batches[i], attention_cases[c].P,
        attention_cases[c].H, attention_cases[c].d);
    const int n = accepted ? dnn_proposals (&g) : 0;
    char what[160], found[OPS_MESSAGE + 64];

    snprintf (what, sizeof what, "attention N=%d P=%d H=%d d=%d, %s", batches[i], attention_cases[c].P,
        attention_cases[c].H, attention_cases[c].d, attention_cases[c].whose);
    if (n > 0)
      snprintf (found, sizeof found, "%d engines, the first is %d", n, (int) g.engine);
    else
      snprintf (found, sizeof found, "no engine%s%s", d->message[0] ? ", " : "", d->message);
    judge ((n > 0) == attention_cases[c].supported && (engine < 0 || engine == g.engine), device, what,
        found);
    if (n > 0)
      engine = g.engine;
    dnn_graph_clear (&g);
  }
}

static const struct {
  int N, S, p, O;
} patches_cases[] = { { 1, 384, 14, 1152 }, { 7, 384, 14, 1152 }, { 2, 64, 16, 96 } };

static void
check_patches (Dnn *d, const char *device, size_t c)
{
  DnnGraph g;
  const bool planned = dnn_patches_graph (d, &g, patches_cases[c].N, patches_cases[c].S,
                           patches_cases[c].p, patches_cases[c].O) &&
                       dnn_plan (&g);
  char what[160], found[OPS_MESSAGE];

  snprintf (what, sizeof what, "patches N=%d S=%d p=%d O=%d", patches_cases[c].N, patches_cases[c].S,
      patches_cases[c].p, patches_cases[c].O);
  if (planned)
    snprintf (found, sizeof found, "planned, engine %d, %.1f MB of workspace", (int) g.engine,
        (double) g.workspace * 1e-6);
  else
    snprintf (found, sizeof found, "%s", d->message);
  judge (planned, device, what, found);
  dnn_graph_clear (&g);
}

/* One side too long for what it is a convolution of: refused when the graph is made. */
static void
check_refusal (Dnn *d, const char *device)
{
  DnnGraph g;
  const bool accepted = dnn_patches_graph (d, &g, 1, 10, 14, 8);

  judge (!accepted && d->message[0], device, "patches larger than the tile are refused", d->message);
  dnn_graph_clear (&g);
}

static bool
check_device (const char *path)
{
  const char *name = strrchr (path, '/') ? strrchr (path, '/') + 1 : path;
  char json[JSON_BYTES], device[32];
  FILE *file = fopen (path, "r");
  const size_t bytes = file ? fread (json, 1, sizeof json, file) : 0;
  Dnn d;

  if (file)
    fclose (file);
  snprintf (device, sizeof device, "%.*s", (int) strcspn (name, "."), name);
  if (!dnn_load (&d))
    return false;
  if (dnn_describe_device (&d, json, bytes)) {
    for (size_t c = 0; c < COUNT (attention_cases); c++)
      check_attention (&d, device, c);
    for (size_t c = 0; c < COUNT (patches_cases); c++)
      check_patches (&d, device, c);
    check_refusal (&d, device);
  } else {
    judge (false, device, "its description is understood", d.message);
  }
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
