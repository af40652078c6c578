/* SPDX-License-Identifier: MIT
 *
 * A text as a machine that goes on by steps. It is in one of three phases: idle, with nothing to read; reading the
 * prompt; or writing, with one chosen id that is to be read. The last id of a text is read like the others, so that the
 * state is behind all that was written; then the rest of the text comes out and the machine is idle.
 */
#include <ttt/session.h>

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/tokens.h"
#include "infer/logprob.h"
#include "infer/sampler.h"
#include "infer/stop.h"
#include "model/model.h"

enum {
    TAIL = 16,              /* the last ids of a prompt, which the detokenizer sees: enough for any half character */
    LOGITS_BYTES = 4 << 20, /* of a part of a prompt whose log-probabilities are wanted, if a row does not take more */
    LOGITS_ROWS = 256       /* rows of such a part at most */
};

typedef enum phase { IDLE, READING, WRITING } phase;

struct ttt_session {
    const ttt_model *model;
    const ttt_tokenizer *tokenizer; /* NULL: no text */
    ttt_state *state, *own_state;
    ttt_generate_options options;
    ttt_sampler *sampler, *own_sampler;
    float *logits;       /* [logits_rows, V], of the last token read or of every one */
    int64_t logits_rows; /* 1, unless the prompt's log-probabilities are wanted */
    int64_t allowed;     /* ids that may be chosen */

    phase phase;
    bool failed, begun; /* for good; something was pushed */
    int32_t *prompt;    /* [prompt_count], of which prompt_read have been read */
    size_t prompt_count, prompt_read, prompt_capacity;
    int32_t tail[TAIL]; /* the last tail_count ids of this prompt */
    size_t tail_count;
    int32_t chosen;

    int64_t wanted, position; /* tokens in the feed that is out, 0: none; the state's position before it */
    double wanted_at;         /* seconds */

    ttt_detokenizer *detokenizer; /* of the text being written */
    ttt_text text;                /* what is not given out, but for its first `given` bytes */
    size_t given, certain;        /* bytes that the last ttt_session_text gave; bytes that will not change any more */

    ttt_token_logprob *logprobs; /* [logprob_count], of which the first logprobs_given are the caller's already */
    size_t logprob_count, logprobs_given, logprob_capacity;
    void *reals; /* [V], scratch of log-probabilities */
    ttt_generate_stats stats;
};

/* ---- new and free ---- */

static ttt_status check_options(const ttt_generate_options *o, const ttt_tokenizer *tokenizer)
{
    if (o->max_new_tokens < -1)
        return ttt_fail(TTT_ERR_ARGUMENT, "max_new_tokens is %lld: give a number of tokens, or -1 for no limit",
                        (long long)o->max_new_tokens);
    if (o->eos_count < 0 || o->eos_count > TTT_EOS_IDS)
        return ttt_fail(TTT_ERR_ARGUMENT, "%lld end-of-text ids: at most %d are possible", (long long)o->eos_count,
                        TTT_EOS_IDS);
    if (o->logprobs < -1 || o->logprobs > TTT_TOP_LOGPROBS)
        return ttt_fail(TTT_ERR_ARGUMENT, "logprobs is %d: give a number from 0 to %d, or -1 for none", o->logprobs,
                        TTT_TOP_LOGPROBS);
    if (o->prompt_logprobs && o->logprobs < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "log-probabilities of the prompt need logprobs, a number from 0 to %d",
                        TTT_TOP_LOGPROBS);
    if (o->stop_count > 0 && !tokenizer)
        return ttt_fail(TTT_ERR_ARGUMENT, "stop strings need a tokenizer: without one there is no text");
    for (size_t i = 0; i < o->stop_count; i++)
        if (!*o->stops[i]) return ttt_fail(TTT_ERR_ARGUMENT, "a stop string is empty: it would end every text at once");
    return TTT_OK;
}

