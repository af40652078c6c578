/* SPDX-License-Identifier: MIT
 *
 * Evaluation. Windows of a text are read side by side in one call, a few tokens of each at a time; with both modes
 * every window is read twice side by side. Losses are computed by the backend, so in its precision.
 *
 * A text t_0 ... t_{n-1} has predictions number 1 to n - 1, or 0 to n - 1 with BOS; the token read just before
 * prediction j is t_{j-1}, or BOS at the start of a window. Window w holds the predictions from start + w stride on.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/elementary.h"
#include "base/tokens.h"
#include "data/hash.h"
#include "dist/comm.h"
#include "eval/position.h"
#include "model/context.h"

enum {
    FEEDS = TTT_EVAL_OPEN,                 /* sequences side by side */
    BLOCK = 1024,                          /* tokens whose losses depend on each other, for the errors */
    BLOCKS = 8,                            /* at least: a short text has shorter ones */
    STATE_BYTES = 256 << 20,               /* for the states of them, if one takes less */
    STEP = 16,                             /* tokens at a time are a multiple of this if possible */
    PROGRESS_TOKENS = 4 * TTT_ADVANCE_ROWS /* between two calls of progress */
};

typedef struct evaluation {
    ttt_context *context;
    const ttt_lm *lm; /* of the context's model */
    const int32_t *tokens;
    int64_t count;
    const ttt_eval_options *options;
    ttt_eval_result *result;
    int64_t start;            /* the first window's first prediction */
    int64_t before;           /* tokens that were read before each window */
    int64_t modes;            /* 1 or 2: sequences for each window */
    int64_t batch;            /* windows side by side */
    ttt_state *states[FEEDS]; /* [batch, modes] */
    ttt_eval_sums sums;
    ttt_comm *comm;
    int64_t read, told; /* tokens, for progress */
    int64_t block;      /* tokens of a block: of a window's, or of as many windows as make so many */

    int32_t ids[TTT_ADVANCE_ROWS], targets[TTT_ADVANCE_ROWS];
    double *found;       /* of a step: losses, then those of the inner loop, as score_step says */
    void *logits;        /* [TTT_ADVANCE_ROWS, V] reals */
    void *places[FEEDS]; /* in logits, of each feed */

    ttt_inspection inspection; /* losses NULL: not wanted */
    ttt_state *first;          /* what inspection.first is the memory of */
    int64_t *learning;         /* [result->layers] numbers of the layers in which something learns */
    int64_t inner_count[TTT_EVAL_BINS];
} evaluation;

void ttt_eval_options_init(ttt_eval_options *options) { *options = (ttt_eval_options){.bos = -1}; }

void ttt_eval_result_deinit(ttt_eval_result *result)
{
    ttt_free(result->inner);
    result->inner = NULL;
}

double ttt_eval_perplexity(double loss) { return ttt_exp(loss); }

double ttt_eval_bits_per_byte(const ttt_eval_result *result, double loss)
{
    return loss / 0.69314718055994530942 * result->tokens_per_byte;
}

static ttt_status check_tokens(const evaluation *e)
{
    const int64_t vocabulary = ttt_model_vocabulary(e->context->model);
    if (e->options->bos >= vocabulary)
        return ttt_fail(TTT_ERR_ARGUMENT, "BOS has id %lld, but the model knows ids 0 to %lld",
                        (long long)e->options->bos, (long long)vocabulary - 1);
    return ttt_tokens_check(e->tokens, (size_t)e->count, vocabulary, "the text");
}

