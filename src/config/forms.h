/* SPDX-License-Identifier: MIT
 *
 * The forms of model folders: for each model_type how its config.json says what a model is, and what its parameters are
 * called. Whatever differs between ttt's own folders and those that other projects write is a row of one table; what a
 * configuration means (config.h) is the same in all.
 */
#ifndef TTT_CONFIG_FORMS_H
#define TTT_CONFIG_FORMS_H

#include "config/keys.h"

/* A key of which not every value is supported: the values that are, as JSON without quotes, "|" between them. The first
 * is what an absent key means. */
typedef struct ttt_fixed_key {
    const char *name, *values;
} ttt_fixed_key;

/* A key's name in a form, and in ttt_keys. */
typedef struct ttt_form_key {
    const char *name, *key;
} ttt_form_key;

/* A key and a value as text: what its absence means, where that is not what ttt_config_init says. */
typedef struct ttt_form_default {
    const char *key, *text; /* by its name in ttt_keys */
} ttt_form_default;

/* What a part's parameters are called behind the block's prefix, where that is not what the layer says. */
typedef struct ttt_part_names {
    const char *part, *norm, *prefix;
} ttt_part_names;

typedef struct ttt_form {
    const char *name; /* model_type */
    const char *architecture;
    const char *block;        /* what every block is; NULL: ttt_layer_type and pre_conv, or `layers`, say it */
    const ttt_form_key *keys; /* [key_count]; NULL: the first of ttt_keys. The others of ttt_keys mean nothing here */
    int key_count;
    const char *const *further; /* keys of ttt_keys that `read` and `write` are for, NULL after the last; or NULL */
    const char *whole_heads;    /* the key of the heads, if these must divide hidden_size into even sizes; else NULL */
    const ttt_form_default *defaults;      /* up to a key NULL */
    const ttt_fixed_key *fixed;            /* up to a name NULL */
    const ttt_fixed_key *written;          /* further keys, written where they are absent; up to a name NULL */
    const char *embedding, *blocks, *norm; /* names of parameters; of blocks what is before their number */
    const ttt_part_names *parts;           /* up to a part NULL */
    /* What of its config.json is no key by itself; NULL: nothing. */
    ttt_status (*read)(ttt_config *config, const json_t *object, const char *where);
    bool (*write)(json_t *object, const ttt_config *config); /* false: memory is short */
} ttt_form;

/* In the order in which a new model looks for its own; ttt_ext, which can say everything, is the last. */
extern const ttt_form ttt_forms[TTT_MODEL_TYPES];
extern const char *const ttt_form_names[TTT_MODEL_TYPES + 1];

static inline const ttt_form *ttt_form_of(const ttt_config *config) { return &ttt_forms[config->model_type]; }

/* Key `index` of a form, under the name that it has there. */
ttt_key ttt_form_key_at(const ttt_form *form, int index);

/* The name in a form of a key of ttt_keys; NULL: it means nothing there. */
const char *ttt_form_key_name(const ttt_form *form, const ttt_key *key);

/* NULL, or the key because of which a model of this form cannot be what the configuration says. */
const char *ttt_form_lacks(const ttt_form *form, const ttt_config *config);

/* Gives a configuration the first form that can say it, unless the one that it has can. */
void ttt_config_settle(ttt_config *config);

/* Whether a model_type that is none of the forms is one whose difference is known; then *why. */
bool ttt_form_known_stranger(const char *model_type, const char **why);

/* The read and write of forms (form_read.c). */
ttt_status ttt_form_llama_read(ttt_config *config, const json_t *object, const char *where);
bool ttt_form_llama_write(json_t *object, const ttt_config *config);
ttt_status ttt_form_mamba_read(ttt_config *config, const json_t *object, const char *where);
bool ttt_form_mamba_write(json_t *object, const ttt_config *config);
ttt_status ttt_form_delta_net_read(ttt_config *config, const json_t *object, const char *where);
bool ttt_form_delta_net_write(json_t *object, const ttt_config *config);
ttt_status ttt_form_gated_deltanet_read(ttt_config *config, const json_t *object, const char *where);
bool ttt_form_gated_deltanet_write(json_t *object, const ttt_config *config);

#endif
