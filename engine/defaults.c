/* dsvl2: where the model is when nobody names one
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* dladdr */
#include "dsvl2.h"
#include <dlfcn.h>

/* Levels above the library's folder that are looked at: PREFIX from PREFIX/lib/ARCH, the source tree from
 * BUILD/tests/engine. */
enum { MAX_LEVELS = 3 };

static char *
nano_below (const char *root)
{
  static const char *const places[] = { "share/dsvl2/models/nano", /* an installation's prefix */
    "models/nano/hf" };                                            /* the source tree */

  for (gsize i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree char *dir = g_build_filename (root, places[i], NULL);
    g_autofree char *config = g_build_filename (dir, "config.json", NULL);

    if (g_file_test (config, G_FILE_TEST_IS_REGULAR))
      return g_steal_pointer (&dir);
  }
  return NULL;
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
    found = nano_below (data);

  for (int level = 0; found == NULL && above != NULL && level < MAX_LEVELS; level++) {
    char *parent = g_path_get_dirname (above);

    g_free (above);
    above = parent;
    found = nano_below (above);
  }
  return found;
}
