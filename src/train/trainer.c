/* SPDX-License-Identifier: MIT
 *
 * One training step on one screen, and what a trainer is made of.
 */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/timed.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/float_env.h"
#include "base/tokens.h"

int64_t ttt_train_passes(const ttt_train_options *options)
{
    return options->accumulate > options->leaves ? options->accumulate : options->leaves;
}

/* Which numbers of ranks can share the leaves, as "1, 2, 4 or 8". */
static void list_ranks(char *text, size_t size, int64_t leaves)
{
    size_t used = 0;
    for (int64_t ranks = 1; ranks <= leaves && used < size; ranks *= 2)
        used += (size_t)snprintf(text + used, size - used, "%s%lld",
                                 ranks == 1       ? ""
                                 : ranks < leaves ? ", "
                                                  : " or ",
                                 (long long)ranks);
}

static ttt_status check_ranks(const ttt_train_options *o)
{
    char possible[512];
    const int ranks = ttt_comm_size(o->comm);
    if (o->leaves % ranks == 0) return TTT_OK;
    list_ranks(possible, sizeof possible, o->leaves);
    return ttt_fail(
        TTT_ERR_ARGUMENT,
        "%d ranks cannot share the leaves of an update, which are %lld: it takes %s rank%s; begin a run with "
        "more leaves to train it on more",
        ranks, (long long)o->leaves, possible, o->leaves == 1 ? "" : "s");
}

static ttt_status check_leaves(const ttt_train_options *o)
{
    if (o->leaves < 1 || (o->leaves & (o->leaves - 1)) != 0 || o->leaves > (int64_t)1 << (TTT_LEAVES_LEVELS - 1))
        return ttt_fail(TTT_ERR_ARGUMENT, "leaves %lld: give a power of two", (long long)o->leaves);
    if (o->batch % o->leaves != 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "leaves %lld does not divide the %lld sequences of an update",
                        (long long)o->leaves, (long long)o->batch);
    if (o->leaves % o->accumulate != 0 && o->accumulate % o->leaves != 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "accumulate %lld and leaves %lld: one must divide the other",
                        (long long)o->accumulate, (long long)o->leaves);
    return check_ranks(o);
}

static ttt_status check_options(const ttt_train_options *o)
{
    if (o->context < 1) return ttt_fail(TTT_ERR_ARGUMENT, "context %lld: give at least 1 token", (long long)o->context);
    if (o->batch < 1)
        return ttt_fail(TTT_ERR_ARGUMENT, "batch of %lld sequences: give at least 1", (long long)o->batch);
    if (o->accumulate < 1 || o->batch % o->accumulate != 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "accumulate %lld does not divide the %lld sequences of an update",
                        (long long)o->accumulate, (long long)o->batch);
    TTT_TRY(check_leaves(o));
    if (o->segment < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "segment %lld: give a number of tokens, or 0 for whole sequences",
                        (long long)o->segment);
    if (o->context > INT32_MAX || o->batch > INT32_MAX ||
        o->batch / ttt_train_passes(o) * (o->segment > 0 && o->segment < o->context ? o->segment : o->context) >
            INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "%lld sequences of %lld tokens in %lld passes: more than 2^31 tokens at a time; accumulate "
                        "more or give a segment",
                        (long long)o->batch, (long long)o->context, (long long)ttt_train_passes(o));
    if (o->group < 1) return ttt_fail(TTT_ERR_ARGUMENT, "group %lld: give at least 1", (long long)o->group);
    if (o->steps < 1) return ttt_fail(TTT_ERR_ARGUMENT, "%lld steps: give at least 1", (long long)o->steps);
    if (!(o->rate >= 0) || !isfinite(o->rate))
        return ttt_fail(TTT_ERR_ARGUMENT, "learning rate %g: give a number from 0 up", o->rate);
    if (!(o->warmup >= 0 && o->warmup <= 1))
        return ttt_fail(TTT_ERR_ARGUMENT, "warm-up %g: give a fraction of the steps, 0 to 1", o->warmup);
    return TTT_OK;
}

/* Gradients are not for coarser precisions than bf16. */
static ttt_status read_precision(ttt_precision *precision, const ttt_train_options *o, const ttt_backend *backend)
{
    TTT_TRY(ttt_precision_read(precision, o->precision, backend->preferred));
    if (*precision == TTT_PRECISION_F32 || *precision == TTT_PRECISION_BF16) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "training has no precision %s; use auto, f32 or bf16",
                    ttt_precision_name(*precision));
}

