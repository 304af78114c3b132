/* dsvl2: a buffer of raw video, mapped, with the part of it that is to be seen
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rawframe.h"
#include "cudaframes.h"

/* Bytes from the plane's first that rows of `seen` begin and end at. Negative strides count back. */
static void
plane_extent (const GstVideoFrame *f, guint plane, const GstVideoRectangle *seen, gint64 *first,
    gint64 *end)
{
  const GstVideoFormatInfo *format = f->info.finfo;

  *first = G_MAXINT64;
  *end = G_MININT64;
  for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS (format); c++) {
    const guint sub_x = GST_VIDEO_FORMAT_INFO_W_SUB (format, c);
    const guint sub_y = GST_VIDEO_FORMAT_INFO_H_SUB (format, c);
    const gint64 step = GST_VIDEO_FORMAT_INFO_PSTRIDE (format, c);
    const gint64 stride = GST_VIDEO_FRAME_PLANE_STRIDE (f, plane);
    const gint64 top = (seen->y >> sub_y) * stride;
    const gint64 bottom = ((seen->y + seen->h - 1) >> sub_y) * stride;
    const gint64 left = GST_VIDEO_FORMAT_INFO_POFFSET (format, c) + (seen->x >> sub_x) * step;
    const gint64 right =
        GST_VIDEO_FORMAT_INFO_POFFSET (format, c) + ((seen->x + seen->w - 1) >> sub_x) * step;
    const guint bits =
        GST_VIDEO_FORMAT_INFO_DEPTH (format, c) + GST_VIDEO_FORMAT_INFO_SHIFT (format, c);

    if (GST_VIDEO_FORMAT_INFO_PLANE (format, c) != plane)
      continue;
    *first = MIN (*first, MIN (top, bottom) + left);
    *end = MAX (*end, MAX (top, bottom) + right + (bits + 7) / 8);
  }
}

/* Whether each sample of a format lies at a place of its own. */
static gboolean
has_places (const GstVideoFormatInfo *format)
{
  return !GST_VIDEO_FORMAT_INFO_IS_COMPLEX (format) && !GST_VIDEO_FORMAT_INFO_IS_TILED (format);
}

/* Whether the pixels that are seen lie in what was mapped. */
static gboolean
lies_in_memory (const GstVideoFrame *f, const GstVideoRectangle *seen)
{
  const gboolean own_maps = gst_buffer_get_video_meta (f->buffer) != NULL;

  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES (f); i++) {
    const GstMapInfo *map = &f->map[own_maps ? i : 0];
    const gint64 begin = (const guint8 *) f->data[i] - map->data;
    gint64 first, end;

    if (map->data == NULL) /* mapped by a function of the metadata's own, which knows where it is */
      continue;
    plane_extent (f, i, seen, &first, &end);
    if (first <= end && (begin + first < 0 || begin + end > (gint64) map->size))
      return FALSE;
  }
  return TRUE;
}

/* The part that is to be seen, as far as the metadata makes sense. */
static gboolean
find_seen (GstBuffer *buffer, const GstVideoInfo *info, GstVideoRectangle *seen)
{
  const GstVideoMeta *video = gst_buffer_get_video_meta (buffer);
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (buffer);
  const guint width = video != NULL ? video->width : (guint) GST_VIDEO_INFO_WIDTH (info);
  const guint height = video != NULL ? video->height : (guint) GST_VIDEO_INFO_HEIGHT (info);
  guint x = 0, y = 0, w = (guint) GST_VIDEO_INFO_WIDTH (info), h = (guint) GST_VIDEO_INFO_HEIGHT (info);

  if (video != NULL && (video->format != GST_VIDEO_INFO_FORMAT (info) ||
                           video->n_planes != GST_VIDEO_INFO_N_PLANES (info)))
    return FALSE;
  if (crop != NULL) {
    x = MIN (crop->x, width);
    y = MIN (crop->y, height);
    w = MIN (crop->width, width - x);
    h = MIN (crop->height, height - y);
  }
  *seen = (GstVideoRectangle){ (gint) x, (gint) y, (gint) w, (gint) h };
  return w > 0 && h > 0 && width <= G_MAXINT && height <= G_MAXINT && x + w <= width && y + h <= height;
}

