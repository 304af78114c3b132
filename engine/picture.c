/* dsvl2: a picture: pixels that somebody else owns, and an identity that outlives them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "picture.h"
#include <math.h>

/* Where the three components of a format lie: plane, byte of the first sample, bytes from sample to
 * sample, log2 of the subsampling. */
typedef struct {
  int plane, first, step, shift_x, shift_y;
} Component;

typedef struct {
  const char *name;
  FrameColor color;
  int bits, n_planes;
  Component component[3];
} Layout;

static const Layout layouts[DSVL2_N_FORMATS] = {
  /* clang-format off */
  [DSVL2_FORMAT_RGB]   = { "RGB",   FRAME_RGB,  8, 1, { { 0, 0, 3 }, { 0, 1, 3 }, { 0, 2, 3 } } },
  [DSVL2_FORMAT_BGR]   = { "BGR",   FRAME_RGB,  8, 1, { { 0, 2, 3 }, { 0, 1, 3 }, { 0, 0, 3 } } },
  [DSVL2_FORMAT_RGBX]  = { "RGBx",  FRAME_RGB,  8, 1, { { 0, 0, 4 }, { 0, 1, 4 }, { 0, 2, 4 } } },
  [DSVL2_FORMAT_BGRX]  = { "BGRx",  FRAME_RGB,  8, 1, { { 0, 2, 4 }, { 0, 1, 4 }, { 0, 0, 4 } } },
  [DSVL2_FORMAT_XRGB]  = { "xRGB",  FRAME_RGB,  8, 1, { { 0, 1, 4 }, { 0, 2, 4 }, { 0, 3, 4 } } },
  [DSVL2_FORMAT_XBGR]  = { "xBGR",  FRAME_RGB,  8, 1, { { 0, 3, 4 }, { 0, 2, 4 }, { 0, 1, 4 } } },
  [DSVL2_FORMAT_RGBP]  = { "RGBP",  FRAME_RGB,  8, 3, { { 0, 0, 1 }, { 1, 0, 1 }, { 2, 0, 1 } } },
  [DSVL2_FORMAT_GRAY8] = { "GRAY8", FRAME_GREY, 8, 1, { { 0, 0, 1 } } },
  [DSVL2_FORMAT_I420]  = { "I420",  FRAME_YCBCR, 8, 3, { { 0, 0, 1 }, { 1, 0, 1, 1, 1 }, { 2, 0, 1, 1, 1 } } },
  [DSVL2_FORMAT_YV12]  = { "YV12",  FRAME_YCBCR, 8, 3, { { 0, 0, 1 }, { 2, 0, 1, 1, 1 }, { 1, 0, 1, 1, 1 } } },
  [DSVL2_FORMAT_Y42B]  = { "Y42B",  FRAME_YCBCR, 8, 3, { { 0, 0, 1 }, { 1, 0, 1, 1, 0 }, { 2, 0, 1, 1, 0 } } },
  [DSVL2_FORMAT_Y444]  = { "Y444",  FRAME_YCBCR, 8, 3, { { 0, 0, 1 }, { 1, 0, 1 }, { 2, 0, 1 } } },
  [DSVL2_FORMAT_NV12]  = { "NV12",  FRAME_YCBCR, 8, 2, { { 0, 0, 1 }, { 1, 0, 2, 1, 1 }, { 1, 1, 2, 1, 1 } } },
  [DSVL2_FORMAT_NV21]  = { "NV21",  FRAME_YCBCR, 8, 2, { { 0, 0, 1 }, { 1, 1, 2, 1, 1 }, { 1, 0, 2, 1, 1 } } },
  [DSVL2_FORMAT_YUY2]  = { "YUY2",  FRAME_YCBCR, 8, 1, { { 0, 0, 2 }, { 0, 1, 4, 1, 0 }, { 0, 3, 4, 1, 0 } } },
  [DSVL2_FORMAT_UYVY]  = { "UYVY",  FRAME_YCBCR, 8, 1, { { 0, 1, 2 }, { 0, 0, 4, 1, 0 }, { 0, 2, 4, 1, 0 } } },
  [DSVL2_FORMAT_P010_10LE] =
                         { "P010_10LE", FRAME_YCBCR, 16, 2, { { 0, 0, 2 }, { 1, 0, 4, 1, 1 }, { 1, 2, 4, 1, 1 } } },
  /* clang-format on */
};

