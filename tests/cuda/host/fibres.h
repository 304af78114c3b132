/* dsvl2: threads of a kernel as fibres: what language.h needs of fibres.cc
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STANDIN_HOST_FIBRES_H
#define STANDIN_HOST_FIBRES_H

#include <cuda_runtime_api.h>
#include <functional>
#include <stdint.h>

namespace standin {

struct Where {
  const char *file;
  int line;
};

/* What a lane brings to an operation of its warp, and takes away. */
struct Offer {
  uint64_t value, result;
  int from;
  unsigned fragments[6]; /* of mma: four of a, two of b */
  float sum[4];
};

/* An operation of the lanes in a mask; the last one to come does it for all. */
typedef void (*Together) (Offer *const lanes[32], unsigned mask);

void do_nothing (Offer *const lanes[32], unsigned mask);
void do_shuffle (Offer *const lanes[32], unsigned mask);
void do_ballot (Offer *const lanes[32], unsigned mask);
void do_mma_16_8_16 (Offer *const lanes[32], unsigned mask);

int lane ();
Offer *offer ();

/* Waits for all lanes of the mask; `orders`: their accesses before it come before those behind it. */
void meet_warp (unsigned mask, const char *what, Where here, Together together, bool orders);

/* Waits for all threads of the block that have not returned. */
void wait_for_block (Where here);

/* cp.async: a thread's copies that have begun. `from` NULL: zeros. */
struct Copy {
  void *to;
  const void *from;
  unsigned bytes, group;
  Where here;
};

void begin_copy (const Copy &copy);
void close_copies ();

/* Takes the first copy that is not of the latest `left` groups; false if there is none. */
bool next_copy (unsigned left, Copy *copy);

extern unsigned char *dynamic_shared;

/* Says what is wrong and ends the process with status 98. */
[[noreturn]] void host_fault (Where here, const char *what);

/* Enqueues a kernel; `body` is one thread of it. */
cudaError_t launch (const cudaLaunchConfig_t *config, const void *kernel, std::function<void ()> body);

} // namespace standin

#endif
