/* SPDX-License-Identifier: MIT
 *
 * Conversion: golden JAX streams become the folders they were made from, sizes and flags told by names and shapes
 * alone; what does not fit is named; a folder is never left half written, nor one overwritten that is not ours.
 */
#include <ttt/convert.h>
#include <ttt/train.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "config/keys.h"
#include "fault.h"
#include "store/infer_config.h"
#include "store/param_match.h"
#include "store/safetensors.h"
#include "test.h"

#define FOLDER TTT_BINARY_DIR "/test_convert"
#define OUT    FOLDER "/out"

static void clear(void)
{
    if (system("rm -rf '" FOLDER "' && mkdir -p '" FOLDER "'") != 0) exit(1);
}

static char *shared(const char *name)
{
    const char *path = test_shared(name);
    return path ? ttt_strdup(path) : NULL;
}

/* Every tensor of OUT is that of the golden folder, rounded to the type. */
static void check_equal(const char *golden_path, ttt_dtype dtype)
{
    ttt_safetensors *golden, *out;
    CHECK_OK(ttt_safetensors_open(&golden, golden_path));
    CHECK_OK(ttt_safetensors_open(&out, OUT));
    CHECK_EQ(ttt_safetensors_count(out), ttt_safetensors_count(golden));
    for (int64_t i = 0; i < ttt_safetensors_count(golden); i++) {
        const ttt_tensor *a = ttt_safetensors_at(golden, i), *b = ttt_safetensors_find(out, a->name);
        CHECK(b && b->dtype == dtype && ttt_shape_equal(a->shape, a->rank, b->shape, b->rank));
        unsigned char *expected = ttt_alloc(b->bytes, 1);
        ttt_dtype_convert(expected, dtype, a->data, a->dtype, (size_t)ttt_tensor_count(a));
        CHECK(memcmp(expected, b->data, b->bytes) == 0);
        ttt_free(expected);
    }
    ttt_safetensors_close(golden);
    ttt_safetensors_close(out);
}

static void check_same(const ttt_config *a, const ttt_config *b)
{
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (!ttt_keys[i].kind->equal(&ttt_keys[i], a, b)) CHECK_STR(ttt_keys[i].name, "equal");
}

/* The folder's configuration from a stream's shapes alone is the golden folder's. */
static void test_golden(const char *stream, const char *model, const char *config, ttt_dtype dtype)
{
    char *in = shared(stream);
    if (!in) {
        SKIP("../shared/%s is not part of the repository", stream);
        return;
    }
    ttt_config expected, written, read;
    clear();
    CHECK_OK(ttt_convert(in, OUT, NULL, &written));
    CHECK_OK(ttt_config_load(&expected, test_shared(config)));
    CHECK_OK(ttt_config_load(&read, OUT "/config.json"));
    check_same(&written, &expected);
    check_same(&read, &expected);
    check_equal(test_shared(model), dtype);
    ttt_free(in);
}

static void test_options(void)
{
    char *in = shared("goldens/linear_mamba_preconv/config.json");
    if (!in) {
        SKIP("../shared/goldens is not part of the repository");
        return;
    }
    *strrchr(in, '/') = '\0';
    clear();
    ttt_config config;
    CHECK_OK(ttt_convert(in, OUT, &(ttt_convert_options){.precision = "bf16"}, NULL));
    check_equal(test_shared("goldens/linear_mamba_preconv/model.safetensors"), TTT_BF16);
    CHECK_OK(ttt_convert(in, OUT, &(ttt_convert_options){.precision = "f16"}, NULL)); /* over a model folder */
    check_equal(test_shared("goldens/linear_mamba_preconv/model.safetensors"), TTT_F16);
    CHECK_FAILS(ttt_convert(in, OUT, &(ttt_convert_options){.precision = "f8"}, NULL), TTT_ERR_ARGUMENT, "f8");
    CHECK_FAILS(ttt_convert(OUT, OUT, NULL, NULL), TTT_ERR_ARGUMENT, "over itself");

    const char *other = "{\"rope_theta\": 500.0, \"kept\": 1}", *path = FOLDER "/other.json";
    CHECK_OK(ttt_file_write(path, other, strlen(other)));
    CHECK_OK(ttt_convert(in, OUT, &(ttt_convert_options){.config = path}, &config));
    CHECK(config.rope_theta == 500 && config.hidden_size == 32 && config.mini_batch_size == 16 && config.share_qk);
    CHECK_OK(ttt_convert(in, OUT, &(ttt_convert_options){.config = "125m"}, &config));
    CHECK_EQ(config.num_hidden_layers, 2);
    CHECK_FAILS(ttt_convert(in, OUT, &(ttt_convert_options){.config = "126m"}, NULL), TTT_ERR_ARGUMENT, "126m");
    ttt_free(in);
}

