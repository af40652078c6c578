/* SPDX-License-Identifier: MIT
 *
 * From a model folder to a model: its configuration and its tensors, matched by name and shape.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/kind.h"
#include "model/model.h"
#include "store/param_match.h"
#include "store/safetensors.h"

typedef struct opening {
    const ttt_param_found *found;
    const ttt_tensor *last; /* the tensor given last, whose pages are no longer needed */
} opening;

static ttt_status from_tensor(void *context, const ttt_params *params, int64_t index, ttt_matrix *matrix)
{
    opening *o = context;
    if (o->last) ttt_map_release(o->last->data, o->last->bytes);
    o->last = o->found[index].tensor;
    *matrix = ttt_param_matrix(&params->specs[index], &o->found[index]);
    return TTT_OK;
}

static ttt_status open_tensors(ttt_model **model, const char *folder, const ttt_config *config,
                               const ttt_safetensors *file, const ttt_model_options *options)
{
    ttt_stack stack;
    TTT_TRY(ttt_stack_init(&stack, config));
    ttt_param_found *found = NULL;
    ttt_precision stored;
    const int64_t tensors = ttt_safetensors_count(file);
    ttt_status status = ttt_param_match(stack.params.specs, stack.params.count,
                                        tensors ? ttt_safetensors_at(file, 0) : NULL, tensors, folder, &found, &stored);
    if (status == TTT_OK) {
        ttt_model_options chosen = options ? *options : (ttt_model_options){0};
        const bool automatic = !chosen.precision || strcmp(chosen.precision, "auto") == 0;
        if (automatic && ttt_precision_is_blocks(stored)) chosen.precision = ttt_precision_name(stored);
        status = ttt_model_build(model, config, &chosen, from_tensor, &(opening){.found = found});
        if (status == TTT_ERR_NUMERIC) status = ttt_fail_prefix(status, "%s", folder);
    }
    ttt_free(found);
    ttt_stack_deinit(&stack, NULL);
    return status;
}

static ttt_status no_folder(const char *path)
{
    ttt_map map;
    const ttt_status status = ttt_map_open(&map, path);
    const char *kind = status == TTT_OK ? ttt_kind_name_not_tokenizer(map.data, map.size) : NULL;
    if (status == TTT_OK) ttt_map_close(&map);
    if (kind) return ttt_fail(TTT_ERR_IO, "%s is not a model folder but %s", path, kind);
    return ttt_fail(TTT_ERR_IO, "%s is not a model folder: give a folder that holds config.json and model.safetensors",
                    path);
}

/* What `options` say over the folder's config.json. */
static ttt_status set_keys(ttt_config *config, const char *folder, const ttt_model_options *options)
{
    TTT_TRY(ttt_config_apply(config, options->settings, options->setting_count));
    return ttt_config_check(config, folder);
}

ttt_status ttt_model_open(ttt_model **model, const char *folder, const ttt_model_options *options)
{
    *model = NULL;
    if (!ttt_is_folder(folder)) return no_folder(folder);
    ttt_config config;
    ttt_safetensors *file;
    TTT_TRY(ttt_config_load(&config, folder));
    if (options && options->setting_count > 0) TTT_TRY(set_keys(&config, folder, options));
    TTT_TRY(ttt_safetensors_open(&file, folder));
    const ttt_status status = open_tensors(model, folder, &config, file, options);
    ttt_safetensors_close(file);
    return status;
}
