/* SPDX-License-Identifier: MIT
 *
 * What a model is: the keys and values of its config.json, under the names of ttt-lm-pytorch's TTTConfig. Every value
 * is set and asked for by its key; ttt_config_key lists them, and so does the sentence of a function that is given
 * another.
 *
 * Pointers to configurations and texts must not be NULL where nothing else is said. A configuration may be read by any
 * number of threads at once, and changed by one that no other reads or changes it beside.
 */
#ifndef TTT_CONFIG_H
#define TTT_CONFIG_H

#include <stdint.h>
#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_config ttt_config;

/* A configuration of the defaults that apply where a config.json lacks a key, or a copy of another one. *config is NULL
 * on failure; release with ttt_config_free. */
TTT_API TTT_NODISCARD ttt_status ttt_config_new(ttt_config **config);
TTT_API TTT_NODISCARD ttt_status ttt_config_copy(ttt_config **config, const ttt_config *from);
TTT_API void ttt_config_free(ttt_config *config); /* NULL is allowed */

/* Makes `config` a standard configuration: tiny, small, 125m, 350m, 760m, 1b; mamba backbone, pre_conv, tied head,
 * TTT-Linear. An unknown name is TTT_ERR_ARGUMENT, the sentence lists the names, and `config` stays as it was. */
TTT_API TTT_NODISCARD ttt_status ttt_config_standard(ttt_config *config, const char *name);

/* The name of a standard configuration, the smallest first; NULL past the last. Static storage. */
TTT_API const char *ttt_config_standard_name(int64_t index);

/* The name of a key that may be set to more than one value; NULL past the last. Static storage. */
TTT_API const char *ttt_config_key(int64_t index);

/* Sets one key from text, as `--set KEY=VALUE` does: numbers, true, false, names without quotes, and null for no token.
 * A key that does not exist, or a text that is no value of it, is TTT_ERR_ARGUMENT, a value that is known but not
 * supported TTT_ERR_UNSUPPORTED; `config` then stays as it was. Does not check how keys fit together.
 *
 * "layers" takes the blocks of the model as `ttt train --layers` does: "3*ttt_linear,ttt_mlp" is a list of N*BLOCK or
 * BLOCK. A BLOCK with "+", or in double quotes, is literal: the parts of the block, from first to last. A bare name is
 * its usual block: NAME+ffn, before it conv+ for a TTT layer if pre_conv is true; mamba alone. num_hidden_layers
 * follows, and where the usual ttt_base_lr of the layers is another than before, so does that. */
TTT_API TTT_NODISCARD ttt_status ttt_config_set(ttt_config *config, const char *key, const char *value);

/* The value of a key as text that ttt_config_set takes, of "layers" also where all blocks are alike. *value is NULL on
 * failure; release with ttt_string_free. A key that does not exist is TTT_ERR_ARGUMENT, as in the next three. */
TTT_API TTT_NODISCARD ttt_status ttt_config_get(const ttt_config *config, const char *key, char **value);

/* The value of a key that is a whole number (true is 1, false 0, no token -1, a size left to its
 * default 0), a real number (a rate that is learned: -1), or a name such as
 * ttt_layer_type's "linear" (static storage). A key of another kind is TTT_ERR_ARGUMENT; *value is then 0, or NULL. */
TTT_API TTT_NODISCARD ttt_status ttt_config_get_integer(const ttt_config *config, const char *key, int64_t *value);
TTT_API TTT_NODISCARD ttt_status ttt_config_get_real(const ttt_config *config, const char *key, double *value);
TTT_API TTT_NODISCARD ttt_status ttt_config_get_string(const ttt_config *config, const char *key, const char **value);

/* The parts of a block, counted from 0, joined by "+": "conv+ttt_linear+ffn". Valid until `config` is changed or
 * released; NULL past the last block. */
TTT_API const char *ttt_config_block(const ttt_config *config, int64_t block);

/* Checks every key and how they fit together (heads divide the width, even head size, parts that exist, sizes without
 * overflow, ...). `where` names the configuration in the sentence, such as a path. */
TTT_API TTT_NODISCARD ttt_status ttt_config_check(const ttt_config *config, const char *where);

/* Reads and checks a config.json, or that of a model folder; defaults where keys are absent; keys this version does not
 * know are left alone. On failure what `config` holds is not specified. A model_type that is none of ttt, ttt_ext,
 * llama, mistral, mamba, delta_net and gated_deltanet, or a key with a value that would change numbers and is not
 * supported, is TTT_ERR_UNSUPPORTED and named. */
TTT_API TTT_NODISCARD ttt_status ttt_config_load(ttt_config *config, const char *path);

/* Checks `config` and writes a config.json of its model_type: for a new model the first of ttt, llama, mistral, mamba,
 * delta_net, gated_deltanet and ttt_ext that can say what it is; for one that was read the one that it had. `base`
 * (NULL: none) is an existing config.json whose keys that this version does not know are kept. `dtype` is the
 * torch_dtype: "float32", "bfloat16" or "float16"; or "q8" or "q4", float32 with quantised matrices. */
TTT_API TTT_NODISCARD ttt_status ttt_config_save(const ttt_config *config, const char *path, const char *base,
                                                 const char *dtype);

/* Number of parameters of a model of this configuration; a tied head is counted once. The configuration has been
 * checked. */
TTT_API int64_t ttt_config_parameters(const ttt_config *config);

/* Floating-point operations of one token, a multiply-add being two: of products with matrices, convolutions, learners,
 * scans and attention; what is done element by element is not counted. */
typedef struct ttt_flops {
    double forward;  /* mean over a sequence of the context's length */
    double training; /* forward and backward: three times that */
    double decode;   /* forward of the last token of such a sequence */
    double growth;   /* what each further token costs more than the one before it: 0 where the state is of fixed size */
} ttt_flops;

/* Of a configuration that has been checked; `context` is 1 or more. */
TTT_API TTT_NODISCARD ttt_status ttt_config_flops(const ttt_config *config, int64_t context, ttt_flops *flops);

#ifdef __cplusplus
}
#endif
#endif
