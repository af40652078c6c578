/* SPDX-License-Identifier: MIT
 *
 * Reading msgpack items; see msgpack.h. The first byte tells kind and the number of bytes of the length, or the length.
 */
#include "store/msgpack.h"

ttt_status ttt_msgpack_fail(const ttt_msgpack *in, const char *what)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: byte %zu: %s", in->where, (size_t)(in->at - in->start), what);
}

static ttt_status read_big_endian(ttt_msgpack *in, int bytes, uint64_t *value)
{
    if (in->end - in->at < bytes) return ttt_msgpack_fail(in, "the stream ends inside an item (truncated?)");
    *value = 0;
    for (int i = 0; i < bytes; i++) *value = *value << 8 | *in->at++;
    return TTT_OK;
}

/* Kind of an item from its first byte, bytes of its length field (0: the length is in the byte itself); -1: none of
 * ours. */
static int classify(unsigned first, int *width, uint64_t *length)
{
    *width = 0;
    *length = 0;
    if (first <= 0x7f) {
        *length = first;
        return TTT_MSGPACK_UNSIGNED;
    }
    if (first >= 0x90 && first <= 0x9f) {
        *length = first & 15;
        return TTT_MSGPACK_ARRAY;
    }
    if (first >= 0xa0 && first <= 0xbf) {
        *length = first & 31;
        return TTT_MSGPACK_STRING;
    }
    if (first >= 0xd4 && first <= 0xd8) {
        *length = UINT64_C(1) << (first - 0xd4);
        return TTT_MSGPACK_EXT;
    }
    switch (first) {
    case 0xc4:
    case 0xc5:
    case 0xc6: *width = 1 << (first - 0xc4); return TTT_MSGPACK_BINARY;
    case 0xc7:
    case 0xc8:
    case 0xc9: *width = 1 << (first - 0xc7); return TTT_MSGPACK_EXT;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: *width = 1 << (first - 0xcc); return TTT_MSGPACK_UNSIGNED;
    case 0xd9:
    case 0xda:
    case 0xdb: *width = 1 << (first - 0xd9); return TTT_MSGPACK_STRING;
    case 0xdc:
    case 0xdd: *width = 2 << (first - 0xdc); return TTT_MSGPACK_ARRAY;
    default: return -1;
    }
}

ttt_status ttt_msgpack_read(ttt_msgpack *in, ttt_msgpack_kind kind, ttt_msgpack_item *item)
{
    static const char *const expected[] = {"an array is expected here", "a string is expected here",
                                           "binary data is expected here", "an array record is expected here",
                                           "a natural number is expected here"};
    uint64_t first = 0, ext = 0;
    int width;
    *item = (ttt_msgpack_item){.kind = kind};
    TTT_TRY(read_big_endian(in, 1, &first));
    if (classify((unsigned)first, &width, &item->length) != (int)kind) {
        in->at--;
        return ttt_msgpack_fail(in, expected[kind]);
    }
    if (width) TTT_TRY(read_big_endian(in, width, &item->length));
    if (kind == TTT_MSGPACK_UNSIGNED) return TTT_OK;
    if (kind == TTT_MSGPACK_EXT) {
        TTT_TRY(read_big_endian(in, 1, &ext));
        item->ext = (int)ext;
    }
    if (item->length > (uint64_t)(in->end - in->at)) /* an item of an array takes a byte at least */
        return ttt_msgpack_fail(in, "an item is longer than what is left of the stream (truncated?)");
    if (kind == TTT_MSGPACK_ARRAY) return TTT_OK;
    item->bytes = in->at;
    in->at += item->length;
    return TTT_OK;
}
