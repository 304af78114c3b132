/* dsvl2: one vector of floats, as wide as the instruction set that a file is compiled for
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A *_simd.c file is compiled once for each instruction set: SIMD_NAME (norm_fill) is norm_fill_avx2 in
 * one of them and norm_fill_avx512 in another. Operators work on vf as they do on float. */
#ifndef DSVL2_CPU_SIMD_H
#define DSVL2_CPU_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define SIMD_PASTE_(name, isa) name##_##isa
#define SIMD_PASTE(name, isa) SIMD_PASTE_ (name, isa)
#define SIMD_NAME(name) SIMD_PASTE (name, SIMD_ISA)

#ifdef __AVX512F__
#define SIMD_ISA avx512

enum { LANES = 16 };
typedef __m512 vf; /* LANES floats */

static inline vf
vf_set (float x)
{
  return _mm512_set1_ps (x);
}

static inline vf
vf_load (const float *p)
{
  return _mm512_loadu_ps (p);
}

static inline void
vf_store (float *p, vf v)
{
  _mm512_storeu_ps (p, v);
}

static inline __mmask16
vf_mask (int n)
{
  return (1u << n) - 1;
}

/* The first n floats, 0 ≤ n ≤ LANES; the other lanes are 0 and their memory is not touched. */
static inline vf
vf_load_n (const float *p, int n)
{
  return _mm512_maskz_loadu_ps (vf_mask (n), p);
}

static inline void
vf_store_n (float *p, vf v, int n)
{
  _mm512_mask_storeu_ps (p, vf_mask (n), v);
}

/* The first n lanes of v, then lanes of `rest`. */
static inline vf
vf_first (vf v, int n, vf rest)
{
  return _mm512_mask_blend_ps (vf_mask (n), rest, v);
}

static inline vf
vf_fma (vf a, vf b, vf c)
{
  return _mm512_fmadd_ps (a, b, c);
}

/* a where it is larger, else b: so b where one is NaN. */
static inline vf
vf_max (vf a, vf b)
{
  return _mm512_max_ps (a, b);
}

static inline vf
vf_min (vf a, vf b)
{
  return _mm512_min_ps (a, b);
}

