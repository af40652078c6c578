/* SPDX-License-Identifier: MIT
 * The bare layer on both backends: any split of a sequence gives the same bits; a backward through segments, with the
 * state's gradient carried from one to the one before, gives the gradients of the whole; and those agree with central
 * differences. */
#include <ttt/bare_layer.h>

#include "base/rng.h"
#include "config/config.h"
#include "test.h"

enum { B = 2, C = 16, LONGEST = 150, SIZE = B * LONGEST * C };

static int64_t T; /* of the case */
static float x[SIZE], dy[SIZE];

static void fill(void)
{
    for (int i = 0; i < SIZE; i++) {
        x[i] = (float)ttt_rng_normal((ttt_rng){.seed = 5, .stream = TTT_RNG_TEST}, (uint64_t)i);
        dy[i] = (float)ttt_rng_normal((ttt_rng){.seed = 6, .stream = TTT_RNG_TEST}, (uint64_t)i);
    }
}

/* A layer far from its first values, so that every part of it matters. */
static ttt_bare_layer *make_layer(const char *backend, const char *name, bool mamba, int64_t K,
                                  const char *const (*keys)[2])
{
    ttt_config config;
    ttt_config_init(&config);
    config.hidden_size = C;
    config.num_attention_heads = 2;
    config.mini_batch_size = K ? K : 1;
    config.intermediate_size = 3 * C;
    config.share_qk = config.use_gate = mamba;
    config.num_key_value_heads = mamba ? 1 : 2; /* of attention, and its window */
    config.sliding_window = strcmp(name, "attention") == 0 ? K : 0;
    config.ttt_base_lr = strcmp(name, "ttt_mlp") == 0 ? 0.1 : 1;
    for (; keys && (*keys)[0]; keys++) CHECK_OK(ttt_config_set(&config, (*keys)[0], (*keys)[1]));
    const ttt_bare_layer_options options = {.backend = backend, .group = 2};
    ttt_bare_layer *layer;
    CHECK_OK(ttt_bare_layer_new(&layer, name, &config, &options, 1));
    for (int64_t p = 0; p < ttt_bare_layer_param_count(layer); p++) {
        int64_t n;
        const char *param = ttt_bare_layer_param_name(layer, p, &n);
        float values[4096];
        CHECK(n <= 4096);
        ttt_bare_layer_get(layer, p, values);
        const double size = strcmp(param, "learnable_token_idx") == 0 ? 0.05 : 0.2;
        for (int64_t i = 0; i < n; i++)
            values[i] += (float)(size *
                                 ttt_rng_normal((ttt_rng){.seed = (uint64_t)p, .stream = TTT_RNG_TEST}, (uint64_t)i));
        ttt_bare_layer_set(layer, p, values);
    }
    return layer;
}

/* Rows [first, first + n) of every sequence, side by side. */
static void rows(float *part, const float *all, int64_t first, int64_t n)
{
    for (int b = 0; b < B; b++) memcpy(part + b * n * C, all + (b * T + first) * C, (size_t)(n * C) * sizeof *part);
}

static void put_rows(float *all, const float *part, int64_t first, int64_t n)
{
    for (int b = 0; b < B; b++) memcpy(all + (b * T + first) * C, part + b * n * C, (size_t)(n * C) * sizeof *part);
}

static void splits(ttt_bare_layer *layer)
{
    static float whole[SIZE], parts[SIZE], part[SIZE], out[SIZE];
    ttt_bare_state *state;
    CHECK_OK(ttt_bare_state_new(&state, layer, B));
    CHECK_OK(ttt_bare_layer_advance(layer, state, x, T, whole));
    for (int64_t split = 1; split < T; split += split < 4 ? 1 : 5) {
        ttt_bare_state_reset(state);
        for (int64_t first = 0; first < T; first += split) {
            const int64_t n = T - first < split ? T - first : split;
            rows(part, x, first, n);
            CHECK_OK(ttt_bare_layer_advance(layer, state, part, n, out));
            put_rows(parts, out, first, n);
        }
        CHECK(memcmp(whole, parts, (size_t)(B * T * C) * sizeof *whole) == 0);
    }
    ttt_bare_state_free(state);
}

/* Backward of all in calls of `segment` tokens; gradients of all parameters one after another in `grads`. Returns <y,
 * dy>. */
