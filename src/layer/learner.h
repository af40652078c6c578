/* SPDX-License-Identifier: MIT
 *
 * The learners: what adapts inside a TTT layer. A learner is its parameters and the operations that a backend has for
 * it (ttt_learner_ops, which see the whole layer call: all sequences, all heads, write and read coefficients token by
 * token). Where it takes its gradient, in which order it updates and reads, what its loss is and what its state holds
 * are its own affair.
 */
#ifndef TTT_LAYER_LEARNER_H
#define TTT_LAYER_LEARNER_H

#include "backend/backend.h"
#include "layer/params.h"

enum { TTT_LEARNER_PARAMS = 6 };

typedef struct ttt_learner {
    const ttt_learner_ops *(*ops)(const ttt_backend *backend);
    /* The parameters, on slots from `slot` on in the order of ttt_learner_call.params; `std` of first values. */
    void (*declare)(const ttt_learner_dims *dims, double std, ttt_params *params, int64_t slot);
    /* The first `weights` of them are what a sequence begins with and learns on: names, those of their open sums, and
     * the reals of one head. */
    int weights;
    const char *names[TTT_LEARNER_PARAMS], *sums[TTT_LEARNER_PARAMS];
    int64_t (*weight_size)(const ttt_learner_dims *dims, int weight);
    bool warmed_up;               /* its rate begins low when training begins */
    const ttt_learner_maps *maps; /* that it is made of: what its work is counted by */
} ttt_learner;

extern const ttt_learner ttt_learner_linear, ttt_learner_mlp;

#endif
