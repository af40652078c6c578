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

void ttt_eval_sums_init(ttt_eval_sums *sums)
{
    *sums = (ttt_eval_sums){.blocks = {0}};
    for (int i = 0; i < TTT_EVAL_OPEN; i++) sums->open[i].id = -1;
}

static void end_block(ttt_eval_sums *sums, ttt_eval_block *block)
{
    for (int64_t i = 0; i < TTT_EVAL_PLACES && block->id >= 0; i++) {
        const double tokens = block->tokens[i];
        if (tokens == 0) continue;
        sums->blocks[i]++;
        sums->tokens[i] += tokens;
        sums->token_squares[i] += tokens * tokens;
        for (int k = 0; k < TTT_EVAL_CURVES; k++) {
            const double sum = block->sums[k][i];
            sums->sums[k][i] += sum;
            sums->cross[k][i] += sum * tokens;
            sums->squares[k][i] += sum * sum;
        }
    }
    *block = (ttt_eval_block){.id = -1};
}

void ttt_eval_sums_add(ttt_eval_sums *sums, int64_t slot, int64_t id, int64_t bin, const double values[TTT_EVAL_CURVES])
{
    ttt_eval_block *block = &sums->open[slot];
    if (block->id != id) {
        end_block(sums, block);
        block->id = id;
    }
    const int64_t places[] = {bin, TTT_EVAL_ALL};
    for (int p = 0; p < 2; p++) {
        block->tokens[places[p]]++;
        for (int k = 0; k < TTT_EVAL_CURVES; k++) block->sums[k][places[p]] += values[k];
    }
}

void ttt_eval_sums_close(ttt_eval_sums *sums)
{
    for (int i = 0; i < TTT_EVAL_OPEN; i++) end_block(sums, &sums->open[i]);
}

/* Each block adds s - mean t, which is 0 on average. */
static ttt_eval_mean mean_of(const ttt_eval_sums *sums, int k, int64_t place)
{
    const double blocks = sums->blocks[place], tokens = sums->tokens[place];
    if (blocks == 0) return (ttt_eval_mean){(double)NAN, (double)NAN};
    const double mean = sums->sums[k][place] / tokens;
    const double squares = sums->squares[k][place] - 2 * mean * sums->cross[k][place] +
                           mean * mean * sums->token_squares[place];
    const double error = sqrt(fmax(squares, 0) * blocks / (blocks - 1)) / tokens;
    return (ttt_eval_mean){mean, blocks > 1 ? error : (double)NAN};
}

void ttt_eval_summarize(ttt_eval_curve *curve, const ttt_eval_sums *sums, int k, int64_t bin_count)
{
    for (int64_t i = 0; i < bin_count; i++) curve->bins[i] = mean_of(sums, k, i);
    curve->all = mean_of(sums, k, TTT_EVAL_ALL);
}
