/* SPDX-License-Identifier: MIT */
#ifndef TTT_TRAIN_TRAINER_H
#define TTT_TRAIN_TRAINER_H

#include <ttt/train.h>

#include "store/safetensors.h"
#include "train/backprop.h"
#include "train/leaves.h"
#include "train/optimizer.h"
#include "train/shares.h"

struct ttt_trainer {
    ttt_backend *backend;
    ttt_lm lm;
    ttt_train_options options;
    ttt_optimizer optimizer;
    ttt_leaves leaves;
    ttt_shares shares;
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

/* The two halves of an update: loss and gradients of tokens [batch / ranks, context + 1], which end in the optimizer,
 * with ranks each one's share of them, and their global norm; then the update itself with a learning rate. */
TTT_NODISCARD ttt_status ttt_trainer_gradients(ttt_trainer *trainer, const int32_t *tokens, double *loss, double *norm);
TTT_NODISCARD ttt_status ttt_trainer_update(ttt_trainer *trainer, double rate, double norm);

/* The second half of ttt_trainer_save, after ttt_shares_collect: by rank 0 alone. */
TTT_NODISCARD ttt_status ttt_trainer_write(const ttt_trainer *trainer, const char *path, const char *note);

/* What a checkpoint says of itself, beside its tensors; and the same as text, to be released with free, and read again.
 * `where` is for sentences. */
TTT_NODISCARD ttt_status ttt_checkpoint_header(const ttt_safetensors *file, const char *path, ttt_config *config,
                                               ttt_train_options *options, int64_t *step);
TTT_NODISCARD ttt_status ttt_trainer_header(const ttt_trainer *trainer, char **text);
TTT_NODISCARD ttt_status ttt_trainer_parse_header(const char *text, const char *where, ttt_config *config,
                                                  ttt_train_options *options, int64_t *step);

/* What is taken of `how` where a trainer is made from a header: see ttt_trainer_load. */
void ttt_trainer_take_how(ttt_train_options *options, const ttt_train_options *how);

/* A trainer whose parameters and moments are all zero. */
TTT_NODISCARD ttt_status ttt_trainer_new_empty(ttt_trainer **trainer, const ttt_config *config,
                                               const ttt_train_options *options);

#endif
