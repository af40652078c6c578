/* SPDX-License-Identifier: MIT
 *
 * The TTT layer with every combination of its flags, in double: ref against a second witness, the layer written once
 * more, token by token with the weights of every token formed; and ref's gradients against central differences of that.
 */
#include "layer/ttt.h"
#include "one_layer.h"

enum { C = 8, H = 2, D = C / H, E = 4 * D, T = 11 };

/* ---- the second witness: no function of the library but the generator ---- */

typedef struct weights {
    double W1[D][E], b1[E], W2[E][D], b2[D]; /* linear: D columns of W1, b1 */
} weights;

static double gelu(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))); }

/* As the authors wrote it. */
static double gelu_inner(double x)
{
    const double t = tanh(0.79788456 * x * (1 + 0.044715 * x * x));
    return 0.5 * x * ((1 - t * t) * (0.79788456 + 0.1070322243 * x * x)) + 0.5 * (1 + t);
}

static double sigma_of(const double *z, int n, double *mean)
{
    double variance = 0;
    *mean = 0;
    for (int d = 0; d < n; d++) *mean += z[d] / n;
    for (int d = 0; d < n; d++) variance += (z[d] - *mean) * (z[d] - *mean) / n;
    return sqrt(variance + 1e-6);
}

static void layernorm(double *y, const double *z, const double *gamma, const double *beta, int n)
{
    double mean;
    const double sigma = sigma_of(z, n, &mean);
    for (int d = 0; d < n; d++) y[d] = gamma[d] * (z[d] - mean) / sigma + beta[d];
}

/* g = J^T (LN(z) - target), with the Jacobian J of LN as a matrix. */
static void norm_gradient(double *g, const double *z, const double *target, const double *gamma, const double *beta)
{
    double mean, y[D];
    const double sigma = sigma_of(z, D, &mean);
    layernorm(y, z, gamma, beta, D);
    for (int b = 0; b < D; b++) {
        g[b] = 0;
        for (int a = 0; a < D; a++) {
            const double along = (z[a] - mean) * (z[b] - mean) / (sigma * sigma);
            g[b] += (y[a] - target[a]) * gamma[a] / sigma * ((a == b) - (1 + along) / D);
        }
    }
}

typedef struct witness {
    const one_layer *l;
    const ttt_config *config;
    bool mlp;
    weights W, S, now; /* the mini-batch's start; sums; what a token is read with */
    weights first;     /* the sequence's start */
} witness;

static const double *param(const witness *w, const char *name)
{
    return one_layer_param(w->l, w->l->values, name, NULL);
}

/* z of x with weights V; z1 and a on the way */
static void predict(const witness *w, const weights *V, const double *x, double *z1, double *a, double *z)
{
    const int wide = w->mlp ? E : D;
    for (int e = 0; e < wide; e++) {
        z1[e] = V->b1[e];
        for (int d = 0; d < D; d++) z1[e] += x[d] * V->W1[d][e];
        a[e] = w->mlp ? gelu(z1[e]) : 0;
    }
    for (int d = 0; d < D; d++) {
        z[d] = w->mlp ? V->b2[d] : z1[d];
        for (int e = 0; w->mlp && e < E; e++) z[d] += a[e] * V->W2[e][d];
    }
}

/* S += r times the gradients of one token's loss at the weights W */
static void write_token(witness *w, const double *k, const double *v, double r, int h)
{
    double z1[E], a[E], z[D], target[D], g[D], g1[E];
    predict(w, &w->W, k, z1, a, z);
    for (int d = 0; d < D; d++) {
        target[d] = w->config->ttt_target == TTT_TARGET_V ? v[d] : v[d] - k[d];
        g[d] = z[d] - target[d];
    }
    if (w->config->ttt_norm)
        norm_gradient(g, z, target, param(w, "ttt_norm_weight") + h * D, param(w, "ttt_norm_bias") + h * D);
    const double bias = w->config->ttt_bias;
    for (int e = 0; e < (w->mlp ? E : D); e++) {
        g1[e] = w->mlp ? 0 : g[e];
        for (int d = 0; w->mlp && d < D; d++) g1[e] += w->W.W2[e][d] * g[d] * gelu_inner(z1[e]);
        for (int d = 0; d < D; d++) w->S.W1[d][e] += r * k[d] * g1[e];
        w->S.b1[e] += bias * r * g1[e];
        for (int d = 0; w->mlp && d < D; d++) w->S.W2[e][d] += r * a[e] * g[d];
    }
    for (int d = 0; w->mlp && d < D; d++) w->S.b2[d] += bias * r * g[d];
}

