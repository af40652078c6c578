/* SPDX-License-Identifier: MIT
 *
 * Generation: from logits to an id (the sampler), and from a prompt to text (ttt_generate).
 *
 * Threads: a sampler is used by one thread at a time; ttt_generate uses its context, its state and the sampler in its
 * options, and calls the sink, all on the thread that calls it. Pointers may be NULL only where that is said.
 */
#ifndef TTT_GENERATE_H
#define TTT_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/model.h>
#include <ttt/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_logit_bias {
    int32_t id;
    float bias; /* added to its logit, -100 to 100; those given to one id add up */
} ttt_logit_bias;

/* How an id is chosen, in the order in which these are applied: logit bias, repetition, frequency and presence penalty
 * (as vLLM has them), temperature, top-k, top-p, min-p (as Hugging Face has them). "Written" are the ids that were
 * chosen and go on the text, "seen" are those and the prompt's. */
typedef struct ttt_sampling {
    const ttt_logit_bias *logit_bias; /* [logit_bias_count]; a sampler copies them. NULL: none */
    int64_t logit_bias_count;
    double repetition_penalty; /* of ids seen: a logit is divided by it if positive, else multiplied; 1: off */
    double frequency_penalty;  /* subtracted from a logit for each time its id was written, -2 to 2; 0: off */
    double presence_penalty;   /* subtracted once from the logits of ids written, -2 to 2; 0: off */
    double temperature;        /* 0: always the most likely id */
    int64_t top_k;             /* only the k most likely (and those as likely as the k-th); 0: off */
    double top_p;              /* only the most likely that together have this probability; 1: off */
    double min_p;              /* only those at least this times as likely as the most likely; 0: off */
    uint64_t seed;
    uint64_t request; /* numbers the texts of one seed: each has its own random numbers */
} ttt_sampling;

/* Temperature 0.8, top-p 0.95, the rest off; seed 0. */
TTT_API void ttt_sampling_init(ttt_sampling *sampling);

typedef struct ttt_sampler ttt_sampler;

/* A sampler for `vocabulary` logits, 1 to 2^31 - 1; options out of range, a bias of an unknown id among them, are
 * TTT_ERR_ARGUMENT, NULL is the defaults. One thread at a time uses it. Free with ttt_sampler_free; NULL is allowed
 * there. */
TTT_API TTT_NODISCARD ttt_status ttt_sampler_new(ttt_sampler **sampler, const ttt_sampling *sampling,
                                                 int64_t vocabulary);
TTT_API void ttt_sampler_free(ttt_sampler *sampler);

/* From now on the repetition penalty counts these ids as seen. Those outside [0, vocabulary), which have no logit that
 * it could change, are passed over. `ids` may be NULL for none. */
TTT_API void ttt_sampler_see(ttt_sampler *sampler, const int32_t *ids, int64_t count);

/* The same for ids that were written: all three penalties count them. */
TTT_API void ttt_sampler_wrote(ttt_sampler *sampler, const int32_t *ids, int64_t count);

/* Chooses an id from logits [vocabulary], of which only the first `allowed` count. The random number is a pure function
 * of seed, request and `position`: the number of tokens read before. Among equals the smaller id comes first.
 * NaN or +infinity among the logits is TTT_ERR_NUMERIC. */
TTT_API TTT_NODISCARD ttt_status ttt_sampler_choose(ttt_sampler *sampler, const float *logits, int64_t allowed,
                                                    int64_t position, int32_t *id);

enum { TTT_EOS_IDS = 16, TTT_TOP_LOGPROBS = 20 };

typedef struct ttt_logprob {
    int32_t id;
    double logprob; /* natural logarithm of its probability */
} ttt_logprob;

/* What the model itself said of one id of a text, and of the ids that were the most likely in its place: softmax of the
 * logits as they are, without bias, penalties and temperature. */
typedef struct ttt_token_logprob {
    int32_t id;
    double logprob; /* NAN: none, as nothing was read before it */
    int top_count;
    ttt_logprob top[TTT_TOP_LOGPROBS]; /* the best first, of equals the smaller id; only ids that the tokenizer knows */
} ttt_token_logprob;

