/* SPDX-License-Identifier: MIT
 *
 * The forms of model folders: what an absent key means in each, every value that is refused with the key named, which
 * form a new model takes, and that what is written is read back as the same in every form.
 */
#include "config/forms.h"

#include <string.h>

#include "base/file.h"
#include "test.h"

static ttt_status parse(ttt_config *config, const char *text)
{
    return ttt_config_parse(config, text, strlen(text), "x/config.json");
}

static void check_values(const ttt_config *config, const char *const values[][2])
{
    for (; (*values)[0]; values++) {
        char *text;
        CHECK_OK(ttt_config_get(config, (*values)[0], &text));
        if (!text || strcmp(text, (*values)[1]) != 0) fprintf(stderr, "%s:\n", (*values)[0]);
        CHECK_STR(text, (*values)[1]);
        ttt_string_free(text);
    }
}

/* ---- absent keys ---- */

static void test_defaults(void)
{
    static const struct {
        const char *text;
        const char *const values[16][2];
    } cases[] = {
        {"{\"model_type\":\"llama\"}",
         {{"vocab_size", "32000"},
          {"hidden_size", "4096"},
          {"intermediate_size", "11008"},
          {"num_attention_heads", "32"},
          {"num_key_value_heads", "null"},
          {"sliding_window", "null"},
          {"rope_theta", "10000"},
          {"rms_norm_eps", "1e-06"},
          {"tie_word_embeddings", "false"},
          {"initializer_range", "0.02"},
          {"layers", "32*attention+ffn"}}},
        {"{\"model_type\":\"mistral\"}",
         {{"intermediate_size", "14336"},
          {"num_key_value_heads", "8"},
          {"sliding_window", "4096"},
          {"tie_word_embeddings", "false"},
          {"layers", "32*attention+ffn"}}},
        {"{\"model_type\":\"mistral\",\"sliding_window\":null,\"num_key_value_heads\":null,\"head_dim\":128,"
         "\"rope_parameters\":{\"rope_theta\":500.0,\"rope_type\":\"default\"}}",
         {{"num_key_value_heads", "null"}, {"sliding_window", "null"}, {"rope_theta", "500"}}},
        {"{\"model_type\":\"mamba\"}",
         {{"vocab_size", "50280"},
          {"hidden_size", "768"},
          {"state_size", "16"},
          {"expand", "2"},
          {"mamba_conv_kernel", "4"},
          {"time_step_rank", "auto"},
          {"rms_norm_eps", "1e-05"},
          {"tie_word_embeddings", "true"},
          {"eos_token_id", "0"},
          {"pad_token_id", "0"},
          {"initializer_range", "0.1"},
          {"rescale_prenorm_residual", "false"},
          {"layers", "32*\"mamba\""}}},
        {"{\"model_type\":\"mamba\",\"rms_norm_eps\":\"nobody's\",\"conv_kernel\":3,\"layer_norm_epsilon\":1e-4}",
         {{"rms_norm_eps", "0.0001"}, {"conv_kernel", "4"}, {"mamba_conv_kernel", "3"}}},
        {"{\"model_type\":\"delta_net\"}",
         {{"hidden_size", "2048"},
          {"num_hidden_layers", "24"},
          {"num_attention_heads", "16"},
          {"head_dim", "128"},
          {"expand_v", "1"},
          {"intermediate_size", "5632"},
          {"delta_use_gate", "false"},
          {"rms_norm_eps", "1e-06"},
          {"tie_word_embeddings", "false"},
          {"layers", "24*delta_net+ffn"}}},
        {"{\"model_type\":\"delta_net\",\"hidden_size\":32,\"num_heads\":4,\"expand_k\":0.75,\"expand_v\":1.25,"
         "\"intermediate_size\":40,\"use_gate\":true,\"norm_eps\":1e-5}",
         {{"head_dim", "6"},
          {"expand_v", "1.6666666666666667"},
          {"intermediate_size", "40"},
          {"delta_use_gate", "true"},
          {"rms_norm_eps", "1e-05"}}},
        {"{\"model_type\":\"delta_net\",\"hidden_size\":768,\"hidden_ratio\":2,\"intermediate_size\":null}",
         {{"intermediate_size", "1024"}}},
        {"{\"model_type\":\"gated_deltanet\"}",
         {{"num_hidden_layers", "21"},
          {"num_attention_heads", "6"}, /* which does not divide hidden_size, and need not */
          {"head_dim", "256"},
          {"expand_v", "2"},
          {"delta_use_gate", "true"},
          {"layers", "21*gated_deltanet+ffn"}}},
        {"{\"num_hidden_layers\":1,\"rope_parameters\":{\"rope_theta\":500,\"rope_type\":\"default\"}}",
         {{"rope_theta", "500"}, {"model_type", "ttt"}}},
        {"{\"rope_parameters\":null,\"rope_theta\":7,\"partial_rotary_factor\":1.0,\"layer_types\":null}",
         {{"rope_theta", "7"}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ttt_config config;
        CHECK_OK(parse(&config, cases[i].text));
        check_values(&config, cases[i].values);
    }
}

/* ---- refusals ---- */

#define LLAMA   "{\"model_type\":\"llama\","
#define MISTRAL "{\"model_type\":\"mistral\","
#define MAMBA   "{\"model_type\":\"mamba\","
#define DELTA   "{\"model_type\":\"delta_net\","
#define GATED   "{\"model_type\":\"gated_deltanet\","
#define EXT     "{\"model_type\":\"ttt_ext\","

static void test_refused(void)
{
    static const struct {
        const char *text;
        ttt_status status;
        const char *part;
    } cases[] = {
        {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", TTT_ERR_UNSUPPORTED,
         "x/config.json: rope_scaling {\"type\":\"linear\",\"factor\":2} is not supported in a model of model_type "
         "ttt, "
         "only null"},
        {"{\"rope_parameters\":{\"rope_theta\":1e4,\"rope_type\":\"yarn\"}}", TTT_ERR_UNSUPPORTED,
         "rope_parameters with rope_type \"yarn\" is not supported, only default"},
        {EXT "\"rope_parameters\":{\"rope_theta\":1e4,\"factor\":2}}", TTT_ERR_UNSUPPORTED,
         "rope_parameters with factor is not supported"},
        {LLAMA "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e4}}}", TTT_ERR_UNSUPPORTED,
         "rope_parameters with full_attention"},
        {LLAMA "\"rope_parameters\":7}", TTT_ERR_FORMAT, "rope_parameters must be an object"},
        {LLAMA "\"rope_parameters\":{\"rope_theta\":\"x\"}}", TTT_ERR_FORMAT, "rope_theta must be a number"},
        {LLAMA "\"rope_parameters\":{\"rope_theta\":5},\"rope_theta\":6}", TTT_ERR_FORMAT,
         "rope_theta is 6, and 5 in rope_parameters"},
        {LLAMA "\"rope_parameters\":{\"rope_theta\":-5}}", TTT_ERR_FORMAT, "rope_theta is -5"},
        {LLAMA "\"rope_scaling\":{\"rope_type\":\"llama3\"}}", TTT_ERR_UNSUPPORTED, "rope_scaling"},
        {LLAMA "\"partial_rotary_factor\":0.5}", TTT_ERR_UNSUPPORTED, "partial_rotary_factor 0.5"},
        {LLAMA "\"attention_bias\":true}", TTT_ERR_UNSUPPORTED, "attention_bias true is not supported"},
        {LLAMA "\"mlp_bias\":true}", TTT_ERR_UNSUPPORTED, "mlp_bias"},
        {LLAMA "\"hidden_act\":\"gelu\"}", TTT_ERR_UNSUPPORTED, "hidden_act \"gelu\" is not supported"},
        {LLAMA "\"attention_dropout\":0.1}", TTT_ERR_UNSUPPORTED, "attention_dropout 0.1"},
        {LLAMA "\"layer_types\":[\"full_attention\"]}", TTT_ERR_UNSUPPORTED, "layer_types"},
        {LLAMA "\"sliding_window\":64}", TTT_ERR_UNSUPPORTED,
         "sliding_window 64 is not supported in a model of model_type "
         "llama, only null"},
        {LLAMA "\"head_dim\":64}", TTT_ERR_UNSUPPORTED,
         "head_dim 64 is not supported, only hidden_size / "
         "num_attention_heads, 128"},
        {LLAMA "\"head_dim\":\"128\"}", TTT_ERR_FORMAT, "head_dim must be a whole number"},
        {LLAMA "\"num_attention_heads\":30}", TTT_ERR_FORMAT,
         "num_attention_heads 30 does not divide hidden_size 4096"},
        {LLAMA "\"num_hidden_layers\":0}", TTT_ERR_FORMAT, "num_hidden_layers is 0"},
        {LLAMA "\"num_hidden_layers\":1025}", TTT_ERR_FORMAT, "num_hidden_layers is 1025"},
        {LLAMA "\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}}", TTT_ERR_UNSUPPORTED,
         "quantization_config with quant_method \"gptq\""},
        {MAMBA "\"quantization_config\":{\"bits\":4}}", TTT_ERR_UNSUPPORTED, "quantization_config"},
        {MISTRAL "\"sliding_window\":0}", TTT_ERR_FORMAT, "sliding_window must be a whole number from 1"},
        {MISTRAL "\"num_key_value_heads\":0}", TTT_ERR_FORMAT, "num_key_value_heads"},
        {MAMBA "\"use_bias\":true}", TTT_ERR_UNSUPPORTED, "use_bias true"},
        {MAMBA "\"use_conv_bias\":false}", TTT_ERR_UNSUPPORTED, "use_conv_bias false"},
        {MAMBA "\"hidden_act\":\"relu\"}", TTT_ERR_UNSUPPORTED, "hidden_act \"relu\""},
        {MAMBA "\"intermediate_size\":1537}", TTT_ERR_UNSUPPORTED,
         "intermediate_size 1537 is not supported, only expand times hidden_size, 1536"},
        {MAMBA "\"layer_norm_epsilon\":-1}", TTT_ERR_FORMAT, "layer_norm_epsilon is -1"},
        {MAMBA "\"time_step_rank\":0}", TTT_ERR_FORMAT, "time_step_rank must be a whole number from 1"},
        {MAMBA "\"conv_kernel\":0}", TTT_ERR_FORMAT, "conv_kernel is 0"},
        {"{\"d_model\":768,\"n_layer\":24,\"vocab_size\":50277,\"ssm_cfg\":{}}", TTT_ERR_UNSUPPORTED,
         "mamba_ssm's own form"},
        {"{\"model_type\":\"mamba2\"}", TTT_ERR_UNSUPPORTED, "model_type \"mamba2\" is not supported: its blocks are"},
        {"{\"model_type\":\"falcon_mamba\"}", TTT_ERR_UNSUPPORTED, "model_type \"falcon_mamba\""},
        {"{\"model_type\":\"gpt2\"}", TTT_ERR_UNSUPPORTED, "model_type \"gpt2\" is not supported, only ttt or llama"},
        {"{\"model_type\":null}", TTT_ERR_FORMAT, "model_type must be ttt or llama"},
        {DELTA "\"attn\":{\"layers\":[1]}}", TTT_ERR_UNSUPPORTED, "attn {\"layers\":[1]} is not supported"},
        {DELTA "\"attnres_block_size\":8}", TTT_ERR_UNSUPPORTED, "attnres_block_size 8"},
        {DELTA "\"allow_neg_eigval\":true}", TTT_ERR_UNSUPPORTED, "allow_neg_eigval"},
        {DELTA "\"use_short_conv\":false}", TTT_ERR_UNSUPPORTED, "use_short_conv false"},
        {DELTA "\"qk_activation\":\"relu\"}", TTT_ERR_UNSUPPORTED, "qk_activation \"relu\""},
        {DELTA "\"qk_norm\":\"sum\"}", TTT_ERR_UNSUPPORTED, "qk_norm \"sum\""},
        {DELTA "\"use_beta\":false}", TTT_ERR_UNSUPPORTED, "use_beta false"},
        {DELTA "\"hidden_act\":\"gelu\"}", TTT_ERR_UNSUPPORTED, "only swish or silu"},
        {DELTA "\"use_l2warp\":true}", TTT_ERR_UNSUPPORTED, "use_l2warp"},
        {DELTA "\"expand_k\":0.7}", TTT_ERR_FORMAT,
         "hidden_size 2048 times expand_k 0.69999999999999996 over num_heads 16"},
        {DELTA "\"expand_v\":\"1\"}", TTT_ERR_FORMAT, "expand_v must be a number"},
        {DELTA "\"num_heads\":0}", TTT_ERR_FORMAT, "num_heads"},
        {DELTA "\"use_gate\":1}", TTT_ERR_FORMAT, "use_gate must be"},
        {DELTA "\"norm_eps\":\"x\"}", TTT_ERR_FORMAT, "norm_eps must be a number"},
        {DELTA "\"hidden_ratio\":0}", TTT_ERR_FORMAT, "hidden_ratio 0"},
        {DELTA "\"intermediate_size\":40.0}", TTT_ERR_FORMAT, "intermediate_size must be a whole number"},
        {GATED "\"num_v_heads\":12}", TTT_ERR_UNSUPPORTED,
         "num_v_heads 12 is not supported, only null or num_heads, 6"},
        {GATED "\"head_dim\":null}", TTT_ERR_FORMAT, "head_dim must be a whole number"},
        {GATED "\"head_dim\":0}", TTT_ERR_FORMAT, "head_dim must be from 1"},
        {GATED "\"conv_size\":0}", TTT_ERR_FORMAT, "conv_size is 0"},
    };
    ttt_config config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(parse(&config, cases[i].text), cases[i].status, cases[i].part);
    CHECK_OK(parse(&config, DELTA "\"hidden_act\":\"silu\",\"num_v_heads\":99}")); /* a key of gated_deltanet alone */
    CHECK_OK(parse(&config, GATED "\"num_v_heads\":6}"));
    CHECK_OK(parse(&config, LLAMA "\"attention_dropout\":0,\"quantization_config\":null,\"sliding_window\":null}"));
    CHECK_OK(parse(&config, MAMBA "\"rope_scaling\":{\"x\":1},\"rope_parameters\":3,\"head_dim\":\"x\"}"));
}

/* ---- which form a new model takes ---- */

static void test_settle(void)
{
    static const struct {
        const char *layers, *type;
    } cases[] = {{"3*attention", "llama"},          {"2*mamba", "mamba"},
                 {"2*\"mamba\"", "mamba"},          {"mamba+ffn", "ttt_ext"},
                 {"2*delta_net", "delta_net"},      {"2*gated_deltanet", "gated_deltanet"},
                 {"2*linear_attention", "ttt_ext"}, {"ttt_linear,attention", "ttt_ext"},
                 {"conv+attention+ffn", "ttt_ext"}, {"2*ttt_mlp", "ttt"}};
    ttt_config config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_OK(ttt_config_standard(&config, "tiny"));
        CHECK_OK(ttt_config_set(&config, "layers", cases[i].layers));
        CHECK_STR(ttt_form_of(&config)->name, cases[i].type);
        CHECK_OK(ttt_config_check_keys(&config, "x"));
        CHECK_EQ(config.rescale_prenorm_residual, config.model_type == TTT_MODEL_MAMBA);
    }
    CHECK_OK(ttt_config_standard(&config, "tiny"));
    CHECK_OK(ttt_config_set(&config, "layers", "3*attention"));
    CHECK_OK(ttt_config_set(&config, "sliding_window", "9"));
    CHECK_EQ(config.model_type, TTT_MODEL_MISTRAL);
    CHECK_OK(ttt_config_set(&config, "sliding_window", "null")); /* mistral can say that too */
    CHECK_EQ(config.model_type, TTT_MODEL_MISTRAL);
    CHECK_OK(ttt_config_set(&config, "num_hidden_layers", "5")); /* all blocks are alike */
    CHECK_OK(ttt_config_check_keys(&config, "x"));
    CHECK_STR(ttt_config_block(&config, 4), "attention+ffn");
    CHECK_OK(ttt_config_set(&config, "model_type", "mamba"));
    CHECK_FAILS(ttt_config_check_keys(&config, "x"), TTT_ERR_FORMAT,
                "a model of model_type mamba cannot have this layers, only one of ttt_ext");
    CHECK_OK(ttt_config_set(&config, "model_type", "llama"));
    CHECK_OK(ttt_config_check_keys(&config, "x"));
    config.sliding_window = 3;
    CHECK_FAILS(ttt_config_check_keys(&config, "x"), TTT_ERR_FORMAT, "llama cannot have this sliding_window");
    CHECK_OK(
        parse(&config, EXT "\"layers\":[\"attention+ffn\",\"attention+ffn\"]}")); /* what was read stays what it was */
    CHECK_EQ(config.model_type, TTT_MODEL_TTT_EXT);
    CHECK_OK(ttt_config_set(&config, "layers", "2*mamba"));
    CHECK_EQ(config.model_type, TTT_MODEL_TTT_EXT);
    CHECK_OK(ttt_config_standard(&config, "tiny"));
    CHECK_OK(ttt_config_set(&config, "layers", "2*delta_net"));
    config.hidden_size = 34; /* which four heads do not divide */
    CHECK_FAILS(ttt_config_check_keys(&config, "x"), TTT_ERR_FORMAT, "heads are 4 and hidden_size is 34");
    config.head_dim = 5;
    CHECK_OK(ttt_config_check_keys(&config, "x"));
    CHECK_OK(ttt_config_set(&config, "layers", "attention,mamba"));
    CHECK_EQ(config.model_type, TTT_MODEL_TTT_EXT);
}

/* ---- written and read ---- */

static void check_same(const ttt_config *a, const ttt_config *b)
{
    ttt_config first = *a, second = *b;
    ttt_config_resolve(&first);
    ttt_config_resolve(&second);
    for (int i = 0; i < TTT_KEY_COUNT; i++) {
        if (!ttt_form_key_name(ttt_form_of(a), &ttt_keys[i])) continue;
        const bool equal = ttt_keys[i].kind->equal(&ttt_keys[i], &first, &second);
        if (!equal) fprintf(stderr, "%s:\n", ttt_keys[i].name);
        CHECK(equal);
    }
}

static void write_and_read(const ttt_config *config, const char *base, const char *part)
{
    ttt_buffer out = {0};
    ttt_config back;
    CHECK_OK(ttt_config_print(config, base, "float32", &out));
    if (part && !strstr(out.data, part)) fprintf(stderr, "%s is not in %s", part, out.data);
    CHECK(!part || strstr(out.data, part));
    CHECK_OK(ttt_config_parse(&back, out.data, out.size, "x"));
    CHECK_EQ(back.model_type, config->model_type);
    check_same(config, &back);
    ttt_buffer_deinit(&out);
}

static void test_written(void)
{
    static const struct {
        const char *layers, *key, *value, *part;
    } cases[] = {{"3*attention", "num_key_value_heads", "2", "\"num_key_value_heads\": 2"},
                 {"3*attention", "num_key_value_heads", "null", "\"num_key_value_heads\": 4"},
                 {"3*attention", "sliding_window", "11", "\"head_dim\": 64"},
                 {"3*mamba", "rms_norm_eps", "1e-3", "\"layer_norm_epsilon\": 0.001"},
                 {"3*mamba", "expand", "1.5", "\"intermediate_size\": 384"},
                 {"3*mamba", "expand", "1.5", "\"expand\": 1.5"},
                 {"3*mamba", "expand", "3", "\"expand\": 3,"}, /* transformers 5 takes no 3.0 */
                 {"3*mamba", "time_step_rank", "auto", "\"time_step_rank\": 16"},
                 {"3*mamba", "mamba_conv_kernel", "3", "\"conv_kernel\": 3"},
                 {"3*delta_net", "head_dim", "null", "\"expand_k\": 1.0"},
                 {"3*delta_net", "head_dim", "24", "\"expand_k\": 0.375"},
                 {"3*delta_net", "delta_use_gate", "true", "\"use_gate\": true"},
                 {"3*gated_deltanet", "head_dim", "null", "\"head_dim\": 64"},
                 {"3*gated_deltanet", "expand_v", "1.5", "\"expand_v\": 1.5"},
                 {"3*gated_deltanet", "delta_use_gate", "false", "\"use_gate\": false"},
                 {"3*gated_deltanet", "delta_use_gate", "null", "\"use_gate\": true"},
                 {"3*linear_attention", "linear_attention_rope", "true", "\"linear_attention_rope\": true"},
                 {"3*ttt_linear", "ttt_rate", "0.5", "\"ttt_rate\": 0.5"},
                 {"3*ttt_linear", "ttt_keep", "0.5", "\"ttt_keep\": 0.5"}};
    ttt_config config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_OK(ttt_config_standard(&config, "tiny"));
        CHECK_OK(ttt_config_set(&config, "layers", cases[i].layers));
        CHECK_OK(ttt_config_set(&config, cases[i].key, cases[i].value));
        write_and_read(&config, NULL, cases[i].part);
    }
}

