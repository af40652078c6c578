/* SPDX-License-Identifier: MIT
 *
 * Configurations: the published parameter counts, every kind of wrong config.json named by file and key, keys from
 * text, lists of blocks, and what saving keeps.
 */

#include "base/alloc.h"
#include "base/file.h"
#include "config/forms.h"
#include "config/standard.h"
#include "layer/stack.h"
#include "test.h"

static void test_counts(void)
{
    static const struct {
        const char *name;
        int64_t linear, mlp;
    } sizes[] = {{"125m", 110424144, 114589776},
                 {"350m", 337684224, 348792576},
                 {"760m", 733608192, 758528256},
                 {"1b", 1285639296, 1307856000}};
    ttt_config config;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_OK(ttt_config_standard(&config, sizes[i].name));
        CHECK_OK(ttt_config_check(&config, "standard"));
        CHECK_EQ(ttt_config_parameters(&config), sizes[i].linear);
        CHECK_OK(ttt_config_set(&config, "ttt_layer_type", "mlp"));
        CHECK_EQ(ttt_config_parameters(&config), sizes[i].mlp);
    }
    CHECK_OK(ttt_config_standard(&config, "tiny"));
    CHECK_EQ(ttt_config_parameters(&config), 4304208); /* counted by hand from the shapes */
    CHECK_OK(ttt_config_standard(&config, "small"));
    CHECK_EQ(ttt_config_parameters(&config) / 1000000, 17);
    CHECK_FAILS(ttt_config_standard(&config, "huge"), TTT_ERR_ARGUMENT, "tiny, small, 125m");
}

static void test_list(void)
{
    ttt_config config;
    CHECK_OK(ttt_config_standard(&config, "tiny"));
    config.tie_word_embeddings = false;
    ttt_stack stack;
    int64_t elements = 0;
    CHECK_OK(ttt_stack_init(&stack, &config));
    const ttt_param_spec *specs = stack.params.specs;
    const int64_t count = stack.params.count;
    for (int64_t i = 0; i < count; i++) elements += ttt_param_elements(&specs[i]);
    CHECK_EQ(elements, ttt_config_parameters(&config));
    CHECK_STR(specs[0].name, "model.embed_tokens.weight");
    CHECK_STR(specs[1].name, "model.layers.0.seq_norm.weight");
    CHECK_STR(specs[count - 1].name, "lm_head.weight");
    int truncated = 0;
    for (int64_t i = 0; i < count; i++) {
        if (specs[i].first.init != TTT_INIT_TRUNCATED) continue;
        truncated++;
        CHECK_NEAR(specs[i].first.std, 0.5, 0);
    }
    CHECK_EQ(truncated, 3 * config.num_hidden_layers);
    ttt_stack_deinit(&stack, NULL);
}

#define EXT "{\"model_type\":\"ttt_ext\","

static ttt_status parse(ttt_config *config, const char *text)
{
    const ttt_status status = ttt_config_parse(config, text, strlen(text), "x/config.json");
    return status == TTT_OK ? ttt_config_check(config, "x/config.json") : status;
}

static void test_parse(void)
{
    ttt_config config, defaults;
    ttt_config_init(&defaults);
    CHECK_OK(parse(&config, "{}"));
    CHECK_EQ(config.vocab_size, defaults.vocab_size);
    CHECK_EQ(config.conv_kernel, 4);
    CHECK_EQ(config.pad_token_id, -1);
    CHECK(config.tie_word_embeddings && !config.use_gate && !config.share_qk && !config.pre_conv);
    CHECK_OK(parse(&config,
                   "{\"model_type\":\"ttt\",\"eos_token_id\":[7,8],\"bos_token_id\":null,\"rope_theta\":500,"
                   "\"what_is_this\":{\"a\":[1]},\"pre_conv\":true,\"ttt_layer_type\":\"mlp\",\"ttt_norm\":true,"
                   "\"ttt_target\":\"v-k\",\"num_hidden_layers\":2,\"layers\":[\"ttt_mlp\",\"ttt_mlp\"]}"));
    CHECK_EQ(config.eos_token_id, 7);
    CHECK_EQ(config.bos_token_id, -1);
    CHECK_NEAR(config.rope_theta, 500, 0);
    CHECK(config.pre_conv);
    CHECK_EQ(config.ttt_layer_type, TTT_LEARNER_MLP);
}

