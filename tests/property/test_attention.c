/* SPDX-License-Identifier: MIT
 *
 * Attention over more tokens than a span of keys, a ring and a chunk of rows have: with windows and grouped queries,
 * any split of a sequence, any other sequences beside it, any number of threads, and a state taken out and put in again
 * give the same bits, on both backends; memory with a window stops growing; and what cannot be is refused.
 */
#include <ttt/session.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "config/config.h"
#include "model/context.h"
#include "test.h"

enum { V = 11, TOKENS = 1300, OTHERS = 3 };

static int32_t tokens[TOKENS];
static float whole[TOKENS * V], parts[TOKENS * V], other[OTHERS * V];

static ttt_config config_of(int64_t heads, int64_t groups, int64_t window)
{
    ttt_config config;
    ttt_config_init(&config);
    config.vocab_size = V;
    config.hidden_size = 8 * heads;
    config.intermediate_size = 12;
    config.num_attention_heads = heads;
    config.num_key_value_heads = groups;
    config.sliding_window = window;
    config.initializer_range = 0.4;
    CHECK_OK(ttt_config_set(&config, "layers", "attention+ffn,attention"));
    return config;
}

static ttt_context *context_of(const ttt_model *model, int threads)
{
    ttt_context *context = NULL;
    CHECK_OK(ttt_context_new(&context, model, threads));
    if (!context) exit(1);
    return context;
}

static ttt_state *state_of(const ttt_model *model)
{
    ttt_state *state = NULL;
    CHECK_OK(ttt_state_new(&state, model));
    if (!state) exit(1);
    return state;
}

static ttt_feed feed_of(ttt_state *state, int64_t first, int64_t count, float *logits)
{
    return (ttt_feed){.state = state,
                      .tokens = tokens + first,
                      .count = count,
                      .which = TTT_LOGITS_ALL,
                      .logits = logits + first * V};
}

/* Through its pieces, as from a file, into another state. */
static void move_state(ttt_state *to, const ttt_state *from)
{
    ttt_state_table table;
    CHECK_OK(ttt_state_table_init(&table, from->model, from->position));
    void *values = ttt_alloc((size_t)table.elements, from->model->backend->real);
    ttt_state_export(from, &table, values);
    CHECK_OK(ttt_state_import(to, from->position, &table, values));
    ttt_free(values);
    ttt_state_table_deinit(&table);
}

/* In calls of `count` tokens. Other sequences, each somewhere else, read one token in every call with `batch`; with
 * `moved` every call goes on with another state. */
static void split(const ttt_model *model, int threads, int64_t count, bool batch, bool moved)
{
    ttt_context *context = context_of(model, threads);
    ttt_state *states[1 + OTHERS], *spare = state_of(model);
    for (int i = 0; i <= OTHERS; i++) states[i] = state_of(model);
    for (int i = 1; i <= OTHERS; i++) {
        const ttt_feed feed = {.state = states[i], .tokens = tokens, .count = 90 * i, .which = TTT_LOGITS_NONE};
        CHECK_OK(ttt_context_advance(context, &feed, 1));
    }
    memset(parts, 0, sizeof parts);
    for (int64_t at = 0; at < TOKENS; at += count) {
        ttt_feed feeds[1 + OTHERS] = {feed_of(states[0], at, TOKENS - at < count ? TOKENS - at : count, parts)};
        for (int i = 1; i <= OTHERS; i++)
            feeds[i] = (ttt_feed){.state = states[i],
                                  .tokens = tokens,
                                  .count = 1,
                                  .which = TTT_LOGITS_LAST,
                                  .logits = other + (i - 1) * V};
        CHECK_OK(ttt_context_advance(context, feeds, batch ? 1 + OTHERS : 1));
        if (!moved) continue;
        move_state(spare, states[0]);
        ttt_state *old = states[0];
        states[0] = spare;
        spare = old;
    }
    CHECK(memcmp(whole, parts, sizeof whole) == 0);
    for (int i = 0; i <= OTHERS; i++) ttt_state_free(states[i]);
    ttt_state_free(spare);
    ttt_context_free(context);
}

