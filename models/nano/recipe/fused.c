/* bf16 activations for training on the CPU: gelu (tanh), SwiGLU, RMS norm, each with its gradient.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * PyTorch 1.13 has no vectorised bf16 versions of these, and they took most of a training step. Called
 * by fused.py, which compiles this file. Arrays are contiguous; n counts elements, or rows of d. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define GELU_A 1.5957691216057308f /* 2 √(2/π) */
#define GELU_C 0.0713548162726f    /* GELU_A · 0.044715 */

static inline float
from_bf16 (uint16_t v)
{
  uint32_t bits = (uint32_t) v << 16;
  float x;

  memcpy (&x, &bits, 4);
  return x;
}

static inline uint16_t
to_bf16 (float x)
{
  uint32_t bits;

  memcpy (&bits, &x, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

/* The clamp stands in for infinity, which -ffast-math does not know. */
static inline float
sigmoid (float x)
{
  return 1 / (1 + expf (-(x < -60 ? -60 : x > 60 ? 60 : x)));
}

void
gelu_forward (const uint16_t *restrict x, uint16_t *restrict y, long n)
{
  for (long i = 0; i < n; i++) {
    float v = from_bf16 (x[i]);

    y[i] = to_bf16 (v * sigmoid (v * (GELU_A + GELU_C * v * v)));
  }
}

void
gelu_backward (const uint16_t *restrict x, const uint16_t *restrict dy, uint16_t *restrict dx, long n)
{
  for (long i = 0; i < n; i++) {
    float v = from_bf16 (x[i]);
    float s = sigmoid (v * (GELU_A + GELU_C * v * v));

    dx[i] = to_bf16 (from_bf16 (dy[i]) * (s + v * (GELU_A + 3 * GELU_C * v * v) * s * (1 - s)));
  }
}

/* y = silu (gate) · up */
void
swiglu_forward (const uint16_t *restrict gate, const uint16_t *restrict up, uint16_t *restrict y,
    long n)
{
  for (long i = 0; i < n; i++) {
    float v = from_bf16 (gate[i]);

    y[i] = to_bf16 (v * sigmoid (v) * from_bf16 (up[i]));
  }
}

void
swiglu_backward (const uint16_t *restrict gate, const uint16_t *restrict up,
    const uint16_t *restrict dy, uint16_t *restrict dgate, uint16_t *restrict dup, long n)
{
  for (long i = 0; i < n; i++) {
    float v = from_bf16 (gate[i]), s = sigmoid (v), d = from_bf16 (dy[i]);

    dup[i] = to_bf16 (d * v * s);
    dgate[i] = to_bf16 (d * from_bf16 (up[i]) * (s + v * s * (1 - s)));
  }
}

/* y = x / rms (x) · w; what each row was multiplied by is kept in scale [n] for the gradient. */
void
rms_forward (const float *restrict x, const float *restrict w, uint16_t *restrict y,
    float *restrict scale, long n, long d, float eps)
{
  for (long i = 0; i < n; i++) {
    const float *row = x + i * d;
    float sum = 0;

    for (long j = 0; j < d; j++)
      sum += row[j] * row[j];
    scale[i] = 1 / sqrtf (sum / d + eps);
    for (long j = 0; j < d; j++)
      y[i * d + j] = to_bf16 (row[j] * scale[i] * w[j]);
  }
}

/* dw is added to. */
void
rms_backward (const float *restrict x, const float *restrict w, const float *restrict scale,
    const uint16_t *restrict dy, float *restrict dx, float *restrict dw, long n, long d)
{
  for (long i = 0; i < n; i++) {
    const float *row = x + i * d, k = scale[i];
    const uint16_t *drow = dy + i * d;
    float dot = 0;

    for (long j = 0; j < d; j++) {
      float g = from_bf16 (drow[j]);

      dot += g * w[j] * row[j];
      dw[j] += g * row[j] * k;
    }
    dot *= k * k * k / d;
    for (long j = 0; j < d; j++)
      dx[i * d + j] = from_bf16 (drow[j]) * w[j] * k - row[j] * dot;
  }
}
