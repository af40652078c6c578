/* SPDX-License-Identifier: MIT
 *
 * The tree in which an update's gradients are summed: the order of its additions, by numbers that tell one order from
 * another; and that passes, threads and an interruption change no bit of what a trainer makes of it.
 */
#include "train/leaves.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "small_config.h"
#include "test.h"
#include "train/trainer.h"

enum { T = 24, BATCH = 8, V = 19, STEPS = 3 };

static ttt_config leaves_config(void)
{
    ttt_config config = small_config(V, 16, 2, 2);
    config.mini_batch_size = 4;
    config.use_gate = config.share_qk = config.pre_conv = true;
    return config;
}

/* Leaves whose sum depends on who is added to whom. */
static float leaf_value(int64_t leaf)
{
    static const float values[] = {1e8f, 1, -1e8f, 3, 0.5f, -1e8f, 1e8f, 7};
    const int64_t round = leaf / 8;
    return values[leaf % 8] * (float)(1 + round);
}

static float tree_sum(int64_t first, int64_t count)
{
    if (count == 1) return leaf_value(first);
    const float left = tree_sum(first, count / 2), right = tree_sum(first + count / 2, count / 2);
    return left + right;
}

static void test_order(void)
{
    const ttt_config config = leaves_config();
    ttt_backend *backend;
    ttt_lm lm;
    ttt_optimizer optimizer;
    CHECK_OK(ttt_backend_new(&backend, "cpu", 2));
    CHECK_OK(ttt_lm_init(&lm, &config, backend, 1));
    CHECK_OK(ttt_optimizer_init(&optimizer, &lm, TTT_PRECISION_F32));
    for (int64_t leaves = 1, blocks = 1; leaves <= 16; leaves *= 2, blocks++) {
        ttt_leaves tree;
        CHECK_OK(ttt_leaves_init(&tree, &optimizer, leaves));
        CHECK_EQ(tree.count, blocks);
        for (int update = 0; update < 2; update++) {
            ttt_leaves_start(&tree);
            for (int64_t leaf = 0; leaf < leaves; leaf++) {
                ttt_leaves_open(&tree);
                float *grads = (float *)(void *)optimizer.grads;
                CHECK(grads[5] == 0 && optimizer.gradients[lm.stack.embedding].values == optimizer.grads);
                grads[5] = leaf_value(leaf);
                ttt_leaves_close(&tree, (double)leaf);
            }
            CHECK_NEAR(ttt_leaves_finish(&tree), (double)(leaves * (leaves - 1)) / 2, 0);
            const float expected = tree_sum(0, leaves);
            CHECK(((float *)(void *)optimizer.grads)[5] == expected);
            CHECK(optimizer.gradients[lm.stack.embedding].values == optimizer.grads);
        }
        ttt_leaves_deinit(&tree);
    }
    ttt_optimizer_deinit(&optimizer);
    ttt_lm_deinit(&lm);
    ttt_backend_free(backend);
}

static int32_t tokens[BATCH * (T + 1)];

static ttt_train_options options_of(int64_t leaves, int64_t accumulate, int threads)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = "cpu";
    options.threads = threads;
    options.context = T;
    options.batch = BATCH;
    options.leaves = leaves;
    options.accumulate = accumulate;
    options.steps = STEPS;
    options.warmup = 0;
    return options;
}

/* The parameters after some updates, interrupted by a checkpoint after `cut` of them; release with ttt_free. */
static float *trained(const ttt_train_options *options, int cut)
{
    static const char path[] = TTT_BINARY_DIR "/test_leaves.safetensors";
    const ttt_config config = leaves_config();
    ttt_trainer *trainer;
    ttt_train_result result;
    CHECK_OK(ttt_trainer_new(&trainer, &config, options));
    for (int i = 0; i < STEPS; i++) {
        if (i == cut) {
            CHECK_OK(ttt_trainer_save(trainer, path, NULL));
            ttt_trainer_free(trainer);
            CHECK_OK(ttt_trainer_load(&trainer, path, &(ttt_train_options){.backend = "cpu", .threads = 2}, NULL));
            CHECK_EQ(ttt_trainer_options(trainer)->leaves, options->leaves);
        }
        CHECK_OK(ttt_trainer_step(trainer, tokens, &result));
    }
    const size_t size = (size_t)trainer->lm.stack.params.size;
    float *values = ttt_alloc(size, sizeof *values);
    memcpy(values, trainer->optimizer.values, size * sizeof *values);
    ttt_trainer_free(trainer);
    remove(path);
    return values;
}

static bool same(const ttt_train_options *a, const ttt_train_options *b, int cut)
{
    const ttt_config config = leaves_config();
    float *x = trained(a, -1), *y = trained(b, cut);
    ttt_stack stack;
    CHECK_OK(ttt_stack_init(&stack, &config));
    const bool equal = memcmp(x, y, (size_t)stack.params.size * sizeof *x) == 0;
    ttt_stack_deinit(&stack, NULL);
    ttt_free(x);
    ttt_free(y);
    return equal;
}

static void test_bits(void)
{
    const ttt_train_options four = options_of(4, 1, 1);
    for (int64_t accumulate = 1; accumulate <= 4; accumulate *= 2) {
        const ttt_train_options passes = options_of(4, accumulate, 1 + (int)accumulate);
        CHECK(same(&four, &passes, accumulate == 2 ? 1 : -1));
    }
    const ttt_train_options one = options_of(1, 1, 1), eight = options_of(8, 1, 1), within = options_of(2, 4, 2);
    CHECK(same(&one, &one, 2) && same(&eight, &eight, 1) && same(&within, &within, 1));
    CHECK(!same(&one, &four, -1)); /* the tree is another, and this tells */
    CHECK_EQ(ttt_train_passes(&four), 4);
    CHECK_EQ(ttt_train_passes(&within), 4);
}

static void test_refusals(void)
{
    const ttt_config config = leaves_config();
    ttt_trainer *trainer;
    const struct {
        int64_t leaves, accumulate;
        const char *part;
    } cases[] = {{0, 1, "power of two"}, {3, 1, "power of two"}, {-4, 1, "power of two"}, {16, 1, "does not divide"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ttt_train_options options = options_of(cases[i].leaves, cases[i].accumulate, 1);
        CHECK_FAILS(ttt_trainer_new(&trainer, &config, &options), TTT_ERR_ARGUMENT, cases[i].part);
    }
    ttt_train_options neither = options_of(4, 3, 1);
    neither.batch = 12;
    CHECK_FAILS(ttt_trainer_new(&trainer, &config, &neither), TTT_ERR_ARGUMENT, "one must divide the other");
    size_t one, eight;
    const ttt_train_options few = options_of(1, 8, 1), many = options_of(8, 8, 1);
    CHECK_OK(ttt_trainer_memory(&config, &few, &one));
    CHECK_OK(ttt_trainer_memory(&config, &many, &eight));
    ttt_stack stack;
    CHECK_OK(ttt_stack_init(&stack, &config));
    CHECK_EQ(eight - one, 3 * stack.params.size * (int64_t)sizeof(float));
    ttt_stack_deinit(&stack, NULL);
}

int main(void)
{
    const ttt_rng rng = {.seed = 4, .stream = TTT_RNG_TEST};
    for (int i = 0; i < BATCH * (T + 1); i++) tokens[i] = (int32_t)(ttt_rng_u64(rng, (uint64_t)i) % V);
    test_order();
    test_bits();
    test_refusals();
    return test_end();
}
