/* SPDX-License-Identifier: MIT
 *
 * The scan of a matrix state on cpu, in every kind and under every instruction set of the machine, against ref (token
 * by token, in double): what is read, the state, every gradient, those of the state that came in too. And bit for bit
 * against itself: any instruction set, any split into calls, any batch, any number of threads.
 */
#include "backend/host.h"
#include "base/elementary.h"
#include "base/rng.h"
#include "bits.h"
#include "sets.h"
#include "test.h"

enum { RUNS = 3, OFFSET = 3 };

typedef struct shape {
    ttt_delta_kind kind;
    int64_t I, O, H, group;
    int64_t runs, position[RUNS], count[RUNS];
} shape;

static const shape shapes[] = {
    {TTT_DELTA_LINEAR, 64, 64, 2, 4, 3, {0, 0, 21}, {48, 7, 150}},
    {TTT_DELTA_LINEAR, 1, 3, 1, 1, 2, {15, 3}, {1, 2}},
    {TTT_DELTA_LINEAR, 20, 33, 2, 2, 2, {16, 5}, {16, 30}},
    {TTT_DELTA_NORMALISED, 64, 64, 2, 8, 2, {0, 30}, {33, 150}},
    {TTT_DELTA_NORMALISED, 7, 7, 3, 2, 3, {0, 31, 9}, {20, 1, 3}},
    {TTT_DELTA_RULE, 64, 64, 2, 4, 3, {0, 0, 21}, {48, 7, 150}},
    {TTT_DELTA_RULE, 1, 1, 2, 1, 2, {7, 0}, {30, 1}},
    {TTT_DELTA_RULE, 6, 10, 3, 3, 2, {2, 14}, {5, 40}},
    {TTT_DELTA_RULE, 96, 20, 1, 2, 1, {48}, {64}},
    {TTT_DELTA_GATED, 64, 128, 2, 4, 3, {0, 0, 21}, {48, 7, 150}},
    {TTT_DELTA_GATED, 8, 12, 3, 2, 3, {3, 15, 32}, {4, 18, 90}},
    {TTT_DELTA_GATED, 17, 70, 1, 1, 2, {9, 0}, {7, 35}},
    {TTT_DELTA_GATED, 130, 65, 1, 8, 1, {5}, {60}},
};

/* Operands and results: what is the same for both backends, and what each makes of it. */
enum { Q, K, V, BETA, LOG_A, DOUT, OUT, DQ, DK, DV, DBETA, DLOG_A, STATE, DSTATE, FIELDS, INPUTS = OUT };

static const char *const names[FIELDS] = {"q",  "k",  "v",  "beta",  "log_a",  "dout",  "out",
                                          "dq", "dk", "dv", "dbeta", "dlog_a", "state", "dstate"};

typedef struct problem {
    shape s;
    ttt_delta_dims dims;
    int64_t rows, start[RUNS], size[FIELDS], state_size;
    double *values[FIELDS]; /* of inputs, and of the states as they are at first */
} problem;

typedef struct bench {
    const problem *p;
    ttt_backend *b;
    void *x[FIELDS], *saved;
    int64_t stride;
} bench;

static uint64_t seed = 20240706, drawn;
static uint64_t every, few; /* digests of an instruction set's results: of all shapes, and of the small ones */

static void *array(int64_t n, size_t size)
{
    void *x = calloc((size_t)n + 1, size);
    if (!x) abort();
    return x;
}

static int64_t below(int64_t n) { return (int64_t)(ttt_rng_u64((ttt_rng){seed, TTT_RNG_TEST}, drawn++) % (uint64_t)n); }
static double normal(void) { return ttt_rng_normal((ttt_rng){seed, TTT_RNG_TEST}, drawn++); }

/* A key or query as the layers make them: of length at most 1, or all positive where there is a normaliser. */
static double feature(const shape *s)
{
    return s->kind == TTT_DELTA_NORMALISED ? 0.1 + fabs(normal()) : ttt_sin(2 * normal()) / sqrt((double)s->I);
}

static double draw(const shape *s, int field)
{
    switch (field) {
    case Q:
    case K: return feature(s);
    case BETA: return 1 / (1 + ttt_exp(-normal()));
    case LOG_A: return -fabs(normal());
    default: return normal();
    }
}

/* The state of a sequence that has come to its position, or the gradient of one: rows that the tile does not have are
 * zero. */
