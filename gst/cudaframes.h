/* dsvl2: frames in CUDA memory, and the context that the elements of a pipeline share for them
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A GstCudaMemory belongs to a GstCudaContext. An engine on CUDA reads memory of the context that it computes
 * in where it lies, and copies memory of others on the device first. So a pipeline that has no context yet
 * is given the engine's. Built without GStreamer's CUDA library, no frame is in CUDA memory. */
#ifndef DSVL2_CUDAFRAMES_H
#define DSVL2_CUDAFRAMES_H

#include <gst/video/video.h>
#include "dsvl2.h"

#ifdef HAVE_GST_CUDA
#define CUDA_FRAMES_CAPS(formats) ";" GST_VIDEO_CAPS_MAKE_WITH_FEATURES ("memory:CUDAMemory", formats)
#else
#define CUDA_FRAMES_CAPS(formats) ""
#endif

/* cuda_frames_offer: sees to it that an element whose engine is on CUDA has a "gst.cuda.context" among its
 * contexts: the application's or a neighbour's; where there is none, the engine's, which it tells the
 * pipeline of. */
void cuda_frames_offer (GstElement *element, Dsvl2Engine *engine);

/* cuda_frames_answer: answers a CONTEXT query with that context. FALSE if the query is about something
 * else, or there is none. */
gboolean cuda_frames_answer (GstElement *element, GstQuery *query);

/* cuda_frames_find: the CUcontext whose device memory a buffer is in, and the flag to map it there with. NULL
 * for other buffers. */
gpointer cuda_frames_find (GstBuffer *buffer, GstMapFlags *flag);

/* cuda_frames_wait: waits until all that was written to such a buffer is there. Call it once the buffer is
 * mapped: mapping what the host wrote puts the copy to the device on the stream that is waited for. */
void cuda_frames_wait (GstBuffer *buffer);

#endif
