/* dsvl2: picture files that every question shows before its frames
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_REFERENCES_H
#define DSVL2_REFERENCES_H

#include "dsvl2.h"

/* references_load: the pictures of a list of files and URIs (prompts_split ()), decoded, in its order.
 * Errors: as still_load () and dsvl2_picture_new (), each behind the name. Free with g_ptr_array_unref (). */
GPtrArray *references_load (const char *list, GError **error);

#endif
