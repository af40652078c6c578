/* SPDX-License-Identifier: MIT
 * Token files: see the head of token_file.h for the format. A file is hostile until ttt_token_file_open has read all of
 * it; what other processes make of it afterwards is not looked for, but does no harm: ids may then be any number. */
#include "data/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/system.h"

enum { VERSION = 2, BLOCK = 1 << 20 };

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

/* ---- reading ---- */

static ttt_status read_at(const ttt_token_file *file, size_t offset, void *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        const ssize_t read = ttt_sys_read_at(file->fd, (char *)bytes + done, count - done, (off_t)(offset + done));
        if (read < 0) return ttt_fail(TTT_ERR_IO, "cannot read %s: %s", file->path, strerror(errno));
        if (read == 0) return ttt_fail(TTT_ERR_IO, "cannot read %s: it was cut short while it was in use", file->path);
        done += (size_t)read;
    }
    return TTT_OK;
}

/* `ids` from `count` ids as they lie in a file. */
static void widen(int32_t *ids, const char *bytes, size_t count, int width)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t narrow;
        if (width == 4) memcpy(&ids[i], bytes + 4 * i, sizeof ids[i]);
        if (width == 4) continue;
        memcpy(&narrow, bytes + 2 * i, sizeof narrow);
        ids[i] = narrow;
    }
}

static ttt_status check_ids(const ttt_token_file *file, const char *bytes, size_t count, int64_t first)
{
    for (size_t i = 0; i < count; i++) {
        int32_t id;
        widen(&id, bytes + i * (size_t)file->width, 1, file->width);
        if (id < 0 || id >= file->vocabulary)
            return ttt_fail(TTT_ERR_FORMAT, "%s: id %d at position %lld is outside the vocabulary of %lld", file->path,
                            id, (long long)(first + (int64_t)i), (long long)file->vocabulary);
    }
    return TTT_OK;
}

/* Goes through all ids; `size` is that of the file without its hash. Of a damaged file the hash is told, not the id. */
static ttt_status check_content(ttt_token_file *file, ttt_hasher *hasher, size_t size, char *block)
{
    ttt_status sound = TTT_OK;
    uint64_t hash;
    for (size_t at = sizeof(header); at < size; at += BLOCK) {
        const size_t count = size - at < BLOCK ? size - at : BLOCK, width = (size_t)file->width;
        TTT_TRY(read_at(file, at, block, count));
        ttt_hasher_add(hasher, block, count);
        if (sound == TTT_OK) sound = check_ids(file, block, count / width, (int64_t)((at - sizeof(header)) / width));
    }
    TTT_TRY(read_at(file, size, &hash, sizeof hash));
    if ((size - sizeof(header)) % (size_t)file->width != 0 || ttt_hasher_value(hasher) != hash)
        return ttt_fail(TTT_ERR_FORMAT, "%s is damaged or cut short: its hash does not match; prepare the data again",
                        file->path);
    file->hash = hash;
    return sound;
}

static ttt_status check_file(ttt_token_file *file, size_t size)
{
    header head;
    if (size < sizeof head + sizeof(uint64_t)) return ttt_fail(TTT_ERR_FORMAT, "%s is not a token file", file->path);
    TTT_TRY(read_at(file, 0, &head, sizeof head));
    if (memcmp(head.magic, magic, sizeof magic) != 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s is not a token file", file->path);
    if (head.version < 1 || head.version > VERSION)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: version %u of the token file is not supported, 1 to %d are",
                        file->path, head.version, VERSION);
    if (head.vocabulary == 0 || head.vocabulary > INT32_MAX || head.width != id_width(head.vocabulary))
        return ttt_fail(TTT_ERR_FORMAT, "%s: impossible header: vocabulary %llu, %u bytes per id", file->path,
                        (unsigned long long)head.vocabulary, head.width);
    file->vocabulary = (int64_t)head.vocabulary;
    file->width = (int)head.width;
    file->count = (int64_t)((size - sizeof head - sizeof(uint64_t)) / head.width);
    ttt_hasher hasher = {0};
    char *block = ttt_alloc(BLOCK, 1);
    ttt_status status = block ? ttt_hasher_init(&hasher, head.version == 1 ? TTT_HASH_FNV : TTT_HASH_XXH3)
                              : TTT_ERR_MEMORY;
    if (status == TTT_OK) {
        ttt_hasher_add(&hasher, &head, sizeof head);
        status = check_content(file, &hasher, size - sizeof(uint64_t), block);
    }
    ttt_hasher_deinit(&hasher);
    ttt_free(block);
    return status;
}

