/* dsvl2-chat: questions about pictures on the command line
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "answer-json.h"
#include "chat-options.h"
#include "draw.h"
#include "photo.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  const ChatOptions *options;
  Dsvl2Engine *engine;
  GPtrArray *photos; /* (Photo) every one of the conversation */
  GArray *messages;  /* (Dsvl2Message) their texts are in `texts` */
  GStringChunk *texts;
  guint n_unasked; /* photos at the end that no question has shown yet */
  int turn;
} Chat;

static volatile sig_atomic_t interrupted;

/* The first Ctrl-C of an answer ends the answer, the second the program. */
static void
on_interrupt (int signal_number)
{
  interrupted = 1;
}

static void
catch_interrupt (gboolean catch_it)
{
  struct sigaction action = { .sa_handler = catch_it ? on_interrupt : SIG_DFL };

  action.sa_flags = SA_RESETHAND | SA_RESTART;
  interrupted = 0;
  sigaction (SIGINT, &action, NULL);
}

static gboolean
complain (GError *error)
{
  fprintf (stderr, "dsvl2-chat: %s\n", error->message);
  return FALSE;
}

static void
on_token (Dsvl2Request *request, int token_id, const char *text, gpointer user_data)
{
  const Chat *chat = user_data;

  if (!chat->options->json) {
    fputs (text, stdout);
    fflush (stdout);
  }
  if (interrupted)
    dsvl2_request_cancel (request);
}

/* What a person typed, as the model is asked it: "find cars" in the model's own words, and an <image>
 * mark for each new photo where the text places none. */
static char *
question_from_text (const char *text, guint n_photos)
{
  g_auto (GStrv) lines = g_strsplit (text, "\\n", -1);
  g_autofree char *typed = g_strjoinv ("\n", lines);
  g_autofree char *prompt = dsvl2_prompt_from_text (typed);
  const char *question = prompt;
  GString *marked;

  if (strstr (typed, "<image>") != NULL)
    return g_steal_pointer (&prompt);
  if (g_str_has_prefix (question, "<image>\n"))
    question += strlen ("<image>\n");
  marked = g_string_new (NULL);
  for (guint i = 0; i < n_photos; i++)
    g_string_append (marked, "<image>\n");
  g_string_append (marked, question);
  return g_string_free (marked, FALSE);
}

static void
add_message (Chat *chat, Dsvl2Role role, const char *text)
{
  const Dsvl2Message message = { role, g_string_chunk_insert (chat->texts, text) };

  g_array_append_val (chat->messages, message);
}

static gboolean
add_photo (Chat *chat, const char *name)
{
  g_autoptr (GError) error = NULL;
  Photo *photo = photo_load (name, &error);

  if (photo == NULL)
    return complain (error);
  g_ptr_array_add (chat->photos, photo);
  chat->n_unasked++;
  return TRUE;
}

static void
print_timings (const Dsvl2Result *a)
{
  const double decode = a->decode_us / 1e6;

  fprintf (stderr,
      "[%d prompt tokens, %d of them cached, %d tiles: waited %.3f s, vision %.3f s, first token after "
      "%.3f s; %d tokens in %.3f s, %.1f a second; %s]\n",
      a->n_prompt_tokens, a->n_cached_tokens, a->n_tiles, a->queue_us / 1e6, a->vision_us / 1e6,
      a->prefill_us / 1e6, a->n_tokens, decode, decode > 0 ? (a->n_tokens - 1) / decode : 0.0,
      dsvl2_finish_get_name (a->finish));
}

static gboolean
show_answer (Chat *chat, const char *question, const Dsvl2Result *answer)
{
  const ChatOptions *o = chat->options;
  g_autoptr (GError) error = NULL;

  if (o->json) {
    g_autofree char *line = answer_to_json (chat->turn, question, answer);

    puts (line);
  } else
    putchar ('\n');
  fflush (stdout);
  if (o->verbose)
    print_timings (answer);
  if (answer->finish == DSVL2_FINISH_ERROR)
    return complain (answer->error);
  if (o->draw != NULL && chat->photos->len > 0 &&
      !draw_answer (g_ptr_array_index (chat->photos, chat->photos->len - 1), answer, o->draw, &error))
    return complain (error);
  return TRUE;
}

