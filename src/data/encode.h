/* SPDX-License-Identifier: MIT
 *
 * The one place that says what the ids of a text are: each document's own, begun by BOS if the tokenizer wants it and
 * ended by end-of-text if it has one. A document that a cut ends or begins gets neither there.
 */
#ifndef TTT_DATA_ENCODE_H
#define TTT_DATA_ENCODE_H

#include <ttt/tokenizer.h>

#include "data/texts.h"

/* Appends the ids of one piece. */
TTT_NODISCARD ttt_status ttt_piece_encode(const ttt_tokenizer *tokenizer, const ttt_text_piece *piece,
                                          bool parse_special, ttt_ids *ids);

#endif