/* Cuts the text into windows. */
static ttt_status plan(evaluation *e)
{
    const ttt_eval_options *o = e->options;
    ttt_eval_result *r = e->result;
    e->start = o->bos >= 0 ? 0 : 1;
    const int64_t predictions = e->count - e->start;
    if (o->context < 0 || o->stride < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "context %lld, stride %lld: neither may be negative", (long long)o->context,
                        (long long)o->stride);
    if (o->context == 0 && o->stride > 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "a stride needs a context: without one the whole text is one window");
    if (o->stride > o->context)
        return ttt_fail(TTT_ERR_ARGUMENT, "stride %lld is larger than context %lld: tokens between would not be read",
                        (long long)o->stride, (long long)o->context);
    if (predictions < 1)
        return ttt_fail(TTT_ERR_ARGUMENT, "the text has %lld tokens, too few to predict one from another",
                        (long long)e->count);
    if (predictions < o->context)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "the text is shorter than the context: it has %lld tokens, and a context of %lld needs %lld",
                        (long long)e->count, (long long)o->context, (long long)o->context + e->start);
    r->context = o->context > 0 ? o->context : predictions;
    r->stride = o->stride > 0 ? o->stride : r->context;
    const int64_t part = (predictions - (r->context - r->stride)) / BLOCKS;
    e->block = part > BLOCK ? BLOCK : part > 1 ? part : 1;
    ttt_eval_sums_init(&e->sums);
    r->windows = (predictions - (r->context - r->stride) + r->stride - 1) / r->stride;
    r->tokens_per_byte = o->bytes > 0 ? (double)e->count / (double)o->bytes : (double)NAN;
    r->bin_count = ttt_eval_bins(r->bins, r->context);
    if (e->options->state && e->options->state->model != e->context->model)
        return ttt_fail(TTT_ERR_ARGUMENT, "the state to go on from is of another model than the one to evaluate");
    e->before = e->options->state ? e->options->state->position : 0;
    return check_tokens(e);
}

/* A state at the beginning of a window. */
static ttt_status begin_window(const evaluation *e, ttt_state *state, bool frozen)
{
    if (!e->options->state) {
        ttt_state_reset(state);
        return TTT_OK;
    }
    TTT_TRY(ttt_state_copy(state, e->options->state));
    ttt_state_forget(state);
    ttt_state_freeze(state, frozen);
    return TTT_OK;
}

static int64_t window_length(const evaluation *e, int64_t window)
{
    const int64_t begin = e->start + window * e->result->stride, left = e->count - begin;
    return left < e->result->context ? left : e->result->context;
}

static ttt_status init_inspection(evaluation *e)
{
    const ttt_stack *stack = &e->lm->stack;
    const ttt_backend *b = e->context->backend;
    const int64_t feeds = e->batch * e->modes;
    int64_t most = 0;
    e->learning = ttt_alloc((size_t)stack->layer_count, sizeof *e->learning);
    if (!e->learning) return TTT_ERR_MEMORY;
    for (int64_t i = 0; i < stack->layer_count; i++) {
        const ttt_layer *layer = &stack->layers[i];
        const int64_t size = layer->ops->inspect_size ? layer->ops->inspect_size(layer, b) : 0;
        if (size > 0) e->learning[e->result->layers++] = i;
        if (size > most) most = size;
    }
    e->result->inner = ttt_alloc((size_t)(e->result->layers * e->result->bin_count), sizeof *e->result->inner);
    e->inspection.losses = ttt_alloc((size_t)(stack->layer_count * feeds * 3), sizeof(double));
    e->inspection.before = ttt_alloc((size_t)(feeds * most), b->real);
    if (!e->result->inner || !e->inspection.losses || !e->inspection.before) return TTT_ERR_MEMORY;
    TTT_TRY(ttt_state_new(&e->first, e->context->model));
    TTT_TRY(begin_window(e, e->first, false));
    e->inspection.first = e->first->fixed;
    return TTT_OK;
}

/* Of a window at the end of a mini-batch: [layers, 3]. */
static int64_t inner_losses(const evaluation *e) { return 3 * e->result->layers; }

/* Whether a mini-batch ends behind the first `read` tokens of a window. */
static bool ends_mini_batch(const evaluation *e, int64_t read)
{
    return (e->before + read) % e->lm->config.mini_batch_size == 0;
}

/* Of the states, [batch, modes]. */
static bool is_frozen(const evaluation *e, int64_t state)
{
    return e->options->mode == TTT_EVAL_FROZEN || state % e->modes == 1;
}

