/* dsvl2: the pad "text" of dsvl2infer: captions as timed text
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Next to frames go their captions, as text/x-raw, format=utf8: plain text, no markup. When each begins and
 * how long it stays is decided in cues.h; frames without a caption are GAP events, so that nobody waits for
 * text. The pad's stream is a sparse one of its own, "…/text", in the group of the video.
 *
 * The pad may come and go at any time. A pad that is not linked, or whose stream has ended, does not stop
 * the other one. All but request and release is for the streaming thread. */
#ifndef GST_DSVL2_TEXT_PAD_H
#define GST_DSVL2_TEXT_PAD_H

#include <gst/base/gstbasetransform.h>
#include "questions.h"

typedef struct _TextPad TextPad;

/* text_pad_new: without a pad yet. `element` owns it. */
TextPad *text_pad_new (GstBaseTransform *element);
void text_pad_free (TextPad *t);

/* text_pad_request: the pad, which is the element's; NULL if there is one already. */
GstPad *text_pad_request (TextPad *t, GstPadTemplate *pad_template);
void text_pad_release (TextPad *t, GstPad *pad);

/* text_pad_reset: as before the first stream; the pad stays. */
void text_pad_reset (TextPad *t);

/* text_pad_event: an event that came to the sink pad, before it goes on to the video's pad. Those that are
 * of this stream too go on to the text pad. */
void text_pad_event (TextPad *t, GstEvent *event);

/* text_pad_frame: a frame that leaves, before it goes on to the video's pad. `span` is how long a piece of text
 * lasts at most, or NONE. */
void text_pad_frame (TextPad *t, const QuestionsFrame *frame, const GstVideoInfo *info,
    GstClockTime span);

/* text_pad_combine: what the flow on the video's pad and the last one on the text pad come to. */
GstFlowReturn text_pad_combine (TextPad *t, GstFlowReturn video);

#endif
