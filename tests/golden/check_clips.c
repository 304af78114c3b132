/* check_clips: nano finds the cars of the clips through a real pipeline, however the engine is set
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: check_clips MODEL CLIP…   (each with its ground truth beside it as .jsonl)
 *
 * Per clip: filesrc ! decodebin ! videoconvert ! dsvl2infer ! appsink, every frame analysed. The boxes are
 * compared with the ground truth; then other instruction sets (those that this processor has), prefill chunks
 * and queues must give the same text for every third frame, and quantised weights boxes as good. */
#include "dsvl2.h"
#include "play.h"
#include "truth.h"
#include <gst/gst.h>
#include <string.h>

/* Measured: mean IoU 0.934, 0.926 and 0.941, every car found, nothing invented; with int8 0.935,
 * 0.921 and 0.942, with int4 0.920, 0.935 and 0.929. */
static const double LEAST_MEAN_IOU = 0.90, LEAST_RECALL = 0.97, LEAST_PRECISION = 0.97;

enum { CAR = 0 };

static const struct {
  const char *isa; /* that this needs, or NULL */
  const char *properties;
} variants[] = {
  { "c", "isa=c" },
  { "avx2", "isa=avx2" },
  { "avx512", "isa=avx512" },
  { NULL, "prefill-chunk=7" },
  { NULL, "max-queue=5" },
};
static const char *const quantised[] = { "weights=int8", "weights=int4" };
#define EVERY_THIRD "interval=300000000" /* ns, at ten frames a second */

static int failures;

static void G_GNUC_PRINTF (2, 3) report (gboolean good, const char *format, ...)
{
  va_list arguments;
  g_autofree char *line = NULL;

  va_start (arguments, format);
  line = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_print ("%s %s\n", good ? "ok    " : "FAILED", line);
  failures += !good;
}

/* The boxes of a "dsvl2-result" structure. */
static TruthBox *
boxes_of (const GstStructure *result, int *n)
{
  const GValue *objects = gst_structure_get_value (result, "objects");
  TruthBox *boxes;

  *n = objects != NULL ? gst_value_array_get_size (objects) : 0;
  boxes = g_new0 (TruthBox, *n + 1);
  for (int i = 0; i < *n; i++) {
    const GstStructure *o = gst_value_get_structure (gst_value_array_get_value (objects, i));
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;

    gst_structure_get (o, "x_min", G_TYPE_DOUBLE, &x0, "y_min", G_TYPE_DOUBLE, &y0, "x_max",
        G_TYPE_DOUBLE, &x1, "y_max", G_TYPE_DOUBLE, &y1, NULL);
    boxes[i] = (TruthBox){ x0, y0, x1, y1 };
  }
  return boxes;
}

/* The answer that a buffer carries about itself, or NULL. */
static const GstStructure *
own_result (GstBuffer *buffer)
{
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "dsvl2-result");
  const GstStructure *result = meta != NULL ? gst_custom_meta_get_structure (meta) : NULL;
  guint64 seen = GST_CLOCK_TIME_NONE;

  if (result != NULL)
    gst_structure_get_uint64 (result, "seen-pts", &seen);
  return seen == GST_BUFFER_PTS (buffer) ? result : NULL;
}

static gboolean
keep_answer (GstSample *sample, gpointer user_data, GError **error)
{
  const GstStructure *result = own_result (gst_sample_get_buffer (sample));

  g_ptr_array_add (user_data,
      result != NULL ? gst_structure_copy (result) : gst_structure_new_empty ("none"));
  return TRUE;
}

/* A copy of each frame's answer, an empty structure for a frame that has none; NULL if the pipeline
 * failed. */
static GPtrArray *
analyse (const char *model, const char *clip, const char *properties)
{
  g_autofree char *text =
      g_strdup_printf ("filesrc name=source ! decodebin ! videoconvert ! dsvl2infer name=infer "
                       "prompt=\"find cars\" mode=offline %s ! appsink name=sink sync=false",
          properties);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (text, &error);
  g_autoptr (GstElement) infer = NULL;
  g_autoptr (GPtrArray) answers = g_ptr_array_new_with_free_func ((GDestroyNotify) gst_structure_free);

  if (error == NULL) {
    infer = gst_bin_get_by_name (GST_BIN (pipeline), "infer");
    g_object_set (infer, "model", model, NULL);
    play_to_end (pipeline, clip, keep_answer, answers, &error);
  }
  if (error == NULL)
    return g_steal_pointer (&answers);
  report (FALSE, "%s: %s", text, error->message);
  return NULL;
}

