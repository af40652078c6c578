/* SPDX-License-Identifier: MIT
 *
 * safetensors: every attack that docs/FORMATS.md lists is refused, and what the format allows is read; files and
 * folders written come back as they were, in the canonical order, whole or not at all.
 */
#include <unistd.h>

#include "base/file.h"
#include "fault.h"
#include "store/safetensors.h"
#include "test.h"

#define FOLDER TTT_BINARY_DIR "/test_safetensors"
#define SAVES  TTT_BINARY_DIR "/test_safetensors_saves"
#define OTHER  FOLDER "/other"

/* A file in memory: length, header, then `data` zero bytes. */
static ttt_status parse(ttt_safetensors **file, const char *header, size_t data)
{
    static unsigned char image[1 << 16];
    const uint64_t length = strlen(header);
    memset(image, 0, sizeof image);
    memcpy(image, &length, 8);
    memcpy(image + 8, header, length);
    return ttt_safetensors_parse(file, image, 8 + length + data, "x.safetensors");
}

static void test_refused(void)
{
    static const struct {
        const char *header;
        size_t data;
        const char *part;
    } cases[] = {
        {"{", 0, "header"},
        {"[]", 0, "not a JSON object"},
        {"\xff", 0, "header"},
        {"{}x", 0, "header"},
        {"{\"a\":1}", 0, "tensor a needs exactly dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor a needs"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, "tensor a needs"},
        {"{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a needs"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "dimension 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1e0],\"data_offsets\":[0,1]}}", 1, "dimension 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "dimension 0"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1.0]}}", 1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,18446744073709551615]}}", 1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1152921504606846975],\"data_offsets\":[0,1152921504606846975]}}", 1,
         "truncated"},
        {"{\"a\":{\"dtype\":\"I32\",\"shape\":[2,18446744073709551614],\"data_offsets\":[0,16]}}", 16, "dimension 1"},
        {"{\"a\":{\"dtype\":\"I32\",\"shape\":[2,9223372036854775807],\"data_offsets\":[0,16]}}", 16, "tensor a"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,12]}}", 12, "shape [4] cannot have 12 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 14,
         "need 16 bytes of data, the file has 14"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 18,
         "need 16 bytes of data, the file has 18"},
        {"{}", 1, "need 0 bytes"},
        {"\xef\xbb\xbf{}", 0, "the header begins with a byte-order mark"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[4,20]}}", 20, "overlaps and holes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         4, "overlaps and holes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}",
         9, "overlaps and holes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,0]}}", 4, "overlaps and holes"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, "tensor a of type F4"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
         1, "duplicate"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ a"},
        {"{\"__metadata__\":[]}", 0, "__metadata__"},
        {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "header"},
    };
    ttt_safetensors *file;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(parse(&file, cases[i].header, cases[i].data), TTT_ERR_FORMAT, cases[i].part);
    CHECK_FAILS(parse(&file, "{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1),
                TTT_ERR_UNSUPPORTED, "F99");
    CHECK_FAILS(parse(&file, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1),
                TTT_ERR_UNSUPPORTED, "9 dimensions");
}

static void test_lengths(void)
{
    static const unsigned char huge[16] = {0x3c, 0, 0, 0, 0, 0, 0xff, 0xff},
                               larger[10] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    static const unsigned char over[16] = {1, 0, 0, 1};
    ttt_safetensors *file;
    CHECK_FAILS(ttt_safetensors_parse(&file, NULL, 0, "x"), TTT_ERR_FORMAT, "too few");
    CHECK_FAILS(ttt_safetensors_parse(&file, larger, 7, "x"), TTT_ERR_FORMAT, "too few");
    CHECK_FAILS(ttt_safetensors_parse(&file, larger, 10, "x"), TTT_ERR_FORMAT, "header of 3 bytes in a file of 10");
    CHECK_FAILS(ttt_safetensors_parse(&file, huge, 16, "x"), TTT_ERR_FORMAT, "larger than");
    CHECK_FAILS(ttt_safetensors_parse(&file, over, 16, "x"), TTT_ERR_FORMAT, "larger than");
}

