/* SPDX-License-Identifier: MIT
 *
 * base/json: numbers of any size, byte-order marks, and that nothing else is taken that JSON does not allow.
 */
#include "base/json.h"

#include <locale.h>

#include "base/alloc.h"
#include "test.h"

static json_t *read_text(const char *text, json_error_t *error)
{
    /* Of exactly this size, so that ASan sees what reads beyond it. */
    const size_t size = strlen(text);
    char *copy = ttt_alloc(size ? size : 1, 1);
    memcpy(copy, text, size);
    json_t *root = ttt_json_read(copy, size, 0, error);
    ttt_free(copy);
    return root;
}

static void numbers(void)
{
    static const char text[] =
        "{\"limit\": 1000000000000000019884624838656, \"low\": -99999999999999999999, \"huge\": 1e999,\n"
        " \"tiny\": -1.5e-999, \"most\": 9223372036854775807, \"least\": -9223372036854775808, \"one\": 1,\n"
        " \"more\": 9223372036854775808, \"text\": \"1e999 \\\" 99999999999999999999\", \"real\": 0.5,\n"
        " \"nested\": [{\"a\": [-1E+400]}]}";
    json_error_t error;
    json_t *root = read_text(text, &error);
    CHECK(json_is_object(root));
    CHECK_EQ(json_object_size(root), 11);
    CHECK(json_real_value(json_object_get(root, "limit")) == 1e30);
    CHECK(json_real_value(json_object_get(root, "low")) == -1e20);
    CHECK_STR(json_string_value(json_object_get(root, "huge")), "1e999");
    CHECK(json_is_real(json_object_get(root, "tiny")) && json_real_value(json_object_get(root, "tiny")) == 0);
    CHECK(json_integer_value(json_object_get(root, "most")) == INT64_MAX);
    CHECK(json_integer_value(json_object_get(root, "least")) == INT64_MIN);
    CHECK(json_is_integer(json_object_get(root, "one")) && json_integer_value(json_object_get(root, "one")) == 1);
    CHECK(json_real_value(json_object_get(root, "more")) == 0x1p63);
    CHECK_STR(json_string_value(json_object_get(root, "text")), "1e999 \" 99999999999999999999");
    CHECK(json_real_value(json_object_get(root, "real")) == 0.5);
    const json_t *nested = json_object_get(json_array_get(json_object_get(root, "nested"), 0), "a");
    CHECK_STR(json_string_value(json_array_get(nested, 0)), "-1E+400");
    json_decref(root);

    char digits[700] = "{\"n\": ";
    memset(digits + 6, '9', 400);
    memcpy(digits + 406, "}", 2);
    root = read_text(digits, &error);
    CHECK_EQ(json_string_length(json_object_get(root, "n")), 400);
    json_decref(root);
}

static void marks(void)
{
    json_error_t error;
    json_t *root = read_text("\xef\xbb\xbf{\"a\": 99999999999999999999}", &error);
    CHECK(json_real_value(json_object_get(root, "a")) == 1e20);
    json_decref(root);
    CHECK(!read_text("\xef\xbb\xbf\xef\xbb\xbf{}", &error)); /* one only */
    CHECK(!read_text("\xef\xbb\xbf", &error));
    CHECK(!read_text("", &error));
    CHECK_EQ(ttt_byte_order_mark("\xef\xbb", 2), 0);
}

static void faults(void)
{
    static const char *const bad[] = {"{\"a\": 099999999999999999999}",
                                      "{\"a\": 1e999.5}",
                                      "{\"a\": 1e}",
                                      "{\"a\": 1e999, \"a\": 2}",
                                      "{\"a\": +1e999}",
                                      "{\"a\": --1e999}",
                                      "{\"a\": 1e999",
                                      "{1e999: 1}",
                                      "{\"a\": 1e999, \"b",
                                      "{\"a\": 1e999, \"b\\"};
    json_error_t error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *root = read_text(bad[i], &error);
        CHECK(!root && error.text[0] != '\0');
        if (root) fprintf(stderr, "taken: %s\n", bad[i]);
        json_decref(root);
    }
    CHECK(!read_text("{\n\"a\": 1e999,\n\"b\": x}", &error));
    CHECK_EQ(error.line, 3);
}

int main(void)
{
    numbers();
    marks();
    faults();
    return test_end();
}
