/* SPDX-License-Identifier: MIT
 * src/base: failures, memory, files that are whole or not there, counter-based random numbers. */
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/rng.h"
#include "fault.h"
#include "test.h"

static void errors(void)
{
    CHECK_EQ(ttt_fail(TTT_ERR_FORMAT, "%s at %d", "bad", 3), TTT_ERR_FORMAT);
    CHECK_STR(ttt_error_detail(), "bad at 3");
    CHECK_EQ(ttt_fail_prefix(TTT_ERR_FORMAT, "file %s", "x"), TTT_ERR_FORMAT);
    CHECK_STR(ttt_error_detail(), "file x: bad at 3");
}

static void memory(void)
{
    unsigned char *block = ttt_alloc(3, 5);
    CHECK(block != NULL && block[0] == 0 && block[14] == 0);
    CHECK_EQ((uintptr_t)block % 64, 0);
    block[14] = 7;
    block = ttt_realloc(block, 1000, 1);
    CHECK(block != NULL && block[14] == 7);
    ttt_free(block);
    CHECK(ttt_alloc(SIZE_MAX / 2, 4) == NULL);
    unsigned char *large = ttt_alloc((5 << 20) + 3, 1); /* whole huge pages, all of it writable and zero */
    CHECK((uintptr_t)large % (2 << 20) == 0);
    CHECK(large[0] == 0 && large[(5 << 20) + 2] == 0);
    large[(5 << 20) + 2] = 1;
    ttt_free(large);
    fault_at(TTT_CALL_ALLOC, 2, 0);
    void *first = ttt_alloc(1, 1), *second = ttt_alloc(1, 1), *third = ttt_alloc(1, 1);
    CHECK(first && !second && third);
    fault_at(TTT_CALL_ALLOC, 0, 0);
    ttt_free(first);
    ttt_free(third);
    ttt_arena arena = {0};
    CHECK(ttt_arena_push(&arena, 3, 4) == NULL);
    (void)ttt_arena_push(&arena, 65, 1);
    CHECK_EQ(arena.used, 64 + 128);
    (void)ttt_arena_push(&arena, (INT64_C(1) << 61) + 1, 8); /* 2^64 bytes and a few: too much, and stays so */
    CHECK(arena.used == SIZE_MAX);
    (void)ttt_arena_push(&arena, 1, 1);
    CHECK(arena.used == SIZE_MAX);
    CHECK(ttt_alloc(arena.used, 1) == NULL && ttt_alloc(1, SIZE_MAX - 100) == NULL);
    arena.used = 0;
    (void)ttt_arena_push(&arena, -8, 8); /* a count that has overflowed */
    CHECK(arena.used == SIZE_MAX);
    size_t capacity = 0;
    int *array = NULL;
    for (size_t i = 0; i < 1000; i++) {
        CHECK_OK(ttt_array_reserve(&array, &capacity, i + 1, sizeof *array));
        CHECK(capacity > i);
        array[i] = (int)i;
    }
    CHECK(array && array[0] == 0 && array[999] == 999);
    CHECK_FAILS(ttt_array_reserve(&array, &capacity, SIZE_MAX / 2, sizeof *array), TTT_ERR_MEMORY, "out of memory");
    CHECK(capacity < 10000 && array[999] == 999);
    ttt_free(array);
}

static size_t peak(void)
{
    char line[256];
    size_t kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %zu", &kilobytes) == 1) break;
    if (file) fclose(file);
    return kilobytes << 10;
}

/* A large buffer that grows is never in memory twice. */
static void growth(void)
{
    enum { TOTAL = 200 << 20, PIECE = 1 << 20 };
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    SKIP("growth of large blocks: the sanitizer's realloc copies");
    return;
#endif
    if (test_small()) {
        SKIP("growth of large blocks: valgrind's realloc copies");
        return;
    }
    static char piece[PIECE];
    memset(piece, 'x', PIECE);
    const size_t before = peak();
    ttt_buffer buffer = {0};
    for (int i = 0; i < TOTAL / PIECE; i++) CHECK_OK(ttt_buffer_append(&buffer, piece, PIECE));
    const size_t grown = peak() - before;
    printf("a buffer of %d MB took at most %zu MB\n", TOTAL >> 20, grown >> 20);
    CHECK(grown < TOTAL + TOTAL / 4);
    CHECK((uintptr_t)buffer.data % 64 == 0 && buffer.data[TOTAL - 1] == 'x' && buffer.data[TOTAL] == '\0');
    ttt_buffer_deinit(&buffer);
}

static void files(void)
{
    const char *path = TTT_BINARY_DIR "/test_base.txt";
    CHECK_OK(ttt_file_write(path, "first", 5));
    /* A write that fails leaves the old file and nothing else. */
    fault_at(TTT_CALL_WRITE, 1, 0);
    CHECK_FAILS(ttt_file_write(path, "second", 6), TTT_ERR_IO, path);
    fault_at(TTT_CALL_WRITE, 0, 0);
    ttt_buffer content = {0};
    CHECK_OK(ttt_file_read(&content, path, 100));
    CHECK_STR(content.data, "first");
    CHECK_FAILS(ttt_file_read(&content, path, 3), TTT_ERR_FORMAT, "larger");
    ttt_buffer_deinit(&content);
    ttt_map map;
    CHECK_OK(ttt_map_open(&map, path));
    CHECK(map.size == 5 && memcmp(map.data, "first", 5) == 0);
    ttt_map_close(&map);
    CHECK_FAILS(ttt_map_open(&map, TTT_BINARY_DIR), TTT_ERR_IO, "folder");
    CHECK_FAILS(ttt_file_write(TTT_BINARY_DIR, "x", 1), TTT_ERR_IO, "folder");
    CHECK_FAILS(ttt_map_open(&map, "/nonexistent/file"), TTT_ERR_IO, "/nonexistent/file");
    CHECK_FAILS(ttt_folder_make(path), TTT_ERR_IO, "folder");
    CHECK_OK(ttt_folder_make(TTT_BINARY_DIR "/test_base/a/b"));
    CHECK(ttt_is_folder(TTT_BINARY_DIR "/test_base/a/b"));
    unlink(path);
}

static void random_numbers(void)
{
    const ttt_rng rng = {.seed = 1, .stream = TTT_RNG_TEST};
    CHECK(ttt_rng_u64(rng, 5) == ttt_rng_u64(rng, 5) && ttt_rng_u64(rng, 5) != ttt_rng_u64(rng, 6));
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        const double x = ttt_rng_normal(rng, i);
        sum += x;
        squares += x * x;
    }
    CHECK_NEAR(sum / 1e5, 0, 0.02); /* six standard errors */
    CHECK_NEAR(squares / 1e5, 1, 0.03);
}

int main(void)
{
    errors();
    memory();
    growth();
    files();
    random_numbers();
    return test_end();
}
