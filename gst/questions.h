/* dsvl2: frames that the engine is asked about
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Between an element's streaming thread and the engine's worker: frames go in, questions about some of
 * them go to the engine, frames come out with answers on them. What goes when is the policy's
 * (handover.h); asking, waiting, cancelling and counting are here. One thread pushes frames and takes
 * them out; any thread may call the rest. */
#ifndef GST_DSVL2_QUESTIONS_H
#define GST_DSVL2_QUESTIONS_H

#include "asking.h"
#include "handover.h"

typedef struct _Questions Questions;

/* What the owner hears: from the streaming thread or from a thread that carries the news of this stream
 * alone, without any lock. It may take its time. */
typedef struct {
  /* A result, once, in the order of frames and of prompts: with its first frame; of a live stream when
   * all questions about its frame have ended, because no frame may follow. */
  void (*answered) (gpointer owner, const GstStructure *result);
  /* A "dsvl2-partial" structure: a question's answer has one token more. */
  void (*partial) (gpointer owner, const GstStructure *partial);
  /* A question without an answer: each message once until all questions about a frame are answered. */
  void (*failed) (gpointer owner, const GError *error);
} QuestionsFuncs;

/* questions_new: flushing, without an engine. A frame that is asked about holds a reference to `owner`. */
Questions *questions_new (GObject *owner, const QuestionsFuncs *funcs);
void questions_free (Questions *q);

/* questions_start: takes the engine, which comes from the pool, and ends flushing. */
void questions_start (Questions *q, Dsvl2Engine *engine);
/* questions_stop: flushes, forgets all that is here, waits until the engine is done with it, and gives the
 * engine back. */
void questions_stop (Questions *q);
/* questions_flush: while TRUE nothing waits and nothing comes out; what is open is cancelled. */
void questions_flush (Questions *q, gboolean flushing);
/* questions_clear: forgets frames, questions, answers and sampling; counts stay. */
void questions_clear (Questions *q);

/* questions_judge: what is to be done with the frame that comes next, under these settings. */
HandoverDue questions_judge (Questions *q, GstBuffer *frame, const HandoverSettings *settings);
/* questions_push: takes the frame that was just judged; see handover_push (). So many frames are asked about
 * together: those before the last are gathered.
 * Returns a ticket if they are to be asked about, with questions_ask () before the next push; or 0. */
guint64 questions_push (Questions *q, GstBuffer *frame, HandoverDue due, guint together);
/* questions_conclude: no frame will be asked about together with those that were gathered.
 * Returns a ticket if they are to be asked about, with questions_ask () and the newest of them, which
 * `frame` is then; or 0. A live stream forgets them. */
guint64 questions_conclude (Questions *q, GstBuffer **frame);
/* questions_demand: the next frame is asked about; when live, once what is open is answered. */
void questions_demand (Questions *q);
/* questions_renew: what will be asked is not what was asked before. */
void questions_renew (Questions *q);
/* questions_ask: asks the engine each prompt about each region of the frame that was just pushed,
 * together with those that were gathered. When not live and with history it waits for earlier answers. Its
 * answer is there when all of these questions have ended. With `partials` the owner hears of each token. */
void questions_ask (Questions *q, guint64 ticket, const AskingFrame *frame,
    const InferSettings *settings, gboolean partials);

/* A frame that may go on, with the metadata of the answer that belongs on it. */
typedef struct {
  GstBuffer *buffer;  /* NULL: it takes another frame first */
  GPtrArray *results; /* of that answer: structures, a reference; or NULL */
  gboolean fresh;     /* no frame carried it before */
  GstClockTime until; /* frames carry it up to this PTS, as far as is known; or NONE */
  GstClockTime delay; /* how long the frame was here */
} QuestionsFrame;

/* questions_next: the next frame. With `drain` it waits instead of asking for another. The caller owns the
 * buffer and the reference to the results.
 * Returns GST_FLOW_FLUSHING while flushing. */
GstFlowReturn questions_next (Questions *q, gboolean drain, const GstVideoInfo *info,
    QuestionsFrame *frame);

/* questions_get_stats: the `stats` property of dsvl2infer. Free with gst_structure_free (). */
GstStructure *questions_get_stats (Questions *q);

#endif
