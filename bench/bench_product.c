/* SPDX-License-Identifier: MIT
 *
 * Speed of the products of the cpu backend, with the limits of this machine beside: bench_product [threads
 * [precision]]. Inference: packed weights, many rows (GFLOP/s) and one row (GB/s of weights). Training: the three
 * products of a linear layer, by oneDNN or by the project's own code, whichever the build has.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cpu/cpu.h"
#include "limits.h"

typedef struct job {
    const ttt_backend *b;
    int64_t rows, outputs, inputs;
    float *x, *y;
    ttt_param values, packed;
} job;

static float *array(int64_t n)
{
    float *x = ttt_alloc((size_t)n, sizeof *x);
    if (!x) abort();
    for (int64_t i = 0; i < n; i++) x[i] = (float)(i * 2654435761 % 1024) / 512 - 1;
    return x;
}

static void run_packed(const job *j) { j->b->ops->linear(j->b, j->y, j->x, &j->packed, j->rows, false); }
static void run_values(const job *j) { j->b->ops->linear(j->b, j->y, j->x, &j->values, j->rows, false); }

static void run_input(const job *j) { j->b->ops->linear_backward_input(j->b, j->x, j->y, &j->values, j->rows, false); }

static void run_weight(const job *j) { j->b->ops->linear_backward_weight(j->b, &j->values, j->y, j->x, j->rows); }

/* Seconds of the fastest of several runs. */
static double time_of(const job *j, void (*run)(const job *))
{
    double best = 1e30;
    const double begin = now();
    for (int i = 0; i < 5 || (now() - begin < 0.15 && i < 2000); i++) {
        const double start = now();
        run(j);
        const double took = now() - start;
        if (took < best) best = took;
    }
    return best;
}

static double seconds_of_packing(const job *j, ttt_precision precision, void *packed, bool transposed)
{
    const ttt_matrix matrix = {.dtype = j->b->dtype,
                               .values = j->values.values,
                               .rows = transposed ? j->inputs : j->outputs,
                               .columns = transposed ? j->outputs : j->inputs,
                               .transposed = transposed};
    const double start = now();
    j->b->ops->pack(j->b, packed, precision, &matrix, NULL);
    return now() - start;
}

static void measure(const ttt_backend *b, ttt_precision precision, int64_t rows, int64_t outputs, int64_t inputs)
{
    job j = {.b = b, .rows = rows, .outputs = outputs, .inputs = inputs};
    j.x = array(rows * inputs);
    j.y = array(rows * outputs);
    j.values = (ttt_param){
        .rows = outputs, .columns = inputs, .values = array(outputs * inputs), .precision = precision};
    j.packed = (ttt_param){.rows = outputs, .columns = inputs, .precision = precision};
    const size_t size = b->ops->packed_size(precision, outputs, inputs);
    j.packed.packed = array((int64_t)(size / sizeof(float)));
    double packing = seconds_of_packing(&j, precision, j.packed.packed, false);
    if (precision != TTT_PRECISION_F32) {
        j.values.turned = array((int64_t)(b->ops->packed_size(precision, inputs, outputs) / sizeof(float)));
        packing += seconds_of_packing(&j, precision, j.values.turned, true);
    }
    const double work = 2e-9 * (double)(rows * outputs * inputs), bytes = 1e-9 * (double)size;
    printf("%5d x %5d x %5d  packed %6.1f GFLOP/s %5.1f GB/s", (int)rows, (int)outputs, (int)inputs,
           work / time_of(&j, run_packed), bytes / time_of(&j, run_packed));
    printf("  values %6.1f  input %6.1f  weight %6.1f  packing %.2f ms\n", work / time_of(&j, run_values),
           work / time_of(&j, run_input), work / time_of(&j, run_weight), 1e3 * packing);
    ttt_free(j.x);
    ttt_free(j.y);
    ttt_free(j.values.values);
    ttt_free(j.values.turned);
    ttt_free(j.packed.packed);
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][3] = {{1, 768, 768},     {1, 2048, 768},   {1, 32000, 768},  {6, 768, 768},
                                        {16, 768, 768},    {256, 768, 768},  {1024, 768, 768}, {1024, 2048, 768},
                                        {1024, 768, 2048}, {1024, 12, 768},  {2048, 128, 128}, {2048, 344, 128},
                                        {2048, 256, 128},  {256, 32000, 768}};
    ttt_backend *b;
    ttt_isa isa;
    ttt_precision precision;
    if (ttt_precision_read(&precision, argc > 2 ? argv[2] : "f32", TTT_PRECISION_F32) != TTT_OK ||
        ttt_isa_choose(&isa) != TTT_OK || ttt_backend_new(&b, "cpu", argc > 1 ? atoi(argv[1]) : 1) != TTT_OK) {
        fprintf(stderr, "%s\n", ttt_error_detail());
        return 1;
    }
    float *memory = array(1 << 27);
    printf("%s, %d threads, training's products: %s; one thread's FMA peak %.1f GFLOP/s, reading %.1f GB/s\n", b->isa,
           b->threads, ttt_multiply_name, 1e-9 * fma_rate(isa), 1e-9 * read_rate(memory, (size_t)4 << 27));
    ttt_free(memory);
    printf("rows x outputs x inputs\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        measure(b, precision, shapes[i][0], shapes[i][1], shapes[i][2]);
    ttt_backend_free(b);
    return 0;
}
