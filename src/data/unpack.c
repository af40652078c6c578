/* SPDX-License-Identifier: MIT */
#include "data/unpack.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { STEP = 1 << 17, GZIP_HEADER = 15 + 16 };

static const char zstd_magic[] = "\x28\xb5\x2f\xfd", gzip_magic[] = "\x1f\x8b";

ttt_packing ttt_packing_of(const char *bytes, size_t size)
{
    if (size >= 4 && memcmp(bytes, zstd_magic, 4) == 0) return TTT_PACKING_ZSTD;
    return size >= 3 && memcmp(bytes, gzip_magic, 2) == 0 && bytes[2] == 8 ? TTT_PACKING_GZIP : TTT_PACKING_NONE;
}

static ttt_status fail_zstd(size_t code, const char *path)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return ttt_fail(
            TTT_ERR_MEMORY,
            "out of memory: %s was packed with a long window (zstd --long), which unpacking has to hold too", path);
    case ZSTD_error_frameParameter_windowTooLarge:
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s was packed with a window of more than 2 GiB; unpack it by zstd -d",
                        path);
    case ZSTD_error_dictionary_wrong:
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s was packed with a dictionary; unpack it by zstd -d -D DICTIONARY",
                        path);
    default: return ttt_fail(TTT_ERR_FORMAT, "%s: not a sound zstd file: %s", path, ZSTD_getErrorName(code));
    }
}

static ttt_status unpack_zstd(ttt_buffer *out, const ttt_buffer *file, const char *path)
{
    ZSTD_DCtx *stream = ZSTD_createDCtx();
    if (!stream) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot decompress %s", path);
    /* By default windows beyond 128 MiB are refused. */
    ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound);
    ZSTD_inBuffer in = {.src = file->data, .size = file->size};
    size_t left = 1; /* 0: the frame is complete */
    ttt_status status = TTT_OK;
    bool full = false; /* more output may be waiting although all input is taken */
    while (status == TTT_OK && (in.pos < in.size || full)) {
        status = ttt_buffer_reserve(out, out->size + STEP);
        if (status != TTT_OK) break;
        ZSTD_outBuffer piece = {.dst = out->data + out->size, .size = STEP};
        left = ZSTD_decompressStream(stream, &piece, &in);
        if (ZSTD_isError(left)) status = fail_zstd(left, path);
        full = left != 0 && piece.pos == piece.size;
        out->size += piece.pos;
        out->data[out->size] = '\0';
    }
    if (status == TTT_OK && left != 0) status = ttt_fail(TTT_ERR_FORMAT, "%s: the zstd file is cut short", path);
    ZSTD_freeDCtx(stream);
    return status;
}

static size_t gzip_left(const z_stream *stream, const ttt_buffer *file)
{
    return (size_t)(file->data + file->size - (const char *)stream->next_in);
}

/* Behind the end of a member come further members, or zeros that fill up a block of a tape, or nothing. */
static ttt_status next_member(z_stream *stream, const ttt_buffer *file, const char *path, bool *done)
{
    const char *rest = (const char *)stream->next_in;
    const size_t left = gzip_left(stream, file);
    if (ttt_packing_of(rest, left) == TTT_PACKING_GZIP) {
        inflateReset(stream);
        return TTT_OK;
    }
    *done = true;
    for (size_t i = 0; i < left; i++)
        if (rest[i] != 0) return ttt_fail(TTT_ERR_FORMAT, "%s: something follows the end of the gzip file", path);
    return TTT_OK;
}

static ttt_status inflate_all(z_stream *stream, ttt_buffer *out, const ttt_buffer *file, const char *path)
{
    bool done = false;
    while (!done) {
        TTT_TRY(ttt_buffer_reserve(out, out->size + STEP));
        const size_t left = gzip_left(stream, file);
        stream->avail_in = left < UINT_MAX ? (uInt)left : UINT_MAX;
        stream->next_out = (Bytef *)out->data + out->size;
        stream->avail_out = STEP;
        const int code = inflate(stream, Z_NO_FLUSH);
        out->size += STEP - stream->avail_out;
        out->data[out->size] = '\0';
        if (code == Z_STREAM_END)
            TTT_TRY(next_member(stream, file, path, &done));
        else if (code == Z_MEM_ERROR)
            return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot decompress %s", path);
        else if (code == Z_BUF_ERROR && gzip_left(stream, file) == 0)
            return ttt_fail(TTT_ERR_FORMAT, "%s: the gzip file is cut short", path);
        else if (code != Z_OK)
            return ttt_fail(TTT_ERR_FORMAT, "%s: not a sound gzip file: %s", path,
                            stream->msg ? stream->msg : "its bytes make no sense");
    }
    return TTT_OK;
}

static ttt_status unpack_gzip(ttt_buffer *out, const ttt_buffer *file, const char *path)
{
    z_stream stream = {.next_in = (Bytef *)file->data};
    if (inflateInit2(&stream, GZIP_HEADER) != Z_OK)
        return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot decompress %s", path);
    const ttt_status status = inflate_all(&stream, out, file, path);
    inflateEnd(&stream);
    return status;
}

ttt_status ttt_unpack(ttt_buffer *out, const ttt_buffer *file, ttt_packing packing, const char *path)
{
    return packing == TTT_PACKING_ZSTD ? unpack_zstd(out, file, path) : unpack_gzip(out, file, path);
}
