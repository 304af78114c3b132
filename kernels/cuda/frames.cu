/* dsvl2: from a frame of video to the model's tiles on CUDA
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The planes go to the device as they are, unless they are there; two passes, width first, do what Pillow does to the last bit
 * (kernels/cpu/frames_ref.c). The taps are computed on the host, in double. */
#include "device.cuh"

extern "C" {
#include "kernels/cpu/frames.h"
}

#include <stdlib.h>

enum { THREADS = 128 };

/* --- planes -------------------------------------------------------------------------------------- */

/* Channels whose samples lie in the same rows of memory: bytes first … end − 1 around `data`. */
typedef struct {
  const uint8_t *data;
  ptrdiff_t row, first, end;
  int rows;
} Plane;

/* The part of a row that channel c reads, relative to `data`. */
static void
widen (Plane *plane, const Frame *frame, int c)
{
  const FrameChannel *channel = &frame->channel[c];
  const ptrdiff_t at = channel->data - plane->data;
  const ptrdiff_t last = ((frame->width - 1) >> channel->shift_x) * channel->step;
  const ptrdiff_t first = at + (last < 0 ? last : 0),
                  end = at + (last > 0 ? last : 0) + frame->bits / 8;

  plane->first = first < plane->first ? first : plane->first;
  plane->end = end > plane->end ? end : plane->end;
}

/* Does channel c lie in the rows of the plane? */
static bool
shares_rows (const Plane *plane, const Frame *frame, int c)
{
  const FrameChannel *channel = &frame->channel[c];
  const ptrdiff_t apart = (ptrdiff_t) ((uintptr_t) channel->data - (uintptr_t) plane->data);
  const ptrdiff_t row = plane->row < 0 ? -plane->row : plane->row;

  return channel->row == plane->row && plane->rows == ((frame->height - 1) >> channel->shift_y) + 1 &&
         apart > -row && apart < row;
}

/* Sorts the channels into planes; plane_of [3] says which is whose. Returns how many. */
static int
find_planes (Plane planes[3], int plane_of[3], const Frame *frame)
{
  const int channels = frame->color == FRAME_GREY ? 1 : 3;
  int n = 0;

  for (int c = 0; c < channels; c++) {
    int p = 0;

    while (p < n && !shares_rows (&planes[p], frame, c))
      p++;
    if (p == n) {
      const FrameChannel *channel = &frame->channel[c];

      planes[n++] = { channel->data, channel->row, 0, 0,
        ((frame->height - 1) >> channel->shift_y) + 1 };
    }
    widen (&planes[p], frame, c);
    plane_of[c] = p;
  }
  return n;
}

/* Puts the frame's planes on the device; `there` is the frame with channels that point to them. */
static bool
upload_frame (Cuda *c, Frame *there, const Frame *frame)
{
  Plane planes[3];
  int plane_of[3] = {};
  const int n = find_planes (planes, plane_of, frame);
  size_t offset[4] = {};
  uint8_t *base;

  for (int p = 0; p < n; p++)
    offset[p + 1] = offset[p] + (size_t) (planes[p].end - planes[p].first) * planes[p].rows;
  base = static_cast<uint8_t *> (buffer_on_device (c, &c->frame, offset[n]));
  if (!base) {
    cuda_check (c, cudaErrorMemoryAllocation, "keep a frame");
    return false;
  }
  for (int p = 0; p < n; p++)
    upload_rows (c, base + offset[p], planes[p].data + planes[p].first, planes[p].row,
        planes[p].end - planes[p].first, planes[p].rows);

  *there = *frame;
  for (int i = 0; i < 3; i++) {
    const int from = frame->color == FRAME_GREY ? 0 : i;
    const Plane *plane = &planes[plane_of[from]];

    there->channel[i] = frame->channel[from];
    there->channel[i].row = plane->end - plane->first;
    there->channel[i].data =
        base + offset[plane_of[from]] + (frame->channel[from].data - plane->data - plane->first);
  }
  return true;
}

/* The same of a frame in device memory of another context: kernels may read what their own context made
 * and no more, so its planes are copied from context to context, rows at the distance that they have. */