typedef struct ttt_generate_options {
    ttt_sampling sampling;
    int64_t max_new_tokens;   /* -1: until end-of-text */
    int32_t eos[TTT_EOS_IDS]; /* ids that end a text */
    int64_t eos_count;
    bool ignore_eos;          /* end-of-text is an id like any other: the text goes on behind it */
    const char *const *stops; /* [stop_count] strings that end the text; they are not part of it */
    size_t stop_count;
    int logprobs;         /* log-probabilities of every new id, and of this many of the most likely (at most
                             TTT_TOP_LOGPROBS); -1: none */
    bool prompt_logprobs; /* with them, those of the prompt's ids; the first has none */
    ttt_sampler *sampler; /* NULL: one is made from `sampling`; give one, for the model's vocabulary, to go on with a
                             text whose penalties count earlier calls too */
} ttt_generate_options;

/* ttt_sampling_init, 256 tokens, no stops, no log-probabilities. */
TTT_API void ttt_generate_options_init(ttt_generate_options *options);

/* Takes over what a model says of itself: end-of-text of generation_config.json, else of the tokenizer (NULL: none),
 * else of config.json; and, where generation_config.json has them, do_sample (false: temperature 0), temperature,
 * top_k, top_p, min_p, repetition_penalty, max_new_tokens; a top_k of 0 or -1 and a top_p of 0 or 1 are off. A folder
 * without generation_config.json is fine. */
TTT_API TTT_NODISCARD ttt_status ttt_generate_options_load(ttt_generate_options *options, const char *folder,
                                                           const ttt_model *model, const ttt_tokenizer *tokenizer);

/* Where a text goes. Anything but TTT_OK ends the generation and is returned; a token chosen by then is still shown. */
typedef struct ttt_generate_sink {
    /* After each new token: its id and the text that is certain by now (`size` bytes, perhaps none: half a character,
     * or what may become a stop string, is held back). At the end once more with id -1 and what is left. NULL: not
     * wanted. */
    ttt_status (*piece)(void *context, int32_t id, const char *text, size_t size);
    /* Log-probabilities, where the options ask for them: those of ids read or chosen since the last call, before their
     * piece. NULL: not wanted. */
    ttt_status (*logprobs)(void *context, const ttt_token_logprob *list, int64_t count);
    /* While the prompt is read: `done` of `total` tokens. NULL: not wanted. */
    ttt_status (*progress)(void *context, int64_t done, int64_t total);
    void *context;
} ttt_generate_sink;

/* Why a text ended. */
typedef enum ttt_finish {
    TTT_FINISH_NONE, /* it has not, or it failed */
    TTT_FINISH_LENGTH,
    TTT_FINISH_EOS,
    TTT_FINISH_STOP,
    TTT_FINISH_CANCELLED /* from outside: by a sink, or by ttt_session_cancel */
} ttt_finish;

typedef struct ttt_generate_stats {
    int64_t prompt_tokens, new_tokens;                    /* end-of-text counts as a new token */
    double prompt_seconds, new_seconds, sampling_seconds; /* reading the prompt, reading new tokens, choosing them */
    ttt_finish finish;
} ttt_generate_stats;

/* Reads the prompt ([count] ids, at least one) and writes on. Afterwards the state has read the prompt and all new
 * tokens, so that a next call goes on behind them; also when the sink ended it. What is written does not depend on how
 * much of the prompt was read by earlier calls (but the repetition penalty counts only what the sampler saw). Memory
 * does not grow with the text. `tokenizer` may be NULL: then pieces have no text and stop strings are not allowed; else
 * only ids that it knows are chosen. `options` NULL: those of ttt_generate_options_init. `sink` and `stats` may be
 * NULL. Many texts at once: session.h. */
TTT_API TTT_NODISCARD ttt_status ttt_generate(ttt_context *context, const ttt_tokenizer *tokenizer, ttt_state *state,
                                              const int32_t *prompt, int64_t count, const ttt_generate_options *options,
                                              const ttt_generate_sink *sink, ttt_generate_stats *stats);

/* Whether the tokenizer can belong to the model: it must not know more ids (fewer are allowed: vocabularies are
 * padded).
 */
TTT_API TTT_NODISCARD ttt_status ttt_model_check_tokenizer(const ttt_model *model, const ttt_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif
#endif
