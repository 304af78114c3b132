/* dsvl2: from a conversation to tokens
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The published models' format, "deepseek" (official code: conversation.py and
 * processing_deepseek_vl_v2.py, format_messages_v2):
 *
 *   bos [system \n\n] (<|User|>: question \n\n <|Assistant|>: [answer eos])…
 */
#include "prompt.h"
#include <string.h>

#define IMAGE_MARK "<image>"

/* Text between <image> marks is tokenised piece by piece, as the official processor does. */
static int
encode_user_text (const Tokenizer *tokenizer, const char *text, GArray *ids)
{
  const int image = tokenizer_special (tokenizer)->image;
  int n_marks = 0;

  for (const char *mark; (mark = strstr (text, IMAGE_MARK)); text = mark + strlen (IMAGE_MARK)) {
    tokenizer_encode (tokenizer, text, mark - text, ids);
    g_array_append_val (ids, image);
    n_marks++;
  }
  tokenizer_encode (tokenizer, text, -1, ids);
  return n_marks;
}

static const char *
role_name (Dsvl2Role role)
{
  static const char *const names[] = { "system", "user", "assistant" };

  return (guint) role < G_N_ELEMENTS (names) ? names[role] : "nobody";
}

static bool
check_roles (const Dsvl2Message *messages, int n_messages, GError **error)
{
  const int first = n_messages > 0 && messages[0].role == DSVL2_ROLE_SYSTEM ? 1 : 0;

  for (int i = first; i < n_messages; i++) {
    const Dsvl2Role expected = (i - first) % 2 == 0 ? DSVL2_ROLE_USER : DSVL2_ROLE_ASSISTANT;

    if (messages[i].role != expected) {
      g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PROMPT,
          "Message %d of the conversation is the %s's, a turn of the %s was expected", i + 1,
          role_name (messages[i].role), role_name (expected));
      return false;
    }
  }
  if (n_messages <= first || messages[n_messages - 1].role != DSVL2_ROLE_USER) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PROMPT,
        "The conversation does not end with a question of the user");
    return false;
  }
  for (int i = 0; i < n_messages; i++) {
    if (messages[i].text == NULL) {
      g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PROMPT, "Message %d of the conversation has no text",
          i + 1);
      return false;
    }
  }
  return true;
}

bool
prompt_encode (const Tokenizer *tokenizer, const Dsvl2Message *messages, int n_messages, int n_pictures,
    GArray *ids, GError **error)
{
  const SpecialTokens *special = tokenizer_special (tokenizer);
  int n_marks = 0;

  if (!check_roles (messages, n_messages, error))
    return false;

  g_array_append_val (ids, special->bos);
  for (int i = 0; i < n_messages; i++) {
    g_autofree char *content = g_strstrip (g_strdup (messages[i].text));
    g_autofree char *turn = NULL;

    switch (messages[i].role) {
      case DSVL2_ROLE_SYSTEM:
        if (content[0] != '\0') {
          turn = g_strconcat (content, "\n\n", NULL);
          tokenizer_encode (tokenizer, turn, -1, ids);
        }
        break;
      case DSVL2_ROLE_USER:
        turn = g_strconcat ("<|User|>: ", content, "\n\n<|Assistant|>:", NULL);
        n_marks += encode_user_text (tokenizer, turn, ids);
        break;
      case DSVL2_ROLE_ASSISTANT:
        tokenizer_encode (tokenizer, content, -1, ids);
        g_array_append_val (ids, special->eos);
        break;
    }
  }

  if (n_marks != n_pictures) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PROMPT,
        "The prompt has %d <image> marks, but %d pictures came with it", n_marks, n_pictures);
    return false;
  }
  return true;
}

char *
dsvl2_prompt_from_text (const char *text)
{
  g_autofree char *question = g_strstrip (g_utf8_make_valid (text ? text : "", -1));

  if (strstr (question, "<|") || strstr (question, IMAGE_MARK))
    return g_steal_pointer (&question);

  g_autoptr (GRegex) grounding = g_regex_new ("^(?:find|locate|detect|spot)\\s+(?:all\\s+)?(?:of\\s+)?("
                                              "?:the\\s+)?(.*[^.!?\\s])[.!?\\s]*$",
      G_REGEX_CASELESS | G_REGEX_DOTALL, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  if (g_regex_match (grounding, question, 0, &match)) {
    g_autofree char *phrase = g_match_info_fetch (match, 1);
    return g_strdup_printf (IMAGE_MARK "\n<|ref|>the %s<|/ref|>.", phrase);
  }
  return g_strconcat (IMAGE_MARK "\n", question, NULL);
}
