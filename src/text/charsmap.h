/* SPDX-License-Identifier: MIT
 *
 * SentencePiece's map of characters (precompiled_charsmap): a number of bytes, a double-array trie of that size
 * (Darts-clone), and the strings that the trie's values point into. Every step into it is checked, since it is not
 * ours.
 */
#ifndef TTT_TEXT_CHARSMAP_H
#define TTT_TEXT_CHARSMAP_H

#include <stdbool.h>

#include "base/buffer.h"

/* The longest rule, or the shortest, that `text` begins with: its length, and what it becomes; 0 if there is none. */
size_t ttt_charsmap_match(const ttt_buffer *charsmap, bool longest, const char *text, size_t size, const char **to,
                          size_t *to_size);

/* Appends `text` (UTF-8) as Hugging Face's Precompiled normalizer has it: a grapheme of less than six bytes that a rule
 * is the beginning of becomes what the shortest such rule says, all of it; else so do its characters. */
TTT_NODISCARD ttt_status ttt_charsmap_normalize(const ttt_buffer *charsmap, ttt_buffer *out, const char *text,
                                                size_t size);

/* Appends what base64 stands for. */
TTT_NODISCARD ttt_status ttt_charsmap_decode(ttt_buffer *out, const char *base64, size_t size);

#endif
