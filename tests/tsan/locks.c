/* dsvl2: tells ThreadSanitizer about the locks and references of GLib and GStreamer
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Those libraries are not built with the sanitizer, and GLib's locks are its own: nothing that they order looks
 * ordered. Preloaded, each function below does what the library's does and says what it orders: what
 * was done before a release of an address is seen after an acquire of it. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <gst/gst.h>

void __tsan_acquire (void *address);
void __tsan_release (void *address);
#define ACQUIRE(address) __tsan_acquire ((void *) (address))
#define RELEASE(address) __tsan_release ((void *) (address))
/* One reference of several goes: the last one comes after all before it. */
#define DROP(address) (RELEASE (address), ACQUIRE (address))
#define NOTHING ((void) 0)

#define TELLS(name, parameters, arguments, before, after)                                              \
  void name parameters                                                                                 \
  {                                                                                                    \
    static void (*real) parameters;                                                                    \
    if (real == NULL)                                                                                  \
      *(void **) &real = dlsym (RTLD_NEXT, #name);                                                     \
    before;                                                                                            \
    real arguments;                                                                                    \
    after;                                                                                             \
  }
#define TELLS_AND_RETURNS(type, name, parameters, arguments, before, after)                            \
  type name parameters                                                                                 \
  {                                                                                                    \
    static type (*real) parameters;                                                                    \
    if (real == NULL)                                                                                  \
      *(void **) &real = dlsym (RTLD_NEXT, #name);                                                     \
    before;                                                                                            \
    type result = real arguments;                                                                      \
    after;                                                                                             \
    return result;                                                                                     \
  }
#define IF_RESULT(what)                                                                                \
  if (result)                                                                                          \
  what

/* clang-format off: a table */

/* locks */
TELLS (g_mutex_lock, (GMutex * m), (m), NOTHING, ACQUIRE (m))
TELLS (g_mutex_unlock, (GMutex * m), (m), RELEASE (m), NOTHING)
TELLS_AND_RETURNS (gboolean, g_mutex_trylock, (GMutex * m), (m), NOTHING, IF_RESULT (ACQUIRE (m)))
TELLS (g_rec_mutex_lock, (GRecMutex * m), (m), ACQUIRE (m),
    (ACQUIRE (m), RELEASE (m))) /* the first makes it */
TELLS (g_rec_mutex_unlock, (GRecMutex * m), (m), RELEASE (m), NOTHING)
TELLS_AND_RETURNS (gboolean, g_rec_mutex_trylock, (GRecMutex * m), (m), NOTHING,
    IF_RESULT (ACQUIRE (m)))
TELLS (g_rw_lock_reader_lock, (GRWLock * l), (l), NOTHING, ACQUIRE (l))
TELLS (g_rw_lock_reader_unlock, (GRWLock * l), (l), RELEASE (l), NOTHING)
TELLS (g_rw_lock_writer_lock, (GRWLock * l), (l), NOTHING, ACQUIRE (l))
TELLS (g_rw_lock_writer_unlock, (GRWLock * l), (l), RELEASE (l), NOTHING)
TELLS (g_cond_wait, (GCond * c, GMutex *m), (c, m), RELEASE (m), ACQUIRE (m))
TELLS_AND_RETURNS (gboolean, g_cond_wait_until, (GCond * c, GMutex *m, gint64 end), (c, m, end),
    RELEASE (m), ACQUIRE (m))
#undef g_once_init_enter
#undef g_once_init_leave
TELLS_AND_RETURNS (gboolean, g_once_init_enter, (volatile void *at), (at), NOTHING, ACQUIRE (at))
TELLS (g_once_init_leave, (volatile void *at, gsize value), (at, value), RELEASE (at), NOTHING)

/* references */
TELLS (g_object_unref, (gpointer o), (o), DROP (o), NOTHING)
TELLS (gst_object_unref, (gpointer o), (o), DROP (o), NOTHING)
TELLS (gst_mini_object_unref, (GstMiniObject * o), (o), DROP (o), NOTHING)
TELLS (g_array_unref, (GArray * a), (a), DROP (a), NOTHING)
TELLS (g_ptr_array_unref, (GPtrArray * a), (a), DROP (a), NOTHING)
TELLS_AND_RETURNS (gboolean, g_atomic_ref_count_dec, (gatomicrefcount * n), (n), DROP (n), NOTHING)
TELLS (g_atomic_rc_box_release, (gpointer box), (box), DROP (box), NOTHING)
TELLS (g_atomic_rc_box_release_full, (gpointer box, GDestroyNotify clear), (box, clear), DROP (box),
    NOTHING)

/* what is handed from thread to thread */
TELLS (g_async_queue_push, (GAsyncQueue * q, gpointer what), (q, what), RELEASE (q), NOTHING)
TELLS_AND_RETURNS (gpointer, g_async_queue_pop, (GAsyncQueue * q), (q), NOTHING, ACQUIRE (q))
TELLS_AND_RETURNS (gboolean, gst_bus_post, (GstBus * bus, GstMessage *m), (bus, m), RELEASE (bus),
    NOTHING)
TELLS_AND_RETURNS (GstMessage *, gst_bus_pop_filtered, (GstBus * bus, GstMessageType types),
    (bus, types), NOTHING, ACQUIRE (bus))
TELLS_AND_RETURNS (GstMessage *, gst_bus_timed_pop_filtered,
    (GstBus * bus, GstClockTime timeout, GstMessageType types), (bus, timeout, types), NOTHING,
    ACQUIRE (bus))
