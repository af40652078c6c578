/* SPDX-License-Identifier: MIT
 *
 * The elementary functions against the C library's, whose own errors are below one unit in the last place, and the
 * fused multiply-add of plain C; both against a digest, for they are the same bits everywhere.
 */
#include "base/elementary.h"
#include "base/rng.h"
#include "bits.h"
#include "cpu/vec_scalar.h"
#include "test.h"

enum { COUNT = 20000 };

static uint64_t digest = BITS_BEGIN, drawn;

static double uniform(double low, double high)
{
    return low + (high - low) * ttt_rng_uniform((ttt_rng){1, TTT_RNG_TEST}, drawn++);
}

/* Unit in the last place of x. */
static double unit(double x) { return nextafter(fabs(x), (double)INFINITY) - fabs(x); }

static void check_range(const char *name, double (*own)(double), double (*library)(double), double units,
                        const double range[2])
{
    double worst = 0;
    for (int i = 0; i < COUNT; i++) {
        const double x = uniform(range[0], range[1]), y = own(x), expected = library(x);
        bits_add(&digest, &y, sizeof y);
        worst = fmax(worst, fabs(y - expected) / unit(expected));
    }
    printf("%s, %g to %g: %.2f units\n", name, range[0], range[1], worst);
    CHECK(worst <= units + 1);
}

typedef struct function {
    const char *name;
    double (*own)(double), (*library)(double);
    double units, ranges[3][2];
} function;

static const function functions[] = {
    {"exp", ttt_exp, exp, 1, {{-745, 709}, {-1, 1}, {-1e-9, 1e-9}}},
    {"expm1", ttt_expm1, expm1, 2, {{-40, 60}, {-1, 1}, {-1e-9, 1e-9}}},
    {"tanh", ttt_tanh, tanh, 3, {{-25, 25}, {-1, 1}, {-1e-9, 1e-9}}},
    {"log", ttt_ln, log, 1, {{1e-310, 1e-307}, {0, 10}, {0.999, 1.001}}},
    {"log1p", ttt_ln1p, log1p, 2, {{-0.99, 10}, {1e10, 1e300}, {-1e-9, 1e-9}}},
    {"sin", ttt_sin, sin, 1, {{-7, 7}, {-1e6, 1e6}, {-1e-9, 1e-9}}},
    {"cos", ttt_cos, cos, 1, {{-7, 7}, {-1e6, 1e6}, {-1e-9, 1e-9}}},
};

static void check_functions(void)
{
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
        for (int r = 0; r < 3; r++)
            check_range(functions[f].name, functions[f].own, functions[f].library, functions[f].units,
                        functions[f].ranges[r]);
}

/* What bases and exponents the product has: frequencies of rotations, and moments of AdamW. */
static void check_pow(void)
{
    double worst = 0;
    for (int i = 0; i < COUNT; i++) {
        const double any = uniform(0, 100), part = uniform(0, 1);
        const int quarter = i / 4;
        const double bases[] = {10000, 1e6, any, 0.9, 0.999},
                     exponents[] = {-part, -part, 100 * part - 50, (double)quarter, (double)i};
        const double base = bases[i % 5], y = ttt_pow(base, exponents[i % 5]), expected = pow(base, exponents[i % 5]);
        bits_add(&digest, &y, sizeof y);
        worst = fmax(worst, fabs(y - expected) / unit(expected));
    }
    printf("pow: %.2f units\n", worst);
    CHECK(worst <= 2 + 1);
    for (int i = -300; i < 300; i++) CHECK(ttt_pow(2, (double)i) == ldexp(1, i));
}

/* Angles of late positions, and those next to a zero of the function, where what the reduction lost would show. */
static void check_angles(void)
{
    const double pi = 3.14159265358979323846;
    for (int i = 0; i < COUNT; i++) {
        const double x = i % 2 ? floor(uniform(0x1p20, 0x1p40)) : floor(uniform(1, 0x1p20)) * (pi / 2);
        double sine, cosine;
        ttt_sincos(x, &sine, &cosine);
        bits_add(&digest, &sine, sizeof sine);
        bits_add(&digest, &cosine, sizeof cosine);
        CHECK_NEAR(sine, sin(x), 0x1p-75 + 2 * unit(sine));
        CHECK_NEAR(cosine, cos(x), 0x1p-75 + 2 * unit(cosine));
        CHECK(sine == ttt_sin(x) && cosine == ttt_cos(x) && sine == -ttt_sin(-x) && cosine == ttt_cos(-x));
    }
}

