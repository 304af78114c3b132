/* dsvl2: the CUDA stand-in: which kernels there are, and launching them
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nvcc's host code names its kernels to the runtime as a program or module is loaded; the libraries that
 * STANDIN_KERNELS lists hold the same kernels, translated, under the same names.
 */
#include "standin.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <map>

namespace standin {

enum { SHARED_WITHOUT_ASKING = 48 << 10 };

/* A kernel as nvcc's host code knows it. */
struct Function {
  std::string name;
  const Kernel *kernel;
  size_t max_dynamic; /* that cudaFuncSetAttribute asked for; 0: it did not */
};

static auto &kernels = *new std::map<std::string, const Kernel *>;
static auto &variables = *new std::map<u64, Variable>;
static auto &functions = *new std::map<const void *, Function>; /* by nvcc's stub */

/* STANDIN_DROP_BARRIER: attention.cu:57 */
static void
drop_barriers (Site *const *barriers, u32 n)
{
  const char *chosen = getenv ("STANDIN_DROP_BARRIER"),
             *colon = chosen ? strrchr (chosen, ':') : nullptr;

  for (u32 i = 0; colon && i < n; i++)
    barriers[i]->dropped =
        barriers[i]->line == atoi (colon + 1) && std::string (chosen, colon) == barriers[i]->file;
}

static void
load_kernels ()
{
  static bool loaded;
  const char *list = getenv ("STANDIN_KERNELS");

  if (loaded || !list)
    return;
  loaded = true;
  for (std::string rest = list; !rest.empty ();) {
    const size_t end = rest.find (':');
    const std::string path = rest.substr (0, end);

    rest = end == std::string::npos ? "" : rest.substr (end + 1);
    if (!path.empty () && !dlopen (path.c_str (), RTLD_NOW | RTLD_LOCAL))
      stop (EXIT_DEVICE_FAULT, "STANDIN_KERNELS: %s", dlerror ());
  }
}

/* A kernel with internal linkage has a hash of its file in its name; what is left without hashes. */
static std::string
without_hashes (const std::string &name)
{
  std::string out;

  for (size_t i = 0; i < name.size ();) {
    size_t hex = 0;
    while (i + hex < name.size () && isxdigit (name[i + hex]))
      hex++;
    if (hex == 8)
      out += '#';
    else
      out += name.substr (i, hex ? hex : 1);
    i += hex ? hex : 1;
  }
  return out;
}

/* The translated kernel, NULL if there is none. */
static const Kernel *
kernel_of (Function *f)
{
  load_kernels ();
  if (f->kernel)
    return f->kernel;
  if (auto exact = kernels.find (f->name); exact != kernels.end ())
    return f->kernel = exact->second;
  for (const auto &[other, kernel] : kernels)
    if (without_hashes (other) == without_hashes (f->name))
      return f->kernel = kernel;
  return nullptr;
}

/* Bytes of static shared memory, without the stand-in's red zones. */
static size_t
static_shared (const Kernel *k)
{
  size_t bytes = 0;

  for (u32 i = 0; i < k->n_arrays; i++)
    bytes += k->arrays[i].bytes;
  return bytes;
}

bool
find_variable (u64 address, Extent64 *extent)
{
  auto next = variables.upper_bound (address);

  if (next == variables.begin ())
    return false;
  const auto &[low, v] = *std::prev (next);
  if (address >= low + v.bytes)
    return false;
  *extent = { low, low + v.bytes };
  return true;
}

static bool host_kernels; /* there are kernels that nvcc did not name */

void
expect_host_kernels ()
{
  host_kernels = true;
}

static Function *
function_of (const void *stub)
{
  if (host_kernels && functions[stub].name.empty ())
    functions[stub].name = "kernel";
  auto f = functions.find (stub);
  return f == functions.end () ? nullptr : &f->second;
}

/* --- launching ----------------------------------------------------------------------------------- */

/* What the device refuses; the reason goes to stderr. k is NULL where nothing is known of the kernel. */
static cudaError_t
check_launch (const cudaLaunchConfig_t *c, const Function &f, const Kernel *k)
{
  const char *name = f.name.c_str ();
  const dim3 b = c->blockDim, g = c->gridDim;
  const u64 threads = (u64) b.x * b.y * b.z;

  if (threads == 0 || b.x > MAX_THREADS || b.y > MAX_THREADS || b.z > 64 || threads > MAX_THREADS)
    return fail (cudaErrorInvalidConfiguration, "%s: a block of (%u, %u, %u) threads", name, b.x, b.y,
        b.z);
  if (!g.x || !g.y || !g.z || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535)
    return fail (cudaErrorInvalidConfiguration, "%s: a grid of (%u, %u, %u) blocks", name, g.x, g.y,
        g.z);
  if (k && k->max_threads && threads > k->max_threads)
    return fail (cudaErrorLaunchOutOfResources, "%s: %lu threads, but __launch_bounds__ (%u)", name,
        threads, k->max_threads);
  const size_t most =
      f.max_dynamic ? f.max_dynamic : (size_t) SHARED_WITHOUT_ASKING - (k ? static_shared (k) : 0);
  if (c->dynamicSmemBytes > most)
    return fail (cudaErrorInvalidValue,
        "%s: %zu bytes of dynamic shared memory, at most %zu are allowed", name, c->dynamicSmemBytes,
        most);
  return cudaSuccess;
}

static cudaError_t
launch (const char *name, const void *stub, const cudaLaunchConfig_t *config, void **arguments)
{
  Call call (name);
  auto f = functions.find (stub);
  const Kernel *k;

  if (call.chosen_to_fail)
    return fail (cudaErrorLaunchFailure);
  if (f == functions.end ())
    return fail (cudaErrorInvalidDeviceFunction, "launch of something that is no kernel");
  k = kernel_of (&f->second);
  if (!k)
    return fail (cudaErrorInvalidDeviceFunction, "kernel %s is in none of STANDIN_KERNELS=%s",
        f->second.name.c_str (), getenv ("STANDIN_KERNELS"));
  if (cudaError_t e = check_launch (config, f->second, k))
    return e;
  Launch l = { k, config->gridDim, config->blockDim, config->dynamicSmemBytes,
    std::string (k->param_bytes, '\0') };
  for (u32 i = 0; i < k->n_params; i++)
    memcpy (&l.params[k->params[i].offset], arguments[i], k->params[i].bytes);
  return enqueue (config->stream, { "kernel", stub }, [l] { execute (l); });
}

cudaError_t
launch_on_host (const cudaLaunchConfig_t *config, const void *kernel, Work run)
{
  Call call ("cudaLaunchKernelExC");

  if (call.chosen_to_fail)
    return fail (cudaErrorLaunchFailure);
  if (cudaError_t e = check_launch (config, *function_of (kernel), nullptr))
    return e;
  return enqueue (config->stream, { "kernel", kernel }, [=] {
    expect_unknown_writes ();
    run ();
  });
}

} // namespace standin

