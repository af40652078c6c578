/* SPDX-License-Identifier: MIT
 *
 * Linear attention and the delta family with every combination of their keys, in double: ref against a second witness,
 * the layers written once more in other words, and ref's gradients against central differences of that. Linear
 * attention reads what all tokens before it have written, one by one, without a state; the delta rule forms the matrix
 * a (1 - beta k^T k) by which each token multiplies S.
 */
#include "one_layer.h"

enum { C = 8, H = 2, T = 19, MOST = 16 }; /* MOST: columns of a head, at most; T reaches into a second tile */

typedef struct witness {
    const one_layer *l;
    const ttt_config *config;
    bool gated, use_gate; /* of the delta family */
    int I, O;
} witness;

static const double *param(const witness *w, const char *name)
{
    return one_layer_param(w->l, w->l->values, name, NULL);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* y [out] = x [in] W^T */
static void times(double *y, const double *x, const double *W, int in, int out)
{
    for (int o = 0; o < out; o++) {
        y[o] = 0;
        for (int i = 0; i < in; i++) y[o] += x[i] * W[o * in + i];
    }
}

static double product(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* ---- linear attention ---- */

/* A query or key of one head: turned, then through the feature map. */
static void feature(const witness *w, double *x, int t)
{
    const int D = C / H;
    for (int i = 0; i < D / 2 && w->config->linear_attention_rope; i++) {
        const double angle = t * pow(w->config->rope_theta, -2.0 * i / D), a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos(angle) - b * sin(angle);
        x[2 * i + 1] = a * sin(angle) + b * cos(angle);
    }
    if (w->config->linear_attention_feature_map == TTT_FEATURE_IDENTITY) return;
    for (int i = 0; i < D; i++) x[i] = x[i] > 0 ? x[i] + 1 : exp(x[i]);
}

static void post_norm(const witness *w, double *o)
{
    double mean = 0, variance = 0;
    for (int c = 0; c < C; c++) mean += o[c] / C;
    for (int c = 0; c < C; c++) variance += (o[c] - mean) * (o[c] - mean) / C;
    for (int c = 0; c < C; c++)
        o[c] = param(w, "post_norm.weight")[c] * (o[c] - mean) / sqrt(variance + 1e-6) + param(w, "post_norm.bias")[c];
}

static void run_linear_attention(const witness *w, double *y, const double *x)
{
    enum { D = C / H };
    double q[T][C], k[T][C], v[T][C];
    for (int t = 0; t < T; t++) {
        times(q[t], x + t * C, param(w, "q_proj.weight"), C, C);
        times(k[t], x + t * C, param(w, "k_proj.weight"), C, C);
        times(v[t], x + t * C, param(w, "v_proj.weight"), C, C);
        double o[C] = {0};
        for (int h = 0; h < H; h++) {
            double sum = 1e-6;
            feature(w, q[t] + h * D, t);
            feature(w, k[t] + h * D, t);
            for (int s = 0; s <= t; s++) {
                const double weight = product(q[t] + h * D, k[s] + h * D, D);
                sum += weight;
                for (int d = 0; d < D; d++) o[h * D + d] += weight * v[s][h * D + d];
            }
            for (int d = 0; d < D && w->config->linear_attention_normalise; d++) o[h * D + d] /= sum;
        }
        if (w->config->linear_attention_post_norm) post_norm(w, o);
        times(y + t * C, o, param(w, "o_proj.weight"), C, C);
    }
}

/* ---- the delta family ---- */

/* silu of the convolution of x W^T at token t, all heads: [width]. */
static void mix(const witness *w, double *y, const double *x, int t, const char *projection, const char *convolution,
                int width)
{
    const int W = (int)w->config->conv_size;
    double row[H * MOST];
    memset(y, 0, (size_t)width * sizeof *y);
    for (int m = 0; m < W && m <= t; m++) {
        times(row, x + (t - m) * C, param(w, projection), C, width);
        for (int c = 0; c < width; c++) y[c] += param(w, convolution)[c * W + W - 1 - m] * row[c];
    }
    for (int c = 0; c < width; c++) y[c] *= sigmoid(y[c]);
}

static void unit(double *x, int n, double length)
{
    const double size = sqrt(product(x, x, n) + 1e-6);
    for (int i = 0; i < n; i++) x[i] *= length / size;
}

/* S = a (1 - beta k^T k) S + beta k^T v */
static void step(const witness *w, double S[MOST][MOST], const double *k, const double *v, double beta, double a)
{
    double before[MOST][MOST];
    memcpy(before, S, sizeof before);
    for (int i = 0; i < w->I; i++) {
        for (int o = 0; o < w->O; o++) {
            S[i][o] = beta * k[i] * v[o];
            for (int j = 0; j < w->I; j++) S[i][o] += a * ((i == j) - beta * k[i] * k[j]) * before[j][o];
        }
    }
}

static double kept(const witness *w, const double *x, int h)
{
    if (!w->gated) return 1;
    const double p = product(x, param(w, "a_proj.weight") + h * C, C) + param(w, "dt_bias")[h];
    return exp(-exp(param(w, "A_log")[h]) * log(1 + exp(p)));
}

static void read_out(const witness *w, double *out, double S[MOST][MOST], const double *q)
{
    double squares = 0;
    for (int o = 0; o < w->O; o++) {
        out[o] = 0;
        for (int i = 0; i < w->I; i++) out[o] += q[i] * S[i][o];
        squares += out[o] * out[o] / w->O;
    }
    for (int o = 0; o < w->O; o++) out[o] *= param(w, "o_norm.weight")[o] / sqrt(squares + w->config->rms_norm_eps);
}

static void run_delta(const witness *w, double *y, const double *x)
{
    double S[H][MOST][MOST] = {{{0}}}, q[H * MOST], k[H * MOST], v[H * MOST], o[H * MOST], gate[H * MOST];
    for (int t = 0; t < T; t++) {
        const double *row = x + t * C;
        mix(w, q, x, t, "q_proj.weight", "q_conv1d.weight", H * w->I);
        mix(w, k, x, t, "k_proj.weight", "k_conv1d.weight", H * w->I);
        mix(w, v, x, t, "v_proj.weight", "v_conv1d.weight", H * w->O);
        for (int h = 0; h < H; h++) {
            unit(q + h * w->I, w->I, 1 / sqrt((double)w->I));
            unit(k + h * w->I, w->I, 1);
            const double beta = sigmoid(product(row, param(w, "b_proj.weight") + h * C, C));
            step(w, S[h], k + h * w->I, v + h * w->O, beta, kept(w, row, h));
            read_out(w, o + h * w->O, S[h], q + h * w->I);
        }
        if (w->use_gate) times(gate, row, param(w, "g_proj.weight"), C, H * w->O);
        for (int c = 0; w->use_gate && c < H * w->O; c++) o[c] *= gate[c] * sigmoid(gate[c]);
        times(y + t * C, o, param(w, "o_proj.weight"), H * w->O, C);
    }
}

static void run_witness(const witness *w, double *y, const double *x)
{
    if (w->I)
        run_delta(w, y, x);
    else
        run_linear_attention(w, y, x);
}

/* ---- the layers against it ---- */

static double x[T * C], dy[T * C];

/* <y, dy> of the witness with `step` more in one of its numbers. */
static double moved(const witness *w, double *value, double change)
{
    double y[T * C];
    const double was = *value;
    *value += change;
    run_witness(w, y, x);
    *value = was;
    return product(y, dy, T * C);
}

/* Every element of a gradient, by differences of the fourth order; elu1 bends at 0, so their step is small. */
static void check_gradient(const witness *w, const char *name, double *values, const double *gradient, int64_t n)
{
    const double h = 1e-5;
    double most = 0;
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(gradient[i]));
    for (int64_t i = 0; i < n; i++) {
        const double near = moved(w, &values[i], h) - moved(w, &values[i], -h),
                     far = moved(w, &values[i], 2 * h) - moved(w, &values[i], -2 * h),
                     expected = (8 * near - far) / (12 * h);
        if (fabs(gradient[i] - expected) <= 1e-6 * most + 1e-9) continue;
        if (wrong++ == 0)
            fprintf(stderr, "%s: element %lld is %.12g, differences say %.12g\n", name, (long long)i, gradient[i],
                    expected);
    }
    CHECK_EQ(wrong, 0);
    CHECK(most > 0);
}

static void check_layer(const char *name, const ttt_config *config)
{
    double y[T * C], expected[T * C], dx[T * C], most = 0;
    one_layer l = one_layer_new(name, config);
    witness w = {.l = &l, .config = config};
    if (strcmp(name, "linear_attention") != 0) {
        w.gated = strcmp(name, "gated_deltanet") == 0;
        w.use_gate = config->delta_use_gate == TTT_UNSAID ? w.gated : config->delta_use_gate == TTT_YES;
        w.I = (int)(config->head_dim ? config->head_dim : C / H);
        w.O = (int)lround(w.I * config->expand_v);
    }
    one_layer_run(&l, T, y, x, dx, dy);
    run_witness(&w, expected, x);
    for (int i = 0; i < T * C; i++) most = fmax(most, fabs(expected[i]));
    for (int i = 0; i < T * C; i++) CHECK_NEAR(y[i], expected[i], 1e-12 * most);
    check_gradient(&w, "x", x, dx, T * C);
    for (int64_t p = 0; p < l.stack.params.count; p++) {
        const ttt_param_spec *spec = &l.stack.params.specs[p];
        check_gradient(&w, spec->name, l.values + spec->offset, l.grads + spec->offset, ttt_param_elements(spec));
        const bool small = strcmp(spec->name, "a_proj.weight") == 0 || strcmp(spec->name, "b_proj.weight") == 0,
                   projects = strstr(spec->name, "_proj.weight");
        CHECK_EQ(spec->role, small ? TTT_ROLE_PRODUCT : projects ? TTT_ROLE_MATRIX : TTT_ROLE_VALUES);
    }
    one_layer_free(&l);
}

static ttt_config config_of(void)
{
    ttt_config config;
    ttt_config_init(&config);
    config.hidden_size = C;
    config.num_attention_heads = H;
    return config;
}

static void check_linear_attention(void)
{
    ttt_config config = config_of();
    for (int flags = 0; flags < 16; flags++) {
        config.linear_attention_feature_map = flags & 1 ? TTT_FEATURE_IDENTITY : TTT_FEATURE_ELU1;
        config.linear_attention_normalise = !(flags & 2);
        config.linear_attention_post_norm = flags & 4;
        config.linear_attention_rope = flags & 8;
        if ((flags & 3) != 1) {
            check_layer("linear_attention", &config);
            continue;
        }
        ttt_stack stack;
        CHECK_FAILS(ttt_stack_init_layer(&stack, "linear_attention", &config), TTT_ERR_UNSUPPORTED,
                    "linear_attention_normalise");
    }
}

static void check_delta(const char *name)
{
    static const struct {
        int64_t head_dim;
        double expand_v;
        int64_t conv_size;
        ttt_maybe gate;
    } cases[] = {{0, 1, 4, TTT_UNSAID}, {3, 5 / 3.0, 2, TTT_YES}, {6, 0.5, 1, TTT_NO}, {2, 2, 3, TTT_UNSAID}};
    ttt_config config = config_of();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.head_dim = cases[i].head_dim;
        config.expand_v = cases[i].expand_v;
        config.conv_size = cases[i].conv_size;
        config.delta_use_gate = cases[i].gate;
        config.rms_norm_eps = i == 1 ? 1e-3 : 1e-6;
        check_layer(name, &config);
    }
    config.expand_v = 1.3;
    ttt_stack stack;
    CHECK_FAILS(ttt_stack_init_layer(&stack, name, &config), TTT_ERR_FORMAT, "expand_v 1.3");
}

int main(void)
{
    one_layer_fill(x, T * C, 0, 1, 1);
    one_layer_fill(dy, T * C, 0, 1, 2);
    check_linear_attention();
    if (!test_small()) check_delta("delta_net");
    check_delta("gated_deltanet");
    return test_end();
}
