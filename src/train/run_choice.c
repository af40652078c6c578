/* SPDX-License-Identifier: MIT
 *
 * A run has so many tokens to read: those of its minutes, its epochs, or of as many as make something of a short text.
 * The fewer they are, the smaller the updates that they are best read in. The numbers are those of the sweep in
 * docs/BENCHMARKS.md ("Updates of a short run").
 */
#include "train/run_choice.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "train/run_plan.h"
#include "train/trainer.h"

static const double for_evaluations = 0.1; /* of the time of updates */
static const double usual_tokens = 1 << 20, usual_epochs = 5;

bool ttt_run_choice_is_open(const ttt_train_run_options *options)
{
    return options->batch == 0 && options->steps == 0 && !options->match_flops;
}

/* Tokens that the run will read. */
static double total_tokens(const ttt_train_run_options *options, double tokens, double tokens_per_s)
{
    if (options->minutes > 0) return options->minutes * 60 * tokens_per_s / (1 + for_evaluations);
    if (options->epochs > 0) return options->epochs * tokens;
    return fmax(tokens, fmin(usual_epochs * tokens, usual_tokens));
}

/* Twice as many updates as an update has tokens, to the nearest sequence; an update no larger than the configuration's;
 * down to an eighth of that at the same rate, below with the root. */
static ttt_status choose(const ttt_train_run_options *options, const ttt_config *config, double total,
                         ttt_train_options *train)
{
    const double usual = (double)(train->batch * train->context);
    const double chosen = fmin(usual, sqrt(total / 2) + (double)train->context / 2);
    TTT_TRY(ttt_run_plan_batch(options, config, (int64_t)chosen, train));
    if (options->rate < 0) train->rate *= fmin(1, sqrt(8 * (double)(train->batch * train->context) / usual));
    return TTT_OK;
}

ttt_status ttt_train_run_fit(const ttt_train_run_options *options, const ttt_config *config, int64_t tokens,
                             double tokens_per_s, ttt_train_options *train)
{
    if (train->steps > 0) return TTT_OK;
    const double total = total_tokens(options, (double)tokens, tokens_per_s);
    if (ttt_run_choice_is_open(options)) TTT_TRY(choose(options, config, total, train));
    const double steps = floor(total / (double)(train->batch * train->context));
    if (options->epochs > 0 && steps > 0x1p52)
        return ttt_fail(TTT_ERR_ARGUMENT, "%g epochs are too many updates to count", options->epochs);
    train->steps = steps < 1 ? 1 : steps < INT32_MAX || options->minutes == 0 ? (int64_t)steps : INT32_MAX;
    return TTT_OK;
}

void ttt_run_choice_tell(char text[TTT_RUN_CHOICE], const ttt_train_run_options *options,
                         const ttt_train_options *train, bool smaller, int64_t tokens, double tokens_per_s)
{
    char length[TTT_RUN_CHOICE / 2];
    const bool open = ttt_run_choice_is_open(options), usual = options->epochs == 0 && options->minutes == 0;
    const int64_t update = train->batch * train->context;
    *text = '\0';
    if (options->steps > 0 || options->match_flops || !(open || usual)) return;
    if (options->minutes > 0)
        ttt_print(length, sizeof length, "%g minutes at %.0f tokens/s are about %.3g million tokens, read in",
                  options->minutes, tokens_per_s, 1e-6 * total_tokens(options, (double)tokens, tokens_per_s));
    else
        ttt_print(length, sizeof length, "the text of %lld tokens is gone through %.3g times, in %lld",
                  (long long)tokens, (double)(train->steps * update) / (double)tokens, (long long)train->steps);
    ttt_print(text, TTT_RUN_CHOICE, "%s updates of %lld tokens at a peak rate of %.3g%s (%s%s say otherwise)", length,
              (long long)update, train->rate, smaller ? ": so short a run learns most from small updates" : "",
              usual ? "--epochs" : "", open ? usual ? ", --batch and --lr" : "--batch and --lr" : " and --minutes");
}
