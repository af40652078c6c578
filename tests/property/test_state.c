/* SPDX-License-Identifier: MIT
 *
 * States by their pieces: taken out and put into another state, at every position and so also in the middle of a
 * mini-batch, they give the same bits in all that follows; ref and cpu have the same pieces. And what is of another
 * model is refused, with nothing changed.
 */
#include "model/state.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "model/context.h"
#include "small_config.h"
#include "test.h"

enum { V = 37, TOKENS = 40, MORE = 5 };

static int32_t tokens[TOKENS + MORE];

/* Blocks of all kinds, with all convolutions. */
static const char *blocks = "conv+ttt_linear+ffn,ttt_mlp+ffn,ttt_linear,mamba";

static ttt_config mixed_config(int64_t K)
{
    ttt_config config = small_config(V, 16, 2, 1);
    config.mini_batch_size = K;
    config.initializer_range = 0.3;
    config.use_gate = config.share_qk = true;
    CHECK_OK(ttt_config_set(&config, "layers", blocks));
    return config;
}

static ttt_model *model_of(const char *backend, const char *precision, int64_t K, uint64_t seed)
{
    const ttt_config config = mixed_config(K);
    ttt_model *model = NULL;
    const ttt_model_options options = {.backend = backend, .precision = precision, .threads = 1};
    CHECK_OK(ttt_model_new(&model, &config, seed, &options));
    if (!model) exit(1);
    return model;
}

static void read_tokens(ttt_context *context, ttt_state *state, int64_t first, int64_t count, float *logits)
{
    const ttt_feed feed = {.state = state,
                           .tokens = tokens + first,
                           .count = count,
                           .which = logits ? TTT_LOGITS_ALL : TTT_LOGITS_NONE,
                           .logits = logits};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
}

/* All pieces of a state; release with ttt_free and ttt_state_table_deinit. */
static void *pieces_of(const ttt_state *state, ttt_state_table *table)
{
    CHECK_OK(ttt_state_table_init(table, state->model, state->position));
    char *values = ttt_alloc((size_t)table->elements, state->model->backend->real);
    ttt_state_export(state, table, values);
    return values;
}

static bool same_pieces(const ttt_state *a, const ttt_state *b)
{
    ttt_state_table x, y;
    void *first = pieces_of(a, &x), *second = pieces_of(b, &y);
    const bool same = x.elements == y.elements &&
                      memcmp(first, second, (size_t)x.elements * a->model->backend->real) == 0;
    ttt_free(first);
    ttt_free(second);
    ttt_state_table_deinit(&x);
    ttt_state_table_deinit(&y);
    return same;
}

static void moved(const char *backend, const char *precision, int64_t K)
{
    static float here[MORE * V], there[MORE * V];
    ttt_model *model = model_of(backend, precision, K, 3);
    ttt_context *context;
    ttt_state *state, *other, *kept;
    CHECK_OK(ttt_context_new(&context, model, 2));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_state_new(&other, model));
    CHECK_OK(ttt_state_new(&kept, model));
    for (int64_t position = 0; position <= TOKENS; position++) {
        ttt_state_table table;
        void *values = pieces_of(state, &table);
        CHECK_OK(ttt_state_copy(kept, state));
        read_tokens(context, other, 0, 3, NULL); /* whatever was there before is gone */
        CHECK_OK(ttt_state_import(other, position, &table, values));
        CHECK_EQ(ttt_state_position(other), position);
        read_tokens(context, state, position, MORE, here);
        read_tokens(context, other, position, MORE, there);
        CHECK(memcmp(here, there, sizeof here) == 0 && same_pieces(state, other));
        ttt_free(values);
        ttt_state_table_deinit(&table);
        CHECK_OK(ttt_state_copy(state, kept));
        read_tokens(context, state, position, 1, NULL);
    }
    ttt_state_free(state);
    ttt_state_free(other);
    ttt_state_free(kept);
    ttt_context_free(context);
    ttt_model_free(model);
}

