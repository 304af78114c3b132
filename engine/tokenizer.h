/* dsvl2: tokenizer.json: byte-level BPE
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_TOKENIZER_H
#define DSVL2_TOKENIZER_H

#include "dsvl2.h"
#include <stdbool.h>

typedef struct _Tokenizer Tokenizer;

/* Ids of the tokens that the prompt format and grounding need. */
typedef struct {
  int bos, eos, pad, image, ref, ref_end, det, det_end, grounding, user, assistant;
} SpecialTokens;

/* tokenizer_load: interprets `dir`/tokenizer.json (Hugging Face tokenizers): BPE model with merges as
 * "a b" or ["a", "b"], added tokens, pre-tokenizer sequences of Split, Digits and ByteLevel, ByteLevel
 * decoder. Special tokens that the file lacks are added behind its last id in the official processor's
 * order, as long as they fit vocab_size: pad, <image>, <|ref|>, <|/ref|>, <|det|>, <|/det|>,
 * <|grounding|>, <|User|>, <|Assistant|>.
 * Errors: FILE, UNSUPPORTED (the component and its type). Free with tokenizer_free (). */
Tokenizer *tokenizer_load (const char *dir, int vocab_size, GError **error);
void tokenizer_free (Tokenizer *tokenizer);

const SpecialTokens *tokenizer_special (const Tokenizer *tokenizer);

/* tokenizer_encode: appends the ids (int) of `text` to `ids`; added tokens in it are recognised, no bos
 * or eos is put around it. Bytes that are not UTF-8 are taken as U+FFFD. Thread-safe. */
void tokenizer_encode (const Tokenizer *tokenizer, const char *text, gssize length, GArray *ids);

/* The bytes of one token: the model's vocabulary decoded from byte-level, an added token's own text.
 * *length bytes, not terminated, possibly a part of a UTF-8 character; "" of an id without a token. */
const char *tokenizer_token_bytes (const Tokenizer *tokenizer, int id, gsize *length);

/* Whether the id is an added special token (markup rather than words). */
bool tokenizer_is_special (const Tokenizer *tokenizer, int id);

int tokenizer_vocabulary (const Tokenizer *tokenizer); /* highest id + 1 */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Tokenizer, tokenizer_free)

#endif
