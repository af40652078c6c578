/* SPDX-License-Identifier: MIT
 *
 * RMSNorm, and LayerNorm with the GELU gate, one row at a time, which also adds its part to the weights' gradients.
 */
#ifndef TTT_CPU_BODY_NORM_H
#define TTT_CPU_BODY_NORM_H

static const float layernorm_eps = 1e-6f;

static float rms_scale(const float *x, int64_t width, float eps)
{
    vs sum = vs_zero();
    for (int64_t i = 0; i < width; i += VS) {
        EACH_PART(p)
        {
            const vf value = vf_load_n(x + i + p * VF, part_lanes(i, p, width));
            sum.part[p] = vf_fma(value, value, sum.part[p]);
        }
    }
    return 1 / sqrtf(vs_sum(sum) / (float)width + eps);
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
    vs sum = vs_zero();
    for (int64_t i = 0; i < width; i += VS) {
        EACH_PART(p)
        {
            const int64_t at = i + p * VF, n = part_lanes(i, p, width);
            const vf g = vf_mul(vf_load_n(dy + at, n), vf_load_n(w + at, n));
            sum.part[p] = vf_fma(g, vf_load_n(x + at, n), sum.part[p]);
        }
    }
    const vf s = vf_set(scale), along = vf_set(scale * scale * vs_sum(sum) / (float)width);
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
    vs sum = vs_zero(), squares = vs_zero();
    for (int64_t i = 0; i < width; i += VS)
        EACH_PART(p) sum.part[p] = vf_add(sum.part[p], vf_load_n(x + i + p * VF, part_lanes(i, p, width)));
    const float mean = vs_sum(sum) / (float)width;
    for (int64_t i = 0; i < width; i += VS) {
        EACH_PART(p)
        {
            const int64_t n = part_lanes(i, p, width);
            const vf value = vf_first(vf_sub(vf_load_n(x + i + p * VF, n), vf_set(mean)), n);
            squares.part[p] = vf_fma(value, value, squares.part[p]);
        }
    }
    statistics[0] = mean;
    statistics[1] = 1 / sqrtf(vs_sum(squares) / (float)width + layernorm_eps);
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

/* n elements from i on: their part of dw, dbias, dgate and y; dx gets g = dy gelu(gate) w, and *normal is what it is
 * multiplied by. */
static inline vf norm_gate_backward_part(const ttt_norm_row *row, vf mean, vf scale, int64_t i, int64_t n, vf *normal)
{
    *normal = vf_mul(vf_sub(vf_load_n(row->x + i, n), mean), scale);
    const vf w = vf_load_n(row->w + i, n);
    vf dy = vf_load_n(row->dy + i, n), y = vf_fma(*normal, w, vf_load_n(row->bias + i, n));
    if (row->gate) {
        const vf gate = vf_load_n(row->gate + i, n), gelu = vm_gelu(gate);
        vf_store_n(row->dgate + i, vf_mul(vf_mul(dy, y), vm_gelu_slope(gate)), n);
        dy = vf_mul(dy, gelu);
        y = vf_mul(y, gelu);
    }
    vf_store_n(row->dy + i, y, n);
    vf_store_n(row->dw + i, vf_fma(dy, *normal, vf_load_n(row->dw + i, n)), n);
    vf_store_n(row->dbias + i, vf_add(dy, vf_load_n(row->dbias + i, n)), n);
    const vf g = vf_mul(dy, w);
    vf_store_n(row->dx + i, g, n);
    return g;
}

/* dx = s (g - mean(g) - xhat mean(g xhat)) */
static void norm_gate_backward(const ttt_norm_row *row)
{
    float statistics[2];
    layernorm_statistics(statistics, row->x, row->width);
    const vf mean = vf_set(statistics[0]), scale = vf_set(statistics[1]);
    vs sum = vs_zero(), along = vs_zero();
    for (int64_t i = 0; i < row->width; i += VS) {
        EACH_PART(p)
        {
            vf normal;
            const vf g = norm_gate_backward_part(row, mean, scale, i + p * VF, part_lanes(i, p, row->width), &normal);
            sum.part[p] = vf_add(sum.part[p], g);
            along.part[p] = vf_fma(g, normal, along.part[p]);
        }
    }
    const vf sum_mean = vf_set(vs_sum(sum) / (float)row->width), along_mean = vf_set(vs_sum(along) / (float)row->width);
    for (int64_t i = 0; i < row->width; i += VF) {
        const int64_t n = lanes_at(i, row->width);
        const vf normal = vf_mul(vf_sub(vf_load_n(row->x + i, n), mean), scale);
        const vf g = vf_sub(vf_load_n(row->dx + i, n), sum_mean);
        vf_store_n(row->dx + i, vf_mul(scale, vf_fnma(normal, along_mean, g)), n);
    }
}

#endif
