/* SPDX-License-Identifier: MIT
 *
 * Elementary functions in double, the same bits on every processor and with every C library: additions,
 * multiplications and divisions alone, in one order, none of them fused. A C library's own differ from version to
 * version and, where they use fused operations, from processor to processor. Whatever reaches a weight, a state, a
 * logit or a loss comes from here. Errors, checked by tests/op/test_elementary.c, in units of the last place: exp, log,
 * sin and cos 1, expm1, log1p and pow 2, tanh 3, and above 2^20 sin and cos 2^-75 besides; NaN gives NaN. The
 * floating-point environment is that of float_env.h.
 */
#ifndef TTT_BASE_ELEMENTARY_H
#define TTT_BASE_ELEMENTARY_H

double ttt_exp(double x);
double ttt_expm1(double x);
double ttt_tanh(double x);

/* -infinity at 0, NaN below */
double ttt_ln(double x);

/* log(1 + x), x > -1 */
double ttt_ln1p(double x);

/* x^y, x >= 0 */
double ttt_pow(double x, double y);

/* |x| < 2^52; beyond, and at infinity, NaN */
double ttt_sin(double x);
double ttt_cos(double x);
void ttt_sincos(double x, double *sine, double *cosine);

#endif
