/* SPDX-License-Identifier: MIT
 *
 * The TTT layer, inside: what its files share. MATH (layer).
 */
#ifndef TTT_LAYER_TTT_H
#define TTT_LAYER_TTT_H

#include "layer/layer.h"
#include "layer/learner.h"

/* Its parameters. */
enum {
    TTT_Q,
    TTT_K,
    TTT_V,
    TTT_O,
    TTT_GATE, /* [C,C] */
    TTT_CONV_Q,
    TTT_CONV_Q_BIAS,
    TTT_CONV_K,
    TTT_CONV_K_BIAS, /* [C,W], [C] */
    TTT_RATE,
    TTT_RATE_BIAS, /* [H,C], [H] */
    TTT_TOKEN_IDX, /* [K] */
    TTT_POST,      /* [C] */
    TTT_POST_BIAS, /* [C] */
    TTT_LEARNER,   /* the learner's, in its own order */
    TTT_SLOTS = TTT_LEARNER + TTT_LEARNER_PARAMS
};

/* Its constants. */
typedef struct ttt_shape {
    const ttt_learner *learner;
    ttt_learner_dims dims;
    int64_t taps; /* of the convolutions of q and k */
    bool share_qk, use_gate;
    bool rotates, has_factor; /* q and k by position; c_i, else 1 */
    double constant_rate;     /* below 0: learned */
    double base_lr, rope_theta;
    double std;           /* of first values */
    const void *rotation; /* [K, D/2, 2] cos and sin, reals; NULL: */
    double *frequencies;  /* [D/2], where a table would be too long */
} ttt_shape;

static inline const ttt_shape *ttt_shape_of(const ttt_layer *layer) { return layer->shape; }

static inline const ttt_learner_ops *ttt_learner_of(const ttt_layer *layer, const ttt_backend *backend)
{
    return ttt_shape_of(layer)->learner->ops(backend);
}

/* Its state: the learner's, [H, state_size], then with share_qk the tail of u, [W-1, C]. */
int64_t ttt_learner_reals(const ttt_layer *layer, const ttt_backend *backend);
int64_t ttt_tail_reals(const ttt_layer *layer);

/* ttt_state.c: the state by names. */
int ttt_inner_pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                     ttt_state_piece list[TTT_STATE_PIECES]);
void ttt_inner_export(const ttt_layer *layer, const ttt_backend *backend, const ttt_run *run, void *const values[]);
void ttt_inner_import(const ttt_layer *layer, const ttt_backend *backend, const ttt_run *run,
                      const void *const values[]);
int ttt_inner_view_pieces(const ttt_layer *layer, const ttt_backend *backend, ttt_state_piece list[TTT_STATE_PIECES]);
TTT_NODISCARD ttt_status ttt_inner_view(const ttt_layer *layer, const ttt_backend *backend, const ttt_run *run,
                                        void *values);

/* ttt_inspect.c: around the learner's forward, keeps the weights, then measures. */
int64_t ttt_inspect_size(const ttt_layer *layer, const ttt_backend *backend);
void ttt_inspect_before(const ttt_layer *layer, const ttt_pass *pass);
void ttt_inspect_after(const ttt_layer *layer, const ttt_pass *pass, const ttt_learner_call *call);

#endif