/* The strings and the array of them become one block of the session's. */
static ttt_status copy_stops(ttt_generate_options *o)
{
    const size_t count = o->stop_count;
    size_t bytes = count * sizeof *o->stops;
    for (size_t i = 0; i < count; i++) bytes += strlen(o->stops[i]) + 1;
    const char **stops = ttt_alloc(bytes, 1);
    if (!stops) {
        o->stop_count = 0;
        o->stops = NULL;
        return TTT_ERR_MEMORY;
    }
    char *end = (char *)(stops + count);
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(o->stops[i]) + 1;
        stops[i] = memcpy(end, o->stops[i], size);
        end += size;
    }
    o->stops = stops;
    return TTT_OK;
}

static ttt_status init_sampler(ttt_session *s, int64_t vocabulary)
{
    s->sampler = s->options.sampler;
    if (!s->sampler) {
        TTT_TRY(ttt_sampler_new(&s->own_sampler, &s->options.sampling, vocabulary));
        s->sampler = s->own_sampler;
    }
    s->options.sampling.logit_bias = NULL; /* the caller's; the sampler has its own */
    const int64_t logits = ttt_sampler_vocabulary(s->sampler);
    if (logits == vocabulary) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT, "the sampler is for %lld logits, but the model has %lld", (long long)logits,
                    (long long)vocabulary);
}

static ttt_status init_logits(ttt_session *s, int64_t vocabulary)
{
    s->logits_rows = 1;
    if (s->options.prompt_logprobs) {
        const int64_t rows = LOGITS_BYTES / (vocabulary * (int64_t)sizeof *s->logits);
        s->logits_rows = rows < 1 ? 1 : rows < LOGITS_ROWS ? rows : LOGITS_ROWS;
    }
    s->logits = ttt_alloc((size_t)(s->logits_rows * vocabulary), sizeof *s->logits);
    if (!s->logits) return TTT_ERR_MEMORY;
    if (s->options.logprobs < 0) return TTT_OK;
    s->reals = ttt_alloc((size_t)vocabulary, s->model->backend->real);
    return s->reals ? TTT_OK : TTT_ERR_MEMORY;
}

static ttt_status init(ttt_session *s)
{
    const int64_t vocabulary = ttt_model_vocabulary(s->model);
    s->allowed = vocabulary;
    if (s->options.stop_count > 0) TTT_TRY(copy_stops(&s->options));
    if (s->tokenizer) {
        TTT_TRY(ttt_model_check_tokenizer(s->model, s->tokenizer));
        s->allowed = ttt_tokenizer_vocabulary(s->tokenizer);
    }
    TTT_TRY(init_sampler(s, vocabulary));
    if (!s->state) {
        TTT_TRY(ttt_state_new(&s->own_state, s->model));
        s->state = s->own_state;
    }
    return init_logits(s, vocabulary);
}

ttt_status ttt_session_new(ttt_session **out, const ttt_model *model, const ttt_tokenizer *tokenizer, ttt_state *state,
                           const ttt_generate_options *options)
{
    *out = NULL;
    ttt_generate_options defaults;
    ttt_generate_options_init(&defaults);
    if (!options) options = &defaults;
    TTT_TRY(check_options(options, tokenizer));
    ttt_session *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    *s = (ttt_session){.model = model, .tokenizer = tokenizer, .state = state, .options = *options};
    const ttt_status status = init(s);
    if (status != TTT_OK) {
        ttt_session_free(s);
        return status;
    }
    *out = s;
    return TTT_OK;
}

void ttt_session_free(ttt_session *s)
{
    if (!s) return;
    if (s->options.stop_count > 0) ttt_free((void *)s->options.stops);
    ttt_sampler_free(s->own_sampler);
    ttt_state_free(s->own_state);
    ttt_free(s->logits);
    ttt_free(s->logprobs);
    ttt_free(s->reals);
    ttt_free(s->prompt);
    ttt_detokenizer_free(s->detokenizer);
    ttt_text_deinit(&s->text);
    ttt_free(s);
}

