/* dsvl2: one engine that many streams share, through its public interface
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * test_sharing FOLDER: a folder of tests/golden/data. */
#include "dsvl2.h"
#include <string.h>

enum { SIDE = 64, STREAMS = 16 };

static const char *folder;

/* A gate at which the engine's worker stands, so that all are in line before anyone is served. */
static struct {
  GMutex lock;
  GCond changed;
  gboolean reached, open;
} gate;

static void
stand_at_gate (void)
{
  g_mutex_lock (&gate.lock);
  gate.reached = TRUE;
  g_cond_broadcast (&gate.changed);
  while (!gate.open)
    g_cond_wait (&gate.changed, &gate.lock);
  g_mutex_unlock (&gate.lock);
}

static void
wait_until_reached (void)
{
  g_mutex_lock (&gate.lock);
  while (!gate.reached)
    g_cond_wait (&gate.changed, &gate.lock);
  g_mutex_unlock (&gate.lock);
}

static void
open_gate (void)
{
  g_mutex_lock (&gate.lock);
  gate.open = TRUE;
  g_cond_broadcast (&gate.changed);
  g_mutex_unlock (&gate.lock);
}

static Dsvl2Engine *
open_engine (const Dsvl2EngineOptions *options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Model) model = dsvl2_model_open (folder, &error);
  Dsvl2Engine *engine;

  g_assert_no_error (error);
  engine = dsvl2_engine_open (model, options, &error);
  g_assert_no_error (error);
  gate.reached = gate.open = FALSE;
  return engine;
}

/* Pixels that depend on the seed. */
static Dsvl2Picture *
noise (guint32 seed)
{
  guint8 *pixels = g_malloc (SIDE * SIDE * 3);
  Dsvl2Picture *picture;

  for (int i = 0; i < SIDE * SIDE * 3; i++)
    pixels[i] = (seed = seed * 1664525u + 1013904223u) >> 24;
  picture = dsvl2_picture_new (&(Dsvl2Frame){ DSVL2_FORMAT_RGB, SIDE, SIDE, { pixels }, { SIDE * 3 } },
      g_free, pixels, NULL);
  g_assert_nonnull (picture);
  return picture;
}

/* One question: what it is, and what became of it. A picture is the stream's own. */
typedef struct {
  char name; /* and stream */
  int priority, n_tokens;
  gboolean picture;
  int stand_at; /* token at which it stands at the gate, or 0 */

  GString *ended; /* names in the order of ending */
  GString *heard; /* of tokens, or NULL */
  int n_heard;
  Dsvl2Request *request;
} Asked;

static void
hear_token (Dsvl2Request *request, int id, const char *text, gpointer data)
{
  Asked *a = data;

  if (a->heard != NULL)
    g_string_append_c (a->heard, a->name);
  if (++a->n_heard == a->stand_at)
    stand_at_gate ();
}

static void
hear_end (Dsvl2Request *request, const Dsvl2Result *result, gpointer data)
{
  Asked *a = data;

  g_string_append_c (a->ended, a->name);
}

static void
ask (Dsvl2Engine *engine, Asked *a, GString *ended)
{
  static const char streams[128];
  g_autofree char *text =
      g_strdup_printf ("%sWhat is the capital of %c?", a->picture ? "<image>\n" : "", a->name);
  const Dsvl2Message message = { DSVL2_ROLE_USER, text };
  g_autoptr (Dsvl2Picture) picture = noise (a->name);
  g_autoptr (GError) error = NULL;

  a->ended = ended;
  a->request = dsvl2_engine_submit (engine,
      &(Dsvl2Ask){ .messages = &message,
          .n_messages = 1,
          .pictures = &picture,
          .n_pictures = a->picture,
          .sampling = { .max_new_tokens = a->n_tokens, .ignore_eos = TRUE },
          .priority = a->priority,
          .stream = &streams[(int) a->name],
          .token = hear_token,
          .done = hear_end,
          .user_data = a },
      &error);
  g_assert_no_error (error);
}