/* R'G'B' from Y'CbCr by the standard's Kr and Kb (ITU-R BT.601, BT.709, BT.2020), in 1/65536ths. */
static void
color_matrix (Frame *frame, Dsvl2Matrix standard, bool full_range)
{
  static const struct {
    double kr, kb;
  } luma[] = {
    [DSVL2_MATRIX_BT601] = { 0.299, 0.114 },
    [DSVL2_MATRIX_BT709] = { 0.2126, 0.0722 },
    [DSVL2_MATRIX_BT2020] = { 0.2627, 0.0593 },
  };
  const double kr = luma[standard].kr, kb = luma[standard].kb, kg = 1 - kr - kb;
  const double y = full_range ? 1.0 : 255.0 / 219, c = full_range ? 1.0 : 255.0 / 224;
  const double matrix[3][3] = {
    { y, 0, c * 2 * (1 - kr) },
    { y, -c * 2 * (1 - kb) * kb / kg, -c * 2 * (1 - kr) * kr / kg },
    { y, c * 2 * (1 - kb), 0 },
  };

  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      frame->matrix[i][j] = (gint32) lround (matrix[i][j] * 65536);
  frame->offset[0] = full_range ? 0 : 16;
  frame->offset[1] = frame->offset[2] = 128;
}

bool
frame_from_public (Frame *frame, const Dsvl2Frame *from, GError **error)
{
  if ((guint) from->format >= DSVL2_N_FORMATS || (guint) from->matrix > DSVL2_MATRIX_BT2020) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE,
        "A frame has format %d and colour matrix %d, which are not among those of dsvl2.h",
        from->format, from->matrix);
    return false;
  }
  if (from->width < 1 || from->height < 1 || from->width > PICTURE_MAX_SIDE ||
      from->height > PICTURE_MAX_SIDE) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE,
        "A frame is %d × %d pixels; sides from 1 to %d are supported", from->width, from->height,
        PICTURE_MAX_SIDE);
    return false;
  }

  const Layout *layout = &layouts[from->format];
  const int n_components = layout->color == FRAME_GREY ? 1 : 3;
  *frame = (Frame){
    .width = from->width,
    .height = from->height,
    .color = layout->color,
    .bits = layout->bits,
    .context = from->cuda_context,
  };
  for (int i = 0; i < n_components; i++) {
    const Component *c = &layout->component[i];
    const int samples = (from->width + (1 << c->shift_x) - 1) >> c->shift_x;
    const int row_bytes = c->first + (samples - 1) * c->step + layout->bits / 8;

    if (from->plane[c->plane] == NULL || ABS ((gint64) from->stride[c->plane]) < row_bytes) {
      g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PICTURE,
          "Plane %d of a %d × %d %s frame %s; %d bytes a row were expected", c->plane, from->width,
          from->height, layout->name, from->plane[c->plane] ? "has too short a stride" : "is missing",
          row_bytes);
      return false;
    }
    frame->channel[i] = (FrameChannel){
      .data = from->plane[c->plane] + c->first,
      .row = from->stride[c->plane],
      .step = c->step,
      .shift_x = c->shift_x,
      .shift_y = c->shift_y,
    };
  }
  if (layout->color == FRAME_YCBCR)
    color_matrix (frame, from->matrix, from->full_range);
  return true;
}

Dsvl2Picture *
dsvl2_picture_new (const Dsvl2Frame *from, GDestroyNotify free, gpointer owner, GError **error)
{
  Frame frame;

  if (!frame_from_public (&frame, from, error))
    return NULL;

  Dsvl2Picture *picture = g_new0 (Dsvl2Picture, 1);
  g_atomic_ref_count_init (&picture->refs);
  picture->key = g_atomic_rc_box_new0 (PictureKey);
  picture->frame = frame;
  picture->free = free;
  picture->owner = owner;
  return picture;
}

Dsvl2Picture *
dsvl2_picture_ref (Dsvl2Picture *picture)
{
  g_atomic_ref_count_inc (&picture->refs);
  return picture;
}

void
dsvl2_picture_unref (Dsvl2Picture *picture)
{
  if (!g_atomic_ref_count_dec (&picture->refs))
    return;
  if (picture->free)
    picture->free (picture->owner);
  g_atomic_rc_box_release (picture->key);
  g_free (picture);
}
