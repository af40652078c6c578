/* SPDX-License-Identifier: MIT */
#include "fields.h"

#include <inttypes.h>
#include <string.h>

void ttt_fields_open(ttt_fields *f, ttt_request *request)
{
    size_t size;
    json_error_t error;
    const char *body = ttt_request_body(request, &size);
    *f = (ttt_fields){0};
    f->root = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
    if (!f->root && json_error_code(&error) == json_error_out_of_memory)
        ttt_refuse(&f->refusal, 503, NULL, "the server is out of memory");
    else if (!f->root)
        ttt_refuse(&f->refusal, 400, NULL, "the body is no JSON that can be read: line %d, column %d: %s", error.line,
                   error.column, error.text);
    else if (!json_is_object(f->root))
        ttt_refuse(&f->refusal, 400, NULL, "the body is %s; a JSON object is expected", ttt_json_kind(f->root));
}

void ttt_fields_close(ttt_fields *f)
{
    json_decref(f->root);
    f->root = NULL;
}

bool ttt_fields_failed(const ttt_fields *f, ttt_request *request)
{
    if (f->refusal.status) ttt_answer_refusal(request, &f->refusal);
    return f->refusal.status != 0;
}

const char *ttt_json_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    default: return "null";
    }
}

json_t *ttt_field(ttt_fields *f, const char *name)
{
    json_t *value = json_object_get(f->root, name);
    return json_is_null(value) ? NULL : value;
}

int64_t ttt_field_integer(ttt_fields *f, const char *name, int64_t otherwise, int64_t low, int64_t high)
{
    const json_t *value = ttt_field(f, name);
    if (!value) return otherwise;
    if (!json_is_integer(value)) {
        ttt_refuse(&f->refusal, 400, name, "%s is %s; a whole number is expected", name, ttt_json_kind(value));
        return otherwise;
    }
    const int64_t number = json_integer_value(value);
    if (number >= low && number <= high) return number;
    ttt_refuse(&f->refusal, 400, name, "%s is %" PRId64 "; it can be from %" PRId64 " to %" PRId64, name, number, low,
               high);
    return otherwise;
}

double ttt_field_number(ttt_fields *f, const char *name, double otherwise, double low, double high)
{
    const json_t *value = ttt_field(f, name);
    if (!value) return otherwise;
    if (!json_is_number(value)) {
        ttt_refuse(&f->refusal, 400, name, "%s is %s; a number is expected", name, ttt_json_kind(value));
        return otherwise;
    }
    const double number = json_number_value(value);
    if (number >= low && number <= high) return number;
    ttt_refuse(&f->refusal, 400, name, "%s is %g; it can be from %g to %g", name, number, low, high);
    return otherwise;
}

bool ttt_field_bool(ttt_fields *f, const char *name, bool otherwise)
{
    const json_t *value = ttt_field(f, name);
    if (!value) return otherwise;
    if (json_is_boolean(value)) return json_is_true(value);
    ttt_refuse(&f->refusal, 400, name, "%s is %s; true or false is expected", name, ttt_json_kind(value));
    return otherwise;
}

const char *ttt_field_string(ttt_fields *f, const char *name)
{
    const json_t *value = ttt_field(f, name);
    if (!value) return NULL;
    if (!json_is_string(value)) {
        ttt_refuse(&f->refusal, 400, name, "%s is %s; a string is expected", name, ttt_json_kind(value));
        return NULL;
    }
    return json_string_value(value); /* jansson takes no \u0000 unless it is told to */
}
