/* SPDX-License-Identifier: MIT
 *
 * Measures what this machine can do at most. Each try gives every thread the same loop, and the rate is that of all
 * loops together: threads that share a core, or AMX, show here as they do in real work.
 */
#include <string.h>
#include <ttt/machine.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cpu/cpu.h"

enum { TRIES = 7, STEPS = 1000 * 1000 };
static const int64_t read_bytes = 512 * 1000 * 1000; /* more than caches hold */

typedef struct loops {
    const ttt_kernels *kernels;
    uint64_t *memory; /* [threads, words] */
    int64_t words;    /* a multiple of READ_STREAMS * READ_CHAINS */
    float sink;
    double amount; /* operations or bytes of one loop */
} loops;

static void run_registers(loops *l, double (*loop)(float *sink, int64_t steps), int64_t item)
{
    float sink;
    const double amount = loop(&sink, STEPS);
    if (item != 0) return;
    l->sink = sink;
    l->amount = amount;
}

static void run_fma(void *context, int64_t item, int thread)
{
    (void)thread;
    loops *l = context;
    run_registers(l, l->kernels->fma_loop, item);
}

static void run_dot(void *context, int64_t item, int thread)
{
    (void)thread;
    loops *l = context;
    run_registers(l, l->kernels->dot_loop, item);
}

static void run_tiles(void *context, int64_t item, int thread)
{
    (void)thread;
    loops *l = context;
    run_registers(l, l->kernels->tile_loop, item);
}

/* Several places at once keep more requests under way, and so does a product that reads panels. */
enum { READ_STREAMS = 4, READ_CHAINS = 8 };

static void run_fill(void *context, int64_t item, int thread)
{
    (void)thread;
    const loops *l = context;
    memset(l->memory + item * l->words, 1, (size_t)l->words * sizeof *l->memory);
}

static void run_read(void *context, int64_t item, int thread)
{
    (void)thread;
    loops *l = context;
    const uint64_t *x = l->memory + item * l->words;
    const int64_t part = l->words / READ_STREAMS;
    uint64_t sums[READ_CHAINS] = {0};
    for (int64_t i = 0; i < part; i += READ_CHAINS)
        for (int s = 0; s < READ_STREAMS; s++)
            for (int c = 0; c < READ_CHAINS; c++) sums[c] ^= x[s * part + i + c];
    for (int c = 1; c < READ_CHAINS; c++) sums[0] ^= sums[c];
    if (item != 0) return;
    l->sink = (float)sums[0];
    l->amount = (double)l->words * sizeof *x;
}

/* Of all threads together, per second. */
static double best_rate(const ttt_backend *b, loops *l, void (*loop)(void *context, int64_t item, int thread))
{
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        const double start = ttt_clock();
        ttt_parallel(ttt_pool_of(b), b->threads, loop, l);
        const double rate = l->amount * b->threads / (ttt_clock() - start);
        if (rate > best) best = rate;
    }
    return best;
}

ttt_status ttt_limits_measure(ttt_limits *limits, int threads)
{
    ttt_isa isa;
    ttt_backend *b;
    TTT_TRY(ttt_isa_choose(&isa));
    TTT_TRY(ttt_backend_new(&b, "cpu", threads));
    loops l = {.kernels = ttt_cpu_kernels(b)};
    l.words = read_bytes / (int64_t)sizeof *l.memory / b->threads / (READ_STREAMS * READ_CHAINS) *
              (READ_STREAMS * READ_CHAINS);
    l.memory = ttt_alloc((size_t)(l.words * b->threads), sizeof *l.memory);
    if (!l.memory) {
        ttt_backend_free(b);
        return TTT_ERR_MEMORY;
    }
    *limits = (ttt_limits){.isa = ttt_isa_name(isa),
                           .threads = b->threads,
                           .fma = best_rate(b, &l, run_fma),
                           .bytes = best_rate(b, &l, run_dot)};
    if (l.kernels->tile_loop) limits->bf16 = best_rate(b, &l, run_tiles);
    ttt_parallel(ttt_pool_of(b), b->threads, run_fill, &l); /* untouched pages would all be the same one */
    limits->read = best_rate(b, &l, run_read);
    ttt_free(l.memory);
    ttt_backend_free(b);
    return TTT_OK;
}
