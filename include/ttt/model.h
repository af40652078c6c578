/* SPDX-License-Identifier: MIT
 *
 * A language model opened for inference, and the states of the sequences it reads. A model is read-only once open. A
 * state is all the model knows of one sequence: one block of constant size, whatever the length of the sequence.
 */
#ifndef TTT_MODEL_H
#define TTT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_model ttt_model;
typedef struct ttt_state ttt_state;

typedef struct ttt_model_options {
    const char *backend; /* "ref", "cpu" or "auto"; NULL is "auto" */
    /* What products with weight matrices compute in: "f32"; "bf16", both operands rounded; "q8" or "q4", weights and
     * rows in blocks of small integers; or "auto" (NULL): as the file is quantised, else bf16 where the machine
     * multiplies it faster (AMX), else f32. ref computes in f64 with the same roundings. */
    const char *precision;
    int threads; /* 0: TTT_THREADS if set, else one per processor */
} ttt_model_options;

/* Opens a model folder (config.json, model.safetensors or shards). `options` NULL: defaults. Every tensor's name, shape
 * and values are checked: what is missing, superfluous, of another shape or not finite is named. Free with
 * ttt_model_free. */
TTT_API TTT_NODISCARD ttt_status ttt_model_open(ttt_model **model, const char *folder,
                                                const ttt_model_options *options);

/* A model with the first weights of training (a pure function of `seed`): for measurements and tests. */
TTT_API TTT_NODISCARD ttt_status ttt_model_new(ttt_model **model, const ttt_config *config, uint64_t seed,
                                               const ttt_model_options *options);

/* NULL is allowed. No state may outlive its model. */
TTT_API void ttt_model_free(ttt_model *model);

TTT_API const ttt_config *ttt_model_config(const ttt_model *model);
TTT_API int64_t ttt_model_vocabulary(const ttt_model *model);  /* ids and logits are this many */
TTT_API const char *ttt_model_backend(const ttt_model *model); /* "cpu", "ref" */
TTT_API int ttt_model_threads(const ttt_model *model);
/* The instruction set in use, such as "avx512"; "f64" loops of ref are "none". */
TTT_API const char *ttt_model_isa(const ttt_model *model);

/* What its products compute in: "f32", "bf16", "q8" or "q4"; never "auto". */
TTT_API const char *ttt_model_precision(const ttt_model *model);

/* The state of a sequence of which nothing has been read. Free with ttt_state_free. */
TTT_API TTT_NODISCARD ttt_status ttt_state_new(ttt_state **state, const ttt_model *model);
TTT_API void ttt_state_free(ttt_state *state);
/* Forget everything: as new. */
TTT_API void ttt_state_reset(ttt_state *state);
/* Makes `state` equal to `other`, of the same model. The two are independent afterwards: this is a fork. */
TTT_API void ttt_state_copy(ttt_state *state, const ttt_state *other);
/* With `frozen` the learner of this sequence does not update (r_j = 0): what is left of the model without learning at
 * test time. */
TTT_API void ttt_state_freeze(ttt_state *state, bool frozen);
TTT_API int64_t ttt_state_position(const ttt_state *state); /* tokens read */
TTT_API size_t ttt_state_bytes(const ttt_state *state);

typedef enum ttt_logits { TTT_LOGITS_NONE, TTT_LOGITS_LAST, TTT_LOGITS_ALL } ttt_logits;

/* New tokens for one sequence. */
typedef struct ttt_feed {
    ttt_state *state;      /* advanced by `count` tokens */
    const int32_t *tokens; /* [count], each in [0, V) */
    int64_t count;         /* >= 1 */
    ttt_logits which;      /* logits wanted: none, of the last token, or of every token */
    float *logits;         /* out: [V] or [count, V]; unused for none */
} ttt_feed;

/* Reads the tokens of `feeds` sequences, each with its own state and position. The one routine of inference: any split
 * of a sequence into calls, any company in a call and any number of threads give the same bits. A token out of range is
 * TTT_ERR_ARGUMENT; then no state has changed. */
TTT_API TTT_NODISCARD ttt_status ttt_model_advance(ttt_model *model, const ttt_feed *feeds, int64_t count);

#ifdef __cplusplus
}
#endif
#endif
