/* SPDX-License-Identifier: MIT
 *
 * State files: saved at every position round the ends of mini-batches and loaded again, in files and in memory, with
 * another number of threads, a state of every layer in every precision goes on with the same bits. What is of another
 * model, damaged or made up is refused by the field or tensor that is wrong; and an old file outlives a failed save.
 */
#include <ttt/state.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"
#include "model/state.h"
#include "small_config.h"
#include "store/safetensors_write.h"
#include "store/state_file.h"
#include "test.h"

enum { V = 37, TOKENS = 70, MORE = 9 };

static int32_t tokens[TOKENS + MORE];

static ttt_config config_of(const char *layers, int64_t K)
{
    ttt_config config = small_config(V, 16, 2, 1);
    config.mini_batch_size = K;
    config.initializer_range = 0.3;
    CHECK_OK(ttt_config_set(&config, "layers", layers));
    return config;
}

static ttt_model *model_of(const ttt_config *config, const char *backend, const char *precision, uint64_t seed)
{
    ttt_model *model = NULL;
    const ttt_model_options options = {.backend = backend, .precision = precision, .threads = 1};
    CHECK_OK(ttt_model_new(&model, config, seed, &options));
    if (!model) exit(1);
    return model;
}

static void read_tokens(ttt_context *context, ttt_state *state, int64_t count, float *logits)
{
    const ttt_feed feed = {.state = state,
                           .tokens = tokens + ttt_state_position(state),
                           .count = count,
                           .which = logits ? TTT_LOGITS_ALL : TTT_LOGITS_NONE,
                           .logits = logits};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
}

/* What the state gives for the next tokens; it is as before afterwards. */
static void go_on(ttt_context *context, const ttt_state *state, float logits[MORE * V])
{
    ttt_state *copy;
    CHECK_OK(ttt_state_new(&copy, ttt_state_model(state)));
    CHECK_OK(ttt_state_copy(copy, state));
    read_tokens(context, copy, MORE, logits);
    ttt_state_free(copy);
}

static bool same_hash(ttt_token_hash a, ttt_token_hash b) { return a.low == b.low && a.high == b.high; }

/* The state, by way of a file and by way of memory, whose bytes are the same. */
static void check_saved(ttt_context *here, ttt_context *there, const ttt_state *state)
{
    static float expected[MORE * V], found[MORE * V];
    static const char note[] = "{\"text\": \"a \\ and \xc3\xa4\n\"}";
    const ttt_state_about about = {.name = "notes.1", .parent = "notes", .note = note, .tokens = true};
    const int64_t position = ttt_state_position(state);
    ttt_state_file *file;
    ttt_state *loaded;
    void *bytes;
    size_t size;
    ttt_map map;
    go_on(here, state, expected);
    CHECK_OK(ttt_state_save(state, "a.ttt", &about));
    CHECK_OK(ttt_state_write(state, &about, &bytes, &size));
    CHECK_OK(ttt_map_open(&map, "a.ttt"));
    CHECK(map.size == size && memcmp(map.data, bytes, size) == 0);
    ttt_map_close(&map);
    CHECK_OK(ttt_state_file_parse(&file, bytes, size, "the bytes"));
    const ttt_state_info *info = ttt_state_file_info(file);
    CHECK_EQ(info->position, position);
    CHECK_EQ(info->mini_batch_position, position % ttt_state_model(state)->lm.config.mini_batch_size);
    CHECK(info->tokens && memcmp(info->tokens, tokens, (size_t)position * sizeof *tokens) == 0);
    CHECK(same_hash(info->token_hash, ttt_state_token_hash(state)));
    CHECK_STR(info->name, "notes.1");
    CHECK_STR(info->parent, "notes");
    CHECK_STR(info->note, note);
    CHECK_STR(info->fingerprint, ttt_model_fingerprint(ttt_state_model(state)));
    CHECK_EQ(info->frozen, ttt_state_frozen(state));
    CHECK_EQ(info->bytes, size);
    CHECK_OK(ttt_state_file_load(file, ttt_state_model(state), &loaded));
    ttt_state_file_close(file);
    ttt_state_bytes_free(bytes);
    go_on(there, loaded, found);
    CHECK(memcmp(expected, found, sizeof found) == 0);
    CHECK(same_hash(ttt_state_token_hash(loaded), ttt_state_token_hash(state)));
    int64_t count;
    CHECK(ttt_state_tokens(loaded, &count) && count == position);
    ttt_state_free(loaded);
}

