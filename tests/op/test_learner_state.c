/* SPDX-License-Identifier: MIT
 *
 * A learner's state in parts, on ref and cpu: taken out after every number of tokens and put into memory that held
 * something else, it gives the same bits in all that follows; both backends' parts have the same names and shapes and
 * agree to rounding; and one backend goes on from the other's. The sums over an open mini-batch, which ref forms anew,
 * are compared with what inspection sees.
 */
#include <math.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "test.h"

enum { MOST_PARTS = 12, AHEAD = 5, OFFSET = 3, PARAMS = 6, FORGETS = 1024 /* beside the learner's flags */ };

typedef struct learner {
    ttt_backend *b;
    const ttt_learner_ops *ops;
    ttt_learner_dims dims;
    int64_t tokens;
    ttt_param params[PARAMS];
    void *q, *k, *v, *write, *read, *out;
    int64_t state_size; /* of all heads, and what lies before */
    bool frozen;
} learner;

static uint64_t drawn;

static void *reals(const ttt_backend *b, int64_t n, double mean, double deviation)
{
    double *x = calloc((size_t)n + 1, sizeof *x);
    void *y = b->ops->alloc(b, n + 1, b->real);
    if (!x || !y) abort();
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)(float)(mean + deviation * ttt_rng_normal((ttt_rng){7, TTT_RNG_TEST}, drawn++));
    b->ops->from(b, y, x, TTT_F64, n);
    free(x);
    return y;
}

static learner learner_new(const char *backend, int which, int64_t D, int64_t H, int64_t K, int64_t tokens,
                           unsigned flags)
{
    learner l = {.tokens = tokens};
    drawn = 0; /* both backends get the same */
    CHECK_OK(ttt_backend_new(&l.b, backend, 2));
    l.ops = l.b->ops->learner[which];
    l.dims = (ttt_learner_dims){.heads = H,
                                .key_size = D,
                                .value_size = D,
                                .mini_batch = K,
                                .group = 2,
                                .flags = flags & (FORGETS - 1),
                                .forget = flags & FORGETS ? 0.25 : 0};
    CHECK_OK(l.ops->supports(l.ops, &l.dims));
    CHECK_OK(ttt_backend_reserve(l.b, l.ops->scratch_bytes(l.ops, &l.dims)));
    l.state_size = H * l.ops->state_size(l.ops, &l.dims) + OFFSET;
    const ttt_learner_maps *maps = l.ops->maps;
    for (int m = 0; m < maps->count && !(flags & TTT_LEARNER_ZERO_START); m++) {
        const int64_t out = maps->out[m] * D;
        l.params[2 * m].values = reals(l.b, H * maps->in[m] * D * out, 0, 0.4);
        if (!(flags & TTT_LEARNER_NO_BIAS)) l.params[2 * m + 1].values = reals(l.b, H * out, 0, 0.4);
    }
    for (int i = 0; i < 2 && !(flags & TTT_LEARNER_NO_NORM); i++)
        l.params[2 * maps->count + i].values = reals(l.b, H * D, i == 0 ? 1 : 0, 0.2);
    l.q = reals(l.b, tokens * H * D, 0, 1);
    l.k = reals(l.b, tokens * H * D, 0, 1);
    l.v = reals(l.b, tokens * H * D, 0, 1);
    l.write = reals(l.b, tokens * H, 0.3 / (double)D, 0.05 / (double)D);
    l.read = reals(l.b, tokens, 0.5, 0.1);
    l.out = reals(l.b, tokens * H * D, 0, 0);
    return l;
}

static void learner_free(learner *l)
{
    void *const all[] = {l->q, l->k, l->v, l->write, l->read, l->out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) l->b->ops->free(l->b, all[i]);
    for (int p = 0; p < PARAMS; p++) l->b->ops->free(l->b, l->params[p].values);
    ttt_backend_free(l->b);
}

static void advance(const learner *l, void *state, int64_t position, int64_t count)
{
    const ttt_run run = {.row = position, .count = count, .position = position, .frozen = l->frozen, .state = state};
    const ttt_learner_call call = {.dims = l->dims,
                                   .runs = &run,
                                   .run_count = 1,
                                   .state_offset = OFFSET,
                                   .params = l->params,
                                   .q = l->q,
                                   .k = l->k,
                                   .v = l->v,
                                   .write = l->write,
                                   .read = l->read,
                                   .out = l->out};
    if (count == 0)
        l->ops->reset(l->ops, l->b, &call);
    else
        l->ops->forward(l->ops, l->b, &call);
}

