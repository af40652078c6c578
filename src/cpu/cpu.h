/* SPDX-License-Identifier: MIT
 *
 * What the files of the cpu backend share: reals are floats, kernels come from the table of one instruction set
 * (kernels.h), and threads get parts that are cut by shape.
 */
#ifndef TTT_CPU_CPU_H
#define TTT_CPU_CPU_H

#include "backend/host.h"
#include "cpu/isa.h"
#include "cpu/kernels.h"

void ttt_cpu_ops_memory(ttt_ops *ops);
void ttt_cpu_ops_product(ttt_ops *ops);
void ttt_cpu_ops_delta(ttt_ops *ops);
void ttt_cpu_ops_delta_inputs(ttt_ops *ops);
void ttt_cpu_ops_norm(ttt_ops *ops);
void ttt_cpu_ops_pointwise(ttt_ops *ops);
void ttt_cpu_ops_scan(ttt_ops *ops);
void ttt_cpu_ops_sequence(ttt_ops *ops);
void ttt_cpu_ops_attention(ttt_ops *ops);
void ttt_cpu_ops_optim(ttt_ops *ops);

extern const ttt_learner_ops ttt_cpu_learner_linear;
extern const ttt_learner_ops ttt_cpu_learner_mlp;

/* Calls task for parts [begin, end) of `items`, on several threads if they are worth it. `cost`: elementary operations
 * of one item. */
void ttt_cpu_split(const ttt_backend *b, int64_t items, int64_t cost,
                   void (*task)(void *context, int64_t begin, int64_t end), void *context);

/* How packed matrices of one precision are laid out and multiplied by: the operations of the same names. */
typedef struct ttt_cpu_format {
    size_t (*packed_size)(int64_t rows, int64_t columns);
    void (*pack)(const ttt_backend *b, void *packed, const ttt_matrix *matrix, bool *finite);
    void (*linear)(const ttt_backend *b, float *y, const float *x, const ttt_param *w, int64_t rows, bool accumulate);
    void (*embed_row)(const ttt_kernels *kernels, float *y, const ttt_param *w, int64_t id);
} ttt_cpu_format;

extern const ttt_cpu_format ttt_cpu_f32, ttt_cpu_bf16, ttt_cpu_q8, ttt_cpu_q4;

/* Scratch of the products in bf16; linear_backward_weight where dw's precision is bf16. */
ttt_status ttt_bf16_init(ttt_backend *backend);
void ttt_bf16_backward_weight(const ttt_backend *b, const ttt_param *dw, const float *dy, const float *x, int64_t rows);

/* 0, or NaN if a value is not finite. */
static inline float ttt_zeros(const float *x, int64_t n)
{
    enum { LANES = 16 };
    float lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += 0 * x[i + l];
    for (; i < n; i++) sum += 0 * x[i];
    for (int l = 0; l < LANES; l++) sum += lanes[l];
    return sum;
}

static inline int64_t ttt_panels(int64_t outputs) { return (outputs + TTT_PANEL - 1) / TTT_PANEL; }

/* Products of many rows: training's, on matrices as they are, or with packed matrices. */
typedef struct ttt_multiply {
    float *y;                        /* [rows, columns] = a w, or += with `accumulate` */
    const float *a;                  /* [rows, depth], or [depth, rows] if transposed */
    const float *w;                  /* [depth, columns], or [columns, depth] if transposed */
    bool a_transposed, w_transposed; /* not both */
    const float *strips;             /* in place of w: as product_f32.c packs it, */
    const float *tiles;              /* or product_bf16.c */
    int64_t rows, columns, depth;
    bool accumulate;
    bool round; /* a and w to bf16 */
} ttt_multiply;

/* Every output is one chain of fmas over the inner dimension, in its order. */
void ttt_multiply_rows(const ttt_backend *b, const ttt_multiply *m);
ttt_status ttt_multiply_init(ttt_backend *backend); /* its scratch */

#endif
