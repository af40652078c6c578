/* SPDX-License-Identifier: MIT
 *
 * A model folder for tests of the program: the first weights of a configuration, and the byte tokenizer.
 */
#ifndef TTT_TEST_CLI_MODEL_H
#define TTT_TEST_CLI_MODEL_H

#include <ttt/tokenizer.h>
#include <ttt/train.h>

#include "cli.h"
#include "config/config.h"

/* Makes `folder`, which must not exist. */
static inline void cli_save_model(const char *folder, const ttt_config *config, uint64_t seed)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.context = 16;
    options.batch = 1;
    options.steps = 1;
    options.seed = seed;
    ttt_trainer *trainer;
    ttt_tokenizer *tokenizer;
    CHECK_EQ(mkdir(folder, 0777), 0);
    CHECK_OK(ttt_trainer_new(&trainer, config, &options));
    CHECK_OK(ttt_trainer_save_model(trainer, folder));
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    CHECK_OK(ttt_tokenizer_save(tokenizer, folder));
    ttt_tokenizer_free(tokenizer);
    ttt_trainer_free(trainer);
}

#endif