static void draw_state(const problem *p, double *state, int64_t rows, bool gradient)
{
    const ttt_delta_places at = ttt_delta_places_of(&p->dims);
    const int64_t I = p->s.I, O = p->s.O;
    for (int64_t i = 0; i < at.size; i++) {
        const bool in_k = i >= at.k && i < at.u, in_u = i >= at.u && i < at.log_a;
        if (i >= at.log_a ? i - at.log_a >= rows : in_u ? (i - at.u) / O >= rows : in_k && (i - at.k) / I >= rows)
            state[i] = 0;
        else if (gradient)
            state[i] = normal();
        else
            state[i] = i >= at.log_a           ? draw(&p->s, LOG_A)
                       : in_k                  ? feature(&p->s)
                       : i >= at.z && i < at.k ? 1
                                               : normal();
        state[i] = (double)(float)state[i];
    }
}

static problem problem_new(const shape *s)
{
    problem p = {.s = *s,
                 .dims = {.kind = s->kind, .heads = s->H, .key_size = s->I, .value_size = s->O, .group = s->group}};
    for (int64_t n = 0; n < s->runs; n++) {
        p.start[n] = p.rows;
        p.rows += s->count[n];
    }
    p.state_size = OFFSET + s->H * ttt_delta_state_size(&p.dims);
    const int64_t keys = p.rows * s->H * s->I, values = p.rows * s->H * s->O, rates = p.rows * s->H,
                  states = s->runs * p.state_size;
    const int64_t sizes[FIELDS] = {keys, keys, values, rates, rates, values, values,
                                   keys, keys, values, rates, rates, states, states};
    memcpy(p.size, sizes, sizeof sizes);
    for (int f = 0; f < FIELDS; f++) {
        p.values[f] = array(p.size[f], sizeof(double));
        for (int64_t i = 0; i < p.size[f] && f < INPUTS; i++) p.values[f][i] = (double)(float)draw(s, f);
    }
    for (int64_t n = 0; n < s->runs; n++)
        for (int64_t h = 0; h < s->H; h++) {
            const int64_t at = n * p.state_size + OFFSET + h * ttt_delta_state_size(&p.dims);
            draw_state(&p, p.values[STATE] + at, s->position[n] % TTT_LEARNER_TILE, false);
            draw_state(&p, p.values[DSTATE] + at, (s->position[n] + s->count[n]) % TTT_LEARNER_TILE, true);
        }
    return p;
}

static void set(const bench *w, int field)
{
    double *undefined = array(w->p->size[field], sizeof *undefined);
    for (int64_t i = 0; i < w->p->size[field]; i++) undefined[i] = (double)NAN;
    const bool given = field < INPUTS || field == STATE || field == DSTATE;
    w->b->ops->from(w->b, w->x[field], given ? w->p->values[field] : undefined, TTT_F64, w->p->size[field]);
    free(undefined);
}

static bench bench_new(const problem *p, ttt_backend *b)
{
    bench w = {.p = p, .b = b};
    int64_t longest = 0;
    CHECK_OK(ttt_backend_reserve(b, b->ops->delta_scratch_bytes(&p->dims)));
    memset(ttt_scratch(b, 0), 0xff, ttt_host_of(b)->scratch_bytes * (size_t)b->threads);
    for (int64_t n = 0; n < p->s.runs; n++) longest = p->s.count[n] > longest ? p->s.count[n] : longest;
    w.stride = b->ops->delta_saved_size(&p->dims, longest);
    w.saved = array(p->s.runs * p->s.H * w.stride, b->real);
    memset(w.saved, 0xff, (size_t)(p->s.runs * p->s.H * w.stride) * b->real);
    for (int f = 0; f < FIELDS; f++) {
        w.x[f] = array(p->size[f], b->real);
        set(&w, f);
    }
    return w;
}

static void bench_free(bench *w)
{
    for (int f = 0; f < FIELDS; f++) free(w->x[f]);
    free(w->saved);
}

static ttt_delta_call call_of(const bench *w, const ttt_run *runs, int64_t count)
{
    const bool corrects = ttt_delta_corrects(w->p->s.kind), gated = w->p->s.kind == TTT_DELTA_GATED;
    return (ttt_delta_call){.dims = w->p->dims,
                            .runs = runs,
                            .run_count = count,
                            .state_offset = OFFSET,
                            .q = w->x[Q],
                            .k = w->x[K],
                            .v = w->x[V],
                            .beta = corrects ? w->x[BETA] : NULL,
                            .log_a = gated ? w->x[LOG_A] : NULL,
                            .out = w->x[OUT],
                            .saved_stride = w->stride,
                            .dout = w->x[DOUT],
                            .dq = w->x[DQ],
                            .dk = w->x[DK],
                            .dv = w->x[DV],
                            .dbeta = corrects ? w->x[DBETA] : NULL,
                            .dlog_a = gated ? w->x[DLOG_A] : NULL};
}