static ttt_status init(evaluation *e)
{
    const ttt_lm *lm = e->lm;
    e->modes = e->options->mode == TTT_EVAL_BOTH ? 2 : 1;
    TTT_TRY(ttt_state_new(&e->states[0], e->context->model));
    const int64_t most = e->before + e->result->context;
    TTT_TRY(ttt_state_reserve(e->states[0], most)); /* refused before anything is read */
    const int64_t bytes = ((int64_t)ttt_state_bytes(e->states[0]) + 1) * e->modes;
    e->batch = STATE_BYTES / bytes < FEEDS / e->modes ? STATE_BYTES / bytes : FEEDS / e->modes;
    if (e->batch > e->result->windows) e->batch = e->result->windows;
    if (e->batch < 1) e->batch = 1;
    for (int64_t i = 0; i < e->batch * e->modes; i++) {
        if (i > 0) TTT_TRY(ttt_state_new(&e->states[i], e->context->model));
        TTT_TRY(ttt_state_reserve(e->states[i], most));
        ttt_state_freeze(e->states[i], is_frozen(e, i));
    }
    e->logits = ttt_alloc((size_t)(TTT_ADVANCE_ROWS * lm->config.vocab_size), lm->backend->real);
    if (!e->logits) return TTT_ERR_MEMORY;
    if (e->options->inner) TTT_TRY(init_inspection(e));
    e->found = ttt_alloc((size_t)(TTT_ADVANCE_ROWS + e->batch * inner_losses(e)), sizeof *e->found);
    return e->found ? TTT_OK : TTT_ERR_MEMORY;
}

static void deinit(evaluation *e)
{
    for (int i = 0; i < FEEDS; i++) ttt_state_free(e->states[i]);
    ttt_free(e->logits);
    ttt_free(e->found);
    ttt_free(e->learning);
    ttt_free(e->inspection.losses);
    ttt_free(e->inspection.before);
    ttt_state_free(e->first);
}

/* Adds the losses of tokens [from, from + n) of a window; losses[m][i] is that of mode m. */
static ttt_status score(evaluation *e, int64_t window, int64_t from, int64_t n, const double *losses, int64_t mode_rows)
{
    ttt_eval_result *r = e->result;
    int64_t bin = 0;
    for (int64_t i = 0; i < n; i++) {
        if (from + i < r->context - r->stride) continue;
        bin = ttt_eval_find_bin(r->bins, bin, from + i + 1);
        r->bins[bin].tokens++;
        r->tokens++;
        double value[3] = {losses[i], losses[i], 0};
        if (e->modes == 2) {
            value[1] = losses[mode_rows + i];
            value[2] = value[1] - value[0];
        }
        if (!isfinite(value[0]) || !isfinite(value[1]))
            return ttt_fail(TTT_ERR_NUMERIC,
                            "the loss at token %lld of the text is not a finite number: the model's numbers have "
                            "overflowed",
                            (long long)e->start + window * r->stride + from + i);
        const int64_t together = (e->block + r->stride - 1) / r->stride, group = window / together;
        const int64_t part = together > 1 ? 0 : (from + i - (r->context - r->stride)) / e->block;
        ttt_eval_sums_add(&e->sums, group % FEEDS, group * (r->stride / e->block + 1) + part, bin, value);
    }
    return TTT_OK;
}

/* Adds the inner loop's losses after `position` tokens of a window. */
static void score_inner(evaluation *e, int64_t position, const double *losses)
{
    ttt_eval_result *r = e->result;
    const int64_t bin = ttt_eval_find_bin(r->bins, 0, position);
    e->inner_count[bin]++;
    for (int64_t layer = 0; layer < r->layers; layer++) {
        ttt_eval_inner *sum = &r->inner[layer * r->bin_count + bin];
        sum->first += losses[3 * layer];
        sum->before += losses[3 * layer + 1];
        sum->after += losses[3 * layer + 2];
    }
}

