/* SPDX-License-Identifier: MIT
 *
 * Checks that print what they compared and keep counting: a test program ends with `return test_end();`, which is
 * non-zero when any check failed. SKIP is for what needs something this machine lacks; it says what.
 */
#ifndef TTT_TEST_H
#define TTT_TEST_H

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ttt/status.h>

/* Any thread may check; one of each in a program of several files. */
__attribute__((weak)) atomic_int test_checks, test_failures, test_skips;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        test_checks++;                                                                                                 \
        if (!(condition)) {                                                                                            \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                    \
        }                                                                                                              \
    } while (0)

#define CHECK_EQ(a, b)                                                                                                 \
    do {                                                                                                               \
        const long long check_a = (long long)(a), check_b = (long long)(b);                                            \
        test_checks++;                                                                                                 \
        if (check_a != check_b) {                                                                                      \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: failed: %s == %s: %lld != %lld\n", __FILE__, __LINE__, #a, #b, check_a, check_b);  \
        }                                                                                                              \
    } while (0)

#define CHECK_NEAR(a, b, tolerance)                                                                                    \
    do {                                                                                                               \
        const double check_a = (double)(a), check_b = (double)(b), check_t = (double)(tolerance);                      \
        test_checks++;                                                                                                 \
        if (!(fabs(check_a - check_b) <= check_t)) {                                                                   \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: failed: %s ~ %s: %.17g vs %.17g, tolerance %g\n", __FILE__, __LINE__, #a, #b,      \
                    check_a, check_b, check_t);                                                                        \
        }                                                                                                              \
    } while (0)

#define CHECK_STR(a, b)                                                                                                \
    do {                                                                                                               \
        const char *check_a = (a), *check_b = (b);                                                                     \
        test_checks++;                                                                                                 \
        if (!check_a || !check_b || strcmp(check_a, check_b) != 0) {                                                   \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: failed: %s == %s: \"%s\" != \"%s\"\n", __FILE__, __LINE__, #a, #b,                 \
                    check_a ? check_a : "(null)", check_b ? check_b : "(null)");                                       \
        }                                                                                                              \
    } while (0)

/* The call succeeds; if not, its sentence is printed. */
#define CHECK_OK(call)                                                                                                 \
    do {                                                                                                               \
        const ttt_status check_status = (call);                                                                        \
        test_checks++;                                                                                                 \
        if (check_status != TTT_OK) {                                                                                  \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: failed: %s: %s: %s\n", __FILE__, __LINE__, #call, ttt_status_text(check_status),   \
                    ttt_error_detail());                                                                               \
        }                                                                                                              \
    } while (0)

/* The call fails with this code, and its sentence contains `part`. */
#define CHECK_FAILS(call, code, part)                                                                                  \
    do {                                                                                                               \
        const ttt_status check_status = (call);                                                                        \
        test_checks++;                                                                                                 \
        if (check_status != (code) || !strstr(ttt_error_detail(), (part))) {                                           \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: failed: %s: expected %s with \"%s\", got %s: %s\n", __FILE__, __LINE__, #call,     \
                    #code, (part), ttt_status_text(check_status), check_status == TTT_OK ? "" : ttt_error_detail());   \
        }                                                                                                              \
    } while (0)

#define SKIP(...)                                                                                                      \
    do {                                                                                                               \
        test_skips++;                                                                                                  \
        printf("skipped: ");                                                                                           \
        printf(__VA_ARGS__);                                                                                           \
        printf("\n");                                                                                                  \
    } while (0)

/* Exit status of the program: 0 passed, 1 failed, 77 when everything was skipped (CTest's SKIP_RETURN_CODE). */
static inline int test_end(void)
{
    printf("%d checks, %d failed, %d skipped\n", test_checks, test_failures, test_skips);
    if (test_failures || (test_checks == 0 && test_skips == 0)) return 1;
    return test_checks == 0 ? 77 : 0;
}

/* Whether TTT_TEST_SMALL asks for the small cases alone, as where the processor is emulated and slow. */
static inline bool test_small(void) { return getenv("TTT_TEST_SMALL") != NULL; }

/* What a test that takes samples draws them with: TTT_TEST_SEED, or one that is new in every run; printed. */
static inline uint64_t test_seed(void)
{
    const char *given = getenv("TTT_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("TTT_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* Whether TTT_TEST_LONG asks for all cases where a short test takes samples. */
static inline bool test_long(void) { return getenv("TTT_TEST_LONG") != NULL; }

/* A file of ../shared, or NULL where that folder does not exist (the test then skips). The string is static. */
static inline const char *test_shared(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/../shared/%s", TTT_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fclose(file);
    return path;
}

#endif
