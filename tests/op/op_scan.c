/* SPDX-License-Identifier: MIT
 *
 * The selective scan. Two sequences share a call: of the rows, the first `first` belong to sequence 0; when rows are
 * cut into calls, each goes on where the call before left it. dims: rows, first, channels, states.
 *
 * Every decay is off by some eps, and by its exponent times some more, for which it counts as larger here; over a
 * sequence the errors add up like independent ones. What they are held against is magnitudes: the same sums with the
 * absolute values of all that is multiplied by decays.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

enum { RUNS = 2, BEFORE = 3, PAD = 1 }; /* reals before h in a state; in a row of b and c, behind them */

typedef struct sizes {
    int64_t R, first, E, N, small, state;
} sizes;

static sizes sizes_of(const op_case *c)
{
    sizes z = {.R = c->dims[0], .first = c->dims[1], .E = c->dims[2], .N = c->dims[3]};
    z.small = 2 * z.N + PAD;
    z.state = BEFORE + z.E * z.N;
    return z;
}

static int64_t make_runs(ttt_run *runs, const ttt_backend *b, const sizes *z, void *states, void *dstates,
                         int64_t begin, int64_t end)
{
    int64_t count = 0;
    for (int64_t s = 0; s < RUNS; s++) {
        const int64_t start = s == 0 ? 0 : z->first, stop = s == 0 ? z->first : z->R;
        const int64_t from = begin > start ? begin : start, to = end < stop ? end : stop;
        if (from >= to) continue;
        runs[count++] = (ttt_run){.row = from - begin,
                                  .count = to - from,
                                  .state = ttt_at(b, states, s * z->state),
                                  .dstate = dstates ? ttt_at(b, dstates, s * z->state) : NULL};
    }
    return count;
}

/* Memory that holds NaN. */
static void *scratch(const ttt_backend *b, int64_t count)
{
    void *memory = malloc((size_t)(count + 1) * b->real);
    memset(memory, 0xff, (size_t)(count + 1) * b->real);
    return memory;
}

/* ---- forward: out, states, u, l, [b, c], a_log, bias, skip ---- */

static void run_scan(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const sizes z = sizes_of(c);
    ttt_run runs[RUNS];
    void *small = ttt_at(b, x[4], begin * z.small);
    const ttt_scan s = {.runs = runs,
                        .run_count = make_runs(runs, b, &z, x[1], NULL, begin, end),
                        .state = BEFORE,
                        .channels = z.E,
                        .states = z.N,
                        .stride = z.small,
                        .u = ttt_at(b, x[2], begin * z.E),
                        .l = ttt_at(b, x[3], begin * z.E),
                        .b = small,
                        .c = ttt_at(b, small, z.N),
                        .a_log = x[5],
                        .bias = x[6],
                        .skip = x[7]};
    b->ops->scan(b, ttt_at(b, x[0], begin * z.E), &s);
}

/* ---- backward: du, dl, [db, dc], da_log, dbias, dskip, dstates, dout, u, l, [b, c], [a_log, bias, skip, states] ----
 */

enum { DU, DL, DSMALL, DA_LOG, DBIAS, DSKIP, DSTATES, DOUT, U, L, SMALL, REST };

