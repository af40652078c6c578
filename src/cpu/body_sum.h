/* SPDX-License-Identifier: MIT
 *
 * Sums over the elements of a row, the same bits whatever VF is. A sum has VS lanes: element i belongs to lane i % VS,
 * every lane takes its elements in their order, and in the end lanes are added up in one tree: those 8 apart, then 4,
 * 2 and 1. Where a vector has fewer lanes, a sum is VS / VF vectors side by side, its parts:
 *
 *     vs sum = vs_zero();
 *     for (int64_t i = 0; i < n; i += VS)
 *         EACH_PART(p) sum.part[p] = vf_add(sum.part[p], vf_load_n(x + i + p * VF, part_lanes(i, p, n)));
 *     float total = vs_sum(sum);
 *
 * Elements that are not there add 0, which changes no sum that began with 0.
 */
#ifndef TTT_CPU_BODY_SUM_H
#define TTT_CPU_BODY_SUM_H

enum { VS = 16, VS_PARTS = VS / VF };

typedef struct vs {
    vf part[VS_PARTS];
} vs;

#define EACH_PART(p) _Pragma("GCC unroll 4") for (int p = 0; p < VS_PARTS; p++)

/* Lanes in use of part p at element i of n, i a multiple of VS: none where the row has ended. */
static inline int64_t part_lanes(int64_t i, int p, int64_t n)
{
    const int64_t left = n - i - p * VF;
    return left >= VF ? VF : left > 0 ? left : 0;
}

static inline vs vs_zero(void)
{
    vs sum;
    EACH_PART(p) sum.part[p] = vf_zero();
    return sum;
}

static inline vs vs_add(vs a, vs b)
{
    EACH_PART(p) a.part[p] = vf_add(a.part[p], b.part[p]);
    return a;
}

/* The parts' share of the tree: what is left for one vector's lanes. */
static inline vf vs_fold(vs sum)
{
#pragma GCC unroll 4
    for (int half = VS_PARTS / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int p = 0; p < half; p++) sum.part[p] = vf_add(sum.part[p], sum.part[p + half]);
    return sum.part[0];
}

static inline float vs_sum(vs sum) { return vf_sum(vs_fold(sum)); }

#endif
