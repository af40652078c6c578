/* SPDX-License-Identifier: MIT
 *
 * The product of bf16 tiles by AMX, for machines that have it beside AVX-512; their other kernels are AVX-512's. A tile
 * instruction computes every row by itself and passes the 32 inner indices in one order, so an output is the same
 * whatever rows are with it, also when it is alone. Two blocks of rows by two tiles of outputs are held at a time; a
 * single block of rows, which is bound by reading the panel, takes the panel's four tiles in the order in which they
 * lie. AMX counts subnormal numbers as zero.
 *
 * The instructions are written out: they name their registers, and GCC's own functions do not say what memory they
 * touch.
 */
#include "cpu/isa_amx.h"

#include <string.h>

/* AHEAD: words between what is multiplied and what is fetched. */
enum { ROW_BYTES = 64, STEP_WORDS = TTT_PANEL * TTT_BF16_TILE_PAIRS, AHEAD = 4 * STEP_WORDS };

#define TILE_ZERO(t)                      __asm__ volatile("tilezero %%tmm" #t ::)
#define TILE_LOAD(t, at, bytes)           __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(at), "r"(bytes) : "memory")
#define TILE_STORE(at, bytes, t)          __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(at), "r"(bytes) : "memory")
#define TILE_MULTIPLY(sum, rows, outputs) __asm__ volatile("tdpbf16ps %%tmm" #outputs ", %%tmm" #rows ", %%tmm" #sum ::)

#define TILE_PREFETCH(at, bytes) __asm__ volatile("prefetcht0 (%0,%1,1)" ::"r"(at), "r"(bytes))

