/* dsvl2: the times of a frame in its segment: NONE where that counts something else, bytes say
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_FRAMETIME_H
#define DSVL2_FRAMETIME_H

#include <gst/gst.h>

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

#endif
