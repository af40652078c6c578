/* SPDX-License-Identifier: MIT
 *
 * Element by element: y += x, silu and SwiGLU and their gradients, the learning rate of the inner loop.
 */
#ifndef TTT_CPU_BODY_POINTWISE_H
#define TTT_CPU_BODY_POINTWISE_H

static void add(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void swiglu(float *y, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf_store_n(y + i, vf_mul(vm_silu(vf_load_n(gate + i, lanes)), vf_load_n(up + i, lanes)), lanes);
    }
}

/* d silu(x) / dx = s + x s (1 - s) */
static void swiglu_backward(float *dy, float *gate, float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf x = vf_load_n(gate + i, lanes), d = vf_load_n(dy + i, lanes), u = vf_load_n(up + i, lanes);
        const vf s = vm_sigmoid(x), silu = vf_mul(x, s);
        const vf slope = vf_fma(silu, vf_sub(vf_set(1), s), s);
        vf_store_n(dy + i, vf_mul(silu, u), lanes);
        vf_store_n(gate + i, vf_mul(vf_mul(d, u), slope), lanes);
        vf_store_n(up + i, vf_mul(d, silu), lanes);
    }
}

static void silu(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf_store_n(y + i, vm_silu(vf_load_n(x + i, lanes)), lanes);
    }
}

static void silu_backward(float *dy, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf v = vf_load_n(x + i, lanes), s = vm_sigmoid(v);
        const vf slope = vf_fma(vf_mul(v, s), vf_sub(vf_set(1), s), s);
        vf_store_n(dy + i, vf_mul(vf_load_n(dy + i, lanes), slope), lanes);
    }
}

static void rate(float *r, const float *bias, int64_t heads, float scale)
{
    for (int64_t h = 0; h < heads; h += VF) {
        const int64_t lanes = lanes_at(h, heads);
        vf logit = vf_load_n(r + h, lanes);
        if (bias) logit = vf_add(logit, vf_load_n(bias + h, lanes));
        vf_store_n(r + h, vf_mul(vf_set(scale), vm_sigmoid(logit)), lanes);
    }
}

#endif
