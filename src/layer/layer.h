/* SPDX-License-Identifier: MIT
 *
 * What a layer is. A block is a list of parts, each h += layer(RMSNorm(h)); a layer is one such part: a causal map
 * x [R,C] -> y [R,C] with a state. It declares its parameters and what it keeps, and runs forward (with train it keeps
 * what backward needs; without, it is "advance") and backward. Nothing here touches data: layers name operations of the
 * backend.
 *
 * A new layer is a file with a ttt_layer_ops, and a line in table.c: docs/ADDING-A-LAYER.md.
 */
#ifndef TTT_LAYER_LAYER_H
#define TTT_LAYER_LAYER_H

#include "backend/backend.h"
#include "base/arena.h"
#include "config/config.h"
#include "layer/params.h"
#include "layer/rotation.h"

/* Rows going through the model together: the new tokens of some sequences. */
typedef struct ttt_pass {
    const ttt_backend *backend;
    const ttt_run *runs;
    int64_t run_count;
    int64_t rows;       /* R, the sum of the runs' counts */
    int64_t longest;    /* the largest count */
    bool train;         /* keep what backward needs */
    bool keeps_all;     /* in what grows, row t is token t: in training, and in bare layers */
    double rate_factor; /* of learners whose inner rate is warmed up; 1 but at the beginning of training */
    struct ttt_inspection *inspection; /* NULL, or where the inner loop's losses go */
} ttt_pass;

/* What the inner loop's loss is before and after learning, at tokens that close a mini-batch, MATH (inner). A layer in
 * which something learns fills three numbers per run, means over heads: with the sequence's first weights, those at the
 * start of the mini-batch, and those after it. */
typedef struct ttt_inspection {
    double *losses; /* [layers, run_count, 3]; untouched for runs that do not end with a mini-batch */
    void *before;   /* scratch: the largest inspect_size of the layers, for every run */
    void *first;    /* the state of an empty sequence */
} ttt_inspection;

/* Rows of one sequence in a pass of inference, at most. */
enum { TTT_RUN_ROWS = 256 };

/* Reals that a layer keeps of a sequence: a fixed number, and more for every token (of `window` tokens at most, 0: of
 * all), for which there is memory in whole blocks of `block` tokens (0: one by one). */
typedef struct ttt_state_size {
    int64_t fixed, per_token, window, block;
} ttt_state_size;

/* One named piece of a layer's state, in the form that no backend changes. */
enum { TTT_STATE_PIECES = 16, TTT_STATE_RANK = 4 };
typedef struct ttt_state_piece {
    const char *name;
    int rank;
    int64_t shape[TTT_STATE_RANK];
} ttt_state_piece;

static inline int64_t ttt_piece_elements(const ttt_state_piece *piece)
{
    int64_t elements = 1;
    for (int i = 0; i < piece->rank; i++) elements *= piece->shape[i];
    return elements;
}

/* Operations of one token, a multiply-add being two, MATH (flops): of products with weight matrices; of what else is no
 * element-wise work; and such for every token that it sees, itself too, of which there are at most `window` (0: all).
 */
typedef struct ttt_layer_work {
    double products, others, per_visible;
    int64_t window;
} ttt_layer_work;

typedef struct ttt_layer {
    const struct ttt_layer_ops *ops;
    int64_t width;        /* C */
    int64_t number;       /* among the layers of the model */
    int64_t norm_slot;    /* of the weight of the norm before it */
    int64_t slot;         /* of its first parameter */
    int64_t state_offset; /* of its fixed memory in a sequence's state, in reals */
    void *shape;          /* its own constants: made by init */
} ttt_layer;

