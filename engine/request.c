/* dsvl2: a question, from submission to result
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request.h"
#include "grounding.h"
#include "prompt.h"
#include <string.h>

enum { DEFAULT_NEW_TOKENS = 512, MAX_PICTURES = 64 };

/* Official default: more pictures than this are not cropped. */
enum { CROPPED_PICTURES = 2 };

const char *
dsvl2_finish_get_name (Dsvl2Finish finish)
{
  static const char *const names[] = { "stop", "length", "cancelled", "error" };

  return (guint) finish < G_N_ELEMENTS (names) ? names[finish] : "unknown";
}

static void
take_pictures (Dsvl2Request *request, const Config *config, const Dsvl2Ask *ask)
{
  const bool crop = ask->cropping == DSVL2_CROPPING_ON ||
                    (ask->cropping == DSVL2_CROPPING_AUTO && ask->n_pictures <= CROPPED_PICTURES);

  request->n_pictures = ask->n_pictures;
  request->pictures = g_new0 (RequestPicture, ask->n_pictures);
  for (int i = 0; i < ask->n_pictures; i++) {
    RequestPicture *p = &request->pictures[i];

    p->picture = dsvl2_picture_ref (ask->pictures[i]);
    tile_plan_make (&p->plan, config, p->picture->frame.width, p->picture->frame.height, crop,
        ask->max_tiles);
  }
}

/* Widens each image token of `ids` to its picture's tokens. */
static void
lay_out_prompt (Dsvl2Request *request, const GArray *ids, int image_token)
{
  int picture = 0;

  request->tokens = g_array_new (FALSE, FALSE, sizeof (int));
  for (guint i = 0; i < ids->len; i++) {
    const int id = g_array_index (ids, int, i);
    int n = 1;

    if (id == image_token && picture < request->n_pictures) {
      request->pictures[picture].first = request->tokens->len;
      n = request->pictures[picture++].plan.n_tokens;
    }
    for (int j = 0; j < n; j++)
      g_array_append_val (request->tokens, id);
  }
  request->n_prompt = request->tokens->len;
}

static void
name_symbols (Dsvl2Request *request)
{
  request->symbols = g_new0 (KvSymbol, request->n_positions);
  for (int i = 0; i < request->n_prompt; i++)
    request->symbols[i].value = g_array_index (request->tokens, int, i);
  for (int i = 0; i < request->n_pictures; i++) {
    const RequestPicture *p = &request->pictures[i];

    for (int j = 0; j < p->plan.n_tokens; j++) {
      request->symbols[p->first + j] = (KvSymbol){
        .source = p->picture->key,
        .value = ((gint64) p->plan.across << 48) | ((gint64) p->plan.down << 32) | j,
      };
    }
  }
}

/* The phrase that the last message asks for, to label boxes that come without one. */
static char *
asked_phrase (const Dsvl2Message *message)
{
  const char *begin = strstr (message->text, "<|ref|>");
  const char *end = begin ? strstr (begin, "<|/ref|>") : NULL;

  return end ? g_strndup (begin + strlen ("<|ref|>"), end - begin - strlen ("<|ref|>"))
             : g_strdup ("object");
}

static bool
check_ask (const Dsvl2Ask *ask, GError **error)
{
  if (ask->n_pictures > MAX_PICTURES || ask->n_pictures < 0) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_PROMPT,
        "%d pictures came with one question, at most %d can", ask->n_pictures, MAX_PICTURES);
    return false;
  }
  if (ask->max_tiles < 0 || ask->sampling.max_new_tokens < 0 ||
      (guint) ask->cropping > DSVL2_CROPPING_OFF) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_OPTION,
        "max_tiles is %d, max_new_tokens %d and cropping %d; none may be negative or unknown",
        ask->max_tiles, ask->sampling.max_new_tokens, ask->cropping);
    return false;
  }
  return true;
}

static bool
set_length (Dsvl2Request *request, int context, int kv_capacity, int max_new_tokens, GError **error)
{
  const int room = MIN (context, kv_capacity);

  if (request->n_prompt >= room) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_CONTEXT,
        "The conversation has %d tokens with its pictures; %s of %d leaves no room for an answer",
        request->n_prompt, context <= kv_capacity ? "the model's context" : "the engine's KV cache",
        room);
    return false;
  }
  request->n_positions = MIN ((gint64) room,
      (gint64) request->n_prompt + (max_new_tokens > 0 ? max_new_tokens : DEFAULT_NEW_TOKENS));
  return true;
}

