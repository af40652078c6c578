/* SPDX-License-Identifier: MIT
 *
 * Log-probabilities of sessions against plain loops in double, against the loss of ttt_eval, and against themselves:
 * however much is read at a time, they are the same bits.
 */
#include <stdint.h>
#include <ttt/eval.h>
#include <ttt/session.h>

#include "small_config.h"
#include "test.h"

enum { V = 300, KNOWN = 257, PROMPT = 150, NEW = 40, TOP = 5 };

static ttt_model *model;
static ttt_context *context;
static ttt_tokenizer *tokenizer; /* knows fewer ids than the model */

typedef struct measured {
    ttt_token_logprob list[PROMPT + NEW];
    int64_t count, asked; /* how often there were some */
    int32_t ids[NEW];
    int new_ids;
} measured;

static void make_prompt(int32_t prompt[PROMPT])
{
    for (int i = 0; i < PROMPT; i++) prompt[i] = i * 37 % KNOWN;
}

static void gather(measured *m, ttt_session *session)
{
    int64_t count;
    const ttt_token_logprob *list = ttt_session_logprobs(session, &count);
    CHECK(m->count + count <= PROMPT + NEW);
    for (int64_t i = 0; i < count; i++) m->list[m->count++] = list[i];
    m->asked += count > 0;
}

static ttt_generate_options asking(int logprobs, bool prompt)
{
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = NEW;
    options.ignore_eos = true;
    options.logprobs = logprobs;
    options.prompt_logprobs = prompt;
    options.sampling.temperature = 2; /* changes what is chosen and no log-probability, and so do the others */
    options.sampling.presence_penalty = 1;
    return options;
}

/* Reads the prompt in parts of `limit` and writes; the list is taken every `often` steps. */
static void write_text(measured *m, const ttt_generate_options *options, int64_t limit, int often)
{
    int32_t prompt[PROMPT], id;
    ttt_session *session;
    ttt_feed feed;
    memset(m, 0, sizeof *m);
    make_prompt(prompt);
    CHECK_OK(ttt_session_new(&session, model, tokenizer, NULL, options));
    CHECK_OK(ttt_session_push(session, prompt, 60));
    CHECK_OK(ttt_session_push(session, prompt + 60, PROMPT - 60));
    for (int step = 1; ttt_session_want(session, limit, &feed), feed.count > 0; step++) {
        CHECK_OK(ttt_context_advance(context, &feed, 1));
        CHECK_OK(ttt_session_took(session, &id));
        if (id >= 0) m->ids[m->new_ids++] = id;
        if (step % often == 0) gather(m, session);
    }
    gather(m, session);
    int64_t count;
    (void)ttt_session_logprobs(session, &count);
    CHECK_EQ(count, 0); /* they were given out */
    CHECK_EQ(m->new_ids, options->max_new_tokens);
    ttt_session_free(session);
}

/* log softmax of a row, one after the other in double. */
static void plain(double p[V], const float *logits)
{
    double largest = -INFINITY, sum = 0;
    for (int i = 0; i < V; i++) largest = fmax(largest, (double)logits[i]);
    for (int i = 0; i < V; i++) sum += exp((double)logits[i] - largest);
    for (int i = 0; i < V; i++) p[i] = (double)logits[i] - largest - log(sum);
}

/* The best of the ids that the tokenizer knows, in order. */
static void check_top(const ttt_token_logprob *t, const double p[V], int top, double tolerance)
{
    CHECK_EQ(t->top_count, top);
    bool taken[KNOWN] = {false};
    for (int k = 0; k < top; k++) {
        int best = -1;
        for (int i = 0; i < KNOWN; i++)
            if (!taken[i] && (best < 0 || p[i] > p[best])) best = i;
        CHECK_EQ(t->top[k].id, best);
        CHECK_NEAR(t->top[k].logprob, p[best], tolerance);
        if (best == t->id) CHECK(t->top[k].logprob == t->logprob); /* one number for one id */
        taken[best] = true;
    }
}

static void check_text(const measured *m, const ttt_generate_options *options, double tolerance)
{
    static int32_t text[PROMPT + NEW];
    static float logits[PROMPT + NEW][V];
    const int first = options->prompt_logprobs ? 0 : PROMPT;
    make_prompt(text);
    memcpy(text + PROMPT, m->ids, sizeof m->ids);
    CHECK_EQ(m->count, PROMPT + NEW - first);
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, model));
    const ttt_feed feed = {state, text, PROMPT + NEW, TTT_LOGITS_ALL, logits[0]};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    ttt_state_free(state);
    for (int i = first; i < PROMPT + NEW; i++) {
        const ttt_token_logprob *t = &m->list[i - first];
        double p[V];
        CHECK_EQ(t->id, text[i]);
        if (i == 0) {
            CHECK(isnan(t->logprob));
            CHECK_EQ(t->top_count, 0);
            continue;
        }
        plain(p, logits[i - 1]);
        CHECK_NEAR(t->logprob, p[text[i]], tolerance);
        check_top(t, p, options->logprobs, tolerance);
    }
}

