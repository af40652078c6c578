/* SPDX-License-Identifier: MIT
 *
 * Evaluation against losses computed here from the logits of single sequences, window by window, and its bookkeeping:
 * windows, strides, positions, both modes, the inner loop.
 */
#include <stdbool.h>
#include <stdint.h>
#include <ttt/eval.h>

#include "base/rng.h"
#include "eval/position.h"
#include "model/model.h"
#include "small_config.h"
#include "test.h"

enum { V = 11, K = 4, TOKENS = 203 };

static ttt_context *reader;
static int32_t text[TOKENS];

static double loss_of(const float *logits, int32_t target)
{
    double sum = 0;
    for (int i = 0; i < V; i++) sum += exp((double)logits[i]);
    return log(sum) - (double)logits[target];
}

/* The losses of the predictions of text[begin .. end) from a fresh state, which reads `bos` (if any) or the token
 * before.
 */
static void window_losses(int64_t begin, int64_t end, int32_t bos, bool frozen, double *losses)
{
    static float logits[TOKENS + 1][V];
    int32_t ids[TOKENS + 1];
    for (int64_t j = begin; j < end; j++) ids[j - begin] = j == begin && bos >= 0 ? bos : text[j - 1];
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, ttt_context_model(reader)));
    ttt_state_freeze(state, frozen);
    const ttt_feed feed = {state, ids, end - begin, TTT_LOGITS_ALL, logits[0]};
    CHECK_OK(ttt_context_advance(reader, &feed, 1));
    for (int64_t j = begin; j < end; j++) losses[j - begin] = loss_of(logits[j - begin], text[j]);
    ttt_state_free(state);
}

/* Where no window ends within a block, as it does not with one window, or windows of whole blocks: the error of all is
 * what a bootstrap finds, that draws the blocks anew again and again. */
static void check_error(const ttt_eval_result *r, const double *losses, int64_t tokens)
{
    enum { BLOCKS = 8, DRAWS = 4000 };
    const int64_t size = tokens / BLOCKS, blocks = (tokens + size - 1) / size;
    if (r->windows > 1) return;
    double sum = 0, squares = 0;
    uint64_t drawn = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        double loss = 0;
        int64_t count = 0;
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t first = (int64_t)(ttt_rng_u64((ttt_rng){5, TTT_RNG_TEST}, drawn++) % (uint64_t)blocks) * size;
            for (int64_t i = first; i < first + size && i < tokens; i++, count++) loss += losses[i];
        }
        sum += loss / (double)count;
        squares += loss / (double)count * (loss / (double)count);
    }
    const double mean = sum / DRAWS, variance = squares / DRAWS - mean * mean;
    const double error = sqrt(variance * (double)blocks / (double)(blocks - 1)); /* a drawn one misses its own mean */
    CHECK_NEAR(r->adapting.all.error, error, 0.05 * error);
}

/* Values that are the same within a block say no more than one of them does. */
static void test_errors(void)
{
    enum { BLOCKS = 400, LENGTH = 50 };
    ttt_eval_sums *sums = malloc(sizeof *sums);
    ttt_eval_curve curve;
    ttt_eval_sums_init(sums);
    double sum = 0, squares = 0;
    for (int64_t b = 0; b < BLOCKS; b++) {
        const double value = ttt_rng_normal((ttt_rng){6, TTT_RNG_TEST}, (uint64_t)b), values[] = {value, -value, 2};
        for (int i = 0; i < LENGTH; i++) ttt_eval_sums_add(sums, b % TTT_EVAL_OPEN, b, i > 0, values);
        sum += value;
        squares += value * value;
    }
    const double one[] = {1, 2, 3};
    ttt_eval_sums_add(sums, 0, BLOCKS, 2, one);
    ttt_eval_sums_close(sums);
    ttt_eval_summarize(&curve, sums, 0, 4);
    const double mean = sum / BLOCKS, error = sqrt((squares / BLOCKS - mean * mean) / (BLOCKS - 1));
    for (int i = 0; i < 2; i++) {
        CHECK_NEAR(curve.bins[i].mean, mean, 1e-12);
        CHECK_NEAR(curve.bins[i].error, error, 1e-9);
    }
    CHECK_NEAR(curve.all.error, error, 0.01 * error);             /* and one token more */
    CHECK(curve.bins[2].mean == 1 && isnan(curve.bins[2].error)); /* a single block */
    CHECK(isnan(curve.bins[3].mean) && isnan(curve.bins[3].error));
    ttt_eval_summarize(&curve, sums, 2, 4);
    CHECK_NEAR(curve.bins[0].error, 0, 1e-6);
    free(sums);
}

