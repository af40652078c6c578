/* SPDX-License-Identifier: MIT */
#include "store/convert_weights.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* The rows of one tensor being made; of codes and scales that belong together one is NULL. */
typedef struct making {
    const ttt_weights_job *job;
    unsigned char *codes;
    uint16_t *scales;
    float *values;
    atomic_bool damaged;
} making;

static void make_row(void *context, int64_t row, int thread)
{
    (void)thread;
    making *m = context;
    const ttt_matrix *matrix = &m->job->matrix;
    if (m->values) {
        ttt_matrix_read(matrix, row, 0, matrix->columns, m->values + row * matrix->columns);
        return;
    }
    const int64_t bytes = ttt_code_bytes(m->job->precision, matrix->columns);
    if (!ttt_matrix_quantize(matrix, m->job->precision, row, m->codes ? m->codes + row * bytes : NULL,
                             m->scales ? m->scales + row * ttt_blocks(matrix->columns) : NULL))
        m->damaged = true;
}

static ttt_status make(making *m, const ttt_tensor_out *out)
{
    ttt_parallel(m->job->pool, m->job->matrix.rows, make_row, m);
    if (m->damaged)
        return ttt_fail(TTT_ERR_NUMERIC,
                        "tensor %.128s holds a value that is not a finite number, or too large for %s: the weights are "
                        "damaged",
                        out->tensor.name, ttt_precision_name(m->job->precision));
    return TTT_OK;
}

static ttt_status make_codes(const ttt_tensor_out *out, void *bytes)
{
    return make(&(making){.job = out->context, .codes = bytes}, out);
}

static ttt_status make_scales(const ttt_tensor_out *out, void *bytes)
{
    return make(&(making){.job = out->context, .scales = bytes}, out);
}

static ttt_status make_values(const ttt_tensor_out *out, void *bytes)
{
    return make(&(making){.job = out->context, .values = bytes}, out);
}

static ttt_tensor_out new_out(const char *name, ttt_dtype dtype, int64_t rows, int64_t columns,
                              const ttt_weights_job *job, ttt_status (*maker)(const ttt_tensor_out *, void *))
{
    const ttt_tensor tensor = {.name = name,
                               .dtype = dtype,
                               .rank = 2,
                               .shape = {rows, columns},
                               .bytes = (size_t)(rows * columns) * ttt_dtype_bytes(dtype)};
    return (ttt_tensor_out){.tensor = tensor, .dtype = dtype, .make = maker, .context = job};
}

int64_t ttt_weights_outs(ttt_tensor_out *outs, ttt_weights_job *job, const ttt_param_spec *spec,
                         const ttt_param_found *found)
{
    const int64_t rows = job->matrix.rows, columns = job->matrix.columns;
    const bool blocks = ttt_precision_is_blocks(job->precision);
    if (job->precision == job->matrix.precision) {
        outs[0] = (ttt_tensor_out){
            .tensor = *found->tensor, .dtype = found->tensor->dtype, .transposed = job->matrix.transposed};
        if (blocks) outs[1] = (ttt_tensor_out){.tensor = *found->scales, .dtype = found->scales->dtype};
        return blocks ? 2 : 1;
    }
    if (!blocks) {
        outs[0] = new_out(found->tensor->name, TTT_F32, rows, columns, job, make_values);
        return 1;
    }
    snprintf(job->scales_name, sizeof job->scales_name, "%s%s", spec->name, TTT_SCALES);
    outs[0] = new_out(found->tensor->name, job->precision == TTT_PRECISION_Q8 ? TTT_I8 : TTT_U8, rows,
                      ttt_code_bytes(job->precision, columns), job, make_codes);
    outs[1] = new_out(job->scales_name, TTT_BF16, rows, ttt_blocks(columns), job, make_scales);
    return 2;
}
