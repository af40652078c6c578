/* SPDX-License-Identifier: MIT
 *
 * A trainer's files: model folders in and out, and checkpoints. A checkpoint is one safetensors file: every parameter
 * under its name, its moments under "adam_m." and "adam_v." before the name, all in the backend's own precision, and in
 * the metadata the update count, the options, the configuration and the caller's note as JSON, and a hash of it all.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "config/config.h"
#include "data/hash.h"
#include "store/param_match.h"
#include "store/safetensors.h"
#include "train/trainer.h"

/* Format 2 is for what a reader of format 1 would compute otherwise: leaves. All else is still written as format 1. */
enum { CHECKPOINT_FORMAT = 1, CHECKPOINT_LEAVES = 2 };
static const char *const moments[] = {"", "adam_m.", "adam_v."}; /* prefixes, in the order of block() */

static char *block(const ttt_trainer *trainer, int which)
{
    const ttt_optimizer *o = &trainer->optimizer;
    return which == 0 ? o->values : which == 1 ? o->m : o->v;
}

static void *param_at(const ttt_trainer *trainer, int which, int64_t index)
{
    return ttt_at(trainer->backend, block(trainer, which), trainer->lm.stack.params.specs[index].offset);
}

/* ---- model folders ---- */

static ttt_tensor param_tensor(const ttt_trainer *trainer, int which, int64_t index, const char *name)
{
    const ttt_param_spec *spec = &trainer->lm.stack.params.specs[index];
    ttt_tensor tensor = {
        .name = name, .dtype = trainer->backend->dtype, .rank = spec->rank, .data = param_at(trainer, which, index)};
    memcpy(tensor.shape, spec->shape, (size_t)spec->rank * sizeof *tensor.shape);
    tensor.bytes = (size_t)ttt_param_elements(spec) * trainer->backend->real;
    return tensor;
}

ttt_status ttt_trainer_save_model(const ttt_trainer *trainer, const char *folder)
{
    const ttt_params *params = &trainer->lm.stack.params;
    TTT_TRY(ttt_folder_make(folder));
    ttt_tensor_out *tensors = ttt_alloc((size_t)params->count, sizeof *tensors);
    char *path = ttt_path_join(folder, "config.json");
    ttt_status status = tensors && path ? TTT_OK : TTT_ERR_MEMORY;
    for (int64_t i = 0; i < params->count && tensors; i++)
        tensors[i] = (ttt_tensor_out){.tensor = param_tensor(trainer, 0, i, params->specs[i].name), .dtype = TTT_F32};
    if (status == TTT_OK) status = ttt_safetensors_save_folder(folder, tensors, params->count, TTT_SHARD_BYTES);
    if (status == TTT_OK) /* last, as ttt convert does: what needs the most room fails before anything has changed */
        status = ttt_config_save(&trainer->lm.config, path, ttt_file_exists(path) ? path : NULL, "float32");
    ttt_free(path);
    ttt_free(tensors);
    return status;
}

static ttt_status check_finite(const ttt_trainer *trainer, const char *where)
{
    const ttt_backend *b = trainer->backend;
    for (int64_t i = 0; i < trainer->lm.stack.params.count; i++)
        for (int which = 0; which < 3; which++)
            if (!isfinite(ttt_sum_squares(b, param_at(trainer, which, i),
                                          ttt_param_elements(&trainer->lm.stack.params.specs[i]))))
                return ttt_fail(TTT_ERR_NUMERIC,
                                "%s: tensor %s%s holds a value that is not a finite number: the file is damaged", where,
                                moments[which], trainer->lm.stack.params.specs[i].name);
    return TTT_OK;
}

