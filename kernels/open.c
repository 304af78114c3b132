/* dsvl2: ops_open, the choice of a back end
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernels/backend.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the table ----------------------------------------------------------------------------------- */

/* clang-format off */
#define ENTRY(op) { #op, offsetof (Ops, op) }
static const struct {
  const char *op;
  size_t offset;
} entries[] = {
  ENTRY (close), ENTRY (alloc), ENTRY (free), ENTRY (upload), ENTRY (download), ENTRY (place),
  ENTRY (unplace), ENTRY (failure), ENTRY (step), ENTRY (lane), ENTRY (pictures_done), ENTRY (frame_tiles), ENTRY (patchify), ENTRY (unfold),
  ENTRY (attend_tiles), ENTRY (gather_rows), ENTRY (add_rows), ENTRY (layer_norm), ENTRY (rms_norm),
  ENTRY (silu_mul), ENTRY (linear), ENTRY (linear_heads), ENTRY (rope), ENTRY (kv_write), ENTRY (attend),
  ENTRY (moe_route), ENTRY (moe_experts), ENTRY (argmax),
};
/* clang-format on */

/* The first op that the table lacks, or NULL. */
static const char *
missing (const Ops *k)
{
  for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
    void (*op) (void);

    memcpy (&op, (const char *) k + entries[i].offset, sizeof op);
    if (!op)
      return entries[i].op;
  }
  return NULL;
}

/* The back end if its table is complete. */
static Ops *
complete (Ops *k, char message[OPS_MESSAGE])
{
  const char *op = k ? missing (k) : NULL;

  if (!op)
    return k;
  snprintf (message, OPS_MESSAGE, "The back end %s has no %s", k->name, op);
  k->close (k);
  return NULL;
}

/* --- the module ---------------------------------------------------------------------------------- */

#if defined CUDA_MODULE_DIR
/* The module stays loaded: CUDA keeps state of its own in the process. */
static CudaModuleOpen
load_cuda (char message[OPS_MESSAGE])
{
  const char *dir = getenv ("DSVL2_MODULE_DIR");
  char file[4096];
  CudaModuleOpen open = NULL;
  void *module, *symbol;

  snprintf (file, sizeof file, "%s/" CUDA_MODULE_FILE, dir && *dir ? dir : CUDA_MODULE_DIR);
  module = dlopen (file, RTLD_NOW | RTLD_LOCAL);
  symbol = module ? dlsym (module, CUDA_MODULE_SYMBOL) : NULL;
  if (symbol)
    memcpy (&open, &symbol, sizeof open);
  else
    snprintf (message, OPS_MESSAGE,
        "The CUDA back end cannot be loaded (%.160s); install CUDA's libraries, or use device=cpu",
        dlerror ());
  return open;
}

static Ops *
cuda_open (const OpsOptions *options, char message[OPS_MESSAGE])
{
  const CudaModuleOpen open = load_cuda (message);

  return open ? complete (open (options, message), message) : NULL;
}
#else
static Ops *
cuda_open (const OpsOptions *options, char message[OPS_MESSAGE])
{
  snprintf (message, OPS_MESSAGE, "The device \"%.40s\" is not there: this build has no CUDA back end",
      options->device);
  return NULL;
}
#endif

/* The first device that can be opened; what was wrong with those before it is noted. */
static Ops *
auto_open (const OpsOptions *options, char message[OPS_MESSAGE])
{
  Ops *k = NULL;
  char note[OPS_MESSAGE] = "";

#if defined CUDA_MODULE_DIR
  if (!options->isa) /* which is the CPU's */
    k = cuda_open (options, note);
#endif
  if (k)
    return k;
  k = complete (cpu_open (options, message), message);
  if (k)
    memcpy (k->note, note, sizeof note);
  return k;
}

Ops *
ops_open (const OpsOptions *options, char message[OPS_MESSAGE])
{
  const char *device = options->device ? options->device : "auto";
  OpsOptions given = *options;

  given.device = device;
  message[0] = '\0';
  if (options->threads < 0) {
    snprintf (message, OPS_MESSAGE, "%d threads were asked for, expected 0 (all processors) or more",
        options->threads);
    return NULL;
  }
  if (options->attention && strcmp (options->attention, "auto") != 0 &&
      strcmp (options->attention, "own") != 0 && strcmp (options->attention, "cudnn") != 0) {
    snprintf (message, OPS_MESSAGE, "The attention \"%.40s\" is unknown, expected auto, own or cudnn",
        options->attention);
    return NULL;
  }
  if (strcmp (device, "auto") == 0)
    return auto_open (&given, message);
  if (strcmp (device, "cpu") == 0)
    return complete (cpu_open (&given, message), message);
  if (strcmp (device, "cuda") == 0 || strncmp (device, "cuda:", 5) == 0)
    return cuda_open (&given, message);
  snprintf (message, OPS_MESSAGE, "The device \"%.40s\" is unknown, expected auto, cpu or cuda",
      device);
  return NULL;
}