/* Many entries over the same bytes must be refused at once, not after work that grows with their square. */
static void test_overlap_bomb(void)
{
    const int entries = test_small() ? 10000 : 100000;
    ttt_buffer image = {0};
    uint64_t length = 0;
    CHECK_OK(ttt_buffer_append(&image, &length, 8));
    for (int i = 0; i < entries; i++)
        CHECK_OK(ttt_buffer_print(&image, "%c\"%d\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}",
                                  i ? ',' : '{', i));
    CHECK_OK(ttt_buffer_append(&image, "}", 1));
    length = image.size - 8;
    memcpy(image.data, &length, 8);
    CHECK_OK(ttt_buffer_append(&image, "0123456789abcdef", 16));
    ttt_safetensors *file;
    CHECK_FAILS(ttt_safetensors_parse(&file, image.data, image.size, "bomb"), TTT_ERR_FORMAT, "overlaps");
    ttt_buffer_deinit(&image);
}

static void test_allowed(void)
{
    ttt_safetensors *file;
    CHECK_OK(parse(&file, "{}\r \t\n", 0));
    CHECK_EQ(ttt_safetensors_count(file), 0);
    CHECK(!ttt_safetensors_find(file, "a") && !ttt_safetensors_metadata(file, "a"));
    ttt_safetensors_close(file);
    CHECK_OK(parse(&file, "\t\n{}\r ", 0));
    ttt_safetensors_close(file);
    CHECK_OK(parse(&file,
                   "{\"z/../z\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                   "\"__metadata__\":{\"k\":\"v\"},"
                   "\"a\":{\"dtype\":\"BF16\",\"shape\":[2,0],\"data_offsets\":[0,0]},"
                   "\"b\":{\"dtype\":\"F4\",\"shape\":[2,3],\"data_offsets\":[4,7]}}",
                   7));
    CHECK_EQ(ttt_safetensors_count(file), 3);
    CHECK_STR(ttt_safetensors_at(file, 0)->name, "a");
    CHECK_EQ(ttt_safetensors_at(file, 0)->bytes, 0);
    const ttt_tensor *scalar = ttt_safetensors_find(file, "z/../z");
    CHECK(scalar && scalar->rank == 0 && scalar->bytes == 4 && ttt_tensor_count(scalar) == 1);
    CHECK_STR(ttt_safetensors_metadata(file, "k"), "v");
    ttt_safetensors_close(file);
}

static float numbers[6] = {1, 2, 3, 4, 5, 6};
static double halves[2] = {0.5, -0.25};
static int32_t integers[3] = {7, 8, 9};

static const ttt_tensor_out outputs[] = {
    {.tensor = {"small", TTT_I32, 1, {3}, integers, 12}, .dtype = TTT_I32},
    {.tensor = {"w", TTT_F32, 2, {3, 2}, numbers, 24}, .dtype = TTT_F32},
    {.tensor = {"turned", TTT_F32, 2, {3, 2}, numbers, 24}, .dtype = TTT_BF16, .transposed = true},
    {.tensor = {"a \"quoted\\ name\n", TTT_F64, 1, {2}, halves, 16}, .dtype = TTT_F16},
    {.tensor = {"empty", TTT_F32, 2, {0, 5}, NULL, 0}, .dtype = TTT_F32},
    {.tensor = {"scalar", TTT_F32, 0, {0}, numbers + 5, 4}, .dtype = TTT_F32},
};
enum { OUTPUTS = sizeof outputs / sizeof *outputs };