static void same_bits(const char *backend, const ttt_config *config)
{
    const ttt_model_options options = {.backend = backend, .threads = 1};
    ttt_model *model = NULL;
    CHECK_OK(ttt_model_new(&model, config, 3, &options));
    if (!model) exit(1);
    ttt_context *context = context_of(model, 1);
    ttt_state *state = state_of(model);
    const ttt_feed feed = feed_of(state, 0, TOKENS, whole);
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    split(model, 3, TOKENS, false, false);
    split(model, 2, 1, true, false);
    split(model, 1, 61, false, true);
    split(model, 2, 300, true, true);
    if (config->sliding_window) { /* the ring, two layers, keys and values */
        const int64_t ring = (config->sliding_window + TTT_RUN_ROWS + TTT_KEY_BLOCK) * 2 * 2 *
                             config->num_key_value_heads * 8;
        CHECK(ttt_state_bytes(state) <= (size_t)ring * model->backend->real);
    }
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
}

static void refusals(void)
{
    ttt_model *model;
    ttt_config config = config_of(4, 3, 0);
    CHECK_FAILS(ttt_model_new(&model, &config, 1, NULL), TTT_ERR_FORMAT, "num_key_value_heads 3 does not divide");
    config = config_of(1, 1, 0);
    config.hidden_size = 2048;
    CHECK_FAILS(ttt_model_new(&model, &config, 1, NULL), TTT_ERR_UNSUPPORTED, "heads of size 2048");
}

/* Memory for more tokens than any machine has room for is refused at once, with the figure, also by what reserves for
 * others; and a state that was refused goes on. */
static void too_long(void)
{
    ttt_config config = config_of(2, 2, 0);
    ttt_model *model = NULL;
    CHECK_OK(ttt_model_new(&model, &config, 3, NULL));
    if (!model) exit(1);
    ttt_state *state = state_of(model);
    ttt_session *session;
    ttt_generate_options options;
    CHECK_OK(ttt_state_reserve(state, 1000));
    CHECK_FAILS(ttt_state_reserve(state, INT64_C(1) << 40), TTT_ERR_MEMORY, "takes 281474.98 GB");
    CHECK_FAILS(ttt_state_reserve(state, INT64_MAX), TTT_ERR_MEMORY, "GB are left");
    ttt_generate_options_init(&options);
    options.max_new_tokens = INT64_MAX;
    CHECK_OK(ttt_session_new(&session, model, NULL, state, &options));
    CHECK_FAILS(ttt_session_push(session, tokens, 5), TTT_ERR_MEMORY, "GB are left");
    ttt_session_free(session);
    ttt_context *context = context_of(model, 1);
    const ttt_feed feed = feed_of(state, 0, TOKENS, whole);
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    ttt_context_free(context);
    ttt_state_free(state);
    ttt_model_free(model);

    config = config_of(2, 2, 100); /* with a window there is room for any number */
    CHECK_OK(ttt_model_new(&model, &config, 3, NULL));
    state = state_of(model);
    CHECK_OK(ttt_state_reserve(state, INT64_MAX));
    ttt_state_free(state);
    ttt_model_free(model);
}

int main(void)
{
    static const struct {
        int64_t heads, groups, window;
    } models[] = {{2, 2, 0}, {4, 1, 0}, {4, 2, 1}, {2, 1, 70}, {3, 3, 600}};
    for (int i = 0; i < TOKENS; i++)
        tokens[i] = (int32_t)(ttt_rng_u64((ttt_rng){.seed = 6, .stream = TTT_RNG_TEST}, (uint64_t)i) % V);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const ttt_config config = config_of(models[i].heads, models[i].groups, models[i].window);
        same_bits("cpu", &config);
        if (i == 3 && !test_small()) same_bits("ref", &config);
    }
    refusals();
    too_long();
    return test_end();
}
