/* SPDX-License-Identifier: MIT
 *
 * The language model: embedding, blocks, final norm and head, and the memory in which rows go through it. Inference and
 * training share it; they differ in how parameters lie (weights.h) and in what a pass keeps.
 */
#ifndef TTT_MODEL_LM_H
#define TTT_MODEL_LM_H

#include "layer/stack.h"

/* The configuration with everything that follows from it for a backend. */
typedef struct ttt_lm {
    ttt_config config;
    ttt_stack stack;
    const ttt_backend *backend; /* on which its tables and the states of sequences are; it outlives the lm */
} ttt_lm;

/* Checks the configuration. `group` as in ttt_learner_dims. */
TTT_NODISCARD ttt_status ttt_lm_init(ttt_lm *lm, const ttt_config *config, const ttt_backend *backend, int64_t group);
void ttt_lm_deinit(ttt_lm *lm);

/* Activations and scratch of passes up to a size. */
typedef struct ttt_workspace {
    const ttt_backend *backend;
    char *memory;
    void *h, *dh;   /* [R,C] residual stream and its gradient */
    void *logits;   /* [chunk,V] */
    double *losses; /* [R], the caller's memory */
    int64_t chunk;  /* rows of logits at a time */
    ttt_block_scratch scratch;
    void *inputs; /* with recompute: the residual stream before each block [L,R,C]; else NULL */
    void **saved; /* [L], the caller's memory; the same for all blocks unless training without recompute */
} ttt_workspace;

/* Bytes that ttt_workspace_init will take for such a pass. `recompute`: of each block only its input is kept, and the
 * rest is computed again in the backward. */
size_t ttt_workspace_bytes(const ttt_lm *lm, const ttt_pass *pass, bool recompute);
TTT_NODISCARD ttt_status ttt_workspace_init(ttt_workspace *workspace, const ttt_lm *lm, const ttt_pass *pass,
                                            bool recompute);
void ttt_workspace_deinit(ttt_workspace *workspace);

/* Called with the residual stream after each block, and with block == L for the output of the final norm. */
typedef struct ttt_trace {
    void (*rows)(void *context, const ttt_pass *pass, int64_t block, const void *h);
    void *context;
} ttt_trace;

/* Sets the runs' states to those of empty sequences; its backward, block by block, adds their gradients to those of
 * parameters. */
void ttt_lm_reset(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights);
void ttt_lm_reset_backward(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *grads, int64_t block);

/* Embedding and all blocks: workspace->h becomes the residual stream [R,C] before the final norm. */
void ttt_lm_blocks(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights, const ttt_workspace *workspace,
                   const int32_t *ids, const ttt_trace *trace);
/* One block again, from its kept input. */
void ttt_lm_block_again(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights,
                        const ttt_workspace *workspace, int64_t block);

/* The final norm of workspace->h, into workspace->scratch.x; and the logits of `rows` rows of it, into
 * workspace->logits. */
void ttt_lm_norm(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights, const ttt_workspace *workspace);
void ttt_lm_logits(const ttt_lm *lm, const ttt_backend *backend, const ttt_param *weights,
                   const ttt_workspace *workspace, const void *x, int64_t rows);

/* Memory of a sequence's state, or of its gradient, that grows with the sequence: for every layer that has such
 * memory a block of `tokens` x per_token reals, else NULL. */
int64_t ttt_lm_grown_rows(const ttt_lm *lm, int64_t layer, int64_t tokens, bool train);

#endif
