/* dsvl2: dsvl2-chat as a user meets it: exit status, what is printed, what is written
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: test_chat PROGRAM SOURCE-ROOT */
#include "program.h"
#include <string.h>

static char *golden, *picture, *turned;

/* One question and what must come of it. Unset expectations are not looked at. */
typedef struct {
  const char *name, *arguments; /* words parted by '|'; %P a picture, %T one with an orientation tag */
  const char *input;
  int status;
  const char *out, *error; /* text that must be in them */
} Case;

static const Case cases[] = {
  { "help", "--help", NULL, 0, "--max-new-tokens", NULL },
  { "version", "--version", NULL, 0, "dsvl2-chat ", NULL },
  { "unknown-option", "--colour", NULL, 2, NULL, "--colour" },
  { "stray-argument", "%P", NULL, 2, NULL, "--image FILE" },
  { "cropping", "--cropping|maybe|--prompt|x", NULL, 2, NULL, "\"maybe\"" },
  { "number", "--threads|many", NULL, 2, NULL, "many" },
  { "threads", "--threads|-1|--prompt|x", NULL, 1, NULL, "-1" },
  { "weights", "--weights|int5|--prompt|x", NULL, 1, NULL, "int5" },
  { "vision-attention", "--vision-attention|theirs|--prompt|x", NULL, 1, NULL, "theirs" },
  { "temperature", "--temperature|-1|--prompt|x", NULL, 1, NULL, "temperature" },
  { "no-model", "--model|/nowhere|--prompt|x", NULL, 1, NULL, "/nowhere" },
  { "no-picture", "--image|/nowhere.jpg|--prompt|x", NULL, 1, NULL, "/nowhere.jpg: No such file" },
  { "not-a-picture", "--image|/proc/self/status|--prompt|x", NULL, 1, NULL, "/proc/self/status: " },
  { "marks", "--image|%P|--prompt|<image> <image>", NULL, 1, NULL, "2 <image> marks" },
  { "unwritable", "--image|%P|--prompt|x|--draw|/nowhere/a.png", NULL, 1, NULL, "/nowhere/a.png" },
  { "nothing-to-say", "--json", "", 0, NULL, NULL },
  { "timings", "--prompt|x|--verbose", NULL, 0, NULL, "prompt tokens" },
};

/* The words of a case behind the program and its model. */
static GPtrArray *
words_of (const Case *c)
{
  g_auto (GStrv) words = g_strsplit (c->arguments, "|", -1);
  GPtrArray *argv = program_argv ();

  if (strstr (c->arguments, "--model") == NULL)
    program_add (argv, "--model", golden, NULL);
  program_add (argv, "--max-new-tokens", "4", NULL);
  for (guint i = 0; words[i] != NULL; i++)
    program_add (argv,
        g_str_equal (words[i], "%P")   ? picture
        : g_str_equal (words[i], "%T") ? turned
                                       : words[i],
        NULL);
  return argv;
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_auto (Outcome) o = program_run (words_of (c), c->input);

  g_test_message ("status %d, standard error: %s", o.status, o.error);
  g_assert_cmpint (o.status, ==, c->status);
  if (c->out != NULL)
    g_assert_nonnull (strstr (o.out, c->out));
  if (c->error != NULL)
    g_assert_nonnull (strstr (o.error, c->error));
  if (c->status != 0) { /* one sentence, and nothing that only a developer reads */
    g_assert_nonnull (strchr (o.error, '\n'));
    g_assert_null (strchr (strchr (o.error, '\n') + 1, '\n'));
    g_assert_null (strstr (o.error, "CRITICAL"));
  }
}

static JsonObject *
answer_of (const char *line)
{
  g_autoptr (JsonNode) node = parse_json (line);

  return json_object_ref (json_node_get_object (node));
}

/* Two turns on standard input: the second goes on where the first ended, its beginning from the cache. */
static void
test_turns (void)
{
  GPtrArray *argv = program_argv ();
  g_auto (GStrv) lines = NULL;

  program_add (argv, "--model", golden, "--image", picture, "--json", "--max-new-tokens", "5", NULL);
  g_auto (Outcome) o = program_run (argv, "What is this?\n\nAnd\\nthis?\n");

  g_assert_cmpint (o.status, ==, 0);
  lines = g_strsplit (g_strstrip (o.out), "\n", -1);
  g_assert_cmpint (g_strv_length (lines), ==, 2);
  for (int turn = 0; turn < 2; turn++) {
    g_autoptr (JsonObject) answer = answer_of (lines[turn]);
    JsonObject *tokens = json_object_get_object_member (answer, "tokens");

    g_test_message ("%s", lines[turn]);
    g_assert_cmpint (json_object_get_int_member (answer, "turn"), ==, turn);
    g_assert_cmpstr (json_object_get_string_member (answer, "prompt"), ==,
        turn == 0 ? "<image>\nWhat is this?" : "And\nthis?");
    g_assert_cmpint (json_object_get_int_member (tokens, "answer"), >, 0);
    if (turn == 1)
      g_assert_cmpint (json_object_get_int_member (tokens, "cached"), >, 0);
  }
}

