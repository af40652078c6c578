/* SPDX-License-Identifier: MIT
 *
 * Conversion into a model folder: where tensors and configuration come from, and the folder that appears whole.
 */
#include <stdlib.h>
#include <string.h>
#include <ttt/convert.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/processors.h"
#include "config/standard.h"
#include "layer/stack.h"
#include "store/convert_weights.h"
#include "store/infer_config.h"
#include "store/jax_stream.h"
#include "store/safetensors.h"

/* What is read: one of the two readers is open, and its tensors are seen as one array. */
typedef struct source {
    const char *path;
    char *config; /* path of the config.json of a folder; NULL if there is none */
    bool folder;
    ttt_safetensors *file;
    ttt_jax_stream *stream;
    const ttt_tensor *tensors;
    int64_t count;
} source;

static void source_close(source *in)
{
    ttt_safetensors_close(in->file);
    ttt_jax_stream_close(in->stream);
    ttt_free(in->config);
}

static ttt_status source_open(source *in, const char *path)
{
    *in = (source){.path = path, .folder = ttt_is_folder(path)};
    if (!in->folder && !ttt_path_ends(path, ".safetensors")) {
        TTT_TRY(ttt_jax_stream_open(&in->stream, path));
        in->tensors = ttt_jax_stream_tensors(in->stream);
        in->count = ttt_jax_stream_count(in->stream);
        return TTT_OK;
    }
    if (in->folder) {
        in->config = ttt_path_join(path, "config.json");
        if (!in->config) return TTT_ERR_MEMORY;
        if (!ttt_file_exists(in->config)) {
            ttt_free(in->config);
            in->config = NULL;
        }
    }
    TTT_TRY(ttt_safetensors_open(&in->file, path));
    in->count = ttt_safetensors_count(in->file);
    in->tensors = in->count ? ttt_safetensors_at(in->file, 0) : NULL;
    return TTT_OK;
}

/* The configuration to write, and in *base the config.json whose further keys are kept (NULL: none). */
static ttt_status choose_config(ttt_config *config, const char **base, const source *in, const char *wanted)
{
    *base = in->config;
    if (!wanted && in->config) return ttt_config_load(config, in->config);
    ttt_config_init(config);
    const bool file = wanted && !ttt_standard_find(wanted) &&
                      (ttt_file_exists(wanted) || ttt_path_ends(wanted, ".json"));
    if (file) {
        *base = wanted;
        TTT_TRY(ttt_config_load(config, wanted));
    } else if (wanted) {
        TTT_TRY(ttt_config_standard(config, wanted));
    }
    TTT_TRY(ttt_config_infer(config, in->tensors, in->count, in->path));
    if (!wanted) TTT_TRY(ttt_config_complete(config));
    if (wanted && !file) config->ttt_base_lr = ttt_config_usual_rate(config);
    return ttt_config_check(config, in->path);
}

typedef struct type {
    const char *name;
    ttt_dtype dtype;
    const char *torch;
} type;

static const type types[] = {{"f32", TTT_F32, "float32"},
                             {"bf16", TTT_BF16, "bfloat16"},
                             {"f16", TTT_F16, "float16"},
                             {"f64", TTT_F64, "float64"}};
enum { TYPES = sizeof types / sizeof *types, KEPT = -1 };

static ttt_status find_type(int *index, const char *name)
{
    *index = KEPT;
    for (int i = 0; name && i < TYPES - 1; i++)
        if (strcmp(types[i].name, name) == 0) *index = i;
    if (name && *index == KEPT)
        return ttt_fail(TTT_ERR_ARGUMENT, "precision %s is not known; there are f32, bf16 and f16", name);
    return TTT_OK;
}

static ttt_status find_weights(int *precision, const char *name)
{
    static const ttt_precision known[] = {TTT_PRECISION_F32, TTT_PRECISION_Q8, TTT_PRECISION_Q4};
    *precision = KEPT;
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++)
        if (strcmp(ttt_precision_name(known[i]), name) == 0) *precision = (int)known[i];
    if (name && *precision == KEPT)
        return ttt_fail(TTT_ERR_ARGUMENT, "weights %s are not known; there are f32, q8 and q4", name);
    return TTT_OK;
}

