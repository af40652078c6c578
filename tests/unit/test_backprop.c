/* SPDX-License-Identifier: MIT
 *
 * A sequence gone through in segments has the loss and the gradients of the whole one, to rounding, whatever the
 * segment: also lengths that cut mini-batches and the reach of the convolutions. With blocks computed again it has them
 * to the bit. And the gradient is that of the loss: a step along it changes the loss as it says.
 */
#include "train/backprop.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "small_config.h"
#include "test.h"
#include "train/optimizer.h"

enum { B = 2, T = 50, V = 23 };

typedef struct model {
    ttt_backend *backend;
    ttt_lm lm;
    ttt_optimizer optimizer;
    int32_t tokens[B * (T + 1)];
} model;

static ttt_config learner_config(ttt_learner_kind learner, bool mamba)
{
    ttt_config config = small_config(V, 32, 4, 3);
    config.ttt_layer_type = learner;
    config.use_gate = config.share_qk = config.pre_conv = mamba;
    return config;
}

/* Blocks of other layers, with sizes that divide nothing. */
static ttt_config layers_config(const char *layers)
{
    ttt_config config = learner_config(TTT_LEARNER_LINEAR, false);
    config.state_size = 5;
    config.time_step_rank = 3;
    config.mamba_conv_kernel = 3;
    CHECK_OK(ttt_config_set(&config, "layers", layers));
    return config;
}

static void setup(model *m, const ttt_config *config, const char *backend)
{
    CHECK_OK(ttt_backend_new(&m->backend, backend, 1));
    CHECK_OK(ttt_lm_init(&m->lm, config, m->backend, 2));
    CHECK_OK(ttt_stack_reserve(&m->lm.stack, m->backend));
    CHECK_OK(ttt_optimizer_init(&m->optimizer, &m->lm, TTT_PRECISION_F32));
    const ttt_rng rng = {.seed = 7, .stream = TTT_RNG_TEST};
    const ttt_params *params = &m->lm.stack.params;
    for (int64_t i = 0; i < params->count; i++)
        ttt_first_values(params, i, 3, m->backend, ttt_at(m->backend, m->optimizer.values, params->specs[i].offset),
                         m->backend->dtype);
    for (int i = 0; i < B * (T + 1); i++) m->tokens[i] = (int32_t)(ttt_rng_u64(rng, 1000000 + (uint64_t)i) % V);
    if (strcmp(backend, "ref") != 0) return;
    double *values = (double *)(void *)m->optimizer.values; /* nothing stays at a zero or one where gradients vanish */
    for (int64_t i = 0; i < m->lm.stack.params.size; i++) values[i] += 0.05 * ttt_rng_normal(rng, (uint64_t)i);
}

static void teardown(model *m)
{
    ttt_optimizer_deinit(&m->optimizer);
    ttt_lm_deinit(&m->lm);
    ttt_backend_free(m->backend);
}

/* The loss; the gradients are in the optimizer's block. */
static double run(model *m, int64_t segment, bool recompute, double *losses)
{
    ttt_backprop backprop;
    CHECK_OK(ttt_backprop_init(&backprop, &m->lm, B, T, segment, recompute));
    m->backend->ops->zero(m->backend, m->optimizer.grads, m->lm.stack.params.size);
    const double loss = ttt_backprop_run(&backprop, m->optimizer.weights, m->optimizer.gradients, m->tokens, 0.01,
                                         losses);
    CHECK_NEAR(ttt_backprop_run(&backprop, m->optimizer.weights, NULL, m->tokens, 0, NULL), loss,
               (m->backend->dtype == TTT_F64 ? 1e-12 : 1e-5) * loss);
    ttt_backprop_deinit(&backprop);
    return loss;
}

static void compare(const model *m, const double *whole, int64_t segment)
{
    const double *grads = (const double *)(const void *)m->optimizer.grads;
    for (int64_t i = 0; i < m->lm.stack.params.count; i++) {
        const int64_t first = m->lm.stack.params.specs[i].offset,
                      count = ttt_param_elements(&m->lm.stack.params.specs[i]);
        double largest = 0, difference = 0;
        for (int64_t n = first; n < first + count; n++) {
            largest = fmax(largest, fabs(whole[n]));
            difference = fmax(difference, fabs(whole[n] - grads[n]));
        }
        CHECK(largest > 0);
        if (!(difference <= 1e-12 * largest))
            fprintf(stderr, "segment %lld, %s:\n", (long long)segment, m->lm.stack.params.specs[i].name);
        CHECK_NEAR(difference / largest, 0, 1e-12);
    }
}

static void test_segments(model *m)
{
    static const int64_t segments[] = {1, 2, 7, 16, 17, 20, 32, 48, 49, 50, 1000};
    double losses[B], parts[B];
    const double loss = run(m, 0, false, losses);
    double *whole = ttt_alloc((size_t)m->lm.stack.params.size, sizeof *whole);
    memcpy(whole, m->optimizer.grads, (size_t)m->lm.stack.params.size * sizeof *whole);
    for (size_t i = 0; i < sizeof segments / sizeof *segments; i++) {
        CHECK_NEAR(run(m, segments[i], false, parts), loss, 1e-12 * loss);
        for (int n = 0; n < B; n++) CHECK_NEAR(parts[n], losses[n], 1e-12 * losses[n]);
        compare(m, whole, segments[i]);
    }
    ttt_free(whole);
}

