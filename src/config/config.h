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
typedef enum ttt_step_scheme { TTT_STEP_RANDOM, TTT_STEP_CONSTANT } ttt_step_scheme;
typedef enum ttt_feature_map { TTT_FEATURE_ELU1, TTT_FEATURE_IDENTITY } ttt_feature_map;
typedef enum ttt_target { TTT_TARGET_DIFFERENCE, TTT_TARGET_V } ttt_target; /* "v-k", "v" */
typedef enum ttt_w0 { TTT_W0_LEARNED, TTT_W0_ZERO } ttt_w0;
typedef enum ttt_maybe { TTT_UNSAID, TTT_NO, TTT_YES } ttt_maybe; /* null, false, true */
typedef enum ttt_model_type {
    TTT_MODEL_TTT,
    TTT_MODEL_LLAMA,
    TTT_MODEL_MISTRAL,
    TTT_MODEL_MAMBA,
    TTT_MODEL_DELTA_NET,
    TTT_MODEL_GATED_DELTANET,
    TTT_MODEL_TTT_EXT,
    TTT_MODEL_TYPES
} ttt_model_type; /* forms.h */

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
    ttt_model_type model_type;       /* the form of its folder: config.json and names of parameters */
    ttt_layers layers;               /* what a block is, ttt_config_block says */

    /* attention */
    int64_t num_key_value_heads; /* G, a divisor of H; 0: H */
    int64_t sliding_window;      /* tokens that a token sees, itself too; 0: all before it */

    /* mamba */
    int64_t state_size;                    /* N */
    double expand;                         /* E / C */
    int64_t time_step_rank;                /* R; 0: C / 16, rounded up */
    int64_t mamba_conv_kernel;             /* taps */
    double time_step_min, time_step_max;   /* of first values */
    double time_step_floor;                /* of first values */
    double time_step_scale;                /* of first values */
    ttt_step_scheme time_step_init_scheme; /* of first values */
    bool rescale_prenorm_residual;         /* of first values */

    /* delta_net, gated_deltanet */
    int64_t head_dim;         /* Dk; 0: D */
    double expand_v;          /* Dv / Dk */
    int64_t conv_size;        /* taps */
    ttt_maybe delta_use_gate; /* unsaid: no for delta_net, yes for gated_deltanet */

    /* linear_attention */
    ttt_feature_map linear_attention_feature_map;
    bool linear_attention_normalise;
    bool linear_attention_post_norm;
    bool linear_attention_rope;

    /* the TTT layers' departures from the paper's code */
    bool ttt_norm;            /* the learner's output is normalised */
    bool ttt_residual;        /* what is read is q + LN(z), else LN(z) */
    ttt_target ttt_target;    /* what the learner is fitted to */
    bool ttt_bias;            /* b1, b2 */
    bool ttt_position_factor; /* c_i, else 1 */
    bool ttt_rope;            /* q and k are rotated */
    ttt_w0 ttt_w0;            /* where W1 and b1 begin */
    double ttt_rate;          /* r_j of every token; below 0: learned */
    double ttt_keep;          /* g: what is left of W - W0 */
    int64_t ttt_keep_every;   /* after so many tokens, each time; 0: after each mini-batch */
};

/* size x factor where that is a whole number from 1 to 2^40, as expand and expand_v must make it; else 0. */
int64_t ttt_config_product(int64_t size, double factor);

/* What is left to defaults that depend on other keys (such as head_dim null), made explicit where all blocks agree. */
void ttt_config_resolve(ttt_config *config);

/* The defaults. */
void ttt_config_init(ttt_config *config);

/* Reads the text of a config.json and checks all of it but the names of parts; `where` names it in sentences. */
TTT_NODISCARD ttt_status ttt_config_parse(ttt_config *config, const char *text, size_t size, const char *where);

/* Appends the text that ttt_config_save writes. */
TTT_NODISCARD ttt_status ttt_config_print(const ttt_config *config, const char *base, const char *dtype,
                                          ttt_buffer *out);

/* Sets keys from "KEY=VALUE" texts, in this order. One that means nothing in a model of this form is an error. */
TTT_NODISCARD ttt_status ttt_config_apply(ttt_config *config, const char *const *settings, size_t count);

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

/* Makes the list `count` blocks of one kind; empty where `count` is no number of blocks. */
void ttt_layers_fill(ttt_layers *layers, const char *block, int64_t count);

/* The text that ttt_layers_parse reads as the blocks of a configuration. */
TTT_NODISCARD ttt_status ttt_layers_print(const ttt_config *config, ttt_buffer *out);

/* Makes these the blocks of a configuration, at least one: by ttt_layer_type and pre_conv where these can say it, else
 * by `layers`. num_hidden_layers follows, and model_type if the one that it has cannot say it. */
void ttt_config_take_layers(ttt_config *config, const ttt_layers *layers);

#endif
