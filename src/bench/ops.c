/* SPDX-License-Identifier: MIT
 *
 * Every operation alone, at the shapes that a configuration gives it. What an operation asks for is what the table of
 * timed operations counts (backend/timed.h); the time of a call is the median of several.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/bench.h>

#include "backend/timed.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/rng.h"
#include "bench/suite.h"

enum { FEWEST = 5, MOST = 200 };
static const double long_enough = 0.1; /* seconds for one operation */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* All that was counted so far; one operation runs, so the difference is its own. */
static ttt_work counted(const ttt_backend *b)
{
    const ttt_profile profile = ttt_timed_profile(b);
    ttt_work work = {0};
    for (size_t i = 0; i < profile.count; i++) {
        work.others += profile.rows[i].flops;
        work.bytes += profile.rows[i].bytes;
    }
    return work;
}

void ttt_suite_time(ttt_suite *s, const char *name, const char *shape, ttt_precision precision, bool product)
{
    double times[MOST], total = 0;
    int count = 0;
    ttt_op_time result = {.operation = name, .shape = shape, .precision = ttt_precision_name(precision)};
    for (int i = -1; i < MOST && (i < FEWEST || total < long_enough); i++) { /* the first warms up */
        if (s->prepare) s->prepare(s);
        const ttt_work before = counted(s->b);
        const double start = ttt_clock();
        s->run(s);
        const double took = ttt_clock() - start;
        const ttt_work after = counted(s->b);
        result.work = (ttt_work){.others = after.others - before.others, .bytes = after.bytes - before.bytes};
        if (i < 0) continue;
        times[count++] = took;
        total += took;
    }
    if (product) result.work = (ttt_work){.products = result.work.others, .bytes = result.work.bytes};
    qsort(times, (size_t)count, sizeof *times, by_value);
    result.seconds = times[count / 2];
    if (s->primal) {
        result.work = s->work;
        result.dual = result.seconds / s->seconds;
    }
    s->work = result.work;
    s->seconds = result.seconds;
    s->report(s->context, &result);
}

void *ttt_suite_reals(ttt_suite *s, int64_t count)
{
    enum { PERIOD = 1024 };
    if (s->failed || s->block_count == TTT_SUITE_BLOCKS) {
        s->failed = true;
        return NULL;
    }
    char *block = s->b->ops->alloc(s->b, count, s->b->real);
    if (!block) {
        s->failed = true;
        return NULL;
    }
    s->blocks[s->block_count++] = block;
    double values[PERIOD];
    const ttt_rng rng = {.seed = 1, .stream = TTT_RNG_TEST + ((uint64_t)s->block_count << 8)};
    for (int64_t i = 0; i < PERIOD; i++) values[i] = 0.5 * ttt_rng_normal(rng, (uint64_t)i);
    for (int64_t i = 0; i < count; i += PERIOD)
        s->b->ops->from(s->b, ttt_at(s->b, block, i), values, TTT_F64, count - i < PERIOD ? count - i : PERIOD);
    return block;
}

void ttt_suite_release(ttt_suite *s)
{
    for (int i = 0; i < s->block_count; i++) s->b->ops->free(s->b, s->blocks[i]);
    s->block_count = 0;
    s->prepare = NULL;
}

static ttt_status init(ttt_suite *s, const ttt_config *config, const ttt_op_options *options)
{
    TTT_TRY(ttt_backend_new(&s->b, options->backend ? options->backend : "auto", options->threads));
    TTT_TRY(ttt_lm_init(&s->lm, config, s->b, TTT_SUITE_GROUP));
    TTT_TRY(ttt_stack_reserve(&s->lm.stack, s->b));
    TTT_TRY(ttt_timed_start(s->b));
    s->ids = ttt_alloc((size_t)s->R, sizeof *s->ids);
    s->frequencies = ttt_alloc((size_t)(s->C / s->H), sizeof *s->frequencies);
    if (!s->ids || !s->frequencies) return TTT_ERR_MEMORY;
    ttt_rotation_frequencies(s->frequencies, s->C / s->H, config->rope_theta);
    for (int64_t i = 0; i < s->R; i++) s->ids[i] = (int32_t)(i * 7919 % s->V);
    return TTT_OK;
}

ttt_status ttt_time_ops(const ttt_config *config, const ttt_op_options *options,
                        void (*report)(void *context, const ttt_op_time *time), void *context)
{
    ttt_suite s = {.report = report,
                   .context = context,
                   .R = options->tokens,
                   .C = config->hidden_size,
                   .F = config->intermediate_size,
                   .H = config->num_attention_heads,
                   .V = config->vocab_size,
                   .K = config->mini_batch_size,
                   .W = config->conv_kernel,
                   .parameters = ttt_config_parameters(config)};
    ttt_status status = init(&s, config, options);
    if (status == TTT_OK) {
        ttt_suite_products(&s);
        ttt_suite_learners(&s);
        ttt_suite_delta(&s, config);
        ttt_suite_scan(&s, config);
        ttt_suite_attention(&s, config);
        ttt_suite_rest(&s);
        if (s.failed) status = TTT_ERR_MEMORY;
    }
    ttt_suite_release(&s);
    ttt_free(s.ids);
    ttt_free(s.frequencies);
    ttt_lm_deinit(&s.lm);
    ttt_backend_free(s.b);
    return status;
}
