/* dsvl2: what ops_open () looks for in the module of the CUDA back end
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_CUDA_MODULE_H
#define DSVL2_CUDA_MODULE_H

#include "kernels/backend.h"

#define CUDA_MODULE_FILE "dsvl2-cuda.so"
#define CUDA_MODULE_SYMBOL "dsvl2_cuda_open"

typedef Ops *(*CudaModuleOpen) (const OpsOptions *options, char message[OPS_MESSAGE]);

/* A back end on options->device ("auto" means the first); its table may lack ops. NULL with one sentence
 * in `message` where driver or device are missing, the device is too old, or memory ran out. */
__attribute__ ((visibility ("default"))) Ops *dsvl2_cuda_open (const OpsOptions *options,
    char message[OPS_MESSAGE]);

#endif
