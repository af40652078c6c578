/* SPDX-License-Identifier: MIT
 *
 * See op.h. TTT_TEST_SEED in the environment chooses the random operands.
 */
#include "op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bits.h"
#include "sets.h"
#include "test.h"

enum { GUARD = 64, POOLS = 5 };
static const int threads_of[POOLS] = {1, 2, 3, 7, 16};
static const double eps = 1.1920928955078125e-7; /* 2^-23 */
static const float guard_value = -123.25f;

static ttt_backend *ref, *cpu[TTT_ISA_COUNT][POOLS];
static bool only_multiplies[TTT_ISA_COUNT];
static uint64_t seed = 20240704, stream, digest = BITS_BEGIN;

int32_t op_random(int64_t index, int64_t limit)
{
    return (int32_t)(ttt_rng_u64((ttt_rng){seed, 1}, (uint64_t)index) % (uint64_t)limit);
}

const ttt_backend *op_backend(ttt_isa isa) { return cpu[isa][0]; }

/* ---- operands as floats between guard zones ---- */

typedef struct memory {
    float *block[OP_OPERANDS];
    void *x[OP_OPERANDS]; /* inside the blocks, misaligned */
} memory;

static void memory_fill(memory *m, const op_case *c, double *const *values)
{
    for (int i = 0; i < OP_OPERANDS; i++) {
        const int64_t count = c->operands[i].count, offset = GUARD + 1 + 5 * i % 16;
        m->block[i] = malloc((size_t)(count + 2 * GUARD + 16) * sizeof(float));
        for (int64_t k = 0; k < count + 2 * GUARD + 16; k++) m->block[i][k] = guard_value;
        float *x = m->block[i] + offset;
        for (int64_t k = 0; k < count; k++) x[k] = c->operands[i].role == OP_OUT ? NAN : (float)values[i][k];
        m->x[i] = x;
    }
}

static void memory_free(memory *m)
{
    for (int i = 0; i < OP_OPERANDS; i++) free(m->block[i]);
}

static void fail(const op_case *c, const char *what)
{
    char dims[OP_DIMS * 8] = "";
    for (int i = 0, at = 0; i < OP_DIMS && c->dims[i]; i++)
        at += snprintf(dims + at, sizeof dims - (size_t)at, " %lld", (long long)c->dims[i]);
    fprintf(stderr, "%s%s (TTT_TEST_SEED=%llu): %s\n", c->name, dims, (unsigned long long)seed, what);
    test_failures++;
}

/* Guard zones whole, inputs as they were. */
static void check_memory(const op_case *c, const memory *m, double *const *values)
{
    test_checks++;
    for (int i = 0; i < OP_OPERANDS; i++) {
        const int64_t count = c->operands[i].count, before = (float *)m->x[i] - m->block[i];
        bool whole = true, same = true;
        for (int64_t k = 0; k < count + 2 * GUARD + 16; k++) {
            if (k < before || k >= before + count)
                whole = whole && m->block[i][k] == guard_value;
            else if (c->operands[i].role == OP_IN)
                same = same && m->block[i][k] == (float)values[i][k - before];
        }
        if (!whole) fail(c, "written outside an operand");
        if (!same) fail(c, "an input was changed");
    }
}

static void check_same(const op_case *c, const memory *a, const memory *b, const char *what)
{
    test_checks++;
    for (int i = 0; i < OP_OPERANDS; i++) {
        if (c->operands[i].count && memcmp(a->x[i], b->x[i], (size_t)c->operands[i].count * sizeof(float)) != 0) {
            fail(c, what);
            return;
        }
    }
}

static void check_near(const op_case *c, const memory *m, double *const *expected, double *const *terms,
                       const char *isa)
{
    test_checks++;
    for (int i = 0; i < OP_OPERANDS; i++) {
        if (c->operands[i].role < OP_OUT) continue;
        for (int64_t k = 0; k < c->operands[i].count; k++) {
            const double value = (double)((float *)m->x[i])[k], error = fabs(value - expected[i][k]);
            if (error <= c->c * eps * terms[i][k] + 1e-37) continue;
            char text[160];
            snprintf(text, sizeof text,
                     "%s: operand %d, element %lld: %.9g, ref says %.9g, off by %.1f eps (bound %.1f)", isa, i,
                     (long long)k, value, expected[i][k], error / eps / terms[i][k], c->c);
            fail(c, text);
            return;
        }
    }
}

/* ---- the case ---- */

static double **make_values(const op_case *c)
{
    double **values = malloc(OP_OPERANDS * sizeof *values);
    for (int i = 0; i < OP_OPERANDS; i++) {
        const int64_t count = c->operands[i].count;
        values[i] = malloc((size_t)(count + 1) * sizeof **values);
        const ttt_rng rng = {seed, 16 * stream + (uint64_t)i};
        for (int64_t k = 0; k < count; k++)
            values[i][k] = (double)(float)(c->operands[i].spread * ttt_rng_normal(rng, (uint64_t)k));
    }
    return values;
}

static double **copy_values(const op_case *c, double *const *from, bool magnitudes)
{
    double **values = malloc(OP_OPERANDS * sizeof *values);
    for (int i = 0; i < OP_OPERANDS; i++) {
        const int64_t count = c->operands[i].count;
        values[i] = malloc((size_t)(count + 1) * sizeof **values);
        for (int64_t k = 0; k < count; k++) {
            values[i][k] = magnitudes ? fabs(from[i][k]) : from[i][k];
            if (c->operands[i].role == OP_OUT) values[i][k] = (double)NAN;
        }
    }
    return values;
}

static void free_values(double **values)
{
    for (int i = 0; i < OP_OPERANDS; i++) free(values[i]);
    free(values);
}

