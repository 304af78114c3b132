/* dsvl2: which frame is analysed, and which answer goes on which frame
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The policy of dsvl2infer, without a pad, a clock, a lock or a thread in it: a test drives it with
 * numbers. Frames go in and come out in the same order, each once.
 *
 *   live      A frame leaves at once. One that is due is analysed if nothing else is; otherwise it is
 *             skipped, and the first frame after the answer is due at once: the newest frame wins.
 *             An answer goes on the next frame that leaves.
 *   not live  A frame that is due is always analysed, and waits for its own answer. Frames behind it
 *             wait too, at most `max_queue` of them; beyond that the stream waits. While frames are
 *             gathered to be analysed together, the newest frame waits for the next: if none comes, it
 *             carries the answer to those that were gathered.
 *
 * A frame is due when it is the first, or the first of another interval since the first: intervals are
 * counted from there, so that the rate does not drift whatever the frame rate is. One that is nearer
 * than `min_interval` to the last that was analysed is not. Only PTS count. They may run backwards
 * (reverse playback), and a jump back by more than an interval starts anew.
 *
 * Times are nanoseconds; HANDOVER_NEVER stands for an unknown one, as GST_CLOCK_TIME_NONE does. */
#ifndef DSVL2_HANDOVER_H
#define DSVL2_HANDOVER_H

#include <glib.h>

#define HANDOVER_NEVER G_MAXUINT64

typedef struct _Handover Handover;

typedef struct {
  gboolean live;
  guint64 interval;     /* of the grid on which frames are analysed; 0: every frame is due */
  guint64 min_interval; /* that lies between two of them whatever the grid is; 0: any */
  guint64 hold;    /* how long an answer stays on the frames after its first; NEVER: until the next */
  guint64 max_age; /* how far from the frame that it is about a frame may carry it; NEVER: any */
  guint max_queue;
} HandoverSettings;

typedef struct {
  guint64 frames;   /* that came in */
  guint64 analysed; /* of them, those that were gathered too */
  guint64 answered; /* tickets */
  guint64 failed;   /* tickets */
  guint64
      dropped; /* of those that were analysed: forgotten before a frame carried the answer, or it was too old for any */
  guint64 skipped;   /* live: due, but another was being analysed */
  guint64 unchanged; /* due, but the last answer still holds */
} HandoverCounts;

/* What is to be done with the next frame. */
typedef enum {
  HANDOVER_PASS,      /* it is not due */
  HANDOVER_BUSY,      /* it is, but another is being analysed */
  HANDOVER_DUE,       /* it is to be analysed, unless the last answer would do for it */
  HANDOVER_DUE_ANEW,  /* it is to be analysed, and there is no answer that would do */
  HANDOVER_DEMANDED,  /* the same, because of handover_demand () */
  HANDOVER_GATHERED,  /* the caller's: it was to be analysed, and is, together with frames to come */
  HANDOVER_UNCHANGED, /* the caller's: it was due, and looks like the last one that was analysed. That
                       * one's answer is then as new as if it was about this one */
} HandoverDue;

typedef enum {
  HANDOVER_FRAME, /* here is one */
  HANDOVER_WAIT,  /* ask again when another answer is there */
  HANDOVER_MORE,  /* ask again when another frame is there */
} HandoverNext;

typedef struct {
  gpointer frame;
  gpointer answer; /* that belongs on it, or NULL; stays the policy's: use it before the next call */
  gboolean fresh;  /* and no frame carried it before */
  guint64 until; /* frames carry it up to this PTS if none is analysed out of turn; NEVER: not known */
  guint64 delay; /* how long the frame was here, in `now`s */
} HandoverOut;

/* handover_new: nothing in it yet, not live, every frame due. */
Handover *handover_new (GDestroyNotify free_frame, GDestroyNotify free_answer);
void handover_free (Handover *h);

/* handover_configure: takes effect with the next frame; another interval starts anew. When the stream
 * becomes live, or ceases to be, frames that are here go without the answers that are still to come. */
void handover_configure (Handover *h, const HandoverSettings *settings);

/* handover_demand: the next frame is analysed, due or not; when live and another is being analysed, the
 * first after that. */
void handover_demand (Handover *h);

/* handover_renew: what would be asked is not what the last answer was about: none will do. */
void handover_renew (Handover *h);

/* handover_judge: what is to be done with the frame that comes next. One without PTS is where the last
 * one ended. */
HandoverDue handover_judge (Handover *h, guint64 pts, guint64 duration);

/* handover_push: takes the frame that was just judged. The caller may make DUE UNCHANGED, what is
 * to be analysed GATHERED, and anything PASS.
 * Returns the ticket of its analysis, to be given back with the answer, or 0: not to be analysed. */
guint64 handover_push (Handover *h, gpointer frame, HandoverDue due, guint64 now);

/* handover_conclude: no frame will be analysed together with those that were gathered.
 * Returns the ticket of their analysis: its answer goes on the newest frame, or comes out of
 * handover_pop () without a frame if none is here. 0 when live, and if none were gathered. */
guint64 handover_conclude (Handover *h);

/* handover_answer: takes the answer to a ticket, NULL when there is none.
 * Returns FALSE if nothing waits for it any more; it is freed then. */
gboolean handover_answer (Handover *h, guint64 ticket, gpointer answer);

/* handover_pop: the next frame that may leave. With `drain` none waits for frames that are still to
 * come. On HANDOVER_FRAME the caller owns out->frame, which is NULL for an answer that no frame is left
 * for. */
HandoverNext handover_pop (Handover *h, gboolean drain, guint64 now, HandoverOut *out);

/* handover_clear: forgets frames, answers, sampling and demands, as after a flush; counts stay. */
void handover_clear (Handover *h);

HandoverCounts handover_get_counts (const Handover *h);

#endif
