/* dsvl2: the CUDA stand-in: streams and events
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Streams are lazy. Work waits in its stream until the host waits for it, or for work behind it, and only
 * what has to run then does: a missing synchronisation reads what was there before. Waits between streams
 * are exact: what cudaStreamWaitEvent does not say does not happen. The legacy stream (0) waits for all
 * blocking streams and they for it, as on a device.
 */
#include "stream.h"

#include <stdio.h>
#include <set>

namespace standin {

static Stream legacy = { true };
static auto &streams = *new std::set<Stream *>{ &legacy };
static auto &events = *new std::set<Event *>;

Stream *
stream_of (cudaStream_t handle)
{
  if (handle == nullptr || handle == cudaStreamLegacy)
    return &legacy;
  if (handle == cudaStreamPerThread)
    stop (EXIT_DEVICE_FAULT, "cudaStreamPerThread is not supported");
  if (!streams.count ((Stream *) handle))
    stop (EXIT_DEVICE_FAULT, "%p is not a stream (any more)", (void *) handle);
  return (Stream *) handle;
}

/* Runs the stream until `n` pieces of its work are done. */
static void
run_until (Stream *s, u64 n)
{
  while (s->done < n && !s->queue.empty ()) {
    Task task = std::move (s->queue.front ());

    s->queue.pop_front ();
    if (task.after)
      run_until (task.after, task.after_n);
    if (task.work) {
      DeviceMode device;
      task.work ();
    }
    s->done++;
  }
}

void
drain (cudaStream_t handle)
{
  Stream *s = stream_of (handle);
  DeviceMode device;

  run_until (s, s->added);
}

void
drain_all ()
{
  DeviceMode device;

  for (Stream *s : streams)
    run_until (s, s->added);
}

static void
push (Stream *s, Task task)
{
  s->queue.push_back (std::move (task));
  s->added++;
}

/* What the legacy stream's rule adds before new work. */
static void
wait_for_legacy (Stream *s)
{
  if (!s->blocking)
    return;
  for (Stream *other : streams)
    if (other != s && other->blocking && (s == &legacy || other == &legacy) &&
        other->done < other->added)
      push (s, { nullptr, other, other->added });
}

cudaError_t
enqueue (cudaStream_t handle, WorkKind kind, Work work)
{
  Stream *s = stream_of (handle);

  if (s->capture) {
    if (s->capture->broken)
      return fail (cudaErrorStreamCaptureInvalidated);
    capture_work (s, kind, std::move (work));
    return cudaSuccess;
  }
  if (s == &legacy)
    for (Stream *other : streams)
      if (other->capture && other->blocking && other->capture->mode != cudaStreamCaptureModeRelaxed) {
        other->capture->broken = true;
        return fail (cudaErrorStreamCaptureImplicit,
            "the legacy stream was used while a blocking stream is captured");
      }
  wait_for_legacy (s);
  push (s, { std::move (work), nullptr, 0 });
  return cudaSuccess;
}

bool
is_capturing (cudaStream_t handle)
{
  return stream_of (handle)->capture != nullptr;
}

static cudaError_t
break_capture (Capture *capture, cudaError_t error, const char *name)
{
  capture->broken = true;
  return fail (error, "%s while a stream is being captured", name);
}

/* A relaxed capture forbids nothing, a thread's own only that thread's calls, a global one everybody's. */
cudaError_t
refuse_in_capture (const char *name)
{
  for (Stream *s : streams)
    if (s->capture && s->capture->mode != cudaStreamCaptureModeRelaxed &&
        (s->capture->mode == cudaStreamCaptureModeGlobal ||
            s->capture->thread == std::this_thread::get_id ()))
      return break_capture (s->capture, cudaErrorStreamCaptureUnsupported, name);
  return cudaSuccess;
}

cudaError_t
refuse_captured (cudaStream_t handle, const char *name)
{
  Stream *s = stream_of (handle);

  return s->capture ? break_capture (s->capture, cudaErrorStreamCaptureUnsupported, name) : cudaSuccess;
}

void
end_capture_of (Capture *capture)
{
  for (Stream *s : streams)
    if (s->capture == capture) {
      s->capture = nullptr;
      s->tail.clear ();
    }
  for (Event *e : events)
    if (e->capture == capture)
      e->capture = nullptr;
}

int
report_leaked_streams ()
{
  for (Stream *s : streams)
    if (s != &legacy)
      fprintf (stderr, "stand-in: leak: a stream at %p\n", (void *) s);
  for (Event *e : events)
    fprintf (stderr, "stand-in: leak: an event at %p\n", (void *) e);
  return streams.size () - 1 + events.size () + report_leaked_graphs ();
}

static Event *
event_of (cudaEvent_t handle)
{
  if (!events.count ((Event *) handle))
    stop (EXIT_DEVICE_FAULT, "%p is not an event (any more)", (void *) handle);
  return (Event *) handle;
}

/* The host may neither wait for an event nor ask about it: one of a capture never happens, and asking for
 * others is among what a capture forbids. */
static cudaError_t
refuse_for_event (Event *e, const char *name)
{
  return e->capture ? break_capture (e->capture, cudaErrorCapturedEvent, name)
                    : refuse_in_capture (name);
}

} // namespace standin

