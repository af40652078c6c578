/* SPDX-License-Identifier: MIT
 * src/data/texts: every kind of input becomes documents, and every bad one a sentence that says where. */
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/texts.h"
#include "test.h"

#define FOLDER TTT_BINARY_DIR "/test_texts"

static void put(const char *name, const char *bytes, size_t size)
{
    char *path = ttt_path_join(FOLDER, name);
    CHECK_OK(ttt_file_write(path, bytes, size));
    ttt_free(path);
}

static void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

static void put_packed(const char *name, const char *text, size_t drop)
{
    char packed[4096];
    const size_t size = ZSTD_compress(packed, sizeof packed, text, strlen(text), 3);
    put(name, packed, size - drop);
}

/* The documents, each followed by '|'. */
static void check_documents(const char *input, bool raw, const char *expected)
{
    ttt_texts texts = {0};
    CHECK_OK(ttt_texts_read(&texts, input, raw));
    ttt_buffer joined = {0};
    ttt_text_range range = {.texts = &texts, .end = texts.bytes.size};
    for (ttt_text_piece piece; ttt_text_range_next(&range, &piece);) {
        CHECK(piece.begins && piece.ends && piece.size > 0);
        CHECK_OK(ttt_buffer_append(&joined, piece.text, piece.size));
        CHECK_OK(ttt_buffer_append(&joined, "|", 1));
    }
    CHECK_STR(joined.data, expected);
    ttt_buffer_deinit(&joined);
    ttt_texts_deinit(&texts);
}

static void check_fails(const char *input, ttt_status code, const char *part)
{
    ttt_texts texts = {0};
    CHECK_FAILS(ttt_texts_read(&texts, input, false), code, part);
    ttt_texts_deinit(&texts);
}

