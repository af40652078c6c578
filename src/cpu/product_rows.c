/* SPDX-License-Identifier: MIT
 *
 * Products of many rows, in f32 or of operands rounded to bf16. What is not packed as
 * strips is laid out so (body_strips.h) in scratch that all threads share, a slab at a time; then blocks of rows and
 * columns are shared out, and who has one lays out its rows in scratch of its own. A block passes its inner dimension
 * in order, so neither slabs nor threads change a bit.
 */
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

/* ROWS of an item stay in the second cache with STEPS of their inner dimension, as a narrow strip's do in the first.
 * Columns of an item share what is laid out of its rows, so where items are few it first has fewer rows. PAD keeps rows
 * apart that would have one place in a cache. */
enum {
    ROWS = 96,
    LEAST_ROWS = 24,
    UNIT = 6, /* of rows: what most blocks of registers have */
    STEPS = 256,
    PAD = 16,
    PAGE = 1024, /* floats */
    COLUMNS = 1024,
    ITEMS = 16,     /* are enough for many threads */
    SLAB = 1 << 20, /* floats */
    SLAB_STEPS = 2048,
    OWN = ROWS * (STEPS + PAD) + PAD /* floats of each thread */
};

static int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

/* The size of so many equal parts of n, a multiple of `unit`. */
static int64_t part_of(int64_t n, int64_t parts, int64_t unit)
{
    const int64_t size = (n + parts - 1) / parts;
    return (size + unit - 1) / unit * unit;
}

ttt_status ttt_multiply_init(ttt_backend *backend)
{
    const size_t floats = OWN + (size_t)(SLAB / backend->threads + 1);
    return ttt_backend_reserve(backend, floats * sizeof(float));
}

/* A slab: `columns` from `column` on, and of them `steps` from `step` on. */
typedef struct slab {
    const ttt_backend *b;
    const ttt_kernels *kernels;
    const ttt_multiply *m;
    float *own, *shared;
    const float *strips;
    int64_t strip_stride;
    int64_t column, columns, step, steps;
    int64_t item_rows, item_columns, row_blocks;
} slab;

static void lay_panel(void *context, int64_t panel, int thread)
{
    (void)thread;
    const slab *s = context;
    const ttt_multiply *m = s->m;
    const int64_t from = s->column + panel * TTT_PANEL;
    float *to = s->shared + panel * TTT_PANEL * s->steps;
    if (m->tiles) {
        const int64_t tile_steps = (m->depth + TTT_BF16_TILE_INNER - 1) / TTT_BF16_TILE_INNER;
        const float *tiles = m->tiles +
                             (from * tile_steps + s->step / TTT_BF16_TILE_INNER * TTT_PANEL) * TTT_BF16_TILE_PAIRS;
        s->kernels->widen(to, s->strip_stride, tiles, s->steps / TTT_BF16_TILE_INNER);
        return;
    }
    const int64_t place = m->w_transposed ? from * m->depth + s->step : s->step * m->columns + from;
    s->kernels->strips(&(ttt_strips){.strips = to,
                                     .strip_stride = s->strip_stride,
                                     .w = m->w + place,
                                     .stride = m->w_transposed ? m->depth : m->columns,
                                     .columns = at_most(TTT_PANEL, m->columns - from),
                                     .depth = s->steps,
                                     .turned = !m->w_transposed,
                                     .round = m->round});
}

/* Rows for p->depth steps from `step` on: as they are, or laid out. What is missing of a tile's steps is zero. */
static void take_rows(const slab *s, ttt_product *p, float *own, int64_t row, int64_t step)
{
    enum { TOGETHER = TTT_ROWS_TOGETHER };
    const ttt_multiply *m = s->m;
    const float *a = m->a + (m->a_transposed ? step * m->rows + row : row * m->depth + step);
    /* Rows that are pages apart have one place in the first cache, where a narrow strip is to stay. */
    const bool pages = m->depth % PAGE == 0 && s->kernels->strip_width < TTT_PANEL;
    if (!m->a_transposed && !m->round && !pages) {
        p->x = a;
        p->x_stride = m->depth;
        p->x_step = 1;
        p->x_block = TOGETHER * m->depth;
        return;
    }
    p->x = own;
    p->x_stride = m->a_transposed ? 1 : p->depth + PAD;
    p->x_step = m->a_transposed ? TOGETHER : 1;
    p->x_block = m->a_transposed ? TOGETHER * p->depth + PAD : TOGETHER * p->x_stride;
    if (step + p->depth > m->depth) memset(own, 0, OWN * sizeof *own);
    s->kernels->rows(&(ttt_rows){.to = own,
                                 .to_stride = m->a_transposed ? p->x_block : p->x_stride,
                                 .a = a,
                                 .stride = m->a_transposed ? m->rows : m->depth,
                                 .rows = p->rows,
                                 .depth = at_most(p->depth, m->depth - step),
                                 .turned = m->a_transposed,
                                 .round = m->round});
}

