/* SPDX-License-Identifier: MIT
 *
 * The one table of a model's parameters: name, shape, first value, in a fixed order. Loading, saving, conversion,
 * initialisation and the parameter count all read it.
 */
#ifndef TTT_MODEL_PARAM_NAMES_H
#define TTT_MODEL_PARAM_NAMES_H

#include "config/config.h"
#include "tensor/quantize.h"
#include "tensor/tensor.h"

typedef enum ttt_init {
    TTT_INIT_ZEROS,
    TTT_INIT_ONES,
    TTT_INIT_NORMAL,   /* N(0, std) */
    TTT_INIT_TRUNCATED /* normal, cut at two sigma and rescaled so that what remains has standard deviation std */
} ttt_init;

enum { TTT_PARAM_NAME = 96 };

typedef struct ttt_param_spec {
    char name[TTT_PARAM_NAME]; /* ttt-lm-pytorch's, such as "model.layers.0.seq_modeling_block.W1" */
    int rank;
    int64_t shape[4];
    ttt_init init;
    double std;    /* of TTT_INIT_NORMAL and TTT_INIT_TRUNCATED, else 0 */
    int64_t layer; /* 0-based block, -1 for embedding, final norm and head */
    bool matrix;   /* rows are multiplied by it, or taken from it: what a precision is for */
} ttt_param_spec;

/* A parameter as found in a file: its tensor, and with it the scales if the tensor holds codes, else NULL. */
typedef struct ttt_param_found {
    const ttt_tensor *tensor, *scales;
} ttt_param_found;

/* The parameter as rows of its last dimension. */
ttt_matrix ttt_param_matrix(const ttt_param_spec *spec, const ttt_param_found *found);

/* The parameters of a checked configuration: embedding, the blocks in order (each in the order of TTT.md section 6),
 * final norm, and the head unless it is tied. One block: release with ttt_free(*specs). */
TTT_NODISCARD ttt_status ttt_param_list(const ttt_config *config, ttt_param_spec **specs, int64_t *count);

/* Number of elements of one parameter. */
int64_t ttt_param_elements(const ttt_param_spec *spec);

/* Matches tensors from a file with a list: *found (release with ttt_free) has one entry per spec. A parameter that is
 * missing or has another shape or no floating type, and a tensor that is no parameter, are TTT_ERR_FORMAT and named,
 * `where` in front. All matrices may instead be codes of one precision with sound scales beside them, which *precision
 * then tells. A tied model may hold "lm_head.weight" if it equals the embedding byte for byte. `tensors` is in
 * ascending order of names. */
TTT_NODISCARD ttt_status ttt_param_match(const ttt_param_spec *specs, int64_t count, const ttt_tensor *tensors,
                                         int64_t tensor_count, const char *where, ttt_param_found **found,
                                         ttt_precision *precision);

#endif