static gboolean
map_checked (RawFrame *raw, GstBuffer *buffer, const GstVideoInfo *info, GstMapFlags flags)
{
  const GstVideoMeta *video = gst_buffer_get_video_meta (buffer);
  const gboolean checked = has_places (info->finfo);
  GstVideoInfo claimed = *info;

  if (video != NULL) {
    claimed.width = (gint) video->width;
    claimed.height = (gint) video->height;
    if (checked) /* GStreamer would ask for as many bytes as a frame without metadata has */
      claimed.size = 0;
  }
  raw->frame = (GstVideoFrame){ 0 };
  if (!gst_video_frame_map (&raw->frame, &claimed, buffer, flags))
    return FALSE;
  if (!checked || lies_in_memory (&raw->frame, &raw->seen))
    return TRUE;
  gst_video_frame_unmap (&raw->frame);
  return FALSE;
}

/* The same frame in one memory. */
static GstBuffer *
flatten (GstBuffer *buffer, GstVideoMeta *video)
{
  GstMemory *all = gst_buffer_get_all_memory (buffer);
  GstBuffer *flat;

  if (all == NULL)
    return NULL;
  flat = gst_buffer_new ();
  gst_buffer_append_memory (flat, all);
  gst_buffer_add_video_meta_full (flat, video->flags, video->format, video->width, video->height,
      video->n_planes, video->offset, video->stride);
  return flat;
}

gboolean
raw_frame_map (RawFrame *raw, GstBuffer *buffer, const GstVideoInfo *info, GstMapFlags flags)
{
  GstVideoMeta *video = gst_buffer_get_video_meta (buffer);
  g_autoptr (GstBuffer) flat = NULL;

  raw->cuda_context = NULL;
  if (!find_seen (buffer, info, &raw->seen))
    return FALSE;
  if (map_checked (raw, buffer, info, flags))
    return TRUE;
  if (flags != GST_MAP_READ || video == NULL || gst_buffer_n_memory (buffer) < 2)
    return FALSE;
  flat = flatten (buffer, video);
  return flat != NULL && map_checked (raw, flat, info, flags);
}

gboolean
raw_frame_map_there (RawFrame *raw, GstBuffer *buffer, const GstVideoInfo *info)
{
  GstMapFlags there = 0;
  const gpointer context = cuda_frames_find (buffer, &there);

  if (context == NULL)
    return raw_frame_map (raw, buffer, info, GST_MAP_READ);
  raw->cuda_context = context;
  if (!find_seen (buffer, info, &raw->seen) || !map_checked (raw, buffer, info, GST_MAP_READ | there))
    return FALSE;
  cuda_frames_wait (buffer);
  return TRUE;
}

void
raw_frame_unmap (RawFrame *raw)
{
  gst_video_frame_unmap (&raw->frame);
}

/* A stretch of a side of `from` pixels as one of a side of `to`. */
static void
scale_side (gint *begin, gint *length, int from, int to)
{
  const gint64 first = CLAMP ((gint64) *begin, 0, from - 1);
  const gint64 end = CLAMP ((gint64) *begin + *length, first + 1, from);

  *begin = (gint) (first * to / from);
  *length = MAX ((gint) (end * to / from) - *begin, 1);
}

GstVideoRectangle
raw_frame_place (const RawFrame *raw, const GstVideoInfo *info, const GstVideoRectangle *rectangle)
{
  GstVideoRectangle place = *rectangle;

  scale_side (&place.x, &place.w, GST_VIDEO_INFO_WIDTH (info), raw->seen.w);
  scale_side (&place.y, &place.h, GST_VIDEO_INFO_HEIGHT (info), raw->seen.h);
  place.x += raw->seen.x;
  place.y += raw->seen.y;
  return place;
}
