/* dsvl2: a thread that carries news from the engine to one element
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The engine's worker serves every stream that shares it, and an application may take its time when it is
 * told something. So the worker only hands over that there is news; what follows from it happens on the
 * element's courier, in the order of sending, and holds up nobody else. */
#ifndef DSVL2_COURIER_H
#define DSVL2_COURIER_H

#include <glib.h>

typedef struct _Courier Courier;

Courier *courier_new (void);
/* Delivers what was sent, then ends. Not from the courier itself. */
void courier_free (Courier *courier);

/* courier_send: `deliver (news)` will be called by the courier. Never waits. From any thread. */
void courier_send (Courier *courier, void (*deliver) (gpointer news), gpointer news);

#endif