static void run_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const sizes z = sizes_of(c);
    const int64_t EN = z.E * z.N;
    ttt_run runs[RUNS];
    void *states = ttt_at(b, x[REST], EN + 2 * z.E), *moved = scratch(b, RUNS * z.state), *out = scratch(b, z.R * z.E);
    ttt_scan s = {.runs = runs,
                  .run_count = make_runs(runs, b, &z, moved, x[DSTATES], 0, z.R),
                  .state = BEFORE,
                  .channels = z.E,
                  .states = z.N,
                  .stride = z.small,
                  .u = x[U],
                  .l = x[L],
                  .b = x[SMALL],
                  .c = ttt_at(b, x[SMALL], z.N),
                  .a_log = x[REST],
                  .bias = ttt_at(b, x[REST], EN),
                  .skip = ttt_at(b, x[REST], EN + z.E),
                  .kept_stride = ttt_scan_kept(z.R, z.E, z.N) + 1};
    const ttt_scan_gradients d = {.dout = x[DOUT],
                                  .du = x[DU],
                                  .dl = x[DL],
                                  .db = x[DSMALL],
                                  .dc = ttt_at(b, x[DSMALL], z.N),
                                  .da_log = x[DA_LOG],
                                  .dbias = x[DBIAS],
                                  .dskip = x[DSKIP],
                                  .partial = scratch(b, ttt_scan_partial(z.R, z.E, z.N))};
    s.kept = scratch(b, RUNS * s.kept_stride);
    b->ops->copy(b, moved, states, RUNS * z.state);
    b->ops->scan(b, out, &s);
    b->ops->scan_backward(b, &d, &s);
    void *const blocks[] = {moved, out, d.partial, s.kept};
    for (int i = 0; i < 4; i++) free(blocks[i]);
}

/* ---- magnitudes ---- */

static double softplus(double x) { return log1p(exp(x)); }

static double decay(double exponent) { return exp(-exponent) * (1 + exponent / 2); }

/* One channel and one state of rows [begin, end). `before`: h. With NULL for dx the forward alone. */
typedef struct walk {
    const double *u, *l, *small, *dout; /* of the case */
    double a_log, bias;
    double *out;                       /* [R,E], += |h c| */
    double *du, *dl, *dsmall, *da_log; /* += */
} walk;

static void magnitudes(const sizes *z, const walk *k, int64_t begin, int64_t end, int64_t e, int64_t n, double *h,
                       double *g)
{
    const double A = exp(k->a_log);
    double *states = malloc((size_t)(z->R + 1) * sizeof *states);
    states[begin] = fabs(*h);
    for (int64_t t = begin; t < end; t++) {
        const double dt = softplus(k->l[t * z->E + e] + k->bias);
        states[t + 1] = decay(dt * A) * states[t] + dt * fabs(k->u[t * z->E + e] * k->small[t * z->small + n]);
        if (k->out) k->out[t * z->E + e] += states[t + 1] * fabs(k->small[t * z->small + z->N + n]);
    }
    *h = states[end];
    if (g) *g = fabs(*g);
    for (int64_t t = end - 1; g && t >= begin; t--) {
        const double l = k->l[t * z->E + e] + k->bias, dt = softplus(l), a = decay(dt * A), sigmoid = 1 / (1 + exp(-l));
        const double u = fabs(k->u[t * z->E + e]), dout = fabs(k->dout[t * z->E + e]);
        const double b = fabs(k->small[t * z->small + n]), c = fabs(k->small[t * z->small + z->N + n]);
        *g += dout * c;
        k->dsmall[t * z->small + z->N + n] += dout * states[t + 1];
        k->dsmall[t * z->small + n] += *g * dt * u;
        const double dw = *g * b, dexponent = *g * a * states[t];
        k->du[t * z->E + e] += dw * dt;
        k->dl[t * z->E + e] += (dw * u + dexponent * A) * sigmoid;
        *k->da_log += dexponent * dt * A;
        *g *= a;
    }
    free(states);
}

static void terms_scan(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const sizes z = sizes_of(c);
    for (int64_t i = 0; i < z.R * z.E; i++) terms[0][i] = fabs(before[7][i % z.E] * before[2][i]);
    for (int64_t e = 0; e < z.E; e++) {
        for (int64_t n = 0; n < z.N; n++) {
            const walk k = {.u = before[2],
                            .l = before[3],
                            .small = before[4],
                            .a_log = before[5][e * z.N + n],
                            .bias = before[6][e],
                            .out = terms[0]};
            for (int64_t s = 0; s < RUNS; s++) {
                const int64_t place = s * z.state + BEFORE + ttt_scan_place(z.E, z.N, e, n);
                double h = before[1][place];
                magnitudes(&z, &k, s ? z.first : 0, s ? z.R : z.first, e, n, &h, NULL);
                terms[1][place] = h;
            }
        }
    }
}