/* ---- the prompt ---- */

static void remember_tail(ttt_session *s, const int32_t *ids, size_t count)
{
    const size_t added = count < TAIL ? count : TAIL;
    const size_t kept = s->tail_count < TAIL - added ? s->tail_count : TAIL - added;
    memmove(s->tail, s->tail + s->tail_count - kept, kept * sizeof *s->tail);
    memcpy(s->tail + kept, ids + count - added, added * sizeof *s->tail);
    s->tail_count = kept + added;
}

/* What stands before the text: its end, and what the penalties count. */
static void see(ttt_session *s, const int32_t *ids, int64_t count)
{
    remember_tail(s, ids, (size_t)count);
    ttt_sampler_see(s->sampler, ids, count);
}

/* For `count` tokens more of the prompt, and all that may be written behind it. */
static ttt_status make_room(ttt_session *s, int64_t count)
{
    const int64_t read = ttt_state_position(s->state) + (int64_t)(s->prompt_count - s->prompt_read) + count;
    const int64_t written = s->options.max_new_tokens > 0 ? s->options.max_new_tokens : 0;
    return ttt_state_reserve(s->state, written > INT64_MAX - read ? INT64_MAX : read + written);
}

ttt_status ttt_session_push(ttt_session *s, const int32_t *ids, int64_t count)
{
    if (s->failed) return ttt_fail(TTT_ERR_ARGUMENT, "this session has failed and cannot go on: make a new one");
    if (s->phase == WRITING)
        return ttt_fail(TTT_ERR_ARGUMENT, "the session is still writing: advance it until it wants nothing; to end its "
                                          "text at once, cancel it before");
    if (count < 1) return ttt_fail(TTT_ERR_ARGUMENT, "the prompt is empty: give at least one token");
    TTT_TRY(ttt_tokens_check(ids, (size_t)count, ttt_model_vocabulary(s->model), "the prompt"));
    TTT_TRY(make_room(s, count));
    TTT_TRY(ttt_array_reserve(&s->prompt, &s->prompt_capacity, s->prompt_count + (size_t)count, sizeof *ids));
    memcpy(s->prompt + s->prompt_count, ids, (size_t)count * sizeof *ids);
    s->prompt_count += (size_t)count;
    if (s->phase == IDLE) {
        s->stats = (ttt_generate_stats){0};
        if (s->begun) s->tail_count = 0;
        s->begun = true;
        s->phase = READING;
    }
    s->wanted = 0;
    see(s, ids, count);
    return TTT_OK;
}

ttt_status ttt_session_recall(ttt_session *s, const int32_t *ids, int64_t count)
{
    if (s->begun) return ttt_fail(TTT_ERR_ARGUMENT, "the session has read already: what its state knew is said before");
    TTT_TRY(ttt_tokens_check(ids, (size_t)count, ttt_model_vocabulary(s->model), "what the state has read"));
    see(s, ids, count);
    return TTT_OK;
}

/* The text of a token can depend on those before it (a blank at the start of a text, half a character), so the
 * detokenizer sees the end of the prompt; what it says of that is not part of the text. */
static ttt_status begin_text(ttt_session *s)
{
    if (!s->tokenizer) return TTT_OK;
    TTT_TRY(ttt_detokenizer_new(&s->detokenizer, s->tokenizer, !s->options.ignore_eos));
    const size_t before = s->text.size;
    for (size_t i = 0; i < s->tail_count; i++)
        if (s->tail[i] < s->allowed) TTT_TRY(ttt_detokenizer_push(s->detokenizer, s->tail[i], &s->text));
    s->text.size = before;
    return TTT_OK;
}

/* ---- the text ---- */

