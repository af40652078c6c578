/* SPDX-License-Identifier: MIT
 * Texts to ids: a piece of a document for data folders, whole texts for evaluation. */
#include "data/encode.h"

#include <ttt/data.h>

#include "base/alloc.h"

ttt_status ttt_piece_encode(const ttt_tokenizer *tokenizer, const ttt_text_piece *piece, bool parse_special,
                            ttt_ids *ids)
{
    if (piece->begins && ttt_tokenizer_adds_bos(tokenizer) && ttt_tokenizer_bos(tokenizer) >= 0)
        TTT_TRY(ttt_ids_append(ids, (int32_t)ttt_tokenizer_bos(tokenizer)));
    TTT_TRY(ttt_tokenizer_encode(tokenizer, piece->text, piece->size, parse_special, ids));
    if (piece->ends && ttt_tokenizer_eos(tokenizer) >= 0)
        TTT_TRY(ttt_ids_append(ids, (int32_t)ttt_tokenizer_eos(tokenizer)));
    return TTT_OK;
}

static ttt_status texts_encode(const ttt_texts *texts, const ttt_tokenizer *tokenizer, bool parse_special, ttt_ids *ids)
{
    ttt_text_range range = {.texts = texts, .end = texts->bytes.size};
    for (ttt_text_piece piece; ttt_text_range_next(&range, &piece);) {
        if (range.position == range.end) piece.ends = false; /* end-of-text stands between documents */
        TTT_TRY(ttt_piece_encode(tokenizer, &piece, parse_special, ids));
    }
    return TTT_OK;
}

ttt_status ttt_texts_tokenize(const ttt_data_options *options, const ttt_tokenizer *tokenizer, ttt_ids *ids,
                              int64_t *bytes)
{
    ttt_texts texts = {.raw_bytes = ttt_tokenizer_is_byte_level(tokenizer),
                       .binary = options->binary,
                       .warn = options->warn,
                       .progress = options->progress,
                       .warn_context = options->warn_context};
    ttt_status status = TTT_OK;
    for (size_t i = 0; status == TTT_OK && i < options->text_count; i++)
        status = ttt_texts_read(&texts, options->texts[i]);
    if (status == TTT_OK) ttt_texts_warn_odd(&texts);
    if (status == TTT_OK) status = texts_encode(&texts, tokenizer, options->parse_special, ids);
    if (bytes) *bytes = (int64_t)texts.bytes.size;
    ttt_texts_deinit(&texts);
    return status;
}
