/* SPDX-License-Identifier: MIT
 *
 * The learning rate of every update: a linear warm-up from 0 whose steps count among the whole run's, then the schedule
 * down to the final rate.
 */
#include "base/elementary.h"
#include "train/trainer.h"

#include <math.h>

const char *const ttt_schedule_names[TTT_SCHEDULE_COUNT] = {
    [TTT_SCHEDULE_COSINE] = "cosine", [TTT_SCHEDULE_CONSTANT] = "constant", [TTT_SCHEDULE_LINEAR] = "linear"};

void ttt_train_options_init(ttt_train_options *options)
{
    *options = (ttt_train_options){.context = 256,
                                   .batch = 8,
                                   .accumulate = 1,
                                   .leaves = 1,
                                   .steps = 1,
                                   .group = 8,
                                   .rate = 3e-3,
                                   .final_rate = 1e-5,
                                   .warmup = 0.1,
                                   .schedule = TTT_SCHEDULE_COSINE,
                                   .beta1 = 0.9,
                                   .beta2 = 0.95,
                                   .eps = 1e-8,
                                   .decay = 0.1,
                                   .clip = 1.0};
}

double ttt_train_warmup_steps(const ttt_train_options *options)
{
    return floor(options->warmup * (double)options->steps + 0.5);
}

double ttt_train_rate(const ttt_train_options *options, int64_t step)
{
    const double warmup = ttt_train_warmup_steps(options), at = (double)step;
    if (at < warmup) return options->rate * at / warmup;
    const double length = (double)options->steps - warmup;
    const double done = length > 0 ? fmin((at - warmup) / length, 1) : 1;
    switch (options->schedule) {
    case TTT_SCHEDULE_CONSTANT: return options->rate;
    case TTT_SCHEDULE_LINEAR: return options->rate + (options->final_rate - options->rate) * done;
    case TTT_SCHEDULE_COSINE: break;
    }
    return options->final_rate +
           (options->rate - options->final_rate) * 0.5 * (1 + ttt_cos(3.14159265358979323846 * done));
}

double ttt_train_base_lr_factor(const ttt_train_options *options, int64_t step)
{
    const double warmup = ttt_train_warmup_steps(options), at = (double)step;
    return at < warmup ? 0.1 + 0.9 * at / warmup : 1;
}
