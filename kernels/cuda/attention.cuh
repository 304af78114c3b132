/* dsvl2: what CUDA's attention kernels are given
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_ATTENTION_CUH
#define DSVL2_ATTENTION_CUH

#include "device.cuh"

/* Where queries, keys and values are. Without pages a tile of `page_tokens` rows is a sequence whose every row
 * sees every other. */
typedef struct {
  float *out;
  const float *q, *k, *v;
  size_t q_row;
  int H, kv_heads, dk, dv, k_width, v_width;
  float scale;
  StepRows rows;
  int key_stride;       /* floats from key to key in shared memory */
  bool values_are_keys; /* their first dv floats */
  int splits;           /* > 0: a block each, which leaves what it has in `partial` */
  float *partial;
} Attention;

static __device__ __forceinline__ int
sequence_of (const Attention &a, int t)
{
  return a.rows.pages ? a.rows.sequence[t] : t / a.rows.page_tokens;
}

/* How many keys row t sees. */
static __device__ __forceinline__ int
keys_of (const Attention &a, int t)
{
  return a.rows.pages ? a.rows.position[t] + 1 : a.rows.page_tokens;
}

/* Where key j of a sequence is. */
static __device__ __forceinline__ size_t
slot (const Attention &a, int sequence, int j)
{
  const StepRows &r = a.rows;
  int page;

  if (!r.pages)
    return (size_t) sequence * r.page_tokens + j;
  page = r.pages[(size_t) sequence * r.pages_per_sequence + j / r.page_tokens];
  return (size_t) page * r.page_tokens + j % r.page_tokens;
}

/* Attention for any widths and alignment, slowly. */
void attend_any (Cuda *c, const char *what, const Attention &a);

#endif
