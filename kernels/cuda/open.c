/* dsvl2: opening the CUDA back end: the device, what it must have, the table
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda.h"
#include "module.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kernels are compiled for this compute capability and newer. */
enum { OLDEST_MAJOR = 7, OLDEST_MINOR = 5 };

/* From this one on tensor cores multiply bf16; older ones take the float32 kernels. */
enum { BF16_MAJOR = 8 };

/* What the device must have free beside weights: staging, scratch, the context's own. */
#define LEAST_FREE_BYTES ((size_t) 256 << 20)

/* "cuda:N" → N, "cuda" and "auto" → 0; −1 for what is no number. */
static int
device_number (const char *name)
{
  char *end;
  long n;

  if (strncmp (name, "cuda:", 5) != 0)
    return 0;
  n = strtol (name + 5, &end, 10);
  return name[5] >= '0' && name[5] <= '9' && *end == '\0' && n <= 1023 ? (int) n : -1;
}

/* The device's number, or −1 with a sentence in `message`. */
static int
choose_device (const char *name, char message[OPS_MESSAGE])
{
  const int device = device_number (name);
  cudaError_t error;
  int n = 0;

  if (device < 0) {
    snprintf (message, OPS_MESSAGE, "The device \"%.40s\" is unknown, expected cuda or cuda:N", name);
    return -1;
  }
  error = cudaGetDeviceCount (&n);
  if (error == cudaErrorInsufficientDriver) {
    snprintf (message, OPS_MESSAGE,
        "There is no NVIDIA driver for CUDA %d or newer; install one, or use device=cpu",
        CUDART_VERSION / 1000);
    return -1;
  }
  if (error != cudaSuccess || n == 0) {
    snprintf (message, OPS_MESSAGE, "There is no CUDA device (%s); use device=cpu",
        cudaGetErrorString (error == cudaSuccess ? cudaErrorNoDevice : error));
    return -1;
  }
  if (device >= n) {
    snprintf (message, OPS_MESSAGE, "There is no CUDA device %d, the last one is %d", device, n - 1);
    return -1;
  }
  return device;
}

/* Sets c->isa and c->bf16; false with a sentence where the device cannot run us. */
static bool
check_device (Cuda *c, bool bf16, char message[OPS_MESSAGE])
{
  int major = 0, minor = 0, most_shared = 0;
  size_t free_bytes = 0, total_bytes = 0;

  if (!cuda_check (c, cudaSetDevice (c->device), "use the device") ||
      !cuda_check (c, cudaDeviceGetAttribute (&major, cudaDevAttrComputeCapabilityMajor, c->device),
          "ask for the compute capability") ||
      !cuda_check (c, cudaDeviceGetAttribute (&minor, cudaDevAttrComputeCapabilityMinor, c->device),
          "ask for the compute capability") ||
      !cuda_check (c,
          cudaDeviceGetAttribute (&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, c->device),
          "ask for its shared memory") ||
      !cuda_check (c, cudaMemGetInfo (&free_bytes, &total_bytes), "ask for free memory")) {
    memcpy (message, c->failure, OPS_MESSAGE);
    return false;
  }
  if (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR)) {
    snprintf (message, OPS_MESSAGE,
        "CUDA device %d has compute capability %d.%d, %d.%d or newer is needed; use device=cpu",
        c->device, major, minor, OLDEST_MAJOR, OLDEST_MINOR);
    return false;
  }
  if (free_bytes < LEAST_FREE_BYTES) {
    snprintf (message, OPS_MESSAGE,
        "CUDA device %d has %zu of %zu MiB free, %zu MiB are the least to start with", c->device,
        free_bytes >> 20, total_bytes >> 20, LEAST_FREE_BYTES >> 20);
    return false;
  }
  c->most_shared = most_shared;
  c->bf16 = bf16 && major >= BF16_MAJOR;
  snprintf (c->isa, sizeof c->isa, "sm_%d%d%s", major % 100, minor % 10, c->bf16 ? "+bf16" : "");
  return true;
}

void
cuda_note (Cuda *c, const char *format, ...)
{
  char *note = c->ops.note;
  const size_t length = strlen (note);
  va_list args;

  va_start (args, format);
  if (length > 0)
    snprintf (note + length, OPS_NOTE - length, "; ");
  vsnprintf (note + strlen (note), OPS_NOTE - strlen (note), format, args);
  va_end (args);
}

static void
cuda_close (Ops *k)
{
  Cuda *c = cuda (k);

  cudaSetDevice (c->device);
  lanes_finish (c);
  graphs_forget (c);
#if defined HAVE_CUDNN
  tiles_dnn_close (c);
#endif
#if defined HAVE_CUBLASLT
  lt_close (c);
#endif
  memory_close (c);
  lanes_close (c);
  free (c);
}

static void
fill (Ops *k)
{
  cuda_fill_memory (k);
  cuda_fill_attention (k);
  cuda_fill_experts (k);
  cuda_fill_frames (k);
  cuda_fill_graphs (k);
  cuda_fill_lanes (k);
  cuda_fill_linear (k);
  cuda_fill_logits (k);
  cuda_fill_norm (k);
  cuda_fill_patches (k);
  cuda_fill_rope (k);
  cuda_fill_routing (k);
  cuda_fill_rows (k);
}

/* False with a sentence where cuDNN was asked for and cannot. */
static bool
open_attention (Cuda *c, const OpsOptions *options, char message[OPS_MESSAGE])
{
#if defined HAVE_CUDNN
  return tiles_dnn_open (c, options, message);
#else
  if (options->attention && strcmp (options->attention, "cudnn") == 0) {
    snprintf (message, OPS_MESSAGE, "This build has no cuDNN; use vision-attention=own");
    return false;
  }
  return true;
#endif
}

Ops *
dsvl2_cuda_open (const OpsOptions *options, char message[OPS_MESSAGE])
{
  const int device = choose_device (options->device, message);
  Cuda *c;

  if (device < 0)
    return NULL;
  c = calloc (1, sizeof *c);
  if (!c) {
    snprintf (message, OPS_MESSAGE, "There is no memory for the CUDA back end");
    return NULL;
  }
  c->device = device;
  c->ops.name = "cuda";
  c->ops.isa = c->isa;
  c->ops.quantised = true;
  c->ops.close = cuda_close;
  fill (&c->ops);
  if (!check_device (c, options->bf16, message))
    goto fail;
  if (!lanes_open (c) || !context_open (c)) {
    memcpy (message, c->failure, OPS_MESSAGE);
    goto fail;
  }
#if defined HAVE_CUBLASLT
  lt_open (c);
#endif
  if (!open_attention (c, options, message))
    goto fail;
  if (c->failure[0] != '\0') {
    memcpy (message, c->failure, OPS_MESSAGE);
    goto fail;
  }
  return &c->ops;

fail:
  cuda_close (&c->ops);
  return NULL;
}
