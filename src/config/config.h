/* SPDX-License-Identifier: MIT
 *
 * What a model is: the values of its config.json. A plain value: copy it freely, nothing is owned. What can be said of
 * it without knowing the layers is here; that every part of a block exists, and how many parameters that makes, says
 * the model layer (ttt_config_check, ttt_config_parameters).
 */
#ifndef TTT_CONFIG_CONFIG_H
#define TTT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <ttt/config.h>

#include "base/buffer.h"

typedef enum ttt_learner_kind { TTT_LEARNER_LINEAR, TTT_LEARNER_MLP } ttt_learner_kind;
typedef enum ttt_model_type { TTT_MODEL_TTT, TTT_MODEL_TTT_EXT } ttt_model_type;

/* What each block is made of, where that is not the same everywhere: the distinct ones, and which of them each is. */
enum { TTT_BLOCKS_MAX = 1024, TTT_BLOCK_KINDS = 16, TTT_BLOCK_TEXT = 64 };
typedef struct ttt_layers {
    int64_t count; /* blocks; 0: ttt_layer_type and pre_conv say what each is */
    int kinds;
    char kind[TTT_BLOCK_KINDS][TTT_BLOCK_TEXT]; /* parts joined by "+", such as "conv+ttt_linear+ffn" */
    uint8_t of[TTT_BLOCKS_MAX];                 /* of each block its kind */
} ttt_layers;

struct ttt_config {
    int64_t vocab_size;              /* V */
    int64_t hidden_size;             /* C */
    int64_t intermediate_size;       /* F, width of the feed-forward network */
    int64_t num_hidden_layers;       /* L */
    int64_t num_attention_heads;     /* H; the head size is D = C / H, an even number */
    int64_t mini_batch_size;         /* K, tokens per step of the inner loop */
    int64_t conv_kernel;             /* width of the convolutions of share_qk and of the part conv */
    int64_t max_position_embeddings; /* the context length a training run used; changes no number */
    int64_t bos_token_id;            /* -1: none */
    int64_t eos_token_id;            /* -1: none */
    int64_t pad_token_id;            /* -1: none */
    double rms_norm_eps;
    double rope_theta;
    double initializer_range;
    double ttt_base_lr;
    ttt_learner_kind ttt_layer_type; /* "linear" | "mlp" */
    bool use_gate;                   /* mamba backbone: gelu(x Wg) multiplies the normalised output */
    bool share_qk;                   /* mamba backbone: q and k are two convolutions of one projection */
    bool pre_conv;                   /* a convolution before the TTT layer of every block */
    bool tie_word_embeddings;        /* the output head is the embedding */
    ttt_model_type model_type;       /* what config.json calls it: "ttt", or with `layers` "ttt_ext" */
    ttt_layers layers;               /* what a block is, ttt_config_block says */
};

/* The defaults. */
void ttt_config_init(ttt_config *config);

/* Reads the text of a config.json and checks all of it but the names of parts; `where` names it in sentences. */
TTT_NODISCARD ttt_status ttt_config_parse(ttt_config *config, const char *text, size_t size, const char *where);

/* Appends the text that ttt_config_save writes. */
TTT_NODISCARD ttt_status ttt_config_print(const ttt_config *config, const char *base, const char *dtype,
                                          ttt_buffer *out);

/* Every key by itself, how they fit together, and the list of blocks, but for the names of parts. */
TTT_NODISCARD ttt_status ttt_config_check_keys(const ttt_config *config, const char *where);

/* ---- blocks (layers.c) ---- */

/* Appends a block to a list, written as in config.json: parts joined by "+". What is no such text is TTT_ERR_FORMAT,
 * `where` in front, and names the block, counted from 0, and the part. */
TTT_NODISCARD ttt_status ttt_layers_add(ttt_layers *layers, const char *text, size_t length, const char *where);

/* Appends the blocks of a command line, "3*ttt_linear,mamba": each N*BLOCK or BLOCK. A BLOCK with "+", or in double
 * quotes, is written as in config.json; a bare name is its usual block: NAME+ffn, "conv+" before a TTT layer if
 * `conv`, mamba alone. */
TTT_NODISCARD ttt_status ttt_layers_parse(ttt_layers *layers, const char *text, bool conv);

/* The text that ttt_layers_parse reads as the blocks of a configuration. */
TTT_NODISCARD ttt_status ttt_layers_print(const ttt_config *config, ttt_buffer *out);

/* Makes these the blocks of a configuration, at least one: by ttt_layer_type and pre_conv where these can say it, else
 * by `layers`, and then model_type is ttt_ext. num_hidden_layers follows. */
void ttt_config_take_layers(ttt_config *config, const ttt_layers *layers);

#endif