static ttt_run run_of(const bench *w, int64_t n, int64_t done, int64_t count)
{
    const int64_t at = n * w->p->state_size;
    return (ttt_run){.row = w->p->start[n] + done,
                     .count = count,
                     .position = w->p->s.position[n] + done,
                     .state = ttt_at(w->b, w->x[STATE], at),
                     .dstate = ttt_at(w->b, w->x[DSTATE], at)};
}

static void forward_backward(const bench *w)
{
    ttt_run runs[RUNS];
    for (int64_t n = 0; n < w->p->s.runs; n++) runs[n] = run_of(w, n, 0, w->p->s.count[n]);
    ttt_delta_call call = call_of(w, runs, w->p->s.runs);
    call.saved = w->saved;
    w->b->ops->delta(w->b, &call);
    w->b->ops->delta_backward(w->b, &call);
}

static bool is_computed(const shape *s, int field)
{
    if (field == DBETA) return ttt_delta_corrects(s->kind);
    if (field == DLOG_A) return s->kind == TTT_DELTA_GATED;
    return field >= INPUTS;
}

/* Of a state the rows that the open tile has; the others hold anything. */
static bool is_defined(const problem *p, int field, int64_t i)
{
    if (field != STATE) return true;
    const ttt_delta_places at = ttt_delta_places_of(&p->dims);
    const int64_t run = i / p->state_size, place = (i % p->state_size - OFFSET) % at.size,
                  rows = (p->s.position[run] + p->s.count[run]) % TTT_LEARNER_TILE;
    if (i % p->state_size < OFFSET || place < at.k) return true;
    if (place >= at.log_a) return place - at.log_a < rows;
    return place >= at.u ? (place - at.u) / p->s.O < rows : (place - at.k) / p->s.I < rows;
}

/* Rounding errors of a chain of n terms grow like sqrt(n) eps; some tens of chains of I, O and 16 terms lie behind a
 * value, so an error is bounded by the largest magnitude of its quantity, and that of a small element by its own and a
 * little of the largest. What log a has as gradient is left of a difference: an edge gives to one row what it takes
 * from another; ten times is more than was seen. */
static double tolerance(const shape *s, int field, double largest, double element)
{
    const bool difference = s->kind == TTT_DELTA_GATED && (field == DLOG_A || field == DSTATE);
    const double unit = 0x1p-23 * sqrt((double)(s->I + s->O + TTT_LEARNER_TILE)) * (difference ? 10 : 1);
    return unit * fmin(32 * largest, 64 * (element + largest / 32));
}

static void compare(const char *isa, const bench *cpu, const bench *ref)
{
    const problem *p = cpu->p;
    double worst = 0;
    for (int f = INPUTS; f < FIELDS; f++) {
        if (!is_computed(&p->s, f)) continue;
        double largest = 0;
        int64_t wrong = 0;
        const double *expected = ref->x[f];
        const float *values = cpu->x[f];
        for (int64_t i = 0; i < p->size[f]; i++)
            if (is_defined(p, f, i)) largest = fmax(largest, fabs(expected[i]));
        for (int64_t i = 0; i < p->size[f]; i++) {
            if (!is_defined(p, f, i)) continue;
            const double error = fabs((double)values[i] - expected[i]),
                         bound = tolerance(&p->s, f, largest, fabs(expected[i]));
            if (!(error <= bound) && wrong++ == 0)
                fprintf(stderr, "%s: kind %d, %d x %d: %s: element %lld is %.5g, off by %.3g, bound %.3g\n", isa,
                        (int)p->s.kind, (int)p->s.I, (int)p->s.O, names[f], (long long)i, expected[i], error, bound);
            worst = fmax(worst, error / bound);
        }
        CHECK_EQ(wrong, 0);
    }
    printf("%s kind %d %d x %d: worst error %.2f of its bound\n", isa, (int)p->s.kind, (int)p->s.I, (int)p->s.O, worst);
}

static bool same(const bench *a, const bench *b, int field)
{
    const float *x = a->x[field], *y = b->x[field];
    for (int64_t i = 0; i < a->p->size[field]; i++)
        if (is_defined(a->p, field, i) && memcmp(&x[i], &y[i], sizeof *x) != 0) return false;
    return true;
}

