/* SPDX-License-Identifier: MIT
 *
 * The members of a JSON object, read by name and type. What is of another type, out of range or of a name that nobody
 * asked for is a fault; the first fault stays, as a sentence that says where it is.
 */
#ifndef TTT_STUDY_FIELDS_H
#define TTT_STUDY_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { STUDY_SENTENCE = 1024, STUDY_PLACE = 192, STUDY_ASKED = 32 };

typedef struct study_error {
    char text[STUDY_SENTENCE]; /* empty: no fault */
} study_error;

/* Keeps the first sentence. Always false. */
bool study_fail(study_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef struct study_fields {
    study_error *error;
    json_t *object; /* NULL: nothing to read */
    char place[STUDY_PLACE];
    const char *asked[STUDY_ASKED];
    int count;
} study_fields;

/* Of `value`, which must be an object; `place` is what a sentence calls it, such as "runs.main". */
void study_fields_open(study_fields *fields, study_error *error, json_t *value, const char *place, const char *name);
/* Refuses what nobody asked for. */
void study_fields_close(study_fields *fields);

json_t *study_field(study_fields *fields, const char *name); /* NULL: absent */
/* Absent: `otherwise`; NULL is one that must be there. */
const char *study_field_string(study_fields *fields, const char *name, const char *otherwise);
double study_field_number(study_fields *fields, const char *name, double otherwise, double low, double high);
int64_t study_field_integer(study_fields *fields, const char *name, int64_t otherwise, int64_t low, int64_t high);
bool study_field_bool(study_fields *fields, const char *name, bool otherwise);

/* The parts of a member that is a list, or one value, of strings or numbers: malloc'ed, *count of them; 0 if absent.
 * Strings belong to the JSON. */
const char **study_field_strings(study_fields *fields, const char *name, size_t *count);
double *study_field_numbers(study_fields *fields, const char *name, double low, double high, bool whole, size_t *count);

/* Calls `each` for the members of an object, in their order. */
typedef void (*study_each)(void *context, const char *name, json_t *value);
void study_field_members(study_fields *fields, const char *name, study_each each, void *context);

#endif