static void moved(const char *layers, const char *backend, const char *precision, int64_t K, int64_t window,
                  bool frozen)
{
    ttt_config config = config_of(layers, K);
    config.sliding_window = window;
    ttt_model *model = model_of(&config, backend, precision, 3);
    ttt_context *here, *there;
    ttt_state *state;
    CHECK_OK(ttt_context_new(&here, model, 1));
    CHECK_OK(ttt_context_new(&there, model, 3));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_state_remember(state));
    ttt_state_freeze(state, frozen);
    for (int64_t position = 0; position <= TOKENS; position++) {
        const int64_t next = (position + 1) % K, places = K < TOKENS ? K : 23;
        if (next <= 2 || position % places == K / 2) check_saved(here, there, state);
        if (position < TOKENS) read_tokens(here, state, 1, NULL);
    }
    ttt_state_free(state);
    ttt_context_free(here);
    ttt_context_free(there);
    ttt_model_free(model);
}

/* ---- hashes of tokens, and what is remembered ---- */

static void hashes(void)
{
    ttt_token_hash whole = {0};
    ttt_token_hash_add(&whole, tokens, TOKENS);
    for (int64_t cut = 0; cut <= TOKENS; cut += 7) {
        ttt_token_hash parts = {0};
        ttt_token_hash_add(&parts, tokens, cut);
        CHECK(cut == 0 || !same_hash(parts, (ttt_token_hash){0}));
        CHECK(cut == TOKENS || !same_hash(parts, whole));
        ttt_token_hash_add(&parts, tokens + cut, TOKENS - cut);
        CHECK(same_hash(parts, whole));
    }
    const int32_t some[] = {1, 2}, others[] = {2, 2};
    ttt_token_hash one = {0}, other = {0};
    ttt_token_hash_add(&one, some, 2);
    ttt_token_hash_add(&other, others, 2);
    CHECK(!same_hash(one, other)); /* all count, not the last alone */
}

static void remembered(void)
{
    const ttt_config config = config_of("ttt_linear+ffn", 16);
    ttt_model *model = model_of(&config, "cpu", "f32", 1);
    ttt_context *context;
    ttt_state *state, *copy;
    int64_t count = 1;
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_state_new(&copy, model));
    CHECK(!ttt_state_tokens(state, &count) && count == 0);
    CHECK_OK(ttt_state_remember(state));
    CHECK(ttt_state_tokens(state, &count) && count == 0);
    for (int part = 0; part < 3; part++) read_tokens(context, state, 11, NULL);
    CHECK_OK(ttt_state_remember(state));
    CHECK(memcmp(ttt_state_tokens(state, &count), tokens, 33 * sizeof *tokens) == 0 && count == 33);
    ttt_token_hash hash = {0};
    ttt_token_hash_add(&hash, tokens, 33);
    CHECK(same_hash(hash, ttt_state_token_hash(state)));
    CHECK_OK(ttt_state_copy(copy, state));
    read_tokens(context, state, 5, NULL);
    CHECK(memcmp(ttt_state_tokens(copy, &count), tokens, 33 * sizeof *tokens) == 0 && count == 33);
    CHECK(same_hash(hash, ttt_state_token_hash(copy)));
    ttt_state_freeze(copy, false);
    CHECK(ttt_state_tokens(copy, &count));
    ttt_state_freeze(copy, true); /* what follows is of another kind than what these tokens gave */
    CHECK(!ttt_state_tokens(copy, &count));
    CHECK_FAILS(ttt_state_remember(copy), TTT_ERR_ARGUMENT, "did not keep them");
    CHECK_FAILS(ttt_state_save(copy, "none.ttt", &(ttt_state_about){.tokens = true}), TTT_ERR_ARGUMENT, "tokens");
    CHECK_OK(ttt_state_copy(state, copy));
    CHECK(!ttt_state_tokens(state, &count));
    ttt_state_reset(copy);
    CHECK_OK(ttt_state_remember(copy));
    CHECK(same_hash(ttt_state_token_hash(copy), (ttt_token_hash){0}));
    ttt_state_free(state);
    ttt_state_free(copy);
    ttt_context_free(context);
    ttt_model_free(model);
}

/* ---- what is refused ---- */

