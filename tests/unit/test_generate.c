/* SPDX-License-Identifier: MIT
 *
 * Generation on a small model with random weights: what is written is a function of the text so far and nothing else,
 * it ends where it should, and the state afterwards has read all of it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <ttt/generate.h>
#include <unistd.h>

#include "base/file.h"
#include "small_config.h"
#include "test.h"

enum { IDS = 300, TEXT = 4096 };

static ttt_context *reader;
static ttt_tokenizer *tokenizer;

/* All that a sink was given. */
typedef struct written {
    int32_t ids[IDS];
    int count, calls;
    char text[TEXT];
    size_t size;
    int stop_after; /* calls; 0: never */
} written;

static ttt_status take(void *context, int32_t id, const char *text, size_t size)
{
    written *w = context;
    if (id >= 0 && w->count < IDS) w->ids[w->count++] = id;
    CHECK(w->size + size < TEXT);
    memcpy(w->text + w->size, text, size);
    w->text[w->size += size] = '\0';
    return ++w->calls == w->stop_after ? TTT_ERR_INTERRUPTED : TTT_OK;
}

static ttt_status stop_reading(void *context, int64_t done, int64_t total)
{
    (void)context, (void)done, (void)total;
    return TTT_ERR_INTERRUPTED;
}

static ttt_generate_options defaults(int64_t tokens)
{
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = tokens;
    options.eos[0] = 0;
    options.eos_count = 1;
    options.ignore_eos = true;
    return options;
}

static ttt_status generate(ttt_state *state, const char *prompt, const ttt_generate_options *options, written *w,
                           ttt_generate_stats *stats)
{
    ttt_ids ids = {0};
    CHECK_OK(ttt_tokenizer_encode(tokenizer, prompt, strlen(prompt), false, &ids));
    const ttt_generate_sink sink = {.piece = take, .context = w};
    const ttt_status status = ttt_generate(reader, tokenizer, state, ids.data, (int64_t)ids.count, options, &sink,
                                           stats);
    ttt_ids_deinit(&ids);
    return status;
}

/* The same ids and text whatever part of the prompt was read before, and the state goes on behind what was written. */
static void test_splits(void)
{
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, ttt_context_model(reader)));
    const ttt_generate_options options = defaults(40);
    const char prompt[] = "a prompt of thirty characters.";
    static written whole, half, rest;
    ttt_generate_stats stats;
    CHECK_OK(generate(state, prompt, &options, &whole, &stats));
    CHECK_EQ(whole.count, 40);
    CHECK_EQ(stats.prompt_tokens, 30);
    CHECK_EQ(stats.new_tokens, 40);
    CHECK_EQ(stats.finish, TTT_FINISH_LENGTH);
    CHECK_EQ(ttt_state_position(state), 70);
    int32_t read[45];
    for (int i = 0; i < 30; i++) read[i] = (unsigned char)prompt[i] + 1;
    for (int cut = 1; cut < 30; cut += 7) {
        written part = {0};
        ttt_state_reset(state);
        CHECK_OK(ttt_context_advance(reader, &(ttt_feed){.state = state, .tokens = read, .count = cut}, 1));
        CHECK_OK(generate(state, prompt + cut, &options, &part, NULL));
        CHECK(memcmp(part.ids, whole.ids, sizeof part.ids) == 0);
        CHECK_STR(part.text, whole.text);
    }

    /* The first 15 new ids as part of the prompt: the same 25 follow, and then the states say the same. */
    ttt_generate_options few = defaults(15);
    ttt_state_reset(state);
    CHECK_OK(generate(state, prompt, &few, &half, NULL));
    ttt_state *other;
    CHECK_OK(ttt_state_new(&other, ttt_context_model(reader)));
    memcpy(read + 30, half.ids, 15 * sizeof *read);
    const ttt_generate_sink sink = {.piece = take, .context = &rest};
    few = defaults(25);
    CHECK_OK(ttt_generate(reader, tokenizer, other, read, 45, &few, &sink, NULL));
    CHECK(memcmp(rest.ids, whole.ids + 15, 25 * sizeof *read) == 0);
    CHECK_EQ(ttt_state_position(other), 70);
    float mine[257], theirs[257];
    CHECK_OK(ttt_context_advance(reader, &(ttt_feed){other, read, 1, TTT_LOGITS_LAST, theirs}, 1));
    ttt_state_reset(state);
    CHECK_OK(generate(state, prompt, &options, &half, NULL));
    CHECK_OK(ttt_context_advance(reader, &(ttt_feed){state, read, 1, TTT_LOGITS_LAST, mine}, 1));
    CHECK(memcmp(mine, theirs, sizeof mine) == 0);
    ttt_state_free(other);
    ttt_state_free(state);
}

