/* SPDX-License-Identifier: MIT
 *
 * What a model is: the fields of its config.json, under the names of ttt-lm-pytorch's TTTConfig. A plain value: copy it
 * freely, nothing is owned.
 */
#ifndef TTT_CONFIG_H
#define TTT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

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

typedef struct ttt_config {
    int64_t vocab_size;              /* V */
    int64_t hidden_size;             /* C */
    int64_t intermediate_size;       /* F, width of the feed-forward network */
    int64_t num_hidden_layers;       /* L */
    int64_t num_attention_heads;     /* H; the head size is D = C / H, an even number */
    int64_t mini_batch_size;         /* K, tokens per step of the inner loop */
    int64_t conv_kernel;             /* width of the convolutions of share_qk and pre_conv */
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
    ttt_layers layers;
} ttt_config;

/* The defaults of TTTConfig, those that apply where config.json lacks a key (TTT.md section 6). */
TTT_API void ttt_config_init(ttt_config *config);

/* A standard configuration by name: tiny, small, 125m, 350m, 760m, 1b; mamba backbone, pre_conv, tied head, TTT-Linear.
 * An unknown name is TTT_ERR_ARGUMENT and the sentence lists the names. */
TTT_API TTT_NODISCARD ttt_status ttt_config_standard(ttt_config *config, const char *name);

/* The name of a standard configuration, the smallest first; NULL past the last. */
TTT_API const char *ttt_config_standard_name(int64_t index);

/* Sets one field from text, as `--set KEY=VALUE` does: key is a name of config.json. Does not check how fields fit
 * together. */
TTT_API TTT_NODISCARD ttt_status ttt_config_set(ttt_config *config, const char *key, const char *value);

/* The parts of a block, counted from 0, joined by "+": "conv+ttt_linear+ffn". Belongs to the configuration. */
TTT_API const char *ttt_config_block(const ttt_config *config, int64_t block);

/* Checks every field and how they fit together (heads divide the width, even head size, sizes positive and without
 * overflow, ...). `where` names the configuration in the sentence, such as a path. */
TTT_API TTT_NODISCARD ttt_status ttt_config_check(const ttt_config *config, const char *where);

/* Reads and checks a config.json; defaults where keys are absent; keys this version does not know are left alone. A
 * model_type other than "ttt" is TTT_ERR_UNSUPPORTED and named. */
TTT_API TTT_NODISCARD ttt_status ttt_config_load(ttt_config *config, const char *path);

/* Writes a config.json that ttt-lm-pytorch reads. `base` (NULL: none) is an existing config.json whose keys that this
 * version does not know are kept. `dtype` is the torch_dtype: "float32", "bfloat16" or "float16"; or
 * "q8" or "q4", float32 with quantised matrices. */
TTT_API TTT_NODISCARD ttt_status ttt_config_save(const ttt_config *config, const char *path, const char *base,
                                                 const char *dtype);

/* Number of parameters of a model of this configuration; a tied head is counted once. The configuration has been
 * checked. */
TTT_API int64_t ttt_config_parameters(const ttt_config *config);

#ifdef __cplusplus
}
#endif
#endif
