/* dsvl2: what the element tests share: frames, structures, a bus beside a harness
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <gst/check/gstharness.h>
#include <gst/video/video.h>

#define FLOWS(h, buffer) g_assert_cmpint (gst_harness_push (h, buffer), ==, GST_FLOW_OK)

/* GLib's test options, GStreamer, and the elements. */
void test_init (int *argc, char ***argv);
/* Runs the tests, then lets go of GStreamer, so that a tracer can tell what is left. */
int test_run (void);

/* A dsvl2infer with these properties that is started, fed from a source that is live or not, with caps
 * unless `info` is NULL; the fake engine is reset. At its end nothing of the engine may be left. */
GstHarness *test_infer_new (const char *properties, gboolean live, const GstVideoInfo *info);
void test_infer_end (GstHarness *h);
/* Starts an element with this bus, which must fail: the error that it posts. Free with g_error_free (). */
GError *test_start_error (GstElement *element, GstBus *bus);
/* A number of its statistics. */
guint64 test_stat (GstHarness *h, const char *name);

/* A buffer or an event pushed from a thread of its own, because it may wait. */
typedef struct _TestCall TestCall;
TestCall *test_push_begin (GstHarness *h, GstBuffer *buffer);
TestCall *test_event_begin (GstHarness *h, GstEvent *event);
GstFlowReturn test_push_end (TestCall *call);
gboolean test_event_end (TestCall *call);

/* Every format that dsvl2infer names in its pads. */
extern const char *const test_formats[];

/* A frame of the harness's caps with pixels that depend on `seed`, PTS in ms (-1: none), 40 ms long. */
GstBuffer *test_frame_new (const GstVideoInfo *info, gint64 pts_ms, guint32 seed);
/* The same with a GstVideoMeta: strides `extra` bytes longer than need be, and `extra` bytes before. */
GstBuffer *test_padded_frame_new (const GstVideoInfo *info, gint64 pts_ms, guint32 seed, guint extra);
GstVideoInfo test_info (const char *format, int width, int height);
void test_set_caps (GstHarness *h, const GstVideoInfo *info);
GstEvent *test_caps_event_new (const GstVideoInfo *info);
gboolean test_same_pixels (GstBuffer *a, GstBuffer *b, const GstVideoInfo *info);

/* The n-th region of interest of a buffer, and its "detection". */
GstVideoRegionOfInterestMeta *test_region (GstBuffer *buffer, guint n);
const GstStructure *test_detection (GstBuffer *buffer, guint n);
/* The "dsvl2-result" of a buffer or NULL, and fields of it. */
const GstStructure *test_result (GstBuffer *buffer);
guint64 test_uint64 (const GstStructure *s, const char *field);

/* Milliseconds of processor time that this thread has had. */
double test_cpu_ms (void);
/* What a piece of work takes of that at least, in so many tries: whatever else the machine does only adds to it. */
typedef void (*TestWork) (gpointer data);
double test_least_ms (TestWork work, gpointer data, int tries);
/* A yardstick for the costs of a frame, compiled as what is measured is: one pass over its bytes, in which each waits
 * for the one before. */
double test_pass_ms (GstBuffer *frame);
/* Fails unless such a pass takes at least so many times as long. Limits are about a quarter, or less, of the least that
 * was measured on a machine with too much to do; ten times the cost fails. With sanitizers and tracers, which make
 * allocations dear, it is told and not judged. */
void test_judge_cost (const char *what, double ms, double pass_ms, double times);

/* A bus for a harness's element. Messages wait on it until they are popped. */
GstBus *test_bus_new (GstHarness *h);
/* The next message of that type, or NULL if none comes in a second. */
GstMessage *test_message (GstBus *bus, GstMessageType type);
/* Fails the test if any of that type is there. */
void test_no_message (GstBus *bus, GstMessageType type);

#endif
