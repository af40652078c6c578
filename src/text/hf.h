/* SPDX-License-Identifier: MIT
 *
 * What the readers of tokenizer.json share. `where` is a phrase such as "a normalizer".
 */
#ifndef TTT_TEXT_HF_H
#define TTT_TEXT_HF_H

#include "text/tokenizer.h"

bool ttt_hf_absent(const json_t *part); /* or null */
ttt_status ttt_hf_unsupported(const char *where, const char *type);

/* Appends a zeroed step to a list. */
TTT_NODISCARD ttt_status ttt_hf_normal_new(ttt_normal **list, size_t *count, ttt_normal **added);

/* {"pattern": {"String": from} or {"Regex": from}, "content": to}. */
TTT_NODISCARD ttt_status ttt_hf_replace(ttt_normal *step, const json_t *part, const char *where);

/* One character, such as Metaspace's replacement; `fallback` if the file does not say. */
TTT_NODISCARD ttt_status ttt_hf_character(const json_t *part, const char *where, const char *key, const char *fallback,
                                          ttt_buffer *value);

/* "prepend_scheme", or the older "add_prefix_space". */
TTT_NODISCARD ttt_status ttt_hf_prefix(const json_t *part, const char *where, ttt_prefix *prefix);

TTT_NODISCARD ttt_status ttt_hf_read_normalizer(ttt_tokenizer *tokenizer, const json_t *part);
TTT_NODISCARD ttt_status ttt_hf_read_pre_tokenizer(ttt_tokenizer *tokenizer, const json_t *part);

/* A model of type Unigram. */
TTT_NODISCARD ttt_status ttt_hf_read_unigram(ttt_tokenizer *tokenizer, const json_t *model);

/* The tokens "<0x00>" to "<0xFF>"; -1 where one is missing, which is a failure if `all`. */
TTT_NODISCARD ttt_status ttt_hf_byte_tokens(const ttt_strings *tokens, bool all, int32_t ids[256]);

#endif
