/* tests: plays a pipeline to its end, or to its first error
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "play.h"
#include <gst/app/gstappsink.h>

/* The next sample; NULL at the end, and with the error where there is one. A pipeline that fails does not
 * end its streams, so both have to be looked for. */
static GstSample *
next_sample (GstAppSink *sink, GstBus *bus, GError **error)
{
  for (;;) {
    GstSample *sample = gst_app_sink_try_pull_sample (sink, 100 * GST_MSECOND);
    g_autoptr (GstMessage) message = NULL;

    if (sample != NULL)
      return sample;
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    if (message != NULL)
      gst_message_parse_error (message, error, NULL);
    if (message != NULL || gst_app_sink_is_eos (sink))
      return NULL;
  }
}

gboolean
play_to_end (GstElement *pipeline, const char *location, PlayFunc func, gpointer user_data,
    GError **error)
{
  g_autoptr (GstElement) source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GError) failed = NULL;
  gboolean good = TRUE;
  GstSample *sample;

  g_object_set (source, "location", location, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (good && (sample = next_sample (GST_APP_SINK (sink), bus, &failed)) != NULL) {
    good = func (sample, user_data, &failed);
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (failed == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failed));
  return FALSE;
}
