/* SPDX-License-Identifier: MIT
 *
 * A digest of what a test computed, held against the one that is written in it: the same under every instruction set,
 * on every processor. It needs no library.
 */
#ifndef TTT_TESTS_OP_BITS_H
#define TTT_TESTS_OP_BITS_H

#include "test.h"

static const uint64_t BITS_BEGIN = 0xcbf29ce484222325;

/* Adds `count` bytes, a multiple of 4. */
static inline void bits_add(uint64_t *digest, const void *bytes, size_t count)
{
    const char *from = bytes;
    for (size_t i = 0; i + 4 <= count; i += 4) {
        uint32_t word;
        memcpy(&word, from + i, sizeof word);
        *digest = (*digest ^ word) * 0x100000001b3;
        *digest ^= *digest >> 29;
    }
}

/* Whether arithmetic is that of a processor: TTT_TEST_BITS=0 says that it is valgrind's, which rounds otherwise. */
static inline bool bits_count(void)
{
    const char *bits = getenv("TTT_TEST_BITS");
    return !bits || strcmp(bits, "0") != 0;
}

static inline void bits_check(uint64_t digest, uint64_t expected)
{
    printf("digest 0x%016llx\n", (unsigned long long)digest);
    if (!bits_count()) return;
    test_checks++;
    if (digest == expected) return;
    test_failures++;
    fprintf(stderr, "other bits than elsewhere: the digest is 0x%016llx and was to be 0x%016llx\n",
            (unsigned long long)digest, (unsigned long long)expected);
}

#endif