static const char *
text_of (const GPtrArray *answers, guint i)
{
  return gst_structure_get_string (answers->pdata[i], "text");
}

static void
check_truth (const char *name, const GPtrArray *answers, const GPtrArray *truth)
{
  TruthScore score = { 0 };
  int absent = 0, refused = 0;

  for (guint i = 0; i < truth->len; i++) {
    const TruthFrame *frame = truth->pdata[i];
    int n;
    g_autofree TruthBox *boxes = boxes_of (answers->pdata[i], &n);

    if (truth_count (frame, CAR, 0) > 0) {
      truth_score_add (&score, frame, CAR, boxes, n);
    } else {
      absent++;
      refused += g_strcmp0 (text_of (answers, i), " There is no car in the image.") == 0;
    }
  }
  report (truth_score_mean_iou (&score) >= LEAST_MEAN_IOU, "%s: mean IoU %.3f (at least %.2f)", name,
      truth_score_mean_iou (&score), LEAST_MEAN_IOU);
  report (truth_score_recall (&score) >= LEAST_RECALL, "%s: %d of %d cars found (at least %.2f)", name,
      score.matched, score.truth, LEAST_RECALL);
  report (truth_score_precision (&score) >= LEAST_PRECISION, "%s: %d of %d boxes right (at least %.2f)",
      name, score.matched, score.said, LEAST_PRECISION);
  report (refused == absent, "%s: %d of %d frames without cars said so", name, refused, absent);
}

static void
check_same (const char *name, const char *variant, const GPtrArray *usual, const GPtrArray *other)
{
  guint differ = 0, asked = 0;

  for (guint i = 0; i < MIN (usual->len, other->len); i++) {
    const char *text = text_of (other, i);

    if (text == NULL)
      continue;
    asked++;
    if (g_strcmp0 (text_of (usual, i), text) != 0 && differ++ == 0)
      g_print ("       frame %u:%s, with %s:%s\n", i, text_of (usual, i), variant, text);
  }
  report (differ == 0 && asked >= usual->len / 3 && usual->len == other->len,
      "%s: %s: %u of %u answers differ", name, variant, differ, asked);
}

/* Whether an engine opens with this instruction set; prints why not. */
static gboolean
has_isa (const char *dir, const char *isa)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Model) model = dsvl2_model_open (dir, &error);
  g_autoptr (Dsvl2Engine) engine =
      model != NULL ? dsvl2_engine_open (model, &(Dsvl2EngineOptions){ .isa = isa }, &error) : NULL;

  if (engine == NULL)
    g_print ("skip   isa=%s: %s\n", isa, error->message);
  return engine != NULL;
}

static void
check_clip (const char *model, const char *clip)
{
  g_autofree char *name = g_path_get_basename (clip);
  g_autofree char *base = g_strndup (clip, strlen (clip) - strlen (strrchr (clip, '.')));
  g_autofree char *truth_path = g_strconcat (base, ".jsonl", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) truth = truth_load (truth_path, &error);
  g_autoptr (GPtrArray) usual = analyse (model, clip, "");

  if (truth == NULL || usual == NULL || usual->len != truth->len) {
    report (FALSE, "%s: %s", name,
        error != NULL ? error->message : "not as many frames as there should be");
    return;
  }
  check_truth (name, usual, truth);
  for (guint w = 0; w < G_N_ELEMENTS (quantised); w++) {
    g_autofree char *title = g_strdup_printf ("%s, %s", name, quantised[w]);
    g_autoptr (GPtrArray) other = analyse (model, clip, quantised[w]);

    if (other != NULL && other->len == truth->len)
      check_truth (title, other, truth);
    else
      report (FALSE, "%s: not as many frames as there should be", title);
  }
  for (guint v = 0; v < G_N_ELEMENTS (variants); v++) {
    g_autofree char *properties = g_strconcat (EVERY_THIRD " ", variants[v].properties, NULL);
    g_autoptr (GPtrArray) other = NULL;

    if (variants[v].isa != NULL && !has_isa (model, variants[v].isa))
      continue;
    other = analyse (model, clip, properties);
    if (other != NULL)
      check_same (name, variants[v].properties, usual, other);
  }
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  if (argc < 3) {
    g_printerr ("usage: check_clips MODEL CLIP…\n");
    return 2;
  }
  for (int i = 2; i < argc; i++)
    check_clip (argv[1], argv[i]);
  return failures > 0;
}
