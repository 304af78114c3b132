/* dsvl2: the engine through its public interface, on a small checkpoint with random weights
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * test_engine FOLDER: a folder of tests/golden/data. */
#include "folder.h"

enum { W = 96, H = 64 };

static const char *folder;

/* Noise that is the same for the same seed. */
static Dsvl2Picture *
noise (guint32 seed)
{
  GRand *rand = g_rand_new_with_seed (seed);
  guint8 *pixels = g_malloc (W * H * 3);
  g_autoptr (GError) error = NULL;

  for (int i = 0; i < W * H * 3; i++)
    pixels[i] = g_rand_int (rand);
  g_rand_free (rand);
  const Dsvl2Frame frame = { DSVL2_FORMAT_RGB, W, H, { pixels }, { W * 3 } };
  Dsvl2Picture *picture = dsvl2_picture_new (&frame, g_free, pixels, &error);
  g_assert_no_error (error);
  return picture;
}

static Dsvl2Model *
open_model (void)
{
  g_autoptr (GError) error = NULL;
  Dsvl2Model *model = dsvl2_model_open (folder, &error);

  g_assert_no_error (error);
  return model;
}

static Dsvl2Engine *
open_engine (const Dsvl2EngineOptions *options)
{
  g_autoptr (Dsvl2Model) model = open_model ();
  g_autoptr (GError) error = NULL;
  Dsvl2Engine *engine = dsvl2_engine_open (model, options, &error);

  g_assert_no_error (error);
  return engine;
}

/* A question about one picture (or none), n tokens long. */
static Dsvl2Ask
question (const Dsvl2Message *message, Dsvl2Picture **picture, int n)
{
  return (Dsvl2Ask){
    .messages = message,
    .n_messages = 1,
    .pictures = picture,
    .n_pictures = picture ? 1 : 0,
    .sampling = { .max_new_tokens = n, .ignore_eos = TRUE },
  };
}

static Dsvl2Request *
submit (Dsvl2Engine *engine, const Dsvl2Ask *ask)
{
  g_autoptr (GError) error = NULL;
  Dsvl2Request *request = dsvl2_engine_submit (engine, ask, &error);

  g_assert_no_error (error);
  return request;
}

static void
assert_same (const Dsvl2Result *a, const Dsvl2Result *b)
{
  g_assert_cmpint (a->n_tokens, ==, b->n_tokens);
  g_assert_cmpmem (a->token_ids, sizeof (int) * a->n_tokens, b->token_ids, sizeof (int) * b->n_tokens);
  g_assert_cmpmem (a->logprobs, sizeof (float) * a->n_tokens, b->logprobs,
      sizeof (float) * b->n_tokens);
  g_assert_cmpstr (a->text, ==, b->text);
}

static const Dsvl2Message look = { DSVL2_ROLE_USER, "<image>\nfind all the cars" };
static const Dsvl2Message look_again = { DSVL2_ROLE_USER, "<image>\nDescribe the image." };
static const Dsvl2Message talk = { DSVL2_ROLE_USER, "What is the capital of France?" };

/* The same tokens and log-probabilities, bit for bit: whole and in chunks, alone and in a crowd, on one
 * thread and on three, which also make the quantised weights. */
static void
test_same_bits (gconstpointer weights)
{
  const Dsvl2EngineOptions options[] = {
    { .threads = 1 },
    { .threads = 3, .prefill_chunk = 7 },
    { .threads = 2, .prefill_chunk = 1, .max_sequences = 2 },
    { .threads = 1, .prefill_chunk = 64, .max_sequences = 5 },
  };
  g_autoptr (Dsvl2Picture) picture = noise (1);
  const Dsvl2Ask seeing = question (&look, &picture, 16), talking = question (&talk, NULL, 16);
  Dsvl2Request *first[2];

  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    Dsvl2EngineOptions o = options[i];
    o.weights = weights;
    g_autoptr (Dsvl2Engine) engine = open_engine (&o);
    Dsvl2Request *request[6];

    for (int j = 0; j < 6; j++)
      request[j] = submit (engine, j % 2 ? &talking : &seeing);
    if (i == 0) {
      first[0] = dsvl2_request_ref (request[0]);
      first[1] = dsvl2_request_ref (request[1]);
    }
    for (int j = 0; j < 6; j++) {
      assert_same (dsvl2_request_wait (request[j]), dsvl2_request_wait (first[j % 2]));
      dsvl2_request_unref (request[j]);
    }
    g_test_message ("%d threads, chunks of %d: 6 answers of 16 tokens are the same bits",
        options[i].threads, options[i].prefill_chunk);
  }
  dsvl2_request_unref (first[0]);
  dsvl2_request_unref (first[1]);
}

