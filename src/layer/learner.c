/* SPDX-License-Identifier: MIT
 *
 * The table of learners that a configuration can name.
 */
#include "layer/learner.h"

static const ttt_learner_ops *linear(const ttt_backend *backend) { return backend->ops->learner[TTT_LINEAR_LEARNER]; }
static const ttt_learner_ops *mlp(const ttt_backend *backend) { return backend->ops->learner[TTT_MLP_LEARNER]; }

static const ttt_learner learners[] = {
    [TTT_LEARNER_LINEAR] = {.name = "linear",
                            .params = {"W1", "b1", "ttt_norm_weight", "ttt_norm_bias"},
                            .ops = linear},
    [TTT_LEARNER_MLP] = {.name = "mlp",
                         .params = {"W1", "b1", "W2", "b2", "ttt_norm_weight", "ttt_norm_bias"},
                         .ops = mlp},
};

const ttt_learner *ttt_learner_get(ttt_learner_kind kind) { return &learners[kind]; }