/* Everything a result says, worked out one window at a time. */
static void check_eval(int64_t context, int64_t stride, int32_t bos, ttt_eval_mode mode)
{
    ttt_eval_options options;
    ttt_eval_options_init(&options);
    options.mode = mode;
    options.context = context;
    options.stride = stride;
    options.bos = bos;
    options.bytes = 1000;
    ttt_eval_result r;
    CHECK_OK(ttt_eval(reader, text, TOKENS, &options, &r));

    const int64_t start = bos >= 0 ? 0 : 1, N = context ? context : TOKENS - start, S = stride ? stride : N;
    double sums[3][TTT_EVAL_BINS] = {{0}}, all[3] = {0}, scored[TOKENS];
    int64_t counts[TTT_EVAL_BINS] = {0}, tokens = 0, windows = 0;
    for (int64_t begin = start; begin + N - S < TOKENS; begin += S, windows++) {
        const int64_t end = begin + N < TOKENS ? begin + N : TOKENS;
        double losses[2][TOKENS];
        window_losses(begin, end, bos, false, losses[0]);
        window_losses(begin, end, bos, true, losses[1]);
        for (int64_t i = N - S; i < end - begin; i++) {
            const double value[3] = {losses[0][i], losses[1][i], losses[1][i] - losses[0][i]};
            int64_t bin = 0;
            while (r.bins[bin].last < i + 1) bin++;
            counts[bin]++;
            tokens++;
            for (int k = 0; k < 3; k++) {
                sums[k][bin] += value[k];
                all[k] += value[k];
            }
            scored[tokens - 1] = value[0];
        }
    }
    CHECK_EQ(r.context, N);
    CHECK_EQ(r.stride, S);
    CHECK_EQ(r.windows, windows);
    CHECK_EQ(r.tokens, tokens);
    CHECK_EQ(r.bins[r.bin_count - 1].last, N);
    const ttt_eval_curve *curves[3] = {&r.adapting, &r.frozen, &r.gain};
    const bool computed[3] = {mode != TTT_EVAL_FROZEN, mode != TTT_EVAL_ADAPTING, mode == TTT_EVAL_BOTH};
    for (int k = 0; k < 3; k++) {
        if (!computed[k]) {
            CHECK(isnan(curves[k]->all.mean));
            continue;
        }
        CHECK_NEAR(curves[k]->all.mean, all[k] / (double)tokens, 1e-6); /* logits here are floats */
        for (int64_t i = 0; i < r.bin_count; i++) {
            CHECK_EQ(r.bins[i].tokens, counts[i]);
            if (counts[i] > 0)
                CHECK_NEAR(curves[k]->bins[i].mean, sums[k][i] / (double)counts[i], 1e-6);
            else
                CHECK(isnan(curves[k]->bins[i].mean));
        }
    }
    if (computed[0]) {
        const double n = (double)tokens, mean = all[0] / n;
        check_error(&r, scored, tokens);
        CHECK_NEAR(ttt_eval_bits_per_byte(&r, 1), TOKENS / (1000 * log(2)), 1e-12);
        CHECK_NEAR(ttt_eval_perplexity(r.adapting.all.mean), exp(mean), 1e-5);
    }
    ttt_eval_result_deinit(&r);
}

