/* tests: ground truth of frames, and scores
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "truth.h"
#include <gio/gio.h>
#include <json-glib/json-glib.h>

static const float MATCH = 0.5f;   /* IoU from which a box is right */
static const float PARTIAL = 0.3f; /* IoU with a mostly hidden object that excuses a box */

const TruthKind truth_kinds[N_KINDS] = {
  { "car", "cars" },
  { "bus", "buses" },
  { "truck", "trucks" },
  { "bicycle", "bicycles" },
  { "person", "people" },
  { "dog", "dogs" },
  { "cat", "cats" },
  { "traffic light", "traffic lights" },
};

const char *const truth_untaught[N_UNTAUGHT] = { "birds", "horses", "cows", "sheep", "elephants",
  "bears", "zebras", "giraffes", "airplanes", "boats", "trains", "motorcycles", "benches", "umbrellas",
  "handbags", "ties", "suitcases", "kites", "skateboards", "surfboards", "bottles", "cups", "forks",
  "knives", "spoons", "bowls", "bananas", "apples", "sandwiches", "oranges", "carrots", "pizzas",
  "donuts", "cakes", "chairs", "couches", "beds", "tables", "toilets", "televisions", "laptops",
  "keyboards", "phones", "ovens", "books", "clocks", "vases", "scissors", "flowers", "houses" };

static void
frame_free (gpointer data)
{
  TruthFrame *frame = data;

  g_free (frame->objects);
  g_free (frame->caption);
  g_free (frame);
}

static int
kind_of (const char *name)
{
  for (int k = 0; k < N_KINDS; k++)
    if (g_strcmp0 (truth_kinds[k].name, name) == 0)
      return k;
  return -1;
}

static gboolean
read_object (JsonObject *in, double width, double height, TruthObject *out)
{
  double x = json_object_get_double_member_with_default (in, "x", -1);
  double y = json_object_get_double_member_with_default (in, "y", -1);

  out->kind = kind_of (json_object_get_string_member_with_default (in, "roi_type", ""));
  out->box.x0 = x / width;
  out->box.y0 = y / height;
  out->box.x1 = (x + json_object_get_double_member_with_default (in, "w", 0)) / width;
  out->box.y1 = (y + json_object_get_double_member_with_default (in, "h", 0)) / height;
  out->visible = json_object_get_double_member_with_default (in, "visible", 1);
  return out->kind >= 0 && x >= 0 && y >= 0 && out->box.x1 > out->box.x0 && out->box.y1 > out->box.y0;
}

static TruthFrame *
read_frame (const char *line, GError **error)
{
  g_autoptr (JsonNode) node = json_from_string (line, error);
  JsonObject *object, *resolution;
  JsonArray *objects;
  double width, height;
  TruthFrame *frame;
  gboolean good = TRUE;

  if (node == NULL)
    return NULL;
  if (!JSON_NODE_HOLDS_OBJECT (node) ||
      !json_object_has_member (json_node_get_object (node), "objects") ||
      !json_object_has_member (json_node_get_object (node), "resolution")) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "it is not an object with \"resolution\" and \"objects\"");
    return NULL;
  }
  object = json_node_get_object (node);
  resolution = json_object_get_object_member (object, "resolution");
  width = json_object_get_double_member_with_default (resolution, "width", 0);
  height = json_object_get_double_member_with_default (resolution, "height", 0);
  objects = json_object_get_array_member (object, "objects");
  frame = g_new0 (TruthFrame, 1);
  frame->timestamp = json_object_get_int_member_with_default (object, "timestamp", 0);
  frame->caption = g_strdup (json_object_get_string_member_with_default (object, "caption", NULL));
  frame->n_objects = json_array_get_length (objects);
  frame->objects = g_new0 (TruthObject, frame->n_objects);
  for (int i = 0; i < frame->n_objects; i++)
    good =
        read_object (json_array_get_object_element (objects, i), width, height, frame->objects + i) &&
        good;
  if (!good || width <= 0 || height <= 0) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
        "an object has an unknown roi_type or no box in the frame");
    g_clear_pointer (&frame, frame_free);
  }
  return frame;
}

GPtrArray *
truth_load (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (GPtrArray) frames = g_ptr_array_new_with_free_func (frame_free);

  if (!g_file_get_contents (path, &text, NULL, error))
    return NULL;
  lines = g_strsplit (text, "\n", -1);
  for (int i = 0; lines[i] != NULL; i++) {
    TruthFrame *frame;

    if (*lines[i] == '\0')
      continue;
    frame = read_frame (lines[i], error);
    if (frame == NULL) {
      g_prefix_error (error, "%s, line %d: ", path, i + 1);
      return NULL;
    }
    g_ptr_array_add (frames, frame);
  }
  return g_steal_pointer (&frames);
}

int
truth_count (const TruthFrame *frame, int kind, float least)
{
  int n = 0;

  for (int i = 0; i < frame->n_objects; i++)
    n += frame->objects[i].kind == kind && frame->objects[i].visible >= least;
  return n;
}

static float
iou (const TruthBox *a, const TruthBox *b)
{
  float w = MAX (0, MIN (a->x1, b->x1) - MAX (a->x0, b->x0));
  float h = MAX (0, MIN (a->y1, b->y1) - MAX (a->y0, b->y0));
  float both = (a->x1 - a->x0) * (a->y1 - a->y0) + (b->x1 - b->x0) * (b->y1 - b->y0);

  return both > w * h ? w * h / (both - w * h) : 0;
}

static gboolean
is_whole (const TruthObject *o)
{
  return o->visible * 100 >= TRUTH_WHOLE_PERCENT;
}

/* The untaken whole object that a box covers best, or -1; *best is their IoU. */
static int
best_object (const TruthFrame *frame, int kind, const TruthBox *box, const gboolean *taken, float *best)
{
  int found = -1;

  *best = MATCH;
  for (int i = 0; i < frame->n_objects; i++) {
    const TruthObject *o = frame->objects + i;

    if (o->kind == kind && is_whole (o) && !taken[i] && iou (box, &o->box) >= *best) {
      *best = iou (box, &o->box);
      found = i;
    }
  }
  return found;
}

static gboolean
on_partial_object (const TruthFrame *frame, int kind, const TruthBox *box)
{
  for (int i = 0; i < frame->n_objects; i++) {
    const TruthObject *o = frame->objects + i;

    if (o->kind == kind && !is_whole (o) && iou (box, &o->box) >= PARTIAL)
      return TRUE;
  }
  return FALSE;
}

void
truth_score_add (TruthScore *score, const TruthFrame *frame, int kind, const TruthBox *said, int n_said)
{
  g_autofree gboolean *taken = g_new0 (gboolean, frame->n_objects + 1);
  int truth = truth_count (frame, kind, TRUTH_WHOLE_PERCENT / 100.f), counted = 0;

  for (int i = 0; i < n_said; i++) {
    float best;
    int found = best_object (frame, kind, said + i, taken, &best);

    if (found >= 0) {
      taken[found] = TRUE;
      score->matched++;
      score->iou += best;
    }
    counted += found >= 0 || !on_partial_object (frame, kind, said + i);
  }
  score->said += counted;
  score->truth += truth;
  score->questions++;
  score->exact += counted == truth;
}

double
truth_score_recall (const TruthScore *score)
{
  return score->truth > 0 ? (double) score->matched / score->truth : 1;
}

double
truth_score_precision (const TruthScore *score)
{
  return score->said > 0 ? (double) score->matched / score->said : 1;
}

double
truth_score_mean_iou (const TruthScore *score)
{
  return score->matched > 0 ? score->iou / score->matched : 0;
}
