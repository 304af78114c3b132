/* dsvl2: which regions of a frame are asked about
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "regions.h"
#include "found.h"
#include "labels.h"
#include "prompts.h"
#include <math.h>

/* x, y, width, height as the user has them. */
typedef struct {
  double number[4];
  gboolean hundredths[4];
} Named;

struct _Regions {
  char *roi, *labels_text;
  GArray *named; /* of Named */
  Labels *labels;
  GArray *found; /* of Region */
  int told_width, told_height;
};

Regions *
regions_new (void)
{
  Regions *r = g_new0 (Regions, 1);

  r->named = g_array_new (FALSE, FALSE, sizeof (Named));
  r->found = g_array_new (FALSE, FALSE, sizeof (Region));
  return r;
}

void
regions_free (Regions *r)
{
  g_free (r->roi);
  g_free (r->labels_text);
  g_array_unref (r->named);
  labels_free (r->labels);
  g_array_unref (r->found);
  g_free (r);
}

/* --- what the user names --- */

static gboolean
parse_number (const char *text, double *number, gboolean *hundredths)
{
  char *end;

  *number = g_ascii_strtod (text, &end);
  if (end == text || !isfinite (*number) || *number < 0 || *number > G_MAXINT / 4)
    return FALSE;
  while (g_ascii_isspace (*end))
    end++;
  *hundredths = *end == '%';
  if (*hundredths)
    end++;
  while (g_ascii_isspace (*end))
    end++;
  return *end == '\0';
}

static gboolean
parse_named (const char *text, Named *named)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  if (g_strv_length (parts) != G_N_ELEMENTS (named->number))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (named->number); i++)
    if (!parse_number (parts[i], &named->number[i], &named->hundredths[i]))
      return FALSE;
  return named->number[2] > 0 && named->number[3] > 0;
}

static GArray *
parse_roi (const char *roi, GError **error)
{
  g_auto (GStrv) entries = prompts_split (roi);
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (Named));

  if (g_strv_length (entries) > REGIONS_MAX) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "roi: more than %d regions",
        REGIONS_MAX);
    return NULL;
  }
  for (guint i = 0; entries[i] != NULL; i++) {
    Named named;

    if (!parse_named (entries[i], &named)) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "roi: \"%s\" is not a region: write x,y,width,height, in pixels or, with %%, in hundredths "
          "of "
          "the frame",
          entries[i]);
      return NULL;
    }
    g_array_append_val (all, named);
  }
  return g_steal_pointer (&all);
}

gboolean
regions_configure (Regions *r, const char *roi, const char *labels, GError **error)
{
  g_autoptr (GArray) named = NULL;

  if (g_strcmp0 (roi, r->roi) == 0 && g_strcmp0 (labels, r->labels_text) == 0)
    return TRUE;
  g_free (r->roi);
  g_free (r->labels_text);
  r->roi = g_strdup (roi);
  r->labels_text = g_strdup (labels);
  r->told_width = r->told_height = 0;

  named = parse_roi (roi, error);
  if (named == NULL)
    return FALSE;
  g_array_unref (r->named);
  r->named = g_steal_pointer (&named);
  labels_free (r->labels);
  r->labels = labels_parse (labels, FALSE, NULL);
  return TRUE;
}

/* --- what is there --- */

/* The part of a rectangle that is inside the frame. Returns FALSE if none is. */
static gboolean
clip (gint64 x, gint64 y, gint64 w, gint64 h, const GstVideoInfo *info, GstVideoRectangle *place)
{
  const gint64 left = MAX (x, 0), right = MIN (x + w, GST_VIDEO_INFO_WIDTH (info));
  const gint64 top = MAX (y, 0), bottom = MIN (y + h, GST_VIDEO_INFO_HEIGHT (info));

  if (right <= left || bottom <= top)
    return FALSE;
  *place = (GstVideoRectangle){ (int) left, (int) top, (int) (right - left), (int) (bottom - top) };
  return TRUE;
}

