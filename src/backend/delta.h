/* SPDX-License-Identifier: MIT
 *
 * The scan that linear attention and the delta family share, MATH (matrix state): per head a matrix S [I,O] to which
 * every token adds k^T u. What u is, and whether S forgets, says the kind.
 *
 * A state is the same on every backend: S at the start of the sequence's open tile of TTT_LEARNER_TILE tokens (by
 * position, wherever calls begin), and the rows of that tile. So what a token computes depends on its position alone,
 * and a state's pieces are places in it.
 */
#ifndef TTT_BACKEND_DELTA_H
#define TTT_BACKEND_DELTA_H

#include "backend/learner_ops.h"

typedef enum ttt_delta_kind {
    TTT_DELTA_LINEAR,     /* u = v */
    TTT_DELTA_NORMALISED, /* and out = q S / (q . z + 1e-6), z the sum of all k */
    TTT_DELTA_RULE,       /* u = beta (v - k S) */
    TTT_DELTA_GATED,      /* the same, after S = a S */
    TTT_DELTA_KINDS
} ttt_delta_kind;

typedef struct ttt_delta_dims {
    ttt_delta_kind kind;
    int64_t heads, key_size, value_size; /* H, I, O */
    int64_t group;                       /* training keeps S every `group` tiles and recomputes between */
} ttt_delta_dims;

static inline bool ttt_delta_corrects(ttt_delta_kind kind) { return kind >= TTT_DELTA_RULE; }

/* Head h is columns [hI, (h+1)I) of q and k, [hO, (h+1)O) of v and out. */
typedef struct ttt_delta_call {
    ttt_delta_dims dims;
    const ttt_run *runs;
    int64_t run_count;
    int64_t state_offset; /* in a run's state: [H, ttt_delta_state_size] reals */
    const void *q, *k;    /* [R,H*I] */
    const void *v;        /* [R,H*O] */
    const void *beta;     /* [R,H]; only where u is corrected */
    const void *log_a;    /* [R,H] not positive; only where S forgets */
    void *out;            /* [R,H*O]; what the forward gave is read by its backward */
    void *saved;          /* forward to backward: [run_count, H, delta_saved_size(longest run)]; NULL: inference */
    int64_t saved_stride; /* reals from one (run, head) to the next in `saved` */
    const void *dout;     /* backward, [R,H*O] */
    void *dq, *dk, *dv;   /* backward, as q, k, v; overwritten */
    void *dbeta, *dlog_a; /* backward, [R,H], overwritten */
} ttt_delta_call;

/* Where the parts of a head's state lie in it, in reals: S [I,O], z [I], and of the open tile k [16,I], u [16,O],
 * log_a [16]. S and z come first: what a closed tile hands to the next. */
typedef struct ttt_delta_places {
    int64_t z, k, u, log_a, size;
} ttt_delta_places;

static inline ttt_delta_places ttt_delta_places_of(const ttt_delta_dims *dims)
{
    const int64_t I = dims->key_size, O = dims->value_size;
    ttt_delta_places at = {.z = I * O};
    at.k = at.z + (dims->kind == TTT_DELTA_NORMALISED ? I : 0);
    at.u = at.k + TTT_LEARNER_TILE * I;
    at.log_a = at.u + TTT_LEARNER_TILE * O;
    at.size = at.log_a + (dims->kind == TTT_DELTA_GATED ? TTT_LEARNER_TILE : 0);
    return at;
}

static inline int64_t ttt_delta_state_size(const ttt_delta_dims *dims) { return ttt_delta_places_of(dims).size; }

/* MATH (matrix state), "work": FLOPs of a token, forward. */
static inline double ttt_delta_flops(const ttt_delta_dims *dims)
{
    const double I = (double)dims->key_size, O = (double)dims->value_size;
    static const double times[] = {4, 4, 6, 7};
    return (double)dims->heads * (times[dims->kind] * I * O + (dims->kind == TTT_DELTA_NORMALISED ? 4 * I : 0));
}

#endif
