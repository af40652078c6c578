/* SPDX-License-Identifier: MIT
 *
 * The selective scan, MATH (scan), on some channels of one run: vectors are of channels, and a few states of a vector
 * go through a chunk of rows together, in registers. Each h is one chain over the rows and each output one chain over
 * the states, so that chunks change no bits.
 */
#ifndef TTT_CPU_BODY_SCAN_H
#define TTT_CPU_BODY_SCAN_H

/* States that go together, and the vectors of the most channels. */
enum { SCAN_TOGETHER = 4, SCAN_VECTORS = TTT_SCAN_CHANNELS / VF };

static const float scan_log2e = 1.44269504f, scan_ln2 = 0.693147181f;

/* 2^x for x <= 0, to 2 eps: 1 + r P(r) with |r| <= 1/2, exact at 0 and so as good as any float near 1. Below 2^-126 it
 * is that. */
static inline vf vm_decay(vf x)
{
    x = vf_max(vf_set(-126), x);
    const vf n = vf_round(x), r = vf_sub(x, n);
    vf p = vf_set(0.00132646644f);
    p = vf_fma(p, r, vf_set(0.00967151206f));
    p = vf_fma(p, r, vf_set(0.0555073395f));
    p = vf_fma(p, r, vf_set(0.240222424f));
    p = vf_fma(p, r, vf_set(0.693147004f));
    return vf_mul(vf_fma(p, r, vf_set(1)), vf_power2(n));
}

static void scan_rates(float *rates, const float *a_log, int64_t channels, int64_t states)
{
    for (int64_t e = 0; e < channels; e += VF) {
        const int64_t lanes = lanes_at(e, channels);
        for (int64_t n = 0; n < states; n += VF) {
            const int64_t count = lanes_at(n, states);
            vf rows[VF];
            for (int64_t i = 0; i < VF; i++)
                rows[i] = i < lanes ? vf_load_n(a_log + (e + i) * states + n, count) : vf_zero();
            vf_transpose(rows);
            for (int64_t k = 0; k < count; k++)
                vf_store_n(rates + (n + k) * channels + e, vf_sub(vf_zero(), vm_exp(rows[k])), lanes);
        }
    }
}

/* What a vector of channels has in each row of a chunk. */
typedef struct scan_rows {
    vf dt[TTT_SCAN_CHUNK], w[TTT_SCAN_CHUNK];
    vf out[TTT_SCAN_CHUNK];                                           /* the forward's */
    vf dout[TTT_SCAN_CHUNK], dw[TTT_SCAN_CHUNK], ddt[TTT_SCAN_CHUNK]; /* the backward's; ddt in units of 1 / ln 2 */
} scan_rows;

static inline __attribute__((always_inline)) void scan_states(const ttt_scan_part *s, scan_rows *at, int64_t first,
                                                              int64_t rows, int64_t column, int64_t state,
                                                              int64_t count)
{
    const int64_t lanes = lanes_at(column, s->columns);
    vf rate[SCAN_TOGETHER], h[SCAN_TOGETHER];
    for (int64_t k = 0; k < count; k++) {
        const int64_t place = (state + k) * s->columns + column;
        rate[k] = vf_mul(vf_load_n(s->rates + place, lanes), vf_set(scan_log2e));
        h[k] = vf_load_n(s->h + place, lanes);
        if (s->kept) vf_store_n(s->kept + first / TTT_SCAN_CHUNK * s->kept_stride + place, h[k], lanes);
    }
    const float *b = s->b + first * s->small_stride + state, *c = s->c + first * s->small_stride + state;
    for (int64_t t = 0; t < rows; t++, b += s->small_stride, c += s->small_stride) {
        vf out = at->out[t];
        for (int64_t k = 0; k < count; k++) {
            const vf a = vm_decay(vf_mul(at->dt[t], rate[k]));
            h[k] = vf_fma(a, h[k], vf_mul(at->w[t], vf_set(b[k])));
            out = vf_fma(h[k], vf_set(c[k]), out);
        }
        at->out[t] = out;
    }
    for (int64_t k = 0; k < count; k++) vf_store_n(s->h + (state + k) * s->columns + column, h[k], lanes);
}

/* dt and w of rows [first, first + rows). */
static inline void scan_steps(const ttt_scan_part *s, scan_rows *at, int64_t first, int64_t rows, int64_t column)
{
    const int64_t lanes = lanes_at(column, s->columns);
    const vf bias = vf_load_n(s->bias + column, lanes);
    for (int64_t t = 0; t < rows; t++) {
        const int64_t place = (first + t) * s->stride + column;
        at->dt[t] = vm_softplus(vf_add(vf_load_n(s->l + place, lanes), bias));
        at->w[t] = vf_mul(at->dt[t], vf_load_n(s->u + place, lanes));
    }
}

