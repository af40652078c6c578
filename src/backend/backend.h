/* SPDX-License-Identifier: MIT
 *
 * The contract between the model and what computes it: memory and operations (ops.def), learners (learner_ops.h), and
 * nothing else.
 *
 * A backend computes in one element type, its *real* (ref: double, cpu: float); `void *` operands are arrays of reals
 * in the backend's memory, dense and row-major, with the shape stated beside them. Operations cannot fail: shapes are
 * checked when a model is built, and scratch is reserved then. Results never depend on the number of threads; those
 * marked [row] compute each row the same, whatever other rows are in the call: inference is made of these alone.
 *
 * A backend serves one caller at a time: operations share its scratch and threads. What touches operands alone is free
 * of that on a backend of one thread that is not timed, which any number of threads may then use at once: alloc, free,
 * from, to, zero, copy, add, packed_size, pack, a learner's sizes, reset, export_state and import_state.
 *
 * Shape letters: R rows (tokens of all sequences in the call), C width, H heads, D head size, K mini-batch, F ffn
 * width, V vocabulary, W convolution width; N and M are outputs and inputs of a product. Equations: docs/MATH.md.
 */
#ifndef TTT_BACKEND_BACKEND_H
#define TTT_BACKEND_BACKEND_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/learner_ops.h"
#include "backend/scan.h"
#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/precision.h"
#include "tensor/quantize.h"

static_assert(sizeof(size_t) == 8, "sizes of memory and of files have 64 bits here");

typedef struct ttt_backend ttt_backend;

/* A parameter, or its gradient: `values` [rows, columns] (a vector has one row), or for inference `packed`, the same
 * matrix as the backend's `pack` laid it out. Training has values, and beside them, where products are not in f32,
 * `packed` and `turned`, the transpose laid out so. `precision`: number format of the products that read this matrix,
 * or that make this gradient. */
typedef struct ttt_param {
    void *values;
    void *packed, *turned;
    ttt_precision precision;
    int64_t rows, columns;
} ttt_param;

/* Consecutive tokens of one sequence: rows [row, row + count) of the call. */
typedef struct ttt_run {
    int64_t row, count;
    int64_t position; /* tokens of this sequence that came before */
    bool frozen;      /* its learner does not update: every r_j is 0 */
    void *state;      /* the sequence's block of reals; forward advances it by `count` tokens */
    /* What layers keep of every token, by the layers' numbers: [tokens, per_token] reals, NULL where a layer has none.
     * In training row t is token t; else token t is row t mod its window, or row t without a window. dgrown: gradients.
     */
    void *const *grown, *const *dgrown;
    void *dstate; /* backward only: gradient of the final state on entry, of the initial state on return; same layout */
} ttt_run;

typedef struct ttt_adamw {
    double rate, beta1, beta2, eps, decay;
    double scale; /* the gradient is multiplied by this first: clipping */
    int64_t step; /* 1 for the first update: bias correction */
} ttt_adamw;

/* The table of operations: ops.def says what each does. */
typedef struct ttt_ops {
#define OP(name, parameters, arguments, flops, bytes)             void(*name) parameters;
#define OP_VALUE(type, name, parameters, arguments, flops, bytes) type(*name) parameters;
#define OP_UNTIMED(type, name, parameters)                        type(*name) parameters;
#include "backend/ops.def"
    const ttt_learner_ops *learner[TTT_LEARNER_COUNT];
} ttt_ops;

enum { TTT_NORM_SCRATCH = 32 }; /* rows of reals of scratch that the norms' backward may use */

struct ttt_backend {
    const char *name;
    const char *isa; /* instruction set in use, such as "avx512"; "plain" for ref */
    const char
        *products;   /* what multiplies in f32 when training, with the version of a library: "own", "oneDNN 2.6.3" */
    ttt_dtype dtype; /* of a real: TTT_F64 or TTT_F32 */
    size_t real;     /* bytes of a real */
    ttt_precision
        preferred;     /* what "auto" means: bf16 where the machine multiplies bf16 several times faster than f32 */
    bool own_products; /* f32 products of training by the project's own kernels even where a library is faster: bits
                          then depend on no library */
    int threads;
    const ttt_ops *ops;
    ttt_ops table;           /* what `ops` points to, for a backend that fills its table at start */
    void *own;               /* the backend's: threads, scratch, kernels (host.h) */
    struct ttt_timed *timed; /* NULL, or the times of its operations (timed.h) */
};

/* Makes the backend called `name`: "ref", "cpu", or "auto" (the fastest). threads 0: one per processor. */
ttt_status ttt_backend_new(ttt_backend **out, const char *name, int threads);
void ttt_backend_free(ttt_backend *backend);

/* Makes at least `bytes` of scratch available to each thread. */
ttt_status ttt_backend_reserve(ttt_backend *backend, size_t bytes);

/* Work of the processor that is no operation, on the backend's threads: task(context, item, thread) once for every item
 * in [0, items), as ttt_parallel in base/threads.h. */
void ttt_backend_parallel(const ttt_backend *backend, int64_t items,
                          void (*task)(void *context, int64_t item, int thread), void *context);

/* A piece of a real array: element `index` of x. */
static inline void *ttt_at(const ttt_backend *backend, const void *x, int64_t index)
{
    return (char *)(uintptr_t)x + (size_t)index * backend->real;
}

/* Each backend's own constructor part: fills name, dtype, real, ops and what is in `own`. */
ttt_status ttt_backend_init_ref(ttt_backend *backend);
ttt_status ttt_backend_init_cpu(ttt_backend *backend);

#endif