static void test_windows(void)
{
    check_eval(0, 0, -1, TTT_EVAL_ADAPTING);
    check_eval(0, 0, 1, TTT_EVAL_BOTH);
    check_eval(10, 0, -1, TTT_EVAL_BOTH);      /* 202 predictions: the last window has 2 */
    check_eval(101, 0, -1, TTT_EVAL_ADAPTING); /* exactly two windows */
    check_eval(10, 3, -1, TTT_EVAL_BOTH);
    check_eval(10, 10, 2, TTT_EVAL_FROZEN);
    check_eval(7, 1, 2, TTT_EVAL_ADAPTING);
    check_eval(202, 0, -1, TTT_EVAL_ADAPTING); /* as long as the text allows */
    check_eval(1, 0, -1, TTT_EVAL_BOTH);
}

static void test_bins(void)
{
    ttt_eval_bin bins[TTT_EVAL_BINS];
    CHECK_EQ(ttt_eval_bins(bins, 1), 1);
    const int64_t lasts[] = {1, 2, 100, 256, 32768, (int64_t)1 << 39};
    for (size_t n = 0; n < sizeof lasts / sizeof *lasts; n++) {
        const int64_t count = ttt_eval_bins(bins, lasts[n]);
        CHECK(count >= 1 && count <= TTT_EVAL_BINS);
        CHECK_EQ(bins[0].first, 1);
        CHECK_EQ(bins[count - 1].last, lasts[n]);
        for (int64_t i = 0; i < count; i++) {
            CHECK(bins[i].first <= bins[i].last);
            if (i > 0) CHECK_EQ(bins[i].first, bins[i - 1].last + 1);
            CHECK_EQ(ttt_eval_find_bin(bins, 0, bins[i].first), i);
            CHECK_EQ(ttt_eval_find_bin(bins, i, bins[i].last), i);
        }
    }
}

/* The inner loop: W_0 is W_t-K at first, frozen weights stay the same, and looking changes nothing. */
static void test_inner(void)
{
    ttt_eval_options options;
    ttt_eval_options_init(&options);
    options.context = 32;
    options.inner = true;
    ttt_eval_result plain, inner;
    CHECK_OK(ttt_eval(reader, text, TOKENS, &options, &inner));
    CHECK_EQ(inner.layers, 2);
    for (int64_t layer = 0; layer < 2; layer++) {
        for (int64_t i = 0; i < inner.bin_count; i++) {
            const ttt_eval_inner *at = &inner.inner[layer * inner.bin_count + i];
            const ttt_eval_bin *bin = &inner.bins[i];
            const bool ends = bin->last / K > (bin->first - 1) / K; /* a mini-batch, inside the bin */
            CHECK_EQ(!isnan(at->first), ends);
            if (!ends) continue;
            CHECK(at->first > 0 && at->before > 0 && at->after > 0);
            CHECK_EQ(at->first == at->before, bin->last == K);
            CHECK(at->after != at->before);
        }
    }
    options.inner = false;
    CHECK_OK(ttt_eval(reader, text, TOKENS, &options, &plain));
    CHECK(plain.inner == NULL);
    CHECK_NEAR(plain.adapting.all.mean, inner.adapting.all.mean, 1e-14); /* added in another order */
    CHECK_NEAR(plain.adapting.all.error, inner.adapting.all.error, 1e-14);

    /* With both modes it is the adapting learner that is shown. */
    ttt_eval_result both, frozen;
    options.inner = true;
    options.mode = TTT_EVAL_BOTH;
    CHECK_OK(ttt_eval(reader, text, TOKENS, &options, &both));
    options.mode = TTT_EVAL_FROZEN;
    CHECK_OK(ttt_eval(reader, text, TOKENS, &options, &frozen));
    for (int64_t i = 0; i < 2 * both.bin_count; i++) {
        if (isnan(both.inner[i].first)) continue;
        CHECK_NEAR(both.inner[i].after, inner.inner[i].after, 1e-14);
        CHECK(frozen.inner[i].first == frozen.inner[i].after);
        CHECK(frozen.inner[i].first == frozen.inner[i].before);
    }
    ttt_eval_result_deinit(&plain);
    ttt_eval_result_deinit(&inner);
    ttt_eval_result_deinit(&both);
    ttt_eval_result_deinit(&frozen);
}