static ttt_status load_model(ttt_trainer *trainer, const ttt_safetensors *file, const char *folder)
{
    trainer->optimizer.stale = true;
    const ttt_lm *lm = &trainer->lm;
    ttt_param_found *found;
    ttt_precision stored;
    const int64_t count = ttt_safetensors_count(file);
    TTT_TRY(ttt_param_match(lm->stack.params.specs, lm->stack.params.count, count ? ttt_safetensors_at(file, 0) : NULL,
                            count, folder, &found, &stored));
    for (int64_t i = 0; i < lm->stack.params.count && !ttt_precision_is_blocks(stored); i++)
        lm->backend->ops->from(lm->backend, param_at(trainer, 0, i), found[i].tensor->data, found[i].tensor->dtype,
                               ttt_tensor_count(found[i].tensor));
    ttt_free(found);
    if (ttt_precision_is_blocks(stored))
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "%s is quantised to %s, too coarse to be trained on: start from the model it was made of, or "
                        "from ttt convert --weights f32",
                        folder, ttt_precision_name(stored));
    return check_finite(trainer, folder);
}

ttt_status ttt_trainer_load_model(ttt_trainer *trainer, const char *folder)
{
    ttt_safetensors *file;
    TTT_TRY(ttt_safetensors_open(&file, folder));
    const ttt_status status = load_model(trainer, file, folder);
    ttt_safetensors_close(file);
    return status;
}

/* ---- options as JSON ---- */

enum option_kind { OPTION_INTEGER, OPTION_REAL };

static const struct {
    const char *key;
    enum option_kind kind;
    size_t offset;
} option_fields[] = {
    {"seed", OPTION_INTEGER, offsetof(ttt_train_options, seed)},
    {"context", OPTION_INTEGER, offsetof(ttt_train_options, context)},
    {"batch", OPTION_INTEGER, offsetof(ttt_train_options, batch)},
    {"accumulate", OPTION_INTEGER, offsetof(ttt_train_options, accumulate)},
    {"leaves", OPTION_INTEGER, offsetof(ttt_train_options, leaves)},
    {"segment", OPTION_INTEGER, offsetof(ttt_train_options, segment)},
    {"group", OPTION_INTEGER, offsetof(ttt_train_options, group)},
    {"steps", OPTION_INTEGER, offsetof(ttt_train_options, steps)},
    {"rate", OPTION_REAL, offsetof(ttt_train_options, rate)},
    {"final_rate", OPTION_REAL, offsetof(ttt_train_options, final_rate)},
    {"warmup", OPTION_REAL, offsetof(ttt_train_options, warmup)},
    {"beta1", OPTION_REAL, offsetof(ttt_train_options, beta1)},
    {"beta2", OPTION_REAL, offsetof(ttt_train_options, beta2)},
    {"eps", OPTION_REAL, offsetof(ttt_train_options, eps)},
    {"decay", OPTION_REAL, offsetof(ttt_train_options, decay)},
    {"clip", OPTION_REAL, offsetof(ttt_train_options, clip)},
};
enum { OPTION_COUNT = sizeof option_fields / sizeof *option_fields };

static json_t *options_json(const ttt_train_options *options)
{
    json_t *object = json_pack("{s:s, s:s}", "schedule", ttt_schedule_names[options->schedule], "precision",
                               options->precision);
    for (int i = 0; i < OPTION_COUNT && object; i++) {
        const void *place = (const char *)options + option_fields[i].offset;
        json_t *value = option_fields[i].kind == OPTION_INTEGER ? json_integer(*(const int64_t *)place)
                                                                : json_real(*(const double *)place);
        if (json_object_set_new(object, option_fields[i].key, value) == 0) continue;
        json_decref(object);
        object = NULL;
    }
    return object;
}