static bool
fetch_frame (Cuda *c, Frame *there, const Frame *frame)
{
  Plane planes[3];
  int plane_of[3] = {};
  const int n = find_planes (planes, plane_of, frame);
  size_t offset[4] = {};
  const uint8_t *low[3];
  uint8_t *base;

  for (int p = 0; p < n; p++) {
    const ptrdiff_t last_row = (planes[p].rows - 1) * planes[p].row;

    low[p] = planes[p].data + planes[p].first + (last_row < 0 ? last_row : 0);
    offset[p + 1] =
        offset[p] + (size_t) (last_row < 0 ? -last_row : last_row) + planes[p].end - planes[p].first;
  }
  base = static_cast<uint8_t *> (buffer_on_device (c, &c->frame, offset[n]));
  if (!base) {
    cuda_check (c, cudaErrorMemoryAllocation, "keep a frame");
    return false;
  }
  for (int p = 0; p < n; p++)
    if (!copy_from_context (c, base + offset[p], low[p], frame->context, offset[p + 1] - offset[p]))
      return false;

  *there = *frame;
  for (int i = 0; i < 3; i++) {
    const int from = frame->color == FRAME_GREY ? 0 : i, p = plane_of[from];

    there->channel[i] = frame->channel[from];
    there->channel[i].data = base + offset[p] + (frame->channel[from].data - low[p]);
  }
  return true;
}

/* The frame with channels that kernels can read. */
static bool
frame_on_device (Cuda *c, Frame *there, const Frame *frame)
{
  if (!frame->context)
    return upload_frame (c, there, frame);
  if (frame->context != c->ops.context)
    return fetch_frame (c, there, frame);
  *there = *frame;
  if (frame->color == FRAME_GREY)
    there->channel[1] = there->channel[2] = frame->channel[0];
  return true;
}

/* --- passes -------------------------------------------------------------------------------------- */

static __device__ __forceinline__ int
clamp_8 (long long v)
{
  return v < 0 ? 0 : v > 255 ? 255 : (int) v;
}

static __device__ __forceinline__ int
read_sample (const Frame &frame, int c, int x, int y)
{
  const FrameChannel &channel = frame.channel[c];

  return channel.data[(y >> channel.shift_y) * channel.row + (x >> channel.shift_x) * channel.step +
                      (frame.bits == 16)];
}

static __device__ __forceinline__ void
read_rgb (int rgb[3], const Frame &frame, int x, int y)
{
  int sample[3];

#pragma unroll
  for (int c = 0; c < 3; c++)
    rgb[c] = sample[c] = read_sample (frame, c, x, y);
  if (frame.color != FRAME_YCBCR)
    return;
#pragma unroll
  for (int i = 0; i < 3; i++) {
    long long sum = 1 << 15;

#pragma unroll
    for (int j = 0; j < 3; j++)
      sum += (long long) frame.matrix[i][j] * (sample[j] - frame.offset[j]);
    rgb[i] = clamp_8 (sum >> 16);
  }
}

/* across [y, x, 3] for row y = blockIdx.y */
KERNEL (THREADS)
scale_across (uint8_t *across, Frame frame, Taps taps)
{
  const int x = blockIdx.x * THREADS + threadIdx.x;

  for (int y = blockIdx.y; x < taps.out && y < frame.height; y += gridDim.y) {
    const int32_t *weight = taps.weight + (size_t) x * taps.width;
    long long sum[3];

    for (int c = 0; c < 3; c++)
      sum[c] = 1 << (TAP_BITS - 1);
    for (int j = 0; j < taps.count[x]; j++) {
      int rgb[3];

      read_rgb (rgb, frame, taps.first[x] + j, y);
      for (int c = 0; c < 3; c++)
        sum[c] += (long long) weight[j] * rgb[c];
    }
    for (int c = 0; c < 3; c++)
      across[((size_t) y * taps.out + x) * 3 + c] = clamp_8 (sum[c] >> TAP_BITS);
  }
}

/* Row y of the picture, scaled down (or up), at x. */
static __device__ __forceinline__ int
scale_down (const uint8_t *across, const Taps &taps, int x, int y, int c, int width)
{
  const int32_t *weight = taps.weight + (size_t) y * taps.width;
  const uint8_t *in = across + ((size_t) taps.first[y] * width + x) * 3 + c;
  long long sum = 1 << (TAP_BITS - 1);

  for (int j = 0; j < taps.count[y]; j++)
    sum += (long long) weight[j] * in[(size_t) j * width * 3];
  return clamp_8 (sum >> TAP_BITS);
}