/* A token reads fewer bytes of smaller weights, and the engine says which it has. */
static void
test_weights (void)
{
  static const struct {
    const char *weights, *said;
    double most; /* bytes, in parts of as many numbers of four bytes; the router and kv_b_proj stay */
  } cases[] = {
    { NULL, NULL, 1 },
    { "auto", NULL, 1 },
    { "as-stored", NULL, 1 },
    { "int8", ", int8", 0.8 },
    { "int4", ", int4", 0.6 },
  };
  guint64 stored = 0;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Dsvl2Engine) engine = open_engine (&(Dsvl2EngineOptions){ .weights = cases[i].weights });
    const guint64 bytes = dsvl2_engine_get_bytes_per_token (engine);
    const char *comma = strchr (dsvl2_engine_get_description (engine), ',');

    stored = i == 0 ? bytes : stored;
    g_test_message ("weights=%s: %s, %" G_GUINT64_FORMAT " bytes a token, %.3f of those stored",
        cases[i].weights, dsvl2_engine_get_description (engine), bytes, (double) bytes / stored);
    g_assert_cmpstr (comma, ==, cases[i].said);
    g_assert_cmpfloat (bytes, <=, cases[i].most * stored);
    g_assert_true (cases[i].said != NULL || bytes == stored);
  }
}

/* A second question about a picture does not encode it again, and does not change what is answered. */
static void
test_picture_once (void)
{
  g_autoptr (Dsvl2Picture) picture = noise (2), other = noise (2);
  g_autoptr (Dsvl2Engine) engine = open_engine (NULL), fresh = open_engine (NULL);
  const Dsvl2Ask a = question (&look, &picture, 8), b = question (&look_again, &picture, 8);
  g_autoptr (Dsvl2Request) one = submit (engine, &a), two = submit (engine, &b),
                           alone = submit (fresh, &b);
  const Dsvl2Result *first = dsvl2_request_wait (one), *second = dsvl2_request_wait (two);

  g_test_message ("first: %d tiles, %d tokens cached; second: %d tiles, %d of %d cached",
      first->n_tiles, first->n_cached_tokens, second->n_tiles, second->n_cached_tokens,
      second->n_prompt_tokens);
  g_assert_cmpint (first->n_tiles, >, 0);
  g_assert_cmpint (first->n_cached_tokens, ==, 0);
  g_assert_cmpint (second->n_tiles, ==, 0);
  assert_same (second, dsvl2_request_wait (alone));

  /* The same pixels in another picture are another picture. */
  const Dsvl2Ask c = question (&look, &other, 8);
  g_autoptr (Dsvl2Request) three = submit (engine, &c);
  g_assert_cmpint (dsvl2_request_wait (three)->n_tiles, >, 0);
  assert_same (dsvl2_request_wait (three), first);
}

/* The second turn of a conversation finds the first in the cache. */
static void
test_turns (void)
{
  g_autoptr (Dsvl2Picture) picture = noise (3);
  g_autoptr (Dsvl2Engine) engine = open_engine (NULL), fresh = open_engine (NULL);
  const Dsvl2Message long_look = { DSVL2_ROLE_USER,
    "<image>\nfind all the cars, the people beside them, and whatever else can be seen in the street" };
  const Dsvl2Message turns[] = { long_look,
    { DSVL2_ROLE_ASSISTANT, "There are two, at [[1, 2, 3, 4]]." }, talk };
  Dsvl2Ask ask = question (&long_look, &picture, 8);
  g_autoptr (Dsvl2Request) one = submit (engine, &ask);

  dsvl2_request_wait (one);
  ask.messages = turns;
  ask.n_messages = G_N_ELEMENTS (turns);
  g_autoptr (Dsvl2Request) two = submit (engine, &ask), alone = submit (fresh, &ask);
  const Dsvl2Result *result = dsvl2_request_wait (two);
  g_test_message ("%d of %d tokens were cached", result->n_cached_tokens, result->n_prompt_tokens);
  g_assert_cmpint (result->n_cached_tokens, >=, 64);
  assert_same (result, dsvl2_request_wait (alone));
}

