/* SPDX-License-Identifier: MIT
 *
 * The flat blocks of training (parameters, gradients, both moments, laid out alike) and one AdamW update over them,
 * MATH (clip) and (adamw).
 */
#ifndef TTT_TRAIN_OPTIMIZER_H
#define TTT_TRAIN_OPTIMIZER_H

#include "model/model.h"

typedef struct ttt_optimizer {
    const ttt_lm *lm;
    char *values, *grads, *m, *v;      /* flat blocks of lm->layout.size reals */
    ttt_lm_weights weights, gradients; /* views into values and grads */
} ttt_optimizer;

TTT_NODISCARD ttt_status ttt_optimizer_init(ttt_optimizer *optimizer, const ttt_lm *lm);
void ttt_optimizer_deinit(ttt_optimizer *optimizer);
size_t ttt_optimizer_bytes(const ttt_lm *lm);

/* The global norm of the gradients. */
double ttt_optimizer_norm(const ttt_optimizer *optimizer);

/* Clips to a global norm of `clip` given the present `norm`, and updates. options->scale is set here. */
void ttt_optimizer_update(ttt_optimizer *optimizer, ttt_adamw options, double norm, double clip);

#endif
