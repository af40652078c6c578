/* SPDX-License-Identifier: MIT
 *
 * Along a sequence: rotation by position, and the causal depthwise convolution. A tap m of row t reads row
 * t - (W-1) + m, which for the first rows lies in the tail that came before.
 */
#ifndef TTT_CPU_BODY_SEQUENCE_H
#define TTT_CPU_BODY_SEQUENCE_H

static void rotate(float *x, const float *table, int64_t heads, int64_t head_size, float sign)
{
    for (int64_t h = 0; h < heads; h++, x += head_size) {
        for (int64_t i = 0; i < head_size; i += 2) {
            const float c = table[i], s = sign * table[i + 1], a = x[i], b = x[i + 1];
            x[i] = a * c - b * s;
            x[i + 1] = a * s + b * c;
        }
    }
}

/* Weights [columns, taps] of one tap, `n` columns from `column` on. */
static inline vf conv_weight(const ttt_conv *c, int64_t column, int64_t tap, int64_t n)
{
    float lanes[VF] = {0};
    for (int64_t i = 0; i < n; i++) lanes[i] = c->w[(column + i) * c->taps + tap];
    return vf_load(lanes);
}

static void conv(const ttt_conv *c)
{
    for (int64_t column = 0; column < c->columns; column += VF) {
        const int64_t n = lanes_at(column, c->columns), before = c->taps - 1;
        vf start = vf_load_n(c->bias + column, n);
        for (int64_t tap = 0; tap < c->taps; tap++) {
            const vf w = conv_weight(c, column, tap, n);
            for (int64_t t = 0; t < c->rows; t++) {
                const int64_t from = t - before + tap;
                const float *x = from >= 0 ? c->x + from * c->stride : c->tail + (from + before) * c->stride;
                float *y = c->y + t * c->stride + column;
                vf_store_n(y, vf_fma(w, vf_load_n(x + column, n), tap ? vf_load_n(y, n) : start), n);
            }
        }
    }
}

static void conv_backward(const ttt_conv *c)
{
    for (int64_t column = 0; column < c->columns; column += VF) {
        const int64_t n = lanes_at(column, c->columns), before = c->taps - 1;
        vf bias = vf_load_n(c->dbias + column, n);
        for (int64_t t = 0; t < c->rows; t++) bias = vf_add(bias, vf_load_n(c->dy + t * c->stride + column, n));
        vf_store_n(c->dbias + column, bias, n);
        for (int64_t tap = 0; tap < c->taps; tap++) {
            const vf w = conv_weight(c, column, tap, n);
            vf sum = vf_zero();
            for (int64_t t = 0; t < c->rows; t++) {
                const int64_t from = t - before + tap, row = from >= 0 ? from : from + before;
                const float *x = (from >= 0 ? c->x : c->tail) + row * c->stride + column;
                float *dx = (from >= 0 ? c->dx : c->dtail) + row * c->stride + column;
                const vf dy = vf_load_n(c->dy + t * c->stride + column, n);
                vf_store_n(dx, vf_fma(w, dy, vf_load_n(dx, n)), n);
                sum = vf_fma(dy, vf_load_n(x, n), sum);
            }
            float lanes[VF];
            vf_store(lanes, sum);
            for (int64_t i = 0; i < n; i++) c->dw[(column + i) * c->taps + tap] += lanes[i];
        }
    }
}

#endif