/* The name that config.json gives a type. */
static const char *torch_name(ttt_dtype dtype)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].dtype == dtype) return types[i].torch;
    return "float32";
}

/* What is written. */
typedef struct plan {
    int type, weights; /* index in types and ttt_precision, or KEPT: floating tensors, and matrices */
    ttt_tensor_out *outs;
    int64_t count;
    ttt_weights_job *jobs; /* one a parameter; those of matrices are in use */
    ttt_pool *pool;
    const char *dtype; /* for config.json */
    ttt_write_watch watch;
} plan;

static void plan_deinit(plan *p)
{
    ttt_free(p->outs);
    ttt_free(p->jobs);
    ttt_pool_free(p->pool);
}

static void plan_outs(plan *p, const source *in, const ttt_param_spec *specs, const ttt_param_found *found,
                      int64_t count, ttt_precision stored)
{
    const ttt_precision precision = p->weights == KEPT ? stored : (ttt_precision)p->weights;
    p->dtype = ttt_precision_is_blocks(precision) ? ttt_precision_name(precision) : NULL;
    for (int64_t i = 0; i < count; i++) {
        const bool transposed = in->stream && ttt_jax_stream_transposed(in->stream, found[i].tensor - in->tensors);
        ttt_weights_job *job = &p->jobs[i];
        *job = (ttt_weights_job){
            .matrix = ttt_param_matrix(&specs[i], &found[i]), .precision = TTT_PRECISION_F32, .pool = p->pool};
        job->matrix.transposed = transposed;
        const bool is_matrix = specs[i].role == TTT_ROLE_MATRIX;
        if (is_matrix) job->precision = precision;
        ttt_tensor_out *out = &p->outs[p->count];
        p->count += ttt_weights_outs(out, job, &specs[i], &found[i]);
        if (!ttt_dtype_is_float(out->dtype)) continue;
        if (is_matrix && p->weights == TTT_PRECISION_F32) out->dtype = TTT_F32;
        if (p->type != KEPT) out->dtype = types[p->type].dtype;
        if (!p->dtype) p->dtype = torch_name(out->dtype);
    }
    for (int64_t i = 0; i < p->count; i++) p->outs[i].watch = &p->watch;
    p->watch.total = p->count;
}

/* Lines up the tensors of the source with the parameters of the configuration. */
static ttt_status plan_make(plan *p, const source *in, const ttt_config *config)
{
    ttt_stack stack;
    ttt_param_found *found;
    ttt_precision stored;
    TTT_TRY(ttt_stack_init(&stack, config));
    const ttt_param_spec *specs = stack.params.specs;
    const int64_t count = stack.params.count;
    ttt_status status = ttt_param_match(specs, count, in->tensors, in->count, in->path, &found, &stored);
    if (status == TTT_OK) status = ttt_pool_new(&p->pool, ttt_processor_count());
    if (status == TTT_OK) {
        p->outs = ttt_alloc(2 * (size_t)count, sizeof *p->outs);
        p->jobs = ttt_alloc((size_t)count, sizeof *p->jobs);
        status = p->outs && p->jobs ? TTT_OK : TTT_ERR_MEMORY;
    }
    if (status == TTT_OK) plan_outs(p, in, specs, found, count, stored);
    ttt_free(found);
    ttt_stack_deinit(&stack, NULL);
    return status;
}

static ttt_status copy_file(const char *from_folder, const char *to_folder, const char *name)
{
    char *from = ttt_path_join(from_folder, name), *to = ttt_path_join(to_folder, name);
    ttt_status status = from && to ? TTT_OK : TTT_ERR_MEMORY;
    if (status == TTT_OK && ttt_file_exists(from)) status = ttt_file_copy(from, to);
    ttt_free(from);
    ttt_free(to);
    return status;
}

static ttt_status copy_companions(const source *in, const char *out)
{
    static const char *const names[] = {"tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",
                                        "special_tokens_map.json", "added_tokens.json", "generation_config.json"};
    for (size_t i = 0; in->folder && i < sizeof names / sizeof *names; i++) TTT_TRY(copy_file(in->path, out, names[i]));
    return TTT_OK;
}

