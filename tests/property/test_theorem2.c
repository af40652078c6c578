/* SPDX-License-Identifier: MIT
 *
 * The paper's second theorem, MATH (nadaraya-watson): a learner without parameters whose state is every key and value
 * that it has read, and which reads by the Nadaraya-Watson estimator with the kernel e^(q . k), is attention without
 * 1 / sqrt(D). The learner is written here from that definition, token by token, and stands behind the interface of all
 * learners; its state grows. It is compared with the operations of attention, forward and backward, in segments and for
 * several sequences in one call.
 */
#include <math.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "test.h"

enum { H = 3, D = 6, C = H * D, RUNS = 2, T = 150, ROWS = RUNS * T, LAYER = 1 };

/* ---- the learner: of head h, row t of what it keeps is k_t, v_t at [h, 2, D] ---- */

static int64_t per_token(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    (void)self;
    return dims->key_size + dims->value_size;
}

static double *kept(const ttt_learner_call *call, void *const *grown, int64_t t, int64_t h)
{
    const int64_t size = call->dims.key_size + call->dims.value_size;
    return (double *)grown[call->layer] + (t * call->dims.heads + h) * size;
}

static double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* The weights w [t + 1] of what was written, for the query of token t. */
static void weigh(const ttt_learner_call *call, double *w, const ttt_run *run, const double *q, int64_t t, int64_t h)
{
    double top = -(double)INFINITY, sum = 0;
    for (int64_t s = 0; s <= t; s++) top = fmax(top, w[s] = dot(q, kept(call, run->grown, s, h), D));
    for (int64_t s = 0; s <= t; s++) sum += w[s] = exp(w[s] - top);
    for (int64_t s = 0; s <= t; s++) w[s] /= sum;
}

static void learner_forward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)self, (void)b;
    double w[T];
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const ttt_run *run = &call->runs[i / H];
        const int64_t h = i % H;
        for (int64_t n = 0; n < run->count; n++) {
            const int64_t t = run->position + n, at = (run->row + n) * C + h * D;
            double *own = kept(call, run->grown, t, h), *out = (double *)call->out + at;
            memcpy(own, (const double *)call->k + at, D * sizeof *own); /* writing appends */
            memcpy(own + D, (const double *)call->v + at, D * sizeof *own);
            weigh(call, w, run, (const double *)call->q + at, t, h);
            memset(out, 0, D * sizeof *out);
            for (int64_t s = 0; s <= t; s++)
                for (int d = 0; d < D; d++) out[d] += w[s] * kept(call, run->grown, s, h)[D + d];
        }
    }
}

/* From the last token to the first, so that all who read a token have been there before it is written. */
static void learner_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)self, (void)b;
    double w[T];
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const ttt_run *run = &call->runs[i / H];
        const int64_t h = i % H;
        for (int64_t n = run->count - 1; n >= 0; n--) {
            const int64_t t = run->position + n, at = (run->row + n) * C + h * D;
            const double *q = (const double *)call->q + at, *dout = (const double *)call->dout + at;
            double *dq = (double *)call->dq + at, mean = 0;
            weigh(call, w, run, q, t, h);
            for (int64_t s = 0; s <= t; s++) mean += w[s] * dot(dout, kept(call, run->grown, s, h) + D, D);
            memset(dq, 0, D * sizeof *dq);
            for (int64_t s = 0; s <= t; s++) {
                const double *old = kept(call, run->grown, s, h);
                double *dold = kept(call, run->dgrown, s, h);
                const double de = w[s] * (dot(dout, old + D, D) - mean); /* of the exponent */
                for (int d = 0; d < D; d++) {
                    dq[d] += de * old[d];
                    dold[d] += de * q[d];
                    dold[D + d] += w[s] * dout[d];
                }
            }
            memcpy((double *)call->dk + at, kept(call, run->dgrown, t, h), D * sizeof *dq);
            memcpy((double *)call->dv + at, kept(call, run->dgrown, t, h) + D, D * sizeof *dq);
        }
    }
}

static const ttt_learner_ops nadaraya_watson = {
    .name = "nadaraya_watson", .per_token = per_token, .forward = learner_forward, .backward = learner_backward};

/* ---- both on the same numbers ---- */

typedef struct results {
    double out[ROWS * C], dq[ROWS * C], dk[ROWS * C], dv[ROWS * C];
} results;

static double q[ROWS * C], k[ROWS * C], v[ROWS * C], dout[ROWS * C]; /* in the order of segments, then sequences */

static void fill(double *x, uint64_t seed)
{
    for (uint64_t i = 0; i < ROWS * C; i++) x[i] = ttt_rng_normal((ttt_rng){.seed = seed, .stream = TTT_RNG_TEST}, i);
}

/* Memory of the sequences, by layers. */
typedef struct memory {
    void *grown[RUNS][LAYER + 1], *dgrown[RUNS][LAYER + 1];
} memory;

