/* SPDX-License-Identifier: MIT
 *
 * What a tokenizer is made of, whatever file it came from: added tokens to find in the text, normalization, splitting,
 * byte-pair encoding, and the way back. Readers fill it; after that it never changes.
 */
#ifndef TTT_TEXT_TOKENIZER_H
#define TTT_TEXT_TOKENIZER_H

#include <jansson.h>
#include <ttt/tokenizer.h>

#include "base/buffer.h"
#include "text/bpe.h"
#include "text/split.h"
#include "text/strings.h"
#include "text/trie.h"
#include "text/unicode.h"
#include "text/unigram.h"

typedef enum ttt_text_kind { TTT_TEXT_HUGGING_FACE, TTT_TEXT_SENTENCEPIECE } ttt_text_kind;

/* A token that is looked for in the text before anything else happens to it. */
typedef struct ttt_added {
    int32_t id;
    bool special;
    bool single_word;           /* not next to a \w */
    bool left_trim, right_trim; /* takes the white space beside it along */
} ttt_added;

typedef enum ttt_normal_kind {
    TTT_NORMAL_FORM,
    TTT_NORMAL_LOWER,
    TTT_NORMAL_STRIP,       /* white space at both ends, or one */
    TTT_NORMAL_STRIP_MARKS, /* accents, that is */
    TTT_NORMAL_PREPEND,
    TTT_NORMAL_REPLACE,
    TTT_NORMAL_REPLACE_REGEX,
    TTT_NORMAL_CHARSMAP /* SentencePiece's map of characters, as Hugging Face applies it */
} ttt_normal_kind;

typedef struct ttt_normal {
    ttt_normal_kind kind;
    ttt_form form;
    bool left, right;   /* STRIP */
    ttt_buffer from;    /* REPLACE; the map of CHARSMAP */
    ttt_buffer to;      /* REPLACE, PREPEND */
    ttt_regex *pattern; /* REPLACE_REGEX */
} ttt_normal;

typedef enum ttt_decode_kind { TTT_DECODE_JOIN, TTT_DECODE_BYTE_LEVEL, TTT_DECODE_STEPS } ttt_decode_kind;

/* Hugging Face's decoder; the steps of TTT_DECODE_STEPS in the order in which they are done. */
typedef struct ttt_decode {
    ttt_decode_kind kind;
    ttt_normal *replaces; /* in every token */
    size_t replace_count;
    bool metaspace; /* `replacement` is a space, and in the first token nothing unless `keep_first` */
    bool keep_first;
    ttt_buffer replacement;
    bool byte_fallback; /* <0xHH> is a byte */
    ttt_buffer strip;   /* this character is dropped up to `strip_count` times at the start of the text */
    size_t strip_count;
} ttt_decode;

/* SentencePiece's own settings. */
typedef enum ttt_piece_type {
    TTT_PIECE_NORMAL = 1,
    TTT_PIECE_UNKNOWN,
    TTT_PIECE_CONTROL,
    TTT_PIECE_USER_DEFINED,
    TTT_PIECE_UNUSED,
    TTT_PIECE_BYTE
} ttt_piece_type;

typedef struct ttt_sentencepiece {
    unsigned char *types; /* ttt_piece_type by id */
    ttt_trie user_defined;
    bool dummy_prefix, remove_extra, escape, suffix;
    ttt_buffer unknown_surface;
    ttt_buffer charsmap; /* empty: characters stay as they are */
} ttt_sentencepiece;

struct ttt_tokenizer {
    ttt_text_kind kind;
    bool is_unigram; /* the model is `unigram`, not `bpe` */
    bool byte_level; /* one of `splits` is the byte level: the model works on bytes */
    bool adds_bos, truncates_left;
    ttt_strings tokens;     /* every token as its file writes it */
    unsigned char *special; /* by id */
    ttt_bpe bpe;
    ttt_unigram unigram;
    ttt_added *added;
    size_t added_count;
    ttt_trie added_raw; /* contents to find before normalization, and after it; values index `added` */
    ttt_trie added_normal;
    ttt_normal *normals;
    size_t normal_count;
    ttt_split_step *splits;
    size_t split_count;
    ttt_decode decode;
    ttt_sentencepiece sentencepiece;
    int64_t bos, eos;
    int64_t template_bos; /* what tokenizer.json itself puts before a text; -1: nothing */
    int64_t truncation;   /* the file's own maximum of ids for a text; 0: none */
    ttt_buffer source;    /* the bytes of the file, and of tokenizer_config.json if there was one: what saving writes */
    ttt_buffer config;
};

/* A tokenizer from the bytes of a tokenizer.json or tokenizer.model. Their first character tells them apart. */
TTT_NODISCARD ttt_status ttt_tokenizer_load(ttt_tokenizer **tokenizer, const char *bytes, size_t size);

/* The two readers; they fill a zeroed tokenizer, which the caller frees also on failure. */
TTT_NODISCARD ttt_status ttt_tokenizer_read_json(ttt_tokenizer *tokenizer, const char *bytes, size_t size);
TTT_NODISCARD ttt_status ttt_tokenizer_read_model(ttt_tokenizer *tokenizer, const char *bytes, size_t size);

/* The parts of a tokenizer.json around its model (hf_parts.c). */
TTT_NODISCARD ttt_status ttt_tokenizer_read_parts(ttt_tokenizer *tokenizer, const json_t *root);

/* The tokenizer_config.json beside a tokenizer: BOS and EOS, and whether the former is added. */
TTT_NODISCARD ttt_status ttt_tokenizer_read_config(ttt_tokenizer *tokenizer, const char *bytes, size_t size);

/* Normalization as the file has it; `out` is appended to. */
TTT_NODISCARD ttt_status ttt_tokenizer_normalize(const ttt_tokenizer *tokenizer, ttt_buffer *out, const char *text,
                                                 size_t size);

/* SentencePiece's normalization: spaces become U+2581, and so on. */
TTT_NODISCARD ttt_status ttt_sentencepiece_normalize(const ttt_sentencepiece *settings, ttt_buffer *out,
                                                     const char *text, size_t size);

/* The first place of a non-empty part in `text`, or NULL. */
const char *ttt_text_find(const char *text, size_t size, const ttt_buffer *part);

/* Appends `text` with every `from` replaced by `to`. */
TTT_NODISCARD ttt_status ttt_text_replace(ttt_buffer *out, const char *text, size_t size, const ttt_buffer *from,
                                          const ttt_buffer *to);

/* The end of a document, in tokenizers that are made here. */
#define TTT_END_OF_TEXT "<|endoftext|>"

/* The tokenizer.json of a byte-level BPE: end-of-text is id 0, `tokens` (raw bytes) have the ids from 1 on, `merges`
 * are pairs of ids; `pieces`: text is split by GPT-2's expression first. */
TTT_NODISCARD ttt_status ttt_tokenizer_write_json(ttt_buffer *out, const ttt_strings *tokens, const ttt_pair *merges,
                                                  size_t merge_count, bool pieces);

#endif
