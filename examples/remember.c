/* SPDX-License-Identifier: MIT
 *
 * Reads a document once and asks it many times: remember MODEL DOCUMENT QUESTION... What the model knows of the
 * document is kept beside it, as DOCUMENT.ttt, and read no more; each question goes to a copy of that.
 */
#include <stdio.h>
#include <string.h>
#include <ttt/data.h>
#include <ttt/generate.h>
#include <ttt/state.h>

static ttt_status print(void *context, int32_t id, const char *text, size_t size)
{
    (void)context, (void)id;
    fwrite(text, 1, size, stdout);
    return TTT_OK;
}

/* A new state that has read the document, kept as `path`. */
static ttt_status read_document(ttt_state **state, ttt_context *context, const ttt_tokenizer *tokenizer,
                                const char *document, const char *path)
{
    ttt_ids ids = {0};
    ttt_data_options options;
    ttt_data_options_init(&options);
    options.texts = &document;
    options.text_count = 1;
    ttt_status status = ttt_state_new(state, ttt_context_model(context));
    if (status == TTT_OK) status = ttt_texts_tokenize(&options, tokenizer, &ids, NULL);
    if (status == TTT_OK) {
        const ttt_feed feed = {.state = *state, .tokens = ids.data, .count = (int64_t)ids.count};
        status = ttt_context_advance(context, &feed, 1);
    }
    if (status == TTT_OK) status = ttt_state_save(*state, path, NULL);
    ttt_ids_deinit(&ids);
    return status;
}

/* Whether it is in the file is the library's to say: a state of another model is refused. */
static ttt_status recall(ttt_state **state, ttt_context *context, const ttt_tokenizer *tokenizer, const char *document)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.ttt", document);
    if (ttt_state_load(state, ttt_context_model(context), path) == TTT_OK) return TTT_OK;
    fprintf(stderr, "reading %s, as %s\n", document, ttt_error_detail());
    return read_document(state, context, tokenizer, document, path);
}

static ttt_status ask(ttt_context *context, const ttt_tokenizer *tokenizer, const ttt_state *known,
                      const char *question)
{
    ttt_ids ids = {0};
    ttt_state *state = NULL;
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = 60;
    options.sampling.temperature = 0;
    const ttt_generate_sink sink = {.piece = print};
    ttt_status status = ttt_state_new(&state, ttt_context_model(context));
    if (status == TTT_OK) status = ttt_state_copy(state, known);
    if (status == TTT_OK) status = ttt_tokenizer_encode(tokenizer, question, strlen(question), false, &ids);
    printf("---- %s", question);
    if (status == TTT_OK)
        status = ttt_generate(context, tokenizer, state, ids.data, (int64_t)ids.count, &options, &sink, NULL);
    putchar('\n');
    ttt_state_free(state);
    ttt_ids_deinit(&ids);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL DOCUMENT QUESTION...\n", argv[0]);
        return 64;
    }
    ttt_model *model = NULL;
    ttt_tokenizer *tokenizer = NULL;
    ttt_context *context = NULL;
    ttt_state *known = NULL;
    ttt_status status = ttt_model_open(&model, argv[1], NULL);
    if (status == TTT_OK) status = ttt_tokenizer_open(&tokenizer, argv[1]);
    if (status == TTT_OK) status = ttt_context_new(&context, model, 0);
    if (status == TTT_OK) status = recall(&known, context, tokenizer, argv[2]);
    for (int i = 3; i < argc && status == TTT_OK; i++) status = ask(context, tokenizer, known, argv[i]);
    if (status != TTT_OK) fprintf(stderr, "%s\n", ttt_error_detail());
    ttt_state_free(known);
    ttt_context_free(context);
    ttt_tokenizer_free(tokenizer);
    ttt_model_free(model);
    return status != TTT_OK;
}
