/* SPDX-License-Identifier: MIT
 *
 * GELU's vector functions against double, over all that matters and beyond, with the error bounds that body_math.h
 * states. One program an instruction set: it is compiled with the flags of that one's kernels.
 */
#include "test.h"

#if defined(__AVX512F__)
#include "cpu/vec_avx512.h"
#define SUPPORTED (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
#elif defined(__AVX2__)
#include "cpu/vec_avx2.h"
#define SUPPORTED (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#elif defined(__aarch64__)
#include "cpu/vec_neon.h"
#define SUPPORTED 1
#else
#include "cpu/vec_scalar.h"
#define SUPPORTED 1
#endif

#include "cpu/body_math.h"

/* The largest errors met, as parts of their bounds. */
typedef struct worst {
    double gelu, slope, curve;
} worst;

static double larger(double most, double error, double bound)
{
    return error <= most * bound ? most : error / bound; /* NaN is larger than anything */
}

static worst compared(worst w, double x, double gelu, double slope, double curve)
{
    const double eps = 0x1p-23, c = 0.79788456080286536, u = 2 * c * (x + 0.044715 * x * x * x);
    const double inner = 2 * c * (1 + 3 * 0.044715 * x * x), s = 1 / (1 + exp(-u)), rest = 1 / (1 + exp(u));
    const double skew = x * (rest - s) * inner * inner, linear = 4 * inner - 4 * c;
    const double times = 4 + fabs(u), cancelled = times * rest + 1;
    w.gelu = larger(w.gelu, fabs(gelu - x * s), eps * (6 + 2 * fabs(u)) * fabs(x * s));
    w.slope = larger(w.slope, fabs(slope - s - x * s * rest * inner),
                     eps * (times * s + fabs(x) * s * (times * rest + cancelled) * inner));
    w.curve = larger(w.curve, fabs(curve - s * rest * (skew + linear)),
                     eps * s * (times * rest + cancelled) * (fabs(x) * inner * inner + 4 * inner + 4 * c));
    return w;
}

static worst scan(void)
{
    worst w = {0, 0, 0};
    for (int i = -144 * 1024; i < 144 * 1024; i += VF) {
        float x[VF], y[VF], slope[VF], curve[VF];
        for (int l = 0; l < VF; l++) x[l] = (float)(i + l) / 16384 + 1e-5f; /* within 9: beyond, exp is clamped */
        const vf at = vf_load(x), s = vm_gelu_sigmoid(at);
        vf_store(y, vm_gelu(at));
        vf_store(slope, vm_gelu_slope_of(at, s));
        vf_store(curve, vm_gelu_curve_of(at, s));
        for (int l = 0; l < VF; l++) {
            w = compared(w, (double)x[l], (double)y[l], (double)slope[l], (double)curve[l]);
        }
    }
    return w;
}

int main(void)
{
    if (SUPPORTED) {
        const worst w = scan();
        printf("%d lanes; of their bounds: gelu %.2f, slope %.2f, curve %.2f\n", VF, w.gelu, w.slope, w.curve);
        CHECK(w.gelu <= 1);
        CHECK(w.slope <= 1);
        CHECK(w.curve <= 1);
        CHECK(w.gelu > 0.01); /* the bounds are worth something */
        CHECK(w.slope > 0.01);
        CHECK(w.curve > 0.01);
    } else {
        SKIP("instruction set of %d lanes", VF);
    }
    return test_end();
}