static ttt_status options_from_json(ttt_train_options *options, const json_t *object, const char *where)
{
    ttt_train_options_init(options);
    for (int i = 0; i < OPTION_COUNT; i++) {
        void *place = (char *)options + option_fields[i].offset;
        const json_t *value = json_object_get(object, option_fields[i].key);
        const bool integer = option_fields[i].kind == OPTION_INTEGER;
        if (!value && strcmp(option_fields[i].key, "leaves") == 0)
            continue; /* checkpoints from before there were any */
        if (integer ? !json_is_integer(value) : !json_is_number(value))
            return ttt_fail(TTT_ERR_FORMAT, "%s: the checkpoint's option \"%s\" is missing or no number", where,
                            option_fields[i].key);
        if (integer)
            *(int64_t *)place = json_integer_value(value);
        else
            *(double *)place = json_number_value(value);
    }
    const char *schedule = json_string_value(json_object_get(object, "schedule"));
    const json_t *name = json_object_get(object, "precision");
    ttt_precision precision = TTT_PRECISION_F32; /* of checkpoints that do not say */
    if (name && (!json_is_string(name) ||
                 ttt_precision_read(&precision, json_string_value(name), TTT_PRECISION_COUNT) != TTT_OK ||
                 precision == TTT_PRECISION_COUNT))
        return ttt_fail(TTT_ERR_FORMAT, "%s: the checkpoint's option \"precision\" is unknown", where);
    options->precision = ttt_precision_name(precision);
    for (int i = 0; schedule && i < TTT_SCHEDULE_COUNT; i++) {
        if (strcmp(schedule, ttt_schedule_names[i]) != 0) continue;
        options->schedule = (ttt_schedule)i;
        return TTT_OK;
    }
    return ttt_fail(TTT_ERR_FORMAT, "%s: the checkpoint's option \"schedule\" is missing or unknown", where);
}

/* ---- checkpoints ---- */

/* {"format", "step", "options", "config"} as text; release with free. */
ttt_status ttt_trainer_header(const ttt_trainer *trainer, char **text)
{
    ttt_buffer config = {0};
    *text = NULL;
    ttt_status status = ttt_config_print(&trainer->lm.config, NULL, "float32", &config);
    if (status == TTT_OK) {
        json_t *object = json_pack("{s:i, s:I, s:o, s:o}", "format",
                                   trainer->options.leaves > 1 ? CHECKPOINT_LEAVES : CHECKPOINT_FORMAT, "step",
                                   (json_int_t)trainer->step, "options", options_json(&trainer->options), "config",
                                   json_loads(config.data, 0, NULL));
        *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
        json_decref(object);
        if (!*text) status = ttt_fail(TTT_ERR_MEMORY, "out of memory while writing a checkpoint");
    }
    ttt_buffer_deinit(&config);
    return status;
}

/* Tells damage, not malice: every word passes through a multiplication by an odd number, which loses nothing. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size; done += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, (const char *)bytes + done, size - done < sizeof word ? size - done : sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

/* Of a checkpoint the sum over its tensors and texts, so that their order in the file does not matter. */
static uint64_t hash_tensor(const ttt_tensor *tensor)
{
    return hash_bytes(hash_bytes(0, tensor->name, strlen(tensor->name)), tensor->data, tensor->bytes);
}
static uint64_t hash_texts(const char *header, const char *note)
{
    return hash_bytes(1, header, strlen(header)) + hash_bytes(2, note, strlen(note));
}

static ttt_status write_checkpoint(const ttt_trainer *trainer, const char *path, const char *header, const char *note)
{
    enum { NAME = TTT_PARAM_NAME + 8 };
    const ttt_params *params = &trainer->lm.stack.params;
    ttt_tensor_out *tensors = ttt_alloc(3 * (size_t)params->count, sizeof *tensors);
    char(*names)[NAME] = ttt_alloc(3 * (size_t)params->count, sizeof *names);
    ttt_status status = tensors && names ? TTT_OK : TTT_ERR_MEMORY;
    uint64_t hash = hash_texts(header, note);
    for (int64_t i = 0; status == TTT_OK && i < 3 * params->count; i++) {
        const int which = (int)(i / params->count);
        snprintf(names[i], NAME, "%s%s", moments[which], params->specs[i % params->count].name);
        tensors[i] = (ttt_tensor_out){.tensor = param_tensor(trainer, which, i % params->count, names[i]),
                                      .dtype = trainer->backend->dtype};
        hash += hash_tensor(&tensors[i].tensor);
    }
    char hash_text[TTT_HASH_TEXT];
    ttt_hash_print(hash_text, hash);
    const char *const metadata[] = {"ttt_checkpoint", header, "note", note, "hash", hash_text, NULL};
    if (status == TTT_OK) status = ttt_safetensors_save(path, tensors, 3 * params->count, metadata);
    ttt_free(tensors);
    ttt_free(names);
    return status;
}

