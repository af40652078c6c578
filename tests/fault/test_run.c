/* SPDX-License-Identifier: MIT
 *
 * A training run in which every call of the system in turn fails, kind by kind, and every allocation, the library's and
 * jansson's: it ends with a sentence, and when it is begun again it ends with the very model of a run in which nothing
 * failed. The short test takes a quarter of the calls, of kinds that are many, and a sample of the
 * allocations, by TTT_TEST_SEED; TTT_TEST_LONG takes them all.
 */
#include "base/rng.h"
#include "fault.h"
#include "run.h"

enum { FEW = 8 };                  /* calls of a kind that the short test takes all of */
static int64_t calls[FAULT_KINDS]; /* of a run in which nothing fails */

static void count_calls(void)
{
    int64_t before[FAULT_KINDS];
    for (int kind = 0; kind < FAULT_KINDS; kind++) before[kind] = fault_count(kind);
    CHECK_OK(run_to_end("whole", false));
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        calls[kind] = fault_count(kind) - before[kind];
        printf("%lld %s, ", (long long)calls[kind], fault_names[kind]);
    }
    printf("in a run\n");
    CHECK(calls[TTT_CALL_WRITE] >= 10 && calls[TTT_CALL_SYNC] >= 10 && calls[TTT_CALL_RENAME] >= 5);
    CHECK(calls[TTT_CALL_TRUNCATE] >= 1 && calls[TTT_CALL_MKDIR] >= 2 && calls[FAULT_JSON] >= 100);
}

/* What may fail without harm: a folder may be one that cannot be synced, and what was to be removed is removed later.
 */
static bool may_pass(int kind) { return kind == TTT_CALL_SYNC || kind == TTT_CALL_REMOVE || kind == TTT_CALL_LIST; }

static void test_call(int kind, int64_t nth)
{
    run_remove("broken");
    fault_at(kind, nth, 0);
    const ttt_status status = run_to_end("broken", false);
    fault_at(kind, 0, 0);
    if (status != TTT_OK || !may_pass(kind)) CHECK_EQ(status, TTT_ERR_IO);
    const char *reason = kind == TTT_CALL_WRITE   ? "No space left"
                         : kind == TTT_CALL_SPACE ? "0.0 MB are free"
                                                  : "Input/output";
    if (status != TTT_OK) CHECK(strstr(ttt_error_detail(), reason));
    if (status == TTT_OK && !may_pass(kind)) fprintf(stderr, "%s number %lld\n", fault_names[kind], (long long)nth);
    CHECK_OK(run_to_end("broken", false));
    run_check_same("whole/model.safetensors", "broken/model.safetensors", fault_names[kind], nth);
}

/* A failed allocation may be one that is not missed, such as for a line of a chart; it must not go unnoticed in what is
 * left behind. Of some of its own jansson says that the text is not JSON. */
static void test_allocation(int kind, int64_t nth)
{
    run_remove("short");
    fault_at(kind, nth, nth % 2 != 0);
    const ttt_status status = run_to_end("short", false);
    fault_at(kind, 0, 0);
    const bool expected = status == TTT_OK || status == TTT_ERR_MEMORY ||
                          (kind == FAULT_JSON && status == TTT_ERR_FORMAT);
    CHECK(expected);
    if (status != TTT_OK) CHECK(ttt_error_detail()[0] != '\0');
    if (!expected) fprintf(stderr, "%s number %lld: %s\n", fault_names[kind], (long long)nth, ttt_error_detail());
    CHECK_OK(run_to_end("short", false));
    run_check_same("whole/model.safetensors", "short/model.safetensors", fault_names[kind], nth);
}

static void test_allocations(int kind, uint64_t seed)
{
    enum { SAMPLE = 20 };
    const ttt_rng rng = {.seed = seed, .stream = TTT_RNG_TEST};
    const int64_t stride = test_long() ? 1 : calls[kind] / SAMPLE + 1;
    for (int64_t first = 0; first < calls[kind]; first += stride) {
        const uint64_t number = ttt_rng_u64(rng, (uint64_t)(first + kind));
        test_allocation(kind, 1 + first + (int64_t)(number % (uint64_t)stride));
    }
}

int main(void)
{
    fault_watch_json();
    run_begin("fault_run");
    const uint64_t seed = test_seed();
    count_calls();
    for (int kind = 0; kind < TTT_CALLS; kind++) {
        const int64_t stride = test_long() || calls[kind] <= FEW ? 1 : 4, first = (int64_t)(seed % (uint64_t)stride);
        for (int64_t nth = 1 + first; kind != TTT_CALL_ALLOC && nth <= calls[kind]; nth += stride) test_call(kind, nth);
    }
    test_allocations(TTT_CALL_ALLOC, seed);
    test_allocations(FAULT_JSON, seed);
    return test_end();
}