static inline vf
vf_round (vf v)
{
  return _mm512_roundscale_ps (v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* v · 2ⁿ, n integral, |n| ≤ 126 */
static inline vf
vf_scale (vf v, vf n)
{
  return _mm512_scalef_ps (v, n);
}

static inline float
vf_sum (vf v)
{
  return _mm512_reduce_add_ps (v);
}

static inline float
vf_largest (vf v)
{
  return _mm512_reduce_max_ps (v);
}

/* Lane i of the result is the sum of v[i]'s lanes, added in the same order for every i. */
static inline vf
vf_sums (const vf v[LANES])
{
  vf quad[4];

  /* sums of quarters: lane 4 q + j of quad[i] is of quarter q of v[4 i + j] */
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const vf *u = v + 4 * i;
    const vf a = _mm512_unpacklo_ps (u[0], u[1]) + _mm512_unpackhi_ps (u[0], u[1]);
    const vf b = _mm512_unpacklo_ps (u[2], u[3]) + _mm512_unpackhi_ps (u[2], u[3]);
    const __m512d x = _mm512_castps_pd (a), y = _mm512_castps_pd (b);

    quad[i] =
        _mm512_castpd_ps (_mm512_unpacklo_pd (x, y)) + _mm512_castpd_ps (_mm512_unpackhi_pd (x, y));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 4; i += 2)
    quad[i] = _mm512_shuffle_f32x4 (quad[i], quad[i + 1], 0x44) +
              _mm512_shuffle_f32x4 (quad[i], quad[i + 1], 0xee);
  return _mm512_shuffle_f32x4 (quad[0], quad[2], 0x88) + _mm512_shuffle_f32x4 (quad[0], quad[2], 0xdd);
}

#else
#define SIMD_ISA avx2

enum { LANES = 8 };
typedef __m256 vf;

static inline vf
vf_set (float x)
{
  return _mm256_set1_ps (x);
}

static inline vf
vf_load (const float *p)
{
  return _mm256_loadu_ps (p);
}

static inline void
vf_store (float *p, vf v)
{
  _mm256_storeu_ps (p, v);
}

static inline __m256i
vf_mask (int n)
{
  return _mm256_cmpgt_epi32 (_mm256_set1_epi32 (n), _mm256_setr_epi32 (0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vf
vf_load_n (const float *p, int n)
{
  return _mm256_maskload_ps (p, vf_mask (n));
}

static inline void
vf_store_n (float *p, vf v, int n)
{
  _mm256_maskstore_ps (p, vf_mask (n), v);
}

static inline vf
vf_first (vf v, int n, vf rest)
{
  return _mm256_blendv_ps (rest, v, _mm256_castsi256_ps (vf_mask (n)));
}

static inline vf
vf_fma (vf a, vf b, vf c)
{
  return _mm256_fmadd_ps (a, b, c);
}

static inline vf
vf_max (vf a, vf b)
{
  return _mm256_max_ps (a, b);
}

static inline vf
vf_min (vf a, vf b)
{
  return _mm256_min_ps (a, b);
}

static inline vf
vf_round (vf v)
{
  return _mm256_round_ps (v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vf
vf_scale (vf v, vf n)
{
  const __m256i exponent = _mm256_slli_epi32 (_mm256_cvtps_epi32 (n), 23);

  return v * _mm256_castsi256_ps (_mm256_add_epi32 (exponent, _mm256_set1_epi32 (127 << 23)));
}

static inline float
vf_sum (vf v)
{
  __m128 s = _mm256_castps256_ps128 (v) + _mm256_extractf128_ps (v, 1);

  s += _mm_movehl_ps (s, s);
  return s[0] + s[1];
}

static inline float
vf_largest (vf v)
{
  __m128 s = _mm_max_ps (_mm256_castps256_ps128 (v), _mm256_extractf128_ps (v, 1));

  s = _mm_max_ps (s, _mm_movehl_ps (s, s));
  return s[0] > s[1] ? s[0] : s[1];
}

static inline vf
vf_sums (const vf v[LANES])
{
  vf half[2];

#pragma GCC unroll 2
  for (int i = 0; i < 2; i++)
    half[i] = _mm256_hadd_ps (_mm256_hadd_ps (v[4 * i], v[4 * i + 1]),
        _mm256_hadd_ps (v[4 * i + 2], v[4 * i + 3]));
  return _mm256_permute2f128_ps (half[0], half[1], 0x20) +
         _mm256_permute2f128_ps (half[0], half[1], 0x31);
}

#endif

static inline float
vf_lane_0 (vf v)
{
  return v[0];
}

/* The same where n is mostly LANES: known to the compiler, or well predicted. */
static inline vf
vf_load_up_to (const float *p, int n)
{
  return n >= LANES ? vf_load (p) : vf_load_n (p, n);
}

static inline void
vf_store_up_to (float *p, vf v, int n)
{
  if (n >= LANES)
    vf_store (p, v);
  else
    vf_store_n (p, v, n);
}

/* eˣ to 2e-7 relative where −87 < x < 88; less gives e⁻⁸⁷ (1.6e-38) and more e⁸⁸; NaN stays NaN.
 * x = n log 2 + r, |r| ≤ log 2 / 2, and eʳ is its Taylor polynomial of degree 7. */
static inline vf
vf_exp (vf x)
{
  const vf clamped = vf_min (vf_set (88), vf_max (vf_set (-87), x));
  const vf n = vf_round (clamped * vf_set (1.44269504f));
  /* log 2 in two parts, the first with so few bits that n times it is exact */
  const vf r = vf_fma (n, vf_set (2.12194440e-4f), vf_fma (n, vf_set (-0.693359375f), clamped));
  vf y = vf_set (1.0f / 5040);

  y = vf_fma (y, r, vf_set (1.0f / 720));
  y = vf_fma (y, r, vf_set (1.0f / 120));
  y = vf_fma (y, r, vf_set (1.0f / 24));
  y = vf_fma (y, r, vf_set (1.0f / 6));
  y = vf_fma (y, r, vf_set (1.0f / 2));
  y = vf_fma (y, r, vf_set (1));
  return vf_scale (vf_fma (y, r, vf_set (1)), n);
}

#endif