using namespace standin;

void
device_register (const Kernel *new_kernels, u32 n_kernels, const Variable *new_variables,
    u32 n_variables, Site *const *barriers, u32 n_barriers)
{
  for (u32 i = 0; i < n_kernels; i++)
    kernels[new_kernels[i].name] = &new_kernels[i];
  for (u32 i = 0; i < n_variables; i++)
    variables[(u64) new_variables[i].data] = new_variables[i];
  drop_barriers (barriers, n_barriers);
}

extern "C" {

cudaError_t
cudaLaunchKernelExC (const cudaLaunchConfig_t *config, const void *stub, void **arguments)
{
  for (unsigned i = 0; i < config->numAttrs; i++)
    if (config->attrs[i].id != cudaLaunchAttributeProgrammaticStreamSerialization &&
        config->attrs[i].id != cudaLaunchAttributePriority)
      return fail (cudaErrorNotSupported, "launch attribute %d is not supported here",
          config->attrs[i].id);
  return launch ("cudaLaunchKernelExC", stub, config, arguments);
}

cudaError_t
cudaLaunchKernel (const void *stub, dim3 grid, dim3 block, void **arguments, size_t dynamic_bytes,
    cudaStream_t stream)
{
  cudaLaunchConfig_t config = {};

  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_bytes;
  config.stream = stream;
  return launch ("cudaLaunchKernel", stub, &config, arguments);
}

cudaError_t
cudaFuncSetAttribute (const void *stub, cudaFuncAttribute attribute, int value)
{
  Call call ("cudaFuncSetAttribute");
  Function *f = function_of (stub);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (!f)
    return fail (cudaErrorInvalidDeviceFunction);
  const Kernel *k = kernel_of (f);
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (value < 0 || (k && value + (int) static_shared (k) > device ().shared_optin))
      return fail (cudaErrorInvalidValue, "%s: %d bytes of dynamic shared memory; a block may have %d",
          f->name.c_str (), value, device ().shared_optin);
    f->max_dynamic = value;
  } else if (attribute != cudaFuncAttributePreferredSharedMemoryCarveout) {
    return fail (cudaErrorInvalidValue, "cudaFuncSetAttribute: attribute %d is unknown here",
        attribute);
  }
  return cudaSuccess;
}

