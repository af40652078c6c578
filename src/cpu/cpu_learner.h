/* SPDX-License-Identifier: MIT
 *
 * How the cpu backend computes the learners: in the dual form, tile by tile (docs/MATH.md, "Learners").
 *
 * A learner is one map z = x W + b (linear) or two with gelu between (mlp). A mini-batch is cut into tiles of at most
 * TTT_LEARNER_TILE tokens. The state of a head holds the weights at the start of the open mini-batch, the sums S, s
 * over its closed tiles (only where K > TTT_LEARNER_TILE), and the rows of the open tile. cpu_learner.c walks over
 * runs, heads and tiles; the kernels (body_learner_*.h) compute one tile.
 */
#ifndef TTT_CPU_CPU_LEARNER_H
#define TTT_CPU_CPU_LEARNER_H

#include "backend/backend.h"

/* Columns of a matrix turned at a time, at most. */
enum { TTT_TURN = 64 };

/* One map of a learner: where its parts lie in a state, or in the gradient of one. */
typedef struct ttt_map {
    int64_t in, out;
    int64_t slots;  /* rows that fit: min(K, TTT_LEARNER_TILE) */
    float *w, *b;   /* [in, out], [out]: at the start of the open mini-batch */
    float *sw, *sb; /* the same shapes: sums of x^T G and G over the closed tiles of the open mini-batch, or NULL */
    float *x;       /* [slots, in]: inputs x_j of the open tile */
    float *g;       /* [slots, out]: G_j = r_j d loss / d z_j; zero where no token is */
} ttt_map;

/* What a tile does to the state after its last token here: nothing; S += x^T G; W -= c (S + x^T G). */
typedef enum ttt_tile_end { TTT_TILE_OPEN, TTT_TILE_FOLD, TTT_TILE_UPDATE } ttt_tile_end;

/* What the forward of some tokens leaves for their backward: training keeps it for all tokens of a run. */
typedef struct ttt_trace {
    float *normal, *g, *normal_bar; /* [tokens, D]: z normalised, d loss / d z, and zbar (the output's z) normalised */
    float *scale, *scale_bar;       /* [tokens]: 1 / sigma of both */
    float *back, *z_bar;            /* mlp, [tokens, 4D]: g2 W2^T, and z1 of the output */
} ttt_trace;

/* Scratch of the kernels; `width` is the widest side of a map, rounded up to whole vectors. */
typedef struct ttt_tile_work {
    float *turned[TTT_LEARNER_MAPS]; /* backward: W^T in panels, both sides of W rounded up to TTT_TURN */
    float *panel;                    /* [width, TTT_TURN]: some rows of a matrix as columns */
    float *dx, *dz, *rows;           /* [tile, width] */
    float *dz2, *dk;                 /* [tile, D] */
    float *edge, *dedge;             /* [tile, tile]: x_i . x_j + 1 for j <= i, else 0; its gradient */
    /* mlp, [tile, 4D]: z1 with the sigmoid for which gelu(z1) = z1 sigmoid, which a replay leaves for the backward; and
     * gelu of the output's z1 with its sigmoid */
    float *z, *sigmoid, *abar, *sigmoid_bar;
} ttt_tile_work;

/* Operands of the tile's tokens: row i is at i * stride, rates at i * heads. */
typedef struct ttt_tile_from {
    const float *q, *k, *v, *write, *read;
    const float *weight, *bias; /* of the norm, [D]; NULL without it */
    const float *dout;          /* backward */
} ttt_tile_from;

/* Results, in the same places; dweight and dbias [D] are added to. */
typedef struct ttt_tile_to {
    float *out;                           /* forward */
    float *dq, *dk, *dv, *dwrite, *dread; /* backward */
    float *dweight, *dbias;
} ttt_tile_to;

/* Some consecutive tokens of one head in one tile: what a kernel is called with.
 *
 * Forward. On entry `map` is the state, with `first` rows of this tile. On return it has the rows of these tokens too,
 * unless the tile has ended: then weights and sums are in `next`, and nothing is in the rows.
 *
 * Backward. On entry `map` is as the forward found it, with the rows of these tokens as the forward (or its replay)
 * left them, and `dmap` has the gradients of the state after the tile: of its rows only if the tile stays open. On
 * return `dmap` has those of the state before it: of the rows up to `first`; those from there on hold anything. */
typedef struct ttt_tile {
    int64_t head_size, stride, heads;
    unsigned flags;       /* of ttt_learner_flag */
    float forget;         /* MATH (keep): after an update W -= forget (W - W0), W0 in `start`; 0: nothing */
    int64_t first, count; /* rows [0, first) of the tile are there; these tokens are the next `count` */
    ttt_tile_end end;
    bool skip_end; /* forward: nobody wants what holds after the tile */
    bool replay;   /* forward: only what `trace`, which is filled, does not hold: rows, end, work.z and work.sigmoid */
    ttt_map map[TTT_LEARNER_MAPS];
    ttt_map next[TTT_LEARNER_MAPS]; /* may be the same as `map` */
    ttt_map dmap[TTT_LEARNER_MAPS];
    const float *start[2 * TTT_LEARNER_MAPS]; /* W, b of each map that an empty sequence begins with; NULL: zero */
    float *dstart;         /* backward: where they forget, gradients of those, as weights lie in a state; += */
    const ttt_map *formed; /* the primal form: [2, TTT_LEARNER_MAPS], sums and weights of a token in place of w and b */
    ttt_tile_from from;
    ttt_tile_to to;
    ttt_trace trace; /* forward: filled, but for a replay; backward: read */
    ttt_tile_work work;
} ttt_tile;

typedef void ttt_tile_kernel(const ttt_tile *tile);

/* ---- cpu_learner_state.c ---- */

/* Weights and sums: what a tile hands to the next, which has no rows yet. */
int64_t ttt_cpu_closed_size(const ttt_learner_ops *self, const ttt_learner_dims *dims);
void ttt_cpu_find_maps(ttt_map *maps, const ttt_learner_ops *self, const ttt_learner_dims *dims, float *state);
float *ttt_cpu_head_state(const ttt_learner_ops *self, const ttt_learner_call *call, void *block, int64_t head);

/* The functions of the learners' tables, see learner_ops.h; those of a whole call first. */
int64_t ttt_cpu_learner_saved_size(const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tokens);
int64_t ttt_cpu_learner_partial_size(const ttt_learner_ops *self, const ttt_learner_dims *dims);
size_t ttt_cpu_learner_scratch_bytes(const ttt_learner_ops *self, const ttt_learner_dims *dims);
void ttt_cpu_learner_forward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call);
void ttt_cpu_learner_primal(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call);
void ttt_cpu_learner_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call);

int64_t ttt_cpu_learner_state_size(const ttt_learner_ops *self, const ttt_learner_dims *dims);
void ttt_cpu_learner_reset(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call);
void ttt_cpu_learner_reset_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call);
void ttt_cpu_learner_export(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                            int64_t position, const void *state, void *const *parts);
void ttt_cpu_learner_import(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                            int64_t position, void *state, const void *const *parts);
void ttt_cpu_learner_weights(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                             const void *state, void *weights);
double ttt_cpu_learner_loss(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                            const ttt_param *params, int64_t head, const void *weights, const void *k, const void *v);

#endif
