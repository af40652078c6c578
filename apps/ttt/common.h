/* SPDX-License-Identifier: MIT
 *
 * What the commands share: how they end, how numbers of options are read, the options of every command that computes,
 * signals, and opening a model with its tokenizer. Every command is one file cmd_NAME.c with its own argp.
 */
#ifndef TTT_APPS_COMMON_H
#define TTT_APPS_COMMON_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <ttt/model.h>
#include <ttt/tokenizer.h>

/* Exit codes; 0 is done, 128 + signal interrupted. Usage errors (EX_USAGE, 64) leave through argp. */
enum { TTT_APP_FAILED = 1 };

/* Commands: argv[0] is "ttt NAME", for messages; the result is the exit code. */
int ttt_cmd_bench(int argc, char **argv);
int ttt_cmd_convert(int argc, char **argv);
int ttt_cmd_eval(int argc, char **argv);
int ttt_cmd_generate(int argc, char **argv);
int ttt_cmd_info(int argc, char **argv);
int ttt_cmd_state(int argc, char **argv);
int ttt_cmd_verify(int argc, char **argv);
int ttt_cmd_tokenize(int argc, char **argv);
int ttt_cmd_detokenize(int argc, char **argv);
int ttt_cmd_prepare(int argc, char **argv);
int ttt_cmd_serve(int argc, char **argv);
int ttt_cmd_study(int argc, char **argv);
int ttt_cmd_train(int argc, char **argv);

/* Says on stderr, in one sentence, why the last call of the library failed; returns the exit code for it, which is that
 * of an interruption for TTT_ERR_INTERRUPTED. */
int ttt_app_failed(ttt_status status);

/* The same for what the program itself found wrong. */
int ttt_app_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Wrong usage: one sentence about an option or argument on stderr, then the program ends with 64. */
void ttt_app_usage(const struct argp_state *state, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* The value of option `name`, within [low, high]; anything else is wrong usage. */
int64_t ttt_app_integer(const struct argp_state *state, const char *name, const char *text, int64_t low, int64_t high);
/* The same for a number of tokens, which may end in k (1,024) or M (1,048,576). */
int64_t ttt_app_tokens(const struct argp_state *state, const char *name, const char *text, int64_t low, int64_t high);
double ttt_app_number(const struct argp_state *state, const char *name, const char *text, double low, double high);

/* The model of a command that takes nothing else, without -m. */
void ttt_app_model(const struct argp_state *state, const char **model, const char *argument);

/* The value of an option that names a chart to draw, which must be called .svg as what it is. */
const char *ttt_app_chart(const struct argp_state *state, const char *path);

/* Whether a file (NULL: none) could be written; looked at before the work whose result it is to hold. Returns 0, or
 * says what is wrong and returns the exit code. */
int ttt_app_check_output(const char *path);

/* The value of a key of a configuration, which is known to be a number. */
int64_t ttt_app_integer_of(const ttt_config *config, const char *key);
double ttt_app_real_of(const ttt_config *config, const char *key);

/* The sequence part of the blocks, such as "ttt_linear", in `name`; "mixed" if they have several. */
enum { TTT_APP_LAYER = 64 };
const char *ttt_app_layer_of(const ttt_config *config, char name[TTT_APP_LAYER]);

/* The same for people: "TTT-Linear". */
const char *ttt_app_title_of(const ttt_config *config, char name[TTT_APP_LAYER]);

/* Whether a block of the configuration has a part whose name begins so. */
bool ttt_app_has_part(const ttt_config *config, const char *name);

/* What follows a label: "2.58e+07 in training, ...", at this many tokens of context, and how it grows. */
void ttt_app_print_flops(const ttt_config *config, int64_t context);

/* "KEY=VALUE" set, as the option --set has it. */
TTT_NODISCARD ttt_status ttt_app_set(ttt_config *config, const char *setting);

/* An argp help_filter: "CONFIGS" in a help text becomes the names of the standard configurations. */
char *ttt_app_help(int key, const char *text, void *input);

/* --backend, --precision and --threads, for argp's `children`. In ARGP_KEY_INIT the command sets
 * state->child_inputs[...] to the ttt_model_options they fill in. The second has --set too. */
extern const struct argp ttt_app_compute_argp, ttt_app_open_argp;

/* From now on the first SIGINT, SIGTERM or SIGHUP is only noted, and answered on stderr with `said` (static; NULL: by
 * nothing); a second SIGINT or SIGTERM ends the program at once. With `pipes` SIGPIPE is noted too. A signal that was
 * ignored when the program began stays so. */
void ttt_app_catch_signals(const char *said, bool pipes);
extern const char ttt_app_stopping[]; /* what most commands say */
int ttt_app_signal(void);             /* the signal noted, or 0 */
/* If that is SIGINT: what it asked for is done, and the next one is the first again. */
void ttt_app_forget_interrupt(void);

/* Says in a line that `precision`, which was not asked for, is another one than on most machines: bf16, because there
 * are AMX or AVX512_BF16. Of the ranks of a launcher the first says so. */
void ttt_app_tell_precision(const char *asked, const char *precision);

/* A model and the tokenizer in its folder, which must not know more ids than the model. On failure nothing stays open.
 */
TTT_NODISCARD ttt_status ttt_app_open(ttt_model **model, ttt_tokenizer **tokenizer, const char *folder,
                                      const ttt_model_options *options);

/* All of a stream, but for a UTF-8 byte-order mark at its start; release with free. Returns 0 or an errno. */
int ttt_app_read_stream(FILE *stream, char **text, size_t *size);

/* All of a file, or of standard input for "-", but for a UTF-8 byte-order mark at its start, as `size` bytes; release
 * with free. Returns 0, or says what is wrong with it (that it is empty, too) and returns the exit code. */
int ttt_app_read(const char *path, char **text, size_t *size);

double ttt_app_seconds(void); /* of a clock that only goes forward */

#endif
