/* SPDX-License-Identifier: MIT
 *
 * Along a sequence: rotation by position, and the causal depthwise convolution. A tap m of row t reads row
 * t - (W-1) + m, which for the first rows lies in the tail that came before.
 */
#ifndef TTT_CPU_BODY_SEQUENCE_H
#define TTT_CPU_BODY_SEQUENCE_H

/* n neighbours, from 2 to 2 VF of them, turned in pairs by the angles with these cosines and sines. */
static inline void rotate_neighbours(float *x, vf c, vf s, int64_t n)
{
    const int64_t low = n < VF ? n : VF, high = n - low;
    vf a = vf_load_n(x, low), b = vf_load_n(x + VF, high);
    vf_split(&a, &b);
    vf turned = vf_fnma(b, s, vf_mul(a, c)), beside = vf_fma(a, s, vf_mul(b, c));
    vf_join(&turned, &beside);
    vf_store_n(x, turned, low);
    vf_store_n(x + VF, beside, high);
}

static void rotate(float *x, const float *table, int64_t heads, int64_t head_size, float sign)
{
    for (int64_t i = 0; i < head_size; i += 2 * VF) {
        const int64_t left = head_size - i, n = left < 2 * VF ? left : 2 * VF, low = n < VF ? n : VF;
        vf c = vf_load_n(table + i, low), s = vf_load_n(table + i + VF, n - low);
        vf_split(&c, &s);
        s = vf_mul(vf_set(sign), s);
        for (int64_t h = 0; h < heads; h++) rotate_neighbours(x + h * head_size + i, c, s, n);
    }
}

static void rotate_halves(float *x, const float *cosines, const float *sines, int64_t half, int64_t pairs)
{
    for (int64_t i = 0; i < pairs; i += VF) {
        const int64_t n = lanes_at(i, pairs);
        const vf c = vf_load_n(cosines + i, n), s = vf_load_n(sines + i, n);
        const vf a = vf_load_n(x + i, n), b = vf_load_n(x + half + i, n);
        vf_store_n(x + i, vf_fnma(b, s, vf_mul(a, c)), n);
        vf_store_n(x + half + i, vf_fma(a, s, vf_mul(b, c)), n);
    }
}

static void rotate_pairs(float *x, const float *cosines, const float *sines, int64_t heads, int64_t head_size,
                         int64_t pairs, bool halves)
{
    for (int64_t h = 0; h < heads; h++, x += head_size) {
        if (halves) {
            rotate_halves(x, cosines, sines, head_size / 2, pairs);
            continue;
        }
        for (int64_t i = 0; i < pairs; i += VF) {
            const int64_t n = lanes_at(i, pairs);
            rotate_neighbours(x + 2 * i, vf_load_n(cosines + i, n), vf_load_n(sines + i, n), 2 * n);
        }
    }
}

/* Taps that are taken together, and the most columns whose weights then lie beside each other. */
enum { CONV_TAPS = 4 };

/* Weights [CONV_TAPS, TTT_CONV_COLUMNS] of `count` taps from `tap` on, out of [columns, taps]. */
static void conv_weights(float *w, const ttt_conv *c, int64_t tap, int64_t count)
{
    for (int64_t i = 0; i < c->columns; i++) {
        for (int64_t k = 0; k < count; k++) w[k * TTT_CONV_COLUMNS + i] = c->w[i * c->taps + tap + k];
    }
}

/* Row by row; `count` is a constant where it can be. */
static inline __attribute__((always_inline)) void conv_taps(const ttt_conv *c, const float *w, int64_t tap,
                                                            int64_t count)
{
    const int64_t before = c->taps - 1;
    for (int64_t t = c->first; t < c->last; t++) {
        const float *x[CONV_TAPS];
        float *y = c->y + t * c->stride;
        for (int64_t k = 0; k < count; k++) {
            const int64_t from = t - before + tap + k;
            x[k] = from >= 0 ? c->x + from * c->stride : c->tail + (from + before) * c->stride;
        }
        for (int64_t i = 0; i < c->columns; i += VF) {
            const int64_t n = lanes_at(i, c->columns);
            vf sum = tap ? vf_load_n(y + i, n) : c->bias ? vf_load_n(c->bias + i, n) : vf_zero();
            for (int64_t k = 0; k < count; k++)
                sum = vf_fma(vf_load_n(w + k * TTT_CONV_COLUMNS + i, n), vf_load_n(x[k] + i, n), sum);
            vf_store_n(y + i, sum, n);
        }
    }
}

