/* SPDX-License-Identifier: MIT
 *
 * Three texts written side by side: many_sessions MODEL PROMPT PROMPT PROMPT. Each step advances all of them in one
 * call, which reads every weight once for all three; each text is what it would be alone.
 */
#include <stdio.h>
#include <string.h>
#include <ttt/session.h>

enum { TEXTS = 3, LIMIT = 64 }; /* tokens of a prompt in one step: a long one does not hold up the other texts */

static ttt_status begin(ttt_session **session, const ttt_model *model, const ttt_tokenizer *tokenizer,
                        const char *prompt, uint64_t request)
{
    ttt_ids ids = {0};
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = 100 + 20 * (int64_t)request; /* they need not end together */
    options.sampling.request = request;                   /* random numbers of its own, also for the same prompt */
    ttt_status status = ttt_session_new(session, model, tokenizer, NULL, &options);
    if (status == TTT_OK) status = ttt_tokenizer_encode(tokenizer, prompt, strlen(prompt), false, &ids);
    if (status == TTT_OK) status = ttt_session_push(*session, ids.data, (int64_t)ids.count);
    ttt_ids_deinit(&ids);
    return status;
}

/* Advances all texts by one step; *busy: how many there were to advance. */
static ttt_status step(ttt_context *context, ttt_session *const *sessions, int *busy)
{
    ttt_feed feeds[TEXTS];
    int of[TEXTS], count = 0;
    for (int i = 0; i < TEXTS; i++) {
        ttt_session_want(sessions[i], LIMIT, &feeds[count]);
        if (feeds[count].count > 0) of[count++] = i;
    }
    *busy = count;
    ttt_status status = count > 0 ? ttt_context_advance(context, feeds, count) : TTT_OK;
    for (int n = 0; n < count && status == TTT_OK; n++) status = ttt_session_took(sessions[of[n]], NULL);
    return status;
}

static ttt_status write_texts(ttt_context *context, const ttt_tokenizer *tokenizer, char *const *prompts)
{
    ttt_session *sessions[TEXTS] = {0};
    ttt_status status = TTT_OK;
    for (int i = 0; i < TEXTS && status == TTT_OK; i++)
        status = begin(&sessions[i], ttt_context_model(context), tokenizer, prompts[i], (uint64_t)i);
    for (int busy = 1; status == TTT_OK && busy > 0;) status = step(context, sessions, &busy);
    for (int i = 0; i < TEXTS && status == TTT_OK; i++) {
        const char *text;
        size_t size;
        ttt_session_text(sessions[i], &text, &size); /* all of it: nobody has asked before */
        printf("---- %s", prompts[i]);
        fwrite(text, 1, size, stdout);
        putchar('\n');
    }
    for (int i = 0; i < TEXTS; i++) ttt_session_free(sessions[i]);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2 + TEXTS) {
        fprintf(stderr, "usage: %s MODEL PROMPT PROMPT PROMPT\n", argv[0]);
        return 64;
    }
    ttt_model *model = NULL;
    ttt_tokenizer *tokenizer = NULL;
    ttt_context *context = NULL;
    ttt_status status = ttt_model_open(&model, argv[1], NULL);
    if (status == TTT_OK) status = ttt_tokenizer_open(&tokenizer, argv[1]);
    if (status == TTT_OK) status = ttt_context_new(&context, model, 0);
    if (status == TTT_OK) status = write_texts(context, tokenizer, argv + 2);
    if (status != TTT_OK) fprintf(stderr, "%s\n", ttt_error_detail());
    ttt_context_free(context);
    ttt_tokenizer_free(tokenizer);
    ttt_model_free(model);
    return status != TTT_OK;
}
