/* dsvl2: from what users write in properties to what the model is asked
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prompts.h"
#include <string.h>

#define IMAGE_MARK "<image>"

char **
prompts_split (const char *list)
{
  g_autoptr (GStrvBuilder) entries = g_strv_builder_new ();
  g_autofree char *text = g_utf8_make_valid (list != NULL ? list : "", -1);
  g_auto (GStrv) parts = g_strsplit (text, strchr (text, '\n') != NULL ? "\n" : ";", -1);

  for (char **part = parts; *part != NULL; part++)
    if (*g_strstrip (*part))
      g_strv_builder_add (entries, *part);
  return g_strv_builder_end (entries);
}

char **
prompts_asked (const InferSettings *s)
{
  char **prompts = prompts_split (s->prompts);

  if (*prompts == NULL) {
    g_strfreev (prompts);
    prompts = g_new0 (char *, 2);
    prompts[0] = g_utf8_make_valid (s->prompt != NULL ? s->prompt : "", -1);
  }
  return prompts;
}

guint
prompts_count_marks (const char *question)
{
  guint n = 0;

  while ((question = strstr (question, IMAGE_MARK)) != NULL) {
    question += strlen (IMAGE_MARK);
    n++;
  }
  return n;
}

char *
prompts_without_marks (const char *text)
{
  g_auto (GStrv) pieces = g_strsplit (text, IMAGE_MARK, -1);

  return g_strstrip (g_strjoinv ("", pieces));
}

/* What a template makes of a prompt, with marks or not. */
static char *
apply (const char *prompt, InferTemplate template)
{
  switch (template) {
    case INFER_TEMPLATE_FIND:
      return g_strconcat ("<|ref|>", prompt, "<|/ref|>.", NULL);
    case INFER_TEMPLATE_GROUNDING:
      return g_strconcat ("<|grounding|>", prompt, NULL);
    case INFER_TEMPLATE_AUTO:
      return dsvl2_prompt_from_text (prompt);
    default:
      return g_strdup (prompt);
  }
}

char *
prompts_question (const char *prompt, InferTemplate template, guint n_pictures)
{
  g_autofree char *text = apply (prompt, template);
  GString *question = g_string_new (NULL);

  if (template != INFER_TEMPLATE_RAW)
    for (guint n = prompts_count_marks (text); n < n_pictures; n++)
      g_string_append (question, IMAGE_MARK "\n");
  g_string_append (question, text);
  return g_string_free (question, FALSE);
}
