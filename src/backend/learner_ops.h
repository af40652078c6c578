/* SPDX-License-Identifier: MIT
 *
 * The operations of a learner: what adapts inside a layer. They see one layer's whole call (all sequences, all heads,
 * write and read coefficients token by token); where a learner takes its gradient, in which order it updates and reads,
 * what its loss is and what its state holds are its own affair.
 *
 * Letters: R rows, H heads, K mini-batch, I key size, O value size; words: backend.h. Equations: docs/MATH.md,
 * "Learners".
 */
#ifndef TTT_BACKEND_LEARNER_OPS_H
#define TTT_BACKEND_LEARNER_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct ttt_backend ttt_backend;
typedef struct ttt_param ttt_param;
typedef struct ttt_run ttt_run;
typedef struct ttt_learner_ops ttt_learner_ops;

/* The maps z = x W + b that a learner of docs/MATH.md is made of, with gelu between them. Its parameters are W and b of
 * each, [H, in, out] and [H, out], then weight and bias of the norm, [H, D]; what a flag leaves out keeps its place,
 * with values NULL. */
enum { TTT_LEARNER_MAPS = 2 };
typedef struct ttt_learner_maps {
    int count;
    int64_t in[TTT_LEARNER_MAPS], out[TTT_LEARNER_MAPS]; /* in units of the head size */
} ttt_learner_maps;

extern const ttt_learner_maps ttt_linear_maps, ttt_mlp_maps;

/* Where a backend's table has its learners. */
typedef enum ttt_learner_index { TTT_LINEAR_LEARNER, TTT_MLP_LEARNER, TTT_LEARNER_COUNT } ttt_learner_index;

/* Tokens whose rows a state keeps as they are, at most; when so many have come within a mini-batch they are added to
 * its sums. */
enum { TTT_LEARNER_TILE = 16 };

/* How a learner may depart from docs/MATH.md's: MATH (flags). None is set for that one. */
typedef enum ttt_learner_flag {
    TTT_LEARNER_NO_NORM = 1,     /* z itself where LN(z) stands; no parameters of the norm */
    TTT_LEARNER_NO_RESIDUAL = 2, /* out without q */
    TTT_LEARNER_TARGET_V = 4,    /* the target is v, not v - k */
    TTT_LEARNER_NO_BIAS = 8,     /* b1, b2 are zero and stay so: no parameters and no parts of them */
    TTT_LEARNER_ZERO_START = 16, /* W and b of an empty sequence are zero: no parameters of them; one map alone */
    TTT_LEARNER_DECAY = 32       /* calls have `decay` */
} ttt_learner_flag;

typedef struct ttt_learner_dims {
    int64_t heads;
    int64_t key_size, value_size; /* of a head: I, of q and k; O, of v and out */
    int64_t mini_batch;           /* K */
    int64_t group;                /* training keeps the weights every `group` tiles and recomputes between */
    unsigned flags;               /* of ttt_learner_flag */
    double forget;                /* MATH (keep): 1 - g, the part of W - W0 that goes after every N tokens; */
    int64_t forget_every;         /* N, a multiple of K; 0: K */
} ttt_learner_dims;

/* What a learner is called with. Head h is columns [hI, (h+1)I) of q and k, [hO, (h+1)O) of v and out. */
typedef struct ttt_learner_call {
    ttt_learner_dims dims;
    const ttt_run *runs;
    int64_t run_count;
    int64_t layer;        /* whose memory in grown and dgrown is the learner's, if it keeps something of every token */
    int64_t state_offset; /* where this layer's learner lies in a run's state: [H, state_size] reals */
    const ttt_param *params; /* in the order the learner declares them */
    const void *q, *k;       /* [R,H*I] */
    const void *v;           /* [R,H*O] */
    const void *write;       /* [R,H] r_j: the rate with which token j is written */
    const void *decay;       /* [R,H] what is left at token j of all that was written before; NULL without the flag */
    const void *read; /* [R] c_i: the factor with which token i reads what was written since the mini-batch began; that
                         of a mini-batch's last token is also the factor of the update */
    void *out;        /* [R,H*O] */
    void *saved; /* forward to backward: [run_count, H, saved_size(longest run)]; NULL: nothing is kept (inference) */
    int64_t saved_stride;     /* reals from one (run, head) to the next in `saved` */
    const void *dout;         /* backward, [R,H*O] */
    void *dq, *dk, *dv;       /* backward, as q, k, v; overwritten */
    void *dwrite, *dread;     /* backward, [R,H], overwritten; the sum over heads of dread is the gradient of `read` */
    void *ddecay;             /* backward, [R,H], overwritten; NULL without `decay` */
    const ttt_param *dparams; /* backward, +=; those that set the initial state get what it has from reset_backward */
    void *partial;            /* backward, scratch: [run_count, H, partial_size] */
} ttt_learner_call;

/* What the algorithm asks for, nothing computed again: a multiply-add counts two; reals of operands and results. */
typedef struct ttt_learner_work {
    double flops, reals;
} ttt_learner_work;

/* A piece of a state that means the same on every backend. */
typedef struct ttt_learner_part {
    const char *name;
    int rank;
    int64_t shape[3]; /* the first is H */
} ttt_learner_part;

/* Every function gets the table that it stands in as `self`. Sizes are in reals, per head and sequence. */
struct ttt_learner_ops {
    const char *name;             /* "linear" */
    const ttt_learner_maps *maps; /* NULL: it is not one of docs/MATH.md */
    const void *own;              /* the backend's description of it */

    /* TTT_OK if it computes these dims, else TTT_ERR_UNSUPPORTED with a sentence. Nothing else checks: it comes first.
     */
    ttt_status (*supports)(const ttt_learner_ops *self, const ttt_learner_dims *dims);

