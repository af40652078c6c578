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
 * from, to, zero, copy, add, keys_write, keys_read, packed_size, pack, cross_entropy, a learner's sizes, reset,
 * export_state and import_state.
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

#include "backend/delta.h"
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
     * Row t is token t, or where a pass does not keep all, with a window, row t mod the window is. A layer that has
     * whole blocks of rows lays out each as it likes. dgrown: gradients. */
    void *const *grown, *const *dgrown;
    void *dstate; /* backward only: gradient of the final state on entry, of the initial state on return; same layout */
} ttt_run;

/* Attention as an operation sees it, and where it finds keys and values: the memory of layer `layer` in grown and
 * dgrown. It comes in blocks of TTT_KEY_BLOCK tokens, counted from the sequence's first: [groups, 2, D * TTT_KEY_BLOCK]
 * reals, of each group the keys [D, TTT_KEY_BLOCK] and then the values [TTT_KEY_BLOCK, D], so that a block of a group
 * is read in one piece, and as products want it. Block n lies in place n, or with a ring in place n mod ring /
 * TTT_KEY_BLOCK. */
enum { TTT_KEY_BLOCK = 64 };
typedef struct ttt_attention {
    int64_t layer;
    int64_t heads, groups; /* of queries, H; of keys and values, G, which divides H */
    int64_t head_size;     /* D */
    int64_t window;        /* W tokens are visible, the current one counted; 0: it and all before it */
    int64_t ring;          /* a multiple of TTT_KEY_BLOCK; 0: every token has a place of its own */
    double scale;          /* of the products q . k */
} ttt_attention;

static inline int64_t ttt_key_block_reals(const ttt_attention *a)
{
    return 2 * a->groups * a->head_size * TTT_KEY_BLOCK;
}
/* Where in a run's memory the block of token t begins, in reals. */
static inline int64_t ttt_key_block_at(const ttt_attention *a, int64_t t)
{
    const int64_t block = t / TTT_KEY_BLOCK;
    return (a->ring ? block % (a->ring / TTT_KEY_BLOCK) : block) * ttt_key_block_reals(a);
}
/* The first token that token t sees. */
static inline int64_t ttt_first_visible(const ttt_attention *a, int64_t t)
{
    return a->window && t >= a->window ? t - a->window + 1 : 0;
}

/* Scratch of attention, [TTT_ATTENTION_PARTS, D + TTT_ATTENTION_SUMS]: what rows read in spans of keys, before these
 * are put together. */
enum { TTT_ATTENTION_PARTS = 4096, TTT_ATTENTION_SUMS = 16 };

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
    ttt_dtype dtype; /* of a real: TTT_F64 or TTT_F32 */
    size_t real;     /* bytes of a real */
    ttt_precision
        preferred;     /* what "auto" means: bf16 where the machine multiplies bf16 several times faster than f32 */
    int64_t least_sum; /* elements of a part of ttt_sum_squares at least */
    int threads;
    const ttt_ops *ops;
    ttt_ops table;           /* what `ops` points to, for a backend that fills its table at start */
    void *own;               /* the backend's: threads, scratch, kernels (host.h) */
    struct ttt_timed *timed; /* NULL, or the times of its operations (timed.h) */
};

/* Makes the backend called `name`: "ref", "cpu", or "auto" (the fastest). threads 0: one per processor. */
ttt_status ttt_backend_new(ttt_backend **out, const char *name, int threads);
void ttt_backend_free(ttt_backend *backend);

/* Whose bits those of an instruction set are in a precision: "any", for they are the same under every one; or "amx",
 * which adds up products in bf16 in an order of its own. MATH (bits). */
const char *ttt_bits_of(const char *isa, const char *precision);

/* Makes at least `bytes` of scratch available to each thread. */
ttt_status ttt_backend_reserve(ttt_backend *backend, size_t bytes);

/* The sum of the squares of x [n], by parts of ttt_sum_part(n) elements, at most TTT_SUM_PARTS of them, added in order.
 * So any aligned parts may be summed elsewhere. */
enum { TTT_SUM_PARTS = 1024 };
int64_t ttt_sum_part(const ttt_backend *backend, int64_t n);
double ttt_sum_squares(const ttt_backend *backend, const void *x, int64_t n);

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
