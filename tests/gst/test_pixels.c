/* dsvl2: the pixels that the engine sees of a buffer, in every format and layout
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures go from a GstBuffer into the engine's own scaler at a scale of one, which gives each pixel as RGB.
 * Plain buffers are compared with videoconvert; the same pixels laid out in other ways must be the same. */
#include "gst/picture.h"
#include "gst/rawframe.h"
#include "engine/picture.h"
#include "filememory.h"
#include <gst/check/gstharness.h>
#include <math.h>
#include <string.h>

static Ops *ops;

/* --- pictures --- */

static GstVideoInfo
info_of (const char *format, int width, int height, const char *colorimetry)
{
  GstVideoInfo info;

  gst_video_info_set_format (&info, gst_video_format_from_string (format), (guint) width,
      (guint) height);
  if (colorimetry != NULL)
    g_assert_true (gst_video_colorimetry_from_string (&info.colorimetry, colorimetry));
  return info;
}

/* A frame of random bytes. */
static GstBuffer *
frame_new (const GstVideoInfo *info, guint32 seed)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);
  GstMapInfo map;

  gst_buffer_map (buffer, &map, GST_MAP_WRITE);
  for (gsize i = 0; i < map.size; i++) {
    seed = seed * 1664525u + 1013904223u;
    map.data[i] = (guint8) (seed >> 24);
  }
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = 0;
  return buffer;
}

/* RGB [height, width, 3] of what the engine sees; NULL if it cannot. */
static guint8 *
seen_of (GstBuffer *buffer, const GstVideoInfo *info, const GstVideoRectangle *region, int *width,
    int *height)
{
  const GstVideoRectangle all = { 0, 0, GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info) };
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Picture) picture =
      gst_dsvl2_picture_new (buffer, info, region != NULL ? region : &all, FALSE, &error);
  g_autofree float *tiles = NULL;
  g_autofree void *scratch = NULL;
  guint8 *rgb;
  int side;

  if (picture == NULL) {
    g_test_message ("%s", error->message);
    g_assert_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE);
    return NULL;
  }
  *width = picture->frame.width;
  *height = picture->frame.height;
  side = MAX (*width, *height);
  const Canvas canvas = { 1, 1, side, 0, 0, *width, *height, { 0 }, { 0, 0, 0 }, { 1, 1, 1 } };

  tiles = g_new (float, (gsize) 3 * side * side);
  scratch = g_malloc (frame_tiles_scratch (&picture->frame, &canvas));
  ops->frame_tiles (ops, tiles, &picture->frame, &canvas, scratch);
  rgb = g_new (guint8, (gsize) 3 * *width * *height);
  for (int y = 0; y < *height; y++)
    for (int x = 0; x < *width; x++)
      for (int c = 0; c < 3; c++)
        rgb[3 * (y * *width + x) + c] =
            (guint8) lroundf (tiles[(gsize) (c * side + y) * side + x] * 255.0f);
  return rgb;
}

/* The largest difference of a frame's pixels and those at (x, y) of another. */
static int
difference (const guint8 *rgb, int width, int height, const guint8 *of, int of_width, int x, int y)
{
  int most = 0;

  for (int row = 0; row < height; row++)
    for (int i = 0; i < 3 * width; i++)
      most = MAX (most, abs (rgb[3 * row * width + i] - of[3 * ((y + row) * of_width + x) + i]));
  return most;
}

/* --- against videoconvert --- */

/* RGB as videoconvert has it, with 16 bits on the way: its products of 8 bits are coarse. */
static guint8 *
converted (GstBuffer *buffer, const GstVideoInfo *info)
{
  GstHarness *h = gst_harness_new_parse ("videoconvert dither=none chroma-mode=none");
  const int width = GST_VIDEO_INFO_WIDTH (info), height = GST_VIDEO_INFO_HEIGHT (info);
  GstVideoInfo deep = info_of ("ARGB64_LE", width, height, NULL);
  guint8 *rgb = g_new (guint8, (gsize) 3 * width * height);
  GstVideoFrame frame;
  GstBuffer *out;

  gst_harness_set_caps (h, gst_video_info_to_caps (info), gst_video_info_to_caps (&deep));
  out = gst_harness_push_and_pull (h, gst_buffer_ref (buffer));
  g_assert_true (gst_video_frame_map (&frame, &deep, out, GST_MAP_READ));
  for (int y = 0; y < height; y++) {
    const guint8 *row = (guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, 0) +
                        (gsize) y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0);

    for (int x = 0; x < width; x++)
      for (int c = 0; c < 3; c++)
        rgb[3 * (y * width + x) + c] =
            (guint8) ((GST_READ_UINT16_LE (row + 8 * x + 2 * (c + 1)) * 255 + 32768) / 65535);
  }
  gst_video_frame_unmap (&frame);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
  return rgb;
}