/* Factors that have no short decimals, and would fall below a whole product if they were rounded down. */
static void test_factors(void)
{
    ttt_config config;
    for (int64_t heads = 1; heads < 40; heads++) {
        ttt_config_init(&config);
        config.hidden_size = 49 * heads;
        config.num_attention_heads = heads;
        CHECK_OK(ttt_config_set(&config, "layers", "delta_net"));
        config.head_dim = heads + 2;
        config.expand_v = (double)(heads + 5) / (double)(heads + 2);
        ttt_buffer out = {0};
        ttt_config back;
        CHECK_OK(ttt_config_print(&config, NULL, "float32", &out));
        json_t *object = json_loads(out.data, 0, NULL);
        const double k = json_real_value(json_object_get(object, "expand_k"));
        const double v = json_real_value(json_object_get(object, "expand_v"));
        CHECK_EQ((int64_t)((double)config.hidden_size * k), heads * (heads + 2));
        CHECK_EQ((int64_t)((double)config.hidden_size * v), heads * (heads + 5));
        CHECK_OK(ttt_config_parse(&back, out.data, out.size, "x"));
        CHECK_EQ(back.head_dim, config.head_dim);
        CHECK_EQ(ttt_config_product(back.head_dim, back.expand_v), heads + 5);
        json_decref(object);
        ttt_buffer_deinit(&out);
    }
}

