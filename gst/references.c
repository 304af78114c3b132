/* dsvl2: picture files that every question shows before its frames
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "references.h"
#include "picture.h"
#include "prompts.h"
#include "still.h"

static Dsvl2Picture *
load (const char *name, GError **error)
{
  g_autoptr (GstSample) sample = still_load (name, error);
  Dsvl2Picture *picture = NULL;
  GstVideoInfo info;

  if (sample == NULL)
    return NULL;
  if (gst_video_info_from_caps (&info, gst_sample_get_caps (sample))) {
    const GstVideoRectangle all = { 0, 0, GST_VIDEO_INFO_WIDTH (&info), GST_VIDEO_INFO_HEIGHT (&info) };

    picture = gst_dsvl2_picture_new (gst_sample_get_buffer (sample), &info, &all, FALSE, error);
  } else {
    g_set_error_literal (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE,
        "It was not decoded to a video frame");
  }
  if (picture == NULL)
    g_prefix_error (error, "%s: ", name);
  return picture;
}

GPtrArray *
references_load (const char *list, GError **error)
{
  g_autoptr (GPtrArray) pictures =
      g_ptr_array_new_with_free_func ((GDestroyNotify) dsvl2_picture_unref);
  g_auto (GStrv) names = prompts_split (list);

  for (char **name = names; *name != NULL; name++) {
    Dsvl2Picture *picture = load (*name, error);

    if (picture == NULL)
      return NULL;
    g_ptr_array_add (pictures, picture);
  }
  return g_steal_pointer (&pictures);
}