typedef struct {
  GString *text;
  int n_tokens, n_done, cancel_at;
  Dsvl2Finish finish;
} Heard;

static void
hear_token (Dsvl2Request *request, int id, const char *text, gpointer data)
{
  Heard *heard = data;

  g_assert_true (g_utf8_validate (text, -1, NULL));
  g_string_append (heard->text, text);
  if (++heard->n_tokens == heard->cancel_at)
    dsvl2_request_cancel (request);
}

static void
hear_done (Dsvl2Request *request, const Dsvl2Result *result, gpointer data)
{
  Heard *heard = data;

  heard->n_done++;
  heard->finish = result->finish;
}

static const Dsvl2Result *
ask_and_hear (Dsvl2Engine *engine, Dsvl2Ask ask, Heard *heard, Dsvl2Request **request)
{
  ask.token = hear_token;
  ask.done = hear_done;
  ask.user_data = heard;
  heard->text = g_string_new (NULL);
  *request = submit (engine, &ask);
  const Dsvl2Result *result = dsvl2_request_wait (*request);
  g_assert_cmpint (heard->n_done, ==, 1);
  g_assert_cmpint (heard->n_tokens, ==, result->n_tokens);
  g_assert_cmpint (heard->finish, ==, result->finish);
  return result;
}

static void
test_streaming (void)
{
  g_autoptr (Dsvl2Engine) engine = open_engine (NULL);
  Heard all = { 0 }, some = { .cancel_at = 5 };
  Dsvl2Request *whole, *part;
  const Dsvl2Result *a = ask_and_hear (engine, question (&talk, NULL, 40), &all, &whole);
  const Dsvl2Result *b = ask_and_hear (engine, question (&talk, NULL, 4000), &some, &part);

  g_assert_true (g_str_has_prefix (a->text, all.text->str));
  g_assert_cmpint (a->finish, ==, DSVL2_FINISH_LENGTH);
  g_assert_cmpint (b->finish, ==, DSVL2_FINISH_CANCELLED);
  g_assert_cmpint (b->n_tokens, ==, 5);
  g_assert_cmpmem (a->token_ids, 5 * sizeof (int), b->token_ids, 5 * sizeof (int));
  g_test_message ("40 tokens heard as they came; 5 until cancelled");
  dsvl2_request_unref (whole);
  dsvl2_request_unref (part);
  g_string_free (all.text, TRUE);
  g_string_free (some.text, TRUE);
}

/* An answer ends before the first stop text, of which nothing is heard. */
static void
test_stop (void)
{
  g_autoptr (Dsvl2Engine) engine = open_engine (NULL);
  Dsvl2Ask ask = question (&talk, NULL, 40);
  g_autoptr (Dsvl2Request) free_run = submit (engine, &ask);
  const char *text = dsvl2_request_wait (free_run)->text;
  const char *at = g_utf8_offset_to_pointer (text, g_utf8_strlen (text, -1) / 2);
  g_autofree char *stop = g_strndup (at, g_utf8_offset_to_pointer (at, 3) - at);
  const char *stops[] = { "never said", stop, NULL };
  const char *first = strstr (text, stop);
  g_autofree char *expected = g_strndup (text, first - text);
  Heard heard = { 0 };
  Dsvl2Request *request;

  ask.sampling.stop = stops;
  const Dsvl2Result *result = ask_and_hear (engine, ask, &heard, &request);
  g_test_message ("stopped after %d bytes of %d", (int) strlen (result->text), (int) strlen (text));
  g_assert_cmpint (result->finish, ==, DSVL2_FINISH_STOP);
  g_assert_cmpstr (result->text, ==, expected);
  g_assert_cmpstr (heard.text->str, ==, expected);
  dsvl2_request_unref (request);
  g_string_free (heard.text, TRUE);
}