static void test_refused(void)
{
    static const struct {
        const char *text;
        ttt_status status;
        const char *part;
    } cases[] = {
        {"", TTT_ERR_FORMAT, "x/config.json: line"},
        {"[]", TTT_ERR_FORMAT, "not a JSON object"},
        {"{\"vocab_size\":1,\"vocab_size\":2}", TTT_ERR_FORMAT, "duplicate"},
        {"{} {}", TTT_ERR_FORMAT, "x/config.json"},
        {"{\"hidden_size\":", TTT_ERR_FORMAT, "x/config.json"},
        {"{\"vocab_size\":0}", TTT_ERR_FORMAT, "vocab_size is 0"},
        {"{\"vocab_size\":99999999999999999999}", TTT_ERR_FORMAT, "x/config.json"},
        {"{\"vocab_size\":\"32000\"}", TTT_ERR_FORMAT, "vocab_size must be a whole number"},
        {"{\"vocab_size\":32000.0}", TTT_ERR_FORMAT, "vocab_size must be a whole number"},
        {"{\"vocab_size\":null}", TTT_ERR_FORMAT, "vocab_size"},
        {"{\"hidden_size\":2050}", TTT_ERR_FORMAT, "num_attention_heads 32 does not divide hidden_size 2050"},
        {"{\"hidden_size\":2080}", TTT_ERR_FORMAT, "odd size 65"},
        {"{\"num_attention_heads\":0}", TTT_ERR_FORMAT, "num_attention_heads"},
        {"{\"num_hidden_layers\":-1}", TTT_ERR_FORMAT, "num_hidden_layers is -1"},
        {"{\"mini_batch_size\":0}", TTT_ERR_FORMAT, "mini_batch_size"},
        {"{\"conv_kernel\":0}", TTT_ERR_FORMAT, "conv_kernel"},
        {"{\"rms_norm_eps\":-1e-6}", TTT_ERR_FORMAT, "rms_norm_eps"},
        {"{\"rope_theta\":0}", TTT_ERR_FORMAT, "rope_theta"},
        {"{\"rope_theta\":\"x\"}", TTT_ERR_FORMAT, "rope_theta must be a number"},
        {"{\"ttt_base_lr\":1e999}", TTT_ERR_FORMAT, "x/config.json"},
        {"{\"use_gate\":1}", TTT_ERR_FORMAT, "use_gate must be true or false"},
        {"{\"eos_token_id\":32000}", TTT_ERR_FORMAT, "eos_token_id is 32000, but vocab_size is 32000"},
        {"{\"eos_token_id\":[]}", TTT_ERR_FORMAT, "eos_token_id"},
        {"{\"bos_token_id\":[1]}", TTT_ERR_FORMAT, "bos_token_id"},
        {"{\"bos_token_id\":-2}", TTT_ERR_FORMAT, "bos_token_id"},
        {"{\"ttt_layer_type\":\"conv\"}", TTT_ERR_UNSUPPORTED,
         "ttt_layer_type \"conv\" is not supported, only linear or mlp"},
        {"{\"ttt_layer_type\":1}", TTT_ERR_FORMAT, "ttt_layer_type"},
        {"{\"model_type\":\"gpt2\"}", TTT_ERR_UNSUPPORTED, "model_type \"gpt2\""},
        {"{\"model_type\":3}", TTT_ERR_FORMAT, "model_type must be ttt or llama or mistral"},
        {"{\"num_hidden_layers\":1025}", TTT_ERR_FORMAT, "num_hidden_layers is 1025, but must be from 1 to 1024"},
        {"{\"hidden_act\":\"gelu\"}", TTT_ERR_UNSUPPORTED, "hidden_act \"gelu\""},
        {"{\"ttt_norm\":false}", TTT_ERR_UNSUPPORTED,
         "x/config.json: ttt_norm false is not supported in a model of model_type ttt, only true"},
        {"{\"ttt_target\":\"v\"}", TTT_ERR_UNSUPPORTED,
         "ttt_target \"v\" is not supported in a model of model_type ttt, only v-k"},
        {EXT "\"ttt_target\":\"w\"}", TTT_ERR_UNSUPPORTED, "ttt_target \"w\" is not supported, only v-k or v"},
        {"{\"ttt_rate\":0.5}", TTT_ERR_UNSUPPORTED,
         "ttt_rate 0.5 is not supported in a model of model_type ttt, only learned"},
        {"{\"ttt_keep\":0.9}", TTT_ERR_UNSUPPORTED,
         "ttt_keep 0.9 is not supported in a model of model_type ttt, only 1"},
        {EXT "\"ttt_keep_every\":0}", TTT_ERR_FORMAT, "ttt_keep_every must be a whole number from 1"},
        {EXT "\"ttt_keep\":1.5}", TTT_ERR_FORMAT, "ttt_keep is 1.5, but must be from 0 to 1"},
        {EXT "\"ttt_rate\":-0.5}", TTT_ERR_FORMAT, "ttt_rate must be a number from 0 to 1e+06, or learned"},
        {EXT "\"ttt_rate\":\"fast\"}", TTT_ERR_FORMAT, "ttt_rate must be a number from 0"},
        {EXT "\"sliding_window\":0}", TTT_ERR_FORMAT, "sliding_window must be a whole number from 1"},
        {EXT "\"sliding_window\":\"null\"}", TTT_ERR_FORMAT, "sliding_window must be a whole number from 1"},
        {EXT "\"num_key_value_heads\":2.0}", TTT_ERR_FORMAT, "num_key_value_heads must be a whole number"},
        {EXT "\"time_step_rank\":null}", TTT_ERR_FORMAT,
         "time_step_rank must be a whole number from 1 to 1048576, or auto"},
        {EXT "\"delta_use_gate\":1}", TTT_ERR_FORMAT, "delta_use_gate must be true, false or null"},
        {EXT "\"state_size\":0}", TTT_ERR_FORMAT, "state_size is 0"},
        {EXT "\"linear_attention_feature_map\":\"relu\"}", TTT_ERR_UNSUPPORTED, "only elu1 or identity"},
        {"{\"layers\":[\"ttt_linear\"]}", TTT_ERR_FORMAT, "layers has 1 blocks and num_hidden_layers is 24"},
        {"{\"num_hidden_layers\":1,\"layers\":[\"mamba\"]}", TTT_ERR_UNSUPPORTED, "mamba"},
        {"{\"num_hidden_layers\":1,\"layers\":[1]}", TTT_ERR_FORMAT, "layers must be"},
        {"{\"vocab_size\":2000000000,\"hidden_size\":1048576,\"num_attention_heads\":16384}", TTT_ERR_FORMAT,
         "parameters"},
    };
    ttt_config config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(parse(&config, cases[i].text), cases[i].status, cases[i].part);
    CHECK_FAILS(ttt_config_load(&config, "/nonexistent/config.json"), TTT_ERR_IO, "/nonexistent/config.json");
    CHECK_FAILS(ttt_config_load(&config, TTT_SOURCE_DIR), TTT_ERR_IO, TTT_SOURCE_DIR);
}

