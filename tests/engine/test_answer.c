/* dsvl2: text from tokens that end anywhere, and stop texts that are never seen
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "answer.h"
#include <string.h>

#define FFFD "\357\277\275"

/* Here a token is its bytes: the tokenizer is a NULL-terminated list of them. */
struct _Tokenizer {
  const char *token[8];
};

const char *
tokenizer_token_bytes (const Tokenizer *tokenizer, int id, gsize *length)
{
  *length = strlen (tokenizer->token[id]);
  return tokenizer->token[id];
}

static const struct {
  const char *what;
  Tokenizer tokens;
  const char *stop[3];
  const char *text;  /* in the end */
  const char *given; /* piece by piece, a | after each */
} cases[] = {
  { "words", { { "a", " b", "c" } }, { NULL }, "a bc", "a| b|c||" },
  { "a character in two tokens", { { "caf\303", "\251!" } }, { NULL }, "caf\303\251!",
      "caf|\303\251!||" },
  { "in four", { { "\360", "\237", "\230", "\200" } }, { NULL }, "\360\237\230\200",
      "|||\360\237\230\200||" },
  { "never completed", { { "x\346\235" } }, { NULL }, "x" FFFD, "x|" FFFD "|" },
  { "broken by another", { { "\346\235", "y" } }, { NULL }, FFFD "y", "|" FFFD "y||" },
  { "no beginning", { { "\200\200" } }, { NULL }, FFFD FFFD, FFFD FFFD "||" },
  { "not UTF-8 at all", { { "\377\300\257" } }, { NULL }, FFFD FFFD FFFD, FFFD FFFD FFFD "||" },
  { "nothing", { { "", "" } }, { NULL }, "", "|||" },
  { "a stop", { { "one", "END", "two" } }, { "END" }, "one", "one||" },
  { "a stop in pieces", { { "one E", "N", "D two" } }, { "END" }, "one ", "||one |" },
  { "almost a stop", { { "one E", "N", "T" } }, { "END" }, "one ENT", "||one ENT||" },
  { "the first of two", { { "abcd" } }, { "cd", "bc" }, "a", "a|" },
  { "an empty stop", { { "ab" } }, { "" }, "ab", "ab||" },
  { "a stop across an open character", { { "x\303", "\251y" } }, { "\303\251" }, "x", "x||" },
};

static void
test_answers (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GString) given = g_string_new (NULL);
    Answer answer;
    bool stop = false;

    answer_init (&answer, cases[i].stop);
    for (int t = 0; cases[i].tokens.token[t] && !stop; t++) {
      stop = answer_add (&answer, &cases[i].tokens, t, -1);
      g_string_append_printf (given, "%s|", answer_take (&answer, stop));
      g_assert_cmpint (answer.ids->len, ==, t + 1);
      g_assert_cmpint (g_array_index (answer.ends, int, t), <=, answer.text->len);
    }
    if (!stop)
      g_string_append_printf (given, "%s|", answer_take (&answer, true));
    g_test_message ("%s: %s", cases[i].what, given->str);
    g_assert_cmpstr (answer.text->str, ==, cases[i].text);
    g_assert_cmpstr (given->str, ==, cases[i].given);
    answer_clear (&answer);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/answer/texts", test_answers);
  return g_test_run ();
}