/* Every format of the element's pads, with the colours that video has; the differences are what was measured:
 * roundings of 8 bits, and matrices that stand for ones close by (FCC, SMPTE 240M). P010 is cut to 8 bits
 * before its matrix. */
static void
test_formats (void)
{
  static const struct {
    const char *colorimetry;
    int most;
  } colours[] = { { NULL, 2 }, { "bt601", 2 }, { "bt709", 3 }, { "bt2020", 2 }, { "1:4:0:0", 2 },
    { "1:3:0:0", 2 }, { "2:2:0:0", 4 }, { "smpte240m", 8 } };
  static const struct {
    int width, height;
  } sizes[] = { { 64, 48 }, { 61, 47 }, { 1, 1 }, { 2, 1 }, { 1, 3 }, { 17, 2 } };
  g_autoptr (GstCaps) caps = gst_caps_from_string ("video/x-raw, format=" GST_DSVL2_FORMATS);
  const GValue *formats = gst_structure_get_value (gst_caps_get_structure (caps, 0), "format");

  for (guint f = 0; f < gst_value_list_get_size (formats); f++) {
    const char *format = g_value_get_string (gst_value_list_get_value (formats, f));
    const gboolean yuv = GST_VIDEO_FORMAT_INFO_IS_YUV (
        gst_video_format_get_info (gst_video_format_from_string (format)));
    const int more = g_str_has_prefix (format, "P010") ? 1 : 0;

    for (gsize c = 0; c < (yuv ? G_N_ELEMENTS (colours) : 1); c++) {
      int most = 0;

      for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++) {
        const GstVideoInfo info =
            info_of (format, sizes[s].width, sizes[s].height, colours[c].colorimetry);
        g_autoptr (GstBuffer) buffer = frame_new (&info, (guint32) (f + s));
        g_autofree guint8 *want = converted (buffer, &info), *rgb = NULL;
        int width, height;

        rgb = seen_of (buffer, &info, NULL, &width, &height);
        g_assert_nonnull (rgb);
        g_assert_cmpint (width, ==, sizes[s].width);
        g_assert_cmpint (height, ==, sizes[s].height);
        most = MAX (most, difference (rgb, width, height, want, width, 0, 0));
      }
      g_test_message ("%s %s: %d of 255 at most", format,
          colours[c].colorimetry != NULL ? colours[c].colorimetry : "as the format has it", most);
      g_assert_cmpint (most, <=, colours[c].most + more);
    }
  }
}

/* --- the same pixels laid out in other ways --- */

typedef struct {
  const char *name;
  int pad;                  /* bytes behind each row, other ones for each plane */
  int gap;                  /* bytes before each plane */
  gboolean flip, backwards; /* rows bottom-up; planes from last to first */
  enum { ONE_MEMORY, A_MEMORY_A_PLANE, TORN_PLANES } memories;
  enum { OF_THE_HOST, OF_A_FILE, OF_A_DEVICE } kind;
} Way;

static const Way ways[] = {
  { "padded rows", 13, 0, FALSE, FALSE, ONE_MEMORY },
  { "planes apart", 0, 37, FALSE, FALSE, ONE_MEMORY },
  { "bottom-up", 3, 5, TRUE, FALSE, ONE_MEMORY },
  { "last plane first", 3, 5, FALSE, TRUE, ONE_MEMORY },
  { "a memory for each plane", 7, 3, FALSE, FALSE, A_MEMORY_A_PLANE },
  { "a memory for each plane, bottom-up", 7, 3, TRUE, FALSE, A_MEMORY_A_PLANE },
  { "memories that end inside of planes", 0, 0, FALSE, FALSE, TORN_PLANES },
  { "the same, bottom-up and last plane first", 1, 1, TRUE, TRUE, TORN_PLANES },
  { "a file", 0, 0, FALSE, FALSE, ONE_MEMORY, OF_A_FILE },
  { "a file with padded rows, last plane first", 13, 5, FALSE, TRUE, ONE_MEMORY, OF_A_FILE },
  { "a file for each plane", 7, 3, FALSE, FALSE, A_MEMORY_A_PLANE, OF_A_FILE },
  { "files that end inside of planes", 0, 0, FALSE, FALSE, TORN_PLANES, OF_A_FILE },
  { "DMABuf for each plane", 7, 3, FALSE, FALSE, A_MEMORY_A_PLANE, OF_A_DEVICE },
};