Dsvl2Request *
request_new (Dsvl2Model *model, int kv_capacity, const Dsvl2Ask *ask, GError **error)
{
  const LanguageConfig *language = &model->config.language;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (Dsvl2Request) request = NULL;

  if (!check_ask (ask, error) ||
      !prompt_encode (model->tokenizer, ask->messages, ask->n_messages, ask->n_pictures, ids, error))
    return NULL;

  request = g_new0 (Dsvl2Request, 1);
  g_atomic_ref_count_init (&request->refs);
  g_mutex_init (&request->lock);
  g_cond_init (&request->ended_cond);
  answer_init (&request->answer, ask->sampling.stop);
  take_pictures (request, &model->config, ask);
  lay_out_prompt (request, ids, tokenizer_special (model->tokenizer)->image);
  if (!set_length (request, language->max_position_embeddings, kv_capacity,
          ask->sampling.max_new_tokens, error) ||
      (request->sampler = sampler_new (&ask->sampling, language->vocab_size, error)) == NULL)
    return NULL;
  name_symbols (request);
  request->ignore_eos = ask->sampling.ignore_eos;
  request->fallback_label = asked_phrase (&ask->messages[ask->n_messages - 1]);
  request->token = ask->token;
  request->done = ask->done;
  request->user_data = ask->user_data;
  request->stream = ask->stream;
  request->priority = ask->priority;
  request->submitted_at = g_get_monotonic_time ();
  return g_steal_pointer (&request);
}

Dsvl2Request *
dsvl2_request_ref (Dsvl2Request *request)
{
  g_atomic_ref_count_inc (&request->refs);
  return request;
}

void
dsvl2_request_unref (Dsvl2Request *request)
{
  if (!g_atomic_ref_count_dec (&request->refs))
    return;
  for (int i = 0; i < request->n_pictures; i++)
    g_clear_pointer (&request->pictures[i].picture, dsvl2_picture_unref);
  g_free (request->pictures);
  g_clear_pointer (&request->tokens, g_array_unref);
  g_clear_pointer (&request->objects, g_array_unref);
  g_clear_pointer (&request->sampler, sampler_free);
  g_clear_error (&request->result.error);
  g_free (request->result.caption);
  answer_clear (&request->answer);
  g_free (request->symbols);
  g_free (request->fallback_label);
  g_mutex_clear (&request->lock);
  g_cond_clear (&request->ended_cond);
  g_free (request);
}

void
dsvl2_request_cancel (Dsvl2Request *request)
{
  g_atomic_int_set (&request->cancelled, 1);
}

const Dsvl2Result *
dsvl2_request_wait (Dsvl2Request *request)
{
  g_mutex_lock (&request->lock);
  while (!request->ended)
    g_cond_wait (&request->ended_cond, &request->lock);
  g_mutex_unlock (&request->lock);
  return &request->result;
}

bool
request_add_token (Dsvl2Request *request, const Tokenizer *tokenizer, int id, float logprob)
{
  const bool stop = answer_add (&request->answer, tokenizer, id, logprob);

  request->symbols[request->tokens->len] = (KvSymbol){ .value = id };
  g_array_append_val (request->tokens, id);
  request->last_token_at = g_get_monotonic_time ();
  if (request->first_token_at == 0)
    request->first_token_at = request->last_token_at;
  if (request->token)
    request->token (request, id, answer_take (&request->answer, stop), request->user_data);
  return stop;
}

static void
set_timings (Dsvl2Result *result, const Dsvl2Request *r)
{
  const gint64 now = g_get_monotonic_time ();
  const gint64 started = r->started_at ? r->started_at : now;
  const gint64 seen = r->seen_at ? r->seen_at : now;
  const gint64 first = r->first_token_at ? r->first_token_at : now;

  result->queue_us = started - r->submitted_at;
  result->vision_us = MAX (seen - started, 0);
  result->prefill_us = MAX (first - MAX (seen, started), 0);
  result->decode_us = r->last_token_at ? r->last_token_at - first : 0;
}

void
request_end (Dsvl2Request *request, Dsvl2Finish finish, GError *error)
{
  Answer *answer = &request->answer;
  Dsvl2Result *result = &request->result;

  answer_take (answer, true);
  request->objects = grounding_parse (answer->text->str, (const int *) answer->ends->data,
      (const float *) answer->logprobs->data, answer->ids->len, request->fallback_label);
  *result = (Dsvl2Result){
    .text = answer->text->str,
    .caption = grounding_caption (answer->text->str),
    .token_ids = (const int *) answer->ids->data,
    .logprobs = (const float *) answer->logprobs->data,
    .n_tokens = answer->ids->len,
    .objects = (const Dsvl2Object *) request->objects->data,
    .n_objects = request->objects->len,
    .finish = finish,
    .error = error,
    .n_prompt_tokens = request->n_prompt,
    .n_cached_tokens = request->n_cached,
    .n_tiles = request->n_tiles,
  };
  set_timings (result, request);

  /* The pixels' owner has them back before anybody learns that the answer is there. */
  for (int i = 0; i < request->n_pictures; i++)
    g_clear_pointer (&request->pictures[i].picture, dsvl2_picture_unref);
  if (request->done)
    request->done (request, result, request->user_data);

  g_mutex_lock (&request->lock);
  request->ended = true;
  g_cond_broadcast (&request->ended_cond);
  g_mutex_unlock (&request->lock);
}
