/* SPDX-License-Identifier: MIT
 *
 * ttt verify: is this model right? Prints every quantity compared, and fails if one is over its tolerance.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <ttt/verify.h>

#include "common.h"
#include "usage.h"

typedef struct options {
    const char *model, *golden;
    bool json, digest;
    ttt_model_options compute;
} options;

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->compute; return 0;
    case 'm': o->model = argument; return 0;
    case 'g': o->golden = argument; return 0;
    case 'j': o->json = true; return 0;
    case 'd': o->digest = true; return 0;
    case ARGP_KEY_ARG: ttt_app_model(state, &o->model, argument); return 0;
    case ARGP_KEY_END:
        if (!o->model) ttt_app_usage(state, "give a model folder with -m MODEL");
        if (o->digest && o->golden) ttt_app_usage(state, "a digest needs no golden file: leave one of the two out");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* JSON has no infinity and no NaN. */
static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static int print_json(const ttt_verification *v)
{
    json_t *list = json_array();
    int failed = !list;
    for (int64_t i = 0; i < v->count && !failed; i++) {
        const ttt_quantity *q = &v->quantities[i];
        failed = json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:f, s:b}", "name", q->name, "max_abs",
                                                       number(q->max_abs), "max_rel", number(q->max_rel), "tolerance",
                                                       q->tolerance, "ok", q->ok));
    }
    json_t *report = failed ? NULL
                            : json_pack("{s:b, s:O, s:f}", "ok", v->ok, "quantities", list, "uniform_loss",
                                        v->uniform_loss);
    if (report && v->sentence_loss >= 0)
        failed = json_object_set_new(report, "sentence_loss", json_real(v->sentence_loss));
    char *text = report && !failed ? json_dumps(report, JSON_INDENT(1)) : NULL;
    if (text) puts(text);
    free(text);
    json_decref(report);
    json_decref(list);
    return text ? 0 : ttt_app_fail("out of memory while printing");
}

static void print_text(const ttt_verification *v)
{
    int64_t over = 0;
    printf("%-64s %10s %10s %10s\n", "quantity", "max_abs", "max_rel", "tolerance");
    for (int64_t i = 0; i < v->count; i++) {
        const ttt_quantity *q = &v->quantities[i];
        printf("%-64s %10.3g %10.3g %10.3g%s\n", q->name, q->max_abs, q->max_rel, q->tolerance, q->ok ? "" : "  OVER");
        over += !q->ok;
    }
    if (v->sentence_loss >= 0)
        printf("perplexity of an English sentence: %.1f; a model that knows nothing: %.1f\n", exp(v->sentence_loss),
               exp(v->uniform_loss));
    if (over)
        printf("%lld of %lld quantities are over their tolerance\n", (long long)over, (long long)v->count);
    else
        printf("all %lld quantities are within their tolerance\n", (long long)v->count);
}

static int print_digests(const ttt_digests *d, bool as_json)
{
    json_t *list = json_array();
    for (int i = 0; i < d->count; i++) {
        const ttt_digest_line *line = &d->lines[i];
        if (!as_json)
            printf("%-9s  %-4s  %-4s  %-4s  %s\n", line->what, line->backend, line->isa, line->precision, line->digest);
        if (json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "what", line->what, "backend",
                                                  line->backend, "isa", line->isa, "precision", line->precision,
                                                  "digest", line->digest)) != 0)
            break;
    }
    json_t *report = json_pack("{s:O}", "digests", list);
    char *text = report && json_array_size(list) == (size_t)d->count ? json_dumps(report, JSON_INDENT(1)) : NULL;
    if (text && as_json) puts(text);
    free(text);
    json_decref(report);
    json_decref(list);
    return text ? 0 : ttt_app_fail("out of memory while printing");
}

static int digest(const options *o)
{
    ttt_digests digests;
    const ttt_status status = ttt_verify_digests(&digests, o->model, &o->compute);
    return status == TTT_OK ? print_digests(&digests, o->json) : ttt_app_failed(status);
}

int ttt_cmd_verify(int argc, char **argv)
{
    static const struct argp_option list[] = {
        {.name = "model", .key = 'm', .arg = "MODEL", .doc = "the model folder"},
        {.name = "golden",
         .key = 'g',
         .arg = "FILE",
         .doc = "a golden file: what another program computed for this model"},
        {.name = "digest",
         .key = 'd',
         .doc = "print digests of logits and state, in every precision unless one is named, and of ten training steps: "
                "the same digits on two machines mean the same bits"},
        {.name = "json", .key = 'j', .doc = "print one JSON object"},
        {0},
    };
    static const struct argp_child children[] = {{.argp = &ttt_app_compute_argp, .header = "Computing:"}, {0}};
    static const struct argp argp = {
        .options = list,
        .parser = parse,
        .doc = "Checks a model: its tensors; that splits, threads and batches change no bit of what it computes; and, "
               "against a golden file, logits, losses, "
               "states, gradients, training steps and greedy text, in one call and in splits.\vExit status 1 if a "
               "quantity is over its tolerance. Examples:\n"
               "  ttt verify -m model\n"
               "  ttt verify -m model --golden golden.safetensors\n"
               "  ttt verify -m model --digest",
        .children = children,
    };
    options o = {0};
    ttt_app_parse(&argp, argc, argv, &o);

    if (o.digest) return digest(&o);
    ttt_verification *v;
    const ttt_status status = ttt_verify(&v, o.model, o.golden, &o.compute);
    if (status != TTT_OK) return ttt_app_failed(status);
    int code = 0;
    if (o.json)
        code = print_json(v);
    else
        print_text(v);
    if (!v->ok && code == 0) code = TTT_APP_FAILED;
    ttt_verification_free(v);
    return code;
}
