/* dsvl2: a buffer of raw video as a picture of the engine, pixels in place
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GST_DSVL2_PICTURE_H
#define GST_DSVL2_PICTURE_H

#include <gst/video/video.h>
#include "dsvl2.h"

/* The raw formats that the engine reads: RGBA and its like are RGBx with a byte more to skip. */
#define GST_DSVL2_FORMATS                                                                              \
  "{ I420, NV12, YV12, NV21, YUY2, UYVY, Y42B, Y444, P010_10LE, RGB, BGR, RGBx, BGRx, xRGB, xBGR, "    \
  "RGBA, BGRA, ARGB, ABGR, RGBP, GRAY8 }"

/* Both elements take frames in ordinary memory, with overlays attached to them or not. */
#define GST_DSVL2_CAPS                                                                                 \
  GST_VIDEO_CAPS_MAKE (GST_DSVL2_FORMATS)                                                              \
  ";" GST_VIDEO_CAPS_MAKE_WITH_FEATURES (GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY                         \
      "," GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION,                                         \
      GST_DSVL2_FORMATS)

/* gst_dsvl2_picture_align: makes a region one that a picture can be of: within the frame, at least a pixel
 * wide and high, and beginning where the format's subsampled components have a sample of their own (at
 * even columns and rows of I420), so it may begin a little before. */
void gst_dsvl2_picture_align (const GstVideoInfo *info, GstVideoRectangle *region);

/* gst_dsvl2_picture_new: a picture of a region of a frame, aligned as above, that reads the buffer's memory
 * in place, at the strides that its GstVideoMeta says and within its GstVideoCropMeta, and keeps that
 * memory as it is until it is freed. Where the crop begins between samples of chroma, the picture does at
 * the next. For an engine `on_cuda` CUDA memory is read where it is, else on the host. The buffer itself
 * stays writable: whoever writes to its pixels meanwhile gets a copy of them.
 * Errors: DSVL2_ERROR_PICTURE. Free with dsvl2_picture_unref (). */
Dsvl2Picture *gst_dsvl2_picture_new (GstBuffer *buffer, const GstVideoInfo *info,
    const GstVideoRectangle *region, gboolean on_cuda, GError **error);

#endif
