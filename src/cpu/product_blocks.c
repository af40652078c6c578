/* SPDX-License-Identifier: MIT
 *
 * Products with weights in blocks of small integers, q8 and q4: panels as body_blocks.h has them. The rows are
 * quantised into scratch that all threads share, as much at a time as fits, and then panels and blocks of rows are
 * shared out.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

/* What the bytes of a panel have more than the codes. */
static int offset_of(ttt_precision precision) { return precision == TTT_PRECISION_Q4 ? 8 : 128; }

static int64_t panel_bytes(ttt_precision precision, int64_t columns)
{
    return ttt_blocks(columns) * ttt_panel_block(precision);
}

/* Where in a block of a panel the code of an output and an inner index lies; *shift tells which half of the byte. */
static int64_t place(ttt_precision precision, int64_t output, int64_t inner, int *shift)
{
    const int64_t group = inner / 4, halves = precision == TTT_PRECISION_Q4 ? 2 : 1;
    *shift = (int)(group % halves * 4);
    return 2 * TTT_PANEL + (group / halves * TTT_PANEL + output) * 4 + inner % 4;
}

/* ---- packing ---- */

typedef struct packing {
    uint8_t *packed;
    ttt_precision precision;
    const ttt_matrix *matrix;
    atomic_bool damaged;
} packing;

/* The codes of an output go word by word, four inner indices at once: code + 128 is the sign turned over, and what q4
 * takes off again leaves no borrow. */
static void pack_block(packing *p, uint8_t *to, int64_t row, int64_t outputs, int64_t block)
{
    const bool halves = p->precision == TTT_PRECISION_Q4;
    const uint32_t signs = 0x80808080, rest = 0x78787878;
    uint8_t *words = to + 2 * TTT_PANEL;
    if (outputs < TTT_PANEL) memset(to, 0, (size_t)ttt_panel_block(p->precision));
    for (int64_t j = 0; j < outputs; j++) {
        int8_t codes[TTT_QUANT_BLOCK];
        uint32_t word[TTT_QUANT_BLOCK / 4];
        uint16_t scale;
        if (!ttt_matrix_block(p->matrix, p->precision, row + j, block, codes, &scale)) p->damaged = true;
        memcpy(to + 2 * j, &scale, sizeof scale);
        memcpy(word, codes, sizeof word);
        for (int64_t g = 0; g < TTT_QUANT_BLOCK / 4; g++) word[g] ^= signs;
        for (int64_t g = 0; halves && g < TTT_QUANT_BLOCK / 8; g++)
            word[g] = (word[2 * g] - rest) | (word[2 * g + 1] - rest) << 4;
        for (int64_t g = 0; g < TTT_QUANT_BLOCK / (halves ? 8 : 4); g++)
            memcpy(words + (g * TTT_PANEL + j) * 4, &word[g], sizeof word[g]);
    }
}

static void pack_panels(void *context, int64_t begin, int64_t end)
{
    packing *p = context;
    const ttt_matrix *m = p->matrix;
    for (int64_t panel = begin; panel < end; panel++) {
        const int64_t row = panel * TTT_PANEL, outputs = m->rows - row < TTT_PANEL ? m->rows - row : TTT_PANEL;
        uint8_t *to = p->packed + panel * panel_bytes(p->precision, m->columns);
        for (int64_t block = 0; block < ttt_blocks(m->columns); block++, to += ttt_panel_block(p->precision))
            pack_block(p, to, row, outputs, block);
    }
}

static void pack(const ttt_backend *b, void *packed, ttt_precision precision, const ttt_matrix *matrix, bool *finite)
{
    packing p = {.packed = packed, .precision = precision, .matrix = matrix};
    ttt_cpu_split(b, ttt_panels(matrix->rows), matrix->columns * TTT_PANEL, pack_panels, &p);
    if (finite && p.damaged) *finite = false;
}

/* ---- rows times a packed matrix ---- */

enum { ROWS = 96 }; /* of an item: the panel then stays in the second cache while they pass */

typedef struct block_linear {
    const ttt_kernels *kernels;
    ttt_block_product product;
    ttt_row_block *rows;
    const float *x;                                            /* from the first column of the part on */
    int64_t outputs, inputs, columns, row_blocks, panel_bytes; /* columns: of the part */
    int offset;
} block_linear;

static void quantize_rows(void *context, int64_t begin, int64_t end)
{
    const block_linear *l = context;
    for (int64_t r = begin; r < end; r++)
        l->kernels->quantize_row(l->rows + r * l->product.blocks, l->x + r * l->inputs, l->columns, l->offset);
}

