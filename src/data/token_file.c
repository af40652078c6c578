/* SPDX-License-Identifier: MIT
 * Token files: see the head of token_file.h for the format. A file is hostile until ttt_token_file_open has read all of
 * it; afterwards reading cannot fail. */
#include "data/token_file.h"

#include <string.h>

#include "data/hash.h"

typedef struct header {
    char magic[8];
    uint32_t version;
    uint32_t width;
    uint64_t vocabulary;
} header;

_Static_assert(sizeof(header) == 24, "the header is written as it lies in memory");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token files are little-endian");

static const char magic[8] = {'t', 't', 't', 't', 'o', 'k', 'e', 'n'};

static uint32_t id_width(uint64_t vocabulary) { return vocabulary <= 65536 ? 2 : 4; }

static ttt_status ids_check(const ttt_token_file *file, const char *path)
{
    enum { BLOCK = 4096 };
    int32_t ids[BLOCK];
    for (int64_t first = 0; first < file->count; first += BLOCK) {
        const int64_t count = file->count - first < BLOCK ? file->count - first : BLOCK;
        ttt_token_file_read(file, first, count, ids);
        for (int64_t i = 0; i < count; i++) {
            if (ids[i] < 0 || ids[i] >= file->vocabulary)
                return ttt_fail(TTT_ERR_FORMAT, "%s: id %d at position %lld is outside the vocabulary of %lld", path,
                                ids[i], (long long)(first + i), (long long)file->vocabulary);
        }
    }
    return TTT_OK;
}

static ttt_status file_check(ttt_token_file *file, const char *path)
{
    const size_t size = file->map.size;
    header head;
    uint64_t hash;
    if (size < sizeof head + sizeof hash || memcmp(file->map.data, magic, sizeof magic) != 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s is not a token file", path);
    memcpy(&head, file->map.data, sizeof head);
    memcpy(&hash, file->map.data + size - sizeof hash, sizeof hash);
    if (head.version != 1)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: version %u of the token file is not supported, 1 is", path,
                        head.version);
    if (head.vocabulary == 0 || head.vocabulary > INT32_MAX || head.width != id_width(head.vocabulary))
        return ttt_fail(TTT_ERR_FORMAT, "%s: impossible header: vocabulary %llu, %u bytes per id", path,
                        (unsigned long long)head.vocabulary, head.width);
    const size_t bytes = size - sizeof head - sizeof hash;
    if (bytes % head.width != 0 || ttt_hash(TTT_HASH_START, file->map.data, size - sizeof hash) != hash)
        return ttt_fail(TTT_ERR_FORMAT, "%s is damaged or cut short: its hash does not match; prepare the data again",
                        path);
    file->vocabulary = (int64_t)head.vocabulary;
    file->width = (int)head.width;
    file->count = (int64_t)(bytes / head.width);
    return ids_check(file, path);
}

ttt_status ttt_token_file_open(ttt_token_file *file, const char *path)
{
    *file = (ttt_token_file){0};
    TTT_TRY(ttt_map_open(&file->map, path));
    const ttt_status status = file_check(file, path);
    if (status != TTT_OK) ttt_token_file_close(file);
    return status;
}

void ttt_token_file_close(ttt_token_file *file)
{
    ttt_map_close(&file->map);
    *file = (ttt_token_file){0};
}

void ttt_token_file_read(const ttt_token_file *file, int64_t first, int64_t count, int32_t *ids)
{
    const unsigned char *bytes = file->map.data + sizeof(header) + first * file->width;
    if (file->width == 4) {
        memcpy(ids, bytes, (size_t)count * sizeof *ids);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint16_t id;
        memcpy(&id, bytes + 2 * i, sizeof id);
        ids[i] = id;
    }
}

static ttt_status write_hashed(ttt_token_writer *writer, const void *bytes, size_t count)
{
    writer->hash = ttt_hash(writer->hash, bytes, count);
    return ttt_writer_write(writer->writer, bytes, count);
}

ttt_status ttt_token_writer_open(ttt_token_writer *writer, const char *path, int64_t vocabulary)
{
    *writer = (ttt_token_writer){.vocabulary = vocabulary, .hash = TTT_HASH_START};
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s: a vocabulary of %lld is impossible", path, (long long)vocabulary);
    header head = {.version = 1, .width = id_width((uint64_t)vocabulary), .vocabulary = (uint64_t)vocabulary};
    memcpy(head.magic, magic, sizeof magic);
    TTT_TRY(ttt_writer_open(&writer->writer, path));
    return write_hashed(writer, &head, sizeof head);
}

ttt_status ttt_token_writer_write(ttt_token_writer *writer, const int32_t *ids, size_t count)
{
    const bool narrow = id_width((uint64_t)writer->vocabulary) == 2;
    for (size_t first = 0; first < count;) {
        enum { BLOCK = 4096 };
        uint16_t small[BLOCK];
        const size_t block = count - first < BLOCK ? count - first : BLOCK;
        for (size_t i = 0; i < block; i++) {
            const int32_t id = ids[first + i];
            if (id < 0 || id >= writer->vocabulary)
                return ttt_fail(TTT_ERR_ARGUMENT, "id %d is outside the vocabulary of %lld", id,
                                (long long)writer->vocabulary);
            small[i] = (uint16_t)id;
        }
        TTT_TRY(narrow ? write_hashed(writer, small, block * sizeof *small)
                       : write_hashed(writer, ids + first, block * sizeof *ids));
        first += block;
    }
    writer->count += (int64_t)count;
    return TTT_OK;
}

ttt_status ttt_token_writer_commit(ttt_token_writer *writer)
{
    TTT_TRY(ttt_writer_write(writer->writer, &writer->hash, sizeof writer->hash));
    return ttt_writer_commit(&writer->writer);
}

void ttt_token_writer_abandon(ttt_token_writer *writer) { ttt_writer_abandon(&writer->writer); }
