/* SPDX-License-Identifier: MIT
 *
 * How the cpu backend computes a matrix state: tile by tile, docs/MATH.md, "Chunked form". cpu_delta.c walks over runs,
 * heads and tiles; the kernels (body_delta.h) compute some consecutive tokens of one tile.
 */
#ifndef TTT_CPU_CPU_DELTA_H
#define TTT_CPU_CPU_DELTA_H

#include "backend/delta.h"

/* A head's state, or the gradient of one: delta.h says where the parts lie. */
typedef struct ttt_delta_head {
    float *S, *z;         /* [I,O], [I]: at the tile's start */
    float *k, *u, *log_a; /* [16,I], [16,O], [16]: the tile's rows */
} ttt_delta_head;

/* Scratch of the kernels: first the rows of all queries of the tokens, then those of all keys. */
typedef struct ttt_delta_work {
    float *x, *dx;         /* [32,I]: q, k and their gradients */
    float *y;              /* [32,O]: what they read, or the gradient of it */
    float *edge, *dedge;   /* [32,16]: x_i . k_j, where j is read, times M_ij; its gradient */
    float *mask;           /* [16,16]: M_ij, where S forgets */
    float *level, *dlevel; /* [16]: L_i, and its gradient */
    float *panel;          /* [width, TTT_TURN]: some rows of a matrix as columns */
} ttt_delta_work;

/* What a kernel is called with. Rows [0, first) of the tile are in `state`; these tokens are the next `count`. Operands
 * of token i are at i * key_stride, i * value_stride and i * heads.
 *
 * Forward. On return `state` has the rows of these tokens too, and if the tile `ends`, `next` has S and z after it.
 *
 * Backward. On entry `state` is as the forward left it before the tile's end, and `grad` the gradient of what holds
 * after these tokens: of S and z, and if the tile stays open of its rows. On return it is that of what holds before
 * them: of S and z, and of the rows up to `first`; those from there on hold anything. */
typedef struct ttt_delta_tile {
    int64_t key_size, value_size, key_stride, value_stride, heads;
    int64_t first, count;
    bool ends;   /* `first + count` is a whole tile */
    bool replay; /* forward: only `state` and `next`, from `error` */
    ttt_delta_head state, next, grad;
    const float *q, *k, *v, *beta, *log_a, *dout;
    float *out, *dq, *dk, *dv, *dbeta, *dlog_a;
    float *error; /* [tokens, O]: v - k S as it was, before beta; the forward fills it */
    float *over;  /* [tokens]: q . z + 1e-6; likewise */
    ttt_delta_work work;
} ttt_delta_tile;

typedef void ttt_delta_kernel(const ttt_delta_tile *tile);

typedef struct ttt_delta_kernels {
    ttt_delta_kernel *forward, *backward;
} ttt_delta_kernels;

#endif
