/* SPDX-License-Identifier: MIT
 * src/data/token_file: ids come back as written, in both widths, and nothing damaged is accepted. */
#include <unistd.h>

#include "base/alloc.h"
#include "data/hash.h"
#include "data/token_file.h"
#include "fault.h"
#include "test.h"

static const char *const path = TTT_BINARY_DIR "/test_token_file.tokens";

static void write_ids(int64_t vocabulary, const int32_t *ids, size_t count)
{
    ttt_token_writer writer;
    CHECK_OK(ttt_token_writer_open(&writer, path, vocabulary));
    CHECK_OK(ttt_token_writer_write(&writer, ids, count / 3));
    CHECK_OK(ttt_token_writer_write(&writer, ids + count / 3, count - count / 3));
    CHECK_EQ(writer.count, count);
    CHECK_OK(ttt_token_writer_commit(&writer));
    ttt_token_writer_abandon(&writer);
}

static void round_trip(int64_t vocabulary, size_t count, int width)
{
    int32_t *ids = ttt_alloc(count, sizeof *ids), *back = ttt_alloc(count, sizeof *back);
    for (size_t i = 0; i < count; i++) ids[i] = (int32_t)((vocabulary - 1 - (int64_t)i * 7919 % vocabulary));
    write_ids(vocabulary, ids, count);
    ttt_token_file file;
    CHECK_OK(ttt_token_file_open(&file, path));
    CHECK_EQ(file.count, count);
    CHECK_EQ(file.vocabulary, vocabulary);
    CHECK_EQ(file.width, width);
    CHECK_OK(ttt_token_file_read(&file, 0, file.count, back));
    CHECK(memcmp(ids, back, count * sizeof *ids) == 0);
    if (count > 5) {
        CHECK_OK(ttt_token_file_read(&file, 3, 2, back));
        CHECK(back[0] == ids[3] && back[1] == ids[4]);
    }
    ttt_token_file_close(&file);
    ttt_free(ids);
    ttt_free(back);
}

static void refused(const unsigned char *bytes, size_t size, ttt_status code, const char *part)
{
    ttt_token_file file;
    CHECK_OK(ttt_file_write(path, bytes, size));
    CHECK_FAILS(ttt_token_file_open(&file, path), code, part);
}

/* As refused(), of a file whose hash is right. */
static void refused_sealed(unsigned char *bytes, size_t size, ttt_status code, const char *part)
{
    const uint64_t hash = ttt_hash(bytes[8] == 1 ? TTT_HASH_FNV : TTT_HASH_XXH3, bytes, size - 8);
    memcpy(bytes + size - 8, &hash, 8);
    refused(bytes, size, code, part);
}

static void damaged(void)
{
    const int32_t ids[4] = {0, 299, 5, 7};
    write_ids(300, ids, 4);
    ttt_buffer good = {0};
    CHECK_OK(ttt_file_read(&good, path, 1000));
    CHECK_EQ(good.size, 24 + 8 + 8);
    unsigned char bytes[64];
    for (size_t size = 0; size < good.size; size++)
        refused((const unsigned char *)good.data, size, TTT_ERR_FORMAT, "test_token_file.tokens");
    for (size_t i = 0; i < good.size; i++) { /* any byte that changes is noticed */
        memcpy(bytes, good.data, good.size);
        bytes[i] ^= 4;
        refused(bytes, good.size, i >= 8 && i < 12 ? TTT_ERR_UNSUPPORTED : TTT_ERR_FORMAT, "test_token_file.tokens");
    }
    memcpy(bytes, good.data, good.size);
    bytes[26] = 44; /* the id 300 */
    bytes[27] = 1;
    refused_sealed(bytes, good.size, TTT_ERR_FORMAT, "id 300 at position 1 is outside the vocabulary of 300");
    memcpy(bytes, good.data, good.size);
    bytes[12] = 4; /* another width than the vocabulary has */
    refused_sealed(bytes, good.size, TTT_ERR_FORMAT, "impossible header");
    memcpy(bytes, good.data, good.size);
    memset(bytes + 16, 0, 8);
    refused_sealed(bytes, good.size, TTT_ERR_FORMAT, "impossible header");
    memset(bytes + 16, 255, 8);
    refused_sealed(bytes, good.size, TTT_ERR_FORMAT, "impossible header");
    memcpy(bytes, good.data, good.size);
    refused_sealed(bytes, good.size - 1, TTT_ERR_FORMAT, "cut short"); /* half an id */
    ttt_buffer_deinit(&good);

    const int32_t negative[2] = {3, -1};
    unsigned char wide[24 + 8 + 8] = "ttttoken\1\0\0\0\4\0\0\0\1\0\1";
    memcpy(wide + 24, negative, sizeof negative);
    refused_sealed(wide, sizeof wide, TTT_ERR_FORMAT, "id -1 at position 1");
}

