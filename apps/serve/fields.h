/* SPDX-License-Identifier: MIT
 *
 * The members of a request's JSON body, read by name and type. What is absent or null has its default, what is unknown
 * is ignored, and what is of another type or out of range refuses the request, naming the member. The first fault
 * stays; a caller reads all that it wants and looks once.
 */
#ifndef TTT_SERVE_FIELDS_H
#define TTT_SERVE_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "http.h"

typedef struct ttt_fields {
    json_t *root; /* an object */
    ttt_refusal refusal;
} ttt_fields;

/* Reads the body, which must be a JSON object without a key twice. Close it whatever comes of it. */
void ttt_fields_open(ttt_fields *fields, ttt_request *request);
void ttt_fields_close(ttt_fields *fields);

/* If something was refused: answers the request so. */
bool ttt_fields_failed(const ttt_fields *fields, ttt_request *request);

json_t *ttt_field(ttt_fields *fields, const char *name); /* NULL: absent or null */
int64_t ttt_field_integer(ttt_fields *fields, const char *name, int64_t otherwise, int64_t low, int64_t high);
double ttt_field_number(ttt_fields *fields, const char *name, double otherwise, double low, double high);
bool ttt_field_bool(ttt_fields *fields, const char *name, bool otherwise);
/* Without NUL inside. NULL: absent, null or refused. The text is the fields'. */
const char *ttt_field_string(ttt_fields *fields, const char *name);

/* What a value is called in a sentence: "a string". */
const char *ttt_json_kind(const json_t *value);

#endif
