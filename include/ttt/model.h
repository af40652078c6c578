/* SPDX-License-Identifier: MIT
 *
 * A language model opened for inference (weights), what computes with it (contexts), and what it knows of the sequences
 * it reads (states).
 *
 * Threads: a model is constant once open, and any number of threads and contexts share it. A context is used by one
 * thread at a time, and so is a state; a call that finds either in use by another fails and says so. Different states
 * are independent, also of one model: each may be reset, copied or advanced (in contexts of their own) at the same time
 * as the others. After fork, the child uses models and states as the parent does, but makes contexts of its own: those
 * of the parent have no threads there, and only ttt_context_free may be called with them. Signals: the threads of a
 * context take none; no function is to be called from a signal handler.
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
typedef struct ttt_context ttt_context;
typedef struct ttt_state ttt_state;

typedef struct ttt_model_options {
    const char *backend; /* "ref", "cpu" or "auto"; NULL is "auto" */
    /* What products with weight matrices compute in: "f32"; "bf16", both operands rounded; "q8" or "q4", weights and
     * rows in blocks of small integers; or "auto" (NULL): as the file is quantised, else bf16 where the processor
     * multiplies it faster (AMX, AVX512_BF16), else f32. ref computes in f64 with the same roundings. */
    const char *precision;
    int threads; /* that prepare the weights; 0: TTT_THREADS if set, else one per processor */
    /* "KEY=VALUE" of config.json [setting_count], in this order, over what the folder says: for keys that a trained
     * model can be read with otherwise, such as ttt_keep; what the weights are for other values of is refused as where
     * config.json says it. The fingerprint covers them. Not for ttt_model_new. */
    const char *const *settings;
    size_t setting_count;
} ttt_model_options;

/* Opens a model folder (config.json, model.safetensors or shards). `options` NULL: defaults. Every tensor's name, shape
 * and values are checked: what is missing, superfluous, of another shape or not finite is named; so are shards of two
 * saves side by side. The files are mapped while this reads them: one that another process cuts short meanwhile ends
 * this one (SIGBUS); one that is replaced by renaming, as ttt does, is no matter. Free with ttt_model_free. */
TTT_API TTT_NODISCARD ttt_status ttt_model_open(ttt_model **model, const char *folder,
                                                const ttt_model_options *options);

/* A model with the first weights of training (a pure function of `seed`): for measurements and tests. */
TTT_API TTT_NODISCARD ttt_status ttt_model_new(ttt_model **model, const ttt_config *config, uint64_t seed,
                                               const ttt_model_options *options);

/* NULL is allowed. No context and no state may outlive its model. */
TTT_API void ttt_model_free(ttt_model *model);

TTT_API const ttt_config *ttt_model_config(const ttt_model *model);
TTT_API int64_t ttt_model_vocabulary(const ttt_model *model);  /* ids and logits are this many */
TTT_API const char *ttt_model_backend(const ttt_model *model); /* "cpu", "ref" */
/* The instruction set in use, such as "avx512"; "plain" for ref. */
TTT_API const char *ttt_model_isa(const ttt_model *model);

/* What its products compute in: "f32", "bf16", "q8" or "q4"; never "auto". */
TTT_API const char *ttt_model_precision(const ttt_model *model);

/* 64 hexadecimal digits that tell this model from others: of its configuration, its weights as their file has them, and
 * the precision they are used in. */
TTT_API const char *ttt_model_fingerprint(const ttt_model *model);

/* What computes with a model: threads (0: TTT_THREADS if set, else one per processor; they change no bit) and the
 * memory of a pass. Free with ttt_context_free; NULL is allowed there. */
TTT_API TTT_NODISCARD ttt_status ttt_context_new(ttt_context **context, const ttt_model *model, int threads);
TTT_API void ttt_context_free(ttt_context *context);
TTT_API const ttt_model *ttt_context_model(const ttt_context *context);
TTT_API int ttt_context_threads(const ttt_context *context);

/* The state of a sequence of which nothing has been read. Free with ttt_state_free; NULL is allowed there. */
TTT_API TTT_NODISCARD ttt_status ttt_state_new(ttt_state **state, const ttt_model *model);
TTT_API void ttt_state_free(ttt_state *state);
/* Forget everything: as new. */
TTT_API void ttt_state_reset(ttt_state *state);
/* Makes `state` equal to `other`, of the same model, else TTT_ERR_ARGUMENT. The two are independent afterwards: this is
 * a fork. On failure `state` is as it was. */
