/* SPDX-License-Identifier: MIT
 * src/data/texts: every kind of input becomes documents, and every bad one a sentence that says where. */
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/texts.h"
#include "fault.h"
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

static char warning[2048]; /* the last one */

static void note_warning(void *context, const char *sentence)
{
    (void)context;
    snprintf(warning, sizeof warning, "%s", sentence);
}

/* The documents, each followed by '|'. */
static void check_documents(const char *input, bool raw, const char *expected)
{
    ttt_texts texts = {.raw_bytes = raw, .warn = note_warning};
    warning[0] = '\0';
    CHECK_OK(ttt_texts_read(&texts, input));
    ttt_texts_warn_odd(&texts);
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
    CHECK_FAILS(ttt_texts_read(&texts, input), code, part);
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
    CHECK_STR(warning, "25 % of the text is not UTF-8 (1 bytes in 1 file; the first is byte 1 of " FOLDER
                       "/raw.txt): is it text?");

    /* NUL is ordinary text in JSON, and elsewhere if it is said so. */
    ttt_texts texts = {.binary = true};
    put("nul.txt", "a\0b", 3);
    put_text("nul.jsonl", "{\"text\": \"c\\u0000d\"}");
    check_fails(FOLDER "/nul.txt", TTT_ERR_FORMAT, "nul.txt is no text: byte 1 is NUL");
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/nul.txt"));
    texts.binary = false;
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/nul.jsonl"));
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
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/large.zst"));
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
    CHECK_EQ(symlink(".", FOLDER "/loop/again"), 0);
    put_text("loop/one.txt", "once");
    check_documents(FOLDER "/loop", false, "once|");
    CHECK_STR(warning, FOLDER "/loop/again is passed over: it leads back to a folder that it lies in");
    unlink(FOLDER "/loop/again");
    unlink(FOLDER "/loop/pipe");
    CHECK_EQ(mkfifo(FOLDER "/loop/pipe", 0600), 0); /* nobody writes: reading it would wait for ever */
    check_documents(FOLDER "/loop", false, "once|");
    CHECK_STR(warning, FOLDER "/loop/pipe is passed over: it is no file but a pipe, socket or device");
    unlink(FOLDER "/loop/pipe");
}

static void standard_input(void)
{
    put_text("stdin.txt", "from standard input");
    CHECK(freopen(FOLDER "/stdin.txt", "rb", stdin) != NULL);
    check_documents("-", false, "from standard input|");
    put_text("stdin.txt", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    CHECK(freopen(FOLDER "/stdin.txt", "rb", stdin) != NULL);
    check_documents("-", false, "one|two|");
    CHECK_STR(warning, "standard input is read as JSON lines: a document a line");
    put_packed("stdin.txt", "\xef\xbb\xbf{\"text\": \"packed\"}\n", 0);
    CHECK(freopen(FOLDER "/stdin.txt", "rb", stdin) != NULL);
    check_documents("-", false, "packed|");
}

static void put_gzip(const char *name, const char *text, size_t drop)
{
    char packed[4096];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)text,
                       .avail_in = (uInt)strlen(text),
                       .next_out = (Bytef *)packed,
                       .avail_out = sizeof packed};
    CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    put(name, packed, sizeof packed - stream.avail_out - drop);
    deflateEnd(&stream);
}

/* What was read, again and again, as the shell's cat would. */
static void put_twice(const char *from, const char *to, const char *tail, size_t tail_size)
{
    ttt_buffer bytes = {0};
    char *path = ttt_path_join(FOLDER, from);
    for (int i = 0; i < 2; i++) CHECK_OK(ttt_file_read(&bytes, path, SIZE_MAX));
    CHECK_OK(ttt_buffer_append(&bytes, tail, tail_size));
    put(to, bytes.data, bytes.size);
    ttt_buffer_deinit(&bytes);
    ttt_free(path);
}