static void check_ends(void)
{
    const double infinity = (double)INFINITY, nothing = (double)NAN;
    CHECK(ttt_exp(0) == 1 && ttt_exp(-infinity) == 0 && ttt_exp(infinity) == infinity && ttt_exp(710) == infinity);
    CHECK(ttt_exp(-746) == 0 && ttt_exp(709.7) < infinity && ttt_exp(-745) > 0);
    CHECK(ttt_expm1(0) == 0 && ttt_expm1(-infinity) == -1 && ttt_expm1(infinity) == infinity);
    CHECK(ttt_tanh(0) == 0 && ttt_tanh(infinity) == 1 && ttt_tanh(-infinity) == -1 && ttt_tanh(-0.5) == -ttt_tanh(0.5));
    CHECK(ttt_ln(1) == 0 && ttt_ln(0) == -infinity && isnan(ttt_ln(-1)) && ttt_ln(infinity) == infinity);
    CHECK(ttt_ln1p(0) == 0 && ttt_ln1p(-1) == -infinity && ttt_ln1p(infinity) == infinity);
    CHECK(ttt_pow(0, 3) == 0 && ttt_pow(3, 0) == 1 && ttt_pow(0, -1) == infinity && isnan(ttt_pow(-1, 3)));
    CHECK(ttt_pow(10, 400) == infinity && ttt_pow(10, -400) == 0 && ttt_pow(infinity, -1) == 0);
    CHECK(isnan(ttt_sin(infinity)) && isnan(ttt_cos(-infinity)) && ttt_sin(0) == 0 && ttt_cos(0) == 1);
    CHECK(isnan(ttt_exp(nothing)) && isnan(ttt_expm1(nothing)) && isnan(ttt_tanh(nothing)) && isnan(ttt_ln(nothing)));
    CHECK(isnan(ttt_ln1p(nothing)) && isnan(ttt_pow(nothing, 2)) && isnan(ttt_pow(2, nothing)));
    CHECK(isnan(ttt_sin(nothing)) && isnan(ttt_cos(nothing)));
}

/* ---- a b + c ---- */

/* A float of any size; with `few` bits set, so that products and sums are often exact or ties. */
static float any_float(bool few)
{
    uint32_t bits = (uint32_t)ttt_rng_u64((ttt_rng){2, TTT_RNG_TEST}, drawn++);
    if (few) bits &= 0xff83c000 | (bits >> 20 & 1);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static bool same(float a, float b) { return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0; }

/* Operands whose sum is a tie for a float, but for what lies far below it. */
static void check_ties(void)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int e = 25; e < 120; e++) {
            const float tiny = (float)sign * ldexpf(1, -e), c = 1 + 0x1p-23f;
            CHECK(same(emulated_fma(0x1p-12f, 0x1p-12f, c), fmaf(0x1p-12f, 0x1p-12f, c)));
            CHECK(same(emulated_fma(0x1p-12f + 0x1p-30f, 0x1p-12f, c), fmaf(0x1p-12f + 0x1p-30f, 0x1p-12f, c)));
            CHECK(same(emulated_fma(0x1.000002p0f, 0x1.000002p0f, tiny), fmaf(0x1.000002p0f, 0x1.000002p0f, tiny)));
            CHECK(same(emulated_fma(0x1.8p0f, 0x1.000002p0f, tiny), fmaf(0x1.8p0f, 0x1.000002p0f, tiny)));
        }
    }
}

static void check_fma(void)
{
    for (int i = 0; i < 20 * COUNT; i++) {
        float a = any_float(i % 2), b = any_float(i % 3 == 0), c = any_float(i % 2);
        if (i % 4 == 0) c = -a * b * (1 + (float)(i % 5 - 2) * 0x1p-23f); /* much cancels */
        if (i % 4 == 1 && isnormal(a * b) && isnormal(c)) c = ldexpf(c, ilogbf(a * b) - ilogbf(c) + i % 60 - 30);
        const float y = emulated_fma(a, b, c);
        CHECK(same(y, fmaf(a, b, c)));
        CHECK(same(y, vf_fma(a, b, c)));
        CHECK(same(vf_fnma(a, b, c), fmaf(-a, b, c)));
        if (y == y) bits_add(&digest, &y, sizeof y);
    }
    check_ties();
}

int main(void)
{
    check_functions();
    check_pow();
    check_angles();
    check_ends();
    check_fma();
    bits_check(digest, 0xbc1b91468cfaff94);
    return test_end();
}