/* What ldtilecfg reads: palette 1, and bytes a row and rows of each tile. */
typedef struct tile_shapes {
    uint8_t palette, start, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* Sums are in 0 to 3, rows in 4; the rows of a second block in 5, outputs in 6 and 7; without one, outputs in 5 to 7.
 * `first` and `second`: rows of the two blocks. */
static void configure(int64_t first, int64_t second)
{
    tile_shapes shapes = {.palette = 1, .rows = {[6] = TTT_BF16_TILE_PAIRS, [7] = TTT_BF16_TILE_PAIRS}};
    for (int t = 0; t < 8; t++) shapes.row_bytes[t] = ROW_BYTES;
    shapes.rows[0] = shapes.rows[1] = shapes.rows[4] = (uint8_t)first;
    shapes.rows[2] = shapes.rows[3] = (uint8_t)(second ? second : first);
    shapes.rows[5] = (uint8_t)(second ? second : TTT_BF16_TILE_PAIRS);
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
}

/* One tile of y: `rows` x `columns`, 16 at most. */
typedef struct sum_place {
    float *y;
    int64_t stride, rows, columns;
} sum_place;

static sum_place place(const ttt_tile_product *p, int64_t row, int64_t tile)
{
    const int64_t column = tile * TTT_BF16_TILE_OUTER, rows = p->rows - row, columns = p->columns - column;
    return (sum_place){.y = p->y + row * p->y_stride + column,
                       .stride = p->y_stride,
                       .rows = rows < TTT_BF16_TILE_OUTER ? rows : TTT_BF16_TILE_OUTER,
                       .columns = columns < TTT_BF16_TILE_OUTER ? columns : TTT_BF16_TILE_OUTER};
}

/* `t` is a constant where these are inlined. A tile narrower than 16 outputs goes through a whole one. */
static inline __attribute__((always_inline)) void sum_move(const int t, bool store, float *at, int64_t stride)
{
    const int64_t bytes = stride * (int64_t)sizeof *at;
    switch (t + 4 * store) {
    case 0: TILE_LOAD(0, at, bytes); break;
    case 1: TILE_LOAD(1, at, bytes); break;
    case 2: TILE_LOAD(2, at, bytes); break;
    case 3: TILE_LOAD(3, at, bytes); break;
    case 4: TILE_STORE(at, bytes, 0); break;
    case 5: TILE_STORE(at, bytes, 1); break;
    case 6: TILE_STORE(at, bytes, 2); break;
    default: TILE_STORE(at, bytes, 3); break;
    }
}

static inline __attribute__((always_inline)) void sum_zero(const int t)
{
    switch (t) {
    case 0: TILE_ZERO(0); break;
    case 1: TILE_ZERO(1); break;
    case 2: TILE_ZERO(2); break;
    default: TILE_ZERO(3); break;
    }
}

static inline __attribute__((always_inline)) void sum_begin(const int t, bool accumulate, sum_place s)
{
    float whole[TTT_BF16_TILE_WORDS];
    if (!accumulate) {
        sum_zero(t);
    } else if (s.columns == TTT_BF16_TILE_OUTER) {
        sum_move(t, false, s.y, s.stride);
    } else {
        for (int64_t r = 0; r < s.rows; r++)
            memcpy(whole + r * TTT_BF16_TILE_OUTER, s.y + r * s.stride, (size_t)s.columns * sizeof *whole);
        sum_move(t, false, whole, TTT_BF16_TILE_OUTER);
    }
}

static inline __attribute__((always_inline)) void sum_end(const int t, sum_place s)
{
    float whole[TTT_BF16_TILE_WORDS];
    if (s.columns == TTT_BF16_TILE_OUTER) {
        sum_move(t, true, s.y, s.stride);
        return;
    }
    sum_move(t, true, whole, TTT_BF16_TILE_OUTER);
    for (int64_t r = 0; r < s.rows; r++)
        memcpy(s.y + r * s.stride, whole + r * TTT_BF16_TILE_OUTER, (size_t)s.columns * sizeof *whole);
}

/* Two blocks of rows by `outputs` tiles, 1 or 2. */
static inline __attribute__((always_inline)) void two_blocks(const ttt_tile_product *p, int64_t row, int64_t tile,
                                                             const int outputs)
{
    const int64_t line = ROW_BYTES, below = row + TTT_BF16_TILE_OUTER;
    const float *x = p->x + row / TTT_BF16_TILE_OUTER * p->x_stride, *x_below = x + p->x_stride;
    const float *panel = p->panel + tile * TTT_BF16_TILE_WORDS;
    sum_begin(0, p->accumulate, place(p, row, tile));
    sum_begin(2, p->accumulate, place(p, below, tile));
    if (outputs > 1) sum_begin(1, p->accumulate, place(p, row, tile + 1));
    if (outputs > 1) sum_begin(3, p->accumulate, place(p, below, tile + 1));
    for (int64_t steps = p->steps; steps > 0; steps--) {
        TILE_LOAD(6, panel, line);
        TILE_LOAD(4, x, line);
        TILE_LOAD(5, x_below, line);
        TILE_MULTIPLY(0, 4, 6);
        TILE_MULTIPLY(2, 5, 6);
        if (outputs > 1) {
            TILE_LOAD(7, panel + TTT_BF16_TILE_WORDS, line);
            TILE_MULTIPLY(1, 4, 7);
            TILE_MULTIPLY(3, 5, 7);
        }
        x += TTT_BF16_TILE_WORDS;
        x_below += TTT_BF16_TILE_WORDS;
        panel += STEP_WORDS;
    }
    sum_end(0, place(p, row, tile));
    sum_end(2, place(p, below, tile));
    if (outputs > 1) sum_end(1, place(p, row, tile + 1));
    if (outputs > 1) sum_end(3, place(p, below, tile + 1));
}

/* One block of rows by `outputs` tiles, 1 to 4: all there are. Memory is asked for what comes some steps later, also
 * past the end of a panel, where the next one lies. */
static inline __attribute__((always_inline)) void one_block(const ttt_tile_product *p, int64_t row, const int outputs)
{
    const int64_t line = ROW_BYTES;
    const float *x = p->x + row / TTT_BF16_TILE_OUTER * p->x_stride, *panel = p->panel;
#pragma GCC unroll 4
    for (int t = 0; t < outputs; t++) sum_begin(t, p->accumulate, place(p, row, t));
    for (int64_t steps = p->steps; steps > 0; steps--) {
        for (int64_t i = 0; i < STEP_WORDS; i += 16) TILE_PREFETCH(panel, (AHEAD + i) * (int64_t)sizeof *panel);
        TILE_LOAD(4, x, line);
        TILE_LOAD(5, panel, line);
        TILE_MULTIPLY(0, 4, 5);
        if (outputs > 1) {
            TILE_LOAD(6, panel + TTT_BF16_TILE_WORDS, line);
            TILE_MULTIPLY(1, 4, 6);
        }
        if (outputs > 2) {
            TILE_LOAD(7, panel + 2 * TTT_BF16_TILE_WORDS, line);
            TILE_MULTIPLY(2, 4, 7);
        }
        if (outputs > 3) {
            TILE_LOAD(5, panel + 3 * TTT_BF16_TILE_WORDS, line);
            TILE_MULTIPLY(3, 4, 5);
        }
        x += TTT_BF16_TILE_WORDS;
        panel += STEP_WORDS;
    }
#pragma GCC unroll 4
    for (int t = 0; t < outputs; t++) sum_end(t, place(p, row, t));
}

void ttt_amx_tile_product(const ttt_tile_product *p)
{
    enum { BLOCK = TTT_BF16_TILE_OUTER };
    const int64_t tiles = (p->columns + BLOCK - 1) / BLOCK;
    int64_t row = 0;
    for (int64_t shape = 0; p->rows - row > BLOCK; row += 2 * BLOCK) {
        const int64_t second = p->rows - row < 2 * BLOCK ? p->rows - row - BLOCK : BLOCK;
        if (second != shape) configure(BLOCK, second);
        shape = second;
        for (int64_t tile = 0; tile + 1 < tiles; tile += 2) two_blocks(p, row, tile, 2);
        if (tiles % 2) two_blocks(p, row, tiles - 1, 1);
    }
    if (row < p->rows) {
        configure(p->rows - row, 0);
        switch (tiles) {
        case 1: one_block(p, row, 1); break;
        case 2: one_block(p, row, 2); break;
        case 3: one_block(p, row, 3); break;
        default: one_block(p, row, 4); break;
        }
    }
    __asm__ volatile("tilerelease" ::);
}