/* now = W - c S; all weights are doubles one after another */
static void step(weights *now, const weights *W, const weights *S, double c)
{
    const double *from = (const double *)W, *sum = (const double *)S;
    for (size_t i = 0; i < sizeof *now / sizeof(double); i++) ((double *)now)[i] = from[i] - c * sum[i];
}

static void read_token(witness *w, double *out, const double *q, double c, int h)
{
    double z1[E], a[E], z[D];
    step(&w->now, &w->W, &w->S, c);
    predict(w, &w->now, q, z1, a, z);
    if (w->config->ttt_norm) layernorm(z, z, param(w, "ttt_norm_weight") + h * D, param(w, "ttt_norm_bias") + h * D, D);
    for (int d = 0; d < D; d++) out[d] = z[d] + (w->config->ttt_residual ? q[d] : 0);
}

/* W0 + g (W - W0) */
static void keep(witness *w)
{
    double *now = (double *)&w->W;
    const double *first = (const double *)&w->first;
    for (size_t i = 0; i < sizeof w->W / sizeof(double); i++)
        now[i] = first[i] + w->config->ttt_keep * (now[i] - first[i]);
}

static void start(witness *w, int h)
{
    memset(&w->W, 0, sizeof w->W);
    memset(&w->S, 0, sizeof w->S);
    const double *W1 = param(w, "W1"), *b1 = param(w, "b1"), *W2 = param(w, "W2"), *b2 = param(w, "b2");
    const int wide = w->mlp ? E : D;
    for (int e = 0; e < wide; e++) {
        for (int d = 0; d < D && W1; d++) w->W.W1[d][e] = W1[(h * D + d) * wide + e];
        for (int d = 0; d < D && W2; d++) w->W.W2[e][d] = W2[(h * E + e) * D + d];
        if (b1) w->W.b1[e] = b1[h * wide + e];
    }
    for (int d = 0; d < D && b2; d++) w->W.b2[d] = b2[h * D + d];
    w->first = w->W;
}

/* y = x W^T */
static void times(double *y, const double *x, const double *W)
{
    for (int o = 0; o < C; o++) {
        y[o] = 0;
        for (int i = 0; i < C; i++) y[o] += x[i] * W[o * C + i];
    }
}

static void rotate(const witness *w, double *x, int64_t t)
{
    for (int i = 0; i < D / 2 && w->config->ttt_rope; i++) {
        const double angle = (double)(t % w->config->mini_batch_size) * pow(w->config->rope_theta, -2.0 * i / D);
        const double a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos(angle) - b * sin(angle);
        x[2 * i + 1] = a * sin(angle) + b * cos(angle);
    }
}

static double rate(const witness *w, const double *x, int h)
{
    if (w->config->ttt_rate >= 0) return w->config->ttt_rate;
    double logit = param(w, "learnable_ttt_lr_bias")[h];
    for (int i = 0; i < C; i++) logit += x[i] * param(w, "learnable_ttt_lr_weight")[h * C + i];
    return w->config->ttt_base_lr / (1 + exp(-logit)) / D;
}

static double factor(const witness *w, int64_t t)
{
    const int64_t i = t % w->config->mini_batch_size;
    return w->config->ttt_position_factor ? fmax(0, 1 / (double)(i + 1) + param(w, "learnable_token_idx")[i]) : 1;
}

