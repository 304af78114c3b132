/* nano_eval: how well a model answers about frames of models/nano's world, through the public API
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: nano_eval [--model DIR] [--isa ISA] [--threads N] [--chunk N] [--weights W] FRAMES…
 *
 * FRAMES is a clip with its .jsonl beside it, or a folder that
 *   cd models/nano && python3 -m recipe.evaluate hf --scenes 300 --write FOLDER
 * wrote: 0000.ppm …, truth.jsonl, and answers.jsonl with what PyTorch answered to the same questions.
 * The questions are those of recipe/evaluate.py, and so is what counts as right; how many answers are
 * PyTorch's to the letter is printed too. */
#include "decoded.h"
#include "truth.h"
#include <gst/gst.h>
#include <json-glib/json-glib.h>
#include <string.h>

static const char *const numbers[] = { "no", "one", "two", "three", "four", "five", "six", "seven",
  "eight", "nine", "ten" };

typedef enum { FIND, ABSENT, UNTAUGHT, COUNT, IS_THERE, IS_NOT_THERE, DESCRIBE, N_TASKS } Task;
static const char *const task_names[N_TASKS] = { "find", "absent: said so",
  "untaught: said there is none", "count", "is there: Yes", "is there: No", "describe: all" };

typedef struct {
  int right, asked;
} Rate;

typedef struct {
  TruthScore find, find_kind[N_KINDS];
  Rate task[N_TASKS];
  Rate same; /* answers that are PyTorch's to the letter */
  int frames, tokens;
  gint64 vision_us, prefill_us, decode_us;
} Scores;

typedef struct {
  Task task;
  int kind;
  char *text,
      *want; /* want: the one right answer, of UNTAUGHT how it begins; NULL where boxes decide */
} Question;

static char *model_path, *isa, *weights;
static int threads, chunk;
static char **inputs;

static const GOptionEntry entries[] = {
  { "model", 0, 0, G_OPTION_ARG_FILENAME, &model_path, "The model's folder", "DIR" },
  { "isa", 0, 0, G_OPTION_ARG_STRING, &isa, "The newest instructions to use", "ISA" },
  { "weights", 0, 0, G_OPTION_ARG_STRING, &weights, "as-stored, int8 or int4", "TYPE" },
  { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "Threads", "N" },
  { "chunk", 0, 0, G_OPTION_ARG_INT, &chunk, "Prefill prompts N rows at a time", "N" },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &inputs, NULL, "FRAMES…" },
  { NULL },
};

static void
question_free (gpointer data)
{
  Question *q = data;

  g_free (q->text);
  g_free (q->want);
  g_free (q);
}

/* Takes the texts. */
static void
add (GPtrArray *questions, Task task, int kind, char *text, char *want)
{
  Question *q = g_new (Question, 1);

  *q = (Question){ task, kind, text, want };
  g_ptr_array_add (questions, q);
}

/* Four ways to ask for a kind; frames and kinds take turns. */
static char *
find_question (int frame, int kind)
{
  const char *plural = truth_kinds[kind].plural;

  switch ((frame + kind) % 4) {
    case 0:
      return g_strdup_printf ("find %s", plural);
    case 1:
      return g_strdup_printf ("find all the %s", plural);
    case 2:
      return g_strdup_printf ("Where are the %s?", plural);
    default:
      return g_strdup_printf ("<|ref|>the %s<|/ref|>.", plural);
  }
}

static char *
count_answer (int kind, int n)
{
  const TruthKind *k = truth_kinds + kind;

  return n == 1 ? g_strdup_printf (" There is one %s.", k->name)
                : g_strdup_printf (" There are %s %s.", numbers[MIN (n, 10)], k->plural);
}

