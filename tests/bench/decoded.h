/* tests: the pictures that belong to a ground truth, ready for the engine
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DECODED_H
#define DECODED_H

#include "dsvl2.h"

/* decoded_load: the frames of a clip, decoded to RGB by GStreamer, or those of a folder with 0000.ppm,
 * 0001.ppm …: an array of Dsvl2Picture. gst_init () comes first.
 * Errors: GStreamer's, G_FILE_ERROR, G_IO_ERROR_INVALID_DATA, Dsvl2Error's PICTURE.
 * Free with g_ptr_array_unref (). */
GPtrArray *decoded_load (const char *path, GError **error);

#endif
