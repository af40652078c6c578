/* SPDX-License-Identifier: MIT
 * src/data: texts become a data folder and batches; the folder is there whole or not at all, whatever fails; a later
 * run hears which input or option changed. */
#include <dirent.h>
#include <sys/stat.h>
#include <ttt/data.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/hash.h"
#include "fault.h"
#include "test.h"

#define FOLDER TTT_BINARY_DIR "/test_prepare"
#define OUT    FOLDER "/out/data"

static void put(const char *path, const char *text) { CHECK_OK(ttt_file_write(path, text, strlen(text))); }

static void remove_out(void)
{
    static const char *const names[] = {"train.tokens",          "valid.tokens", "tokenizer.json",
                                        "tokenizer_config.json", "data.json",    "strange.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = ttt_path_join(OUT, names[i]);
        unlink(path);
        ttt_free(path);
    }
    CHECK(rmdir(OUT) == 0 || !ttt_file_exists(OUT));
}

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = -2;
    while (folder && readdir(folder)) count++;
    if (folder) closedir(folder);
    return count;
}

static ttt_data *prepared(const ttt_data_options *options)
{
    ttt_data *data = NULL;
    remove_out();
    CHECK_OK(ttt_data_prepare(OUT, options));
    CHECK(ttt_data_is_folder(OUT));
    CHECK_EQ(entries(FOLDER "/out"), 1); /* nothing else beside it */
    CHECK_OK(ttt_data_open(&data, OUT));
    return data;
}

/* Ids of the byte tokenizer as text; end-of-text as '|'. */
static void check_ids(const ttt_data *data, ttt_split split, const char *expected)
{
    int32_t ids[256];
    char text[257] = "";
    const int64_t count = ttt_data_tokens(data, split);
    CHECK(count <= 256);
    CHECK_OK(ttt_data_read(data, split, 0, count, ids));
    for (int64_t i = 0; i < count; i++) text[i] = (char)(ids[i] == 0 ? '|' : ids[i] - 1);
    CHECK_STR(text, expected);
    CHECK_FAILS(ttt_data_read(data, split, 1, count, ids), TTT_ERR_ARGUMENT, "outside");
    CHECK_FAILS(ttt_data_read(data, split, INT64_MAX, 1, ids), TTT_ERR_ARGUMENT, "outside");
    CHECK_FAILS(ttt_data_read(data, split, -1, 1, ids), TTT_ERR_ARGUMENT, "outside");
}

static ttt_data_options byte_options(const char *const *texts, size_t count)
{
    ttt_data_options options;
    ttt_data_options_init(&options);
    options.texts = texts;
    options.text_count = count;
    options.tokenizer = "byte";
    return options;
}

static void parts(void)
{
    const char *const texts[] = {FOLDER "/a.jsonl", FOLDER "/b.txt"};
    put(texts[0], "{\"text\": \"abcd\"}\n{\"text\": \"efgh\"}\n");
    put(texts[1], "ij\xc3\xa9\xc3\xa9");
    ttt_data_options options = byte_options(texts, 2);
    options.valid_fraction = 0.5; /* of 14 bytes */
    ttt_data *data = prepared(&options);
    check_ids(data, TTT_SPLIT_TRAIN, "abcd|efg");
    check_ids(data, TTT_SPLIT_VALID, "h|ij\xc3\xa9\xc3\xa9|");
    CHECK_EQ(ttt_data_bytes(data, TTT_SPLIT_TRAIN), 7);
    CHECK_EQ(ttt_data_bytes(data, TTT_SPLIT_VALID), 7);
    CHECK_EQ(ttt_tokenizer_vocabulary(ttt_data_tokenizer(data)), 257);
    ttt_data_close(data);

    options.valid_fraction = 1.0 / 14; /* would cut the last character in two */
    data = prepared(&options);
    check_ids(data, TTT_SPLIT_VALID, "\xc3\xa9|");
    ttt_data_close(data);

    options.valid_fraction = 0;
    data = prepared(&options);
    check_ids(data, TTT_SPLIT_TRAIN, "abcd|efgh|ij\xc3\xa9\xc3\xa9|");
    check_ids(data, TTT_SPLIT_VALID, "");
    ttt_data_close(data);

    options.text_count = 1;
    options.valid_text = texts[1];
    data = prepared(&options);
    check_ids(data, TTT_SPLIT_TRAIN, "abcd|efgh|");
    check_ids(data, TTT_SPLIT_VALID, "ij\xc3\xa9\xc3\xa9|");
    ttt_data_close(data);

    ttt_ids ids = {0};
    int64_t bytes;
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    CHECK_OK(ttt_texts_tokenize(&(ttt_data_options){.texts = texts, .text_count = 2}, tokenizer, &ids, &bytes));
    CHECK(bytes == 14 && ids.count == 16 && ids.data[4] == 0 && ids.data[15] == 0xa9 + 1); /* joined, not ended */
    const ttt_data_options absent = {.texts = (const char *const[]){FOLDER "/absent"}, .text_count = 1};
    CHECK_FAILS(ttt_texts_tokenize(&absent, tokenizer, &ids, NULL), TTT_ERR_IO, "absent");
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
}

