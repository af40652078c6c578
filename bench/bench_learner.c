/* SPDX-License-Identifier: MIT
 *
 * Speed of the cpu learners on one thread: prefill, training's forward and backward, and decoding one token at a time,
 * in GFLOP/s and as a fraction of the FMA rate of a register-only loop of the same instruction set, measured beside
 * it. Operations counted are those of the products that the algorithm asks for with whole tiles of 16 tokens; the
 * backward's count has no recomputation in it.
 *
 *     bench_learner [ISA [D [K]]]      all instruction sets and D = 32, 64, 96, 128, with K = 16, unless named
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/bench.h>

#include "backend/backend.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "cpu/isa.h"

enum { TOKENS = 128, DECODED = 64, ARRAYS = 40 };

typedef struct job {
    ttt_backend *b;
    const ttt_learner_ops *ops;
    ttt_learner_call call;
    ttt_run run;
    ttt_param params[6], dparams[6];
    float *arrays[ARRAYS];
    int count;
} job;

static float *array(job *j, int64_t n, double deviation)
{
    float *x = ttt_alloc((size_t)n, sizeof *x);
    if (!x || j->count == ARRAYS) abort();
    const ttt_rng rng = {1, (uint64_t)j->count};
    for (int64_t i = 0; i < n; i++) x[i] = deviation == 0 ? 0 : (float)(deviation * ttt_rng_normal(rng, (uint64_t)i));
    return j->arrays[j->count++] = x;
}

static void job_init(job *j, ttt_backend *b, bool mlp, int64_t D, int64_t H, int64_t K)
{
    *j = (job){.b = b, .ops = mlp ? b->ops->learner_mlp : b->ops->learner_linear};
    const ttt_learner_ops *ops = j->ops;
    const ttt_learner_dims dims = {.heads = H, .head_size = D, .mini_batch = K, .group = 8};
    const int64_t n = TOKENS * H * D, rates = TOKENS * H, hidden = mlp ? 4 * D : D;
    const int64_t sizes[6] = {H * D * hidden, H * hidden, H * hidden * D, H * D, H * D, H * D};
    if (ttt_backend_reserve(b, ops->scratch_bytes(&dims)) != TTT_OK) abort();
    for (int i = 0; i < 6; i++) {
        j->params[i].values = array(j, sizes[i], 0.1);
        j->dparams[i].values = array(j, sizes[i], 0);
    }
    j->run = (ttt_run){.count = TOKENS};
    j->run.state = array(j, H * ops->state_size(&dims), 0);
    j->run.dstate = array(j, H * ops->state_size(&dims), 0);
    float *read = array(j, TOKENS, 0), *write = array(j, rates, 0);
    for (int64_t i = 0; i < TOKENS; i++) read[i] = 1 / (float)(i % K + 1);
    for (int64_t i = 0; i < rates; i++) write[i] = 0.5f / (float)D;
    j->call = (ttt_learner_call){.dims = dims,
                                 .runs = &j->run,
                                 .run_count = 1,
                                 .params = j->params,
                                 .dparams = j->dparams,
                                 .q = array(j, n, 1),
                                 .k = array(j, n, 1),
                                 .v = array(j, n, 1),
                                 .write = write,
                                 .read = read,
                                 .out = array(j, n, 0),
                                 .saved = array(j, H * ops->saved_size(&dims, TOKENS), 0),
                                 .saved_stride = ops->saved_size(&dims, TOKENS),
                                 .dout = array(j, n, 1),
                                 .dq = array(j, n, 0),
                                 .dk = array(j, n, 0),
                                 .dv = array(j, n, 0),
                                 .dwrite = array(j, rates, 0),
                                 .dread = array(j, rates, 0),
                                 .partial = array(j, H * ops->partial_size(&dims), 0)};
}

static void prefill(job *j)
{
    ttt_learner_call call = j->call;
    call.saved = NULL;
    j->ops->forward(j->b, &call);
}

static void decode(job *j)
{
    ttt_run run = {.count = 1, .state = j->run.state};
    ttt_learner_call call = j->call;
    call.saved = NULL;
    call.runs = &run;
    for (; run.position < DECODED; run.position++) j->ops->forward(j->b, &call);
}

static void forward(job *j) { j->ops->forward(j->b, &j->call); }
static void backward(job *j) { j->ops->backward(j->b, &j->call); }

static double time_of(job *j, void (*work)(job *))
{
    double best = 1e30, total = 0;
    while (total < 0.2) {
        j->ops->reset(j->b, &j->call);
        if (work == backward) forward(j);
        const double start = ttt_clock();
        work(j);
        const double took = ttt_clock() - start;
        if (took < best) best = took;
        total += took;
    }
    return best;
}

static void measure(ttt_backend *b, bool mlp, int64_t D, int64_t K, double peak)
{
    enum { H = 4 };
    job j;
    job_init(&j, b, mlp, D, H, K);
    /* multiply-adds of one token and head: a product with all weights, and one between the rows of a tile */
    const double weights = (mlp ? 8 : 1) * (double)(D * D), rows = 16 * (mlp ? 10 : 2) * (double)D;
    const double back = mlp ? 4 * (double)(D * D) : 0; /* of the gradient through W2 to the hidden layer */
    const double work = 2.0 * TOKENS * H * (3 * weights + rows + back);
    const double work_backward = 2.0 * TOKENS * H * (6 * weights + 2 * rows + 2 * back);
    const struct {
        const char *name;
        void (*run)(job *);
        double work;
    } parts[] = {{"prefill", prefill, work}, {"forward", forward, work}, {"backward", backward, work_backward}};
    printf("%-6s D %3d ", mlp ? "mlp" : "linear", (int)D);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const double rate = parts[i].work / time_of(&j, parts[i].run);
        printf(" %s %6.1f GFLOP/s %3.0f %%", parts[i].name, 1e-9 * rate, 100 * rate / peak);
    }
    const double seconds = time_of(&j, decode) / DECODED / H;
    printf("  decode %6.2f us a head, %5.1f GB/s of weights\n", 1e6 * seconds,
           1e-9 * 4 * (double)j.ops->weights_size(&j.call.dims) / seconds);
    for (int i = 0; i < j.count; i++) ttt_free(j.arrays[i]);
}

int main(int argc, char **argv)
{
    const int64_t sizes[] = {32, 64, 96, 128}, D = argc > 2 ? atoll(argv[2]) : 0, K = argc > 3 ? atoll(argv[3]) : 16;
    if (K < 1) return 2;
    for (int isa = TTT_ISA_COUNT - 1; isa >= 0; isa--) {
        ttt_backend *b;
        ttt_limits limits;
        if (!ttt_isa_supported((ttt_isa)isa)) continue;
        if (argc > 1 && strcmp(argv[1], ttt_isa_name((ttt_isa)isa)) != 0) continue;
        setenv("TTT_ISA", ttt_isa_name((ttt_isa)isa), 1);
        if (ttt_limits_measure(&limits, 1) != TTT_OK || ttt_backend_new(&b, "cpu", 1) != TTT_OK) return 1;
        const double peak = limits.fma;
        printf("%s, K %d, FMA peak %.1f GFLOP/s\n", ttt_isa_name((ttt_isa)isa), (int)K, 1e-9 * peak);
        for (int mlp = 0; mlp < 2; mlp++) {
            for (size_t i = 0; D < 1 && i < sizeof sizes / sizeof *sizes; i++) measure(b, mlp, sizes[i], K, peak);
            if (D > 0) measure(b, mlp, D, K, peak);
        }
        ttt_backend_free(b);
    }
    return 0;
}
