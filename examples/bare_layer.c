/* SPDX-License-Identifier: MIT
 *
 * A TTT layer by itself, as a part of some other network: forward, backward, a step down the gradient, and then the
 * same sequence read in pieces, whose outputs are the same bits as in one call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/bare_layer.h>

enum { B = 2, T = 50, C = 32, STEPS = 20, ROWS = B * T };

static int fail(void)
{
    fprintf(stderr, "%s\n", ttt_error_detail());
    return 1;
}

/* Numbers in [-1, 1) that only depend on where they stand. */
static float number(unsigned i) { return (float)(i * 2654435761u >> 8) / (float)(1 << 23) - 1; }

/* Mean squared error of y against x two tokens before, and its gradient. */
static double loss_of(const float *y, const float *x, float *dy)
{
    double loss = 0;
    for (int i = 0; i < ROWS * C; i++) {
        const float target = i / C % T < 2 ? 0 : x[i - 2 * C], error = y[i] - target;
        loss += (double)error * (double)error / (ROWS * C);
        dy[i] = 2 * error / (ROWS * C);
    }
    return loss;
}

static void step(ttt_bare_layer *layer, float rate)
{
    static float values[4 * C * C], gradient[4 * C * C]; /* as large as the largest parameter here */
    for (int64_t p = 0; p < ttt_bare_layer_param_count(layer); p++) {
        int64_t elements;
        (void)ttt_bare_layer_param_name(layer, p, &elements);
        ttt_bare_layer_get(layer, p, values);
        ttt_bare_layer_get_gradient(layer, p, gradient);
        for (int64_t i = 0; i < elements; i++) values[i] -= rate * gradient[i];
        ttt_bare_layer_set(layer, p, values);
    }
    ttt_bare_layer_zero_gradients(layer);
}

int main(void)
{
    static float x[ROWS * C], y[ROWS * C], pieces[ROWS * C], dx[ROWS * C], dy[ROWS * C];
    for (unsigned i = 0; i < ROWS * C; i++) x[i] = number(i);

    ttt_config *config;
    ttt_bare_layer *layer;
    ttt_bare_state *state, *gradient;
    if (ttt_config_new(&config)) return fail();
    if (ttt_config_set(config, "hidden_size", "32") || ttt_config_set(config, "num_attention_heads", "4"))
        return fail();
    if (ttt_config_set(config, "use_gate", "true") || ttt_config_set(config, "share_qk", "true")) return fail();
    if (ttt_bare_layer_new(&layer, "ttt_linear", config, NULL, 1)) return fail();
    if (ttt_bare_state_new(&state, layer, B) || ttt_bare_state_new_gradient(&gradient, layer, B)) return fail();

    double first = 0, loss = 0;
    for (int i = 0; i < STEPS; i++) {
        ttt_bare_state_reset(state);
        ttt_bare_state_reset(gradient);
        if (ttt_bare_layer_forward(layer, state, x, T, y)) return fail();
        loss = loss_of(y, x, dy);
        if (i == 0) first = loss;
        if (ttt_bare_layer_backward(layer, gradient, dy, dx)) return fail();
        if (ttt_bare_layer_reset_backward(layer, gradient)) return fail();
        step(layer, 1.0f);
    }
    printf("loss %.4f, after %d steps %.4f\n", first, STEPS, loss);

    /* one sequence at once, then in pieces of 1, 2, 3, ... tokens */
    ttt_bare_state *one;
    if (ttt_bare_state_new(&one, layer, 1) || ttt_bare_layer_advance(layer, one, x, T, y)) return fail();
    ttt_bare_state_reset(one);
    for (int t = 0, size = 1; t < T; t += size, size = size + 1 < T - t ? size + 1 : T - t)
        if (ttt_bare_layer_advance(layer, one, x + t * C, size, pieces + t * C)) return fail();
    const int same = memcmp(y, pieces, T * C * sizeof *y) == 0;
    printf("in pieces: %s\n", same ? "the same bits" : "different");

    ttt_bare_state_free(one);
    ttt_bare_state_free(gradient);
    ttt_bare_state_free(state);
    ttt_bare_layer_free(layer);
    ttt_config_free(config);
    return loss < first && same ? 0 : 1;
}
