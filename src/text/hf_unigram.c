/* SPDX-License-Identifier: MIT
 *
 * Reads the model of a tokenizer.json of type Unigram: a list of pieces with their scores, whose places are the ids.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "text/hf.h"
#include "text/json.h"

static const double UNKNOWN_PENALTY = 10; /* how much worse than the worst piece an unknown character is */

static ttt_status read_piece(ttt_tokenizer *tokenizer, const json_t *item, uint32_t id)
{
    const json_t *text = json_array_get(item, 0), *score = json_array_get(item, 1);
    if (!json_is_string(text) || !json_is_number(score) || !isfinite(json_number_value(score)))
        return ttt_fail(TTT_ERR_FORMAT, "piece %lu of the vocabulary is no list of a text and a score",
                        (unsigned long)id);
    const char *bytes = json_string_value(text);
    const size_t size = json_string_length(text);
    if (ttt_strings_find(&tokenizer->tokens, bytes, size) >= 0)
        return ttt_fail(TTT_ERR_FORMAT, "the piece '%.*s' is listed twice", (int)(size < 100 ? size : 100), bytes);
    tokenizer->unigram.scores[id] = json_number_value(score);
    TTT_TRY(ttt_strings_set(&tokenizer->tokens, id, bytes, size));
    return ttt_unigram_add(&tokenizer->unigram, bytes, size, (int32_t)id);
}

ttt_status ttt_hf_read_unigram(ttt_tokenizer *tokenizer, const json_t *model)
{
    ttt_unigram *unigram = &tokenizer->unigram;
    const json_t *vocabulary = json_object_get(model, "vocab");
    const size_t count = json_array_size(vocabulary);
    int64_t unknown = -1;
    if (count == 0) return ttt_fail(TTT_ERR_FORMAT, "the model has no 'vocab' with at least one piece");
    if (tokenizer->byte_level)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "a model of type Unigram on the byte level is not supported");
    tokenizer->is_unigram = unigram->whole_runs = true;
    TTT_TRY(ttt_json_count(model, "the model", "unk_id", (int64_t)count, &unknown));
    TTT_TRY(ttt_json_bool(model, "the model", "byte_fallback", &unigram->byte_fallback));
    unigram->unknown = (int32_t)unknown;
    unigram->scores = ttt_alloc(count, sizeof *unigram->scores);
    if (!unigram->scores) return TTT_ERR_MEMORY;
    double lowest = DBL_MAX;
    for (uint32_t id = 0; id < count; id++) {
        TTT_TRY(read_piece(tokenizer, json_array_get(vocabulary, id), id));
        if (unigram->scores[id] < lowest) lowest = unigram->scores[id];
    }
    unigram->unknown_score = lowest - UNKNOWN_PENALTY;
    return ttt_hf_byte_tokens(&tokenizer->tokens, false, unigram->byte_ids);
}