/* A picture shown in the middle, questions that fail: the conversation goes on, the status tells. */
static void
test_turns_with_mistakes (void)
{
  GPtrArray *argv = program_argv ();

  program_add (argv, "--model", golden, "--json", "--max-new-tokens", "3", NULL);
  g_autofree char *input =
      g_strdup_printf ("hello\n/image /nowhere.png\n/image %s\n<image><image>\nand now?\n", picture);
  g_auto (Outcome) o = program_run (argv, input);
  g_auto (GStrv) lines = g_strsplit (g_strstrip (o.out), "\n", -1);

  g_test_message ("%s%s", o.out, o.error);
  g_assert_cmpint (o.status, ==, 1);
  g_assert_nonnull (strstr (o.error, "/nowhere.png"));
  g_assert_nonnull (strstr (o.error, "2 <image> marks"));
  g_assert_cmpint (g_strv_length (lines), ==, 2);
  g_assert_nonnull (strstr (lines[1], "\"prompt\":\"<image>\\nand now?\""));
}

/* The golden data's picture and prompt: the official code's first 24 tokens. */
static void
test_golden_text (void)
{
  g_autofree char *path = g_build_filename (golden, "cases.json", NULL);
  g_autofree char *text = NULL;
  guint compared = 0;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_autoptr (JsonNode) root = parse_json (text);
  JsonArray *all = json_node_get_array (root);

  for (guint i = 0; i < json_array_get_length (all); i++) {
    JsonObject *c = json_array_get_object_element (all, i);
    JsonArray *turns = json_object_get_array_member (c, "conversation");
    JsonArray *images = json_object_get_array_member (c, "images");
    GPtrArray *argv = program_argv ();

    /* a single question, and margins that no rounding of sums closes */
    if (json_object_get_double_member (c, "greedy_min_margin") < 0.002 ||
        json_array_get_length (turns) > 2)
      continue;
    program_add (argv, "--model", golden, "--json", "--max-new-tokens", "24", "--prompt",
        json_object_get_string_member (json_array_get_object_element (turns, 0), "content"), NULL);
    for (guint j = 0; j < json_array_get_length (images); j++) {
      g_autofree char *image =
          g_build_filename (golden, json_array_get_string_element (images, j), NULL);

      program_add (argv, "--image", image, NULL);
    }
    g_auto (Outcome) o = program_run (argv, NULL);
    g_assert_cmpint (o.status, ==, 0);
    g_autoptr (JsonObject) answer = answer_of (o.out);
    const char *ours = json_object_get_string_member (answer, "text");
    const char *theirs = json_object_get_string_member (c, "greedy_text");

    g_test_message ("%s: %s", json_object_get_string_member (c, "name"), ours);
    if (g_str_equal (json_object_get_string_member (answer, "finish"), "length"))
      g_assert_cmpstr (ours, ==, theirs);
    else /* the golden run went on past the end of sentence */
      g_assert_true (g_str_has_prefix (theirs, ours));
    compared++;
  }
  g_assert_cmpint (compared, >, 0);
}

/* Width and height of a PNG file. */
static void
png_size (const char *path, guint *width, guint *height)
{
  g_autofree char *bytes = NULL;
  gsize n;

  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_assert_cmpint (n, >, 33);
  g_assert_cmpmem (bytes, 8, "\x89PNG\r\n\x1a\n", 8);
  memcpy (width, bytes + 16, 4);
  memcpy (height, bytes + 20, 4);
  *width = GUINT32_FROM_BE (*width);
  *height = GUINT32_FROM_BE (*height);
}

/* A photo of 40 × 24 pixels, tagged as turned by a quarter: what is asked about and drawn is upright. */
static void
test_orientation (void)
{
  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "dsvl2-test-turned.png", NULL);
  GPtrArray *argv = program_argv ();
  guint width, height;

  program_add (argv, "--model", golden, "--image", turned, "--prompt", "x", "--max-new-tokens", "2",
      "--draw", path, NULL);
  g_auto (Outcome) o = program_run (argv, NULL);
  g_assert_cmpint (o.status, ==, 0);
  png_size (path, &width, &height);
  g_test_message ("%u x %u", width, height);
  g_assert_cmpint (width, ==, 24);
  g_assert_cmpint (height, ==, 40);
  g_remove (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 3);
  program_path = argv[1];
  golden = g_build_filename (argv[2], "tests", "golden", "data", "mha-softmax", NULL);
  picture = g_build_filename (golden, "one-wide-0.png", NULL);
  turned = g_build_filename (argv[2], "tests", "pipelines", "turned.jpg", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *name = g_strdup_printf ("/chat/%s", cases[i].name);

    g_test_add_data_func (name, &cases[i], test_case);
  }
  g_test_add_func ("/chat/turns", test_turns);
  g_test_add_func ("/chat/turns-with-mistakes", test_turns_with_mistakes);
  g_test_add_func ("/chat/golden-text", test_golden_text);
  g_test_add_func ("/chat/orientation", test_orientation);
  return g_test_run ();
}
