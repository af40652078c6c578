/* SPDX-License-Identifier: MIT
 *
 * The keys of config.json as tables: each field of ttt_config with its kind, place and bounds, and the keys that this
 * version knows only with one value. Setting, checking, reading and writing all go over these tables.
 */
#ifndef TTT_MODEL_CONFIG_FIELDS_H
#define TTT_MODEL_CONFIG_FIELDS_H

#include <stddef.h>
#include <ttt/config.h>

#include "base/buffer.h"

typedef enum ttt_field_kind {
    TTT_FIELD_INTEGER, /* int64_t */
    TTT_FIELD_TOKEN,   /* int64_t, -1 for none (null in JSON) */
    TTT_FIELD_REAL,    /* double */
    TTT_FIELD_BOOLEAN, /* bool */
    TTT_FIELD_LEARNER  /* ttt_learner_kind */
} ttt_field_kind;

typedef struct ttt_field {
    const char *key;
    ttt_field_kind kind;
    size_t offset;    /* in ttt_config */
    double low, high; /* allowed values, both included; of integers and reals */
} ttt_field;

enum { TTT_FIELD_COUNT = 20, TTT_FIXED_COUNT = 11 };
extern const ttt_field ttt_fields[TTT_FIELD_COUNT];

/* A key of which only one value is supported, as JSON text without quotes: what an absent key means. */
typedef struct ttt_fixed_key {
    const char *key;
    const char *value;
} ttt_fixed_key;

extern const ttt_fixed_key ttt_fixed_keys[TTT_FIXED_COUNT];

/* "linear" or "mlp". */
const char *ttt_learner_name(ttt_learner_kind kind);

/* Reads and checks the text of a config.json; `where` names it in sentences. */
TTT_NODISCARD ttt_status ttt_config_parse(ttt_config *config, const char *text, size_t size, const char *where);

/* Appends the text that ttt_config_save writes. */
TTT_NODISCARD ttt_status ttt_config_print(const ttt_config *config, const char *base, const char *dtype,
                                          ttt_buffer *out);

#endif
