/* SPDX-License-Identifier: MIT
 *
 * Trains a small model on a text and lets it write: train_and_generate TEXT FOLDER [STEPS]. What `ttt train` and
 * `ttt generate` do, without their checkpoints, progress and options. FOLDER must not exist yet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <ttt/data.h>
#include <ttt/generate.h>
#include <ttt/train.h>

static ttt_status print(void *context, int32_t id, const char *text, size_t size)
{
    (void)context, (void)id;
    fwrite(text, 1, size, stdout);
    return TTT_OK;
}

/* A small model, trained on `steps` batches and saved into `folder`. */
static ttt_status train(const char *folder, const ttt_data *data, int64_t steps)
{
    enum { CONTEXT = 128, BATCH = 8 };
    char vocabulary[32];
    snprintf(vocabulary, sizeof vocabulary, "%lld", (long long)ttt_tokenizer_vocabulary(ttt_data_tokenizer(data)));
    ttt_config *config;
    ttt_status status = ttt_config_new(&config);
    if (status == TTT_OK) status = ttt_config_standard(config, "tiny");
    if (status == TTT_OK) status = ttt_config_set(config, "vocab_size", vocabulary);
    if (status == TTT_OK) status = ttt_config_set(config, "hidden_size", "128");
    if (status == TTT_OK) status = ttt_config_set(config, "intermediate_size", "344");

    ttt_train_options options;
    ttt_train_options_init(&options);
    options.context = CONTEXT;
    options.batch = BATCH;
    options.steps = steps;
    options.rate = 3e-3;

    ttt_trainer *trainer = NULL;
    if (status == TTT_OK) status = ttt_trainer_new(&trainer, config, &options);
    for (int64_t i = 0; i < steps && status == TTT_OK; i++) {
        static int32_t tokens[BATCH * (CONTEXT + 1)];
        ttt_train_result result = {0};
        status = ttt_data_batch(data, TTT_SPLIT_TRAIN, CONTEXT, BATCH, i * BATCH, 0, tokens);
        if (status == TTT_OK) status = ttt_trainer_step(trainer, tokens, &result);
        if (status == TTT_OK && i % 10 == 0) printf("step %lld: loss %.4f\n", (long long)i, result.loss);
    }
    if (status == TTT_OK) status = ttt_trainer_save_model(trainer, folder);
    ttt_trainer_free(trainer);
    ttt_config_free(config);
    return status;
}

static ttt_status generate(const char *folder, const ttt_tokenizer *tokenizer)
{
    ttt_model *model = NULL;
    ttt_context *context = NULL;
    ttt_state *state = NULL;
    ttt_ids prompt = {0};
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = 200;
    const ttt_generate_sink sink = {.piece = print};
    ttt_status status = ttt_model_open(&model, folder, NULL);
    if (status == TTT_OK) status = ttt_context_new(&context, model, 0);
    if (status == TTT_OK) status = ttt_state_new(&state, model);
    if (status == TTT_OK) status = ttt_tokenizer_encode(tokenizer, "The ", 4, false, &prompt);
    if (status == TTT_OK)
        status = ttt_generate(context, tokenizer, state, prompt.data, (int64_t)prompt.count, &options, &sink, NULL);
    putchar('\n');
    ttt_ids_deinit(&prompt);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s TEXT FOLDER [STEPS]\n", argv[0]);
        return 64;
    }
    const char *texts[] = {argv[1]}, *folder = argv[2];
    ttt_data_options options;
    ttt_data_options_init(&options);
    options.texts = texts;
    options.text_count = 1;
    options.tokenizer = "byte";

    ttt_data *data = NULL;
    ttt_status status = ttt_data_prepare(folder,
                                         &options); /* FOLDER holds the tokens, and then the model beside them */
    if (status == TTT_OK) status = ttt_data_open(&data, folder);
    if (status == TTT_OK) status = train(folder, data, argc > 3 ? atoll(argv[3]) : 200);
    if (status == TTT_OK) status = generate(folder, ttt_data_tokenizer(data));
    ttt_data_close(data);
    if (status != TTT_OK) fprintf(stderr, "%s\n", ttt_error_detail());
    return status != TTT_OK;
}