static GstMemory *
memory_of (const guint8 *bytes, gsize size, const Way *way)
{
  guint8 *copy;

  if (way->kind != OF_THE_HOST)
    return file_memory_new (bytes, size, way->kind == OF_A_DEVICE);
  copy = g_memdup2 (bytes, size);
  return gst_memory_new_wrapped (0, copy, size, 0, size, copy, g_free);
}

static guint
plane_rows (const GstVideoInfo *info, guint plane)
{
  gint component[GST_VIDEO_MAX_COMPONENTS];

  gst_video_format_info_component (info->finfo, plane, component);
  return (guint) GST_VIDEO_INFO_COMP_HEIGHT (info, component[0]);
}

/* Ends of the memories that a laid out frame is cut into, the last one its size. */
static void
append_memories (GstBuffer *buffer, const GByteArray *bytes, const Way *way, const gsize *starts,
    guint n_planes)
{
  gsize at = 0;

  while (at < bytes->len) {
    gsize end = bytes->len;

    if (way->memories == TORN_PLANES)
      end = MIN (at + bytes->len / 5 + 1, end);
    for (guint i = 0; way->memories == A_MEMORY_A_PLANE && i < n_planes; i++)
      if (starts[i] > at)
        end = MIN (end, starts[i]);
    gst_buffer_append_memory (buffer, memory_of (bytes->data + at, end - at, way));
    at = end;
  }
}

static GstBuffer *
laid_out (GstBuffer *plain, const GstVideoInfo *info, const Way *way)
{
  const guint n = GST_VIDEO_INFO_N_PLANES (info);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0 }, starts[GST_VIDEO_MAX_PLANES] = { 0 };
  gint stride[GST_VIDEO_MAX_PLANES] = { 0 };
  GstBuffer *buffer = gst_buffer_new ();
  GstVideoFrame frame;

  g_assert_true (gst_video_frame_map (&frame, info, plain, GST_MAP_READ));
  for (guint k = 0; k < n; k++) {
    const guint plane = way->backwards ? n - 1 - k : k;
    const guint rows = plane_rows (info, plane);
    const gint row = GST_VIDEO_FRAME_PLANE_STRIDE (&frame, plane);
    const gint pad = way->pad + (way->pad > 0 ? (gint) plane : 0);

    starts[plane] = bytes->len;
    g_byte_array_set_size (bytes, bytes->len + (guint) way->gap);
    offset[plane] = bytes->len;
    stride[plane] = row + pad;
    for (guint y = 0; y < rows; y++) {
      const guint from = way->flip ? rows - 1 - y : y;

      g_byte_array_append (bytes,
          (guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, plane) + (gsize) from * (gsize) row,
          (guint) row);
      if (y + 1 < rows)
        g_byte_array_set_size (bytes, bytes->len + (guint) pad);
    }
    if (way->flip) {
      offset[plane] += (gsize) (rows - 1) * (gsize) stride[plane];
      stride[plane] = -stride[plane];
    }
  }
  gst_video_frame_unmap (&frame);
  append_memories (buffer, bytes, way, starts, n);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT (info),
      (guint) GST_VIDEO_INFO_WIDTH (info), (guint) GST_VIDEO_INFO_HEIGHT (info), n, offset, stride);
  return buffer;
}

static void
test_layouts (void)
{
  static const struct {
    int width, height;
  } sizes[] = { { 61, 47 }, { 2, 2 }, { 1, 1 } };
  static const char *const formats[] = { "I420", "NV12", "YV12", "YUY2", "Y42B", "Y444", "P010_10LE",
    "RGB", "BGRx", "RGBP", "GRAY8" };

  for (gsize f = 0; f < G_N_ELEMENTS (formats); f++)
    for (gsize s = 0; s < G_N_ELEMENTS (sizes); s++) {
      const GstVideoInfo info = info_of (formats[f], sizes[s].width, sizes[s].height, NULL);
      g_autoptr (GstBuffer) plain = frame_new (&info, (guint32) f);
      int width, height;
      g_autofree guint8 *want = seen_of (plain, &info, NULL, &width, &height);

      for (gsize w = 0; w < G_N_ELEMENTS (ways); w++) {
        g_autoptr (GstBuffer) buffer = laid_out (plain, &info, &ways[w]);
        g_autofree guint8 *rgb = seen_of (buffer, &info, NULL, &width, &height);

        if (s == 0)
          g_test_message ("%s, %s: %u memories", formats[f], ways[w].name,
              gst_buffer_n_memory (buffer));
        g_assert_nonnull (rgb);
        g_assert_cmpint (difference (rgb, width, height, want, width, 0, 0), ==, 0);
      }
    }
}

