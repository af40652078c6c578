/* SPDX-License-Identifier: MIT
 *
 * TTT-Linear's and TTT-MLP's learners, as a layer sees them.
 */
#include "layer/learner.h"

/* ---- linear: one map, MATH (linear) ---- */

enum { LINEAR_W1, LINEAR_B1, LINEAR_NORM, LINEAR_NORM_BIAS };

static const ttt_learner_ops *linear_ops(const ttt_backend *backend)
{
    return backend->ops->learner[TTT_LINEAR_LEARNER];
}

static void linear_declare(const ttt_learner_dims *dims, double std, ttt_params *params, int64_t slot)
{
    const int64_t H = dims->heads, D = dims->key_size;
    ttt_params_add(params, slot + LINEAR_NORM, "ttt_norm_weight", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(H, D));
    ttt_params_add(params, slot + LINEAR_NORM_BIAS, "ttt_norm_bias", TTT_ROLE_VALUES, ttt_first_zeros(),
                   TTT_SHAPE(H, D));
    ttt_params_add(params, slot + LINEAR_W1, "W1", TTT_ROLE_VALUES, ttt_first_normal(std), TTT_SHAPE(H, D, D));
    ttt_params_add(params, slot + LINEAR_B1, "b1", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(H, 1, D));
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

enum { MLP_W1, MLP_B1, MLP_W2, MLP_B2, MLP_NORM, MLP_NORM_BIAS };

static const ttt_learner_ops *mlp_ops(const ttt_backend *backend) { return backend->ops->learner[TTT_MLP_LEARNER]; }

static void mlp_declare(const ttt_learner_dims *dims, double std, ttt_params *params, int64_t slot)
{
    const int64_t H = dims->heads, D = dims->key_size, E = 4 * D;
    ttt_params_add(params, slot + MLP_NORM, "ttt_norm_weight", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(H, D));
    ttt_params_add(params, slot + MLP_NORM_BIAS, "ttt_norm_bias", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(H, D));
    ttt_params_add(params, slot + MLP_W1, "W1", TTT_ROLE_VALUES, ttt_first_normal(std), TTT_SHAPE(H, D, E));
    ttt_params_add(params, slot + MLP_B1, "b1", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(H, 1, E));
    ttt_params_add(params, slot + MLP_W2, "W2", TTT_ROLE_VALUES, ttt_first_normal(std), TTT_SHAPE(H, E, D));
    ttt_params_add(params, slot + MLP_B2, "b2", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(H, 1, D));
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