/* While a product runs, memory is asked for the rows' next steps. */
static void look_ahead(const slab *s, ttt_product *p, int64_t row, int64_t step)
{
    const ttt_multiply *m = s->m;
    p->ahead = NULL;
    if (step >= m->depth) return;
    const int64_t steps = at_most(p->depth, m->depth - step);
    p->ahead = m->a + (m->a_transposed ? step * m->rows + row : row * m->depth + step);
    p->ahead_stride = m->a_transposed ? m->rows : m->depth;
    p->ahead_rows = m->a_transposed ? steps : p->rows;
    p->ahead_columns = m->a_transposed ? p->rows : steps;
}

static void multiply_item(void *context, int64_t item, int thread)
{
    const slab *s = context;
    const ttt_multiply *m = s->m;
    float *own = s->own + (int64_t)thread * OWN;
    const int64_t row = item % s->row_blocks * s->item_rows, first = item / s->row_blocks * s->item_columns;
    const int64_t width = s->kernels->strip_width;
    ttt_product p = {.y = m->y + row * m->columns + s->column + first,
                     .y_stride = m->columns,
                     .strip_stride = s->strip_stride,
                     .rows = at_most(s->item_rows, m->rows - row),
                     .columns = at_most(s->item_columns, at_most(s->columns - first, m->columns - s->column - first))};
    for (int64_t k = 0; k < s->steps; k += STEPS) {
        p.depth = at_most(STEPS, s->steps - k);
        p.accumulate = m->accumulate || s->step + k > 0;
        p.panel = s->strips + first / width * s->strip_stride + k * width;
        take_rows(s, &p, own, row, s->step + k);
        look_ahead(s, &p, row, s->step + k + STEPS);
        if (m->round) ttt_float_set(TTT_FLOAT_FLUSH); /* MATH (bf16) */
        s->kernels->product(&p);
        if (m->round) ttt_float_set(TTT_FLOAT_ENV);
    }
}

/* Halves of halves: two threads have as much to do as one another, and so have four. */
static int64_t halves_of(int64_t n, int64_t most)
{
    int64_t parts = 1;
    while (n > parts * most) parts *= 2;
    return parts;
}

/* How many items. Where they are few, first fewer rows each: columns share what is laid out of the rows. */
static int64_t cut_items(slab *s)
{
    const int64_t rows = s->m->rows, columns = s->columns;
    int64_t by_rows = halves_of(rows, ROWS), by_columns = halves_of(columns, COLUMNS);
    while (by_rows * by_columns < ITEMS) {
        if (rows >= 2 * LEAST_ROWS * by_rows)
            by_rows *= 2;
        else if (columns >= 2 * TTT_PANEL * by_columns)
            by_columns *= 2;
        else
            break;
    }
    s->item_rows = part_of(rows, by_rows, UNIT);
    s->item_columns = part_of(columns, by_columns, TTT_PANEL);
    s->row_blocks = (rows + s->item_rows - 1) / s->item_rows;
    return s->row_blocks * ((columns + s->item_columns - 1) / s->item_columns);
}

static void multiply_slab(slab *s)
{
    const ttt_multiply *m = s->m;
    ttt_pool *pool = m->rows * m->columns * m->depth < 1 << 16 ? NULL : ttt_pool_of(s->b);
    if (s->strips == s->shared) ttt_parallel(pool, ttt_panels(s->columns), lay_panel, s);
    ttt_parallel(pool, cut_items(s), multiply_item, s);
}

void ttt_multiply_rows(const ttt_backend *b, const ttt_multiply *m)
{
    if (m->rows == 0) return;
    const ttt_kernels *kernels = ttt_cpu_kernels(b);
    const int64_t unit = m->tiles ? TTT_BF16_TILE_INNER : 1, depth = (m->depth + unit - 1) / unit * unit;
    int64_t steps = depth, columns = m->columns;
    if (!m->strips) {
        steps = part_of(depth, (depth + SLAB_STEPS - 1) / SLAB_STEPS, TTT_BF16_TILE_INNER);
        const int64_t most = SLAB / steps / TTT_PANEL * TTT_PANEL;
        columns = part_of(m->columns, (m->columns + most - 1) / most, TTT_PANEL);
    }
    float *own = ttt_scratch(b, 0);
    slab s = {.b = b, .kernels = kernels, .m = m, .own = own, .shared = own + (int64_t)b->threads * OWN};
    for (s.column = 0; s.column < m->columns; s.column += columns) {
        s.columns = at_most(columns, m->columns - s.column);
        for (s.step = 0; s.step < depth; s.step += steps) {
            s.steps = at_most(steps, depth - s.step);
            s.strip_stride = s.steps * kernels->strip_width;
            s.strips = m->strips ? m->strips : s.shared;
            multiply_slab(&s);
        }
    }
}