static void gzip(void)
{
    put_gzip("packed.txt.gz", "from gzip\n", 0);
    check_documents(FOLDER "/packed.txt.gz", false, "from gzip\n|");
    put_gzip("packed.jsonl.gz", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n", 0);
    check_documents(FOLDER "/packed.jsonl.gz", false, "a|b|");
    put_text("lines.ndjson", "{\"text\": \"c\"}\n{\"text\": \"d\"}\n");
    check_documents(FOLDER "/lines.ndjson", false, "c|d|");
    put_gzip("called.txt", "by another name", 0);
    check_documents(FOLDER "/called.txt", false, "by another name|");
    put_twice("packed.txt.gz", "twice.gz", "\0\0\0", 3); /* two members, and zeros that fill up */
    check_documents(FOLDER "/twice.gz", false, "from gzip\nfrom gzip\n|");
    put_twice("packed.txt.gz", "tail.gz", "x", 1);
    check_fails(FOLDER "/tail.gz", TTT_ERR_FORMAT, "tail.gz: something follows the end");
    put_gzip("cut.gz", "some text that was cut", 3);
    check_fails(FOLDER "/cut.gz", TTT_ERR_FORMAT, "cut.gz: the gzip file is cut short");
    put("broken.gz", "\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff\xff", 13);
    check_fails(FOLDER "/broken.gz", TTT_ERR_FORMAT, "broken.gz: not a sound gzip file");
    put_text("text.gz", "this is no gzip file");
    check_fails(FOLDER "/text.gz", TTT_ERR_FORMAT, "text.gz: not a sound gzip file");
}

/* A frame may ask for a window of up to 31 bits; more than 27 are refused by zstd of its own accord. */
static void long_window(void)
{
    static const char frame[] = "\x28\xb5\x2f\xfd\x00\x98\x29\0\0hello"; /* window 2^29, one raw block */
    put("long.zst", frame, sizeof frame - 1);
    check_documents(FOLDER "/long.zst", false, "hello|");
    static const char longer[] = "\x28\xb5\x2f\xfd\x00\xb0\x29\0\0hello"; /* 2^32 */
    put("longer.zst", longer, sizeof longer - 1);
    check_fails(FOLDER "/longer.zst", TTT_ERR_UNSUPPORTED, "longer.zst was packed with a window of more than 2 GiB");
}

static void marks(void)
{
    put_text("marked.txt", "\xef\xbb\xbftext \xef\xbb\xbf");
    check_documents(FOLDER "/marked.txt", false, "text \xef\xbb\xbf|"); /* only one at the start is none of the text */
    put_text("marked.jsonl", "\xef\xbb\xbf{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
    check_documents(FOLDER "/marked.jsonl", false, "a|b|");
    put_packed("marked.txt.zst", "\xef\xbb\xbfpacked", 0);
    check_documents(FOLDER "/marked.txt.zst", false, "packed|");
    put_text("mark.txt", "\xef\xbb\xbf");
    check_fails(FOLDER "/mark.txt", TTT_ERR_FORMAT, "mark.txt holds no text");
    ttt_texts texts = {.binary = true};
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/mark.txt"));
    CHECK_EQ(texts.bytes.size, 3);
    ttt_texts_deinit(&texts);
}

/* Each is refused by name, and taken byte for byte if it is said so. */
static void no_text(void)
{
    static const struct {
        const char *bytes, *part;
        size_t size;
    } kinds[] = {
        {"\xfd"
         "7zXZ\0\0\x04",
         "xz -d", 8},
        {"BZh91AY&SY\0\0", "bunzip2", 12},
        {"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG picture", 16},
        {"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture", 10},
        {"%PDF-1.7\n", "a PDF", 9},
        {"\x7f"
         "ELF\x02\x01\x01\0",
         "ELF", 8},
        {"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl", "a PyTorch file", 26},
        {"PK\x03\x04\x14\0\0\0\0\0word/document.xml", ".docx", 27},
        {"GGUF\x03\0\0\0", "a GGUF file", 8},
        {"\x10\0\0\0\0\0\0\0{\"a\":{}}", "safetensors", 16},
        {"\xff\xfe"
         "a\0b\0",
         "UTF-16", 6},
        {"\xfe\xff\0a\0b", "UTF-16", 6},
        {"a\0b\0", "byte 1 is NUL, as in binary files and UTF-16", 4},
        {"RIFF\x10\0\0\0WEBPVP8 ", "WebP", 16},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer", 56},
        {"\x80\x02}q\0", "pickled", 5},
        {"ttttoken\x01\0\0\0", "give its folder", 12},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        put("kind.txt", kinds[i].bytes, kinds[i].size);
        check_fails(FOLDER "/kind.txt", TTT_ERR_FORMAT, kinds[i].part);
        ttt_texts texts = {.binary = true, .raw_bytes = true, .warn = note_warning};
        warning[0] = '\0';
        CHECK_OK(ttt_texts_read(&texts, FOLDER "/kind.txt"));
        ttt_texts_warn_odd(&texts);
        CHECK_STR(warning, "");
        CHECK(texts.bytes.size == kinds[i].size && memcmp(texts.bytes.data, kinds[i].bytes, kinds[i].size) == 0);
        ttt_texts_deinit(&texts);
    }
    static const char *const texts[] = {"GGUF is a format\n", "RIFF, WEBP and WAVE\n", "BZh is no word",
                                        "# About WEBP pictures\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char expected[64];
        put_text("kind.txt", texts[i]);
        snprintf(expected, sizeof expected, "%s|", texts[i]);
        check_documents(FOLDER "/kind.txt", false, expected);
    }
    put_text("list.json", "[\n {\"id\": 1, \"text\": \"a\"}, {\"text\": \"b\"}]\n");
    check_fails(FOLDER "/list.json", TTT_ERR_FORMAT, "list.json is one list of JSON, not a document a line");
    put_text("list.jsonl", "[{\"text\": \"a\"}]\n");
    check_fails(FOLDER "/list.jsonl", TTT_ERR_FORMAT, "list.jsonl is one list");
    put_text("numbers.json", "[1, 2]");
    check_documents(FOLDER "/numbers.json", false, "[1, 2]|");
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
    CHECK_OK(ttt_texts_read(&texts, FOLDER "/two.jsonl"));
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
    CHECK_OK(ttt_texts_read(&read, FOLDER "/change.txt"));
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
    static const char *const names[] = {FOLDER "/tree", FOLDER "/packed.jsonl.zst", FOLDER "/plain.txt",
                                        FOLDER "/packed.jsonl.gz"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ttt_status status = TTT_ERR_MEMORY;
        for (int nth = 1; status != TTT_OK && nth < 1000; nth++) {
            ttt_texts texts = {0};
            fault_at(TTT_CALL_ALLOC, nth, 0);
            status = ttt_texts_read(&texts, names[i]);
            fault_at(TTT_CALL_ALLOC, 0, 0);
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
    gzip();
    long_window();
    marks();
    no_text();
    bad_input();
    pieces();
    changes();
    memory_faults();
    return test_end();
}