cudaError_t
cudaFuncGetAttributes (cudaFuncAttributes *a, const void *stub)
{
  Call call ("cudaFuncGetAttributes");
  Function *f = function_of (stub);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (!f)
    return fail (cudaErrorInvalidDeviceFunction);
  const Kernel *k = kernel_of (f);
  memset (a, 0, sizeof *a);
  a->maxThreadsPerBlock = k && k->max_threads ? (int) k->max_threads : (int) MAX_THREADS;
  a->sharedSizeBytes = k ? static_shared (k) : 0;
  a->maxDynamicSharedSizeBytes = f->max_dynamic ? f->max_dynamic : (size_t) SHARED_WITHOUT_ASKING;
  a->binaryVersion = a->ptxVersion = device ().major * 10 + device ().minor;
  return cudaSuccess;
}

/* --- what nvcc's host code calls ----------------------------------------------------------------- */

static thread_local cudaLaunchConfig_t pushed;

unsigned
__cudaPushCallConfiguration (dim3 grid, dim3 block, size_t dynamic_bytes, CUstream_st *stream)
{
  pushed = {};
  pushed.gridDim = grid;
  pushed.blockDim = block;
  pushed.dynamicSmemBytes = dynamic_bytes;
  pushed.stream = stream;
  return 0;
}

cudaError_t
__cudaPopCallConfiguration (dim3 *grid, dim3 *block, size_t *dynamic_bytes, void *stream)
{
  *grid = pushed.gridDim;
  *block = pushed.blockDim;
  *dynamic_bytes = pushed.dynamicSmemBytes;
  *(cudaStream_t *) stream = pushed.stream;
  return cudaSuccess;
}

void **
__cudaRegisterFatBinary (void *)
{
  static void *handle;
  return &handle;
}

void
__cudaRegisterFatBinaryEnd (void **)
{
}

void
__cudaUnregisterFatBinary (void **)
{
}

char
__cudaInitModule (void **)
{
  return 1;
}

void
__cudaRegisterFunction (void **, const char *stub, char *, const char *name, int, uint3 *, uint3 *,
    dim3 *, dim3 *, int *)
{
  functions[stub].name = name;
}

void
__cudaRegisterVar (void **, char *, char *, const char *, int, size_t, int, int)
{
}

cudaError_t
__cudaGetKernel (cudaKernel_t *kernel, const void *stub)
{
  *kernel = (cudaKernel_t) stub;
  return cudaSuccess;
}

cudaError_t
__cudaLaunchKernel (cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t dynamic_bytes,
    cudaStream_t stream)
{
  return cudaLaunchKernel (kernel, grid, block, arguments, dynamic_bytes, stream);
}

/* For the stand-in's own tests: one block of a kernel by its name, with no host code of nvcc's. */
cudaError_t
standin_test_launch (const char *name, unsigned threads, size_t dynamic_bytes, void **arguments)
{
  static std::map<std::string, std::string> stubs;

  const char *stub = stubs.emplace (name, name).first->second.c_str ();
  functions[stub].name = name;
  return cudaLaunchKernel (stub, dim3 (1), dim3 (threads), arguments, dynamic_bytes, nullptr);
}
}