static double backward(ttt_bare_layer *layer, int64_t segment, float *dx, float *grads)
{
    enum { STATES = LONGEST + 1 };
    static float part[SIZE], out[SIZE], dpart[SIZE];
    ttt_bare_state *states[STATES] = {0}, *dstate;
    const int64_t count = (T + segment - 1) / segment;
    double dot = 0;
    CHECK_OK(ttt_bare_state_new_gradient(&dstate, layer, B));
    for (int64_t s = 0; s <= count; s++) {
        CHECK_OK(ttt_bare_state_new(&states[s], layer, B));
        if (s == 0) continue;
        const int64_t first = (s - 1) * segment, n = T - first < segment ? T - first : segment;
        CHECK_OK(ttt_bare_state_copy(states[s], states[s - 1]));
        rows(part, x, first, n);
        CHECK_OK(ttt_bare_layer_forward(layer, states[s], part, n, out));
        rows(part, dy, first, n);
        for (int64_t i = 0; i < B * n * C; i++) dot += (double)out[i] * (double)part[i];
    }
    ttt_bare_layer_zero_gradients(layer);
    for (int64_t s = count - 1; s >= 0; s--) {
        const int64_t first = s * segment, n = T - first < segment ? T - first : segment;
        rows(part, x, first, n);
        CHECK_OK(ttt_bare_layer_forward(layer, states[s], part, n, out));
        rows(part, dy, first, n);
        CHECK_OK(ttt_bare_layer_backward(layer, dstate, part, dpart));
        if (dx) put_rows(dx, dpart, first, n);
    }
    CHECK_OK(ttt_bare_layer_reset_backward(layer, dstate));
    for (int64_t p = 0; p < ttt_bare_layer_param_count(layer) && grads; p++) {
        int64_t n;
        (void)ttt_bare_layer_param_name(layer, p, &n);
        ttt_bare_layer_get_gradient(layer, p, grads);
        grads += n;
    }
    for (int64_t s = 0; s <= count; s++) ttt_bare_state_free(states[s]);
    ttt_bare_state_free(dstate);
    return dot;
}

static double largest(const float *values, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)values[i]));
    return most;
}

static void check_close(const float *a, const float *b, int64_t n, double tolerance)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    CHECK_NEAR(most / largest(a, n), 0, tolerance);
}

static void segments(ttt_bare_layer *layer, double tolerance)
{
    static float dx[SIZE], dx_parts[SIZE], grads[1 << 16], grads_parts[1 << 16];
    (void)backward(layer, T, dx, grads);
    static const int64_t lengths[] = {1, 7, 16, 19};
    for (int i = 0; i < 4; i++) {
        (void)backward(layer, lengths[i], dx_parts, grads_parts);
        check_close(dx, dx_parts, B * T * C, tolerance);
        float *whole = grads, *parts = grads_parts;
        for (int64_t p = 0; p < ttt_bare_layer_param_count(layer); p++) {
            int64_t n;
            (void)ttt_bare_layer_param_name(layer, p, &n);
            check_close(whole, parts, n, tolerance);
            whole += n;
            parts += n;
        }
    }
}

/* d<y,dy>/d parameter along a random direction, against central differences. */
static void differences(ttt_bare_layer *layer, double step, double tolerance)
{
    static float grads[1 << 16], values[1 << 14], moved[1 << 14];
    (void)backward(layer, T, NULL, grads);
    const float *gradient = grads;
    for (int64_t p = 0; p < ttt_bare_layer_param_count(layer); p++) {
        int64_t n;
        const char *name = ttt_bare_layer_param_name(layer, p, &n);
        double expected = 0, size = 0, dots[2];
        ttt_bare_layer_get(layer, p, values);
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n; i++) {
                const double d = (side ? 1 : -1) * step *
                                 ((ttt_rng_u64((ttt_rng){.seed = 9, .stream = TTT_RNG_TEST}, (uint64_t)i) & 1) ? 1
                                                                                                               : -1);
                moved[i] = (float)((double)values[i] + d);
            }
            ttt_bare_layer_set(layer, p, moved);
            dots[side] = backward(layer, T, NULL, NULL);
            for (int64_t i = 0; i < n; i++) {
                expected += (side ? 1 : -1) * (double)gradient[i] * (double)moved[i];
                size += fabs((double)gradient[i]) * step;
            }
        }
        ttt_bare_layer_set(layer, p, values);
        if (fabs(dots[1] - dots[0] - expected) > tolerance * size) fprintf(stderr, "%s:\n", name);
        CHECK_NEAR((dots[1] - dots[0] - expected) / size, 0, tolerance);
        gradient += n;
    }
}

