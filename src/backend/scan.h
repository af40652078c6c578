/* SPDX-License-Identifier: MIT
 *
 * A selective scan, MATH (scan): what the operations scan and scan_backward are given. E channels with N states each;
 * the state h of a run lies at `state` of its block.
 *
 * h, "[N,E]", is in blocks of TTT_SCAN_CHANNELS channels, one after another, each [N, its channels]: what a few
 * channels need lies together. ttt_scan_place says where.
 */
#ifndef TTT_BACKEND_SCAN_H
#define TTT_BACKEND_SCAN_H

#include <stdint.h>

struct ttt_run;

enum {
    TTT_SCAN_CHUNK = 16,    /* rows of a run for which one state is kept */
    TTT_SCAN_CHANNELS = 128 /* channels that a backend may take together */
};

typedef struct ttt_scan {
    const struct ttt_run *runs;
    int64_t run_count, state;
    int64_t channels, states, stride; /* E, N, and from row to row of b and c */
    const void *u, *l;                /* [R,E] */
    const void *b, *c;                /* [R,N] */
    const void *a_log, *bias, *skip;  /* [E,N] row by row, bias of l [E], D [E] */
    void *kept; /* NULL, or [run_count, kept_stride]: the states [N,E] before every chunk of a run */
    int64_t kept_stride;
} ttt_scan;

/* Gradients of what has these names there; db and dc with the stride of b and c. */
typedef struct ttt_scan_gradients {
    const void *dout;             /* [R,E] */
    void *du, *dl;                /* [R,E], overwritten */
    void *db, *dc;                /* [R,N], overwritten */
    void *da_log, *dbias, *dskip; /* += */
    void *partial;                /* scratch: ttt_scan_partial reals */
} ttt_scan_gradients;

/* Of state n of channel e in [N,E]. */
static inline int64_t ttt_scan_place(int64_t channels, int64_t states, int64_t e, int64_t n)
{
    const int64_t block = e / TTT_SCAN_CHANNELS * TTT_SCAN_CHANNELS, left = channels - block;
    return block * states + n * (left < TTT_SCAN_CHANNELS ? left : TTT_SCAN_CHANNELS) + e - block;
}

/* Reals of `kept` for a run of that many rows. */
static inline int64_t ttt_scan_kept(int64_t rows, int64_t channels, int64_t states)
{
    return (rows + TTT_SCAN_CHUNK - 1) / TTT_SCAN_CHUNK * channels * states;
}

/* For the sums over channels, db and dc, each block of channels has its own part. */
static inline int64_t ttt_scan_partial(int64_t rows, int64_t channels, int64_t states)
{
    return (channels + TTT_SCAN_CHANNELS - 1) / TTT_SCAN_CHANNELS * rows * 2 * states;
}

#endif
