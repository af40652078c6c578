/* SPDX-License-Identifier: MIT
 *
 * A line is {"question": TEXT, "choices": [TEXT, ...], "answer": number of the right one, from 0, or its text}.
 * Question and choice are one text, with a blank between unless one of them has white space there. The choice's tokens
 * are those of this text behind as many as the question has by itself without white space at its end, as
 * lm-evaluation-harness takes them.
 */
#include "eval_choices.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

typedef struct question {
    const char *text;
    size_t size;
    const json_t *choices; /* [count] strings, none of them empty */
    size_t count, right;
} question;

typedef struct run {
    const eval_choices *o;
    ttt_state *state;
    long line; /* being read */
    int64_t questions, choices;
    int64_t hits[2]; /* by loss, by loss per byte */
    double chance;   /* sum of 1 / count */
    double started;
} run;

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int fail(const run *r, const char *what)
{
    return ttt_app_fail("%s, line %ld: %s", strcmp(r->o->path, "-") == 0 ? "standard input" : r->o->path, r->line,
                        what);
}

/* ---- a line ---- */

static int read_right(const run *r, const json_t *object, question *q)
{
    const json_t *answer = json_object_get(object, "answer");
    if (json_is_integer(answer)) {
        const json_int_t number = json_integer_value(answer);
        if (number < 0 || (uint64_t)number >= q->count)
            return fail(r, "\"answer\" is no number of a choice: the first one is 0");
        q->right = (size_t)number;
        return 0;
    }
    if (!json_is_string(answer))
        return fail(r, "\"answer\" must be the number of the right choice, from 0, or its text");
    for (q->right = 0; q->right < q->count; q->right++)
        if (json_equal(answer, json_array_get(q->choices, q->right))) return 0;
    return fail(r, "\"answer\" is none of the choices");
}

static int read_question(const run *r, const json_t *object, question *q)
{
    const json_t *text = json_object_get(object, "question"), *choices = json_object_get(object, "choices");
    if (!json_is_object(object)) return fail(r, "a JSON object is expected");
    if (!json_is_string(text)) return fail(r, "\"question\" must be a string");
    if (!json_is_array(choices) || json_array_size(choices) < 2)
        return fail(r, "\"choices\" must be a list of two or more strings");
    *q = (question){.text = json_string_value(text),
                    .size = json_string_length(text),
                    .choices = choices,
                    .count = json_array_size(choices)};
    for (size_t i = 0; i < q->count; i++)
        if (json_string_length(json_array_get(choices, i)) == 0)
            return fail(r, "\"choices\" must be strings, and none of them empty");
    return read_right(r, object, q);
}

/* ---- a question ---- */

/* What stands before a text: what the tokenizer says, and before nothing at all what texts begin with; nothing behind
 * what a state has read. */
static int64_t prefix(const run *r, bool empty)
{
    const ttt_tokenizer *t = r->o->tokenizer;
    if (r->o->state) return -1;
    if (ttt_tokenizer_adds_bos(t) && !r->o->no_bos) return ttt_tokenizer_bos(t);
    if (!empty) return -1;
    return ttt_tokenizer_bos(t) >= 0 ? ttt_tokenizer_bos(t) : ttt_tokenizer_eos(t);
}

static ttt_status encode(const run *r, int64_t before, const char *text, size_t size, ttt_ids *ids)
{
    const ttt_status status = before >= 0 ? ttt_ids_append(ids, (int32_t)before) : TTT_OK;
    return status == TTT_OK ? ttt_tokenizer_encode(r->o->tokenizer, text, size, r->o->parse_special, ids) : status;
}

static ttt_status encode_choice(const run *r, const question *q, size_t number, int64_t before, ttt_ids *ids)
{
    const json_t *choice = json_array_get(q->choices, number);
    const char *text = json_string_value(choice);
    const size_t size = json_string_length(choice);
    const bool apart = q->size == 0 || is_white(q->text[q->size - 1]) || is_white(*text);
    char *whole = malloc(q->size + 1 + size);
    if (!whole) return TTT_ERR_MEMORY;
    memcpy(whole, q->text, q->size);
    whole[q->size] = ' ';
    memcpy(whole + q->size + !apart, text, size);
    const ttt_status status = encode(r, before, whole, q->size + !apart + size, ids);
    free(whole);
    return status;
}

/* The choice with the smallest loss, or loss per byte; the first of several. */
static size_t find_best(const question *q, const double *losses, bool per_byte)
{
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < q->count; i++) {
        const double bytes = per_byte ? (double)json_string_length(json_array_get(q->choices, i)) : 1;
        if (losses[i] / bytes >= least) continue;
        least = losses[i] / bytes;
        best = i;
    }
    return best;
}

static int failed(const run *r, ttt_status status)
{
    return status == TTT_ERR_MEMORY ? ttt_app_fail("out of memory") : fail(r, ttt_error_detail());
}