/* Everything but the choice of the folder. Weights come first: they need the most room. */
static ttt_status write_folder(const source *in, const char *out, const ttt_config *config, const char *base,
                               const plan *p)
{
    TTT_TRY(ttt_safetensors_save_folder(out, p->outs, p->count, TTT_SHARD_BYTES));
    char *path = ttt_path_join(out, "config.json");
    if (!path) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_config_save(config, path, base, p->dtype);
    ttt_free(path);
    TTT_TRY(status);
    return copy_companions(in, out);
}

/* Whether `out` does not exist yet or is an empty folder; an error if it must not be written. */
static ttt_status check_out(const char *in, const char *out, bool *fresh)
{
    *fresh = !ttt_file_exists(out);
    if (*fresh) return TTT_OK;
    if (!ttt_is_folder(out)) return ttt_fail(TTT_ERR_IO, "cannot write folder %s: a file has this name", out);
    char *real_in = realpath(in, NULL), *real_out = realpath(out, NULL);
    const bool same = real_in && real_out && strcmp(real_in, real_out) == 0;
    free(real_in);
    free(real_out);
    if (same) return ttt_fail(TTT_ERR_ARGUMENT, "%s would be written over itself; name another folder", out);
    *fresh = ttt_folder_is_empty(out);
    if (*fresh) return TTT_OK;
    if (ttt_folder_has(out, "checkpoint"))
        return ttt_fail(TTT_ERR_ARGUMENT, "%s holds a training run; name another folder", out);
    if (!ttt_folder_has(out, "config.json") && !ttt_folder_has(out, "model.safetensors") &&
        !ttt_folder_has(out, "model.safetensors.index.json"))
        return ttt_fail(TTT_ERR_ARGUMENT, "%s exists, is not empty and is no model folder; name another folder", out);
    return TTT_OK;
}

static ttt_status write_fresh(const source *in, const char *out, const ttt_config *config, const char *base,
                              const plan *p)
{
    ttt_partial partial;
    ttt_status status = ttt_partial_open(&partial, out);
    if (status == TTT_OK) status = write_folder(in, partial.partial, config, base, p);
    if (status == TTT_OK) status = ttt_partial_commit(&partial);
    ttt_partial_abandon(&partial);
    return status;
}

static bool is_half(const char *name)
{
    return ttt_file_is_temporary(name) && (strncmp(name, "model", 5) == 0 || strncmp(name, "config.json", 11) == 0);
}

/* File by file, while no other process does the same, and without what a killed one left. */
static ttt_status write_over(const source *in, const char *out, const ttt_config *config, const char *base,
                             const plan *p)
{
    int lock;
    bool taken;
    TTT_TRY(ttt_folder_lock(out, &lock, &taken));
    if (taken)
        return ttt_fail(TTT_ERR_ARGUMENT, "another process writes %s: wait for its end, or name another folder", out);
    ttt_status status = ttt_folder_clear(out, is_half);
    if (status == TTT_OK) status = write_folder(in, out, config, base, p);
    close(lock);
    return status;
}

static ttt_status convert(const source *in, const char *out, const ttt_convert_options *options, ttt_config *config)
{
    const char *base;
    plan p = {.watch = {.progress = options->progress, .context = options->progress_context}};
    bool fresh;
    TTT_TRY(find_type(&p.type, options->precision));
    TTT_TRY(find_weights(&p.weights, options->weights));
    TTT_TRY(check_out(in->path, out, &fresh));
    TTT_TRY(choose_config(config, &base, in, options->config));
    ttt_status status = plan_make(&p, in, config);
    if (status == TTT_OK)
        status = fresh ? write_fresh(in, out, config, base, &p) : write_over(in, out, config, base, &p);
    plan_deinit(&p);
    return status;
}

ttt_status ttt_convert(const char *in, const char *out, const ttt_convert_options *options, ttt_config *config)
{
    source opened;
    ttt_config written;
    ttt_status status = source_open(&opened, in);
    if (status == TTT_OK) status = convert(&opened, out, options ? options : &(ttt_convert_options){0}, &written);
    source_close(&opened);
    if (status == TTT_OK && config) *config = written;
    return status;
}
