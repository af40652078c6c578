/* SPDX-License-Identifier: MIT
 *
 * Choices: texts written on behind prompts, of each prompt `n`, and how they become an answer or a stream. What
 * completions and chat have in common; they differ in how prompts are read and in the shape of what is answered.
 */
#ifndef TTT_SERVE_CHOICES_H
#define TTT_SERVE_CHOICES_H

#include "keep.h"
#include "logprobs.h"
#include "params.h"
#include "work.h"

typedef struct ttt_choices ttt_choices;

/* A choice, or what is new of one in a stream. */
typedef struct ttt_part {
    int64_t index;
    const char *text; /* [size] */
    size_t size;
    json_t *logprobs;   /* released by the shape; NULL: none were asked for */
    const char *finish; /* why it has ended; NULL: it has not, or that was said before */
    bool stream, first; /* of a stream: the first part of its choice */
} ttt_part;

typedef struct ttt_shape {
    const char *id, *object, *chunk;         /* prefix of ids; what an answer, and a part of a stream are called */
    bool opens;                              /* a choice of a stream begins with a part before there is text */
    json_t *(*choice)(const ttt_part *part); /* NULL: memory was short */
    json_t *(*logprobs)(const ttt_server *server, const ttt_bytes *packed, ttt_offsets *offsets);
} ttt_shape;

struct ttt_choices {
    const ttt_shape *shape;
    ttt_params params;
    ttt_keep keep;      /* the session, or the cache */
    int64_t n, best_of; /* of each prompt, `best_of` are written and the `n` best ones answered */
    bool echo;          /* the prompts are part of the texts, and their log-probabilities of theirs */

    /* Filled by ttt_choices_begin. */
    char id[TTT_ID];
    time_t created;
    ttt_bytes *echoes;  /* [prompts] their texts */
    struct view *views; /* [jobs] what the client has been told of each */
    int64_t prompts;
};

/* New ones with nothing in them but the session that the fields name. NULL: memory was short, and the fields say so; or
 * the request has to wait for the session, and its handler, which is run anew then, gives NULL to ttt_choices_begin.
 * Freed by ttt_choices_free, or with the work once ttt_choices_begin has one. */
ttt_choices *ttt_choices_new(const ttt_shape *shape, ttt_request *request, ttt_fields *fields);
void ttt_choices_free(ttt_choices *choices); /* NULL is allowed */

/* A prompt: its ids, which are taken over, and its text if it is to be echoed. */
typedef struct ttt_prompt {
    ttt_ids ids;
    ttt_bytes text;
} ttt_prompt;

/* Makes the work and gives it to the engine, or answers why not. Takes over `choices`, if the fields are in order; else
 * it answers so and frees them. */
void ttt_choices_begin(ttt_choices *choices, ttt_request *request, ttt_fields *fields, ttt_prompt *prompts,
                       int64_t count);

#endif