/* The same names and shapes on both backends, and values equal to rounding. */
static void same_on_both(int64_t K)
{
    ttt_model *models[2] = {model_of("ref", "f32", K, 5), model_of("cpu", "f32", K, 5)};
    ttt_context *contexts[2];
    ttt_state *states[2];
    for (int i = 0; i < 2; i++) {
        CHECK_OK(ttt_context_new(&contexts[i], models[i], 1));
        CHECK_OK(ttt_state_new(&states[i], models[i]));
    }
    for (int64_t position = 0; position <= TOKENS; position++) {
        ttt_state_table tables[2];
        void *values[2];
        for (int i = 0; i < 2; i++) values[i] = pieces_of(states[i], &tables[i]);
        CHECK_EQ(tables[0].count, tables[1].count);
        for (int64_t p = 0; p < tables[0].count && p < tables[1].count; p++) {
            const ttt_state_entry *a = &tables[0].entries[p], *b = &tables[1].entries[p];
            CHECK_STR(a->name, b->name);
            CHECK(a->rank == b->rank && memcmp(a->shape, b->shape, sizeof a->shape) == 0);
            double most = 0, worst = 0;
            for (int64_t e = 0; e < a->elements; e++) {
                const double x = ((double *)values[0])[a->offset + e], y = (double)((float *)values[1])[b->offset + e];
                most = fmax(most, fabs(x));
                worst = fmax(worst, fabs(x - y));
            }
            CHECK_NEAR(worst, 0, 2e-4 * fmax(most, 1e-3));
        }
        for (int i = 0; i < 2; i++) {
            ttt_free(values[i]);
            ttt_state_table_deinit(&tables[i]);
            if (position < TOKENS) read_tokens(contexts[i], states[i], position, 1, NULL);
        }
    }
    for (int i = 0; i < 2; i++) {
        ttt_state_free(states[i]);
        ttt_context_free(contexts[i]);
        ttt_model_free(models[i]);
    }
}

/* A twin with other weights, and another opening of the same ones. */
static void foreign(void)
{
    ttt_model *model = model_of("cpu", "f32", 16, 1), *again = model_of("cpu", "f32", 16, 1),
              *twin = model_of("cpu", "f32", 16, 2), *coarse = model_of("cpu", "q8", 16, 1);
    CHECK_STR(ttt_model_fingerprint(model), ttt_model_fingerprint(again));
    CHECK(strcmp(ttt_model_fingerprint(model), ttt_model_fingerprint(twin)) != 0);
    CHECK(strcmp(ttt_model_fingerprint(model), ttt_model_fingerprint(coarse)) != 0);
    CHECK_EQ(strlen(ttt_model_fingerprint(model)), 64);
    ttt_context *context;
    ttt_state *own, *theirs, *before;
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&own, model));
    CHECK_OK(ttt_state_new(&before, model));
    CHECK_OK(ttt_state_new(&theirs, twin));
    read_tokens(context, own, 0, 7, NULL);
    CHECK_OK(ttt_state_copy(before, own));
    CHECK_FAILS(ttt_state_copy(own, theirs), TTT_ERR_ARGUMENT, "another model");
    const ttt_feed feeds[] = {{.state = own, .tokens = tokens, .count = 3},
                              {.state = theirs, .tokens = tokens, .count = 3}};
    CHECK_FAILS(ttt_context_advance(context, feeds, 2), TTT_ERR_ARGUMENT, "sequence 1 is of another model");
    const ttt_feed twice[] = {{.state = own, .tokens = tokens, .count = 3},
                              {.state = own, .tokens = tokens, .count = 1}};
    CHECK_FAILS(ttt_context_advance(context, twice, 2), TTT_ERR_ARGUMENT, "sequence 1 is in use");
    const int32_t wrong[] = {1, V};
    const ttt_feed out[] = {{.state = own, .tokens = tokens, .count = 3},
                            {.state = before, .tokens = wrong, .count = 2}};
    CHECK_FAILS(ttt_context_advance(context, out, 2), TTT_ERR_ARGUMENT, "token 1 of the feed has id 37");
    CHECK_FAILS(ttt_context_advance(context, &(ttt_feed){.state = own, .tokens = tokens}, 1), TTT_ERR_ARGUMENT,
                "no tokens");
    CHECK_EQ(ttt_state_position(own), 7);
    CHECK(same_pieces(own, before));
    read_tokens(context, own, 7, 1, NULL); /* nothing is left taken */
    ttt_state_free(own);
    ttt_state_free(theirs);
    ttt_state_free(before);
    ttt_context_free(context);
    ttt_model_free(model);
    ttt_model_free(again);
    ttt_model_free(twin);
    ttt_model_free(coarse);
}

int main(void)
{
    static const int64_t sizes[] = {1, 4, 16, 17, 64, 65536};
    for (int i = 0; i < TOKENS + MORE; i++)
        tokens[i] = (int32_t)(ttt_rng_u64((ttt_rng){.seed = 2, .stream = TTT_RNG_TEST}, (uint64_t)i) % V);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        moved("ref", "f32", sizes[i]);
        moved("cpu", "f32", sizes[i]);
        same_on_both(sizes[i]);
    }
    moved("cpu", "bf16", 16);
    moved("cpu", "q8", 17);
    moved("cpu", "q4", 16);
    foreign();
    blocks = "linear_attention,delta_net+ffn,gated_deltanet";
    moved("ref", "f32", 16);
    moved("cpu", "f32", 16);
    moved("cpu", "q8", 16);
    same_on_both(16);
    return test_end();
}
