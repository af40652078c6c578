/* SPDX-License-Identifier: MIT
 *
 * Text to token ids and back. A tokenizer is immutable once made and may be shared by threads.
 */
#ifndef TTT_TOKENIZER_H
#define TTT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_tokenizer ttt_tokenizer;

/* Reads `path`: a tokenizer.json (Hugging Face, BPE or Unigram), a SentencePiece tokenizer.model (the same), or a
 * folder that holds one of them (tokenizer.json first; its tokenizer_config.json, if present, tells whether BOS is
 * added, else tokenizer.json's post_processor). Kinds not supported are refused by name. The file is mapped while it is
 * read, and must not be cut short meanwhile; it is not needed afterwards. Free with ttt_tokenizer_free. */
TTT_API TTT_NODISCARD ttt_status ttt_tokenizer_open(ttt_tokenizer **tokenizer, const char *path);

/* The byte tokenizer: id 0 is end-of-text, byte b is id b + 1; 257 ids. */
TTT_API TTT_NODISCARD ttt_status ttt_tokenizer_new_bytes(ttt_tokenizer **tokenizer);

/* Gives the text that a trainer reads, document by document: sets *text and *size (owned by the source, valid until the
 * next call); *text NULL ends. */
typedef ttt_status (*ttt_text_source)(void *context, const char **text, size_t *size);

/* Trains a byte-level BPE of `vocabulary` ids (>= 257): end-of-text "<|endoftext|>" is id 0, then 256 bytes in the
 * order of Hugging Face's byte-level alphabet, then merges, most frequent pair first; the ids are those of
 * `tokenizers`' BpeTrainer on the same text. Fewer ids result when the text has no more pairs to merge. */
TTT_API TTT_NODISCARD ttt_status ttt_tokenizer_train(ttt_tokenizer **tokenizer, int64_t vocabulary,
                                                     ttt_text_source source, void *context);

/* NULL is allowed. */
TTT_API void ttt_tokenizer_free(ttt_tokenizer *tokenizer);

/* Writes FOLDER/tokenizer.json (or tokenizer.model when that is what was read) and FOLDER/tokenizer_config.json, each
 * whole or not at all. The byte tokenizer and trained ones are written as a tokenizer.json that Hugging Face
 * `tokenizers` loads. */
TTT_API TTT_NODISCARD ttt_status ttt_tokenizer_save(const ttt_tokenizer *tokenizer, const char *folder);

TTT_API int64_t ttt_tokenizer_vocabulary(const ttt_tokenizer *tokenizer); /* ids are in [0, this) */
TTT_API int64_t ttt_tokenizer_bos(const ttt_tokenizer *tokenizer);        /* -1: none */
TTT_API int64_t ttt_tokenizer_eos(const ttt_tokenizer *tokenizer);        /* end-of-text; -1: none */
TTT_API bool ttt_tokenizer_adds_bos(const ttt_tokenizer *tokenizer); /* a text begins with it, as transformers has it */
TTT_API bool ttt_tokenizer_is_json(const ttt_tokenizer *tokenizer);  /* a tokenizer.json, no tokenizer.model */
TTT_API bool ttt_tokenizer_is_byte_level(const ttt_tokenizer *tokenizer); /* any bytes can be encoded, not only UTF-8 */

typedef struct ttt_ids {
    int32_t *data; /* `count` ids; grown by the library: release with ttt_ids_deinit */
    size_t count;
    size_t capacity;
} ttt_ids;

TTT_API void ttt_ids_deinit(ttt_ids *ids);

/* Appends one id, such as that of beginning-of-text. */
TTT_API TTT_NODISCARD ttt_status ttt_ids_append(ttt_ids *ids, int32_t id);

/* Appends the ids of `text` (`size` bytes, NUL allowed) to `ids`. No BOS or EOS is added. With `parse_special` the
 * contents of special tokens inside the text become those tokens; otherwise they are ordinary text. Text that is not
 * UTF-8 is TTT_ERR_FORMAT naming the byte, unless the tokenizer is byte-level. */
TTT_API TTT_NODISCARD ttt_status ttt_tokenizer_encode(const ttt_tokenizer *tokenizer, const char *text, size_t size,
                                                      bool parse_special, ttt_ids *ids);

/* Cuts `ids` to the length at which the file itself says that a text is truncated, as Hugging Face's encode does of its
 * own accord (ttt_tokenizer_encode never does). Says whether anything was cut. */
TTT_API bool ttt_tokenizer_truncate(const ttt_tokenizer *tokenizer, ttt_ids *ids);

typedef struct ttt_text {
    char *data; /* `size` bytes and a NUL; grown by the library: release with ttt_text_deinit */
    size_t size;
    size_t capacity;
} ttt_text;

TTT_API void ttt_text_deinit(ttt_text *text);

/* Appends the text of all ids at once, as Hugging Face's or SentencePiece's decode gives it (special tokens kept unless
 * `skip_special`). An id out of range is TTT_ERR_ARGUMENT. */
TTT_API TTT_NODISCARD ttt_status ttt_tokenizer_decode(const ttt_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                                      bool skip_special, ttt_text *text);

/* Streaming: text of one id after another, never half a character. What is pending at the end comes out of
 * ttt_detokenizer_finish. The pieces concatenated equal ttt_tokenizer_decode of all ids. */
typedef struct ttt_detokenizer ttt_detokenizer;
TTT_API TTT_NODISCARD ttt_status ttt_detokenizer_new(ttt_detokenizer **detokenizer, const ttt_tokenizer *tokenizer,
                                                     bool skip_special);
TTT_API void ttt_detokenizer_free(ttt_detokenizer *detokenizer);
TTT_API TTT_NODISCARD ttt_status ttt_detokenizer_push(ttt_detokenizer *detokenizer, int32_t id, ttt_text *text);
TTT_API TTT_NODISCARD ttt_status ttt_detokenizer_finish(ttt_detokenizer *detokenizer, ttt_text *text);

#ifdef __cplusplus
}
#endif
#endif
