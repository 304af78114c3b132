/* dsvl2: from a frame of video to the model's tiles
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Integers are summed as in plain C, so results are the same to the last bit. Samples are turned so that
 * the lanes of a vector are what one weight belongs to: 16 rows side by side in the pass across, 16
 * columns in the pass down. */
#include "cpu.h"
#include "frames.h"
#include "simd.h"

#include <string.h>

enum {
  STRIP = 4096, /* columns that are read at a time */
  ROWS = 8,     /* of the canvas, in a piece of work */
};

_Static_assert(FRAME_BLOCK == 16, "a block is a vector of bytes");
_Static_assert(3 * FRAME_BLOCK * STRIP <= CPU_SCRATCH, "a thread's scratch memory is too small");

/* --- sixteen sums -------------------------------------------------------------------------------- */

#if defined __AVX512F__
typedef __m512i Sums;

static inline Sums
sums_set (int32_t v)
{
  return _mm512_set1_epi32 (v);
}

/* sums + 16 bytes · weight */
static inline Sums
sums_add (Sums s, const uint8_t *p, int32_t weight)
{
  const __m512i v = _mm512_cvtepu8_epi32 (_mm_loadu_si128 ((const __m128i *) p));

  return _mm512_add_epi32 (s, _mm512_mullo_epi32 (v, _mm512_set1_epi32 (weight)));
}

/* clamp (sums >> shift, 0, 255) */
static inline __m128i
sums_clamp (Sums s, int shift)
{
  return _mm512_cvtusepi32_epi8 (_mm512_max_epi32 (_mm512_srai_epi32 (s, shift),
      _mm512_setzero_si512 ()));
}
#else
typedef struct {
  __m256i low, high;
} Sums;

static inline Sums
sums_set (int32_t v)
{
  return (Sums){ _mm256_set1_epi32 (v), _mm256_set1_epi32 (v) };
}

static inline Sums
sums_add (Sums s, const uint8_t *p, int32_t weight)
{
  const __m128i v = _mm_loadu_si128 ((const __m128i *) p);
  const __m256i w = _mm256_set1_epi32 (weight);

  s.low = _mm256_add_epi32 (s.low, _mm256_mullo_epi32 (_mm256_cvtepu8_epi32 (v), w));
  s.high =
      _mm256_add_epi32 (s.high, _mm256_mullo_epi32 (_mm256_cvtepu8_epi32 (_mm_srli_si128 (v, 8)), w));
  return s;
}

static inline __m128i
sums_clamp (Sums s, int shift)
{
  const __m256i low = _mm256_srai_epi32 (s.low, shift), high = _mm256_srai_epi32 (s.high, shift);
  const __m256i words = _mm256_permute4x64_epi64 (_mm256_packs_epi32 (low, high), 0xd8);

  return _mm_packus_epi16 (_mm256_castsi256_si128 (words), _mm256_extracti128_si256 (words, 1));
}
#endif

/* One of four rounds, each of which halves the distance between neighbours of a column. */
static inline void
interleave (__m128i to[16], const __m128i from[16])
{
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    to[2 * i] = _mm_unpacklo_epi8 (from[i], from[i + 8]);
    to[2 * i + 1] = _mm_unpackhi_epi8 (from[i], from[i + 8]);
  }
}

/* 16 rows of 16 bytes become 16 columns. */
static inline void
transpose (__m128i v[16])
{
  __m128i u[16];

  interleave (u, v);
  interleave (v, u);
  interleave (u, v);
  interleave (v, u);
}

/* --- reading ------------------------------------------------------------------------------------- */

/* Where samples lie in a row from some column on, a multiple of 16. */
typedef struct {
  const uint8_t *row;
  ptrdiff_t step;
  int shift, x, n;
} Samples;

static inline const uint8_t *
sample (const Samples *s, int i)
{
  return s->row + ((s->x + i) >> s->shift) * s->step;
}

/* Sixteen samples lie in `chunks` times 16 bytes, out of which shuffles take them. Returns how many
 * samples it has stored: it reads nothing behind the last. `chunks` is a constant where this is inlined. */