/* ---- parts ---- */

typedef struct parts {
    int count;
    void *part[MOST_PARTS];
    int64_t size[MOST_PARTS];
} parts;

static parts parts_new(const learner *l, int64_t position)
{
    parts p = {.count = l->ops->part_count(l->ops, &l->dims)};
    CHECK(p.count <= MOST_PARTS);
    for (int i = 0; i < p.count; i++) {
        const ttt_learner_part part = l->ops->part(l->ops, &l->dims, i, position);
        CHECK_EQ(part.shape[0], l->dims.heads);
        p.size[i] = part.shape[0] * ttt_learner_part_size(&part);
        p.part[i] = reals(l->b, p.size[i], 0, 1);
    }
    return p;
}

static void parts_free(const learner *l, parts *p)
{
    for (int i = 0; i < p->count; i++) l->b->ops->free(l->b, p->part[i]);
}

static parts parts_of(const learner *l, const void *state, int64_t position)
{
    parts p = parts_new(l, position);
    l->ops->export_state(l->ops, l->b, &l->dims, position, ttt_at(l->b, state, OFFSET), p.part);
    return p;
}

static void *state_from(const learner *l, const parts *p, int64_t position)
{
    void *state = reals(l->b, l->state_size, 0, 100);
    l->ops->import_state(l->ops, l->b, &l->dims, position, ttt_at(l->b, state, OFFSET), (const void *const *)p->part);
    return state;
}

static void check_same(const learner *l, const parts *a, const parts *b)
{
    CHECK_EQ(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        CHECK_EQ(a->size[i], b->size[i]);
        CHECK(memcmp(a->part[i], b->part[i], (size_t)a->size[i] * l->b->real) == 0);
    }
}

/* Every element: within a few hundred roundings of a float of the largest of its part. */
static void check_near(const learner *a, const void *x, const learner *b, const void *y, int64_t n)
{
    double *one = malloc((size_t)(n + 1) * sizeof *one), *other = malloc((size_t)(n + 1) * sizeof *other), most = 0;
    a->b->ops->to(a->b, one, TTT_F64, x, n);
    b->b->ops->to(b->b, other, TTT_F64, y, n);
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(other[i]));
    for (int64_t i = 0; i < n; i++) CHECK(fabs(one[i] - other[i]) <= 2e-5 * most + 1e-12);
    free(one);
    free(other);
}

/* The parts, converted for another backend. */
static parts parts_for(const learner *to, const learner *from, const parts *p, int64_t position)
{
    parts made = parts_new(to, position);
    for (int i = 0; i < p->count; i++) {
        double *x = malloc((size_t)(p->size[i] + 1) * sizeof *x);
        from->b->ops->to(from->b, x, TTT_F64, p->part[i], p->size[i]);
        to->b->ops->from(to->b, made.part[i], x, TTT_F64, p->size[i]);
        free(x);
    }
    return made;
}

/* ---- at one position ---- */

/* What inspection sees of both heads' states, which includes the sums over the open mini-batch. */
static void check_inspection(const learner *l, const void *a, const void *b)
{
    const int64_t n = 2 * l->ops->weights_size(l->ops, &l->dims), size = l->ops->state_size(l->ops, &l->dims);
    void *one = reals(l->b, n, 0, 1), *other = reals(l->b, n, 0, 1);
    for (int64_t h = 0; h < l->dims.heads; h++) {
        l->ops->weights(l->ops, l->b, &l->dims, ttt_at(l->b, a, OFFSET + h * size), one);
        l->ops->weights(l->ops, l->b, &l->dims, ttt_at(l->b, b, OFFSET + h * size), other);
        CHECK(memcmp(one, other, (size_t)n * l->b->real) == 0);
    }
    l->b->ops->free(l->b, one);
    l->b->ops->free(l->b, other);
}