static void test_ends(void)
{
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, ttt_context_model(reader)));
    static written all, cut;
    ttt_generate_options options = defaults(120);
    options.sampling.temperature = 2;
    options.sampling.top_p = 1;
    ttt_generate_stats stats;
    CHECK_OK(generate(state, "x", &options, &all, NULL));

    /* The 50th id is made end-of-text: it is the last, it is not text, and it has been read. */
    ttt_generate_options eos = options;
    int first = 0;
    eos.eos[0] = all.ids[50];
    while (all.ids[first] != all.ids[50]) first++;
    eos.ignore_eos = false;
    ttt_state_reset(state);
    CHECK_OK(generate(state, "x", &eos, &cut, &stats));
    CHECK_EQ(cut.count, first + 1);
    CHECK_EQ(stats.finish, TTT_FINISH_EOS);
    CHECK_EQ(ttt_state_position(state), first + 2);

    /* A stop string of three bytes somewhere in the text: the text ends before it. */
    size_t at = 40;
    while (at + 3 < all.size && memchr(all.text + at, '\0', 3)) at++;
    char stop[4] = {0};
    memcpy(stop, all.text + at, 3);
    const char *const stops[] = {"never in this text", stop};
    ttt_generate_options stopping = options;
    stopping.stops = stops;
    stopping.stop_count = 2;
    memset(&cut, 0, sizeof cut);
    ttt_state_reset(state);
    CHECK_OK(generate(state, "x", &stopping, &cut, &stats));
    CHECK_EQ(stats.finish, TTT_FINISH_STOP);
    CHECK(cut.size <= at);
    CHECK(memcmp(cut.text, all.text, cut.size) == 0);
    CHECK(memcmp(all.text + cut.size, stop, 3) == 0);
    CHECK_EQ(ttt_state_position(state), 1 + cut.count);

    /* The sink ends it: its status comes back, and what was shown has been read. */
    memset(&cut, 0, sizeof cut);
    cut.stop_after = 5;
    ttt_state_reset(state);
    const ttt_status status = generate(state, "x", &options, &cut, &stats);
    CHECK_EQ(status, TTT_ERR_INTERRUPTED);
    CHECK_EQ(stats.finish, TTT_FINISH_CANCELLED);
    CHECK_EQ(cut.calls, 5);
    CHECK_EQ(stats.new_tokens, 5);
    CHECK_EQ(ttt_state_position(state), 6);

    /* While the prompt is read: what is left of it is not. */
    int32_t prompt[700] = {0};
    const ttt_generate_sink stopping_sink = {.piece = take, .progress = stop_reading, .context = &cut};
    memset(&cut, 0, sizeof cut);
    ttt_state_reset(state);
    CHECK_EQ(ttt_generate(reader, tokenizer, state, prompt, 700, &options, &stopping_sink, &stats),
             TTT_ERR_INTERRUPTED);
    CHECK_EQ(cut.calls, 0);
    CHECK(stats.prompt_tokens > 0 && stats.prompt_tokens <= 256);
    CHECK_EQ(ttt_state_position(state), stats.prompt_tokens);

    /* No new tokens: the prompt is read, and that is all. */
    options.max_new_tokens = 0;
    memset(&cut, 0, sizeof cut);
    ttt_state_reset(state);
    CHECK_OK(generate(state, "xyz", &options, &cut, &stats));
    CHECK_EQ(cut.count, 0);
    CHECK_EQ(ttt_state_position(state), 3);
    ttt_state_free(state);
}

/* With a penalty beyond all measure no id comes twice, neither of the prompt nor of what was written. */
static void test_repetition(void)
{
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, ttt_context_model(reader)));
    ttt_generate_options options = defaults(200);
    options.sampling = (ttt_sampling){.repetition_penalty = 1e9, .temperature = 0, .top_p = 1};
    static written w;
    int seen[257] = {0};
    CHECK_OK(generate(state, "abc", &options, &w, NULL));
    for (const char *c = "abc"; *c; c++) seen[*c + 1]++;
    for (int i = 0; i < w.count; i++) seen[w.ids[i]]++;
    CHECK_EQ(w.count, 200);
    for (int id = 0; id < 257; id++) CHECK(seen[id] <= 1);
    ttt_state_free(state);
}

static void test_refusals(void)
{
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, ttt_context_model(reader)));
    written w = {0};
    ttt_generate_options options = defaults(4);
    const ttt_generate_sink sink = {.piece = take, .context = &w};
    int32_t id = 257;
    CHECK_FAILS(ttt_generate(reader, NULL, state, &id, 1, &options, &sink, NULL), TTT_ERR_ARGUMENT, "has id 257");
    id = -1;
    CHECK_FAILS(ttt_generate(reader, NULL, state, &id, 1, &options, &sink, NULL), TTT_ERR_ARGUMENT, "has id -1");
    CHECK_FAILS(ttt_generate(reader, NULL, state, &id, 0, &options, &sink, NULL), TTT_ERR_ARGUMENT, "empty");
    id = 5;
    options.max_new_tokens = -2;
    CHECK_FAILS(ttt_generate(reader, NULL, state, &id, 1, &options, &sink, NULL), TTT_ERR_ARGUMENT, "max_new_tokens");
    options = defaults(4);
    options.stops = (const char *const[]){""};
    options.stop_count = 1;
    CHECK_FAILS(ttt_generate(reader, tokenizer, state, &id, 1, &options, &sink, NULL), TTT_ERR_ARGUMENT, "empty");
    CHECK_FAILS(ttt_generate(reader, NULL, state, &id, 1, &options, &sink, NULL), TTT_ERR_ARGUMENT, "tokenizer");
    options = defaults(4);
    options.sampling.top_p = 7;
    CHECK_FAILS(ttt_generate(reader, NULL, state, &id, 1, &options, &sink, NULL), TTT_ERR_ARGUMENT, "top_p");
    CHECK_EQ(ttt_state_position(state), 0);
    CHECK_EQ(w.calls, 0);
    options = defaults(4); /* without a tokenizer there are ids and no text */
    CHECK_OK(ttt_generate(reader, NULL, state, &id, 1, &options, &sink, NULL));
    CHECK_EQ(w.count, 4);
    CHECK_EQ(w.size, 0);
    ttt_state_free(state);
}

