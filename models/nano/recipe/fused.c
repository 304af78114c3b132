/* Activations for training on the CPU: gelu (tanh), SwiGLU, RMS norm, each with its gradient.
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * PyTorch 1.13 has no vectorised bf16 versions of these, and they took most of a training step; in f32 its
 * own take several passes. Called by fused.py, which compiles this file once for bf16 (-DBF16) and once for
 * f32. Arrays are contiguous; n counts elements, or rows of d. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define GELU_A 1.5957691216057308f /* 2 √(2/π) */
#define GELU_C 0.0713548162726f    /* GELU_A · 0.044715 */

#ifdef BF16
typedef uint16_t Value;

static inline float
load (Value v)
{
  uint32_t bits = (uint32_t) v << 16;
  float x;

  memcpy (&x, &bits, 4);
  return x;
}

static inline Value
store (float x)
{
  uint32_t bits;

  memcpy (&bits, &x, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
#else
typedef float Value;

static inline float
load (Value v)
{
  return v;
}

static inline Value
store (float x)
{
  return x;
}
#endif

/* The clamp stands in for infinity, which -ffast-math does not know. */
static inline float
sigmoid (float x)
{
  return 1 / (1 + expf (-(x < -60 ? -60 : x > 60 ? 60 : x)));
}

void
gelu_forward (const Value *restrict x, Value *restrict y, long n)
{
  for (long i = 0; i < n; i++) {
    float v = load (x[i]);

    y[i] = store (v * sigmoid (v * (GELU_A + GELU_C * v * v)));
  }
}

void
gelu_backward (const Value *restrict x, const Value *restrict dy, Value *restrict dx, long n)
{
  for (long i = 0; i < n; i++) {
    float v = load (x[i]);
    float s = sigmoid (v * (GELU_A + GELU_C * v * v));

    dx[i] = store (load (dy[i]) * (s + v * (GELU_A + 3 * GELU_C * v * v) * s * (1 - s)));
  }
}

/* y = silu (gate) · up */
void
swiglu_forward (const Value *restrict gate, const Value *restrict up, Value *restrict y, long n)
{
  for (long i = 0; i < n; i++) {
    float v = load (gate[i]);

    y[i] = store (v * sigmoid (v) * load (up[i]));
  }
}

void
swiglu_backward (const Value *restrict gate, const Value *restrict up, const Value *restrict dy,
    Value *restrict dgate, Value *restrict dup, long n)
{
  for (long i = 0; i < n; i++) {
    float v = load (gate[i]), s = sigmoid (v), d = load (dy[i]);

    dup[i] = store (d * v * s);
    dgate[i] = store (d * load (up[i]) * (s + v * s * (1 - s)));
  }
}

/* y = x / rms (x) · w; what each row was multiplied by is kept in scale [n] for the gradient. */
void
rms_forward (const float *restrict x, const float *restrict w, Value *restrict y, float *restrict scale,
    long n, long d, float eps)
{
  for (long i = 0; i < n; i++) {
    const float *row = x + i * d;
    float sum = 0;

    for (long j = 0; j < d; j++)
      sum += row[j] * row[j];
    scale[i] = 1 / sqrtf (sum / d + eps);
    for (long j = 0; j < d; j++)
      y[i * d + j] = store (row[j] * scale[i] * w[j]);
  }
}

/* dw is added to. */
void
rms_backward (const float *restrict x, const float *restrict w, const float *restrict scale,
    const Value *restrict dy, float *restrict dx, float *restrict dw, long n, long d)
{
  for (long i = 0; i < n; i++) {
    const float *row = x + i * d, k = scale[i];
    const Value *drow = dy + i * d;
    float dot = 0;

    for (long j = 0; j < d; j++) {
      float g = load (drow[j]);

      dot += g * w[j] * row[j];
      dw[j] += g * row[j] * k;
    }
    dot *= k * k * k / d;
    for (long j = 0; j < d; j++)
      dx[i * d + j] = load (drow[j]) * w[j] * k - row[j] * dot;
  }
}