static void refuse(const ttt_model *model, ttt_status status, const char *part)
{
    ttt_state *state;
    CHECK_FAILS(ttt_state_load(&state, model, "a.ttt"), status, part);
    CHECK(!state);
}

static void foreign(void)
{
    const ttt_config config = config_of("ttt_linear,attention", 16), other = config_of("ttt_linear,attention", 4);
    ttt_model *model = model_of(&config, "cpu", "f32", 1), *twin = model_of(&config, "cpu", "f32", 2),
              *coarse = model_of(&config, "cpu", "q8", 1), *wide = model_of(&config, "ref", "f32", 1),
              *short_batch = model_of(&other, "cpu", "f32", 1);
    ttt_context *context;
    ttt_state *state;
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&state, model));
    read_tokens(context, state, 21, NULL);
    CHECK_OK(ttt_state_save(state, "a.ttt", NULL));
    refuse(twin, TTT_ERR_ARGUMENT, "a.ttt: fingerprint: ");
    refuse(short_batch, TTT_ERR_ARGUMENT, "a.ttt: fingerprint: ");
    refuse(coarse, TTT_ERR_ARGUMENT, "a.ttt: precision: the state was made in f32, and this model computes in q8");
    refuse(wide, TTT_ERR_ARGUMENT, "a.ttt: type: the numbers of the state are F32, and this model's (backend ref)");
    CHECK_FAILS(ttt_state_save(state, "b.ttt", &(ttt_state_about){.name = "../b"}), TTT_ERR_ARGUMENT, "name");
    CHECK_FAILS(ttt_state_save(state, "b.ttt", &(ttt_state_about){.parent = ".b"}), TTT_ERR_ARGUMENT, "parent");
    CHECK(!ttt_file_exists("b.ttt"));
    ttt_state_free(state);
    CHECK_OK(ttt_state_new(&state, wide));
    CHECK_OK(ttt_state_save(state, "a.ttt", NULL));
    refuse(model, TTT_ERR_ARGUMENT, "are F64, and this model's (backend cpu) are F32: open it with the backend ref");
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
    ttt_model_free(twin);
    ttt_model_free(coarse);
    ttt_model_free(wide);
    ttt_model_free(short_batch);
}

static void parse(const void *bytes, size_t size, const char *part)
{
    ttt_state_file *file;
    CHECK_FAILS(ttt_state_file_parse(&file, bytes, size, "bytes"), TTT_ERR_FORMAT, part);
    CHECK(!file);
}

/* Every length and, spread over the file, every bit: nothing of it is believed. */
static void damaged(const ttt_state *state)
{
    unsigned char *bytes;
    size_t size;
    void *written;
    CHECK_OK(ttt_state_write(state, NULL, &written, &size));
    bytes = written;
    for (size_t length = 0; length < size; length += length < 1000 ? 1 : 61)
        parse(bytes, length, length < TTT_STATE_CHECKSUM_AT + TTT_STATE_CHECKSUM ? "no state file" : "checksum");
    for (size_t bit = 0; bit < 8 * size; bit += bit < 8 * 1200 ? 1 : 487) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        parse(bytes, size, "bytes: ");
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    unsigned char *longer = ttt_alloc(size + 8, 1);
    memcpy(longer, bytes, size);
    parse(longer, size + 8, "checksum");
    parse("\x89PNG\r\n\x1a\n and more of a picture", 30, "no state file but a PNG picture");
    ttt_state_file *file;
    CHECK_OK(ttt_state_file_parse(&file, bytes, size, "bytes"));
    ttt_state_file_close(file);
    ttt_free(longer);
    ttt_state_bytes_free(written);
}

static char *find(char *text, size_t size, const char *part)
{
    const size_t length = strlen(part);
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(text + i, part, length) == 0) return text + i;
    return NULL;
}

/* whole.ttt with `to` written over `from` and what is behind it, and a checksum that is right, is refused. */
static void forge(const ttt_model *model, ttt_status status, const char *from, const char *to, const char *part)
{
    ttt_buffer text = {0};
    char sum[TTT_DIGEST_TEXT];
    CHECK_OK(ttt_file_read(&text, "whole.ttt", SIZE_MAX));
    char *place = find(text.data, text.size, from);
    CHECK(place);
    if (!place) return;
    memcpy(place, to, strlen(to));
    CHECK_OK(ttt_state_checksum(sum, text.data, text.size));
    memcpy(text.data + TTT_STATE_CHECKSUM_AT, sum, TTT_STATE_CHECKSUM);
    CHECK_OK(ttt_file_write("a.ttt", text.data, text.size));
    refuse(model, status, part);
    ttt_buffer_deinit(&text);
}

