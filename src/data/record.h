/* SPDX-License-Identifier: MIT
 *
 * data.json: what a data folder was made from and what it holds. The same description is made of the options of a later
 * run, so that comparing the two says what changed.
 */
#ifndef TTT_DATA_RECORD_H
#define TTT_DATA_RECORD_H

#include <ttt/data.h>

#include "data/texts.h"

typedef struct ttt_data_part {
    int64_t bytes, tokens;
} ttt_data_part;

/* Writes FOLDER/data.json. `parts` is indexed by ttt_split. */
TTT_NODISCARD ttt_status ttt_record_save(const char *folder, const ttt_data_options *options, const ttt_texts *inputs,
                                         const ttt_data_part parts[2]);

typedef struct ttt_record ttt_record;
TTT_NODISCARD ttt_status ttt_record_open(ttt_record **record, const char *folder, ttt_data_part parts[2]);
void ttt_record_close(ttt_record *record);

/* How the record's inputs were hashed, and inputs to be compared with it must be. */
ttt_hash_kind ttt_record_hash(const ttt_record *record);

/* TTT_ERR_ARGUMENT names the first difference between the record and these options and measured inputs. */
TTT_NODISCARD ttt_status ttt_record_compare(const ttt_record *record, const ttt_data_options *options,
                                            const ttt_texts *inputs);

/* Appends the file that the tokenizer's ids depend on to `inputs`, measured; nothing for "byte", "bpe" and
 * "bpe:N". */
TTT_NODISCARD ttt_status ttt_tokenizer_measure(ttt_texts *inputs, const char *tokenizer);

/* Whether `tokenizer` names no file; then *vocabulary is N of "bpe:N", the most that "bpe" may have, and 0 for "byte".
 * An N that is no vocabulary is an error. */
enum { TTT_VOCABULARY_LEAST = 512, TTT_VOCABULARY_MOST = 4096 };
TTT_NODISCARD ttt_status ttt_tokenizer_spec(const char *tokenizer, bool *made, int64_t *vocabulary);

#endif