/* v[c] where v is a kernel's argument, which has no address. */
template <typename V>
static __device__ __forceinline__ V
pick (const V v[3], int c)
{
  return c == 0 ? v[0] : c == 1 ? v[1] : v[2];
}

/* Every element of the tiles. */
KERNEL (THREADS)
fill_tiles (float *tiles, const uint8_t *across, Taps taps, Canvas canvas, size_t n)
{
  const size_t at = (size_t) blockIdx.x * THREADS + threadIdx.x;
  const int S = canvas.S;

  if (at < n) {
    const int X = (int) (at % S), Y = (int) (at / S % S), c = (int) (at / S / S % 3);
    const int tile = (int) (at / S / S / 3);
    const int x = tile % canvas.across * S + X - canvas.left;
    const int y = tile / canvas.across * S + Y - canvas.top;
    const bool inside = x >= 0 && x < canvas.inner_width && y >= 0 && y < canvas.inner_height;
    const int v =
        inside ? scale_down (across, taps, x, y, c, canvas.inner_width) : pick (canvas.grey, c);

    tiles[at] = (v / 255.0f - pick (canvas.mean, c)) / pick (canvas.std, c);
  }
}

/* --- the op -------------------------------------------------------------------------------------- */

/* Computes both passes' taps and puts them at the start of `scratch`. Returns their bytes, 0 where the
 * host has no memory. */
static size_t
upload_taps (Cuda *c, FrameScratch *s, const Frame *frame, const Canvas *canvas, void *scratch)
{
  const size_t all = frame_tiles_scratch (frame, canvas);
  char *host = static_cast<char *> (c->host_taps.data);
  size_t bytes;

  if (c->host_taps.bytes < all) {
    free (host);
    c->host_taps.data = host = static_cast<char *> (malloc (all));
    c->host_taps.bytes = host ? all : 0;
  }
  if (!host) {
    cuda_check (c, cudaErrorMemoryAllocation, "keep a filter");
    return 0;
  }
  frame_scratch_make (s, frame, canvas, host);
  bytes = (char *) s->rgb - host;
  upload_rows (c, scratch, host, 0, bytes, 1);
  return bytes;
}

static Taps
taps_there (const Taps &taps, const void *host, void *scratch)
{
  const ptrdiff_t apart = (char *) scratch - (const char *) host;
  Taps there = taps;

  there.first = (int32_t *) ((char *) taps.first + apart);
  there.count = (int32_t *) ((char *) taps.count + apart);
  there.weight = (int32_t *) ((char *) taps.weight + apart);
  return there;
}

static void
frame_tiles (Ops *k, float *tiles, const Frame *frame, const Canvas *canvas, void *scratch)
{
  Cuda *c = cuda (k);
  const size_t n = (size_t) 3 * canvas->across * canvas->down * canvas->S * canvas->S;
  FrameScratch s;
  const size_t taps_bytes = upload_taps (c, &s, frame, canvas, scratch);
  uint8_t *across = (uint8_t *) scratch + taps_bytes;
  Frame there;

  if (taps_bytes == 0 || !frame_on_device (c, &there, frame))
    return;
  launch (c, "run frame_tiles", scale_across,
      dim3 (ceil_div (canvas->inner_width, THREADS), frame->height < 65535 ? frame->height : 65535),
      THREADS, 0, across, there, taps_there (s.horizontal, c->host_taps.data, scratch));
  launch (c, "run frame_tiles", fill_tiles, dim3 ((unsigned) ((n + THREADS - 1) / THREADS)), THREADS, 0,
      tiles, across, taps_there (s.vertical, c->host_taps.data, scratch), *canvas, n);
  if (frame->context) /* whoever owns it may write to it from now on */
    cuda_check (c, cudaStreamSynchronize (c->stream), "read a frame");
}

void
cuda_fill_frames (Ops *k)
{
  k->frame_tiles = frame_tiles;
}