static void run_witness(witness *w, double *y, const double *x)
{
    double z[T][C], o[C], gate[C];
    for (int h = 0; h < H; h++) {
        start(w, h);
        for (int t = 0; t < T; t++) {
            double q[C], k[C], v[C];
            times(q, x + t * C, param(w, "q_proj.weight"));
            times(k, x + t * C, param(w, "k_proj.weight"));
            times(v, x + t * C, param(w, "v_proj.weight"));
            rotate(w, q + h * D, t);
            rotate(w, k + h * D, t);
            write_token(w, k + h * D, v + h * D, rate(w, x + t * C, h), h);
            read_token(w, z[t] + h * D, q + h * D, factor(w, t), h);
            if ((t + 1) % w->config->mini_batch_size != 0) continue;
            w->W = w->now; /* read with the last token's factor */
            if (w->config->ttt_keep_every == 0 || (t + 1) % w->config->ttt_keep_every == 0) keep(w);
            memset(&w->S, 0, sizeof w->S);
        }
    }
    for (int t = 0; t < T; t++) {
        layernorm(o, z[t], param(w, "post_norm.weight"), param(w, "post_norm.bias"), C);
        times(gate, x + t * C, param(w, "g_proj.weight"));
        for (int c = 0; c < C; c++) o[c] *= gelu(gate[c]);
        times(y + t * C, o, param(w, "o_proj.weight"));
    }
}

/* ---- the layer against it ---- */

/* One of the 2^9 combinations. */
static ttt_config config_of(unsigned flags, int64_t K)
{
    ttt_config c;
    ttt_config_init(&c);
    c.hidden_size = C;
    c.num_attention_heads = H;
    c.mini_batch_size = K;
    c.use_gate = true;
    c.ttt_base_lr = 0.3;
    c.ttt_norm = !(flags & 1);
    c.ttt_residual = !(flags & 2);
    c.ttt_target = flags & 4 ? TTT_TARGET_V : TTT_TARGET_DIFFERENCE;
    c.ttt_bias = !(flags & 8);
    c.ttt_position_factor = !(flags & 16);
    c.ttt_rope = !(flags & 32);
    if (flags & 64) c.ttt_rate = 0.03;
    if (flags & 128) c.ttt_w0 = TTT_W0_ZERO;
    if (flags & 256) c.ttt_keep = 0.75;
    if (flags & 256 && flags % 5 < 2) c.ttt_keep_every = 2 * K;
    return c;
}

