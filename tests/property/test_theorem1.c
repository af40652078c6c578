/* SPDX-License-Identifier: MIT
 *
 * MATH (theorem 1): TTT-Linear without norm, residual, bias and position factor, fitted to v from zero with rate 1 and
 * one mini-batch of the whole sequence, is linear attention without feature map and normaliser: of the learner against
 * that recurrence, of layers (what they compute, their gradients, their states), and in the training of models; in
 * double, to rounding.
 */
#include "one_layer.h"
#include "train/trainer.h"

enum { C = 24, H = 3, D = C / H, T = 37, V = 17, BATCH = 2, STEPS = 12 };

static ttt_config config_of(int64_t K)
{
    ttt_config c;
    ttt_config_init(&c);
    c.vocab_size = V;
    c.hidden_size = C;
    c.intermediate_size = 40;
    c.num_attention_heads = H;
    c.initializer_range = 0.2;
    c.mini_batch_size = K;
    c.ttt_norm = c.ttt_residual = c.ttt_bias = c.ttt_position_factor = false;
    c.ttt_target = TTT_TARGET_V;
    c.ttt_w0 = TTT_W0_ZERO;
    c.ttt_rate = 1;
    c.linear_attention_feature_map = TTT_FEATURE_IDENTITY;
    c.linear_attention_normalise = false;
    c.linear_attention_post_norm = c.linear_attention_rope = true;
    return c;
}

static void check_same(const double *a, const double *b, int64_t n, const char *what)
{
    double most = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(b[i]));
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(a[i] - b[i]));
    if (!(worst <= 1e-12 * most)) fprintf(stderr, "%s: ", what);
    CHECK_NEAR(worst, 0, 1e-12 * most);
}

/* ---- the learner ---- */

/* S_t = S_{t-1} + k_t^T v_t, out_t = q_t S_t, of one head; and backwards. All [T, D]. */
static void recurrence(double *out, double *dq, double *dk, double *dv, const double *q, const double *k,
                       const double *v, const double *dout)
{
    static double S[T + 1][D][D];
    double dS[D][D] = {{0}};
    memset(out, 0, T * D * sizeof *out);
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < D; i++) {
            for (int j = 0; j < D; j++) {
                S[t + 1][i][j] = S[t][i][j] + k[t * D + i] * v[t * D + j];
                out[t * D + j] += q[t * D + i] * S[t + 1][i][j];
            }
        }
    }
    for (int t = T - 1; t >= 0; t--) {
        for (int i = 0; i < D; i++) dq[t * D + i] = dk[t * D + i] = dv[t * D + i] = 0;
        for (int i = 0; i < D; i++) {
            for (int j = 0; j < D; j++) {
                dS[i][j] += q[t * D + i] * dout[t * D + j];
                dq[t * D + i] += S[t + 1][i][j] * dout[t * D + j];
                dk[t * D + i] += dS[i][j] * v[t * D + j];
                dv[t * D + j] += dS[i][j] * k[t * D + i];
            }
        }
    }
}

static void check_learner(int64_t K)
{
    enum { N = T * D };
    static double in[4][N], found[4][N], expected[4][N], ones[T], rates[2][T]; /* q, k, v, dout; out, dq, dk, dv */
    ttt_backend *b;
    CHECK_OK(ttt_backend_new(&b, "ref", 1));
    const ttt_learner_ops *ops = b->ops->learner[TTT_LINEAR_LEARNER];
    const ttt_learner_dims dims = {.heads = 1,
                                   .key_size = D,
                                   .value_size = D,
                                   .mini_batch = K,
                                   .flags = TTT_LEARNER_NO_NORM | TTT_LEARNER_NO_RESIDUAL | TTT_LEARNER_TARGET_V |
                                            TTT_LEARNER_NO_BIAS | TTT_LEARNER_ZERO_START};
    CHECK_OK(ops->supports(ops, &dims));
    CHECK_OK(ttt_backend_reserve(b, ops->scratch_bytes(ops, &dims)));
    for (int i = 0; i < 4; i++) one_layer_fill(in[i], N, 0, 1, (uint64_t)i);
    for (int t = 0; t < T; t++) ones[t] = 1;
    const size_t state = (size_t)ops->state_size(ops, &dims) * sizeof(double);
    const ttt_run run = {.count = T, .state = one_layer_memory(state), .dstate = one_layer_memory(state)};
    const ttt_param params[4] = {{0}};
    ttt_learner_call call = {.dims = dims, .runs = &run, .run_count = 1, .params = params, .dparams = params};
    call.q = in[0];
    call.k = in[1];
    call.v = in[2];
    call.dout = in[3];
    call.write = call.read = ones;
    call.saved_stride = ops->saved_size(ops, &dims, T);
    call.saved = one_layer_memory((size_t)call.saved_stride * sizeof(double));
    call.partial = one_layer_memory((size_t)ops->partial_size(ops, &dims) * sizeof(double));
    call.out = found[0];
    call.dq = found[1];
    call.dk = found[2];
    call.dv = found[3];
    call.dwrite = rates[0];
    call.dread = rates[1];
    ops->reset(ops, b, &call);
    ops->forward(ops, b, &call);
    ops->backward(ops, b, &call);
    recurrence(expected[0], expected[1], expected[2], expected[3], in[0], in[1], in[2], in[3]);
    for (int i = 0; i < 4; i++) check_same(found[i], expected[i], N, "the learner");
    void *const memory[] = {run.state, run.dstate, call.saved, call.partial};
    for (int i = 0; i < 4; i++) free(memory[i]);
    ttt_backend_free(b);
}

