/* SPDX-License-Identifier: MIT
 *
 * The parts of a block: the TTT layer (a causal map x [R,C] -> y [R,C] with a state) and what stands around it. One
 * forward serves training, prefill, decode and every split between: with `saved` it keeps what backward needs, without
 * it is "advance". Nothing here touches data; it only names operations of the backend.
 */
#ifndef TTT_LAYER_LAYER_H
#define TTT_LAYER_LAYER_H

#include "backend/backend.h"
#include "base/arena.h"
#include "layer/learner.h"

/* Rows going through the model together: the new tokens of some sequences. */
typedef struct ttt_pass {
    const ttt_backend *backend;
    const ttt_run *runs;
    int64_t run_count;
    int64_t rows;                      /* R, the sum of the runs' counts */
    int64_t longest;                   /* the largest count */
    bool train;                        /* keep what backward needs */
    bool recompute;                    /* but of each block only its input: the rest is computed again in backward */
    struct ttt_inspection *inspection; /* NULL, or where the inner loop's losses go */
} ttt_pass;

/* What the inner loop's loss is before and after learning, at tokens that close a mini-batch: TTT.md section 5. One TTT
 * layer fills three numbers per run, means over heads: with the sequence's first weights, those at the start of the
 * mini-batch, and those after it. */
typedef struct ttt_inspection {
    double *losses; /* [L, run_count, 3]; untouched for runs that do not end with a mini-batch */
    int64_t layer;  /* the layer being computed */
    void *before;   /* [run_count, H, 2 weights], scratch */
    void *first;    /* a state block of an empty sequence */
} ttt_inspection;

/* ---- the TTT layer ---- */

typedef struct ttt_layer_shape {
    int64_t width; /* C */
    int64_t taps;  /* of the convolutions of q and k */
    bool share_qk, use_gate;
    double base_lr;
    ttt_learner_dims dims;
    const ttt_learner *learner;
    const void *rotation; /* [K, D/2, 2] cos and sin, reals */
    int64_t state_offset; /* of this layer in a sequence's state: learner, then the tail of u */
} ttt_layer_shape;

/* Its parameters; a gradient has the same form. Absent ones are zero. */
typedef struct ttt_layer_weights {
    ttt_param q, k, v, o, gate;                         /* [C,C] */
    ttt_param conv_q, conv_q_bias, conv_k, conv_k_bias; /* [C,W], [C] */
    ttt_param rate, rate_bias;                          /* [H,C], [H] */
    ttt_param token_idx;                                /* [K] */
    ttt_param post, post_bias;                          /* [C] */
    ttt_param learner[TTT_LEARNER_PARAMS];              /* in the learner's order */
} ttt_layer_weights;

/* Forward to backward. */
typedef struct ttt_layer_saved {
    void *u, *u_tail;    /* [R,C], [runs, W-1, C]: with share_qk */
    void *q, *k, *v;     /* [R,C], q and k rotated */
    void *rate, *factor; /* r [R,H], c [R] */
    void *z;             /* [R,C] out of the learner */
    void *gate;          /* [R,C] logits of the gate */
    void *learner;       /* NULL in inference */
    int64_t learner_stride;
} ttt_layer_saved;

/* Scratch, the same for every layer. */
typedef struct ttt_layer_scratch {
    void *o;                              /* [R,C] */
    void *dz, *dq, *dk, *dv, *du, *dgate; /* [R,C] */
    void *drate, *dfactor;                /* [R,H] */
    void *partial;
} ttt_layer_scratch;

int64_t ttt_layer_state_size(const ttt_layer_shape *shape, const ttt_backend *backend);
ttt_layer_saved ttt_layer_saved_layout(ttt_arena *arena, const ttt_layer_shape *shape, const ttt_pass *pass);
ttt_layer_scratch ttt_layer_scratch_layout(ttt_arena *arena, const ttt_layer_shape *shape, const ttt_pass *pass);

/* Sets the runs' states to those of empty sequences; its backward adds their gradients to those of the parameters. */
void ttt_layer_reset(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *weights);
void ttt_layer_reset_backward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *grads);

/* y [R,C] += layer(x [R,C]); the runs' states move on. */
void ttt_layer_forward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *weights,
                       const ttt_layer_saved *saved, const ttt_layer_scratch *scratch, void *y, const void *x);
/* dx [R,C] overwritten; grads +=; dstate of the runs: from the final state's to the initial state's. */
void ttt_layer_backward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *weights,
                        const ttt_layer_weights *grads, const ttt_layer_saved *saved, const ttt_layer_scratch *scratch,
                        void *dx, const void *dy, const void *x);

/* ---- the block around it: h += conv(norm(h)); h += layer(norm(h)); h += SwiGLU(norm(h)) ---- */

typedef struct ttt_block_shape {
    int64_t width, hidden; /* C, F */
    int64_t taps;
    bool pre_conv;
    double eps;
    int64_t conv_offset; /* of the tail of the convolution's input in a sequence's state */
    ttt_layer_shape layer;
} ttt_block_shape;

typedef struct ttt_block_weights {
    ttt_param conv_norm, conv, conv_bias; /* with pre_conv */
    ttt_param seq_norm, ffn_norm;
    ttt_param gate, up, down; /* [F,C], [F,C], [C,F] */
    ttt_layer_weights layer;
} ttt_block_weights;

typedef struct ttt_block_saved {
    void *conv_in, *conv_tail; /* h before the convolution [R,C], its tails [runs, W-1, C] */
    void *layer_in, *ffn_in;   /* h before the layer and before the network [R,C] */
    void *gate, *up;           /* [R,F] */
    ttt_layer_saved layer;
} ttt_block_saved;

typedef struct ttt_block_scratch {
    void *x, *dx; /* [R,C] */
    void *hidden; /* [R,F] */
    ttt_layer_scratch layer;
} ttt_block_scratch;

int64_t ttt_block_state_size(const ttt_block_shape *shape, const ttt_backend *backend);
ttt_block_saved ttt_block_saved_layout(ttt_arena *arena, const ttt_block_shape *shape, const ttt_pass *pass);
ttt_block_scratch ttt_block_scratch_layout(ttt_arena *arena, const ttt_block_shape *shape, const ttt_pass *pass);

/* h [R,C] in place. */
void ttt_block_forward(const ttt_pass *pass, const ttt_block_shape *shape, const ttt_block_weights *weights,
                       const ttt_block_saved *saved, const ttt_block_scratch *scratch, void *h);
/* dh [R,C] in place: gradient of the block's output to that of its input. What was saved is used up. */
void ttt_block_backward(const ttt_pass *pass, const ttt_block_shape *shape, const ttt_block_weights *weights,
                        const ttt_block_weights *grads, const ttt_block_saved *saved, const ttt_block_scratch *scratch,
                        void *dh);

#endif
