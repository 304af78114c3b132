/* dsvl2: frames in CUDA memory, and the context that the elements of a pipeline share for them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cudaframes.h"

#ifdef HAVE_GST_CUDA
#define GST_USE_UNSTABLE_API
#include <gst/cuda/gstcudaloader.h>
#include <gst/cuda/gstcudamemory.h>
#include <gst/cuda/gstcudautils.h>

/* A neighbour's context becomes the element's. */
static gboolean
ask_neighbour (GstElement *element, const char *pad_name)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, pad_name);
  g_autoptr (GstQuery) query = gst_query_new_context (GST_CUDA_CONTEXT_TYPE);
  GstContext *context = NULL;

  if (gst_pad_peer_query (pad, query))
    gst_query_parse_context (query, &context);
  if (context != NULL)
    gst_element_set_context (element, context);
  return context != NULL;
}

static gboolean
has_context (GstElement *element)
{
  g_autoptr (GstContext) context = gst_element_get_context (element, GST_CUDA_CONTEXT_TYPE);

  return context != NULL;
}

void
cuda_frames_offer (GstElement *element, Dsvl2Engine *engine)
{
  int device;
  const gpointer handle = dsvl2_engine_get_cuda_context (engine, &device);
  g_autoptr (GstContext) context = NULL;
  GstCudaContext *ours;

  if (handle == NULL || has_context (element) || ask_neighbour (element, "src") ||
      ask_neighbour (element, "sink"))
    return;
  gst_element_post_message (element,
      gst_message_new_need_context (GST_OBJECT (element), GST_CUDA_CONTEXT_TYPE));
  if (has_context (element) || !gst_cuda_load_library ())
    return;
  ours = gst_cuda_context_new_wrapped (handle, device);
  if (ours == NULL)
    return;
  context = gst_context_new_cuda_context (ours);
  gst_object_unref (ours);
  gst_element_set_context (element, context);
  gst_element_post_message (element,
      gst_message_new_have_context (GST_OBJECT (element), gst_context_ref (context)));
}

gboolean
cuda_frames_answer (GstElement *element, GstQuery *query)
{
  g_autoptr (GstContext) context = NULL;
  const char *type;

  if (GST_QUERY_TYPE (query) != GST_QUERY_CONTEXT || !gst_query_parse_context_type (query, &type) ||
      !g_str_equal (type, GST_CUDA_CONTEXT_TYPE))
    return FALSE;
  context = gst_element_get_context (element, GST_CUDA_CONTEXT_TYPE);
  if (context != NULL)
    gst_query_set_context (query, context);
  return context != NULL;
}

gpointer
cuda_frames_find (GstBuffer *buffer, GstMapFlags *flag)
{
  GstMemory *memory = gst_buffer_n_memory (buffer) == 1 ? gst_buffer_peek_memory (buffer, 0) : NULL;

  if (memory == NULL || !gst_is_cuda_memory (memory))
    return NULL;
  *flag = GST_MAP_CUDA;
  return gst_cuda_context_get_handle (GST_CUDA_MEMORY_CAST (memory)->context);
}

void
cuda_frames_wait (GstBuffer *buffer)
{
#ifdef HAVE_GST_CUDA_SYNC /* 1.24 and newer; older elements wait before they pass a buffer on */
  gst_cuda_memory_sync (GST_CUDA_MEMORY_CAST (gst_buffer_peek_memory (buffer, 0)));
#endif
}

#else

void
cuda_frames_offer (GstElement *element, Dsvl2Engine *engine)
{
}

gboolean
cuda_frames_answer (GstElement *element, GstQuery *query)
{
  return FALSE;
}

gpointer
cuda_frames_find (GstBuffer *buffer, GstMapFlags *flag)
{
  return NULL;
}

void
cuda_frames_wait (GstBuffer *buffer)
{
}

#endif