    int64_t (*state_size)(const ttt_learner_ops *self, const ttt_learner_dims *dims);
    /* What a state has of every token, [H, per_token] reals in each row of what grows; NULL: nothing. The parts
     * below hold none of it: such a learner has no name in files. */
    int64_t (*per_token)(const ttt_learner_ops *self, const ttt_learner_dims *dims);
    int64_t (*saved_size)(const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tokens);
    int64_t (*partial_size)(const ttt_learner_ops *self, const ttt_learner_dims *dims);
    /* Per thread, to be asked of ttt_backend_reserve. */
    size_t (*scratch_bytes)(const ttt_learner_ops *self, const ttt_learner_dims *dims);
    /* Of one token in all heads. */
    ttt_learner_work (*work)(const ttt_learner_ops *self, const ttt_learner_dims *dims, bool backward);

    /* Sets the states of all runs to those of an empty sequence; the backward adds d loss / d state to the gradients.
     */
    void (*reset)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_call *call);
    void (*reset_backward)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_call *call);

    void (*forward)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_call *call); /* [row] */
    /* The forward without `saved` in the primal form, to hold `forward` against; NULL: there is none, or `forward` is
     * that. */
    void (*primal)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_call *call);
    /* Given dout and runs[].dstate. The states themselves are not needed: `saved` holds what is. */
    void (*backward)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_call *call);

    /* The state of one layer after `position` tokens, all heads, in parts, dense arrays of reals: what files and other
     * backends know it by. For the learners of docs/MATH.md, m = 1 .. maps:
     *   Wm [H, in, out], bm [H, out]            weights at the start of the open mini-batch
     *   Wm_sum, bm_sum, as these                sums of x^T G and of G over its closed tiles; only where K > 16
     *   (none of the b where there is no bias)
     *   xm [H, rows, in], gm [H, rows, out]     rows x_j and G_j of the open tile, position mod K mod 16 of them (none
     * at its start); only where K > 1 in this order: W1, b1, W2, b2, W1_sum, ..., x1, g1, x2, g2. What is computed from
     * an imported state has the same bits as from the one that was exported. */
    int (*part_count)(const ttt_learner_ops *self, const ttt_learner_dims *dims);
    ttt_learner_part (*part)(const ttt_learner_ops *self, const ttt_learner_dims *dims, int index, int64_t position);
    void (*export_state)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_dims *dims,
                         int64_t position, const void *state, void *const *parts);
    void (*import_state)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_dims *dims,
                         int64_t position, void *state, const void *const *parts);

    /* For inspection. `weights` gets, per learner weight in the order W1, b1, W2, b2 (zeros for a bias that there is
     * not), its value at the start of the open mini-batch and then, in the same order, the sums over the open
     * mini-batch of r_j times the gradients: [2, weights] reals of one head. weights_size is the reals of all weights.
     */
    int64_t (*weights_size)(const ttt_learner_ops *self, const ttt_learner_dims *dims);
    void (*weights)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_dims *dims,
                    const void *state, void *weights);
    /* Mean over O of (y - target)^2 of one head with the given weights (the first half of `weights`): without flags
     * (LN(learner(k)) - (v - k))^2. */
    double (*loss)(const ttt_learner_ops *self, const ttt_backend *backend, const ttt_learner_dims *dims,
                   const ttt_param *params, int64_t head, const void *weights, const void *k, const void *v);
};

/* Reals of a part of one head. */
static inline int64_t ttt_learner_part_size(const ttt_learner_part *part)
{
    return part->shape[1] * (part->rank == 3 ? part->shape[2] : 1);
}

/* ---- the learners of docs/MATH.md, whatever computes them: what their tables may have in these places ---- */

ttt_status ttt_learner_supports(const ttt_learner_ops *self, const ttt_learner_dims *dims); /* all but decay */
ttt_learner_work ttt_maps_work(const ttt_learner_maps *maps, const ttt_learner_dims *dims, bool backward);
ttt_learner_work ttt_learner_work_of(const ttt_learner_ops *self, const ttt_learner_dims *dims, bool backward);
int ttt_learner_part_count(const ttt_learner_ops *self, const ttt_learner_dims *dims);
ttt_learner_part ttt_learner_part_at(const ttt_learner_ops *self, const ttt_learner_dims *dims, int index,
                                     int64_t position);

/* What part `index` is: weights, sums or rows, and of these W1, b1, W2, b2 (or x1, g1, x2, g2) by number. */
typedef enum ttt_part_kind { TTT_PART_WEIGHTS, TTT_PART_SUMS, TTT_PART_ROWS } ttt_part_kind;
ttt_part_kind ttt_learner_part_kind(const ttt_learner_ops *self, const ttt_learner_dims *dims, int index, int *which);

/* W [in, out] and b [out] of map m, of one head; all weights of one head. */
static inline int64_t ttt_map_size(const ttt_learner_maps *maps, int m, int64_t head_size)
{
    return (maps->in[m] * head_size + 1) * maps->out[m] * head_size;
}
int64_t ttt_learner_weights_size(const ttt_learner_ops *self, const ttt_learner_dims *dims);

/* The part of W - W0 that goes when a mini-batch of a run ends at `position`. */
double ttt_learner_forgotten(const ttt_learner_dims *dims, const ttt_run *run, int64_t position);

/* Rows of the open tile that a state has room for, and how many it has. */
int64_t ttt_learner_slots(const ttt_learner_dims *dims);
int64_t ttt_learner_open_rows(const ttt_learner_dims *dims, int64_t position);

#endif
