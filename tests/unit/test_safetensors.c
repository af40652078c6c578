/* SPDX-License-Identifier: MIT
 *
 * safetensors: every attack that docs/FORMATS.md lists is refused, and what the format allows is read; files and
 * folders written come back as they were, in the canonical order, whole or not at all.
 */
#include "base/file.h"
#include "store/safetensors.h"
#include "fault.h"
#include "test.h"

#define FOLDER TTT_BINARY_DIR "/test_safetensors"

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
    enum { ENTRIES = 100000 };
    ttt_buffer image = {0};
    uint64_t length = 0;
    CHECK_OK(ttt_buffer_append(&image, &length, 8));
    for (int i = 0; i < ENTRIES; i++)
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
    ttt_safetensors_close(file);

    write_text(index, "{\"weight_map\":{\"w\":\"../model-00001-of-00003.safetensors\"}}");
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_FORMAT, "not inside the folder");
    write_text(index, "{\"weight_map\":{\"nothing\":\"model-00001-of-00003.safetensors\"}}");
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_FORMAT, "not according to the index");
    write_text(index, "{\"weight_map\":{\"small\":\"model-00001-of-00003.safetensors\","
                      "\"nothing\":\"model-00001-of-00003.safetensors\"}}");
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_FORMAT, "tensor nothing is not in");
    write_text(index, "{\"weight_map\":{\"w\":\"model-00009-of-00009.safetensors\"}}");
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_IO, "model-00009-of-00009.safetensors");
    write_text(index, "{\"weight_map\":{\"w\":3}}");
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_FORMAT, "no file name");
    write_text(index, "{\"weight_map\":[]}");
    CHECK_FAILS(ttt_safetensors_open(&file, FOLDER), TTT_ERR_FORMAT, "weight_map");

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
        SKIP("no ../shared/goldens");
        return;
    }
    ttt_safetensors *file;
    CHECK_OK(ttt_safetensors_open(&file, path));
    const ttt_tensor *embedding = ttt_safetensors_find(file, "model.embed_tokens.weight");
    CHECK(embedding && embedding->shape[0] == 61 && embedding->shape[1] == 32 && embedding->dtype == TTT_F32);
    CHECK_STR(ttt_safetensors_metadata(file, "format"), "pt");
    ttt_safetensors_close(file);
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
    test_memory();
    test_golden();
    return test_end();
}
