/* dsvl2: the questions about one frame, from their submission until all of them have ended
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each prompt is asked about each region: a picture is made of a region once, and all questions about it
 * share it, so that the engine encodes it once. Results keep the order of the prompts, and for one prompt
 * that of the regions. A question that fails takes none of the others with it. */
#ifndef GST_DSVL2_ASKING_H
#define GST_DSVL2_ASKING_H

#include <gst/video/video.h>
#include "courier.h"
#include "history.h"
#include "inferprops.h"
#include "regions.h"

typedef struct _Asking Asking;

/* They come from the courier, or from asking_submit () for what could not be submitted; without any lock. */
typedef struct {
  void (*failed) (gpointer owner, const GError *error);
  /* A "dsvl2-partial" structure, for each token of each answer; NULL where nobody wants them. */
  void (*partial) (gpointer owner, const GstStructure *partial);
  /* All questions have ended: the last that is heard of it. */
  void (*ended) (gpointer owner, Asking *asking);
} AskingFuncs;

/* What is asked about: a frame, or regions of it, with the segment that its times are of. Frames before it
 * that are asked about together with it are shown in the same regions. */
typedef struct {
  GstBuffer *frame;
  const GPtrArray *earlier; /* GstBuffer of the same caps, oldest first; NULL: none */
  const GstVideoInfo *info;
  const GstSegment *segment;
  const GArray *regions; /* of Region; NULL: one, the whole frame */
  GPtrArray *references; /* Dsvl2Picture: shown before the frame; NULL: none */
} AskingFrame;

/* What the answers to one frame took. */
typedef struct {
  guint64 answered, failed; /* questions */
  guint64 tokens, prompt_tokens, cached_tokens;
  guint64 later_tokens; /* those after the first of an answer, which decode_us is the time of */
  gint64 queue_us, vision_us, prefill_us, decode_us;
} AskingSum;

/* asking_new: not submitted yet; goes on from what is in `history`. `ticket` is the caller's. Free with
 * asking_unref (). */
Asking *asking_new (guint64 ticket, const AskingFrame *frame, const InferSettings *settings,
    History *history, const AskingFuncs *funcs, gpointer owner);
Asking *asking_ref (Asking *asking);
void asking_unref (Asking *asking);

/* asking_submit: asks the engine, once, for a stream that has this owner and courier; `ended` may come
 * before this returns. Both must outlive it. */
void asking_submit (Asking *asking, Dsvl2Engine *engine, Courier *courier, const AskingFrame *frame,
    const InferSettings *settings);
/* asking_cancel: ends what is open, and what is submitted later, soon. From any thread. */
void asking_cancel (Asking *asking);

guint64 asking_get_ticket (const Asking *asking);

gboolean asking_was_cancelled (Asking *asking);

/* When it has ended: */
/* The "dsvl2-result" structures; NULL where there is none. Free with g_ptr_array_unref (). */
GPtrArray *asking_get_results (Asking *asking);
/* Adds questions that were answered, and their answers, unless asking_get_results () came before. */
void asking_remember (Asking *asking, History *history);
const AskingSum *asking_get_sum (const Asking *asking);
void asking_sum_add (AskingSum *sum, const AskingSum *more);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Asking, asking_unref)

#endif
