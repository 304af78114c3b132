/* dsvl2: what the tests of dsvl2overlay share: settings, and metadata to draw
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_OVERLAY_H
#define TEST_OVERLAY_H

#include "overlayprops.h"
#include <gst/video/video.h>

/* The defaults, but for an opacity of half. */
OverlaySettings overlay_default_settings (void);

/* A region of interest with a "detection", unless the confidence is below 0. */
void overlay_add_region (GstBuffer *buffer, const char *label, guint x, guint y, guint w, guint h,
    double confidence);

/* A "dsvl2-result". */
void overlay_add_caption (GstBuffer *buffer, const char *prompt, const char *caption,
    GstClockTime seen);

/* A buffer as dsvl2infer leaves it for a 640×480 frame: one car, in an answer and as a region. */
GstBuffer *overlay_answered_buffer (const char *caption, GstClockTime seen);

#endif