static void check_outputs(const ttt_safetensors *file)
{
    float values[6];
    CHECK_EQ(ttt_safetensors_count(file), OUTPUTS);
    const ttt_tensor *turned = ttt_safetensors_find(file, "turned"), *w = ttt_safetensors_find(file, "w");
    const ttt_tensor *quoted = ttt_safetensors_find(file, "a \"quoted\\ name\n");
    const ttt_tensor *small = ttt_safetensors_find(file, "small"), *scalar = ttt_safetensors_find(file, "scalar");
    CHECK(turned && w && quoted && small && scalar && ttt_safetensors_find(file, "empty"));
    CHECK(turned->dtype == TTT_BF16 && turned->rank == 2 && turned->shape[0] == 3 && turned->shape[1] == 2);
    ttt_dtype_convert(values, TTT_F32, turned->data, TTT_BF16, 6);
    CHECK(memcmp(values, (float[]){1, 4, 2, 5, 3, 6}, sizeof values) == 0);
    CHECK(w->bytes == 24 && memcmp(w->data, numbers, 24) == 0);
    CHECK(small->bytes == 12 && memcmp(small->data, integers, 12) == 0);
    ttt_dtype_convert(values, TTT_F32, quoted->data, quoted->dtype, 2);
    CHECK(quoted->dtype == TTT_F16 && memcmp(values, (float[]){0.5F, -0.25F}, 8) == 0);
    CHECK(memcmp(scalar->data, numbers + 5, 4) == 0);
}

static void test_save(void)
{
    static const char *const metadata[] = {"format", "pt", "a\"b", "line\nend", NULL};
    const char *path = FOLDER "/one.safetensors";
    ttt_safetensors *file;
    CHECK_OK(ttt_safetensors_save(path, outputs, OUTPUTS, metadata));
    CHECK_OK(ttt_safetensors_open(&file, path));
    check_outputs(file);
    CHECK_STR(ttt_safetensors_metadata(file, "a\"b"), "line\nend");
    const ttt_tensor *first = ttt_safetensors_find(file, "scalar"); /* the widest type, the smallest name with bytes */
    CHECK_EQ((uintptr_t)first->data % 64, 0);
    CHECK((const char *)ttt_safetensors_find(file, "w")->data == (const char *)first->data + 4);
    CHECK((const char *)ttt_safetensors_find(file, "small")->data >
          (const char *)ttt_safetensors_find(file, "w")->data);
    CHECK((const char *)ttt_safetensors_find(file, "turned")->data <
          (const char *)ttt_safetensors_find(file, "a \"quoted\\ name\n")->data);
    ttt_safetensors_close(file);
    CHECK_OK(ttt_safetensors_save(path, NULL, 0, NULL));
    CHECK_OK(ttt_safetensors_open(&file, path));
    CHECK_EQ(ttt_safetensors_count(file), 0);
    ttt_safetensors_close(file);
    const ttt_tensor_out twice[] = {outputs[0], {.tensor = {"small", TTT_F32, 1, {6}, numbers, 24}, .dtype = TTT_F32}};
    CHECK_FAILS(ttt_safetensors_save(path, twice, 2, NULL), TTT_ERR_ARGUMENT, "two tensors are named small");
    const ttt_tensor_out wrong = {.tensor = {"small", TTT_I32, 1, {3}, integers, 12}, .dtype = TTT_F32};
    CHECK_FAILS(ttt_safetensors_save(path, &wrong, 1, NULL), TTT_ERR_ARGUMENT, "I32 cannot be written as F32");
    CHECK_FAILS(ttt_safetensors_save("/nonexistent/x", outputs, OUTPUTS, NULL), TTT_ERR_IO, "/nonexistent/x");
    CHECK_FAILS(ttt_safetensors_save(FOLDER, outputs, OUTPUTS, NULL), TTT_ERR_IO, FOLDER);
    fault_at(TTT_CALL_WRITE, 1, 0);
    CHECK_FAILS(ttt_safetensors_save(path, outputs, OUTPUTS, NULL), TTT_ERR_IO, "No space left");
    fault_at(TTT_CALL_WRITE, 0, 0);
    CHECK_OK(ttt_safetensors_open(&file, path)); /* what was there before */
    CHECK_EQ(ttt_safetensors_count(file), 0);
    ttt_safetensors_close(file);
    remove(path);
}

