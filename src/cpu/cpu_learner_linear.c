/* SPDX-License-Identifier: MIT
 *
 * The linear learner of the cpu backend: one map z = k W + b. Parameters: W1 [H*D, D], b1 [H, D], norm weight [H, D],
 * norm bias [H, D].
 */
#include "cpu/cpu.h"
#include "cpu/cpu_learner.h"

static const ttt_cpu_learner linear = {.maps = 1, .in = {1}, .out = {1}};

static int64_t state_size(const ttt_learner_dims *dims) { return ttt_cpu_learner_state_size(&linear, dims); }
static int64_t saved_size(const ttt_learner_dims *dims, int64_t tokens)
{
    return ttt_cpu_learner_saved_size(&linear, dims, tokens);
}
static int64_t partial_size(const ttt_learner_dims *dims) { return 2 * dims->head_size; }
static size_t scratch_bytes(const ttt_learner_dims *dims) { return ttt_cpu_learner_scratch_bytes(&linear, dims); }
static int64_t weights_size(const ttt_learner_dims *dims) { return ttt_cpu_learner_weights_size(&linear, dims); }

static void reset(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    ttt_cpu_learner_reset(&linear, call);
}

static void reset_backward(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    ttt_cpu_learner_reset_backward(&linear, call);
}

static void forward(const ttt_backend *b, const ttt_learner_call *call)
{
    ttt_cpu_learner_forward(&linear, b, call, ttt_cpu_kernels(b)->learner_linear_forward);
}

static void backward(const ttt_backend *b, const ttt_learner_call *call)
{
    const ttt_kernels *kernels = ttt_cpu_kernels(b);
    ttt_cpu_learner_backward(&linear, b, call, kernels->learner_linear_forward, kernels->learner_linear_backward);
}

static void weights(const ttt_backend *b, const ttt_learner_dims *dims, const void *state, void *out)
{
    (void)b;
    ttt_cpu_learner_weights(&linear, dims, state, out);
}

static double loss(const ttt_backend *b, const ttt_learner_dims *dims, const ttt_param *params, int64_t head,
                   const void *weights_of_head, const void *k, const void *v)
{
    const int64_t D = dims->head_size;
    float *z = (float *)(void *)b->scratch;
    ttt_cpu_learner_predict(z, k, weights_of_head, D, D);
    return ttt_cpu_learner_loss(z, k, v, (const float *)params[2].values + head * D,
                                (const float *)params[3].values + head * D, D);
}

const ttt_learner_ops ttt_cpu_learner_linear = {.state_size = state_size,
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