static void batches(void)
{
    const char *const texts[] = {FOLDER "/abc.txt"};
    put(texts[0], "abcdefghijklmnopqrstuvwxyz");
    ttt_data_options options = byte_options(texts, 1);
    options.valid_fraction = 0;
    ttt_data *data = prepared(&options);
    int64_t count;
    CHECK_OK(ttt_data_sequences(data, TTT_SPLIT_TRAIN, 3, &count));
    CHECK_EQ(count, 6); /* 27 tokens, 4 each */
    int32_t ids[24 * 4], part[5 * 4];
    int first_order = 0;
    for (int64_t epoch = 0; epoch < 4; epoch++) {
        int seen[6] = {0};
        CHECK_OK(ttt_data_batch(data, TTT_SPLIT_TRAIN, 3, 6, 6 * epoch, 42, ids + 24 * epoch));
        for (int b = 0; b < 6; b++) {
            const int32_t *sequence = ids + 24 * epoch + 4 * b;
            const int number = (sequence[0] - 'a' - 1) / 4;
            CHECK(number >= 0 && number < 6 && sequence[0] == 'a' + 1 + 4 * number);
            CHECK(sequence[1] == sequence[0] + 1 && sequence[3] == sequence[0] + 3);
            seen[number]++;
            first_order += number == (ids[4 * b] - 'a' - 1) / 4;
        }
        for (int i = 0; i < 6; i++) CHECK_EQ(seen[i], 1);
    }
    CHECK(first_order < 24); /* epochs have orders of their own */
    /* Any cut into batches, also across the end of an epoch, gives the same sequences. */
    for (int64_t first = 0; first + 5 <= 24; first++) {
        CHECK_OK(ttt_data_batch(data, TTT_SPLIT_TRAIN, 3, 5, first, 42, part));
        CHECK(memcmp(part, ids + 4 * first, sizeof part) == 0);
    }
    CHECK_OK(ttt_data_sequences(data, TTT_SPLIT_TRAIN, 26, &count));
    CHECK_EQ(count, 1);
    CHECK_FAILS(ttt_data_sequences(data, TTT_SPLIT_TRAIN, 27, &count), TTT_ERR_ARGUMENT,
                "training text of 27 tokens is shorter than one sequence of 28");
    CHECK_FAILS(ttt_data_batch(data, TTT_SPLIT_VALID, 3, 1, 0, 1, part), TTT_ERR_ARGUMENT, "held-out text of 0");
    CHECK_FAILS(ttt_data_sequences(data, TTT_SPLIT_TRAIN, INT64_MAX, &count), TTT_ERR_ARGUMENT, "shorter");
    CHECK_FAILS(ttt_data_sequences(data, TTT_SPLIT_TRAIN, 0, &count), TTT_ERR_ARGUMENT, "context");
    CHECK_FAILS(ttt_data_batch(data, TTT_SPLIT_TRAIN, 3, 5, INT64_MAX, 1, part), TTT_ERR_ARGUMENT, "impossible");
    ttt_data_close(data);
}