/* All questions about frame number `number`. */
static GPtrArray *
plan (const TruthFrame *frame, int number)
{
  GPtrArray *questions = g_ptr_array_new_with_free_func (question_free);

  for (int k = 0; k < N_KINDS; k++) {
    const char *name = truth_kinds[k].name;
    int whole = truth_count (frame, k, TRUTH_WHOLE_PERCENT / 100.f), all = truth_count (frame, k, 0);

    if (whole > 0)
      add (questions, FIND, k, find_question (number, k), NULL);
    if (whole < all) /* one is half out of the frame: neither there nor not */
      continue;
    if (whole == 0)
      add (questions, ABSENT, k, find_question (number, k),
          g_strdup_printf (" There is no %s in the image.", name));
    add (questions, whole > 0 ? IS_THERE : IS_NOT_THERE, k, g_strdup_printf ("Is there a %s?", name),
        g_strdup (whole > 0 ? " Yes." : " No."));
    if (whole > 0)
      add (questions, COUNT, k, g_strdup_printf ("How many %s are there?", truth_kinds[k].plural),
          count_answer (k, whole));
  }
  add (questions, UNTAUGHT, -1, g_strconcat ("find ", truth_untaught[number % N_UNTAUGHT], NULL),
      g_strdup (" There is no "));
  if (frame->caption != NULL)
    add (questions, DESCRIBE, -1, g_strdup ("Describe this image."), g_strdup (frame->caption));
  return questions;
}

static Dsvl2Request *
submit (Dsvl2Engine *engine, Dsvl2Picture *picture, const char *question, GError **error)
{
  g_autofree char *text = g_strconcat ("<image>\n", question, NULL);
  const Dsvl2Message message = { DSVL2_ROLE_USER, text };

  return dsvl2_engine_submit (engine,
      &(Dsvl2Ask){ .messages = &message, .n_messages = 1, .pictures = &picture, .n_pictures = 1 },
      error);
}

static void
score_find (Scores *s, const TruthFrame *frame, int kind, const Dsvl2Result *result)
{
  g_autofree TruthBox *said = g_new (TruthBox, result->n_objects + 1);

  for (int i = 0; i < result->n_objects; i++) {
    const Dsvl2Object *o = result->objects + i;

    said[i] = (TruthBox){ o->x0, o->y0, o->x1, o->y1 };
  }
  truth_score_add (&s->find, frame, kind, said, result->n_objects);
  truth_score_add (&s->find_kind[kind], frame, kind, said, result->n_objects);
}

static gboolean
is_right (const Question *q, const char *text)
{
  return q->task == UNTAUGHT ? g_str_has_prefix (text, q->want) : strcmp (text, q->want) == 0;
}

static void
score (Scores *s, const TruthFrame *frame, const Question *q, const Dsvl2Result *result,
    const char *other)
{
  if (q->task == FIND)
    score_find (s, frame, q->kind, result);
  else
    s->task[q->task].right += is_right (q, result->text);
  s->task[q->task].asked++;
  if (other != NULL) {
    s->same.right += strcmp (result->text, other) == 0;
    s->same.asked++;
  }
  s->tokens += result->n_tokens;
  s->vision_us += result->vision_us;
  s->prefill_us += result->prefill_us;
  s->decode_us += result->decode_us;
}

/* Asks everything about a frame at once, as it would be done with several prompts on one video. */
static gboolean
ask_frame (Dsvl2Engine *engine, Dsvl2Picture *picture, const TruthFrame *frame, int number,
    GHashTable *others, Scores *s, GError **error)
{
  g_autoptr (GPtrArray) questions = plan (frame, number);
  g_autoptr (GPtrArray) requests =
      g_ptr_array_new_with_free_func ((GDestroyNotify) dsvl2_request_unref);

  for (guint i = 0; i < questions->len; i++) {
    const Question *q = questions->pdata[i];
    Dsvl2Request *request = submit (engine, picture, q->text, error);

    if (request == NULL)
      return FALSE;
    g_ptr_array_add (requests, request);
  }
  for (guint i = 0; i < requests->len; i++) {
    const Question *q = questions->pdata[i];
    const Dsvl2Result *result = dsvl2_request_wait (requests->pdata[i]);
    g_autofree char *key = g_strdup_printf ("%d %s", number, q->text);

    if (result->finish == DSVL2_FINISH_ERROR) {
      g_propagate_error (error, g_error_copy (result->error));
      return FALSE;
    }
    score (s, frame, q, result, g_hash_table_lookup (others, key));
  }
  s->frames++;
  return TRUE;
}

/* "FRAME QUESTION" → PyTorch's answer; empty where there is no such file. */
static GHashTable *
load_others (const char *path)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  GHashTable *others = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return others;
  lines = g_strsplit (text, "\n", -1);
  for (int i = 0; lines[i] != NULL; i++) {
    g_autoptr (JsonNode) node = *lines[i] != '\0' ? json_from_string (lines[i], NULL) : NULL;
    JsonObject *o;

    if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
      continue;
    o = json_node_get_object (node);
    g_hash_table_insert (others,
        g_strdup_printf ("%d %s", (int) json_object_get_int_member_with_default (o, "frame", -1),
            json_object_get_string_member_with_default (o, "question", "")),
        g_strdup (json_object_get_string_member_with_default (o, "answer", "")));
  }
  return others;
}

