/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <ttt/comm.h>
#include <ttt/generate.h>
#include <unistd.h>

const char ttt_app_stopping[] = "\nstopping; again: at once\n";
static volatile sig_atomic_t noted;
static const char *volatile answer;

static void note(int signal)
{
    const int error = errno;
    const char *text = noted || signal == SIGPIPE ? NULL : answer;
    noted = signal;
    if (text) (void)!write(STDERR_FILENO, text, strlen(text));
    errno = error;
}

void ttt_app_catch_signals(const char *said, bool pipes)
{
    /* SA_RESETHAND: the second signal finds the default action; but a terminal that is gone says so more than once, and
     * a pipe without a reader at every line. Without SA_RESTART a read that waits returns. */
    static const struct {
        int signal, flags;
    } caught[] = {{SIGINT, (int)SA_RESETHAND}, {SIGTERM, (int)SA_RESETHAND}, {SIGHUP, 0}, {SIGPIPE, 0}};
    answer = said;
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        struct sigaction action = {.sa_handler = note, .sa_flags = caught[i].flags}, before;
        sigemptyset(&action.sa_mask);
        if (caught[i].signal == SIGPIPE && !pipes) continue;
        if (sigaction(caught[i].signal, NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue; /* as by nohup */
        sigaction(caught[i].signal, &action, NULL);
    }
}

int ttt_app_signal(void) { return noted; }

void ttt_app_forget_interrupt(void)
{
    if (noted != SIGINT) return;
    noted = 0;
    ttt_app_catch_signals(answer, false);
}

int ttt_app_failed(ttt_status status)
{
    if (status == TTT_ERR_INTERRUPTED) return 128 + (noted ? noted : SIGINT);
    const char *detail = ttt_error_detail();
    return ttt_app_fail("%s", *detail ? detail : ttt_status_text(status));
}

int ttt_app_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("ttt: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return TTT_APP_FAILED;
}

void ttt_app_usage(const struct argp_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", state->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EX_USAGE);
}

static int64_t read_integer(const struct argp_state *state, const char *name, const char *text, bool tokens,
                            int64_t low, int64_t high)
{
    char *end;
    errno = 0;
    const intmax_t value = strtoimax(text, &end, 10);
    const int64_t unit = !tokens || end == text ? 1 : *end == 'k' ? 1 << 10 : *end == 'M' ? 1 << 20 : 1;
    if (unit > 1) end++;
    const bool fits = value <= INT64_MAX / unit && value >= INT64_MIN / unit;
    if (end == text || *end != '\0' || errno != 0 || !fits || value * unit < low || value * unit > high) {
        const char *kind = tokens ? "a whole number (4k is 4096, 1M 1048576)" : "a whole number";
        if (high == INT64_MAX)
            ttt_app_usage(state, "%s is \"%s\": give %s, %" PRId64 " or more", name, text, kind, low);
        ttt_app_usage(state, "%s is \"%s\": give %s from %" PRId64 " to %" PRId64, name, text, kind, low, high);
    }
    return value * unit;
}

int64_t ttt_app_integer(const struct argp_state *state, const char *name, const char *text, int64_t low, int64_t high)
{
    return read_integer(state, name, text, false, low, high);
}

int64_t ttt_app_tokens(const struct argp_state *state, const char *name, const char *text, int64_t low, int64_t high)
{
    return read_integer(state, name, text, true, low, high);
}

double ttt_app_number(const struct argp_state *state, const char *name, const char *text, double low, double high)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high) || !isfinite(value)) {
        if (!isfinite(high)) ttt_app_usage(state, "%s is \"%s\": give a number, %g or more", name, text, low);
        ttt_app_usage(state, "%s is \"%s\": give a number from %g to %g", name, text, low, high);
    }
    return value;
}

void ttt_app_model(const struct argp_state *state, const char **model, const char *argument)
{
    if (*model) ttt_app_usage(state, "\"%s\" is too much: the model is %s", argument, *model);
    *model = argument;
}

const char *ttt_app_chart(const struct argp_state *state, const char *path)
{
    const size_t length = strlen(path);
    if (length < 4 || strcasecmp(path + length - 4, ".svg") != 0)
        ttt_app_usage(state, "--plot is \"%s\": a chart is an SVG, give it a name that ends in .svg", path);
    return path;
}