/* --- crops --- */

/* A frame of 64 × 48 of which a part is shown. Formats with subsampled chroma begin on a sample of it. */
static void
test_crops (void)
{
  static const struct {
    const char *format;
    GstVideoRectangle crop, region, seen;
  } cases[] = {
    { "RGB", { 5, 7, 20, 10 }, { 0, 0, 20, 10 }, { 5, 7, 20, 10 } },
    { "RGB", { 5, 7, 20, 10 }, { 3, 2, 4, 5 }, { 8, 9, 4, 5 } },
    { "GRAY8", { 63, 47, 1, 1 }, { 0, 0, 1, 1 }, { 63, 47, 1, 1 } },
    { "I420", { 4, 6, 20, 10 }, { 0, 0, 20, 10 }, { 4, 6, 20, 10 } },
    { "I420", { 5, 7, 20, 10 }, { 0, 0, 20, 10 }, { 6, 8, 19, 9 } },
    { "I420", { 5, 7, 1, 1 }, { 0, 0, 1, 1 }, { 4, 6, 2, 2 } },
    { "NV12", { 5, 6, 20, 10 }, { 4, 4, 6, 6 }, { 10, 10, 5, 6 } },
    { "YUY2", { 5, 7, 20, 10 }, { 0, 0, 20, 10 }, { 6, 7, 19, 10 } },
    { "Y444", { 5, 7, 20, 10 }, { 0, 0, 20, 10 }, { 5, 7, 20, 10 } },
    { "P010_10LE", { 2, 2, 60, 44 }, { 0, 0, 60, 44 }, { 2, 2, 60, 44 } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const GstVideoRectangle *crop = &cases[i].crop, *seen = &cases[i].seen;
    const GstVideoInfo full = info_of (cases[i].format, 64, 48, "bt601");
    const GstVideoInfo info = info_of (cases[i].format, crop->w, crop->h, "bt601");
    g_autoptr (GstBuffer) plain = frame_new (&full, 3);
    int width, height;
    g_autofree guint8 *want = seen_of (plain, &full, NULL, &width, &height), *rgb = NULL;

    for (gsize w = 0; w < G_N_ELEMENTS (ways); w++) {
      g_autoptr (GstBuffer) buffer = laid_out (plain, &full, &ways[w]);
      GstVideoCropMeta *meta = gst_buffer_add_video_crop_meta (buffer);

      meta->x = (guint) crop->x;
      meta->y = (guint) crop->y;
      meta->width = (guint) crop->w;
      meta->height = (guint) crop->h;
      rgb = seen_of (buffer, &info, &cases[i].region, &width, &height);
      g_assert_nonnull (rgb);
      g_assert_cmpint (width, ==, seen->w);
      g_assert_cmpint (height, ==, seen->h);
      g_assert_cmpint (difference (rgb, width, height, want, 64, seen->x, seen->y), ==, 0);
      g_clear_pointer (&rgb, g_free);
    }
    g_test_message ("%s, %d+%d %d+%d: sees %d+%d %d+%d", cases[i].format, crop->x, crop->w, crop->y,
        crop->h, seen->x, seen->w, seen->y, seen->h);
  }
}

/* A crop of another size than the caps is shown scaled; regions count in the caps' pixels. */
static void
test_scaled_crop (void)
{
  const GstVideoInfo full = info_of ("RGB", 64, 48, NULL), info = info_of ("RGB", 120, 20, NULL);
  const GstVideoRectangle region = { 60, 10, 30, 10 };
  g_autoptr (GstBuffer) plain = frame_new (&full, 3), buffer = laid_out (plain, &full, &ways[0]);
  GstVideoCropMeta *meta = gst_buffer_add_video_crop_meta (buffer);
  int width, height;
  g_autofree guint8 *want = seen_of (plain, &full, NULL, &width, &height), *rgb = NULL;

  meta->x = 2;
  meta->y = 4;
  meta->width = 60;
  meta->height = 40;
  rgb = seen_of (buffer, &info, &region, &width, &height);
  g_assert_cmpint (width, ==, 15);
  g_assert_cmpint (height, ==, 20);
  g_assert_cmpint (difference (rgb, width, height, want, 64, 32, 24), ==, 0);
}

/* --- metadata that is wrong --- */

typedef struct {
  const char *name;
  gsize size; /* bytes of the buffer */
  gboolean video, crop;
  const char *format;
  guint width, height;
  gsize offset[GST_VIDEO_MAX_PLANES];
  gint stride[GST_VIDEO_MAX_PLANES];
  guint cx, cy, cw, ch;
  gboolean good;
} Claim;

/* An I420 frame of 16 × 8: 192 bytes. */
static Claim claims[] = {
  { "plain", 192, .good = TRUE },
  { "a byte too few", 191 },
  { "empty", 0 },
  { "said again", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, 160 }, { 16, 8, 8 }, .good = TRUE },
  { "another format", 192, TRUE, FALSE, "NV12", 16, 8, { 0, 128 }, { 16, 16 } },
  { "smaller than the caps", 192, TRUE, FALSE, "I420", 8, 8, { 0, 128, 160 }, { 16, 8, 8 } },
  { "larger, but all there", 192, TRUE, FALSE, "I420", 16, 80, { 0, 128, 160 }, { 16, 8, 8 },
      .good = TRUE },
  { "a plane past the end", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, 192 }, { 16, 8, 8 } },
  { "a plane that ends past the end", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, 161 }, { 16, 8, 8 } },
  { "an offset of 2^63", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, (gsize) 1 << 63 }, { 16, 8, 8 } },
  { "rows too far apart", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, 160 }, { 28, 8, 8 } },
  { "rows of 2 GiB", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, 160 }, { G_MAXINT, 8, 8 } },
  { "rows before the beginning", 192, TRUE, FALSE, "I420", 16, 8, { 16, 128, 160 }, { -16, 8, 8 } },
  { "rows one upon another", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, 160 }, { 15, 8, 8 } },
  { "no rows at all", 192, TRUE, FALSE, "I420", 16, 8, { 0, 128, 160 }, { 0, 0, 0 } },
  { "an empty crop", 192, FALSE, TRUE, .cx = 4, .cy = 4 },
  { "a crop outside", 192, FALSE, TRUE, .cx = 16, .cy = 0, .cw = 4, .ch = 4 },
  { "a crop that sticks out", 192, FALSE, TRUE, .cx = 8, .cy = 4, .cw = G_MAXUINT, .ch = G_MAXUINT,
      .good = TRUE },
  { "a crop at the end of numbers", 192, FALSE, TRUE, .cx = G_MAXUINT, .cy = G_MAXUINT, .cw = 1,
      .ch = 1 },
  { "a crop of a frame too large", 192, TRUE, TRUE, "I420", 16, 80, { 0, 128, 160 }, { 16, 8, 8 }, 0,
      60, 16, 8 },
  { "an endless frame", 192, TRUE, FALSE, "I420", G_MAXUINT, G_MAXUINT, { 0, 128, 160 }, { 16, 8, 8 } },
};

