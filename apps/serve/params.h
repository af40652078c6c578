/* SPDX-License-Identifier: MIT
 *
 * What completions, chat and responses can say of how a text is written, as members of the body.
 */
#ifndef TTT_SERVE_PARAMS_H
#define TTT_SERVE_PARAMS_H

#include <ttt/generate.h>

#include "fields.h"
#include "template.h"

enum { TTT_STOPS = 4, TTT_CHOICES = 128 };

typedef struct ttt_params {
    ttt_generate_options options; /* `stops` points to those below, and the biases are the params' */
    char *stops[TTT_STOPS + TTT_TEMPLATE_STOPS];
    bool stream, include_usage;
    bool logprobs; /* the answer has them */
} ttt_params;

/* Reads them: `max_tokens` (or another member, by its name) with its default, temperature, top_p, top_k, min_p,
 * repetition_penalty, presence_penalty, frequency_penalty, logit_bias, seed, stop, ignore_eos, stream, stream_options.
 * Without a seed there is one by chance. */
void ttt_params_read(ttt_params *params, ttt_fields *fields, const ttt_server *server, const char *max_tokens,
                     int64_t otherwise);
void ttt_params_free(ttt_params *params);

/* "PREFIX-" and 24 hexadecimal digits, by chance. */
enum { TTT_ID = 40 };
void ttt_new_id(char id[TTT_ID], const char *prefix);

#endif
