/* dsvl2: the times of a frame in its segment, NONE where that counts something else, bytes say; and how long one lasts
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_FRAMETIME_H
#define DSVL2_FRAMETIME_H

#include <gst/video/video.h>

static inline GstClockTime
stream_time_of (const GstSegment *segment, GstClockTime pts)
{
  return segment->format == GST_FORMAT_TIME ? gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts)
                                            : GST_CLOCK_TIME_NONE;
}

static inline GstClockTime
running_time_of (const GstSegment *segment, GstClockTime pts)
{
  return segment->format == GST_FORMAT_TIME
             ? gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts)
             : GST_CLOCK_TIME_NONE;
}

/* By how many a second the caps have; 0 where they do not say. */
static inline GstClockTime
frame_duration_of (const GstVideoInfo *info)
{
  return info->fps_n > 0 && info->fps_d > 0
             ? gst_util_uint64_scale (GST_SECOND, (guint64) info->fps_d, (guint64) info->fps_n)
             : 0;
}

#endif
