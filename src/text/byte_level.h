/* SPDX-License-Identifier: MIT
 *
 * GPT-2's byte level: text is cut into pieces by one regular expression, and tokens are written in an alphabet in
 * which every byte is one printable character. The library keeps raw bytes; the alphabet is for files only.
 */
#ifndef TTT_TEXT_BYTE_LEVEL_H
#define TTT_TEXT_BYTE_LEVEL_H

#include <stdbool.h>

#include "base/buffer.h"

/* The length of the first piece of `text` (`size` >= 1): what GPT-2's regular expression matches there,
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+. A byte that is no UTF-8 is a character
 * that is neither letter, number nor space. */
size_t ttt_byte_level_piece(const char *text, size_t size);

/* Appends the characters that stand for `bytes`. */
TTT_NODISCARD ttt_status ttt_byte_level_write(ttt_buffer *out, const char *bytes, size_t size);

/* Appends the bytes that the characters of `text` stand for, or, if one of them stands for none, `text` itself;
 * *mapped tells which. */
TTT_NODISCARD ttt_status ttt_byte_level_read(ttt_buffer *out, const char *text, size_t size, bool *mapped);

/* The code point that stands for a byte. */
unsigned ttt_byte_level_char(unsigned char byte);

#endif