static ttt_status init(ttt_trainer *trainer, const ttt_config *config)
{
    ttt_train_options *o = &trainer->options;
    ttt_precision precision;
    TTT_TRY(check_options(o));
    const bool shared = o->threads == 0 && !getenv("TTT_THREADS"); /* by the ranks of this host */
    TTT_TRY(ttt_backend_new(&trainer->backend, o->backend ? o->backend : "auto",
                            shared ? ttt_comm_threads(o->comm) : o->threads));
    TTT_TRY(read_precision(&precision, o, trainer->backend));
    if (o->profile) TTT_TRY(ttt_timed_start(trainer->backend));
    o->backend = trainer->backend->name;
    o->precision = ttt_precision_name(precision);
    TTT_TRY(ttt_lm_init(&trainer->lm, config, trainer->backend, o->group));
    TTT_TRY(ttt_stack_reserve(&trainer->lm.stack, trainer->backend));
    TTT_TRY(ttt_optimizer_init(&trainer->optimizer, &trainer->lm, precision));
    TTT_TRY(ttt_leaves_init(&trainer->leaves, &trainer->optimizer, o->leaves / ttt_comm_size(o->comm)));
    TTT_TRY(ttt_shares_init(&trainer->shares, o->comm, &trainer->optimizer, &trainer->leaves));
    return ttt_backprop_init(&trainer->backprop, &trainer->lm, o->batch / ttt_train_passes(o), o->context, o->segment,
                             o->recompute);
}

ttt_status ttt_trainer_new_empty(ttt_trainer **out, const ttt_config *config, const ttt_train_options *options)
{
    *out = NULL;
    ttt_trainer *trainer = ttt_alloc(1, sizeof *trainer);
    if (!trainer) return TTT_ERR_MEMORY;
    ttt_train_options_init(&trainer->options);
    if (options) trainer->options = *options;
    const ttt_status status = init(trainer, config);
    if (status != TTT_OK) {
        ttt_trainer_free(trainer);
        return status;
    }
    *out = trainer;
    return TTT_OK;
}

/* One parameter after another goes through `values`, which holds the largest. */
static void fill(ttt_trainer *trainer, void *values)
{
    const ttt_backend *b = trainer->backend;
    const ttt_params *params = &trainer->lm.stack.params;
    for (int64_t i = 0; i < params->count; i++) {
        ttt_first_values(params, i, trainer->options.seed, b, values, b->dtype);
        b->ops->from(b, ttt_at(b, trainer->optimizer.values, params->specs[i].offset), values, b->dtype,
                     ttt_param_elements(&params->specs[i]));
    }
}

static ttt_status first_values(ttt_trainer *trainer)
{
    const ttt_params *params = &trainer->lm.stack.params;
    int64_t largest = 0;
    for (int64_t i = 0; i < params->count; i++)
        if (ttt_param_elements(&params->specs[i]) > largest) largest = ttt_param_elements(&params->specs[i]);
    void *values = ttt_alloc((size_t)largest, trainer->backend->real);
    if (values) fill(trainer, values);
    ttt_free(values);
    return values ? TTT_OK : TTT_ERR_MEMORY;
}

ttt_status ttt_trainer_new(ttt_trainer **out, const ttt_config *config, const ttt_train_options *options)
{
    TTT_TRY(ttt_trainer_new_empty(out, config, options));
    const ttt_status status = first_values(*out);
    if (status == TTT_OK) return TTT_OK;
    ttt_trainer_free(*out);
    *out = NULL;
    return status;
}

void ttt_trainer_free(ttt_trainer *trainer)
{
    if (!trainer) return;
    ttt_backprop_deinit(&trainer->backprop);
    ttt_shares_deinit(&trainer->shares);
    ttt_leaves_deinit(&trainer->leaves);
    ttt_optimizer_deinit(&trainer->optimizer);
    ttt_lm_deinit(&trainer->lm);
    ttt_backend_free(trainer->backend);
    ttt_free(trainer);
}

