/* SPDX-License-Identifier: MIT
 *
 * The products with weight matrices: inference's, from a packed matrix in every precision, with one row and with as
 * many as go through a model together; and training's three.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "bench/suite.h"
#include "model/context.h"

enum { Y, X };

static void linear(ttt_suite *s) { s->b->ops->linear(s->b, s->x[Y], s->x[X], &s->w, s->rows, false); }

static void backward_input(ttt_suite *s)
{
    s->b->ops->linear_backward_input(s->b, s->x[X], s->x[Y], &s->w, s->rows, false);
}

static void backward_weight(ttt_suite *s) { s->b->ops->linear_backward_weight(s->b, &s->w, s->x[Y], s->x[X], s->rows); }

typedef struct shape {
    int64_t outputs, inputs;
} shape;

static void time_product(ttt_suite *s, const char *name, void (*run)(ttt_suite *), int64_t rows)
{
    char text[64];
    s->run = run;
    s->rows = rows;
    snprintf(text, sizeof text, "%" PRId64 " x %" PRId64 " x %" PRId64, rows, s->w.rows, s->w.columns);
    ttt_suite_time(s, name, text, s->w.precision, true);
}

static void *pack(ttt_suite *s, ttt_precision precision, const ttt_matrix *matrix)
{
    const size_t bytes = s->b->ops->packed_size(precision, matrix->rows, matrix->columns);
    void *packed = ttt_suite_reals(s, (int64_t)((bytes + s->b->real - 1) / s->b->real));
    if (packed) s->b->ops->pack(s->b, packed, precision, matrix, NULL);
    return packed;
}

static void inference(ttt_suite *s, ttt_precision precision, shape n)
{
    const int64_t many = s->R < TTT_ADVANCE_ROWS ? s->R : TTT_ADVANCE_ROWS;
    const ttt_matrix matrix = {.dtype = s->b->dtype, .rows = n.outputs, .columns = n.inputs};
    ttt_matrix values = matrix;
    values.values = ttt_suite_reals(s, n.outputs * n.inputs);
    s->x[Y] = ttt_suite_reals(s, many * n.outputs);
    s->x[X] = ttt_suite_reals(s, many * n.inputs);
    if (s->failed) return;
    s->w = (ttt_param){.rows = n.outputs, .columns = n.inputs, .precision = precision};
    s->w.packed = pack(s, precision, &values);
    if (s->failed) return;
    time_product(s, "linear, decode", linear, 1);
    time_product(s, "linear, prefill", linear, many);
}

static void training(ttt_suite *s, ttt_precision precision, shape n)
{
    s->w = (ttt_param){.rows = n.outputs, .columns = n.inputs, .precision = precision};
    s->w.values = ttt_suite_reals(s, n.outputs * n.inputs);
    s->x[Y] = ttt_suite_reals(s, s->R * n.outputs);
    s->x[X] = ttt_suite_reals(s, s->R * n.inputs);
    if (!s->failed && precision != TTT_PRECISION_F32) {
        ttt_matrix matrix = {.dtype = s->b->dtype, .values = s->w.values, .rows = n.outputs, .columns = n.inputs};
        s->w.packed = pack(s, precision, &matrix);
        matrix = (ttt_matrix){
            .dtype = s->b->dtype, .values = s->w.values, .rows = n.inputs, .columns = n.outputs, .transposed = true};
        s->w.turned = pack(s, precision, &matrix);
    }
    if (s->failed) return;
    time_product(s, "linear, training", linear, s->R);
    time_product(s, "linear_backward_input", backward_input, s->R);
    time_product(s, "linear_backward_weight", backward_weight, s->R);
}

void ttt_suite_products(ttt_suite *s)
{
    const shape shapes[] = {{s->C, s->C}, {s->F, s->C}, {s->C, s->F}, {s->V, s->C}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && !s->failed; i++) {
        for (int p = 0; p < TTT_PRECISION_COUNT && !s->failed; p++) {
            const ttt_precision precision = (ttt_precision)p;
            if (!s->b->ops->packed_size(precision, 1, 1)) continue;
            inference(s, precision, shapes[i]);
            ttt_suite_release(s);
            if (!s->failed && !ttt_precision_is_blocks(precision)) training(s, precision, shapes[i]);
            ttt_suite_release(s);
        }
    }
}
