/* SPDX-License-Identifier: MIT
 *
 * ttt eval --choices: questions with several answers, one of which is right. The model's answer is the one that it
 * expects most: the smallest loss, of the whole answer, or of each of its bytes.
 */
#ifndef TTT_APPS_EVAL_CHOICES_H
#define TTT_APPS_EVAL_CHOICES_H

#include <stdbool.h>
#include <ttt/eval.h>
#include <ttt/tokenizer.h>

#include "progress.h"

typedef struct eval_choices {
    const char *model, *path; /* folder; file of JSON lines, "-" for standard input */
    ttt_context *context;
    const ttt_tokenizer *tokenizer;
    const ttt_state *state; /* that each question goes on from; NULL: a fresh one */
    bool frozen, no_bos, parse_special, json;
    ttt_progress *progress;
} eval_choices;

/* Asks all questions and prints how many answers were right; the result is an exit code. */
int eval_choices_run(const eval_choices *o);

#endif
