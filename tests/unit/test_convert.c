/* SPDX-License-Identifier: MIT
 *
 * Conversion: golden JAX streams become the folders they were made from, sizes and flags told by names and shapes
 * alone; what does not fit is named; a folder is never left half written, nor one overwritten that is not ours.
 */
#include <ttt/convert.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "model/param_names.h"
#include "store/infer_config.h"
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

/* The folder's configuration from a stream's shapes alone is the golden folder's. */
static void test_golden(const char *stream, const char *model, const char *config, ttt_dtype dtype)
{
    char *in = shared(stream);
    if (!in) {
        SKIP("no ../shared/%s", stream);
        return;
    }
    ttt_config expected, written, read;
    clear();
    CHECK_OK(ttt_convert(in, OUT, NULL, &written));
    CHECK_OK(ttt_config_load(&expected, test_shared(config)));
    CHECK_OK(ttt_config_load(&read, OUT "/config.json"));
    CHECK(memcmp(&written, &expected, sizeof written) == 0);
    CHECK(memcmp(&read, &expected, sizeof read) == 0);
    check_equal(test_shared(model), dtype);
    ttt_free(in);
}

static void test_options(void)
{
    char *in = shared("goldens/linear_mamba_preconv/config.json");
    if (!in) {
        SKIP("no ../shared/goldens");
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
    char *other = shared("goldens/linear_mamba/config.json"), *k4 = shared("goldens/linear_k4/config.json");
    char *llama = shared("goldens/llama/config.json");
    if (!model || !config || !other || !k4 || !llama) {
        SKIP("no ../shared/goldens");
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
    copy(llama, FOLDER "/in/config.json");
    CHECK_FAILS(ttt_convert(FOLDER "/in", OUT, NULL, NULL), TTT_ERR_UNSUPPORTED, "llama");
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
    ttt_free(llama);
}

/* A full disk and short memory at each moment: an error, and no OUT. */
static void test_faults(void)
{
    char *in = shared("goldens/jax/linear_mamba_preconv_f32.streaming_params");
    if (!in) {
        SKIP("no ../shared/goldens");
        return;
    }
    clear();
    const int64_t allocations = ttt_alloc_count(), writes = ttt_write_count();
    CHECK_OK(ttt_convert(in, OUT, NULL, NULL));
    const int64_t allocation_count = ttt_alloc_count() - allocations, write_count = ttt_write_count() - writes;
    for (int64_t i = 1; i <= write_count; i++) {
        clear();
        ttt_write_fault(i);
        CHECK_FAILS(ttt_convert(in, OUT, NULL, NULL), TTT_ERR_IO, "No space left");
        CHECK(rmdir(FOLDER) == 0); /* nothing is left behind */
    }
    ttt_write_fault(0);
    for (int64_t i = 1; i <= allocation_count; i++) {
        if (ttt_file_exists(OUT)) clear();
        ttt_alloc_fault(i, 0);
        const ttt_status status = ttt_convert(in, OUT, NULL, NULL);
        CHECK(status == TTT_ERR_MEMORY || status == TTT_OK); /* syncing a folder does without */
        CHECK_EQ(ttt_file_exists(OUT), status == TTT_OK);
    }
    ttt_alloc_fault(0, 0);
    ttt_free(in);
}

/* A tied head may be stored once more, and only if it is the same. */
static void test_match(void)
{
    float embedding[4] = {1, 2, 3, 4}, same[4] = {1, 2, 3, 4}, other[4] = {1, 2, 3, 5};
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
                "of shape [2, 2], which is missing");
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

int main(void)
{
    test_golden("goldens/jax/linear_mamba_preconv_f32.streaming_params",
                "goldens/linear_mamba_preconv/model.safetensors", "goldens/linear_mamba_preconv/config.json", TTT_F32);
    test_golden("goldens/jax/mlp_mamba_preconv_f32.streaming_train_state",
                "goldens/mlp_mamba_preconv/model.safetensors", "goldens/mlp_mamba_preconv/config.json", TTT_F32);
    test_golden("goldens/jax/mlp_mamba_preconv_bf16.streaming_train_state",
                "goldens/mlp_mamba_preconv/model.safetensors", "goldens/mlp_mamba_preconv/config.json", TTT_BF16);
    test_options();
    test_folder();
    test_faults();
    test_match();
    test_complete();
    return test_end();
}
