/* dsvl2: row by row on CUDA: embeddings, sums, the gated unit
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.cuh"

enum { THREADS = 256 };

/* The thread's element of all, one a thread. */
static __device__ __forceinline__ size_t
element ()
{
  return (size_t) blockIdx.x * THREADS + threadIdx.x;
}

static dim3
blocks (size_t elements)
{
  return dim3 ((unsigned) ((elements + THREADS - 1) / THREADS));
}

template <typename W> KERNEL (THREADS) gather_row (float *y, const W *table, const int32_t *ids, int D)
{
  const int id = ids[blockIdx.x];

  if (id >= 0)
    for (int i = threadIdx.x; i < D; i += THREADS)
      y[(size_t) blockIdx.x * D + i] = to_float (table[(size_t) id * D + i]);
}

KERNEL (THREADS)
add_row (float *x, const float *table, size_t n, size_t n_table)
{
  const size_t i = element ();

  if (i < n)
    x[i] += table[i % n_table];
}

KERNEL (THREADS)
silu_mul_element (float *y, const float *gate, const float *up, size_t n)
{
  const size_t i = element ();

  if (i < n)
    y[i] = silu (gate[i]) * up[i];
}

static void
gather_rows (Ops *k, float *y, const Weight *table, const int32_t *ids, int T)
{
  with_type (table, [&] (auto *data) {
    launch (cuda (k), "run gather_rows",
        gather_row<std::remove_cv_t<std::remove_pointer_t<decltype (data)>>>, T, THREADS, 0, y, data,
        ids, table->I);
  });
}

static void
add_rows (Ops *k, float *x, const float *table, int T, int R, int D)
{
  const size_t n = (size_t) T * D;

  launch (cuda (k), "run add_rows", add_row, blocks (n), THREADS, 0, x, table, n, (size_t) R * D);
}

static void
silu_mul (Ops *k, float *y, const float *gate, const float *up, int T, int F)
{
  const size_t n = (size_t) T * F;

  launch (cuda (k), "run silu_mul", silu_mul_element, blocks (n), THREADS, 0, y, gate, up, n);
}

void
cuda_fill_rows (Ops *k)
{
  k->gather_rows = gather_rows;
  k->add_rows = add_rows;
  k->silu_mul = silu_mul;
}
