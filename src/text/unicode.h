/* SPDX-License-Identifier: MIT
 *
 * What the tokenizers ask about characters: letter, number, space or other (for GPT-2's splitting), whether \w matches
 * (for added tokens that are whole words), punctuation and marks, lower case, and Unicode normalization forms.
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

typedef struct ttt_unicode_range {
    uint32_t first, last;
} ttt_unicode_range;

/* In order. Beyond ASCII; combining marks; what NFKC and NFKD of Unicode 9 do not change and those of later ones do. */
extern const ttt_unicode_range ttt_unicode_punctuation[], ttt_unicode_marks[], ttt_unicode_new_compatible[];
extern const size_t ttt_unicode_punctuation_count, ttt_unicode_marks_count, ttt_unicode_new_compatible_count;

bool ttt_unicode_is_punctuation(uint32_t code); /* of characters beyond ASCII */
bool ttt_unicode_is_mark(uint32_t code);

typedef enum ttt_form { TTT_FORM_NFC, TTT_FORM_NFD, TTT_FORM_NFKC, TTT_FORM_NFKD } ttt_form;

/* Appends the text in a normalization form, in lower case, without its combining marks. Bytes that are not UTF-8 stay
 * as they are. */
TTT_NODISCARD ttt_status ttt_unicode_normalize(ttt_buffer *out, ttt_form form, const char *text, size_t size);
TTT_NODISCARD ttt_status ttt_unicode_lower(ttt_buffer *out, const char *text, size_t size);
TTT_NODISCARD ttt_status ttt_unicode_strip_marks(ttt_buffer *out, const char *text, size_t size);

#endif
