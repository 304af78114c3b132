/* dsvl2: the CUDA stand-in: which context each thread works in, the way to the driver
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A context is an address. Memory belongs to the context that was current when it was made, and neither
 * kernels nor copies of another one may touch it: on a device that may work, and may fault. */
#include "standin.h"

#include <dlfcn.h>
#include <vector>

namespace standin {

static thread_local std::vector<const void *> stack;

const void *
current_context ()
{
  return stack.empty () ? nullptr : stack.back ();
}

void
push_context (const void *context)
{
  stack.push_back (context);
}

bool
pop_context (const void **context)
{
  if (stack.empty ())
    return false;
  *context = stack.back ();
  stack.pop_back ();
  return true;
}

void
use_primary_context ()
{
  if (!stack.empty ())
    stack.back () = nullptr;
}

} // namespace standin

using namespace standin;

extern "C" {

cudaError_t
cudaGetDriverEntryPointByVersion (const char *name, void **function, unsigned, unsigned long long,
    cudaDriverEntryPointQueryResult *result)
{
  Call call ("cudaGetDriverEntryPointByVersion");
  void *driver = dlopen ("libcuda.so.1", RTLD_NOW);

  *function = driver && !call.chosen_to_fail ? dlsym (driver, name) : nullptr;
  if (result)
    *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  if (call.chosen_to_fail || !driver)
    return fail (cudaErrorUnknown);
  return cudaSuccess;
}
}
