/* dsvl2: the CUDA stand-in: every call of an emulated function, errors, failures on purpose, the end
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "standin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <map>

namespace standin {

static cudaError_t last_error = cudaSuccess;
static long n_calls;

static std::recursive_mutex &
the_lock ()
{
  static std::recursive_mutex *lock = new std::recursive_mutex;
  return *lock;
}

long
setting (const char *name, long otherwise)
{
  const char *text = getenv (name);

  return text && *text ? atol (text) : otherwise;
}

void
stop (int status, const char *format, ...)
{
  va_list arguments;

  fprintf (stderr, "stand-in: ");
  va_start (arguments, format);
  vfprintf (stderr, format, arguments);
  va_end (arguments);
  fputc ('\n', stderr);
  write_counters ();
  fflush (nullptr);
  _exit (status);
}

/* STANDIN_FAIL: "cudaMalloc:2", "cudaMalloc:*" or "17". */
static bool
is_chosen (const char *name)
{
  static const char *const chosen = getenv ("STANDIN_FAIL");
  static std::map<std::string, long> *calls = new std::map<std::string, long>;
  const char *colon = chosen ? strchr (chosen, ':') : nullptr;
  bool yes;

  if (!chosen)
    return false;
  if (colon)
    yes = std::string (chosen, colon) == name &&
          (colon[1] == '*' || ++(*calls)[name] == atol (colon + 1));
  else
    yes = n_calls == atol (chosen);
  if (yes)
    fprintf (stderr, "stand-in: this call of %s fails, as STANDIN_FAIL asks\n", name);
  return yes;
}

bool
is_dropped_wait (const char *name)
{
  static const char *const dropped = getenv ("STANDIN_DROP_WAIT");

  return dropped && strcmp (dropped, name) == 0;
}

Call::Call (const char *name) : lock (the_lock ())
{
  static const bool trace = setting ("STANDIN_TRACE", 0);

  n_calls++;
  count_call (name);
  if (trace)
    fprintf (stderr, "stand-in: %ld %s\n", n_calls, name);
  chosen_to_fail = is_chosen (name);
}

cudaError_t
fail (cudaError_t error, const char *format, ...)
{
  if (format) {
    va_list arguments;

    fprintf (stderr, "stand-in: ");
    va_start (arguments, format);
    vfprintf (stderr, format, arguments);
    va_end (arguments);
    fputc ('\n', stderr);
  }
  return last_error = error;
}

/* At the end: what was not given back, and the counters. A leak is told by the exit status where nothing
 * else is. */
static void
at_exit (int status, void *)
{
  int leaks = 0;

  if (setting ("STANDIN_LEAKS", 1))
    leaks = report_leaked_memory () + report_leaked_streams ();
  write_counters ();
  if (leaks && status == 0) {
    fflush (nullptr);
    _exit (EXIT_LEAK);
  }
}

__attribute__ ((constructor)) static void
begin ()
{
  on_exit (at_exit, nullptr);
}

} // namespace standin

using namespace standin;

extern "C" {

cudaError_t
cudaGetLastError ()
{
  Call call ("cudaGetLastError");
  const cudaError_t error = last_error;

  last_error = cudaSuccess;
  return error;
}

cudaError_t
cudaPeekAtLastError ()
{
  Call call ("cudaPeekAtLastError");

  return last_error;
}

static const struct {
  cudaError_t error;
  const char *name, *text;
} errors[] = {
  { cudaSuccess, "cudaSuccess", "no error" },
  { cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument" },
  { cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory" },
  { cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument" },
  { cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function" },
  { cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal" },
  { cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected" },
  { cudaErrorNotReady, "cudaErrorNotReady", "device not ready" },
  { cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported" },
  { cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle" },
  { cudaErrorIllegalState, "cudaErrorIllegalState",
      "the operation cannot be performed in the present state" },
  { cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure" },
  { cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
      "too many resources requested for launch" },
  { cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
      "operation not permitted when stream is capturing" },
  { cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
      "operation failed due to a previous error during capture" },
  { cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
      "capturing stream has unjoined work" },
  { cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
      "operation would make the legacy stream depend on a capturing blocking stream" },
  { cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
      "operation would result in a merge of separate capture sequences" },
  { cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
      "dependency created on uncaptured work in another stream" },
  { cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
      "operation not permitted on an event last recorded in a capturing stream" },
  { cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
      "attempt to terminate a thread-local capture sequence from another thread" },
  { cudaErrorGraphExecUpdateFailure, "cudaErrorGraphExecUpdateFailure",
      "the graph update was not performed because it included changes which violated constraints" },
  { cudaErrorUnknown, "cudaErrorUnknown", "unknown error" },
};

const char *
cudaGetErrorString (cudaError_t error)
{
  for (const auto &e : errors)
    if (e.error == error)
      return e.text;
  return "unrecognized error code";
}

const char *
cudaGetErrorName (cudaError_t error)
{
  for (const auto &e : errors)
    if (e.error == error)
      return e.name;
  return "unrecognized error code";
}
}
