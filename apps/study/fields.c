/* SPDX-License-Identifier: MIT */
#include "fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool study_fail(study_error *error, const char *format, ...)
{
    if (*error->text) return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL:
    default: return "null";
    }
}

void study_fields_open(study_fields *fields, study_error *error, json_t *value, const char *place, const char *name)
{
    *fields = (study_fields){.error = error};
    if (*place)
        snprintf(fields->place, sizeof fields->place, "%.90s.%.90s", place, name);
    else
        snprintf(fields->place, sizeof fields->place, "%.180s", name);
    if (!value) return;
    if (!json_is_object(value))
        study_fail(error, "%s is %s: it must be an object", fields->place, kind_of(value));
    else
        fields->object = value;
}

void study_fields_close(study_fields *fields)
{
    const char *key;
    json_t *value;
    json_object_foreach(fields->object, key, value)
    {
        bool known = false;
        for (int i = 0; i < fields->count; i++) known = known || strcmp(fields->asked[i], key) == 0;
        if (known) continue;
        char list[512] = "";
        for (int i = 0; i < fields->count; i++) {
            const size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", fields->asked[i]);
        }
        study_fail(fields->error, "%s has the key \"%.64s\", which means nothing there; there are %s", fields->place,
                   key, list);
        return;
    }
}

json_t *study_field(study_fields *fields, const char *name)
{
    if (fields->count < STUDY_ASKED) fields->asked[fields->count++] = name;
    json_t *value = json_object_get(fields->object, name);
    return json_is_null(value) ? NULL : value;
}

static void refuse(study_fields *fields, const char *name, const json_t *value, const char *wanted)
{
    study_fail(fields->error, "%s.%s is %s: it must be %s", fields->place, name, kind_of(value), wanted);
}

static bool is_text(study_fields *fields, const char *name, const json_t *value, const char *wanted)
{
    if (!json_is_string(value)) {
        refuse(fields, name, value, wanted);
        return false;
    }
    if (json_string_length(value) == 0 || strlen(json_string_value(value)) != json_string_length(value)) {
        study_fail(fields->error, "%s.%s has a string that is empty, or has a NUL in it", fields->place, name);
        return false;
    }
    return true;
}

static bool is_number(study_fields *fields, const char *name, const json_t *value, double low, double high, bool whole)
{
    const double number = json_number_value(value);
    if (!json_is_number(value)) {
        refuse(fields, name, value, whole ? "a whole number" : "a number");
        return false;
    }
    if (number >= low && number <= high && (!whole || json_is_integer(value))) return true;
    study_fail(fields->error, "%s.%s is %.12g: give a %s from %.12g to %.12g", fields->place, name, number,
               whole ? "whole number" : "number", low, high);
    return false;
}

const char *study_field_string(study_fields *fields, const char *name, const char *otherwise)
{
    const json_t *value = study_field(fields, name);
    if (value) return is_text(fields, name, value, "a string") ? json_string_value(value) : otherwise;
    if (!otherwise) study_fail(fields->error, "%s has no \"%s\"", fields->place, name);
    return otherwise;
}

double study_field_number(study_fields *fields, const char *name, double otherwise, double low, double high)
{
    const json_t *value = study_field(fields, name);
    return value && is_number(fields, name, value, low, high, false) ? json_number_value(value) : otherwise;
}

int64_t study_field_integer(study_fields *fields, const char *name, int64_t otherwise, int64_t low, int64_t high)
{
    const json_t *value = study_field(fields, name);
    const bool good = value && is_number(fields, name, value, (double)low, (double)high, true);
    return good ? json_integer_value(value) : otherwise;
}

bool study_field_bool(study_fields *fields, const char *name, bool otherwise)
{
    const json_t *value = study_field(fields, name);
    if (value && !json_is_boolean(value)) refuse(fields, name, value, "true or false");
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static size_t length_of(const json_t *value) { return json_is_array(value) ? json_array_size(value) : 1; }

static json_t *part_of(json_t *value, size_t i) { return json_is_array(value) ? json_array_get(value, i) : value; }

/* Room for the parts of a member; a list must have some. */
static void *open_list(study_fields *fields, const char *name, json_t *value, size_t size)
{
    void *list = calloc(length_of(value) + 1, size);
    if (!list) study_fail(fields->error, "out of memory");
    if (length_of(value) == 0) study_fail(fields->error, "%s.%s is an empty list", fields->place, name);
    return list;
}

const char **study_field_strings(study_fields *fields, const char *name, size_t *count)
{
    json_t *value = study_field(fields, name);
    *count = 0;
    const char **list = value ? open_list(fields, name, value, sizeof *list) : NULL;
    for (size_t i = 0; list && i < length_of(value); i++) {
        if (!is_text(fields, name, part_of(value, i), "a string or a list of strings")) break;
        list[(*count)++] = json_string_value(part_of(value, i));
    }
    return list;
}

double *study_field_numbers(study_fields *fields, const char *name, double low, double high, bool whole, size_t *count)
{
    json_t *value = study_field(fields, name);
    *count = 0;
    double *list = value ? open_list(fields, name, value, sizeof *list) : NULL;
    for (size_t i = 0; list && i < length_of(value); i++) {
        if (!is_number(fields, name, part_of(value, i), low, high, whole)) break;
        list[(*count)++] = json_number_value(part_of(value, i));
    }
    return list;
}

void study_field_members(study_fields *fields, const char *name, study_each each, void *context)
{
    json_t *value = study_field(fields, name), *member;
    const char *key;
    if (value && !json_is_object(value)) refuse(fields, name, value, "an object");
    json_object_foreach(value, key, member) each(context, key, member);
}