/* Its answer is the one that it gets from an engine of its own, bit for bit. */
static void
assert_as_alone (Dsvl2Engine *alone, const Asked *a)
{
  g_autoptr (GString) ended = g_string_new (NULL);
  Asked again = { a->name, 0, a->n_tokens, a->picture };
  const Dsvl2Result *got = dsvl2_request_wait (a->request), *expected;

  ask (alone, &again, ended);
  expected = dsvl2_request_wait (again.request);
  g_assert_cmpint (got->finish, ==, expected->finish);
  g_assert_cmpmem (got->token_ids, sizeof (int) * got->n_tokens, expected->token_ids,
      sizeof (int) * expected->n_tokens);
  g_assert_cmpmem (got->logprobs, sizeof (float) * got->n_tokens, expected->logprobs,
      sizeof (float) * expected->n_tokens);
  g_assert_cmpstr (got->text, ==, expected->text);
  g_assert_cmpint (a->n_heard, ==, got->n_tokens);
  dsvl2_request_unref (again.request);
}

/* --- the order ---------------------------------------------------------------------------------- */

/* The first question stands at the gate in the middle of its answer while the others are asked. */
static void
test_order (void)
{
  static const struct {
    const char *what, *asked, *ended;
    int max_sequences;
  } cases[] = {
    { "streams in turn", "x aaaabbc", "xabcabaa", 1 },
    { "the higher priority first", "x aabB", "Bxaba", 1 },
    { "which go on afterwards", "x AaAB", "ABAxa", 1 },
    { "the place of the last of the lower ones", "xab C", "Cxab", 3 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Dsvl2Engine) engine =
        open_engine (&(Dsvl2EngineOptions){ .max_sequences = cases[i].max_sequences, .threads = 1 });
    g_autoptr (Dsvl2Engine) alone = open_engine (&(Dsvl2EngineOptions){ .threads = 1 });
    g_autoptr (GString) ended = g_string_new (NULL);
    Asked asked[STREAMS] = { { 0 } };
    int n = 0;

    for (const char *c = cases[i].asked; *c; c++) {
      if (*c == ' ') {
        wait_until_reached ();
        continue;
      }
      /* capitals are of priority 1; of the others later ones have longer answers, so that they end in order */
      asked[n] = (Asked){ .name = *c,
        .priority = g_ascii_isupper (*c),
        .n_tokens = g_ascii_isupper (*c) ? 2 : 6 + 2 * n,
        .picture = n % 2,
        .stand_at = n == 0 ? 3 : 0 };
      ask (engine, &asked[n++], ended);
    }
    open_gate ();
    for (int j = 0; j < n; j++) {
      assert_as_alone (alone, &asked[j]);
      dsvl2_request_unref (asked[j].request);
    }
    g_test_message ("%s: \"%s\" at %d a time → \"%s\"", cases[i].what, cases[i].asked,
        cases[i].max_sequences, ended->str);
    g_assert_cmpstr (ended->str, ==, cases[i].ended);
  }
}

/* --- together ------------------------------------------------------------------------------------ */

/* The least number of steps that tokens can be of, each of which gives a stream one at most. */
static int
least_steps (const char *heard)
{
  gboolean has[128] = { 0 };
  int n = *heard != '\0';

  for (; *heard != '\0'; heard++) {
    if (has[(int) *heard]) {
      memset (has, 0, sizeof has);
      n++;
    }
    has[(int) *heard] = TRUE;
  }
  return n;
}