typedef struct ttt_layer_ops {
    const char *name;   /* in the configuration's `layers` */
    const char *norm;   /* name of the weight of the norm before it, behind the block's prefix */
    const char *prefix; /* of its own parameters' names, behind the block's */
    int64_t slots;
    bool is_sequence; /* what a block is about, and has once; conv and ffn stand around it */

    /* ---- what it is: from the configuration alone ---- */
    TTT_NODISCARD ttt_status (*init)(ttt_layer *layer, const ttt_config *config);
    void (*declare)(const ttt_layer *layer, ttt_params *params);
    ttt_layer_work (*work)(const ttt_layer *layer, bool backward); /* NULL: nothing that counts */

    /* ---- on a backend ---- */
    /* What it needs of the backend's memory, and whether it can be computed there; NULL: nothing. `group` as in
     * ttt_learner_dims. */
    TTT_NODISCARD ttt_status (*attach)(ttt_layer *layer, const ttt_backend *backend, ttt_rotations *rotations,
                                       int64_t group);
    ttt_state_size (*state)(const ttt_layer *layer, const ttt_backend *backend); /* NULL: it has no state */
    size_t (*scratch_bytes)(const ttt_layer *layer, const ttt_backend *backend); /* of the backend's own; NULL: none */
    /* Carves what a pass keeps from forward to backward, and what it needs until return; with arenas that only measure,
     * how much that is. Layers carve the same again whenever they run. */
    void (*layout)(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch);

    /* Sets the runs' states to those of empty sequences (they are zero before); its backward adds the gradients of
     * states to those of the parameters. `w`, `g`: the model's parameters and their gradients from the layer's first
     * slot on. NULL: zero is right. */
    void (*reset)(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w);
    void (*reset_backward)(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *g);

    /* y [R,C] += layer(x [R,C]); the runs' states move on. */
    void (*forward)(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x);
    /* dx [R,C] overwritten; gradients +=; dstate of the runs: from the final state's to the initial state's. What was
     * saved is used up. */
    void (*backward)(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x);

    /* ---- its state by names ---- */
    /* The pieces after `position` tokens; returns how many. NULL where there is no state. */
    int (*pieces)(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece pieces[TTT_STATE_PIECES]);
    /* values[i]: the reals of piece i. `run` has the state, and after import all that follows from the pieces. */
    void (*export)(const ttt_layer *layer, const ttt_backend *backend, const ttt_run *run, void *const values[]);
    void (*import)(const ttt_layer *layer, const ttt_backend *backend, const ttt_run *run, const void *const values[]);

    /* ---- looking inside ---- */
    /* The state as other programs hold it, whatever the tile ("W1", "W1_grad", ...): the pieces, and the reals of all
     * of them one after another. Golden files and digests are made of it. NULL where there is no state. */
    int (*view_pieces)(const ttt_layer *layer, const ttt_backend *backend, ttt_state_piece pieces[TTT_STATE_PIECES]);
    TTT_NODISCARD ttt_status (*view)(const ttt_layer *layer, const ttt_backend *backend, const ttt_run *run,
                                     void *values);
    /* Reals of ttt_inspection.before for a run; NULL: nothing in it learns. */
    int64_t (*inspect_size)(const ttt_layer *layer, const ttt_backend *backend);

    void (*deinit)(ttt_layer *layer); /* frees shape */
} ttt_layer_ops;

/* The layers that a configuration can name, NULL after the last: table.c, where nothing else is, so that a program
 * linked with the static library may have a table of its own. */
extern const ttt_layer_ops *const ttt_layer_table[];
extern const ttt_layer_ops ttt_layer_linear_attention, ttt_layer_delta_net, ttt_layer_gated_deltanet;
extern const ttt_layer_ops ttt_layer_mamba;
extern const ttt_layer_ops ttt_layer_ttt_linear, ttt_layer_ttt_mlp, ttt_layer_conv, ttt_layer_ffn;
extern const ttt_layer_ops ttt_layer_attention;

static inline ttt_state_size ttt_layer_state(const ttt_layer *layer, const ttt_backend *backend)
{
    return layer->ops->state ? layer->ops->state(layer, backend) : (ttt_state_size){0};
}

/* Rows of what grows that there must be for so many tokens. */
static inline int64_t ttt_grown_rows(ttt_state_size size, int64_t tokens, bool keeps_all)
{
    const int64_t rows = keeps_all || size.window == 0 || size.window > tokens ? tokens : size.window;
    return size.block ? (rows + size.block - 1) / size.block * size.block : rows;
}

/* [rows, columns] reals of an arena. */
static inline void *ttt_layer_reals(ttt_arena *arena, const ttt_pass *pass, int64_t rows, int64_t columns)
{
    return ttt_arena_push(arena, rows * columns, pass->backend->real);
}

/* tails [runs, size]: what the states of the runs have at `offset`, for a backward that needs what the forward found;
 * nothing where `tails` is NULL, as in inference. */
static inline void ttt_layer_keep(const ttt_pass *pass, void *tails, int64_t offset, int64_t size)
{
    const ttt_backend *b = pass->backend;
    for (int64_t n = 0; tails && n < pass->run_count; n++)
        b->ops->copy(b, ttt_at(b, tails, n * size), ttt_at(b, pass->runs[n].state, offset), size);
}

/* ---- a block: its parts one after another ---- */

enum { TTT_BLOCK_PARTS = 3 };

typedef struct ttt_block {
    ttt_layer *parts; /* [count] */
    int64_t count;
    int64_t width;
    double eps; /* of the norms before the parts */
} ttt_block;

/* Scratch that the parts of all blocks share, besides each layer's own. */
typedef struct ttt_block_scratch {
    void *x, *dx; /* [R,C]: what goes into a part, normalised, and its gradient */
    void *layer;
} ttt_block_scratch;

/* What a pass keeps of a block, and scratch of the layers (the most that one of them needs). */
size_t ttt_block_saved_bytes(const ttt_block *block, const ttt_pass *pass);
size_t ttt_block_scratch_bytes(const ttt_block *block, const ttt_pass *pass);

/* h [R,C] in place. `weights`: of the whole model, by slots. */
void ttt_block_forward(const ttt_block *block, const ttt_pass *pass, const ttt_param *weights, void *saved,
                       const ttt_block_scratch *scratch, void *h);
/* dh [R,C] in place: gradient of the block's output to that of its input. What was saved is used up. */
void ttt_block_backward(const ttt_block *block, const ttt_pass *pass, const ttt_param *weights, const ttt_param *grads,
                        void *saved, const ttt_block_scratch *scratch, void *dh);

#endif