static void copy(const char *from, const char *to)
{
    ttt_map map;
    CHECK_OK(ttt_map_open(&map, from));
    CHECK_OK(ttt_file_write(to, map.data, map.size));
    ttt_map_close(&map);
}

/* Tensors that do not fit the config.json beside them, and companions. */
static void test_folder(void)
{
    char *model = shared("goldens/linear_mamba_preconv/model.safetensors");
    char *config = shared("goldens/linear_mamba_preconv/config.json");
    static const char foreign[] = "{\"model_type\":\"gpt2\"}";
    char *other = shared("goldens/linear_mamba/config.json"), *k4 = shared("goldens/linear_k4/config.json");
    if (!model || !config || !other || !k4) {
        SKIP("../shared/goldens is not part of the repository");
        return;
    }
    clear();
    CHECK_OK(ttt_folder_make(FOLDER "/in"));
    copy(model, FOLDER "/in/model.safetensors");
    copy(other, FOLDER "/in/config.json");
    CHECK_FAILS(ttt_convert(FOLDER "/in", OUT, NULL, NULL), TTT_ERR_FORMAT,
                "conv.conv.bias of shape [32] is no parameter");
    CHECK(!ttt_file_exists(OUT));
    copy(k4, FOLDER "/in/config.json");
    CHECK_FAILS(ttt_convert(FOLDER "/in", OUT, NULL, NULL), TTT_ERR_FORMAT,
                "has shape [16] where the configuration needs [4]");
    CHECK_OK(ttt_file_write(FOLDER "/in/config.json", foreign, strlen(foreign)));
    CHECK_FAILS(ttt_convert(FOLDER "/in", OUT, NULL, NULL), TTT_ERR_UNSUPPORTED, "gpt2");
    copy(config, FOLDER "/in/config.json");
    CHECK_OK(ttt_file_write(FOLDER "/in/tokenizer.json", "{}", 2));
    CHECK_OK(ttt_convert(FOLDER "/in", OUT "/", NULL, NULL));
    CHECK(ttt_file_exists(OUT "/tokenizer.json") && !ttt_file_exists(OUT "/tokenizer.model"));
    check_equal(model, TTT_F32);
    CHECK_OK(ttt_folder_make(OUT "/checkpoint"));
    CHECK_FAILS(ttt_convert(FOLDER "/in", OUT, NULL, NULL), TTT_ERR_ARGUMENT, "training run");
    CHECK_OK(ttt_folder_make(FOLDER "/mine"));
    CHECK_OK(ttt_file_write(FOLDER "/mine/letter.txt", "x", 1));
    CHECK_FAILS(ttt_convert(FOLDER "/in", FOLDER "/mine", NULL, NULL), TTT_ERR_ARGUMENT, "no model folder");
    CHECK_FAILS(ttt_convert(FOLDER "/in", FOLDER "/mine/letter.txt", NULL, NULL), TTT_ERR_IO, "a file has this name");
    CHECK_FAILS(ttt_convert(FOLDER "/mine", FOLDER "/new", NULL, NULL), TTT_ERR_IO, "holds neither");
    CHECK_FAILS(ttt_convert(FOLDER "/nothing", FOLDER "/new", NULL, NULL), TTT_ERR_IO, "nothing");
    CHECK_FAILS(ttt_convert(FOLDER "/in", "/proc/none/new", NULL, NULL), TTT_ERR_IO, "/proc/none");
    remove(FOLDER "/in/config.json"); /* told by the shapes */
    CHECK_OK(ttt_convert(FOLDER "/in", FOLDER "/new", NULL, NULL));
    CHECK_OK(ttt_convert(FOLDER "/in/model.safetensors", FOLDER "/newer", NULL, NULL));
    ttt_free(model);
    ttt_free(config);
    ttt_free(other);
    ttt_free(k4);
}