/* How many tokens of each of `feeds` sequences are read next; with inspection up to the end of a mini-batch. */
static int64_t next_step(const evaluation *e, int64_t feeds, int64_t done)
{
    int64_t n = TTT_ADVANCE_ROWS / feeds / STEP * STEP;
    const int64_t K = e->lm->config.mini_batch_size, to_end = K - (e->before + done) % K;
    if (e->options->inner && to_end < n) n = to_end;
    return n;
}

static ttt_status tell(evaluation *e, int64_t tokens)
{
    const ttt_eval_options *o = e->options;
    const ttt_eval_result *r = e->result;
    const int64_t total = (r->windows - 1) * r->context + window_length(e, r->windows - 1);
    e->read += tokens;
    if (e->read > total) e->read = total;
    if (!o->progress || (e->read - e->told < PROGRESS_TOKENS && e->read < total)) return TTT_OK;
    e->told = e->read;
    return o->progress(o->progress_context, e->read, total);
}

/* Tokens of a window among the next n, of which `done` were read; only the last window can be shorter. */
static int64_t step_length(const evaluation *e, int64_t window, int64_t done, int64_t n)
{
    const int64_t left = window_length(e, window) - done;
    return left < 0 ? 0 : left < n ? left : n;
}

/* Whether some of n tokens of a window are scored, of which `done` were read. */
static bool is_scored(const evaluation *e, int64_t done, int64_t n)
{
    return done + n > e->result->context - e->result->stride;
}

/* What a step has found: the losses [windows, modes, tokens] where some are scored; then, of windows whose mini-batch
 * ends here, those of the inner loop, [layers, 3]. Returns how many numbers that is. */
static ttt_status score_step(evaluation *e, int64_t window, int64_t windows, int64_t done, int64_t n,
                             const double *found, int64_t *count)
{
    *count = 0;
    for (int64_t w = 0; w < windows && is_scored(e, done, n); w++) {
        const int64_t length = step_length(e, window + w, done, n);
        TTT_TRY(score(e, window + w, done, length, found + *count, length));
        *count += e->modes * length;
    }
    for (int64_t w = 0; w < windows && e->options->inner; w++) {
        const int64_t length = step_length(e, window + w, done, n);
        if (length == 0 || !ends_mini_batch(e, done + length)) continue;
        score_inner(e, done + length, found + *count);
        *count += inner_losses(e);
    }
    return TTT_OK;
}

/* The inner loop's losses of feed number `feed` of `feeds`. */
static void look_inside(const evaluation *e, int64_t feed, int64_t feeds, double *losses)
{
    for (int64_t layer = 0; layer < e->result->layers; layer++)
        memcpy(losses + 3 * layer, e->inspection.losses + (e->learning[layer] * feeds + feed) * 3, 3 * sizeof *losses);
}

/* Reads the next n tokens of windows [window, window + windows), of which `done` are read; e->found [*found] is then
 * what score_step takes. */
static ttt_status read_step(evaluation *e, int64_t window, int64_t windows, int64_t done, int64_t n, int64_t *found)
{
    const ttt_eval_result *r = e->result;
    const ttt_lm *lm = e->lm;
    const ttt_backend *b = e->context->backend;
    const bool scored = is_scored(e, done, n);
    ttt_feed feeds[FEEDS];
    int64_t lengths[FEEDS] = {0}, count = 0, rows = 0;
    for (int64_t w = 0; w < windows; w++) {
        const int64_t begin = e->start + (window + w) * r->stride;
        lengths[w] = step_length(e, window + w, done, n);
        for (int64_t m = 0; m < e->modes && lengths[w] > 0; m++) {
            for (int64_t i = 0; i < lengths[w]; i++) {
                const int64_t j = begin + done + i;
                e->ids[rows + i] = done + i == 0 && e->options->bos >= 0 ? (int32_t)e->options->bos : e->tokens[j - 1];
                e->targets[rows + i] = e->tokens[j];
            }
            feeds[count] = (ttt_feed){.state = e->states[w * e->modes + m],
                                      .tokens = e->ids + rows,
                                      .count = lengths[w],
                                      .which = scored ? TTT_LOGITS_ALL : TTT_LOGITS_NONE};
            e->places[count++] = ttt_at(b, e->logits, rows * lm->config.vocab_size);
            rows += lengths[w];
        }
    }
    const ttt_advance_options options = {
        .dtype = b->dtype, .logits = e->places, .inspection = e->options->inner ? &e->inspection : NULL};
    TTT_TRY(ttt_context_advance_as(e->context, feeds, count, &options));
    if (scored) b->ops->cross_entropy(b, e->found, e->logits, e->targets, rows, lm->config.vocab_size, 0);
    *found = scored ? rows : 0;
    for (int64_t w = 0; w * e->modes < count && e->options->inner; w++) {
        if (!ends_mini_batch(e, done + lengths[w])) continue;
        look_inside(e, w * e->modes, count, e->found + *found);
        *found += inner_losses(e);
    }
    return TTT_OK;
}

