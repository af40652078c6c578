/* SPDX-License-Identifier: MIT
 *
 * What the options of a run make of its configuration, at its beginning and when it goes on.
 */
#include "base/file.h"
#include "base/folder.h"
#include "config/keys.h"
#include "config/standard.h"
#include "test.h"
#include "train/run_agree.h"
#include "train/run_plan.h"

static ttt_train_run_options options_of(const char *layers)
{
    ttt_train_run_options options;
    ttt_train_run_options_init(&options);
    options.tokenizer = "byte";
    options.layers = layers;
    return options;
}

static void test_standard(void)
{
    const char *name;
    for (int64_t i = 0; (name = ttt_config_standard_name(i)) != NULL; i++) {
        ttt_train_run_options options = options_of(NULL);
        ttt_config config;
        ttt_train_options train;
        options.config = name;
        CHECK_OK(ttt_train_run_plan(&options, &config, &train));
        CHECK_EQ(train.batch * train.context, ttt_standard_find(name)->batch);
        CHECK_NEAR(train.rate, ttt_standard_find(name)->rate, 0);
        CHECK_EQ(train.context, ttt_standard_find(name)->context);
    }
    CHECK(ttt_standard_find("125m")->rate == 3e-3 && ttt_standard_find("1b")->rate == 1e-3);
    CHECK(!ttt_config_standard_name(-1));
}

/* The usual rate comes with a layer, and a setting has the last word. */
static void test_layers(void)
{
    ttt_train_run_options options = options_of("3*ttt_mlp");
    ttt_config config;
    ttt_train_options train;
    CHECK_OK(ttt_train_run_plan(&options, &config, &train));
    CHECK_EQ(config.num_hidden_layers, 3);
    CHECK_EQ(config.ttt_layer_type, TTT_LEARNER_MLP);
    CHECK(config.pre_conv); /* tiny's */
    CHECK_NEAR(config.ttt_base_lr, 0.1, 0);
    const char *setting = "ttt_base_lr=0.5";
    options.settings = &setting;
    options.setting_count = 1;
    options.backbone = "transformer";
    CHECK_OK(ttt_train_run_plan(&options, &config, &train));
    CHECK_NEAR(config.ttt_base_lr, 0.5, 0);
    CHECK_STR(ttt_config_block(&config, 2), "ttt_mlp+ffn");
    options = options_of(NULL);
    options.layer = "ttt_mlp";
    CHECK_OK(ttt_train_run_plan(&options, &config, &train));
    CHECK_EQ(config.num_hidden_layers, 4);
    CHECK_NEAR(config.ttt_base_lr, 0.1, 0);
}

/* ---- how long a run is, and what an update of it is where nobody says ---- */

static ttt_train_options fitted(const ttt_train_run_options *options, int64_t tokens, double tokens_per_s)
{
    ttt_config config;
    ttt_train_options train;
    CHECK_OK(ttt_train_run_plan(options, &config, &train));
    CHECK_OK(ttt_train_run_fit(options, &config, tokens, tokens_per_s, &train));
    return train;
}

static void test_fit(void)
{
    ttt_train_run_options options = options_of(NULL);
    ttt_train_options train = fitted(&options, 2000, 0); /* a text as short as a README */
    CHECK(train.steps == 39 && train.batch * train.context == 256 && train.accumulate == 1);
    CHECK_NEAR(train.rate, 3e-3, 0);               /* an eighth of the configuration's update */
    train = fitted(&options, 20 * 1000 * 1000, 0); /* an epoch of what is long enough, in the configuration's updates */
    CHECK_EQ(train.batch * train.context, 2048);
    CHECK_EQ(train.steps, 20 * 1000 * 1000 / 2048);
    CHECK_NEAR(train.rate, 3e-3, 0);
    options.minutes = 2; /* whatever the text is */
    const ttt_train_options slow = fitted(&options, 2000, 1e3), fast = fitted(&options, 2000, 1e6);
    CHECK(slow.batch < fast.batch && slow.steps < fast.steps);
    CHECK_NEAR((double)(slow.steps * slow.batch * slow.context), 120e3 / 1.1, 1000);
    options.config = "125m"; /* one sequence, of 256 */
    CHECK_NEAR(fitted(&options, 2000, 1e3).rate, 3e-3 * sqrt(8.0 / 256), 1e-9);
    options.rate = 0.01;
    CHECK_NEAR(fitted(&options, 2000, 1e3).rate, 0.01, 0);
    options.config = NULL;
    options.leaves = 4; /* an update has as many sequences at least */
    train = fitted(&options, 2000, 1e3);
    CHECK(train.batch == 4 && train.leaves == 4 && train.accumulate == 4);
}