/* A full disk and short memory at each moment: an error, and no OUT. */
static void test_faults(void)
{
    char *in = shared("goldens/jax/linear_mamba_preconv_f32.streaming_params");
    if (!in) {
        SKIP("../shared/goldens is not part of the repository");
        return;
    }
    clear();
    const int64_t allocations = fault_count(TTT_CALL_ALLOC), writes = fault_count(TTT_CALL_WRITE);
    CHECK_OK(ttt_convert(in, OUT, NULL, NULL));
    const int64_t allocation_count = fault_count(TTT_CALL_ALLOC) - allocations,
                  write_count = fault_count(TTT_CALL_WRITE) - writes;
    for (int64_t i = 1; i <= write_count; i++) {
        clear();
        fault_at(TTT_CALL_WRITE, i, 0);
        CHECK_FAILS(ttt_convert(in, OUT, NULL, NULL), TTT_ERR_IO, "No space left");
        CHECK(rmdir(FOLDER) == 0); /* nothing is left behind */
    }
    fault_at(TTT_CALL_WRITE, 0, 0);
    for (int64_t i = 1; i <= allocation_count; i++) {
        if (ttt_file_exists(OUT)) clear();
        fault_at(TTT_CALL_ALLOC, i, 0);
        const ttt_status status = ttt_convert(in, OUT, NULL, NULL);
        CHECK(status == TTT_ERR_MEMORY || status == TTT_OK); /* syncing a folder does without */
        CHECK_EQ(ttt_file_exists(OUT), status == TTT_OK);
    }
    fault_at(TTT_CALL_ALLOC, 0, 0);
    ttt_free(in);
}

/* ---- quantised weights ---- */

#define OTHER FOLDER "/other"

/* Every matrix of OUT is what the quantiser makes of the source's, everything else is as it was. */
static void check_quantised(const char *source_path, ttt_precision precision)
{
    ttt_safetensors *source, *out;
    CHECK_OK(ttt_safetensors_open(&source, source_path));
    CHECK_OK(ttt_safetensors_open(&out, OUT));
    int64_t matrices = 0;
    for (int64_t i = 0; i < ttt_safetensors_count(source); i++) {
        const ttt_tensor *a = ttt_safetensors_at(source, i), *b = ttt_safetensors_find(out, a->name);
        char name[128];
        snprintf(name, sizeof name, "%s.scales", a->name);
        const ttt_tensor *scales = ttt_safetensors_find(out, name);
        const bool matrix = strstr(a->name, "proj.weight") || strstr(a->name, "embed") || strstr(a->name, "lm_head");
        CHECK(b && matrix == (scales != NULL));
        if (!matrix) {
            CHECK(b->dtype == a->dtype && b->bytes == a->bytes && memcmp(a->data, b->data, a->bytes) == 0);
            continue;
        }
        matrices++;
        const ttt_matrix m = {.dtype = a->dtype, .values = a->data, .rows = a->shape[0], .columns = a->shape[1]};
        const int64_t bytes = ttt_code_bytes(precision, m.columns), blocks = ttt_blocks(m.columns);
        CHECK(b->dtype == (precision == TTT_PRECISION_Q8 ? TTT_I8 : TTT_U8) && scales->dtype == TTT_BF16);
        CHECK(b->shape[0] == m.rows && b->shape[1] == bytes && scales->shape[0] == m.rows &&
              scales->shape[1] == blocks);
        unsigned char codes[512];
        uint16_t s[16];
        for (int64_t r = 0; r < m.rows; r++) {
            CHECK(ttt_matrix_quantize(&m, precision, r, codes, s));
            CHECK(memcmp(codes, (const char *)b->data + r * bytes, (size_t)bytes) == 0);
            CHECK(memcmp(s, (const char *)scales->data + 2 * r * blocks, 2 * (size_t)blocks) == 0);
        }
    }
    CHECK(matrices >= 7);
    CHECK_EQ(ttt_safetensors_count(out), ttt_safetensors_count(source) + matrices);
    ttt_safetensors_close(source);
    ttt_safetensors_close(out);
}

