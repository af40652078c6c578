/* SPDX-License-Identifier: MIT
 *
 * The parts of a verification: each appends the quantities it compared.
 */
#ifndef TTT_EVAL_VERIFY_H
#define TTT_EVAL_VERIFY_H

#include <ttt/verify.h>

#include "model/context.h"
#include "store/safetensors.h"

typedef struct ttt_verifier {
    ttt_verification *verification;
    int64_t capacity;
    const char *folder;
    const ttt_safetensors *golden; /* NULL: none */
    const ttt_model_options *options;
    bool exact;      /* the backend computes in f64 */
    double rounding; /* what is to be expected of bf16 in the logits; 0 in other precisions */
} ttt_verifier;

/* What a quantity is bounds its largest difference over its largest magnitude. SAME: by nothing. */
typedef enum ttt_verify_kind {
    TTT_VERIFY_SAME,
    TTT_VERIFY_FORWARD,
    TTT_VERIFY_BACKWARD,
    TTT_VERIFY_TRAIN_LOSS
} ttt_verify_kind;

double ttt_verifier_tolerance(const ttt_verifier *verifier, ttt_verify_kind kind);

/* Appends a quantity. */
TTT_NODISCARD ttt_status ttt_verifier_add(ttt_verifier *verifier, const char *name, double max_abs, double magnitude,
                                          ttt_verify_kind kind);

/* Compares `count` values with the golden tensor `name`, under `label`. `magnitude_of`: the tensor whose largest
 * magnitude counts (NULL: itself). */
TTT_NODISCARD ttt_status ttt_verifier_compare(ttt_verifier *verifier, const char *name, const char *label,
                                              const double *values, int64_t count, const char *magnitude_of,
                                              ttt_verify_kind kind);

/* The golden tensor as doubles (release with ttt_free); NULL with the sentence recorded if it is absent, not floating
 * or has another number of elements. */
double *ttt_verifier_read(const ttt_verifier *verifier, const char *name, int64_t count);

/* Tokens [sequences, length] of a golden I32 tensor, at an unaligned place: a copy, release with ttt_free. */
TTT_NODISCARD ttt_status ttt_verifier_tokens(const ttt_verifier *verifier, const char *name, int rank, int64_t shape[3],
                                             int32_t **tokens);

/* Logits, blocks, states, greedy, in splits. */
TTT_NODISCARD ttt_status ttt_verify_inference(ttt_verifier *verifier, ttt_context *context);
/* Splits, threads, other sequences in the same call. */
TTT_NODISCARD ttt_status ttt_verify_bits(ttt_verifier *verifier, ttt_context *context);
/* What a state holds as other programs see it (ttt_layer_ops.view) of one layer, as `values` [elements] reals of the
 * model's backend. Free the values with ttt_free. */
typedef struct ttt_state_view {
    ttt_state_piece pieces[TTT_STATE_PIECES];
    int count;
    int64_t elements;
    void *values;
} ttt_state_view;
TTT_NODISCARD ttt_status ttt_state_view_read(ttt_state_view *view, const ttt_state *state, const ttt_layer *layer);
TTT_NODISCARD ttt_status ttt_verify_training(ttt_verifier *verifier); /* loss, gradients, training steps */

#endif