/* Who says how many updates, or what one is, has the configuration's or what was said. */
static void test_fit_said(void)
{
    ttt_train_run_options options = options_of(NULL);
    options.steps = 7;
    ttt_train_options train = fitted(&options, 2000, 0);
    CHECK(train.steps == 7 && train.batch * train.context == 2048 && train.rate == 3e-3);
    options.steps = 0;
    options.batch = 1024;
    train = fitted(&options, 2000, 0);
    CHECK(train.steps == 9 && train.batch * train.context == 1024 && train.rate == 3e-3);
    options.epochs = 1;
    CHECK_EQ(fitted(&options, 2000, 0).steps, 1);
    options.epochs = 9e8;
    ttt_config config;
    CHECK_OK(ttt_train_run_plan(&options, &config, &train));
    CHECK_FAILS(ttt_train_run_fit(&options, &config, INT64_C(1) << 50, 0, &train), TTT_ERR_ARGUMENT,
                "too many updates to count");
}

/* A model too large to be measured whole is measured by a block of each kind. */
static void test_speed(void)
{
    ttt_train_run_options options = options_of("2*ttt_linear,attention,2*ttt_linear");
    ttt_config config;
    ttt_train_options train;
    double of_small, of_large;
    options.context = 16;
    options.batch = 64;
    CHECK_OK(ttt_train_run_plan(&options, &config, &train));
    CHECK_OK(ttt_train_speed(&config, &train, &of_small));
    const char *setting = "vocab_size=100000";
    options.settings = &setting;
    options.setting_count = 1;
    CHECK_OK(ttt_train_run_plan(&options, &config, &train));
    CHECK(ttt_config_parameters(&config) > 20 * 1000 * 1000);
    const ttt_config before = config;
    CHECK_OK(ttt_train_speed(&config, &train, &of_large));
    CHECK(of_small > 0 && of_large > 0);
    CHECK(memcmp(&before, &config, sizeof config) == 0);
}

/* ---- as much work as another run ---- */

#define OTHER TTT_BINARY_DIR "/test_run_plan_model"

static double training_flops(const ttt_config *config, const ttt_train_options *train)
{
    ttt_flops flops;
    CHECK_OK(ttt_config_flops(config, train->context, &flops));
    return flops.training * (double)(train->steps * train->batch * train->context);
}

/* A model of this configuration that read so many tokens. */
static void write_other(const ttt_config *config, const char *metrics)
{
    CHECK_OK(ttt_folder_make(OTHER));
    CHECK_OK(ttt_config_save(config, OTHER "/config.json", NULL, "float32"));
    CHECK_OK(ttt_file_write(OTHER "/metrics.jsonl", metrics, strlen(metrics)));
}

static void test_match_flops(void)
{
    static const char *const layers[] = {"4*ttt_linear", "4*ttt_mlp", "4*attention", "4*mamba",
                                         "2*attention,ttt_linear"};
    ttt_train_run_options options = options_of("4*ttt_linear");
    ttt_config config, other;
    ttt_train_options train;
    CHECK_OK(ttt_train_run_plan(&options, &other, &train));
    write_other(&other, "{\"step\": 0, \"tokens\": 2048}\n{\"step\": 299, \"tokens\": 614400}\n{\"valid_loss\": 3}\n");
    train.steps = 300;
    const double wanted = training_flops(&other, &train);
    options.match_flops = OTHER;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        options.layers = layers[i];
        options.steps = 0;
        CHECK_OK(ttt_train_run_plan(&options, &config, &train));
        CHECK(i > 0 || train.steps == 300);
        CHECK_NEAR(training_flops(&config, &train), wanted, 0.51 * wanted / (double)train.steps);
        options.steps = 300;
        CHECK_OK(ttt_train_run_plan(&options, &config, &train));
        CHECK_EQ(train.steps, 300);
        CHECK_NEAR(training_flops(&config, &train), wanted, 0.03 * wanted);
        CHECK(i > 0 ||
              (config.hidden_size == other.hidden_size && config.intermediate_size == other.intermediate_size));
        CHECK_OK(ttt_config_check(&config, "x"));
    }
    options.tokenizer = NULL;
    CHECK_OK(ttt_run_agree(&options, &config, &train, NULL)); /* whatever the width was */
    options = options_of("4*ttt_linear");
    options.match_flops = OTHER;
    options.tokenizer = NULL;
    train.steps = 300;
    CHECK_OK(ttt_run_agree(&options, &other, &train, NULL));
    train.steps = 301;
    CHECK_FAILS(ttt_run_agree(&options, &other, &train, NULL), TTT_ERR_ARGUMENT, "updates by match_flops is 300");
}

