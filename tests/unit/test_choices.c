/* SPDX-License-Identifier: MIT
 *
 * Losses of continuations against the loss of text and continuation read in one piece, whatever choices stand beside.
 */
#include <stdint.h>
#include <ttt/eval.h>

#include "small_config.h"
#include "test.h"

enum { V = 90, TEXT = 37, CHOICES = 21, LONGEST = 70 };

static ttt_model *model;
static ttt_context *context;
static int32_t text[TEXT], ids[CHOICES][LONGEST];
static ttt_choice choices[CHOICES];

/* The loss of choice `number` in double, from the logits of the whole; the text twice, if it is read again. */
static double plain(int number, int times)
{
    static int32_t whole[2 * TEXT + LONGEST];
    static float logits[2 * TEXT + LONGEST][V];
    const int64_t before = TEXT * times, count = before + choices[number].count;
    for (int64_t i = 0; i < before; i++) whole[i] = text[i % TEXT];
    memcpy(whole + before, choices[number].ids, (size_t)choices[number].count * sizeof *whole);
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, model));
    const ttt_feed feed = {state, whole, count, TTT_LOGITS_ALL, logits[0]};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    ttt_state_free(state);
    double loss = 0;
    for (int64_t i = before; i < count; i++) {
        double sum = 0;
        for (int k = 0; k < V; k++) sum += exp((double)logits[i - 1][k]);
        loss += log(sum) - (double)logits[i - 1][whole[i]];
    }
    return loss;
}

static void test_losses(void)
{
    double losses[CHOICES], alone;
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_eval_choices(context, state, text, TEXT, choices, CHOICES, losses));
    CHECK_EQ(ttt_state_position(state), TEXT);
    for (int i = 0; i < CHOICES; i++) CHECK_NEAR(losses[i], plain(i, 1), 1e-6 * (double)choices[i].count);
    for (int i = 0; i < CHOICES; i += 5) { /* the same bits without the others */
        ttt_state_reset(state);
        CHECK_OK(ttt_eval_choices(context, state, text, TEXT, &choices[i], 1, &alone));
        CHECK(alone == losses[i]);
    }
    CHECK_OK(ttt_eval_choices(context, state, text, TEXT, choices, CHOICES, losses)); /* behind what was read */
    CHECK_EQ(ttt_state_position(state), 2 * TEXT);
    for (int i = 0; i < CHOICES; i++) CHECK_NEAR(losses[i], plain(i, 2), 1e-6 * (double)choices[i].count);
    ttt_state_free(state);
}

static void test_refusals(void)
{
    double losses[2];
    ttt_state *state;
    const int32_t wrong = V;
    ttt_choice two[2] = {choices[0], {NULL, 0}};
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_FAILS(ttt_eval_choices(context, state, text, 0, choices, 1, losses), TTT_ERR_ARGUMENT, "0 tokens with 1 cho");
    CHECK_FAILS(ttt_eval_choices(context, state, text, 1, choices, 0, losses), TTT_ERR_ARGUMENT, "1 tokens with 0 cho");
    CHECK_FAILS(ttt_eval_choices(context, state, text, 1, two, 2, losses), TTT_ERR_ARGUMENT, "choice 1 has no tokens");
    two[1] = (ttt_choice){&wrong, 1};
    CHECK_FAILS(ttt_eval_choices(context, state, text, 1, two, 2, losses), TTT_ERR_ARGUMENT,
                "choice 1: token 0 of the");
    CHECK_FAILS(ttt_eval_choices(context, state, &wrong, 1, two, 1, losses), TTT_ERR_ARGUMENT, "id 90");
    CHECK_EQ(ttt_state_position(state), 0);
    ttt_state_free(state);
}

int main(void)
{
    ttt_config config = small_config(V, 16, 2, 2);
    config.mini_batch_size = 4;
    for (int i = 0; i < TEXT; i++) text[i] = i * 29 % V;
    for (int i = 0; i < CHOICES; i++) {
        for (int t = 0; t < LONGEST; t++) ids[i][t] = (i * 31 + t * t) % V;
        choices[i] = (ttt_choice){ids[i], i == 3 ? LONGEST : i == 4 ? 17 : 1 + i % 4};
    }
    for (int ref = 0; ref < 2; ref++) {
        CHECK_OK(ttt_model_new(&model, &config, 1, &(ttt_model_options){.backend = ref ? "ref" : "cpu"}));
        CHECK_OK(ttt_context_new(&context, model, 2));
        test_losses();
        test_refusals();
        ttt_context_free(context);
        ttt_model_free(model);
    }
    return test_end();
}