static void test_set(void)
{
    ttt_config config;
    ttt_config_init(&config);
    CHECK_OK(ttt_config_set(&config, "hidden_size", "64"));
    CHECK_EQ(config.hidden_size, 64);
    CHECK_OK(ttt_config_set(&config, "ttt_base_lr", "0.25"));
    CHECK_NEAR(config.ttt_base_lr, 0.25, 0);
    CHECK_OK(ttt_config_set(&config, "eos_token_id", "null"));
    CHECK_EQ(config.eos_token_id, -1);
    CHECK_OK(ttt_config_set(&config, "share_qk", "true"));
    CHECK(config.share_qk);
    CHECK_OK(ttt_config_set(&config, "hidden_act", "silu"));
    CHECK_FAILS(ttt_config_set(&config, "hidden_act", "gelu"), TTT_ERR_UNSUPPORTED, "hidden_act");
    CHECK_OK(ttt_config_set(&config, "ttt_rope", "true"));
    CHECK_EQ(config.model_type, TTT_MODEL_TTT);
    CHECK_OK(ttt_config_set(&config, "ttt_rope", "false"));
    CHECK_EQ(config.model_type, TTT_MODEL_TTT_EXT); /* no ttt folder says so */
    CHECK_OK(ttt_config_set(&config, "sliding_window", "7"));
    CHECK_FAILS(ttt_config_set(&config, "sliding_window", "0"), TTT_ERR_ARGUMENT, "sliding_window=0: must be a whole");
    CHECK_FAILS(ttt_config_set(&config, "sliding_window", "auto"), TTT_ERR_ARGUMENT, "or null");
    CHECK_EQ(config.sliding_window, 7);
    CHECK_FAILS(ttt_config_set(&config, "ttt_rate", "-1"), TTT_ERR_ARGUMENT, "a number from 0, or learned");
    CHECK_FAILS(ttt_config_set(&config, "delta_use_gate", "auto"), TTT_ERR_ARGUMENT, "true, false or null");
    CHECK_EQ(ttt_config_product(32, 0.75), 24);
    CHECK_EQ(ttt_config_product(3, 1 / 3. * 4), 4);
    CHECK_EQ(ttt_config_product(32, 0.7), 0);
    CHECK_EQ(ttt_config_product(32, 1e-9), 0);
    CHECK_FAILS(ttt_config_set(&config, "hidden_size", "64x"), TTT_ERR_ARGUMENT,
                "hidden_size=64x: must be a whole number");
    CHECK_FAILS(ttt_config_set(&config, "hidden_size", ""), TTT_ERR_ARGUMENT, "hidden_size");
    CHECK_FAILS(ttt_config_set(&config, "hidden_size", "99999999999999999999"), TTT_ERR_ARGUMENT, "hidden_size");
    CHECK_FAILS(ttt_config_set(&config, "rope_theta", "nan"), TTT_ERR_ARGUMENT, "rope_theta");
    CHECK_FAILS(ttt_config_set(&config, "use_gate", "yes"), TTT_ERR_ARGUMENT, "true or false");
    CHECK_FAILS(ttt_config_set(&config, "ttt_layer_type", "tree"), TTT_ERR_ARGUMENT, "linear or mlp");
    CHECK_FAILS(ttt_config_set(&config, "hiden_size", "64"), TTT_ERR_ARGUMENT, "hidden_size");
}

