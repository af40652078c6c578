/* SPDX-License-Identifier: MIT
 *
 * Members of JSON objects with their type checked; a sentence names the object and the key. `where` is a phrase such
 * as "the normalizer". A member that is absent or null leaves *value as it is.
 */
#ifndef TTT_TEXT_JSON_H
#define TTT_TEXT_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"

/* Parses an object, duplicate keys refused; free with json_decref. */
TTT_NODISCARD ttt_status ttt_json_parse(json_t **root, const char *bytes, size_t size);

TTT_NODISCARD ttt_status ttt_json_bool(const json_t *object, const char *where, const char *key, bool *value);

/* An integer in [0, limit). */
TTT_NODISCARD ttt_status ttt_json_count(const json_t *object, const char *where, const char *key, int64_t limit,
                                        int64_t *value);

/* Replaces what `value` held. */
TTT_NODISCARD ttt_status ttt_json_string(const json_t *object, const char *where, const char *key, ttt_buffer *value);

/* The member "type", which must be there; valid as long as the object. */
TTT_NODISCARD ttt_status ttt_json_type(const json_t *object, const char *where, const char **type);

#endif
