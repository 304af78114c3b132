/* dsvl2: whether a frame that is due is worth an analysis
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate.h"
#include "rawframe.h"
#include <stdlib.h>

enum {
  SIDE = 4,                      /* of a cell, in samples */
  SAMPLES = GATE_COLUMNS * SIDE, /* of a row */
  VISIBLE = 13,                  /* of 255 */
};

/* Where the samples of a component are in a row, in bytes from its start. */
typedef struct {
  int offset[SAMPLES];
} Columns;

/* The middle of the i-th of n equal pieces. */
static int
middle (int i, int n, int length)
{
  return (int) ((2 * (gint64) i + 1) * length / (2 * n));
}

static void
find_columns (Columns *columns, int x, int width, int step)
{
  for (int i = 0; i < SAMPLES; i++)
    columns->offset[i] = (x + middle (i, SAMPLES, width)) * step;
}

static const guint8 *
row_of (const GstVideoFrame *f, guint component, int y)
{
  return (const guint8 *) GST_VIDEO_FRAME_COMP_DATA (f, component) +
         (gssize) y * GST_VIDEO_FRAME_COMP_STRIDE (f, component);
}

/* Adds the samples of a row to the cells that they are in: of 8 bits, */
static void
add_8 (guint16 *sum, const guint8 *row, const Columns *at)
{
  for (int i = 0; i < SAMPLES; i++)
    sum[i / SIDE] += row[at->offset[i]];
}

/* of 9 … 16, */
static void
add_16 (guint16 *sum, const guint8 *row, const Columns *at, gboolean little_endian, guint shift)
{
  for (int i = 0; i < SAMPLES; i++) {
    const guint8 *p = row + at->offset[i];

    sum[i / SIDE] +=
        (guint16) ((little_endian ? GST_READ_UINT16_LE (p) : GST_READ_UINT16_BE (p)) >> shift);
  }
}

/* and of three colours. */
static void
add_rgb (guint16 *sum, const guint8 *r, const guint8 *g, const guint8 *b, const Columns *at)
{
  for (int i = 0; i < SAMPLES; i++) {
    const int x = at->offset[i];

    sum[i / SIDE] += (guint16) ((54 * r[x] + 183 * g[x] + 19 * b[x]) >> 8);
  }
}

static gboolean
is_readable (const GstVideoFormatInfo *format)
{
  return !GST_VIDEO_FORMAT_INFO_IS_COMPLEX (format) && GST_VIDEO_FORMAT_INFO_PSTRIDE (format, 0) > 0 &&
         GST_VIDEO_FORMAT_INFO_DEPTH (format, 0) >= 8 &&
         GST_VIDEO_FORMAT_INFO_DEPTH (format, 0) <= 16 &&
         (!GST_VIDEO_FORMAT_INFO_IS_RGB (format) || GST_VIDEO_FORMAT_INFO_DEPTH (format, 0) == 8);
}

gboolean
gate_look (GateLook *look, const GstVideoFrame *frame, const GstVideoRectangle *region)
{
  const GstVideoRectangle all = { 0, 0, GST_VIDEO_FRAME_WIDTH (frame), GST_VIDEO_FRAME_HEIGHT (frame) };
  const GstVideoFormatInfo *format = frame->info.finfo;
  const GstVideoRectangle *r = region != NULL ? region : &all;
  const guint depth = GST_VIDEO_FORMAT_INFO_DEPTH (format, 0);
  Columns columns;

  if (!is_readable (format))
    return FALSE;
  find_columns (&columns, r->x, r->w, GST_VIDEO_FRAME_COMP_PSTRIDE (frame, 0));
  for (int row = 0; row < GATE_ROWS; row++) {
    guint16 sum[GATE_COLUMNS] = { 0 };

    for (int i = 0; i < SIDE; i++) {
      const int y = r->y + middle (row * SIDE + i, GATE_ROWS * SIDE, r->h);

      if (GST_VIDEO_FORMAT_INFO_IS_RGB (format))
        add_rgb (sum, row_of (frame, 0, y), row_of (frame, 1, y), row_of (frame, 2, y), &columns);
      else if (depth == 8)
        add_8 (sum, row_of (frame, 0, y), &columns);
      else
        add_16 (sum, row_of (frame, 0, y), &columns, GST_VIDEO_FORMAT_INFO_IS_LE (format),
            GST_VIDEO_FORMAT_INFO_SHIFT (format, 0) + depth - 8);
    }
    for (int i = 0; i < GATE_COLUMNS; i++)
      look->cell[row][i] = (guint8) (sum[i] / (SIDE * SIDE));
  }
  return TRUE;
}

double
gate_difference (const GateLook *a, const GateLook *b)
{
  const guint8 *x = a->cell[0], *y = b->cell[0];
  int differ = 0;

  for (int i = 0; i < GATE_ROWS * GATE_COLUMNS; i++)
    differ += abs (x[i] - y[i]) > VISIBLE;
  return (double) differ / (GATE_ROWS * GATE_COLUMNS);
}

/* Whether there is something to see on it that will be seen. */
static gboolean
shows_something (GstBuffer *frame, const GstSegment *segment)
{
  const GstClockTime pts = GST_BUFFER_PTS (frame), duration = GST_BUFFER_DURATION (frame);
  const GstClockTime end = GST_CLOCK_TIME_IS_VALID (duration) ? pts + duration : GST_CLOCK_TIME_NONE;

  if (GST_BUFFER_FLAG_IS_SET (frame, GST_BUFFER_FLAG_GAP | GST_BUFFER_FLAG_DECODE_ONLY))
    return FALSE;
  return segment->format != GST_FORMAT_TIME || !GST_CLOCK_TIME_IS_VALID (pts) ||
         gst_segment_clip (segment, GST_FORMAT_TIME, pts, end, NULL, NULL);
}

static gboolean
look_at (GateLook *look, GstBuffer *buffer, const GstVideoInfo *info, const GstVideoRectangle *region)
{
  const GstVideoRectangle all = { 0, 0, GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info) };
  GstVideoRectangle place;
  RawFrame raw;
  gboolean seen;

  if (!raw_frame_map (&raw, buffer, info, GST_MAP_READ))
    return FALSE;
  place = raw_frame_place (&raw, info, region != NULL ? region : &all);
  seen = gate_look (look, &raw.frame, &place);
  raw_frame_unmap (&raw);
  return seen;
}

HandoverDue
gate_judge (Gate *gate, HandoverDue due, double threshold, GstBuffer *frame, const GstVideoInfo *info,
    const GstVideoRectangle *region, const GstSegment *segment)
{
  gboolean seen;

  if (due == HANDOVER_PASS || due == HANDOVER_BUSY)
    return due;
  if (!shows_something (frame, segment))
    return HANDOVER_PASS;
  seen = threshold > 0 && look_at (&gate->next, frame, info, region);
  if (seen && gate->known && due == HANDOVER_DUE &&
      gate_difference (&gate->next, &gate->analysed) < threshold)
    return HANDOVER_UNCHANGED;
  gate->known = seen;
  if (seen)
    gate->analysed = gate->next;
  return due;
}
