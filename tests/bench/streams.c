/* tests: what streams gain from sharing an engine
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * streams [MODEL [STREAMS [FRAMES]]]: the same streams one after another, all at once with an engine each, and all
 * at once with one engine, in turn, three laps: answers per second, the best lap of each, and whether the
 * texts are the same. Needs dsvl2infer in GST_PLUGIN_PATH; without a model, the default one. */
#include <gst/gst.h>
#include <stdlib.h>

enum { LAPS = 3, MAX_STREAMS = 21 /* patterns of videotestsrc that differ */ };

typedef enum { ONE_BY_ONE, ENGINE_EACH, SHARED, N_WAYS } Way;

static const char *const way_names[] = { "one after another", "at once, an engine each",
  "at once, one engine" };

static void
append_stream (GString *launch, int i, int frames, const char *model, Way way)
{
  g_string_append_printf (launch,
      "videotestsrc pattern=%d num-buffers=%d ! video/x-raw,format=I420,width=320,height=240 ! "
      "dsvl2infer "
      "name=stream%02d prompt=\"Describe this image.\" max-new-tokens=32 cropping=off mode=offline ",
      i, frames, i);
  if (model != NULL)
    g_string_append_printf (launch, "model=\"%s\" ", model);
  if (way == ENGINE_EACH)
    g_string_append_printf (launch, "engine-id=%d ", i);
  g_string_append (launch, "! fakesink ");
}

/* Plays a pipeline to its end; adds a line for each answer, its stream's name first. */
static gboolean
play (const char *launch, GPtrArray *answers, GError **error)
{
  g_autoptr (GstElement) pipeline = gst_parse_launch (launch, error);
  g_autoptr (GstBus) bus = NULL;
  gboolean more = TRUE, good = TRUE;

  if (pipeline == NULL)
    return FALSE;
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (more) {
    g_autoptr (GstMessage) m = gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE,
        GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);

    if (GST_MESSAGE_TYPE (m) == GST_MESSAGE_ERROR) {
      gst_message_parse_error (m, error, NULL);
      more = good = FALSE;
    } else if (GST_MESSAGE_TYPE (m) == GST_MESSAGE_EOS) {
      more = FALSE;
    } else if (gst_message_has_name (m, "dsvl2-result")) {
      const GstStructure *s = gst_message_get_structure (m);
      guint64 pts = 0;

      gst_structure_get_uint64 (s, "seen-pts", &pts);
      g_ptr_array_add (answers,
          g_strdup_printf ("%s %012" G_GUINT64_FORMAT " %s", GST_MESSAGE_SRC_NAME (m), pts,
              gst_structure_get_string (s, "text")));
    }
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return good;
}

static int
by_text (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(char *const *) a, *(char *const *) b);
}

/* All streams in one way. Seconds that they took, or −1; their answers in the order of streams and frames. */
static double
run (Way way, const char *model, int streams, int frames, char **text, int *n_answers, GError **error)
{
  g_autoptr (GPtrArray) answers = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) launch = g_string_new (NULL);
  const gint64 began = g_get_monotonic_time ();
  double seconds;

  for (int i = 0; i < streams; i++) {
    append_stream (launch, i, frames, model, way);
    if (way != ONE_BY_ONE && i + 1 < streams)
      continue;
    if (!play (launch->str, answers, error))
      return -1;
    g_string_truncate (launch, 0);
  }
  seconds = (double) (g_get_monotonic_time () - began) * 1e-6;
  *n_answers = (int) answers->len;
  g_ptr_array_sort (answers, by_text);
  g_ptr_array_add (answers, NULL);
  *text = g_strjoinv ("\n", (char **) answers->pdata);
  return seconds;
}

/* An element that keeps the model open, so that no lap reads it. */
static GstElement *
keep_model (const char *model)
{
  GstElement *keeper = gst_element_factory_make ("dsvl2infer", NULL);

  if (keeper != NULL) {
    g_object_set (keeper, "model", model, "engine-id", "keeper", NULL);
    gst_element_set_state (keeper, GST_STATE_PAUSED);
  }
  return keeper;
}

int
main (int argc, char **argv)
{
  const char *model = argc > 1 ? argv[1] : NULL;
  const int streams = argc > 2 ? atoi (argv[2]) : 16, frames = argc > 3 ? atoi (argv[3]) : 4;
  double best[N_WAYS] = { 0 };
  g_autofree char *first = NULL;
  g_autoptr (GError) error = NULL;
  GstElement *keeper;
  gboolean same = TRUE;

  gst_init (&argc, &argv);
  keeper = keep_model (model);
  if (keeper == NULL || streams < 1 || streams > MAX_STREAMS || frames < 1) {
    g_printerr ("dsvl2infer was expected in GST_PLUGIN_PATH, and 1 to %d streams of 1 frame or more.\n",
        MAX_STREAMS);
    return 2;
  }
  for (int lap = 0; lap < LAPS; lap++) {
    for (Way way = 0; way < N_WAYS; way++) {
      g_autofree char *text = NULL;
      int n = 0;
      const double seconds = run (way, model, streams, frames, &text, &n, &error);

      if (seconds < 0) {
        g_printerr ("%s\n", error->message);
        return 1;
      }
      best[way] = MAX (best[way], n / seconds);
      if (first == NULL)
        first = g_steal_pointer (&text);
      else
        same = same && g_str_equal (text, first);
    }
  }
  for (Way way = 0; way < N_WAYS; way++)
    g_print ("%d streams %-24s %7.2f answers/s   %.2f ×\n", streams, way_names[way], best[way],
        best[way] / best[ONE_BY_ONE]);
  g_print ("the texts are %s\n", same ? "the same" : "NOT the same");
  gst_element_set_state (keeper, GST_STATE_NULL);
  gst_object_unref (keeper);
  return same ? 0 : 1;
}
