/* dsvl2: where the model is when nobody names one
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* dladdr */
#include "dsvl2.h"
#include <dlfcn.h>

/* Levels above the library's folder that are looked at: PREFIX from PREFIX/lib/ARCH, the source tree from
 * BUILD/tests/engine. */
enum { MAX_LEVELS = 3 };

static char *
folder_with_model (const char *root, const char *below)
{
  g_autofree char *dir = g_build_filename (root, below, "models", "nano", NULL);
  g_autofree char *config = g_build_filename (dir, "config.json", NULL);

  return g_file_test (config, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer (&dir) : NULL;
}

/* The folder of the file that this code was loaded from, so that an installation can be moved. */
static char *
library_folder (void)
{
  Dl_info info;
  g_autofree char *path = NULL;

  if (dladdr ((void *) library_folder, &info) == 0 || info.dli_fname == NULL)
    return NULL;
  path = g_canonicalize_filename (info.dli_fname, NULL);
  return g_path_get_dirname (path);
}

char *
dsvl2_default_model_path (void)
{
  const char *chosen = g_getenv ("DSVL2_MODEL"), *data = g_getenv ("DSVL2_DATA_DIR");
  g_autofree char *above = library_folder ();
  char *found = NULL;

  if (chosen != NULL && *chosen != '\0')
    return g_strdup (chosen);
  if (data != NULL && *data != '\0')
    found = folder_with_model (data, "");

  for (int level = 0; found == NULL && above != NULL && level < MAX_LEVELS; level++) {
    char *parent = g_path_get_dirname (above);

    g_free (above);
    above = parent;
    found = folder_with_model (above, "share/dsvl2"); /* installed */
    if (found == NULL)
      found = folder_with_model (above, ""); /* a build folder inside the source tree */
  }
  return found;
}