/* Finds what has become certain; true: a stop string is complete, and the text has been cut before it. */
static bool settle(ttt_session *s)
{
    bool found = false;
    if (s->certain == s->text.size) return false;
    s->certain += ttt_stop_scan(s->text.data + s->certain, s->text.size - s->certain, s->options.stops,
                                s->options.stop_count, &found);
    if (found) s->text.size = s->certain;
    return found;
}

/* The text has ended and all of it was read. */
static ttt_status end_text(ttt_session *s)
{
    s->phase = IDLE;
    if (s->detokenizer && s->stats.finish != TTT_FINISH_STOP) {
        TTT_TRY(ttt_detokenizer_finish(s->detokenizer, &s->text));
        settle(s);
    }
    s->certain = s->text.size;
    ttt_detokenizer_free(s->detokenizer);
    s->detokenizer = NULL;
    return TTT_OK;
}

void ttt_session_text(ttt_session *s, const char **text, size_t *size)
{
    if (s->given > 0) {
        memmove(s->text.data, s->text.data + s->given, s->text.size - s->given);
        s->text.size -= s->given;
        s->certain -= s->given;
    }
    s->given = s->certain;
    *text = s->certain > 0 ? s->text.data : "";
    *size = s->certain;
}

/* ---- log-probabilities ---- */

static ttt_status note_logprob(ttt_session *s, int32_t id, const float *logits)
{
    TTT_TRY(ttt_array_reserve(&s->logprobs, &s->logprob_capacity, s->logprob_count + 1, sizeof *s->logprobs));
    ttt_token_logprob *next = &s->logprobs[s->logprob_count];
    *next = (ttt_token_logprob){.id = id, .logprob = (double)NAN};
    if (logits)
        TTT_TRY(ttt_logprob_of(next, s->model->backend, s->reals, logits, ttt_model_vocabulary(s->model), s->allowed,
                               id, s->options.logprobs));
    s->logprob_count++;
    return TTT_OK;
}

/* The next `read` ids of the prompt have been read, with the logits of each: those of the ids behind them. */
static ttt_status note_prompt(ttt_session *s, size_t read)
{
    const size_t V = (size_t)ttt_model_vocabulary(s->model), next = s->prompt_read + 1;
    if (s->prompt_read == 0) TTT_TRY(note_logprob(s, s->prompt[0], NULL));
    for (size_t i = 0; i < read && next + i < s->prompt_count; i++)
        TTT_TRY(note_logprob(s, s->prompt[next + i], s->logits + i * V));
    return TTT_OK;
}

const ttt_token_logprob *ttt_session_logprobs(ttt_session *s, int64_t *count)
{
    s->logprob_count -= s->logprobs_given;
    if (s->logprobs_given > 0)
        memmove(s->logprobs, s->logprobs + s->logprobs_given, s->logprob_count * sizeof *s->logprobs);
    s->logprobs_given = s->logprob_count;
    *count = (int64_t)s->logprob_count;
    return s->logprobs;
}

/* ---- steps ---- */

static bool is_eos(const ttt_session *s, int32_t id)
{
    for (int64_t i = 0; i < s->options.eos_count && !s->options.ignore_eos; i++)
        if (s->options.eos[i] == id) return true;
    return false;
}

static ttt_status choose(ttt_session *s, const float *logits)
{
    const double start = ttt_clock();
    TTT_TRY(ttt_sampler_choose(s->sampler, logits, s->allowed, ttt_state_position(s->state), &s->chosen));
    if (s->options.logprobs >= 0) TTT_TRY(note_logprob(s, s->chosen, logits));
    ttt_sampler_wrote(s->sampler, &s->chosen, 1);
    s->stats.sampling_seconds += ttt_clock() - start;
    s->stats.new_tokens++;
    s->phase = WRITING;
    const bool eos = is_eos(s, s->chosen);
    if (s->detokenizer && !eos) TTT_TRY(ttt_detokenizer_push(s->detokenizer, s->chosen, &s->text));
    if (eos)
        s->stats.finish = TTT_FINISH_EOS;
    else if (settle(s))
        s->stats.finish = TTT_FINISH_STOP;
    else if (s->stats.new_tokens == s->options.max_new_tokens)
        s->stats.finish = TTT_FINISH_LENGTH;
    return TTT_OK;
}

