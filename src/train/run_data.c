/* SPDX-License-Identifier: MIT
 *
 * The data of a run lies in its own folder, so that nothing that happens to the inputs later can change the run: made
 * from texts, or copied from a data folder.
 */
#include "train/run_data.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "train/run_folder.h"

/* data.json last: a folder that has it is whole. */
static const char *const data_files[] = {"train.tokens",    "valid.tokens",          "tokenizer.json",
                                         "tokenizer.model", "tokenizer_config.json", "data.json"};

bool ttt_run_data_is_given(const ttt_data_options *options)
{
    return options->text_count == 1 && ttt_data_is_folder(options->texts[0]);
}

static ttt_status compare_file(const char *given, const char *own)
{
    ttt_map a, b;
    TTT_TRY(ttt_map_open(&a, given));
    ttt_status status = ttt_map_open(&b, own);
    if (status == TTT_OK) {
        if (a.size != b.size || (a.size && memcmp(a.data, b.data, a.size) != 0))
            status = ttt_fail(TTT_ERR_ARGUMENT, "%s is not what the run was begun with: it changed", given);
        ttt_map_close(&b);
    }
    ttt_map_close(&a);
    return status;
}

/* Calls `each` with the path of every file that `given` has, and its counterpart in `own`. */
static ttt_status for_each_file(const char *given, const char *own, ttt_status (*each)(const char *, const char *))
{
    ttt_status status = TTT_OK;
    for (size_t i = 0; i < sizeof data_files / sizeof *data_files && status == TTT_OK; i++) {
        char *from = ttt_path_join(given, data_files[i]), *to = ttt_path_join(own, data_files[i]);
        if (!from || !to)
            status = TTT_ERR_MEMORY;
        else if (ttt_file_exists(from))
            status = each(from, to);
        ttt_free(from);
        ttt_free(to);
    }
    return status;
}

static ttt_status make(const char *own, const ttt_data_options *options)
{
    if (!ttt_run_data_is_given(options)) return ttt_data_prepare(own, options);
    TTT_TRY(ttt_folder_make(own));
    return for_each_file(options->texts[0], own, ttt_file_copy);
}

ttt_status ttt_run_data_make(const char *folder, const ttt_data_options *options)
{
    char *own = ttt_run_data_path(folder, true);
    if (!own) return TTT_ERR_MEMORY;
    const ttt_status status = make(own, options);
    ttt_free(own);
    return status;
}

ttt_status ttt_run_data_check(const char *folder, const ttt_data *data, const ttt_data_options *options)
{
    if (!ttt_run_data_is_given(options)) return ttt_data_check(data, options);
    char *own = ttt_run_data_path(folder, false);
    if (!own) return TTT_ERR_MEMORY;
    const ttt_status status = for_each_file(options->texts[0], own, compare_file);
    ttt_free(own);
    return status;
}
