/* SPDX-License-Identifier: MIT
 *
 * The reference backend's memory operations and its table.
 */
#include "ref/ref.h"

#include <string.h>

static void from(const ttt_backend *b, void *reals, const void *source, ttt_dtype dtype, int64_t n)
{
    (void)b;
    ttt_dtype_convert(reals, TTT_F64, source, dtype, (size_t)n);
}

static void to(const ttt_backend *b, void *target, ttt_dtype dtype, const void *reals, int64_t n)
{
    (void)b;
    ttt_dtype_convert(target, dtype, reals, TTT_F64, (size_t)n);
}

static void zero(const ttt_backend *b, void *x, int64_t n)
{
    (void)b;
    memset(x, 0, (size_t)n * sizeof(double));
}

static void fill(const ttt_backend *b, void *xv, double value, int64_t n)
{
    (void)b;
    double *x = xv;
    for (int64_t i = 0; i < n; i++) x[i] = value;
}

static void copy(const ttt_backend *b, void *y, const void *x, int64_t n)
{
    (void)b;
    memcpy(y, x, (size_t)n * sizeof(double));
}

static void copy_rows(const ttt_backend *b, void *yv, int64_t y_stride, const void *xv, int64_t x_stride, int64_t rows,
                      int64_t C)
{
    (void)b;
    for (int64_t r = 0; r < rows; r++)
        memcpy((double *)yv + r * y_stride, (const double *)xv + r * x_stride, (size_t)C * sizeof(double));
}

static void transpose(const ttt_backend *b, void *yv, const void *xv, int64_t M, int64_t N)
{
    (void)b;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) ((double *)yv)[n * M + m] = ((const double *)xv)[m * N + n];
}

static void add(const ttt_backend *b, void *yv, const void *xv, int64_t n)
{
    (void)b;
    double *y = yv;
    const double *x = xv;
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

ttt_status ttt_backend_init_ref(ttt_backend *backend)
{
    ttt_ops *ops = &backend->table;
    *ops = (ttt_ops){
        .from = from,
        .to = to,
        .zero = zero,
        .fill = fill,
        .copy = copy,
        .copy_rows = copy_rows,
        .transpose = transpose,
        .add = add,
        .learner = {[TTT_LINEAR_LEARNER] = &ttt_ref_learner_linear, [TTT_MLP_LEARNER] = &ttt_ref_learner_mlp}};
    ttt_host_ops(ops);
    ttt_ref_ops_product(ops);
    ttt_ref_ops_delta(ops);
    ttt_ref_ops_delta_inputs(ops);
    ttt_ref_ops_norm(ops);
    ttt_ref_ops_pointwise(ops);
    ttt_ref_ops_sequence(ops);
    ttt_ref_ops_scan(ops);
    ttt_ref_ops_attention(ops);
    ttt_ref_ops_optim(ops);
    backend->name = "ref";
    backend->isa = "plain";
    backend->dtype = TTT_F64;
    backend->least_sum = INT64_MAX; /* the definition has one sum */
    backend->real = sizeof(double);
    backend->threads = 1;
    backend->ops = ops;
    return TTT_OK;
}