static void forged(const ttt_model *model, ttt_state *state)
{
    const ttt_state_about about = {.name = "notes", .parent = "", .tokens = true};
    CHECK_OK(ttt_state_save(state, "whole.ttt", &about));
    const ttt_status bad = TTT_ERR_FORMAT;
    forge(model, bad, "\"format\":\"ttt_state\"", "\"format\":\"ttt_other\"", "format: ");
    forge(model, bad, "\"format\"", "\"formal\"", "format: the metadata of a state must have it");
    forge(model, TTT_ERR_UNSUPPORTED, "\"version\":\"1\"", "\"version\":\"2\"", "format version 2");
    forge(model, bad, "\"version\":\"1\"", "\"version\":\"0\"", "version: ");
    forge(model, bad, "\"name\":\"notes\"", "\"name\":\"n/tes\"", "name: ");
    forge(model, bad, "\"name\":\"notes\"", "\"name\":\".otes\"", "name: ");
    forge(model, bad, "\"fingerprint\":\"", "\"fingerprint\":\"\\u000", "fingerprint: ");
    forge(model, bad, "\"precision\":\"f32\"", "\"precision\":\"f33\"", "precision: ");
    forge(model, bad, "\"type\":\"F32\"", "\"type\":\"F16\"", "type: ");
    forge(model, bad, "\"type\":\"F32\"", "\"type\":\"F64\"", "is of type F32 in a state of type F64");
    forge(model, bad, "\"position\":\"21\"", "\"position\":\"22\"", "tokens: ");
    forge(model, bad, "\"position\":\"21\"", "\"position\":\"-1\"", "position: it is not a natural number");
    forge(model, bad, "\"position\":\"21\"", "\"position\":\"01\"", "position: it is not a natural number");
    forge(model, bad, "batch_position\":\"5\"", "batch_position\":\"6\"", "mini_batch_position: ");
    forge(model, bad, "\"token_hash\":\"", "\"token_hash\":\"g", "token_hash: ");
    forge(model, bad, "\"token_hash\":\"", "\"token_hash\":\"00000000", "token_hash: it is not that of the tokens");
    forge(model, bad, "\"frozen\":\"false\"", "\"frozen\":\"False\"", "frozen: ");
    forge(model, bad, "\"layers.1.k\"", "\"leyers.1.k\"", "a state has no tensor leyers.1.k");
    forge(model, bad, "\"layers.1.k\"", "\"layers.1.q\"", "lacks tensor layers.1.k");
    forge(model, bad, "\"shape\":[21,2,8]", "\"shape\":[42,8,1]", "must be [21, 2, 8]");
    forge(model, bad, "\"layers.1.k\"", "\"layers.1.v\"", "header");
    float infinite = INFINITY;
    ttt_buffer text = {0};
    CHECK_OK(ttt_file_read(&text, "whole.ttt", SIZE_MAX));
    memcpy(text.data + text.size - 200, &infinite, 4);
    char sum[TTT_DIGEST_TEXT];
    CHECK_OK(ttt_state_checksum(sum, text.data, text.size));
    memcpy(text.data + TTT_STATE_CHECKSUM_AT, sum, TTT_STATE_CHECKSUM);
    CHECK_OK(ttt_file_write("a.ttt", text.data, text.size));
    ttt_state *loaded;
    CHECK(ttt_state_load(&loaded, model, "a.ttt") != TTT_OK);
    ttt_buffer_deinit(&text);
}

/* Positions without tokens, for which no shape would fit in a machine. */
static void far_positions(const ttt_model *model, const ttt_state *state)
{
    CHECK_OK(ttt_state_save(state, "whole.ttt", NULL));
    forge(model, TTT_ERR_FORMAT, "\"position\":\"21\"", "\"position\":\"37\"", "must be [37, 2, 8]");
    ttt_state_table table;
    CHECK_FAILS(ttt_state_table_init(&table, model, INT64_C(999999999999999999)), TTT_ERR_FORMAT, "fits in no memory");
}

static void bad_files(void)
{
    const ttt_config config = config_of("ttt_linear,attention", 16);
    ttt_model *model = model_of(&config, "cpu", "f32", 1);
    ttt_context *context;
    ttt_state *state;
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_state_remember(state));
    read_tokens(context, state, 21, NULL);
    damaged(state);
    forged(model, state);
    far_positions(model, state);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
}