/* From `state` and from the same imported: the same outputs, the same state afterwards. `state` moves on. */
static void check_continuation(const learner *l, void *state, int64_t position)
{
    const int64_t count = l->tokens - position < AHEAD ? l->tokens - position : AHEAD;
    const int64_t width = l->dims.heads * l->dims.value_size;
    const size_t bytes = (size_t)(count * width) * l->b->real;
    parts p = parts_of(l, state, position);
    void *copy = state_from(l, &p, position), *out = ttt_at(l->b, l->out, position * width), *kept = malloc(bytes + 1);
    check_inspection(l, state, copy);
    if (count > 0) {
        advance(l, state, position, count);
        memcpy(kept, out, bytes);
        memset(out, 0xff, bytes);
        advance(l, copy, position, count);
        CHECK(memcmp(kept, out, bytes) == 0);
    }
    parts one = parts_of(l, state, position + count), other = parts_of(l, copy, position + count);
    check_same(l, &one, &other);
    check_inspection(l, state, copy);
    free(kept);
    l->b->ops->free(l->b, copy);
    parts_free(l, &p);
    parts_free(l, &one);
    parts_free(l, &other);
}

static void *copy_of(const learner *l, const void *state)
{
    void *copy = reals(l->b, l->state_size, 0, 0);
    l->b->ops->copy(l->b, copy, state, l->state_size);
    return copy;
}

/* Both backends after `position` tokens. */
static void check_both(const learner *ref, const void *ref_state, const learner *cpu, const void *cpu_state,
                       int64_t position)
{
    parts r = parts_of(ref, ref_state, position), c = parts_of(cpu, cpu_state, position);
    CHECK_EQ(r.count, c.count);
    for (int i = 0; i < r.count; i++) {
        const ttt_learner_part x = ref->ops->part(ref->ops, &ref->dims, i, position),
                               y = cpu->ops->part(cpu->ops, &cpu->dims, i, position);
        CHECK(strcmp(x.name, y.name) == 0 && x.rank == y.rank && memcmp(x.shape, y.shape, sizeof x.shape) == 0);
        check_near(cpu, c.part[i], ref, r.part[i], r.size[i]);
    }
    if (position < ref->tokens) { /* ref goes on from cpu's */
        const int64_t width = ref->dims.heads * ref->dims.value_size;
        parts made = parts_for(ref, cpu, &c, position);
        void *state = state_from(ref, &made, position), *own = copy_of(cpu, cpu_state);
        advance(ref, state, position, 1);
        advance(cpu, own, position, 1);
        check_near(cpu, ttt_at(cpu->b, cpu->out, position * width), ref, ttt_at(ref->b, ref->out, position * width),
                   width);
        ref->b->ops->free(ref->b, state);
        cpu->b->ops->free(cpu->b, own);
        parts_free(ref, &made);
    }
    parts_free(ref, &r);
    parts_free(cpu, &c);
}

