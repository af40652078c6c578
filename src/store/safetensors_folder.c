/* SPDX-License-Identifier: MIT
 *
 * The tensors of a model folder: one file, or shards and their index. A reader prefers model.safetensors, so the order
 * of steps below leaves either the old or the new model readable at every moment.
 */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/safetensors.h"

enum { SHARD_NAME = 64 };

static const char *const pt_metadata[] = {"format", "pt", NULL};

static const char *shard_name(char *name, int shard, int shards)
{
    snprintf(name, SHARD_NAME, "model-%05d-of-%05d.safetensors", shard + 1, shards);
    return name;
}

static size_t written_bytes(const ttt_tensor_out *out)
{
    return (size_t)ttt_tensor_count(&out->tensor) * ttt_dtype_bytes(out->dtype);
}

/* The end of the shard that begins at tensor `begin`: as many as fit, and at least one. */
static int64_t shard_end(const ttt_tensor_out *tensors, int64_t count, int64_t begin, size_t limit)
{
    size_t bytes = written_bytes(&tensors[begin]);
    int64_t end = begin + 1;
    while (end < count && bytes + written_bytes(&tensors[end]) <= limit) bytes += written_bytes(&tensors[end++]);
    return end;
}

/* Removes shards of an earlier save: those whose total is not `shards`. What cannot be removed is not referred to. */
static void remove_old_shards(const char *folder, int shards)
{
    DIR *listing = opendir(folder);
    if (!listing) return;
    for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
        int shard, total, length = 0;
        if (sscanf(entry->d_name, "model-%5d-of-%5d.safetensors%n", &shard, &total, &length) != 2) continue;
        if (length > 0 && entry->d_name[length] == '\0' && total != shards) ttt_folder_drop(folder, entry->d_name);
    }
    closedir(listing);
}

static ttt_status save_file(const char *folder, const char *name, const ttt_tensor_out *tensors, int64_t count)
{
    char *path = ttt_path_join(folder, name);
    if (!path) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_safetensors_save(path, tensors, count, pt_metadata);
    ttt_free(path);
    return status;
}

static ttt_status write_index(const char *folder, json_t *weight_map, size_t total)
{
    json_t *index = json_pack("{s:{s:I},s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", weight_map);
    char *text = index ? json_dumps(index, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    char *path = ttt_path_join(folder, "model.safetensors.index.json");
    ttt_status status = path ? TTT_OK : TTT_ERR_MEMORY;
    if (!text) status = ttt_fail(TTT_ERR_MEMORY, "%s: out of memory while writing the index", folder);
    if (status == TTT_OK) status = ttt_file_write(path, text, strlen(text));
    ttt_free(path);
    free(text);
    json_decref(index);
    return status;
}

static ttt_status save_shards(const char *folder, const ttt_tensor_out *tensors, int64_t count, size_t limit,
                              int shards, json_t *weight_map)
{
    char name[SHARD_NAME];
    int shard = 0;
    for (int64_t begin = 0, end; begin < count; begin = end, shard++) {
        end = shard_end(tensors, count, begin, limit);
        TTT_TRY(save_file(folder, shard_name(name, shard, shards), tensors + begin, end - begin));
        for (int64_t i = begin; i < end; i++)
            if (json_object_set_new(weight_map, tensors[i].tensor.name, json_string(name)) != 0)
                return ttt_fail(TTT_ERR_MEMORY, "%s: out of memory while writing the index", folder);
    }
    return TTT_OK;
}

ttt_status ttt_safetensors_save_folder(const char *folder, const ttt_tensor_out *tensors, int64_t count,
                                       size_t shard_bytes)
{
    size_t total = 0;
    for (int64_t i = 0; i < count; i++) total += written_bytes(&tensors[i]);
    if (total <= shard_bytes) {
        TTT_TRY(save_file(folder, "model.safetensors", tensors, count));
        ttt_folder_drop(folder, "model.safetensors.index.json");
        remove_old_shards(folder, 0);
        return TTT_OK;
    }
    int shards = 0;
    for (int64_t begin = 0; begin < count; shards++) begin = shard_end(tensors, count, begin, shard_bytes);
    json_t *weight_map = json_object();
    if (!weight_map) return ttt_fail(TTT_ERR_MEMORY, "%s: out of memory while writing the index", folder);
    ttt_status status = save_shards(folder, tensors, count, shard_bytes, shards, weight_map);
    if (status == TTT_OK) status = write_index(folder, weight_map, total);
    json_decref(weight_map);
    TTT_TRY(status);
    ttt_folder_drop(folder, "model.safetensors");
    remove_old_shards(folder, shards);
    return TTT_OK;
}
