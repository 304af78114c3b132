/* dsvl2: hostile texts: whatever a model or a person writes has tokens, and at most well-formed objects
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 *   fuzz_text [--runs N] [--seed S] DIR...   N texts, the same for the same seed, through grounding and
 *                                            through DIR/tokenizer.json, which must have a token for each byte
 *
 * Run it under address and undefined-behaviour checks. */
#include "engine/grounding.h"
#include "engine/tokenizer.h"

#include <string.h>

/* What texts are put together from, beside numbers and random bytes. */
static const char *const pieces[] = { "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|box_start|>",
  "<|box_end|>", "<|grounding|>", "<image>", "<|User|>", "<｜end▁of▁sentence｜>", "[[", "]]", "[", "]",
  "(", ")", ", ", ",", " ", "-", ".", "\n", "<", "<|", "|>", "<｜", "｜>", "the cars", "a", "漢", "é",
  "e\xcc\x81", "'s", "  \t\r\n", "👨‍👩‍👧", "[120, 344, 456, 672]", "(0.12,0.34,0.45,0.67)",
  "<|det|>[[1, 2, 3, 4], [", "<|box_start|>(0,0,1,1)<|box_end|>", "\xff", "\xe6\xbc", "\xf0\x9f" };

static GString *
make_text (GRand *random)
{
  GString *text = g_string_new (NULL);

  for (int n = g_rand_int_range (random, 0, 60); n > 0; n--) {
    switch (g_rand_int_range (random, 0, 8)) {
      case 0:
        g_string_append_printf (text, "%d", g_rand_int_range (random, -10, 1100));
        break;
      case 1:
        g_string_append_printf (text, "%.*f", g_rand_int_range (random, 0, 20), g_rand_double (random));
        break;
      case 2:
        g_string_append_c (text, (char) g_rand_int_range (random, 1, 256));
        break;
      case 3:
        g_string_append_unichar (text, g_rand_int_range (random, 1, 0xd800));
        break;
      case 4:
        for (int repeat = g_rand_int_range (random, 1, 400); repeat > 0; repeat--)
          g_string_append (text, n % 2 ? "[" : "9");
        break;
      default:
        g_string_append (text, pieces[g_rand_int_range (random, 0, G_N_ELEMENTS (pieces))]);
    }
  }
  return text;
}

/* Tokens of random lengths that cover the text, or stop before its end. */
static int
make_tokens (const GString *text, GRand *random, int *token_end, float *logprobs)
{
  int n = 0;

  for (gsize at = 0; at < text->len; n++) {
    at = MIN (text->len, at + g_rand_int_range (random, 0, 9));
    token_end[n] = at;
    logprobs[n] = -g_rand_double_range (random, 0, 40);
    if (n >= 4 * (int) text->len || g_rand_int_range (random, 0, 1000) == 0)
      break;
  }
  return n;
}

static int
try_grounding (const GString *text, GRand *random)
{
  g_autofree int *token_end = g_new (int, 4 * text->len + 2);
  g_autofree float *logprobs = g_new (float, 4 * text->len + 2);
  const int n_tokens = make_tokens (text, random, token_end, logprobs);
  g_autoptr (GArray) objects = grounding_parse (text->str, token_end, logprobs, n_tokens, "?");
  g_autofree char *caption = grounding_caption (text->str);

  g_assert_cmpuint (objects->len, <=, GROUNDING_MAX_OBJECTS);
  for (guint i = 0; i < objects->len; i++) {
    const Dsvl2Object *o = &g_array_index (objects, Dsvl2Object, i);

    g_assert_true (g_utf8_validate (o->label, -1, NULL));
    g_assert_cmpuint (strlen (o->label), >, 0);
    g_assert_cmpuint (strlen (o->label), <=, GROUNDING_MAX_LABEL);
    g_assert_true (0 <= o->x0 && o->x0 <= o->x1 && o->x1 <= 1);
    g_assert_true (0 <= o->y0 && o->y0 <= o->y1 && o->y1 <= 1);
    g_assert_true (o->confidence >= 0 && o->confidence <= 1);
  }
  g_assert_true (g_utf8_validate (caption, -1, NULL));
  g_assert_cmpuint (strlen (caption), <=, 3 * text->len);
  return objects->len;
}

/* The bytes of its tokens are the text. */
static void
try_tokenizer (const Tokenizer *t, const GString *text)
{
  g_autofree char *valid = g_utf8_make_valid (text->str, text->len);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (GString) back = g_string_new (NULL);

  tokenizer_encode (t, text->str, text->len, ids);
  for (guint i = 0; i < ids->len; i++) {
    gsize length;
    const char *bytes = tokenizer_token_bytes (t, g_array_index (ids, int, i), &length);

    g_string_append_len (back, bytes, length);
  }
  g_assert_cmpstr (back->str, ==, valid);
}

int
main (int argc, char **argv)
{
  int runs = 1000, seed = 1, objects = 0;
  const GOptionEntry options[] = {
    { "runs", 0, 0, G_OPTION_ARG_INT, &runs, "how many texts", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT, &seed, "which texts", "N" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("DIR...");
  g_autoptr (GError) error = NULL;
  g_autoptr (GRand) random = NULL;
  g_autoptr (GPtrArray) tokenizers = g_ptr_array_new_with_free_func ((GDestroyNotify) tokenizer_free);

  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  for (int i = 1; i < argc; i++) {
    Tokenizer *t = tokenizer_load (argv[i], 1 << 20, &error);

    if (t == NULL) {
      g_printerr ("%s\n", error->message);
      return 2;
    }
    g_ptr_array_add (tokenizers, t);
  }
  random = g_rand_new_with_seed (seed);
  for (int i = 0; i < runs; i++) {
    g_autoptr (GString) text = make_text (random);

    objects += try_grounding (text, random);
    for (guint k = 0; k < tokenizers->len; k++)
      try_tokenizer (tokenizers->pdata[k], text);
  }
  g_print ("%d texts, %d objects, %u tokenizers\n", runs, objects, tokenizers->len);
  return 0;
}
