/* dsvl2: which frame is analysed, and which answer goes on which frame
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handover.h"

/* A frame that is here. */
typedef struct {
  gpointer frame;
  guint64 pts, arrival;
  guint64 ticket; /* not live: 0 unless it is analysed */
  guint n_frames; /* that are analysed together, it the last */
  guint64 newest; /* that an answer on it may have */
  gboolean answered, unchanged;
  gpointer answer;
} Slot;

struct _Handover {
  GDestroyNotify free_frame, free_answer;
  HandoverSettings settings;
  HandoverCounts counts;
  GQueue slots; /* of Slot, oldest first */
  guint64 last_ticket;
  guint64 live_ticket, live_pts; /* of the frame that is being analysed; ticket 0: none is */
  guint live_frames;             /* that are analysed with it, itself among them */

  /* Sampling: the first frame is the origin; distances from it are positive either way. */
  gboolean started, demanded;
  guint n_gathered;                 /* frames that were analysed and have no ticket yet */
  gboolean stale;                   /* the frame that was analysed last has no answer that would do */
  guint64 origin, distance, period; /* period: the interval that was served last */
  guint64 served;                   /* PTS of the last frame that was analysed */
  guint64 pts, expected;            /* of the frame that was judged last, and where it ends */

  gpointer answer; /* the newest */
  guint64 ticket;  /* of its question */
  guint n_frames;  /* that it is about */
  gboolean fresh;  /* no frame has carried it */
  guint64 since;   /* PTS of the first that did */
  guint64 seen;    /* PTS of the frame that it is about */
};

Handover *
handover_new (GDestroyNotify free_frame, GDestroyNotify free_answer)
{
  Handover *h = g_new0 (Handover, 1);

  h->free_frame = free_frame;
  h->free_answer = free_answer;
  h->stale = TRUE;
  h->settings.hold = h->settings.max_age = HANDOVER_NEVER;
  h->served = h->expected = HANDOVER_NEVER;
  g_queue_init (&h->slots);
  return h;
}

static void
set_answer (Handover *h, gpointer answer, guint64 ticket, guint64 seen, guint n_frames)
{
  if (h->answer != NULL && h->fresh)
    h->counts.dropped += h->n_frames;
  g_clear_pointer (&h->answer, h->free_answer);
  h->answer = answer;
  h->ticket = ticket;
  h->n_frames = n_frames;
  h->fresh = TRUE;
  h->since = HANDOVER_NEVER;
  h->seen = seen;
}

static void
forget_gathered (Handover *h)
{
  h->counts.dropped += h->n_gathered;
  h->n_gathered = 0;
}

/* Nothing is being analysed. */
static void
forget_questions (Handover *h)
{
  for (GList *l = h->slots.head; l != NULL; l = l->next) {
    Slot *slot = l->data;

    if (slot->ticket != 0 && !slot->answered) {
      slot->ticket = 0;
      h->counts.dropped += slot->n_frames;
    }
  }
  if (h->live_ticket != 0)
    h->counts.dropped += h->live_frames;
  h->live_ticket = 0;
  forget_gathered (h);
  h->stale = TRUE;
}

void
handover_clear (Handover *h)
{
  Slot *slot;

  forget_questions (h);
  while ((slot = g_queue_pop_head (&h->slots)) != NULL) {
    g_clear_pointer (&slot->frame, h->free_frame);
    if (slot->answer != NULL)
      h->counts.dropped += slot->n_frames;
    g_clear_pointer (&slot->answer, h->free_answer);
    g_free (slot);
  }
  h->started = h->demanded = FALSE;
  h->served = h->expected = HANDOVER_NEVER;
  set_answer (h, NULL, 0, HANDOVER_NEVER, 0);
}

void
handover_free (Handover *h)
{
  if (h == NULL)
    return;
  handover_clear (h);
  g_free (h);
}

void
handover_configure (Handover *h, const HandoverSettings *settings)
{
  if (settings->interval != h->settings.interval)
    h->started = FALSE;
  if (settings->live != h->settings.live)
    forget_questions (h);
  h->settings = *settings;
}

void
handover_demand (Handover *h)
{
  h->demanded = TRUE;
}