static void documents(void)
{
    put_text("plain.txt", "one\ntwo\n");
    check_documents(FOLDER "/plain.txt", false, "one\ntwo\n|");
    put_text("lines.jsonl", "{\"text\": \"caf\\u00e9\", \"id\": 1}\n  \n{\"text\": \"\"}\r\n{\"text\": \"last\"}");
    check_documents(FOLDER "/lines.jsonl", false, "caf\xc3\xa9|last|");
    put_packed("packed.txt.zst", "packed", 0);
    check_documents(FOLDER "/packed.txt.zst", false, "packed|");
    put_packed("packed.jsonl.zst", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n", 0);
    check_documents(FOLDER "/packed.jsonl.zst", false, "a|b|");
    put("raw.txt", "a\xff z", 4);
    check_documents(FOLDER "/raw.txt", true, "a\xff z|");

    /* NUL is ordinary text, in files and in JSON. */
    ttt_texts texts = {0};
    put("nul.txt", "a\0b", 3);
    put_text("nul.jsonl", "{\"text\": \"c\\u0000d\"}");
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/nul.txt", false));
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/nul.jsonl", false));
    CHECK(texts.bytes.size == 6 && memcmp(texts.bytes.data, "a\0bc\0d", 6) == 0);
    ttt_texts_deinit(&texts);
}

static void large_packed_file(void)
{
    /* Larger than zstd's output step, and it compresses to almost nothing. */
    const size_t size = 1000000;
    char *text = ttt_alloc(size, 1), *packed = ttt_alloc(size, 1);
    memset(text, 'x', size);
    put("large.zst", packed, ZSTD_compress(packed, size, text, size, 1));
    ttt_texts texts = {0};
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/large.zst", false));
    CHECK(texts.bytes.size == size && memcmp(texts.bytes.data, text, size) == 0);
    ttt_texts_deinit(&texts);
    ttt_free(text);
    ttt_free(packed);
}

static void folders(void)
{
    CHECK_OK(ttt_folder_make(FOLDER "/tree/a/deep"));
    CHECK_OK(ttt_folder_make(FOLDER "/hollow/.hidden"));
    put_text("tree/a/deep/z.txt", "2");
    put_text("tree/a.txt", "1"); /* '.' sorts before '/' */
    put_text("tree/b.jsonl", "{\"text\": \"3\"}");
    put_text("tree/B.txt", "0");
    put_text("tree/.skipped", "no");
    put_text("tree/empty.txt", "");
    check_documents(FOLDER "/tree", false, "0|1|2|3|");
    check_fails(FOLDER "/hollow", TTT_ERR_IO, "hollow holds no text files");
    unlink(FOLDER "/loop/again");
    CHECK_OK(ttt_folder_make(FOLDER "/loop"));
    CHECK_EQ(symlink("..", FOLDER "/loop/again"), 0);
    ttt_texts texts = {0};
    CHECK(ttt_texts_read(&texts, FOLDER "/loop", true) != TTT_OK);
    ttt_texts_deinit(&texts);
    unlink(FOLDER "/loop/again");
}

static void standard_input(void)
{
    put_text("stdin.txt", "from standard input");
    CHECK(freopen(FOLDER "/stdin.txt", "rb", stdin) != NULL);
    check_documents("-", false, "from standard input|");
}

static void bad_input(void)
{
    put("bad.txt", "abc\xc3(z", 6);
    check_fails(FOLDER "/bad.txt", TTT_ERR_FORMAT, "bad.txt: invalid UTF-8 at byte 3 (0xc3)");
    put("cut.txt", "abcd\xe2\x82", 6);
    check_fails(FOLDER "/cut.txt", TTT_ERR_FORMAT, "byte 4");
    put("surrogate.txt", "\xed\xa0\x80", 3);
    check_fails(FOLDER "/surrogate.txt", TTT_ERR_FORMAT, "byte 0");
    put_text("empty.txt", "");
    check_fails(FOLDER "/empty.txt", TTT_ERR_FORMAT, "empty.txt holds no text");
    put_text("bad.jsonl", "{\"text\": \"a\"}\n\n{\"body\": \"b\"}\n");
    check_fails(FOLDER "/bad.jsonl", TTT_ERR_FORMAT, "bad.jsonl, line 3: no string under the key \"text\"");
    put_text("number.jsonl", "{\"text\": 5}\n");
    check_fails(FOLDER "/number.jsonl", TTT_ERR_FORMAT, "line 1");
    put_text("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \n");
    check_fails(FOLDER "/broken.jsonl", TTT_ERR_FORMAT, "line 2");
    put_text("twice.jsonl", "{\"text\": \"a\", \"text\": \"b\"}\n");
    check_fails(FOLDER "/twice.jsonl", TTT_ERR_FORMAT, "line 1");
    put("utf8.jsonl", "{\"text\": \"\xff\"}\n", 14);
    check_fails(FOLDER "/utf8.jsonl", TTT_ERR_FORMAT, "line 1");
    put_packed("cut.zst", "some text that was cut", 4);
    check_fails(FOLDER "/cut.zst", TTT_ERR_FORMAT, "cut.zst: the zstd file is cut short");
    put_text("wrong.zst", "this is no zstd file");
    check_fails(FOLDER "/wrong.zst", TTT_ERR_FORMAT, "wrong.zst");
    check_fails(FOLDER "/absent.txt", TTT_ERR_IO, "absent.txt");
}

static void pieces(void)
{
    put_text("two.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"defg\"}\n");
    ttt_texts texts = {0};
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/two.jsonl", false));
    ttt_text_piece piece;
    ttt_text_range range = {.texts = &texts, .position = 1, .end = 5};
    CHECK(ttt_text_range_next(&range, &piece));
    CHECK(piece.size == 2 && piece.text[0] == 'b' && !piece.begins && piece.ends);
    CHECK(ttt_text_range_next(&range, &piece));
    CHECK(piece.size == 2 && piece.text[0] == 'd' && piece.begins && !piece.ends);
    CHECK(!ttt_text_range_next(&range, &piece));
    range = (ttt_text_range){.texts = &texts, .position = 5, .end = 7};
    CHECK(ttt_text_range_next(&range, &piece));
    CHECK(piece.size == 2 && piece.text[0] == 'f' && !piece.begins && piece.ends);
    ttt_texts_deinit(&texts);
}

static void changes(void)
{
    put_text("change.txt", "before");
    ttt_texts read = {.role = "text"}, measured = {0};
    CHECK_OK(ttt_texts_read(&read, FOLDER "/change.txt", false));
    CHECK_OK(ttt_texts_measure(&measured, FOLDER "/change.txt"));
    put_text("change.txt", "behind");
    CHECK_OK(ttt_texts_measure(&measured, FOLDER "/change.txt"));
    CHECK_OK(ttt_texts_measure(&measured, "-"));
    CHECK_EQ(measured.input_count, 3);
    CHECK_STR(read.inputs[0].path, FOLDER "/change.txt");
    CHECK_STR(read.inputs[0].role, "text");
    CHECK_EQ(read.inputs[0].size, 6);
    CHECK(read.inputs[0].hash == measured.inputs[0].hash && read.inputs[0].hash != measured.inputs[1].hash);
    CHECK(measured.inputs[2].hash == 0);
    ttt_texts_deinit(&read);
    ttt_texts_deinit(&measured);
}

static void memory_faults(void)
{
    static const char *const names[] = {FOLDER "/tree", FOLDER "/packed.jsonl.zst", FOLDER "/plain.txt"};
    for (size_t i = 0; i < 3; i++) {
        ttt_status status = TTT_ERR_MEMORY;
        for (int nth = 1; status != TTT_OK && nth < 1000; nth++) {
            ttt_texts texts = {0};
            ttt_alloc_fault(nth, 0);
            status = ttt_texts_read(&texts, names[i], false);
            ttt_alloc_fault(0, 0);
            CHECK(status == TTT_OK || status == TTT_ERR_MEMORY);
            ttt_texts_deinit(&texts);
        }
        CHECK_EQ(status, TTT_OK);
    }
}

int main(void)
{
    CHECK_OK(ttt_folder_make(FOLDER));
    documents();
    large_packed_file();
    folders();
    standard_input();
    bad_input();
    pieces();
    changes();
    memory_faults();
    return test_end();
}