static double x[T * C], dy[T * C];

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* <y, dy> of the witness with `h` times `direction` added to `values`. */
static double moved(witness *w, double *values, const double *direction, int64_t n, double h)
{
    double y[T * C], kept[256] = {0};
    CHECK(n <= 256);
    memcpy(kept, values, (size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] += h * direction[i];
    run_witness(w, y, x);
    memcpy(values, kept, (size_t)n * sizeof *values);
    return dot(y, dy, T * C);
}

static void check_gradient(witness *w, const char *name, double *values, const double *gradient, int64_t n)
{
    double direction[256] = {0};
    const double h = 5e-5;
    one_layer_fill(direction, n, 0, 1, one_layer_stream(name) + 1);
    const double near = moved(w, values, direction, n, h) - moved(w, values, direction, n, -h),
                 far = moved(w, values, direction, n, 2 * h) - moved(w, values, direction, n, -2 * h),
                 expected = (8 * near - far) / (12 * h), found = dot(direction, gradient, n);
    const double size = sqrt(dot(gradient, gradient, n));
    if (!(fabs(found - expected) <= 1e-6 * size + 1e-9)) fprintf(stderr, "%s: ", name);
    CHECK_NEAR(found, expected, 1e-6 * size + 1e-9);
}

static void check_layer(const char *name, const ttt_config *config)
{
    double y[T * C], expected[T * C], dx[T * C];
    one_layer l = one_layer_new(name, config);
    witness w = {.l = &l, .config = config, .mlp = strcmp(name, "ttt_mlp") == 0};
    double *idx = one_layer_param(&l, l.values, "learnable_token_idx", NULL);
    CHECK_EQ(idx != NULL, config->ttt_position_factor);
    for (int64_t i = 0; idx && i < config->mini_batch_size; i++) idx[i] *= i == 1 ? 0 : 0.1;
    if (idx && config->mini_batch_size > 2) idx[1] = -2; /* clamped, and far from where it would not be */
    one_layer_run(&l, T, y, x, dx, dy);
    run_witness(&w, expected, x);
    double most = 0;
    for (int i = 0; i < T * C; i++) most = fmax(most, fabs(expected[i]));
    for (int i = 0; i < T * C; i++) CHECK_NEAR(y[i], expected[i], 1e-12 * most);
    check_gradient(&w, "x", x, dx, T * C);
    for (int64_t p = 0; p < l.stack.params.count; p++) {
        const ttt_param_spec *spec = &l.stack.params.specs[p];
        check_gradient(&w, spec->name, l.values + spec->offset, l.grads + spec->offset, ttt_param_elements(spec));
    }
    one_layer_free(&l);
}

/* y of the layer, frozen or at the beginning of training, is that of the witness with another rate. */
static void check_rate(const char *name, double rate_factor, bool frozen, double rate)
{
    ttt_config config = config_of(1, 4);
    config.ttt_rate = 0.03;
    one_layer l = one_layer_new(name, &config);
    l.rate_factor = rate_factor;
    l.frozen = frozen;
    double y[T * C], expected[T * C];
    one_layer_run(&l, T, y, x, NULL, NULL);
    config.ttt_rate = rate;
    witness w = {.l = &l, .config = &config, .mlp = strcmp(name, "ttt_mlp") == 0};
    run_witness(&w, expected, x);
    for (int i = 0; i < T * C; i++) CHECK_NEAR(y[i], expected[i], 1e-12);
    one_layer_free(&l);
}

/* Mini-batches too long for a table of rotations: nothing learns, and all tokens are alike but for their positions. */
static void check_long_mini_batch(void)
{
    enum { K = 5000, LONG = K + 3 };
    static double same[LONG * C], y[LONG * C];
    ttt_config config = config_of(0, K);
    config.ttt_rate = 0;
    one_layer l = one_layer_new("ttt_linear", &config);
    for (int64_t i = 0; i < LONG * C; i++) same[i] = x[i % C];
    one_layer_run(&l, LONG, y, same, NULL, NULL);
    double most = 0;
    for (int64_t i = 0; i < 3 * C; i++) CHECK_NEAR(y[K * C + i], y[i], 1e-13);
    for (int64_t i = 0; i < C; i++) most = fmax(most, fabs(y[C + i] - y[i]));
    CHECK(most > 1e-3);
    config.mini_batch_size = 16; /* with a table */
    one_layer small = one_layer_new("ttt_linear", &config);
    static double expected[16 * C];
    one_layer_run(&small, 16, expected, same, NULL, NULL);
    for (int64_t i = 0; i < 16 * C; i++) CHECK_NEAR(y[i], expected[i], 1e-13);
    one_layer_free(&l);
    one_layer_free(&small);
}

/* The state as other programs hold it: without biases, and of the last head what the witness ended with. */
static void check_view(void)
{
    static const char *const names[] = {"W1", "W2", "W1_grad", "W2_grad"};
    ttt_config config = config_of(8, 4);
    one_layer l = one_layer_new("ttt_mlp", &config);
    witness w = {.l = &l, .config = &config, .mlp = true};
    double y[T * C], view[4 * H * D * E];
    ttt_state_piece pieces[TTT_STATE_PIECES];
    const ttt_layer *layer = l.stack.layers;
    const ttt_run run = {.position = T, .state = (one_layer_run(&l, T, y, x, NULL, NULL), l.state)};
    run_witness(&w, y, x);
    CHECK_EQ(layer->ops->view_pieces(layer, l.b, pieces), 4);
    CHECK_OK(layer->ops->view(layer, l.b, &run, view));
    for (int i = 0; i < 4; i++) {
        const weights *from = i < 2 ? &w.W : &w.S;
        const double *expected = i % 2 == 0 ? &from->W1[0][0] : &from->W2[0][0];
        CHECK_STR(pieces[i].name, names[i]);
        CHECK_EQ(ttt_piece_elements(&pieces[i]), H * D * E);
        for (int j = 0; j < D * E; j++) CHECK_NEAR(view[(i * H + H - 1) * D * E + j], expected[j], 1e-12);
    }
    one_layer_free(&l);
}

/* mean((y - target)^2), for every target and with and without the norm. */
static void check_inner_loss(const char *name, unsigned flags)
{
    const ttt_config config = config_of(flags, 4);
    one_layer l = one_layer_new(name, &config);
    witness w = {.l = &l, .config = &config, .mlp = strcmp(name, "ttt_mlp") == 0};
    const ttt_layer *layer = l.stack.layers;
    const ttt_learner_ops *ops = ttt_learner_of(layer, l.b);
    const ttt_learner_dims *dims = &ttt_shape_of(layer)->dims;
    const int h = H - 1;
    double head[2 * sizeof(weights) / sizeof(double)], y[T * C], z1[E], a[E], z[D], expected = 0;
    one_layer_run(&l, T, y, x, NULL, NULL);
    ops->weights(ops, l.b, dims, l.state + layer->state_offset + h * ops->state_size(ops, dims), head);
    run_witness(&w, y, x); /* leaves the last head's weights */
    const double *k = x, *v = x + C;
    predict(&w, &w.W, k, z1, a, z);
    if (config.ttt_norm) layernorm(z, z, param(&w, "ttt_norm_weight") + h * D, param(&w, "ttt_norm_bias") + h * D, D);
    for (int d = 0; d < D; d++) {
        const double error = z[d] - (config.ttt_target == TTT_TARGET_V ? v[d] : v[d] - k[d]);
        expected += error * error / D;
    }
    CHECK_NEAR(ops->loss(ops, l.b, dims, l.w + layer->slot + TTT_LEARNER, h, head, k, v), expected, 1e-12 * expected);
    one_layer_free(&l);
}

/* What each flag leaves out of the parameters. */
static void check_names(const char *name, const ttt_config *config)
{
    one_layer l = one_layer_new(name, config);
    const bool mlp = strcmp(name, "ttt_mlp") == 0, learned = config->ttt_w0 == TTT_W0_LEARNED;
    const struct {
        const char *name;
        bool there;
    } names[] = {{"ttt_norm_weight", config->ttt_norm},
                 {"ttt_norm_bias", config->ttt_norm},
                 {"W1", learned},
                 {"b1", learned && config->ttt_bias},
                 {"W2", mlp},
                 {"b2", mlp && config->ttt_bias},
                 {"learnable_token_idx", config->ttt_position_factor},
                 {"learnable_ttt_lr_weight", config->ttt_rate < 0},
                 {"learnable_ttt_lr_bias", config->ttt_rate < 0}};
    int64_t count = 7; /* q, k, v, o, gate and the post norm */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_EQ(one_layer_param(&l, l.values, names[i].name, NULL) != NULL, names[i].there);
        count += names[i].there;
    }
    CHECK_EQ(l.stack.params.count, count);
    one_layer_free(&l);
}

