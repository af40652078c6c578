/* SPDX-License-Identifier: MIT
 *
 * Writes a byte-level BPE as the tokenizer.json that Hugging Face's tokenizers loads. Tokens are written in the byte
 * alphabet, whose characters need no escape but for " and \.
 */
#include "text/byte_level.h"
#include "text/tokenizer.h"

/* One token's characters; `text` is scratch. */
static ttt_status write_token(ttt_buffer *out, const ttt_strings *tokens, uint32_t id, ttt_buffer *text)
{
    size_t size;
    const char *bytes = ttt_strings_get(tokens, id, &size);
    text->size = 0;
    TTT_TRY(ttt_byte_level_write(text, bytes, size));
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] == '"' || text->data[i] == '\\') TTT_TRY(ttt_buffer_append(out, "\\", 1));
        TTT_TRY(ttt_buffer_append(out, text->data + i, 1));
    }
    return TTT_OK;
}

static ttt_status write_model(ttt_buffer *out, const ttt_strings *tokens, const ttt_pair *merges, size_t merge_count,
                              ttt_buffer *text)
{
    TTT_TRY(ttt_buffer_print(out,
                             "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                             "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                             "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
                             "    \"byte_fallback\": false,\n    \"vocab\": {\n      \"%s\": 0",
                             TTT_END_OF_TEXT));
    for (uint32_t id = 1; id < tokens->count; id++) {
        TTT_TRY(ttt_buffer_print(out, ",\n      \""));
        TTT_TRY(write_token(out, tokens, id, text));
        TTT_TRY(ttt_buffer_print(out, "\": %lu", (unsigned long)id));
    }
    TTT_TRY(ttt_buffer_print(out, "\n    },\n    \"merges\": ["));
    for (size_t i = 0; i < merge_count; i++) {
        TTT_TRY(ttt_buffer_print(out, i ? ",\n      \"" : "\n      \""));
        TTT_TRY(write_token(out, tokens, merges[i].left, text));
        TTT_TRY(ttt_buffer_append(out, " ", 1));
        TTT_TRY(write_token(out, tokens, merges[i].right, text));
        TTT_TRY(ttt_buffer_append(out, "\"", 1));
    }
    return ttt_buffer_print(out, "%s]\n  }\n}\n", merge_count ? "\n    " : "");
}

ttt_status ttt_tokenizer_write_json(ttt_buffer *out, const ttt_strings *tokens, const ttt_pair *merges,
                                    size_t merge_count, bool pieces)
{
    TTT_TRY(ttt_buffer_print(
        out,
        "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [\n"
        "    {\n      \"id\": 0,\n      \"content\": \"%s\",\n      \"single_word\": false,\n"
        "      \"lstrip\": false,\n      \"rstrip\": false,\n      \"normalized\": false,\n      \"special\": true\n"
        "    }\n  ],\n  \"normalizer\": null,\n"
        "  \"pre_tokenizer\": {\n    \"type\": \"ByteLevel\",\n    \"add_prefix_space\": false,\n"
        "    \"trim_offsets\": true,\n    \"use_regex\": %s\n  },\n  \"post_processor\": null,\n"
        "  \"decoder\": {\n    \"type\": \"ByteLevel\",\n    \"add_prefix_space\": true,\n"
        "    \"trim_offsets\": true,\n    \"use_regex\": true\n  },\n",
        TTT_END_OF_TEXT, pieces ? "true" : "false"));
    ttt_buffer text = {0};
    const ttt_status status = write_model(out, tokens, merges, merge_count, &text);
    ttt_buffer_deinit(&text);
    return status;
}