/* What is done with a batch of windows: all of it, or with ranks, whose sums are to be those of one process, apart. */
typedef enum deed { READ_AND_SCORE, READ, SCORE } deed;

/* Windows from `window` on, as many as go side by side. READ puts what it finds into `found`, SCORE takes it. */
static ttt_status take_batch(evaluation *e, int64_t window, deed what, double *found)
{
    const ttt_eval_result *r = e->result;
    const int64_t left = r->windows - window, windows = left < e->batch ? left : e->batch;
    for (int64_t i = 0; i < windows * e->modes && what != SCORE; i++)
        TTT_TRY(begin_window(e, e->states[i], is_frozen(e, i)));
    const int64_t length = window_length(e, window);
    for (int64_t done = 0, n, count = 0; done < length; done += n) {
        n = next_step(e, windows * e->modes, done);
        if (n > length - done) n = length - done;
        if (what != SCORE) TTT_TRY(read_step(e, window, windows, done, n, &count));
        if (what == READ) memcpy(found, e->found, (size_t)count * sizeof *found);
        if (what != READ) TTT_TRY(score_step(e, window, windows, done, n, what == SCORE ? found : e->found, &count));
        if (found) found += count;
        if (what != SCORE) TTT_TRY(tell(e, windows * n * ttt_comm_size(e->comm)));
    }
    return TTT_OK;
}

static ttt_status read_windows(evaluation *e)
{
    for (int64_t window = 0; window < e->result->windows; window += e->batch)
        TTT_TRY(take_batch(e, window, READ_AND_SCORE, NULL));
    return TTT_OK;
}

/* ---- by ranks ---- */

/* Ranks that evaluate together must have the same model and text, and compute the same bits. */
static ttt_status check_alike(const evaluation *e)
{
    enum { FIELD = 64 };
    const ttt_model *model = e->context->model;
    const uint64_t text = ttt_hash(TTT_HASH_XXH3, e->tokens, (size_t)e->count * sizeof *e->tokens);
    char own[2][FIELD] = {{0}}, (*all)[2][FIELD] = ttt_alloc((size_t)ttt_comm_size(e->comm), sizeof *all);
    if (!all) return TTT_ERR_MEMORY;
    snprintf(own[0], FIELD, "%s", ttt_model_fingerprint(model));
    snprintf(own[1], FIELD, "%016llx %s", (unsigned long long)text,
             ttt_bits_of(e->context->backend->isa, ttt_model_precision(model)));
    ttt_status status = ttt_comm_gather(e->comm, own, sizeof own, all);
    for (int rank = 1; rank < ttt_comm_size(e->comm) && status == TTT_OK; rank++)
        for (int i = 0; i < 2 && status == TTT_OK; i++)
            if (memcmp(all[rank][i], all[0][i], FIELD) != 0)
                status = ttt_comm_agreed_failure(
                    e->comm, ttt_fail(TTT_ERR_ARGUMENT, "rank %d on host %s has another %s than rank 0 on host %s",
                                      rank, ttt_comm_host(e->comm, rank), i ? "text or instruction set" : "model",
                                      ttt_comm_host(e->comm, 0)));
    ttt_free(all);
    return status;
}

