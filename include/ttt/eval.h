/* SPDX-License-Identifier: MIT
 *
 * How well a model predicts a text: loss, perplexity, bits per byte, and the loss by position, which shows whether the
 * model makes use of what it has read. With the learner frozen beside it, it shows how much of that is learning at test
 * time; the losses of the inner loop show the learning itself.
 */
#ifndef TTT_EVAL_H
#define TTT_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/comm.h>
#include <ttt/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ttt_eval_mode {
    TTT_EVAL_ADAPTING,
    TTT_EVAL_FROZEN, /* the learner never updates */
    TTT_EVAL_BOTH    /* each, and the difference */
} ttt_eval_mode;

/* A text is read in windows of `context` tokens, each from a fresh state, or from one that was given. After each of its
 * tokens the next one is predicted; the position of a prediction is the number of tokens read before it, from 1.
 * Windows advance by `stride` tokens, and only the last `stride` predictions of each are scored: each token at most
 * once, with at least context - stride tokens read before it. The last window may be shorter. */
typedef struct ttt_eval_options {
    ttt_eval_mode mode;
    int64_t context; /* 0: the whole text is one window */
    int64_t stride;  /* 0: context */
    int64_t bos;     /* id read before the text of each window, where it counts as a token of the window; -1: none */
    int64_t bytes;   /* of the text that the tokens stand for; 0: not known, then there are no bits per byte */
    bool inner;      /* look into the inner loop */
    ttt_comm *comm; /* ranks that share the windows, or NULL; each makes the same call, and all have the whole result */
    const ttt_state *state; /* each window goes on from a copy of it; NULL: from a fresh one. Whether that is frozen is
                               the mode's affair, and `bos` is then best -1 */
    /* From time to time: `done` of `total` tokens are read. Anything but TTT_OK ends the evaluation and is returned;
     * with TTT_ERR_INTERRUPTED the result is that of the tokens scored so far. NULL: not wanted. */
    ttt_status (*progress)(void *context, int64_t done, int64_t total);
    void *progress_context;
} ttt_eval_options;

/* Adapting, the whole text, no BOS. */
TTT_API void ttt_eval_options_init(ttt_eval_options *options);

enum { TTT_EVAL_BINS = 96 };

/* Positions first to last together; about two bins for each doubling. */
typedef struct ttt_eval_bin {
    int64_t first, last;
    int64_t tokens; /* scored */
} ttt_eval_bin;

/* A mean over tokens in nats, and its standard error; NaN for a single block. Blocks are of 1,024 tokens, or as many
 * windows as make so many, and of an eighth of the text at most: they are taken as independent, their tokens not. */
typedef struct ttt_eval_mean {
    double mean, error;
} ttt_eval_mean;

typedef struct ttt_eval_curve {
    ttt_eval_mean all;
    ttt_eval_mean bins[TTT_EVAL_BINS]; /* NaN where nothing was scored */
} ttt_eval_curve;

/* Means of the inner loop's loss, mean over heads and D of (LN(learner(k)) - (v - k))^2, at the last token of each
 * mini-batch that ends in the bin: with the window's first weights, those of the mini-batch's start, those after it. */
typedef struct ttt_eval_inner {
    double first, before, after; /* NaN where no mini-batch ends */
} ttt_eval_inner;

typedef struct ttt_eval_result {
    int64_t context, stride; /* as used */
    int64_t windows, tokens; /* scored tokens */
    double tokens_per_byte;  /* of the whole text; NaN: not known */
    int64_t bin_count;
    ttt_eval_bin bins[TTT_EVAL_BINS];
    ttt_eval_curve adapting, frozen; /* NaN what was not asked for */
    ttt_eval_curve gain;             /* frozen - adapting, token by token, when both were asked for */
    int64_t layers;                  /* in which something learns */
    ttt_eval_inner *inner; /* [layers, bin_count], of the adapting learner if there is one; NULL: not asked for */
} ttt_eval_result;

/* Evaluates `count` tokens. A text too short for one window is TTT_ERR_ARGUMENT; a loss that is not a finite number
 * TTT_ERR_NUMERIC, naming the token. Memory does not depend on the length of the text. Release the result with
 * ttt_eval_result_deinit, which after a failure may be left out, but for TTT_ERR_INTERRUPTED. */
TTT_API TTT_NODISCARD ttt_status ttt_eval(ttt_context *context, const int32_t *tokens, int64_t count,
                                          const ttt_eval_options *options, ttt_eval_result *result);
TTT_API void ttt_eval_result_deinit(ttt_eval_result *result);

/* What may follow a text: [count >= 1] ids. */
typedef struct ttt_choice {
    const int32_t *ids;
    int64_t count;
} ttt_choice;

/* Losses [choice_count] of what may follow a text, in nats, each the sum over a choice's ids. `state`, of the context's
 * model, reads the text ([count >= 1] ids) behind what it has read before; a choice goes on in a fork. Afterwards the
 * state is behind the text; on failure it may be. */
TTT_API TTT_NODISCARD ttt_status ttt_eval_choices(ttt_context *context, ttt_state *state, const int32_t *ids,
                                                  int64_t count, const ttt_choice *choices, int64_t choice_count,
                                                  double *losses);

/* exp(loss) */
TTT_API double ttt_eval_perplexity(double loss);
/* Bits for each byte of text: loss / ln 2 * tokens_per_byte. Tokens that were not scored are taken to cost as much. */
TTT_API double ttt_eval_bits_per_byte(const ttt_eval_result *result, double loss);

#ifdef __cplusplus
}
#endif
#endif