/* Answers grow by a token each in one step, as many at a time as there is room for. */
static void
test_together (void)
{
  enum { TOKENS = 24 };
  static const struct {
    int n, max_sequences, at_least, at_most; /* steps */
  } cases[] = {
    { 1, 16, TOKENS, TOKENS },
    { 2, 16, TOKENS, TOKENS + 4 },
    { STREAMS, 16, TOKENS, TOKENS + 4 },
    { STREAMS, 4, STREAMS / 4 * (TOKENS - 1), STREAMS / 4 * TOKENS + 4 },
    { STREAMS, 1, STREAMS * (TOKENS - 1), STREAMS * TOKENS },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Dsvl2Engine) engine =
        open_engine (&(Dsvl2EngineOptions){ .max_sequences = cases[i].max_sequences, .threads = 1 });
    g_autoptr (GString) ended = g_string_new (NULL), heard = g_string_new (NULL);
    Asked asked[STREAMS] = { { 0 } };

    for (int j = 0; j < cases[i].n; j++) {
      asked[j] =
          (Asked){ .name = (char) ('a' + j), .n_tokens = TOKENS, .heard = heard, .stand_at = j == 0 };
      ask (engine, &asked[j], ended);
      if (j == 0)
        wait_until_reached ();
    }
    open_gate ();
    for (int j = 0; j < cases[i].n; j++) {
      dsvl2_request_wait (asked[j].request);
      dsvl2_request_unref (asked[j].request);
    }
    g_test_message ("%d answers of %d tokens, at most %d together: %d steps at least", cases[i].n,
        TOKENS, cases[i].max_sequences, least_steps (heard->str));
    g_assert_cmpint (heard->len, ==, cases[i].n * TOKENS);
    g_assert_cmpint (least_steps (heard->str), >=, cases[i].at_least);
    g_assert_cmpint (least_steps (heard->str), <=, cases[i].at_most);
  }
}

/* --- many --------------------------------------------------------------------------------------- */

/* Four questions of each of sixteen streams, of three priorities; one stream cancels, another's questions
 * are refused. Each of the others gets what it gets alone, whatever the room. */
static void
test_everybody_is_answered (void)
{
  static const Dsvl2EngineOptions options[] = {
    { .threads = 2 },
    { .threads = 2, .max_sequences = 3, .prefill_chunk = 16 },
    { .threads = 2, .kv_bytes = 1 << 20 },
    { .threads = 1, .max_sequences = 64, .prefill_chunk = 64 },
  };
  enum { EACH = 4, CANCELS = 5 };
  g_autoptr (Dsvl2Engine) alone = open_engine (&(Dsvl2EngineOptions){ .threads = 1 });

  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    g_autoptr (Dsvl2Engine) engine = open_engine (&options[i]);
    g_autoptr (GString) ended = g_string_new (NULL);
    Asked asked[STREAMS][EACH] = { { { 0 } } };
    int n_cancelled = 0;

    for (int k = 0; k < EACH; k++) {
      for (int s = 0; s < STREAMS; s++) {
        asked[s][k] = (Asked){ .name = (char) ('A' + s),
          .priority = s % 3,
          .n_tokens = s == CANCELS ? 3000 : 5 + s,
          .picture = k % 2 };
        ask (engine, &asked[s][k], ended);
        g_assert_null (dsvl2_engine_submit (engine, &(Dsvl2Ask){ .priority = 9 }, NULL));
      }
    }
    for (int k = 0; k < EACH; k++)
      dsvl2_request_cancel (asked[CANCELS][k].request);
    for (int s = 0; s < STREAMS; s++) {
      for (int k = 0; k < EACH; k++) {
        if (s != CANCELS)
          assert_as_alone (alone, &asked[s][k]);
        else
          n_cancelled += dsvl2_request_wait (asked[s][k].request)->finish == DSVL2_FINISH_CANCELLED;
        dsvl2_request_unref (asked[s][k].request);
      }
    }
    g_test_message ("at most %d together, cache of %" G_GUINT64_FORMAT
                    " bytes: %d answers as alone, %d cancelled",
        options[i].max_sequences, options[i].kv_bytes, (STREAMS - 1) * EACH, n_cancelled);
    g_assert_cmpint (n_cancelled, ==, EACH);
    g_assert_cmpint (ended->len, ==, STREAMS * EACH);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 2);
  folder = argv[1];
  g_test_add_func ("/sharing/order", test_order);
  g_test_add_func ("/sharing/together", test_together);
  g_test_add_func ("/sharing/everybody-is-answered", test_everybody_is_answered);
  return g_test_run ();
}
