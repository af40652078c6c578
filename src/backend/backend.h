/* SPDX-License-Identifier: MIT
 *
 * The contract between the model and what computes it: memory, a closed list of operations, and nothing else.
 *
 * A backend computes in one element type, its *real* (ref: double, cpu: float); `void *` operands are arrays of reals
 * in the backend's memory, dense and row-major, with the shape stated beside them. Operations cannot fail: shapes are
 * checked when a model is built, and scratch is reserved then. Results never depend on the number of threads; those
 * marked [row] compute each row the same, whatever other rows are in the call: inference is made of these alone.
 *
 * Shape letters: R rows (tokens of all sequences in the call), C width, H heads, D head size, K mini-batch, F ffn
 * width, V vocabulary, W convolution width; N and M are outputs and inputs of a product. Equations: docs/MATH.md.
 */
#ifndef TTT_BACKEND_BACKEND_H
#define TTT_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/threads.h"
#include "tensor/dtype.h"
#include "tensor/precision.h"
#include "tensor/quantize.h"

typedef struct ttt_backend ttt_backend;

/* A parameter, or its gradient: `values` [rows, columns] (a vector has one row), or for inference `packed`, the same
 * matrix as the backend's `pack` laid it out. Training has values, and beside them, where products are not in f32,
 * `packed` and `turned`, the transpose laid out so. `precision` is what products with it, or that make it, compute in.
 */
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
    void *dstate; /* backward only: gradient of the final state on entry, of the initial state on return; same layout */
} ttt_run;

typedef struct ttt_learner_dims {
    int64_t heads, head_size, mini_batch;
    int64_t group; /* training keeps the weights every `group` tiles and recomputes between */
} ttt_learner_dims;

/* What a learner is called with: one layer, all sequences, all heads. Head h is columns [hD, (h+1)D). */
typedef struct ttt_learner_call {
    ttt_learner_dims dims;
    const ttt_run *runs;
    int64_t run_count;
    int64_t state_offset;    /* where this layer's learner lies in a run's state: [H, state_size] reals */
    const ttt_param *params; /* in the order the learner declares them */
    const void *q, *k, *v;   /* [R,C] */
    const void *write;       /* [R,H] r_j: the rate with which token j is written */
    const void *read; /* [R] c_i: the factor with which token i reads what was written since the mini-batch began; that
                         of a mini-batch's last token is also the factor of the update */
    void *out;        /* [R,C] */
    void *saved; /* forward to backward: [run_count, H, saved_size(longest run)]; NULL: nothing is kept (inference) */
    int64_t saved_stride; /* reals from one (run, head) to the next in `saved` */
    const void *dout;     /* backward, [R,C] */
    void *dq, *dk, *dv;   /* backward, [R,C], overwritten */
    void *dwrite, *dread; /* backward, [R,H], overwritten; the sum over heads of dread is the gradient of `read` */
    const ttt_param
        *dparams;  /* backward, +=; parameters that only set the initial state get theirs from reset_backward */
    void *partial; /* backward, scratch: [run_count, H, partial_size] */
} ttt_learner_call;

/* What adapts inside a TTT layer. Sizes are in reals, per head and sequence. */
typedef struct ttt_learner_ops {
    int64_t (*state_size)(const ttt_learner_dims *dims);
    int64_t (*saved_size)(const ttt_learner_dims *dims, int64_t tokens);
    int64_t (*partial_size)(const ttt_learner_dims *dims);
    size_t (*scratch_bytes)(const ttt_learner_dims *dims); /* per thread, in the backend's scratch */

    /* Sets the states of all runs to those of an empty sequence; the backward adds d loss / d state to the gradients.
     */
    void (*reset)(const ttt_backend *backend, const ttt_learner_call *call);
    void (*reset_backward)(const ttt_backend *backend, const ttt_learner_call *call);

    void (*forward)(const ttt_backend *backend, const ttt_learner_call *call); /* [row] */
    /* Given dout and runs[].dstate. The states themselves are not needed: `saved` holds what is. */
    void (*backward)(const ttt_backend *backend, const ttt_learner_call *call);

    /* For inspection. `weights` gets, per learner weight in the order W1, b1, W2, b2, its value at the start of the
     * open mini-batch and then, in the same order, the sums over the open mini-batch of r_j times the gradients: [2,
     * weights] reals of one head. weights_size is the reals of all weights. */
    int64_t (*weights_size)(const ttt_learner_dims *dims);
    void (*weights)(const ttt_backend *backend, const ttt_learner_dims *dims, const void *state, void *weights);
    /* Mean over D of (LN(learner(k)) - (v - k))^2 of one head with the given weights (the first half of `weights`). */
    double (*loss)(const ttt_backend *backend, const ttt_learner_dims *dims, const ttt_param *params, int64_t head,
                   const void *weights, const void *k, const void *v);
} ttt_learner_ops;

