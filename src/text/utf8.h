/* SPDX-License-Identifier: MIT
 *
 * UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. What is invalid is measured as Unicode
 * recommends (maximal subpart), which is what Rust's lossy conversion, and so Hugging Face, replaces by one U+FFFD.
 */
#ifndef TTT_TEXT_UTF8_H
#define TTT_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The character at `text` (`size` >= 1 bytes left): its length 1 to 4 with *code set; 0 if the bytes end inside what
 * may still become a character; -n if the first n bytes are no character. */
static inline int ttt_utf8_decode(const char *text, size_t size, uint32_t *code)
{
    const unsigned char lead = (unsigned char)text[0];
    *code = lead;
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return -1;
    const int length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    uint32_t value = lead & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if ((size_t)i == size) return 0;
        const unsigned char next = (unsigned char)text[i];
        if (next < low || next > high) return -i;
        value = value << 6 | (next & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *code = value;
    return length;
}

/* Writes a character of at most U+10FFFF and returns its length. */
int ttt_utf8_encode(uint32_t code, char bytes[4]);

/* The length of the longest valid prefix: `size` if all of it is UTF-8. */
size_t ttt_utf8_valid(const char *text, size_t size);

#endif
