/* SPDX-License-Identifier: MIT
 *
 * The keys of config.json as a table: each with its kind, which knows how a value is read, written, checked and
 * compared, its place in ttt_config and its bounds. Whatever goes over all keys goes over this table: a new key is a
 * member of ttt_config, its default, and a line here.
 */
#ifndef TTT_CONFIG_KEYS_H
#define TTT_CONFIG_KEYS_H

#include <jansson.h>
#include <stddef.h>

#include "config/config.h"

typedef struct ttt_key ttt_key;

typedef struct ttt_key_kind {
    const char *must_be;                                                           /* what a value is, for sentences */
    ttt_status (*parse)(const ttt_key *key, ttt_config *config, const char *text); /* as --set gives it */
    ttt_status (*print)(const ttt_key *key, const ttt_config *config, ttt_buffer *out);
    ttt_status (*from_json)(const ttt_key *key, ttt_config *config, const json_t *value, const char *where);
    /* NULL if memory is short. `old` is what the file held before, or NULL. */
    json_t *(*to_json)(const ttt_key *key, const ttt_config *config, json_t *old);
    ttt_status (*check)(const ttt_key *key, const ttt_config *config, const char *where); /* NULL: whatever it holds */
    bool (*equal)(const ttt_key *key, const ttt_config *a, const ttt_config *b);
} ttt_key_kind;

struct ttt_key {
    const char *name;
    const ttt_key_kind *kind;
    size_t offset;            /* in ttt_config */
    double low, high;         /* of numbers: allowed values, both included */
    const char *const *names; /* of a choice: its values, NULL after the last; else the one word beside the numbers */
    bool sparse;              /* written only where it is not the default: files and fingerprints older than it stay */
};

/* A size: a whole number from 1, or one word, which is stored as 0. A rate: a number from 0, or one word, stored as -1.
 * Maybe: true, false or null, a ttt_maybe. The others are what they are called. */
extern const ttt_key_kind ttt_key_integer, ttt_key_size, ttt_key_token, ttt_key_real, ttt_key_rate, ttt_key_boolean,
    ttt_key_maybe, ttt_key_choice, ttt_key_layers;

enum { TTT_KEY_COUNT = 52 };
extern const ttt_key ttt_keys[TTT_KEY_COUNT];

/* The key of that name, or NULL. */
const ttt_key *ttt_key_find(const char *name);

/* Whether its value is what an absent key means. */
bool ttt_key_is_default(const ttt_key *key, const ttt_config *config);

/* Where its value lies. */
static inline const void *ttt_key_place(const ttt_key *key, const ttt_config *config)
{
    return (const char *)config + key->offset;
}

#endif