/* The keys of ttt_ext from JSON and back; in a ttt folder they are nobody's. */
static void test_extended(void)
{
    static const char text[] = EXT
        "\"num_key_value_heads\":null,\"sliding_window\":7,\"time_step_rank\":\"auto\",\"head_dim\":24,"
        "\"delta_use_gate\":false,\"ttt_rate\":1,\"ttt_w0\":\"zero\",\"expand_v\":2,"
        "\"time_step_init_scheme\":\"constant\",\"linear_attention_feature_map\":\"identity\"}";
    ttt_config config, back;
    ttt_buffer out = {0};
    CHECK_OK(ttt_config_parse(&config, text, strlen(text), "x"));
    CHECK(config.num_key_value_heads == 0 && config.sliding_window == 7 && config.time_step_rank == 0);
    CHECK(config.head_dim == 24 && config.delta_use_gate == TTT_NO && config.ttt_w0 == TTT_W0_ZERO);
    CHECK(config.ttt_rate == 1 && config.expand_v == 2 && config.time_step_init_scheme == TTT_STEP_CONSTANT);
    CHECK_OK(ttt_config_print(&config, NULL, "float32", &out));
    CHECK(!strstr(out.data, "ttt_keep")); /* files and fingerprints are those from before there was this key */
    CHECK(strstr(out.data, "\"num_key_value_heads\": null") && strstr(out.data, "\"time_step_rank\": \"auto\""));
    CHECK_OK(ttt_config_parse(&back, out.data, out.size, "x"));
    for (int i = 0; i < TTT_KEY_COUNT; i++) CHECK(ttt_keys[i].kind->equal(&ttt_keys[i], &config, &back));
    ttt_buffer_deinit(&out);
    config.ttt_keep = 0.95;
    CHECK_OK(ttt_config_print(&config, NULL, "float32", &out));
    CHECK(strstr(out.data, "\"ttt_keep\": 0.95"));
    CHECK_OK(ttt_config_parse(&back, out.data, out.size, "x"));
    CHECK(back.ttt_keep == 0.95);
    ttt_buffer_deinit(&out);
    CHECK_OK(parse(&config, "{\"sliding_window\":\"whatever\",\"state_size\":3}"));
    CHECK_EQ(config.state_size, 16);
    CHECK_OK(ttt_config_print(&config, NULL, "float32", &out));
    CHECK(!strstr(out.data, "state_size") && !strstr(out.data, "ttt_norm"));
    ttt_buffer_deinit(&out);
}

/* Every key's text is what setting it takes, and a key is of one kind. */
static void test_get(void)
{
    static const struct {
        const char *key, *text;
    } cases[] = {{"hidden_size", "256"},
                 {"eos_token_id", "null"},
                 {"bos_token_id", "1"},
                 {"rms_norm_eps", "1e-06"},
                 {"ttt_base_lr", "0.1"},
                 {"ttt_layer_type", "mlp"},
                 {"model_type", "ttt"},
                 {"use_gate", "true"},
                 {"tie_word_embeddings", "false"},
                 {"layers", "4*conv+ttt_mlp+ffn"},
                 {"hidden_act", "silu"},
                 {"ttt_rate", "learned"}};
    ttt_config *config, *copy, *again;
    CHECK_OK(ttt_config_new(&config));
    CHECK_OK(ttt_config_standard(config, "tiny"));
    CHECK_OK(ttt_config_set(config, "layers", "4*ttt_mlp")); /* ttt_base_lr with it */
    CHECK_OK(ttt_config_set(config, "eos_token_id", "null"));
    CHECK_OK(ttt_config_set(config, "tie_word_embeddings", "false"));
    char *text;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_OK(ttt_config_get(config, cases[i].key, &text));
        CHECK_STR(text, cases[i].text);
        ttt_string_free(text);
    }
    CHECK_OK(ttt_config_set(config, "layers", "2*ttt_mlp,\"ttt_linear\""));
    CHECK_OK(ttt_config_copy(&copy, config));
    CHECK_OK(ttt_config_new(&again));
    const char *key;
    for (int64_t i = 0; (key = ttt_config_key(i)) != NULL; i++) {
        CHECK_OK(ttt_config_get(copy, key, &text));
        CHECK_OK(ttt_config_set(again, key, text));
        ttt_string_free(text);
    }
    CHECK(!ttt_config_key(-1) && !ttt_config_key(TTT_KEY_COUNT));
    for (int i = 0; i < TTT_KEY_COUNT; i++) CHECK(ttt_keys[i].kind->equal(&ttt_keys[i], config, again));
    CHECK_FAILS(ttt_config_get(config, "hiden_size", &text), TTT_ERR_ARGUMENT, "hidden_size");
    CHECK(!text);
    ttt_config_free(config);
    ttt_config_free(copy);
    ttt_config_free(again);
    ttt_config_free(NULL);
}

