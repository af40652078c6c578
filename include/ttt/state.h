/* SPDX-License-Identifier: MIT
 *
 * States as files and as bytes: what a model knows of what it read, to be kept, sent, and gone on from on another day,
 * in another process, with another number of threads: what follows has the same bits. Another machine, with other
 * instructions, can go on from it too.
 *
 * A state file says which model it is of and what was read, and carries a checksum of all else in it. That is verified
 * before anything is believed, and a state is used exactly or refused with the field that differs.
 *
 * Threads: a state is used by one thread at a time, also to save it; a file that is open is constant, and any number of
 * threads may use it.
 */
#ifndef TTT_STATE_H
#define TTT_STATE_H

#include <ttt/model.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TTT_STATE_VERSION = 1, TTT_STATE_NAME_MAX = 128 };

/* What a file says beside the state itself. Name and parent are at most TTT_STATE_NAME_MAX of A-Z a-z 0-9 . _ - and do
 * not begin with a dot; NULL or "": none. */
typedef struct ttt_state_about {
    const char *name;
    const char *parent; /* what it was made from: a name, or the checksum of its file */
    const char *note;   /* any UTF-8 text that is to be kept with it; NULL or "": none */
    bool tokens;        /* keep the ids too: of a state that remembers them, else TTT_ERR_ARGUMENT */
} ttt_state_about;

/* Writes the file whole or not at all: on failure one that had the name before is as it was. `about` NULL: none of it.
 */
TTT_API TTT_NODISCARD ttt_status ttt_state_save(const ttt_state *state, const char *path, const ttt_state_about *about);

/* The same bytes in memory: *bytes [*size], to be freed with ttt_state_bytes_free; NULL on failure. */
TTT_API TTT_NODISCARD ttt_status ttt_state_write(const ttt_state *state, const ttt_state_about *about, void **bytes,
                                                 size_t *size);
TTT_API void ttt_state_bytes_free(void *bytes); /* NULL is allowed */

typedef struct ttt_state_file ttt_state_file;

/* Opens a file, or bytes at hand (which must outlive it; `where` names them in sentences), and checks all that can be
 * checked without the model: TTT_ERR_FORMAT for what is damaged or no state, TTT_ERR_UNSUPPORTED for a later version. A
 * file is mapped: it may be replaced meanwhile, but not be cut short (SIGBUS). Close with ttt_state_file_close. */
TTT_API TTT_NODISCARD ttt_status ttt_state_file_open(ttt_state_file **file, const char *path);
TTT_API TTT_NODISCARD ttt_status ttt_state_file_parse(ttt_state_file **file, const void *bytes, size_t size,
                                                      const char *where);
TTT_API void ttt_state_file_close(ttt_state_file *file); /* NULL is allowed */

/* What a file says. Valid until it is closed. */
typedef struct ttt_state_info {
    const char *name, *parent; /* "": none */
    const char *note;          /* "": none */
    const char *fingerprint;   /* of the model: ttt_model_fingerprint */
    const char *precision;     /* in which that computes: ttt_model_precision */
    const char *type;          /* of the numbers: "F32", or "F64" of the backend ref */
    const char *checksum;      /* of all else in the file: 64 hexadecimal digits */
    int version;
    int64_t position;            /* tokens read */
    int64_t mini_batch_position; /* of these, in the mini-batch that is open */
    ttt_token_hash token_hash;   /* of the tokens read */
    bool frozen;                 /* ttt_state_freeze */
    const int32_t *tokens;       /* [position]; NULL: not kept */
    size_t bytes;                /* of the file */
} ttt_state_info;
TTT_API const ttt_state_info *ttt_state_file_info(const ttt_state_file *file);

/* A new state of `model`, as it was when it was saved; it remembers its tokens if the file has them. A state of another
 * model, precision or backend is TTT_ERR_ARGUMENT and the sentence names the field that differs; contents that no state
 * of this model has are TTT_ERR_FORMAT. On failure *state is NULL. */
TTT_API TTT_NODISCARD ttt_status ttt_state_file_load(const ttt_state_file *file, const ttt_model *model,
                                                     ttt_state **state);

/* Opens, loads and closes. */
TTT_API TTT_NODISCARD ttt_status ttt_state_load(ttt_state **state, const ttt_model *model, const char *path);

/* Writes the state of a file again, under another name: a fork that needs no model. */
TTT_API TTT_NODISCARD ttt_status ttt_state_file_save(const ttt_state_file *file, const char *path,
                                                     const ttt_state_about *about);

/* How far apart two states are, piece by piece. */
typedef struct ttt_state_difference {
    const char *piece;        /* "layers.NUMBER.PIECE"; valid until the first file is closed */
    bool comparable;          /* the second file has this piece in the same shape; else all below is 0 */
    double largest;           /* the largest difference of two numbers */
    double distance;          /* root of the sum of squared differences */
    double size, size_second; /* root of the sum of squares, of each */
} ttt_state_difference;

TTT_API int64_t ttt_state_file_pieces(const ttt_state_file *file);
/* Of piece `index` of the first file, 0 <= index < its pieces. */
TTT_API ttt_state_difference ttt_state_file_difference(const ttt_state_file *first, const ttt_state_file *second,
                                                       int64_t index);

#ifdef __cplusplus
}
#endif
#endif
