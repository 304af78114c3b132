/* dsvl2: a question, from submission to result
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_REQUEST_H
#define DSVL2_REQUEST_H

#include "answer.h"
#include "featurestore.h"
#include "kvcache.h"
#include "sampler.h"
#include "turns.h"

/* A picture of the conversation and the positions of its tokens. */
typedef struct {
  Dsvl2Picture *picture;
  TilePlan plan;
  int first;
  Features *features; /* while the request runs */
} RequestPicture;

struct _Dsvl2Request {
  gatomicrefcount refs;

  /* The question. Token i < n_prompt is the prompt's (of a picture: the image token), the rest are the
   * answer's; symbols say the same to the KV cache. */
  GArray *tokens;    /* int */
  KvSymbol *symbols; /* [n_positions] */
  int n_prompt;
  int n_positions; /* that the conversation may come to */
  RequestPicture *pictures;
  int n_pictures;
  Sampler *sampler;
  bool ignore_eos;
  char *fallback_label;
  Dsvl2TokenFunc token;
  Dsvl2DoneFunc done;
  gpointer user_data;
  gconstpointer stream;
  int priority;

  /* What the worker knows of it. */
  Turn turn;
  int slot; /* sequence index in a step */
  KvSequence sequence;
  int n_written; /* positions whose keys and values are in the cache */
  int n_cached;  /* of them found there when it was first admitted */
  int n_tiles;
  int picture; /* the first whose features are still missing */
  Answer answer;
  gint64 submitted_at, started_at, seen_at, first_token_at, last_token_at;

  gint cancelled; /* atomic */

  GMutex lock;
  GCond ended_cond;
  bool ended;
  Dsvl2Result result;
  GArray *objects;
};

/* request_new: checks the question against the model. Errors: PROMPT, CONTEXT, OPTION. */
Dsvl2Request *request_new (Dsvl2Model *model, int kv_capacity, const Dsvl2Ask *ask, GError **error);

/* The next token of the answer, for the cache and the text; true where it completes a stop text. */
bool request_add_token (Dsvl2Request *request, const Tokenizer *tokenizer, int id, float logprob);

/* Ends the request: result, done callback, waiters. Takes `error`. */
void request_end (Dsvl2Request *request, Dsvl2Finish finish, GError *error);

#endif