static void test_get_typed(void)
{
    ttt_config *config;
    int64_t integer;
    double real;
    const char *string;
    CHECK_OK(ttt_config_new(&config));
    CHECK_OK(ttt_config_get_integer(config, "vocab_size", &integer));
    CHECK_EQ(integer, 32000);
    CHECK_OK(ttt_config_get_integer(config, "pad_token_id", &integer));
    CHECK_EQ(integer, -1);
    CHECK_OK(ttt_config_get_integer(config, "tie_word_embeddings", &integer));
    CHECK_EQ(integer, 1);
    CHECK_OK(ttt_config_get_integer(config, "use_gate", &integer));
    CHECK_EQ(integer, 0);
    CHECK_OK(ttt_config_get_real(config, "initializer_range", &real));
    CHECK_NEAR(real, 0.02, 0);
    CHECK_OK(ttt_config_get_string(config, "ttt_layer_type", &string));
    CHECK_STR(string, "linear");
    CHECK_FAILS(ttt_config_get_integer(config, "rope_theta", &integer), TTT_ERR_ARGUMENT,
                "rope_theta is asked for as a whole number, but is a number");
    CHECK_FAILS(ttt_config_get_integer(config, "ttt_layer_type", &integer), TTT_ERR_ARGUMENT, "but is a name");
    CHECK_FAILS(ttt_config_get_integer(config, "hidden_act", &integer), TTT_ERR_ARGUMENT, "a key of one value");
    CHECK_FAILS(ttt_config_get_integer(config, "heads", &integer), TTT_ERR_ARGUMENT, "there is no key heads");
    CHECK_FAILS(ttt_config_get_real(config, "hidden_size", &real), TTT_ERR_ARGUMENT, "hidden_size");
    CHECK_FAILS(ttt_config_get_string(config, "layers", &string), TTT_ERR_ARGUMENT, "but is a list of blocks");
    CHECK(integer == 0 && real == 0 && !string);
    CHECK(!ttt_config_block(config, -1) && !ttt_config_block(config, 24));
    ttt_config_free(config);
}

/* ---- layers ---- */

static ttt_status set_layers(ttt_config *config, const char *text, bool conv)
{
    ttt_config_init(config);
    config->pre_conv = conv;
    return ttt_config_set(config, "layers", text);
}

static void test_layers_text(void)
{
    static const struct {
        const char *text, *printed; /* NULL: ttt_layer_type and pre_conv say it all */
        bool conv;
    } cases[] = {
        {"3*ttt_linear,attention", "3*ttt_linear+ffn,attention+ffn", false},
        {"3*ttt_linear,attention", "3*conv+ttt_linear+ffn,attention+ffn", true},
        {"ttt_mlp,ttt_mlp+ffn,2*mamba", "2*ttt_mlp+ffn,2*\"mamba\"", false},
        {"ttt_linear+ffn,ffn,conv", "ttt_linear+ffn,\"ffn\",\"conv\"", true},
        {"2*\"ttt_linear\",ffn+conv", "2*\"ttt_linear\",ffn+conv", true},
        {"1024*mamba", "1024*\"mamba\"", false},
        {"5*ttt_mlp", NULL, true},
        {"ttt_linear,ttt_linear+ffn", NULL, false},
    };
    ttt_config config, back;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ttt_buffer text = {0};
        CHECK_OK(set_layers(&config, cases[i].text, cases[i].conv));
        CHECK_EQ(config.layers.count > 0, cases[i].printed != NULL);
        if (!cases[i].printed) continue;
        CHECK(config.model_type != TTT_MODEL_TTT);
        CHECK_EQ(config.num_hidden_layers, config.layers.count);
        CHECK_OK(ttt_layers_print(&config, &text));
        CHECK_STR(text.data, cases[i].printed);
        CHECK_OK(set_layers(&back, text.data, true));
        CHECK(ttt_key_layers.equal(ttt_key_find("layers"), &config, &back));
        ttt_buffer_deinit(&text);
    }
    CHECK_OK(set_layers(&config, "5*ttt_mlp", true));
    CHECK_EQ(config.num_hidden_layers, 5);
    CHECK_EQ(config.ttt_layer_type, TTT_LEARNER_MLP);
    CHECK(config.pre_conv && config.model_type == TTT_MODEL_TTT);
    CHECK_STR(ttt_config_block(&config, 4), "conv+ttt_mlp+ffn");
    CHECK_OK(set_layers(&config, "2*mamba,ttt_linear,2*ffn", false));
    CHECK_STR(ttt_config_block(&config, 1), "mamba");
    CHECK_STR(ttt_config_block(&config, 2), "ttt_linear+ffn");
    CHECK_STR(ttt_config_block(&config, 4), "ffn");
}

