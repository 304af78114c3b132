/* dsvl2: when captions of frames become text of their own
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames that leave one after the other, some with a caption, become pieces of time, each with text or
 * without, that follow each other and never overlap. There is no pad and no clock in it.
 *
 * Text goes before the frame that it begins on, because whoever shows or muxes both waits for it. How long a
 * caption will stay is then known only in part: a piece ends where the next frame is due, and after `span`
 * where that may come at any time. A caption that stays for longer gets another piece. One that comes while a
 * piece lasts begins where that ends; if there are several, the newest does.
 *
 * Times are nanoseconds; CUES_NEVER stands for an unknown one, as GST_CLOCK_TIME_NONE does. */
#ifndef DSVL2_CUES_H
#define DSVL2_CUES_H

#include <glib.h>

#define CUES_NEVER G_MAXUINT64

typedef struct {
  guint64 end;  /* of the last piece: nothing begins before it; CUES_NEVER at first */
  guint64 last; /* PTS of the last frame */
  gboolean due; /* a caption came and no piece of it has begun */
} Cues;

/* A frame that is about to leave. */
typedef struct {
  guint64 pts, duration; /* the latter known and not 0 */
  gboolean captioned;    /* it has a caption */
  gboolean fresh;        /* that no frame before it had */
  guint64 until;         /* where that ends unless another comes, or CUES_NEVER */
  guint64 span;          /* how long a piece lasts at most, because another may come; CUES_NEVER: any */
} CuesFrame;

typedef enum {
  CUES_NOTHING, /* what was said before still holds */
  CUES_TEXT,    /* the frame's caption from `start` to `stop` */
  CUES_GAP,     /* no text from `start` to `stop` */
} CuesKind;

typedef struct {
  CuesKind kind;
  guint64 start, stop;
} Cue;

/* cues_reset: as it is at first, and after a flush or a new segment. */
void cues_reset (Cues *c);

/* cues_next: the piece that begins with this frame. A frame without PTS begins none. One whose PTS is before
 * the last one's begins anew. */
Cue cues_next (Cues *c, const CuesFrame *frame);

#endif