typedef struct ttt_adamw {
    double rate, beta1, beta2, eps, decay;
    double scale; /* the gradient is multiplied by this first: clipping */
    int64_t step; /* 1 for the first update: bias correction */
} ttt_adamw;

typedef struct ttt_ops {
    /* ---- memory ---- */
    void (*from)(const ttt_backend *b, void *reals, const void *source, ttt_dtype dtype, int64_t n);
    void (*to)(const ttt_backend *b, void *target, ttt_dtype dtype, const void *reals, int64_t n);
    void (*zero)(const ttt_backend *b, void *x, int64_t n);
    void (*copy)(const ttt_backend *b, void *y, const void *x, int64_t n);
    void (*add)(const ttt_backend *b, void *y, const void *x, int64_t n); /* y += x */

    /* ---- products with a matrix w [N,M] (a torch Linear's weight) ---- */
    /* y [R,N] = x [R,M] w^T, or += with `accumulate`. [row] when w is packed; from values it may be faster and is not.
     */
    void (*linear)(const ttt_backend *b, void *y, const void *x, const ttt_param *w, int64_t rows, bool accumulate);
    /* dx [R,M] = dy [R,N] w, or +=; from w's `turned` where it has one */
    void (*linear_backward_input)(const ttt_backend *b, void *dx, const void *dy, const ttt_param *w, int64_t rows,
                                  bool accumulate);
    /* dw [N,M] += dy^T x, both rounded to dw's precision */
    void (*linear_backward_weight)(const ttt_backend *b, const ttt_param *dw, const void *dy, const void *x,
                                   int64_t rows);
    /* The layout that makes `linear` a function of the row alone. packed_size in bytes; 0 where the backend does not
     * compute in this precision. `pack` takes any matrix to any precision, codes of the same one as they are;
     * *finite (which may be NULL) becomes false if a value is not finite. */
    size_t (*packed_size)(ttt_precision precision, int64_t rows, int64_t columns);
    void (*pack)(const ttt_backend *b, void *packed, ttt_precision precision, const ttt_matrix *matrix, bool *finite);

    /* ---- embedding, w [V,C]: its values, or if there are none, what is packed ---- */
    void (*embed)(const ttt_backend *b, void *y, const int32_t *ids, const ttt_param *w,
                  int64_t rows); /* [row] y [R,C] */
    void (*embed_backward)(const ttt_backend *b, const ttt_param *dw, const int32_t *ids, const void *dy,
                           int64_t rows); /* dw += */

    /* ---- normalisation ---- */
    /* [row] y = x / sqrt(mean(x^2) + eps) * w;  y, x [R,C], w [C] */
    void (*rmsnorm)(const ttt_backend *b, void *y, const void *x, const void *w, int64_t rows, int64_t width,
                    double eps);
    /* dx += , dw += ; x as in the forward */
    void (*rmsnorm_backward)(const ttt_backend *b, void *dx, void *dw, const void *dy, const void *x, const void *w,
                             int64_t rows, int64_t width, double eps);
    /* [row] y = LayerNorm(x; w, bias, eps 1e-6) * gelu(gate); gate [R,C] or NULL for no gate */
    void (*norm_gate)(const ttt_backend *b, void *y, const void *x, const void *w, const void *bias, const void *gate,
                      int64_t rows, int64_t width);
    /* dx and dgate overwritten (dgate NULL without gate), dw and dbias += ; dy becomes the forward's y */
    void (*norm_gate_backward)(const ttt_backend *b, void *dx, void *dgate, void *dw, void *dbias, void *dy,
                               const void *x, const void *w, const void *bias, const void *gate, int64_t rows,
                               int64_t width);

    /* ---- element by element ---- */
    void (*swiglu)(const ttt_backend *b, void *y, const void *gate, const void *up,
                   int64_t n); /* [row] y = silu(gate) * up */
    /* In place: dy becomes the forward's y, gate and up become their gradients. */
    void (*swiglu_backward)(const ttt_backend *b, void *dy, void *gate, void *up, int64_t n);

    /* ---- along a sequence ---- */
    /* [row] Rotates pairs (2i, 2i+1) of every head of x [R,C] in place by the angle of position mod K; table [K, D/2,
     * 2] holds cos and sin. `inverse` rotates back: the gradient. */
    void (*rotate)(const ttt_backend *b, void *x, const void *table, const ttt_run *runs, int64_t run_count,
                   int64_t heads, int64_t head_size, int64_t mini_batch, bool inverse);
    /* [row] y_t = bias + sum_m w[c,m] x_{t-(W-1)+m}; y, x [R,C], w [C,W]; rows before the run come from the state at
     * `tail`: [W-1,C], oldest first. */
    void (*conv)(const ttt_backend *b, void *y, const void *x, const void *w, const void *bias, const ttt_run *runs,
                 int64_t run_count, int64_t tail, int64_t width, int64_t taps);
    /* [row] Moves the tails of all runs on by their rows of x. After every conv that reads them. */
    void (*conv_tail)(const ttt_backend *b, const void *x, const ttt_run *runs, int64_t run_count, int64_t tail,
                      int64_t width, int64_t taps);
    /* dx, dw, dbias += ; the part that belongs to rows before the run is added to the tail in dstate. x_tail
     * [run_count, W-1, C] are the tails as the forward found them. */
    void (*conv_backward)(const ttt_backend *b, void *dx, void *dw, void *dbias, const void *dy, const void *x,
                          const void *x_tail, const void *w, const ttt_run *runs, int64_t run_count, int64_t tail,
                          int64_t width, int64_t taps);
    /* Backward of conv_tail, before any conv_backward: dx += what the final tail's gradient says of the run's rows; the
     * tail in dstate becomes the gradient of the initial tail. */
    void (*conv_tail_backward)(const ttt_backend *b, void *dx, const ttt_run *runs, int64_t run_count, int64_t tail,
                               int64_t width, int64_t taps);

    /* ---- rates of the inner loop ---- */
    /* [row] r [R,H] in place: logits to scale * sigmoid(logit + bias[h]) */
    void (*rate)(const ttt_backend *b, void *r, const void *bias, int64_t rows, int64_t heads, double scale);
    /* dr [R,H] in place: gradient of r to that of the logits; dbias += */
    void (*rate_backward)(const ttt_backend *b, void *dr, void *dbias, const void *r, int64_t rows, int64_t heads,
                          double scale);
    /* [row] c [R] = max(0, 1/(i+1) + idx[i]), i = position mod K */
    void (*position_factor)(const ttt_backend *b, void *c, const void *idx, const ttt_run *runs, int64_t run_count,
                            int64_t mini_batch);
    /* didx [K] += from dc [R,H] summed over heads; nothing where the factor is clamped */
    void (*position_factor_backward)(const ttt_backend *b, void *didx, const void *dc, const void *idx,
                                     const ttt_run *runs, int64_t run_count, int64_t mini_batch, int64_t heads);

    /* ---- loss and optimizer ---- */
    /* losses [R] = logsumexp(logits) - logits[target], 0 where the target is negative. With scale != 0 the logits [R,V]
     * become scale * (softmax - onehot), zero rows where the target is negative. */
    void (*cross_entropy)(const ttt_backend *b, double *losses, void *logits, const int32_t *targets, int64_t rows,
                          int64_t vocabulary, double scale);
    double (*sum_squares)(const ttt_backend *b, const void *x, int64_t n);
    /* p -= rate * (mhat / (sqrt(vhat) + eps) + decay * p), moments of scale * g */
    void (*adamw)(const ttt_backend *b, void *p, void *m, void *v, const void *g, int64_t n, const ttt_adamw *options);

    /* ---- learners ---- */
    const ttt_learner_ops *learner_linear;
    const ttt_learner_ops *learner_mlp;
} ttt_ops;