#define SIXTEEN "aaaaaaaaaaaaaaaa"

static void test_layers_bad_text(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "block 0 of layers is \"\""},
        {"ttt_linear,", "block 1 of layers is \"\""},
        {"ttt_linear, mamba", "block 1 of layers is \" mamba\": parts are names"},
        {"ttt_linear++ffn", "not \"\""},
        {"+ffn", "not \"\""},
        {"ttt_linear+", "not \"\""},
        {"conv+ttt_linear+conv", "may stand once: \"conv\""},
        {"ffn+ffn", "may stand once: \"ffn\""},
        {"ttt_linear+mamba", "has also \"mamba\""},
        {"ttt_linear+ttt_linear", "has also \"ttt_linear\""},
        {"TTT", "names"},
        {"0*mamba", "\"0*mamba\" is no block"},
        {"-1*mamba", "\"-1*mamba\" is no block"},
        {"*mamba", "\"*mamba\" is no block"},
        {"1025*mamba", "\"1025*mamba\" is no block"},
        {"99999999999999999999*mamba", "is no block"},
        {"1024*mamba,mamba", "more than 1024 blocks"},
        {"2*3*mamba", "names"},
        {"\"", "names"},
        {"\"\"", "names"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "more than 63 characters"},
        {SIXTEEN SIXTEEN SIXTEEN "aaaaaaaaaaaa+ffn", "more than 63 characters"},
        {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16 different blocks"},
    };
    ttt_config config, before;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_FAILS(set_layers(&config, cases[i].text, false), TTT_ERR_ARGUMENT, cases[i].part);
        ttt_config_init(&before);
        CHECK_EQ(config.num_hidden_layers, before.num_hidden_layers);
        CHECK_EQ(config.layers.count, 0);
    }
    CHECK_OK(set_layers(&config, SIXTEEN SIXTEEN SIXTEEN "aaaaaaaaaaa+ffn", false)); /* 63 */
    CHECK_STR(ttt_config_block(&config, 0), SIXTEEN SIXTEEN SIXTEEN "aaaaaaaaaaa+ffn");
    CHECK_OK(set_layers(&config, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p", false));
    CHECK_FAILS(ttt_config_check(&config, "x"), TTT_ERR_UNSUPPORTED, "block 0 of layers has the part \"a\"");
    CHECK_OK(set_layers(&config, "ttt_linear,rwkv", false));
    CHECK_OK(ttt_config_check_keys(&config, "x"));
    CHECK_FAILS(ttt_config_check(&config, "x"), TTT_ERR_UNSUPPORTED, "x: block 1 of layers has the part \"rwkv\"");
    CHECK_OK(ttt_config_set(&config, "num_hidden_layers", "3"));
    CHECK_FAILS(ttt_config_check(&config, "x"), TTT_ERR_FORMAT, "layers has 2 blocks and num_hidden_layers is 3");
    CHECK_OK(ttt_config_set(&config, "num_hidden_layers", "2"));
    CHECK_OK(ttt_config_set(&config, "pre_conv", "true"));
    CHECK_FAILS(ttt_config_check(&config, "x"), TTT_ERR_FORMAT, "layers says what the blocks are");
    CHECK_OK(ttt_config_set(&config, "pre_conv", "false"));
    CHECK_OK(ttt_config_set(&config, "ttt_layer_type", "mlp"));
    CHECK_FAILS(ttt_config_check(&config, "x"), TTT_ERR_FORMAT, "layers says what the blocks are");
    CHECK_OK(ttt_config_set(&config, "ttt_layer_type", "linear"));
    CHECK_OK(ttt_config_set(&config, "model_type", "ttt"));
    CHECK_FAILS(ttt_config_check(&config, "x"), TTT_ERR_FORMAT, "ttt_ext");
    CHECK_OK(ttt_config_set(&config, "layers", "null"));
    CHECK_OK(ttt_config_check(&config, "x"));
}

static void test_layers_json(void)
{
    static const struct {
        const char *text;
        ttt_status status;
        const char *part;
    } cases[] = {
        {EXT "\"layers\":[\"ttt_linear\"],\"num_hidden_layers\":2}", TTT_ERR_FORMAT, "layers has 1 blocks"},
        {EXT "\"layers\":[\"ttt_linear\"],\"pre_conv\":true}", TTT_ERR_FORMAT, "pre_conv"},
        {EXT "\"layers\":[\"ttt_mlp+ffn\"],\"ttt_layer_type\":\"mlp\"}", TTT_ERR_FORMAT, "ttt_layer_type"},
        {EXT "\"layers\":[]}", TTT_ERR_FORMAT, "layers must be a list of blocks"},
        {EXT "\"layers\":\"ttt_linear\"}", TTT_ERR_FORMAT, "layers must be a list of blocks"},
        {EXT "\"layers\":[[\"ttt_linear\"]]}", TTT_ERR_FORMAT, "layers must be a list of blocks"},
        {EXT "\"layers\":[\"ffn\",\"\"]}", TTT_ERR_FORMAT, "x/config.json: block 1 of layers is \"\""},
        {EXT "\"layers\":[\"2*ffn\"]}", TTT_ERR_FORMAT, "names"},
        {EXT "\"layers\":[\"ffn,ffn\"]}", TTT_ERR_FORMAT, "names"},
        {EXT "\"layers\":[\"ffn\\u0000\"]}", TTT_ERR_FORMAT, "x/config.json"},
        {EXT "\"layers\":[\"ffn\",\"rwkv+ffn\"]}", TTT_ERR_UNSUPPORTED, "block 1 of layers has the part \"rwkv\""},
        {"{\"num_hidden_layers\":2,\"layers\":[\"ttt_linear\",\"ttt_mlp\"]}", TTT_ERR_UNSUPPORTED,
         "block 1 of layers is \"ttt_mlp\", but ttt_layer_type says"},
    };
    ttt_config config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(parse(&config, cases[i].text), cases[i].status, cases[i].part);
    CHECK_OK(parse(&config, EXT "\"layers\":[\"conv+ttt_mlp+ffn\",\"conv+ttt_mlp+ffn\"]}"));
    CHECK_EQ(config.num_hidden_layers, 2);
    CHECK(config.pre_conv && config.ttt_layer_type == TTT_LEARNER_MLP && config.layers.count == 0);
    CHECK_EQ(config.model_type, TTT_MODEL_TTT_EXT);
    CHECK_OK(parse(&config, EXT "\"ttt_layer_type\":\"mlp\",\"layers\":null}"));
    CHECK_STR(ttt_config_block(&config, 23), "ttt_mlp+ffn");
    CHECK_OK(parse(&config, "{\"pre_conv\":true,\"num_hidden_layers\":1,\"layers\":[\"conv+ttt_linear+ffn\"]}"));
    CHECK_EQ(config.model_type, TTT_MODEL_TTT);
    static const char list[] = EXT "\"layers\":[\"ttt_linear\",\"ffn\",\"ttt_mlp+ffn\"]}";
    CHECK_OK(ttt_config_parse(&config, list, strlen(list), "x"));
    CHECK_STR(ttt_config_block(&config, 0), "ttt_linear"); /* a bare name in a file has no ffn */
    ttt_buffer out = {0};
    ttt_config back;
    CHECK_OK(ttt_config_print(&config, NULL, "float32", &out));
    CHECK(strstr(out.data, "\"TTTExtForCausalLM\"") && strstr(out.data, "\"ttt_ext\""));
    CHECK_OK(ttt_config_parse(&back, out.data, out.size, "x"));
    for (int i = 0; i < TTT_KEY_COUNT; i++) CHECK(ttt_keys[i].kind->equal(&ttt_keys[i], &config, &back));
    ttt_buffer_deinit(&out);
}

/* Of the TTT layers that a model has, the least of the usual rates. */
static void test_usual_rate(void)
{
    ttt_config config;
    CHECK_OK(set_layers(&config, "2*ttt_linear,mamba", false));
    CHECK_NEAR(ttt_config_usual_rate(&config), 1, 0);
    CHECK_OK(set_layers(&config, "2*ttt_linear,mamba,ttt_mlp", false));
    CHECK_NEAR(ttt_config_usual_rate(&config), 0.1, 0);
    CHECK_OK(set_layers(&config, "2*ttt_mlp", true));
    CHECK_NEAR(ttt_config_usual_rate(&config), 0.1, 0);
}

/* docs/FORMATS.md describes every key, in its table or among those of one value. */
static void test_documented(void)
{
    ttt_buffer text = {0};
    CHECK_OK(ttt_file_read(&text, TTT_SOURCE_DIR "/docs/FORMATS.md", 1 << 20));
    char *page = strstr(text.data, "## config.json"), *end = page ? strstr(page, "## Names of the parameters") : NULL;
    CHECK(end != NULL);
    if (end) *end = '\0';
    for (int i = 0; i < TTT_KEY_COUNT && end; i++) {
        int rows = 0;
        for (const char *line = page; (line = strstr(line, "\n| ")) != NULL; line++) {
            const char *bar = strchr(line + 3, '|'), *key = strstr(line, ttt_keys[i].name);
            const size_t length = strlen(ttt_keys[i].name);
            rows += key && key < bar && strchr(" ,", key[-1]) && strchr(" ,", key[length]);
        }
        if (rows != 1) fprintf(stderr, "%s:\n", ttt_keys[i].name);
        CHECK_EQ(rows, 1);
    }
    for (int type = 0; type < TTT_MODEL_TYPES && end; type++) {
        CHECK(strstr(page, ttt_forms[type].name) && strstr(page, ttt_forms[type].architecture));
        for (int i = 0; i < ttt_forms[type].key_count; i++)
            CHECK(strstr(page, ttt_form_key_at(&ttt_forms[type], i).name));
        for (const ttt_fixed_key *fixed = ttt_forms[type].fixed; fixed->name; fixed++) CHECK(strstr(page, fixed->name));
    }
    ttt_buffer_deinit(&text);
}

static bool contains(const char *path, const char *part)
{
    ttt_buffer text = {0};
    const bool found = ttt_file_read(&text, path, 1 << 20) == TTT_OK && strstr(text.data, part) != NULL;
    ttt_buffer_deinit(&text);
    return found;
}

static void test_save(void)
{
    const char *path = TTT_BINARY_DIR "/test_config.json", *base = TTT_BINARY_DIR "/test_config_base.json";
    const char *text = "{\"my_key\": [1, {\"x\": 0.1}], \"eos_token_id\": [3, 4], \"model_type\": \"ttt\", "
                       "\"torch_dtype\": \"float32\", \"vocab_size\": 100}";
    CHECK_OK(ttt_file_write(base, text, strlen(text)));
    ttt_config config, back;
    CHECK_OK(ttt_config_load(&config, base));
    config.mini_batch_size = 8;
    config.rms_norm_eps = 0.1 + 0.2; /* needs all 17 digits */
    CHECK_OK(ttt_config_save(&config, path, base, "bfloat16"));
    CHECK_OK(ttt_config_load(&back, path));
    for (int i = 0; i < TTT_KEY_COUNT; i++) CHECK(ttt_keys[i].kind->equal(&ttt_keys[i], &config, &back));
    CHECK(contains(path, "my_key"));
    CHECK(contains(path, "\"torch_dtype\": \"bfloat16\""));
    CHECK(contains(path, "TTTForCausalLM"));
    CHECK(contains(path, "silu"));
    CHECK(contains(path, "4\n")); /* the list of end-of-text tokens */
    config.eos_token_id = 5;
    config.rms_norm_eps = 1e-6;
    CHECK_OK(ttt_config_save(&config, path, NULL, "float32"));
    CHECK_OK(ttt_config_load(&back, path));
    CHECK_EQ(back.eos_token_id, 5);
    CHECK(contains(path, "1e-6"));
    CHECK(contains(path, "\"pad_token_id\": null"));
    CHECK(!contains(path, "my_key"));
    CHECK(!contains(path, "\"layers\""));
    CHECK(contains(path, "\"model_type\": \"ttt\""));
    CHECK(contains(path, "TTTForCausalLM"));
    CHECK_FAILS(ttt_config_save(&config, "/nonexistent/c.json", NULL, "float32"), TTT_ERR_IO, "/nonexistent/c.json");
    config.hidden_size = 3;
    CHECK_FAILS(ttt_config_save(&config, path, NULL, "float32"), TTT_ERR_FORMAT, "hidden_size");
    remove(path);
    remove(base);
}

int main(void)
{
    test_counts();
    test_list();
    test_parse();
    test_refused();
    test_set();
    test_extended();
    test_get();
    test_get_typed();
    test_layers_text();
    test_layers_bad_text();
    test_layers_json();
    test_usual_rate();
    test_documented();
    test_save();
    return test_end();
}