/* Trained tokenizers see the training part only, and come back from the folder. */
static void trained_tokenizer(void)
{
    const char *const texts[] = {FOLDER "/words.txt"};
    ttt_buffer text = {0};
    for (int i = 0; i < 200; i++) CHECK_OK(ttt_buffer_print(&text, "the cat and the dog "));
    const size_t cut = text.size;
    for (int i = 0; i < 200; i++) CHECK_OK(ttt_buffer_print(&text, "zzzz zzzz zzzz zzzz "));
    put(texts[0], text.data);
    ttt_data_options options = byte_options(texts, 1);
    options.tokenizer = "bpe:270";
    options.valid_fraction = 0.5;
    ttt_data *data = prepared(&options);
    CHECK_OK(ttt_data_check(data, &options));
    const ttt_tokenizer *tokenizer = ttt_data_tokenizer(data);
    CHECK(ttt_tokenizer_vocabulary(tokenizer) <= 270 && ttt_tokenizer_vocabulary(tokenizer) > 257);
    CHECK(ttt_data_tokens(data, TTT_SPLIT_TRAIN) < (int64_t)cut / 2);
    CHECK(ttt_data_tokens(data, TTT_SPLIT_VALID) > (int64_t)cut * 3 / 5); /* "zz" was never merged */
    int32_t *ids = ttt_alloc((size_t)ttt_data_tokens(data, TTT_SPLIT_TRAIN), sizeof *ids);
    CHECK_OK(ttt_data_read(data, TTT_SPLIT_TRAIN, 0, ttt_data_tokens(data, TTT_SPLIT_TRAIN), ids));
    ttt_text back = {0};
    CHECK_OK(ttt_tokenizer_decode(tokenizer, ids, (size_t)ttt_data_tokens(data, TTT_SPLIT_TRAIN), false, &back));
    CHECK(back.size == cut && memcmp(back.data, text.data, cut) == 0);
    ttt_text_deinit(&back);
    ttt_free(ids);
    ttt_data_close(data);
    ttt_buffer_deinit(&text);
}

/* The shorter the text, the fewer ids. */
static void tokenizer_by_size(void)
{
    static const struct {
        int words;
        int64_t most;
    } sizes[] = {{2000, 512}, {40000, 1000}};
    const char *const texts[] = {FOLDER "/words.txt"};
    ttt_data_options options;
    ttt_data_options_init(&options);
    options.texts = texts;
    options.text_count = 1;
    options.valid_fraction = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ttt_buffer text = {0};
        uint32_t random = 1;
        for (int w = 0; w < sizes[i].words; w++) {
            random = random * 1664525 + 1013904223;
            CHECK_OK(ttt_buffer_print(&text, "%04x ", (unsigned)(random >> 16)));
        }
        put(texts[0], text.data);
        ttt_buffer_deinit(&text);
        options.tokenizer = "bpe";
        ttt_data *data = prepared(&options);
        CHECK_EQ(ttt_tokenizer_vocabulary(ttt_data_tokenizer(data)), sizes[i].most);
        CHECK_OK(ttt_data_check(data, &options));
        options.tokenizer = "bpe:512";
        CHECK_FAILS(ttt_data_check(data, &options), TTT_ERR_ARGUMENT, "tokenizer \"bpe\", now it is \"bpe:512\"");
        ttt_data_close(data);
    }
}

