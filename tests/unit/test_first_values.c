/* SPDX-License-Identifier: MIT
 *
 * Where training begins: every kind of first value has the distribution that its parameter's declaration says, and
 * depends on the seed and its place alone.
 */
#include <math.h>
#include <string.h>

#include "model/weights.h"
#include "test.h"

enum { ROWS = 300, COLUMNS = 17, ELEMENTS = ROWS * COLUMNS };

static double values[ELEMENTS];

static void draw(ttt_first first, int threads, uint64_t seed)
{
    ttt_backend *backend = NULL;
    ttt_params params = {.prefix = ""};
    ttt_params_add(&params, 0, "x", TTT_ROLE_VALUES, first, TTT_SHAPE(ROWS, COLUMNS));
    CHECK_OK(params.status);
    CHECK_OK(ttt_backend_new(&backend, "ref", threads));
    if (!backend) exit(1);
    ttt_first_values(&params, 0, seed, backend, values, TTT_F64);
    ttt_backend_free(backend);
    ttt_params_deinit(&params);
}

static double mean_of(double (*f)(double))
{
    double sum = 0;
    for (int i = 0; i < ELEMENTS; i++) sum += f(values[i]);
    return sum / ELEMENTS;
}

static double itself(double x) { return x; }
static double square(double x) { return x * x; }
static double softplus_log(double x) { return log(log1p(exp(x))); }

static void check_range(double low, double high)
{
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < ELEMENTS; i++) {
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    CHECK(least >= low && most <= high);
    CHECK_NEAR(least, low, (high - low) * 0.01); /* all of the range is in use */
    CHECK_NEAR(most, high, (high - low) * 0.01);
}

static void test_plain(void)
{
    draw(ttt_first_zeros(), 1, 1);
    CHECK(values[0] == 0 && values[ELEMENTS - 1] == 0);
    draw(ttt_first_ones(), 1, 1);
    CHECK(values[0] == 1 && values[ELEMENTS - 1] == 1);
    draw(ttt_first_constant(0.125), 1, 1);
    CHECK(values[0] == 0.125 && values[ELEMENTS - 1] == 0.125);
    draw(ttt_first_log_index(), 1, 1);
    for (int i = 0; i < ELEMENTS; i++) CHECK_NEAR(exp(values[i]), i % COLUMNS + 1, 1e-13 * COLUMNS);
}

static void test_distributions(void)
{
    draw(ttt_first_uniform(0.3), 1, 1);
    check_range(-0.3, 0.3);
    CHECK_NEAR(mean_of(itself), 0, 0.01);
    CHECK_NEAR(mean_of(square), 0.03, 0.001);
    draw(ttt_first_log_uniform(16), 1, 1);
    for (int i = 0; i < ELEMENTS; i++) values[i] = exp(values[i]);
    check_range(0, 16);
    CHECK_NEAR(mean_of(itself), 8, 0.2);
    draw(ttt_first_normal(0.02), 1, 1);
    CHECK_NEAR(sqrt(mean_of(square)), 0.02, 0.001);
}

/* softplus of it is the step: log-uniform, and not below the floor. */
static void test_time_step(void)
{
    draw(ttt_first_time_step(1e-3, 0.1, 1e-4), 1, 1);
    CHECK_NEAR(mean_of(softplus_log), log(1e-2), 0.05);
    for (int i = 0; i < ELEMENTS; i++) values[i] = softplus_log(values[i]);
    check_range(log(1e-3), log(0.1));
    draw(ttt_first_time_step(1e-3, 0.1, 0.01), 1, 1);
    double least = 1;
    for (int i = 0; i < ELEMENTS; i++) least = fmin(least, log1p(exp(values[i])));
    CHECK_NEAR(least, 0.01, 1e-12);
}

static void test_pure(void)
{
    static double before[ELEMENTS];
    const ttt_first kinds[] = {ttt_first_uniform(1), ttt_first_log_uniform(16), ttt_first_time_step(1e-3, 0.1, 1e-4)};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        draw(kinds[i], 1, 5);
        memcpy(before, values, sizeof values);
        draw(kinds[i], 3, 5);
        CHECK(memcmp(before, values, sizeof values) == 0);
        draw(kinds[i], 1, 6);
        CHECK(memcmp(before, values, sizeof values) != 0);
    }
}

int main(void)
{
    test_plain();
    test_distributions();
    test_time_step();
    test_pure();
    return test_end();
}
