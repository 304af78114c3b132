/* dsvl2: the CUDA stand-in: programs with one bug each, which it must catch
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: bugs NAME     (bugs.py runs all of them; it knows what each must say)
 */
#include "example.cuh"
#include "kernels/cuda/ptx.cuh"

#include <cuda_pipeline_primitives.h>

#include <dlfcn.h>

enum { N = 64, BYTES = N * sizeof (float) };

#define BUG(name) static __global__ void name (float *out)

/* --- kernels ------------------------------------------------------------------------------------- */

BUG (good)
{
  __shared__ float s[N];

  s[threadIdx.x] = threadIdx.x;
  __syncthreads ();
  out[threadIdx.x] = s[N - 1 - threadIdx.x];
}

BUG (race_without_barrier)
{
  __shared__ float s[N];

  s[threadIdx.x] = 0;
  __syncthreads ();
  s[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = s[N - 1 - threadIdx.x];
}

BUG (race_without_syncwarp)
{
  __shared__ float s[N];

  s[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = s[threadIdx.x ^ 1];
}

BUG (race_of_a_loop)
{
  __shared__ float s[N];
  float sum = 0;

  for (int i = 0; i < 3; i++) {
    s[threadIdx.x] = i;
    __syncthreads ();
    sum += s[N - 1 - threadIdx.x];
  }
  out[threadIdx.x] = sum;
}

BUG (race_of_a_byte)
{
  __shared__ unsigned char s[N];

  s[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = s[threadIdx.x ^ 1];
}

BUG (race_of_blocks)
{
  if (threadIdx.x == 0)
    out[0] = blockIdx.x;
}

BUG (race_of_blocks_reading)
{
  if (blockIdx.x == 1)
    out[threadIdx.x + 1] = out[0];
  else if (threadIdx.x == 0)
    out[0] = 2;
}

BUG (race_of_blocks_writing)
{
  if (blockIdx.x == 0)
    out[threadIdx.x + 1] = out[0];
  else if (threadIdx.x == 0)
    out[0] = 2;
}

BUG (race_in_global_memory)
{
  out[threadIdx.x] = threadIdx.x;
  out[threadIdx.x ^ 33] += 1;
}

BUG (race_of_atomic_and_plain)
{
  atomicAdd (out, 1.0f);
  if (threadIdx.x == 40)
    out[0] = 3;
}

BUG (beyond_shared_array)
{
  __shared__ float s[N];

  s[threadIdx.x + 1] = 1;
  __syncthreads ();
  out[threadIdx.x] = s[threadIdx.x];
}

BUG (beyond_dynamic_shared)
{
  DYNAMIC_SHARED (float, dynamic);

  dynamic[threadIdx.x + 1] = 1;
  __syncthreads ();
  out[threadIdx.x] = dynamic[threadIdx.x];
}

BUG (beyond_global_array)
{
  out[threadIdx.x + 1] = 1;
}

BUG (before_global_array)
{
  out[(int) threadIdx.x - 1] = 1;
}

BUG (misaligned)
{
  const float4 v = *(const float4 *) (out + 1);

  out[threadIdx.x] = v.x + v.y + v.z + v.w;
}

BUG (misaligned_shared)
{
  __shared__ __align__ (16) float s[N + 4];

  s[threadIdx.x] = 1;
  if (threadIdx.x < 4)
    s[N + threadIdx.x] = 1;
  __syncthreads ();
  const float2 v = *(float2 *) (s + 1 + threadIdx.x);
  out[threadIdx.x] = v.x + v.y;
}

BUG (uninitialised_shared)
{
  __shared__ float s[N];

  if (threadIdx.x)
    s[threadIdx.x] = 1;
  __syncthreads ();
  out[threadIdx.x] = s[threadIdx.x];
}

BUG (uninitialised_dynamic)
{
  DYNAMIC_SHARED (float, dynamic);

  if (threadIdx.x != 5)
    dynamic[threadIdx.x] = 1;
  __syncthreads ();
  out[threadIdx.x] = dynamic[threadIdx.x];
}

BUG (divergent_barrier)
{
  if (threadIdx.x < 40) {
    __syncthreads ();
    out[threadIdx.x] = 1;
  } else {
    out[threadIdx.x] = 2;
    __syncthreads ();
  }
}

BUG (barrier_after_return)
{
  if (threadIdx.x >= 48)
    return;
  __syncthreads ();
  out[threadIdx.x] = 1;
}

BUG (barrier_without_a_warp)
{
  if (threadIdx.x >= WARP)
    return;
  __syncthreads ();
  out[threadIdx.x] = 1;
}

BUG (divergent_shuffle)
{
  float v = threadIdx.x;

  if (threadIdx.x & 1)
    v = __shfl_xor_sync (ALL_LANES, v, 2);
  out[threadIdx.x] = v;
}

BUG (shuffle_from_outside_the_mask)
{
  float v = 1;

  if (threadIdx.x % WARP < 16)
    v = __shfl_down_sync (0xffff, v, 8);
  out[threadIdx.x] = v;
}

BUG (copy_nobody_waited_for)
{
  __shared__ __align__ (16) float s[N];

  __pipeline_memcpy_async (&s[threadIdx.x], out + threadIdx.x, 4);
  __pipeline_commit ();
  __syncthreads ();
  out[threadIdx.x] = s[threadIdx.x];
}

BUG (copy_without_barrier)
{
  __shared__ __align__ (16) float s[N];

  __pipeline_memcpy_async (&s[threadIdx.x], out + threadIdx.x, 4);
  __pipeline_commit ();
  __pipeline_wait_prior (0);
  out[threadIdx.x] = s[threadIdx.x ^ 1];
}

BUG (failed_assertion)
{
  if (threadIdx.x == 3)
    __trap ();
  out[threadIdx.x] = 1;
}

/* --- hosts --------------------------------------------------------------------------------------- */

typedef void (*Kernel) (float *);

/* Runs a kernel on N floats of zeros and gives back what comes out; 1 where a call fails. */
static int
run (Kernel kernel, int blocks, int threads, size_t dynamic_bytes, float out[N])
{
  cudaLaunchConfig_t config = launch_config (dim3 (blocks), dim3 (threads), dynamic_bytes, 0);
  float *device;

  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMemset (device, 0, BYTES));
  MUST (cudaLaunchKernelEx (&config, kernel, device));
  MUST (cudaMemcpy (out, device, BYTES, cudaMemcpyDeviceToHost));
  MUST (cudaFree (device));
  return 0;
}

static const struct {
  const char *name;
  Kernel kernel;
  int blocks, threads;
  size_t dynamic_bytes;
} kernels[] = {
#define ROW(name, ...)                                                                                 \
  {                                                                                                    \
#name, name, __VA_ARGS__                                                                           \
  }
  ROW (good, 1, N, 0),
  ROW (race_without_barrier, 1, N, 0),
  ROW (race_without_syncwarp, 1, N, 0),
  ROW (race_of_a_loop, 1, N, 0),
  ROW (race_of_a_byte, 1, N, 0),
  ROW (race_of_blocks, 2, N, 0),
  ROW (race_of_blocks_reading, 2, 32, 0),
  ROW (race_of_blocks_writing, 2, 32, 0),
  ROW (race_in_global_memory, 1, N, 0),
  ROW (race_of_atomic_and_plain, 1, N, 0),
  ROW (beyond_shared_array, 1, N, 0),
  ROW (beyond_dynamic_shared, 1, N, BYTES),
  ROW (beyond_global_array, 1, N, 0),
  ROW (before_global_array, 1, N, 0),
  ROW (misaligned, 1, N, 0),
  ROW (misaligned_shared, 1, N, 0),
  ROW (uninitialised_shared, 1, N, 0),
  ROW (uninitialised_dynamic, 1, N, BYTES),
  ROW (divergent_barrier, 1, N, 0),
  ROW (barrier_after_return, 1, N, 0),
  ROW (barrier_without_a_warp, 1, N, 0),
  ROW (divergent_shuffle, 1, N, 0),
  ROW (shuffle_from_outside_the_mask, 1, N, 0),
  ROW (copy_nobody_waited_for, 1, N, 0),
  ROW (copy_without_barrier, 1, N, 0),
  ROW (failed_assertion, 1, N, 0),
  { "grid_of_nothing", good, 0, N, 0 },
  { "too_many_threads", good, 1, 2048, 0 },
  { "too_much_shared_memory", good, 1, N, 64 << 10 },
};

/* A result that nobody waited for. */
static int
missing_synchronisation ()
{
  cudaLaunchConfig_t config;
  cudaStream_t stream;
  float *device, *pinned;
  int wrong = 0;

  MUST (cudaStreamCreateWithFlags (&stream, cudaStreamNonBlocking));
  config = launch_config (dim3 (1), dim3 (N), 0, stream);
  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMallocHost ((void **) &pinned, BYTES));
  MUST (cudaLaunchKernelEx (&config, good, device));
  MUST (cudaMemcpyAsync (pinned, device, BYTES, cudaMemcpyDeviceToHost, stream));
  for (int i = 0; i < N; i++)
    wrong += pinned[i] != N - 1 - i;
  if (wrong)
    printf ("%d of %d results are wrong\n", wrong, N);
  MUST (cudaFreeHost (pinned));
  MUST (cudaFree (device));
  MUST (cudaStreamDestroy (stream));
  return wrong != 0;
}

/* Two streams, of which the second does not wait for the first. */
static int
missing_event ()
{
  cudaLaunchConfig_t config;
  cudaStream_t first, second;
  float *device, host[N];

  MUST (cudaStreamCreateWithFlags (&first, cudaStreamNonBlocking));
  MUST (cudaStreamCreateWithFlags (&second, cudaStreamNonBlocking));
  MUST (cudaMalloc ((void **) &device, BYTES));
  config = launch_config (dim3 (1), dim3 (N), 0, first);
  MUST (cudaLaunchKernelEx (&config, good, device));
  MUST (cudaMemcpyAsync (host, device, BYTES, cudaMemcpyDeviceToHost, second));
  return 0;
}

/* A captured graph whose second branch does not wait for the first. */
static int
missing_event_in_a_graph ()
{
  cudaStream_t a, b;
  cudaEvent_t fork, join;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  float *device, *pinned;

  MUST (cudaStreamCreateWithFlags (&a, cudaStreamNonBlocking));
  MUST (cudaStreamCreateWithFlags (&b, cudaStreamNonBlocking));
  MUST (cudaEventCreate (&fork));
  MUST (cudaEventCreate (&join));
  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMallocHost ((void **) &pinned, BYTES));
  MUST (cudaStreamBeginCapture (a, cudaStreamCaptureModeGlobal));
  MUST (cudaEventRecord (fork, a));
  MUST (cudaStreamWaitEvent (b, fork, 0));
  const cudaLaunchConfig_t config = launch_config (dim3 (1), dim3 (N), 0, a);
  MUST (cudaLaunchKernelEx (&config, good, device));
  MUST (cudaMemcpyAsync (pinned, device, BYTES, cudaMemcpyDeviceToHost, b));
  MUST (cudaEventRecord (join, b));
  MUST (cudaStreamWaitEvent (a, join, 0));
  MUST (cudaStreamEndCapture (a, &graph));
  MUST (cudaGraphInstantiate (&exec, graph, 0));
  MUST (cudaGraphLaunch (exec, a));
  MUST (cudaStreamSynchronize (a));
  return 0;
}

