/* dsvl2: what a kernel of the CUDA back end needs once, before its first launch
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda.h"

/* The limit belongs to the device, not to us: every engine of the process sets the same one, so that none
 * takes away what another needs. */
bool
allow_shared (Cuda *c, const void *kernel, const char *what)
{
  struct cudaFuncAttributes its;

  for (int i = 0; i < c->n_roomy; i++)
    if (c->roomy[i] == kernel)
      return true;
  if (!cuda_check (c, cudaFuncGetAttributes (&its, kernel), what) ||
      !cuda_check (c,
          cudaFuncSetAttribute (kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
              (int) (c->most_shared - its.sharedSizeBytes)),
          what))
    return false;
  if (c->n_roomy < MOST_ROOMY) /* of those beyond, each launch asks again */
    c->roomy[c->n_roomy++] = kernel;
  return true;
}