static gboolean
evaluate (Dsvl2Engine *engine, const char *input, Scores *s, GError **error)
{
  gboolean is_folder = g_file_test (input, G_FILE_TEST_IS_DIR);
  const char *end = strrchr (input, '.');
  g_autofree char *base = g_strndup (input, end != NULL ? (gsize) (end - input) : strlen (input));
  g_autofree char *truth_path =
      is_folder ? g_build_filename (input, "truth.jsonl", NULL) : g_strconcat (base, ".jsonl", NULL);
  g_autofree char *others_path = g_build_filename (input, "answers.jsonl", NULL);
  g_autoptr (GPtrArray) truth = truth_load (truth_path, error);
  g_autoptr (GPtrArray) pictures = truth != NULL ? decoded_load (input, error) : NULL;
  g_autoptr (GHashTable) others = load_others (others_path);

  if (pictures == NULL)
    return FALSE;
  if (pictures->len != truth->len) {
    g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
        "%s has %u frames, but %s has %u lines", input, pictures->len, truth_path, truth->len);
    return FALSE;
  }
  for (guint i = 0; i < truth->len; i++)
    if (!ask_frame (engine, pictures->pdata[i], truth->pdata[i], i, others, s, error))
      return FALSE;
  return TRUE;
}

static void
print_find (const char *name, const TruthScore *t)
{
  if (t->questions > 0)
    g_print ("find %-23s recall %.3f precision %.3f mean IoU %.3f number right %.3f (%d objects)\n",
        name, truth_score_recall (t), truth_score_precision (t), truth_score_mean_iou (t),
        (double) t->exact / t->questions, t->truth);
}

static void
print_rate (const char *name, const Rate *r)
{
  if (r->asked > 0)
    g_print ("%-28s %.3f (%d of %d)\n", name, (double) r->right / r->asked, r->right, r->asked);
}

static void
print_scores (const Scores *s, Dsvl2Engine *engine)
{
  int asked = 0;

  for (int t = 0; t < N_TASKS; t++)
    asked += s->task[t].asked;
  g_print ("%s on %s: %d frames, %d questions\n",
      dsvl2_model_get_description (dsvl2_engine_get_model (engine)),
      dsvl2_engine_get_description (engine), s->frames, asked);
  print_find ("", &s->find);
  for (int k = 0; k < N_KINDS; k++)
    print_find (truth_kinds[k].name, &s->find_kind[k]);
  for (int t = ABSENT; t < N_TASKS; t++)
    print_rate (task_names[t], &s->task[t]);
  print_rate ("same text as PyTorch", &s->same);
  g_print ("ms a question: vision %.2f, prefill %.2f, decoding %.2f (%.1f tokens)\n",
      s->vision_us / 1e3 / MAX (asked, 1), s->prefill_us / 1e3 / MAX (asked, 1),
      s->decode_us / 1e3 / MAX (asked, 1), (double) s->tokens / MAX (asked, 1));
}

static gboolean
run (GError **error)
{
  const Dsvl2EngineOptions options = {
    .isa = isa, .threads = threads, .weights = weights, .prefill_chunk = chunk
  };
  g_autofree char *path = model_path != NULL ? g_strdup (model_path) : dsvl2_default_model_path ();
  g_autoptr (Dsvl2Model) model = path != NULL ? dsvl2_model_open (path, error) : NULL;
  g_autoptr (Dsvl2Engine) engine = model != NULL ? dsvl2_engine_open (model, &options, error) : NULL;
  Scores scores = { 0 };

  if (path == NULL)
    g_set_error_literal (error, DSVL2_ERROR, DSVL2_ERROR_OPTION,
        "No model is installed: name one with --model");
  if (engine == NULL)
    return FALSE;
  for (int i = 0; inputs[i] != NULL; i++)
    if (!evaluate (engine, inputs[i], &scores, error))
      return FALSE;
  print_scores (&scores, engine);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error) || inputs == NULL) {
    g_printerr ("%s\n", error != NULL ? error->message : "usage: nano_eval [OPTION…] FRAMES…");
    return 2;
  }
  if (!run (&error)) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  return 0;
}