static void tokenizer_from_a_file(void)
{
    const char *const texts[] = {FOLDER "/words.txt"}, *const folder = FOLDER "/tokenizer";
    ttt_data_options options = byte_options(texts, 1);
    options.tokenizer = "bpe:300";
    ttt_data *data = prepared(&options);
    CHECK_OK(ttt_folder_make(folder));
    CHECK_OK(ttt_tokenizer_save(ttt_data_tokenizer(data), folder));
    const int64_t tokens = ttt_data_tokens(data, TTT_SPLIT_TRAIN);
    ttt_data_close(data);
    options.tokenizer = FOLDER "/tokenizer/tokenizer.json";
    data = prepared(&options);
    CHECK_EQ(ttt_data_tokens(data, TTT_SPLIT_TRAIN), tokens);
    CHECK_OK(ttt_data_check(data, &options));
    options.tokenizer = folder; /* the same file */
    CHECK_OK(ttt_data_check(data, &options));
    ttt_buffer json = {0};
    CHECK_OK(ttt_file_read(&json, FOLDER "/tokenizer/tokenizer.json", 10000000));
    CHECK_OK(ttt_buffer_append(&json, "\n", 1));
    CHECK_OK(ttt_file_write(FOLDER "/tokenizer/tokenizer.json", json.data, json.size));
    options.tokenizer = FOLDER "/tokenizer/tokenizer.json";
    CHECK_FAILS(ttt_data_check(data, &options), TTT_ERR_ARGUMENT, "tokenizer.json changed since");
    ttt_buffer_deinit(&json);
    ttt_data_close(data);
}

static void changes(void)
{
    CHECK_OK(ttt_folder_make(FOLDER "/many"));
    put(FOLDER "/many/1.txt", "first text");
    put(FOLDER "/many/3.txt", "third text");
    unlink(FOLDER "/many/2.txt");
    unlink(FOLDER "/many/4.txt");
    const char *const texts[] = {FOLDER "/many"}, *const more[] = {FOLDER "/many", FOLDER "/b.txt"};
    const ttt_data_options options = byte_options(texts, 1);
    ttt_data *data = prepared(&options);
    CHECK_OK(ttt_data_check(data, &options));
    ttt_data_options other = options;
    other.tokenizer = "bpe:300";
    CHECK_FAILS(ttt_data_check(data, &other), TTT_ERR_ARGUMENT, "tokenizer \"byte\", now it is \"bpe:300\"");
    other = options;
    other.valid_fraction = 0.1;
    CHECK_FAILS(ttt_data_check(data, &other), TTT_ERR_ARGUMENT, "valid 0.05, now it is 0.1");
    other = options;
    other.parse_special = true;
    CHECK_FAILS(ttt_data_check(data, &other), TTT_ERR_ARGUMENT, "parse_special false");
    other = options;
    other.texts = more;
    other.text_count = 2;
    CHECK_FAILS(ttt_data_check(data, &other), TTT_ERR_ARGUMENT, "b.txt is new");
    put(FOLDER "/many/3.txt", "third file");
    CHECK_FAILS(ttt_data_check(data, &options), TTT_ERR_ARGUMENT, "3.txt changed since the data was made");
    put(FOLDER "/many/3.txt", "third text");
    CHECK_OK(ttt_data_check(data, &options));
    put(FOLDER "/many/2.txt", "second");
    CHECK_FAILS(ttt_data_check(data, &options), TTT_ERR_ARGUMENT, "2.txt is not what the data was made from");
    unlink(FOLDER "/many/2.txt");
    put(FOLDER "/many/4.txt", "fourth");
    CHECK_FAILS(ttt_data_check(data, &options), TTT_ERR_ARGUMENT, "4.txt is new");
    unlink(FOLDER "/many/4.txt");
    unlink(FOLDER "/many/3.txt");
    CHECK_FAILS(ttt_data_check(data, &options), TTT_ERR_ARGUMENT, "3.txt is missing");
    ttt_data_close(data);
}