void
handover_renew (Handover *h)
{
  h->stale = TRUE;
}

static guint64
distance_between (guint64 a, guint64 b)
{
  return a > b ? a - b : b - a;
}

/* Whether both times are known and differ by more than this. */
static gboolean
is_beyond (guint64 a, guint64 b, guint64 limit)
{
  return a != HANDOVER_NEVER && b != HANDOVER_NEVER && distance_between (a, b) > limit;
}

static gboolean
is_near (guint64 a, guint64 b, guint64 limit)
{
  return a != HANDOVER_NEVER && b != HANDOVER_NEVER && distance_between (a, b) < limit;
}

static gboolean
is_on_grid (Handover *h, guint64 pts)
{
  const guint64 interval = h->settings.interval;

  if (interval == 0)
    return TRUE;
  if (h->started && pts != HANDOVER_NEVER && h->origin != HANDOVER_NEVER) {
    const guint64 distance = distance_between (pts, h->origin);
    const gboolean jumped_back = distance < h->distance && h->distance - distance > interval;

    h->distance = distance;
    if (!jumped_back)
      return distance / interval > h->period;
    h->started = FALSE;
  }
  return !h->started || (h->origin == HANDOVER_NEVER && pts != HANDOVER_NEVER);
}

HandoverDue
handover_judge (Handover *h, guint64 pts, guint64 duration)
{
  gboolean due;

  if (pts == HANDOVER_NEVER)
    pts = h->expected;
  h->pts = pts;
  h->expected = pts == HANDOVER_NEVER || duration == HANDOVER_NEVER ? pts : pts + duration;
  due = is_on_grid (h, pts) && !is_near (pts, h->served, h->settings.min_interval);
  if (!due && !h->demanded)
    return HANDOVER_PASS;
  if (h->live_ticket != 0)
    return HANDOVER_BUSY;
  if (h->demanded)
    return HANDOVER_DEMANDED;
  return h->stale ? HANDOVER_DUE_ANEW : HANDOVER_DUE;
}

/* The frame that was judged is analysed: the next one is due in another interval. */
static void
serve (Handover *h)
{
  if (!h->started || h->origin == HANDOVER_NEVER) {
    h->started = TRUE;
    h->origin = h->pts;
    h->distance = 0;
  }
  h->period = h->settings.interval > 0 ? h->distance / h->settings.interval : 0;
  h->served = h->pts;
  h->demanded = h->stale = FALSE;
  h->counts.analysed++;
}

guint64
handover_push (Handover *h, gpointer frame, HandoverDue due, guint64 now)
{
  Slot *slot = g_new0 (Slot, 1);
  guint64 ticket = 0;
  guint n_frames = 0;

  h->counts.frames++;
  if (due == HANDOVER_DUE || due == HANDOVER_DUE_ANEW || due == HANDOVER_DEMANDED) {
    serve (h);
    ticket = ++h->last_ticket;
    n_frames = h->n_gathered + 1;
    h->n_gathered = 0;
  } else if (due == HANDOVER_GATHERED) {
    serve (h);
    h->n_gathered++;
  } else if (due == HANDOVER_BUSY) {
    h->counts.skipped++;
  } else if (due == HANDOVER_UNCHANGED) {
    h->counts.unchanged++;
  }
  *slot = (Slot){ .frame = frame,
    .pts = h->pts,
    .newest = h->last_ticket,
    .arrival = now,
    .unchanged = due == HANDOVER_UNCHANGED };
  if (!h->settings.live) {
    slot->ticket = ticket;
    slot->n_frames = n_frames;
  } else if (ticket != 0) {
    h->live_ticket = ticket;
    h->live_pts = h->pts;
    h->live_frames = n_frames;
  }
  g_queue_push_tail (&h->slots, slot);
  return ticket;
}

guint64
handover_conclude (Handover *h)
{
  Slot *slot = g_queue_peek_tail (&h->slots);

  if (h->n_gathered == 0 || h->settings.live) {
    forget_gathered (h);
    return 0;
  }
  if (slot == NULL) {
    slot = g_new0 (Slot, 1);
    slot->pts = h->pts;
    g_queue_push_tail (&h->slots, slot);
  }
  slot->n_frames = h->n_gathered;
  h->n_gathered = 0;
  return slot->newest = slot->ticket = ++h->last_ticket;
}