int ttt_app_check_output(const char *path)
{
    struct stat file;
    if (!path) return 0;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder) return ttt_app_fail("out of memory");
    const bool exists = stat(path, &file) == 0;
    int error = access(exists ? path : folder, exists ? W_OK : W_OK | X_OK) == 0 ? 0 : errno;
    if (exists && S_ISDIR(file.st_mode)) error = EISDIR;
    free(folder);
    return error ? ttt_app_fail("cannot write %s: %s", path, strerror(error)) : 0;
}

enum { KEY_BACKEND = 0x1000, KEY_PRECISION, KEY_THREADS, THREADS_MAX = 1024 };

static error_t parse_compute(int key, char *argument, struct argp_state *state)
{
    ttt_model_options *options = state->input;
    switch (key) {
    case KEY_BACKEND: options->backend = argument; return 0;
    case KEY_PRECISION: options->precision = argument; return 0;
    case KEY_THREADS: options->threads = (int)ttt_app_integer(state, "--threads", argument, 1, THREADS_MAX); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ttt_app_compute_argp = {
    .options = (const struct argp_option[]){{NULL, 0, NULL, 0, "Computing:", 90},
                                            {"backend", KEY_BACKEND, "NAME", 0,
                                             "ref (plain loops in double) or cpu; default: the fastest", 90},
                                            {"precision", KEY_PRECISION, "NAME", 0,
                                             "f32, bf16, q8, q4 or auto (default); training has f32 and bf16", 90},
                                            {"threads", KEY_THREADS, "N", 0,
                                             "threads; default: TTT_THREADS, else one per processor", 90},
                                            {0}},
    .parser = parse_compute,
};

/* What --set adds: of the process, as the arguments are. */
enum { KEY_SETTING = 0x1100, SETTINGS_MAX = 64 };
static const char *settings[SETTINGS_MAX];

static error_t parse_open(int key, char *argument, struct argp_state *state)
{
    ttt_model_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = options; return 0;
    case KEY_SETTING:
        if (!strchr(argument, '=')) argp_error(state, "--set %s: not KEY=VALUE", argument);
        if (options->setting_count == SETTINGS_MAX) argp_error(state, "--set: at most %d times", SETTINGS_MAX);
        settings[options->setting_count++] = argument;
        options->settings = settings;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ttt_app_open_argp = {
    .options = (const struct argp_option[]){{"set", KEY_SETTING, "KEY=VALUE", 0,
                                             "a key of config.json, over what the model's says, such as "
                                             "ttt_keep=0.95; may be repeated",
                                             90},
                                            {0}},
    .parser = parse_open,
    .children = (const struct argp_child[]){{&ttt_app_compute_argp, 0, NULL, 0}, {0}},
};

void ttt_app_tell_precision(const char *asked, const char *precision)
{
    int rank, ranks;
    ttt_comm_place(&rank, &ranks);
    if (rank > 0 || (asked && strcmp(asked, "auto") != 0) || strcmp(precision, "bf16") != 0) return;
    fprintf(stderr, "computing in bf16, which this processor multiplies fast; --precision f32 is what others do\n");
}

ttt_status ttt_app_open(ttt_model **model, ttt_tokenizer **tokenizer, const char *folder,
                        const ttt_model_options *options)
{
    *tokenizer = NULL;
    ttt_status status = ttt_model_open(model, folder, options);
    if (status == TTT_OK) status = ttt_tokenizer_open(tokenizer, folder);
    if (status == TTT_OK) status = ttt_model_check_tokenizer(*model, *tokenizer);
    if (status == TTT_OK) {
        ttt_app_tell_precision(options->precision, ttt_model_precision(*model));
        return TTT_OK;
    }
    ttt_tokenizer_free(*tokenizer);
    ttt_model_free(*model);
    *tokenizer = NULL;
    *model = NULL;
    return status;
}

int ttt_app_read_stream(FILE *stream, char **text, size_t *size)
{
    size_t capacity = 0, used = 0, got = 0;
    char *bytes = NULL;
    do {
        used += got;
        if (used == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 16;
            char *grown = realloc(bytes, capacity);
            if (!grown) free(bytes);
            bytes = grown;
            if (!grown) return ENOMEM;
        }
    } while ((got = fread(bytes + used, 1, capacity - used, stream)) > 0);
    const int error = ferror(stream) ? errno : 0;
    if (error) free(bytes);
    if (error) return error;
    if (used >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) memmove(bytes, bytes + 3, used -= 3);
    *text = bytes;
    *size = used;
    return 0;
}

int ttt_app_read(const char *path, char **text, size_t *size)
{
    const bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) return ttt_app_fail("cannot open %s: %s", name, strerror(errno));
    const int error = ttt_app_read_stream(file, text, size);
    if (!standard) fclose(file);
    if (error) return ttt_app_fail("cannot read %s: %s", name, strerror(error));
    if (*size > 0) return 0;
    free(*text);
    *text = NULL;
    return ttt_app_fail("%s holds no text: it is empty", name);
}

double ttt_app_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- configurations ---- */

int64_t ttt_app_integer_of(const ttt_config *config, const char *key)
{
    int64_t value;
    if (ttt_config_get_integer(config, key, &value) != TTT_OK) abort();
    return value;
}

double ttt_app_real_of(const ttt_config *config, const char *key)
{
    double value;
    if (ttt_config_get_real(config, key, &value) != TTT_OK) abort();
    return value;
}

/* The part of a block that is neither conv nor ffn, if there is one. */
static void sequence_part(const char *block, char name[TTT_APP_LAYER])
{
    snprintf(name, TTT_APP_LAYER, "none");
    for (const char *part = block; *part; part += *part == '+') {
        const size_t length = strcspn(part, "+");
        const bool other = (length == 4 && memcmp(part, "conv", 4) == 0) ||
                           (length == 3 && memcmp(part, "ffn", 3) == 0);
        if (!other) snprintf(name, TTT_APP_LAYER, "%.*s", (int)length, part);
        part += length;
    }
}

const char *ttt_app_layer_of(const ttt_config *config, char name[TTT_APP_LAYER])
{
    const char *block;
    for (int64_t i = 0; (block = ttt_config_block(config, i)) != NULL; i++) {
        char other[TTT_APP_LAYER];
        sequence_part(block, i == 0 ? name : other);
        if (i > 0 && strcmp(name, other) != 0) snprintf(name, TTT_APP_LAYER, "mixed");
    }
    return name;
}

const char *ttt_app_title_of(const ttt_config *config, char name[TTT_APP_LAYER])
{
    static const char *const titles[][2] = {{"ttt_linear", "TTT-Linear"}, {"ttt_mlp", "TTT-MLP"}};
    ttt_app_layer_of(config, name);
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (strcmp(name, titles[i][0]) == 0) return titles[i][1];
    return name;
}

bool ttt_app_has_part(const ttt_config *config, const char *name)
{
    const char *block;
    for (int64_t i = 0; (block = ttt_config_block(config, i)) != NULL; i++)
        for (const char *part = block; *part; part += *part == '+') {
            if (strncmp(part, name, strlen(name)) == 0) return true;
            part += strcspn(part, "+");
        }
    return false;
}

void ttt_app_print_flops(const ttt_config *config, int64_t context)
{
    ttt_flops flops;
    if (ttt_config_flops(config, context, &flops) != TTT_OK) return;
    printf("%.4g in training, %.4g in decoding at %" PRId64 " tokens", flops.training, flops.decode, context);
    if (flops.growth > 0)
        printf(" and %.4g more for each token after\n", flops.growth);
    else
        printf(", the same however many came before\n");
}

ttt_status ttt_app_set(ttt_config *config, const char *setting)
{
    char key[64];
    const char *equals = strchr(setting, '=');
    snprintf(key, sizeof key, "%.*s", (int)(equals - setting), setting);
    return ttt_config_set(config, key, equals + 1);
}

char *ttt_app_help(int key, const char *text, void *input)
{
    static const char marker[] = "CONFIGS";
    (void)key, (void)input;
    const char *at = text ? strstr(text, marker) : NULL, *name;
    char *result = at ? malloc(strlen(text) + 256) : NULL;
    if (!result) return (char *)(uintptr_t)text; /* argp's way to leave a text as it is */
    int used = sprintf(result, "%.*s", (int)(at - text), text);
    for (int64_t i = 0; (name = ttt_config_standard_name(i)) != NULL; i++)
        used += snprintf(result + used, 32, "%s%.16s", i ? ", " : "", name);
    snprintf(result + used, strlen(text) + 1, "%s", at + strlen(marker));
    return result;
}
