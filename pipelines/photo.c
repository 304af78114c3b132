/* dsvl2-chat: picture files, decoded by GStreamer
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "photo.h"
#include "gst/still.h"

static void
pixels_free (gpointer data)
{
  GstVideoFrame *pixels = data;

  gst_video_frame_unmap (pixels);
  g_free (pixels);
}

/* BGRx in memory is what Cairo calls RGB24 on little-endian machines. */
static GstVideoFrame *
map_pixels (GstSample *sample, GError **error)
{
  GstVideoInfo info;
  g_autofree GstVideoFrame *pixels = g_new0 (GstVideoFrame, 1);

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample)) ||
      !gst_video_frame_map (pixels, &info, gst_sample_get_buffer (sample), GST_MAP_READ)) {
    g_set_error_literal (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "The decoded frame cannot be read");
    return NULL;
  }
  return g_steal_pointer (&pixels);
}

Photo *
photo_load (const char *name, GError **error)
{
  g_autoptr (GstSample) sample = still_load (name, error);
  g_autoptr (Photo) photo = g_new0 (Photo, 1);

  photo->name = g_strdup (name);
  if (sample != NULL && (photo->pixels = map_pixels (sample, error)) != NULL) {
    const GstVideoFrame *pixels = photo->pixels;
    const Dsvl2Frame frame = { .format = DSVL2_FORMAT_BGRX,
      .width = GST_VIDEO_FRAME_WIDTH (pixels),
      .height = GST_VIDEO_FRAME_HEIGHT (pixels),
      .plane = { GST_VIDEO_FRAME_PLANE_DATA (pixels, 0) },
      .stride = { GST_VIDEO_FRAME_PLANE_STRIDE (pixels, 0) } };

    photo->picture = dsvl2_picture_new (&frame, pixels_free, photo->pixels, error);
  }
  if (photo->picture == NULL) {
    if (sample != NULL)
      g_prefix_error (error, "%s: ", name);
    if (photo->pixels != NULL)
      pixels_free (photo->pixels);
    return NULL;
  }
  return g_steal_pointer (&photo);
}

void
photo_free (Photo *photo)
{
  g_clear_pointer (&photo->picture, dsvl2_picture_unref);
  g_free (photo->name);
  g_free (photo);
}
