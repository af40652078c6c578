/* SPDX-License-Identifier: MIT
 *
 * The one table of a model's parameters. Each layer declares its own, once: name, role, shape and first value. Places
 * in memory, loading, saving, packing, conversion, quantisation, first values and counts all follow from the table.
 *
 * A parameter has a *slot*: its place among a model's ttt_param. A layer has as many slots as its enum has names, and
 * finds its parameters there by name; those that its configuration does without are in no table and stay zero.
 */
#ifndef TTT_LAYER_PARAMS_H
#define TTT_LAYER_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* What a parameter is to the operations that read it. */
typedef enum ttt_role {
    TTT_ROLE_VALUES,  /* read as it is */
    TTT_ROLE_PRODUCT, /* rows are multiplied by it, always in f32 */
    TTT_ROLE_MATRIX   /* rows are multiplied by it or taken from it, in the model's precision (bf16, q8, q4) */
} ttt_role;

typedef enum ttt_init {
    TTT_INIT_ZEROS,
    TTT_INIT_ONES,
    TTT_INIT_NORMAL,      /* N(0, std) */
    TTT_INIT_TRUNCATED,   /* normal, cut at two sigma and rescaled so that what remains has standard deviation std */
    TTT_INIT_CONSTANT,    /* high */
    TTT_INIT_UNIFORM,     /* between low and high */
    TTT_INIT_LOG_UNIFORM, /* log u, u uniform above low and up to high */
    TTT_INIT_LOG_INDEX,   /* log(n + 1) at index n of the last dimension */
    TTT_INIT_TIME_STEP    /* what softplus makes a step of: log of it uniform between low and high, at least floor */
} ttt_init;

/* How the first values of training are drawn. */
typedef struct ttt_first {
    ttt_init init;
    double std; /* of TTT_INIT_NORMAL and TTT_INIT_TRUNCATED */
    double low, high, floor;
} ttt_first;

enum { TTT_PARAM_NAME = 96, TTT_PARAM_RANK = 4 };

typedef struct ttt_param_spec {
    char name[TTT_PARAM_NAME]; /* as in files, such as "model.layers.0.seq_modeling_block.W1" */
    ttt_role role;
    ttt_first first;
    int rank;
    int64_t shape[TTT_PARAM_RANK];
    int64_t slot;
    int64_t offset; /* reals from the beginning of a flat block that holds all parameters; a multiple of 16 */
} ttt_param_spec;

typedef struct ttt_params {
    ttt_param_spec *specs; /* [count], in the order of files, of the flat block and of random streams */
    int64_t count, capacity;
    int64_t slots;
    int64_t size;     /* reals of a flat block */
    int64_t elements; /* of all parameters; INT64_MAX once there are more */

    /* While they are declared: */
    ttt_status status;  /* the first failure: memory */
    const char *prefix; /* of names, such as "model.layers.0." */
    int64_t first_slot; /* of the layer that declares */
} ttt_params;

/* Declares a parameter: `slot` counts from the layer's first, `name` follows the prefix, `shape` ends with 0. A failure
 * stays in params->status. */
void ttt_params_add(ttt_params *params, int64_t slot, const char *name, ttt_role role, ttt_first first,
                    const int64_t *shape);
void ttt_params_deinit(ttt_params *params);

#define TTT_SHAPE(...) ((const int64_t[]){__VA_ARGS__, 0})

static inline ttt_first ttt_first_zeros(void) { return (ttt_first){.init = TTT_INIT_ZEROS}; }
static inline ttt_first ttt_first_ones(void) { return (ttt_first){.init = TTT_INIT_ONES}; }
static inline ttt_first ttt_first_normal(double std) { return (ttt_first){.init = TTT_INIT_NORMAL, .std = std}; }
static inline ttt_first ttt_first_truncated(double std) { return (ttt_first){.init = TTT_INIT_TRUNCATED, .std = std}; }

static inline ttt_first ttt_first_constant(double value)
{
    return (ttt_first){.init = TTT_INIT_CONSTANT, .high = value};
}

/* Uniform between -a and a. */
static inline ttt_first ttt_first_uniform(double a)
{
    return (ttt_first){.init = TTT_INIT_UNIFORM, .low = -a, .high = a};
}

/* log u, u uniform in (0, high]: never infinite. */
static inline ttt_first ttt_first_log_uniform(double high)
{
    return (ttt_first){.init = TTT_INIT_LOG_UNIFORM, .high = high};
}

static inline ttt_first ttt_first_log_index(void) { return (ttt_first){.init = TTT_INIT_LOG_INDEX}; }

static inline ttt_first ttt_first_time_step(double least, double most, double floor)
{
    return (ttt_first){.init = TTT_INIT_TIME_STEP, .low = least, .high = most, .floor = floor};
}

/* Elements of one parameter, and as the rows of its last dimension. */
int64_t ttt_param_elements(const ttt_param_spec *spec);
static inline int64_t ttt_param_columns(const ttt_param_spec *spec) { return spec->shape[spec->rank - 1]; }
static inline int64_t ttt_param_rows(const ttt_param_spec *spec)
{
    return ttt_param_elements(spec) / ttt_param_columns(spec);
}

#endif