/* ---- under another name, and how far apart ---- */

static void forked(void)
{
    const ttt_config config = config_of("ttt_linear,attention", 16);
    ttt_model *model = model_of(&config, "cpu", "f32", 1);
    ttt_context *context;
    ttt_state *state;
    ttt_state_file *first, *second;
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_state_remember(state));
    read_tokens(context, state, 21, NULL);
    CHECK_OK(ttt_state_save(state, "a.ttt", &(ttt_state_about){.name = "one", .tokens = true}));
    CHECK_OK(ttt_state_file_open(&first, "a.ttt"));
    const ttt_state_info *info = ttt_state_file_info(first);
    CHECK_OK(ttt_state_file_save(first, "b.ttt", &(ttt_state_about){.name = "two", .parent = info->checksum}));
    CHECK_OK(ttt_state_file_open(&second, "b.ttt"));
    const ttt_state_info *fork = ttt_state_file_info(second);
    CHECK_STR(fork->name, "two");
    CHECK_STR(fork->parent, info->checksum);
    CHECK_STR(fork->note, "");
    CHECK(!fork->tokens && same_hash(fork->token_hash, info->token_hash) && fork->position == 21);
    CHECK(strcmp(fork->checksum, info->checksum) != 0);
    CHECK_FAILS(ttt_state_file_save(second, "c.ttt", &(ttt_state_about){.tokens = true}), TTT_ERR_ARGUMENT, "tokens");
    CHECK_FAILS(ttt_state_file_save(second, "c.ttt", &(ttt_state_about){.note = "\xff"}), TTT_ERR_ARGUMENT, "note");
    CHECK_EQ(ttt_state_file_pieces(first), ttt_state_file_pieces(second));
    for (int64_t i = 0; i < ttt_state_file_pieces(first); i++) {
        const ttt_state_difference d = ttt_state_file_difference(first, second, i);
        CHECK(d.comparable && d.largest == 0 && d.distance == 0 && d.size == d.size_second);
    }
    ttt_state_file_close(second);
    read_tokens(context, state, 16, NULL);
    CHECK_OK(ttt_state_save(state, "b.ttt", NULL));
    CHECK_OK(ttt_state_file_open(&second, "b.ttt"));
    int moved_pieces = 0, others = 0;
    for (int64_t i = 0; i < ttt_state_file_pieces(first); i++) {
        const ttt_state_difference d = ttt_state_file_difference(first, second, i);
        moved_pieces += d.comparable && d.largest > 0 && d.distance >= d.largest && d.size > 0;
        others += !d.comparable; /* keys and values of as many tokens as were read */
    }
    CHECK(moved_pieces > 0 && others == 2);
    ttt_state_file_close(first);
    ttt_state_file_close(second);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
}

int main(void)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -rf '%s/scratch/state_file' && mkdir -p '%s/scratch/state_file'",
             TTT_BINARY_DIR, TTT_BINARY_DIR);
    CHECK_EQ(system(command), 0);
    snprintf(command, sizeof command, "%s/scratch/state_file", TTT_BINARY_DIR);
    CHECK_EQ(chdir(command), 0);
    for (int i = 0; i < TOKENS + MORE; i++)
        tokens[i] = (int32_t)(ttt_rng_u64((ttt_rng){.seed = 2, .stream = TTT_RNG_TEST}, (uint64_t)i) % V);
    hashes();
    remembered();
    static const char *const mixes[] = {"conv+ttt_linear+ffn,ttt_mlp+ffn,conv+mamba",
                                        "linear_attention,delta_net+ffn,gated_deltanet",
                                        "mamba,attention+ffn,ttt_linear"};
    static const char *const precisions[] = {"f32", "bf16", "q8", "q4"};
    for (int mix = 0; mix < 3; mix++)
        for (int p = 0; p < 4; p++) {
            moved(mixes[mix], "cpu", precisions[p], 16, 0, false);
            moved(mixes[mix], "ref", precisions[p], p % 2 ? 16 : 5, 0, p == 1);
        }
    moved("attention,ttt_linear", "cpu", "f32", 65536, 13, false);
    moved("attention,ttt_mlp", "ref", "f32", 1, 13, true);
    foreign();
    bad_files();
    forked();
    return test_end();
}
