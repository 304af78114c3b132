/* dsvl2: a thread that carries news from the engine to one element
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "courier.h"

struct _Courier {
  GAsyncQueue *bag; /* Parcel */
  GThread *thread;
};

typedef struct {
  void (*deliver) (gpointer news); /* NULL: the last one */
  gpointer news;
} Parcel;

static gpointer
carry (gpointer bag)
{
  Parcel *parcel = g_async_queue_pop (bag);

  while (parcel->deliver != NULL) {
    parcel->deliver (parcel->news);
    g_free (parcel);
    parcel = g_async_queue_pop (bag);
  }
  g_free (parcel);
  return NULL;
}

Courier *
courier_new (void)
{
  Courier *courier = g_new0 (Courier, 1);

  courier->bag = g_async_queue_new ();
  courier->thread = g_thread_new ("dsvl2-courier", carry, courier->bag);
  return courier;
}

void
courier_send (Courier *courier, void (*deliver) (gpointer news), gpointer news)
{
  Parcel *parcel = g_new (Parcel, 1);

  *parcel = (Parcel){ deliver, news };
  g_async_queue_push (courier->bag, parcel);
}

void
courier_free (Courier *courier)
{
  courier_send (courier, NULL, NULL);
  g_thread_join (courier->thread);
  g_async_queue_unref (courier->bag);
  g_free (courier);
}