/* Rows cut at `cuts`: one row first, then in pieces of `size`. */
static void run_cut(const ttt_backend *b, const op_case *c, const memory *m, int64_t size)
{
    c->run(b, c, m->x, 0, 1);
    for (int64_t row = 1; row < c->rows; row += size)
        c->run(b, c, m->x, row, row + size < c->rows ? row + size : c->rows);
}

/* On one thread, under an instruction set. */
static memory run_alone(const op_case *c, ttt_isa isa, double *const *values)
{
    memory m;
    memory_fill(&m, c, values);
    c->run(cpu[isa][0], c, m.x, 0, c->rows);
    return m;
}

/* The bits of plain C are those that all others must have. */
static void check_plain(const op_case *c, ttt_isa isa, const memory *m, const memory *plain)
{
    if (!(c->amx && isa == TTT_ISA_AMX)) check_same(c, m, plain, "bits depend on the instruction set");
}

static void check_isa(const op_case *c, ttt_isa isa, double *const *values, double *const *expected,
                      double *const *terms, const memory *plain)
{
    memory whole = run_alone(c, isa, values), other;
    check_memory(c, &whole, values);
    check_near(c, &whole, expected, terms, ttt_isa_name(isa));
    check_plain(c, isa, &whole, plain);
    for (int pool = 1; pool < POOLS; pool++) {
        memory_fill(&other, c, values);
        c->run(cpu[isa][pool], c, other.x, 0, c->rows);
        check_same(c, &whole, &other, "bits depend on the number of threads");
        memory_free(&other);
    }
    for (int64_t size = 1; c->rows > 1 && size <= 8; size = 3 * size - 1 + (size == 1)) {
        memory_fill(&other, c, values);
        run_cut(cpu[isa][1], c, &other, size);
        check_same(c, &whole, &other, "a row's bits depend on the other rows of the call");
        check_memory(c, &other, values);
        memory_free(&other);
    }
    memory_free(&whole);
}

/* Whether the case takes long on an emulated processor. */
static bool is_large(const op_case *c)
{
    int64_t elements = 0;
    for (int i = 0; i < OP_OPERANDS; i++) elements += c->operands[i].count;
    return elements > 30000;
}

void op_check(const op_case *c)
{
    stream++; /* the same numbers whatever is left out */
    if (test_small() && is_large(c)) return;
    double **values = make_values(c), **expected = copy_values(c, values, false);
    c->run(ref, c, (void *const *)expected, 0, c->rows);
    double **terms = copy_values(c, values, true);
    if (c->terms) {
        for (int i = 0; i < OP_OPERANDS; i++)
            for (int64_t k = 0; k < c->operands[i].count; k++) terms[i][k] = fabs(expected[i][k]);
        c->terms(c, values, expected, terms);
    } else {
        c->run(ref, c, (void *const *)terms, 0, c->rows);
    }
    memory plain = run_alone(c, TTT_ISA_SCALAR, values);
    for (int isa = 0; isa < TTT_ISA_COUNT; isa++)
        if (cpu[isa][0] && (c->narrow || !only_multiplies[isa]))
            check_isa(c, (ttt_isa)isa, values, expected, terms, &plain);
    for (int i = 0; i < OP_OPERANDS && !is_large(c); i++)
        bits_add(&digest, plain.x[i], (size_t)c->operands[i].count * sizeof(float));
    memory_free(&plain);
    free_values(values);
    free_values(expected);
    free_values(terms);
}

/* ---- the program ---- */

/* What a model of the cases' largest sizes would reserve. */
static void reserve(ttt_backend *b)
{
    const ttt_attention largest = {.heads = 1, .groups = 1, .head_size = 64};
    CHECK_OK(ttt_backend_reserve(b, TTT_NORM_SCRATCH * 1000 * b->real));
    CHECK_OK(ttt_backend_reserve(b, b->ops->attention_scratch(&largest)));
}

static void make_backends(void)
{
    CHECK_OK(ttt_backend_new(&ref, "ref", 1));
    reserve(ref);
    for (int isa = 0; isa < TTT_ISA_COUNT; isa++) {
        if (!set_runs((ttt_isa)isa)) continue;
        setenv("TTT_ISA", ttt_isa_name((ttt_isa)isa), 1);
        only_multiplies[isa] = set_only_multiplies((ttt_isa)isa);
        for (int pool = 0; pool < POOLS; pool++) {
            CHECK_OK(ttt_backend_new(&cpu[isa][pool], "cpu", threads_of[pool]));
            reserve(cpu[isa][pool]);
        }
    }
    ttt_backend *none;
    setenv("TTT_ISA", "mmx", 1);
    CHECK_FAILS(ttt_backend_new(&none, "cpu", 1), TTT_ERR_ARGUMENT, "TTT_ISA=mmx");
    unsetenv("TTT_ISA");
}

int main(void)
{
    const char *wanted = getenv("TTT_TEST_SEED");
    if (wanted) seed = strtoull(wanted, NULL, 10);
    printf("TTT_TEST_SEED=%llu\n", (unsigned long long)seed);
    make_backends();
    op_product_tests();
    op_norm_tests();
    op_delta_inputs_tests();
    op_pointwise_tests();
    op_scan_tests();
    op_sequence_tests();
    op_attention_tests();
    op_optim_tests();
    if (!wanted) bits_check(digest, 0x4a1c03a726c0cb26);
    ttt_backend_free(ref);
    for (int isa = 0; isa < TTT_ISA_COUNT; isa++)
        for (int pool = 0; pool < POOLS; pool++) ttt_backend_free(cpu[isa][pool]);
    return test_end();
}