/* Each is refused with a sentence or read within its memory, which sanitizers watch. */
static void
test_wrong_metadata (void)
{
  const GstVideoInfo info = info_of ("I420", 16, 8, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (claims); i++) {
    Claim *c = &claims[i];
    g_autofree guint8 *bytes = g_malloc0 (MAX (c->size, 1)), *rgb = NULL;
    g_autoptr (GstBuffer) buffer = gst_buffer_new ();
    int width, height;

    if (c->size > 0)
      gst_buffer_append_memory (buffer, memory_of (bytes, c->size, &ways[0]));
    if (c->video) {
      const GstVideoFormat format = gst_video_format_from_string (c->format);

      gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE, format, c->width, c->height,
          gst_video_format_get_info (format)->n_planes, c->offset, c->stride);
    }
    if (c->crop) {
      GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta (buffer);

      crop->x = c->cx;
      crop->y = c->cy;
      crop->width = c->cw;
      crop->height = c->ch;
    }
    rgb = seen_of (buffer, &info, NULL, &width, &height);
    g_test_message ("%s: %s", c->name, rgb != NULL ? "seen" : "refused");
    g_assert_true ((rgb != NULL) == c->good);
  }
}

int
main (int argc, char **argv)
{
  char message[OPS_MESSAGE];
  int failed;

  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  ops = ops_open (&(OpsOptions){ 0 }, message);
  g_assert_nonnull (ops);
  g_test_add_func ("/pixels/formats", test_formats);
  g_test_add_func ("/pixels/layouts", test_layouts);
  g_test_add_func ("/pixels/crops", test_crops);
  g_test_add_func ("/pixels/scaled-crop", test_scaled_crop);
  g_test_add_func ("/pixels/wrong-metadata", test_wrong_metadata);
  failed = g_test_run ();
  ops->close (ops);
  return failed;
}
