/* SPDX-License-Identifier: MIT
 * apps/ttt/bench_list: lists and ranges give the numbers they say, and everything else is refused.
 */
#include "../../apps/ttt/bench_list.h"

#include "test.h"

static void gives(const char *text, const int64_t *values, int count)
{
    ttt_list list = {0};
    const char *wrong = ttt_list_add(&list, text);
    if (wrong) fprintf(stderr, "\"%s\": %s\n", text, wrong);
    CHECK(!wrong);
    CHECK_EQ(list.count, count);
    for (int i = 0; i < count && i < list.count; i++) CHECK_EQ(list.values[i], values[i]);
}
#define GIVES(text, ...)                                                                                               \
    gives(text, (const int64_t[]){__VA_ARGS__}, (int)(sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)))

static void lists(void)
{
    GIVES("0", 0);
    GIVES("128,512", 128, 512);
    GIVES("2k", 2048);
    GIVES("3-6", 3, 4, 5, 6);
    GIVES("5-5", 5);
    GIVES("256-1024+256", 256, 512, 768, 1024);
    GIVES("10-25+10", 10, 20);
    GIVES("1-64*4", 1, 4, 16, 64);
    GIVES("1k-4k*2,7", 1024, 2048, 4096, 7);
    static const char *const bad[] = {"",     ",",     "1,",    "a",     "1;2", "-1",  "1-",    "4-2",
                                      "1-5+", "1-5+0", "1-5*1", "0-5*2", "1.5", "1kk", "1-100", "9999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ttt_list list = {0};
        const char *wrong = ttt_list_add(&list, bad[i]);
        if (!wrong) fprintf(stderr, "\"%s\" was taken\n", bad[i]);
        CHECK(wrong != NULL);
    }
    ttt_list list = {0};
    CHECK(ttt_list_add(&list, "1-60") == NULL);
    CHECK(ttt_list_add(&list, "1-4") == NULL); /* a second one is added to the first */
    CHECK_EQ(list.count, 64);
    CHECK(ttt_list_add(&list, "1") != NULL);
    CHECK_EQ(list.count, 64);
}

static void doubles(void)
{
    ttt_list list = {0};
    CHECK(ttt_list_add_doubles(&list, "1k..5k") == NULL);
    CHECK_EQ(list.count, 3);
    CHECK_EQ(list.values[2], 4096);
    static const char *const bad[] = {"", "1k", "1k..", "..4k", "1k...4k", "4k..1k", "0..4", "1..4,5", "1..4+1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(ttt_list_add_doubles(&list, bad[i]) != NULL);
}

static void names(void)
{
    static const char *const known[] = {"f32", "bf16", "q8", NULL};
    ttt_list list = {0};
    CHECK(ttt_list_add_names(&list, "q8,f32", known) == NULL);
    CHECK_EQ(list.count, 2);
    CHECK_EQ(list.values[0], 2);
    CHECK_EQ(list.values[1], 0);
    static const char *const bad[] = {"", "q", "q88", "f32,", ",f32", "f32;q8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(ttt_list_add_names(&list, bad[i], known) != NULL);
}

int main(void)
{
    lists();
    doubles();
    names();
    return test_end();
}