static Slot *
find_slot (Handover *h, guint64 ticket)
{
  for (GList *l = h->slots.head; l != NULL; l = l->next) {
    Slot *slot = l->data;

    if (slot->ticket == ticket && !slot->answered)
      return slot;
  }
  return NULL;
}

gboolean
handover_answer (Handover *h, guint64 ticket, gpointer answer)
{
  Slot *slot = find_slot (h, ticket);

  if (slot != NULL) {
    slot->answered = TRUE;
    slot->answer = answer;
  } else if (ticket == h->live_ticket) {
    h->live_ticket = 0;
    set_answer (h, answer, ticket, h->live_pts, h->live_frames);
  } else {
    g_clear_pointer (&answer, h->free_answer);
    return FALSE;
  }
  if (answer != NULL)
    h->counts.answered++;
  else
    h->counts.failed++;
  if (answer == NULL && ticket == h->last_ticket)
    h->stale = TRUE;
  return TRUE;
}

/* The answer that belongs on a frame. One that is too old is kept: it is new again when a frame turns out
 * to be unchanged. One that is about a later frame waits for it: this frame waited when the stream became
 * live. */
static void
hand_over (Handover *h, const Slot *slot, HandoverOut *out)
{
  gboolean held;

  out->answer = NULL;
  out->fresh = FALSE;
  if (h->ticket > slot->newest)
    return;
  if (slot->unchanged)
    h->since = h->seen = slot->pts;
  held = h->fresh || slot->unchanged ||
         (h->settings.hold != 0 && !is_beyond (slot->pts, h->since, h->settings.hold));
  if (!held || is_beyond (slot->pts, h->seen, h->settings.max_age))
    return;
  out->answer = h->answer;
  out->fresh = h->answer != NULL && h->fresh;
  if (out->fresh) {
    h->since = slot->pts;
    h->fresh = FALSE;
  }
}

/* The first time that is more than `limit` after another. */
static guint64
beyond (guint64 time, guint64 limit)
{
  return limit >= HANDOVER_NEVER - time ? HANDOVER_NEVER : time + limit + 1;
}

/* Up to where frames carry what the one at `pts` does: when not live, another is due at the next interval. */
static guint64
known_until (const Handover *h, guint64 pts)
{
  const HandoverSettings *s = &h->settings;
  guint64 until = HANDOVER_NEVER;

  if (h->answer == NULL || pts == HANDOVER_NEVER || h->since == HANDOVER_NEVER)
    return HANDOVER_NEVER;
  if (!s->live && h->origin != HANDOVER_NEVER && pts >= h->origin) {
    until = s->interval > 0 ? h->origin + ((pts - h->origin) / s->interval + 1) * s->interval : pts;
    if (s->min_interval > 0)
      until = MAX (until, h->since + s->min_interval);
  }
  until = MIN (until, beyond (h->since, s->hold));
  return MIN (until, beyond (h->seen, s->max_age));
}

HandoverNext
handover_pop (Handover *h, gboolean drain, guint64 now, HandoverOut *out)
{
  Slot *slot = g_queue_peek_head (&h->slots);

  if (slot == NULL)
    return HANDOVER_MORE;
  if (slot->ticket != 0 && !slot->answered)
    return drain || g_queue_get_length (&h->slots) > h->settings.max_queue ? HANDOVER_WAIT
                                                                           : HANDOVER_MORE;
  if (h->n_gathered > 0 && !h->settings.live && !drain && g_queue_get_length (&h->slots) == 1)
    return HANDOVER_MORE;

  g_queue_pop_head (&h->slots);
  if (slot->ticket != 0)
    set_answer (h, slot->answer, slot->ticket, slot->pts, slot->n_frames);
  out->frame = slot->frame;
  out->delay = now - slot->arrival;
  hand_over (h, slot, out);
  out->until = known_until (h, slot->pts);
  g_free (slot);
  return HANDOVER_FRAME;
}

HandoverCounts
handover_get_counts (const Handover *h)
{
  return h->counts;
}
