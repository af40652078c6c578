/* SPDX-License-Identifier: MIT
 *
 * The few kinds of msgpack items that a JAX stream is made of, read one after another from memory. Every length is
 * checked against what is left before it is used.
 */
#ifndef TTT_STORE_MSGPACK_H
#define TTT_STORE_MSGPACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum ttt_msgpack_kind {
    TTT_MSGPACK_ARRAY,   /* length: number of items that follow */
    TTT_MSGPACK_STRING,  /* bytes, length */
    TTT_MSGPACK_BINARY,  /* bytes, length */
    TTT_MSGPACK_EXT,     /* bytes, length, ext */
    TTT_MSGPACK_UNSIGNED /* length: the value */
} ttt_msgpack_kind;

typedef struct ttt_msgpack {
    const unsigned char *at, *end, *start; /* the next byte, the end, and what byte numbers in sentences count from */
    const char *where;
} ttt_msgpack;

typedef struct ttt_msgpack_item {
    ttt_msgpack_kind kind;
    uint64_t length;
    const unsigned char *bytes;
    int ext; /* type number of an ext item */
} ttt_msgpack_item;

/* Reads one item, which must be of this kind. */
TTT_NODISCARD ttt_status ttt_msgpack_read(ttt_msgpack *in, ttt_msgpack_kind kind, ttt_msgpack_item *item);

/* TTT_ERR_FORMAT with "where: byte N: what". */
ttt_status ttt_msgpack_fail(const ttt_msgpack *in, const char *what);

#endif