static int
host_touches_device_memory ()
{
  float *device;

  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMemset (device, 0, BYTES));
  MUST (cudaDeviceSynchronize ());
  return device[3] != 0;
}

static int
host_pointer_in_a_kernel ()
{
  static float host[N];
  const cudaLaunchConfig_t config = launch_config (dim3 (1), dim3 (N), 0, 0);

  MUST (cudaLaunchKernelEx (&config, good, host));
  MUST (cudaDeviceSynchronize ());
  return 0;
}

/* N floats of zeros that belong to a context of their own, as another library's memory does. */
static float *
foreign_zeros ()
{
  void *driver = dlopen ("libcuda.so.1", RTLD_NOW);
  const auto create = (int (*) (void **, unsigned, int)) dlsym (driver, "cuCtxCreate_v2");
  const auto leave = (int (*) (void **)) dlsym (driver, "cuCtxPopCurrent_v2");
  const auto allocate = (int (*) (float **, size_t)) dlsym (driver, "cuMemAlloc_v2");
  const auto copy = (int (*) (float *, const float *, size_t)) dlsym (driver, "cuMemcpyHtoD_v2");
  static const float zeros[N] = { 0 };
  void *context;
  float *device;

  MUST (create (&context, 0, 0));
  MUST (allocate (&device, BYTES));
  MUST (copy (device, zeros, BYTES));
  MUST (leave (&context));
  return device;
}

