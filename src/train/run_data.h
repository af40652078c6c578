/* SPDX-License-Identifier: MIT
 *
 * The data of a run, in its own folder.
 */
#ifndef TTT_TRAIN_RUN_DATA_H
#define TTT_TRAIN_RUN_DATA_H

#include <stdbool.h>
#include <ttt/data.h>

/* Whether the texts of the options are one data folder. */
bool ttt_run_data_is_given(const ttt_data_options *options);

/* Makes the data of a run from texts, or copies the data folder given, where ttt_run_folder_begin expects it. */
TTT_NODISCARD ttt_status ttt_run_data_make(const char *folder, const ttt_data_options *options);

/* TTT_ERR_ARGUMENT unless the data is what these inputs would give. */
TTT_NODISCARD ttt_status ttt_run_data_check(const char *folder, const ttt_data *data, const ttt_data_options *options);

#endif