static void scan_chunk(const ttt_scan_part *s, int64_t first, int64_t rows, int64_t column)
{
    const int64_t lanes = lanes_at(column, s->columns);
    const vf skip = vf_load_n(s->skip + column, lanes);
    scan_rows at;
    scan_steps(s, &at, first, rows, column);
    for (int64_t t = 0; t < rows; t++)
        at.out[t] = vf_mul(skip, vf_load_n(s->u + (first + t) * s->stride + column, lanes));
    int64_t state = 0;
    for (; state + SCAN_TOGETHER <= s->states; state += SCAN_TOGETHER)
        scan_states(s, &at, first, rows, column, state, SCAN_TOGETHER);
    for (; state < s->states; state++) scan_states(s, &at, first, rows, column, state, 1);
    for (int64_t t = 0; t < rows; t++) vf_store_n(s->out + (first + t) * s->stride + column, at.out[t], lanes);
}

/* Asks for rows of columns that the next chunk needs: they lie too far apart for the machine to foresee. */
static inline void scan_ahead(const ttt_scan_part *s, const float *x, int64_t first, int64_t rows)
{
    enum { LINE = 16 };
    for (int64_t t = first; t < first + rows; t++)
        for (int64_t column = 0; column < s->columns; column += LINE) __builtin_prefetch(x + t * s->stride + column);
}

static void scan(const ttt_scan_part *s)
{
    for (int64_t first = 0; first < s->rows; first += TTT_SCAN_CHUNK) {
        const int64_t left = s->rows - first, rows = left < TTT_SCAN_CHUNK ? left : TTT_SCAN_CHUNK;
        const int64_t after = left - rows < TTT_SCAN_CHUNK ? left - rows : TTT_SCAN_CHUNK;
        const float *const next[] = {s->u, s->l, s->out};
        for (int i = 0; i < 3; i++) scan_ahead(s, next[i], first + rows, after);
        for (int64_t column = 0; column < s->columns; column += VF) scan_chunk(s, first, rows, column);
    }
}

/* ---- backward ---- */

/* Sums over the channels, for a few states in each row; of each sum (body_sum.h) one part. */
typedef struct scan_sums {
    vf b[TTT_SCAN_CHUNK][SCAN_TOGETHER], c[TTT_SCAN_CHUNK][SCAN_TOGETHER];
} scan_sums;

/* Some states of a vector of channels, through a chunk forward to have every h, and back. */
static inline __attribute__((always_inline)) void scan_states_backward(const ttt_scan_part *s, scan_rows *at,
                                                                       scan_sums *sums, int64_t first, int64_t rows,
                                                                       int64_t column, int64_t state, int64_t count)
{
    const int64_t lanes = lanes_at(column, s->columns);
    const float *before = s->kept + first / TTT_SCAN_CHUNK * s->kept_stride;
    const float *b = s->b + first * s->small_stride + state, *c = s->c + first * s->small_stride + state;
    vf rate[SCAN_TOGETHER], a[TTT_SCAN_CHUNK][SCAN_TOGETHER], h[TTT_SCAN_CHUNK + 1][SCAN_TOGETHER];
    vf g[SCAN_TOGETHER], drate[SCAN_TOGETHER];
    for (int64_t k = 0; k < count; k++) {
        const int64_t place = (state + k) * s->columns + column;
        rate[k] = vf_mul(vf_load_n(s->rates + place, lanes), vf_set(scan_log2e));
        h[0][k] = vf_load_n(before + place, lanes);
        g[k] = vf_load_n(s->h + place, lanes);
        drate[k] = vf_load_n(s->drates + place, lanes);
    }
    for (int64_t t = 0; t < rows; t++) {
        for (int64_t k = 0; k < count; k++) {
            a[t][k] = vm_decay(vf_mul(at->dt[t], rate[k]));
            h[t + 1][k] = vf_fma(a[t][k], h[t][k], vf_mul(at->w[t], vf_set(b[t * s->small_stride + k])));
        }
    }
    for (int64_t t = rows - 1; t >= 0; t--) {
        const vf dout = at->dout[t], w = at->w[t], dt = at->dt[t];
        vf dw = at->dw[t], ddt = at->ddt[t];
        for (int64_t k = 0; k < count; k++) {
            const vf b_k = vf_set(b[t * s->small_stride + k]), c_k = vf_set(c[t * s->small_stride + k]);
            g[k] = vf_fma(dout, c_k, g[k]);
            sums->c[t][k] = vf_fma(dout, h[t + 1][k], sums->c[t][k]);
            sums->b[t][k] = vf_fma(g[k], w, sums->b[t][k]);
            dw = vf_fma(g[k], b_k, dw);
            g[k] = vf_mul(g[k], a[t][k]);
            const vf dexponent = vf_mul(g[k], h[t][k]);
            ddt = vf_fma(dexponent, rate[k], ddt);
            drate[k] = vf_fma(dexponent, dt, drate[k]);
        }
        at->dw[t] = dw;
        at->ddt[t] = ddt;
    }
    for (int64_t k = 0; k < count; k++) {
        const int64_t place = (state + k) * s->columns + column;
        vf_store_n(s->h + place, g[k], lanes);
        vf_store_n(s->drates + place, drate[k], lanes);
    }
}

