/* SPDX-License-Identifier: MIT
 *
 * The rows of the paper's ablation, as the command lines of docs/ABLATION.md: each is accepted as `ttt train` takes it,
 * has the parameters that it should, and small models of it learn alike on both backends.
 */
#include <ctype.h>

#include "config/config.h"
#include "test.h"
#include "train/run_plan.h"
#include "train/trainer.h"

enum { ROWS = 8, WORDS = 64, T = 40, BATCH = 2, STEPS = 6 };

/* ---- the command lines ---- */

typedef struct command {
    char text[2048];
    const char *settings[WORDS];
    ttt_train_run_options options;
} command;

/* The next word, without double quotes; NULL at the end. */
static char *next_word(char **rest)
{
    char *from = *rest + strspn(*rest, " \\\n");
    if (!*from) return NULL;
    const bool quoted = *from == '"';
    from += quoted;
    char *to = from + strcspn(from, quoted ? "\"" : " \n");
    *rest = *to ? to + 1 : to;
    *to = '\0';
    return from;
}

static void parse(command *c)
{
    char *rest = c->text, *word;
    c->options = (ttt_train_run_options){.settings = c->settings};
    while ((word = next_word(&rest))) {
        char *value = word[0] == '-' ? next_word(&rest) : NULL;
        if (strcmp(word, "--config") == 0) c->options.config = value;
        if (strcmp(word, "--layers") == 0) c->options.layers = value;
        if (strcmp(word, "--backbone") == 0) c->options.backbone = value;
        if (strcmp(word, "--context") == 0) CHECK_STR(value, "2048");
        if (strcmp(word, "--set") == 0) c->settings[c->options.setting_count++] = value;
    }
}

/* The blocks of the page that begin with "    ttt train". */
static int read_page(command commands[ROWS])
{
    static char page[16384];
    FILE *file = fopen(TTT_SOURCE_DIR "/docs/ABLATION.md", "r");
    int count = 0;
    CHECK(file != NULL);
    if (!file) return 0;
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
    for (char *at = page; (at = strstr(at, "\n    ttt train ")) && count < ROWS; count++) {
        char *end = strstr(++at, "\n\n");
        snprintf(commands[count].text, sizeof commands[count].text, "%.*s", (int)(end - at), at);
        parse(&commands[count]);
        at = end;
    }
    return count;
}

/* ---- each row ---- */

/* What a row's layer has besides q, k, v, o and the post norm; of C = 768, 12 heads of 64. */
static int64_t extras(int row)
{
    enum { WIDTH = 768, HEADS = 12, SIZE = 64, K = 16, TAPS = 4 };
    int64_t n = 0;
    if (row >= 4) n += HEADS * SIZE * SIZE;             /* W1 */
    if (row >= 5) n += HEADS * SIZE + 2 * HEADS * SIZE; /* b1; norm */
    if (row >= 7) n += HEADS * WIDTH + HEADS + K;       /* rate, position factor */
    if (row >= 8) n += 2 * WIDTH * (TAPS + 1);          /* convolutions of q and k; the gate is as large as k */
    if (row >= 8) n += WIDTH + WIDTH * (TAPS + 1);      /* conv with its norm */
    return n;
}

static int64_t parameters(int row)
{
    enum { WIDTH = 768, VOCABULARY = 32000, FFN = 2048, BLOCKS = 12 };
    const int64_t block = 4 * WIDTH * WIDTH + 3 * WIDTH * FFN + 4 * WIDTH; /* two norms, the post norm's two */
    return VOCABULARY * WIDTH + WIDTH + BLOCKS * (block + extras(row));
}

static double train(ttt_config config, const char *backend)
{
    static int32_t tokens[BATCH * (T + 1)];
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = backend;
    options.precision = "f32";
    options.context = T;
    options.batch = BATCH;
    options.steps = STEPS;
    options.rate = 3e-3;
    ttt_trainer *t;
    ttt_train_result first, last;
    for (int i = 0; i < BATCH * (T + 1); i++) tokens[i] = (int32_t)(i * i % 31);
    CHECK_OK(ttt_trainer_new(&t, &config, &options));
    if (!t) return 0;
    CHECK_OK(ttt_trainer_step(t, tokens, &first));
    for (int i = 1; i < STEPS; i++) CHECK_OK(ttt_trainer_step(t, tokens, &last));
    CHECK(last.loss < first.loss);
    ttt_trainer_free(t);
    return last.loss;
}

static void check_row(int row, const command *c)
{
    ttt_config config;
    ttt_config_init(&config);
    CHECK_OK(ttt_run_plan_config(&c->options, &config));
    config.vocab_size = 32000; /* the tokenizer says */
    CHECK_EQ(ttt_config_parameters(&config), parameters(row));
    CHECK_STR(ttt_config_block(&config, 11), row < 3   ? "linear_attention+ffn"
                                             : row < 8 ? "ttt_linear+ffn"
                                                       : "conv+ttt_linear+ffn");
    config.hidden_size = 16; /* as deep, but narrow */
    config.num_attention_heads = 2;
    config.intermediate_size = 24;
    config.vocab_size = 31;
    config.initializer_range = 0.2;
    config.bos_token_id = config.eos_token_id = -1;
    const double ref = train(config, "ref"), cpu = train(config, "cpu");
    printf("row %d: %lld parameters, loss %.6f\n", row, (long long)parameters(row), ref);
    CHECK_NEAR(cpu, ref, 2e-4 * ref);
}

int main(void)
{
    static command commands[ROWS];
    CHECK_EQ(read_page(commands), ROWS);
    for (int row = 1; row <= ROWS; row++) check_row(row, &commands[row - 1]);
    CHECK_EQ(parameters(ROWS), 110424144); /* the paper's TTT-Linear, 125M */
    return test_end();
}
