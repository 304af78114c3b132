/* dsvl2: NVIDIA's libraries that are loaded at run time
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool
library_load (const Library *library, const LibraryFunction *functions, int n,
    char message[OPS_MESSAGE])
{
  void *handle = dlopen (library->file, RTLD_NOW | RTLD_LOCAL);
  size_t (*version) (void), found;

  if (!handle) {
    snprintf (message, OPS_MESSAGE, "%s cannot be loaded (%.160s)", library->title, dlerror ());
    return false;
  }
  for (int i = 0; i < n; i++) {
    void *symbol = dlsym (handle, functions[i].name);

    if (!symbol) {
      snprintf (message, OPS_MESSAGE, "%s has no %s; install %s", library->file, functions[i].name,
          library->install);
      return false;
    }
    memcpy (functions[i].pointer, &symbol, sizeof symbol);
  }
  memcpy (&version, functions[0].pointer, sizeof version);
  found = version ();
  if (found < library->oldest)
    snprintf (message, OPS_MESSAGE, "%s is of version %zu, %zu or newer is needed", library->title,
        found, library->oldest);
  return found >= library->oldest;
}