/* The same states of all channels. */
static inline __attribute__((always_inline)) void
scan_channels_backward(const ttt_scan_part *s, scan_rows *at, int64_t first, int64_t rows, int64_t state, int64_t count)
{
    scan_sums sums[VS_PARTS];
    for (int p = 0; p < VS_PARTS; p++)
        for (int64_t t = 0; t < rows; t++)
            for (int64_t k = 0; k < count; k++) sums[p].b[t][k] = sums[p].c[t][k] = vf_zero();
    for (int64_t column = 0; column < s->columns; column += VF)
        scan_states_backward(s, &at[column / VF], &sums[column / VF % VS_PARTS], first, rows, column, state, count);
    for (int64_t t = 0; t < rows; t++) {
        float *partial = s->partial + (first + t) * 2 * s->states + state;
        for (int64_t k = 0; k < count; k++) {
            vs b, c;
            EACH_PART(p) b.part[p] = sums[p].b[t][k];
            EACH_PART(p) c.part[p] = sums[p].c[t][k];
            partial[k] = vs_sum(b);
            partial[s->states + k] = vs_sum(c);
        }
    }
}

static void scan_chunk_backward(const ttt_scan_part *s, int64_t first, int64_t rows)
{
    scan_rows at[SCAN_VECTORS];
    for (int64_t column = 0; column < s->columns; column += VF) {
        scan_rows *v = &at[column / VF];
        scan_steps(s, v, first, rows, column);
        for (int64_t t = 0; t < rows; t++) {
            v->dout[t] = vf_load_n(s->dout + (first + t) * s->stride + column, lanes_at(column, s->columns));
            v->dw[t] = v->ddt[t] = vf_zero();
        }
    }
    int64_t state = 0;
    for (; state + SCAN_TOGETHER <= s->states; state += SCAN_TOGETHER)
        scan_channels_backward(s, at, first, rows, state, SCAN_TOGETHER);
    for (; state < s->states; state++) scan_channels_backward(s, at, first, rows, state, 1);
    for (int64_t column = 0; column < s->columns; column += VF) {
        const scan_rows *v = &at[column / VF];
        const int64_t lanes = lanes_at(column, s->columns);
        const vf bias = vf_load_n(s->bias + column, lanes), skip = vf_load_n(s->skip + column, lanes);
        vf dbias = vf_load_n(s->dbias + column, lanes), dskip = vf_load_n(s->dskip + column, lanes);
        for (int64_t t = 0; t < rows; t++) {
            const int64_t place = (first + t) * s->stride + column;
            const vf u = vf_load_n(s->u + place, lanes);
            const vf ddt = vf_fma(v->dw[t], u, vf_mul(v->ddt[t], vf_set(scan_ln2)));
            const vf dl = vf_mul(ddt, vm_sigmoid(vf_add(vf_load_n(s->l + place, lanes), bias)));
            vf_store_n(s->dl + place, dl, lanes);
            vf_store_n(s->du + place, vf_fma(v->dw[t], v->dt[t], vf_mul(v->dout[t], skip)), lanes);
            dbias = vf_add(dbias, dl);
            dskip = vf_fma(v->dout[t], u, dskip);
        }
        vf_store_n(s->dbias + column, dbias, lanes);
        vf_store_n(s->dskip + column, dskip, lanes);
    }
}

static void scan_backward(const ttt_scan_part *s)
{
    for (int64_t chunk = (s->rows + TTT_SCAN_CHUNK - 1) / TTT_SCAN_CHUNK - 1; chunk >= 0; chunk--) {
        const int64_t first = chunk * TTT_SCAN_CHUNK, left = s->rows - first;
        scan_chunk_backward(s, first, left < TTT_SCAN_CHUNK ? left : TTT_SCAN_CHUNK);
    }
}

#endif
