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
#include "config/config.h"

enum { TTT_LEARNER_PARAMS = 6 };

typedef struct ttt_learner {
    const char *name;                       /* ttt_layer_type in config.json */
    const char *params[TTT_LEARNER_PARAMS]; /* names in the order of call->params, NULL after the last */
    const ttt_learner_ops *(*ops)(const ttt_backend *backend);
} ttt_learner;

const ttt_learner *ttt_learner_get(ttt_learner_kind kind);

#endif
