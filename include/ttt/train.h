/* SPDX-License-Identifier: MIT
 *
 * Training: a trainer owns a model's parameters, their gradients and moments, and takes updates one by one. What is
 * computed depends on the options, the data and the update's number alone, never on the number of threads or on
 * interruptions.
 *
 * Threads: a trainer is used by one thread at a time; different trainers are independent. After fork the child may only
 * free it. Signals: the trainer's threads take none.
 */
#ifndef TTT_TRAIN_H
#define TTT_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/comm.h>
#include <ttt/config.h>
#include <ttt/profile.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_trainer ttt_trainer;

typedef enum ttt_schedule { TTT_SCHEDULE_COSINE, TTT_SCHEDULE_CONSTANT, TTT_SCHEDULE_LINEAR } ttt_schedule;

/* The paper's recipe: AdamW with clipping, warm-up and decay of its rate. ttt_train_options_init gives its defaults. */
typedef struct ttt_train_options {
    const char *backend;   /* as in ttt_model_options */
    const char *precision; /* of the large products: "f32", "bf16", or "auto" (NULL): bf16 where the processor has
                              products of it (AMX, AVX512_BF16). Master weights, gradients, moments and all sums are f32
                              whatever is said */
    int threads;           /* 0: TTT_THREADS if set, else one per processor */
    uint64_t seed;
    int64_t context;    /* T, tokens of a sequence */
    int64_t batch;      /* sequences per update, all accumulations together */
    int64_t accumulate; /* forward-backward passes per update at least; divides batch */
    int64_t leaves;     /* parts of an update whose gradients are made apart and added pairwise, a power of two that
                           divides batch; 1: one part. Any accumulate that divides it gives the same bits; one that is
                           a multiple of it computes every part in several passes */
    int64_t segment;    /* a sequence is trained in segments of this many tokens; 0: whole */
    int64_t group;      /* W is kept every `group` tiles of the inner loop and recomputed between; default 8 */
    int64_t steps;      /* updates of the whole run */
    double rate;        /* peak learning rate */
    double final_rate;  /* of the schedule's end, 1e-5 */
    double warmup;      /* fraction of the steps, 0.1 */
    ttt_schedule schedule;
    double beta1, beta2, eps, decay, clip;
    bool recompute; /* keep of each block only its input and compute the rest again: less memory, a third more time,
                       and the same bits */
    bool profile;   /* measure every operation: ttt_trainer_profile */
    ttt_comm *comm; /* the ranks that share the trainer, or NULL; their number must divide leaves. Every rank then makes
                       the same calls, and is given its own sequences: of N ranks the r-th has numbers r * batch / N,
                       ..., (r + 1) * batch / N - 1 of an update. The comm outlives the trainer */
} ttt_train_options;

TTT_API void ttt_train_options_init(ttt_train_options *options);

/* Passes of an update: accumulate or leaves, whichever is more. With as many leaves a pass is a leaf; with fewer, a
 * leaf is several passes one after another. */
TTT_API int64_t ttt_train_passes(const ttt_train_options *options);

typedef struct ttt_train_result {
    double loss;      /* mean cross entropy of the update's tokens, nats, before the update */
    double rate;      /* learning rate used */
    double grad_norm; /* global norm before clipping */
} ttt_train_result;

/* A trainer with fresh parameters (a pure function of the seed). `options` NULL: those of ttt_train_options_init, one
 * update. Free with ttt_trainer_free; NULL is allowed there. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_new(ttt_trainer **trainer, const ttt_config *config,
                                                 const ttt_train_options *options);
TTT_API void ttt_trainer_free(ttt_trainer *trainer);

/* Replaces the parameters by those of a model folder of the same configuration: fine-tuning. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_load_model(ttt_trainer *trainer, const char *folder);

/* Bytes of memory a trainer of this configuration needs, beside the data. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_memory(const ttt_config *config, const ttt_train_options *options,
                                                    size_t *bytes);

/* Tokens a second in training, measured: the fastest of some updates of a few sequences, of the model or of one of
 * its blocks of each kind. Of `options` only how it is computed, context and segment count. */
TTT_API TTT_NODISCARD ttt_status ttt_train_speed(const ttt_config *config, const ttt_train_options *options,
                                                 double *tokens_per_s);

/* One update. tokens [batch, context + 1], with N ranks [batch / N, context + 1]; the learning rate follows from the
 * number of updates taken so far. A loss or norm that is not finite is TTT_ERR_NUMERIC; the parameters are then
 * untouched. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_step(ttt_trainer *trainer, const int32_t *tokens,
                                                  ttt_train_result *result);

/* Mean loss over `sequences` sequences of context + 1 tokens, each from a fresh state; nothing is learned. Also the sum
 * of squares of the sequences' mean losses when `squares` is not NULL. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_evaluate(ttt_trainer *trainer, const int32_t *tokens, int64_t sequences,
                                                      double *loss, double *squares);

TTT_API int64_t ttt_trainer_step_count(const ttt_trainer *trainer); /* updates taken */
TTT_API const ttt_config *ttt_trainer_config(const ttt_trainer *trainer);
TTT_API const ttt_train_options *ttt_trainer_options(const ttt_trainer *trainer);
TTT_API const char *ttt_trainer_backend(const ttt_trainer *trainer); /* "cpu", "ref" */
TTT_API const char *ttt_trainer_isa(const ttt_trainer *trainer);     /* as ttt_model_isa */
/* Changes the number of updates of the whole run, and so the learning rates still to come. */
TTT_API void ttt_trainer_set_steps(ttt_trainer *trainer, int64_t steps);

/* What the operations of all updates and evaluations took; no rows without options.profile. The rows belong to the
 * trainer and go on counting. */
TTT_API ttt_profile ttt_trainer_profile(const ttt_trainer *trainer);

/* Learning rate of update `step` (0-based) under the options. */
TTT_API double ttt_train_rate(const ttt_train_options *options, int64_t step);

/* Writes model.safetensors and config.json into a folder, each whole or not at all. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_save_model(const ttt_trainer *trainer, const char *folder);

/* A checkpoint is one file: parameters, moments, update count, configuration, options, and `note`, text of the caller's
 * that comes back on load (data position, hashes). Of ranks the first writes; all call. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_save(const ttt_trainer *trainer, const char *path, const char *note);
/* Makes a trainer from a checkpoint. Of `how`, what a checkpoint does not hold is taken: backend, threads, recompute,
 * profile, comm; and precision, if it is not NULL: else that of the checkpoint. *note is a new string: release with
 * ttt_string_free. */
TTT_API TTT_NODISCARD ttt_status ttt_trainer_load(ttt_trainer **trainer, const char *path, const ttt_train_options *how,
                                                  char **note);

#ifdef __cplusplus
}
#endif
#endif