static int
foreign_memory_in_a_kernel ()
{
  const cudaLaunchConfig_t config = launch_config (dim3 (1), dim3 (N), 0, 0);

  MUST (cudaLaunchKernelEx (&config, good, foreign_zeros ()));
  MUST (cudaDeviceSynchronize ());
  return 0;
}

static int
foreign_memory_in_a_copy ()
{
  float host[N];

  MUST (cudaMemcpy (host, foreign_zeros (), BYTES, cudaMemcpyDeviceToHost));
  return 0;
}

static int
use_after_free ()
{
  const cudaLaunchConfig_t config = launch_config (dim3 (1), dim3 (N), 0, 0);
  float *device;

  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaFree (device));
  MUST (cudaLaunchKernelEx (&config, good, device));
  MUST (cudaDeviceSynchronize ());
  return 0;
}

static int
uninitialised_global ()
{
  const cudaLaunchConfig_t config = launch_config (dim3 (1), dim3 (N), 0, 0);
  float *device;

  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMemset (device, 0, BYTES - 4));
  MUST (cudaLaunchKernelEx (&config, race_in_global_memory, device));
  MUST (cudaDeviceSynchronize ());
  return 0;
}

static int
uninitialised_copy ()
{
  float *device, host[N];

  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMemcpy (host, device, BYTES, cudaMemcpyDeviceToHost));
  return 0;
}

