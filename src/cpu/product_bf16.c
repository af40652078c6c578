/* SPDX-License-Identifier: MIT
 *
 * Products with both operands rounded to bf16, for inference and for training; sums are f32, and subnormal numbers
 * count as zero. A packed matrix is panel after panel of TTT_PANEL outputs, each [step of the inner dimension, 4
 * tiles]. The rows are rounded into scratch that all threads share, a block at a time, and then the panels are shared
 * out; every tile passes the inner dimension in one order, so neither blocks nor threads change a bit.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

/* A block of rows and a part of the inner dimension that are in scratch together; rows of an item of the weights'
 * gradient, and how many tokens of it at a time; words of a step of a panel. */
enum {
    ROWS = 256,
    INNER = 2048,
    OWN_ROWS = 128,
    TOKENS = 512,
    STEP_WORDS = TTT_PANEL * TTT_BF16_TILE_PAIRS,
    SHARED = ROWS * INNER / 2,  /* words; the gradient's x, SHARED * 2 / TOKENS columns, lies there too */
    OWN = OWN_ROWS * TOKENS / 2 /* words of each thread */
};

ttt_status ttt_bf16_init(ttt_backend *backend)
{
    const size_t words = OWN + (size_t)(SHARED / backend->threads + 1);
    return ttt_backend_reserve(backend, words * sizeof(float));
}

static float *shared_words(const ttt_backend *b) { return (float *)ttt_scratch(b, 0) + (size_t)b->threads * OWN; }

static int64_t step_count(int64_t inner) { return (inner + TTT_BF16_TILE_INNER - 1) / TTT_BF16_TILE_INNER; }
static int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

/* ---- packed matrices ---- */

static size_t packed_size(int64_t rows, int64_t columns)
{
    return (size_t)(ttt_panels(rows) * step_count(columns) * STEP_WORDS) * sizeof(float);
}

typedef struct packing {
    const ttt_kernels *kernels;
    float *packed;
    const ttt_matrix *matrix;
    bool check;
    atomic_bool damaged;
} packing;

/* `inner` columns of the rows of a panel, from a matrix that may lie in a file. */
static void pack_piece(packing *p, ttt_tiling *t, int64_t row, int64_t column)
{
    float piece[TTT_PANEL * TTT_BF16_TILE_INNER];
    for (int64_t j = 0; j < t->outer; j++) ttt_matrix_read(p->matrix, row + j, column, t->inner, piece + j * t->inner);
    if (!(ttt_zeros(piece, t->outer * t->inner) == 0)) p->damaged = true;
    t->x = piece;
    t->stride = t->inner;
    p->kernels->tiles(t);
}

static void pack_panels(void *context, int64_t begin, int64_t end)
{
    packing *p = context;
    const ttt_matrix *m = p->matrix;
    for (int64_t panel = begin; panel < end; panel++) {
        const int64_t row = panel * TTT_PANEL;
        float *to = p->packed + panel * step_count(m->columns) * STEP_WORDS;
        ttt_tiling t = {.tiles = to,
                        .block_stride = TTT_BF16_TILE_WORDS,
                        .step_stride = STEP_WORDS,
                        .outer = at_most(TTT_PANEL, m->rows - row),
                        .outputs = true};
        if (t.outer <= TTT_PANEL - TTT_BF16_TILE_OUTER)
            memset(to, 0, (size_t)(step_count(m->columns) * STEP_WORDS) * sizeof *to);
        if (!p->check && m->dtype == TTT_F32) { /* the backend's own reals */
            t.x = (const float *)m->values + (m->transposed ? row : row * m->columns);
            t.stride = m->transposed ? m->rows : m->columns;
            t.inner = m->columns;
            t.turned = m->transposed;
            p->kernels->tiles(&t);
            continue;
        }
        for (int64_t column = 0; column < m->columns; column += TTT_BF16_TILE_INNER, t.tiles += STEP_WORDS) {
            t.inner = at_most(TTT_BF16_TILE_INNER, m->columns - column);
            pack_piece(p, &t, row, column);
        }
    }
}

static void pack(const ttt_backend *b, void *packed, const ttt_matrix *matrix, bool *finite)
{
    packing p = {.kernels = ttt_cpu_kernels(b), .packed = packed, .matrix = matrix, .check = finite != NULL};
    ttt_cpu_split(b, ttt_panels(matrix->rows), matrix->columns * TTT_PANEL, pack_panels, &p);
    if (finite && p.damaged) *finite = false;
}