void ttt_session_want(ttt_session *s, int64_t limit, ttt_feed *feed)
{
    *feed = (ttt_feed){.state = s->state, .which = TTT_LOGITS_NONE, .logits = s->logits};
    s->wanted = 0;
    if (s->phase == IDLE || limit < 1) return;
    bool logits = s->stats.finish == TTT_FINISH_NONE;
    if (s->phase == READING) {
        const int64_t left = (int64_t)(s->prompt_count - s->prompt_read);
        if (s->options.prompt_logprobs && limit > s->logits_rows) limit = s->logits_rows;
        feed->tokens = s->prompt + s->prompt_read;
        feed->count = left < limit ? left : limit;
        logits = feed->count == left && s->options.max_new_tokens != 0;
    } else {
        feed->tokens = &s->chosen;
        feed->count = 1;
    }
    if (logits) feed->which = TTT_LOGITS_LAST;
    if (s->phase == READING && s->options.prompt_logprobs) feed->which = TTT_LOGITS_ALL;
    s->wanted = feed->count;
    s->position = ttt_state_position(s->state);
    s->wanted_at = ttt_clock();
}

/* The feed has been read; *chosen: an id has been chosen from its logits. */
static ttt_status go_on(ttt_session *s, int64_t read, double seconds, bool *chosen)
{
    const float *logits = s->logits;
    if (s->phase == WRITING) {
        s->stats.new_seconds += seconds;
        if (s->stats.finish != TTT_FINISH_NONE) return end_text(s);
    } else {
        s->stats.prompt_seconds += seconds;
        s->stats.prompt_tokens += read;
        if (s->options.prompt_logprobs) {
            TTT_TRY(note_prompt(s, (size_t)read));
            logits += (read - 1) * ttt_model_vocabulary(s->model);
        }
        s->prompt_read += (size_t)read;
        if (s->prompt_read < s->prompt_count) return TTT_OK;
        s->prompt_read = s->prompt_count = 0;
        if (s->options.max_new_tokens == 0) {
            s->stats.finish = TTT_FINISH_LENGTH;
            return end_text(s);
        }
        TTT_TRY(begin_text(s));
    }
    *chosen = true;
    return choose(s, logits);
}

ttt_status ttt_session_took(ttt_session *s, int32_t *id)
{
    if (id) *id = -1;
    const int64_t position = ttt_state_position(s->state), read = s->wanted;
    if (read == 0) return ttt_fail(TTT_ERR_ARGUMENT, "the session has not asked for anything to be read");
    if (position != s->position + read)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "the session's state has read %lld tokens and should have read %lld: advance what the session "
                        "wants, and nothing else",
                        (long long)position, (long long)(s->position + read));
    s->wanted = 0;
    bool chosen = false;
    const ttt_status status = go_on(s, read, ttt_clock() - s->wanted_at, &chosen);
    if (status != TTT_OK) {
        s->failed = true;
        s->phase = IDLE;
    } else if (chosen && id) {
        *id = s->chosen;
    }
    return status;
}

void ttt_session_cancel(ttt_session *s)
{
    if (s->phase == IDLE || s->stats.finish != TTT_FINISH_NONE) return;
    s->stats.finish = TTT_FINISH_CANCELLED;
    s->wanted = 0;
    if (s->phase == WRITING) return;
    s->prompt_read = s->prompt_count = 0;
    s->phase = IDLE;
}

const ttt_generate_stats *ttt_session_stats(const ttt_session *s) { return &s->stats; }
ttt_state *ttt_session_state(const ttt_session *s) { return s->state; }