static int
copy_beyond ()
{
  static float host[2 * N];
  float *device;

  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMemcpy (device, host, 2 * BYTES, cudaMemcpyHostToDevice));
  return 0;
}

static int
copy_in_the_wrong_direction ()
{
  float *device, host[N];

  MUST (cudaMalloc ((void **) &device, BYTES));
  MUST (cudaMemcpy (device, host, BYTES, cudaMemcpyDeviceToHost));
  return 0;
}

static int
leak ()
{
  float *device;

  MUST (cudaMalloc ((void **) &device, BYTES));
  return 0;
}

static int
synchronise_in_a_capture ()
{
  cudaStream_t stream;

  MUST (cudaStreamCreate (&stream));
  MUST (cudaStreamBeginCapture (stream, cudaStreamCaptureModeGlobal));
  MUST (cudaDeviceSynchronize ());
  return 0;
}

/* With STANDIN_FAIL a call fails, and this does not look. */
static int
ignored_error ()
{
  float *device = nullptr, out[N];

  cudaMalloc ((void **) &device, BYTES);
  cudaMemset (device, 0, BYTES);
  memset (out, 0, sizeof out);
  cudaMemcpy (out, device, BYTES, cudaMemcpyDeviceToHost);
  cudaFree (device);
  return 0;
}

static const struct {
  const char *name;
  int (*run) ();
} hosts[] = {
#define HOST(name)                                                                                     \
  {                                                                                                    \
#name, name                                                                                        \
  }
  HOST (missing_synchronisation),
  HOST (missing_event),
  HOST (missing_event_in_a_graph),
  HOST (host_touches_device_memory),
  HOST (host_pointer_in_a_kernel),
  HOST (foreign_memory_in_a_kernel),
  HOST (foreign_memory_in_a_copy),
  HOST (use_after_free),
  HOST (uninitialised_global),
  HOST (uninitialised_copy),
  HOST (copy_beyond),
  HOST (copy_in_the_wrong_direction),
  HOST (leak),
  HOST (synchronise_in_a_capture),
  HOST (ignored_error),
};

int
main (int argc, char **argv)
{
  const char *name = argc == 2 ? argv[1] : "";
  float out[N];

  for (const auto &k : kernels)
    if (strcmp (k.name, name) == 0)
      return run (k.kernel, k.blocks, k.threads, k.dynamic_bytes, out);
  for (const auto &h : hosts)
    if (strcmp (h.name, name) == 0)
      return h.run ();
  fprintf (stderr, "usage: bugs NAME\n");
  return 2;
}
