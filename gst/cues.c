/* dsvl2: when captions of frames become text of their own
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cues.h"

void
cues_reset (Cues *c)
{
  *c = (Cues){ .end = CUES_NEVER, .last = CUES_NEVER };
}

static guint64
add (guint64 time, guint64 length)
{
  return length >= CUES_NEVER - time ? CUES_NEVER : time + length;
}

/* PTS and durations are rounded, at worst to milliseconds: what ends so little after a new caption's frame
 * begins ends there. */
enum { ROUNDING = 1000000 };

static guint64
end_before (const Cues *c, const CuesFrame *f)
{
  if (c->end == CUES_NEVER || (c->last != CUES_NEVER && f->pts < c->last))
    return f->pts;
  return f->fresh && c->end > f->pts && c->end - f->pts <= ROUNDING ? f->pts : c->end;
}

/* Where a piece that begins now ends: after its span, in whole frames, or where the caption does if sooner. */
static guint64
end_of_piece (const CuesFrame *f, guint64 frame_end)
{
  guint64 end = f->until;

  if (f->span != CUES_NEVER)
    end = MIN (end, add (f->pts, f->span - f->span % f->duration));
  return end != CUES_NEVER ? MAX (frame_end, end) : frame_end;
}

Cue
cues_next (Cues *c, const CuesFrame *f)
{
  const guint64 frame_end = f->pts != CUES_NEVER ? add (f->pts, f->duration) : 0;
  Cue cue = { CUES_NOTHING, 0, 0 };

  if (f->pts == CUES_NEVER)
    return cue;
  c->end = end_before (c, f);
  c->last = f->pts;
  c->due = f->captioned && (c->due || f->fresh || f->pts >= c->end);
  cue.start = MAX (f->pts, c->end);
  if (cue.start >= frame_end)
    return cue;
  if (f->captioned && !c->due)
    return cue;

  cue.kind = f->captioned ? CUES_TEXT : CUES_GAP;
  cue.stop = f->captioned ? end_of_piece (f, frame_end) : frame_end;
  c->due = FALSE;
  c->end = cue.stop;
  return cue;
}
