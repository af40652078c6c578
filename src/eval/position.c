/* SPDX-License-Identifier: MIT */
#include "eval/position.h"

#include <math.h>

/* Bins end at the whole numbers up to sqrt(2)^i, so at every power of two. */
int64_t ttt_eval_bins(ttt_eval_bin bins[TTT_EVAL_BINS], int64_t last)
{
    int64_t count = 0;
    for (int64_t i = 0, first = 1; first <= last; i++) {
        const int64_t end = (int64_t)sqrt(ldexp(1, (int)i));
        if (end < first) continue;
        bins[count++] = (ttt_eval_bin){.first = first, .last = end < last ? end : last};
        first = end + 1;
    }
    return count;
}

int64_t ttt_eval_find_bin(const ttt_eval_bin *bins, int64_t from, int64_t position)
{
    while (bins[from].last < position) from++;
    return from;
}

static ttt_eval_mean mean_of(ttt_eval_sum sum, int64_t count)
{
    if (count == 0) return (ttt_eval_mean){(double)NAN, (double)NAN};
    const double n = (double)count, mean = sum.sum / n;
    const double variance = count > 1 ? (sum.squares - n * mean * mean) / (n - 1) : 0;
    return (ttt_eval_mean){mean, sqrt(fmax(variance, 0) / n)};
}

void ttt_eval_summarize(ttt_eval_curve *curve, const ttt_eval_bin *bins, int64_t bin_count, const ttt_eval_sum *sums)
{
    ttt_eval_sum all = {0, 0};
    int64_t count = 0;
    for (int64_t i = 0; i < bin_count; i++) {
        curve->bins[i] = mean_of(sums[i], bins[i].tokens);
        all.sum += sums[i].sum;
        all.squares += sums[i].squares;
        count += bins[i].tokens;
    }
    curve->all = mean_of(all, count);
}
