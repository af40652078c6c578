/* SPDX-License-Identifier: MIT
 *
 * UTF-8: what is too large to be inline. Validation skips ASCII eight bytes at a time, since it runs over whole books.
 */
#include "text/utf8.h"

#include <string.h>

int ttt_utf8_encode(uint32_t code, char bytes[4])
{
    if (code < 0x80) {
        bytes[0] = (char)code;
        return 1;
    }
    const int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, code >>= 6) bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)((0xf00u >> length & 0xff) | code);
    return length;
}

size_t ttt_utf8_valid(const char *text, size_t size)
{
    size_t i = 0;
    while (i < size) {
        uint64_t eight;
        if (size - i >= sizeof eight) {
            memcpy(&eight, text + i, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        uint32_t code;
        const int length = ttt_utf8_decode(text + i, size - i, &code);
        if (length <= 0) return i;
        i += (size_t)length;
    }
    return size;
}
