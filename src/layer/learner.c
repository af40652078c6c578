/* SPDX-License-Identifier: MIT
 *
 * TTT-Linear's and TTT-MLP's learners, as a layer sees them.
 */
#include "layer/learner.h"

/* ---- linear: one map, MATH (linear) ---- */

enum { LINEAR_W1, LINEAR_B1, LINEAR_NORM };

static const ttt_learner_ops *linear_ops(const ttt_backend *backend)
{
    return backend->ops->learner[TTT_LINEAR_LEARNER];
}

/* The norm's, where there is one. */
static void declare_norm(const ttt_learner_dims *dims, ttt_params *params, int64_t slot)
{
    const int64_t H = dims->heads, D = dims->key_size;
    if (dims->flags & TTT_LEARNER_NO_NORM) return;
    ttt_params_add(params, slot, "ttt_norm_weight", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(H, D));
    ttt_params_add(params, slot + 1, "ttt_norm_bias", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(H, D));
}

/* W [H, in, out] and b [H, 1, out] of a map, where it does not begin as zero. */
static void declare_map(const ttt_learner_dims *dims, double std, ttt_params *params, int64_t slot, const char *W,
                        const char *b, int64_t in, int64_t out)
{
    const int64_t H = dims->heads;
    if (dims->flags & TTT_LEARNER_ZERO_START) return;
    ttt_params_add(params, slot, W, TTT_ROLE_VALUES, ttt_first_normal(std), TTT_SHAPE(H, in, out));
    if (dims->flags & TTT_LEARNER_NO_BIAS) return;
    ttt_params_add(params, slot + 1, b, TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(H, 1, out));
}

static void linear_declare(const ttt_learner_dims *dims, double std, ttt_params *params, int64_t slot)
{
    const int64_t D = dims->key_size;
    declare_norm(dims, params, slot + LINEAR_NORM);
    declare_map(dims, std, params, slot + LINEAR_W1, "W1", "b1", D, D);
}

static int64_t linear_weight_size(const ttt_learner_dims *dims, int weight)
{
    return weight == LINEAR_W1 ? dims->key_size * dims->key_size : dims->key_size;
}

const ttt_learner ttt_learner_linear = {.ops = linear_ops,
                                        .declare = linear_declare,
                                        .weights = 2,
                                        .names = {"W1", "b1"},
                                        .sums = {"W1_grad", "b1_grad"},
                                        .weight_size = linear_weight_size,
                                        .maps = &ttt_linear_maps};

/* ---- mlp: two maps with gelu between, MATH (mlp) ---- */

enum { MLP_W1, MLP_B1, MLP_W2, MLP_B2, MLP_NORM };

static const ttt_learner_ops *mlp_ops(const ttt_backend *backend) { return backend->ops->learner[TTT_MLP_LEARNER]; }

static void mlp_declare(const ttt_learner_dims *dims, double std, ttt_params *params, int64_t slot)
{
    const int64_t D = dims->key_size, E = 4 * D;
    declare_norm(dims, params, slot + MLP_NORM);
    declare_map(dims, std, params, slot + MLP_W1, "W1", "b1", D, E);
    declare_map(dims, std, params, slot + MLP_W2, "W2", "b2", E, D);
}

static int64_t mlp_weight_size(const ttt_learner_dims *dims, int weight)
{
    const int64_t D = dims->key_size, sizes[] = {4 * D * D, 4 * D, 4 * D * D, D};
    return sizes[weight];
}

const ttt_learner ttt_learner_mlp = {.ops = mlp_ops,
                                     .declare = mlp_declare,
                                     .weights = 4,
                                     .names = {"W1", "b1", "W2", "b2"},
                                     .sums = {"W1_grad", "b1_grad", "W2_grad", "b2_grad"},
                                     .weight_size = mlp_weight_size,
                                     .warmed_up = true,
                                     .maps = &ttt_mlp_maps};
