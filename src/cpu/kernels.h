/* SPDX-License-Identifier: MIT
 *
 * The table of kernels: what is worth vector instructions, once per instruction set. Kernels are pure: pointers, counts
 * and strides (in floats); no memory, threads, errors or globals of their own. The bodies (body_*.h) are written once
 * over the vocabulary of vec_*.h; isa_*.c compiles them and fills a table; ttt_kernels_of picks one.
 *
 * To add a kernel: a body, a line here, a line in bodies.h. Shape letters are those of backend.h.
 */
#ifndef TTT_CPU_KERNELS_H
#define TTT_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/host.h"
#include "base/float_env.h"
#include "cpu/cpu_delta.h"
#include "cpu/cpu_learner.h"
#include "cpu/isa.h"

/* Rows that lie side by side where a product's rows are laid out turned over: a multiple of every block of registers.
 */
enum { TTT_ROWS_TOGETHER = 24 };

/* Columns of a panel: the outputs that lie side by side in a packed matrix, for every step of the inner dimension. */
enum { TTT_PANEL = 64 };

/* y [rows, columns] = x [rows, depth] times `columns` outputs in strips, or +=. A strip is `strip_width` outputs (of
 * the table of kernels; TTT_PANEL is a multiple) side by side for every step: [depth, strip_width], zero where nothing
 * is. */
typedef struct ttt_product {
    float *y;
    const float *x, *panel;
    int64_t y_stride;         /* from row to row */
    int64_t x_stride, x_step; /* from row to row, and from one inner index to the next */
    int64_t x_block;          /* from TTT_ROWS_TOGETHER rows to the next: x_stride counts only within them */
    int64_t strip_stride;     /* from strip to strip */
    int64_t rows, columns, depth;
    bool accumulate;
    const float *ahead; /* NULL, or what memory is asked for meanwhile: [ahead_rows, ahead_columns], */
    int64_t ahead_stride, ahead_rows, ahead_columns; /* from row to row of it */
} ttt_product;

/* Lays w, outputs by steps, as strips, each [depth, strip_width]. */
typedef struct ttt_strips {
    float *strips;
    int64_t strip_stride;
    const float *w; /* [columns, depth], or [depth, columns] if `turned` */
    int64_t stride; /* from row to row of w */
    int64_t columns, depth;
    bool turned;
    bool round; /* to bf16 */
} ttt_strips;

/* Lays rows of a: each by itself, to_stride apart; if `turned` in blocks, to_stride apart, each
 * [depth, TTT_ROWS_TOGETHER], and behind it there is a vector's room. */
typedef struct ttt_rows {
    float *to;
    int64_t to_stride;
    const float *a; /* [rows, depth], or [depth, rows] if `turned` */
    int64_t stride; /* from row to row of a */
    int64_t rows, depth;
    bool turned;
    bool round; /* to bf16 */
} ttt_rows;

/* Operands in bf16 come in tiles of 16 outer indices (rows, or outputs) by 32 of the inner dimension, zero where
 * nothing is. A tile is 256 words; a word is two bf16 that are neighbours in the inner dimension, in the bits of a
 * float, the first of them in the high half, which AVX512_BF16 multiplies first. Rows lie as [outer, pair], outputs as
 * [pair, outer]: the tiles of AMX. */
enum { TTT_BF16_TILE_OUTER = 16, TTT_BF16_TILE_INNER = 32, TTT_BF16_TILE_PAIRS = 16, TTT_BF16_TILE_WORDS = 256 };

/* Rounds a matrix to tiles, block after block of 16 outer indices. */
typedef struct ttt_tiling {
    float *tiles;
    int64_t block_stride, step_stride; /* words from block to block, and from step to step of the inner dimension */
    const float *x;                    /* [outer, inner], or [inner, outer] if `turned` */
    int64_t stride;                    /* from row to row of x */
    int64_t outer, inner;
    bool turned;
    bool outputs; /* the tiles are [pair, outer] */
} ttt_tiling;

/* y [rows, columns] = rows in tiles times a panel of outputs [steps, 4 tiles], or += ; columns <= TTT_PANEL. */
typedef struct ttt_tile_product {
    float *y;
    const float *x, *panel;
    int64_t y_stride, x_stride; /* from row to row, and from a block of 16 rows to the next */
    int64_t rows, columns, steps;
    bool accumulate;
} ttt_tile_product;

/* A block of a row in q8 and q4. A sum over it begins with start = -offset * sum(codes), which corrects for weights
 * that are stored as code + offset (128 for q8, 8 for q4). */
typedef struct ttt_row_block {
    int8_t codes[TTT_QUANT_BLOCK];
    float scale;
    int32_t start;
} ttt_row_block;

/* Bytes of a block of TTT_PANEL outputs in a panel: scales, then codes. body_blocks.h */
static inline int64_t ttt_panel_block(ttt_precision precision)
{
    return TTT_PANEL * (2 + TTT_QUANT_BLOCK / (precision == TTT_PRECISION_Q4 ? 2 : 1));
}