static ttt_status print_over(const char *base_text, const char *layers, ttt_buffer *out)
{
    const char *base = TTT_BINARY_DIR "/test_forms_base.json";
    ttt_config config;
    TTT_TRY(ttt_file_write(base, base_text, strlen(base_text)));
    TTT_TRY(parse(&config, base_text));
    if (layers) TTT_TRY(ttt_config_set(&config, "layers", layers));
    return ttt_config_print(&config, base, "bfloat16", out);
}

/* What a file held that nobody here knows stays; what says the same in another way goes. */
static void test_kept(void)
{
    ttt_buffer out = {0};
    CHECK_OK(print_over(MISTRAL "\"num_hidden_layers\":1,\"use_cache\":true,\"my_key\":1,\"dtype\":\"float32\","
                                "\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"default\"}}",
                        NULL, &out));
    CHECK(strstr(out.data, "\"rope_theta\": 500000") && !strstr(out.data, "rope_parameters"));
    CHECK(strstr(out.data, "my_key") && strstr(out.data, "\"use_cache\": true"));
    CHECK(strstr(out.data, "\"dtype\": \"bfloat16\"") && strstr(out.data, "\"torch_dtype\": \"bfloat16\""));
    CHECK(strstr(out.data, "MistralForCausalLM") && !strstr(out.data, "\"layers\""));
    ttt_buffer_deinit(&out);
    CHECK_OK(print_over(MAMBA "\"my_key\":1,\"use_mambapy\":false,\"rope_parameters\":{\"a\":1}}", NULL, &out));
    CHECK(strstr(out.data, "my_key") && strstr(out.data, "rope_parameters") && strstr(out.data, "use_mambapy") &&
          !strstr(out.data, "rms_norm_eps"));
    ttt_buffer_deinit(&out);
    CHECK_OK(print_over("{\"num_hidden_layers\":2,\"my_key\":1,\"ttt_base_lr\":1.0}", "2*attention", &out));
    CHECK(strstr(out.data, "\"llama\"") && strstr(out.data, "my_key") && !strstr(out.data, "ttt_"));
    ttt_buffer_deinit(&out);
}

/* The configurations of the golden folders, where they are. */
static void test_goldens(void)
{
    static const char *const names[] = {"llama",
                                        "llama_gqa_untied",
                                        "mistral_window",
                                        "mamba",
                                        "delta_net",
                                        "gated_deltanet",
                                        "ext_hybrid",
                                        "ext_linear_attention",
                                        "ext_linear_attention_theorem1",
                                        "ext_ttt_theorem1",
                                        "ext_ttt_ablation_a",
                                        "ext_ttt_ablation_b",
                                        "ext_ablation_hybrid"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        ttt_buffer text = {0};
        ttt_config config;
        snprintf(path, sizeof path, "%s/../shared/goldens/%s/config.json", TTT_SOURCE_DIR, names[i]);
        if (!ttt_file_exists(path)) continue;
        CHECK_OK(ttt_file_read(&text, path, 1 << 20));
        CHECK_OK(ttt_config_parse(&config, text.data, text.size, path));
        ttt_buffer_deinit(&text);
        write_and_read(&config, path, NULL);
    }
}

int main(void)
{
    test_defaults();
    test_refused();
    test_settle();
    test_written();
    test_factors();
    test_kept();
    test_goldens();
    return test_end();
}
