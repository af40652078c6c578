/* SPDX-License-Identifier: MIT
 *
 * Chat templates: how messages become a text. A template is a pattern for each role, in which {content} stands for what
 * was said; no more. A file is a JSON object of such patterns.
 */
#ifndef TTT_SERVE_TEMPLATE_H
#define TTT_SERVE_TEMPLATE_H

#include <ttt/generate.h>

#include "fields.h"

enum { TTT_TEMPLATE_STOPS = 4 };

typedef struct ttt_template {
    const char *name;
    json_t *file, *config;                 /* what the patterns and `given` point into */
    const char *given;                     /* what tokenizer_config.json has as chat_template; NULL: nothing */
    const char *system, *user, *assistant; /* in `user` {system} stands for what was said by the system before */
    const char *generate;                  /* what the answer stands behind */
    const char *stops[TTT_TEMPLATE_STOPS]; /* what ends it, but for NULL */
} ttt_template;

/* `name`: plain, chatml, llama2, or a file; NULL: what the model's tokenizer_config.json names, else plain. */
bool ttt_template_open(ttt_template *template, const char *name, const char *folder, ttt_refusal *refusal);
void ttt_template_close(ttt_template *template);

/* Appends the ids of `messages`, and of what the answer stands behind. `begins`: they begin a text. Special tokens are
 * what they are in the template's patterns, and text in what was said. */
void ttt_template_apply(const ttt_template *template, const ttt_server *server, const json_t *messages, bool begins,
                        ttt_ids *ids, ttt_refusal *refusal);

/* The same for messages that follow an answer of which the state has read all, and `tail` behind what was shown of it:
 * how it ended, such as a stop, which is not read twice. */
void ttt_template_go_on(const ttt_template *template, const ttt_server *server, const char *tail,
                        const json_t *messages, ttt_ids *ids, ttt_refusal *refusal);

/* The template's stops, beside those that are there: as ids where they are special tokens, else as strings. The array
 * of strings has room for TTT_TEMPLATE_STOPS more. */
void ttt_template_stop(const ttt_template *template, const ttt_server *server, ttt_generate_options *options,
                       char **strings, ttt_refusal *refusal);

#endif
