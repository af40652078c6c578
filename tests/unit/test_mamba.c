/* SPDX-License-Identifier: MIT
 *
 * The Mamba layer's first values, as its authors draw them, and what it refuses to be. */
#include <ttt/bare_layer.h>

#include "config/config.h"
#include "test.h"

enum { C = 20, N = 6, RANK = 3, LAYERS = 9, E = 30 };

static ttt_config mamba_config(void)
{
    ttt_config config;
    ttt_config_init(&config);
    config.hidden_size = C;
    config.num_attention_heads = 2;
    config.num_hidden_layers = LAYERS;
    config.state_size = N;
    config.time_step_rank = RANK;
    config.expand = 1.5;
    return config;
}

static int64_t values_of(const ttt_config *config, const char *wanted, float *values)
{
    ttt_bare_layer *layer;
    const ttt_bare_layer_options options = {.backend = "ref", .group = 1};
    int64_t found = 0;
    CHECK_OK(ttt_bare_layer_new(&layer, "mamba", config, &options, 7));
    for (int64_t i = 0; i < ttt_bare_layer_param_count(layer); i++) {
        int64_t n;
        if (strcmp(ttt_bare_layer_param_name(layer, i, &n), wanted) != 0) continue;
        ttt_bare_layer_get(layer, i, values);
        found = n;
    }
    ttt_bare_layer_free(layer);
    return found;
}

/* Uniform between -bound and bound. */
static void uniform(const ttt_config *config, const char *name, int64_t elements, double bound)
{
    static float values[2 * E * C];
    double least = 0, most = 0;
    CHECK_EQ(values_of(config, name, values), elements);
    for (int64_t i = 0; i < elements; i++) {
        least = fmin(least, (double)values[i]);
        most = fmax(most, (double)values[i]);
    }
    CHECK(most <= bound * (1 + 1e-6) && least >= -bound * (1 + 1e-6));
    CHECK(most > 0.85 * bound && least < -0.85 * bound);
}

static void constant(const ttt_config *config, const char *name, int64_t elements, double value)
{
    float values[E * RANK];
    CHECK_EQ(values_of(config, name, values), elements);
    for (int64_t i = 0; i < elements; i++) CHECK_NEAR((double)values[i], value, 1e-7);
}

/* What softplus makes of dt_proj.bias. */
static void steps(const ttt_config *config, double least, double most)
{
    float values[E];
    double low = 1, high = 0;
    CHECK_EQ(values_of(config, "dt_proj.bias", values), E);
    for (int i = 0; i < E; i++) {
        const double step = log1p(exp((double)values[i]));
        low = fmin(low, step);
        high = fmax(high, step);
    }
    CHECK(low >= least * (1 - 1e-5) && high <= most * (1 + 1e-5));
    CHECK(low < 2 * least && high > most / 2);
}

static void first_values(void)
{
    ttt_config config = mamba_config();
    float rates[E * N] = {0};
    CHECK_EQ(values_of(&config, "A_log", rates), E * N);
    for (int i = 0; i < E * N; i++) CHECK_NEAR((double)rates[i], log(i % N + 1), 1e-6);
    constant(&config, "D", E, 1);
    constant(&config, "conv1d.bias", E, 0);
    uniform(&config, "conv1d.weight", E * 4, 0.5);
    uniform(&config, "in_proj.weight", 2 * E * C, 1 / sqrt(C));
    uniform(&config, "x_proj.weight", (RANK + 2 * N) * E, 1 / sqrt(E));
    uniform(&config, "out_proj.weight", C * E, 1 / sqrt(E));
    uniform(&config, "dt_proj.weight", E * RANK, 1 / sqrt(RANK));
    steps(&config, 0.001, 0.1);
    config.time_step_floor = 0.01;
    steps(&config, 0.01, 0.1);
    config.rescale_prenorm_residual = true;
    uniform(&config, "out_proj.weight", C * E, 1 / sqrt(E) / sqrt(LAYERS));
    config.time_step_scale = 2;
    uniform(&config, "dt_proj.weight", E * RANK, 2 / sqrt(RANK));
    config.time_step_init_scheme = TTT_STEP_CONSTANT;
    constant(&config, "dt_proj.weight", E * RANK, 2 / sqrt(RANK));
}

static void sizes(void)
{
    float values[4 * E * C];
    ttt_config config = mamba_config();
    config.time_step_rank = 0; /* 20 / 16, rounded up */
    config.expand = 2;
    CHECK_EQ(values_of(&config, "dt_proj.weight", values), 2 * C * 2);
    config.expand = 1.33;
    ttt_bare_layer *layer;
    CHECK_FAILS(ttt_bare_layer_new(&layer, "mamba", &config, NULL, 1), TTT_ERR_FORMAT, "expand");
    CHECK(!layer);
}

int main(void)
{
    first_values();
    sizes();
    return test_end();
}