/* A record of format 1, whose hashes are FNV-1a, is compared by those. */
static void old_record(void)
{
    const char *const texts[] = {FOLDER "/b.txt"};
    const ttt_data_options options = byte_options(texts, 1);
    ttt_data *data = prepared(&options);
    ttt_data_close(data);
    ttt_buffer text = {0}, record = {0};
    CHECK_OK(ttt_file_read(&text, texts[0], 1000));
    CHECK_OK(ttt_file_read(&record, OUT "/data.json", 10000));
    char hash[17];
    char *format = strstr(record.data, "\"format\": 2"), *old = strstr(record.data, "\"hash\": \"");
    CHECK(format && old);
    if (!format || !old) return;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ttt_hash(TTT_HASH_FNV, text.data, text.size));
    format[10] = '1';
    CHECK(memcmp(old + 9, hash, 16) != 0);
    memcpy(old + 9, hash, 16);
    CHECK_OK(ttt_file_write(OUT "/data.json", record.data, record.size));
    CHECK_OK(ttt_data_open(&data, OUT));
    CHECK_OK(ttt_data_check(data, &options));
    old[9] = old[9] == '0' ? '1' : '0';
    CHECK_OK(ttt_file_write(OUT "/data.json", record.data, record.size));
    ttt_data_close(data);
    CHECK_OK(ttt_data_open(&data, OUT));
    CHECK_FAILS(ttt_data_check(data, &options), TTT_ERR_ARGUMENT, "b.txt changed since");
    ttt_data_close(data);
    ttt_buffer_deinit(&text);
    ttt_buffer_deinit(&record);
}

static void refusals(void)
{
    const char *const texts[] = {FOLDER "/b.txt"}, *const absent[] = {FOLDER "/absent.txt"};
    ttt_data_options options = byte_options(texts, 1);
    remove_out();
    options.text_count = 0;
    CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_ARGUMENT, "no text");
    options = byte_options(absent, 1);
    CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_IO, "absent.txt");
    options = byte_options(texts, 1);
    static const char *const specs[] = {"bpe:", "bpe:x", "bpe:256", "bpe:300x", "bpe:99999999999999999999"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        options.tokenizer = specs[i];
        CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_ARGUMENT, "bpe:N needs");
    }
    options.tokenizer = FOLDER "/no-tokenizer.json";
    CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_IO, "no-tokenizer.json");
    options.tokenizer = "byte";
    static const double fractions[] = {-0.1, 1, NAN};
    for (size_t i = 0; i < 3; i++) {
        options.valid_fraction = fractions[i];
        CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_ARGUMENT, "fraction");
    }
    options.valid_fraction = 0.999;
    CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_ARGUMENT, "too short");
    options.valid_fraction = 0;
    CHECK_OK(ttt_folder_make(OUT));
    put(OUT "/strange.txt", "mine");
    CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_ARGUMENT, "exists already");
    CHECK(!ttt_data_is_folder(OUT) && !ttt_data_is_folder(FOLDER "/b.txt"));
    ttt_data *data;
    CHECK_FAILS(ttt_data_open(&data, OUT), TTT_ERR_IO, "data.json");
    CHECK(data == NULL);
    unlink(OUT "/strange.txt");
    CHECK_OK(ttt_data_prepare(OUT "/", &options)); /* an empty folder is as good as none */
    CHECK_FAILS(ttt_data_prepare(OUT, &options), TTT_ERR_ARGUMENT, "exists already");
    CHECK_FAILS(ttt_data_prepare(FOLDER "/b.txt", &options), TTT_ERR_ARGUMENT, "exists already");
    CHECK_FAILS(ttt_data_prepare(FOLDER "/b.txt/data", &options), TTT_ERR_IO, "b.txt");
}