static void
test_sampling (void)
{
  g_autoptr (Dsvl2Engine) engine = open_engine (NULL);
  Dsvl2Ask ask = question (&talk, NULL, 20);

  ask.sampling.temperature = 1.5f;
  ask.sampling.seed = 4;
  g_autoptr (Dsvl2Request) a = submit (engine, &ask), b = submit (engine, &ask);
  ask.sampling.seed = 5;
  g_autoptr (Dsvl2Request) c = submit (engine, &ask);
  assert_same (dsvl2_request_wait (a), dsvl2_request_wait (b));
  g_assert_cmpstr (dsvl2_request_wait (a)->text, !=, dsvl2_request_wait (c)->text);
}

/* Dropping the engine ends everything, queued or running, and nothing is lost. */
static void
test_closing (void)
{
  Dsvl2Engine *engine = open_engine (&(Dsvl2EngineOptions){ .max_sequences = 2 });
  g_autoptr (Dsvl2Picture) picture = noise (9);
  const Dsvl2Ask ask = question (&look, &picture, 3000);
  Dsvl2Request *request[5];

  for (int i = 0; i < 5; i++)
    request[i] = submit (engine, &ask);
  dsvl2_engine_unref (engine);
  for (int i = 0; i < 5; i++) {
    g_assert_cmpint (dsvl2_request_wait (request[i])->finish, ==, DSVL2_FINISH_CANCELLED);
    dsvl2_request_unref (request[i]);
  }
}

static void
set_true (gpointer flag)
{
  *(gboolean *) flag = TRUE;
}

/* The picture's owner has the pixels back by the time the answer is there. */
static void
test_pixels_given_back (void)
{
  g_autoptr (Dsvl2Engine) engine = open_engine (NULL);
  static guint8 pixels[W * H * 3];
  gboolean given_back = FALSE;
  Dsvl2Picture *picture =
      dsvl2_picture_new (&(Dsvl2Frame){ DSVL2_FORMAT_RGB, W, H, { pixels }, { W * 3 } }, set_true,
          &given_back, NULL);
  const Dsvl2Ask ask = question (&look, &picture, 4);
  g_autoptr (Dsvl2Request) request = submit (engine, &ask);

  dsvl2_picture_unref (picture);
  dsvl2_request_wait (request);
  g_assert_true (given_back);
}