/* What a session holds against an id is that it wrote it, not that the prompt has it. */
static void test_written(void)
{
    static measured m;
    static int32_t text[PROMPT + NEW];
    static float logits[PROMPT + NEW][V];
    ttt_generate_options options = asking(-1, false);
    options.sampling.temperature = 0;
    options.sampling.presence_penalty = 0.5;
    options.sampling.frequency_penalty = 0.125;
    write_text(&m, &options, 50, 1);
    make_prompt(text);
    memcpy(text + PROMPT, m.ids, sizeof m.ids);
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, model));
    const ttt_feed feed = {state, text, PROMPT + NEW, TTT_LOGITS_ALL, logits[0]};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    ttt_state_free(state);
    int written[V] = {0}, again = 0;
    for (int i = 0; i < NEW; i++) {
        int best = 0;
        double most = -INFINITY;
        for (int id = 0; id < KNOWN; id++) {
            const double x = (double)logits[PROMPT + i - 1][id] - (written[id] ? 0.5 + 0.125 * written[id] : 0);
            if (x > most) most = x, best = id;
        }
        CHECK_EQ(m.ids[i], best);
        again += written[best]++ > 0;
    }
    CHECK(again < NEW / 2);
}

static void check_same(const measured *a, const measured *b)
{
    CHECK_EQ(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) {
        CHECK_EQ(a->list[i].id, b->list[i].id);
        CHECK(memcmp(&a->list[i].logprob, &b->list[i].logprob, sizeof(double)) == 0);
        CHECK_EQ(a->list[i].top_count, b->list[i].top_count);
        for (int k = 0; k < a->list[i].top_count; k++) {
            CHECK_EQ(a->list[i].top[k].id, b->list[i].top[k].id);
            CHECK(a->list[i].top[k].logprob == b->list[i].top[k].logprob);
        }
    }
}

/* The mean over the text is the loss that ttt_eval finds. */
static void check_eval(double tolerance)
{
    static measured m;
    ttt_generate_options options = asking(0, true);
    write_text(&m, &options, 9, 3);
    int32_t text[PROMPT + NEW];
    make_prompt(text);
    memcpy(text + PROMPT, m.ids, sizeof m.ids);
    ttt_eval_options eval;
    ttt_eval_result result;
    ttt_eval_options_init(&eval);
    CHECK_OK(ttt_eval(context, text, PROMPT + NEW, &eval, &result));
    double sum = 0;
    for (int64_t i = 1; i < m.count; i++) sum -= m.list[i].logprob;
    CHECK_EQ(result.tokens, m.count - 1);
    CHECK_NEAR(sum / (double)result.tokens, result.adapting.all.mean, tolerance);
    ttt_eval_result_deinit(&result);
}

static ttt_status take_piece(void *to, int32_t id, const char *text, size_t size)
{
    measured *m = to;
    (void)text, (void)size;
    if (id < 0) return TTT_OK;
    CHECK_EQ(m->list[m->count - 1].id, id); /* its log-probability came before */
    m->ids[m->new_ids++] = id;
    return TTT_OK;
}

static ttt_status take_logprobs(void *to, const ttt_token_logprob *list, int64_t count)
{
    measured *m = to;
    CHECK(count > 0);
    for (int64_t i = 0; i < count; i++) m->list[m->count++] = list[i];
    return TTT_OK;
}

static ttt_status refuse_logprobs(void *to, const ttt_token_logprob *list, int64_t count)
{
    (void)to, (void)list, (void)count;
    return TTT_ERR_INTERRUPTED;
}

/* ttt_generate tells the same, and ends where its sink says so. */
static void test_generate(const measured *expected)
{
    static measured m;
    int32_t prompt[PROMPT];
    ttt_state *state;
    ttt_generate_options options = asking(TOP, true);
    ttt_generate_sink sink = {.piece = take_piece, .logprobs = take_logprobs, .context = &m};
    memset(&m, 0, sizeof m);
    make_prompt(prompt);
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_generate(context, tokenizer, state, prompt, PROMPT, &options, &sink, NULL));
    check_same(&m, expected);
    sink = (ttt_generate_sink){.logprobs = refuse_logprobs};
    CHECK_EQ(ttt_generate(context, tokenizer, state, prompt, PROMPT, &options, &sink, NULL), TTT_ERR_INTERRUPTED);
    ttt_state_free(state);
}