static void terms_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const sizes z = sizes_of(c);
    const double *a_log = before[REST], *bias = a_log + z.E * z.N, *skip = bias + z.E, *states = skip + z.E;
    for (int i = DA_LOG; i <= DSKIP; i++)
        for (int64_t k = 0; k < c->operands[i].count; k++) terms[i][k] = fabs(before[i][k]);
    for (int64_t i = 0; i < z.R * z.small; i++)
        if (i % z.small < 2 * z.N) terms[DSMALL][i] = 0;
    for (int64_t i = 0; i < z.R * z.E; i++) {
        terms[DU][i] = fabs(before[DOUT][i] * skip[i % z.E]);
        terms[DL][i] = 0;
        terms[DSKIP][i % z.E] += fabs(before[DOUT][i] * before[U][i]);
    }
    for (int64_t e = 0; e < z.E; e++) {
        for (int64_t n = 0; n < z.N; n++) {
            const walk k = {.u = before[U],
                            .l = before[L],
                            .small = before[SMALL],
                            .dout = before[DOUT],
                            .a_log = a_log[e * z.N + n],
                            .bias = bias[e],
                            .du = terms[DU],
                            .dl = terms[DL],
                            .dsmall = terms[DSMALL],
                            .da_log = &terms[DA_LOG][e * z.N + n]};
            for (int64_t s = 0; s < RUNS; s++) {
                const int64_t place = s * z.state + BEFORE + ttt_scan_place(z.E, z.N, e, n);
                double h = states[place], g = before[DSTATES][place];
                magnitudes(&z, &k, s ? z.first : 0, s ? z.R : z.first, e, n, &h, &g);
                terms[DSTATES][place] = g;
            }
        }
    }
    for (int64_t i = 0; i < z.R * z.E; i++) terms[DBIAS][i % z.E] += terms[DL][i];
}

static void check_scan(int64_t R, int64_t first, int64_t E, int64_t N)
{
    const int64_t RE = R * E, small = R * (2 * N + PAD), states = RUNS * (BEFORE + E * N), EN = E * N;
    const op_case forward = {.name = "scan",
                             .dims = {R, first, E, N},
                             .operands = {{OP_OUT, RE, 1},
                                          {OP_ADD, states, 1},
                                          {OP_IN, RE, 1},
                                          {OP_IN, RE, 2},
                                          {OP_IN, small, 1},
                                          {OP_IN, EN, 1.5},
                                          {OP_IN, E, 1},
                                          {OP_IN, E, 1}},
                             .rows = R,
                             .run = run_scan,
                             .terms = terms_scan,
                             .c = 8 + 2 * sqrt((double)R)};
    op_check(&forward);
    const op_case backward = {.name = "scan_backward",
                              .dims = {R, first, E, N},
                              .operands = {[DU] = {OP_OUT, RE, 1},
                                           [DL] = {OP_OUT, RE, 1},
                                           [DSMALL] = {OP_ADD, small, 1},
                                           [DA_LOG] = {OP_ADD, EN, 1},
                                           [DBIAS] = {OP_ADD, E, 1},
                                           [DSKIP] = {OP_ADD, E, 1},
                                           [DSTATES] = {OP_ADD, states, 1},
                                           [DOUT] = {OP_IN, RE, 1},
                                           [U] = {OP_IN, RE, 1},
                                           [L] = {OP_IN, RE, 2},
                                           [SMALL] = {OP_IN, small, 1},
                                           [REST] = {OP_IN, EN + 2 * E + states, 1}},
                              .run = run_backward,
                              .terms = terms_backward,
                              .c = 16 + 2 * sqrt((double)R)};
    op_check(&backward);
}

void op_scan_tests(void)
{
    check_scan(2, 1, 1, 1);
    check_scan(3, 2, 16, 4);
    check_scan(20, 3, 17, 5);
    check_scan(37, 32, 7, 16);
    check_scan(50, 17, 64, 3);
    check_scan(9, 4, 150, 16);
    check_scan(140, 17, 24, 8);
    check_scan(300, 170, 65, 19);
}
