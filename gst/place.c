/* dsvl2: where labels and the panel of captions go, so that they hide little
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place.h"
#include <math.h>

enum { N_PLACES = 8 };

double
rect_common (const Rect *a, const Rect *b)
{
  const double w = MIN (a->x + a->w, b->x + b->w) - MAX (a->x, b->x);
  const double h = MIN (a->y + a->h, b->y + b->h) - MAX (a->y, b->y);

  return w > 0 && h > 0 ? w * h : 0;
}

/* In the order of preference: above, inside at the top, below, above at the right, beside, inside at the
 * bottom. */
static void
places_of (const Rect *box, double w, double h, Rect places[N_PLACES])
{
  const double right = box->x + box->w - w, bottom = box->y + box->h;
  const Rect all[N_PLACES] = { { box->x, box->y - h, w, h }, { box->x, box->y, w, h },
    { box->x, bottom, w, h }, { right, box->y - h, w, h }, { right, bottom, w, h },
    { box->x + box->w, box->y, w, h }, { box->x - w, box->y, w, h }, { box->x, bottom - h, w, h } };

  for (int i = 0; i < N_PLACES; i++)
    places[i] = all[i];
}

/* What is hidden by a tag there, other tags counting most: two texts on each other are no texts. */
static double
hidden (const Rect *tag, const Rect *boxes, guint n_boxes, guint own, const Rect *tags, guint n_tags,
    const Rect *panel)
{
  double area = 20 * rect_common (tag, panel) + 0.15 * rect_common (tag, &boxes[own]);

  for (guint i = 0; i < n_tags; i++)
    area += 50 * rect_common (tag, &tags[i]);
  for (guint i = 0; i < n_boxes; i++)
    if (i != own)
      area += rect_common (tag, &boxes[i]);
  return area;
}

Rect
place_tag (const Rect *frame, const Rect *boxes, guint n_boxes, guint own, const Rect *tags,
    guint n_tags, const Rect *panel, double w, double h)
{
  Rect places[N_PLACES], best = { 0 };
  double least = INFINITY;

  places_of (&boxes[own], w, h, places);
  for (int i = 0; i < N_PLACES && least > 0; i++) {
    Rect r = places[i];
    double cost;

    r.x = CLAMP (r.x, 0, MAX (frame->w - w, 0));
    r.y = CLAMP (r.y, 0, MAX (frame->h - h, 0));
    /* Hiding a little more is better than a place where nobody looks. */
    cost = hidden (&r, boxes, n_boxes, own, tags, n_tags, panel) + 0.1 * i * w * h;
    if (cost < least) {
      least = cost;
      best = r;
    }
  }
  return best;
}

gboolean
place_panel (const Rect *top, const Rect *bottom, const Rect *boxes, guint n_boxes)
{
  double at_top = 0, at_bottom = 0;

  for (guint i = 0; i < n_boxes; i++) {
    at_top += rect_common (top, &boxes[i]);
    at_bottom += rect_common (bottom, &boxes[i]);
  }
  return at_top < 0.8 * at_bottom;
}
