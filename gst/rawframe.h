/* dsvl2: a buffer of raw video, mapped, with the part of it that is to be seen
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The caps say how large the frame is that is shown. Its buffer may say that rows and planes lie elsewhere
 * than the format alone would have it (GstVideoMeta), and that only a part of what it holds is to be seen
 * (GstVideoCropMeta); if that part has another size than the caps, it is shown scaled. Either may be wrong,
 * so what does not lie in the buffer's memory cannot be mapped. */
#ifndef DSVL2_RAWFRAME_H
#define DSVL2_RAWFRAME_H

#include <gst/video/video.h>

typedef struct {
  GstVideoFrame frame;    /* all that the buffer holds, or says it does */
  GstVideoRectangle seen; /* the part of it that is shown, which lies in memory */
  gpointer cuda_context;  /* NULL, or the CUcontext whose device memory is mapped */
} RawFrame;

/* raw_frame_map: keeps a reference to the buffer, or, where a plane is spread over several memories and
 * `flags` are GST_MAP_READ alone, a copy of its pixels.
 * Returns FALSE if the pixels that are to be seen are not there or cannot be mapped. */
gboolean raw_frame_map (RawFrame *raw, GstBuffer *buffer, const GstVideoInfo *info, GstMapFlags flags);
/* raw_frame_map_there: the same for reading, but where a frame is in CUDA memory: that is what is mapped. */
gboolean raw_frame_map_there (RawFrame *raw, GstBuffer *buffer, const GstVideoInfo *info);
void raw_frame_unmap (RawFrame *raw);

/* raw_frame_place: where a rectangle of the frame as the caps have it lies in raw->frame: within what is
 * seen, at least a pixel wide and high. */
GstVideoRectangle raw_frame_place (const RawFrame *raw, const GstVideoInfo *info,
    const GstVideoRectangle *rectangle);

#endif
