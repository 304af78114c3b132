/* dsvl2: cutting text into the pieces that byte-pair encoding never crosses
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_PRETOKENIZER_H
#define DSVL2_PRETOKENIZER_H

#include "jsonfile.h"

typedef struct _Pretokenizer Pretokenizer;

/* A piece: bytes start … end − 1 of a text. */
typedef struct {
  gsize start, end;
} Piece;

/* pretokenizer_new: interprets "pre_tokenizer" of tokenizer.json (root): Sequence (nested as well), Split
 * (Regex or String; its five behaviours; invert), Digits and, last, ByteLevel, of which the mapping of
 * bytes to characters is left to the vocabulary. Patterns are Oniguruma's in Ruby's syntax; what PCRE2
 * takes in another sense is rewritten or refused.
 * Errors: FILE, UNSUPPORTED (the component and its type). Free with pretokenizer_free (). */
Pretokenizer *pretokenizer_new (const Section *root);
void pretokenizer_free (Pretokenizer *p);

/* pretokenizer_split: the pieces (Piece) of `text`, valid UTF-8, in order and none of them empty, into
 * `pieces`; add_prefix_space rewrites `text`. Each step cuts every piece that the one before it left, as a
 * text of its own. `spare` is scratch of the same type. A pattern that gives up (PCRE2's limit of
 * backtracking) leaves the rest of its piece whole. Thread-safe. */
void pretokenizer_split (const Pretokenizer *p, GString *text, GArray *pieces, GArray *spare);

/* pretokenizer_translate: the pattern in PCRE2's syntax with the meaning it has in Oniguruma; NULL where
 * it has a construct that is not known to be the same, then *where is the byte it begins at. Free with
 * g_free (). */
char *pretokenizer_translate (const char *pattern, gsize *where);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pretokenizer, pretokenizer_free)

#endif
