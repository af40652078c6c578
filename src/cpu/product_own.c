/* SPDX-License-Identifier: MIT
 *
 * Training's products by the project's own kernels: blocks of w are packed into panels in scratch and multiplied by the
 * same kernel as inference's. An item is a column of panels over a block of rows: it belongs to one thread, and its
 * inner dimension is passed in order, so the result does not depend on the number of threads.
 */
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

/* Rows of an item; steps of the inner dimension whose panel fits the first cache; panels of an item, which share what
 * is packed of a. */
enum { ROWS = 512, STEPS = 128, PANELS = 4 };

typedef struct multiply_context {
    const ttt_backend *b;
    const ttt_multiply *m;
    int64_t row_blocks;
} multiply_context;

static ttt_status init(ttt_backend *backend, ttt_isa isa)
{
    (void)isa;
    return ttt_backend_reserve(backend, STEPS * (TTT_PANEL + ROWS) * sizeof(float));
}

/* `steps` x `columns` of w from (step, column) on, into a panel; what is missing of its columns is zero. */
static void pack_w(float *panel, const ttt_multiply *m, int64_t step, int64_t column, int64_t steps, int64_t columns)
{
    if (m->w_transposed) {
        ttt_panel_pack(panel, m->w + column * m->depth + step, m->depth, columns, steps);
        return;
    }
    if (columns < TTT_PANEL) memset(panel, 0, (size_t)steps * TTT_PANEL * sizeof *panel);
    for (int64_t k = 0; k < steps; k++) {
        memcpy(panel + k * TTT_PANEL, m->w + (step + k) * m->columns + column, (size_t)columns * sizeof *panel);
    }
}

static void multiply_item(void *context, int64_t item, int thread)
{
    const multiply_context *c = context;
    const ttt_multiply *m = c->m;
    float *panel = ttt_scratch(c->b, thread);
    float *a = panel + STEPS * TTT_PANEL;
    const int64_t row = item % c->row_blocks * ROWS, first = item / c->row_blocks * PANELS * TTT_PANEL;
    const int64_t last = first + PANELS * TTT_PANEL < m->columns ? first + PANELS * TTT_PANEL : m->columns;
    ttt_product p = {.panel = panel, .y_stride = m->columns, .rows = m->rows - row < ROWS ? m->rows - row : ROWS};
    for (int64_t step = 0; step < m->depth; step += STEPS) {
        p.depth = m->depth - step < STEPS ? m->depth - step : STEPS;
        p.accumulate = m->accumulate || step > 0;
        if (m->a_transposed) {
            for (int64_t k = 0; k < p.depth; k++)
                memcpy(a + k * ROWS, m->a + (step + k) * m->rows + row, (size_t)p.rows * sizeof *a);
            p.x = a, p.x_stride = 1, p.x_step = ROWS;
        } else {
            p.x = m->a + row * m->depth + step, p.x_stride = m->depth, p.x_step = 1;
        }
        for (int64_t column = first; column < last; column += TTT_PANEL) {
            p.columns = last - column < TTT_PANEL ? last - column : TTT_PANEL;
            pack_w(panel, m, step, column, p.depth, p.columns);
            p.y = m->y + row * m->columns + column;
            ttt_cpu_kernels(c->b)->product(&p);
        }
    }
}

static void run(const ttt_backend *b, const ttt_multiply *m)
{
    multiply_context c = {.b = b, .m = m, .row_blocks = (m->rows + ROWS - 1) / ROWS};
    const int64_t panels = (m->columns + PANELS * TTT_PANEL - 1) / (PANELS * TTT_PANEL), worth = 1 << 16;
    ttt_parallel(m->rows * m->columns * m->depth < worth ? NULL : ttt_pool_of(b), c.row_blocks * panels, multiply_item,
                 &c);
}

const ttt_products ttt_products_own = {.name = "own", .isa = ttt_isa_name, .init = init, .run = run};
