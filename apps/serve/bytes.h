/* SPDX-License-Identifier: MIT
 *
 * Bytes that grow: bodies of requests, texts and answers. Memory that is short is noted in the bytes themselves, so
 * that many calls need one look at the end.
 */
#ifndef TTT_SERVE_BYTES_H
#define TTT_SERVE_BYTES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ttt_bytes {
    char *data; /* `size` bytes; NULL when there is no capacity */
    size_t size, capacity;
    bool failed; /* memory was short: what was to be added is missing, and so is all after it */
} ttt_bytes;

void ttt_bytes_free(ttt_bytes *bytes); /* and empties it */

void ttt_bytes_add(ttt_bytes *bytes, const void *data, size_t size);
void ttt_bytes_add_text(ttt_bytes *bytes, const char *text);
void ttt_bytes_print(ttt_bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The compact form of a value, which is released; NULL stands for memory that was short. */
void ttt_bytes_add_json(ttt_bytes *bytes, json_t *value);

/* A string of JSON, in which what is not UTF-8 became U+FFFD. NULL: memory was short. */
json_t *ttt_json_text(const char *text, size_t size);

/* Drops the first `count` bytes. */
void ttt_bytes_drop(ttt_bytes *bytes, size_t count);

#endif
