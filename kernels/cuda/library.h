/* dsvl2: NVIDIA's libraries that are loaded at run time
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_CUDA_LIBRARY_H
#define DSVL2_CUDA_LIBRARY_H

#include "kernels/backend.h"

/* A function, and where the pointer to it goes. */
typedef struct {
  const char *name;
  void *pointer;
} LibraryFunction;

/* One of a library's functions as a LibraryFunction: its pointer is the member of `owner` with its name. */
#define LIBRARY_FUNCTION(owner, function)                                                              \
  {                                                                                                    \
#function, &(owner)->function                                                                      \
  }

typedef struct {
  const char *file, *title; /* "libcudnn.so.9", "cuDNN" */
  const char *install;      /* what has all functions: "cuDNN 9.13 or newer" */
  size_t oldest;            /* version */
} Library;

/* Finds n functions, the first of which gives the version; false with one sentence in message where the library is missing,
 * lacks one of them, or is too old. It stays loaded: such libraries keep state of their own in the process. */
bool library_load (const Library *library, const LibraryFunction *functions, int n,
    char message[OPS_MESSAGE]);

#endif