static void write_text(const char *path, const char *text) { CHECK_OK(ttt_file_write(path, text, strlen(text))); }

static void test_folder(void)
{
    const char *index = FOLDER "/model.safetensors.index.json";
    ttt_safetensors *file;
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_IO, "holds neither");
    CHECK_OK(ttt_safetensors_save_folder(FOLDER, outputs, OUTPUTS, 28));
    CHECK(ttt_file_exists(FOLDER "/model-00003-of-00003.safetensors"));
    CHECK_OK(ttt_safetensors_open(&file, FOLDER));
    check_outputs(file);
    CHECK_STR(ttt_safetensors_metadata(file, "format"), "pt");
    char save[100];
    snprintf(save, sizeof save, "%s", ttt_safetensors_metadata(file, "ttt_save"));
    CHECK_EQ(strlen(save), 64);
    ttt_safetensors_close(file);

    static const struct {
        const char *map;
        ttt_status status;
        const char *sentence;
    } bad[] = {
        {"{\"w\":\"../model-00001-of-00003.safetensors\"}", TTT_ERR_FORMAT, "not inside the folder"},
        {"{\"nothing\":\"model-00001-of-00003.safetensors\"}", TTT_ERR_FORMAT, "not according to the index"},
        {"{\"small\":\"model-00001-of-00003.safetensors\",\"nothing\":\"model-00001-of-00003.safetensors\"}",
         TTT_ERR_FORMAT, "tensor nothing is not in"},
        {"{\"w\":\"model-00009-of-00009.safetensors\"}", TTT_ERR_IO, "model-00009-of-00009.safetensors"},
        {"{\"w\":3}", TTT_ERR_FORMAT, "no file name"},
        {"[]", TTT_ERR_FORMAT, "weight_map"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"metadata\":{\"ttt_save\":\"%s\"},\"weight_map\":%s}", save, bad[i].map);
        write_text(index, text);
        CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), bad[i].status, bad[i].sentence);
    }
    write_text(index, "{\"weight_map\":{\"small\":\"model-00001-of-00003.safetensors\"}}");
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_FORMAT, "of two saves");

    CHECK_OK(ttt_safetensors_save_folder(FOLDER, outputs, OUTPUTS, TTT_SHARD_BYTES));
    CHECK(!ttt_file_exists(index) && !ttt_file_exists(FOLDER "/model-00001-of-00003.safetensors"));
    CHECK_OK(ttt_safetensors_open(&file, FOLDER));
    check_outputs(file);
    ttt_safetensors_close(file);
    CHECK_OK(ttt_safetensors_save_folder(FOLDER, outputs, OUTPUTS, 1));
    CHECK(!ttt_file_exists(FOLDER "/model.safetensors"));
    CHECK_OK(ttt_safetensors_open(&file, FOLDER));
    check_outputs(file);
    ttt_safetensors_close(file);
}

enum { STEP_TENSORS = 6, STEP_VALUES = 10 };

/* Saves a model of six tensors, all values `value`, in shards of `limit` bytes. */
static ttt_status save_step(float value, size_t limit)
{
    static const char *const names[STEP_TENSORS] = {"a", "b", "c", "d", "e", "f"};
    float values[STEP_VALUES];
    ttt_tensor_out out[STEP_TENSORS];
    for (int i = 0; i < STEP_VALUES; i++) values[i] = value;
    for (int i = 0; i < STEP_TENSORS; i++)
        out[i] = (ttt_tensor_out){.tensor = {.name = names[i],
                                             .dtype = TTT_F32,
                                             .rank = 1,
                                             .shape = {STEP_VALUES},
                                             .data = values,
                                             .bytes = sizeof values},
                                  .dtype = TTT_F32};
    return ttt_safetensors_save_folder(SAVES, out, STEP_TENSORS, limit);
}