static Dsvl2Request *
submit (Chat *chat, GError **error)
{
  g_autofree Dsvl2Picture **pictures = g_new (Dsvl2Picture *, chat->photos->len + 1);
  Dsvl2Ask ask = { .messages = (const Dsvl2Message *) (void *) chat->messages->data,
    .n_messages = (int) chat->messages->len,
    .pictures = pictures,
    .n_pictures = (int) chat->photos->len,
    .cropping = chat->options->cropping,
    .max_tiles = chat->options->max_tiles,
    .sampling = chat->options->sampling,
    .token = on_token,
    .user_data = chat };

  for (guint i = 0; i < chat->photos->len; i++)
    pictures[i] = ((Photo *) g_ptr_array_index (chat->photos, i))->picture;
  return dsvl2_engine_submit (chat->engine, &ask, error);
}

/* One question and its answer; a turn that fails leaves the conversation as it was. */
static gboolean
ask (Chat *chat, const char *text)
{
  g_autofree char *question = question_from_text (text, chat->n_unasked);
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Request) request = NULL;
  const guint n_before = chat->messages->len;
  const Dsvl2Result *answer = NULL;
  gboolean well = FALSE;

  add_message (chat, DSVL2_ROLE_USER, question);
  catch_interrupt (TRUE);
  request = submit (chat, &error);
  if (request != NULL)
    answer = dsvl2_request_wait (request);
  catch_interrupt (FALSE);

  well = answer != NULL ? show_answer (chat, question, answer) : complain (error);
  if (answer == NULL || answer->finish == DSVL2_FINISH_ERROR) {
    g_array_set_size (chat->messages, n_before);
  } else {
    add_message (chat, DSVL2_ROLE_ASSISTANT, answer->text);
    chat->n_unasked = 0;
    chat->turn++;
  }
  return well;
}

/* A question a line until the input ends; "/image FILE" shows one more picture with the next question. */
static gboolean
converse (Chat *chat)
{
  const gboolean person = isatty (STDIN_FILENO);
  g_autofree char *line = NULL;
  size_t size = 0;
  ssize_t length;
  gboolean well = TRUE;

  for (;;) {
    if (person)
      fputs ("> ", stderr);
    if ((length = getline (&line, &size, stdin)) < 0)
      return well;
    g_strstrip (line);
    if (g_str_has_prefix (line, "/image "))
      well = add_photo (chat, g_strstrip (line + strlen ("/image "))) && well;
    else if (*line != '\0')
      well = ask (chat, line) && well;
  }
}

static Dsvl2Engine *
open_engine (const ChatOptions *o, GError **error)
{
  g_autofree char *dir = o->model != NULL ? g_strdup (o->model) : dsvl2_default_model_path ();
  g_autoptr (Dsvl2Model) model = NULL;
  const gint64 start = g_get_monotonic_time ();
  Dsvl2Engine *engine;

  if (dir == NULL) {
    g_set_error_literal (error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "No model: name its folder with --model or in DSVL2_MODEL; the default one is not installed");
    return NULL;
  }
  if ((model = dsvl2_model_open (dir, error)) == NULL)
    return NULL;
  engine = dsvl2_engine_open (model, &o->engine, error);
  if (engine != NULL && o->verbose)
    fprintf (stderr, "[%s: %s; %s; opened in %.3f s]\n", dir, dsvl2_model_get_description (model),
        dsvl2_engine_get_description (engine), (g_get_monotonic_time () - start) / 1e6);
  return engine;
}

static gboolean
run (Chat *chat)
{
  const ChatOptions *o = chat->options;
  gboolean well = TRUE;

  if (o->system != NULL)
    add_message (chat, DSVL2_ROLE_SYSTEM, o->system);
  for (guint i = 0; o->images != NULL && o->images[i] != NULL; i++)
    if (!add_photo (chat, o->images[i]))
      return FALSE;
  if (o->prompt != NULL)
    well = ask (chat, o->prompt);
  if (o->prompt == NULL || o->interactive)
    well = converse (chat) && well;
  return well;
}

int
main (int argc, char **argv)
{
  g_auto (ChatOptions) options = { 0 };
  g_autoptr (GError) error = NULL;
  Chat chat = { .options = &options };
  gboolean well;

  if (!chat_options_parse (&options, &argc, &argv, &error)) {
    complain (error);
    return 2;
  }
  if ((chat.engine = open_engine (&options, &error)) == NULL) {
    complain (error);
    return 1;
  }
  chat.photos = g_ptr_array_new_with_free_func ((GDestroyNotify) photo_free);
  chat.messages = g_array_new (FALSE, FALSE, sizeof (Dsvl2Message));
  chat.texts = g_string_chunk_new (4096);
  well = run (&chat);

  dsvl2_engine_unref (chat.engine);
  g_ptr_array_unref (chat.photos);
  g_array_unref (chat.messages);
  g_string_chunk_free (chat.texts);
  return well ? 0 : 1;
}
