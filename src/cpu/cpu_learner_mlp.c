/* SPDX-License-Identifier: MIT
 *
 * The MLP learner of the cpu backend: k W1 + b1, gelu, W2, b2. Parameters: W1 [H*D, 4D], b1 [H, 4D], W2 [H*4D, D], b2
 * [H, D], norm weight [H, D], norm bias [H, D].
 */
#include <math.h>

#include "cpu/cpu.h"
#include "cpu/cpu_learner.h"

static const ttt_cpu_learner mlp = {.maps = 2, .in = {1, 4}, .out = {4, 1}, .hidden = true};

static int64_t state_size(const ttt_learner_dims *dims) { return ttt_cpu_learner_state_size(&mlp, dims); }
static int64_t saved_size(const ttt_learner_dims *dims, int64_t tokens)
{
    return ttt_cpu_learner_saved_size(&mlp, dims, tokens);
}
static int64_t partial_size(const ttt_learner_dims *dims) { return 2 * dims->head_size; }
static size_t scratch_bytes(const ttt_learner_dims *dims) { return ttt_cpu_learner_scratch_bytes(&mlp, dims); }
static int64_t weights_size(const ttt_learner_dims *dims) { return ttt_cpu_learner_weights_size(&mlp, dims); }

static void reset(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    ttt_cpu_learner_reset(&mlp, call);
}

static void reset_backward(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    ttt_cpu_learner_reset_backward(&mlp, call);
}

static void forward(const ttt_backend *b, const ttt_learner_call *call)
{
    ttt_cpu_learner_forward(&mlp, b, call, ttt_cpu_kernels(b)->learner_mlp_forward);
}

static void backward(const ttt_backend *b, const ttt_learner_call *call)
{
    const ttt_kernels *kernels = ttt_cpu_kernels(b);
    ttt_cpu_learner_backward(&mlp, b, call, kernels->learner_mlp_forward, kernels->learner_mlp_backward);
}

static void weights(const ttt_backend *b, const ttt_learner_dims *dims, const void *state, void *out)
{
    (void)b;
    ttt_cpu_learner_weights(&mlp, dims, state, out);
}

static double loss(const ttt_backend *b, const ttt_learner_dims *dims, const ttt_param *params, int64_t head,
                   const void *weights_of_head, const void *k, const void *v)
{
    const int64_t D = dims->head_size, hidden = 4 * D;
    float *a = (float *)(void *)b->scratch, *z = a + hidden;
    ttt_cpu_learner_predict(a, k, weights_of_head, D, hidden);
    for (int64_t h = 0; h < hidden; h++) {
        const double x = (double)a[h];
        a[h] = (float)(0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))));
    }
    ttt_cpu_learner_predict(z, a, (const float *)weights_of_head + (D + 1) * hidden, hidden, D);
    return ttt_cpu_learner_loss(z, k, v, (const float *)params[4].values + head * D,
                                (const float *)params[5].values + head * D, D);
}

const ttt_learner_ops ttt_cpu_learner_mlp = {.state_size = state_size,
                                             .saved_size = saved_size,
                                             .partial_size = partial_size,
                                             .scratch_bytes = scratch_bytes,
                                             .reset = reset,
                                             .reset_backward = reset_backward,
                                             .forward = forward,
                                             .backward = backward,
                                             .weights_size = weights_size,
                                             .weights = weights,
                                             .loss = loss};
