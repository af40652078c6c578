/* SPDX-License-Identifier: MIT
 *
 * Opening a model, generating and evaluating while memory runs out at every possible place.
 */
#include <ttt/eval.h>
#include <ttt/session.h>

#include "fault.h"
#include "small_config.h"

#define FOLDER TTT_SOURCE_DIR "/tests/golden/mlp_transformer"

static ttt_model *model;
static ttt_tokenizer *tokenizer;

static ttt_status open_model(void *context)
{
    ttt_model *opened;
    const ttt_model_options options = {.backend = context, .threads = 2};
    const ttt_status status = ttt_model_open(&opened, FOLDER, &options);
    if (status == TTT_OK) ttt_model_free(opened);
    return status;
}

static ttt_status drop(void *context, int32_t id, const char *text, size_t size)
{
    (void)context, (void)id, (void)text, (void)size;
    return TTT_OK;
}

static ttt_status generate(void *none)
{
    (void)none;
    const int32_t prompt[] = {1, 2, 3};
    const ttt_generate_sink sink = {.piece = drop};
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = 20;
    options.stops = (const char *const[]){"never"};
    options.stop_count = 1;
    ttt_context *context;
    ttt_state *state = NULL;
    ttt_status status = ttt_context_new(&context, model, 2);
    if (status == TTT_OK) status = ttt_state_new(&state, model);
    if (status == TTT_OK) status = ttt_generate_options_load(&options, FOLDER, model, tokenizer);
    if (status == TTT_OK) status = ttt_generate(context, tokenizer, state, prompt, 3, &options, &sink, NULL);
    ttt_state_free(state);
    ttt_context_free(context);
    return status;
}

/* Two turns of two sessions. */
static ttt_status converse(void *none)
{
    (void)none;
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = 8;
    options.stops = (const char *const[]){"never", "ever"};
    options.stop_count = 2;
    options.logprobs = 3;
    options.prompt_logprobs = true;
    options.sampling.logit_bias = &(ttt_logit_bias){7, 1};
    options.sampling.logit_bias_count = 1;
    ttt_context *context;
    ttt_session *sessions[2] = {0};
    ttt_status status = ttt_context_new(&context, model, 2);
    for (int i = 0; i < 2 && status == TTT_OK; i++)
        status = ttt_session_new(&sessions[i], model, tokenizer, NULL, &options);
    for (int turn = 0; turn < 2 && status == TTT_OK; turn++) {
        const int32_t prompt[40] = {1, 2, 3};
        for (int i = 0; i < 2 && status == TTT_OK; i++) status = ttt_session_push(sessions[i], prompt, 20 + 20 * turn);
        for (ttt_feed feeds[2]; status == TTT_OK;) {
            for (int i = 0; i < 2; i++) ttt_session_want(sessions[i], 7, &feeds[i]);
            if (feeds[0].count == 0 || feeds[1].count == 0) break;
            status = ttt_context_advance(context, feeds, 2);
            for (int i = 0; i < 2 && status == TTT_OK; i++) status = ttt_session_took(sessions[i], NULL);
        }
    }
    for (int i = 0; i < 2; i++) ttt_session_free(sessions[i]);
    ttt_context_free(context);
    return status;
}

static ttt_status evaluate(void *none)
{
    (void)none;
    int32_t text[100];
    for (int i = 0; i < 100; i++) text[i] = i % 7;
    ttt_eval_options options;
    ttt_eval_options_init(&options);
    options.context = 20;
    options.mode = TTT_EVAL_BOTH;
    options.inner = true;
    ttt_eval_result result = {0};
    ttt_context *context;
    ttt_status status = ttt_context_new(&context, model, 2);
    if (status == TTT_OK) status = ttt_eval(context, text, 100, &options, &result);
    ttt_eval_result_deinit(&result);
    ttt_context_free(context);
    return status;
}

static ttt_status choose(void *none)
{
    (void)none;
    const int32_t ids[40] = {1, 2, 3};
    const ttt_choice choices[] = {{ids, 1}, {ids, 30}, {ids + 2, 17}};
    double losses[3];
    ttt_context *context;
    ttt_state *state = NULL;
    ttt_status status = ttt_context_new(&context, model, 2);
    if (status == TTT_OK) status = ttt_state_new(&state, model);
    if (status == TTT_OK) status = ttt_eval_choices(context, state, ids, 20, choices, 3, losses);
    ttt_state_free(state);
    ttt_context_free(context);
    return status;
}

int main(void)
{
    ttt_config config = small_config(257, 8, 2, 1);
    CHECK_OK(ttt_model_new(&model, &config, 1, NULL));
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    for (int forever = 0; forever < 2; forever++) {
        CHECK(fault_allocations(open_model, "cpu", forever) > 10);
        CHECK(fault_allocations(open_model, "ref", forever) > 10);
        CHECK(fault_allocations(generate, NULL, forever) > 5);
        CHECK(fault_allocations(converse, NULL, forever) > 10);
        CHECK(fault_allocations(evaluate, NULL, forever) > 5);
        CHECK(fault_allocations(choose, NULL, forever) > 5);
    }
    ttt_tokenizer_free(tokenizer);
    ttt_model_free(model);
    return test_end();
}
