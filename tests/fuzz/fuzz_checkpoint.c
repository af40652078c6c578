/* SPDX-License-Identifier: MIT
 *
 * Checkpoints: whatever the bytes, reading the header and the run's note ends, and what comes out is within bounds.
 */
#include <stdlib.h>

#include "train/run_note.h"
#include "train/trainer.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    ttt_safetensors *file;
    if (ttt_safetensors_parse(&file, data, size, "input") != TTT_OK) return 0;
    ttt_config config;
    ttt_train_options options;
    int64_t step;
    if (ttt_checkpoint_header(file, "input", &config, &options, &step) == TTT_OK) {
        if (step < 0 || ttt_config_check(&config, "input") != TTT_OK) abort();
    }
    const char *text = ttt_safetensors_metadata(file, "note");
    json_t *note;
    if (text && ttt_run_note_parse(&note, text, "input") == TTT_OK) {
        ttt_train_run_options said;
        ttt_data_options data_options;
        ttt_train_run_options_init(&said);
        ttt_run_note_data(note, &said, &data_options);
        if (!data_options.tokenizer) abort();
        json_decref(note);
    }
    ttt_safetensors_close(file);
    return 0;
}