/* y [rows, columns] = rows [rows, blocks] times a panel of blocks, or += ; columns <= TTT_PANEL. */
typedef struct ttt_block_product {
    float *y;
    const ttt_row_block *x;
    const uint8_t *panel;
    int64_t y_stride;
    int64_t rows, columns, blocks;
    bool halves; /* q4 */
    bool accumulate;
} ttt_block_product;

/* Some columns of one run of conv and its backward; pointers are to the first of these columns. */
enum { TTT_CONV_COLUMNS = 256, TTT_CONV_BACKWARD_COLUMNS = 64 }; /* at most */
typedef struct ttt_conv {
    const float *x, *tail; /* [rows, stride], and the W-1 rows before */
    const float *w, *bias; /* [columns, taps], [columns]; bias and dbias may be NULL */
    float *y;
    const float *dy;
    float *dx, *dtail, *dw, *dbias; /* all += */
    int64_t rows, stride, columns, taps;
    int64_t first, last; /* conv: the rows to compute; conv_backward computes all */
} ttt_conv;

/* Some channels of one run of a selective scan and its backward; pointers are to the first of these. */
typedef struct ttt_scan_part {
    const float *u, *l;               /* [rows, stride] */
    const float *b, *c;               /* [rows, small_stride], of them [rows, states] */
    const float *rates, *bias, *skip; /* [states, columns], [columns], [columns] */
    float *h;                         /* [states, columns]: the state; backward: its gradient */
    float *kept;                      /* NULL, or [chunks, kept_stride], of them [states, columns] */
    float *out;
    const float *dout;
    float *du, *dl;                /* overwritten */
    float *drates, *dbias, *dskip; /* += */
    float *partial;                /* [rows, 2 states]: these channels' part of db and dc */
    int64_t rows, columns;         /* columns <= TTT_SCAN_CHANNELS */
    int64_t stride, small_stride, kept_stride, states;
} ttt_scan_part;

/* One row of norm_gate and its backward; dw and dbias +=. */
typedef struct ttt_norm_row {
    const float *x, *w, *bias, *gate; /* gate may be NULL */
    float *dy;                        /* becomes the forward's y */
    float *dx, *dgate, *dw, *dbias;
    int64_t width;
} ttt_norm_row;

/* Tokens and heads of one run that read the same keys together: row i * heads + h is head h of token i. What a row has
 * read is `head_size` sums of values, and behind them the largest score and the sum of the weights; rows of these are
 * head_size + TTT_ATTENTION_SUMS apart. */
enum { TTT_ATTENTION_ROWS = 64 }; /* at most */
typedef struct ttt_attention_tile {
    const float *q;       /* [rows, head_size], scaled */
    float *scores;        /* scratch [rows, TTT_KEY_BLOCK] */
    const float *cache;   /* the group's part of place 0 */
    int64_t place_stride; /* from place to place */
    int64_t places;       /* in the ring; 0: blocks have places of their own */
    int64_t tokens, heads, head_size;
    int64_t position; /* of the first token */
    int64_t window;   /* 0: none */
} ttt_attention_tile;

/* All queries of a run, heads of one group, and one block of its keys. */
typedef struct ttt_attention_keys {
    const float *q, *dout;      /* of the run's first row, the group's first head; rows are `stride` apart */
    float *dq;                  /* += */
    const float *sums, *delta;  /* likewise, rows are sum_stride apart */
    const float *keys, *values; /* [head_size, TTT_KEY_BLOCK], [TTT_KEY_BLOCK, head_size] */
    float *dkeys, *dvalues;     /* += */
    float *scratch;             /* ttt_attention_reals(head_size) */
    int64_t stride, sum_stride;
    int64_t tokens, heads, head_size;
    int64_t position; /* of the first token */
    int64_t key;      /* the first one's position */
    int64_t window;
    float scale;
} ttt_attention_keys;

static inline int64_t ttt_attention_reals(int64_t head_size)
{
    return 2 * TTT_KEY_BLOCK * (head_size + TTT_TURN) + 2 * TTT_ATTENTION_ROWS * (TTT_KEY_BLOCK + head_size);
}

/* One tile of a learner; see cpu_learner.h. */
typedef struct ttt_learner_kernels {
    ttt_tile_kernel *forward, *backward, *primal;
} ttt_learner_kernels;

typedef struct ttt_attention_kernels {
    /* `read` [rows]: what the rows of a tile read of the keys [begin, end), begin a multiple of TTT_KEY_BLOCK */
    void (*span)(const ttt_attention_tile *t, float *read, int64_t begin, int64_t end);
    /* Adds what rows read of later keys. */
    void (*merge)(float *read, const float *later, int64_t rows, int64_t head_size);
    /* delta [heads] = dout . out */
    void (*delta)(float *delta, const float *dout, const float *out, int64_t heads, int64_t head_size);
    void (*keys_backward)(const ttt_attention_keys *k);
} ttt_attention_kernels;