ttt_status ttt_trainer_write(const ttt_trainer *trainer, const char *path, const char *note)
{
    char *header;
    TTT_TRY(ttt_trainer_header(trainer, &header));
    const ttt_status status = write_checkpoint(trainer, path, header, note ? note : "");
    free(header);
    return status;
}

ttt_status ttt_trainer_save(const ttt_trainer *trainer, const char *path, const char *note)
{
    ttt_comm *comm = trainer->options.comm;
    TTT_TRY(ttt_shares_collect(&trainer->shares));
    return ttt_comm_agree(comm, ttt_comm_rank(comm) == 0 ? ttt_trainer_write(trainer, path, note) : TTT_OK);
}

ttt_status ttt_trainer_parse_header(const char *text, const char *path, ttt_config *config, ttt_train_options *options,
                                    int64_t *step)
{
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *steps = json_object_get(object, "step"), *format = json_object_get(object, "format");
    ttt_status status = TTT_OK;
    if (!json_is_integer(format) || !json_is_integer(steps) || json_integer_value(steps) < 0)
        status = ttt_fail(TTT_ERR_FORMAT, "%s: the checkpoint's header is damaged", path);
    else if (json_integer_value(format) < CHECKPOINT_FORMAT || json_integer_value(format) > CHECKPOINT_LEAVES)
        status = ttt_fail(TTT_ERR_UNSUPPORTED, "%s: checkpoint format %lld, this version reads %d and %d", path,
                          (long long)json_integer_value(format), CHECKPOINT_FORMAT, CHECKPOINT_LEAVES);
    if (status == TTT_OK) status = options_from_json(options, json_object_get(object, "options"), path);
    if (status == TTT_OK) {
        *step = json_integer_value(steps);
        char *text_of_config = json_dumps(json_object_get(object, "config"), JSON_COMPACT | JSON_REAL_PRECISION(17));
        status = text_of_config ? ttt_config_parse(config, text_of_config, strlen(text_of_config), path)
                                : ttt_fail(TTT_ERR_FORMAT, "%s: the checkpoint has no configuration", path);
        if (status == TTT_OK) status = ttt_config_check(config, path);
        free(text_of_config);
    }
    json_decref(object);
    return status;
}

ttt_status ttt_checkpoint_header(const ttt_safetensors *file, const char *path, ttt_config *config,
                                 ttt_train_options *options, int64_t *step)
{
    const char *text = ttt_safetensors_metadata(file, "ttt_checkpoint");
    if (!text) return ttt_fail(TTT_ERR_FORMAT, "%s is not a checkpoint: its metadata has no \"ttt_checkpoint\"", path);
    return ttt_trainer_parse_header(text, path, config, options, step);
}

static const char *metadata_text(const ttt_safetensors *file, const char *key)
{
    const char *text = ttt_safetensors_metadata(file, key);
    return text ? text : "";
}

