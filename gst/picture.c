/* dsvl2: a buffer of raw video as a picture of the engine, pixels in place
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "picture.h"
#include "rawframe.h"

static const struct {
  GstVideoFormat gst;
  Dsvl2Format engine;
} formats[] = {
  { GST_VIDEO_FORMAT_RGB, DSVL2_FORMAT_RGB },
  { GST_VIDEO_FORMAT_BGR, DSVL2_FORMAT_BGR },
  { GST_VIDEO_FORMAT_RGBx, DSVL2_FORMAT_RGBX },
  { GST_VIDEO_FORMAT_RGBA, DSVL2_FORMAT_RGBX },
  { GST_VIDEO_FORMAT_BGRx, DSVL2_FORMAT_BGRX },
  { GST_VIDEO_FORMAT_BGRA, DSVL2_FORMAT_BGRX },
  { GST_VIDEO_FORMAT_xRGB, DSVL2_FORMAT_XRGB },
  { GST_VIDEO_FORMAT_ARGB, DSVL2_FORMAT_XRGB },
  { GST_VIDEO_FORMAT_xBGR, DSVL2_FORMAT_XBGR },
  { GST_VIDEO_FORMAT_ABGR, DSVL2_FORMAT_XBGR },
  { GST_VIDEO_FORMAT_RGBP, DSVL2_FORMAT_RGBP },
  { GST_VIDEO_FORMAT_GRAY8, DSVL2_FORMAT_GRAY8 },
  { GST_VIDEO_FORMAT_I420, DSVL2_FORMAT_I420 },
  { GST_VIDEO_FORMAT_YV12, DSVL2_FORMAT_YV12 },
  { GST_VIDEO_FORMAT_Y42B, DSVL2_FORMAT_Y42B },
  { GST_VIDEO_FORMAT_Y444, DSVL2_FORMAT_Y444 },
  { GST_VIDEO_FORMAT_NV12, DSVL2_FORMAT_NV12 },
  { GST_VIDEO_FORMAT_NV21, DSVL2_FORMAT_NV21 },
  { GST_VIDEO_FORMAT_YUY2, DSVL2_FORMAT_YUY2 },
  { GST_VIDEO_FORMAT_UYVY, DSVL2_FORMAT_UYVY },
  { GST_VIDEO_FORMAT_P010_10LE, DSVL2_FORMAT_P010_10LE },
};

static gboolean
find_format (GstVideoFormat gst, Dsvl2Format *engine)
{
  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].gst == gst) {
      *engine = formats[i].engine;
      return TRUE;
    }
  return FALSE;
}

static Dsvl2Matrix
matrix_of (const GstVideoColorimetry *c)
{
  switch (c->matrix) {
    case GST_VIDEO_COLOR_MATRIX_BT709:
    case GST_VIDEO_COLOR_MATRIX_SMPTE240M: /* within a hundredth */
      return DSVL2_MATRIX_BT709;
    case GST_VIDEO_COLOR_MATRIX_BT2020:
      return DSVL2_MATRIX_BT2020;
    default:
      return DSVL2_MATRIX_BT601;
  }
}

static void
mapped_free (gpointer data)
{
  RawFrame *raw = data;

  raw_frame_unmap (raw);
  g_free (raw);
}

/* A stretch of a side: its begin goes to a multiple of 2^shift, both ends into 0 … size. */
static void
align_side (gint *begin, gint *length, int size, guint shift)
{
  const gint64 end = CLAMP ((gint64) *begin + *length, 1, size);

  *begin = CLAMP (*begin, 0, (gint) end - 1) >> shift << shift;
  *length = (gint) end - *begin;
}

static void
subsampling (const GstVideoInfo *info, guint *shift_x, guint *shift_y)
{
  *shift_x = *shift_y = 0;
  for (guint i = 0; i < GST_VIDEO_INFO_N_COMPONENTS (info); i++) {
    *shift_x = MAX (*shift_x, GST_VIDEO_FORMAT_INFO_W_SUB (info->finfo, i));
    *shift_y = MAX (*shift_y, GST_VIDEO_FORMAT_INFO_H_SUB (info->finfo, i));
  }
}

