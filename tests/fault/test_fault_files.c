/* SPDX-License-Identifier: MIT
 *
 * "Load a model, train one step, save, open what was saved, generate" while every allocation in turn fails, and then
 * every write; the same for tokenizers and for conversion. A failure is a sentence, leaks nothing (AddressSanitizer
 * looks), and of every file that was there before either the old content or the whole new one is there after it.
 */
#include <dirent.h>
#include <ttt/convert.h>
#include <ttt/generate.h>
#include <ttt/train.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "fault.h"
#include "small_config.h"

#define TOKENIZERS TTT_SOURCE_DIR "/tests/unit/tokenizers/"

enum { CONTEXT = 8, BATCH = 2, V = 257 };

static const char *const files[] = {"model/model.safetensors", "model/config.json", "checkpoint.safetensors"};
enum { FILES = sizeof files / sizeof *files };

typedef struct job {
    const char *backend;
    const char *from; /* model folder to begin with */
    uint64_t seed;    /* of a fresh model; what is saved depends on it */
} job;

static ttt_status drop(void *context, int32_t id, const char *text, size_t size)
{
    (void)context, (void)id, (void)text, (void)size;
    return TTT_OK;
}

static ttt_status generate(const job *j)
{
    ttt_model *model = NULL;
    ttt_context *context = NULL;
    ttt_state *state = NULL;
    const ttt_model_options options = {.backend = j->backend, .threads = 1};
    ttt_generate_options how;
    ttt_generate_options_init(&how);
    how.max_new_tokens = 4;
    const ttt_generate_sink sink = {.piece = drop};
    ttt_status status = ttt_model_open(&model, "model", &options);
    if (status == TTT_OK) status = ttt_context_new(&context, model, 1);
    if (status == TTT_OK) status = ttt_state_new(&state, model);
    if (status == TTT_OK) status = ttt_generate(context, NULL, state, (const int32_t[]){1, 2}, 2, &how, &sink, NULL);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
    return status;
}

static ttt_status reload(const job *j, ttt_trainer **trainer)
{
    char *note = NULL;
    ttt_trainer_free(*trainer);
    *trainer = NULL;
    const ttt_train_options how = {.backend = j->backend, .threads = 1};
    const ttt_status status = ttt_trainer_load(trainer, "checkpoint.safetensors", &how, &note);
    if (status == TTT_OK) CHECK_STR(note, "a note");
    ttt_string_free(note);
    return status;
}

/* Load, train one step, save, generate. */
static ttt_status work(void *context)
{
    const job *j = context;
    ttt_config config = small_config(V, 8, 2, 1);
    config.use_gate = config.share_qk = config.pre_conv = true;
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = j->backend;
    options.threads = 1;
    options.context = CONTEXT;
    options.segment = 3;
    options.batch = BATCH;
    options.accumulate = 1;
    options.steps = 1;
    options.warmup = 0;
    options.seed = j->seed;
    int32_t tokens[BATCH * (CONTEXT + 1)];
    for (int i = 0; i < BATCH * (CONTEXT + 1); i++) tokens[i] = i * 7 % V;

    ttt_trainer *trainer = NULL;
    ttt_train_result result;
    double loss;
    ttt_status status = ttt_trainer_new(&trainer, &config, &options);
    if (status == TTT_OK && j->from) status = ttt_trainer_load_model(trainer, j->from);
    if (status == TTT_OK) status = ttt_trainer_step(trainer, tokens, &result);
    if (status == TTT_OK) status = ttt_trainer_evaluate(trainer, tokens, 1, &loss, NULL);
    if (status == TTT_OK) status = ttt_trainer_save(trainer, "checkpoint.safetensors", "a note");
    if (status == TTT_OK) status = reload(j, &trainer);
    if (status == TTT_OK) status = ttt_trainer_save_model(trainer, "model");
    if (status == TTT_OK) status = generate(j);
    ttt_trainer_free(trainer);
    return status;
}

static void read_files(ttt_buffer contents[FILES])
{
    for (int i = 0; i < FILES; i++) {
        contents[i].size = 0;
        CHECK_OK(ttt_file_read(&contents[i], files[i], SIZE_MAX));
    }
}

static bool equal(const ttt_buffer *a, const ttt_buffer *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *open = opendir(folder);
    while (open && readdir(open)) count++;
    if (open) closedir(open);
    return count;
}