/* What is of another layer, or of another number of sequences, is refused; then nothing has changed. */
static void foreign(void)
{
    ttt_bare_layer *one = make_layer("cpu", "ttt_linear", true, 16, NULL),
                   *other = make_layer("cpu", "ttt_linear", true, 4, NULL);
    ttt_bare_state *state, *theirs, *three;
    static float y[SIZE];
    CHECK_OK(ttt_bare_state_new(&state, one, B));
    CHECK_OK(ttt_bare_state_new(&theirs, other, B));
    CHECK_OK(ttt_bare_state_new(&three, one, 3));
    CHECK_FAILS(ttt_bare_layer_advance(one, theirs, x, T, y), TTT_ERR_ARGUMENT, "another layer");
    CHECK_FAILS(ttt_bare_layer_forward(one, theirs, x, T, y), TTT_ERR_ARGUMENT, "another layer");
    CHECK_FAILS(ttt_bare_state_copy(state, theirs), TTT_ERR_ARGUMENT, "another layer");
    CHECK_FAILS(ttt_bare_state_copy(state, three), TTT_ERR_ARGUMENT, "2 sequences");
    CHECK_OK(ttt_bare_layer_forward(one, state, x, T, y));
    CHECK_FAILS(ttt_bare_layer_backward(one, theirs, dy, y), TTT_ERR_ARGUMENT, "another layer");
    CHECK_FAILS(ttt_bare_layer_backward(one, three, dy, y), TTT_ERR_ARGUMENT, "of 3");
    CHECK_FAILS(ttt_bare_layer_reset_backward(one, theirs), TTT_ERR_ARGUMENT, "another layer");
    ttt_bare_state_free(state);
    ttt_bare_state_free(theirs);
    ttt_bare_state_free(three);
    ttt_bare_layer_free(one);
    ttt_bare_layer_free(other);
}

static void refusals(void)
{
    ttt_bare_layer *layer;
    ttt_config config;
    ttt_config_init(&config);
    CHECK_FAILS(ttt_bare_layer_new(&layer, "nosuch", &config, NULL, 1), TTT_ERR_UNSUPPORTED, "no layer nosuch");
    config.hidden_size = 10;
    config.num_attention_heads = 2;
    CHECK_FAILS(ttt_bare_layer_new(&layer, "ttt_linear", &config, NULL, 1), TTT_ERR_FORMAT, "odd size");
    CHECK(!layer);
}

static void check_layer(const char *name, bool mamba, int64_t K, const char *const (*keys)[2])
{
    static const char *const backends[] = {"ref", "cpu"};
    for (int k = 0; k < 2; k++) {
        ttt_bare_layer *layer = make_layer(backends[k], name, mamba, K, keys);
        splits(layer);
        segments(layer, k == 0 ? 2e-7 : 2e-4);
        /* x, y and parameters pass through floats, so the differences carry their rounding: 2^-24 of <y,dy>, a few
         * hundred, over the step */
        if (k == 0) differences(layer, 3e-3, 2e-2);
        ttt_bare_layer_free(layer);
    }
}

int main(void)
{
    static const struct {
        const char *name;
        bool mamba;
        int64_t K;
        int64_t T;
    } cases[] = {{"ttt_linear", true, 16, 41}, {"ttt_linear", false, 5, 41}, {"ttt_linear", true, 1, 41},
                 {"ttt_linear", true, 41, 41}, {"ttt_mlp", true, 16, 41},    {"ttt_mlp", false, 3, 41},
                 {"ttt_mlp", false, 38, 41},   {"conv", false, 16, 41},      {"ffn", false, 16, 41},
                 {"mamba", false, 16, 41},

                 {"attention", false, 0, 150}, {"attention", true, 70, 150}, {"attention", true, 3, 41}};
    static const struct {
        const char *name, *keys[5][2]; /* keys and their values */
    } matrix_states[] = {{"linear_attention", {{0}}},
                         {"linear_attention",
                          {{"linear_attention_feature_map", "identity"},
                           {"linear_attention_normalise", "false"},
                           {"linear_attention_post_norm", "true"},
                           {"linear_attention_rope", "true"}}},
                         {"delta_net", {{"conv_size", "1"}}},
                         {"delta_net", {{"head_dim", "3"}, {"expand_v", "3"}, {"delta_use_gate", "true"}}},
                         {"gated_deltanet", {{"head_dim", "6"}, {"expand_v", "1.5"}, {"conv_size", "2"}}},
                         {"gated_deltanet", {{"delta_use_gate", "false"}}}};
    fill();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        T = cases[i].T;
        check_layer(cases[i].name, cases[i].mamba, cases[i].K, NULL);
    }
    T = 41;
    for (size_t i = 0; i < sizeof matrix_states / sizeof *matrix_states; i++)
        check_layer(matrix_states[i].name, false, 16, matrix_states[i].keys);
    foreign();
    refusals();
    return test_end();
}
