/* SPDX-License-Identifier: MIT */
#include "params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server.h"

/* Random bytes, or those of the clock where the system has none to give. */
static void random_bytes(void *bytes, size_t size)
{
    const double now = ttt_now();
    if (getrandom(bytes, size, 0) == (ssize_t)size) return;
    memset(bytes, 0, size);
    memcpy(bytes, &now, size < sizeof now ? size : sizeof now);
}

void ttt_new_id(char id[TTT_ID], const char *prefix)
{
    unsigned char bytes[12];
    random_bytes(bytes, sizeof bytes);
    int at = snprintf(id, TTT_ID, "%.14s-", prefix);
    for (size_t i = 0; i < sizeof bytes; i++) at += snprintf(id + at, (size_t)(TTT_ID - at), "%02x", bytes[i]);
}

static void add_stop(ttt_params *p, ttt_fields *f, const json_t *value)
{
    if (!json_is_string(value)) {
        ttt_refuse(&f->refusal, 400, "stop", "stop has %s; strings are expected", ttt_json_kind(value));
    } else if (json_string_length(value) == 0) {
        ttt_refuse(&f->refusal, 400, "stop", "a string of stop is empty: it would end every text at once");
    } else if (p->options.stop_count == TTT_STOPS) {
        ttt_refuse(&f->refusal, 400, "stop", "stop has more than %d strings", TTT_STOPS);
    } else {
        char *copy = strdup(json_string_value(value));
        if (!copy) {
            ttt_refuse(&f->refusal, 503, NULL, "the server is out of memory");
            return;
        }
        p->stops[p->options.stop_count++] = copy;
    }
}

static void read_stops(ttt_params *p, ttt_fields *f)
{
    const json_t *stop = ttt_field(f, "stop"), *value;
    size_t i;
    if (stop && !json_is_array(stop)) add_stop(p, f, stop);
    json_array_foreach(stop, i, value) if (!f->refusal.status) add_stop(p, f, value);
    p->options.stops = (const char *const *)p->stops;
}

/* {"ID": BIAS, ...} */
static void read_biases(ttt_sampling *s, ttt_fields *f, int64_t vocabulary)
{
    json_t *given = ttt_field(f, "logit_bias"), *value;
    const char *key;
    if (!given) return;
    if (!json_is_object(given)) {
        ttt_refuse(&f->refusal, 400, "logit_bias", "logit_bias is %s; an object is expected", ttt_json_kind(given));
        return;
    }
    ttt_logit_bias *biases = calloc(json_object_size(given) + 1, sizeof *biases);
    if (!biases) {
        ttt_refuse(&f->refusal, 503, NULL, "the server is out of memory");
        return;
    }
    s->logit_bias = biases;
    json_object_foreach(given, key, value)
    {
        char *end;
        const long id = strtol(key, &end, 10);
        const double bias = json_number_value(value);
        if (*key < '0' || *key > '9' || *end || id >= vocabulary)
            ttt_refuse(&f->refusal, 400, "logit_bias", "logit_bias has \"%.20s\", which is no id of the model's", key);
        else if (!json_is_number(value) || bias < -100 || bias > 100)
            ttt_refuse(&f->refusal, 400, "logit_bias", "logit_bias of %ld is no number from -100 to 100", id);
        else
            biases[s->logit_bias_count++] = (ttt_logit_bias){(int32_t)id, (float)bias};
    }
}

void ttt_params_read(ttt_params *p, ttt_fields *f, const ttt_server *server, const char *max_tokens, int64_t otherwise)
{
    *p = (ttt_params){.options = server->defaults};
    ttt_field_string(f, "model"); /* of any name: there is one */
    ttt_generate_options *o = &p->options;
    ttt_sampling *s = &o->sampling;
    o->max_new_tokens = ttt_field_integer(f, max_tokens, otherwise, 0, server->options->max_tokens);
    s->temperature = ttt_field_number(f, "temperature", 1, 0, 100);
    s->top_p = ttt_field_number(f, "top_p", 1, 0, 1);
    if (s->top_p <= 0) s->top_p = 1e-9; /* only the most likely */
    s->top_k = ttt_field_integer(f, "top_k", 0, -1, INT32_MAX);
    if (s->top_k < 0) s->top_k = 0;
    s->min_p = ttt_field_number(f, "min_p", 0, 0, 1);
    s->repetition_penalty = ttt_field_number(f, "repetition_penalty", 1, 0.01, 100);
    s->presence_penalty = ttt_field_number(f, "presence_penalty", 0, -2, 2);
    s->frequency_penalty = ttt_field_number(f, "frequency_penalty", 0, -2, 2);
    read_biases(s, f, ttt_model_vocabulary(server->model));
    random_bytes(&s->seed, sizeof s->seed);
    if (ttt_field(f, "seed")) s->seed = (uint64_t)ttt_field_integer(f, "seed", 0, INT64_MIN, INT64_MAX);
    o->ignore_eos = ttt_field_bool(f, "ignore_eos", false);
    read_stops(p, f);
    p->stream = ttt_field_bool(f, "stream", false);
    const json_t *stream_options = ttt_field(f, "stream_options");
    if (stream_options && !json_is_object(stream_options))
        ttt_refuse(&f->refusal, 400, "stream_options", "stream_options is %s; an object is expected",
                   ttt_json_kind(stream_options));
    p->include_usage = json_is_true(json_object_get(stream_options, "include_usage"));
}

void ttt_params_free(ttt_params *p)
{
    for (int i = 0; i < TTT_STOPS + TTT_TEMPLATE_STOPS; i++) free(p->stops[i]);
    free((void *)(uintptr_t)p->options.sampling.logit_bias);
}
