/* SPDX-License-Identifier: MIT
 *
 * From texts to what a model is trained on. A data folder holds the tokens of a text in two parts, one to train on and
 * one held out, and the tokenizer that made them:
 *
 *   train.tokens, valid.tokens      the ids
 *   tokenizer.json or .model        the tokenizer, with tokenizer_config.json
 *   data.json                       options, counts, and size and hash of each input
 *
 * Texts are named as on the command line: files, folders (all files below, in byte order of path, except names that
 * begin with a dot), .jsonl or .ndjson (one document a line, key "text"), these packed by zstd or gzip, "-" for
 * standard input. The texts are joined in the order given; documents are separated by the tokenizer's end-of-text, if
 * it has one. A UTF-8 byte-order mark at the start of a text is passed over.
 */
#ifndef TTT_DATA_H
#define TTT_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/status.h>
#include <ttt/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_data_options {
    const char *const *texts; /* `text_count` inputs */
    size_t text_count;
    const char *tokenizer;  /* "byte", "bpe:N" (trained on the training part), "bpe" (N by its size: the root of five
                               times the bytes, 512 to 4,096) or a path as for ttt_tokenizer_open */
    double valid_fraction;  /* in [0, 1): this part of the joined text, its end, is held out */
    const char *valid_text; /* an input that is held out instead; NULL: none, the fraction counts */
    bool parse_special;     /* special tokens inside the texts become these tokens */
    bool binary;            /* take what is evidently no text (pictures, archives, UTF-16, NULs) byte for byte */
    /* Called with a sentence about what is read but perhaps not meant so: bytes that are no UTF-8, entries of folders
     * that are passed over. NULL: nothing is said. */
    void (*warn)(void *context, const char *sentence);
    /* Called from time to time: `part` of what is being done, or a negative number where that is not known, and its
     * name: reading, training the tokenizer, encoding. Anything but TTT_OK ends the work and is returned. NULL: nothing
     * is told. */
    ttt_status (*progress)(void *context, double part, const char *doing);
    void *warn_context; /* of both */
} ttt_data_options;

/* No texts, "bpe", the last 5 % held out. */
TTT_API void ttt_data_options_init(ttt_data_options *options);

/* Reads the texts, cuts off the held-out part (by bytes, at the boundary of a character), makes the tokenizer, and
 * writes a data folder, whole or not at all. `folder` must not exist, or be an empty folder; its parents are created.
 * Errors name the file and the byte or line. Needs the size of the texts in memory and 4 bytes for every id
 * of the largest document (five times a text that is one document of "byte"); while a file that is packed or of JSON
 * lines is read, that file once more. */
TTT_API TTT_NODISCARD ttt_status ttt_data_prepare(const char *folder, const ttt_data_options *options);

typedef struct ttt_data ttt_data;
typedef enum ttt_split { TTT_SPLIT_TRAIN, TTT_SPLIT_VALID } ttt_split;

/* Opens a data folder and checks all of it. Its tokens are read when they are asked for: a file that another process
 * has cut short by then is TTT_ERR_IO. Close with ttt_data_close (NULL is allowed). Immutable: may be shared by
 * threads. */
TTT_API TTT_NODISCARD ttt_status ttt_data_open(ttt_data **data, const char *folder);
TTT_API void ttt_data_close(ttt_data *data);

/* Whether `path` is a folder that holds a data.json, so that it is opened and not read as text. */
TTT_API bool ttt_data_is_folder(const char *path);

TTT_API const ttt_tokenizer *ttt_data_tokenizer(const ttt_data *data); /* owned by `data` */
TTT_API int64_t ttt_data_tokens(const ttt_data *data, ttt_split split);
TTT_API int64_t ttt_data_bytes(const ttt_data *data, ttt_split split); /* of text */

/* A number that tells data of other tokens apart, by accident, not by malice. */
TTT_API uint64_t ttt_data_fingerprint(const ttt_data *data);

/* Whether the data folder is what these options would give: TTT_ERR_ARGUMENT names the first option that differs or the
 * first input that changed, is missing or is new. Input that can be read but once ("-", pipes) is not compared. */
TTT_API TTT_NODISCARD ttt_status ttt_data_check(const ttt_data *data, const ttt_data_options *options);

/* Copies ids [first, first + count) of a part; a range outside it is TTT_ERR_ARGUMENT. */
TTT_API TTT_NODISCARD ttt_status ttt_data_read(const ttt_data *data, ttt_split split, int64_t first, int64_t count,
                                               int32_t *ids);

/* Number of sequences of `context` + 1 tokens that a part is cut into, one after another; a shorter rest is left out.
 * A text too short for one sequence is TTT_ERR_ARGUMENT. */
TTT_API TTT_NODISCARD ttt_status ttt_data_sequences(const ttt_data *data, ttt_split split, int64_t context,
                                                    int64_t *count);

/* The sequences number first, ..., first + batch - 1 of training, counted from its beginning over all epochs: in each
 * epoch every sequence comes once, in an order that depends on nothing but `seed` and the epoch. `ids` is [batch,
 * context + 1]. A pure function: to resume it is enough to know how many sequences were taken. */
TTT_API TTT_NODISCARD ttt_status ttt_data_batch(const ttt_data *data, ttt_split split, int64_t context, int64_t batch,
                                                int64_t first, uint64_t seed, int32_t *ids);

/* Appends the ids of the texts of `options`, joined as above, without writing anything; `bytes` (NULL: not wanted) is
 * their size. What the options say of tokenizers and held-out text is not looked at. */
TTT_API TTT_NODISCARD ttt_status ttt_texts_tokenize(const ttt_data_options *options, const ttt_tokenizer *tokenizer,
                                                    ttt_ids *ids, int64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