static gboolean
place_named (const Named *named, const GstVideoInfo *info, GstVideoRectangle *place)
{
  const double size[] = { GST_VIDEO_INFO_WIDTH (info), GST_VIDEO_INFO_HEIGHT (info) };
  double pixels[4];
  gint64 begin[2], end[2];

  for (int i = 0; i < 4; i++)
    pixels[i] = named->hundredths[i] ? named->number[i] / 100 * size[i % 2] : named->number[i];
  for (int i = 0; i < 2; i++) {
    begin[i] = llround (pixels[i]);
    end[i] = MAX (llround (pixels[i] + pixels[i + 2]), begin[i] + 1);
  }
  return clip (begin[0], begin[1], end[0] - begin[0], end[1] - begin[1], info, place);
}

gboolean
regions_hull (const Regions *r, const GstVideoInfo *info, GstVideoRectangle *hull)
{
  int left = G_MAXINT, top = G_MAXINT, right = 0, bottom = 0;

  for (guint i = 0; i < r->named->len; i++) {
    GstVideoRectangle place;

    if (!place_named (&g_array_index (r->named, Named, i), info, &place))
      continue;
    left = MIN (left, place.x);
    top = MIN (top, place.y);
    right = MAX (right, place.x + place.w);
    bottom = MAX (bottom, place.y + place.h);
  }
  if (right <= left)
    return FALSE;
  *hull = (GstVideoRectangle){ left, top, right - left, bottom - top };
  return TRUE;
}

static void
add (Regions *r, const GstVideoRectangle *place, GQuark label, gint id)
{
  const Region region = { *place, label, id };

  if (r->found->len < REGIONS_MAX)
    g_array_append_val (r->found, region);
}

static gboolean
is_there (const Regions *r, const GstVideoRectangle *a, GQuark label)
{
  for (guint i = 0; i < r->found->len; i++) {
    const Region *region = &g_array_index (r->found, Region, i);
    const GstVideoRectangle *b = &region->place;

    if (region->label == label &&
        found_same_place ((gint64[]){ a->x, a->y, a->w, a->h }, (gint64[]){ b->x, b->y, b->w, b->h }))
      return TRUE;
  }
  return FALSE;
}

static gboolean
is_in_a_named_one (const Regions *r, const GstVideoRectangle *object, const GstVideoInfo *info)
{
  const int x = object->x + object->w / 2, y = object->y + object->h / 2;
  GstVideoRectangle p;

  for (guint i = 0; i < r->named->len; i++)
    if (place_named (&g_array_index (r->named, Named, i), info, &p) && x >= p.x && x < p.x + p.w &&
        y >= p.y && y < p.y + p.h)
      return TRUE;
  return r->named->len == 0;
}

/* Those that elements upstream found: anywhere, with any label. */
static void
add_objects (Regions *r, GstBuffer *frame, const GstVideoInfo *info)
{
  g_auto (FoundWalk) walk;
  Found f;

  found_begin (&walk, frame);
  while (found_next (&walk, &f)) {
    const char *name = g_quark_to_string (f.type);
    GstVideoRectangle place;

    if (name != NULL && g_utf8_validate (name, -1, NULL) && labels_match (r->labels, name, NULL) &&
        clip (f.x, f.y, f.w, f.h, info, &place) && is_in_a_named_one (r, &place, info) &&
        !is_there (r, &place, f.type))
      add (r, &place, f.type, f.id);
  }
}

const GArray *
regions_find (Regions *r, GstBuffer *frame, const GstVideoInfo *info, GError **error)
{
  const int width = GST_VIDEO_INFO_WIDTH (info), height = GST_VIDEO_INFO_HEIGHT (info);
  GstVideoRectangle place;

  if (r->named->len == 0 && r->labels == NULL)
    return NULL;
  g_array_set_size (r->found, 0);
  if (r->labels != NULL) {
    add_objects (r, frame, info);
  } else {
    for (guint i = 0; i < r->named->len; i++)
      if (place_named (&g_array_index (r->named, Named, i), info, &place))
        add (r, &place, 0, -1);
  }
  if (r->named->len > 0 && !regions_hull (r, info, &place) &&
      (r->told_width != width || r->told_height != height)) {
    r->told_width = width;
    r->told_height = height;
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
        "roi: \"%s\" lies outside the frames, which have %d × %d pixels: none is analysed", r->roi,
        width, height);
  }
  return r->found;
}
