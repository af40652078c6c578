/* SPDX-License-Identifier: MIT
 *
 * From a model folder to a model: its configuration and its tensors, matched by name and shape.
 */
#include "base/alloc.h"
#include "base/file.h"
#include "model/model.h"
#include "store/safetensors.h"

static ttt_status from_tensor(void *context, const ttt_lm *lm, int64_t index, void *values)
{
    const ttt_tensor *tensor = ((const ttt_tensor *const *)context)[index];
    lm->backend->ops->from(lm->backend, values, tensor->data, tensor->dtype, ttt_tensor_count(tensor));
    return TTT_OK;
}

static ttt_status open_tensors(ttt_model **model, const char *folder, const ttt_config *config,
                               const ttt_safetensors *file, const ttt_model_options *options)
{
    ttt_param_spec *specs;
    int64_t count;
    TTT_TRY(ttt_param_list(config, &specs, &count));
    const ttt_tensor **found = NULL;
    const int64_t tensors = ttt_safetensors_count(file);
    ttt_status status = ttt_param_match(specs, count, tensors ? ttt_safetensors_at(file, 0) : NULL, tensors, folder,
                                        &found);
    if (status == TTT_OK) {
        status = ttt_model_build(model, config, options, from_tensor, found);
        if (status == TTT_ERR_NUMERIC) status = ttt_fail_prefix(status, "%s", folder);
    }
    ttt_free(found);
    ttt_free(specs);
    return status;
}

ttt_status ttt_model_open(ttt_model **model, const char *folder, const ttt_model_options *options)
{
    *model = NULL;
    if (!ttt_is_folder(folder))
        return ttt_fail(TTT_ERR_IO,
                        "%s is not a model folder: give a folder that holds config.json and model.safetensors", folder);
    char *path = ttt_path_join(folder, "config.json");
    if (!path) return TTT_ERR_MEMORY;
    ttt_config config;
    ttt_status status = ttt_config_load(&config, path);
    ttt_free(path);
    TTT_TRY(status);
    ttt_safetensors *file;
    TTT_TRY(ttt_safetensors_open(&file, folder));
    status = open_tensors(model, folder, &config, file, options);
    ttt_safetensors_close(file);
    return status;
}