static void same_file(const char *a, const char *b)
{
    ttt_map left, right;
    CHECK_OK(ttt_map_open(&left, a));
    CHECK_OK(ttt_map_open(&right, b));
    CHECK(left.size == right.size && memcmp(left.data, right.data, left.size) == 0);
    ttt_map_close(&left);
    ttt_map_close(&right);
}

/* The same numbers; a zero may have either sign. */
static void same_values(const char *a, const char *b)
{
    ttt_safetensors *left, *right;
    CHECK_OK(ttt_safetensors_open(&left, a));
    CHECK_OK(ttt_safetensors_open(&right, b));
    CHECK_EQ(ttt_safetensors_count(left), ttt_safetensors_count(right));
    for (int64_t i = 0; i < ttt_safetensors_count(left); i++) {
        const ttt_tensor *x = ttt_safetensors_at(left, i), *y = ttt_safetensors_at(right, i);
        CHECK(x->dtype == TTT_F32 && y->dtype == TTT_F32 && x->bytes == y->bytes);
        for (size_t k = 0; k < x->bytes; k += sizeof(float)) {
            float v[2];
            memcpy(&v[0], (const char *)x->data + k, sizeof(float));
            memcpy(&v[1], (const char *)y->data + k, sizeof(float));
            CHECK(v[0] == v[1]);
        }
    }
    ttt_safetensors_close(left);
    ttt_safetensors_close(right);
}

static bool file_says(const char *path, const char *text)
{
    ttt_buffer buffer = {0};
    CHECK_OK(ttt_file_read(&buffer, path, 1 << 20));
    const bool found = strstr(buffer.data, text) != NULL;
    ttt_buffer_deinit(&buffer);
    return found;
}

static void test_weights(const char *folder)
{
    char *in = shared(folder);
    if (!in) {
        SKIP("../shared/%s is not part of the repository", folder);
        return;
    }
    *strrchr(in, '/') = '\0';
    static const char *const names[] = {"q8", "q4"};
    for (int i = 0; i < 2; i++) {
        const ttt_convert_options quantise = {.weights = names[i]}, back = {.weights = "f32"};
        clear();
        CHECK_OK(ttt_convert(in, OUT, &quantise, NULL));
        char *model = ttt_path_join(in, "model.safetensors");
        check_quantised(model, i == 0 ? TTT_PRECISION_Q8 : TTT_PRECISION_Q4);
        ttt_free(model);
        CHECK(file_says(OUT "/config.json", i == 0 ? "\"bits\": 8" : "\"bits\": 4"));
        /* Codes stay as they are; and so do the values that they stand for, there and back. */
        CHECK_OK(ttt_convert(OUT, OTHER, NULL, NULL));
        same_file(OUT "/model.safetensors", OTHER "/model.safetensors");
        same_file(OUT "/config.json", OTHER "/config.json");
        CHECK_OK(
            ttt_convert(OUT "/model.safetensors", OTHER, &(ttt_convert_options){.config = OUT "/config.json"}, NULL));
        same_file(OUT "/model.safetensors", OTHER "/model.safetensors");
        CHECK_OK(ttt_convert(OUT, OTHER, &back, NULL));
        CHECK(!file_says(OTHER "/config.json", "quantization_config"));
        CHECK_OK(ttt_convert(OTHER, OUT, &quantise, NULL));
        CHECK_OK(ttt_convert(OUT, FOLDER "/third", &back, NULL));
        same_values(OTHER, FOLDER "/third");
    }
    CHECK_FAILS(ttt_convert(in, OUT, &(ttt_convert_options){.weights = "q5"}, NULL), TTT_ERR_ARGUMENT, "weights q5");
    ttt_free(in);
}

