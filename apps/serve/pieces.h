/* SPDX-License-Identifier: MIT
 *
 * The text of every id by itself: as it stands within a text, so that the blank before a word is there. Several ids may
 * have the same text, and one may be a part of a character; their keys tell them apart.
 */
#ifndef TTT_SERVE_PIECES_H
#define TTT_SERVE_PIECES_H

#include <ttt/tokenizer.h>

typedef struct ttt_pieces ttt_pieces;

ttt_pieces *ttt_pieces_new(const ttt_tokenizer *tokenizer); /* NULL: memory was short */
void ttt_pieces_free(ttt_pieces *pieces);                   /* NULL is allowed */

/* The text of an id [*size], which ends with a NUL; "" for one that the tokenizer does not know. */
const char *ttt_pieces_text(const ttt_pieces *pieces, int64_t id, size_t *size);

/* A name that no other id has: its text, or "token_id:N" if that is not UTF-8 by itself or another's too. */
enum { TTT_PIECE_KEY = 32 };
const char *ttt_pieces_key(const ttt_pieces *pieces, int64_t id, char buffer[TTT_PIECE_KEY]);

#endif
