/* SPDX-License-Identifier: MIT
 *
 * Prompts as clients give them: texts or ids, one or several.
 */
#ifndef TTT_SERVE_PROMPT_H
#define TTT_SERVE_PROMPT_H

#include <ttt/tokenizer.h>

#include "choices.h"
#include "fields.h"

enum { TTT_PROMPTS = 2048 }; /* of one request */

typedef struct ttt_prompts {
    ttt_prompt *list; /* [count] */
    int64_t count;
} ttt_prompts;

/* Appends the ids of a text. `begins`: it is the beginning of a text, which begins with what its tokenizer has for
 * that; and if there is no text, something has to be read all the same. What looks like a special token in it is text.
 */
void ttt_encode(const ttt_server *server, const char *text, size_t size, bool begins, ttt_ids *ids, const char *param,
                ttt_refusal *refusal);

/* The ids of an array of whole numbers, each of the model's vocabulary. */
void ttt_ids_read(const ttt_server *server, const json_t *array, ttt_ids *ids, const char *param, ttt_refusal *refusal);

/* Appends `from` to `to`; false: memory was short. */
bool ttt_ids_copy(ttt_ids *to, const ttt_ids *from);

/* Appends the text of ids [from, count), as it stands behind those before; false: memory was short. `ends`, unless
 * NULL, is [count - from]: the size of `text` behind each id; one inside a character adds nothing. */
bool ttt_text_of(const ttt_tokenizer *tokenizer, const int32_t *ids, int64_t from, int64_t count, ttt_text *text,
                 size_t *ends);

/* The member `prompt`: a string, an array of ids, or an array of these. With `echo` their texts too: as they were
 * given, or that of the ids. `begins`: each begins a text; else it goes on with one, and may be empty. Free them
 * whatever comes of it. */
void ttt_prompts_read(ttt_prompts *prompts, const ttt_server *server, ttt_fields *fields, bool echo, bool begins);
void ttt_prompts_free(ttt_prompts *prompts);

#endif