/* Blocks computed again give the same bits, in less memory. */
static void test_recompute(model *m)
{
    static const int64_t segments[] = {0, 20, 49};
    const size_t size = (size_t)m->lm.stack.params.size * m->backend->real;
    char *kept = ttt_alloc(size, 1);
    for (size_t i = 0; i < sizeof segments / sizeof *segments; i++) {
        double losses[B], again[B];
        const double loss = run(m, segments[i], false, losses);
        memcpy(kept, m->optimizer.grads, size);
        CHECK(run(m, segments[i], true, again) == loss);
        CHECK(memcmp(losses, again, sizeof losses) == 0);
        CHECK(memcmp(kept, m->optimizer.grads, size) == 0);
    }
    CHECK(ttt_backprop_bytes(&m->lm, B, T, 0, true) < ttt_backprop_bytes(&m->lm, B, T, 0, false));
    ttt_free(kept);
}

/* The derivative of the loss along its gradient is the gradient's square. */
static void test_direction(model *m)
{
    const double step = 1e-5, scale = 0.01;
    (void)run(m, 13, false, NULL);
    double *values = (double *)(void *)m->optimizer.values, *direction = ttt_alloc((size_t)m->lm.stack.params.size, 8);
    double square = 0, change = 0;
    memcpy(direction, m->optimizer.grads, (size_t)m->lm.stack.params.size * sizeof *direction);
    for (int64_t i = 0; i < m->lm.stack.params.size; i++) square += direction[i] * direction[i];
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (int64_t i = 0; i < m->lm.stack.params.size; i++) values[i] += sign * step * direction[i];
        change += sign * run(m, 13, false, NULL) * scale;
        for (int64_t i = 0; i < m->lm.stack.params.size; i++) values[i] -= sign * step * direction[i];
    }
    CHECK_NEAR(change / (2 * step), square, 1e-6 * square);
    ttt_free(direction);
}

/* The difference quotient of the loss along the gradient of parameter i, made a unit vector; it is the gradient's norm.
 */
static double quotient(model *m, int64_t i, const double *direction, double step)
{
    const int64_t first = m->lm.stack.params.specs[i].offset, count = ttt_param_elements(&m->lm.stack.params.specs[i]);
    double *values = (double *)(void *)m->optimizer.values + first, change = 0;
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (int64_t n = 0; n < count; n++) values[n] += sign * step * direction[n];
        change += sign * run(m, 0, false, NULL);
        for (int64_t n = 0; n < count; n++) values[n] -= sign * step * direction[n];
    }
    return change / (2 * step);
}

/* Every parameter's gradient by central differences of two steps, which together are off by the step's fourth power. */
static void test_differences(model *m)
{
    const double step = 5e-4, scale = 0.01, rounding = 20 * 2.2e-16 / step;
    const ttt_params *params = &m->lm.stack.params;
    double *grads = ttt_alloc((size_t)params->size, sizeof *grads);
    const double loss = run(m, 0, false, NULL) * scale;
    memcpy(grads, m->optimizer.grads, (size_t)params->size * sizeof *grads);
    for (int64_t i = 0; i < params->count; i++) {
        double *direction = grads + params->specs[i].offset, norm = 0;
        const int64_t count = ttt_param_elements(&params->specs[i]);
        for (int64_t n = 0; n < count; n++) norm += direction[n] * direction[n];
        norm = sqrt(norm);
        CHECK(norm > 0);
        for (int64_t n = 0; n < count; n++) direction[n] /= norm;
        const double wide = quotient(m, i, direction, step), narrow = quotient(m, i, direction, step / 2);
        const double found = (4 * narrow - wide) / 3 * scale;
        const double tolerance = 1e-6 + rounding * loss / norm;
        if (!(fabs(found / norm - 1) <= tolerance)) fprintf(stderr, "%s:\n", params->specs[i].name);
        CHECK_NEAR(found / norm, 1, tolerance);
    }
    ttt_free(grads);
}

/* `differences`: of every parameter by itself; of learners, whose blocks have many, test_bare_layer takes some. */
static void test_all(const ttt_config *config, bool differences)
{
    static model m;
    setup(&m, config, "cpu");
    test_recompute(&m);
    teardown(&m);
    setup(&m, config, "ref");
    test_segments(&m);
    test_recompute(&m);
    test_direction(&m);
    if (differences) test_differences(&m);
    teardown(&m);
}

int main(void)
{
    static const char *const others[] = {"mamba,conv+mamba+ffn"};
    for (int learner = TTT_LEARNER_LINEAR; learner <= TTT_LEARNER_MLP; learner++) {
        for (int mamba = 0; mamba < 2; mamba++) {
            if (test_small() && !(learner == TTT_LEARNER_MLP && mamba)) continue;
            const ttt_config config = learner_config((ttt_learner_kind)learner, mamba);
            test_all(&config, false);
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const ttt_config config = layers_config(others[i]);
        test_all(&config, !test_small());
    }
    return test_end();
}