/* Version 1 has another hash and is read as well. */
static void old_version(void)
{
    const int32_t ids[4] = {0, 299, 5, 7};
    write_ids(300, ids, 4);
    ttt_buffer bytes = {0};
    CHECK_OK(ttt_file_read(&bytes, path, 1000));
    CHECK_EQ(bytes.data[8], 2);
    bytes.data[8] = 1;
    const uint64_t hash = ttt_hash(TTT_HASH_FNV, bytes.data, bytes.size - 8);
    memcpy(bytes.data + bytes.size - 8, &hash, 8);
    CHECK_OK(ttt_file_write(path, bytes.data, bytes.size));
    ttt_token_file file;
    int32_t back[4];
    CHECK_OK(ttt_token_file_open(&file, path));
    CHECK_EQ(file.count, 4);
    CHECK_OK(ttt_token_file_read(&file, 0, 4, back));
    CHECK(memcmp(back, ids, sizeof ids) == 0);
    ttt_token_file_close(&file);
    ttt_buffer_deinit(&bytes);
    CHECK(ttt_hash(TTT_HASH_FNV, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c)); /* published values */
    CHECK(ttt_hash(TTT_HASH_XXH3, "", 0) == UINT64_C(0x2d06800538d394c2));
}

/* A file that another process cuts short while it is open is an error, not the end of the process. */
static void cut_short(void)
{
    const int32_t ids[4] = {0, 299, 5, 7};
    write_ids(300, ids, 4);
    ttt_token_file file;
    int32_t back[4];
    CHECK_OK(ttt_token_file_open(&file, path));
    CHECK_EQ(truncate(path, 26), 0);
    CHECK_OK(ttt_token_file_read(&file, 0, 1, back));
    CHECK_FAILS(ttt_token_file_read(&file, 0, 4, back), TTT_ERR_IO, "cut short while it was in use");
    fault_at(TTT_CALL_READ, 1, 0);
    CHECK_FAILS(ttt_token_file_read(&file, 0, 1, back), TTT_ERR_IO, "cannot read");
    fault_at(TTT_CALL_READ, 0, 0);
    ttt_token_file_close(&file);
}

static void writing_fails(void)
{
    ttt_token_writer writer;
    const int32_t ids[2] = {1, 300};
    unlink(path);
    CHECK_OK(ttt_token_writer_open(&writer, path, 300));
    CHECK_FAILS(ttt_token_writer_write(&writer, ids, 2), TTT_ERR_ARGUMENT, "id 300");
    ttt_token_writer_abandon(&writer);
    CHECK_FAILS(ttt_token_writer_open(&writer, path, 0), TTT_ERR_ARGUMENT, "vocabulary");
    ttt_token_writer_abandon(&writer);
    CHECK_OK(ttt_token_writer_open(&writer, path, 300));
    CHECK_OK(ttt_token_writer_write(&writer, ids, 1));
    fault_at(TTT_CALL_WRITE, 1, 0);
    CHECK_FAILS(ttt_token_writer_commit(&writer), TTT_ERR_IO, path);
    fault_at(TTT_CALL_WRITE, 0, 0);
    ttt_token_writer_abandon(&writer);
    CHECK(!ttt_file_exists(path));
}

int main(void)
{
    round_trip(257, 0, 2);
    round_trip(257, 1, 2);
    round_trip(65536, 10000, 2);
    round_trip(65537, 10000, 4);
    damaged();
    old_version();
    cut_short();
    writing_fails();
    unlink(path);
    return test_end();
}