static inline __attribute__ ((always_inline)) int
shuffle_samples (uint8_t *line, const Samples *s, int chunks)
{
  const uint8_t *end = sample (s, s->n - 1) + 1;
  __m128i from[4];
  int i = 0;

#pragma GCC unroll 4
  for (int c = 0; c < chunks; c++) {
    uint8_t index[16];

    for (int j = 0; j < 16; j++) {
      const int at = (j >> s->shift) * s->step - 16 * c;

      index[j] = at >= 0 && at < 16 ? at : 0x80;
    }
    from[c] = _mm_loadu_si128 ((const __m128i *) index);
  }
  for (; i + 16 <= s->n && end - sample (s, i) >= 16 * chunks; i += 16) {
    const __m128i *p = (const __m128i *) sample (s, i);
    __m128i v = _mm_shuffle_epi8 (_mm_loadu_si128 (p), from[0]);

#pragma GCC unroll 4
    for (int c = 1; c < chunks; c++)
      v = _mm_or_si128 (v, _mm_shuffle_epi8 (_mm_loadu_si128 (p + c), from[c]));
    _mm_storeu_si128 ((__m128i *) (line + i), v);
  }
  return i;
}

/* line [n] ← samples of row y from column x on, a multiple of 16. */
static void
read_line (uint8_t *line, const FrameChannel *channel, int bits, int x, int n, int y)
{
  const Samples s = { channel->data + (y >> channel->shift_y) * channel->row + (bits == 16),
    channel->step, channel->shift_x, x, n };
  const bool near = s.step > 0 && s.step <= 4 && s.shift <= 1;
  int i = 0;

  switch (near ? (s.step * (15 >> s.shift) + 16) / 16 : 0) {
    case 1:
      i = shuffle_samples (line, &s, 1);
      break;
    case 2:
      i = shuffle_samples (line, &s, 2);
      break;
    case 3:
      i = shuffle_samples (line, &s, 3);
      break;
    case 4:
      i = shuffle_samples (line, &s, 4);
      break;
  }
  for (; i < n; i++)
    line[i] = *sample (&s, i);
}

/* In place from Y, Cb, Cr to R, G, B; lines are whole blocks. */
static void
convert_lines (uint8_t *const line[3], const Frame *frame, int n)
{
  int32_t base[3] = { 1 << 15, 1 << 15, 1 << 15 };

  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      base[i] -= frame->matrix[i][j] * frame->offset[j];
  for (int x = 0; x < n; x += 16) {
    __m128i rgb[3];

    for (int i = 0; i < 3; i++) {
      Sums s = sums_set (base[i]);

      for (int j = 0; j < 3; j++)
        s = sums_add (s, line[j] + x, frame->matrix[i][j]);
      rgb[i] = sums_clamp (s, 16);
    }
    for (int i = 0; i < 3; i++)
      _mm_storeu_si128 ((__m128i *) (line[i] + x), rgb[i]);
  }
}

/* rgb [3][width][16] ← 16 rows from `first` on, turned; rows below the frame repeat its last. */
static void
read_block (uint8_t *rgb, const Frame *frame, int first, uint8_t (*lines)[FRAME_BLOCK][STRIP])
{
  for (int x = 0; x < frame->width; x += STRIP) {
    const int n = min_int (frame->width - x, STRIP);

    for (int r = 0; r < FRAME_BLOCK; r++) {
      uint8_t *const line[3] = { lines[0][r], lines[1][r], lines[2][r] };
      const int y = min_int (first + r, frame->height - 1);

      for (int c = 0; c < 3; c++)
        read_line (line[c], &frame->channel[frame->color == FRAME_GREY ? 0 : c], frame->bits, x, n, y);
      if (frame->color == FRAME_YCBCR)
        convert_lines (line, frame, n);
    }
    for (int c = 0; c < 3; c++)
      for (int i = 0; i < n; i += 16) {
        __m128i v[16];

        for (int r = 0; r < 16; r++)
          v[r] = _mm_loadu_si128 ((const __m128i *) (lines[c][r] + i));
        transpose (v);
        for (int j = 0; j < min_int (n - i, 16); j++)
          _mm_storeu_si128 ((__m128i *) (rgb + ((size_t) c * frame->width + x + i + j) * 16), v[j]);
      }
  }
}

/* --- passes -------------------------------------------------------------------------------------- */

typedef struct {
  float *tiles;
  const Frame *frame;
  const Canvas *canvas;
  FrameScratch s;
  size_t row, plane; /* bytes of s.across */
} Job;

/* 16 rows of one colour: to [16 rows, `row` bytes apart] ← from [width][16]. */
static void
pass_across (uint8_t *to, size_t row, const uint8_t *from, const Taps *taps)
{
  for (int x = 0; x < taps->out; x += 16) {
    __m128i v[16];

    for (int i = 0; i < 16; i++) {
      const int32_t *weight = taps->weight + (size_t) (x + i) * taps->width;
      const uint8_t *p = from + (size_t) taps->first[x + i] * 16;
      Sums s = sums_set (1 << (TAP_BITS - 1));

      for (int j = 0; j < taps->count[x + i]; j++)
        s = sums_add (s, p + 16 * j, weight[j]);
      v[i] = sums_clamp (s, TAP_BITS);
    }
    transpose (v);
    for (int i = 0; i < 16; i++)
      _mm_storeu_si128 ((__m128i *) (to + i * row + x), v[i]);
  }
}

