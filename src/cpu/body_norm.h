/* SPDX-License-Identifier: MIT
 *
 * RMSNorm, and LayerNorm with the GELU gate, one row at a time, which also adds its part to the weights' gradients.
 */
#ifndef TTT_CPU_BODY_NORM_H
#define TTT_CPU_BODY_NORM_H

static const float layernorm_eps = 1e-6f;

static float rms_scale(const float *x, int64_t width, float eps)
{
    vf sum = vf_zero();
    for (int64_t i = 0; i < width; i += VF) {
        const vf value = vf_load_n(x + i, lanes_at(i, width));
        sum = vf_fma(value, value, sum);
    }
    return 1 / sqrtf(vf_sum(sum) / (float)width + eps);
}

static void rmsnorm(float *y, const float *x, const float *w, int64_t width, float eps)
{
    const vf scale = vf_set(rms_scale(x, width, eps));
    for (int64_t i = 0; i < width; i += VF) {
        const int64_t n = lanes_at(i, width);
        vf_store_n(y + i, vf_mul(vf_mul(vf_load_n(x + i, n), scale), vf_load_n(w + i, n)), n);
    }
}

/* dx += s (dy w - x s^2 mean(dy w x)), dw += dy x s */
static void rmsnorm_backward(float *dx, float *dw, const float *dy, const float *x, const float *w, int64_t width,
                             float eps)
{
    const float scale = rms_scale(x, width, eps);
    vf sum = vf_zero();
    for (int64_t i = 0; i < width; i += VF) {
        const int64_t n = lanes_at(i, width);
        sum = vf_fma(vf_mul(vf_load_n(dy + i, n), vf_load_n(w + i, n)), vf_load_n(x + i, n), sum);
    }
    const vf s = vf_set(scale), along = vf_set(scale * scale * vf_sum(sum) / (float)width);
    for (int64_t i = 0; i < width; i += VF) {
        const int64_t n = lanes_at(i, width);
        const vf d = vf_load_n(dy + i, n), value = vf_load_n(x + i, n), g = vf_mul(d, vf_load_n(w + i, n));
        vf_store_n(dx + i, vf_fma(s, vf_fnma(along, value, g), vf_load_n(dx + i, n)), n);
        vf_store_n(dw + i, vf_fma(d, vf_mul(value, s), vf_load_n(dw + i, n)), n);
    }
}

/* Mean, and 1 / sqrt(variance + eps): in two passes, so that nothing cancels. */
static void layernorm_statistics(float statistics[2], const float *x, int64_t width)
{
    vf sum = vf_zero();
    for (int64_t i = 0; i < width; i += VF) sum = vf_add(sum, vf_load_n(x + i, lanes_at(i, width)));
    const float mean = vf_sum(sum) / (float)width;
    sum = vf_zero();
    for (int64_t i = 0; i < width; i += VF) {
        const int64_t n = lanes_at(i, width);
        const vf value = vf_first(vf_sub(vf_load_n(x + i, n), vf_set(mean)), n);
        sum = vf_fma(value, value, sum);
    }
    statistics[0] = mean;
    statistics[1] = 1 / sqrtf(vf_sum(sum) / (float)width + layernorm_eps);
}

static void norm_gate(float *y, const ttt_norm_row *row)
{
    float statistics[2];
    layernorm_statistics(statistics, row->x, row->width);
    const vf mean = vf_set(statistics[0]), scale = vf_set(statistics[1]);
    for (int64_t i = 0; i < row->width; i += VF) {
        const int64_t n = lanes_at(i, row->width);
        const vf normal = vf_mul(vf_sub(vf_load_n(row->x + i, n), mean), scale);
        vf value = vf_fma(normal, vf_load_n(row->w + i, n), vf_load_n(row->bias + i, n));
        if (row->gate) value = vf_mul(value, vm_gelu(vf_load_n(row->gate + i, n)));
        vf_store_n(y + i, value, n);
    }
}

/* With g = dy gelu(gate) w: dx = s (g - mean(g) - xhat mean(g xhat)); dx holds g between the two passes. */
static void norm_gate_backward(const ttt_norm_row *row)
{
    float statistics[2];
    layernorm_statistics(statistics, row->x, row->width);
    const vf mean = vf_set(statistics[0]), scale = vf_set(statistics[1]);
    vf sum = vf_zero(), along = vf_zero();
    for (int64_t i = 0; i < row->width; i += VF) {
        const int64_t n = lanes_at(i, row->width);
        const vf normal = vf_mul(vf_sub(vf_load_n(row->x + i, n), mean), scale), w = vf_load_n(row->w + i, n);
        vf dy = vf_load_n(row->dy + i, n), y = vf_fma(normal, w, vf_load_n(row->bias + i, n));
        if (row->gate) {
            const vf gate = vf_load_n(row->gate + i, n), gelu = vm_gelu(gate);
            vf_store_n(row->dgate + i, vf_mul(vf_mul(dy, y), vm_gelu_slope(gate)), n);
            dy = vf_mul(dy, gelu);
            y = vf_mul(y, gelu);
        }
        vf_store_n(row->dy + i, y, n);
        vf_store_n(row->dw + i, vf_fma(dy, normal, vf_load_n(row->dw + i, n)), n);
        vf_store_n(row->dbias + i, vf_add(dy, vf_load_n(row->dbias + i, n)), n);
        const vf g = vf_mul(dy, w);
        sum = vf_add(sum, g);
        along = vf_fma(g, normal, along);
        vf_store_n(row->dx + i, g, n);
    }
    const vf sum_mean = vf_set(vf_sum(sum) / (float)row->width), along_mean = vf_set(vf_sum(along) / (float)row->width);
    for (int64_t i = 0; i < row->width; i += VF) {
        const int64_t n = lanes_at(i, row->width);
        const vf normal = vf_mul(vf_sub(vf_load_n(row->x + i, n), mean), scale);
        const vf g = vf_sub(vf_load_n(row->dx + i, n), sum_mean);
        vf_store_n(row->dx + i, vf_mul(scale, vf_fnma(normal, along_mean, g)), n);
    }
}

#endif