static memory memory_of(const ttt_backend *b, int64_t size)
{
    memory m = {0};
    for (int n = 0; n < RUNS; n++) {
        m.grown[n][LAYER] = b->ops->alloc(b, size, b->real);
        m.dgrown[n][LAYER] = b->ops->alloc(b, size, b->real);
    }
    return m;
}

static void memory_free(const ttt_backend *b, memory *m)
{
    for (int n = 0; n < RUNS; n++) {
        b->ops->free(b, m->grown[n][LAYER]);
        b->ops->free(b, m->dgrown[n][LAYER]);
    }
}

/* The runs of the segment from token `first` on; returns its first row. */
static int64_t segment(ttt_run *runs, const memory *m, int64_t first, int64_t count)
{
    for (int n = 0; n < RUNS; n++)
        runs[n] = (ttt_run){
            .row = n * count, .count = count, .position = first, .grown = m->grown[n], .dgrown = m->dgrown[n]};
    return RUNS * first;
}

static void learn(const ttt_backend *b, results *r, int64_t length)
{
    ttt_learner_call call = {.dims = {.heads = H,
                                      .key_size = D,
                                      .value_size = D,
                                      .mini_batch = 1,
                                      .flags = TTT_LEARNER_TARGET_V | TTT_LEARNER_NO_NORM | TTT_LEARNER_NO_RESIDUAL},
                             .run_count = RUNS,
                             .layer = LAYER};
    const ttt_learner_ops *ops = &nadaraya_watson;
    memory m = memory_of(b, T * H * ops->per_token(ops, &call.dims));
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t s = 0; s < (T + length - 1) / length; s++) {
            const int64_t first = (pass == 0 ? s : (T + length - 1) / length - 1 - s) * length;
            ttt_run runs[RUNS];
            const int64_t at = segment(runs, &m, first, T - first < length ? T - first : length) * C;
            call.runs = runs;
            call.q = q + at;
            call.k = k + at;
            call.v = v + at;
            call.out = r->out + at;
            call.dout = dout + at;
            call.dq = r->dq + at;
            call.dk = r->dk + at;
            call.dv = r->dv + at;
            if (pass == 0)
                ops->forward(ops, b, &call);
            else
                ops->backward(ops, b, &call);
        }
    }
    memory_free(b, &m);
}

/* Attention's operations, which see sqrt(D) q and have 1 / sqrt(D). */
static void attend(const ttt_backend *b, results *r, int64_t length)
{
    static double scaled[ROWS * C], sums[ROWS * H], delta[ROWS * H],
        partial[TTT_ATTENTION_PARTS * (D + TTT_ATTENTION_SUMS)];
    const ttt_attention a = {.layer = LAYER, .heads = H, .groups = H, .head_size = D, .scale = 1 / sqrt((double)D)};
    memory m = memory_of(b, (T + TTT_KEY_BLOCK - 1) / TTT_KEY_BLOCK * ttt_key_block_reals(&a));
    for (int64_t i = 0; i < ROWS * C; i++) scaled[i] = sqrt((double)D) * q[i];
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t s = 0; s < (T + length - 1) / length; s++) {
            const int64_t first = (pass == 0 ? s : (T + length - 1) / length - 1 - s) * length;
            ttt_run runs[RUNS];
            const int64_t row = segment(runs, &m, first, T - first < length ? T - first : length), at = row * C;
            if (pass == 0) {
                b->ops->keys_write(b, &a, k + at, v + at, runs, RUNS);
                b->ops->attention(b, &a, r->out + at, sums + row * H, partial, scaled + at, runs, RUNS);
                continue;
            }
            b->ops->attention_backward(b, &a, r->dq + at, delta, dout + at, r->out + at, sums + row * H, scaled + at,
                                       runs, RUNS);
            b->ops->keys_read(b, &a, r->dk + at, r->dv + at, runs, RUNS, true);
        }
    }
    for (int64_t i = 0; i < ROWS * C; i++) r->dq[i] *= sqrt((double)D);
    memory_free(b, &m);
}

static void check_near(const char *what, const double *a, const double *b)
{
    double most = 0, size = 0;
    for (int64_t i = 0; i < ROWS * C; i++) {
        most = fmax(most, fabs(a[i] - b[i]));
        size = fmax(size, fabs(a[i]));
    }
    printf("%s: %.2g of %.2g\n", what, most, size);
    CHECK(size > 0.1);
    CHECK_NEAR(most / size, 0, 1e-12);
}

int main(void)
{
    static results learner, attention;
    static const int64_t lengths[] = {T, 1, 47};
    ttt_backend *b;
    CHECK_OK(ttt_backend_new(&b, "ref", 1));
    fill(q, 1), fill(k, 2), fill(v, 3), fill(dout, 4);
    for (int i = 0; i < 3; i++) {
        learn(b, &learner, lengths[i]);
        attend(b, &attention, lengths[i]);
        check_near("out", learner.out, attention.out);
        check_near("dq", learner.dq, attention.dq);
        check_near("dk", learner.dk, attention.dk);
        check_near("dv", learner.dv, attention.dv);
    }
    ttt_backend_free(b);
    return test_end();
}
