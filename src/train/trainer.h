/* SPDX-License-Identifier: MIT */
#ifndef TTT_TRAIN_TRAINER_H
#define TTT_TRAIN_TRAINER_H

#include <ttt/train.h>

#include "store/safetensors.h"
#include "train/backprop.h"
#include "train/leaves.h"
#include "train/optimizer.h"

struct ttt_trainer {
    ttt_backend *backend;
    ttt_lm lm;
    ttt_train_options options;
    ttt_optimizer optimizer;
    ttt_leaves leaves;
    ttt_backprop backprop;
    int64_t step;   /* updates taken */
    double seconds; /* of all updates and evaluations */
    /* After each pass of update `step` (from 1); NULL: nobody is told. */
    void (*passed)(void *context, int64_t step, int64_t done, int64_t total);
    void *passed_context;
};

enum { TTT_SCHEDULE_COUNT = TTT_SCHEDULE_LINEAR + 1 };
extern const char *const ttt_schedule_names[TTT_SCHEDULE_COUNT];

double ttt_train_warmup_steps(const ttt_train_options *options); /* updates of the warm-up */

/* The rate_factor of the passes of update `step`: 0.1 to 1 over the warm-up. */
double ttt_train_base_lr_factor(const ttt_train_options *options, int64_t step);

/* The two halves of an update: loss and gradients of tokens [batch, context + 1], which end in the optimizer, and their
 * global norm; then the update itself with a learning rate. */
TTT_NODISCARD ttt_status ttt_trainer_gradients(ttt_trainer *trainer, const int32_t *tokens, double *loss, double *norm);
void ttt_trainer_update(ttt_trainer *trainer, double rate, double norm);

/* What a checkpoint says of itself, beside its tensors. */
TTT_NODISCARD ttt_status ttt_checkpoint_header(const ttt_safetensors *file, const char *path, ttt_config *config,
                                               ttt_train_options *options, int64_t *step);

/* A trainer whose parameters and moments are all zero. */
TTT_NODISCARD ttt_status ttt_trainer_new_empty(ttt_trainer **trainer, const ttt_config *config,
                                               const ttt_train_options *options);

#endif