/* The same tokens in other calls: random runs, each by a random number of tokens, with nothing kept. */
static void check_splits(const bench *whole)
{
    bench w = bench_new(whole->p, whole->b);
    int64_t done[RUNS] = {0}, left = w.p->rows;
    while (left > 0) {
        ttt_run runs[RUNS];
        int64_t count = 0;
        for (int64_t n = 0; n < w.p->s.runs; n++) {
            const int64_t rest = w.p->s.count[n] - done[n];
            if (rest == 0 || below(3) == 0) continue;
            const int64_t some = 1 + below(below(2) ? rest : rest < 5 ? rest : 5);
            runs[count++] = run_of(&w, n, done[n], some);
            done[n] += some;
            left -= some;
        }
        const ttt_delta_call call = call_of(&w, runs, count);
        w.b->ops->delta(w.b, &call);
    }
    CHECK(same(whole, &w, OUT));
    CHECK(same(whole, &w, STATE));
    bench_free(&w);
}

/* S and z with the open tile's rows in them are what ref has. */
static void check_view(const bench *cpu, const bench *ref)
{
    const ttt_delta_dims *dims = &cpu->p->dims;
    const int64_t n = ttt_delta_places_of(dims).k;
    double *expected = array(n, sizeof *expected), largest = 0;
    float *values = array(n, sizeof *values);
    for (int64_t run = 0; run < cpu->p->s.runs; run++) {
        const int64_t at = run * cpu->p->state_size + OFFSET, position = cpu->p->s.position[run] + cpu->p->s.count[run];
        cpu->b->ops->delta_view(cpu->b, dims, position, ttt_at(cpu->b, cpu->x[STATE], at), values);
        ref->b->ops->delta_view(ref->b, dims, position, ttt_at(ref->b, ref->x[STATE], at), expected);
        for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(expected[i]));
        for (int64_t i = 0; i < n; i++)
            CHECK_NEAR(values[i], expected[i], tolerance(&cpu->p->s, STATE, largest, fabs(expected[i])));
    }
    free(expected);
    free(values);
}

static bool is_small(const shape *s) { return s->I < 64; }

static void add_bits(const bench *w)
{
    const shape *s = &w->p->s;
    for (int f = INPUTS; f < FIELDS; f++) {
        const float *x = w->x[f];
        for (int64_t i = 0; i < w->p->size[f] && is_computed(s, f); i++) {
            if (!is_defined(w->p, f, i)) continue;
            bits_add(&every, &x[i], sizeof *x);
            if (is_small(s)) bits_add(&few, &x[i], sizeof *x);
        }
    }
}

static void check_shape(const shape *s, ttt_isa isa)
{
    static const int threads_of[] = {1, 2, 3, 7};
    problem p = problem_new(s);
    ttt_backend *ref, *cpu[4];
    CHECK_OK(ttt_backend_new(&ref, "ref", 1));
    bench wr = bench_new(&p, ref), first = {0};
    forward_backward(&wr);
    setenv("TTT_ISA", ttt_isa_name(isa), 1);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(ttt_backend_new(&cpu[i], "cpu", threads_of[i]));
        bench w = bench_new(&p, cpu[i]);
        forward_backward(&w);
        for (int f = INPUTS; f < FIELDS && i > 0; f++) CHECK(!is_computed(s, f) || same(&first, &w, f));
        check_splits(&w);
        if (i > 0) bench_free(&w);
        if (i > 0) continue;
        compare(ttt_isa_name(isa), &w, &wr);
        add_bits(&w);
        check_view(&w, &wr);
        first = w;
    }
    bench_free(&wr);
    bench_free(&first);
    ttt_backend_free(ref);
    for (int i = 0; i < 4; i++) ttt_backend_free(cpu[i]);
    for (int f = 0; f < FIELDS; f++) free(p.values[f]);
}

int main(int argc, char **argv)
{
    uint64_t plain[2] = {0, 0};
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    for (int isa = 0; isa < TTT_ISA_COUNT; isa++) {
        if (!set_runs((ttt_isa)isa) || set_only_multiplies((ttt_isa)isa)) continue;
        every = few = BITS_BEGIN;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            drawn = (uint64_t)i << 32; /* whatever the instruction set, the same numbers */
            if (!test_small() || is_small(&shapes[i])) check_shape(&shapes[i], (ttt_isa)isa);
        }
        if (isa == TTT_ISA_SCALAR) plain[0] = every, plain[1] = few;
        CHECK(every == plain[0] && few == plain[1]);
    }
    if (argc <= 1) bits_check(plain[1], 0xe35fe9d02fd452cc);
    return test_end();
}