/* ids [count + 1]: of the question, and of each choice behind it. */
static int ask_ids(run *r, const question *q, ttt_ids *ids, ttt_choice *choices, double *losses)
{
    size_t size = q->size;
    while (size > 0 && is_white(q->text[size - 1])) size--;
    const int64_t before = prefix(r, size == 0);
    ttt_status status = encode(r, before, q->text, size, &ids[q->count]);
    if (status == TTT_OK && ids[q->count].count == 0)
        return fail(r, "\"question\" is empty, and the tokenizer knows nothing that a text begins with");
    for (size_t i = 0; i < q->count && status == TTT_OK; i++) {
        const size_t first = ids[q->count].count;
        status = encode_choice(r, q, i, before, &ids[i]);
        if (status == TTT_OK && ids[i].count <= first)
            return fail(r, "a choice adds no token to the question: give the question less, and the choices more");
        choices[i] = (ttt_choice){ids[i].data + first, (int64_t)(ids[i].count - first)};
    }
    ttt_state_reset(r->state);
    if (status == TTT_OK && r->o->state) status = ttt_state_copy(r->state, r->o->state);
    ttt_state_freeze(r->state, r->o->frozen);
    if (status == TTT_OK)
        status = ttt_eval_choices(r->o->context, r->state, ids[q->count].data, (int64_t)ids[q->count].count, choices,
                                  (int64_t)q->count, losses);
    if (status != TTT_OK) return failed(r, status);
    r->questions++;
    r->choices += (int64_t)q->count;
    r->chance += 1 / (double)q->count;
    for (int k = 0; k < 2; k++) r->hits[k] += find_best(q, losses, k == 1) == q->right;
    return 0;
}

static int ask(run *r, const question *q)
{
    ttt_ids *ids = calloc(q->count + 1, sizeof *ids);
    ttt_choice *choices = calloc(q->count + 1, sizeof *choices);
    double *losses = calloc(q->count + 1, sizeof *losses);
    const int code = ids && choices && losses ? ask_ids(r, q, ids, choices, losses) : ttt_app_fail("out of memory");
    for (size_t i = 0; ids && i <= q->count; i++) ttt_ids_deinit(&ids[i]);
    free(ids);
    free(choices);
    free(losses);
    return code;
}

/* ---- all of them ---- */

static int ask_line(run *r, const char *line, size_t size)
{
    question q = {0};
    json_error_t error;
    r->line++;
    size_t blank = 0;
    while (blank < size && is_white(line[blank])) blank++;
    if (blank == size) return 0;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    int code = object ? read_question(r, object, &q) : fail(r, error.text);
    if (code == 0) code = ask(r, &q);
    json_decref(object);
    return code;
}

static ttt_eval_mean accuracy(const run *r, int kind)
{
    const double n = (double)r->questions, p = (double)r->hits[kind] / n;
    return (ttt_eval_mean){p, n > 1 ? sqrt(p * (1 - p) / (n - 1)) : 0};
}

static int print(const run *r)
{
    const ttt_eval_mean loss = accuracy(r, 0), per_byte = accuracy(r, 1);
    const double chance = r->chance / (double)r->questions, seconds = ttt_app_seconds() - r->started;
    if (!r->o->json) {
        printf("%" PRId64 " questions with %" PRId64 " choices, answered in %.1f s; by chance %.4f\n\n", r->questions,
               r->choices, seconds, chance);
        printf("%-22s %9s %9s\n", "", "accuracy", "+/-");
        printf("%-22s %9.4f %9.4f\n", "least loss", loss.mean, loss.error);
        printf("%-22s %9.4f %9.4f\n", "least loss per byte", per_byte.mean, per_byte.error);
        return 0;
    }
    json_t *object = json_pack("{s:s, s:b, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "model", r->o->model, "frozen",
                               r->o->frozen, "questions", (json_int_t)r->questions, "choices", (json_int_t)r->choices,
                               "chance", chance, "accuracy", loss.mean, "accuracy_error", loss.error,
                               "accuracy_per_byte", per_byte.mean, "accuracy_per_byte_error", per_byte.error, "seconds",
                               seconds);
    const int printed = object ? json_dumpf(object, stdout, JSON_COMPACT) : -1;
    json_decref(object);
    if (printed != 0) return ttt_app_fail("out of memory");
    puts("");
    return 0;
}

static int ask_all(run *r, const char *text, size_t size)
{
    int code = 0;
    for (size_t at = 0, length; at < size && code == 0; at += length + 1) {
        const char *end = memchr(text + at, '\n', size - at);
        length = end ? (size_t)(end - text) - at : size - at;
        code = ask_line(r, text + at, length);
        if (ttt_progress_note(r->o->progress, (double)(at + length) / (double)size, "answering") == TTT_OK) continue;
        ttt_progress_end(r->o->progress, true);
        if (r->questions > 0 && !r->o->json) {
            printf("interrupted; so far: ");
            print(r);
        }
        return ttt_app_failed(TTT_ERR_INTERRUPTED);
    }
    ttt_progress_end(r->o->progress, true);
    if (code != 0) return code;
    return r->questions > 0 ? print(r) : ttt_app_fail("%s holds no question", r->o->path);
}

int eval_choices_run(const eval_choices *o)
{
    run r = {.o = o, .started = ttt_app_seconds()};
    char *text;
    size_t size;
    int code = ttt_app_read(o->path, &text, &size);
    if (code != 0) return code;
    if (ttt_state_new(&r.state, ttt_context_model(o->context)) != TTT_OK) {
        code = ttt_app_failed(TTT_ERR_MEMORY);
    } else {
        code = ask_all(&r, text, size);
    }
    ttt_state_free(r.state);
    free(text);
    return code;
}