static void embed_row(const ttt_kernels *kernels, float *y, const ttt_param *w, int64_t id)
{
    (void)kernels;
    const int64_t steps = step_count(w->columns), in_panel = id % TTT_PANEL;
    const float *words = (const float *)w->packed + id / TTT_PANEL * steps * STEP_WORDS +
                         in_panel / TTT_BF16_TILE_OUTER * TTT_BF16_TILE_WORDS + in_panel % TTT_BF16_TILE_OUTER;
    for (int64_t c = 0; c < w->columns; c++) {
        const int64_t step = c / TTT_BF16_TILE_INNER, pair = c % TTT_BF16_TILE_INNER / 2;
        uint16_t halves[2];
        memcpy(halves, words + step * STEP_WORDS + pair * TTT_BF16_TILE_OUTER, sizeof halves);
        y[c] = ttt_bf16_value(halves[1 - c % 2]);
    }
}

/* ---- rows times a packed matrix ---- */

typedef struct tile_linear {
    const ttt_kernels *kernels;
    ttt_tiling rows;
    ttt_tile_product product; /* of the first panel */
    int64_t outputs, panel_words;
} tile_linear;

static void round_rows(void *context, int64_t begin, int64_t end)
{
    const tile_linear *l = context;
    ttt_tiling t = l->rows;
    t.tiles += begin * t.block_stride;
    t.x += begin * TTT_BF16_TILE_OUTER * t.stride;
    t.outer = at_most((end - begin) * TTT_BF16_TILE_OUTER, t.outer - begin * TTT_BF16_TILE_OUTER);
    l->kernels->tiles(&t);
}

static void multiply_panel(void *context, int64_t panel, int thread)
{
    (void)thread;
    const tile_linear *l = context;
    ttt_tile_product p = l->product;
    p.y += panel * TTT_PANEL;
    p.panel += panel * l->panel_words;
    p.columns = at_most(TTT_PANEL, l->outputs - panel * TTT_PANEL);
    ttt_float_set(TTT_FLOAT_FLUSH);
    l->kernels->tile_product(&p);
    ttt_float_set(TTT_FLOAT_ENV);
}

/* Rows that are rounded, one part of the inner dimension after the other. */
static void linear_block(const ttt_backend *b, float *y, const float *x, const ttt_param *w, int64_t rows,
                         bool accumulate)
{
    const int64_t N = w->rows, M = w->columns;
    ttt_pool *pool = rows * N * M < 1 << 16 ? NULL : ttt_pool_of(b);
    for (int64_t k = 0; k < M; k += INNER) {
        const int64_t inner = at_most(INNER, M - k), steps = step_count(inner);
        tile_linear l = {.kernels = ttt_cpu_kernels(b),
                         .rows = {.tiles = shared_words(b),
                                  .block_stride = steps * TTT_BF16_TILE_WORDS,
                                  .step_stride = TTT_BF16_TILE_WORDS,
                                  .x = x + k,
                                  .stride = M,
                                  .outer = rows,
                                  .inner = inner},
                         .product = {.y = y,
                                     .x = shared_words(b),
                                     .panel = (const float *)w->packed + k / TTT_BF16_TILE_INNER * STEP_WORDS,
                                     .y_stride = N,
                                     .x_stride = steps * TTT_BF16_TILE_WORDS,
                                     .rows = rows,
                                     .steps = steps,
                                     .accumulate = accumulate || k > 0},
                         .outputs = N,
                         .panel_words = step_count(M) * STEP_WORDS};
        ttt_cpu_split(b, (rows + TTT_BF16_TILE_OUTER - 1) / TTT_BF16_TILE_OUTER, inner * TTT_BF16_TILE_OUTER,
                      round_rows, &l);
        ttt_parallel(pool, ttt_panels(N), multiply_panel, &l);
    }
}

static void linear(const ttt_backend *b, float *y, const float *x, const ttt_param *w, int64_t rows, bool accumulate)
{
    enum { FEW_ROWS = 12 };
    if (ttt_cpu_kernels(b)->widen && rows > FEW_ROWS) {
        ttt_multiply_rows(b, &(ttt_multiply){.y = y,
                                             .a = x,
                                             .tiles = w->packed,
                                             .rows = rows,
                                             .columns = w->rows,
                                             .depth = w->columns,
                                             .accumulate = accumulate,
                                             .round = true});
        return;
    }
    for (int64_t row = 0; row < rows; row += ROWS)
        linear_block(b, y + row * w->rows, x + row * w->columns, w, at_most(ROWS, rows - row), accumulate);
}