static ttt_status open_file(ttt_token_file *file)
{
    struct stat status;
    file->fd = ttt_sys_open(file->path, O_RDONLY, 0);
    if (file->fd < 0 || fstat(file->fd, &status) != 0)
        return ttt_fail(TTT_ERR_IO, "cannot open %s: %s", file->path, strerror(errno));
    if (!S_ISREG(status.st_mode)) return ttt_fail(TTT_ERR_IO, "cannot read %s: it is not a regular file", file->path);
    return check_file(file, (size_t)status.st_size);
}

ttt_status ttt_token_file_open(ttt_token_file *file, const char *path)
{
    *file = (ttt_token_file){.fd = -1, .path = ttt_strdup(path)};
    const ttt_status status = file->path ? open_file(file) : TTT_ERR_MEMORY;
    if (status != TTT_OK) ttt_token_file_close(file);
    return status;
}

void ttt_token_file_close(ttt_token_file *file)
{
    if (file->path && file->fd >= 0) close(file->fd);
    ttt_free(file->path);
    *file = (ttt_token_file){0};
}

ttt_status ttt_token_file_read(const ttt_token_file *file, int64_t first, int64_t count, int32_t *ids)
{
    enum { PIECE = 4096 };
    const size_t width = (size_t)file->width, offset = sizeof(header) + (size_t)first * width;
    char bytes[PIECE * sizeof *ids];
    for (size_t done = 0, all = (size_t)count; done < all; done += PIECE) {
        const size_t n = all - done < PIECE ? all - done : PIECE;
        TTT_TRY(read_at(file, offset + done * width, bytes, n * width));
        widen(ids + done, bytes, n, file->width);
    }
    return TTT_OK;
}

/* ---- writing ---- */

static ttt_status write_hashed(ttt_token_writer *writer, const void *bytes, size_t count)
{
    ttt_hasher_add(&writer->hasher, bytes, count);
    return ttt_writer_write(writer->writer, bytes, count);
}

ttt_status ttt_token_writer_open(ttt_token_writer *writer, const char *path, int64_t vocabulary)
{
    *writer = (ttt_token_writer){.vocabulary = vocabulary};
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s: a vocabulary of %lld is impossible", path, (long long)vocabulary);
    header head = {.version = VERSION, .width = id_width((uint64_t)vocabulary), .vocabulary = (uint64_t)vocabulary};
    memcpy(head.magic, magic, sizeof magic);
    TTT_TRY(ttt_hasher_init(&writer->hasher, TTT_HASH_XXH3));
    TTT_TRY(ttt_writer_open(&writer->writer, path));
    return write_hashed(writer, &head, sizeof head);
}

ttt_status ttt_token_writer_write(ttt_token_writer *writer, const int32_t *ids, size_t count)
{
    const bool narrow = id_width((uint64_t)writer->vocabulary) == 2;
    for (size_t first = 0; first < count;) {
        enum { PIECE = 4096 };
        uint16_t small[PIECE];
        const size_t piece = count - first < PIECE ? count - first : PIECE;
        for (size_t i = 0; i < piece; i++) {
            const int32_t id = ids[first + i];
            if (id < 0 || id >= writer->vocabulary)
                return ttt_fail(TTT_ERR_ARGUMENT, "id %d is outside the vocabulary of %lld", id,
                                (long long)writer->vocabulary);
            small[i] = (uint16_t)id;
        }
        TTT_TRY(narrow ? write_hashed(writer, small, piece * sizeof *small)
                       : write_hashed(writer, ids + first, piece * sizeof *ids));
        first += piece;
    }
    writer->count += (int64_t)count;
    return TTT_OK;
}

ttt_status ttt_token_writer_commit(ttt_token_writer *writer)
{
    const uint64_t hash = ttt_hasher_value(&writer->hasher);
    TTT_TRY(ttt_writer_write(writer->writer, &hash, sizeof hash));
    return ttt_writer_commit(&writer->writer);
}

void ttt_token_writer_abandon(ttt_token_writer *writer)
{
    ttt_writer_abandon(&writer->writer);
    ttt_hasher_deinit(&writer->hasher);
}
