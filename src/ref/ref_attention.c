/* SPDX-License-Identifier: MIT
 *
 * MATH (attention): keys and values as the cache holds them, and what queries make of them.
 */
#include <math.h>

#include "base/elementary.h"
#include "ref/ref.h"

/* Element d of the key of token t in group g, and of its value: that lies behind the keys, by tokens. */
static int64_t key_at(const ttt_attention *a, int64_t t, int64_t g, int64_t d)
{
    return ttt_key_block_at(a, t) + (2 * g * a->head_size + d) * TTT_KEY_BLOCK + t % TTT_KEY_BLOCK;
}

static int64_t value_at(const ttt_attention *a, int64_t t, int64_t g, int64_t d)
{
    return ttt_key_block_at(a, t) + ((2 * g + 1) * TTT_KEY_BLOCK + t % TTT_KEY_BLOCK) * a->head_size + d;
}

static void keys_write(const ttt_backend *b, const ttt_attention *a, const void *k, const void *v, const ttt_run *runs,
                       int64_t run_count)
{
    (void)b;
    const int64_t D = a->head_size, width = a->groups * D;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        double *cache = run->grown[a->layer];
        for (int64_t i = 0; i < run->count * width; i++) {
            const int64_t t = run->position + i / width, g = i % width / D, d = i % D, at = run->row * width + i;
            cache[key_at(a, t, g, d)] = ((const double *)k)[at];
            cache[value_at(a, t, g, d)] = ((const double *)v)[at];
        }
    }
}

static void keys_read(const ttt_backend *b, const ttt_attention *a, void *k, void *v, const ttt_run *runs,
                      int64_t run_count, bool gradients)
{
    (void)b;
    const int64_t D = a->head_size, width = a->groups * D;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        const double *cache = (gradients ? run->dgrown : run->grown)[a->layer];
        for (int64_t i = 0; i < run->count * width; i++) {
            const int64_t t = run->position + i / width, g = i % width / D, d = i % D, at = run->row * width + i;
            ((double *)k)[at] = cache[key_at(a, t, g, d)];
            ((double *)v)[at] = cache[value_at(a, t, g, d)];
        }
    }
}

/* scale q . k_j */
static double score(const ttt_attention *a, const double *q, const double *cache, int64_t j, int64_t g)
{
    double sum = 0;
    for (int64_t d = 0; d < a->head_size; d++) sum += q[d] * cache[key_at(a, j, g, d)];
    return a->scale * sum;
}

/* One head of token t; returns the log of the sum. */
static double read_token(const ttt_attention *a, double *out, const double *q, const double *cache, int64_t t,
                         int64_t g)
{
    const int64_t first = ttt_first_visible(a, t);
    double top = -(double)INFINITY, sum = 0;
    for (int64_t j = first; j <= t; j++) top = fmax(top, score(a, q, cache, j, g));
    for (int64_t d = 0; d < a->head_size; d++) out[d] = 0;
    for (int64_t j = first; j <= t; j++) {
        const double p = ttt_exp(score(a, q, cache, j, g) - top);
        sum += p;
        for (int64_t d = 0; d < a->head_size; d++) out[d] += p * cache[value_at(a, j, g, d)];
    }
    for (int64_t d = 0; d < a->head_size; d++) out[d] /= sum;
    return top + ttt_ln(sum);
}

static void attention(const ttt_backend *b, const ttt_attention *a, void *out, void *sums, void *partial, const void *q,
                      const ttt_run *runs, int64_t run_count)
{
    (void)b, (void)partial;
    const int64_t H = a->heads, D = a->head_size;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        for (int64_t i = 0; i < run->count * H; i++) {
            const int64_t at = run->row * H + i, h = i % H;
            const double sum = read_token(a, (double *)out + at * D, (const double *)q + at * D, run->grown[a->layer],
                                          run->position + i / H, h * a->groups / H);
            if (sums) ((double *)sums)[at] = sum;
        }
    }
}

static void read_token_backward(const ttt_attention *a, double *dq, double *dcache, const double *dout,
                                const double *out, double sum, const double *q, const double *cache, int64_t t,
                                int64_t g)
{
    const int64_t D = a->head_size;
    double delta = 0;
    for (int64_t d = 0; d < D; d++) delta += dout[d] * out[d];
    for (int64_t d = 0; d < D; d++) dq[d] = 0;
    for (int64_t j = ttt_first_visible(a, t); j <= t; j++) {
        const double p = ttt_exp(score(a, q, cache, j, g) - sum);
        double dp = 0;
        for (int64_t d = 0; d < D; d++) dp += dout[d] * cache[value_at(a, j, g, d)];
        const double ds = a->scale * p * (dp - delta);
        for (int64_t d = 0; d < D; d++) {
            dq[d] += ds * cache[key_at(a, j, g, d)];
            dcache[key_at(a, j, g, d)] += ds * q[d];
            dcache[value_at(a, j, g, d)] += p * dout[d];
        }
    }
}

static void attention_backward(const ttt_backend *b, const ttt_attention *a, void *dq, void *delta, const void *dout,
                               const void *out, const void *sums, const void *q, const ttt_run *runs, int64_t run_count)
{
    (void)b, (void)delta;
    const int64_t H = a->heads, D = a->head_size;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        for (int64_t i = 0; i < run->count * H; i++) {
            const int64_t at = run->row * H + i, h = i % H;
            read_token_backward(a, (double *)dq + at * D, run->dgrown[a->layer], (const double *)dout + at * D,
                                (const double *)out + at * D, ((const double *)sums)[at], (const double *)q + at * D,
                                run->grown[a->layer], run->position + i / H, h * a->groups / H);
        }
    }
}

static size_t attention_scratch(const ttt_attention *a)
{
    (void)a;
    return 0;
}

void ttt_ref_ops_attention(ttt_ops *ops)
{
    ops->attention_scratch = attention_scratch;
    ops->keys_write = keys_write;
    ops->keys_read = keys_read;
    ops->attention = attention;
    ops->attention_backward = attention_backward;
}
