/* dsvl2: which frame is analysed, and which answer goes on which frame
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handover.h"

/* A frame that is here. */
typedef struct {
  gpointer frame;
  guint64 pts, arrival;
  guint64 ticket; /* not live: 0 unless it is analysed */
  gboolean answered;
  gpointer answer;
} Slot;

struct _Handover {
  GDestroyNotify free_frame, free_answer;
  HandoverSettings settings;
  HandoverCounts counts;
  GQueue slots; /* of Slot, oldest first */
  guint64 last_ticket;
  guint64 live_ticket; /* of the frame that is being analysed; 0: none is */

  /* Sampling: the first frame is the origin; distances from it are positive either way. */
  gboolean started;
  guint64 origin, distance, period; /* period: the interval that was served last */
  guint64 expected;                 /* where the last frame ended */

  gpointer answer; /* that frames carry now */
  gboolean fresh;
  guint64 since; /* PTS of the first of them */
};

Handover *
handover_new (GDestroyNotify free_frame, GDestroyNotify free_answer)
{
  Handover *h = g_new0 (Handover, 1);

  h->free_frame = free_frame;
  h->free_answer = free_answer;
  h->settings.hold = HANDOVER_NEVER;
  h->expected = HANDOVER_NEVER;
  g_queue_init (&h->slots);
  return h;
}

static void
set_answer (Handover *h, gpointer answer)
{
  g_clear_pointer (&h->answer, h->free_answer);
  h->answer = answer;
  h->fresh = TRUE;
  h->since = HANDOVER_NEVER;
}

void
handover_clear (Handover *h)
{
  Slot *slot;

  while ((slot = g_queue_pop_head (&h->slots)) != NULL) {
    h->free_frame (slot->frame);
    g_clear_pointer (&slot->answer, h->free_answer);
    g_free (slot);
  }
  h->live_ticket = 0;
  h->started = FALSE;
  h->expected = HANDOVER_NEVER;
  set_answer (h, NULL);
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
  h->settings = *settings;
}

static guint64
distance_between (guint64 a, guint64 b)
{
  return a > b ? a - b : b - a;
}

static gboolean
is_due (Handover *h, guint64 pts)
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

/* This frame is analysed: the next one is due in another interval. */
static void
serve (Handover *h, guint64 pts)
{
  if (!h->started || h->origin == HANDOVER_NEVER) {
    h->started = TRUE;
    h->origin = pts;
    h->distance = 0;
  }
  h->period = h->settings.interval > 0 ? h->distance / h->settings.interval : 0;
}

guint64
handover_push (Handover *h, gpointer frame, guint64 pts, guint64 duration, guint64 now)
{
  Slot *slot = g_new0 (Slot, 1);
  guint64 ticket = 0;

  if (pts == HANDOVER_NEVER)
    pts = h->expected;
  h->expected = pts == HANDOVER_NEVER || duration == HANDOVER_NEVER ? pts : pts + duration;
  h->counts.frames++;
  if (!is_due (h, pts)) {
    /* passes */
  } else if (h->live_ticket != 0) {
    h->counts.skipped++;
  } else {
    serve (h, pts);
    h->counts.analysed++;
    ticket = ++h->last_ticket;
  }
  *slot = (Slot){ .frame = frame, .pts = pts, .arrival = now };
  if (h->settings.live)
    h->live_ticket = ticket != 0 ? ticket : h->live_ticket;
  else
    slot->ticket = ticket;
  g_queue_push_tail (&h->slots, slot);
  return ticket;
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
    set_answer (h, answer);
  } else {
    g_clear_pointer (&answer, h->free_answer);
    return FALSE;
  }
  if (answer != NULL)
    h->counts.answered++;
  else
    h->counts.failed++;
  return TRUE;
}

/* The answer that belongs on a frame with this PTS. */
static void
hand_over (Handover *h, guint64 pts, HandoverOut *out)
{
  if (h->answer != NULL && !h->fresh && h->settings.hold != HANDOVER_NEVER) {
    const gboolean known = pts != HANDOVER_NEVER && h->since != HANDOVER_NEVER;

    if (h->settings.hold == 0 || (known && distance_between (pts, h->since) > h->settings.hold))
      set_answer (h, NULL);
  }
  out->answer = h->answer;
  out->fresh = h->answer != NULL && h->fresh;
  if (out->fresh)
    h->since = pts;
  h->fresh = FALSE;
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

  g_queue_pop_head (&h->slots);
  if (slot->ticket != 0)
    set_answer (h, slot->answer);
  out->frame = slot->frame;
  out->delay = now - slot->arrival;
  hand_over (h, slot->pts, out);
  g_free (slot);
  return HANDOVER_FRAME;
}

HandoverCounts
handover_get_counts (const Handover *h)
{
  return h->counts;
}