static void
test_bad_questions (void)
{
  static const Dsvl2Message empty_roles[] = { { DSVL2_ROLE_ASSISTANT, "Hello" } };
  static const Dsvl2Message two_users[] = { { DSVL2_ROLE_USER, "a" }, { DSVL2_ROLE_USER, "b" } };
  static const Dsvl2Message unanswered[] = { { DSVL2_ROLE_USER, "a" }, { DSVL2_ROLE_ASSISTANT, "b" } };
  static const Dsvl2Message system_only[] = { { DSVL2_ROLE_SYSTEM, "a" } };
  static const Dsvl2Message no_text[] = { { DSVL2_ROLE_USER, NULL } };
  g_autofree char *endless = g_strnfill (20000, 'x');
  const Dsvl2Message long_one = { DSVL2_ROLE_USER, endless };
  g_autoptr (Dsvl2Picture) picture = noise (4);
  Dsvl2Picture *pictures[] = { picture, picture };
  const struct {
    const char *what;
    Dsvl2Ask ask;
    Dsvl2Error code;
  } cases[] = {
    { "nothing", { 0 }, DSVL2_ERROR_PROMPT },
    { "answers first", { empty_roles, 1 }, DSVL2_ERROR_PROMPT },
    { "two questions", { two_users, 2 }, DSVL2_ERROR_PROMPT },
    { "ends with an answer", { unanswered, 2 }, DSVL2_ERROR_PROMPT },
    { "only a system prompt", { system_only, 1 }, DSVL2_ERROR_PROMPT },
    { "no text", { no_text, 1 }, DSVL2_ERROR_PROMPT },
    { "a mark, no picture", { &look, 1 }, DSVL2_ERROR_PROMPT },
    { "a mark, two pictures", { &look, 1, pictures, 2 }, DSVL2_ERROR_PROMPT },
    { "no mark, a picture", { &talk, 1, pictures, 1 }, DSVL2_ERROR_PROMPT },
    { "too long", { &long_one, 1 }, DSVL2_ERROR_CONTEXT },
    { "negative tokens", { &talk, 1, .sampling = { .max_new_tokens = -1 } }, DSVL2_ERROR_OPTION },
    { "negative temperature", { &talk, 1, .sampling = { .temperature = -1 } }, DSVL2_ERROR_OPTION },
    { "top_p of 2", { &talk, 1, .sampling = { .temperature = 1, .top_p = 2 } }, DSVL2_ERROR_OPTION },
    { "negative tiles", { &look, 1, pictures, 1, .max_tiles = -1 }, DSVL2_ERROR_OPTION },
  };
  g_autoptr (Dsvl2Engine) engine = open_engine (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (Dsvl2Request) request = dsvl2_engine_submit (engine, &cases[i].ask, &error);

    g_assert_null (request);
    g_test_message ("%s: %s", cases[i].what, error->message);
    g_assert_error (error, DSVL2_ERROR, (int) cases[i].code);
  }
}

static void
test_bad_options (void)
{
  static const struct {
    Dsvl2EngineOptions options;
    Dsvl2Error code;
  } cases[] = {
    { { .device = "tpu" }, DSVL2_ERROR_DEVICE },
    { { .device = "cuda:7" }, DSVL2_ERROR_DEVICE },
    { { .isa = "mmx" }, DSVL2_ERROR_DEVICE },
    { { .vision_attention = "theirs" }, DSVL2_ERROR_DEVICE },
    { { .weights = "int5" }, DSVL2_ERROR_OPTION },
    { { .threads = -1 }, DSVL2_ERROR_OPTION },
    { { .prefill_chunk = 1 << 20 }, DSVL2_ERROR_OPTION },
    { { .kv_bytes = 17 }, DSVL2_ERROR_OPTION },
    { { .kv_bytes = (guint64) 1 << 62 }, DSVL2_ERROR_OPTION },
  };
  g_autoptr (Dsvl2Model) model = open_model ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (Dsvl2Engine) engine = dsvl2_engine_open (model, &cases[i].options, &error);

    g_assert_null (engine);
    g_test_message ("%s", error->message);
    g_assert_error (error, DSVL2_ERROR, (int) cases[i].code);
  }
}

static void
test_shared_model (void)
{
  g_autoptr (Dsvl2Model) a = open_model (), b = open_model ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Model) none = dsvl2_model_open ("/no/such/folder", &error);

  g_assert_true (a == b);
  g_assert_null (none);
  g_assert_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE);
  g_test_message ("%s: %s", dsvl2_model_get_description (a), error->message);
}

/* Copies the checkpoint to a folder of its own, with one file's contents changed. */
static char *
damaged_copy (const char *name, const char *(*damage) (char *contents, gsize *length))
{
  char *copy = folder_new ();
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *file;

  while ((file = g_dir_read_name (dir))) {
    g_autofree char *from = g_build_filename (folder, file, NULL),
                    *to = g_build_filename (copy, file, NULL);
    g_autofree char *contents = NULL;
    gsize length;

    if (g_str_has_suffix (file, ".png") || g_str_equal (file, "expected.safetensors"))
      continue;
    g_assert_true (g_file_get_contents (from, &contents, &length, NULL));
    if (g_str_equal (file, name) && damage (contents, &length) == NULL)
      continue;
    folder_write (copy, file, contents, length);
  }
  return copy;
}

static const char *
leave_out (char *contents, gsize *length)
{
  return NULL;
}

static const char *
halve (char *contents, gsize *length)
{
  *length /= 2;
  return contents;
}