typedef struct ttt_kernels {
    /* Dependent FMAs in registers, `steps` of every chain; returns the number of operations. For limits.c. */
    double (*fma_loop)(float *sink, int64_t steps);
    double (*dot_loop)(float *sink, int64_t steps);  /* the same of products of bytes */
    double (*tile_loop)(float *sink, int64_t steps); /* and of bf16; NULL where they are made of FMAs */

    int strip_width; /* of what `product` holds in registers */
    void (*product)(const ttt_product *p);
    void (*strips)(const ttt_strips *s);
    void (*rows)(const ttt_rows *r);
    /* Strips, strip_stride apart, of a panel of bf16 tiles; NULL where the machine multiplies tiles itself. */
    void (*widen)(float *strips, int64_t strip_stride, const float *panel, int64_t steps);
    void (*tiles)(const ttt_tiling *t);
    void (*tile_product)(const ttt_tile_product *p);
    void (*quantize_row)(ttt_row_block *blocks, const float *x, int64_t columns, int32_t offset);
    void (*block_product)(const ttt_block_product *p);

    void (*add)(float *y, const float *x, int64_t n);
    void (*swiglu)(float *y, const float *gate, const float *up, int64_t n);
    void (*swiglu_backward)(float *dy, float *gate, float *up, int64_t n); /* in place, as in backend.h */
    void (*silu)(float *y, const float *x, int64_t n);
    void (*silu_backward)(float *dy, const float *x, int64_t n);
    void (*elu1)(float *x, int64_t n);
    void (*elu1_backward)(float *dy, const float *y, int64_t n);
    /* One vector */
    void (*silu_l2)(float *y, const float *x, int64_t n, float scale);
    void (*silu_l2_backward)(float *dy, const float *x, int64_t n, float scale);

    /* One row; dx and dw += */
    void (*rmsnorm)(float *y, const float *x, const float *w, int64_t width, float eps);
    void (*rmsnorm_backward)(float *dx, float *dw, const float *dy, const float *x, const float *w, int64_t width,
                             float eps);
    void (*norm_gate)(float *y, const ttt_norm_row *row);
    void (*norm_gate_backward)(const ttt_norm_row *row);

    /* One row of heads; table [D/2, 2] holds cos and sin; sign -1 rotates back. */
    void (*rotate)(float *x, const float *table, int64_t heads, int64_t head_size, float sign);
    /* One row of heads, `pairs` of each: the two halves of pair i lie at x[i] and x[i + head_size / 2], or else at
     * x[2 i] and x[2 i + 1]. */
    void (*rotate_pairs)(float *x, const float *cosines, const float *sines, int64_t heads, int64_t head_size,
                         int64_t pairs, bool halves);
    void (*conv)(const ttt_conv *c);
    void (*conv_backward)(const ttt_conv *c);
    /* rates [states, channels] = -exp(a_log [channels, states]), transposed */
    void (*scan_rates)(float *rates, const float *a_log, int64_t channels, int64_t states);
    void (*scan)(const ttt_scan_part *s);
    void (*scan_backward)(const ttt_scan_part *s);
    /* One row: logits to scale * sigmoid(logit + bias), to -exp(a_log) softplus(logit + bias), and its backward */
    void (*rate)(float *r, const float *bias, int64_t heads, float scale);
    void (*decay)(float *log_a, const float *a_log, const float *bias, int64_t heads);
    void (*decay_backward)(float *dlog_a, float *da_log, float *dbias, const float *logits, const float *a_log,
                           const float *bias, int64_t heads);

    /* Row of logits to loss; with scale != 0 to its gradient. */
    double (*cross_entropy)(float *logits, int64_t target, int64_t vocabulary, double scale);
    double (*sum_squares)(const float *x, int64_t n);
    void (*adamw)(float *p, float *m, float *v, const float *g, int64_t n, const ttt_adamw *options);

    ttt_attention_kernels attention;
    ttt_learner_kernels learner[TTT_LEARNER_COUNT];
    ttt_delta_kernels delta[TTT_DELTA_KINDS];
} ttt_kernels;

extern const ttt_kernels ttt_kernels_scalar, ttt_kernels_neon, ttt_kernels_avx2, ttt_kernels_avx512, ttt_kernels_vnni,
    ttt_kernels_avx512bf16, ttt_kernels_amx; /* isa_*.c */

/* NULL if this build does not hold the ISA. */
const ttt_kernels *ttt_kernels_of(ttt_isa isa);

/* The table of a cpu backend. */
static inline const ttt_kernels *ttt_cpu_kernels(const ttt_backend *backend) { return ttt_host_of(backend)->kernels; }

#endif