/* The value that all tensors of the folder hold; 0 if it is refused as a mix; -1 if values differ. */
static float read_step(void)
{
    ttt_safetensors *file;
    const ttt_status status = ttt_safetensors_open(&file, SAVES);
    if (status != TTT_OK) {
        CHECK_EQ(status, TTT_ERR_FORMAT);
        CHECK(strstr(ttt_error_detail(), "of two saves of the model") && strstr(ttt_error_detail(), "ttt train -o"));
        return 0;
    }
    float first = 0, value;
    CHECK_EQ(ttt_safetensors_count(file), STEP_TENSORS);
    for (int64_t i = 0; i < ttt_safetensors_count(file); i++) {
        memcpy(&value, ttt_safetensors_at(file, i)->data, sizeof value);
        if (i == 0) first = value;
        if (value != first) first = -1;
    }
    ttt_safetensors_close(file);
    return first;
}

/* A later step is saved over an earlier one, and from each renaming or removal on nothing more happens: the folder is
 * of one step or refused, and readable all the time when the form changes. */
static void test_saves(void)
{
    enum { WHOLE = 1000, HALVES = 120, PIECES = 40 };
    static const struct {
        size_t from, to;
        bool always; /* readable at every moment */
    } changes[] = {{HALVES, HALVES, false}, {PIECES, PIECES, false}, {WHOLE, WHOLE, true},  {WHOLE, HALVES, true},
                   {HALVES, WHOLE, true},   {HALVES, PIECES, true},  {PIECES, HALVES, true}};
    int refused = 0;
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++) {
        for (int kind = 0; kind < 2; kind++) {
            const int call = kind ? TTT_CALL_REMOVE : TTT_CALL_RENAME;
            ttt_status status = TTT_ERR_IO;
            for (int nth = 1; status != TTT_OK && nth < 20; nth++) {
                ttt_folder_remove(SAVES);
                CHECK_OK(ttt_folder_make(SAVES));
                CHECK_OK(save_step(1, changes[c].from));
                CHECK_EQ(read_step(), 1);
                fault_at(call, nth, 1);
                status = save_step(2, changes[c].to);
                fault_at(call, 0, 0);
                const float step = read_step();
                CHECK(step >= 0 && (step > 0 || !changes[c].always));
                if (status == TTT_OK && kind == 0) CHECK_EQ(step, 2);
                refused += step == 0;
                CHECK_OK(save_step(3, changes[c].to));
                CHECK_EQ(read_step(), 3);
            }
            CHECK(status == TTT_OK || kind == 1);
        }
    }
    CHECK(refused >= 5);
    ttt_buffer a = {0}, b = {0}; /* the same model, the same files */
    CHECK_OK(save_step(4, HALVES));
    CHECK_OK(ttt_file_read(&a, SAVES "/model-00001-of-00002.safetensors", 1 << 20));
    CHECK_OK(save_step(4, HALVES));
    CHECK_OK(ttt_file_read(&b, SAVES "/model-00001-of-00002.safetensors", 1 << 20));
    CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
    ttt_buffer_deinit(&a);
    ttt_buffer_deinit(&b);
    ttt_folder_remove(SAVES);
    CHECK_OK(ttt_folder_make(SAVES));
    const float values[1] = {5}; /* shards of a program that says nothing of saves */
    ttt_tensor_out out = {.tensor = {.name = "a", .dtype = TTT_F32, .data = values, .bytes = sizeof values},
                          .dtype = TTT_F32};
    CHECK_OK(ttt_safetensors_save(SAVES "/one.safetensors", &out, 1, NULL));
    out.tensor.name = "b";
    CHECK_OK(ttt_safetensors_save(SAVES "/two.safetensors", &out, 1, NULL));
    write_text(SAVES "/model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
    ttt_safetensors *file;
    CHECK_OK(ttt_safetensors_open(&file, SAVES));
    CHECK_EQ(ttt_safetensors_count(file), 2);
    ttt_safetensors_close(file);
    ttt_folder_remove(SAVES);
}

