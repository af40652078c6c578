/* SPDX-License-Identifier: MIT
 * Making a data folder, which appears whole or not at all. */
#include <math.h>
#include <string.h>
#include <ttt/data.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/encode.h"
#include "data/record.h"
#include "data/texts.h"
#include "data/token_file.h"

typedef struct job {
    const ttt_data_options *options;
    ttt_texts texts;
    size_t cut; /* bytes of training text; what follows is held out */
    ttt_tokenizer *tokenizer;
} job;

void ttt_data_options_init(ttt_data_options *options)
{
    *options = (ttt_data_options){.tokenizer = "bpe", .valid_fraction = 0.05};
}

/* Where the held-out part begins: at the boundary of a character (UTF-8 continuation bytes are 10xxxxxx, at most three
 * in a row). */
static size_t cut_place(const ttt_buffer *text, double fraction)
{
    size_t cut = (size_t)floor((double)text->size * (1 - fraction));
    for (int i = 0; i < 3 && cut > 0 && cut < text->size && (text->data[cut] & 0xc0) == 0x80; i++) cut--;
    return cut;
}

static ttt_status read_texts(job *j, bool raw_bytes)
{
    const ttt_data_options *options = j->options;
    j->texts.raw_bytes = raw_bytes;
    j->texts.binary = options->binary;
    j->texts.warn = options->warn;
    j->texts.warn_context = options->warn_context;
    j->texts.role = "text";
    j->texts.progress = options->progress;
    for (size_t i = 0; i < options->text_count; i++) TTT_TRY(ttt_texts_read(&j->texts, options->texts[i]));
    j->cut = options->valid_text ? j->texts.bytes.size : cut_place(&j->texts.bytes, options->valid_fraction);
    if (j->cut == 0) return ttt_fail(TTT_ERR_ARGUMENT, "the text is too short to hold a part of it out");
    j->texts.role = "valid";
    if (options->valid_text) TTT_TRY(ttt_texts_read(&j->texts, options->valid_text));
    ttt_texts_warn_odd(&j->texts);
    return ttt_tokenizer_measure(&j->texts, options->tokenizer);
}

static ttt_status tell(const job *j, const ttt_text_range *range, const char *doing)
{
    const ttt_data_options *o = j->options;
    if (!o->progress || range->end == 0) return TTT_OK;
    return o->progress(o->warn_context, (double)range->position / (double)range->end, doing);
}

typedef struct source {
    const job *job;
    ttt_text_range range;
} source;

static ttt_status next_text(void *context, const char **text, size_t *size)
{
    source *s = context;
    ttt_text_piece piece = {0};
    TTT_TRY(tell(s->job, &s->range, "training the tokenizer"));
    (void)ttt_text_range_next(&s->range, &piece);
    *text = piece.text;
    *size = piece.size;
    return TTT_OK;
}

/* Ids of a tokenizer for so many bytes: with too many a short text says too little of each (docs/BENCHMARKS.md). */
static int64_t vocabulary_of(size_t bytes)
{
    return (int64_t)fmin(fmax(TTT_VOCABULARY_LEAST, sqrt(5 * (double)bytes)), TTT_VOCABULARY_MOST);
}

static ttt_status read_and_train(job *j)
{
    bool made;
    int64_t vocabulary;
    TTT_TRY(ttt_tokenizer_spec(j->options->tokenizer, &made, &vocabulary));
    if (!made) {
        TTT_TRY(ttt_tokenizer_open(&j->tokenizer, j->options->tokenizer));
        return read_texts(j, ttt_tokenizer_is_byte_level(j->tokenizer));
    }
    TTT_TRY(read_texts(j, true));
    if (vocabulary == 0) return ttt_tokenizer_new_bytes(&j->tokenizer);
    if (strcmp(j->options->tokenizer, "bpe") == 0) vocabulary = vocabulary_of(j->cut);
    source train = {j, {.texts = &j->texts, .end = j->cut}};
    return ttt_tokenizer_train(&j->tokenizer, vocabulary, next_text, &train);
}

static ttt_status encode_range(const job *j, ttt_text_range range, ttt_ids *ids, ttt_token_writer *writer)
{
    for (ttt_text_piece piece; ttt_text_range_next(&range, &piece);) {
        TTT_TRY(tell(j, &range, "encoding"));
        ids->count = 0;
        TTT_TRY(ttt_piece_encode(j->tokenizer, &piece, j->options->parse_special, ids));
        TTT_TRY(ttt_token_writer_write(writer, ids->data, ids->count));
    }
    return ttt_token_writer_commit(writer);
}

static ttt_status write_part(const job *j, const char *folder, const char *name, size_t from, size_t to,
                             ttt_data_part *part)
{
    char *path = ttt_path_join(folder, name);
    if (!path) return TTT_ERR_MEMORY;
    ttt_ids ids = {0};
    ttt_token_writer writer;
    ttt_status status = ttt_token_writer_open(&writer, path, ttt_tokenizer_vocabulary(j->tokenizer));
    if (status == TTT_OK)
        status = encode_range(j, (ttt_text_range){.texts = &j->texts, .position = from, .end = to}, &ids, &writer);
    *part = (ttt_data_part){.bytes = (int64_t)(to - from), .tokens = writer.count};
    ttt_token_writer_abandon(&writer);
    ttt_ids_deinit(&ids);
    ttt_free(path);
    return status;
}

static ttt_status write_folder(const job *j, const char *folder)
{
    ttt_data_part parts[2];
    TTT_TRY(write_part(j, folder, "train.tokens", 0, j->cut, &parts[TTT_SPLIT_TRAIN]));
    TTT_TRY(write_part(j, folder, "valid.tokens", j->cut, j->texts.bytes.size, &parts[TTT_SPLIT_VALID]));
    TTT_TRY(ttt_tokenizer_save(j->tokenizer, folder));
    return ttt_record_save(folder, j->options, &j->texts, parts);
}

static ttt_status check_options(const char *folder, const ttt_data_options *options)
{
    if (options->text_count == 0) return ttt_fail(TTT_ERR_ARGUMENT, "no text is given");
    if (!(options->valid_fraction >= 0 && options->valid_fraction < 1))
        return ttt_fail(TTT_ERR_ARGUMENT, "the held-out fraction is %g, it must be at least 0 and below 1",
                        options->valid_fraction);
    if (ttt_file_exists(folder) && !ttt_folder_is_empty(folder))
        return ttt_fail(TTT_ERR_ARGUMENT, "%s exists already; remove it or give another name", folder);
    return TTT_OK;
}

static ttt_status build(const job *j, const char *folder)
{
    ttt_partial partial;
    ttt_status status = ttt_partial_open(&partial, folder);
    if (status == TTT_OK) status = write_folder(j, partial.partial);
    if (status == TTT_OK) status = ttt_partial_commit(&partial);
    ttt_partial_abandon(&partial);
    return status;
}

ttt_status ttt_data_prepare(const char *folder, const ttt_data_options *options)
{
    TTT_TRY(check_options(folder, options));
    job j = {.options = options};
    ttt_status status = read_and_train(&j);
    if (status == TTT_OK) status = build(&j, folder);
    ttt_texts_deinit(&j.texts);
    ttt_tokenizer_free(j.tokenizer);
    return status;
}
