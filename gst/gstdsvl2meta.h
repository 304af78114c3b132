/* dsvl2: an answer as GStreamer carries it: a structure, metadata of a buffer, a message
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One structure, "dsvl2-result", is the element message, the GstCustomMeta of that name on buffers, and
 * the `last-result` property of dsvl2infer. Its fields:
 *
 *   text            string   the answer as the model wrote it, markup included
 *   caption         string   the same for people
 *   prompt          string   the prompt that this answers, as it was when the frame was analysed
 *   prompt-index    int      which of the prompts that is, from 0
 *   seen-pts        uint64   PTS of the frame that was analysed; GST_CLOCK_TIME_NONE if it had none
 *   stream-time     uint64   the same moment in the stream's time
 *   running-time    uint64   and in the pipeline's
 *   width, height   int      size of that frame in pixels
 *   region-x, region-y, region-width, region-height
 *                   int      the region of it that was asked about, in pixels
 *   region-label    string   what an element upstream says is there (`roi-labels`); not there otherwise
 *   region-id       int      and the id of that one's metadata
 *   frames          int      how many frames were asked about together, that one the last
 *   first-pts       uint64   PTS of the first of them
 *   turns           int      how many earlier questions and answers the question went on from
 *   fresh           boolean  true on one buffer only (and in the message): the answer is new here;
 *                            buffers after it carry the same answer as long as `hold` says
 *   finish          string   "stop": the model had no more to say; "length": max-new-tokens cut it off
 *   tokens          int      tokens of the answer
 *   prompt-tokens   int      tokens of the question, the picture's included
 *   cached-tokens   int      how many of those came from the cache
 *   tiles           int      picture tiles that were encoded
 *   queue-us, vision-us, prefill-us, decode-us
 *                   int64    microseconds: waiting, seeing, reading the question, writing the answer
 *   n-objects       int      length of objects
 *   objects         array of "detection" structures, in the order of the answer
 *
 * "detection" is DL Streamer's layout of a found object, with the label added:
 *
 *   x_min, x_max, y_min, y_max   double   0 … 1 of the frame's width and height
 *   confidence      double   0 … 1: geometric mean of the probabilities of the box's tokens
 *   label_id        int      a number that is the same for the same label in every process
 *   label           string   what the model called it
 *
 * The same structure is the parameter of each object's GstVideoRegionOfInterestMeta, whose type is the
 * label cut and cleaned (gst_dsvl2_label_quark ()) and whose x, y, w, h are pixels of the buffer's frame. */
#ifndef GST_DSVL2_META_H
#define GST_DSVL2_META_H

#include <gst/video/video.h>
#include "dsvl2.h"

G_BEGIN_DECLS

#define GST_DSVL2_RESULT_NAME "dsvl2-result"
#define GST_DSVL2_PARTIAL_NAME "dsvl2-partial"

enum {
  GST_DSVL2_MAX_OBJECTS = 256, /* of one answer on a buffer */
  GST_DSVL2_MAX_LABEL = 64,    /* characters of a label as a region's type */
  GST_DSVL2_MAX_QUARKS = 1024, /* labels a process turns into quarks, which are never freed */
};

/* What was asked of which region of which frame. Times may be GST_CLOCK_TIME_NONE. */
typedef struct {
  const char *prompt;
  int prompt_index;
  GstClockTime pts, stream_time, running_time;
  int width, height;
  GstVideoRectangle region; /* in pixels, within the frame */
  const char *region_label; /* of the object that it is, or NULL */
  int region_id;            /* of its metadata */
  int n_frames;             /* that were asked about together, this one the last */
  GstClockTime first_pts;   /* of the first of them */
  int n_turns;              /* earlier questions and answers that the question went on from */
} GstDsvl2Seen;

/* gst_dsvl2_meta_register: makes "dsvl2-result" known as a custom meta without tags, so converters and
 * scalers keep it. Any number of times, from any thread. */
void gst_dsvl2_meta_register (void);

/* gst_dsvl2_result_to_structure: the structure above, fresh; boxes, which the engine knows in parts of the
 * region, in parts of the frame. Free with gst_structure_free (). */
GstStructure *gst_dsvl2_result_to_structure (const Dsvl2Result *result, const GstDsvl2Seen *seen);

/* gst_dsvl2_partial_to_structure: an answer that is being written, as the `partial` signal of dsvl2infer has
 * it: `text` so far, which is valid UTF-8, how many `tokens` that are, and the fields from `prompt` to
 * `turns` of the structure above. Free with gst_structure_free (). */
GstStructure *gst_dsvl2_partial_to_structure (const char *text, int n_tokens, const GstDsvl2Seen *seen);

/* gst_dsvl2_meta_attach: puts a region of interest for each object and the custom meta on a writable
 * buffer; with GStreamer 1.24 or newer the objects are in its GstAnalyticsRelationMeta too. An object that
 * lies on one that a tracker upstream has numbered gets that number. Boxes are clamped to the frame that
 * `info` describes, at least one pixel wide and high. */
void gst_dsvl2_meta_attach (GstBuffer *buffer, const GstVideoInfo *info, const GstStructure *result,
    gboolean fresh);

/* gst_dsvl2_meta_get_result: the next "dsvl2-result" of a buffer, NULL after the last; `state` is NULL
 * at first. The buffer owns it. */
const GstStructure *gst_dsvl2_meta_get_result (GstBuffer *buffer, gpointer *state);

/* gst_dsvl2_clean_text: what may be shown of a text from anywhere: valid UTF-8, control characters and
 * line breaks turned into single spaces, none at the ends, nothing that puts letters into another order,
 * at most `max_chars` characters, the last of them "…" where it was cut. However long the text is, only
 * 64 bytes for each of them are read. Free with g_free (). */
char *gst_dsvl2_clean_text (const char *text, glong max_chars);

/* gst_dsvl2_label_quark: a label as a quark: cleaned, at most GST_DSVL2_MAX_LABEL characters, without the
 * characters of markup (< > &), because elements of others paste it into Pango markup. "object" when
 * nothing is left, and for new labels once the process has GST_DSVL2_MAX_QUARKS of them. */
GQuark gst_dsvl2_label_quark (const char *label);

/* gst_dsvl2_label_id: 0 … 2³¹ − 1 (FNV-1a). */
int gst_dsvl2_label_id (const char *label);

G_END_DECLS

#endif