/* Codes need scales of the right shape, type and values, and all matrices one precision. */
static void test_match_codes(void)
{
    const int8_t codes[2 * 40] = {1};
    uint16_t scales[4] = {0x3f80, 0x3f80, 0x3f80, 0x3f80};
    const float values[2 * 40] = {0};
    const ttt_param_spec specs[] = {{.name = "a", .rank = 2, .shape = {2, 40}, .role = TTT_ROLE_MATRIX},
                                    {.name = "b", .rank = 2, .shape = {2, 40}, .role = TTT_ROLE_MATRIX}};
    const ttt_tensor sound[] = {{"a", TTT_I8, 2, {2, 40}, codes, 80},
                                {"a.scales", TTT_BF16, 2, {2, 2}, scales, 8},
                                {"b", TTT_I8, 2, {2, 40}, codes, 80},
                                {"b.scales", TTT_BF16, 2, {2, 2}, scales, 8}};
    ttt_param_found *found;
    ttt_precision stored;
    CHECK_OK(ttt_param_match(specs, 2, sound, 4, "m", &found, &stored));
    CHECK(stored == TTT_PRECISION_Q8 && found[1].tensor == &sound[2] && found[1].scales == &sound[3]);
    ttt_free(found);
    CHECK_FAILS(ttt_param_match(specs, 2, sound, 3, "m", &found, &stored), TTT_ERR_FORMAT, "b.scales is missing");
    CHECK_FAILS(ttt_param_match(specs, 1, sound, 4, "m", &found, &stored), TTT_ERR_FORMAT, "tensor b of shape");
    const struct {
        int which;
        ttt_tensor tensor;
        const char *sentence;
    } faults[] = {
        {0, {"a", TTT_I8, 2, {2, 20}, codes, 40}, "a has shape [2, 20] where q8 codes need [2, 40]"},
        {0, {"a", TTT_U8, 2, {2, 40}, codes, 80}, "a has shape [2, 40] where q4 codes need [2, 20]"},
        {0, {"a", TTT_U8, 2, {2, 20}, codes, 40}, "tensor b has type I8 and a U8: matrices are of one precision"},
        {2, {"b", TTT_F32, 2, {2, 40}, values, 320}, "tensor b has type F32 and a I8: matrices are of one precision"},
        {1, {"a.scales", TTT_BF16, 2, {2, 1}, scales, 4}, "a.scales has shape [2, 1] where q8 codes need [2, 2]"},
        {1, {"a.scales", TTT_F32, 2, {2, 2}, values, 16}, "a.scales has type F32; scales are BF16"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ttt_tensor tensors[4];
        memcpy(tensors, sound, sizeof sound);
        tensors[faults[i].which] = faults[i].tensor;
        CHECK_FAILS(ttt_param_match(specs, 2, tensors, faults[i].which == 2 ? 3 : 4, "m", &found, &stored),
                    TTT_ERR_FORMAT, faults[i].sentence);
    }
    scales[3] = 0x7f80;
    CHECK_FAILS(ttt_param_match(specs, 2, sound, 4, "m", &found, &stored), TTT_ERR_FORMAT, "a.scales holds a scale");
}

/* A tied head may be stored once more, and only if it is the same; old folders hold the angles of a rotation. */
static void test_match(void)
{
    float embedding[4] = {1, 2, 3, 4}, same[4] = {1, 2, 3, 4}, other[4] = {1, 2, 3, 5}, angles[2] = {1, 0.5F};
    const ttt_param_spec spec = {.name = "model.embed_tokens.weight", .rank = 2, .shape = {2, 2}};
    ttt_tensor tensors[] = {{"lm_head.weight", TTT_F32, 2, {2, 2}, same, 16},
                            {"model.embed_tokens.weight", TTT_F32, 2, {2, 2}, embedding, 16}};
    ttt_param_found *found;
    ttt_precision stored;
    CHECK_OK(ttt_param_match(&spec, 1, tensors, 2, "m", &found, &stored));
    CHECK(found[0].tensor == &tensors[1] && !found[0].scales && stored == TTT_PRECISION_F32);
    ttt_free(found);
    tensors[0].data = other;
    CHECK_FAILS(ttt_param_match(&spec, 1, tensors, 2, "m", &found, &stored), TTT_ERR_FORMAT, "lm_head.weight differs");
    CHECK_FAILS(ttt_param_match(&spec, 1, tensors, 1, "m", &found, &stored), TTT_ERR_FORMAT,
                "of shape [2, 2], which is missing; there is lm_head.weight");
    ttt_tensor old[] = {tensors[1], {"model.layers.0.self_attn.rotary_emb.inv_freq", TTT_F32, 1, {2}, angles, 8}};
    CHECK_OK(ttt_param_match(&spec, 1, old, 2, "m", &found, &stored));
    ttt_free(found);
    old[1].name = "model.layers.0.self_attn.rotary_emb.inv_freq2";
    CHECK_FAILS(ttt_param_match(&spec, 1, old, 2, "m", &found, &stored), TTT_ERR_FORMAT, "inv_freq2 of shape [2]");
    ttt_tensor wrapped[] = {tensors[0], tensors[1]};
    wrapped[1].name = "module._orig_mod.model.embed_tokens.weight";
    CHECK_FAILS(ttt_param_match(&spec, 1, wrapped, 2, "m", &found, &stored), TTT_ERR_FORMAT,
                "there is module._orig_mod.model.embed_tokens.weight: save the model itself");
    tensors[1].dtype = TTT_I32;
    CHECK_FAILS(ttt_param_match(&spec, 1, tensors + 1, 1, "m", &found, &stored), TTT_ERR_FORMAT, "type I32");
}

/* What shapes do not tell comes from the standard configuration of these sizes. */
static void test_complete(void)
{
    ttt_config config;
    CHECK_OK(ttt_config_standard(&config, "small"));
    config.ttt_layer_type = TTT_LEARNER_MLP;
    config.max_position_embeddings = 0;
    CHECK_OK(ttt_config_complete(&config));
    CHECK_EQ(config.max_position_embeddings, 512);
    CHECK_NEAR(config.ttt_base_lr, 0.1, 0);
    config.hidden_size = 96;
    CHECK_OK(ttt_config_complete(&config));
    CHECK_EQ(config.max_position_embeddings, 2048);
}

/* A model of these blocks, written into OUT. */
static void make_model(ttt_config *config, const char *layers)
{
    ttt_train_options options;
    ttt_trainer *trainer;
    clear();
    CHECK_OK(ttt_config_standard(config, "tiny"));
    config->hidden_size = 32;
    config->intermediate_size = 48;
    config->vocab_size = 300;
    CHECK_OK(ttt_config_set(config, "layers", layers));
    ttt_train_options_init(&options);
    options.context = options.steps = options.batch = 1;
    CHECK_OK(ttt_trainer_new(&trainer, config, &options));
    CHECK_OK(ttt_trainer_save_model(trainer, OUT));
    ttt_trainer_free(trainer);
}

static ttt_status stop_at_third(void *context, int64_t done, int64_t total)
{
    (void)context;
    CHECK(total > 3);
    return done < 2 ? TTT_OK : TTT_ERR_INTERRUPTED;
}

static void test_stopped(void)
{
    ttt_config config;
    const ttt_convert_options stopped = {.progress = stop_at_third};
    make_model(&config, "ttt_linear+ffn");
    CHECK_EQ(ttt_convert(OUT, FOLDER "/new", &stopped, NULL), TTT_ERR_INTERRUPTED);
    CHECK(!ttt_file_exists(FOLDER "/new") && !ttt_file_exists(FOLDER "/new.ttt-partial"));
}

/* What the blocks are made of is told by the names of tensors; their order only by a config.json. */
static void test_layers(void)
{
    ttt_config config, read;
    const char *list = "ffn,ttt_linear+ffn,2*ttt_mlp,conv+ffn,\"ttt_linear\"";
    make_model(&config, list);
    CHECK_OK(ttt_convert(OUT "/model.safetensors", FOLDER "/again", NULL, &read));
    CHECK_EQ(read.model_type, TTT_MODEL_TTT_EXT);
    CHECK_EQ(read.num_hidden_layers, 6);
    CHECK(ttt_key_layers.equal(ttt_key_find("layers"), &read, &config));
    CHECK_OK(ttt_config_load(&read, FOLDER "/again/config.json"));
    CHECK(ttt_key_layers.equal(ttt_key_find("layers"), &read, &config));
    CHECK_OK(ttt_convert(OUT, FOLDER "/codes", &(ttt_convert_options){.weights = "q8"}, &read));
    CHECK(ttt_key_layers.equal(ttt_key_find("layers"), &read, &config));

    make_model(&config, "ffn+ttt_mlp,conv+ttt_linear+ffn");
    const ttt_convert_options with_config = {.config = OUT "/config.json"};
    CHECK_OK(ttt_convert(OUT "/model.safetensors", FOLDER "/again", &with_config, &read));
    CHECK(ttt_key_layers.equal(ttt_key_find("layers"), &read, &config));
    CHECK_STR(ttt_config_block(&read, 0), "ffn+ttt_mlp");
}

/* Names whose numbers say that there are more blocks than a model may have, or that one of them is missing. */
static void test_block_numbers(void)
{
    ttt_tensor tensors[] = {{"model.embed_tokens.weight", TTT_F32, 2, {2, 2}, NULL, 16},
                            {"model.layers.999999998.x", TTT_F32, 1, {1}, NULL, 4},
                            {"model.norm.weight", TTT_F32, 1, {2}, NULL, 8}};
    ttt_config config;
    ttt_config_init(&config);
    CHECK_FAILS(ttt_config_infer(&config, tensors, 3, "m"), TTT_ERR_FORMAT, "m: 999999999 blocks");
    tensors[1].name = "model.layers.x";
    CHECK_FAILS(ttt_config_infer(&config, tensors, 3, "m"), TTT_ERR_FORMAT, "m: 0 blocks");
    tensors[1].name = "model.layers.3.x";
    CHECK_FAILS(ttt_config_infer(&config, tensors, 3, "m"), TTT_ERR_FORMAT, "no TTT model");
}

int main(void)
{
    test_stopped();
    test_layers();
    test_block_numbers();
    test_golden("goldens/jax/linear_mamba_preconv_f32.streaming_params",
                "goldens/linear_mamba_preconv/model.safetensors", "goldens/linear_mamba_preconv/config.json", TTT_F32);
    test_golden("goldens/jax/mlp_mamba_preconv_f32.streaming_train_state",
                "goldens/mlp_mamba_preconv/model.safetensors", "goldens/mlp_mamba_preconv/config.json", TTT_F32);
    test_golden("goldens/jax/mlp_mamba_preconv_bf16.streaming_train_state",
                "goldens/mlp_mamba_preconv/model.safetensors", "goldens/mlp_mamba_preconv/config.json", TTT_BF16);
    test_options();
    test_folder();
    test_faults();
    test_weights("goldens/linear_mamba_preconv/config.json");
    test_weights("goldens/mlp_transformer/config.json");
    test_match();
    test_match_codes();
    test_complete();
    return test_end();
}