using namespace standin;

extern "C" {

cudaError_t
cudaStreamCreateWithPriority (cudaStream_t *handle, unsigned flags, int)
{
  Call call ("cudaStreamCreateWithPriority");

  if (call.chosen_to_fail)
    return fail (cudaErrorMemoryAllocation);
  Stream *s = new Stream{ (flags & cudaStreamNonBlocking) == 0 };
  streams.insert (s);
  *handle = (cudaStream_t) s;
  return cudaSuccess;
}

cudaError_t
cudaStreamCreateWithFlags (cudaStream_t *handle, unsigned flags)
{
  return cudaStreamCreateWithPriority (handle, flags, 0);
}

cudaError_t
cudaStreamCreate (cudaStream_t *handle)
{
  return cudaStreamCreateWithPriority (handle, 0, 0);
}

cudaError_t
cudaDeviceGetStreamPriorityRange (int *least, int *greatest)
{
  Call call ("cudaDeviceGetStreamPriorityRange");

  if (least)
    *least = 0;
  if (greatest)
    *greatest = -5;
  return call.chosen_to_fail ? fail (cudaErrorUnknown) : cudaSuccess;
}

cudaError_t
cudaStreamDestroy (cudaStream_t handle)
{
  Call call ("cudaStreamDestroy");
  Stream *s = stream_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (s == &legacy)
    return fail (cudaErrorInvalidResourceHandle);
  if (s->capture)
    end_capture_of (s->capture);
  drain_all (); /* others may wait for it */
  for (Event *e : events)
    if (e->stream == s)
      e->stream = nullptr; /* all that it recorded is done */
  streams.erase (s);
  delete s;
  return cudaSuccess;
}

cudaError_t
cudaStreamSynchronize (cudaStream_t handle)
{
  Call call ("cudaStreamSynchronize");
  Stream *s = stream_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (cudaError_t e = refuse_captured (handle, "cudaStreamSynchronize"))
    return e;
  if (cudaError_t e = refuse_in_capture ("cudaStreamSynchronize"))
    return e;
  if (s == &legacy)
    wait_for_legacy (s);
  drain (handle);
  return cudaSuccess;
}

cudaError_t
cudaStreamQuery (cudaStream_t handle)
{
  Call call ("cudaStreamQuery");
  Stream *s = stream_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (cudaError_t e = refuse_captured (handle, "cudaStreamQuery"))
    return e;
  if (cudaError_t e = refuse_in_capture ("cudaStreamQuery"))
    return e;
  if (s->done == s->added)
    return cudaSuccess;
  DeviceMode device; /* time passes: a loop that polls comes to an end */
  run_until (s, s->done + 1);
  return cudaErrorNotReady;
}

cudaError_t
cudaDeviceSynchronize ()
{
  Call call ("cudaDeviceSynchronize");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (cudaError_t e = refuse_in_capture ("cudaDeviceSynchronize"))
    return e;
  drain_all ();
  return cudaSuccess;
}

cudaError_t
cudaLaunchHostFunc (cudaStream_t handle, cudaHostFn_t function, void *data)
{
  Call call ("cudaLaunchHostFunc");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  return enqueue (handle, { "host function", (const void *) function }, [=] { function (data); });
}

cudaError_t
cudaEventCreateWithFlags (cudaEvent_t *handle, unsigned)
{
  Call call ("cudaEventCreateWithFlags");

  if (call.chosen_to_fail)
    return fail (cudaErrorMemoryAllocation);
  Event *e = new Event;
  events.insert (e);
  *handle = (cudaEvent_t) e;
  return cudaSuccess;
}

cudaError_t
cudaEventCreate (cudaEvent_t *handle)
{
  return cudaEventCreateWithFlags (handle, 0);
}

cudaError_t
cudaEventDestroy (cudaEvent_t handle)
{
  Call call ("cudaEventDestroy");
  Event *e = event_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  events.erase (e);
  delete e;
  return cudaSuccess;
}

cudaError_t
cudaEventRecordWithFlags (cudaEvent_t handle, cudaStream_t stream, unsigned)
{
  Call call ("cudaEventRecord");
  Event *e = event_of (handle);
  Stream *s = stream_of (stream);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  e->capture = s->capture;
  if (s->capture) {
    e->nodes = s->tail;
    return cudaSuccess;
  }
  wait_for_legacy (s);
  e->stream = s;
  e->n = s->added;
  e->recorded = true;
  return cudaSuccess;
}

cudaError_t
cudaEventRecord (cudaEvent_t handle, cudaStream_t stream)
{
  return cudaEventRecordWithFlags (handle, stream, 0);
}

cudaError_t
cudaStreamWaitEvent (cudaStream_t stream, cudaEvent_t handle, unsigned)
{
  Call call ("cudaStreamWaitEvent");
  Event *e = event_of (handle);
  Stream *s = stream_of (stream);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (e->capture) { /* joins the capture */
    if (s->capture && s->capture != e->capture)
      return fail (cudaErrorStreamCaptureMerge, "cudaStreamWaitEvent would join two captures");
    s->capture = e->capture;
    s->tail.insert (e->nodes.begin (), e->nodes.end ());
    return cudaSuccess;
  }
  if (s->capture) {
    s->capture->broken = true;
    return fail (cudaErrorStreamCaptureIsolation,
        "a captured stream waits for an event from outside the capture");
  }
  if (e->recorded && e->stream && e->stream != s && !is_dropped_wait ("cudaStreamWaitEvent"))
    push (s, { nullptr, e->stream, e->n });
  return cudaSuccess;
}

cudaError_t
cudaEventSynchronize (cudaEvent_t handle)
{
  Call call ("cudaEventSynchronize");
  Event *e = event_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (cudaError_t error = refuse_for_event (e, "cudaEventSynchronize"))
    return error;
  if (e->stream && !is_dropped_wait ("cudaEventSynchronize")) {
    DeviceMode device;
    run_until (e->stream, e->n);
  }
  return cudaSuccess;
}

cudaError_t
cudaEventQuery (cudaEvent_t handle)
{
  Call call ("cudaEventQuery");
  Event *e = event_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (cudaError_t error = refuse_for_event (e, "cudaEventQuery"))
    return error;
  if (!e->stream || e->stream->done >= e->n || is_dropped_wait ("cudaEventQuery"))
    return cudaSuccess;
  DeviceMode device;
  run_until (e->stream, e->stream->done + 1);
  return cudaErrorNotReady;
}

cudaError_t
cudaEventElapsedTime (float *ms, cudaEvent_t begin, cudaEvent_t end)
{
  Call call ("cudaEventElapsedTime");

  *ms = 0; /* there is no clock */
  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  for (cudaEvent_t handle : { begin, end }) {
    Event *e = event_of (handle);

    if (!e->recorded)
      return fail (cudaErrorInvalidResourceHandle);
    if (e->stream && e->stream->done < e->n)
      return cudaErrorNotReady;
  }
  return cudaSuccess;
}
}