/* Another prompt of the same session, and a prompt that is given up. */
static void test_turns(void)
{
    static measured m;
    int32_t prompt[PROMPT];
    ttt_session *session;
    ttt_feed feed;
    ttt_generate_options options = asking(0, true);
    options.max_new_tokens = 0; /* nothing but the prompt's */
    make_prompt(prompt);
    CHECK_OK(ttt_session_new(&session, model, tokenizer, NULL, &options));
    for (int turn = 0; turn < 2; turn++) {
        memset(&m, 0, sizeof m);
        CHECK_OK(ttt_session_push(session, prompt, 20));
        for (int step = 0; ttt_session_want(session, 8, &feed), feed.count > 0; step++) {
            if (turn == 1 && step == 2) {
                ttt_session_cancel(session);
                continue;
            }
            CHECK_EQ(feed.which, TTT_LOGITS_ALL);
            CHECK_OK(ttt_context_advance(context, &feed, 1));
            CHECK_OK(ttt_session_took(session, NULL));
        }
        gather(&m, session);
        CHECK_EQ(m.count, turn == 0 ? 20 : 17); /* 16 tokens tell of the one behind them */
        for (int64_t i = 0; i < m.count; i++) {
            CHECK_EQ(m.list[i].id, prompt[i]);
            CHECK_EQ(isnan(m.list[i].logprob), i == 0);
        }
    }
    ttt_session_free(session);
}

static void test_refusals(void)
{
    ttt_session *session;
    ttt_generate_options options = asking(TTT_TOP_LOGPROBS + 1, false);
    CHECK_FAILS(ttt_session_new(&session, model, tokenizer, NULL, &options), TTT_ERR_ARGUMENT, "logprobs is 21");
    options.logprobs = -2;
    CHECK_FAILS(ttt_session_new(&session, model, tokenizer, NULL, &options), TTT_ERR_ARGUMENT, "logprobs is -2");
    options = asking(-1, true);
    CHECK_FAILS(ttt_session_new(&session, model, tokenizer, NULL, &options), TTT_ERR_ARGUMENT, "of the prompt need");
    const ttt_logit_bias bias = {V, 1};
    options = asking(-1, false);
    options.sampling.logit_bias = &bias;
    options.sampling.logit_bias_count = 1;
    CHECK_FAILS(ttt_session_new(&session, model, tokenizer, NULL, &options), TTT_ERR_ARGUMENT, "names id 300");

    /* Logits that are none, of an id that nobody chose. */
    const float bad[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        ttt_feed feed;
        options = asking(0, true);
        CHECK_OK(ttt_session_new(&session, model, tokenizer, NULL, &options));
        CHECK_OK(ttt_session_push(session, (const int32_t[]){1, 2, 3}, 3));
        ttt_session_want(session, 9, &feed);
        CHECK_OK(ttt_context_advance(context, &feed, 1));
        feed.logits[V + 7] = bad[i];
        CHECK_FAILS(ttt_session_took(session, NULL), TTT_ERR_NUMERIC, "no probability of id 3");
        ttt_session_free(session);
    }
}

/* Without being asked for there are none, and a text is chosen as with them. */
static void test_unasked(const measured *with)
{
    static measured m;
    ttt_generate_options options = asking(-1, false);
    write_text(&m, &options, 10, 1);
    CHECK_EQ(m.count, 0);
    CHECK(memcmp(m.ids, with->ids, sizeof m.ids) == 0);
}

static void test_backend(const char *backend, double tolerance, double of_eval)
{
    static measured m, other;
    ttt_config config = small_config(V, 16, 2, 2);
    config.mini_batch_size = 4;
    CHECK_OK(ttt_model_new(&model, &config, 1, &(ttt_model_options){.backend = backend}));
    CHECK_OK(ttt_context_new(&context, model, 2));
    ttt_generate_options options = asking(TOP, true);
    write_text(&m, &options, 1000, 1);
    CHECK_EQ(m.asked, NEW); /* the whole prompt and the first new id, then one by one */
    check_text(&m, &options, tolerance);
    const int64_t limits[] = {1, 7, 64};
    for (int i = 0; i < 3; i++) {
        write_text(&other, &options, limits[i], 1 + 4 * i);
        check_same(&other, &m);
    }
    test_generate(&m);
    test_unasked(&m);
    options = asking(TTT_TOP_LOGPROBS, false);
    write_text(&m, &options, 13, 2);
    check_text(&m, &options, tolerance);
    check_eval(of_eval);
    test_written();
    test_turns();
    test_refusals();
    ttt_context_free(context);
    ttt_model_free(model);
}

int main(void)
{
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    test_backend("cpu", 1e-6, 1e-13);
    test_backend("ref", 1e-12, 1e-8); /* ttt_eval has logits in double there */
    ttt_tokenizer_free(tokenizer);
    return test_end();
}
