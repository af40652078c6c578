/* SPDX-License-Identifier: MIT
 *
 * The harness of the operation tests. One case is a list of operands and a run. The harness makes random operands,
 * rounds them to floats, runs the case on ref in double and on cpu under every instruction set of this machine, and
 * checks: every element within c * eps * sum|terms| of ref; the same bits under every instruction set, and in all cases
 * together those of a digest that other processors have too; the same bits with 1, 2, 3, 7 and 16 threads; for [row]
 * operations the same bits however the rows are cut into calls; nothing written outside the operands, inputs unchanged.
 * Operands are misaligned and lie between guard zones; what is to be overwritten holds NaN before.
 */
#ifndef TTT_TESTS_OP_OP_H
#define TTT_TESTS_OP_OP_H

#include "backend/backend.h"
#include "cpu/isa.h"

enum { OP_OPERANDS = 12, OP_DIMS = 8 };

typedef enum op_role { OP_NONE, OP_IN, OP_OUT, OP_ADD } op_role; /* ADD: read and written */

typedef struct op_operand {
    op_role role;
    int64_t count;
    double spread; /* standard deviation of the random values */
} op_operand;

typedef struct op_case op_case;
struct op_case {
    const char *name;
    int64_t dims[OP_DIMS]; /* what the run makes of them; printed when the case fails */
    op_operand operands[OP_OPERANDS];
    int64_t rows; /* [row] operations: the rows that may be cut; else 0 */

    /* Runs rows [begin, end) of the case; operations that are not [row] are run once, with [0, 0). */
    void (*run)(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end);

    /* Given the operands before and after, sum|terms| of each element of each output; those that it leaves alone have
     * the magnitude of the result. NULL: what ref gives for the operands' magnitudes. */
    void (*terms)(const op_case *c, double *const *before, double *const *after, double *const *terms);
    double c; /* tolerance in eps * sum|terms| */

    bool narrow; /* of bf16 or bytes, whose products are what instruction sets beyond AVX-512 have of their own */
    bool amx;    /* AMX sums in an order of its own */
};

/* Runs the case as described above. */
void op_check(const op_case *c);

/* The cpu backend on one thread under an instruction set, NULL if the machine lacks it. */
const ttt_backend *op_backend(ttt_isa isa);

/* Reproducible small integers for ids and targets: in [0, limit). */
int32_t op_random(int64_t index, int64_t limit);

void op_product_tests(void);
void op_norm_tests(void);
void op_delta_inputs_tests(void);
void op_pointwise_tests(void);
void op_scan_tests(void);
void op_sequence_tests(void);
void op_attention_tests(void);
void op_optim_tests(void);

#endif
