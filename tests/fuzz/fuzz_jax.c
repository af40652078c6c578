/* SPDX-License-Identifier: MIT
 *
 * JAX streams: whatever the bytes, parsing ends, and every byte of every tensor that it shows can be read; what shapes
 * say about a configuration is either refused or passes the configuration's checks.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "layer/stack.h"
#include "store/infer_config.h"
#include "store/jax_stream.h"
#include "store/param_match.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void infer(const ttt_tensor *tensors, int64_t count)
{
    ttt_config config;
    ttt_stack stack;
    ttt_param_found *found;
    ttt_precision stored;
    ttt_config_init(&config);
    if (ttt_config_infer(&config, tensors, count, "input") != TTT_OK || ttt_config_complete(&config) != TTT_OK ||
        ttt_config_check(&config, "input") != TTT_OK)
        return;
    if (ttt_stack_init(&stack, &config) != TTT_OK) return;
    if (ttt_param_match(stack.params.specs, stack.params.count, tensors, count, "input", &found, &stored) == TTT_OK)
        ttt_free(found);
    ttt_stack_deinit(&stack, NULL);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    ttt_jax_stream *stream;
    if (ttt_jax_stream_parse(&stream, data, size, "input") != TTT_OK) return 0;
    size_t total = 0;
    volatile unsigned char sink = 0;
    const ttt_tensor *tensors = ttt_jax_stream_tensors(stream);
    for (int64_t i = 0; i < ttt_jax_stream_count(stream); i++) {
        const unsigned char *bytes = tensors[i].data;
        for (size_t k = 0; k < tensors[i].bytes; k++) sink ^= bytes[k];
        total += tensors[i].bytes;
    }
    (void)sink;
    if (total > size) abort();
    infer(tensors, ttt_jax_stream_count(stream));
    ttt_jax_stream_close(stream);
    return 0;
}
