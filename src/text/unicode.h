/* SPDX-License-Identifier: MIT
 *
 * What the tokenizers ask about characters: letter, number, space or other (for GPT-2's splitting), whether \w matches
 * (for added tokens that are whole words), and Unicode normalization form C.
 */
#ifndef TTT_TEXT_UNICODE_H
#define TTT_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

enum { TTT_CHAR_OTHER = 0, TTT_CHAR_LETTER = 1, TTT_CHAR_NUMBER = 2, TTT_CHAR_SPACE = 3 };

/* Two stages: blocks of 128 code points, four bits each, the even one low: class (2 bits), \w, newer than NFC. */
extern const uint8_t ttt_unicode_index[0x110000 / 128];
extern const uint8_t ttt_unicode_blocks[][64];

static inline unsigned ttt_unicode_bits(uint32_t code)
{
    return (unsigned)ttt_unicode_blocks[ttt_unicode_index[code >> 7]][(code & 127) >> 1] >> (code & 1) * 4 & 15u;
}

static inline unsigned ttt_unicode_class(uint32_t code) { return ttt_unicode_bits(code) & 3; }
static inline bool ttt_unicode_is_word(uint32_t code) { return ttt_unicode_bits(code) & 4; }

/* Appends the normalization form C of `text`. Bytes that are not UTF-8 stay as they are. */
TTT_NODISCARD ttt_status ttt_unicode_nfc(ttt_buffer *out, const char *text, size_t size);

#endif