/* Another size, spelt in as many digits. */
static const char *
other_vocabulary (char *contents, gsize *length)
{
  char *key = strstr (contents, "\"vocab_size\": ");

  key[strlen ("\"vocab_size\": ") + 1]++;
  return contents;
}

static void
test_damaged_models (void)
{
  static const struct {
    const char *file;
    const char *(*damage) (char *contents, gsize *length);
    const char *says;
  } cases[] = {
    { "config.json", leave_out, "config.json" },
    { "config.json", halve, "config.json" },
    { "config.json", other_vocabulary, "the configuration asks for" },
    { "processor_config.json", halve, "processor_config.json" },
    { "tokenizer.json", leave_out, "tokenizer.json" },
    { "tokenizer.json", halve, "tokenizer.json" },
    { "model.safetensors.index.json", halve, "model.safetensors.index.json" },
    { "model-00002-of-000002.safetensors", leave_out, "model-00002-of-000002.safetensors" },
    { "model-00002-of-000002.safetensors", halve, "model-00002-of-000002.safetensors" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    char *copy = damaged_copy (cases[i].file, cases[i].damage);
    g_autoptr (GError) error = NULL;
    g_autoptr (Dsvl2Model) model = dsvl2_model_open (copy, &error);
    g_autoptr (Dsvl2Engine) engine = model ? dsvl2_engine_open (model, NULL, &error) : NULL;

    g_assert_null (engine);
    g_assert_nonnull (error);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, cases[i].says));
    folder_free (copy);
  }
}

static void
test_prompts (void)
{
  static const struct {
    const char *typed, *prompt;
  } cases[] = {
    { "find cars", "<image>\n<|ref|>the cars<|/ref|>." },
    { "  Find all the red cars. ", "<image>\n<|ref|>the red cars<|/ref|>." },
    { "locate the dog!", "<image>\n<|ref|>the dog<|/ref|>." },
    { "finding nothing", "<image>\nfinding nothing" },
    { "Describe this image.", "<image>\nDescribe this image." },
    { "<|grounding|>Describe", "<|grounding|>Describe" },
    { "Compare <image> and <image>", "Compare <image> and <image>" },
    { "", "<image>\n" },
    { "find", "<image>\nfind" },
    { "find caf\303\251s \346\235\261\344\272\254",
        "<image>\n<|ref|>the caf\303\251s \346\235\261\344\272\254<|/ref|>." },
    { "find \377x", "<image>\n<|ref|>the \357\277\275x<|/ref|>." },
    { NULL, "<image>\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *prompt = dsvl2_prompt_from_text (cases[i].typed);

    g_autofree char *typed = g_strescape (cases[i].typed ? cases[i].typed : "nothing", NULL);
    g_autofree char *shown = g_strescape (prompt, NULL);
    g_test_message ("\"%s\" becomes \"%s\"", typed, shown);
    g_assert_cmpstr (prompt, ==, cases[i].prompt);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  folder = argv[1];
  g_test_add_data_func ("/engine/same-bits", NULL, test_same_bits);
  g_test_add_data_func ("/engine/same-bits-int8", "int8", test_same_bits);
  g_test_add_data_func ("/engine/same-bits-int4", "int4", test_same_bits);
  g_test_add_func ("/engine/weights", test_weights);
  g_test_add_func ("/engine/picture-once", test_picture_once);
  g_test_add_func ("/engine/turns", test_turns);
  g_test_add_func ("/engine/streaming", test_streaming);
  g_test_add_func ("/engine/stop", test_stop);
  g_test_add_func ("/engine/sampling", test_sampling);
  g_test_add_func ("/engine/closing", test_closing);
  g_test_add_func ("/engine/pixels-given-back", test_pixels_given_back);
  g_test_add_func ("/engine/bad-questions", test_bad_questions);
  g_test_add_func ("/engine/bad-options", test_bad_options);
  g_test_add_func ("/engine/shared-model", test_shared_model);
  g_test_add_func ("/engine/damaged-models", test_damaged_models);
  g_test_add_func ("/engine/prompts", test_prompts);
  return g_test_run ();
}