TTT_API TTT_NODISCARD ttt_status ttt_state_copy(ttt_state *state, const ttt_state *other);
/* With `frozen` the learners of this sequence do not update (r_j = 0): what is left of the model without learning at
 * test time. */
TTT_API void ttt_state_freeze(ttt_state *state, bool frozen);
/* Room for `tokens` tokens in all in what grows with the sequence, if something does (attention); reading on makes room
 * by itself. If the machine has not so much memory left, TTT_ERR_MEMORY with both figures; on failure nothing has
 * changed. */
TTT_API TTT_NODISCARD ttt_status ttt_state_reserve(ttt_state *state, int64_t tokens);
TTT_API int64_t ttt_state_position(const ttt_state *state); /* tokens read */
/* Of memory, now; of one that remembers with its snapshots, which its copies count too. */
TTT_API size_t ttt_state_bytes(const ttt_state *state);
TTT_API bool ttt_state_frozen(const ttt_state *state);
TTT_API const ttt_model *ttt_state_model(const ttt_state *state);

/* What tells one sequence of tokens from another: a hash of 128 bits, the same however the sequence is cut into calls.
 * That of no tokens is all zero. It guards against accidents, not against an adversary. */
typedef struct ttt_token_hash {
    uint64_t low, high;
} ttt_token_hash;
TTT_API void ttt_token_hash_add(ttt_token_hash *hash, const int32_t *ids, int64_t count);
TTT_API ttt_token_hash ttt_state_token_hash(const ttt_state *state); /* of all tokens read */

/* From now on the state remembers, and copies of it do so too: it keeps the ids of the tokens that it reads, and on the
 * way snapshots of itself, at most 2 log2 of the mini-batches read, which copies share; so it can go back to any
 * position. Only for a state of which nothing was read, else TTT_ERR_ARGUMENT; for one that remembers already it is
 * nothing. To freeze or unfreeze a state once something was read ends it: the ids would no longer tell what the state
 * is. */
TTT_API TTT_NODISCARD ttt_status ttt_state_remember(ttt_state *state);
/* The ids of all tokens read [*count], valid until the state reads on or changes; NULL, and 0, if it keeps none. */
TTT_API const int32_t *ttt_state_tokens(const ttt_state *state, int64_t *count);
/* For who reads a long text in several calls: reading will go on to `position`, so that snapshots are taken only where
 * they are still wanted then. It changes no bit. Nothing for a state that does not remember. */
TTT_API void ttt_state_expect(ttt_state *state, int64_t position);
/* Goes back to the nearest snapshot at or below `position`, or to the beginning; when the ids *again [*count] were then
 * read, the state is at `position`, with the bits of one that has read only so many. They are the state's, and stay
 * what they are until it reads others. A position that was not reached, or a state that does not remember, is
 * TTT_ERR_ARGUMENT, and changes nothing. */
TTT_API TTT_NODISCARD ttt_status ttt_state_rewind(ttt_state *state, int64_t position, const int32_t **again,
                                                  int64_t *count);

typedef enum ttt_logits { TTT_LOGITS_NONE, TTT_LOGITS_LAST, TTT_LOGITS_ALL } ttt_logits;

/* New tokens for one sequence. */
typedef struct ttt_feed {
    ttt_state *state;      /* advanced by `count` tokens */
    const int32_t *tokens; /* [count], each in [0, V) */
    int64_t count;         /* >= 1 */
    ttt_logits which;      /* logits wanted: none, of the last token, or of every token */
    float *logits;         /* out: [V] or [count, V]; unused for none */
} ttt_feed;

/* Reads the tokens of `count` sequences, each with its own state and position, all of the context's model. The one
 * routine of inference: any split of a sequence into calls, any other sequences in a call and any number of threads
 * give the same bits. A token out of range, or a state of another model or in use elsewhere, is TTT_ERR_ARGUMENT; then,
 * and when memory is short, no state has changed. */
TTT_API TTT_NODISCARD ttt_status ttt_context_advance(ttt_context *context, const ttt_feed *feeds, int64_t count);

/* Back to `position`, in one call: ttt_state_rewind, and the tokens between are read again; *again says how many (NULL:
 * not wanted). On failure the state is as it was. */
TTT_API TTT_NODISCARD ttt_status ttt_context_rollback(ttt_context *context, ttt_state *state, int64_t position,
                                                      int64_t *again);

#ifdef __cplusplus
}
#endif
#endif
