/* SPDX-License-Identifier: MIT
 *
 * The language model: embedding, blocks, final norm and head, over parameters that lie in one flat block (training:
 * gradients and moments are laid out alike) or are packed for inference.
 */
#ifndef TTT_MODEL_MODEL_H
#define TTT_MODEL_MODEL_H

#include <ttt/model.h>

#include "config/config.h"
#include "layer/layer.h"
#include "model/param_names.h"
#include "tensor/tensor.h"

/* All parameters of a model, or their gradients. */
typedef struct ttt_lm_weights {
    ttt_param embedding, norm, head; /* [V,C], [C], [V,C]; a tied head is the embedding */
    ttt_block_weights *blocks;       /* [L] */
} ttt_lm_weights;

/* Where each parameter lies in a flat block of reals. */
typedef struct ttt_param_layout {
    ttt_param_spec *specs; /* [count] */
    int64_t count;
    int64_t *offsets; /* [count] reals; each a multiple of 16 */
    int64_t size;     /* reals of the block */
} ttt_param_layout;

TTT_NODISCARD ttt_status ttt_param_layout_init(ttt_param_layout *layout, const ttt_config *config);
void ttt_param_layout_deinit(ttt_param_layout *layout);

/* The configuration with everything that follows from it for a backend; shared by training and inference. */
typedef struct ttt_lm {
    ttt_config config;
    ttt_backend *backend;
    ttt_param_layout layout;
    ttt_block_shape *blocks; /* [L] */
    void *rotation;          /* [K, D/2, 2] */
    int64_t state_size;      /* reals of a sequence's state */
} ttt_lm;

TTT_NODISCARD ttt_status ttt_lm_init(ttt_lm *lm, const ttt_config *config, const char *backend, int threads,
                                     int64_t group);
void ttt_lm_deinit(ttt_lm *lm);

/* Fills in the rows and columns of all parameters; weights->blocks is allocated: release with ttt_free. */
TTT_NODISCARD ttt_status ttt_lm_shapes(const ttt_lm *lm, ttt_lm_weights *weights);

/* The field of `weights` that a parameter is; *product tells whether inference packs it. */
ttt_param *ttt_lm_param(const ttt_lm *lm, ttt_lm_weights *weights, const ttt_param_spec *spec, bool *product);

/* ttt_lm_shapes, with all values in a flat block laid out by lm->layout: training. */
TTT_NODISCARD ttt_status ttt_lm_bind(const ttt_lm *lm, ttt_lm_weights *weights, void *values);

/* The first values of training of parameter `index`: a pure function of the seed. */
void ttt_lm_first_values(const ttt_lm *lm, int64_t index, void *values, uint64_t seed);

/* Scratch and saved activations of passes up to a size. */
typedef struct ttt_workspace {
    char *memory;
    void *h, *dh;   /* [R,C] residual stream and its gradient */
    void *logits;   /* [chunk,V] */
    double *losses; /* [R] */
    int64_t chunk;  /* rows of logits at a time */
    ttt_block_scratch scratch;
    void *inputs;           /* with recompute: the residual stream before each block [L,R,C] */
    ttt_block_saved *saved; /* [L], its own allocation; the same for all blocks unless training without recompute */
} ttt_workspace;

/* Bytes that ttt_workspace_init will take for such a pass. */
size_t ttt_workspace_bytes(const ttt_lm *lm, const ttt_pass *pass);
TTT_NODISCARD ttt_status ttt_workspace_init(ttt_workspace *workspace, const ttt_lm *lm, const ttt_pass *pass);
void ttt_workspace_deinit(ttt_workspace *workspace);

/* Called with the residual stream after each block, and with block == L for the output of the final norm. */
typedef struct ttt_trace {
    void (*rows)(void *context, const ttt_pass *pass, int64_t block, const void *h);
    void *context;
} ttt_trace;

/* Embedding and all blocks: workspace->h becomes the residual stream [R,C] before the final norm. */
void ttt_lm_blocks_forward(const ttt_lm *lm, const ttt_pass *pass, const ttt_lm_weights *weights,
                           const ttt_workspace *workspace, const int32_t *ids, const ttt_trace *trace);

/* Sets the runs' states to those of empty sequences. */
void ttt_lm_reset(const ttt_lm *lm, const ttt_pass *pass, const ttt_lm_weights *weights);

struct ttt_model {
    ttt_lm lm;
    char *memory; /* parameters: those of products packed, the rest as values */
    ttt_lm_weights weights;
    ttt_workspace workspace;
};

/* Gives parameter `index`; what it pointed to for the one before is no longer needed. */
typedef ttt_status (*ttt_param_source)(void *context, const ttt_lm *lm, int64_t index, ttt_matrix *matrix);

/* A model for inference whose parameters come from `source` one by one, are checked to be finite, and packed. */
TTT_NODISCARD ttt_status ttt_model_build(ttt_model **model, const ttt_config *config, const ttt_model_options *options,
                                         ttt_param_source source, void *context);

struct ttt_state {
    const ttt_model *model;
    int64_t position;
    bool frozen;
    void *block; /* state_size reals */
};

enum { TTT_ADVANCE_ROWS = 256 }; /* rows that go through the model together in inference */

/* ttt_model_advance with logits of type `dtype` (feeds[].logits is an array of it) and, if not NULL, a trace and an
 * inspection (then every feed is one run: at most TTT_ADVANCE_ROWS tokens in all). */
TTT_NODISCARD ttt_status ttt_model_advance_as(ttt_model *model, const ttt_feed *feeds, int64_t count, ttt_dtype dtype,
                                              const ttt_trace *trace, ttt_inspection *inspection);

#endif