/* A batch for each rank; then all score all of them, in the order of the text. */
static ttt_status take_round(evaluation *e, int64_t first, size_t size, double *own, double *all)
{
    const int64_t window = first + ttt_comm_rank(e->comm) * e->batch, windows = e->result->windows;
    const ttt_status status = window < windows ? take_batch(e, window, READ, own) : TTT_OK;
    TTT_TRY(ttt_comm_agree(e->comm, status));
    TTT_TRY(ttt_comm_gather(e->comm, own, size * sizeof *own, all));
    for (int i = 0; i < ttt_comm_size(e->comm) && first + i * e->batch < windows; i++) {
        const ttt_status scored = take_batch(e, first + i * e->batch, SCORE, all + (size_t)i * size);
        if (scored != TTT_OK) return ttt_comm_agreed_failure(e->comm, scored);
    }
    return TTT_OK;
}

static ttt_status read_windows_together(evaluation *e)
{
    const int64_t context = e->result->context, ends = context / e->lm->config.mini_batch_size + 1;
    const size_t size = (size_t)(e->batch * (e->modes * context + ends * inner_losses(e)));
    const size_t ranks = (size_t)ttt_comm_size(e->comm);
    double *own = ttt_alloc(size, sizeof *own), *all = ttt_alloc(ranks * size, sizeof *all);
    ttt_status status = ttt_comm_agree(e->comm, own && all ? TTT_OK : TTT_ERR_MEMORY);
    if (status == TTT_OK) status = check_alike(e);
    for (int64_t first = 0; first < e->result->windows && status == TTT_OK; first += (int64_t)ranks * e->batch)
        status = take_round(e, first, size, own, all);
    ttt_free(own);
    ttt_free(all);
    return status;
}

static void summarize(evaluation *e)
{
    ttt_eval_result *r = e->result;
    const ttt_eval_mode mode = e->options->mode;
    ttt_eval_sums_close(&e->sums);
    ttt_eval_curve *const curves[3] = {&r->adapting, &r->frozen, &r->gain};
    const bool wanted[3] = {mode != TTT_EVAL_FROZEN, mode != TTT_EVAL_ADAPTING, mode == TTT_EVAL_BOTH};
    for (int k = 0; k < 3; k++) {
        ttt_eval_summarize(curves[k], &e->sums, k, r->bin_count);
        if (wanted[k]) continue;
        const ttt_eval_mean none = {(double)NAN, (double)NAN};
        curves[k]->all = none;
        for (int64_t i = 0; i < r->bin_count; i++) curves[k]->bins[i] = none;
    }
    for (int64_t i = 0; i < r->layers * r->bin_count && r->inner; i++) {
        const double n = (double)e->inner_count[i % r->bin_count];
        r->inner[i] = (ttt_eval_inner){r->inner[i].first / n, r->inner[i].before / n, r->inner[i].after / n};
    }
}

ttt_status ttt_eval(ttt_context *context, const int32_t *tokens, int64_t count, const ttt_eval_options *options,
                    ttt_eval_result *result)
{
    *result = (ttt_eval_result){0};
    evaluation *e = ttt_alloc(1, sizeof *e);
    if (!e) return TTT_ERR_MEMORY;
    *e = (evaluation){.context = context,
                      .lm = &context->model->lm,
                      .tokens = tokens,
                      .count = count,
                      .options = options,
                      .comm = options->comm,
                      .result = result};
    ttt_status status = plan(e);
    if (status == TTT_OK) status = init(e);
    status = ttt_comm_agree(e->comm, status);
    if (status == TTT_OK) status = e->comm ? read_windows_together(e) : read_windows(e);
    if (status == TTT_OK || (status == TTT_ERR_INTERRUPTED && result->tokens > 0))
        summarize(e);
    else
        ttt_eval_result_deinit(result);
    deinit(e);
    ttt_free(e);
    return status;
}
