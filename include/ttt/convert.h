/* SPDX-License-Identifier: MIT
 *
 * From the files of other programs to a model folder that this one and ttt-lm-pytorch load.
 */
#ifndef TTT_CONVERT_H
#define TTT_CONVERT_H

#include <ttt/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_convert_options {
    const char *config;    /* a standard configuration's name or the path of a config.json; NULL: the one that lies in
                              `in`, else the standard one whose sizes fit */
    const char *precision; /* "f32", "bf16" or "f16": the type to write; NULL keeps each tensor's type */
    const char *weights;   /* of the matrices (projections, feed-forward, embedding, head): "q8" or "q4", quantised in
                              blocks of 32; "f32", no longer quantised; NULL keeps them as they are */
    /* Before each tensor is written; anything but TTT_OK ends the conversion and is returned. NULL: not wanted. */
    ttt_status (*progress)(void *context, int64_t done, int64_t total);
    void *progress_context;
} ttt_convert_options;

/* Reads `in`, a Hugging Face model folder, a .safetensors file or a JAX stream of ttt-lm-jax (parameters alone or a
 * train state), and writes the model folder `out`, tokenizer files included where `in` is a folder that has them.
 * Unless `in` has its own config.json and no other is asked for, all sizes and flags come from names and shapes, and
 * only what these cannot tell (rope_theta, rms_norm_eps, ttt_base_lr, token ids, ...) from the configuration. A tensor
 * that is missing, superfluous or of another shape is TTT_ERR_FORMAT and named.
 *
 * A new `out` appears whole or not at all. An `out` that is a model folder is written over, file by file, each whole,
 * weights first; two conversions into one folder at once are refused. `in` must not be cut short while it is read. Any
 * other folder that is not empty is refused, and so is one with a checkpoint of a training run in it. `config`
 * (NULL allowed) receives what was written. `options` NULL: defaults. */
TTT_API TTT_NODISCARD ttt_status ttt_convert(const char *in, const char *out, const ttt_convert_options *options,
                                             ttt_config *config);

#ifdef __cplusplus
}
#endif
#endif