/* Every write short in turn, over the files of another seed. */
static void test_writes(const char *backend)
{
    job old = {.backend = backend, .seed = 1}, new = {.backend = backend, .seed = 2};
    ttt_buffer before[FILES] = {{0}}, after[FILES] = {{0}}, now[FILES] = {{0}};
    CHECK_OK(work(&new));
    read_files(after);
    const int64_t start = fault_count(TTT_CALL_WRITE);
    CHECK_OK(work(&old));
    const int64_t writes = fault_count(TTT_CALL_WRITE) - start;
    read_files(before);
    CHECK(!equal(&before[0], &after[0]) && !equal(&before[2], &after[2]));
    const int in_model = entries("model"), here = entries(".");
    CHECK(writes >= 3);
    for (int64_t nth = 1; nth <= writes; nth++) {
        CHECK_OK(work(&old));
        fault_at(TTT_CALL_WRITE, nth, 0);
        CHECK_FAILS(work(&new), TTT_ERR_IO, "No space left on device");
        fault_at(TTT_CALL_WRITE, 0, 0);
        read_files(now);
        for (int i = 0; i < FILES; i++) CHECK(equal(&now[i], &before[i]) || equal(&now[i], &after[i]));
        CHECK_EQ(entries("model"), in_model);
        CHECK_EQ(entries("."), here);
    }
    for (int i = 0; i < FILES; i++) {
        ttt_buffer_deinit(&before[i]);
        ttt_buffer_deinit(&after[i]);
        ttt_buffer_deinit(&now[i]);
    }
}

static ttt_status convert(void *context)
{
    const ttt_convert_options options = {.precision = "bf16", .weights = "q4"};
    return ttt_convert(context, "converted", &options, NULL);
}

static ttt_status tokenize(void *context)
{
    static const char text[] = "The quick brown fox, naïve Ω and 1234!";
    ttt_tokenizer *tokenizer = NULL;
    ttt_ids ids = {0};
    ttt_text back = {0};
    ttt_status status = ttt_tokenizer_open(&tokenizer, context);
    if (status == TTT_OK) status = ttt_tokenizer_encode(tokenizer, text, strlen(text), true, &ids);
    if (status == TTT_OK) status = ttt_tokenizer_decode(tokenizer, ids.data, ids.count, false, &back);
    if (status == TTT_OK) status = ttt_tokenizer_save(tokenizer, "saved");
    ttt_text_deinit(&back);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
    return status;
}

static ttt_status source(void *context, const char **text, size_t *size)
{
    int *calls = context;
    *text = (*calls)++ ? NULL : "a rose is a rose is a rose";
    *size = 26;
    return TTT_OK;
}

static ttt_status train_tokenizer(void *context)
{
    (void)context;
    int calls = 0;
    ttt_tokenizer *tokenizer = NULL;
    ttt_status status = ttt_tokenizer_train(&tokenizer, 265, source, &calls);
    if (status == TTT_OK) status = ttt_tokenizer_save(tokenizer, "saved");
    ttt_tokenizer_free(tokenizer);
    return status;
}

int main(void)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -rf '%s/scratch/fault_files' && mkdir -p '%s/scratch/fault_files/saved'",
             TTT_BINARY_DIR, TTT_BINARY_DIR);
    CHECK_EQ(system(command), 0);
    snprintf(command, sizeof command, "%s/scratch/fault_files", TTT_BINARY_DIR);
    CHECK_EQ(chdir(command), 0);
    CHECK_OK(ttt_folder_make("model"));

    fault_watch_json();
    test_writes("cpu");
    test_writes("ref");
    for (int forever = 0; forever < 2; forever++) {
        CHECK(fault_allocations(work, &(job){.backend = "cpu", .from = "model"}, forever) > 50);
        CHECK(fault_allocations(work, &(job){.backend = "ref", .from = "model"}, forever) > 50);
        CHECK(fault_allocations(convert, "model", forever) > 10);
        CHECK(fault_allocations(train_tokenizer, NULL, forever) > 10);
        CHECK(fault_allocations(tokenize, TOKENIZERS "trained.json", forever) > 10);
        CHECK(fault_allocations(tokenize, TOKENIZERS "llama.json", forever) > 10);
        CHECK(fault_allocations(tokenize, TOKENIZERS "plain.model", forever) > 10);
    }
    CHECK(fault_json(convert, "model") > 50);
    CHECK(fault_json(tokenize, TOKENIZERS "first.json") > 10);
    CHECK(fault_json(work, &(job){.backend = "ref", .from = "model"}) > 100);
    return test_end();
}