static ttt_status count_memory(const ttt_config *config, const ttt_train_options *o, const ttt_backend *backend,
                               size_t *bytes)
{
    ttt_lm lm;
    ttt_precision precision;
    TTT_TRY(read_precision(&precision, o, backend));
    TTT_TRY(ttt_lm_init(&lm, config, backend, o->group));
    const ttt_status status = ttt_optimizer_bytes(&lm, precision, bytes);
    if (status == TTT_OK) *bytes = ttt_size_add(*bytes, ttt_leaves_bytes(&lm, o->leaves / ttt_comm_size(o->comm)));
    if (status == TTT_OK)
        *bytes = ttt_size_add(
            *bytes, ttt_backprop_bytes(&lm, o->batch / ttt_train_passes(o), o->context, o->segment, o->recompute));
    ttt_lm_deinit(&lm);
    if (status == TTT_OK && *bytes == SIZE_MAX)
        return ttt_fail(TTT_ERR_MEMORY,
                        "out of memory: this model with %lld sequences of %lld at a time needs more "
                        "bytes than 64 bits count: less batch, context or width, or more --accumulate",
                        (long long)(o->batch / ttt_train_passes(o)), (long long)o->context);
    return status;
}

ttt_status ttt_trainer_memory(const ttt_config *config, const ttt_train_options *options, size_t *bytes)
{
    ttt_backend *backend;
    TTT_TRY(check_options(options));
    TTT_TRY(ttt_backend_new(&backend, options->backend ? options->backend : "auto", 1));
    const ttt_status status = count_memory(config, options, backend, bytes);
    ttt_backend_free(backend);
    return status;
}

static ttt_status check_tokens(const ttt_trainer *trainer, const int32_t *tokens, int64_t sequences)
{
    return ttt_tokens_check(tokens, (size_t)(sequences * (trainer->options.context + 1)), trainer->lm.config.vocab_size,
                            "the batch");
}

static void block_done(void *context, int64_t block) { ttt_shares_reach(context, block); }

/* A leaf's passes; with `last`, sums go on between ranks while its backward runs. */
static double leaf_gradients(ttt_trainer *trainer, int64_t leaf, bool last, const int32_t *tokens, double scale)
{
    const ttt_train_options *o = &trainer->options;
    const int64_t passes = ttt_train_passes(o), of_leaf = passes / o->leaves, each = o->batch / passes;
    const int64_t of_rank = passes / ttt_comm_size(o->comm);
    double sum = 0;
    for (int64_t i = leaf * of_leaf; i < (leaf + 1) * of_leaf; i++) {
        trainer->backprop.done = o->comm && last && i + 1 == of_rank ? block_done : NULL;
        sum += ttt_backprop_run(&trainer->backprop, ttt_optimizer_weights(&trainer->optimizer),
                                trainer->optimizer.gradients, tokens + i * each * (o->context + 1), scale, NULL);
        if (trainer->passed) trainer->passed(trainer->passed_context, trainer->step + 1, i + 1, of_rank);
    }
    if (last) ttt_shares_reach(&trainer->shares, -1);
    return sum;
}

ttt_status ttt_trainer_gradients(ttt_trainer *trainer, const int32_t *tokens, double *loss, double *norm)
{
    const ttt_train_options *o = &trainer->options;
    const int64_t leaves = o->leaves / ttt_comm_size(o->comm);
    const double scale = 1 / (double)(o->batch * o->context);
    TTT_TRY(check_tokens(trainer, tokens, o->batch / ttt_comm_size(o->comm)));
    trainer->backprop.rate_factor = ttt_train_base_lr_factor(o, trainer->step);
    trainer->backprop.done_context = &trainer->shares;
    ttt_leaves_start(&trainer->leaves);
    for (int64_t leaf = 0; leaf < leaves; leaf++) {
        ttt_leaves_open(&trainer->leaves);
        ttt_leaves_close(&trainer->leaves, leaf_gradients(trainer, leaf, leaf + 1 == leaves, tokens, scale));
    }
    *loss = ttt_leaves_finish(&trainer->leaves);
    TTT_TRY(ttt_shares_finish(&trainer->shares, loss, norm));
    *loss *= scale;
    return TTT_OK;
}