static void check_config(const char *folder, const char *text, const char *expected_failure,
                         ttt_generate_options *options)
{
    char path[512];
    snprintf(path, sizeof path, "%s/generation_config.json", folder);
    CHECK_OK(ttt_file_write(path, text, strlen(text)));
    ttt_generate_options_init(options);
    if (expected_failure)
        CHECK_FAILS(ttt_generate_options_load(options, folder, ttt_context_model(reader), tokenizer), TTT_ERR_FORMAT,
                    expected_failure);
    else
        CHECK_OK(ttt_generate_options_load(options, folder, ttt_context_model(reader), tokenizer));
    unlink(path);
}

static void test_generation_config(void)
{
    char folder[] = "/tmp/ttt_test_generate_XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    ttt_generate_options o;
    ttt_generate_options_init(&o);
    CHECK_OK(ttt_generate_options_load(&o, folder, ttt_context_model(reader), tokenizer)); /* no such file */
    CHECK_EQ(o.eos_count, 1);
    CHECK_EQ(o.eos[0], 0);
    CHECK_OK(ttt_generate_options_load(&o, folder, ttt_context_model(reader), NULL)); /* as config.json says: id 2 */
    CHECK_EQ(o.eos_count, 1);
    CHECK_EQ(o.eos[0], 2);
    CHECK_EQ(o.max_new_tokens, 256);
    CHECK_NEAR(o.sampling.temperature, 0.8, 0);
    CHECK_NEAR(o.sampling.top_p, 0.95, 0);
    check_config(folder,
                 "{\"eos_token_id\": [7, 9], \"do_sample\": true, \"temperature\": 0.6, \"top_k\": 40, \"top_p\": null,"
                 " \"repetition_penalty\": 1.1, \"max_new_tokens\": 12, \"max_length\": 4096}",
                 NULL, &o);
    CHECK_EQ(o.eos_count, 2);
    CHECK_EQ(o.eos[1], 9);
    CHECK_NEAR(o.sampling.temperature, 0.6, 0);
    CHECK_EQ(o.sampling.top_k, 40);
    CHECK_NEAR(o.sampling.top_p, 0.95, 0);
    CHECK_NEAR(o.sampling.repetition_penalty, 1.1, 0);
    CHECK_EQ(o.max_new_tokens, 12);
    check_config(folder, "{\"eos_token_id\": 3, \"do_sample\": false}", NULL, &o);
    CHECK_EQ(o.eos[0], 3);
    CHECK_NEAR(o.sampling.temperature, 0, 0);
    check_config(folder, "{\"top_p\": 0, \"top_k\": -1}", NULL, &o); /* both off */
    CHECK_NEAR(o.sampling.top_p, 1, 0);
    CHECK_EQ(o.sampling.top_k, 0);
    check_config(folder, "{\"top_k\": -2}", "top_k", &o);
    check_config(folder, "{\"eos_token_id\": 257}", "eos_token_id", &o);
    check_config(folder, "{\"eos_token_id\": \"x\"}", "eos_token_id", &o);
    check_config(folder, "{\"temperature\": \"hot\"}", "temperature", &o);
    check_config(folder, "{\"top_k\": 1.5}", "top_k", &o);
    check_config(folder, "{\"do_sample\": 1}", "do_sample", &o);
    check_config(folder, "{\"do_sample\": true, \"do_sample\": true}", "generation_config.json: line 1", &o);
    check_config(folder, "[1]", "not a JSON object", &o);
    rmdir(folder);
}

int main(void)
{
    ttt_config config = small_config(257, 16, 2, 2);
    config.mini_batch_size = 4;
    config.use_gate = config.share_qk = config.pre_conv = true;
    ttt_model *model;
    CHECK_OK(ttt_model_new(&model, &config, 1, NULL));
    CHECK_OK(ttt_context_new(&reader, model, 0));
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    test_splits();
    test_ends();
    test_repetition();
    test_refusals();
    test_generation_config();
    ttt_tokenizer_free(tokenizer);
    ttt_context_free(reader);
    ttt_model_free(model);
    return test_end();
}