enum { TTT_NORM_SCRATCH = 32 }; /* rows of reals of scratch that the norms' backward may use */

struct ttt_backend {
    const char *name;
    const char *isa; /* instruction set in use, such as "avx512"; "plain" for ref */
    ttt_dtype dtype; /* of a real: TTT_F64 or TTT_F32 */
    size_t real;     /* bytes of a real */
    ttt_precision
        preferred;     /* what "auto" means: bf16 where the machine multiplies bf16 several times faster than f32 */
    bool own_products; /* f32 products of training by the project's own kernels even where a library is faster: bits
                          then depend on no library */
    int threads;
    ttt_pool *pool; /* of that many threads */
    const ttt_ops *ops;
    ttt_ops table;           /* what `ops` points to, for a backend that fills its table at start */
    char *scratch;           /* [threads, scratch_bytes], for the operations' own use */
    size_t scratch_bytes;    /* per thread */
    const void *kernels;     /* the backend's own: cpu keeps its table of kernels here */
    struct ttt_timed *timed; /* NULL, or the times of its operations (timed.h) */
};

/* Makes the backend called `name`: "ref", "cpu", or "auto" (the fastest). threads 0: one per processor. */
ttt_status ttt_backend_new(ttt_backend **out, const char *name, int threads);
void ttt_backend_free(ttt_backend *backend);

/* Makes at least `bytes` of scratch available to each thread. */
ttt_status ttt_backend_reserve(ttt_backend *backend, size_t bytes);

/* A piece of a real array: element `index` of x. */
static inline void *ttt_at(const ttt_backend *backend, const void *x, int64_t index)
{
    return (char *)(uintptr_t)x + (size_t)index * backend->real;
}

/* Each backend's own constructor part: fills name, dtype, real, ops, kernels. */
ttt_status ttt_backend_init_ref(ttt_backend *backend);
ttt_status ttt_backend_init_cpu(ttt_backend *backend);

#endif
