/* SPDX-License-Identifier: MIT
 *
 * Each function: its argument is reduced to a small range, exactly or with what is lost kept beside it, and a Taylor
 * series does the rest. sqrt and fmod are the C library's: the standards (IEEE 754, C) leave one result for each.
 */
#include "base/elementary.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* A number and what is missing in it: the sum of the two is meant. */
typedef struct pair {
    double high, low;
} pair;

static const double ln2_high = 0x1.62e42fefa2p-1, ln2_low = 0x1.9ef35793c7673p-41; /* 40 bits, and the next 53 */
static const double to_whole = 0x1.8p52; /* added and taken off again: rounds to whole numbers */

static pair sum_of(double a, double b)
{
    const double sum = a + b, more = sum - a;
    return (pair){sum, (a - (sum - more)) + (b - more)};
}

/* The 26 leading bits of a number, and the rest. */
static pair halves_of(double a)
{
    const double wide = 0x8000001p0 * a, high = wide - (wide - a);
    return (pair){high, a - high};
}

static pair product_of(double a, double b)
{
    const double product = a * b;
    const pair x = halves_of(a), y = halves_of(b);
    return (pair){product, ((x.high * y.high - product) + x.high * y.low + x.low * y.high) + x.low * y.low};
}

/* ---- e^x ---- */

/* e^r - 1, |r| <= 0.35, of r.high + r.low */
static double small_expm1(pair r)
{
    const double x = r.high;
    double p = 1.0 / 6227020800;
    p = p * x + 1.0 / 479001600;
    p = p * x + 1.0 / 39916800;
    p = p * x + 1.0 / 3628800;
    p = p * x + 1.0 / 362880;
    p = p * x + 1.0 / 40320;
    p = p * x + 1.0 / 5040;
    p = p * x + 1.0 / 720;
    p = p * x + 1.0 / 120;
    p = p * x + 1.0 / 24;
    p = p * x + 1.0 / 6;
    p = p * x + 0.5;
    return x + (x * x * p + (r.low + r.low * x));
}

/* x = n ln 2 + r; returns n, |x| < 1100 */
static double reduce_exp(pair x, pair *r)
{
    const double n = (x.high * 1.4426950408889634 + to_whole) - to_whole;
    *r = sum_of(x.high - n * ln2_high, x.low - n * ln2_low);
    return n;
}

