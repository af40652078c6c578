/* SPDX-License-Identifier: MIT
 *
 * The flat blocks of training (parameters, gradients, both moments, laid out alike) and one AdamW update over them,
 * MATH (clip) and (adamw). Where products are not in f32, every matrix is also kept packed as they want it, and so is
 * its transpose: made anew once after the values have changed.
 */
#ifndef TTT_TRAIN_OPTIMIZER_H
#define TTT_TRAIN_OPTIMIZER_H

#include "model/lm.h"
#include "model/weights.h"

typedef struct ttt_optimizer {
    const ttt_lm *lm;
    const ttt_params *params;       /* lm's table */
    char *values, *grads, *m, *v;   /* flat blocks of params->size reals */
    char *packed;                   /* the matrices and their transposes in another precision than f32 */
    bool stale;                     /* values have changed since they were packed; whoever changes them sets it */
    ttt_param *weights, *gradients; /* [slots]: views into values and packed, and into grads */
} ttt_optimizer;

TTT_NODISCARD ttt_status ttt_optimizer_init(ttt_optimizer *optimizer, const ttt_lm *lm, ttt_precision precision);
void ttt_optimizer_deinit(ttt_optimizer *optimizer);
TTT_NODISCARD ttt_status ttt_optimizer_bytes(const ttt_lm *lm, ttt_precision precision, size_t *bytes);

/* The weights as they are now, by slots. */
const ttt_param *ttt_optimizer_weights(ttt_optimizer *optimizer);

/* Clips to a global norm of `clip` given the present `norm`, and updates elements [first, end). options->scale is set
 * here; stale is the caller's to set. */
void ttt_optimizer_update(ttt_optimizer *optimizer, ttt_adamw options, double norm, double clip, int64_t first,
                          int64_t end);

#endif
