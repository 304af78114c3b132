/* tests: pictures of a clip or of a folder
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoded.h"
#include "play.h"
#include <gio/gio.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <string.h>

static void
pixels_free (gpointer data)
{
  GstVideoFrame *pixels = data;

  gst_video_frame_unmap (pixels);
  g_free (pixels);
}

static Dsvl2Picture *
picture_from_sample (GstSample *sample, GError **error)
{
  g_autofree GstVideoFrame *pixels = g_new0 (GstVideoFrame, 1);
  Dsvl2Picture *picture;
  Dsvl2Frame frame = { .format = DSVL2_FORMAT_RGB };
  GstVideoInfo info;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample)) ||
      !gst_video_frame_map (pixels, &info, gst_sample_get_buffer (sample), GST_MAP_READ)) {
    g_set_error_literal (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "A frame cannot be read");
    return NULL;
  }
  frame.width = GST_VIDEO_FRAME_WIDTH (pixels);
  frame.height = GST_VIDEO_FRAME_HEIGHT (pixels);
  frame.plane[0] = GST_VIDEO_FRAME_PLANE_DATA (pixels, 0);
  frame.stride[0] = GST_VIDEO_FRAME_PLANE_STRIDE (pixels, 0);
  picture = dsvl2_picture_new (&frame, pixels_free, pixels, error);
  if (picture == NULL)
    gst_video_frame_unmap (pixels);
  else
    g_steal_pointer (&pixels);
  return picture;
}

static gboolean
keep_picture (GstSample *sample, gpointer user_data, GError **error)
{
  Dsvl2Picture *picture = picture_from_sample (sample, error);

  if (picture == NULL)
    return FALSE;
  g_ptr_array_add (user_data, picture);
  return TRUE;
}

/* All frames stay in memory: these are seconds of small video. */
static gboolean
load_clip (const char *path, GPtrArray *pictures, GError **error)
{
  g_autoptr (GstElement) pipeline =
      gst_parse_launch ("filesrc name=source ! decodebin ! videoconvert ! video/x-raw,format=RGB ! "
                        "appsink name=sink sync=false",
          error);

  return pipeline != NULL && play_to_end (pipeline, path, keep_picture, pictures, error);
}

/* A binary PPM without comments, as Pillow writes it. */
static Dsvl2Picture *
load_ppm (const char *path, GError **error)
{
  char *data;
  gsize length;
  int start = 0;
  Dsvl2Picture *picture = NULL;
  Dsvl2Frame frame = { .format = DSVL2_FORMAT_RGB };

  if (!g_file_get_contents (path, &data, &length, error))
    return NULL;
  if (sscanf (data, "P6 %5d %5d 255%n", &frame.width, &frame.height, &start) == 2 && start > 0 &&
      frame.width > 0 && frame.height > 0 &&
      length == start + 1 + (gsize) frame.width * frame.height * 3) {
    frame.plane[0] = (const guint8 *) data + start + 1;
    frame.stride[0] = frame.width * 3;
    picture = dsvl2_picture_new (&frame, g_free, data, error);
  } else {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s is not a whole binary PPM with 8 bits",
        path);
  }
  if (picture == NULL)
    g_free (data);
  return picture;
}

static gboolean
load_folder (const char *path, GPtrArray *pictures, GError **error)
{
  for (int i = 0;; i++) {
    g_autofree char *file = g_strdup_printf ("%s/%04d.ppm", path, i);
    Dsvl2Picture *picture;

    if (i > 0 && !g_file_test (file, G_FILE_TEST_EXISTS))
      return TRUE;
    picture = load_ppm (file, error);
    if (picture == NULL)
      return FALSE;
    g_ptr_array_add (pictures, picture);
  }
}

GPtrArray *
decoded_load (const char *path, GError **error)
{
  g_autoptr (GPtrArray) pictures =
      g_ptr_array_new_with_free_func ((GDestroyNotify) dsvl2_picture_unref);
  gboolean is_folder = g_file_test (path, G_FILE_TEST_IS_DIR);

  if (!(is_folder ? load_folder : load_clip) (path, pictures, error)) {
    g_prefix_error (error, "%s: ", path);
    return NULL;
  }
  return g_steal_pointer (&pictures);
}