/* ---- layers ---- */

/* The state as other programs hold it: [H, n] of piece `name`. */
static double *piece_of(one_layer *l, const char *name)
{
    const ttt_layer *layer = l->stack.layers;
    const ttt_run run = {.position = T, .state = l->state};
    ttt_state_piece pieces[TTT_STATE_PIECES];
    const int count = layer->ops->view_pieces(layer, l->b, pieces);
    int64_t at = 0, total = 0, n = 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(pieces[i].name, name) == 0) at = total, n = ttt_piece_elements(&pieces[i]);
        total += ttt_piece_elements(&pieces[i]);
    }
    double *view = one_layer_memory((size_t)total * sizeof *view);
    CHECK_EQ(n, H * D * D);
    CHECK_OK(layer->ops->view(layer, l->b, &run, view));
    memmove(view, view + at, (size_t)n * sizeof *view);
    return view;
}

/* K = T: the mini-batch has just closed; longer ones are open. */
static void check_layer(int64_t K)
{
    static double x[T * C], dy[T * C], y[2][T * C], dx[2][T * C];
    static const char *const names[] = {"ttt_linear", "linear_attention"};
    const ttt_config config = config_of(K);
    one_layer l[2];
    one_layer_fill(x, T * C, 0, 1, 1);
    one_layer_fill(dy, T * C, 0, 1, 2);
    for (int i = 0; i < 2; i++) {
        l[i] = one_layer_new(names[i], &config);
        one_layer_run(&l[i], T, y[i], x, dx[i], dy);
    }
    check_same(y[0], y[1], T * C, "y");
    check_same(dx[0], dx[1], T * C, "dx");
    CHECK_EQ(l[0].stack.params.count, l[1].stack.params.count);
    for (int64_t p = 0; p < l[0].stack.params.count; p++) {
        const char *name = l[0].stack.params.specs[p].name;
        int64_t n = 0;
        const double *one = one_layer_param(&l[0], l[0].grads, name, &n),
                     *other = one_layer_param(&l[1], l[1].grads, name, NULL);
        CHECK(other != NULL);
        if (other) check_same(one, other, n, name);
    }
    double *S = piece_of(&l[1], "S"), *W = piece_of(&l[0], K == T ? "W1" : "W1_grad");
    for (int64_t i = 0; K > T && i < H * D * D; i++) W[i] = -W[i];
    check_same(W, S, H * D * D, "state");
    free(S);
    free(W);
    for (int i = 0; i < 2; i++) one_layer_free(&l[i]);
}

/* ---- models ---- */

/* Models from the same first values, through updates: losses, norms of gradients, and what the weights have become. */
static void check_training(void)
{
    static int32_t tokens[BATCH * (T + 1)];
    static const char *const layers[] = {"2*ttt_linear", "2*linear_attention"};
    ttt_trainer *t[2];
    for (int i = 0; i < 2; i++) {
        ttt_config config = config_of(64);
        CHECK_OK(ttt_config_set(&config, "layers", layers[i]));
        ttt_train_options options;
        ttt_train_options_init(&options);
        options.backend = "ref";
        options.context = T;
        options.batch = BATCH;
        options.steps = STEPS;
        options.rate = 1e-2;
        options.seed = 4;
        CHECK_OK(ttt_trainer_new(&t[i], &config, &options));
    }
    CHECK_EQ(t[0]->lm.stack.params.size, t[1]->lm.stack.params.size);
    for (int step = 0; step < STEPS; step++) {
        ttt_train_result r[2];
        for (int i = 0; i < BATCH * (T + 1); i++)
            tokens[i] = (int32_t)(ttt_rng_u64((ttt_rng){.seed = 6, .stream = TTT_RNG_TEST},
                                              (uint64_t)(step * BATCH * (T + 1) + i)) %
                                  V);
        for (int i = 0; i < 2; i++) CHECK_OK(ttt_trainer_step(t[i], tokens, &r[i]));
        CHECK_NEAR(r[0].loss, r[1].loss, 1e-12 * r[1].loss);
        CHECK_NEAR(r[0].grad_norm, r[1].grad_norm, 1e-11 * r[1].grad_norm);
    }
    /* AdamW divides by the root of a square: where a gradient is small, rounding is a larger part of it */
    const double *a = (const double *)(const void *)t[0]->optimizer.values,
                 *b = (const double *)(const void *)t[1]->optimizer.values;
    double worst = 0;
    for (int64_t i = 0; i < t[0]->lm.stack.params.size; i++) worst = fmax(worst, fabs(a[i] - b[i]));
    CHECK_NEAR(worst, 0, 1e-10);
    for (int i = 0; i < 2; i++) ttt_trainer_free(t[i]);
}

int main(void)
{
    check_learner(T);
    check_learner(1 << 24);
    check_layer(T);
    check_layer(T + 1);
    check_layer(1 << 24);
    check_training();
    return test_end();
}
