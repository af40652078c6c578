/* SPDX-License-Identifier: MIT
 *
 * The loss of some sequences and its gradient by every parameter. A sequence may be gone through in segments: the
 * states at their starts are kept, each segment is computed again in the backward, and the state's gradient is carried
 * from one to the one before. The loss and gradients are the same to rounding, and memory is that of one segment and
 * one state per segment. With recompute it is that of one block, and the bits are the same.
 */
#ifndef TTT_TRAIN_BACKPROP_H
#define TTT_TRAIN_BACKPROP_H

#include "model/lm.h"

typedef struct ttt_backprop {
    const ttt_lm *lm;
    int64_t sequences, context, segment; /* B, T, tokens of a segment */
    bool recompute;                      /* of each block only its input is kept */
    double rate_factor;                  /* of the passes: see ttt_pass; 1 at first */
    /* After the gradients of a block, and so of all above it and of the head, are whole; NULL: nobody is told. */
    void (*done)(void *context, int64_t block);
    void *done_context;
    ttt_workspace workspace;
    char *starts;           /* [segments, B, state] states at the segments' starts; absent where nothing is repeated */
    char *states, *dstates; /* [B, state] */
    char **grown;           /* [2, layers] what layers keep of every token, [B, T, per_token], and its gradient */
    void **places;          /* [2, B, layers] where in these each sequence has its own: see ttt_run */
    ttt_run *runs;          /* [B] */
    int32_t *ids, *targets; /* [B, segment] */
} ttt_backprop;

/* segment 0: the whole context. */
TTT_NODISCARD ttt_status ttt_backprop_init(ttt_backprop *backprop, const ttt_lm *lm, int64_t sequences, int64_t context,
                                           int64_t segment, bool recompute);
void ttt_backprop_deinit(ttt_backprop *backprop);
/* Bytes that it takes. */
size_t ttt_backprop_bytes(const ttt_lm *lm, int64_t sequences, int64_t context, int64_t segment, bool recompute);

/* Sum over all tokens of the cross entropy of tokens[:,1:] given tokens[:,:-1]; tokens [B, T+1]. With `grads` the
 * gradient of scale times the sum is added to them; NULL: only the loss. `losses` (NULL allowed): the sum of each
 * sequence, [B]. weights, grads: by slots. */
double ttt_backprop_run(ttt_backprop *backprop, const ttt_param *weights, const ttt_param *grads, const int32_t *tokens,
                        double scale, double *losses);

#endif
