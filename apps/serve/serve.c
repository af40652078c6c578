/* SPDX-License-Identifier: MIT
 *
 * The server's life: it listens, loads the model, serves, and when it is told to stop lets what runs come to its end.
 */
#include "serve.h"

#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

enum { TICK = 100000 /* microseconds */, OTHER_FILES = 64, FLUSH = 5 /* seconds for answers on their way */ };
/* Memory comes and goes on many threads, and a heap keeps what they leave: few heaps, given back now and then. */
enum { ARENAS = 2, TRIM = 30 /* seconds */ };

double ttt_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void ttt_log(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    const size_t end = size < 0 ? 0 : (size_t)size < sizeof line - 1 ? (size_t)size : sizeof line - 2;
    line[end] = '\n';
    (void)!write(STDERR_FILENO, line, end + 1); /* whole lines, whoever else writes */
}

static int fail(const char *sentence)
{
    ttt_log("ttt: %s", sentence);
    return 1;
}

static void log_sentence(const char *sentence) { ttt_log("%s", sentence); }

/* A connection is a file. */
static void raise_file_limit(int64_t connections)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)connections + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* The model's name: the folder's, if no other was given. */
static void name_model(ttt_server *s)
{
    const char *folder = s->options->model;
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') size--;
    size_t start = size;
    while (start > 0 && folder[start - 1] != '/') start--;
    if (s->options->alias)
        snprintf(s->alias, sizeof s->alias, "%s", s->options->alias);
    else
        snprintf(s->alias, sizeof s->alias, "%.*s", (int)(size - start), folder + start);
}

static int64_t weight_bytes(const char *folder)
{
    DIR *open = opendir(folder);
    int64_t sum = 0;
    for (struct dirent *entry; open && (entry = readdir(open));) {
        struct stat file;
        const char *end = strrchr(entry->d_name, '.');
        if (end && strcmp(end, ".safetensors") == 0 && fstatat(dirfd(open), entry->d_name, &file, 0) == 0)
            sum += file.st_size;
    }
    if (open) closedir(open);
    return sum;
}

static ttt_status load(ttt_server *s)
{
    const ttt_serve_options *o = s->options;
    ttt_status status = ttt_model_open(&s->model, o->model, &o->compute);
    if (status == TTT_OK) status = ttt_tokenizer_open(&s->tokenizer, o->model);
    if (status == TTT_OK) status = ttt_model_check_tokenizer(s->model, s->tokenizer);
    if (status == TTT_OK) ttt_generate_options_init(&s->defaults);
    if (status == TTT_OK) status = ttt_generate_options_load(&s->defaults, o->model, s->model, s->tokenizer);
    s->file_bytes = weight_bytes(o->model);
    if (status == TTT_OK && !(s->pieces = ttt_pieces_new(s->tokenizer))) return TTT_ERR_MEMORY;
    const char *asked = o->compute.precision;
    if (status == TTT_OK && (!asked || strcmp(asked, "auto") == 0) &&
        strcmp(ttt_model_precision(s->model), "bf16") == 0)
        ttt_log("computing in bf16, which this processor multiplies fast; --precision f32 is what others do");
    return status;
}

/* Waits for what runs, then cancels it, then waits for its answers to reach their clients. */
static void stop(ttt_server *s)
{
    const ttt_serve_options *o = s->options;
    const double start = ttt_now();
    atomic_store(&s->phase, TTT_SERVER_STOPPING);
    ttt_log("stopping: %zu requests have %lld seconds to end", ttt_http_requests(s->http), (long long)o->grace);
    ttt_http_stop_accepting(s->http);
    for (bool cancelled = false; ttt_http_requests(s->http) > 0; usleep(TICK / 10)) {
        const double passed = ttt_now() - start;
        if (passed > (double)o->grace + FLUSH) break;
        if (passed > (double)o->grace && !cancelled) ttt_engine_cancel(s->engine);
        cancelled = passed > (double)o->grace;
        ttt_http_tick(s->http);
    }
    ttt_engine_stop(s->engine);
}

static bool is_this_machine(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

static int run(ttt_server *s, int port)
{
    const ttt_serve_options *o = s->options;
    const ttt_status status = load(s);
    if (status != TTT_OK) return fail(*ttt_error_detail() ? ttt_error_detail() : ttt_status_text(status));
    ttt_refusal refusal = {0};
    const ttt_store_options kept = {
        .model = s->model, .folder = o->states, .memory = o->state_memory, .disk = o->state_disk, .log = log_sentence};
    if (!ttt_store_new(&s->store, &kept, &refusal)) return fail(refusal.message);
    if (!ttt_template_open(&s->chat, o->chat_template, o->model, &refusal)) return fail(refusal.message);
    s->engine = ttt_engine_new(s, &refusal);
    if (!s->engine) return fail(refusal.message);
    atomic_store(&s->phase, TTT_SERVER_READY);
    ttt_log("%s is served at http://%s%s%s:%d", s->alias, strchr(o->host, ':') ? "[" : "", o->host,
            strchr(o->host, ':') ? "]" : "", port);
    if (o->key_count == 0 && !is_this_machine(o->host))
        ttt_log("whoever reaches this address may use the model: --api-key-file asks for keys");
    for (double trimmed = ttt_now(); !o->signal(); usleep(TICK)) {
        ttt_http_tick(s->http);
        if (ttt_now() - trimmed < TRIM) continue;
        malloc_trim(0);
        trimmed = ttt_now();
    }
    stop(s);
    return 0;
}

int ttt_serve(const ttt_serve_options *options)
{
    ttt_server s = {.options = options, .created = time(NULL)};
    ttt_refusal refusal = {0};
    sigset_t all, before;
    int port = options->port;
    mallopt(M_ARENA_MAX, ARENAS);
    name_model(&s);
    raise_file_limit(options->connections);
    sigfillset(&all); /* signals are this thread's alone */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s.http = ttt_http_new(&s, &port, &refusal);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    const int code = s.http ? run(&s, port) : fail(refusal.message);
    ttt_http_free(s.http);
    ttt_engine_free(s.engine);
    ttt_template_close(&s.chat);
    ttt_pieces_free(s.pieces);
    ttt_store_free(s.store);
    ttt_tokenizer_free(s.tokenizer);
    ttt_model_free(s.model);
    return code;
}