typedef struct told {
    int64_t last, total;
    int calls;
} told;

static ttt_status tell(void *context, int64_t done, int64_t total)
{
    told *t = context;
    CHECK(done > t->last && done <= total);
    t->last = done;
    t->total = total;
    return ++t->calls == 2 ? TTT_ERR_INTERRUPTED : TTT_OK;
}

/* Behind a state, the losses of a text are those that it has as the rest of the whole, whatever the state remembers;
 * and the inner loop's mini-batches are where they are in the whole. */
static void test_state(void)
{
    enum { READ = 30, REST = TOKENS - READ - 1 }; /* of TOKENS: predictions of the rest but its first */
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, ttt_context_model(reader)));
    CHECK_OK(ttt_state_remember(state));
    const ttt_feed feed = {.state = state, .tokens = text, .count = READ};
    CHECK_OK(ttt_context_advance(reader, &feed, 1));
    ttt_eval_options options;
    ttt_eval_options_init(&options);
    options.inner = true;
    options.context = TOKENS - 1;
    options.stride = REST;
    ttt_eval_result whole, rest, frozen;
    CHECK_OK(ttt_eval(reader, text, TOKENS, &options, &whole));
    options.context = options.stride = 0;
    options.state = state;
    CHECK_OK(ttt_eval(reader, text + READ, TOKENS - READ, &options, &rest));
    CHECK_EQ(rest.tokens, whole.tokens);
    CHECK_NEAR(rest.adapting.all.mean, whole.adapting.all.mean, 1e-12);
    CHECK_NEAR(rest.adapting.all.error, whole.adapting.all.error, 1e-12);
    int ends = 0;
    for (int64_t i = 0; i < rest.bin_count; i++) {
        ends += rest.inner[i].before > 0;
        CHECK(isnan(rest.inner[i].before) || rest.inner[i].before > 0);
    }
    CHECK(ends > 3);
    /* Windows each from the state: the first one's losses are those of its tokens alone. */
    options.mode = TTT_EVAL_BOTH;
    options.inner = false;
    options.context = 20;
    CHECK_OK(ttt_eval(reader, text + READ, 21, &options, &frozen));
    CHECK_NEAR(frozen.adapting.bins[0].mean, rest.adapting.bins[0].mean, 1e-12);
    CHECK(frozen.frozen.all.mean != frozen.adapting.all.mean);
    CHECK_EQ(ttt_state_position(state), READ);
    ttt_eval_result_deinit(&whole);
    ttt_eval_result_deinit(&rest);
    ttt_state_free(state);
}