/* 2^n, -1022 <= n <= 1023 */
static double power_of_2(int n)
{
    const uint64_t bits = (uint64_t)(n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* x 2^n in two steps, of which the first is exact: x near 1, |n| <= 1100 */
static double times_power(double x, double n)
{
    const int whole = (int)n, half = whole / 2;
    return x * power_of_2(half) * power_of_2(whole - half);
}

static double exp_of(pair x)
{
    pair r;
    if (!(x.high > -746)) return x.high != x.high ? x.high : 0;
    if (x.high > 710) return (double)INFINITY;
    const double n = reduce_exp(x, &r);
    return times_power(1 + small_expm1(r), n);
}

double ttt_exp(double x) { return exp_of((pair){x, 0}); }

double ttt_expm1(double x)
{
    pair r;
    if (!(x > -40)) return x != x ? x : -1;
    if (x > 710) return (double)INFINITY;
    const double n = reduce_exp((pair){x, 0}, &r), q = small_expm1(r);
    if (n == 0) return q;
    if (n > 60) return times_power(1 + q, n);
    const double power = times_power(1, n);
    const pair sum = sum_of(power - 1, power * q);
    return sum.high + sum.low;
}

double ttt_tanh(double x)
{
    const double size = fabs(x);
    if (size > 20) return x > 0 ? 1 : -1;
    const double e = ttt_expm1(2 * size), t = e / (e + 2);
    return x < 0 ? -t : x > 0 ? t : x;
}

/* ---- log ---- */

/* x = m 2^k with m in [sqrt(1/2), sqrt(2)]; x > 0 and finite */
static double mantissa_of(double x, double *k)
{
    double scale = 0;
    if (x < 0x1p-1022) x *= 0x1p54, scale = -54;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    const int above = m > 1.4142135623730951;
    *k = (double)(exponent + above) + scale;
    return above ? m / 2 : m;
}

/* z (2/3 + 2/5 z + 2/7 z^2 ...), so that log(1 + f) = s (2 + this) with s = f / (2 + f), z = s^2 <= 0.0295 */
static double artanh_rest(double z)
{
    double p = 2.0 / 23;
    p = p * z + 2.0 / 21;
    p = p * z + 2.0 / 19;
    p = p * z + 2.0 / 17;
    p = p * z + 2.0 / 15;
    p = p * z + 2.0 / 13;
    p = p * z + 2.0 / 11;
    p = p * z + 2.0 / 9;
    p = p * z + 2.0 / 7;
    p = p * z + 2.0 / 5;
    p = p * z + 2.0 / 3;
    return p * z;
}

/* What ttt_ln says where there is no logarithm; a NaN for all others is x itself. */
static double no_log(double x)
{
    if (x == 0) return -(double)INFINITY;
    return x < 0 ? (double)NAN : x;
}

double ttt_ln(double x)
{
    if (!(x > 0) || x == (double)INFINITY) return no_log(x);
    double k;
    const double f = mantissa_of(x, &k) - 1, s = f / (2 + f);
    return k * ln2_high + (f - (s * (f - artanh_rest(s * s)) - k * ln2_low)); /* 2 s = f - s f */
}

double ttt_ln1p(double x)
{
    const double y = 1 + x;
    if (!(y > 0) || y == (double)INFINITY) return no_log(y);
    return ttt_ln(y) + (x - (y - 1)) / y;
}

/* log x with some 10 bits more than a double has; x > 0 and finite */
static pair long_log(double x)
{
    double k;
    const double m = mantissa_of(x, &k), f = m - 1;
    const pair over = sum_of(m, 1);
    const double s = f / over.high;
    const pair back = product_of(s, over.high);
    const double s_low = (((f - back.high) - back.low) - s * over.low) / over.high;
    const pair sum = sum_of(k * ln2_high, 2 * s);
    return sum_of(sum.high, sum.low + (k * ln2_low + (2 * s_low + s * artanh_rest(s * s))));
}

double ttt_pow(double x, double y)
{
    if (y == 0 || x == 1) return 1;
    if (x == 0 || x == (double)INFINITY) return (x == 0) == (y > 0) ? 0 : (double)INFINITY;
    if (!(x > 0)) return (double)NAN;
    const pair log = long_log(x);
    if (fabs(y * log.high) > 1000) return y * log.high > 0 ? (double)INFINITY : 0;
    pair product = product_of(y, log.high);
    product.low += y * log.low;
    return exp_of(product);
}

/* ---- sine and cosine ---- */

/* x = n pi/2 + r, |r| <= pi/4; returns n mod 4. pi/2 is in three parts: n times the first two is exact. */
static int reduce_angle(double x, pair *r)
{
    double more = 0;
    if (fabs(x) > 0x1p20) { /* whole turns of a circle that is a little too short, and what that makes */
        const double turn = 0x1.921fb54442d18p+2, missing = 0x1.1a62633145c07p-52;
        const double rest = fmod(x, turn);
        more = -missing * ((x - rest) / turn + to_whole - to_whole);
        x = rest;
    }
    const double n = (x * 0x1.45f306dc9c883p-1 + to_whole) - to_whole;
    const pair first = sum_of(x - n * 0x1.921fb544p+0, -n * 0x1.0b4611a6p-34);
    *r = sum_of(first.high, first.low + (more - n * 0x1.3198a2e037073p-69));
    return (int)n & 3;
}

static double small_sin(pair r)
{
    const double x = r.high, z = x * x;
    double p = 1.0 / 355687428096000;
    p = p * z - 1.0 / 1307674368000;
    p = p * z + 1.0 / 6227020800;
    p = p * z - 1.0 / 39916800;
    p = p * z + 1.0 / 362880;
    p = p * z - 1.0 / 5040;
    p = p * z + 1.0 / 120;
    p = p * z - 1.0 / 6;
    return x + (x * z * p + r.low * (1 - 0.5 * z));
}

static double small_cos(pair r)
{
    const double x = r.high, z = x * x;
    double p = -1.0 / 6402373705728000;
    p = p * z + 1.0 / 20922789888000;
    p = p * z - 1.0 / 87178291200;
    p = p * z + 1.0 / 479001600;
    p = p * z - 1.0 / 3628800;
    p = p * z + 1.0 / 40320;
    p = p * z - 1.0 / 720;
    p = p * z + 1.0 / 24;
    return 1 - (0.5 * z - (z * z * p - x * r.low));
}

void ttt_sincos(double x, double *sine, double *cosine)
{
    pair r;
    if (!(fabs(x) < 0x1p52)) {
        *sine = *cosine = (double)NAN;
        return;
    }
    const int n = reduce_angle(x, &r);
    const double s = small_sin(r), c = small_cos(r);
    *sine = n == 0 ? s : n == 1 ? c : n == 2 ? -s : -c;
    *cosine = n == 0 ? c : n == 1 ? -s : n == 2 ? -c : s;
}

double ttt_sin(double x)
{
    double sine, cosine;
    ttt_sincos(x, &sine, &cosine);
    return sine;
}

double ttt_cos(double x)
{
    double sine, cosine;
    ttt_sincos(x, &sine, &cosine);
    return cosine;
}