const ttt_cpu_format ttt_cpu_bf16 = {packed_size, pack, linear, embed_row};

/* ---- the weights' gradient: dw [N,M] += dy^T x, the inner dimension being the tokens ---- */

typedef struct gradient {
    const ttt_backend *b;
    float *dw;
    const float *dy, *x; /* from the first token and x's first column on */
    int64_t N, M, columns, tokens;
} gradient;

static void round_x(void *context, int64_t begin, int64_t end)
{
    const gradient *g = context;
    const int64_t panel_words = step_count(g->tokens) * STEP_WORDS;
    for (int64_t panel = begin; panel < end; panel++) {
        const ttt_tiling t = {.tiles = shared_words(g->b) + panel * panel_words,
                              .block_stride = TTT_BF16_TILE_WORDS,
                              .step_stride = STEP_WORDS,
                              .x = g->x + panel * TTT_PANEL,
                              .stride = g->M,
                              .outer = at_most(TTT_PANEL, g->columns - panel * TTT_PANEL),
                              .inner = g->tokens,
                              .turned = true,
                              .outputs = true};
        ttt_cpu_kernels(g->b)->tiles(&t);
    }
}

/* Some rows of dw: rounds their columns of dy and multiplies them by all of x. */
static void gradient_item(void *context, int64_t item, int thread)
{
    const gradient *g = context;
    const ttt_kernels *kernels = ttt_cpu_kernels(g->b);
    const int64_t row = item * OWN_ROWS, rows = at_most(OWN_ROWS, g->N - row), steps = step_count(g->tokens);
    float *own = (float *)ttt_scratch(g->b, 0) + (int64_t)thread * OWN;
    const ttt_tiling t = {.tiles = own,
                          .block_stride = steps * TTT_BF16_TILE_WORDS,
                          .step_stride = TTT_BF16_TILE_WORDS,
                          .x = g->dy + row,
                          .stride = g->N,
                          .outer = rows,
                          .inner = g->tokens,
                          .turned = true};
    kernels->tiles(&t);
    ttt_tile_product p = {.x = own,
                          .panel = shared_words(g->b),
                          .y_stride = g->M,
                          .x_stride = steps * TTT_BF16_TILE_WORDS,
                          .rows = rows,
                          .steps = steps,
                          .accumulate = true};
    ttt_float_set(TTT_FLOAT_FLUSH);
    for (int64_t column = 0; column < g->columns; column += TTT_PANEL, p.panel += steps * STEP_WORDS) {
        p.y = g->dw + row * g->M + column;
        p.columns = at_most(TTT_PANEL, g->columns - column);
        kernels->tile_product(&p);
    }
    ttt_float_set(TTT_FLOAT_ENV);
}

void ttt_bf16_backward_weight(const ttt_backend *b, const ttt_param *dw, const float *dy, const float *x, int64_t rows)
{
    const int64_t N = dw->rows, M = dw->columns, most = 2 * SHARED / TOKENS;
    if (ttt_cpu_kernels(b)->widen) {
        ttt_multiply_rows(b, &(ttt_multiply){.y = dw->values,
                                             .a = dy,
                                             .a_transposed = true,
                                             .w = x,
                                             .rows = N,
                                             .columns = M,
                                             .depth = rows,
                                             .accumulate = true,
                                             .round = true});
        return;
    }
    ttt_pool *pool = rows * N * M < 1 << 16 ? NULL : ttt_pool_of(b);
    for (int64_t token = 0; token < rows; token += TOKENS) {
        for (int64_t column = 0; column < M; column += most) {
            gradient g = {.b = b,
                          .dw = (float *)dw->values + column,
                          .dy = dy + token * N,
                          .x = x + token * M + column,
                          .N = N,
                          .M = M,
                          .columns = at_most(most, M - column),
                          .tokens = at_most(TOKENS, rows - token)};
            ttt_cpu_split(b, ttt_panels(g.columns), g.tokens * TTT_PANEL, round_x, &g);
            ttt_parallel(pool, (N + OWN_ROWS - 1) / OWN_ROWS, gradient_item, &g);
        }
    }
}
