/* dsvl2: the CUDA stand-in: what the parts of the emulated libraries know of each other
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Environment:
 *   STANDIN_KERNELS       libraries of translated kernels, separated by ':'
 *   STANDIN_DEVICE        what the device is: sm_75, sm_80, sm_86, sm_89, sm_90 (default), sm_100, sm_120
 *   STANDIN_MEMORY        its memory in MiB (default 4096)
 *   STANDIN_RACES=0       no race check in global memory: faster
 *   STANDIN_LEAKS=0       what is left at exit is no fault
 *   STANDIN_TRACE=1       a line on stderr for each call and launch
 *   STANDIN_COUNTERS      a file for counters, as JSON
 *   STANDIN_FAIL          NAME:n, the n-th call (from 1) of a function fails, NAME:* each; or n, the n-th of all
 *   STANDIN_DROP_WAIT     NAME, of the functions that wait for an event: it waits for nothing and says that all is done
 *   STANDIN_DROP_BARRIER  FILE:LINE, a __syncthreads or __syncwarp that does nothing
 */
#ifndef STANDIN_H
#define STANDIN_H

#include "../device/device.h"

#include <cuda_runtime_api.h>
#include <functional>
#include <mutex>
#include <string>

namespace standin {

enum { EXIT_LEAK = 97 };

using Work = std::function<void ()>;

/* --- calls (calls.cc) ---------------------------------------------------------------------------- */

/* One call of an emulated function: holds the lock of the whole stand-in, counts the call, says whether it
 * was chosen to fail. */
class Call {
public:
  explicit Call (const char *name);
  bool chosen_to_fail;

private:
  std::lock_guard<std::recursive_mutex> lock;
};

/* Was the function chosen to wait for nothing? */
bool is_dropped_wait (const char *name);

/* Keeps an error for cudaGetLastError, writes why to stderr if there is a reason, and gives it back. */
cudaError_t fail (cudaError_t error, const char *format = nullptr, ...)
    __attribute__ ((format (printf, 2, 3)));

/* A number from the environment. */
long setting (const char *name, long otherwise);

/* Ends the process: a sentence on stderr, exit status `status`. */
[[noreturn]] void stop (int status, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* --- memory (memory.cc) -------------------------------------------------------------------------- */

struct Extent64 {
  u64 low, high;
};

/* The host can neither read nor write device memory but while one of these lives. */
class DeviceMode {
public:
  DeviceMode ();
  ~DeviceMode ();
};

bool is_device_memory (const void *p);

/* The live allocation, device or pinned, that holds an address. */
bool find_allocation (u64 address, Extent64 *extent);

/* Is all of it inside one live allocation? */
bool is_allocated (const void *p, size_t bytes);

/* Which bytes of device memory hold something. Of other memory: all. */
void mark_written (const void *p, size_t bytes);
bool is_written (const void *p, size_t bytes, size_t *first_missing = nullptr);

/* From here on all of it counts as written: kernels run that do not mark what they write. */
void expect_unknown_writes ();

/* The race check's view of device memory, NULL for other memory. */
Shadow *shadow_of (u64 address);

/* The context whose memory it is; NULL: the primary one's, or no device memory. */
const void *owner_of (const void *p);

/* cuMemcpyPeerAsync. */
cudaError_t copy_between_contexts (void *to, const void *to_context, const void *from,
    const void *from_context, size_t bytes, cudaStream_t stream);

/* One line for each thing that was never given back; how many. */
int report_leaked_memory ();
int report_leaked_streams ();

/* --- contexts (context.cc) ----------------------------------------------------------------------- */

/* The context that this thread works in; NULL is the device's primary one, which the runtime uses.
 * Others are made by the emulated driver (tests/cuda/driver). */
const void *current_context ();

/* Puts a context on top of this thread's stack, takes it away. False if there is none to take. */
void push_context (const void *context);
bool pop_context (const void **context);

/* cudaSetDevice: the primary context takes the place of the one on top. */
void use_primary_context ();

/* --- streams (stream.cc) ------------------------------------------------------------------------- */

/* What a node of a captured graph is, for cudaGraphExecUpdate. */
struct WorkKind {
  const char *what;
  const void *function;
};

/* Puts work at the end of a stream (or of its capture). Nothing runs before something waits for it. */
cudaError_t enqueue (cudaStream_t stream, WorkKind kind, Work work);

bool is_capturing (cudaStream_t stream);

/* Refuses a call that may not be made while some stream is being captured, or while this one is. The
 * capture is broken by it. */
cudaError_t refuse_in_capture (const char *name);
cudaError_t refuse_captured (cudaStream_t stream, const char *name);

/* Runs what the stream, or all streams, have in hand. */
void drain (cudaStream_t stream);
void drain_all ();

/* --- kernels (execute.cc, launch.cc) ------------------------------------------------------------- */

struct Launch {
  const Kernel *kernel;
  dim3 grid, block;
  size_t dynamic_bytes;
  std::string params;
};

/* Runs it now. */
void execute (const Launch &launch);

/* Enqueues a kernel that was compiled for the host (tests/cuda/host) after the checks of a launch: `run` runs
 * all of its blocks. From the first such module on, cudaFuncSetAttribute takes kernels that nvcc did not name. */
cudaError_t launch_on_host (const cudaLaunchConfig_t *config, const void *kernel, Work run);
void expect_host_kernels ();

/* Where a variable of the kernels lies. */
bool find_variable (u64 address, Extent64 *extent);

/* --- counters (counters.cc) ---------------------------------------------------------------------- */

void count_launch (const Launch &launch, const Counters &counters);

/* Of a library's function: what it reads, writes and computes. */
void count_library (const std::string &what, double flops, double read, double written);
void count_copy (const char *direction, size_t bytes);

/* A graph of so many kernels runs. */
void count_graph (long kernels);
void count_call (const char *name);
void write_counters ();

/* --- the device (device.cc) ---------------------------------------------------------------------- */

struct Device {
  const char *name, *sm;
  int major, minor, multiprocessors;
  int shared_optin, shared_multiprocessor; /* bytes a block may ask for; a multiprocessor has */
  int threads_multiprocessor, l2_bytes, memory_bus_bits, memory_khz;
};

const Device &device ();
size_t device_memory ();

} // namespace standin

#endif