void
gst_dsvl2_picture_align (const GstVideoInfo *info, GstVideoRectangle *region)
{
  guint shift_x, shift_y;

  subsampling (info, &shift_x, &shift_y);
  align_side (&region->x, &region->w, GST_VIDEO_INFO_WIDTH (info), shift_x);
  align_side (&region->y, &region->h, GST_VIDEO_INFO_HEIGHT (info), shift_y);
}

/* Where a crop begins between samples of chroma, the first column or row is left out, because its sample is
 * of the outside too; where there is but one, the sample counts. */
static void
begin_on_sample (gint *begin, gint *length, guint shift)
{
  const gint over = *begin & ((1 << shift) - 1), skip = over > 0 ? (1 << shift) - over : 0;

  if (*length > skip) {
    *begin += skip;
    *length -= skip;
  } else {
    *begin -= over;
    *length += over;
  }
}

/* The byte of a mapped plane where a rectangle begins. */
static const guint8 *
plane_at (const GstVideoFrame *frame, guint plane, const GstVideoRectangle *r)
{
  const GstVideoFormatInfo *f = frame->info.finfo;
  gint component[GST_VIDEO_MAX_COMPONENTS];
  gssize x, y;

  gst_video_format_info_component (f, plane, component);
  x = r->x >> GST_VIDEO_FORMAT_INFO_W_SUB (f, component[0]);
  y = r->y >> GST_VIDEO_FORMAT_INFO_H_SUB (f, component[0]);
  return (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (frame, plane) +
         y * GST_VIDEO_FRAME_PLANE_STRIDE (frame, plane) +
         x * GST_VIDEO_FORMAT_INFO_PSTRIDE (f, component[0]);
}

/* A region of a mapped frame as the engine has it. */
static Dsvl2Frame
describe (const RawFrame *raw, const GstVideoInfo *info, Dsvl2Format format,
    const GstVideoRectangle *region)
{
  GstVideoRectangle r = raw_frame_place (raw, info, region);
  Dsvl2Frame f = { .format = format,
    .matrix = matrix_of (&info->colorimetry),
    .full_range = info->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255,
    .cuda_context = raw->cuda_context };
  guint shift_x, shift_y;

  subsampling (info, &shift_x, &shift_y);
  begin_on_sample (&r.x, &r.w, shift_x);
  begin_on_sample (&r.y, &r.h, shift_y);
  f.width = r.w;
  f.height = r.h;
  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES (&raw->frame) && i < G_N_ELEMENTS (f.plane); i++) {
    f.plane[i] = plane_at (&raw->frame, i, &r);
    f.stride[i] = GST_VIDEO_FRAME_PLANE_STRIDE (&raw->frame, i);
  }
  return f;
}

Dsvl2Picture *
gst_dsvl2_picture_new (GstBuffer *buffer, const GstVideoInfo *info, const GstVideoRectangle *region,
    gboolean on_cuda, GError **error)
{
  /* A reference would make the buffer read-only for the rest of the pipeline; a copy shares its memory
   * and leaves it writable. */
  g_autoptr (GstBuffer) shared = gst_buffer_copy (buffer);
  RawFrame *raw = g_new0 (RawFrame, 1);
  Dsvl2Format format;
  Dsvl2Picture *picture;
  Dsvl2Frame f;

  if (!find_format (GST_VIDEO_INFO_FORMAT (info), &format) ||
      !(on_cuda ? raw_frame_map_there (raw, shared, info)
                : raw_frame_map (raw, shared, info, GST_MAP_READ))) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE,
        "A %s buffer of %" G_GSIZE_FORMAT " bytes cannot be read as a frame of %d×%d",
        gst_video_format_to_string (GST_VIDEO_INFO_FORMAT (info)), gst_buffer_get_size (buffer),
        GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info));
    g_free (raw);
    return NULL;
  }
  f = describe (raw, info, format, region);
  picture = dsvl2_picture_new (&f, mapped_free, raw, error);
  if (picture == NULL)
    mapped_free (raw);
  return picture;
}
