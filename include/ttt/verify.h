/* SPDX-License-Identifier: MIT
 *
 * Is a model right? Compares everything that a golden file holds (logits, loss, blocks, states, gradients, training
 * steps, greedy text) with what this library computes, in one call and in splits; and checks that splits, threads and
 * batches change no bit.
 */
#ifndef TTT_VERIFY_H
#define TTT_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <ttt/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_quantity {
    char name[160]; /* the golden tensor's name, with "@split=n" when computed in calls of n tokens; or "bits.split=n",
                       "bits.threads=2", "bits.batch" */
    double max_abs; /* largest absolute difference; greedy: tokens that differ; bits: words that differ */
    double max_rel; /* max_abs over the quantity's largest magnitude; 0 if there is no difference */
    double tolerance; /* of max_rel; of max_abs for greedy and bits */
    bool ok;
} ttt_quantity;

typedef struct ttt_verification {
    ttt_quantity *quantities; /* [count] */
    int64_t count;
    bool ok;              /* all of them */
    double sentence_loss; /* nats per token of a built-in sentence; -1 without a tokenizer in the folder */
    double uniform_loss;  /* log V: what knowing nothing gives */
} ttt_verification;

/* Verifies the model in `folder`; golden NULL: only what needs no golden file. Release with ttt_verification_free. A
 * difference over its tolerance is a result, not a failure of the call. Against a golden file f32 is the default
 * precision, and q8 and q4 are TTT_ERR_UNSUPPORTED: no bound is known for them. */
TTT_API TTT_NODISCARD ttt_status ttt_verify(ttt_verification **verification, const char *folder, const char *golden,
                                            const ttt_model_options *options);
TTT_API void ttt_verification_free(ttt_verification *verification);

/* One digest of what a model computes. */
typedef struct ttt_digest_line {
    const char
        *what; /* "inference": logits and final state of fixed tokens; "training": parameters after ten updates */
    const char *backend, *precision; /* what computed it: "cpu", "f32" */
    const char *isa; /* "any": every instruction set computes these bits; else the one that does: "amx" in bf16 */
    char digest[65]; /* 64 hexadecimal digits */
} ttt_digest_line;

enum { TTT_DIGEST_LINES = 5 };
typedef struct ttt_digests {
    ttt_digest_line lines[TTT_DIGEST_LINES];
    int count;
} ttt_digests;

/* Digests of the model in `folder`: of inference in the precision that the options name, or in every one if they name
 * none, and of training in f32 with the project's own products, unless the folder is quantised. The tokens are a pure
 * function of the size of the vocabulary. Whoever gets the same digest computes the same bits. */
TTT_API TTT_NODISCARD ttt_status ttt_verify_digests(ttt_digests *digests, const char *folder,
                                                    const ttt_model_options *options);

#ifdef __cplusplus
}
#endif
#endif