/* Before anything in it is believed. */
static ttt_status check_hash(const ttt_safetensors *file, const char *path)
{
    char text[TTT_HASH_TEXT];
    uint64_t hash = hash_texts(metadata_text(file, "ttt_checkpoint"), metadata_text(file, "note"));
    for (int64_t i = 0; i < ttt_safetensors_count(file); i++) hash += hash_tensor(ttt_safetensors_at(file, i));
    ttt_hash_print(text, hash);
    if (strcmp(text, metadata_text(file, "hash")) == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s is damaged or no checkpoint: its hash is not that of its content", path);
}

/* Before memory is taken for what a header says: are the parameters there at all? */
static ttt_status check_size(const ttt_safetensors *file, const ttt_config *config, const char *path)
{
    ttt_stack stack;
    size_t bytes = 0;
    TTT_TRY(ttt_stack_init(&stack, config));
    const size_t elements = (size_t)stack.params.elements;
    ttt_stack_deinit(&stack, NULL);
    for (int64_t i = 0; i < ttt_safetensors_count(file); i++) bytes += ttt_safetensors_at(file, i)->bytes;
    if (bytes / 3 / sizeof(float) >= elements) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: the checkpoint holds fewer parameters than its configuration asks for", path);
}

static ttt_status load_tensors(ttt_trainer *trainer, const ttt_safetensors *file, const char *path)
{
    trainer->optimizer.stale = true;
    const ttt_params *params = &trainer->lm.stack.params;
    const ttt_backend *b = trainer->backend;
    for (int64_t i = 0; i < 3 * params->count; i++) {
        const ttt_param_spec *spec = &params->specs[i % params->count];
        char name[TTT_PARAM_NAME + 8];
        snprintf(name, sizeof name, "%s%s", moments[i / params->count], spec->name);
        const ttt_tensor *tensor = ttt_safetensors_find(file, name);
        if (!tensor) return ttt_fail(TTT_ERR_FORMAT, "%s: the checkpoint lacks the tensor %s", path, name);
        if (!ttt_dtype_is_float(tensor->dtype) ||
            !ttt_shape_equal(tensor->shape, tensor->rank, spec->shape, spec->rank))
            return ttt_fail(TTT_ERR_FORMAT,
                            "%s: the checkpoint's tensor %s has another shape or type than its configuration asks for",
                            path, name);
        b->ops->from(b, param_at(trainer, (int)(i / params->count), i % params->count), tensor->data, tensor->dtype,
                     ttt_tensor_count(tensor));
    }
    return check_finite(trainer, path);
}

void ttt_trainer_take_how(ttt_train_options *options, const ttt_train_options *how)
{
    options->backend = how->backend;
    if (how->precision) options->precision = how->precision;
    options->threads = how->threads;
    options->recompute = how->recompute;
    options->profile = how->profile;
    options->comm = how->comm;
}

ttt_status ttt_trainer_load(ttt_trainer **trainer, const char *path, const ttt_train_options *how, char **note)
{
    *trainer = NULL;
    if (note) *note = NULL;
    ttt_safetensors *file;
    ttt_config config;
    ttt_train_options options;
    int64_t step = 0;
    ttt_status status = ttt_safetensors_open(&file, path);
    if (status == TTT_ERR_UNSUPPORTED) status = ttt_fail_prefix(TTT_ERR_FORMAT, "the checkpoint is damaged");
    TTT_TRY(status);
    status = check_hash(file, path);
    if (status == TTT_OK) status = ttt_checkpoint_header(file, path, &config, &options, &step);
    if (status == TTT_OK) status = check_size(file, &config, path);
    if (status == TTT_OK) {
        ttt_trainer_take_how(&options, how);
        status = ttt_trainer_new_empty(trainer, &config, &options);
    }
    if (status == TTT_OK) {
        (*trainer)->step = step;
        status = load_tensors(*trainer, file, path);
    }
    if (status == TTT_OK && note) {
        *note = ttt_strdup(metadata_text(file, "note"));
        if (!*note) status = TTT_ERR_MEMORY;
    }
    ttt_safetensors_close(file);
    if (status != TTT_OK) {
        ttt_trainer_free(*trainer);
        *trainer = NULL;
    }
    return status;
}