static void test_match_flops_refused(void)
{
    ttt_train_run_options options = options_of("4*ttt_linear");
    ttt_config config;
    ttt_train_options train;
    options.match_flops = TTT_BINARY_DIR "/no such folder";
    CHECK_FAILS(ttt_train_run_plan(&options, &config, &train), TTT_ERR_IO, "no such folder/config.json");
    CHECK_OK(ttt_config_standard(&config, "tiny"));
    write_other(&config, "{\"step\": 3}\n");
    options.match_flops = OTHER;
    CHECK_FAILS(ttt_train_run_plan(&options, &config, &train), TTT_ERR_FORMAT, "does not say how many tokens");
    options.epochs = 2;
    CHECK_FAILS(ttt_train_run_plan(&options, &config, &train), TTT_ERR_ARGUMENT, "leave out epochs and minutes");
    options.epochs = 0;
    options.steps = 7;
    const char *setting = "hidden_size=64";
    options.settings = &setting;
    options.setting_count = 1;
    CHECK_FAILS(ttt_train_run_plan(&options, &config, &train), TTT_ERR_ARGUMENT,
                "chooses the width: leave out hidden_size");
}

/* A key that no part of the model has is refused. */
static void test_useless_setting(void)
{
    static const struct {
        const char *layers, *setting, *sentence;
    } cases[] = {{"3*ttt_mlp", "state_size=8", "state_size means nothing in a model of model_type ttt"},
                 {"3*mamba", "rope_theta=5", "rope_theta means nothing in a model of model_type mamba"},
                 {"3*mamba", "conv_kernel=5", "conv_kernel means nothing"},
                 {"3*attention", "use_gate=true", "use_gate means nothing in a model of model_type llama"},
                 {"3*delta_net", "sliding_window=7", "sliding_window means nothing"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ttt_train_run_options options = options_of(cases[i].layers);
        ttt_config config;
        ttt_train_options train;
        options.settings = &cases[i].setting;
        options.setting_count = 1;
        CHECK_FAILS(ttt_train_run_plan(&options, &config, &train), TTT_ERR_ARGUMENT, cases[i].sentence);
    }
}

/* A list agrees with the run that it began, whose configuration no longer knows what pre_conv was. */
static void test_agree(void)
{
    static const char list[] = "2*ttt_linear,mamba,ttt_mlp";
    for (int conv = 0; conv < 2; conv++) {
        ttt_train_run_options options = options_of(list);
        ttt_train_options train = {0};
        ttt_config run, again;
        options.tokenizer = NULL;
        CHECK_OK(ttt_config_standard(&run, "tiny"));
        run.pre_conv = conv;
        CHECK_OK(ttt_config_set(&run, "layers", list));
        again = run;
        CHECK_OK(ttt_run_plan_config(&options, &again));
        for (int i = 0; i < TTT_KEY_COUNT; i++) CHECK(ttt_keys[i].kind->equal(&ttt_keys[i], &run, &again));
        CHECK_OK(ttt_run_agree(&options, &run, &train, NULL));
        options.layers = "2*ttt_linear,mamba";
        CHECK_FAILS(ttt_run_agree(&options, &run, &train, NULL), TTT_ERR_ARGUMENT, "layers is 2*");
        options = options_of(NULL);
        options.tokenizer = NULL;
        CHECK_OK(ttt_run_agree(&options, &run, &train, NULL));
        const char *setting = "rope_theta=5.5";
        options.settings = &setting;
        options.setting_count = 1;
        CHECK_FAILS(ttt_run_agree(&options, &run, &train, NULL), TTT_ERR_ARGUMENT,
                    "rope_theta is 5.5, but the run in this folder was begun with 10000");
    }
}

int main(void)
{
    test_standard();
    test_layers();
    test_useless_setting();
    test_fit();
    test_fit_said();
    if (!test_small()) test_speed(); /* emulated it takes minutes */
    test_match_flops();
    test_match_flops_refused();
    test_agree();
    return test_end();
}
