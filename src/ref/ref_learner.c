/* SPDX-License-Identifier: MIT
 *
 * The walk of a reference learner along a sequence, MATH (linear) and (mlp): write, read, and at the end of a
 * mini-batch W -= c S, S = 0. The backward keeps the state at the start of every mini-batch and forms the sums after
 * every token again.
 */
#include "ref/ref_learner.h"

int64_t ttt_ref_learner_size(const ref_learner *learner, int64_t D)
{
    int64_t size = 0;
    for (int i = 0; i < learner->weights; i++) size += learner->size(i, D);
    return size;
}

static ref_token token_at(const ref_learner *learner, const ttt_learner_call *call, int64_t row, int64_t h)
{
    const int64_t H = call->dims.heads, D = call->dims.head_size, at = (row * H + h) * D;
    return (ref_token){.q = (const double *)call->q + at,
                       .k = (const double *)call->k + at,
                       .v = (const double *)call->v + at,
                       .gamma = (const double *)call->params[learner->weights].values + h * D,
                       .beta = (const double *)call->params[learner->weights + 1].values + h * D,
                       .r = ((const double *)call->write)[row * H + h],
                       .c = ((const double *)call->read)[row],
                       .D = D};
}

static double *head_state(const ref_learner *learner, const ttt_learner_call *call, void *block, int64_t h)
{
    return (double *)block + call->state_offset + h * 2 * ttt_ref_learner_size(learner, call->dims.head_size);
}

static void forward_head(const ref_learner *learner, const ttt_learner_call *call, const ttt_run *run, int64_t h,
                         double *saved)
{
    const int64_t H = call->dims.heads, D = call->dims.head_size, K = call->dims.mini_batch,
                  n = ttt_ref_learner_size(learner, D);
    double *start = head_state(learner, call, run->state, h), *sum = start + n;
    if (saved) memcpy(saved, start, (size_t)(2 * n) * sizeof *saved);
    for (int64_t t = 0; t < run->count; t++) {
        ref_token x = token_at(learner, call, run->row + t, h);
        x.out = (double *)call->out + ((run->row + t) * H + h) * D;
        learner->write(&x, start, sum);
        learner->read(&x, start, sum);
        if ((run->position + t) % K != K - 1) continue;
        ref_axpy(start, -x.c, sum, n);
        memset(sum, 0, (size_t)n * sizeof *sum);
        if (saved) memcpy(saved += 2 * n, start, (size_t)(2 * n) * sizeof *saved);
    }
}

void ttt_ref_learner_forward(const ref_learner *learner, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads;
    for (int64_t i = 0; i < call->run_count * H; i++)
        forward_head(learner, call, &call->runs[i / H], i % H,
                     call->saved ? (double *)call->saved + i * call->saved_stride : NULL);
}

static ref_token token_backward_at(const ref_learner *learner, const ttt_learner_call *call, int64_t row, int64_t h)
{
    const int64_t H = call->dims.heads, D = call->dims.head_size, at = (row * H + h) * D;
    ref_token x = token_at(learner, call, row, h);
    x.dout = (const double *)call->dout + at;
    x.dq = (double *)call->dq + at;
    x.dk = (double *)call->dk + at;
    x.dv = (double *)call->dv + at;
    x.dr = (double *)call->dwrite + row * H + h;
    x.dc = (double *)call->dread + row * H + h;
    x.dgamma = (double *)call->dparams[learner->weights].values + h * D;
    x.dbeta = (double *)call->dparams[learner->weights + 1].values + h * D;
    memset(x.dq, 0, (size_t)D * sizeof *x.dq);
    memset(x.dk, 0, (size_t)D * sizeof *x.dk);
    memset(x.dv, 0, (size_t)D * sizeof *x.dv);
    *x.dr = *x.dc = 0;
    return x;
}

/* Tokens [first, last) of a run, all in one mini-batch, backwards. `start`: the state before them; `sums`: scratch
 * [K+1, weights]. */
static void mini_batch_backward(const ref_learner *learner, const ttt_learner_call *call, const ttt_run *run, int64_t h,
                                int64_t first, int64_t last, const double *start, double *sums)
{
    const int64_t K = call->dims.mini_batch, n = ttt_ref_learner_size(learner, call->dims.head_size);
    double *dstart = head_state(learner, call, run->dstate, h), *dsum = dstart + n, *final = sums + (last - first) * n;
    memcpy(sums, start + n, (size_t)n * sizeof *sums);
    for (int64_t t = first; t < last; t++) {
        double *next = sums + (t - first + 1) * n;
        const ref_token x = token_at(learner, call, run->row + t, h);
        memcpy(next, next - n, (size_t)n * sizeof *next);
        learner->write(&x, start, next);
    }
    for (int64_t t = last - 1; t >= first; t--) {
        const ref_token x = token_backward_at(learner, call, run->row + t, h);
        if ((run->position + t) % K == K - 1) { /* W' = W - c S, S' = 0 */
            *x.dc -= ref_dot(dstart, final, n);
            memset(dsum, 0, (size_t)n * sizeof *dsum);
            ref_axpy(dsum, -x.c, dstart, n);
        }
        learner->backward(&x, start, sums + (t - first + 1) * n, dstart, dsum);
    }
}

static void backward_head(const ref_learner *learner, const ttt_backend *b, const ttt_learner_call *call,
                          const ttt_run *run, int64_t h, const double *saved)
{
    const int64_t K = call->dims.mini_batch, n = ttt_ref_learner_size(learner, call->dims.head_size);
    for (int64_t last = run->count; last > 0;) {
        const int64_t open = (run->position + last - 1) % K + 1; /* tokens of the mini-batch that ends at `last` */
        const int64_t first = open < last ? last - open : 0;
        const int64_t closed = (run->position + first) / K - run->position / K; /* mini-batches of this run before it */
        mini_batch_backward(learner, call, run, h, first, last, saved + closed * 2 * n, (double *)(void *)b->scratch);
        last = first;
    }
}

void ttt_ref_learner_backward(const ref_learner *learner, const ttt_backend *b, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads;
    for (int64_t i = 0; i < call->run_count * H; i++)
        backward_head(learner, b, call, &call->runs[i / H], i % H,
                      (const double *)call->saved + i * call->saved_stride);
}

void ttt_ref_learner_reset(const ref_learner *learner, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads, D = call->dims.head_size;
    for (int64_t i = 0; i < call->run_count * H; i++) {
        double *start = head_state(learner, call, call->runs[i / H].state, i % H);
        memset(start, 0, (size_t)(2 * ttt_ref_learner_size(learner, D)) * sizeof *start);
        for (int w = 0; w < learner->weights; start += learner->size(w++, D))
            ref_axpy(start, 1, (const double *)call->params[w].values + i % H * learner->size(w, D),
                     learner->size(w, D));
    }
}

void ttt_ref_learner_reset_backward(const ref_learner *learner, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads, D = call->dims.head_size;
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const double *dstart = head_state(learner, call, call->runs[i / H].dstate, i % H);
        for (int w = 0; w < learner->weights; dstart += learner->size(w++, D))
            ref_axpy((double *)call->dparams[w].values + i % H * learner->size(w, D), 1, dstart, learner->size(w, D));
    }
}
