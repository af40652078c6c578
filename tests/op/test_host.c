/* SPDX-License-Identifier: MIT
 *
 * Backends in a host program with threads and habits of its own: one backend of one thread, used by many for what
 * touches operands alone; and operations in threads whose floating-point environment is another one.
 */
#include <pthread.h>

#include "backend/backend.h"
#include "base/float_env.h"
#include "test.h"

/* ---- one backend for many ---- */

enum { USERS = 5, ROUNDS = 40, H = 2, D = 10, K = 20, PARTS = 8, MANY = 40000 };

typedef struct user {
    pthread_t thread;
    const ttt_backend *b;
    int number, failed;
} user;

/* A state of an empty sequence, out in parts and in again; and numbers to reals, copied, added and back. Each user has
 * numbers of its own, so that what another wrote would show. */
static void use_learner(user *u, const ttt_learner_ops *ops)
{
    const ttt_backend *b = u->b;
    const ttt_learner_dims dims = {.heads = H, .key_size = D, .value_size = D, .mini_batch = K, .group = 2};
    const int64_t size = H * ops->state_size(ops, &dims);
    const int parts = ops->part_count(ops, &dims), norm = 2 * ops->maps->count;
    ttt_param params[PARTS] = {0};
    void *part[3 * PARTS], *state = b->ops->alloc(b, size, b->real), *other = b->ops->alloc(b, size, b->real);
    for (int i = 0; i < parts; i++) {
        const ttt_learner_part p = ops->part(ops, &dims, i, 0);
        part[i] = b->ops->alloc(b, H * ttt_learner_part_size(&p) + 1, b->real);
        if (i >= norm) continue;
        params[i].values = part[i];
        const double value = 100 * u->number + i;
        for (int64_t k = 0; k < H * ttt_learner_part_size(&p); k++)
            b->ops->from(b, ttt_at(b, part[i], k), &value, TTT_F64, 1);
    }
    const ttt_run run = {.state = state};
    const ttt_learner_call call = {.dims = dims, .runs = &run, .run_count = 1, .params = params};
    ops->reset(ops, b, &call);
    ops->export_state(ops, b, &dims, 0, state, part);
    ops->import_state(ops, b, &dims, 0, other, (const void *const *)part);
    if (memcmp(state, other, (size_t)size * b->real) != 0) u->failed++;
    for (int i = 0; i < parts; i++) b->ops->free(b, part[i]);
    b->ops->free(b, state);
    b->ops->free(b, other);
}

static void *use(void *context)
{
    user *u = context;
    const ttt_backend *b = u->b;
    double *numbers = malloc(MANY * sizeof *numbers), *back = malloc(MANY * sizeof *back);
    void *x = b->ops->alloc(b, MANY, b->real), *y = b->ops->alloc(b, MANY, b->real);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < MANY; i++) numbers[i] = u->number + 0.25 * ((round + i) % 64);
        b->ops->from(b, x, numbers, TTT_F64, MANY);
        b->ops->copy(b, y, x, MANY);
        b->ops->add(b, y, x, MANY);
        b->ops->to(b, back, TTT_F64, y, MANY);
        for (int i = 0; i < MANY; i++) u->failed += back[i] != 2 * numbers[i];
        b->ops->zero(b, y, MANY);
        b->ops->to(b, back, TTT_F64, y, MANY);
        for (int i = 0; i < MANY; i++) u->failed += back[i] != 0;
        for (int i = 0; i < TTT_LEARNER_COUNT; i++) use_learner(u, b->ops->learner[i]);
    }
    b->ops->free(b, x);
    b->ops->free(b, y);
    free(numbers);
    free(back);
    return NULL;
}

static void shared(const char *name)
{
    ttt_backend *b;
    user users[USERS];
    CHECK_OK(ttt_backend_new(&b, name, 1));
    for (int i = 0; i < USERS; i++) {
        users[i] = (user){.b = b, .number = i + 1};
        CHECK_EQ(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
    }
    for (int i = 0; i < USERS; i++) {
        CHECK_EQ(pthread_join(users[i].thread, NULL), 0);
        CHECK_EQ(users[i].failed, 0);
    }
    ttt_backend_free(b);
}

/* ---- other floating-point environments ---- */

enum { R = 70, N = 130, M = 67, RESULTS = 3 };

static float w[N * M], x[R * M], gate[R * M];

/* Products, a function and sums of numbers whose products are subnormal. */
static void compute(const ttt_backend *b, float *results[RESULTS])
{
    const ttt_matrix matrix = {.dtype = TTT_F32, .values = w, .rows = N, .columns = M};
    ttt_param p = {.rows = N, .columns = M, .precision = TTT_PRECISION_F32};
    p.packed = b->ops->alloc(b, (int64_t)b->ops->packed_size(p.precision, N, M), 1);
    b->ops->pack(b, p.packed, p.precision, &matrix, NULL);
    b->ops->linear(b, results[0], x, &p, R, false);
    b->ops->swiglu(b, results[1], gate, x, R * M);
    b->ops->add(b, results[2], x, R * M);
    b->ops->free(b, p.packed);
}

static void environments(void)
{
#if defined(__x86_64__)
    const uint64_t hosts[] = {TTT_FLOAT_ENV, TTT_FLOAT_ENV | 0x8040, (TTT_FLOAT_ENV & ~0x6000) | 0x4000};
#elif defined(__aarch64__)
    const uint64_t hosts[] = {TTT_FLOAT_ENV, 1u << 24, 1u << 22};
#else
    const uint64_t hosts[] = {TTT_FLOAT_ENV};
#endif
    for (int i = 0; i < N * M; i++) w[i] = 1e-23f * (float)(i % 101 - 50);
    for (int i = 0; i < R * M; i++) x[i] = 1e-20f * (float)(i % 103 - 51);
    for (int i = 0; i < R * M; i++) gate[i] = (float)(i % 97) / 30 - 1.6f;
    static float first[RESULTS][R * N], now[RESULTS][R * N];
    for (size_t h = 0; h < sizeof hosts / sizeof *hosts; h++) {
        for (int threads = 1; threads <= 3; threads++) {
            ttt_backend *b;
            CHECK_OK(ttt_backend_new(&b, "cpu", threads));
            float *results[RESULTS];
            for (int i = 0; i < RESULTS; i++) {
                results[i] = h == 0 && threads == 1 ? first[i] : now[i];
                memset(results[i], 0, sizeof first[i]);
            }
            ttt_float_set(hosts[h]);
            const uint64_t host = ttt_float_get(); /* valgrind keeps the rounding alone */
            compute(b, results);
            const uint64_t after = ttt_float_get();
            ttt_float_set(TTT_FLOAT_ENV);
            CHECK_EQ(after, host);
            for (int i = 0; i < RESULTS; i++) CHECK(memcmp(results[i], first[i], sizeof first[i]) == 0);
            ttt_backend_free(b);
        }
    }
    int small = 0;
    for (int i = 0; i < R * N; i++) small += first[0][i] != 0 && fabsf(first[0][i]) < 1.17549435e-38f;
    CHECK(small > R * N / 2); /* there was something to flush */
}

int main(void)
{
    shared("ref");
    shared("cpu");
    environments();
    return test_end();
}
