/* dsvl2: the routed experts on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where inputs may be rounded to bf16, experts_mma.cu multiplies. Here are two launches: what is hidden, for every pair; what comes down,
 * summed over a row's pairs in slot order. A warp an element, each weight read once for each pair. */
#include "experts.cuh"

#include <vector>

enum { THREADS = 256, WARPS = THREADS / WARP };

/* x · row o of m, n of each; x is 16-byte aligned if n is a multiple of 8. */
static __device__ __forceinline__ float
dot (const float *x, const Matrix &m, int o, int n, bool aligned)
{
  const size_t at = (size_t) o * n;

  switch (m.type) {
    case WEIGHT_F16:
      return warp_dot (x, static_cast<const __half *> (m.data) + at, n, aligned);
    case WEIGHT_BF16:
      return warp_dot (x, static_cast<const __nv_bfloat16 *> (m.data) + at, n, aligned);
    default:
      return warp_dot (x, static_cast<const float *> (m.data) + at, n, aligned);
  }
}

KERNEL (THREADS)
hidden_element (Moe m, bool aligned)
{
  const int pair = blockIdx.x, f = blockIdx.y * WARPS + threadIdx.x / WARP;

  if (f < m.F) { /* the whole warp */
    const float *x = m.x + (size_t) (pair / m.K) * m.D;
    const int e = m.ids[pair];
    const float gate = dot (x, m.gate[e], f, m.D, aligned), up = dot (x, m.up[e], f, m.D, aligned);

    if (threadIdx.x % WARP == 0)
      m.hidden[(size_t) pair * m.F + f] = silu (gate) * up;
  }
}

KERNEL (THREADS)
down_element (Moe m, bool aligned)
{
  const int t = blockIdx.x, d = blockIdx.y * WARPS + threadIdx.x / WARP;

  if (d < m.D) { /* the whole warp */
    /* Only the lane that writes it back reads it. */
    float sum = threadIdx.x % WARP == 0 ? m.y[(size_t) t * m.D + d] : 0;

    for (int i = 0; i < m.K; i++) {
      const int pair = t * m.K + i;

      sum +=
          m.weights[pair] * dot (m.hidden + (size_t) pair * m.F, m.down[m.ids[pair]], d, m.F, aligned);
    }
    if (threadIdx.x % WARP == 0)
      m.y[(size_t) t * m.D + d] = sum;
  }
}

/* The device's table of all matrices: gate [E], up [E], down [E]; whether all of them are aligned, of one type. */
static const Matrix *
matrices (Cuda *c, const Experts *experts, bool *aligned, bool *alike)
{
  const Weight *kinds[] = { experts->gate, experts->up, experts->down };
  std::vector<Matrix> host (3 *
                            experts->E); /* no padding: a pointer and an int are compared as bytes */

  memset (host.data (), 0, host.size () * sizeof (Matrix));
  *aligned = *alike = true;
  for (int i = 0; i < 3 * experts->E; i++) {
    const Weight *w = &kinds[i / experts->E][i % experts->E];

    host[i].data = w->data;
    host[i].type = w->type;
    *aligned = *aligned && aligned_16 (w->data);
    *alike = *alike && w->type == experts->gate[0].type;
  }
  return static_cast<const Matrix *> (table_on_device (c, host.data (),
      host.size () * sizeof (Matrix)));
}

static void
moe_experts (Ops *k, float *y, const float *x, const int32_t *ids, const float *weights,
    const Experts *experts, int T, int K, void *scratch)
{
  Cuda *c = cuda (k);
  const WeightType type = experts->gate[0].type;
  const bool quantised = weight_quantised (&experts->gate[0]);
  bool aligned, alike;
  const Matrix *table = matrices (c, experts, &aligned, &alike);
  Moe m = {};

  if (!table) {
    cuda_check (c, cudaErrorMemoryAllocation, "keep a table of experts");
    return;
  }
  m.x = x;
  m.weights = weights;
  m.ids = ids;
  m.y = y;
  m.hidden = static_cast<float *> (scratch);
  m.K = K;
  m.E = experts->E;
  m.D = experts->D;
  m.F = experts->F;
  m.gate = table;
  m.up = table + m.E;
  m.down = table + 2 * m.E;
  if (c->bf16 && alike && (quantised || type == WEIGHT_BF16)) {
    moe_mma (c, m, T, type, m.hidden + (size_t) T * K * m.F,
        aligned && m.D % 8 == 0 && m.F % 8 == 0 && aligned_16 (x) && aligned_16 (scratch));
    return;
  }
  if (quantised) {
    moe_quantised (c, m, T, type);
    return;
  }
  launch (c, "run moe_experts", hidden_element, dim3 (T * K, ceil_div (m.F, WARPS)), THREADS, 0, m,
      aligned && m.D % 8 == 0 && aligned_16 (x));
  launch (c, "run moe_experts", down_element, dim3 (T, ceil_div (m.D, WARPS)), THREADS, 0, m,
      aligned && m.F % 8 == 0 && aligned_16 (scratch));
}

void
cuda_fill_experts (Ops *k)
{
  k->moe_experts = moe_experts;
}