static void multiply_item(void *context, int64_t item, int thread)
{
    (void)thread;
    const block_linear *l = context;
    const int64_t panel = item / l->row_blocks, row = item % l->row_blocks * ROWS, column = panel * TTT_PANEL;
    ttt_block_product p = l->product;
    p.y += row * p.y_stride + column;
    p.x += row * p.blocks;
    p.panel += panel * l->panel_bytes;
    p.rows = p.rows - row < ROWS ? p.rows - row : ROWS;
    p.columns = l->outputs - column < TTT_PANEL ? l->outputs - column : TTT_PANEL;
    l->kernels->block_product(&p);
}

/* Rows whose blocks fit the scratch together. */
static void linear_rows(const ttt_backend *b, block_linear *l)
{
    const int64_t count = l->product.rows, worth = 1 << 16;
    l->row_blocks = (count + ROWS - 1) / ROWS;
    ttt_cpu_split(b, count, l->columns, quantize_rows, l);
    ttt_parallel(count * l->outputs * l->columns < worth ? NULL : ttt_pool_of(b),
                 ttt_panels(l->outputs) * l->row_blocks, multiply_item, l);
}

/* A row too wide for the scratch goes part by part: what a part adds up is the start of the next one's sum, so that
 * nobody can tell from a result how wide the parts were. */
static void linear(const ttt_backend *b, float *y, const float *x, const ttt_param *w, int64_t rows, bool accumulate)
{
    const int64_t N = w->rows, M = w->columns, blocks = ttt_blocks(M);
    const int64_t room = (int64_t)((size_t)b->threads * ttt_host_of(b)->scratch_bytes / sizeof(ttt_row_block));
    const int64_t part = blocks < room ? blocks : room, fit = room / part;
    block_linear l = {.kernels = ttt_cpu_kernels(b),
                      .product = {.y_stride = N, .halves = w->precision == TTT_PRECISION_Q4},
                      .rows = ttt_scratch(b, 0),
                      .outputs = N,
                      .inputs = M,
                      .panel_bytes = panel_bytes(w->precision, M),
                      .offset = offset_of(w->precision)};
    l.product.x = l.rows;
    for (int64_t first = 0; first < rows; first += fit) {
        l.product.rows = rows - first < fit ? rows - first : fit;
        l.product.y = y + first * N;
        for (int64_t block = 0; block < blocks; block += part) {
            const int64_t column = block * TTT_QUANT_BLOCK;
            l.product.blocks = blocks - block < part ? blocks - block : part;
            l.product.panel = (const uint8_t *)w->packed + block * ttt_panel_block(w->precision);
            l.product.accumulate = accumulate || block > 0;
            l.columns = M - column < part * TTT_QUANT_BLOCK ? M - column : part * TTT_QUANT_BLOCK;
            l.x = x + first * M + column;
            linear_rows(b, &l);
        }
    }
}

static void embed_row(const ttt_kernels *kernels, float *y, const ttt_param *w, int64_t id)
{
    (void)kernels;
    const uint8_t *panel = (const uint8_t *)w->packed + id / TTT_PANEL * panel_bytes(w->precision, w->columns);
    const int offset = offset_of(w->precision), mask = 2 * offset - 1;
    for (int64_t c = 0; c < w->columns; c++) {
        const uint8_t *block = panel + c / TTT_QUANT_BLOCK * ttt_panel_block(w->precision);
        uint16_t scale;
        int shift;
        memcpy(&scale, block + 2 * (id % TTT_PANEL), sizeof scale);
        const int64_t at = place(w->precision, id % TTT_PANEL, c % TTT_QUANT_BLOCK, &shift);
        const int code = (block[at] >> shift & mask) - offset;
        y[c] = ttt_bf16_value(scale) * (float)code;
    }
}

/* ---- the two formats ---- */

static size_t q8_size(int64_t rows, int64_t columns)
{
    return (size_t)(ttt_panels(rows) * panel_bytes(TTT_PRECISION_Q8, columns));
}

static size_t q4_size(int64_t rows, int64_t columns)
{
    return (size_t)(ttt_panels(rows) * panel_bytes(TTT_PRECISION_Q4, columns));
}

static void q8_pack(const ttt_backend *b, void *packed, const ttt_matrix *matrix, bool *finite)
{
    pack(b, packed, TTT_PRECISION_Q8, matrix, finite);
}

static void q4_pack(const ttt_backend *b, void *packed, const ttt_matrix *matrix, bool *finite)
{
    pack(b, packed, TTT_PRECISION_Q4, matrix, finite);
}

const ttt_cpu_format ttt_cpu_q8 = {q8_size, q8_pack, linear, embed_row};
const ttt_cpu_format ttt_cpu_q4 = {q4_size, q4_pack, linear, embed_row};