static void
across_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const size_t plane = (size_t) job->frame->width * FRAME_BLOCK;
  uint8_t *rgb = job->s.rgb + i * 3 * plane;

  read_block (rgb, job->frame, i * FRAME_BLOCK, scratch);
  for (int c = 0; c < 3; c++)
    pass_across (job->s.across + c * job->plane + (size_t) i * FRAME_BLOCK * job->row, job->row,
        rgb + c * plane, &job->s.horizontal);
}

/* 16 bytes as (v / 255 − mean) / std, the first n of them stored. */
static inline void
store_normalised (float *to, __m128i bytes, float mean, float std, int n)
{
  for (int i = 0; i < 16 && i < n; i += LANES) {
#if defined __AVX512F__
    const vf v = _mm512_cvtepi32_ps (_mm512_cvtepu8_epi32 (bytes));
#else
    const vf v = _mm256_cvtepi32_ps (_mm256_cvtepu8_epi32 (i == 0 ? bytes : _mm_srli_si128 (bytes, 8)));
#endif

    vf_store_up_to (to + i, (v / vf_set (255) - vf_set (mean)) / vf_set (std), n - i);
  }
}

/* Columns x … end − 1 of the scaled frame's row y, one colour. */
static void
pass_down (float *to, const uint8_t *from, size_t row, const Taps *taps, int y, int x, int end,
    float mean, float std)
{
  const int32_t *weight = taps->weight + (size_t) y * taps->width;
  const uint8_t *p = from + taps->first[y] * row;

  for (; x < end; x += 16, to += 16) {
    Sums s = sums_set (1 << (TAP_BITS - 1));

    for (int j = 0; j < taps->count[y]; j++)
      s = sums_add (s, p + j * row + x, weight[j]);
    store_normalised (to, sums_clamp (s, TAP_BITS), mean, std, end - x);
  }
}

/* One row of a tile, one colour: grey, the frame, grey. X, Y: where it is on the canvas. */
static void
tile_row (float *to, const Job *job, int c, int X, int Y)
{
  const Canvas *canvas = job->canvas;
  const float mean = canvas->mean[c], std = canvas->std[c],
              grey = (canvas->grey[c] / 255.0f - mean) / std;
  const int S = canvas->S, x = X - canvas->left, y = Y - canvas->top;
  const bool inside = y >= 0 && y < canvas->inner_height;
  int from = inside ? clamp_int (-x, 0, S) : S,
      end = inside ? clamp_int (canvas->inner_width - x, from, S) : S;

  for (int i = 0; i < from; i++)
    to[i] = grey;
  if (from < end)
    pass_down (to + from, job->s.across + c * job->plane, job->row, &job->s.vertical, y, x + from,
        x + end, mean, std);
  for (int i = end; i < S; i++)
    to[i] = grey;
}

static void
down_piece (void *arg, int i, void *scratch)
{
  const Job *job = arg;
  const Canvas *canvas = job->canvas;
  const int S = canvas->S;

  for (int Y = i * ROWS; Y < min_int (canvas->down * S, (i + 1) * ROWS); Y++)
    for (int column = 0; column < canvas->across; column++)
      for (int c = 0; c < 3; c++) {
        const size_t tile = (size_t) (Y / S) * canvas->across + column;

        tile_row (job->tiles + ((tile * 3 + c) * S + Y % S) * S, job, c, column * S, Y);
      }
}

static void
frame_tiles (Ops *k, float *tiles, const Frame *frame, const Canvas *canvas, void *scratch)
{
  const int blocks = ceil_div (frame->height, FRAME_BLOCK);
  Job job = { tiles, frame, canvas, .row = frame_round_up (canvas->inner_width) };

  job.plane = job.row * blocks * FRAME_BLOCK;
  frame_scratch_make (&job.s, frame, canvas, scratch);
  parallel_for (k, blocks, across_piece, &job);
  parallel_for (k, ceil_div (canvas->down * canvas->S, ROWS), down_piece, &job);
}

void
SIMD_NAME (frames_fill) (Ops *k)
{
  k->frame_tiles = frame_tiles;
}