/* Each allocation of a load and a save fails in turn: an error each time, and nothing leaks (under ASan). */
static void test_memory(void)
{
    const int64_t start = fault_count(TTT_CALL_ALLOC);
    CHECK_OK(ttt_safetensors_save_folder(FOLDER, outputs, OUTPUTS, 1));
    ttt_safetensors *file;
    CHECK_OK(ttt_safetensors_open(&file, FOLDER));
    ttt_safetensors_close(file);
    const int64_t count = fault_count(TTT_CALL_ALLOC) - start;
    int64_t refused = 0;
    for (int64_t i = 1; i <= count; i++) {
        fault_at(TTT_CALL_ALLOC, i, 0);
        ttt_status status = ttt_safetensors_save_folder(FOLDER, outputs, OUTPUTS, 1);
        if (status == TTT_OK) {
            status = ttt_safetensors_open(&file, FOLDER);
            if (status == TTT_OK) ttt_safetensors_close(file);
        }
        refused += status == TTT_ERR_MEMORY;
    }
    fault_at(TTT_CALL_ALLOC, 0, 0);
    CHECK(refused > count / 2); /* those of syncing and clearing up may fail without harm */
    CHECK_OK(ttt_safetensors_open(&file, FOLDER));
    check_outputs(file);
    ttt_safetensors_close(file);
}

static void test_golden(void)
{
    const char *path = test_shared("goldens/linear_small/model.safetensors");
    if (!path) {
        SKIP("../shared/goldens is not part of the repository");
        return;
    }
    ttt_safetensors *file;
    CHECK_OK(ttt_safetensors_open(&file, path));
    const ttt_tensor *embedding = ttt_safetensors_find(file, "model.embed_tokens.weight");
    CHECK(embedding && embedding->shape[0] == 61 && embedding->shape[1] == 32 && embedding->dtype == TTT_F32);
    CHECK_STR(ttt_safetensors_metadata(file, "format"), "pt");
    ttt_safetensors_close(file);
}

/* What stands in the place of weights is named. */
static void test_other_files(void)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    static const char pickle[] = "PK\x03\x04\0\0\0\0archive/data.pkl\0\0\0";
    ttt_safetensors *file;
    CHECK_OK(ttt_folder_make(OTHER));
    CHECK_OK(ttt_file_write(OTHER "/model.safetensors", pointer, sizeof pointer - 1));
    CHECK_FAILS(ttt_safetensors_open(&file, OTHER), TTT_ERR_FORMAT,
                "model.safetensors: this is no safetensors file but a Git LFS pointer: the file itself was not");
    CHECK_OK(ttt_file_write(OTHER "/model.safetensors", pickle, sizeof pickle - 1));
    CHECK_FAILS(ttt_safetensors_open(&file, OTHER), TTT_ERR_FORMAT, "but a PyTorch file");
    CHECK_EQ(unlink(OTHER "/model.safetensors"), 0);
    CHECK_OK(ttt_file_write(OTHER "/model.safetensors.index.json", pointer, sizeof pointer - 1));
    CHECK_FAILS(ttt_safetensors_open(&file, OTHER), TTT_ERR_FORMAT, "this is no JSON but a Git LFS pointer");
    CHECK_EQ(unlink(OTHER "/model.safetensors.index.json"), 0);
    CHECK_OK(ttt_file_write(OTHER "/pytorch_model.bin", pickle, sizeof pickle - 1));
    CHECK_OK(ttt_file_write(OTHER "/tokenizer.json", "{}", 2));
    CHECK_FAILS(ttt_safetensors_open(&file, OTHER), TTT_ERR_IO, ", but pytorch_model.bin, which is a PyTorch file");
}

int main(void)
{
    if (system("rm -rf '" FOLDER "'") != 0) return 1;
    CHECK_OK(ttt_folder_make(FOLDER));
    test_lengths();
    test_refused();
    test_overlap_bomb();
    test_allowed();
    test_save();
    test_folder();
    test_saves();
    test_other_files();
    test_memory();
    test_golden();
    return test_end();
}