int main(void)
{
    static const int64_t batches[] = {1, 4, T, 64};
    one_layer_fill(x, T * C, 0, 1, 1);
    one_layer_fill(dy, T * C, 0, 1, 2);
    for (unsigned flags = 0; flags < 512; flags++) {
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            if (flags >= 256 && (flags + i) % 3 != 0) continue;
            if (test_small() && (flags + i) % 7 != 0) continue;
            const ttt_config config = config_of(flags, batches[i]);
            check_layer("ttt_linear", &config);
            if (i == 0) check_names("ttt_linear", &config);
            if (config.ttt_w0 == TTT_W0_ZERO) continue;
            check_layer("ttt_mlp", &config);
            if (i == 0) check_names("ttt_mlp", &config);
        }
    }
    check_rate("ttt_linear", 1, false, 0.03);
    check_rate("ttt_linear", 0.5, false, 0.03);
    check_rate("ttt_mlp", 0.5, false, 0.015);
    check_rate("ttt_linear", 1, true, 0);
    check_rate("ttt_mlp", 1, true, 0);
    check_long_mini_batch();
    check_view();
    for (unsigned flags = 0; flags < 8; flags += flags % 2 ? 3 : 1) { /* norm, target */
        check_inner_loss("ttt_linear", flags);
        check_inner_loss("ttt_mlp", flags);
    }
    const ttt_config zero = config_of(128, 4);
    ttt_stack stack;
    CHECK_FAILS(ttt_stack_init_layer(&stack, "ttt_mlp", &zero), TTT_ERR_UNSUPPORTED, "ttt_w0");
    return test_end();
}
