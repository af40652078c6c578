/* SPDX-License-Identifier: MIT
 *
 * How values are compared with a golden tensor, and the list of what was compared.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "eval/verify.h"

/* docs/MATH.md, "Precisions", says where the factors of bf16 come from. */
double ttt_verifier_tolerance(const ttt_verifier *v, ttt_verify_kind kind)
{
    static const double f32[] = {0, 3e-5, 3e-4, 1e-4}, f64[] = {0, 1e-10, 1e-10, 1e-10}, bf16[] = {0, 2, 7, 0.2};
    if (v->rounding > 0) return v->rounding * bf16[kind];
    return v->exact ? f64[kind] : f32[kind];
}

ttt_status ttt_verifier_add(ttt_verifier *v, const char *name, double max_abs, double magnitude, ttt_verify_kind kind)
{
    ttt_verification *report = v->verification;
    if (report->count == v->capacity) {
        v->capacity = v->capacity ? 2 * v->capacity : 64;
        ttt_quantity *grown = ttt_realloc(report->quantities, (size_t)v->capacity, sizeof *grown);
        if (!grown) return TTT_ERR_MEMORY;
        report->quantities = grown;
    }
    ttt_quantity *q = &report->quantities[report->count++];
    *q = (ttt_quantity){.max_abs = max_abs, .tolerance = ttt_verifier_tolerance(v, kind)};
    snprintf(q->name, sizeof q->name, "%s", name);
    if (max_abs > 0 || isnan(max_abs)) q->max_rel = max_abs / (magnitude > 0 ? magnitude : 1);
    q->ok = q->max_rel <= q->tolerance;
    report->ok = report->ok && q->ok;
    return TTT_OK;
}

double *ttt_verifier_read(const ttt_verifier *v, const char *name, int64_t count)
{
    const ttt_tensor *tensor = ttt_safetensors_find(v->golden, name);
    if (!tensor || !ttt_dtype_is_float(tensor->dtype) || ttt_tensor_count(tensor) != count) {
        (void)ttt_fail(
            TTT_ERR_FORMAT,
            "the golden file's tensor %s is missing, or is not %lld floating-point numbers as this model has", name,
            (long long)count);
        return NULL;
    }
    double *values = ttt_alloc((size_t)count, sizeof *values);
    if (values) ttt_dtype_convert(values, TTT_F64, tensor->data, tensor->dtype, (size_t)count);
    return values;
}

ttt_status ttt_verifier_compare(ttt_verifier *v, const char *name, const char *label, const double *values,
                                int64_t count, const char *magnitude_of, ttt_verify_kind kind)
{
    double *golden = ttt_verifier_read(v, name, count), *scale = NULL;
    if (!golden) return TTT_ERR_FORMAT;
    if (magnitude_of && !(scale = ttt_verifier_read(v, magnitude_of, count))) {
        ttt_free(golden);
        return TTT_ERR_FORMAT;
    }
    double difference = 0, magnitude = 0;
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs(values[i] - golden[i]);
        if (!(d <= difference)) difference = d; /* a NaN sticks */
        magnitude = fmax(magnitude, fabs(scale ? scale[i] : golden[i]));
        if (isnan(difference)) break;
    }
    ttt_free(golden);
    ttt_free(scale);
    return ttt_verifier_add(v, label, difference, magnitude, kind);
}

ttt_status ttt_verifier_tokens(const ttt_verifier *v, const char *name, int rank, int64_t shape[3], int32_t **tokens)
{
    *tokens = NULL;
    const ttt_tensor *tensor = v->golden ? ttt_safetensors_find(v->golden, name) : NULL;
    if (!tensor || tensor->dtype != TTT_I32 || tensor->rank != rank || ttt_tensor_count(tensor) == 0)
        return ttt_fail(TTT_ERR_FORMAT, "the golden file's tensor %s is missing, empty, or not I32 with %d dimensions",
                        name, rank);
    memcpy(shape, tensor->shape, (size_t)rank * sizeof *shape);
    *tokens = ttt_alloc(tensor->bytes, 1);
    if (!*tokens) return TTT_ERR_MEMORY;
    memcpy(*tokens, tensor->data, tensor->bytes);
    return TTT_OK;
}