ttt_status ttt_trainer_update(ttt_trainer *trainer, double rate, double norm)
{
    const ttt_train_options *o = &trainer->options;
    const ttt_adamw adamw = {.rate = rate,
                             .beta1 = o->beta1,
                             .beta2 = o->beta2,
                             .eps = o->eps,
                             .decay = o->decay,
                             .step = trainer->step + 1};
    TTT_TRY(ttt_shares_update(&trainer->shares, adamw, norm, o->clip));
    trainer->step++;
    return TTT_OK;
}

static ttt_status step(ttt_trainer *trainer, const int32_t *tokens, ttt_train_result *result)
{
    *result = (ttt_train_result){.rate = ttt_train_rate(&trainer->options, trainer->step)};
    TTT_TRY(ttt_trainer_gradients(trainer, tokens, &result->loss, &result->grad_norm));
    if (!isfinite(result->loss) || !isfinite(result->grad_norm))
        return ttt_comm_agreed_failure(
            trainer->options.comm,
            ttt_fail(TTT_ERR_NUMERIC,
                     "update %lld: the loss is %g and the gradient's norm %g: lower the learning rate or go on from "
                     "an earlier checkpoint",
                     (long long)trainer->step + 1, result->loss, result->grad_norm));
    return ttt_trainer_update(trainer, result->rate, result->grad_norm);
}

ttt_status ttt_trainer_step(ttt_trainer *trainer, const int32_t *tokens, ttt_train_result *result)
{
    const double start = ttt_clock();
    const uint64_t host = ttt_float_begin();
    const ttt_status status = step(trainer, tokens, result);
    ttt_float_end(host);
    trainer->seconds += ttt_clock() - start;
    return status;
}

static ttt_status evaluate(ttt_trainer *trainer, const int32_t *tokens, int64_t sequences, double *loss,
                           double *squares)
{
    const ttt_train_options *o = &trainer->options;
    const int64_t each = o->batch / ttt_train_passes(o), length = o->context + 1;
    TTT_TRY(check_tokens(trainer, tokens, sequences));
    double *losses = ttt_alloc((size_t)each, sizeof *losses);
    int32_t *batch = ttt_alloc((size_t)(each * length),
                               sizeof *batch); /* the last batch is filled up with sequences that do not count */
    if (!losses || !batch) {
        ttt_free(losses);
        ttt_free(batch);
        return TTT_ERR_MEMORY;
    }
    trainer->backprop.rate_factor = 1;
    *loss = 0;
    if (squares) *squares = 0;
    for (int64_t first = 0; first < sequences; first += each) {
        for (int64_t n = 0; n < each; n++) {
            const int64_t source = first + n < sequences ? first + n : first;
            for (int64_t t = 0; t < length; t++) batch[n * length + t] = tokens[source * length + t];
        }
        (void)ttt_backprop_run(&trainer->backprop, ttt_optimizer_weights(&trainer->optimizer), NULL, batch, 0, losses);
        for (int64_t n = 0; n < each && first + n < sequences; n++) {
            const double mean = losses[n] / (double)o->context;
            *loss += mean / (double)sequences;
            if (squares) *squares += mean * mean;
        }
    }
    ttt_free(losses);
    ttt_free(batch);
    return TTT_OK;
}

ttt_status ttt_trainer_evaluate(ttt_trainer *trainer, const int32_t *tokens, int64_t sequences, double *loss,
                                double *squares)
{
    const double start = ttt_clock();
    const uint64_t host = ttt_float_begin();
    const ttt_status status = evaluate(trainer, tokens, sequences, loss, squares);
    ttt_float_end(host);
    trainer->seconds += ttt_clock() - start;
    return status;
}

ttt_profile ttt_trainer_profile(const ttt_trainer *trainer)
{
    ttt_profile profile = ttt_timed_profile(trainer->backend);
    profile.seconds = trainer->seconds;
    return profile;
}

int64_t ttt_trainer_step_count(const ttt_trainer *trainer) { return trainer->step; }
const ttt_config *ttt_trainer_config(const ttt_trainer *trainer) { return &trainer->lm.config; }
const ttt_train_options *ttt_trainer_options(const ttt_trainer *trainer) { return &trainer->options; }
const char *ttt_trainer_backend(const ttt_trainer *trainer) { return trainer->backend->name; }
const char *ttt_trainer_isa(const ttt_trainer *trainer) { return trainer->backend->isa; }
void ttt_trainer_set_steps(ttt_trainer *trainer, int64_t steps) { trainer->options.steps = steps; }