static void conv(const ttt_conv *c)
{
    float w[CONV_TAPS * TTT_CONV_COLUMNS];
    for (int64_t tap = 0; tap < c->taps; tap += CONV_TAPS) {
        const int64_t left = c->taps - tap;
        conv_weights(w, c, tap, left < CONV_TAPS ? left : CONV_TAPS);
        if (left >= CONV_TAPS)
            conv_taps(c, w, tap, CONV_TAPS);
        else
            conv_taps(c, w, tap, left);
    }
}

/* Sums over the rows of a vector of columns. */
typedef struct conv_sums {
    vf w[CONV_TAPS], bias;
} conv_sums;

/* Rows [begin, end) of x, which taps `tap` and up to three more of later rows read; `inside`: all of these are there.
 * Rows before 0 are the tail's. */
static inline __attribute__((always_inline)) void conv_backward_rows(const ttt_conv *c, const vf *w, conv_sums *sums,
                                                                     int64_t column, int64_t tap, int64_t begin,
                                                                     int64_t end, bool inside)
{
    const int64_t n = lanes_at(column, c->columns), before = c->taps - 1;
    for (int64_t row = begin; row < end; row++) {
        const bool own = inside || row >= 0;
        const int64_t at = (own ? row : row + before) * c->stride + column;
        const vf x = vf_load_n((own ? c->x : c->tail) + at, n);
        float *dx = (own ? c->dx : c->dtail) + at;
        vf d = vf_load_n(dx, n);
        for (int64_t k = 0; k < CONV_TAPS; k++) {
            const int64_t reader = row + before - tap - k;
            if (!inside && (reader < 0 || reader >= c->rows || tap + k > before)) continue;
            const vf dy = vf_load_n(c->dy + reader * c->stride + column, n);
            d = vf_fma(w[k], dy, d);
            sums->w[k] = vf_fma(dy, x, sums->w[k]);
        }
        if (own && tap == 0) sums->bias = vf_add(sums->bias, vf_load_n(c->dy + row * c->stride + column, n));
        vf_store_n(dx, d, n);
    }
}

/* Some rows of all columns at a time, so that lines of memory are used whole while they are in the cache. */
static void conv_backward_taps(const ttt_conv *c, int64_t tap)
{
    enum { ROWS = 8, VECTORS = TTT_CONV_BACKWARD_COLUMNS / VF };
    const int64_t before = c->taps - 1, count = c->taps - tap < CONV_TAPS ? c->taps - tap : CONV_TAPS;
    float weights[CONV_TAPS * TTT_CONV_COLUMNS] = {0};
    conv_sums sums[VECTORS];
    conv_weights(weights, c, tap, count);
    for (int v = 0; v < VECTORS; v++) sums[v] = (conv_sums){.bias = vf_zero()};
    for (int64_t begin = -before; begin < c->rows; begin += ROWS) {
        const int64_t end = c->rows - begin < ROWS ? c->rows : begin + ROWS;
        const bool inside = begin >= 0 && end + before - tap <= c->rows && count == CONV_TAPS;
        for (int64_t i = 0; i < c->columns; i += VF) {
            vf w[CONV_TAPS];
            for (int k = 0; k < CONV_TAPS; k++) w[k] = vf_load(weights + k * TTT_CONV_COLUMNS + i);
            conv_sums s = sums[i / VF];
            if (inside)
                conv_backward_rows(c, w, &s, i, tap, begin, end, true);
            else
                conv_backward_rows(c, w, &s, i, tap, begin, end, false);
            sums[i / VF] = s;
        }
    }
    for (int64_t i = 0; i < c->columns; i += VF) {
        const int64_t n = lanes_at(i, c->columns);
        float lanes[VF];
        for (int64_t k = 0; k < count; k++) {
            vf_store(lanes, sums[i / VF].w[k]);
            for (int64_t j = 0; j < n; j++) c->dw[(i + j) * c->taps + tap + k] += lanes[j];
        }
        if (tap == 0 && c->dbias) vf_store_n(c->dbias + i, vf_add(vf_load_n(c->dbias + i, n), sums[i / VF].bias), n);
    }
}

static void conv_backward(const ttt_conv *c)
{
    for (int64_t tap = 0; tap < c->taps; tap += CONV_TAPS) conv_backward_taps(c, tap);
}

#endif