static void check_learner(int which, int64_t D, int64_t H, int64_t K, int64_t tokens, unsigned flags)
{
    learner both[2] = {learner_new("ref", which, D, H, K, tokens, flags),
                       learner_new("cpu", which, D, H, K, tokens, flags)};
    void *state[2];
    for (int i = 0; i < 2; i++) {
        state[i] = reals(both[i].b, both[i].state_size, 0, 100);
        advance(&both[i], state[i], 0, 0);
    }
    for (int64_t position = 0; position <= tokens; position++) {
        check_both(&both[0], state[0], &both[1], state[1], position);
        for (int i = 0; i < 2; i++) {
            void *copy = copy_of(&both[i], state[i]);
            check_continuation(&both[i], copy, position);
            both[i].b->ops->free(both[i].b, copy);
            if (position < tokens) advance(&both[i], state[i], position, 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        both[i].b->ops->free(both[i].b, state[i]);
        learner_free(&both[i]);
    }
}

/* What was learned stays in a sequence that is frozen, however much is forgotten otherwise. */
static void check_frozen(const char *backend, int which)
{
    enum { K = 4 };
    learner l = learner_new(backend, which, 4, 2, K, 3 * K, FORGETS);
    void *state = reals(l.b, l.state_size, 0, 100);
    advance(&l, state, 0, 0);
    advance(&l, state, 0, K);
    parts before = parts_of(&l, state, K);
    l.frozen = true;
    l.b->ops->zero(l.b, l.write, l.tokens * l.dims.heads);
    advance(&l, state, K, 2 * K);
    parts after = parts_of(&l, state, 3 * K);
    check_same(&l, &before, &after);
    parts_free(&l, &before);
    parts_free(&l, &after);
    l.b->ops->free(l.b, state);
    learner_free(&l);
}

/* ---- names and shapes ---- */

static void check_part(const learner *l, int index, int64_t position, const char *name, int64_t rows, int64_t columns)
{
    const ttt_learner_part part = l->ops->part(l->ops, &l->dims, index, position);
    CHECK(strcmp(part.name, name) == 0);
    CHECK_EQ(part.rank, columns ? 3 : 2);
    CHECK_EQ(part.shape[1], rows);
    if (columns) CHECK_EQ(part.shape[2], columns);
}

static void check_names(void)
{
    learner l = learner_new("ref", TTT_MLP_LEARNER, 6, 2, 40, 1, 0);
    CHECK_EQ(l.ops->part_count(l.ops, &l.dims), 12);
    check_part(&l, 0, 27, "W1", 6, 24);
    check_part(&l, 3, 27, "b2", 6, 0);
    check_part(&l, 6, 27, "W2_sum", 24, 6);
    check_part(&l, 5, 27, "b1_sum", 24, 0);
    check_part(&l, 8, 27, "x1", 11, 6);
    check_part(&l, 9, 40 + 35, "g1", 3, 24);
    check_part(&l, 10, 16, "x2", 0, 24);
    check_part(&l, 11, 39, "g2", 7, 6);
    l.dims.flags = TTT_LEARNER_NO_BIAS;
    CHECK_EQ(l.ops->part_count(l.ops, &l.dims), 8);
    check_part(&l, 1, 27, "W2", 24, 6);
    check_part(&l, 3, 27, "W2_sum", 24, 6);
    check_part(&l, 4, 27, "x1", 11, 6);
    check_part(&l, 7, 27, "g2", 11, 6);
    l.dims.flags = 0;
    l.dims.mini_batch = 16;
    CHECK_EQ(l.ops->part_count(l.ops, &l.dims), 8);
    check_part(&l, 4, 31, "x1", 15, 6);
    l.dims.mini_batch = 1;
    CHECK_EQ(l.ops->part_count(l.ops, &l.dims), 4);
    learner_free(&l);
}

/* What they do not compute they refuse, each with its own words. */
static void check_supports(void)
{
    static const char *const backends[] = {"ref", "cpu"};
    for (int i = 0; i < 2; i++) {
        learner l = learner_new(backends[i], TTT_LINEAR_LEARNER, 4, 1, 4, 1, 0);
        const ttt_learner_ops *mlp = l.b->ops->learner[TTT_MLP_LEARNER];
        ttt_learner_dims dims = l.dims;
        dims.flags = TTT_LEARNER_DECAY;
        CHECK_FAILS(l.ops->supports(l.ops, &dims), TTT_ERR_UNSUPPORTED, "decay");
        dims.flags = TTT_LEARNER_ZERO_START;
        CHECK_OK(l.ops->supports(l.ops, &dims));
        CHECK_FAILS(mlp->supports(mlp, &dims), TTT_ERR_UNSUPPORTED, "cannot begin as zero");
        dims = l.dims;
        dims.value_size = 8;
        CHECK_FAILS(l.ops->supports(l.ops, &dims), TTT_ERR_UNSUPPORTED, "4 and 8");
        learner_free(&l);
    }
}

int main(void)
{
    static const int64_t batches[] = {1, 4, 16, 17, 64};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        const int64_t K = batches[i];
        check_learner(TTT_LINEAR_LEARNER, 6, 2, K, K < 16 ? 2 * K + 3 : 2 * K + 1, 0);
        check_learner(TTT_MLP_LEARNER, 4, 2, K, K + 5, 0);
        check_learner(TTT_LINEAR_LEARNER, 6, 2, K, K + 5, TTT_LEARNER_NO_BIAS | TTT_LEARNER_TARGET_V);
        check_learner(TTT_LINEAR_LEARNER, 6, 1, K, K + 5,
                      TTT_LEARNER_NO_NORM | TTT_LEARNER_NO_RESIDUAL | TTT_LEARNER_ZERO_START);
        check_learner(TTT_MLP_LEARNER, 4, 2, K, K + 5, TTT_LEARNER_NO_BIAS | TTT_LEARNER_NO_NORM);
        check_learner(TTT_LINEAR_LEARNER, 6, 2, K, K + 5, FORGETS);
        check_learner(TTT_MLP_LEARNER, 4, 1, K, K + 5, FORGETS | TTT_LEARNER_NO_BIAS);
    }
    check_learner(TTT_LINEAR_LEARNER, 32, 1, 20, 45, 0);
    static const char *const backends[] = {"ref", "cpu"};
    for (int i = 0; i < 4; i++) check_frozen(backends[i % 2], i < 2 ? TTT_LINEAR_LEARNER : TTT_MLP_LEARNER);
    check_names();
    check_supports();
    return test_end();
}
