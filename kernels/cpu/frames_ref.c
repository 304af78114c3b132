/* dsvl2: from a frame of video to the model's tiles, in plain C
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The official processor resizes with Pillow, so this computes what Pillow's ImagingResample computes
 * for 8-bit pictures, to the last bit: weights in double, rounded to 22 bits, each pass rounded to 8. */
#include "cpu.h"
#include "frames.h"

#include <math.h>

/* Keys' cubic convolution, a = −0.5 (Keys 1981, equation 15). */
static double
bicubic (double x)
{
  x = fabs (x);
  if (x < 1)
    return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2)
    return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

/* Shrinking stretches the filter over as many samples as fall on one: no aliasing. */
static double
filter_scale (int in, int out)
{
  return out < in ? (double) in / out : 1;
}

static int
taps_width (int in, int out)
{
  return (int) ceil (2 * filter_scale (in, out)) * 2 + 1;
}

static size_t
taps_bytes (int in, int out)
{
  return frame_round_up (out) * (2 + (size_t) taps_width (in, out)) * sizeof (int32_t);
}

/* `memory` holds taps_bytes (); taps past `out` up to a whole block are empty. */
static void
taps_make (Taps *taps, int in, int out, void *memory)
{
  const double step = (double) in / out, stretch = filter_scale (in, out), support = 2 * stretch;
  const size_t block = frame_round_up (out);

  *taps = (Taps){ .out = out, .width = taps_width (in, out), .first = memory };
  taps->count = taps->first + block;
  taps->weight = taps->count + block;

  for (size_t x = 0; x < block; x++) {
    const double center = (x + 0.5) * step;
    int first = (int) (center - support + 0.5), end = (int) (center + support + 0.5);
    int32_t *weight = taps->weight + x * taps->width;
    double sum = 0;

    first = first < 0 ? 0 : first;
    end = end > in ? in : end;
    taps->first[x] = x < (size_t) out ? first : 0;
    taps->count[x] = x < (size_t) out ? end - first : 0;
    for (int j = 0; j < taps->count[x]; j++)
      sum += bicubic ((j + first - center + 0.5) * (1 / stretch));
    for (int j = 0; j < taps->count[x]; j++) {
      double w = bicubic ((j + first - center + 0.5) * (1 / stretch)) / sum * (1 << TAP_BITS);

      weight[j] = (int32_t) (w < 0 ? w - 0.5 : w + 0.5);
    }
  }
}

static size_t
rgb_bytes (const Frame *frame)
{
  return 3 * frame_round_up (frame->height) * frame->width;
}

static size_t
across_bytes (const Frame *frame, const Canvas *canvas)
{
  return 3 * frame_round_up (frame->height) * frame_round_up (canvas->inner_width) + FRAME_BLOCK;
}

size_t
frame_tiles_scratch (const Frame *frame, const Canvas *canvas)
{
  return taps_bytes (frame->width, canvas->inner_width) +
         taps_bytes (frame->height, canvas->inner_height) + rgb_bytes (frame) +
         across_bytes (frame, canvas);
}

void
frame_scratch_make (FrameScratch *s, const Frame *frame, const Canvas *canvas, void *memory)
{
  uint8_t *at = memory;

  taps_make (&s->horizontal, frame->width, canvas->inner_width, at);
  at += taps_bytes (frame->width, canvas->inner_width);
  taps_make (&s->vertical, frame->height, canvas->inner_height, at);
  at += taps_bytes (frame->height, canvas->inner_height);
  s->rgb = at;
  s->across = at + rgb_bytes (frame);
}

static uint8_t
clamp_8 (int64_t v)
{
  return v < 0 ? 0 : v > 255 ? 255 : v;
}

static int
read_sample (const Frame *frame, int c, int x, int y)
{
  const FrameChannel *channel = &frame->channel[c];

  return channel->data[(y >> channel->shift_y) * channel->row +
                       (x >> channel->shift_x) * channel->step + (frame->bits == 16)];
}

static void
read_rgb (uint8_t rgb[3], const Frame *frame, int x, int y)
{
  for (int c = 0; c < 3; c++)
    rgb[c] = read_sample (frame, frame->color == FRAME_GREY ? 0 : c, x, y);
  if (frame->color == FRAME_YCBCR) {
    const uint8_t sample[3] = { rgb[0], rgb[1], rgb[2] };

    for (int i = 0; i < 3; i++) {
      int64_t sum = 1 << 15;

      for (int j = 0; j < 3; j++)
        sum += (int64_t) frame->matrix[i][j] * (sample[j] - frame->offset[j]);
      rgb[i] = clamp_8 (sum >> 16);
    }
  }
}

/* Sample x of a filtered line whose samples are `stride` bytes apart. */
static uint8_t
apply_taps (const Taps *taps, int x, const uint8_t *in, size_t stride)
{
  const int32_t *weight = taps->weight + (size_t) x * taps->width;
  int64_t sum = 1 << (TAP_BITS - 1);

  for (int j = 0; j < taps->count[x]; j++)
    sum += (int64_t) weight[j] * in[(size_t) (taps->first[x] + j) * stride];
  return clamp_8 (sum >> TAP_BITS);
}

static void
frame_tiles (Ops *k, float *tiles, const Frame *frame, const Canvas *canvas, void *scratch)
{
  const int W = frame->width, iW = canvas->inner_width, S = canvas->S;
  FrameScratch s;

  frame_scratch_make (&s, frame, canvas, scratch);
  for (int y = 0; y < frame->height; y++) {
    uint8_t *rgb = s.rgb + (size_t) y * W * 3, *across = s.across + (size_t) y * iW * 3;

    for (int x = 0; x < W; x++)
      read_rgb (rgb + 3 * x, frame, x, y);
    for (int i = 0; i < 3 * iW; i++)
      across[i] = apply_taps (&s.horizontal, i / 3, rgb + i % 3, 3);
  }

  for (int Y = 0; Y < canvas->down * S; Y++)
    for (int X = 0; X < canvas->across * S; X++)
      for (int c = 0; c < 3; c++) {
        const int x = X - canvas->left, y = Y - canvas->top;
        const bool inside = x >= 0 && x < iW && y >= 0 && y < canvas->inner_height;
        const uint8_t v = inside ? apply_taps (&s.vertical, y, s.across + 3 * x + c, (size_t) 3 * iW)
                                 : canvas->grey[c];
        const size_t tile = (size_t) (Y / S) * canvas->across + X / S;

        tiles[((tile * 3 + c) * S + Y % S) * S + X % S] =
            (v / 255.0f - canvas->mean[c]) / canvas->std[c];
      }
}

void
frames_fill_c (Ops *k)
{
  k->frame_tiles = frame_tiles;
}