static void damaged_folders(void)
{
    static const struct {
        const char *json, *part;
    } cases[] = {
        {"", "data.json"},
        {"{\"format\": 0}", "format"},
        {"{\"format\": \"1\"}", "format"},
        {"{\"format\": 1, \"format\": 1}", "line 1"},
        {"{\"format\": 1, \"train\": {\"bytes\": 1, \"tokens\": -1}}", "\"train\" does not count"},
        {"{\"format\": 1, \"train\": {\"bytes\": 1, \"tokens\": 1}, \"valid\": 3}", "\"valid\" does not count"},
        {"{\"format\": 1, \"train\": {\"bytes\": 1, \"tokens\": 1}, \"valid\": {\"bytes\": 0, \"tokens\": 0}}",
         "options"},
        {"{\"format\": 1, \"train\": {\"bytes\": 1, \"tokens\": 1}, \"valid\": {\"bytes\": 0, \"tokens\": 0}, "
         "\"options\": {}, \"inputs\": [{\"path\": \"x\"}]}",
         "input 0"},
        {"{\"format\": 1, \"train\": {\"bytes\": 1, \"tokens\": 1}, \"valid\": {\"bytes\": 0, \"tokens\": 0}, "
         "\"options\": {}, \"inputs\": []}",
         "7 tokens, but data.json says 1"},
    };
    const char *const texts[] = {FOLDER "/b.txt"};
    ttt_data_options options = byte_options(texts, 1);
    options.valid_fraction = 0;
    ttt_data_close(prepared(&options));
    ttt_data *data;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(OUT "/data.json", cases[i].json);
        CHECK_FAILS(ttt_data_open(&data, OUT), TTT_ERR_FORMAT, cases[i].part);
        CHECK(data == NULL);
    }
    unlink(OUT "/train.tokens");
    CHECK_FAILS(ttt_data_open(&data, OUT), TTT_ERR_IO, "train.tokens");
    put(OUT "/data.json", "{\"format\": 3}"); /* of a later version */
    CHECK_FAILS(ttt_data_open(&data, OUT), TTT_ERR_UNSUPPORTED, "data folder format 3, this version reads 1 to 2");
}

/* Every allocation, and every call of a kind, fails in turn: an error, and no trace of the folder. */
static void faults(void)
{
    static const int kinds[] = {TTT_CALL_ALLOC, TTT_CALL_WRITE, TTT_CALL_OPEN,  TTT_CALL_READ,
                                TTT_CALL_CLOSE, TTT_CALL_MKDIR, TTT_CALL_RENAME};
    const char *const texts[] = {FOLDER "/a.jsonl", FOLDER "/b.txt"};
    const ttt_data_options options = byte_options(texts, 2);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        ttt_status status = TTT_ERR_MEMORY;
        int nth = 0;
        remove_out();
        while (status != TTT_OK && nth < 10000) {
            nth++;
            fault_at(kinds[k], nth, 0);
            status = ttt_data_prepare(OUT, &options);
            fault_at(kinds[k], 0, 0);
            if (status == TTT_OK) break;
            CHECK_EQ(status, kinds[k] == TTT_CALL_ALLOC ? TTT_ERR_MEMORY : TTT_ERR_IO);
            CHECK_EQ(entries(FOLDER "/out"), 0);
        }
        if (status != TTT_OK) fprintf(stderr, "failing: %s\n", fault_names[kinds[k]]);
        CHECK_EQ(status, TTT_OK);
        CHECK(nth > (kinds[k] == TTT_CALL_MKDIR ? 1 : 3));
    }
    ttt_data *data = NULL;
    ttt_status status = TTT_ERR_MEMORY;
    for (int nth = 1; status != TTT_OK && nth < 10000; nth++) {
        fault_at(TTT_CALL_ALLOC, nth, 0);
        status = ttt_data_open(&data, OUT);
        fault_at(TTT_CALL_ALLOC, 0, 0);
        CHECK(status == TTT_OK || (status == TTT_ERR_MEMORY && data == NULL));
    }
    CHECK_OK(ttt_data_check(data, &options));
    ttt_data_close(data);
}

int main(void)
{
    CHECK_OK(ttt_folder_make(FOLDER "/out"));
    parts();
    batches();
    trained_tokenizer();
    tokenizer_by_size();
    tokenizer_from_a_file();
    changes();
    old_record();
    refusals();
    damaged_folders();
    faults();
    remove_out();
    return test_end();
}