static void test_progress_and_refusals(void)
{
    ttt_eval_options o;
    ttt_eval_options_init(&o);
    ttt_eval_result r;
    told t = {0};
    o.progress = tell;
    o.progress_context = &t;
    CHECK_OK(ttt_eval(reader, text, TOKENS, &o, &r));
    CHECK_EQ(t.calls, 1);
    CHECK_EQ(t.last, TOKENS - 1);
    CHECK_EQ(t.total, TOKENS - 1);
    static int32_t longer[5000];
    for (int i = 0; i < 5000; i++) longer[i] = text[i % TOKENS];
    t = (told){0};
    const ttt_status status = ttt_eval(reader, longer, 5000, &o, &r);
    CHECK_EQ(status, TTT_ERR_INTERRUPTED);
    CHECK_EQ(t.calls, 2);

    ttt_eval_options_init(&o);
    CHECK_FAILS(ttt_eval(reader, text, 0, &o, &r), TTT_ERR_ARGUMENT, "too few");
    CHECK_FAILS(ttt_eval(reader, text, 1, &o, &r), TTT_ERR_ARGUMENT, "too few");
    o.bos = V;
    CHECK_FAILS(ttt_eval(reader, text, TOKENS, &o, &r), TTT_ERR_ARGUMENT, "BOS has id 11");
    o.bos = 0;
    CHECK_OK(ttt_eval(reader, text, 1, &o, &r));
    CHECK_EQ(r.tokens, 1);
    ttt_eval_options_init(&o);
    o.context = TOKENS;
    CHECK_FAILS(ttt_eval(reader, text, TOKENS, &o, &r), TTT_ERR_ARGUMENT, "shorter than the context");
    o.context = 10;
    o.stride = 11;
    CHECK_FAILS(ttt_eval(reader, text, TOKENS, &o, &r), TTT_ERR_ARGUMENT, "larger than context");
    o.stride = -1;
    CHECK_FAILS(ttt_eval(reader, text, TOKENS, &o, &r), TTT_ERR_ARGUMENT, "negative");
    o.context = 0;
    o.stride = 5;
    CHECK_FAILS(ttt_eval(reader, text, TOKENS, &o, &r), TTT_ERR_ARGUMENT, "needs a context");
    ttt_eval_options_init(&o);
    int32_t bad[3] = {0, V, 0};
    CHECK_FAILS(ttt_eval(reader, bad, 3, &o, &r), TTT_ERR_ARGUMENT, "token 1 of the text has id 11");
    bad[1] = 0;
    bad[2] = -5; /* only predicted, never read */
    CHECK_FAILS(ttt_eval(reader, bad, 3, &o, &r), TTT_ERR_ARGUMENT, "token 2 of the text has id -5");
}

/* Weights that are finite, but so large that what is computed with them is not. */
static ttt_status huge(void *none, const ttt_params *params, int64_t index, ttt_matrix *matrix)
{
    static float values[1024];
    (void)none;
    const ttt_param_spec *spec = &params->specs[index];
    const int64_t n = ttt_param_elements(spec), columns = ttt_param_columns(spec);
    CHECK(n <= 1024);
    for (int64_t i = 0; i < n; i++) values[i] = 1e15f;
    *matrix = (ttt_matrix){.dtype = TTT_F32, .values = values, .rows = n / columns, .columns = columns};
    return TTT_OK;
}

static void test_overflow(void)
{
    ttt_model *overflowing;
    ttt_context *its;
    const ttt_config config = *ttt_model_config(ttt_context_model(reader));
    CHECK_OK(ttt_model_build(&overflowing, &config, &(ttt_model_options){.backend = "cpu"}, huge, NULL));
    CHECK_OK(ttt_context_new(&its, overflowing, 1));
    ttt_eval_options o;
    ttt_eval_options_init(&o);
    ttt_eval_result r;
    CHECK_FAILS(ttt_eval(its, text, TOKENS, &o, &r), TTT_ERR_NUMERIC, "the loss at token 1 of the text");
    ttt_context_free(its);
    ttt_model_free(overflowing);
}

static void run(const char *backend, ttt_learner_kind learner)
{
    ttt_config config = small_config(V, 8, 2, 2);
    config.mini_batch_size = K;
    config.ttt_layer_type = learner;
    config.initializer_range = 0.5; /* so that it is no matter of rounding whether learning changes anything */
    config.use_gate = config.share_qk = config.pre_conv = true;
    const ttt_model_options options = {.backend = backend};
    ttt_model *model;
    CHECK_OK(ttt_model_new(&model, &config, 3, &options));
    CHECK_OK(ttt_context_new(&reader, model, 0));
    test_windows();
    test_inner();
    test_state();
    test_progress_and_refusals();
    if (strcmp(backend, "cpu") == 0) test_overflow();
    ttt_context_free(reader);
    ttt_model_free(model);
}

int main(void)
{
    const ttt_rng rng = {.seed = 5, .stream = TTT_RNG_TEST};
    for (int i = 0; i < TOKENS; i++) text[i] = (int32_t)(ttt_rng_u64(rng, (uint64_t)i) % V);
    test_bins();
    test_errors();
    run("ref", TTT_LEARNER_LINEAR);
    run("ref", TTT_LEARNER_MLP);
    run("cpu", TTT_LEARNER_LINEAR);
    return test_end();
}
